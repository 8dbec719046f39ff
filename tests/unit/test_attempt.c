/* Tests of checkpoint/attempt.h and checkpoint/slurm.h: who holds a checkpoint folder. */
#include "support.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "checkpoint/attempt.h"
#include "checkpoint/slurm.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- helpers ----------------------------------------------------------------------------------------- */

static char *fresh_folder(void)
{
    static unsigned number;
    char name[32];
    (void)snprintf(name, sizeof name, "ckpt%u", number++);
    static char folder[4400];
    (void)snprintf(folder, sizeof folder, "%s", support_make_folder(name));
    return folder;
}

static char *attempt_path(const char *folder, uint32_t epoch)
{
    static char path[4500];
    (void)snprintf(path, sizeof path, "%s/attempt-%06u", folder, epoch);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* An attempt's file as another dhatu would have written it. */
static void write_attempt(const char *folder, const dh_attempt *attempt)
{
    char text[2048];
    int size =
        snprintf(text, sizeof text,
                 "{\"format\":1,\"epoch\":%u,\"ranks\":%d,\"host\":\"%s\",\"pid\":%lld,\"pid_start\":"
                 "%llu,\"boot\":\"%s\",\"pid_space\":%llu,\"job\":\"%s\",\"job_restart\":%u,\"start\":%llu,"
                 "\"end\":%llu,\"exit_code\":%d",
                 attempt->epoch, attempt->ranks, attempt->host, (long long)attempt->pid,
                 (unsigned long long)attempt->pid_start, attempt->boot,
                 (unsigned long long)attempt->pid_space, attempt->job, attempt->job_restart,
                 (unsigned long long)attempt->start, (unsigned long long)attempt->end, attempt->exit_code);
    const unsigned long long check = XXH3_64bits(text, (size_t)size);
    size += snprintf(text + size, sizeof text - (size_t)size, ",\"check\":\"%016llx\"}\n", check);
    write_file(attempt_path(folder, attempt->epoch), text, (size_t)size);
}

static dh_holder_state state_of(const char *folder, bool ask_slurm, dh_attempt *holder)
{
    dh_holder_state state = DH_HOLDER_NONE;
    assert_ok(dh_attempt_look(folder, ask_slurm, holder, &state));
    return state;
}

static unsigned names_with(const char *folder, const char *part)
{
    char command[5000];
    (void)snprintf(command, sizeof command, "ls '%s' | grep -c -e '%s'", folder, part);
    FILE *answer = popen(command, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(answer);
    char line[32] = "";
    (void)fgets(line, sizeof line, answer);
    (void)pclose(answer);
    return (unsigned)strtoul(line, NULL, 10);
}

/* A child that takes the folder and stays until it is killed. Its epoch comes back. */
static pid_t child_that_holds(const char *folder, uint32_t *epoch)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dh_attempt attempt = {0};
        const dh_status status = dh_attempt_take(folder, 2, false, &attempt);
        const uint32_t said = status == DH_OK ? attempt.epoch : 0;
        (void)!write(ready[1], &said, sizeof said);
        for (;;) {
            (void)pause();
        }
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], epoch, sizeof *epoch), sizeof *epoch);
    assert_true(*epoch > 0);
    (void)close(ready[0]);
    return child;
}

static void reap(pid_t child)
{
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* ---- taking and ending ------------------------------------------------------------------------------- */

static void test_take_end_and_take_again(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt holder;
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_NONE);
    assert_int_equal(holder.epoch, 0);
    dh_attempt first;
    assert_ok(dh_attempt_take(folder, 16, false, &first));
    assert_int_equal(first.epoch, 1);
    assert_int_equal(first.ranks, 16);
    assert_int_equal(first.pid, getpid());
    assert_true(first.pid_start > 0 && first.pid_space > 0 && first.start > 0);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_ALIVE);
    assert_memory_equal(&holder, &first, sizeof holder);
    assert_true(dh_attempt_is_current(folder, 1));
    assert_ok(dh_attempt_end(folder, &first, 75));
    assert_true(first.end >= first.start);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_ENDED);
    assert_int_equal(holder.exit_code, 75);
    assert_int_equal(holder.end, first.end);
    dh_attempt second;
    assert_ok(dh_attempt_take(folder, 1, false, &second));
    assert_int_equal(second.epoch, 2);
    assert_false(dh_attempt_is_current(folder, 1));
    assert_true(dh_attempt_is_current(folder, 2));
    assert_int_equal(names_with(folder, "claim"), 0);
    assert_int_equal(names_with(folder, "attempt-"), 2);
}

