#include "output/bulk.h"

#include "base/log.h"
#include "lexicon/language.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add(dh_bulk *bulk, const char *path, dh_bulk_kind kind, uint32_t index, dh_h5_array array)
{
    dh_bulk_dataset *dataset = &bulk->dataset[bulk->dataset_count++];
    (void)snprintf(dataset->path, sizeof dataset->path, "%s", path);
    dataset->kind = kind;
    dataset->index = index;
    dataset->array = array;
    if (bulk->deflate > 0 && array.dims[0] == bulk->rows && kind < DH_BULK_SOURCE_NAME) {
        dataset->array.chunk_rows = DH_BLOCK_ROWS;
        dataset->array.deflate = bulk->deflate;
    }
}

static dh_h5_array row_array(const dh_bulk *bulk, dh_type type, const char *description, const char *unit)
{
    return (dh_h5_array){
        .type = type, .dim_count = 1, .dims = {bulk->rows}, .description = description, .unit = unit};
}

static void add_job_column(dh_bulk *bulk, uint32_t c)
{
    const dh_column *column = &bulk->settings->schema.column[c];
    dh_h5_array array = row_array(bulk, column->type, column->description, column->unit);
    if (column->type == DH_TEXT) {
        array.text_width = column->width;
    } else if (column->place == DH_OBSM) {
        array.dim_count = 2;
        array.dims[1] = column->width;
    }
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", column->place == DH_OBS ? "obs" : "obsm", column->name);
    add(bulk, path, DH_BULK_COLUMN, c, array);
}

static bool is_in_result(const dh_column *column)
{
    return column->place == DH_OBS || column->place == DH_OBSM;
}

static bool has_earlier_result(const dh_bulk *bulk)
{
    return bulk->reduced->neardup.against_width > 0;
}

/* Columns of obs that job neardup adds behind the pass over the corpus. */
static const char *const duplicate_name[DH_DUPLICATE_FACTS] = {
    [DH_DUPLICATE_EXACT] = "dup_exact",     [DH_DUPLICATE_CLUSTER] = "dup_cluster",
    [DH_DUPLICATE_SIZE] = "dup_size",       [DH_DUPLICATE_KEEP] = "dup_keep",
    [DH_DUPLICATE_AGAINST] = "dup_against",
};

static void add_duplicates(dh_bulk *bulk)
{
    static const dh_type type[DH_DUPLICATE_FACTS] = {DH_I64, DH_I64, DH_U64, DH_U8, DH_TEXT};
    static const char *const description[DH_DUPLICATE_FACTS] = {
        "row of the first document with the same tokens, this one or an earlier one; -1: there is no other",
        "row of the first document of its cluster of duplicates, which represents it; -1: it is in none",
        "documents of its cluster; 1: it is in none",
        "1: representative of its cluster or in none, and no duplicate of an earlier result; 0: a duplicate",
        "id of the document of the earlier result (--against) that it duplicates; empty: none",
    };
    for (uint32_t f = 0; f < DH_DUPLICATE_FACTS; f++) {
        if (f == DH_DUPLICATE_AGAINST && !has_earlier_result(bulk)) {
            continue;
        }
        char path[128];
        dh_h5_array array =
            row_array(bulk, type[f], description[f], f == DH_DUPLICATE_SIZE ? "documents" : "1");
        array.text_width = type[f] == DH_TEXT ? (uint32_t)bulk->reduced->neardup.against_width : 0;
        (void)snprintf(path, sizeof path, "obs/%s", duplicate_name[f]);
        add(bulk, path, DH_BULK_DUPLICATE, f, array);
    }
}

