/* dhatu explain: why two documents are duplicates, or are not. */
#include "commands/explain.h"

#include "base/log.h"
#include "commands/commands.h"
#include "commands/result_columns.h"
#include "commands/result_corpus.h"
#include "kernels/minhash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS = 1 + DH_EXPLAINED };

bool dh_explain_shares_band(const dh_explain_pair *pair, uint32_t band)
{
    const uint32_t rows = pair->settings.match.band_rows;
    const size_t at = (size_t)band * rows;
    return pair->has_estimate &&
           memcmp(pair->signature[0] + at, pair->signature[1] + at, rows * sizeof(uint32_t)) == 0;
}

/* ---- what the result says ----------------------------------------------------------------------------- */

static dh_status take_settings(dh_explain_pair *pair)
{
    const dh_options *options = &pair->run_options;
    const char *threshold = dh_options_text(options, DH_OPTION_THRESHOLD);
    char *end = NULL;
    pair->settings = (dh_explain_settings){
        .shingle_tokens = (uint32_t)dh_options_number(options, DH_OPTION_SHINGLE),
        .match = {.bands = (uint32_t)dh_options_number(options, DH_OPTION_BANDS),
                  .band_rows = (uint32_t)dh_options_number(options, DH_OPTION_BAND_ROWS)},
        .min_shingles = (uint32_t)dh_options_number(options, DH_OPTION_MIN_SHINGLES),
        .threshold = strtod(threshold, &end),
        .seed = dh_options_number(options, DH_OPTION_MINHASH_SEED),
    };
    dh_match *match = &pair->settings.match;
    const uint64_t places = (uint64_t)match->bands * match->band_rows;
    const bool good = end != threshold && *end == '\0' && pair->settings.threshold > 0.0 &&
                      pair->settings.threshold <= 1.0 && places <= DH_PERMUTATIONS_MAX;
    if (!good) {
        return dh_error(DH_MISMATCH, "%s: uns/dhatu/config has settings of neardup that cannot be",
                        pair->view.path);
    }
    match->least_equal = dh_match_least_equal(pair->settings.threshold, (uint32_t)places);
    return DH_OK;
}

/* Columns of the result; SIZE_MAX: it does not have it. */
typedef struct pair_columns {
    dh_result_columns all;
    size_t source, record, offset, tokens, sha256;
    size_t exact, cluster, size, keep, against, shingles, minhash;
} pair_columns;

static dh_status add_if_there(pair_columns *columns, const char *path, dh_wanted wanted, size_t *index)
{
    *index = SIZE_MAX;
    return dh_h5_has(columns->all.view->h5, path) ? dh_result_columns_add(&columns->all, path, wanted, index)
                                                  : DH_OK;
}

/* Rows of any length can be claimed, so theirs is checked before they are read. */
static dh_status add_signatures(pair_columns *columns, uint32_t places)
{
    DH_TRY(add_if_there(columns, "obsm/minhash", DH_WANT_INTEGER_ROWS, &columns->minhash));
    if (columns->minhash == SIZE_MAX) {
        return DH_OK;
    }
    const dh_result_column *column = &columns->all.column[columns->minhash];
    return column->array.type == DH_U32 && column->elements == places
               ? DH_OK
               : dh_error(DH_MISMATCH, "%s: obsm/minhash is not as uns/dhatu/config says",
                          columns->all.view->path);
}

static dh_status add_columns(pair_columns *columns, uint32_t places)
{
    dh_result_columns *all = &columns->all;
    DH_TRY(dh_result_columns_add(all, "obs/source/codes", DH_WANT_INTEGERS, &columns->source));
    DH_TRY(dh_result_columns_add(all, "obs/record", DH_WANT_INTEGERS, &columns->record));
    DH_TRY(dh_result_columns_add(all, "obs/offset", DH_WANT_INTEGERS, &columns->offset));
    DH_TRY(dh_result_columns_add(all, "obs/tokens", DH_WANT_INTEGERS, &columns->tokens));
    DH_TRY(dh_result_columns_add(all, "obs/sha256", DH_WANT_TEXTS, &columns->sha256));
    DH_TRY(add_if_there(columns, "obs/dup_exact", DH_WANT_INTEGERS, &columns->exact));
    DH_TRY(add_if_there(columns, "obs/dup_cluster", DH_WANT_INTEGERS, &columns->cluster));
    DH_TRY(add_if_there(columns, "obs/dup_size", DH_WANT_INTEGERS, &columns->size));
    DH_TRY(add_if_there(columns, "obs/dup_keep", DH_WANT_INTEGERS, &columns->keep));
    DH_TRY(add_if_there(columns, "obs/dup_against", DH_WANT_TEXTS, &columns->against));
    DH_TRY(add_if_there(columns, "obs/shingles", DH_WANT_INTEGERS, &columns->shingles));
    return add_signatures(columns, places);
}

static dh_status take_source(dh_explain_pair *pair, uint64_t code, dh_explain_document *document)
{
    dh_result_source source = {0};
    const dh_status status = dh_result_source_read(&pair->view, code, &source);
    document->source = source.name;
    source.name = (dh_buffer){0};
    dh_result_source_free(&source);
    return status;
}

static uint64_t value_of(const pair_columns *columns, size_t index, uint64_t row)
{
    return dh_result_columns_integer(&columns->all, index, row);
}

static dh_status take_signature(dh_explain_pair *pair, const pair_columns *columns, int which)
{
    const dh_result_column *column = &columns->all.column[columns->minhash];
    const size_t places = dh_match_places(&pair->settings.match);
    void *memory = NULL;
    DH_TRY(dh_allocate(places, sizeof(uint32_t), "a signature", &memory));
    memcpy(memory, column->data.data, places * sizeof(uint32_t));
    pair->signature[which] = memory;
    return DH_OK;
}

