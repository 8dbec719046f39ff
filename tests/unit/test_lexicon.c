/* Tests of lexicon/lexicon.h: both formats, their errors, the compiled tables, find and vote. */
#include "support.h"

#include "kernels/profile_cpu.h"
#include "lexicon/language.h"
#include "lexicon/lexicon.h"

#include "kernels/sha256.h"

#define HEAD "@format\tdhatu-lexicon 1\n@language\ten\n@categories\tA B C\n"

/* ---- loading ----------------------------------------------------------------------------------------- */

static dh_lexicons *begin(void)
{
    dh_lexicons *lexicons = NULL;
    assert_ok(dh_lexicons_create(DH_TOKENS_UNICODE, &lexicons));
    return lexicons;
}

/* A set with one lexicon of this text, compiled. */
static dh_lexicons *load(const char *text)
{
    dh_lexicons *lexicons = begin();
    assert_ok(dh_lexicons_load(lexicons, support_write_text("lexicon", text)));
    assert_ok(dh_lexicons_compile(lexicons));
    return lexicons;
}

static void expect_refused_bytes(const void *text, size_t size, const char *line, const char *reason)
{
    dh_lexicons *lexicons = begin();
    const char *path = support_write("refused", text, size);
    support_capture_begin();
    const dh_status status = dh_lexicons_load(lexicons, path);
    const char *said = support_capture_end();
    char place[4500];
    (void)snprintf(place, sizeof place, "%s:%s", path, line);
    assert_says(said, place);
    assert_says(said, reason);
    assert_int_equal(status, DH_USAGE);
    dh_lexicons_free(lexicons);
}

/* Refused with PATH:LINE and the reason. */
static void expect_refused(const char *text, const char *line, const char *reason)
{
    expect_refused_bytes(text, strlen(text), line, reason);
}

/* ---- what a text matches ----------------------------------------------------------------------------- */

static dh_tokenizer *tokenizer; /* of all tests */

typedef struct outcome {
    uint32_t counts[2 * DH_CATEGORIES_MAX];
    uint32_t matched, tokens;
} outcome;

/* The counts of a text with lexicon number `index`. */
static outcome match_with(const dh_lexicons *lexicons, uint32_t index, const char *text)
{
    dh_token_sink sink = {.token_limit = 1000};
    dh_tokenizer_set_prefixes(tokenizer, dh_lexicons_prefixes(lexicons, index));
    assert_ok(dh_tokenize(tokenizer, (const uint8_t *)text, strlen(text), &sink));
    const dh_profile_document document = {.token = sink.token,
                                          .hit = sink.prefix_hit,
                                          .token_count = (uint32_t)sink.token_count,
                                          .hit_count = (uint32_t)sink.prefix_hit_count,
                                          .lexicon = index};
    outcome result = {.tokens = (uint32_t)sink.token_count};
    result.matched = dh_profile_count_cpu(dh_lexicons_tables(lexicons), &document, result.counts);
    dh_token_sink_free(&sink);
    return result;
}

/* counts: of three categories, A+ B+ C+ A- B- C-. */
static void expect_match(const dh_lexicons *lexicons, const char *text, uint32_t matched,
                         const uint32_t *counts)
{
    const outcome result = match_with(lexicons, 0, text);
    if (result.matched != matched || memcmp(result.counts, counts, 6 * sizeof *counts) != 0) {
        fail_msg("\"%s\": matched %u, counts %u %u %u %u %u %u", text, result.matched, result.counts[0],
                 result.counts[1], result.counts[2], result.counts[3], result.counts[4], result.counts[5]);
    }
}

#define COUNTS(...) ((const uint32_t[6]){__VA_ARGS__})

/* ---- the format tsv ---------------------------------------------------------------------------------- */

static void test_a_small_lexicon(void **state)
{
    (void)state;
    dh_lexicons *lexicons =
        load("# comment\n" HEAD "@name\tSmall\n\n@negators\tnot never\n@function\tthe of\n"
             "good\tA\t+\nbad\tA\t-\nin front of\tB\t+\nspeak*\tC\t+\n");
    const dh_lexicon_facts facts = dh_lexicons_facts(lexicons, 0);
    assert_string_equal(facts.name, "Small");
    assert_string_equal(facts.language, "en");
    assert_int_equal(facts.terms, 4);
    assert_int_equal(facts.negators, 2);
    assert_int_equal(facts.function_words, 2);
    assert_int_equal(dh_lexicons_count(lexicons), 1);
    const dh_profile_tables *tables = dh_lexicons_tables(lexicons);
    assert_int_equal(tables->category_count, 3);
    assert_int_equal(tables->denominator, 1);
    assert_int_equal(tables->term_count, 4);
    assert_string_equal(dh_lexicons_categories(lexicons)[2], "C");
    expect_match(lexicons, "Good, bad; SPEAKERS in front of a wall", 6, COUNTS(1, 1, 1, 1, 0, 0));
    expect_match(lexicons, "not good, never bad. in front", 2, COUNTS(1, 0, 0, 1, 0, 0));
    expect_match(lexicons, "", 0, COUNTS(0, 0, 0, 0, 0, 0));
    dh_lexicons_free(lexicons);
}

