/* dhatu: a finished result as inspect and verify look at it. */
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

/* Reads rows [first, first + rows) of an array into memory of its own. Owner frees out->data. */
dh_status dh_result_view_rows(dh_result_view *view, const char *path, uint64_t first, uint64_t rows,
                              dh_h5_array *array, dh_buffer *out);

/* All rows of an array. */
dh_status dh_result_view_all(dh_result_view *view, const char *path, dh_h5_array *array, dh_buffer *out);

/* Element `index` of data as JSON. Floats get 17 digits where json, else 6. */
dh_status dh_append_element(dh_buffer *out, const dh_h5_array *array, const void *data, uint64_t index,
                            bool json);

/* An element as an integer (not for texts and floats). */
uint64_t dh_element_integer(const dh_h5_array *array, const void *data, uint64_t index);

/* The id of a row. Appended, with a NUL behind size. */
dh_status dh_result_view_id(dh_result_view *view, uint64_t row, dh_buffer *out);

/* The row of an id, or of "#ROW". Errors: DH_USAGE (logged: no such document). */
dh_status dh_result_view_find(dh_result_view *view, const char *id, uint64_t *row);

#endif
