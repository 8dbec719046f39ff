/* dhatu: a chunk, the columns of up to DH_CHUNK_ROWS documents of one segment, in memory and as it is
 * spilled (docs/formats.md, "Spill"). The spilled bytes are a function of the segment and the settings
 * alone: two attempts that compute the same segment spill the same bytes. */
#ifndef DH_RUN_CHUNK_H
#define DH_RUN_CHUNK_H

#include "base/file.h"
#include "run/settings.h"

enum { DH_CHUNK_ROWS = 8192 };

/* What is known of a source from one chunk: sums over the chunk's documents, and with the last chunk of
 * a range what the reader counted. All of it adds up over chunks. */
typedef struct dh_source_part {
    uint64_t source;
    uint64_t bytes, lines, blank_lines, blank_bytes, unchecked, failed_bytes;
    uint64_t documents, bad, replaced;
    uint64_t hash_low, hash_high;
} dh_source_part; /* followed by schema.source_sum_count 64-bit sums */

/* A record or source that cannot be used. */
typedef struct dh_bad_record {
    uint64_t record, offset, size; /* record: line in the work item, from 0 */
    uint32_t source;
    uint32_t reason; /* dh_reason */
} dh_bad_record;

typedef struct dh_chunk {
    const dh_schema *schema;
    uint32_t rows;
    void *column[DH_SCHEMA_COLUMNS_MAX]; /* room for DH_CHUNK_ROWS */
    dh_buffer ids;
    dh_buffer parts; /* dh_source_part and its sums, one after the other; ascending sources */
    uint32_t part_count;
    dh_buffer bad; /* dh_bad_record */
    uint32_t bad_count;
    dh_buffer
        values; /* of the rows, one after the other; DH_ENGINE_VALUE_BYTES tells how many bytes each has */
    uint64_t value_count;
    dh_buffer terms; /* counted n-grams (run/terms.h) */
} dh_chunk;

dh_status dh_chunk_create(const dh_schema *schema, dh_chunk **out);
void dh_chunk_free(dh_chunk *chunk);

/* Empties it for the next one. */
void dh_chunk_reset(dh_chunk *chunk);

/* The part of source, made when it is not the last one. Valid until the next call. */
dh_status dh_chunk_part(dh_chunk *chunk, uint64_t source, dh_source_part **part, uint64_t **sums);

size_t dh_part_size(const dh_schema *schema);

/* In front of a spilled chunk. In the byte order of the machine, as all of the spill; the manifest tells
 * which one. Checked by the segment's hash in the journal, not by itself. */
typedef struct dh_chunk_header {
    char magic[4];   /* DH_CHUNK_MAGIC */
    uint32_t number; /* of the chunk in its segment */
    uint64_t size;   /* of the spilled chunk, this header included; a multiple of 8 */
    uint64_t begin;  /* of the segment, as of dh_work_item */
    uint32_t first_source;
    uint32_t rows, id_bytes, part_count, bad_count;
    uint32_t lines; /* of the last part: lines of the segment so far. 0 but in the last chunk of a segment */
    uint64_t value_count, value_bytes, term_bytes;
} dh_chunk_header;
#define DH_CHUNK_MAGIC "dhc2"

/* Where things stand in a spilled chunk, from the start of its header: sections are aligned to 8 bytes. */
typedef struct dh_chunk_layout {
    uint64_t column[DH_SCHEMA_COLUMNS_MAX];
    uint64_t ids, parts, bad, values, terms, size;
} dh_chunk_layout;

/* How much a chunk holds. */
typedef struct dh_chunk_sizes {
    uint32_t rows, part_count, bad_count;
    uint64_t id_bytes, value_bytes, term_bytes;
} dh_chunk_sizes;

void dh_chunk_lay_out(const dh_schema *schema, const dh_chunk_sizes *sizes, dh_chunk_layout *out);

/* Bytes that a row of a column takes in a chunk: none for those of tokens. */
size_t dh_chunk_row_size(const dh_schema *schema, uint32_t column);

/* Where a spilled chunk is and what it holds: a row of the table of all chunks. The order of (first_source,
 * begin, number) is the order of the result's rows. */
typedef struct dh_chunk_entry {
    uint64_t begin;       /* of the segment */
    uint64_t offset;      /* in the spill */
    uint64_t first_row;   /* in the result; set when all are known */
    uint64_t first_line;  /* lines of the source in front of the segment; set when all are known */
    uint64_t first_value; /* values of all rows in front; set when all are known */
    uint64_t value_count, value_bytes, term_bytes;
    uint32_t first_source; /* of the work item */
    uint32_t number;       /* of the chunk in its segment */
    uint32_t epoch, rank;  /* the spill that has it */
    uint32_t lines;        /* of the segment, with its last chunk */
    uint32_t id_bytes;
    uint16_t rows, part_count, bad_count;
    uint16_t reserved;
} dh_chunk_entry;

dh_chunk_sizes dh_chunk_entry_sizes(const dh_chunk_entry *entry);
dh_chunk_sizes dh_chunk_header_sizes(const dh_chunk_header *header);

/* A growing list of them. The owner frees with dh_chunk_list_free; a zeroed one is empty. */
typedef struct dh_chunk_list {
    dh_chunk_entry *entry;
    size_t count, capacity;
} dh_chunk_list;
dh_status dh_chunk_list_add(dh_chunk_list *list, const dh_chunk_entry *entry);
void dh_chunk_list_free(dh_chunk_list *list);

/* The parts of the spilled chunk, for dh_file_write_parts_at: header, sections and zeros between them, which
 * are also what the segment's hash is taken over. part has room for DH_CHUNK_PARTS_MAX; they point into chunk
 * and header. */
enum { DH_CHUNK_PARTS_MAX = 2 * (DH_SCHEMA_COLUMNS_MAX + 6) };
size_t dh_chunk_parts(const dh_chunk *chunk, const dh_chunk_header *header, dh_file_part *part);

/* Sets the counts and the size of the header from the chunk; lines too. */
void dh_chunk_describe(const dh_chunk *chunk, uint32_t first_source, uint64_t begin, uint32_t number,
                       dh_chunk_header *out);

#endif
