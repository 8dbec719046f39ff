/* dhatu inspect: what a result holds, for a person or as JSON. */
#include "commands/inspect.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/result_table.h"
#include "commands/result_view.h"
#include "read/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    JSON_ELEMENTS_MAX = 20000, /* of a corpus-level array; larger ones are left to HDF5 tools */
    SHOWN_SOURCES = 10,
    LANGUAGE_SUMS = 3, /* documents, bytes, tokens */
    BAR_WIDTH = 30
};

/* ---- one document ------------------------------------------------------------------------------------ */

typedef struct document_printer {
    dh_result_view *view;
    dh_buffer *out;
    uint64_t row;
    bool json;
    uint32_t printed;
} document_printer;

/* A member's name in JSON; paths may have any bytes. */
static dh_status append_name(dh_buffer *out, bool is_next, const char *name, size_t size)
{
    DH_TRY(dh_buffer_append(out, ",", is_next ? 1 : 0));
    DH_TRY(dh_json_append_string(out, name, size));
    return dh_buffer_append(out, ":", 1);
}

/* A categorical shows the category's name. */
static dh_status append_category(document_printer *printer, const char *codes_path)
{
    dh_h5_array array;
    dh_buffer data = {0};
    char path[256];
    uint64_t code = 0;
    DH_TRY(dh_result_view_integer(printer->view, codes_path, printer->row, &code));
    (void)snprintf(path, sizeof path, "%.*scategories", (int)(strlen(codes_path) - strlen("codes")),
                   codes_path);
    DH_TRY(dh_result_view_describe(printer->view, path, DH_WANT_TEXTS, &array));
    dh_status status = dh_result_view_rows(printer->view, path, code, 1, &array, &data);
    if (status == DH_OK) {
        status = dh_append_element(printer->out, &array, data.data, 0, printer->json);
    }
    dh_buffer_free(&data);
    return status;
}

static dh_status append_row(document_printer *printer, const char *path)
{
    dh_h5_array array;
    dh_buffer data = {0};
    dh_status status = dh_result_view_rows(printer->view, path, printer->row, 1, &array, &data);
    const uint64_t count = status == DH_OK ? dh_row_elements(&array) : 0;
    const bool list = status == DH_OK && array.dim_count > 1;
    if (status == DH_OK && list && printer->json) {
        status = dh_buffer_printf(printer->out, "[");
    }
    for (uint64_t i = 0; i < count && status == DH_OK; i++) {
        status = dh_buffer_printf(printer->out, "%s", i == 0 ? "" : (printer->json ? "," : " "));
        if (status == DH_OK) {
            status = dh_append_element(printer->out, &array, data.data, i, printer->json);
        }
    }
    if (status == DH_OK && list && printer->json) {
        status = dh_buffer_printf(printer->out, "]");
    }
    dh_buffer_free(&data);
    return status;
}

/* "obs/lang/codes" is column obs/lang. */
static dh_status print_column(void *context, const char *path)
{
    document_printer *printer = context;
    const char *tail = strrchr(path, '/');
    if ((strncmp(path, "obs/", 4) != 0 && strncmp(path, "obsm/", 5) != 0) ||
        strcmp(tail, "/categories") == 0) {
        return DH_OK;
    }
    const bool category = strcmp(tail, "/codes") == 0;
    const int size = (int)(category ? strlen(path) - strlen("/codes") : strlen(path));
    DH_TRY(printer->json ? append_name(printer->out, printer->printed > 0, path, (size_t)size)
                         : dh_buffer_printf(printer->out, "%-*.*s ", 24, size, path));
    printer->printed++;
    DH_TRY(category ? append_category(printer, path) : append_row(printer, path));
    return printer->json ? DH_OK : dh_buffer_printf(printer->out, "\n");
}

