/* The tokeniser: what is a token, that the fast path equals the full path and a naive tokeniser written
 * here from the definition, the bounds of its stage, and its limits. */
#include "support.h"

#include "base/buffer.h"
#include "text/normalize.h"
#include "text/scripts.h"
#include "text/tokens.h"
#include "text/unicode.h"
#include "text/utf8.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include <cmocka.h>

static dh_tokenizer *tokenizer[2]; /* by dh_token_mode */
static dh_unicode *unicode;        /* for the naive tokeniser */

static uint64_t random_state = 0x2545F4914F6CDD1Du;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return limit > 0 ? (uint32_t)(random_state >> 33) % limit : 0;
}

/* ---- tokens as text: one a line ------------------------------------------------------------- */

static dh_status append_line(void *context, const uint8_t *token, size_t size)
{
    DH_TRY(dh_buffer_append(context, token, size));
    return dh_buffer_append(context, "\n", 1);
}

/* The mode's tokens of text, which is copied so that a sanitizer sees every byte read too many. */
static dh_buffer visit_all(dh_token_mode mode, const void *text, size_t size)
{
    dh_buffer lines = {0};
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, text, size);
    }
    assert_int_equal(dh_tokenize_visit(tokenizer[mode], copy, size, append_line, &lines), DH_OK);
    assert_int_equal(dh_buffer_append(&lines, "", 1), DH_OK);
    lines.size--;
    free(copy);
    return lines;
}

/* Compares with "token|token". */
static void expect_tokens(dh_token_mode mode, const char *text, const char *expected)
{
    dh_buffer lines = visit_all(mode, text, strlen(text));
    for (size_t i = 0; i < lines.size; i++) {
        lines.data[i] = lines.data[i] == '\n' ? '|' : lines.data[i];
    }
    if (lines.size > 0) {
        lines.data[lines.size - 1] = '\0';
    }
    assert_string_equal((const char *)lines.data, expected);
    dh_buffer_free(&lines);
}

#define UNICODE(text, expected) expect_tokens(DH_TOKENS_UNICODE, text, expected)
#define SKLEARN(text, expected) expect_tokens(DH_TOKENS_SKLEARN, text, expected)

/* ---- the naive tokeniser -------------------------------------------------------------------- */

static bool in_categories(uint32_t c, utf8proc_category_t first, utf8proc_category_t last)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= first && category <= last;
}

static void naive_unicode(const uint8_t *text, size_t size, dh_buffer *lines)
{
    dh_buffer normalised = {0};
    assert_int_equal(dh_nfkc_casefold(unicode, text, size, &normalised), DH_OK);
    bool in_run = false;
    size_t length = 0;
    for (size_t at = 0; at < normalised.size; at += length) {
        const uint32_t c = dh_utf8_decode(normalised.data + at, &length);
        const bool token = in_categories(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NO);
        const bool single = in_categories(c, UTF8PROC_CATEGORY_SM, UTF8PROC_CATEGORY_SM) ||
                            (token && dh_script_is_unspaced(c));
        if (in_run && (single || !token)) {
            assert_int_equal(dh_buffer_append(lines, "\n", 1), DH_OK);
        }
        in_run = token && !single;
        if (token || single) {
            assert_int_equal(dh_buffer_append(lines, normalised.data + at, length), DH_OK);
        }
        if (single) {
            assert_int_equal(dh_buffer_append(lines, "\n", 1), DH_OK);
        }
    }
    if (in_run) {
        assert_int_equal(dh_buffer_append(lines, "\n", 1), DH_OK);
    }
    dh_buffer_free(&normalised);
}

