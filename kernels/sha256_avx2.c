/* SHA-256 of 8 texts at a time, one a 32-bit lane of AVX2: for processors that have neither AVX-512 nor the
 * SHA extensions.
 *
 * AVX2 has no rotation and no logic of three operands, so a round is 36 operations, which keep the vector
 * units busy: the rounds of one stream fill them, and its 8 variables with what a round needs fill the 16
 * registers. So streams follow one another; those of a group share the schedule. */
#include "kernels/sha256_engine.h"

#if DH_SHA256_X86

#include <immintrin.h>
#include <string.h>

#include "kernels/sha256_core.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum { LANES = 8, BLOCK = 64 };
/* A set of 8 costs about as much as 2.5 texts alone with the scalar engine (bench_sha256). */
enum { SET_COST = 5 * DH_SHA256_COST_UNIT / 2 };

/* W[t] + K[t] of 8 texts. */
typedef struct lane_schedule {
    __m256i wk[64];
} lane_schedule;

typedef struct lane_state {
    __m256i word[8];
} lane_state;

/* Up to 8 texts under way. */
typedef struct text_set {
    const uint8_t *text[LANES];
    uint64_t size[LANES];
    uint32_t count;
    uint64_t size_min, size_max;
    lane_state state[DH_SHA256_PREFIXES_MAX];
    lane_schedule schedule;
    __m256i word[16]; /* the block fetched last, the prefix left zero */
} text_set;

/* -- the rounds ---------------------------------------------------------------------------------- */

#define XOR(x, y) _mm256_xor_si256(x, y)
#define AND(x, y) _mm256_and_si256(x, y)
#define ADD(x, y) _mm256_add_epi32(x, y)
/* The two parts of a rotation have no bit in common. */
#define ROTATE(x, n) XOR(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define CHOICE(x, y, z) XOR(z, AND(x, XOR(y, z)))
#define MAJORITY(x, y, z) XOR(y, AND(XOR(x, y), XOR(y, z)))
#define SUM0(x) XOR(XOR(ROTATE(x, 2), ROTATE(x, 13)), ROTATE(x, 22))
#define SUM1(x) XOR(XOR(ROTATE(x, 6), ROTATE(x, 11)), ROTATE(x, 25))
#define SIGMA0(x) XOR(XOR(ROTATE(x, 7), ROTATE(x, 18)), _mm256_srli_epi32(x, 3))
#define SIGMA1(x) XOR(XOR(ROTATE(x, 17), ROTATE(x, 19)), _mm256_srli_epi32(x, 10))

/* gcc reorders sums of vectors over several rounds, which costs it moves to and from the stack; clang does
 * not, and is better left alone. */
#if defined(__clang__)
#define IN_THIS_ORDER(x) ((void)0)
#else
#define IN_THIS_ORDER(x) __asm__("" : "+x"(x))
#endif

/* One round; the caller turns the names instead of moving the values. */
#define ROUND(a, b, c, d, e, f, g, h, t)                                                                     \
    do {                                                                                                     \
        h = ADD(h, schedule->wk[t]);                                                                         \
        IN_THIS_ORDER(h);                                                                                    \
        h = ADD(h, CHOICE(e, f, g));                                                                         \
        h = ADD(h, SUM1(e));                                                                                 \
        IN_THIS_ORDER(h);                                                                                    \
        d = ADD(d, h);                                                                                       \
        IN_THIS_ORDER(d);                                                                                    \
        h = ADD(h, MAJORITY(a, b, c));                                                                       \
        h = ADD(h, SUM0(a));                                                                                 \
        IN_THIS_ORDER(h);                                                                                    \
    } while (0)

/* One block; `active` has all bits of the lanes that have this block. */
AVX2 __attribute__((noinline)) static void rounds(lane_state *state, const lane_schedule *schedule,
                                                  __m256i active)
{
    __m256i a = state->word[0], b = state->word[1], c = state->word[2], d = state->word[3],
            e = state->word[4], f = state->word[5], g = state->word[6], h = state->word[7];
    for (uint32_t t = 0; t < 64; t += 8) {
        ROUND(a, b, c, d, e, f, g, h, t);
        ROUND(h, a, b, c, d, e, f, g, t + 1);
        ROUND(g, h, a, b, c, d, e, f, t + 2);
        ROUND(f, g, h, a, b, c, d, e, t + 3);
        ROUND(e, f, g, h, a, b, c, d, t + 4);
        ROUND(d, e, f, g, h, a, b, c, t + 5);
        ROUND(c, d, e, f, g, h, a, b, t + 6);
        ROUND(b, c, d, e, f, g, h, a, t + 7);
    }
    const __m256i sum[8] = {a, b, c, d, e, f, g, h};
    DH_UNROLL
    for (uint32_t i = 0; i < 8; i++) {
        state->word[i] = ADD(state->word[i], AND(active, sum[i]));
    }
}

