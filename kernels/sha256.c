#include "kernels/sha256.h"

#include <assert.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/cpu.h"
#include "kernels/sha256_core.h"
#include "kernels/sha256_engine.h"

/* -- which engines there are --------------------------------------------------------------------- */

const char *dh_sha256_engine_name(dh_sha256_engine engine)
{
    static const char *const name[DH_SHA256_ENGINE_COUNT] = {"scalar", "sha-ni", "avx2", "avx-512",
                                                             "avx-512 alone"};
    return (uint32_t)engine < DH_SHA256_ENGINE_COUNT ? name[engine] : "unknown";
}

/* The features without which an engine cannot run. */
static uint32_t features_of(dh_sha256_engine engine)
{
    static const uint32_t features[DH_SHA256_ENGINE_COUNT] = {0, DH_CPU_SHA, DH_CPU_AVX2,
                                                              DH_CPU_AVX512 | DH_CPU_SHA, DH_CPU_AVX512};
    return features[engine];
}

int dh_sha256_engine_is_available(dh_sha256_engine engine)
{
    return (uint32_t)engine < DH_SHA256_ENGINE_COUNT && (DH_SHA256_X86 || engine == DH_SHA256_SCALAR) &&
           (features_of(engine) & ~dh_cpu_features()) == 0;
}

dh_sha256_engine dh_sha256_engine_lanes(uint32_t features)
{
    features &= dh_cpu_features();
#if DH_SHA256_X86
    if ((features & DH_CPU_AVX512) != 0) {
        return (features & DH_CPU_SHA) != 0 ? DH_SHA256_AVX512 : DH_SHA256_AVX512_ALONE;
    }
    if ((features & DH_CPU_SHA) != 0) {
        return DH_SHA256_SHANI;
    }
    if ((features & DH_CPU_AVX2) != 0) {
        return DH_SHA256_AVX2;
    }
#endif
    return DH_SHA256_SCALAR;
}

dh_sha256_engine dh_sha256_engine_of(uint32_t features)
{
    dh_sha256_engine engine = dh_sha256_engine_lanes(features);
#if DH_SHA256_X86
    if (engine == DH_SHA256_AVX512 && !dh_sha256_avx512_is_best()) {
        engine = DH_SHA256_SHANI;
    }
#endif
    return engine;
}

dh_sha256_engine dh_sha256_engine_best(void)
{
    return dh_sha256_engine_of(dh_cpu_features());
}

/* -- many texts behind a few prefixes ------------------------------------------------------------ */

static void plan_make(const dh_sha256_prefix *prefix, uint32_t prefix_count, dh_sha256_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->digest_stride = prefix_count * DH_SHA256_SIZE;
    for (uint32_t size = 0; size <= DH_SHA256_PREFIX_MAX; size++) {
        dh_sha256_group group = {.prefix_size = size, .first = plan->stream_count};
        for (uint32_t p = 0; p < prefix_count; p++) {
            if (prefix[p].size != size) {
                continue;
            }
            uint32_t stream = plan->stream_count++;
            uint32_t word[16] = {0};
            dh_sha256_core_put_prefix(prefix[p].bytes, size, word);
            memcpy(plan->prefix_word[stream], word, sizeof plan->prefix_word[stream]);
            plan->group_of[stream] = plan->group_count;
            plan->digest_at[stream] = p * DH_SHA256_SIZE;
            group.count++;
        }
        if (group.count != 0) {
            plan->group[plan->group_count++] = group;
            plan->prefix_size_max = size;
        }
    }
    assert(plan->stream_count == prefix_count); /* no prefix is longer than DH_SHA256_PREFIX_MAX */
}

static void digest_store(const uint32_t state[8], uint8_t *digest)
{
    for (uint32_t i = 0; i < 8; i++) {
        digest[4 * i] = (uint8_t)(state[i] >> 24);
        digest[4 * i + 1] = (uint8_t)(state[i] >> 16);
        digest[4 * i + 2] = (uint8_t)(state[i] >> 8);
        digest[4 * i + 3] = (uint8_t)state[i];
    }
}

/* The first block differs between the streams of a group by the prefix. */
static void scalar_first_block(const dh_sha256_plan *plan, uint32_t stream, const uint32_t w[16],
                               uint32_t state[8])
{
    uint32_t own[16];
    memcpy(own, w, sizeof own);
    for (uint32_t i = 0; i < 4; i++) {
        own[i] |= plan->prefix_word[stream][i];
    }
    memcpy(state, dh_sha256_core_initial, sizeof dh_sha256_core_initial);
    dh_sha256_core_compress(state, own);
}

/* One block that is the same for `count` streams. Uses up w. */
static void scalar_shared_block(uint32_t (*state)[8], uint32_t count, uint32_t w[16])
{
    uint32_t v[DH_SHA256_PREFIXES_MAX][8];
    memcpy(v, state, count * sizeof v[0]);
    for (uint32_t first = 0; first < 64; first += 16) {
        if (first != 0) {
            dh_sha256_core_expand(w);
        }
        for (uint32_t s = 0; s < count; s++) {
            dh_sha256_core_rounds(v[s], w, first);
        }
    }
    for (uint32_t s = 0; s < count; s++) {
        for (uint32_t i = 0; i < 8; i++) {
            state[s][i] += v[s][i];
        }
    }
}

