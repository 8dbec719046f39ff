/* dhatu: the order of all chunks, and so of all rows and values (rows.h). */
#include "run/rows.h"

#include <stdlib.h>

static int compare_entries(const void *a, const void *b)
{
    const dh_chunk_entry *left = a;
    const dh_chunk_entry *right = b;
    if (left->first_source != right->first_source) {
        return left->first_source < right->first_source ? -1 : 1;
    }
    if (left->begin != right->begin) {
        return left->begin < right->begin ? -1 : 1;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

void dh_chunk_table_order(void *entries, size_t count)
{
    dh_chunk_entry *entry = entries;
    if (count > 0) {
        qsort(entry, count, sizeof *entry, compare_entries);
    }
    uint64_t row = 0;
    uint64_t value = 0;
    uint64_t first_line = 0; /* of the range */
    uint64_t lines = 0;      /* of the range so far */
    for (size_t i = 0; i < count; i++) {
        const bool new_source = i == 0 || entry[i].first_source != entry[i - 1].first_source;
        if (new_source) {
            first_line = 0;
            lines = 0;
        } else if (entry[i].begin != entry[i - 1].begin) {
            first_line += lines;
            lines = 0;
        }
        lines += entry[i].lines;
        entry[i].first_row = row;
        entry[i].first_line = first_line;
        entry[i].first_value = value;
        row += entry[i].rows;
        value += entry[i].value_count;
    }
}

dh_chunk_table dh_chunk_table_view(const void *entries, size_t bytes)
{
    dh_chunk_table table = {.entry = entries, .count = bytes / sizeof(dh_chunk_entry)};
    if (table.count > 0) {
        const dh_chunk_entry *last = &table.entry[table.count - 1];
        table.rows = last->first_row + last->rows;
        table.values = last->first_value + last->value_count;
    }
    return table;
}
