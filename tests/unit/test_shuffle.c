/* Tests of shuffle/shuffle.h on one rank: what comes out is what a plain sort makes of it, within the memory,
 * and nothing is left in the folder. */
#include "support.h"

#include "one_rank.h"

#include "base/fault.h"
#include "shuffle/sort.h"
#include "shuffle/sorter.h"

#include <dirent.h>
#include <sys/resource.h>

enum { BYTES_MAX = 24, NUMBERS_MAX = 2, MANY = 150000 /* pairs: more than fit into the least memory */ };

/* ---- a plain reference ------------------------------------------------------------------------------- */

typedef struct plain {
    uint64_t key;
    uint8_t name[BYTES_MAX], value[BYTES_MAX];
    uint32_t name_size, value_size;
} plain;

typedef struct plain_list {
    plain *pair;
    size_t count;
} plain_list;

static int order_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    for (size_t i = 0; i < a_size && i < b_size; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return (a_size > b_size) - (a_size < b_size);
}

static int order_names(const plain *a, const plain *b)
{
    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    return order_bytes(a->name, a->name_size, b->name, b->name_size);
}

static int order_plain(const void *left, const void *right)
{
    const plain *a = left;
    const plain *b = right;
    const int order = order_names(a, b);
    return order != 0 ? order : order_bytes(a->value, a->value_size, b->value, b->value_size);
}

static void combine_plainly(plain_list *list, dh_combine combine)
{
    qsort(list->pair, list->count, sizeof *list->pair, order_plain);
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        plain *last = kept > 0 ? &list->pair[kept - 1] : NULL;
        const plain *next = &list->pair[i];
        if (last != NULL && combine == DH_COMBINE_EQUAL && order_plain(last, next) == 0) {
            continue;
        }
        if (last != NULL && combine == DH_COMBINE_SUM && order_names(last, next) == 0) {
            uint64_t sum[NUMBERS_MAX];
            uint64_t number[NUMBERS_MAX];
            memcpy(sum, last->value, sizeof sum);
            memcpy(number, next->value, sizeof number);
            for (int n = 0; n < NUMBERS_MAX; n++) {
                sum[n] += number[n];
            }
            memcpy(last->value, sum, sizeof sum);
            continue;
        }
        list->pair[kept++] = *next;
    }
    list->count = kept;
}

/* ---- random pairs ------------------------------------------------------------------------------------ */

typedef struct shape {
    uint64_t keys;      /* so many different ones; 0: any */
    unsigned key_shift; /* which bits of the key they are */
    uint32_t name_max;  /* bytes */
    unsigned letters;   /* of names and values: few make many equal beginnings */
    bool fixed;         /* all names and values have the most bytes */
} shape;

static uint32_t fill_bytes(uint8_t *bytes, uint32_t max, const shape *of)
{
    const uint32_t size = of->fixed ? max : (uint32_t)support_random_below(max + 1);
    for (uint32_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)support_random_below(of->letters);
    }
    return size;
}

static plain random_pair(const shape *of, dh_combine combine)
{
    plain pair = {.key = of->keys == 0 ? support_random() : support_random_below(of->keys) << of->key_shift};
    pair.name_size = fill_bytes(pair.name, of->name_max, of);
    if (combine == DH_COMBINE_SUM) {
        const uint64_t number[NUMBERS_MAX] = {support_random_below(9), support_random()};
        memcpy(pair.value, number, sizeof number);
        pair.value_size = sizeof number;
    } else {
        pair.value_size = fill_bytes(pair.value, of->name_max, of);
    }
    return pair;
}

static dh_pair view(const plain *pair)
{
    return (dh_pair){.key = pair->key,
                     .name = pair->name,
                     .value = pair->value,
                     .name_size = pair->name_size,
                     .value_size = pair->value_size};
}

/* ---- a shuffle --------------------------------------------------------------------------------------- */

static size_t files_in(const char *folder)
{
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    size_t count = 0;
    while (readdir(listing) != NULL) {
        count++;
    }
    assert_int_equal(closedir(listing), 0);
    return count - 2;
}

static dh_shuffle_options options_of(uint64_t memory, dh_combine combine)
{
    return (dh_shuffle_options){
        .name = "test", .folder = support_folder, .epoch = 3, .memory = memory, .combine = combine};
}

