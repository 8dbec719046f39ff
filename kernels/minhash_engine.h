/* dhatu: what kernels/minhash.c shares with the engines behind it, and with the CPU backend. */
#ifndef DH_KERNELS_MINHASH_ENGINE_H
#define DH_KERNELS_MINHASH_ENGINE_H

#include "kernels/batch.h"
#include "kernels/minhash.h"

/* -DDH_MINHASH_X86=0 builds what other processors get: the portable engine alone. */
#if !defined(DH_MINHASH_X86)
#if defined(__x86_64__) && defined(__GNUC__)
#define DH_MINHASH_X86 1
#else
#define DH_MINHASH_X86 0
#endif
#endif

/* The signatures and counts of a batch's documents, with these features (DH_CPU_* of kernels/backend.h, which
 * the processor has). */
void dh_minhash_batch(uint32_t features, const dh_batch *batch, const dh_minhash_options *options,
                      const dh_minhash_out *out);

/* Shingles that an engine takes at once. */
enum { DH_MINHASH_WINDOW = 512 };

/* Lowers the signature to the least values of `count` (at most DH_MINHASH_WINDOW) shingles with these hashes.
 */
typedef void dh_minhash_fold(const uint64_t *hash, uint32_t count, const dh_minhash_options *options,
                             uint32_t *signature);

/* The engine for these features. */
dh_minhash_fold *dh_minhash_fold_of(uint32_t features);

dh_minhash_fold dh_minhash_fold_portable;

#if DH_MINHASH_X86
dh_minhash_fold dh_minhash_fold_avx2, dh_minhash_fold_avx512;
#endif

#endif
