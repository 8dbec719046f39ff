/* dhatu export: documents of the sources, with their annotations, to shards. */
#include "base/file.h"
#include "base/log.h"
#include "commands/export.h"
#include "commands/result_corpus.h"
#include "read/document.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct exporter {
    const dh_export_task *task;
    const dh_record_options *records;
    dh_counters *counters;
    dh_buffer *done;
    dh_result_columns columns;
    size_t id, record, offset, sha256, keep;
    size_t annotations; /* columns from here on are in the annotations, in this order */
    bool keeps_all;
    dh_record_reader *reader;
    dh_document document;
    dh_shard_writer *writer;
    dh_buffer repaired, path;
    dh_buffer line;
    /* the work under way: shards [shard, last_shard) */
    uint64_t shard, last_shard;
    bool is_there;    /* the shard is complete already */
    uint64_t written; /* documents of the shard; above 0: it is open */
    dh_result_source source;
    bool is_text;
} exporter;

static const dh_export_shard *shard_of(const exporter *self)
{
    return &dh_export_shards(self->task->plan)[self->shard];
}

/* ---- columns ------------------------------------------------------------------------------------------ */

static dh_status add_columns(exporter *self)
{
    dh_result_columns *columns = &self->columns;
    dh_h5 *h5 = self->task->view->h5;
    columns->view = self->task->view;
    self->keeps_all = self->task->all || !dh_h5_has(h5, "obs/dup_keep");
    DH_TRY(dh_result_columns_add(columns, "obs/_index", DH_WANT_TEXTS, &self->id));
    DH_TRY(dh_result_columns_add(columns, "obs/source/codes", DH_WANT_INTEGERS, &self->annotations));
    DH_TRY(dh_result_columns_add(columns, "obs/record", DH_WANT_INTEGERS, &self->record));
    DH_TRY(dh_result_columns_add(columns, "obs/lang/codes", DH_WANT_INTEGERS, NULL));
    DH_TRY(dh_result_columns_add(columns, "obs/tokens", DH_WANT_INTEGERS, NULL));
    DH_TRY(dh_result_columns_add_scalars(columns));
    DH_TRY(dh_result_columns_find(columns, "obs/offset", DH_WANT_INTEGERS, &self->offset));
    DH_TRY(dh_result_columns_find(columns, "obs/sha256", DH_WANT_TEXTS, &self->sha256));
    return self->keeps_all ? DH_OK
                           : dh_result_columns_find(columns, "obs/dup_keep", DH_WANT_INTEGERS, &self->keep);
}

static bool is_kept(const exporter *self, uint64_t row)
{
    return self->keeps_all || dh_result_columns_integer(&self->columns, self->keep, row) != 0;
}

/* ---- shards ------------------------------------------------------------------------------------------- */

static dh_status shard_path(exporter *self)
{
    self->path.size = 0;
    return dh_export_shard_path(self->task, self->shard, &self->path);
}

/* Looks whether the shard is there. What has its name is complete. */
static dh_status enter_shard(exporter *self)
{
    dh_export_done done = {.shard = self->shard};
    self->written = 0;
    DH_TRY(shard_path(self));
    DH_TRY(dh_file_exists((const char *)self->path.data, &self->is_there));
    if (!self->is_there) {
        return DH_OK;
    }
    DH_TRY(dh_shard_read_facts((const char *)self->path.data, &done.facts));
    return dh_buffer_append(self->done, &done, sizeof done);
}

static dh_status leave_shard(exporter *self)
{
    dh_export_done done = {.shard = self->shard};
    if (!self->is_there) {
        if (self->written != shard_of(self)->documents) {
            return dh_error(DH_INTERNAL, "shard %" PRIu64 " has %" PRIu64 " documents instead of %" PRIu64,
                            self->shard, self->written, shard_of(self)->documents);
        }
        DH_TRY(dh_shard_finish(self->writer, &done.facts));
        DH_TRY(dh_buffer_append(self->done, &done, sizeof done));
    }
    self->shard++;
    return self->shard < self->last_shard ? enter_shard(self) : DH_OK;
}

