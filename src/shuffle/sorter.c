/* The arena: records from its beginning on, entries from its end down, until they meet. A full arena is
 * sorted and combined; if that makes half of it free, it goes on, else it becomes a run. */
#include "shuffle/sorter.h"

#include "base/log.h"
#include "shuffle/merge.h"
#include "shuffle/sort.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MERGE_SHARE = 8,  /* of the memory, one part in so many is kept for reading runs beside the arena */
    OTHER_SHARE = 64, /* and one for what merging needs besides buffers */
    AHEAD = 12        /* records are fetched that many entries before they are needed */
};

#define IS_DEAD (UINT64_C(1) << 63) /* in the sizes of a record: it became a part of another one */

struct dh_sorter {
    dh_sorter_options options;
    dh_runs runs;
    uint8_t *arena;
    size_t capacity, used; /* bytes; used: of records */
    dh_entry *end;         /* of the entries: the end of the arena */
    size_t count;          /* entries, in front of end */
    size_t next;           /* entry that is read next */
    dh_merge *merge;       /* when there are runs */
};

_Static_assert(sizeof(dh_record_sizes) == sizeof(uint64_t), "a record's sizes can hold a number");

/* ---- making ------------------------------------------------------------------------------------------ */

static dh_status set_up(dh_sorter *sorter)
{
    const uint64_t memory = sorter->options.memory;
    const uint64_t capacity = memory - memory / MERGE_SHARE - DH_BLOCK_BYTES;
    sorter->capacity = (size_t)capacity / sizeof(dh_entry) * sizeof(dh_entry);
    void *arena = NULL;
    DH_TRY(dh_count_allocate(sorter->options.count, sorter->capacity, "pairs to be sorted", &arena));
    sorter->arena = arena;
    sorter->end = (dh_entry *)(void *)(sorter->arena + sorter->capacity);
    return DH_OK;
}

dh_status dh_sorter_create(const dh_sorter_options *options, dh_sorter **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_sorter), "a sorter", &memory));
    dh_sorter *sorter = memory;
    sorter->options = *options;
    sorter->runs = (dh_runs){.name = options->name,
                             .folder = options->folder,
                             .epoch = options->epoch,
                             .rank = options->rank,
                             .count = options->count,
                             .poll = options->poll,
                             .poll_context = options->poll_context};
    const dh_status status = set_up(sorter);
    if (status != DH_OK) {
        dh_sorter_free(sorter);
        return status;
    }
    *out = sorter;
    return DH_OK;
}

static void drop_arena(dh_sorter *sorter)
{
    dh_count_free(sorter->options.count, sorter->arena, sorter->capacity);
    sorter->arena = NULL;
    sorter->used = sorter->count = 0;
}

void dh_sorter_free(dh_sorter *sorter)
{
    if (sorter == NULL) {
        return;
    }
    dh_merge_close(sorter->merge);
    dh_runs_free(&sorter->runs);
    drop_arena(sorter);
    free(sorter);
}

/* ---- combining --------------------------------------------------------------------------------------- */

static uint64_t read_number(const uint8_t *at)
{
    uint64_t number;
    memcpy(&number, at, sizeof number);
    return number;
}

static void write_number(uint8_t *at, uint64_t number)
{
    memcpy(at, &number, sizeof number);
}

/* The sizes as a number, as they lie in the record. */
static size_t record_size(uint64_t sizes)
{
    dh_record_sizes size;
    memcpy(&size, &sizes, sizeof size);
    return sizeof size + size.name + size.value;
}

/* Is the pair of `other` a part of that of `kept` now? */
static dh_status join(dh_sorter *sorter, const dh_entry *kept, const dh_entry *other, bool *joined)
{
    const bool adds = sorter->options.combine == DH_COMBINE_SUM;
    const dh_pair into = dh_entry_pair(sorter->arena, kept);
    const dh_pair from = dh_entry_pair(sorter->arena, other);
    *joined = dh_pair_compare(&into, &from, !adds) == 0;
    if (*joined && adds) {
        if (into.value_size != from.value_size) {
            return dh_error(DH_INTERNAL, "%s: values of %u and %u bytes are to be added",
                            sorter->options.name, into.value_size, from.value_size);
        }
        uint8_t *sum = sorter->arena + (into.value - sorter->arena);
        dh_pair_add_value(sum, from.value, from.value_size);
    }
    return DH_OK;
}

