#include "commands/result_corpus.h"

#include "base/log.h"
#include "read/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS_MAX = 256 };

/* ---- options of the run ------------------------------------------------------------------------------- */

static dh_status config_value(const dh_result_view *view, const char *name, dh_json_value *value)
{
    dh_json_paths *paths = NULL;
    const char *const path[] = {name};
    size_t error_offset = 0;
    DH_TRY(dh_json_paths_create(path, 1, &paths));
    const dh_json_error error =
        dh_json_scan(paths, view->config.data, view->config.size, value, &error_offset);
    dh_json_paths_free(paths);
    return error == DH_JSON_OK ? DH_OK
                               : dh_error(DH_MISMATCH, "%s: uns/dhatu/config is not JSON", view->path);
}

static dh_status take_option(const dh_result_view *view, dh_option_id id, dh_options *out)
{
    dh_json_value value;
    DH_TRY(config_value(view, dh_option_table[id].name, &value));
    if (value.kind != DH_JSON_STRING && value.kind != DH_JSON_NUMBER) {
        return DH_OK; /* null: it was not set */
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(value.size + 1, 1, "an option", &memory));
    uint64_t replaced = 0;
    size_t size = value.size;
    if (value.kind == DH_JSON_STRING) {
        size = dh_json_unescape(&value, memory, &replaced);
    } else {
        memcpy(memory, value.text, value.size);
    }
    ((char *)memory)[size] = '\0';
    const dh_status status = dh_options_set(out, id, memory, DH_ORIGIN_FLAG, "uns/dhatu/config");
    free(memory);
    return status;
}

dh_status dh_result_run_options(const dh_result_view *view, dh_options *out)
{
    char program[] = "dhatu";
    char command[] = "run";
    char *argv[] = {program, command, NULL};
    dh_options options = {0};
    dh_status status = dh_options_resolve(2, argv, &options);
    for (int id = 0; id < DH_OPTION_COUNT && status == DH_OK; id++) {
        if (dh_option_table[id].in_result && id != DH_OPTION_LEXICON) {
            status = take_option(view, (dh_option_id)id, &options);
        }
    }
    if (status != DH_OK) {
        dh_options_free(&options);
        return status;
    }
    *out = options;
    return DH_OK;
}

dh_status dh_result_record_options(const dh_options *run_options, dh_record_options *out)
{
    const char *const path[DH_FIELD_COUNT] = {
        [DH_FIELD_TEXT] = dh_options_text(run_options, DH_OPTION_TEXT_FIELD),
        [DH_FIELD_ID] = dh_options_text(run_options, DH_OPTION_ID_FIELD),
        [DH_FIELD_LANG] = dh_options_text(run_options, DH_OPTION_LANG_FIELD),
    };
    const char *name = dh_options_text(run_options, DH_OPTION_FORMAT);
    dh_format format = DH_FORMAT_AUTO;
    if (strcmp(name, "jsonl") == 0) {
        format = DH_FORMAT_JSONL;
    } else if (strcmp(name, "text") == 0) {
        format = DH_FORMAT_TEXT;
    }
    dh_json_paths *paths = NULL;
    DH_TRY(dh_json_paths_create(path, DH_FIELD_COUNT, &paths));
    *out = (dh_record_options){
        .format = format,
        .paths = paths,
        .record_max = dh_options_number(run_options, DH_OPTION_MAX_RECORD),
        .limits = {.zstd_window_max = dh_options_number(run_options, DH_OPTION_ZSTD_WINDOW)},
    };
    return DH_OK;
}

/* ---- the command line --------------------------------------------------------------------------------- */

dh_status dh_result_check_arguments(const dh_options *options, int wanted, const char *needs)
{
    if (options->argument_count == wanted) {
        return DH_OK;
    }
    if (options->argument_count > wanted && dh_options_text(options, DH_OPTION_SOURCES) != NULL) {
        return dh_error(DH_USAGE,
                        "%s, not \"%s\" besides: give --sources once for each source, or a glob in quotes",
                        needs, options->argument[wanted]);
    }
    return dh_error(DH_USAGE, "%s (dhatu %s --help)", needs, dh_command_table[options->command].name);
}

/* ---- sources ------------------------------------------------------------------------------------------ */

dh_status dh_result_list_sources(const char *inputs, const dh_record_options *records, dh_buffer *block)
{
    char *list = strdup(inputs);
    char *input[INPUTS_MAX];
    size_t count = 0;
    if (list == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: the sources");
    }
    char *rest = NULL;
    dh_status status = DH_OK;
    for (char *one = strtok_r(list, "\n", &rest); one != NULL; one = strtok_r(NULL, "\n", &rest)) {
        if (count == INPUTS_MAX) {
            status = dh_error(DH_USAGE, "more than %d --sources: use a folder, a glob in quotes or @LIST",
                              INPUTS_MAX);
            break;
        }
        input[count++] = one;
    }
    const dh_plan_options options = {.format = records->format, .segment_size = DH_CONTENT_BLOCK};
    if (status == DH_OK) {
        status = dh_plan_make(&options, input, count, block);
    }
    free(list);
    return status;
}

dh_status dh_result_source_read(dh_result_view *view, uint64_t number, dh_result_source *source)
{
    source->name.size = 0;
    source->hash.size = 0;
    DH_TRY(dh_result_view_text(view, "uns/dhatu/sources/_index", number, &source->name));
    DH_TRY(dh_result_view_text(view, "uns/dhatu/sources/hash", number, &source->hash));
    DH_TRY(dh_result_view_integer(view, "uns/dhatu/sources/bytes", number, &source->bytes));
    return dh_result_view_integer(view, "uns/dhatu/sources/documents", number, &source->documents);
}

void dh_result_source_free(dh_result_source *source)
{
    dh_buffer_free(&source->name);
    dh_buffer_free(&source->hash);
    *source = (dh_result_source){0};
}

dh_status dh_result_source_find(const dh_result_view *view, const dh_plan *plan, const char *name,
                                uint64_t *number)
{
    uint64_t low = 0;
    uint64_t high = plan->source_count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (strcmp(dh_plan_name(plan, middle), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == plan->source_count || strcmp(dh_plan_name(plan, low), name) != 0) {
        return dh_error(DH_MISMATCH, "%s: source %s is not among those given by --sources", view->path, name);
    }
    *number = low;
    return DH_OK;
}
