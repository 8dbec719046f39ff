/* dhatu: OUT.h5.run.json, the record of a run: what belongs to the machine and the moment, and so is no
 * part of the result. */
#ifndef DH_COMMANDS_RUN_REPORT_H
#define DH_COMMANDS_RUN_REPORT_H

#include "comm/comm.h"
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
} dh_run_report;

/* Collects the ranks' figures, says which devices failed, and writes PATH.run.json on rank 0. COLLECTIVE.
 * *memory_max: bytes of the largest rank. */
dh_status dh_run_report_write(const dh_run_report *report, uint64_t *memory_max);

#endif
