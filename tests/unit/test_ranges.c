/* Tests of read/records.h: the ranges of a source add up to it, whichever way one comes to them. */
#include "record_files.h"

/* Every byte of a whole file is accounted for, and lines lie where newlines are. */
static void expect_naive(const dh_buffer *text, const reading *all)
{
    size_t at = 0;
    size_t record = 0;
    uint64_t lines = 0;
    uint64_t blank = 0;
    while (at < text->size) {
        const uint8_t *newline = memchr(text->data + at, '\n', text->size - at);
        const size_t end = newline != NULL ? (size_t)(newline - text->data) + 1 : text->size;
        if (record < all->count && all->record[record].offset == at) {
            assert_int_equal(all->record[record].size, end - at);
            assert_int_equal(all->record[record].number, lines);
            record++;
        } else {
            blank += end - at;
        }
        lines++;
        at = end;
    }
    assert_int_equal(record, all->count);
    assert_int_equal(lines, all->facts.lines);
    assert_int_equal(blank, all->facts.blank_bytes);
    assert_int_equal(text->size, all->facts.bytes);
    const dh_content_hash hash = naive_hash(text->data, text->size);
    assert_true(hash.low == all->facts.hash.low && hash.high == all->facts.hash.high);
}

static void add_facts(dh_source_facts *sum, const dh_source_facts *part)
{
    sum->bytes += part->bytes;
    sum->lines += part->lines;
    sum->blank_lines += part->blank_lines;
    sum->blank_bytes += part->blank_bytes;
    sum->failed_bytes += part->failed_bytes;
    dh_content_hash_add(&sum->hash, part->hash);
}

/* Reads a file in ranges of `segment` bytes and expects what reading it whole gives. */
static void expect_ranges_add_up(dh_record_reader *reader, const char *path, uint64_t size, uint64_t segment,
                                 const reading *whole)
{
    reading parts = {0};
    for (uint64_t begin = 0; begin < size; begin += segment) {
        const size_t first = parts.count;
        const uint64_t end = begin + segment < size ? begin + segment : UINT64_MAX;
        const dh_source_facts facts = read_range(reader, path, "x.jsonl", begin, end, &parts);
        for (size_t i = first; i < parts.count; i++) {
            if (parts.record[i].kind != DH_RECORD_DAMAGE) {
                assert_true(parts.record[i].offset >= begin && parts.record[i].offset < end);
                assert_true(parts.record[i].number < facts.lines);
            }
            parts.record[i].number += parts.facts.lines;
        }
        assert_int_equal(facts.bytes, (end < size ? end : size) - begin);
        add_facts(&parts.facts, &facts);
    }
    for (size_t i = 0; i < whole->count && whole->record[i].kind == DH_RECORD_DAMAGE; i++) {
        parts.record[i].offset =
            whole->record[i].offset; /* of UTF-16: told by the first range, with its bytes */
    }
    expect_same_records(whole, &parts);
    expect_same_facts(&whole->facts, &parts.facts);
    free(parts.record);
}

static const uint64_t segments[] = {1, 2, 3, 5, 8, 13, 100};

static void expect_every_cut_is_the_same(dh_record_reader *reader, const dh_buffer *text, bool lines)
{
    const char *path = support_write("ranges.jsonl", text->data, text->size);
    reading whole = read_all(reader, path, "x.jsonl");
    if (lines) {
        expect_naive(text, &whole);
    }
    for (size_t s = 0; s < COUNT(segments); s++) {
        expect_ranges_add_up(reader, path, text->size, segments[s] * DH_CONTENT_BLOCK, &whole);
    }
    free(whole.record);
}

static void test_ranges_of_random_files_add_up_to_the_file(void **state)
{
    (void)state;
    static const size_t line_max[] = {1000, 70000, 400000};
    for (unsigned turn = 0; turn < support_turns(60); turn++) {
        /* longer records are dropped, at different places of the window */
        dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, turn % 4 == 0 ? 50000 : 1 << 20);
        dh_buffer text = random_file(1 << 20, line_max[turn % 3]);
        expect_every_cut_is_the_same(reader, &text, true);
        dh_buffer_free(&text);
        dh_record_reader_free(reader);
    }
}

