/* Tests of read/json.h: a table of texts, a second checker, fields, unescaping, the ends of pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "json_reference.h"
#include "read/json.h"
#include "read/json_string.h"

static dh_json_paths *no_paths;

static dh_json_error scan(const dh_json_strings *strings, const void *line, size_t size)
{
    size_t offset = SIZE_MAX;
    const dh_json_error error = dh_json_scan_with(strings, no_paths, line, size, NULL, &offset);
    if (error != DH_JSON_OK && offset > size) {
        fail_msg("the offset of an error, %zu, is behind the line of %zu bytes", offset, size);
    }
    return error;
}

/* All kinds must agree with each other and with the reference. */
static dh_json_error scan_checked(const void *line, size_t size)
{
    const dh_json_error expected = json_reference(line, size);
    const dh_json_strings *strings;
    for (size_t i = 0; (strings = dh_json_strings_get(i)) != NULL; i++) {
        const dh_json_error found = scan(strings, line, size);
        if (found != expected) {
            fail_msg("%s finds %d, the reference %d: %.*s", strings->name, (int)found, (int)expected,
                     (int)size, (const char *)line);
        }
    }
    return expected;
}

static int set_up(void **state)
{
    (void)state;
    return dh_json_paths_create(NULL, 0, &no_paths) == DH_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dh_json_paths_free(no_paths);
    return 0;
}

/* ---- the grammar ------------------------------------------------------------------------------------ */

static const char *const valid[] = {
    "{}",
    " {\t\r\n} ",
    "{\"\":0}",
    "{\"a\":1,\"b\":2}",
    "{ \"a\" : 1 , \"b\" : 2 }",
    "{\"a\":[]}",
    "{\"a\":[ ]}",
    "{\"a\":[1]}",
    "{\"a\":[1,2 , 3]}",
    "{\"a\":[[],[[]],{}]}",
    "{\"a\":true}",
    "{\"a\":false}",
    "{\"a\":null}",
    "{\"a\":[true,false,null]}",
    "{\"a\":0}",
    "{\"a\":-0}",
    "{\"a\":-1}",
    "{\"a\":1234567890}",
    "{\"a\":0.5}",
    "{\"a\":-0.0}",
    "{\"a\":1.25}",
    "{\"a\":1e5}",
    "{\"a\":1E5}",
    "{\"a\":1e+5}",
    "{\"a\":1e-5}",
    "{\"a\":0e0}",
    "{\"a\":1.5e007}",
    "{\"a\":1e999999}",
    "{\"a\":-1e-999999}",
    "{\"a\":123456789012345678901234567890123456789012345678901234567890}",
    "{\"a\":\"\"}",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":\"\\uABCD\\uabcd\"}",
    "{\"a\":\"\\ud83d\\ude00\"}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\\udc00\\ud800\"}",
    "{\"\\u0061\":1}",
    "{\"a\":\"\x7f\"}",
    "{\"a\":\"\xC3\xA9\"}",
    "{\"a\":\"\xff\xfe\"}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":{\"a\":{\"a\":{}}}}",
    "{\"a\":\"{}[],:\"}",
    "{\"\\\"\":\"\\\\\"}",
};

static const char *const invalid[] = {
    "",
    " ",
    "{",
    "}",
    "{]",
    "[}",
    "{}}",
    "{{}}",
    "{}{}",
    "{} {}",
    "{}x",
    "{},",
    "{}\xEF\xBB\xBF",
    "\xEF\xBB\xBF{}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{:1}",
    "{,}",
    "{\"a\":1,}",
    "{\"a\":1,,\"b\":2}",
    "{,\"a\":1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1;\"b\":2}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":[1 2]}",
    "{\"a\":[1",
    "{\"a\":[1}",
    "{\"a\":[1,",
    "{\"a\":[",
    "{\"a\":[1:2]}",
    "{\"a\":[\"b\":2]}",
    "{\"a\":tru}",
    "{\"a\":true1}",
    "{\"a\":True}",
    "{\"a\":TRUE}",
    "{\"a\":t",
    "{\"a\":fals}",
    "{\"a\":nul}",
    "{\"a\":nulll}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":-Infinity}",
    "{\"a\":undefined}",
    "{\"a\":01}",
    "{\"a\":-01}",
    "{\"a\":00}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":+1}",
    "{\"a\":-}",
    "{\"a\":-a}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":1e-}",
    "{\"a\":1.e5}",
    "{\"a\":1.5.5}",
    "{\"a\":1e5e5}",
    "{\"a\":1e5.5}",
    "{\"a\":0x10}",
    "{\"a\":1_000}",
    "{\"a\":1f}",
    "{\"a\":--1}",
    "{\"a\":1-}",
    "{\"a\":- 1}",
    "{\"a\":1 .5}",
    "{\"a\":\xEF\xBC\x91}",
    "{\"a\":\"}",
    "{\"a\":\"\\\"}",
    "{\"a\":\"\\x41\"}",
    "{\"a\":\"\\a\"}",
    "{\"a\":\"\\'\"}",
    "{\"a\":\"\\U0041\"}",
    "{\"a\":\"\\0\"}",
    "{\"a\":\"\\u\"}",
    "{\"a\":\"\\u1\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\u123\"}",
    "{\"a\":\"\\u123g\"}",
    "{\"a\":\"\\u12 4\"}",
    "{\"a\":\"\\u+123\"}",
    "{\"a\":\"\\u123",
    "{\"a\":\"\\",
    "{\"a\":\"\t\"}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\x1f\"}",
    "{\"a\":\"\x01\"}",
    "{\"a\":\"b\"\"c\"}",
    "{\"a\t\":1}",
    "{\"a\":1}\x0B",
    "{\x0C\"a\":1}",
    "{\"a\":\xC2\xA0 1}",
    "/**/{}",
    "{}//",
    "{\"a\":1/**/}",
    "#{}",
    "\"a",
    "tru",
    "nul",
    "[1",
    "[1,]",
    "1.",
    "-",
    "01",
    "\"\\x\"",
    "[1] 2",
};

