/* dhatu: which documents an export has, and in which shard each goes: a function of the result and the
 * options alone, so that ranks, and a rerun, need not tell one another where a shard begins. */
#ifndef DH_COMMANDS_EXPORT_PLAN_H
#define DH_COMMANDS_EXPORT_PLAN_H

#include "commands/result_columns.h"

/* Documents of the rows [first_row, last_row) that are kept. */
typedef struct dh_export_shard {
    uint64_t first_row, last_row;
    uint64_t documents;    /* kept ones; 1 at least */
    uint64_t first_source; /* number of the source of first_row in the result */
    uint64_t source_row;   /* the first row of that source */
    uint64_t goes_on;      /* 1: the shard before ends in the same source */
} dh_export_shard;

typedef struct dh_export_plan {
    dh_buffer shards; /* dh_export_shard */
    uint64_t documents;
} dh_export_plan;

static inline const dh_export_shard *dh_export_shards(const dh_export_plan *plan)
{
    return (const dh_export_shard *)(const void *)plan->shards.data;
}

static inline uint64_t dh_export_shard_count(const dh_export_plan *plan)
{
    return plan->shards.size / sizeof(dh_export_shard);
}

/* Cuts the kept documents (all where `all`, or where the result has no obs/dup_keep) into shards of
 * consecutive sources. The size of a document is taken as that of its record in the source; a source whose
 * kept documents have more than shard_size bytes gets shards of its own. Errors: DH_MISMATCH, DH_IO,
 * DH_NO_MEMORY (logged). */
dh_status dh_export_plan_make(dh_result_view *view, bool all, uint64_t shard_size, dh_export_plan *out);
void dh_export_plan_free(dh_export_plan *plan);

#endif
