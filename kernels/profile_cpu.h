/* dhatu: the walk of kernels/profile_core.h over a whole document, arranged for processors that guess
 * branches and that wait for memory; devices find the candidates of all tokens first (device_core.h). Same
 * results. */
#ifndef DH_KERNELS_PROFILE_CPU_H
#define DH_KERNELS_PROFILE_CPU_H

#include "kernels/profile_core.h"

/* Counts the units of one document: counts[0..K) positive, counts[K..2K) negative (zeroed by the caller).
 * Returns the tokens inside matches. Left to right, longest match, no overlaps. */
uint32_t dh_profile_count_cpu(const dh_profile_tables *tables, const dh_profile_document *document,
                              uint32_t *counts);

#endif
