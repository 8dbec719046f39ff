/* dhatu: one line of JSONL. A scanner, not a tree: it checks that the line is JSON (RFC 8259) to its
 * last byte and takes a few named fields out in the same pass. */
#ifndef DH_READ_JSON_H
#define DH_READ_JSON_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DH_JSON_FIELDS_MAX = 8,
    DH_JSON_PATH_DEPTH_MAX = 16, /* names in a dotted path */
    DH_JSON_DEPTH_MAX = 1024     /* nesting of objects and arrays; deeper is refused */
};

/* What is wrong with a line. Too deep is said as soon as it is seen; not an object only when all of the
 * line was found to be JSON. Also the reasons of the quarantine (read/records.h gives them names). */
typedef enum dh_json_error {
    DH_JSON_OK = 0,
    DH_JSON_SYNTAX,     /* not JSON: also raw control characters in strings, NaN, trailing text */
    DH_JSON_NOT_OBJECT, /* JSON, but not an object */
    DH_JSON_TOO_DEEP    /* nested deeper than DH_JSON_DEPTH_MAX */
} dh_json_error;

typedef enum dh_json_kind {
    DH_JSON_MISSING = 0,
    DH_JSON_NULL,
    DH_JSON_BOOL,
    DH_JSON_NUMBER,
    DH_JSON_STRING,
    DH_JSON_OBJECT,
    DH_JSON_ARRAY
} dh_json_kind;

/* A value as it lies in the line: for a string between the quotes (still escaped), else the raw text. */
typedef struct dh_json_value {
    dh_json_kind kind;
    bool has_escapes; /* a string with at least one backslash */
    const uint8_t *text;
    size_t size;
} dh_json_value;

/* The fields to take out: dotted paths of names, compiled once. "meta.lang" is {"meta":{"lang":...}}. A
 * backslash before a dot makes it part of the name. Paths lead through objects only, never into arrays.
 * Names are compared after unescaping. Where a name occurs twice, the last one counts, as in Python's json
 * (also: a later {"meta":{}} makes an earlier meta.lang missing). */
typedef struct dh_json_paths dh_json_paths;

/* count at most DH_JSON_FIELDS_MAX; a NULL path stays always DH_JSON_MISSING. One path may not go
 * on inside another; two equal ones get the same value. Errors: DH_USAGE (logged: empty name, too deep, one
 * inside another), DH_NO_MEMORY. */
dh_status dh_json_paths_create(const char *const *path, size_t count, dh_json_paths **out);
void dh_json_paths_free(dh_json_paths *paths);

/* Checks line (without its newline; white space around is fine) and sets value[i] for each path. On an error
 * all values are missing and *error_offset is the byte where it was seen (size: the end came too early);
 * an escape is wrong at its backslash. Bytes >= 0x80 inside strings are not
 * checked here (text/utf8.h repairs them); outside strings they are syntax errors. Never reads behind
 * line + size. Recursion-free. */
dh_json_error dh_json_scan(const dh_json_paths *paths, const uint8_t *line, size_t size, dh_json_value *value,
                           size_t *error_offset);

/* Unescapes a string value into out, which has room for value->size bytes (unescaping never grows) and is
 * value->text itself (in place) or does not overlap it. Surrogate pairs are joined; a lone surrogate becomes
 * U+FFFD and is counted in *replaced (added to). Returns the size. */
size_t dh_json_unescape(const dh_json_value *value, uint8_t *out, uint64_t *replaced);

/* Appends text (UTF-8; what is ill-formed becomes U+FFFD, as in dh_utf8_repair) as a JSON string with
 * quotes. Errors: DH_NO_MEMORY (logged). */
dh_status dh_json_append_string(dh_buffer *out, const void *text, size_t size);

#endif