static dh_shuffle *make(uint64_t memory, dh_combine combine)
{
    const dh_shuffle_options options = options_of(memory, combine);
    dh_shuffle *shuffle = NULL;
    assert_ok(dh_shuffle_create(&one_rank, &options, &shuffle));
    return shuffle;
}

static void assert_pair(const dh_pair *got, const plain *wanted)
{
    assert_int_equal(got->key, wanted->key);
    assert_int_equal(got->name_size, wanted->name_size);
    assert_int_equal(got->value_size, wanted->value_size);
    assert_memory_equal(got->name, wanted->name, wanted->name_size);
    assert_memory_equal(got->value, wanted->value, wanted->value_size);
}

static dh_shuffle_figures compare_to_plain(const shape *of, size_t count, uint64_t memory, dh_combine combine)
{
    plain_list list = {calloc(count + 1, sizeof(plain)), count};
    assert_non_null(list.pair);
    dh_shuffle *shuffle = make(memory, combine);
    for (size_t i = 0; i < count; i++) {
        list.pair[i] = random_pair(of, combine);
        const dh_pair pair = view(&list.pair[i]);
        assert_ok(dh_shuffle_add(shuffle, &pair));
    }
    assert_ok(dh_shuffle_finish(shuffle, DH_OK));
    combine_plainly(&list, combine);
    dh_pair pair;
    for (size_t i = 0; i < list.count; i++) {
        assert_ok(dh_shuffle_next(shuffle, &pair));
        assert_pair(&pair, &list.pair[i]);
    }
    assert_int_equal(dh_shuffle_next(shuffle, &pair), DH_END);
    assert_int_equal(dh_shuffle_next(shuffle, &pair), DH_END);
    const dh_shuffle_figures figures = dh_shuffle_statistics(shuffle);
    assert_true(figures.memory_peak <= memory);
    assert_int_equal(figures.pairs_in, count);
    assert_int_equal(figures.pairs_received, count);
    dh_shuffle_free(shuffle);
    assert_int_equal(files_in(support_folder), 0);
    free(list.pair);
    return figures;
}

static const shape shapes[] = {
    {0, 0, 8, 256, false}, {0, 0, 8, 256, true},   {7, 0, 8, 256, true},     {1, 0, 24, 2, false},
    {1, 0, 24, 2, true},   {3, 61, 24, 256, true}, {1000, 20, 12, 3, false}, {1, 0, 0, 1, true},
    {40, 0, 2, 2, false},  {1, 0, 9, 1, false},    {1, 0, 24, 1, false},
};

static void test_a_plain_sort_agrees(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 24, 25, 100, 1000, 20000};
    for (size_t s = 0; s < COUNT(shapes); s++) {
        for (size_t c = 0; c < COUNT(counts); c++) {
            for (int combine = DH_COMBINE_NONE; combine <= DH_COMBINE_SUM; combine++) {
                const dh_shuffle_figures figures =
                    compare_to_plain(&shapes[s], counts[c], DH_SHUFFLE_MEMORY_MIN, (dh_combine)combine);
                assert_true(counts[c] > 1000 || figures.runs == 0);
            }
        }
    }
}

static void test_runs_are_merged(void **state)
{
    (void)state;
    uint64_t runs = 0;
    for (size_t s = 0; s < COUNT(shapes); s++) {
        for (int combine = DH_COMBINE_NONE; combine <= DH_COMBINE_SUM; combine++) {
            runs += compare_to_plain(&shapes[s], MANY, DH_SHUFFLE_MEMORY_MIN, (dh_combine)combine).runs;
        }
    }
    assert_true(runs > COUNT(shapes));
}

