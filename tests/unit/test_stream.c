/* Tests of read/stream.h: every compression, cut at every byte and with every bit turned over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buffer.h"
#include "dhatu_config.h"
#include "read/stream.h"
#include "read/stream_decoder.h"

#if DHATU_HAVE_BZIP2
#include <bzlib.h>
#endif

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- files ------------------------------------------------------------------------------------------ */

static char folder[256];
static char file_path[300];

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(file_path);
    return rmdir(folder);
}

static void file_write(const void *bytes, size_t size)
{
    const int file = open(file_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    for (size_t done = 0; done < size;) {
        const ssize_t count = write(file, (const uint8_t *)bytes + done, size - done);
        assert_true(count > 0);
        done += (size_t)count;
    }
    assert_int_equal(close(file), 0);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

typedef struct reading {
    dh_buffer bytes;
    dh_compression compression;
    dh_stream_damage damage;
    bool unchecked;
    uint64_t bytes_in;
} reading;

static uint64_t window_max;

static reading file_read(const dh_inflate *inflate, size_t piece)
{
    reading r = {0};
    dh_stream *stream;
    const dh_decoder_options options = {.limits = {window_max}, .inflate = inflate};
    assert_int_equal(dh_stream_open_with(file_path, 0, &options, &stream), DH_OK);
    dh_status status;
    do {
        assert_int_equal(dh_buffer_reserve(&r.bytes, piece + 1), DH_OK);
        r.bytes.data[r.bytes.size + piece] = 0xA5;
        size_t got = SIZE_MAX;
        status = dh_stream_read(stream, r.bytes.data + r.bytes.size, piece, &got);
        assert_true(status == DH_OK || status == DH_END);
        assert_true(got <= piece);
        assert_true((got == 0) == (status == DH_END));
        assert_int_equal(r.bytes.data[r.bytes.size + piece], 0xA5);
        r.bytes.size += got;
    } while (status == DH_OK);
    size_t got;
    uint8_t byte;
    assert_int_equal(dh_stream_read(stream, &byte, 1, &got), DH_END);
    assert_int_equal(got, 0);
    assert_int_equal(dh_stream_bytes_out(stream), r.bytes.size);
    r.compression = dh_stream_compression(stream);
    r.damage = dh_stream_damage_seen(stream);
    r.unchecked = dh_stream_unchecked(stream);
    r.bytes_in = dh_stream_bytes_in(stream);
    dh_stream_close(stream);
    return r;
}

static const dh_inflate *const inflaters[] = {
    &dh_inflate_zlib,
#if DHATU_HAVE_ISAL
    &dh_inflate_isal,
#endif
};

#if DHATU_HAVE_ISAL
/* ISA-L without zlib to read again what it got wrong: it must do without on everything that is intact. */
static dh_inflate isal_alone;
#endif

static const size_t pieces[] = {65536, 7, 1};

static void expect_file_by(const dh_inflate *inflate, dh_stream_damage damage, const dh_buffer *expected,
                           size_t piece_count)
{
    for (size_t k = 0; k < piece_count; k++) {
        reading r = file_read(inflate, pieces[k]);
        if (r.damage != damage) {
            fail_msg("%s, reads of %zu: %s instead of %s", inflate->name, pieces[k],
                     dh_stream_damage_name(r.damage), dh_stream_damage_name(damage));
        }
        assert_int_equal(r.bytes.size, expected->size);
        if (expected->size > 0) {
            assert_memory_equal(r.bytes.data, expected->data, expected->size);
        }
        dh_buffer_free(&r.bytes);
    }
}

/* Reads the file in all ways; all must give these bytes and this damage. */
static void expect_file_sized(dh_stream_damage damage, const dh_buffer *expected, size_t piece_count)
{
    for (size_t i = 0; i < COUNT(inflaters); i++) {
        expect_file_by(inflaters[i], damage, expected, piece_count);
    }
#if DHATU_HAVE_ISAL
    if (damage == DH_STREAM_INTACT || damage == DH_STREAM_TRAILING_GARBAGE || damage == DH_STREAM_CHECKSUM) {
        expect_file_by(&isal_alone, damage, expected, piece_count);
    }
#endif
}

static void expect_bytes(const dh_buffer *file, dh_stream_damage damage, const dh_buffer *expected)
{
    file_write(file->data, file->size);
    expect_file_sized(damage, expected, expected->size > 100000 ? 1 : COUNT(pieces));
}

/* ---- making data ------------------------------------------------------------------------------------ */

static uint32_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * 1664525U + 1013904223U;
    return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

static void put(dh_buffer *out, const void *bytes, size_t size)
{
    assert_int_equal(dh_buffer_append(out, bytes, size), DH_OK);
}

/* Words, with copies of what lies up to `distance` bytes before. */
static dh_buffer text_make(size_t size, uint32_t distance)
{
    static const char *const word[] = {"the ",
                                       "of ",
                                       "and ",
                                       "to ",
                                       "in ",
                                       "a ",
                                       "is ",
                                       "that ",
                                       "for ",
                                       "it,\n",
                                       "r\xC3\xA9sum\xC3\xA9 ",
                                       "question ",
                                       "1867 "};
    dh_buffer out = {0};
    while (out.size < size) {
        const uint32_t far = chance(8) == 0 ? chance(distance) + 1 : 0;
        if (far > 0 && far <= out.size) {
            const size_t length = 3 + chance(300);
            assert_int_equal(dh_buffer_reserve(&out, length), DH_OK);
            for (size_t i = 0; i < length; i++) {
                out.data[out.size] = out.data[out.size - far];
                out.size++;
            }
        } else if (chance(5) == 0) {
            const uint8_t byte = (uint8_t)('a' + chance(26));
            put(&out, &byte, 1);
        } else {
            const char *added = word[chance(COUNT(word))];
            put(&out, added, strlen(added));
        }
    }
    out.size = size;
    return out;
}

static void put_32(dh_buffer *out, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    put(out, bytes, 4);
}

static void put_deflated(dh_buffer *out, const void *bytes, size_t size, int level, int strategy)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, -15, 8, strategy), Z_OK);
    const size_t bound = deflateBound(&z, (uLong)size);
    assert_int_equal(dh_buffer_reserve(out, bound), DH_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)size;
    z.next_out = out->data + out->size;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->size += z.total_out;
    deflateEnd(&z);
}

