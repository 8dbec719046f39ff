#include "output/result.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "output/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what comes before the file ---------------------------------------------------------------------- */

/* The languages that occur, so that the file can have them as categories. */
static dh_status find_languages(dh_writer *writer)
{
    dh_bulk *bulk = writer->bulk;
    const dh_share *share = &writer->ids.share;
    dh_status status = DH_OK;
    dh_progress_step(writer->options->progress, DH_STEP_IDS, dh_share_count(share));
    for (uint64_t k = 0; k < dh_share_count(share) && status == DH_OK; k++) {
        const uint64_t first = dh_share_block(share, k) * DH_BLOCK_ROWS;
        const uint64_t left = writer->table->rows - first;
        const dh_row_block *block = NULL;
        dh_progress_tell(writer->options->progress, k);
        status = dh_row_reader_read(writer->reader, first,
                                    left < DH_BLOCK_ROWS ? (uint32_t)left : DH_BLOCK_ROWS, false, &block);
        for (uint32_t i = 0; status == DH_OK && i < block->count; i++) {
            const uint16_t code = ((const uint16_t *)block->column[DH_ENGINE_LANGUAGE])[i];
            bulk->language_present[code / 8] = (uint8_t)(bulk->language_present[code / 8] | 1U << (code % 8));
        }
    }
    DH_TRY(dh_comm_agree(writer->comm, status));
    return dh_comm_or(writer->comm, bulk->language_present, sizeof bulk->language_present);
}

/* All of the file's space is asked for before the first byte of data is written, so that a full disk is
 * met here, where nothing has to be undone. */
static dh_status reserve_space(const char *path)
{
    int file = -1;
    DH_TRY(dh_file_open(path, O_RDWR, &file));
    struct stat facts;
    dh_status status = DH_OK;
    if (fstat(file, &facts) != 0) {
        status = dh_error(DH_IO, "%s: cannot stat: %s", path, strerror(errno));
    } else {
        const int failed = DH_CALL(RESERVE, path, fallocate(file, 0, 0, facts.st_size));
        const int reason = errno;
        if (failed != 0 && reason != EOPNOTSUPP && reason != ENOSYS && reason != EINVAL) {
            status = dh_error(DH_IO, "%s: cannot reserve %lld bytes for the result: %s", path,
                              (long long)facts.st_size, strerror(reason));
        }
    }
    (void)close(file); /* nothing was written through it */
    return status;
}

static dh_status create_file(dh_writer *writer)
{
    dh_status status = DH_OK;
    if (dh_comm_rank(writer->comm) == 0) {
        status = dh_bulk_create(writer->bulk, writer->options->partial, &writer->content);
        if (status == DH_OK) {
            status = reserve_space(writer->options->partial);
        }
    }
    DH_TRY(dh_comm_agree(writer->comm, status));
    uint64_t offset[DH_BULK_MAX];
    for (uint32_t d = 0; d < writer->bulk->dataset_count; d++) {
        offset[d] = writer->bulk->dataset[d].offset;
    }
    DH_TRY(dh_comm_broadcast(writer->comm, offset, writer->bulk->dataset_count * sizeof *offset));
    for (uint32_t d = 0; d < writer->bulk->dataset_count; d++) {
        writer->bulk->dataset[d].offset = offset[d];
    }
    return dh_comm_agree(writer->comm, dh_file_open(writer->options->partial, O_RDWR, &writer->file));
}

dh_status dh_writer_agree(dh_writer *writer, dh_status status)
{
    if (status != DH_OK && status != DH_AGAIN) {
        dh_watch_fail(writer->options->watch);
    }
    return dh_comm_agree(writer->comm, status);
}

/* ---- digests ----------------------------------------------------------------------------------------- */

static dh_status take_digests(void *context, int rank, const void *bytes, size_t size)
{
    (void)rank;
    dh_sha256_update(context, bytes, size);
    return DH_OK;
}

dh_status dh_writer_collect_digest(dh_writer *writer, const dh_bulk_dataset *dataset, const dh_buffer *blocks)
{
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    DH_TRY(dh_comm_collect(writer->comm, blocks->data, blocks->size, take_digests, &sha));
    dh_status status = DH_OK;
    if (dh_comm_rank(writer->comm) == 0) {
        uint8_t digest[DH_SHA256_SIZE];
        dh_sha256_end(&sha, digest);
        status = dh_content_add(&writer->content, dataset->path, &dataset->array, digest);
    }
    return dh_comm_agree(writer->comm, status);
}