/* One record ends exactly at a boundary, a byte before and behind it; with and without CR; also blank ones.
 */
static void test_lines_that_end_at_a_boundary(void **state)
{
    (void)state;
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1 << 20);
    for (int delta = -3; delta <= 3; delta++) {
        for (int sort = 0; sort < 6; sort++) {
            dh_buffer text = {0};
            const size_t boundary = (size_t)((int64_t)DH_CONTENT_BLOCK * 2 + delta);
            assert_ok(dh_buffer_printf(&text, "{\"text\":\"a\"}\n{\"text\":\""));
            const char *end = sort % 2 == 0 ? "\"}\n" : "\"}\r\n";
            while (text.size + strlen(end) < boundary) {
                assert_ok(dh_buffer_append(&text, "b", 1));
            }
            assert_ok(dh_buffer_printf(&text, "%s", end));
            assert_int_equal(text.size, boundary);
            static const char *const rest[] = {"", "{\"text\":\"c\"}\n{\"text\":\"d\"}",
                                               "\n\n\n{\"text\":\"e\"}\n"};
            assert_ok(dh_buffer_printf(&text, "%s", rest[sort / 2]));
            expect_every_cut_is_the_same(reader, &text, true);
            dh_buffer_free(&text);
        }
    }
    dh_record_reader_free(reader);
}

static void test_files_of_exactly_some_blocks(void **state)
{
    (void)state;
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1 << 20);
    for (size_t blocks = 1; blocks <= 3; blocks++) {
        for (int delta = -1; delta <= 1; delta++) {
            dh_buffer text = {0};
            const size_t size = (size_t)((int64_t)(blocks * DH_CONTENT_BLOCK) + delta);
            while (text.size < size) { /* newlines only; then one long line; then lines of one byte */
                assert_ok(dh_buffer_append(&text, blocks == 2 ? "x" : (blocks == 3 ? "1\n" : "\n"), 1));
            }
            expect_every_cut_is_the_same(reader, &text, true);
            dh_buffer_free(&text);
        }
    }
    dh_record_reader_free(reader);
}

/* All ranges come to the same opinion of a UTF-16 file, and their bytes are those of the file. */
static void test_ranges_of_utf16_fail_together(void **state)
{
    (void)state;
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1 << 20);
    dh_buffer text = {0};
    assert_ok(dh_buffer_append(&text, "\xFF\xFE", 2));
    while (text.size < 5 * DH_CONTENT_BLOCK + 17) {
        assert_ok(dh_buffer_append(&text, "{\0}\0\n\0", 6));
    }
    expect_every_cut_is_the_same(reader, &text, false);
    reading whole = read_all(reader, support_path("ranges.jsonl"), "x.jsonl");
    assert_int_equal(whole.facts.failed_bytes, text.size);
    const dh_content_hash hash = naive_hash(text.data, text.size);
    assert_true(hash.low == whole.facts.hash.low && hash.high == whole.facts.hash.high);
    free(whole.record);
    dh_buffer_free(&text);
    dh_record_reader_free(reader);
}

/* ---- segments of compressed sources ------------------------------------------------------------------ */

enum {
    SEGMENTS_MAX = 128,
    PLAIN = 0,
    BZIP2 = 3,
    BZIP2_SIZE_MAX = 600000 /* it takes its time */
};

static const uint64_t segment_sizes[] = {DH_CONTENT_BLOCK, 2 * DH_CONTENT_BLOCK, 16 * DH_CONTENT_BLOCK};

static size_t pack_not(const void *bytes, size_t size, uint8_t *out, size_t room)
{
    assert_true(size <= room);
    memcpy(out, bytes, size);
    return size;
}

static size_t pack_gzip_members(const void *bytes, size_t size, uint8_t *out, size_t room)
{
    const uint8_t *from = bytes;
    const size_t cut[] = {0, size / 3, size / 3, size / 2, size};
    size_t made = 0;
    for (size_t i = 1; i < COUNT(cut); i++) {
        made += pack_gzip(from + cut[i - 1], cut[i] - cut[i - 1], out + made, room - made);
    }
    return made;
}

static packer *const all_packers[] = {
    pack_not,
    pack_gzip_members,
    pack_zstd,
#if DHATU_HAVE_BZIP2
    pack_bzip2,
#endif
};