static uint32_t crc_of(const void *bytes, size_t size)
{
    return (uint32_t)crc32_z(0, bytes, size);
}

/* A member; flags as in RFC 1952; extra_size and name_size are of the optional fields. */
static void put_member(dh_buffer *out, const void *bytes, size_t size, int level, uint8_t flags,
                       size_t extra_size, size_t name_size)
{
    const size_t begin = out->size;
    const uint8_t head[10] = {0x1F, 0x8B, 8, flags, 1, 2, 3, 4, 0, 3};
    put(out, head, sizeof head);
    if ((flags & 4) != 0) {
        const uint8_t length[2] = {(uint8_t)extra_size, (uint8_t)(extra_size >> 8)};
        put(out, length, 2);
        for (size_t i = 0; i < extra_size; i++) {
            put(out, i % 3 == 0 ? "" : "\x1F", 1);
        }
    }
    for (int field = 8; field <= 16; field *= 2) {
        if ((flags & field) != 0) {
            for (size_t i = 0; i < name_size; i++) {
                put(out, "n", 1);
            }
            put(out, "", 1);
        }
    }
    if ((flags & 2) != 0) {
        const uint32_t crc = crc_of(out->data + begin, out->size - begin);
        const uint8_t low[2] = {(uint8_t)crc, (uint8_t)(crc >> 8)};
        put(out, low, 2);
    }
    put_deflated(out, bytes, size, level, Z_DEFAULT_STRATEGY);
    put_32(out, crc_of(bytes, size));
    put_32(out, (uint32_t)size);
}

