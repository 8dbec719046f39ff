#include "commands/run_paths.h"

#include "base/file.h"
#include "base/log.h"
#include "checkpoint/survey.h"
#include "commands/commands.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static dh_status join(const char *path, const char *suffix, char **out)
{
    const size_t size = strlen(path) + strlen(suffix) + 1;
    void *memory = NULL;
    DH_TRY(dh_allocate(size, 1, "a path", &memory));
    (void)snprintf(memory, size, "%s%s", path, suffix);
    *out = memory;
    return DH_OK;
}

static dh_status absolute(const char *path, char **out)
{
    char folder[PATH_MAX] = "";
    if (path[0] != '/' && getcwd(folder, sizeof folder - 1) == NULL) {
        return dh_error(DH_IO, "cannot find the working folder");
    }
    if (path[0] != '/') {
        (void)strcat(folder, "/");
    }
    return join(folder, path, out);
}

static dh_status resolve(const dh_options *options, dh_run_paths *out)
{
    const char *output = dh_options_text(options, DH_OPTION_OUTPUT);
    if (output[0] == '\0' || output[strlen(output) - 1] == '/') {
        return dh_error(DH_USAGE, "--output: \"%s\" is not the name of a file", output);
    }
    DH_TRY(absolute(output, &out->output));
    DH_TRY(join(out->output, ".quarantine.jsonl", &out->quarantine));
    DH_TRY(join(out->output, ".vocab.tsv", &out->vocabulary));
    const char *checkpoint = dh_options_text(options, DH_OPTION_CHECKPOINT);
    return checkpoint != NULL ? absolute(checkpoint, &out->folder) : join(out->output, ".ckpt", &out->folder);
}

dh_status dh_run_paths_resolve(const dh_options *options, dh_run_paths *out)
{
    dh_run_paths paths = {0};
    const dh_status status = resolve(options, &paths);
    if (status != DH_OK) {
        dh_run_paths_free(&paths);
        return status;
    }
    *out = paths;
    return DH_OK;
}

void dh_run_paths_free(dh_run_paths *paths)
{
    free(paths->output);
    free(paths->quarantine);
    free(paths->vocabulary);
    free(paths->folder);
    *paths = (dh_run_paths){0};
}

/* ---- --where ----------------------------------------------------------------------------------------- */

static dh_status state_of(const dh_options *options, const dh_run_paths *paths, const char **out)
{
    bool result = false;
    bool folder = false;
    dh_survey survey = {0};
    DH_TRY(dh_file_exists(paths->output, &result));
    DH_TRY(dh_file_exists(paths->folder, &folder));
    if (folder) {
        DH_TRY(dh_survey_make(paths->folder, &survey));
    }
    const bool begun = survey.state != DH_HOLDER_NONE && !dh_survey_is_complete(&survey);
    const bool again = dh_options_flag(options, DH_OPTION_FORCE) || dh_options_flag(options, DH_OPTION_FRESH);
    *out = begun ? "open" : (result && !again ? "done" : "absent");
    return DH_OK;
}

dh_status dh_run_where(const dh_options *options)
{
    dh_run_paths paths;
    dh_buffer text = {0};
    const char *state = NULL;
    DH_TRY(dh_run_paths_resolve(options, &paths));
    dh_status status = state_of(options, &paths, &state);
    if (status == DH_OK) {
        status = dh_buffer_printf(&text, "result %s\ncheckpoint %s\nstate %s\n", paths.output, paths.folder,
                                  state);
    }
    if (status == DH_OK) {
        status = dh_print(&text);
    }
    dh_buffer_free(&text);
    dh_run_paths_free(&paths);
    return status;
}