static const char *write_packed(packer *pack, const dh_buffer *text, const char *name)
{
    const size_t room = text->size + text->size / 8 + 4096;
    uint8_t *out = malloc(room);
    assert_non_null(out);
    const size_t size = pack(text->data, text->size, out, room);
    const char *path = support_write(name, out, size);
    free(out);
    return path;
}

/* The segments of a source. */
typedef struct cut_source {
    reading segment[SEGMENTS_MAX];
    size_t count;
} cut_source;

static void free_cut(cut_source *cut)
{
    for (size_t i = 0; cut != NULL && i < cut->count; i++) {
        free(cut->segment[i].record);
    }
    free(cut);
}

static reading open_segment(dh_record_reader *reader, const char *path, uint64_t segment, size_t number)
{
    reading one = {0};
    one.facts = read_range(reader, path, "x.jsonl", number * segment, (number + 1) * segment, &one);
    return one;
}

static reading go_on_to(dh_record_reader *reader, uint64_t segment, size_t number)
{
    reading one = {0};
    assert_ok(dh_record_reader_go_on(reader, number * segment, (number + 1) * segment));
    one.facts = read_to_end(reader, &one);
    return one;
}

static cut_source *cut_by_going_on(dh_record_reader *reader, const char *path, uint64_t segment)
{
    cut_source *cut = calloc(1, sizeof *cut);
    assert_non_null(cut);
    do {
        assert_true(cut->count < SEGMENTS_MAX);
        cut->segment[cut->count] =
            cut->count == 0 ? open_segment(reader, path, segment, 0) : go_on_to(reader, segment, cut->count);
    } while (!cut->segment[cut->count++].facts.last);
    return cut;
}

static void expect_same_segment(const reading *a, reading b)
{
    expect_same_records(a, &b);
    expect_same_facts(&a->facts, &b.facts);
    assert_int_equal(a->facts.bytes_in, b.facts.bytes_in);
    assert_int_equal(a->facts.unchecked, b.facts.unchecked);
    assert_int_equal(a->facts.last, b.facts.last);
    free(b.record);
}

static uint64_t size_of_file(const char *path)
{
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    return (uint64_t)facts.st_size;
}

/* All segments together are the source, and each has what it may have. */
static void expect_segments_add_up(const cut_source *cut, uint64_t segment, const reading *whole,
                                   uint64_t file_size)
{
    reading sum = {0};
    uint64_t bytes_in = 0;
    for (size_t i = 0; i < cut->count; i++) {
        const reading *one = &cut->segment[i];
        const bool last = i + 1 == cut->count;
        assert_int_equal(one->facts.last, last);
        assert_true(last ? one->facts.bytes < segment : one->facts.bytes == segment);
        assert_true(last || !one->facts.unchecked);
        for (size_t r = 0; r < one->count; r++) {
            const seen *record = &one->record[r];
            if (record->kind != DH_RECORD_DAMAGE) {
                assert_true(record->offset / segment == i && record->number < one->facts.lines);
            }
            seen *added = append_seen(&sum);
            *added = *record;
            added->number += sum.facts.lines;
        }
        add_facts(&sum.facts, &one->facts);
        bytes_in += one->facts.bytes_in;
    }
    expect_same_records(whole, &sum);
    expect_same_facts(&whole->facts, &sum.facts);
    assert_int_equal(cut->segment[cut->count - 1].facts.unchecked, whole->facts.unchecked);
    assert_int_equal(bytes_in, file_size);
    assert_int_equal(whole->facts.bytes_in, file_size);
    assert_true(whole->facts.last && !whole->facts.beyond);
    free(sum.record);
}

