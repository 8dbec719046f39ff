/* Keys: the highest bits in which they differ cut them into buckets (exchanged in place), each of which is
 * sorted the same way; a few are sorted by insertion. Keys that are hashes take two or three such passes.
 *
 * Ties: eight bytes of name and value at a time take the place of the key, so that a key that half of all
 * pairs have costs no more than other ones. What has a long beginning in common is sorted by heap and
 * comparing. */
#include "shuffle/sort.h"

#include "shuffle/pair.h"

enum {
    FEW = 24,        /* sorted by insertion */
    DIGIT_BITS = 8,  /* at most */
    BUCKET_BITS = 2, /* as many pairs are expected in a bucket, as a power of two */
    WORD = 8,        /* bytes that are sorted by at a time */
    STEPS_MAX = 10,  /* by words and sizes; then pairs are compared */
    AHEAD = 12,      /* records are fetched that many entries before they are looked at */
    KEY_BITS = 64
};

/* ---- by key ------------------------------------------------------------------------------------------ */

static void insert_by_key(dh_entry *entry, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const dh_entry moving = entry[i];
        size_t at = i;
        for (; at > 0 && entry[at - 1].key > moving.key; at--) {
            entry[at] = entry[at - 1];
        }
        entry[at] = moving;
    }
}

static unsigned digit_bits(size_t count)
{
    const unsigned log = KEY_BITS - 1 - (unsigned)__builtin_clzll(count);
    const unsigned bits = log > BUCKET_BITS ? log - BUCKET_BITS : 1;
    return bits < DIGIT_BITS ? bits : DIGIT_BITS;
}

/* Moves each entry into the bucket of its digit. end: where the buckets end. */
static void exchange(dh_entry *entry, unsigned shift, uint64_t mask, size_t *begin, const size_t *end)
{
    for (uint64_t bucket = 0; bucket <= mask; bucket++) {
        while (begin[bucket] < end[bucket]) {
            dh_entry moving = entry[begin[bucket]];
            uint64_t home = moving.key >> shift & mask;
            while (home != bucket) {
                const dh_entry other = entry[begin[home]];
                entry[begin[home]++] = moving;
                moving = other;
                home = moving.key >> shift & mask;
            }
            entry[begin[bucket]++] = moving;
        }
    }
}

static void sort_by_key(dh_entry *entry, size_t count)
{
    if (count <= FEW) {
        insert_by_key(entry, count);
        return;
    }
    uint64_t differing = 0;
    for (size_t i = 1; i < count; i++) {
        differing |= entry[i].key ^ entry[0].key;
    }
    if (differing == 0) {
        return;
    }
    const unsigned bits = digit_bits(count);
    const unsigned width = KEY_BITS - (unsigned)__builtin_clzll(differing);
    const unsigned shift = width > bits ? width - bits : 0;
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    size_t begin[1 << DIGIT_BITS];
    size_t end[1 << DIGIT_BITS] = {0};
    for (size_t i = 0; i < count; i++) {
        end[entry[i].key >> shift & mask]++;
    }
    size_t sum = 0;
    for (uint64_t bucket = 0; bucket <= mask; bucket++) {
        begin[bucket] = sum;
        sum += end[bucket];
        end[bucket] = sum;
    }
    exchange(entry, shift, mask, begin, end);
    for (uint64_t bucket = 0; bucket <= mask && shift > 0; bucket++) {
        const size_t from = bucket > 0 ? end[bucket - 1] : 0;
        if (end[bucket] - from > 1) {
            sort_by_key(entry + from, end[bucket] - from);
        }
    }
}

/* ---- ties -------------------------------------------------------------------------------------------- */

typedef struct tie_sort {
    const uint8_t *arena;
    bool by_value;
} tie_sort;

/* Keys may hold other words meanwhile, so they do not count. */
static int compare_records(const tie_sort *sort, uint64_t left_place, uint64_t right_place)
{
    const dh_entry left = {.place = left_place};
    const dh_entry right = {.place = right_place};
    const dh_pair left_pair = dh_entry_pair(sort->arena, &left);
    const dh_pair right_pair = dh_entry_pair(sort->arena, &right);
    return dh_pair_compare(&left_pair, &right_pair, sort->by_value);
}

static void insert_by_record(const tie_sort *sort, dh_entry *entry, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const dh_entry moving = entry[i];
        size_t at = i;
        for (; at > 0 && compare_records(sort, entry[at - 1].place, moving.place) > 0; at--) {
            entry[at] = entry[at - 1];
        }
        entry[at] = moving;
    }
}

static void sift(const tie_sort *sort, dh_entry *entry, size_t root, size_t count)
{
    const dh_entry moving = entry[root];
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && compare_records(sort, entry[child].place, entry[child + 1].place) < 0) {
            child++;
        }
        if (compare_records(sort, moving.place, entry[child].place) >= 0) {
            break;
        }
        entry[root] = entry[child];
        root = child;
    }
    entry[root] = moving;
}

static void heap_sort(const tie_sort *sort, dh_entry *entry, size_t count)
{
    for (size_t root = count / 2; root > 0; root--) {
        sift(sort, entry, root - 1, count);
    }
    for (size_t last = count - 1; last > 0; last--) {
        const dh_entry largest = entry[0];
        entry[0] = entry[last];
        entry[last] = largest;
        sift(sort, entry, 0, last);
    }
}

