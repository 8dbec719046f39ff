/* Files for the tests of read/stream.h: made here, and read in all ways. */
#ifndef DH_TESTS_STREAM_FILES_H
#define DH_TESTS_STREAM_FILES_H

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

#include "support.h"

#if DHATU_HAVE_BZIP2
#include <bzlib.h>
#endif

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- files ------------------------------------------------------------------------------------------ */

static char folder[256];
static char file_path[300];

static inline void file_write(const void *bytes, size_t size)
{
    /* Not O_TRUNC: file systems flush a file that was cut to nothing and written again. */
    const int file = open(file_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    for (size_t done = 0; done < size;) {
        const ssize_t count = write(file, (const uint8_t *)bytes + done, size - done);
        assert_true(count > 0);
        done += (size_t)count;
    }
    assert_int_equal(ftruncate(file, (off_t)size), 0);
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

static inline reading file_read(const dh_inflate *inflate, size_t piece)
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

static inline void expect_file_by(const dh_inflate *inflate, dh_stream_damage damage,
                                  const dh_buffer *expected, size_t piece_count)
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
static inline void expect_file_sized(dh_stream_damage damage, const dh_buffer *expected, size_t piece_count)
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

static inline void expect_bytes(const dh_buffer *file, dh_stream_damage damage, const dh_buffer *expected)
{
    file_write(file->data, file->size);
    expect_file_sized(damage, expected, expected->size > 100000 ? 1 : COUNT(pieces));
}

/* ---- making data ------------------------------------------------------------------------------------ */

static uint32_t seed;

static inline uint32_t chance(uint32_t below)
{
    seed = seed * 1664525U + 1013904223U;
    return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

static inline void put(dh_buffer *out, const void *bytes, size_t size)
{
    assert_int_equal(dh_buffer_append(out, bytes, size), DH_OK);
}

/* Words, with copies of what lies up to `distance` bytes before. */
static inline dh_buffer text_make(size_t size, uint32_t distance)
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

static inline void put_32(dh_buffer *out, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    put(out, bytes, 4);
}

static inline void put_deflated(dh_buffer *out, const void *bytes, size_t size, int level, int strategy)
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

static inline uint32_t crc_of(const void *bytes, size_t size)
{
    return (uint32_t)crc32_z(0, bytes, size);
}

/* A member; flags as in RFC 1952; extra_size and name_size are of the optional fields. */
static inline void put_member(dh_buffer *out, const void *bytes, size_t size, int level, uint8_t flags,
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

static inline void put_gzip(dh_buffer *out, const void *bytes, size_t size)
{
    put_member(out, bytes, size, 6, 0, 0, 0);
}

static inline void put_zstd(dh_buffer *out, const void *bytes, size_t size, bool checksum, int window_log)
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

static inline void put_skippable(dh_buffer *out, uint8_t kind, uint32_t size)
{
    put_32(out, 0x184D2A50U + kind);
    put_32(out, size);
    for (uint32_t i = 0; i < size; i++) {
        put(out, "\x28", 1);
    }
}

static inline void put_bzip2(dh_buffer *out, const void *bytes, size_t size, int level)
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

static inline void put_compressed(dh_buffer *out, int how, const dh_buffer *bytes)
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

/* ---- of all tests ---------------------------------------------------------------------------------- */

static inline int set_up(void **state)
{
    (void)state;
#if DHATU_HAVE_ISAL
    isal_alone = dh_inflate_isal;
    isal_alone.is_lenient = false;
#endif
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/dhatu-test-stream-XXXXXX", parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    seed = 1;
    (void)snprintf(file_path, sizeof file_path, "%s/file", folder);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    (void)unlink(file_path);
    return rmdir(folder);
}

#endif
