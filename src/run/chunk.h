/* dhatu: a chunk, the columns of up to DH_CHUNK_ROWS documents of one work item, in memory and as it is
 * spilled (docs/formats.md, "Spill"). */
#ifndef DH_RUN_CHUNK_H
#define DH_RUN_CHUNK_H

#include "run/settings.h"

enum { DH_CHUNK_ROWS = 8192 };

/* What is known of a source from one chunk: sums over the chunk's documents, and with the last chunk of
 * a range what the reader counted. All of it adds up over chunks. */
typedef struct dh_source_part {
    uint64_t source;
    uint64_t bytes, lines, blank_lines, blank_bytes, bytes_in, unchecked, failed_bytes;
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
} dh_chunk;

dh_status dh_chunk_create(const dh_schema *schema, dh_chunk **out);
void dh_chunk_free(dh_chunk *chunk);

/* Empties it for the next one. */
void dh_chunk_reset(dh_chunk *chunk);

/* The part of source, made when it is not the last one. Valid until the next call. */
dh_status dh_chunk_part(dh_chunk *chunk, uint64_t source, dh_source_part **part, uint64_t **sums);

size_t dh_part_size(const dh_schema *schema);

/* Where things stand in a spilled chunk, from its start: sections are aligned to 8 bytes. */
typedef struct dh_chunk_layout {
    uint64_t column[DH_SCHEMA_COLUMNS_MAX];
    uint64_t ids, parts, bad, size;
} dh_chunk_layout;

void dh_chunk_lay_out(const dh_schema *schema, uint32_t rows, uint64_t id_bytes, uint32_t part_count,
                      uint32_t bad_count, dh_chunk_layout *out);

/* Writes the chunk at offset of a file. */
dh_status dh_chunk_write(const dh_chunk *chunk, int file, const char *path, uint64_t offset, uint64_t *size);

#endif
