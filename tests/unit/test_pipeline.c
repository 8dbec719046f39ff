/* Tests of run/pipeline.h: records to columns, with settings resolved from options. */
#include "pipeline_runs.h"

#include "lexicon/language.h"

static void expect_same(const collected *a, const collected *b)
{
    assert_int_equal(a->rows, b->rows);
    for (uint32_t c = 0; c < DH_SCHEMA_COLUMNS_MAX; c++) {
        assert_int_equal(a->column[c].size, b->column[c].size);
        if (a->column[c].size > 0 && memcmp(a->column[c].data, b->column[c].data, a->column[c].size) != 0) {
            fail_msg("column %u differs", c);
        }
    }
    assert_int_equal(a->ids.size, b->ids.size);
    assert_memory_equal(a->ids.data, b->ids.data, a->ids.size);
    assert_int_equal(a->bad.size, b->bad.size);
    assert_true(a->bad.size == 0 || memcmp(a->bad.data, b->bad.data, a->bad.size) == 0);
    assert_memory_equal(a->part, b->part, sizeof a->part);
    assert_memory_equal(a->sums, b->sums, sizeof a->sums);
}

/* ---- documents --------------------------------------------------------------------------------------- */

#define DIGEST LIST("-j", "digest,null", "in")

static void test_columns_of_the_engine(void **state)
{
    (void)state;
    collected *all =
        process_text(DIGEST, "{\"text\":\"one two\",\"lang\":\"fr-CA\"}\n\n{\"text\":\"\"}\nbad\n"
                             "{\"text\":\"caf\\u00e9 \xFF\",\"lang\":\"en\"}\n");
    assert_int_equal(all->rows, 3);
    static const uint64_t record[] = {0, 2, 4};
    static const uint64_t offset[] = {0, 35, 51};
    static const uint32_t bytes[] = {7, 0, 9};
    static const uint32_t tokens[] = {2, 0, 1};
    static const uint8_t status[] = {DH_DOCUMENT_OK, DH_DOCUMENT_EMPTY, DH_DOCUMENT_REPAIRED};
    for (size_t row = 0; row < 3; row++) {
        assert_int_equal(COLUMN(all, uint32_t, DH_ENGINE_SOURCE)[row], 0);
        assert_int_equal(COLUMN(all, uint64_t, DH_ENGINE_RECORD)[row], record[row]);
        assert_int_equal(COLUMN(all, uint64_t, DH_ENGINE_OFFSET)[row], offset[row]);
        assert_int_equal(COLUMN(all, uint32_t, DH_ENGINE_BYTES)[row], bytes[row]);
        assert_int_equal(COLUMN(all, uint32_t, DH_ENGINE_TOKENS)[row], tokens[row]);
        assert_int_equal(COLUMN(all, uint8_t, DH_ENGINE_STATUS)[row], status[row]);
    }
    assert_int_equal(COLUMN(all, uint16_t, DH_ENGINE_LANGUAGE)[0], dh_language_parse("fr", 2));
    assert_int_equal(COLUMN(all, uint16_t, DH_ENGINE_LANGUAGE)[1], DH_LANGUAGE_UNKNOWN);
    assert_int_equal(COLUMN(all, uint16_t, DH_ENGINE_LANGUAGE)[2], dh_language_parse("en", 2));
    assert_int_equal(all->part[0].documents, 3);
    assert_int_equal(all->part[0].bad, 1);
    assert_int_equal(all->part[0].lines, 5);
    assert_int_equal(all->part[0].blank_lines, 1);
    assert_int_equal(all->part[0].replaced, 1);
    assert_int_equal(bad_of(all, 0)->reason, DH_REASON_JSON_SYNTAX);
    assert_int_equal(bad_of(all, 0)->offset, 47);
    assert_int_equal(bad_of(all, 0)->record, 3);
    assert_int_equal(bad_of(all, 0)->size, 4);
    free_collected(all);
}