static void test_a_folder_that_is_gone_is_made_again(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    assert_int_equal(rmdir(folder), 0);
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    assert_int_equal(attempt.epoch, 1);
}

static void test_an_epoch_is_never_used_twice(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    char path[4500];
    (void)snprintf(path, sizeof path, "%s/spill-000007-000001", folder);
    write_file(path, "x", 1);
    (void)snprintf(path, sizeof path, "%s/journal-000005-000001", folder);
    write_file(path, "x", 1);
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    assert_int_equal(attempt.epoch, 8);
    assert_ok(dh_attempt_end(folder, &attempt, 0));
    (void)snprintf(path, sizeof path, "%s/journal-%06u-000000", folder, UINT32_MAX);
    write_file(path, "x", 1);
    support_capture_begin();
    const dh_status status = dh_attempt_take(folder, 1, false, &attempt);
    assert_says(support_capture_end(), "the last attempt there can be");
    assert_int_equal(status, DH_IO);
}

/* Takes a new folder while calls fail. */
static dh_status take_with_fault(const char *folder, const char *fault, dh_attempt *out)
{
    assert_int_equal(setenv("DHATU_FAULT", fault, 1), 0);
    support_capture_begin();
    dh_status status = dh_fault_arm(0);
    if (status == DH_OK) {
        status = dh_attempt_take(folder, 1, false, out);
    }
    (void)support_capture_end();
    assert_int_equal(unsetenv("DHATU_FAULT"), 0);
    assert_ok(dh_fault_arm(0));
    return status;
}

static void test_failing_calls(void **state)
{
    (void)state;
    static const char *const fault[] = {"call=link,error=EIO", "call=open,error=EACCES",
                                        "call=write,error=ENOSPC", "call=sync,error=EIO",
                                        "call=folder,error=EMFILE"};
    dh_attempt attempt;
    for (size_t i = 0; i < COUNT(fault); i++) {
        const char *folder = fresh_folder();
        assert_int_equal(take_with_fault(folder, fault[i], &attempt), DH_IO);
        assert_says(support_said, folder);
        assert_int_equal(names_with(folder, "attempt"), 0);
        assert_ok(dh_attempt_take(folder, 1, false, &attempt));
        assert_int_equal(attempt.epoch, 1);
    }
    /* What a signal interrupts is done again; a name that is gone once is tried again. */
    const char *folder = fresh_folder();
    assert_ok(take_with_fault(folder, "call=link,error=EINTR;call=open,error=EINTR", &attempt));
    assert_ok(take_with_fault(fresh_folder(), "call=link,error=ENOENT", &attempt));
    assert_int_equal(take_with_fault(fresh_folder(), "call=link,error=ENOENT,persist", &attempt), DH_LOCKED);
    assert_says(support_said, "not to be had in 40 tries");
    folder = fresh_folder();
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    assert_int_equal(setenv("DHATU_FAULT", "call=stat,error=EIO,persist", 1), 0);
    support_capture_begin();
    assert_ok(dh_fault_arm(0));
    const bool current = dh_attempt_is_current(folder, 1);
    (void)support_capture_end();
    assert_int_equal(unsetenv("DHATU_FAULT"), 0);
    assert_ok(dh_fault_arm(0));
    assert_true(current);
}

/* ---- dead or alive ----------------------------------------------------------------------------------- */

