/* dhatu export: the kept documents of the sources as JSONL shards, or a table of the result as CSV. */
#include "commands/export.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/result_corpus.h"
#include "export/lock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct export_state {
    dh_comm *comm;
    const dh_options *options;
    dh_result_view view;
    dh_options run_options; /* as the result records them */
    dh_record_options records;
    dh_export_plan plan;
    dh_shared *sources;
    dh_counters *counters;
    dh_export_task task;
    dh_export_lock *lock; /* on rank 0 */
    dh_buffer done, all_done;
    uint64_t bytes; /* of all shards */
    double start;
} export_state;

static bool is_root(const export_state *self)
{
    return dh_comm_rank(self->comm) == 0;
}

/* ---- what goes where ---------------------------------------------------------------------------------- */

enum { HEAD_SIZE = 10 /* bytes that tell what a file is compressed with */ };

static dh_status is_plain(const dh_plan *sources, const dh_source *source, bool *out)
{
    const char *path = dh_plan_string(sources, source->path);
    uint8_t head[HEAD_SIZE];
    const size_t size = source->size < HEAD_SIZE ? (size_t)source->size : HEAD_SIZE;
    int file = -1;
    DH_TRY(dh_file_open(path, O_RDONLY, &file));
    const dh_status status = dh_file_read_at(file, path, head, size, 0);
    (void)close(file); /* nothing was written to it */
    *out = status == DH_OK && dh_compression_detect(head, size) == DH_COMPRESSION_NONE;
    return status;
}

/* A plain source can be read from any place on, so its shards need not be written by one rank. */
static dh_status look_at_source(export_state *self, const dh_plan *sources, uint64_t number, bool *plain)
{
    dh_result_source source = {0};
    uint64_t index = 0;
    dh_status status = dh_result_source_read(&self->view, number, &source);
    if (status == DH_OK) {
        status = dh_result_source_find(&self->view, sources, (const char *)source.name.data, &index);
    }
    if (status == DH_OK) {
        status = is_plain(sources, dh_plan_source(sources, index), plain);
    }
    if (status == DH_OK && *plain && dh_plan_source(sources, index)->size != source.bytes) {
        status = dh_error(DH_MISMATCH,
                          "%s: source %s is not the one that the result was made of: %" PRIu64
                          " bytes instead of %" PRIu64,
                          self->view.path, (const char *)source.name.data,
                          dh_plan_source(sources, index)->size, source.bytes);
    }
    dh_result_source_free(&source);
    return status;
}

static dh_status part_plain_sources(export_state *self, const dh_plan *sources)
{
    dh_export_shard *shard = (dh_export_shard *)(void *)self->plan.shards.data;
    uint64_t known = UINT64_MAX;
    bool plain = false;
    for (uint64_t s = 0; s < dh_export_shard_count(&self->plan); s++) {
        if (shard[s].goes_on == 0) {
            continue;
        }
        if (shard[s].first_source != known) {
            DH_TRY(look_at_source(self, sources, shard[s].first_source, &plain));
            known = shard[s].first_source;
        }
        shard[s].goes_on = plain ? 0 : 1;
    }
    return DH_OK;
}

static dh_status make_plan(export_state *self, dh_buffer *sources)
{
    DH_TRY(dh_export_plan_make(&self->view, dh_options_flag(self->options, DH_OPTION_ALL),
                               dh_options_number(self->options, DH_OPTION_SHARD_SIZE), &self->plan));
    DH_TRY(
        dh_result_list_sources(dh_options_text(self->options, DH_OPTION_SOURCES), &self->records, sources));
    return part_plain_sources(self, (const dh_plan *)(const void *)sources->data);
}

/* Rank 0's plan of the export comes to all. */
static dh_status share_plan(export_state *self)
{
    uint64_t facts[2] = {self->plan.shards.size, self->plan.documents};
    DH_TRY(dh_comm_broadcast(self->comm, facts, sizeof facts));
    const dh_status status = is_root(self) ? DH_OK : dh_buffer_reserve(&self->plan.shards, (size_t)facts[0]);
    DH_TRY(dh_comm_agree(self->comm, status));
    self->plan.shards.size = (size_t)facts[0];
    self->plan.documents = facts[1];
    return facts[0] > 0 ? dh_comm_broadcast(self->comm, self->plan.shards.data, (size_t)facts[0]) : DH_OK;
}

static dh_status plan(export_state *self)
{
    dh_buffer sources = {0};
    dh_status status = dh_comm_agree(self->comm, is_root(self) ? make_plan(self, &sources) : DH_OK);
    if (status == DH_OK) {
        status = dh_shared_broadcast(self->comm, sources.data, sources.size, &self->sources);
    }
    dh_buffer_free(&sources);
    return status == DH_OK ? share_plan(self) : status;
}

/* ---- shards ------------------------------------------------------------------------------------------- */

static dh_status open_result(export_state *self)
{
    DH_TRY(dh_result_view_open(self->options->argument[0], &self->view));
    DH_TRY(dh_result_run_options(&self->view, &self->run_options));
    return dh_result_record_options(&self->run_options, &self->records);
}

static dh_status take_done(void *context, int rank, const void *bytes, size_t size)
{
    (void)rank;
    export_state *self = context;
    return dh_buffer_append(&self->all_done, bytes, size);
}

static int compare_done(const void *a, const void *b)
{
    const uint64_t first = ((const dh_export_done *)a)->shard;
    const uint64_t second = ((const dh_export_done *)b)->shard;
    return (first > second) - (first < second);
}

