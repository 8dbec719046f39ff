#include "commands/run_checkpoint.h"

#include "base/file.h"
#include "base/log.h"
#include "checkpoint/folder.h"
#include "run/share.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- partial results --------------------------------------------------------------------------------- */

#define PARTIAL ".partial-"

static void partial_prefix(const dh_run_checkpoint *checkpoint, char out[32])
{
    char id[2 * DH_RUN_ID_SIZE + 1];
    dh_hex(checkpoint->run.byte, DH_RUN_ID_SIZE, id);
    (void)snprintf(out, 32, PARTIAL "%.8s-", id);
}

dh_status dh_run_partial_path(const char *path, const dh_run_checkpoint *checkpoint, dh_buffer *out)
{
    char prefix[32];
    partial_prefix(checkpoint, prefix);
    DH_TRY(dh_buffer_printf(out, "%s%s%06u", path, prefix, checkpoint->attempt.epoch));
    return dh_buffer_append(out, "", 1);
}

typedef struct partial_search {
    const char *folder, *name; /* of the result */
    char prefix[32];
} partial_search;

/* Removes what killed attempts of this checkpoint were writing: OUT.h5*.partial-ID-*. */
static dh_status remove_partial(void *context, const char *name)
{
    const partial_search *search = context;
    if (strncmp(name, search->name, strlen(search->name)) != 0 || strstr(name, search->prefix) == NULL) {
        return DH_OK;
    }
    return dh_file_remove_in(search->folder, name);
}

