/* dhatu inspect: the vocabulary, the columns of X and the duplicates of a result, for a person. */
#include "commands/inspect.h"

#include "commands/result_table.h"
#include "run/rows.h"

#include <inttypes.h>

enum { SHOWN_TERMS = 10, SHOWN_COLUMNS = 10, SHOWN_CLUSTERS = 5 };

/* ---- vocabulary -------------------------------------------------------------------------------------- */

enum { VOCABULARY_TOTALS = 2 /* different terms, and all */ };

typedef struct vocabulary_tables {
    dh_table totals, term, frequency, documents;
} vocabulary_tables;

static dh_status read_vocabulary(dh_result_view *view, vocabulary_tables *out)
{
    DH_TRY(dh_table_read(view, "uns/dhatu/vocab/totals", DH_WANT_INTEGERS, VOCABULARY_TOTALS, &out->totals));
    DH_TRY(dh_table_read(view, "uns/dhatu/vocab/term", DH_WANT_TEXTS, 0, &out->term));
    const uint64_t terms = out->term.count;
    DH_TRY(dh_table_read(view, "uns/dhatu/vocab/frequency", DH_WANT_INTEGERS, terms, &out->frequency));
    return dh_table_read(view, "uns/dhatu/vocab/documents", DH_WANT_INTEGERS, terms, &out->documents);
}

static dh_status append_vocabulary(const vocabulary_tables *tables, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out,
                            "\nVocabulary: %" PRIu64 " different terms, %" PRIu64
                            " in all; the commonest\n       frequency      documents  term\n",
                            dh_table_integer(&tables->totals, 0), dh_table_integer(&tables->totals, 1)));
    for (uint64_t i = 0; i < tables->term.count && i < SHOWN_TERMS; i++) {
        DH_TRY(dh_buffer_printf(out, "  %14" PRIu64 " %14" PRIu64 "  ",
                                dh_table_integer(&tables->frequency, i),
                                dh_table_integer(&tables->documents, i)));
        DH_TRY(dh_table_text(&tables->term, i, out, 0));
        DH_TRY(dh_buffer_printf(out, "\n"));
    }
    return DH_OK;
}

static dh_status summarise_vocabulary(dh_result_view *view, dh_buffer *out)
{
    vocabulary_tables tables = {0};
    if (!dh_h5_has(view->h5, "uns/dhatu/vocab/totals")) {
        return DH_OK;
    }
    dh_status status = read_vocabulary(view, &tables);
    if (status == DH_OK) {
        status = append_vocabulary(&tables, out);
    }
    dh_table_free(&tables.totals);
    dh_table_free(&tables.term);
    dh_table_free(&tables.frequency);
    dh_table_free(&tables.documents);
    return status;
}

/* ---- columns of X ------------------------------------------------------------------------------------ */

/* The columns that most documents have, the commonest first. */
typedef struct common_columns {
    uint64_t count, used;
    uint64_t column[SHOWN_COLUMNS], documents[SHOWN_COLUMNS];
} common_columns;

static void offer_column(common_columns *columns, uint64_t column, uint64_t documents)
{
    uint64_t at = columns->count < SHOWN_COLUMNS ? columns->count : SHOWN_COLUMNS;
    columns->used += documents > 0 ? 1 : 0;
    if (documents == 0 || (at == SHOWN_COLUMNS && columns->documents[at - 1] >= documents)) {
        return;
    }
    at -= at == SHOWN_COLUMNS ? 1 : 0;
    for (; at > 0 && columns->documents[at - 1] < documents; at--) {
        columns->column[at] = columns->column[at - 1];
        columns->documents[at] = columns->documents[at - 1];
    }
    columns->column[at] = column;
    columns->documents[at] = documents;
    columns->count += columns->count < SHOWN_COLUMNS ? 1 : 0;
}

static dh_status find_common(dh_result_view *view, uint64_t columns, common_columns *out)
{
    dh_h5_array array;
    dh_buffer data = {0};
    dh_status status = DH_OK; /* that they are integers was seen before */
    for (uint64_t first = 0; first < columns && status == DH_OK; first += DH_BLOCK_ROWS) {
        const uint64_t left = columns - first;
        const uint64_t count = left < DH_BLOCK_ROWS ? left : DH_BLOCK_ROWS;
        status = dh_result_view_rows(view, "var/document_frequency", first, count, &array, &data);
        for (uint64_t i = 0; i < count && status == DH_OK; i++) {
            offer_column(out, first + i, dh_element_integer(&array, data.data, i));
        }
    }
    dh_buffer_free(&data);
    return status;
}

