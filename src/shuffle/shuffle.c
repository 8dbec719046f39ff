/* Pairs for other ranks wait in a buffer a rank. When one is full, all ranks take part in a round: notes that
 * say what each has for each, then the pairs. A pair that is larger than a buffer goes by itself behind a
 * round, one in a round: that of the first rank that has one. */
#include "shuffle/shuffle.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "shuffle/sorter.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_SHARE = 8 }; /* one part in so many of the memory is for sending, another for receiving */

/* What a rank tells each other one in a round. */
typedef struct round_note {
    uint64_t bytes; /* of the pairs that are for that rank */
    uint64_t large; /* bytes of a pair that goes by itself; 0: none */
    uint32_t large_to;
    uint32_t status;
    uint32_t is_done; /* nothing comes behind this round */
    uint32_t unused;
} round_note;

struct dh_shuffle {
    dh_shuffle_options options;
    dh_comm *comm;
    size_t rank, ranks;
    dh_memory_count count;
    dh_sorter *sorter;
    size_t stride;              /* bytes of the buffer of a rank */
    uint8_t *sent, *received;   /* buffers, one after the other */
    uint64_t *filled, *arrived; /* bytes in each */
    round_note *note, *answer;  /* to and from each rank */
    dh_status failure;          /* of this rank; the others know with the next round */
    dh_status ended;            /* what all ranks end with */
    bool all_done;
    dh_shuffle_figures figures;
};

/* ---- making ------------------------------------------------------------------------------------------ */

/* Of buffers and notes. */
static uint64_t exchange_memory(const dh_shuffle *shuffle)
{
    return 2 * shuffle->ranks * (shuffle->stride + sizeof(uint64_t) + sizeof(round_note));
}

static dh_status make_array(dh_shuffle *shuffle, size_t size, void *out)
{
    void *memory = NULL;
    DH_TRY(dh_count_allocate(&shuffle->count, shuffle->ranks * size, "buffers of the shuffle", &memory));
    memcpy(out, &memory, sizeof memory);
    return DH_OK;
}

static dh_status make_buffers(dh_shuffle *shuffle)
{
    DH_TRY(make_array(shuffle, shuffle->stride, &shuffle->sent));
    DH_TRY(make_array(shuffle, shuffle->stride, &shuffle->received));
    DH_TRY(make_array(shuffle, sizeof *shuffle->filled, &shuffle->filled));
    DH_TRY(make_array(shuffle, sizeof *shuffle->arrived, &shuffle->arrived));
    DH_TRY(make_array(shuffle, sizeof *shuffle->note, &shuffle->note));
    return make_array(shuffle, sizeof *shuffle->answer, &shuffle->answer);
}

static void free_buffers(dh_shuffle *shuffle)
{
    const size_t ranks = shuffle->ranks;
    dh_count_free(&shuffle->count, shuffle->sent, ranks * shuffle->stride);
    dh_count_free(&shuffle->count, shuffle->received, ranks * shuffle->stride);
    dh_count_free(&shuffle->count, shuffle->filled, ranks * sizeof *shuffle->filled);
    dh_count_free(&shuffle->count, shuffle->arrived, ranks * sizeof *shuffle->arrived);
    dh_count_free(&shuffle->count, shuffle->note, ranks * sizeof *shuffle->note);
    dh_count_free(&shuffle->count, shuffle->answer, ranks * sizeof *shuffle->answer);
    shuffle->sent = shuffle->received = NULL;
    shuffle->filled = shuffle->arrived = NULL;
    shuffle->note = shuffle->answer = NULL;
}

/* Buffers of the exchange are of one size on all ranks: that for which all have memory. */
static dh_status set_up(dh_shuffle *shuffle, uint64_t least_memory)
{
    const dh_shuffle_options *options = &shuffle->options;
    uint64_t memory = options->memory;
    if (memory < DH_SHUFFLE_MEMORY_MIN) {
        return dh_error(DH_INTERNAL, "%s: a shuffle with %" PRIu64 " bytes of memory", options->name, memory);
    }
    if (shuffle->ranks > 1) {
        shuffle->stride = (size_t)(least_memory / BUFFER_SHARE / shuffle->ranks);
        DH_TRY(make_buffers(shuffle));
        const uint64_t taken = exchange_memory(shuffle);
        memory = taken < memory / 2 ? memory - taken : memory / 2; /* notes of very many ranks */
    }
    const dh_sorter_options sorter = {.name = options->name,
                                      .folder = options->folder,
                                      .epoch = options->epoch,
                                      .rank = (uint32_t)shuffle->rank,
                                      .memory = memory,
                                      .combine = options->combine,
                                      .poll = options->poll,
                                      .poll_context = options->poll_context,
                                      .count = &shuffle->count};
    return dh_sorter_create(&sorter, &shuffle->sorter);
}

