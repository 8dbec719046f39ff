/* Tests of kernels/profile.h on the CPU backend against a naive implementation that compares words. */
#include "lanes.h"

#include "kernels/backend.h"
#include "kernels/profile_core.h"
#include "lexicon/lexicon.h"

#include <math.h>

/* ---- random lexicons --------------------------------------------------------------------------------- */

enum { TERMS_MAX = 60, NEGATORS_MAX = 4, WORD_MAX = 8, CATEGORIES = 9, LEXICONS = 2 };

typedef struct term {
    char word[DH_TERM_TOKENS_MAX][WORD_MAX];
    uint32_t words;
    bool is_prefix, negative;
    uint32_t weight; /* in halves */
    uint32_t categories;
    uint32_t category[2];
} term;

typedef struct lexicon {
    term terms[TERMS_MAX];
    uint32_t term_count;
    char negator[NEGATORS_MAX][WORD_MAX];
    uint32_t negator_count;
} lexicon;

/* Few letters and short, so that words meet their prefixes often. */
static void random_word(char *word)
{
    const size_t size = 1 + (size_t)support_random_below(4);
    for (size_t i = 0; i < size; i++) {
        word[i] = (char)('a' + support_random_below(3));
    }
    word[size] = '\0';
}

static bool is_same_term(const term *a, const term *b)
{
    if (a->words != b->words || a->is_prefix != b->is_prefix) {
        return false;
    }
    for (uint32_t w = 0; w < a->words; w++) {
        if (strcmp(a->word[w], b->word[w]) != 0) {
            return false;
        }
    }
    return true;
}

static bool has_term(const lexicon *made, const term *wanted)
{
    for (uint32_t t = 0; t < made->term_count; t++) {
        if (is_same_term(&made->terms[t], wanted)) {
            return true;
        }
    }
    return false;
}

static void random_lexicon(lexicon *made)
{
    *made = (lexicon){.negator_count = (uint32_t)support_random_below(NEGATORS_MAX + 1)};
    for (uint32_t n = 0; n < made->negator_count; n++) {
        random_word(made->negator[n]);
    }
    for (unsigned turn = 0; turn < TERMS_MAX; turn++) {
        term one = {.words = 1 + (uint32_t)(support_random_below(8) * support_random_below(8) / 16)};
        for (uint32_t w = 0; w < one.words; w++) {
            random_word(one.word[w]);
        }
        one.is_prefix = support_random_below(4) == 0;
        one.negative = support_random_below(3) == 0;
        one.weight = 1 + (uint32_t)support_random_below(4);
        one.categories = 1 + (uint32_t)support_random_below(2);
        one.category[0] = (uint32_t)support_random_below(CATEGORIES);
        one.category[1] = (one.category[0] + 1) % CATEGORIES;
        if (!has_term(made, &one)) {
            made->terms[made->term_count++] = one;
        }
    }
}

static dh_status print_lexicon(const lexicon *made, const char *language, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "@format\tdhatu-lexicon 1\n@language\t%s\n@categories\t0 1 2 3 4 5 6 7 8\n",
                            language));
    for (uint32_t n = 0; n < made->negator_count; n++) {
        DH_TRY(dh_buffer_printf(out, "@negators\t%s\n", made->negator[n]));
    }
    for (uint32_t t = 0; t < made->term_count; t++) {
        const term *one = &made->terms[t];
        for (uint32_t w = 0; w < one->words; w++) {
            DH_TRY(dh_buffer_printf(out, "%s%s", w > 0 ? " " : "", one->word[w]));
        }
        DH_TRY(dh_buffer_printf(out, "%s\t%u", one->is_prefix ? "*" : "", one->category[0]));
        if (one->categories > 1) {
            DH_TRY(dh_buffer_printf(out, ",%u", one->category[1]));
        }
        DH_TRY(dh_buffer_printf(out, "\t%c\t%u.%u\n", one->negative ? '-' : '+', one->weight / 2,
                                one->weight % 2 * 5));
    }
    return DH_OK;
}

