/* Measures the tokeniser on a file, in memory, on one core:
 *     bench_tokens FILE [unicode|sklearn] [PREFIXES]
 * PREFIXES is a number of made-up prefixes to look for (default 0). Lines of the file are the documents.
 * Prints the fastest of several rounds, without and with the spelling of tokens in turn. */
#include "base/buffer.h"
#include "text/tokens.h"
#include "text/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 15 };
static const size_t WANTED_BYTES = 32u << 20;

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static dh_status read_file(const char *path, dh_buffer *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return DH_IO;
    }
    size_t got = 0;
    dh_status status = DH_OK;
    do {
        status = dh_buffer_reserve(out, 1 << 16);
        got = status == DH_OK ? fread(out->data + out->size, 1, 1 << 16, file) : 0;
        out->size += got;
    } while (got > 0);
    (void)fclose(file);
    return status;
}

typedef struct prefix_source {
    dh_prefix_set *set;
    uint64_t wanted, seen;
} prefix_source;

/* The first four to six letters of every 50th word. */
static dh_status add_prefix(void *context, const uint8_t *token, size_t size)
{
    prefix_source *source = context;
    uint64_t hash;
    source->seen++;
    if (source->seen / 50 >= source->wanted) {
        return DH_END;
    }
    size_t length = 4 + source->seen / 50 % 3;
    if (source->seen % 50 != 0 || size < length) {
        return DH_OK;
    }
    while (length < size && (token[length] & 0xC0) == 0x80) {
        length++;
    }
    return dh_prefix_set_add(source->set, 0, token, length, &hash);
}

static void empty(dh_token_sink *sink)
{
    sink->token_count = 0;
    sink->prefix_hit_count = 0;
    sink->spelling_size = 0;
}

static dh_status run_round(dh_tokenizer *tokenizer, const dh_buffer *text, dh_token_sink *sink)
{
    empty(sink);
    for (size_t at = 0; at < text->size;) {
        const uint8_t *line = text->data + at;
        const uint8_t *end = memchr(line, '\n', text->size - at);
        const size_t size = end == NULL ? text->size - at : (size_t)(end - line) + 1;
        DH_TRY(dh_tokenize(tokenizer, line, size, sink));
        at += size;
        if (sink->token_count > 1 << 16) { /* as a batch is emptied, so that the sink stays in the cache */
            empty(sink);
        }
    }
    return DH_OK;
}

/* *best becomes the seconds of a round, where they are fewer. */
static dh_status time_round(dh_tokenizer *tokenizer, const dh_buffer *text, bool keeps_spelling, double *best)
{
    dh_token_sink sink = {.token_limit = UINT64_MAX, .keeps_spelling = keeps_spelling};
    const size_t repeats = text->size < WANTED_BYTES ? WANTED_BYTES / text->size + 1 : 1;
    DH_TRY(run_round(tokenizer, text, &sink)); /* the sink grows */
    const double start = seconds();
    for (size_t i = 0; i < repeats; i++) {
        DH_TRY(run_round(tokenizer, text, &sink));
    }
    const double time = (seconds() - start) / (double)repeats;
    *best = time < *best ? time : *best;
    dh_token_sink_free(&sink);
    return DH_OK;
}

static dh_status time_check(const dh_buffer *text, double *best)
{
    const double start = seconds();
    if (dh_utf8_valid_prefix(text->data, text->size) != text->size) {
        return DH_BAD_DATA;
    }
    const double time = seconds() - start;
    *best = time < *best ? time : *best;
    return DH_OK;
}

static dh_status time_all(const char *path, dh_tokenizer *tokenizer, const dh_buffer *text)
{
    dh_token_sink sink = {.token_limit = UINT64_MAX};
    DH_TRY(dh_tokenize(tokenizer, text->data, text->size, &sink));
    const double tokens = (double)sink.token_count;
    const double hits = (double)sink.prefix_hit_count;
    dh_token_sink_free(&sink);
    double best = 1e9;
    double spelled = 1e9;
    double check = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        DH_TRY(time_round(tokenizer, text, false, &best));
        DH_TRY(time_round(tokenizer, text, true, &spelled));
        DH_TRY(time_check(text, &check));
    }
    const double megabytes = (double)text->size / 1e6;
    printf("%s: %zu bytes, %.2f bytes a token, %.2f %% prefix hits: %.0f MB/s, %.1f ns a token;"
           " with spelling %.0f MB/s, %.1f ns a token; utf8 check %.0f MB/s\n",
           path, text->size, (double)text->size / tokens, 100 * hits / tokens, megabytes / best,
           best / tokens * 1e9, megabytes / spelled, spelled / tokens * 1e9, megabytes / check);
    return DH_OK;
}

static dh_status measure(const char *path, dh_token_mode mode, uint64_t prefixes)
{
    dh_buffer text = {0};
    prefix_source source = {.wanted = prefixes};
    dh_tokenizer *tokenizer = NULL;
    DH_TRY(read_file(path, &text));
    DH_TRY(dh_prefix_set_create(&source.set));
    DH_TRY(dh_tokenizer_create(mode, NULL, &tokenizer));
    const dh_status added = dh_tokenize_visit(tokenizer, text.data, text.size, add_prefix, &source);
    dh_tokenizer_free(tokenizer);
    if (added != DH_OK && added != DH_END) {
        return added;
    }
    DH_TRY(dh_tokenizer_create(mode, source.set, &tokenizer));
    DH_TRY(time_all(path, tokenizer, &text));
    dh_tokenizer_free(tokenizer);
    dh_prefix_set_free(source.set);
    dh_buffer_free(&text);
    return DH_OK;
}

int main(int argument_count, char **argument)
{
    if (argument_count < 2) {
        (void)fprintf(stderr, "usage: bench_tokens FILE [unicode|sklearn] [PREFIXES]\n");
        return dh_status_exit_code(DH_USAGE);
    }
    const bool sklearn = argument_count > 2 && strcmp(argument[2], "sklearn") == 0;
    const uint64_t prefixes = argument_count > 3 ? strtoull(argument[3], NULL, 10) : 0;
    return dh_status_exit_code(
        measure(argument[1], sklearn ? DH_TOKENS_SKLEARN : DH_TOKENS_UNICODE, prefixes));
}
