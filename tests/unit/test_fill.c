/* X may have more values than 32 bits can count: ranks that fill a dataset in files with holes, from far
 * behind its beginning, and the numbers of values in the table of chunks. */
#include "support.h"

#include "base/file.h"
#include "kernels/sha256.h"
#include "output/fill.h"
#include "run/rows.h"

#include <fcntl.h>
#include <unistd.h>

enum { OFFSET = 4096 + 24, RANKS = 5 };

static uint32_t element_of(uint64_t number)
{
    return (uint32_t)(number * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

static void append_elements(dh_fill *fill, uint64_t first, uint64_t count, uint64_t piece)
{
    uint32_t data[5000];
    for (uint64_t done = 0; done < count;) {
        const uint64_t now = count - done < piece ? count - done : piece;
        for (uint64_t i = 0; i < now; i++) {
            data[i] = element_of(first + done + i);
        }
        assert_ok(dh_fill_append(fill, data, now));
        done += now;
    }
    assert_ok(dh_fill_append(fill, data, 0));
}

/* Digest of the block that begins with element `first`, of a dataset of so many. */
static void digest_of(uint64_t first, uint64_t elements, uint8_t digest[DH_SHA256_SIZE])
{
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    for (uint64_t i = first; i < first + DH_BLOCK_ROWS && i < elements; i++) {
        const uint32_t element = element_of(i);
        dh_sha256_update(&sha, &element, sizeof element);
    }
    dh_sha256_end(&sha, digest);
}

/* Ranks with these first elements (and the end behind them) fill a dataset. All blocks that begin in their
 * part must be digested, once and in order. */
static void fill_and_check(const uint64_t first[RANKS + 1])
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s", support_path("filled"));
    int file = -1;
    assert_ok(dh_file_open(path, O_RDWR | O_CREAT | O_TRUNC, &file));
    const dh_fill_place place = {
        .file = file, .path = path, .offset = OFFSET, .element_size = 4, .elements = first[RANKS]};
    dh_fill rank[RANKS];
    for (int r = RANKS; r-- > 0;) { /* in any order */
        assert_ok(dh_fill_open(&place, first[r], &rank[r]));
        append_elements(&rank[r], first[r], first[r + 1] - first[r], 1 + support_random_below(5000));
    }
    uint64_t block = (first[0] + DH_BLOCK_ROWS - 1) / DH_BLOCK_ROWS * DH_BLOCK_ROWS;
    for (int r = 0; r < RANKS; r++) {
        assert_ok(dh_fill_end(&rank[r]));
        for (size_t at = 0; at < rank[r].digests.size; at += DH_SHA256_SIZE) {
            uint8_t expected[DH_SHA256_SIZE];
            assert_true(block >= first[r] && block < first[r + 1]);
            digest_of(block, first[RANKS], expected);
            assert_memory_equal(rank[r].digests.data + at, expected, sizeof expected);
            block += DH_BLOCK_ROWS;
        }
        dh_fill_close(&rank[r]);
    }
    assert_true(block >= first[RANKS]);
    for (uint64_t i = first[0]; i < first[RANKS]; i += 997) {
        uint32_t element = 0;
        assert_ok(dh_file_read_at(file, path, &element, sizeof element, OFFSET + i * sizeof element));
        assert_int_equal(element, element_of(i));
    }
    assert_ok(dh_file_close(file, path));
    assert_int_equal(unlink(path), 0);
}

static void test_ranks_meet_anywhere_in_blocks(void **state)
{
    (void)state;
    static const uint64_t plain[][RANKS + 1] = {{0, 0, 0, 0, 0, 0},
                                                {0, 1, 2, 3, 4, 5},
                                                {0, 4096, 8192, 12288, 16384, 20480},
                                                {0, 4095, 4096, 4097, 4097, 9000},
                                                {0, 10000, 10001, 10002, 12287, 12289},
                                                {0, 0, 5000, 5000, 5000, 5000}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        fill_and_check(plain[i]);
    }
    for (int turn = 0; turn < 20; turn++) {
        uint64_t first[RANKS + 1] = {0};
        for (int r = 0; r < RANKS; r++) {
            first[r + 1] = first[r] + support_random_below(turn % 2 == 0 ? 20000 : 3000);
        }
        fill_and_check(first);
    }
}

static void test_more_values_than_31_and_32_bits_count(void **state)
{
    (void)state;
    static const uint64_t around[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(5) << 32};
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        const uint64_t middle = around[i];
        const uint64_t first[RANKS + 1] = {middle - 8192, middle - 4000, middle - 1,
                                           middle + 1,    middle + 9000, middle + 9001};
        fill_and_check(first);
    }
}

static void test_values_of_chunks_add_up_in_64_bits(void **state)
{
    (void)state;
    enum { CHUNKS = 5 };
    static const uint64_t values[CHUNKS] = {UINT64_C(3) << 30, 0, UINT64_C(0xFFFFFFFF), 7, UINT64_C(1) << 40};
    dh_chunk_entry entry[CHUNKS];
    for (uint32_t c = 0; c < CHUNKS; c++) { /* backwards: they are sorted first */
        entry[CHUNKS - 1 - c] = (dh_chunk_entry){
            .first_source = c, .rows = (uint16_t)(c + 1), .value_count = values[c], .lines = 1};
    }
    dh_chunk_table_order(entry, CHUNKS);
    uint64_t sum = 0;
    for (uint32_t c = 0; c < CHUNKS; c++) {
        assert_int_equal(entry[c].first_source, c);
        assert_int_equal(entry[c].first_value, sum);
        sum += values[c];
    }
    const dh_chunk_table table = dh_chunk_table_view(entry, sizeof entry);
    assert_int_equal(table.values, sum);
    assert_int_equal(table.rows, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_meet_anywhere_in_blocks),
        cmocka_unit_test(test_more_values_than_31_and_32_bits_count),
        cmocka_unit_test(test_values_of_chunks_add_up_in_64_bits),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
