/* dhatu verify: is a result what it says it is? Its schema, its content digest, and with the sources a
 * sample of its documents computed again. */
#include "base/log.h"
#include "commands/commands.h"
#include "commands/result_corpus.h"
#include "lexicon/language.h"
#include "output/content.h"
#include "reduce/features.h"
#include "run/pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANY_COUNT UINT64_MAX

typedef struct verifier {
    dh_result_view view;
    const dh_options *options;
    uint64_t datasets;
    dh_options run_options; /* as the result records them */
    dh_settings settings;
    dh_buffer plan_block;
    uint64_t *row; /* of the sample, ascending */
    uint64_t sample_count, compared;
    uint64_t next; /* of the sample, as chunks come */
    dh_buffer expected;
    dh_buffer weights;    /* of the columns of X */
    dh_features features; /* a view of them */
} verifier;

/* ---- schema ------------------------------------------------------------------------------------------ */

static dh_status check_dataset(void *context, const char *path)
{
    verifier *self = context;
    dh_h5_array array;
    DH_TRY(dh_h5_array_describe(self->view.h5, path, &array));
    self->datasets++;
    const char *tail = strrchr(path, '/');
    const bool of_rows =
        (strncmp(path, "obs/", 4) == 0 && strcmp(tail, "/categories") != 0) || strncmp(path, "obsm/", 5) == 0;
    if (of_rows && (array.dim_count == 0 || array.dims[0] != self->view.rows)) {
        return dh_error(DH_MISMATCH, "%s: %s has %" PRIu64 " rows, but there are %" PRIu64 " documents",
                        self->view.path, path, array.dims[0], self->view.rows);
    }
    dh_buffer encoding = {0};
    const dh_status status = dh_h5_attribute_read(self->view.h5, path, "encoding-type", &encoding);
    const bool named = encoding.size > 0;
    dh_buffer_free(&encoding);
    DH_TRY(status);
    return named ? DH_OK : dh_error(DH_MISMATCH, "%s: %s has no encoding-type", self->view.path, path);
}

static dh_status check_schema(verifier *self)
{
    static const char *const required[] = {"obs/_index",
                                           "obs/source/codes",
                                           "obs/source/categories",
                                           "obs/record",
                                           "obs/offset",
                                           "obs/bytes",
                                           "obs/tokens",
                                           "obs/lang/codes",
                                           "obs/lang/categories",
                                           "obs/sha256",
                                           "obs/status/codes",
                                           "uns/dhatu/sources/hash",
                                           "uns/dhatu/quality/records",
                                           "uns/dhatu/documents/totals"};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        if (!dh_h5_has(self->view.h5, required[i])) {
            return dh_error(DH_MISMATCH, "%s: %s is missing", self->view.path, required[i]);
        }
    }
    return dh_h5_visit(self->view.h5, check_dataset, self);
}

static dh_status check_content(verifier *self)
{
    char hex[2 * DH_SHA256_SIZE + 1];
    DH_TRY(dh_content_of_file(self->view.h5, hex));
    if (strcmp(hex, (const char *)self->view.content.data) != 0) {
        return dh_error(DH_MISMATCH,
                        "%s: the content digest is %s, but the file says %s: it was changed or damaged",
                        self->view.path, hex, (const char *)self->view.content.data);
    }
    return DH_OK;
}

/* ---- options of the run ------------------------------------------------------------------------------ */

static dh_status resolve_run(verifier *self)
{
    DH_TRY(dh_result_run_options(&self->view, &self->run_options));
    const char *lexicon = dh_options_text(self->options, DH_OPTION_LEXICON);
    if (lexicon != NULL) {
        DH_TRY(dh_options_set(&self->run_options, DH_OPTION_LEXICON, lexicon, DH_ORIGIN_FLAG, "--lexicon"));
    }
    return dh_settings_resolve(&self->run_options, &self->settings);
}

/* The lexicons must be those of the run: the config records their SHA-256. */
static dh_status check_lexicons(verifier *self)
{
    const uint32_t count = self->settings.lexicons != NULL ? dh_lexicons_count(self->settings.lexicons) : 0;
    for (uint32_t l = 0; l < count; l++) {
        const dh_lexicon_facts facts = dh_lexicons_facts(self->settings.lexicons, l);
        if (strstr((const char *)self->view.config.data, facts.sha256) == NULL) {
            return dh_error(
                DH_MISMATCH,
                "%s was not computed with the lexicon \"%s\" as it is now: name the lexicons of the "
                "run with --lexicon",
                self->view.path, facts.name);
        }
    }
    return DH_OK;
}

