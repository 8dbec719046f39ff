/* Rates of the kernels on every backend and set of processor features: MB of text and documents a second, for
 * documents of 1,000 and 8,000 bytes.
 *
 *     bench_kernels [--backend NAME] [--batch MB] [--rounds N] [--lanes N]
 *
 * Texts, tokens and lexicon are made up: a token for six bytes, one in four passes the filter of what may
 * begin a term, one in sixteen has prefixes. ngrams are of one and two tokens, minhash has 112 permutations
 * of shingles of five. Rates are of the text, also of kernels that read tokens or their spelling. The targets
 * run in turn, and the medians are printed. A processor's rates are those of one core.
 *
 * Devices have two lines: "all lanes", end to end with copies in both directions, and "resident", of further
 * runs on a batch that the device already has: the kernels and the copies of their results.
 *
 * The limits that a rate can be held against come first: what memory copies, what the SHA-256 engines hash of
 * long texts, what goes over the link to a device. */
#include "kernels/cpu.h"
#include "kernels/device.h"
#include "tests/kernel_diff/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef DH_BENCH_OPENSSL
#include <openssl/evp.h>
#endif

enum {
    TARGETS_MAX = 32,
    ROUNDS_MAX = 99,
    JOBS = 6,
    REPEATS = 5,  /* of a kernel on a resident batch */
    STREAMED = 4, /* batches a lane in a run end to end */
    BYTES_A_TOKEN = 6,
    LANE_BATCHES = 12, /* text, tokens, prefixes, spelling, and the results of all repeats */
    CATEGORIES = 9,
    PERMUTATIONS = 112,
    SHINGLE_TOKENS = 5,
    SHINGLES_COUNTED = 5
};

enum { JOB_SHA256 = 0, JOB_DIGEST, JOB_PROFILE, JOB_NGRAMS, JOB_MINHASH, JOB_SPELLING };

static const char *const job_name[JOBS] = {"sha256", "digest",  "profile",
                                           "ngrams", "minhash", "sha256_spelling"};

/* Words, and pairs of them. */
static const dh_ngram_range ngram_range = {1, 2};

typedef struct bench_options {
    const char *backend;
    uint64_t batch_bytes;
    uint32_t rounds, lanes;
} bench_options;

