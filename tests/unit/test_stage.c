/* Tests of shuffle/stage.h on one rank, and of what another number of ranks wrote: what is committed is found
 * and read again from anywhere, and damage is noticed. */
#include "support.h"

#include "one_rank.h"

#include "base/fault.h"
#include "shuffle/part.h"

static char folder[4400];

static dh_stage_place place_of(const char *name)
{
    return (dh_stage_place){.folder = folder, .name = name, .comm = &one_rank, .run = {1, 2, 3}, .epoch = 4};
}

static const char *path_in(const char *name)
{
    static char path[4500];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *name)
{
    return access(path_in(name), F_OK) == 0;
}

static void begin(const char *name)
{
    (void)snprintf(folder, sizeof folder, "%s", support_make_folder(name));
}

/* Keys are 10, 20, 30 ..., each `each` times; the value is the number of the pair. */
static void add_pairs(dh_part_writer *to, uint64_t from, uint64_t count, uint64_t each, uint32_t value_size)
{
    uint8_t *value = calloc(value_size, 1);
    assert_non_null(value);
    for (uint64_t i = from; i < from + count; i++) {
        memcpy(value, &i, sizeof i);
        const dh_pair pair = {.key = 10 * (i / each + 1),
                              .name = (const uint8_t *)"name",
                              .name_size = (uint32_t)(i % 5),
                              .value = value,
                              .value_size = value_size};
        assert_ok(dh_part_add(to, &pair));
    }
    free(value);
}

/* A stage of several ranks, as they write it. */
static dh_stage make_stage(const dh_stage_place *place, const uint64_t *count, uint32_t ranks, uint64_t each,
                           uint32_t value_size)
{
    dh_stage stage = {.part = calloc(ranks, sizeof *stage.part), .figure = {7, 8}};
    assert_non_null(stage.part);
    for (uint32_t r = 0; r < ranks; r++) {
        dh_part_writer writer;
        dh_stage_part part;
        assert_ok(dh_part_writer_open(place, r, &writer));
        add_pairs(&writer, stage.pairs, count[r], each, value_size);
        assert_ok(dh_part_finish(&writer, &part));
        dh_part_writer_free(&writer);
        assert_int_equal(part.pairs, count[r]);
        if (part.pairs > 0) {
            stage.part[stage.part_count++] = part;
            stage.pairs += part.pairs;
        }
    }
    assert_ok(dh_stage_list_write(place, &stage));
    return stage;
}

static uint64_t number_of(const dh_pair *pair)
{
    uint64_t number;
    assert_true(pair->value_size >= sizeof number);
    memcpy(&number, pair->value, sizeof number);
    return number;
}

static void expect(dh_stage_reader *reader, uint64_t number)
{
    dh_pair pair;
    assert_ok(dh_stage_next(reader, false, &pair));
    assert_int_equal(number_of(&pair), number);
    assert_int_equal(pair.name_size, number % 5);
    assert_memory_equal(pair.name, "name", pair.name_size);
}

static void expect_end(dh_stage_reader *reader)
{
    dh_pair pair;
    assert_int_equal(dh_stage_next(reader, false, &pair), DH_END);
    assert_int_equal(dh_stage_next(reader, true, &pair), DH_END);
}

/* ---- what is committed is found ---------------------------------------------------------------------- */

