/* Tests of checkpoint/folder.h: names, opening, removing. */
#include "support.h"

#include "checkpoint/folder.h"

#include <dirent.h>

typedef struct named {
    const char *name;
    dh_checkpoint_file file;
    uint32_t epoch, rank;
} named;

static void test_names_of_ours(void **state)
{
    (void)state;
    static const named cases[] = {
        {"attempt-000001", DH_CHECKPOINT_ATTEMPT, 1, 0},
        {"attempt-999999", DH_CHECKPOINT_ATTEMPT, 999999, 0},
        {"attempt-1000000", DH_CHECKPOINT_ATTEMPT, 1000000, 0},
        {"attempt-4294967295", DH_CHECKPOINT_ATTEMPT, UINT32_MAX, 0},
        {"spill-000001-000000", DH_CHECKPOINT_SPILL, 1, 0},
        {"spill-000012-1234567", DH_CHECKPOINT_SPILL, 12, 1234567},
        {"journal-000003-000004", DH_CHECKPOINT_JOURNAL, 3, 4},
        {"journal-4294967295-4294967295", DH_CHECKPOINT_JOURNAL, UINT32_MAX, UINT32_MAX},
        {"manifest", DH_CHECKPOINT_MANIFEST, 0, 0},
        {"result", DH_CHECKPOINT_RESULT, 0, 0},
        {"stop", DH_CHECKPOINT_STOP, 0, 0},
    };
    dh_buffer path = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t epoch = 99;
        uint32_t rank = 99;
        assert_int_equal(dh_checkpoint_classify(cases[i].name, &epoch, &rank), cases[i].file);
        assert_int_equal(epoch, cases[i].epoch);
        assert_int_equal(rank, cases[i].rank);
        assert_ok(dh_checkpoint_path("some/folder", cases[i].file, epoch, rank, &path));
        char expected[64];
        (void)snprintf(expected, sizeof expected, "some/folder/%s", cases[i].name);
        assert_string_equal((const char *)path.data, expected);
        assert_int_equal(path.size, strlen(expected) + 1);
    }
    dh_buffer_free(&path);
}

static const char *const temporary[] = {
    "attempt-000001.tmp",
    "spill-000001-000001.tmp",
    "journal-000001-000001.tmp",
    "manifest.tmp",
    "result.tmp",
    "stop.tmp",
    "attempt-000007.claim-x",
    "attempt-000007.claim-node-12.tmp",
    "stage-terms.tmp",
    "part-000001-000001-terms.tmp",
};

static const char *const other[] = {
    "",
    ".",
    "..",
    "notes.txt",
    "tmp",
    ".tmp",
    "Manifest",
    "manifest2",
    "manifest.bak",
    "manifest.tmp.tmp",
    "manifest.claim-1",
    "my-manifest",
    "result.h5",
    "stop ",
    "attempt",
    "attempt-",
    "attempt-1",
    "attempt-00001",
    "attempt-000000", /* attempts count from 1 */
    "attempt-0000001",
    "attempt-4294967296",
    "attempt-99999999999999999999999",
    "attempt-000001x",
    "attempt-000001-000001",
    "attempt-000001.claim",
    "attempt-000001.claim-",
    "attempt--00001",
    "attempt-+00001",
    "attempt- 00001",
    "spill-1-1",
    "spill-000001",
    "spill-000001-",
    "spill-000001-1",
    "spill-000001-0000001",
    "spill-000001-000001x",
    "spill-000001-000001.bak",
    "spill-000001-000001.claim-1",
    "spill-000001_000001",
    "spill-000001-000001-000001",
    "spill-000001-4294967296",
    "spill-000000-000001",
    "journal-000001-00000a",
    "journal-0000010-000001",
    "stage-",
    "stage-a1",
    "stage-A",
    "stage-a-b",
    "stage-abcdefghijklmnopqrstuvwxyzabcdef",
    "stage",
    "part-000001-000001",
    "part-000001-000001-",
    "part-000001-000001-terms2",
    "part-000000-000001-terms",
    "part-1-1-terms",
    "part-of-a-book",
    "shuffle-000001-000001",
    "shuffle-000001-000001-terms",
    "shuffle-000001-000001-terms-",
    "shuffle-000001-000001-terms-01",
    "shuffle-000001-000001-terms-1x",
    "shuffle-000001-000001-terms-12345678901234567890",
    "shuffle-000001-000001--1",
};