static void naive_sklearn(const uint8_t *text, size_t size, dh_buffer *lines)
{
    size_t length = 0;
    size_t run = 0; /* code points */
    size_t run_start = 0;
    for (size_t at = 0; at <= size; at += length) {
        uint32_t c[2] = {' ', ' '};
        size_t count = 1;
        length = 1;
        if (at < size) {
            c[0] = dh_utf8_decode(text + at, &length);
        }
        if (c[0] == 0x130) {
            c[0] = 'i';
            c[1] = 0x307;
            count = 2;
        } else if (c[0] == 0x3A3) {
            c[0] = dh_unicode_lower_sigma(text, size, at);
        } else {
            c[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c[0]);
        }
        for (size_t i = 0; i < count; i++) {
            uint8_t bytes[4];
            if (in_categories(c[i], UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO) ||
                in_categories(c[i], UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO) || c[i] == '_') {
                run_start = run == 0 ? lines->size : run_start;
                run++;
                assert_int_equal(dh_buffer_append(lines, bytes, dh_utf8_encode(c[i], bytes)), DH_OK);
            } else if (run > 1) {
                assert_int_equal(dh_buffer_append(lines, "\n", 1), DH_OK);
                run = 0;
            } else if (run == 1) {
                lines->size = run_start;
                run = 0;
            }
        }
    }
}

/* The sink has the lines as its spelling. */
static void expect_spelling(const dh_token_sink *sink, const dh_buffer *lines)
{
    size_t count = 0;
    assert_int_equal(sink->spelling_size, lines->size);
    for (size_t at = 0; at < lines->size; at++) {
        const bool ends = lines->data[at] == '\n';
        assert_int_equal(sink->spelling[at], ends ? ' ' : lines->data[at]);
        if (ends) {
            assert_int_equal(sink->token_end[count++], at);
        }
    }
    assert_int_equal(sink->token_count, count);
}

/* All ways must give the same tokens: visited, hashed fast, hashed by the full path, and naively. */
static void expect_agreement(dh_token_mode mode, const uint8_t *text, size_t size)
{
    dh_buffer naive = {0};
    if (mode == DH_TOKENS_UNICODE) {
        naive_unicode(text, size, &naive);
    } else {
        naive_sklearn(text, size, &naive);
    }
    dh_buffer lines = visit_all(mode, text, size);
    if (lines.size != naive.size || (naive.size > 0 && memcmp(lines.data, naive.data, naive.size) != 0)) {
        print_message("mode %d, text: %.*s\n", (int)mode, (int)size, (const char *)text);
    }
    assert_int_equal(lines.size, naive.size);
    if (naive.size > 0) {
        assert_memory_equal(lines.data, naive.data, naive.size);
    }
    dh_token_sink fast = {.token_limit = UINT64_MAX, .keeps_spelling = true};
    dh_token_sink full = {.token_limit = UINT64_MAX, .keeps_spelling = true};
    assert_int_equal(dh_tokenize(tokenizer[mode], text, size, &fast), DH_OK);
    assert_int_equal(dh_tokenize_full(tokenizer[mode], text, size, &full), DH_OK);
    size_t count = 0;
    for (size_t at = 0; at < naive.size; count++) {
        const uint8_t *end = memchr(naive.data + at, '\n', naive.size - at);
        const size_t token_size = (size_t)(end - (naive.data + at));
        const uint64_t hash = XXH3_64bits(naive.data + at, token_size);
        assert_true(count < fast.token_count && count < full.token_count);
        assert_true(fast.token[count] == hash);
        assert_true(full.token[count] == hash);
        at += token_size + 1;
    }
    assert_int_equal(fast.token_count, count);
    assert_int_equal(full.token_count, count);
    expect_spelling(&fast, &naive);
    expect_spelling(&full, &naive);
    dh_token_sink_free(&fast);
    dh_token_sink_free(&full);
    dh_buffer_free(&lines);
    dh_buffer_free(&naive);
}

/* ---- what is a token ------------------------------------------------------------------------ */

static void splits_sentences_of_several_languages(void **state)
{
    (void)state;
    UNICODE("", "");
    UNICODE(" \t\n.,;", "");
    UNICODE("The quick-witted O'Neil paid 42 dollars.", "the|quick|witted|o|neil|paid|42|dollars");
    UNICODE("L'été, Zoé lit Émile à l'œil nu.", "l|été|zoé|lit|émile|à|l|œil|nu");
    UNICODE("Die Straße heißt GROẞE Gasse", "die|strasse|heisst|grosse|gasse");
    UNICODE("ΟΔΥΣΣΕΥΣ και Σίσυφος", "οδυσσευσ|και|σίσυφοσ");
    UNICODE("Поезд Москва—Владивосток: 9288 км", "поезд|москва|владивосток|9288|км");
    UNICODE("İstanbul'da IĞDIR", "i\u0307stanbul|da|iğdir");
    UNICODE("שָׁלוֹם עולם", "שָׁלוֹם|עולם");
    UNICODE("السَّلامُ عليكم ١٢٣", "السَّلامُ|عليكم|١٢٣");
    UNICODE("नमस्ते दुनिया", "नमस्ते|दुनिया");
    UNICODE("대한민국 만세", "대한민국|만세");
    UNICODE("Tiếng Việt", "tiếng|việt");
}

