#include "run/rows.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPEN_SPILLS = 64 };

struct dh_row_reader {
    const dh_schema *schema;
    const dh_plan *plan;
    const dh_chunk_table *table;
    const char *folder;
    struct {
        int file;
        uint32_t spill;
    } open[OPEN_SPILLS]; /* spill s lives in place s modulo OPEN_SPILLS */
    dh_buffer path;
    dh_row_block block;
    dh_buffer raw_ids; /* of one chunk's rows */
    dh_buffer ids;     /* of the block */
};

/* ---- the table --------------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const dh_chunk_entry *left = a;
    const dh_chunk_entry *right = b;
    if (left->first_source != right->first_source) {
        return left->first_source < right->first_source ? -1 : 1;
    }
    if (left->begin != right->begin) {
        return left->begin < right->begin ? -1 : 1;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

void dh_chunk_table_order(void *entries, size_t count)
{
    dh_chunk_entry *entry = entries;
    if (count > 0) {
        qsort(entry, count, sizeof *entry, compare_entries);
    }
    uint64_t row = 0;
    uint64_t first_line = 0; /* of the range */
    uint64_t lines = 0;      /* of the range so far */
    for (size_t i = 0; i < count; i++) {
        const bool new_source = i == 0 || entry[i].first_source != entry[i - 1].first_source;
        if (new_source) {
            first_line = 0;
            lines = 0;
        } else if (entry[i].begin != entry[i - 1].begin) {
            first_line += lines;
            lines = 0;
        }
        lines += entry[i].lines;
        entry[i].first_row = row;
        entry[i].first_line = first_line;
        row += entry[i].rows;
    }
}

dh_chunk_table dh_chunk_table_view(const void *entries, size_t bytes)
{
    dh_chunk_table table = {.entry = entries, .count = bytes / sizeof(dh_chunk_entry)};
    if (table.count > 0) {
        const dh_chunk_entry *last = &table.entry[table.count - 1];
        table.rows = last->first_row + last->rows;
    }
    return table;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

dh_status dh_row_reader_create(const dh_schema *schema, const dh_plan *plan, const dh_chunk_table *table,
                               const char *folder, dh_row_reader **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_row_reader), "the row reader", &memory));
    dh_row_reader *reader = memory;
    reader->schema = schema;
    reader->plan = plan;
    reader->table = table;
    reader->folder = folder;
    for (size_t i = 0; i < OPEN_SPILLS; i++) {
        reader->open[i].file = -1;
    }
    for (uint32_t c = 0; c < schema->column_count; c++) {
        const dh_status status =
            dh_allocate(DH_BLOCK_ROWS, schema->row_size[c], "a block of rows", &reader->block.column[c]);
        if (status != DH_OK) {
            dh_row_reader_free(reader);
            return status;
        }
    }
    *out = reader;
    return DH_OK;
}

void dh_row_reader_free(dh_row_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    for (size_t i = 0; i < OPEN_SPILLS; i++) {
        if (reader->open[i].file >= 0) {
            (void)close(reader->open[i].file);
        }
    }
    for (uint32_t c = 0; c < reader->schema->column_count; c++) {
        free(reader->block.column[c]);
    }
    dh_buffer_free(&reader->path);
    dh_buffer_free(&reader->raw_ids);
    dh_buffer_free(&reader->ids);
    free(reader);
}

static dh_status spill_read(dh_row_reader *reader, uint32_t spill, void *data, size_t size, uint64_t offset)
{
    if (size == 0) {
        return DH_OK;
    }
    const size_t place = spill % OPEN_SPILLS;
    DH_TRY(dh_spill_path(reader->folder, (int)spill, &reader->path));
    const char *path = (const char *)reader->path.data;
    if (reader->open[place].file < 0 || reader->open[place].spill != spill) {
        if (reader->open[place].file >= 0) {
            (void)close(reader->open[place].file);
        }
        reader->open[place].file = open(path, O_RDONLY | O_CLOEXEC);
        reader->open[place].spill = spill;
        if (reader->open[place].file < 0) {
            return dh_error(DH_IO,
                            "%s: cannot open: %s (the folder must be on a file system that all ranks share)",
                            path, strerror(errno));
        }
    }
    return dh_file_read_at(reader->open[place].file, path, data, size, offset);
}

static void lay_out(const dh_row_reader *reader, const dh_chunk_entry *entry, dh_chunk_layout *out)
{
    dh_chunk_lay_out(reader->schema, entry->rows, entry->id_bytes, entry->part_count, entry->bad_count, out);
}

