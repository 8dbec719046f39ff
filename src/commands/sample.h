/* dhatu: documents made up of words of the default lexicons, to measure kernels on without a corpus. */
#ifndef DH_COMMANDS_SAMPLE_H
#define DH_COMMANDS_SAMPLE_H

#include "run/settings.h"

enum { DH_SAMPLE_DOCUMENT = 1024 /* bytes of each document */ };

typedef struct dh_sample {
    dh_batch batch;     /* document_count may be set to less */
    uint32_t documents; /* that there are */
    void *block;        /* what the batch points to, in pages of its own, as memory to be pinned must be */
    uint64_t size;      /* of the block */
} dh_sample;

/* The same documents each time, in the languages of the lexicons by turns. settings has the default lexicons.
 * Owner frees with dh_sample_free. Errors: DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_sample_make(const dh_settings *settings, uint32_t documents, dh_sample *out);
void dh_sample_free(dh_sample *sample);

/* Memory that shares no page with other memory. Owner frees with free. Errors: DH_NO_MEMORY (logged). */
dh_status dh_allocate_pages(uint64_t size, const char *what, void **out);

#endif
