#include "read/json_string.h"

#include "text/utf8.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define DH_STRINGS_X86 1
#else
#define DH_STRINGS_X86 0
#endif

enum { BLOCK = 64 };

/* ---- escapes -------------------------------------------------------------------------------------- */

/* The value of a hexadecimal digit, -1 for other bytes. */
static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    const uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The value of four hexadecimal digits; negative where one is none. */
static int32_t hex_quad(const uint8_t *at)
{
    const int a = hex_digit(at[0]), b = hex_digit(at[1]), c = hex_digit(at[2]), d = hex_digit(at[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

/* What the letter behind a backslash stands for; 0 where it stands for no single byte. */
static uint8_t escape_byte(uint8_t letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

size_t dh_json_escape_size(const uint8_t *at, const uint8_t *limit)
{
    if (limit - at < 2) {
        return 0;
    }
    if (at[1] == 'u') {
        return limit - at >= 6 && hex_quad(at + 2) >= 0 ? 6 : 0;
    }
    return escape_byte(at[1]) != 0 ? 2 : 0;
}

size_t dh_json_escape_decode(const uint8_t *at, const uint8_t *limit, uint8_t *out, size_t *written,
                             uint64_t *replaced)
{
    if (at[1] != 'u') {
        out[0] = escape_byte(at[1]);
        *written = 1;
        return 2;
    }
    uint32_t code_point = (uint32_t)hex_quad(at + 2);
    size_t size = 6;
    if (code_point >= 0xD800 && code_point <= 0xDFFF) {
        int32_t low = -1;
        if (code_point <= 0xDBFF && limit - at >= 12 && at[6] == '\\' && at[7] == 'u') {
            low = hex_quad(at + 8);
        }
        if (low >= 0xDC00 && low <= 0xDFFF) {
            code_point = 0x10000 + ((code_point - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
            size = 12;
        } else {
            code_point = 0xFFFD;
            (*replaced)++;
        }
    }
    *written = dh_utf8_encode(code_point, out);
    return size;
}

/* ---- eight bytes in a register: any CPU ------------------------------------------------------------ */

#define REPEAT(byte) ((uint64_t)(byte) * 0x0101010101010101u)

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
#define DH_STRINGS_TARGET
#include "read/json_string_core.h"
#undef DH_STRINGS
#undef DH_STRINGS_TARGET

static const dh_json_strings strings_word = {"word", find_end_word, unescape_word};

#if DH_STRINGS_X86

/* ---- SSE2: every x86-64 ----------------------------------------------------------------------------- */

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
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = load_sse2(from + 16 * i);
        mask |= mask_sse2(_mm_cmpeq_epi8(bytes[i], _mm_set1_epi8('\\')), 16 * i);
    }
    if (mask == 0) {
        for (unsigned i = 0; i < 4; i++) {
            _mm_storeu_si128((__m128i *)(void *)(to + 16 * i), bytes[i]);
        }
    }
    return mask;
}

#define DH_STRINGS(name) name##_sse2
#define DH_STRINGS_TARGET
#include "read/json_string_core.h"
#undef DH_STRINGS
#undef DH_STRINGS_TARGET

static const dh_json_strings strings_sse2 = {"sse2", find_end_sse2, unescape_sse2};

/* ---- AVX2 ------------------------------------------------------------------------------------------- */

#define DH_STRINGS_TARGET __attribute__((target("avx2,bmi,bmi2")))

DH_STRINGS_TARGET static inline __m256i load_avx2(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

DH_STRINGS_TARGET static inline uint64_t mask_avx2(__m256i low, __m256i high)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(low) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

DH_STRINGS_TARGET static inline __m256i special_avx2(__m256i bytes)
{
    const __m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
    const __m256i backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
    const __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes);
    return _mm256_or_si256(_mm256_or_si256(quote, backslash), control);
}

DH_STRINGS_TARGET static inline uint64_t specials_avx2(const uint8_t *block)
{
    return mask_avx2(special_avx2(load_avx2(block)), special_avx2(load_avx2(block + 32)));
}

DH_STRINGS_TARGET static inline uint64_t backslashes_avx2(const uint8_t *block)
{
    const __m256i wanted = _mm256_set1_epi8('\\');
    return mask_avx2(_mm256_cmpeq_epi8(load_avx2(block), wanted),
                     _mm256_cmpeq_epi8(load_avx2(block + 32), wanted));
}

DH_STRINGS_TARGET static inline uint64_t copy_plain_avx2(const uint8_t *from, uint8_t *to)
{
    const __m256i wanted = _mm256_set1_epi8('\\');
    const __m256i low = load_avx2(from), high = load_avx2(from + 32);
    const uint64_t mask = mask_avx2(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted));
    if (mask == 0) {
        _mm256_storeu_si256((__m256i *)(void *)to, low);
        _mm256_storeu_si256((__m256i *)(void *)(to + 32), high);
    }
    return mask;
}

#define DH_STRINGS(name) name##_avx2
#include "read/json_string_core.h"
#undef DH_STRINGS
#undef DH_STRINGS_TARGET

static const dh_json_strings strings_avx2 = {"avx2", find_end_avx2, unescape_avx2};

/* ---- AVX-512BW -------------------------------------------------------------------------------------- */

#define DH_STRINGS_TARGET __attribute__((target("avx512f,avx512bw,bmi,bmi2")))

DH_STRINGS_TARGET static inline uint64_t specials_avx512(const uint8_t *block)
{
    const __m512i bytes = _mm512_loadu_si512(block);
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('"')) |
           _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\')) |
           _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20));
}

DH_STRINGS_TARGET static inline uint64_t backslashes_avx512(const uint8_t *block)
{
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(block), _mm512_set1_epi8('\\'));
}

/* Here the bytes before the first backslash could be stored by a mask, but a masked store costs more than
 * the few bytes that memmove moves. */
DH_STRINGS_TARGET static inline uint64_t copy_plain_avx512(const uint8_t *from, uint8_t *to)
{
    const __m512i bytes = _mm512_loadu_si512(from);
    const uint64_t mask = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\\'));
    if (mask == 0) {
        _mm512_storeu_si512(to, bytes);
    }
    return mask;
}

#define DH_STRINGS(name) name##_avx512
#include "read/json_string_core.h"
#undef DH_STRINGS
#undef DH_STRINGS_TARGET

static const dh_json_strings strings_avx512 = {"avx512", find_end_avx512, unescape_avx512};

#endif

/* ---- what this CPU has ------------------------------------------------------------------------------ */

const dh_json_strings *dh_json_strings_get(size_t index)
{
    const dh_json_strings *available[4];
    size_t count = 0;
#if DH_STRINGS_X86
    const bool bits = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (bits && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
        available[count++] = &strings_avx512;
    }
    if (bits && __builtin_cpu_supports("avx2")) {
        available[count++] = &strings_avx2;
    }
    available[count++] = &strings_sse2;
#endif
    available[count++] = &strings_word;
    return index < count ? available[index] : NULL;
}
