#include "run/chunk.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

dh_status dh_chunk_create(const dh_schema *schema, dh_chunk **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_chunk), "a chunk", &memory));
    dh_chunk *chunk = memory;
    chunk->schema = schema;
    for (uint32_t c = 0; c < schema->column_count; c++) {
        const dh_status status =
            dh_allocate(DH_CHUNK_ROWS, schema->row_size[c], "the columns of a chunk", &chunk->column[c]);
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

void dh_chunk_lay_out(const dh_schema *schema, uint32_t rows, uint64_t id_bytes, uint32_t part_count,
                      uint32_t bad_count, dh_chunk_layout *out)
{
    uint64_t place = 0;
    for (uint32_t c = 0; c < schema->column_count; c++) {
        out->column[c] = place;
        place += aligned(rows * (uint64_t)schema->row_size[c]);
    }
    out->ids = place;
    place += aligned(id_bytes);
    out->parts = place;
    place += part_count * (uint64_t)dh_part_size(schema);
    out->bad = place;
    place += bad_count * (uint64_t)sizeof(dh_bad_record);
    out->size = place;
}

dh_status dh_chunk_write(const dh_chunk *chunk, int file, const char *path, uint64_t offset, uint64_t *size)
{
    const dh_schema *schema = chunk->schema;
    dh_chunk_layout layout;
    dh_chunk_lay_out(schema, chunk->rows, chunk->ids.size, chunk->part_count, chunk->bad_count, &layout);
    for (uint32_t c = 0; c < schema->column_count; c++) {
        DH_TRY(dh_file_write_at(file, path, chunk->column[c], chunk->rows * schema->row_size[c],
                                offset + layout.column[c]));
    }
    DH_TRY(dh_file_write_at(file, path, chunk->ids.data, chunk->ids.size, offset + layout.ids));
    DH_TRY(dh_file_write_at(file, path, chunk->parts.data, chunk->parts.size, offset + layout.parts));
    DH_TRY(dh_file_write_at(file, path, chunk->bad.data, chunk->bad.size, offset + layout.bad));
    *size = layout.size;
    return DH_OK;
}
