/* dhatu: files of sorted pairs: runs of the shuffle and parts of stages. Blocks of about 64 KiB, each with a
 * checksum (docs/formats.md, "Shuffle run"). A pair that is larger has a block of its own. */
#ifndef DH_SHUFFLE_BLOCK_H
#define DH_SHUFFLE_BLOCK_H

#include "shuffle/pair.h"

enum { DH_BLOCK_BYTES = 64 << 10 }; /* with its header, but for one with a large pair */

typedef struct dh_block_header {
    uint32_t magic, pairs;
    uint64_t size; /* bytes of the pairs behind it */
    uint64_t first_key;
    uint64_t check; /* XXH3-64 of the pairs, with that of the rest of the header and its place as seed */
} dh_block_header;

/* What is told of each block as it is written. */
typedef dh_status dh_block_take(void *context, uint64_t first_key, uint64_t offset);

typedef struct dh_block_writer {
    const char *path; /* of the caller */
    dh_memory_count *count;
    dh_poll *poll; /* asked before each block; NULL: none */
    void *poll_context;
    dh_block_take *take; /* NULL: none */
    void *take_context;
    int file;       /* the caller's to close */
    uint64_t bytes; /* in the file */
    uint64_t pairs, first_key;
    uint64_t block_max; /* bytes of the largest block, with its header */
    uint8_t *block;
    size_t filled;
    uint32_t block_pairs;
    uint64_t block_key;
} dh_block_writer;

/* Set path, count, poll and take before. Makes a new file. Errors: DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_block_writer_open(dh_block_writer *writer);
dh_status dh_block_writer_add(dh_block_writer *writer, const dh_pair *pair);
dh_status dh_block_writer_flush(dh_block_writer *writer); /* ends the block */
/* Closes the file. Errors: DH_IO (logged). */
dh_status dh_block_writer_close(dh_block_writer *writer);
/* Frees what is left behind an error, or behind close. */
void dh_block_writer_free(dh_block_writer *writer);

typedef struct dh_block_reader {
    const char *path; /* of the caller */
    dh_memory_count *count;
    dh_poll *poll; /* asked when bytes are read; NULL: none */
    void *poll_context;
    bool *damaged; /* set, and nothing logged, where the blocks are damaged; NULL: damage is an error */
    int file;
    uint64_t next, end; /* what is read next, and where the blocks end */
    uint8_t *buffer;
    size_t capacity, begin, filled;
    const uint8_t *at, *block_end; /* in the buffer: pairs of the block that are not read yet */
    uint32_t pairs_left;
    uint64_t block; /* where the block begins in the file */
    uint64_t last_key;
} dh_block_reader;

/* Set path, count, poll and damaged before. capacity: bytes of the buffer, at least DH_BLOCK_BYTES; it grows
 * where a block has more. Errors: DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_block_reader_open(dh_block_reader *reader, size_t capacity);
/* Reads [begin, end) of the file from now on. */
void dh_block_reader_seek(dh_block_reader *reader, uint64_t begin, uint64_t end);
/* The next pair, valid until the next call. DH_END. Errors: DH_IO (logged; also: damaged), DH_NO_MEMORY,
 * poll's. */
dh_status dh_block_reader_next(dh_block_reader *reader, dh_pair *out);
void dh_block_reader_close(dh_block_reader *reader); /* zeroed or open */

#endif
