/* The files of an export: what is written comes back, and a file that has its name is whole. */
#include "support.h"

#include "base/file.h"
#include "export/csv.h"
#include "export/lock.h"
#include "export/shard.h"

#include <zlib.h>
#include <zstd.h>

/* ---- CSV ---------------------------------------------------------------------------------------------- */

static void assert_field(const char *text, size_t size, const char *wanted)
{
    dh_buffer out = {0};
    assert_ok(dh_csv_append_field(&out, text, size));
    assert_int_equal(out.size, strlen(wanted));
    assert_memory_equal(out.size > 0 ? (const void *)out.data : "", wanted, out.size);
    dh_buffer_free(&out);
}

static void test_fields_are_quoted_where_they_need_it(void **state)
{
    (void)state;
    static const char *const pair[][2] = {
        {"", ""},
        {"plain words; 1.5", "plain words; 1.5"},
        {"a,b", "\"a,b\""},
        {"say \"it\"", "\"say \"\"it\"\"\""},
        {"\"", "\"\"\"\""},
        {"two\nlines", "\"two\nlines\""},
        {"cr\r", "\"cr\r\""},
        {"caf\xC3\xA9", "caf\xC3\xA9"},
    };
    for (size_t i = 0; i < COUNT(pair); i++) {
        assert_field(pair[i][0], strlen(pair[i][0]), pair[i][1]);
    }
    assert_field("ab,c", 2, "ab");
}

/* ---- shards ------------------------------------------------------------------------------------------- */

enum { TEXT_SIZE = 3 << 20 }; /* several times the writer's memory */

/* Bytes that compress a little. */
static uint8_t *make_text(void)
{
    uint8_t *text = malloc(TEXT_SIZE);
    assert_non_null(text);
    uint32_t seed = 1;
    for (size_t i = 0; i < TEXT_SIZE; i++) {
        seed = seed * 1664525U + 1013904223U;
        text[i] = (uint8_t)("etaoin shrdlu\n\x80\xFF"[seed >> 28]);
    }
    return text;
}

static size_t decode(dh_shard_compression compression, const dh_buffer *file, uint8_t *out, size_t room)
{
    if (compression == DH_SHARD_GZIP) {
        z_stream stream = {
            .next_in = file->data, .avail_in = (uInt)file->size, .next_out = out, .avail_out = (uInt)room};
        assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.avail_in, 0);
        assert_int_equal(inflateEnd(&stream), Z_OK);
        return stream.total_out;
    }
    if (compression == DH_SHARD_ZSTD) {
        const size_t size = ZSTD_decompress(out, room, file->data, file->size);
        assert_false(ZSTD_isError(size));
        return size;
    }
    assert_true(file->size <= room);
    if (file->size > 0) {
        memcpy(out, file->data, file->size);
    }
    return file->size;
}

/* Appends pieces of all sizes, also empty ones. */
static void append_pieces(dh_shard_writer *writer, const uint8_t *text, size_t size)
{
    size_t piece = 0;
    for (size_t done = 0; done < size; piece = piece * 3 % 700001 + 1) {
        const size_t take = piece < size - done ? piece : size - done;
        assert_ok(dh_shard_append(writer, text + done, take));
        done += take;
    }
}

static void check_shard(dh_shard_compression compression, const uint8_t *text, size_t size,
                        const dh_shard_facts *told)
{
    const char *path = support_path("shard");
    dh_buffer file = {0};
    dh_shard_facts facts;
    uint8_t *back = malloc(TEXT_SIZE + 1);
    assert_non_null(back);
    assert_ok(dh_file_read_all(path, 2 * TEXT_SIZE, &file));
    assert_int_equal(decode(compression, &file, back, TEXT_SIZE + 1), size);
    assert_memory_equal(back, text, size);
    assert_ok(dh_shard_read_facts(path, &facts));
    assert_int_equal(told->bytes, file.size);
    assert_int_equal(facts.bytes, file.size);
    assert_memory_equal(facts.sha256, told->sha256, sizeof facts.sha256);
    free(back);
    dh_buffer_free(&file);
}

