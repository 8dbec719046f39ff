#include "read/document.h"

#include "text/utf8.h"

void dh_document_free(dh_document *document)
{
    dh_buffer_free(&document->unescaped);
    dh_buffer_free(&document->repaired);
    *document = (dh_document){0};
}

dh_status dh_document_take(dh_document *document, const dh_record *record)
{
    const dh_json_value *value = &record->value[DH_FIELD_TEXT];
    uint64_t replaced = 0;
    const uint8_t *text = value->text;
    size_t size = value->size;
    if (value->has_escapes) {
        document->unescaped.size = 0;
        DH_TRY(dh_buffer_reserve(&document->unescaped, value->size));
        text = document->unescaped.data;
        size = dh_json_unescape(value, document->unescaped.data, &replaced);
    }
    if (dh_utf8_valid_prefix(text, size) < size) {
        document->repaired.size = 0;
        DH_TRY(dh_utf8_repair(text, size, &document->repaired, &replaced));
        text = document->repaired.data;
        size = document->repaired.size;
    }
    document->text = text;
    document->size = size;
    return DH_OK;
}
