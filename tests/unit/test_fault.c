/* Tests of base/fault.h: the grammar of DHATU_FAULT, and that the calls asked for fail, and no others. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"

static void arm(const char *text, int rank)
{
    assert_int_equal(setenv("DHATU_FAULT", text, 1), 0);
    assert_ok(dh_fault_arm(rank));
}

static int disarm(void **state)
{
    (void)state;
    (void)unsetenv("DHATU_FAULT");
    return dh_fault_arm(0) == DH_OK ? 0 : -1;
}

/* Which of 16 calls fail, as a row of letters: "." goes on, "x" fails, "s" is cut short. */
static const char *pattern(dh_fault_call call, const char *subject)
{
    static char row[17];
    for (int i = 0; i < 16; i++) {
        const int answer = dh_fault(call, subject);
        row[i] = (char)(answer == 0 ? '.' : (answer == DH_FAULT_SHORT ? 's' : 'x'));
    }
    return row;
}

static void test_nothing_is_armed_without_the_variable(void **state)
{
    (void)state;
    (void)unsetenv("DHATU_FAULT");
    support_capture_begin();
    assert_ok(dh_fault_arm(0));
    arm("", 0);
    assert_string_equal(support_capture_end(), "");
    assert_false(dh_fault_armed);
    assert_string_equal(pattern(DH_CALL_WRITE, "a"), "................");
    assert_ok(dh_fault_report());
}

static void test_the_nth_call_fails_once_or_from_there_on(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=write,error=ENOSPC", 0);
    assert_true(dh_fault_armed);
    assert_int_equal(dh_fault(DH_CALL_READ, "a"), 0);
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), ENOSPC);
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), 0);
    arm("call=write,error=EIO,at=4", 0);
    assert_string_equal(pattern(DH_CALL_WRITE, "a"), "...x............");
    arm("call=write,at=4,persist,error=EIO", 0);
    assert_string_equal(pattern(DH_CALL_SYNC, "a"), "................");
    assert_string_equal(pattern(DH_CALL_WRITE, "a"), "...xxxxxxxxxxxxx");
    arm("call=write,error=EIO,at=2;call=write,error=SHORT,at=5;call=write,error=EDQUOT,at=15,persist", 0);
    assert_string_equal(pattern(DH_CALL_WRITE, "a"), ".x..s.........xx");
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), EDQUOT);
    (void)support_capture_end();
}

static void test_faults_are_said_once_a_rule(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=sync,error=EDQUOT,persist", 0);
    (void)pattern(DH_CALL_SYNC, "/the/journal");
    assert_string_equal(support_capture_end(),
                        "dhatu: warning: DHATU_FAULT is set: calls of this process will fail on purpose\n"
                        "dhatu: warning: fault on purpose: sync of /the/journal: EDQUOT\n");
}

static void test_calls_are_told_apart_by_path_and_rank(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=open,error=EMFILE,path=spill,at=2", 3);
    assert_int_equal(dh_fault(DH_CALL_OPEN, "/c/spill-1"), 0);
    assert_int_equal(dh_fault(DH_CALL_OPEN, "/c/journal-1"), 0);
    assert_int_equal(dh_fault(DH_CALL_OPEN, "/c/spill-1"), EMFILE);
    arm("call=open,error=EMFILE,rank=3", 3);
    assert_int_equal(dh_fault(DH_CALL_OPEN, "a"), EMFILE);
    (void)support_capture_end();
    support_capture_begin();
    arm("call=open,error=EMFILE,rank=3", 2);
    assert_string_equal(support_capture_end(), "");
    assert_false(dh_fault_armed);
}

static void test_any_is_every_call_to_the_system(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=any,error=EIO,persist", 0);
    for (int call = 0; call < DH_CALL_COUNT; call++) {
        const bool is_system = call != DH_CALL_ALLOCATE && call != DH_CALL_DEVICE && call != DH_CALL_PLACE;
        assert_int_equal(dh_fault((dh_fault_call)call, "a"), is_system ? EIO : 0);
    }
    arm("call=any,error=SHORT,at=2", 0);
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), 0);
    assert_int_equal(dh_fault(DH_CALL_SYNC, "a"), 0); /* cannot be short, and does not count */
    assert_int_equal(dh_fault(DH_CALL_READ, "a"), DH_FAULT_SHORT);
    (void)support_capture_end();
}

