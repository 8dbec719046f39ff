/* dhatu: SHA-256 (FIPS 180-4), the reference text for every backend. See kernels/core.h for the subset
 * of C.
 *
 * A message here is prefix + text. The text of a block is fetched without the prefix, which is then
 * put into the first words: so prefixes of one length share what is fetched, and behind the first block
 * the schedule too. A kernel that hashes several names of one length keeps one `w`, and calls
 * dh_sha256_core_rounds for each name and dh_sha256_core_expand once, four times a block. */
#ifndef DH_KERNELS_SHA256_CORE_H
#define DH_KERNELS_SHA256_CORE_H

#include "kernels/core.h"

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractions of the cube roots of the first 64 primes. */
DH_CONSTANT_TABLE dh_u32 dh_sha256_core_k[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2};

/* FIPS 180-4, 5.3.3: the same of the square roots of the first 8 primes. */
DH_CONSTANT_TABLE dh_u32 dh_sha256_core_initial[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                                      0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

DH_FN dh_u32 dh_sha256_core_rotate(dh_u32 x, dh_u32 count)
{
    return (x >> count) | (x << (32U - count));
}

/* Blocks of a message of `size` bytes: the message, one byte 0x80, zeros, and 8 bytes of length. */
DH_FN dh_u64 dh_sha256_core_block_count(dh_u64 size)
{
    return (size + 8U) / 64U + 1U;
}

/* Sixteen rounds, from round `first` on, of the working variables v. */
DH_FN void dh_sha256_core_rounds(dh_u32 v[8], const dh_u32 w[16], dh_u32 first)
{
    DH_UNROLL
    for (dh_u32 t = 0; t < 16U; t++) {
        dh_u32 sum1 = dh_sha256_core_rotate(v[4], 6) ^ dh_sha256_core_rotate(v[4], 11) ^
                      dh_sha256_core_rotate(v[4], 25);
        dh_u32 choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        dh_u32 t1 = v[7] + sum1 + choice + dh_sha256_core_k[first + t] + w[t];
        dh_u32 sum0 = dh_sha256_core_rotate(v[0], 2) ^ dh_sha256_core_rotate(v[0], 13) ^
                      dh_sha256_core_rotate(v[0], 22);
        dh_u32 majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        v[7] = v[6];
        v[6] = v[5];
        v[5] = v[4];
        v[4] = v[3] + t1;
        v[3] = v[2];
        v[2] = v[1];
        v[1] = v[0];
        v[0] = t1 + sum0 + majority;
    }
}

/* The next sixteen words of the schedule in the place of the last sixteen. */
DH_FN void dh_sha256_core_expand(dh_u32 w[16])
{
    DH_UNROLL
    for (dh_u32 t = 0; t < 16U; t++) {
        dh_u32 w15 = w[(t + 1U) & 15U];
        dh_u32 w2 = w[(t + 14U) & 15U];
        dh_u32 s0 = dh_sha256_core_rotate(w15, 7) ^ dh_sha256_core_rotate(w15, 18) ^ (w15 >> 3);
        dh_u32 s1 = dh_sha256_core_rotate(w2, 17) ^ dh_sha256_core_rotate(w2, 19) ^ (w2 >> 10);
        w[t] += s0 + w[(t + 9U) & 15U] + s1;
    }
}

/* One block, already as big-endian words. Uses up w. */
DH_FN void dh_sha256_core_compress(dh_u32 state[8], dh_u32 w[16])
{
    dh_u32 v[8];
    DH_UNROLL
    for (dh_u32 i = 0; i < 8U; i++) {
        v[i] = state[i];
    }
    for (dh_u32 first = 0; first < 64U; first += 16U) {
        if (first != 0) {
            dh_sha256_core_expand(w);
        }
        dh_sha256_core_rounds(v, w, first);
    }
    DH_UNROLL
    for (dh_u32 i = 0; i < 8U; i++) {
        state[i] += v[i];
    }
}

/* The words of block `block` of a message of prefix_size bytes, here taken as zeros, and the text.
 * Reads the text only. */
DH_FN void dh_sha256_core_fetch(DH_GLOBAL const dh_u8 *text, dh_u64 text_size, dh_u32 prefix_size,
                                dh_u64 block, dh_u32 w[16])
{
    dh_u64 message_size = text_size + prefix_size;
    dh_u64 position = block * 64U;
    for (dh_u32 i = 0; i < 16U; i++) {
        dh_u32 word = 0;
        for (dh_u32 k = 0; k < 4U; k++, position++) {
            dh_u32 byte = 0;
            if (position >= prefix_size && position < message_size) {
                byte = text[position - prefix_size];
            } else if (position == message_size) {
                byte = 0x80U;
            }
            word = (word << 8) | byte;
        }
        w[i] = word;
    }
    if (block + 1U == dh_sha256_core_block_count(message_size)) {
        w[14] = (dh_u32)(message_size >> 29); /* the length in bits */
        w[15] = (dh_u32)(message_size << 3);
    }
}

/* Puts the prefix into the words of the first block. */
DH_FN void dh_sha256_core_put_prefix(DH_CONSTANT const dh_u8 *prefix, dh_u32 prefix_size, dh_u32 w[16])
{
    for (dh_u32 i = 0; i < prefix_size; i++) {
        w[i / 4U] |= (dh_u32)prefix[i] << (24U - 8U * (i % 4U));
    }
}

/* state = SHA-256(prefix text), as eight words. */
DH_FN void dh_sha256_core_message(DH_GLOBAL const dh_u8 *text, dh_u64 text_size,
                                  DH_CONSTANT const dh_u8 *prefix, dh_u32 prefix_size, dh_u32 state[8])
{
    dh_u32 w[16];
    dh_u64 block_count = dh_sha256_core_block_count(text_size + prefix_size);
    DH_UNROLL
    for (dh_u32 i = 0; i < 8U; i++) {
        state[i] = dh_sha256_core_initial[i];
    }
    for (dh_u64 block = 0; block < block_count; block++) {
        dh_sha256_core_fetch(text, text_size, prefix_size, block, w);
        if (block == 0) {
            dh_sha256_core_put_prefix(prefix, prefix_size, w);
        }
        dh_sha256_core_compress(state, w);
    }
}

#endif
