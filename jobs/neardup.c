/* dhatu: what near-duplicates are found by (docs/jobs.md, "neardup"): the MinHash signature of a document,
 * the digest of its tokens, and whether it has enough shingles. src/reduce/neardup.h does the rest. */
#include "jobs/job.h"

#include "base/log.h"
#include "kernels/sha256.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMN_SIGNATURE = 0, COLUMN_SPELLING, COLUMN_SHINGLES, COLUMN_COUNT };

typedef struct permutations {
    uint32_t flip[DH_PERMUTATIONS_MAX], factor[DH_PERMUTATIONS_MAX];
} permutations;

typedef struct neardup_job neardup_job;
struct neardup_job {
    dh_minhash_options options;
    bool keep; /* signatures are in the result */
    permutations permutations;
    neardup_job *known; /* what the known answers are computed with: backends may go on using its tables */
};

/* Known answers, computed from the definition with Python's integers and hashlib. */
enum {
    KNOWN = 4,
    KNOWN_PLACES = 6,
    KNOWN_TOKENS = 11,
    KNOWN_SHINGLE = 3,
    KNOWN_COUNTED = 2,
    KNOWN_SEED = 42
};
static const uint64_t known_token[KNOWN_TOKENS] = {1, 2, 3, 4, UINT64_MAX, 7, 7, 7, 7, 9, 2};
static const uint64_t known_token_offset[KNOWN + 1] = {0, 5, 5, 9, 11};
static const char known_spelling[] = "to be or not be la la la la so what ";
static const uint32_t known_token_end[KNOWN_TOKENS] = {2, 5, 8, 12, 15, 2, 5, 8, 11, 2, 7};
static const uint64_t known_spelling_offset[KNOWN + 1] = {0, 16, 16, 28, 36};

static const uint32_t known_signature[KNOWN][KNOWN_PLACES] = {
    {0x5CA61C25, 0x34C5EACB, 0x748DEC60, 0x494EDA79, 0x086754D0, 0x36B49030},
    {DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE},
    {0xCE363F83, 0xD9B4E5E6, 0x395BB032, 0x59ED4E06, 0xB27E18B1, 0x8F7407ED},
    {DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE, DH_MINHASH_NONE},
};
static const uint32_t known_shingles[KNOWN] = {KNOWN_COUNTED, 0, 1, 0};
static const char *const known_digest[KNOWN] = {
    "fe033b892a6c055c6e59986374ec80092a9bc795b61692445af2cde5507059fc",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "7c5bb053ad1e27a48b1f1bb5d45a846041ad29def81c12431b48c3b53284ff2d",
    "95b814a7bcbbf083e7448fbf1e252ea2e2597db51af2fbff72379c4fb8222bd6",
};

static void prepare(neardup_job *job, const dh_minhash_options *options, uint64_t seed)
{
    job->options = *options;
    job->options.flip = job->permutations.flip;
    job->options.factor = job->permutations.factor;
    dh_minhash_permutations(seed, options->permutations, job->permutations.flip, job->permutations.factor);
}

static void neardup_free(void *state)
{
    neardup_job *job = state;
    if (job != NULL) {
        free(job->known);
        free(job);
    }
}

static dh_status neardup_create(const dh_job_setup *setup, void **state)
{
    const dh_job_options *options = setup->options;
    const dh_minhash_options minhash = {
        .shingle_tokens = options->shingle_tokens,
        .permutations = options->bands * options->band_rows,
        .counted = options->min_shingles > 0 ? options->min_shingles : 1,
    };
    const dh_minhash_options known = {
        .shingle_tokens = KNOWN_SHINGLE, .permutations = KNOWN_PLACES, .counted = KNOWN_COUNTED};
    void *memory = NULL;
    void *known_memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(neardup_job), "the neardup job", &memory));
    neardup_job *job = memory;
    const dh_status status = dh_allocate(1, sizeof(neardup_job), "the neardup job", &known_memory);
    if (status != DH_OK) {
        neardup_free(job);
        return status;
    }
    job->known = known_memory;
    job->keep = options->keep_minhash;
    prepare(job, &minhash, options->minhash_seed);
    prepare(job->known, &known, KNOWN_SEED);
    *state = job;
    return DH_OK;
}

