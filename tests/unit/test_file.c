/* Tests of base/file.h. */
#include "support.h"

#include "base/file.h"

static void expect_content(const char *path, const void *bytes, size_t size)
{
    dh_buffer content = {0};
    assert_ok(dh_file_read_all(path, 1 << 20, &content));
    assert_int_equal(content.size, size);
    if (size > 0) {
        assert_memory_equal(content.data, bytes, size);
    }
    dh_buffer_free(&content);
}

static void test_read_and_write_at_offsets(void **state)
{
    (void)state;
    const char *path = support_path("at");
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_true(file >= 0);
    assert_ok(dh_file_write_at(file, path, "world", 5, 6));
    assert_ok(dh_file_write_at(file, path, "hello ", 6, 0));
    assert_ok(dh_file_write_at(file, path, NULL, 0, 100));
    char bytes[11];
    assert_ok(dh_file_read_at(file, path, bytes, 11, 0));
    assert_memory_equal(bytes, "hello world", 11);
    assert_ok(dh_file_read_at(file, path, bytes, 5, 6));
    assert_memory_equal(bytes, "world", 5);
    assert_ok(dh_file_read_at(file, path, bytes, 0, 1000));
    assert_int_equal(close(file), 0);
    expect_content(path, "hello world", 11);
}

static void test_a_file_that_is_too_short_is_told_with_the_place(void **state)
{
    (void)state;
    const char *path = support_write_text("short", "12345");
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    char bytes[8];
    support_capture_begin();
    const dh_status status = dh_file_read_at(file, path, bytes, 8, 2);
    const char *said = support_capture_end();
    assert_int_equal(status, DH_IO);
    assert_says(said, path);
    assert_says(said, "ends at 5, but 8 bytes at 2 were expected");
    support_capture_begin();
    const dh_status written = dh_file_write_at(file, path, "x", 1, 0);
    assert_says(support_capture_end(), "writing 1 bytes at 0 failed");
    assert_int_equal(written, DH_IO);
    assert_int_equal(close(file), 0);
}

static void test_read_all_appends_and_keeps_to_its_limit(void **state)
{
    (void)state;
    const char *path = support_write_text("all", "0123456789");
    dh_buffer content = {0};
    assert_ok(dh_buffer_append(&content, "<", 1));
    assert_ok(dh_file_read_all(path, 10, &content));
    assert_int_equal(content.size, 11);
    assert_memory_equal(content.data, "<0123456789", 11);
    support_capture_begin();
    const dh_status status = dh_file_read_all(path, 9, &content);
    assert_says(support_capture_end(), "10 bytes are more than the 9 allowed");
    assert_int_equal(status, DH_IO);
    assert_int_equal(content.size, 11);
    dh_buffer_free(&content);
    expect_content(support_write_text("nothing", ""), "", 0);
}

static void test_read_all_refuses_what_is_no_file(void **state)
{
    (void)state;
    dh_buffer content = {0};
    support_capture_begin();
    const dh_status folder = dh_file_read_all(support_folder, 100, &content);
    const dh_status missing = dh_file_read_all(support_path("missing"), 100, &content);
    const char *said = support_capture_end();
    assert_int_equal(folder, DH_IO);
    assert_int_equal(missing, DH_IO);
    assert_says(said, "not a regular file");
    assert_says(said, "No such file");
    assert_int_equal(content.size, 0);
    dh_buffer_free(&content);
}

static void test_replace_is_whole_or_not_at_all(void **state)
{
    (void)state;
    const char *path = support_path("replaced");
    assert_ok(dh_file_replace(path, "first", 5));
    expect_content(path, "first", 5);
    const int held = open(path, O_RDONLY | O_CLOEXEC);
    assert_ok(dh_file_replace(path, "the second", 10));
    expect_content(path, "the second", 10);
    char bytes[5];
    assert_ok(dh_file_read_at(held, path, bytes, 5, 0)); /* the old file was not written to */
    assert_memory_equal(bytes, "first", 5);
    assert_int_equal(close(held), 0);
    assert_ok(dh_file_replace(path, NULL, 0));
    expect_content(path, "", 0);
    assert_false(dh_file_exists(support_path("replaced.tmp")));
    (void)support_write_text("replaced.tmp", "left behind by a run that was killed");
    assert_ok(dh_file_replace(path, "new", 3));
    expect_content(path, "new", 3);
}

