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

typedef struct dh_map_options {
    dh_spill_options spill;
    double commit_seconds; /* between commits; of use when the spill is journalled */
    uint64_t bad_max;      /* UINT64_MAX: no limit */
    double progress_seconds;
    const dh_dispatcher *dispatcher; /* of batches */
    dh_poll *poll;                   /* asked often: what carries the batches */
    /* Behind this rank's last batch: COLLECTIVE; willing: this rank may be given others' batches. */
    dh_status (*serve)(void *context, bool willing);
    void *context; /* of poll and serve */
} dh_map_options;

/* What a rank did. */
typedef struct dh_map_result {
    dh_chunk_list chunks; /* that this rank recovered or made; owner is the caller */
    uint64_t spill_bytes;
    uint64_t segments; /* made by this rank and, where the spill is journalled, committed */
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
