/* N-gram hashes on CPUs. How many whole words (4 bytes) a token has is a branch that is guessed wrong at
 * every other token: so the first two words behind each token are always taken, and their effect is masked
 * away where they are none (measured: 6 ns a token instead of 9; three words are worse). The tail is loaded
 * as a whole word in the same way: nearly always there is more spelling behind. */
#include "kernels/ngrams_cpu.h"

#include "kernels/ngrams_core.h"

#include <string.h>

enum { WORD = 4, MASKED_WORDS = 2 };

/* The spelling of a document, and how many bytes of the batch's spelling may be read from its begin on. */
typedef struct document_spelling {
    const uint8_t *bytes;
    uint64_t readable;
    const uint32_t *token_end;
    uint64_t tokens;
} document_spelling;

static inline uint32_t load_word(const uint8_t *bytes)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
#else
    return dh_murmur_word(bytes, WORD);
#endif
}

/* The n-grams that begin with a token: all lengths exist, and behind the longest a word may be read. */
static inline void hash_token(const document_spelling *spelling, uint64_t token, uint32_t least,
                              uint32_t most, uint32_t *hash)
{
    const uint32_t begin = token == 0 ? 0 : spelling->token_end[token - 1] + 1U;
    uint32_t state = 0;
    uint32_t at = begin;
    for (uint32_t n = 1; n <= most; n++) {
        const uint32_t end = spelling->token_end[token + n - 1];
        DH_UNROLL
        for (int i = 0; i < MASKED_WORDS; i++) {
            const uint32_t after = dh_murmur_add(state, load_word(spelling->bytes + at));
            const uint32_t is_whole = 0U - (uint32_t)(end - at >= WORD);
            state ^= (state ^ after) & is_whole;
            at += WORD & is_whole;
        }
        for (; end - at >= WORD; at += WORD) {
            state = dh_murmur_add(state, load_word(spelling->bytes + at));
        }
        if (n >= least) {
            const uint32_t mask = (1U << (8U * (end - at))) - 1U;
            hash[n - least] = dh_murmur_end(state, load_word(spelling->bytes + at) & mask, end - begin);
        }
    }
}

static void hash_document(const document_spelling *spelling, uint32_t least, uint32_t most, uint32_t *hash)
{
    const uint32_t lengths = most - least + 1;
    uint64_t whole = spelling->tokens >= most ? spelling->tokens - most + 1 : 0;
    while (whole > 0 && spelling->token_end[whole + most - 2] + (uint64_t)WORD > spelling->readable) {
        whole--;
    }
    for (uint64_t t = 0; t < whole; t++) {
        hash_token(spelling, t, least, most, hash + t * lengths);
    }
    for (uint64_t t = whole; t < spelling->tokens; t++) {
        dh_ngrams_token(spelling->bytes, spelling->token_end, spelling->tokens, t, least, most,
                        hash + t * lengths);
    }
}

void dh_ngrams_batch(const dh_batch *batch, dh_ngram_range range, uint32_t *hash)
{
    const uint64_t end = batch->spelling_offset[batch->document_count];
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const document_spelling spelling = {.bytes = batch->spelling + batch->spelling_offset[d],
                                            .readable = end - batch->spelling_offset[d],
                                            .token_end = batch->token_end + batch->token_offset[d],
                                            .tokens = batch->token_offset[d + 1] - batch->token_offset[d]};
        hash_document(&spelling, range.least, range.most, hash);
        hash += spelling.tokens * dh_ngram_lengths(range);
    }
}