static void splits_scripts_without_spaces(void **state)
{
    (void)state;
    UNICODE("我爱北京2008年", "我|爱|北|京|2008|年");
    UNICODE("東京タワーへ行く。", "東|京|タ|ワ|ー|へ|行|く");
    UNICODE("ﾊﾟｿｺﾝ", "パ|ソ|コ|ン");       /* half width: composed by NFKC */
    UNICODE("か\u3099き", "が|き");        /* a voiced sound mark composes */
    UNICODE("ん\u3099い", "ん|\u3099|い"); /* or else is a run: it belongs to no script */
    UNICODE("漢\u0301字", "漢|\u0301|字");
    UNICODE("漢\u0301bc字", "漢|\u0301bc|字");
    UNICODE("ภาษาไทย๒", "ภ|า|ษ|า|ไ|ท|ย|๒");
    UNICODE("ที่", "ท|ี|่"); /* Thai marks are tokens, too */
    UNICODE("ລາວ", "ລ|າ|ວ");
    UNICODE("ខ្មែរ", "ខ|្|ម|ែ|រ");
    UNICODE("မြန်မာ", "မ|ြ|န|်|မ|ာ");
    UNICODE("〇々〡", "〇|々|〡");
    UNICODE("abc漢def字", "abc|漢|def|字");
    UNICODE("\U00020000\U00030000x", "\U00020000|\U00030000|x");
    UNICODE("⼀⺟",
            "一|母"); /* a Kangxi radical and one of CJK Radicals Supplement: NFKC makes letters of them */
}

static void knows_symbols_and_numbers(void **state)
{
    (void)state;
    UNICODE("x+y=z", "x|+|y|=|z");
    UNICODE("a<b>c|d~e", "a|<|b|>|c|||d|~|e");
    UNICODE("++", "+|+");
    UNICODE("a^b`c_d$e", "a|b|c|d|e");
    UNICODE("∑∞≠∫", "∑|∞|≠|∫");
    UNICODE("½ kg, x² = 4", "1|⁄|2|kg|x2|=|4");
    UNICODE("Ⅷ ⅷ ④ 10€ 5°", "viii|viii|4|10|5");
    UNICODE("ﬁn eﬃcace ﷺ", "fin|efficace|صلى|الله|عليه|وسلم");
    UNICODE("Ｆｕｌｌ　ｗｉｄｔｈ", "full|width");
    UNICODE("non\u00A0breaking\u2009thin…end", "non|breaking|thin|end");
    UNICODE("soft\u00ADhyphen zero\u200Bwidth", "soft|hyphen|zero|width");
    UNICODE("😀👍🏽 ok", "ok");
    UNICODE("a\u0301", "á");
    UNICODE("\u0301a", "\u0301a");
    UNICODE("\u0345", "ι");
    UNICODE("q\u0323\u0307 = q\u0307\u0323", "q\u0323\u0307|=|q\u0323\u0307");
    UNICODE("=\u0338", "≠");
    UNICODE("<\u0301", "<|\u0301"); /* a mark behind a token of its own begins a run */
    UNICODE("a\uFFFD"
            "b",
            "a|b");
    UNICODE("\uE000", "");
    UNICODE("각", "각");
}

static void splits_as_sklearn(void **state)
{
    (void)state;
    SKLEARN("", "");
    SKLEARN("I am a Big_Data x y zz 4 42", "am|big_data|zz|42");
    SKLEARN("_ __ _a", "__|_a");
    SKLEARN("é ée É É1 ñ 中 中文", "ée|é1|中文");
    SKLEARN("l'été, c'est l'œuvre", "été|est|œuvre");
    SKLEARN("Straße GROẞE", "straße|große");
    SKLEARN("ΟΔΟΣ ΣΑΣ ΑΣ' Σ ΑΣ1", "οδος|σας|ας|ας1");
    SKLEARN("İstanbul Iğdır", "stanbul|iğdır"); /* i, then a mark, which is no \w */
    SKLEARN("नमस्ते", "नमस");
    SKLEARN("x+y=zz", "zz");
    SKLEARN("½½ x² ⅷ Ⅷa", "½½|x²|ⅷa");
    SKLEARN("ﬁ ﬁn", "ﬁn");
    SKLEARN("e\u0301te\u0301", "te");
    SKLEARN("東京タワー", "東京タワー");
}

