/* dhatu: the sorted runs that a rank has spilled: files of blocks in one folder, listed here. */
#ifndef DH_SHUFFLE_RUNS_H
#define DH_SHUFFLE_RUNS_H

#include "base/buffer.h"
#include "shuffle/block.h"

typedef struct dh_run {
    uint64_t number, bytes, block_max;
} dh_run;

/* Set the first group before use, the rest is zero. */
typedef struct dh_runs {
    const char *name, *folder;
    uint32_t epoch, rank;
    dh_memory_count *count;
    dh_poll *poll;
    void *poll_context;

    dh_run *run;
    size_t run_count, run_capacity;
    uint64_t made, bytes_spilled; /* ever */
} dh_runs;

/* A run that is written. Behind an error, abandon. */
typedef struct dh_run_writer {
    dh_block_writer blocks;
    dh_buffer path;
    uint64_t number;
} dh_run_writer;

dh_status dh_runs_begin(dh_runs *runs, dh_run_writer *out);
/* Lists the run. Frees the writer, also behind an error. */
dh_status dh_runs_end(dh_runs *runs, dh_run_writer *writer);
void dh_runs_abandon(dh_run_writer *writer);

dh_status dh_runs_path(const dh_runs *runs, uint64_t number, dh_buffer *out);

/* Removes the first `count` of the list, and their files. */
dh_status dh_runs_remove(dh_runs *runs, size_t count);

/* Removes all. What cannot be removed is logged and left to the next attempt. */
void dh_runs_free(dh_runs *runs);

#endif