static dh_status remove_partials(const dh_run_checkpoint *checkpoint)
{
    char *folder = strdup(checkpoint->output);
    if (folder == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    char *slash = strrchr(folder, '/');
    *slash = '\0';
    partial_search search = {.folder = folder[0] != '\0' ? folder : "/", .name = slash + 1};
    partial_prefix(checkpoint, search.prefix);
    const dh_status status = dh_folder_list(search.folder, remove_partial, &search);
    free(folder);
    return status;
}

/* ---- taking ------------------------------------------------------------------------------------------ */

static dh_status result_exists(const dh_run_checkpoint *checkpoint)
{
    return dh_error(DH_USAGE, "%s exists: choose another --output, or give --force to replace it",
                    checkpoint->output);
}

static dh_status check_output_folder(const dh_run_checkpoint *checkpoint)
{
    char *folder = strdup(checkpoint->output);
    if (folder == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    *strrchr(folder, '/') = '\0';
    const bool there = folder[0] == '\0' || access(folder, W_OK | X_OK) == 0;
    free(folder);
    return there ? DH_OK
                 : dh_error(DH_IO, "%s: its folder does not exist or cannot be written", checkpoint->output);
}

static dh_status new_run_id(dh_run_id *out)
{
    if (getrandom(out->byte, sizeof out->byte, 0) != (ssize_t)sizeof out->byte) {
        return dh_error(DH_INTERNAL, "no random number for the run: %s", strerror(errno));
    }
    return DH_OK;
}

/* A Slurm job that is started again has the same command line: --fresh was obeyed by its first start. */
static bool was_begun_by_this_job(const dh_run_checkpoint *checkpoint, uint32_t first_epoch)
{
    const dh_attempt *self = &checkpoint->attempt;
    dh_attempt first;
    return self->job[0] != '\0' && dh_attempt_read(checkpoint->folder, first_epoch, &first) &&
           strcmp(first.job, self->job) == 0 && first.job_restart < self->job_restart;
}

/* What is in the folder, which is ours now? */
static dh_status look_inside(const dh_options *options, dh_run_checkpoint *checkpoint)
{
    dh_manifest_facts facts = {0};
    bool found = false;
    bool fresh = dh_options_flag(options, DH_OPTION_FRESH);
    const bool force = dh_options_flag(options, DH_OPTION_FORCE);
    const dh_status read = dh_manifest_read(checkpoint->folder, &facts, &found);
    if (fresh && read == DH_OK && found && was_begun_by_this_job(checkpoint, facts.first_epoch)) {
        dh_say("Slurm job %s started over before and goes on from there now", checkpoint->attempt.job);
        fresh = false;
    }
    if (read != DH_OK && !(fresh && read == DH_MISMATCH)) {
        return read;
    }
    if (!fresh && !force) {
        DH_TRY(dh_result_mark_matches(checkpoint->folder, checkpoint->output, &checkpoint->complete));
    }
    bool exists = false;
    DH_TRY(dh_file_exists(checkpoint->output, &exists));
    if (exists && !force && !checkpoint->complete) {
        return result_exists(checkpoint);
    }
    if (found) {
        checkpoint->run = facts.run;
        checkpoint->first_epoch = facts.first_epoch;
        DH_TRY(remove_partials(checkpoint));
    }
    if (fresh) {
        DH_TRY(dh_checkpoint_clear(checkpoint->folder, checkpoint->attempt.epoch));
    }
    checkpoint->going_on = found && !fresh;
    if (!checkpoint->going_on) {
        checkpoint->first_epoch = checkpoint->attempt.epoch;
        DH_TRY(new_run_id(&checkpoint->run));
    }
    return DH_OK;
}

static dh_status take(dh_comm *comm, const dh_options *options, dh_run_checkpoint *checkpoint)
{
    bool there = false;
    bool exists = false;
    DH_TRY(dh_file_exists(checkpoint->folder, &there));
    DH_TRY(dh_file_exists(checkpoint->output, &exists));
    if (!there && exists && !dh_options_flag(options, DH_OPTION_FORCE)) {
        return result_exists(checkpoint);
    }
    DH_TRY(check_output_folder(checkpoint));
    DH_TRY(dh_folder_create(checkpoint->folder));
    checkpoint->folder_ours = !there || dh_options_text(options, DH_OPTION_CHECKPOINT) == NULL;
    DH_TRY(dh_attempt_take(checkpoint->folder, dh_comm_size(comm),
                           dh_options_flag(options, DH_OPTION_BREAK_LOCK), &checkpoint->attempt));
    checkpoint->held = true;
    return look_inside(options, checkpoint);
}

dh_status dh_run_checkpoint_take(dh_comm *comm, const dh_options *options, dh_run_checkpoint *checkpoint)
{
    const dh_status status = dh_comm_rank(comm) == 0 ? take(comm, options, checkpoint) : DH_OK;
    DH_TRY(dh_comm_agree(comm, status));
    dh_run_checkpoint shared = *checkpoint;
    DH_TRY(dh_comm_broadcast(comm, &shared, sizeof shared));
    shared.folder = checkpoint->folder;
    shared.output = checkpoint->output;
    *checkpoint = shared;
    return DH_OK;
}

/* ---- matching ---------------------------------------------------------------------------------------- */

static dh_status take_fingerprints(void *context, int rank, const void *bytes, size_t size)
{
    (void)rank;
    return dh_buffer_append(context, bytes, size);
}

typedef struct shown_watch {
    const dh_comm *comm;
    dh_watch *watch;
} shown_watch;

/* Many sources, or all of their bytes, take their time: who waits is told. */
static dh_status poll_and_show(void *context)
{
    const shown_watch *shown = context;
    dh_comm_idle_now(shown->comm);
    return dh_watch_poll(shown->watch);
}

/* Each rank reads a share of the sources; rank 0 gets all in the plan's order. */
static dh_status read_fingerprints(dh_comm *comm, const dh_plan *plan, dh_fingerprint_kind kind,
                                   dh_watch *watch, dh_buffer *all)
{
    const dh_share share = {.kind = DH_SHARE_RANGES,
                            .blocks = plan->source_count,
                            .rank = (uint32_t)dh_comm_rank(comm),
                            .ranks = (uint32_t)dh_comm_size(comm)};
    shown_watch shown = {.comm = comm, .watch = watch};
    dh_buffer mine = {0};
    dh_status status = DH_OK;
    for (uint64_t k = 0; k < dh_share_count(&share) && status == DH_OK; k++) {
        const dh_source *source = dh_plan_source(plan, dh_share_block(&share, k));
        dh_fingerprint fingerprint = {0};
        status = dh_fingerprint_read(dh_plan_string(plan, source->path), source->size, kind, poll_and_show,
                                     &shown, &fingerprint);
        if (status == DH_OK) {
            status = dh_buffer_append(&mine, &fingerprint, sizeof fingerprint);
        }
    }
    if (status != DH_OK && status != DH_AGAIN) {
        dh_watch_fail(watch);
    }
    status = dh_comm_agree(comm, status);
    if (status == DH_OK) {
        status = dh_comm_collect(comm, mine.data, mine.size, take_fingerprints, all);
    }
    dh_buffer_free(&mine);
    return dh_comm_agree(comm, status);
}

dh_status dh_run_checkpoint_match(dh_comm *comm, const dh_options *options, const dh_plan *plan,
                                  const char *settings_text, dh_watch *watch,
                                  const dh_run_checkpoint *checkpoint)
{
    const bool all_bytes = strcmp(dh_options_text(options, DH_OPTION_FINGERPRINT), "all") == 0;
    const dh_fingerprint_kind kind = all_bytes ? DH_FINGERPRINT_ALL : DH_FINGERPRINT_ENDS;
    dh_buffer fingerprints = {0};
    dh_status status = read_fingerprints(comm, plan, kind, watch, &fingerprints);
    if (status == DH_OK && dh_comm_rank(comm) == 0) {
        const dh_manifest manifest = {
            .run = checkpoint->run,
            .first_epoch = checkpoint->first_epoch,
            .kind = kind,
            .options = settings_text,
            .plan = plan,
            .fingerprint = (const dh_fingerprint *)(const void *)fingerprints.data,
        };
        status = checkpoint->going_on ? dh_manifest_compare(checkpoint->folder, &manifest)
                                      : dh_manifest_write(checkpoint->folder, &manifest);
    }
    dh_buffer_free(&fingerprints);
    return dh_comm_agree(comm, status);
}

dh_status dh_run_checkpoint_is_held(const dh_run_checkpoint *checkpoint)
{
    return dh_attempt_is_current(checkpoint->folder, checkpoint->attempt.epoch)
               ? DH_OK
               : dh_error(DH_LOCKED,
                          "%s: a later run has taken the checkpoint over (--break-lock, or this one seemed "
                          "dead): the result is left to it",
                          checkpoint->folder);
}

/* ---- leaving ----------------------------------------------------------------------------------------- */

/* "stop" was obeyed: the next run is not to stop for it again. */
static dh_status remove_stop(const dh_run_checkpoint *checkpoint)
{
    dh_buffer path = {0};
    dh_status status = dh_checkpoint_path(checkpoint->folder, DH_CHECKPOINT_STOP, 0, 0, &path);
    if (status == DH_OK) {
        status = dh_file_remove((const char *)path.data);
    }
    dh_buffer_free(&path);
    return status;
}

dh_status dh_run_checkpoint_leave(const dh_run_checkpoint *checkpoint, dh_status status, uint64_t committed,
                                  bool keep)
{
    const uint32_t epoch = checkpoint->attempt.epoch;
    if (!checkpoint->held || status == DH_LOCKED) {
        return status;
    }
    if (!dh_attempt_is_current(checkpoint->folder, epoch)) {
        return status == DH_OK ? DH_OK : dh_run_checkpoint_is_held(checkpoint);
    }
    if (status == DH_AGAIN) {
        (void)remove_stop(checkpoint); /* logged */
    }
    const bool useless = status != DH_OK && status != DH_AGAIN && !checkpoint->going_on && committed == 0;
    if ((status == DH_OK && !keep) || useless) {
        if (dh_checkpoint_remove(checkpoint->folder, epoch, checkpoint->folder_ours) != DH_OK) {
            dh_warning("the checkpoint folder %s could not be removed; it is of no use any more",
                       checkpoint->folder);
        }
        return status;
    }
    dh_attempt attempt = checkpoint->attempt;
    (void)dh_attempt_end(checkpoint->folder, &attempt, dh_status_exit_code(status)); /* logged */
    if (status != DH_OK && status != DH_MISMATCH && status != DH_USAGE) {
        char count[48] = "what earlier attempts did is"; /* it ended before it had looked what that is */
        if (committed > 0 || !checkpoint->going_on) {
            (void)snprintf(count, sizeof count, "%" PRIu64 " segments are done and", committed);
        }
        dh_say("%s kept in %s: run the same command again to go on", count, checkpoint->folder);
    }
    return status;
}
