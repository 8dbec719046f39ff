/* dhatu: the strings of JSON, inside read/json*.c only: where one ends, and what it says.
 *
 * Nearly all bytes of a corpus lie in strings, so this is where the time goes. There is one text of the
 * search (json_string_core.h), compiled for vectors of x86 and for plain registers of any CPU. */
#ifndef DH_READ_JSON_STRING_H
#define DH_READ_JSON_STRING_H

#include "read/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dh_json_strings {
    const char *name;
    /* text points behind an opening quote, somewhere in [begin, limit): nothing outside is read. Returns
     * the closing quote, or NULL and the byte that is wrong in *error (limit: there is no closing quote).
     * Refuses raw control characters and escapes that RFC 8259 does not have. */
    const uint8_t *(*find_end)(const uint8_t *begin, const uint8_t *text, const uint8_t *limit,
                               bool *has_escapes, const uint8_t **error);
    /* Unescapes what find_end accepted. out has room for size bytes, and is text itself or apart from it. */
    size_t (*unescape)(const uint8_t *text, size_t size, uint8_t *out, uint64_t *replaced);
} dh_json_strings;

/* The fastest is at index 0, others behind it, NULL behind the last. Tests compare them all. */
const dh_json_strings *dh_json_strings_get(size_t index);

/* dh_json_scan with the strings of one kind, for tests and benchmarks. */
dh_json_error dh_json_scan_with(const dh_json_strings *strings, const dh_json_paths *paths,
                                const uint8_t *line, size_t size, dh_json_value *value, size_t *error_offset);

/* The escape at the backslash `at`: its length, 0 where it is none. */
size_t dh_json_escape_size(const uint8_t *at, const uint8_t *limit);

/* Decodes a valid escape at the backslash `at` and returns its length (12 for a surrogate pair). A lone
 * surrogate becomes U+FFFD and adds one to *replaced. *written is 1 to 4, the bytes put into out, which may
 * be `at` itself. */
size_t dh_json_escape_decode(const uint8_t *at, const uint8_t *limit, uint8_t *out, size_t *written,
                             uint64_t *replaced);

#endif
