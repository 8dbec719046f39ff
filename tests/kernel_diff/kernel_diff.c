/* Compares every backend that is there, and the CPU backend with every subset of the processor's features,
 * with the reference (reference.h) on random and adversarial batches. Equality to the last bit, floats
 * included.
 *
 *     kernel_diff [--quick | --short] [--seed N] [--backend NAME] [--break OUTPUT]
 *
 * --quick     fewer batches: under a minute on two cores
 * --short     fewer again, and no large ones: for sanitizers
 * --backend   this one alone; it is an error where it cannot be had
 * --break     turns a bit of this output of each backend, or behind it ("sentinel"): the comparison must fail
 *
 * Exit codes: 0 all equal, 1 a difference or a failure, 2 a wrong option. Needs no MPI, HDF5 or test library,
 * so that it can run on any machine that has an accelerator. */
#include "cases.h"

#include "kernels/backend.h"
#include "kernels/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GUARD = 128, POISON = 0xA5, LANES = 3, BREAK_NOTHING = -1, BREAK_SENTINEL = OUTPUTS };

typedef struct diff_options {
    const char *backend; /* NULL: all */
    uint64_t seed;
    int size;   /* SIZE_ of the list of cases */
    int broken; /* BREAK_NOTHING, an output or BREAK_SENTINEL */
} diff_options;

