/* dhatu status: how far a run is, from its checkpoint folder, while it runs and after it died. */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/survey.h"
#include "commands/commands.h"
#include "commands/figures.h"
#include "read/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What follows from a survey and the time of day. Below 0: not known. */
typedef struct progress {
    double text_rate, document_rate; /* a second, in the last attempt */
    double seconds_left;
    double commit_age;
    bool complete;
} progress;

static progress make_progress(const dh_survey *survey)
{
    progress made = {.text_rate = -1.0, .document_rate = -1.0, .seconds_left = -1.0, .commit_age = -1.0};
    const double seconds = survey->attempt_seconds;
    made.complete = dh_survey_is_complete(survey);
    if (survey->last_commit != 0) {
        const double age = 1e-9 * ((double)dh_time_of_day() - (double)survey->last_commit);
        made.commit_age = age > 0 ? age : 0.0;
    }
    if (seconds <= 0) {
        return made;
    }
    made.text_rate = (double)survey->attempt_text_bytes / seconds;
    made.document_rate = (double)survey->attempt_documents / seconds;
    const bool runs = survey->state == DH_HOLDER_ALIVE || survey->state == DH_HOLDER_UNKNOWN;
    if (runs && survey->attempt_file_bytes > 0 && survey->manifest.file_bytes >= survey->file_bytes) {
        const double left = (double)(survey->manifest.file_bytes - survey->file_bytes);
        made.seconds_left = left * seconds / (double)survey->attempt_file_bytes;
    }
    return made;
}

/* ---- for a person ------------------------------------------------------------------------------------ */

static dh_status append_state(dh_buffer *out, const dh_survey *survey, bool complete)
{
    const dh_attempt *holder = &survey->holder;
    switch (survey->state) {
    case DH_HOLDER_NONE:
        return dh_buffer_printf(out, "no run was started on it yet");
    case DH_HOLDER_ENDED:
        return complete ? dh_buffer_printf(out, "complete")
                        : dh_buffer_printf(out, "ended with exit code %d%s", holder->exit_code,
                                           holder->exit_code == 75 ? " (run the same command again to go on)"
                                                                   : "");
    case DH_HOLDER_DEAD:
        return dh_buffer_printf(out, "died (run the same command again to go on)");
    case DH_HOLDER_ALIVE:
        return dh_buffer_printf(out, "running");
    case DH_HOLDER_UNKNOWN:
        break;
    }
    return dh_buffer_printf(out, holder->start == 0 ? "not known: the attempt's file is damaged"
                                                    : "not known: on another host, or in a container");
}

/* out.h5.ckpt: running on node12 (pid 4711, Slurm job 123456), attempt 3, 16 ranks */
static dh_status append_headline(dh_buffer *out, const char *folder, const dh_survey *survey, bool complete)
{
    const dh_attempt *holder = &survey->holder;
    DH_TRY(dh_buffer_printf(out, "%s: ", folder));
    DH_TRY(append_state(out, survey, complete));
    if (holder->start != 0) {
        DH_TRY(dh_buffer_printf(out, "%s %s (pid %" PRId64,
                                survey->state == DH_HOLDER_ALIVE ? " on" : ", was on", holder->host,
                                holder->pid));
        DH_TRY(holder->job[0] != '\0' ? dh_buffer_printf(out, ", Slurm job %s)", holder->job)
                                      : dh_buffer_printf(out, ")"));
    }
    if (holder->epoch != 0) {
        DH_TRY(dh_buffer_printf(out, ", attempt %" PRIu32, holder->epoch));
    }
    if (holder->ranks != 0) {
        DH_TRY(dh_buffer_printf(out, ", %d rank%s", holder->ranks, holder->ranks == 1 ? "" : "s"));
    }
    return dh_buffer_printf(out, "\n");
}

