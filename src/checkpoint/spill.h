/* dhatu: the spill of one rank in one attempt, and the group commit that makes its segments durable.
 *
 * Chunks are appended as they come; dh_spill_end_segment says that a segment is complete; dh_spill_commit
 * syncs the spill, appends an entry a segment to the journal and syncs that. Only then a segment counts.
 * Files are created with the first chunk and the first commit: a rank that did nothing leaves none. After any
 * error the spill must not be used but freed: what an fsync failed to write is lost. */
#ifndef DH_CHECKPOINT_SPILL_H
#define DH_CHECKPOINT_SPILL_H

#include "checkpoint/journal.h"
#include "run/chunk.h"

typedef struct dh_spill dh_spill;

typedef struct dh_spill_options {
    const char *folder;
    dh_run_id run;
    uint32_t epoch, rank;
    uint64_t start;     /* of the attempt, ns since 1970 */
    bool journalled;    /* false: nothing is hashed, synced or committed (--commit-interval 0) */
    dh_poll *may_write; /* asked before every write: DH_LOCKED when another attempt took over; NULL: yes */
    void *context;
} dh_spill_options;

dh_status dh_spill_create(const dh_spill_options *options, dh_spill **out);
void dh_spill_free(dh_spill *spill); /* commits nothing */

/* Closes the files when all is written: some file systems tell of a failed write only then, and a spill
 * without a journal is never synced. Behind it only dh_spill_free and what tells figures may be called.
 * Errors: DH_IO (logged). */
dh_status dh_spill_close(dh_spill *spill);

/* Appends a chunk of the current segment; entry tells where it went. Asks the system to begin writing it to
 * the disk, so that the commit's sync finds little to do. Errors: DH_IO (logged), what may_write says. */
dh_status dh_spill_add_chunk(dh_spill *spill, const dh_chunk *chunk, uint32_t first_source, uint64_t begin,
                             dh_chunk_entry *entry);

/* What the journal keeps of a segment besides place and hash. */
typedef struct dh_segment_facts {
    uint32_t first_source, flags;
    uint64_t begin;
    uint64_t documents, text_bytes, file_bytes;
    uint32_t bad;
} dh_segment_facts;

/* The current segment is complete (it may have no chunk). It waits for the next commit. */
dh_status dh_spill_end_segment(dh_spill *spill, const dh_segment_facts *facts);

/* Drops the chunks of the current, incomplete segment; the next one overwrites them. */
void dh_spill_drop_segment(dh_spill *spill);

/* Makes all ended segments durable. Nothing to do: no system call. Errors: DH_IO (logged), may_write's. */
dh_status dh_spill_commit(dh_spill *spill);

uint64_t dh_spill_size(const dh_spill *spill);         /* bytes */
uint64_t dh_spill_waiting(const dh_spill *spill);      /* segments ended and not committed */
uint64_t dh_spill_committed(const dh_spill *spill);    /* segments */
double dh_spill_commit_seconds(const dh_spill *spill); /* of all commits together */

/* Is what a journal entry says of its spill true? Reads the spilled bytes in pieces and compares their hash,
 * then walks the chunk headers. *intact tells; take(context, entry) gets every chunk of an intact one, in
 * order. A missing, short or altered spill is not intact, no error. Errors: DH_IO (logged: the system's read
 * failed), DH_NO_MEMORY, what poll (NULL: none) or take return. scratch is for reuse. */
typedef dh_status dh_chunk_entry_take(void *context, const dh_chunk_entry *entry);
dh_status dh_spill_check(const char *folder, const dh_journal_entry *journal, const dh_schema *schema,
                         dh_buffer *scratch, dh_chunk_entry_take *take, void *context, dh_poll *poll,
                         void *poll_context, bool *intact);

#endif