static void test_a_dead_holder_is_taken_over(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    uint32_t epoch = 0;
    const pid_t child = child_that_holds(folder, &epoch);
    dh_attempt holder;
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_ALIVE);
    assert_int_equal(holder.pid, child);
    support_capture_begin();
    dh_attempt attempt;
    const dh_status refused = dh_attempt_take(folder, 1, false, &attempt);
    const char *said = support_capture_end();
    assert_int_equal(refused, DH_LOCKED);
    char part[64];
    (void)snprintf(part, sizeof part, "process %d, since 20", (int)child);
    assert_says(said, folder);
    assert_says(said, part);
    assert_says(said, "UTC (");
    assert_says(said, " s ago). Wait for it, or if you know that it is dead: --break-lock");
    /* A zombie is dead. */
    assert_int_equal(kill(child, SIGKILL), 0);
    siginfo_t facts;
    assert_int_equal(waitid(P_PID, (id_t)child, &facts, WEXITED | WNOWAIT), 0);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_DEAD);
    reap(child);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_DEAD);
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    assert_int_equal(attempt.epoch, epoch + 1);
}

static void test_a_living_holder_is_fenced_by_break_lock(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    uint32_t epoch = 0;
    const pid_t child = child_that_holds(folder, &epoch);
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_true(dh_attempt_is_current(folder, epoch));
    dh_attempt frozen;
    assert_true(dh_attempt_read(folder, epoch, &frozen));
    dh_attempt attempt;
    support_capture_begin();
    const dh_status status = dh_attempt_take(folder, 1, true, &attempt);
    assert_says(support_capture_end(), "--break-lock takes it from attempt 1 on ");
    assert_int_equal(status, DH_OK);
    assert_int_equal(attempt.epoch, epoch + 1);
    assert_false(dh_attempt_is_current(folder, epoch));
    /* What the woken one says of its end changes nothing. */
    assert_ok(dh_attempt_end(folder, &frozen, 0));
    assert_int_equal(frozen.end, 0);
    dh_attempt holder;
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_ALIVE);
    assert_int_equal(holder.epoch, attempt.epoch);
    assert_int_equal(kill(child, SIGKILL), 0);
    reap(child);
}

/* A later attempt may have started over and be two ahead. */
static void test_a_holder_whose_own_file_is_gone_is_not_current(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    assert_int_equal(unlink(attempt_path(folder, 1)), 0);
    assert_false(dh_attempt_is_current(folder, 1));
}

static void test_other_hosts_boots_and_containers(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt self;
    assert_ok(dh_attempt_take(folder, 1, false, &self));
    dh_attempt holder;
    dh_attempt other = self;
    other.pid_start++; /* the number was given to another process */
    write_attempt(folder, &other);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_DEAD);
    assert_memory_equal(&holder, &other, sizeof holder);
    other = self;
    memset(other.boot, '0', 8);
    write_attempt(folder, &other);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_DEAD);
    (void)snprintf(other.host, sizeof other.host, "elsewhere");
    write_attempt(folder, &other);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_UNKNOWN);
    support_capture_begin();
    dh_attempt attempt;
    const dh_status refused = dh_attempt_take(folder, 1, false, &attempt);
    assert_says(support_capture_end(), "may be held by another run: attempt 1 on elsewhere, process");
    assert_int_equal(refused, DH_LOCKED);
    other = self;
    other.pid_space++;
    write_attempt(folder, &other);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_UNKNOWN);
    other.end = other.start + 1;
    write_attempt(folder, &other);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_ENDED);
}

/* ---- Slurm ------------------------------------------------------------------------------------------- */

/* Puts a squeue in front of PATH that runs the text. */
static void fake_squeue(const char *text)
{
    char script[1024];
    (void)snprintf(script, sizeof script, "#!/bin/sh\n%s\n", text);
    const char *path = support_write_text("bin/squeue", script);
    assert_int_equal(chmod(path, 0755), 0);
}

/* Lets programs be found in bin/ of the temporary folder, and behind it where they are found else. */
static char *path_before;

static void path_begin(bool only_ours)
{
    const char *before = getenv("PATH");
    path_before = strdup(before != NULL ? before : "/bin:/usr/bin");
    assert_non_null(path_before);
    char both[8192];
    (void)snprintf(both, sizeof both, "%s%s%s", support_path("bin"), only_ours ? "" : ":",
                   only_ours ? "" : path_before);
    assert_int_equal(setenv("PATH", both, 1), 0);
}

static void path_end(void)
{
    assert_int_equal(setenv("PATH", path_before, 1), 0);
    free(path_before);
    path_before = NULL;
}

