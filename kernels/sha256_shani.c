/* SHA-256 by the x86 SHA extensions. sha256rnds2 does two rounds in 4 cycles, but a new one can start
 * each cycle or two: so the rounds of several streams run at once. The schedule (12 sha256msg1 and 12
 * sha256msg2 a block) is written to memory once for all streams of a group. */
#include "kernels/sha256_engine.h"

#if DH_SHA256_X86

#include <immintrin.h>
#include <string.h>

#include "kernels/sha256_core.h"

#define SHANI __attribute__((target("sha,sse4.1,ssse3")))
#define SHANI_INLINE SHANI __attribute__((always_inline)) static inline

/* The working variables in the order of the instructions: a and b above e and f; c and d above g, h. */
typedef struct stream_state {
    __m128i abef, cdgh;
} stream_state;

/* W[t] + K[t], four a vector. */
typedef struct block_schedule {
    __m128i wk[16];
} block_schedule;

/* Six streams, or five and two schedules, would be more than 16 registers hold with any gain. */
enum { STREAMS_AT_ONCE = 5, TASKS_AT_ONCE = 2 };

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

SHANI_INLINE __m128i swap_bytes(__m128i words)
{
    return _mm_shuffle_epi8(words, _mm_set_epi64x(0x0C0D0E0F08090A0B, 0x0405060700010203));
}

/* The macros take names instead of indexes: not every compiler keeps arrays in registers. Conditions on
 * count and task_count are known to the compiler. x and y are a stream's state, p and q the last 16
 * words of two schedules under way. */
#define STREAM_LOAD(n)                                                                                       \
    __m128i x##n = _mm_setzero_si128(), y##n = x##n;                                                         \
    const __m128i *wk##n = NULL;                                                                             \
    if (count > n) {                                                                                         \
        x##n = stream[n].abef;                                                                               \
        y##n = stream[n].cdgh;                                                                               \
        wk##n = schedule[n]->wk;                                                                             \
    }
