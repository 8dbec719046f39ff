#include "commands/result_columns.h"

#include "base/log.h"
#include "export/csv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Categories are held where they take no more than this; else each is read when it is wanted. */
enum { CATEGORIES_MAX = 4 << 20, COLUMNS_FIRST = 16 };

static const char codes_tail[] = "/codes";
static const char categories_tail[] = "/categories";

static void free_column(dh_result_column *column)
{
    free(column->path);
    free(column->category_path);
    dh_buffer_free(&column->categories);
    dh_buffer_free(&column->data);
}

void dh_result_columns_free(dh_result_columns *columns)
{
    for (size_t c = 0; c < columns->count; c++) {
        free_column(&columns->column[c]);
    }
    free(columns->column);
    *columns = (dh_result_columns){0};
}

static bool ends_with(const char *text, const char *tail)
{
    const size_t size = strlen(text);
    return size >= strlen(tail) && strcmp(text + size - strlen(tail), tail) == 0;
}

/* ---- which columns ------------------------------------------------------------------------------------ */

static dh_status open_categories(dh_result_view *view, dh_result_column *column)
{
    const size_t stem = strlen(column->path) - strlen(codes_tail);
    void *memory = NULL;
    DH_TRY(dh_allocate(stem + sizeof categories_tail, 1, "a path", &memory));
    column->category_path = memory;
    memcpy(column->category_path, column->path, stem);
    memcpy(column->category_path + stem, categories_tail, sizeof categories_tail);
    DH_TRY(dh_result_view_describe(view, column->category_path, DH_WANT_TEXTS, &column->category));
    column->has_all_categories = column->category.dims[0] <= CATEGORIES_MAX / column->category.text_width;
    return column->has_all_categories
               ? dh_result_view_all(view, column->category_path, &column->category, &column->categories)
               : DH_OK;
}

/* The name of "obs/lang/codes" and of "obs/lang" is "lang". */
static void set_name(dh_result_column *column)
{
    const char *slash = strchr(column->path, '/');
    column->name = slash != NULL ? slash + 1 : column->path;
    column->name_size = strlen(column->name) - (column->is_category ? strlen(codes_tail) : 0);
}