static void test_every_name_of_a_call_and_an_error(void **state)
{
    (void)state;
    static const char *const call[] = {"open",   "read",    "write",  "sync", "close",    "rename", "link",
                                       "remove", "reserve", "folder", "stat", "allocate", "device", "place"};
    static const struct {
        const char *name;
        int code;
    } error[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},      {"EINTR", EINTR},
                 {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"EROFS", EROFS},        {"EACCES", EACCES},
                 {"ENOMEM", ENOMEM}, {"ENOENT", ENOENT}, {"ETIMEDOUT", ETIMEDOUT}};
    assert_int_equal(COUNT(call), DH_CALL_COUNT);
    support_capture_begin();
    for (size_t c = 0; c + 1 < COUNT(call); c++) {
        for (size_t e = 0; e < COUNT(error); e++) {
            char text[64];
            (void)snprintf(text, sizeof text, "call=%s,error=%s", call[c], error[e].name);
            arm(text, 0);
            assert_int_equal(dh_fault((dh_fault_call)c, "a"), error[e].code);
        }
    }
    (void)support_capture_end();
}

static void test_chance_is_reproducible(void **state)
{
    (void)state;
    char first[17];
    support_capture_begin();
    arm("call=read,error=EINTR,chance=0.3,seed=1", 0);
    (void)snprintf(first, sizeof first, "%s", pattern(DH_CALL_READ, "a"));
    assert_non_null(strchr(first, 'x'));
    assert_non_null(strchr(first, '.'));
    arm("call=read,error=EINTR,chance=0.3,seed=1", 0);
    assert_string_equal(pattern(DH_CALL_READ, "a"), first);
    arm("call=read,error=EINTR,chance=0.3,seed=2", 0);
    assert_string_not_equal(pattern(DH_CALL_READ, "a"), first);
    arm("call=read,error=EINTR,chance=0.3,seed=1", 1);
    assert_string_not_equal(pattern(DH_CALL_READ, "a"), first);
    arm("call=read,error=EINTR,chance=1", 0);
    assert_string_equal(pattern(DH_CALL_READ, "a"), "xxxxxxxxxxxxxxxx");
    arm("call=read,error=EINTR,chance=0.1,seed=7", 0);
    int failed = 0;
    for (int i = 0; i < 100000; i++) {
        failed += dh_fault(DH_CALL_READ, "a") != 0;
    }
    (void)support_capture_end();
    assert_in_range(failed, 9600, 10400);
}

