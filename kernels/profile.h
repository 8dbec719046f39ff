/* dhatu: the lexical profile of a document, computed from token hashes.
 *
 * Definitions: docs/jobs.md, "profile". All counts are integers in units of 1/denominator, so that sums
 * are exact on every backend; floating-point values are made from them once, in a fixed order. */
#ifndef DH_KERNELS_PROFILE_H
#define DH_KERNELS_PROFILE_H

#include <stdint.h>

enum {
    DH_CATEGORIES_MAX = 128,
    DH_TERM_TOKENS_MAX = 4,
    DH_NEGATOR_REACH = 3, /* a negator among this many tokens before a match turns its polarity */
    DH_PRIMES = 10,
    DH_FILTER_BITS = 16,                              /* of the bitmap of first tokens, a lexicon */
    DH_FILTER_WORDS = (1 << DH_FILTER_BITS) / 64
};

/* Compiled lexicons: a trie over symbols (token and prefix hashes) kept in one open-addressing table.
 * Node n < lexicon_count is the root of lexicon n. The key of the edge (node, symbol) is
 * symbol ^ (node + 1) * DH_EDGE_MIX; a negator is the edge (DH_NEGATOR_NODE - lexicon, hash). Two symbols that
 * collide in all 64 bits would be taken for one another (probability about 2^-64 a pair).
 * A view; flat arrays, so that it can be copied to a device as it is. */
typedef struct dh_profile_tables {
    uint32_t lexicon_count;
    uint32_t category_count; /* K */
    uint32_t denominator;    /* of all units */
    uint32_t slot_mask;      /* slots - 1; slots is a power of two, at most half full */
    const uint64_t *slot_key;
    const uint32_t *slot_node;     /* DH_NO_NODE in an empty slot */
    const uint32_t *node_term;     /* a term that ends here, or DH_NO_TERM */
    const uint8_t *node_continues; /* 1 when a longer term goes on from here */
    const uint32_t *term_units;    /* units that a match adds to each of its categories */
    const uint8_t *term_polarity;  /* DH_TERM_NEGATIVE and DH_TERM_FIXED, or'ed */
    const uint32_t *term_category_offset; /* terms + 1 */
    const uint8_t *term_category;
    const uint64_t *filter; /* lexicon_count * DH_FILTER_WORDS: bit (hash >> 48) of each first token */
    uint32_t node_count, term_count;
} dh_profile_tables;

/* FIXED: the term has a negator among its own tokens ("never", "no doubt"), so another one in front of
 * it belongs to the same negation ("ne ... jamais") and does not turn it. */
enum { DH_TERM_NEGATIVE = 1, DH_TERM_FIXED = 2 };

#define DH_EDGE_MIX UINT64_C(0x9E3779B97F4A7C15)
#define DH_NO_NODE UINT32_C(0xFFFFFFFF)
#define DH_NO_TERM UINT32_C(0xFFFFFFFF)
#define DH_NEGATOR_NODE UINT32_C(0xFFFFFFF0)

/* Where the results go; K is tables->category_count, n the documents of the batch.
 The code
 * arrays may be NULL, the others not. */
typedef struct dh_profile_out {
    uint32_t *counts;   /* n x 2K: positive, then negative units */
    float *profile;     /* n x K */
    double *prime;      /* n x DH_PRIMES */
    uint32_t *matched;  /* n: tokens inside matches */
    double *coverage;   /* n */
    double *ambiguity;  /* n: entropy(profile) / ln(K), in [0, 1] */
    double *variance;   /* n: population variance of the profile */
    uint64_t *code2;    /* n: presence digits, K <= 63 */
    uint64_t *code3;    /* n: sign digits, K <= 40 */
    uint64_t *code5;    /* n: intensity digits, K <= 27 */
} dh_profile_out;

/* The largest K whose code with this base fits into 63 bits. */
enum { DH_CODE2_CATEGORIES_MAX = 63, DH_CODE3_CATEGORIES_MAX = 39, DH_CODE5_CATEGORIES_MAX = 27 };

#endif
