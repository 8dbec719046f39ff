/* dhatu plan: what it says. */
#ifndef DH_COMMANDS_PLAN_REPORT_H
#define DH_COMMANDS_PLAN_REPORT_H

#include "base/buffer.h"
#include "commands/plan_estimate.h"

enum { DH_GPU_TYPE_MAX = 40 };

/* What was asked for besides the options of a run. A price below 0 was not given. */
typedef struct dh_plan_request {
    dh_plan_job job;
    uint32_t gpus;                  /* of a node; 0: no variant with GPUs */
    char gpu_type[DH_GPU_TYPE_MAX]; /* "h100", or "" */
    double price_cpu, price_gpu;
    dh_spot spot_cpu, spot_gpu;
} dh_plan_request;

typedef struct dh_plan_report {
    const dh_plan_request *request;
    const dh_corpus_facts *corpus;
    const dh_trial *small, *large; /* the same where there was one trial */
    const dh_estimate *estimate;
    uint32_t cores;    /* of this machine */
    bool ranks_failed; /* mpirun could not be used: one rank was measured */
} dh_plan_report;

/* Errors of all: DH_NO_MEMORY (logged). */
dh_status dh_plan_append_text(const dh_plan_report *report, dh_buffer *out);
dh_status dh_plan_append_brief(const dh_plan_report *report, dh_buffer *out);
dh_status dh_plan_append_json(const dh_plan_report *report, dh_buffer *out);

/* #SBATCH lines. */
dh_status dh_plan_append_slurm(const dh_plan_report *report, bool with_gpus, dh_buffer *out);

/* A sentence: does a GPU pay? */
dh_status dh_plan_append_advice(const dh_plan_report *report, dh_buffer *out);

#endif
