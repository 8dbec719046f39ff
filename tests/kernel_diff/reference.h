/* What the kernels must give, by the simplest code that follows docs/jobs.md and the headers of the kernels:
 * one document, one byte, one term after the other. Shares nothing with the backends but SHA-256's constants,
 * the factor of shingles and the logarithm, of which every bit counts. */
#ifndef DH_TESTS_REFERENCE_H
#define DH_TESTS_REFERENCE_H

#include "sample.h"

#include "kernels/digest.h"
#include "kernels/minhash.h"
#include "kernels/ngrams.h"

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
    OUTPUT_NGRAMS,
    OUTPUT_SIGNATURE,
    OUTPUT_SHINGLES,
    OUTPUT_SPELLING,
    OUTPUTS
};

/* What a value of an output is of. */
typedef enum output_count {
    COUNT_FIXED = 0,  /* `width` a document */
    COUNT_CATEGORIES, /* `width` times the categories a document */
    COUNT_LENGTHS,    /* the lengths of n-grams a token */
    COUNT_PERMUTATIONS
} output_count;

typedef struct output_kind {
    const char *name;
    char type; /* 'c' character, 'u' unsigned integer, 'f' floating point */
    uint32_t size, width;
    output_count count;
} output_kind;

extern const output_kind output_kinds[OUTPUTS];

/* What is asked of the kernels. */
typedef struct reference_request {
    uint32_t categories;
    dh_ngram_range range;
    dh_minhash_options minhash;
} reference_request;

/* Values of an output in a row, and rows: the batch's documents or its tokens. */
uint32_t output_width(uint32_t output, const reference_request *request);
uint64_t output_rows(uint32_t output, const dh_batch *batch);

/* A row of each; NULL where an output is not wanted. */
typedef struct reference_rows {
    void *at[OUTPUTS];
} reference_rows;

/* Fill the rows of the batch, of each output that is wanted. */
void reference_sha256(const dh_batch *batch, const reference_rows *rows);
void reference_digest(const dh_batch *batch, const reference_rows *rows);
void reference_profile(const dh_batch *batch, const sample_set *set, const reference_rows *rows);
void reference_ngrams(const dh_batch *batch, dh_ngram_range range, const reference_rows *rows);
void reference_minhash(const dh_batch *batch, const dh_minhash_options *options, const reference_rows *rows);
void reference_sha256_spelling(const dh_batch *batch, const reference_rows *rows);

#endif
