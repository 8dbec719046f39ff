/* dhatu: the natural logarithm, to the same bit on every backend. See kernels/core.h.
 *
 * Only + - * / on doubles, in a fixed order, which IEEE 754 defines to the bit; so whoever compiles this
 * must not let products and sums be fused (-ffp-contract=off, nvcc -fmad=false). */
#ifndef DH_KERNELS_MATH_CORE_H
#define DH_KERNELS_MATH_CORE_H

#include "kernels/core.h"

#if DH_HAS_DOUBLE

/* ln(x) of a positive normal double; of nothing else. At most 2e-15 from the true value, relative to it,
 * also near 1.
 *
 * x = m 2^e with m in [sqrt(1/2), sqrt(2)); ln x = e ln 2 + 2 atanh(f), f = (m - 1) / (m + 1), and
 * atanh(f) = f + f^3/3 + f^5/5 + ... As |f| < 0.1716, the first term left out, f^25/25, is below 1e-20.
 * ln 2 comes in two parts, of which the first has 20 zero bits at its end: e times it is exact. */
DH_FN double dh_ln(double x)
{
    const double ln2_high = 6.93147180369123816490e-01; /* 0x3FE62E42FEE00000 */
    const double ln2_low = 1.90821492927058770002e-10;  /* ln 2 less that */
    dh_u64 bits = dh_f64_bits(x);
    dh_i32 exponent = (dh_i32)(bits >> 52) - 1023;
    double m = dh_f64_from_bits((bits & 0x000FFFFFFFFFFFFFUL) | 0x3FF0000000000000UL);
    if (m >= 1.4142135623730951) {
        m = m * 0.5;
        exponent = exponent + 1;
    }
    double f = (m - 1.0) / (m + 1.0);
    double s = f * f;
    double series = 1.0 / 23.0;
    series = series * s + 1.0 / 21.0;
    series = series * s + 1.0 / 19.0;
    series = series * s + 1.0 / 17.0;
    series = series * s + 1.0 / 15.0;
    series = series * s + 1.0 / 13.0;
    series = series * s + 1.0 / 11.0;
    series = series * s + 1.0 / 9.0;
    series = series * s + 1.0 / 7.0;
    series = series * s + 1.0 / 5.0;
    series = series * s + 1.0 / 3.0;
    double tail = 2.0 * f * (s * series); /* 2 atanh(f) - 2 f */
    double e = (double)exponent;
    return e * ln2_high + (2.0 * f + (tail + e * ln2_low));
}

#endif

#endif
