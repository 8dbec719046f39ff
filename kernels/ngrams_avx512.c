/* N-gram hashes with AVX-512: 16 tokens side by side. Tokens that lie close together, as nearly all do, are
 * read from registers: one window of 128 bytes for the first eight tokens, one for the others, and a
 * permutation of bytes gives each token its next word. Tokens that are far apart are gathered from memory. */
#include "kernels/ngrams_cpu.h"

#if DH_NGRAMS_X86

#include "kernels/core.h"

#include <immintrin.h>
#include <stdbool.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

enum { LANES = 16, HALF = 8, WORD = 4, VECTOR = 64, WINDOW = 128, BYTE_BITS = 8 };

/* 16 tokens, or fewer at the end, from token `first` on. Places count from the begin of the first. */
typedef struct token_block {
    const uint8_t *bytes;
    const uint32_t *token_end;
    uint64_t tokens; /* of the document, from the first on */
    __mmask16 lanes; /* which there are */
    uint32_t origin; /* of places, from the begin of the document */
    __m512i begin;
    __m512i base;      /* where the window of a token begins */
    __m512i window[4]; /* two registers for each half */
} token_block;

AVX512_INLINE __m512i scramble(__m512i word)
{
    word = _mm512_rol_epi32(_mm512_mullo_epi32(word, _mm512_set1_epi32((int)0xCC9E2D51U)), 15);
    return _mm512_mullo_epi32(word, _mm512_set1_epi32(0x1B873593));
}

/* dh_murmur_add */
AVX512_INLINE __m512i add_word(__m512i state, __m512i word)
{
    state = _mm512_rol_epi32(_mm512_xor_si512(state, scramble(word)), 13);
    return _mm512_add_epi32(_mm512_add_epi32(state, _mm512_slli_epi32(state, 2)),
                            _mm512_set1_epi32((int)0xE6546B64U));
}

/* dh_murmur_end */
AVX512_INLINE __m512i finish(__m512i state, __m512i tail, __m512i size)
{
    __m512i hash = _mm512_xor_si512(_mm512_xor_si512(state, scramble(tail)), size);
    hash = _mm512_mullo_epi32(_mm512_xor_si512(hash, _mm512_srli_epi32(hash, 16)),
                              _mm512_set1_epi32((int)0x85EBCA6BU));
    hash = _mm512_mullo_epi32(_mm512_xor_si512(hash, _mm512_srli_epi32(hash, 13)),
                              _mm512_set1_epi32((int)0xC2B2AE35U));
    return _mm512_xor_si512(hash, _mm512_srli_epi32(hash, 16));
}

/* The words at these places. */
AVX512_INLINE __m512i load_words(const token_block *block, __m512i at, __mmask16 lanes, bool windowed)
{
    if (!windowed) {
        return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), lanes, at, block->bytes, 1);
    }
    const __m512i spread = _mm512_set4_epi32(0x0C0C0C0C, 0x08080808, 0x04040404, 0);
    const __m512i four = _mm512_set1_epi32(0x03020100);
    const __m512i index =
        _mm512_add_epi8(_mm512_shuffle_epi8(_mm512_sub_epi32(at, block->base), spread), four);
    const __m512i low = _mm512_permutex2var_epi8(block->window[0], index, block->window[1]);
    const __m512i high = _mm512_permutex2var_epi8(block->window[2], index, block->window[3]);
    return _mm512_mask_blend_epi32((__mmask16)0xFF00, low, high);
}

AVX512_INLINE __mmask16 first_lanes(uint64_t count)
{
    return (__mmask16)(count < LANES ? (1U << count) - 1U : 0xFFFFU);
}