static void test_other_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(temporary) + COUNT(other); i++) {
        const bool is_ours = i < COUNT(temporary);
        const char *name = is_ours ? temporary[i] : other[i - COUNT(temporary)];
        uint32_t epoch = 99;
        uint32_t rank = 99;
        const dh_checkpoint_file file = dh_checkpoint_classify(name, &epoch, &rank);
        if (file != (is_ours ? DH_CHECKPOINT_TEMPORARY : DH_CHECKPOINT_OTHER)) {
            fail_msg("\"%s\" is %d", name, (int)file);
        }
        assert_int_equal(epoch, 0);
        assert_int_equal(rank, 0);
    }
}

/* Any change of a name by one character gives another name of ours or none, never the same file. */
static void test_no_two_names_are_one_file(void **state)
{
    (void)state;
    dh_buffer path = {0};
    for (unsigned turn = 0; turn < support_turns(200000); turn++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s-%06u-%06u", turn % 2 > 0 ? "spill" : "journal",
                       (unsigned)support_random_below(turn % 3 > 0 ? 3 : UINT32_MAX),
                       (unsigned)support_random_below(turn % 5 > 0 ? 3 : UINT32_MAX));
        name[support_random_below(strlen(name))] = "0123456789-.x"[support_random_below(13)];
        uint32_t epoch = 0;
        uint32_t rank = 0;
        const dh_checkpoint_file file = dh_checkpoint_classify(name, &epoch, &rank);
        if (file != DH_CHECKPOINT_OTHER) {
            assert_ok(dh_checkpoint_path("f", file, epoch, rank, &path));
            assert_string_equal((const char *)path.data + 2, name);
        }
    }
    dh_buffer_free(&path);
}

typedef struct named_file {
    const char *path;
    dh_checkpoint_name name;
} named_file;

static const named_file named_files[] = {
    {"f/shuffle-000001-000002-terms-0", {DH_CHECKPOINT_SHUFFLE, 1, 2, "terms", 0}},
    {"f/shuffle-4294967295-000000-a-1234567890123456789",
     {DH_CHECKPOINT_SHUFFLE, UINT32_MAX, 0, "a", UINT64_C(1234567890123456789)}},
    {"f/part-000012-1234567-edges", {DH_CHECKPOINT_PART, 12, 1234567, "edges", 0}},
    {"f/stage-duplicates", {DH_CHECKPOINT_STAGE, 0, 0, "duplicates", 0}},
    {"f/stage-abcdefghijklmnopqrstuvwxyzabcde",
     {DH_CHECKPOINT_STAGE, 0, 0, "abcdefghijklmnopqrstuvwxyzabcde", 0}},
};

static void test_files_with_a_word(void **state)
{
    (void)state;
    dh_buffer path = {0};
    for (size_t i = 0; i < COUNT(named_files); i++) {
        const dh_checkpoint_name *name = &named_files[i].name;
        uint32_t epoch = 99;
        uint32_t rank = 99;
        assert_ok(dh_checkpoint_named_path("f", name, &path));
        assert_string_equal((const char *)path.data, named_files[i].path);
        assert_int_equal(path.size, strlen(named_files[i].path) + 1);
        assert_int_equal(dh_checkpoint_classify(named_files[i].path + 2, &epoch, &rank), name->file);
        assert_int_equal(epoch, name->epoch);
        assert_int_equal(rank, name->rank);
    }
    static const char *const wrong[] = {
        "", "a b", "A", "a-b", "a1", "../x", "abcdefghijklmnopqrstuvwxyzabcdef"};
    support_capture_begin();
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const dh_checkpoint_name name = {.file = DH_CHECKPOINT_PART, .epoch = 1, .name = wrong[i]};
        assert_int_equal(dh_checkpoint_named_path("f", &name, &path), DH_INTERNAL);
    }
    const dh_checkpoint_name spill = {.file = DH_CHECKPOINT_SPILL, .epoch = 1, .name = "x"};
    assert_int_equal(dh_checkpoint_named_path("f", &spill, &path), DH_INTERNAL);
    assert_int_equal(dh_checkpoint_path("f", DH_CHECKPOINT_STAGE, 1, 1, &path), DH_INTERNAL);
    assert_says(support_capture_end(), "cannot be a part of a file's name");
    dh_buffer_free(&path);
}