/* Far more than fits: several passes. What comes out is checked by order and sums. */
static void test_much_more_than_the_memory(void **state)
{
    (void)state;
    const size_t count = support_turns(7000000); /* of 28 bytes */
    dh_shuffle *shuffle = make(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_NONE);
    uint64_t sum = 0;
    struct rusage before;
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    for (size_t i = 0; i < count; i++) {
        uint64_t number[2] = {support_random(), i};
        const dh_pair pair = {
            .key = support_random(), .value = (const uint8_t *)number, .value_size = sizeof number};
        sum += pair.key * (number[0] + i);
        assert_ok(dh_shuffle_add(shuffle, &pair));
    }
    assert_ok(dh_shuffle_finish(shuffle, DH_OK));
    dh_pair pair;
    uint64_t last = 0;
    size_t got = 0;
    dh_status status = DH_OK;
    while ((status = dh_shuffle_next(shuffle, &pair)) == DH_OK) {
        uint64_t number[2];
        memcpy(number, pair.value, sizeof number);
        assert_true(pair.key >= last);
        last = pair.key;
        sum -= pair.key * (number[0] + number[1]);
        got++;
    }
    assert_int_equal(status, DH_END);
    assert_int_equal(got, count);
    assert_int_equal(sum, 0);
    const dh_shuffle_figures figures = dh_shuffle_statistics(shuffle);
    assert_true(figures.memory_peak <= DH_SHUFFLE_MEMORY_MIN);
    assert_true(figures.bytes_spilled > count * 20);
    dh_shuffle_free(shuffle);
    struct rusage after;
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
#ifndef __SANITIZE_ADDRESS__                                   /* which keeps what is freed */
    assert_true(after.ru_maxrss - before.ru_maxrss < 8 << 10); /* KiB */
#endif
    assert_int_equal(files_in(support_folder), 0);
}

/* The runs are so many that one pass cannot take them all. */
static void test_several_passes(void **state)
{
    (void)state;
    enum { VALUE = 60000, PAIRS = 6000 };
    uint8_t *value = calloc(VALUE, 1);
    dh_shuffle *shuffle = make(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_NONE);
    for (uint32_t i = 0; i < PAIRS; i++) {
        const dh_pair pair = {
            .key = i * UINT64_C(0x9E3779B97F4A7C15), .value = value, .value_size = VALUE - i % 7};
        memcpy(value, &i, sizeof i);
        assert_ok(dh_shuffle_add(shuffle, &pair));
    }
    assert_ok(dh_shuffle_finish(shuffle, DH_OK));
    dh_pair pair;
    uint64_t last = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        assert_ok(dh_shuffle_next(shuffle, &pair));
        uint32_t number;
        memcpy(&number, pair.value, sizeof number);
        assert_true(pair.key >= last);
        assert_int_equal(pair.key, number * UINT64_C(0x9E3779B97F4A7C15));
        assert_int_equal(pair.value_size, VALUE - number % 7);
        last = pair.key;
    }
    assert_int_equal(dh_shuffle_next(shuffle, &pair), DH_END);
    const dh_shuffle_figures figures = dh_shuffle_statistics(shuffle);
    assert_true(figures.runs > 64 + 1); /* more than buffers of a block in the memory */
    assert_true(figures.memory_peak <= DH_SHUFFLE_MEMORY_MIN);
    dh_shuffle_free(shuffle);
    free(value);
    assert_int_equal(files_in(support_folder), 0);
}

