/* dhatu: unsigned numbers of 7 bits a byte, lowest first, the top bit set in all bytes but the last (LEB128).
 */
#ifndef DH_BASE_LEB128_H
#define DH_BASE_LEB128_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DH_LEB128_BITS = 7,
    DH_LEB128_MORE = 0x80,
    DH_LEB128_MAX = 10,       /* bytes of a 64-bit number at most */
    DH_LEB128_LAST_SHIFT = 63 /* of the tenth byte, which has one bit */
};

/* Writes the number and returns where the next byte goes. */
static inline uint8_t *dh_leb128_put(uint8_t *bytes, uint64_t number)
{
    while (number >= DH_LEB128_MORE) {
        *bytes++ = (uint8_t)(number | DH_LEB128_MORE);
        number >>= DH_LEB128_BITS;
    }
    *bytes++ = (uint8_t)number;
    return bytes;
}

/* Reads one from *bytes on, and moves it. False when there is none in front of end, or it has more than 64
 * bits. */
static inline bool dh_leb128_get(const uint8_t **bytes, const uint8_t *end, uint64_t *out)
{
    uint64_t number = 0;
    const uint8_t *at = *bytes;
    for (unsigned shift = 0; at < end && shift <= DH_LEB128_LAST_SHIFT; shift += DH_LEB128_BITS) {
        const uint8_t byte = *at++;
        if (shift == DH_LEB128_LAST_SHIFT && byte > 1) {
            return false;
        }
        number |= (uint64_t)(byte & (DH_LEB128_MORE - 1)) << shift;
        if ((byte & DH_LEB128_MORE) == 0) {
            *bytes = at;
            *out = number;
            return true;
        }
    }
    return false;
}

/* Signed numbers, small ones of either sign as small ones: 0 -1 1 -2 2 ... */
static inline uint64_t dh_zigzag(int64_t number)
{
    return ((uint64_t)number << 1) ^ (number < 0 ? UINT64_MAX : 0);
}
static inline int64_t dh_unzigzag(uint64_t number)
{
    return (int64_t)((number >> 1) ^ ((number & 1) != 0 ? UINT64_MAX : 0));
}

#endif