/* ---- a document --------------------------------------------------------------------------------------- */

static dh_status source_differs(const exporter *self, uint64_t row, const char *why)
{
    return dh_error(DH_MISMATCH, "%s: source %s, record %" PRIu64 " (row %" PRIu64 "): %s",
                    self->task->view->path, (const char *)self->source.name.data,
                    dh_result_columns_integer(&self->columns, self->record, row), row, why);
}

static dh_status check_text(exporter *self, uint64_t row)
{
    uint8_t digest[DH_SHA256_SIZE];
    char hex[2 * DH_SHA256_SIZE];
    size_t size = 0;
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, self->document.text, self->document.size);
    dh_sha256_end(&sha, digest);
    dh_hex_digits(digest, sizeof digest, hex);
    const char *wanted = dh_result_columns_text(&self->columns, self->sha256, row, &size);
    return size == sizeof hex && memcmp(wanted, hex, sizeof hex) == 0
               ? DH_OK
               : source_differs(self, row, "its text is not the one that the result was made of");
}

static dh_status append_annotations(exporter *self, uint64_t row)
{
    dh_buffer *line = &self->line;
    DH_TRY(dh_buffer_printf(line, "\"dhatu\":{\"id\":"));
    DH_TRY(dh_result_columns_append(&self->columns, self->id, row, 0, DH_VALUE_JSON, line));
    DH_TRY(dh_buffer_printf(line, ",\"row\":%" PRIu64, row));
    for (size_t c = self->annotations; c < self->columns.count; c++) {
        const dh_result_column *column = &self->columns.column[c];
        DH_TRY(dh_buffer_append(line, ",", 1));
        DH_TRY(dh_json_append_string(line, column->name, column->name_size));
        DH_TRY(dh_buffer_append(line, ":", 1));
        DH_TRY(dh_result_columns_append(&self->columns, c, row, 0, DH_VALUE_JSON, line));
    }
    return dh_buffer_append(line, "}", 1);
}

/* The record as it is, with one member more. */
static dh_status append_record(exporter *self, const dh_record *record, uint64_t row)
{
    const uint8_t *line = record->line;
    size_t size = record->line_size;
    if (dh_utf8_valid_prefix(line, size) < size) { /* else the shard would be no JSON */
        uint64_t replaced = 0;
        self->repaired.size = 0;
        DH_TRY(dh_utf8_repair(line, size, &self->repaired, &replaced));
        line = self->repaired.data;
        size = self->repaired.size;
    }
    const uint8_t *brace = memrchr(line, '}', size);
    if (brace == NULL) {
        return dh_error(DH_INTERNAL, "a record that is no object was taken as a document");
    }
    const size_t before = (size_t)(brace - line);
    DH_TRY(dh_buffer_append(&self->line, line, before));
    DH_TRY(dh_buffer_append(&self->line, ",", 1)); /* it has a member: the text */
    DH_TRY(append_annotations(self, row));
    return dh_buffer_append(&self->line, brace, size - before);
}

static dh_status append_text_file(exporter *self, uint64_t row)
{
    DH_TRY(dh_buffer_printf(&self->line, "{\"id\":"));
    DH_TRY(dh_result_columns_append(&self->columns, self->id, row, 0, DH_VALUE_JSON, &self->line));
    DH_TRY(dh_buffer_printf(&self->line, ",\"text\":"));
    DH_TRY(dh_json_append_string(&self->line, self->document.text, self->document.size));
    DH_TRY(dh_buffer_append(&self->line, ",", 1));
    DH_TRY(append_annotations(self, row));
    return dh_buffer_append(&self->line, "}", 1);
}

static dh_status export_document(exporter *self, const dh_record *record, uint64_t row)
{
    while (row >= shard_of(self)->last_row) {
        DH_TRY(leave_shard(self));
    }
    if (self->is_there) {
        return DH_OK;
    }
    DH_TRY(dh_document_take(&self->document, record));
    DH_TRY(check_text(self, row));
    if (self->written == 0) {
        DH_TRY(dh_shard_begin(self->writer, (const char *)self->path.data));
    }
    self->written++;
    self->line.size = 0;
    DH_TRY(self->is_text ? append_text_file(self, row) : append_record(self, record, row));
    DH_TRY(dh_buffer_append(&self->line, "\n", 1));
    return dh_shard_append(self->writer, self->line.data, self->line.size);
}

