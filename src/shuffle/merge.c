#include "shuffle/merge.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    READ_MAX = 1 << 20, /* a larger buffer makes reading no faster */
    PENDING_MIN = 1 << 10
};

typedef struct input {
    dh_block_reader blocks; /* of a run */
    dh_buffer path;
    dh_pair pair;  /* the next one */
    bool is_ended; /* there is none */
} input;

/* A tournament: the inputs are leaves, each node keeps who lost there. */
struct dh_merge {
    dh_memory_count *count;
    dh_combine combine;
    dh_pair_source *source; /* the last input */
    void *source_context;
    input *input;
    uint32_t *loser; /* input_count nodes; [0] is who won */
    uint32_t input_count;
    bool is_begun;
    uint8_t *pending; /* combined: a copy of the pair that is put together */
    size_t pending_capacity;
};

/* ---- inputs ------------------------------------------------------------------------------------------ */

static dh_status read_input(dh_merge *merge, uint32_t number)
{
    input *from = &merge->input[number];
    const bool is_source = merge->source != NULL && number + 1 == merge->input_count;
    const dh_status status = is_source ? merge->source(merge->source_context, &from->pair)
                                       : dh_block_reader_next(&from->blocks, &from->pair);
    from->is_ended = status == DH_END;
    return status == DH_END ? DH_OK : status;
}

static dh_status open_run(const dh_runs *runs, const dh_run *run, size_t capacity, input *out)
{
    DH_TRY(dh_runs_path(runs, run->number, &out->path));
    out->blocks = (dh_block_reader){.path = (const char *)out->path.data,
                                    .count = runs->count,
                                    .poll = runs->poll,
                                    .poll_context = runs->poll_context};
    DH_TRY(dh_block_reader_open(&out->blocks, capacity));
    dh_block_reader_seek(&out->blocks, 0, run->bytes);
    return DH_OK;
}

static size_t capacity_of(const dh_run *run)
{
    return run->block_max > DH_BLOCK_BYTES ? (size_t)run->block_max : DH_BLOCK_BYTES;
}

uint64_t dh_merge_memory(const dh_runs *runs, size_t run_count)
{
    uint64_t sum = 0;
    for (size_t r = 0; r < run_count; r++) {
        sum += capacity_of(&runs->run[r]);
    }
    return sum;
}

static dh_status open_runs(dh_merge *merge, const dh_runs *runs, size_t run_count, uint64_t memory)
{
    const uint64_t least = dh_merge_memory(runs, run_count);
    const uint64_t more = memory > least && run_count > 0 ? (memory - least) / run_count : 0;
    for (size_t r = 0; r < run_count; r++) {
        size_t capacity = capacity_of(&runs->run[r]);
        if (capacity < READ_MAX) {
            capacity = capacity + more < READ_MAX ? capacity + (size_t)more : READ_MAX;
        }
        if (runs->poll != NULL) { /* an attempt that took over may have removed it */
            DH_TRY(runs->poll(runs->poll_context));
        }
        DH_TRY(open_run(runs, &runs->run[r], capacity, &merge->input[r]));
    }
    return DH_OK;
}

void dh_merge_close(dh_merge *merge)
{
    if (merge == NULL) {
        return;
    }
    for (uint32_t i = 0; merge->input != NULL && i < merge->input_count; i++) {
        dh_block_reader_close(&merge->input[i].blocks);
        dh_buffer_free(&merge->input[i].path);
    }
    dh_count_free(merge->count, merge->input, merge->input_count * sizeof *merge->input);
    dh_count_free(merge->count, merge->loser, merge->input_count * sizeof *merge->loser);
    dh_count_free(merge->count, merge->pending, merge->pending_capacity);
    free(merge);
}

static dh_status set_up(dh_merge *merge, const dh_runs *runs, size_t run_count, uint64_t memory)
{
    void *block = NULL;
    DH_TRY(dh_count_allocate(runs->count, merge->input_count * sizeof *merge->input, "runs to be merged",
                             &block));
    merge->input = block;
    DH_TRY(dh_count_allocate(runs->count, merge->input_count * sizeof *merge->loser, "runs to be merged",
                             &block));
    merge->loser = block;
    return open_runs(merge, runs, run_count, memory);
}

