#include "reduce/neardup_match.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint32_t dh_match_least_equal(double threshold, uint32_t places)
{
    /* A product such as 0.07 * 100 is a little above the number it stands for. */
    const double rounding = 1e-9;
    const double exact = threshold * (double)places;
    const uint32_t below = (uint32_t)exact;
    return exact - (double)below > rounding ? below + 1 : below;
}

uint32_t dh_match_equal(const uint32_t *a, const uint32_t *b, uint32_t places)
{
    uint32_t equal = 0;
    for (uint32_t p = 0; p < places; p++) {
        equal += a[p] == b[p];
    }
    return equal;
}

uint64_t dh_match_band_key(const dh_match *match, const uint32_t *signature, uint32_t band)
{
    return XXH3_64bits_withSeed(signature + (size_t)band * match->band_rows,
                                match->band_rows * sizeof *signature, band);
}

uint32_t dh_match_band_of_key(const dh_match *match, const uint32_t *signature, uint64_t key)
{
    uint32_t band = 0;
    while (band < match->bands && dh_match_band_key(match, signature, band) != key) {
        band++;
    }
    return band;
}

bool dh_match_share_before(const dh_match *match, const uint32_t *a, const uint32_t *b, uint32_t band)
{
    for (uint32_t earlier = 0; earlier < band; earlier++) {
        const size_t at = (size_t)earlier * match->band_rows;
        if (memcmp(a + at, b + at, match->band_rows * sizeof *a) == 0) {
            return true;
        }
    }
    return false;
}

uint32_t dh_leaders_find(const dh_leaders *leaders, const dh_match *match, const uint32_t *signature,
                         uint64_t *compared)
{
    for (uint32_t l = 0; l < leaders->count; l++) {
        ++*compared;
        if (dh_match_is_near(match, leaders->signature + (size_t)l * dh_match_places(match), signature)) {
            return l;
        }
    }
    return leaders->count;
}

void dh_leaders_add(dh_leaders *leaders, const dh_match *match, uint64_t row, const uint32_t *signature)
{
    if (leaders->count == DH_BUCKET_LEADERS_MAX) {
        return;
    }
    const size_t places = dh_match_places(match);
    memcpy(leaders->signature + leaders->count * places, signature, places * sizeof *signature);
    leaders->row[leaders->count++] = row;
}
