/* dhatu: the hashed profile of a document (docs/jobs.md, "digest"). */
#include "jobs/job.h"

#include "base/buffer.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_RAW = 0, COLUMN_PRIME, COLUMN_ENTROPY, COLUMN_VARIANCE, COLUMN_SCORE, COLUMN_COUNT };

typedef struct digest_job {
    uint64_t raw_total[DH_DHATUS]; /* the accumulator */
} digest_job;

static dh_status digest_create(const dh_job_setup *setup, void **state)
{
    (void)setup;
    return dh_allocate(1, sizeof(digest_job), "the digest job", state);
}

static uint32_t digest_columns(const void *state, dh_column column[DH_JOB_COLUMNS_MAX])
{
    (void)state;
    column[COLUMN_RAW] = (dh_column){
        .place = DH_OBSM,
        .name = "digest",
        .type = DH_U16,
        .width = DH_DHATUS,
        .description =
            "hashed profile, raw weights: bytes 0, 5, 13, 21 and 29 of SHA-256(NAME::text), summed, "
            "for RELATE MODAL EXIST EVAL COMM CAUSE ITER DECIDE FEEL; divide by the row's sum for weights",
        .unit = "1"};
    column[COLUMN_PRIME] = (dh_column){
        .place = DH_OBSM,
        .name = "digest_prime",
        .type = DH_F64,
        .width = DH_DIGEST_PRIMES,
        .description = "prime-base activations of the hashed profile, for 2 3 5 7 11 13 17 19 23 29",
        .unit = "1"};
    column[COLUMN_ENTROPY] = (dh_column){.place = DH_OBS,
                                         .name = "digest_entropy",
                                         .type = DH_F64,
                                         .width = 1,
                                         .description = "entropy of the prime-base activations",
                                         .unit = "nat"};
    column[COLUMN_VARIANCE] = (dh_column){.place = DH_OBS,
                                          .name = "digest_variance",
                                          .type = DH_F64,
                                          .width = 1,
                                          .description = "population variance of the prime-base activations",
                                          .unit = "1"};
    column[COLUMN_SCORE] = (dh_column){.place = DH_OBS,
                                       .name = "digest_score",
                                       .type = DH_F64,
                                       .width = 1,
                                       .description = "0.7 digest_entropy + 0.3 digest_variance",
                                       .unit = "1"};
    return COLUMN_COUNT;
}

static dh_backend_status digest_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    (void)state;
    const dh_digest_out out = {
        .raw = column[COLUMN_RAW],
        .prime = column[COLUMN_PRIME],
        .entropy = column[COLUMN_ENTROPY],
        .variance = column[COLUMN_VARIANCE],
        .score = column[COLUMN_SCORE],
    };
    return lane->backend->kind->digest(lane, &out);
}

/* Known answers for "", "a" and "abc", computed from the definition with Python's hashlib and floats. */
enum { KNOWN = 3 };
static const char known_text[] = "aabc";
static const uint64_t known_offset[KNOWN + 1] = {0, 0, 1, 4};
static const uint16_t known_raw[KNOWN][DH_DHATUS] = {
    {643, 530, 493, 821, 476, 581, 650, 789, 510},
    {453, 572, 700, 518, 729, 686, 781, 702, 373},
    {868, 545, 196, 692, 514, 622, 514, 770, 761},
};
static const double known_entropy[KNOWN] = {0.5918878278651912, 0.593627652640302, 0.5893181263933283};
static const double known_variance[KNOWN] = {2.1128554985675778e+20, 1.1483959894602713e+20,
                                             4.553301481114042e+20};

static const double known_prime[KNOWN][DH_DIGEST_PRIMES] = {
    {1.4953577280174768, 3.960495175678136, 91.5800109229929, 15964.694156198799, 22929477.608410705,
     85363168.45603496, 709621665.0961224, 1711081056.229929, 7778102326.812124, 48995946163.09503},
    {1.4494015233949946, 4.278563656147987, 110.61915125136018, 19111.995647442873, 17254512.327529922,
     63903436.325353645, 527730210.63656145, 1269660361.4504898, 5752707113.659412, 36122684387.44614},
    {1.4795695001824152, 3.9715432323969355, 97.37504560379423, 13210.031740240787, 32679945.87595768,
     122549362.02079533, 1028429122.3454944, 2487881474.4699016, 11363849255.791317, 71924261719.09048},
};

static bool is_near(double got, double expected)
{
    return fabs(got - expected) <= 1e-12 * fabs(expected);
}

static bool primes_are_known(const double *prime, int k)
{
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        if (!is_near(prime[i], known_prime[k][i])) {
            return false;
        }
    }
    return true;
}

static dh_status digest_self_test(void *state, dh_backend *backend)
{
    uint16_t raw[KNOWN][DH_DHATUS] = {{0}};
    double prime[KNOWN][DH_DIGEST_PRIMES] = {{0}};
    double entropy[KNOWN] = {0};
    double variance[KNOWN] = {0};
    double score[KNOWN] = {0};
    void *const column[COLUMN_COUNT] = {raw, prime, entropy, variance, score};
    const dh_batch batch = {
        .document_count = KNOWN, .text = (const uint8_t *)known_text, .text_offset = known_offset};
    if (dh_job_compute(&dh_job_digest, state, backend, &batch, column) != DH_BACKEND_OK) {
        return dh_error(DH_INTERNAL, "job digest: backend %s failed on the known answers",
                        backend->kind->name);
    }
    for (int k = 0; k < KNOWN; k++) {
        if (memcmp(raw[k], known_raw[k], sizeof raw[k]) != 0 || !primes_are_known(prime[k], k) ||
            !is_near(entropy[k], known_entropy[k]) || !is_near(variance[k], known_variance[k]) ||
            !is_near(score[k], 0.7 * known_entropy[k] + 0.3 * known_variance[k])) {
            return dh_error(DH_INTERNAL,
                            "job digest: backend %s fails known answer %d (entropy %.17g, expected %.17g)",
                            backend->kind->name, k, entropy[k], known_entropy[k]);
        }
    }
    return DH_OK;
}

static dh_status digest_accumulate(void *state, const dh_rows *rows)
{
    digest_job *job = state;
    const uint16_t *raw = rows->column[COLUMN_RAW];
    for (uint32_t row = 0; row < rows->count; row++) {
        for (uint32_t d = 0; d < DH_DHATUS; d++) {
            job->raw_total[d] += raw[(size_t)row * DH_DHATUS + d];
        }
    }
    return DH_OK;
}

static void digest_accumulator(void *state, void **data, size_t *size)
{
    *data = state;
    *size = sizeof(digest_job);
}

static void digest_merge(void *state, const void *other)
{
    digest_job *job = state;
    for (int d = 0; d < DH_DHATUS; d++) {
        job->raw_total[d] += ((const digest_job *)other)->raw_total[d];
    }
}

static dh_status digest_emit(void *state, dh_emitter *emitter)
{
    const digest_job *job = state;
    const uint64_t dims[] = {DH_DHATUS};
    return emitter->array(emitter, "raw_total", DH_U64, dims, 1, job->raw_total,
                          "raw weights summed over the corpus, a dhatu each", "1");
}

const dh_job dh_job_digest = {
    .name = "digest",
    .summary = "hashed profile: nine SHA-256 a document, raw weights and prime-base activations",
    .create = digest_create,
    .free = free,
    .columns = digest_columns,
    .self_test = digest_self_test,
    .vectorise = digest_vectorise,
    .accumulate = digest_accumulate,
    .accumulator = digest_accumulator,
    .merge = digest_merge,
    .emit = digest_emit,
};
