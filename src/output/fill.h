/* dhatu: a contiguous dataset that ranks fill one behind the other, each with elements of its own that follow
 * each other. Its digest (docs/formats.md, "content_sha256") is taken over blocks of DH_BLOCK_ROWS elements
 * while they are written; where ranks meet within a block, the one that has its first element digests it,
 * read back from the file when all is written. Needs neither MPI nor HDF5. */
#ifndef DH_OUTPUT_FILL_H
#define DH_OUTPUT_FILL_H

#include "base/buffer.h"

#include <stdbool.h>

typedef struct dh_fill_place {
    int file;
    const char *path;      /* for messages */
    uint64_t offset;       /* in the file, bytes */
    uint64_t element_size; /* bytes */
    uint64_t elements;     /* of all ranks */
} dh_fill_place;

typedef struct dh_fill {
    dh_fill_place place;
    uint64_t next;     /* element that comes next */
    uint8_t *block;    /* the block under way: DH_BLOCK_ROWS elements */
    uint64_t in_block; /* elements of it that are there */
    bool owns_block;   /* this rank has its first element */
    dh_buffer digests; /* of this rank's blocks, one after the other */
} dh_fill;

/* first: this rank's first element. Owner frees with dh_fill_close, also after an error. */
dh_status dh_fill_open(const dh_fill_place *place, uint64_t first, dh_fill *out);
void dh_fill_close(dh_fill *fill); /* a zeroed one is fine */

dh_status dh_fill_append(dh_fill *fill, const void *data, uint64_t count);

/* When all ranks have written all: digests the block that this rank began and others went on with. */
dh_status dh_fill_end(dh_fill *fill);

#endif
