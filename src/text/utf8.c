#include "text/utf8.h"

#include "kernels/backend.h"
#include "kernels/cpu.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define DH_UTF8_AVX2 1
#include <immintrin.h>
#else
#define DH_UTF8_AVX2 0
#endif

/* What a lead byte asks for: the length of its sequence (0: no lead byte) and the range of the second
 * byte, which is where overlong forms, surrogates and values above U+10FFFF are refused. */
typedef struct lead_rule {
    uint8_t length, second_low, second_high;
} lead_rule;

static lead_rule rule_of(uint8_t lead)
{
    if (lead < 0x80) {
        return (lead_rule){1, 0, 0};
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return (lead_rule){0, 0, 0};
    }
    if (lead < 0xE0) {
        return (lead_rule){2, 0x80, 0xBF};
    }
    if (lead < 0xF0) {
        return (lead_rule){3, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF};
    }
    return (lead_rule){4, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF};
}

/* Length of the sequence at text (size > 0). *whole tells a well-formed sequence from the maximal
 * subpart of an ill-formed one. */
static size_t sequence_length(const uint8_t *text, size_t size, bool *whole)
{
    const lead_rule rule = rule_of(text[0]);
    *whole = rule.length == 1;
    if (rule.length < 2 || size < 2 || text[1] < rule.second_low || text[1] > rule.second_high) {
        return 1;
    }
    size_t length = 2;
    while (length < rule.length && length < size && (text[length] & 0xC0) == 0x80) {
        length++;
    }
    *whole = length == rule.length;
    return length;
}

/* Length of the ASCII bytes at the front of text, 16 at a time, then one by one. */
static size_t ascii_prefix(const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (size - at >= 16) {
        uint64_t half[2];
        memcpy(half, text + at, sizeof half);
        if (((half[0] | half[1]) & 0x8080808080808080u) != 0) {
            break;
        }
        at += 16;
    }
    while (at < size && text[at] < 0x80) {
        at++;
    }
    return at;
}

static size_t valid_prefix_portable(const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        if (text[at] < 0x80) {
            at += ascii_prefix(text + at, size - at);
            continue;
        }
        bool whole = false;
        const size_t length = sequence_length(text + at, size - at, &whole);
        if (!whole) {
            break;
        }
        at += length;
    }
    return at;
}

#if DH_UTF8_AVX2

/* ---- 32 bytes at a time --------------------------------------------------------------------------
 *
 * Every pair of bytes that stand next to each other is judged by three looks into tables of 16: by the upper
 * and the lower half of the first byte and by the upper half of the second. Each gives the set of errors that
 * it does not rule out; what all three leave is an error. One thing takes more than two bytes: a byte that
 * stands two behind the first of three or three behind the first of four must be a continuation, all other
 * pairs of continuations are wrong. */

#define AVX2 __attribute__((target("avx2")))

enum {
    VECTOR = 32,
    REACH = 3, /* bytes before that a byte is judged by */

    /* errors of a pair */
    TOO_SHORT = 1 << 0,      /* a first byte without its continuation */
    TOO_LONG = 1 << 1,       /* a continuation behind ASCII */
    OVERLONG_TWO = 1 << 2,   /* C0 and C1 */
    OVERLONG_THREE = 1 << 3, /* E0 80 to E0 9F */
    OVERLONG_FOUR = 1 << 4,  /* F0 80 to F0 8F; and F5 to FF before 80 to 8F */
    SURROGATE = 1 << 5,      /* ED A0 to ED BF */
    TOO_LARGE = 1 << 6,      /* F4 90 to F4 BF, F5 to FF before 90 to BF */
    TWO_MORE = 1 << 7        /* a continuation behind another: not by itself an error */
};

AVX2 static inline __m256i load(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

/* The entry of each byte's lower half in a table of 16. */
AVX2 static inline __m256i look_up(const uint8_t table[16], __m256i halves)
{
    const __m128i row = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(row), halves);
}

AVX2 static inline __m256i upper_halves(__m256i bytes)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
}

