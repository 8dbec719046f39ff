/* dhatu: from nine SHA-256 digests to the hashed profile. One text for C, CUDA and OpenCL. */
#ifndef DH_KERNELS_DIGEST_CORE_H
#define DH_KERNELS_DIGEST_CORE_H

#include "kernels/digest.h"
#include "kernels/math_core.h"

/* What is hashed before the text, by the number of the name; zeros behind. */
DH_CONSTANT_TABLE dh_u8 dh_digest_prefix[DH_DHATUS][12] = {
    "RELATE::", "MODAL::", "EXIST::", "EVAL::", "COMM::", "CAUSE::", "ITER::", "DECIDE::", "FEEL::",
};

/* The bytes of a digest that make the raw weight, and the primes of the activations. */
#define DH_DIGEST_RAW(b) ((uint32_t)(b)[0] + (b)[5] + (b)[13] + (b)[21] + (b)[29])

/* prime[p] = (sum over d of raw[d] * p^(d mod p)) / sum(raw). The sum is exact: at most
 * 9 * 1275 * 29^8 < 2^53, so the one division is the only rounding. An all-zero raw gives zeros. */
DH_FN void dh_digest_primes(const uint32_t *raw, double *prime)
{
    const uint32_t primes[DH_DIGEST_PRIMES] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
    uint64_t total = 0;
    for (int d = 0; d < DH_DHATUS; d++) {
        total += raw[d];
    }
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        uint64_t sum = 0;
        uint64_t power = 1;
        for (uint32_t d = 0; d < DH_DHATUS; d++) {
            power = d % primes[i] == 0 ? 1 : power * primes[i];
            sum += raw[d] * power;
        }
        prime[i] = total > 0 ? (double)sum / (double)total : 0.0;
    }
}

/* entropy and variance of the ten activations, summed in the order of the primes. */
DH_FN void dh_digest_moments(const double *prime, double *entropy, double *variance)
{
    double sum = 0.0;
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        sum = sum + prime[i];
    }
    const double norm = sum + 1e-8;
    const double mean = sum / 10.0;
    double h = 0.0;
    double squares = 0.0;
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        const double q = prime[i] / norm;
        const double deviation = prime[i] - mean;
        h = h - q * dh_ln(q + 1e-8);
        squares = squares + deviation * deviation;
    }
    *entropy = h;
    *variance = squares / 10.0;
}

DH_FN double dh_digest_score(double entropy, double variance)
{
    return 0.7 * entropy + 0.3 * variance;
}

#endif
