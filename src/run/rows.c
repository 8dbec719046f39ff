#include "run/rows.h"

#include "base/log.h"
#include "checkpoint/folder.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPEN_SPILLS = 64, VALUES_AT_ONCE = 4 << 20 };

/* A spill has one place among the open ones (place_of), and its descriptor is closed when another needs it.
 */
typedef struct open_spill {
    int file; /* -1: none */
    uint32_t epoch, rank;
    dh_buffer path;
} open_spill;

struct dh_row_reader {
    const dh_schema *schema;
    const dh_plan *plan;
    const dh_chunk_table *table;
    const char *folder;
    dh_watch *watch;
    open_spill open[OPEN_SPILLS];
    dh_row_block block;
    dh_buffer raw_ids; /* of one chunk's rows */
    dh_buffer ids;     /* of the block */
    dh_buffer values;  /* of the block */
    dh_buffer scratch; /* of the rows of a chunk in front of the block */
};

/* ---- reading ----------------------------------------------------------------------------------------- */

typedef struct what_to_read {
    bool all;    /* the jobs' columns, too */
    bool values; /* the values of rows */
} what_to_read;

dh_status dh_row_reader_create(const dh_schema *schema, const dh_plan *plan, const dh_chunk_table *table,
                               const char *folder, dh_watch *watch, dh_row_reader **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_row_reader), "the row reader", &memory));
    dh_row_reader *reader = memory;
    reader->schema = schema;
    reader->plan = plan;
    reader->table = table;
    reader->folder = folder;
    reader->watch = watch;
    for (size_t i = 0; i < OPEN_SPILLS; i++) {
        reader->open[i].file = -1;
    }
    for (uint32_t c = 0; c < schema->column_count; c++) {
        const size_t row_size = dh_chunk_row_size(schema, c);
        const dh_status status =
            row_size > 0 ? dh_allocate(DH_BLOCK_ROWS, row_size, "a block of rows", &reader->block.column[c])
                         : DH_OK;
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
        dh_buffer_free(&reader->open[i].path);
    }
    for (uint32_t c = 0; c < reader->schema->column_count; c++) {
        free(reader->block.column[c]);
    }
    dh_buffer_free(&reader->raw_ids);
    dh_buffer_free(&reader->ids);
    dh_buffer_free(&reader->values);
    dh_buffer_free(&reader->scratch);
    free(reader);
}

/* Ranks of one attempt that follow each other have places of their own; attempts are shifted against each
 * other. */
static size_t place_of(uint32_t epoch, uint32_t rank)
{
    return (rank + epoch * UINT32_C(29)) % OPEN_SPILLS;
}

static dh_status find_spill(dh_row_reader *reader, const dh_chunk_entry *entry, const open_spill **out)
{
    open_spill *spill = &reader->open[place_of(entry->epoch, entry->rank)];
    if (spill->file < 0 || spill->epoch != entry->epoch || spill->rank != entry->rank) {
        if (spill->file >= 0) {
            (void)close(spill->file);
            spill->file = -1;
        }
        uint64_t size = 0;
        DH_TRY(dh_checkpoint_open(reader->folder, DH_CHECKPOINT_SPILL, entry->epoch, entry->rank,
                                  &spill->path, &spill->file, &size));
        if (spill->file < 0) {
            return dh_error(DH_IO,
                            "%s: is not there (the folder must be on a file system that all ranks share)",
                            (const char *)spill->path.data);
        }
        spill->epoch = entry->epoch;
        spill->rank = entry->rank;
    }
    *out = spill;
    return DH_OK;
}

/* Reads from a chunk; offset is from its start. */
static dh_status chunk_read(dh_row_reader *reader, const dh_chunk_entry *entry, void *data, size_t size,
                            uint64_t offset)
{
    if (size == 0) {
        return DH_OK;
    }
    const open_spill *spill = NULL;
    DH_TRY(find_spill(reader, entry, &spill));
    return dh_file_read_at(spill->file, (const char *)spill->path.data, data, size, entry->offset + offset);
}

