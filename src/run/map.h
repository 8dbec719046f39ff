/* dhatu: the map phase. Every rank takes work items, runs their segments through its pipeline, spills the
 * chunks and commits what is complete, until no work is left or the run is left. */
#ifndef DH_RUN_MAP_H
#define DH_RUN_MAP_H

#include "checkpoint/spill.h"
#include "comm/comm.h"
#include "plan/plan.h"
#include "run/pipeline.h"
#include "run/recover.h"
#include "run/watch.h"

/* What people are told while the phase lasts: rank 0 says a line now and then. */
typedef struct dh_map_progress {
    double every; /* seconds between lines */
    /* Of the phase: dh_map sets them. */
    dh_counters *counters; /* NULL: nothing is shown, as before the phase and on other ranks */
    const dh_plan *plan;
    const dh_recovery *recovery;
    double start, last; /* of the phase, of the last line; as of dh_seconds */
} dh_map_progress;

/* Says a line when it is time. Cheap. For who waits within the phase, too. */
void dh_map_progress_show(dh_map_progress *progress);

typedef struct dh_map_options {
    dh_spill_options spill;
    double commit_seconds; /* between commits; of use when the spill is journalled */
    uint64_t bad_max;      /* UINT64_MAX: no limit */
    dh_map_progress *progress;
    const dh_dispatcher *dispatcher; /* of batches */
    dh_poll *poll;                   /* asked often: what carries the batches */
    /* Behind this rank's last batch: COLLECTIVE; willing: this rank may be given others' batches. */
    dh_status (*serve)(void *context, bool willing);
    void *context; /* of poll and serve */
} dh_map_options;

/* What is in a rank's journal of this attempt. */
typedef struct dh_map_kept {
    uint64_t documents, text_bytes, file_bytes, bad;
} dh_map_kept;

/* What a rank did. */
typedef struct dh_map_result {
    dh_chunk_list chunks; /* that this rank recovered or made; owner is the caller */
    uint64_t spill_bytes;
    uint64_t segments; /* made by this rank and, where the spill is journalled, committed */
    dh_map_kept kept;  /* zero where the spill is not journalled */
    dh_pipeline_stats stats;
    double seconds, commit_seconds;
} dh_map_result;

/* Does what is missing in `recovery`, whose chunks go over to the result. COLLECTIVE; the status is the same
 * on every rank. Errors: DH_AGAIN (the run is left; what is complete is committed), DH_BAD_DATA (more bad
 * records than bad_max), DH_LOCKED, DH_IO, DH_NO_MEMORY, ... (logged by the rank that knows). After errors,
 * too, what is complete is committed as far as the spill allows it. */
dh_status dh_map(dh_comm *comm, const dh_plan *plan, const dh_settings *settings, dh_watch *watch,
                 dh_recovery *recovery, const dh_map_options *options, dh_map_result *out);

#endif
