#include "commands/plan_wait.h"

#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define NANOSECONDS 1e-9

/* The second number of a schedstat file: ns that the thread was ready to run and did not. */
static double read_schedstat(const char *path)
{
    char line[128] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    const bool read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    if (!read) {
        return 0;
    }
    char *second = NULL;
    (void)strtoull(line, &second, 10);
    return (double)strtoull(second, NULL, 10) * NANOSECONDS;
}

double dh_waited_seconds(pid_t process)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)process);
    return read_schedstat(path);
}

double dh_waited_by_children(pid_t process)
{
    char path[96];
    char line[4096] = "";
    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)process, (long)process);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    const bool read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    double most = 0;
    char *rest = line;
    for (char *at = line; read; at = rest) {
        const long child = strtol(at, &rest, 10);
        if (rest == at) {
            break;
        }
        const double waited = dh_waited_seconds((pid_t)child);
        most = waited > most ? waited : most;
    }
    return most;
}

typedef struct moment {
    double time, waited;
} moment;

dh_status dh_wait_note(dh_wait_history *history, double time, double waited)
{
    const size_t count = history->moments.size / sizeof(moment);
    const moment *all = (const moment *)(const void *)history->moments.data;
    /* A process that has just ended tells 0. */
    const double before = count > 0 ? all[count - 1].waited : 0;
    const moment now = {.time = time, .waited = before > waited ? before : waited};
    return dh_buffer_append(&history->moments, &now, sizeof now);
}

double dh_wait_of_last(const dh_wait_history *history, double seconds)
{
    const size_t count = history->moments.size / sizeof(moment);
    const moment *at = (const moment *)(const void *)history->moments.data;
    if (count == 0) {
        return 0;
    }
    const double begin = at[count - 1].time - seconds;
    size_t first = count - 1; /* the first moment behind the begin */
    while (first > 0 && at[first - 1].time > begin) {
        first--;
    }
    const double until_end = at[count - 1].waited - at[first].waited;
    if (first == 0 || at[first].time <= begin) {
        return until_end;
    }
    const moment *before = &at[first - 1];
    const double part = (at[first].time - begin) / (at[first].time - before->time);
    return until_end + part * (at[first].waited - before->waited);
}

double dh_working_seconds(void)
{
    return dh_seconds() - read_schedstat("/proc/thread-self/schedstat");
}
