#include "read/records.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum {
    WINDOW_SIZE = 1 << 20, /* of the buffer; grows for longer records, up to record_max */
    /* What a damaged gzip file gives may depend on the sizes of the reads (stream.h). So a compressed source
       is always read in these steps, whatever the ranges are. A plain one in no larger ones, so that what was
       read is still in the second-level cache when its records are taken. */
    READ_STEP = 256 << 10,
    READ_BEHIND = 64 << 10, /* of a plain source, behind the range: the rest of its last record */
    BINARY_PROBE = 8 << 10, /* a text file with a NUL byte in its first bytes is none */
    BOM_SIZE = 3
};

struct dh_record_reader {
    dh_record_options options;
    dh_stream *stream;
    dh_format format;
    const char *path; /* of the open source, for messages; owned by the caller of open */
    uint64_t begin, end;
    /* window[position .. filled) is not used yet; window[0] is byte window_offset of the source */
    uint8_t *window;
    size_t capacity, position, filled;
    uint64_t window_offset;
    bool stream_ended, failed_source; /* the source is unusable as a whole */
    bool range_started, range_done;
    bool at_record;      /* a record begins at position, else it is in the middle of one */
    uint64_t file_bytes; /* of the whole source, once it has ended */
    dh_content_hasher *hasher;
    dh_reason source_reason;
    dh_source_facts facts;
};

/* ---- names ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *description;
} reason_table[DH_REASON_COUNT] = {
    [DH_REASON_NONE] = {"none", "nothing is wrong"},
    [DH_REASON_JSON_SYNTAX] = {"json_syntax", "the line is not JSON"},
    [DH_REASON_JSON_NOT_OBJECT] = {"json_not_object", "the line is JSON, but not an object"},
    [DH_REASON_JSON_TOO_DEEP] = {"json_too_deep", "nested deeper than 1024 levels"},
    [DH_REASON_TEXT_MISSING] = {"text_missing", "the record has no text field"},
    [DH_REASON_TEXT_NOT_STRING] = {"text_not_string", "the text field is not a string"},
    [DH_REASON_RECORD_TOO_LARGE] = {"record_too_large", "longer than --max-record"},
    [DH_REASON_TOO_MANY_TOKENS] = {"too_many_tokens", "more tokens than --max-tokens"},
    [DH_REASON_INVALID_UTF8] = {"invalid_utf8", "not UTF-8, and too large to be repaired"},
    [DH_REASON_NUL_PADDING] = {"nul_padding", "a line of NUL bytes only"},
    [DH_REASON_CUT_BY_DAMAGE] = {"cut_by_damage", "the record is incomplete because its source is damaged"},
    [DH_REASON_SOURCE_TRUNCATED] = {"source_truncated", "the compressed file ends early"},
    [DH_REASON_SOURCE_CORRUPT] = {"source_corrupt", "the compressed data is invalid from here on"},
    [DH_REASON_SOURCE_CHECKSUM] = {"source_checksum", "the decoded data does not have its checksum"},
    [DH_REASON_SOURCE_TRAILING_GARBAGE] = {"source_trailing_garbage",
                                           "bytes behind the compressed data that belong to nothing"},
    [DH_REASON_SOURCE_WINDOW] = {"source_window", "a zstd frame needs a window above --zstd-window"},
    [DH_REASON_SOURCE_NESTED] = {"source_nested", "compressed twice: decompress it once"},
    [DH_REASON_SOURCE_UNSUPPORTED] = {"source_unsupported", "a compression that this dhatu does not read"},
    [DH_REASON_SOURCE_UTF16] = {"source_utf16", "UTF-16 or UTF-32: convert it to UTF-8"},
    [DH_REASON_SOURCE_BINARY] = {"source_binary", "not a text file: it has NUL bytes"},
};

const char *dh_reason_name(dh_reason reason)
{
    return reason_table[reason].name;
}

const char *dh_reason_description(dh_reason reason)
{
    return reason_table[reason].description;
}

size_t dh_name_without_compression(const char *name)
{
    static const char *const suffix[] = {".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz"};
    const size_t size = strlen(name);
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        const size_t length = strlen(suffix[i]);
        if (size > length && name[size - length - 1] != '/' &&
            strcasecmp(name + size - length, suffix[i]) == 0) {
            return size - length;
        }
    }
    return size;
}

dh_format dh_format_of_name(const char *name)
{
    static const char *const suffix[] = {".jsonl", ".ndjson", ".json"};
    const size_t size = dh_name_without_compression(name);
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        const size_t length = strlen(suffix[i]);
        if (size >= length && strncasecmp(name + size - length, suffix[i], length) == 0) {
            return DH_FORMAT_JSONL;
        }
    }
    return DH_FORMAT_TEXT;
}

/* ---- opening ----------------------------------------------------------------------------------------- */

