#include "commands/result_view.h"

#include "base/log.h"
#include "options/options.h"
#include "read/json.h"
#include "run/rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static dh_status missing(const dh_result_view *view, const char *path)
{
    return dh_error(DH_MISMATCH, "%s: %s is missing", view->path, path);
}

static dh_status read_head_text(dh_result_view *view, const char *path, dh_buffer *out)
{
    return dh_h5_has(view->h5, path) ? dh_h5_text_read(view->h5, path, out) : missing(view, path);
}

static dh_status read_head(dh_result_view *view)
{
    if (!dh_h5_has(view->h5, "uns/dhatu/versions/format")) {
        return dh_error(DH_MISMATCH, "%s: no dhatu result: it has no uns/dhatu/versions/format", view->path);
    }
    DH_TRY(dh_h5_text_read(view->h5, "uns/dhatu/versions/format", &view->format));
    DH_TRY(read_head_text(view, "uns/dhatu/versions/dhatu", &view->version));
    if (strncmp((const char *)view->format.data, "1.", 2) != 0) {
        return dh_error(DH_MISMATCH, "%s: format %s, but this dhatu reads format 1; use dhatu %s", view->path,
                        (const char *)view->format.data, (const char *)view->version.data);
    }
    DH_TRY(read_head_text(view, "uns/dhatu/config", &view->config));
    DH_TRY(read_head_text(view, "uns/dhatu/content_sha256", &view->content));
    dh_h5_array array;
    DH_TRY(dh_result_view_describe(view, "obs/_index", DH_WANT_TEXTS, &array));
    view->rows = array.dims[0];
    DH_TRY(dh_result_view_describe(view, "uns/dhatu/sources/_index", DH_WANT_TEXTS, &array));
    view->sources = array.dims[0];
    return DH_OK;
}

dh_status dh_result_view_open(const char *path, dh_result_view *out)
{
    *out = (dh_result_view){.path = path};
    DH_TRY(dh_h5_open(path, false, &out->h5));
    const dh_status status = read_head(out);
    if (status != DH_OK) {
        dh_result_view_close(out);
    }
    return status;
}

void dh_result_view_close(dh_result_view *view)
{
    (void)dh_h5_close(view->h5);
    view->h5 = NULL;
    dh_buffer_free(&view->config);
    dh_buffer_free(&view->content);
    dh_buffer_free(&view->version);
    dh_buffer_free(&view->format);
}

/* ---- arrays ------------------------------------------------------------------------------------------- */

uint64_t dh_row_elements(const dh_h5_array *array)
{
    uint64_t elements = 1;
    for (uint32_t d = 1; d < array->dim_count; d++) {
        elements *= array->dims[d];
    }
    return elements;
}

static uint64_t element_size(const dh_h5_array *array)
{
    return array->type == DH_TEXT ? array->text_width : dh_type_size(array->type);
}

static dh_status describe(dh_result_view *view, const char *path, dh_h5_array *array)
{
    if (!dh_h5_has(view->h5, path)) {
        return missing(view, path);
    }
    DH_TRY(dh_h5_array_describe(view->h5, path, array));
    if (array->dim_count == 0) {
        return dh_error(DH_MISMATCH, "%s: %s is a scalar, but an array was expected", view->path, path);
    }
    uint64_t size = element_size(array);
    for (uint32_t d = 1; d < array->dim_count; d++) {
        if (__builtin_mul_overflow(size, array->dims[d], &size)) {
            return dh_error(DH_MISMATCH, "%s: the rows of %s are larger than can be", view->path, path);
        }
    }
    return DH_OK;
}

dh_status dh_result_view_describe(dh_result_view *view, const char *path, dh_wanted wanted,
                                  dh_h5_array *array)
{
    static const char *const name[] = {[DH_WANT_INTEGERS] = "list of integers",
                                       [DH_WANT_TEXTS] = "list of texts",
                                       [DH_WANT_VALUES] = "list",
                                       [DH_WANT_INTEGER_ROWS] = "array of integers",
                                       [DH_WANT_ROWS] = "array with anything in its rows"};
    DH_TRY(describe(view, path, array));
    const bool is_list = array->dim_count == 1;
    const bool is_text = array->type == DH_TEXT;
    const bool is_integer = !is_text && array->type != DH_F32 && array->type != DH_F64;
    const bool is_filled = dh_h5_row_size(array) > 0;
    const bool good[] = {[DH_WANT_INTEGERS] = is_list && is_integer,
                         [DH_WANT_TEXTS] = is_list && is_text,
                         [DH_WANT_VALUES] = is_list,
                         [DH_WANT_INTEGER_ROWS] = is_integer,
                         [DH_WANT_ROWS] = true};
    return is_filled && good[wanted]
               ? DH_OK
               : dh_error(DH_MISMATCH, "%s: %s is no %s", view->path, path, name[wanted]);
}

