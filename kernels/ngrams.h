/* dhatu: hashes of n-grams, as scikit-learn's HashingVectorizer takes them: MurmurHash3 (x86, 32 bits, seed
 * 0) of the n-gram's UTF-8, its tokens joined by one space (Austin Appleby's MurmurHash3, public domain:
 * github.com/aappleby/smhasher; the algorithm, not his text). Definitions: docs/jobs.md, "features". */
#ifndef DH_KERNELS_NGRAMS_H
#define DH_KERNELS_NGRAMS_H

#include "kernels/core.h"

enum { DH_NGRAM_TOKENS_MAX = 8 };

/* n-grams of `least` to `most` tokens, 1 to DH_NGRAM_TOKENS_MAX. */
typedef struct dh_ngram_range {
    uint32_t least, most;
} dh_ngram_range;

/* Hashes that a token has: one for each length. */
static inline uint32_t dh_ngram_lengths(dh_ngram_range range)
{
    return range.most - range.least + 1;
}

/* hash[t * lengths + (n - least)]: of the n-gram that begins with token t of the batch (t as in
 * dh_batch.token, less the batch's first token_offset). 0 where the document ends before the n-gram does. */

#endif
