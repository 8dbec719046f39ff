/* dhatu run: plan, recover, map, reduce and write. */
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/folder.h"
#include "commands/commands.h"
#include "commands/run_checkpoint.h"
#include "commands/run_paths.h"
#include "commands/run_say.h"
#include "reduce/reduce.h"
#include "route/route.h"
#include "run/scratch.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEBI_BITS = 20 };

/* Who says lines of progress. */
typedef enum run_phase {
    PHASE_SILENT = 0,
    PHASE_PLAN,
    PHASE_RECOVER,
    PHASE_MAP,       /* the map phase itself; its ends have no counters */
    PHASE_BEHIND_MAP /* reduce, write */
} run_phase;

typedef struct run_state {
    dh_comm *comm;
    dh_options *options;
    int argc;
    char **argv;
    dh_settings settings;
    dh_run_paths paths;
    dh_buffer partial, quarantine_partial, vocabulary_partial;
    dh_buffer config, settings_text;
    dh_run_checkpoint checkpoint;
    dh_watch *watch;
    dh_route *route; /* of the map phase */
    dh_map_progress map_progress;
    dh_progress progress; /* behind the map phase */
    run_phase phase;
    double phase_begin;
    dh_route_figures routed;
    char device[DH_BACKEND_TEXT];
    uint32_t devices;
    dh_shared *plan_memory, *table_memory;
    dh_chunk_table table;
    dh_reduce reduce;
    dh_row_reader *reader; /* of the reduce phase */
    dh_scratch scratch;    /* of the reduce phase */
    dh_reduced reduced;
    const dh_plan *plan;
    dh_run_scene scene;
    dh_recovery recovery;
    dh_map_result map;
    uint64_t committed; /* segments that the checkpoint holds */
    dh_result_facts result;
    double start, plan_seconds, recover_seconds, reduce_seconds;
} run_state;

static bool is_root(const run_state *run)
{
    return dh_comm_rank(run->comm) == 0;
}

/* ---- progress ---------------------------------------------------------------------------------------- */

/* What has no figures of its own. */
static void show_text(run_state *run, const char *text)
{
    static const double interactive_every = 0.5;
    const double now = dh_seconds();
    const double every = dh_log_is_interactive() ? interactive_every : run->map_progress.every;
    if (now - run->map_progress.last >= every) {
        run->map_progress.last = now;
        dh_say_progress("%s, for %.0f s", text, now - run->phase_begin);
    }
}

/* A dh_comm_idle of rank 0. */
static void show_progress(void *context)
{
    run_state *run = context;
    if (run->phase == PHASE_PLAN) {
        show_text(run, "plan: sources are looked at");
    } else if (run->phase == PHASE_RECOVER) {
        show_text(run, "recover: what earlier attempts did is checked");
    } else if (run->phase == PHASE_MAP && run->map_progress.counters != NULL) {
        dh_map_progress_show(&run->map_progress);
    } else if (run->phase == PHASE_MAP) {
        show_text(run, "map: ranks wait for one another");
    } else if (run->phase == PHASE_BEHIND_MAP) {
        dh_progress_show(&run->progress);
    }
}

static void begin_phase(run_state *run, run_phase phase)
{
    run->phase = phase;
    run->phase_begin = dh_seconds();
}

static void begin_showing(run_state *run)
{
    run->map_progress.every = (double)dh_options_number(run->options, DH_OPTION_PROGRESS);
    run->map_progress.last = dh_seconds();
    if (is_root(run)) {
        dh_comm_set_idle(run->comm, show_progress, run);
    }
}

/* A dh_poll beside work that takes long: says a line when it is time, then asks the watch. */
static dh_status poll_and_show(void *context)
{
    const run_state *run = context;
    dh_comm_idle_now(run->comm);
    return dh_watch_poll(run->watch);
}

/* ---- plan -------------------------------------------------------------------------------------------- */