static void test_squeue(void **state)
{
    (void)state;
    assert_int_equal(mkdir(support_path("bin"), 0777), 0);
    path_begin(true);
    assert_int_equal(dh_slurm_ask("42"), DH_SLURM_JOB_UNKNOWN); /* there is none */
    path_end();
    path_begin(false);
    static const struct {
        const char *script;
        dh_slurm_job job;
    } cases[] = {
        {"echo RUNNING", DH_SLURM_JOB_ALIVE},
        {"echo PENDING", DH_SLURM_JOB_OVER},
        {"echo REQUEUE_HOLD", DH_SLURM_JOB_OVER},
        {"echo PENDING; echo RUNNING", DH_SLURM_JOB_ALIVE},
        {"echo SUSPENDED", DH_SLURM_JOB_ALIVE},
        {"printf COMPLETING", DH_SLURM_JOB_ALIVE},
        {"echo TIMEOUT", DH_SLURM_JOB_OVER},
        {"echo CANCELLED; echo RUNNING", DH_SLURM_JOB_ALIVE},
        {"exit 0", DH_SLURM_JOB_OVER},
        {"echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", DH_SLURM_JOB_OVER},
        {"echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1",
         DH_SLURM_JOB_UNKNOWN},
        {"echo 'squeue: warning: something'", DH_SLURM_JOB_UNKNOWN},
        {"exit 3", DH_SLURM_JOB_UNKNOWN},
        {"kill -9 $$", DH_SLURM_JOB_UNKNOWN},
        {"head -c 100000 /dev/zero | tr '\\0' x; exit 0", DH_SLURM_JOB_UNKNOWN},
        {"cat; test \"$*\" = '-h -j 42 -o %T' && echo RUNNING", DH_SLURM_JOB_ALIVE},
        {"test -z \"$SQUEUE_STATES\" && echo RUNNING; exit 0", DH_SLURM_JOB_ALIVE},
    };
    assert_int_equal(setenv("SQUEUE_STATES", "PENDING", 1), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        fake_squeue(cases[i].script);
        if (dh_slurm_ask("42") != cases[i].job) {
            fail_msg("case %zu: %s", i, cases[i].script);
        }
    }
    fake_squeue("exit 0");
    assert_int_equal(dh_slurm_ask("-V"), DH_SLURM_JOB_UNKNOWN);
    assert_int_equal(dh_slurm_ask(""), DH_SLURM_JOB_UNKNOWN);
    assert_int_equal(dh_slurm_ask("123456789012345678901"), DH_SLURM_JOB_UNKNOWN);
    assert_int_equal(unsetenv("SQUEUE_STATES"), 0);
    path_end();
}

static void test_a_squeue_that_hangs_is_ended(void **state)
{
    (void)state;
    path_begin(false);
    fake_squeue("sleep 60 & sleep 60");
    const uint64_t begin = dh_time_of_day();
    assert_int_equal(dh_slurm_ask("42"), DH_SLURM_JOB_UNKNOWN);
    const double seconds = 1e-9 * (double)(dh_time_of_day() - begin);
    assert_true(seconds > 9.0 && seconds < 20.0);
    path_end();
}

static void test_slurm_jobs_on_other_hosts(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt other;
    assert_ok(dh_attempt_take(folder, 1, false, &other));
    (void)snprintf(other.host, sizeof other.host, "elsewhere");
    memset(other.boot, '0', 8);
    (void)snprintf(other.job, sizeof other.job, "42");
    other.job_restart = 1;
    write_attempt(folder, &other);
    path_begin(false);
    dh_attempt holder;
    /* From outside of Slurm. */
    fake_squeue("echo RUNNING");
    assert_int_equal(state_of(folder, true, &holder), DH_HOLDER_ALIVE);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_UNKNOWN);
    fake_squeue("exit 0");
    assert_int_equal(state_of(folder, true, &holder), DH_HOLDER_DEAD);
    /* The requeued job is us. */
    fake_squeue("echo RUNNING");
    assert_int_equal(setenv("SLURM_JOB_ID", "42", 1), 0);
    assert_int_equal(setenv("SLURM_RESTART_COUNT", "1", 1), 0);
    assert_int_equal(state_of(folder, true, &holder), DH_HOLDER_ALIVE);
    assert_int_equal(setenv("SLURM_RESTART_COUNT", "2", 1), 0);
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_DEAD);
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    assert_string_equal(attempt.job, "42");
    assert_int_equal(attempt.job_restart, 2);
    assert_int_equal(unsetenv("SLURM_JOB_ID"), 0);
    assert_int_equal(unsetenv("SLURM_RESTART_COUNT"), 0);
    path_end();
}