/* Uses up w. */
AVX2 __attribute__((noinline)) static void schedule_make(__m256i w[16], lane_schedule *out)
{
    for (uint32_t first = 0; first < 64; first += 16) {
        DH_UNROLL
        for (uint32_t t = 0; t < 16; t++) {
            if (first != 0) {
                w[t] =
                    ADD(ADD(w[t], SIGMA0(w[(t + 1) % 16])), ADD(w[(t + 9) % 16], SIGMA1(w[(t + 14) % 16])));
            }
            out->wk[first + t] = ADD(w[t], _mm256_set1_epi32((int)dh_sha256_core_k[first + t]));
        }
    }
}

/* -- text in, digests out ------------------------------------------------------------------------ */

AVX2_INLINE __m256i swap_bytes(__m256i words)
{
    const __m128i order = _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203);
    return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(order));
}

/* An 8 by 8 matrix of words, in place: first 4 by 4 in every 128 bits, then the 128-bit parts. */
AVX2_INLINE void transpose_8(__m256i row[8])
{
    __m256i part[8];
    DH_UNROLL
    for (uint32_t i = 0; i < 8; i += 4) {
        __m256i low0 = _mm256_unpacklo_epi32(row[i], row[i + 1]);
        __m256i high0 = _mm256_unpackhi_epi32(row[i], row[i + 1]);
        __m256i low1 = _mm256_unpacklo_epi32(row[i + 2], row[i + 3]);
        __m256i high1 = _mm256_unpackhi_epi32(row[i + 2], row[i + 3]);
        part[i] = _mm256_unpacklo_epi64(low0, low1);
        part[i + 1] = _mm256_unpackhi_epi64(low0, low1);
        part[i + 2] = _mm256_unpacklo_epi64(high0, high1);
        part[i + 3] = _mm256_unpackhi_epi64(high0, high1);
    }
    DH_UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        row[i] = _mm256_permute2x128_si256(part[i], part[i + 4], 0x20);
        row[i + 4] = _mm256_permute2x128_si256(part[i], part[i + 4], 0x31);
    }
}

/* A block that holds the beginning or the end of the message, or lies behind it. */
static void edge_block(const uint8_t *text, uint64_t text_size, uint32_t prefix_size, uint64_t block,
                       uint8_t out[BLOCK])
{
    const uint64_t message_size = text_size + prefix_size;
    const uint64_t position = block * BLOCK;
    const uint64_t left = message_size > position ? message_size - position : 0;
    const uint64_t from = block == 0 ? prefix_size : 0;
    const uint64_t to = left < BLOCK ? left : BLOCK;
    memset(out, 0, BLOCK);
    if (from < to) {
        memcpy(out + from, text + (position + from - prefix_size), to - from);
    }
    if (message_size >= position && left < BLOCK) {
        out[left] = 0x80;
    }
    if (left + 9 <= BLOCK) {
        const uint64_t bits = __builtin_bswap64(message_size * 8);
        memcpy(out + BLOCK - sizeof bits, &bits, sizeof bits);
    }
}

/* The words of one block of every text, the prefix left zero. */
AVX2 __attribute__((noinline)) static void block_fetch(text_set *set, uint32_t prefix_size, uint64_t block)
{
    uint8_t edge[LANES][BLOCK];
    const uint8_t *from[LANES];
    const uint64_t position = block * BLOCK;
    const int inside = block != 0 && position + BLOCK <= set->size_min + prefix_size;
    for (uint32_t i = 0; i < LANES; i++) {
        if (inside) {
            from[i] = set->text[i] + (position - prefix_size);
        } else {
            edge_block(set->text[i], set->size[i], prefix_size, block, edge[i]);
            from[i] = edge[i];
        }
    }
    for (uint32_t half = 0; half < 2; half++) {
        __m256i row[LANES];
        DH_UNROLL
        for (uint32_t i = 0; i < LANES; i++) {
            row[i] = swap_bytes(_mm256_loadu_si256((const __m256i *)(const void *)(from[i] + 32 * half)));
        }
        transpose_8(row);
        memcpy(set->word + (size_t)LANES * half, row, sizeof row);
    }
}

/* Eight words of 8 lanes to 32 bytes a lane. */
AVX2 static void digests_store(const lane_state *state, uint32_t count, uint64_t digest_at,
                               uint8_t *const *digest)
{
    __m256i row[8];
    for (uint32_t i = 0; i < 8; i++) {
        row[i] = swap_bytes(state->word[i]);
    }
    transpose_8(row);
    for (uint32_t i = 0; i < count; i++) {
        _mm256_storeu_si256((__m256i *)(void *)(digest[i] + digest_at), row[i]);
    }
}