dh_status dh_merge_open(const dh_runs *runs, size_t run_count, uint64_t memory, dh_combine combine,
                        dh_pair_source *source, void *source_context, dh_merge **out)
{
    void *block = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_merge), "a merge", &block));
    dh_merge *merge = block;
    *merge = (dh_merge){.count = runs->count,
                        .combine = combine,
                        .source = source,
                        .source_context = source_context,
                        .input_count = (uint32_t)run_count + (source != NULL ? 1 : 0)};
    const dh_status status = set_up(merge, runs, run_count, memory);
    if (status != DH_OK) {
        dh_merge_close(merge);
        return status;
    }
    *out = merge;
    return DH_OK;
}

/* ---- the tournament ---------------------------------------------------------------------------------- */

/* Does the pair of a come in front of that of b? Equal pairs are the same bytes, so any order is right. */
static bool is_before(const dh_merge *merge, uint32_t a, uint32_t b)
{
    const input *left = &merge->input[a];
    const input *right = &merge->input[b];
    if (left->is_ended || right->is_ended) {
        return right->is_ended;
    }
    if (left->pair.key != right->pair.key) {
        return left->pair.key < right->pair.key;
    }
    return dh_pair_compare(&left->pair, &right->pair, merge->combine != DH_COMBINE_SUM) < 0;
}

/* Plays from the leaf of `number` up to the root. */
static void play(dh_merge *merge, uint32_t number)
{
    uint32_t winner = number;
    for (uint32_t node = (number + merge->input_count) / 2; node > 0; node /= 2) {
        if (!is_before(merge, winner, merge->loser[node])) {
            const uint32_t loser = winner;
            winner = merge->loser[node];
            merge->loser[node] = loser;
        }
    }
    merge->loser[0] = winner;
}

/* Who wins below a node. Leaves are the nodes from input_count on. */
static uint32_t first_winner(dh_merge *merge, uint32_t node)
{
    if (node >= merge->input_count) {
        return node - merge->input_count;
    }
    const uint32_t left = first_winner(merge, 2 * node);
    const uint32_t right = first_winner(merge, 2 * node + 1);
    const bool left_wins = is_before(merge, left, right);
    merge->loser[node] = left_wins ? right : left;
    return left_wins ? left : right;
}

static dh_status begin(dh_merge *merge)
{
    for (uint32_t i = 0; i < merge->input_count; i++) {
        DH_TRY(read_input(merge, i));
    }
    if (merge->input_count > 0) {
        merge->loser[0] = merge->input_count > 1 ? first_winner(merge, 1) : 0;
    }
    merge->is_begun = true;
    return DH_OK;
}

static dh_status advance(dh_merge *merge)
{
    const uint32_t winner = merge->loser[0];
    DH_TRY(read_input(merge, winner));
    play(merge, winner);
    return DH_OK;
}

/* ---- pairs ------------------------------------------------------------------------------------------- */

static dh_status copy_pending(dh_merge *merge, const dh_pair *pair, dh_pair *out)
{
    const size_t size = (size_t)pair->name_size + pair->value_size;
    if (merge->pending == NULL || size > merge->pending_capacity) {
        const size_t capacity = size < PENDING_MIN ? PENDING_MIN : size;
        void *memory = NULL;
        dh_count_free(merge->count, merge->pending, merge->pending_capacity);
        merge->pending = NULL;
        merge->pending_capacity = 0;
        DH_TRY(dh_count_allocate(merge->count, capacity, "a pair", &memory));
        merge->pending = memory;
        merge->pending_capacity = capacity;
    }
    *out = *pair;
    out->name = merge->pending;
    out->value = merge->pending + pair->name_size;
    if (pair->name_size > 0) {
        memcpy(merge->pending, pair->name, pair->name_size);
    }
    if (pair->value_size > 0) {
        memcpy(merge->pending + pair->name_size, pair->value, pair->value_size);
    }
    return DH_OK;
}