static void test_line_ends_and_a_byte_order_mark_do_not_matter(void **state)
{
    (void)state;
    dh_lexicons *lexicons =
        load("\xEF\xBB\xBF@format\tdhatu-lexicon 1\r\n@language\ten\r\n@categories\tA B C\r\n"
             "@negators\tnot\r\ngood\tA,B\t+\r\n\r\nbad\tC\t-\t1  \t \r\nlast\tC\t+");
    assert_int_equal(dh_lexicons_facts(lexicons, 0).terms, 3);
    assert_string_equal(dh_lexicons_categories(lexicons)[2], "C");
    expect_match(lexicons, "good not bad x x last", 3, COUNTS(1, 1, 4, 0, 0, 0));
    dh_lexicons_free(lexicons);
}

static void test_weights_have_one_denominator(void **state)
{
    (void)state;
    static const struct {
        const char *terms;
        uint32_t denominator;
        uint32_t counts[6]; /* of "one two" */
    } cases[] = {
        {"one\tA\t+\ntwo\tB\t-\n", 1, {1, 0, 0, 0, 1, 0}},
        {"one\tA\t+\t0.5\ntwo\tB\t-\n", 2, {1, 0, 0, 0, 2, 0}},
        {"one\tA,B\t+\ntwo\tB,C,A\t-\n", 6, {3, 3, 0, 2, 2, 2}},
        {"one\tA,B\t+\t2\ntwo\tB\t-\t3\n", 1, {1, 1, 0, 0, 3, 0}},
        {"one\tA\t+\t0.25\ntwo\tB\t+\t0.2\n", 20, {5, 4, 0, 0, 0, 0}},
        {"one\tA\t+\t255\ntwo\tB\t+\t1.\n", 1, {255, 1, 0, 0, 0, 0}},
        {"one\tA\t+\t0.0080\ntwo\tB\t+\t000.0160\n", 125, {1, 2, 0, 0, 0, 0}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, HEAD "%s", cases[i].terms);
        dh_lexicons *lexicons = load(text);
        assert_int_equal(dh_lexicons_tables(lexicons)->denominator, cases[i].denominator);
        expect_match(lexicons, "one two", 2, cases[i].counts);
        dh_lexicons_free(lexicons);
    }
}

static void test_weights_that_do_not_fit_together(void **state)
{
    (void)state;
    static const struct {
        const char *terms, *reason;
    } cases[] = {
        {"one\tA\t+\t0.0001\n", "common denominator above 255"},
        {"one\tA\t+\t0.003\n", "common denominator above 255"},
        {"one\tA\t+\t255\ntwo\tA\t+\t0.5\n", "is above 255"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, HEAD "%s", cases[i].terms);
        dh_lexicons *lexicons = begin();
        assert_ok(dh_lexicons_load(lexicons, support_write_text("lexicon", text)));
        support_capture_begin();
        const dh_status status = dh_lexicons_compile(lexicons);
        assert_says(support_capture_end(), cases[i].reason);
        assert_int_equal(status, DH_USAGE);
        assert_null(dh_lexicons_tables(lexicons));
        dh_lexicons_free(lexicons);
    }
}

static void test_bad_weights(void **state)
{
    (void)state;
    static const char *const bad[] = {"0",     "0.0", "-1",      "+1",   "256",
                                      "255.1", "1e2", ".5",      "1,5",  "x",
                                      "1x",    "1 x", "0.00001", "1000", "99999999999999999999"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, HEAD "one\tA\t+\t%s\n", bad[i]);
        expect_refused(text, "4: ", "a weight is a decimal above 0 and at most 255");
    }
}

static void test_errors_of_the_head(void **state)
{
    (void)state;
    expect_refused("@format\tdhatu-lexicon 2\n", "1: ", "this dhatu reads format \"dhatu-lexicon 1\", not");
    expect_refused("# x\n\n@format\n", "3: ", "a directive is @key, a tab and a value: @format");
    expect_refused("@format \tdhatu-lexicon 1\n", "1: ", "unknown directive: @format ");
    expect_refused("@licence\tx\n", "1: ", "unknown directive: @licence");
    expect_refused("one\tA\t+\n",
                   "1: ", "@format, @language and @categories must stand before the first entry");
    expect_refused("@format\tdhatu-lexicon 1\n@language\ten\none\tA\t+\n",
                   "3: ", "must stand before the first");
    expect_refused("@format\tdhatu-lexicon 1\n@categories\tA\none\tA\t+\n",
                   "3: ", "must stand before the first");
    expect_refused("@language\ten\n@categories\tA\n@negators\tnot\n", "3: ", "must stand before the first");
    expect_refused("@categories\tA B A\n", "1: ", "the category is named twice: A");
    expect_refused("@categories\t0123456789012345678901234567890123456789012345678901234567890123\n",
                   "1: ", "longer than 63 bytes");
    expect_refused("@format\tdhatu-lexicon 1\n@language\tenglish\n@categories\tA\none\tA\t+\n",
                   "4: ", "@language must be an ISO 639 code or *: english");
    expect_refused(HEAD "one\tA\t+\n@name\tlate\n",
                   "5: ", "this directive must stand before the first entry: @name");
    expect_refused(HEAD "one\tA\t+\n@categories\tD\n",
                   "5: ", "must stand before the first entry: @categories");
    expect_refused(HEAD, "3: ", "the lexicon has no entry");
    expect_refused("", "0: ", "the lexicon has no entry");
}