static dh_lexicons *load_lexicons(const lexicon *made, uint32_t count)
{
    static const char *const language[LEXICONS] = {"en", "fr"};
    dh_lexicons *lexicons = NULL;
    assert_ok(dh_lexicons_create(DH_TOKENS_UNICODE, &lexicons));
    for (uint32_t l = 0; l < count; l++) {
        dh_buffer text = {0};
        assert_ok(print_lexicon(&made[l], language[l], &text));
        assert_ok(dh_lexicons_load(lexicons, support_write("lexicon", text.data, text.size)));
        dh_buffer_free(&text);
    }
    assert_ok(dh_lexicons_compile(lexicons));
    return lexicons;
}

/* ---- the naive implementation ------------------------------------------------------------------------ */

typedef struct words {
    char word[400][WORD_MAX];
    uint32_t count;
} words;

static bool is_negator(const lexicon *made, const char *word)
{
    for (uint32_t n = 0; n < made->negator_count; n++) {
        if (strcmp(made->negator[n], word) == 0) {
            return true;
        }
    }
    return false;
}

/* How well a term matches at a word: 0 not, else more for more words, then exact, then longer prefixes. */
static uint32_t rank_of(const term *one, const words *text, uint32_t at)
{
    if (at + one->words > text->count) {
        return 0;
    }
    for (uint32_t w = 0; w + 1 < one->words; w++) {
        if (strcmp(one->word[w], text->word[at + w]) != 0) {
            return 0;
        }
    }
    const char *last = one->word[one->words - 1];
    const char *found = text->word[at + one->words - 1];
    const bool matches = one->is_prefix ? strncmp(last, found, strlen(last)) == 0 : strcmp(last, found) == 0;
    return matches ? one->words * 1000 + (one->is_prefix ? (uint32_t)strlen(last) : 100) : 0;
}

static bool is_turned(const lexicon *made, const term *one, const words *text, uint32_t at)
{
    for (uint32_t w = 0; w < one->words - (one->is_prefix ? 1 : 0); w++) {
        if (is_negator(made, one->word[w])) {
            return false; /* fixed */
        }
    }
    for (uint32_t back = 1; back <= 3 && back <= at; back++) {
        if (is_negator(made, text->word[at - back])) {
            return true;
        }
    }
    return false;
}

/* counts: in units of 1/4. Returns the words inside matches. */
static uint32_t naive_count(const lexicon *made, const words *text, uint32_t *counts)
{
    uint32_t matched = 0;
    for (uint32_t at = 0; at < text->count;) {
        const term *best = NULL;
        uint32_t best_rank = 0;
        for (uint32_t t = 0; t < made->term_count; t++) {
            const uint32_t rank = rank_of(&made->terms[t], text, at);
            if (rank > best_rank) {
                best = &made->terms[t];
                best_rank = rank;
            }
        }
        if (best == NULL) {
            at++;
            continue;
        }
        const bool negative = best->negative != is_turned(made, best, text, at);
        for (uint32_t c = 0; c < best->categories; c++) {
            counts[best->category[c] + (negative ? CATEGORIES : 0)] += best->weight * 2 / best->categories;
        }
        matched += best->words;
        at += best->words;
    }
    return matched;
}

static uint64_t naive_digit(uint32_t base, double positive, double negative, double tokens)
{
    const double units = positive + negative; /* in quarters: exact */
    if (base == 2) {
        return units > 0;
    }
    if (base == 3) {
        return positive > negative ? 1 : (negative > positive ? 2 : 0);
    }
    if (!(units > 0)) {
        return 0;
    }
    /* density >= n / 1000 exactly: units / 4 * 1000 >= n * tokens */
    const double scaled = units * 250.0;
    const uint64_t digit =
        scaled >= 20 * tokens ? 4 : (scaled >= 10 * tokens ? 3 : (scaled >= 5 * tokens ? 2 : 1));
    return negative > positive ? digit - 1 : digit;
}

