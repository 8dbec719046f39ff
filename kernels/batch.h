/* dhatu: a batch, the unit of work of a backend. Documents are packed in contiguous arrays with
 * offsets, so that a batch can be copied to a device or sent to another rank as it is.
 *
 * A view: the arrays belong to whoever made the batch and live at least as long as the call. */
#ifndef DH_KERNELS_BATCH_H
#define DH_KERNELS_BATCH_H

#include <stdint.h>

/* A token begins with a prefix term ("happi*") of a lexicon. Kernels see hashes, not letters, so the
 * tokeniser finds the prefixes. A token has at most one hit a lexicon a length; the hits of a document
 * are ordered by (token, lexicon, longest prefix first). */
typedef struct dh_prefix_hit {
    uint32_t token;   /* index of the token in its document */
    uint32_t lexicon; /* index of the lexicon */
    uint64_t hash;    /* XXH3-64, seed 0, of the prefix and an asterisk: no token has one */
} dh_prefix_hit;

enum { DH_NO_LEXICON = 0xFFFF };

typedef struct dh_batch {
    uint32_t document_count;
    const uint8_t *text;          /* valid UTF-8, documents back to back */
    const uint64_t *text_offset;  /* document_count + 1 byte offsets in text */
    const uint64_t *token;        /* XXH3-64, seed 0, of each normalised token's UTF-8 */
    const uint64_t *token_offset; /* document_count + 1 */
    const dh_prefix_hit *prefix_hit;
    const uint64_t *prefix_hit_offset; /* document_count + 1 */
    const uint16_t *lexicon;           /* index of the document's lexicon, or DH_NO_LEXICON */

    /* How the tokens are spelled, where a job wants it (dh_job.uses_spelling); else all three are NULL. Each
     * token's normalised UTF-8, followed by one space, document after document; tokens i to j of a document
     * joined by spaces are so the bytes from the begin of i to the end of j. */
    const uint8_t *spelling;
    const uint64_t *spelling_offset; /* document_count + 1 */
    const uint32_t *token_end; /* as token: where it ends (its space stands there), from the begin of the
                                * document's spelling. A token begins one behind the end of the one before */
} dh_batch;

#endif