/* The last chunk that begins at or before row and has rows. */
static uint64_t find_chunk(const dh_chunk_table *table, uint64_t row)
{
    uint64_t low = 0;
    uint64_t high = table->count;
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        if (table->entry[middle].first_row <= row) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Final ids of `count` rows of a chunk; they go behind those of the block so far. */
static dh_status make_ids(dh_row_reader *reader, const dh_chunk_entry *entry, const dh_chunk_layout *layout,
                          uint32_t from, uint32_t at, uint32_t count)
{
    const uint32_t *end = (const uint32_t *)reader->block.column[DH_ENGINE_ID_END] + at;
    uint32_t start = 0;
    if (from > 0) {
        DH_TRY(spill_read(reader, entry->spill, &start, sizeof start,
                          entry->offset + layout->column[DH_ENGINE_ID_END] + (from - 1) * sizeof start));
    }
    reader->raw_ids.size = 0;
    DH_TRY(dh_buffer_reserve(&reader->raw_ids, end[count - 1] - start));
    DH_TRY(spill_read(reader, entry->spill, reader->raw_ids.data, end[count - 1] - start,
                      entry->offset + layout->ids + start));
    const uint32_t *source = (const uint32_t *)reader->block.column[DH_ENGINE_SOURCE] + at;
    const uint64_t *record = (const uint64_t *)reader->block.column[DH_ENGINE_RECORD] + at;
    uint32_t previous = start;
    for (uint32_t i = 0; i < count; i++) {
        if (end[i] > previous) {
            DH_TRY(
                dh_buffer_append(&reader->ids, reader->raw_ids.data + (previous - start), end[i] - previous));
        } else {
            DH_TRY(dh_buffer_printf(&reader->ids, "%s#%llu", dh_plan_name(reader->plan, source[i]),
                                    (unsigned long long)record[i]));
        }
        previous = end[i];
        reader->block.id_end[at + i] = (uint32_t)reader->ids.size;
    }
    return DH_OK;
}

/* Rows [from, from + count) of a chunk go to the block's rows at `at`. */
static dh_status read_slice(dh_row_reader *reader, const dh_chunk_entry *entry, uint32_t from, uint32_t at,
                            uint32_t count, bool all)
{
    dh_chunk_layout layout;
    lay_out(reader, entry, &layout);
    const uint32_t columns = all ? reader->schema->column_count : DH_ENGINE_COLUMNS;
    for (uint32_t c = 0; c < columns; c++) {
        const size_t row_size = reader->schema->row_size[c];
        DH_TRY(spill_read(reader, entry->spill, (char *)reader->block.column[c] + at * row_size,
                          count * row_size, entry->offset + layout.column[c] + from * row_size));
    }
    uint64_t *record = (uint64_t *)reader->block.column[DH_ENGINE_RECORD] + at;
    for (uint32_t i = 0; i < count; i++) {
        record[i] += entry->first_line + 1;
    }
    return make_ids(reader, entry, &layout, from, at, count);
}

dh_status dh_row_reader_read(dh_row_reader *reader, uint64_t first, uint32_t count, bool all,
                             const dh_row_block **out)
{
    dh_row_block *block = &reader->block;
    block->first_row = first;
    block->count = count;
    reader->ids.size = 0;
    uint64_t chunk = count > 0 ? find_chunk(reader->table, first) : 0;
    for (uint32_t at = 0; at < count; chunk++) {
        const dh_chunk_entry *entry = &reader->table->entry[chunk];
        const uint64_t from = first + at - entry->first_row;
        if (from >= entry->rows) { /* chunks may have no row at all */
            continue;
        }
        const uint64_t left = entry->rows - from;
        const uint32_t slice = left < count - at ? (uint32_t)left : count - at;
        DH_TRY(read_slice(reader, entry, (uint32_t)from, at, slice, all));
        at += slice;
    }
    block->id = reader->ids.data;
    *out = block;
    return DH_OK;
}

dh_status dh_row_reader_parts(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out)
{
    dh_chunk_layout layout;
    lay_out(reader, entry, &layout);
    const size_t size = entry->part_count * dh_part_size(reader->schema);
    DH_TRY(dh_buffer_reserve(out, size));
    DH_TRY(spill_read(reader, entry->spill, out->data + out->size, size, entry->offset + layout.parts));
    out->size += size;
    return DH_OK;
}

dh_status dh_row_reader_bad(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out)
{
    dh_chunk_layout layout;
    lay_out(reader, entry, &layout);
    const size_t size = entry->bad_count * sizeof(dh_bad_record);
    DH_TRY(dh_buffer_reserve(out, size));
    DH_TRY(spill_read(reader, entry->spill, out->data + out->size, size, entry->offset + layout.bad));
    out->size += size;
    return DH_OK;
}
