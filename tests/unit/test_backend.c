/* Tests of kernels/backend.h: the list of backends, and the CPU's. */
#include "lanes.h"

#include "kernels/backend.h"
#include "kernels/cpu.h"

enum { EVERY_FEATURE = DH_CPU_AVX2 | DH_CPU_AVX512 | DH_CPU_SHA };

static dh_backend *open_without(uint32_t features)
{
    char why[DH_BACKEND_TEXT];
    const dh_backend_options options = {.lanes = 1, .cpu_without = features};
    dh_backend *backend = NULL;
    assert_int_equal(dh_backend_cpu.open(&options, &backend, why), DH_BACKEND_OK);
    return backend;
}

static void test_the_cpu_is_first_and_always_built(void **state)
{
    (void)state;
    assert_ptr_equal(dh_backend_kinds[0], &dh_backend_cpu);
    assert_string_equal(dh_backend_cpu.name, "cpu");
    assert_null(dh_backend_cpu.not_built);
}

static void test_every_kind_works_or_says_why_not(void **state)
{
    (void)state;
    size_t count = 0;
    for (; dh_backend_kinds[count] != NULL; count++) {
        const dh_backend_kind *kind = dh_backend_kinds[count];
        assert_ptr_equal(dh_backend_kind_find(kind->name), kind);
        if (kind->not_built != NULL) {
            assert_true(strlen(kind->not_built) > 10);
            assert_null(kind->open);
        } else {
            assert_true(kind->open != NULL && kind->close != NULL && kind->describe != NULL);
            assert_true(kind->sha256 != NULL && kind->digest != NULL && kind->profile != NULL);
            assert_true(kind->devices != NULL && kind->facts != NULL && kind->error != NULL);
            assert_true(kind->pin != NULL && kind->unpin != NULL && kind->load != NULL);
            assert_true(kind->begin != NULL && kind->poll != NULL);
        }
    }
    assert_true(count >= 3);
    assert_non_null(dh_backend_kind_find("cuda"));
    assert_non_null(dh_backend_kind_find("opencl"));
}

static void test_unknown_names_are_not_found(void **state)
{
    (void)state;
    assert_null(dh_backend_kind_find("auto"));
    assert_null(dh_backend_kind_find(""));
    assert_null(dh_backend_kind_find("CPU"));
    assert_null(dh_backend_kind_find("cp"));
}

static void test_the_cpu_opens_and_describes_itself(void **state)
{
    (void)state;
    dh_backend *backend = open_cpu();
    assert_ptr_equal(backend->kind, &dh_backend_cpu);
    const char *line = dh_backend_cpu.describe(backend);
    assert_says(line, "CPU");
    assert_says(line, dh_sha256_engine_name(dh_sha256_engine_best()));
    dh_backend_cpu.close(backend);
}

/* Documents of every small size in one batch of more than one window, hashed without some features. */
static void hash_a_batch(uint32_t without)
{
    enum { DOCUMENTS = 1500 };
    uint8_t text[DOCUMENTS * 3];
    static uint64_t offset[DOCUMENTS + 1];
    static char hex[DOCUMENTS * 2 * DH_SHA256_SIZE];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)support_random();
    }
    for (size_t d = 0; d < DOCUMENTS; d++) {
        offset[d + 1] = offset[d] + d % 4;
        assert_true(offset[d + 1] <= sizeof text);
    }
    const dh_batch batch = {.document_count = DOCUMENTS, .text = text, .text_offset = offset};
    dh_backend *backend = open_without(without);
    dh_lane *lane = begin(backend, &batch);
    assert_int_equal(dh_backend_cpu.sha256(lane, hex), DH_BACKEND_OK);
    assert_int_equal(dh_backend_cpu.poll(lane), DH_BACKEND_OK);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        uint8_t expected[DH_SHA256_SIZE];
        dh_sha256 sha;
        dh_sha256_begin(&sha);
        dh_sha256_update(&sha, text + offset[d], offset[d + 1] - offset[d]);
        dh_sha256_end(&sha, expected);
        for (size_t i = 0; i < DH_SHA256_SIZE; i++) {
            char digits[3];
            (void)snprintf(digits, sizeof digits, "%02x", expected[i]);
            assert_memory_equal(hex + d * 2 * DH_SHA256_SIZE + 2 * i, digits, 2);
        }
    }
    dh_backend_cpu.close(backend);
}

static void test_every_subset_of_features_hashes_the_same(void **state)
{
    (void)state;
    for (uint32_t without = 0; without <= EVERY_FEATURE; without++) {
        hash_a_batch(without);
    }
}

static void test_features_can_be_switched_off(void **state)
{
    (void)state;
    for (uint32_t without = 0; without <= EVERY_FEATURE; without++) {
        dh_backend *backend = open_without(without);
        const uint32_t features = dh_cpu_features() & ~without;
        const char *line = dh_backend_cpu.describe(backend);
        assert_true((strstr(line, "AVX2") != NULL) == ((features & DH_CPU_AVX2) != 0));
        assert_true((strstr(line, "AVX-512") != NULL) == ((features & DH_CPU_AVX512) != 0));
        assert_true((strstr(line, "SHA,") != NULL || strstr(line, "SHA)") != NULL) ==
                    ((features & DH_CPU_SHA) != 0));
        assert_says(line, dh_sha256_engine_name(dh_sha256_engine_of(features)));
        dh_backend_cpu.close(backend);
    }
    assert_int_equal(dh_sha256_engine_of(0), DH_SHA256_SCALAR);
    const bool avx2 = (dh_cpu_features() & DH_CPU_AVX2) != 0;
    assert_int_equal(dh_sha256_engine_of(DH_CPU_AVX2), avx2 ? DH_SHA256_AVX2 : DH_SHA256_SCALAR);
}

static void test_features_are_told_in_words(void **state)
{
    (void)state;
    char text[32];
    dh_cpu_features_text(0, text, sizeof text);
    assert_string_equal(text, "none");
    dh_cpu_features_text(DH_CPU_SHA, text, sizeof text);
    assert_string_equal(text, "SHA");
    dh_cpu_features_text(EVERY_FEATURE, text, sizeof text);
    assert_string_equal(text, "AVX2 AVX-512 SHA");
    char little[8];
    dh_cpu_features_text(EVERY_FEATURE, little, sizeof little);
    assert_string_equal(little, "AVX2 AV");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cpu_is_first_and_always_built),
        cmocka_unit_test(test_every_kind_works_or_says_why_not),
        cmocka_unit_test(test_unknown_names_are_not_found),
        cmocka_unit_test(test_the_cpu_opens_and_describes_itself),
        cmocka_unit_test(test_every_subset_of_features_hashes_the_same),
        cmocka_unit_test(test_features_can_be_switched_off),
        cmocka_unit_test(test_features_are_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