/* ---- the kernel's results ---------------------------------------------------------------------------- */

enum { DOCUMENTS = 24 };

typedef struct results {
    uint32_t counts[DOCUMENTS + 1][2 * CATEGORIES];
    float profile[DOCUMENTS + 1][CATEGORIES];
    double prime[DOCUMENTS + 1][DH_PRIMES];
    uint32_t matched[DOCUMENTS + 1];
    double coverage[DOCUMENTS + 1], ambiguity[DOCUMENTS + 1], variance[DOCUMENTS + 1];
    uint64_t code2[DOCUMENTS + 1], code3[DOCUMENTS + 1], code5[DOCUMENTS + 1];
} results;

static void assert_near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12 * (fabs(expected) + 1e-3))) {
        fail_msg("%.17g, expected %.17g", got, expected);
    }
}

static void expect_counts(const results *got, uint32_t d, const uint32_t *quarters, uint32_t denominator)
{
    for (uint32_t c = 0; c < 2 * CATEGORIES; c++) {
        assert_int_equal((uint64_t)got->counts[d][c] * 4, (uint64_t)quarters[c] * denominator);
    }
}

static void expect_values(const results *got, uint32_t d, const uint32_t *quarters, uint32_t tokens)
{
    static const int base[DH_PRIMES] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
    double total = 0;
    for (uint32_t c = 0; c < 2 * CATEGORIES; c++) {
        total += quarters[c];
    }
    double share[CATEGORIES];
    double entropy = 0;
    double mean = 0;
    for (uint32_t c = 0; c < CATEGORIES; c++) {
        share[c] = total > 0 ? (quarters[c] + quarters[CATEGORIES + c]) / total : 0;
        assert_true(got->profile[d][c] == (float)share[c]);
        entropy -= share[c] > 0 ? share[c] * log(share[c]) : 0;
        mean += share[c] / CATEGORIES;
    }
    double variance = 0;
    for (uint32_t c = 0; c < CATEGORIES; c++) {
        variance += (share[c] - mean) * (share[c] - mean) / CATEGORIES;
    }
    assert_near(got->ambiguity[d], entropy / log(CATEGORIES));
    assert_true(got->ambiguity[d] >= 0 && got->ambiguity[d] <= 1);
    assert_near(got->variance[d], variance);
    assert_true(got->coverage[d] == (tokens > 0 ? (double)got->matched[d] / tokens : 0.0));
    for (int p = 0; p < DH_PRIMES; p++) {
        double expected = 0;
        for (uint32_t c = 0; c < CATEGORIES; c++) {
            expected += share[c] * pow(base[p], (double)(c % (uint32_t)base[p]));
        }
        assert_near(got->prime[d][p], expected);
    }
}

static void expect_codes(const results *got, uint32_t d, const uint32_t *quarters, uint32_t tokens)
{
    const uint64_t code[] = {got->code2[d], got->code3[d], got->code5[d]};
    static const uint32_t base[] = {2, 3, 5};
    for (int i = 0; i < 3; i++) {
        uint64_t expected = 0;
        uint64_t power = 1;
        for (uint32_t c = 0; c < CATEGORIES; c++) {
            expected += power * naive_digit(base[i], quarters[c], quarters[CATEGORIES + c], tokens);
            power *= base[i];
        }
        assert_int_equal(code[i], expected);
    }
}

