/* Tests of checkpoint/manifest.h: fingerprints, what a checkpoint was made from, the mark of the result. */
#include "support.h"

#include "base/file.h"
#include "checkpoint/manifest.h"

#include <time.h>

/* ---- helpers ----------------------------------------------------------------------------------------- */

typedef struct given_source {
    const char *name;
    uint64_t size;
    dh_work_kind kind;
} given_source;

enum { SEGMENT = 1 << 20 };

static char *fresh_folder(void)
{
    static unsigned number;
    char name[32];
    static char folder[4400];
    (void)snprintf(name, sizeof name, "ckpt%u", number++);
    (void)snprintf(folder, sizeof folder, "%s", support_make_folder(name));
    return folder;
}

/* A plan with a group for each source. */
static dh_plan *make_plan(const given_source *given, uint64_t count, uint64_t segment_size)
{
    uint64_t strings = 0;
    for (uint64_t s = 0; s < count; s++) {
        strings += strlen(given[s].name) + 1;
    }
    dh_plan plan = {.source_count = count,
                    .group_count = count,
                    .sources = sizeof plan,
                    .groups = sizeof plan + count * sizeof(dh_source),
                    .segment_size = segment_size};
    uint64_t string = plan.groups + count * sizeof(dh_work_group);
    plan.block_size = string + strings;
    uint8_t *block = calloc(1, plan.block_size);
    assert_non_null(block);
    for (uint64_t s = 0; s < count; s++) {
        const size_t size = strlen(given[s].name);
        const dh_source source = {
            .name = string, .path = string, .size = given[s].size, .name_size = (uint32_t)size};
        const dh_work_group group = {.first_item = plan.item_count,
                                     .first_source = (uint32_t)s,
                                     .source_count = 1,
                                     .kind = (uint32_t)given[s].kind};
        memcpy(block + plan.sources + s * sizeof source, &source, sizeof source);
        memcpy(block + plan.groups + s * sizeof group, &group, sizeof group);
        memcpy(block + string, given[s].name, size + 1);
        string += size + 1;
        plan.file_bytes += given[s].size;
        plan.item_count +=
            given[s].kind == DH_WORK_RANGES ? (given[s].size + segment_size - 1) / segment_size : 1;
    }
    memcpy(block, &plan, sizeof plan);
    return (dh_plan *)(void *)block;
}

static const given_source three[] = {{"a.jsonl", 5 * SEGMENT + 1, DH_WORK_RANGES},
                                     {"b.jsonl.gz", 3 * SEGMENT, DH_WORK_STREAM},
                                     {"c.txt", 100, DH_WORK_RUN}};
static const dh_fingerprint three_prints[] = {{1000, 1}, {2000, 2}, {UINT64_C(1767323045123456789), 3}};
static const char options_text[] = "tokens=unicode\nversion=1.0\nsegment-size=1048576\n";

static dh_manifest three_manifest(const dh_plan *plan)
{
    dh_manifest manifest = {.first_epoch = 4,
                            .kind = DH_FINGERPRINT_ENDS,
                            .options = options_text,
                            .plan = plan,
                            .fingerprint = three_prints};
    for (size_t i = 0; i < DH_RUN_ID_SIZE; i++) {
        manifest.run.byte[i] = (uint8_t)(i + 1);
    }
    return manifest;
}

/* Compares and gives what was said. */
static const char *compared(const char *folder, const dh_manifest *now, dh_status expected)
{
    support_capture_begin();
    const dh_status status = dh_manifest_compare(folder, now);
    const char *said = support_capture_end();
    if (status != expected) {
        fail_msg("status %s, said: %s", dh_status_name(status), said);
    }
    return said;
}

