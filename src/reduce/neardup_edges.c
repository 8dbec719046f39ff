/* From documents to edges: equal ones, and those that are near. */
#include "reduce/neardup_internal.h"

#include "base/log.h"
#include "kernels/sha256.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Parts of the memory of a rank; all of these are there at the same time. */
enum { PARTS_EQUAL = 1, PARTS_BANDS = 3, PARTS_BUCKETS = 2, PARTS_EDGES = 1, MEMORY_PARTS = 8 };

enum { READ_BYTES = 1 << 20 };

/* ---- what the steps share ---------------------------------------------------------------------------- */

dh_status dh_neardup_shuffle(const dh_neardup_work *work, const char *name, uint32_t parts_of_memory,
                             dh_combine combine, bool split, dh_shuffle **out)
{
    const uint64_t memory = work->reduce->memory / MEMORY_PARTS * parts_of_memory;
    const dh_shuffle_options options = {.name = name,
                                        .folder = work->reduce->scratch,
                                        .epoch = work->reduce->epoch,
                                        .memory =
                                            memory > DH_SHUFFLE_MEMORY_MIN ? memory : DH_SHUFFLE_MEMORY_MIN,
                                        .combine = combine,
                                        .split = split ? work->split : NULL,
                                        .poll = dh_progress_poll,
                                        .poll_context = work->reduce->progress};
    return dh_shuffle_create(work->reduce->comm, &options, out);
}

dh_stage_place dh_neardup_place(const dh_neardup_work *work, const char *stage)
{
    dh_stage_place place = {.folder = work->reduce->folder,
                            .name = stage,
                            .comm = work->reduce->comm,
                            .epoch = work->reduce->epoch,
                            .may_write = dh_watch_may_write,
                            .write_context = work->reduce->watch};
    memcpy(place.run, work->reduce->run, sizeof place.run);
    return place;
}

dh_status dh_neardup_failing(const dh_neardup_work *work, dh_status status)
{
    if (status != DH_OK && status != DH_AGAIN && status != DH_LOCKED) {
        dh_watch_fail(work->reduce->watch);
    }
    return status;
}

dh_status dh_neardup_add_edge(const dh_neardup_work *work, dh_edge_kind kind, uint64_t from, uint64_t to)
{
    const uint8_t name = (uint8_t)kind;
    uint8_t value[DH_NUMBER_SIZE];
    dh_pair_put_number(value, to);
    const dh_pair pair = {
        .key = from, .name = &name, .name_size = sizeof name, .value = value, .value_size = sizeof value};
    return dh_shuffle_add(work->edges, &pair);
}

dh_status dh_neardup_next_edge(const dh_neardup_work *work, dh_stage_reader *reader, dh_edge *out)
{
    dh_pair pair;
    DH_TRY(dh_stage_next(reader, false, &pair));
    if (pair.key >= work->end_row) {
        return DH_END;
    }
    const uint64_t rows = work->reduce->table->rows;
    const bool whole = pair.name_size == 1 && pair.value_size == DH_NUMBER_SIZE;
    const uint8_t kind = whole ? pair.name[0] : UINT8_MAX;
    const uint64_t to = whole ? dh_pair_number(pair.value) : 0;
    const uint64_t limit = kind != DH_EDGE_AGAINST ? rows
                           : work->earlier != NULL ? dh_earlier_rows(work->earlier)
                                                   : 0;
    if (kind > DH_EDGE_AGAINST || to >= limit || pair.key < work->first_row) {
        return dh_error(DH_IO, "%s: stage " DH_STAGE_EDGES " has something that is no edge, at row %" PRIu64,
                        work->reduce->folder, pair.key);
    }
    *out = (dh_edge){.from = pair.key, .to = to, .kind = (dh_edge_kind)kind};
    return DH_OK;
}

/* ---- reading columns --------------------------------------------------------------------------------- */

/* The rows of this rank, a piece at a time; two columns of the schema, and the numbers of tokens. */
typedef struct row_piece {
    uint64_t first;
    uint32_t count, rows_max;
    void *wide;       /* signatures or digests */
    uint32_t *narrow; /* tokens or shingles */
} row_piece;

static dh_status piece_create(size_t row_size, row_piece *out)
{
    void *wide = NULL;
    void *narrow = NULL;
    const size_t rows = READ_BYTES / row_size;
    *out = (row_piece){.rows_max = rows < DH_BLOCK_ROWS ? (uint32_t)rows : DH_BLOCK_ROWS};
    dh_status status = dh_allocate(out->rows_max, row_size, "a piece of a column", &wide);
    if (status == DH_OK) {
        status = dh_allocate(out->rows_max, sizeof *out->narrow, "a piece of a column", &narrow);
    }
    out->wide = wide;
    out->narrow = narrow;
    return status;
}

