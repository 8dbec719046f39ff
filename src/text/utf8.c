#include "text/utf8.h"

#include <stdbool.h>
#include <string.h>

/* What a lead byte asks for: the length of its sequence (0: no lead byte) and the range of the second
 * byte, which is where overlong forms, surrogates and values above U+10FFFF are refused. */
typedef struct lead_rule {
    uint8_t length, second_low, second_high;
} lead_rule;

static lead_rule rule_of(uint8_t lead)
{
    if (lead < 0x80) {
        return (lead_rule){1, 0, 0};
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return (lead_rule){0, 0, 0};
    }
    if (lead < 0xE0) {
        return (lead_rule){2, 0x80, 0xBF};
    }
    if (lead < 0xF0) {
        return (lead_rule){3, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF};
    }
    return (lead_rule){4, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF};
}

/* Length of the sequence at text (size > 0). *whole tells a well-formed sequence from the maximal
 * subpart of an ill-formed one. */
static size_t sequence_length(const uint8_t *text, size_t size, bool *whole)
{
    const lead_rule rule = rule_of(text[0]);
    *whole = rule.length == 1;
    if (rule.length < 2 || size < 2 || text[1] < rule.second_low || text[1] > rule.second_high) {
        return 1;
    }
    size_t length = 2;
    while (length < rule.length && length < size && (text[length] & 0xC0) == 0x80) {
        length++;
    }
    *whole = length == rule.length;
    return length;
}

/* Length of the ASCII bytes at the front of text, 16 at a time, then one by one. */
static size_t ascii_prefix(const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (size - at >= 16) {
        uint64_t half[2];
        memcpy(half, text + at, sizeof half);
        if (((half[0] | half[1]) & 0x8080808080808080u) != 0) {
            break;
        }
        at += 16;
    }
    while (at < size && text[at] < 0x80) {
        at++;
    }
    return at;
}

size_t dh_utf8_valid_prefix(const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        if (text[at] < 0x80) {
            at += ascii_prefix(text + at, size - at);
            continue;
        }
        bool whole = false;
        const size_t length = sequence_length(text + at, size - at, &whole);
        if (!whole) {
            break;
        }
        at += length;
    }
    return at;
}

dh_status dh_utf8_repair(const uint8_t *text, size_t size, dh_buffer *out, uint64_t *replaced)
{
    static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD};
    uint64_t count = 0;
    size_t at = 0;
    while (at < size) {
        const size_t good = dh_utf8_valid_prefix(text + at, size - at);
        DH_TRY(dh_buffer_append(out, text + at, good));
        at += good;
        if (at < size) {
            bool whole = false;
            at += sequence_length(text + at, size - at, &whole);
            DH_TRY(dh_buffer_append(out, replacement, sizeof replacement));
            count++;
        }
    }
    *replaced += count;
    return DH_OK;
}