static void expect_sha256(const collected *all, size_t row, const void *text, size_t size)
{
    uint8_t digest[DH_SHA256_SIZE];
    char hex[2 * DH_SHA256_SIZE + 1];
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, text, size);
    dh_sha256_end(&sha, digest);
    for (int i = 0; i < DH_SHA256_SIZE; i++) {
        (void)snprintf(hex + (size_t)2 * (size_t)i, 3, "%02x", digest[i]);
    }
    assert_memory_equal(all->column[DH_ENGINE_COLUMNS].data + row * 64, hex, 64);
}

/* The texts that jobs see: unescaped, repaired, well-formed; both in a batch and as giants. */
static void test_texts_are_unescaped_and_repaired(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text;
        uint64_t replaced;
    } cases[] = {
        {"plain", "plain", 0},
        {"a\\n\\\"\\\\\\/b", "a\n\"\\/b", 0},
        {"\\u00e9\\ud83d\\ude00", "\xC3\xA9\xF0\x9F\x98\x80", 0},
        {"\\ud83d!", "\xEF\xBF\xBD!", 1},
        {"x\xFFy\xFEz", "x\xEF\xBF\xBDy\xEF\xBF\xBDz", 2},
        {"cut \xE2\x82", "cut \xEF\xBF\xBD", 1},
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD", 2},
        {"\xFF\\ud800\xC3\xA9", "\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA9", 2},
    };
    for (int giant = 0; giant < 2; giant++) {
        dh_buffer file = {0};
        dh_buffer expected = {0};
        char padding[3000];
        memset(padding, 'p', sizeof padding);
        padding[giant ? sizeof padding - 1 : 0] = '\0';
        for (size_t i = 0; i < COUNT(cases); i++) {
            assert_ok(dh_buffer_printf(&file, "{\"text\":\"%s%s\"}\n", padding, cases[i].json));
        }
        collected *all = process_bytes(LIST("-j", "null", "--batch-size", "1K", "in"), file.data, file.size);
        assert_int_equal(all->rows, COUNT(cases));
        uint64_t replaced = 0;
        for (size_t i = 0; i < COUNT(cases); i++) {
            expected.size = 0;
            assert_ok(dh_buffer_printf(&expected, "%s%s", padding, cases[i].text));
            expect_sha256(all, i, expected.data, expected.size);
            assert_int_equal(COLUMN(all, uint32_t, DH_ENGINE_BYTES)[i], expected.size);
            const bool repaired = COLUMN(all, uint8_t, DH_ENGINE_STATUS)[i] == DH_DOCUMENT_REPAIRED;
            assert_int_equal(repaired, cases[i].replaced > 0);
            replaced += cases[i].replaced;
        }
        assert_int_equal(all->part[0].replaced, replaced);
        free_collected(all);
        dh_buffer_free(&file);
        dh_buffer_free(&expected);
    }
}

static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *json, *id;
    } cases[] = {
        {"", ""},
        {"\"id\":\"man:ls.1\",", "man:ls.1"},
        {"\"id\":17,", "17"},
        {"\"id\":-1.50e+3,", "-1.50e+3"},
        {"\"id\":null,", ""},
        {"\"id\":true,", ""},
        {"\"id\":[1],", ""},
        {"\"id\":{\"a\":1},", ""},
        {"\"id\":\"\",", ""},
        {"\"id\":\"a\\nb\\tc\\u0000d\x7F\",", "a b c d "},
        {"\"id\":\"caf\\u00e9\",", "caf\xC3\xA9"},
        {"\"id\":\"x\xFFy\",", "x\xEF\xBF\xBDy"},
        {"\"id\":\"\\ud800\",", "\xEF\xBF\xBD"},
    };
    dh_buffer file = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_ok(dh_buffer_printf(&file, "{%s\"text\":\"x\"}\n", cases[i].json));
    }
    collected *all = process_bytes(DIGEST, file.data, file.size);
    assert_int_equal(all->rows, COUNT(cases));
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_string_equal(id_of(all, i), cases[i].id);
        assert_int_equal(COLUMN(all, uint8_t, DH_ENGINE_STATUS)[i], DH_DOCUMENT_OK); /* ids do not count */
    }
    free_collected(all);
    dh_buffer_free(&file);
}

