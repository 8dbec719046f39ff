/* dhatu: the map phase. Every rank takes work items, runs them through its pipeline and spills the
 * chunks, until none is left or some rank failed. */
#ifndef DH_RUN_MAP_H
#define DH_RUN_MAP_H

#include "comm/comm.h"
#include "plan/plan.h"
#include "run/pipeline.h"

/* Where a spilled chunk is and what it holds. The order of (first_source, begin, number) is the order of
 * the result's rows. */
typedef struct dh_chunk_entry {
    uint32_t first_source; /* of the work item */
    uint32_t number;       /* of the chunk in its item */
    uint64_t begin;        /* of the item's range */
    uint64_t offset;       /* in the spill */
    uint32_t spill;        /* rank that wrote it */
    uint32_t rows, id_bytes, part_count, bad_count;
    uint32_t lines;      /* of the range, with its last chunk */
    uint64_t first_row;  /* in the result; set when all are known */
    uint64_t first_line; /* lines of the source in front of the range; set when all are known */
} dh_chunk_entry;

typedef struct dh_map_options {
    const char *folder; /* for the spill */
    uint64_t bad_max;   /* UINT64_MAX: no limit */
    double progress_seconds;
} dh_map_options;

/* What a rank did. */
typedef struct dh_map_result {
    dh_chunk_entry *entry; /* of this rank's chunks; owner is the caller */
    size_t entry_count;
    uint64_t spill_bytes;
    dh_pipeline_stats stats;
    double seconds;
} dh_map_result;

/* COLLECTIVE; the status is the same on every rank. Errors: DH_BAD_DATA (more bad records than bad_max),
 * DH_IO, DH_NO_MEMORY, ... (logged by the rank that knows). */
dh_status dh_map(dh_comm *comm, const dh_plan *plan, const dh_settings *settings,
                 const dh_map_options *options, dh_map_result *out);

/* How the names of all spills begin. */
#define DH_SPILL_PREFIX "spill-"

/* The path of a rank's spill. */
dh_status dh_spill_path(const char *folder, int rank, dh_buffer *out);

#endif
