/* dhatu: MinHash signatures compared, and the buckets of documents that share a band. Without MPI. */
#ifndef DH_REDUCE_NEARDUP_MATCH_H
#define DH_REDUCE_NEARDUP_MATCH_H

#include <stdbool.h>
#include <stdint.h>

/* Members of a bucket up to which all pairs are compared, and leaders of a larger one. */
enum { DH_BUCKET_PAIRS_MAX = 64, DH_BUCKET_LEADERS_MAX = 64 };

typedef struct dh_match {
    uint32_t bands, band_rows; /* signatures have bands * band_rows places */
    uint32_t least_equal;      /* equal places of a pair that is kept (dh_match_least_equal) */
} dh_match;

static inline uint32_t dh_match_places(const dh_match *match)
{
    return match->bands * match->band_rows;
}

/* The least number of equal places whose share of all is at least the threshold. */
uint32_t dh_match_least_equal(double threshold, uint32_t places);

/* Places in which two signatures are equal. */
uint32_t dh_match_equal(const uint32_t *a, const uint32_t *b, uint32_t places);

static inline bool dh_match_is_near(const dh_match *match, const uint32_t *a, const uint32_t *b)
{
    return dh_match_equal(a, b, dh_match_places(match)) >= match->least_equal;
}

/* The key of a signature's bucket in a band. */
uint64_t dh_match_band_key(const dh_match *match, const uint32_t *signature, uint32_t band);

/* The first band of the signature that has this key; match->bands: none. */
uint32_t dh_match_band_of_key(const dh_match *match, const uint32_t *signature, uint64_t key);

/* Do they agree in a band in front of this one? */
bool dh_match_share_before(const dh_match *match, const uint32_t *a, const uint32_t *b, uint32_t band);

/* The leaders of a bucket that is too large for all pairs: members are compared with them alone, in order. A
 * member joins the first leader that it is near to; one that joins none becomes a leader while there is room.
 * So a member costs at most DH_BUCKET_LEADERS_MAX comparisons, and the memory is bounded. */
typedef struct dh_leaders {
    uint32_t count;
    uint64_t row[DH_BUCKET_LEADERS_MAX];
    uint32_t *signature; /* DH_BUCKET_LEADERS_MAX x places, the caller's */
} dh_leaders;

/* The place of the first leader that the signature is near to; leaders->count: none. Adds the number of
 * comparisons. */
uint32_t dh_leaders_find(const dh_leaders *leaders, const dh_match *match, const uint32_t *signature,
                         uint64_t *compared);

/* Makes it a leader if there is room. */
void dh_leaders_add(dh_leaders *leaders, const dh_match *match, uint64_t row, const uint32_t *signature);

#endif
