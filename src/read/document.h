/* dhatu: the text of a record, as a run takes it: unescaped, with U+FFFD for what is ill-formed. */
#ifndef DH_READ_DOCUMENT_H
#define DH_READ_DOCUMENT_H

#include "read/records.h"

typedef struct dh_document {
    const uint8_t *text; /* well-formed UTF-8, in the reader's window or in memory */
    size_t size;
    dh_buffer unescaped, repaired; /* memory for texts that are not in the window as they are */
} dh_document;

/* Takes the text of a record of kind DH_RECORD_DOCUMENT; valid until the reader's or this document's next
 * call. A zeroed document is ready. Errors: DH_NO_MEMORY (logged). */
dh_status dh_document_take(dh_document *document, const dh_record *record);
void dh_document_free(dh_document *document);

#endif
