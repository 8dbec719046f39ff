/* The Unicode table and the normaliser against the files of the Unicode Character Database. Where they
 * and utf8proc are of different versions, only code points that both know are compared. */
#include "base/buffer.h"
#include "text/normalize.h"
#include "text/scripts.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "unicode_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include <cmocka.h>

static dh_unicode *casefold; /* of DH_MAPPING_CASEFOLD */
static dh_unicode *lower;    /* of DH_MAPPING_LOWER */

static bool known(uint32_t code_point)
{
    return utf8proc_category((utf8proc_int32_t)code_point) != UTF8PROC_CATEGORY_CN;
}

static bool all_known(const uint32_t *sequence, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!known(sequence[i])) {
            return false;
        }
    }
    return true;
}

static size_t encode(const uint32_t *sequence, size_t count, uint8_t *out)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += dh_utf8_encode(sequence[i], out + size);
    }
    return size;
}

static size_t fold(const uint32_t *sequence, size_t count, uint8_t *out)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t folded[DH_FOLDING_MAX];
        size += encode(folded, dh_unicode_fold(sequence[i], folded), out + size);
    }
    return size;
}

static void expect_normalised(const uint32_t *sequence, size_t count, const uint8_t *expected, size_t size)
{
    uint8_t text[1024];
    dh_buffer out = {0};
    const size_t text_size = encode(sequence, count, text);
    assert_int_equal(dh_nfkc_casefold(casefold, text, text_size, &out), DH_OK);
    const bool same =
        out.size == size && (size == 0 || (out.data != NULL && memcmp(out.data, expected, size) == 0));
    if (!same) {
        print_message("of the sequence that begins with U+%04X\n", (unsigned)sequence[0]);
    }
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, expected, size);
    dh_buffer_free(&out);
}

/* ---- the files ------------------------------------------------------------------------------ */

static void folds_as_casefolding_txt(void **state)
{
    (void)state;
    unicode_file in;
    unicode_data *data = unicode_read_data();
    if (data == NULL || !unicode_open(&in, "CaseFolding.txt")) {
        free(data);
        skip();
        return;
    }
    bool *listed = calloc(UNICODE_LIMIT, sizeof *listed);
    assert_non_null(listed);
    uint32_t folded[DH_FOLDING_MAX];
    size_t compared = 0;
    while (unicode_next_line(&in)) {
        char *field[4];
        if (unicode_fields(in.line, field, 4) < 3 || (field[1][0] != 'C' && field[1][0] != 'F')) {
            continue;
        }
        const uint32_t c = (uint32_t)strtoul(field[0], NULL, 16);
        uint32_t expected[DH_FOLDING_MAX];
        const size_t count = unicode_sequence(field[2], expected, DH_FOLDING_MAX);
        listed[c] = true;
        if (known(c)) {
            assert_int_equal(dh_unicode_fold(c, folded), count);
            assert_memory_equal(folded, expected, count * sizeof folded[0]);
            compared++;
        }
    }
    unicode_close(&in);
    assert_in_range(compared, 1400, 3000);
    for (uint32_t c = 0; c < UNICODE_LIMIT; c++) {
        if (!listed[c] && data->category[c][0] != '\0') {
            assert_int_equal(dh_unicode_fold(c, folded), 1);
            assert_int_equal(folded[0], c);
        }
    }
    free(listed);
    free(data);
}

