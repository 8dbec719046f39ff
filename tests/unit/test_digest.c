/* Tests of kernels/digest.h on the CPU backend: known vectors, and the definition computed again. */
#include "lanes.h"

#include "kernels/backend.h"

#include <math.h>

static const char *const dhatus[DH_DHATUS] = {"RELATE", "MODAL", "EXIST",  "EVAL", "COMM",
                                              "CAUSE",  "ITER",  "DECIDE", "FEEL"};

enum { DOCUMENTS_MAX = 2100 };

static uint16_t raw[DOCUMENTS_MAX + 1][DH_DHATUS];
static double prime[DOCUMENTS_MAX + 1][DH_DIGEST_PRIMES];
static double entropy[DOCUMENTS_MAX + 1], variance[DOCUMENTS_MAX + 1], score[DOCUMENTS_MAX + 1];

/* Runs the kernel, with sentinels behind every output. */
static void digest(const uint8_t *text, const uint64_t *offset, uint32_t count)
{
    const dh_digest_out out = {&raw[0][0], &prime[0][0], entropy, variance, score};
    const dh_batch batch = {.document_count = count, .text = text, .text_offset = offset};
    memset(raw, 0xA5, sizeof raw);
    memset(prime, 0xA5, sizeof prime);
    memset(entropy, 0xA5, sizeof entropy);
    memset(variance, 0xA5, sizeof variance);
    memset(score, 0xA5, sizeof score);
    dh_backend *backend = open_cpu();
    assert_int_equal(dh_backend_cpu.digest(begin(backend, &batch), &out), DH_BACKEND_OK);
    dh_backend_cpu.close(backend);
    static const uint8_t sentinel[sizeof(double)] = {0xA5, 0xA5, 0xA5, 0xA5, 0xA5, 0xA5, 0xA5, 0xA5};
    assert_memory_equal(&raw[count][0], sentinel, sizeof raw[0][0]);
    assert_memory_equal(&prime[count][0], sentinel, sizeof prime[0][0]);
    assert_memory_equal(&entropy[count], sentinel, sizeof entropy[0]);
    assert_memory_equal(&variance[count], sentinel, sizeof variance[0]);
    assert_memory_equal(&score[count], sentinel, sizeof score[0]);
}

static void assert_near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12 * fabs(expected))) {
        fail_msg("%.17g, expected %.17g", got, expected);
    }
}

/* Computed from the definition with Python's hashlib and integers. */
static void test_known_vectors(void **state)
{
    (void)state;
    static const uint16_t expected[3][DH_DHATUS] = {
        {643, 530, 493, 821, 476, 581, 650, 789, 510},
        {453, 572, 700, 518, 729, 686, 781, 702, 373},
        {868, 545, 196, 692, 514, 622, 514, 770, 761},
    };
    static const uint64_t offset[] = {0, 0, 1, 4};
    digest((const uint8_t *)"aabc", offset, 3);
    for (int d = 0; d < 3; d++) {
        assert_memory_equal(raw[d], expected[d], sizeof expected[d]);
    }
    assert_near(entropy[0], 0.5918878278651912);
    assert_near(entropy[1], 0.593627652640302);
    assert_near(entropy[2], 0.5893181263933283);
    assert_near(variance[0], 2.1128554985675778e+20);
    assert_near(variance[1], 1.1483959894602713e+20);
    assert_near(variance[2], 4.553301481114042e+20);
}

static uint32_t naive_raw(const char *name, const uint8_t *text, size_t size)
{
    uint8_t bytes[DH_SHA256_SIZE];
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, name, strlen(name));
    dh_sha256_update(&sha, "::", 2);
    dh_sha256_update(&sha, text, size);
    dh_sha256_end(&sha, bytes);
    return (uint32_t)(bytes[0] + bytes[5] + bytes[13] + bytes[21] + bytes[29]);
}

/* Computes document d again, from the definition, in long double. */
static void expect_document(uint32_t d, const uint8_t *text, size_t size)
{
    static const int base[DH_DIGEST_PRIMES] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
    long double total = 0;
    for (int i = 0; i < DH_DHATUS; i++) {
        assert_int_equal(raw[d][i], naive_raw(dhatus[i], text, size));
        total += raw[d][i];
    }
    long double expected[DH_DIGEST_PRIMES];
    long double sum = 0;
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        expected[i] = 0;
        for (int c = 0; c < DH_DHATUS; c++) {
            expected[i] += raw[d][c] * powl(base[i], c % base[i]);
        }
        expected[i] /= total;
        sum += expected[i];
        assert_near(prime[d][i], (double)expected[i]);
    }
    long double h = 0;
    long double v = 0;
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        const long double q = expected[i] / (sum + 1e-8L);
        h -= q * logl(q + 1e-8L);
        v += (expected[i] - sum / 10) * (expected[i] - sum / 10) / 10;
    }
    assert_near(entropy[d], (double)h);
    assert_near(variance[d], (double)v);
    assert_true(score[d] == 0.7 * entropy[d] + 0.3 * variance[d]);
}

/* More documents than a window of the backend, of every size around a block of SHA-256. */
static void test_random_documents(void **state)
{
    (void)state;
    static uint8_t text[DOCUMENTS_MAX * 140];
    static uint64_t offset[DOCUMENTS_MAX + 1];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)support_random();
    }
    static const uint32_t counts[] = {0, 1, 15, 16, 17, 1023, 1024, 1025, DOCUMENTS_MAX};
    for (size_t c = 0; c < COUNT(counts); c++) {
        for (uint32_t d = 0; d < counts[c]; d++) {
            offset[d + 1] = offset[d] + (c % 2 == 0 ? d % 140 : support_random_below(140));
        }
        digest(text, offset, counts[c]);
        for (uint32_t d = 0; d < counts[c]; d++) {
            expect_document(d, text + offset[d], (size_t)(offset[d + 1] - offset[d]));
        }
    }
}

/* What a batch is made of does not matter to a document. */
static void test_a_document_alone_is_as_in_a_batch(void **state)
{
    (void)state;
    enum { DOCUMENTS = 40 };
    uint8_t text[DOCUMENTS * 50];
    uint64_t offset[DOCUMENTS + 1] = {0};
    double together[DOCUMENTS][DH_DIGEST_PRIMES];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)support_random();
    }
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        offset[d + 1] = offset[d] + support_random_below(50);
    }
    digest(text, offset, DOCUMENTS);
    memcpy(together, prime, sizeof together);
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        digest(text, offset + d, 1);
        assert_memory_equal(together[d], prime[0], sizeof prime[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_vectors),
        cmocka_unit_test(test_random_documents),
        cmocka_unit_test(test_a_document_alone_is_as_in_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