static void piece_free(row_piece *piece)
{
    free(piece->wide);
    free(piece->narrow);
}

/* Which rows come next; false: none. */
static bool piece_move(row_piece *piece, uint64_t from, uint64_t end)
{
    if (from >= end) {
        return false;
    }
    piece->first = from;
    piece->count = end - from < piece->rows_max ? (uint32_t)(end - from) : piece->rows_max;
    return true;
}

/* Of this rank. */
static uint64_t rows_of(const dh_neardup_work *work)
{
    return work->end_row > work->first_row ? work->end_row - work->first_row : 0;
}

static dh_status piece_read(const dh_neardup_work *work, row_piece *piece, uint32_t wide, uint32_t narrow)
{
    const dh_reduce *reduce = work->reduce;
    dh_progress_tell(reduce->progress, piece->first - work->first_row);
    DH_TRY(dh_progress_poll(reduce->progress));
    DH_TRY(dh_row_reader_column(reduce->reader, narrow, piece->first, piece->count, piece->narrow));
    return dh_row_reader_column(reduce->reader, wide, piece->first, piece->count, piece->wide);
}

/* The rows of the earlier result that this rank reads. */
static void earlier_share(const dh_neardup_work *work, uint64_t *first, uint64_t *end)
{
    const uint64_t rows = dh_earlier_rows(work->earlier);
    const dh_share share = {.blocks = (rows + DH_BLOCK_ROWS - 1) / DH_BLOCK_ROWS,
                            .rank = (uint32_t)dh_comm_rank(work->reduce->comm),
                            .ranks = (uint32_t)dh_comm_size(work->reduce->comm)};
    *first = dh_share_first(&share, share.rank) * DH_BLOCK_ROWS;
    *end = dh_share_first(&share, share.rank + 1) * DH_BLOCK_ROWS;
    *first = *first < rows ? *first : rows;
    *end = *end < rows ? *end : rows;
}

static dh_status add_member(dh_shuffle *shuffle, uint64_t key, const void *name, uint32_t name_size,
                            uint64_t member)
{
    uint8_t value[DH_NUMBER_SIZE];
    dh_pair_put_number(value, member);
    const dh_pair pair = {
        .key = key, .name = name, .name_size = name_size, .value = value, .value_size = sizeof value};
    return dh_shuffle_add(shuffle, &pair);
}

/* ---- equal documents --------------------------------------------------------------------------------- */

enum { NO_DIGIT = 16 };

static uint8_t digit_of(char hex)
{
    if (hex >= '0' && hex <= '9') {
        return (uint8_t)(hex - '0');
    }
    const uint8_t ten = 10;
    return hex >= 'a' && hex <= 'f' ? (uint8_t)(hex - 'a' + ten) : NO_DIGIT;
}

/* False: these are no hexadecimal digits as dhatu writes them. */
static bool read_digest(const char hex[DH_SHA256_HEX], uint8_t out[DH_SHA256_SIZE])
{
    for (int i = 0; i < DH_SHA256_SIZE; i++) {
        const uint8_t high = digit_of(hex[2 * i]);
        const uint8_t low = digit_of(hex[2 * i + 1]);
        if (high == NO_DIGIT || low == NO_DIGIT) {
            return false;
        }
        out[i] = (uint8_t)(high * NO_DIGIT + low);
    }
    return true;
}

static dh_status add_digest(dh_shuffle *shuffle, const uint8_t digest[DH_SHA256_SIZE], uint64_t member)
{
    return add_member(shuffle, dh_pair_number(digest), digest, DH_SHA256_SIZE, member);
}

static dh_status add_equal(const dh_neardup_work *work, row_piece *piece, uint32_t wide, dh_shuffle *shuffle)
{
    const size_t size = work->reduce->settings->schema.row_size[wide];
    for (uint64_t row = work->first_row; piece_move(piece, row, work->end_row); row += piece->count) {
        DH_TRY(piece_read(work, piece, wide, DH_ENGINE_TOKENS));
        for (uint32_t i = 0; i < piece->count; i++) {
            const uint8_t *stored = (const uint8_t *)piece->wide + i * size;
            uint8_t digest[DH_SHA256_SIZE];
            if (piece->narrow[i] == 0) {
                continue;
            }
            if (size == DH_SHA256_SIZE) {
                memcpy(digest, stored, sizeof digest);
            } else if (!read_digest((const char *)stored, digest)) {
                return dh_error(DH_IO, "%s: the SHA-256 of row %" PRIu64 " is none", work->reduce->folder,
                                row + i);
            }
            DH_TRY(add_digest(shuffle, digest, DH_MEMBER_NEW | (row + i)));
        }
    }
    return DH_OK;
}