/* Column 4 is NFKC of each of the five columns. Characters that part 1 does not list are their own. */
static void normalises_as_normalizationtest_txt(void **state)
{
    (void)state;
    unicode_file in;
    if (!unicode_open(&in, "NormalizationTest.txt")) {
        skip();
        return;
    }
    bool *listed = calloc(UNICODE_LIMIT, sizeof *listed);
    assert_non_null(listed);
    bool part_1 = false;
    size_t lines = 0;
    while (unicode_next_line(&in)) {
        if (in.line[0] == '@') {
            part_1 = strncmp(in.line, "@Part1", 6) == 0;
            continue;
        }
        char *field[6];
        assert_true(unicode_fields(in.line, field, 6) >= 5);
        uint32_t sequence[5][64];
        size_t count[5];
        bool comparable = true;
        for (size_t i = 0; i < 5; i++) {
            count[i] = unicode_sequence(field[i], sequence[i], 64);
            comparable = comparable && all_known(sequence[i], count[i]);
        }
        if (part_1) {
            listed[sequence[0][0]] = true;
        }
        uint8_t expected[1024];
        const size_t size = fold(sequence[3], count[3], expected);
        for (size_t i = 0; i < 5 && comparable; i++) {
            expect_normalised(sequence[i], count[i], expected, size);
        }
        lines += comparable ? 1 : 0;
    }
    unicode_close(&in);
    if (lines == 0 && in.piped) {
        print_message("skipped: bzip2 gives nothing of NormalizationTest.txt.bz2\n");
        free(listed);
        skip();
        return;
    }
    assert_in_range(lines, 18000, 40000);
    unicode_data *data = unicode_read_data();
    for (uint32_t c = 0; c < UNICODE_LIMIT && data != NULL; c++) {
        if (!listed[c] && data->category[c][0] != '\0' && known(c) && (c < 0xD800 || c > 0xDFFF)) {
            uint8_t expected[64];
            const size_t size = fold(&c, 1, expected);
            expect_normalised(&c, 1, expected, size);
        }
    }
    free(data);
    free(listed);
}

static bool *read_full_composition_exclusions(void)
{
    unicode_file in;
    if (!unicode_open(&in, "DerivedNormalizationProps.txt")) {
        return NULL;
    }
    bool *excluded = calloc(UNICODE_LIMIT, sizeof *excluded);
    while (excluded != NULL && unicode_next_line(&in)) {
        char *field[3];
        if (unicode_fields(in.line, field, 3) == 2 && strcmp(field[1], "Full_Composition_Exclusion") == 0) {
            uint32_t first = 0;
            uint32_t last = 0;
            unicode_range(field[0], &first, &last);
            memset(excluded + first, 1, last - first + 1);
        }
    }
    unicode_close(&in);
    return excluded;
}

static void composes_the_pairs_of_unicodedata_txt(void **state)
{
    (void)state;
    unicode_data *data = unicode_read_data();
    bool *excluded = read_full_composition_exclusions();
    if (data == NULL || excluded == NULL) {
        free(data);
        free(excluded);
        skip();
        return;
    }
    size_t pairs = 0;
    for (uint32_t c = 0; c < UNICODE_LIMIT; c++) {
        const uint32_t *part = data->canonical[c];
        if (part[1] == 0 || !known(c)) {
            continue;
        }
        assert_int_equal(dh_unicode_compose(casefold, part[0], part[1]), excluded[c] ? 0 : c);
        pairs += excluded[c] ? 0 : 1;
        if (!excluded[c]) { /* U+0FB7 is a second of excluded pairs only, and a starter: it is stable */
            assert_true(dh_unicode_character(casefold, part[1])->flags & DH_CHARACTER_UNSTABLE);
        }
    }
    assert_in_range(pairs, 900, 3000);
    for (size_t i = 0; i < DH_PAIR_SLOTS; i++) { /* and no pair more */
        const dh_pair *pair = &casefold->pair[i];
        if (pair->composite != 0 && data->category[pair->composite][0] != '\0') {
            assert_int_equal(data->canonical[pair->composite][0], pair->first);
            assert_int_equal(data->canonical[pair->composite][1], pair->second);
        }
    }
    free(data);
    free(excluded);
}

static void composes_hangul(void **state)
{
    (void)state;
    for (uint32_t c = 0xAC00; c <= 0xD7A3; c++) {
        uint32_t part[DH_DECOMPOSITION_MAX];
        const size_t count = dh_unicode_decompose(c, part);
        assert_in_range(count, 2, 3);
        uint32_t composite = dh_unicode_compose(casefold, part[0], part[1]);
        for (size_t i = 1; i < count; i++) {
            assert_true(dh_unicode_character(casefold, part[i])->flags & DH_CHARACTER_UNSTABLE);
        }
        if (count == 3) {
            composite = dh_unicode_compose(casefold, composite, part[2]);
        }
        assert_int_equal(composite, c);
        /* U+11A7 is no trailing consonant, although the arithmetic has a place for it. */
        assert_int_equal(dh_unicode_compose(casefold, c, 0x11A7), 0);
    }
    assert_int_equal(dh_unicode_compose(casefold, 0xAC01, 0x11A8), 0);
    assert_int_equal(dh_unicode_compose(casefold, 0x1100, 0x1176), 0);
}