/* ---- the sample -------------------------------------------------------------------------------------- */

static dh_status differs(const verifier *self, uint64_t row, const char *path)
{
    return dh_error(DH_MISMATCH, "%s: row %" PRIu64 ": %s is not what its document gives now",
                    self->view.path, row, path);
}

static dh_status compare_category(verifier *self, const char *column, uint64_t row, const char *name)
{
    char path[64];
    uint64_t code = 0;
    (void)snprintf(path, sizeof path, "obs/%s/codes", column);
    DH_TRY(dh_result_view_integer(&self->view, path, row, &code));
    (void)snprintf(path, sizeof path, "obs/%s/categories", column);
    self->expected.size = 0;
    DH_TRY(dh_result_view_text(&self->view, path, code, &self->expected));
    return strcmp((const char *)self->expected.data, name) == 0 ? DH_OK : differs(self, row, path);
}

static dh_status compare_bytes(verifier *self, const char *path, uint64_t row, const void *data, size_t size)
{
    dh_h5_array array;
    DH_TRY(dh_result_view_rows(&self->view, path, row, 1, &array, &self->expected));
    const bool same = self->expected.size == size && memcmp(self->expected.data, data, size) == 0;
    return same ? DH_OK : differs(self, row, path);
}

/* Row `row` of X in the file against columns and values. */
static dh_status compare_sparse(verifier *self, uint64_t row, uint32_t count, const uint32_t *column,
                                const float *data)
{
    dh_h5_array array;
    DH_TRY(dh_result_view_rows(&self->view, "X/indptr", row, 2, &array, &self->expected));
    uint64_t place[2];
    memcpy(place, self->expected.data, sizeof place);
    if (place[1] - place[0] != count) {
        return differs(self, row, "X/indptr");
    }
    if (count == 0) {
        return DH_OK;
    }
    DH_TRY(dh_result_view_rows(&self->view, "X/indices", place[0], count, &array, &self->expected));
    if (memcmp(self->expected.data, column, count * sizeof *column) != 0) {
        return differs(self, row, "X/indices");
    }
    DH_TRY(dh_result_view_rows(&self->view, "X/data", place[0], count, &array, &self->expected));
    return memcmp(self->expected.data, data, count * sizeof *data) == 0 ? DH_OK
                                                                        : differs(self, row, "X/data");
}

static dh_status compare_row(verifier *self, const dh_chunk *chunk, uint32_t at, uint64_t row)
{
    const dh_schema *schema = &self->settings.schema;
    DH_TRY(compare_bytes(self, "obs/bytes", row, (uint32_t *)chunk->column[DH_ENGINE_BYTES] + at,
                         sizeof(uint32_t)));
    DH_TRY(compare_bytes(self, "obs/tokens", row, (uint32_t *)chunk->column[DH_ENGINE_TOKENS] + at,
                         sizeof(uint32_t)));
    DH_TRY(compare_category(self, "lang", row,
                            dh_language_name(((uint16_t *)chunk->column[DH_ENGINE_LANGUAGE])[at])));
    DH_TRY(compare_category(self, "status", row,
                            dh_document_status_name[((uint8_t *)chunk->column[DH_ENGINE_STATUS])[at]]));
    for (uint32_t c = DH_ENGINE_COLUMNS; c < schema->column_count; c++) {
        if (schema->column[c].place != DH_OBS && schema->column[c].place != DH_OBSM) {
            continue;
        }
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", schema->column[c].place == DH_OBS ? "obs" : "obsm",
                       schema->column[c].name);
        DH_TRY(compare_bytes(self, path, row, (const char *)chunk->column[c] + at * schema->row_size[c],
                             schema->row_size[c]));
    }
    self->compared++;
    return DH_OK;
}

