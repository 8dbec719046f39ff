/* SHA-256 of 16 texts at a time, one a 32-bit lane of AVX-512.
 *
 * Work a block of 16 texts, in 512-bit operations: 1,024 for the 64 rounds of a stream (16 a round), and
 * for every group 592 for the schedule and 80 to fetch and transpose. One stream waits for itself (a
 * round is a chain of about 6 cycles for 4 to 8 cycles of work), so the rounds of two or three streams
 * run at once; more would not fit the 32 registers, of which a stream takes 8.
 *
 * Texts that are better done alone (sha256_engine.h) go to the SHA extensions, or the scalar engine. */
#include "kernels/sha256_engine.h"

#if DH_SHA256_X86

#include <immintrin.h>
#include <string.h>
#include <time.h>

#include "kernels/sha256_core.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

enum { LANES = 16, STREAMS_AT_ONCE = 3, COST_UNIT = DH_SHA256_COST_UNIT };

/* W[t] + K[t] of 16 texts. */
typedef struct lane_schedule {
    __m512i wk[64];
} lane_schedule;

typedef struct lane_state {
    __m512i word[8];
} lane_state;

/* Up to 16 texts under way. */
typedef struct text_set {
    const uint8_t *text[LANES];
    uint64_t size[LANES];
    uint32_t count;
    uint64_t size_min, size_max;
    lane_state state[DH_SHA256_PREFIXES_MAX];
    /* One more than is used at once: a group can be cut, and go on with the schedule it has. */
    lane_schedule schedule[STREAMS_AT_ONCE + 1];
    uint32_t schedule_last; /* the one made last */
    __m512i word[16];       /* the block fetched last, the prefix left zero */
} text_set;

/* -- the rounds ---------------------------------------------------------------------------------- */

#define XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define CHOICE(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xCA)
#define MAJORITY(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0xE8)
#define SUM0(x) XOR3(_mm512_ror_epi32(x, 2), _mm512_ror_epi32(x, 13), _mm512_ror_epi32(x, 22))
#define SUM1(x) XOR3(_mm512_ror_epi32(x, 6), _mm512_ror_epi32(x, 11), _mm512_ror_epi32(x, 25))
#define SIGMA0(x) XOR3(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3))
#define SIGMA1(x) XOR3(_mm512_ror_epi32(x, 17), _mm512_ror_epi32(x, 19), _mm512_srli_epi32(x, 10))

/* gcc reorders sums of vectors over several rounds, which costs it 61 moves to and from the stack in 24
 * rounds, and 5 % of the time; clang does not, and is better left alone. */
#if defined(__clang__)
#define IN_THIS_ORDER(x) ((void)0)
#else
#define IN_THIS_ORDER(x) __asm__("" : "+v"(x))
#endif

/* One round of one stream; the caller turns the names instead of moving the values. */
#define ROUND(a, b, c, d, e, f, g, h, wk)                                                                    \
    do {                                                                                                     \
        h = _mm512_add_epi32(h, wk);                                                                         \
        IN_THIS_ORDER(h);                                                                                    \
        h = _mm512_add_epi32(h, CHOICE(e, f, g));                                                            \
        h = _mm512_add_epi32(h, SUM1(e));                                                                    \
        IN_THIS_ORDER(h);                                                                                    \
        d = _mm512_add_epi32(d, h);                                                                          \
        IN_THIS_ORDER(d);                                                                                    \
        h = _mm512_add_epi32(h, MAJORITY(a, b, c));                                                          \
        h = _mm512_add_epi32(h, SUM0(a));                                                                    \
        IN_THIS_ORDER(h);                                                                                    \
    } while (0)

#define STREAM_LOAD(n)                                                                                       \
    __m512i a##n = state[n]->word[0], b##n = state[n]->word[1], c##n = state[n]->word[2],                    \
            d##n = state[n]->word[3], e##n = state[n]->word[4], f##n = state[n]->word[5],                    \
            g##n = state[n]->word[6], h##n = state[n]->word[7];                                              \
    const __m512i *w##n = schedule[n]->wk