static void test_long_ids_are_cut_at_a_character_and_end_in_a_hash(void **state)
{
    (void)state;
    dh_buffer file = {0};
    for (int size = 60; size <= 70; size++) { /* of "aaa...", and of two-byte letters behind one byte */
        char id[256] = "a";
        for (int i = 1; i < size; i++) {
            (void)strcat(id, "a");
        }
        assert_ok(dh_buffer_printf(&file, "{\"id\":\"%s\",\"text\":\"x\"}\n", id));
        id[1] = '\0';
        for (int i = 0; i < size / 2; i++) {
            (void)strcat(id, "\xC3\xA9");
        }
        assert_ok(dh_buffer_printf(&file, "{\"id\":\"%s\",\"text\":\"x\"}\n", id));
    }
    collected *all = process_bytes(LIST("-j", "null", "--max-id", "64", "in"), file.data, file.size);
    for (size_t row = 0; row < all->rows; row++) {
        const char *id = id_of(all, row);
        const size_t written = row % 2 == 0 ? 60 + row / 2 : 1 + (60 + row / 2) / 2 * 2;
        if (written <= 64) {
            assert_int_equal(strlen(id), written);
            assert_null(strchr(id, '_'));
            continue;
        }
        const size_t keep = 47; /* 64 less 17; also 1 and 23 letters of two bytes */
        assert_int_equal(strlen(id), keep + 17);
        assert_int_equal(id[keep], '_');
        assert_int_equal(strspn(id + keep + 1, "0123456789abcdef"), 16);
        for (size_t other = 0; other < row; other++) {
            const size_t other_written = other % 2 == 0 ? 60 + other / 2 : 1 + (60 + other / 2) / 2 * 2;
            assert_true(other % 2 != row % 2 || other_written == written ||
                        strcmp(id, id_of(all, other)) != 0);
        }
    }
    free_collected(all);
    dh_buffer_free(&file);
    all = process_text(
        LIST("-j", "null", "--max-id", "65", "in"),
        "{\"id\":\"aa\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
        "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
        "\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\",\"text\":"
        "\"x\"}");
    const char *id =
        id_of(all, 0); /* 2 + 44 bytes, and the euro sign that begins at 46 does not fit into 48 */
    assert_int_equal(strlen(id), 46 + 17);
    assert_int_equal(id[46], '_');
    free_collected(all);
}

static void test_languages(void **state)
{
    (void)state;
    static const char text[] = "{\"text\":\"good\",\"lang\":\"en\"}\n"      /* named */
                               "{\"text\":\"good\",\"lang\":\"de\"}\n"      /* no lexicon */
                               "{\"text\":\"the good\"}\n"                  /* voted */
                               "{\"text\":\"good\"}\n"                      /* nothing known */
                               "{\"text\":\"good\",\"lang\":\"klingon\"}\n" /* no tag */
                               "{\"text\":\"the badly\",\"lang\":17}\n";    /* voted; a prefix */
    const char *lexicon = lexicon_path();
    collected *all = process_text(LIST("-l", lexicon, "in"), text);
    const uint16_t en = dh_language_parse("en", 2);
    const uint16_t de = dh_language_parse("de", 2);
    const uint16_t expected[] = {en, de, en, 0, 0, en};
    static const uint64_t good[] = {1, 0, 1, 0, 0, 0};
    const uint32_t first = DH_ENGINE_COLUMNS + 1; /* behind documents' one column: dhatu, dhatu_counts */
    for (size_t row = 0; row < 6; row++) {
        assert_int_equal(COLUMN(all, uint16_t, DH_ENGINE_LANGUAGE)[row], expected[row]);
        assert_int_equal(COLUMN(all, uint32_t, first + 1)[4 * row], good[row]);
        assert_int_equal(COLUMN(all, uint32_t, first + 1)[4 * row + 3], row == 5);
    }
    assert_int_equal(all->sums[0][0], 2);
    assert_int_equal(all->sums[0][3], 1);
    free_collected(all);
    all = process_text(LIST("-l", lexicon, "--lang", "EN-us", "in"), text);
    for (size_t row = 0; row < 6; row++) {
        assert_int_equal(COLUMN(all, uint16_t, DH_ENGINE_LANGUAGE)[row], row == 1 ? de : en);
    }
    assert_int_equal(all->sums[0][0], 4);
    free_collected(all);
}

