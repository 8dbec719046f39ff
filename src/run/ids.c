#include "run/ids.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SUFFIX "#dup"

enum { SLICE_BYTES = 48 << 20 /* of hashes that a rank sends in one round */ };

typedef struct id_hash {
    uint64_t low, high;
    uint64_t row;
} id_hash;

static bool is_suffixed(const dh_ids *ids, uint64_t local_row)
{
    return (ids->suffixed[local_row / 8] >> (local_row % 8) & 1) != 0;
}

static void set_suffixed(dh_ids *ids, uint64_t local_row)
{
    ids->suffixed[local_row / 8] = (uint8_t)(ids->suffixed[local_row / 8] | 1U << (local_row % 8));
}

static uint64_t local_row(const dh_ids *ids, uint64_t row)
{
    return dh_share_local(&ids->share, row / DH_BLOCK_ROWS) * DH_BLOCK_ROWS + row % DH_BLOCK_ROWS;
}

static bool has_suffix_form(const uint8_t *id, size_t size)
{
    const size_t mark = sizeof SUFFIX - 1;
    size_t digits = 0;
    while (digits < size && id[size - 1 - digits] >= '0' && id[size - 1 - digits] <= '9') {
        digits++;
    }
    return digits > 0 && size >= digits + mark && memcmp(id + size - digits - mark, SUFFIX, mark) == 0;
}

typedef dh_status block_visitor(void *context, dh_ids *ids, const dh_row_block *block);

static dh_status for_blocks(dh_ids *ids, dh_row_reader *reader, uint64_t rows, block_visitor *visit,
                            void *context)
{
    const uint64_t count = dh_share_count(&ids->share);
    for (uint64_t k = 0; k < count; k++) {
        const uint64_t first = dh_share_block(&ids->share, k) * DH_BLOCK_ROWS;
        const uint64_t left = rows - first;
        const dh_row_block *block = NULL;
        DH_TRY(dh_row_reader_read(reader, first, left < DH_BLOCK_ROWS ? (uint32_t)left : DH_BLOCK_ROWS, false,
                                  &block));
        DH_TRY(visit(context, ids, block));
    }
    return DH_OK;
}

/* The hashes of one slice. */
typedef struct hash_slice {
    uint64_t number, count;
    dh_buffer hashes;
} hash_slice;

static dh_status collect_hashes(void *context, dh_ids *ids, const dh_row_block *block)
{
    hash_slice *slice = context;
    uint32_t start = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *id = block->id + start;
        const size_t size = block->id_end[i] - start;
        start = block->id_end[i];
        const XXH128_hash_t hash = XXH3_128bits(id, size);
        if (hash.high64 % slice->count != slice->number) {
            continue;
        }
        if (has_suffix_form(id, size)) {
            set_suffixed(ids, local_row(ids, block->first_row + i));
            continue;
        }
        const id_hash entry = {hash.low64, hash.high64, block->first_row + i};
        DH_TRY(dh_buffer_append(&slice->hashes, &entry, sizeof entry));
    }
    return DH_OK;
}

/* Sends records to ranks: owner(record) says where. Records are reordered. */
typedef uint32_t owner_of(const dh_ids *ids, const void *record);

static dh_status send_records(dh_comm *comm, const dh_ids *ids, const void *records, size_t count,
                              size_t size, owner_of *owner, void **received, size_t *received_count)
{
    const size_t ranks = (size_t)dh_comm_size(comm);
    void *sizes = NULL;
    void *ordered = NULL;
    dh_status status = dh_allocate(2 * ranks, sizeof(size_t), "message sizes", &sizes);
    if (status == DH_OK) {
        status = dh_allocate(count, size, "messages", &ordered);
    }
    status = dh_comm_agree(comm, status);
    if (status == DH_OK && sizes != NULL && ordered != NULL) {
        size_t *send_size = sizes;
        size_t *place = send_size + ranks;
        const char *record = records;
        for (size_t i = 0; i < count; i++) {
            send_size[owner(ids, record + i * size)] += size;
        }
        for (size_t r = 1; r < ranks; r++) {
            place[r] = place[r - 1] + send_size[r - 1];
        }
        for (size_t i = 0; i < count; i++) {
            const uint32_t to = owner(ids, record + i * size);
            memcpy((char *)ordered + place[to], record + i * size, size);
            place[to] += size;
        }
        size_t bytes = 0;
        status = dh_comm_exchange(comm, ordered, send_size, received, &bytes);
        *received_count = bytes / size;
    }
    free(sizes);
    free(ordered);
    return status;
}

static uint32_t owner_of_hash(const dh_ids *ids, const void *record)
{
    return (uint32_t)(((const id_hash *)record)->low % ids->share.ranks);
}

static uint32_t owner_of_row(const dh_ids *ids, const void *record)
{
    return dh_share_owner(&ids->share, *(const uint64_t *)record / DH_BLOCK_ROWS);
}

static inline bool is_same(const id_hash *a, const id_hash *b)
{
    return a->low == b->low && a->high == b->high;
}

