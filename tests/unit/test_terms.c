/* Tests of the table that counts the n-grams of a chunk, against counting by comparing. */
#include "support.h"

#include "base/leb128.h"
#include "run/terms.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- batches ----------------------------------------------------------------------------------------- */

enum { DOCUMENTS_MAX = 64, TOKENS_MAX = 4096, MEMORY = 16 << 20 };

typedef struct texts {
    dh_buffer spelling;
    uint64_t token[TOKENS_MAX];
    uint32_t token_end[TOKENS_MAX];
    uint64_t token_offset[DOCUMENTS_MAX + 1], spelling_offset[DOCUMENTS_MAX + 1];
    uint32_t documents, tokens;
    uint64_t hash_mask; /* few bits: tokens collide */
} texts;

static texts made;

static void begin_texts(void)
{
    dh_buffer_free(&made.spelling);
    memset(&made, 0, sizeof made);
    made.hash_mask = UINT64_MAX;
}

static void add_token(const void *bytes, size_t size)
{
    assert_true(made.tokens < TOKENS_MAX);
    assert_ok(dh_buffer_append(&made.spelling, bytes, size));
    made.token[made.tokens] = XXH3_64bits(bytes, size) & made.hash_mask;
    made.token_end[made.tokens++] = (uint32_t)(made.spelling.size - made.spelling_offset[made.documents]);
    assert_ok(dh_buffer_append(&made.spelling, " ", 1));
}

static void end_document(void)
{
    made.documents++;
    assert_true(made.documents <= DOCUMENTS_MAX);
    made.token_offset[made.documents] = made.tokens;
    made.spelling_offset[made.documents] = made.spelling.size;
}

/* A document of words with one space between. */
static void add_document(const char *words)
{
    while (*words != '\0') {
        const size_t size = strcspn(words, " ");
        add_token(words, size);
        words += size + (words[size] == ' ');
    }
    end_document();
}

/* The documents [from, to), with the spelling in memory that ends where it ends. */
static dh_batch batch_of(uint32_t from, uint32_t to)
{
    return (dh_batch){.document_count = to - from,
                      .token = made.token,
                      .token_offset = made.token_offset + from,
                      .spelling = made.spelling.data,
                      .spelling_offset = made.spelling_offset + from,
                      .token_end = made.token_end};
}

/* ---- what is expected: every n-gram is compared with all before --------------------------------------- */

typedef struct counted {
    const uint8_t *bytes;
    uint32_t size, last;
    uint64_t frequency, documents;
} counted;

static counted expected[8 * TOKENS_MAX];
static size_t expected_count;

static void expect_one(const uint8_t *bytes, uint32_t size, uint32_t document)
{
    for (size_t i = 0; i < expected_count; i++) {
        counted *one = expected + i;
        if (one->size == size && memcmp(one->bytes, bytes, size) == 0) {
            one->frequency++;
            one->documents += one->last != document;
            one->last = document;
            return;
        }
    }
    assert_true(expected_count < COUNT(expected));
    expected[expected_count++] =
        (counted){.bytes = bytes, .size = size, .last = document, .frequency = 1, .documents = 1};
}

static void expect_documents(dh_ngram_range range, uint32_t from, uint32_t to)
{
    expected_count = 0;
    for (uint32_t d = from; d < to; d++) {
        const uint8_t *spelling = made.spelling.data + made.spelling_offset[d];
        const uint32_t *end = made.token_end + made.token_offset[d];
        const uint64_t tokens = made.token_offset[d + 1] - made.token_offset[d];
        for (uint64_t t = 0; t < tokens; t++) {
            const uint32_t begin = t > 0 ? end[t - 1] + 1 : 0;
            for (uint32_t n = range.least; n <= range.most && t + n <= tokens; n++) {
                expect_one(spelling + begin, end[t + n - 1] - begin, d);
            }
        }
    }
}

static void assert_counted(const dh_buffer *out)
{
    const uint8_t *at = out->data;
    const uint8_t *end = out->data + out->size;
    for (size_t i = 0; i < expected_count; i++) {
        const uint8_t *term = NULL;
        uint32_t size = 0;
        uint64_t frequency = 0;
        uint64_t documents = 0;
        assert_true(dh_term_decode(&at, end, &term, &size, &frequency, &documents));
        assert_int_equal(size, expected[i].size);
        assert_memory_equal(term, expected[i].bytes, size);
        assert_int_equal(frequency, expected[i].frequency);
        assert_int_equal(documents, expected[i].documents);
    }
    assert_ptr_equal(at, end);
}

