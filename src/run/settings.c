#include "run/settings.h"

#include "base/file.h"
#include "base/log.h"
#include "dhatu_config.h"
#include "lexicon/language.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const dh_document_status_name[DH_DOCUMENT_STATUS_COUNT] = {"ok", "repaired", "no-tokens"};

static const dh_column engine_column[DH_ENGINE_COLUMNS] = {
    [DH_ENGINE_SOURCE] = {.name = "source", .type = DH_U32, .width = 1},
    [DH_ENGINE_RECORD] = {.name = "record", .type = DH_U64, .width = 1},
    [DH_ENGINE_OFFSET] = {.name = "offset", .type = DH_U64, .width = 1},
    [DH_ENGINE_BYTES] = {.name = "bytes", .type = DH_U32, .width = 1},
    [DH_ENGINE_TOKENS] = {.name = "tokens", .type = DH_U32, .width = 1},
    [DH_ENGINE_LANGUAGE] = {.name = "lang", .type = DH_U16, .width = 1},
    [DH_ENGINE_STATUS] = {.name = "status", .type = DH_U8, .width = 1},
    [DH_ENGINE_ID_END] = {.name = "id", .type = DH_U32, .width = 1},
    [DH_ENGINE_VALUES] = {.name = "values", .type = DH_U32, .width = 1},
    [DH_ENGINE_VALUE_BYTES] = {.name = "value bytes", .type = DH_U32, .width = 1},
};

/* ---- lexicons ---------------------------------------------------------------------------------------- */

/* Where data/ is: DHATU_DATA, else beside the installed program, else the source tree it was built in. */
static dh_status find_lexicon(const char *name, dh_buffer *out)
{
    const char *chosen = getenv("DHATU_DATA");
    char program[4096] = "";
    const ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    char relative[4200] = "";
    if (size > 0) {
        program[size] = '\0';
        char *slash = strrchr(program, '/');
        *slash = '\0';
        (void)snprintf(relative, sizeof relative, "%s/../share/dhatu", program);
    }
    const char *const folder[] = {chosen != NULL ? chosen : "", relative, DHATU_INSTALL_DATADIR,
                                  DHATU_SOURCE_DATADIR};
    for (size_t i = 0; i < sizeof folder / sizeof *folder; i++) {
        char path[4400];
        (void)snprintf(path, sizeof path, "%s/lexicon/%s", folder[i], name);
        bool there = false;
        if (folder[i][0] != '\0') {
            DH_TRY(dh_file_exists(path, &there));
        }
        if (there) {
            return dh_buffer_printf(out, "%s%s", out->size > 0 ? "\n" : "", path);
        }
    }
    return dh_error(
        DH_IO,
        "the lexicon %s was not found; set DHATU_DATA to the folder that has lexicon/%s, or name a "
        "lexicon with --lexicon",
        name, name);
}

dh_status dh_default_lexicons(dh_buffer *out)
{
    DH_TRY(find_lexicon("en.tsv", out));
    DH_TRY(find_lexicon("fr.tsv", out));
    return DH_OK;
}

static dh_status load_lexicons(dh_settings *settings, const dh_options *options)
{
    DH_TRY(dh_lexicons_create(settings->token_mode, &settings->lexicons));
    dh_buffer list = {0};
    const char *chosen = dh_options_text(options, DH_OPTION_LEXICON);
    dh_status status = chosen != NULL ? dh_buffer_printf(&list, "%s", chosen) : dh_default_lexicons(&list);
    if (status == DH_OK) {
        status = dh_buffer_append(&list, "", 1);
    }
    char *rest = NULL;
    for (char *path = status == DH_OK ? strtok_r((char *)list.data, "\n", &rest) : NULL;
         path != NULL && status == DH_OK; path = strtok_r(NULL, "\n", &rest)) {
        status = dh_lexicons_load(settings->lexicons, path);
    }
    dh_buffer_free(&list);
    return status == DH_OK ? dh_lexicons_compile(settings->lexicons) : status;
}

