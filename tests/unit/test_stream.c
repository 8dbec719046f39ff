/* Tests of read/stream.h: what a file is, and every compression. test_stream_damage.c has the rest. */
#include "stream_files.h"

/* ---- what a file is --------------------------------------------------------------------------------- */

static void test_detect(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        size_t size;
        dh_compression expected;
    } file[] = {
        {"", 0, DH_COMPRESSION_NONE},
        {"\x1F\x8B", 2, DH_COMPRESSION_NONE},
        {"\x1F\x8B\x08", 3, DH_COMPRESSION_GZIP},
        {"\x1F\x8B\x09", 3, DH_COMPRESSION_NONE},
        {"\x1F\x8C\x08", 3, DH_COMPRESSION_NONE},
        {"\x28\xB5\x2F\xFD", 4, DH_COMPRESSION_ZSTD},
        {"\x28\xB5\x2F\xFC", 4, DH_COMPRESSION_NONE},
        {"\x28\xB5\x2F", 3, DH_COMPRESSION_NONE},
        {"\x50\x2A\x4D\x18", 4, DH_COMPRESSION_ZSTD},
        {"\x5F\x2A\x4D\x18", 4, DH_COMPRESSION_ZSTD},
        {"\x60\x2A\x4D\x18", 4, DH_COMPRESSION_NONE},
        {"BZh91AY&SY", 10, DH_COMPRESSION_BZIP2},
        {"BZh11AY&SY", 10, DH_COMPRESSION_BZIP2},
        {"BZh01AY&SY", 10, DH_COMPRESSION_NONE},
        {"BZh9\x17rE8P\x90", 10, DH_COMPRESSION_BZIP2},
        {"BZh91A", 6, DH_COMPRESSION_BZIP2},
        {"BZh91", 5, DH_COMPRESSION_NONE},
        {"BZh91AY&SX", 10, DH_COMPRESSION_NONE},
        {"BZh9 is text", 12, DH_COMPRESSION_NONE},
        {"\xFD"
         "7zXZ\0",
         6, DH_COMPRESSION_XZ},
        {"\xFD"
         "7zXZ",
         5, DH_COMPRESSION_NONE},
        {"\x78\x9C\x01\x00", 4, DH_COMPRESSION_NONE},
        {"{\"text\":", 8, DH_COMPRESSION_NONE},
    };
    for (size_t i = 0; i < COUNT(file); i++) {
        assert_int_equal(dh_compression_detect((const uint8_t *)file[i].head, file[i].size),
                         file[i].expected);
    }
    assert_string_equal(dh_compression_name(DH_COMPRESSION_NONE), "plain");
    assert_string_equal(dh_compression_name(DH_COMPRESSION_XZ), "xz");
    assert_true(dh_compression_is_supported(DH_COMPRESSION_GZIP));
    assert_true(dh_compression_is_supported(DH_COMPRESSION_NONE));
    assert_false(dh_compression_is_supported(DH_COMPRESSION_XZ));
    assert_int_equal(dh_compression_is_supported(DH_COMPRESSION_BZIP2), DHATU_HAVE_BZIP2);
    for (int i = 0; i < DH_STREAM_DAMAGE_COUNT; i++) {
        assert_string_not_equal(dh_stream_damage_name((dh_stream_damage)i), "unknown");
    }
}

