/* dhatu: MurmurHash3 (x86, 32 bits, seed 0) of n-grams, the reference for every backend. One text for C, CUDA
 * and OpenCL; see kernels/core.h for the subset of C.
 *
 * The n-grams of several lengths that begin with one token are beginnings of each other: the state behind the
 * whole words (4 bytes) of the shorter is carried on to the longer, so all lengths cost little more than the
 * longest. */
#ifndef DH_KERNELS_NGRAMS_CORE_H
#define DH_KERNELS_NGRAMS_CORE_H

#include "kernels/ngrams.h"

DH_FN dh_u32 dh_murmur_rotate(dh_u32 x, dh_u32 bits)
{
    return (x << bits) | (x >> (32U - bits));
}

DH_FN dh_u32 dh_murmur_scramble(dh_u32 word)
{
    return dh_murmur_rotate(word * 0xCC9E2D51U, 15) * 0x1B873593U;
}

/* The state behind one more little-endian word. It begins as the seed, 0. */
DH_FN dh_u32 dh_murmur_add(dh_u32 state, dh_u32 word)
{
    return dh_murmur_rotate(state ^ dh_murmur_scramble(word), 13) * 5U + 0xE6546B64U;
}

/* tail: the 0 to 3 bytes behind the last whole word, as a little-endian word with zeros above. */
DH_FN dh_u32 dh_murmur_end(dh_u32 state, dh_u32 tail, dh_u32 size)
{
    dh_u32 hash = state ^ dh_murmur_scramble(tail) ^ size;
    hash = (hash ^ (hash >> 16)) * 0x85EBCA6BU;
    hash = (hash ^ (hash >> 13)) * 0xC2B2AE35U;
    return hash ^ (hash >> 16);
}

/* The first `count` (0 to 4) of these bytes as a little-endian word with zeros above. Reads no others. */
DH_FN dh_u32 dh_murmur_word(DH_GLOBAL const dh_u8 *bytes, dh_u32 count)
{
    dh_u32 word = 0;
    for (dh_u32 i = 0; i < count; i++) {
        word |= (dh_u32)bytes[i] << (8U * i);
    }
    return word;
}

/* The bytes of one text. */
DH_FN dh_u32 dh_murmur3(DH_GLOBAL const dh_u8 *bytes, dh_u32 size)
{
    dh_u32 state = 0;
    dh_u32 at = 0;
    for (; size - at >= 4U; at += 4U) {
        state = dh_murmur_add(state, dh_murmur_word(bytes + at, 4));
    }
    return dh_murmur_end(state, dh_murmur_word(bytes + at, size - at), size);
}

/* The hashes of the n-grams that begin with one token of a document (`tokens` of them; spelling and token_end
 * are those of the document, see dh_batch): hash[n - least], 0 where the document ends before the n-gram
 * does. */
DH_FN void dh_ngrams_token(DH_GLOBAL const dh_u8 *spelling, DH_GLOBAL const dh_u32 *token_end, dh_u64 tokens,
                           dh_u64 token, dh_u32 least, dh_u32 most, DH_GLOBAL dh_u32 *hash)
{
    const dh_u32 begin = token == 0 ? 0 : token_end[token - 1] + 1U;
    dh_u32 state = 0;
    dh_u32 at = begin;
    for (dh_u32 n = 1; n <= most; n++) {
        const int is_whole = token + n <= tokens;
        dh_u32 value = 0;
        if (is_whole) {
            const dh_u32 end = token_end[token + n - 1U];
            for (; end - at >= 4U; at += 4U) {
                state = dh_murmur_add(state, dh_murmur_word(spelling + at, 4));
            }
            value = dh_murmur_end(state, dh_murmur_word(spelling + at, end - at), end - begin);
        }
        if (n >= least) {
            hash[n - least] = value;
        }
    }
}

#endif