static void test_fields_are_where_the_options_say(void **state)
{
    (void)state;
    collected *all = process_text(LIST("-j", "null", "--text-field", "body.text", "--id-field", "meta.key",
                                       "--lang-field", "meta.l", "in"),
                                  "{\"text\":\"no\",\"body\":{\"text\":\"three good "
                                  "words\"},\"meta\":{\"key\":\"k\",\"l\":\"fr\"}}\n{\"text\":\"x\"}\n");
    assert_int_equal(all->rows, 1);
    assert_int_equal(COLUMN(all, uint32_t, DH_ENGINE_TOKENS)[0], 3);
    assert_string_equal(id_of(all, 0), "k");
    assert_int_equal(COLUMN(all, uint16_t, DH_ENGINE_LANGUAGE)[0], dh_language_parse("fr", 2));
    assert_int_equal(bad_of(all, 0)->reason, DH_REASON_TEXT_MISSING);
    free_collected(all);
}

static void test_too_many_tokens(void **state)
{
    (void)state;
    static const char text[] = "{\"text\":\"a b c\"}\n{\"text\":\"a b c d\"}\n{\"text\":\"e f g\"}\n";
    static const char *const batch[] = {"1K", "1M"};
    for (int i = 0; i < 2; i++) {
        collected *all =
            process_text(LIST("-j", "null", "--max-tokens", "3", "--batch-size", batch[i], "in"), text);
        assert_int_equal(all->rows, 2);
        assert_int_equal(bad_of(all, 0)->reason, DH_REASON_TOO_MANY_TOKENS);
        assert_int_equal(bad_of(all, 0)->offset, 17);
        expect_sha256(all, 1, "e f g", 5);
        assert_int_equal(all->part[0].bad, 1);
        free_collected(all);
    }
}

/* The same of a giant: its neighbours must not be touched. */
static void test_a_giant_with_too_many_tokens(void **state)
{
    (void)state;
    dh_buffer file = {0};
    assert_ok(dh_buffer_printf(&file, "{\"text\":\"before\"}\n{\"text\":\""));
    for (int i = 0; i < 2000; i++) {
        assert_ok(dh_buffer_printf(&file, "w\\u0020"));
    }
    assert_ok(dh_buffer_printf(&file, "\"}\n{\"text\":\"after\"}\n"));
    for (int over = 0; over < 2; over++) {
        collected *all = process_bytes(
            LIST("-j", "null", "--max-tokens", over ? "1999" : "2000", "--batch-size", "1K", "in"), file.data,
            file.size);
        assert_int_equal(all->rows, over ? 2 : 3);
        assert_int_equal(all->stats.bad, over);
        expect_sha256(all, 0, "before", 6);
        expect_sha256(all, all->rows - 1, "after", 5);
        free_collected(all);
    }
    dh_buffer_free(&file);
}