static void test_128_categories_and_no_more(void **state)
{
    (void)state;
    dh_buffer text = {0};
    assert_ok(dh_buffer_printf(&text, "@format\tdhatu-lexicon 1\n@language\ten\n@categories\t"));
    for (int c = 0; c < 128; c++) {
        assert_ok(dh_buffer_printf(&text, "c%d ", c));
    }
    const size_t size = text.size;
    assert_ok(dh_buffer_printf(&text, "\nx\tc0,c127\t+\n"));
    assert_ok(dh_buffer_append(&text, "", 1));
    dh_lexicons *lexicons = load((const char *)text.data);
    assert_int_equal(dh_lexicons_tables(lexicons)->category_count, 128);
    const outcome result = match_with(lexicons, 0, "x");
    assert_int_equal(result.counts[0], 1);
    assert_int_equal(result.counts[127], 1);
    dh_lexicons_free(lexicons);
    text.size = size;
    assert_ok(dh_buffer_printf(&text, " c128\nx\tc0\t+\n"));
    expect_refused_bytes(text.data, text.size, "3: ", "more than 128 categories");
    dh_buffer_free(&text);
}

static void test_errors_of_entries(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *reason;
    } bad[] = {
        {"one", "an entry is term, categories, polarity and maybe a weight"},
        {"one\tA", "an entry is term"},
        {"one\tA\t+\t1\tx", "an entry is term"},
        {"one A +", "an entry is term"},
        {"one\tD\t+", "unknown category: D"},
        {"one\ta\t+", "unknown category: a"},
        {"one\tA,B,A\t+", "the category is named twice: A"},
        {"one\t,\t+", "no category"},
        {"one\t\t+", "no category"},
        {"one\tA\t*", "a polarity is + or -, not: *"},
        {"one\tA\t", "an entry is term"},
        {"one\tA\t+-", "a polarity is + or -, not: +-"},
        {"...\tA\t+", "the term has no letter or digit: ..."},
        {"\tA\t+", "the term has no letter or digit"},
        {"*\tA\t+", "the term has no letter or digit"},
        {"a b c d e\tA\t+", "at most 4 tokens"},
        {"l'a-b c_d\tA\t+", "at most 4 tokens"},
        {"\xFF\tA\t+", "not UTF-8"},
        {"caf\xE9*\tA\t+", "not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, HEAD "fine\tA\t+\n%s\nfine too\tA\t+\n", bad[i].entry);
        expect_refused(text, "5: ", bad[i].reason);
    }
}

static void test_duplicates_are_found_after_normalisation(void **state)
{
    (void)state;
    expect_refused(HEAD "good\tA\t+\nGOOD\tB\t-\n", "5: ", "the term stands in the lexicon twice: GOOD");
    expect_refused(HEAD "caf\xC3\xA9\tA\t+\nx\tA\t+\ncafe\xCC\x81\tB\t-\n", "6: ", "twice");
    expect_refused(HEAD "in front\tA\t+\nin-front\tB\t-\n", "5: ", "twice");
    expect_refused(HEAD "good*\tA\t+\nGood*\tB\t-\n", "5: ", "twice");
    dh_lexicons *lexicons = load(HEAD "good\tA\t+\ngood*\tB\t-\ngood good\tC\t+\n"); /* these differ */
    assert_int_equal(dh_lexicons_facts(lexicons, 0).terms, 3);
    dh_lexicons_free(lexicons);
}

static void test_negators_stand_before_terms_and_are_one_token(void **state)
{
    (void)state;
    expect_refused(HEAD "good\tA\t+\n@negators\tnot\n",
                   "5: ", "negators must stand before the first term: not");
    expect_refused(HEAD "@negators\tnot don't\n", "4: ", "a negator is one token");
    expect_refused(HEAD "@negators\tnot ...\n", "4: ", "a negator is one token");
    expect_refused(HEAD "@function\tit's\n", "4: ", "a function word is one token");
    expect_refused(HEAD "@function\t\xC3\n", "4: ", "not UTF-8");
    dh_lexicons *lexicons =
        load(HEAD "@negators\tnot\n@function\tthe\n@negators\tno\ngood\tA\t+\n@function\tof\n");
    assert_int_equal(dh_lexicons_facts(lexicons, 0).negators, 2);
    assert_int_equal(dh_lexicons_facts(lexicons, 0).function_words, 2);
    dh_lexicons_free(lexicons);
}

