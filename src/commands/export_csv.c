/* dhatu export --csv: tables of a result as CSV, in blocks of rows. */
#include "base/file.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/export.h"
#include "export/csv.h"

#include <inttypes.h>
#include <string.h>

typedef struct csv_table csv_table;

/* Adds the columns of a table. Errors: DH_USAGE (the result does not have it; logged), those of columns_add.
 */
typedef dh_status table_opener(csv_table *table);
/* Is the row in the table? */
typedef bool table_filter(const csv_table *table, uint64_t row);

typedef struct table_kind {
    const char *name;
    table_opener *open;
    table_filter *has; /* NULL: all rows */
    bool of_documents; /* else of the terms of the vocabulary */
} table_kind;

struct csv_table {
    const table_kind *kind;
    dh_result_columns columns;
    dh_h5_array category; /* profiles: names of the elements of the profile */
    dh_buffer categories;
    size_t cluster, exact, against; /* clusters */
    bool has_against;
};

/* ---- tables ------------------------------------------------------------------------------------------- */

static dh_status need(const csv_table *table, const char *path, const char *job)
{
    const dh_result_view *view = table->columns.view;
    return dh_h5_has(view->h5, path) ? DH_OK
                                     : dh_error(DH_USAGE, "%s: has no %s: it was made without job %s",
                                                view->path, table->kind->name, job);
}

typedef struct named_column {
    const char *path;
    dh_wanted wanted;
} named_column;

static dh_status add_all(csv_table *table, const named_column *column, size_t count)
{
    for (size_t c = 0; c < count; c++) {
        DH_TRY(dh_result_columns_add(&table->columns, column[c].path, column[c].wanted, NULL));
    }
    return DH_OK;
}

static dh_status add_document_columns(csv_table *table)
{
    static const named_column column[] = {{"obs/_index", DH_WANT_TEXTS},
                                          {"obs/source/codes", DH_WANT_INTEGERS},
                                          {"obs/record", DH_WANT_INTEGERS},
                                          {"obs/lang/codes", DH_WANT_INTEGERS},
                                          {"obs/tokens", DH_WANT_INTEGERS}};
    return add_all(table, column, sizeof column / sizeof *column);
}

static dh_status open_documents(csv_table *table)
{
    DH_TRY(add_document_columns(table));
    return dh_result_columns_add_scalars(&table->columns);
}

static dh_status open_profiles(csv_table *table)
{
    static const named_column column[] = {{"obs/matched", DH_WANT_VALUES},
                                          {"obs/coverage", DH_WANT_VALUES},
                                          {"obs/ambiguity", DH_WANT_VALUES},
                                          {"obs/variance", DH_WANT_VALUES}};
    dh_result_view *view = table->columns.view;
    size_t profile = 0;
    DH_TRY(need(table, "obsm/dhatu", "profile"));
    DH_TRY(add_document_columns(table));
    DH_TRY(add_all(table, column, sizeof column / sizeof *column));
    DH_TRY(dh_result_columns_add(&table->columns, "obsm/dhatu", DH_WANT_ROWS, &profile));
    DH_TRY(dh_result_view_describe(view, "uns/dhatu/profile/categories", DH_WANT_TEXTS, &table->category));
    DH_TRY(dh_result_view_all(view, "uns/dhatu/profile/categories", &table->category, &table->categories));
    return table->category.dims[0] == table->columns.column[profile].elements
               ? DH_OK
               : dh_error(DH_MISMATCH, "%s: obsm/dhatu has not as many columns as there are categories",
                          view->path);
}

static dh_status open_clusters(csv_table *table)
{
    static const named_column column[] = {{"obs/dup_size", DH_WANT_INTEGERS},
                                          {"obs/dup_keep", DH_WANT_INTEGERS}};
    DH_TRY(need(table, "obs/dup_cluster", "neardup"));
    DH_TRY(add_document_columns(table));
    DH_TRY(dh_result_columns_add(&table->columns, "obs/dup_exact", DH_WANT_INTEGERS, &table->exact));
    DH_TRY(dh_result_columns_add(&table->columns, "obs/dup_cluster", DH_WANT_INTEGERS, &table->cluster));
    DH_TRY(add_all(table, column, sizeof column / sizeof *column));
    table->has_against = dh_h5_has(table->columns.view->h5, "obs/dup_against");
    return table->has_against
               ? dh_result_columns_add(&table->columns, "obs/dup_against", DH_WANT_TEXTS, &table->against)
               : DH_OK;
}

/* Documents that duplicate another one. */
static bool is_in_cluster(const csv_table *table, uint64_t row)
{
    size_t size = 0;
    if (table->has_against) {
        (void)dh_result_columns_text(&table->columns, table->against, row, &size);
    }
    return size > 0 || (int64_t)dh_result_columns_integer(&table->columns, table->cluster, row) >= 0 ||
           (int64_t)dh_result_columns_integer(&table->columns, table->exact, row) >= 0;
}

