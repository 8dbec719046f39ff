/* Tests of run/chunk.h: parts, layout, writing and reading back. */
#include "support.h"

#include "base/file.h"
#include "run/chunk.h"

static void make_schema(dh_schema *schema, const size_t *row_size, uint32_t columns, uint32_t sums)
{
    *schema = (dh_schema){.column_count = columns, .source_sum_count = sums};
    for (uint32_t c = 0; c < columns; c++) {
        schema->row_size[c] = row_size[c];
    }
}

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
            dh_chunk_lay_out(&schema, rows[r], id_bytes, 3, 5, &layout);
            uint64_t place = 0;
            for (uint32_t c = 0; c < schema.column_count; c++) {
                expect_section(&place, layout.column[c], rows[r] * row_sizes[c]);
            }
            expect_section(&place, layout.ids, id_bytes);
            expect_section(&place, layout.parts, 3 * dh_part_size(&schema));
            expect_section(&place, layout.bad, 5 * sizeof(dh_bad_record));
            assert_int_equal(layout.size, place);
        }
    }
}

static dh_chunk *random_chunk(const dh_schema *schema, uint32_t rows)
{
    dh_chunk *chunk = NULL;
    assert_ok(dh_chunk_create(schema, &chunk));
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
        sums[0] = support_random();
        const dh_bad_record bad = {.record = support_random(), .source = (uint32_t)i};
        assert_ok(dh_buffer_append(&chunk->bad, &bad, sizeof bad));
        chunk->bad_count++;
    }
    return chunk;
}

static void expect_at(int file, const char *path, uint64_t offset, const void *bytes, size_t size)
{
    uint8_t *got = malloc(size + 1);
    assert_non_null(got);
    assert_ok(dh_file_read_at(file, path, got, size, offset));
    if (size > 0) {
        assert_memory_equal(got, bytes, size);
    }
    free(got);
}

/* Several chunks one after the other, as a rank spills them. */
static void test_chunks_are_written_and_read_back(void **state)
{
    (void)state;
    enum { CHUNKS = 5 };
    static const uint32_t rows[CHUNKS] = {1, 0, 1000, 13, DH_CHUNK_ROWS};
    dh_schema schema;
    make_schema(&schema, row_sizes, COUNT(row_sizes), 1);
    const char *path = support_path("spill");
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_true(file >= 0);
    dh_chunk *chunk[CHUNKS];
    uint64_t offset[CHUNKS + 1] = {0};
    for (int i = 0; i < CHUNKS; i++) {
        uint64_t size = 0;
        chunk[i] = random_chunk(&schema, rows[i]);
        assert_ok(dh_chunk_write(chunk[i], file, path, offset[i], &size));
        assert_int_equal(size % 8, 0);
        offset[i + 1] = offset[i] + size;
    }
    for (int i = 0; i < CHUNKS; i++) {
        dh_chunk_layout layout;
        dh_chunk_lay_out(&schema, chunk[i]->rows, chunk[i]->ids.size, chunk[i]->part_count,
                         chunk[i]->bad_count, &layout);
        assert_int_equal(layout.size, offset[i + 1] - offset[i]);
        for (uint32_t c = 0; c < schema.column_count; c++) {
            expect_at(file, path, offset[i] + layout.column[c], chunk[i]->column[c], rows[i] * row_sizes[c]);
        }
        expect_at(file, path, offset[i] + layout.ids, chunk[i]->ids.data, chunk[i]->ids.size);
        expect_at(file, path, offset[i] + layout.parts, chunk[i]->parts.data, chunk[i]->parts.size);
        expect_at(file, path, offset[i] + layout.bad, chunk[i]->bad.data, chunk[i]->bad.size);
        dh_chunk_free(chunk[i]);
    }
    assert_int_equal(close(file), 0);
}

static void test_a_failed_write_is_told(void **state)
{
    (void)state;
    dh_schema schema;
    make_schema(&schema, row_sizes, COUNT(row_sizes), 1);
    dh_chunk *chunk = random_chunk(&schema, 10);
    const int file = open(support_write_text("read-only", ""), O_RDONLY | O_CLOEXEC);
    uint64_t size = 77;
    support_capture_begin();
    const dh_status status = dh_chunk_write(chunk, file, "the spill", 0, &size);
    assert_says(support_capture_end(), "the spill: writing");
    assert_int_equal(status, DH_IO);
    assert_int_equal(size, 77);
    assert_int_equal(close(file), 0);
    dh_chunk_free(chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_made_as_the_source_changes),
        cmocka_unit_test(test_sections_are_aligned_and_do_not_overlap),
        cmocka_unit_test(test_chunks_are_written_and_read_back),
        cmocka_unit_test(test_a_failed_write_is_told),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