#define ADD_WORD(n, i, value)                                                                                \
    state[n]->word[i] = _mm512_mask_add_epi32(state[n]->word[i], active[n], state[n]->word[i], value)
#define STREAM_STORE(n)                                                                                      \
    do {                                                                                                     \
        ADD_WORD(n, 0, a##n);                                                                                \
        ADD_WORD(n, 1, b##n);                                                                                \
        ADD_WORD(n, 2, c##n);                                                                                \
        ADD_WORD(n, 3, d##n);                                                                                \
        ADD_WORD(n, 4, e##n);                                                                                \
        ADD_WORD(n, 5, f##n);                                                                                \
        ADD_WORD(n, 6, g##n);                                                                                \
        ADD_WORD(n, 7, h##n);                                                                                \
    } while (0)

/* Round t + i of stream n, for i of 0 to 7. */
#define ROUND_0(n) ROUND(a##n, b##n, c##n, d##n, e##n, f##n, g##n, h##n, w##n[t])
#define ROUND_1(n) ROUND(h##n, a##n, b##n, c##n, d##n, e##n, f##n, g##n, w##n[t + 1])
#define ROUND_2(n) ROUND(g##n, h##n, a##n, b##n, c##n, d##n, e##n, f##n, w##n[t + 2])
#define ROUND_3(n) ROUND(f##n, g##n, h##n, a##n, b##n, c##n, d##n, e##n, w##n[t + 3])
#define ROUND_4(n) ROUND(e##n, f##n, g##n, h##n, a##n, b##n, c##n, d##n, w##n[t + 4])
#define ROUND_5(n) ROUND(d##n, e##n, f##n, g##n, h##n, a##n, b##n, c##n, w##n[t + 5])
#define ROUND_6(n) ROUND(c##n, d##n, e##n, f##n, g##n, h##n, a##n, b##n, w##n[t + 6])
#define ROUND_7(n) ROUND(b##n, c##n, d##n, e##n, f##n, g##n, h##n, a##n, w##n[t + 7])
#define EIGHT_ROUNDS(ROUNDS)                                                                                 \
    ROUNDS(ROUND_0);                                                                                         \
    ROUNDS(ROUND_1);                                                                                         \
    ROUNDS(ROUND_2);                                                                                         \
    ROUNDS(ROUND_3);                                                                                         \
    ROUNDS(ROUND_4);                                                                                         \
    ROUNDS(ROUND_5);                                                                                         \
    ROUNDS(ROUND_6);                                                                                         \
    ROUNDS(ROUND_7)

#define ROUND_OF_1(R) R(0)
#define ROUND_OF_2(R)                                                                                        \
    R(0);                                                                                                    \
    R(1)
#define ROUND_OF_3(R)                                                                                        \
    R(0);                                                                                                    \
    R(1);                                                                                                    \
    R(2)

/* One block of 16 texts for one to three streams; `active` tells the lanes that have this block. */
AVX512 __attribute__((noinline)) static void
rounds_1(lane_state *const *state, const lane_schedule *const *schedule, const __mmask16 *active)
{
    STREAM_LOAD(0); /* NOLINT(clang-analyzer-core.NullDereference): callers pass one stream */
    for (uint32_t t = 0; t < 64; t += 8) {
        EIGHT_ROUNDS(ROUND_OF_1);
    }
    STREAM_STORE(0);
}

AVX512 __attribute__((noinline)) static void
rounds_2(lane_state *const *state, const lane_schedule *const *schedule, const __mmask16 *active)
{
    STREAM_LOAD(0);
    STREAM_LOAD(1);
    for (uint32_t t = 0; t < 64; t += 8) {
        EIGHT_ROUNDS(ROUND_OF_2);
    }
    STREAM_STORE(0);
    STREAM_STORE(1);
}

AVX512 __attribute__((noinline)) static void
rounds_3(lane_state *const *state, const lane_schedule *const *schedule, const __mmask16 *active)
{
    STREAM_LOAD(0);
    STREAM_LOAD(1);
    STREAM_LOAD(2);
    for (uint32_t t = 0; t < 64; t += 8) {
        EIGHT_ROUNDS(ROUND_OF_3);
    }
    STREAM_STORE(0);
    STREAM_STORE(1);
    STREAM_STORE(2);
}

/* -- the schedule -------------------------------------------------------------------------------- */

#define ADD_CONSTANT(t)                                                                                      \
    out->wk[first + t] = _mm512_add_epi32(w##t, _mm512_set1_epi32((int)dh_sha256_core_k[first + t]))
#define EXPAND(t, t1, t9, t14)                                                                               \
    w##t = _mm512_add_epi32(_mm512_add_epi32(w##t, SIGMA0(w##t1)), _mm512_add_epi32(w##t9, SIGMA1(w##t14)))

AVX512 __attribute__((noinline)) static void schedule_make(const __m512i word[16], lane_schedule *out)
{
    __m512i w0 = word[0], w1 = word[1], w2 = word[2], w3 = word[3], w4 = word[4], w5 = word[5], w6 = word[6],
            w7 = word[7], w8 = word[8], w9 = word[9], w10 = word[10], w11 = word[11], w12 = word[12],
            w13 = word[13], w14 = word[14], w15 = word[15];
    for (uint32_t first = 0;; first += 16) {
        ADD_CONSTANT(0);
        ADD_CONSTANT(1);
        ADD_CONSTANT(2);
        ADD_CONSTANT(3);
        ADD_CONSTANT(4);
        ADD_CONSTANT(5);
        ADD_CONSTANT(6);
        ADD_CONSTANT(7);
        ADD_CONSTANT(8);
        ADD_CONSTANT(9);
        ADD_CONSTANT(10);
        ADD_CONSTANT(11);
        ADD_CONSTANT(12);
        ADD_CONSTANT(13);
        ADD_CONSTANT(14);
        ADD_CONSTANT(15);
        if (first == 48) {
            return;
        }
        EXPAND(0, 1, 9, 14);
        EXPAND(1, 2, 10, 15);
        EXPAND(2, 3, 11, 0);
        EXPAND(3, 4, 12, 1);
        EXPAND(4, 5, 13, 2);
        EXPAND(5, 6, 14, 3);
        EXPAND(6, 7, 15, 4);
        EXPAND(7, 8, 0, 5);
        EXPAND(8, 9, 1, 6);
        EXPAND(9, 10, 2, 7);
        EXPAND(10, 11, 3, 8);
        EXPAND(11, 12, 4, 9);
        EXPAND(12, 13, 5, 10);
        EXPAND(13, 14, 6, 11);
        EXPAND(14, 15, 7, 12);
        EXPAND(15, 0, 8, 13);
    }
}

/* -- text in, digests out ------------------------------------------------------------------------ */

AVX512_INLINE __m512i swap_bytes(__m512i words)
{
    const __m128i order = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(order));
}

/* A 16 by 16 matrix of words, in place: first 4 by 4 in every 128 bits, then the 128-bit parts. */
AVX512_INLINE void transpose_16(__m512i row[16])
{
    __m512i part[16];
    DH_UNROLL
    for (uint32_t i = 0; i < 16; i += 4) {
        __m512i low0 = _mm512_unpacklo_epi32(row[i], row[i + 1]);
        __m512i high0 = _mm512_unpackhi_epi32(row[i], row[i + 1]);
        __m512i low1 = _mm512_unpacklo_epi32(row[i + 2], row[i + 3]);
        __m512i high1 = _mm512_unpackhi_epi32(row[i + 2], row[i + 3]);
        part[i] = _mm512_unpacklo_epi64(low0, low1);
        part[i + 1] = _mm512_unpackhi_epi64(low0, low1);
        part[i + 2] = _mm512_unpacklo_epi64(high0, high1);
        part[i + 3] = _mm512_unpackhi_epi64(high0, high1);
    }
    DH_UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        __m512i even0 = _mm512_shuffle_i32x4(part[i], part[i + 4], 0x88);
        __m512i odd0 = _mm512_shuffle_i32x4(part[i], part[i + 4], 0xDD);
        __m512i even1 = _mm512_shuffle_i32x4(part[i + 8], part[i + 12], 0x88);
        __m512i odd1 = _mm512_shuffle_i32x4(part[i + 8], part[i + 12], 0xDD);
        row[i] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        row[i + 4] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        row[i + 8] = _mm512_shuffle_i32x4(even0, even1, 0xDD);
        row[i + 12] = _mm512_shuffle_i32x4(odd0, odd1, 0xDD);
    }
}

/* The address of byte `position` of a message. In the first block that lies before the text, where C
 * knows no pointers; the bytes there are masked off. */
AVX512_INLINE const void *message_at(const uint8_t *text, uint32_t prefix_size, uint64_t position)
{
    return (const void *)((uintptr_t)text + (uintptr_t)position - prefix_size);
}

/* Bits `from` to `to` - 1; both at most 64. */
AVX512_INLINE uint64_t bits_between(uint64_t from, uint64_t to)
{
    uint64_t below_to = to >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << to) - 1;
    return from >= to ? 0 : below_to & ~((UINT64_C(1) << from) - 1);
}

/* A block that holds the beginning or the end of the message, or lies behind it. */
AVX512 __attribute__((noinline)) static __m512i edge_block(const uint8_t *text, uint64_t text_size,
                                                           uint32_t prefix_size, uint64_t position)
{
    uint64_t message_size = text_size + prefix_size;
    uint64_t left = message_size > position ? message_size - position : 0;
    uint64_t text_bits =
        bits_between(position < prefix_size ? prefix_size - position : 0, left < 64 ? left : 64);
    __m512i block = _mm512_maskz_loadu_epi8(text_bits, message_at(text, prefix_size, position));
    if (message_size >= position && left < 64) {
        block = _mm512_mask_mov_epi8(block, UINT64_C(1) << left, _mm512_set1_epi8((char)0x80));
    }
    if (left + 9 <= 64) {
        long long bits = (long long)__builtin_bswap64(message_size * 8);
        block = _mm512_mask_set1_epi64(block, 0x80, bits);
    }
    return block;
}

/* The words of one block of every text, the prefix left zero. */
AVX512 __attribute__((noinline)) static void block_fetch(const text_set *set, uint32_t prefix_size,
                                                         uint64_t block, __m512i word[16])
{
    uint64_t position = block * 64;
    __m512i row[16];
    if (block != 0 && position + 64 <= set->size_min + prefix_size) {
        DH_UNROLL
        for (uint32_t i = 0; i < LANES; i++) {
            row[i] = swap_bytes(_mm512_loadu_si512(message_at(set->text[i], prefix_size, position)));
        }
    } else {
        for (uint32_t i = 0; i < LANES; i++) {
            row[i] = swap_bytes(edge_block(set->text[i], set->size[i], prefix_size, position));
        }
    }
    transpose_16(row);
    DH_UNROLL
    for (uint32_t i = 0; i < 16; i++) {
        word[i] = row[i];
    }
}

/* Eight words of 16 lanes to 32 bytes a lane. */
AVX512 static void digests_store(const lane_state *state, uint32_t count, uint64_t digest_at,
                                 uint8_t *const *digest)
{
    __m512i row[16];
    __m256i bytes[2 * 16];
    for (uint32_t i = 0; i < 16; i++) {
        row[i] = i < 8 ? swap_bytes(state->word[i]) : _mm512_setzero_si512();
    }
    transpose_16(row);
    memcpy(bytes, row, sizeof bytes);
    for (uint32_t i = 0; i < count; i++) {
        _mm256_storeu_si256((__m256i *)(digest[i] + digest_at), bytes[2 * i]);
    }
}

/* -- a set of texts ------------------------------------------------------------------------------ */

/* The lanes whose message has this block. */
AVX512_INLINE __mmask16 active_lanes(const text_set *set, uint32_t prefix_size, uint64_t block)
{
    if (block < dh_sha256_core_block_count(set->size_min + prefix_size)) {
        return 0xFFFF;
    }
    uint32_t lanes = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        lanes |= (uint32_t)(dh_sha256_core_block_count(set->size[i] + prefix_size) > block) << i;
    }
    return (__mmask16)lanes;
}

/* Makes the schedule that `stream` needs for a block, unless the stream before it left it. Streams of a
 * group share one, except in the first block, where they differ by the prefix. */
AVX512 static void stream_schedule(const dh_sha256_plan *plan, text_set *set, uint64_t block, uint32_t stream)
{
    const dh_sha256_group *group = &plan->group[plan->group_of[stream]];
    if (stream == group->first) {
        block_fetch(set, group->prefix_size, block, set->word);
    } else if (block != 0) {
        return;
    }
    set->schedule_last = (set->schedule_last + 1) % (STREAMS_AT_ONCE + 1);
    lane_schedule *schedule = &set->schedule[set->schedule_last];
    if (block != 0) {
        schedule_make(set->word, schedule);
        return;
    }
    __m512i word[16];
    for (uint32_t k = 0; k < 16; k++) {
        uint32_t prefix = k < 4 ? plan->prefix_word[stream][k] : 0;
        word[k] = _mm512_or_si512(set->word[k], _mm512_set1_epi32((int)prefix));
    }
    schedule_make(word, schedule);
}

/* Streams `first` to `first` + count - 1, at most STREAMS_AT_ONCE, over one block. */
AVX512 static void streams_step(const dh_sha256_plan *plan, text_set *set, uint64_t block, uint32_t first,
                                uint32_t count)
{
    lane_state *state[STREAMS_AT_ONCE];
    const lane_schedule *schedule[STREAMS_AT_ONCE];
    __mmask16 active[STREAMS_AT_ONCE];
    for (uint32_t i = 0; i < count; i++) {
        state[i] = &set->state[first + i];
        stream_schedule(plan, set, block, first + i);
        schedule[i] = &set->schedule[set->schedule_last];
        active[i] = active_lanes(set, plan->group[plan->group_of[first + i]].prefix_size, block);
    }
    if (count == 3) {
        rounds_3(state, schedule, active);
    } else if (count == 2) {
        rounds_2(state, schedule, active);
    } else {
        rounds_1(state, schedule, active);
    }
}

AVX512 static void set_hash(const dh_sha256_plan *plan, text_set *set, uint8_t *const *digest)
{
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        for (uint32_t i = 0; i < 8; i++) {
            set->state[s].word[i] = _mm512_set1_epi32((int)dh_sha256_core_initial[i]);
        }
    }
    set->schedule_last = 0;
    uint64_t last = dh_sha256_core_block_count(set->size_max + plan->prefix_size_max);
    uint32_t first_group = 0; /* groups are ordered by length: the first ones end first */
    for (uint64_t block = 0; block < last; block++) {
        while (dh_sha256_core_block_count(set->size_max + plan->group[first_group].prefix_size) <= block) {
            first_group++;
        }
        uint32_t stream = plan->group[first_group].first;
        while (stream < plan->stream_count) {
            uint32_t left = plan->stream_count - stream;
            uint32_t count = left == 4 ? 2 : left < STREAMS_AT_ONCE ? left : STREAMS_AT_ONCE;
            streams_step(plan, set, block, stream, count);
            stream += count;
        }
    }
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        digests_store(&set->state[s], set->count, plan->digest_at[s], digest);
    }
}

/* -- which texts go where ------------------------------------------------------------------------ */

static dh_sha256_document *single_function(int with_sha)
{
    return with_sha ? dh_sha256_shani_document : dh_sha256_scalar_document;
}

AVX512 static void window_hash(const dh_sha256_plan *plan, dh_sha256_document *single, dh_sha256_window *win,
                               text_set *set, uint64_t set_cost)
{
    dh_sha256_window_order(win);
    for (uint32_t place = 0; place < win->count;) {
        uint32_t singles = dh_sha256_window_singles(win, place, LANES, set_cost);
        for (uint32_t end = place + singles; place < end; place++) {
            uint32_t d = win->order[place];
            single(plan, win->text + win->offset[d], dh_sha256_window_size(win, place),
                   win->digest + (uint64_t)d * plan->digest_stride);
        }
        uint8_t *digest[LANES];
        set->count = win->count - place < LANES ? win->count - place : LANES;
        if (set->count == 0) {
            return;
        }
        set->size_min = UINT64_MAX;
        set->size_max = 0;
        for (uint32_t i = 0; i < LANES; i++) {
            /* lanes without a text repeat the last one: no lane needs a special case */
            uint32_t p = place + (i < set->count ? i : set->count - 1);
            set->text[i] = win->text + win->offset[win->order[p]];
            set->size[i] = dh_sha256_window_size(win, p);
            set->size_min = set->size[i] < set->size_min ? set->size[i] : set->size_min;
            set->size_max = set->size[i] > set->size_max ? set->size[i] : set->size_max;
            digest[i] = win->digest + (uint64_t)win->order[p] * plan->digest_stride;
        }
        set_hash(plan, set, digest);
        place += set->count;
    }
}

/* -- what a set costs ---------------------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Time of a set over that of one text alone, both of 1,000 bytes behind ten prefixes like those of the
 * digest job: the shortest of several times each, as others may use the core. About half a millisecond. */
AVX512 static uint32_t set_cost_measure(int with_sha)
{
    enum { SIZE = 1000, TURNS = 5, STREAMS = 10, SINGLES = 4 };
    static const uint8_t text[SIZE];
    dh_sha256_plan plan = {.stream_count = STREAMS,
                           .group_count = 4,
                           .prefix_size_max = 8,
                           .group = {{0, 0, 1}, {6, 1, 4}, {7, 5, 3}, {8, 8, 2}},
                           .group_of = {0, 1, 1, 1, 1, 2, 2, 2, 3, 3},
                           .digest_stride = STREAMS * DH_SHA256_SIZE};
    uint8_t digest[STREAMS * DH_SHA256_SIZE], *lane_digest[LANES];
    dh_sha256_document *single = single_function(with_sha);
    text_set set = {.count = LANES, .size_min = SIZE, .size_max = SIZE};
    for (uint32_t i = 0; i < LANES; i++) {
        set.text[i] = text;
        set.size[i] = SIZE;
        lane_digest[i] = digest;
    }
    double set_time = 1e9, single_time = 1e9;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        double begin = seconds_now();
        set_hash(&plan, &set, lane_digest);
        double middle = seconds_now();
        for (uint32_t i = 0; i < SINGLES; i++) {
            single(&plan, text, SIZE, digest);
        }
        double end = seconds_now();
        set_time = middle - begin < set_time ? middle - begin : set_time;
        single_time = end - middle < single_time ? end - middle : single_time;
    }
    double cost = single_time > 0 ? COST_UNIT * SINGLES * set_time / single_time : 0;
    return cost < COST_UNIT ? COST_UNIT : cost > 1000 * COST_UNIT ? 1000 * COST_UNIT : (uint32_t)cost;
}

static uint32_t set_cost_known(int with_sha)
{
    /* 0: not measured yet. Threads may measure at the same time; any of their results will do. */
    static _Atomic uint32_t known[2];
    uint32_t cost = known[with_sha];
    if (cost == 0) {
        cost = set_cost_measure(with_sha);
        known[with_sha] = cost;
    }
    return cost;
}

int dh_sha256_avx512_is_best(void)
{
    /* not 16: the texts of a set differ in size, and a batch has texts left over */
    return set_cost_known(1) < 14 * COST_UNIT;
}

/* -- batches ------------------------------------------------------------------------------------- */

AVX512 void dh_sha256_avx512_batch(const dh_sha256_plan *plan, int with_sha, const uint8_t *text,
                                   const uint64_t *text_offset, uint32_t document_count, uint8_t *digest)
{
    /* Who asks for this engine gets it for 12 texts of one size, wherever that is not the best. */
    uint32_t set_cost = set_cost_known(with_sha);
    set_cost = set_cost < 12 * COST_UNIT ? set_cost : 12 * COST_UNIT;
    dh_sha256_window win;
    text_set set;
    for (uint32_t first = 0; first < document_count; first += win.count) {
        win.text = text;
        win.cut = plan->cut;
        win.offset = text_offset + first;
        win.digest = digest + (uint64_t)first * plan->digest_stride;
        win.count = document_count - first < DH_SHA256_WINDOW ? document_count - first : DH_SHA256_WINDOW;
        window_hash(plan, single_function(with_sha), &win, &set, set_cost);
    }
}

#endif
