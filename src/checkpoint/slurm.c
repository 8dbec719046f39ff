#include "checkpoint/slurm.h"

#include "base/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    LIMIT_MS = 10000, /* for squeue to answer */
    DIGITS_MAX = 20   /* of a job's number */
};

typedef struct squeue_answer {
    char text[4096]; /* with a NUL */
    int exit_code;
} squeue_answer;

/* A process group of its own, so that what it starts can be ended with it. */
static bool spawn_squeue(const char *job, int output, pid_t *pid)
{
    enum { ARGUMENTS = 6, ARGUMENT_SIZE = 32 };
    char text[ARGUMENTS][ARGUMENT_SIZE] = {"squeue", "-h", "-j", "", "-o", "%T"};
    char *arguments[ARGUMENTS + 1] = {text[0], text[1], text[2], text[3], text[4], text[5], NULL};
    (void)snprintf(text[3], ARGUMENT_SIZE, "%s", job);
    /* The user's SQUEUE_* variables filter what squeue shows: a job that is not shown would pass for dead. */
    static const char *const filters[] = {"SQUEUE_"};
    char **plain = NULL;
    if (dh_environment_less((dh_environment_names){filters, 1}, (dh_environment_names){0}, &plain) != DH_OK) {
        return false;
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    bool started = false;
    if (posix_spawn_file_actions_init(&actions) == 0) {
        if (posix_spawnattr_init(&attributes) == 0) {
            started =
                posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP) == 0 &&
                posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO) == 0 &&
                posix_spawnp(pid, "squeue", &actions, &attributes, arguments, plain) == 0;
            (void)posix_spawnattr_destroy(&attributes);
        }
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(plain);
    return started;
}

static int milliseconds_left(const struct timespec *begin)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const long long past =
        (long long)(now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / 1000000;
    return past < LIMIT_MS ? (int)(LIMIT_MS - past) : 0;
}

/* Reads to the end of the pipe; what has no room is dropped. False: the time is over. */
static bool read_answer(int pipe_end, const struct timespec *begin, squeue_answer *out)
{
    size_t size = 0;
    for (;;) {
        struct pollfd wait = {.fd = pipe_end, .events = POLLIN};
        const int left = milliseconds_left(begin);
        if (left == 0) {
            return false;
        }
        const int ready = poll(&wait, 1, left);
        if (ready == 0 || (ready < 0 && errno == EINTR)) {
            continue;
        }
        char dropped[512];
        const size_t room = sizeof out->text - 1 - size;
        const ssize_t got =
            read(pipe_end, room > 0 ? out->text + size : dropped, room > 0 ? room : sizeof dropped);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            out->text[size] = '\0';
            return got == 0;
        }
        size += room > 0 ? (size_t)got : 0;
    }
}

/* False: it was killed, by us or by others. */
static bool wait_for_end(pid_t pid, const struct timespec *begin, bool in_time, int *exit_code)
{
    int wait_status = 0;
    pid_t ended = 0;
    while (in_time && ended == 0) {
        ended = waitpid(pid, &wait_status, WNOHANG);
        if (ended < 0 && errno == EINTR) {
            ended = 0;
        }
        if (ended == 0) {
            in_time = milliseconds_left(begin) > 0;
            (void)poll(NULL, 0, 1);
        }
    }
    if (ended == 0) {
        (void)kill(-pid, SIGKILL);
        do {
            ended = waitpid(pid, &wait_status, 0);
        } while (ended < 0 && errno == EINTR);
        return false;
    }
    if (ended != pid || !WIFEXITED(wait_status)) {
        return false;
    }
    *exit_code = WEXITSTATUS(wait_status);
    return true;
}

/* False: no squeue, or it did not answer. */
static bool run_squeue(const char *job, squeue_answer *out)
{
    int pipe_ends[2];
    pid_t pid = 0;
    struct timespec begin;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    if (pipe2(pipe_ends, O_CLOEXEC) != 0) {
        return false;
    }
    const bool started = spawn_squeue(job, pipe_ends[1], &pid);
    (void)close(pipe_ends[1]);
    bool answered = false;
    if (started) {
        const bool in_time = read_answer(pipe_ends[0], &begin, out);
        answered = wait_for_end(pid, &begin, in_time, &out->exit_code);
    }
    (void)close(pipe_ends[0]);
    return answered;
}

/* Is a line of squeue a state, and one in which nothing of the job runs? */
static dh_slurm_job state_of_line(const char *line, size_t size)
{
    /* A job that waits to run again has no processes, and if one of a lost node lives on, the next attempt's
     * number keeps it out. Else the jobs behind it in a chain would find its checkpoint held. */
    static const char *const over[] = {"BOOT_FAIL",    "CANCELLED",     "COMPLETED", "DEADLINE",
                                       "FAILED",       "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
                                       "PENDING",      "PREEMPTED",     "REQUEUED",  "REQUEUE_FED",
                                       "REQUEUE_HOLD", "SPECIAL_EXIT",  "TIMEOUT"};
    if (size == 0 || strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") < size) {
        return DH_SLURM_JOB_UNKNOWN;
    }
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        if (strlen(over[i]) == size && memcmp(over[i], line, size) == 0) {
            return DH_SLURM_JOB_OVER;
        }
    }
    return DH_SLURM_JOB_ALIVE;
}

dh_slurm_job dh_slurm_ask(const char *job)
{
    squeue_answer answer = {.exit_code = -1};
    const size_t digits = strspn(job, "0123456789");
    if (digits == 0 || digits > DIGITS_MAX || job[digits] != '\0' || !run_squeue(job, &answer)) {
        return DH_SLURM_JOB_UNKNOWN;
    }
    if (answer.exit_code != 0) {
        return strstr(answer.text, "Invalid job id") != NULL ? DH_SLURM_JOB_OVER : DH_SLURM_JOB_UNKNOWN;
    }
    /* Several lines: the tasks of a job array. Other text is a warning, from which nothing follows. */
    dh_slurm_job state = answer.text[0] == '\0' ? DH_SLURM_JOB_OVER : DH_SLURM_JOB_UNKNOWN;
    for (const char *line = answer.text; *line != '\0';) {
        const size_t size = strcspn(line, "\n");
        const dh_slurm_job of_line = state_of_line(line, size);
        if (of_line == DH_SLURM_JOB_ALIVE) {
            return DH_SLURM_JOB_ALIVE;
        }
        state = of_line == DH_SLURM_JOB_OVER ? DH_SLURM_JOB_OVER : state;
        line += size + (line[size] == '\n' ? 1 : 0);
    }
    return state;
}