static void test_a_stage_is_found(void **state)
{
    (void)state;
    begin("found");
    const dh_stage_place place = place_of("terms");
    dh_stage stage;
    bool found = true;
    assert_ok(dh_stage_find(&place, &stage, &found));
    assert_false(found);
    dh_stage_writer *writer = NULL;
    assert_ok(dh_stage_create(&place, &writer));
    for (uint64_t i = 0; i < 100000; i++) {
        const dh_pair pair = {.key = i * i, .value = (const uint8_t *)&i, .value_size = sizeof i};
        assert_ok(dh_stage_add(writer, &pair));
    }
    assert_false(exists("stage-terms"));
    const uint64_t figure[8] = {1, 2, 3, 4, 5, 6, 7, UINT64_MAX};
    dh_stage made;
    assert_ok(dh_stage_commit(writer, DH_OK, figure, &made));
    assert_true(exists("stage-terms"));
    assert_true(exists("part-000004-000000-terms"));
    assert_ok(dh_stage_find(&place, &stage, &found));
    assert_true(found);
    assert_int_equal(stage.pairs, 100000);
    assert_int_equal(stage.part_count, 1);
    assert_memory_equal(stage.part, made.part, sizeof *stage.part);
    assert_memory_equal(stage.figure, figure, sizeof figure);
    dh_stage_free(&made);
    dh_stage_place other = place;
    other.run[15] = 1;
    assert_ok(dh_stage_find(&other, &made, &found));
    assert_false(found); /* of another run */
    assert_ok(dh_stage_remove(&place, &stage));
    assert_false(exists("stage-terms"));
    assert_false(exists("part-000004-000000-terms"));
    dh_stage_free(&stage);
}

static void test_an_empty_stage(void **state)
{
    (void)state;
    begin("empty");
    const dh_stage_place place = place_of("none");
    const uint64_t figure[8] = {9};
    dh_stage_writer *writer = NULL;
    dh_stage stage;
    bool found = false;
    assert_ok(dh_stage_create(&place, &writer));
    assert_ok(dh_stage_commit(writer, DH_OK, figure, &stage));
    dh_stage_free(&stage);
    assert_ok(dh_stage_find(&place, &stage, &found));
    assert_true(found);
    assert_int_equal(stage.part_count, 0);
    assert_int_equal(stage.figure[0], 9);
    dh_stage_reader *reader = NULL;
    assert_ok(dh_stage_open(&place, &stage, &reader));
    expect_end(reader);
    assert_ok(dh_stage_seek(reader, 5));
    expect_end(reader);
    assert_ok(dh_stage_seek_part(reader, 0));
    expect_end(reader);
    dh_stage_close(reader);
    dh_stage_close(NULL);
    dh_stage_free(&stage);
}

static void test_a_failure_leaves_nothing(void **state)
{
    (void)state;
    begin("failure");
    const dh_stage_place place = place_of("terms");
    const uint64_t figure[8] = {0};
    const dh_pair pair = {.key = 1};
    dh_stage_writer *writer = NULL;
    dh_stage stage;
    assert_ok(dh_stage_create(&place, &writer));
    assert_ok(dh_stage_add(writer, &pair));
    assert_true(exists("part-000004-000000-terms"));
    assert_int_equal(dh_stage_commit(writer, DH_AGAIN, figure, &stage), DH_AGAIN);
    assert_false(exists("part-000004-000000-terms"));
    assert_false(exists("stage-terms"));
}

static dh_status nobody_may(void *context)
{
    unsigned *left = context;
    return *left > 0 ? (--*left, DH_OK) : DH_LOCKED;
}

static void test_an_attempt_that_was_replaced(void **state)
{
    (void)state;
    begin("replaced");
    const uint64_t figure[8] = {0};
    const dh_pair pair = {.key = 1};
    for (unsigned asked = 0; asked < 3; asked++) { /* the file, its block, the list */
        unsigned left = asked;
        dh_stage_place place = place_of("terms");
        place.may_write = nobody_may;
        place.write_context = &left;
        dh_stage_writer *writer = NULL;
        dh_stage stage;
        assert_ok(dh_stage_create(&place, &writer));
        const dh_status status = dh_stage_add(writer, &pair);
        assert_int_equal(status, asked == 0 ? DH_LOCKED : DH_OK);
        assert_int_equal(dh_stage_commit(writer, status, figure, &stage), DH_LOCKED);
        assert_false(exists("stage-terms"));
        assert_false(exists("part-000004-000000-terms"));
    }
}

