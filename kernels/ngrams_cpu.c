/* N-gram hashes on CPUs. How many whole words (4 bytes) a token has is a branch that is guessed wrong at
 * every other token: so the first two words behind each token are always taken, and their effect is masked
 * away where they are none (measured: 6 ns a token instead of 9; three words are worse). The tail is loaded
 * as a whole word in the same way: nearly always there is more spelling behind. */
#include "kernels/ngrams_cpu.h"

#include "kernels/backend.h"
#include "kernels/ngrams_core.h"

#include <string.h>

enum { WORD = 4, MASKED_WORDS = 2 };

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
static inline void hash_token(const dh_document_spelling *spelling, uint64_t token, uint32_t least,
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

/* done: of how many tokens the n-grams are hashed already. */
static void hash_document(const dh_document_spelling *spelling, uint64_t done, dh_ngram_range range,
                          uint32_t *hash)
{
    const uint32_t lengths = dh_ngram_lengths(range);
    const uint32_t most = range.most;
    uint64_t whole = spelling->tokens >= most ? spelling->tokens - most + 1 : 0;
    while (whole > done && spelling->token_end[whole + most - 2] + (uint64_t)WORD > spelling->readable) {
        whole--;
    }
    uint64_t t = done;
    for (; t < whole; t++) {
        hash_token(spelling, t, range.least, most, hash + t * lengths);
    }
    for (; t < spelling->tokens; t++) {
        dh_ngrams_token(spelling->bytes, spelling->token_end, spelling->tokens, t, range.least, most,
                        hash + t * lengths);
    }
}

void dh_ngrams_batch(uint32_t features, const dh_batch *batch, dh_ngram_range range, uint32_t *hash)
{
    const uint64_t end = batch->spelling_offset[batch->document_count];
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const dh_document_spelling spelling = {.bytes = batch->spelling + batch->spelling_offset[d],
                                               .readable = end - batch->spelling_offset[d],
                                               .token_end = batch->token_end + batch->token_offset[d],
                                               .tokens = batch->token_offset[d + 1] - batch->token_offset[d]};
        uint64_t done = 0;
#if DH_NGRAMS_X86
        if ((features & DH_CPU_AVX512) != 0) {
            done = dh_ngrams_document_avx512(&spelling, range, hash);
        }
#else
        (void)features;
#endif
        hash_document(&spelling, done, range, hash);
        hash += spelling.tokens * dh_ngram_lengths(range);
    }
}