/* ---- jobs -------------------------------------------------------------------------------------------- */

static void merge_job(void *context, const void *other)
{
    const dh_active_job *active = context;
    active->job->merge(active->state, other);
}

static dh_status reduce_jobs(dh_writer *writer)
{
    for (uint32_t j = 0; j < writer->settings->job_count; j++) {
        const dh_active_job *active = &writer->settings->job[j];
        if (active->job->accumulator == NULL) {
            continue;
        }
        void *block = NULL;
        size_t size = 0;
        active->job->accumulator(active->state, &block, &size);
        dh_active_job copy = *active;
        const dh_status status = dh_comm_reduce(writer->comm, block, size, merge_job, &copy);
        DH_TRY(dh_comm_agree(writer->comm, status));
    }
    return DH_OK;
}

/* dh_quality is all 64-bit counts: they add up. */
static dh_status reduce_quality(dh_writer *writer)
{
    dh_quality *quality = &writer->quality;
    DH_TRY(dh_comm_sum(writer->comm, (uint64_t *)(void *)quality, sizeof *quality / sizeof(uint64_t)));
    quality->document_bytes = quality->source_bytes - quality->blank_bytes;
    for (int reason = 1; reason < DH_REASON_COUNT; reason++) {
        quality->document_bytes -= quality->reason_bytes[reason];
    }
    return DH_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static dh_status sync_and_close(dh_writer *writer, dh_status status)
{
    if (writer->file >= 0) {
        if (status == DH_OK) {
            status = dh_file_sync(writer->file, writer->options->partial);
        }
        const dh_status closed = dh_file_close(writer->file, writer->options->partial);
        status = status != DH_OK ? status : closed;
        writer->file = -1;
    }
    return status;
}

static bool is_bulk(const dh_writer *writer, const char *path)
{
    uint32_t d = 0;
    while (d < writer->bulk->dataset_count && strcmp(writer->bulk->dataset[d].path, path) != 0) {
        d++;
    }
    return d < writer->bulk->dataset_count;
}

/* A dataset reads back with its shape, and if HDF5 wrote it, with its content: small writes are gathered in a
 * buffer of HDF5's, and when writing that fails, no call says so (seen in 1.10.8). What the ranks wrote was
 * checked by each. */
static dh_status check_dataset(const dh_writer *writer, dh_h5 *h5, const dh_content_entry *entry,
                               dh_buffer *scratch)
{
    dh_h5_array array;
    DH_TRY(dh_h5_array_describe(h5, entry->path, &array));
    bool same = array.type == entry->array.type && array.dim_count == entry->array.dim_count &&
                memcmp(array.dims, entry->array.dims, sizeof array.dims) == 0;
    if (same && !is_bulk(writer, entry->path)) {
        uint8_t digest[DH_SHA256_SIZE];
        DH_TRY(dh_content_of_dataset(h5, entry->path, &array, scratch, digest));
        same = memcmp(digest, entry->digest, sizeof digest) == 0;
    }
    return same ? DH_OK
                : dh_error(DH_IO, "%s: %s does not read back as it was written", writer->options->partial,
                           entry->path);
}

/* Reads the finished file back through HDF5. */
static dh_status check_file(const dh_writer *writer, const char *content)
{
    dh_h5 *h5 = NULL;
    DH_TRY(dh_h5_open(writer->options->partial, false, &h5));
    dh_status status = DH_OK;
    dh_buffer scratch = {0};
    dh_progress_step(writer->options->progress, DH_STEP_FINISH, writer->content.count);
    for (size_t i = 0; i < writer->content.count && status == DH_OK; i++) {
        dh_progress_tell(writer->options->progress, i);
        status = check_dataset(writer, h5, &writer->content.entry[i], &scratch);
    }
    scratch.size = 0;
    if (status == DH_OK) {
        status = dh_h5_text_read(h5, DH_CONTENT_PATH, &scratch);
    }
    if (status == DH_OK && strcmp((const char *)scratch.data, content) != 0) {
        status = dh_error(DH_IO, "%s: the content digest does not read back as it was written",
                          writer->options->partial);
    }
    dh_buffer_free(&scratch);
    const dh_status closed = dh_h5_close(h5);
    return status == DH_OK ? closed : status;
}

static dh_status sync_path(const char *path)
{
    int file = -1;
    DH_TRY(dh_file_open(path, O_RDONLY, &file));
    const dh_status status = dh_file_sync(file, path);
    (void)close(file);
    return status;
}

/* On rank 0: the small results and the check. */
static dh_status finish(dh_writer *writer, dh_result_facts *facts)
{
    DH_TRY(dh_writer_finish(writer, facts->content));
    DH_TRY(sync_path(writer->options->partial));
    DH_TRY(check_file(writer, facts->content));
    struct stat file;
    facts->file_size = stat(writer->options->partial, &file) == 0 ? (uint64_t)file.st_size : 0;
    return DH_OK;
}

dh_status dh_result_publish(const dh_result_options *options)
{
    DH_TRY(dh_file_rename(options->quarantine_partial, options->quarantine));
    DH_TRY(dh_file_rename(options->partial, options->path));
    return dh_file_sync_folder_of(options->path);
}

void dh_result_remove_partial(const dh_result_options *options)
{
    (void)unlink(options->partial);
    (void)unlink(options->quarantine_partial);
}

static dh_status prepare(dh_writer *writer, dh_result_facts *facts)
{
    const dh_share_kind kind = writer->options->deflate > 0 ? DH_SHARE_CYCLIC : DH_SHARE_RANGES;
    DH_TRY(dh_comm_agree(writer->comm, dh_row_reader_create(&writer->settings->schema, writer->plan,
                                                            writer->table, writer->options->folder,
                                                            writer->options->watch, &writer->reader)));
    dh_progress_step(writer->options->progress, DH_STEP_IDS, 0);
    DH_TRY(dh_ids_resolve(writer->comm, writer->reader, writer->table->rows, kind, &writer->ids));
    facts->ids_changed = writer->ids.changed;
    DH_TRY(find_languages(writer));
    const dh_bulk_shape shape = {
        .rows = writer->table->rows,
        .sources = writer->plan->source_count,
        .id_width = writer->ids.width,
        .source_name_width = writer->plan->name_width,
        .deflate = writer->options->deflate,
        .reduced = writer->options->reduced,
    };
    return dh_comm_agree(writer->comm, dh_bulk_list(writer->bulk, writer->settings, &shape));
}

static dh_status write_result(dh_writer *writer, dh_result_facts *facts)
{
    double time = dh_seconds();
    DH_TRY(prepare(writer, facts));
    facts->seconds_ids = dh_seconds() - time;
    time += facts->seconds_ids;
    DH_TRY(create_file(writer));
    DH_TRY(dh_writer_rows(writer));
    facts->seconds_rows = dh_seconds() - time;
    time += facts->seconds_rows;
    DH_TRY(dh_writer_matrix(writer));
    facts->seconds_matrix = dh_seconds() - time;
    time += facts->seconds_matrix;
    DH_TRY(dh_writer_sources(writer));
    DH_TRY(reduce_quality(writer));
    facts->seconds_sources = dh_seconds() - time;
    time += facts->seconds_sources;
    dh_progress_step(writer->options->progress, DH_STEP_FINISH, 0);
    DH_TRY(reduce_jobs(writer));
    DH_TRY(dh_comm_agree(writer->comm, sync_and_close(writer, DH_OK)));
    const dh_status status = dh_comm_rank(writer->comm) == 0 ? finish(writer, facts) : DH_OK;
    DH_TRY(dh_comm_agree(writer->comm, status));
    facts->seconds_finish = dh_seconds() - time;
    return DH_OK;
}

dh_status dh_result_write(dh_comm *comm, const dh_settings *settings, const dh_plan *plan,
                          const dh_chunk_table *table, const dh_result_options *options, dh_result_facts *out)
{
    void *memory = NULL;
    DH_TRY(dh_comm_agree(comm, dh_allocate(1, sizeof(dh_bulk), "the result's datasets", &memory)));
    dh_writer writer = {.comm = comm,
                        .settings = settings,
                        .plan = plan,
                        .table = table,
                        .options = options,
                        .bulk = memory,
                        .file = -1};
    const dh_status status = write_result(&writer, out);
    if (status != DH_OK) {
        (void)sync_and_close(&writer, status);
        if (dh_comm_rank(comm) == 0) {
            dh_result_remove_partial(options);
        }
    }
    out->quality = writer.quality;
    out->rows = table->rows;
    out->sources = plan->source_count;
    dh_row_reader_free(writer.reader);
    dh_ids_free(&writer.ids);
    dh_bulk_free(writer.bulk);
    free(writer.bulk);
    dh_content_free(&writer.content);
    dh_buffer_free(&writer.scratch);
    return status;
}
