/* Tests of read/records.h: records and reasons. */
#include "record_files.h"

static uint8_t packed[4 << 20];

/* ---- names ------------------------------------------------------------------------------------------- */

static void test_every_reason_has_a_name_and_a_description(void **state)
{
    (void)state;
    for (int a = 0; a < DH_REASON_COUNT; a++) {
        assert_non_null(dh_reason_name((dh_reason)a));
        assert_non_null(dh_reason_description((dh_reason)a));
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(dh_reason_name((dh_reason)a), dh_reason_name((dh_reason)b));
        }
        const bool of_source = strncmp(dh_reason_name((dh_reason)a), "source_", 7) == 0;
        assert_int_equal(dh_reason_is_of_source((dh_reason)a), of_source);
    }
}

static void test_format_goes_by_the_name_less_its_compression(void **state)
{
    (void)state;
    static const char *const jsonl[] = {"a.jsonl",     "a.ndjson",   "a.json",        "A.JSONL",
                                        "a.jsonl.gz",  "a.json.ZST", "d/a.jsonl.bz2", "a.jsonl.xz",
                                        "a.txt.jsonl", ".jsonl"};
    static const char *const text[] = {"a.txt",    "a",    "",          "jsonl",         "a.jsonl.txt",
                                       "a.jsonlx", "a.gz", "a.jsonl/x", "a.jsonl.gz.gz", "a.jsonl.tar"};
    for (size_t i = 0; i < COUNT(jsonl); i++) {
        assert_int_equal(dh_format_of_name(jsonl[i]), DH_FORMAT_JSONL);
    }
    for (size_t i = 0; i < COUNT(text); i++) {
        assert_int_equal(dh_format_of_name(text[i]), DH_FORMAT_TEXT);
    }
    static const struct {
        const char *name;
        size_t size;
    } cut[] = {{"a.gz", 1},  {"a.gzip", 1}, {"a.zst", 1},   {"a.zstd", 1}, {"a.bz2", 1},
               {"a.xz", 1},  {"a.GZ", 1},   {".gz", 3},     {"d/.gz", 5},  {"gz", 2},
               {"a.gzz", 5}, {"", 0},       {"a.gz.gz", 4}, {"a", 1}};
    for (size_t i = 0; i < COUNT(cut); i++) {
        assert_int_equal(dh_name_without_compression(cut[i].name), cut[i].size);
    }
}

/* ---- lines ------------------------------------------------------------------------------------------- */

static void test_lines_of_jsonl(void **state)
{
    (void)state;
    const reading all =
        read_text("a.jsonl", "{\"text\":\"one\"}\n\n  \t\r\n{\"text\":\"two\"}\r\n{\"text\":\"\"}");
    assert_int_equal(all.count, 3);
    expect_record(&all, 0, DH_REASON_NONE, 0, 15);
    expect_record(&all, 1, DH_REASON_NONE, 21, 16);
    expect_record(&all, 2, DH_REASON_NONE, 37, 11);
    assert_int_equal(all.record[0].number, 0);
    assert_int_equal(all.record[1].number, 3);
    assert_int_equal(all.record[2].number, 4);
    assert_int_equal(all.record[1].text_size, 3);
    assert_int_equal(all.record[1].text_hash, XXH3_64bits("two", 3));
    assert_int_equal(all.record[2].text_size, 0);
    assert_int_equal(all.facts.lines, 5);
    assert_int_equal(all.facts.blank_lines, 2);
    assert_int_equal(all.facts.blank_bytes, 6);
    assert_int_equal(all.facts.bytes, 48);
    assert_int_equal(all.facts.bytes_in, 48);
    assert_int_equal(all.facts.failed_bytes, 0);
    free(all.record);
}

static void test_an_empty_file_has_no_line_and_one_text(void **state)
{
    (void)state;
    reading all = read_text("empty.jsonl", "");
    assert_int_equal(all.count, 0);
    assert_int_equal(all.facts.lines, 0);
    assert_int_equal(all.facts.bytes, 0);
    free(all.record);
    all = read_text("empty.txt", "");
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_NONE, 0, 0);
    assert_int_equal(all.record[0].text_size, 0);
    assert_int_equal(all.facts.lines, 1);
    free(all.record);
}

