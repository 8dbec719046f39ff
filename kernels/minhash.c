/* MinHash on CPUs. A window of shingles goes through two steps: their hashes, a chain of one multiplication
 * and one addition a shingle; then an engine keeps a few vectors of permutations in registers and runs all
 * shingles of the window past them. */
#include "kernels/minhash.h"

#include "kernels/backend.h"
#include "kernels/minhash_core.h"
#include "kernels/minhash_engine.h"

#include <stdbool.h>

/* The next number of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void dh_minhash_permutations(uint64_t seed, uint32_t permutations, uint32_t *flip, uint32_t *factor)
{
    for (uint32_t p = 0; p < permutations; p++) {
        const uint64_t random = next_random(&seed);
        flip[p] = (uint32_t)(random >> 32);
        factor[p] = (uint32_t)random | 1U;
    }
}

void dh_minhash_fold_portable(const uint64_t *hash, uint32_t count, const dh_minhash_options *options,
                              uint32_t *restrict signature)
{
    const uint32_t *flip = options->flip;
    const uint32_t *factor = options->factor;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t x = dh_shingle_x(hash[i]);
        for (uint32_t p = 0; p < options->permutations; p++) {
            const uint32_t value = dh_minhash_permute(x, flip[p], factor[p]);
            signature[p] = value < signature[p] ? value : signature[p];
        }
    }
}

dh_minhash_fold *dh_minhash_fold_of(uint32_t features)
{
#if DH_MINHASH_X86
    if ((features & DH_CPU_AVX512) != 0) {
        return dh_minhash_fold_avx512;
    }
    if ((features & DH_CPU_AVX2) != 0) {
        return dh_minhash_fold_avx2;
    }
#else
    (void)features;
#endif
    return dh_minhash_fold_portable;
}

/* The different shingles among those seen so far. */
typedef struct seen_shingles {
    uint32_t x[DH_SHINGLES_COUNTED_MAX];
    uint32_t count;
} seen_shingles;

/* The hashes of some shingles in a row. */
typedef struct shingle_window {
    uint64_t hash[DH_MINHASH_WINDOW];
    uint64_t next; /* of the shingle behind them; before the first window that of the first */
    uint32_t count;
} shingle_window;

static void see_window(const shingle_window *window, uint32_t counted, seen_shingles *seen)
{
    for (uint32_t i = 0; i < window->count && seen->count < counted; i++) {
        seen->count = dh_shingle_see(dh_shingle_x(window->hash[i]), seen->x, seen->count);
    }
}

/* The next window of a document of which `left` shingles are left; token: of the first of them. */
static void roll_window(const uint64_t *token, uint64_t left, uint32_t shingle_tokens, uint64_t power,
                        shingle_window *window)
{
    const uint32_t count = left < DH_MINHASH_WINDOW ? (uint32_t)left : DH_MINHASH_WINDOW;
    uint64_t hash = window->next;
    window->hash[0] = hash;
    for (uint32_t i = 1; i < count; i++) {
        hash = dh_shingle_next(hash, token[i - 1], token[i - 1 + shingle_tokens], power);
        window->hash[i] = hash;
    }
    if (count < left) {
        window->next = dh_shingle_next(hash, token[count - 1], token[count - 1 + shingle_tokens], power);
    }
    window->count = count;
}

void dh_minhash_batch(uint32_t features, const dh_batch *batch, const dh_minhash_options *options,
                      const dh_minhash_out *out)
{
    dh_minhash_fold *fold = dh_minhash_fold_of(features);
    const uint64_t power = dh_shingle_power(options->shingle_tokens);
    shingle_window window;
    seen_shingles seen;
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t *token = batch->token + batch->token_offset[d];
        uint64_t left =
            dh_shingle_count(batch->token_offset[d + 1] - batch->token_offset[d], options->shingle_tokens);
        uint32_t *signature = out->signature + (uint64_t)d * options->permutations;
        for (uint32_t p = 0; p < options->permutations; p++) {
            signature[p] = DH_MINHASH_NONE;
        }
        seen.count = 0;
        window.next = left > 0 ? dh_shingle_first(token, options->shingle_tokens) : 0;
        while (left > 0) {
            roll_window(token, left, options->shingle_tokens, power, &window);
            see_window(&window, options->counted, &seen);
            fold(window.hash, window.count, options, signature);
            token += window.count;
            left -= window.count;
        }
        out->shingles[d] = seen.count;
    }
}
