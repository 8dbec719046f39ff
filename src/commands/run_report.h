/* dhatu: OUT.h5.run.json, the record of a run: what belongs to the machine and the moment, and so is no
 * part of the result. */
#ifndef DH_COMMANDS_RUN_REPORT_H
#define DH_COMMANDS_RUN_REPORT_H

#include "comm/comm.h"
#include "commands/job_facts.h"
#include "output/result.h"
#include "route/route.h"
#include "run/map.h"

typedef struct dh_run_report {
    dh_comm *comm;
    const dh_settings *settings;
    const char *device; /* this rank's, for people; "": it had none */
    uint32_t devices;   /* of all ranks */
    const dh_route_figures *route;
    const dh_plan *plan;
    const dh_map_result *map;
    const dh_result_facts *result;
    const char *path; /* of the result */
    int argc;
    char **argv;
    double start_time; /* seconds since 1970 */
    double seconds;
    double plan_seconds, recover_seconds, reduce_seconds;
    const dh_recovery *recovery;
    uint32_t restarts;
    const dh_job_facts *job;
    double earlier_seconds; /* of earlier attempts, as far as they are known */
} dh_run_report;

/* What the next job may ask for. Numbers are 0 where that is not known. */
typedef struct dh_run_advice {
    bool is_there; /* the run is in a Slurm job */
    bool a_cpu;    /* memory is that of a CPU, else of a node */
    uint64_t memory_mebis, time_seconds;
} dh_run_advice;

/* Figures of all ranks, on rank 0. Numbers are 0 where nothing is known. */
typedef struct dh_run_totals {
    uint64_t documents, text_bytes;    /* of this attempt */
    uint64_t memory_rank, memory_node; /* bytes at most: of a rank, of the ranks of a node together */
    uint64_t memory_asked;             /* of that node */
    uint64_t memory_peak;              /* of the job's control group, on any node, with cached files */
    uint64_t enough_a_cpu;             /* memory for each CPU of any node, with a margin */
    uint32_t nodes;
    double user_seconds, system_seconds;
    double waited_seconds; /* of ranks for one another: mostly asleep */
    double efficiency;     /* of these in what was allocated */
    dh_run_advice advice;
} dh_run_totals;

/* Collects the ranks' figures, says which devices failed, and writes PATH.run.json on rank 0. COLLECTIVE.
 * *totals is set also where the file could not be written. */
dh_status dh_run_report_write(const dh_run_report *report, dh_run_totals *totals);

#endif
