/* Rows of X from the values of documents. Without ranks: tests and verify use it, too. */
#include "reduce/features.h"

#include "base/leb128.h"

#include <math.h>

/* A difference and a count of the usual sizes. NULL: they have others, or too little lies in front of end. */
static inline const uint8_t *read_short(const uint8_t *at, const uint8_t *end, uint64_t *step,
                                        uint64_t *coded)
{
    if (end - at <= DH_LEB128_SHORT) {
        return NULL;
    }
    uint32_t number = 0;
    const uint8_t *behind = dh_leb128_get_short(at, &number);
    if (behind == NULL || *behind >= DH_LEB128_MORE) {
        return NULL;
    }
    *step = number;
    *coded = *behind;
    return behind + 1;
}

bool dh_features_decode(const uint8_t **bytes, const uint8_t *end, uint64_t columns, uint32_t count,
                        uint32_t *column, int32_t *value)
{
    const uint8_t *at = *bytes;
    uint64_t here = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t step = 0;
        uint64_t coded = 0;
        const uint8_t *behind = read_short(at, end, &step, &coded);
        if (behind != NULL) {
            at = behind;
        } else if (!dh_leb128_get(&at, end, &step) || !dh_leb128_get(&at, end, &coded)) {
            return false;
        }
        if ((i > 0 && step == 0) || step >= columns || here + step >= columns || coded > UINT32_MAX) {
            return false;
        }
        here += step;
        column[i] = (uint32_t)here;
        value[i] = (int32_t)dh_unzigzag(coded);
    }
    *bytes = at;
    return true;
}

void dh_features_weigh(const dh_features *features, const dh_job_options *options, uint32_t count,
                       const uint32_t *column, const int32_t *value, float *out)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        const double weighed = (double)value[i] * features->weight[column[i]];
        sum += options->norm == DH_NORM_L2 ? weighed * weighed : fabs(weighed);
    }
    const double norm = options->norm == DH_NORM_L2 ? sqrt(sum) : sum;
    const bool divide = options->norm != DH_NORM_NONE && norm > 0.0;
    for (uint32_t i = 0; i < count; i++) {
        const double weighed = (double)value[i] * features->weight[column[i]];
        out[i] = (float)(divide ? weighed / norm : weighed);
    }
}