/* ---- several at once --------------------------------------------------------------------------------- */

enum { CHILDREN_MAX = 8 };

typedef struct verdict {
    int status;
    uint32_t epoch;
} verdict;

/* All take at once, and live until all have an answer. Then they look whether they are current. */
static void take_at_once(const char *folder, int count, bool break_lock, verdict *out, int *current)
{
    int go[2];
    int answer[2];
    int look[2];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(answer), 0);
    assert_int_equal(pipe(look), 0);
    pid_t child[CHILDREN_MAX];
    for (int i = 0; i < count; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0) {
            (void)close(go[1]);
            (void)close(look[1]);
            (void)!freopen("/dev/null", "w", stderr);
            char byte;
            (void)!read(go[0], &byte, 1); /* the end of the file is the sign */
            dh_attempt attempt = {0};
            verdict mine = {.status = (int)dh_attempt_take(folder, 1, break_lock, &attempt)};
            mine.epoch = attempt.epoch;
            (void)!write(answer[1], &mine, sizeof mine);
            (void)!read(look[0], &byte, 1);
            _exit(mine.status == DH_OK && dh_attempt_is_current(folder, mine.epoch) ? 1 : 0);
        }
    }
    (void)close(go[0]);
    (void)close(look[0]);
    (void)close(go[1]);
    for (int i = 0; i < count; i++) {
        assert_int_equal(read(answer[0], &out[i], sizeof out[i]), sizeof out[i]);
    }
    (void)close(look[1]);
    *current = 0;
    for (int i = 0; i < count; i++) {
        int wait_status = 0;
        assert_int_equal(waitpid(child[i], &wait_status, 0), child[i]);
        assert_true(WIFEXITED(wait_status));
        *current += WEXITSTATUS(wait_status);
    }
    (void)close(answer[0]);
    (void)close(answer[1]);
}

static void test_of_eight_at_once_one_wins(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    const unsigned rounds = support_turns(200);
    for (unsigned round = 1; round <= rounds; round++) {
        verdict said[CHILDREN_MAX];
        int current = 0;
        take_at_once(folder, CHILDREN_MAX, false, said, &current);
        int winners = 0;
        for (int i = 0; i < CHILDREN_MAX; i++) {
            winners += said[i].status == DH_OK;
            assert_true(said[i].status == DH_OK || said[i].status == DH_LOCKED);
            assert_true(said[i].status != DH_OK || said[i].epoch == round);
        }
        assert_int_equal(winners, 1);
        assert_int_equal(current, 1);
    }
    assert_int_equal(names_with(folder, "claim"), 0);
    assert_int_equal(names_with(folder, "attempt-"), rounds);
}