static void check_range(dh_ngram_range range)
{
    dh_term_table *table = NULL;
    dh_buffer out = {0};
    const dh_batch batch = batch_of(0, made.documents);
    assert_ok(dh_term_table_create(range, MEMORY, &table));
    for (int turn = 0; turn < 2; turn++) { /* an emptied table counts the same */
        out.size = 0;
        assert_ok(dh_term_table_add(table, &batch, &out));
        assert_int_equal(out.size, 0);
        assert_ok(dh_term_table_flush(table, &out));
        expect_documents(range, 0, made.documents);
        assert_counted(&out);
    }
    dh_term_table_free(table);
    dh_buffer_free(&out);
}

/* ---- the tests --------------------------------------------------------------------------------------- */

static void test_counts_are_those_of_the_text(void **state)
{
    (void)state;
    begin_texts();
    add_document("the cat and the dog and the dog");
    add_document("");
    add_document("the");
    add_document("dog the");
    check_range((dh_ngram_range){1, 1});
    check_range((dh_ngram_range){2, 3});
    check_range((dh_ngram_range){1, 8});
    expect_documents((dh_ngram_range){1, 1}, 0, made.documents);
    assert_int_equal(expected_count, 4); /* the, cat, and, dog */
    assert_int_equal(expected[0].frequency, 5);
    assert_int_equal(expected[0].documents, 3);
}

static void test_terms_of_every_size_are_compared_to_their_last_byte(void **state)
{
    (void)state;
    begin_texts();
    made.hash_mask = 0; /* all terms collide: only bytes tell them apart */
    uint8_t bytes[40];
    for (uint32_t size = 1; size <= sizeof bytes; size++) {
        memset(bytes, 'a', size);
        add_token(bytes, size);
        for (uint32_t at = 0; at<size; at += size> 4 ? 3 : 1) {
            bytes[at] = 'b';
            add_token(bytes, size);
            bytes[at] = 'a';
        }
        bytes[size - 1] = 'c';
        add_token(bytes, size);
        end_document();
    }
    check_range((dh_ngram_range){1, 1});
}

static void test_random_texts(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < support_turns(30); turn++) {
        begin_texts();
        made.hash_mask = turn % 3 == 0 ? UINT64_C(0x700000000000) << (turn % 16) : UINT64_MAX;
        const uint32_t documents = 1 + (uint32_t)support_random_below(DOCUMENTS_MAX - 1);
        for (uint32_t d = 0; d < documents; d++) {
            for (uint64_t t = support_random_below(40); t > 0; t--) {
                char word[24];
                const uint64_t number = support_random_below(1 + support_random_below(500));
                const int size = snprintf(word, sizeof word, "%.*s%llu", (int)(number % 12), "abcdefghijkl",
                                          (unsigned long long)number);
                add_token(word, (size_t)size);
            }
            end_document();
        }
        check_range((dh_ngram_range){1, 1});
        check_range((dh_ngram_range){1, 2});
        check_range((dh_ngram_range){3, 3});
    }
}

/* The last token ends where its memory does: what is read behind it would be found (valgrind, sanitizers). */
static void test_nothing_is_read_behind_the_spelling(void **state)
{
    (void)state;
    for (uint32_t size = 1; size < 20; size++) {
        begin_texts();
        uint8_t word[20];
        memset(word, 'x', sizeof word);
        add_token(word, size);
        add_token(word, size);
        end_document();
        uint8_t *exact = malloc(made.spelling.size);
        assert_non_null(exact);
        memcpy(exact, made.spelling.data, made.spelling.size);
        free(made.spelling.data);
        made.spelling.data = exact;
        made.spelling.capacity = made.spelling.size;
        check_range((dh_ngram_range){1, 2});
    }
}

static void add_numbered(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        char word[16];
        add_token(word, (size_t)snprintf(word, sizeof word, "w%u", i));
    }
    end_document();
}

/* More is compared than a short term has: also of the one behind which the memory for terms ends. */
static void test_the_last_term_of_the_memory(void **state)
{
    (void)state;
    enum { IN_A_DOCUMENT = 2000, TERMS = 24000 };
    dh_buffer out = {0};
    dh_term_table *table = NULL;
    assert_ok(dh_term_table_create((dh_ngram_range){1, 1}, MEMORY, &table));
    for (uint32_t from = 0; from < TERMS; from += IN_A_DOCUMENT) {
        begin_texts();
        for (uint32_t i = 2 * from; i < 2 * (from + IN_A_DOCUMENT); i++) { /* each twice */
            char word[16];
            add_token(word, (size_t)snprintf(word, sizeof word, "w%u", i / 2));
        }
        end_document();
        const dh_batch batch = batch_of(0, 1);
        assert_ok(dh_term_table_add(table, &batch, &out));
    }
    assert_ok(dh_term_table_flush(table, &out));
    const uint8_t *at = out.data;
    for (uint32_t i = 0; i < TERMS; i++) {
        const uint8_t *term = NULL;
        uint32_t size = 0;
        uint64_t frequency = 0;
        uint64_t documents = 0;
        assert_true(dh_term_decode(&at, out.data + out.size, &term, &size, &frequency, &documents));
        assert_int_equal(frequency, 2);
        assert_int_equal(documents, 1);
    }
    assert_ptr_equal(at, out.data + out.size);
    dh_term_table_free(table);
    dh_buffer_free(&out);
}