static dh_status add_equal_earlier(const dh_neardup_work *work, row_piece *piece, dh_shuffle *shuffle)
{
    uint64_t first = 0;
    uint64_t end = 0;
    earlier_share(work, &first, &end);
    for (uint64_t row = first; piece_move(piece, row, end); row += piece->count) {
        DH_TRY(dh_progress_poll(work->reduce->progress));
        DH_TRY(dh_earlier_sha256(work->earlier, row, piece->count, piece->wide));
        for (uint32_t i = 0; i < piece->count; i++) {
            const char *stored = (const char *)piece->wide + (size_t)i * DH_SHA256_HEX;
            uint8_t digest[DH_SHA256_SIZE];
            if (!read_digest(stored, digest)) {
                return dh_error(DH_MISMATCH, "%s: the SHA-256 of row %" PRIu64 " is none",
                                work->reduce->against, row + i);
            }
            DH_TRY(add_digest(shuffle, digest, row + i));
        }
    }
    return DH_OK;
}

/* Documents with the same digest of spelling are equal to the first; of those with the same text the earlier
 * result's first one is told. */
static dh_status drain_equal(const dh_neardup_work *work, dh_shuffle *shuffle, bool against)
{
    uint64_t key = 0;
    uint8_t name[DH_SHA256_SIZE];
    uint64_t first = 0; /* member of the group */
    uint64_t members = 0;
    dh_pair pair;
    dh_status status;
    while ((status = dh_shuffle_next(shuffle, &pair)) == DH_OK) {
        const uint64_t member = dh_pair_number(pair.value);
        if (members == 0 || pair.key != key || memcmp(pair.name, name, sizeof name) != 0) {
            key = pair.key;
            memcpy(name, pair.name, sizeof name);
            first = member;
            members = 1;
            continue;
        }
        members++;
        const uint64_t row = member & ~DH_MEMBER_NEW;
        if (!against) {
            const uint64_t first_row = first & ~DH_MEMBER_NEW;
            if (members == 2) {
                DH_TRY(dh_neardup_add_edge(work, DH_EDGE_EXACT, first_row, first_row));
            }
            DH_TRY(dh_neardup_add_edge(work, DH_EDGE_EXACT, row, first_row));
        } else if (first < DH_MEMBER_NEW && member >= DH_MEMBER_NEW) {
            DH_TRY(dh_neardup_add_edge(work, DH_EDGE_AGAINST, row, first));
        }
    }
    return status == DH_END ? DH_OK : status;
}

static dh_status group_equal(const dh_neardup_work *work, bool against, dh_shuffle **out)
{
    const uint32_t column = against ? work->sha256 : work->spelling;
    row_piece piece = {0};
    dh_progress_step(work->reduce->progress, against ? DH_STEP_EQUAL_EARLIER : DH_STEP_EQUAL, rows_of(work));
    DH_TRY(dh_neardup_shuffle(work, against ? "equalearlier" : "equal", PARTS_EQUAL, DH_COMBINE_NONE, false,
                              out));
    dh_status status = piece_create(work->reduce->settings->schema.row_size[column], &piece);
    if (status == DH_OK) {
        status = add_equal(work, &piece, column, *out);
    }
    if (status == DH_OK && against) {
        status = add_equal_earlier(work, &piece, *out);
    }
    piece_free(&piece);
    return dh_shuffle_finish(*out, dh_neardup_failing(work, status));
}

/* ---- bands ------------------------------------------------------------------------------------------- */

static dh_status add_signatures(const dh_neardup_work *work, const row_piece *piece, uint64_t mark,
                                dh_shuffle *shuffle)
{
    const dh_match *match = &work->match;
    for (uint32_t i = 0; i < piece->count; i++) {
        const uint32_t *signature = (const uint32_t *)piece->wide + (size_t)i * dh_match_places(match);
        if (piece->narrow[i] < work->options->min_shingles || piece->narrow[i] == 0) {
            continue;
        }
        for (uint32_t band = 0; band < match->bands; band++) {
            DH_TRY(add_member(shuffle, dh_match_band_key(match, signature, band), NULL, 0,
                              mark | (piece->first + i)));
        }
    }
    return DH_OK;
}

static dh_status add_bands(const dh_neardup_work *work, row_piece *piece, dh_shuffle *shuffle)
{
    for (uint64_t row = work->first_row; piece_move(piece, row, work->end_row); row += piece->count) {
        DH_TRY(piece_read(work, piece, work->signature, work->shingles));
        DH_TRY(add_signatures(work, piece, DH_MEMBER_NEW, shuffle));
    }
    if (work->earlier == NULL) {
        return DH_OK;
    }
    uint64_t first = 0;
    uint64_t end = 0;
    earlier_share(work, &first, &end);
    for (uint64_t row = first; piece_move(piece, row, end); row += piece->count) {
        DH_TRY(dh_progress_poll(work->reduce->progress));
        DH_TRY(dh_earlier_shingles(work->earlier, row, piece->count, piece->narrow));
        DH_TRY(dh_earlier_signatures(work->earlier, row, piece->count, piece->wide));
        DH_TRY(add_signatures(work, piece, 0, shuffle));
    }
    return DH_OK;
}

