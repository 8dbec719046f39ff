/* A second checker of JSON for tests: recursive, a byte at a time, after the grammar of RFC 8259 and without
 * a thought for speed. */
#ifndef DH_TESTS_JSON_REFERENCE_H
#define DH_TESTS_JSON_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "read/json.h"

typedef struct reference_text {
    const uint8_t *byte;
    size_t size, at;
    unsigned depth;
    bool too_deep;
} reference_text;

static inline bool reference_value(reference_text *t);

static inline bool reference_is(const reference_text *t, const char *set)
{
    return t->at < t->size && t->byte[t->at] != 0 && strchr(set, t->byte[t->at]) != NULL;
}

static inline bool reference_take(reference_text *t, const char *set)
{
    const bool is = reference_is(t, set);
    t->at += is;
    return is;
}

static inline void reference_space(reference_text *t)
{
    while (reference_take(t, " \t\r\n")) {
    }
}

static inline bool reference_digits(reference_text *t)
{
    bool some = false;
    while (reference_take(t, "0123456789")) {
        some = true;
    }
    return some;
}

static inline bool reference_number(reference_text *t)
{
    (void)reference_take(t, "-");
    if (!reference_take(t, "0")) {
        if (!reference_is(t, "123456789") || !reference_digits(t)) {
            return false;
        }
    }
    if (reference_take(t, ".") && !reference_digits(t)) {
        return false;
    }
    if (reference_take(t, "eE")) {
        (void)reference_take(t, "+-");
        return reference_digits(t);
    }
    return true;
}

static inline bool reference_string(reference_text *t)
{
    if (!reference_take(t, "\"")) {
        return false;
    }
    while (t->at < t->size) {
        const uint8_t byte = t->byte[t->at++];
        if (byte == '"') {
            return true;
        }
        if (byte < 0x20) {
            return false;
        }
        if (byte != '\\') {
            continue;
        }
        if (reference_take(t, "u")) {
            for (int i = 0; i < 4; i++) {
                if (!reference_take(t, "0123456789abcdefABCDEF")) {
                    return false;
                }
            }
        } else if (!reference_take(t, "\"\\/bfnrt")) {
            return false;
        }
    }
    return false;
}

static inline bool reference_word(reference_text *t, const char *word)
{
    const size_t size = strlen(word);
    if (t->size - t->at < size || memcmp(t->byte + t->at, word, size) != 0) {
        return false;
    }
    t->at += size;
    return true;
}

static inline bool reference_members(reference_text *t, bool is_object)
{
    const char *close = is_object ? "}" : "]";
    reference_space(t);
    if (reference_take(t, close)) {
        return true;
    }
    do {
        reference_space(t);
        if (is_object) {
            if (!reference_string(t)) {
                return false;
            }
            reference_space(t);
            if (!reference_take(t, ":")) {
                return false;
            }
        }
        if (!reference_value(t)) {
            return false;
        }
    } while (reference_take(t, ","));
    return reference_take(t, close);
}

static inline bool reference_container(reference_text *t, bool is_object)
{
    if (t->depth == DH_JSON_DEPTH_MAX) {
        t->too_deep = true;
        return false;
    }
    t->at++;
    t->depth++;
    const bool right = reference_members(t, is_object);
    t->depth--;
    return right;
}

/* With the white space around it. */
static inline bool reference_value(reference_text *t)
{
    reference_space(t);
    bool right;
    if (reference_is(t, "{")) {
        right = reference_container(t, true);
    } else if (reference_is(t, "[")) {
        right = reference_container(t, false);
    } else if (reference_is(t, "\"")) {
        right = reference_string(t);
    } else if (reference_is(t, "tfn")) {
        right = reference_word(t, "true") || reference_word(t, "false") || reference_word(t, "null");
    } else {
        right = reference_number(t);
    }
    reference_space(t);
    return right;
}

static inline dh_json_error json_reference(const uint8_t *line, size_t size)
{
    reference_text t = {.byte = line, .size = size};
    const bool right = reference_value(&t) && t.at == size;
    if (t.too_deep) {
        return DH_JSON_TOO_DEEP;
    }
    if (!right) {
        return DH_JSON_SYNTAX;
    }
    size_t first = 0;
    while (line[first] == ' ' || line[first] == '\t' || line[first] == '\r' || line[first] == '\n') {
        first++;
    }
    return line[first] == '{' ? DH_JSON_OK : DH_JSON_NOT_OBJECT;
}

#endif
