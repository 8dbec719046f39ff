/* dhatu: a stage, the sorted output of a step of the reduce phase, durable in the checkpoint folder: so that
 * a later attempt, on any number of ranks, goes on behind it. Each rank of the attempt that made it wrote one
 * part; the parts, one after the other, have all pairs in order (shuffle.h). docs/formats.md, "Stage".
 *
 * A stage exists when its file stage-NAME does, which rank 0 writes when all parts are synced; it lists the
 * parts with epoch, rank, pairs, bytes, first key. Parts are blocks of about 64 KiB with a checksum each, and
 * an index of the blocks' first keys at the end, so that a reader can begin anywhere. All of it is
 * untrusted when read. */
#ifndef DH_SHUFFLE_STAGE_H
#define DH_SHUFFLE_STAGE_H

#include "shuffle/shuffle.h"

typedef struct dh_stage_place {
    const char *folder;
    const char *name; /* [a-z]+ */
    dh_comm *comm;
    uint8_t run[16]; /* of the manifest (dh_run_id): a stage of another run is none */
    uint32_t epoch;  /* of this attempt */
    /* Asked before anything is written: DH_LOCKED when another attempt took over (as dh_watch_may_write);
     * NULL: yes. */
    dh_poll *may_write;
    void *write_context;
} dh_stage_place;

typedef struct dh_stage_part {
    uint32_t epoch, rank;
    uint64_t pairs, bytes, first_key;
} dh_stage_part;

typedef struct dh_stage {
    dh_stage_part *part; /* in the order of keys; those without pairs are left out */
    uint32_t part_count;
    uint64_t pairs;     /* of all parts */
    uint64_t figure[8]; /* what the step found out besides, the same on all ranks */
} dh_stage;

/* Looks for a stage that an earlier attempt completed, and reads all of it. *found: no where there is none,
 * or where it or a part of it is damaged or incomplete (warned of): then the step is done again. COLLECTIVE;
 * same on all ranks. Owner frees. */
dh_status dh_stage_find(const dh_stage_place *place, dh_stage *out, bool *found);
void dh_stage_free(dh_stage *stage);

/* At the start of an attempt, before any stage is looked for: removes what attempts before it left and nobody
 * needs: runs of shuffles, stages that are damaged or of another run, parts that no stage lists. Never what a
 * later attempt made. Rank 0 calls it. Errors: DH_IO (logged), DH_NO_MEMORY. */
dh_status dh_stage_sweep(const char *folder, const uint8_t run[16], uint32_t epoch);

/* Writing: every rank creates, adds its pairs in order, and commits. Takes 576 KiB of memory. Create and
 * commit are COLLECTIVE and end alike on all ranks. */
typedef struct dh_stage_writer dh_stage_writer;
dh_status dh_stage_create(const dh_stage_place *place, dh_stage_writer **out);
dh_status dh_stage_add(dh_stage_writer *writer, const dh_pair *pair);
/* Syncs the parts and makes the stage exist. status: what this rank failed with, or DH_OK; figure: rank 0's
 * counts. Frees the writer. COLLECTIVE; the same status on all ranks. */
dh_status dh_stage_commit(dh_stage_writer *writer, dh_status status, const uint64_t figure[8], dh_stage *out);

/* Removes a stage that no later step needs, durably: the list first. COLLECTIVE. */
dh_status dh_stage_remove(const dh_stage_place *place, const dh_stage *stage);

/* Reading: any rank, any part. Takes 256 KiB, and where dh_stage_seek is used 512 KiB more at most; a pair
 * that is larger takes its own size. The first pair of the stage is next at first. Errors: DH_IO (logged;
 * also: damaged), DH_NO_MEMORY. */
typedef struct dh_stage_reader dh_stage_reader;
dh_status dh_stage_open(const dh_stage_place *place, const dh_stage *stage, dh_stage_reader **out);
void dh_stage_close(dh_stage_reader *reader);
/* The next pair is the first one of the stage with at least this key (in whichever part). */
dh_status dh_stage_seek(dh_stage_reader *reader, uint64_t key);
/* The next pair is the first one of the part. Reading goes on into the parts behind it. */
dh_status dh_stage_seek_part(dh_stage_reader *reader, uint32_t part);
/* part_end: stop (DH_END) at the end of the part that is being read, until part_end is false or another place
 * is sought. The pair is valid until the next call. */
dh_status dh_stage_next(dh_stage_reader *reader, bool part_end, dh_pair *out);

#endif