static dh_status drain_bands(dh_neardup_work *work, dh_shuffle *shuffle)
{
    dh_buckets *buckets = NULL;
    DH_TRY(dh_buckets_create(work, work->reduce->memory / MEMORY_PARTS * PARTS_BUCKETS, &buckets));
    dh_pair pair;
    dh_status status;
    for (uint64_t taken = 0; (status = dh_shuffle_next(shuffle, &pair)) == DH_OK; taken++) {
        if (taken % DH_BLOCK_ROWS == 0) {
            dh_progress_tell(work->reduce->progress, taken);
        }
        status = dh_buckets_add(buckets, pair.key, dh_pair_number(pair.value));
        if (status != DH_OK) {
            break;
        }
    }
    if (status == DH_END) {
        status = dh_buckets_end(buckets);
    }
    dh_buckets_free(buckets);
    return status;
}

static dh_status group_bands(const dh_neardup_work *work, dh_shuffle **out)
{
    row_piece piece = {0};
    dh_progress_step(work->reduce->progress, DH_STEP_BANDS, rows_of(work));
    DH_TRY(dh_neardup_shuffle(work, "bands", PARTS_BANDS, DH_COMBINE_NONE, false, out));
    dh_status status = piece_create(dh_match_places(&work->match) * sizeof(uint32_t), &piece);
    if (status == DH_OK) {
        status = add_bands(work, &piece, *out);
    }
    piece_free(&piece);
    return dh_shuffle_finish(*out, dh_neardup_failing(work, status));
}

/* ---- the stage --------------------------------------------------------------------------------------- */

static dh_status write_edges(const dh_neardup_work *work, dh_stage_writer *writer, uint64_t *pairs)
{
    dh_pair pair;
    dh_status status;
    while ((status = dh_shuffle_next(work->edges, &pair)) == DH_OK) {
        *pairs += pair.name[0] == DH_EDGE_SIMILAR;
        DH_TRY(dh_stage_add(writer, &pair));
    }
    return status == DH_END ? DH_OK : status;
}

static dh_status store_edges(const dh_neardup_work *work, dh_stage *out)
{
    const dh_stage_place place = dh_neardup_place(work, DH_STAGE_EDGES);
    dh_stage_writer *writer = NULL;
    uint64_t figure[8] = {work->candidates, 0};
    DH_TRY(dh_stage_create(&place, &writer));
    dh_status status = dh_neardup_failing(work, write_edges(work, writer, &figure[1]));
    /* Commit takes rank 0's figures; a failed call of MPI ends the job. */
    const dh_status summed = dh_comm_sum(work->reduce->comm, figure, 2);
    return dh_stage_commit(writer, status == DH_OK ? summed : status, figure, out);
}

/* Documents that are brought together: by all of their tokens, by their text, by a band. */
typedef struct group_set {
    dh_shuffle *equal, *equal_earlier, *bands;
} group_set;

static dh_status group(const dh_neardup_work *work, group_set *out)
{
    DH_TRY(group_equal(work, false, &out->equal));
    if (work->earlier != NULL) {
        DH_TRY(group_equal(work, true, &out->equal_earlier));
    }
    return group_bands(work, &out->bands);
}

/* While a shuffle is filled, ranks may do nothing else together: so all groups are made before. */
static dh_status drain(dh_neardup_work *work, const group_set *groups)
{
    dh_progress_step(work->reduce->progress, DH_STEP_COMPARE,
                     dh_shuffle_statistics(groups->bands).pairs_received);
    DH_TRY(drain_equal(work, groups->equal, false));
    if (work->earlier != NULL) {
        DH_TRY(drain_equal(work, groups->equal_earlier, true));
    }
    return drain_bands(work, groups->bands);
}

dh_status dh_neardup_edges(dh_neardup_work *work, dh_stage *out)
{
    group_set groups = {0};
    dh_status status = group(work, &groups);
    if (status == DH_OK) {
        status = dh_neardup_shuffle(work, "edges", PARTS_EDGES, DH_COMBINE_EQUAL, true, &work->edges);
    }
    if (status == DH_OK) {
        status = dh_shuffle_finish(work->edges, dh_neardup_failing(work, drain(work, &groups)));
    }
    dh_shuffle_free(groups.equal);
    dh_shuffle_free(groups.equal_earlier);
    dh_shuffle_free(groups.bands);
    if (status == DH_OK) {
        status = store_edges(work, out);
    }
    dh_shuffle_free(work->edges);
    work->edges = NULL;
    return status;
}