AVX512_INLINE void hash_block(const token_block *block, dh_ngram_range range, bool windowed, uint32_t *hash)
{
    const uint32_t lengths = dh_ngram_lengths(range);
    const __m512i whole_word = _mm512_set1_epi32(WORD);
    const __m512i one = _mm512_set1_epi32(1);
    const __m512i place =
        _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                           _mm512_set1_epi32((int)lengths));
    __m512i state = _mm512_setzero_si512();
    __m512i at = block->begin;
    for (uint32_t n = 1; n <= range.most; n++) {
        const uint64_t exist = block->tokens >= n ? block->tokens - n + 1 : 0;
        const __mmask16 lanes = (__mmask16)(block->lanes & first_lanes(exist));
        const __m512i end = _mm512_sub_epi32(_mm512_maskz_loadu_epi32(lanes, block->token_end + n - 1),
                                             _mm512_set1_epi32((int)block->origin));
        __mmask16 more = _mm512_mask_cmpge_epu32_mask(lanes, _mm512_sub_epi32(end, at), whole_word);
        while (more != 0) {
            state =
                _mm512_mask_mov_epi32(state, more, add_word(state, load_words(block, at, more, windowed)));
            at = _mm512_mask_add_epi32(at, more, at, whole_word);
            more = _mm512_mask_cmpge_epu32_mask(lanes, _mm512_sub_epi32(end, at), whole_word);
        }
        if (n < range.least) {
            continue;
        }
        const __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(end, at), 3);
        const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, bits), one);
        const __m512i tail = _mm512_and_si512(load_words(block, at, lanes, windowed), mask);
        const __m512i value =
            _mm512_maskz_mov_epi32(lanes, finish(state, tail, _mm512_sub_epi32(end, block->begin)));
        if (lengths == 1) {
            _mm512_mask_storeu_epi32(hash, block->lanes, value);
        } else {
            _mm512_mask_i32scatter_epi32(hash + (n - range.least), block->lanes, place, value, WORD);
        }
    }
}

/* Whether the block's n-grams lie in its windows; loads them then. `readable` bytes are there. */
AVX512_INLINE bool load_windows(token_block *block, uint32_t count, uint32_t most, uint64_t readable)
{
    const uint32_t half = count > HALF ? block->token_end[HALF - 1] + 1 - block->origin : 0;
    const uint64_t last_low = HALF - 1 + most < block->tokens ? HALF - 1 + most : block->tokens;
    const uint64_t last = count - 1 + most < block->tokens ? count - 1 + most : block->tokens;
    const uint32_t low_end = block->token_end[(last < last_low ? last : last_low) - 1] - block->origin;
    const uint32_t end = block->token_end[last - 1] - block->origin;
    if (low_end > WINDOW - WORD || end - half > WINDOW - WORD || (uint64_t)half + WINDOW > readable) {
        return false;
    }
    block->base = _mm512_maskz_set1_epi32((__mmask16)0xFF00, (int)half);
    block->window[0] = _mm512_loadu_si512(block->bytes);
    block->window[1] = _mm512_loadu_si512(block->bytes + VECTOR);
    block->window[2] = _mm512_loadu_si512(block->bytes + half);
    block->window[3] = _mm512_loadu_si512(block->bytes + half + VECTOR);
    return true;
}

/* Behind the longest n-gram of these tokens a word may be read. */
static uint64_t usable_tokens(const dh_document_spelling *spelling, uint32_t most)
{
    uint64_t usable = spelling->tokens;
    while (usable > 0 && spelling->token_end[usable - 1] + (uint64_t)WORD > spelling->readable) {
        usable--;
    }
    if (usable == spelling->tokens) {
        return usable;
    }
    return usable >= most ? usable - most + 1 : 0;
}

AVX512 uint64_t dh_ngrams_document_avx512(const dh_document_spelling *spelling, dh_ngram_range range,
                                          uint32_t *hash)
{
    const uint64_t usable = usable_tokens(spelling, range.most);
    const uint32_t lengths = dh_ngram_lengths(range);
    __m512i ends_before = _mm512_set1_epi32(-1); /* the first token begins at 0 */
    uint32_t origin = 0;
    for (uint64_t t = 0; t < usable; t += LANES) {
        const uint32_t count = usable - t < LANES ? (uint32_t)(usable - t) : LANES;
        token_block block = {.bytes = spelling->bytes + origin,
                             .token_end = spelling->token_end + t,
                             .tokens = spelling->tokens - t,
                             .lanes = first_lanes(count),
                             .origin = origin};
        const uint64_t last = count - 1 + range.most < block.tokens ? count - 1 + range.most : block.tokens;
        if (block.token_end[last - 1] - origin > INT32_MAX - WORD) {
            return t; /* gathering takes places of 31 bits */
        }
        const __m512i ends = _mm512_maskz_loadu_epi32(block.lanes, block.token_end);
        block.begin = _mm512_sub_epi32(_mm512_alignr_epi32(ends, ends_before, LANES - 1),
                                       _mm512_set1_epi32((int)(origin - 1)));
        ends_before = ends;
        if (load_windows(&block, count, range.most, spelling->readable - origin)) {
            hash_block(&block, range, true, hash + t * lengths);
        } else {
            hash_block(&block, range, false, hash + t * lengths);
        }
        origin = block.token_end[count - 1] + 1;
    }
    return usable;
}

#endif