/* Takes all pairs that become one with the first. */
static dh_status next_combined(dh_merge *merge, dh_pair *out)
{
    const bool adds = merge->combine == DH_COMBINE_SUM;
    const input *first = &merge->input[merge->loser[0]];
    if (first->is_ended) {
        return DH_END;
    }
    dh_pair pair;
    DH_TRY(copy_pending(merge, &first->pair, &pair));
    DH_TRY(advance(merge));
    for (const input *next = &merge->input[merge->loser[0]];
         !next->is_ended && next->pair.key == pair.key && dh_pair_compare(&next->pair, &pair, !adds) == 0;
         next = &merge->input[merge->loser[0]]) {
        if (adds) {
            if (next->pair.value_size != pair.value_size) {
                return dh_error(DH_INTERNAL, "values of %u and %u bytes are to be added", pair.value_size,
                                next->pair.value_size);
            }
            dh_pair_add_value(merge->pending + pair.name_size, next->pair.value, pair.value_size);
        }
        DH_TRY(advance(merge));
    }
    *out = pair;
    return DH_OK;
}

dh_status dh_merge_next(dh_merge *merge, dh_pair *out)
{
    const bool was_begun = merge->is_begun;
    if (!was_begun) {
        DH_TRY(begin(merge));
    }
    if (merge->input_count == 0) {
        return DH_END;
    }
    if (merge->combine != DH_COMBINE_NONE) {
        return next_combined(merge, out);
    }
    /* The pair that was given last is left only now: its bytes had to stay. */
    if (was_begun && !merge->input[merge->loser[0]].is_ended) {
        DH_TRY(advance(merge));
    }
    const input *winner = &merge->input[merge->loser[0]];
    if (winner->is_ended) {
        return DH_END;
    }
    *out = winner->pair;
    return DH_OK;
}

/* ---- passes ------------------------------------------------------------------------------------------ */

static int compare_runs(const void *a, const void *b)
{
    const dh_run *left = a;
    const dh_run *right = b;
    if (left->block_max != right->block_max) {
        return left->block_max < right->block_max ? -1 : 1;
    }
    if (left->bytes != right->bytes) {
        return left->bytes < right->bytes ? -1 : 1;
    }
    return (left->number > right->number) - (left->number < right->number);
}

static dh_status copy_pairs(dh_merge *merge, dh_block_writer *to)
{
    dh_pair pair;
    dh_status status = DH_OK;
    while ((status = dh_merge_next(merge, &pair)) == DH_OK) {
        DH_TRY(dh_block_writer_add(to, &pair));
    }
    return status == DH_END ? DH_OK : status;
}

static dh_status merge_first(dh_runs *runs, size_t run_count, uint64_t memory, dh_combine combine)
{
    dh_merge *merge = NULL;
    DH_TRY(dh_merge_open(runs, run_count, memory, combine, NULL, NULL, &merge));
    dh_run_writer writer;
    dh_status status = dh_runs_begin(runs, &writer);
    if (status == DH_OK) {
        status = copy_pairs(merge, &writer.blocks);
        if (status == DH_OK) {
            status = dh_runs_end(runs, &writer);
        } else {
            dh_runs_abandon(&writer);
        }
    }
    dh_merge_close(merge);
    DH_TRY(status);
    return dh_runs_remove(runs, run_count);
}

/* How many runs a pass takes: as many as have room, but no more than are needed so that the rest fits then.
 */
static size_t pass_size(const dh_runs *runs, uint64_t memory)
{
    size_t room = 0;
    uint64_t used = 0;
    while (room < runs->run_count && room < DH_MERGE_RUNS_MAX &&
           used + capacity_of(&runs->run[room]) <= memory) {
        used += capacity_of(&runs->run[room++]);
    }
    const size_t needed = runs->run_count - room + 1;
    const size_t size = needed < room ? needed : room;
    return size > 2 ? size : 2;
}

dh_status dh_merge_down(dh_runs *runs, uint64_t memory, dh_combine combine)
{
    /* The writer of a pass has a block, too. */
    const uint64_t room = memory > DH_BLOCK_BYTES ? memory - DH_BLOCK_BYTES : 0;
    while (runs->run_count > 2 &&
           (runs->run_count > DH_MERGE_RUNS_MAX || dh_merge_memory(runs, runs->run_count) > memory)) {
        qsort(runs->run, runs->run_count, sizeof *runs->run, compare_runs);
        DH_TRY(merge_first(runs, pass_size(runs, room), room, combine));
    }
    return DH_OK;
}
