/* dhatu: n-gram hashes on CPUs. Same results as kernels/ngrams_core.h. */
#ifndef DH_KERNELS_NGRAMS_CPU_H
#define DH_KERNELS_NGRAMS_CPU_H

#include "kernels/batch.h"
#include "kernels/ngrams.h"

/* -DDH_NGRAMS_X86=0 builds what other processors get. */
#if !defined(DH_NGRAMS_X86)
#if defined(__x86_64__) && defined(__GNUC__)
#define DH_NGRAMS_X86 1
#else
#define DH_NGRAMS_X86 0
#endif
#endif

/* hash: as dh_backend_kind.ngrams has it. The batch has spelling. features: DH_CPU_* of kernels/backend.h,
 * which the processor has. */
void dh_ngrams_batch(uint32_t features, const dh_batch *batch, dh_ngram_range range, uint32_t *hash);

/* The spelling of a document, and how many bytes of the batch's spelling may be read from its begin on. */
typedef struct dh_document_spelling {
    const uint8_t *bytes;
    uint64_t readable;
    const uint32_t *token_end;
    uint64_t tokens;
} dh_document_spelling;

#if DH_NGRAMS_X86
/* Hashes the n-grams that begin with the first tokens of a document, and returns how many tokens: nearly all.
 */
uint64_t dh_ngrams_document_avx512(const dh_document_spelling *spelling, dh_ngram_range range,
                                   uint32_t *hash);
#endif

#endif