/* Keeps one entry of those that become one, and marks the records of the others. Entries are packed towards
 * the end. */
static dh_status join_equal(dh_sorter *sorter)
{
    dh_entry *entry = sorter->end - sorter->count;
    size_t kept = sorter->count;
    for (size_t i = sorter->count; i > 0; i--) {
        const dh_entry *candidate = &entry[i - 1];
        bool joined = false;
        if (kept < sorter->count && entry[kept].key == candidate->key) {
            DH_TRY(join(sorter, &entry[kept], candidate, &joined));
        }
        if (joined) {
            uint8_t *record = sorter->arena + candidate->place;
            write_number(record, read_number(record) | IS_DEAD);
        } else {
            entry[--kept] = *candidate;
        }
    }
    sorter->count -= kept;
    return DH_OK;
}

/* Moves the records together, in the order in which they lie, without memory besides: an entry keeps its
 * record's sizes, and the record in their stead the number of its entry. */
static void compact(dh_sorter *sorter)
{
    dh_entry *entry = sorter->end - sorter->count;
    for (size_t i = 0; i < sorter->count; i++) {
        if (i + AHEAD < sorter->count) {
            __builtin_prefetch(sorter->arena + entry[i + AHEAD].place, 1);
        }
        uint8_t *record = sorter->arena + entry[i].place;
        entry[i].place = read_number(record);
        write_number(record, i);
    }
    size_t to = 0;
    for (size_t from = 0; from < sorter->used;) {
        const uint64_t mark = read_number(sorter->arena + from);
        if ((mark & IS_DEAD) != 0) {
            from += record_size(mark & ~IS_DEAD);
            continue;
        }
        const uint64_t sizes = entry[mark].place;
        const size_t size = record_size(sizes);
        memmove(sorter->arena + to, sorter->arena + from, size);
        write_number(sorter->arena + to, sizes);
        entry[mark].place = to;
        to += size;
        from += size;
    }
    sorter->used = to;
}

static dh_status sort_and_combine(dh_sorter *sorter)
{
    const dh_combine combine = sorter->options.combine;
    dh_entries_sort(sorter->end - sorter->count, sorter->count, sorter->arena, combine != DH_COMBINE_SUM);
    if (combine == DH_COMBINE_NONE) {
        return DH_OK;
    }
    const size_t before = sorter->count;
    DH_TRY(join_equal(sorter));
    if (sorter->count < before) {
        compact(sorter);
    }
    return DH_OK;
}

/* ---- spilling ---------------------------------------------------------------------------------------- */

static dh_status write_entries(dh_sorter *sorter, dh_block_writer *to)
{
    const dh_entry *entry = sorter->end - sorter->count;
    for (size_t i = 0; i < sorter->count; i++) {
        if (i + AHEAD < sorter->count) {
            __builtin_prefetch(sorter->arena + entry[i + AHEAD].place);
        }
        const dh_pair pair = dh_entry_pair(sorter->arena, &entry[i]);
        DH_TRY(dh_block_writer_add(to, &pair));
    }
    return DH_OK;
}

/* A run of the arena, which is sorted; of the one pair, where it is not NULL. */
static dh_status write_run(dh_sorter *sorter, const dh_pair *alone)
{
    dh_run_writer writer;
    DH_TRY(dh_runs_begin(&sorter->runs, &writer));
    const dh_status status =
        alone != NULL ? dh_block_writer_add(&writer.blocks, alone) : write_entries(sorter, &writer.blocks);
    if (status != DH_OK) {
        dh_runs_abandon(&writer);
        return status;
    }
    return dh_runs_end(&sorter->runs, &writer);
}

static dh_status spill(dh_sorter *sorter)
{
    DH_TRY(write_run(sorter, NULL));
    sorter->used = sorter->count = 0;
    return DH_OK;
}

static size_t free_bytes(const dh_sorter *sorter)
{
    return sorter->capacity - sorter->used - sorter->count * sizeof(dh_entry);
}

/* *fits: there is room for `size` bytes; else the arena is empty and too small for them. */
static dh_status make_room(dh_sorter *sorter, size_t size, bool *fits)
{
    if (sorter->count > 0) {
        DH_TRY(sort_and_combine(sorter));
        if (free_bytes(sorter) < sorter->capacity / 2 || free_bytes(sorter) < size) {
            DH_TRY(spill(sorter));
        }
    }
    *fits = free_bytes(sorter) >= size;
    return DH_OK;
}

