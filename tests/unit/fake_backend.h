/* A device that does what a test asks for: results come late, memory is short, calls fail or never return.
 * What it computes the CPU backend computes, when the lane's time is over. It checks the rules of
 * kernels/backend.h on its callers. */
#ifndef DH_TESTS_FAKE_BACKEND_H
#define DH_TESTS_FAKE_BACKEND_H

#include "support.h"

#include "base/clock.h"
#include "kernels/backend.h"

#include <pthread.h>
#include <stdatomic.h>

typedef enum fake_short_of_memory { FAKE_AT_BEGIN = 0, FAKE_AT_KERNEL, FAKE_AT_POLL } fake_short_of_memory;
typedef enum fake_hang { FAKE_NO_HANG = 0, FAKE_HANG_POLL, FAKE_HANG_BEGIN, FAKE_HANG_CLOSE } fake_hang;

/* What the test asks for, and what was done. The worker's thread reads it at the same time. */
typedef struct fake_plan {
    _Atomic int open_status;
    const dh_profile_tables *no_room_for; /* cannot be loaded */
    _Atomic bool is_wrong;                /* SHA-256 gives something else */
    _Atomic uint64_t memory;              /* bytes of text that a lane has room for; 0: any */
    _Atomic uint32_t documents;           /* that a lane has room for; 0: any */
    _Atomic int short_of_memory_at;       /* fake_short_of_memory */
    _Atomic int lost_at;                  /* the call that fails, counted down; 0: none */
    _Atomic int hang;                     /* fake_hang */
    _Atomic unsigned microseconds;        /* that a batch takes, up to twice as long */

    _Atomic int opens, closes, begins, pins, unpins;
    _Atomic int broken_rules;

    pthread_mutex_t mutex;
    pthread_cond_t released;
    bool is_released; /* calls that hang return */
} fake_plan;

static fake_plan fake = {.mutex = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER};

static const dh_backend_kind fake_kind;

typedef struct fake_lane {
    bool is_busy;
    bool is_too_small;
    double ready_at;
    char *hex;
    dh_digest_out digest;
    dh_profile_out profile;
    bool has_digest, has_profile;
    dh_ngram_range range;
    uint32_t *ngrams;
    dh_minhash_options minhash_options;
    dh_minhash_out minhash;
    bool has_minhash;
    uint8_t *spelling_digest;
} fake_lane;

typedef struct fake_backend {
    dh_backend base;
    dh_backend *cpu;
    bool is_lost;
    uint32_t turn;
    fake_lane lane[DH_LANES_MAX];
} fake_backend;

static inline fake_backend *fake_of(const dh_lane *lane)
{
    return (fake_backend *)lane->backend;
}

static inline void fake_rule(bool holds)
{
    atomic_fetch_add(&fake.broken_rules, holds ? 0 : 1);
}

static inline void fake_block(void)
{
    (void)pthread_mutex_lock(&fake.mutex);
    while (!fake.is_released) {
        (void)pthread_cond_wait(&fake.released, &fake.mutex);
    }
    (void)pthread_mutex_unlock(&fake.mutex);
}

static inline void fake_release(void)
{
    (void)pthread_mutex_lock(&fake.mutex);
    fake.is_released = true;
    (void)pthread_cond_broadcast(&fake.released);
    (void)pthread_mutex_unlock(&fake.mutex);
}

/* Every call but close begins here. */
static inline bool fake_passes(fake_backend *backend)
{
    fake_rule(!backend->is_lost);
    const int left = atomic_load(&fake.lost_at);
    if (left > 0) {
        atomic_store(&fake.lost_at, left - 1);
        backend->is_lost = left == 1;
    }
    return !backend->is_lost;
}

static inline dh_backend_status fake_open(const dh_backend_options *options, dh_backend **out,
                                          char why[DH_BACKEND_TEXT])
{
    const dh_backend_status status = (dh_backend_status)atomic_load(&fake.open_status);
    *out = NULL;
    why[0] = '\0';
    if (status != DH_BACKEND_OK) {
        (void)snprintf(why, DH_BACKEND_TEXT, "no driver");
        return status;
    }
    fake_backend *backend = calloc(1, sizeof *backend);
    const dh_backend_options one_lane = {.lanes = 1};
    if (backend == NULL || dh_backend_cpu.open(&one_lane, &backend->cpu, why) != DH_BACKEND_OK) {
        free(backend);
        return DH_BACKEND_NO_MEMORY;
    }
    dh_backend_prepare(&backend->base, &fake_kind, options->lanes);
    atomic_fetch_add(&fake.opens, 1);
    *out = &backend->base;
    return DH_BACKEND_OK;
}

