/* dhatu: the null job. It does the least that a job can do, in the order in which the engine calls it,
 * and is the template to copy for a new one (docs/jobs.md).
 *
 * Its one column is the number of the document's tokens that are even hashes: of no use to anybody, but
 * computed from the batch like a real one, with a known answer, a sum over the corpus and sums by source. */
#include "jobs/job.h"

#include "base/buffer.h"
#include "base/log.h"

#include <stdlib.h>

enum { COLUMN_EVEN = 0 };

typedef struct null_job {
    uint64_t even_total; /* the accumulator */
} null_job;

static dh_status null_create(const dh_job_setup *setup, void **state)
{
    (void)setup; /* lexicons and languages, for jobs that need them */
    return dh_allocate(1, sizeof(null_job), "the null job", state);
}

static void null_free(void *state)
{
    free(state);
}

static uint32_t null_columns(const void *state, dh_column column[DH_JOB_COLUMNS_MAX])
{
    (void)state;
    column[COLUMN_EVEN] = (dh_column){
        .place = DH_OBS,
        .name = "null_even",
        .type = DH_U32,
        .width = 1,
        .description = "tokens whose hash is even (the null job, a template)",
        .unit = "tokens",
    };
    return 1;
}

/* A job without a kernel of its own loops over the batch here; one with a kernel calls the backend. */
static dh_backend_status null_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    (void)state;
    const dh_batch *batch = lane->batch;
    uint32_t *even = column[COLUMN_EVEN];
    for (uint32_t d = 0; d < batch->document_count; d++) {
        even[d] = 0;
        for (uint64_t t = batch->token_offset[d]; t < batch->token_offset[d + 1]; t++) {
            even[d] += (batch->token[t] & 1) == 0;
        }
    }
    return DH_BACKEND_OK;
}

static dh_status null_self_test(void *state, dh_backend *backend)
{
    const uint64_t token[] = {2, 3, 4, 7};
    const uint64_t offset[] = {0, 3, 3, 4};
    const uint32_t expected[] = {2, 0, 0};
    const dh_batch batch = {.document_count = 3, .token = token, .token_offset = offset};
    uint32_t even[3] = {9, 9, 9};
    void *const column[] = {even};
    if (dh_job_compute(&dh_job_null, state, backend, &batch, column) != DH_BACKEND_OK) {
        return dh_error(DH_INTERNAL, "job null: the backend failed on its known answer");
    }
    for (int d = 0; d < 3; d++) {
        if (even[d] != expected[d]) {
            return dh_error(DH_INTERNAL, "job null: known answer %d is %u, expected %u", d, even[d],
                            expected[d]);
        }
    }
    return DH_OK;
}

static uint32_t null_source_sum_count(const void *state)
{
    (void)state;
    return 1;
}

static void null_source_sums(const void *state, const dh_rows *rows, uint32_t from, uint32_t to,
                             uint64_t *sum)
{
    (void)state;
    const uint32_t *even = rows->column[COLUMN_EVEN];
    for (uint32_t d = from; d < to; d++) {
        sum[0] += even[d];
    }
}

static dh_status null_accumulate(void *state, const dh_rows *rows)
{
    null_job *job = state;
    null_source_sums(state, rows, 0, rows->count, &job->even_total);
    return DH_OK;
}

static void null_accumulator(void *state, void **data, size_t *size)
{
    *data = state;
    *size = sizeof(null_job);
}

static void null_merge(void *state, const void *other)
{
    ((null_job *)state)->even_total += ((const null_job *)other)->even_total;
}

static dh_status null_emit(void *state, dh_emitter *emitter)
{
    const null_job *job = state;
    const uint64_t dims[] = {1};
    return emitter->array(emitter, "even_total", DH_U64, dims, 1, &job->even_total,
                          "sum of null_even over the corpus", "tokens");
}

const dh_job dh_job_null = {
    .name = "null",
    .summary = "template of a job: counts tokens with an even hash",
    .create = null_create,
    .free = null_free,
    .columns = null_columns,
    .self_test = null_self_test,
    .vectorise = null_vectorise,
    .source_sum_count = null_source_sum_count,
    .source_sum_description = "tokens whose hash is even",
    .source_sums = null_source_sums,
    .accumulate = null_accumulate,
    .accumulator = null_accumulator,
    .merge = null_merge,
    .emit = null_emit,
};