void dh_sha256_scalar_document(const dh_sha256_plan *plan, const uint8_t *text, uint64_t text_size,
                               uint8_t *digest)
{
    uint32_t state[DH_SHA256_PREFIXES_MAX][8];
    uint32_t w[16];
    for (uint32_t g = 0; g < plan->group_count; g++) {
        const dh_sha256_group *group = &plan->group[g];
        uint64_t block_count = dh_sha256_core_block_count(text_size + group->prefix_size);
        dh_sha256_core_fetch(text, text_size, group->prefix_size, 0, w);
        for (uint32_t s = 0; s < group->count; s++) {
            scalar_first_block(plan, group->first + s, w, state[s]);
        }
        for (uint64_t block = 1; block < block_count; block++) {
            dh_sha256_core_fetch(text, text_size, group->prefix_size, block, w);
            scalar_shared_block(state, group->count, w);
        }
        for (uint32_t s = 0; s < group->count; s++) {
            digest_store(state[s], digest + plan->digest_at[group->first + s]);
        }
    }
}

static void batch_hash(dh_sha256_engine engine, const uint8_t *text, const uint64_t *text_offset,
                       uint32_t document_count, const dh_sha256_plan *plan, uint8_t *digest)
{
    if (!dh_sha256_engine_is_available(engine)) {
        engine = dh_sha256_engine_best();
    }
    static const uint8_t nothing[1];
    if (text == NULL) {
        text = nothing; /* all texts are empty; no arithmetic on NULL */
    }
    dh_sha256_document *document = dh_sha256_scalar_document;
#if DH_SHA256_X86
    if (engine == DH_SHA256_AVX2) {
        dh_sha256_avx2_batch(plan, text, text_offset, document_count, digest);
        return;
    }
    if (engine == DH_SHA256_AVX512 || engine == DH_SHA256_AVX512_ALONE) {
        dh_sha256_avx512_batch(plan, engine == DH_SHA256_AVX512, text, text_offset, document_count, digest);
        return;
    }
    if (engine == DH_SHA256_SHANI) {
        document = dh_sha256_shani_document;
    }
#endif
    for (uint32_t d = 0; d < document_count; d++) {
        document(plan, text + text_offset[d], dh_sha256_text_size(text_offset + d, plan->cut),
                 digest + (uint64_t)d * plan->digest_stride);
    }
}

void dh_sha256_batch(dh_sha256_engine engine, const uint8_t *text, const uint64_t *text_offset,
                     uint32_t document_count, const dh_sha256_prefix *prefix, uint32_t prefix_count,
                     uint8_t *digest)
{
    assert(prefix_count <= DH_SHA256_PREFIXES_MAX);
    if (document_count == 0 || prefix_count == 0) {
        return;
    }
    dh_sha256_plan plan;
    plan_make(prefix, prefix_count, &plan);
    batch_hash(engine, text, text_offset, document_count, &plan, digest);
}

void dh_sha256_batch_cut(dh_sha256_engine engine, const uint8_t *text, const uint64_t *text_offset,
                         uint32_t document_count, uint32_t cut, uint8_t *digest)
{
    static const dh_sha256_prefix no_prefix = {0, {0}};
    if (document_count == 0) {
        return;
    }
    dh_sha256_plan plan;
    plan_make(&no_prefix, 1, &plan);
    plan.cut = cut;
    batch_hash(engine, text, text_offset, document_count, &plan, digest);
}

/* -- one message in pieces ----------------------------------------------------------------------- */

static void blocks_add(uint32_t state[8], const uint8_t *bytes, uint64_t block_count)
{
#if DH_SHA256_X86
    /* Sixteen lanes are of no use for one message. */
    if ((dh_cpu_features() & DH_CPU_SHA) != 0) {
        dh_sha256_shani_blocks(state, bytes, block_count);
        return;
    }
#endif
    uint32_t w[16];
    for (uint64_t block = 0; block < block_count; block++) {
        for (uint32_t i = 0; i < 16; i++, bytes += 4) {
            w[i] = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
                   (uint32_t)bytes[3];
        }
        dh_sha256_core_compress(state, w);
    }
}

void dh_sha256_begin(dh_sha256 *sha)
{
    memcpy(sha->state, dh_sha256_core_initial, sizeof sha->state);
    sha->size = 0;
}

void dh_sha256_update(dh_sha256 *sha, const void *bytes, uint64_t size)
{
    if (size == 0) {
        return; /* bytes may be NULL */
    }
    const uint8_t *next = bytes;
    uint64_t held = sha->size % 64;
    sha->size += size;
    if (held != 0) {
        uint64_t taken = size < 64 - held ? size : 64 - held;
        memcpy(sha->block + held, next, taken);
        next += taken;
        size -= taken;
        if (held + taken < 64) {
            return;
        }
        blocks_add(sha->state, sha->block, 1);
    }
    blocks_add(sha->state, next, size / 64);
    memcpy(sha->block, next + size / 64 * 64, size % 64);
}

void dh_sha256_end(dh_sha256 *sha, uint8_t digest[DH_SHA256_SIZE])
{
    uint64_t bits = sha->size * 8;
    uint64_t held = sha->size % 64;
    sha->block[held++] = 0x80;
    if (held > 56) {
        memset(sha->block + held, 0, 64 - held);
        blocks_add(sha->state, sha->block, 1);
        held = 0;
    }
    memset(sha->block + held, 0, 56 - held);
    for (uint32_t i = 0; i < 8; i++) {
        sha->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    blocks_add(sha->state, sha->block, 1);
    digest_store(sha->state, digest);
}
