/* Tests of run/chunk.h: parts, layout, what is spilled. */
#include "random_chunk.h"

static const size_t row_sizes[] = {1, 2, 4, 8, 3, 64, 18};

static void test_parts_are_made_as_the_source_changes(void **state)
{
    (void)state;
    dh_schema schema;
    make_schema(&schema, row_sizes, COUNT(row_sizes), 3);
    assert_int_equal(dh_part_size(&schema), sizeof(dh_source_part) + 24);
    dh_chunk *chunk = NULL;
    assert_ok(dh_chunk_create(&schema, &chunk));
    for (uint64_t source = 10; source < 500; source++) {
        for (uint64_t turn = 1; turn <= 3; turn++) {
            dh_source_part *part = NULL;
            uint64_t *sums = NULL;
            assert_ok(dh_chunk_part(chunk, source, &part, &sums));
            assert_int_equal(part->source, source);
            assert_int_equal(part->documents, turn - 1);
            assert_int_equal(sums[2], (turn - 1) * source);
            part->documents++;
            sums[2] += source;
        }
        assert_int_equal(chunk->part_count, source - 9);
    }
    for (uint64_t i = 0; i < 490; i++) {
        const dh_source_part *part = (const void *)(chunk->parts.data + i * dh_part_size(&schema));
        assert_int_equal(part->source, 10 + i);
        assert_int_equal(part->documents, 3);
        assert_int_equal(((const uint64_t *)(part + 1))[0], 0);
        assert_int_equal(((const uint64_t *)(part + 1))[2], 3 * (10 + i));
    }
    dh_chunk_reset(chunk);
    assert_int_equal(chunk->part_count, 0);
    assert_int_equal(chunk->parts.size, 0);
    dh_source_part *part = NULL;
    uint64_t *sums = NULL;
    assert_ok(dh_chunk_part(chunk, 499, &part, &sums));
    assert_int_equal(part->documents, 0);
    assert_int_equal(sums[2], 0);
    dh_chunk_free(chunk);
    dh_chunk_free(NULL);
}

static void expect_section(uint64_t *place, uint64_t at, uint64_t size)
{
    assert_int_equal(at % 8, 0);
    assert_true(at >= *place && at < *place + 8); /* behind the one before, with no more than padding */
    *place = at + size;
}

static void test_sections_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    dh_schema schema;
    make_schema(&schema, row_sizes, COUNT(row_sizes), 2);
    static const uint32_t rows[] = {0, 1, 7, 8, 9, DH_CHUNK_ROWS};
    for (size_t r = 0; r < COUNT(rows); r++) {
        for (uint64_t id_bytes = 0; id_bytes < 10; id_bytes++) {
            dh_chunk_layout layout;
            const dh_chunk_sizes sizes = {.rows = rows[r],
                                          .part_count = 3,
                                          .bad_count = 5,
                                          .id_bytes = id_bytes,
                                          .value_bytes = 3 * id_bytes,
                                          .term_bytes = 7 * id_bytes};
            dh_chunk_lay_out(&schema, &sizes, &layout);
            uint64_t place = sizeof(dh_chunk_header);
            for (uint32_t c = 0; c < schema.column_count; c++) {
                expect_section(&place, layout.column[c], rows[r] * row_sizes[c]);
            }
            expect_section(&place, layout.ids, id_bytes);
            expect_section(&place, layout.parts, 3 * dh_part_size(&schema));
            expect_section(&place, layout.bad, 5 * sizeof(dh_bad_record));
            expect_section(&place, layout.values, 3 * id_bytes);
            expect_section(&place, layout.terms, 7 * id_bytes);
            assert_in_range(layout.size, place, place + 7);
            assert_int_equal(layout.size % 8, 0);
        }
    }
}

/* The parts of a chunk one after the other, as a file gets them. */
static void join_parts(const dh_chunk *chunk, const dh_chunk_header *header, dh_buffer *out)
{
    dh_file_part part[DH_CHUNK_PARTS_MAX];
    const size_t count = dh_chunk_parts(chunk, header, part);
    assert_in_range(count, 1, DH_CHUNK_PARTS_MAX);
    out->size = 0;
    for (size_t p = 0; p < count; p++) {
        assert_true(part[p].size > 0);
        assert_ok(dh_buffer_append(out, part[p].data, part[p].size));
    }
}

/* A section, and zeros from its end to `next`. */
static void expect_bytes(const dh_buffer *joined, uint64_t at, const void *bytes, uint64_t size,
                         uint64_t next)
{
    assert_true(at + size <= next && next <= joined->size);
    if (size > 0) {
        assert_memory_equal(joined->data + at, bytes, size);
    }
    static const uint8_t zeros[8];
    const uint64_t padding = next - (at + size);
    assert_true(padding < sizeof zeros);
    if (padding > 0) {
        assert_memory_equal(joined->data + at + size, zeros, padding);
    }
}

