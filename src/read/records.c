#include "read/records.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    WINDOW_SIZE = 1 << 20,    /* of the buffer; grows for longer records, up to record_max */
    READ_SIZE_MIN = 64 << 10, /* never ask a stream for less */
    BINARY_PROBE = 8 << 10,   /* a text file with a NUL byte in its first bytes is none */
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
    bool range_done, damage_told;
    bool skip_first; /* the first bytes belong to a record of the range before */
    XXH3_state_t *block_state;
    uint64_t hashed_to; /* the content hash has the bytes [begin, hashed_to) */
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
    reader->block_state = XXH3_createState();
    void *window = malloc(WINDOW_SIZE);
    if (reader->block_state == NULL || window == NULL) {
        free(window);
        dh_record_reader_free(reader);
        return dh_error(DH_NO_MEMORY, "out of memory: the record reader");
    }
    reader->window = window;
    reader->capacity = WINDOW_SIZE;
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
    (void)XXH3_freeState(reader->block_state);
    free(reader->window);
    free(reader);
}

/* A grown window is given back, so that one giant record does not hold memory for the rest of the run. */
static dh_status shrink_window(dh_record_reader *reader)
{
    if (reader->capacity > WINDOW_SIZE) {
        free(reader->window);
        reader->window = NULL;
        void *window = NULL;
        DH_TRY(dh_allocate(WINDOW_SIZE, 1, "the record reader's window", &window));
        reader->window = window;
        reader->capacity = WINDOW_SIZE;
    }
    return DH_OK;
}

/* Every range of a file must come to the same opinion of it, so each looks at the file's first bytes. */
static dh_status is_plain_utf16(const char *path, bool *utf16)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return dh_error(DH_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    uint8_t head[2] = {0, 0};
    const ssize_t got = pread(file, head, sizeof head, 0);
    (void)close(file);
    *utf16 = got == 2 && ((head[0] == 0xFF && head[1] == 0xFE) || (head[0] == 0xFE && head[1] == 0xFF));
    return DH_OK;
}

