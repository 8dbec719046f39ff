/* dhatu: unsigned numbers of 7 bits a byte, lowest first, the top bit set in all bytes but the last (LEB128).
 */
#ifndef DH_BASE_LEB128_H
#define DH_BASE_LEB128_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DH_LEB128_BITS = 7,
    DH_LEB128_MORE = 0x80,
    DH_LEB128_MAX = 10,        /* bytes of a 64-bit number at most */
    DH_LEB128_SHORT_BITS = 21, /* of a number that takes three bytes */
    DH_LEB128_SHORT = 3,
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

/* The same for a number of DH_LEB128_SHORT_BITS, without a branch on its size; always writes DH_LEB128_SHORT
 * bytes, of which those behind the number are nothing. */
static inline uint8_t *dh_leb128_put_short(uint8_t *bytes, uint32_t number)
{
    const uint32_t second = number >> DH_LEB128_BITS;
    const uint32_t third = second >> DH_LEB128_BITS;
    const uint32_t is_two = second != 0;
    const uint32_t is_three = third != 0;
    bytes[0] = (uint8_t)((number & (DH_LEB128_MORE - 1)) | is_two << DH_LEB128_BITS);
    bytes[1] = (uint8_t)((second & (DH_LEB128_MORE - 1)) | is_three << DH_LEB128_BITS);
    bytes[2] = (uint8_t)third;
    return bytes + 1 + is_two + is_three;
}

/* Reads one of at most DH_LEB128_SHORT bytes, which many may be read, without a branch on its size. NULL when
 * it is longer; else where the next begins. */
static inline const uint8_t *dh_leb128_get_short(const uint8_t *bytes, uint32_t *number)
{
    const uint32_t has_two = (uint32_t)bytes[0] >> DH_LEB128_BITS;
    const uint32_t has_three = has_two & (uint32_t)bytes[1] >> DH_LEB128_BITS;
    if ((has_three & (uint32_t)bytes[2] >> DH_LEB128_BITS) != 0) {
        return NULL;
    }
    *number = (bytes[0] & (DH_LEB128_MORE - 1U)) |
              ((bytes[1] & (DH_LEB128_MORE - 1U)) << DH_LEB128_BITS & (0U - has_two)) |
              ((uint32_t)bytes[2] << (2 * DH_LEB128_BITS) & (0U - has_three));
    return bytes + 1 + has_two + has_three;
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