static dh_status open_column(dh_result_view *view, const char *path, dh_wanted wanted,
                             dh_result_column *column)
{
    column->path = strdup(path);
    if (column->path == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    column->is_category = ends_with(path, codes_tail);
    set_name(column);
    DH_TRY(
        dh_result_view_describe(view, path, column->is_category ? DH_WANT_INTEGERS : wanted, &column->array));
    column->elements = dh_row_elements(&column->array);
    return column->is_category ? open_categories(view, column) : DH_OK;
}

dh_status dh_result_columns_add(dh_result_columns *columns, const char *path, dh_wanted wanted, size_t *index)
{
    if (columns->count == columns->capacity) {
        const size_t capacity = columns->capacity == 0 ? COLUMNS_FIRST : 2 * columns->capacity;
        void *memory = columns->column;
        DH_TRY(dh_reallocate(capacity, sizeof *columns->column, "the columns of a result", &memory));
        columns->column = memory;
        columns->capacity = capacity;
    }
    dh_result_column column = {0};
    const dh_status status = open_column(columns->view, path, wanted, &column);
    if (status != DH_OK) {
        free_column(&column);
        return status;
    }
    if (index != NULL) {
        *index = columns->count;
    }
    columns->column[columns->count++] = column;
    return DH_OK;
}

static dh_status add_scalar(void *context, const char *path)
{
    dh_result_columns *columns = context;
    if (strncmp(path, "obs/", strlen("obs/")) != 0 || strcmp(path, "obs/_index") == 0 ||
        ends_with(path, categories_tail)) {
        return DH_OK;
    }
    for (size_t c = 0; c < columns->count; c++) {
        if (strcmp(columns->column[c].path, path) == 0) {
            return DH_OK;
        }
    }
    dh_h5_array array;
    DH_TRY(dh_h5_array_describe(columns->view->h5, path, &array));
    return array.dim_count == 1 ? dh_result_columns_add(columns, path, DH_WANT_VALUES, NULL) : DH_OK;
}

dh_status dh_result_columns_add_scalars(dh_result_columns *columns)
{
    return dh_h5_visit(columns->view->h5, add_scalar, columns);
}

dh_status dh_result_columns_find(dh_result_columns *columns, const char *path, dh_wanted wanted,
                                 size_t *index)
{
    dh_h5_array array;
    DH_TRY(dh_result_view_describe(columns->view, path, wanted, &array));
    for (size_t c = 0; c < columns->count; c++) {
        if (strcmp(columns->column[c].path, path) == 0) {
            *index = c;
            return DH_OK;
        }
    }
    return dh_error(DH_MISMATCH, "%s: %s is not among the columns", columns->view->path, path);
}

/* ---- values ------------------------------------------------------------------------------------------- */

dh_status dh_result_columns_read(dh_result_columns *columns, uint64_t first, uint64_t count)
{
    columns->rows = 0;
    for (size_t c = 0; c < columns->count; c++) {
        dh_result_column *column = &columns->column[c];
        DH_TRY(dh_result_view_rows(columns->view, column->path, first, count, &column->array, &column->data));
    }
    columns->first = first;
    columns->rows = count;
    return DH_OK;
}

dh_status dh_result_columns_reach(dh_result_columns *columns, uint64_t row, uint64_t rows)
{
    if (row >= columns->first && row - columns->first < columns->rows) {
        return DH_OK;
    }
    const uint64_t first = row / DH_BLOCK_ROWS * DH_BLOCK_ROWS;
    const uint64_t left = rows - first;
    return dh_result_columns_read(columns, first, left < DH_BLOCK_ROWS ? left : DH_BLOCK_ROWS);
}

uint64_t dh_result_columns_integer(const dh_result_columns *columns, size_t index, uint64_t row)
{
    const dh_result_column *column = &columns->column[index];
    return dh_element_integer(&column->array, column->data.data, row - columns->first);
}

const char *dh_result_columns_text(const dh_result_columns *columns, size_t index, uint64_t row, size_t *size)
{
    const dh_result_column *column = &columns->column[index];
    const char *text = (const char *)column->data.data + (row - columns->first) * column->array.text_width;
    *size = strnlen(text, column->array.text_width);
    return text;
}

static dh_status append_text(const dh_h5_array *array, const void *data, uint64_t index, dh_value_style style,
                             dh_buffer *out)
{
    if (style == DH_VALUE_JSON) {
        return dh_append_element(out, array, data, index, true);
    }
    const char *text = (const char *)data + index * array->text_width;
    return dh_csv_append_field(out, text, strnlen(text, array->text_width));
}

static dh_status append_category(dh_result_columns *columns, dh_result_column *column, uint64_t code,
                                 dh_value_style style, dh_buffer *out)
{
    if ((int64_t)code < 0) {
        return dh_buffer_printf(out, "%s", style == DH_VALUE_JSON ? "null" : "");
    }
    if (code >= column->category.dims[0]) {
        return dh_error(DH_MISMATCH, "%s: %s has the code %" PRIu64 ", but there are %" PRIu64 " categories",
                        columns->view->path, column->path, code, column->category.dims[0]);
    }
    if (column->has_all_categories) {
        return append_text(&column->category, column->categories.data, code, style, out);
    }
    if (!column->has_code || column->code != code) {
        column->has_code = false;
        DH_TRY(dh_result_view_rows(columns->view, column->category_path, code, 1, &column->category,
                                   &column->categories));
        column->code = code;
        column->has_code = true;
    }
    return append_text(&column->category, column->categories.data, 0, style, out);
}

/* Floats: as many digits as bring the same number back. */
static dh_status append_float(double value, bool single, dh_value_style style, dh_buffer *out)
{
    if (value - value != 0) { /* infinite, or no number */
        const char *name = value != value ? "nan" : (value > 0 ? "inf" : "-inf");
        return dh_buffer_printf(out, "%s", style == DH_VALUE_JSON ? "null" : name);
    }
    return dh_buffer_printf(out, single ? "%.9g" : "%.17g", value);
}

dh_status dh_result_columns_append(dh_result_columns *columns, size_t index, uint64_t row, uint64_t element,
                                   dh_value_style style, dh_buffer *out)
{
    dh_result_column *column = &columns->column[index];
    const uint64_t place = (row - columns->first) * column->elements + element;
    const void *data = column->data.data;
    if (column->is_category) {
        return append_category(columns, column, dh_element_integer(&column->array, data, place), style, out);
    }
    switch (column->array.type) {
    case DH_TEXT:
        return append_text(&column->array, data, place, style, out);
    case DH_F32:
        return append_float((double)((const float *)data)[place], true, style, out);
    case DH_F64:
        return append_float(((const double *)data)[place], false, style, out);
    default:
        return dh_append_element(out, &column->array, data, place, true);
    }
}
