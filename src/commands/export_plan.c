#include "commands/export_plan.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

typedef struct planner {
    dh_result_view *view;
    dh_result_columns columns;
    size_t offset, keep;
    bool keeps_all;
    uint64_t shard_size;
    dh_export_plan *plan;
    dh_export_shard shard; /* being filled; documents 0: none */
    uint64_t shard_bytes;
    uint64_t source, first_row, last_row, source_bytes; /* the source under way */
} planner;

static dh_status close_shard(planner *self)
{
    if (self->shard.documents == 0) {
        return DH_OK;
    }
    self->plan->documents += self->shard.documents;
    DH_TRY(dh_buffer_append(&self->plan->shards, &self->shard, sizeof self->shard));
    self->shard = (dh_export_shard){0};
    self->shard_bytes = 0;
    return DH_OK;
}

static void add_rows(planner *self, uint64_t first, uint64_t last, uint64_t documents, uint64_t bytes)
{
    if (self->shard.documents == 0) {
        self->shard.first_row = first;
        self->shard.first_source = self->source;
        self->shard.source_row = self->first_row;
    }
    self->shard.last_row = last;
    self->shard.documents += documents;
    self->shard_bytes += bytes;
}

/* Is the row kept, and how many bytes of the source are from its first one to that of the next document? */
static dh_status look_at(planner *self, uint64_t row, bool *kept, uint64_t *size)
{
    DH_TRY(dh_result_columns_reach(&self->columns, row, self->view->rows));
    *kept = self->keeps_all || dh_result_columns_integer(&self->columns, self->keep, row) != 0;
    const uint64_t begin = dh_result_columns_integer(&self->columns, self->offset, row);
    uint64_t end = self->source_bytes;
    if (row + 1 < self->last_row) {
        DH_TRY(dh_result_columns_reach(&self->columns, row + 1, self->view->rows));
        end = dh_result_columns_integer(&self->columns, self->offset, row + 1);
    }
    if (end < begin) {
        return dh_error(DH_MISMATCH, "%s: obs/offset of row %" PRIu64 " is not in order", self->view->path,
                        row);
    }
    *size = end - begin;
    return DH_OK;
}

static dh_status measure_source(planner *self, uint64_t *documents, uint64_t *bytes)
{
    *documents = 0;
    *bytes = 0;
    for (uint64_t row = self->first_row; row < self->last_row; row++) {
        bool kept = false;
        uint64_t size = 0;
        DH_TRY(look_at(self, row, &kept, &size));
        *documents += kept ? 1 : 0;
        *bytes += kept ? size : 0;
    }
    return DH_OK;
}

static dh_status cut_source(planner *self)
{
    bool goes_on = false;
    for (uint64_t row = self->first_row; row < self->last_row; row++) {
        bool kept = false;
        uint64_t size = 0;
        DH_TRY(look_at(self, row, &kept, &size));
        if (!kept) {
            continue;
        }
        if (self->shard.documents > 0 && self->shard_bytes + size > self->shard_size) {
            DH_TRY(close_shard(self));
        }
        const bool first = self->shard.documents == 0;
        add_rows(self, goes_on ? row : self->first_row, row + 1, 1, size);
        if (first) {
            self->shard.goes_on = goes_on ? 1 : 0;
        }
        goes_on = true;
    }
    self->shard.last_row = self->last_row; /* so that its shards together have all rows of the source */
    return close_shard(self);
}

static dh_status add_source(planner *self)
{
    uint64_t documents = 0;
    uint64_t bytes = 0;
    DH_TRY(measure_source(self, &documents, &bytes));
    if (documents == 0) {
        return DH_OK;
    }
    if (self->shard.documents > 0 && self->shard_bytes + bytes > self->shard_size) {
        DH_TRY(close_shard(self));
    }
    if (bytes > self->shard_size) {
        return cut_source(self);
    }
    add_rows(self, self->first_row, self->last_row, documents, bytes);
    return DH_OK;
}

static dh_status add_sources(planner *self, const dh_result_columns *sources, size_t documents, size_t bytes)
{
    for (uint64_t s = sources->first; s < sources->first + sources->rows; s++) {
        const uint64_t count = dh_result_columns_integer(sources, documents, s);
        self->source = s;
        self->source_bytes = dh_result_columns_integer(sources, bytes, s);
        self->first_row = self->last_row;
        if (count > self->view->rows - self->first_row) {
            return dh_error(DH_MISMATCH, "%s: the sources have more documents than the result",
                            self->view->path);
        }
        self->last_row = self->first_row + count;
        DH_TRY(add_source(self));
    }
    return DH_OK;
}

static dh_status plan_all(planner *self, dh_result_columns *sources)
{
    size_t documents = 0;
    size_t bytes = 0;
    DH_TRY(dh_result_columns_add(&self->columns, "obs/offset", DH_WANT_INTEGERS, &self->offset));
    if (!self->keeps_all) {
        DH_TRY(dh_result_columns_add(&self->columns, "obs/dup_keep", DH_WANT_INTEGERS, &self->keep));
    }
    DH_TRY(dh_result_columns_add(sources, "uns/dhatu/sources/documents", DH_WANT_INTEGERS, &documents));
    DH_TRY(dh_result_columns_add(sources, "uns/dhatu/sources/bytes", DH_WANT_INTEGERS, &bytes));
    for (uint64_t s = 0; s < self->view->sources; s += DH_BLOCK_ROWS) {
        DH_TRY(dh_result_columns_reach(sources, s, self->view->sources));
        DH_TRY(add_sources(self, sources, documents, bytes));
    }
    if (self->last_row != self->view->rows) {
        return dh_error(DH_MISMATCH,
                        "%s: the sources have %" PRIu64 " documents, but the result has %" PRIu64,
                        self->view->path, self->last_row, self->view->rows);
    }
    return close_shard(self);
}

dh_status dh_export_plan_make(dh_result_view *view, bool all, uint64_t shard_size, dh_export_plan *out)
{
    dh_export_plan plan = {0};
    planner self = {.view = view,
                    .columns = {.view = view},
                    .keeps_all = all || !dh_h5_has(view->h5, "obs/dup_keep"),
                    .shard_size = shard_size,
                    .plan = &plan};
    dh_result_columns sources = {.view = view};
    const dh_status status = plan_all(&self, &sources);
    dh_result_columns_free(&self.columns);
    dh_result_columns_free(&sources);
    if (status != DH_OK) {
        dh_export_plan_free(&plan);
        return status;
    }
    *out = plan;
    return DH_OK;
}

void dh_export_plan_free(dh_export_plan *plan)
{
    dh_buffer_free(&plan->shards);
    *plan = (dh_export_plan){0};
}