static void test_shards_come_back(void **state)
{
    (void)state;
    uint8_t *text = make_text();
    const size_t sizes[] = {0, 1, 1 << 20, TEXT_SIZE, 77};
    for (int c = 0; c < DH_SHARD_COMPRESSION_COUNT; c++) {
        dh_shard_writer *writer = NULL;
        assert_ok(dh_shard_writer_create((dh_shard_compression)c, &writer));
        for (size_t i = 0; i < COUNT(sizes); i++) {
            dh_shard_facts first;
            dh_shard_facts again;
            for (int turn = 0; turn < 2; turn++) {
                assert_ok(dh_shard_begin(writer, support_path("shard")));
                append_pieces(writer, text, sizes[i]);
                assert_ok(dh_shard_finish(writer, turn == 0 ? &first : &again));
            }
            check_shard((dh_shard_compression)c, text, sizes[i], &first);
            assert_memory_equal(first.sha256, again.sha256, sizeof first.sha256);
        }
        dh_shard_writer_free(writer);
    }
    free(text);
}

static dh_status count_name(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return DH_OK;
}

static void test_an_unfinished_shard_has_no_name(void **state)
{
    (void)state;
    const char *folder = support_make_folder("unfinished");
    bool exists = true;
    int names = 0;
    dh_shard_writer *writer = NULL;
    assert_ok(dh_shard_writer_create(DH_SHARD_ZSTD, &writer));
    assert_ok(dh_shard_begin(writer, support_path("unfinished/shard")));
    assert_ok(dh_shard_append(writer, "text", 4));
    assert_ok(dh_file_exists(support_path("unfinished/shard"), &exists));
    assert_false(exists);
    dh_shard_writer_free(writer);
    assert_ok(dh_folder_list(folder, count_name, &names));
    assert_int_equal(names, 0);
}

static void test_compressions_have_names(void **state)
{
    (void)state;
    assert_int_equal(dh_shard_compression_find("none"), DH_SHARD_PLAIN);
    assert_int_equal(dh_shard_compression_find("gz"), DH_SHARD_GZIP);
    assert_int_equal(dh_shard_compression_find("zst"), DH_SHARD_ZSTD);
    assert_int_equal(dh_shard_compression_find("xz"), DH_SHARD_COMPRESSION_COUNT);
    assert_string_equal(dh_shard_suffix(DH_SHARD_PLAIN), "");
    assert_non_null(strstr(dh_shard_encoder(DH_SHARD_GZIP), zlibVersion()));
    assert_non_null(strstr(dh_shard_encoder(DH_SHARD_ZSTD), ZSTD_versionString()));
}

/* ---- the lock of a folder ----------------------------------------------------------------------------- */

static bool is_there(const char *folder)
{
    char path[4200];
    bool exists = false;
    (void)snprintf(path, sizeof path, "%s/" DH_EXPORT_LOCK_NAME, folder);
    assert_ok(dh_file_exists(path, &exists));
    return exists;
}

static void test_one_export_at_a_time_has_the_folder(void **state)
{
    (void)state;
    const char *folder = support_make_folder("locked");
    dh_export_lock *lock = NULL;
    dh_export_lock *other = NULL;
    assert_ok(dh_export_lock_take(folder, &lock));
    assert_int_equal(dh_export_lock_take(folder, &other), DH_LOCKED);
    assert_null(other);
    assert_true(is_there(folder));
    assert_ok(dh_export_lock_release(lock));
    assert_false(is_there(folder));
    assert_ok(dh_export_lock_take(folder, &lock));
    assert_ok(dh_export_lock_release(lock));
    assert_ok(dh_export_lock_release(NULL));
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(dh_export_lock_take(folder, &lock), DH_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_quoted_where_they_need_it),
        cmocka_unit_test(test_shards_come_back),
        cmocka_unit_test(test_an_unfinished_shard_has_no_name),
        cmocka_unit_test(test_compressions_have_names),
        cmocka_unit_test(test_one_export_at_a_time_has_the_folder),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