static void test_negators_reach_three_tokens_and_turn_only_once(void **state)
{
    (void)state;
    dh_lexicons *lexicons =
        load(HEAD "@negators\tnot never no\ngood\tA\t+\nbad\tB\t-\nno doubt\tC\t+\nnever\tC\t-\n");
    expect_match(lexicons, "not good", 1, COUNTS(0, 0, 0, 1, 0, 0));
    expect_match(lexicons, "not x good", 1, COUNTS(0, 0, 0, 1, 0, 0));
    expect_match(lexicons, "not x x good", 1, COUNTS(0, 0, 0, 1, 0, 0));
    expect_match(lexicons, "not x x x good", 1, COUNTS(1, 0, 0, 0, 0, 0));
    expect_match(lexicons, "not not good", 1, COUNTS(0, 0, 0, 1, 0, 0));
    expect_match(lexicons, "good not", 1, COUNTS(1, 0, 0, 0, 0, 0));
    expect_match(lexicons, "not bad", 1, COUNTS(0, 1, 0, 0, 0, 0));
    /* terms that hold a negator are not turned, but turn others */
    expect_match(lexicons, "not no doubt", 2, COUNTS(0, 0, 1, 0, 0, 0));
    expect_match(lexicons, "never good", 2, COUNTS(0, 0, 0, 1, 0, 1));
    expect_match(lexicons, "not never", 1, COUNTS(0, 0, 0, 0, 0, 1));
    dh_lexicons_free(lexicons);
}

static void test_negators_are_of_one_lexicon(void **state)
{
    (void)state;
    dh_lexicons *lexicons = begin();
    assert_ok(dh_lexicons_load(lexicons, support_write_text("one", HEAD "@negators\tnot\ngood\tA\t+\n")));
    assert_ok(dh_lexicons_load(
        lexicons, support_write_text("two", "@format\tdhatu-lexicon 1\n@language\tfr\n@categories\tA B "
                                            "C\n@negators\tpas\ngood\tB\t+\nnot\tC\t+\n")));
    assert_ok(dh_lexicons_compile(lexicons));
    outcome result = match_with(lexicons, 0, "not good pas x x x good");
    assert_int_equal(result.counts[3], 1);
    assert_int_equal(result.counts[0], 1);
    result = match_with(lexicons, 1, "not good pas good");
    assert_int_equal(result.counts[1], 1);
    assert_int_equal(result.counts[2], 1);
    assert_int_equal(result.counts[4], 1);
    dh_lexicons_free(lexicons);
}

static void test_the_longest_match_wins(void **state)
{
    (void)state;
    dh_lexicons *lexicons =
        load(HEAD "in\tA\t+\nin front of\tB\t+\nfront\tC\t+\nin case\tA\t-\nspeak*\tA\t+\nspeaker*\tB\t+\n"
                  "speakers\tC\t+\nlook forw*\tC\t-\nlook\tA\t+\n");
    expect_match(lexicons, "in front of", 3, COUNTS(0, 1, 0, 0, 0, 0));
    expect_match(lexicons, "in front", 2, COUNTS(1, 0, 1, 0, 0, 0));
    expect_match(lexicons, "in case in", 3, COUNTS(1, 0, 0, 1, 0, 0));
    expect_match(lexicons, "in in front of front", 5, COUNTS(1, 1, 1, 0, 0, 0));
    expect_match(lexicons, "speak speaking", 2, COUNTS(2, 0, 0, 0, 0, 0));
    expect_match(lexicons, "speaker speakerphone", 2, COUNTS(0, 2, 0, 0, 0, 0));
    expect_match(lexicons, "speakers", 1, COUNTS(0, 0, 1, 0, 0, 0));
    expect_match(lexicons, "spea unspeakable", 0, COUNTS(0, 0, 0, 0, 0, 0));
    expect_match(lexicons, "look forward", 2, COUNTS(0, 0, 0, 0, 0, 1));
    expect_match(lexicons, "look forw", 2, COUNTS(0, 0, 0, 0, 0, 1));
    expect_match(lexicons, "look for", 1, COUNTS(1, 0, 0, 0, 0, 0));
    dh_lexicons_free(lexicons);
}

static void test_prefixes_have_at_most_255_bytes(void **state)
{
    (void)state;
    char long_word[300];
    memset(long_word, 'a', sizeof long_word);
    char text[1024];
    (void)snprintf(text, sizeof text, HEAD "%.255s*\tA\t+\n", long_word);
    dh_lexicons *lexicons = load(text);
    long_word[280] = '\0';
    expect_match(lexicons, long_word, 1, COUNTS(1, 0, 0, 0, 0, 0));
    expect_match(lexicons, long_word + 26, 0, COUNTS(0, 0, 0, 0, 0, 0));
    dh_lexicons_free(lexicons);
    (void)snprintf(text, sizeof text, HEAD "%.256s*\tA\t+\n", long_word);
    expect_refused(text, "4: ", "a prefix is longer than 255 bytes");
}

static void test_nul_bytes_are_refused(void **state)
{
    (void)state;
    static const char text[] = HEAD "good\tA\t+\nbad\0\tA\t-\n";
    expect_refused_bytes(text, sizeof text - 1, "", "NUL bytes");
    expect_refused_bytes("\0", 1, "", "NUL bytes");
}

