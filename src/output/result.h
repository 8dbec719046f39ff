/* dhatu: the reduce and write phases, from spilled chunks to OUT.h5. */
#ifndef DH_OUTPUT_RESULT_H
#define DH_OUTPUT_RESULT_H

#include "comm/comm.h"
#include "output/bulk.h"
#include "output/content.h"
#include "run/watch.h"

/* Counts of what was and what was not a document; bytes are of the uncompressed sources. */
typedef struct dh_quality {
    uint64_t documents, document_bytes;
    uint64_t blank, blank_bytes;
    uint64_t reason[DH_REASON_COUNT], reason_bytes[DH_REASON_COUNT];
    uint64_t repaired_documents; /* documents with status repaired */
    uint64_t replaced;           /* U+FFFD that were put in */
    uint64_t unchecked_sources;  /* zstd without a checksum: bit flips go unseen */
    uint64_t source_bytes;       /* all of it */
} dh_quality;

typedef struct dh_result_options {
    const char *path;       /* of the result */
    const char *partial;    /* where it is written first */
    const char *quarantine; /* path of the list of bad records */
    const char *quarantine_partial;
    const char *folder; /* of the spills */
    const char *config; /* JSON */
    uint32_t deflate;
    dh_watch *watch;
    dh_progress *progress;
    const dh_reduce *reduce;   /* of the step behind the map phase, ... */
    const dh_reduced *reduced; /* ... and what it found */
} dh_result_options;

typedef struct dh_result_facts {
    dh_quality quality;
    uint64_t rows, sources, file_size;
    uint64_t ids_changed;
    char content[2 * DH_SHA256_SIZE + 1]; /* rank 0 */
    double seconds_ids, seconds_rows, seconds_matrix, seconds_sources, seconds_finish;
} dh_result_facts;

/* Writes options->partial and quarantine_partial, and reads the former back. COLLECTIVE; the status is the
 * same on all ranks. Errors: DH_IO (logged with path and bytes), DH_AGAIN, DH_LOCKED (watch.h); the partial
 * files are removed, an earlier result is untouched. */
dh_status dh_result_write(dh_comm *comm, const dh_settings *settings, const dh_plan *plan,
                          const dh_chunk_table *table, const dh_result_options *options,
                          dh_result_facts *out);

/* On rank 0: gives both their final names, durably. The quarantine goes first: a result that has its name is
 * complete. Errors: DH_IO (logged). */
dh_status dh_result_publish(const dh_result_options *options);

/* Removes both partial files, if they are there. */
void dh_result_remove_partial(const dh_result_options *options);

#endif
