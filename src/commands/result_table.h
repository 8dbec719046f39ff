/* dhatu: an array of a result, read whole: for what does not grow with documents. */
#ifndef DH_COMMANDS_RESULT_TABLE_H
#define DH_COMMANDS_RESULT_TABLE_H

#include "commands/result_view.h"

typedef struct dh_table {
    dh_h5_array array;
    dh_buffer data;
} dh_table;

/* *out is zeroed or of an earlier call; owner frees with dh_table_free, also after an error. */
dh_status dh_table_read(dh_result_view *view, const char *path, dh_table *out);
void dh_table_free(dh_table *table);

uint64_t dh_table_integer(const dh_table *table, uint64_t index);
/* Appends a text, filled up with blanks to so many bytes. */
dh_status dh_table_text(const dh_table *table, uint64_t index, dh_buffer *out, int width);

#endif