/* Reads the segments in all ways. The caller frees what it gets. */
static cut_source *expect_every_way_is_the_same(dh_record_reader *reader, const char *path, uint64_t segment,
                                                const reading *whole)
{
    cut_source *cut = cut_by_going_on(reader, path, segment);
    expect_segments_add_up(cut, segment, whole, size_of_file(path));
    /* All of a few, some of many: each decodes what is in front of it. */
    const size_t every = 1 + cut->count / 16;
    for (size_t i = (size_t)support_random_below(every); i < cut->count; i += every) {
        expect_same_segment(&cut->segment[i], open_segment(reader, path, segment, i));
    }
    for (unsigned turn = 0; turn < 3; turn++) {
        const size_t first = (size_t)support_random_below(1000) * cut->count / 1000;
        expect_same_segment(&cut->segment[first], open_segment(reader, path, segment, first));
        const size_t step = turn == 0 ? 1 : 2 + (size_t)support_random_below(cut->count);
        for (size_t i = first + 1 + (size_t)support_random_below(step); i < cut->count;
             i += 1 + (size_t)support_random_below(step)) {
            expect_same_segment(&cut->segment[i], go_on_to(reader, segment, i));
        }
    }
    return cut;
}

static dh_content_hash naive_hash_of_segment(const dh_buffer *text, uint64_t from, uint64_t to)
{
    dh_content_hash sum = {0, 0};
    for (uint64_t at = from; at < to && at < text->size; at += DH_CONTENT_BLOCK) {
        const uint64_t left = text->size - at;
        const XXH128_hash_t hash = XXH3_128bits_withSeed(
            text->data + at, (size_t)(left < DH_CONTENT_BLOCK ? left : DH_CONTENT_BLOCK),
            at / DH_CONTENT_BLOCK);
        dh_content_hash_add(&sum, (dh_content_hash){hash.low64, hash.high64});
    }
    return sum;
}

/* An intact source: the segments are those of the text, and the same however it is packed. */
static void expect_segments_of(const dh_buffer *text, uint64_t record_max)
{
    dh_record_reader *reader = reader_of(DH_FORMAT_JSONL, record_max);
    for (size_t s = 0; s < COUNT(segment_sizes); s++) {
        const uint64_t segment = segment_sizes[s];
        cut_source *plain = NULL;
        for (size_t p = 0; p < COUNT(all_packers); p++) {
            if (p == BZIP2 && text->size > BZIP2_SIZE_MAX) {
                continue;
            }
            const char *path = write_packed(all_packers[p], text, "segments");
            reading whole = read_all(reader, path, "x.jsonl");
            expect_naive(text, &whole);
            cut_source *cut = expect_every_way_is_the_same(reader, path, segment, &whole);
            assert_int_equal(cut->count, text->size / segment + 1);
            for (size_t i = 0; i < cut->count; i++) {
                const dh_content_hash hash = naive_hash_of_segment(text, i * segment, (i + 1) * segment);
                assert_memory_equal(&hash, &cut->segment[i].facts.hash, sizeof hash);
                if (p != PLAIN) {
                    expect_same_records(&plain->segment[i], &cut->segment[i]);
                    expect_same_facts(&plain->segment[i].facts, &cut->segment[i].facts);
                }
            }
            free(whole.record);
            if (p == PLAIN) {
                plain = cut;
            } else {
                free_cut(cut);
            }
        }
        free_cut(plain);
    }
    dh_record_reader_free(reader);
}

static void test_segments_of_random_sources(void **state)
{
    (void)state;
    static const size_t line_max[] = {1000, 70000, 400000};
    for (unsigned turn = 0; turn < support_turns(12); turn++) {
        dh_buffer text = random_file(support_turns(1500000), line_max[turn % 3]);
        expect_segments_of(&text, turn % 4 == 0 ? 50000 : 1 << 20);
        dh_buffer_free(&text);
    }
}

static void put_record(dh_buffer *text, size_t size)
{
    assert_true(size >= 11);
    assert_ok(dh_buffer_printf(text, "{\"text\":\""));
    for (size_t i = 0; i < size - 11; i++) {
        const char letter = (char)('a' + support_random_below(26));
        assert_ok(dh_buffer_append(text, &letter, 1));
    }
    assert_ok(dh_buffer_printf(text, "\"}"));
}