/* ---- jobs -------------------------------------------------------------------------------------------- */

static dh_status choose_job(dh_settings *settings, const dh_job *job)
{
    for (uint32_t j = 0; j < settings->job_count; j++) {
        if (settings->job[j].job == job) {
            return dh_error(DH_USAGE, "--jobs names %s twice", job->name);
        }
    }
    if (settings->job_count == DH_JOBS_MAX) {
        return dh_error(DH_USAGE, "more than %d jobs", DH_JOBS_MAX);
    }
    settings->job[settings->job_count++] = (dh_active_job){.job = job};
    return DH_OK;
}

static dh_status choose_jobs(dh_settings *settings, const char *names)
{
    if (names[0] == '\0') {
        return dh_error(DH_USAGE, "--jobs names no job (dhatu jobs lists them)");
    }
    DH_TRY(choose_job(settings, &dh_job_documents));
    while (*names != '\0') {
        const size_t size = strcspn(names, ",");
        const dh_job *job = dh_job_find(names, size);
        if (job == NULL) {
            return dh_error(DH_USAGE, "--jobs: there is no job \"%.*s\" (dhatu jobs lists them)", (int)size,
                            names);
        }
        DH_TRY(choose_job(settings, job));
        names += size + (names[size] == ',');
    }
    return DH_OK;
}

static dh_status create_job(dh_settings *settings, dh_active_job *active)
{
    dh_schema *schema = &settings->schema;
    DH_TRY(active->job->create(&settings->job_setup, &active->state));
    active->first_column = schema->column_count;
    active->column_count = active->job->columns(active->state, schema->column + schema->column_count);
    for (uint32_t c = 0; c < active->column_count; c++) {
        const uint32_t place = schema->column_count + c;
        schema->row_size[place] = dh_column_row_size(&schema->column[place]);
    }
    schema->column_count += active->column_count;
    active->first_source_sum = schema->source_sum_count;
    active->source_sum_count =
        active->job->source_sum_count != NULL ? active->job->source_sum_count(active->state) : 0;
    schema->source_sum_count += active->source_sum_count;
    if (active->job->values != NULL && settings->value_job != NULL) {
        return dh_error(DH_INTERNAL, "jobs %s and %s both have values", settings->value_job->job->name,
                        active->job->name);
    }
    settings->value_job = active->job->values != NULL ? active : settings->value_job;
    return DH_OK;
}

const dh_active_job *dh_settings_job(const dh_settings *settings, const dh_job *job)
{
    for (uint32_t j = 0; j < settings->job_count; j++) {
        if (settings->job[j].job == job) {
            return &settings->job[j];
        }
    }
    return NULL;
}

dh_status dh_settings_ready(const dh_settings *settings, dh_backend *backend)
{
    for (uint32_t j = 0; j < settings->job_count; j++) {
        const dh_active_job *active = &settings->job[j];
        DH_TRY(active->job->self_test(active->state, backend));
        const dh_backend_status loaded =
            active->job->load != NULL ? active->job->load(active->state, backend) : DH_BACKEND_OK;
        if (loaded != DH_BACKEND_OK) {
            return dh_error(DH_FAILED, "job %s cannot be loaded on backend %s: %s", active->job->name,
                            backend->kind->name,
                            loaded == DH_BACKEND_NO_MEMORY ? "no memory" : backend->kind->error(backend));
        }
    }
    return DH_OK;
}

static dh_status create_jobs(dh_settings *settings)
{
    dh_schema *schema = &settings->schema;
    for (uint32_t c = 0; c < DH_ENGINE_COLUMNS; c++) {
        schema->column[c] = engine_column[c];
        schema->row_size[c] = dh_column_row_size(&engine_column[c]);
    }
    schema->column_count = DH_ENGINE_COLUMNS;
    for (uint32_t j = 0; j < settings->job_count; j++) {
        if (schema->column_count + DH_JOB_COLUMNS_MAX > DH_SCHEMA_COLUMNS_MAX) {
            return dh_error(DH_USAGE, "the jobs have more than %d columns together", DH_SCHEMA_COLUMNS_MAX);
        }
        DH_TRY(create_job(settings, &settings->job[j]));
    }
    return DH_OK;
}

