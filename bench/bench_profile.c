/* Rate of the profile kernel from token hashes: MB of text a second, for documents of 1 KB and 8 KB.
 *
 *     bench_profile FILE LANGUAGE     FILE is plain text, cut into documents at byte counts
 *
 * The limit: a token is 8 bytes of hash for about 6 bytes of text, a filter bit a token, and for the one
 * in four that may begin a term a slot (16 bytes), a term (12 bytes) and a count. */
#include "base/file.h"
#include "lexicon/language.h"
#include "run/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 9, BATCH_BYTES = 1 << 20 };

typedef struct bench_state {
    dh_settings settings;
    dh_buffer text;
    dh_token_sink sink;
    uint64_t *text_offset, *token_offset, *hit_offset;
    uint16_t *lexicon;
    uint32_t documents;
} bench_state;

static int compare_doubles(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Cuts the text at about size bytes, between code points, and tokenises the parts. */
static dh_status cut(bench_state *bench, uint64_t size, uint16_t lexicon)
{
    dh_tokenizer *tokenizer = NULL;
    DH_TRY(dh_tokenizer_create(DH_TOKENS_UNICODE, dh_lexicons_prefixes(bench->settings.lexicons, lexicon),
                               &tokenizer));
    bench->documents = 0;
    bench->sink.token_count = 0;
    bench->sink.prefix_hit_count = 0;
    uint64_t from = 0;
    dh_status status = DH_OK;
    while (from < bench->text.size && status == DH_OK) {
        uint64_t to = from + size < bench->text.size ? from + size : bench->text.size;
        while (to < bench->text.size && (bench->text.data[to] & 0xC0) == 0x80) {
            to++;
        }
        const uint32_t d = bench->documents++;
        bench->text_offset[d] = from;
        bench->token_offset[d] = bench->sink.token_count;
        bench->hit_offset[d] = bench->sink.prefix_hit_count;
        bench->lexicon[d] = lexicon;
        status = dh_tokenize(tokenizer, bench->text.data + from, to - from, &bench->sink);
        bench->text_offset[d + 1] = to;
        bench->token_offset[d + 1] = bench->sink.token_count;
        bench->hit_offset[d + 1] = bench->sink.prefix_hit_count;
        from = to;
    }
    dh_tokenizer_free(tokenizer);
    return status;
}

/* All documents once, in batches as the program makes them. */
static double run_once(bench_state *bench, const dh_active_job *job, void *const *column)
{
    const double start = dh_seconds();
    for (uint32_t first = 0; first < bench->documents;) {
        uint32_t last = first;
        while (last < bench->documents &&
               bench->text_offset[last] - bench->text_offset[first] < BATCH_BYTES &&
               last - first < DH_CHUNK_ROWS) {
            last++;
        }
        const dh_batch batch = {.document_count = last - first,
                                .text = bench->text.data,
                                .text_offset = bench->text_offset + first,
                                .token = bench->sink.token,
                                .token_offset = bench->token_offset + first,
                                .prefix_hit = bench->sink.prefix_hit,
                                .prefix_hit_offset = bench->hit_offset + first,
                                .lexicon = bench->lexicon + first};
        if (dh_job_compute(job->job, job->state, bench->settings.backend, &batch, column) != DH_BACKEND_OK) {
            exit(1);
        }
        first = last;
    }
    return dh_seconds() - start;
}

static dh_status measure(bench_state *bench, uint64_t size, uint16_t lexicon)
{
    DH_TRY(cut(bench, size, lexicon));
    for (uint32_t j = 0; j < bench->settings.job_count; j++) {
        const dh_active_job *job = &bench->settings.job[j];
        void *column[DH_JOB_COLUMNS_MAX] = {0};
        for (uint32_t c = 0; c < job->column_count; c++) {
            DH_TRY(dh_allocate(DH_CHUNK_ROWS, bench->settings.schema.row_size[job->first_column + c],
                               "a column", &column[c]));
        }
        double seconds[ROUNDS];
        (void)run_once(bench, job, column);
        for (int round = 0; round < ROUNDS; round++) {
            seconds[round] = run_once(bench, job, column);
        }
        qsort(seconds, ROUNDS, sizeof *seconds, compare_doubles);
        printf("%-10s %6llu-byte documents: %8.1f MB of text/s, %10.0f documents/s, %8.1f M tokens/s\n",
               job->job->name, (unsigned long long)size, (double)bench->text.size / 1e6 / seconds[ROUNDS / 2],
               (double)bench->documents / seconds[ROUNDS / 2],
               (double)bench->sink.token_count / 1e6 / seconds[ROUNDS / 2]);
        for (uint32_t c = 0; c < job->column_count; c++) {
            free(column[c]);
        }
    }
    return DH_OK;
}

static dh_status run(const char *path, const char *language)
{
    char program[] = "dhatu";
    char command[] = "run";
    char jobs[] = "-jprofile,digest";
    char *argv[] = {program, command, jobs, NULL};
    dh_options options = {0};
    bench_state bench = {.sink = {.token_limit = UINT32_MAX - 1}};
    DH_TRY(dh_options_resolve(3, argv, &options));
    DH_TRY(dh_settings_resolve(&options, &bench.settings));
    DH_TRY(dh_file_read_all(path, UINT64_MAX, &bench.text));
    const size_t most = bench.text.size / 1000 + 2;
    bench.text_offset = malloc((most + 1) * sizeof(uint64_t));
    bench.token_offset = malloc((most + 1) * sizeof(uint64_t));
    bench.hit_offset = malloc((most + 1) * sizeof(uint64_t));
    bench.lexicon = malloc((most + 1) * sizeof(uint16_t));
    const uint16_t lexicon =
        dh_lexicons_find(bench.settings.lexicons, dh_language_parse(language, strlen(language)));
    dh_status status = measure(&bench, 1000, lexicon);
    if (status == DH_OK) {
        status = measure(&bench, 8000, lexicon);
    }
    free(bench.text_offset);
    free(bench.token_offset);
    free(bench.hit_offset);
    free(bench.lexicon);
    dh_buffer_free(&bench.text);
    dh_token_sink_free(&bench.sink);
    dh_settings_free(&bench.settings);
    dh_options_free(&options);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: bench_profile FILE LANGUAGE\n");
        return 2;
    }
    return dh_status_exit_code(run(argv[1], argv[2]));
}