static void test_a_byte_order_mark_is_no_part_of_the_text(void **state)
{
    (void)state;
    reading all = read_text("bom.jsonl", "\xEF\xBB\xBF{\"text\":\"x\"}\n\xEF\xBB\xBF{\"text\":\"x\"}\n");
    assert_int_equal(all.count, 2);
    expect_record(&all, 0, DH_REASON_NONE, 0, 16);
    expect_record(&all, 1, DH_REASON_JSON_SYNTAX, 16, 16); /* only at the start */
    free(all.record);
    all = read_text("bom-only.jsonl", "\xEF\xBB\xBF\n");
    assert_int_equal(all.count, 0);
    assert_int_equal(all.facts.blank_lines, 1);
    assert_int_equal(all.facts.blank_bytes, 4);
    free(all.record);
    all = read_text("bom.txt", "\xEF\xBB\xBFtext\xEF\xBB\xBF");
    assert_int_equal(all.record[0].text_hash, XXH3_64bits("text\xEF\xBB\xBF", 7));
    expect_record(&all, 0, DH_REASON_NONE, 0, 10);
    free(all.record);
}

static void test_reasons_of_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        dh_reason reason;
    } cases[] = {
        {"{\"text\":\"x\"}", DH_REASON_NONE},
        {"not json", DH_REASON_JSON_SYNTAX},
        {"{\"text\":\"x\"", DH_REASON_JSON_SYNTAX},
        {"{\"text\":\"x\"} {}", DH_REASON_JSON_SYNTAX},
        {"[\"text\"]", DH_REASON_JSON_NOT_OBJECT},
        {"\"text\"", DH_REASON_JSON_NOT_OBJECT},
        {"17", DH_REASON_JSON_NOT_OBJECT},
        {"{}", DH_REASON_TEXT_MISSING},
        {"{\"Text\":\"x\"}", DH_REASON_TEXT_MISSING},
        {"{\"text\":null}", DH_REASON_TEXT_NOT_STRING},
        {"{\"text\":17}", DH_REASON_TEXT_NOT_STRING},
        {"{\"text\":{\"text\":\"x\"}}", DH_REASON_TEXT_NOT_STRING},
        {"{\"text\":[\"x\"]}", DH_REASON_TEXT_NOT_STRING},
        {"{\"id\":1,\"lang\":[],\"text\":\"\xFF\"}", DH_REASON_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        const int size =
            snprintf(text, sizeof text, "{\"text\":\"before\"}\n%s\n{\"text\":\"after\"}\n", cases[i].line);
        const reading all = read_bytes("reasons.jsonl", text, (size_t)size);
        assert_int_equal(all.count, 3);
        expect_record(&all, 0, DH_REASON_NONE, 0, 18);
        expect_record(&all, 1, cases[i].reason, 18, strlen(cases[i].line) + 1);
        expect_record(&all, 2, DH_REASON_NONE, 18 + strlen(cases[i].line) + 1, 17);
        free(all.record);
    }
}

static void test_too_deep(void **state)
{
    (void)state;
    for (int depth = DH_JSON_DEPTH_MAX - 1; depth <= DH_JSON_DEPTH_MAX;
         depth++) { /* and the object around it */
        dh_buffer text = {0};
        assert_ok(dh_buffer_printf(&text, "{\"text\":\"x\",\"a\":"));
        for (int d = 0; d < depth; d++) {
            assert_ok(dh_buffer_append(&text, "[", 1));
        }
        for (int d = 0; d < depth; d++) {
            assert_ok(dh_buffer_append(&text, "]", 1));
        }
        assert_ok(dh_buffer_append(&text, "}", 1));
        const reading all = read_bytes("deep.jsonl", text.data, text.size);
        assert_int_equal(all.count, 1);
        expect_record(&all, 0, depth < DH_JSON_DEPTH_MAX ? DH_REASON_NONE : DH_REASON_JSON_TOO_DEEP, 0,
                      text.size);
        free(all.record);
        dh_buffer_free(&text);
    }
}

