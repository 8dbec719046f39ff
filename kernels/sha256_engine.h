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
    uint32_t cut;                                    /* bytes at the end of each text that are left out */
} dh_sha256_plan;

/* The size of a text between two offsets, less what is left out. */
static inline uint64_t dh_sha256_text_size(const uint64_t offset[2], uint32_t cut)
{
    const uint64_t size = offset[1] - offset[0];
    return size > cut ? size - cut : 0;
}

typedef void dh_sha256_document(const dh_sha256_plan *plan, const uint8_t *text, uint64_t text_size,
                                uint8_t *digest);

/* Every digest of one text. */
dh_sha256_document dh_sha256_scalar_document;

#if DH_SHA256_X86

dh_sha256_document dh_sha256_shani_document;
void dh_sha256_shani_blocks(uint32_t state[8], const uint8_t *bytes, uint64_t block_count);

/* Engines that hash sets of texts, a lane each, take windows of texts ordered by size, so that the texts of a
 * set have nearly the same number of blocks. A text much longer than the others of its set would keep all
 * lanes busy for one: such texts, and too few texts for a set, are done alone. */
enum { DH_SHA256_WINDOW = 1024, DH_SHA256_LANES_MAX = 16 };
enum { DH_SHA256_COST_UNIT = 16 }; /* the cost of one block of one text done alone */

typedef struct dh_sha256_window {
    const uint8_t *text; /* of the batch */
    const uint64_t *offset;
    uint8_t *digest; /* of the first document of the window */
    uint32_t count;
    uint32_t cut;                     /* of the plan */
    uint32_t order[DH_SHA256_WINDOW]; /* documents, largest first */
} dh_sha256_window;

void dh_sha256_window_order(dh_sha256_window *window);
/* The size of the text that is at this place of the order. */
uint64_t dh_sha256_window_size(const dh_sha256_window *window, uint32_t place);
/* How many texts from `place` on are better done alone than as the first of a set of `lanes` texts, which
 * costs set_cost a block. */
uint32_t dh_sha256_window_singles(const dh_sha256_window *window, uint32_t place, uint32_t lanes,
                                  uint64_t set_cost);

/* Also faster here than one text at a time with the SHA extensions? Measured at the first call, in about
 * half a millisecond: with vector units of 256 bits (AMD Zen 4) the SHA extensions can win. */
int dh_sha256_avx512_is_best(void);
/* with_sha: texts done alone go to the SHA extensions. */
void dh_sha256_avx512_batch(const dh_sha256_plan *plan, int with_sha, const uint8_t *text,
                            const uint64_t *text_offset, uint32_t document_count, uint8_t *digest);

void dh_sha256_avx2_batch(const dh_sha256_plan *plan, const uint8_t *text, const uint64_t *text_offset,
                          uint32_t document_count, uint8_t *digest);

#endif

#endif