static dh_status append_columns(dh_result_view *view, const common_columns *columns, dh_buffer *out)
{
    dh_table terms = {0};
    dh_status status = dh_result_view_describe(view, "var/terms", DH_WANT_TEXTS, &terms.array);
    for (uint64_t i = 0; i < columns->count && status == DH_OK; i++) {
        status = dh_result_view_rows(view, "var/terms", columns->column[i], 1, &terms.array, &terms.data);
        if (status == DH_OK) {
            status = dh_buffer_printf(out, "  %14" PRIu64 " %14" PRIu64 "  ", columns->column[i],
                                      columns->documents[i]);
        }
        if (status == DH_OK) {
            status = dh_table_text(&terms, 0, out, 0);
        }
        if (status == DH_OK) {
            status = dh_buffer_printf(out, "\n");
        }
    }
    dh_table_free(&terms);
    return status;
}

static dh_status summarise_features(dh_result_view *view, dh_buffer *out)
{
    if (!dh_h5_has(view->h5, "X/data")) {
        return DH_OK;
    }
    dh_h5_array data;
    dh_h5_array column;
    common_columns columns = {0};
    DH_TRY(dh_result_view_describe(view, "X/data", DH_WANT_VALUES, &data));
    DH_TRY(dh_result_view_describe(view, "var/document_frequency", DH_WANT_INTEGERS, &column));
    DH_TRY(find_common(view, column.dims[0], &columns));
    DH_TRY(dh_buffer_printf(out,
                            "\nHashed features: %" PRIu64 " values in %" PRIu64 " of %" PRIu64
                            " columns; the commonest\n          column      documents  terms\n",
                            data.dims[0], columns.used, column.dims[0]));
    return append_columns(view, &columns, out);
}

/* ---- duplicates -------------------------------------------------------------------------------------- */

/* Places in uns/dhatu/neardup/counts. */
enum {
    COUNT_COMPARED = 0,
    COUNT_PAIRS,
    COUNT_EXACT,
    COUNT_CLUSTERS,
    COUNT_CLUSTERED,
    COUNT_KEPT,
    COUNT_AGAINST,
    COUNTS
};

static dh_status append_clusters(dh_result_view *view, const dh_table *size, const dh_table *row,
                                 dh_buffer *out)
{
    for (uint64_t i = 0; i < size->count && i < SHOWN_CLUSTERS; i++) {
        const uint64_t first = dh_table_integer(row, i);
        DH_TRY(dh_buffer_printf(out, "  %14" PRIu64 " documents with ", dh_table_integer(size, i)));
        if (first < view->rows) {
            DH_TRY(dh_result_view_id(view, first, out));
        }
        DH_TRY(dh_buffer_printf(out, "\n"));
    }
    return DH_OK;
}

static dh_status append_duplicates(dh_result_view *view, const dh_table *count, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out,
                            "\nDuplicates: %" PRIu64 " documents in %" PRIu64 " clusters, %" PRIu64
                            " equal another one; %" PRIu64 " of %" PRIu64 " documents are kept\n"
                            "  %" PRIu64 " pairs were compared, %" PRIu64 " are near-duplicates\n",
                            dh_table_integer(count, COUNT_CLUSTERED), dh_table_integer(count, COUNT_CLUSTERS),
                            dh_table_integer(count, COUNT_EXACT), dh_table_integer(count, COUNT_KEPT),
                            view->rows, dh_table_integer(count, COUNT_COMPARED),
                            dh_table_integer(count, COUNT_PAIRS)));
    const uint64_t against = dh_table_integer(count, COUNT_AGAINST);
    return against > 0
               ? dh_buffer_printf(out, "  %" PRIu64 " duplicate a document of the earlier result\n", against)
               : DH_OK;
}

static dh_status summarise_duplicates(dh_result_view *view, dh_buffer *out)
{
    if (!dh_h5_has(view->h5, "uns/dhatu/neardup/counts")) {
        return DH_OK;
    }
    dh_table count = {0};
    dh_table size = {0};
    dh_table row = {0};
    dh_status status = dh_table_read(view, "uns/dhatu/neardup/counts", DH_WANT_INTEGERS, COUNTS, &count);
    if (status == DH_OK) {
        status = dh_table_read(view, "uns/dhatu/neardup/largest_size", DH_WANT_INTEGERS, 0, &size);
    }
    if (status == DH_OK) {
        status = dh_table_read(view, "uns/dhatu/neardup/largest_row", DH_WANT_INTEGERS, size.count, &row);
    }
    if (status == DH_OK) {
        status = append_duplicates(view, &count, out);
    }
    if (status == DH_OK) {
        status = append_clusters(view, &size, &row, out);
    }
    dh_table_free(&count);
    dh_table_free(&size);
    dh_table_free(&row);
    return status;
}

dh_status dh_inspect_corpus(dh_result_view *view, dh_buffer *out)
{
    DH_TRY(summarise_vocabulary(view, out));
    DH_TRY(summarise_features(view, out));
    return summarise_duplicates(view, out);
}
