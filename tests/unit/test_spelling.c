/* The spelling that a sink of tokens keeps: in lent arrays, over several documents, after errors. That it is
 * right for any text is tested in test_tokens.c. */
#include "support.h"

#include "base/fault.h"
#include "text/tokens.h"

enum { FILL = 0xA5, TEXT_MAX = 60000, TOKENS_MAX = 60000, SPELLING_MAX = 200000 };

static dh_tokenizer *tokenizer[2]; /* by dh_token_mode */

/* ---- what must be there ------------------------------------------------------------------------------ */

/* The spelling of documents, as tokens are visited. */
typedef struct reference {
    dh_buffer spelling;
    uint32_t token_end[TOKENS_MAX];
    size_t token_count, document; /* where its spelling begins */
} reference;

static dh_status add_token(void *context, const uint8_t *token, size_t size)
{
    reference *expected = context;
    DH_TRY(dh_buffer_append(&expected->spelling, token, size));
    assert_true(expected->token_count < TOKENS_MAX);
    expected->token_end[expected->token_count++] = (uint32_t)(expected->spelling.size - expected->document);
    return dh_buffer_append(&expected->spelling, " ", 1);
}

static void add_document(reference *expected, dh_token_mode mode, const uint8_t *text, size_t size)
{
    expected->document = expected->spelling.size;
    assert_ok(dh_tokenize_visit(tokenizer[mode], text, size, add_token, expected));
}

static void expect_sink(const dh_token_sink *sink, const reference *expected)
{
    assert_int_equal(sink->token_count, expected->token_count);
    assert_int_equal(sink->spelling_size, expected->spelling.size);
    if (expected->token_count > 0) {
        assert_memory_equal(sink->spelling, expected->spelling.data, expected->spelling.size);
        assert_memory_equal(sink->token_end, expected->token_end, expected->token_count * sizeof(uint32_t));
    }
}

/* ---- text -------------------------------------------------------------------------------------------- */

/* Runs of a few kinds of letters, of all lengths up to those that do not fit the tokeniser's stage. */
static size_t random_text(uint8_t *text, size_t limit)
{
    static const char *const letter[] = {"a",       "Q",      "\u00e9", "\u4e2d", "+",
                                         "e\u0301", "\ufdfa", " ",      ".",      "\U00010400"};
    static const uint32_t run[] = {1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 64, 65, 100, 4095, 4097, 8193, 20000};
    size_t size = 0;
    for (;;) {
        const char *piece = letter[support_random_below(COUNT(letter))];
        const size_t piece_size = strlen(piece);
        const size_t runs = support_random_below(12) == 0 ? COUNT(run) : 13;
        uint32_t left = run[support_random_below(runs)];
        for (; left > 0; left--) {
            if (size + piece_size > limit) {
                return size;
            }
            memcpy(text + size, piece, piece_size);
            size += piece_size;
        }
        if (size < limit && support_random_below(4) > 0) {
            text[size++] = ' ';
        }
    }
}

/* ---- arrays that are lent ---------------------------------------------------------------------------- */

/* A sink over arrays of these sizes, with bytes behind that nobody may write. */
typedef struct lent_sink {
    dh_token_sink sink;
    uint64_t *token;
    uint32_t *token_end;
    uint8_t *spelling;
    size_t tokens, bytes;
} lent_sink;

static void *filled(size_t size)
{
    void *memory = malloc(size);
    assert_non_null(memory);
    memset(memory, FILL, size);
    return memory;
}

static lent_sink lend(size_t tokens, size_t bytes)
{
    lent_sink lent = {.token = filled((tokens + 1) * sizeof *lent.token),
                      .token_end = filled((tokens + 1) * sizeof *lent.token_end),
                      .spelling = filled(bytes + 1),
                      .tokens = tokens,
                      .bytes = bytes};
    lent.sink = (dh_token_sink){.token = lent.token,
                                .token_capacity = tokens,
                                .token_end = lent.token_end,
                                .token_lent = true,
                                .keeps_spelling = true,
                                .spelling = lent.spelling,
                                .spelling_capacity = bytes,
                                .spelling_lent = true,
                                .token_limit = UINT64_MAX};
    return lent;
}

static void take_back(lent_sink *lent)
{
    uint64_t token;
    uint32_t token_end;
    memset(&token, FILL, sizeof token);
    memset(&token_end, FILL, sizeof token_end);
    assert_true(lent->token[lent->tokens] == token);
    assert_true(lent->token_end[lent->tokens] == token_end);
    assert_true(lent->spelling[lent->bytes] == FILL);
    dh_token_sink_free(&lent->sink);
    free(lent->token);
    free(lent->token_end);
    free(lent->spelling);
}

