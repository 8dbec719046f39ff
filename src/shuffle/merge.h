/* dhatu: sorted runs, and what is still in memory, become one sequence of pairs. */
#ifndef DH_SHUFFLE_MERGE_H
#define DH_SHUFFLE_MERGE_H

#include "shuffle/runs.h"

/* The next pair of what is in memory; DH_END. Views stay valid as long as the merge. */
typedef dh_status dh_pair_source(void *context, dh_pair *out);

/* Runs that are open at a time: processes may have so many files, whatever the memory, and others are open,
 * too. */
enum { DH_MERGE_RUNS_MAX = 128 };

typedef struct dh_merge dh_merge;

/* Of the first `run_count` runs of the list (DH_MERGE_RUNS_MAX at most) and of source, which may be NULL.
 * memory: of the buffers together, as far as they are large enough for the largest block of each run. The
 * runs stay in the list. */
dh_status dh_merge_open(const dh_runs *runs, size_t run_count, uint64_t memory, dh_combine combine,
                        dh_pair_source *source, void *source_context, dh_merge **out);
/* The next pair, combined, valid until the next call. DH_END. */
dh_status dh_merge_next(dh_merge *merge, dh_pair *out);
void dh_merge_close(dh_merge *merge); /* NULL is fine */

/* Bytes that the buffers of the first `run_count` runs need at least. */
uint64_t dh_merge_memory(const dh_runs *runs, size_t run_count);

/* Merges runs into larger ones until they are DH_MERGE_RUNS_MAX and their buffers need no more than memory,
 * or two are left. Each pass takes those with the smallest blocks and sizes. */
dh_status dh_merge_down(dh_runs *runs, uint64_t memory, dh_combine combine);

#endif
