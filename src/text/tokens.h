/* dhatu: text to token hashes.
 *
 * The definition (docs/jobs.md, "Text to tokens"): NFKC, then full case folding of each code point;
 * a token is a maximal run of letters, marks and numbers (general categories L*, M*, N*); in scripts
 * written without spaces (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) each letter, mark or number is
 * a token of its own; a mathematical symbol (Sm) is a token of one code point; all else separates.
 *
 * ASCII runs and stable characters take a fast path that gives the same tokens; tests prove it.
 * More than 65,536 combining marks in a row are normalised in pieces of 65,536, so that memory is bounded.
 * One tokeniser serves one thread. */
#ifndef DH_TEXT_TOKENS_H
#define DH_TEXT_TOKENS_H

#include "base/status.h"
#include "kernels/batch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dh_token_mode {
    DH_TOKENS_UNICODE, /* the definition above */
    DH_TOKENS_SKLEARN  /* lower-case (str.lower of Python), tokens are \b\w\w+\b with Unicode \w, as
                          scikit-learn */
} dh_token_mode;

/* The prefixes that the tokeniser looks for. Made by the lexicon loader, read here. */
typedef struct dh_prefix_set dh_prefix_set;

/* Creates an empty set. Owner frees with dh_prefix_set_free. */
dh_status dh_prefix_set_create(dh_prefix_set **out);
void dh_prefix_set_free(dh_prefix_set *set);

/* Adds the normalised prefix (UTF-8, at least 1 byte, at most 255) of a lexicon. Adding twice is one.
 * Prefixes end at code point boundaries. A token equal to the prefix is a hit, too.
 * *hash is its symbol, XXH3-64 of the prefix and an asterisk.
 * Errors: DH_USAGE (the size; logged), DH_NO_MEMORY (logged). */
dh_status dh_prefix_set_add(dh_prefix_set *set, uint32_t lexicon, const uint8_t *prefix, size_t size,
                            uint64_t *hash);

/* Where the tokens of documents go. The arrays grow as needed up to token_limit tokens a document. The owner
 * is whoever made the sink; dh_token_sink_free frees the arrays. A zeroed sink with a limit is ready.
 * Arrays may also be lent to it (lent is set): when it outgrows one, it takes memory of its own instead,
 * with what was in it, and clears the mark. */
typedef struct dh_token_sink {
    uint64_t *token; /* hashes; token_count of them */
    size_t token_count, token_capacity;
    dh_prefix_hit *prefix_hit; /* .token counts from the document's first token */
    size_t prefix_hit_count, prefix_hit_capacity;
    bool token_lent, prefix_hit_lent;
    /* With keeps_spelling: each token's normalised UTF-8 and one space behind it; and for each token where it
     * ends (its space stands there), from the begin of its document's spelling. token_end has token_capacity
     * places and is lent where token is. */
    bool keeps_spelling, spelling_lent;
    uint8_t *spelling;
    size_t spelling_size, spelling_capacity;
    uint32_t *token_end;
    uint64_t token_limit; /* of one document; more is DH_BAD_DATA (not logged). At most 2^32 - 1 are taken,
                           * and as many bytes of spelling */
} dh_token_sink;

void dh_token_sink_free(dh_token_sink *sink); /* lent arrays stay */

/* Make the arrays larger. Errors: DH_NO_MEMORY (logged). */
dh_status dh_token_sink_grow_tokens(dh_token_sink *sink, size_t capacity);
dh_status dh_token_sink_grow_hits(dh_token_sink *sink, size_t capacity);
dh_status dh_token_sink_grow_spelling(dh_token_sink *sink, size_t capacity);

typedef struct dh_tokenizer dh_tokenizer;

/* prefixes may be NULL; it is only read and must outlive the tokeniser. Errors: DH_NO_MEMORY. */
dh_status dh_tokenizer_create(dh_token_mode mode, const dh_prefix_set *prefixes, dh_tokenizer **out);
/* From the next document on, other prefixes are looked for; NULL: none. A set that was searched once may
 * neither change nor go before the tokeniser does: what it found is remembered. */
void dh_tokenizer_set_prefixes(dh_tokenizer *tokenizer, const dh_prefix_set *prefixes);

/* Does without these features of the processor (DH_CPU_* of kernels/backend.h) from now on: for tests and
 * benchmarks. The tokens are the same. */
void dh_tokenizer_without(dh_tokenizer *tokenizer, uint32_t features);

void dh_tokenizer_free(dh_tokenizer *tokenizer);

/* Appends the tokens of one document (well-formed UTF-8, of any size; working memory does not grow with
 * it) to the sink. After an error the sink has the tokens, hits and spelling that it had before the call.
 * Errors: DH_NO_MEMORY (logged), DH_BAD_DATA (more tokens or bytes of spelling than the limit). */
dh_status dh_tokenize(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, dh_token_sink *sink);

/* The same, every character through the full path (decomposed, ordered, composed, folded), for tests. */
dh_status dh_tokenize_full(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, dh_token_sink *sink);

/* Calls visit for each token of text with its normalised UTF-8 (valid during the call). A status other
 * than DH_OK from visit ends it and is returned. Memory grows with the longest token. For lexicon loaders,
 * explain and tests. visit must not use this tokeniser. */
typedef dh_status dh_token_visitor(void *context, const uint8_t *token, size_t size);
dh_status dh_tokenize_visit(dh_tokenizer *tokenizer, const uint8_t *text, size_t size,
                            dh_token_visitor *visit, void *context);

#endif
