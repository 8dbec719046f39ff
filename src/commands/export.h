/* dhatu: the parts of `dhatu export` (docs/operations.md, "Export"; files: docs/formats.md, "Export"). */
#ifndef DH_COMMANDS_EXPORT_H
#define DH_COMMANDS_EXPORT_H

#include "comm/comm.h"
#include "commands/export_plan.h"
#include "export/shard.h"
#include "options/options.h"
#include "plan/plan.h"

/* What an export is: what its list begins with, and what a rerun must have in common with it. */
typedef struct dh_export_task {
    dh_result_view *view;
    const char *folder;
    bool all;
    uint64_t shard_size;
    dh_shard_compression compression;
    const dh_export_plan *plan;
    const dh_plan *sources;
} dh_export_task;

/* A shard that is complete. */
typedef struct dh_export_done {
    uint64_t shard;
    dh_shard_facts facts;
} dh_export_done;

/* FOLDER/part-000017.jsonl.gz. Appended, with a NUL behind size. */
dh_status dh_export_shard_path(const dh_export_task *task, uint64_t shard, dh_buffer *out);

/* Begins an export, or goes on with one: makes the list of the folder, or checks that the list is that of
 * this very export; removes what a killed export left half-written. On one rank, which has the folder's lock
 * (export/lock.h). Errors: DH_MISMATCH (the
 * folder has another export, or shards of none; logged), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_export_list_begin(const dh_export_task *task);

/* Writes the list of all shards, done[] in the order of shards. Errors: DH_MISMATCH (there is a finished
 * list, and the shards are not those of it; logged), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_export_list_finish(const dh_export_task *task, const dh_export_done *done, uint64_t count);

/* Writes this rank's share of the shards that are not there yet. Appends a dh_export_done for each that it
 * has seen to be complete. records: how the sources are read. Errors: DH_MISMATCH (a source is not that of
 * the result; logged), DH_AGAIN (another rank has failed), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_export_write_shards(const dh_export_task *task, const dh_record_options *records,
                                 dh_counters *counters, dh_buffer *done);

/* Writes a table to path ("-": standard output). what: profiles, clusters, vocabulary, documents. Errors:
 * DH_USAGE (the result does not have it, the file exists), DH_MISMATCH, DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_export_csv(dh_result_view *view, const char *what, const char *path, bool replace);

#endif
