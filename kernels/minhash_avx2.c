/* MinHash with AVX2: 8 permutations a vector, up to 4 vectors in registers while the shingles of a window go
 * past them. A vector of permutations takes three operations a shingle. */
#include "kernels/minhash_engine.h"

#if DH_MINHASH_X86

#include <immintrin.h>

#include "kernels/minhash_core.h"

#define AVX2 __attribute__((target("avx2,bmi,bmi2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

enum {
    LANES = 8,   /* permutations of a vector */
    VECTORS = 4, /* with flip, factor and least value of each, 12 of the 16 registers */
};

/* All bits of the first `count` lanes. */
AVX2_INLINE __m256i first_lanes(uint32_t count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* `vectors` is a constant where this is called; the loops over them have a fixed number of turns, so that
 * every compiler unrolls them before it gives out registers. The last vector has the permutations of the
 * mask. */
AVX2_INLINE void fold_block(const uint32_t *x, uint32_t count, const uint32_t *flip, const uint32_t *factor,
                            uint32_t vectors, __m256i mask, uint32_t *signature)
{
    __m256i flips[VECTORS];
    __m256i factors[VECTORS];
    __m256i least[VECTORS];
    DH_UNROLL
    for (uint32_t v = 0; v < VECTORS; v++) {
        if (v < vectors) {
            const __m256i lanes = v + 1 < vectors ? _mm256_set1_epi32(-1) : mask;
            flips[v] = _mm256_maskload_epi32((const int *)(flip + v * LANES), lanes);
            factors[v] = _mm256_maskload_epi32((const int *)(factor + v * LANES), lanes);
            least[v] = _mm256_maskload_epi32((const int *)(signature + v * LANES), lanes);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const __m256i all = _mm256_set1_epi32((int)x[i]);
        DH_UNROLL
        for (uint32_t v = 0; v < VECTORS; v++) {
            if (v < vectors) {
                least[v] = _mm256_min_epu32(least[v],
                                            _mm256_mullo_epi32(_mm256_xor_si256(all, flips[v]), factors[v]));
            }
        }
    }
    DH_UNROLL
    for (uint32_t v = 0; v < VECTORS; v++) {
        if (v < vectors) {
            const __m256i lanes = v + 1 < vectors ? _mm256_set1_epi32(-1) : mask;
            _mm256_maskstore_epi32((int *)(signature + v * LANES), lanes, least[v]);
        }
    }
}

AVX2 void dh_minhash_fold_avx2(const uint64_t *hash, uint32_t count, const dh_minhash_options *options,
                               uint32_t *signature)
{
    uint32_t x[DH_MINHASH_WINDOW];
    for (uint32_t i = 0; i < count; i++) {
        x[i] = dh_shingle_x(hash[i]);
    }
    for (uint32_t done = 0; done < options->permutations;) {
        const uint32_t left = options->permutations - done;
        const uint32_t taken = left < VECTORS * LANES ? left : VECTORS * LANES;
        const __m256i mask = first_lanes(taken - (taken - 1) / LANES * LANES);
        const uint32_t *flip = options->flip + done;
        const uint32_t *factor = options->factor + done;
        switch ((taken + LANES - 1) / LANES) {
#define FOLD(vectors)                                                                                        \
    case vectors:                                                                                            \
        fold_block(x, count, flip, factor, vectors, mask, signature + done);                                 \
        break;
            FOLD(1)
            FOLD(2)
            FOLD(3)
        default: /* VECTORS */
            fold_block(x, count, flip, factor, VECTORS, mask, signature + done);
            break;
#undef FOLD
        }
        done += taken;
    }
}

#endif