/* Up to eight bytes as a number that sorts as they do, zeros behind them. */
static uint64_t load_word(const uint8_t *bytes, uint64_t size)
{
    uint64_t word = 0;
    memcpy(&word, bytes, size < WORD ? size : WORD);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The sizes of some records. */
typedef struct tie_sizes {
    dh_record_sizes first, most;
    bool one_name, one_value; /* all have those of the first */
} tie_sizes;

static tie_sizes sizes_of(const tie_sort *sort, const dh_entry *entry, size_t count)
{
    tie_sizes all = {
        .first = dh_record_sizes_at(sort->arena, entry[0].place), .one_name = true, .one_value = true};
    all.most = all.first;
    for (size_t i = 1; i < count; i++) {
        if (i + AHEAD < count) {
            __builtin_prefetch(sort->arena + entry[i + AHEAD].place);
        }
        const dh_record_sizes sizes = dh_record_sizes_at(sort->arena, entry[i].place);
        all.one_name = all.one_name && sizes.name == all.first.name;
        all.one_value = all.one_value && sizes.value == all.first.value;
        all.most.name = sizes.name > all.most.name ? sizes.name : all.most.name;
        all.most.value = sizes.value > all.most.value ? sizes.value : all.most.value;
    }
    return all;
}

/* The next group of two or more equal keys from *begin on; its size, or 0. */
static size_t next_group(const dh_entry *entry, size_t count, size_t *begin)
{
    for (size_t at = *begin; at + 1 < count; at++) {
        if (entry[at].key == entry[at + 1].key) {
            size_t end = at + 2;
            while (end < count && entry[end].key == entry[at].key) {
                end++;
            }
            *begin = at;
            return end - at;
        }
    }
    return 0;
}

/* How far records are known to be equal: so many bytes of their names, with zeros behind the end of each; or
 * all of the names and so many bytes of values, likewise; or of what they have in all, where all have the
 * same sizes. */
typedef struct tie_place {
    enum { IN_NAME, IN_VALUE, IN_ALL } part;
    uint32_t steps; /* that led here */
    uint64_t done;
} tie_place;

static void sort_ties(const tie_sort *sort, dh_entry *entry, size_t count, tie_place at);

/* Sorts by what stands in the keys' place, and what has the same there by what comes behind it. */
static void sort_step(const tie_sort *sort, dh_entry *entry, size_t count, tie_place behind)
{
    behind.steps++;
    sort_by_key(entry, count);
    size_t begin = 0;
    for (size_t size = 0; (size = next_group(entry, count, &begin)) > 0; begin += size) {
        sort_ties(sort, entry + begin, size, behind);
    }
}

/* All records have these sizes. */
static void sort_even(const tie_sort *sort, dh_entry *entry, size_t count, const dh_record_sizes *size,
                      tie_place at)
{
    uint64_t done = at.done;
    if (at.part == IN_NAME) {
        done = done < size->name ? done : size->name;
    } else if (at.part == IN_VALUE) {
        done = size->name + (done < size->value ? done : size->value);
    }
    const uint64_t bytes = (uint64_t)size->name + (sort->by_value ? size->value : 0);
    if (done >= bytes) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        entry[i].key = load_word(sort->arena + entry[i].place + sizeof *size + done, bytes - done);
    }
    sort_step(sort, entry, count, (tie_place){.part = IN_ALL, .steps = at.steps, .done = done + WORD});
}

/* The key is a word of the name or value, zeros where it has ended; its size where all have: of those that
 * have only zeros behind the end of the shorter one, that comes first. */
static void load_part(const tie_sort *sort, dh_entry *entry, size_t count, const tie_place *at, bool by_size)
{
    for (size_t i = 0; i < count; i++) {
        const dh_entry here = {.place = entry[i].place};
        const dh_pair pair = dh_entry_pair(sort->arena, &here);
        const uint8_t *bytes = at->part == IN_NAME ? pair.name : pair.value;
        const uint32_t size = at->part == IN_NAME ? pair.name_size : pair.value_size;
        if (by_size) {
            entry[i].key = size;
        } else {
            entry[i].key = at->done < size ? load_word(bytes + at->done, size - at->done) : 0;
        }
    }
}

static void sort_ties(const tie_sort *sort, dh_entry *entry, size_t count, tie_place at)
{
    if (count <= FEW) {
        insert_by_record(sort, entry, count);
        return;
    }
    if (at.steps == STEPS_MAX) {
        heap_sort(sort, entry, count);
        return;
    }
    const tie_sizes sizes = sizes_of(sort, entry, count);
    if (sizes.one_name && (sizes.one_value || !sort->by_value)) {
        sort_even(sort, entry, count, &sizes.first, at);
        return;
    }
    if (at.part == IN_NAME && sizes.one_name && at.done >= sizes.first.name) {
        at.part = IN_VALUE;
        at.done = 0;
    }
    const bool by_size = at.done >= (at.part == IN_NAME ? sizes.most.name : sizes.most.value);
    load_part(sort, entry, count, &at, by_size);
    at.done += by_size ? 0 : WORD;
    sort_step(sort, entry, count, at);
}

void dh_entries_sort(dh_entry *entry, size_t count, const uint8_t *arena, bool by_value)
{
    const tie_sort sort = {.arena = arena, .by_value = by_value};
    sort_by_key(entry, count);
    size_t begin = 0;
    for (size_t size = 0; (size = next_group(entry, count, &begin)) > 0; begin += size) {
        const uint64_t key = entry[begin].key;
        sort_ties(&sort, entry + begin, size, (tie_place){.part = IN_NAME});
        for (size_t i = begin; i < begin + size; i++) {
            entry[i].key = key;
        }
    }
}