static dh_status inspect_document(dh_result_view *view, const char *id, bool json, dh_buffer *out)
{
    document_printer printer = {.view = view, .out = out, .json = json};
    DH_TRY(dh_result_view_find(view, id, &printer.row));
    DH_TRY(dh_buffer_printf(out, json ? "{\"row\":%" PRIu64 "," : "row                      %" PRIu64 "\n",
                            printer.row));
    DH_TRY(dh_h5_visit(view->h5, print_column, &printer));
    return json ? dh_buffer_printf(out, "}\n") : DH_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------- */

typedef struct array_printer {
    dh_result_view *view;
    dh_buffer *out;
    uint32_t printed;
} array_printer;

static dh_status append_nested(dh_buffer *out, const dh_h5_array *array, const void *data, uint32_t depth,
                               uint64_t *index)
{
    if (depth >= array->dim_count || depth >= DH_H5_DIMS_MAX) {
        return dh_append_element(out, array, data, (*index)++, true);
    }
    DH_TRY(dh_buffer_printf(out, "["));
    for (uint64_t i = 0; i < array->dims[depth]; i++) {
        DH_TRY(dh_buffer_printf(out, "%s", i > 0 ? "," : ""));
        DH_TRY(append_nested(out, array, data, depth + 1, index));
    }
    return dh_buffer_printf(out, "]");
}

static dh_status print_result_array(void *context, const char *path)
{
    static const char prefix[] = "uns/dhatu/";
    array_printer *printer = context;
    if (strncmp(path, prefix, strlen(prefix)) != 0) {
        return DH_OK;
    }
    dh_h5_array array;
    dh_buffer data = {0};
    DH_TRY(dh_h5_array_describe(printer->view->h5, path, &array));
    bool is_small = array.dim_count > 0;
    uint64_t brackets = 1; /* an array of many empty rows is large, too */
    for (uint32_t d = 0; d < array.dim_count && is_small; d++) {
        is_small = array.dims[d] <= JSON_ELEMENTS_MAX;
        brackets *= is_small && array.dims[d] > 0 ? array.dims[d] : 1;
        is_small = is_small && brackets <= JSON_ELEMENTS_MAX;
    }
    if (!is_small) {
        return DH_OK;
    }
    dh_status status = dh_result_view_all(printer->view, path, &array, &data);
    if (status == DH_OK) {
        status = append_name(printer->out, printer->printed++ > 0, path + strlen(prefix),
                             strlen(path) - strlen(prefix));
    }
    uint64_t index = 0;
    if (status == DH_OK) {
        status = append_nested(printer->out, &array, data.data, 0, &index);
    }
    dh_buffer_free(&data);
    return status;
}

static dh_status print_dataset(void *context, const char *path)
{
    static const char *const type[DH_TYPE_COUNT] = {"uint8", "uint16",  "uint32",  "uint64", "int32",
                                                    "int64", "float32", "float64", "text"};
    array_printer *printer = context;
    dh_h5_array array;
    dh_buffer text = {0};
    DH_TRY(dh_h5_array_describe(printer->view->h5, path, &array));
    DH_TRY(dh_buffer_printf(printer->out, "%s{\"path\":", printer->printed++ > 0 ? "," : ""));
    DH_TRY(dh_json_append_string(printer->out, path, strlen(path)));
    DH_TRY(dh_buffer_printf(printer->out, ",\"type\":\"%s\",\"shape\":[", type[array.type]));
    for (uint32_t d = 0; d < array.dim_count; d++) {
        DH_TRY(dh_buffer_printf(printer->out, "%s%" PRIu64, d > 0 ? "," : "", array.dims[d]));
    }
    dh_status status = dh_buffer_printf(printer->out, "],\"description\":");
    if (status == DH_OK) {
        status = dh_h5_attribute_read(printer->view->h5, path, "description", &text);
    }
    if (status == DH_OK) {
        status = dh_json_append_string(printer->out, text.data, text.size);
    }
    if (status == DH_OK) {
        status = dh_buffer_printf(printer->out, "}");
    }
    dh_buffer_free(&text);
    return status;
}

static dh_status inspect_json(dh_result_view *view, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out,
                            "{\"dhatu\":\"%s\",\"format\":\"%s\",\"documents\":%" PRIu64
                            ",\"sources\":%" PRIu64 ",\"content_sha256\":\"%s\",\"config\":%s,\"results\":{",
                            (const char *)view->version.data, (const char *)view->format.data, view->rows,
                            view->sources, (const char *)view->content.data,
                            (const char *)view->config.data));
    array_printer printer = {.view = view, .out = out};
    DH_TRY(dh_h5_visit(view->h5, print_result_array, &printer));
    DH_TRY(dh_buffer_printf(out, "},\"datasets\":["));
    printer.printed = 0;
    DH_TRY(dh_h5_visit(view->h5, print_dataset, &printer));
    return dh_buffer_printf(out, "]}\n");
}

/* ---- summary ----------------------------------------------------------------------------------------- */

