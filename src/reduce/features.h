/* dhatu: document frequencies and names of the hashed columns (job features). */
#ifndef DH_REDUCE_FEATURES_H
#define DH_REDUCE_FEATURES_H

#include "reduce/terms.h"

enum { DH_FEATURE_TERMS = 3, DH_FEATURE_TERMS_BYTES = 64 };

/* Columns are spread over ranks in ranges of whole blocks of DH_BLOCK_ROWS columns. */
typedef struct dh_features {
    bool is_there;
    uint64_t columns;
    uint64_t values;          /* non-zeros of X */
    dh_shared *weight_memory; /* once a node */
    const double *weight;     /* columns: idf, or 1 without */
    uint64_t first, count;    /* this rank's columns */
    uint64_t *documents;      /* count: document frequency */
    char *terms; /* count x DH_FEATURE_TERMS_BYTES: the commonest terms, ", " between; NUL-padded */
} dh_features;

/* Bytes that a step of the reduce phase wants besides what is kept of others. */
enum { DH_STEP_MEMORY = 4 << 20 };

/* The least memory of a rank that dh_reduce_features does with, for so many columns and ranks. */
uint64_t dh_features_memory(uint64_t columns, uint64_t ranks);

/* Bytes that are kept for the writer by this rank. */
uint64_t dh_features_kept(const dh_features *features);

/* terms: of dh_reduce_terms. COLLECTIVE. Errors: DH_USAGE too: more columns than --memory allows for
 * (logged). */
dh_status dh_reduce_features(const dh_reduce *reduce, const dh_terms *terms, dh_features *out);
void dh_features_free(dh_features *features); /* COLLECTIVE */

/* A document's values as they are spilled: for each column, ascending: the difference to the column before
 * (LEB128), the signed count (zigzag, LEB128). Reads one document of `count` values from *bytes on, and moves
 * it. False when the bytes do not hold them, or not ascending columns below `columns`. */
bool dh_features_decode(const uint8_t **bytes, const uint8_t *end, uint64_t columns, uint32_t count,
                        uint32_t *column, int32_t *value);

/* X's row from it: value * weight of the column, then normalised. All in double, in the order of columns. */
void dh_features_weigh(const dh_features *features, const dh_job_options *options, uint32_t count,
                       const uint32_t *column, const int32_t *value, float *out);

#endif