/* ---- round trip -------------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    bool found = true;
    dh_manifest_facts facts;
    assert_ok(dh_manifest_read(folder, &facts, &found));
    assert_false(found);
    dh_plan *plan = make_plan(three, COUNT(three), SEGMENT);
    const dh_manifest manifest = three_manifest(plan);
    assert_ok(dh_manifest_write(folder, &manifest));
    assert_ok(dh_manifest_read(folder, &facts, &found));
    assert_true(found);
    assert_memory_equal(&facts.run, &manifest.run, sizeof facts.run);
    assert_int_equal(facts.first_epoch, 4);
    assert_int_equal(facts.fingerprint_kind, DH_FINGERPRINT_ENDS);
    assert_int_equal(facts.source_count, 3);
    assert_int_equal(facts.file_bytes, 8 * SEGMENT + 101);
    assert_int_equal(facts.segment_size, SEGMENT);
    assert_int_equal(facts.known_segments, 7);
    assert_int_equal(facts.stream_bytes, 3 * SEGMENT);
    dh_manifest other = manifest;
    memset(&other.run, 0, sizeof other.run);
    other.first_epoch = 9;
    assert_string_equal(compared(folder, &other, DH_OK), "");
    free(plan);
}

static void test_ten_thousand_sources(void **state)
{
    (void)state;
    enum { SOURCES = 10000 };
    const char *folder = fresh_folder();
    given_source *given = calloc(SOURCES, sizeof *given);
    dh_fingerprint *prints = calloc(SOURCES, sizeof *prints);
    char(*names)[16] = calloc(SOURCES, sizeof *names);
    assert_true(given != NULL && prints != NULL && names != NULL);
    for (unsigned s = 0; s < SOURCES; s++) {
        (void)snprintf(names[s], sizeof names[s], "part-%05u", s);
        given[s] = (given_source){names[s], s, DH_WORK_WHOLE};
        prints[s] = (dh_fingerprint){.mtime = 1 + s, .hash = support_random()};
    }
    dh_plan *plan = make_plan(given, SOURCES, SEGMENT);
    dh_manifest manifest = {.options = "", .plan = plan, .fingerprint = prints};
    assert_ok(dh_manifest_write(folder, &manifest));
    assert_string_equal(compared(folder, &manifest, DH_OK), "");
    dh_manifest_facts facts;
    bool found = false;
    assert_ok(dh_manifest_read(folder, &facts, &found));
    assert_true(found && facts.source_count == SOURCES && facts.known_segments == SOURCES);
    for (unsigned s = 0; s < SOURCES; s++) {
        prints[s].hash++;
    }
    const char *said = compared(folder, &manifest, DH_MISMATCH);
    assert_says(said, "part-00009: content differs");
    assert_null(strstr(said, "part-00010"));
    assert_says(said, "  and 9990 more differences\n");
    prints[0].hash--;
    manifest.plan = NULL;
    free(plan);
    /* All but every second source are gone. */
    for (unsigned s = 0; s < SOURCES / 2; s++) {
        given[s] = given[2 * s];
        prints[s] = prints[2 * s];
        prints[s].hash -= s > 0 ? 1 : 0;
    }
    plan = make_plan(given, SOURCES / 2, SEGMENT);
    manifest.plan = plan;
    said = compared(folder, &manifest, DH_MISMATCH);
    assert_says(said, "part-00001: is gone");
    assert_says(said, "part-00019: is gone");
    assert_says(said, "  and 4990 more differences\n");
    free(plan);
    free(names);
    free(prints);
    free(given);
}

/* ---- differences ------------------------------------------------------------------------------------- */

