/* Tests of the hashed features: values of documents against summing by comparing, their bytes, rows of X. */
#include "lanes.h"

#include "jobs/features.h"
#include "jobs/job.h"
#include "reduce/features.h"

#include <math.h>

enum { TOKENS_MAX = 20000, LENGTHS_MAX = 4 };

/* ---- values ------------------------------------------------------------------------------------------ */

typedef struct counted {
    uint32_t column;
    int64_t value;
} counted;

static counted expected[TOKENS_MAX * LENGTHS_MAX];
static uint32_t expected_count;

/* As scikit-learn says it: abs of the signed hash, modulo; 2^31 - 1 - (n - 1) for the least one. */
static uint32_t column_in_words(uint32_t hash, uint32_t columns)
{
    const int64_t number = (int32_t)hash;
    if (number == INT32_MIN) {
        return (uint32_t)((INT32_MAX - ((int64_t)columns - 1)) % columns);
    }
    return (uint32_t)((number < 0 ? -number : number) % columns);
}

static int by_column(const void *left, const void *right)
{
    const counted *a = left;
    const counted *b = right;
    return (a->column > b->column) - (a->column < b->column);
}

static void expect_values(const dh_job_options *options, const uint32_t *hash, uint64_t tokens)
{
    const uint32_t lengths = dh_ngram_lengths(options->ngrams);
    uint32_t count = 0;
    for (uint64_t t = 0; t < tokens; t++) {
        for (uint32_t n = options->ngrams.least; n <= options->ngrams.most && t + n <= tokens; n++) {
            const uint32_t one = hash[t * lengths + n - options->ngrams.least];
            expected[count++] = (counted){.column = column_in_words(one, options->features),
                                          .value = options->alternate_sign && (int32_t)one < 0 ? -1 : 1};
        }
    }
    qsort(expected, count, sizeof *expected, by_column);
    expected_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (expected_count > 0 && expected[expected_count - 1].column == expected[i].column) {
            expected[expected_count - 1].value += expected[i].value;
        } else {
            expected[expected_count++] = expected[i];
        }
    }
    for (uint32_t i = 0; options->binary && i < expected_count; i++) {
        expected[i].value = 1;
    }
}

static void assert_values(const dh_job_options *options, const dh_buffer *out, uint32_t count)
{
    static uint32_t column[TOKENS_MAX * LENGTHS_MAX];
    static int32_t value[TOKENS_MAX * LENGTHS_MAX];
    const uint8_t *at = out->data;
    assert_int_equal(count, expected_count);
    assert_true(dh_features_decode(&at, out->data + out->size, options->features, count, column, value));
    assert_ptr_equal(at, out->data + out->size);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(column[i], expected[i].column);
        assert_int_equal(value[i], expected[i].value);
    }
    if (count > 0) { /* a column fewer, a byte fewer, a document more: refused, nothing moves */
        at = out->data;
        assert_false(dh_features_decode(&at, out->data + out->size, column[count - 1], count, column, value));
        assert_false(
            dh_features_decode(&at, out->data + out->size - 1, options->features, count, column, value));
        assert_false(
            dh_features_decode(&at, out->data + out->size, options->features, count + 1, column, value));
        assert_ptr_equal(at, out->data);
    }
}

/* Two documents, so that the second one's tokens do not begin the batch; and the batch is not the first one.
 */
static void check_values(const dh_job_options *options, const uint32_t *hash, uint64_t first, uint64_t tokens)
{
    const dh_job_setup setup = {.options = options};
    void *state = NULL;
    assert_ok(dh_job_features.create(&setup, &state));
    const uint64_t offset[] = {1000, 1000 + first, 1000 + tokens};
    const dh_batch batch = {.document_count = 2, .token_offset = offset};
    void *column[] = {(void *)(uintptr_t)hash};
    dh_buffer out = {0};
    for (uint32_t d = 0; d < 2; d++) {
        uint32_t count = 77;
        out.size = 0;
        assert_ok(dh_job_features.values(state, &batch, column, d, &out, &count));
        const uint64_t skipped = d == 0 ? 0 : first * dh_ngram_lengths(options->ngrams);
        expect_values(options, hash + skipped, d == 0 ? first : tokens - first);
        assert_values(options, &out, count);
    }
    dh_buffer_free(&out);
    dh_job_features.free(state);
}

