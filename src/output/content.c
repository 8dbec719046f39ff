#include "output/content.h"

#include "base/file.h"
#include "base/log.h"
#include "run/rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dh_content_free(dh_content *content)
{
    for (size_t i = 0; i < content->count; i++) {
        free(content->entry[i].path);
    }
    free(content->entry);
    *content = (dh_content){0};
}

dh_status dh_content_add(dh_content *content, const char *path, const dh_h5_array *array,
                         const uint8_t digest[DH_SHA256_SIZE])
{
    if (content->count == content->capacity) {
        const size_t capacity = content->capacity == 0 ? 64 : content->capacity * 2;
        void *memory = content->entry;
        DH_TRY(dh_reallocate(capacity, sizeof *content->entry, "the content digests", &memory));
        content->entry = memory;
        content->capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    dh_content_entry *entry = &content->entry[content->count++];
    *entry = (dh_content_entry){.path = copy, .array = *array};
    memcpy(entry->digest, digest, DH_SHA256_SIZE);
    return DH_OK;
}

void dh_content_block(const void *data, uint64_t size, uint8_t digest[DH_SHA256_SIZE])
{
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, data, size);
    dh_sha256_end(&sha, digest);
}

static uint64_t row_count(const dh_h5_array *array)
{
    return array->dim_count > 0 ? array->dims[0] : 1;
}

void dh_content_whole(const dh_h5_array *array, const void *data, uint8_t digest[DH_SHA256_SIZE])
{
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    const uint64_t rows = row_count(array);
    const uint64_t row_size = dh_h5_row_size(array);
    for (uint64_t row = 0; row < rows; row += DH_BLOCK_ROWS) {
        const uint64_t left = rows - row;
        uint8_t block[DH_SHA256_SIZE];
        dh_content_block((const char *)data + row * row_size,
                         (left < DH_BLOCK_ROWS ? left : DH_BLOCK_ROWS) * row_size, block);
        dh_sha256_update(&sha, block, sizeof block);
    }
    dh_sha256_end(&sha, digest);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const dh_content_entry *)a)->path, ((const dh_content_entry *)b)->path);
}

void dh_content_finish(dh_content *content, char hex[2 * DH_SHA256_SIZE + 1])
{
    static const char *const type_name[DH_TYPE_COUNT] = {"u8",  "u16", "u32", "u64", "i32",
                                                         "i64", "f32", "f64", "text"};
    qsort(content->entry, content->count, sizeof *content->entry, compare_entries);
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    for (size_t i = 0; i < content->count; i++) {
        const dh_content_entry *entry = &content->entry[i];
        dh_sha256_update(&sha, entry->path, strlen(entry->path) + 1);
        char shape[256];
        int size = snprintf(shape, sizeof shape, "%s %" PRIu32, type_name[entry->array.type],
                            entry->array.type == DH_TEXT ? entry->array.text_width : 0);
        for (uint32_t d = 0; d < entry->array.dim_count; d++) {
            size += snprintf(shape + size, sizeof shape - (size_t)size, " %" PRIu64, entry->array.dims[d]);
        }
        dh_sha256_update(&sha, shape, (uint64_t)size + 1);
        dh_sha256_update(&sha, entry->digest, DH_SHA256_SIZE);
    }
    uint8_t digest[DH_SHA256_SIZE];
    dh_sha256_end(&sha, digest);
    dh_hex(digest, sizeof digest, hex);
}

dh_status dh_content_put(dh_content *content, dh_h5 *h5, const char *path, const dh_h5_array *array,
                         const void *data)
{
    uint8_t digest[DH_SHA256_SIZE];
    DH_TRY(dh_h5_array_create(h5, path, array));
    if (array->dims[0] > 0) {
        DH_TRY(dh_h5_array_write(h5, path, array->type, array->text_width, data));
    }
    dh_content_whole(array, data, digest);
    return dh_content_add(content, path, array, digest);
}

/* ---- of a file --------------------------------------------------------------------------------------- */

typedef struct file_digest {
    dh_h5 *h5;
    dh_content content;
    dh_buffer block;
} file_digest;

static dh_status digest_array(dh_h5 *h5, const char *path, const dh_h5_array *array, dh_buffer *scratch,
                              uint8_t digest[DH_SHA256_SIZE])
{
    const uint64_t row_size = dh_h5_row_size(array);
    scratch->size = 0;
    DH_TRY(dh_buffer_reserve(scratch, DH_BLOCK_ROWS * row_size));
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    for (uint64_t row = 0; row < array->dims[0]; row += DH_BLOCK_ROWS) {
        const uint64_t left = array->dims[0] - row;
        const uint64_t rows = left < DH_BLOCK_ROWS ? left : DH_BLOCK_ROWS;
        DH_TRY(dh_h5_array_read(h5, path, row, rows, scratch->data));
        uint8_t block[DH_SHA256_SIZE];
        dh_content_block(scratch->data, rows * row_size, block);
        dh_sha256_update(&sha, block, sizeof block);
    }
    dh_sha256_end(&sha, digest);
    return DH_OK;
}

dh_status dh_content_of_dataset(dh_h5 *h5, const char *path, const dh_h5_array *array, dh_buffer *scratch,
                                uint8_t digest[DH_SHA256_SIZE])
{
    if (array->dim_count > 0) {
        return digest_array(h5, path, array, scratch, digest);
    }
    scratch->size = 0;
    DH_TRY(dh_h5_text_read(h5, path, scratch));
    dh_content_whole(array, scratch->data, digest);
    return DH_OK;
}

static dh_status digest_dataset(void *memory, const char *path)
{
    file_digest *context = memory;
    if (strcmp(path, DH_CONTENT_PATH) == 0) {
        return DH_OK;
    }
    dh_h5_array array;
    uint8_t digest[DH_SHA256_SIZE];
    DH_TRY(dh_h5_array_describe(context->h5, path, &array));
    DH_TRY(dh_content_of_dataset(context->h5, path, &array, &context->block, digest));
    return dh_content_add(&context->content, path, &array, digest);
}

dh_status dh_content_of_file(dh_h5 *h5, char hex[2 * DH_SHA256_SIZE + 1])
{
    file_digest context = {.h5 = h5};
    const dh_status status = dh_h5_visit(h5, digest_dataset, &context);
    if (status == DH_OK) {
        dh_content_finish(&context.content, hex);
    }
    dh_content_free(&context.content);
    dh_buffer_free(&context.block);
    return status;
}