dh_status dh_record_reader_create(const dh_record_options *options, dh_record_reader **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_record_reader), "the record reader", &memory));
    dh_record_reader *reader = memory;
    reader->options = *options;
    reader->capacity = WINDOW_SIZE;
    dh_status status = dh_content_hasher_create(&reader->hasher);
    if (status == DH_OK) {
        status = dh_allocate(WINDOW_SIZE, 1, "the record reader's window", &memory);
    }
    if (status != DH_OK) {
        dh_record_reader_free(reader);
        return status;
    }
    reader->window = memory;
    *out = reader;
    return DH_OK;
}

static void close_source(dh_record_reader *reader)
{
    if (reader->stream != NULL) {
        dh_stream_close(reader->stream);
        reader->stream = NULL;
    }
}

void dh_record_reader_free(dh_record_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    close_source(reader);
    dh_content_hasher_free(reader->hasher);
    free(reader->window);
    free(reader);
}

/* Moves the unused bytes to the front. */
static void move_to_front(dh_record_reader *reader)
{
    memmove(reader->window, reader->window + reader->position, reader->filled - reader->position);
    reader->window_offset += reader->position;
    reader->filled -= reader->position;
    reader->position = 0;
}

/* A grown window is given back, so that one giant record does not hold memory for the rest of the run. */
static dh_status shrink_window(dh_record_reader *reader)
{
    move_to_front(reader);
    if (reader->capacity > WINDOW_SIZE && reader->filled <= WINDOW_SIZE - READ_STEP) {
        void *window = reader->window;
        DH_TRY(dh_reallocate(WINDOW_SIZE, 1, "the record reader's window", &window));
        reader->window = window;
        reader->capacity = WINDOW_SIZE;
    }
    return DH_OK;
}

static bool is_utf16(const uint8_t *head)
{
    return (head[0] == 0xFF && head[1] == 0xFE) || (head[0] == 0xFE && head[1] == 0xFF);
}

static dh_status check_range(const dh_record_reader *reader, uint64_t begin, uint64_t end)
{
    const bool aligned =
        begin % DH_CONTENT_BLOCK == 0 && (end % DH_CONTENT_BLOCK == 0 || end == UINT64_MAX) && begin < end;
    const bool whole = begin == 0 && end == UINT64_MAX;
    if (!aligned || (reader->format == DH_FORMAT_TEXT && !whole)) {
        return dh_error(DH_INTERNAL, "%s: bytes %llu to %llu are no range", reader->path,
                        (unsigned long long)begin, (unsigned long long)end);
    }
    return DH_OK;
}

static void set_range(dh_record_reader *reader, uint64_t begin, uint64_t end)
{
    reader->begin = begin;
    reader->end = end;
    reader->range_started = false;
    reader->range_done = false;
    reader->facts = (dh_source_facts){0};
}

static bool is_plain(const dh_record_reader *reader)
{
    return dh_stream_compression(reader->stream) == DH_COMPRESSION_NONE;
}

static dh_status open_stream(dh_record_reader *reader)
{
    DH_TRY(dh_stream_open(reader->path, 0, &reader->options.limits, &reader->stream));
    if (reader->begin == 0 || !is_plain(reader)) {
        return DH_OK;
    }
    /* Every range of a file must come to the same opinion of it, so each looks at the file's first bytes. */
    uint8_t head[2];
    size_t got = 0;
    const dh_status status = dh_stream_read(reader->stream, head, sizeof head, &got);
    if (status != DH_OK && status != DH_END) {
        return status;
    }
    reader->failed_source = got == sizeof head && is_utf16(head);
    close_source(reader);
    /* One byte earlier, to see whether a record begins exactly at begin. */
    reader->window_offset = reader->begin - 1;
    return dh_stream_open(reader->path, reader->window_offset, &reader->options.limits, &reader->stream);
}

