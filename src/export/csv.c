#include "export/csv.h"

#include <string.h>

static int needs_quotes(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == ',' || text[i] == '"' || text[i] == '\r' || text[i] == '\n') {
            return 1;
        }
    }
    return 0;
}

dh_status dh_csv_append_field(dh_buffer *out, const void *text, size_t size)
{
    const char *from = text;
    if (!needs_quotes(from, size)) {
        return dh_buffer_append(out, from, size);
    }
    DH_TRY(dh_buffer_append(out, "\"", 1));
    while (size > 0) {
        const char *quote = memchr(from, '"', size);
        const size_t piece = quote != NULL ? (size_t)(quote - from) + 1 : size;
        DH_TRY(dh_buffer_append(out, from, piece));
        if (quote != NULL) {
            DH_TRY(dh_buffer_append(out, "\"", 1));
        }
        from += piece;
        size -= piece;
    }
    return dh_buffer_append(out, "\"", 1);
}