static void expect_sentinels(const results *got, uint32_t count)
{
    const uint32_t word = 0xA5A5A5A5;
    const uint64_t twice = UINT64_C(0xA5A5A5A5A5A5A5A5);
    assert_memory_equal(&got->counts[count][0], &word, sizeof word);
    assert_memory_equal(&got->profile[count][0], &word, sizeof word);
    assert_memory_equal(&got->matched[count], &word, sizeof word);
    assert_memory_equal(&got->prime[count][0], &twice, sizeof twice);
    assert_memory_equal(&got->coverage[count], &twice, sizeof twice);
    assert_memory_equal(&got->ambiguity[count], &twice, sizeof twice);
    assert_memory_equal(&got->variance[count], &twice, sizeof twice);
    assert_memory_equal(&got->code2[count], &twice, sizeof twice);
    assert_memory_equal(&got->code3[count], &twice, sizeof twice);
    assert_memory_equal(&got->code5[count], &twice, sizeof twice);
}

static void run_kernel(const dh_profile_tables *tables, const dh_batch *batch, results *got)
{
    memset(got, 0xA5, sizeof *got);
    const dh_profile_out out = {.counts = &got->counts[0][0],
                                .profile = &got->profile[0][0],
                                .prime = &got->prime[0][0],
                                .matched = got->matched,
                                .coverage = got->coverage,
                                .ambiguity = got->ambiguity,
                                .variance = got->variance,
                                .code2 = got->code2,
                                .code3 = got->code3,
                                .code5 = got->code5};
    dh_backend *backend = open_cpu();
    assert_int_equal(dh_backend_cpu.load(backend, tables), DH_BACKEND_OK);
    assert_int_equal(dh_backend_cpu.profile(begin(backend, batch), &out), DH_BACKEND_OK);
    dh_backend_cpu.close(backend);
    expect_sentinels(got, batch->document_count);
}

/* ---- random documents -------------------------------------------------------------------------------- */

typedef struct corpus {
    words text[DOCUMENTS];
    uint16_t lexicon[DOCUMENTS];
    dh_token_sink sink;
    uint64_t token_offset[DOCUMENTS + 1], hit_offset[DOCUMENTS + 1];
} corpus;

/* Documents of 0 to 5 words first, then longer ones; some words are those of terms. */
static void random_corpus(corpus *made, const lexicon *lexicons)
{
    *made = (corpus){.sink = {.token_limit = 1000}};
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        words *text = &made->text[d];
        const uint32_t size = d < 12 ? d / 2 : 6 + (uint32_t)support_random_below(300);
        made->lexicon[d] = (uint16_t)support_random_below(LEXICONS + 1);
        const lexicon *own = &lexicons[made->lexicon[d] % LEXICONS];
        made->lexicon[d] = made->lexicon[d] == LEXICONS ? DH_NO_LEXICON : made->lexicon[d];
        while (text->count < size) {
            const term *one = &own->terms[support_random_below(own->term_count)];
            if (support_random_below(3) == 0 && text->count + one->words <= size) {
                for (uint32_t w = 0; w < one->words; w++) {
                    memcpy(text->word[text->count++], one->word[w], WORD_MAX);
                }
            } else {
                random_word(text->word[text->count++]);
            }
        }
    }
}

/* Every third document's tokeniser looks for the prefixes of all lexicons, the others' for their own. */
static void tokenize_corpus(corpus *made, const dh_lexicons *lexicons)
{
    dh_tokenizer *tokenizer[LEXICONS + 1];
    for (uint32_t l = 0; l <= LEXICONS; l++) {
        const uint32_t index = l < LEXICONS ? l : DH_LEXICONS_MAX;
        assert_ok(
            dh_tokenizer_create(DH_TOKENS_UNICODE, dh_lexicons_prefixes(lexicons, index), &tokenizer[l]));
    }
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        dh_buffer text = {0};
        for (uint32_t w = 0; w < made->text[d].count; w++) {
            assert_ok(dh_buffer_printf(&text, "%s ", made->text[d].word[w]));
        }
        const bool own = made->lexicon[d] != DH_NO_LEXICON && d % 3 > 0;
        assert_ok(
            dh_tokenize(tokenizer[own ? made->lexicon[d] : LEXICONS], text.data, text.size, &made->sink));
        made->token_offset[d + 1] = made->sink.token_count;
        made->hit_offset[d + 1] = made->sink.prefix_hit_count;
        assert_int_equal(made->token_offset[d + 1] - made->token_offset[d], made->text[d].count);
        dh_buffer_free(&text);
    }
    for (uint32_t l = 0; l <= LEXICONS; l++) {
        dh_tokenizer_free(tokenizer[l]);
    }
}