/* The CPU is always there: for what no device does. */
static dh_status open_backend(dh_settings *settings, const char *name)
{
    const dh_backend_kind *kind = dh_backend_kind_find(name);
    if (kind != NULL && kind->not_built != NULL) {
        return dh_error(DH_USAGE, "--backend %s: %s", name, kind->not_built);
    }
    char why[DH_BACKEND_TEXT];
    const dh_backend_options one_lane = {.lanes = 1};
    const dh_backend_status opened = dh_backend_cpu.open(&one_lane, &settings->backend, why);
    if (opened == DH_BACKEND_NO_MEMORY) {
        return dh_error(DH_NO_MEMORY, "out of memory: the CPU backend");
    }
    settings->device_kind = kind;
    return opened == DH_BACKEND_OK ? DH_OK : dh_error(DH_FAILED, "the CPU backend cannot be opened: %s", why);
}

/* ---- options ----------------------------------------------------------------------------------------- */

static dh_format format_option(const char *name)
{
    return strcmp(name, "jsonl") == 0 ? DH_FORMAT_JSONL
                                      : (strcmp(name, "text") == 0 ? DH_FORMAT_TEXT : DH_FORMAT_AUTO);
}

static dh_status resolve_values(dh_settings *settings, const dh_options *options)
{
    const char *const path[DH_FIELD_COUNT] = {
        [DH_FIELD_TEXT] = dh_options_text(options, DH_OPTION_TEXT_FIELD),
        [DH_FIELD_ID] = dh_options_text(options, DH_OPTION_ID_FIELD),
        [DH_FIELD_LANG] = dh_options_text(options, DH_OPTION_LANG_FIELD),
    };
    dh_json_paths *paths = NULL;
    DH_TRY(dh_json_paths_create(path, DH_FIELD_COUNT, &paths));
    settings->records = (dh_record_options){
        .format = format_option(dh_options_text(options, DH_OPTION_FORMAT)),
        .paths = paths,
        .record_max = dh_options_number(options, DH_OPTION_MAX_RECORD),
        .limits = {.zstd_window_max = dh_options_number(options, DH_OPTION_ZSTD_WINDOW)},
    };
    settings->token_mode = strcmp(dh_options_text(options, DH_OPTION_TOKENS), "sklearn") == 0
                               ? DH_TOKENS_SKLEARN
                               : DH_TOKENS_UNICODE;
    settings->token_limit = dh_options_number(options, DH_OPTION_MAX_TOKENS);
    settings->id_limit = dh_options_number(options, DH_OPTION_MAX_ID);
    settings->batch_size = dh_options_number(options, DH_OPTION_BATCH_SIZE);
    const char *language = dh_options_text(options, DH_OPTION_LANG);
    if (language != NULL) {
        settings->default_language = dh_language_parse(language, strlen(language));
        if (settings->default_language == DH_LANGUAGE_UNKNOWN) {
            return dh_error(DH_USAGE, "--lang: \"%s\" is no language code of two or three letters", language);
        }
    }
    return DH_OK;
}

/* --ngrams: N or M-N. */
static dh_status resolve_ngrams(const char *text, dh_ngram_range *out)
{
    char *end = NULL;
    const unsigned long least = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    unsigned long most = least;
    if (least > 0 && *end == '-' && end[1] >= '0' && end[1] <= '9') {
        most = strtoul(end + 1, &end, 10);
    }
    if (least == 0 || *end != '\0' || most < least || most > DH_NGRAM_TOKENS_MAX) {
        return dh_error(DH_USAGE, "--ngrams: \"%s\" is neither a number nor a range as 1-3 (1 to %d tokens)",
                        text, DH_NGRAM_TOKENS_MAX);
    }
    *out = (dh_ngram_range){.least = (uint32_t)least, .most = (uint32_t)most};
    return DH_OK;
}