static dh_status summarise_languages(dh_result_view *view, dh_buffer *out)
{
    dh_table name = {0};
    dh_table sums = {0};
    dh_status status = dh_table_read(view, "uns/dhatu/documents/language", DH_WANT_TEXTS, 0, &name);
    if (status == DH_OK) {
        status = dh_table_read(view, "uns/dhatu/documents/by_language", DH_WANT_INTEGER_ROWS,
                               LANGUAGE_SUMS * name.count, &sums);
    }
    if (status == DH_OK) {
        status =
            dh_buffer_printf(out, "\nLanguages             documents        MB of text            tokens\n");
    }
    for (uint64_t l = 0; status == DH_OK && l < name.count; l++) {
        status = dh_buffer_printf(out, "  ");
        if (status == DH_OK) {
            status = dh_table_text(&name, l, out, 14);
        }
        if (status == DH_OK) {
            status = dh_buffer_printf(out, "%15" PRIu64 " %17.2f %17" PRIu64 "\n",
                                      dh_table_integer(&sums, LANGUAGE_SUMS * l),
                                      (double)dh_table_integer(&sums, LANGUAGE_SUMS * l + 1) / 1e6,
                                      dh_table_integer(&sums, LANGUAGE_SUMS * l + 2));
        }
    }
    dh_table_free(&name);
    dh_table_free(&sums);
    return status;
}

static dh_status summarise_quality(dh_result_view *view, dh_buffer *out)
{
    dh_table name = {0};
    dh_table records = {0};
    dh_table bytes = {0};
    dh_status status = dh_table_read(view, "uns/dhatu/quality/_index", DH_WANT_TEXTS, 0, &name);
    if (status == DH_OK) {
        status = dh_table_read(view, "uns/dhatu/quality/records", DH_WANT_INTEGERS, name.count, &records);
    }
    if (status == DH_OK) {
        status = dh_table_read(view, "uns/dhatu/quality/bytes", DH_WANT_INTEGERS, name.count, &bytes);
    }
    if (status == DH_OK) {
        status = dh_buffer_printf(out, "\nRecords                   number         MB of source\n");
    }
    for (uint64_t r = 0; status == DH_OK && r < name.count; r++) {
        if (dh_table_integer(&records, r) == 0) {
            continue;
        }
        status = dh_buffer_printf(out, "  ");
        if (status == DH_OK) {
            status = dh_table_text(&name, r, out, 24);
        }
        if (status == DH_OK) {
            status = dh_buffer_printf(out, " %5" PRIu64 " %20.2f\n", dh_table_integer(&records, r),
                                      (double)dh_table_integer(&bytes, r) / 1e6);
        }
    }
    dh_table_free(&name);
    dh_table_free(&records);
    dh_table_free(&bytes);
    return status;
}

static dh_status read_first(dh_result_view *view, const char *path, dh_wanted wanted, uint64_t count,
                            dh_table *out)
{
    DH_TRY(dh_result_view_describe(view, path, wanted, &out->array));
    out->count = count;
    return dh_result_view_rows(view, path, 0, count, &out->array, &out->data);
}

static dh_status summarise_sources(dh_result_view *view, dh_buffer *out)
{
    const uint64_t shown = view->sources < SHOWN_SOURCES ? view->sources : SHOWN_SOURCES;
    dh_table name = {0};
    dh_table documents = {0};
    dh_table bytes = {0};
    dh_status status = read_first(view, "uns/dhatu/sources/_index", DH_WANT_TEXTS, shown, &name);
    if (status == DH_OK) {
        status = read_first(view, "uns/dhatu/sources/documents", DH_WANT_INTEGERS, shown, &documents);
    }
    if (status == DH_OK) {
        status = read_first(view, "uns/dhatu/sources/bytes", DH_WANT_INTEGERS, shown, &bytes);
    }
    if (status == DH_OK) {
        status = dh_buffer_printf(out, "\nSources (%" PRIu64 ")            documents               MB\n",
                                  view->sources);
    }
    for (uint64_t s = 0; status == DH_OK && s < shown; s++) {
        status = dh_buffer_printf(out, "  %10" PRIu64 " %16.2f  ", dh_table_integer(&documents, s),
                                  (double)dh_table_integer(&bytes, s) / 1e6);
        if (status == DH_OK) {
            status = dh_table_text(&name, s, out, 0);
        }
        if (status == DH_OK) {
            status = dh_buffer_printf(out, "\n");
        }
    }
    if (status == DH_OK && shown < view->sources) {
        status = dh_buffer_printf(out, "  and %" PRIu64 " more\n", view->sources - shown);
    }
    dh_table_free(&name);
    dh_table_free(&documents);
    dh_table_free(&bytes);
    return status;
}

