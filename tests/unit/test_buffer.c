/* Tests of base/buffer.h and base/status.h. */
#include "support.h"

#include "base/log.h"

#if defined(__SANITIZE_ADDRESS__)
/* An impossible allocation is to fail as it does elsewhere, not to end the test. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

static void test_an_empty_buffer_grows_as_bytes_are_appended(void **state)
{
    (void)state;
    dh_buffer buffer = {0};
    for (unsigned i = 0; i < 5000; i++) {
        const uint8_t byte = (uint8_t)(i * 7);
        assert_ok(dh_buffer_append(&buffer, &byte, 1));
        assert_int_equal(buffer.size, i + 1);
        assert_true(buffer.capacity >= buffer.size);
    }
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(buffer.data[i], (uint8_t)(i * 7));
    }
    dh_buffer_free(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(buffer.capacity, 0);
}

static void test_appending_nothing_changes_nothing(void **state)
{
    (void)state;
    dh_buffer buffer = {0};
    assert_ok(dh_buffer_append(&buffer, NULL, 0));
    assert_int_equal(buffer.size, 0);
    dh_buffer_free(&buffer);
}

static void test_reserve_makes_room_and_keeps_the_bytes(void **state)
{
    (void)state;
    dh_buffer buffer = {0};
    assert_ok(dh_buffer_append(&buffer, "abc", 3));
    assert_ok(dh_buffer_reserve(&buffer, 1 << 20));
    assert_true(buffer.capacity >= 3 + (1 << 20));
    assert_int_equal(buffer.size, 3);
    assert_memory_equal(buffer.data, "abc", 3);
    const uint8_t *before = buffer.data;
    const size_t capacity = buffer.capacity;
    assert_ok(dh_buffer_reserve(&buffer, capacity - 3));
    assert_ptr_equal(buffer.data, before);
    assert_int_equal(buffer.capacity, capacity);
    dh_buffer_free(&buffer);
}

static void test_an_impossible_size_is_no_memory_and_keeps_the_buffer(void **state)
{
    (void)state;
    dh_buffer buffer = {0};
    assert_ok(dh_buffer_append(&buffer, "abc", 3));
    support_capture_begin();
    const dh_status status = dh_buffer_reserve(&buffer, SIZE_MAX - 1);
    assert_says(support_capture_end(), "out of memory");
    assert_int_equal(status, DH_NO_MEMORY);
    assert_int_equal(buffer.size, 3);
    assert_memory_equal(buffer.data, "abc", 3);
    dh_buffer_free(&buffer);
}

static void test_printf_appends_without_its_nul(void **state)
{
    (void)state;
    dh_buffer buffer = {0};
    assert_ok(dh_buffer_printf(&buffer, "%s-%d", "first", 7));
    assert_ok(dh_buffer_printf(&buffer, "%s", ""));
    assert_ok(dh_buffer_printf(&buffer, "|%600d", 1));
    assert_int_equal(buffer.size, 7 + 1 + 600);
    assert_memory_equal(buffer.data, "first-7|", 8);
    assert_int_equal(buffer.data[buffer.size - 1], '1');
    dh_buffer_free(&buffer);
}

static void test_allocate_gives_zeros_and_names_what_is_missing(void **state)
{
    (void)state;
    void *memory = NULL;
    assert_ok(dh_allocate(0, 8, "nothing", &memory));
    assert_non_null(memory);
    free(memory);
    assert_ok(dh_allocate(100, 8, "numbers", &memory));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(((uint64_t *)memory)[i], 0);
    }
    ((uint64_t *)memory)[99] = 17;
    assert_ok(dh_reallocate(1000, 8, "numbers", &memory));
    assert_int_equal(((uint64_t *)memory)[99], 17);
    void *const before = memory;
    support_capture_begin();
    const dh_status status = dh_reallocate(SIZE_MAX / 4, 8, "the moon", &memory);
    assert_says(support_capture_end(), "the moon");
    assert_int_equal(status, DH_NO_MEMORY);
    assert_ptr_equal(memory, before);
    free(memory);
}

static void test_every_status_has_a_name_and_an_exit_code(void **state)
{
    (void)state;
    for (int a = 0; a < DH_STATUS_COUNT; a++) {
        assert_non_null(dh_status_name((dh_status)a));
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(dh_status_name((dh_status)a), dh_status_name((dh_status)b));
        }
        const int code = dh_status_exit_code((dh_status)a);
        assert_true(code >= 0 && code < 128);
        assert_int_equal(code == 0, a == DH_OK || a == DH_END);
    }
    assert_int_equal(dh_status_exit_code(DH_USAGE), 2);
    assert_int_equal(dh_status_exit_code(DH_BAD_DATA), 65);
    assert_int_equal(dh_status_exit_code(DH_AGAIN), 75);
    assert_int_equal(dh_status_exit_code((dh_status)99), 70);
    assert_string_equal(dh_status_name((dh_status)99), "unknown status");
}

static void test_messages_name_the_rank_and_are_cut_when_too_long(void **state)
{
    (void)state;
    char *longer = malloc(10000);
    assert_non_null(longer);
    memset(longer, 'x', 9999);
    longer[9999] = '\0';
    dh_log_set_rank(3, 8);
    support_capture_begin();
    const dh_status status = dh_error(DH_IO, "%s", longer);
    dh_say("only rank 0 says this");
    dh_log_set_rank(0, 1);
    dh_warning("short");
    dh_log_set_level(DH_LOG_QUIET);
    dh_say("not said");
    dh_say_progress("not said");
    dh_log_set_level(DH_LOG_NORMAL);
    dh_say("said");
    dh_say_verbose("not said");
    const char *said = support_capture_end();
    assert_int_equal(status, DH_IO);
    assert_true(strncmp(said, "dhatu: error: [rank 3] xxxx", 27) == 0);
    const char *line_end = strchr(said, '\n');
    assert_non_null(line_end);
    assert_true(line_end - said < 4096 && line_end - said > 4000);
    assert_string_equal(line_end + 1, "dhatu: warning: short\nsaid\n");
    free(longer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_buffer_grows_as_bytes_are_appended),
        cmocka_unit_test(test_appending_nothing_changes_nothing),
        cmocka_unit_test(test_reserve_makes_room_and_keeps_the_bytes),
        cmocka_unit_test(test_an_impossible_size_is_no_memory_and_keeps_the_buffer),
        cmocka_unit_test(test_printf_appends_without_its_nul),
        cmocka_unit_test(test_allocate_gives_zeros_and_names_what_is_missing),
        cmocka_unit_test(test_every_status_has_a_name_and_an_exit_code),
        cmocka_unit_test(test_messages_name_the_rank_and_are_cut_when_too_long),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
