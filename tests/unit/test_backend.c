/* Tests of kernels/backend.h: the list of backends, and the CPU's. */
#include "lanes.h"

#include "kernels/backend.h"

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

/* Documents of every small size in one batch of more than one window. */
static void test_the_cpu_hashes_a_batch(void **state)
{
    (void)state;
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
    dh_backend *backend = open_cpu();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cpu_is_first_and_always_built),
        cmocka_unit_test(test_every_kind_works_or_says_why_not),
        cmocka_unit_test(test_unknown_names_are_not_found),
        cmocka_unit_test(test_the_cpu_opens_and_describes_itself),
        cmocka_unit_test(test_the_cpu_hashes_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