static void test_nul_padding(void **state)
{
    (void)state;
    static const char bytes[] = "{\"text\":\"x\"}\n\0\0\0\n\0 \0\n{\"text\":\"y\"}\n\0\0\0\0\0";
    const reading all = read_bytes("nul.jsonl", bytes, sizeof bytes - 1);
    assert_int_equal(all.count, 5);
    expect_record(&all, 1, DH_REASON_NUL_PADDING, 13, 4);
    expect_record(&all, 2, DH_REASON_JSON_SYNTAX, 17, 4);
    expect_record(&all, 3, DH_REASON_NONE, 21, 13);
    expect_record(&all, 4, DH_REASON_NUL_PADDING, 34, 5);
    free(all.record);
}

/* record_max is of the line without its end; longer ones are counted and not held, whatever the window has.
 */
static void test_longest_record(void **state)
{
    (void)state;
    static const size_t limits[] = {20, 100, 70000, 1 << 20, 3000000};
    for (size_t i = 0; i < COUNT(limits); i++) {
        for (int over = 0; over < 2; over++) {
            dh_buffer text = {0};
            const size_t size = limits[i] + (size_t)over;
            assert_ok(dh_buffer_printf(&text, "{\"text\":\"a\"}\n{\"text\":\""));
            while (text.size < 13 + size - 2) {
                assert_ok(dh_buffer_append(&text, "b", 1));
            }
            assert_ok(dh_buffer_printf(&text, "\"}\n{\"text\":\"c\"}"));
            dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, limits[i]);
            const char *path = support_write("long.jsonl", text.data, text.size);
            const reading all = read_all(reader, path, "long.jsonl");
            assert_int_equal(all.count, 3);
            expect_record(&all, 0, DH_REASON_NONE, 0, 13);
            expect_record(&all, 1, over ? DH_REASON_RECORD_TOO_LARGE : DH_REASON_NONE, 13, size + 1);
            expect_record(&all, 2, DH_REASON_NONE, 13 + size + 1, 12);
            assert_int_equal(all.record[2].number, 2);
            assert_int_equal(all.facts.bytes, text.size);
            dh_record_reader_free(reader);
            free(all.record);
            dh_buffer_free(&text);
        }
    }
}

static void test_longest_record_at_the_end_of_a_file(void **state)
{
    (void)state;
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 12);
    reading all = read_all(reader, support_write_text("end.jsonl", "\n{\"text\":\"abc\"}"), "end.jsonl");
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_RECORD_TOO_LARGE, 1, 14);
    free(all.record);
    all = read_all(reader, support_write_text("end.txt", "twelve bytes"), "end.txt");
    expect_record(&all, 0, DH_REASON_NONE, 0, 12);
    free(all.record);
    all = read_all(reader, support_write_text("end.txt", "thirteen byte"), "end.txt");
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_RECORD_TOO_LARGE, 0, 13);
    assert_int_equal(all.facts.bytes, 13);
    free(all.record);
    dh_record_reader_free(reader);
}

static void test_a_long_text_file_is_counted_to_its_end(void **state)
{
    (void)state;
    enum { SIZE = 3000000 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, 'x', SIZE);
    dh_record_reader *reader = reader_of(DH_FORMAT_TEXT, 1000);
    const reading all = read_all(reader, support_write("long.txt", text, SIZE), "long.txt");
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_RECORD_TOO_LARGE, 0, SIZE);
    assert_int_equal(all.facts.bytes, SIZE);
    free(all.record);
    free(text);
    dh_record_reader_free(reader);
}