static void put_gzip(dh_buffer *out, const void *bytes, size_t size)
{
    put_member(out, bytes, size, 6, 0, 0, 0);
}

static void put_zstd(dh_buffer *out, const void *bytes, size_t size, bool checksum, int window_log)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
    if (window_log > 0) {
        ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    }
    const size_t bound = ZSTD_compressBound(size) + 64;
    assert_int_equal(dh_buffer_reserve(out, bound), DH_OK);
    ZSTD_outBuffer to = {out->data + out->size, bound, 0};
    ZSTD_inBuffer from = {bytes, size, 0};
    /* In two steps, so that the frame is made as of a stream when a window is asked for. */
    if (window_log > 0) {
        assert_false(ZSTD_isError(ZSTD_compressStream2(context, &to, &from, ZSTD_e_flush)));
    }
    assert_int_equal(ZSTD_compressStream2(context, &to, &from, ZSTD_e_end), 0);
    out->size += to.pos;
    ZSTD_freeCCtx(context);
}

static void put_skippable(dh_buffer *out, uint8_t kind, uint32_t size)
{
    put_32(out, 0x184D2A50U + kind);
    put_32(out, size);
    for (uint32_t i = 0; i < size; i++) {
        put(out, "\x28", 1);
    }
}

static void put_bzip2(dh_buffer *out, const void *bytes, size_t size, int level)
{
#if DHATU_HAVE_BZIP2
    unsigned made = (unsigned)(size + size / 100 + 600);
    assert_int_equal(dh_buffer_reserve(out, made), DH_OK);
    assert_int_equal(BZ2_bzBuffToBuffCompress((char *)out->data + out->size, &made, (char *)(uintptr_t)bytes,
                                              (unsigned)size, level, 0, 0),
                     BZ_OK);
    out->size += made;
#else
    (void)out, (void)bytes, (void)size, (void)level;
#endif
}

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
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
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

/* Damage anywhere in a large member: both libraries must tell the same. Bytes may differ where the lenient
 * one had handed out nonsense already, but not before the first changed byte could have an effect. */
