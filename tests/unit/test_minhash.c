/* Tests of kernels/minhash.h on the CPU: against a plain loop, and of what the signatures are for. */
#include "lanes.h"

#include "kernels/minhash_core.h"

#include <math.h>

enum { SENTINEL = 0x5C5C5C5C, EVERY_FEATURE = DH_CPU_AVX2 | DH_CPU_AVX512 | DH_CPU_SHA };

/* ---- permutations ------------------------------------------------------------------------------------ */

static void test_permutations_come_from_splitmix64(void **state)
{
    (void)state;
    /* the first numbers for the seed 0: e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f */
    static const uint32_t flip_expected[] = {0xe220a839, 0x6e789e6a, 0x06c45d18};
    static const uint32_t factor_expected[] = {0x7b1dcdaf, 0xa1b965f5, 0x8009454f};
    uint32_t flip[4] = {0, 0, 0, SENTINEL};
    uint32_t factor[4] = {0, 0, 0, SENTINEL};
    dh_minhash_permutations(0, 3, flip, factor);
    assert_memory_equal(flip, flip_expected, sizeof flip_expected);
    assert_memory_equal(factor, factor_expected, sizeof factor_expected);
    assert_int_equal(flip[3], SENTINEL);
    assert_int_equal(factor[3], SENTINEL);
}

static void test_permutations_are_permutations(void **state)
{
    (void)state;
    static uint32_t flip[DH_PERMUTATIONS_MAX];
    static uint32_t factor[DH_PERMUTATIONS_MAX];
    dh_minhash_permutations(1, DH_PERMUTATIONS_MAX, flip, factor);
    for (uint32_t p = 0; p < DH_PERMUTATIONS_MAX; p++) {
        assert_int_equal(factor[p] & 1, 1);
        for (uint32_t q = 0; q < p; q++) {
            assert_true(flip[p] != flip[q] || factor[p] != factor[q]);
        }
    }
}

/* ---- against a plain loop ---------------------------------------------------------------------------- */

enum { DOCUMENTS_MAX = 40, TOKENS_MAX = 1 << 14 };

/* Documents; the first offset is not 0. */
static uint64_t token[TOKENS_MAX];
static uint64_t token_offset[DOCUMENTS_MAX + 1];
static uint32_t documents;

static void documents_begin(void)
{
    enum { BEFORE = 9 };
    documents = 0;
    token_offset[0] = BEFORE;
}

/* A document of so many tokens out of so many different ones. */
static void document_add(uint64_t tokens, uint64_t words)
{
    const uint64_t from = token_offset[documents];
    assert_true(documents < DOCUMENTS_MAX && from + tokens <= TOKENS_MAX);
    for (uint64_t i = 0; i < tokens; i++) {
        token[from + i] = (1 + support_random_below(words)) * UINT64_C(0x9E3779B97F4A7C15);
    }
    documents++;
    token_offset[documents] = from + tokens;
}

/* x of the shingle that begins at token t, by the sum of the definition. */
static uint32_t plain_x(uint64_t t, uint32_t n)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t term = token[t + i];
        for (uint32_t j = i + 1; j < n; j++) {
            term *= UINT64_C(0xD1342543DE82EF95);
        }
        hash += term;
    }
    hash ^= hash >> 30;
    hash *= UINT64_C(0xBF58476D1CE4E5B9);
    hash ^= hash >> 27;
    hash *= UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(hash >> 32);
}

/* The x of the shingles of a document, each once; how many they are. */
static uint32_t plain_set(uint32_t document, uint32_t n, uint32_t *x)
{
    uint32_t count = 0;
    for (uint64_t t = token_offset[document]; t + n <= token_offset[document + 1]; t++) {
        x[count] = plain_x(t, n);
        uint32_t i = 0;
        while (x[i] != x[count]) {
            i++;
        }
        count += i == count;
    }
    return count;
}

static void check_document(uint32_t document, const dh_minhash_options *options, const uint32_t *signature,
                           uint32_t shingles)
{
    static uint32_t x[TOKENS_MAX];
    const uint32_t count = plain_set(document, options->shingle_tokens, x);
    for (uint32_t p = 0; p < options->permutations; p++) {
        uint32_t least = UINT32_MAX;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t value = (x[i] ^ options->flip[p]) * options->factor[p];
            least = value < least ? value : least;
        }
        assert_int_equal(signature[p], least);
    }
    assert_int_equal(shingles, count < options->counted ? count : options->counted);
}

