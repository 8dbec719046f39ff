/* dhatu: what a job is. One file in jobs/ fills one dh_job; jobs/null.c is the template, docs/jobs.md
 * the tutorial.
 *
 * A job sees batches, columns and sums. It knows nothing of files, ranks or HDF5. The engine calls it
 * in this order:
 *
 *   create                    once a rank
 *   self_test, load           once a backend that will do work: known answers, tables
 *   vectorise                 for every batch, on whichever backend
 *   source_sums               for every batch, where it was read
 *   accumulate                for blocks of result rows; ranks see different blocks
 *   merge                     the accumulators of two ranks become one, until one rank has all
 *   emit                      on that rank: the corpus-level results
 *   free
 *
 * The result may not depend on how documents are spread over batches, blocks and ranks: accumulate in
 * integers, or in any way that is associative and commutative to the last bit. */
#ifndef DH_JOBS_JOB_H
#define DH_JOBS_JOB_H

#include "base/buffer.h"
#include "base/status.h"
#include "kernels/backend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dh_type {
    DH_U8 = 0,
    DH_U16,
    DH_U32,
    DH_U64,
    DH_I32,
    DH_I64,
    DH_F32,
    DH_F64,
    DH_TEXT, /* fixed-length UTF-8, NUL-padded; the width is its bytes */
    DH_TYPE_COUNT
} dh_type;

/* Bytes of one element (1 for DH_TEXT). */
size_t dh_type_size(dh_type type);

/* Where a column stands in the result. */
typedef enum dh_place {
    DH_OBS = 0,
    DH_OBSM,
    DH_KEPT, /* spilled, for the reduce phase (src/reduce); not in the result */
    DH_TOKEN /* width elements for each token of a batch, not for a document: what a kernel hands to the job's
              * `values`. Neither spilled nor in the result */
} dh_place;

/* A per-document output. Strings live as long as the job. */
typedef struct dh_column {
    dh_place place;
    const char *name;
    dh_type type;
    uint32_t width; /* elements a document; 1 in obs but for DH_TEXT */
    const char *description;
    const char *unit;
    /* obs only: the values are codes of this many categories with these names; the file stores a categorical.
     */
    const char *const *category;
    uint32_t category_count;
} dh_column;

/* Bytes a document takes in a column. */
size_t dh_column_row_size(const dh_column *column);

enum { DH_JOB_COLUMNS_MAX = 24, DH_JOB_SOURCE_SUMS_MAX = 512 };

/* What every job can know of documents besides its own columns. */
typedef struct dh_document_facts {
    const uint32_t *tokens;   /* tokens of each document */
    const uint32_t *bytes;    /* bytes of its text */
    const uint16_t *language; /* dh_language code (src/lexicon/language.h) */
} dh_document_facts;

/* A block of consecutive result rows, or the documents of a batch. column[c] is the job's own column c. */
typedef struct dh_rows {
    uint64_t first_row; /* in the result; 0 where not known yet (source_sums) */
    uint32_t count;
    dh_document_facts facts;
    const void *const *column;
} dh_rows;

/* Takes corpus-level results. Errors are those of the writer (logged). */
typedef struct dh_emitter dh_emitter;
struct dh_emitter {
    /* An array under uns/dhatu/<job>/name. For DH_TEXT the last dimension is the bytes of an element. */
    dh_status (*array)(dh_emitter *emitter, const char *name, dh_type type, const uint64_t *dims,
                       uint32_t dim_count, const void *data, const char *description, const char *unit);
};

typedef enum dh_norm { DH_NORM_NONE = 0, DH_NORM_L1, DH_NORM_L2 } dh_norm;

/* Options of jobs, resolved (docs/jobs.md). */
typedef struct dh_job_options {
    dh_ngram_range ngrams; /* of features and vocab */
    uint32_t features;     /* columns of X */
    bool alternate_sign, binary, idf;
    dh_norm norm;
    uint64_t top;                              /* terms of vocab in the result */
    uint32_t shingle_tokens, bands, band_rows; /* of neardup; bands * band_rows permutations */
    uint32_t min_shingles;                     /* documents with fewer are joined to equal ones only */
    double threshold;                          /* of the estimated Jaccard similarity of a kept pair */
    uint64_t minhash_seed;
    bool keep_minhash; /* obsm/minhash is in the result */
} dh_job_options;