static void add_row_datasets(dh_bulk *bulk, uint64_t id_width)
{
    dh_h5_array id = row_array(
        bulk, DH_TEXT, "the record's own id, else SOURCE#RECORD; repeated ones get #dupROW behind", "1");
    id.text_width = (uint32_t)id_width;
    add(bulk, "obs/_index", DH_BULK_ID, 0, id);
    add(bulk, "obs/source/codes", DH_BULK_COLUMN, DH_ENGINE_SOURCE,
        row_array(bulk, DH_I32, "place in categories", "1"));
    add(bulk, "obs/record", DH_BULK_COLUMN, DH_ENGINE_RECORD,
        row_array(bulk, DH_U64,
                  "number of the record in its source, from 1; blank and bad ones are counted: its line",
                  "1"));
    add(bulk, "obs/offset", DH_BULK_COLUMN, DH_ENGINE_OFFSET,
        row_array(bulk, DH_U64, "where the record begins in its source, uncompressed", "byte"));
    add(bulk, "obs/bytes", DH_BULK_COLUMN, DH_ENGINE_BYTES,
        row_array(bulk, DH_U32, "size of the text in UTF-8", "byte"));
    add(bulk, "obs/tokens", DH_BULK_COLUMN, DH_ENGINE_TOKENS,
        row_array(bulk, DH_U32, "tokens of the text", "tokens"));
    add(bulk, "obs/lang/codes", DH_BULK_LANGUAGE, DH_ENGINE_LANGUAGE,
        row_array(bulk, DH_I32, "place in categories", "1"));
    add(bulk, "obs/status/codes", DH_BULK_STATUS, DH_ENGINE_STATUS,
        row_array(bulk, DH_I32, "place in categories", "1"));
    for (uint32_t c = DH_ENGINE_COLUMNS; c < bulk->settings->schema.column_count; c++) {
        if (is_in_result(&bulk->settings->schema.column[c])) {
            add_job_column(bulk, c);
        }
    }
    if (bulk->reduced->neardup.is_there) {
        add_duplicates(bulk);
    }
    bulk->row_dataset_count = bulk->dataset_count;
}

static void add_source_datasets(dh_bulk *bulk, uint64_t name_width)
{
    static const char *const fact[DH_FACT_COUNT][3] = {
        [DH_FACT_DOCUMENTS] = {"uns/dhatu/sources/documents", "documents of the source", "documents"},
        [DH_FACT_RECORDS] = {"uns/dhatu/sources/records", "records of the source, blank and bad ones too",
                             "records"},
        [DH_FACT_BYTES] = {"uns/dhatu/sources/bytes", "size of the source, uncompressed", "byte"},
        [DH_FACT_BAD] = {"uns/dhatu/sources/bad",
                         "records that cannot be used, and damages of the source itself", "records"},
    };
    dh_h5_array name = {.type = DH_TEXT,
                        .text_width = (uint32_t)(name_width > 0 ? name_width : 1),
                        .dim_count = 1,
                        .dims = {bulk->sources},
                        .description =
                            "name of the source: its path relative to the input, less a compression suffix",
                        .unit = "1"};
    add(bulk, "obs/source/categories", DH_BULK_SOURCE_NAME, 0, name);
    add(bulk, "uns/dhatu/sources/_index", DH_BULK_SOURCE_NAME, 0, name);
    for (uint32_t f = 0; f < DH_FACT_COUNT; f++) {
        add(bulk, fact[f][0], DH_BULK_SOURCE_FACT, f,
            (dh_h5_array){.type = DH_U64,
                          .dim_count = 1,
                          .dims = {bulk->sources},
                          .description = fact[f][1],
                          .unit = fact[f][2]});
    }
    add(bulk, "uns/dhatu/sources/hash", DH_BULK_SOURCE_HASH, 0,
        (dh_h5_array){.type = DH_TEXT,
                      .text_width = 32,
                      .dim_count = 1,
                      .dims = {bulk->sources},
                      .description = "content hash of the uncompressed source (docs/formats.md)",
                      .unit = "1"});
    for (uint32_t j = 0; j < bulk->settings->job_count; j++) {
        const dh_active_job *active = &bulk->settings->job[j];
        if (active->source_sum_count > 0) {
            char path[128];
            (void)snprintf(path, sizeof path, "uns/dhatu/%s/by_source", active->job->name);
            add(bulk, path, DH_BULK_SOURCE_SUMS, j,
                (dh_h5_array){.type = DH_U64,
                              .dim_count = 2,
                              .dims = {bulk->sources, active->source_sum_count},
                              .description = active->job->source_sum_description,
                              .unit = "1"});
        }
    }
}