static double seconds_now(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- outputs ----------------------------------------------------------------------------------------- */

/* What a lane writes: each output between guards; all poisoned. */
typedef struct guarded {
    uint8_t *block[OUTPUTS]; /* NULL: not an output of the case */
    size_t size[OUTPUTS];
} guarded;

static guarded guarded_create(const diff_case *one)
{
    guarded made = {{NULL}, {0}};
    for (uint32_t o = 0; o < OUTPUTS; o++) {
        if (one->expected.at[o] != NULL) {
            made.size[o] =
                (size_t)output_rows(o, &one->view) * output_width(o, &one->request) * output_kinds[o].size;
            made.block[o] = sample_allocate(made.size[o] + 2 * GUARD, 1);
        }
    }
    return made;
}

static void guarded_free(guarded *made)
{
    for (uint32_t o = 0; o < OUTPUTS; o++) {
        free(made->block[o]);
    }
}

static void *output_at(const guarded *made, uint32_t output)
{
    return made->block[output] != NULL ? made->block[output] + GUARD : NULL;
}

static dh_digest_out digest_out(const guarded *made)
{
    return (dh_digest_out){.raw = output_at(made, OUTPUT_RAW),
                           .prime = output_at(made, OUTPUT_DIGEST_PRIME),
                           .entropy = output_at(made, OUTPUT_ENTROPY),
                           .variance = output_at(made, OUTPUT_DIGEST_VARIANCE),
                           .score = output_at(made, OUTPUT_SCORE)};
}

static dh_profile_out profile_out(const guarded *made)
{
    return (dh_profile_out){.counts = output_at(made, OUTPUT_COUNTS),
                            .profile = output_at(made, OUTPUT_PROFILE),
                            .prime = output_at(made, OUTPUT_PRIME),
                            .matched = output_at(made, OUTPUT_MATCHED),
                            .coverage = output_at(made, OUTPUT_COVERAGE),
                            .ambiguity = output_at(made, OUTPUT_AMBIGUITY),
                            .variance = output_at(made, OUTPUT_VARIANCE),
                            .code2 = output_at(made, OUTPUT_CODE2),
                            .code3 = output_at(made, OUTPUT_CODE3),
                            .code5 = output_at(made, OUTPUT_CODE5)};
}

static dh_minhash_out minhash_out(const guarded *made)
{
    return (dh_minhash_out){.signature = output_at(made, OUTPUT_SIGNATURE),
                            .shingles = output_at(made, OUTPUT_SHINGLES)};
}

/* ---- comparison -------------------------------------------------------------------------------------- */

static void print_value(const output_kind *kind, const uint8_t *bytes)
{
    uint64_t bits = 0;
    for (uint32_t i = kind->size; i-- > 0;) {
        bits = bits << 8 | bytes[i];
    }
    if (kind->type == 'f' && kind->size == sizeof(double)) {
        double value = 0.0;
        memcpy(&value, bytes, sizeof value);
        printf("%.17g (0x%016llx)", value, (unsigned long long)bits);
    } else if (kind->type == 'f') {
        float value = 0.0F;
        memcpy(&value, bytes, sizeof value);
        printf("%.9g (0x%08llx)", (double)value, (unsigned long long)bits);
    } else if (kind->type == 'c') {
        printf("character 0x%02llx", (unsigned long long)bits);
    } else {
        printf("%llu", (unsigned long long)bits);
    }
}

static bool is_output_equal(const diff_case *one, uint32_t output, const guarded *got)
{
    const output_kind *kind = &output_kinds[output];
    const uint8_t *value = output_at(got, output);
    const uint8_t *expected = one->expected.at[output];
    for (size_t i = 0; i < got->size[output]; i += kind->size) {
        if (memcmp(value + i, expected + i, kind->size) != 0) {
            const size_t index = i / kind->size;
            const uint32_t width = output_width(output, &one->request);
            printf("    batch \"%s\", %s %zu of %llu, output %s[%zu]: got ", one->name,
                   kind->count == COUNT_LENGTHS ? "token" : "document", index / width,
                   (unsigned long long)output_rows(output, &one->view), kind->name, index % width);
            print_value(kind, value + i);
            printf(", expected ");
            print_value(kind, expected + i);
            printf("\n");
            return false;
        }
    }
    return true;
}

static bool is_guard_intact(const diff_case *one, uint32_t output, const guarded *got)
{
    const uint8_t *block = got->block[output];
    for (size_t i = 0; i < GUARD; i++) {
        const size_t behind = GUARD + got->size[output] + i;
        if (block[i] != POISON || block[behind] != POISON) {
            printf("    batch \"%s\", output %s: written %zu bytes %s its memory\n", one->name,
                   output_kinds[output].name, block[i] != POISON ? GUARD - i : i + 1,
                   block[i] != POISON ? "before" : "behind");
            return false;
        }
    }
    return true;
}

/* For --break. */
static void break_output(int broken, guarded *got)
{
    for (int o = 0; o < OUTPUTS; o++) {
        if (got->size[o] > 0 && (broken == o || broken == BREAK_SENTINEL)) {
            got->block[o][broken == o ? GUARD + got->size[o] / 2 : GUARD + got->size[o]] ^= 1;
        }
    }
}

static bool is_equal(const diff_case *one, const guarded *got)
{
    bool equal = true;
    for (uint32_t o = 0; o < OUTPUTS; o++) {
        if (got->block[o] != NULL) {
            equal = is_output_equal(one, o, got) && is_guard_intact(one, o, got) && equal;
        }
    }
    return equal;
}

/* Of all that a backend reads, so that a change is seen. */
static uint64_t sum_bytes(uint64_t sum, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, at, sizeof word);
        sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        sum ^= sum >> 29;
    }
    for (; size > 0; size--) {
        sum = (sum ^ *at++) * UINT64_C(0x9E3779B97F4A7C15);
    }
    return sum;
}

static uint64_t sum_inputs(const diff_case *one)
{
    const sample_batch *batch = one->batch;
    const uint32_t documents = batch->view.document_count;
    const size_t offsets = (documents + (size_t)1) * sizeof(uint64_t);
    uint64_t sum = sum_bytes(1, batch->text, batch->text_offset[documents]);
    sum = sum_bytes(sum, batch->token, batch->token_offset[documents] * sizeof *batch->token);
    sum = sum_bytes(sum, batch->prefix_hit, batch->prefix_hit_offset[documents] * sizeof *batch->prefix_hit);
    sum = sum_bytes(sum, batch->text_offset, offsets);
    sum = sum_bytes(sum, batch->token_offset, offsets);
    sum = sum_bytes(sum, batch->prefix_hit_offset, offsets);
    sum = sum_bytes(sum, batch->spelling, batch->spelling_offset[documents]);
    sum = sum_bytes(sum, batch->spelling_offset, offsets);
    sum = sum_bytes(sum, batch->token_end, batch->token_offset[documents] * sizeof *batch->token_end);
    return sum_bytes(sum, batch->lexicon, documents * sizeof *batch->lexicon);
}

