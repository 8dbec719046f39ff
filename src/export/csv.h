/* dhatu: CSV as of RFC 4180: fields with commas between, lines that end in CR LF, quotes where they are
 * needed. */
#ifndef DH_EXPORT_CSV_H
#define DH_EXPORT_CSV_H

#include "base/buffer.h"

#define DH_CSV_LINE_END "\r\n"

/* Appends a field, in quotes where it has a comma, a quote or a line end. Errors: DH_NO_MEMORY (logged). */
dh_status dh_csv_append_field(dh_buffer *out, const void *text, size_t size);

#endif