/* Segments in the middle of a giant record have none, but their bytes; read or too large to be. */
static void test_segments_inside_a_giant_record(void **state)
{
    (void)state;
    static const size_t giant[] = {3 * DH_CONTENT_BLOCK, 5 << 19};
    for (size_t i = 0; i < support_turns(COUNT(giant)); i++) {
        for (unsigned end = 0; end < support_turns(2); end++) {
            dh_buffer text = {0};
            put_record(&text, 100);
            assert_ok(dh_buffer_printf(&text, "\n\n"));
            put_record(&text, giant[i]);
            for (int after = 0; after < 2000 && end == 0; after++) {
                assert_ok(dh_buffer_printf(&text, "\n"));
                put_record(&text, 11 + (size_t)support_random_below(50));
            }
            expect_segments_of(&text, 4 << 20);
            expect_segments_of(&text, 100000);
            dh_buffer_free(&text);
        }
    }
}

static void test_segments_of_sources_of_exactly_some_segments(void **state)
{
    (void)state;
    for (size_t s = 0; s < support_turns(COUNT(segment_sizes)); s++) {
        for (int sort = 0; sort < 9; sort++) {
            dh_buffer text = {0};
            const size_t size = (size_t)(2 * segment_sizes[s]) + (size_t)(sort % 3) - 1;
            put_record(&text,
                       (size_t)segment_sizes[s] - 1); /* and a line end: the second one begins at a cut */
            assert_ok(dh_buffer_printf(&text, "\n"));
            if (sort / 3 == 0) { /* no line end */
                put_record(&text, size - text.size);
            } else if (sort / 3 == 1) {
                put_record(&text, size - text.size - 1);
                assert_ok(dh_buffer_printf(&text, "\n"));
            } else { /* blank lines */
                while (text.size < size) {
                    assert_ok(dh_buffer_printf(&text, "\n"));
                }
            }
            assert_int_equal(text.size, size);
            expect_segments_of(&text, 4 << 20);
            dh_buffer_free(&text);
        }
    }
}

static void test_segments_of_an_empty_source(void **state)
{
    (void)state;
    dh_buffer text = {0};
    assert_ok(dh_buffer_reserve(&text, 1));
    expect_segments_of(&text, 1000);
    dh_buffer_free(&text);
}

/* Told once, at 0; the other segments only have their bytes. */
static void test_segments_of_a_packed_utf16_source(void **state)
{
    (void)state;
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1 << 20);
    dh_buffer text = {0};
    assert_ok(dh_buffer_append(&text, "\xFE\xFF", 2));
    while (text.size < 5 * DH_CONTENT_BLOCK + 17) {
        assert_ok(dh_buffer_append(&text, "\0{\0}\0\n", 6));
    }
    for (size_t p = 0; p < 2 * COUNT(all_packers); p++) {
        const char *path = write_packed(all_packers[p / 2], &text, "utf16");
        if (p % 2 == 1 && p / 2 != PLAIN) { /* damage besides: it is not told */
            assert_int_equal(truncate(path, (off_t)size_of_file(path) - 2), 0);
        }
        reading whole = read_all(reader, path, "x.jsonl");
        for (size_t s = 0; s < COUNT(segment_sizes); s++) {
            cut_source *cut = expect_every_way_is_the_same(reader, path, segment_sizes[s], &whole);
            for (size_t i = 0; i < cut->count; i++) {
                const reading *one = &cut->segment[i];
                assert_int_equal(one->count, i == 0);
                assert_int_equal(one->facts.failed_bytes, one->facts.bytes);
                assert_int_equal(one->facts.lines, 0);
            }
            expect_record(&cut->segment[0], 0, DH_REASON_SOURCE_UTF16, 0, 0);
            free_cut(cut);
        }
        free(whole.record);
    }
    dh_buffer_free(&text);
    dh_record_reader_free(reader);
}

/* Writes the file and expects the damage in its last segment and nowhere else. */
static void expect_damaged(const dh_buffer *file, dh_reason reason, uint64_t bytes)
{
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1 << 20);
    const char *path = support_write("damaged", file->data, file->size);
    reading whole = read_all(reader, path, "x.jsonl");
    assert_true(bytes == UINT64_MAX || whole.facts.bytes == bytes);
    expect_record(&whole, whole.count - 1, reason, whole.facts.bytes, 0);
    for (size_t s = 0; s < COUNT(segment_sizes); s++) {
        cut_source *cut = expect_every_way_is_the_same(reader, path, segment_sizes[s], &whole);
        const reading *last = &cut->segment[cut->count - 1];
        expect_record(last, last->count - 1, reason, whole.facts.bytes, 0);
        assert_int_equal(last->record[last->count - 1].number, last->facts.lines);
        free_cut(cut);
    }
    free(whole.record);
    dh_record_reader_free(reader);
}

