/* MinHash with AVX-512: 16 permutations a vector, up to 8 vectors in registers while the shingles of a window
 * go past them. A vector of permutations takes three operations a shingle; x is broadcast by the first of
 * them. */
#include "kernels/minhash_engine.h"

#if DH_MINHASH_X86

#include <immintrin.h>

#include "kernels/minhash_core.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

enum {
    LANES = 16,  /* permutations of a vector */
    HASHES = 8,  /* of a vector */
    VECTORS = 8, /* with flip, factor and least value of each, 24 of the 32 registers */
};

/* dh_shingle_x of 8 hashes. */
AVX512_INLINE __m256i mix(__m512i hash)
{
    hash = _mm512_mullo_epi64(_mm512_xor_si512(hash, _mm512_srli_epi64(hash, 30)),
                              _mm512_set1_epi64((long long)UINT64_C(0xBF58476D1CE4E5B9)));
    hash = _mm512_mullo_epi64(_mm512_xor_si512(hash, _mm512_srli_epi64(hash, 27)),
                              _mm512_set1_epi64((long long)UINT64_C(0x94D049BB133111EB)));
    return _mm512_cvtepi64_epi32(_mm512_srli_epi64(hash, 32));
}

AVX512_INLINE void mix_all(const uint64_t *hash, uint32_t count, uint32_t *x)
{
    uint32_t i = 0;
    for (; i + HASHES <= count; i += HASHES) {
        _mm256_storeu_si256((__m256i *)(x + i), mix(_mm512_loadu_si512(hash + i)));
    }
    if (i < count) {
        const __mmask8 some = (__mmask8)((1U << (count - i)) - 1U);
        _mm256_mask_storeu_epi32(x + i, some, mix(_mm512_maskz_loadu_epi64(some, hash + i)));
    }
}

/* `vectors` is a constant where this is called; the loops over them have a fixed number of turns, so that
 * every compiler unrolls them before it gives out registers. The last vector has the permutations of the
 * mask. */
AVX512_INLINE void fold_block(const uint32_t *x, uint32_t count, const uint32_t *flip, const uint32_t *factor,
                              uint32_t vectors, __mmask16 mask, uint32_t *signature)
{
    __m512i flips[VECTORS];
    __m512i factors[VECTORS];
    __m512i least[VECTORS];
    DH_UNROLL
    for (uint32_t v = 0; v < VECTORS; v++) {
        if (v < vectors) {
            const __mmask16 lanes = v + 1 < vectors ? (__mmask16)0xFFFF : mask;
            flips[v] = _mm512_maskz_loadu_epi32(lanes, flip + v * LANES);
            factors[v] = _mm512_maskz_loadu_epi32(lanes, factor + v * LANES);
            least[v] = _mm512_maskz_loadu_epi32(lanes, signature + v * LANES);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const __m512i all = _mm512_set1_epi32((int)x[i]);
        DH_UNROLL
        for (uint32_t v = 0; v < VECTORS; v++) {
            if (v < vectors) {
                least[v] = _mm512_min_epu32(least[v],
                                            _mm512_mullo_epi32(_mm512_xor_si512(all, flips[v]), factors[v]));
            }
        }
    }
    DH_UNROLL
    for (uint32_t v = 0; v < VECTORS; v++) {
        if (v < vectors) {
            const __mmask16 lanes = v + 1 < vectors ? (__mmask16)0xFFFF : mask;
            _mm512_mask_storeu_epi32(signature + v * LANES, lanes, least[v]);
        }
    }
}

AVX512 void dh_minhash_fold_avx512(const uint64_t *hash, uint32_t count, const dh_minhash_options *options,
                                   uint32_t *signature)
{
    uint32_t x[DH_MINHASH_WINDOW];
    mix_all(hash, count, x);
    for (uint32_t done = 0; done < options->permutations;) {
        const uint32_t left = options->permutations - done;
        const uint32_t taken = left < VECTORS * LANES ? left : VECTORS * LANES;
        const uint32_t in_last = taken - (taken - 1) / LANES * LANES;
        const __mmask16 mask = (__mmask16)((1U << in_last) - 1U);
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
            FOLD(4)
            FOLD(5)
            FOLD(6)
            FOLD(7)
        default: /* VECTORS */
            fold_block(x, count, flip, factor, VECTORS, mask, signature + done);
            break;
#undef FOLD
        }
        done += taken;
    }
}

#endif