static dh_status append_segments(dh_buffer *out, const dh_survey *survey)
{
    const double all = (double)survey->segments_done + (double)survey->segments_open;
    DH_TRY(dh_buffer_printf(out, "segments    "));
    DH_TRY(dh_append_count(out, survey->segments_done));
    DH_TRY(dh_buffer_printf(out, " done, %s", survey->open_is_estimate ? "about " : ""));
    DH_TRY(dh_append_count(out, survey->segments_open));
    /* Rounded down: 100 % is said when nothing is open. */
    DH_TRY(dh_buffer_printf(out, " open (%d %%)\n",
                            all > 0 ? (int)(100.0 * (double)survey->segments_done / all) : 0));
    DH_TRY(dh_buffer_printf(out, "documents   "));
    DH_TRY(dh_append_count(out, survey->documents));
    DH_TRY(dh_buffer_printf(out, ", bad records "));
    DH_TRY(dh_append_count(out, survey->bad));
    DH_TRY(dh_buffer_printf(out, "\ntext        "));
    DH_TRY(dh_append_size(out, (double)survey->text_bytes));
    DH_TRY(dh_buffer_printf(out, " so far; files "));
    DH_TRY(dh_append_size(out, (double)survey->file_bytes));
    DH_TRY(dh_buffer_printf(out, " of "));
    DH_TRY(dh_append_size(out, (double)survey->manifest.file_bytes));
    return dh_buffer_printf(out, "\n");
}

static dh_status append_pace(dh_buffer *out, const dh_survey *survey, const progress *made)
{
    const bool runs = survey->state == DH_HOLDER_ALIVE || survey->state == DH_HOLDER_UNKNOWN;
    if (made->text_rate >= 0) {
        DH_TRY(dh_buffer_printf(out, "rate        "));
        DH_TRY(dh_append_size(out, made->text_rate));
        DH_TRY(dh_buffer_printf(out, "/s of text, "));
        DH_TRY(dh_append_count(out, (uint64_t)(made->document_rate + 0.5)));
        DH_TRY(dh_buffer_printf(out, " documents/s in attempt %" PRIu32 "\n", survey->holder.epoch));
    }
    if (runs && survey->segments_open == 0) {
        DH_TRY(
            dh_buffer_printf(out, "time left   not known: all segments are done, the result is written\n"));
    } else if (made->seconds_left >= 0) {
        DH_TRY(dh_buffer_printf(out, "time left   about "));
        DH_TRY(dh_append_duration(made->seconds_left, out));
        DH_TRY(dh_buffer_printf(out, "\n"));
    }
    if (made->commit_age >= 0) {
        DH_TRY(dh_buffer_printf(out, "last commit "));
        DH_TRY(dh_append_duration(made->commit_age, out));
        DH_TRY(dh_buffer_printf(out, " ago\n"));
    }
    return DH_OK;
}

static dh_status print_summary(dh_buffer *out, const char *folder, const dh_survey *survey)
{
    const progress made = make_progress(survey);
    DH_TRY(append_headline(out, folder, survey, made.complete));
    if (survey->has_manifest) {
        DH_TRY(append_segments(out, survey));
        DH_TRY(append_pace(out, survey, &made));
        if (survey->stages[0] != '\0') {
            DH_TRY(dh_buffer_printf(out, "reduced     %s (steps that are done)\n", survey->stages));
        }
        DH_TRY(dh_buffer_printf(out, "restarts    %" PRIu32, survey->restarts));
        if (survey->idle_attempts > 1) {
            DH_TRY(dh_buffer_printf(out, "; the last %" PRIu32 " attempts made nothing durable",
                                    survey->idle_attempts));
        }
        DH_TRY(dh_buffer_printf(out, "\n"));
    } else if (survey->state != DH_HOLDER_NONE) {
        const bool runs = survey->state == DH_HOLDER_ALIVE || survey->state == DH_HOLDER_UNKNOWN;
        DH_TRY(dh_buffer_printf(out, "segments    none%s\n", runs ? " yet: the run is being planned" : ""));
    }
    if (survey->damaged > 0) {
        DH_TRY(dh_buffer_printf(out, "damaged     "));
        DH_TRY(dh_append_count(out, survey->damaged));
        DH_TRY(dh_buffer_printf(out, " journal entries: their segments are computed again\n"));
    }
    DH_TRY(dh_buffer_printf(out, "folder      "));
    DH_TRY(dh_append_count(out, survey->files));
    DH_TRY(dh_buffer_printf(out, survey->files == 1 ? " file, " : " files, "));
    DH_TRY(dh_append_size(out, (double)survey->bytes));
    return dh_buffer_printf(out, "\n");
}

