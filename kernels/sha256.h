/* dhatu: SHA-256 (FIPS 180-4) of many texts behind a few short prefixes.
 *
 * The digest job needs SHA-256(name "::" text) for nine names, and the text's own SHA-256. Prefixes of
 * equal length put the text at the same place of the message, so behind the first block their message
 * schedules are the same and are computed once. */
#ifndef DH_KERNELS_SHA256_H
#define DH_KERNELS_SHA256_H

#include <stdint.h>

enum { DH_SHA256_SIZE = 32, DH_SHA256_PREFIX_MAX = 16, DH_SHA256_PREFIXES_MAX = 16 };

typedef struct dh_sha256_prefix {
    uint8_t size; /* 0 to DH_SHA256_PREFIX_MAX */
    uint8_t bytes[DH_SHA256_PREFIX_MAX];
} dh_sha256_prefix;

/* The implementations. Which of them a machine can run is found out at run time. */
typedef enum dh_sha256_engine {
    DH_SHA256_SCALAR = 0,   /* the reference: kernels/sha256_core.h */
    DH_SHA256_SHANI,        /* x86 SHA extensions, one schedule for prefixes of equal length */
    DH_SHA256_AVX2,         /* 8 texts at a time, one schedule for prefixes of equal length */
    DH_SHA256_AVX512,       /* 16 texts at a time, the same; texts left over go to the SHA extensions */
    DH_SHA256_AVX512_ALONE, /* the same on processors without these */
    DH_SHA256_ENGINE_COUNT
} dh_sha256_engine;

const char *dh_sha256_engine_name(dh_sha256_engine engine); /* "scalar", "sha-ni", "avx2", "avx-512" */
int dh_sha256_engine_is_available(dh_sha256_engine engine);

/* The fastest engine for the digest job's prefixes with these features (DH_CPU_* of kernels/backend.h) as far
 * as this processor has them. Measured at the first call where there is a choice (about 0.5 ms), so two runs
 * may differ in it, but never in their digests. */
dh_sha256_engine dh_sha256_engine_of(uint32_t features);
dh_sha256_engine dh_sha256_engine_best(void); /* with all features of this processor */

/* The fastest for a single prefix: alone, a text waits for its own results on the SHA extensions, while lanes
 * do not. */
dh_sha256_engine dh_sha256_engine_lanes(uint32_t features);

/* digest[(d * prefix_count + p) * 32 ...] = SHA-256(prefix[p] text[d]) for documents d of
 * text[text_offset[d] .. text_offset[d+1]). Any length, also 0; text may be NULL if all are empty.
 * prefix_count at most DH_SHA256_PREFIXES_MAX. An engine that is not available is replaced by the best.
 * Never reads outside the texts; allocates nothing (under 64 KiB of stack). Threads may call it at the
 * same time. */
void dh_sha256_batch(dh_sha256_engine engine, const uint8_t *text, const uint64_t *text_offset,
                     uint32_t document_count, const dh_sha256_prefix *prefix, uint32_t prefix_count,
                     uint8_t *digest);

/* digest[d * 32 ...] = SHA-256(text[d] without its last `cut` bytes; of nothing where it has no more than
 * these), everything else as above. */
void dh_sha256_batch_cut(dh_sha256_engine engine, const uint8_t *text, const uint64_t *text_offset,
                         uint32_t document_count, uint32_t cut, uint8_t *digest);

/* One message in pieces, for checksums of files. */
typedef struct dh_sha256 {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64];
} dh_sha256;

void dh_sha256_begin(dh_sha256 *sha);
void dh_sha256_update(dh_sha256 *sha, const void *bytes,
                      uint64_t size); /* uses the best engine for whole blocks */
void dh_sha256_end(dh_sha256 *sha, uint8_t digest[DH_SHA256_SIZE]);

#endif