/* The flags of a code point say that it may not be split from what stands before it. */
static void flags_all_that_is_not_stable(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < UNICODE_LIMIT; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }
        uint32_t part[DH_DECOMPOSITION_MAX];
        (void)dh_unicode_decompose(c, part);
        const dh_character *character = dh_unicode_character(casefold, c);
        assert_non_null(character);
        const int class = utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
        assert_int_equal(character->combining_class, class);
        if (class != 0 || utf8proc_get_property((utf8proc_int32_t)part[0])->combining_class != 0) {
            assert_true(character->flags & DH_CHARACTER_UNSTABLE);
        }
        if (c < 0x80) {
            assert_int_equal(character->flags, 0);
        }
        if ((character->flags & DH_CHARACTER_SPECIAL) == 0) {
            assert_in_range(character->size, 1, 8);
            continue;
        }
        /* What does not fit may not be a character of normalised text. */
        uint8_t text[4];
        dh_buffer out = {0};
        assert_int_equal(dh_nfkc_casefold(casefold, text, dh_utf8_encode(c, text), &out), DH_OK);
        assert_true(out.size > sizeof character->utf8);
        dh_buffer_free(&out);
        assert_true(dh_unicode_decompose(c, part) > 1);
    }
}

/* A code point that maps to itself has the masks of its category and script. */
static void classes_as_unicodedata_txt_and_scripts_txt(void **state)
{
    (void)state;
    static const char *const unspaced[] = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"};
    unicode_file in;
    unicode_data *data = unicode_read_data();
    if (data == NULL || !unicode_open(&in, "Scripts.txt")) {
        free(data);
        skip();
        return;
    }
    bool *listed = calloc(UNICODE_LIMIT, sizeof *listed);
    assert_non_null(listed);
    while (unicode_next_line(&in)) {
        char *field[2];
        uint32_t first = 0;
        uint32_t last = 0;
        if (unicode_fields(in.line, field, 2) == 2) {
            unicode_range(field[0], &first, &last);
            for (size_t i = 0; i < sizeof unspaced / sizeof unspaced[0]; i++) {
                if (strcmp(field[1], unspaced[i]) == 0) {
                    memset(listed + first, 1, last - first + 1);
                }
            }
        }
    }
    unicode_close(&in);
    size_t compared = 0;
    for (uint32_t c = 0; c < UNICODE_LIMIT; c++) {
        uint8_t bytes[4];
        const char *category = data->category[c];
        if (category[0] == '\0' || !known(c) || (c >= 0xD800 && c <= 0xDFFF)) {
            continue;
        }
        assert_int_equal(dh_script_is_unspaced(c), listed[c]);
        assert_memory_equal(utf8proc_category_string((utf8proc_int32_t)c), category, 2);
        const size_t size = dh_utf8_encode(c, bytes);
        const dh_character *character = dh_unicode_character(casefold, c);
        if (character->size != size || memcmp(character->utf8, bytes, size) != 0) {
            continue;
        }
        const bool token = strchr("LMN", category[0]) != NULL;
        const bool single = memcmp(category, "Sm", 2) == 0 || (token && listed[c]);
        assert_int_equal(character->word, token && !single ? (1u << size) - 1 : 0);
        assert_int_equal(character->single_first, single ? 1 : 0);
        assert_int_equal(character->single_last, single ? 1u << (size - 1) : 0);
        compared++;
    }
    assert_in_range(compared, 250000, UNICODE_LIMIT);
    free(listed);
    free(data);
}

static void lowers_as_unicodedata_txt(void **state)
{
    (void)state;
    unicode_data *data = unicode_read_data();
    if (data == NULL) {
        skip();
        return;
    }
    for (uint32_t c = 0; c < UNICODE_LIMIT; c++) {
        if (data->category[c][0] == '\0' || !known(c) || (c >= 0xD800 && c <= 0xDFFF) || c == 0x130) {
            continue;
        }
        uint8_t bytes[4];
        const uint32_t l = data->lower[c];
        const size_t size = dh_utf8_encode(l, bytes);
        const dh_character *character = dh_unicode_character(lower, c);
        assert_int_equal(character->size, size);
        assert_memory_equal(character->utf8, bytes, size);
        const bool word = data->category[l][0] == 'L' || data->category[l][0] == 'N' || l == '_';
        assert_int_equal(character->word, word ? (1u << size) - 1 : 0);
        assert_int_equal(character->single_first | character->single_last, 0);
        assert_int_equal(character->flags, c == 0x3A3 ? DH_CHARACTER_SPECIAL : 0);
    }
    free(data);
    const dh_character *dotted = dh_unicode_character(lower, 0x130);
    assert_int_equal(dotted->size, 3);
    assert_memory_equal(dotted->utf8, "i\xCC\x87", 3);
    assert_int_equal(dotted->word, 1);
}

