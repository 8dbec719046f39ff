/* dhatu: the count of kernels/profile_core.h, arranged for processors that guess branches and that wait for
 * memory: same results. */
#ifndef DH_KERNELS_PROFILE_CPU_H
#define DH_KERNELS_PROFILE_CPU_H

#include "kernels/profile_core.h"

/* What dh_profile_count returns and adds to counts. */
uint32_t dh_profile_count_cpu(const dh_profile_tables *tables, const dh_profile_document *document,
                              uint32_t *counts);

#endif