static void lay_out(const dh_row_reader *reader, const dh_chunk_entry *entry, dh_chunk_layout *out)
{
    const dh_chunk_sizes sizes = dh_chunk_entry_sizes(entry);
    dh_chunk_lay_out(reader->schema, &sizes, out);
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

static dh_status changed(const dh_row_reader *reader, const dh_chunk_entry *entry)
{
    return dh_error(DH_IO,
                    "%s: the spill of rank %u in attempt %u changed after it was written, at byte %llu",
                    reader->folder, entry->rank, entry->epoch, (unsigned long long)entry->offset);
}

/* The bytes were checked when the run went on from them; that they are still good is not certain, and what
 * they say is used as sizes and indexes. */
static dh_status check_ids(const dh_row_reader *reader, const dh_chunk_entry *entry, uint32_t start,
                           const uint32_t *end, const uint32_t *source, uint32_t count)
{
    uint32_t previous = start;
    for (uint32_t i = 0; i < count; i++) {
        if (end[i] < previous || end[i] > entry->id_bytes || source[i] >= reader->plan->source_count) {
            return changed(reader, entry);
        }
        previous = end[i];
    }
    return DH_OK;
}

/* Final ids of `count` rows of a chunk; they go behind those of the block so far. */
static dh_status make_ids(dh_row_reader *reader, const dh_chunk_entry *entry, const dh_chunk_layout *layout,
                          uint32_t from, uint32_t at, uint32_t count)
{
    const uint32_t *end = (const uint32_t *)reader->block.column[DH_ENGINE_ID_END] + at;
    const uint32_t *source = (const uint32_t *)reader->block.column[DH_ENGINE_SOURCE] + at;
    const uint64_t *record = (const uint64_t *)reader->block.column[DH_ENGINE_RECORD] + at;
    uint32_t start = 0;
    if (from > 0) {
        DH_TRY(chunk_read(reader, entry, &start, sizeof start,
                          layout->column[DH_ENGINE_ID_END] + (from - 1) * sizeof start));
    }
    DH_TRY(check_ids(reader, entry, start, end, source, count));
    reader->raw_ids.size = 0;
    DH_TRY(dh_buffer_reserve(&reader->raw_ids, end[count - 1] - start));
    DH_TRY(chunk_read(reader, entry, reader->raw_ids.data, end[count - 1] - start, layout->ids + start));
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

/* Values of rows [from, from + count) of a chunk, whose engine columns are in the block at `at`. *before:
 * those of the chunk's rows in front of them. */
static dh_status read_values(dh_row_reader *reader, const dh_chunk_entry *entry,
                             const dh_chunk_layout *layout, uint32_t from, uint32_t at, uint32_t count,
                             uint64_t *before)
{
    uint64_t front_bytes = 0;
    uint64_t bytes = 0;
    *before = 0;
    reader->scratch.size = 0;
    DH_TRY(dh_buffer_reserve(&reader->scratch, 2 * from * sizeof(uint32_t)));
    uint32_t *front = (uint32_t *)(void *)reader->scratch.data;
    DH_TRY(chunk_read(reader, entry, front, from * sizeof *front, layout->column[DH_ENGINE_VALUES]));
    DH_TRY(
        chunk_read(reader, entry, front + from, from * sizeof *front, layout->column[DH_ENGINE_VALUE_BYTES]));
    for (uint32_t i = 0; i < from; i++) {
        *before += front[i];
        front_bytes += front[from + i];
    }
    const uint32_t *size = (const uint32_t *)reader->block.column[DH_ENGINE_VALUE_BYTES] + at;
    for (uint32_t i = 0; i < count; i++) {
        bytes += size[i];
    }
    if (front_bytes + bytes > entry->value_bytes) {
        return changed(reader, entry);
    }
    DH_TRY(dh_buffer_reserve(&reader->values, bytes));
    DH_TRY(chunk_read(reader, entry, reader->values.data + reader->values.size, bytes,
                      layout->values + front_bytes));
    reader->values.size += bytes;
    return DH_OK;
}

/* Rows [from, from + count) of a chunk go to the block's rows at `at`. */
static dh_status read_slice(dh_row_reader *reader, const dh_chunk_entry *entry, uint32_t from, uint32_t at,
                            uint32_t count, const what_to_read *what)
{
    dh_chunk_layout layout;
    lay_out(reader, entry, &layout);
    const bool all = what->all;
    const uint32_t columns = all ? reader->schema->column_count : DH_ENGINE_COLUMNS;
    for (uint32_t c = 0; c < columns; c++) {
        const size_t row_size = dh_chunk_row_size(reader->schema, c);
        if (row_size > 0) {
            DH_TRY(chunk_read(reader, entry, (char *)reader->block.column[c] + at * row_size,
                              count * row_size, layout.column[c] + from * row_size));
        }
    }
    if (what->values) {
        uint64_t before = 0;
        DH_TRY(read_values(reader, entry, &layout, from, at, count, &before));
        reader->block.first_value = at == 0 ? entry->first_value + before : reader->block.first_value;
    }
    uint64_t *record = (uint64_t *)reader->block.column[DH_ENGINE_RECORD] + at;
    for (uint32_t i = 0; i < count; i++) {
        record[i] += entry->first_line + 1;
    }
    return make_ids(reader, entry, &layout, from, at, count);
}

static dh_status read_block(dh_row_reader *reader, uint64_t first, uint32_t count, const what_to_read *what)
{
    dh_row_block *block = &reader->block;
    block->first_row = first;
    block->count = count;
    block->first_value = 0;
    reader->ids.size = 0;
    reader->values.size = 0;
    uint64_t chunk = count > 0 ? find_chunk(reader->table, first) : 0;
    for (uint32_t at = 0; at < count; chunk++) {
        const dh_chunk_entry *entry = &reader->table->entry[chunk];
        const uint64_t from = first + at - entry->first_row;
        if (from >= entry->rows) { /* chunks may have no row at all */
            continue;
        }
        const uint64_t left = entry->rows - from;
        const uint32_t slice = left < count - at ? (uint32_t)left : count - at;
        DH_TRY(read_slice(reader, entry, (uint32_t)from, at, slice, what));
        at += slice;
    }
    block->id = reader->ids.data;
    block->values = reader->values.data;
    return DH_OK;
}

static dh_status ended(const dh_row_reader *reader, dh_status status)
{
    if (status != DH_OK) {
        dh_watch_fail(reader->watch);
    }
    return status;
}

dh_status dh_row_reader_read(dh_row_reader *reader, uint64_t first, uint32_t count, bool all,
                             const dh_row_block **out)
{
    DH_TRY(dh_watch_poll(reader->watch));
    const what_to_read what = {.all = all};
    DH_TRY(ended(reader, read_block(reader, first, count, &what)));
    *out = &reader->block;
    return DH_OK;
}

dh_status dh_row_reader_read_values(dh_row_reader *reader, uint64_t first, uint32_t count, bool all,
                                    const dh_row_block **out)
{
    DH_TRY(dh_watch_poll(reader->watch));
    const what_to_read what = {.all = all, .values = true};
    DH_TRY(ended(reader, read_block(reader, first, count, &what)));
    *out = &reader->block;
    return DH_OK;
}

uint32_t dh_row_reader_few(const dh_row_reader *reader, uint64_t first, uint64_t most)
{
    const uint64_t limit = most < DH_BLOCK_ROWS ? most : DH_BLOCK_ROWS;
    uint64_t rows = 0;
    uint64_t bytes = 0;
    for (uint64_t chunk = limit > 0 ? find_chunk(reader->table, first) : 0;
         rows < limit && bytes < VALUES_AT_ONCE && chunk < reader->table->count; chunk++) {
        const dh_chunk_entry *entry = &reader->table->entry[chunk];
        const uint64_t from = first + rows - entry->first_row;
        if (from < entry->rows) { /* chunks may have no row at all */
            const uint64_t each = entry->value_bytes / entry->rows + 1;
            const uint64_t fit = (VALUES_AT_ONCE - bytes) / each + 1;
            const uint64_t here = entry->rows - from < fit ? entry->rows - from : fit;
            rows += here;
            bytes += here * each;
        }
    }
    return (uint32_t)(rows < limit ? rows : limit);
}

static dh_status read_column(dh_row_reader *reader, uint32_t column, uint64_t first, uint32_t count,
                             void *out)
{
    const size_t row_size = dh_chunk_row_size(reader->schema, column);
    uint64_t chunk = count > 0 ? find_chunk(reader->table, first) : 0;
    for (uint32_t at = 0; at < count; chunk++) {
        const dh_chunk_entry *entry = &reader->table->entry[chunk];
        const uint64_t from = first + at - entry->first_row;
        if (from < entry->rows) { /* chunks may have no row at all */
            const uint64_t left = entry->rows - from;
            const uint32_t slice = left < count - at ? (uint32_t)left : count - at;
            dh_chunk_layout layout;
            lay_out(reader, entry, &layout);
            DH_TRY(chunk_read(reader, entry, (char *)out + at * row_size, slice * row_size,
                              layout.column[column] + from * row_size));
            at += slice;
        }
    }
    return DH_OK;
}

dh_status dh_row_reader_column(dh_row_reader *reader, uint32_t column, uint64_t first, uint32_t count,
                               void *out)
{
    DH_TRY(dh_watch_poll(reader->watch));
    return ended(reader, read_column(reader, column, first, count, out));
}

dh_status dh_row_reader_terms(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out)
{
    DH_TRY(dh_watch_poll(reader->watch));
    dh_chunk_layout layout;
    lay_out(reader, entry, &layout);
    DH_TRY(dh_buffer_reserve(out, entry->term_bytes));
    DH_TRY(ended(reader, chunk_read(reader, entry, out->data + out->size, entry->term_bytes, layout.terms)));
    out->size += entry->term_bytes;
    return DH_OK;
}

dh_status dh_row_reader_parts(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out)
{
    dh_chunk_layout layout;
    lay_out(reader, entry, &layout);
    const size_t size = entry->part_count * dh_part_size(reader->schema);
    DH_TRY(dh_buffer_reserve(out, size));
    DH_TRY(chunk_read(reader, entry, out->data + out->size, size, layout.parts));
    out->size += size;
    return DH_OK;
}

dh_status dh_row_reader_bad(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out)
{
    dh_chunk_layout layout;
    lay_out(reader, entry, &layout);
    const size_t size = entry->bad_count * sizeof(dh_bad_record);
    DH_TRY(dh_buffer_reserve(out, size));
    DH_TRY(chunk_read(reader, entry, out->data + out->size, size, layout.bad));
    out->size += size;
    return DH_OK;
}
