/* dhatu: MinHash signatures of the sets of word n-grams (shingles) of documents (Broder 1997).
 *
 * The text of a shingle is its token hashes. Its 64-bit hash is the polynomial sum of t[i] * K^(n-1-i) modulo
 * 2^64, K = DH_SHINGLE_FACTOR, so that it can be rolled along the document; x is 32 bits of it, mixed
 * (kernels/minhash_core.h). Permutation p of the 32-bit numbers is x -> (x ^ flip[p]) * factor[p] mod 2^32,
 * factor odd; signature[p] is the least value over the shingles of the document, DH_MINHASH_NONE in all
 * places where it has none (fewer tokens than n). The share of places in which two signatures are equal
 * estimates the Jaccard similarity J of the sets, with standard error sqrt(J (1 - J) / permutations).
 * Definitions: docs/jobs.md, "neardup". */
#ifndef DH_KERNELS_MINHASH_H
#define DH_KERNELS_MINHASH_H

#include "kernels/core.h"

enum {
    DH_PERMUTATIONS_MAX = 1024, /* any number from 1 */
    DH_SHINGLE_TOKENS_MAX = 32,
    DH_SHINGLES_COUNTED_MAX = 64
};

#define DH_MINHASH_NONE UINT32_C(0xFFFFFFFF)

/* 5 modulo 8: of the differences of its powers, which two tokens in each other's places have as a factor, as
 * few low bits as possible are zero. */
#define DH_SHINGLE_FACTOR UINT64_C(0xD1342543DE82EF95)

typedef struct dh_minhash_options {
    uint32_t shingle_tokens; /* n, 1 to DH_SHINGLE_TOKENS_MAX */
    uint32_t permutations;   /* 1 to DH_PERMUTATIONS_MAX */
    uint32_t counted; /* different shingles are counted up to this many, 1 to DH_SHINGLES_COUNTED_MAX */
    const uint32_t *flip, *factor; /* `permutations` of each, of dh_minhash_permutations; they live as long as
                                    * the backend uses them */
} dh_minhash_options;

/* Fills flip and factor from the seed (SplitMix64; factor odd): the same for every machine. */
void dh_minhash_permutations(uint64_t seed, uint32_t permutations, uint32_t *flip, uint32_t *factor);

/* Where the results go; n documents of the batch. */
typedef struct dh_minhash_out {
    DH_GLOBAL uint32_t *signature; /* n x permutations */
    DH_GLOBAL uint32_t *shingles;  /* n: different shingles (by x), at most `counted` */
} dh_minhash_out;

#endif