static void test_plain(void **state)
{
    (void)state;
    dh_buffer text = text_make(200000, 30000);
    expect_bytes(&text, DH_STREAM_INTACT, &text);
    dh_buffer empty = {0};
    expect_bytes(&empty, DH_STREAM_INTACT, &empty);
    static const char *const like[] = {"\x1F",         "\x1F\x8B", "\x1F\x8B\x09 no method",
                                       "\x78\x9Czlib", "BZh9 ",    "x"};
    for (size_t i = 0; i < COUNT(like); i++) {
        dh_buffer bytes = {0};
        put(&bytes, like[i], strlen(like[i]));
        expect_bytes(&bytes, DH_STREAM_INTACT, &bytes);
        dh_buffer_free(&bytes);
    }
    file_write(text.data, text.size);
    static const uint64_t offset[] = {1, 65536, 199999, 200000, 300000};
    for (size_t i = 0; i < COUNT(offset); i++) {
        dh_stream *stream;
        assert_int_equal(dh_stream_open(file_path, offset[i], NULL, &stream), DH_OK);
        uint8_t *out = malloc(text.size);
        assert_non_null(out);
        size_t got = 0;
        const size_t expected = offset[i] < text.size ? text.size - (size_t)offset[i] : 0;
        assert_int_equal(dh_stream_read(stream, out, text.size, &got), expected > 0 ? DH_OK : DH_END);
        assert_int_equal(got, expected);
        assert_memory_equal(out, text.data + (expected > 0 ? offset[i] : 0), expected);
        assert_int_equal(dh_stream_bytes_in(stream), expected);
        assert_int_equal(dh_stream_bytes_out(stream), expected);
        assert_int_equal(dh_stream_compression(stream), DH_COMPRESSION_NONE);
        dh_stream_close(stream);
        free(out);
    }
    dh_buffer_free(&text);
}

static void test_open_errors(void **state)
{
    (void)state;
    dh_stream *stream;
    assert_int_equal(dh_stream_open("/nonexistent/file", 0, NULL, &stream), DH_IO);
    assert_int_equal(dh_stream_open(folder, 0, NULL, &stream), DH_IO);
    assert_int_equal(dh_stream_open("/dev/null", 0, NULL, &stream), DH_IO);
    char fifo[300];
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(dh_stream_open(fifo, 0, NULL, &stream), DH_IO);
    assert_int_equal(unlink(fifo), 0);
    dh_buffer file = {0};
    put_gzip(&file, "abc", 3);
    file_write(file.data, file.size);
    assert_int_equal(dh_stream_open(file_path, 1, NULL, &stream), DH_INTERNAL);
    dh_buffer_free(&file);
    dh_stream_close(NULL);
}

/* ---- gzip ------------------------------------------------------------------------------------------- */

static void test_gzip_headers(void **state)
{
    (void)state;
    dh_buffer text = text_make(3000, 1000);
    static const size_t extra[] = {0, 1, 65535};
    static const size_t name[] = {0, 5, 300000};
    for (uint8_t flags = 0; flags < 32; flags++) {
        for (size_t k = 0; k < 3; k++) {
            if (support_share() > 1 && k != (flags + flags / 4U) % 3) {
                continue;
            }
            dh_buffer file = {0};
            put_member(&file, text.data, text.size, 6, flags, extra[k], name[k]);
            expect_bytes(&file, DH_STREAM_INTACT, &text);
            if ((flags & 2) != 0) {
                file.data[4] ^= 1; /* the time: only the CRC of the header sees it */
                expect_bytes(&file, DH_STREAM_CHECKSUM, &text);
            }
            dh_buffer_free(&file);
        }
    }
    dh_buffer nothing = {0};
    for (int bit = 5; bit < 8; bit++) {
        dh_buffer file = {0};
        put_member(&file, text.data, text.size, 6, (uint8_t)(1 << bit), 0, 0);
        expect_bytes(&file, DH_STREAM_CORRUPT, &nothing);
        dh_buffer_free(&file);
    }
    dh_buffer_free(&text);
}

