/* dhatu: what a run does with each document, resolved from the options: jobs, lexicons, schema. Needs
 * neither MPI nor HDF5: verify uses it to compute documents again. */
#ifndef DH_RUN_SETTINGS_H
#define DH_RUN_SETTINGS_H

#include "jobs/job.h"
#include "lexicon/lexicon.h"
#include "options/options.h"
#include "read/records.h"

enum { DH_JOBS_MAX = 16, DH_SCHEMA_COLUMNS_MAX = 128 };

/* Bytes that a rank takes besides --memory, at the most. */
enum { DH_OTHER_MEMORY = 128 << 20 };

/* What the engine itself keeps of each document, as it is spilled. */
enum {
    DH_ENGINE_SOURCE = 0,  /* u32, number of the source */
    DH_ENGINE_RECORD,      /* u64, line in the work item, from 0 */
    DH_ENGINE_OFFSET,      /* u64, of the record's first byte in the uncompressed source */
    DH_ENGINE_BYTES,       /* u32, of the text */
    DH_ENGINE_TOKENS,      /* u32 */
    DH_ENGINE_LANGUAGE,    /* u16, dh_language code */
    DH_ENGINE_STATUS,      /* u8, dh_document_status */
    DH_ENGINE_ID_END,      /* u32, end of the document's id in the chunk's id bytes */
    DH_ENGINE_VALUES,      /* u32, values of the document (dh_job.values) */
    DH_ENGINE_VALUE_BYTES, /* u32, their bytes */
    DH_ENGINE_COLUMNS
};

typedef enum dh_document_status {
    DH_DOCUMENT_OK = 0,
    DH_DOCUMENT_REPAIRED, /* ill-formed UTF-8 or lone surrogates became U+FFFD */
    DH_DOCUMENT_EMPTY,    /* no token */
    DH_DOCUMENT_STATUS_COUNT
} dh_document_status;

extern const char *const dh_document_status_name[DH_DOCUMENT_STATUS_COUNT];

/* An active job and where its columns stand in the schema. */
typedef struct dh_active_job {
    const dh_job *job;
    void *state;
    uint32_t first_column, column_count;
    uint32_t first_source_sum, source_sum_count;
} dh_active_job;

/* All columns that a document has on its way: the engine's, then the jobs'. */
typedef struct dh_schema {
    uint32_t column_count;
    dh_column column[DH_SCHEMA_COLUMNS_MAX];
    size_t row_size[DH_SCHEMA_COLUMNS_MAX];
    uint32_t source_sum_count; /* of all jobs */
} dh_schema;

typedef struct dh_settings {
    dh_record_options records;
    dh_token_mode token_mode;
    uint16_t default_language; /* of records that name none; DH_LANGUAGE_UNKNOWN: vote */
    uint64_t token_limit, id_limit, batch_size;
    dh_lexicons *lexicons;          /* NULL unless a job uses them, or the vote for a language does */
    bool uses_lexicons;             /* a job does: prefixes are worth finding */
    bool uses_spelling, uses_terms; /* a job does */
    const dh_active_job *value_job; /* the job that has values; NULL: none */
    uint64_t memory;                /* --memory */
    dh_job_options job_options;
    dh_job_setup job_setup;
    dh_active_job job[DH_JOBS_MAX];
    uint32_t job_count;
    dh_schema schema;
    dh_backend *backend;                /* the rank's own processor */
    const dh_backend_kind *device_kind; /* of --backend; NULL: auto */
} dh_settings;

/* Resolves options, loads lexicons, opens the backend, creates the jobs and checks their known answers.
 * Owner frees with dh_settings_free, also after an error. Errors: DH_USAGE, DH_IO, DH_INTERNAL, DH_NO_MEMORY
 * (logged). */
dh_status dh_settings_resolve(const dh_options *options, dh_settings *out);
void dh_settings_free(dh_settings *settings);

/* Checks the known answers of all jobs on the backend and loads what their kernels need. Errors: DH_INTERNAL,
 * DH_FAILED, DH_NO_MEMORY (logged). */
dh_status dh_settings_ready(const dh_settings *settings, dh_backend *backend);

/* The job as it is active, or NULL. Its column k is column first_column + k of the schema. */
const dh_active_job *dh_settings_job(const dh_settings *settings, const dh_job *job);

/* The options that matter to the result, as JSON: the config that the result records. */
dh_status dh_settings_config(const dh_settings *settings, const dh_options *options, dh_buffer *out);

/* What a checkpoint depends on besides the sources: lines "name=value", the options that matter to the
 * result, the cut into segments, the program. A NUL is at the end. */
dh_status dh_settings_fingerprint(const dh_settings *settings, const dh_options *options, dh_buffer *out);

/* The paths of the default lexicons, joined by newlines as --lexicon's value. Errors: DH_IO (logged: not
 * found). */
dh_status dh_default_lexicons(dh_buffer *out);

#endif