static const char *const not_objects[] = {
    "[]",     "[{}]",   "null",    "true",    "false",  "0",
    "-1.5e3", "\"{}\"", " \"a\" ", "[1,2,3]", "[[[]]]", "\"\\u0041\"",
};

static void expect_all(const char *const *text, size_t count, dh_json_error expected)
{
    for (size_t i = 0; i < count; i++) {
        const dh_json_error found = scan_checked(text[i], strlen(text[i]));
        if (found != expected) {
            fail_msg("%s: %d instead of %d", text[i], (int)found, (int)expected);
        }
    }
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_grammar(void **state)
{
    (void)state;
    expect_all(valid, COUNT(valid), DH_JSON_OK);
    expect_all(invalid, COUNT(invalid), DH_JSON_SYNTAX);
    expect_all(not_objects, COUNT(not_objects), DH_JSON_NOT_OBJECT);
    /* A NUL is no white space and no end. */
    assert_int_equal(scan_checked("{}\0", 3), DH_JSON_SYNTAX);
    assert_int_equal(scan_checked("\0{}", 3), DH_JSON_SYNTAX);
    assert_int_equal(scan_checked("{\"a\":\"\0\"}", 9), DH_JSON_SYNTAX);
}

static void test_error_offsets(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t offset;
    } wrong[] = {
        {"{\"a\":x}", 5},  {"{\"a\":1}x", 7},  {"{\"a\":\"\\x\"}", 6}, {"{\"a\":\"b\tc\"}", 7},
        {"{\"a\"", 4},     {"{\"a", 3},        {"  [1]", 2},           {"{\"a\":trUe}", 7},
        {"{\"a\":1.}", 7}, {"{\"a\":012}", 6},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        size_t offset = SIZE_MAX;
        const uint8_t *line = (const uint8_t *)wrong[i].line;
        assert_int_not_equal(dh_json_scan(no_paths, line, strlen(wrong[i].line), NULL, &offset), DH_JSON_OK);
        assert_int_equal(offset, wrong[i].offset);
    }
}

/* Long enough for several blocks, with escapes at their borders. */
static const char *const rich[] = {
    "{\"id\":\"a-1\",\"text\":\"It was \\\"the\\\" best\\nof times, \\u00e9t\\u00E9 \\ud83d\\ude00, it was "
    "the worst of times; "
    "it was the age of wisdom, it was the age of "
    "foolishness\\\\\",\"n\":[1,-2.5e+3,0,true,null],\"m\":{\"a\":{}}}",
    " { \"a\" : [ { \"b\" : -0.10E-2 } , \"\\t\" ] , \"\" : false } ",
    "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":"
    "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    "bbbbbbbbbb\\u0041bbbbbbbbbbbb\xC3\xA9\xF0\x9F\x98\x80\"}",
};