static dh_status resolve_threshold(const char *text, double *out)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0.0 && value <= 1.0)) {
        return dh_error(DH_USAGE, "--threshold: \"%s\" is no number above 0 and at most 1", text);
    }
    *out = value;
    return DH_OK;
}

static dh_norm norm_option(const char *name)
{
    return strcmp(name, "l2") == 0 ? DH_NORM_L2 : (strcmp(name, "l1") == 0 ? DH_NORM_L1 : DH_NORM_NONE);
}

static dh_status resolve_job_options(const dh_options *options, dh_job_options *out)
{
    *out = (dh_job_options){
        .features = (uint32_t)dh_options_number(options, DH_OPTION_FEATURES),
        .alternate_sign = strcmp(dh_options_text(options, DH_OPTION_ALTERNATE_SIGN), "yes") == 0,
        .binary = dh_options_flag(options, DH_OPTION_BINARY),
        .idf = strcmp(dh_options_text(options, DH_OPTION_IDF), "yes") == 0,
        .norm = norm_option(dh_options_text(options, DH_OPTION_NORM)),
        .top = dh_options_number(options, DH_OPTION_TOP),
        .shingle_tokens = (uint32_t)dh_options_number(options, DH_OPTION_SHINGLE),
        .bands = (uint32_t)dh_options_number(options, DH_OPTION_BANDS),
        .band_rows = (uint32_t)dh_options_number(options, DH_OPTION_BAND_ROWS),
        .min_shingles = (uint32_t)dh_options_number(options, DH_OPTION_MIN_SHINGLES),
        .minhash_seed = dh_options_number(options, DH_OPTION_MINHASH_SEED),
        .keep_minhash = dh_options_flag(options, DH_OPTION_MINHASH),
    };
    if (out->bands * out->band_rows > DH_PERMUTATIONS_MAX) {
        return dh_error(DH_USAGE, "--bands %u --band-rows %u: %u MinHash values are more than %d", out->bands,
                        out->band_rows, out->bands * out->band_rows, DH_PERMUTATIONS_MAX);
    }
    DH_TRY(resolve_ngrams(dh_options_text(options, DH_OPTION_NGRAMS), &out->ngrams));
    return resolve_threshold(dh_options_text(options, DH_OPTION_THRESHOLD), &out->threshold);
}

dh_status dh_settings_resolve(const dh_options *options, dh_settings *out)
{
    *out = (dh_settings){0};
    DH_TRY(resolve_values(out, options));
    DH_TRY(choose_jobs(out, dh_options_text(options, DH_OPTION_JOBS)));
    for (uint32_t j = 0; j < out->job_count; j++) {
        out->uses_lexicons |= out->job[j].job->uses_lexicons;
        out->uses_spelling |= out->job[j].job->uses_spelling;
        out->uses_terms |= out->job[j].job->uses_terms;
    }
    out->memory = dh_options_number(options, DH_OPTION_MEMORY);
    DH_TRY(resolve_job_options(options, &out->job_options));
    out->job_setup = (dh_job_setup){
        .options = &out->job_options, .language_name = dh_language_name, .language_count = DH_LANGUAGE_COUNT};
    /* The vote for a language needs lexicons, too. */
    if (out->uses_lexicons || out->default_language == DH_LANGUAGE_UNKNOWN) {
        DH_TRY(load_lexicons(out, options));
        out->job_setup.lexicons = dh_lexicons_tables(out->lexicons);
        out->job_setup.category = dh_lexicons_categories(out->lexicons);
    }
    const char *backend = dh_options_text(options, DH_OPTION_BACKEND);
    DH_TRY(open_backend(out, backend != NULL ? backend : "auto"));
    DH_TRY(create_jobs(out));
    return dh_settings_ready(out, out->backend);
}