static void test_lent_arrays_overflow(void **state)
{
    (void)state;
    static const size_t tokens[] = {0, 1, 5, 1000, TOKENS_MAX};
    static const size_t bytes[] = {0, 1, 32, 33, 500, 9000, SPELLING_MAX};
    static reference expected;
    uint8_t *text = filled(TEXT_MAX);
    const unsigned turns = support_turns(40);
    for (size_t i = 0; i < turns * COUNT(tokens) * COUNT(bytes); i++) {
        lent_sink lent = lend(tokens[i % COUNT(tokens)], bytes[i / COUNT(tokens) % COUNT(bytes)]);
        const dh_token_mode mode = support_random_below(4) == 0 ? DH_TOKENS_SKLEARN : DH_TOKENS_UNICODE;
        expected.spelling.size = expected.token_count = 0;
        for (uint64_t documents = support_random_below(4); documents > 0; documents--) {
            const size_t size = random_text(text, support_random_below(20) == 0 ? TEXT_MAX / 4 : 600);
            assert_ok(dh_tokenize(tokenizer[mode], text, size, &lent.sink));
            add_document(&expected, mode, text, size);
        }
        expect_sink(&lent.sink, &expected);
        assert_true(lent.sink.token_lent == (lent.sink.token == lent.token));
        assert_true(lent.sink.token_lent == (lent.sink.token_end == lent.token_end));
        assert_true(lent.sink.spelling_lent == (lent.sink.spelling == lent.spelling));
        assert_true(!lent.sink.token_lent || expected.token_count <= lent.tokens);
        assert_true(!lent.sink.spelling_lent || expected.spelling.size <= lent.bytes);
        /* Where there is room, nothing is taken from elsewhere. */
        assert_true(lent.sink.token_lent || expected.token_count > lent.tokens);
        take_back(&lent);
    }
    dh_buffer_free(&expected.spelling);
    expected = (reference){.token_count = 0};
    free(text);
}

static void test_without_spelling_nothing_is_kept(void **state)
{
    (void)state;
    dh_token_sink sink = {.token_limit = UINT64_MAX};
    uint8_t *text = filled(TEXT_MAX);
    memset(text, 'w', TEXT_MAX); /* a long run, too */
    memcpy(text, "One two + ", 10);
    assert_ok(dh_tokenize(tokenizer[0], text, TEXT_MAX, &sink));
    assert_int_equal(sink.token_count, 4);
    assert_null(sink.spelling);
    assert_null(sink.token_end);
    assert_int_equal(sink.spelling_size, 0);
    dh_token_sink_free(&sink);
    free(text);
}

/* ---- long runs --------------------------------------------------------------------------------------- */

static void test_a_word_of_many_megabytes(void **state)
{
    (void)state;
    const size_t size = 8u << 20;
    uint8_t *text = filled(size + 8);
    for (size_t i = 0; i < size; i++) {
        text[i] = (uint8_t)('A' + i % 26);
    }
    memcpy(text + size, "\xC3\xA9 End", 6);
    lent_sink lent = lend(2, 100);
    for (uint32_t round = 0; round < 2; round++) {
        const size_t before = lent.sink.spelling_size;
        assert_ok(dh_tokenize(tokenizer[0], text, size + 6, &lent.sink));
        assert_int_equal(lent.sink.token_count, 2 * (round + 1));
        assert_int_equal(lent.sink.spelling_size, before + size + 7);
        for (size_t i = 0; i < size; i++) {
            assert_true(lent.sink.spelling[before + i] == 'a' + i % 26);
        }
        assert_memory_equal(lent.sink.spelling + before + size, "\xC3\xA9 end ", 7);
        assert_int_equal(lent.sink.token_end[2 * round], size + 2);
        assert_int_equal(lent.sink.token_end[2 * round + 1], size + 6);
    }
    take_back(&lent);
    free(text);
}

/* ---- errors ------------------------------------------------------------------------------------------ */

/* Fails on text, and leaves what was there. */
static void expect_failure(dh_token_sink *sink, const uint8_t *text, size_t size, dh_status status)
{
    const size_t token_count = sink->token_count;
    const size_t spelling_size = sink->spelling_size;
    assert_int_equal(dh_tokenize(tokenizer[0], text, size, sink), status);
    assert_int_equal(sink->token_count, token_count);
    assert_int_equal(sink->spelling_size, spelling_size);
}

