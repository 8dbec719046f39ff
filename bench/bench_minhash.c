/* Rates of the kernels of the corpus jobs (MinHash, n-grams, SHA-256 of the spelling) on one core: MB of text
 * a second and documents a second, for documents of 1 KB and 8 KB, with all features of the processor and
 * without some, in turn; medians.
 *
 *     bench_minhash FILE [PERMUTATIONS]     FILE is plain text, cut into documents at byte counts
 *
 * The limit of MinHash: three operations (exclusive or, product, minimum) a permutation a shingle. It is
 * measured, too: the same operations over one window of shingles that stays in the first cache, and nothing
 * else. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kernels/backend.h"
#include "kernels/cpu.h"
#include "kernels/minhash_engine.h"
#include "text/tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 9,
    SHINGLE_TOKENS = 5,
    COUNTED = 5,
    PERMUTATIONS = 112,
    OPERATIONS = 3, /* a permutation a shingle */
    NGRAMS_MAX = 3,
    LIMIT_TURNS = 2000
};

/* What is switched off. */
typedef struct feature_set {
    const char *name;
    uint32_t without;
    dh_minhash_fold *fold; /* of MinHash; set when the backend is opened */
} feature_set;

static feature_set sets[] = {
    {"all", 0, NULL},
    {"no AVX-512", DH_CPU_AVX512, NULL},
    {"portable", DH_CPU_AVX512 | DH_CPU_AVX2 | DH_CPU_SHA, NULL},
};

enum { SETS = sizeof sets / sizeof sets[0] };

typedef struct bench_state {
    dh_buffer text;
    dh_token_sink sink;
    uint64_t *token_offset, *spelling_offset;
    uint32_t documents;
    dh_minhash_options minhash;
    dh_minhash_out out;
    uint32_t *hash;
    uint8_t *digest;
    dh_backend *backend[SETS];
} bench_state;

/* One kernel over the lane's batch. */
typedef struct bench_kernel {
    const char *name;
    dh_backend_status (*run)(dh_lane *lane, const bench_state *bench);
} bench_kernel;

static dh_backend_status run_minhash(dh_lane *lane, const bench_state *bench)
{
    return lane->backend->kind->minhash(lane, &bench->minhash, &bench->out);
}

static dh_backend_status run_ngrams(dh_lane *lane, const bench_state *bench, uint32_t most)
{
    const dh_ngram_range range = {1, most};
    return lane->backend->kind->ngrams(lane, range, bench->hash);
}

static dh_backend_status run_ngrams_1(dh_lane *lane, const bench_state *bench)
{
    return run_ngrams(lane, bench, 1);
}

static dh_backend_status run_ngrams_2(dh_lane *lane, const bench_state *bench)
{
    return run_ngrams(lane, bench, 2);
}

static dh_backend_status run_ngrams_3(dh_lane *lane, const bench_state *bench)
{
    return run_ngrams(lane, bench, NGRAMS_MAX);
}

static dh_backend_status run_sha256(dh_lane *lane, const bench_state *bench)
{
    return lane->backend->kind->sha256_spelling(lane, bench->digest);
}

static const bench_kernel kernels[] = {{"minhash", run_minhash},
                                       {"1-grams", run_ngrams_1},
                                       {"1- to 2-grams", run_ngrams_2},
                                       {"1- to 3-grams", run_ngrams_3},
                                       {"sha256 spelling", run_sha256}};

enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static int compare_doubles(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double seconds[ROUNDS])
{
    qsort(seconds, ROUNDS, sizeof *seconds, compare_doubles);
    return seconds[ROUNDS / 2];
}