dh_status dh_record_reader_open(dh_record_reader *reader, const char *path, const char *name, uint64_t begin,
                                uint64_t end)
{
    close_source(reader);
    reader->range_done = false;
    reader->path = path;
    reader->format =
        reader->options.format == DH_FORMAT_AUTO ? dh_format_of_name(name) : reader->options.format;
    DH_TRY(check_range(reader, begin, end));
    reader->position = 0;
    reader->filled = 0;
    DH_TRY(shrink_window(reader));
    set_range(reader, begin, end);
    reader->stream_ended = false;
    reader->failed_source = false;
    reader->at_record = true;
    reader->source_reason = DH_REASON_NONE;
    reader->window_offset = 0;
    DH_TRY(open_stream(reader));
    dh_content_hasher_open(reader->hasher, reader->window_offset, begin, end);
    return DH_OK;
}

dh_status dh_record_reader_go_on(dh_record_reader *reader, uint64_t begin, uint64_t end)
{
    if (!reader->range_done || begin < reader->end) {
        return dh_error(DH_INTERNAL, "no source was read so far that it can go on at byte %llu",
                        (unsigned long long)begin);
    }
    DH_TRY(check_range(reader, begin, end));
    DH_TRY(shrink_window(reader));
    set_range(reader, begin, end);
    dh_content_hasher_go_on(reader->hasher, begin, end);
    return DH_OK;
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

static dh_reason damage_reason(dh_stream_damage damage)
{
    static const dh_reason reason[DH_STREAM_DAMAGE_COUNT] = {
        [DH_STREAM_INTACT] = DH_REASON_NONE,
        [DH_STREAM_TRUNCATED] = DH_REASON_SOURCE_TRUNCATED,
        [DH_STREAM_CORRUPT] = DH_REASON_SOURCE_CORRUPT,
        [DH_STREAM_CHECKSUM] = DH_REASON_SOURCE_CHECKSUM,
        [DH_STREAM_TRAILING_GARBAGE] = DH_REASON_SOURCE_TRAILING_GARBAGE,
        [DH_STREAM_WINDOW] = DH_REASON_SOURCE_WINDOW,
        [DH_STREAM_NESTED] = DH_REASON_SOURCE_NESTED,
        [DH_STREAM_UNSUPPORTED] = DH_REASON_SOURCE_UNSUPPORTED,
    };
    return reason[damage];
}

static dh_status note_end(dh_record_reader *reader)
{
    const dh_stream_damage damage = dh_stream_damage_seen(reader->stream);
    reader->stream_ended = true;
    if (reader->source_reason == DH_REASON_NONE) {
        reader->source_reason = damage_reason(damage);
    }
    reader->file_bytes = dh_stream_bytes_in(reader->stream);
    if (damage != DH_STREAM_INTACT) { /* what lies behind the damage is done with, too */
        struct stat facts;
        DH_TRY(dh_file_stat(reader->path, &facts));
        reader->file_bytes = (uint64_t)facts.st_size;
    }
    return dh_content_hasher_finish(reader->hasher, reader->file_bytes);
}

/* Makes room behind the unused bytes; a window that is full of them grows. */
static dh_status make_room(dh_record_reader *reader)
{
    if (reader->position > 0) {
        move_to_front(reader);
    }
    if (reader->capacity - reader->filled < READ_STEP) {
        const size_t capacity = reader->capacity + reader->capacity / 2;
        void *window = reader->window;
        DH_TRY(dh_reallocate(capacity, 1, "a long record", &window));
        reader->window = window;
        reader->capacity = capacity;
    }
    return DH_OK;
}

/* Where the source goes on behind the window. */
static uint64_t place_of(const dh_record_reader *reader)
{
    return reader->window_offset + reader->filled;
}

/* How much to ask for: behind a plain range only the rest of its last record is wanted. */
static size_t read_size(const dh_record_reader *reader)
{
    if (!is_plain(reader)) {
        return READ_STEP;
    }
    const uint64_t place = place_of(reader);
    const uint64_t wanted = (place < reader->end ? reader->end - place : 0) + READ_BEHIND;
    return reader->end == UINT64_MAX || wanted > READ_STEP ? READ_STEP : (size_t)wanted;
}

/* Reads more bytes into the window. DH_END when the stream has no more. */
static dh_status fill(dh_record_reader *reader)
{
    if (reader->stream_ended) {
        return DH_END;
    }
    DH_TRY(make_room(reader));
    uint8_t *to = reader->window + reader->filled;
    size_t got = 0;
    const dh_status status = dh_stream_read(reader->stream, to, read_size(reader), &got);
    if (status == DH_END) {
        DH_TRY(note_end(reader));
        return DH_END;
    }
    DH_TRY(status);
    DH_TRY(dh_content_hasher_add(reader->hasher, to, got, dh_stream_bytes_in(reader->stream)));
    reader->filled += got;
    return reader->options.poll != NULL ? reader->options.poll(reader->options.poll_context) : DH_OK;
}

static uint64_t position_offset(const dh_record_reader *reader)
{
    return reader->window_offset + reader->position;
}

/* Drops bytes up to and with the next line end in front of `end`, or to the end: then position is still in
 * the middle of a record. DH_END: of the source. */
static dh_status skip_line(dh_record_reader *reader, uint64_t end)
{
    reader->at_record = false;
    while (position_offset(reader) < end) {
        const uint8_t *from = reader->window + reader->position;
        const uint64_t left = end - position_offset(reader);
        const size_t available = reader->filled - reader->position;
        const size_t size = available < left ? available : (size_t)left;
        const uint8_t *newline = memchr(from, '\n', size);
        if (newline != NULL) {
            reader->position += (size_t)(newline - from) + 1;
            reader->at_record = true;
            return DH_OK;
        }
        reader->position += size;
        if (reader->position == reader->filled) {
            DH_TRY(fill(reader));
        }
    }
    return DH_OK;
}

/* Drops bytes in front of offset. DH_END: the source ends before. */
static dh_status skip_to(dh_record_reader *reader, uint64_t offset)
{
    while (place_of(reader) < offset) {
        reader->position = reader->filled;
        DH_TRY(fill(reader));
    }
    reader->position = (size_t)(offset - reader->window_offset);
    return DH_OK;
}

/* Reads to the end of the range for its content hash and counts, and drops what it reads. */
static dh_status drain(dh_record_reader *reader)
{
    while (!reader->stream_ended && place_of(reader) < reader->end) {
        reader->position = reader->filled;
        const dh_status status = fill(reader);
        if (status != DH_OK && status != DH_END) {
            return status;
        }
    }
    return DH_OK;
}

/* ---- records ----------------------------------------------------------------------------------------- */

static bool is_blank(const uint8_t *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
            return false;
        }
    }
    return true;
}

