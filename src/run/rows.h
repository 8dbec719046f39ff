/* dhatu: result rows, read back from the spills of all ranks.
 *
 * Rows are worked on in blocks of DH_BLOCK_ROWS: also the unit of the content digest and the chunk of a
 * deflated column, so that none of them depends on the number of ranks. */
#ifndef DH_RUN_ROWS_H
#define DH_RUN_ROWS_H

#include "plan/plan.h"
#include "run/chunk.h"
#include "run/watch.h"

enum { DH_BLOCK_ROWS = 4096 };

/* The table of all chunks, in the order of the result, first_row and first_line set. A view. */
typedef struct dh_chunk_table {
    const dh_chunk_entry *entry;
    uint64_t count;
    uint64_t rows;   /* of the result */
    uint64_t values; /* of all rows */
} dh_chunk_table;

/* Sorts entries and sets first_row and first_line. As a dh_shared_then. */
void dh_chunk_table_order(void *entries, size_t count);

dh_chunk_table dh_chunk_table_view(const void *entries, size_t bytes);

typedef struct dh_row_reader dh_row_reader;

/* folder: of the spills. watch is asked with each block, and told when reading failed. All must outlive the
 * reader. */
dh_status dh_row_reader_create(const dh_schema *schema, const dh_plan *plan, const dh_chunk_table *table,
                               const char *folder, dh_watch *watch, dh_row_reader **out);
void dh_row_reader_free(dh_row_reader *reader);

/* A block of rows as columns: column[c] of the schema; ids as offsets. Arrays are the reader's. */
typedef struct dh_row_block {
    uint64_t first_row;
    uint32_t count;
    void *column[DH_SCHEMA_COLUMNS_MAX]; /* DH_ENGINE_RECORD: line of the source, from 1 */
    const uint8_t *id;                   /* final ids but for the suffix that makes them unique */
    uint32_t id_end[DH_BLOCK_ROWS];      /* id of row i: id[i > 0 ? id_end[i - 1] : 0 .. id_end[i]) */
    uint64_t first_value;  /* values of all rows in front of the block; where values were read */
    const uint8_t *values; /* of the job that has them (dh_job.values), row after row; the columns
                            * DH_ENGINE_VALUES and DH_ENGINE_VALUE_BYTES tell how many and their bytes */
} dh_row_block;

/* Reads the rows [first, first + count), count <= DH_BLOCK_ROWS; only the engine's columns unless all. The
 * block is valid until the next call. */
dh_status dh_row_reader_read(dh_row_reader *reader, uint64_t first, uint32_t count, bool all,
                             const dh_row_block **out);

/* The same with the rows' values besides (and the engine's columns; all: the jobs', too). */
dh_status dh_row_reader_read_values(dh_row_reader *reader, uint64_t first, uint32_t count, bool all,
                                    const dh_row_block **out);

/* How many rows from `first` on, of `most`, have values of a few MiB together by what their chunks hold on
 * average: what is read at a time. 1 at least. */
uint32_t dh_row_reader_few(const dh_row_reader *reader, uint64_t first, uint64_t most);

/* Reads one column of the schema for rows [first, first + count) into out: count * row_size bytes. */
dh_status dh_row_reader_column(dh_row_reader *reader, uint32_t column, uint64_t first, uint32_t count,
                               void *out);

/* Reads the counted terms of a chunk (run/terms.h); appended to out. */
dh_status dh_row_reader_terms(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out);

/* Reads the source parts or bad records of a chunk; appended to out. */
dh_status dh_row_reader_parts(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out);
dh_status dh_row_reader_bad(dh_row_reader *reader, const dh_chunk_entry *entry, dh_buffer *out);

#endif
