/* Fuzzing of read/stream.h: a file of any content, read in large and in small pieces and by both inflating
 * libraries, which must tell the same damage. The first byte of the input makes it one kind of file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dhatu_config.h"
#include "read/stream.h"
#include "read/stream_decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 18 };

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

typedef struct reading {
    uint8_t *bytes;
    size_t size;
    dh_stream_damage damage;
    dh_compression compression;
    dh_status status;
} reading;

/* Reads at most OUT_MAX bytes: small inputs can decode to very many. */
static reading read_file(const char *path, const dh_inflate *inflate, size_t piece)
{
    reading r = {0};
    const dh_decoder_options options = {.limits = {1 << 20}, .inflate = inflate};
    dh_stream *stream;
    require(dh_stream_open_with(path, 0, &options, &stream) == DH_OK);
    r.bytes = malloc(OUT_MAX);
    require(r.bytes != NULL);
    while (r.size < OUT_MAX) {
        size_t got;
        r.status = dh_stream_read(stream, r.bytes + r.size,
                                  piece < OUT_MAX - r.size ? piece : OUT_MAX - r.size, &got);
        require(r.status == DH_OK || r.status == DH_END);
        require((got > 0) == (r.status == DH_OK));
        if (r.status == DH_END) {
            break;
        }
        r.size += got;
    }
    require(dh_stream_bytes_out(stream) == r.size);
    r.damage = dh_stream_damage_seen(stream);
    r.compression = dh_stream_compression(stream);
    dh_stream_close(stream);
    return r;
}

/* Equal as far as stream.h promises: the bytes are the same unless nonsense was handed out before. The fuzzer
 * is clever enough to find right checksums for data that zlib refuses: b then has more. */
static void require_same(const reading *a, const reading *b, int exact)
{
    require(a->compression == b->compression);
    const int is_confirmed =
        a->damage == DH_STREAM_CORRUPT && b->damage != DH_STREAM_CORRUPT && b->size > a->size;
    if (!is_confirmed && a->status == DH_END && b->status == DH_END) {
        require(a->damage == b->damage);
        require(!exact || a->size == b->size);
    }
    const size_t size = a->size < b->size ? a->size : b->size;
    require(memcmp(a->bytes, b->bytes, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const char *bytes;
        size_t size;
    } head[] = {{"", 0},
                {"\x1F\x8B\x08\0\0\0\0\0\0\3", 10},
                {"\x28\xB5\x2F\xFD", 4},
                {"BZh11AY&SY", 10},
                {"\x1F\x8B\x08", 3},
                {"\x50\x2A\x4D\x18\1\0\0\0x\x28\xB5\x2F\xFD", 13}};
    if (size == 0) {
        return 0;
    }
    const size_t kind = data[0] % (sizeof head / sizeof head[0]);
    const int file = memfd_create("fuzz_stream", 0);
    require(file >= 0);
    require(write(file, head[kind].bytes, head[kind].size) == (ssize_t)head[kind].size);
    require(write(file, data + 1, size - 1) == (ssize_t)(size - 1));
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    const reading strict = read_file(path, &dh_inflate_zlib, OUT_MAX);
    const reading small = read_file(path, &dh_inflate_zlib, 1 + (size_t)data[0] / 8);
    require_same(&strict, &small, 1);
#if DHATU_HAVE_ISAL
    const reading fast = read_file(path, &dh_inflate_isal, OUT_MAX);
    const reading fast_small = read_file(path, &dh_inflate_isal, 1 + (size_t)data[0] / 8);
    require_same(&strict, &fast, 1);
    require_same(&strict, &fast_small, 0);
    free(fast.bytes);
    free(fast_small.bytes);
#endif
    free(strict.bytes);
    free(small.bytes);
    close(file);
    return 0;
}