static dh_buffer packed_as(packer *pack, const dh_buffer *text)
{
    dh_buffer out = {0};
    assert_ok(dh_buffer_reserve(&out, text->size + text->size / 8 + 4096));
    out.size = pack(text->data, text->size, out.data, out.capacity);
    return out;
}

static void test_segments_of_truncated_sources(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < support_turns(6); turn++) {
        dh_buffer text = random_file(support_turns(1000000), turn % 2 == 0 ? 1000 : 300000);
        for (size_t p = 0; p < COUNT(packers); p++) { /* of one member: a cut between two shows nowhere */
            dh_buffer file = packed_as(packers[p], &text);
            file.size = file.size * (1 + (size_t)support_random_below(98)) / 100;
            if (file.size > 14) {
                expect_damaged(&file, DH_REASON_SOURCE_TRUNCATED, UINT64_MAX);
            }
            dh_buffer_free(&file);
        }
        dh_buffer_free(&text);
    }
}

/* What a corrupt gzip gives may depend on how it is read: the segments must not. */
static void test_segments_of_corrupt_sources(void **state)
{
    (void)state;
    dh_buffer text = random_lines(support_turns(40000));
    dh_record_reader *reader = reader_of(DH_FORMAT_JSONL, 1 << 20);
    for (unsigned turn = 0; turn < support_turns(20); turn++) {
        dh_buffer file = packed_as(turn % 2 == 0 ? pack_gzip : pack_gzip_members, &text);
        for (int i = 0; i < 3; i++) {
            const size_t at = file.size / 10 + (size_t)support_random_below(file.size - file.size / 10);
            file.data[at] = (uint8_t)support_random();
        }
        const char *path = support_write("corrupt", file.data, file.size);
        reading whole = read_all(reader, path, "x.jsonl");
        free_cut(
            expect_every_way_is_the_same(reader, path, segment_sizes[turn % COUNT(segment_sizes)], &whole));
        free(whole.record);
        dh_buffer_free(&file);
    }
    dh_record_reader_free(reader);
    dh_buffer_free(&text);
}