/* The document's row of X, from its n-grams now and the weights of the file. */
static dh_status compare_matrix_row(verifier *self, const uint8_t *bytes, uint32_t size, uint32_t count,
                                    uint64_t row)
{
    dh_buffer made = {0};
    const uint8_t *end = bytes + size;
    dh_status status = dh_buffer_reserve(&made, 3 * sizeof(uint32_t) * (count > 0 ? count : 1));
    if (status == DH_OK) {
        uint32_t *column = (uint32_t *)(void *)made.data;
        int32_t *value = (int32_t *)(void *)(column + count);
        float *data = (float *)(void *)(value + count);
        if (!dh_features_decode(&bytes, end, self->features.columns, count, column, value)) {
            status = differs(self, row, "X/indices");
        } else {
            dh_features_weigh(&self->features, &self->settings.job_options, count, column, value, data);
            status = compare_sparse(self, row, count, column, data);
        }
    }
    dh_buffer_free(&made);
    return status;
}

static dh_status compare_matrix(verifier *self, const dh_chunk *chunk, uint32_t first)
{
    const uint32_t *count = chunk->column[DH_ENGINE_VALUES];
    const uint32_t *size = chunk->column[DH_ENGINE_VALUE_BYTES];
    const uint8_t *bytes = chunk->values.data;
    for (uint32_t i = 0; i < chunk->rows; i++) {
        DH_TRY(compare_matrix_row(self, bytes, size[i], count[i], self->row[first + i]));
        bytes += size[i];
    }
    return DH_OK;
}

static dh_status take_chunk(void *context, dh_chunk *chunk)
{
    verifier *self = context;
    const uint32_t first = (uint32_t)self->next;
    for (uint32_t i = 0; i < chunk->rows; i++) {
        DH_TRY(compare_row(self, chunk, i, self->row[self->next++]));
    }
    return self->settings.value_job != NULL ? compare_matrix(self, chunk, first) : DH_OK;
}

static dh_status choose_rows(verifier *self)
{
    const uint64_t asked = dh_options_number(self->options, DH_OPTION_SAMPLE);
    self->sample_count = asked < self->view.rows ? asked : self->view.rows;
    void *memory = NULL;
    DH_TRY(dh_allocate(self->sample_count, sizeof *self->row, "the sample", &memory));
    self->row = memory;
    for (uint64_t i = 0; i < self->sample_count; i++) { /* evenly over the file */
        self->row[i] = (uint64_t)((unsigned __int128)i * self->view.rows / self->sample_count);
    }
    return DH_OK;
}

/* The documents [first, last) of the sample are of one source. */
static dh_status check_source(verifier *self, dh_pipeline *pipeline, uint64_t code, uint64_t first,
                              uint64_t last)
{
    const dh_plan *plan = (const dh_plan *)(const void *)self->plan_block.data;
    dh_buffer name = {0};
    void *memory = NULL;
    uint64_t index = 0;
    uint64_t found = 0;
    dh_status status = dh_result_view_text(&self->view, "obs/source/categories", code, &name);
    if (status == DH_OK) {
        status = dh_result_source_find(&self->view, plan, (const char *)name.data, &index);
    }
    if (status == DH_OK) {
        status = dh_allocate(last - first, sizeof(uint64_t), "the sample", &memory);
    }
    uint64_t *offset = memory;
    for (uint64_t i = first; i < last && status == DH_OK; i++) {
        status = dh_result_view_integer(&self->view, "obs/offset", self->row[i], &offset[i - first]);
    }
    self->next = first;
    if (status == DH_OK) {
        const dh_source *source = dh_plan_source(plan, index);
        status = dh_pipeline_pick(pipeline, (uint32_t)index, dh_plan_string(plan, source->path),
                                  dh_plan_string(plan, source->name), offset, last - first, &found);
    }
    if (status == DH_OK && found != last - first) {
        status = dh_error(DH_MISMATCH,
                          "%s: source %s has %" PRIu64 " of %" PRIu64 " documents of the sample no more",
                          self->view.path, (const char *)name.data, last - first - found, last - first);
    }
    free(memory);
    dh_buffer_free(&name);
    return status;
}

static dh_status check_sample(verifier *self, dh_pipeline *pipeline)
{
    for (uint64_t first = 0; first < self->sample_count;) {
        uint64_t code = 0;
        DH_TRY(dh_result_view_integer(&self->view, "obs/source/codes", self->row[first], &code));
        uint64_t last = first + 1;
        for (uint64_t next = code; last < self->sample_count; last++) {
            DH_TRY(dh_result_view_integer(&self->view, "obs/source/codes", self->row[last], &next));
            if (next != code) {
                break;
            }
        }
        DH_TRY(check_source(self, pipeline, code, first, last));
        first = last;
    }
    return DH_OK;
}

