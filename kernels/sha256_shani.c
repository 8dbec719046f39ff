/* SHA-256 by the x86 SHA extensions. sha256rnds2 does two rounds in 4 cycles, but a new one can start
 * each cycle or two: so the rounds of several streams run at once. The schedule (12 sha256msg1 and 12
 * sha256msg2 a block) is written to memory once for all streams of a group. */
#include "kernels/sha256_engine.h"

#if DH_SHA256_X86

#include <cpuid.h>
#include <immintrin.h>
#include <string.h>

#include "kernels/sha256_core.h"

#define SHANI __attribute__((target("sha,sse4.1,ssse3")))
#define SHANI_INLINE SHANI __attribute__((always_inline)) static inline

int dh_sha256_shani_is_available(void)
{
    /* 0: not asked yet. Threads that ask at the same time find the same. */
    static _Atomic int known;
    int found = known;
    if (found == 0) {
        unsigned a, b, c, d;
        int sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1U) != 0;
        found = sha && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3") ? 2 : 1;
        known = found;
    }
    return found == 2;
}

/* The working variables in the order of the instructions: a and b above e and f; c and d above g, h. */
typedef struct stream_state {
    __m128i abef, cdgh;
} stream_state;

/* W[t] + K[t], four a vector. */
typedef struct block_schedule {
    __m128i wk[16];
} block_schedule;

SHANI_INLINE stream_state state_load(const uint32_t state[8])
{
    __m128i abcd = _mm_loadu_si128((const __m128i *)state);
    __m128i efgh = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i badc = _mm_shuffle_epi32(abcd, 0xB1); /* from the highest word: c d a b */
    __m128i hgfe = _mm_shuffle_epi32(efgh, 0x1B); /* from the highest word: e f g h */
    stream_state out;
    out.abef = _mm_alignr_epi8(badc, hgfe, 8);
    out.cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    return out;
}