dh_status dh_shuffle_create(dh_comm *comm, const dh_shuffle_options *options, dh_shuffle **out)
{
    void *memory = NULL;
    uint64_t least = ~options->memory; /* the greatest complement is that of the least */
    DH_TRY(dh_comm_max(comm, &least, 1));
    dh_status status = dh_allocate(1, sizeof(dh_shuffle), "the shuffle", &memory);
    dh_shuffle *shuffle = memory;
    if (status == DH_OK) {
        shuffle->options = *options;
        shuffle->comm = comm;
        shuffle->rank = (size_t)dh_comm_rank(comm);
        shuffle->ranks = (size_t)dh_comm_size(comm);
        status = set_up(shuffle, ~least);
    }
    status = dh_comm_agree(comm, status);
    if (status != DH_OK) {
        dh_shuffle_free(shuffle);
        return status;
    }
    *out = shuffle;
    return DH_OK;
}

void dh_shuffle_free(dh_shuffle *shuffle)
{
    if (shuffle == NULL) {
        return;
    }
    dh_sorter_free(shuffle->sorter);
    free_buffers(shuffle);
    free(shuffle);
}

/* ---- rounds ------------------------------------------------------------------------------------------ */

/* A pair that goes by itself. */
typedef struct large_pair {
    const uint8_t *bytes; /* encoded; NULL: there is none */
    size_t size, to;
    bool was_sent;
} large_pair;

static dh_status note_failure(dh_shuffle *shuffle, dh_status status)
{
    if (shuffle->failure == DH_OK) {
        shuffle->failure = status;
    }
    return status;
}

static dh_status add_received(dh_shuffle *shuffle, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        dh_pair pair;
        if (!dh_pair_decode(&at, end, &pair)) {
            return dh_error(DH_INTERNAL, "%s: a message of the shuffle holds no pairs",
                            shuffle->options.name);
        }
        shuffle->figures.pairs_received++;
        DH_TRY(dh_sorter_add(shuffle->sorter, &pair));
    }
    return DH_OK;
}

static void write_notes(dh_shuffle *shuffle, const large_pair *large, bool is_done)
{
    for (size_t r = 0; r < shuffle->ranks; r++) {
        shuffle->note[r] = (round_note){.bytes = shuffle->filled[r],
                                        .large = large->size,
                                        .large_to = (uint32_t)large->to,
                                        .status = (uint32_t)shuffle->failure,
                                        .is_done = is_done};
    }
}

/* The gravest status; are all done; who sends a large pair (ranks: nobody). */
static dh_status read_answers(const dh_shuffle *shuffle, bool *all_done, size_t *large_from)
{
    dh_status status = DH_OK;
    *all_done = true;
    *large_from = shuffle->ranks;
    for (size_t r = 0; r < shuffle->ranks; r++) {
        const round_note *answer = &shuffle->answer[r];
        status = (dh_status)answer->status > status ? (dh_status)answer->status : status;
        *all_done = *all_done && answer->is_done != 0;
        if (answer->large > 0 && *large_from == shuffle->ranks) {
            *large_from = r;
        }
    }
    return status;
}

static dh_status exchange_pairs(dh_shuffle *shuffle)
{
    for (size_t r = 0; r < shuffle->ranks; r++) {
        shuffle->arrived[r] = shuffle->answer[r].bytes;
        shuffle->figures.bytes_sent += shuffle->filled[r];
    }
    DH_TRY(dh_comm_exchange_parts(shuffle->comm, shuffle->sent, shuffle->filled, shuffle->received,
                                  shuffle->arrived, shuffle->stride));
    memset(shuffle->filled, 0, shuffle->ranks * sizeof *shuffle->filled);
    for (size_t r = 0; r < shuffle->ranks && shuffle->failure == DH_OK; r++) {
        const uint8_t *begin = shuffle->received + r * shuffle->stride;
        (void)note_failure(shuffle, add_received(shuffle, begin, begin + shuffle->arrived[r]));
    }
    return DH_OK;
}

/* In pieces of all buffers together, so that a rank without memory for it can still take part. */
static dh_status send_large(dh_shuffle *shuffle, large_pair *large)
{
    const size_t piece_max = shuffle->ranks * shuffle->stride;
    for (size_t done = 0; done < large->size;) {
        const size_t left = large->size - done;
        const size_t piece = left < piece_max ? left : piece_max;
        DH_TRY(dh_comm_send(shuffle->comm, (int)large->to, large->bytes + done, piece));
        done += piece;
    }
    large->was_sent = true;
    shuffle->figures.bytes_sent += large->size;
    return DH_OK;
}

static dh_status receive_large(dh_shuffle *shuffle, size_t from)
{
    const size_t piece_max = shuffle->ranks * shuffle->stride;
    const size_t size = (size_t)shuffle->answer[from].large;
    void *memory = NULL;
    dh_status status = dh_count_allocate(&shuffle->count, size, "a large pair", &memory);
    uint8_t *bytes = memory;
    for (size_t done = 0; done < size;) {
        const size_t piece = size - done < piece_max ? size - done : piece_max;
        DH_TRY(dh_comm_receive(shuffle->comm, (int)from, shuffle->received, piece));
        if (status == DH_OK) {
            memcpy(bytes + done, shuffle->received, piece);
        }
        done += piece;
    }
    if (status == DH_OK) {
        status = add_received(shuffle, bytes, bytes + size);
        dh_count_free(&shuffle->count, bytes, size);
    }
    (void)note_failure(shuffle, status);
    return DH_OK;
}