static void test_files_that_cannot_be_read(void **state)
{
    (void)state;
    dh_lexicons *lexicons = begin();
    support_capture_begin();
    const dh_status missing = dh_lexicons_load(lexicons, support_path("missing"));
    const dh_status folder = dh_lexicons_load(lexicons, support_folder);
    const dh_status none = dh_lexicons_compile(lexicons);
    const char *said = support_capture_end();
    assert_int_equal(missing, DH_IO);
    assert_int_equal(folder, DH_IO);
    assert_int_equal(none, DH_USAGE);
    assert_says(said, "no lexicon was given");
    dh_lexicons_free(lexicons);
    dh_lexicons_free(NULL);
}

static void test_the_hash_is_that_of_the_file(void **state)
{
    (void)state;
    const char text[] = "\xEF\xBB\xBF" HEAD "good\tA\t+\r\n";
    dh_lexicons *lexicons = load(text);
    dh_sha256 sha;
    uint8_t digest[DH_SHA256_SIZE];
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, text, sizeof text - 1);
    dh_sha256_end(&sha, digest);
    const char *hex = dh_lexicons_facts(lexicons, 0).sha256;
    assert_int_equal(strlen(hex), 64);
    for (int i = 0; i < DH_SHA256_SIZE; i++) {
        char byte[3];
        (void)snprintf(byte, sizeof byte, "%02x", digest[i]);
        assert_memory_equal(hex + (size_t)2 * (size_t)i, byte, 2);
    }
    dh_lexicons_free(lexicons);
}

/* ---- several lexicons -------------------------------------------------------------------------------- */

static const char *lexicon_of(const char *name, const char *language, const char *rest)
{
    char text[2048];
    (void)snprintf(text, sizeof text, "@format\tdhatu-lexicon 1\n@language\t%s\n@categories\tA B C\n%s",
                   language, rest);
    return support_write_text(name, text);
}

static void test_lexicons_of_one_run_have_the_same_categories(void **state)
{
    (void)state;
    static const char *const other[] = {"A B", "A B C D", "A C B", "a B C"};
    for (size_t i = 0; i < COUNT(other); i++) {
        dh_lexicons *lexicons = begin();
        assert_ok(dh_lexicons_load(lexicons, lexicon_of("first", "en", "x\tA\t+\n")));
        char text[256];
        (void)snprintf(text, sizeof text,
                       "@format\tdhatu-lexicon 1\n@language\tfr\n@categories\t%s\nx\tB\t+\n", other[i]);
        const char *path = support_write_text("second", text);
        support_capture_begin();
        const dh_status status = dh_lexicons_load(lexicons, path);
        const char *said = support_capture_end();
        assert_says(said, "second:4: the categories differ");
        assert_int_equal(status, DH_USAGE);
        dh_lexicons_free(lexicons);
    }
}

static void test_one_lexicon_a_language(void **state)
{
    (void)state;
    dh_lexicons *lexicons = begin();
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("first", "fr", "x\tA\t+\n")));
    const char *path = lexicon_of("second", "fr-CA", "x\tA\t+\n");
    support_capture_begin();
    const dh_status status = dh_lexicons_load(lexicons, path);
    assert_says(support_capture_end(), "second:4: a second lexicon for the same language: fr");
    assert_int_equal(status, DH_USAGE);
    dh_lexicons_free(lexicons);
}

static void test_find_prefers_the_language_s_own_lexicon(void **state)
{
    (void)state;
    dh_lexicons *lexicons = begin();
    const uint16_t en = dh_language_parse("en", 2);
    const uint16_t fr = dh_language_parse("fr", 2);
    const uint16_t de = dh_language_parse("de", 2);
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("en", "en", "x\tA\t+\n")));
    assert_int_equal(dh_lexicons_find(lexicons, en), 0);
    assert_int_equal(dh_lexicons_find(lexicons, fr), DH_NO_LEXICON);
    assert_int_equal(dh_lexicons_find(lexicons, DH_LANGUAGE_UNKNOWN), DH_NO_LEXICON);
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("any", "*", "x\tA\t+\n")));
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("fr", "FR", "x\tA\t+\n")));
    assert_int_equal(dh_lexicons_find(lexicons, en), 0);
    assert_int_equal(dh_lexicons_find(lexicons, fr), 2);
    assert_int_equal(dh_lexicons_find(lexicons, de), 1);
    assert_int_equal(dh_lexicons_find(lexicons, DH_LANGUAGE_UNKNOWN), 1);
    dh_lexicons_free(lexicons);
}