static dh_status open_vocabulary(csv_table *table)
{
    static const named_column column[] = {{"uns/dhatu/vocab/term", DH_WANT_TEXTS},
                                          {"uns/dhatu/vocab/frequency", DH_WANT_INTEGERS},
                                          {"uns/dhatu/vocab/documents", DH_WANT_INTEGERS}};
    DH_TRY(need(table, column[0].path, "vocab"));
    return add_all(table, column, sizeof column / sizeof *column);
}

static const table_kind kinds[] = {
    {"profiles", open_profiles, NULL, true},
    {"clusters", open_clusters, is_in_cluster, true},
    {"vocabulary", open_vocabulary, NULL, false},
    {"documents", open_documents, NULL, true},
};

/* ---- lines -------------------------------------------------------------------------------------------- */

static dh_status append_names(const csv_table *table, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "%s", table->kind->of_documents ? "row" : ""));
    for (size_t c = 0; c < table->columns.count; c++) {
        const dh_result_column *column = &table->columns.column[c];
        const bool profile = table->categories.size > 0 && strcmp(column->path, "obsm/dhatu") == 0;
        const char *tail = strrchr(column->path, '/') + 1;
        for (uint64_t e = 0; e < column->elements; e++) {
            DH_TRY(dh_buffer_printf(out, "%s", out->size > 0 ? "," : ""));
            if (profile) {
                const char *name = (const char *)table->categories.data + e * table->category.text_width;
                DH_TRY(dh_csv_append_field(out, name, strnlen(name, table->category.text_width)));
            } else if (!table->kind->of_documents) {
                DH_TRY(dh_csv_append_field(out, tail, strlen(tail)));
            } else if (strcmp(column->path, "obs/_index") == 0) {
                DH_TRY(dh_buffer_printf(out, "id"));
            } else {
                DH_TRY(dh_csv_append_field(out, column->name, column->name_size));
            }
        }
    }
    return dh_buffer_printf(out, DH_CSV_LINE_END);
}

static dh_status append_row(csv_table *table, uint64_t row, dh_buffer *out)
{
    bool first = !table->kind->of_documents;
    if (table->kind->of_documents) {
        DH_TRY(dh_buffer_printf(out, "%" PRIu64, row));
    }
    for (size_t c = 0; c < table->columns.count; c++) {
        for (uint64_t e = 0; e < table->columns.column[c].elements; e++) {
            DH_TRY(dh_buffer_append(out, ",", first ? 0 : 1));
            DH_TRY(dh_result_columns_append(&table->columns, c, row, e, DH_VALUE_CSV, out));
            first = false;
        }
    }
    return dh_buffer_printf(out, DH_CSV_LINE_END);
}

/* writer NULL: standard output. */
static dh_status hand_on(dh_shard_writer *writer, dh_buffer *out)
{
    const dh_status status = writer != NULL ? dh_shard_append(writer, out->data, out->size) : dh_print(out);
    out->size = 0;
    return status;
}

static dh_status write_rows(csv_table *table, dh_shard_writer *writer, dh_buffer *out)
{
    const uint64_t rows = table->columns.column[0].array.dims[0];
    DH_TRY(append_names(table, out));
    DH_TRY(hand_on(writer, out));
    for (uint64_t row = 0; row < rows; row++) {
        DH_TRY(dh_result_columns_reach(&table->columns, row, rows));
        if (table->kind->has == NULL || table->kind->has(table, row)) {
            DH_TRY(append_row(table, row, out));
        }
        if (row + 1 == table->columns.first + table->columns.rows) {
            DH_TRY(hand_on(writer, out));
        }
    }
    return DH_OK;
}

static dh_status write_file(csv_table *table, const char *path, dh_buffer *out)
{
    dh_shard_writer *writer = NULL;
    DH_TRY(dh_shard_writer_create(DH_SHARD_PLAIN, &writer));
    dh_status status = dh_shard_begin(writer, path);
    if (status == DH_OK) {
        status = write_rows(table, writer, out);
    }
    if (status == DH_OK) {
        status = dh_shard_finish(writer, NULL);
    }
    dh_shard_writer_free(writer);
    return status;
}

static dh_status check_path(const char *path, bool replace)
{
    bool exists = false;
    DH_TRY(dh_file_exists(path, &exists));
    return exists && !replace ? dh_error(DH_USAGE, "%s exists (--force replaces it)", path) : DH_OK;
}

dh_status dh_export_csv(dh_result_view *view, const char *what, const char *path, bool replace)
{
    csv_table table = {.columns = {.view = view}};
    dh_buffer out = {0};
    const bool to_file = strcmp(path, "-") != 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(kinds[k].name, what) == 0) {
            table.kind = &kinds[k];
        }
    }
    dh_status status =
        table.kind != NULL ? DH_OK : dh_error(DH_INTERNAL, "--csv: there is no table \"%s\"", what);
    if (status == DH_OK && to_file) {
        status = check_path(path, replace);
    }
    if (status == DH_OK) {
        status = table.kind->open(&table);
    }
    if (status == DH_OK) {
        status = to_file ? write_file(&table, path, &out) : write_rows(&table, NULL, &out);
    }
    dh_result_columns_free(&table.columns);
    dh_buffer_free(&table.categories);
    dh_buffer_free(&out);
    return status;
}