static void test_failing_calls(void **state)
{
    (void)state;
    begin("calls");
    const dh_stage_place place = place_of("terms");
    const uint64_t figure[8] = {0};
    static const char *const faults[] = {
        "call=open,error=ENOSPC",       "call=write,error=ENOSPC",        "call=write,error=EIO,at=2",
        "call=sync,error=EIO",          "call=sync,error=EIO,at=2",       "call=sync,error=EIO,at=3",
        "call=sync,error=EIO,at=4",     "call=close,error=EIO",           "call=rename,error=EIO",
        "call=write,error=ENOSPC,at=3", "call=allocate,error=ENOMEM,at=3"};
    for (size_t i = 0; i < COUNT(faults); i++) {
        support_capture_begin();
        assert_int_equal(setenv("DHATU_FAULT", faults[i], 1), 0);
        assert_ok(dh_fault_arm(0));
        const dh_pair pair = {.key = 1};
        dh_stage_writer *writer = NULL;
        dh_stage stage = {0};
        bool found = true;
        dh_status status = dh_stage_create(&place, &writer);
        if (status == DH_OK) {
            status = dh_stage_add(writer, &pair);
            status = dh_stage_commit(writer, status, figure, &stage);
        }
        assert_int_equal(unsetenv("DHATU_FAULT"), 0);
        assert_ok(dh_fault_report());
        if (status == DH_OK) {
            (void)support_capture_end();
            fail_msg("%s: no error", faults[i]);
        }
        assert_ok(dh_stage_find(&place, &stage, &found));
        assert_says(support_capture_end(), "error:");
        assert_false(found);
        assert_false(exists("part-000004-000000-terms"));
        assert_ok(
            dh_stage_sweep(folder, place.run, 5)); /* a list without its part may stay: it is no stage */
    }
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static void test_reading_from_anywhere(void **state)
{
    (void)state;
    begin("anywhere");
    static const uint64_t count[] = {0, 30000, 1, 0, 50000, 0};
    const dh_stage_place place = place_of("rows");
    for (uint64_t each = 1; each < 20000; each = each * 13 + 1) {
        dh_stage stage = make_stage(&place, count, COUNT(count), each, 8);
        assert_int_equal(stage.part_count, 3);
        dh_stage found = {0};
        bool is_there = false;
        assert_ok(dh_stage_find(&place, &found, &is_there));
        assert_true(is_there);
        assert_int_equal(found.part_count, 3);
        dh_stage_reader *reader = NULL;
        assert_ok(dh_stage_open(&place, &found, &reader));
        for (uint64_t i = 0; i < found.pairs; i++) {
            expect(reader, i);
        }
        expect_end(reader);
        for (unsigned turn = 0; turn < support_turns(500); turn++) {
            const uint64_t key = support_random_below(10 * (found.pairs / each + 3));
            const uint64_t first = (key + 9) / 10 > 0 ? ((key + 9) / 10 - 1) * each : 0;
            assert_ok(dh_stage_seek(reader, key));
            for (uint64_t i = first; i < first + support_random_below(3000); i++) {
                if (i >= found.pairs) {
                    expect_end(reader);
                    break;
                }
                expect(reader, i);
            }
        }
        for (uint32_t p = 0; p < found.part_count; p++) {
            assert_ok(dh_stage_seek_part(reader, p));
            dh_pair pair;
            uint64_t pairs = 0;
            while (dh_stage_next(reader, true, &pair) == DH_OK) {
                pairs++;
            }
            assert_int_equal(pairs, found.part[p].pairs);
            assert_int_equal(dh_stage_next(reader, true, &pair), DH_END);
        }
        assert_ok(dh_stage_seek_part(reader, 0));
        expect(reader, 0);
        dh_stage_close(reader);
        assert_ok(dh_stage_remove(&place, &found));
        dh_stage_free(&found);
        dh_stage_free(&stage);
    }
}

/* So many blocks that not all are in the index. */
static void test_an_index_of_some_blocks(void **state)
{
    (void)state;
    begin("index");
    enum { VALUE = 40000, PAIRS = DH_PART_INDEX_MAX + 100, TURNS = 300 };
    const dh_stage_place place = place_of("rows");
    const uint64_t count[] = {PAIRS};
    dh_stage stage = make_stage(&place, count, 1, 1, VALUE);
    dh_stage_reader *reader = NULL;
    assert_ok(dh_stage_open(&place, &stage, &reader));
    for (unsigned turn = 0; turn < TURNS; turn++) {
        const uint64_t number = turn < 2 ? turn * (PAIRS - 1) : support_random_below(PAIRS);
        assert_ok(dh_stage_seek(reader, 10 * number + 1));
        expect(reader, number);
    }
    dh_stage_close(reader);
    assert_ok(dh_stage_remove(&place, &stage));
    dh_stage_free(&stage);
}

static void test_large_pairs(void **state)
{
    (void)state;
    begin("large");
    enum { VALUE = 3 << 20 };
    const dh_stage_place place = place_of("rows");
    const uint64_t count[] = {3, 4};
    dh_stage stage = make_stage(&place, count, 2, 1, VALUE);
    dh_stage_reader *reader = NULL;
    assert_ok(dh_stage_open(&place, &stage, &reader));
    for (uint64_t i = 0; i < stage.pairs; i++) {
        expect(reader, i);
    }
    expect_end(reader);
    assert_ok(dh_stage_seek(reader, 25));
    expect(reader, 2);
    dh_stage_close(reader);
    dh_stage_free(&stage);
}

/* ---- damage ------------------------------------------------------------------------------------------ */

typedef struct file_copy {
    uint8_t *bytes;
    size_t size;
} file_copy;

static file_copy load(const char *name)
{
    file_copy copy = {calloc(1, 1 << 20), 0};
    assert_non_null(copy.bytes);
    const int file = open(path_in(name), O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    const ssize_t size = read(file, copy.bytes, 1 << 20);
    assert_true(size > 0 && size < 1 << 20);
    assert_int_equal(close(file), 0);
    copy.size = (size_t)size;
    return copy;
}

static void store(const char *name, const uint8_t *bytes, size_t size)
{
    const int file = open(path_in(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, size), size);
    assert_int_equal(close(file), 0);
}

/* Reads all and some from the middle: DH_OK, and everything is as it was; or DH_IO. */
static dh_status read_all(const dh_stage_place *place, const dh_stage *stage, uint64_t pairs)
{
    dh_stage_reader *reader = NULL;
    assert_ok(dh_stage_open(place, stage, &reader));
    dh_status status = DH_OK;
    uint64_t number = 0;
    for (int turn = 0; turn < 2; turn++) {
        dh_pair pair;
        while ((status = dh_stage_next(reader, false, &pair)) == DH_OK) {
            assert_int_equal(number_of(&pair), number);
            number++;
        }
        if (status != DH_END) {
            break;
        }
        assert_int_equal(number, pairs);
        number = pairs / 2;
        status = dh_stage_seek(reader, 10 * (number + 1));
        if (status != DH_OK) {
            break;
        }
    }
    dh_stage_close(reader);
    return status;
}

/* True: the damage was noticed, before anything is read from the stage. */
static bool is_noticed(const dh_stage_place *place, uint64_t pairs)
{
    dh_stage stage = {0};
    bool found = false;
    assert_ok(dh_stage_find(place, &stage, &found));
    if (!found) {
        return true;
    }
    assert_ok(read_all(place, &stage, pairs));
    dh_stage_free(&stage);
    return false;
}

static void damage(const dh_stage_place *place, const char *name, uint64_t pairs, size_t step)
{
    const file_copy good = load(name);
    uint8_t *bad = malloc(good.size + 1);
    assert_non_null(bad);
    for (size_t at = 0; at < good.size; at += step) {
        memcpy(bad, good.bytes, good.size);
        bad[at] ^= (uint8_t)(1U << support_random_below(8));
        store(name, bad, good.size);
        if (!is_noticed(place, pairs)) {
            (void)support_capture_end();
            fail_msg("%s: a change of byte %zu of %zu is not noticed", name, at, good.size);
        }
        store(name, good.bytes, at);
        if (!is_noticed(place, pairs)) {
            (void)support_capture_end();
            fail_msg("%s: a cut at %zu of %zu is not noticed", name, at, good.size);
        }
    }
    memcpy(bad, good.bytes, good.size);
    bad[good.size] = 0;
    store(name, bad, good.size + 1);
    assert_true(is_noticed(place, pairs));
    assert_int_equal(unlink(path_in(name)), 0);
    assert_true(is_noticed(place, pairs));
    store(name, good.bytes, good.size);
    assert_false(is_noticed(place, pairs));
    free(bad);
    free(good.bytes);
}

static void test_damage_is_noticed(void **state)
{
    (void)state;
    begin("damage");
    static const uint64_t count[] = {20, 0, 31};
    const dh_stage_place place = place_of("rows");
    dh_stage stage = make_stage(&place, count, COUNT(count), 1, 8);
    static const struct {
        const char *name, *says;
    } files[] = {{"part-000004-000000-rows", "the stage rows (attempt 4, rank 0) is missing or damaged"},
                 {"part-000004-000002-rows", "the stage rows (attempt 4, rank 2) is missing or damaged"},
                 {"stage-rows", "stage-rows: damaged; this step"}};
    for (size_t i = 0; i < COUNT(files); i++) {
        support_capture_begin();
        damage(&place, files[i].name, stage.pairs, 1);
        const char *said = support_capture_end();
        assert_says(said, files[i].says);
        assert_null(strstr(said, "error:")); /* the step is done again */
    }
    dh_stage_free(&stage);
}

/* Several blocks: places of blocks that are exchanged, and every so many bytes. */
static void test_damage_of_several_blocks(void **state)
{
    (void)state;
    begin("blocks");
    enum { STEP = 4099 };
    static const uint64_t count[] = {40};
    const dh_stage_place place = place_of("rows");
    dh_stage stage = make_stage(&place, count, 1, 1, 8000); /* eight pairs a block */
    support_capture_begin();
    damage(&place, "part-000004-000000-rows", stage.pairs, STEP);
    (void)support_capture_end();
    dh_stage_free(&stage);
}

/* A block that is damaged behind a check is an error. */
static void test_damage_behind_the_check(void **state)
{
    (void)state;
    begin("behind");
    static const uint64_t count[] = {20};
    const char *name = "part-000004-000000-rows";
    const dh_stage_place place = place_of("rows");
    dh_stage stage = make_stage(&place, count, 1, 1, 8);
    file_copy copy = load(name);
    copy.bytes[100] ^= 1;
    store(name, copy.bytes, copy.size);
    support_capture_begin();
    const dh_status status = read_all(&place, &stage, 20);
    assert_says(support_capture_end(), "part-000004-000000-rows: the block at 0 is damaged");
    assert_int_equal(status, DH_IO);
    free(copy.bytes);
    dh_stage_free(&stage);
}

static void test_a_check_is_left(void **state)
{
    (void)state;
    begin("left");
    static const uint64_t count[] = {20};
    unsigned left = 0;
    dh_stage_place place = place_of("rows");
    dh_stage stage = make_stage(&place, count, 1, 1, 8);
    dh_stage found = {0};
    bool is_there = false;
    place.may_write = nobody_may;
    place.write_context = &left;
    assert_int_equal(dh_stage_find(&place, &found, &is_there), DH_LOCKED);
    dh_stage_free(&stage);
}

/* A part in the stead of another: of another attempt, another stage. */
static void test_parts_of_others(void **state)
{
    (void)state;
    begin("others");
    const uint64_t count[] = {5};
    const dh_stage_place rows = place_of("rows");
    const dh_stage_place terms = place_of("terms");
    dh_stage_place later = place_of("later");
    dh_stage one = make_stage(&rows, count, 1, 1, 8);
    dh_stage two = make_stage(&terms, count, 1, 1, 8);
    support_capture_begin();
    assert_int_equal(
        rename(path_in("part-000004-000000-rows"), support_path("others/part-000004-000000-terms")), 0);
    assert_true(is_noticed(&terms, 5));
    assert_true(is_noticed(&rows, 5));
    later.epoch = 5;
    dh_stage three = make_stage(&later, count, 1, 1, 8);
    assert_int_equal(rename(path_in("stage-later"), support_path("others/stage-rows")), 0);
    assert_true(is_noticed(&rows, 5));
    (void)support_capture_end();
    dh_stage_free(&one);
    dh_stage_free(&two);
    dh_stage_free(&three);
}

/* ---- what is left of other attempts ------------------------------------------------------------------- */

static void test_sweeping(void **state)
{
    (void)state;
    begin("sweep");
    const uint64_t count[] = {5, 6};
    const dh_stage_place rows = place_of("rows");
    dh_stage_place foreign = place_of("foreign");
    foreign.run[0] = 99;
    dh_stage stage = make_stage(&rows, count, 2, 1, 8);
    dh_stage other = make_stage(&foreign, count, 2, 1, 8);
    static const char *const goes[] = {"shuffle-000004-000000-terms-0",
                                       "shuffle-000001-000007-rows-12",
                                       "part-000003-000000-rows",
                                       "part-000004-000002-rows",
                                       "part-000004-000000-edges",
                                       "part-000004-000000-foreign",
                                       "stage-foreign",
                                       "stage-broken"};
    static const char *const stays[] = {"part-000004-000000-rows",
                                        "part-000004-000001-rows",
                                        "stage-rows",
                                        "part-000005-000000-edges",
                                        "shuffle-000005-000000-terms-0",
                                        "shuffle-x",
                                        "part-of-a-book",
                                        "notes"};
    for (size_t i = 0; i < COUNT(goes); i++) {
        if (!exists(goes[i])) {
            store(goes[i], (const uint8_t *)"x", 1);
        }
    }
    for (size_t i = 0; i < COUNT(stays); i++) {
        if (!exists(stays[i])) {
            store(stays[i], (const uint8_t *)"x", 1);
        }
    }
    support_capture_begin();
    const dh_status status = dh_stage_sweep(folder, rows.run, 5);
    assert_says(support_capture_end(), "stage-broken: damaged");
    assert_ok(status);
    for (size_t i = 0; i < COUNT(goes); i++) {
        assert_false(exists(goes[i]));
    }
    for (size_t i = 0; i < COUNT(stays); i++) {
        assert_true(exists(stays[i]));
    }
    dh_stage_place next = rows;
    next.epoch = 5;
    bool found = false;
    dh_stage again = {0};
    assert_ok(dh_stage_find(&next, &again, &found));
    assert_true(found);
    assert_ok(read_all(&next, &again, 11));
    dh_stage_free(&again);
    dh_stage_free(&stage);
    dh_stage_free(&other);
}

/* An attempt that was replaced before its sweep leaves what the later one made, also of another run. */
static void test_a_late_sweep(void **state)
{
    (void)state;
    begin("late");
    const uint64_t count[] = {5, 6};
    dh_stage_place later = place_of("later");
    dh_stage_place foreign = place_of("foreign");
    dh_stage_place past = place_of("past");
    foreign.run[0] = past.run[0] = 99;
    later.epoch = foreign.epoch = 6;
    dh_stage stage[] = {make_stage(&later, count, 2, 1, 8), make_stage(&foreign, count, 2, 1, 8),
                        make_stage(&past, count, 2, 1, 8)};
    assert_ok(dh_stage_sweep(folder, later.run, 5));
    static const char *const stays[] = {
        "stage-later",   "part-000006-000000-later",   "part-000006-000001-later",
        "stage-foreign", "part-000006-000000-foreign", "part-000006-000001-foreign"};
    for (size_t i = 0; i < COUNT(stays); i++) {
        assert_true(exists(stays[i]));
    }
    assert_false(exists("stage-past"));
    assert_false(exists("part-000004-000001-past"));
    for (size_t i = 0; i < COUNT(stage); i++) {
        dh_stage_free(&stage[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stage_is_found),
        cmocka_unit_test(test_an_empty_stage),
        cmocka_unit_test(test_a_failure_leaves_nothing),
        cmocka_unit_test(test_an_attempt_that_was_replaced),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_reading_from_anywhere),
        cmocka_unit_test(test_an_index_of_some_blocks),
        cmocka_unit_test(test_large_pairs),
        cmocka_unit_test(test_damage_is_noticed),
        cmocka_unit_test(test_damage_of_several_blocks),
        cmocka_unit_test(test_damage_behind_the_check),
        cmocka_unit_test(test_a_check_is_left),
        cmocka_unit_test(test_parts_of_others),
        cmocka_unit_test(test_sweeping),
        cmocka_unit_test(test_a_late_sweep),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
