/* dhatu: the reduce phase: what needs all documents together. From the chunks in the spills to what the
 * writer puts into the result beside the columns. Each step depends on nothing but the chunks (and the stages
 * of steps before), so it can be done again, by any number of ranks. */
#ifndef DH_REDUCE_REDUCE_H
#define DH_REDUCE_REDUCE_H

#include "reduce/features.h"
#include "reduce/neardup.h"
#include "reduce/terms.h"

/* What the steps work with. */
struct dh_reduce {
    dh_comm *comm;
    const dh_settings *settings;
    const dh_plan *plan;
    const dh_chunk_table *table;
    dh_row_reader *reader; /* of this rank */
    const char *folder;    /* of the checkpoint: stages go there */
    const char *scratch;   /* of this rank: runs of shuffles go there */
    uint8_t run[16];
    uint32_t epoch;
    uint64_t memory; /* of a rank, for the step at work; what a step keeps for the writer counts, too */
    dh_watch *watch;
    dh_progress *progress; /* asks the watch, too: dh_progress_poll */
    const char *against;   /* an earlier result, or NULL */
    const char *vocab_tsv; /* where all terms go, or NULL: the partial name */
};

/* What the writer needs. Parts of jobs that are not active are zero. */
typedef struct dh_reduced {
    dh_terms terms;
    dh_features features;
    dh_neardup neardup;
} dh_reduced;

/* COLLECTIVE; the same status on all ranks. Errors: DH_IO, DH_NO_MEMORY, DH_USAGE (logged), DH_AGAIN,
 * DH_LOCKED (of the watch). Owner frees with dh_reduced_free, also after an error. */
dh_status dh_reduce_all(const dh_reduce *reduce, dh_reduced *out);
void dh_reduced_free(dh_reduced *reduced); /* COLLECTIVE */

#endif