static dh_batch batch_of(const corpus *made, uint32_t first, uint32_t count)
{
    return (dh_batch){.document_count = count,
                      .token = made->sink.token,
                      .token_offset = made->token_offset + first,
                      .prefix_hit = made->sink.prefix_hit,
                      .prefix_hit_offset = made->hit_offset + first,
                      .lexicon = made->lexicon + first};
}

static void expect_corpus(const corpus *made, const lexicon *lexicons, const results *got,
                          uint32_t denominator)
{
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        uint32_t quarters[2 * CATEGORIES] = {0};
        uint32_t matched = 0;
        if (made->lexicon[d] != DH_NO_LEXICON) {
            matched = naive_count(&lexicons[made->lexicon[d]], &made->text[d], quarters);
        }
        assert_int_equal(got->matched[d], matched);
        expect_counts(got, d, quarters, denominator);
        expect_values(got, d, quarters, made->text[d].count);
        expect_codes(got, d, quarters, made->text[d].count);
    }
}

static void test_random_lexicons_and_documents(void **state)
{
    (void)state;
    static lexicon lexicons[LEXICONS];
    static corpus made;
    static results got;
    for (unsigned turn = 0; turn < support_turns(150); turn++) {
        for (uint32_t l = 0; l < LEXICONS; l++) {
            random_lexicon(&lexicons[l]);
        }
        dh_lexicons *loaded = load_lexicons(lexicons, LEXICONS);
        const dh_profile_tables *tables = dh_lexicons_tables(loaded);
        random_corpus(&made, lexicons);
        tokenize_corpus(&made, loaded);
        const dh_batch batch = batch_of(&made, 0, DOCUMENTS);
        run_kernel(tables, &batch, &got);
        expect_corpus(&made, lexicons, &got, tables->denominator);
        dh_token_sink_free(&made.sink);
        dh_lexicons_free(loaded);
    }
}

/* The results of a document do not depend on the batch that it is in. */
static void test_a_document_alone_is_as_in_a_batch(void **state)
{
    (void)state;
    static lexicon lexicons[LEXICONS];
    static corpus made;
    static results together;
    static results alone;
    for (uint32_t l = 0; l < LEXICONS; l++) {
        random_lexicon(&lexicons[l]);
    }
    dh_lexicons *loaded = load_lexicons(lexicons, LEXICONS);
    random_corpus(&made, lexicons);
    tokenize_corpus(&made, loaded);
    dh_batch batch = batch_of(&made, 0, DOCUMENTS);
    run_kernel(dh_lexicons_tables(loaded), &batch, &together);
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        batch = batch_of(&made, d, 1);
        run_kernel(dh_lexicons_tables(loaded), &batch, &alone);
        assert_memory_equal(together.counts[d], alone.counts[0], sizeof alone.counts[0]);
        assert_memory_equal(together.prime[d], alone.prime[0], sizeof alone.prime[0]);
        assert_memory_equal(&together.ambiguity[d], &alone.ambiguity[0], sizeof alone.ambiguity[0]);
        assert_int_equal(together.code5[d], alone.code5[0]);
    }
    batch = batch_of(&made, 0, 0);
    run_kernel(dh_lexicons_tables(loaded), &batch, &alone); /* an empty batch writes nothing */
    dh_token_sink_free(&made.sink);
    dh_lexicons_free(loaded);
}

/* ---- intensity, codes, shares ------------------------------------------------------------------------ */

