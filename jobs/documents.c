/* dhatu: what is recorded of every document, whatever the jobs: bytes, tokens, language, SHA-256. */
#include "jobs/job.h"

#include "base/buffer.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMN_SHA256 = 0, HEX_SIZE = 2 * DH_SHA256_SIZE, LANGUAGE_SUMS = 3 };

typedef struct documents_job {
    const dh_job_setup *setup;
    uint64_t (*language)[LANGUAGE_SUMS]; /* documents, bytes, tokens of each language code */
} documents_job;

static dh_status documents_create(const dh_job_setup *setup, void **state)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(documents_job), "the documents job", &memory));
    documents_job *job = memory;
    job->setup = setup;
    void *language = NULL;
    const dh_status status =
        dh_allocate(setup->language_count, sizeof *job->language, "the language totals", &language);
    if (status != DH_OK) {
        free(job);
        return status;
    }
    job->language = language;
    *state = job;
    return DH_OK;
}

static void documents_free(void *state)
{
    if (state != NULL) {
        free(((documents_job *)state)->language);
        free(state);
    }
}

static uint32_t documents_columns(const void *state, dh_column column[DH_JOB_COLUMNS_MAX])
{
    (void)state;
    column[COLUMN_SHA256] = (dh_column){
        .place = DH_OBS,
        .name = "sha256",
        .type = DH_TEXT,
        .width = HEX_SIZE,
        .description = "SHA-256 of the text's UTF-8, in hexadecimal",
        .unit = "1",
    };
    return 1;
}

static dh_backend_status documents_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    (void)state;
    return lane->backend->kind->sha256(lane, column[COLUMN_SHA256]);
}

static dh_status documents_self_test(void *state, dh_backend *backend)
{
    /* FIPS 180-4 examples. */
    const char text[] = "abc";
    const uint64_t offset[] = {0, 0, 3};
    const char expected[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const dh_batch batch = {.document_count = 2, .text = (const uint8_t *)text, .text_offset = offset};
    char hex[2 * HEX_SIZE];
    void *const column[] = {hex};
    if (dh_job_compute(&dh_job_documents, state, backend, &batch, column) != DH_BACKEND_OK ||
        memcmp(hex, expected, sizeof hex) != 0) {
        return dh_error(DH_INTERNAL, "SHA-256 on backend %s fails its known answers", backend->kind->name);
    }
    return DH_OK;
}

static dh_status documents_accumulate(void *state, const dh_rows *rows)
{
    documents_job *job = state;
    for (uint32_t d = 0; d < rows->count; d++) {
        uint64_t *sum = job->language[rows->facts.language[d]];
        sum[0] += 1;
        sum[1] += rows->facts.bytes[d];
        sum[2] += rows->facts.tokens[d];
    }
    return DH_OK;
}

static void documents_accumulator(void *state, void **data, size_t *size)
{
    documents_job *job = state;
    *data = job->language;
    *size = job->setup->language_count * sizeof *job->language;
}

static void documents_merge(void *state, const void *other)
{
    documents_job *job = state;
    const uint64_t(*theirs)[LANGUAGE_SUMS] = other;
    for (uint32_t l = 0; l < job->setup->language_count; l++) {
        for (int i = 0; i < LANGUAGE_SUMS; i++) {
            job->language[l][i] += theirs[l][i];
        }
    }
}

static dh_status documents_emit_languages(const documents_job *job, dh_emitter *emitter, uint32_t count,
                                          char *name, uint64_t (*sums)[LANGUAGE_SUMS])
{
    enum { NAME_SIZE = 3 };
    uint32_t used = 0;
    for (uint32_t l = 0; l < job->setup->language_count; l++) {
        if (job->language[l][0] == 0) {
            continue;
        }
        const char *language = job->setup->language_name((uint16_t)l);
        memcpy(name + (size_t)used * NAME_SIZE, language, strnlen(language, NAME_SIZE));
        memcpy(sums[used], job->language[l], sizeof sums[used]);
        used++;
    }
    const uint64_t name_dims[] = {count, NAME_SIZE};
    const uint64_t sum_dims[] = {count, LANGUAGE_SUMS};
    DH_TRY(emitter->array(emitter, "language", DH_TEXT, name_dims, 2, name,
                          "languages of the corpus (ISO 639 codes; und: not known)", "1"));
    return emitter->array(emitter, "by_language", DH_U64, sum_dims, 2, sums,
                          "documents, bytes of text and tokens of each language", "documents, bytes, tokens");
}

static dh_status documents_emit(void *state, dh_emitter *emitter)
{
    documents_job *job = state;
    uint64_t total[LANGUAGE_SUMS] = {0};
    uint32_t count = 0;
    for (uint32_t l = 0; l < job->setup->language_count; l++) {
        count += job->language[l][0] > 0;
        for (int i = 0; i < LANGUAGE_SUMS; i++) {
            total[i] += job->language[l][i];
        }
    }
    const uint64_t dims[] = {LANGUAGE_SUMS};
    DH_TRY(emitter->array(emitter, "totals", DH_U64, dims, 1, total, "documents, bytes of text and tokens",
                          "documents, bytes, tokens"));
    void *name = NULL;
    void *sums = NULL;
    dh_status status = dh_allocate(count, 3, "the language names", &name);
    if (status == DH_OK) {
        status = dh_allocate(count, sizeof(uint64_t[LANGUAGE_SUMS]), "the language totals", &sums);
    }
    if (status == DH_OK) {
        status = documents_emit_languages(job, emitter, count, name, sums);
    }
    free(name);
    free(sums);
    return status;
}

const dh_job dh_job_documents = {
    .name = "documents",
    .summary = "always there: bytes, tokens, language and SHA-256 of each document",
    .create = documents_create,
    .free = documents_free,
    .columns = documents_columns,
    .self_test = documents_self_test,
    .vectorise = documents_vectorise,
    .accumulate = documents_accumulate,
    .accumulator = documents_accumulator,
    .merge = documents_merge,
    .emit = documents_emit,
};