static void test_a_large_text_that_is_not_utf8_is_not_repaired(void **state)
{
    (void)state;
    const size_t size = (64 << 20) + 1;
    for (int over = 0; over < 2; over++) {
        char *file = malloc(size + 32);
        assert_non_null(file);
        memset(file, 'x', size + 32);
        memcpy(file, "{\"text\":\"", 9);
        file[9] = '\xFF'; /* and a text of 64 MiB, or one byte more */
        memcpy(file + 9 + size - (over ? 0 : 1), "\"}\n", 3);
        collected *all = process_bytes(LIST("-j", "null", "in"), file, 9 + size - (over ? 0 : 1) + 3);
        assert_int_equal(all->rows, over ? 0 : 1);
        if (over) {
            assert_int_equal(bad_of(all, 0)->reason, DH_REASON_INVALID_UTF8);
        } else {
            assert_int_equal(COLUMN(all, uint8_t, DH_ENGINE_STATUS)[0], DH_DOCUMENT_REPAIRED);
            assert_int_equal(COLUMN(all, uint32_t, DH_ENGINE_BYTES)[0], (64 << 20) + 2);
        }
        free_collected(all);
        free(file);
    }
}

/* ---- batches and chunks ------------------------------------------------------------------------------ */

static void test_batch_sizes_give_the_same_columns(void **state)
{
    (void)state;
    const char *lexicon = lexicon_path();
    static const char *const batch[] = {"1K", "1025", "4K", "64K", "1M"};
    for (unsigned turn = 0; turn < support_turns(3); turn++) {
        dh_buffer text = random_corpus(3000, turn == 0 ? 20000 : 200000);
        collected *first = NULL;
        for (size_t i = 0; i < COUNT(batch); i++) {
            collected *all = process_bytes(LIST("-j", "profile,digest,null", "-l", lexicon, "--max-tokens",
                                                "5000", "--batch-size", batch[i], "in"),
                                           text.data, text.size);
            assert_int_equal(all->rows + all->stats.bad + all->part[0].blank_lines, all->part[0].lines);
            if (first == NULL) {
                first = all;
                assert_true(all->part[0].replaced > 0 && all->sums[0][0] > 0 && all->sums[0][3] > 0);
            } else {
                expect_same(first, all);
                free_collected(all);
            }
        }
        free_collected(first);
        dh_buffer_free(&text);
    }
}

/* Sums by source are those of the columns. */
static void test_source_sums_are_those_of_the_columns(void **state)
{
    (void)state;
    enum { FILES = 40 };
    dh_options options;
    dh_settings settings;
    assert_ok(resolve(LIST("-j", "null,profile", "-l", lexicon_path(), "--batch-size", "8K", "in"), &options,
                      &settings));
    char path_memory[FILES][64];
    const char *path[FILES];
    assert_int_equal(chdir(support_folder), 0);
    for (size_t f = 0; f < FILES; f++) {
        dh_buffer text =
            random_corpus(support_random_below(3) == 0 ? 0 : (size_t)support_random_below(100), 20000);
        (void)snprintf(path_memory[f], sizeof path_memory[f], "many-%zu.jsonl", f);
        path[f] = path_memory[f];
        (void)support_write(path[f], text.data, text.size);
        dh_buffer_free(&text);
    }
    collected *all = process(&settings, path, FILES);
    uint64_t sums[FILES][5] = {{0}};
    uint64_t documents[FILES] = {0};
    const uint32_t even = settings.job[1].first_column;
    const uint32_t counts = settings.job[2].first_column + 1;
    for (size_t row = 0; row < all->rows; row++) {
        const uint32_t source = COLUMN(all, uint32_t, DH_ENGINE_SOURCE)[row];
        documents[source]++;
        sums[source][0] += COLUMN(all, uint32_t, even)[row];
        for (size_t i = 0; i < 4; i++) {
            sums[source][1 + i] += COLUMN(all, uint32_t, counts)[4 * row + i];
        }
    }
    for (size_t f = 0; f < FILES; f++) {
        assert_memory_equal(all->sums[f], sums[f], sizeof sums[f]);
        assert_int_equal(all->part[f].documents, documents[f]);
    }
    free_collected(all);
    dh_settings_free(&settings);
    dh_options_free(&options);
    assert_int_equal(chdir("/"), 0);
}

