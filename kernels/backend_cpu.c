/* dhatu: the CPU backend. */
#include "kernels/backend.h"
#include "kernels/core.h"
#include "kernels/cpu.h"
#include "kernels/digest_core.h"
#include "kernels/minhash_engine.h"
#include "kernels/ngrams_cpu.h"
#include "kernels/profile_cpu.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct cpu_backend {
    dh_backend base;
    uint32_t features;       /* DH_CPU_* that are used */
    dh_sha256_engine engine; /* of digest */
    dh_sha256_prefix prefix[DH_DHATUS];
    char description[DH_BACKEND_TEXT];
} cpu_backend;

/* ---- the machine ------------------------------------------------------------------------------------- */

static uint32_t cpu_devices(char why[DH_BACKEND_TEXT])
{
    why[0] = '\0';
    return 1;
}

/* The value of the first line of a file of /proc that begins with key. */
static void read_proc(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    while (file != NULL && out[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) == 0 && colon != NULL) {
            colon += 1 + strspn(colon + 1, " \t");
            (void)snprintf(out, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static uint64_t memory_of(const char *key)
{
    char value[64];
    read_proc("/proc/meminfo", key, value, sizeof value);
    return strtoull(value, NULL, 10) * 1024;
}

static dh_backend_status cpu_facts(uint32_t device, dh_device_facts *out)
{
    (void)device;
    *out = (dh_device_facts){.id = "cpu"};
    read_proc("/proc/cpuinfo", "model name", out->name, sizeof out->name);
    dh_cpu_features_text(dh_cpu_features(), out->level, sizeof out->level);
    out->memory = memory_of("MemTotal");
    out->memory_free = memory_of("MemAvailable");
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    out->units = cores > 0 ? (uint32_t)cores : 0;
    return DH_BACKEND_OK;
}

/* ---- open and close ---------------------------------------------------------------------------------- */

static void set_prefixes(cpu_backend *cpu)
{
    for (int d = 0; d < DH_DHATUS; d++) {
        const char *name = (const char *)dh_digest_prefix[d];
        cpu->prefix[d].size = (uint8_t)strlen(name);
        memcpy(cpu->prefix[d].bytes, name, cpu->prefix[d].size);
    }
}

static dh_backend_status cpu_open(const dh_backend_options *options, dh_backend **out,
                                  char why[DH_BACKEND_TEXT])
{
    why[0] = '\0';
    cpu_backend *cpu = calloc(1, sizeof *cpu);
    if (cpu == NULL) {
        (void)snprintf(why, DH_BACKEND_TEXT, "out of memory");
        return DH_BACKEND_NO_MEMORY;
    }
    dh_backend_prepare(&cpu->base, &dh_backend_cpu, options->lanes);
    cpu->features = dh_cpu_features() & ~options->cpu_without;
    cpu->engine = dh_sha256_engine_of(cpu->features);
    set_prefixes(cpu);
    char features[64];
    dh_cpu_features_text(cpu->features, features, sizeof features);
    (void)snprintf(cpu->description, sizeof cpu->description, "CPU (%s), SHA-256 by %s", features,
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

static const char *cpu_error(const dh_backend *backend)
{
    (void)backend;
    return "";
}

static void cpu_pin(dh_backend *backend, void *memory, size_t size)
{
    (void)backend;
    (void)memory;
    (void)size;
}

static void cpu_unpin(dh_backend *backend, void *memory)
{
    (void)backend;
    (void)memory;
}

static dh_backend_status cpu_load(dh_backend *backend, const dh_profile_tables *tables)
{
    backend->tables = tables;
    return DH_BACKEND_OK;
}

static dh_backend_status cpu_begin(dh_lane *lane, const dh_batch *batch)
{
    lane->batch = batch;
    return DH_BACKEND_OK;
}

static dh_backend_status cpu_poll(dh_lane *lane)
{
    (void)lane;
    return DH_BACKEND_OK;
}

/* ---- kernels ----------------------------------------------------------------------------------------- */

static dh_backend_status cpu_sha256(dh_lane *lane, char *hex)
{
    enum { WINDOW = 1024 };
    static _Thread_local uint8_t digest[WINDOW * DH_SHA256_SIZE];
    static const dh_sha256_prefix no_prefix = {0, {0}};
    static const char digit[16] = "0123456789abcdef";
    const dh_batch *batch = lane->batch;
    const dh_sha256_engine engine = dh_sha256_engine_lanes(((const cpu_backend *)lane->backend)->features);
    for (uint32_t first = 0; first < batch->document_count; first += WINDOW) {
        const uint32_t left = batch->document_count - first;
        const uint32_t count = left < WINDOW ? left : WINDOW;
        dh_sha256_batch(engine, batch->text, batch->text_offset + first, count, &no_prefix, 1, digest);
        for (size_t i = 0; i < (size_t)count * DH_SHA256_SIZE; i++) {
            hex[2 * i] = digit[digest[i] >> 4];
            hex[2 * i + 1] = digit[digest[i] & 15];
        }
        hex += (size_t)count * DH_SHA256_SIZE * 2;
    }
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
    out->score[document] = dh_digest_score(out->entropy[document], out->variance[document]);
}

static dh_backend_status cpu_digest(dh_lane *lane, const dh_digest_out *out)
{
    const cpu_backend *cpu = (const cpu_backend *)lane->backend;
    const dh_batch *batch = lane->batch;
    /* Windows wide enough for the SHA-256 engine to find texts of equal length; the digests of a
     * window are used while they are warm. */
    enum { WINDOW = 1024 };
    static _Thread_local uint8_t digest[WINDOW * DH_DHATUS * DH_SHA256_SIZE];
    for (uint32_t first = 0; first < batch->document_count; first += WINDOW) {
        const uint32_t left = batch->document_count - first;
        const uint32_t count = left < WINDOW ? left : WINDOW;
        dh_sha256_batch(cpu->engine, batch->text, batch->text_offset + first, count, cpu->prefix, DH_DHATUS,
                        digest);
        for (uint32_t d = 0; d < count; d++) {
            digest_document(digest + (size_t)d * DH_DHATUS * DH_SHA256_SIZE, first + d, out);
        }
    }
    return DH_BACKEND_OK;
}

static dh_backend_status cpu_profile(dh_lane *lane, const dh_profile_out *out)
{
    const dh_batch *batch = lane->batch;
    const dh_profile_tables *tables = lane->backend->tables;
    const uint32_t width = 2 * tables->category_count;
    double share[DH_CATEGORIES_MAX];
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
            matched = dh_profile_count_cpu(tables, &document, counts);
        }
        dh_profile_finish(tables, counts, tokens, matched, d, share, out);
    }
    return DH_BACKEND_OK;
}

static dh_backend_status cpu_ngrams(dh_lane *lane, dh_ngram_range range, uint32_t *hash)
{
    dh_ngrams_batch(((const cpu_backend *)lane->backend)->features, lane->batch, range, hash);
    return DH_BACKEND_OK;
}

static dh_backend_status cpu_minhash(dh_lane *lane, const dh_minhash_options *options,
                                     const dh_minhash_out *out)
{
    dh_minhash_batch(((const cpu_backend *)lane->backend)->features, lane->batch, options, out);
    return DH_BACKEND_OK;
}

static dh_backend_status cpu_sha256_spelling(dh_lane *lane, uint8_t *digest)
{
    const dh_batch *batch = lane->batch;
    const dh_sha256_engine engine = dh_sha256_engine_lanes(((const cpu_backend *)lane->backend)->features);
    dh_sha256_batch_cut(engine, batch->spelling, batch->spelling_offset, batch->document_count, 1, digest);
    return DH_BACKEND_OK;
}

const dh_backend_kind dh_backend_cpu = {
    .name = "cpu",
    .devices = cpu_devices,
    .facts = cpu_facts,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .error = cpu_error,
    .pin = cpu_pin,
    .unpin = cpu_unpin,
    .load = cpu_load,
    .begin = cpu_begin,
    .sha256 = cpu_sha256,
    .digest = cpu_digest,
    .profile = cpu_profile,
    .ngrams = cpu_ngrams,
    .minhash = cpu_minhash,
    .sha256_spelling = cpu_sha256_spelling,
    .poll = cpu_poll,
};
