/* dhatu: duplicates and near-duplicates (job neardup): bands -> candidates -> verified pairs -> connected
 * components -> what each document is. No rank holds all of anything. Definitions: docs/jobs.md, "neardup".
 */
#ifndef DH_REDUCE_NEARDUP_H
#define DH_REDUCE_NEARDUP_H

#include "reduce/step.h"

/* What is known of a document. Rows are those of the result. */
typedef struct dh_duplicate {
    int64_t
        exact; /* the first document with the same tokens, where there are several (itself too); else -1 */
    int64_t cluster; /* the first document of its cluster; -1: it is alone */
    uint64_t size;   /* documents of the cluster; 1: it is alone */
    int64_t against; /* row of the earlier result that it duplicates; -1: none */
} dh_duplicate;

typedef struct dh_neardup {
    bool is_there;
    dh_stage stage; /* "duplicates": key row, name empty, value a dh_duplicate; of rows that are not alone */
    uint64_t against_width; /* bytes of the longest id of the earlier result that is referred to, 1 at least;
                               0: there is no earlier result */
    uint64_t exact_documents, clusters, clustered_documents, kept;
    uint64_t candidates, pairs;       /* pairs compared, pairs that were kept (of new documents, each once) */
    uint64_t largest;                 /* documents of the largest cluster */
    struct dh_neardup_tables *tables; /* rank 0: for emit */
} dh_neardup;

/* COLLECTIVE. Says what it finds; warns when a cluster has more than 1 % of the corpus, with samples. Errors:
 * DH_USAGE too: the earlier result has no signatures, or others (logged). */
dh_status dh_reduce_neardup(const dh_reduce *reduce, dh_neardup *out);
void dh_neardup_free(dh_neardup *neardup);

/* On rank 0: uns/dhatu/neardup: S-curve, sizes of clusters, the largest clusters with sample rows, counts. */
dh_status dh_neardup_emit(const dh_neardup *neardup, const dh_job_options *options, dh_emitter *emitter);

/* Reads what is known of rows [first, first + count). */
typedef struct dh_duplicate_reader dh_duplicate_reader;
dh_status dh_duplicate_open(const dh_reduce *reduce, const dh_neardup *neardup, dh_duplicate_reader **out);
void dh_duplicate_close(dh_duplicate_reader *reader);
dh_status dh_duplicate_read(dh_duplicate_reader *reader, uint64_t first, uint32_t count, dh_duplicate *out);
/* The earlier result's id of a row of it, for dup_against: at most against_width bytes, NUL-padded to it. */
dh_status dh_duplicate_id(dh_duplicate_reader *reader, int64_t against, char *out);

/* The chance that two documents of this similarity share a band: 1 - (1 - s^rows)^bands. */
double dh_neardup_chance(double similarity, uint32_t bands, uint32_t rows);

/* Says that chance for a few similarities in a line, before the run. */
void dh_neardup_say_curve(const dh_job_options *options);

/* Can the earlier result be compared with what these settings make? Before the run, on one rank. Errors:
 * DH_USAGE (logged), DH_IO, DH_NO_MEMORY. */
dh_status dh_neardup_check_earlier(const dh_settings *settings, const char *path);

#endif
