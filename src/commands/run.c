/* dhatu run: plan, map, reduce and write. */
#include "base/file.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/run_report.h"
#include "dhatu_config.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct run_state {
    dh_comm *comm;
    dh_options *options;
    int argc;
    char **argv;
    dh_settings settings;
    char *output, *partial, *quarantine, *folder;
    bool folder_made; /* by this run, so it may go at the end */
    dh_buffer config;
    dh_shared *plan_memory, *table_memory;
    const dh_plan *plan;
    dh_map_result map;
    dh_result_facts result;
    double start, plan_seconds;
} run_state;

static bool is_root(const run_state *run)
{
    return dh_comm_rank(run->comm) == 0;
}

/* ---- paths ------------------------------------------------------------------------------------------- */

static dh_status join(const char *path, const char *suffix, char **out)
{
    const size_t size = strlen(path) + strlen(suffix) + 1;
    void *memory = NULL;
    DH_TRY(dh_allocate(size, 1, "a path", &memory));
    (void)snprintf(memory, size, "%s%s", path, suffix);
    *out = memory;
    return DH_OK;
}

/* Paths are made absolute, so that messages and ranks agree on them. */
static dh_status set_paths(run_state *run)
{
    const char *output = dh_options_text(run->options, DH_OPTION_OUTPUT);
    if (output[0] == '\0' || output[strlen(output) - 1] == '/') {
        return dh_error(DH_USAGE, "--output: \"%s\" is not the name of a file", output);
    }
    char folder[PATH_MAX] = "";
    if (output[0] != '/' && getcwd(folder, sizeof folder - 1) == NULL) {
        return dh_error(DH_IO, "cannot find the working folder");
    }
    if (output[0] != '/') {
        (void)strcat(folder, "/");
    }
    DH_TRY(join(folder, output, &run->output));
    DH_TRY(join(run->output, ".partial", &run->partial));
    DH_TRY(join(run->output, ".quarantine.jsonl", &run->quarantine));
    const char *checkpoint = dh_options_text(run->options, DH_OPTION_CHECKPOINT);
    return checkpoint != NULL ? join(checkpoint, "", &run->folder) : join(run->output, ".ckpt", &run->folder);
}

static dh_status check_output(const run_state *run)
{
    if (dh_file_exists(run->output) && !dh_options_flag(run->options, DH_OPTION_FORCE)) {
        return dh_error(DH_USAGE, "%s exists: choose another --output, or give --force to replace it",
                        run->output);
    }
    char *slash = strrchr(run->output, '/');
    *slash = '\0';
    const bool there = run->output[0] == '\0' || access(run->output, W_OK | X_OK) == 0;
    *slash = '/';
    return there ? DH_OK : dh_error(DH_IO, "%s: its folder does not exist or cannot be written", run->output);
}

/* ---- plan -------------------------------------------------------------------------------------------- */

static dh_status make_plan(run_state *run, dh_buffer *block)
{
    const uint64_t unit = DH_CONTENT_BLOCK;
    const uint64_t asked = dh_options_number(run->options, DH_OPTION_SEGMENT_SIZE);
    const dh_plan_options options = {
        .format = run->settings.records.format,
        .segment_size = (asked + unit - 1) / unit * unit,
        .exclude_prefix = run->output,
    };
    return dh_plan_make(&options, run->options->argument, (size_t)run->options->argument_count, block);
}

/* Rank 0 looks at files and folders; all ranks share what it found. */
static dh_status plan(run_state *run)
{
    dh_buffer block = {0};
    dh_status status = DH_OK;
    const double start = dh_seconds();
    if (is_root(run)) {
        status = check_output(run);
        if (status == DH_OK) {
            status = make_plan(run, &block);
        }
        if (status == DH_OK) {
            run->folder_made = !dh_file_exists(run->folder);
            status = dh_folder_create(run->folder);
        }
    }
    status = dh_comm_agree(run->comm, status);
    if (status == DH_OK) {
        status = dh_shared_broadcast(run->comm, block.data, block.size, &run->plan_memory);
    }
    dh_buffer_free(&block);
    DH_TRY(status);
    run->plan = dh_shared_data(run->plan_memory);
    run->plan_seconds = dh_seconds() - start;
    return DH_OK;
}