static void count_in_batches(uint32_t step, uint64_t memory, dh_buffer *out)
{
    dh_term_table *table = NULL;
    assert_ok(dh_term_table_create((dh_ngram_range){1, 2}, memory, &table));
    for (uint32_t d = 0; d < made.documents; d += step) {
        const dh_batch batch = batch_of(d, d + step < made.documents ? d + step : made.documents);
        assert_ok(dh_term_table_add(table, &batch, out));
    }
    assert_ok(dh_term_table_flush(table, out));
    dh_term_table_free(table);
}

static void test_what_is_written_does_not_depend_on_batches(void **state)
{
    (void)state;
    begin_texts();
    for (uint32_t d = 0; d < 40; d++) {
        add_numbered(d * 7, d * 7 + 60);
    }
    static const uint64_t memory[] = {1, 1 << 14, MEMORY};
    size_t size[COUNT(memory)] = {0};
    for (size_t m = 0; m < COUNT(memory); m++) {
        dh_buffer whole = {0};
        dh_buffer parts = {0};
        count_in_batches(made.documents, memory[m], &whole);
        for (uint32_t step = 1; step < made.documents; step += 6) {
            parts.size = 0;
            count_in_batches(step, memory[m], &parts);
            assert_int_equal(parts.size, whole.size);
            assert_memory_equal(parts.data, whole.data, whole.size);
        }
        size[m] = whole.size;
        dh_buffer_free(&whole);
        dh_buffer_free(&parts);
    }
    assert_true(size[0] > size[1] && size[1] > size[2]); /* little memory: a term is written more than once */
}

static void test_a_full_table_is_written_between_documents(void **state)
{
    (void)state;
    begin_texts();
    add_numbered(0, 100);
    add_numbered(50, 150);
    dh_term_table *table = NULL;
    dh_buffer out = {0};
    assert_ok(dh_term_table_create((dh_ngram_range){1, 1}, 1, &table));
    const dh_batch batch = batch_of(0, made.documents);
    assert_ok(dh_term_table_add(table, &batch, &out));
    expect_documents((dh_ngram_range){1, 1}, 0, 1);
    assert_counted(&out);
    out.size = 0;
    assert_ok(dh_term_table_flush(table, &out));
    expect_documents((dh_ngram_range){1, 1}, 1, 2);
    assert_counted(&out);
    dh_term_table_free(table);
    dh_buffer_free(&out);
}