static void test_a_name_of_its_own_is_needed(void **state)
{
    (void)state;
    dh_buffer path = {0};
    support_capture_begin();
    const dh_status status = dh_checkpoint_path("f", DH_CHECKPOINT_TEMPORARY, 1, 1, &path);
    assert_says(support_capture_end(), "without a name");
    assert_int_equal(status, DH_INTERNAL);
    dh_buffer_free(&path);
}

static void test_opening(void **state)
{
    (void)state;
    const char *folder = support_make_folder("open");
    dh_buffer path = {0};
    int file = 77;
    uint64_t size = 77;
    assert_ok(dh_checkpoint_open(folder, DH_CHECKPOINT_SPILL, 1, 2, &path, &file, &size));
    assert_int_equal(file, -1);
    assert_int_equal(size, 0);
    (void)support_write_text("open/spill-000001-000002", "12345");
    assert_ok(dh_checkpoint_open(folder, DH_CHECKPOINT_SPILL, 1, 2, &path, &file, &size));
    assert_true(file >= 0);
    assert_int_equal(size, 5);
    assert_string_equal((const char *)path.data, support_path("open/spill-000001-000002"));
    assert_int_equal(close(file), 0);
    file = 77;
    (void)support_make_folder("open/manifest");
    assert_int_equal(mkfifo(support_path("open/result"), 0600), 0);
    assert_int_equal(symlink("stop", support_path("open/stop")), 0); /* a loop */
    support_capture_begin();
    assert_int_equal(dh_checkpoint_open(folder, DH_CHECKPOINT_MANIFEST, 0, 0, &path, &file, &size), DH_IO);
    assert_int_equal(dh_checkpoint_open(folder, DH_CHECKPOINT_RESULT, 0, 0, &path, &file, &size), DH_IO);
    assert_int_equal(dh_checkpoint_open(folder, DH_CHECKPOINT_STOP, 0, 0, &path, &file, &size), DH_IO);
    const char *said = support_capture_end();
    assert_says(said, "open/manifest: not a regular file");
    assert_says(said, "open/result: not a regular file");
    assert_says(said, "open/stop: cannot open");
    assert_int_equal(file, 77);
    dh_buffer_free(&path);
}

static const char *const ours[] = {
    "attempt-000001",
    "attempt-000002",
    "attempt-000003",
    "spill-000001-000000",
    "spill-000002-000001",
    "journal-000001-000000",
    "manifest",
    "result",
    "stop",
    "manifest.tmp",
    "attempt-000002.claim-node-7",
    "stage-terms",
    "stage-terms.tmp",
    "part-000001-000000-terms",
    "shuffle-000001-000000-terms-7",
};

/* A folder with our files and all names of others that a file can have. Valid until the next call. */
static const char *make_full_folder(const char *name)
{
    static char folder[4400];
    (void)snprintf(folder, sizeof folder, "%s", support_make_folder(name));
    char path[128];
    for (size_t i = 0; i < COUNT(ours) + COUNT(other); i++) {
        const char *file = i < COUNT(ours) ? ours[i] : other[i - COUNT(ours)];
        if (file[0] != '\0' && strcmp(file, ".") != 0 && strcmp(file, "..") != 0) {
            (void)snprintf(path, sizeof path, "%s/%s", name, file);
            (void)support_write_text(path, file);
        }
    }
    return folder;
}

static size_t count_names(const char *folder, bool of_others)
{
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    size_t count = 0;
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        uint32_t epoch = 0;
        uint32_t rank = 0;
        const bool is_ours = dh_checkpoint_classify(entry->d_name, &epoch, &rank) != DH_CHECKPOINT_OTHER;
        count += is_ours != of_others;
    }
    assert_int_equal(closedir(listing), 0);
    return count;
}