static void say_start(const run_state *run)
{
    const dh_settings *settings = &run->settings;
    dh_say("dhatu %s: %" PRIu64 " sources, %.1f MB, %d rank%s, %s", DHATU_VERSION, run->plan->source_count,
           (double)run->plan->file_bytes / 1e6, dh_comm_size(run->comm),
           dh_comm_size(run->comm) > 1 ? "s" : "", settings->backend->kind->describe(settings->backend));
    dh_say("result %s, intermediate columns in %s", run->output, run->folder);
    for (uint32_t l = 0; settings->lexicons != NULL && l < dh_lexicons_count(settings->lexicons); l++) {
        const dh_lexicon_facts facts = dh_lexicons_facts(settings->lexicons, l);
        dh_say_verbose("lexicon %s: %s, %u terms, %u negators, %u function words", facts.language, facts.name,
                       facts.terms, facts.negators, facts.function_words);
    }
}

/* ---- map, reduce, write ------------------------------------------------------------------------------ */

static dh_status map(run_state *run)
{
    const bool strict = dh_options_flag(run->options, DH_OPTION_STRICT);
    const bool limited = dh_options_text(run->options, DH_OPTION_MAX_BAD) != NULL;
    const uint64_t limit = limited ? dh_options_number(run->options, DH_OPTION_MAX_BAD) : UINT64_MAX;
    const dh_map_options options = {
        .folder = run->folder,
        .bad_max = strict ? 0 : limit,
        .progress_seconds = (double)dh_options_number(run->options, DH_OPTION_PROGRESS),
    };
    return dh_map(run->comm, run->plan, &run->settings, &options, &run->map);
}

static dh_status write_result(run_state *run)
{
    DH_TRY(dh_shared_gather(run->comm, run->map.entry, run->map.entry_count, sizeof(dh_chunk_entry),
                            dh_chunk_table_order, &run->table_memory));
    free(run->map.entry);
    run->map.entry = NULL;
    const dh_chunk_table table =
        dh_chunk_table_view(dh_shared_data(run->table_memory), dh_shared_size(run->table_memory));
    const dh_result_options options = {
        .path = run->output,
        .partial = run->partial,
        .quarantine = run->quarantine,
        .folder = run->folder,
        .config = (const char *)run->config.data,
        .deflate = (uint32_t)dh_options_number(run->options, DH_OPTION_DEFLATE),
    };
    return dh_result_write(run->comm, &run->settings, run->plan, &table, &options, &run->result);
}