static dh_status make_plan(run_state *run, dh_buffer *block)
{
    const uint64_t unit = DH_CONTENT_BLOCK;
    const uint64_t asked = dh_options_number(run->options, DH_OPTION_SEGMENT_SIZE);
    const dh_plan_options options = {
        .format = run->settings.records.format,
        .segment_size = (asked + unit - 1) / unit * unit,
        .exclude_prefix = run->paths.output,
        .exclude_folder = run->paths.folder,
    };
    return dh_plan_make(&options, run->options->argument, (size_t)run->options->argument_count, block);
}

/* Rank 0 looks at files and folders; all ranks share what it found. */
static dh_status plan(run_state *run)
{
    dh_buffer block = {0};
    const dh_status made = is_root(run) ? make_plan(run, &block) : DH_OK;
    dh_status status = dh_comm_agree(run->comm, made);
    if (status == DH_OK) {
        status = dh_shared_broadcast(run->comm, block.data, block.size, &run->plan_memory);
    }
    dh_buffer_free(&block);
    DH_TRY(status);
    run->plan = dh_shared_data(run->plan_memory);
    return DH_OK;
}

/* ---- checkpoint, map --------------------------------------------------------------------------------- */

static dh_status create_watch(run_state *run)
{
    const bool limited = dh_options_text(run->options, DH_OPTION_MAX_TIME) != NULL;
    const dh_watch_options options = {
        .folder = run->paths.folder,
        .epoch = run->checkpoint.attempt.epoch,
        .start = run->start,
        .max_seconds = limited ? (double)dh_options_number(run->options, DH_OPTION_MAX_TIME) : 0,
        .grace_seconds = (double)dh_options_number(run->options, DH_OPTION_GRACE),
    };
    return dh_watch_create(run->comm, &options, &run->watch);
}

/* What earlier attempts have done. */
static dh_status recover(run_state *run)
{
    const double start = dh_seconds();
    const dh_recover_options options = {
        .folder = run->paths.folder,
        .run = run->checkpoint.run,
        .epoch = run->checkpoint.attempt.epoch,
        .poll = poll_and_show,
        .poll_context = run,
    };
    begin_phase(run, PHASE_RECOVER);
    DH_TRY(dh_recover(run->comm, &run->settings.schema, &options, &run->recovery));
    DH_TRY(dh_comm_agree(run->comm, dh_watch_check_held(run->watch)));
    const dh_status swept =
        is_root(run) ? dh_stage_sweep(run->paths.folder, run->checkpoint.run.byte, options.epoch) : DH_OK;
    DH_TRY(dh_comm_agree(run->comm, swept));
    run->committed = run->recovery.segments;
    run->recover_seconds = dh_seconds() - start;
    return DH_OK;
}

/* --devices: a number, or none. */
static dh_status device_limit(const dh_options *options, uint32_t *out)
{
    const char *text = dh_options_text(options, DH_OPTION_DEVICES);
    char *end = NULL;
    *out = text == NULL ? UINT32_MAX : 0;
    if (text == NULL || strcmp(text, "none") == 0) {
        return DH_OK;
    }
    const unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || number > UINT32_MAX) {
        return dh_error(DH_USAGE, "--devices: \"%s\" is neither a number nor \"none\"", text);
    }
    *out = (uint32_t)number;
    return DH_OK;
}

static dh_route_policy policy_of(const char *name)
{
    return strcmp(name, "device") == 0 ? DH_ROUTE_DEVICE
                                       : (strcmp(name, "self") == 0 ? DH_ROUTE_SELF : DH_ROUTE_AUTO);
}

/* Of who waits for others' batches in the map phase. */
static dh_status poll_beside_map(void *context)
{
    run_state *run = context;
    dh_map_progress_show(&run->map_progress);
    return dh_watch_poll(run->watch);
}