/* A contiguous dataset of `count` rows, for X and var. */
static void add_plain(dh_bulk *bulk, const char *path, dh_bulk_kind kind, uint32_t index, dh_h5_array array,
                      uint64_t count)
{
    array.dim_count = 1;
    array.dims[0] = count;
    add(bulk, path, kind, index, array);
}

enum { COLUMN_NAME_BYTES = 8 /* digits of the largest column, 2^24 - 1 */ };

static void add_matrix(dh_bulk *bulk)
{
    const dh_features *features = &bulk->reduced->features;
    add_plain(bulk, "X/data", DH_BULK_MATRIX, DH_MATRIX_DATA,
              (dh_h5_array){.type = DH_F32,
                            .description = "hashed n-grams: signed count * idf, rows normalised",
                            .unit = "1"},
              features->values);
    add_plain(bulk, "X/indices", DH_BULK_MATRIX, DH_MATRIX_INDICES,
              (dh_h5_array){.type = DH_I32, .description = "columns, ascending in each row", .unit = "1"},
              features->values);
    add_plain(bulk, "X/indptr", DH_BULK_MATRIX, DH_MATRIX_INDPTR,
              (dh_h5_array){.type = DH_I64,
                            .description = "row i has the values from indptr[i] to below indptr[i + 1]",
                            .unit = "1"},
              bulk->rows + 1);
    add_plain(bulk, "var/_index", DH_BULK_VARIABLE, DH_VARIABLE_NAME,
              (dh_h5_array){.type = DH_TEXT,
                            .text_width = COLUMN_NAME_BYTES,
                            .description = "number of the column",
                            .unit = "1"},
              features->columns);
    add_plain(bulk, "var/document_frequency", DH_BULK_VARIABLE, DH_VARIABLE_DOCUMENTS,
              (dh_h5_array){.type = DH_U64,
                            .description = "documents that have a value in the column",
                            .unit = "documents"},
              features->columns);
    add_plain(
        bulk, "var/idf", DH_BULK_VARIABLE, DH_VARIABLE_WEIGHT,
        (dh_h5_array){.type = DH_F64,
                      .description =
                          "weight of the column: ln((1 + n) / (1 + document_frequency)) + 1; 1 without idf",
                      .unit = "1"},
        features->columns);
    add_plain(bulk, "var/terms", DH_BULK_VARIABLE, DH_VARIABLE_TERMS,
              (dh_h5_array){.type = DH_TEXT,
                            .text_width = DH_FEATURE_TERMS_BYTES,
                            .description = "the n-grams of the column that most documents have",
                            .unit = "1"},
              features->columns);
}

dh_status dh_bulk_list(dh_bulk *bulk, const dh_settings *settings, const dh_bulk_shape *shape)
{
    bulk->settings = settings;
    bulk->rows = shape->rows;
    bulk->sources = shape->sources;
    bulk->deflate = shape->deflate;
    bulk->reduced = shape->reduced;
    bulk->dataset_count = 0;
    void *memory = NULL;
    DH_TRY(dh_allocate(DH_LANGUAGE_COUNT, sizeof *bulk->language_code, "the languages", &memory));
    bulk->language_code = memory;
    bulk->languages = 0;
    for (uint32_t code = 0; code < DH_LANGUAGE_COUNT; code++) {
        if ((bulk->language_present[code / 8] >> (code % 8) & 1) != 0) {
            bulk->language_code[code] = (uint32_t)bulk->languages++;
        }
    }
    add_row_datasets(bulk, shape->id_width);
    add_source_datasets(bulk, shape->source_name_width);
    bulk->source_datasets_end = bulk->dataset_count;
    if (bulk->reduced->features.is_there) {
        add_matrix(bulk);
    }
    return DH_OK;
}

