/* dhatu: who holds a checkpoint folder.
 *
 * Each start of dhatu on a folder is an attempt with the next number, its epoch. Its file attempt-EEEEEE
 * comes to be by link() of a file with a unique name, checked by the link count, so that of two starts at
 * once one gets the epoch, on network file systems too. The attempt with the highest epoch holds the folder
 * until its file says that it ended. Epochs are never used twice, so taking over from a dead holder needs no
 * removal and no two takers can both succeed. A holder that was frozen finds the next attempt's file and
 * stops (dh_attempt_is_current); whatever it wrote before lies in files of its own epoch. */
#ifndef DH_CHECKPOINT_ATTEMPT_H
#define DH_CHECKPOINT_ATTEMPT_H

#include "base/buffer.h"

#include <stdbool.h>

/* What an attempt's file says: JSON, one object (docs/formats.md). */
typedef struct dh_attempt {
    uint32_t epoch;
    int ranks;
    char host[64];
    int64_t pid;          /* of rank 0 */
    uint64_t pid_start;   /* clock ticks since boot, field 22 of /proc/PID/stat */
    char boot[40];        /* /proc/sys/kernel/random/boot_id */
    uint64_t pid_space;   /* inode of /proc/self/ns/pid: a pid means nothing outside of it */
    char job[32];         /* SLURM_JOB_ID, empty: none */
    uint32_t job_restart; /* SLURM_RESTART_COUNT */
    uint64_t start;       /* ns since 1970 */
    uint64_t end;         /* 0: not ended in good order */
    int exit_code;        /* when ended */
} dh_attempt;

typedef enum dh_holder_state {
    DH_HOLDER_NONE = 0, /* no attempt yet */
    DH_HOLDER_ENDED,    /* says so itself */
    DH_HOLDER_DEAD, /* same host and boot, and no such process; the host was booted anew; or its Slurm job is
                       over */
    DH_HOLDER_ALIVE,
    DH_HOLDER_UNKNOWN /* on another host, or in another container */
} dh_holder_state;

/* What is known of the holder of a folder: its file (all zero for NONE) and its state. A damaged file gives
 * UNKNOWN with its epoch. Errors: DH_IO (logged). ask_slurm: run squeue when it matters. */
dh_status dh_attempt_look(const char *folder, bool ask_slurm, dh_attempt *holder, dh_holder_state *state);

/* Takes the folder, which exists. break_lock: also from a holder that is alive or unknown. Errors: DH_LOCKED
 * (logged: who holds it since when, and what to do), DH_IO. Durable when it returns. */
dh_status dh_attempt_take(const char *folder, int ranks, bool break_lock, dh_attempt *out);

/* Says that the attempt ended with an exit code. Best effort of a process that ends: a failure is logged. */
dh_status dh_attempt_end(const char *folder, dh_attempt *attempt, int exit_code);

/* Is there no later attempt? Two stats: of the next attempt's file, and of its own, which goes when a later
 * attempt starts over. An error of stat other than ENOENT counts as yes: the write that follows will tell. */
bool dh_attempt_is_current(const char *folder, uint32_t epoch);

/* Reads an attempt's file. False: missing or damaged. */
bool dh_attempt_read(const char *folder, uint32_t epoch, dh_attempt *out);

#endif
