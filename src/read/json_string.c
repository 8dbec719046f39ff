#include "read/json_string.h"

#include "text/utf8.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#define DH_STRINGS_SSE2 1
#else
#define DH_STRINGS_SSE2 0
#endif

enum { BLOCK = 64 };

/* ---- escapes -------------------------------------------------------------------------------------- */

/* 1 for hexadecimal digits. */
static const uint8_t is_hex[256] = {
    ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
    ['8'] = 1, ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
    ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1,
};

/* What the letter behind a backslash stands for; 0 where it stands for no single byte. */
static const uint8_t escape_byte[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

/* The value of four hexadecimal digits. Bit 6 tells letters, whose low four bits count from 1, from digits.
 */
static uint32_t hex_quad(const uint8_t *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        value = value << 4 | ((at[i] & 0x0Fu) + 9u * (at[i] >> 6));
    }
    return value;
}

size_t dh_json_escape_size(const uint8_t *at, const uint8_t *limit)
{
    if (limit - at < 2) {
        return 0;
    }
    if (at[1] == 'u') {
        return limit - at >= 6 && (is_hex[at[2]] & is_hex[at[3]] & is_hex[at[4]] & is_hex[at[5]]) != 0 ? 6
                                                                                                       : 0;
    }
    return escape_byte[at[1]] != 0 ? 2 : 0;
}

/* A code point for two surrogates. *size is the length of their escapes. */
static uint32_t surrogate_join(uint32_t high, const uint8_t *at, const uint8_t *limit, size_t *size,
                               uint64_t *replaced)
{
    if (high <= 0xDBFF && limit - at >= 12 && at[6] == '\\' && at[7] == 'u') {
        const uint32_t low = hex_quad(at + 8);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            *size = 12;
            return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    (*replaced)++;
    return 0xFFFD;
}

size_t dh_json_escape_decode(const uint8_t *at, const uint8_t *limit, uint8_t *out, size_t *written,
                             uint64_t *replaced)
{
    if (at[1] != 'u') {
        out[0] = escape_byte[at[1]];
        *written = 1;
        return 2;
    }
    uint32_t code_point = hex_quad(at + 2);
    size_t size = 6;
    if (code_point >= 0xD800 && code_point <= 0xDFFF) {
        code_point = surrogate_join(code_point, at, limit, &size, replaced);
    }
    *written = dh_utf8_encode(code_point, out);
    return size;
}

/* ---- eight bytes in a register: any CPU ------------------------------------------------------------ */

#define REPEAT(byte) ((uint64_t)(byte)*0x0101010101010101u)

static inline uint64_t word_load(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Bit 7 of each byte that is zero, and no other bit. Adding 0x7F to seven bits carries into bit 7 unless
 * they are zero, and never into the next byte. */
static inline uint64_t word_zeros(uint64_t word)
{
    const uint64_t low = (word & REPEAT(0x7F)) + REPEAT(0x7F);
    return ~(low | word) & REPEAT(0x80);
}

/* Bit 7 of byte i moves to bit i: the product puts them side by side in the highest byte. */
static inline uint64_t word_gather(uint64_t bits)
{
    return (bits >> 7) * 0x0102040810204080u >> 56;
}

static inline uint64_t specials_word(const uint8_t *block)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < BLOCK; i += 8) {
        const uint64_t word = word_load(block + i);
        const uint64_t found = word_zeros(word ^ REPEAT('"')) | word_zeros(word ^ REPEAT('\\')) |
                               word_zeros(word & REPEAT(0xE0));
        mask |= word_gather(found) << i;
    }
    return mask;
}

static inline uint64_t backslashes_word(const uint8_t *block)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < BLOCK; i += 8) {
        mask |= word_gather(word_zeros(word_load(block + i) ^ REPEAT('\\'))) << i;
    }
    return mask;
}

static inline uint64_t copy_plain_word(const uint8_t *from, uint8_t *to)
{
    const uint64_t mask = backslashes_word(from);
    if (mask == 0) {
        memmove(to, from, BLOCK);
    }
    return mask;
}

#define DH_STRINGS(name) name##_word
#include "read/json_string_core.h"
#undef DH_STRINGS

static const dh_json_strings strings_word = {"word", find_end_word, unescape_word};

#if DH_STRINGS_SSE2

/* ---- sixteen bytes: every x86-64 --------------------------------------------------------------------------
 */

static inline __m128i load_sse2(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline uint64_t mask_sse2(__m128i found, unsigned shift)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(found) << shift;
}

static inline uint64_t specials_sse2(const uint8_t *block)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < BLOCK; i += 16) {
        const __m128i bytes = load_sse2(block + i);
        const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
        const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
        mask |= mask_sse2(_mm_or_si128(_mm_or_si128(quote, backslash), control), i);
    }
    return mask;
}

static inline uint64_t backslashes_sse2(const uint8_t *block)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < BLOCK; i += 16) {
        mask |= mask_sse2(_mm_cmpeq_epi8(load_sse2(block + i), _mm_set1_epi8('\\')), i);
    }
    return mask;
}

static inline uint64_t copy_plain_sse2(const uint8_t *from, uint8_t *to)
{
    __m128i bytes[4];
    uint64_t mask = 0;
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = load_sse2(from + 16 * i);
        mask |= mask_sse2(_mm_cmpeq_epi8(bytes[i], _mm_set1_epi8('\\')), (unsigned)(16 * i));
    }
    if (mask == 0) {
        for (size_t i = 0; i < 4; i++) {
            _mm_storeu_si128((__m128i *)(void *)(to + 16 * i), bytes[i]);
        }
    }
    return mask;
}

#define DH_STRINGS(name) name##_sse2
#include "read/json_string_core.h"
#undef DH_STRINGS

static const dh_json_strings strings_sse2 = {"sse2", find_end_sse2, unescape_sse2};

#endif

/* ---- what there is ---------------------------------------------------------------------------------- */

/* Wider vectors were tried: AVX2 and AVX-512 gain a third on strings of 100 kB without an escape, and nothing
 * on text as it is, where the time goes into what is between the long runs. */
const dh_json_strings *dh_json_strings_get(size_t index)
{
    static const dh_json_strings *const available[] = {
#if DH_STRINGS_SSE2
        &strings_sse2,
#endif
        &strings_word,
        NULL,
    };
    return available[index];
}