static void test_prefixes_and_mutations(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rich); i++) {
        const size_t size = strlen(rich[i]);
        assert_int_equal(scan_checked(rich[i], size), DH_JSON_OK);
        for (size_t cut = 0; cut < size; cut++) {
            (void)scan_checked(rich[i], cut);
        }
        char *line = malloc(size + 1);
        assert_non_null(line);
        for (size_t at = 0; at < size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memcpy(line, rich[i], size);
                line[at] = (char)byte;
                (void)scan_checked(line, size);
            }
            /* One byte left out, one doubled. */
            memcpy(line, rich[i], at);
            memcpy(line + at, rich[i] + at + 1, size - at - 1);
            (void)scan_checked(line, size - 1);
            memcpy(line, rich[i], at + 1);
            memcpy(line + at + 1, rich[i] + at, size - at);
            (void)scan_checked(line, size + 1);
        }
        free(line);
    }
}

/* Random texts of the bytes that matter. */
static void test_random(void **state)
{
    (void)state;
    static const char *const piece[] = {
        "{",        "}",
        "[",        "]",
        ",",        ":",
        "\"",       "\"a\"",
        "\\",       "\\n",
        "\\u00e9",  "\\u0",
        " ",        "1",
        "0",        "-",
        ".",        "e",
        "+",        "true",
        "null",     "{\"a\":",
        "\n",       "\x01",
        "\xC3\xA9", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    uint32_t seed = 12345;
    for (int round = 0; round < 200000; round++) {
        char line[1024];
        size_t size = 0;
        seed = seed * 1664525U + 1013904223U;
        const unsigned pieces = 1 + (seed >> 24) % 12;
        for (unsigned k = 0; k < pieces; k++) {
            seed = seed * 1664525U + 1013904223U;
            const char *added = piece[(seed >> 8) % COUNT(piece)];
            memcpy(line + size, added, strlen(added));
            size += strlen(added);
        }
        (void)scan_checked(line, size);
    }
}

/* ---- depth ------------------------------------------------------------------------------------------ */

static char *nested(size_t depth, const char *open, const char *close, size_t *size)
{
    const size_t a = strlen(open), b = strlen(close);
    char *line = malloc(depth * (a + b) + 1);
    assert_non_null(line);
    for (size_t i = 0; i < depth; i++) {
        memcpy(line + i * a, open, a);
        memcpy(line + depth * a + i * b, close, b);
    }
    *size = depth * (a + b);
    return line;
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        size_t depth;
        dh_json_error arrays, objects;
    } expected[] = {
        {1, DH_JSON_NOT_OBJECT, DH_JSON_SYNTAX},      {1023, DH_JSON_NOT_OBJECT, DH_JSON_SYNTAX},
        {1024, DH_JSON_NOT_OBJECT, DH_JSON_SYNTAX},   {1025, DH_JSON_TOO_DEEP, DH_JSON_TOO_DEEP},
        {100000, DH_JSON_TOO_DEEP, DH_JSON_TOO_DEEP},
    };
    for (size_t i = 0; i < COUNT(expected); i++) {
        size_t size;
        char *line = nested(expected[i].depth, "[", "]", &size);
        assert_int_equal(scan_checked(line, size), expected[i].arrays);
        free(line);
        /* Objects without a value inside: never right, but at the limit the depth is what is told. */
        line = nested(expected[i].depth, "{\"a\":", "}", &size);
        assert_int_equal(scan_checked(line, size), expected[i].objects);
        free(line);
    }
    /* Kinds in turn, so that every bit of the stack is seen to be kept. */
    size_t size;
    char *line = nested(512, "{\"a\":[", "]}", &size);
    assert_int_equal(scan_checked(line, size), DH_JSON_OK);
    line[size - 1] = ']';
    assert_int_equal(scan_checked(line, size), DH_JSON_SYNTAX);
    free(line);
    line = nested(513, "{\"a\":[", "]}", &size);
    assert_int_equal(scan_checked(line, size), DH_JSON_TOO_DEEP);
    free(line);
}

/* ---- fields ----------------------------------------------------------------------------------------- */