/* ---- the same by all paths ------------------------------------------------------------------ */

static const uint32_t pool[] = {
    ' ',     ' ',     'a',     'e',     'E',     'Z',     'o',     '0',     '9',     '_',     '+',
    '=',     '~',     '.',     '\'',    '\n',    0x00,    0x7F,    0xA0,    0xAD,    0xB2,    0xBD,
    0xC9,    0xDF,    0xE9,    0x130,   0x131,   0x149,   0x1C4,   0x1F0,   0x300,   0x301,   0x307,
    0x308,   0x323,   0x327,   0x338,   0x340,   0x344,   0x345,   0x34F,   0x37A,   0x390,   0x3A3,
    0x3A3,   0x3B1,   0x3C2,   0x410,   0x419,   0x456,   0x587,   0x5B4,   0x5E9,   0x627,   0x653,
    0x661,   0x915,   0x928,   0x93C,   0x94D,   0x9C7,   0x9BE,   0x9D7,   0xB47,   0xB56,   0xDD9,
    0xDCA,   0xDCF,   0xE01,   0xE33,   0xE34,   0xE48,   0xEB3,   0xF42,   0xF43,   0xFB7,   0xF71,
    0xF72,   0x1000,  0x1025,  0x102E,  0x1100,  0x1112,  0x115F,  0x1160,  0x1161,  0x1175,  0x1176,
    0x11A7,  0x11A8,  0x11C2,  0x11C3,  0x1780,  0x17D2,  0x180E,  0x1B05,  0x1B35,  0x1E9B,  0x1E9E,
    0x1EA1,  0x1F00,  0x1F52,  0x1FB7,  0x200B,  0x200D,  0x2019,  0x2026,  0x2044,  0x2126,  0x212B,
    0x2167,  0x2211,  0x2260,  0x2460,  0x2F00,  0x3000,  0x3042,  0x304B,  0x3093,  0x3099,  0x309A,
    0x30A6,  0x30FC,  0x3131,  0x32C0,  0x3300,  0x4E00,  0x9FA5,  0xAC00,  0xAC01,  0xD788,  0xFB01,
    0xFB2C,  0xFB4F,  0xFDFA,  0xFE0F,  0xFF21,  0xFF76,  0xFF9E,  0xFF9F,  0xFFFD,  0x10400, 0x110BA,
    0x11099, 0x11131, 0x11127, 0x16D63, 0x16D67, 0x1D15E, 0x1D165, 0x1D16D, 0x1D400, 0x1F1E6, 0x1F600,
    0x20000, 0x2F800, 0xE0020, 0x10FFFF};

static uint32_t random_code_point(uint32_t ascii)
{
    const uint32_t kind = random_below(20);
    if (kind < ascii) {
        return random_below(0x80);
    }
    if (kind == 19) {
        const uint32_t c = random_below(4) == 0 ? random_below(0x110000) : random_below(0x3000);
        return c >= 0xD800 && c < 0xE000 ? 'x' : c;
    }
    return pool[random_below(sizeof pool / sizeof pool[0])];
}

static void agrees_on_random_mixes(void **state)
{
    (void)state;
    static uint8_t text[70 + 4 * 400];
    const unsigned turns = support_turns(20000);
    for (unsigned round = 0; round < turns; round++) {
        const size_t lead = random_below(70); /* ASCII first, to move the rest to all alignments */
        memset(text, random_below(2) == 0 ? 'b' : '.', lead);
        size_t size = lead;
        const uint32_t ascii = random_below(20);
        const uint32_t wanted = random_below(round % 50 == 0 ? 400 : 40);
        for (uint32_t i = 0; i < wanted; i++) {
            size += dh_utf8_encode(random_code_point(ascii), text + size);
        }
        expect_agreement(DH_TOKENS_UNICODE, text, size);
        expect_agreement(DH_TOKENS_SKLEARN, text, size);
    }
}