void dh_bulk_free(dh_bulk *bulk)
{
    free(bulk->language_code);
    bulk->language_code = NULL;
}

/* ---- the skeleton ------------------------------------------------------------------------------------ */

/* What is being created. */
typedef struct skeleton {
    dh_h5 *h5;
    dh_content *content;
} skeleton;

static dh_status create_categories(const skeleton *file, const char *path, const char *const *name,
                                   uint64_t count)
{
    size_t width = 1;
    for (uint64_t i = 0; i < count; i++) {
        const size_t size = strlen(name[i]);
        width = size > width ? size : width;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(count, width, "category names", &memory));
    for (uint64_t i = 0; i < count; i++) {
        memcpy((char *)memory + i * width, name[i], strlen(name[i]));
    }
    const dh_h5_array array = {.type = DH_TEXT,
                               .text_width = (uint32_t)width,
                               .dim_count = 1,
                               .dims = {count},
                               .description = "names of the codes",
                               .unit = "1"};
    const dh_status status = dh_content_put(file->content, file->h5, path, &array, memory);
    free(memory);
    return status;
}

static dh_status create_languages(const dh_bulk *bulk, const skeleton *file)
{
    void *names_memory = NULL;
    void *text_memory = NULL;
    dh_status status = dh_allocate(bulk->languages, sizeof(char *), "language names", &names_memory);
    if (status == DH_OK) {
        status = dh_allocate(bulk->languages, 4, "language names", &text_memory);
    }
    if (status == DH_OK) {
        const char **name = names_memory;
        uint64_t used = 0;
        for (uint32_t code = 0; code < DH_LANGUAGE_COUNT; code++) {
            if ((bulk->language_present[code / 8] >> (code % 8) & 1) != 0) {
                char *text = (char *)text_memory + used * 4;
                (void)snprintf(text, 4, "%s", dh_language_name((uint16_t)code));
                name[used++] = text;
            }
        }
        status = create_categories(file, "obs/lang/categories", name, bulk->languages);
    }
    free(names_memory);
    free(text_memory);
    return status;
}

static dh_status create_obs(const dh_bulk *bulk, const skeleton *file)
{
    dh_h5 *h5 = file->h5;
    static const char *const engine[] = {"source", "record", "offset", "bytes", "tokens", "lang", "status"};
    const char *column[DH_SCHEMA_COLUMNS_MAX + 16];
    size_t count = 0;
    for (size_t i = 0; i < sizeof engine / sizeof *engine; i++) {
        column[count++] = engine[i];
    }
    for (uint32_t c = DH_ENGINE_COLUMNS; c < bulk->settings->schema.column_count; c++) {
        if (bulk->settings->schema.column[c].place == DH_OBS) {
            column[count++] = bulk->settings->schema.column[c].name;
        }
    }
    for (uint32_t f = 0; f < DH_DUPLICATE_FACTS && bulk->reduced->neardup.is_there; f++) {
        if (f != DH_DUPLICATE_AGAINST || has_earlier_result(bulk)) {
            column[count++] = duplicate_name[f];
        }
    }
    DH_TRY(dh_h5_dataframe(h5, "obs", column, count));
    DH_TRY(dh_h5_categorical(h5, "obs/source", "name of the source", "1"));
    DH_TRY(dh_h5_categorical(
        h5, "obs/lang",
        "language, ISO 639 code: of the record, of --lang, or by the function words; und: not known", "1"));
    DH_TRY(dh_h5_categorical(
        h5, "obs/status", "ok; repaired: ill-formed UTF-8 or lone surrogates became U+FFFD; no-tokens", "1"));
    DH_TRY(create_languages(bulk, file));
    return create_categories(file, "obs/status/categories", dh_document_status_name,
                             DH_DOCUMENT_STATUS_COUNT);
}

