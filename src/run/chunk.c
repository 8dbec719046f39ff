#include "run/chunk.h"

#include <stdlib.h>
#include <string.h>

/* What is written as it lies in memory, and hashed, has no bytes that nobody sets. */
_Static_assert(sizeof(dh_chunk_header) == 72, "the header of a spilled chunk");
_Static_assert(sizeof(dh_bad_record) == 32, "a bad record has no padding");
_Static_assert(sizeof(dh_source_part) == 96, "a source's part has no padding");
_Static_assert(sizeof(dh_chunk_entry) == 96, "what a chunk may take in the table of all chunks");
_Static_assert(DH_CHUNK_PARTS_MAX <= (int)DH_FILE_PARTS_MAX, "a chunk is written at once");

dh_status dh_chunk_create(const dh_schema *schema, dh_chunk **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_chunk), "a chunk", &memory));
    dh_chunk *chunk = memory;
    chunk->schema = schema;
    for (uint32_t c = 0; c < schema->column_count; c++) {
        const size_t row_size = dh_chunk_row_size(schema, c);
        const dh_status status =
            row_size > 0 ? dh_allocate(DH_CHUNK_ROWS, row_size, "the columns of a chunk", &chunk->column[c])
                         : DH_OK;
        if (status != DH_OK) {
            dh_chunk_free(chunk);
            return status;
        }
    }
    *out = chunk;
    return DH_OK;
}

void dh_chunk_free(dh_chunk *chunk)
{
    if (chunk == NULL) {
        return;
    }
    for (uint32_t c = 0; c < chunk->schema->column_count; c++) {
        free(chunk->column[c]);
    }
    dh_buffer_free(&chunk->ids);
    dh_buffer_free(&chunk->parts);
    dh_buffer_free(&chunk->bad);
    dh_buffer_free(&chunk->values);
    dh_buffer_free(&chunk->terms);
    free(chunk);
}

void dh_chunk_reset(dh_chunk *chunk)
{
    chunk->rows = 0;
    chunk->ids.size = 0;
    chunk->parts.size = 0;
    chunk->part_count = 0;
    chunk->bad.size = 0;
    chunk->bad_count = 0;
    chunk->values.size = 0;
    chunk->value_count = 0;
    chunk->terms.size = 0;
}

size_t dh_chunk_row_size(const dh_schema *schema, uint32_t column)
{
    return schema->column[column].place == DH_TOKEN ? 0 : schema->row_size[column];
}

size_t dh_part_size(const dh_schema *schema)
{
    return sizeof(dh_source_part) + schema->source_sum_count * sizeof(uint64_t);
}

dh_status dh_chunk_part(dh_chunk *chunk, uint64_t source, dh_source_part **part, uint64_t **sums)
{
    const size_t size = dh_part_size(chunk->schema);
    dh_source_part *last = chunk->part_count > 0
                               ? (dh_source_part *)(void *)(chunk->parts.data + chunk->parts.size - size)
                               : NULL;
    if (last == NULL || last->source != source) {
        DH_TRY(dh_buffer_reserve(&chunk->parts, size));
        last = (dh_source_part *)(void *)(chunk->parts.data + chunk->parts.size);
        memset(last, 0, size);
        last->source = source;
        chunk->parts.size += size;
        chunk->part_count++;
    }
    *part = last;
    *sums = (uint64_t *)(last + 1);
    return DH_OK;
}

