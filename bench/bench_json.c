/* Rates of read/json.h on the lines of a JSONL file (uncompressed), by each kind of vector:
 *
 *   bench_json FILE [REPEATS]
 *
 * scan takes out text, id and lang; unescape is of the text alone, in place and to another place, and its
 * rate is in bytes of the text. The best of all repeats is printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "read/json.h"
#include "read/json_string.h"
#include "read/stream.h"

enum { FIELDS = 3 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct totals {
    double scan, apart, in_place;
    uint64_t lines, bad, text_bytes, unescaped_bytes, lone;
} totals;

/* The lines of text are kept in `lines`, and a copy of one is made where it is changed. */
static void run(const dh_json_strings *strings, const dh_json_paths *paths, const dh_buffer *lines,
                uint8_t *scratch, totals *out)
{
    *out = (totals){0};
    const uint8_t *const limit = lines->data + lines->size;
    double begin = now();
    for (const uint8_t *line = lines->data; line < limit;) {
        const uint8_t *end = memchr(line, '\n', (size_t)(limit - line));
        end = end != NULL ? end : limit;
        dh_json_value value[FIELDS];
        size_t offset;
        const dh_json_error error =
            dh_json_scan_with(strings, paths, line, (size_t)(end - line), value, &offset);
        out->bad += error != DH_JSON_OK;
        out->text_bytes += value[0].size;
        out->lines++;
        line = end + 1;
    }
    out->scan = now() - begin;
    /* Both ways of unescaping are timed a line at a time, the copy for the second one not counted. */
    for (const uint8_t *line = lines->data; line < limit;) {
        const uint8_t *end = memchr(line, '\n', (size_t)(limit - line));
        end = end != NULL ? end : limit;
        dh_json_value value[FIELDS];
        size_t offset;
        (void)dh_json_scan_with(strings, paths, line, (size_t)(end - line), value, &offset);
        line = end + 1;
        if (value[0].kind != DH_JSON_STRING) {
            continue;
        }
        begin = now();
        out->unescaped_bytes += strings->unescape(value[0].text, value[0].size, scratch, &out->lone);
        const double middle = now();
        memcpy(scratch, value[0].text, value[0].size);
        const double copied = now();
        (void)strings->unescape(scratch, value[0].size, scratch, &out->lone);
        out->apart += middle - begin;
        out->in_place += now() - copied;
    }
}

static int bench(const dh_buffer *lines, int repeats)
{
    dh_json_paths *paths;
    const char *const path[FIELDS] = {"text", "id", "lang"};
    uint8_t *scratch = malloc(lines->size + 1);
    if (scratch == NULL || dh_json_paths_create(path, FIELDS, &paths) != DH_OK) {
        free(scratch);
        return 1;
    }
    const dh_json_strings *strings;
    for (size_t i = 0; (strings = dh_json_strings_get(i)) != NULL; i++) {
        totals best = {1e30, 1e30, 1e30, 0, 0, 0, 0, 0};
        for (int k = 0; k < repeats; k++) {
            totals found;
            run(strings, paths, lines, scratch, &found);
            const double scan = found.scan < best.scan ? found.scan : best.scan;
            const double apart = found.apart < best.apart ? found.apart : best.apart;
            const double in_place = found.in_place < best.in_place ? found.in_place : best.in_place;
            best = found;
            best.scan = scan;
            best.apart = apart;
            best.in_place = in_place;
        }
        const double text = 1e-6 * (double)best.text_bytes;
        printf("%-7s scan %7.0f MB/s  unescape %7.0f MB/s  in place %7.0f MB/s  (%llu lines, %llu bad)\n",
               strings->name, 1e-6 * (double)lines->size / best.scan, text / best.apart, text / best.in_place,
               (unsigned long long)best.lines, (unsigned long long)best.bad);
    }
    dh_json_paths_free(paths);
    free(scratch);
    return 0;
}

int main(int count, char **argument)
{
    if (count < 2) {
        (void)fputs("usage: bench_json FILE [REPEATS]\n", stderr);
        return 64;
    }
    dh_stream *stream;
    if (dh_stream_open(argument[1], 0, NULL, &stream) != DH_OK) {
        return 1;
    }
    dh_buffer lines = {0};
    size_t got = 1;
    while (got > 0) {
        if (dh_buffer_reserve(&lines, 1 << 20) != DH_OK) {
            return 1;
        }
        const dh_status status = dh_stream_read(stream, lines.data + lines.size, 1 << 20, &got);
        if (status != DH_OK && status != DH_END) {
            return 1;
        }
        lines.size += got;
    }
    dh_stream_close(stream);
    const int failed = bench(&lines, count > 2 ? (int)strtol(argument[2], NULL, 10) : 5);
    dh_buffer_free(&lines);
    return failed;
}