/* ---- runs -------------------------------------------------------------------------------------------- */

typedef struct diff_run {
    const case_list *list;
    dh_backend *backend;
    int broken;
    uint64_t batches, documents, text, tokens;
} diff_run;

static bool failed(const dh_backend *backend, const char *what, const char *name, dh_backend_status status)
{
    printf("    %s of batch \"%s\" failed with status %d: %s\n", what, name, (int)status,
           backend->kind->error(backend));
    return false;
}

static bool queue_case(dh_lane *lane, const diff_case *one, const guarded *got)
{
    const dh_backend_kind *kind = lane->backend->kind;
    dh_backend_status status = kind->begin(lane, &one->view);
    if (status != DH_BACKEND_OK) {
        return failed(lane->backend, "begin", one->name, status);
    }
    if ((one->kernels & CASE_SHA256) != 0) {
        status = kind->sha256(lane, output_at(got, OUTPUT_SHA256));
    }
    if (status == DH_BACKEND_OK && (one->kernels & CASE_DIGEST) != 0) {
        const dh_digest_out out = digest_out(got);
        status = kind->digest(lane, &out);
    }
    if (status == DH_BACKEND_OK && (one->kernels & CASE_PROFILE) != 0) {
        const dh_profile_out out = profile_out(got);
        status = kind->profile(lane, &out);
    }
    if (status == DH_BACKEND_OK && (one->kernels & CASE_NGRAMS) != 0) {
        status = kind->ngrams(lane, one->request.range, output_at(got, OUTPUT_NGRAMS));
    }
    if (status == DH_BACKEND_OK && (one->kernels & CASE_MINHASH) != 0) {
        const dh_minhash_out out = minhash_out(got);
        status = kind->minhash(lane, &one->request.minhash, &out);
    }
    if (status == DH_BACKEND_OK && (one->kernels & CASE_SPELLING) != 0) {
        status = kind->sha256_spelling(lane, output_at(got, OUTPUT_SPELLING));
    }
    return status == DH_BACKEND_OK || failed(lane->backend, "a kernel", one->name, status);
}

/* A case in each lane, all of them queued before the last begun is waited for first. */
static bool run_lanes(diff_run *run, const diff_case *first, uint32_t count)
{
    guarded got[LANES];
    uint64_t before[LANES] = {0};
    bool good = true;
    for (uint32_t l = 0; l < count; l++) {
        got[l] = guarded_create(&first[l]);
        before[l] = sum_inputs(&first[l]);
        good = good && queue_case(&run->backend->lane[l], &first[l], &got[l]);
    }
    for (uint32_t l = count; l-- > 0;) {
        const diff_case *one = &first[l];
        if (good) {
            const dh_backend_status status = dh_lane_wait(&run->backend->lane[l]);
            good = status == DH_BACKEND_OK || failed(run->backend, "waiting", one->name, status);
        }
        if (good) {
            break_output(run->broken, &got[l]);
            good = is_equal(one, &got[l]);
        }
        if (good && sum_inputs(one) != before[l]) {
            printf("    batch \"%s\": an input was changed\n", one->name);
            good = false;
        }
        run->batches++;
        run->documents += one->view.document_count;
        run->text +=
            one->view.text_offset == NULL ? 0 : one->batch->text_offset[one->batch->view.document_count];
        run->tokens +=
            one->view.token_offset == NULL ? 0 : one->batch->token_offset[one->batch->view.document_count];
    }
    for (uint32_t l = 0; l < count && good; l++) {
        guarded_free(&got[l]); /* after a failure the backend may still write */
    }
    return good;
}