static double seconds_now(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void stop(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_kernels: %s: %s\n", what, why);
    exit(1);
}

static int compare_doubles(const void *left, const void *right)
{
    const double l = *(const double *)left;
    const double r = *(const double *)right;
    return (l > r) - (l < r);
}

static double median(double *value, uint32_t count)
{
    qsort(value, count, sizeof *value, compare_doubles);
    return value[count / 2];
}

/* ---- work -------------------------------------------------------------------------------------------- */

/* Inputs and outputs stand in one block each, which a device pins: it copies from and to other memory while
 * the program waits. */
enum { BLOCK_ALIGNMENT = 4096 };

typedef struct block {
    uint8_t *memory;
    size_t size, used;
} block;

static block block_create(size_t size)
{
    block made = {.memory = aligned_alloc(BLOCK_ALIGNMENT, (size / BLOCK_ALIGNMENT + 1) * BLOCK_ALIGNMENT),
                  .size = (size / BLOCK_ALIGNMENT + 1) * BLOCK_ALIGNMENT};
    if (made.memory == NULL) {
        stop("a batch", "out of memory");
    }
    memset(made.memory, 0, made.size); /* else the first round waits for the pages */
    return made;
}

/* The next part of the block, with room for `count` values of `size` bytes. */
static void *carve(block *from, size_t count, size_t size)
{
    void *part = from->memory + from->used;
    from->used += (count * size + 63) / 64 * 64;
    if (from->used > from->size) {
        stop("a batch", "larger than its block");
    }
    return part;
}

static void *carve_copy(block *from, const void *bytes, size_t count, size_t size)
{
    void *part = carve(from, count, size);
    return count > 0 ? memcpy(part, bytes, count * size) : part;
}

typedef struct outputs {
    block block;
    char *hex;
    dh_digest_out digest;
    dh_profile_out profile;
    uint32_t *ngrams;
    dh_minhash_out minhash;
    uint8_t *spelling_digest;
} outputs;

typedef struct workload {
    block block;
    dh_batch batch;
    uint64_t document_size, text_bytes, tokens, hits;
    outputs lane[DH_LANES_MAX];
    uint32_t flip[PERMUTATIONS], factor[PERMUTATIONS];
    dh_minhash_options minhash;
} workload;

static outputs outputs_create(size_t n, uint64_t tokens)
{
    enum { PARTS = 20, OF_A_DOCUMENT = 1024 };
    const size_t ngrams = (size_t)tokens * dh_ngram_lengths(ngram_range);
    block all = block_create(n * OF_A_DOCUMENT + ngrams * sizeof(uint32_t) + (size_t)PARTS * 64);
    outputs made = {.hex = carve(&all, n, 64),
                    .digest = {.raw = carve(&all, n, DH_DHATUS * sizeof(uint16_t)),
                               .prime = carve(&all, n, DH_DIGEST_PRIMES * sizeof(double)),
                               .entropy = carve(&all, n, sizeof(double)),
                               .variance = carve(&all, n, sizeof(double)),
                               .score = carve(&all, n, sizeof(double))},
                    .profile = {.counts = carve(&all, n, 2 * CATEGORIES * sizeof(uint32_t)),
                                .profile = carve(&all, n, CATEGORIES * sizeof(float)),
                                .prime = carve(&all, n, DH_PRIMES * sizeof(double)),
                                .matched = carve(&all, n, sizeof(uint32_t)),
                                .coverage = carve(&all, n, sizeof(double)),
                                .ambiguity = carve(&all, n, sizeof(double)),
                                .variance = carve(&all, n, sizeof(double)),
                                .code2 = carve(&all, n, sizeof(uint64_t)),
                                .code3 = carve(&all, n, sizeof(uint64_t)),
                                .code5 = carve(&all, n, sizeof(uint64_t))},
                    .ngrams = carve(&all, ngrams, sizeof(uint32_t)),
                    .minhash = {.signature = carve(&all, n, PERMUTATIONS * sizeof(uint32_t)),
                                .shingles = carve(&all, n, sizeof(uint32_t))},
                    .spelling_digest = carve(&all, n, DH_SHA256_SIZE)};
    made.block = all;
    return made;
}

static sample_batch *make_documents(const sample_set *set, uint64_t document_size, uint64_t documents)
{
    enum { TERMS_IN_256 = 40 };
    sample_batch *batch = sample_batch_create();
    for (uint64_t d = 0; d < documents; d++) {
        /* Lengths differ a little, as those of texts do. */
        const uint64_t size = document_size - 32 + sample_below(65);
        const sample_document one = {
            .text_size = size, .token_count = (uint32_t)(size / BYTES_A_TOKEN), .terms_in_256 = TERMS_IN_256};
        sample_batch_add(batch, set, &one);
    }
    return batch;
}

/* The batch in one block. */
static dh_batch copy_batch(block *to, const sample_batch *from)
{
    const uint32_t documents = from->view.document_count;
    const size_t offsets = (size_t)documents + 1;
    const size_t tokens = from->token_offset[documents];
    return (dh_batch){.document_count = documents,
                      .text = carve_copy(to, from->text, from->text_offset[documents], 1),
                      .text_offset = carve_copy(to, from->text_offset, offsets, sizeof(uint64_t)),
                      .token = carve_copy(to, from->token, tokens, sizeof(uint64_t)),
                      .token_offset = carve_copy(to, from->token_offset, offsets, sizeof(uint64_t)),
                      .prefix_hit = carve_copy(to, from->prefix_hit, from->prefix_hit_offset[documents],
                                               sizeof(dh_prefix_hit)),
                      .prefix_hit_offset = carve_copy(to, from->prefix_hit_offset, offsets, sizeof(uint64_t)),
                      .lexicon = carve_copy(to, from->lexicon, documents, sizeof(uint16_t)),
                      .spelling = carve_copy(to, from->spelling, from->spelling_offset[documents], 1),
                      .spelling_offset = carve_copy(to, from->spelling_offset, offsets, sizeof(uint64_t)),
                      .token_end = carve_copy(to, from->token_end, tokens, sizeof(uint32_t))};
}

static workload *workload_create(const sample_set *set, uint64_t document_size, const bench_options *options)
{
    enum {
        PARTS = 10,
        OF_A_DOCUMENT = 34 /* its offsets and lexicon */,
        OF_A_TOKEN = 12,
        PERMUTATION_SEED = 1
    };
    const uint64_t documents = options->batch_bytes / document_size;
    sample_batch *from = make_documents(set, document_size, documents);
    workload *made = sample_allocate(1, sizeof *made);
    *made = (workload){.document_size = document_size,
                       .text_bytes = from->text_offset[documents],
                       .tokens = from->token_offset[documents],
                       .hits = from->prefix_hit_offset[documents]};
    made->block = block_create(made->text_bytes + from->spelling_offset[documents] +
                               made->tokens * OF_A_TOKEN + made->hits * sizeof(dh_prefix_hit) +
                               (documents + 1) * OF_A_DOCUMENT + (size_t)PARTS * 64);
    made->batch = copy_batch(&made->block, from);
    sample_batch_free(from);
    dh_minhash_permutations(PERMUTATION_SEED, PERMUTATIONS, made->flip, made->factor);
    made->minhash = (dh_minhash_options){.shingle_tokens = SHINGLE_TOKENS,
                                         .permutations = PERMUTATIONS,
                                         .counted = SHINGLES_COUNTED,
                                         .flip = made->flip,
                                         .factor = made->factor};
    for (uint32_t l = 0; l < options->lanes; l++) {
        made->lane[l] = outputs_create(documents, made->tokens);
    }
    return made;
}

static void workload_free(workload *work)
{
    for (uint32_t l = 0; l < DH_LANES_MAX; l++) {
        free(work->lane[l].block.memory);
    }
    free(work->block.memory);
    free(work);
}

/* ---- targets ----------------------------------------------------------------------------------------- */

typedef struct target {
    dh_backend *backend; /* NULL: OpenSSL */
    char label[64];
    bool is_device;
    double streamed[JOBS][ROUNDS_MAX]; /* seconds a batch; 0: not measured */
    double resident[JOBS][ROUNDS_MAX];
} target;

typedef struct targets {
    target item[TARGETS_MAX];
    uint32_t count;
} targets;

static void add_target(targets *all, const dh_backend_kind *kind, uint32_t device, uint32_t without,
                       const bench_options *options, const char *label)
{
    char why[DH_BACKEND_TEXT] = "";
    if (all->count == TARGETS_MAX) {
        stop(label, "there are more backends than this program has room for");
    }
    target *made = &all->item[all->count];
    const bool is_device = kind != &dh_backend_cpu;
    const dh_backend_options open = {
        .device = device,
        .lanes = is_device ? options->lanes : 1,
        .lane_bytes = LANE_BATCHES * options->batch_bytes,
        .cpu_without = without,
    };
    if (kind->open(&open, &made->backend, why) != DH_BACKEND_OK) {
        printf("%s: cannot be opened: %s\n", label, why);
        return;
    }
    (void)snprintf(made->label, sizeof made->label, "%s", label);
    made->is_device = is_device;
    all->count++;
    if (is_device) {
        printf("%s: %s\n", label, kind->describe(made->backend));
    }
}

static void add_cpu(targets *all, const bench_options *options)
{
    const uint32_t features = dh_cpu_features();
    for (uint32_t without = 0; without <= features; without++) {
        if ((without & features) == without) {
            char text[48];
            char label[64];
            dh_cpu_features_text(features & ~without, text, sizeof text);
            (void)snprintf(label, sizeof label, "cpu %s", text);
            add_target(all, &dh_backend_cpu, 0, without, options, label);
        }
    }
}

static void add_devices(targets *all, const dh_backend_kind *kind, const bench_options *options)
{
    char why[DH_BACKEND_TEXT] = "";
    if (kind->not_built != NULL) {
        printf("%s: %s\n", kind->name, kind->not_built);
        return;
    }
    const uint32_t devices = kind->devices(why);
    if (devices == 0) {
        printf("%s: %s\n", kind->name, why);
    }
    for (uint32_t d = 0; d < devices; d++) {
        char label[64];
        (void)snprintf(label, sizeof label, "%s %u", kind->name, d);
        add_target(all, kind, d, 0, options, label);
    }
}

static void add_targets(targets *all, const bench_options *options)
{
    for (size_t k = 0; dh_backend_kinds[k] != NULL; k++) {
        const dh_backend_kind *kind = dh_backend_kinds[k];
        if (options->backend != NULL && strcmp(options->backend, kind->name) != 0) {
            continue;
        }
        if (kind == &dh_backend_cpu) {
            add_cpu(all, options);
        } else {
            add_devices(all, kind, options);
        }
    }
#ifdef DH_BENCH_OPENSSL
    if (all->count < TARGETS_MAX) {
        (void)snprintf(all->item[all->count++].label, sizeof all->item->label, "OpenSSL");
    }
#endif
}

/* ---- measuring --------------------------------------------------------------------------------------- */

static void check(const dh_backend *backend, dh_backend_status status)
{
    if (status != DH_BACKEND_OK) {
        stop(backend->kind->name, status == DH_BACKEND_NO_MEMORY ? "out of memory: use a smaller --batch"
                                                                 : backend->kind->error(backend));
    }
}

static dh_backend_status queue_kernel(dh_lane *lane, const workload *work, int job, const outputs *out)
{
    const dh_backend_kind *kind = lane->backend->kind;
    switch (job) {
    case JOB_SHA256:
        return kind->sha256(lane, out->hex);
    case JOB_DIGEST:
        return kind->digest(lane, &out->digest);
    case JOB_PROFILE:
        return kind->profile(lane, &out->profile);
    case JOB_NGRAMS:
        return kind->ngrams(lane, ngram_range, out->ngrams);
    case JOB_MINHASH:
        return kind->minhash(lane, &work->minhash, &out->minhash);
    default:
        return kind->sha256_spelling(lane, out->spelling_digest);
    }
}

static void queue(dh_lane *lane, const workload *work, int job, const outputs *out)
{
    check(lane->backend, queue_kernel(lane, work, job, out));
}

/* Seconds a batch, with all lanes busy. */
static double run_streamed(dh_backend *backend, const workload *work, int job)
{
    const uint32_t lanes = backend->lane_count;
    const uint32_t batches = lanes > 1 ? lanes * STREAMED : 1;
    const double start = seconds_now();
    for (uint32_t b = 0; b < batches + lanes; b++) {
        dh_lane *lane = &backend->lane[b % lanes];
        if (b >= lanes) {
            check(backend, dh_lane_wait(lane));
        }
        if (b < batches) {
            check(backend, backend->kind->begin(lane, &work->batch));
            queue(lane, work, job, &work->lane[b % lanes]);
        }
    }
    return (seconds_now() - start) / batches;
}

/* Seconds of `repeats` kernels on one batch. */
static double run_repeated(dh_backend *backend, const workload *work, int job, int repeats)
{
    dh_lane *lane = &backend->lane[0];
    const double start = seconds_now();
    check(backend, backend->kind->begin(lane, &work->batch));
    for (int r = 0; r < repeats; r++) {
        queue(lane, work, job, &work->lane[0]);
    }
    check(backend, dh_lane_wait(lane));
    return seconds_now() - start;
}

#ifdef DH_BENCH_OPENSSL
static double run_openssl(const workload *work, int job)
{
    static const char *const name[] = {
        "", "RELATE::", "MODAL::", "EXIST::", "EVAL::", "COMM::", "CAUSE::", "ITER::", "DECIDE::", "FEEL::"};
    const dh_batch *batch = &work->batch;
    EVP_MD *sha = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    const int first = job == JOB_SHA256 ? 0 : 1;
    const int end = job == JOB_SHA256 ? 1 : 1 + DH_DHATUS;
    const double start = seconds_now();
    for (uint32_t d = 0; d < batch->document_count; d++) {
        for (int n = first; n < end; n++) {
            const uint64_t from = batch->text_offset[d];
            if (EVP_DigestInit_ex2(context, sha, NULL) != 1 ||
                EVP_DigestUpdate(context, name[n], strlen(name[n])) != 1 ||
                EVP_DigestUpdate(context, batch->text + from, batch->text_offset[d + 1] - from) != 1 ||
                EVP_DigestFinal_ex(context, digest, NULL) != 1) {
                stop("OpenSSL", "SHA-256 failed");
            }
        }
    }
    const double seconds = seconds_now() - start;
    EVP_MD_CTX_free(context);
    EVP_MD_free(sha);
    return seconds;
}
#endif

static void measure_target(target *one, const workload *work, int job, uint32_t round)
{
    one->streamed[job][round] = 0;
    one->resident[job][round] = 0;
    if (one->backend != NULL) {
        one->streamed[job][round] = run_streamed(one->backend, work, job);
        if (one->is_device) {
            const double once = run_repeated(one->backend, work, job, 1);
            const double more = run_repeated(one->backend, work, job, 1 + REPEATS);
            one->resident[job][round] = (more - once) / REPEATS;
        }
    }
#ifdef DH_BENCH_OPENSSL
    if (one->backend == NULL && (job == JOB_SHA256 || job == JOB_DIGEST)) {
        one->streamed[job][round] = run_openssl(work, job);
    }
#endif
}

/* ---- limits ------------------------------------------------------------------------------------------ */

static void print_memcpy(void)
{
    enum { SIZE = 64 << 20, TURNS = 7 };
    uint8_t *from = sample_allocate(SIZE, 1);
    uint8_t *to = sample_allocate(SIZE, 1);
    double seconds[TURNS];
    for (int t = 0; t < TURNS; t++) {
        const double start = seconds_now();
        memcpy(to, from, SIZE);
        seconds[t] = seconds_now() - start;
        from[t] ^= to[t]; /* so that the copy is needed */
    }
    printf("limit: memcpy copies %.1f GB/s\n", SIZE / median(seconds, TURNS) / 1e9);
    free(from);
    free(to);
}

/* One prefix, texts so long that nothing but blocks counts. */
static void print_engines(void)
{
    enum { TEXTS = 64, SIZE = 64 << 10, TURNS = 5 };
    static const dh_sha256_prefix none = {0, {0}};
    uint8_t *text = sample_allocate(TEXTS, SIZE);
    uint64_t offset[TEXTS + 1];
    uint8_t digest[TEXTS * DH_SHA256_SIZE];
    for (uint64_t t = 0; t <= TEXTS; t++) {
        offset[t] = t * SIZE;
    }
    for (int e = 0; e < DH_SHA256_ENGINE_COUNT; e++) {
        const dh_sha256_engine engine = (dh_sha256_engine)e;
        double seconds[TURNS];
        for (int t = 0; t < TURNS && dh_sha256_engine_is_available(engine); t++) {
            const double start = seconds_now();
            dh_sha256_batch(engine, text, offset, TEXTS, &none, 1, digest);
            seconds[t] = seconds_now() - start;
        }
        if (dh_sha256_engine_is_available(engine)) {
            const double rate = (double)TEXTS * SIZE / median(seconds, TURNS);
            printf("limit: SHA-256 by %s hashes %.2f GB/s, %.1f million blocks/s\n",
                   dh_sha256_engine_name(engine), rate / 1e9, rate / 64e6);
        }
    }
    free(text);
}

/* Bytes a second over the link: with in, to the device, with out, from it, on all lanes. */
static double link_rate(const target *one, const workload *work, bool in, bool out, uint32_t rounds)
{
    const dh_device *device = (const dh_device *)one->backend;
    const dh_device_driver *driver = device->driver;
    const uint64_t room = work->lane[0].block.size;
    const uint64_t size = room < work->text_bytes ? room : work->text_bytes;
    double seconds[ROUNDS_MAX] = {0};
    for (uint32_t r = 0; r < rounds; r++) {
        const double start = seconds_now();
        for (uint32_t l = 0; l < one->backend->lane_count; l++) {
            dh_lane *lane = &one->backend->lane[l];
            for (int turn = 0; turn < STREAMED; turn++) {
                check(one->backend, in ? driver->copy_in(lane, 0, work->batch.text, size) : DH_BACKEND_OK);
                check(one->backend,
                      out ? driver->copy_out(lane, work->lane[l].block.memory, 0, size) : DH_BACKEND_OK);
            }
            check(one->backend, driver->flush(lane));
        }
        for (uint32_t l = 0; l < one->backend->lane_count; l++) {
            dh_backend_status status = DH_BACKEND_OK;
            while ((status = driver->query(&one->backend->lane[l])) == DH_BACKEND_BUSY) {
            }
            check(one->backend, status);
        }
        seconds[r] = seconds_now() - start;
    }
    return (double)size * STREAMED * one->backend->lane_count / median(seconds, rounds);
}

static void print_link(const target *one, const workload *work, uint32_t rounds)
{
    const double in = link_rate(one, work, true, false, rounds);
    const double out = link_rate(one, work, false, true, rounds);
    const double both = link_rate(one, work, true, true, rounds);
    printf("limit: %s copies %.1f GB/s in, %.1f GB/s out, %.1f GB/s in each direction at once\n", one->label,
           in / 1e9, out / 1e9, both / 1e9);
}

/* ---- report ------------------------------------------------------------------------------------------ */

static void print_rate(const target *one, const workload *work, int job, const char *what, double *seconds,
                       uint32_t rounds)
{
    const double middle = median(seconds, rounds);
    if (middle > 0) {
        printf("  %-16s %-26s %-10s %10.1f MB/s %12.0f documents/s\n", job_name[job], one->label, what,
               (double)work->text_bytes / middle / 1e6, work->batch.document_count / middle);
    }
}

static void pin_block(dh_backend *backend, const block *one, bool pin)
{
    if (one->memory != NULL && pin) {
        backend->kind->pin(backend, one->memory, one->size);
    } else if (one->memory != NULL) {
        backend->kind->unpin(backend, one->memory);
    }
}

static void pin_all(const targets *all, const workload *work, bool pin)
{
    for (uint32_t t = 0; t < all->count; t++) {
        dh_backend *backend = all->item[t].backend;
        if (all->item[t].is_device) {
            pin_block(backend, &work->block, pin);
            for (uint32_t l = 0; l < DH_LANES_MAX; l++) {
                pin_block(backend, &work->lane[l].block, pin);
            }
        }
    }
}

static void measure(targets *all, const workload *work, const bench_options *options)
{
    printf("documents of %llu bytes, %u a batch, %.2f tokens and %.3f prefixes a byte\n",
           (unsigned long long)work->document_size, work->batch.document_count,
           (double)work->tokens / (double)work->text_bytes, (double)work->hits / (double)work->text_bytes);
    pin_all(all, work, true);
    for (uint32_t t = 0; t < all->count; t++) {
        if (all->item[t].is_device) {
            print_link(&all->item[t], work, options->rounds);
        }
    }
    for (int job = 0; job < JOBS; job++) {
        for (uint32_t round = 0; round < options->rounds; round++) {
            for (uint32_t t = 0; t < all->count; t++) {
                measure_target(&all->item[t], work, job, round);
            }
        }
        for (uint32_t t = 0; t < all->count; t++) {
            target *one = &all->item[t];
            print_rate(one, work, job, one->is_device ? "all lanes" : "one core", one->streamed[job],
                       options->rounds);
            print_rate(one, work, job, "resident", one->resident[job], options->rounds);
        }
        (void)fflush(stdout);
    }
    pin_all(all, work, false);
}

static bool parse(int argc, char **argv, bench_options *options)
{
    *options = (bench_options){.batch_bytes = UINT64_C(8) << 20, .rounds = 7, .lanes = 3};
    for (int a = 1; a + 1 < argc; a += 2) {
        const uint64_t number = strtoull(argv[a + 1], NULL, 10);
        if (strcmp(argv[a], "--backend") == 0 && dh_backend_kind_find(argv[a + 1]) != NULL) {
            options->backend = argv[a + 1];
        } else if (strcmp(argv[a], "--batch") == 0 && number > 0 && number <= 1024) {
            options->batch_bytes = number << 20;
        } else if (strcmp(argv[a], "--rounds") == 0 && number > 0 && number <= ROUNDS_MAX) {
            options->rounds = (uint32_t)number;
        } else if (strcmp(argv[a], "--lanes") == 0 && number > 0 && number <= DH_LANES_MAX) {
            options->lanes = (uint32_t)number;
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    static const uint64_t document_size[] = {1000, 8000};
    static targets all;
    bench_options options;
    if (!parse(argc, argv, &options)) {
        (void)fputs("usage: bench_kernels [--backend NAME] [--batch MB] [--rounds N] [--lanes N]\n", stderr);
        return 2;
    }
    const sample_options lexicon = {
        .lexicons = 1, .categories = CATEGORIES, .words = 20000, .terms = 5000, .prefixed_256 = 20};
    sample_set *set = sample_set_create(&lexicon);
    add_targets(&all, &options);
    for (uint32_t t = 0; t < all.count; t++) {
        if (all.item[t].backend != NULL) {
            check(all.item[t].backend, all.item[t].backend->kind->load(all.item[t].backend, &set->tables));
        }
    }
    print_memcpy();
    print_engines();
    for (size_t s = 0; s < sizeof document_size / sizeof *document_size; s++) {
        workload *work = workload_create(set, document_size[s], &options);
        measure(&all, work, &options);
        workload_free(work);
    }
    for (uint32_t t = 0; t < all.count; t++) {
        if (all.item[t].backend != NULL) {
            all.item[t].backend->kind->close(all.item[t].backend);
        }
    }
    sample_set_free(set);
    return 0;
}