/* Devices are opened and places for batches made. */
static dh_status create_route(run_state *run)
{
    dh_route_options options = {
        .kind = run->settings.device_kind,
        .policy = policy_of(dh_options_text(run->options, DH_OPTION_ROUTE)),
        .device_timeout = (double)dh_options_number(run->options, DH_OPTION_DEVICE_TIMEOUT),
        .poll = poll_beside_map,
        .poll_context = run,
    };
    begin_phase(run, PHASE_MAP);
    DH_TRY(dh_comm_agree(run->comm, device_limit(run->options, &options.devices)));
    return dh_route_create(run->comm, &run->settings, &options, &run->route);
}

static dh_status serve(void *route, bool willing)
{
    return dh_route_serve(route, willing);
}

static dh_status map(run_state *run)
{
    const bool strict = dh_options_flag(run->options, DH_OPTION_STRICT);
    const bool limited = dh_options_text(run->options, DH_OPTION_MAX_BAD) != NULL;
    const uint64_t limit = limited ? dh_options_number(run->options, DH_OPTION_MAX_BAD) : UINT64_MAX;
    const uint64_t interval = dh_options_number(run->options, DH_OPTION_COMMIT_INTERVAL);
    const dh_map_options options = {
        .spill = {.folder = run->paths.folder,
                  .run = run->checkpoint.run,
                  .epoch = run->checkpoint.attempt.epoch,
                  .rank = (uint32_t)dh_comm_rank(run->comm),
                  .start = run->checkpoint.attempt.start,
                  .journalled = interval > 0,
                  .may_write = dh_watch_may_write,
                  .context = run->watch},
        .commit_seconds = (double)interval,
        .bad_max = strict ? 0 : limit,
        .progress = &run->map_progress,
        .dispatcher = dh_route_dispatcher(run->route),
        .poll = dh_route_poll,
        .serve = serve,
        .context = run->route,
    };
    const dh_status status =
        dh_map(run->comm, run->plan, &run->settings, run->watch, &run->recovery, &options, &run->map);
    uint64_t made = interval > 0 ? run->map.segments : 0;
    DH_TRY(dh_comm_sum(run->comm, &made, 1));
    run->committed += made;
    return status;
}

/* Devices and slots are given back: the reduce phase has other uses for the memory. COLLECTIVE. */
static void end_route(run_state *run)
{
    const char *device = dh_route_device(run->route);
    (void)snprintf(run->device, sizeof run->device, "%s", device != NULL ? device : "");
    run->devices = dh_route_device_count(run->route);
    run->routed = dh_route_statistics(run->route);
    dh_route_free(run->route);
    run->route = NULL;
    dh_memory_trim();
}

/* ---- reduce and write -------------------------------------------------------------------------------- */

static dh_status set_partials(run_state *run)
{
    DH_TRY(dh_run_partial_path(run->paths.output, &run->checkpoint, &run->partial));
    DH_TRY(dh_run_partial_path(run->paths.vocabulary, &run->checkpoint, &run->vocabulary_partial));
    return dh_run_partial_path(run->paths.quarantine, &run->checkpoint, &run->quarantine_partial);
}

static bool wants_vocabulary(const run_state *run)
{
    return dh_options_flag(run->options, DH_OPTION_VOCAB_TSV);
}

static dh_result_options result_options(const run_state *run)
{
    return (dh_result_options){
        .path = run->paths.output,
        .partial = (const char *)run->partial.data,
        .quarantine = run->paths.quarantine,
        .quarantine_partial = (const char *)run->quarantine_partial.data,
        .folder = run->paths.folder,
        .config = (const char *)run->config.data,
        .deflate = (uint32_t)dh_options_number(run->options, DH_OPTION_DEFLATE),
        .watch = run->watch,
        .reduce = &run->reduce,
        .reduced = &run->reduced,
    };
}

static dh_status open_scratch(run_state *run)
{
    const dh_scratch_options options = {
        .base = dh_options_text(run->options, DH_OPTION_SCRATCH),
        .checkpoint = run->paths.folder,
        .run = run->checkpoint.run.byte,
        .epoch = run->checkpoint.attempt.epoch,
        .rank = (uint32_t)dh_comm_rank(run->comm),
        .sweeps = dh_comm_node_rank(run->comm) == 0,
    };
    return dh_scratch_open(&options, &run->scratch);
}