static void test_parts_fill_the_layout(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 0, 1000, 13, DH_CHUNK_ROWS};
    dh_schema schema;
    make_schema(&schema, row_sizes, COUNT(row_sizes), 1);
    dh_buffer joined = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        dh_chunk *chunk = random_chunk(&schema, rows[i]);
        dh_chunk_header header;
        dh_chunk_describe(chunk, 3, 1000, 7, &header);
        join_parts(chunk, &header, &joined);
        dh_chunk_layout layout;
        const dh_chunk_sizes sizes = dh_chunk_header_sizes(&header);
        dh_chunk_lay_out(&schema, &sizes, &layout);
        assert_int_equal(layout.size % 8, 0);
        assert_int_equal(joined.size, layout.size);
        expect_bytes(&joined, 0, &header, sizeof header, layout.column[0]);
        for (uint32_t c = 0; c < schema.column_count; c++) {
            const bool last = c + 1 == schema.column_count;
            expect_bytes(&joined, layout.column[c], chunk->column[c], rows[i] * row_sizes[c],
                         last ? layout.ids : layout.column[c + 1]);
        }
        expect_bytes(&joined, layout.ids, chunk->ids.data, chunk->ids.size, layout.parts);
        expect_bytes(&joined, layout.parts, chunk->parts.data, chunk->parts.size, layout.bad);
        expect_bytes(&joined, layout.bad, chunk->bad.data, chunk->bad.size, layout.values);
        expect_bytes(&joined, layout.values, chunk->values.data, chunk->values.size, layout.terms);
        expect_bytes(&joined, layout.terms, chunk->terms.data, chunk->terms.size, layout.size);
        dh_chunk_free(chunk);
    }
    dh_buffer_free(&joined);
}

/* Every column ends with padding, the most parts that there can be. */
static void test_the_widest_schema_fits(void **state)
{
    (void)state;
    size_t row_size[DH_SCHEMA_COLUMNS_MAX];
    for (size_t c = 0; c < DH_SCHEMA_COLUMNS_MAX; c++) {
        row_size[c] = 1 + c % 7;
    }
    dh_schema schema;
    make_schema(&schema, row_size, DH_SCHEMA_COLUMNS_MAX, 1);
    dh_chunk *chunk = random_chunk(&schema, 1);
    dh_chunk_header header;
    dh_chunk_describe(chunk, 0, 0, 0, &header);
    dh_buffer joined = {0};
    join_parts(chunk, &header, &joined);
    assert_int_equal(joined.size, header.size);
    dh_buffer_free(&joined);
    dh_chunk_free(chunk);
}

static void test_headers_describe_their_chunks(void **state)
{
    (void)state;
    dh_schema schema;
    make_schema(&schema, row_sizes, COUNT(row_sizes), 2);
    dh_chunk *chunk = random_chunk(&schema, 55);
    dh_source_part *part = NULL;
    uint64_t *sums = NULL;
    assert_ok(dh_chunk_part(chunk, 5, &part, &sums)); /* the last one of random_chunk */
    part->lines = 77;
    dh_chunk_header header;
    memset(&header, 0xAA, sizeof header);
    dh_chunk_describe(chunk, 0xFFFFFFFF, UINT64_MAX, 12, &header);
    assert_memory_equal(header.magic, DH_CHUNK_MAGIC, 4);
    assert_int_equal(header.number, 12);
    assert_int_equal(header.begin, UINT64_MAX);
    assert_int_equal(header.first_source, 0xFFFFFFFF);
    assert_int_equal(header.rows, 55);
    assert_int_equal(header.id_bytes, chunk->ids.size);
    assert_int_equal(header.part_count, 6);
    assert_int_equal(header.bad_count, 6);
    assert_int_equal(header.lines, 77);
    assert_ok(dh_chunk_part(chunk, 6, &part, &sums));
    dh_chunk_describe(chunk, 0, 0, 0, &header);
    assert_int_equal(header.lines, 0);
    dh_chunk_reset(chunk);
    dh_chunk_describe(chunk, 1, 2, 3, &header);
    assert_int_equal(header.size, sizeof header);
    assert_int_equal(header.rows + header.id_bytes + header.part_count + header.bad_count + header.lines, 0);
    dh_chunk_free(chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_made_as_the_source_changes),
        cmocka_unit_test(test_sections_are_aligned_and_do_not_overlap),
        cmocka_unit_test(test_parts_fill_the_layout),
        cmocka_unit_test(test_the_widest_schema_fits),
        cmocka_unit_test(test_headers_describe_their_chunks),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