static size_t add_context(uint8_t *text, size_t size, const char *before, uint32_t c, const char *after)
{
    const size_t before_size = strlen(before);
    const size_t after_size = strlen(after);
    memcpy(text + size, before, before_size);
    size += before_size;
    size += dh_utf8_encode(c, text + size);
    memcpy(text + size, after, after_size);
    return size + after_size;
}

/* Each code point before and after letters, marks, jamo, kana, symbols and itself. Planes 4 to 14 hold
 * nothing but tags, selectors and private use: samples are enough. */
static void agrees_on_every_code_point(void **state)
{
    (void)state;
    static const char *const context[][2] = {
        {"\n", "\n"},      {"a", ""},        {"\n", "a"},      {"e\u0301", ""},     {"\n", "\u0301"},
        {"\ne", "\u0323"}, {"\u1100", ""},   {"\n", "\u1161"}, {"\uAC00", ""},      {"\n", "\u11A8"},
        {"か", ""},        {"\n", "\u3099"}, {"\n=", ""},      {"\n", "\u0338"},    {"\nS", "\u0345\u0301"},
        {"\n中", "中"},    {"\nΑΣ", "Σ"},    {"\n\u09C7", ""}, {"\u093C", "\u094D"}};
    const uint32_t step = support_step();
    for (uint32_t c = 0; c < 0x110000; c += c >= 0x32400 && (c & 0xFFFFF) > 0x200 ? 251 : step) {
        if (c == 0xD800) {
            c = 0xE000;
        }
        uint8_t text[512];
        size_t size = 0;
        for (size_t i = 0; i < sizeof context / sizeof context[0]; i++) {
            size = add_context(text, size, context[i][0], c, context[i][1]);
        }
        size = add_context(text, size, "\n", c, "");
        size = add_context(text, size, "", c, "");
        expect_agreement(DH_TOKENS_UNICODE, text, size);
        expect_agreement(DH_TOKENS_SKLEARN, text, size);
    }
}

/* Words of all sizes around the ends of the stage (8,192 bytes), of one and of several bytes a letter. */
static void agrees_around_the_bounds_of_the_stage(void **state)
{
    (void)state;
    enum { SIZE = 40000 };
    static const char *const unit[] = {"a", "é", "中", "+", "e\u0301", "\U00010400", "ß", " ", "각"};
    uint8_t *text = malloc(SIZE + 16);
    assert_non_null(text);
    const unsigned turns = support_turns(600);
    for (unsigned round = 0; round < turns; round++) {
        size_t size = 0;
        while (size < SIZE) {
            static const uint32_t runs[] = {1, 5, 63, 64, 65, 200, 4090, 4200, 8190, 8200, 17000};
            const char *piece = unit[random_below(sizeof unit / sizeof unit[0])];
            const size_t piece_size = strlen(piece);
            size_t run = runs[random_below(random_below(8) == 0 ? 11 : 6)] + random_below(5);
            for (; run > 0 && size < SIZE; run--) {
                memcpy(text + size, piece, piece_size);
                size += piece_size;
            }
        }
        expect_agreement(DH_TOKENS_UNICODE, text, size);
        expect_agreement(DH_TOKENS_SKLEARN, text, size);
    }
    for (size_t at = 8000; at < 8400; at += support_step()) { /* a word, a symbol and a mark at each place */
        memset(text, ' ', SIZE);
        memcpy(text + at - 3, "+xye\u0301z=", 9);
        expect_agreement(DH_TOKENS_UNICODE, text, at + 10);
        memset(text, 'w', at - 3);
        expect_agreement(DH_TOKENS_UNICODE, text, at + 10);
    }
    free(text);
}

/* ---- long tokens ---------------------------------------------------------------------------- */

