/* dhatu: an array of a result, read whole: for what does not grow with documents. */
#ifndef DH_COMMANDS_RESULT_TABLE_H
#define DH_COMMANDS_RESULT_TABLE_H

#include "commands/result_view.h"

typedef struct dh_table {
    dh_h5_array array;
    dh_buffer data;
    uint64_t count; /* elements */
} dh_table;

/* Reads an array that is as wanted and has `least` elements at least. *out is zeroed or of an earlier call;
 * owner frees with dh_table_free, also after an error. Errors: DH_MISMATCH (it is missing, or is not so;
 * logged). */
dh_status dh_table_read(dh_result_view *view, const char *path, dh_wanted wanted, uint64_t least,
                        dh_table *out);
void dh_table_free(dh_table *table);

/* index is below count. */
uint64_t dh_table_integer(const dh_table *table, uint64_t index);
/* Appends a text, filled up with blanks to so many bytes. */
dh_status dh_table_text(const dh_table *table, uint64_t index, dh_buffer *out, int width);

#endif