dh_status dh_sorter_check(const dh_sorter *sorter, const dh_pair *pair)
{
    if (pair->name_size > DH_PAIR_BYTES_MAX || pair->value_size > DH_PAIR_BYTES_MAX) {
        return dh_error(DH_INTERNAL, "%s: a pair with %u and %u bytes; %d are allowed", sorter->options.name,
                        pair->name_size, pair->value_size, DH_PAIR_BYTES_MAX);
    }
    if (sorter->options.combine == DH_COMBINE_SUM && pair->value_size % sizeof(uint64_t) != 0) {
        return dh_error(DH_INTERNAL, "%s: a value of %u bytes is no array of 64-bit numbers",
                        sorter->options.name, pair->value_size);
    }
    return DH_OK;
}

dh_status dh_sorter_add(dh_sorter *sorter, const dh_pair *pair)
{
    DH_TRY(dh_sorter_check(sorter, pair));
    const dh_record_sizes sizes = {.name = pair->name_size, .value = pair->value_size};
    const size_t size = sizeof sizes + pair->name_size + pair->value_size;
    if (free_bytes(sorter) < size + sizeof(dh_entry)) {
        bool fits = false;
        DH_TRY(make_room(sorter, size + sizeof(dh_entry), &fits));
        if (!fits) {
            return write_run(sorter, pair);
        }
    }
    sorter->count++;
    *(sorter->end - sorter->count) = (dh_entry){.key = pair->key, .place = sorter->used};
    uint8_t *record = sorter->arena + sorter->used;
    memcpy(record, &sizes, sizeof sizes);
    if (pair->name_size > 0) {
        memcpy(record + sizeof sizes, pair->name, pair->name_size);
    }
    if (pair->value_size > 0) {
        memcpy(record + sizeof sizes + pair->name_size, pair->value, pair->value_size);
    }
    sorter->used += size;
    return DH_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static dh_status next_entry(void *context, dh_pair *out)
{
    dh_sorter *sorter = context;
    if (sorter->next == sorter->count) {
        return DH_END;
    }
    const dh_entry *entry = sorter->end - sorter->count + sorter->next;
    if (sorter->next + AHEAD < sorter->count) {
        __builtin_prefetch(sorter->arena + entry[AHEAD].place);
    }
    sorter->next++;
    *out = dh_entry_pair(sorter->arena, entry);
    return DH_OK;
}

/* Where the runs' buffers have no room beside the arena, or the runs are too many, it becomes a run, too. */
static dh_status open_merge(dh_sorter *sorter, uint64_t memory)
{
    dh_runs *runs = &sorter->runs;
    memory -= DH_BLOCK_BYTES + memory / OTHER_SHARE;
    const uint64_t beside = memory > sorter->capacity ? memory - sorter->capacity : 0;
    if (sorter->count > 0 && runs->run_count <= DH_MERGE_RUNS_MAX &&
        dh_merge_memory(runs, runs->run_count) <= beside) {
        return dh_merge_open(runs, runs->run_count, beside, sorter->options.combine, next_entry, sorter,
                             &sorter->merge);
    }
    if (sorter->count > 0) {
        DH_TRY(spill(sorter));
    }
    drop_arena(sorter);
    DH_TRY(dh_merge_down(runs, memory, sorter->options.combine));
    return dh_merge_open(runs, runs->run_count, memory, sorter->options.combine, NULL, NULL, &sorter->merge);
}

dh_status dh_sorter_finish(dh_sorter *sorter, uint64_t memory)
{
    DH_TRY(sort_and_combine(sorter));
    return sorter->runs.run_count > 0 ? open_merge(sorter, memory) : DH_OK;
}

dh_status dh_sorter_next(dh_sorter *sorter, dh_pair *out)
{
    return sorter->merge != NULL ? dh_merge_next(sorter->merge, out) : next_entry(sorter, out);
}

uint64_t dh_sorter_runs(const dh_sorter *sorter)
{
    return sorter->runs.made;
}

uint64_t dh_sorter_bytes_spilled(const dh_sorter *sorter)
{
    return sorter->runs.bytes_spilled;
}