static uint32_t hashes[TOKENS_MAX * LENGTHS_MAX];

static void fill_hashes(uint32_t different)
{
    for (size_t i = 0; i < COUNT(hashes); i++) {
        hashes[i] = (uint32_t)(support_random_below(different) * 0x9E3779B1U);
    }
    hashes[3] = 0x80000000U;
    hashes[4] = 0x7FFFFFFFU;
    hashes[5] = 0;
    hashes[6] = UINT32_MAX;
}

static void test_values_are_those_of_scikit_learn(void **state)
{
    (void)state;
    static const uint32_t features[] = {1, 2, 7, 1000, 1 << 18, 300007, INT32_MAX};
    static const uint64_t tokens[][2] = {{0, 0},   {0, 1},   {3, 5},      {12, 36},
                                         {25, 52}, {64, 64}, {110, 2000}, {7000, 20000}};
    for (size_t f = 0; f < COUNT(features); f++) {
        for (size_t t = 0; t < COUNT(tokens); t++) {
            for (uint32_t kind = 0; kind < 8; kind++) {
                const dh_job_options options = {
                    .features = features[f],
                    .ngrams = {kind % 2 + 1, kind % 2 + 1 + kind / 2 % 3},
                    .alternate_sign = kind % 3 != 0,
                    .binary = kind == 7,
                };
                fill_hashes(kind < 4 ? 100 : UINT32_MAX);
                check_values(&options, hashes, tokens[t][0], tokens[t][1]);
            }
        }
    }
}

static void test_sums_of_zero_stay(void **state)
{
    (void)state;
    const uint32_t hash[] = {8, (uint32_t)-8, 5};
    const dh_job_options options = {.features = 100, .ngrams = {1, 1}, .alternate_sign = true};
    const dh_job_setup setup = {.options = &options};
    void *job = NULL;
    assert_ok(dh_job_features.create(&setup, &job));
    const uint64_t offset[] = {0, COUNT(hash)};
    const dh_batch batch = {.document_count = 1, .token_offset = offset};
    void *column[] = {(void *)(uintptr_t)hash};
    dh_buffer out = {0};
    uint32_t count = 0;
    assert_ok(dh_job_features.values(job, &batch, column, 0, &out, &count));
    const uint8_t bytes[] = {5, 2, 3, 0}; /* column 5 with + 1, column 8 with 0 */
    assert_int_equal(count, 2);
    assert_int_equal(out.size, sizeof bytes);
    assert_memory_equal(out.data, bytes, sizeof bytes);
    dh_buffer_free(&out);
    dh_job_features.free(job);
}

static void test_columns_of_the_least_number(void **state)
{
    (void)state;
    static const uint32_t columns[] = {1, 2, 3, 7, 1000, 1 << 18, 1 << 30, INT32_MAX};
    static const uint32_t hash[] = {0, 1, 0x7FFFFFFFU, 0x80000000U, 0x80000001U, UINT32_MAX};
    for (size_t c = 0; c < COUNT(columns); c++) {
        for (size_t h = 0; h < COUNT(hash); h++) {
            assert_int_equal(dh_feature_column(hash[h], columns[c]), column_in_words(hash[h], columns[c]));
        }
    }
}

/* ---- bytes of others --------------------------------------------------------------------------------- */

