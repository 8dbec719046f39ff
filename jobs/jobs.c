#include "jobs/job.h"

#include <string.h>

const dh_job *const dh_jobs[] = {
    &dh_job_profile, &dh_job_digest, &dh_job_features, &dh_job_vocab, &dh_job_neardup, &dh_job_null, NULL};

const dh_job *dh_job_find(const char *name, size_t size)
{
    for (size_t i = 0; dh_jobs[i] != NULL; i++) {
        if (strlen(dh_jobs[i]->name) == size && memcmp(dh_jobs[i]->name, name, size) == 0) {
            return dh_jobs[i];
        }
    }
    return NULL;
}

size_t dh_type_size(dh_type type)
{
    static const size_t size[DH_TYPE_COUNT] = {
        [DH_U8] = 1,  [DH_U16] = 2, [DH_U32] = 4, [DH_U64] = 8,  [DH_I32] = 4,
        [DH_I64] = 8, [DH_F32] = 4, [DH_F64] = 8, [DH_TEXT] = 1,
    };
    return size[type];
}

size_t dh_column_row_size(const dh_column *column)
{
    return dh_type_size(column->type) * column->width;
}

dh_backend_status dh_job_compute(const dh_job *job, const void *state, dh_backend *backend,
                                 const dh_batch *batch, void *const *column)
{
    dh_lane *lane = &backend->lane[0];
    dh_backend_status status = backend->kind->begin(lane, batch);
    if (status == DH_BACKEND_OK) {
        status = job->vectorise(state, lane, column);
    }
    const dh_backend_status waited = status != DH_BACKEND_LOST ? dh_lane_wait(lane) : status;
    return status != DH_BACKEND_OK ? status : waited;
}