/* A value as text: its kind's letter, then its bytes; "-" where it is missing. */
static void expect_fields(const char *const *path, size_t count, const char *line,
                          const char *const *expected)
{
    dh_json_paths *paths;
    assert_int_equal(dh_json_paths_create(path, count, &paths), DH_OK);
    const dh_json_strings *strings;
    for (size_t k = 0; (strings = dh_json_strings_get(k)) != NULL; k++) {
        dh_json_value value[DH_JSON_FIELDS_MAX];
        memset(value, 0xA5, sizeof value);
        size_t offset;
        assert_int_equal(
            dh_json_scan_with(strings, paths, (const uint8_t *)line, strlen(line), value, &offset),
            DH_JSON_OK);
        for (size_t i = 0; i < count; i++) {
            char found[256];
            (void)snprintf(found, sizeof found, "%c%.*s", "-zbnsoa"[value[i].kind], (int)value[i].size,
                           value[i].text != NULL ? (const char *)value[i].text : "");
            if (strcmp(found, expected[i]) != 0) {
                fail_msg("%s of %s: %s instead of %s", path[i] != NULL ? path[i] : "NULL", line, found,
                         expected[i]);
            }
            assert_int_equal(value[i].has_escapes, value[i].kind == DH_JSON_STRING && value[i].text != NULL &&
                                                       memchr(value[i].text, '\\', value[i].size) != NULL);
        }
    }
    dh_json_paths_free(paths);
}

static void expect_field(const char *path, const char *line, const char *expected)
{
    expect_fields(&path, 1, line, &expected);
}

static void test_fields_kinds(void **state)
{
    (void)state;
    expect_field("a", "{\"a\":\"x\"}", "sx");
    expect_field("a", "{\"a\":\"\"}", "s");
    expect_field("a", "{\"a\" : \"x\\n\" }", "sx\\n");
    expect_field("a", "{\"a\": -1.5e3 }", "n-1.5e3");
    expect_field("a", "{\"a\":null}", "znull");
    expect_field("a", "{\"a\":true,\"b\":2}", "btrue");
    expect_field("a", "{\"a\":false}", "bfalse");
    expect_field("a", "{\"a\":{}}", "o{}");
    expect_field("a", "{\"a\": { \"b\" : [1,{}] } ,\"c\":1}", "o{ \"b\" : [1,{}] }");
    expect_field("a", "{\"a\":[1,[2],{\"a\":3}]}", "a[1,[2],{\"a\":3}]");
    expect_field("a", "{}", "-");
    expect_field("a", "{\"b\":1,\"aa\":2,\"\":3,\"A\":4}", "-");
    expect_field("a", "{\"b\":{\"a\":1},\"c\":[\"a\",{\"a\":1}]}", "-");
    expect_field(NULL, "{\"a\":1}", "-");
}

static void test_fields_paths(void **state)
{
    (void)state;
    expect_field("a.b", "{\"a\":{\"b\":1}}", "n1");
    expect_field("a.b", "{\"a\":{\"c\":{\"b\":2},\"b\":1},\"b\":3}", "n1");
    expect_field("a.b", "{\"a\":{\"c\":0}}", "-");
    expect_field("a.b", "{\"a\":1}", "-");
    expect_field("a.b", "{\"a\":[{\"b\":1}]}", "-");
    expect_field("a.b", "{\"a.b\":1}", "-");
    expect_field("a\\.b", "{\"a.b\":1,\"a\":{\"b\":2}}", "n1");
    expect_field("a\\.b.c\\.", "{\"a.b\":{\"c.\":1}}", "n1");
    expect_field("a\\b", "{\"a\\\\b\":1}", "n1");
    expect_field("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p",
                 "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\":{\"j\":{\"k\":{\"l\":{\"m\":"
                 "{\"n\":{\"o\":{"
                 "\"p\":{\"p\":1}}}}}}}}}}}}}}}}}",
                 "o{\"p\":1}");
    static const char *const several[] = {"m.a", "t", "m.b.c", NULL, "m.b.d", "t"};
    static const char *const found[] = {"n1", "sx", "n2", "-", "n3", "sx"};
    expect_fields(several, 6, "{\"t\":\"x\",\"m\":{\"b\":{\"d\":3,\"c\":2},\"a\":1}}", found);
}