/* Room for the buffers of all runs, but not so many files: more than one pass, and the arena is not kept. */
static void test_files_are_few(void **state)
{
    (void)state;
    enum { MEMORY = 128 << 10, ROOM = 64 << 20, FILES = 200, RUNS = 500 };
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit few = {.rlim_cur = FILES, .rlim_max = before.rlim_max};
    dh_memory_count memory = {0};
    const dh_sorter_options options = {
        .name = "test", .folder = support_folder, .epoch = 3, .memory = MEMORY, .count = &memory};
    dh_sorter *sorter = NULL;
    assert_ok(dh_sorter_create(&options, &sorter));
    uint64_t pairs = 0;
    uint64_t sum = 0;
    for (; dh_sorter_runs(sorter) < RUNS; pairs++) {
        const dh_pair pair = {
            .key = support_random(), .value = (const uint8_t *)&pairs, .value_size = sizeof pairs};
        sum += pair.key * (pairs + 1);
        assert_ok(dh_sorter_add(sorter, &pair));
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    dh_status status = dh_sorter_finish(sorter, ROOM);
    dh_pair pair;
    uint64_t last = 0;
    uint64_t got = 0;
    while (status == DH_OK && (status = dh_sorter_next(sorter, &pair)) == DH_OK) {
        uint64_t number;
        assert_true(pair.key >= last);
        last = pair.key;
        memcpy(&number, pair.value, sizeof number);
        sum -= pair.key * (number + 1);
        got++;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, DH_END);
    assert_int_equal(got, pairs);
    assert_int_equal(sum, 0);
    assert_true(dh_sorter_runs(sorter) > RUNS + 2); /* passes made some */
    dh_sorter_free(sorter);
    assert_int_equal(files_in(support_folder), 0);
}

/* Pairs that are larger than the memory, between small ones. */
static void test_large_pairs(void **state)
{
    (void)state;
    enum { LARGE = 5 << 20, LARGE_PAIRS = 4, SMALL = 50000 };
    uint8_t *value = calloc(LARGE, 1);
    for (int combine = DH_COMBINE_NONE; combine <= DH_COMBINE_SUM; combine++) {
        dh_shuffle *shuffle = make(DH_SHUFFLE_MEMORY_MIN, (dh_combine)combine);
        for (uint64_t i = 0; i < SMALL; i++) {
            uint8_t number[8];
            dh_pair_put_number(number, 1);
            const dh_pair small = {.key = i, .value = number, .value_size = sizeof number};
            assert_ok(dh_shuffle_add(shuffle, &small));
            if (i % (SMALL / LARGE_PAIRS) == 0) {
                memset(value, 1, LARGE);
                const dh_pair large = {.key = SMALL / 2,
                                       .name = (const uint8_t *)"large",
                                       .name_size = 5,
                                       .value = value,
                                       .value_size = LARGE};
                assert_ok(dh_shuffle_add(shuffle, &large));
            }
        }
        assert_ok(dh_shuffle_finish(shuffle, DH_OK));
        dh_pair pair;
        uint32_t large = 0;
        for (uint64_t i = 0; i < SMALL; i++) {
            assert_ok(dh_shuffle_next(shuffle, &pair));
            assert_int_equal(pair.key, i);
            assert_int_equal(pair.name_size, 0);
            while (i == SMALL / 2 && large < (combine == DH_COMBINE_NONE ? LARGE_PAIRS : 1)) {
                assert_ok(dh_shuffle_next(shuffle, &pair));
                assert_int_equal(pair.value_size, LARGE);
                memset(value, combine == DH_COMBINE_SUM ? LARGE_PAIRS : 1, LARGE);
                assert_memory_equal(pair.value, value, LARGE);
                large++;
            }
        }
        assert_int_equal(dh_shuffle_next(shuffle, &pair), DH_END);
        const dh_shuffle_figures figures = dh_shuffle_statistics(shuffle);
        assert_true(figures.memory_peak <= DH_SHUFFLE_MEMORY_MIN + 3 * (LARGE + 64));
        dh_shuffle_free(shuffle);
        assert_int_equal(files_in(support_folder), 0);
    }
    free(value);
}

/* The same few keys again and again are summed in memory: nothing is spilled. */
static void test_few_keys_need_no_runs(void **state)
{
    (void)state;
    const shape few = {1000, 0, 0, 1, true};
    const dh_shuffle_figures figures =
        compare_to_plain(&few, support_turns(400000), DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_SUM);
    assert_int_equal(figures.runs, 0);
}

/* Names with beginnings in common, zeros among them, and of all sizes: each kind of tie, and more of them
 * than are sorted by words. */
static void test_ties(void **state)
{
    (void)state;
    enum { PAIRS = 3000, SIZE_MAX_HERE = 130, RECORD_MAX = 8 + 2 * SIZE_MAX_HERE };
    static const struct {
        uint32_t prefix, name_max, value_max;
        unsigned letters;
    } ties[] = {{8, 12, 0, 26}, {24, 36, 16, 3}, {0, 20, 9, 1},     {5, 5, 20, 1},
                {64, 80, 8, 2}, {96, 120, 8, 2}, {120, 130, 40, 2}, {16, 17, 17, 256}};
    uint8_t *arena = malloc((size_t)PAIRS * RECORD_MAX);
    dh_entry *entry = malloc(PAIRS * sizeof *entry);
    assert_non_null(arena);
    assert_non_null(entry);
    for (size_t t = 0; t < 2 * COUNT(ties); t++) {
        const bool by_value = t % 2 == 1;
        size_t used = 0;
        for (size_t i = 0; i < PAIRS; i++) {
            const uint32_t prefix = ties[t / 2].prefix;
            const dh_record_sizes sizes = {
                .name = prefix + (uint32_t)support_random_below(ties[t / 2].name_max - prefix + 1),
                .value = (uint32_t)support_random_below(ties[t / 2].value_max + 1)};
            entry[i] = (dh_entry){.key = support_random_below(2), .place = used};
            memcpy(arena + used, &sizes, sizeof sizes);
            used += sizeof sizes;
            for (uint32_t b = 0; b < sizes.name + sizes.value; b++) {
                arena[used++] =
                    b < prefix ? (uint8_t)(b % 3) : (uint8_t)support_random_below(ties[t / 2].letters);
            }
        }
        dh_entries_sort(entry, PAIRS, arena, by_value);
        for (size_t i = 1; i < PAIRS; i++) {
            const dh_pair a = dh_entry_pair(arena, &entry[i - 1]);
            const dh_pair b = dh_entry_pair(arena, &entry[i]);
            const int names = order_bytes(a.name, a.name_size, b.name, b.name_size);
            const int values = order_bytes(a.value, a.value_size, b.value, b.value_size);
            assert_true(a.key < b.key ||
                        (a.key == b.key && (names < 0 || (names == 0 && (!by_value || values <= 0)))));
        }
    }
    free(entry);
    free(arena);
}

/* ---- errors ------------------------------------------------------------------------------------------ */

static dh_status shuffle_much(dh_shuffle *shuffle)
{
    dh_status status = DH_OK;
    for (uint64_t i = 0; i < 400000 && status == DH_OK; i++) {
        const dh_pair pair = {.key = support_random(), .value = (const uint8_t *)&i, .value_size = sizeof i};
        status = dh_shuffle_add(shuffle, &pair);
    }
    status = dh_shuffle_finish(shuffle, status);
    dh_pair pair;
    while (status == DH_OK) {
        status = dh_shuffle_next(shuffle, &pair);
    }
    return status == DH_END ? DH_OK : status;
}

static void test_failing_calls(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *says;
        dh_status status;
    } cases[] = {
        {"call=write,error=ENOSPC,at=20,persist", "shuffle-000003-000000-test-", DH_IO},
        {"call=write,error=EIO,at=1", "writing", DH_IO},
        {"call=read,error=EIO,at=3", "reading", DH_IO},
        {"call=open,error=EMFILE,at=2", "create", DH_IO},
        {"call=open,error=EIO,at=5", "cannot open", DH_IO},
        {"call=close,error=EIO,at=1", "close", DH_IO},
        {"call=allocate,error=ENOMEM,path=runs", "out of memory", DH_NO_MEMORY},
        {"call=allocate,error=ENOMEM,path=blocks", "out of memory", DH_NO_MEMORY},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        support_capture_begin();
        assert_int_equal(setenv("DHATU_FAULT", cases[i].fault, 1), 0);
        assert_ok(dh_fault_arm(0));
        dh_shuffle *shuffle = make(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_NONE);
        const dh_status status = shuffle_much(shuffle);
        dh_shuffle_free(shuffle);
        assert_int_equal(unsetenv("DHATU_FAULT"), 0);
        assert_ok(dh_fault_report());
        const char *said = support_capture_end();
        if (status != cases[i].status) {
            fail_msg("%s: %d, %s", cases[i].fault, (int)status, said);
        }
        assert_says(said, cases[i].says);
        assert_int_equal(files_in(support_folder), 0);
    }
}