static void test_segments_of_sources_with_other_damage(void **state)
{
    (void)state;
    dh_buffer text = random_lines(15000);
    dh_buffer file = packed_as(pack_gzip, &text);
    const size_t first = file.size;
    file.data[first - 5] ^= 1; /* the checksum, behind the last byte */
    expect_damaged(&file, DH_REASON_SOURCE_CHECKSUM, text.size);
    assert_ok(dh_buffer_reserve(&file, first));
    memcpy(file.data + first, file.data, first); /* a second member is read all the same */
    file.data[2 * first - 5] ^= 1;
    file.size = 2 * first;
    expect_damaged(&file, DH_REASON_SOURCE_CHECKSUM, 2 * text.size);
    dh_buffer_free(&file);

    file = packed_as(pack_gzip, &text);
    assert_ok(dh_buffer_append(&file, "garbage", 7));
    expect_damaged(&file, DH_REASON_SOURCE_TRAILING_GARBAGE, text.size);
    dh_buffer nested = packed_as(pack_zstd, &file);
    expect_damaged(&nested, DH_REASON_SOURCE_NESTED, 0);
    dh_buffer_free(&nested);
    memcpy(file.data, "\xFD\x37\x7A\x58\x5A\x00", 6);
    expect_damaged(&file, DH_REASON_SOURCE_UNSUPPORTED, 0);
    dh_buffer_free(&file);

    while (text.size % segment_sizes[0] != 0) { /* the damage comes with an empty last segment */
        assert_ok(dh_buffer_append(&text, "\n", 1));
    }
    file = packed_as(pack_gzip, &text);
    file.size -= 3;
    expect_damaged(&file, DH_REASON_SOURCE_TRUNCATED, text.size);
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

/* What no consistent checkpoint asks for. */
static void test_a_range_behind_the_end_is_empty_and_not_the_last(void **state)
{
    (void)state;
    dh_buffer text = random_lines(5000);
    dh_record_reader *reader = reader_of(DH_FORMAT_JSONL, 1 << 20);
    static const uint64_t far[] = {3, 4, 100, UINT64_C(1) << 40};
    for (size_t p = 0; p < COUNT(all_packers); p++) {
        const char *path = write_packed(all_packers[p], &text, "behind");
        for (size_t i = 0; i < 2 * COUNT(far); i++) {
            const uint64_t begin = far[i / 2] * DH_CONTENT_BLOCK;
            reading all = {0};
            if (i % 2 == 0) {
                all.facts = read_range(reader, path, "x.jsonl", begin, UINT64_MAX, &all);
            } else {
                all.facts = read_range(reader, path, "x.jsonl", 0, DH_CONTENT_BLOCK, &all);
                all.count = 0;
                assert_ok(dh_record_reader_go_on(reader, begin, begin + DH_CONTENT_BLOCK));
                all.facts = read_to_end(reader, &all);
            }
            assert_int_equal(all.count, 0);
            assert_int_equal(all.facts.bytes, 0);
            assert_int_equal(all.facts.bytes_in, 0);
            assert_int_equal(all.facts.lines, 0);
            assert_false(all.facts.last);
            assert_true(all.facts.beyond);
            assert_true(all.facts.hash.low == 0 && all.facts.hash.high == 0);
            free(all.record);
        }
    }
    dh_record_reader_free(reader);
    dh_buffer_free(&text);
}

static void test_ranges_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t begin, end;
    } cases[] = {{"x.jsonl", 1, UINT64_MAX},
                 {"x.jsonl", 0, 1},
                 {"x.jsonl", 0, 0},
                 {"x.jsonl", 2 * DH_CONTENT_BLOCK, DH_CONTENT_BLOCK},
                 {"x.txt", DH_CONTENT_BLOCK, UINT64_MAX},
                 {"x.txt", 0, DH_CONTENT_BLOCK}};
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1000);
    const char *path = support_write_text("refused", "{\"text\":\"x\"}\n");
    support_capture_begin();
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(dh_record_reader_go_on(reader, 0, UINT64_MAX), DH_INTERNAL);
        assert_int_equal(dh_record_reader_open(reader, path, cases[i].name, cases[i].begin, cases[i].end),
                         DH_INTERNAL);
    }
    reading all = {0};
    all.facts = read_range(reader, path, "x.jsonl", 0, 2 * DH_CONTENT_BLOCK, &all);
    assert_int_equal(dh_record_reader_go_on(reader, DH_CONTENT_BLOCK, UINT64_MAX), DH_INTERNAL);
    assert_int_equal(dh_record_reader_go_on(reader, 2 * DH_CONTENT_BLOCK + 1, UINT64_MAX), DH_INTERNAL);
    (void)support_capture_end();
    assert_int_equal(all.count, 1);
    free(all.record);
    dh_record_reader_free(reader);
}

/* ---- poll -------------------------------------------------------------------------------------------- */

typedef struct poll_count {
    unsigned calls, stop_at; /* 0: never */
    dh_status status;
} poll_count;

static dh_status count_poll(void *context)
{
    poll_count *poll = context;
    return ++poll->calls == poll->stop_at ? poll->status : DH_OK;
}

static dh_record_reader *polled_reader(poll_count *poll)
{
    dh_record_reader_free(reader_of(DH_FORMAT_JSONL, 1)); /* makes the paths */
    const dh_record_options options = {.format = DH_FORMAT_JSONL,
                                       .paths = paths,
                                       .record_max = 1 << 20,
                                       .poll = count_poll,
                                       .poll_context = poll};
    dh_record_reader *reader = NULL;
    assert_ok(dh_record_reader_create(&options, &reader));
    return reader;
}

static dh_status read_until(dh_record_reader *reader, uint64_t *records)
{
    dh_record record;
    dh_status status;
    *records = 0;
    while ((status = dh_record_reader_next(reader, &record)) == DH_OK) {
        ++*records;
    }
    return status;
}