void dh_settings_free(dh_settings *settings)
{
    for (uint32_t j = 0; j < settings->job_count; j++) {
        if (settings->job[j].state != NULL) {
            settings->job[j].job->free(settings->job[j].state);
        }
    }
    if (settings->backend != NULL) {
        settings->backend->kind->close(settings->backend);
    }
    dh_lexicons_free(settings->lexicons);
    dh_json_paths_free((dh_json_paths *)settings->records.paths);
    *settings = (dh_settings){0};
}

/* ---- config of the result ---------------------------------------------------------------------------- */

static dh_status append_lexicons(const dh_settings *settings, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "["));
    const uint32_t count = settings->lexicons != NULL ? dh_lexicons_count(settings->lexicons) : 0;
    for (uint32_t l = 0; l < count; l++) {
        const dh_lexicon_facts facts = dh_lexicons_facts(settings->lexicons, l);
        DH_TRY(dh_buffer_printf(out, "%s{\"name\":", l > 0 ? "," : ""));
        DH_TRY(dh_json_append_string(out, facts.name, strlen(facts.name)));
        DH_TRY(dh_buffer_printf(out, ",\"language\":\"%s\",\"sha256\":\"%s\",\"terms\":%u}", facts.language,
                                facts.sha256, facts.terms));
    }
    return dh_buffer_printf(out, "]");
}

static bool is_number(const dh_option *option)
{
    return option->kind == DH_KIND_COUNT || option->kind == DH_KIND_SIZE || option->kind == DH_KIND_TIME;
}

static dh_status append_number(const dh_options *options, int id, dh_buffer *out)
{
    return dh_buffer_printf(out, "%llu", (unsigned long long)dh_options_number(options, (dh_option_id)id));
}

dh_status dh_settings_config(const dh_settings *settings, const dh_options *options, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "{"));
    const char *comma = "";
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        const dh_option *option = &dh_option_table[id];
        if (!option->in_result) {
            continue;
        }
        DH_TRY(dh_buffer_printf(out, "%s\"%s\":", comma, option->name));
        comma = ",";
        const char *value = dh_options_text(options, (dh_option_id)id);
        if (id == DH_OPTION_LEXICON) { /* by name and content: a path is no part of the result */
            DH_TRY(append_lexicons(settings, out));
        } else if (value == NULL) {
            DH_TRY(dh_buffer_printf(out, "null"));
        } else if (is_number(option)) {
            DH_TRY(append_number(options, id, out));
        } else {
            DH_TRY(dh_json_append_string(out, value, strlen(value)));
        }
    }
    return dh_buffer_printf(out, "}");
}

dh_status dh_settings_fingerprint(const dh_settings *settings, const dh_options *options, dh_buffer *out)
{
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        const dh_option *option = &dh_option_table[id];
        if (!option->in_result && id != DH_OPTION_SEGMENT_SIZE) {
            continue;
        }
        const char *value = dh_options_text(options, (dh_option_id)id);
        DH_TRY(dh_buffer_printf(out, "%s=", option->name));
        if (id == DH_OPTION_LEXICON) {
            DH_TRY(append_lexicons(settings, out));
        } else if (value != NULL && is_number(option)) {
            DH_TRY(append_number(options, id, out));
        } else if (value != NULL) {
            DH_TRY(dh_json_append_string(out, value, strlen(value)));
        }
        DH_TRY(dh_buffer_printf(out, "\n"));
    }
    const uint16_t probe = 1;
    const bool little = *(const uint8_t *)&probe == 1;
    DH_TRY(dh_buffer_printf(out, "dhatu=%s\nbyte-order=%s\n", DHATU_VERSION, little ? "little" : "big"));
    return dh_buffer_append(out, "", 1);
}