static void test_a_wrong_rule_is_refused_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } bad[] = {
        {"call=wrte,error=EIO", "rule 1: there is no call 'wrte'"},
        {"call=write,error=EFOO", "rule 1: there is no error 'EFOO'"},
        {"call=write,error=eio", "rule 1: there is no error 'eio'"},
        {"call=write", "rule 1: it lacks 'error'"},
        {"error=EIO", "rule 1: it lacks 'call'"},
        {"call=write,error=EIO;", "rule 2: there is no key ''"},
        {"call=write,error=EIO,", "rule 1: there is no key ''"},
        {"call=write,error=EIO;call=write,error=EIO,when=3", "rule 2: there is no key 'when'"},
        {"call=write,error=EIO,at=0", "not a number from 1 on: '0'"},
        {"call=write,error=EIO,at=-1", "not a number from 1 on: '-1'"},
        {"call=write,error=EIO,at=3x", "not a number from 1 on: '3x'"},
        {"call=write,error=EIO,at=", "not a number from 1 on: ''"},
        {"call=write,error=EIO,at", "not a number from 1 on: ''"},
        {"call=write,error=EIO,at=99999999999999999999", "not a number from 1 on: '99999999999999999999'"},
        {"call=write,error=EIO,at=1,at=2", "given twice: 'at'"},
        {"call=write,error=EIO,persist=yes", "persist has no value: 'yes'"},
        {"call=write,error=EIO,rank=x", "not a number from 0 on: 'x'"},
        {"call=write,error=EIO,chance=0", "not a probability above 0 and up to 1: '0'"},
        {"call=write,error=EIO,chance=1.5", "not a probability above 0 and up to 1: '1.5'"},
        {"call=write,error=EIO,chance=nan", "not a probability above 0 and up to 1: 'nan'"},
        {"call=write,error=EIO,chance=", "not a probability above 0 and up to 1: ''"},
        {"call=write,error=EIO,chance=0.5,at=2", "chance does not go with 'at'"},
        {"call=write,error=EIO,chance=0.5,persist", "chance does not go with 'persist'"},
        {"call=write,error=EIO,seed=2", "only with chance goes 'seed'"},
        {"call=write,error=EIO,path=", "without a text: 'path'"},
        {"count=", "without a text: 'count'"},
        {"count=/tmp/a,call=write,error=EIO", "a rule of its own is 'count'"},
        {"call=place,error=EIO", "at a place only KILL, STOP and sleep can be had, not 'EIO'"},
        {"call=write,error=EIO,sleep=5", "sleep does not go with 'error'"},
        {"sleep=5", "rule 1: it lacks 'call'"},
        {"call=write,sleep=0", "not a number from 1 on: '0'"},
        {"call=write,sleep=1s", "not a number from 1 on: '1s'"},
        {"call=sync,error=SHORT", "only read and write can be 'SHORT'"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(setenv("DHATU_FAULT", bad[i].text, 1), 0);
        support_capture_begin();
        const dh_status status = dh_fault_arm(0);
        assert_says(support_capture_end(), bad[i].said);
        assert_int_equal(status, DH_USAGE);
        assert_false(dh_fault_armed);
    }
}

static void test_too_many_rules_and_too_long_a_text(void **state)
{
    (void)state;
    char text[5000] = "call=write,error=EIO";
    for (int i = 1; i < 16; i++) {
        (void)strcat(text, ";call=write,error=EIO");
    }
    support_capture_begin();
    arm(text, 0);
    (void)support_capture_end();
    (void)strcat(text, ";call=write,error=EIO");
    assert_int_equal(setenv("DHATU_FAULT", text, 1), 0);
    support_capture_begin();
    const dh_status many = dh_fault_arm(0);
    assert_says(support_capture_end(), "more than 16 rules");
    assert_int_equal(many, DH_USAGE);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(setenv("DHATU_FAULT", text, 1), 0);
    support_capture_begin();
    const dh_status longer = dh_fault_arm(0);
    assert_says(support_capture_end(), "longer than");
    assert_int_equal(longer, DH_USAGE);
}

static void test_errno_of_the_caller_is_kept(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=write,error=EIO", 0);
    errno = 17;
    (void)dh_fault(DH_CALL_WRITE, "a");
    const int after = errno;
    (void)support_capture_end();
    assert_int_equal(after, 17);
}

static void test_allocations_fail_with_what_they_are_for(void **state)
{
    (void)state;
    void *memory = NULL;
    support_capture_begin();
    arm("call=allocate,error=ENOMEM,path=buffer", 0);
    dh_buffer buffer = {0};
    assert_ok(dh_allocate(1, 1, "something else", &memory));
    const dh_status first = dh_buffer_append(&buffer, "a", 1);
    const dh_status second = dh_buffer_append(&buffer, "b", 1);
    const char *said = support_capture_end();
    assert_int_equal(first, DH_NO_MEMORY);
    assert_int_equal(second, DH_OK);
    assert_int_equal(buffer.size, 1);
    assert_says(said, "fault on purpose: allocate of a buffer: ENOMEM");
    assert_says(said, "out of memory");
    dh_buffer_free(&buffer);
    free(memory);
}

static void test_the_process_is_killed_or_stopped_at_a_place(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=place,path=half,error=STOP;call=place,path=end,error=KILL", 0);
    (void)support_capture_end();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dh_fault_place("begin");
        dh_fault_place("half-way");
        dh_fault_place("end");
        _exit(0);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    assert_true(WIFSTOPPED(how));
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(WTERMSIG(how), SIGKILL);
}

