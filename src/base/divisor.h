/* dhatu: the greatest common divisor. Of 0 and n it is n. */
#ifndef DH_BASE_DIVISOR_H
#define DH_BASE_DIVISOR_H

#include <stdint.h>

static inline uint64_t dh_common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

#endif
