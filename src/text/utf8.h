/* dhatu: UTF-8 checking and repair. */
#ifndef DH_TEXT_UTF8_H
#define DH_TEXT_UTF8_H

#include "base/buffer.h"

#include <stddef.h>
#include <stdint.h>

/* Length of the longest prefix of text that is well-formed UTF-8 (Unicode 15, table 3-7). Equals size
 * when all of it is. ASCII runs are checked 16 bytes at a time. */
size_t dh_utf8_valid_prefix(const uint8_t *text, size_t size);

/* Appends text to out; each maximal subpart of an ill-formed sequence becomes U+FFFD (Unicode 15,
 * section 3.9, "U+FFFD Substitution of Maximal Subparts"). *replaced counts them (added to).
 * Errors: DH_NO_MEMORY (logged). */
dh_status dh_utf8_repair(const uint8_t *text, size_t size, dh_buffer *out, uint64_t *replaced);

/* Decodes the code point at text (well-formed, size > 0) and gives its length in *length. */
uint32_t dh_utf8_decode(const uint8_t *text, size_t *length);

/* Encodes a scalar value; returns 1 to 4, the bytes written to out (at least 4 long). */
size_t dh_utf8_encode(uint32_t code_point, uint8_t *out);

#endif