SHANI_INLINE void state_store(stream_state in, uint32_t state[8])
{
    __m128i feba = _mm_shuffle_epi32(in.abef, 0x1B);
    __m128i dchg = _mm_shuffle_epi32(in.cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

SHANI_INLINE __m128i constants(uint32_t vector)
{
    return _mm_loadu_si128((const __m128i *)(dh_sha256_core_k + 4 * vector));
}

/* The next four words, from the last sixteen. */
SHANI_INLINE __m128i schedule_next(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    return _mm_sha256msg2_epu32(sum, w3);
}

SHANI_INLINE void schedule_make(const __m128i block[4], block_schedule *out)
{
    __m128i w0 = block[0], w1 = block[1], w2 = block[2], w3 = block[3];
    out->wk[0] = _mm_add_epi32(w0, constants(0));
    out->wk[1] = _mm_add_epi32(w1, constants(1));
    out->wk[2] = _mm_add_epi32(w2, constants(2));
    out->wk[3] = _mm_add_epi32(w3, constants(3));
    DH_UNROLL
    for (uint32_t i = 4; i < 16; i += 4) {
        w0 = schedule_next(w0, w1, w2, w3);
        w1 = schedule_next(w1, w2, w3, w0);
        w2 = schedule_next(w2, w3, w0, w1);
        w3 = schedule_next(w3, w0, w1, w2);
        out->wk[i] = _mm_add_epi32(w0, constants(i));
        out->wk[i + 1] = _mm_add_epi32(w1, constants(i + 1));
        out->wk[i + 2] = _mm_add_epi32(w2, constants(i + 2));
        out->wk[i + 3] = _mm_add_epi32(w3, constants(i + 3));
    }
}

/* One block for `count` streams, at most 4, each with its schedule; count is known to the compiler. */
SHANI_INLINE void rounds(stream_state *stream, const block_schedule *const *schedule, uint32_t count)
{
    stream_state v[4];
    for (uint32_t s = 0; s < count; s++) {
        v[s] = stream[s];
    }
    DH_UNROLL
    for (uint32_t i = 0; i < 16; i++) {
        for (uint32_t s = 0; s < count; s++) {
            __m128i wk = schedule[s]->wk[i];
            v[s].cdgh = _mm_sha256rnds2_epu32(v[s].cdgh, v[s].abef, wk);
            v[s].abef = _mm_sha256rnds2_epu32(v[s].abef, v[s].cdgh, _mm_shuffle_epi32(wk, 0x0E));
        }
    }
    for (uint32_t s = 0; s < count; s++) {
        stream[s].abef = _mm_add_epi32(stream[s].abef, v[s].abef);
        stream[s].cdgh = _mm_add_epi32(stream[s].cdgh, v[s].cdgh);
    }
}

SHANI static void rounds_1(stream_state *stream, const block_schedule *const *schedule)
{
    rounds(stream, schedule, 1);
}

SHANI static void rounds_2(stream_state *stream, const block_schedule *const *schedule)
{
    rounds(stream, schedule, 2);
}

SHANI static void rounds_3(stream_state *stream, const block_schedule *const *schedule)
{
    rounds(stream, schedule, 3);
}

SHANI static void rounds_4(stream_state *stream, const block_schedule *const *schedule)
{
    rounds(stream, schedule, 4);
}

SHANI static void rounds_any(stream_state *stream, const block_schedule *const *schedule, uint32_t count)
{
    for (; count > 4; stream += 3, schedule += 3, count -= 3) {
        rounds_3(stream, schedule);
    }
    switch (count) {
    case 4:
        rounds_4(stream, schedule);
        break;
    case 3:
        rounds_3(stream, schedule);
        break;
    case 2:
        rounds_2(stream, schedule);
        break;
    case 1:
        rounds_1(stream, schedule);
        break;
    default:
        break;
    }
}

SHANI_INLINE __m128i swap_bytes(__m128i words)
{
    return _mm_shuffle_epi8(words, _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203));
}

/* The words of a block that begins at byte `position` of the message; the prefix is left zero. */
SHANI_INLINE void block_load(const uint8_t *text, uint64_t text_size, uint32_t prefix_size,
                             uint64_t position, __m128i block[4])
{
    uint8_t edge[64];
    const uint8_t *from;
    uint64_t message_size = prefix_size + text_size;
    if (position >= prefix_size && position + 64 <= message_size) {
        from = text + (position - prefix_size);
    } else {
        uint64_t skip = position < prefix_size ? prefix_size - position : 0;
        uint64_t end = message_size > position ? message_size - position : 0;
        end = end < 64 ? end : 64;
        memset(edge, 0, sizeof edge);
        if (end > skip) {
            memcpy(edge + skip, text + (position + skip - prefix_size), end - skip);
        }
        if (message_size >= position && message_size - position < 64) {
            edge[message_size - position] = 0x80;
        }
        if (message_size + 9 <= position + 64) {
            uint64_t bits = __builtin_bswap64(message_size * 8);
            memcpy(edge + 56, &bits, sizeof bits);
        }
        from = edge;
    }
    for (uint32_t i = 0; i < 4; i++) {
        block[i] = swap_bytes(_mm_loadu_si128((const __m128i *)(from + 16 * i)));
    }
}

SHANI static void first_block(const dh_sha256_plan *plan, const uint8_t *text, uint64_t text_size,
                              stream_state *stream)
{
    block_schedule schedule[DH_SHA256_PREFIXES_MAX];
    const block_schedule *used[DH_SHA256_PREFIXES_MAX];
    stream_state initial = state_load(dh_sha256_core_initial);
    for (uint32_t g = 0; g < plan->group_count; g++) {
        const dh_sha256_group *group = &plan->group[g];
        __m128i block[4];
        block_load(text, text_size, group->prefix_size, 0, block);
        __m128i text_words = block[0];
        for (uint32_t s = group->first; s < group->first + group->count; s++) {
            __m128i prefix = _mm_loadu_si128((const __m128i *)plan->prefix_word[s]);
            block[0] = _mm_or_si128(text_words, prefix);
            schedule_make(block, &schedule[s]);
            used[s] = &schedule[s];
            stream[s] = initial;
        }
    }
    rounds_any(stream, used, plan->stream_count);
}

SHANI void dh_sha256_shani_document(const dh_sha256_plan *plan, const uint8_t *text, uint64_t text_size,
                                    uint8_t *digest)
{
    stream_state stream[DH_SHA256_PREFIXES_MAX];
    block_schedule schedule[DH_SHA256_PREFIXES_MAX];
    const block_schedule *used[DH_SHA256_PREFIXES_MAX];
    first_block(plan, text, text_size, stream);
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        used[s] = &schedule[plan->group_of[s]];
    }
    /* Groups are ordered by length, so those that end earlier are the first ones. */
    uint64_t last = dh_sha256_core_block_count(text_size + plan->prefix_size_max);
    uint32_t first_group = 0;
    for (uint64_t block = 1; block < last; block++) {
        while (dh_sha256_core_block_count(text_size + plan->group[first_group].prefix_size) <= block) {
            first_group++;
        }
        for (uint32_t g = first_group; g < plan->group_count; g++) {
            __m128i words[4];
            block_load(text, text_size, plan->group[g].prefix_size, block * 64, words);
            schedule_make(words, &schedule[g]);
        }
        uint32_t s = plan->group[first_group].first;
        rounds_any(stream + s, used + s, plan->stream_count - s);
    }
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        uint32_t state[8];
        state_store(stream[s], state);
        __m128i low = swap_bytes(_mm_loadu_si128((const __m128i *)state));
        __m128i high = swap_bytes(_mm_loadu_si128((const __m128i *)(state + 4)));
        _mm_storeu_si128((__m128i *)(digest + plan->digest_at[s]), low);
        _mm_storeu_si128((__m128i *)(digest + plan->digest_at[s] + 16), high);
    }
}

SHANI void dh_sha256_shani_blocks(uint32_t state[8], const uint8_t *bytes, uint64_t block_count)
{
    stream_state stream = state_load(state);
    for (uint64_t b = 0; b < block_count; b++, bytes += 64) {
        __m128i words[4];
        block_schedule schedule;
        const block_schedule *used = &schedule;
        for (uint32_t i = 0; i < 4; i++) {
            words[i] = swap_bytes(_mm_loadu_si128((const __m128i *)(bytes + 16 * i)));
        }
        schedule_make(words, &schedule);
        rounds(&stream, &used, 1);
    }
    state_store(stream, state);
}

#endif