static void test_clearing_keeps_the_attempt_and_what_is_not_ours(void **state)
{
    (void)state;
    const char *folder = make_full_folder("clear");
    assert_int_equal(count_names(folder, false), COUNT(ours));
    assert_int_equal(count_names(folder, true), COUNT(other) - 1); /* with . and .., without "" */
    assert_ok(dh_checkpoint_clear(folder, 2));
    assert_int_equal(count_names(folder, false), 1);
    assert_int_equal(access(support_path("clear/attempt-000002"), F_OK), 0);
    assert_int_equal(count_names(folder, true), COUNT(other) - 1);
    assert_ok(dh_checkpoint_clear(folder, 2)); /* again: nothing to do */
    assert_ok(dh_checkpoint_remove(folder, 2, true));
    assert_int_equal(count_names(folder, false), 0);
    assert_int_equal(count_names(folder, true), COUNT(other) - 1); /* so the folder stays */
}

static void test_the_folder_is_removed_on_demand(void **state)
{
    (void)state;
    const char *folder = support_make_folder("remove");
    (void)support_write_text("remove/attempt-000001", "");
    (void)support_write_text("remove/spill-000001-000000", "");
    assert_ok(dh_checkpoint_remove(folder, 1, false));
    assert_int_equal(count_names(folder, true), 2);
    assert_ok(dh_checkpoint_remove(folder, 1, true));
    assert_int_not_equal(access(folder, F_OK), 0);
    support_capture_begin();
    const dh_status status = dh_checkpoint_remove(folder, 1, true);
    assert_says(support_capture_end(), folder);
    assert_int_equal(status, DH_IO);
}

/* What cannot be removed stops the removal there, so that what is left shows the order. A folder with our
 * name cannot be unlinked. */
static void test_removal_goes_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *stuck;
        const char *gone[4];
        const char *left[4];
    } cases[] = {
        {"stage-stuck", {NULL}, {"part-000001-000000-terms", "journal-000001-000000", "spill-000001-000000"}},
        {"part-000009-000000-terms",
         {"stage-terms"},
         {"journal-000001-000000", "manifest", "attempt-000001"}},
        {"shuffle-000009-000000-terms-1",
         {"stage-terms", "part-000001-000000-terms"},
         {"journal-000001-000000", "manifest"}},
        {"journal-000009-000000",
         {"stage-terms"},
         {"spill-000001-000000", "manifest", "result", "attempt-000001"}},
        {"spill-000009-000000", {"journal-000001-000000"}, {"manifest", "result", "attempt-000001"}},
        {"stop", {"journal-000001-000000", "spill-000001-000000"}, {"manifest", "result", "attempt-000001"}},
        {"manifest", {"journal-000001-000000", "spill-000001-000000"}, {"result", "attempt-000001"}},
        {"result", {"journal-000001-000000", "spill-000001-000000", "manifest"}, {"attempt-000001"}},
        {"attempt-000009", {"journal-000001-000000", "spill-000001-000000", "manifest", "result"}, {NULL}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "order-%zu", i);
        const char *folder = make_full_folder(name);
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", name, cases[i].stuck);
        (void)unlink(support_path(path));
        (void)support_make_folder(path);
        support_capture_begin();
        const dh_status status = dh_checkpoint_remove(folder, 2, true);
        assert_says(support_capture_end(), path);
        assert_int_equal(status, DH_IO);
        for (size_t k = 0; k < 4 && cases[i].gone[k] != NULL; k++) {
            (void)snprintf(path, sizeof path, "%s/%s", name, cases[i].gone[k]);
            assert_int_not_equal(access(support_path(path), F_OK), 0);
        }
        for (size_t k = 0; k < 4 && cases[i].left[k] != NULL; k++) {
            (void)snprintf(path, sizeof path, "%s/%s", name, cases[i].left[k]);
            assert_int_equal(access(support_path(path), F_OK), 0);
        }
        (void)snprintf(path, sizeof path, "%s/attempt-000002", name); /* held to the last */
        assert_int_equal(access(support_path(path), F_OK), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_ours),
        cmocka_unit_test(test_other_names),
        cmocka_unit_test(test_no_two_names_are_one_file),
        cmocka_unit_test(test_files_with_a_word),
        cmocka_unit_test(test_a_name_of_its_own_is_needed),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_clearing_keeps_the_attempt_and_what_is_not_ours),
        cmocka_unit_test(test_the_folder_is_removed_on_demand),
        cmocka_unit_test(test_removal_goes_in_order),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
