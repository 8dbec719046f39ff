/* dhatu: where a run is behind the map phase: a line now and then on rank 0, which tells the step at work and
 * how much of its own part rank 0 has done. The map phase has a progress of its own (map.h). */
#ifndef DH_REDUCE_PROGRESS_H
#define DH_REDUCE_PROGRESS_H

#include "comm/comm.h"
#include "run/settings.h"
#include "run/watch.h"

/* In the order in which they come; those of jobs that are not active are left out. */
typedef enum dh_step {
    DH_STEP_TERMS = 0,
    DH_STEP_TERMS_STORE,
    DH_STEP_VOCABULARY,
    DH_STEP_VOCABULARY_SORT,
    DH_STEP_VOCABULARY_STORE,
    DH_STEP_FREQUENCIES,
    DH_STEP_COLUMNS,
    DH_STEP_COLUMNS_STORE,
    DH_STEP_EQUAL,
    DH_STEP_EQUAL_EARLIER,
    DH_STEP_BANDS,
    DH_STEP_COMPARE,
    DH_STEP_CLUSTERS,
    DH_STEP_DUPLICATES,
    DH_STEP_IDS,
    DH_STEP_ROWS,
    DH_STEP_MATRIX,
    DH_STEP_SOURCES,
    DH_STEP_FINISH,
    DH_STEP_COUNT
} dh_step;

typedef struct dh_progress_options {
    const dh_settings *settings;
    dh_watch *watch;
    bool against; /* there is an earlier result */
    double every; /* seconds between lines */
    double last;  /* when the last line before was said, as of dh_seconds */
} dh_progress_options;

typedef struct dh_progress {
    dh_watch *watch;
    bool is_shown; /* on rank 0 */
    int ranks;
    double every, last;
    bool is_active[DH_STEP_COUNT];
    dh_step step;
    double begin;         /* of the step */
    uint64_t done, total; /* of this rank's part; total 0: nobody knows */
} dh_progress;

void dh_progress_set_up(const dh_comm *comm, const dh_progress_options *options, dh_progress *out);

/* The next step begins. total: of this rank's part, in any unit; 0: not known. */
void dh_progress_step(dh_progress *progress, dh_step step, uint64_t total);

/* So much of the part is done. Says a line when it is time. Cheap. */
void dh_progress_tell(dh_progress *progress, uint64_t done);

/* Says a line when it is time. For who waits for other ranks. */
void dh_progress_show(dh_progress *progress);

/* A dh_poll; context is the dh_progress: says a line when it is time, then asks the watch. */
dh_status dh_progress_poll(void *progress);

#endif