/* Cuts the text at about size bytes, between code points, and tokenises the parts. */
static dh_status cut(bench_state *bench, uint64_t size)
{
    dh_tokenizer *tokenizer = NULL;
    DH_TRY(dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &tokenizer));
    bench->documents = 0;
    bench->sink.token_count = 0;
    bench->sink.spelling_size = 0;
    dh_status status = DH_OK;
    for (uint64_t from = 0; from < bench->text.size && status == DH_OK;) {
        uint64_t to = from + size < bench->text.size ? from + size : bench->text.size;
        while (to < bench->text.size && (bench->text.data[to] & 0xC0) == 0x80) {
            to++;
        }
        status = dh_tokenize(tokenizer, bench->text.data + from, to - from, &bench->sink);
        const uint32_t d = ++bench->documents;
        bench->token_offset[d] = bench->sink.token_count;
        bench->spelling_offset[d] = bench->sink.spelling_size;
        from = to;
    }
    dh_tokenizer_free(tokenizer);
    return status;
}

static double run_once(const bench_state *bench, dh_backend *backend, const bench_kernel *kernel)
{
    const dh_batch batch = {.document_count = bench->documents,
                            .token = bench->sink.token,
                            .token_offset = bench->token_offset,
                            .spelling = bench->sink.spelling,
                            .spelling_offset = bench->spelling_offset,
                            .token_end = bench->sink.token_end};
    dh_lane *lane = &backend->lane[0];
    const double start = dh_seconds();
    if (backend->kind->begin(lane, &batch) != DH_BACKEND_OK || kernel->run(lane, bench) != DH_BACKEND_OK ||
        dh_lane_wait(lane) != DH_BACKEND_OK) {
        (void)fprintf(stderr, "the CPU backend failed\n");
        exit(1);
    }
    return dh_seconds() - start;
}

/* A fold over one window, many times. */
static double run_limit(const bench_state *bench, dh_minhash_fold *fold)
{
    uint64_t hash[DH_MINHASH_WINDOW];
    memcpy(hash, bench->sink.token, sizeof hash);
    const double start = dh_seconds();
    for (int turn = 0; turn < LIMIT_TURNS; turn++) {
        fold(hash, DH_MINHASH_WINDOW, &bench->minhash, bench->out.signature);
    }
    return dh_seconds() - start;
}

static double operations_of(const bench_state *bench)
{
    double shingles = 0;
    for (uint32_t d = 0; d < bench->documents; d++) {
        const uint64_t tokens = bench->token_offset[d + 1] - bench->token_offset[d];
        shingles += tokens >= SHINGLE_TOKENS ? (double)(tokens - SHINGLE_TOKENS + 1) : 0;
    }
    return shingles * OPERATIONS * bench->minhash.permutations;
}

static void print_rate(const bench_state *bench, const char *kernel, const char *set, double seconds)
{
    printf("  %-16s %-11s %8.0f MB of text/s %11.0f documents/s %7.2f ns a token\n", kernel, set,
           (double)bench->text.size / 1e6 / seconds, (double)bench->documents / seconds,
           1e9 * seconds / (double)bench->sink.token_count);
}

static void print_limit(const bench_state *bench, const char *set, double seconds, double limit_seconds)
{
    const double done = operations_of(bench) / seconds;
    const double limit = (double)OPERATIONS * DH_MINHASH_WINDOW * LIMIT_TURNS *
                         (double)bench->minhash.permutations / limit_seconds;
    printf("  minhash          %-11s %8.1f of %.1f G operations/s (%.0f %%)\n", set, done / 1e9, limit / 1e9,
           100 * done / limit);
}

static dh_status measure(bench_state *bench, uint64_t size)
{
    static double seconds[KERNELS][SETS][ROUNDS];
    static double limit[SETS][ROUNDS];
    DH_TRY(cut(bench, size));
    if (bench->sink.token_count < DH_MINHASH_WINDOW) {
        return dh_error(DH_USAGE, "the file is too small to measure anything");
    }
    DH_TRY(dh_reallocate(bench->sink.token_count, NGRAMS_MAX * sizeof *bench->hash, "hashes",
                         (void **)&bench->hash));
    printf("documents of %" PRIu64 " bytes (%" PRIu32 "), %.2f bytes of text a token\n", size,
           bench->documents, (double)bench->text.size / (double)bench->sink.token_count);
    for (int turn = -1; turn < ROUNDS; turn++) { /* the first warms up */
        const int round = turn < 0 ? 0 : turn;
        for (uint32_t s = 0; s < SETS; s++) {
            for (uint32_t k = 0; k < KERNELS; k++) {
                seconds[k][s][round] = run_once(bench, bench->backend[s], &kernels[k]);
            }
            limit[s][round] = run_limit(bench, sets[s].fold);
        }
    }
    for (uint32_t k = 0; k < KERNELS; k++) {
        for (uint32_t s = 0; s < SETS; s++) {
            print_rate(bench, kernels[k].name, sets[s].name, median(seconds[k][s]));
        }
    }
    for (uint32_t s = 0; s < SETS; s++) { /* MinHash is the first kernel */
        print_limit(bench, sets[s].name, median(seconds[0][s]), median(limit[s]));
    }
    return DH_OK;
}