/* What a job may use when it is created. All outlive the job. */
typedef struct dh_job_setup {
    const dh_job_options *options;
    const dh_profile_tables *lexicons;           /* NULL unless a job with uses_lexicons is active */
    const char *const *category;                 /* names, lexicons->category_count of them */
    const char *(*language_name)(uint16_t code); /* "en", "und"; static storage */
    uint32_t language_count;                     /* codes are below this */
} dh_job_setup;

typedef struct dh_job dh_job;
struct dh_job {
    const char *name;
    const char *summary; /* one line, for `dhatu jobs` */
    const char *adds; /* what the reduce phase adds to the result, for `dhatu jobs`, a line each; or NULL */
    bool uses_lexicons;
    bool uses_spelling; /* batches have spelling */
    bool uses_terms;    /* the engine counts the n-grams of all documents (src/reduce/terms.h) */

    /* *state belongs to the engine until free. Errors: DH_NO_MEMORY, DH_USAGE (logged). */
    dh_status (*create)(const dh_job_setup *setup, void **state);
    void (*free)(void *state);

    /* Fills column and returns how many. */
    uint32_t (*columns)(const void *state, dh_column column[DH_JOB_COLUMNS_MAX]);

    /* Computes known answers on the backend. Errors: DH_INTERNAL (logged with got and expected). */
    dh_status (*self_test)(void *state, dh_backend *backend);

    /* Once a backend, behind the self-test: loads what the job's kernels need. NULL: nothing. */
    dh_backend_status (*load)(const void *state, dh_backend *backend);

    /* Queues the job's kernels over lane->batch. column[c] has room for the batch's documents. Threads with a
     * lane each may call it at the same time: it may not change the state. */
    dh_backend_status (*vectorise)(const void *state, dh_lane *lane, void *const *column);

    /* Values of documents, as many as each has; NULL: none; one active job may have them. Called where the
     * batch was read, when its kernels are done: appends the bytes of document d to out and sets how many
     * values they are. They are spilled in the order of documents; the job's reducer in src/reduce reads
     * them. Errors: DH_NO_MEMORY (logged). */
    dh_status (*values)(const void *state, const dh_batch *batch, void *const *column, uint32_t d,
                        dh_buffer *out, uint32_t *count);

    /* Sums by source: how many, their names, and adding the documents [from, to) of rows. May be 0/NULL. */
    uint32_t (*source_sum_count)(const void *state);
    const char *source_sum_description;
    void (*source_sums)(const void *state, const dh_rows *rows, uint32_t from, uint32_t to, uint64_t *sum);

    /* Corpus-level results. All NULL for a job without. */
    dh_status (*accumulate)(void *state, const dh_rows *rows);
    /* The accumulator as one flat block (it is sent to other ranks of the same program). */
    void (*accumulator)(void *state, void **data, size_t *size);
    void (*merge)(void *state, const void *other);
    dh_status (*emit)(void *state, dh_emitter *emitter);
};

/* All jobs that a user can name, NULL at the end. */
extern const dh_job *const dh_jobs[];
const dh_job *dh_job_find(const char *name, size_t size);

/* Runs a batch through a lane of the backend and waits for it: for known answers. */
dh_backend_status dh_job_compute(const dh_job *job, const void *state, dh_backend *backend,
                                 const dh_batch *batch, void *const *column);

/* Always active, in front of the others: bytes, tokens, language, SHA-256 of each document. */
extern const dh_job dh_job_documents;

extern const dh_job dh_job_null;
extern const dh_job dh_job_profile;
extern const dh_job dh_job_digest;
extern const dh_job dh_job_features;
extern const dh_job dh_job_vocab;
extern const dh_job dh_job_neardup;

#endif