static void hashes_a_word_of_many_megabytes(void **state)
{
    (void)state;
    const size_t size = 8u << 20;
    uint8_t *text = malloc(size + 8);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++) {
        text[i] = (uint8_t)('a' + i % 26);
    }
    const uint64_t expected = XXH3_64bits(text, size);
    memcpy(text + size, " After+", 7);
    for (size_t i = 0; i < size; i += 7) {
        text[i] = (uint8_t)(text[i] - 32);
    }
    dh_token_sink sink = {.token_limit = 3};
    assert_int_equal(dh_tokenize(tokenizer[DH_TOKENS_UNICODE], text, size + 7, &sink), DH_OK);
    assert_int_equal(sink.token_count, 3);
    assert_true(sink.token[0] == expected);
    assert_true(sink.token[1] == XXH3_64bits("after", 5));
    assert_true(sink.token[2] == XXH3_64bits("+", 1));
    dh_token_sink_free(&sink);
    free(text);
}

/* ---- prefixes ------------------------------------------------------------------------------- */

/* The hash of the prefix with an asterisk behind, which no token has. */
static uint64_t prefix_symbol(const uint8_t *prefix, size_t size)
{
    uint8_t marked[256];
    memcpy(marked, prefix, size);
    marked[size] = '*';
    return XXH3_64bits(marked, size + 1);
}

typedef struct naive_prefix {
    uint32_t lexicon;
    size_t size;
    uint8_t bytes[255];
} naive_prefix;

typedef struct naive_search {
    const naive_prefix *prefix;
    size_t prefix_count;
    uint32_t token;
    const dh_token_sink *found;
    size_t next;
} naive_search;

/* For lexicons 0 to 2, longest first: the next hit of the sink must be this one. */
static dh_status expect_hits(void *context, const uint8_t *token, size_t size)
{
    naive_search *search = context;
    for (uint32_t lexicon = 0; lexicon < 3; lexicon++) {
        for (size_t length = size < 255 ? size : 255; length > 0; length--) {
            bool known = false;
            for (size_t i = 0; i < search->prefix_count; i++) {
                const naive_prefix *prefix = &search->prefix[i];
                known = known || (prefix->lexicon == lexicon && prefix->size == length &&
                                  memcmp(prefix->bytes, token, length) == 0);
            }
            if (!known) {
                continue;
            }
            assert_true(search->next < search->found->prefix_hit_count);
            const dh_prefix_hit *hit = &search->found->prefix_hit[search->next++];
            assert_int_equal(hit->token, search->token);
            assert_int_equal(hit->lexicon, lexicon);
            assert_true(hit->hash == prefix_symbol(token, length));
        }
    }
    search->token++;
    return DH_OK;
}

/* Letters from a small alphabet, so that prefixes are common. */
static size_t random_word(uint8_t *out, size_t limit)
{
    static const char *const letter[] = {"a", "b", "c", "é", "中", "+", "a"};
    size_t size = 0;
    const size_t wanted = 1 + random_below((uint32_t)limit);
    while (size < wanted) {
        const char *piece = letter[random_below(7)];
        memcpy(out + size, piece, strlen(piece));
        size += strlen(piece);
    }
    return size;
}

static void compare_prefix_hits(const dh_prefix_set *set, const naive_prefix *prefix, size_t count)
{
    uint8_t text[3000];
    size_t size = 0;
    while (size < 2000) {
        if (random_below(3) == 0) { /* a prefix, perhaps with something behind it */
            const naive_prefix *known = &prefix[random_below((uint32_t)count)];
            memcpy(text + size, known->bytes, known->size);
            size += known->size;
        }
        if (random_below(2) == 0) {
            size += random_word(text + size, random_below(20) == 0 ? 300 : 6);
        }
        text[size++] = ' ';
    }
    dh_tokenizer *with_prefixes = NULL;
    dh_token_sink sink = {.token_limit = UINT64_MAX};
    assert_int_equal(dh_tokenizer_create(DH_TOKENS_UNICODE, set, &with_prefixes), DH_OK);
    assert_int_equal(dh_tokenize(with_prefixes, text, size, &sink), DH_OK);
    naive_search search = {prefix, count, 0, &sink, 0};
    assert_int_equal(dh_tokenize_visit(with_prefixes, text, size, expect_hits, &search), DH_OK);
    assert_int_equal(search.next, sink.prefix_hit_count);
    assert_int_equal(search.token, sink.token_count);
    dh_token_sink_free(&sink);
    dh_tokenizer_free(with_prefixes);
}