/* ---- the final sigma ------------------------------------------------------------------------ */

static void expect_sigma(const char *text, uint32_t expected)
{
    const char *sigma = strstr(text, "\xCE\xA3");
    assert_non_null(sigma);
    const size_t size = strlen(text);
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, text, size);
    assert_int_equal(dh_unicode_lower_sigma(copy, size, (size_t)(sigma - text)), expected);
    free(copy);
}

static void knows_the_final_sigma(void **state)
{
    (void)state;
    expect_sigma("Σ", 0x3C3);
    expect_sigma("ΑΣ", 0x3C2);
    expect_sigma("ΑΣ ", 0x3C2);
    expect_sigma("ΑΣΑ", 0x3C3);
    expect_sigma("ΣΑ", 0x3C3);
    expect_sigma("1Σ", 0x3C3);
    expect_sigma("Α Σ", 0x3C3);
    expect_sigma("Α'Σ", 0x3C2);  /* the apostrophe is looked through */
    expect_sigma("ΑΣ'Α", 0x3C3); /* on both sides */
    expect_sigma("Α\u0301\u00ADΣ\u0301:.\u2019", 0x3C2);
    expect_sigma("Α\u0301\u00ADΣ\u0301:.\u2019b", 0x3C3);
    expect_sigma("''Σ", 0x3C3);
    expect_sigma("中Σ", 0x3C3);  /* not cased */
    expect_sigma("ªΣ中", 0x3C2); /* a cased Lo */
    expect_sigma("ⓐΣ", 0x3C2);   /* a cased symbol */
    expect_sigma("ʰΣ", 0x3C3);   /* cased, but looked through */
    expect_sigma("aΣⅫ", 0x3C3);  /* a cased number */
}

static void reads_case_properties_as_derivedcoreproperties_txt(void **state)
{
    (void)state;
    unicode_file in;
    if (!unicode_open(&in, "DerivedCoreProperties.txt")) {
        skip();
        return;
    }
    enum { CASED = 1, IGNORABLE = 2 };
    uint8_t *property = calloc(UNICODE_LIMIT, 1);
    assert_non_null(property);
    while (unicode_next_line(&in)) {
        char *field[3];
        uint32_t first = 0;
        uint32_t last = 0;
        if (unicode_fields(in.line, field, 3) < 2) {
            continue;
        }
        unicode_range(field[0], &first, &last);
        const int bit = strcmp(field[1], "Cased") == 0            ? CASED
                        : strcmp(field[1], "Case_Ignorable") == 0 ? IGNORABLE
                                                                  : 0;
        for (uint32_t c = first; c <= last; c++) {
            property[c] = (uint8_t)(property[c] | bit);
        }
    }
    unicode_close(&in);
    for (uint32_t c = 0; c < UNICODE_LIMIT; c++) {
        if (!known(c) || (c >= 0xD800 && c <= 0xDFFF)) {
            continue;
        }
        /* A, c, sigma: final where c is looked through, or else cased. c, sigma: where c is cased. */
        uint8_t text[8] = {'A'};
        const size_t length = dh_utf8_encode(c, text + 1);
        text[1 + length] = 0xCE;
        text[2 + length] = 0xA3;
        const bool after_letter = dh_unicode_lower_sigma(text, length + 3, length + 1) == 0x3C2;
        const bool alone = dh_unicode_lower_sigma(text + 1, length + 2, length) == 0x3C2;
        assert_int_equal(after_letter, property[c] != 0);
        assert_int_equal(alone, property[c] == CASED);
    }
    free(property);
}

