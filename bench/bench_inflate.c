/* Rates of the decoders of read/stream.h, in bytes of uncompressed data.
 *
 *   bench_inflate FILE [REPEATS]    a file of any kind; a gzip file by each library in turn
 *
 * What is printed is the best of all repeats: the one that other work of the machine disturbed least. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dhatu_config.h"
#include "read/stream_decoder.h"

enum { PIECE = 1 << 20 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint8_t piece[PIECE];

/* Reads all of the file once; returns the seconds, negative on a failure. */
static double read_all(const char *path, const dh_inflate *inflate, uint64_t *bytes, dh_stream_damage *damage)
{
    const dh_decoder_options options = {.inflate = inflate};
    const double begin = now();
    dh_stream *stream;
    if (dh_stream_open_with(path, 0, &options, &stream) != DH_OK) {
        return -1;
    }
    size_t got;
    dh_status status;
    while ((status = dh_stream_read(stream, piece, sizeof piece, &got)) == DH_OK) {
    }
    *bytes = dh_stream_bytes_out(stream);
    *damage = dh_stream_damage_seen(stream);
    dh_stream_close(stream);
    return status == DH_END ? now() - begin : -1;
}

static int bench(const char *path, const char *name, const dh_inflate *inflate, int repeats)
{
    double best = 1e30;
    uint64_t bytes = 0;
    dh_stream_damage damage = DH_STREAM_INTACT;
    for (int i = 0; i < repeats; i++) {
        const double seconds = read_all(path, inflate, &bytes, &damage);
        if (seconds < 0) {
            return 1;
        }
        best = seconds < best ? seconds : best;
    }
    printf("%-8s %9.1f MB %8.1f MB/s  %s\n", name, 1e-6 * (double)bytes, 1e-6 * (double)bytes / best,
           dh_stream_damage_name(damage));
    return 0;
}

int main(int count, char **argument)
{
    if (count < 2) {
        (void)fputs("usage: bench_inflate FILE [REPEATS]\n", stderr);
        return 64;
    }
    const int repeats = count > 2 ? (int)strtol(argument[2], NULL, 10) : 5;
    dh_stream *stream;
    if (dh_stream_open(argument[1], 0, NULL, &stream) != DH_OK) {
        return 1;
    }
    const dh_compression compression = dh_stream_compression(stream);
    dh_stream_close(stream);
    if (compression != DH_COMPRESSION_GZIP) {
        return bench(argument[1], dh_compression_name(compression), NULL, repeats);
    }
    int failed = 0;
#if DHATU_HAVE_ISAL
    failed |= bench(argument[1], dh_inflate_isal.name, &dh_inflate_isal, repeats);
#endif
    failed |= bench(argument[1], dh_inflate_zlib.name, &dh_inflate_zlib, repeats);
    return failed;
}