static void test_gzip_large_damaged(void **state)
{
    (void)state;
    dh_buffer text = text_make(400000, 32768), file = {0};
    put_member(&file, text.data, 200000, 6, 0, 0, 0);
    const size_t second = file.size;
    put_member(&file, text.data + 200000, 200000, 9, 0, 0, 0);
    for (int round = 0; round < 300; round++) {
        dh_buffer damaged = {0};
        put(&damaged, file.data, file.size);
        const size_t at = 10 + chance((uint32_t)file.size - 10);
        if (round % 3 == 0) {
            damaged.size = at;
        } else {
            damaged.data[at] ^= (uint8_t)(1 + chance(255));
        }
        file_write(damaged.data, damaged.size);
        reading strict = file_read(&dh_inflate_zlib, 65536);
        assert_int_not_equal(strict.damage, DH_STREAM_INTACT);
        if (at > second + 10) {
            assert_true(strict.bytes.size >= 200000);
            assert_memory_equal(strict.bytes.data, text.data, 200000);
        }
        for (size_t i = 1; i < COUNT(inflaters); i++) {
            reading other = file_read(inflaters[i], 65536);
            assert_int_equal(other.damage, strict.damage);
            if (round % 3 == 0) {
                assert_int_equal(other.bytes.size, strict.bytes.size);
            }
            assert_true(other.bytes.size >= strict.bytes.size);
            assert_memory_equal(other.bytes.data, strict.bytes.data, strict.bytes.size);
            dh_buffer_free(&other.bytes);
        }
        dh_buffer_free(&strict.bytes);
        dh_buffer_free(&damaged);
    }
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

/* ISA-L takes this block, of which a code is incomplete, for an empty one, and the zeros for its trailer. */
static void test_gzip_checksum_of_nothing(void **state)
{
    (void)state;
    static const uint8_t member[] = {0x1F, 0x8B, 0x08, 0,    0,    0,    0,    0,    0,    0x03,
                                     0x15, 0x52, 0xC7, 0x11, 0,    0x21, 0x08, 0xAC, 0x55, 0x72,
                                     0xA6, 0xFF, 0xDF, 0x71, 0x51, 0x51, 0x51, 0x51, 0x3F, 0,
                                     0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
    dh_buffer file = {0}, nothing = {0};
    put(&file, member, sizeof member);
    expect_bytes(&file, DH_STREAM_CORRUPT, &nothing);
    dh_buffer_free(&file);
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

static void put_compressed(dh_buffer *out, int how, const dh_buffer *bytes)
{
    switch (how) {
    case 0:
        put_gzip(out, bytes->data, bytes->size);
        break;
    case 1:
        put_zstd(out, bytes->data, bytes->size, true, 0);
        break;
    case 2:
        put_bzip2(out, bytes->data, bytes->size, 9);
        break;
    default:
        put(out,
            "\xFD"
            "7zXZ\0 and more",
            15);
    }
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

/* ---- every cut, every bit --------------------------------------------------------------------------- */

typedef struct sample {
    dh_buffer file, text;
    bool is_member_end[4096]; /* a cut there leaves whole members */
    size_t mark;              /* a cut before leaves too little to tell what it is */
} sample;

/* Several members of text_size bytes in all. */
static void sample_make(sample *s, int how, size_t text_size)
{
    memset(s, 0, sizeof *s);
    s->text = text_make(text_size, 400);
    s->mark = (size_t[]){3, 4, 6}[how];
    /* Letters without a pattern: deflate makes codes of its own for them. */
    for (size_t i = text_size / 3; i < 2 * text_size / 3; i++) {
        s->text.data[i] = (uint8_t)('a' + chance(20) / (1 + chance(4)));
    }
    for (size_t part = 0; part < 3; part++) {
        dh_buffer piece = {s->text.data + part * text_size / 3, text_size / 3, text_size / 3};
        if (how == 0 && part == 1) {
            put_member(&s->file, piece.data, piece.size, 9, 0x1E, 3, 5);
        } else {
            put_compressed(&s->file, how, &piece);
        }
        if (how == 1 && part == 1) {
            s->is_member_end[s->file.size] = true;
            put_skippable(&s->file, 1, 4);
        }
        assert_true(s->file.size < sizeof s->is_member_end);
        s->is_member_end[s->file.size] = true;
    }
}

static void sample_free(sample *s)
{
    dh_buffer_free(&s->file);
    dh_buffer_free(&s->text);
}

static void test_every_cut(void **state)
{
    (void)state;
    for (int how = 0; how < (DHATU_HAVE_BZIP2 ? 3 : 2); how++) {
        sample s;
        sample_make(&s, how, 1500);
        size_t longest = 0;
        for (size_t cut = 0; cut <= s.file.size; cut++) {
            file_write(s.file.data, cut);
            reading first = file_read(&dh_inflate_zlib, 65536);
            dh_buffer expected = {s.text.data, first.bytes.size, 0};
            dh_stream_damage damage = s.is_member_end[cut] ? DH_STREAM_INTACT : DH_STREAM_TRUNCATED;
            if (cut < s.mark) {
                expected.data = s.file.data;
                expected.size = cut;
                damage = DH_STREAM_INTACT;
            } else {
                /* Longer files never give less. */
                assert_true(first.bytes.size >= longest && first.bytes.size <= s.text.size);
                longest = first.bytes.size;
            }
            expect_file_sized(damage, &expected, COUNT(pieces));
            dh_buffer_free(&first.bytes);
        }
        assert_int_equal(longest, s.text.size);
        sample_free(&s);
    }
}

/* Gzip and zstd give what lies before a cut, not only whole members. */
static void test_cut_gives_all_before(void **state)
{
    (void)state;
    dh_buffer text = text_make(600000, 30000), file = {0};
    put_gzip(&file, text.data, text.size);
    file_write(file.data, file.size / 2);
    for (size_t i = 0; i < COUNT(inflaters); i++) {
        reading r = file_read(inflaters[i], 65536);
        assert_int_equal(r.damage, DH_STREAM_TRUNCATED);
        assert_true(r.bytes.size > 250000 && r.bytes.size < 350000);
        assert_memory_equal(r.bytes.data, text.data, r.bytes.size);
        dh_buffer_free(&r.bytes);
    }
    /* All but the trailer: all the data. */
    for (size_t missing = 1; missing <= 8; missing++) {
        dh_buffer cut = {file.data, file.size - missing, 0};
        expect_bytes(&cut, DH_STREAM_TRUNCATED, &text);
    }
    dh_buffer_free(&file);
    put_zstd(&file, text.data, text.size, true, 17);
    file_write(file.data, file.size / 2);
    reading r = file_read(NULL, 65536);
    assert_int_equal(r.damage, DH_STREAM_TRUNCATED);
    assert_true(r.bytes.size >= 131072 && r.bytes.size < 400000);
    assert_memory_equal(r.bytes.data, text.data, r.bytes.size);
    dh_buffer_free(&r.bytes);
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

static void expect_flip_seen(const sample *s, size_t bit)
{
    reading r[COUNT(inflaters)];
    for (size_t i = 0; i < COUNT(inflaters); i++) {
        r[i] = file_read(inflaters[i], 65536);
        assert_int_equal(r[i].damage, r[0].damage);
        assert_int_equal(r[i].bytes.size, r[0].bytes.size);
        if (r[0].bytes.size > 0) {
            assert_memory_equal(r[i].bytes.data, r[0].bytes.data, r[0].bytes.size);
        }
    }
    reading slow = file_read(inflaters[COUNT(inflaters) - 1], 1);
    assert_int_equal(slow.damage, r[0].damage);
    dh_buffer_free(&slow.bytes);
    const bool same =
        r[0].bytes.size == s->text.size && memcmp(r[0].bytes.data, s->text.data, s->text.size) == 0;
    /* A file whose mark is broken is plain text, which anyone sees who reads it. */
    const bool told =
        r[0].damage != DH_STREAM_INTACT || r[0].compression == DH_COMPRESSION_NONE || r[0].unchecked;
    if (!same && !told) {
        fail_msg("bit %zu of a %s file is wrong, and nobody noticed", bit,
                 dh_compression_name(r[0].compression));
    }
    for (size_t i = 0; i < COUNT(inflaters); i++) {
        dh_buffer_free(&r[i].bytes);
    }
}

static void test_every_bit(void **state)
{
    (void)state;
    for (int how = 0; how < (DHATU_HAVE_BZIP2 ? 3 : 2); how++) {
        sample s;
        sample_make(&s, how, 1500);
        for (size_t bit = 0; bit < 8 * s.file.size; bit++) {
            s.file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            file_write(s.file.data, s.file.size);
            expect_flip_seen(&s, bit);
            s.file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        sample_free(&s);
    }
}

static int set_up(void **state)
{
    (void)state;
#if DHATU_HAVE_ISAL
    isal_alone = dh_inflate_isal;
    isal_alone.is_lenient = false;
#endif
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/dhatu-test-stream-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(file_path, sizeof file_path, "%s/file", folder);
    return 0;
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
        cmocka_unit_test(test_gzip_large_damaged),
        cmocka_unit_test(test_gzip_checksum_of_nothing),
        cmocka_unit_test(test_zstd_frames),
        cmocka_unit_test(test_zstd_checksum),
        cmocka_unit_test(test_zstd_window),
        cmocka_unit_test(test_zstd_dictionary),
        cmocka_unit_test(test_zstd_corrupt_block),
        cmocka_unit_test(test_bzip2),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_cut_gives_all_before),
        cmocka_unit_test(test_every_bit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