#define STREAM_STORE(n)                                                                                      \
    if (count > n) {                                                                                         \
        stream[n].abef = _mm_add_epi32(stream[n].abef, x##n);                                                \
        stream[n].cdgh = _mm_add_epi32(stream[n].cdgh, y##n);                                                \
    }
#define STREAM_ROUNDS(n, i)                                                                                  \
    if (count > n) {                                                                                         \
        __m128i wk = wk##n[i];                                                                               \
        y##n = _mm_sha256rnds2_epu32(y##n, x##n, wk);                                                        \
        x##n = _mm_sha256rnds2_epu32(x##n, y##n, _mm_shuffle_epi32(wk, 0x0E));                               \
    }
#define TASK_LOAD(k, w)                                                                                      \
    __m128i w##0 = _mm_setzero_si128(), w##1 = w##0, w##2 = w##0, w##3 = w##0;                               \
    __m128i *out_##w = NULL;                                                                                 \
    if (task_count > k) {                                                                                    \
        const __m128i *from = (const __m128i *)(task[k].from + 64 * block);                                  \
        w##0 = swap_bytes(_mm_loadu_si128(from));                                                            \
        w##1 = swap_bytes(_mm_loadu_si128(from + 1));                                                        \
        w##2 = swap_bytes(_mm_loadu_si128(from + 2));                                                        \
        w##3 = swap_bytes(_mm_loadu_si128(from + 3));                                                        \
        out_##w = task[k].out->wk;                                                                           \
    }
#define TASK_STEP(k, out, i, w0, w1, w2, w3)                                                                 \
    if (task_count > k) {                                                                                    \
        w0 = schedule_next(w0, w1, w2, w3);                                                                  \
        out[i] = _mm_add_epi32(w0, constants(i));                                                            \
    }

/* Four rounds of every stream, and the step of every task in between. */
#define FOUR_ROUNDS(i)                                                                                       \
    STREAM_ROUNDS(0, i)                                                                                      \
    STREAM_ROUNDS(1, i)                                                                                      \
    STREAM_ROUNDS(2, i)                                                                                      \
    STREAM_ROUNDS(3, i)                                                                                      \
    STREAM_ROUNDS(4, i)
#define FOUR_ROUNDS_FIRST(i)                                                                                 \
    FOUR_ROUNDS(i)                                                                                           \
    if (task_count > 0) {                                                                                    \
        out_p[i] = _mm_add_epi32(p##i, constants(i));                                                        \
    }                                                                                                        \
    if (task_count > 1) {                                                                                    \
        out_q[i] = _mm_add_epi32(q##i, constants(i));                                                        \
    }
#define FOUR_ROUNDS_NEXT(i, a, b, c, d)                                                                      \
    FOUR_ROUNDS(i)                                                                                           \
    TASK_STEP(0, out_p, i, p##a, p##b, p##c, p##d)                                                           \
    TASK_STEP(1, out_q, i, q##a, q##b, q##c, q##d)

/* A schedule to be made of the 64 bytes there, or of every 64 bytes from there on. */
typedef struct schedule_task {
    const uint8_t *from;
    block_schedule *out;
} schedule_task;

/* The rounds of `count` streams, each by its schedule, and at the same time `task_count` schedules of
 * what comes next: block_count times. A task may write over a schedule in use: its step i comes when all
 * streams have used step i. With several blocks, every schedule in use must be one that is replaced. */
SHANI_INLINE void rounds(stream_state *stream, const block_schedule *const *schedule, uint32_t count,
                         const schedule_task *task, uint32_t task_count, uint64_t block_count)
{
    for (uint64_t block = 0; block < block_count; block++) {
        STREAM_LOAD(0)
        STREAM_LOAD(1)
        STREAM_LOAD(2)
        STREAM_LOAD(3)
        STREAM_LOAD(4)
        TASK_LOAD(0, p)
        TASK_LOAD(1, q)
        FOUR_ROUNDS_FIRST(0)
        FOUR_ROUNDS_FIRST(1)
        FOUR_ROUNDS_FIRST(2)
        FOUR_ROUNDS_FIRST(3)
        for (uint32_t i = 4; i < 16; i += 4) {
            FOUR_ROUNDS_NEXT(i, 0, 1, 2, 3)
            FOUR_ROUNDS_NEXT(i + 1, 1, 2, 3, 0)
            FOUR_ROUNDS_NEXT(i + 2, 2, 3, 0, 1)
            FOUR_ROUNDS_NEXT(i + 3, 3, 0, 1, 2)
        }
        STREAM_STORE(0)
        STREAM_STORE(1)
        STREAM_STORE(2)
        STREAM_STORE(3)
        STREAM_STORE(4)
    }
}

/* The compiler's copies: rounds_[streams]_[tasks]. */
typedef void rounds_function(stream_state *, const block_schedule *const *, const schedule_task *, uint64_t);

#define ROUNDS(count, tasks)                                                                                 \
    SHANI static void rounds_##count##_##tasks(stream_state *stream, const block_schedule *const *schedule,  \
                                               const schedule_task *task, uint64_t block_count)              \
    {                                                                                                        \
        rounds(stream, schedule, count, task, tasks, block_count);                                           \
    }
#define ROUNDS_OF(tasks) ROUNDS(1, tasks) ROUNDS(2, tasks) ROUNDS(3, tasks) ROUNDS(4, tasks) ROUNDS(5, tasks)
ROUNDS_OF(0)
ROUNDS_OF(1)
ROUNDS_OF(2)
ROUNDS(0, 1)
static rounds_function *const rounds_copy[TASKS_AT_ONCE + 1][STREAMS_AT_ONCE + 1] = {
    {NULL, rounds_1_0, rounds_2_0, rounds_3_0, rounds_4_0, rounds_5_0},
    {rounds_0_1, rounds_1_1, rounds_2_1, rounds_3_1, rounds_4_1, rounds_5_1},
    {NULL, rounds_1_2, rounds_2_2, rounds_3_2, rounds_4_2, rounds_5_2},
};

/* -- one text ------------------------------------------------------------------------------------ */

/* The streams that go over a text together: at most STREAMS_AT_ONCE, of at most TASKS_AT_ONCE groups. */
typedef struct stream_chunk {
    uint32_t first, count;
    uint32_t group, group_count;
} stream_chunk;

/* The chunk of which `first` is the first stream; ends between groups where that can be. */
static stream_chunk chunk_make(const dh_sha256_plan *plan, uint32_t first)
{
    stream_chunk chunk = {.first = first, .group = plan->group_of[first]};
    for (uint32_t g = chunk.group; g < plan->group_count && chunk.group_count < TASKS_AT_ONCE; g++) {
        uint32_t count = plan->group[g].first + plan->group[g].count - first;
        if (count > STREAMS_AT_ONCE && chunk.group_count > 0) {
            break;
        }
        chunk.count = count < STREAMS_AT_ONCE ? count : STREAMS_AT_ONCE;
        chunk.group_count++;
    }
    return chunk;
}

/* A block at the beginning or the end of a message, or behind it; the prefix is left zero. */
static void edge_make(const uint8_t *text, uint64_t text_size, uint32_t prefix_size, uint64_t position,
                      uint8_t edge[64])
{
    uint64_t message_size = prefix_size + text_size;
    uint64_t begin = position < prefix_size ? prefix_size - position : 0;
    uint64_t end = message_size > position ? message_size - position : 0;
    memset(edge, 0, 64);
    if (end >= 64) {
        end = 64;
    } else if (message_size >= position) {
        edge[end] = 0x80;
    }
    if (end > begin) {
        memcpy(edge + begin, text + (position + begin - prefix_size), end - begin);
    }
    if (message_size + 9 <= position + 64) {
        uint64_t bits = __builtin_bswap64(message_size * 8);
        memcpy(edge + 56, &bits, sizeof bits);
    }
}

/* Makes the schedules of the first block, where the streams of a group differ by the prefix. */
SHANI static void first_schedules_make(const dh_sha256_plan *plan, const stream_chunk *chunk,
                                       const uint8_t *text, uint64_t text_size, block_schedule *schedule)
{
    uint8_t block[64];
    for (uint32_t i = 0; i < chunk->count; i++) {
        uint32_t s = chunk->first + i;
        uint32_t prefix_size = plan->group[plan->group_of[s]].prefix_size;
        if (i == 0 || plan->group_of[s] != plan->group_of[s - 1]) {
            edge_make(text, text_size, prefix_size, 0, block);
        }
        __m128i prefix = swap_bytes(_mm_loadu_si128((const __m128i *)plan->prefix_word[s]));
        memcpy(block, &prefix, prefix_size);
        schedule_task task = {block, &schedule[i]};
        rounds_0_1(NULL, NULL, &task, 1);
    }
}

/* A chunk on its way over a text. */
typedef struct chunk_walk {
    const uint8_t *text;
    uint64_t text_size;
    const dh_sha256_group *group;
    uint32_t group_count;
    uint64_t block_count;  /* of the longest message */
    uint64_t whole_blocks; /* blocks before this one, except the first, are text only in every message */
    schedule_task task[TASKS_AT_ONCE];
    block_schedule schedule[TASKS_AT_ONCE]; /* by group, of the block whose rounds come next */
    uint8_t edge[TASKS_AT_ONCE][64];
} chunk_walk;

/* Lets the tasks make the schedules of block `block`; returns the number of blocks for which the tasks
 * can go on without a new call. */
static uint64_t walk_aim(chunk_walk *walk, uint64_t block)
{
    int whole = block > 0 && block < walk->whole_blocks;
    for (uint32_t k = 0; k < walk->group_count; k++) {
        uint32_t prefix_size = walk->group[k].prefix_size;
        if (whole) {
            walk->task[k].from = walk->text + (block * 64 - prefix_size);
        } else {
            edge_make(walk->text, walk->text_size, prefix_size, block * 64, walk->edge[k]);
            walk->task[k].from = walk->edge[k];
        }
    }
    return whole ? walk->whole_blocks - block : 1;
}

static void walk_begin(chunk_walk *walk, const dh_sha256_plan *plan, const stream_chunk *chunk,
                       const uint8_t *text, uint64_t text_size)
{
    walk->text = text;
    walk->text_size = text_size;
    walk->group = &plan->group[chunk->group];
    walk->group_count = chunk->group_count;
    /* groups are ordered by length */
    uint32_t shortest = walk->group[0].prefix_size;
    uint32_t longest = walk->group[chunk->group_count - 1].prefix_size;
    walk->block_count = dh_sha256_core_block_count(text_size + longest);
    walk->whole_blocks = (text_size + shortest) / 64;
    for (uint32_t k = 0; k < chunk->group_count; k++) {
        walk->task[k].out = &walk->schedule[k];
    }
}

SHANI static void chunk_hash(const dh_sha256_plan *plan, const stream_chunk *chunk, const uint8_t *text,
                             uint64_t text_size, stream_state *stream)
{
    chunk_walk walk;
    block_schedule first[STREAMS_AT_ONCE];
    const block_schedule *schedule[STREAMS_AT_ONCE];
    first_schedules_make(plan, chunk, text, text_size, first);
    walk_begin(&walk, plan, chunk, text, text_size);
    for (uint32_t i = 0; i < chunk->count; i++) {
        schedule[i] = &first[i];
    }
    uint32_t ended = 0; /* streams of the shorter group whose message ended a block before the others' */
    for (uint64_t block = 0; block < walk.block_count;) {
        uint64_t count = 1;
        uint32_t task_count = 0;
        if (block + 1 < walk.block_count) {
            task_count = chunk->group_count;
            count = walk_aim(&walk, block + 1);
            count = block == 0 ? 1 : count;
        }
        if (dh_sha256_core_block_count(text_size + walk.group[0].prefix_size) <= block) {
            ended = walk.group[1].first - chunk->first;
        }
        /* A chunk has streams that have not ended, so the entry is there. */
        rounds_copy[task_count][chunk->count - ended](/* NOLINT(clang-analyzer-core.CallAndMessage) */
                                                      stream + ended, schedule + ended, walk.task, count);
        if (block == 0) {
            for (uint32_t i = 0; i < chunk->count; i++) {
                schedule[i] = &walk.schedule[plan->group_of[chunk->first + i] - chunk->group];
            }
        }
        block += count;
    }
}

SHANI void dh_sha256_shani_document(const dh_sha256_plan *plan, const uint8_t *text, uint64_t text_size,
                                    uint8_t *digest)
{
    stream_state initial = state_load(dh_sha256_core_initial);
    for (uint32_t first = 0; first < plan->stream_count;) {
        stream_chunk chunk = chunk_make(plan, first);
        stream_state stream[STREAMS_AT_ONCE];
        for (uint32_t i = 0; i < chunk.count; i++) {
            stream[i] = initial;
        }
        chunk_hash(plan, &chunk, text, text_size, stream);
        for (uint32_t i = 0; i < chunk.count; i++) {
            uint32_t state[8];
            uint8_t *out = digest + plan->digest_at[first + i];
            state_store(stream[i], state);
            __m128i low = swap_bytes(_mm_loadu_si128((const __m128i *)state));
            __m128i high = swap_bytes(_mm_loadu_si128((const __m128i *)(state + 4)));
            _mm_storeu_si128((__m128i *)out, low);
            _mm_storeu_si128((__m128i *)(out + 16), high);
        }
        first += chunk.count;
    }
}

SHANI void dh_sha256_shani_blocks(uint32_t state[8], const uint8_t *bytes, uint64_t block_count)
{
    if (block_count == 0) {
        return;
    }
    stream_state stream = state_load(state);
    block_schedule made;
    const block_schedule *schedule = &made;
    schedule_task task = {bytes, &made};
    rounds_0_1(NULL, NULL, &task, 1);
    task.from = bytes + 64;
    rounds_1_1(&stream, &schedule, &task, block_count - 1);
    rounds_1_0(&stream, &schedule, NULL, 1);
    state_store(stream, state);
}

#endif