/* Strings of facts live as long as the set, however many lexicons there are. */
static void test_64_lexicons_and_no_more(void **state)
{
    (void)state;
    dh_lexicons *lexicons = begin();
    char tag[3] = "aa";
    for (int l = 0; l < 64; l++) {
        tag[0] = (char)('a' + l / 26);
        tag[1] = (char)('a' + l % 26);
        char terms[128];
        (void)snprintf(terms, sizeof terms, "@negators\tn%d\nx%d\tA\t+\nx\tB\t+\n", l, l);
        assert_ok(dh_lexicons_load(lexicons, lexicon_of("many", tag, terms)));
    }
    const char *path = lexicon_of("many", "zz", "x\tA\t+\n");
    dh_lexicon_facts facts[64];
    for (uint32_t l = 0; l < 64; l++) {
        facts[l] = dh_lexicons_facts(lexicons, l);
    }
    for (int l = 0; l < 64; l++) {
        tag[0] = (char)('a' + l / 26);
        tag[1] = (char)('a' + l % 26);
        assert_string_equal(facts[l].language, tag);
        assert_string_equal(facts[l].name, tag); /* without @name */
    }
    assert_ok(dh_lexicons_compile(lexicons));
    for (uint32_t l = 0; l < 64; l++) {
        char text[64];
        (void)snprintf(text, sizeof text, "n%u x%u x n%u x", l, l, (l + 1) % 64);
        const outcome result = match_with(lexicons, l, text);
        assert_int_equal(result.counts[3], 1);
        assert_int_equal(result.counts[4], 1);
        assert_int_equal(result.counts[1], 1);
    }
    support_capture_begin();
    const dh_status status = dh_lexicons_load(lexicons, path);
    assert_says(support_capture_end(), "more than 64 lexicons");
    assert_int_equal(status, DH_USAGE);
    dh_lexicons_free(lexicons);
}

/* ---- the vote ---------------------------------------------------------------------------------------- */

/* The language that wins among the words of a text. */
static uint16_t vote(const dh_lexicons *lexicons, const char *text)
{
    dh_token_sink sink = {.token_limit = 10000};
    dh_tokenizer_set_prefixes(tokenizer, NULL);
    assert_ok(dh_tokenize(tokenizer, (const uint8_t *)text, strlen(text), &sink));
    const uint16_t language = dh_lexicons_vote(lexicons, sink.token, sink.token_count);
    dh_token_sink_free(&sink);
    return language;
}

static void test_vote(void **state)
{
    (void)state;
    const uint16_t en = dh_language_parse("en", 2);
    const uint16_t fr = dh_language_parse("fr", 2);
    dh_lexicons *lexicons = begin();
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("en", "en", "@function\tthe of on\nx\tA\t+\n")));
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("fr", "fr", "@function\tle de on\nx\tA\t+\n")));
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("de", "de", "@function\tder\nx\tA\t+\n")));
    assert_ok(dh_lexicons_compile(lexicons));
    assert_int_equal(vote(lexicons, "the x"), en);
    assert_int_equal(vote(lexicons, "LE x de"), fr);
    assert_int_equal(vote(lexicons, "the of le"), en);
    assert_int_equal(vote(lexicons, "le the of de le"), fr);
    assert_int_equal(vote(lexicons, "le the"), DH_LANGUAGE_UNKNOWN); /* a tie */
    assert_int_equal(vote(lexicons, "on"), DH_LANGUAGE_UNKNOWN);     /* of both */
    assert_int_equal(vote(lexicons, "the le der der"), dh_language_parse("de", 2));
    assert_int_equal(vote(lexicons, "the the le le der"), DH_LANGUAGE_UNKNOWN);
    assert_int_equal(vote(lexicons, "x"), DH_LANGUAGE_UNKNOWN);
    assert_int_equal(vote(lexicons, ""), DH_LANGUAGE_UNKNOWN);
    dh_lexicons_free(lexicons);
}

static void test_vote_needs_one_function_word_in_25_of_the_first_thousand_tokens(void **state)
{
    (void)state;
    const uint16_t en = dh_language_parse("en", 2);
    dh_lexicons *lexicons = begin();
    assert_ok(dh_lexicons_load(lexicons, lexicon_of("en", "en", "@function\tthe\nx\tA\t+\n")));
    assert_ok(dh_lexicons_compile(lexicons));
    static char text[8192];
    for (int words = 1; words <= 30; words++) {
        (void)snprintf(text, sizeof text, "the");
        for (int w = 1; w < words; w++) {
            (void)strcat(text, " x");
        }
        assert_int_equal(vote(lexicons, text), words <= 25 ? en : DH_LANGUAGE_UNKNOWN);
    }
    for (int from = 960; from <= 961; from++) { /* 40 of the first 1000, and 39 */
        text[0] = '\0';
        for (int w = 0; w < 1100; w++) {
            (void)strcat(text, w >= from ? " the" : " x");
        }
        assert_int_equal(vote(lexicons, text), from == 960 ? en : DH_LANGUAGE_UNKNOWN);
    }
    dh_lexicons_free(lexicons);
}

static void test_many_function_words(void **state)
{
    (void)state;
    dh_buffer words = {0};
    for (int i = 0; i < 3000; i++) {
        assert_ok(dh_buffer_printf(&words, "@function\tw%d\n", i));
    }
    assert_ok(dh_buffer_append(&words, "", 1));
    dh_buffer text = {0};
    assert_ok(dh_buffer_printf(&text, HEAD "%sx\tA\t+\n", (const char *)words.data));
    assert_ok(dh_buffer_append(&text, "", 1));
    dh_lexicons *lexicons = load((const char *)text.data);
    assert_int_equal(dh_lexicons_facts(lexicons, 0).function_words, 3000);
    for (int i = 0; i < 3100; i++) {
        char word[16];
        (void)snprintf(word, sizeof word, "w%d", i);
        assert_int_equal(vote(lexicons, word) != DH_LANGUAGE_UNKNOWN, i < 3000);
    }
    dh_lexicons_free(lexicons);
    dh_buffer_free(&words);
    dh_buffer_free(&text);
}