static inline void fake_close(dh_backend *base)
{
    fake_backend *backend = (fake_backend *)base;
    if (atomic_load(&fake.hang) == FAKE_HANG_CLOSE) {
        fake_block();
    }
    atomic_fetch_add(&fake.closes, 1);
    dh_backend_cpu.close(backend->cpu);
    free(backend);
}

static inline const char *fake_describe(const dh_backend *backend)
{
    (void)backend;
    return "a device of the test";
}

static inline const char *fake_error(const dh_backend *backend)
{
    return ((const fake_backend *)backend)->is_lost ? "it fell off the bus" : "";
}

static inline void fake_pin(dh_backend *backend, void *memory, size_t size)
{
    (void)backend;
    fake_rule(memory != NULL && size > 0);
    atomic_fetch_add(&fake.pins, 1);
}

static inline void fake_unpin(dh_backend *backend, void *memory)
{
    fake_rule(memory != NULL && !((fake_backend *)backend)->is_lost);
    atomic_fetch_add(&fake.unpins, 1);
}

static inline dh_backend_status fake_load(dh_backend *base, const dh_profile_tables *tables)
{
    fake_backend *backend = (fake_backend *)base;
    for (uint32_t l = 0; l < base->lane_count; l++) {
        fake_rule(!backend->lane[l].is_busy);
    }
    base->tables = tables;
    (void)dh_backend_cpu.load(backend->cpu, tables);
    return tables != NULL && tables == fake.no_room_for ? DH_BACKEND_NO_MEMORY : DH_BACKEND_OK;
}

static inline bool fake_fits(const dh_batch *batch)
{
    const uint64_t memory = atomic_load(&fake.memory);
    const uint32_t documents = atomic_load(&fake.documents);
    if (documents != 0 && batch->document_count > documents) {
        return false;
    }
    return memory == 0 || batch->text_offset[batch->document_count] - batch->text_offset[0] <= memory;
}

static inline dh_backend_status fake_begin(dh_lane *lane, const dh_batch *batch)
{
    fake_backend *backend = fake_of(lane);
    fake_lane *state = &backend->lane[lane->number];
    if (atomic_load(&fake.hang) == FAKE_HANG_BEGIN) {
        fake_block();
    }
    if (!fake_passes(backend)) {
        return DH_BACKEND_LOST;
    }
    fake_rule(!state->is_busy);
    atomic_fetch_add(&fake.begins, 1);
    const unsigned time = atomic_load(&fake.microseconds);
    /* Lanes end in another order than they began. */
    const double scatter = 1 + (double)(backend->turn++ * 7 % 11) / 11;
    *state = (fake_lane){.is_busy = true, .ready_at = dh_seconds() + 1e-6 * time * scatter};
    lane->batch = batch;
    state->is_too_small = !fake_fits(batch);
    const bool says = atomic_load(&fake.short_of_memory_at) == FAKE_AT_BEGIN;
    return state->is_too_small && says ? DH_BACKEND_NO_MEMORY : DH_BACKEND_OK;
}

/* A kernel is queued: NULL with *status when it is not. */
static inline fake_lane *fake_queue(const dh_lane *lane, dh_backend_status *status)
{
    fake_lane *state = &fake_of(lane)->lane[lane->number];
    *status = fake_passes(fake_of(lane)) ? DH_BACKEND_OK : DH_BACKEND_LOST;
    fake_rule(state->is_busy);
    if (state->is_too_small && atomic_load(&fake.short_of_memory_at) == FAKE_AT_KERNEL) {
        *status = DH_BACKEND_NO_MEMORY;
    }
    return *status == DH_BACKEND_OK ? state : NULL;
}

static inline dh_backend_status fake_sha256(dh_lane *lane, char *hex)
{
    dh_backend_status status = DH_BACKEND_OK;
    fake_lane *state = fake_queue(lane, &status);
    if (state != NULL) {
        state->hex = hex;
    }
    return status;
}

