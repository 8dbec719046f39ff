/* dhatu: the corpus-level side of the profile job: totals, co-occurrence, histograms, commonest codes,
 * top documents. All in integers, in one flat block of 64-bit words, so that two ranks' blocks merge
 * the same way in any order. */
#ifndef DH_JOBS_PROFILE_CORPUS_H
#define DH_JOBS_PROFILE_CORPUS_H

#include "jobs/job.h"

enum {
    DH_AMBIGUITY_BINS = 20,
    DH_TOP_DOCUMENTS = 10,      /* of each category */
    DH_TOP_TOKENS_MIN = 50,     /* a document with fewer tokens is no top document: its density is chance */
    DH_TOP_CODES = 100,         /* of each code */
    DH_CODE_SPACE_MAX = 1 << 21 /* codes with more possible values have no histogram */
};

typedef struct dh_profile_corpus dh_profile_corpus;

/* What accumulate looks at, one row block. A code that is not there is NULL. */
typedef struct dh_profile_rows {
    uint64_t first_row;
    uint32_t count;
    const uint32_t *tokens;
    const uint16_t *language;
    const uint32_t *counts; /* count x 2K */
    const uint32_t *matched;
    const double *ambiguity;
    const uint64_t *code[3]; /* of base 2, 3, 5 */
} dh_profile_rows;

dh_status dh_profile_corpus_create(const dh_job_setup *setup, dh_profile_corpus **out);
void dh_profile_corpus_free(dh_profile_corpus *corpus);
void dh_profile_corpus_add(dh_profile_corpus *corpus, const dh_profile_rows *rows);
void dh_profile_corpus_block(dh_profile_corpus *corpus, void **data, size_t *size);
void dh_profile_corpus_merge(dh_profile_corpus *corpus, const void *other);
dh_status dh_profile_corpus_emit(dh_profile_corpus *corpus, dh_emitter *emitter);

#endif