/* AnnData needs var, the variables of X; without a job that fills X it is empty. */
static dh_status create_var(const dh_bulk *bulk, const skeleton *file)
{
    if (bulk->reduced->features.is_there) {
        static const char *const column[] = {"document_frequency", "idf", "terms"};
        DH_TRY(dh_h5_group(file->h5, "X", "csr_matrix", "0.1.0"));
        const uint64_t shape[] = {bulk->rows, bulk->reduced->features.columns};
        DH_TRY(dh_h5_shape(file->h5, "X", shape, sizeof shape / sizeof *shape));
        return dh_h5_dataframe(file->h5, "var", column, sizeof column / sizeof *column);
    }
    DH_TRY(dh_h5_dataframe(file->h5, "var", NULL, 0));
    const dh_h5_array index = {.type = DH_TEXT,
                               .text_width = 1,
                               .dim_count = 1,
                               .dims = {0},
                               .description = "no job of this result has variables",
                               .unit = "1"};
    return dh_content_put(file->content, file->h5, "var/_index", &index, "");
}

static dh_status create_groups(const dh_bulk *bulk, const skeleton *file)
{
    dh_h5 *h5 = file->h5;
    static const char *const dict[] = {"obsm", "varm", "obsp", "varp", "layers", "uns", "uns/dhatu"};
    DH_TRY(dh_h5_group(h5, "/", "anndata", "0.1.0"));
    DH_TRY(create_obs(bulk, file));
    DH_TRY(create_var(bulk, file));
    for (size_t i = 0; i < sizeof dict / sizeof *dict; i++) {
        DH_TRY(dh_h5_group(h5, dict[i], "dict", "0.1.0"));
    }
    static const char *const source_column[] = {"documents", "records", "bytes", "bad", "hash"};
    DH_TRY(dh_h5_dataframe(h5, "uns/dhatu/sources", source_column,
                           sizeof source_column / sizeof *source_column));
    for (uint32_t j = 0; j < bulk->settings->job_count; j++) {
        char path[128];
        (void)snprintf(path, sizeof path, "uns/dhatu/%s", bulk->settings->job[j].job->name);
        DH_TRY(dh_h5_group(h5, path, "dict", "0.1.0"));
    }
    return DH_OK;
}

static dh_status create_datasets(const dh_bulk *bulk, dh_h5 *h5)
{
    for (uint32_t d = 0; d < bulk->dataset_count; d++) {
        DH_TRY(dh_h5_array_create(h5, bulk->dataset[d].path, &bulk->dataset[d].array));
    }
    return DH_OK;
}

static dh_status find_offsets(dh_bulk *bulk, const char *path)
{
    dh_h5 *h5 = NULL;
    DH_TRY(dh_h5_open(path, false, &h5));
    dh_status status = DH_OK;
    for (uint32_t d = 0; d < bulk->dataset_count && status == DH_OK; d++) {
        if (bulk->dataset[d].array.chunk_rows == 0) {
            status = dh_h5_offset(h5, bulk->dataset[d].path, &bulk->dataset[d].offset);
        }
    }
    const dh_status closed = dh_h5_close(h5);
    return status == DH_OK ? closed : status;
}

dh_status dh_bulk_create(dh_bulk *bulk, const char *path, dh_content *content)
{
    skeleton file = {.content = content};
    DH_TRY(dh_h5_create(path, &file.h5));
    dh_status status = create_groups(bulk, &file);
    if (status == DH_OK) {
        status = create_datasets(bulk, file.h5);
    }
    const dh_status closed = dh_h5_close(file.h5);
    DH_TRY(status);
    DH_TRY(closed);
    return find_offsets(bulk, path);
}
