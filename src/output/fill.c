#include "output/fill.h"

#include "base/file.h"
#include "kernels/sha256.h"
#include "run/rows.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCKS_AT_ONCE = 64 };

dh_status dh_fill_open(const dh_fill_place *place, uint64_t first, dh_fill *out)
{
    *out = (dh_fill){.place = *place,
                     .next = first,
                     .in_block = first % DH_BLOCK_ROWS,
                     .owns_block = first % DH_BLOCK_ROWS == 0};
    void *memory = NULL;
    DH_TRY(dh_allocate(DH_BLOCK_ROWS, place->element_size, "a block of the matrix", &memory));
    out->block = memory;
    return DH_OK;
}

void dh_fill_close(dh_fill *fill)
{
    free(fill->block);
    fill->block = NULL;
    dh_buffer_free(&fill->digests);
}

static dh_status add_digest(dh_fill *fill, uint64_t count)
{
    uint8_t digest[DH_SHA256_SIZE];
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, fill->block, count * fill->place.element_size);
    dh_sha256_end(&sha, digest);
    return dh_buffer_append(&fill->digests, digest, sizeof digest);
}

/* Blocks that lie whole in what is appended are digested where they lie, many at a time. */
static dh_status add_digests(dh_fill *fill, const uint8_t *bytes, uint64_t blocks)
{
    const uint64_t size = DH_BLOCK_ROWS * fill->place.element_size;
    const dh_sha256_engine engine = dh_sha256_engine_lanes(UINT32_MAX);
    uint64_t offset[BLOCKS_AT_ONCE + 1];
    uint8_t digest[BLOCKS_AT_ONCE * DH_SHA256_SIZE];
    for (uint64_t done = 0; done < blocks;) {
        const uint64_t left = blocks - done;
        const uint64_t now = left < BLOCKS_AT_ONCE ? left : BLOCKS_AT_ONCE;
        for (uint64_t b = 0; b <= now; b++) {
            offset[b] = (done + b) * size;
        }
        dh_sha256_batch_cut(engine, bytes, offset, (uint32_t)now, 0, digest);
        DH_TRY(dh_buffer_append(&fill->digests, digest, now * DH_SHA256_SIZE));
        done += now;
    }
    return DH_OK;
}

dh_status dh_fill_append(dh_fill *fill, const void *data, uint64_t count)
{
    const dh_fill_place *place = &fill->place;
    const uint64_t element = place->element_size;
    const uint8_t *bytes = data;
    DH_TRY(dh_file_write_at(place->file, place->path, data, count * element,
                            place->offset + fill->next * element));
    fill->next += count;
    while (count > 0) {
        const uint64_t whole = fill->in_block == 0 ? count / DH_BLOCK_ROWS : 0;
        if (whole > 0) {
            DH_TRY(add_digests(fill, bytes, whole));
            bytes += whole * DH_BLOCK_ROWS * element;
            count -= whole * DH_BLOCK_ROWS;
            continue;
        }
        const uint64_t room = DH_BLOCK_ROWS - fill->in_block;
        const uint64_t piece = count < room ? count : room;
        if (fill->owns_block) {
            memcpy(fill->block + fill->in_block * element, bytes, piece * element);
        }
        bytes += piece * element;
        count -= piece;
        fill->in_block += piece;
        if (fill->in_block == DH_BLOCK_ROWS) {
            DH_TRY(fill->owns_block ? add_digest(fill, DH_BLOCK_ROWS) : DH_OK);
            fill->in_block = 0;
            fill->owns_block = true;
        }
    }
    return DH_OK;
}

dh_status dh_fill_end(dh_fill *fill)
{
    const dh_fill_place *place = &fill->place;
    if (!fill->owns_block || fill->in_block == 0) {
        return DH_OK;
    }
    const uint64_t first = fill->next - fill->in_block;
    const uint64_t left = place->elements - first;
    const uint64_t count = left < DH_BLOCK_ROWS ? left : DH_BLOCK_ROWS;
    DH_TRY(dh_file_read_at(place->file, place->path, fill->block, count * place->element_size,
                           place->offset + first * place->element_size));
    return add_digest(fill, count);
}
