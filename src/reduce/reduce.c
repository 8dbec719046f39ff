#include "reduce/reduce.h"

enum { LEAST_MEMORY = 16 << 20 /* of a step, as of --memory */ };

static bool is_active(const dh_reduce *reduce, const dh_job *job)
{
    return dh_settings_job(reduce->settings, job) != NULL;
}

dh_status dh_reduce_all(const dh_reduce *reduce, dh_reduced *out)
{
    *out = (dh_reduced){0};
    if (reduce->settings->uses_terms) {
        DH_TRY(dh_reduce_terms(reduce, &out->terms));
    }
    if (is_active(reduce, &dh_job_features)) {
        DH_TRY(dh_reduce_features(reduce, &out->terms, &out->features));
    }
    if (!is_active(reduce, &dh_job_neardup)) {
        return DH_OK;
    }
    /* What the steps before keep for the writer is no longer there for this one. */
    dh_reduce rest = *reduce;
    uint64_t kept = dh_features_kept(&out->features) + dh_terms_kept(&out->terms);
    DH_TRY(dh_comm_max(reduce->comm, &kept, 1)); /* ranks keep different things, and share rounds */
    rest.memory = reduce->memory > kept + LEAST_MEMORY ? reduce->memory - kept : LEAST_MEMORY;
    return dh_reduce_neardup(&rest, &out->neardup);
}

void dh_reduced_free(dh_reduced *reduced)
{
    dh_terms_free(&reduced->terms);
    dh_features_free(&reduced->features);
    dh_neardup_free(&reduced->neardup);
}