/* ---- the format dic ---------------------------------------------------------------------------------- */

#define DIC_HEAD "%\n1\tA\n20\tB (second one)\n3\tC\n%\n"

static void test_a_dic(void **state)
{
    (void)state;
    dh_lexicons *lexicons = load("\xEF\xBB\xBF  " DIC_HEAD "good\t1\nbetter*\t1\t20\r\nin front\t3\n"
                                 "cond\t(02 1)3/20\t1\n\nrepeat\t1\t1\n");
    const dh_lexicon_facts facts = dh_lexicons_facts(lexicons, 0);
    assert_string_equal(facts.name, "lexicon"); /* the file's name */
    assert_string_equal(facts.language, "*");
    assert_int_equal(facts.terms, 5);
    assert_string_equal(dh_lexicons_categories(lexicons)[1], "B");
    assert_int_equal(dh_lexicons_tables(lexicons)->denominator, 2);
    expect_match(lexicons, "good betterment in front", 4, COUNTS(3, 1, 2, 0, 0, 0));
    expect_match(lexicons, "repeat", 1, COUNTS(2, 0, 0, 0, 0, 0));
    expect_match(lexicons, "cond", 1, COUNTS(1, 1, 0, 0, 0, 0)); /* the category without the context, 20 */
    assert_int_equal(dh_lexicons_find(lexicons, dh_language_parse("de", 2)), 0);
    dh_lexicons_free(lexicons);
}

static void test_terms_of_a_dic_that_cannot_match_are_told(void **state)
{
    (void)state;
    support_capture_begin();
    dh_lexicons *lexicons = load(DIC_HEAD "good\t1\n:)\t1\n:-(\t20\n");
    assert_says(support_capture_end(), "2 terms have no letter or digit and cannot match");
    assert_int_equal(dh_lexicons_facts(lexicons, 0).terms, 1);
    dh_lexicons_free(lexicons);
}

static void test_errors_of_a_dic(void **state)
{
    (void)state;
    expect_refused("%\n1\tA\n", "2: ", "between two lines of %");
    expect_refused("%\nA\t1\n%\n", "2: ", "a category is a number, a tab and a name");
    expect_refused("%\n1\n%\n", "2: ", "a category is a number, a tab and a name");
    expect_refused("%\n%\n", "2: ", "no categories");
    expect_refused(DIC_HEAD "good 1\n", "6: ", "a term is followed by a tab");
    expect_refused(DIC_HEAD "good\t1\nbad\t4\n", "7: ", "a number that the header does not have: 4");
    expect_refused(DIC_HEAD "good\tA\n", "6: ", "a number that the header does not have: A");
    expect_refused(DIC_HEAD "good\t(02)\n", "6: ", "no category: good");
    expect_refused(DIC_HEAD "good\t1\nGood\t3\n", "7: ", "twice");
    expect_refused(DIC_HEAD "a b c d e\t1\n", "6: ", "at most 4 tokens");
    expect_refused(DIC_HEAD "\xE9\t1\n", "6: ", "not UTF-8");
    expect_refused("%\n1\t0123456789012345678901234567890123456789012345678901234567890123\n%\n",
                   "2: ", "longer than 63 bytes");
}

/* ---- the project's own lexicons ---------------------------------------------------------------------- */

static const char *const dhatus[] = {"RELATE", "MODAL", "EXIST",  "EVAL", "COMM",
                                     "CAUSE",  "ITER",  "DECIDE", "FEEL"};

typedef struct usage {
    unsigned categories[COUNT(dhatus)], positive, negative, several, prefixes;
} usage;

static void count_entry(usage *used, char *line)
{
    char *rest = NULL;
    const char *term = strtok_r(line, "\t", &rest);
    char *categories = strtok_r(NULL, "\t", &rest);
    const char *polarity = strtok_r(NULL, "\t", &rest);
    used->several += strchr(term, ' ') != NULL;
    used->prefixes += term[strlen(term) - 1] == '*';
    used->positive += polarity[0] == '+';
    used->negative += polarity[0] == '-';
    for (char *name = strtok_r(categories, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        for (size_t d = 0; d < COUNT(dhatus); d++) {
            used->categories[d] += strcmp(name, dhatus[d]) == 0;
        }
    }
}

static usage count_entries(const char *path)
{
    usage used = {0};
    char line[1024];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#' && line[0] != '@') {
            count_entry(&used, line);
        }
    }
    assert_int_equal(fclose(file), 0);
    return used;
}