/* X and the weights of its columns are read without another look at their types. */
static dh_status check_array(verifier *self, const char *path, dh_type type, uint64_t elements)
{
    dh_h5_array array;
    DH_TRY(dh_result_view_describe(&self->view, path, DH_WANT_VALUES, &array));
    if (array.type != type) {
        return dh_error(DH_MISMATCH, "%s: %s has another type than dhatu writes", self->view.path, path);
    }
    return elements == ANY_COUNT || array.dims[0] == elements
               ? DH_OK
               : dh_error(DH_MISMATCH, "%s: %s has %" PRIu64 " elements instead of %" PRIu64, self->view.path,
                          path, array.dims[0], elements);
}

static dh_status read_weights(verifier *self)
{
    const uint64_t columns = self->settings.job_options.features;
    dh_h5_array array;
    DH_TRY(check_array(self, "var/idf", DH_F64, columns));
    DH_TRY(check_array(self, "X/indptr", DH_I64, self->view.rows + 1));
    DH_TRY(check_array(self, "X/indices", DH_I32, ANY_COUNT));
    DH_TRY(check_array(self, "X/data", DH_F32, ANY_COUNT));
    DH_TRY(dh_result_view_all(&self->view, "var/idf", &array, &self->weights));
    self->features =
        (dh_features){.columns = columns, .weight = (const double *)(const void *)self->weights.data};
    return DH_OK;
}

static dh_status compute_again(verifier *self)
{
    dh_pipeline *pipeline = NULL;
    DH_TRY(resolve_run(self));
    DH_TRY(check_lexicons(self));
    DH_TRY(dh_result_list_sources(dh_options_text(self->options, DH_OPTION_SOURCES), &self->settings.records,
                                  &self->plan_block));
    DH_TRY(choose_rows(self));
    if (self->settings.value_job != NULL) {
        DH_TRY(read_weights(self));
    }
    const dh_pipeline_hooks hooks = {.take = take_chunk, .context = self};
    DH_TRY(dh_pipeline_create(&self->settings, &hooks, &pipeline));
    const dh_status status = check_sample(self, pipeline);
    dh_pipeline_free(pipeline);
    return status;
}

/* ---- all --------------------------------------------------------------------------------------------- */

static dh_status print_outcome(const verifier *self, dh_status status)
{
    if (!dh_options_flag(self->options, DH_OPTION_JSON)) {
        if (status == DH_OK && !dh_options_flag(self->options, DH_OPTION_QUIET)) {
            (void)printf("%s: good: %" PRIu64 " documents, %" PRIu64 " datasets, content %s\n",
                         self->view.path, self->view.rows, self->datasets,
                         (const char *)self->view.content.data);
            if (self->sample_count > 0) {
                (void)printf("%" PRIu64
                             " documents computed again from the sources: the same to the last bit\n",
                             self->compared);
            }
        }
        return status;
    }
    (void)printf("{\"good\":%s,\"documents\":%" PRIu64 ",\"datasets\":%" PRIu64 ",\"computed_again\":%" PRIu64
                 ",\"content_sha256\":\"%s\"}\n",
                 status == DH_OK ? "true" : "false", self->view.rows, self->datasets, self->compared,
                 (const char *)self->view.content.data);
    return status;
}

dh_status dh_command_verify(const dh_options *options)
{
    DH_TRY(dh_result_check_arguments(options, 1, "verify needs one result"));
    verifier self = {.options = options};
    DH_TRY(dh_result_view_open(options->argument[0], &self.view));
    dh_status status = check_schema(&self);
    if (status == DH_OK) {
        status = check_content(&self);
    }
    if (status == DH_OK && dh_options_text(options, DH_OPTION_SOURCES) != NULL) {
        status = compute_again(&self);
    }
    status = print_outcome(&self, status);
    dh_options_free(&self.run_options);
    dh_settings_free(&self.settings);
    dh_buffer_free(&self.plan_block);
    dh_buffer_free(&self.weights);
    dh_buffer_free(&self.expected);
    free(self.row);
    dh_result_view_close(&self.view);
    return status;
}