dh_status dh_result_view_rows(dh_result_view *view, const char *path, uint64_t first, uint64_t rows,
                              dh_h5_array *array, dh_buffer *out)
{
    uint64_t size = 0;
    DH_TRY(describe(view, path, array));
    if (__builtin_mul_overflow(rows, dh_h5_row_size(array), &size)) {
        return dh_error(DH_MISMATCH, "%s: %s is larger than can be", view->path, path);
    }
    out->size = 0;
    DH_TRY(dh_buffer_reserve(out, size));
    DH_TRY(dh_h5_array_read(view->h5, path, first, rows, out->data));
    out->size = size;
    return DH_OK;
}

dh_status dh_result_view_all(dh_result_view *view, const char *path, dh_h5_array *array, dh_buffer *out)
{
    DH_TRY(describe(view, path, array));
    return dh_result_view_rows(view, path, 0, array->dims[0], array, out);
}

/* ---- elements ----------------------------------------------------------------------------------------- */

uint64_t dh_element_integer(const dh_h5_array *array, const void *data, uint64_t index)
{
    uint64_t value = 0;
    const size_t size = dh_type_size(array->type);
    memcpy(&value, (const char *)data + index * size, size); /* little-endian, as the file */
    if (array->type == DH_I32) {
        value = (uint64_t)(int64_t)(int32_t)value;
    }
    return value;
}

dh_status dh_append_element(dh_buffer *out, const dh_h5_array *array, const void *data, uint64_t index,
                            bool json)
{
    if (array->type == DH_TEXT) {
        const char *text = (const char *)data + index * array->text_width;
        const size_t size = strnlen(text, array->text_width);
        return json ? dh_json_append_string(out, text, size) : dh_buffer_append(out, text, size);
    }
    if (array->type == DH_F32) {
        return dh_buffer_printf(out, json ? "%.9g" : "%.6g", (double)((const float *)data)[index]);
    }
    if (array->type == DH_F64) {
        return dh_buffer_printf(out, json ? "%.17g" : "%.6g", ((const double *)data)[index]);
    }
    const uint64_t value = dh_element_integer(array, data, index);
    return array->type == DH_I32 || array->type == DH_I64 ? dh_buffer_printf(out, "%" PRId64, (int64_t)value)
                                                          : dh_buffer_printf(out, "%" PRIu64, value);
}

dh_status dh_result_view_integer(dh_result_view *view, const char *path, uint64_t row, uint64_t *out)
{
    dh_h5_array array;
    dh_buffer data = {0};
    DH_TRY(dh_result_view_describe(view, path, DH_WANT_INTEGERS, &array));
    const dh_status status = dh_result_view_rows(view, path, row, 1, &array, &data);
    if (status == DH_OK) {
        *out = dh_element_integer(&array, data.data, 0);
    }
    dh_buffer_free(&data);
    return status;
}

dh_status dh_result_view_text(dh_result_view *view, const char *path, uint64_t row, dh_buffer *out)
{
    dh_h5_array array;
    dh_buffer data = {0};
    DH_TRY(dh_result_view_describe(view, path, DH_WANT_TEXTS, &array));
    dh_status status = dh_result_view_rows(view, path, row, 1, &array, &data);
    if (status == DH_OK) {
        status = dh_append_element(out, &array, data.data, 0, false);
    }
    if (status == DH_OK) {
        status = dh_buffer_reserve(out, 1);
    }
    if (status == DH_OK) {
        out->data[out->size] = '\0';
    }
    dh_buffer_free(&data);
    return status;
}

/* ---- documents ---------------------------------------------------------------------------------------- */

dh_status dh_result_view_id(dh_result_view *view, uint64_t row, dh_buffer *out)
{
    return dh_result_view_text(view, "obs/_index", row, out);
}

static dh_status find_id(dh_result_view *view, const char *id, uint64_t *row)
{
    const size_t size = strlen(id);
    dh_h5_array array;
    dh_buffer data = {0};
    dh_status status = DH_OK;
    bool found = false;
    for (uint64_t first = 0; first < view->rows && status == DH_OK && !found; first += DH_BLOCK_ROWS) {
        const uint64_t count = view->rows - first < DH_BLOCK_ROWS ? view->rows - first : DH_BLOCK_ROWS;
        status = dh_result_view_rows(view, "obs/_index", first, count, &array, &data);
        for (uint64_t i = 0; status == DH_OK && i < count && !found; i++) {
            const char *text = (const char *)data.data + i * array.text_width;
            if (strnlen(text, array.text_width) == size && memcmp(text, id, size) == 0) {
                *row = first + i;
                found = true;
            }
        }
    }
    dh_buffer_free(&data);
    if (status == DH_OK && !found) {
        return dh_error(DH_USAGE, "%s: no document has the id %s", view->path, id);
    }
    return status;
}

dh_status dh_result_view_find(dh_result_view *view, const char *id, uint64_t *row)
{
    uint64_t number = 0;
    if (id[0] == '#' && dh_parse_size(id + 1, false, &number)) {
        if (number >= view->rows) {
            return dh_error(DH_USAGE, "%s: there is no row %" PRIu64 ", the result has %" PRIu64 " documents",
                            view->path, number, view->rows);
        }
        *row = number;
        return DH_OK;
    }
    return find_id(view, id, row);
}