/* Are the bytes from `at` on, judged with the REACH bytes before them, free of errors? */
AVX2 static inline bool vector_is_valid(const uint8_t *at)
{
    enum { LARGE_OR_LONG = OVERLONG_FOUR | TOO_LARGE, ANY = TOO_SHORT | TOO_LONG | TWO_MORE };
    static const uint8_t by_first_upper[16] = {
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        TWO_MORE,
        TWO_MORE,
        TWO_MORE,
        TWO_MORE,
        TOO_SHORT | OVERLONG_TWO,
        TOO_SHORT,
        TOO_SHORT | OVERLONG_THREE | SURROGATE,
        TOO_SHORT | LARGE_OR_LONG,
    };
    static const uint8_t by_first_lower[16] = {
        ANY | OVERLONG_TWO | OVERLONG_THREE | OVERLONG_FOUR,
        ANY | OVERLONG_TWO,
        ANY,
        ANY,
        ANY | TOO_LARGE,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG | SURROGATE,
        ANY | LARGE_OR_LONG,
        ANY | LARGE_OR_LONG,
    };
    enum { CONTINUES = TOO_LONG | OVERLONG_TWO | TWO_MORE };
    static const uint8_t by_second_upper[16] = {
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        CONTINUES | OVERLONG_THREE | OVERLONG_FOUR,
        CONTINUES | OVERLONG_THREE | TOO_LARGE,
        CONTINUES | SURROGATE | TOO_LARGE,
        CONTINUES | SURROGATE | TOO_LARGE,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
        TOO_SHORT,
    };
    const __m256i byte = load(at);
    const __m256i before = load(at - 1);
    const __m256i pair = _mm256_and_si256(
        _mm256_and_si256(look_up(by_first_upper, upper_halves(before)),
                         look_up(by_first_lower, _mm256_and_si256(before, _mm256_set1_epi8(0x0F)))),
        look_up(by_second_upper, upper_halves(byte)));
    /* Bit 7 where a sequence of three or four began two or three bytes before: as TWO_MORE. */
    const __m256i third = _mm256_subs_epu8(load(at - 2), _mm256_set1_epi8((char)(0xE0 - 0x80)));
    const __m256i fourth = _mm256_subs_epu8(load(at - 3), _mm256_set1_epi8((char)(0xF0 - 0x80)));
    const __m256i wanted = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)TWO_MORE));
    const __m256i wrong = _mm256_xor_si256(pair, wanted);
    return _mm256_testz_si256(wrong, wrong) != 0;
}

/* What is left at the end, fewer than VECTOR bytes, with zeros behind: they cut a last sequence short. */
AVX2 static bool end_is_valid(const uint8_t *text, size_t at, size_t size)
{
    uint8_t padded[REACH + VECTOR + REACH] = {0};
    const size_t before = at < REACH ? at : REACH;
    memcpy(padded + REACH - before, text + at - before, before + size - at);
    /* Up to REACH zeros are judged, too, even if VECTOR - 1 bytes are left. */
    return vector_is_valid(padded + REACH) && vector_is_valid(padded + 2 * (size_t)REACH);
}

/* Is all of it well-formed? If not, *at is a place before which all is, but for the last character there,
 * which may be cut short. */
AVX2 static bool vectors_are_valid(const uint8_t *text, size_t size, size_t *at)
{
    *at = 0;
    if (size >= VECTOR) {
        uint8_t first[REACH + VECTOR] = {0};
        memcpy(first + REACH, text, VECTOR);
        if (!vector_is_valid(first + REACH)) {
            return false;
        }
        for (*at = VECTOR; size - *at >= VECTOR; *at += VECTOR) {
            const uint8_t *here = text + *at;
            const int high = _mm256_movemask_epi8(_mm256_or_si256(load(here), load(here - REACH)));
            if (high != 0 && !vector_is_valid(here)) {
                return false;
            }
        }
    }
    return end_is_valid(text, *at, size);
}

static size_t valid_prefix_avx2(const uint8_t *text, size_t size)
{
    size_t at = 0;
    if (size == 0 || vectors_are_valid(text, size, &at)) { /* no text may have no memory either */
        return size;
    }
    /* Goes on at the beginning of the character before. */
    while (at > 0 && (text[at - 1] & 0xC0) == 0x80) {
        at--;
    }
    at -= at > 0 ? 1 : 0;
    return at + valid_prefix_portable(text + at, size - at);
}

#endif

size_t dh_utf8_valid_prefix_without(uint32_t features, const uint8_t *text, size_t size)
{
#if DH_UTF8_AVX2
    if ((dh_cpu_features() & ~features & DH_CPU_AVX2) != 0) {
        return valid_prefix_avx2(text, size);
    }
#else
    (void)features;
#endif
    return valid_prefix_portable(text, size);
}

size_t dh_utf8_valid_prefix(const uint8_t *text, size_t size)
{
    return dh_utf8_valid_prefix_without(0, text, size);
}

dh_status dh_utf8_repair(const uint8_t *text, size_t size, dh_buffer *out, uint64_t *replaced)
{
    static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD};
    uint64_t count = 0;
    size_t at = 0;
    while (at < size) {
        const size_t good = dh_utf8_valid_prefix(text + at, size - at);
        DH_TRY(dh_buffer_append(out, text + at, good));
        at += good;
        if (at < size) {
            bool whole = false;
            at += sequence_length(text + at, size - at, &whole);
            DH_TRY(dh_buffer_append(out, replacement, sizeof replacement));
            count++;
        }
    }
    *replaced += count;
    return DH_OK;
}
