/* dhatu jobs: what can be computed. */
#include "commands/commands.h"

#include "run/settings.h"

#include <string.h>

static dh_status append_column(dh_buffer *out, const dh_column *column, bool json, const char *comma)
{
    static const char *const type[DH_TYPE_COUNT] = {"uint8", "uint16",  "uint32",  "uint64", "int32",
                                                    "int64", "float32", "float64", "text"};
    const char *place = column->place == DH_OBS ? "obs" : "obsm";
    if (!json) {
        return dh_buffer_printf(out, "    %s/%-16s %-8s %3u  %s\n", place, column->name, type[column->type],
                                column->width, column->description);
    }
    DH_TRY(dh_buffer_printf(
        out, "%s{\"place\":\"%s\",\"name\":\"%s\",\"type\":\"%s\",\"width\":%u,\"description\":", comma,
        place, column->name, type[column->type], column->width));
    DH_TRY(dh_json_append_string(out, column->description, strlen(column->description)));
    return dh_buffer_printf(out, ",\"unit\":\"%s\"}", column->unit);
}

static dh_status append_job(dh_buffer *out, const dh_settings *settings, const dh_active_job *active,
                            bool json, const char *comma)
{
    DH_TRY(dh_buffer_printf(out, json ? "%s{\"name\":\"%s\",\"summary\":\"%s\",\"columns\":[" : "%s%s: %s\n",
                            json ? comma : "", active->job->name, active->job->summary));
    for (uint32_t c = 0, shown = 0; c < active->column_count; c++) {
        const dh_column *column = &settings->schema.column[active->first_column + c];
        if (column->place != DH_OBS && column->place != DH_OBSM) {
            continue;
        }
        DH_TRY(append_column(out, column, json, shown++ > 0 ? "," : ""));
    }
    const char *adds = active->job->adds;
    if (json) {
        DH_TRY(dh_buffer_printf(out, "],\"adds\":"));
        DH_TRY(adds != NULL ? dh_json_append_string(out, adds, strlen(adds)) : dh_buffer_printf(out, "null"));
        return dh_buffer_printf(out, "}");
    }
    return dh_buffer_printf(out, "%s\n", adds != NULL ? adds : "");
}

dh_status dh_command_jobs(const dh_options *options)
{
    const bool json = dh_options_flag(options, DH_OPTION_JSON);
    /* The columns of a job depend on its lexicons: show them as the defaults make them. */
    dh_options all = *options;
    all.value[DH_OPTION_JOBS] = NULL;
    dh_buffer names = {0};
    for (size_t j = 0; dh_jobs[j] != NULL; j++) {
        DH_TRY(dh_buffer_printf(&names, "%s%s", j > 0 ? "," : "", dh_jobs[j]->name));
    }
    DH_TRY(dh_buffer_append(&names, "", 1));
    all.value[DH_OPTION_JOBS] = (char *)names.data;
    dh_settings settings = {0};
    dh_buffer out = {0};
    dh_status status = dh_settings_resolve(&all, &settings);
    if (status == DH_OK && json) {
        status = dh_buffer_printf(&out, "[");
    }
    for (uint32_t j = 0; j < settings.job_count && status == DH_OK; j++) {
        status = append_job(&out, &settings, &settings.job[j], json, j > 0 ? "," : "");
    }
    if (status == DH_OK && json) {
        status = dh_buffer_printf(&out, "]\n");
    }
    if (status == DH_OK) {
        status = dh_print(&out);
    }
    dh_settings_free(&settings);
    dh_buffer_free(&out);
    dh_buffer_free(&names);
    return status;
}