/* ---- a source ----------------------------------------------------------------------------------------- */

/* Rows of one source, and what is to be read of it. */
typedef struct row_range {
    uint64_t next, last;
    uint64_t begin; /* byte of the source from which on it is read */
    bool whole;     /* all of it is read: its hash can be checked */
} row_range;

static dh_status reach(exporter *self, uint64_t row)
{
    uint64_t failed = 0;
    if (row >= self->columns.first && row - self->columns.first < self->columns.rows) {
        return DH_OK;
    }
    DH_TRY(dh_counters_read(self->counters, DH_COUNTER_STOP, &failed));
    if (failed > 0) {
        return DH_AGAIN;
    }
    return dh_result_columns_reach(&self->columns, row, self->task->view->rows);
}

static dh_status take_record(exporter *self, const dh_record *record, row_range *rows)
{
    if (record->kind != DH_RECORD_DOCUMENT || rows->next == rows->last) {
        return DH_OK;
    }
    DH_TRY(reach(self, rows->next));
    const uint64_t wanted = dh_result_columns_integer(&self->columns, self->offset, rows->next);
    if (record->offset < wanted) {
        return DH_OK; /* no document of the result: it has too many tokens, say */
    }
    if (record->offset > wanted) {
        return source_differs(self, rows->next, "it does not begin where it did when the result was made");
    }
    const uint64_t number = dh_result_columns_integer(&self->columns, self->record, rows->next);
    if (rows->begin == 0 && record->number + 1 != number) {
        return source_differs(self, rows->next, "it has another number now");
    }
    if (is_kept(self, rows->next)) {
        DH_TRY(export_document(self, record, rows->next));
    }
    rows->next++;
    return DH_OK;
}

static dh_status check_source(const exporter *self)
{
    const dh_source_facts facts = dh_record_reader_facts(self->reader);
    char hex[2 * sizeof(dh_content_hash) + 1];
    (void)snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, facts.hash.high, facts.hash.low);
    if (facts.bytes == self->source.bytes && strcmp(hex, (const char *)self->source.hash.data) == 0) {
        return DH_OK;
    }
    return dh_error(DH_MISMATCH,
                    "%s: source %s is not the one that the result was made of: %" PRIu64
                    " bytes with hash %s instead "
                    "of %" PRIu64 " with %s",
                    self->task->view->path, (const char *)self->source.name.data, facts.bytes, hex,
                    self->source.bytes, (const char *)self->source.hash.data);
}

static dh_status read_records(exporter *self, row_range *rows)
{
    while (rows->whole || rows->next < rows->last) {
        dh_record record;
        const dh_status status = dh_record_reader_next(self->reader, &record);
        if (status == DH_END) {
            break;
        }
        DH_TRY(status);
        DH_TRY(take_record(self, &record, rows));
    }
    if (rows->next < rows->last) {
        DH_TRY(reach(self, rows->next));
        return source_differs(self, rows->next, "the source ends in front of it");
    }
    return rows->whole ? check_source(self) : DH_OK;
}

static dh_status export_source(exporter *self, uint64_t first, uint64_t last, bool whole)
{
    const dh_plan *plan = self->task->sources;
    const char *name = (const char *)self->source.name.data;
    row_range rows = {.next = first, .last = last, .whole = whole};
    uint64_t number = 0;
    DH_TRY(dh_result_source_find(self->task->view, plan, name, &number));
    if (!whole) {
        DH_TRY(reach(self, first));
        rows.begin = dh_result_columns_integer(&self->columns, self->offset, first) / DH_CONTENT_BLOCK *
                     DH_CONTENT_BLOCK;
    }
    const dh_format format = self->records->format;
    self->is_text = (format == DH_FORMAT_AUTO ? dh_format_of_name(name) : format) == DH_FORMAT_TEXT;
    DH_TRY(dh_record_reader_open(self->reader, dh_plan_string(plan, dh_plan_source(plan, number)->path), name,
                                 rows.begin, UINT64_MAX));
    return read_records(self, &rows);
}