/* ---- for a program ----------------------------------------------------------------------------------- */

static dh_status append_text(dh_buffer *out, const char *name, const char *text)
{
    DH_TRY(dh_buffer_printf(out, ",\"%s\":", name));
    return text[0] != '\0' ? dh_json_append_string(out, text, strlen(text)) : dh_buffer_printf(out, "null");
}

static dh_status append_number(dh_buffer *out, const char *name, bool known, uint64_t number)
{
    return known ? dh_buffer_printf(out, ",\"%s\":%" PRIu64, name, number)
                 : dh_buffer_printf(out, ",\"%s\":null", name);
}

/* Below 0: not known. */
static dh_status append_real(dh_buffer *out, const char *name, double number)
{
    return number >= 0 ? dh_buffer_printf(out, ",\"%s\":%.3f", name, number)
                       : dh_buffer_printf(out, ",\"%s\":null", name);
}

/* Seconds since 1970. 0: not known. */
static dh_status append_moment(dh_buffer *out, const char *name, uint64_t time)
{
    return append_real(out, name, time != 0 ? 1e-9 * (double)time : -1.0);
}

static dh_status append_json_attempt(dh_buffer *out, const dh_survey *survey, bool complete)
{
    static const char *const state_name[] = {[DH_HOLDER_NONE] = "none",
                                             [DH_HOLDER_ENDED] = "ended",
                                             [DH_HOLDER_DEAD] = "dead",
                                             [DH_HOLDER_ALIVE] = "running",
                                             [DH_HOLDER_UNKNOWN] = "unknown"};
    const dh_attempt *holder = &survey->holder;
    const bool known = holder->start != 0;
    DH_TRY(dh_buffer_printf(out, ",\"state\":\"%s\",\"complete\":%s", state_name[survey->state],
                            complete ? "true" : "false"));
    DH_TRY(append_number(out, "attempt", holder->epoch != 0, holder->epoch));
    DH_TRY(append_number(out, "ranks", known, (uint64_t)holder->ranks));
    DH_TRY(append_text(out, "host", holder->host));
    DH_TRY(append_number(out, "pid", known, (uint64_t)holder->pid));
    DH_TRY(append_text(out, "slurm_job", holder->job));
    DH_TRY(append_moment(out, "start", holder->start));
    DH_TRY(append_moment(out, "end", holder->end));
    return append_number(out, "exit_code", holder->end != 0, (uint64_t)holder->exit_code);
}