static inline dh_backend_status fake_digest(dh_lane *lane, const dh_digest_out *out)
{
    dh_backend_status status = DH_BACKEND_OK;
    fake_lane *state = fake_queue(lane, &status);
    if (state != NULL) {
        state->digest = *out;
        state->has_digest = true;
    }
    return status;
}

static inline dh_backend_status fake_profile(dh_lane *lane, const dh_profile_out *out)
{
    dh_backend_status status = DH_BACKEND_OK;
    fake_lane *state = fake_queue(lane, &status);
    if (state != NULL) {
        state->profile = *out;
        state->has_profile = true;
    }
    return status;
}

static inline dh_backend_status fake_ngrams(dh_lane *lane, dh_ngram_range range, uint32_t *hash)
{
    dh_backend_status status = DH_BACKEND_OK;
    fake_lane *state = fake_queue(lane, &status);
    if (state != NULL) {
        state->range = range;
        state->ngrams = hash;
    }
    return status;
}

static inline dh_backend_status fake_minhash(dh_lane *lane, const dh_minhash_options *options,
                                             const dh_minhash_out *out)
{
    dh_backend_status status = DH_BACKEND_OK;
    fake_lane *state = fake_queue(lane, &status);
    if (state != NULL) {
        state->minhash_options = *options;
        state->minhash = *out;
        state->has_minhash = true;
    }
    return status;
}

static inline dh_backend_status fake_sha256_spelling(dh_lane *lane, uint8_t *digest)
{
    dh_backend_status status = DH_BACKEND_OK;
    fake_lane *state = fake_queue(lane, &status);
    if (state != NULL) {
        state->spelling_digest = digest;
    }
    return status;
}

static inline void fake_compute(const fake_backend *backend, const fake_lane *state, const dh_batch *batch)
{
    dh_lane *cpu = &backend->cpu->lane[0];
    fake_rule(dh_backend_cpu.begin(cpu, batch) == DH_BACKEND_OK);
    if (state->hex != NULL) {
        fake_rule(dh_backend_cpu.sha256(cpu, state->hex) == DH_BACKEND_OK);
        state->hex[0] = atomic_load(&fake.is_wrong) ? 'x' : state->hex[0];
    }
    if (state->has_digest) {
        fake_rule(dh_backend_cpu.digest(cpu, &state->digest) == DH_BACKEND_OK);
    }
    if (state->has_profile) {
        fake_rule(dh_backend_cpu.profile(cpu, &state->profile) == DH_BACKEND_OK);
    }
    if (state->ngrams != NULL) {
        fake_rule(dh_backend_cpu.ngrams(cpu, state->range, state->ngrams) == DH_BACKEND_OK);
    }
    if (state->has_minhash) {
        fake_rule(dh_backend_cpu.minhash(cpu, &state->minhash_options, &state->minhash) == DH_BACKEND_OK);
    }
    if (state->spelling_digest != NULL) {
        fake_rule(dh_backend_cpu.sha256_spelling(cpu, state->spelling_digest) == DH_BACKEND_OK);
    }
}

static inline dh_backend_status fake_poll(dh_lane *lane)
{
    fake_backend *backend = fake_of(lane);
    fake_lane *state = &backend->lane[lane->number];
    if (!fake_passes(backend)) {
        return DH_BACKEND_LOST;
    }
    if (state->is_busy && (dh_seconds() < state->ready_at || atomic_load(&fake.hang) == FAKE_HANG_POLL)) {
        return DH_BACKEND_BUSY;
    }
    const bool is_too_small = state->is_too_small;
    if (state->is_busy && !is_too_small) {
        fake_compute(backend, state, lane->batch);
    }
    *state = (fake_lane){0};
    return is_too_small && atomic_load(&fake.short_of_memory_at) == FAKE_AT_POLL ? DH_BACKEND_NO_MEMORY
                                                                                 : DH_BACKEND_OK;
}

static const dh_backend_kind fake_kind = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .describe = fake_describe,
    .error = fake_error,
    .pin = fake_pin,
    .unpin = fake_unpin,
    .load = fake_load,
    .begin = fake_begin,
    .sha256 = fake_sha256,
    .digest = fake_digest,
    .profile = fake_profile,
    .ngrams = fake_ngrams,
    .minhash = fake_minhash,
    .sha256_spelling = fake_sha256_spelling,
    .poll = fake_poll,
};

#endif
