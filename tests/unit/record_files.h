/* Files for the tests of read/records.h: made here, and their records kept. */
#ifndef DH_TESTS_RECORD_FILES_H
#define DH_TESTS_RECORD_FILES_H

#include "support.h"

#include "dhatu_config.h"
#include "read/records.h"

#include <zlib.h>
#include <zstd.h>
#if DHATU_HAVE_BZIP2
#include <bzlib.h>
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- reading ----------------------------------------------------------------------------------------- */

typedef struct seen {
    dh_record_kind kind;
    dh_reason reason;
    uint64_t offset, number, size;
    uint64_t text_size, text_hash; /* of a document */
    uint64_t line_hash;            /* of a bad line behind the first one, which may have a mark in front */
} seen;

typedef struct reading {
    seen *record;
    size_t count, capacity;
    dh_source_facts facts;
} reading;

static dh_json_paths *paths;

static inline dh_record_reader *reader_of(dh_format format, uint64_t record_max)
{
    if (paths == NULL) {
        static const char *const path[DH_FIELD_COUNT] = {"text", "id", "lang"};
        assert_ok(dh_json_paths_create(path, DH_FIELD_COUNT, &paths));
    }
    const dh_record_options options = {.format = format, .paths = paths, .record_max = record_max};
    dh_record_reader *reader = NULL;
    assert_ok(dh_record_reader_create(&options, &reader));
    return reader;
}

/* Makes room for one more, so that record is never NULL. */
static inline void reserve_seen(reading *all)
{
    if (all->record == NULL || all->count == all->capacity) {
        all->capacity = 2 * all->capacity + 64;
        all->record = realloc(all->record, all->capacity * sizeof *all->record);
        if (all->record == NULL) {
            abort();
        }
        memset(all->record + all->count, 0, (all->capacity - all->count) * sizeof *all->record);
    }
}

static inline seen *append_seen(reading *all)
{
    reserve_seen(all);
    return &all->record[all->count++];
}

static inline void take(reading *all, const dh_record *record)
{
    seen *one = append_seen(all);
    *one = (seen){.kind = record->kind,
                  .reason = record->reason,
                  .offset = record->offset,
                  .number = record->number,
                  .size = record->kind == DH_RECORD_DAMAGE ? 0 : record->size};
    if (record->kind == DH_RECORD_BAD && record->line != NULL && record->offset > 0) {
        one->line_hash = XXH3_64bits(record->line, record->size);
    }
    if (record->kind == DH_RECORD_DOCUMENT) {
        const dh_json_value *text = &record->value[DH_FIELD_TEXT];
        assert_int_equal(record->reason, DH_REASON_NONE);
        assert_int_equal(text->kind, DH_JSON_STRING);
        one->text_size = text->size;
        one->text_hash = XXH3_64bits(text->text, text->size);
    }
}

/* Appends the records of the range that the reader was set to and gives what it counted. */
static inline dh_source_facts read_to_end(dh_record_reader *reader, reading *all)
{
    reserve_seen(all);
    dh_record record;
    dh_status status;
    while ((status = dh_record_reader_next(reader, &record)) == DH_OK) {
        take(all, &record);
    }
    assert_int_equal(status, DH_END);
    assert_int_equal(dh_record_reader_next(reader, &record), DH_END);
    return dh_record_reader_facts(reader);
}

static inline dh_source_facts read_range(dh_record_reader *reader, const char *path, const char *name,
                                         uint64_t begin, uint64_t end, reading *all)
{
    assert_ok(dh_record_reader_open(reader, path, name, begin, end));
    return read_to_end(reader, all);
}

static inline reading read_all(dh_record_reader *reader, const char *path, const char *name)
{
    reading all = {0};
    all.facts = read_range(reader, path, name, 0, UINT64_MAX, &all);
    return all;
}

/* Reads bytes as a file of this name, with records of up to 1 MiB. */
static inline reading read_bytes(const char *name, const void *bytes, size_t size)
{
    dh_record_reader *reader = reader_of(DH_FORMAT_AUTO, 1 << 20);
    const reading all = read_all(reader, support_write(name, bytes, size), name);
    dh_record_reader_free(reader);
    return all;
}

static inline reading read_text(const char *name, const char *text)
{
    return read_bytes(name, text, strlen(text));
}

static inline void expect_record(const reading *all, size_t index, dh_reason reason, uint64_t offset,
                                 uint64_t size)
{
    assert_true(index < all->count);
    const seen *one = &all->record[index];
    if (one->reason != reason || one->offset != offset || one->size != size) {
        fail_msg("record %zu: %s at %llu of %llu bytes", index, dh_reason_name(one->reason),
                 (unsigned long long)one->offset, (unsigned long long)one->size);
    }
    if (reason != DH_REASON_NONE) {
        assert_int_equal(one->kind, dh_reason_is_of_source(reason) && reason != DH_REASON_SOURCE_BINARY
                                        ? DH_RECORD_DAMAGE
                                        : DH_RECORD_BAD);
    }
}