static void test_after_an_error_the_sink_is_as_before(void **state)
{
    (void)state;
    static const uint8_t words[] = "One two three";
    static const char spelling[] = "one two three one two three ";
    static const uint32_t token_end[] = {3, 7, 13, 3, 7, 13};
    uint8_t *text = filled(TEXT_MAX);
    lent_sink lent = lend(4, 300);
    lent.sink.token_limit = 3;
    assert_ok(dh_tokenize(tokenizer[0], words, sizeof words - 1, &lent.sink));
    for (size_t i = 0; i < TEXT_MAX; i++) {
        text[i] = i % 5 == 0 ? ' ' : 't';
    }
    lent.sink.token_limit = 6000; /* the stage is emptied several times before it is reached */
    expect_failure(&lent.sink, text, TEXT_MAX, DH_BAD_DATA);
    memset(text, 'x', TEXT_MAX);
    lent.sink.token_limit = 0; /* in a long run, whose spelling was there already */
    expect_failure(&lent.sink, text, TEXT_MAX, DH_BAD_DATA);
    lent.sink.token_limit = 3;
    assert_ok(dh_tokenize(tokenizer[0], words, sizeof words - 1, &lent.sink));
    assert_int_equal(lent.sink.token_count, COUNT(token_end));
    assert_memory_equal(lent.sink.token_end, token_end, sizeof token_end);
    assert_int_equal(lent.sink.spelling_size, sizeof spelling - 1);
    assert_memory_equal(lent.sink.spelling, spelling, sizeof spelling - 1);
    take_back(&lent);
    free(text);
}

static void arm(const char *fault)
{
    assert_int_equal(fault != NULL ? setenv("DHATU_FAULT", fault, 1) : unsetenv("DHATU_FAULT"), 0);
    assert_ok(dh_fault_arm(0));
}

/* Each of the arrays in turn cannot grow: those that are lent, and those of the sink's own. */
static void test_without_memory_the_sink_is_as_before(void **state)
{
    (void)state;
    static const uint8_t words[] = "One two three";
    static const char *const fault[] = {"call=allocate,error=ENOMEM,at=1", "call=allocate,error=ENOMEM,at=2",
                                        "call=allocate,error=ENOMEM,at=3"};
    static reference expected;
    uint8_t *text = filled(TEXT_MAX);
    for (size_t i = 0; i < TEXT_MAX; i++) {
        text[i] = i % 3 == 0 ? ' ' : 'k';
    }
    for (size_t i = 0; i < 2 * COUNT(fault); i++) {
        lent_sink lent = lend(3, 64);
        expected.spelling.size = expected.token_count = 0;
        assert_ok(dh_tokenize(tokenizer[0], words, sizeof words - 1, &lent.sink));
        add_document(&expected, DH_TOKENS_UNICODE, words, sizeof words - 1);
        if (i % 2 == 1) {
            assert_ok(dh_token_sink_grow_tokens(&lent.sink, 4));
            assert_ok(dh_token_sink_grow_spelling(&lent.sink, 65));
        }
        support_capture_begin();
        arm(fault[i / 2]);
        expect_failure(&lent.sink, text, TEXT_MAX, DH_NO_MEMORY);
        arm(NULL);
        (void)support_capture_end();
        expect_sink(&lent.sink, &expected);
        assert_ok(dh_tokenize(tokenizer[0], text, TEXT_MAX, &lent.sink));
        add_document(&expected, DH_TOKENS_UNICODE, text, TEXT_MAX);
        expect_sink(&lent.sink, &expected);
        take_back(&lent);
    }
    dh_buffer_free(&expected.spelling);
    expected = (reference){.token_count = 0};
    free(text);
}

static int create(void **state)
{
    (void)state;
    return dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &tokenizer[DH_TOKENS_UNICODE]) == DH_OK &&
                   dh_tokenizer_create(DH_TOKENS_SKLEARN, NULL, &tokenizer[DH_TOKENS_SKLEARN]) == DH_OK
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
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lent_arrays_overflow),
        cmocka_unit_test(test_without_spelling_nothing_is_kept),
        cmocka_unit_test(test_a_word_of_many_megabytes),
        cmocka_unit_test(test_after_an_error_the_sink_is_as_before),
        cmocka_unit_test(test_without_memory_the_sink_is_as_before),
    };
    const int failed = cmocka_run_group_tests(tests, create, destroy);
    return failed != 0 ? failed : cmocka_run_group_tests_name("portable", tests, create_portable, destroy);
}
