/* dhatu run: the checkpoint folder from taking it to leaving it. */
#ifndef DH_COMMANDS_RUN_CHECKPOINT_H
#define DH_COMMANDS_RUN_CHECKPOINT_H

#include "checkpoint/attempt.h"
#include "checkpoint/manifest.h"
#include "comm/comm.h"
#include "options/options.h"
#include "run/watch.h"

typedef struct dh_run_checkpoint {
    const char *folder; /* absolute */
    const char *output; /* absolute path of the result */
    dh_attempt attempt;
    dh_run_id run;
    uint32_t first_epoch;
    bool held;        /* this run has taken the folder */
    bool folder_ours; /* made by a run, or named by default: it may go at the end */
    bool going_on;    /* an earlier attempt left something */
    bool complete;    /* the result of this very checkpoint is there: nothing is left to do */
} dh_run_checkpoint;

/* Takes the folder, looks what it holds, and throws that away for --fresh. folder and output are set before.
 * COLLECTIVE. Errors: DH_USAGE (the result exists), DH_LOCKED, DH_IO, DH_MISMATCH (the manifest is damaged;
 * logged). */
dh_status dh_run_checkpoint_take(dh_comm *comm, const dh_options *options, dh_run_checkpoint *checkpoint);

/* Reads the sources' fingerprints with all ranks; compares them and settings_text (dh_settings_fingerprint)
 * with the manifest, or writes it. COLLECTIVE. Errors: DH_MISMATCH (logged: what differs), DH_IO, what the
 * watch says. */
dh_status dh_run_checkpoint_match(dh_comm *comm, const dh_options *options, const dh_plan *plan,
                                  const char *settings_text, dh_watch *watch,
                                  const dh_run_checkpoint *checkpoint);

/* On rank 0: DH_LOCKED (logged) when a later attempt has taken the folder over. */
dh_status dh_run_checkpoint_is_held(const dh_run_checkpoint *checkpoint);

/* On rank 0, when the run ends with status: leaves the folder to the next attempt, or removes it when the
 * result is complete (unless keep) or nothing in it is of use. committed: segments that it holds. The status
 * that the run is to end with. */
dh_status dh_run_checkpoint_leave(const dh_run_checkpoint *checkpoint, dh_status status, uint64_t committed,
                                  bool keep);

/* OUT.h5.partial-RRRRRRRR-EEEEEE and the like: path, ".partial", 8 digits of the run id, the epoch. Names of
 * one attempt alone, so that a frozen one that wakes up cannot touch the file of its successor. With a NUL.
 */
dh_status dh_run_partial_path(const char *path, const dh_run_checkpoint *checkpoint, dh_buffer *out);

#endif
