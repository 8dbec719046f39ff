/* dhatu: UTF-8 checking and repair. */
#ifndef DH_TEXT_UTF8_H
#define DH_TEXT_UTF8_H

#include "base/buffer.h"

#include <stddef.h>
#include <stdint.h>

/* Length of the longest prefix of text that is well-formed UTF-8 (Unicode 15, table 3-7). Equals size
 * when all of it is. 32 bytes at a time with AVX2. */
size_t dh_utf8_valid_prefix(const uint8_t *text, size_t size);

/* The same without these features of the processor (DH_CPU_* of kernels/backend.h), for tests. */
size_t dh_utf8_valid_prefix_without(uint32_t features, const uint8_t *text, size_t size);

/* Appends text to out; each maximal subpart of an ill-formed sequence becomes U+FFFD (Unicode 15,
 * section 3.9, "U+FFFD Substitution of Maximal Subparts"). *replaced counts them (added to).
 * Errors: DH_NO_MEMORY (logged). */
dh_status dh_utf8_repair(const uint8_t *text, size_t size, dh_buffer *out, uint64_t *replaced);

/* Decodes the code point at text (well-formed, size > 0) and gives its length in *length. Inline, as are
 * the other calls that the tokeniser makes for every character. */
static inline uint32_t dh_utf8_decode(const uint8_t *text, size_t *length)
{
    const uint32_t lead = text[0];
    if (lead < 0x80) {
        *length = 1;
        return lead;
    }
    if (lead < 0xE0) {
        *length = 2;
        return (lead & 0x1F) << 6 | (text[1] & 0x3Fu);
    }
    if (lead < 0xF0) {
        *length = 3;
        return (lead & 0x0F) << 12 | (text[1] & 0x3Fu) << 6 | (text[2] & 0x3Fu);
    }
    *length = 4;
    return (lead & 0x07) << 18 | (text[1] & 0x3Fu) << 12 | (text[2] & 0x3Fu) << 6 | (text[3] & 0x3Fu);
}

/* Encodes a scalar value; returns 1 to 4, the bytes written to out (at least 4 long). */
static inline size_t dh_utf8_encode(uint32_t code_point, uint8_t *out)
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xC0 | code_point >> 6);
        out[1] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xE0 | code_point >> 12);
        out[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | code_point >> 18);
    out[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (code_point & 0x3F));
    return 4;
}

#endif