/* Short reads and writes change nothing. */
static void test_short_calls(void **state)
{
    (void)state;
    assert_int_equal(
        setenv("DHATU_FAULT",
               "call=write,error=SHORT,chance=0.3,seed=3;call=read,error=SHORT,chance=0.3,seed=4", 1),
        0);
    support_capture_begin();
    const dh_status armed = dh_fault_arm(0);
    (void)support_capture_end();
    assert_int_equal(unsetenv("DHATU_FAULT"), 0);
    assert_ok(armed);
    (void)compare_to_plain(&shapes[0], 200000, DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_NONE);
    assert_ok(dh_fault_report());
}

static void test_a_caller_that_fails(void **state)
{
    (void)state;
    dh_shuffle *shuffle = make(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_NONE);
    const dh_pair pair = {.key = 1};
    assert_ok(dh_shuffle_add(shuffle, &pair));
    assert_int_equal(dh_shuffle_finish(shuffle, DH_BAD_DATA), DH_BAD_DATA);
    dh_pair got;
    assert_int_equal(dh_shuffle_next(shuffle, &got), DH_BAD_DATA);
    dh_shuffle_free(shuffle);
    dh_shuffle_free(NULL);
}

static dh_status poll_that_ends(void *context)
{
    unsigned *left = context;
    return *left > 0 && --*left > 0 ? DH_OK : DH_AGAIN;
}