static void test_the_format_option_goes_before_the_name(void **state)
{
    (void)state;
    const char *path = support_write_text("x.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    dh_record_reader *reader = reader_of(DH_FORMAT_TEXT, 1000);
    reading all = read_all(reader, path, "x.jsonl");
    assert_int_equal(all.count, 1);
    assert_int_equal(all.record[0].text_size, 26);
    free(all.record);
    dh_record_reader_free(reader);
    reader = reader_of(DH_FORMAT_JSONL, 1000);
    all = read_all(reader, path, "x.txt");
    assert_int_equal(all.count, 2);
    free(all.record);
    dh_record_reader_free(reader);
}

/* ---- sources that are none --------------------------------------------------------------------------- */

static void test_utf16_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const char *const mark[] = {"\xFF\xFE", "\xFE\xFF"};
    static const char *const name[] = {"utf16.jsonl", "utf16.txt"};
    for (int i = 0; i < 4; i++) {
        char bytes[64] = {0};
        memcpy(bytes, mark[i / 2], 2);
        memcpy(bytes + 2, "{\0}\0\n\0", 6);
        reading all = read_bytes(name[i % 2], bytes, 8);
        assert_int_equal(all.count, 1);
        expect_record(&all, 0, DH_REASON_SOURCE_UTF16, 0, 0);
        assert_int_equal(all.facts.failed_bytes, 8);
        assert_int_equal(all.facts.bytes, 8);
        assert_int_equal(all.facts.lines, 0);
        free(all.record);
        all = read_bytes(name[i % 2], packed, pack_gzip(bytes, 8, packed, sizeof packed));
        assert_int_equal(all.count, 1);
        expect_record(&all, 0, DH_REASON_SOURCE_UTF16, 0, 0);
        free(all.record);
    }
}

static void test_binary_text_is_refused(void **state)
{
    (void)state;
    char *bytes = malloc(20000);
    assert_non_null(bytes);
    memset(bytes, 'x', 20000);
    bytes[8191] = '\0';
    reading all = read_bytes("binary.txt", bytes, 20000);
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_SOURCE_BINARY, 0, 20000);
    free(all.record);
    bytes[8191] = 'x';
    bytes[8192] = '\0'; /* behind the probe: it stays */
    all = read_bytes("binary.txt", bytes, 20000);
    expect_record(&all, 0, DH_REASON_NONE, 0, 20000);
    free(all.record);
    free(bytes);
}

static void test_sources_that_cannot_be_opened(void **state)
{
    (void)state;
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1000);
    support_capture_begin();
    const dh_status missing =
        dh_record_reader_open(reader, support_path("missing.jsonl"), "m.jsonl", 0, UINT64_MAX);
    const dh_status folder = dh_record_reader_open(reader, support_folder, "folder", 0, UINT64_MAX);
    (void)support_capture_end();
    assert_int_equal(missing, DH_IO);
    assert_int_equal(folder, DH_IO);
    const reading all = read_all(reader, support_write_text("x.txt", "after"), "x.txt"); /* it can go on */
    assert_int_equal(all.count, 1);
    free(all.record);
    dh_record_reader_free(reader);
    dh_record_reader_free(NULL);
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static void test_a_truncated_gzip_has_a_cut_last_line(void **state)
{
    (void)state;
    dh_buffer text = random_lines(2000);
    const size_t size = pack_gzip(text.data, text.size, packed, sizeof packed);
    for (unsigned turn = 0; turn < support_turns(60); turn++) {
        const size_t cut = 30 + (size_t)support_random_below(size - 40);
        const reading all = read_bytes("cut.jsonl.gz", packed, cut);
        assert_true(all.count >= 1);
        expect_record(&all, all.count - 1, DH_REASON_SOURCE_TRUNCATED, all.facts.bytes, 0);
        const size_t whole = (size_t)(all.facts.bytes / 28); /* 28 bytes a line */
        const size_t rest = (size_t)(all.facts.bytes % 28);
        for (size_t i = 0; i < whole; i++) {
            expect_record(&all, i, DH_REASON_NONE, 28 * i, 28);
        }
        if (rest == 27) { /* all of a line but its end: it is whole */
            assert_int_equal(all.count, whole + 2);
            expect_record(&all, whole, DH_REASON_NONE, 28 * whole, 27);
        } else if (rest > 0) {
            assert_int_equal(all.count, whole + 2);
            expect_record(&all, whole, DH_REASON_CUT_BY_DAMAGE, 28 * whole, rest);
        } else {
            assert_int_equal(all.count, whole + 1);
        }
        assert_int_equal(all.facts.lines, whole + (rest > 0));
        free(all.record);
    }
    dh_buffer_free(&text);
}