static bool run_cases(diff_run *run, bool large)
{
    const case_list *list = run->list;
    const uint32_t lanes = run->backend->lane_count;
    uint32_t loaded = UINT32_MAX;
    for (uint32_t c = 0; c < list->count;) {
        const diff_case *one = &list->item[c];
        if (one->is_large != large) {
            c++;
            continue;
        }
        if (one->set != loaded) {
            loaded = one->set;
            const dh_backend_status status =
                run->backend->kind->load(run->backend, &list->set[loaded]->tables);
            if (status != DH_BACKEND_OK) {
                return failed(run->backend, "load before the first", one->name, status);
            }
        }
        uint32_t count = 0;
        while (count < lanes && c + count < list->count && list->item[c + count].set == loaded) {
            count++;
        }
        if (!run_lanes(run, one, count)) {
            return false;
        }
        c += count;
    }
    return true;
}

/* ---- backends ---------------------------------------------------------------------------------------- */

/* Of the inputs and outputs of the largest case. */
static uint64_t largest_case(const case_list *list, bool large)
{
    uint64_t most = 0;
    for (uint32_t c = 0; c < list->count; c++) {
        const diff_case *one = &list->item[c];
        const sample_batch *batch = one->batch;
        const uint32_t documents = batch->view.document_count;
        uint64_t bytes = batch->text_offset[documents] + batch->token_offset[documents] * sizeof(uint64_t) +
                         batch->prefix_hit_offset[documents] * sizeof(dh_prefix_hit) +
                         batch->spelling_offset[documents] +
                         batch->token_offset[documents] * sizeof(uint32_t) +
                         (documents + UINT64_C(1)) * (4 * sizeof(uint64_t) + sizeof(uint16_t));
        for (uint32_t o = 0; o < OUTPUTS; o++) {
            if (one->expected.at[o] != NULL) {
                bytes += output_rows(o, &one->view) * output_width(o, &one->request) * output_kinds[o].size;
            }
        }
        most = one->is_large == large && bytes > most ? bytes : most;
    }
    return most;
}

typedef struct diff_target {
    const dh_backend_kind *kind;
    uint32_t device, without;
    char label[DH_BACKEND_TEXT];
} diff_target;

/* Small cases with several lanes, large ones with one. */
static bool run_target_cases(const diff_target *target, diff_run *run, bool large, bool *opened)
{
    char why[DH_BACKEND_TEXT] = "";
    const dh_backend_options open = {.device = target->device,
                                     .lanes = large ? 1 : LANES,
                                     .lane_bytes = largest_case(run->list, large),
                                     .cpu_without = target->without};
    *opened = target->kind->open(&open, &run->backend, why) == DH_BACKEND_OK;
    if (!*opened) {
        printf("%s: cannot be opened: %s\n", target->label, why);
        return true;
    }
    const bool good = run_cases(run, large);
    target->kind->close(run->backend);
    return good;
}

/* Prints the line of a backend, device or set of features. */
static bool run_target(const diff_target *target, const diff_options *options, const case_list *list,
                       bool with_large, bool *opened)
{
    diff_run run = {.list = list, .broken = options->broken};
    const double start = seconds_now();
    bool good = run_target_cases(target, &run, false, opened);
    if (good && *opened && with_large) {
        good = run_target_cases(target, &run, true, opened);
    }
    if (*opened || !good) {
        printf("%s: %s: %llu batches, %llu documents, %.1f MB of text, %.1f million tokens, %.1f s\n",
               target->label, good ? "equal" : "DIFFERENT", (unsigned long long)run.batches,
               (unsigned long long)run.documents, (double)run.text / 1e6, (double)run.tokens / 1e6,
               seconds_now() - start);
    }
    (void)fflush(stdout);
    return good;
}

/* Every subset of the features that this processor has, none of them last. */
static bool run_cpu(const diff_options *options, const case_list *list)
{
    const uint32_t features = dh_cpu_features();
    bool good = true;
    for (uint32_t without = 0; without <= features; without++) {
        if ((without & features) == without) {
            diff_target target = {.kind = &dh_backend_cpu, .without = without};
            char text[DH_BACKEND_TEXT / 2];
            bool opened = false;
            dh_cpu_features_text(features & ~without, text, sizeof text);
            (void)snprintf(target.label, sizeof target.label, "cpu with %s", text);
            const bool with_large = options->size == SIZE_FULL || without == 0;
            good = run_target(&target, options, list, with_large, &opened) && opened && good;
        }
    }
    return good;
}