/* Among the hashes of one owner, the rows that are not the first with their id. */
static dh_status find_repeated(const id_hash *hash, size_t count, dh_buffer *rows)
{
    size_t slots = 2; /* a power of two, at least half of them empty */
    while (slots < 2 * count) {
        slots *= 2;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(slots, sizeof(uint32_t), "the table of ids", &memory));
    uint32_t *first = memory; /* the number + 1 of the first row with an id; 0: an empty slot */
    dh_status status = count < UINT32_MAX ? DH_OK : dh_error(DH_INTERNAL, "%zu ids in one slice", count);
    for (size_t i = 0; i < count && status == DH_OK; i++) {
        /* Other bits than those that choose the slice and the owner. */
        size_t at = (size_t)(hash[i].low >> 24) & (slots - 1);
        while (first[at] != 0 && !is_same(&hash[first[at] - 1], &hash[i])) {
            at = (at + 1) & (slots - 1);
        }
        uint64_t repeated = hash[i].row;
        if (first[at] != 0 && hash[first[at] - 1].row < repeated) {
            status = dh_buffer_append(rows, &repeated, sizeof repeated);
            continue;
        }
        if (first[at] != 0) {
            repeated = hash[first[at] - 1].row;
            status = dh_buffer_append(rows, &repeated, sizeof repeated);
        }
        first[at] = (uint32_t)i + 1;
    }
    free(memory);
    return status;
}

static dh_status resolve_slice(dh_comm *comm, dh_ids *ids, dh_row_reader *reader, uint64_t rows,
                               hash_slice *slice)
{
    slice->hashes.size = 0;
    DH_TRY(dh_comm_agree(comm, for_blocks(ids, reader, rows, collect_hashes, slice)));
    void *hashes = NULL;
    size_t hash_count = 0;
    DH_TRY(send_records(comm, ids, slice->hashes.data, slice->hashes.size / sizeof(id_hash), sizeof(id_hash),
                        owner_of_hash, &hashes, &hash_count));
    dh_buffer repeated = {0};
    dh_status status = dh_comm_agree(comm, find_repeated(hashes, hash_count, &repeated));
    free(hashes);
    void *mine = NULL;
    size_t mine_count = 0;
    if (status == DH_OK) {
        status = send_records(comm, ids, repeated.data, repeated.size / sizeof(uint64_t), sizeof(uint64_t),
                              owner_of_row, &mine, &mine_count);
    }
    for (size_t i = 0; status == DH_OK && i < mine_count; i++) {
        set_suffixed(ids, local_row(ids, ((const uint64_t *)mine)[i]));
    }
    free(mine);
    dh_buffer_free(&repeated);
    return status;
}

static size_t suffix_size(uint64_t row)
{
    size_t size = sizeof SUFFIX; /* and one digit in the place of its NUL */
    for (; row >= 10; row /= 10) {
        size++;
    }
    return size;
}

static dh_status measure(void *context, dh_ids *ids, const dh_row_block *block)
{
    (void)context;
    uint32_t start = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        uint64_t size = block->id_end[i] - start;
        start = block->id_end[i];
        if (is_suffixed(ids, local_row(ids, block->first_row + i))) {
            size += suffix_size(block->first_row + i);
            ids->changed++;
        }
        ids->width = size > ids->width ? size : ids->width;
    }
    return DH_OK;
}

dh_status dh_ids_resolve(dh_comm *comm, dh_row_reader *reader, uint64_t rows, dh_share_kind kind, dh_ids *out)
{
    *out = (dh_ids){.share = {.kind = kind,
                              .blocks = (rows + DH_BLOCK_ROWS - 1) / DH_BLOCK_ROWS,
                              .rank = (uint32_t)dh_comm_rank(comm),
                              .ranks = (uint32_t)dh_comm_size(comm)},
                    .width = 1};
    void *bits = NULL;
    const uint64_t local_rows = dh_share_count(&out->share) * DH_BLOCK_ROWS;
    DH_TRY(dh_comm_agree(comm, dh_allocate(local_rows / 8 + 1, 1, "the marks of repeated ids", &bits)));
    out->suffixed = bits;
    hash_slice slice = {.count = rows / out->share.ranks * sizeof(id_hash) / SLICE_BYTES + 1};
    dh_status status = DH_OK;
    for (slice.number = 0; slice.number < slice.count && status == DH_OK; slice.number++) {
        status = resolve_slice(comm, out, reader, rows, &slice);
    }
    dh_buffer_free(&slice.hashes);
    if (status == DH_OK) {
        status = dh_comm_agree(comm, for_blocks(out, reader, rows, measure, NULL));
    }
    if (status == DH_OK) {
        status = dh_comm_max(comm, &out->width, 1);
    }
    if (status == DH_OK) {
        status = dh_comm_sum(comm, &out->changed, 1);
    }
    return status;
}

void dh_ids_free(dh_ids *ids)
{
    free(ids->suffixed);
    ids->suffixed = NULL;
}

void dh_ids_fill(const dh_ids *ids, const dh_row_block *block, char *out)
{
    memset(out, 0, ids->width * block->count);
    uint32_t start = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        char *place = out + i * ids->width;
        const size_t size = block->id_end[i] - start;
        memcpy(place, block->id + start, size);
        start = block->id_end[i];
        if (is_suffixed(ids, local_row(ids, block->first_row + i))) {
            char suffix[32];
            const int length = snprintf(suffix, sizeof suffix, SUFFIX "%" PRIu64, block->first_row + i);
            memcpy(place + size, suffix, (size_t)length);
        }
    }
}
