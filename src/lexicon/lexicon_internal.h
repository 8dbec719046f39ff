/* dhatu: what the parsers of the lexicon formats and the table builder share. */
#ifndef DH_LEXICON_INTERNAL_H
#define DH_LEXICON_INTERNAL_H

#include "lexicon/lexicon.h"

#include "base/buffer.h"

#include <stdbool.h>

enum {
    DH_WEIGHT_SCALE = 10000,   /* weights have at most four decimals */
    DH_CATEGORY_NAME_MAX = 63, /* bytes */
    DH_UNITS_MAX = 255         /* of a match: 2^24 tokens of them still fit a 32-bit count */
};

/* A term as its line says it, before the common denominator is known. */
typedef struct dh_term {
    uint32_t weight; /* in 1/DH_WEIGHT_SCALE */
    bool negative;
    bool fixed; /* set by dh_lexicon_add_term: has a negator among its tokens */
    uint8_t category_count;
    uint8_t category[DH_CATEGORIES_MAX];
} dh_term;

/* Where a parser stands, for messages. */
typedef struct dh_lexicon_line {
    const char *path;
    uint64_t number;
} dh_lexicon_line;

/* Begins a lexicon; category names are compared with those of earlier ones. */
dh_status dh_lexicon_begin(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *name,
                           uint16_t language, const char *const *category, uint32_t category_count);

/* Adds a term to the last lexicon. text is as written, `*` at its end included. *tokens is 0 when it has
 * no token at all (nothing is added): the format decides whether that is an error. */
dh_status dh_lexicon_add_term(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text, size_t size,
                              const dh_term *term, uint32_t *tokens);
dh_status dh_lexicon_add_negator(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text,
                                 size_t size);
dh_status dh_lexicon_add_function_word(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text,
                                       size_t size);

/* Parsers. text is the whole file, NUL-terminated (it may be changed). */
dh_status dh_lexicon_parse_tsv(dh_lexicons *lexicons, const char *path, char *text);
dh_status dh_lexicon_parse_dic(dh_lexicons *lexicons, const char *path, char *text);

/* Takes the next line off *rest: NULL at the end. White space at its end is cut off. */
char *dh_lexicon_next_line(char **rest);

#endif