static void compute(uint32_t without, const dh_minhash_options *options, const dh_minhash_out *out)
{
    char why[DH_BACKEND_TEXT];
    const dh_backend_options open_options = {.lanes = 1, .cpu_without = without};
    const dh_batch batch = {.document_count = documents, .token = token, .token_offset = token_offset};
    dh_backend *backend = NULL;
    assert_int_equal(dh_backend_cpu.open(&open_options, &backend, why), DH_BACKEND_OK);
    dh_lane *lane = begin(backend, &batch);
    assert_int_equal(dh_backend_cpu.minhash(lane, options, out), DH_BACKEND_OK);
    assert_int_equal(dh_backend_cpu.poll(lane), DH_BACKEND_OK);
    dh_backend_cpu.close(backend);
}

/* Every subset of the processor's features gives the same, of which the first is compared with the plain
 * loop. */
static void check(uint32_t shingle_tokens, uint32_t permutations, uint32_t counted)
{
    static uint32_t flip[DH_PERMUTATIONS_MAX];
    static uint32_t factor[DH_PERMUTATIONS_MAX];
    static uint32_t first[DOCUMENTS_MAX * DH_PERMUTATIONS_MAX + 1];
    static uint32_t other[DOCUMENTS_MAX * DH_PERMUTATIONS_MAX + 1];
    uint32_t shingles[DOCUMENTS_MAX + 1];
    uint32_t other_shingles[DOCUMENTS_MAX + 1];
    const size_t values = (size_t)documents * permutations;
    dh_minhash_permutations(shingle_tokens, permutations, flip, factor);
    const dh_minhash_options options = {shingle_tokens, permutations, counted, flip, factor};
    first[values] = SENTINEL;
    shingles[documents] = SENTINEL;
    const dh_minhash_out first_out = {first, shingles};
    const dh_minhash_out other_out = {other, other_shingles};
    compute(0, &options, &first_out);
    for (uint32_t d = 0; d < documents; d++) {
        check_document(d, &options, first + (size_t)d * permutations, shingles[d]);
    }
    for (uint32_t without = 0; without <= EVERY_FEATURE; without++) {
        memset(other, 0xA5, sizeof other);
        other[values] = SENTINEL;
        other_shingles[documents] = SENTINEL;
        compute(without, &options, &other_out);
        assert_memory_equal(other, first, (values + 1) * sizeof *other);
        assert_memory_equal(other_shingles, shingles, (documents + 1) * sizeof *shingles);
    }
}

static void test_any_number_of_permutations(void **state)
{
    (void)state;
    static const uint32_t permutations[] = {1,   7,   8,   9,   15,  16,  17,  24,
                                            31,  33,  48,  56,  64,  79,  80,  96,
                                            111, 112, 113, 127, 128, 129, 250, DH_PERMUTATIONS_MAX};
    documents_begin();
    for (uint64_t tokens = 0; tokens <= 12; tokens++) {
        document_add(tokens, 1000);
    }
    document_add(100, 1000);
    for (size_t i = 0; i < COUNT(permutations); i++) {
        check(5, permutations[i], 5);
    }
}

static void test_any_number_of_shingles(void **state)
{
    (void)state;
    static const uint32_t shingle_tokens[] = {1, 2, 5, 31, DH_SHINGLE_TOKENS_MAX};
    for (size_t i = 0; i < COUNT(shingle_tokens); i++) {
        const uint32_t n = shingle_tokens[i];
        documents_begin();
        document_add(0, 1);
        document_add(n - 1, 1000); /* no shingle */
        document_add(n, 1000);
        document_add(n + 1, 1000);
        /* whole windows, one less, one more */
        for (uint64_t windows = 1; windows <= 2; windows++) {
            const uint64_t shingles = windows * 512;
            for (uint64_t count = shingles - 1; count <= shingles + 1; count++) {
                document_add(count + n - 1, 100000);
            }
        }
        document_add(0, 1);
        check(n, 112, 5);
        check(n, 20, DH_SHINGLES_COUNTED_MAX);
    }
}

static void test_different_shingles_are_counted(void **state)
{
    (void)state;
    documents_begin();
    for (uint64_t words = 1; words <= 12; words++) {
        document_add(600, words);
        document_add(7, words);
    }
    document_add(64, UINT64_MAX);
    document_add(65, UINT64_MAX);
    for (uint32_t counted = 1; counted <= DH_SHINGLES_COUNTED_MAX; counted += counted < 9 ? 1 : 11) {
        check(1, 4, counted);
        check(2, 4, counted);
    }
}

static void test_no_documents(void **state)
{
    (void)state;
    documents_begin();
    check(5, 112, 5);
}

/* ---- what it is for ---------------------------------------------------------------------------------- */