static bool is_nul_only(const uint8_t *line, size_t size)
{
    return size > 0 && line[0] == 0 && (size == 1 || memcmp(line, line + 1, size - 1) == 0);
}

/* Damage after which the bytes decoded so far end in the middle of something. */
static bool ends_early(dh_reason reason)
{
    return reason == DH_REASON_SOURCE_TRUNCATED || reason == DH_REASON_SOURCE_CORRUPT ||
           reason == DH_REASON_SOURCE_WINDOW || reason == DH_REASON_SOURCE_CHECKSUM;
}

static void set_bad(dh_record *record, dh_reason reason)
{
    record->kind = DH_RECORD_BAD;
    record->reason = reason;
}

static void judge_json(const dh_record_reader *reader, dh_record *record, size_t size, bool last)
{
    size_t error_offset = 0;
    const dh_json_error error =
        dh_json_scan(reader->options.paths, record->line, size, record->value, &error_offset);
    record->kind = DH_RECORD_DOCUMENT;
    record->reason = DH_REASON_NONE;
    if (error == DH_JSON_SYNTAX && is_nul_only(record->line, size)) {
        set_bad(record, DH_REASON_NUL_PADDING);
    } else if (error != DH_JSON_OK && last && ends_early(reader->source_reason)) {
        set_bad(record, DH_REASON_CUT_BY_DAMAGE);
    } else if (error == DH_JSON_SYNTAX) {
        set_bad(record, DH_REASON_JSON_SYNTAX);
    } else if (error == DH_JSON_NOT_OBJECT) {
        set_bad(record, DH_REASON_JSON_NOT_OBJECT);
    } else if (error == DH_JSON_TOO_DEEP) {
        set_bad(record, DH_REASON_JSON_TOO_DEEP);
    } else if (record->value[DH_FIELD_TEXT].kind == DH_JSON_MISSING) {
        set_bad(record, DH_REASON_TEXT_MISSING);
    } else if (record->value[DH_FIELD_TEXT].kind != DH_JSON_STRING) {
        set_bad(record, DH_REASON_TEXT_NOT_STRING);
    }
}