static dh_status take_document(dh_explain_pair *pair, pair_columns *columns, int which)
{
    dh_explain_document *document = &pair->document[which];
    const uint64_t row = document->row;
    size_t size = 0;
    DH_TRY(dh_result_columns_read(&columns->all, row, 1));
    document->record = value_of(columns, columns->record, row);
    document->offset = value_of(columns, columns->offset, row);
    document->tokens = value_of(columns, columns->tokens, row);
    const char *digest = dh_result_columns_text(&columns->all, columns->sha256, row, &size);
    if (size != sizeof document->sha256) {
        return dh_error(DH_MISMATCH, "%s: obs/sha256 of row %" PRIu64 " is no SHA-256", pair->view.path, row);
    }
    memcpy(document->sha256, digest, size);
    DH_TRY(dh_result_view_id(&pair->view, row, &document->id));
    DH_TRY(take_source(pair, value_of(columns, columns->source, row), document));
    if (pair->has_clusters) {
        document->exact = (int64_t)value_of(columns, columns->exact, row);
        document->cluster = (int64_t)value_of(columns, columns->cluster, row);
        document->cluster_size = value_of(columns, columns->size, row);
        document->is_kept = value_of(columns, columns->keep, row) != 0;
    }
    if (columns->against != SIZE_MAX) {
        const char *against = dh_result_columns_text(&columns->all, columns->against, row, &size);
        DH_TRY(dh_buffer_append(&document->against, against, size));
    }
    DH_TRY(dh_buffer_append(&document->against, "", 1));
    document->against.size--;
    if (columns->shingles != SIZE_MAX) {
        document->shingles = value_of(columns, columns->shingles, row);
    }
    return columns->minhash != SIZE_MAX ? take_signature(pair, columns, which) : DH_OK;
}

static dh_status take_documents(dh_explain_pair *pair)
{
    pair_columns columns = {.all = {.view = &pair->view}};
    dh_status status = add_columns(&columns, dh_match_places(&pair->settings.match));
    pair->has_clusters = status == DH_OK && columns.exact != SIZE_MAX && columns.cluster != SIZE_MAX &&
                         columns.size != SIZE_MAX && columns.keep != SIZE_MAX;
    for (int d = 0; d < DH_EXPLAINED && status == DH_OK; d++) {
        status = take_document(pair, &columns, d);
    }
    pair->has_signatures = status == DH_OK && columns.minhash != SIZE_MAX;
    pair->has_shingles = status == DH_OK && columns.shingles != SIZE_MAX;
    dh_result_columns_free(&columns.all);
    return status;
}

/* ---- the pair ----------------------------------------------------------------------------------------- */

static bool is_all_none(const uint32_t *signature, size_t places)
{
    size_t at = 0;
    while (at < places && signature[at] == DH_MINHASH_NONE) {
        at++;
    }
    return at == places;
}

static void compare_signatures(dh_explain_pair *pair)
{
    const dh_match *match = &pair->settings.match;
    if (!pair->has_signatures) {
        return;
    }
    for (int d = 0; d < DH_EXPLAINED; d++) { /* that of a document with shingles has lower values */
        pair->is_bare[d] = is_all_none(pair->signature[d], dh_match_places(match));
    }
    pair->has_estimate = !pair->is_bare[0] && !pair->is_bare[1];
    if (!pair->has_estimate) {
        return;
    }
    pair->equal = dh_match_equal(pair->signature[0], pair->signature[1], dh_match_places(match));
    for (uint32_t b = 0; b < match->bands; b++) {
        pair->shared_bands += dh_explain_shares_band(pair, b) ? 1 : 0;
    }
}

static dh_status explain(dh_explain_pair *pair, const dh_options *options)
{
    const char *sources = dh_options_text(options, DH_OPTION_SOURCES);
    DH_TRY(dh_result_run_options(&pair->view, &pair->run_options));
    DH_TRY(take_settings(pair));
    for (int d = 0; d < DH_EXPLAINED; d++) {
        DH_TRY(dh_result_view_find(&pair->view, options->argument[1 + d], &pair->document[d].row));
    }
    DH_TRY(take_documents(pair));
    if (sources != NULL) {
        DH_TRY(dh_explain_read_texts(pair, sources));
    }
    compare_signatures(pair);
    return DH_OK;
}

static void free_pair(dh_explain_pair *pair)
{
    for (int d = 0; d < DH_EXPLAINED; d++) {
        free(pair->signature[d]);
        dh_buffer_free(&pair->document[d].id);
        dh_buffer_free(&pair->document[d].source);
        dh_buffer_free(&pair->document[d].against);
    }
    dh_explain_texts_free(&pair->texts);
    dh_options_free(&pair->run_options);
    dh_result_view_close(&pair->view);
}

dh_status dh_command_explain(const dh_options *options)
{
    DH_TRY(dh_result_check_arguments(options, ARGUMENTS, "explain needs a result and two documents"));
    dh_explain_pair pair = {0};
    dh_buffer out = {0};
    DH_TRY(dh_result_view_open(options->argument[0], &pair.view));
    dh_status status = explain(&pair, options);
    if (status == DH_OK) {
        status = dh_explain_print(&pair, dh_options_flag(options, DH_OPTION_JSON), &out);
    }
    if (status == DH_OK) {
        status = dh_print(&out);
    }
    dh_buffer_free(&out);
    free_pair(&pair);
    return status;
}