/* ---- packing ----------------------------------------------------------------------------------------- */

static inline size_t pack_gzip(const void *bytes, size_t size, uint8_t *out, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    const size_t packed = z.total_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    return packed;
}

static inline size_t pack_zstd(const void *bytes, size_t size, uint8_t *out, size_t room)
{
    const size_t packed = ZSTD_compress(out, room, bytes, size, 3);
    assert_false(ZSTD_isError(packed));
    return packed;
}

#if DHATU_HAVE_BZIP2
static inline size_t pack_bzip2(const void *bytes, size_t size, uint8_t *out, size_t room)
{
    unsigned packed = (unsigned)room;
    assert_int_equal(
        BZ2_bzBuffToBuffCompress((char *)out, &packed, (char *)(uintptr_t)bytes, (unsigned)size, 9, 0, 0),
        BZ_OK);
    return packed;
}
#endif

typedef size_t packer(const void *bytes, size_t size, uint8_t *out, size_t room);

static packer *const packers[] = {
    pack_gzip,
    pack_zstd,
#if DHATU_HAVE_BZIP2
    pack_bzip2,
#endif
};

/* ---- making files ------------------------------------------------------------------------------------ */

/* Lines of random letters, which do not pack well, so that a cut falls into any of them. */
static inline dh_buffer random_lines(size_t count)
{
    dh_buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        assert_ok(dh_buffer_printf(&text, "{\"text\":\"%016llx\"}\n", (unsigned long long)support_random()));
    }
    return text;
}

/* A file of lines of all sorts: documents, bad ones, blank ones, long ones. */
static inline dh_buffer random_file(size_t size_max, size_t line_max)
{
    dh_buffer text = {0};
    static const char *const end[] = {"\n", "\r\n"};
    static const char *const other[] = {"",   "  ",           "\t", "oops",           "[]",
                                        "{}", "{\"text\":1}", "\0", "{\"text\":\"cut"};
    const size_t size = (size_t)support_random_below(size_max);
    if (support_random_below(3) == 0) {
        assert_ok(dh_buffer_append(&text, "\xEF\xBB\xBF", 3));
    }
    while (text.size < size) {
        const uint64_t sort = support_random_below(30);
        if (sort < COUNT(other)) {
            assert_ok(dh_buffer_append(&text, other[sort], sort == 7 ? 1 : strlen(other[sort])));
        } else {
            const size_t length = (size_t)support_random_below(sort == 20 ? line_max : 2000);
            assert_ok(
                dh_buffer_printf(&text, "{\"id\":%llu,\"text\":\"", (unsigned long long)support_random()));
            assert_ok(dh_buffer_reserve(&text, length));
            memset(text.data + text.size, (int)('a' + length % 26), length);
            text.size += length;
            assert_ok(dh_buffer_printf(&text, "\"}"));
        }
        if (text.size < size || support_random_below(2) == 0) { /* some files have no final newline */
            assert_ok(dh_buffer_printf(&text, "%s", end[support_random_below(2)]));
        }
    }
    return text;
}

/* The content hash from its definition. */
static inline dh_content_hash naive_hash(const uint8_t *bytes, size_t size)
{
    dh_content_hash sum = {0, 0};
    for (size_t at = 0; at < size; at += DH_CONTENT_BLOCK) {
        const size_t block = size - at < DH_CONTENT_BLOCK ? size - at : DH_CONTENT_BLOCK;
        const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes + at, block, at / DH_CONTENT_BLOCK);
        dh_content_hash_add(&sum, (dh_content_hash){hash.low64, hash.high64});
    }
    return sum;
}

/* ---- comparing ---------------------------------------------------------------------------------------- */

static inline void expect_same_facts(const dh_source_facts *a, const dh_source_facts *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->lines, b->lines);
    assert_int_equal(a->blank_lines, b->blank_lines);
    assert_int_equal(a->blank_bytes, b->blank_bytes);
    assert_int_equal(a->failed_bytes, b->failed_bytes);
    assert_true(a->hash.low == b->hash.low && a->hash.high == b->hash.high);
}

static inline void expect_same_records(const reading *a, const reading *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_memory_equal(&a->record[i], &b->record[i], sizeof(seen));
    }
}

static inline int tear_down(void **state)
{
    dh_json_paths_free(paths);
    return support_tear_down(state);
}

#endif