/* What needs all documents together. */
static dh_status reduce(run_state *run)
{
    const double start = dh_seconds();
    const dh_progress_options progress = {
        .settings = &run->settings,
        .watch = run->watch,
        .against = dh_options_text(run->options, DH_OPTION_AGAINST) != NULL,
        .every = run->map_progress.every,
        .last = run->map_progress.last,
    };
    dh_progress_set_up(run->comm, &progress, &run->progress);
    begin_phase(run, PHASE_BEHIND_MAP);
    DH_TRY(dh_comm_agree(run->comm, set_partials(run)));
    DH_TRY(dh_shared_gather(run->comm, run->map.chunks.entry, run->map.chunks.count, sizeof(dh_chunk_entry),
                            dh_chunk_table_order, &run->table_memory));
    dh_chunk_list_free(&run->map.chunks);
    run->table = dh_chunk_table_view(dh_shared_data(run->table_memory), dh_shared_size(run->table_memory));
    DH_TRY(dh_comm_agree(run->comm, dh_row_reader_create(&run->settings.schema, run->plan, &run->table,
                                                         run->paths.folder, run->watch, &run->reader)));
    DH_TRY(dh_comm_agree(run->comm, open_scratch(run)));
    run->reduce = (dh_reduce){
        .comm = run->comm,
        .settings = &run->settings,
        .plan = run->plan,
        .table = &run->table,
        .reader = run->reader,
        .folder = run->paths.folder,
        .scratch = run->scratch.folder,
        .epoch = run->checkpoint.attempt.epoch,
        .memory = run->settings.memory,
        .watch = run->watch,
        .progress = &run->progress,
        .against = dh_options_text(run->options, DH_OPTION_AGAINST),
        .vocab_tsv = wants_vocabulary(run) ? (const char *)run->vocabulary_partial.data : NULL,
    };
    memcpy(run->reduce.run, run->checkpoint.run.byte, sizeof run->reduce.run);
    const dh_status status = dh_reduce_all(&run->reduce, &run->reduced);
    run->reduce_seconds = dh_seconds() - start;
    return status;
}

static dh_status write_result(run_state *run)
{
    dh_result_options options = result_options(run);
    options.progress = &run->progress;
    return dh_result_write(run->comm, &run->settings, run->plan, &run->table, &options, &run->result);
}

/* The mark in the checkpoint goes first: killed behind the rename, a rerun knows that all is done. */
static dh_status publish(const run_state *run)
{
    const dh_result_options options = result_options(run);
    dh_status status = dh_result_mark_write(run->paths.folder, options.partial, run->result.content);
    if (status == DH_OK && !dh_attempt_is_current(run->paths.folder, run->checkpoint.attempt.epoch)) {
        status =
            dh_error(DH_LOCKED, "%s: a later run has taken the checkpoint over: the result is left to it",
                     run->paths.folder);
    }
    dh_fault_place("publish");
    if (status == DH_OK && wants_vocabulary(run)) {
        status = dh_file_rename((const char *)run->vocabulary_partial.data, run->paths.vocabulary);
    } else if (status == DH_OK && dh_options_flag(run->options, DH_OPTION_FORCE)) {
        status = dh_file_remove(run->paths.vocabulary); /* it belongs to the result that is replaced */
    }
    if (status == DH_OK) {
        status = dh_result_publish(&options);
    }
    dh_fault_place("published");
    return status;
}

/* DH_LOCKED on all ranks when a later attempt has taken over. COLLECTIVE. */
static dh_status agree_to_hold(const run_state *run)
{
    return dh_comm_agree(run->comm, is_root(run) ? dh_run_checkpoint_is_held(&run->checkpoint) : DH_OK);
}