static void test_a_failed_replace_leaves_nothing_behind(void **state)
{
    (void)state;
    const char *folder = support_make_folder("is-a-folder");
    support_capture_begin();
    const dh_status onto_folder = dh_file_replace(folder, "x", 1);
    const dh_status nowhere = dh_file_replace(support_path("no/such/folder/file"), "x", 1);
    const char *said = support_capture_end();
    assert_int_equal(onto_folder, DH_IO);
    assert_int_equal(nowhere, DH_IO);
    assert_says(said, "cannot rename to");
    assert_says(said, "cannot create");
    assert_false(dh_file_exists(support_path("is-a-folder.tmp")));
    assert_true(dh_file_exists(folder));
}

static void test_folders_are_made_with_those_above(void **state)
{
    (void)state;
    assert_ok(dh_folder_create(support_path("a/b/c")));
    assert_ok(dh_folder_create(support_path("a/b/c")));
    assert_ok(dh_folder_create(support_path("a//b/d/")));
    struct stat facts;
    assert_int_equal(stat(support_path("a/b/c"), &facts), 0);
    assert_true(S_ISDIR(facts.st_mode));
    assert_int_equal(stat(support_path("a/b/d"), &facts), 0);
    assert_true(S_ISDIR(facts.st_mode));
    assert_ok(dh_folder_create("/"));
}

static void test_a_folder_that_cannot_be_made(void **state)
{
    (void)state;
    (void)support_write_text("plain", "x");
    support_capture_begin();
    const dh_status is_file = dh_folder_create(support_path("plain"));
    const dh_status below_file = dh_folder_create(support_path("plain/below"));
    const dh_status no_name = dh_folder_create("");
    const char *said = support_capture_end();
    assert_int_equal(is_file, DH_IO);
    assert_int_equal(below_file, DH_IO);
    assert_int_equal(no_name, DH_IO);
    assert_says(said, "is not a folder");
    assert_says(said, "cannot make the folder");
}

static void test_remove_is_content_when_nothing_is_there(void **state)
{
    (void)state;
    const char *path = support_write_text("gone", "x");
    assert_true(dh_file_exists(path));
    assert_ok(dh_file_remove(path));
    assert_false(dh_file_exists(path));
    assert_ok(dh_file_remove(path));
    support_capture_begin();
    const dh_status status = dh_file_remove(support_folder);
    assert_says(support_capture_end(), "cannot remove");
    assert_int_equal(status, DH_IO);
}

static void test_sync_of_a_file_and_of_its_folder(void **state)
{
    (void)state;
    const char *path = support_write_text("synced", "x");
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_ok(dh_file_sync(file, path));
    assert_int_equal(close(file), 0);
    assert_ok(dh_file_sync_folder_of(path));
    assert_ok(dh_file_sync_folder_of("just-a-name"));
    assert_ok(dh_file_sync_folder_of("/at-the-root"));
    support_capture_begin();
    const dh_status closed = dh_file_sync(-1, path);
    const dh_status missing = dh_file_sync_folder_of(support_path("missing/file"));
    assert_says(support_capture_end(), "cannot sync");
    assert_int_equal(closed, DH_IO);
    assert_int_equal(missing, DH_IO);
}

static void test_hexadecimal(void **state)
{
    (void)state;
    char hex[9];
    dh_hex((const uint8_t *)"\x00\x0F\xA0\xFF", 4, hex);
    assert_string_equal(hex, "000fa0ff");
    dh_hex(NULL, 0, hex);
    assert_string_equal(hex, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_write_at_offsets),
        cmocka_unit_test(test_a_file_that_is_too_short_is_told_with_the_place),
        cmocka_unit_test(test_read_all_appends_and_keeps_to_its_limit),
        cmocka_unit_test(test_read_all_refuses_what_is_no_file),
        cmocka_unit_test(test_replace_is_whole_or_not_at_all),
        cmocka_unit_test(test_a_failed_replace_leaves_nothing_behind),
        cmocka_unit_test(test_folders_are_made_with_those_above),
        cmocka_unit_test(test_a_folder_that_cannot_be_made),
        cmocka_unit_test(test_remove_is_content_when_nothing_is_there),
        cmocka_unit_test(test_sync_of_a_file_and_of_its_folder),
        cmocka_unit_test(test_hexadecimal),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
