/* dhatu: the CPU backend. */
#include "kernels/backend.h"
#include "kernels/core.h"
#include "kernels/digest_core.h"
#include "kernels/profile_core.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cpu_backend {
    dh_backend base;
    dh_sha256_engine engine;
    char description[64];
} cpu_backend;

static const dh_sha256_prefix dhatu_prefix[DH_DHATUS] = {
    {8, "RELATE::"}, {7, "MODAL::"}, {7, "EXIST::"},  {6, "EVAL::"}, {6, "COMM::"},
    {7, "CAUSE::"},  {6, "ITER::"},  {8, "DECIDE::"}, {6, "FEEL::"},
};

static dh_backend_status cpu_open(int device, dh_backend **out)
{
    (void)device;
    cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL) {
        return DH_BACKEND_NO_MEMORY;
    }
    cpu->base.kind = &dh_backend_cpu;
    cpu->engine = dh_sha256_engine_best();
    (void)snprintf(cpu->description, sizeof cpu->description, "CPU, SHA-256 by %s",
                   dh_sha256_engine_name(cpu->engine));
    *out = &cpu->base;
    return DH_BACKEND_OK;
}

static void cpu_close(dh_backend *backend)
{
    free(backend);
}

static const char *cpu_describe(const dh_backend *backend)
{
    return ((const cpu_backend *)backend)->description;
}

static dh_backend_status cpu_sha256(dh_backend *backend, const dh_batch *batch,
                                    const dh_sha256_prefix *prefix, uint32_t prefix_count, uint8_t *digest)
{
    const cpu_backend *cpu = (const cpu_backend *)backend;
    /* One prefix is one stream: alone it waits for its own results on SHA-NI, while 16 lanes do not. */
    const bool lanes = prefix_count == 1 && dh_sha256_engine_is_available(DH_SHA256_AVX512);
    const dh_sha256_engine engine = lanes ? DH_SHA256_AVX512 : cpu->engine;
    dh_sha256_batch(engine, batch->text, batch->text_offset, batch->document_count, prefix, prefix_count,
                    digest);
    return DH_BACKEND_OK;
}

static void digest_document(const uint8_t *digest, uint32_t document, const dh_digest_out *out)
{
    uint32_t raw[DH_DHATUS];
    for (int d = 0; d < DH_DHATUS; d++) {
        const uint8_t *b = digest + d * DH_SHA256_SIZE;
        raw[d] = DH_DIGEST_RAW(b);
        out->raw[(uint64_t)document * DH_DHATUS + (uint64_t)d] = (uint16_t)raw[d];
    }
    double *prime = out->prime + (uint64_t)document * DH_DIGEST_PRIMES;
    dh_digest_primes(raw, prime);
    dh_digest_moments(prime, &out->entropy[document], &out->variance[document]);
    out->score[document] = 0.7 * out->entropy[document] + 0.3 * out->variance[document];
}

static dh_backend_status cpu_digest(dh_backend *backend, const dh_batch *batch, const dh_digest_out *out)
{
    const cpu_backend *cpu = (const cpu_backend *)backend;
    /* Windows wide enough for the SHA-256 engine to find texts of equal length; the digests of a
     * window are used while they are warm. */
    enum { WINDOW = 1024 };
    static _Thread_local uint8_t digest[WINDOW * DH_DHATUS * DH_SHA256_SIZE];
    for (uint32_t first = 0; first < batch->document_count; first += WINDOW) {
        const uint32_t left = batch->document_count - first;
        const uint32_t count = left < WINDOW ? left : WINDOW;
        dh_sha256_batch(cpu->engine, batch->text, batch->text_offset + first, count, dhatu_prefix, DH_DHATUS,
                        digest);
        for (uint32_t d = 0; d < count; d++) {
            digest_document(digest + (size_t)d * DH_DHATUS * DH_SHA256_SIZE, first + d, out);
        }
    }
    return DH_BACKEND_OK;
}

static void profile_finish(const dh_profile_tables *tables, const uint32_t *counts, uint64_t tokens,
                           uint32_t matched, uint32_t document, const dh_profile_out *out)
{
    const uint32_t categories = tables->category_count;
    double share[DH_CATEGORIES_MAX];
    dh_profile_shares(counts, categories, share);
    for (uint32_t d = 0; d < categories; d++) {
        out->profile[(uint64_t)document * categories + d] = (float)share[d];
    }
    dh_profile_primes(share, categories, out->prime + (uint64_t)document * DH_PRIMES);
    out->matched[document] = matched;
    out->coverage[document] = tokens > 0 ? (double)matched / (double)tokens : 0.0;
    out->ambiguity[document] = dh_profile_ambiguity(share, categories);
    out->variance[document] = dh_profile_variance(share, categories);
    if (out->code2 != NULL) {
        out->code2[document] = dh_profile_code(counts, categories, tokens, tables->denominator, 2);
    }
    if (out->code3 != NULL) {
        out->code3[document] = dh_profile_code(counts, categories, tokens, tables->denominator, 3);
    }
    if (out->code5 != NULL) {
        out->code5[document] = dh_profile_code(counts, categories, tokens, tables->denominator, 5);
    }
}

static dh_backend_status cpu_profile(dh_backend *backend, const dh_batch *batch,
                                     const dh_profile_tables *tables, const dh_profile_out *out)
{
    (void)backend;
    const uint32_t width = 2 * tables->category_count;
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t tokens = batch->token_offset[d + 1] - batch->token_offset[d];
        uint32_t *counts = out->counts + (uint64_t)d * width;
        memset(counts, 0, width * sizeof *counts);
        uint32_t matched = 0;
        if (batch->lexicon[d] < tables->lexicon_count) {
            const dh_profile_document document = {
                .token = batch->token + batch->token_offset[d],
                .hit = batch->prefix_hit + batch->prefix_hit_offset[d],
                .token_count = (uint32_t)tokens,
                .hit_count = (uint32_t)(batch->prefix_hit_offset[d + 1] - batch->prefix_hit_offset[d]),
                .lexicon = batch->lexicon[d],
            };
            matched = dh_profile_count(tables, &document, counts);
        }
        profile_finish(tables, counts, tokens, matched, d, out);
    }
    return DH_BACKEND_OK;
}

const dh_backend_kind dh_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .sha256 = cpu_sha256,
    .digest = cpu_digest,
    .profile = cpu_profile,
};
