#include "read/content_hash.h"

#include "base/buffer.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A block that was read ahead of the range. */
typedef struct waiting_block {
    dh_content_hash hash;
    uint64_t file_bytes;
} waiting_block;

struct dh_content_hasher {
    XXH3_state_t *state; /* of the block under way, when it begins at or behind begin */
    uint64_t place;      /* of the next byte */
    uint64_t begin, end;
    dh_content_hash sum;
    uint64_t file_begin, file_end;
    dh_buffer waiting;      /* waiting_block, in the order of the source */
    size_t taken;           /* bytes of waiting that were taken out already */
    uint64_t waiting_first; /* where the first block that waits begins */
};

dh_status dh_content_hasher_create(dh_content_hasher **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_content_hasher), "the content hash", &memory));
    dh_content_hasher *hasher = memory;
    hasher->state = XXH3_createState();
    if (hasher->state == NULL) {
        free(hasher);
        return dh_error(DH_NO_MEMORY, "out of memory: the content hash");
    }
    *out = hasher;
    return DH_OK;
}

void dh_content_hasher_free(dh_content_hasher *hasher)
{
    if (hasher == NULL) {
        return;
    }
    (void)XXH3_freeState(hasher->state);
    dh_buffer_free(&hasher->waiting);
    free(hasher);
}

/* ---- ranges ------------------------------------------------------------------------------------------ */

/* A block in front of the range's end: of the range, or to be skipped. */
static void count_block(dh_content_hasher *hasher, uint64_t block, const dh_content_hash *hash,
                        uint64_t file_bytes)
{
    hasher->file_end = file_bytes;
    if (block < hasher->begin) {
        hasher->file_begin = file_bytes;
    } else {
        dh_content_hash_add(&hasher->sum, *hash);
    }
}

static void take_waiting(dh_content_hasher *hasher)
{
    dh_buffer *waiting = &hasher->waiting;
    while (hasher->taken < waiting->size && hasher->waiting_first < hasher->end) {
        waiting_block block;
        memcpy(&block, waiting->data + hasher->taken, sizeof block);
        count_block(hasher, hasher->waiting_first, &block.hash, block.file_bytes);
        hasher->waiting_first += DH_CONTENT_BLOCK;
        hasher->taken += sizeof block;
    }
    if (hasher->taken > waiting->size / 2) { /* each block is moved once at most, on average */
        memmove(waiting->data, waiting->data + hasher->taken, waiting->size - hasher->taken);
        waiting->size -= hasher->taken;
        hasher->taken = 0;
    }
}

void dh_content_hasher_go_on(dh_content_hasher *hasher, uint64_t begin, uint64_t end)
{
    hasher->begin = begin;
    hasher->end = end;
    hasher->sum = (dh_content_hash){0, 0};
    hasher->file_begin = hasher->file_end;
    take_waiting(hasher);
}

void dh_content_hasher_open(dh_content_hasher *hasher, uint64_t place, uint64_t begin, uint64_t end)
{
    hasher->place = place;
    hasher->file_end = 0;
    hasher->waiting.size = 0;
    hasher->taken = 0;
    dh_content_hasher_go_on(hasher, begin, end);
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

/* The block that begins at `block` is complete. Begins only grow: one in front of begin is never asked for.
 */
static dh_status finish_block(dh_content_hasher *hasher, uint64_t block, uint64_t file_bytes)
{
    waiting_block done = {.file_bytes = file_bytes};
    if (block >= hasher->begin) {
        const XXH128_hash_t digest = XXH3_128bits_digest(hasher->state);
        done.hash = (dh_content_hash){digest.low64, digest.high64};
    }
    if (block < hasher->end) {
        count_block(hasher, block, &done.hash, file_bytes);
        return DH_OK;
    }
    if (hasher->taken == hasher->waiting.size) {
        hasher->waiting_first = block;
    }
    return dh_buffer_append(&hasher->waiting, &done, sizeof done);
}

dh_status dh_content_hasher_add(dh_content_hasher *hasher, const uint8_t *bytes, size_t size,
                                uint64_t file_bytes)
{
    while (size > 0) {
        const size_t in_block = (size_t)(hasher->place % DH_CONTENT_BLOCK);
        const uint64_t block = hasher->place - in_block;
        const size_t left = DH_CONTENT_BLOCK - in_block;
        const size_t take = left < size ? left : size;
        if (block >= hasher->begin) {
            if (in_block == 0) {
                (void)XXH3_128bits_reset_withSeed(hasher->state, block / DH_CONTENT_BLOCK);
            }
            (void)XXH3_128bits_update(hasher->state, bytes, take);
        }
        bytes += take;
        size -= take;
        hasher->place += take;
        if (take == left) {
            DH_TRY(finish_block(hasher, block, file_bytes));
        }
    }
    return DH_OK;
}

dh_status dh_content_hasher_finish(dh_content_hasher *hasher, uint64_t file_bytes)
{
    const uint64_t in_block = hasher->place % DH_CONTENT_BLOCK;
    return in_block > 0 ? finish_block(hasher, hasher->place - in_block, file_bytes) : DH_OK;
}

/* ---- outcome ----------------------------------------------------------------------------------------- */

dh_content_hash dh_content_hasher_sum(const dh_content_hasher *hasher)
{
    return hasher->sum;
}

uint64_t dh_content_hasher_file_begin(const dh_content_hasher *hasher)
{
    return hasher->file_begin;
}

uint64_t dh_content_hasher_file_end(const dh_content_hasher *hasher)
{
    return hasher->file_end;
}
