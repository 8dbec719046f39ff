/* dhatu: records to columns. Takes the records of work items, makes batches of documents, runs every
 * job over them and collects the columns in chunks that it hands on. One pipeline serves one rank. */
#ifndef DH_RUN_PIPELINE_H
#define DH_RUN_PIPELINE_H

#include "base/clock.h"
#include "run/chunk.h"
#include "run/dispatch.h"

typedef struct dh_pipeline dh_pipeline;

/* Takes a full chunk (or the last one of a segment). Errors end the run. */
typedef dh_status dh_chunk_taker(void *context, dh_chunk *chunk);

/* What the pipeline calls. poll: after each batch and each read of a file; NULL: none. */
typedef struct dh_pipeline_hooks {
    dh_chunk_taker *take;
    dh_poll *poll;
    void *context;
    const dh_dispatcher *dispatcher; /* NULL: all batches are computed here */
} dh_pipeline_hooks;

/* settings must outlive the pipeline. */
dh_status dh_pipeline_create(const dh_settings *settings, const dh_pipeline_hooks *hooks, dh_pipeline **out);
void dh_pipeline_free(dh_pipeline *pipeline);

/* Reads a source, or a range of it as of dh_record_reader_open, to its end. `number` is the source's number.
 */
dh_status dh_pipeline_source(dh_pipeline *pipeline, uint32_t number, const char *path, const char *name,
                             uint64_t begin, uint64_t end);

/* Goes on in the source that was just read, with the next range (dh_record_reader_go_on). */
dh_status dh_pipeline_go_on(dh_pipeline *pipeline, uint64_t begin, uint64_t end);

/* Did the source end in the range that was just read? */
bool dh_pipeline_source_ended(const dh_pipeline *pipeline);

/* Did it end in front of that range? Then it is not the file that the segments before came from. */
bool dh_pipeline_is_beyond_end(const dh_pipeline *pipeline);

/* Ends a segment: what is left in the batch and the chunk is handed on. */
dh_status dh_pipeline_finish_segment(dh_pipeline *pipeline);

/* Reads a source from its start and takes only the documents that begin at the given offsets (ascending),
 * for verify. *found counts those that were there. */
dh_status dh_pipeline_pick(dh_pipeline *pipeline, uint32_t number, const char *path, const char *name,
                           const uint64_t *offset, uint64_t count, uint64_t *found);

/* What the pipeline did so far, and where its time went. Times are seconds of this rank. */
typedef struct dh_pipeline_stats {
    uint64_t documents, bad, text_bytes, file_bytes;
    double read_seconds; /* decompress, split, scan JSON */
    double text_seconds; /* unescape, check UTF-8, tokenise */
    double job_seconds[DH_JOBS_MAX];
    double term_seconds;                 /* counting n-grams */
    double wait_seconds;                 /* for batches that others compute */
    uint64_t batches_here, batches_away; /* computed by this rank, by others */
    uint64_t batches_redone;             /* of those here: others had them first and could not */
} dh_pipeline_stats;

dh_pipeline_stats dh_pipeline_statistics(const dh_pipeline *pipeline);

#endif