static void test_a_truncated_text_is_bad_and_so_is_its_source(void **state)
{
    (void)state;
    dh_buffer text = random_lines(2000);
    const size_t size = pack_gzip(text.data, text.size, packed, sizeof packed);
    reading all = read_bytes("cut.txt.gz", packed, size / 2);
    assert_int_equal(all.count, 2);
    expect_record(&all, 0, DH_REASON_CUT_BY_DAMAGE, 0, all.facts.bytes);
    expect_record(&all, 1, DH_REASON_SOURCE_TRUNCATED, all.facts.bytes, 0);
    free(all.record);
    /* nothing decoded: only the source is told */
    all = read_bytes("cut.txt.gz", packed, 10);
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_SOURCE_TRUNCATED, 0, 0);
    free(all.record);
    dh_buffer_free(&text);
}

static void test_a_bad_last_line_of_an_intact_source_is_no_damage(void **state)
{
    (void)state;
    static const char text[] = "{\"text\":\"x\"}\n{\"text\":\"";
    for (size_t p = 0; p < COUNT(packers); p++) {
        const reading all =
            read_bytes("x.jsonl", packed, packers[p](text, sizeof text - 1, packed, sizeof packed));
        assert_int_equal(all.count, 2);
        expect_record(&all, 1, DH_REASON_JSON_SYNTAX, 13, 9);
        free(all.record);
    }
}

static void test_other_damages_of_a_source(void **state)
{
    (void)state;
    static const char line[] = "{\"text\":\"x\"}\n";
    size_t size = pack_gzip(line, 13, packed, sizeof packed);
    packed[size - 5] ^= 1; /* the length */
    reading all = read_bytes("x.jsonl.gz", packed, size);
    assert_int_equal(all.count, 2);
    expect_record(&all, 0, DH_REASON_NONE, 0, 13);
    expect_record(&all, 1, DH_REASON_SOURCE_CHECKSUM, 13, 0);
    free(all.record);
    size = pack_gzip(line, 13, packed, sizeof packed);
    memcpy(packed + size, "garbage", 7);
    all = read_bytes("x.jsonl.gz", packed, size + 7);
    assert_int_equal(all.count, 2);
    expect_record(&all, 1, DH_REASON_SOURCE_TRAILING_GARBAGE, 13, 0);
    free(all.record);
    size = pack_gzip(line, 13, packed, sizeof packed);
    uint8_t twice[256];
    const size_t outer = pack_gzip(packed, size, twice, sizeof twice);
    all = read_bytes("x.jsonl.gz", twice, outer);
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_SOURCE_NESTED, 0, 0);
    free(all.record);
    all = read_bytes("x.jsonl.xz", "\xFD\x37\x7A\x58\x5A\x00rest", 10);
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_SOURCE_UNSUPPORTED, 0, 0);
    free(all.record);
    all =
        read_bytes("x.jsonl.gz", "\x1F\x8B\x08\x00\0\0\0\0\0\3\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 20);
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_SOURCE_CORRUPT, 0, 0);
    free(all.record);
}

static void test_a_zstd_window_above_the_limit(void **state)
{
    (void)state;
    dh_buffer text = random_lines(4000);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 20);
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    (void)ZSTD_CCtx_setPledgedSrcSize(context, ZSTD_CONTENTSIZE_UNKNOWN);
    ZSTD_inBuffer in = {text.data, text.size, 0};
    ZSTD_outBuffer out = {packed, sizeof packed, 0};
    assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush) & 0, 0);
    assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    (void)ZSTD_freeCCtx(context);
    const char *path = support_write("window.jsonl.zst", packed, out.pos);
    const dh_record_options options = {
        .paths = paths, .record_max = 1 << 20, .limits = {.zstd_window_max = 1 << 16}};
    dh_record_reader *reader = NULL;
    assert_ok(dh_record_reader_create(&options, &reader));
    const reading all = read_all(reader, path, "window.jsonl");
    assert_int_equal(all.count, 1);
    expect_record(&all, 0, DH_REASON_SOURCE_WINDOW, 0, 0);
    free(all.record);
    dh_record_reader_free(reader);
    dh_buffer_free(&text);
}