static void test_fields_names(void **state)
{
    (void)state;
    expect_field("text", "{\"t\\u0065xt\":1}", "n1");
    expect_field("text", "{\"\\u0074\\u0065\\u0078\\u0074\":1}", "n1");
    expect_field("text", "{\"text\\u0000\":1}", "-");
    expect_field("text", "{\"tex\\u0074\\u0074\":1,\"te\\u0078\":2}", "-");
    expect_field("\xC3\xA9", "{\"\\u00e9\":1}", "n1");
    expect_field("\xC3\xA9", "{\"\\u00E8\":1}", "-");
    expect_field("\xF0\x9F\x98\x80", "{\"\\ud83d\\uDE00\":1}", "n1");
    expect_field("a\"b/c", "{\"a\\\"b\\/c\":1}", "n1");
}

static void test_fields_twice(void **state)
{
    (void)state;
    expect_field("a", "{\"a\":1,\"a\":\"x\"}", "sx");
    expect_field("a", "{\"a\":{\"b\":1},\"\\u0061\":[2]}", "a[2]");
    expect_field("a.b", "{\"a\":{\"b\":1},\"a\":{}}", "-");
    expect_field("a.b", "{\"a\":{\"b\":1},\"a\":2}", "-");
    expect_field("a.b", "{\"a\":{\"b\":1},\"a\":\"b\"}", "-");
    expect_field("a.b", "{\"a\":{\"b\":1},\"a\":[{\"b\":2}]}", "-");
    expect_field("a.b", "{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "n2");
    expect_field("a.b", "{\"a\":{\"b\":1,\"b\":2},\"c\":{\"b\":3}}", "n2");
    expect_field("a.b", "{\"a\":3,\"a\":{\"b\":1}}", "n1");
    static const char *const two[] = {"a.b", "a.c"};
    static const char *const found[] = {"-", "n3"};
    expect_fields(two, 2, "{\"a\":{\"b\":1,\"c\":2},\"a\":{\"c\":3}}", found);
}

static void test_fields_of_bad_lines(void **state)
{
    (void)state;
    dh_json_paths *paths;
    const char *const path[] = {"a"};
    assert_int_equal(dh_json_paths_create(path, 1, &paths), DH_OK);
    dh_json_value value;
    size_t offset;
    static const char line[] = "{\"a\":1,}";
    assert_int_equal(dh_json_scan(paths, (const uint8_t *)line, sizeof line - 1, &value, &offset),
                     DH_JSON_SYNTAX);
    assert_int_equal(value.kind, DH_JSON_MISSING);
    dh_json_paths_free(paths);
}

static void test_paths_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", NULL},     {".", NULL},      {"a.", NULL},
        {".a", NULL},   {"a..b", NULL},   {"a", "a.b"},
        {"a.b.c", "a"}, {"a.b", "a.b.c"}, {"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", NULL},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        dh_json_paths *paths = NULL;
        assert_int_equal(dh_json_paths_create(bad[i], 2, &paths), DH_USAGE);
        assert_null(paths);
    }
    const char *const good[] = {"a", "b.a", "ab", "a"};
    dh_json_paths *paths = NULL;
    assert_int_equal(dh_json_paths_create(good, 4, &paths), DH_OK);
    dh_json_paths_free(paths);
}

/* ---- unescaping ------------------------------------------------------------------------------------- */

static void expect_unescaped(const char *escaped, size_t size, const char *expected, size_t expected_size,
                             uint64_t lone)
{
    const dh_json_strings *strings;
    for (size_t k = 0; (strings = dh_json_strings_get(k)) != NULL; k++) {
        uint8_t *out = malloc(size + 1), *text = malloc(size + 1);
        assert_non_null(out);
        assert_non_null(text);
        memcpy(text, escaped, size);
        uint64_t replaced = 5;
        out[size] = 0xA5;
        text[size] = 0xA5;
        assert_int_equal(strings->unescape(text, size, out, &replaced), expected_size);
        assert_memory_equal(out, expected, expected_size);
        assert_int_equal(replaced, lone + 5);
        assert_memory_equal(text, escaped, size);
        assert_int_equal(strings->unescape(text, size, text, &replaced), expected_size);
        assert_memory_equal(text, expected, expected_size);
        assert_int_equal(replaced, 2 * lone + 5);
        assert_int_equal(out[size], 0xA5);
        assert_int_equal(text[size], 0xA5);
        free(out);
        free(text);
    }
}