/* ---- long runs of marks --------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % limit;
}

/* utf8proc's own NFKC, which is quadratic in the marks, is right on runs of moderate length. */
static void orders_runs_of_marks_as_utf8proc(void **state)
{
    (void)state;
    static const uint32_t mark[] = {0x300, 0x301, 0x323, 0x327, 0x315, 0x345, 0x334,   0x5B0, 0x3099,
                                    0x94D, 0x93C, 0x31B, 0x328, 0x302, 0x308, 0x1D165, 0x340};
    static const uint32_t base[] = {'a', 'E', 'o', 0x3B1, 0x1EA1, 0x30AB, 0x928, ' ', 0x1F00, 0x212B};
    for (int round = 0; round < 20000; round++) {
        uint32_t sequence[120];
        size_t count = 0;
        if (random_below(8) != 0) {
            sequence[count++] = base[random_below(sizeof base / sizeof base[0])];
        }
        const size_t wanted = count + 1 + random_below(round % 10 == 0 ? 110 : 24);
        while (count < wanted) {
            sequence[count++] = mark[random_below(sizeof mark / sizeof mark[0])];
        }
        uint8_t text[600];
        const size_t size = encode(sequence, count, text);
        text[size] = '\0';
        utf8proc_uint8_t *nfkc = utf8proc_NFKC(text);
        assert_non_null(nfkc);
        dh_buffer expected = {0};
        size_t length = 0;
        for (const uint8_t *at = nfkc; *at != '\0'; at += length) {
            uint8_t folded[16];
            const uint32_t code_point = dh_utf8_decode(at, &length);
            assert_int_equal(dh_buffer_append(&expected, folded, fold(&code_point, 1, folded)), DH_OK);
        }
        expect_normalised(sequence, count, expected.data, expected.size);
        dh_buffer_free(&expected);
        free(nfkc);
    }
}

/* 300,000 marks: ordered in pieces of 65,536, in linear time. */
static void cuts_endless_runs_of_marks(void **state)
{
    (void)state;
    enum { MARKS = 300000 };
    uint8_t *text = malloc(1 + 2 * MARKS);
    assert_non_null(text);
    text[0] = 'b';
    for (size_t i = 0; i < MARKS; i++) { /* below (220), above (230) by turns */
        (void)dh_utf8_encode(i % 2 == 0 ? 0x301 : 0x316, text + 1 + 2 * i);
    }
    dh_buffer out = {0};
    assert_int_equal(dh_nfkc_casefold(casefold, text, 1 + 2 * MARKS, &out), DH_OK);
    assert_int_equal(out.size, 1 + 2 * MARKS);
    assert_int_equal(out.data[0], 'b');
    for (size_t i = 0; i < MARKS; i++) {
        const size_t piece = i / DH_MARKS_MAX * DH_MARKS_MAX;
        const size_t piece_size = MARKS - piece < DH_MARKS_MAX ? MARKS - piece : DH_MARKS_MAX;
        size_t length = 0;
        const uint32_t expected = i - piece < piece_size / 2 ? 0x316 : 0x301;
        assert_int_equal(dh_utf8_decode(out.data + 1 + 2 * i, &length), expected);
    }
    dh_buffer_free(&out);
    free(text);
}

static int create(void **state)
{
    (void)state;
    return dh_unicode_create(DH_MAPPING_CASEFOLD, &casefold) == DH_OK &&
                   dh_unicode_create(DH_MAPPING_LOWER, &lower) == DH_OK
               ? 0
               : -1;
}

static int destroy(void **state)
{
    (void)state;
    dh_unicode_free(casefold);
    dh_unicode_free(lower);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_as_casefolding_txt),
        cmocka_unit_test(normalises_as_normalizationtest_txt),
        cmocka_unit_test(composes_the_pairs_of_unicodedata_txt),
        cmocka_unit_test(composes_hangul),
        cmocka_unit_test(flags_all_that_is_not_stable),
        cmocka_unit_test(classes_as_unicodedata_txt_and_scripts_txt),
        cmocka_unit_test(lowers_as_unicodedata_txt),
        cmocka_unit_test(knows_the_final_sigma),
        cmocka_unit_test(reads_case_properties_as_derivedcoreproperties_txt),
        cmocka_unit_test(orders_runs_of_marks_as_utf8proc),
        cmocka_unit_test(cuts_endless_runs_of_marks),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
