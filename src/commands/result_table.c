#include "commands/result_table.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

dh_status dh_table_read(dh_result_view *view, const char *path, dh_wanted wanted, uint64_t least,
                        dh_table *out)
{
    DH_TRY(dh_result_view_describe(view, path, wanted, &out->array));
    DH_TRY(dh_result_view_all(view, path, &out->array, &out->data));
    out->count = out->array.dims[0] * dh_row_elements(&out->array); /* their bytes fit in memory */
    return out->count >= least
               ? DH_OK
               : dh_error(DH_MISMATCH, "%s: %s has %" PRIu64 " elements, but %" PRIu64 " were expected",
                          view->path, path, out->count, least);
}

uint64_t dh_table_integer(const dh_table *table, uint64_t index)
{
    return dh_element_integer(&table->array, table->data.data, index);
}

dh_status dh_table_text(const dh_table *table, uint64_t index, dh_buffer *out, int width)
{
    const char *text = (const char *)table->data.data + index * table->array.text_width;
    return dh_buffer_printf(out, "%-*.*s", width, (int)strnlen(text, table->array.text_width), text);
}

void dh_table_free(dh_table *table)
{
    dh_buffer_free(&table->data);
}