static void test_chunks_have_at_most_8192_rows(void **state)
{
    (void)state;
    static const uint32_t documents[] = {1, 4095, 4096, 4097, 8191, 8192, 8193, 20000};
    for (size_t i = 0; i < COUNT(documents); i++) {
        dh_buffer text = {0};
        for (uint32_t d = 0; d < documents[i]; d++) {
            assert_ok(dh_buffer_printf(&text, "{\"id\":%u,\"text\":\"w%u\"}\n", d, d));
        }
        collected *all = process_bytes(LIST("-j", "null", "in"), text.data, text.size);
        assert_int_equal(all->rows, documents[i]);
        assert_int_equal(all->chunks, (documents[i] + DH_CHUNK_ROWS - 1) / DH_CHUNK_ROWS);
        for (uint32_t d = 0; d < documents[i]; d++) {
            assert_int_equal(COLUMN(all, uint64_t, DH_ENGINE_RECORD)[d], d);
        }
        free_collected(all);
        dh_buffer_free(&text);
    }
}

static void test_bad_records_are_split_over_chunks(void **state)
{
    (void)state;
    dh_buffer text = {0};
    for (int d = 0; d < 20000; d++) {
        assert_ok(dh_buffer_printf(&text, d % 10 == 0 ? "{\"text\":\"x\"}\n" : "%d\n", d));
    }
    collected *all = process_bytes(LIST("-j", "null", "in"), text.data, text.size);
    assert_int_equal(all->rows, 2000);
    assert_int_equal(all->stats.bad, 18000);
    assert_int_equal(all->part[0].bad, 18000);
    assert_true(all->most_bad <= 8192);
    assert_int_equal(all->part[0].lines, 20000);
    free_collected(all);
    dh_buffer_free(&text);
}

/* Neither sources with one document nor those with none make a chunk's list of sources endless. */
static void test_a_chunk_has_at_most_8192_sources(void **state)
{
    (void)state;
    for (int empty = 0; empty < 2; empty++) {
        dh_options options;
        dh_settings settings;
        assert_ok(resolve(LIST("-j", "null", "in"), &options, &settings));
        collected *all = calloc(1, sizeof *all);
        assert_non_null(all);
        dh_pipeline *pipeline = NULL;
        assert_ok(create(&settings, take_chunk, all, &pipeline));
        const char *path = support_write_text("one.jsonl", empty ? "" : "{\"text\":\"x\"}\n");
        for (uint32_t s = 0; s < 9000; s++) {
            assert_ok(dh_pipeline_source(pipeline, s, path, "one.jsonl", 0, UINT64_MAX));
        }
        assert_ok(dh_pipeline_finish_segment(pipeline));
        assert_int_equal(all->rows, empty ? 0 : 9000);
        assert_int_equal(all->chunks, 2);
        assert_true(all->most_parts <= 8192);
        dh_pipeline_free(pipeline);
        free_collected(all);
        dh_settings_free(&settings);
        dh_options_free(&options);
    }
}

static dh_status refuse_chunk(void *context, dh_chunk *chunk)
{
    (void)chunk;
    *(int *)context += 1;
    return DH_IO;
}

static void test_an_error_of_the_taker_ends_the_run(void **state)
{
    (void)state;
    dh_options options;
    dh_settings settings;
    assert_ok(resolve(LIST("-j", "null", "in"), &options, &settings));
    int calls = 0;
    dh_pipeline *pipeline = NULL;
    assert_ok(create(&settings, refuse_chunk, &calls, &pipeline));
    assert_ok(dh_pipeline_finish_segment(pipeline)); /* nothing to hand on */
    assert_int_equal(calls, 0);
    const char *path = support_write_text("one.jsonl", "{\"text\":\"x\"}\n");
    assert_ok(dh_pipeline_source(pipeline, 0, path, "one.jsonl", 0, UINT64_MAX));
    assert_int_equal(dh_pipeline_finish_segment(pipeline), DH_IO);
    assert_int_equal(calls, 1);
    dh_pipeline_free(pipeline);
    dh_pipeline_free(NULL);
    dh_settings_free(&settings);
    dh_options_free(&options);
}