static bool run_devices(const dh_backend_kind *kind, const diff_options *options, const case_list *list)
{
    char why[DH_BACKEND_TEXT] = "";
    const bool is_wanted = options->backend != NULL;
    if (kind->not_built != NULL) {
        printf("%s: not compared: %s\n", kind->name, kind->not_built);
        return !is_wanted;
    }
    const uint32_t devices = kind->devices(why);
    bool any = false;
    bool good = true;
    if (devices == 0) {
        printf("%s: not compared: no device: %s\n", kind->name, why);
    }
    for (uint32_t device = 0; device < devices; device++) {
        diff_target target = {.kind = kind, .device = device};
        dh_device_facts facts;
        bool opened = false;
        const bool known = kind->facts(device, &facts) == DH_BACKEND_OK;
        (void)snprintf(target.label, sizeof target.label, "%s device %u, %.100s", kind->name, device,
                       known ? facts.name : "facts() failed");
        good = run_target(&target, options, list, true, &opened) && known && good;
        any = any || opened;
    }
    /* One that lacks something (doubles, say) is passed over, but not all of them. */
    return good && (any || (devices == 0 && !is_wanted));
}

/* ---- the program ------------------------------------------------------------------------------------- */

static int output_named(const char *name)
{
    for (int o = 0; o < OUTPUTS; o++) {
        if (strcmp(output_kinds[o].name, name) == 0) {
            return o;
        }
    }
    return strcmp(name, "sentinel") == 0 ? BREAK_SENTINEL : BREAK_NOTHING;
}

static bool parse(int argc, char **argv, diff_options *options)
{
    *options = (diff_options){.seed = 1, .broken = BREAK_NOTHING, .size = SIZE_FULL};
    for (int a = 1; a < argc; a++) {
        const char *value = a + 1 < argc ? argv[a + 1] : NULL;
        if (strcmp(argv[a], "--quick") == 0 || strcmp(argv[a], "--short") == 0) {
            options->size = argv[a][2] == 'q' ? SIZE_QUICK : SIZE_SHORT;
            continue;
        }
        a++;
        if (value != NULL && strcmp(argv[a - 1], "--seed") == 0) {
            options->seed = strtoull(value, NULL, 10);
        } else if (value != NULL && strcmp(argv[a - 1], "--backend") == 0 &&
                   dh_backend_kind_find(value) != NULL) {
            options->backend = value;
        } else if (value != NULL && strcmp(argv[a - 1], "--break") == 0 &&
                   output_named(value) != BREAK_NOTHING) {
            options->broken = output_named(value);
        } else {
            return false;
        }
    }
    return true;
}

static int usage(void)
{
    (void)fputs("usage: kernel_diff [--quick | --short] [--seed N] [--backend NAME] [--break "
                "OUTPUT]\nOUTPUT: sentinel",
                stderr);
    for (int o = 0; o < OUTPUTS; o++) {
        (void)fprintf(stderr, " %s", output_kinds[o].name);
    }
    (void)fputs("\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    diff_options options;
    if (!parse(argc, argv, &options)) {
        return usage();
    }
    sample_seed(options.seed);
    const double start = seconds_now();
    case_list *list = case_list_create(options.broken != BREAK_NOTHING ? SIZE_SMALL : options.size);
    printf("seed %llu: %u batches, %.1f s for what is expected\n", (unsigned long long)options.seed,
           list->count, seconds_now() - start);
    bool good = true;
    for (size_t k = 0; dh_backend_kinds[k] != NULL; k++) {
        const dh_backend_kind *kind = dh_backend_kinds[k];
        if (options.backend == NULL || strcmp(options.backend, kind->name) == 0) {
            const bool same =
                kind == &dh_backend_cpu ? run_cpu(&options, list) : run_devices(kind, &options, list);
            good = same && good;
        }
    }
    case_list_free(list);
    printf("%s\n", good ? "all are equal" : "NOT all are equal");
    return good ? 0 : 1;
}
