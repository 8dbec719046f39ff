/* dhatu: the only place that calls HDF5.
 *
 * Files are written by one process through this interface; the bulk of the data goes into them beside
 * it: dh_h5_offset tells where a contiguous dataset's bytes stand in the file, and all ranks write there
 * with pwrite (docs/architecture.md, "Writing the result"). Object times are off, so the same calls give the
 * same bytes. */
#ifndef DH_OUTPUT_H5_FILE_H
#define DH_OUTPUT_H5_FILE_H

#include "base/buffer.h"
#include "jobs/job.h"

enum { DH_H5_DIMS_MAX = 4 };

typedef struct dh_h5 dh_h5;

/* An array in the file. For DH_TEXT text_width is the bytes of an element and dims do not count it. */
typedef struct dh_h5_array {
    dh_type type;
    uint32_t text_width;
    uint32_t dim_count;
    uint64_t dims[DH_H5_DIMS_MAX];
    const char *description; /* NULL: none */
    const char *unit;
    uint64_t chunk_rows; /* 0: contiguous */
    uint32_t deflate;    /* level, with chunk_rows */
} dh_h5_array;

/* Bytes of a row (all but the first dimension), and of an element. */
uint64_t dh_h5_row_size(const dh_h5_array *array);

/* All calls log their errors, with the path of the file and of the object. Errors: DH_IO, DH_MISMATCH
 * (reading: not what was expected). */
dh_status dh_h5_create(const char *path, dh_h5 **out);
dh_status dh_h5_open(const char *path, bool writable, dh_h5 **out);
dh_status dh_h5_close(dh_h5 *h5); /* frees in any case */

/* True once a file could not be closed: HDF5 then crashes at the program's regular end, so it must be left
 * by dh_comm_abort. */
bool dh_h5_is_broken(void);

/* A group with AnnData's encoding-type and encoding-version. "/" is the root. */
dh_status dh_h5_group(dh_h5 *h5, const char *path, const char *encoding, const char *version);

/* A group that is an AnnData dataframe: its index is member _index, its columns in this order. */
dh_status dh_h5_dataframe(dh_h5 *h5, const char *path, const char *const *column, size_t count);

/* The attribute "shape" of a group, as AnnData's sparse matrices have it. */
dh_status dh_h5_shape(dh_h5 *h5, const char *path, const uint64_t *dims, size_t count);

/* A group that is a categorical; members codes and categories are added as arrays. */
dh_status dh_h5_categorical(dh_h5 *h5, const char *path, const char *description, const char *unit);

/* An array without content yet: its space is allocated, not filled. */
dh_status dh_h5_array_create(dh_h5 *h5, const char *path, const dh_h5_array *array);

/* Fills an array at once. */
dh_status dh_h5_array_write(dh_h5 *h5, const char *path, dh_type type, uint32_t text_width, const void *data);

/* A scalar text. */
dh_status dh_h5_text(dh_h5 *h5, const char *path, const char *text, size_t size, const char *description);

/* Where a contiguous array begins in the file; 0 for an array of no bytes. */
dh_status dh_h5_offset(dh_h5 *h5, const char *path, uint64_t *offset);

/* Writes one chunk that is filtered already; row is its first row. */
dh_status dh_h5_chunk_write(dh_h5 *h5, const char *path, uint64_t row, const void *bytes, size_t size);

/* Reading. */
bool dh_h5_has(dh_h5 *h5, const char *path);
dh_status dh_h5_array_describe(dh_h5 *h5, const char *path, dh_h5_array *out);
dh_status dh_h5_array_read(dh_h5 *h5, const char *path, uint64_t first_row, uint64_t rows, void *out);
dh_status dh_h5_text_read(dh_h5 *h5, const char *path, dh_buffer *out); /* appends, with a NUL behind size */
dh_status dh_h5_attribute_read(dh_h5 *h5, const char *path, const char *name,
                               dh_buffer *out); /* text, "" when missing */

/* Calls visit for every dataset, in the order of the bytes of their paths ("obs/bytes"). */
typedef dh_status dh_h5_visitor(void *context, const char *path);
dh_status dh_h5_visit(dh_h5 *h5, dh_h5_visitor *visit, void *context);

#endif
