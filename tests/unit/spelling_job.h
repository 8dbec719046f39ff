/* A job of the tests that uses spelling and has a column of tokens and one of documents, added to settings.
 */
#ifndef DH_TESTS_SPELLING_JOB_H
#define DH_TESTS_SPELLING_JOB_H

#include "support.h"

#include "run/settings.h"

enum { SPELLING_OF_A_TOKEN = 10 /* bytes at the most, of spell */ };
enum { SPELLING_JOB_NGRAMS = 0, SPELLING_JOB_DIGEST, SPELLING_JOB_COLUMNS };

static const dh_ngram_range spelling_job_range = {.least = 1, .most = 3};

static const dh_column spelling_job_column[SPELLING_JOB_COLUMNS] = {
    {.place = DH_TOKEN, .name = "ngrams", .type = DH_U32, .width = 3},
    {.place = DH_KEPT, .name = "digest", .type = DH_U8, .width = DH_SHA256_SIZE},
};

static inline void spelling_job_free(void *state)
{
    (void)state;
}

static inline dh_status spelling_job_self_test(void *state, dh_backend *backend)
{
    (void)state;
    (void)backend;
    return DH_OK;
}

static inline dh_backend_status spelling_job_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    (void)state;
    const dh_backend_kind *kind = lane->backend->kind;
    const dh_backend_status status =
        kind->ngrams(lane, spelling_job_range, (uint32_t *)column[SPELLING_JOB_NGRAMS]);
    return status == DH_BACKEND_OK ? kind->sha256_spelling(lane, (uint8_t *)column[SPELLING_JOB_DIGEST])
                                   : status;
}

static const dh_job spelling_job = {.name = "spelling",
                                    .uses_spelling = true,
                                    .free = spelling_job_free,
                                    .self_test = spelling_job_self_test,
                                    .vectorise = spelling_job_vectorise};

static inline void add_spelling_job(dh_settings *settings)
{
    dh_schema *schema = &settings->schema;
    dh_active_job *active = &settings->job[settings->job_count++];
    *active = (dh_active_job){
        .job = &spelling_job, .first_column = schema->column_count, .column_count = SPELLING_JOB_COLUMNS};
    for (uint32_t c = 0; c < SPELLING_JOB_COLUMNS; c++) {
        schema->row_size[schema->column_count] = dh_column_row_size(&spelling_job_column[c]);
        schema->column[schema->column_count++] = spelling_job_column[c];
    }
    settings->uses_spelling = true;
}

/* Spells tokens with a few random letters each. */
static inline void spell(uint32_t documents, const uint64_t *token_offset, uint8_t *spelling,
                         uint64_t *spelling_offset, uint32_t *token_end)
{
    uint64_t end = 0;
    for (uint32_t d = 0; d < documents; d++) {
        spelling_offset[d] = end;
        for (uint64_t t = token_offset[d]; t < token_offset[d + 1]; t++) {
            for (uint64_t letters = support_random_below(SPELLING_OF_A_TOKEN - 1) + 1; letters > 0;
                 letters--) {
                spelling[end++] = (uint8_t)('a' + support_random_below(26));
            }
            token_end[t] = (uint32_t)(end - spelling_offset[d]);
            spelling[end++] = ' ';
        }
    }
    spelling_offset[documents] = end;
}

#endif