/* -- a set of texts ------------------------------------------------------------------------------ */

/* All bits of the lanes whose message has this block. */
AVX2_INLINE __m256i active_lanes(const text_set *set, uint32_t prefix_size, uint64_t block)
{
    int32_t lane[LANES];
    for (uint32_t i = 0; i < LANES; i++) {
        lane[i] = dh_sha256_core_block_count(set->size[i] + prefix_size) > block ? -1 : 0;
    }
    return _mm256_loadu_si256((const __m256i *)(const void *)lane);
}

/* One block of all streams of a group. In the first block they differ by the prefix, behind it they share
 * the schedule. */
AVX2 static void group_step(const dh_sha256_plan *plan, text_set *set, uint64_t block,
                            const dh_sha256_group *group)
{
    const __m256i active = active_lanes(set, group->prefix_size, block);
    block_fetch(set, group->prefix_size, block);
    for (uint32_t s = group->first; s < group->first + group->count; s++) {
        if (block == 0 || s == group->first) {
            __m256i word[16];
            for (uint32_t k = 0; k < 16; k++) {
                const uint32_t prefix = block == 0 && k < 4 ? plan->prefix_word[s][k] : 0;
                word[k] = _mm256_or_si256(set->word[k], _mm256_set1_epi32((int)prefix));
            }
            schedule_make(word, &set->schedule);
        }
        rounds(&set->state[s], &set->schedule, active);
    }
}

AVX2 static void set_hash(const dh_sha256_plan *plan, text_set *set, uint8_t *const *digest)
{
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        for (uint32_t i = 0; i < 8; i++) {
            set->state[s].word[i] = _mm256_set1_epi32((int)dh_sha256_core_initial[i]);
        }
    }
    for (uint32_t g = 0; g < plan->group_count; g++) {
        const dh_sha256_group *group = &plan->group[g];
        const uint64_t blocks = dh_sha256_core_block_count(set->size_max + group->prefix_size);
        for (uint64_t block = 0; block < blocks; block++) {
            group_step(plan, set, block, group);
        }
    }
    for (uint32_t s = 0; s < plan->stream_count; s++) {
        digests_store(&set->state[s], set->count, plan->digest_at[s], digest);
    }
}

/* -- batches ------------------------------------------------------------------------------------- */

static void window_hash(const dh_sha256_plan *plan, dh_sha256_window *window, text_set *set)
{
    dh_sha256_window_order(window);
    for (uint32_t place = 0; place < window->count;) {
        const uint32_t singles = dh_sha256_window_singles(window, place, LANES, SET_COST);
        for (uint32_t end = place + singles; place < end; place++) {
            const uint32_t d = window->order[place];
            dh_sha256_scalar_document(plan, window->text + window->offset[d],
                                      dh_sha256_window_size(window, place),
                                      window->digest + (uint64_t)d * plan->digest_stride);
        }
        uint8_t *digest[LANES];
        set->count = window->count - place < LANES ? window->count - place : LANES;
        if (set->count == 0) {
            return;
        }
        set->size_min = UINT64_MAX;
        set->size_max = 0;
        for (uint32_t i = 0; i < LANES; i++) {
            /* lanes without a text repeat the last one: no lane needs a special case */
            const uint32_t p = place + (i < set->count ? i : set->count - 1);
            set->text[i] = window->text + window->offset[window->order[p]];
            set->size[i] = dh_sha256_window_size(window, p);
            set->size_min = set->size[i] < set->size_min ? set->size[i] : set->size_min;
            set->size_max = set->size[i] > set->size_max ? set->size[i] : set->size_max;
            digest[i] = window->digest + (uint64_t)window->order[p] * plan->digest_stride;
        }
        set_hash(plan, set, digest);
        place += set->count;
    }
}

void dh_sha256_avx2_batch(const dh_sha256_plan *plan, const uint8_t *text, const uint64_t *text_offset,
                          uint32_t document_count, uint8_t *digest)
{
    dh_sha256_window window = {.text = text, .cut = plan->cut};
    text_set set;
    for (uint32_t first = 0; first < document_count; first += window.count) {
        window.offset = text_offset + first;
        window.digest = digest + (uint64_t)first * plan->digest_stride;
        window.count = document_count - first < DH_SHA256_WINDOW ? document_count - first : DH_SHA256_WINDOW;
        window_hash(plan, &window, &set);
    }
}

#endif