static void test_damaged_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[16];
        size_t size;
        uint32_t count;
        bool good;
    } cases[] = {
        {{5, 2, 3, 0}, 4, 2, true},
        {{0, 2, 9, 1}, 4, 2, true},                       /* column 0 may be the first one */
        {{5, 2, 0, 2}, 4, 2, false},                      /* the same column again */
        {{5, 2, 5, 2}, 4, 2, false},                      /* column 10 of 10 */
        {{10, 2}, 2, 1, false},                           /* column 10 of 10 */
        {{5}, 1, 1, false},                               /* no value */
        {{5, 0x82}, 2, 1, false},                         /* a number that does not end */
        {{5, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F}, 6, 1, false}, /* a value above 32 bits */
        {{5, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}, 6, 1, true},
        {{5, 2, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2},
         13,
         2,
         false}, /* beyond 64 bits */
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        uint32_t column[2] = {0};
        int32_t value[2] = {0};
        uint8_t *exact = malloc(cases[c].size);
        assert_non_null(exact);
        memcpy(exact, cases[c].bytes, cases[c].size);
        const uint8_t *at = exact;
        assert_int_equal(dh_features_decode(&at, exact + cases[c].size, 10, cases[c].count, column, value),
                         cases[c].good);
        assert_ptr_equal(at, cases[c].good ? exact + cases[c].size : exact);
        free(exact);
    }
    const uint8_t *nothing = NULL;
    assert_true(dh_features_decode(&nothing, NULL, 10, 0, NULL, NULL));
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static void test_rows_have_the_norm(void **state)
{
    (void)state;
    static const double weight[] = {1.0, 2.5, 1.25, 3.0};
    static const uint32_t column[] = {0, 1, 3};
    static const int32_t value[] = {-2, 0, 5};
    const dh_features features = {.columns = COUNT(weight), .weight = weight};
    const double weighed[] = {-2.0, 0.0, 15.0};
    const double norm[] = {[DH_NORM_NONE] = 1.0, [DH_NORM_L1] = 17.0, [DH_NORM_L2] = sqrt(4.0 + 225.0)};
    for (int n = DH_NORM_NONE; n <= DH_NORM_L2; n++) {
        const dh_job_options options = {.norm = (dh_norm)n};
        float row[COUNT(column)];
        dh_features_weigh(&features, &options, COUNT(column), column, value, row);
        for (size_t i = 0; i < COUNT(column); i++) {
            const float expect = (float)(weighed[i] / norm[n]);
            assert_memory_equal(row + i, &expect, sizeof expect);
        }
        const int32_t zeros[] = {0, 0, 0};
        dh_features_weigh(&features, &options, COUNT(column), column, zeros, row);
        for (size_t i = 0; i < COUNT(column); i++) {
            assert_true(row[i] == 0.0F); /* not a division by zero */
        }
    }
}

/* ---- the job ----------------------------------------------------------------------------------------- */

static void test_the_known_answer_is_known_for_every_range(void **state)
{
    (void)state;
    dh_backend *backend = open_cpu();
    for (uint32_t least = 1; least <= DH_NGRAM_TOKENS_MAX; least++) {
        for (uint32_t most = least; most <= DH_NGRAM_TOKENS_MAX; most++) {
            const dh_job_options options = {.features = 1 << 18, .ngrams = {least, most}};
            const dh_job_setup setup = {.options = &options};
            void *job = NULL;
            assert_ok(dh_job_features.create(&setup, &job));
            assert_ok(dh_job_features.self_test(job, backend));
            dh_column column[DH_JOB_COLUMNS_MAX];
            assert_int_equal(dh_job_features.columns(job, column), 1);
            assert_int_equal(column[0].place, DH_TOKEN);
            assert_int_equal(column[0].width, most - least + 1);
            dh_job_features.free(job);
        }
    }
    dh_backend_cpu.close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_those_of_scikit_learn),
        cmocka_unit_test(test_sums_of_zero_stay),
        cmocka_unit_test(test_columns_of_the_least_number),
        cmocka_unit_test(test_damaged_values_are_refused),
        cmocka_unit_test(test_rows_have_the_norm),
        cmocka_unit_test(test_the_known_answer_is_known_for_every_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
