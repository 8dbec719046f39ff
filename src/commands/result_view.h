/* dhatu: a finished result as inspect, verify, explain and export look at it. */
#ifndef DH_COMMANDS_RESULT_VIEW_H
#define DH_COMMANDS_RESULT_VIEW_H

#include "output/h5_file.h"

typedef struct dh_result_view {
    dh_h5 *h5;
    const char *path;
    uint64_t rows, sources;
    dh_buffer config;  /* JSON, with a NUL */
    dh_buffer content; /* hexadecimal, with a NUL */
    dh_buffer version, format;
} dh_result_view;

/* Opens a result of this format. Errors: DH_MISMATCH (no dhatu result, or of a newer major version), DH_IO
 * (logged). */
dh_status dh_result_view_open(const char *path, dh_result_view *out);
void dh_result_view_close(dh_result_view *view);

/* What a reader wants of an array. The file may hold anything under a path, so whoever looks at elements asks
 * first, and then need not look at types and dimensions again. */
typedef enum dh_wanted {
    DH_WANT_INTEGERS = 0, /* a list of integers */
    DH_WANT_TEXTS,        /* a list of texts */
    DH_WANT_VALUES,       /* a list of any type */
    DH_WANT_INTEGER_ROWS, /* rows of one integer or more */
    DH_WANT_ROWS          /* rows of one element or more, of any type */
} dh_wanted;

/* Describes an array that is as wanted. Errors: DH_MISMATCH (it is missing, or is not so; logged). */
dh_status dh_result_view_describe(dh_result_view *view, const char *path, dh_wanted wanted,
                                  dh_h5_array *array);

/* Elements of a row, of an array that was described as wanted. */
uint64_t dh_row_elements(const dh_h5_array *array);

/* Reads rows [first, first + rows) of an array into memory of its own. Owner frees out->data. Errors:
 * DH_MISMATCH (it is missing, a scalar, or has fewer rows; logged). */
dh_status dh_result_view_rows(dh_result_view *view, const char *path, uint64_t first, uint64_t rows,
                              dh_h5_array *array, dh_buffer *out);

/* All rows of an array. */
dh_status dh_result_view_all(dh_result_view *view, const char *path, dh_h5_array *array, dh_buffer *out);

/* Element `index` of data as JSON. Floats get 17 digits where json, else 6. */
dh_status dh_append_element(dh_buffer *out, const dh_h5_array *array, const void *data, uint64_t index,
                            bool json);

/* An element as an integer, of an array that was wanted so. */
uint64_t dh_element_integer(const dh_h5_array *array, const void *data, uint64_t index);

/* An element of a list of integers, of a list of texts. The text is appended, with a NUL behind size. Errors:
 * DH_MISMATCH (no such list, fewer rows; logged). */
dh_status dh_result_view_integer(dh_result_view *view, const char *path, uint64_t row, uint64_t *out);
dh_status dh_result_view_text(dh_result_view *view, const char *path, uint64_t row, dh_buffer *out);

/* The id of a row. Appended, with a NUL behind size. */
dh_status dh_result_view_id(dh_result_view *view, uint64_t row, dh_buffer *out);

/* The row of an id, or of "#ROW". Errors: DH_USAGE (logged: no such document). */
dh_status dh_result_view_find(dh_result_view *view, const char *id, uint64_t *row);

#endif