static void test_gzip_members(void **state)
{
    (void)state;
    dh_buffer text = text_make(20000, 5000);
    static const size_t split[] = {1, 3, 10, 100, 4096, 20000};
    for (size_t i = 0; i < COUNT(split); i++) {
        dh_buffer file = {0};
        for (size_t at = 0; at < text.size; at += split[i]) {
            const size_t left = text.size - at;
            put_member(&file, text.data + at, left < split[i] ? left : split[i], (int)(at % 10), 0, 0, 0);
            if (at % 7 == 0) {
                put_gzip(&file, "", 0);
            }
        }
        expect_bytes(&file, DH_STREAM_INTACT, &text);
        reading r = file_read(NULL, 65536);
        assert_int_equal(r.bytes_in, file.size);
        assert_int_equal(r.compression, DH_COMPRESSION_GZIP);
        dh_buffer_free(&r.bytes);
        dh_buffer_free(&file);
    }
    dh_buffer file = {0}, nothing = {0};
    put_gzip(&file, "", 0);
    expect_bytes(&file, DH_STREAM_INTACT, &nothing);
    put_gzip(&file, "", 0);
    expect_bytes(&file, DH_STREAM_INTACT, &nothing);
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

static void test_gzip_behind_the_last_member(void **state)
{
    (void)state;
    static const struct {
        const char *behind;
        size_t size;
        dh_stream_damage damage;
    } tail[] = {
        {"", 1, DH_STREAM_INTACT},
        {"\0\0\0\0\0\0\0\0\0\0\0\0", 12, DH_STREAM_INTACT},
        {"x", 1, DH_STREAM_TRAILING_GARBAGE},
        {"\n", 1, DH_STREAM_TRAILING_GARBAGE},
        {"\0\0x", 3, DH_STREAM_TRAILING_GARBAGE},
        {"\x1F\x8B\x07 is no gzip", 14, DH_STREAM_TRAILING_GARBAGE},
        {"\x1F\x8C\x08", 3, DH_STREAM_TRAILING_GARBAGE},
        {"\x28\xB5\x2F\xFD", 4, DH_STREAM_TRAILING_GARBAGE},
        {"\x1F", 1, DH_STREAM_TRUNCATED},
        {"\x1F\x8B", 2, DH_STREAM_TRUNCATED},
        {"\x1F\x8B\x08", 3, DH_STREAM_TRUNCATED},
        {"\x1F\x8B\x08\0\0\0\0\0\0\3", 10, DH_STREAM_TRUNCATED},
        {"\x1F\x8B\x08\x80\0\0\0\0\0\3", 10, DH_STREAM_CORRUPT},
        {"\x1F\x8B\x08\0\0\0\0\0\0\3\7", 11, DH_STREAM_CORRUPT},
    };
    dh_buffer text = text_make(500, 100);
    for (size_t i = 0; i < COUNT(tail); i++) {
        dh_buffer file = {0};
        put_gzip(&file, text.data, text.size);
        put(&file, tail[i].behind, tail[i].size);
        expect_bytes(&file, tail[i].damage, &text);
        dh_buffer_free(&file);
    }
    /* Padding of more than the input buffer; a member behind padding. */
    dh_buffer file = {0}, twice = {0};
    put_gzip(&file, text.data, text.size);
    for (int i = 0; i < 300000; i++) {
        put(&file, "", 1);
    }
    expect_bytes(&file, DH_STREAM_INTACT, &text);
    put_gzip(&file, text.data, text.size);
    put(&twice, text.data, text.size);
    put(&twice, text.data, text.size);
    expect_bytes(&file, DH_STREAM_INTACT, &twice);
    dh_buffer_free(&file);
    dh_buffer_free(&twice);
    dh_buffer_free(&text);
}

static void test_gzip_checksums(void **state)
{
    (void)state;
    dh_buffer text = text_make(3000, 1000), twice = {0};
    put(&twice, text.data, text.size);
    put(&twice, text.data, text.size);
    for (size_t from_end = 1; from_end <= 8; from_end++) {
        dh_buffer file = {0};
        put_gzip(&file, text.data, text.size);
        file.data[file.size - from_end] ^= 0x10;
        expect_bytes(&file, DH_STREAM_CHECKSUM, &text);
        put_gzip(&file, text.data, text.size);
        expect_bytes(&file, DH_STREAM_CHECKSUM, &twice);
        put(&file, "garbage", 7);
        expect_bytes(&file, DH_STREAM_CHECKSUM, &twice);
        dh_buffer_free(&file);
    }
    dh_buffer_free(&twice);
    dh_buffer_free(&text);
}

/* The end of the deflate data, and of the trailer, at every place around the end of the input buffer: what
 * an inflater took ahead must come back from the buffer before. */
static void test_gzip_buffer_ends(void **state)
{
    (void)state;
    dh_buffer text = text_make(300, 100), twice = {0};
    put(&twice, text.data, text.size);
    put(&twice, text.data, text.size);
    for (size_t shift = 0; shift < 60; shift++) {
        dh_buffer file = {0}, member = {0};
        put_gzip(&member, text.data, text.size);
        const size_t name = DH_INPUT_SIZE + 20 - shift - member.size;
        put_member(&file, text.data, text.size, 6, 8, 0, name);
        put_gzip(&file, text.data, text.size);
        expect_bytes(&file, DH_STREAM_INTACT, &twice);
        dh_buffer_free(&file);
        dh_buffer_free(&member);
    }
    dh_buffer_free(&twice);
    dh_buffer_free(&text);
}

/* The same where the output is more than ISA-L decodes ahead, so that it is full when the input ends. */
static void test_gzip_buffer_ends_in_small_reads(void **state)
{
    (void)state;
    dh_buffer text = {0}, member = {0};
    for (int i = 0; i < 150000; i++) {
        const uint8_t byte = (uint8_t)('a' + chance(8));
        put(&text, &byte, 1);
    }
    put_gzip(&member, text.data, text.size);
    for (size_t shift = 0; shift < 24; shift++) {
        dh_buffer file = {0};
        put_member(&file, text.data, text.size, 6, 8, 0, DH_INPUT_SIZE + 12 - shift - member.size);
        put_gzip(&file, "", 0);
        file_write(file.data, file.size);
#if DHATU_HAVE_ISAL
        reading r = file_read(&isal_alone, 2);
#else
        reading r = file_read(NULL, 2);
#endif
        assert_int_equal(r.damage, DH_STREAM_INTACT);
        assert_int_equal(r.bytes.size, text.size);
        assert_memory_equal(r.bytes.data, text.data, text.size);
        dh_buffer_free(&r.bytes);
        dh_buffer_free(&file);
    }
    dh_buffer_free(&member);
    dh_buffer_free(&text);
}

/* More than any window or buffer, of every kind of block and with matches as far as they can be. */
static void test_gzip_large(void **state)
{
    (void)state;
    static const uint32_t distance[] = {100, 32768, 40000};
    for (size_t d = 0; d < COUNT(distance); d++) {
        dh_buffer text = text_make(1500000, distance[d]);
        for (size_t i = 0; i < 200000; i++) {
            text.data[700000 + i] = (uint8_t)chance(256); /* will be stored */
        }
        for (int level = 0; level <= 9; level += 3) {
            for (int strategy = Z_DEFAULT_STRATEGY; strategy <= Z_FIXED; strategy++) {
                if (support_share() > 1 && ((size_t)(level / 3 + strategy) + d) % 5 != 0) {
                    continue;
                }
                dh_buffer file = {0};
                static const uint8_t head[10] = {0x1F, 0x8B, 8};
                put(&file, head, sizeof head);
                put_deflated(&file, text.data, text.size, level, strategy);
                put_32(&file, crc_of(text.data, text.size));
                put_32(&file, (uint32_t)text.size);
                expect_bytes(&file, DH_STREAM_INTACT, &text);
                dh_buffer_free(&file);
            }
        }
        dh_buffer file = {0};
        put_gzip(&file, text.data, text.size);
        file_write(file.data, file.size);
        for (size_t i = 0; i < COUNT(inflaters); i++) {
            for (size_t piece = 9973; piece < 2000000; piece *= 13) {
                reading r = file_read(inflaters[i], piece);
                assert_int_equal(r.damage, DH_STREAM_INTACT);
                assert_int_equal(r.bytes.size, text.size);
                assert_memory_equal(r.bytes.data, text.data, text.size);
                dh_buffer_free(&r.bytes);
            }
        }
        dh_buffer_free(&file);
        dh_buffer_free(&text);
    }
}

/* ---- zstd ------------------------------------------------------------------------------------------- */

static void test_zstd_frames(void **state)
{
    (void)state;
    dh_buffer text = text_make(600000, 200000), file = {0};
    put_skippable(&file, 0, 0);
    put_skippable(&file, 15, 300000);
    for (size_t at = 0; at < text.size; at += 100000) {
        put_zstd(&file, text.data + at, 100000, true, at % 200000 == 0 ? 17 : 0);
        put_skippable(&file, 3, 10);
        put_zstd(&file, "", 0, true, 0);
    }
    expect_bytes(&file, DH_STREAM_INTACT, &text);
    reading r = file_read(NULL, 999);
    assert_false(r.unchecked);
    assert_int_equal(r.bytes_in, file.size);
    assert_int_equal(r.compression, DH_COMPRESSION_ZSTD);
    dh_buffer_free(&r.bytes);
    put(&file, "\0\0\0", 3);
    expect_bytes(&file, DH_STREAM_INTACT, &text);
    put(&file, "\x28\xB5", 2);
    expect_bytes(&file, DH_STREAM_TRUNCATED, &text);
    put(&file, "x", 1);
    expect_bytes(&file, DH_STREAM_TRAILING_GARBAGE, &text);
    dh_buffer_free(&file);
    put_skippable(&file, 0, 5);
    dh_buffer nothing = {0};
    expect_bytes(&file, DH_STREAM_INTACT, &nothing);
    file.size--;
    expect_bytes(&file, DH_STREAM_TRUNCATED, &nothing);
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

static void test_zstd_checksum(void **state)
{
    (void)state;
    dh_buffer text = text_make(300000, 100000), file = {0}, twice = {0};
    put_zstd(&file, text.data, text.size, false, 0);
    file_write(file.data, file.size);
    reading r = file_read(NULL, 65536);
    assert_true(r.unchecked);
    assert_int_equal(r.damage, DH_STREAM_INTACT);
    assert_int_equal(r.bytes.size, text.size);
    dh_buffer_free(&r.bytes);
    dh_buffer_free(&file);
    /* The data of a frame with a wrong checksum is delivered, and so is the next frame. */
    put_zstd(&file, text.data, text.size, true, 0);
    file.data[file.size - 1] ^= 1;
    expect_bytes(&file, DH_STREAM_CHECKSUM, &text);
    put_zstd(&file, text.data, text.size, true, 0);
    put(&twice, text.data, text.size);
    put(&twice, text.data, text.size);
    expect_bytes(&file, DH_STREAM_CHECKSUM, &twice);
    dh_buffer_free(&file);
    /* A small frame is not decoded in one go. */
    dh_buffer small = {0};
    put(&small, text.data, 500);
    put_zstd(&file, small.data, small.size, true, 0);
    file.data[file.size - 1] ^= 1;
    expect_bytes(&file, DH_STREAM_CHECKSUM, &small);
    dh_buffer_free(&file);
    put_zstd(&file, small.data, 200, true, 0);
    put_zstd(&file, small.data + 200, 300, true, 0);
    file.data[file.size - 1] ^= 1;
    expect_bytes(&file, DH_STREAM_CHECKSUM, &small);
    dh_buffer_free(&small);
    dh_buffer_free(&file);
    dh_buffer_free(&twice);
    dh_buffer_free(&text);
}

static void test_zstd_window(void **state)
{
    (void)state;
    dh_buffer text = text_make(3000, 1000), file = {0};
    put_zstd(&file, text.data, text.size, true, 0);
    put_zstd(&file, text.data, text.size, true, 22);
    window_max = 1 << 22;
    dh_buffer twice = {0};
    put(&twice, text.data, text.size);
    put(&twice, text.data, text.size);
    expect_bytes(&file, DH_STREAM_INTACT, &twice);
    window_max = (1 << 22) - 1;
    expect_bytes(&file, DH_STREAM_WINDOW, &text);
    window_max = 0;
    expect_bytes(&file, DH_STREAM_INTACT, &twice);
    dh_buffer_free(&file);
    put_zstd(&file, text.data, text.size, true, 28); /* 256 MiB */
    dh_buffer nothing = {0};
    expect_bytes(&file, DH_STREAM_WINDOW, &nothing);
    dh_buffer_free(&file);
    dh_buffer_free(&twice);
    dh_buffer_free(&text);
}

static void test_zstd_dictionary(void **state)
{
    (void)state;
    /* A frame of one stored byte that asks for dictionary 7. */
    static const uint8_t frame[] = {0x28, 0xB5, 0x2F, 0xFD, 0x21, 7, 1, 0x09, 0, 0, 'x'};
    dh_buffer file = {0}, nothing = {0};
    put(&file, frame, sizeof frame);
    expect_bytes(&file, DH_STREAM_UNSUPPORTED, &nothing);
    dh_buffer_free(&file);
}

/* All blocks before an invalid one are delivered, whatever the sizes of the reads. */
static void test_zstd_corrupt_block(void **state)
{
    (void)state;
    /* By hand, so that the blocks are known: ten of 1000 stored bytes, then one of the reserved kind. */
    static const uint8_t head[] = {0x28, 0xB5, 0x2F, 0xFD, 0, 0x38};
    dh_buffer text = text_make(10000, 1000), file = {0};
    put(&file, head, sizeof head);
    for (size_t at = 0; at < text.size; at += 1000) {
        const uint8_t block[3] = {(1000 << 3) & 0xFF, 1000 >> 5, 0};
        put(&file, block, 3);
        put(&file, text.data + at, 1000);
    }
    put(&file, "\x0E\0\0x", 4);
    expect_bytes(&file, DH_STREAM_CORRUPT, &text);
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

/* ---- bzip2, xz, nested ------------------------------------------------------------------------------ */

static void test_bzip2(void **state)
{
    (void)state;
    if (!DHATU_HAVE_BZIP2) {
        skip();
    }
    dh_buffer text = text_make(700000, 30000), file = {0};
    for (size_t at = 0; at < text.size; at += 100000) {
        put_bzip2(&file, text.data + at, 100000, 1 + (int)(at / 100000));
    }
    expect_bytes(&file, DH_STREAM_INTACT, &text);
    put_bzip2(&file, "", 0, 9);
    expect_bytes(&file, DH_STREAM_INTACT, &text);
    put(&file, "\0\0", 2);
    expect_bytes(&file, DH_STREAM_INTACT, &text);
    put(&file, "BZ", 2);
    expect_bytes(&file, DH_STREAM_TRUNCATED, &text);
    put(&file, "x", 1);
    expect_bytes(&file, DH_STREAM_TRAILING_GARBAGE, &text);
    dh_buffer_free(&file);
    put_bzip2(&file, "", 0, 9);
    dh_buffer nothing = {0};
    expect_bytes(&file, DH_STREAM_INTACT, &nothing);
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

static void test_unsupported(void **state)
{
    (void)state;
    dh_buffer file = {0}, nothing = {0};
    put(&file,
        "\xFD"
        "7zXZ\0 and more",
        15);
    expect_bytes(&file, DH_STREAM_UNSUPPORTED, &nothing);
    reading r = file_read(NULL, 10);
    assert_int_equal(r.compression, DH_COMPRESSION_XZ);
    dh_buffer_free(&r.bytes);
    dh_buffer_free(&file);
}

static void test_nested(void **state)
{
    (void)state;
    dh_buffer text = text_make(5000, 1000), nothing = {0};
    for (int outer = 0; outer < (DHATU_HAVE_BZIP2 ? 3 : 2); outer++) {
        for (int inner = 0; inner < 4; inner++) {
            if (inner == 2 && !DHATU_HAVE_BZIP2) {
                continue;
            }
            dh_buffer within = {0}, file = {0};
            put_compressed(&within, inner, &text);
            put_compressed(&file, outer, &within);
            expect_bytes(&file, DH_STREAM_NESTED, &nothing);
            dh_buffer_free(&within);
            dh_buffer_free(&file);
        }
        /* A text that only begins alike. */
        dh_buffer like = {0}, file = {0};
        put(&like, "BZh9 is how it begins", 21);
        put_compressed(&file, outer, &like);
        expect_bytes(&file, DH_STREAM_INTACT, &like);
        dh_buffer_free(&like);
        dh_buffer_free(&file);
    }
    dh_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_open_errors),
        cmocka_unit_test(test_gzip_headers),
        cmocka_unit_test(test_gzip_members),
        cmocka_unit_test(test_gzip_behind_the_last_member),
        cmocka_unit_test(test_gzip_checksums),
        cmocka_unit_test(test_gzip_buffer_ends),
        cmocka_unit_test(test_gzip_buffer_ends_in_small_reads),
        cmocka_unit_test(test_gzip_large),
        cmocka_unit_test(test_zstd_frames),
        cmocka_unit_test(test_zstd_checksum),
        cmocka_unit_test(test_zstd_window),
        cmocka_unit_test(test_zstd_dictionary),
        cmocka_unit_test(test_zstd_corrupt_block),
        cmocka_unit_test(test_bzip2),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_nested),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