static dh_status open_backends(bench_state *bench)
{
    char why[DH_BACKEND_TEXT];
    for (uint32_t s = 0; s < SETS; s++) {
        const dh_backend_options options = {.lanes = 1, .cpu_without = sets[s].without};
        if (dh_backend_cpu.open(&options, &bench->backend[s], why) != DH_BACKEND_OK) {
            return dh_error(DH_NO_MEMORY, "the CPU backend: %s", why);
        }
        sets[s].fold = dh_minhash_fold_of(dh_cpu_features() & ~sets[s].without);
    }
    return DH_OK;
}

static dh_status allocate(bench_state *bench, uint32_t permutations, uint32_t **random)
{
    const size_t documents = bench->text.size / 1000 + 2;
    DH_TRY(dh_allocate(documents + 1, sizeof(uint64_t), "offsets", (void **)&bench->token_offset));
    DH_TRY(dh_allocate(documents + 1, sizeof(uint64_t), "offsets", (void **)&bench->spelling_offset));
    DH_TRY(dh_allocate(documents, permutations * sizeof(uint32_t), "signatures",
                       (void **)&bench->out.signature));
    DH_TRY(dh_allocate(documents, sizeof(uint32_t), "counts", (void **)&bench->out.shingles));
    DH_TRY(dh_allocate(documents, DH_SHA256_SIZE, "digests", (void **)&bench->digest));
    DH_TRY(dh_allocate(permutations, 2 * sizeof(uint32_t), "permutations", (void **)random));
    dh_minhash_permutations(1, permutations, *random, *random + permutations);
    bench->minhash =
        (dh_minhash_options){SHINGLE_TOKENS, permutations, COUNTED, *random, *random + permutations};
    return DH_OK;
}

static dh_status run(const char *path, uint32_t permutations)
{
    static const uint64_t sizes[] = {1000, 8000};
    bench_state bench = {.sink = {.token_limit = UINT32_MAX - 1, .keeps_spelling = true}};
    uint32_t *random = NULL;
    dh_status status = dh_file_read_all(path, UINT64_MAX, &bench.text);
    if (status == DH_OK) {
        status = allocate(&bench, permutations, &random);
    }
    if (status == DH_OK) {
        status = open_backends(&bench);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && status == DH_OK; i++) {
        status = measure(&bench, sizes[i]);
    }
    for (uint32_t s = 0; s < SETS; s++) {
        dh_backend_cpu.close(bench.backend[s]);
    }
    free(bench.token_offset);
    free(bench.spelling_offset);
    free(bench.out.signature);
    free(bench.out.shingles);
    free(bench.digest);
    free(bench.hash);
    free(random);
    dh_buffer_free(&bench.text);
    dh_token_sink_free(&bench.sink);
    return status;
}

int main(int argc, char **argv)
{
    const unsigned long permutations = argc == 3 ? strtoul(argv[2], NULL, 10) : PERMUTATIONS;
    if (argc < 2 || argc > 3 || permutations < 1 || permutations > DH_PERMUTATIONS_MAX) {
        (void)fprintf(stderr, "usage: bench_minhash FILE [PERMUTATIONS]\n");
        return 2;
    }
    return dh_status_exit_code(run(argv[1], (uint32_t)permutations));
}
