/* dhatu: the journal of one rank in one attempt: which segments of its spill are complete and durable.
 *
 * A header, then entries of one size, appended by nobody but that rank in that attempt. An entry counts only
 * if its check fits; the bytes it speaks of were synced before it was written. A torn or damaged entry is
 * passed over: it costs its segment, nothing else. Numbers are in the byte order of the machine; the
 * manifest's options tell which one, so that a machine of the other order refuses the checkpoint there. */
#ifndef DH_CHECKPOINT_JOURNAL_H
#define DH_CHECKPOINT_JOURNAL_H

#include "base/buffer.h"

#include <stdbool.h>

enum { DH_JOURNAL_VERSION = 1, DH_RUN_ID_SIZE = 16 };

/* Names a computation: random, made with the manifest. Entries of another one never count. */
typedef struct dh_run_id {
    uint8_t byte[DH_RUN_ID_SIZE];
} dh_run_id;

enum {
    DH_SEGMENT_LAST = 1,  /* the source ends in it: what tells a stream's last segment */
    DH_SEGMENT_STREAM = 2 /* of a stream (plan.h), whose number of segments is not known before */
};

/* 128 bytes, all fields used: no padding. */
typedef struct dh_journal_entry {
    char magic[4];         /* DH_JOURNAL_ENTRY_MAGIC */
    uint32_t flags;        /* DH_SEGMENT_* */
    uint64_t run;          /* the first 8 bytes of the run id */
    uint32_t epoch, rank;  /* as in the file's name */
    uint64_t sequence;     /* number of the entry in its journal, from 0 */
    uint32_t first_source; /* with begin: names the segment (dh_work_item) */
    uint32_t chunk_count;
    uint64_t begin;
    uint64_t offset, size;        /* in the spill */
    uint64_t hash_low, hash_high; /* XXH3-128 of these bytes */
    uint64_t documents, text_bytes;
    uint64_t file_bytes; /* of the sources' files that it stands for; over all segments their sizes */
    uint32_t bad;
    uint32_t reserved;
    uint64_t time;  /* ns since 1970, when it was committed */
    uint64_t check; /* XXH3-64 of the 120 bytes before, with seed DH_JOURNAL_VERSION */
} dh_journal_entry;
#define DH_JOURNAL_ENTRY_MAGIC "dhje"

/* 64 bytes. */
typedef struct dh_journal_header {
    char magic[8]; /* "dhjrnl\0\0" */
    uint32_t version, entry_size;
    dh_run_id run;
    uint32_t epoch, rank;
    uint64_t start; /* of the attempt, ns since 1970 */
    uint64_t reserved;
    uint64_t check; /* XXH3-64 of the 56 bytes before */
} dh_journal_header;

/* Fill magic and check (and time, sequence are the caller's). */
void dh_journal_header_seal(dh_journal_header *header);
void dh_journal_entry_seal(dh_journal_entry *entry);

typedef struct dh_journal_scan_result {
    uint64_t valid,
        damaged;    /* entries; a torn last one is damaged; a damaged header makes all of it damaged */
    uint64_t start; /* of the attempt; 0: the header is damaged */
    bool foreign;   /* of another run id: nothing in it counts */
} dh_journal_scan_result;

/* Hands every valid entry to take(context, entry), in their order, reading in pieces of bounded size. A
 * missing file has no entries. The entry's run, epoch, rank, sequence must be those of the file and its
 * place. Errors: DH_IO (logged), DH_NO_MEMORY, what take returns. Version or entry size of a later dhatu:
 * DH_MISMATCH (logged). */
typedef dh_status dh_journal_take(void *context, const dh_journal_entry *entry);
dh_status dh_journal_scan(const char *folder, const dh_run_id *run, uint32_t epoch, uint32_t rank,
                          dh_journal_take *take, void *context, dh_journal_scan_result *out);

#endif