static void test_every_difference_of_sources_is_named(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_plan *plan = make_plan(three, COUNT(three), SEGMENT);
    const dh_manifest manifest = three_manifest(plan);
    assert_ok(dh_manifest_write(folder, &manifest));
    given_source given[4];
    memcpy(given, three, sizeof three);
    dh_fingerprint prints[4];
    memcpy(prints, three_prints, sizeof three_prints);
    dh_manifest now = manifest;
    now.fingerprint = prints;

    prints[0].hash++;
    const char *said = compared(folder, &now, DH_MISMATCH);
    assert_says(said, "error: the checkpoint in ");
    assert_says(said, folder);
    assert_says(said, " was made from other input or with other options:\n");
    assert_says(said, "error:   a.jsonl: content differs\n");
    assert_says(said, "error: undo the change, or give --fresh to start over\n");
    prints[0].mtime = UINT64_C(1767323046000000000);
    assert_says(compared(folder, &now, DH_MISMATCH),
                "a.jsonl: was changed at 2026-01-02 03:04:06 UTC: content differs\n");
    prints[0].hash--;
    assert_says(
        compared(folder, &now, DH_MISMATCH),
        "a.jsonl: was changed at 2026-01-02 03:04:06 UTC: size and content of its first and last 64 KiB "
        "are the same; if all of it is, give it its old time back: touch -d @0.000001000 FILE\n");
    prints[0] = three_prints[0];
    prints[2].mtime++;
    assert_says(compared(folder, &now, DH_MISMATCH), "size and content are the same");
    assert_says(support_said, "touch -d @1767323045.123456789 FILE");
    prints[2].mtime--;
    assert_string_equal(compared(folder, &now, DH_OK), "");

    given[2].size = 101;
    dh_plan *larger = make_plan(given, 3, SEGMENT);
    now.plan = larger;
    assert_says(compared(folder, &now, DH_MISMATCH), "  c.txt: had 100 bytes, has 101 now\n");
    free(larger);
    given[2] = three[2];

    dh_plan *fewer = make_plan(given, 2, SEGMENT);
    now.plan = fewer;
    assert_says(compared(folder, &now, DH_MISMATCH), "  c.txt: is gone\n");
    free(fewer);
    dh_plan *behind = make_plan(given + 1, 2, SEGMENT);
    now.plan = behind;
    now.fingerprint = prints + 1;
    assert_says(compared(folder, &now, DH_MISMATCH), "  a.jsonl: is gone\n");
    assert_null(strstr(support_said, "b.jsonl"));
    free(behind);

    given[3] = (given_source){"c.txt.more", 1, DH_WORK_WHOLE};
    prints[3] = (dh_fingerprint){1, 1};
    dh_plan *more = make_plan(given, 4, SEGMENT);
    now.plan = more;
    now.fingerprint = prints;
    assert_says(compared(folder, &now, DH_MISMATCH), "  c.txt.more: is new\n");
    assert_null(strstr(support_said, "c.txt:"));
    free(more);

    given[1].kind = DH_WORK_WHOLE;
    dh_plan *cut = make_plan(given, 3, SEGMENT);
    now.plan = cut;
    assert_says(
        compared(folder, &now, DH_MISMATCH),
        "the work was cut into 7 segments and 3145728 bytes of compressed sources, is cut into 8 and 0 "
        "now");
    free(cut);
    free(plan);
}

