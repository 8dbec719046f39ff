/* dhatu: the column of an n-gram, for the job and for whoever names columns. */
#ifndef DH_JOBS_FEATURES_H
#define DH_JOBS_FEATURES_H

#include <stdint.h>

enum { DH_FEATURE_SIGN_BIT = 31 /* of a hash: the n-gram counts as -1 */ };

/* The size of the hash as a signed number, modulo columns (at most 2^31). The least number has one, too, as
 * it is taken without a sign: what scikit-learn makes of it comes to the same. */
static inline uint32_t dh_feature_column(uint32_t hash, uint32_t columns)
{
    const uint32_t size = hash >> DH_FEATURE_SIGN_BIT != 0 ? 0 - hash : hash;
    return (columns & (columns - 1)) == 0 ? size & (columns - 1) : size % columns;
}

#endif
