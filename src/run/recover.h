/* dhatu: what earlier attempts left in the checkpoint folder: the union of all journals, as far as the spills
 * bear it out. */
#ifndef DH_RUN_RECOVER_H
#define DH_RUN_RECOVER_H

#include "checkpoint/journal.h"
#include "comm/comm.h"
#include "plan/plan.h"
#include "run/chunk.h"

/* A segment that is done. 32 bytes, held once a node; while it is gathered each rank holds its share, too: at
 * most 64 bytes a segment in all. */
typedef struct dh_segment {
    uint64_t begin;
    uint64_t hash; /* the low half of that of its spilled bytes */
    uint32_t first_source;
    uint32_t flags; /* DH_SEGMENT_* */
    uint32_t epoch, rank;
} dh_segment;

typedef struct dh_recovery {
    dh_shared *memory;
    const dh_segment
        *segment; /* of all ranks, sorted by first_source and begin; the same one twice side by side */
    uint64_t count;
    dh_chunk_list chunks; /* a share of the chunks of the done segments: of all ranks together, each once */
    uint64_t segments, documents, text_bytes, file_bytes, bad; /* sums, each segment once */
    uint64_t damaged; /* segments that are in a journal, and must be computed again */
} dh_recovery;

typedef struct dh_recover_options {
    const char *folder;
    dh_run_id run;
    uint32_t epoch; /* of this attempt: what is looked at is older */
    dh_poll *poll;
    void *poll_context;
} dh_recover_options;

/* Ranks share the work of reading what was spilled and checking it. Journals and spills that hold nothing
 * needed are removed. Owner frees with dh_recovery_free, also after an error. COLLECTIVE. Errors: DH_IO,
 * DH_MISMATCH, DH_INTERNAL (the same segment twice, intact and different; logged), DH_NO_MEMORY, what poll
 * says. */
dh_status dh_recover(dh_comm *comm, const dh_schema *schema, const dh_recover_options *options,
                     dh_recovery *out);
void dh_recovery_free(dh_recovery *recovery); /* COLLECTIVE */

/* The done segment, or NULL. */
const dh_segment *dh_recovery_find(const dh_recovery *recovery, uint32_t first_source, uint64_t begin);

#endif