static void test_every_difference_of_options_is_named(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_plan *plan = make_plan(three, COUNT(three), SEGMENT);
    const dh_manifest manifest = three_manifest(plan);
    assert_ok(dh_manifest_write(folder, &manifest));
    static const struct {
        const char *options, *said;
    } cases[] = {
        {"tokens=sklearn\nversion=1.0\nsegment-size=1048576\n", "  --tokens was unicode, is sklearn now\n"},
        {"tokens=unicode\nversion=1.1\nsegment-size=1048576\n", "  version was 1.0, is 1.1 now\n"},
        {"tokens=unicode\nversion=1.0\nsegment-size=2097152\n",
         "  --segment-size was 1048576, is 2097152 now\n"},
        {"version=1.0\nsegment-size=1048576\n", "  --tokens was unicode, is not given now\n"},
        {"tokens=unicode\nversion=1.0\nsegment-size=1048576\nlang=en\n",
         "  --lang was not given, is en now\n"},
        {"tokens=unicode\nversion=1.0\nsegment-size=1048576\nodd", "  odd was not given, is  now\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        dh_manifest now = manifest;
        now.options = cases[i].options;
        assert_says(compared(folder, &now, DH_MISMATCH), cases[i].said);
        assert_null(strstr(support_said, "more differences"));
    }
    dh_manifest now = manifest;
    now.kind = DH_FINGERPRINT_ALL;
    const dh_fingerprint other[3] = {{0, 7}, {0, 8}, {0, 9}};
    now.fingerprint = other;
    assert_says(compared(folder, &now, DH_MISMATCH), "  --fingerprint was ends, is all now\n");
    assert_null(strstr(support_said, "content differs")); /* which is not known */
    dh_plan *finer = make_plan(three, COUNT(three), SEGMENT / 2);
    now = manifest;
    now.plan = finer;
    now.options = "tokens=unicode\nversion=1.0\nsegment-size=524288\n";
    assert_says(compared(folder, &now, DH_MISMATCH), "  --segment-size was 1048576, is 524288 now\n");
    free(finer);
    free(plan);
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static void expect_refused(const char *folder, const dh_manifest *now, const char *what, size_t where)
{
    dh_manifest_facts facts;
    bool found = false;
    support_capture_begin();
    const dh_status read = dh_manifest_read(folder, &facts, &found);
    const dh_status same = dh_manifest_compare(folder, now);
    const char *said = support_capture_end();
    if (read != DH_MISMATCH || same != DH_MISMATCH) {
        fail_msg("%s at %zu was not seen", what, where);
    }
    assert_says(said, "--fresh");
}

static void test_damage_is_seen(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_plan *plan = make_plan(three, COUNT(three), SEGMENT);
    const dh_manifest manifest = three_manifest(plan);
    assert_ok(dh_manifest_write(folder, &manifest));
    char name[4500];
    (void)snprintf(name, sizeof name, "%s/manifest", strrchr(folder, '/') + 1);
    dh_buffer good = {0};
    assert_ok(dh_file_read_all(support_path(name), 1 << 20, &good));
    for (size_t size = 0; size < good.size; size++) {
        (void)support_write(name, good.data, size);
        expect_refused(folder, &manifest, "a cut", size);
    }
    for (size_t bit = 0; bit < 8 * good.size; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        (void)support_write(name, good.data, good.size);
        good.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        expect_refused(folder, &manifest, "a flipped bit", bit);
    }
    assert_ok(dh_buffer_append(&good, "x", 1));
    (void)support_write(name, good.data, good.size);
    expect_refused(folder, &manifest, "a byte too many", good.size);
    dh_buffer_free(&good);
    free(plan);
}

/* ---- fingerprints ------------------------------------------------------------------------------------ */

static dh_fingerprint print_of(const char *path, uint64_t size, dh_fingerprint_kind kind)
{
    dh_fingerprint print = {0};
    assert_ok(dh_fingerprint_read(path, size, kind, NULL, NULL, &print));
    return print;
}

static void test_fingerprints(void **state)
{
    (void)state;
    enum { SIZE = 3 * 1024 * 1024 + 17, END = 64 * 1024 };
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)support_random();
    }
    static const size_t size[] = {0, 1, 2 * END - 1, 2 * END, 2 * END + 1, SIZE};
    for (size_t i = 0; i < COUNT(size); i++) {
        const char *path = support_write("source", bytes, size[i]);
        const dh_fingerprint ends = print_of(path, size[i], DH_FINGERPRINT_ENDS);
        const dh_fingerprint all = print_of(path, size[i], DH_FINGERPRINT_ALL);
        assert_true(ends.mtime != 0 && all.mtime == 0);
        assert_true((ends.hash == all.hash) == (size[i] <= 2 * END));
        static const int from_end[] = {0, 0, 1, 1};
        static const size_t place[] = {0, END - 1, 1, END};
        for (size_t p = 0; p < COUNT(place) && size[i] > 2 * END - 2; p++) {
            const size_t at = from_end[p] ? size[i] - place[p] : place[p];
            bytes[at] ^= 1;
            (void)support_write("source", bytes, size[i]);
            bytes[at] ^= 1;
            assert_true(print_of(path, size[i], DH_FINGERPRINT_ENDS).hash != ends.hash);
            assert_true(print_of(path, size[i], DH_FINGERPRINT_ALL).hash != all.hash);
        }
    }
    /* What only the one over all bytes sees. */
    const char *path = support_write("source", bytes, SIZE);
    const dh_fingerprint ends = print_of(path, SIZE, DH_FINGERPRINT_ENDS);
    const dh_fingerprint all = print_of(path, SIZE, DH_FINGERPRINT_ALL);
    bytes[SIZE / 2] ^= 1;
    (void)support_write("source", bytes, SIZE);
    assert_true(print_of(path, SIZE, DH_FINGERPRINT_ENDS).hash == ends.hash);
    assert_true(print_of(path, SIZE, DH_FINGERPRINT_ALL).hash != all.hash);
    free(bytes);
    const struct timespec times[2] = {{.tv_sec = 5, .tv_nsec = 7}, {.tv_sec = 5, .tv_nsec = 7}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(print_of(path, SIZE, DH_FINGERPRINT_ENDS).mtime, 5000000007);
}

static dh_status count_down(void *context)
{
    int *left = context;
    return (*left)-- > 0 ? DH_OK : DH_AGAIN;
}

static void test_fingerprints_of_changed_files(void **state)
{
    (void)state;
    char *bytes = calloc(5, 1 << 20);
    assert_non_null(bytes);
    const char *path = support_write("long", bytes, 5 << 20);
    free(bytes);
    dh_fingerprint print;
    support_capture_begin();
    const dh_status size = dh_fingerprint_read(path, 4, DH_FINGERPRINT_ENDS, NULL, NULL, &print);
    assert_says(support_capture_end(), "long: changed while the run was planned");
    assert_int_equal(size, DH_IO);
    support_capture_begin();
    const dh_status missing =
        dh_fingerprint_read(support_path("missing"), 4, DH_FINGERPRINT_ENDS, NULL, NULL, &print);
    assert_says(support_capture_end(), "missing: cannot open");
    assert_int_equal(missing, DH_IO);
    assert_int_equal(mkfifo(support_path("fifo"), 0666), 0);
    support_capture_begin();
    const dh_status fifo =
        dh_fingerprint_read(support_path("fifo"), 0, DH_FINGERPRINT_ENDS, NULL, NULL, &print);
    assert_says(support_capture_end(), "fifo: changed while");
    assert_int_equal(fifo, DH_IO);
    int left = 3;
    assert_int_equal(dh_fingerprint_read(path, 5 << 20, DH_FINGERPRINT_ALL, count_down, &left, &print),
                     DH_AGAIN);
    left = 5;
    assert_ok(dh_fingerprint_read(path, 5 << 20, DH_FINGERPRINT_ALL, count_down, &left, &print));
}

/* ---- the mark of the result -------------------------------------------------------------------------- */

static void test_result_mark(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    char digest[65];
    memset(digest, 'a', 64);
    digest[64] = '\0';
    const char *partial = support_write_text("out.h5.partial", "result");
    const char *final = support_path("out.h5");
    bool matches = true;
    assert_ok(dh_result_mark_matches(folder, final, &matches));
    assert_false(matches);
    assert_ok(dh_result_mark_write(folder, partial, digest));
    assert_ok(dh_result_mark_matches(folder, final, &matches));
    assert_false(matches);
    assert_ok(dh_file_rename(partial, final));
    assert_ok(dh_result_mark_matches(folder, final, &matches));
    assert_true(matches);
    (void)support_write_text("out.h5", "longer result");
    assert_ok(dh_result_mark_matches(folder, final, &matches));
    assert_false(matches);
    (void)support_write_text("out.h5", "result");
    assert_ok(dh_result_mark_matches(folder, final, &matches));
    assert_true(matches);
    (void)support_write_text("other", "result");
    assert_ok(dh_result_mark_matches(folder, support_path("other"), &matches));
    assert_false(matches);
    char name[4500];
    (void)snprintf(name, sizeof name, "%s/result", strrchr(folder, '/') + 1);
    dh_buffer good = {0};
    assert_ok(dh_file_read_all(support_path(name), 4096, &good));
    for (size_t turn = 0; turn < 9 * good.size; turn++) {
        const bool cut = turn < good.size;
        const size_t bit = cut ? 0 : turn - good.size;
        good.data[bit / 8] ^= (uint8_t)(cut ? 0 : 1U << (bit % 8));
        (void)support_write(name, good.data, cut ? turn : good.size);
        good.data[bit / 8] ^= (uint8_t)(cut ? 0 : 1U << (bit % 8));
        support_capture_begin();
        const dh_status status = dh_result_mark_matches(folder, final, &matches);
        assert_says(support_capture_end(), "result: damaged");
        assert_int_equal(status, DH_OK);
        assert_false(matches);
    }
    dh_buffer_free(&good);
    support_capture_begin();
    const dh_status missing = dh_result_mark_write(folder, support_path("missing"), digest);
    assert_says(support_capture_end(), "missing: cannot stat");
    assert_int_equal(missing, DH_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_ten_thousand_sources),
        cmocka_unit_test(test_every_difference_of_sources_is_named),
        cmocka_unit_test(test_every_difference_of_options_is_named),
        cmocka_unit_test(test_damage_is_seen),
        cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_fingerprints_of_changed_files),
        cmocka_unit_test(test_result_mark),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
