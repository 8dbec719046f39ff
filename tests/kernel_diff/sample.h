/* Random lexicons and documents for kernels, as kernels see them: hashes without words. Used by the
 * comparison of backends and by bench/bench_kernels. Ends the program when memory is short. */
#ifndef DH_TESTS_SAMPLE_H
#define DH_TESTS_SAMPLE_H

#include "kernels/batch.h"
#include "kernels/profile.h"

#include <stdbool.h>
#include <stddef.h>

/* ---- numbers and memory ------------------------------------------------------------------------------ */

void sample_seed(uint64_t seed);
uint64_t sample_random(void);
uint64_t sample_below(uint64_t limit);

/* count * size bytes, of which all are poison; at least one byte. */
void *sample_allocate(size_t count, size_t size);

/* ---- lexicons ---------------------------------------------------------------------------------------- */

enum { SAMPLE_PREFIXES_MAX = 3 /* of a word */, SAMPLE_NEGATORS_MAX = 8, SAMPLE_CATEGORIES_MAX = 4 };

typedef struct sample_word {
    uint64_t hash;
    uint32_t prefix[SAMPLE_PREFIXES_MAX]; /* numbers of the prefixes that it begins with, the longest first */
    uint32_t prefix_count;
} sample_word;

typedef struct sample_term {
    uint64_t symbol[DH_TERM_TOKENS_MAX];
    uint32_t word[DH_TERM_TOKENS_MAX]; /* numbers of words that match it, if any word has its prefix */
    uint32_t tokens;
    bool is_prefix; /* its last symbol is that of a prefix */
    bool is_negative, is_fixed;
    uint32_t units, category_count;
    uint8_t category[SAMPLE_CATEGORIES_MAX];
} sample_term;

typedef struct sample_lexicon {
    sample_term *term;
    uint32_t term_count;
    uint64_t negator[SAMPLE_NEGATORS_MAX];
    uint32_t negator_count, first_negator; /* first_negator: number of its word */
    bool *has_prefix;                      /* a prefix each: a term ends with it */
} sample_lexicon;

/* How the hashes of words are made, or'ed. */
enum {
    SAMPLE_SAME_FILTER_BIT = 1, /* one bit of the filters for all words */
    SAMPLE_SAME_HOME = 2        /* the edges of a node that words lead along begin at one slot */
};

typedef struct sample_options {
    uint32_t lexicons, categories, words, terms; /* terms: at most, a lexicon */
    uint32_t hashes;                             /* SAMPLE_ bits */
    uint32_t prefixed_256;                       /* of 256 words, how many begin with prefixes */
} sample_options;

typedef struct sample_set {
    sample_options options;
    uint64_t hash_mask, hash_base; /* a word's hash: random in the mask, else the base */
    sample_word *word;
    uint64_t *prefix;      /* their hashes */
    uint32_t *prefix_word; /* a word that begins with it, if any */
    uint32_t prefix_count;
    sample_lexicon *lexicon;
    dh_profile_tables tables;
} sample_set;

sample_set *sample_set_create(const sample_options *options);
void sample_set_free(sample_set *set);

bool sample_is_negator(const sample_lexicon *lexicon, uint64_t hash);

/* ---- documents --------------------------------------------------------------------------------------- */

typedef struct sample_batch {
    dh_batch view; /* of all documents; its arrays are this one's */
    uint8_t *text;
    uint64_t *text_offset, *token, *token_offset, *prefix_hit_offset;
    dh_prefix_hit *prefix_hit;
    uint16_t *lexicon;
    uint8_t *spelling;
    uint64_t *spelling_offset;
    uint32_t *token_end;
    uint32_t document_capacity;
    uint64_t text_capacity, token_capacity, hit_capacity, spelling_capacity, end_capacity;
} sample_batch;

typedef struct sample_document {
    uint64_t text_size;
    uint32_t token_count;
    uint32_t lexicon;      /* DH_NO_LEXICON: none */
    uint32_t terms_in_256; /* of 256 places, how many begin a term of the lexicon */
    bool is_hit_by_all;    /* hits of all lexicons, not only of its own */
    bool begins_with_negator;
    uint32_t only_term;   /* not 0: number, from 1 on, of the one term that it has, at its beginning */
    uint32_t words;       /* not 0: its tokens are this many words of the set, and no terms */
    uint32_t token_limit; /* of the bytes of a token's spelling; 0: a usual one */
    /* Not 0: bytes of the spelling without its last space, at least 2 * token_count - 1. */
    uint64_t spelling_size;
} sample_document;

sample_batch *sample_batch_create(void);
void sample_batch_free(sample_batch *batch);
void sample_batch_add(sample_batch *batch, const sample_set *set, const sample_document *document);

#endif