/* All ranks are in it. A failure of one ends the shuffle on all. */
static dh_status play_round(dh_shuffle *shuffle, large_pair *large, bool is_done)
{
    if (shuffle->options.poll != NULL && shuffle->failure == DH_OK) {
        shuffle->failure = shuffle->options.poll(shuffle->options.poll_context);
    }
    write_notes(shuffle, large, is_done);
    DH_TRY(dh_comm_exchange_records(shuffle->comm, shuffle->note, sizeof *shuffle->note, shuffle->answer));
    shuffle->figures.rounds++;
    size_t large_from = 0;
    shuffle->ended = read_answers(shuffle, &shuffle->all_done, &large_from);
    DH_TRY(shuffle->ended);
    DH_TRY(exchange_pairs(shuffle));
    if (large_from == shuffle->rank) {
        DH_TRY(send_large(shuffle, large));
    } else if (large_from < shuffle->ranks && shuffle->answer[large_from].large_to == shuffle->rank) {
        DH_TRY(receive_large(shuffle, large_from));
    }
    return is_done ? DH_OK : shuffle->failure;
}

/* ---- adding ------------------------------------------------------------------------------------------ */

static size_t rank_of(const dh_shuffle *shuffle, uint64_t key)
{
    if (shuffle->options.split == NULL) {
        return (size_t)((unsigned __int128)key * shuffle->ranks >> 64);
    }
    size_t low = 0;
    size_t high = shuffle->ranks - 1;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (shuffle->options.split[middle] <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static dh_status add_large(dh_shuffle *shuffle, const dh_pair *pair, size_t size, size_t to)
{
    void *memory = NULL;
    DH_TRY(
        note_failure(shuffle, dh_count_allocate(&shuffle->count, size, "a large pair to be sent", &memory)));
    (void)dh_pair_encode(pair, memory);
    large_pair large = {.bytes = memory, .size = size, .to = to};
    dh_status status = DH_OK;
    while (status == DH_OK && !large.was_sent) {
        status = play_round(shuffle, &large, false);
    }
    dh_count_free(&shuffle->count, memory, size);
    return status;
}

static dh_status add_for(dh_shuffle *shuffle, const dh_pair *pair, size_t to)
{
    const size_t size = dh_pair_encoded_size(pair);
    if (size > shuffle->stride) {
        return add_large(shuffle, pair, size, to);
    }
    if (size > shuffle->stride - shuffle->filled[to]) {
        large_pair none = {0};
        DH_TRY(play_round(shuffle, &none, false));
    }
    uint8_t *buffer = shuffle->sent + to * shuffle->stride;
    shuffle->filled[to] += dh_pair_encode(pair, buffer + shuffle->filled[to]);
    return DH_OK;
}

dh_status dh_shuffle_add(dh_shuffle *shuffle, const dh_pair *pair)
{
    DH_TRY(shuffle->ended);
    DH_TRY(shuffle->failure);
    DH_TRY(note_failure(shuffle, dh_sorter_check(shuffle->sorter, pair)));
    shuffle->figures.pairs_in++;
    const size_t to = rank_of(shuffle, pair->key);
    if (to != shuffle->rank) {
        return add_for(shuffle, pair, to);
    }
    shuffle->figures.pairs_received++;
    return note_failure(shuffle, dh_sorter_add(shuffle->sorter, pair));
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static dh_status exchange_rest(dh_shuffle *shuffle)
{
    large_pair none = {0};
    while (shuffle->ended == DH_OK && shuffle->ranks > 1 && !shuffle->all_done) {
        DH_TRY(play_round(shuffle, &none, true));
    }
    return shuffle->ended;
}

dh_status dh_shuffle_finish(dh_shuffle *shuffle, dh_status status)
{
    (void)note_failure(shuffle, status);
    DH_TRY(exchange_rest(shuffle));
    free_buffers(shuffle);
    status = shuffle->failure;
    if (status == DH_OK) {
        status = dh_sorter_finish(shuffle->sorter, shuffle->options.memory);
    }
    dh_fault_place("shuffle");
    shuffle->ended = dh_comm_agree(shuffle->comm, status);
    return shuffle->ended;
}

dh_status dh_shuffle_next(dh_shuffle *shuffle, dh_pair *out)
{
    DH_TRY(shuffle->ended);
    return dh_sorter_next(shuffle->sorter, out);
}

dh_shuffle_figures dh_shuffle_statistics(const dh_shuffle *shuffle)
{
    dh_shuffle_figures figures = shuffle->figures;
    figures.runs = dh_sorter_runs(shuffle->sorter);
    figures.bytes_spilled = dh_sorter_bytes_spilled(shuffle->sorter);
    figures.memory_peak = shuffle->count.peak;
    return figures;
}
