#include "run/watch.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/attempt.h"
#include "checkpoint/folder.h"

#include <signal.h>
#include <stdlib.h>

/* Seconds between looks: at what lies in memory, at the next attempt's file, at the file "stop". */
static const double look_every = 0.05;
static const double fence_every = 1.0;
static const double stop_every = 2.0;

/* Why the run is left; of several the last one is told. */
typedef enum watch_reason {
    REASON_NONE = 0,
    REASON_MAX_TIME,
    REASON_STOP,
    REASON_USR2,
    REASON_USR1,
    REASON_TERM,
    REASON_COUNT
} watch_reason;

static const char *const reason_name[REASON_COUNT] = {
    [REASON_MAX_TIME] = "--max-time", [REASON_STOP] = "the file \"stop\" in the checkpoint folder",
    [REASON_USR2] = "SIGUSR2",        [REASON_USR1] = "SIGUSR1",
    [REASON_TERM] = "SIGTERM",
};

struct dh_watch {
    dh_counters *counters;
    dh_watch_options options;
    dh_buffer stop_path;
    double last_look, last_fence, last_stop;
    double leave_at; /* when to leave although a segment is under way; 0: not leaving */
    bool failed;     /* some rank has */
    bool locked;
    watch_reason reason; /* that this rank knows */
};

/* What a signal handler may change. */
static volatile sig_atomic_t signal_seen;

static void note_signal(int number)
{
    if (signal_seen != SIGTERM) {
        signal_seen = number;
    }
}

static dh_status catch_signals(void)
{
    static const int caught[] = {SIGUSR1, SIGUSR2, SIGTERM};
    signal_seen = 0;
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
        (void)sigemptyset(&action.sa_mask);
        if (sigaction(caught[i], &action, NULL) != 0) {
            return dh_error(DH_INTERNAL, "signal %d cannot be caught", caught[i]);
        }
    }
    return DH_OK;
}

dh_status dh_watch_create(dh_comm *comm, const dh_watch_options *options, dh_watch **out)
{
    void *memory = NULL;
    dh_status status = dh_allocate(1, sizeof(dh_watch), "the watch", &memory);
    dh_watch *watch = memory;
    if (status == DH_OK) {
        watch->options = *options;
        status = dh_checkpoint_path(options->folder, DH_CHECKPOINT_STOP, 0, 0, &watch->stop_path);
    }
    if (status == DH_OK) {
        status = catch_signals();
    }
    status = dh_comm_agree(comm, status);
    if (status == DH_OK) {
        status = dh_counters_create(comm, &watch->counters);
    }
    if (status != DH_OK) {
        dh_watch_free(watch);
        return status;
    }
    *out = watch;
    return DH_OK;
}

void dh_watch_free(dh_watch *watch)
{
    if (watch != NULL) {
        dh_counters_free(watch->counters);
        dh_buffer_free(&watch->stop_path);
        free(watch);
    }
}

dh_counters *dh_watch_counters(dh_watch *watch)
{
    return watch->counters;
}

static void raise_counter(const dh_watch *watch, int counter)
{
    uint64_t before = 0;
    (void)dh_counters_add(watch->counters, counter, 1, &before); /* a failed MPI call ends the job */
}

static bool is_raised(const dh_watch *watch, int counter)
{
    uint64_t value = 0;
    return dh_counters_read(watch->counters, counter, &value) == DH_OK && value > 0;
}

/* This rank knows a reason to leave: the others are told. */
static void leave(dh_watch *watch, watch_reason reason)
{
    if (watch->reason == REASON_NONE) {
        raise_counter(watch, DH_COUNTER_LEAVE);
    }
    watch->reason = reason > watch->reason ? reason : watch->reason;
    if (reason == REASON_TERM) {
        raise_counter(watch, DH_COUNTER_LEAVE_NOW);
    }
}

/* True when one came since it was asked last. */
static bool look_at_signals(dh_watch *watch)
{
    const int number = signal_seen;
    if (number == 0) {
        return false;
    }
    signal_seen = 0;
    leave(watch, number == SIGTERM ? REASON_TERM : (number == SIGUSR1 ? REASON_USR1 : REASON_USR2));
    return true;
}

static void look_at_time(dh_watch *watch, double now)
{
    const dh_watch_options *options = &watch->options;
    if (options->max_seconds > 0 && watch->reason == REASON_NONE) {
        const double reserve = options->grace_seconds < options->max_seconds / 2 ? options->grace_seconds
                                                                                 : options->max_seconds / 2;
        if (now - options->start >= options->max_seconds - reserve) {
            leave(watch, REASON_MAX_TIME);
        }
    }
}

dh_status dh_watch_check_held(dh_watch *watch)
{
    if (watch->locked) {
        return DH_LOCKED;
    }
    watch->last_fence = dh_seconds();
    if (dh_attempt_is_current(watch->options.folder, watch->options.epoch)) {
        return DH_OK;
    }
    watch->locked = true;
    return dh_error(DH_LOCKED,
                    "%s: a later run has taken the checkpoint over (--break-lock, or this one seemed dead): "
                    "this one writes nothing more",
                    watch->options.folder);
}

static dh_status look_at_files(dh_watch *watch, double now)
{
    if (now - watch->last_stop >= stop_every) {
        watch->last_stop = now;
        const char *path = (const char *)watch->stop_path.data;
        struct stat facts;
        /* Where it cannot be told, nobody asks us to stop. */
        if (DH_CALL(STAT, path, stat(path, &facts)) == 0) {
            leave(watch, REASON_STOP);
        }
    }
    return watch->locked || now - watch->last_fence >= fence_every ? dh_watch_check_held(watch) : DH_OK;
}

static dh_status look(dh_watch *watch, double now)
{
    watch->last_look = now;
    look_at_time(watch, now);
    DH_TRY(look_at_files(watch, now));
    watch->failed = watch->failed || is_raised(watch, DH_COUNTER_STOP);
    if (watch->leave_at == 0 && is_raised(watch, DH_COUNTER_LEAVE)) {
        watch->leave_at = now + watch->options.grace_seconds / 2;
    }
    if (watch->leave_at > now && is_raised(watch, DH_COUNTER_LEAVE_NOW)) {
        watch->leave_at = now;
    }
    return DH_OK;
}

dh_status dh_watch_poll(void *context)
{
    dh_watch *watch = context;
    const bool asked = look_at_signals(watch); /* the grace begins now, not at the next look around */
    const double now = dh_seconds();
    if (asked || now - watch->last_look >= look_every) {
        DH_TRY(look(watch, now));
    }
    return watch->failed || (watch->leave_at > 0 && now >= watch->leave_at) ? DH_AGAIN : DH_OK;
}

dh_status dh_watch_may_write(void *context)
{
    return look_at_files(context, dh_seconds());
}

bool dh_watch_is_leaving(const dh_watch *watch)
{
    return watch->failed || watch->leave_at > 0 || watch->reason != REASON_NONE;
}

void dh_watch_fail(dh_watch *watch)
{
    watch->failed = true;
    raise_counter(watch, DH_COUNTER_STOP);
}

const char *dh_watch_reason(dh_comm *comm, const dh_watch *watch)
{
    uint64_t reason = (uint64_t)watch->reason;
    return dh_comm_max(comm, &reason, 1) == DH_OK && reason < REASON_COUNT ? reason_name[reason] : NULL;
}