static dh_status report(run_state *run)
{
    const double seconds = dh_seconds() - run->start;
    const dh_run_report report = {
        .comm = run->comm,
        .settings = &run->settings,
        .plan = run->plan,
        .map = &run->map,
        .result = &run->result,
        .path = run->output,
        .argc = run->argc,
        .argv = run->argv,
        .start_time = (double)time(NULL) - seconds,
        .seconds = seconds,
        .plan_seconds = run->plan_seconds,
    };
    uint64_t totals[1] = {run->map.stats.text_bytes};
    uint64_t memory = 0;
    DH_TRY(dh_comm_sum(run->comm, totals, 1));
    if (dh_run_report_write(&report, &memory) != DH_OK && is_root(run)) {
        dh_warning("%s is complete, but the record of the run could not be written beside it", run->output);
    }
    const dh_quality *quality = &run->result.quality;
    uint64_t bad = 0;
    for (int reason = 1; reason < DH_REASON_COUNT; reason++) {
        bad += quality->reason[reason];
    }
    dh_say("%" PRIu64 " documents, %.1f MB of text in %.2f s (%.1f MB/s), at most %.0f MiB a rank",
           run->result.rows, (double)totals[0] / 1e6, seconds, (double)totals[0] / 1e6 / seconds,
           (double)memory / 1048576.0);
    for (int reason = 1; reason < DH_REASON_COUNT; reason++) {
        if (quality->reason[reason] > 0) {
            dh_say("  %" PRIu64 " %s: %s", quality->reason[reason], dh_reason_name((dh_reason)reason),
                   dh_reason_description((dh_reason)reason));
        }
    }
    if (bad > 0) {
        dh_say("  these %" PRIu64 " are listed in %s", bad, run->quarantine);
    }
    if (quality->repaired_documents > 0) {
        dh_say("  %" PRIu64 " documents had text that is not UTF-8: U+FFFD was put in %" PRIu64 " times",
               quality->repaired_documents, quality->replaced);
    }
    if (quality->unchecked_sources > 0) {
        dh_say("  %" PRIu64 " zstd sources have no checksum: damage in them may go unseen",
               quality->unchecked_sources);
    }
    if (run->result.ids_changed > 0) {
        dh_say("  %" PRIu64 " ids occurred before and got #dupROW behind", run->result.ids_changed);
    }
    dh_say("wrote %s (%.1f MB, content %.16s...)", run->output, (double)run->result.file_size / 1e6,
           run->result.content);
    return DH_OK;
}

/* The spills are of no use to anybody once the run is over, those of a killed run before it neither. */
static void remove_spills(const run_state *run)
{
    (void)dh_comm_barrier(run->comm);
    DIR *folder = is_root(run) ? opendir(run->folder) : NULL;
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strncmp(entry->d_name, DH_SPILL_PREFIX, strlen(DH_SPILL_PREFIX)) == 0) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    (void)closedir(folder);
    const bool by_default = dh_options_text(run->options, DH_OPTION_CHECKPOINT) == NULL;
    if (run->folder_made || by_default) {
        (void)rmdir(run->folder); /* not if somebody else's files are in it */
    }
}

static dh_status run_all(run_state *run)
{
    if (run->options->argument_count == 0) {
        return is_root(run) ? dh_error(DH_USAGE, "run needs at least one INPUT (dhatu run --help)")
                            : DH_USAGE;
    }
    dh_status status = set_paths(run);
    if (status == DH_OK) {
        status = dh_settings_resolve(run->options, &run->settings);
    }
    if (status == DH_OK) {
        status = dh_settings_config(&run->settings, run->options, &run->config);
    }
    if (status == DH_OK) {
        status = dh_buffer_append(&run->config, "", 1);
    }
    DH_TRY(dh_comm_agree(run->comm, status));
    DH_TRY(plan(run));
    say_start(run);
    DH_TRY(map(run));
    DH_TRY(write_result(run));
    return report(run);
}

static void free_run(run_state *run)
{
    dh_shared_free(run->table_memory);
    dh_shared_free(run->plan_memory);
    free(run->map.entry);
    free(run->output);
    free(run->partial);
    free(run->quarantine);
    free(run->folder);
    dh_buffer_free(&run->config);
    dh_settings_free(&run->settings);
}

dh_status dh_command_run(dh_options *options, int argc, char **argv)
{
    run_state run = {.options = options, .argc = argc, .argv = argv, .start = dh_seconds()};
    DH_TRY(dh_comm_start(&argc, &argv, &run.comm));
    const dh_status status = run_all(&run);
    if (run.plan_memory != NULL) {
        remove_spills(&run);
    }
    const dh_status broken = dh_comm_agree(run.comm, dh_h5_is_broken() ? DH_IO : DH_OK);
    free_run(&run);
    if (broken != DH_OK) {
        dh_comm_abort(status != DH_OK ? status : broken);
    }
    dh_comm_end(run.comm);
    return status;
}
