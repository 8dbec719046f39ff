/* dhatu run: what its log says to a person: a header, a summary at the end, and what was done when it is
 * left. In a Slurm job, or on several nodes, it says more than at a workstation. */
#ifndef DH_COMMANDS_RUN_SAY_H
#define DH_COMMANDS_RUN_SAY_H

#include "commands/job_facts.h"
#include "commands/run_checkpoint.h"
#include "commands/run_paths.h"
#include "commands/run_report.h"

/* What all that is said is about. */
typedef struct dh_run_scene {
    dh_comm *comm;
    const dh_settings *settings;
    const dh_run_paths *paths;
    const dh_run_checkpoint *checkpoint;
    const dh_recovery *recovery;
    const dh_plan *plan;   /* NULL as long as it is not made */
    const dh_route *route; /* for the header */
    dh_job_facts job;
    uint64_t nodes, ranks_max, ranks_min; /* of a node */
    bool is_long;                         /* more is to be said */
    /* Of earlier attempts, as far as their files tell; on rank 0. */
    double earlier_seconds;
    double earlier_rank_seconds; /* times the ranks of each */
} dh_run_scene;

/* Looks at the job, the nodes and earlier attempts, before anything of these is tidied up. What a scene is
 * about is set before, but plan and route. COLLECTIVE. */
dh_status dh_run_scene_look(dh_run_scene *scene);

/* The lines of the header that need no plan. COLLECTIVE. Errors: DH_NO_MEMORY (logged). */
dh_status dh_run_say_begin(const dh_run_scene *scene);

/* The rest of it. COLLECTIVE. Errors: DH_NO_MEMORY (logged). */
dh_status dh_run_say_start(const dh_run_scene *scene);

/* The summary. */
void dh_run_say_end(const dh_run_scene *scene, const dh_run_report *report, const dh_run_totals *totals);

/* Of a run that is left before its result is there, for a reason (NULL: none is known). kept: of all ranks;
 * seconds: of the map phase. */
void dh_run_say_left(const dh_run_scene *scene, const char *reason, const dh_map_kept *kept, double seconds);

#endif