static dh_status append_top_id(dh_result_view *view, const dh_table *top, uint64_t category, dh_buffer *out)
{
    const int64_t row = (int64_t)dh_table_integer(top, category * dh_row_elements(&top->array));
    if (row < 0) {
        return dh_buffer_printf(out, "-\n");
    }
    DH_TRY(dh_result_view_id(view, (uint64_t)row, out));
    return dh_buffer_printf(out, "\n");
}

/* A line a category: units, share with a bar, part that is negative, the document with most of it. */
static dh_status append_category_line(dh_result_view *view, const dh_table *name, const dh_table *totals,
                                      const dh_table *top, uint64_t c, dh_buffer *out)
{
    const uint64_t count = name->count;
    uint64_t all = 0;
    for (uint64_t i = 0; i < 2 * count; i++) {
        all += dh_table_integer(totals, i);
    }
    const uint64_t negative = dh_table_integer(totals, count + c);
    const uint64_t units = dh_table_integer(totals, c) + negative;
    const double share = all > 0 ? (double)units / (double)all : 0.0;
    const double turned = units > 0 ? (double)negative / (double)units : 0.0;
    const int bar = (int)(share * BAR_WIDTH + 0.5);
    DH_TRY(dh_buffer_printf(out, "  "));
    DH_TRY(dh_table_text(name, c, out, 10));
    DH_TRY(dh_buffer_printf(out, " %6.2f %% %5.1f %% negative  %-*.*s ", 100.0 * share, 100.0 * turned,
                            BAR_WIDTH / 2, bar < BAR_WIDTH / 2 ? bar : BAR_WIDTH / 2,
                            "##############################"));
    return append_top_id(view, top, c, out);
}

static dh_status summarise_profile(dh_result_view *view, dh_buffer *out)
{
    if (!dh_h5_has(view->h5, "uns/dhatu/profile/totals")) {
        return DH_OK;
    }
    dh_table name = {0};
    dh_table totals = {0};
    dh_table top = {0};
    dh_status status = dh_table_read(view, "uns/dhatu/profile/categories", DH_WANT_TEXTS, 0, &name);
    if (status == DH_OK) {
        status =
            dh_table_read(view, "uns/dhatu/profile/totals", DH_WANT_INTEGER_ROWS, 2 * name.count, &totals);
    }
    if (status == DH_OK) {
        status = dh_table_read(view, "uns/dhatu/profile/top_row", DH_WANT_INTEGER_ROWS, name.count, &top);
    }
    if (status == DH_OK && top.array.dims[0] < name.count) {
        status = dh_error(DH_MISMATCH, "%s: uns/dhatu/profile/top_row has too few rows", view->path);
    }
    if (status == DH_OK) {
        status = dh_buffer_printf(
            out, "\nProfile of the corpus, and the document with the highest density of each category\n");
    }
    for (uint64_t c = 0; status == DH_OK && c < name.count; c++) {
        status = append_category_line(view, &name, &totals, &top, c, out);
    }
    dh_table_free(&name);
    dh_table_free(&totals);
    dh_table_free(&top);
    return status;
}

static dh_status inspect_summary(dh_result_view *view, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "%s: written by dhatu %s, format %s\n", view->path,
                            (const char *)view->version.data, (const char *)view->format.data));
    DH_TRY(dh_buffer_printf(out, "%" PRIu64 " documents of %" PRIu64 " sources, content %s\n", view->rows,
                            view->sources, (const char *)view->content.data));
    DH_TRY(summarise_languages(view, out));
    DH_TRY(summarise_quality(view, out));
    DH_TRY(summarise_sources(view, out));
    DH_TRY(summarise_profile(view, out));
    DH_TRY(dh_inspect_corpus(view, out));
    return dh_buffer_printf(out, "\nOptions: %s\n", (const char *)view->config.data);
}

dh_status dh_command_inspect(const dh_options *options)
{
    if (options->argument_count != 1) {
        return dh_error(DH_USAGE, "inspect needs one result (dhatu inspect --help)");
    }
    dh_result_view view;
    dh_buffer out = {0};
    DH_TRY(dh_result_view_open(options->argument[0], &view));
    const char *document = dh_options_text(options, DH_OPTION_DOC);
    const bool json = dh_options_flag(options, DH_OPTION_JSON);
    dh_status status = DH_OK;
    if (document != NULL) {
        status = inspect_document(&view, document, json, &out);
    } else {
        status = json ? inspect_json(&view, &out) : inspect_summary(&view, &out);
    }
    if (status == DH_OK) {
        status = dh_print(&out);
    }
    dh_buffer_free(&out);
    dh_result_view_close(&view);
    return status;
}