static void test_many_terms_and_a_huge_one(void **state)
{
    (void)state;
    dh_term_table *table = NULL;
    dh_buffer out = {0};
    assert_ok(dh_term_table_create((dh_ngram_range){1, 1}, 64 << 20, &table));
    const uint32_t rounds = 40;
    for (uint32_t r = 0; r < rounds; r++) {
        begin_texts();
        add_numbered(r * 4000, r * 4000 + 4000);
        const dh_batch batch = batch_of(0, made.documents);
        assert_ok(dh_term_table_add(table, &batch, &out));
    }
    begin_texts();
    const size_t huge = 3 << 20;
    uint8_t *bytes = malloc(huge);
    assert_non_null(bytes);
    memset(bytes, 'z', huge);
    add_token(bytes, huge);
    add_token(bytes, huge);
    bytes[huge - 1] = 'y';
    add_token(bytes, huge);
    end_document();
    free(bytes);
    const dh_batch batch = batch_of(0, made.documents);
    assert_ok(dh_term_table_add(table, &batch, &out));
    assert_int_equal(out.size, 0);
    assert_ok(dh_term_table_flush(table, &out));
    const uint8_t *at = out.data;
    const uint8_t *term = NULL;
    uint32_t size = 0;
    uint64_t frequency = 0;
    uint64_t documents = 0;
    for (uint32_t i = 0; i < rounds * 4000; i++) {
        char word[16];
        assert_true(dh_term_decode(&at, out.data + out.size, &term, &size, &frequency, &documents));
        assert_int_equal(size, snprintf(word, sizeof word, "w%u", i));
        assert_memory_equal(term, word, size);
        assert_int_equal(frequency, 1);
    }
    for (uint64_t expect = 2; expect > 0; expect--) {
        assert_true(dh_term_decode(&at, out.data + out.size, &term, &size, &frequency, &documents));
        assert_int_equal(size, huge);
        assert_int_equal(frequency, expect);
        assert_int_equal(documents, 1);
    }
    assert_ptr_equal(at, out.data + out.size);
    dh_term_table_free(table);
    dh_buffer_free(&out);
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static void test_damaged_terms_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[24];
        size_t size;
        bool good;
    } cases[] = {
        {{2, 'a', 'b', 5, 3}, 5, true},
        {{2, 'a', 'b', 5, 3}, 4, false},                       /* cut */
        {{2, 'a', 'b'}, 3, false},                             /* cut */
        {{2, 'a'}, 2, false},                                  /* cut in the term */
        {{0, 5, 3}, 3, false},                                 /* no term */
        {{1, 'a', 3, 5}, 4, false},                            /* more documents than occurrences */
        {{1, 'a', 3, 0}, 4, false},                            /* in no document */
        {{0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 'a', 1, 1}, 8, false}, /* a size above 32 bits */
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 'a', 1, 1},
         14,
         false}, /* no number */
    };
    for (size_t c = 0; c < COUNT(cases); c++) {
        uint8_t *exact = malloc(cases[c].size);
        assert_non_null(exact);
        memcpy(exact, cases[c].bytes, cases[c].size);
        const uint8_t *at = exact;
        const uint8_t *term = NULL;
        uint32_t size = 77;
        uint64_t frequency = 77;
        uint64_t documents = 77;
        assert_int_equal(dh_term_decode(&at, exact + cases[c].size, &term, &size, &frequency, &documents),
                         cases[c].good);
        assert_ptr_equal(at, cases[c].good ? exact + cases[c].size : exact);
        assert_int_equal(size, cases[c].good ? 2 : 77);
        assert_int_equal(frequency, cases[c].good ? 5 : 77);
        assert_int_equal(documents, cases[c].good ? 3 : 77);
        free(exact);
    }
}

static void test_numbers_come_back(void **state)
{
    (void)state;
    static const uint64_t number[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX};
    for (size_t i = 0; i < COUNT(number); i++) {
        uint8_t bytes[DH_LEB128_MAX];
        const uint8_t *end = dh_leb128_put(bytes, number[i]);
        assert_true(end - bytes <= DH_LEB128_MAX);
        const uint8_t *at = bytes;
        uint64_t back = 0;
        assert_true(dh_leb128_get(&at, end, &back));
        assert_true(back == number[i]);
        assert_ptr_equal(at, end);
        at = bytes;
        assert_false(dh_leb128_get(&at, end - 1, &back));
        assert_true((uint64_t)dh_unzigzag(dh_zigzag((int64_t)number[i])) == number[i]);
    }
    assert_int_equal(dh_zigzag(-1), 1);
    assert_int_equal(dh_zigzag(1), 2);
    const uint8_t over[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2};
    const uint8_t *at = over;
    uint64_t back = 0;
    assert_false(dh_leb128_get(&at, over + sizeof over, &back));
}

/* What is written without branches are the same bytes; what is read so, the same numbers. */
static void test_short_numbers_are_the_same(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < UINT32_C(1) << (DH_LEB128_SHORT_BITS + 1); number++) {
        uint8_t bytes[DH_LEB128_MAX] = {0};
        uint8_t other[DH_LEB128_MAX] = {0};
        const uint8_t *end = dh_leb128_put(bytes, number);
        uint32_t back = 0;
        if (number >> DH_LEB128_SHORT_BITS != 0) {
            assert_null(dh_leb128_get_short(bytes, &back));
            continue;
        }
        assert_int_equal(dh_leb128_put_short(other, number) - other, end - bytes);
        assert_memory_equal(other, bytes, (size_t)(end - bytes));
        memset(other + (end - bytes), UINT8_MAX, 2); /* what lies behind is not looked at */
        assert_ptr_equal(dh_leb128_get_short(other, &back), other + (end - bytes));
        assert_int_equal(back, number);
    }
}

static int tear_down(void **state)
{
    (void)state;
    dh_buffer_free(&made.spelling);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_those_of_the_text),
        cmocka_unit_test(test_terms_of_every_size_are_compared_to_their_last_byte),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_nothing_is_read_behind_the_spelling),
        cmocka_unit_test(test_the_last_term_of_the_memory),
        cmocka_unit_test(test_what_is_written_does_not_depend_on_batches),
        cmocka_unit_test(test_a_full_table_is_written_between_documents),
        cmocka_unit_test(test_many_terms_and_a_huge_one),
        cmocka_unit_test(test_damaged_terms_are_refused),
        cmocka_unit_test(test_numbers_come_back),
        cmocka_unit_test(test_short_numbers_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
