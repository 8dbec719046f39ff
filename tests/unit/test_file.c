/* Tests of base/file.h. */
#include "support.h"

#include <errno.h>

#include "base/fault.h"
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

static bool is_there(const char *path)
{
    bool there = false;
    assert_ok(dh_file_exists(path, &there));
    return there;
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
    assert_false(is_there(support_path("replaced.tmp")));
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
    assert_false(is_there(support_path("is-a-folder.tmp")));
    assert_true(is_there(folder));
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
    assert_true(is_there(path));
    assert_ok(dh_file_remove(path));
    assert_false(is_there(path));
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

/* ---- opening, parts, folders ------------------------------------------------------------------------- */

static void test_open_close_and_rename(void **state)
{
    (void)state;
    const char *path = support_path("opened");
    int file = -1;
    assert_ok(dh_file_open(path, O_RDWR | O_CREAT | O_EXCL, &file));
    assert_int_equal(fcntl(file, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_ok(dh_file_write_at(file, path, "abc", 3, 0));
    assert_ok(dh_file_close(file, path));
    const char *renamed = support_path("renamed");
    assert_ok(dh_file_rename(path, renamed));
    assert_false(is_there(path));
    expect_content(renamed, "abc", 3);
    int untouched = 77;
    support_capture_begin();
    const dh_status exists = dh_file_open(renamed, O_RDWR | O_CREAT | O_EXCL, &untouched);
    const dh_status missing = dh_file_open(path, O_RDONLY, &untouched);
    const dh_status closed = dh_file_close(-1, path);
    const dh_status unmoved = dh_file_rename(path, renamed);
    const char *said = support_capture_end();
    assert_int_equal(untouched, 77);
    assert_int_equal(exists, DH_IO);
    assert_int_equal(missing, DH_IO);
    assert_int_equal(closed, DH_IO);
    assert_int_equal(unmoved, DH_IO);
    assert_says(said, "renamed: cannot create: File exists");
    assert_says(said, "opened: cannot open: No such file");
    assert_says(said, "opened: cannot close: Bad file");
    assert_says(said, "opened: cannot rename to");
}

static void arm(const char *fault)
{
    assert_int_equal(setenv("DHATU_FAULT", fault, 1), 0);
    assert_ok(dh_fault_arm(0));
}

static int disarm(void **state)
{
    (void)state;
    (void)unsetenv("DHATU_FAULT");
    return dh_fault_arm(0) == DH_OK ? 0 : -1;
}

enum { PARTS = 1000, PARTS_BYTES = PARTS * 7 };

/* More parts than one pwritev takes, of 0 to 14 bytes; their bytes one after the other go to whole. */
static size_t make_parts(uint8_t *whole, dh_file_part *part)
{
    size_t at = 0;
    for (size_t i = 0; i < PARTS; i++) {
        const size_t size = i % 15;
        for (size_t b = 0; b < size; b++) {
            whole[at + b] = (uint8_t)support_random();
        }
        part[i] = (dh_file_part){size > 0 ? whole + at : NULL, size};
        at += size;
    }
    return at;
}

static void expect_parts_written(const char *name)
{
    static uint8_t whole[PARTS_BYTES];
    static dh_file_part part[PARTS];
    const size_t size = make_parts(whole, part);
    const char *path = support_path(name);
    int file = -1;
    assert_ok(dh_file_open(path, O_RDWR | O_CREAT | O_TRUNC, &file));
    assert_ok(dh_file_write_parts_at(file, path, part, PARTS, 3));
    assert_ok(dh_file_write_parts_at(file, path, NULL, 0, 100000));
    assert_ok(dh_file_write_at(file, path, "<<<", 3, 0));
    assert_ok(dh_file_close(file, path));
    dh_buffer content = {0};
    assert_ok(dh_file_read_all(path, 1 << 20, &content));
    assert_int_equal(content.size, size + 3);
    assert_memory_equal(content.data, "<<<", 3);
    assert_memory_equal(content.data + 3, whole, size);
    dh_buffer_free(&content);
}

static void test_parts_are_written_back_to_back(void **state)
{
    (void)state;
    expect_parts_written("parts");
    support_capture_begin();
    const dh_file_part part[] = {{"ab", 2}, {"c", 1}};
    const dh_status status = dh_file_write_parts_at(-1, "nowhere", part, 2, 5);
    assert_says(support_capture_end(), "nowhere: writing 3 bytes at 5 failed: Bad file");
    assert_int_equal(status, DH_IO);
}

typedef struct name_list {
    char seen[8][16];
    size_t count;
    size_t stop_at;
} name_list;

static dh_status take_name(void *context, const char *name)
{
    name_list *names = context;
    if (names->count == names->stop_at) {
        return DH_AGAIN;
    }
    (void)snprintf(names->seen[names->count++], sizeof names->seen[0], "%s", name);
    return DH_OK;
}

static void test_a_folder_is_listed(void **state)
{
    (void)state;
    char folder[4400];
    (void)snprintf(folder, sizeof folder, "%s", support_make_folder("listed"));
    name_list names = {.stop_at = 8};
    assert_ok(dh_folder_list(folder, take_name, &names));
    assert_int_equal(names.count, 0);
    (void)support_write_text("listed/.hidden", "");
    (void)support_write_text("listed/..more", "");
    (void)support_make_folder("listed/folder");
    assert_ok(dh_folder_list(folder, take_name, &names));
    assert_int_equal(names.count, 3);
    unsigned seen = 0;
    for (size_t i = 0; i < names.count; i++) {
        seen |= (strcmp(names.seen[i], ".hidden") == 0 ? 1U : 0U) |
                (strcmp(names.seen[i], "..more") == 0 ? 2U : 0U) |
                (strcmp(names.seen[i], "folder") == 0 ? 4U : 0U);
    }
    assert_int_equal(seen, 7);
    names.count = 0;
    names.stop_at = 1;
    assert_int_equal(dh_folder_list(folder, take_name, &names), DH_AGAIN);
    support_capture_begin();
    const dh_status missing = dh_folder_list(support_path("missing"), take_name, &names);
    assert_says(support_capture_end(), "missing: cannot list the folder: No such file");
    assert_int_equal(missing, DH_IO);
}

static void test_a_fifo_is_refused_and_not_waited_for(void **state)
{
    (void)state;
    const char *path = support_path("fifo");
    assert_int_equal(mkfifo(path, 0666), 0);
    dh_buffer content = {0};
    support_capture_begin();
    const dh_status status = dh_file_read_all(path, 100, &content);
    assert_says(support_capture_end(), "fifo: not a regular file");
    assert_int_equal(status, DH_IO);
    dh_buffer_free(&content);
}

/* ---- faults ------------------------------------------------------------------------------------------ */

static void test_interrupted_and_short_calls_go_unseen(void **state)
{
    (void)state;
    static const char *const fault[] = {
        "call=any,error=EINTR", "call=any,error=SHORT", "call=any,error=SHORT,persist",
        "call=any,error=EINTR,chance=0.5,seed=1;call=any,error=SHORT,chance=0.5,seed=2"};
    for (size_t i = 0; i < COUNT(fault); i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "unseen-%zu", i);
        support_capture_begin();
        arm(fault[i]);
        expect_parts_written(name);
        assert_ok(dh_file_replace(support_path(name), "replaced", 8));
        expect_content(support_path(name), "replaced", 8);
        assert_ok(dh_folder_create(support_path("unseen/folder")));
        assert_true(is_there(support_path("unseen/folder")));
        name_list names = {.stop_at = 8};
        assert_ok(dh_folder_list(support_path("unseen"), take_name, &names));
        assert_int_equal(names.count, 1);
        assert_ok(dh_file_remove(support_path(name)));
        assert_false(is_there(support_path(name)));
        assert_ok(disarm(NULL));
        assert_says(support_capture_end(), "fault on purpose");
        assert_int_equal(rmdir(support_path("unseen/folder")), 0);
        assert_int_equal(rmdir(support_path("unseen")), 0);
    }
}

/* Each call of a replacement fails, one after the other. */
static void test_replace_keeps_the_old_file_whatever_fails(void **state)
{
    (void)state;
    static const char *const call[] = {"open", "write", "sync", "close", "rename"};
    static const char *const error[] = {"ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE"};
    char path[4400];
    (void)snprintf(path, sizeof path, "%s", support_write_text("kept", "old"));
    for (size_t i = 0; i < COUNT(call) * COUNT(error); i++) {
        char fault[64];
        (void)snprintf(fault, sizeof fault, "call=%s,error=%s,path=kept", call[i % COUNT(call)],
                       error[i / COUNT(call)]);
        support_capture_begin();
        arm(fault);
        const dh_status status = dh_file_replace(path, "the new content", 15);
        assert_ok(disarm(NULL));
        assert_says(support_capture_end(), "kept");
        assert_int_equal(status, DH_IO);
        expect_content(path, "old", 3);
        assert_false(is_there(support_path("kept.tmp")));
    }
}

/* Half is written, then the disk is full. */
static void test_replace_on_a_disk_that_fills_up(void **state)
{
    (void)state;
    char path[4400];
    (void)snprintf(path, sizeof path, "%s", support_write_text("filled", "old"));
    for (int at = 1; at <= 4; at++) {
        char fault[128];
        (void)snprintf(fault, sizeof fault,
                       "call=write,error=ENOSPC,persist,at=%d;call=write,error=SHORT,persist", at);
        support_capture_begin();
        arm(fault);
        const dh_status status = dh_file_replace(path, "sixteen bytes...", 16);
        assert_ok(disarm(NULL));
        assert_says(support_capture_end(), "filled.tmp: writing 16 bytes at 0 failed: No space left");
        assert_int_equal(status, DH_IO);
        expect_content(path, "old", 3);
        assert_false(is_there(support_path("filled.tmp")));
    }
}

static void test_a_temporary_file_that_cannot_be_removed_is_told(void **state)
{
    (void)state;
    char path[4400];
    (void)snprintf(path, sizeof path, "%s", support_write_text("stuck", "old"));
    support_capture_begin();
    arm("call=sync,error=EIO;call=remove,error=EROFS");
    const dh_status status = dh_file_replace(path, "new", 3);
    assert_ok(disarm(NULL));
    const char *said = support_capture_end();
    assert_says(said, "stuck.tmp: cannot sync: Input/output error");
    assert_says(said, "stuck.tmp: left behind, cannot be removed: Read-only");
    assert_int_equal(status, DH_IO);
    expect_content(path, "old", 3);
}

static void test_a_folder_that_cannot_be_synced_fails_the_replacement(void **state)
{
    (void)state;
    const char *path = support_path("unsynced");
    support_capture_begin();
    arm("call=sync,error=EIO,at=2");
    const dh_status status = dh_file_replace(path, "new", 3);
    assert_ok(disarm(NULL));
    assert_says(support_capture_end(), "cannot sync: Input/output error");
    assert_int_equal(status, DH_IO);
    assert_false(is_there(support_path("unsynced.tmp")));
}

static void test_each_call_that_fails_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *said;
    } cases[] = {
        {"call=open,error=EMFILE,persist", "cannot open: Too many open files"},
        {"call=read,error=EIO,persist", "reading 3 bytes at 0 failed: Input/output error"},
        {"call=write,error=EDQUOT,persist", "writing 3 bytes at 0 failed: Disk quota exceeded"},
        {"call=sync,error=EIO", "cannot sync: Input/output error"},
        {"call=close,error=ENOSPC", "cannot close: No space left on device"},
        {"call=rename,error=EROFS", "cannot rename to"},
        {"call=remove,error=EACCES", "cannot remove: Permission denied"},
        {"call=folder,error=ENOSPC", "cannot make the folder: No space left"},
        {"call=folder,error=EMFILE,at=3", "cannot list the folder: Too many open files"},
        {"call=stat,error=EIO", "cannot stat: Input/output error"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *path = support_write_text("named", "abc");
        dh_buffer content = {0};
        name_list names = {.stop_at = 8};
        const int file = open(path, O_RDWR | O_CLOEXEC);
        assert_true(file >= 0);
        support_capture_begin();
        arm(cases[i].fault);
        const dh_status status[] = {
            dh_file_read_all(path, 10, &content),
            dh_file_write_at(file, path, "xyz", 3, 0),
            dh_file_sync(file, path),
            dh_file_close(file, path),
            dh_file_rename(path, path),
            dh_folder_create(support_folder),
            dh_folder_list(support_make_folder("named-folder"), take_name, &names),
            dh_file_remove(path),
        };
        assert_ok(disarm(NULL));
        assert_says(support_capture_end(), cases[i].said);
        int failed = 0;
        for (size_t s = 0; s < COUNT(status); s++) {
            assert_true(status[s] == DH_OK || status[s] == DH_IO);
            failed += status[s] == DH_IO;
        }
        assert_int_equal(failed, 1);
        assert_int_equal(fcntl(file, F_GETFD), -1); /* closed, also when close failed */
        assert_int_equal(rmdir(support_path("named-folder")), 0);
        dh_buffer_free(&content);
    }
}

static void test_a_folder_without_memory(void **state)
{
    (void)state;
    name_list names = {.stop_at = 8};
    support_capture_begin();
    arm("call=folder,error=ENOMEM");
    const dh_status status = dh_folder_list(support_folder, take_name, &names);
    assert_ok(disarm(NULL));
    assert_says(support_capture_end(), "out of memory");
    assert_int_equal(status, DH_NO_MEMORY);
}

static void test_a_new_folder_is_synced_into_the_one_above(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=sync,error=EIO,at=2");
    const dh_status status = dh_folder_create(support_path("durable/below/"));
    assert_ok(disarm(NULL));
    assert_says(support_capture_end(), "durable: cannot sync");
    assert_int_equal(status, DH_IO);
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
        cmocka_unit_test(test_open_close_and_rename),
        cmocka_unit_test(test_parts_are_written_back_to_back),
        cmocka_unit_test(test_a_folder_is_listed),
        cmocka_unit_test(test_a_fifo_is_refused_and_not_waited_for),
        cmocka_unit_test_teardown(test_interrupted_and_short_calls_go_unseen, disarm),
        cmocka_unit_test_teardown(test_replace_keeps_the_old_file_whatever_fails, disarm),
        cmocka_unit_test_teardown(test_replace_on_a_disk_that_fills_up, disarm),
        cmocka_unit_test_teardown(test_a_temporary_file_that_cannot_be_removed_is_told, disarm),
        cmocka_unit_test_teardown(test_a_folder_that_cannot_be_synced_fails_the_replacement, disarm),
        cmocka_unit_test_teardown(test_each_call_that_fails_is_named, disarm),
        cmocka_unit_test_teardown(test_a_folder_without_memory, disarm),
        cmocka_unit_test_teardown(test_a_new_folder_is_synced_into_the_one_above, disarm),
        cmocka_unit_test(test_hexadecimal),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