static void finds_prefixes_as_a_naive_search(void **state)
{
    (void)state;
    static naive_prefix prefix[400];
    for (int round = 0; round < 40; round++) {
        dh_prefix_set *set = NULL;
        const size_t count = 1 + random_below(round % 2 == 0 ? 20 : 400);
        assert_int_equal(dh_prefix_set_create(&set), DH_OK);
        for (size_t i = 0; i < count; i++) {
            prefix[i].lexicon = random_below(3);
            prefix[i].size = random_word(prefix[i].bytes, random_below(10) == 0 ? 252 : 11);
            uint64_t hash = 0;
            for (int twice = 0; twice < 2; twice++) {
                assert_int_equal(
                    dh_prefix_set_add(set, prefix[i].lexicon, prefix[i].bytes, prefix[i].size, &hash), DH_OK);
                assert_true(hash == prefix_symbol(prefix[i].bytes, prefix[i].size));
            }
        }
        compare_prefix_hits(set, prefix, count);
        dh_prefix_set_free(set);
    }
}

static void finds_prefixes_of_a_long_token(void **state)
{
    (void)state;
    enum { SIZE = 100000 };
    uint8_t *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, 'k', SIZE);
    dh_prefix_set *set = NULL;
    uint64_t hash[3];
    assert_int_equal(dh_prefix_set_create(&set), DH_OK);
    assert_int_equal(dh_prefix_set_add(set, 7, text, 255, &hash[0]), DH_OK);
    assert_int_equal(dh_prefix_set_add(set, 7, text, 8, &hash[1]), DH_OK);
    assert_int_equal(dh_prefix_set_add(set, 2, text, 1, &hash[2]), DH_OK);
    dh_tokenizer *with_prefixes = NULL;
    dh_token_sink sink = {.token_limit = 2};
    assert_int_equal(dh_tokenizer_create(DH_TOKENS_UNICODE, set, &with_prefixes), DH_OK);
    text[1] = '+';
    text[0] = '+';
    assert_int_equal(dh_tokenize(with_prefixes, text + 1, SIZE - 1, &sink), DH_OK);
    assert_int_equal(sink.prefix_hit_count, 3);
    static const uint32_t lexicon[] = {2, 7, 7};
    static const size_t order[] = {2, 0, 1};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(sink.prefix_hit[i].token, 1);
        assert_int_equal(sink.prefix_hit[i].lexicon, lexicon[i]);
        assert_true(sink.prefix_hit[i].hash == hash[order[i]]);
    }
    dh_token_sink_free(&sink);
    dh_tokenizer_free(with_prefixes);
    dh_prefix_set_free(set);
    free(text);
}

static void refuses_bad_prefixes(void **state)
{
    (void)state;
    uint8_t bytes[256] = {'a'};
    uint64_t hash = 0;
    dh_prefix_set *set = NULL;
    assert_int_equal(dh_prefix_set_create(&set), DH_OK);
    assert_int_equal(dh_prefix_set_add(set, 0, bytes, 0, &hash), DH_USAGE);
    assert_int_equal(dh_prefix_set_add(set, 0, bytes, 256, &hash), DH_USAGE);
    dh_prefix_set_free(set);
}

/* ---- the sink and the visitor --------------------------------------------------------------- */

