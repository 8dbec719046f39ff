/* dhatu: n-gram hashes on CPUs. Same results as kernels/ngrams_core.h. */
#ifndef DH_KERNELS_NGRAMS_CPU_H
#define DH_KERNELS_NGRAMS_CPU_H

#include "kernels/batch.h"
#include "kernels/ngrams.h"

/* hash: as dh_backend_kind.ngrams has it. The batch has spelling. */
void dh_ngrams_batch(const dh_batch *batch, dh_ngram_range range, uint32_t *hash);

#endif