static double seconds_now(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_a_call_that_is_slowed_is_made(void **state)
{
    (void)state;
    support_capture_begin();
    arm("call=write,sleep=20,at=3,persist", 0);
    const double begin = seconds_now();
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), 0);
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), 0);
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), 0);
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), 0);
    const double slowed = seconds_now() - begin;
    arm("call=place,path=half,sleep=1100", 0);
    dh_fault_place("half-way");
    const double at_the_place = seconds_now() - begin - slowed;
    const char *said = support_capture_end();
    assert_true(slowed >= 0.04 && slowed < 0.5);
    assert_true(at_the_place >= 1.1 && at_the_place < 3.0);
    assert_says(said, "fault on purpose: write of a: sleep\n");
}

static void nothing(int number)
{
    (void)number;
}

static void test_a_signal_ends_a_sleep(void **state)
{
    (void)state;
    const struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    struct sigaction before;
    const struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    support_capture_begin();
    arm("call=write,sleep=30000", 0);
    const double begin = seconds_now();
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_int_equal(dh_fault(DH_CALL_WRITE, "a"), 0);
    const double slept = seconds_now() - begin;
    (void)support_capture_end();
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    assert_true(slept < 20.0);
}

static void test_calls_are_counted(void **state)
{
    (void)state;
    char text[4600];
    (void)snprintf(text, sizeof text, "count=%s;call=write,error=SHORT,at=2,path=one",
                   support_path("counts"));
    support_capture_begin();
    arm(text, 5);
    (void)pattern(DH_CALL_WRITE, "one");
    (void)pattern(DH_CALL_WRITE, "two");
    assert_int_equal(dh_fault(DH_CALL_RENAME, "one"), 0);
    const dh_status status = dh_fault_report();
    (void)support_capture_end();
    assert_ok(status);
    assert_false(dh_fault_armed);
    dh_buffer counts = {0};
    assert_ok(dh_file_read_all(support_path("counts-5"), 4096, &counts));
    assert_ok(dh_buffer_append(&counts, "", 1));
    assert_string_equal((const char *)counts.data,
                        "open 0\nread 0\nwrite 32\nsync 0\nclose 0\nrename 1\nlink 0\nremove 0\nreserve 0\n"
                        "folder 0\nstat 0\nallocate 0\ndevice 0\nplace 0\nrule 2 matched 16 failed 1\n");
    dh_buffer_free(&counts);
}

static void test_a_report_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    char text[4600];
    (void)snprintf(text, sizeof text, "count=%s", support_path("no/such/folder"));
    arm(text, 0);
    support_capture_begin();
    const dh_status status = dh_fault_report();
    assert_says(support_capture_end(), "no/such/folder-0");
    assert_int_equal(status, DH_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_nothing_is_armed_without_the_variable, disarm),
        cmocka_unit_test_teardown(test_the_nth_call_fails_once_or_from_there_on, disarm),
        cmocka_unit_test_teardown(test_faults_are_said_once_a_rule, disarm),
        cmocka_unit_test_teardown(test_calls_are_told_apart_by_path_and_rank, disarm),
        cmocka_unit_test_teardown(test_any_is_every_call_to_the_system, disarm),
        cmocka_unit_test_teardown(test_every_name_of_a_call_and_an_error, disarm),
        cmocka_unit_test_teardown(test_chance_is_reproducible, disarm),
        cmocka_unit_test_teardown(test_a_wrong_rule_is_refused_and_named, disarm),
        cmocka_unit_test_teardown(test_too_many_rules_and_too_long_a_text, disarm),
        cmocka_unit_test_teardown(test_errno_of_the_caller_is_kept, disarm),
        cmocka_unit_test_teardown(test_allocations_fail_with_what_they_are_for, disarm),
        cmocka_unit_test_teardown(test_the_process_is_killed_or_stopped_at_a_place, disarm),
        cmocka_unit_test_teardown(test_a_call_that_is_slowed_is_made, disarm),
        cmocka_unit_test_teardown(test_a_signal_ends_a_sleep, disarm),
        cmocka_unit_test_teardown(test_calls_are_counted, disarm),
        cmocka_unit_test_teardown(test_a_report_that_cannot_be_written_is_an_error, disarm),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