static uint64_t aligned(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

void dh_chunk_lay_out(const dh_schema *schema, const dh_chunk_sizes *sizes, dh_chunk_layout *out)
{
    uint64_t place = sizeof(dh_chunk_header);
    for (uint32_t c = 0; c < schema->column_count; c++) {
        out->column[c] = place;
        place += aligned(sizes->rows * (uint64_t)dh_chunk_row_size(schema, c));
    }
    out->ids = place;
    place += aligned(sizes->id_bytes);
    out->parts = place;
    place += aligned(sizes->part_count * (uint64_t)dh_part_size(schema));
    out->bad = place;
    place += aligned(sizes->bad_count * (uint64_t)sizeof(dh_bad_record));
    out->values = place;
    place += aligned(sizes->value_bytes);
    out->terms = place;
    place += aligned(sizes->term_bytes);
    out->size = place;
}

void dh_chunk_describe(const dh_chunk *chunk, uint32_t first_source, uint64_t begin, uint32_t number,
                       dh_chunk_header *out)
{
    dh_chunk_layout layout;
    const dh_chunk_sizes sizes = {.rows = chunk->rows,
                                  .part_count = chunk->part_count,
                                  .bad_count = chunk->bad_count,
                                  .id_bytes = chunk->ids.size,
                                  .value_bytes = chunk->values.size,
                                  .term_bytes = chunk->terms.size};
    dh_chunk_lay_out(chunk->schema, &sizes, &layout);
    /* The pipeline adds what the reader counted when a source ends, so that of a segment of one source only
     * the last chunk has lines. In a segment of several sources nobody asks for them: no segment follows in
     * the same source. */
    uint64_t lines = 0;
    if (chunk->part_count > 0) {
        const uint8_t *end = chunk->parts.data + chunk->parts.size;
        lines = ((const dh_source_part *)(const void *)(end - dh_part_size(chunk->schema)))->lines;
    }
    *out = (dh_chunk_header){.magic = DH_CHUNK_MAGIC,
                             .number = number,
                             .size = layout.size,
                             .begin = begin,
                             .first_source = first_source,
                             .rows = chunk->rows,
                             .id_bytes = (uint32_t)chunk->ids.size,
                             .part_count = chunk->part_count,
                             .bad_count = chunk->bad_count,
                             .lines = (uint32_t)lines,
                             .value_count = chunk->value_count,
                             .value_bytes = chunk->values.size,
                             .term_bytes = chunk->terms.size};
}

dh_chunk_sizes dh_chunk_header_sizes(const dh_chunk_header *header)
{
    return (dh_chunk_sizes){.rows = header->rows,
                            .part_count = header->part_count,
                            .bad_count = header->bad_count,
                            .id_bytes = header->id_bytes,
                            .value_bytes = header->value_bytes,
                            .term_bytes = header->term_bytes};
}

dh_chunk_sizes dh_chunk_entry_sizes(const dh_chunk_entry *entry)
{
    return (dh_chunk_sizes){.rows = entry->rows,
                            .part_count = entry->part_count,
                            .bad_count = entry->bad_count,
                            .id_bytes = entry->id_bytes,
                            .value_bytes = entry->value_bytes,
                            .term_bytes = entry->term_bytes};
}

/* A section and the zeros behind it; nothing for an empty one. */
static size_t add_section(dh_file_part *part, size_t count, const void *data, uint64_t size)
{
    static const uint8_t zeros[8];
    if (size > 0) {
        part[count++] = (dh_file_part){.data = data, .size = (size_t)size};
    }
    const uint64_t padding = aligned(size) - size;
    if (padding > 0) {
        part[count++] = (dh_file_part){.data = zeros, .size = (size_t)padding};
    }
    return count;
}

size_t dh_chunk_parts(const dh_chunk *chunk, const dh_chunk_header *header, dh_file_part *part)
{
    const dh_schema *schema = chunk->schema;
    size_t count = add_section(part, 0, header, sizeof *header);
    for (uint32_t c = 0; c < schema->column_count; c++) {
        count =
            add_section(part, count, chunk->column[c], chunk->rows * (uint64_t)dh_chunk_row_size(schema, c));
    }
    count = add_section(part, count, chunk->ids.data, chunk->ids.size);
    count = add_section(part, count, chunk->parts.data, chunk->parts.size);
    count = add_section(part, count, chunk->bad.data, chunk->bad.size);
    count = add_section(part, count, chunk->values.data, chunk->values.size);
    return add_section(part, count, chunk->terms.data, chunk->terms.size);
}

/* ---- where chunks are -------------------------------------------------------------------------------- */

dh_status dh_chunk_list_add(dh_chunk_list *list, const dh_chunk_entry *entry)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        void *memory = list->entry;
        DH_TRY(dh_reallocate(capacity, sizeof *list->entry, "the table of chunks", &memory));
        list->entry = memory;
        list->capacity = capacity;
    }
    list->entry[list->count++] = *entry;
    return DH_OK;
}

void dh_chunk_list_free(dh_chunk_list *list)
{
    free(list->entry);
    *list = (dh_chunk_list){0};
}
