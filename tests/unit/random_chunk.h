/* Chunks of random content, for tests of chunks and spills. */
#ifndef DH_TESTS_RANDOM_CHUNK_H
#define DH_TESTS_RANDOM_CHUNK_H

#include "support.h"

#include "run/chunk.h"

static inline void make_schema(dh_schema *schema, const size_t *row_size, uint32_t columns, uint32_t sums)
{
    *schema = (dh_schema){.column_count = columns, .source_sum_count = sums};
    for (uint32_t c = 0; c < columns; c++) {
        schema->row_size[c] = row_size[c];
    }
}

/* Fills an empty chunk: a part and a bad record for every ten rows, and one more. Needs a sum a source. */
static inline void fill_chunk(dh_chunk *chunk, uint32_t rows)
{
    const dh_schema *schema = chunk->schema;
    chunk->rows = rows;
    for (uint32_t c = 0; c < schema->column_count; c++) {
        for (size_t i = 0; i < rows * schema->row_size[c]; i++) {
            ((uint8_t *)chunk->column[c])[i] = (uint8_t)support_random();
        }
    }
    for (uint32_t i = 0; i < rows; i++) {
        assert_ok(dh_buffer_printf(&chunk->ids, "%x", (unsigned)support_random_below(1 << 20)));
    }
    for (uint64_t i = 0; i < 1 + rows / 10; i++) {
        dh_source_part *part = NULL;
        uint64_t *sums = NULL;
        assert_ok(dh_chunk_part(chunk, i, &part, &sums));
        part->bytes = support_random();
        part->lines = support_random_below(1000);
        sums[0] = support_random();
        const dh_bad_record bad = {.record = support_random(), .source = (uint32_t)i};
        assert_ok(dh_buffer_append(&chunk->bad, &bad, sizeof bad));
        chunk->bad_count++;
    }
    for (uint32_t i = 0; i < rows; i++) {
        assert_ok(dh_buffer_printf(&chunk->values, "%x", (unsigned)support_random_below(1 << 12)));
        assert_ok(dh_buffer_printf(&chunk->terms, "%x", (unsigned)support_random_below(1 << 8)));
        chunk->value_count++;
    }
}

static inline dh_chunk *random_chunk(const dh_schema *schema, uint32_t rows)
{
    dh_chunk *chunk = NULL;
    assert_ok(dh_chunk_create(schema, &chunk));
    fill_chunk(chunk, rows);
    return chunk;
}

#endif
