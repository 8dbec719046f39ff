/* dhatu: when to leave. Every rank asks often (dh_watch_poll): a signal, the file "stop", --max-time, the
 * failure of another rank or a later attempt on the same checkpoint make all ranks leave together.
 *
 * SIGUSR1, SIGUSR2, "stop" and --max-time let a rank end the segment it is in, for at most half of the
 * grace; the other half is for the commit. SIGTERM leaves at once, since mpirun kills a second later. */
#ifndef DH_RUN_WATCH_H
#define DH_RUN_WATCH_H

#include "comm/comm.h"

#include <stdbool.h>

typedef struct dh_watch dh_watch;

typedef struct dh_watch_options {
    const char *folder; /* of the checkpoint; must outlive the watch */
    uint32_t epoch;
    double start;       /* of the run, as of dh_seconds */
    double max_seconds; /* of the run; 0: no limit */
    double grace_seconds;
} dh_watch_options;

/* Installs the signal handlers and makes the run's counters. COLLECTIVE. Errors: DH_NO_MEMORY (logged). */
dh_status dh_watch_create(dh_comm *comm, const dh_watch_options *options, dh_watch **out);
void dh_watch_free(dh_watch *watch); /* COLLECTIVE; NULL is fine */

dh_counters *dh_watch_counters(dh_watch *watch);

/* A dh_poll; context is the dh_watch. DH_AGAIN: end at once, because the run is left or another rank failed.
 * DH_LOCKED: a later attempt holds the checkpoint (logged once). Cheap: it looks around every 50 ms. */
dh_status dh_watch_poll(void *watch);

/* Before something is written to the checkpoint: as dh_watch_poll, but only DH_LOCKED stops it. A dh_poll. */
dh_status dh_watch_may_write(void *watch);

/* The same, without regard to when it was looked last. */
dh_status dh_watch_check_held(dh_watch *watch);

/* True when no new segment is to be begun. */
bool dh_watch_is_leaving(const dh_watch *watch);

/* Makes all ranks stop, because this one failed. */
void dh_watch_fail(dh_watch *watch);

/* For the message: "SIGUSR1", "the file stop", ... NULL: no rank knows of a reason. COLLECTIVE. */
const char *dh_watch_reason(dh_comm *comm, const dh_watch *watch);

#endif
