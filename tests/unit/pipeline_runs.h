/* What the tests of run/pipeline.h and run/settings.h share: settings from arguments, chunks put together. */
#ifndef DH_TESTS_PIPELINE_RUNS_H
#define DH_TESTS_PIPELINE_RUNS_H

#include "support.h"

#include "run/pipeline.h"

/* ---- settings ---------------------------------------------------------------------------------------- */

static char program[] = "dhatu";
static char run_command[] = "run";

/* Resolves "dhatu run ARGUMENTS"; NULL ends them. */
static inline dh_status resolve(const char *const *argument, dh_options *options, dh_settings *settings)
{
    char *argv[32] = {program, run_command};
    int argc = 2;
    for (; *argument != NULL; argument++) {
        argv[argc++] = (char *)(uintptr_t)*argument;
    }
    *settings = (dh_settings){0};
    DH_TRY(dh_options_resolve(argc, argv, options));
    return dh_settings_resolve(options, settings);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- taking chunks ----------------------------------------------------------------------------------- */

enum { SOURCES_MAX = 64 };

/* What the chunks of a run hold, as if they were one. */
typedef struct collected {
    const dh_settings *settings;
    uint64_t rows, chunks, largest_chunk, most_parts, most_bad;
    dh_buffer column[DH_SCHEMA_COLUMNS_MAX];
    dh_buffer ids; /* NUL behind each */
    dh_buffer bad; /* dh_bad_record */
    dh_source_part part[SOURCES_MAX];
    uint64_t sums[SOURCES_MAX][32];
    dh_pipeline_stats stats;
} collected;

static inline void take_ids(collected *all, const dh_chunk *chunk)
{
    const uint32_t *end = chunk->column[DH_ENGINE_ID_END];
    uint32_t begin = 0;
    for (uint32_t row = 0; row < chunk->rows; row++) {
        assert_true(end[row] >= begin && end[row] <= chunk->ids.size);
        assert_ok(dh_buffer_append(&all->ids, chunk->ids.data + begin, end[row] - begin));
        assert_ok(dh_buffer_append(&all->ids, "", 1));
        begin = end[row];
    }
    assert_int_equal(begin, chunk->ids.size);
}

static inline void take_part(collected *all, const dh_source_part *part, uint32_t sum_count)
{
    if (part->source >= SOURCES_MAX) {
        return;
    }
    dh_source_part *sum = &all->part[part->source];
    sum->source = part->source;
    sum->bytes += part->bytes;
    sum->lines += part->lines;
    sum->blank_lines += part->blank_lines;
    sum->blank_bytes += part->blank_bytes;
    sum->documents += part->documents;
    sum->bad += part->bad;
    sum->replaced += part->replaced;
    sum->failed_bytes += part->failed_bytes;
    dh_content_hash hash = {sum->hash_low, sum->hash_high};
    dh_content_hash_add(&hash, (dh_content_hash){part->hash_low, part->hash_high});
    sum->hash_low = hash.low;
    sum->hash_high = hash.high;
    for (uint32_t i = 0; i < sum_count; i++) {
        all->sums[part->source][i] += ((const uint64_t *)(part + 1))[i];
    }
}

static inline dh_status take_chunk(void *context, dh_chunk *chunk)
{
    collected *all = context;
    const dh_schema *schema = chunk->schema;
    assert_true(chunk->rows <= DH_CHUNK_ROWS);
    for (uint32_t c = 0; c < schema->column_count; c++) {
        if (c != DH_ENGINE_ID_END) {
            assert_ok(dh_buffer_append(&all->column[c], chunk->column[c], chunk->rows * schema->row_size[c]));
        }
    }
    take_ids(all, chunk);
    assert_ok(dh_buffer_append(&all->bad, chunk->bad.data, chunk->bad.size));
    assert_int_equal(chunk->bad.size, chunk->bad_count * sizeof(dh_bad_record));
    assert_true(schema->source_sum_count <= COUNT(all->sums[0]));
    uint64_t documents = 0;
    uint64_t before = 0;
    for (uint32_t p = 0; p < chunk->part_count; p++) {
        const dh_source_part *part = (const void *)(chunk->parts.data + p * dh_part_size(schema));
        assert_true(p == 0 || part->source > before); /* ascending */
        before = part->source;
        documents += part->documents;
        take_part(all, part, schema->source_sum_count);
    }
    assert_int_equal(documents, chunk->rows);
    all->rows += chunk->rows;
    all->chunks++;
    all->largest_chunk = chunk->rows > all->largest_chunk ? chunk->rows : all->largest_chunk;
    all->most_parts = chunk->part_count > all->most_parts ? chunk->part_count : all->most_parts;
    all->most_bad = chunk->bad_count > all->most_bad ? chunk->bad_count : all->most_bad;
    return DH_OK;
}

static inline void free_collected(collected *all)
{
    for (uint32_t c = 0; c < DH_SCHEMA_COLUMNS_MAX; c++) {
        dh_buffer_free(&all->column[c]);
    }
    dh_buffer_free(&all->ids);
    dh_buffer_free(&all->bad);
    free(all);
}

static inline dh_status create(const dh_settings *settings, dh_chunk_taker *take, void *context,
                               dh_pipeline **out)
{
    const dh_pipeline_hooks hooks = {.take = take, .context = context};
    return dh_pipeline_create(settings, &hooks, out);
}

/* Runs the sources, all as one work item. */
static inline collected *process(const dh_settings *settings, const char *const *path, uint32_t count)
{
    collected *all = calloc(1, sizeof *all);
    assert_non_null(all);
    all->settings = settings;
    dh_pipeline *pipeline = NULL;
    assert_ok(create(settings, take_chunk, all, &pipeline));
    for (uint32_t s = 0; s < count; s++) {
        assert_ok(dh_pipeline_source(pipeline, s, path[s], path[s], 0, UINT64_MAX));
    }
    assert_ok(dh_pipeline_finish_segment(pipeline));
    all->stats = dh_pipeline_statistics(pipeline);
    assert_int_equal(all->stats.documents, all->rows);
    assert_int_equal(all->stats.bad, all->bad.size / sizeof(dh_bad_record));
    dh_pipeline_free(pipeline);
    return all;
}

static inline collected *process_bytes(const char *const *argument, const void *bytes, size_t size)
{
    static dh_options options;
    static dh_settings settings;
    assert_ok(resolve(argument, &options, &settings));
    const char *path = support_write("corpus.jsonl", bytes, size);
    collected *all = process(&settings, &path, 1);
    all->settings = NULL;
    dh_settings_free(&settings);
    dh_options_free(&options);
    return all;
}

static inline collected *process_text(const char *const *argument, const char *text)
{
    return process_bytes(argument, text, strlen(text));
}

#define COLUMN(all, type, index) ((const type *)(const void *)(all)->column[index].data)

static inline const dh_bad_record *bad_of(const collected *all, size_t index)
{
    assert_true((index + 1) * sizeof(dh_bad_record) <= all->bad.size);
    return (const dh_bad_record *)(const void *)all->bad.data + index;
}

static inline const char *id_of(const collected *all, size_t row)
{
    const char *id = (const char *)all->ids.data;
    for (; row > 0; row--) {
        id += strlen(id) + 1;
    }
    return id;
}

/* ---- files ------------------------------------------------------------------------------------------- */

static inline const char *lexicon_path(void)
{
    static char path[4400];
    (void)snprintf(path, sizeof path, "%s",
                   support_write_text("lexicon.tsv",
                                      "@format\tdhatu-lexicon 1\n@language\ten\n@categories\tA B\n"
                                      "@negators\tnot\n@function\tthe of\ngood\tA\t+\nbad*\tB\t-\n"));
    return path;
}

/* A file of documents of all sizes, of escapes, ill-formed ones, bad lines. */
static inline dh_buffer random_corpus(size_t documents, size_t text_max)
{
    static const char *const piece[] = {"good ", "bad",     "not ",         "the of ", "badly ",
                                        "x",     " ",       "\\n",          "\\u00e9", "\xC3\xA9",
                                        "\xFF",  "\\ud800", "\xE4\xB8\xAD", "word ",   "of "};
    dh_buffer text = {0};
    for (size_t d = 0; d < documents; d++) {
        if (support_random_below(20) == 0) {
            assert_ok(dh_buffer_printf(&text, "%s\n", support_random_below(2) == 0 ? "" : "{\"bad\":1}"));
        }
        const uint64_t number = support_random();
        assert_ok(dh_buffer_printf(&text, "{\"id\":\"%s%llu\",\"lang\":\"%s\",\"text\":\"",
                                   number % 7 == 0 ? "\\t" : "", (unsigned long long)number,
                                   number % 3 == 0 ? "en" : "?"));
        const size_t limit = support_random_below(50) == 0 ? text_max : 300;
        const size_t end = text.size + (size_t)support_random_below(limit);
        while (text.size < end) {
            /* few of the ill-formed ones */
            size_t p = (size_t)support_random_below(COUNT(piece));
            p = (p == 10 || p == 11) && support_random_below(20) > 0 ? 0 : p;
            assert_ok(dh_buffer_append(&text, piece[p], strlen(piece[p])));
        }
        assert_ok(dh_buffer_printf(&text, "\"}\n"));
    }
    return text;
}

#endif
