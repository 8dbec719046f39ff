/* dhatu plan: runs dhatu run over a sample, as a program of its own, and measures what it takes. */
#ifndef DH_COMMANDS_PLAN_TRIAL_H
#define DH_COMMANDS_PLAN_TRIAL_H

#include "commands/plan_estimate.h"
#include "options/options.h"

typedef struct dh_trial_options {
    const dh_options *options; /* of the planned run: what matters to a trial is handed on */
    const char *folder;        /* exists; the trial's files lie in it and are removed behind it */
    const char *const *input;
    size_t input_count;
    uint32_t ranks;
    bool under_mpirun;
    double limit_seconds; /* under mpirun: when it is taken to hang */
    uint64_t memory, segment_size;
} dh_trial_options;

/* Where dhatu plan keeps its files, and what ends it early. */
dh_status dh_trial_folder_create(const dh_options *options, dh_buffer *path);
dh_status dh_trial_folder_remove(const char *path);

/* From here on signals that would end this program are noted; dh_trial_poll says DH_AGAIN then. Those that
 * are ignored stay so (nohup). */
void dh_trial_catch_signals(void);
dh_status dh_trial_poll(void *unused);

/* Called when all is tidied up: signals do again what they do, and one that was noted ends this program. */
void dh_trial_obey_signal(void);

/* Runs one. out->content is set where it is known (the trial's own sum of its sources). *refused: mpirun did
 * not do its part (it is not there, it failed itself, it hangs); that is not logged, and DH_FAILED. Errors:
 * what the trial ended with (logged with what it said); DH_AGAIN (a signal came). */
dh_status dh_trial_run(const dh_trial_options *trial, bool *refused, dh_trial *out);

#endif
