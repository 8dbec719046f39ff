#include "reduce/reduce.h"

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
    return is_active(reduce, &dh_job_neardup) ? dh_reduce_neardup(reduce, &out->neardup) : DH_OK;
}

void dh_reduced_free(dh_reduced *reduced)
{
    dh_terms_free(&reduced->terms);
    dh_features_free(&reduced->features);
    dh_neardup_free(&reduced->neardup);
}