static dh_run_report report_of(const run_state *run)
{
    const double seconds = dh_seconds() - run->start;
    return (dh_run_report){
        .comm = run->comm,
        .settings = &run->settings,
        .device = run->device,
        .devices = run->devices,
        .route = &run->routed,
        .plan = run->plan,
        .map = &run->map,
        .result = &run->result,
        .path = run->paths.output,
        .argc = run->argc,
        .argv = run->argv,
        .start_time = (double)time(NULL) - seconds,
        .seconds = seconds,
        .plan_seconds = run->plan_seconds,
        .recover_seconds = run->recover_seconds,
        .reduce_seconds = run->reduce_seconds,
        .recovery = &run->recovery,
        .restarts = run->checkpoint.attempt.epoch - run->checkpoint.first_epoch,
        .job = &run->scene.job,
        .earlier_seconds = run->scene.earlier_seconds,
    };
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static dh_status resolve(run_state *run)
{
    DH_TRY(dh_run_paths_resolve(run->options, &run->paths));
    run->checkpoint.folder = run->paths.folder;
    run->checkpoint.output = run->paths.output;
    DH_TRY(dh_settings_resolve(run->options, &run->settings));
    DH_TRY(dh_settings_config(&run->settings, run->options, &run->config));
    DH_TRY(dh_buffer_append(&run->config, "", 1));
    return dh_settings_fingerprint(&run->settings, run->options, &run->settings_text);
}

/* --against: the earlier result, by its content, belongs to what the result depends on. On rank 0, which
 * alone uses both texts. */
static dh_status note_against(run_state *run)
{
    const char *path = dh_options_text(run->options, DH_OPTION_AGAINST);
    if (path == NULL) {
        return DH_OK;
    }
    if (dh_settings_job(&run->settings, &dh_job_neardup) == NULL) {
        return dh_error(DH_USAGE, "--against is of use to job neardup only, which --jobs does not name");
    }
    DH_TRY(dh_neardup_check_earlier(&run->settings, path));
    dh_h5 *h5 = NULL;
    dh_buffer content = {0};
    DH_TRY(dh_h5_open(path, false, &h5));
    dh_status status = DH_OK;
    if (dh_h5_has(h5, DH_CONTENT_PATH)) {
        status = dh_h5_text_read(h5, DH_CONTENT_PATH, &content);
    } else {
        status = dh_error(DH_USAGE, "--against: %s is no complete result of dhatu", path);
    }
    const dh_status closed = dh_h5_close(h5);
    status = status == DH_OK ? closed : status;
    if (status == DH_OK) {
        run->config.size -= 2; /* the brace and the NUL behind it */
        run->settings_text.size--;
        const char *digest = (const char *)content.data;
        const size_t size = strspn(digest, "0123456789abcdef");
        if (size != 2 * DH_SHA256_SIZE || digest[size] != '\0') {
            dh_buffer_free(&content);
            return dh_error(DH_USAGE, "--against: %s has no content digest as dhatu writes them", path);
        }
        status = dh_buffer_printf(&run->config, ",\"against\":\"%s\"}", digest);
        status = status == DH_OK ? dh_buffer_append(&run->config, "", 1) : status;
        status = status == DH_OK ? dh_buffer_printf(&run->settings_text, "against=%s\n", digest) : status;
        status = status == DH_OK ? dh_buffer_append(&run->settings_text, "", 1) : status;
    }
    dh_buffer_free(&content);
    return status;
}

/* Before the corpus is read, not behind it. */
static dh_status check_features(const run_state *run)
{
    if (dh_settings_job(&run->settings, &dh_job_features) == NULL) {
        return DH_OK;
    }
    const uint64_t columns = run->settings.job_options.features;
    uint64_t least = dh_features_memory(columns, (uint64_t)dh_comm_size(run->comm));
    if (dh_settings_job(&run->settings, &dh_job_neardup) != NULL) { /* its step comes while that is kept */
        least += DH_STEP_MEMORY;
    }
    if (least <= run->settings.memory) {
        return DH_OK;
    }
    return is_root(run) ? dh_error(DH_USAGE,
                                   "--features %" PRIu64 " needs --memory %" PRIu64 "M at least, on %d ranks",
                                   columns, (least >> MEBI_BITS) + 1, dh_comm_size(run->comm))
                        : DH_USAGE;
}

static dh_status check_top(const run_state *run)
{
    const uint64_t top = run->settings.job_options.top;
    const uint64_t least = dh_terms_memory(top);
    if (dh_settings_job(&run->settings, &dh_job_vocab) == NULL || least <= run->settings.memory) {
        return DH_OK;
    }
    return is_root(run) ? dh_error(DH_USAGE, "--top %" PRIu64 " needs --memory %" PRIu64 "M at least", top,
                                   (least >> MEBI_BITS) + 1)
                        : DH_USAGE;
}

static dh_status resolve_here(run_state *run)
{
    DH_TRY(resolve(run));
    if (wants_vocabulary(run) && dh_settings_job(&run->settings, &dh_job_vocab) == NULL) {
        return is_root(run) ? dh_error(DH_USAGE, "--vocab-tsv needs job vocab, which --jobs does not name")
                            : DH_USAGE;
    }
    DH_TRY(check_features(run));
    DH_TRY(check_top(run));
    return is_root(run) ? note_against(run) : DH_OK;
}

/* A list of terms of another run is not replaced without --force. That of an attempt of this one is. */
static dh_status check_vocabulary(const run_state *run)
{
    bool there = false;
    if (!wants_vocabulary(run) || run->checkpoint.going_on ||
        dh_options_flag(run->options, DH_OPTION_FORCE)) {
        return DH_OK;
    }
    DH_TRY(dh_file_exists(run->paths.vocabulary, &there));
    return there ? dh_error(DH_USAGE, "%s exists: choose another --output, or give --force to replace it",
                            run->paths.vocabulary)
                 : DH_OK;
}

/* Where the run is, and the first lines of its log: sources may take long to look at. */
static dh_status look_around(run_state *run)
{
    run->scene = (dh_run_scene){.comm = run->comm,
                                .settings = &run->settings,
                                .paths = &run->paths,
                                .checkpoint = &run->checkpoint,
                                .recovery = &run->recovery};
    DH_TRY(dh_run_scene_look(&run->scene));
    return dh_run_say_begin(&run->scene);
}

/* From the command line to what is to be computed. */
static dh_status prepare(run_state *run)
{
    DH_TRY(dh_comm_agree(run->comm, resolve_here(run)));
    DH_TRY(dh_run_checkpoint_take(run->comm, run->options, &run->checkpoint));
    DH_TRY(dh_comm_agree(run->comm, is_root(run) ? check_vocabulary(run) : DH_OK));
    const double start = dh_seconds();
    begin_phase(run, PHASE_PLAN);
    DH_TRY(create_watch(run));
    DH_TRY(look_around(run));
    DH_TRY(plan(run));
    DH_TRY(dh_run_checkpoint_match(run->comm, run->options, run->plan, (const char *)run->settings_text.data,
                                   run->watch, &run->checkpoint));
    run->plan_seconds = dh_seconds() - start;
    dh_fault_place("planned");
    return DH_OK;
}

/* From the partial result, which is whole, to the end. */
static dh_status complete(run_state *run)
{
    dh_run_totals totals;
    DH_TRY(agree_to_hold(run));
    const dh_run_report report = report_of(run);
    if (dh_run_report_write(&report, &totals) != DH_OK && is_root(run)) {
        dh_warning("the record of the run could not be written beside %s", run->paths.output);
    }
    DH_TRY(dh_comm_agree(run->comm, is_root(run) ? publish(run) : DH_OK));
    run->phase = PHASE_SILENT;
    dh_run_say_end(&run->scene, &report, &totals);
    return DH_OK;
}

/* Behind the map phase. */
static dh_status make_result(run_state *run)
{
    DH_TRY(reduce(run));
    dh_memory_trim();
    dh_fault_place("reduced");
    DH_TRY(write_result(run));
    dh_fault_place("written");
    return complete(run);
}

static dh_status run_all(run_state *run)
{
    if (run->options->argument_count == 0) {
        return is_root(run) ? dh_error(DH_USAGE, "run needs at least one INPUT (dhatu run --help)")
                            : DH_USAGE;
    }
    begin_showing(run);
    DH_TRY(prepare(run));
    if (run->checkpoint.complete) {
        dh_say("%s is complete already: an earlier attempt wrote it", run->paths.output);
        return DH_OK;
    }
    DH_TRY(recover(run));
    dh_fault_place("recovered");
    DH_TRY(create_route(run));
    run->scene.plan = run->plan;
    run->scene.route = run->route;
    DH_TRY(dh_run_say_start(&run->scene));
    DH_TRY(map(run));
    dh_fault_place("mapped");
    DH_TRY(agree_to_hold(run));
    end_route(run);
    const dh_status status = make_result(run);
    if (status != DH_OK && is_root(run) && run->quarantine_partial.data != NULL) {
        const dh_result_options options = result_options(run);
        dh_result_remove_partial(&options);
        (void)unlink((const char *)run->vocabulary_partial.data);
    }
    return status;
}

/* Why a run ends before its result is there, and what it did, where no error has told it. */
static dh_status say_leaving(const run_state *run, dh_status status)
{
    if (status == DH_AGAIN && run->watch != NULL) {
        dh_map_kept kept = run->map.kept;
        DH_TRY(dh_comm_sum(run->comm, (uint64_t *)(void *)&kept, sizeof kept / sizeof(uint64_t)));
        dh_run_say_left(&run->scene, dh_watch_reason(run->comm, run->watch), &kept, run->map.seconds);
    }
    return DH_OK;
}

static dh_status leave(run_state *run, dh_status status)
{
    run->phase = PHASE_SILENT;
    DH_TRY(say_leaving(run, status));
    (void)dh_comm_barrier(run->comm); /* nobody reads the spills any more */
    dh_comm_set_idle(run->comm, NULL, NULL);
    if (is_root(run)) {
        status = dh_run_checkpoint_leave(&run->checkpoint, status, run->committed,
                                         dh_options_flag(run->options, DH_OPTION_KEEP_CHECKPOINT));
    }
    DH_TRY(dh_comm_broadcast(run->comm, &status, sizeof status));
    return status;
}

static void free_run(run_state *run)
{
    dh_route_free(run->route);
    dh_reduced_free(&run->reduced);
    dh_scratch_close(&run->scratch);
    dh_row_reader_free(run->reader);
    dh_shared_free(run->table_memory);
    dh_recovery_free(&run->recovery);
    dh_shared_free(run->plan_memory);
    dh_run_paths_free(&run->paths);
    dh_watch_free(run->watch);
    dh_chunk_list_free(&run->map.chunks);
    dh_buffer_free(&run->partial);
    dh_buffer_free(&run->quarantine_partial);
    dh_buffer_free(&run->vocabulary_partial);
    dh_buffer_free(&run->config);
    dh_buffer_free(&run->settings_text);
    if (!dh_worker_any_hung()) { /* its thread may wake up yet */
        dh_settings_free(&run->settings);
    }
}

dh_status dh_command_run(dh_options *options, int argc, char **argv)
{
    run_state run = {.options = options, .argc = argc, .argv = argv, .start = dh_seconds()};
    if (dh_options_flag(options, DH_OPTION_WHERE)) {
        return dh_run_where(options);
    }
    DH_TRY(dh_comm_start(&argc, &argv, &run.comm));
    dh_status status = dh_comm_agree(run.comm, dh_fault_arm(dh_comm_rank(run.comm)));
    if (status == DH_OK) {
        status = leave(&run, run_all(&run));
    }
    const dh_status counted = dh_fault_report();
    status = status != DH_OK ? status : counted;
    const dh_status broken = dh_comm_agree(run.comm, dh_h5_is_broken() ? DH_IO : DH_OK);
    free_run(&run);
    if (broken != DH_OK) {
        dh_comm_abort(status != DH_OK ? status : broken);
    }
    dh_comm_end(run.comm);
    return status;
}