static uint32_t neardup_columns(const void *state, dh_column column[DH_JOB_COLUMNS_MAX])
{
    const neardup_job *job = state;
    column[COLUMN_SIGNATURE] = (dh_column){
        .place = job->keep ? DH_OBSM : DH_KEPT,
        .name = "minhash",
        .type = DH_U32,
        .width = job->options.permutations,
        .description =
            "MinHash signature of the document's shingles, band after band; 4294967295 in all places "
            "where it has none",
        .unit = "1"};
    column[COLUMN_SPELLING] =
        (dh_column){.place = DH_KEPT,
                    .name = "spelling_sha256",
                    .type = DH_U8,
                    .width = DH_SHA256_SIZE,
                    .description = "SHA-256 of the document's tokens, one space between",
                    .unit = "1"};
    column[COLUMN_SHINGLES] = (dh_column){
        .place = job->keep ? DH_OBS : DH_KEPT,
        .name = "shingles",
        .type = DH_U32,
        .width = 1,
        .description =
            "different shingles, as many as --min-shingles at most; with fewer only equal documents "
            "are duplicates",
        .unit = "shingles"};
    return COLUMN_COUNT;
}

static dh_backend_status neardup_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    const neardup_job *job = state;
    const dh_backend_kind *kind = lane->backend->kind;
    const dh_minhash_out out = {.signature = column[COLUMN_SIGNATURE], .shingles = column[COLUMN_SHINGLES]};
    const dh_backend_status status = kind->minhash(lane, &job->options, &out);
    return status == DH_BACKEND_OK ? kind->sha256_spelling(lane, column[COLUMN_SPELLING]) : status;
}

static bool is_known_digest(const uint8_t *digest, const char *hex)
{
    enum { DIGIT_BITS = 4, LOW_DIGIT = 15 };
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DH_SHA256_SIZE; i++) {
        if (hex[2 * i] != digits[digest[i] >> DIGIT_BITS] ||
            hex[2 * i + 1] != digits[digest[i] & LOW_DIGIT]) {
            return false;
        }
    }
    return true;
}

static dh_status neardup_self_test(void *state, dh_backend *backend)
{
    const neardup_job *job = state;
    uint32_t signature[KNOWN][KNOWN_PLACES] = {{0}};
    uint8_t digest[KNOWN][DH_SHA256_SIZE] = {{0}};
    uint32_t shingles[KNOWN] = {0};
    void *const column[COLUMN_COUNT] = {signature, digest, shingles};
    const dh_batch batch = {.document_count = KNOWN,
                            .token = known_token,
                            .token_offset = known_token_offset,
                            .spelling = (const uint8_t *)known_spelling,
                            .spelling_offset = known_spelling_offset,
                            .token_end = known_token_end};
    if (dh_job_compute(&dh_job_neardup, job->known, backend, &batch, column) != DH_BACKEND_OK) {
        return dh_error(DH_INTERNAL, "job neardup: backend %s failed on the known answers",
                        backend->kind->name);
    }
    for (int k = 0; k < KNOWN; k++) {
        for (int p = 0; p < KNOWN_PLACES; p++) {
            if (signature[k][p] != known_signature[k][p]) {
                return dh_error(DH_INTERNAL,
                                "job neardup: backend %s fails known answer %d: place %d of the signature is "
                                "%u, expected %u",
                                backend->kind->name, k, p, signature[k][p], known_signature[k][p]);
            }
        }
        if (shingles[k] != known_shingles[k] || !is_known_digest(digest[k], known_digest[k])) {
            return dh_error(DH_INTERNAL,
                            "job neardup: backend %s fails known answer %d: %u shingles (expected %u), or "
                            "another digest of its tokens than %s",
                            backend->kind->name, k, shingles[k], known_shingles[k], known_digest[k]);
        }
    }
    return DH_OK;
}

const dh_job dh_job_neardup = {
    .name = "neardup",
    .adds = "    obs/dup_exact        int64      first document with the same tokens; -1: there is no other\n"
            "    obs/dup_cluster      int64      first document of its cluster; -1: it is in none\n"
            "    obs/dup_size         uint64     documents of its cluster\n"
            "    obs/dup_keep         uint8      1: to be kept; 0: a duplicate\n"
            "    obs/dup_against      text       with --against: what it duplicates in the earlier result\n"
            "    obsm/minhash         uint32     with --minhash: the signature; obs/shingles beside it\n",
    .summary = "exact duplicates by SHA-256, near-duplicates by MinHash and bands, clusters of both",
    .uses_spelling = true,
    .create = neardup_create,
    .free = neardup_free,
    .columns = neardup_columns,
    .self_test = neardup_self_test,
    .vectorise = neardup_vectorise,
};
