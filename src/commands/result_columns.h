/* dhatu: columns of a result, read in blocks of rows and printed. */
#ifndef DH_COMMANDS_RESULT_COLUMNS_H
#define DH_COMMANDS_RESULT_COLUMNS_H

#include "commands/result_view.h"
#include "run/rows.h"

typedef enum dh_value_style {
    DH_VALUE_JSON = 0, /* texts in quotes; what is no number, and a category that is missing, is null */
    DH_VALUE_CSV       /* texts in quotes where they need them; what is missing is empty */
} dh_value_style;

typedef struct dh_result_column {
    char *path;       /* of the dataset: "obs/bytes", "obs/lang/codes" */
    const char *name; /* in path: "bytes", "lang" */
    size_t name_size;
    dh_h5_array array; /* codes of a categorical */
    uint64_t elements; /* of a row */
    bool is_category;
    char *category_path;
    dh_h5_array category;
    dh_buffer categories; /* all of them, or only that of `code` */
    bool has_all_categories, has_code;
    uint64_t code;
    dh_buffer data; /* of the block */
} dh_result_column;

typedef struct dh_result_columns {
    dh_result_view *view;
    dh_result_column *column;
    size_t count, capacity;
    uint64_t first, rows; /* the block that was read */
} dh_result_columns;

/* A zeroed one with its view set is ready; it must outlive it. */
void dh_result_columns_free(dh_result_columns *columns);

/* Adds a dataset. One of a categorical is named by its codes ("obs/lang/codes"), which are integers whatever
 * is wanted. *index, where it is not NULL, is its place in column[]. Errors: DH_MISMATCH (missing, not as
 * wanted), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_result_columns_add(dh_result_columns *columns, const char *path, dh_wanted wanted,
                                size_t *index);

/* The place of a dataset that was added, as values of any type, and is to be more than that. Errors:
 * DH_MISMATCH (it is not among them, or not as wanted; logged). */
dh_status dh_result_columns_find(dh_result_columns *columns, const char *path, dh_wanted wanted,
                                 size_t *index);

/* Adds all columns of obs that have one element a row and are not there yet, in the order of their paths. */
dh_status dh_result_columns_add_scalars(dh_result_columns *columns);

/* Reads the rows [first, first + count), count <= DH_BLOCK_ROWS. */
dh_status dh_result_columns_read(dh_result_columns *columns, uint64_t first, uint64_t count);

/* Reads the block of rows that has `row` (from a multiple of DH_BLOCK_ROWS on, up to `rows` rows in all),
 * unless it is the one that is there. */
dh_status dh_result_columns_reach(dh_result_columns *columns, uint64_t row, uint64_t rows);

/* An integer of the block; a text of it, NUL-padded to array.text_width: of columns that were wanted so. row
 * counts from the first one of all. */
uint64_t dh_result_columns_integer(const dh_result_columns *columns, size_t index, uint64_t row);
const char *dh_result_columns_text(const dh_result_columns *columns, size_t index, uint64_t row,
                                   size_t *size);

/* Appends a value of the block: of the element, where a row has several. */
dh_status dh_result_columns_append(dh_result_columns *columns, size_t index, uint64_t row, uint64_t element,
                                   dh_value_style style, dh_buffer *out);

#endif
