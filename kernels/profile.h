/* dhatu: the lexical profile of a document, computed from token hashes.
 *
 * Definitions: docs/jobs.md, "profile". All counts are integers in units of 1/denominator, so that sums
 * are exact on every backend; floating-point values are made from them once, in a fixed order. */
#ifndef DH_KERNELS_PROFILE_H
#define DH_KERNELS_PROFILE_H

#include "kernels/core.h"

enum {
    DH_CATEGORIES_MAX = 128,
    DH_TERM_TOKENS_MAX = 4,
    DH_NEGATOR_REACH = 3, /* a negator among this many tokens before a match turns its polarity */
    DH_PRIMES = 10,
    DH_FILTER_BITS = 16, /* of the bitmap of first tokens, a lexicon */
    DH_FILTER_WORDS = (1 << DH_FILTER_BITS) / 64
};

/* An edge of the trie, and what is known of the node it leads to: one load tells all. */
typedef struct dh_profile_slot {
    uint64_t key;
    uint32_t node; /* DH_NO_NODE in an empty slot; or'ed with DH_NODE_CONTINUES where a longer term goes on */
    uint32_t term; /* a term that ends at the node, or DH_NO_TERM */
} dh_profile_slot;

typedef struct dh_profile_term {
    uint32_t units;           /* that a match adds to each of its categories */
    uint32_t category_offset; /* of its first category in tables.category */
    uint16_t category_count;
    uint16_t polarity; /* DH_TERM_NEGATIVE and DH_TERM_FIXED, or'ed */
} dh_profile_term;

/* Compiled lexicons: a trie over symbols (token and prefix hashes) kept in one open-addressing table.
 * Node n < lexicon_count is the root of lexicon n. The key of the edge (node, symbol) is
 * symbol ^ (node + 1) * DH_EDGE_MIX; a negator is the edge (DH_NEGATOR_NODE - lexicon, hash). Two symbols
 * that collide in all 64 bits would be taken for one another (probability about 2^-64 a pair). A view; flat
 * arrays, so that it can be copied to a device as it is. */
typedef struct dh_profile_tables {
    uint32_t lexicon_count;
    uint32_t category_count; /* K */
    uint32_t denominator;    /* of all units */
    uint32_t slot_mask;      /* slots - 1; slots is a power of two, at most half full */
    DH_GLOBAL const dh_profile_slot *slot;
    DH_GLOBAL const dh_profile_term *term;
    DH_GLOBAL const uint8_t *category; /* of all terms, one after the other */
    /* lexicon_count * DH_FILTER_WORDS each: bit (hash >> 48) of what may begin a term, of what may be a
     * negator */
    DH_GLOBAL const uint64_t *first_filter;
    DH_GLOBAL const uint64_t *negator_filter;
    /* DH_FILTER_WORDS: bit (key >> 48) of each edge that goes on in a longer term */
    DH_GLOBAL const uint64_t *next_filter;
    uint32_t term_count;
} dh_profile_tables;

/* FIXED: the term has a negator among its own tokens ("never", "no doubt"), so another one in front of
 * it belongs to the same negation ("ne ... jamais") and does not turn it. */
enum { DH_TERM_NEGATIVE = 1, DH_TERM_FIXED = 2 };

#define DH_EDGE_MIX UINT64_C(0x9E3779B97F4A7C15)
#define DH_NO_NODE UINT32_C(0xFFFFFFFF)
#define DH_NODE_CONTINUES UINT32_C(0x80000000)
#define DH_NO_TERM UINT32_C(0xFFFFFFFF)
#define DH_NEGATOR_NODE UINT32_C(0x7FFFFFF0)

/* Where the results go; K is tables->category_count, n the documents of the batch. The code
 * arrays may be NULL, the others not. */
typedef struct dh_profile_out {
    DH_GLOBAL uint32_t *counts;  /* n x 2K: positive, then negative units */
    DH_GLOBAL float *profile;    /* n x K */
    DH_GLOBAL double *prime;     /* n x DH_PRIMES */
    DH_GLOBAL uint32_t *matched; /* n: tokens inside matches */
    DH_GLOBAL double *coverage;  /* n */
    DH_GLOBAL double *ambiguity; /* n: entropy(profile) / ln(K), in [0, 1] */
    DH_GLOBAL double *variance;  /* n: population variance of the profile */
    DH_GLOBAL uint64_t *code2;   /* n: presence digits, K <= 63 */
    DH_GLOBAL uint64_t *code3;   /* n: sign digits, K <= 39 */
    DH_GLOBAL uint64_t *code5;   /* n: intensity digits, K <= 27 */
} dh_profile_out;

/* The largest K whose code with this base fits into 63 bits. */
enum { DH_CODE2_CATEGORIES_MAX = 63, DH_CODE3_CATEGORIES_MAX = 39, DH_CODE5_CATEGORIES_MAX = 27 };

#endif
