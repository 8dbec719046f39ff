/* dhatu: what the files of job neardup's step share. */
#ifndef DH_REDUCE_NEARDUP_INTERNAL_H
#define DH_REDUCE_NEARDUP_INTERNAL_H

#include "reduce/neardup_earlier.h"
#include "reduce/neardup_match.h"
#include "reduce/reduce.h"
#include "run/share.h"

/* Stages. Edges: key a row, name a dh_edge_kind (one byte), value another row. Duplicates: dh_neardup.stage.
 */
#define DH_STAGE_EDGES "edges"
#define DH_STAGE_DUPLICATES "duplicates"

typedef enum dh_edge_kind {
    DH_EDGE_SIMILAR = 0, /* of the later document to the earlier one */
    DH_EDGE_EXACT,       /* to the first document with the same tokens, also of that one itself */
    DH_EDGE_AGAINST      /* to a row of the earlier result */
} dh_edge_kind;

enum { DH_NUMBER_SIZE = 8, DH_LARGEST_CLUSTERS = 20, DH_CLUSTER_SAMPLE = 5, DH_CLUSTER_SIZES = 64 };

/* In buckets documents of an earlier result stand in front of those of this one. */
#define DH_MEMBER_NEW (UINT64_C(1) << 62)

typedef struct dh_neardup_work {
    const dh_reduce *reduce;
    const dh_job_options *options;
    dh_match match;
    uint32_t signature, spelling, shingles, sha256; /* columns of the schema */
    uint64_t *split;                                /* of rows, for shuffles whose keys are rows */
    uint64_t first_row, end_row;                    /* of this rank */
    dh_earlier *earlier;                            /* NULL: none */
    dh_shuffle *edges;                              /* that are being found */
    uint64_t candidates;                            /* pairs that this rank compared */
} dh_neardup_work;

/* A shuffle of this step with a share of its memory. split: keys are rows. COLLECTIVE. */
dh_status dh_neardup_shuffle(const dh_neardup_work *work, const char *name, uint32_t parts_of_memory,
                             dh_combine combine, bool split, dh_shuffle **out);
dh_stage_place dh_neardup_place(const dh_neardup_work *work, const char *stage);

/* Tells the other ranks of a failure of this one, and forwards it. */
dh_status dh_neardup_failing(const dh_neardup_work *work, dh_status status);

/* Finds all edges. COLLECTIVE. neardup_edges.c */
dh_status dh_neardup_edges(dh_neardup_work *work, dh_stage *out);

dh_status dh_neardup_add_edge(const dh_neardup_work *work, dh_edge_kind kind, uint64_t from, uint64_t to);
/* An edge as it was read; checked. */
typedef struct dh_edge {
    uint64_t from, to;
    dh_edge_kind kind;
} dh_edge;
/* The next edge of this rank's rows (from); DH_END behind them. */
dh_status dh_neardup_next_edge(const dh_neardup_work *work, dh_stage_reader *reader, dh_edge *out);

/* Compares the documents of buckets. neardup_buckets.c */
typedef struct dh_buckets dh_buckets;
dh_status dh_buckets_create(dh_neardup_work *work, uint64_t memory, dh_buckets **out);
void dh_buckets_free(dh_buckets *buckets);
/* Members of a bucket come together and ascending. */
dh_status dh_buckets_add(dh_buckets *buckets, uint64_t key, uint64_t member);
dh_status dh_buckets_end(dh_buckets *buckets);

/* Clusters, and what each document is. COLLECTIVE. neardup_clusters.c */
dh_status dh_neardup_clusters(dh_neardup_work *work, const dh_stage *edges, dh_stage *out);

/* What is said of all clusters, the same on all ranks. */
typedef struct dh_cluster_sample {
    uint64_t size, row; /* row: of its first document; size 0: none */
    uint64_t sample_count;
    uint64_t sample[DH_CLUSTER_SAMPLE];
} dh_cluster_sample;

typedef struct dh_neardup_tables {
    uint64_t sizes[DH_CLUSTER_SIZES]; /* clusters with 2^i to 2^(i+1) - 1 documents */
    dh_cluster_sample largest[DH_LARGEST_CLUSTERS];
    uint64_t token_rule, against_documents, rows;
} dh_neardup_tables;

/* From the stage `duplicates`. COLLECTIVE. neardup_summary.c */
dh_status dh_neardup_summarise(const dh_neardup_work *work, dh_neardup *neardup);

/* Reads a pair of the stage `duplicates`. Errors: DH_IO (logged): it is not one. */
dh_status dh_duplicate_decode(const dh_neardup_work *work, const dh_pair *pair, dh_duplicate *out);

#endif