static void test_a_poll_that_ends_it(void **state)
{
    (void)state;
    unsigned polls = 1U << 30;
    for (unsigned at = 1; at < 400; at += 13 * support_share()) {
        dh_shuffle_options options = options_of(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_NONE);
        polls = at;
        options.poll = poll_that_ends;
        options.poll_context = &polls;
        dh_shuffle *shuffle = NULL;
        assert_ok(dh_shuffle_create(&one_rank, &options, &shuffle));
        const dh_status status = shuffle_much(shuffle);
        assert_int_equal(status, polls > 0 ? DH_OK : DH_AGAIN);
        dh_shuffle_free(shuffle);
        assert_int_equal(files_in(support_folder), 0);
    }
}

static void test_wrong_pairs(void **state)
{
    (void)state;
    uint8_t bytes[16] = {0};
    const dh_pair huge = {.name = bytes, .name_size = DH_PAIR_BYTES_MAX + 1};
    const dh_pair odd = {.value = bytes, .value_size = 9};
    const dh_pair one = {.value = bytes, .value_size = 8};
    const dh_pair two = {.value = bytes, .value_size = 16};
    support_capture_begin();
    dh_shuffle *shuffle = make(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_SUM);
    assert_int_equal(dh_shuffle_add(shuffle, &huge), DH_INTERNAL);
    dh_shuffle_free(shuffle);
    shuffle = make(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_SUM);
    assert_int_equal(dh_shuffle_add(shuffle, &odd), DH_INTERNAL);
    assert_int_equal(dh_shuffle_finish(shuffle, DH_INTERNAL), DH_INTERNAL);
    dh_shuffle_free(shuffle);
    shuffle = make(DH_SHUFFLE_MEMORY_MIN, DH_COMBINE_SUM);
    assert_ok(dh_shuffle_add(shuffle, &one));
    assert_ok(dh_shuffle_add(shuffle, &two));
    assert_int_equal(dh_shuffle_finish(shuffle, DH_OK), DH_INTERNAL);
    dh_shuffle_free(shuffle);
    const dh_shuffle_options options = options_of(DH_SHUFFLE_MEMORY_MIN - 1, DH_COMBINE_NONE);
    assert_int_equal(dh_shuffle_create(&one_rank, &options, &shuffle), DH_INTERNAL);
    const char *said = support_capture_end();
    assert_says(said, "67108865");
    assert_says(said, "9 bytes is no array");
    assert_says(said, "are to be added");
    assert_says(said, "bytes of memory");
}

static void test_numbers_sort_as_they_count(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 1000; turn++) {
        const uint64_t a = support_random() >> support_random_below(64);
        const uint64_t b = support_random() >> support_random_below(64);
        uint8_t a_bytes[8];
        uint8_t b_bytes[8];
        dh_pair_put_number(a_bytes, a);
        dh_pair_put_number(b_bytes, b);
        assert_int_equal(dh_pair_number(a_bytes), a);
        const int order = memcmp(a_bytes, b_bytes, sizeof a_bytes);
        assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_much_more_than_the_memory), /* first: it looks at the process's peak of memory */
        cmocka_unit_test(test_a_plain_sort_agrees),
        cmocka_unit_test(test_runs_are_merged),
        cmocka_unit_test(test_several_passes),
        cmocka_unit_test(test_files_are_few),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_large_pairs),
        cmocka_unit_test(test_few_keys_need_no_runs),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_short_calls),
        cmocka_unit_test(test_a_caller_that_fails),
        cmocka_unit_test(test_a_poll_that_ends_it),
        cmocka_unit_test(test_wrong_pairs),
        cmocka_unit_test(test_numbers_sort_as_they_count),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
