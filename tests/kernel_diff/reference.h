/* What the kernels must give, by the simplest code that follows docs/jobs.md: one document, one byte, one
 * term after the other. Shares nothing with the backends but SHA-256's constants and the logarithm, of which
 * every bit counts. */
#ifndef DH_TESTS_REFERENCE_H
#define DH_TESTS_REFERENCE_H

#include "sample.h"

#include "kernels/digest.h"

/* All outputs of all kernels. */
enum {
    OUTPUT_SHA256 = 0,
    OUTPUT_RAW,
    OUTPUT_DIGEST_PRIME,
    OUTPUT_ENTROPY,
    OUTPUT_DIGEST_VARIANCE,
    OUTPUT_SCORE,
    OUTPUT_COUNTS,
    OUTPUT_PROFILE,
    OUTPUT_PRIME,
    OUTPUT_MATCHED,
    OUTPUT_COVERAGE,
    OUTPUT_AMBIGUITY,
    OUTPUT_VARIANCE,
    OUTPUT_CODE2,
    OUTPUT_CODE3,
    OUTPUT_CODE5,
    OUTPUTS
};

typedef struct output_kind {
    const char *name;
    char type; /* 'c' character, 'u' unsigned integer, 'f' floating point */
    uint32_t size, width, width_of_categories;
} output_kind;

extern const output_kind output_kinds[OUTPUTS];

/* Values of an output in a row of the result. */
uint32_t output_width(uint32_t output, uint32_t categories);

/* A row of each; NULL where an output is not wanted. */
typedef struct reference_rows {
    void *at[OUTPUTS];
} reference_rows;

/* Fill the rows of the batch, of each output that is wanted. */
void reference_sha256(const dh_batch *batch, const reference_rows *rows);
void reference_digest(const dh_batch *batch, const reference_rows *rows);
void reference_profile(const dh_batch *batch, const sample_set *set, const reference_rows *rows);

#endif
