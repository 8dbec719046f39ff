/* dhatu: what kernels/sha256.c shares with the engines behind it. Not for callers. */
#ifndef DH_KERNELS_SHA256_ENGINE_H
#define DH_KERNELS_SHA256_ENGINE_H

#include "kernels/sha256.h"

/* -DDH_SHA256_X86=0 builds what other processors get: the scalar engine alone. */
#if !defined(DH_SHA256_X86)
#if defined(__x86_64__) && defined(__GNUC__)
#define DH_SHA256_X86 1
#else
#define DH_SHA256_X86 0
#endif
#endif

/* A call's prefixes, ordered by length. A stream is one prefix; a group is the streams of one length,
 * which share fetched text and, behind the first block, the message schedule. */
typedef struct dh_sha256_group {
    uint32_t prefix_size;
    uint32_t first, count; /* streams first .. first + count - 1 */
} dh_sha256_group;

typedef struct dh_sha256_plan {
    uint32_t stream_count, group_count;
    uint32_t prefix_size_max;
    dh_sha256_group group[DH_SHA256_PREFIXES_MAX];
    uint32_t group_of[DH_SHA256_PREFIXES_MAX];       /* by stream */
    uint32_t digest_at[DH_SHA256_PREFIXES_MAX];      /* by stream: byte of its digest in a document's */
    uint32_t prefix_word[DH_SHA256_PREFIXES_MAX][4]; /* by stream: big-endian words, zeros behind */
    uint32_t digest_stride;                          /* bytes of a document's digests */
} dh_sha256_plan;

/* Every digest of one text. */
void dh_sha256_scalar_document(const dh_sha256_plan *plan, const uint8_t *text, uint64_t text_size,
                               uint8_t *digest);

#if DH_SHA256_X86

int dh_sha256_shani_is_available(void);
void dh_sha256_shani_document(const dh_sha256_plan *plan, const uint8_t *text, uint64_t text_size,
                              uint8_t *digest);
void dh_sha256_shani_blocks(uint32_t state[8], const uint8_t *bytes, uint64_t block_count);

int dh_sha256_avx512_is_available(void);
/* Also faster here than one text at a time? Measured at the first call, in about half a millisecond:
 * with vector units of 256 bits (AMD Zen 4) the SHA extensions can win. */
int dh_sha256_avx512_is_best(void);
void dh_sha256_avx512_batch(const dh_sha256_plan *plan, const uint8_t *text, const uint64_t *text_offset,
                            uint32_t document_count, uint8_t *digest);

#endif

#endif