static dh_status finish_list(export_state *self)
{
    dh_export_done *done = (dh_export_done *)(void *)self->all_done.data;
    const uint64_t count = self->all_done.size / sizeof *done;
    const uint64_t wanted = dh_export_shard_count(&self->plan);
    if (count != wanted) {
        return dh_error(DH_INTERNAL, "%" PRIu64 " of %" PRIu64 " shards were written", count, wanted);
    }
    if (count > 0) {
        qsort(done, count, sizeof *done, compare_done);
    }
    for (uint64_t i = 0; i < count; i++) {
        self->bytes += done[i].facts.bytes;
    }
    return dh_export_list_finish(&self->task, done, count);
}

static dh_status begin_list(export_state *self)
{
    DH_TRY(dh_folder_create(self->task.folder));
    DH_TRY(dh_export_lock_take(self->task.folder, &self->lock));
    return dh_export_list_begin(&self->task);
}

static dh_status write_shards(export_state *self)
{
    DH_TRY(dh_comm_agree(self->comm, is_root(self) ? begin_list(self) : DH_OK));
    DH_TRY(dh_counters_create(self->comm, &self->counters));
    const dh_status written =
        dh_export_write_shards(&self->task, &self->records, self->counters, &self->done);
    DH_TRY(dh_comm_agree(self->comm, written));
    DH_TRY(dh_comm_collect(self->comm, self->done.data, self->done.size, take_done, self));
    return dh_comm_agree(self->comm, is_root(self) ? finish_list(self) : DH_OK);
}

static dh_status export_documents(export_state *self)
{
    DH_TRY(dh_comm_agree(self->comm, open_result(self)));
    DH_TRY(plan(self));
    self->task = (dh_export_task){
        .view = &self->view,
        .folder = dh_options_text(self->options, DH_OPTION_OUTPUT),
        .all = dh_options_flag(self->options, DH_OPTION_ALL),
        .shard_size = dh_options_number(self->options, DH_OPTION_SHARD_SIZE),
        .compression = dh_shard_compression_find(dh_options_text(self->options, DH_OPTION_COMPRESS)),
        .plan = &self->plan,
        .sources = dh_shared_data(self->sources),
    };
    DH_TRY(write_shards(self));
    dh_say("%" PRIu64 " of %" PRIu64 " documents in %" PRIu64 " shards, %.1f MB, in %.2f s: %s",
           self->plan.documents, self->view.rows, dh_export_shard_count(&self->plan),
           (double)self->bytes / 1e6, dh_seconds() - self->start, self->task.folder);
    return DH_OK;
}

static void free_state(export_state *self)
{
    if (self->counters != NULL) {
        dh_counters_free(self->counters);
    }
    dh_shared_free(self->sources);
    dh_json_paths_free((dh_json_paths *)self->records.paths);
    dh_options_free(&self->run_options);
    dh_export_plan_free(&self->plan);
    dh_buffer_free(&self->done);
    dh_buffer_free(&self->all_done);
    if (self->view.h5 != NULL) {
        dh_result_view_close(&self->view);
    }
}

/* ---- the command -------------------------------------------------------------------------------------- */

static dh_status export_table(export_state *self)
{
    if (!is_root(self)) {
        return DH_OK;
    }
    DH_TRY(dh_result_view_open(self->options->argument[0], &self->view));
    return dh_export_csv(&self->view, dh_options_text(self->options, DH_OPTION_CSV),
                         dh_options_text(self->options, DH_OPTION_OUTPUT),
                         dh_options_flag(self->options, DH_OPTION_FORCE));
}

static dh_status check_options(const dh_options *options)
{
    const bool table = dh_options_text(options, DH_OPTION_CSV) != NULL;
    DH_TRY(dh_result_check_arguments(options, 1, "export needs one result"));
    if (!dh_options_is_set(options, DH_OPTION_OUTPUT)) {
        return dh_error(DH_USAGE, "export needs --output: %s",
                        table ? "the table, or - for standard output" : "the folder of the shards");
    }
    if (!table && dh_options_text(options, DH_OPTION_SOURCES) == NULL) {
        return dh_error(DH_USAGE, "export needs --sources: the result has no texts (or --csv: a table)");
    }
    return DH_OK;
}

dh_status dh_command_export(const dh_options *options, int argc, char **argv)
{
    export_state self = {.options = options, .start = dh_seconds()};
    DH_TRY(check_options(options));
    DH_TRY(dh_comm_start(&argc, &argv, &self.comm));
    dh_status status = dh_comm_agree(self.comm, dh_fault_arm(dh_comm_rank(self.comm)));
    if (status == DH_OK) {
        status = dh_options_text(options, DH_OPTION_CSV) != NULL
                     ? dh_comm_agree(self.comm, export_table(&self))
                     : export_documents(&self);
    }
    const dh_status released = dh_export_lock_release(self.lock); /* no rank writes any more */
    status = status != DH_OK ? status : released;
    const dh_status counted = dh_fault_report();
    status = status != DH_OK ? status : counted;
    free_state(&self);
    const dh_status broken = dh_comm_agree(self.comm, dh_h5_is_broken() ? DH_IO : DH_OK);
    if (broken != DH_OK) {
        dh_comm_abort(status != DH_OK ? status : broken);
    }
    dh_comm_end(self.comm);
    return status;
}
