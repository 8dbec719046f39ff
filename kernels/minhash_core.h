/* dhatu: shingles and their MinHash, the reference for every backend. One text for C, CUDA and OpenCL; see
 * kernels/core.h for the subset of C.
 *
 * A kernel rolls the hash of the shingles along a part of a document (dh_shingle_first, dh_shingle_next),
 * makes x of each, and for each permutation keeps the least value. The least of parts is the least of their
 * least values: a document may be cut between threads at any shingle, as long as each part begins with
 * dh_shingle_first. */
#ifndef DH_KERNELS_MINHASH_CORE_H
#define DH_KERNELS_MINHASH_CORE_H

#include "kernels/minhash.h"

/* Shingles of a document with so many tokens. */
DH_FN dh_u64 dh_shingle_count(dh_u64 tokens, dh_u32 shingle_tokens)
{
    return tokens >= shingle_tokens ? tokens - shingle_tokens + 1 : 0;
}

/* DH_SHINGLE_FACTOR to the power shingle_tokens: what a token's hash was multiplied with when it leaves. */
DH_FN dh_u64 dh_shingle_power(dh_u32 shingle_tokens)
{
    dh_u64 power = 1;
    for (dh_u32 i = 0; i < shingle_tokens; i++) {
        power *= DH_SHINGLE_FACTOR;
    }
    return power;
}

/* The hash of the shingle that begins at this token. */
DH_FN dh_u64 dh_shingle_first(DH_GLOBAL const dh_u64 *token, dh_u32 shingle_tokens)
{
    dh_u64 hash = 0;
    for (dh_u32 i = 0; i < shingle_tokens; i++) {
        hash = hash * DH_SHINGLE_FACTOR + token[i];
    }
    return hash;
}

/* The hash of the shingle one token on. */
DH_FN dh_u64 dh_shingle_next(dh_u64 hash, dh_u64 leaving, dh_u64 entering, dh_u64 power)
{
    return hash * DH_SHINGLE_FACTOR + (entering - leaving * power);
}

/* 32 bits of the hash to which all of its bits contribute. The sum alone is linear: shingles that share
 * tokens would keep their differences through all permutations. The steps are those of SplitMix64 (Steele,
 * Lea and Flood 2014), of which the upper half is taken. */
DH_FN dh_u32 dh_shingle_x(dh_u64 hash)
{
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    hash = (hash ^ (hash >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (dh_u32)(hash >> 32);
}

DH_FN dh_u32 dh_minhash_permute(dh_u32 x, dh_u32 flip, dh_u32 factor)
{
    return (x ^ flip) * factor;
}

/* The signature of a document. */
DH_FN void dh_minhash_document(DH_GLOBAL const dh_u64 *token, dh_u64 tokens, dh_u32 shingle_tokens,
                               dh_u32 permutations, DH_GLOBAL const dh_u32 *flip,
                               DH_GLOBAL const dh_u32 *factor, DH_GLOBAL dh_u32 *signature)
{
    const dh_u64 shingles = dh_shingle_count(tokens, shingle_tokens);
    const dh_u64 power = dh_shingle_power(shingle_tokens);
    dh_u64 hash = 0;
    for (dh_u32 p = 0; p < permutations; p++) {
        signature[p] = DH_MINHASH_NONE;
    }
    for (dh_u64 i = 0; i < shingles; i++) {
        hash = i == 0 ? dh_shingle_first(token, shingle_tokens)
                      : dh_shingle_next(hash, token[i - 1], token[i - 1 + shingle_tokens], power);
        const dh_u32 x = dh_shingle_x(hash);
        for (dh_u32 p = 0; p < permutations; p++) {
            const dh_u32 value = dh_minhash_permute(x, flip[p], factor[p]);
            signature[p] = value < signature[p] ? value : signature[p];
        }
    }
}

/* Adds x to the different ones that were seen and says how many these are now. Not to be called when there
 * are already as many as are counted. */
DH_FN dh_u32 dh_shingle_see(dh_u32 x, dh_u32 *seen, dh_u32 count)
{
    for (dh_u32 i = 0; i < count; i++) {
        if (seen[i] == x) {
            return count;
        }
    }
    seen[count] = x;
    return count + 1U;
}

/* Different shingles of a document, or `counted` where there are as many or more. */
DH_FN dh_u32 dh_shingles_different(DH_GLOBAL const dh_u64 *token, dh_u64 tokens, dh_u32 shingle_tokens,
                                   dh_u32 counted)
{
    const dh_u64 shingles = dh_shingle_count(tokens, shingle_tokens);
    const dh_u64 power = dh_shingle_power(shingle_tokens);
    dh_u32 seen[DH_SHINGLES_COUNTED_MAX];
    dh_u32 count = 0;
    dh_u64 hash = 0;
    for (dh_u64 i = 0; i < shingles && count < counted; i++) {
        hash = i == 0 ? dh_shingle_first(token, shingle_tokens)
                      : dh_shingle_next(hash, token[i - 1], token[i - 1 + shingle_tokens], power);
        count = dh_shingle_see(dh_shingle_x(hash), seen, count);
    }
    return count;
}

#endif