dh_status dh_record_reader_open(dh_record_reader *reader, const char *path, const char *name, uint64_t begin,
                                uint64_t end)
{
    close_source(reader);
    DH_TRY(shrink_window(reader));
    reader->path = path;
    reader->format =
        reader->options.format == DH_FORMAT_AUTO ? dh_format_of_name(name) : reader->options.format;
    reader->begin = begin;
    reader->end = end;
    reader->position = 0;
    reader->filled = 0;
    reader->stream_ended = false;
    reader->failed_source = false;
    reader->range_done = false;
    reader->damage_told = false;
    reader->source_reason = DH_REASON_NONE;
    reader->hashed_to = begin;
    reader->facts = (dh_source_facts){0};
    reader->skip_first = begin > 0;
    /* One byte earlier, to see whether a record begins exactly at begin. */
    reader->window_offset = begin > 0 ? begin - 1 : 0;
    DH_TRY(dh_stream_open(path, reader->window_offset, &reader->options.limits, &reader->stream));
    if (begin > 0) {
        DH_TRY(is_plain_utf16(path, &reader->failed_source));
    }
    return DH_OK;
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

static void finish_block(dh_record_reader *reader)
{
    const XXH128_hash_t digest = XXH3_128bits_digest(reader->block_state);
    dh_content_hash_add(&reader->facts.hash, (dh_content_hash){digest.low64, digest.high64});
}

/* Takes the new bytes of the window that lie in the range into the content hash. */
static void hash_new_bytes(dh_record_reader *reader, const uint8_t *bytes, uint64_t offset, size_t size)
{
    if (offset < reader->begin) {
        const uint64_t before = reader->begin - offset;
        if (before >= size) {
            return;
        }
        bytes += before;
        offset += before;
        size -= (size_t)before;
    }
    if (offset >= reader->end) {
        return; /* the rest of the range's last record belongs to the next range's hash */
    }
    while (size > 0 && offset < reader->end) {
        const uint64_t index = offset / DH_CONTENT_BLOCK;
        const size_t in_block = (size_t)(offset % DH_CONTENT_BLOCK);
        size_t take = DH_CONTENT_BLOCK - in_block;
        take = take < size ? take : size;
        take = take < reader->end - offset ? take : (size_t)(reader->end - offset);
        if (in_block == 0) {
            (void)XXH3_128bits_reset_withSeed(reader->block_state, index);
        }
        (void)XXH3_128bits_update(reader->block_state, bytes, take);
        bytes += take;
        offset += take;
        size -= take;
        if (offset % DH_CONTENT_BLOCK == 0) {
            finish_block(reader);
        }
    }
    reader->hashed_to = offset;
    reader->facts.bytes = offset - reader->begin;
}

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

static void note_end(dh_record_reader *reader)
{
    reader->stream_ended = true;
    /* An unfinished last block counts as it is. */
    if (reader->hashed_to % DH_CONTENT_BLOCK != 0 && reader->hashed_to > reader->begin &&
        reader->hashed_to < reader->end) {
        finish_block(reader);
    }
    if (reader->source_reason == DH_REASON_NONE) {
        reader->source_reason = damage_reason(dh_stream_damage_seen(reader->stream));
    }
    reader->facts.unchecked = dh_stream_unchecked(reader->stream);
}

/* Moves the unused bytes to the front and makes room; a window that is all unused bytes grows. */
static dh_status make_room(dh_record_reader *reader)
{
    if (reader->position > 0) {
        memmove(reader->window, reader->window + reader->position, reader->filled - reader->position);
        reader->window_offset += reader->position;
        reader->filled -= reader->position;
        reader->position = 0;
    }
    if (reader->capacity - reader->filled < READ_SIZE_MIN) {
        const size_t capacity = reader->capacity + reader->capacity / 2;
        void *window = reader->window;
        DH_TRY(dh_reallocate(capacity, 1, "a long record", &window));
        reader->window = window;
        reader->capacity = capacity;
    }
    return DH_OK;
}

/* How much to ask for: behind the range only the rest of its last record is wanted. */
static size_t read_size(const dh_record_reader *reader)
{
    const size_t room = reader->capacity - reader->filled;
    const uint64_t place = reader->window_offset + reader->filled;
    const uint64_t wanted = (place < reader->end ? reader->end - place : 0) + READ_SIZE_MIN;
    return reader->end == UINT64_MAX || wanted > room ? room : (size_t)wanted;
}

/* Reads more bytes into the window. DH_END when the stream has no more. */
static dh_status fill(dh_record_reader *reader)
{
    if (reader->stream_ended) {
        return DH_END;
    }
    DH_TRY(make_room(reader));
    size_t got = 0;
    const dh_status status =
        dh_stream_read(reader->stream, reader->window + reader->filled, read_size(reader), &got);
    if (status == DH_END) {
        note_end(reader);
        return DH_END;
    }
    DH_TRY(status);
    hash_new_bytes(reader, reader->window + reader->filled, reader->window_offset + reader->filled, got);
    reader->filled += got;
    reader->facts.bytes_in = dh_stream_bytes_in(reader->stream);
    return DH_OK;
}

static uint64_t position_offset(const dh_record_reader *reader)
{
    return reader->window_offset + reader->position;
}

/* Drops bytes up to and with the next line end, or to the end. */
static dh_status skip_line(dh_record_reader *reader)
{
    for (;;) {
        const uint8_t *from = reader->window + reader->position;
        const uint8_t *newline = memchr(from, '\n', reader->filled - reader->position);
        if (newline != NULL) {
            reader->position += (size_t)(newline - from) + 1;
            return DH_OK;
        }
        reader->position = reader->filled;
        const dh_status status = fill(reader);
        if (status != DH_OK) {
            return status;
        }
    }
}

/* Reads to the end of the range for its content hash and counts, and drops what it reads. */
static dh_status drain(dh_record_reader *reader)
{
    while (!reader->stream_ended && reader->window_offset + reader->filled < reader->end) {
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
    const dh_status status = skip_line(reader);
    if (status != DH_OK && status != DH_END) {
        return status;
    }
    record->size = position_offset(reader) - record->offset;
    record->line = NULL;
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
        record->size = reader->facts.bytes;
        record->line = NULL;
        set_bad(record, DH_REASON_RECORD_TOO_LARGE);
        return DH_OK;
    }
    const size_t bom = bom_size(reader, reader->window, reader->filled);
    record->size = reader->filled;
    record->line = reader->window + bom;
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
    while (reader->filled - reader->position < 2 && !reader->stream_ended) {
        const dh_status status = fill(reader);
        if (status != DH_OK && status != DH_END) {
            return status;
        }
    }
    const uint8_t *head = reader->window + reader->position;
    if (reader->filled - reader->position >= 2 &&
        ((head[0] == 0xFF && head[1] == 0xFE) || (head[0] == 0xFE && head[1] == 0xFF))) {
        reader->failed_source = true;
        reader->source_reason = DH_REASON_SOURCE_UTF16;
    }
    return DH_OK;
}

static dh_status start_range(dh_record_reader *reader)
{
    if (reader->begin == 0) {
        return check_start(reader);
    }
    if (!reader->skip_first || reader->failed_source) {
        return DH_OK;
    }
    reader->skip_first = false;
    const dh_status status = skip_line(reader);
    return status == DH_END ? DH_OK : status;
}

static dh_status finish_range(dh_record_reader *reader, dh_record *record)
{
    DH_TRY(drain(reader));
    reader->range_done = true;
    reader->facts.failed_bytes = reader->failed_source ? reader->facts.bytes : 0;
    if (reader->source_reason == DH_REASON_NONE || reader->damage_told) {
        return DH_END;
    }
    reader->damage_told = true;
    *record = (dh_record){.kind = DH_RECORD_DAMAGE,
                          .reason = reader->source_reason,
                          .offset = reader->failed_source ? 0 : reader->facts.bytes,
                          .number = reader->facts.lines};
    return DH_OK;
}

dh_status dh_record_reader_next(dh_record_reader *reader, dh_record *out)
{
    if (reader->range_done) {
        return DH_END;
    }
    if (reader->filled == 0 && reader->facts.lines == 0 && !reader->stream_ended) {
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