static void test_intensity_thresholds_are_exact(void **state)
{
    (void)state;
    static const struct {
        uint64_t units, tokens, denominator;
        uint32_t digit;
    } cases[] = {
        {0, 0, 1, 0},
        {0, 100, 1, 0},
        {1, 1000000, 1, 1},
        {1, 201, 1, 1},
        {1, 200, 1, 2},
        {1, 101, 1, 2},
        {1, 100, 1, 3},
        {1, 51, 1, 3},
        {1, 50, 1, 4},
        {1, 1, 1, 4},
        {4, 1000, 1, 1},
        {5, 1000, 1, 2},
        {9, 1000, 1, 2},
        {10, 1000, 1, 3},
        {19, 1000, 1, 3},
        {20, 1000, 1, 4},
        {29, 1000, 6, 1},
        {30, 1000, 6, 2},
        {59, 1000, 6, 2},
        {60, 1000, 6, 3},
        {119, 1000, 6, 3},
        {120, 1000, 6, 4},
        {UINT64_C(255) << 24, UINT64_C(1) << 24, 255, 4},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint64_t units = cases[i].units;
        const uint64_t tokens = cases[i].tokens;
        const uint32_t digit = cases[i].digit;
        assert_int_equal(dh_profile_intensity(units, 0, tokens, cases[i].denominator), digit);
        const uint32_t negative = digit > 0 ? digit - 1 : 0;
        assert_int_equal(dh_profile_intensity(0, units, tokens, cases[i].denominator), negative);
        if (units % 2 == 0) { /* balanced: as positive */
            assert_int_equal(dh_profile_intensity(units / 2, units / 2, tokens, cases[i].denominator), digit);
        }
    }
}

/* The same through the kernel: one match in so many tokens. */
static void test_intensity_of_documents(void **state)
{
    (void)state;
    static const char text[] =
        "@format\tdhatu-lexicon 1\n@language\ten\n@categories\t0 1 2 3 4 5 6 7 8\nhit\t1\t+\n";
    dh_lexicons *lexicons = NULL;
    assert_ok(dh_lexicons_create(DH_TOKENS_UNICODE, &lexicons));
    assert_ok(dh_lexicons_load(lexicons, support_write_text("lexicon", text)));
    assert_ok(dh_lexicons_compile(lexicons));
    static const uint32_t size[] = {201, 200, 101, 100, 51, 50};
    static const uint64_t code5[] = {5, 10, 10, 15, 15, 20};
    for (size_t i = 0; i < COUNT(size); i++) {
        dh_tokenizer *tokenizer = NULL;
        corpus made = {.sink = {.token_limit = 1000}};
        static results got;
        assert_ok(dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &tokenizer));
        assert_ok(dh_tokenize(tokenizer, (const uint8_t *)"hit ", 4, &made.sink));
        while (made.sink.token_count < size[i]) {
            assert_ok(dh_tokenize(tokenizer, (const uint8_t *)"x ", 2, &made.sink));
        }
        made.token_offset[1] = size[i];
        const dh_batch batch = batch_of(&made, 0, 1);
        run_kernel(dh_lexicons_tables(lexicons), &batch, &got);
        assert_int_equal(got.code5[0], code5[i]);
        assert_int_equal(got.code3[0], 3);
        assert_int_equal(got.code2[0], 2);
        dh_tokenizer_free(tokenizer);
        dh_token_sink_free(&made.sink);
    }
    dh_lexicons_free(lexicons);
}