static void keeps_to_the_limit_of_a_document(void **state)
{
    (void)state;
    dh_prefix_set *set = NULL;
    uint64_t hash = 0;
    dh_tokenizer *with_prefixes = NULL;
    assert_int_equal(dh_prefix_set_create(&set), DH_OK);
    assert_int_equal(dh_prefix_set_add(set, 0, (const uint8_t *)"t", 1, &hash), DH_OK);
    assert_int_equal(dh_tokenizer_create(DH_TOKENS_UNICODE, set, &with_prefixes), DH_OK);
    static const uint8_t three[] = "One two three";
    dh_token_sink sink = {.token_limit = 3};
    for (size_t round = 1; round <= 3;
         round++) { /* it appends, and counts hits from the document's first token */
        assert_int_equal(dh_tokenize(with_prefixes, three, sizeof three - 1, &sink), DH_OK);
        assert_int_equal(sink.token_count, 3 * round);
        assert_int_equal(sink.prefix_hit_count, 2 * round);
        assert_int_equal(sink.prefix_hit[2 * round - 1].token, 2);
    }
    static const uint8_t four[] = "two two two two";
    assert_int_equal(dh_tokenize(with_prefixes, four, sizeof four - 1, &sink), DH_BAD_DATA);
    assert_int_equal(sink.token_count, 9);
    assert_int_equal(sink.prefix_hit_count, 6);
    /* Over the limit only after the stage was emptied several times. */
    uint8_t *many = malloc(100000);
    assert_non_null(many);
    for (size_t i = 0; i < 100000; i++) {
        many[i] = i % 2 == 0 ? 't' : ' ';
    }
    sink.token_limit = 49999;
    assert_int_equal(dh_tokenize(with_prefixes, many, 100000, &sink), DH_BAD_DATA);
    assert_int_equal(dh_tokenize_full(with_prefixes, many, 100000, &sink), DH_BAD_DATA);
    memset(many, 'x', 9000); /* in a long token */
    sink.token_limit = 0;
    assert_int_equal(dh_tokenize(with_prefixes, many, 9000, &sink), DH_BAD_DATA);
    assert_int_equal(sink.token_count, 9);
    assert_int_equal(sink.prefix_hit_count, 6);
    assert_int_equal(dh_tokenize(with_prefixes, (const uint8_t *)" .", 2, &sink), DH_OK);
    sink.token_limit = 3;
    assert_int_equal(dh_tokenize(with_prefixes, three, sizeof three - 1, &sink), DH_OK);
    assert_int_equal(sink.token_count, 12);
    assert_true(sink.token[9] == XXH3_64bits("one", 3));
    assert_int_equal(sink.prefix_hit[6].token, 1);
    free(many);
    dh_token_sink_free(&sink);
    dh_tokenizer_free(with_prefixes);
    dh_prefix_set_free(set);
}

static dh_status stop_at_second(void *context, const uint8_t *token, size_t size)
{
    (void)token;
    (void)size;
    int *count = context;
    return ++*count == 2 ? DH_END : DH_OK;
}

static void visitors_can_stop(void **state)
{
    (void)state;
    int count = 0;
    static const uint8_t text[] = "one two three";
    assert_int_equal(dh_tokenize_visit(tokenizer[0], text, sizeof text - 1, stop_at_second, &count), DH_END);
    assert_int_equal(count, 2);
    UNICODE("again", "again"); /* nothing is left behind */
}

static int create(void **state)
{
    (void)state;
    return dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &tokenizer[DH_TOKENS_UNICODE]) == DH_OK &&
                   dh_tokenizer_create(DH_TOKENS_SKLEARN, NULL, &tokenizer[DH_TOKENS_SKLEARN]) == DH_OK &&
                   dh_unicode_create(DH_MAPPING_CASEFOLD, &unicode) == DH_OK
               ? 0
               : -1;
}

/* The same as processors without any of the features do it. */
static int create_portable(void **state)
{
    const int created = create(state);
    for (int mode = 0; created == 0 && mode < 2; mode++) {
        dh_tokenizer_without(tokenizer[mode], UINT32_MAX);
    }
    return created;
}

static int destroy(void **state)
{
    (void)state;
    dh_tokenizer_free(tokenizer[DH_TOKENS_UNICODE]);
    dh_tokenizer_free(tokenizer[DH_TOKENS_SKLEARN]);
    dh_unicode_free(unicode);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_sentences_of_several_languages),
        cmocka_unit_test(splits_scripts_without_spaces),
        cmocka_unit_test(knows_symbols_and_numbers),
        cmocka_unit_test(splits_as_sklearn),
        cmocka_unit_test(agrees_on_random_mixes),
        cmocka_unit_test(agrees_on_every_code_point),
        cmocka_unit_test(agrees_around_the_bounds_of_the_stage),
        cmocka_unit_test(hashes_a_word_of_many_megabytes),
        cmocka_unit_test(finds_prefixes_as_a_naive_search),
        cmocka_unit_test(finds_prefixes_of_a_long_token),
        cmocka_unit_test(refuses_bad_prefixes),
        cmocka_unit_test(keeps_to_the_limit_of_a_document),
        cmocka_unit_test(visitors_can_stop),
    };
    const int failed = cmocka_run_group_tests(tests, create, destroy);
    return failed + cmocka_run_group_tests_name("portable", tests, create_portable, destroy);
}