#define FFFD "\xEF\xBF\xBD"

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        const char *escaped, *expected;
        uint64_t lone;
    } text[] = {
        {"", "", 0},
        {"plain \xC3\xA9", "plain \xC3\xA9", 0},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 0},
        {"a\\nb", "a\nb", 0},
        {"\\u0041\\u007f\\u0080\\u07ff\\u0800\\uFFFF", "A\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF", 0},
        {"\\uABCD\\uabcd\\uef90", "\xEA\xAF\x8D\xEA\xAF\x8D\xEE\xBE\x90", 0},
        {"\\ud800\\udc00\\udbff\\udfff", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 0},
        {"\\uD83D\\uDE00!", "\xF0\x9F\x98\x80!", 0},
        {"\\ud800", FFFD, 1},
        {"\\udfff", FFFD, 1},
        {"\\ud800x\\udc00", FFFD "x" FFFD, 2},
        {"\\udc00\\ud800", FFFD FFFD, 2},
        {"\\ud800\\ud800\\udc00", FFFD "\xF0\x90\x80\x80", 1},
        {"\\ud800\\n", FFFD "\n", 1},
        {"\\ud800\\\\udc00", FFFD "\\udc00", 1},
        {"\\ud800\\u0041", FFFD "A", 1},
        {"\\ud7ff\\ue000", "\xED\x9F\xBF\xEE\x80\x80", 0},
    };
    for (size_t i = 0; i < COUNT(text); i++) {
        expect_unescaped(text[i].escaped, strlen(text[i].escaped), text[i].expected, strlen(text[i].expected),
                         text[i].lone);
    }
    expect_unescaped("a\\u0000b", 8, "a\0b", 3, 0);
}

/* Every escape at every place relative to the blocks, once and repeated at every distance. */
static void test_unescape_at_block_borders(void **state)
{
    (void)state;
    static const struct {
        const char *escaped, *expected;
        uint64_t lone;
    } escape[] = {{"\\n", "\n", 0},
                  {"\\u00e9", "\xC3\xA9", 0},
                  {"\\ud83d\\ude00", "\xF0\x9F\x98\x80", 0},
                  {"\\udc00", FFFD, 1}};
    char escaped[2048], expected[2048];
    for (size_t e = 0; e < COUNT(escape); e++) {
        for (size_t before = 0; before < 150; before++) {
            for (size_t distance = 0; distance < 80; distance += before % 7 + 1) {
                size_t a = 0, b = 0;
                uint64_t lone = 0;
                memset(escaped, 'x', sizeof escaped);
                memset(expected, 'x', sizeof expected);
                a += before;
                b += before;
                for (int k = 0; k < 5; k++) {
                    memcpy(escaped + a, escape[e].escaped, strlen(escape[e].escaped));
                    memcpy(expected + b, escape[e].expected, strlen(escape[e].expected));
                    a += strlen(escape[e].escaped) + distance;
                    b += strlen(escape[e].expected) + distance;
                    lone += escape[e].lone;
                }
                expect_unescaped(escaped, a, expected, b, lone);
            }
        }
    }
}

static void test_unescape_value(void **state)
{
    (void)state;
    uint8_t text[] = "no escapes";
    uint8_t out[sizeof text];
    uint64_t replaced = 0;
    const dh_json_value value = {DH_JSON_STRING, false, text, sizeof text - 1};
    assert_int_equal(dh_json_unescape(&value, out, &replaced), sizeof text - 1);
    assert_memory_equal(out, text, sizeof text - 1);
    assert_int_equal(dh_json_unescape(&value, text, &replaced), sizeof text - 1);
    const dh_json_value empty = {DH_JSON_STRING, false, text, 0};
    assert_int_equal(dh_json_unescape(&empty, out, &replaced), 0);
}

/* ---- the ends of pages ------------------------------------------------------------------------------ */

/* Lines that end with the last byte of a page, and lines that begin with its first: the pages around them
 * cannot be read. */
