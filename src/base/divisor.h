/* dhatu: the greatest common divisor. */
#ifndef DH_BASE_DIVISOR_H
#define DH_BASE_DIVISOR_H

#include <stdint.h>

/* Of 0 and n it is n; 0 for 0 and 0 alone. */
uint64_t dh_common_divisor(uint64_t a, uint64_t b);

#endif
