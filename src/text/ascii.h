/* dhatu: 64 ASCII bytes at a time. */
#ifndef DH_TEXT_ASCII_H
#define DH_TEXT_ASCII_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { DH_ASCII_BLOCK = 64 };

/* Bit i speaks of byte i. */
typedef struct dh_ascii_masks {
    uint64_t word;   /* letters and digits, and the byte `extra` */
    uint64_t symbol; /* + < = > | ~ */
    uint64_t high;   /* not ASCII; the other masks say nothing of these bytes */
} dh_ascii_masks;

/* Bit 7 of each byte that is at least `low`; bytes and low are below 0x80. */
static inline uint64_t dh_ascii_at_least(uint64_t bytes, uint8_t low)
{
    return bytes + (uint64_t)(0x80 - low) * 0x0101010101010101u;
}

/* Bit 7 of each byte from low to high. */
static inline uint64_t dh_ascii_in_range(uint64_t bytes, uint8_t low, uint8_t high)
{
    return dh_ascii_at_least(bytes, low) & ~dh_ascii_at_least(bytes, (uint8_t)(high + 1));
}

/* Gathers bit 7 of eight bytes in the low byte, the lowest byte first. */
static inline uint64_t dh_ascii_gather(uint64_t bits)
{
    return ((bits & 0x8080808080808080u) >> 7) * 0x0102040810204080u >> 56;
}

/* Eight bytes in a register: for machines without SSE2, of either byte order. */
static inline dh_ascii_masks dh_ascii_classify_portable(const uint8_t *text, uint8_t extra, uint8_t *lowered)
{
    dh_ascii_masks masks = {0, 0, 0};
    for (int i = 0; i < 8; i++) {
        uint64_t bytes;
        memcpy(&bytes, text + 8 * i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        bytes = __builtin_bswap64(bytes);
#endif
        const uint64_t high = bytes & 0x8080808080808080u;
        bytes &= 0x7F7F7F7F7F7F7F7Fu;
        const uint64_t upper = dh_ascii_in_range(bytes, 'A', 'Z') & 0x8080808080808080u;
        uint64_t lower = bytes | upper >> 2;
        const uint64_t word = dh_ascii_in_range(lower, 'a', 'z') | dh_ascii_in_range(bytes, '0', '9') |
                              dh_ascii_in_range(bytes, extra, extra);
        const uint64_t symbol = dh_ascii_in_range(bytes, '<', '>') | dh_ascii_in_range(bytes, '+', '+') |
                                dh_ascii_in_range(bytes, '|', '|') | dh_ascii_in_range(bytes, '~', '~');
        masks.word |= dh_ascii_gather(word & ~high) << (8 * i);
        masks.symbol |= dh_ascii_gather(symbol & ~high) << (8 * i);
        masks.high |= dh_ascii_gather(high) << (8 * i);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        lower = __builtin_bswap64(lower);
#endif
        memcpy(lowered + 8 * i, &lower, 8);
    }
    return masks;
}

#if defined(__SSE2__)

/* Bytes from `low` to `low` + `span`, as 0xFF. The comparison is signed, so the range is moved to begin at
 * the smallest signed byte. */
static inline __m128i dh_sse2_in_range(__m128i bytes, uint8_t low, uint8_t span)
{
    const __m128i moved = _mm_sub_epi8(bytes, _mm_set1_epi8((char)(low + 0x80)));
    return _mm_cmplt_epi8(moved, _mm_set1_epi8((char)(span + 1 - 0x80)));
}

static inline dh_ascii_masks dh_ascii_classify_sse2(const uint8_t *text, uint8_t extra, uint8_t *lowered)
{
    dh_ascii_masks masks = {0, 0, 0};
    for (int i = 0; i < 4; i++) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + 16 * i));
        const __m128i upper = dh_sse2_in_range(bytes, 'A', 25);
        const __m128i lower = _mm_or_si128(bytes, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
        const __m128i letter = dh_sse2_in_range(lower, 'a', 25);
        const __m128i digit = dh_sse2_in_range(bytes, '0', 9);
        const __m128i other = _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)extra));
        const __m128i word = _mm_or_si128(_mm_or_si128(letter, digit), other);
        const __m128i compare = dh_sse2_in_range(bytes, '<', 2);
        const __m128i plus = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('+'));
        /* '|' and '~' differ in bit 1 only. */
        const __m128i bar = _mm_cmpeq_epi8(_mm_or_si128(bytes, _mm_set1_epi8(2)), _mm_set1_epi8('~'));
        const __m128i symbol = _mm_or_si128(_mm_or_si128(compare, plus), bar);
        _mm_storeu_si128((__m128i *)(void *)(lowered + 16 * i), lower);
        masks.word |= (uint64_t)(uint32_t)_mm_movemask_epi8(word) << (16 * i);
        masks.symbol |= (uint64_t)(uint32_t)_mm_movemask_epi8(symbol) << (16 * i);
        masks.high |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes) << (16 * i);
    }
    return masks;
}

#endif

/* Classifies DH_ASCII_BLOCK bytes and writes them to lowered with ASCII letters in lower case. */
static inline dh_ascii_masks dh_ascii_classify(const uint8_t *text, uint8_t extra, uint8_t *lowered)
{
#if defined(__SSE2__)
    return dh_ascii_classify_sse2(text, extra, lowered);
#else
    return dh_ascii_classify_portable(text, extra, lowered);
#endif
}

#endif