static size_t bom_size(const dh_record_reader *reader, const uint8_t *line, size_t size)
{
    const bool at_start = position_offset(reader) == 0;
    return at_start && size >= BOM_SIZE && memcmp(line, "\xEF\xBB\xBF", BOM_SIZE) == 0 ? BOM_SIZE : 0;
}

/* A line longer than allowed: its bytes are counted, not held. */
static dh_status skip_long_line(dh_record_reader *reader, dh_record *record)
{
    record->offset = position_offset(reader);
    record->number = reader->facts.lines++;
    const dh_status status = skip_line(reader, UINT64_MAX);
    if (status != DH_OK && status != DH_END) {
        return status;
    }
    record->size = position_offset(reader) - record->offset;
    record->line = NULL;
    record->line_size = 0;
    set_bad(record, DH_REASON_RECORD_TOO_LARGE);
    return DH_OK;
}

/* Finds the end of the line at position: *size without, *full with its line end. *size above record_max
 * means: too large, not all of it is in the window. */
static dh_status find_line(dh_record_reader *reader, size_t *size, size_t *full)
{
    size_t searched = 0;
    for (;;) {
        const uint8_t *from = reader->window + reader->position;
        const size_t available = reader->filled - reader->position;
        const uint8_t *newline =
            available > searched ? memchr(from + searched, '\n', available - searched) : NULL;
        if (newline != NULL) {
            *size = (size_t)(newline - from);
            *full = *size + 1;
            return DH_OK;
        }
        searched = available;
        if (searched > reader->options.record_max) {
            *size = searched;
            *full = searched;
            return DH_OK;
        }
        const dh_status status = fill(reader);
        if (status == DH_END) {
            *size = searched;
            *full = searched;
            return searched > 0 ? DH_OK : DH_END;
        }
        DH_TRY(status);
    }
}

static dh_status next_line(dh_record_reader *reader, dh_record *record)
{
    for (;;) {
        if (position_offset(reader) >= reader->end) {
            return DH_END;
        }
        size_t size = 0;
        size_t full = 0;
        DH_TRY(find_line(reader, &size, &full));
        if (size > reader->options.record_max) {
            return skip_long_line(reader, record);
        }
        uint8_t *line = reader->window + reader->position;
        const size_t bom = bom_size(reader, line, size);
        record->offset = position_offset(reader);
        record->number = reader->facts.lines;
        record->size = full;
        record->line = line + bom;
        record->line_size = size - bom;
        reader->position += full;
        reader->facts.lines++;
        if (is_blank(record->line, size - bom)) {
            reader->facts.blank_lines++;
            reader->facts.blank_bytes += full;
            continue;
        }
        const bool last = reader->stream_ended && reader->position == reader->filled && full == size;
        judge_json(reader, record, size - bom, last);
        return DH_OK;
    }
}

/* All of a text file is one record. */
static dh_status next_text(dh_record_reader *reader, dh_record *record)
{
    dh_status status = DH_OK;
    while (status == DH_OK && reader->filled <= reader->options.record_max) {
        status = fill(reader);
    }
    if (status != DH_OK && status != DH_END) {
        return status;
    }
    if (dh_reason_is_of_source(reader->source_reason) && reader->filled == 0) {
        return DH_END; /* nothing was decoded: the damage says it all */
    }
    record->offset = 0;
    record->number = 0;
    reader->facts.lines = 1;
    if (reader->filled > reader->options.record_max) {
        DH_TRY(drain(reader));
        record->size = place_of(reader);
        record->line = NULL;
        record->line_size = 0;
        set_bad(record, DH_REASON_RECORD_TOO_LARGE);
        return DH_OK;
    }
    const size_t bom = bom_size(reader, reader->window, reader->filled);
    record->size = reader->filled;
    record->line = reader->window + bom;
    record->line_size = reader->filled - bom;
    reader->position = reader->filled;
    const size_t probe = reader->filled < BINARY_PROBE ? reader->filled : BINARY_PROBE;
    if (probe > 0 && memchr(reader->window, '\0', probe) != NULL) {
        set_bad(record, DH_REASON_SOURCE_BINARY);
    } else if (ends_early(reader->source_reason) && reader->source_reason != DH_REASON_SOURCE_CHECKSUM) {
        set_bad(record, DH_REASON_CUT_BY_DAMAGE);
    } else {
        record->kind = DH_RECORD_DOCUMENT;
        record->reason = DH_REASON_NONE;
        memset(record->value, 0, sizeof record->value);
        record->value[DH_FIELD_TEXT] =
            (dh_json_value){.kind = DH_JSON_STRING, .text = record->line, .size = reader->filled - bom};
    }
    return DH_OK;
}

