/* dhatu: what the tokeniser knows of each code point, made from utf8proc when a block of 256 code points
 * is first asked for. One dh_unicode serves one thread. */
#ifndef DH_TEXT_UNICODE_H
#define DH_TEXT_UNICODE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dh_mapping {
    DH_MAPPING_CASEFOLD, /* NFKC, then full case folding; classes of DH_TOKENS_UNICODE */
    DH_MAPPING_LOWER     /* full lower case without normalisation; classes of DH_TOKENS_SKLEARN */
} dh_mapping;

enum {
    /* It may reorder or compose with what stands before it, so both must be normalised together. */
    DH_CHARACTER_UNSTABLE = 1,
    /* utf8 does not tell what it maps to: more than 8 bytes, or it depends on the text around it. */
    DH_CHARACTER_SPECIAL = 2
};

/* A code point between stable neighbours. Bit i of a mask speaks of byte i of utf8. */
typedef struct dh_character {
    uint8_t utf8[8];      /* the mapped text */
    uint8_t size;         /* its bytes */
    uint8_t word;         /* mask: bytes of letters, marks and numbers that make runs */
    uint8_t single_first; /* mask: first bytes of code points that are tokens of their own */
    uint8_t single_last;  /* mask: their last bytes */
    uint8_t flags;
    uint8_t combining_class;
    uint8_t unused[2];
} dh_character;

enum { DH_UNICODE_BLOCK = 256, DH_UNICODE_BLOCKS = 0x110000 / DH_UNICODE_BLOCK };

/* The composition pairs of NFC are kept in an open-addressing table; Unicode 15 has 941 of them. */
enum { DH_PAIR_SLOTS = 4096, DH_PAIRS_MAX = 3000, DH_SECONDS_MAX = 512 };

typedef struct dh_pair {
    uint32_t first, second, composite; /* composite 0: an empty slot */
} dh_pair;

typedef struct dh_unicode {
    dh_mapping mapping;
    dh_character *block[DH_UNICODE_BLOCKS];
    dh_pair pair[DH_PAIR_SLOTS];
    uint32_t second[DH_SECONDS_MAX]; /* every second of a pair, once */
    size_t pair_count, second_count;
} dh_unicode;

/* Errors: DH_NO_MEMORY, DH_INTERNAL (the tables above are too small for this utf8proc); both logged. */
dh_status dh_unicode_create(dh_mapping mapping, dh_unicode **out);
void dh_unicode_free(dh_unicode *unicode);

/* Fills the block of code_point. NULL: no memory (logged). For dh_unicode_character. */
const dh_character *dh_unicode_fill(dh_unicode *unicode, uint32_t code_point);

/* The entry of a scalar value, valid as long as unicode is. NULL: no memory (logged). */
static inline const dh_character *dh_unicode_character(dh_unicode *unicode, uint32_t code_point)
{
    const dh_character *block = unicode->block[code_point / DH_UNICODE_BLOCK];
    if (__builtin_expect(block == NULL, 0)) {
        return dh_unicode_fill(unicode, code_point);
    }
    return block + code_point % DH_UNICODE_BLOCK;
}

/* The code point that first and second compose to in NFC, Hangul included; 0: none. */
uint32_t dh_unicode_compose(const dh_unicode *unicode, uint32_t first, uint32_t second);

/* The compatibility decomposition of one code point (NFKD, marks not reordered across code points). The
 * longest has 18 code points. Returns how many were written. */
enum { DH_DECOMPOSITION_MAX = 32 };
size_t dh_unicode_decompose(uint32_t code_point, uint32_t out[DH_DECOMPOSITION_MAX]);

/* The full case folding (CaseFolding.txt, C and F) of one code point: 1 to 3 code points. */
enum { DH_FOLDING_MAX = 4 };
size_t dh_unicode_fold(uint32_t code_point, uint32_t out[DH_FOLDING_MAX]);

/* The lower case of the capital sigma at byte `at` of text (well-formed): U+03C2 where it ends a word,
 * U+03C3 elsewhere (Unicode 15, table 3-17, Final_Sigma). Walks over case-ignorable neighbours only, so
 * that all sigmas of a text together cost at most two walks over it. */
enum { DH_CAPITAL_SIGMA = 0x3A3 };
uint32_t dh_unicode_lower_sigma(const uint8_t *text, size_t size, size_t at);

#endif