static void test_the_largest_codes_fit_63_bits(void **state)
{
    (void)state;
    static const struct {
        uint32_t base, categories;
    } cases[] = {{2, DH_CODE2_CATEGORIES_MAX}, {3, DH_CODE3_CATEGORIES_MAX}, {5, DH_CODE5_CATEGORIES_MAX}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t counts[2 * DH_CATEGORIES_MAX] = {0};
        unsigned __int128 power = 1;
        for (uint32_t c = 0; c < cases[i].categories; c++) {
            counts[c + (cases[i].base == 3 ? cases[i].categories : 0)] = 1; /* the largest digit */
            power *= cases[i].base;
        }
        assert_true(power - 1 <= INT64_MAX);
        assert_true(power * cases[i].base - 1 > INT64_MAX);
        assert_int_equal(dh_profile_code(counts, cases[i].categories, 1, 1, cases[i].base),
                         (uint64_t)(power - 1));
        counts[0] = 0;
        counts[cases[i].categories] = 0; /* the first category is the lowest digit */
        assert_int_equal(dh_profile_code(counts, cases[i].categories, 1, 1, cases[i].base),
                         (uint64_t)(power - 1) - (cases[i].base - 1));
    }
}

static void test_shares_ambiguity_and_variance_at_the_ends(void **state)
{
    (void)state;
    double share[DH_CATEGORIES_MAX];
    uint32_t counts[2 * DH_CATEGORIES_MAX] = {0};
    for (uint32_t k = 1; k <= DH_CATEGORIES_MAX; k++) {
        memset(counts, 0, sizeof counts);
        dh_profile_shares(counts, k, share); /* nothing */
        assert_true(dh_profile_ambiguity(share, k) == 0.0);
        assert_true(dh_profile_variance(share, k) == 0.0);
        counts[k - 1] = 7; /* one category */
        counts[2 * k - 1] = 8;
        dh_profile_shares(counts, k, share);
        assert_true(share[k - 1] == 1.0);
        assert_true(dh_profile_ambiguity(share, k) == 0.0);
        for (uint32_t c = 0; c < k; c++) { /* all alike */
            counts[c] = 1;
            counts[k + c] = UINT32_MAX - 1;
        }
        dh_profile_shares(counts, k, share);
        const double ambiguity = dh_profile_ambiguity(share, k);
        assert_true(ambiguity <= 1.0 && (k == 1 ? ambiguity == 0.0 : ambiguity > 1.0 - 1e-14));
        assert_true(dh_profile_variance(share, k) < 1e-30);
    }
}

/* Codes may be left out. */
static void test_codes_are_optional(void **state)
{
    (void)state;
    static lexicon one;
    static corpus made;
    static results got;
    random_lexicon(&one);
    dh_lexicons *loaded = load_lexicons(&one, 1);
    static const uint16_t lexicon_of[1] = {0};
    made = (corpus){.sink = {.token_limit = 10}};
    const dh_batch batch = {.document_count = 1,
                            .token_offset = made.token_offset,
                            .prefix_hit_offset = made.hit_offset,
                            .lexicon = lexicon_of};
    const dh_profile_out out = {.counts = &got.counts[0][0],
                                .profile = &got.profile[0][0],
                                .prime = &got.prime[0][0],
                                .matched = got.matched,
                                .coverage = got.coverage,
                                .ambiguity = got.ambiguity,
                                .variance = got.variance};
    dh_backend *backend = open_cpu();
    assert_int_equal(dh_backend_cpu.load(backend, dh_lexicons_tables(loaded)), DH_BACKEND_OK);
    assert_int_equal(dh_backend_cpu.profile(begin(backend, &batch), &out), DH_BACKEND_OK);
    assert_int_equal(got.matched[0], 0);
    assert_true(got.coverage[0] == 0.0);
    dh_backend_cpu.close(backend);
    dh_lexicons_free(loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_lexicons_and_documents),
        cmocka_unit_test(test_a_document_alone_is_as_in_a_batch),
        cmocka_unit_test(test_intensity_thresholds_are_exact),
        cmocka_unit_test(test_intensity_of_documents),
        cmocka_unit_test(test_the_largest_codes_fit_63_bits),
        cmocka_unit_test(test_shares_ambiguity_and_variance_at_the_ends),
        cmocka_unit_test(test_codes_are_optional),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
