/* dhatu: the content hash of a source, computed while it is read, range by range. */
#ifndef DH_READ_CONTENT_HASH_H
#define DH_READ_CONTENT_HASH_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { DH_CONTENT_BLOCK = 64 << 10 };

/* A 128-bit content hash that can be computed in pieces in any order: the sum modulo 2^128 of
 * XXH3-128 of each 64 KiB block of the uncompressed bytes, with the block's index as seed. */
typedef struct dh_content_hash {
    uint64_t low, high;
} dh_content_hash;

static inline void dh_content_hash_add(dh_content_hash *sum, dh_content_hash other)
{
    sum->low += other.low;
    sum->high += other.high + (sum->low < other.low);
}

/* Hashes what is read of a source and keeps the sum of one range, whose blocks are those that begin in it.
 * What is read ahead of the range is kept as a digest a block, until the range moves on to it. */
typedef struct dh_content_hasher dh_content_hasher;

dh_status dh_content_hasher_create(dh_content_hasher **out);
void dh_content_hasher_free(dh_content_hasher *hasher);

/* Begins a source, which is read from byte `place` on, with the range [begin, end). */
void dh_content_hasher_open(dh_content_hasher *hasher, uint64_t place, uint64_t begin, uint64_t end);

/* Moves on to the range [begin, end), begin at or above the last end. Both are multiples of DH_CONTENT_BLOCK,
 * but an end of UINT64_MAX. */
void dh_content_hasher_go_on(dh_content_hasher *hasher, uint64_t begin, uint64_t end);

/* Takes the next bytes. file_bytes: bytes of the file that were consumed up to and with them. */
dh_status dh_content_hasher_add(dh_content_hasher *hasher, const uint8_t *bytes, size_t size,
                                uint64_t file_bytes);

/* The source has ended: its last block, if unfinished, counts as it is. */
dh_status dh_content_hasher_finish(dh_content_hasher *hasher, uint64_t file_bytes);

dh_content_hash dh_content_hasher_sum(const dh_content_hasher *hasher);

/* Bytes of the file that were consumed for what lies in front of the range, and up to its end. */
uint64_t dh_content_hasher_file_begin(const dh_content_hasher *hasher);
uint64_t dh_content_hasher_file_end(const dh_content_hasher *hasher);

#endif