static void test_the_order_of_tokens_matters(void **state)
{
    (void)state;
    enum { TOKENS = 4 };
    for (unsigned turn = 0; turn < 1000; turn++) {
        uint64_t a[TOKENS];
        for (int i = 0; i < TOKENS; i++) {
            a[i] = support_random();
        }
        for (int i = 0; i < TOKENS; i++) {
            for (int j = 0; j < i; j++) {
                uint64_t b[TOKENS];
                memcpy(b, a, sizeof b);
                b[i] = a[j];
                b[j] = a[i];
                assert_true(dh_shingle_x(dh_shingle_first(a, TOKENS)) !=
                            dh_shingle_x(dh_shingle_first(b, TOKENS)));
            }
        }
    }
}

/* How the hashes of tokens are made. */
typedef enum token_kind {
    TOKENS_RANDOM = 0,
    TOKENS_COUNTED /* 1, 2, 3, ...: worse than any real hash */
} token_kind;

typedef struct pair_setup {
    token_kind kind;
    uint32_t shingle_tokens;
    uint32_t common, own; /* shingles in both documents, and in each alone */
} pair_setup;

static uint64_t new_token(token_kind kind)
{
    static uint64_t last;
    return kind == TOKENS_RANDOM ? support_random() : ++last;
}

/* Two documents that begin with the same tokens and go on with different ones. */
static void pair_make(const pair_setup *setup)
{
    const uint32_t shared = setup->common + setup->shingle_tokens - 1;
    documents_begin();
    const uint64_t first = token_offset[0];
    const uint64_t second = first + shared + setup->own;
    token_offset[1] = second;
    token_offset[2] = second + shared + setup->own;
    assert_true(token_offset[2] <= TOKENS_MAX);
    for (uint32_t i = 0; i < shared; i++) {
        token[first + i] = new_token(setup->kind);
        token[second + i] = token[first + i];
    }
    for (uint32_t i = 0; i < setup->own; i++) {
        token[first + shared + i] = new_token(setup->kind);
        token[second + shared + i] = new_token(setup->kind);
    }
    documents = 2;
}

/* The estimates of many pairs of one known similarity: right in the mean, and as far from it as chance has
 * them. */
static void check_estimates(const pair_setup *setup)
{
    enum { PERMUTATIONS = 112, PAIRS = 600 };
    const double similarity = (double)setup->common / (double)(setup->common + 2 * setup->own);
    const double error = sqrt(similarity * (1 - similarity) / PERMUTATIONS);
    uint32_t flip[PERMUTATIONS];
    uint32_t factor[PERMUTATIONS];
    uint32_t signature[2][PERMUTATIONS];
    uint32_t shingles[2];
    dh_minhash_permutations(1, PERMUTATIONS, flip, factor);
    const dh_minhash_options options = {setup->shingle_tokens, PERMUTATIONS, 5, flip, factor};
    const dh_minhash_out out = {signature[0], shingles};
    double sum = 0;
    double square_sum = 0;
    for (int pair = 0; pair < PAIRS; pair++) {
        pair_make(setup);
        compute(0, &options, &out);
        int equal = 0;
        for (int p = 0; p < PERMUTATIONS; p++) {
            equal += signature[0][p] == signature[1][p];
        }
        const double off = (double)equal / PERMUTATIONS - similarity;
        sum += off;
        square_sum += off * off;
    }
    /* Four standard errors of the mean. The standard error of the root is 0.7 / sqrt(pairs) of it, 3 %. */
    assert_true(fabs(sum / PAIRS) < 4 * error / sqrt(PAIRS));
    assert_true(sqrt(square_sum / PAIRS) < 1.12 * error);
    assert_true(sqrt(square_sum / PAIRS) > 0.88 * error);
}

static void test_estimates_are_unbiased_and_as_exact_as_theory_has_it(void **state)
{
    (void)state;
    static const uint32_t counts[][2] = {{8, 1}, {30, 10}, {60, 10}, {90, 5}, {300, 200}, {600, 40}};
    for (size_t i = 0; i < COUNT(counts); i++) {
        for (token_kind kind = TOKENS_RANDOM; kind <= TOKENS_COUNTED; kind++) {
            const pair_setup single = {kind, 1, counts[i][0], counts[i][1]};
            check_estimates(&single);
            const pair_setup five = {kind, 5, counts[i][0], counts[i][1]};
            check_estimates(&five);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permutations_come_from_splitmix64),
        cmocka_unit_test(test_permutations_are_permutations),
        cmocka_unit_test(test_any_number_of_permutations),
        cmocka_unit_test(test_any_number_of_shingles),
        cmocka_unit_test(test_different_shingles_are_counted),
        cmocka_unit_test(test_no_documents),
        cmocka_unit_test(test_the_order_of_tokens_matters),
        cmocka_unit_test(test_estimates_are_unbiased_and_as_exact_as_theory_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
