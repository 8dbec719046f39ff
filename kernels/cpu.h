/* dhatu: what the processor can do, found out at run time. */
#ifndef DH_KERNELS_CPU_H
#define DH_KERNELS_CPU_H

#include <stddef.h>
#include <stdint.h>

/* DH_CPU_* of kernels/backend.h, or'ed. AVX-512 means F, BW, VL, DQ, VBMI and VBMI2, as kernels need them,
 * and that the operating system saves the registers. 0 on other processors than x86-64. */
uint32_t dh_cpu_features(void);

/* Their names, "AVX2 AVX-512 SHA" or "none", for people. */
void dh_cpu_features_text(uint32_t features, char *out, size_t size);

#endif