static void test_page_ends(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *memory = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mprotect(memory, page, PROT_NONE), 0);
    assert_int_equal(mprotect(memory + 2 * page, page, PROT_NONE), 0);
    uint8_t *const first = memory + page, *const behind = memory + 2 * page;
    static const char *const filling[] = {"x", "\\n", "\\u0041", "xxxxxxxxxxx\\\"", "\xC3\xA9", "\\ud83d"};
    static const char head[] = "{\"a\":\"";
    for (size_t size = 0; size <= 200; size++) {
        for (size_t f = 0; f < COUNT(filling); f++) {
            uint8_t line[512];
            size_t used = sizeof head - 1;
            memcpy(line, head, used);
            while (used < size) {
                memcpy(line + used, filling[f], strlen(filling[f]));
                used += strlen(filling[f]);
            }
            memcpy(line + used, "\"}", 2);
            used += 2;
            /* Whole, and cut to `size`, which is mostly not JSON. */
            memcpy(behind - used, line, used);
            assert_int_equal(scan_checked(behind - used, used), DH_JSON_OK);
            memcpy(first, line, used);
            assert_int_equal(scan_checked(first, used), DH_JSON_OK);
            memcpy(behind - size, line, size);
            (void)scan_checked(behind - size, size);
            for (size_t shift = 1; shift < 64; shift += 7) {
                memcpy(behind - shift - used, line, used);
                assert_int_equal(scan_checked(behind - shift - used, used), DH_JSON_OK);
            }
            /* The string alone, which ends with the page; out is the end of the page too. */
            const size_t string = used - 2 - (sizeof head - 1);
            uint8_t expected[512];
            uint64_t replaced = 0;
            const dh_json_strings *strings;
            size_t expected_size = SIZE_MAX;
            for (size_t k = 0; (strings = dh_json_strings_get(k)) != NULL; k++) {
                memcpy(behind - string, line + sizeof head - 1, string);
                const size_t made = strings->unescape(behind - string, string, behind - string, &replaced);
                if (expected_size == SIZE_MAX) {
                    expected_size = made;
                    memcpy(expected, behind - string, made);
                }
                assert_int_equal(made, expected_size);
                assert_memory_equal(behind - string, expected, made);
                memcpy(first, line + sizeof head - 1, string);
                assert_int_equal(strings->unescape(first, string, first, &replaced), made);
                assert_memory_equal(first, expected, made);
                const size_t again =
                    strings->unescape(line + sizeof head - 1, string, behind - string, &replaced);
                assert_int_equal(again, made);
                assert_memory_equal(behind - string, expected, made);
            }
        }
    }
    munmap(memory, 3 * page);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static void test_append_string(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *expected;
    } text[] = {
        {"", 0, "\"\""},
        {"abc", 3, "\"abc\""},
        {"a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\""},
        {"\b\f\n\r\t\0\x1f\x7f", 8, "\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\""},
        {"\xC3\xA9\xF0\x9F\x98\x80", 6, "\"\xC3\xA9\xF0\x9F\x98\x80\""},
        {"a\xFF\n\xE2\x82", 5, "\"a" FFFD "\\n" FFFD "\""},
    };
    for (size_t i = 0; i < COUNT(text); i++) {
        dh_buffer out = {0};
        assert_int_equal(dh_json_append_string(&out, text[i].text, text[i].size), DH_OK);
        assert_int_equal(out.size, strlen(text[i].expected));
        assert_memory_equal(out.data, text[i].expected, out.size);
        dh_buffer_free(&out);
    }
    /* What is written says the same when it is read: all bytes of ASCII. */
    uint8_t all[128];
    for (unsigned i = 0; i < sizeof all; i++) {
        all[i] = (uint8_t)i;
    }
    dh_buffer out = {0};
    assert_int_equal(dh_json_append_string(&out, all, sizeof all), DH_OK);
    assert_int_equal(scan_checked(out.data, out.size), DH_JSON_NOT_OBJECT);
    const dh_json_value value = {DH_JSON_STRING, true, out.data + 1, out.size - 2};
    uint64_t replaced = 0;
    assert_int_equal(dh_json_unescape(&value, out.data + 1, &replaced), sizeof all);
    assert_memory_equal(out.data + 1, all, sizeof all);
    dh_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_error_offsets),
        cmocka_unit_test(test_prefixes_and_mutations),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_fields_kinds),
        cmocka_unit_test(test_fields_paths),
        cmocka_unit_test(test_fields_names),
        cmocka_unit_test(test_fields_twice),
        cmocka_unit_test(test_fields_of_bad_lines),
        cmocka_unit_test(test_paths_refused),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_unescape_at_block_borders),
        cmocka_unit_test(test_unescape_value),
        cmocka_unit_test(test_page_ends),
        cmocka_unit_test(test_append_string),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
