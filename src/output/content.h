/* dhatu: the content digest of a result (docs/formats.md, "content_sha256").
 *
 * Each dataset has a digest: SHA-256 over the SHA-256 of its blocks of DH_BLOCK_ROWS rows, so that ranks
 * can compute it together. The file's is SHA-256 over path, type, shape and digest of all datasets, in
 * the order of their paths. */
#ifndef DH_OUTPUT_CONTENT_H
#define DH_OUTPUT_CONTENT_H

#include "kernels/sha256.h"
#include "output/h5_file.h"

typedef struct dh_content_entry {
    char *path;
    dh_h5_array array;
    uint8_t digest[DH_SHA256_SIZE];
} dh_content_entry;

typedef struct dh_content {
    dh_content_entry *entry;
    size_t count, capacity;
} dh_content;

void dh_content_free(dh_content *content);

/* Adds a dataset with its digest. The array's description and unit are not kept. */
dh_status dh_content_add(dh_content *content, const char *path, const dh_h5_array *array,
                         const uint8_t digest[DH_SHA256_SIZE]);

/* Creates an array with its content in the file, and adds it with its digest. */
dh_status dh_content_put(dh_content *content, dh_h5 *h5, const char *path, const dh_h5_array *array,
                         const void *data);

/* Digest of one block. */
void dh_content_block(const void *data, uint64_t size, uint8_t digest[DH_SHA256_SIZE]);

/* Digest of a dataset that is in memory. Rows are of the first dimension; a scalar is one row. */
void dh_content_whole(const dh_h5_array *array, const void *data, uint8_t digest[DH_SHA256_SIZE]);

/* The digest of all, hexadecimal with a NUL. Sorts the entries. */
void dh_content_finish(dh_content *content, char hex[2 * DH_SHA256_SIZE + 1]);

/* Reads a dataset, whose shape is array, and computes its digest. scratch is for reuse. */
dh_status dh_content_of_dataset(dh_h5 *h5, const char *path, const dh_h5_array *array, dh_buffer *scratch,
                                uint8_t digest[DH_SHA256_SIZE]);

/* Reads a whole result and computes its content digest. */
dh_status dh_content_of_file(dh_h5 *h5, char hex[2 * DH_SHA256_SIZE + 1]);

/* The one dataset that is not part of its own digest. */
#define DH_CONTENT_PATH "uns/dhatu/content_sha256"

#endif