static void test_the_project_s_lexicons(void **state)
{
    (void)state;
    static const char *const path[] = {DH_PROJECT_DATA "/lexicon/en.tsv", DH_PROJECT_DATA "/lexicon/fr.tsv"};
    static const char *const language[] = {"en", "fr"};
    dh_lexicons *lexicons = begin();
    for (uint32_t l = 0; l < 2; l++) {
        assert_ok(dh_lexicons_load(lexicons, path[l]));
        const dh_lexicon_facts facts = dh_lexicons_facts(lexicons, l);
        assert_string_equal(facts.language, language[l]);
        assert_true(facts.terms >= 1500);
        assert_true(facts.negators >= 10);
        assert_true(facts.function_words >= 50);
        const usage used = count_entries(path[l]);
        assert_int_equal(used.positive + used.negative, facts.terms);
        for (size_t d = 0; d < COUNT(dhatus); d++) {
            assert_true(used.categories[d] >= 100);
        }
        assert_true(used.positive > 500 && used.negative > 200);
        assert_true(used.several > 50 && used.prefixes > 50);
    }
    assert_ok(dh_lexicons_compile(lexicons));
    const dh_profile_tables *tables = dh_lexicons_tables(lexicons);
    assert_int_equal(tables->category_count, COUNT(dhatus));
    for (size_t d = 0; d < COUNT(dhatus); d++) {
        assert_string_equal(dh_lexicons_categories(lexicons)[d], dhatus[d]);
    }
    assert_int_equal(vote(lexicons, "it is not the end of the world, for they have come"),
                     dh_language_parse("en", 2));
    assert_int_equal(vote(lexicons, "ce n'est pas la fin du monde, car ils sont venus avec nous"),
                     dh_language_parse("fr", 2));
    dh_lexicons_free(lexicons);
}

/* sklearn's rule drops words of one letter: "can t" would become "can", a term with another meaning. */
static void test_entries_that_lose_words_by_the_token_rule_are_left_out(void **state)
{
    (void)state;
    dh_lexicons *lexicons = NULL;
    assert_ok(dh_lexicons_create(DH_TOKENS_SKLEARN, &lexicons));
    assert_ok(
        dh_lexicons_load(lexicons, support_write_text("lexicon", HEAD "@negators\tn don\n@function\ta the\n"
                                                                      "can t\tA\t-\ncan\tA\t+\nx\tB\t+\n")));
    const dh_lexicon_facts facts = dh_lexicons_facts(lexicons, 0);
    assert_int_equal(facts.negators, 1);
    assert_int_equal(facts.function_words, 1);
    assert_int_equal(facts.terms, 1);
    assert_ok(dh_lexicons_compile(lexicons));
    expect_match(lexicons, "can x", 1, COUNTS(1, 0, 0, 0, 0, 0));
    dh_lexicons_free(lexicons);
}

static void test_the_project_s_lexicons_load_for_sklearn_tokens(void **state)
{
    (void)state;
    dh_lexicons *lexicons = NULL;
    assert_ok(dh_lexicons_create(DH_TOKENS_SKLEARN, &lexicons));
    assert_ok(dh_lexicons_load(lexicons, DH_PROJECT_DATA "/lexicon/en.tsv"));
    assert_ok(dh_lexicons_load(lexicons, DH_PROJECT_DATA "/lexicon/fr.tsv"));
    assert_ok(dh_lexicons_compile(lexicons));
    assert_true(dh_lexicons_facts(lexicons, 0).terms >= 1500 && dh_lexicons_facts(lexicons, 1).terms >= 1500);
    dh_lexicons_free(lexicons);
}

static int set_up(void **state)
{
    return dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &tokenizer) == DH_OK ? support_set_up(state) : -1;
}

static int tear_down(void **state)
{
    dh_tokenizer_free(tokenizer);
    return support_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_lexicon),
        cmocka_unit_test(test_line_ends_and_a_byte_order_mark_do_not_matter),
        cmocka_unit_test(test_weights_have_one_denominator),
        cmocka_unit_test(test_weights_that_do_not_fit_together),
        cmocka_unit_test(test_bad_weights),
        cmocka_unit_test(test_errors_of_the_head),
        cmocka_unit_test(test_128_categories_and_no_more),
        cmocka_unit_test(test_errors_of_entries),
        cmocka_unit_test(test_duplicates_are_found_after_normalisation),
        cmocka_unit_test(test_negators_stand_before_terms_and_are_one_token),
        cmocka_unit_test(test_negators_reach_three_tokens_and_turn_only_once),
        cmocka_unit_test(test_negators_are_of_one_lexicon),
        cmocka_unit_test(test_the_longest_match_wins),
        cmocka_unit_test(test_prefixes_have_at_most_255_bytes),
        cmocka_unit_test(test_nul_bytes_are_refused),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_the_hash_is_that_of_the_file),
        cmocka_unit_test(test_lexicons_of_one_run_have_the_same_categories),
        cmocka_unit_test(test_one_lexicon_a_language),
        cmocka_unit_test(test_find_prefers_the_language_s_own_lexicon),
        cmocka_unit_test(test_64_lexicons_and_no_more),
        cmocka_unit_test(test_vote),
        cmocka_unit_test(test_vote_needs_one_function_word_in_25_of_the_first_thousand_tokens),
        cmocka_unit_test(test_many_function_words),
        cmocka_unit_test(test_a_dic),
        cmocka_unit_test(test_terms_of_a_dic_that_cannot_match_are_told),
        cmocka_unit_test(test_errors_of_a_dic),
        cmocka_unit_test(test_the_project_s_lexicons),
        cmocka_unit_test(test_entries_that_lose_words_by_the_token_rule_are_left_out),
        cmocka_unit_test(test_the_project_s_lexicons_load_for_sklearn_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