/* ---- packed copies ----------------------------------------------------------------------------------- */

static void test_packed_copies_equal_the_plain_file(void **state)
{
    (void)state;
    dh_record_reader *reader = reader_of(DH_FORMAT_JSONL, 100000);
    for (unsigned turn = 0; turn < support_turns(20); turn++) {
        dh_buffer text = random_file(1500000, 300000);
        reading plain = read_all(reader, support_write("x", text.data, text.size), "x");
        for (size_t p = 0; p < COUNT(packers); p++) {
            const size_t size = packers[p](text.data, text.size, packed, sizeof packed);
            reading copy = read_all(reader, support_write("y", packed, size), "x");
            expect_same_records(&plain, &copy);
            expect_same_facts(&plain.facts, &copy.facts);
            assert_int_equal(copy.facts.bytes_in, size);
            free(copy.record);
        }
        free(plain.record);
        dh_buffer_free(&text);
    }
    dh_record_reader_free(reader);
}

/* ---- the content hash -------------------------------------------------------------------------------- */

static void test_the_content_hash_adds_with_its_carry(void **state)
{
    (void)state;
    dh_content_hash sum = {UINT64_MAX, 5};
    dh_content_hash_add(&sum, (dh_content_hash){1, 2});
    assert_true(sum.low == 0 && sum.high == 8);
    dh_content_hash_add(&sum, (dh_content_hash){7, UINT64_MAX});
    assert_true(sum.low == 7 && sum.high == 7);
}

/* The hash of a source that is not read to its end as records is that of all its bytes, too. */
static void test_the_hash_of_texts(void **state)
{
    (void)state;
    dh_buffer text = random_lines(10000);
    static const uint64_t record_max[] = {1000, 1 << 20};
    for (int i = 0; i < 2; i++) {
        dh_record_reader *reader = reader_of(DH_FORMAT_TEXT, record_max[i]);
        const reading all = read_all(reader, support_write("x.txt", text.data, text.size), "x.txt");
        const dh_content_hash hash = naive_hash(text.data, text.size);
        assert_true(hash.low == all.facts.hash.low && hash.high == all.facts.hash.high);
        free(all.record);
        dh_record_reader_free(reader);
    }
    dh_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_reason_has_a_name_and_a_description),
        cmocka_unit_test(test_format_goes_by_the_name_less_its_compression),
        cmocka_unit_test(test_lines_of_jsonl),
        cmocka_unit_test(test_an_empty_file_has_no_line_and_one_text),
        cmocka_unit_test(test_a_byte_order_mark_is_no_part_of_the_text),
        cmocka_unit_test(test_reasons_of_lines),
        cmocka_unit_test(test_too_deep),
        cmocka_unit_test(test_nul_padding),
        cmocka_unit_test(test_longest_record),
        cmocka_unit_test(test_longest_record_at_the_end_of_a_file),
        cmocka_unit_test(test_a_long_text_file_is_counted_to_its_end),
        cmocka_unit_test(test_the_format_option_goes_before_the_name),
        cmocka_unit_test(test_utf16_is_refused_as_a_whole),
        cmocka_unit_test(test_binary_text_is_refused),
        cmocka_unit_test(test_sources_that_cannot_be_opened),
        cmocka_unit_test(test_a_truncated_gzip_has_a_cut_last_line),
        cmocka_unit_test(test_a_truncated_text_is_bad_and_so_is_its_source),
        cmocka_unit_test(test_a_bad_last_line_of_an_intact_source_is_no_damage),
        cmocka_unit_test(test_other_damages_of_a_source),
        cmocka_unit_test(test_a_zstd_window_above_the_limit),
        cmocka_unit_test(test_packed_copies_equal_the_plain_file),
        cmocka_unit_test(test_the_content_hash_adds_with_its_carry),
        cmocka_unit_test(test_the_hash_of_texts),
    };
    return cmocka_run_group_tests(tests, support_set_up, tear_down);
}