static dh_status append_json_work(dh_buffer *out, const dh_survey *survey, const progress *made)
{
    const bool known = survey->has_manifest;
    char run[2 * DH_RUN_ID_SIZE + 1] = "";
    if (known) {
        dh_hex(survey->manifest.run.byte, DH_RUN_ID_SIZE, run);
    }
    DH_TRY(append_text(out, "run", run));
    DH_TRY(append_number(out, "restarts", known, survey->restarts));
    DH_TRY(append_number(out, "attempts_without_progress", true, survey->idle_attempts));
    DH_TRY(dh_buffer_printf(out, ",\"work_left\":%s",
                            survey->state != DH_HOLDER_NONE && !made->complete ? "true" : "false"));
    DH_TRY(append_number(out, "sources", known, survey->manifest.source_count));
    DH_TRY(append_text(out, "stages_done", survey->stages));
    DH_TRY(append_number(out, "segments_done", known, survey->segments_done));
    DH_TRY(append_number(out, "segments_open", known, survey->segments_open));
    DH_TRY(dh_buffer_printf(out, ",\"segments_open_is_estimate\":%s",
                            survey->open_is_estimate ? "true" : "false"));
    DH_TRY(append_number(out, "documents", known, survey->documents));
    DH_TRY(append_number(out, "bad_records", known, survey->bad));
    DH_TRY(append_number(out, "text_bytes", known, survey->text_bytes));
    DH_TRY(append_number(out, "file_bytes", known, survey->file_bytes));
    DH_TRY(append_number(out, "file_bytes_total", known, survey->manifest.file_bytes));
    const bool committed = survey->attempt_seconds > 0;
    DH_TRY(append_real(out, "attempt_seconds", committed ? survey->attempt_seconds : -1.0));
    DH_TRY(append_number(out, "attempt_documents", known, survey->attempt_documents));
    DH_TRY(append_number(out, "attempt_text_bytes", known, survey->attempt_text_bytes));
    DH_TRY(append_number(out, "attempt_file_bytes", known, survey->attempt_file_bytes));
    DH_TRY(append_real(out, "text_bytes_per_second", made->text_rate));
    DH_TRY(append_real(out, "documents_per_second", made->document_rate));
    DH_TRY(append_real(out, "seconds_left", made->seconds_left));
    DH_TRY(append_moment(out, "last_commit", survey->last_commit));
    DH_TRY(append_real(out, "last_commit_age_seconds", made->commit_age));
    return append_number(out, "damaged_entries", known, survey->damaged);
}

static dh_status print_json(dh_buffer *out, const char *folder, const dh_survey *survey)
{
    const progress made = make_progress(survey);
    DH_TRY(dh_buffer_printf(out, "{\"folder\":"));
    DH_TRY(dh_json_append_string(out, folder, strlen(folder)));
    DH_TRY(append_json_attempt(out, survey, made.complete));
    DH_TRY(append_json_work(out, survey, &made));
    DH_TRY(append_number(out, "folder_files", true, survey->files));
    DH_TRY(append_number(out, "folder_bytes", true, survey->bytes));
    return dh_buffer_printf(out, "}\n");
}

/* ---- for a script that starts a run again ------------------------------------------------------------ */

/* Anything but DH_OK: no. Says why. */
static dh_status judge_restart(const char *folder, const dh_survey *survey, uint64_t limit)
{
    const progress made = make_progress(survey);
    const char *reason = NULL;
    if (survey->state == DH_HOLDER_NONE) {
        reason = "no run was started on it";
    } else if (made.complete) {
        reason = "the result is complete";
    } else if (survey->state == DH_HOLDER_ALIVE) {
        reason = "a run holds it and is alive";
    }
    if (reason != NULL) {
        return dh_error(DH_FAILED, "%s: not to be started again: %s", folder, reason);
    }
    if (survey->idle_attempts >= limit) {
        return dh_error(DH_FAILED,
                        "%s: not to be started again: %" PRIu32
                        " attempt%s in a row made nothing durable (limit "
                        "%" PRIu64 "): give each more time, or look why they end",
                        folder, survey->idle_attempts, survey->idle_attempts == 1 ? "" : "s", limit);
    }
    return DH_OK;
}

dh_status dh_command_status(const dh_options *options)
{
    if (options->argument_count != 1) {
        return dh_error(DH_USAGE, "status needs one checkpoint folder (dhatu status --help)");
    }
    const char *folder = options->argument[0];
    dh_survey survey;
    dh_buffer out = {0};
    DH_TRY(dh_survey_make(folder, &survey));
    if (dh_options_text(options, DH_OPTION_RESTART_LIMIT) != NULL) {
        return judge_restart(folder, &survey, dh_options_number(options, DH_OPTION_RESTART_LIMIT));
    }
    dh_status status = dh_options_flag(options, DH_OPTION_JSON) ? print_json(&out, folder, &survey)
                                                                : print_summary(&out, folder, &survey);
    if (status == DH_OK) {
        status = dh_print(&out);
    }
    dh_buffer_free(&out);
    return status;
}
