/* dhatu: the records of a source, one after the other.
 *
 * A source is a file; a record is a line of it (JSONL) or all of it (text). A range of a plain JSONL
 * file has the records whose first byte lies in it. Whatever is no document is reported with a reason,
 * so that every byte of a source is accounted for: documents, blank lines, or a reason. */
#ifndef DH_READ_RECORDS_H
#define DH_READ_RECORDS_H

#include "read/content_hash.h"
#include "read/json.h"
#include "read/stream.h"

typedef enum dh_format {
    DH_FORMAT_AUTO =
        0, /* by the name less its compression suffix: .jsonl .ndjson .json are JSONL, else text */
    DH_FORMAT_JSONL,
    DH_FORMAT_TEXT
} dh_format;

/* Why something is not a document. Also names of uns/dhatu/quality and of quarantine lines: the order is
 * part of the format, new ones are added at the end. */
typedef enum dh_reason {
    DH_REASON_NONE = 0,
    /* of a record */
    DH_REASON_JSON_SYNTAX,
    DH_REASON_JSON_NOT_OBJECT,
    DH_REASON_JSON_TOO_DEEP,
    DH_REASON_TEXT_MISSING,
    DH_REASON_TEXT_NOT_STRING,
    DH_REASON_RECORD_TOO_LARGE,
    DH_REASON_TOO_MANY_TOKENS,
    DH_REASON_INVALID_UTF8, /* a large record (docs/formats.md); smaller ones are repaired */
    DH_REASON_NUL_PADDING,
    DH_REASON_CUT_BY_DAMAGE, /* the last record before a source's damage */
    /* of a source */
    DH_REASON_SOURCE_TRUNCATED,
    DH_REASON_SOURCE_CORRUPT,
    DH_REASON_SOURCE_CHECKSUM,
    DH_REASON_SOURCE_TRAILING_GARBAGE,
    DH_REASON_SOURCE_WINDOW,
    DH_REASON_SOURCE_NESTED,
    DH_REASON_SOURCE_UNSUPPORTED,
    DH_REASON_SOURCE_UTF16,
    DH_REASON_SOURCE_BINARY,
    DH_REASON_COUNT
} dh_reason;

const char *dh_reason_name(dh_reason reason);        /* "json_syntax" */
const char *dh_reason_description(dh_reason reason); /* a sentence */
static inline int dh_reason_is_of_source(dh_reason reason)
{
    return reason >= DH_REASON_SOURCE_TRUNCATED;
}

typedef struct dh_record_options {
    dh_format format;
    const dh_json_paths *paths; /* [DH_FIELD_TEXT], [DH_FIELD_ID], [DH_FIELD_LANG] */
    uint64_t record_max;        /* bytes of a record as it lies in the source, without its line end */
    dh_stream_limits limits;
    dh_poll *poll; /* called after each read of the file; NULL: none; never says DH_END */
    void *poll_context;
} dh_record_options;

enum { DH_FIELD_TEXT = 0, DH_FIELD_ID, DH_FIELD_LANG, DH_FIELD_COUNT };

typedef enum dh_record_kind {
    DH_RECORD_DOCUMENT, /* value[] is set; for text files value[DH_FIELD_TEXT] is all of it */
    DH_RECORD_BAD,      /* reason is set */
    DH_RECORD_DAMAGE    /* of the source, after its last record; reason is set */
} dh_record_kind;

typedef struct dh_record {
    dh_record_kind kind;
    dh_reason reason;
    uint64_t offset; /* of its first byte among the uncompressed bytes of the source */
    uint64_t number; /* line of the range, from 0 (the range's first line is 0), blank and bad ones counted */
    uint64_t size;   /* bytes, its line end included */
    uint8_t *line;   /* mutable, valid until the next call; NULL when not held (too large) */
    size_t line_size; /* of line: without byte order mark and line end; a carriage return belongs to it */
    dh_json_value value[DH_FIELD_COUNT];
} dh_record;

typedef struct dh_record_reader dh_record_reader;

/* One reader serves a rank for all its sources, so that its buffers are warm. Options are copied. */
dh_status dh_record_reader_create(const dh_record_options *options, dh_record_reader **out);
void dh_record_reader_free(dh_record_reader *reader);

/* Opens a source. name decides the format where options say AUTO. [begin, end) is the range of first bytes
 * among the uncompressed ones; a compressed source is decoded from its start and what lies in front of the
 * range is dropped (with the first dh_record_reader_next). A text source has begin 0 and end UINT64_MAX.
 * begin is a multiple of DH_CONTENT_BLOCK, and so is end unless it is UINT64_MAX. path stays the caller's and
 * is used up to the next open. A range that begins behind the source's end is empty, and not its last one.
 * Errors: DH_IO, DH_INTERNAL (a range that cannot be; logged). */
dh_status dh_record_reader_open(dh_record_reader *reader, const char *path, const char *name, uint64_t begin,
                                uint64_t end);

/* After DH_END goes on in the same source with the range [begin, end), begin at or above the last end:
 * without opening and decoding it anew. Records, facts and errors are the same as if it had been opened with
 * that range. For JSONL. */
dh_status dh_record_reader_go_on(dh_record_reader *reader, uint64_t begin, uint64_t end);

/* DH_OK with a record, or DH_END (of the range). Errors: DH_IO, DH_NO_MEMORY (logged), what poll says; after
 * them the reader can only open again. Damage of the source is told in its last range; that it is UTF-16, in
 * the one at 0. */
dh_status dh_record_reader_next(dh_record_reader *reader, dh_record *out);

/* What was read of the range. After DH_END. */
typedef struct dh_source_facts {
    uint64_t bytes; /* uncompressed bytes of the range */
    uint64_t lines; /* records, blank lines included */
    uint64_t blank_lines, blank_bytes;
    uint64_t
        bytes_in; /* bytes of the file for the range: over all ranges of a source, the size of its file */
    dh_content_hash hash;  /* of the range */
    uint64_t failed_bytes; /* bytes of a source (UTF-16) that is not read as records at all */
    bool unchecked;        /* a zstd frame without a checksum was read; told with the last range */
    bool last;             /* the source ends in this range: its size is at or above begin and below end */
    bool beyond;           /* the source ends in front of this range */
} dh_source_facts;

dh_source_facts dh_record_reader_facts(const dh_record_reader *reader);

/* The format of a source by its name: DH_FORMAT_JSONL or DH_FORMAT_TEXT. */
dh_format dh_format_of_name(const char *name);

/* The length of name without a compression suffix (.gz .zst .bz2 .xz and the like). */
size_t dh_name_without_compression(const char *name);

#endif