static void test_poll_is_called_after_each_read_and_may_stop_it(void **state)
{
    (void)state;
    static const dh_status statuses[] = {DH_AGAIN, DH_LOCKED, DH_IO};
    enum { LINES = 100000 };
    dh_buffer text = random_lines(LINES);
    const uint64_t middle = 20 * DH_CONTENT_BLOCK;
    poll_count poll = {0};
    dh_record_reader *reader = polled_reader(&poll);
    for (size_t p = 0; p < support_turns(COUNT(all_packers)); p++) {
        const char *path = write_packed(all_packers[p], &text, "poll");
        uint64_t records = 0;
        poll = (poll_count){0};
        assert_ok(dh_record_reader_open(reader, path, "x", 0, UINT64_MAX));
        assert_int_equal(read_until(reader, &records), DH_END);
        assert_int_equal(records, LINES);
        const unsigned calls = poll.calls;
        assert_true(calls > 1);
        for (unsigned stop_at = 1; stop_at <= calls; stop_at++) { /* also while what is in front is skipped */
            const uint64_t begin = stop_at % 2 == 0 && p != PLAIN ? middle : 0;
            poll = (poll_count){.stop_at = stop_at, .status = statuses[stop_at % COUNT(statuses)]};
            assert_ok(dh_record_reader_open(reader, path, "x", begin, UINT64_MAX));
            assert_int_equal(read_until(reader, &records), poll.status);
            assert_int_equal(poll.calls, stop_at);
            assert_true(records < LINES);
        }
        poll = (poll_count){0};
        assert_ok(dh_record_reader_open(reader, path, "x", 0, UINT64_MAX));
        assert_int_equal(read_until(reader, &records), DH_END);
        assert_int_equal(records, LINES);
        const dh_content_hash hash = naive_hash(text.data, text.size);
        const dh_content_hash sum = dh_record_reader_facts(reader).hash;
        assert_memory_equal(&hash, &sum, sizeof hash);
    }
    dh_record_reader_free(reader);
    dh_buffer_free(&text);
}

/* Ranges inside a giant record must not each read it to its end. */
static void test_a_range_inside_a_giant_record_reads_little_of_it(void **state)
{
    (void)state;
    dh_buffer text = {0};
    assert_ok(dh_buffer_reserve(&text, 16 << 20));
    memset(text.data, 'x', 16 << 20);
    text.size = 16 << 20;
    const char *path = support_write("giant", text.data, text.size);
    poll_count poll = {0};
    dh_record_reader *reader = polled_reader(&poll);
    reading all = {0};
    for (uint64_t begin = DH_CONTENT_BLOCK; begin <= 4 * DH_CONTENT_BLOCK; begin += DH_CONTENT_BLOCK) {
        poll.calls = 0;
        all.facts = read_range(reader, path, "x", begin, begin + DH_CONTENT_BLOCK, &all);
        assert_int_equal(all.count, 0);
        assert_int_equal(all.facts.bytes, DH_CONTENT_BLOCK);
        assert_true(poll.calls <= 2);
    }
    free(all.record);
    dh_record_reader_free(reader);
    dh_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_of_random_files_add_up_to_the_file),
        cmocka_unit_test(test_lines_that_end_at_a_boundary),
        cmocka_unit_test(test_files_of_exactly_some_blocks),
        cmocka_unit_test(test_ranges_of_utf16_fail_together),
        cmocka_unit_test(test_segments_of_random_sources),
        cmocka_unit_test(test_segments_inside_a_giant_record),
        cmocka_unit_test(test_segments_of_sources_of_exactly_some_segments),
        cmocka_unit_test(test_segments_of_an_empty_source),
        cmocka_unit_test(test_segments_of_a_packed_utf16_source),
        cmocka_unit_test(test_segments_of_truncated_sources),
        cmocka_unit_test(test_segments_of_corrupt_sources),
        cmocka_unit_test(test_segments_of_sources_with_other_damage),
        cmocka_unit_test(test_a_range_behind_the_end_is_empty_and_not_the_last),
        cmocka_unit_test(test_ranges_that_cannot_be_are_refused),
        cmocka_unit_test(test_poll_is_called_after_each_read_and_may_stop_it),
        cmocka_unit_test(test_a_range_inside_a_giant_record_reads_little_of_it),
    };
    return cmocka_run_group_tests(tests, support_set_up, tear_down);
}