/* UTF-16 has its mark at the very start; nothing of such a source is read as records. */
static dh_status check_start(dh_record_reader *reader)
{
    while (reader->filled < 2 && !reader->stream_ended) {
        const dh_status status = fill(reader);
        if (status != DH_OK && status != DH_END) {
            return status;
        }
    }
    if (reader->filled >= 2 && is_utf16(reader->window)) {
        reader->failed_source = true;
        reader->source_reason = DH_REASON_SOURCE_UTF16;
    }
    return DH_OK;
}

/* Goes to the first record that begins in the range. DH_END: the source ends before. */
static dh_status find_first_record(dh_record_reader *reader)
{
    if (position_offset(reader) < reader->begin) {
        reader->at_record = false;
        DH_TRY(skip_to(reader, reader->begin - 1));
    }
    return reader->at_record ? DH_OK : skip_line(reader, reader->end);
}

static dh_status start_range(dh_record_reader *reader)
{
    if (place_of(reader) == 0) {
        DH_TRY(check_start(reader));
    }
    if (!reader->failed_source) {
        const dh_status status = find_first_record(reader);
        if (status != DH_OK && status != DH_END) {
            return status;
        }
    }
    reader->range_started = true;
    return DH_OK;
}

static void settle_facts(dh_record_reader *reader)
{
    dh_source_facts *facts = &reader->facts;
    const uint64_t place = place_of(reader);
    const uint64_t end = place < reader->end ? place : reader->end;
    facts->bytes = end > reader->begin ? end - reader->begin : 0;
    facts->last = reader->stream_ended && place >= reader->begin && place < reader->end;
    facts->beyond = reader->stream_ended && place < reader->begin;
    facts->hash = dh_content_hasher_sum(reader->hasher);
    facts->failed_bytes = reader->failed_source ? facts->bytes : 0;
    facts->unchecked = facts->last && dh_stream_unchecked(reader->stream);
    facts->bytes_in = facts->bytes;
    if (!is_plain(reader)) {
        const uint64_t file_end =
            facts->last ? reader->file_bytes : dh_content_hasher_file_end(reader->hasher);
        facts->bytes_in = file_end - dh_content_hasher_file_begin(reader->hasher);
    }
}

static dh_status finish_range(dh_record_reader *reader, dh_record *record)
{
    DH_TRY(drain(reader));
    settle_facts(reader);
    reader->range_done = true;
    const bool tell = reader->failed_source ? reader->begin == 0 : reader->facts.last;
    if (!tell || reader->source_reason == DH_REASON_NONE) {
        return DH_END;
    }
    *record = (dh_record){.kind = DH_RECORD_DAMAGE,
                          .reason = reader->source_reason,
                          .offset = reader->failed_source ? 0 : reader->begin + reader->facts.bytes,
                          .number = reader->facts.lines};
    return DH_OK;
}

dh_status dh_record_reader_next(dh_record_reader *reader, dh_record *out)
{
    if (reader->range_done) {
        return DH_END;
    }
    if (!reader->range_started) {
        DH_TRY(start_range(reader));
    }
    if (!reader->failed_source) {
        const bool text_is_told = reader->format == DH_FORMAT_TEXT && reader->facts.lines > 0;
        dh_status status = DH_END;
        if (!text_is_told) {
            status = reader->format == DH_FORMAT_TEXT ? next_text(reader, out) : next_line(reader, out);
        }
        if (status != DH_END) {
            return status;
        }
    }
    return finish_range(reader, out);
}

dh_source_facts dh_record_reader_facts(const dh_record_reader *reader)
{
    return reader->facts;
}