/* Is there a kept document among the rows? */
static dh_status find_kept(exporter *self, uint64_t first, uint64_t last, bool *found)
{
    *found = self->keeps_all && first < last;
    for (uint64_t row = first; row < last && !*found; row++) {
        DH_TRY(reach(self, row));
        *found = is_kept(self, row);
    }
    return DH_OK;
}

/* ---- a piece of work ---------------------------------------------------------------------------------- */

/* Goes through the sources of the shards [shard, last_shard). */
static dh_status read_sources(exporter *self)
{
    const dh_export_shard first = *shard_of(self);
    const uint64_t end = dh_export_shards(self->task->plan)[self->last_shard - 1].last_row;
    uint64_t source_row = first.source_row;
    for (uint64_t s = first.first_source; source_row < end; s++) {
        bool found = false;
        DH_TRY(dh_result_source_read(self->task->view, s, &self->source));
        const uint64_t next_row = source_row + self->source.documents;
        const uint64_t from = source_row > first.first_row ? source_row : first.first_row;
        const uint64_t to = next_row < end ? next_row : end;
        DH_TRY(find_kept(self, from, to, &found));
        if (found) {
            DH_TRY(export_source(self, from, to, from == source_row && to == next_row));
        }
        source_row = next_row;
    }
    return DH_OK;
}

static dh_status export_shards(exporter *self, uint64_t first, uint64_t last)
{
    bool missing = false;
    for (uint64_t s = first; s < last && !missing; s++) {
        bool exists = false;
        self->shard = s;
        DH_TRY(shard_path(self));
        DH_TRY(dh_file_exists((const char *)self->path.data, &exists));
        missing = !exists;
    }
    self->shard = first;
    self->last_shard = last;
    DH_TRY(enter_shard(self));
    if (missing) {
        DH_TRY(read_sources(self));
    }
    while (self->shard < self->last_shard) {
        DH_TRY(leave_shard(self));
    }
    return DH_OK;
}

/* The shards are taken in turn; those that share a source go to one rank, which reads it once. */
static dh_status take_work(exporter *self)
{
    const dh_export_shard *shard = dh_export_shards(self->task->plan);
    const uint64_t count = dh_export_shard_count(self->task->plan);
    uint64_t mine = 0;
    uint64_t number = 0;
    DH_TRY(dh_counters_add(self->counters, DH_COUNTER_WORK, 1, &mine));
    for (uint64_t first = 0; first < count; number++) {
        uint64_t last = first + 1;
        while (last < count && shard[last].goes_on != 0) {
            last++;
        }
        if (number == mine) {
            DH_TRY(export_shards(self, first, last));
            DH_TRY(dh_counters_add(self->counters, DH_COUNTER_WORK, 1, &mine));
        }
        first = last;
    }
    return DH_OK;
}

dh_status dh_export_write_shards(const dh_export_task *task, const dh_record_options *records,
                                 dh_counters *counters, dh_buffer *done)
{
    exporter self = {.task = task, .records = records, .counters = counters, .done = done};
    dh_status status = add_columns(&self);
    if (status == DH_OK) {
        status = dh_record_reader_create(records, &self.reader);
    }
    if (status == DH_OK) {
        status = dh_shard_writer_create(task->compression, &self.writer);
    }
    if (status == DH_OK) {
        status = take_work(&self);
    }
    if (status != DH_OK) {
        uint64_t before = 0;
        (void)dh_counters_add(counters, DH_COUNTER_STOP, 1, &before); /* a failed MPI call ends the job */
    }
    dh_shard_writer_free(self.writer);
    dh_record_reader_free(self.reader);
    dh_document_free(&self.document);
    dh_result_columns_free(&self.columns);
    dh_result_source_free(&self.source);
    dh_buffer_free(&self.repaired);
    dh_buffer_free(&self.path);
    dh_buffer_free(&self.line);
    return status;
}