/* verify reads some documents again: their columns are those of the run. */
static collected *pick(const dh_settings *settings, const char *path, const uint64_t *offset, uint64_t count,
                       uint64_t expected)
{
    collected *some = calloc(1, sizeof *some);
    assert_non_null(some);
    uint64_t found = 99;
    dh_pipeline *pipeline = NULL;
    assert_ok(create(settings, take_chunk, some, &pipeline));
    assert_ok(dh_pipeline_pick(pipeline, 0, path, path, offset, count, &found));
    assert_int_equal(found, expected);
    assert_int_equal(some->rows, expected);
    dh_pipeline_free(pipeline);
    return some;
}

static void expect_same_row(const dh_schema *schema, const collected *a, size_t row, const collected *b,
                            size_t other)
{
    for (uint32_t c = 0; c < schema->column_count; c++) {
        const size_t size = schema->row_size[c];
        if (c != DH_ENGINE_ID_END) {
            assert_memory_equal(a->column[c].data + row * size, b->column[c].data + other * size, size);
        }
    }
    assert_string_equal(id_of(a, row), id_of(b, other));
}

static void test_documents_are_picked_by_their_offsets(void **state)
{
    (void)state;
    dh_options options;
    dh_settings settings;
    assert_ok(resolve(LIST("-j", "profile,digest", "-l", lexicon_path(), "in"), &options, &settings));
    dh_buffer text = random_corpus(60, 5000);
    const char *path = support_write("again.jsonl", text.data, text.size);
    collected *all = process(&settings, &path, 1);
    const uint64_t *offset = COLUMN(all, uint64_t, DH_ENGINE_OFFSET);
    for (size_t row = 0; row < all->rows; row++) {
        collected *one = pick(&settings, path, offset + row, 1, 1);
        expect_same_row(&settings.schema, all, row, one, 0);
        free_collected(one);
    }
    /* every third one, with offsets between them at which no record begins, and one behind the end */
    uint64_t wanted[100];
    uint64_t count = 0;
    for (size_t row = 0; row < all->rows; row += 3) {
        wanted[count++] = offset[row];
        wanted[count++] = offset[row] + 1;
    }
    wanted[count++] = text.size;
    collected *some = pick(&settings, path, wanted, count, (all->rows + 2) / 3);
    for (size_t row = 0; row < some->rows; row++) {
        expect_same_row(&settings.schema, all, 3 * row, some, row);
    }
    free_collected(some);
    free_collected(pick(&settings, path, wanted, 0, 0));
    free_collected(all);
    dh_buffer_free(&text);
    dh_settings_free(&settings);
    dh_options_free(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_of_the_engine),
        cmocka_unit_test(test_texts_are_unescaped_and_repaired),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_long_ids_are_cut_at_a_character_and_end_in_a_hash),
        cmocka_unit_test(test_languages),
        cmocka_unit_test(test_fields_are_where_the_options_say),
        cmocka_unit_test(test_too_many_tokens),
        cmocka_unit_test(test_a_giant_with_too_many_tokens),
        cmocka_unit_test(test_a_large_text_that_is_not_utf8_is_not_repaired),
        cmocka_unit_test(test_batch_sizes_give_the_same_columns),
        cmocka_unit_test(test_source_sums_are_those_of_the_columns),
        cmocka_unit_test(test_chunks_have_at_most_8192_rows),
        cmocka_unit_test(test_bad_records_are_split_over_chunks),
        cmocka_unit_test(test_a_chunk_has_at_most_8192_sources),
        cmocka_unit_test(test_an_error_of_the_taker_ends_the_run),
        cmocka_unit_test(test_documents_are_picked_by_their_offsets),
    };
    (void)unsetenv("DHATU_DATA");
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