static void test_of_two_that_break_a_lock_one_holds_it(void **state)
{
    (void)state;
    const unsigned rounds = support_turns(50);
    for (unsigned round = 0; round < rounds; round++) {
        const char *folder = fresh_folder();
        uint32_t epoch = 0;
        const pid_t child = child_that_holds(folder, &epoch);
        const bool alive = round % 2 == 0;
        if (!alive) {
            assert_int_equal(kill(child, SIGKILL), 0);
            reap(child);
        }
        verdict said[2];
        int current = 0;
        take_at_once(folder, 2, true, said, &current);
        assert_true(said[0].status == DH_OK || said[1].status == DH_OK);
        assert_true(said[0].status != DH_OK || said[1].status != DH_OK || said[0].epoch != said[1].epoch);
        assert_int_equal(current, 1);
        if (alive) {
            assert_int_equal(kill(child, SIGKILL), 0);
            reap(child);
        }
    }
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static void expect_damaged(const char *folder, const char *what, size_t where)
{
    dh_attempt read;
    dh_attempt holder;
    if (dh_attempt_read(folder, 1, &read)) {
        fail_msg("%s at %zu was not seen", what, where);
    }
    assert_int_equal(state_of(folder, false, &holder), DH_HOLDER_UNKNOWN);
    assert_int_equal(holder.epoch, 1);
    assert_int_equal(holder.start, 0);
}

static void test_damaged_files(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    const char *path = attempt_path(folder, 1);
    dh_buffer good = {0};
    assert_ok(dh_file_read_all(path, 4096, &good));
    for (size_t size = 0; size < good.size; size++) {
        write_file(path, good.data, size);
        expect_damaged(folder, "a cut", size);
    }
    for (size_t bit = 0; bit < 8 * good.size; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        write_file(path, good.data, good.size);
        good.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        expect_damaged(folder, "a flipped bit", bit);
    }
    write_file(path, "{}\n", 3);
    expect_damaged(folder, "an empty object", 0);
    /* The check fits, and what it is over makes no sense. */
    static const char *const senseless[] = {"", "{", "{\"format\":1", "{\"format\":2,\"epoch\":1",
                                            "{\"format\":1,\"epoch\":99999999999999999999999"};
    for (size_t i = 0; i < COUNT(senseless); i++) {
        char text[256];
        const unsigned long long check = XXH3_64bits(senseless[i], strlen(senseless[i]));
        const int size = snprintf(text, sizeof text, "%s,\"check\":\"%016llx\"}\n", senseless[i], check);
        write_file(path, text, (size_t)size);
        expect_damaged(folder, "nonsense", i);
    }
    dh_attempt next;
    support_capture_begin();
    const dh_status refused = dh_attempt_take(folder, 1, false, &next);
    assert_says(support_capture_end(), "attempt 1, whose file is damaged");
    assert_int_equal(refused, DH_LOCKED);
    support_capture_begin();
    const dh_status broken = dh_attempt_take(folder, 1, true, &next);
    assert_says(support_capture_end(), "takes it from attempt 1, whose file is damaged");
    assert_int_equal(broken, DH_OK);
    assert_int_equal(next.epoch, 2);
    dh_buffer_free(&good);
}

/* ---- words ------------------------------------------------------------------------------------------- */

static void test_times_and_durations(void **state)
{
    (void)state;
    dh_buffer out = {0};
    assert_ok(dh_append_time(UINT64_C(1767323045123456789), &out));
    static const double seconds[] = {-3.0, 59.9, 125.0, 12000.0, 442800.0};
    for (size_t i = 0; i < COUNT(seconds); i++) {
        assert_ok(dh_buffer_printf(&out, "|"));
        assert_ok(dh_append_duration(seconds[i], &out));
    }
    assert_ok(dh_buffer_append(&out, "", 1));
    assert_string_equal((const char *)out.data,
                        "2026-01-02 03:04:05 UTC|0 s|59 s|2 min 5 s|3 h 20 min|5 d 3 h");
    dh_buffer_free(&out);
}

int main(void)
{
    /* The jobs of the machine that this test runs on are of no interest here. */
    (void)unsetenv("SLURM_JOB_ID");
    (void)unsetenv("SLURM_RESTART_COUNT");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_end_and_take_again),
        cmocka_unit_test(test_a_folder_that_is_gone_is_made_again),
        cmocka_unit_test(test_an_epoch_is_never_used_twice),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_a_dead_holder_is_taken_over),
        cmocka_unit_test(test_a_living_holder_is_fenced_by_break_lock),
        cmocka_unit_test(test_a_holder_whose_own_file_is_gone_is_not_current),
        cmocka_unit_test(test_other_hosts_boots_and_containers),
        cmocka_unit_test(test_squeue),
        cmocka_unit_test(test_a_squeue_that_hangs_is_ended),
        cmocka_unit_test(test_slurm_jobs_on_other_hosts),
        cmocka_unit_test(test_of_eight_at_once_one_wins),
        cmocka_unit_test(test_of_two_that_break_a_lock_one_holds_it),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_times_and_durations),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
