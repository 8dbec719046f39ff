#include "kernels/sha256_engine.h"
#if DH_SHA256_X86
int dh_sha256_avx512_is_available(void)
{
    return 0;
}
void dh_sha256_avx512_batch(const dh_sha256_plan *plan, const uint8_t *text, const uint64_t *text_offset,
                            uint32_t document_count, uint8_t *digest)
{
    (void)plan, (void)text, (void)text_offset, (void)document_count, (void)digest;
}
#endif
