#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels/math_core.h"

/* splitmix64: the same sequence everywhere. */
static uint64_t random_next(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

/* A double in [1, 2), made of bits alone. */
static double random_mantissa(uint64_t *seed)
{
    return dh_f64_from_bits(random_next(seed) >> 12 | 0x3FF0000000000000U);
}

static double relative_error(double x)
{
    double expected = log(x);
    double got = dh_ln(x);
    return expected == 0.0 ? fabs(got) : fabs((got - expected) / expected);
}

static void ln_is_close_to_libm(void **unused)
{
    (void)unused;
    uint64_t seed = 1;
    double worst = 0.0;
    for (int i = 0; i < 1000000; i++) {
        /* spread evenly over the logarithms of 1e-9 to 1e12 */
        double x = pow(10.0, -9.0 + 21.0 * (random_mantissa(&seed) - 1.0));
        worst = fmax(worst, relative_error(x));
    }
    print_message("worst relative error over 1e-9 to 1e12: %.3g\n", worst);
    assert_true(worst <= 2e-15);
}

static void ln_is_close_near_one(void **unused)
{
    (void)unused;
    uint64_t seed = 2;
    double worst = 0.0;
    for (int i = 0; i < 1000000; i++) {
        double shift = (random_mantissa(&seed) - 1.5) * pow(10.0, -(double)(i % 16));
        worst = fmax(worst, relative_error(1.0 + shift));
    }
    print_message("worst relative error near 1: %.3g\n", worst);
    assert_true(worst <= 2e-15);
}

static void ln_at_boundaries(void **unused)
{
    (void)unused;
    assert_true(dh_f64_bits(dh_ln(1.0)) == 0);
    const double at[] = {1.0,
                         2.0,
                         0.5,
                         1.4142135623730951,
                         0.70710678118654757,
                         2.2250738585072014e-308,
                         1.7976931348623157e308,
                         1e-9,
                         1e12,
                         2.718281828459045,
                         10.0,
                         4294967296.0};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        uint64_t bits = dh_f64_bits(at[i]);
        for (int step = -2; step <= 2; step++) {
            double x = dh_f64_from_bits(bits + (uint64_t)(int64_t)step);
            if (isnormal(x) && x > 0.0) {
                assert_true(relative_error(x) <= 2e-15);
            }
        }
    }
    for (int e = -1022; e <= 1023; e++) {
        assert_true(relative_error(ldexp(1.0, e)) <= 2e-15);
    }
}

/* Whole numbers, which counts are, and reciprocals: never falling where the argument rises. */
static void ln_rises(void **unused)
{
    (void)unused;
    for (int i = 1; i < 1000000; i++) {
        assert_true(dh_ln((double)i) < dh_ln((double)i + 1.0));
    }
}

/* The bits of a fixed sequence, found with gcc 12 -O0: the same under every compiler and option. */
static void ln_is_the_same_to_the_bit(void **unused)
{
    (void)unused;
    uint64_t seed = 3, sum = 0;
    for (int i = 0; i < 1000000; i++) {
        uint64_t exponent = 1023 - 30 + random_next(&seed) % 71; /* 2^-30 to 2^41 */
        double x = dh_f64_from_bits(random_next(&seed) >> 12 | exponent << 52);
        sum = (sum << 7 | sum >> 57) ^ dh_f64_bits(dh_ln(x)) * 0x9E3779B97F4A7C15U;
    }
    print_message("checksum of the bits: %016llx\n", (unsigned long long)sum);
    assert_true(sum == UINT64_C(0x76AAAB3DC7279CB3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ln_is_close_to_libm),       cmocka_unit_test(ln_is_close_near_one),
        cmocka_unit_test(ln_at_boundaries),          cmocka_unit_test(ln_rises),
        cmocka_unit_test(ln_is_the_same_to_the_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
