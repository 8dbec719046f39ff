#include "run/map.h"

#include "base/file.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const double interactive_every = 0.5; /* seconds, where lines are redrawn */
static const double percent = 100.0;
static const double mega = 1e6;

typedef struct map_state {
    dh_comm *comm;
    const dh_plan *plan;
    const dh_map_options *options;
    const dh_recovery *recovery;
    dh_watch *watch;
    dh_counters *counters;
    dh_pipeline *pipeline;
    dh_spill *spill;
    bool spill_failed; /* nothing more can be committed */
    dh_chunk_list chunks;
    uint32_t first_source; /* of the segment under way */
    uint64_t begin;
    dh_pipeline_stats at_begin; /* of the segment */
    dh_pipeline_stats told;     /* what the counters know already */
    dh_map_kept kept;           /* of the segments that ended */
    double start, last_commit;
} map_state;

/* ---- progress ---------------------------------------------------------------------------------------- */

/* ", about 5 min 3 s left" at the rate of this attempt; nothing where that is not known yet. */
static dh_status append_time_left(const dh_map_progress *progress, double done, double seconds,
                                  dh_buffer *out)
{
    const double total = (double)progress->plan->file_bytes;
    const double before = (double)progress->recovery->file_bytes; /* by earlier attempts */
    if (done <= before || done >= total) {
        return dh_buffer_append(out, "", 1);
    }
    DH_TRY(dh_buffer_printf(out, ", about "));
    DH_TRY(dh_append_duration((total - done) / (done - before) * seconds, out));
    DH_TRY(dh_buffer_printf(out, " left"));
    return dh_buffer_append(out, "", 1);
}

void dh_map_progress_show(dh_map_progress *progress)
{
    const double now = progress->counters != NULL ? dh_seconds() : 0;
    const double every = dh_log_is_interactive() ? interactive_every : progress->every;
    if (progress->counters == NULL || now - progress->last < every) {
        return;
    }
    progress->last = now;
    uint64_t done = 0;
    uint64_t documents = 0;
    uint64_t bytes = 0;
    dh_buffer left = {0};
    if (dh_counters_read(progress->counters, DH_COUNTER_DONE_BYTES, &done) == DH_OK &&
        dh_counters_read(progress->counters, DH_COUNTER_DOCUMENTS, &documents) == DH_OK &&
        dh_counters_read(progress->counters, DH_COUNTER_BYTES, &bytes) == DH_OK &&
        append_time_left(progress, (double)done, now - progress->start, &left) == DH_OK) {
        const double total = (double)progress->plan->file_bytes;
        const double share = total > 0 ? (double)done / total : 1.0;
        const uint64_t before = progress->recovery->text_bytes;
        dh_say_progress("%5.1f %% of the input, %" PRIu64 " documents, %.1f MB of text, %.1f MB/s%s",
                        percent * (share < 1.0 ? share : 1.0), documents, (double)bytes / mega,
                        (double)(bytes > before ? bytes - before : 0) / mega / (now - progress->start),
                        (const char *)left.data);
    }
    dh_buffer_free(&left);
}

static dh_status too_many_bad(const map_state *mapper, uint64_t bad)
{
    return dh_error(DH_BAD_DATA,
                    "%" PRIu64 " bad records are more than the %" PRIu64 " allowed (--max-bad, --strict)",
                    bad, mapper->options->bad_max);
}

/* Tells the counters what is new. */
static dh_status tell(map_state *mapper)
{
    const dh_pipeline_stats now = dh_pipeline_statistics(mapper->pipeline);
    uint64_t bad = 0;
    uint64_t before = 0;
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_DOCUMENTS, now.documents - mapper->told.documents,
                           &before));
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_BYTES, now.text_bytes - mapper->told.text_bytes,
                           &before));
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_DONE_BYTES, now.file_bytes - mapper->told.file_bytes,
                           &before));
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_BAD, now.bad - mapper->told.bad, &bad));
    bad += now.bad - mapper->told.bad;
    mapper->told = now;
    if (bad > mapper->options->bad_max) {
        uint64_t stopped = 0; /* of several ranks that find it, one says it */
        DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_STOP, 1, &stopped));
        return stopped > 0 ? DH_AGAIN : too_many_bad(mapper, bad);
    }
    dh_map_progress_show(mapper->options->progress);
    return DH_OK;
}

/* What earlier attempts did counts, too: for the progress and for --max-bad. */
static dh_status tell_recovered(map_state *mapper)
{
    const dh_recovery *recovery = mapper->recovery;
    const uint64_t value[] = {recovery->documents, recovery->text_bytes, recovery->file_bytes, recovery->bad};
    static const int counter[] = {DH_COUNTER_DOCUMENTS, DH_COUNTER_BYTES, DH_COUNTER_DONE_BYTES,
                                  DH_COUNTER_BAD};
    if (dh_comm_rank(mapper->comm) != 0) {
        return DH_OK;
    }
    for (size_t i = 0; i < sizeof counter / sizeof *counter; i++) {
        uint64_t before = 0;
        DH_TRY(dh_counters_add(mapper->counters, counter[i], value[i], &before));
    }
    return recovery->bad > mapper->options->bad_max ? too_many_bad(mapper, recovery->bad) : DH_OK;
}

/* The first bad records are worth a word at once when they may end the run. */
static void say_bad(const map_state *mapper, const dh_chunk *chunk)
{
    if (mapper->options->bad_max == UINT64_MAX || chunk->bad_count == 0) {
        return;
    }
    const dh_bad_record *bad = (const dh_bad_record *)(const void *)chunk->bad.data;
    dh_warning("%s, at byte %" PRIu64 ": %s (%s)", dh_plan_name(mapper->plan, bad->source), bad->offset,
               dh_reason_description((dh_reason)bad->reason), dh_reason_name((dh_reason)bad->reason));
}

/* ---- spill and commit -------------------------------------------------------------------------------- */

static dh_status take_chunk(void *context, dh_chunk *chunk)
{
    map_state *mapper = context;
    dh_chunk_entry entry;
    const dh_status status =
        dh_spill_add_chunk(mapper->spill, chunk, mapper->first_source, mapper->begin, &entry);
    mapper->spill_failed |= status != DH_OK;
    DH_TRY(status);
    DH_TRY(dh_chunk_list_add(&mapper->chunks, &entry));
    say_bad(mapper, chunk);
    return tell(mapper);
}

static dh_status poll_all(void *context)
{
    const map_state *mapper = context;
    DH_TRY(mapper->options->poll(mapper->options->context));
    return dh_watch_poll(mapper->watch);
}

/* A rank that dies with its run may get here while the next attempt already tidies up: a journal is made only
 * by who still holds the folder. */
static dh_status commit(map_state *mapper)
{
    dh_status status = DH_OK;
    if (dh_spill_waiting(mapper->spill) > 0) {
        status = dh_watch_check_held(mapper->watch);
    }
    if (status == DH_OK) {
        status = dh_spill_commit(mapper->spill);
    }
    mapper->spill_failed |= status != DH_OK;
    mapper->last_commit = dh_seconds();
    return status;
}

/* ---- segments ---------------------------------------------------------------------------------------- */

static void begin_segment(map_state *mapper, uint32_t first_source, uint64_t begin)
{
    mapper->first_source = first_source;
    mapper->begin = begin;
    mapper->at_begin = dh_pipeline_statistics(mapper->pipeline);
}

static dh_status end_segment(map_state *mapper, uint32_t flags)
{
    DH_TRY(dh_pipeline_finish_segment(mapper->pipeline));
    const dh_pipeline_stats now = dh_pipeline_statistics(mapper->pipeline);
    const dh_segment_facts facts = {
        .first_source = mapper->first_source,
        .flags = flags,
        .begin = mapper->begin,
        .documents = now.documents - mapper->at_begin.documents,
        .text_bytes = now.text_bytes - mapper->at_begin.text_bytes,
        .file_bytes = now.file_bytes - mapper->at_begin.file_bytes,
        .bad = (uint32_t)(now.bad - mapper->at_begin.bad),
    };
    DH_TRY(dh_spill_end_segment(mapper->spill, &facts));
    mapper->kept.documents += facts.documents;
    mapper->kept.text_bytes += facts.text_bytes;
    mapper->kept.file_bytes += facts.file_bytes;
    mapper->kept.bad += facts.bad;
    if (dh_seconds() - mapper->last_commit >= mapper->options->commit_seconds) {
        DH_TRY(commit(mapper));
    }
    return DH_OK;
}

/* What is read must be what was planned: a file that changes meanwhile gives a result of neither. */
static dh_status check_unchanged(const char *path, const dh_source *source)
{
    struct stat facts;
    DH_TRY(dh_file_stat(path, &facts));
    if ((uint64_t)facts.st_size != source->size) {
        return dh_error(DH_IO, "%s: changed while it was read: it had %" PRIu64 " bytes and has %lld now",
                        path, source->size, (long long)facts.st_size);
    }
    if (dh_file_time(&facts) != source->time) {
        return dh_error(DH_IO, "%s: changed while it was read: somebody wrote to it", path);
    }
    return DH_OK;
}

/* A segment that is known from the plan: a range of a plain source, or whole sources. */
static dh_status run_planned(map_state *mapper, const dh_work_item *item)
{
    if (dh_recovery_find(mapper->recovery, item->first_source, item->begin) != NULL) {
        return DH_OK;
    }
    begin_segment(mapper, item->first_source, item->begin);
    for (uint32_t s = item->first_source; s < item->first_source + item->source_count; s++) {
        const dh_source *source = dh_plan_source(mapper->plan, s);
        const char *path = dh_plan_string(mapper->plan, source->path);
        DH_TRY(dh_pipeline_source(mapper->pipeline, s, path, dh_plan_string(mapper->plan, source->name),
                                  item->begin, item->end));
        DH_TRY(check_unchanged(path, source));
    }
    return end_segment(mapper, 0);
}

/* The segments of a stream come to light as it is read. Done ones are passed over by the reader. */
static dh_status run_stream(map_state *mapper, const dh_work_item *item)
{
    const uint32_t s = item->first_source;
    const uint64_t size = mapper->plan->segment_size;
    const dh_source *source = dh_plan_source(mapper->plan, s);
    const char *path = dh_plan_string(mapper->plan, source->path);
    bool opened = false;
    for (uint64_t begin = 0;; begin += size) {
        const dh_segment *done = dh_recovery_find(mapper->recovery, s, begin);
        if (done != NULL && (done->flags & DH_SEGMENT_LAST) != 0) {
            return DH_OK;
        }
        if (done != NULL) {
            continue;
        }
        if (dh_watch_is_leaving(mapper->watch)) {
            return DH_AGAIN;
        }
        begin_segment(mapper, s, begin);
        DH_TRY(opened ? dh_pipeline_go_on(mapper->pipeline, begin, begin + size)
                      : dh_pipeline_source(mapper->pipeline, s, path,
                                           dh_plan_string(mapper->plan, source->name), begin, begin + size));
        opened = true;
        if (dh_pipeline_is_beyond_end(mapper->pipeline)) {
            return dh_error(DH_IO,
                            "%s: is shorter now than when earlier attempts read it (no byte at %" PRIu64
                            "): --fresh starts over",
                            path, begin);
        }
        const bool last = dh_pipeline_source_ended(mapper->pipeline);
        if (last) {
            DH_TRY(check_unchanged(path, source));
        }
        DH_TRY(end_segment(mapper, DH_SEGMENT_STREAM | (last ? DH_SEGMENT_LAST : 0)));
        if (last) {
            return DH_OK;
        }
    }
}

static dh_status run_items(map_state *mapper)
{
    for (;;) {
        uint64_t number = 0;
        DH_TRY(dh_watch_poll(mapper->watch));
        if (dh_watch_is_leaving(mapper->watch)) {
            DH_TRY(dh_counters_read(mapper->counters, DH_COUNTER_WORK, &number));
            return number < mapper->plan->item_count ? DH_AGAIN : DH_OK;
        }
        DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_WORK, 1, &number));
        if (number >= mapper->plan->item_count) {
            return DH_OK;
        }
        const dh_work_item item = dh_plan_item(mapper->plan, number);
        DH_TRY(item.kind == DH_WORK_STREAM ? run_stream(mapper, &item) : run_planned(mapper, &item));
    }
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static dh_status map_locally(map_state *mapper, const dh_settings *settings)
{
    const dh_pipeline_hooks hooks = {
        .take = take_chunk, .poll = poll_all, .context = mapper, .dispatcher = mapper->options->dispatcher};
    dh_status status = dh_spill_create(&mapper->options->spill, &mapper->spill);
    if (status == DH_OK) {
        status = dh_pipeline_create(settings, &hooks, &mapper->pipeline);
    }
    if (status == DH_OK) {
        status = run_items(mapper);
    }
    if (status != DH_OK && status != DH_AGAIN) {
        dh_watch_fail(mapper->watch);
    }
    /* Whatever happened, what is complete is kept, unless it cannot be, or is not ours to write any more. */
    if (mapper->spill != NULL && !mapper->spill_failed && status != DH_LOCKED) {
        dh_spill_drop_segment(mapper->spill);
        const dh_status written = commit(mapper);
        const dh_status committed = written == DH_OK ? dh_spill_close(mapper->spill) : written;
        if (committed != DH_OK) {
            dh_watch_fail(mapper->watch);
            return committed > status ? committed : status;
        }
    }
    return status;
}

static void begin_progress(const map_state *mapper)
{
    dh_map_progress *progress = mapper->options->progress;
    progress->counters = dh_comm_rank(mapper->comm) == 0 ? mapper->counters : NULL;
    progress->plan = mapper->plan;
    progress->recovery = mapper->recovery;
    progress->start = mapper->start;
    progress->last = mapper->start;
}

dh_status dh_map(dh_comm *comm, const dh_plan *plan, const dh_settings *settings, dh_watch *watch,
                 dh_recovery *recovery, const dh_map_options *options, dh_map_result *out)
{
    map_state mapper = {.comm = comm,
                        .plan = plan,
                        .options = options,
                        .recovery = recovery,
                        .watch = watch,
                        .counters = dh_watch_counters(watch),
                        .chunks = recovery->chunks,
                        .start = dh_seconds()};
    recovery->chunks = (dh_chunk_list){0};
    begin_progress(&mapper);
    mapper.last_commit = mapper.start;
    *out = (dh_map_result){0};
    dh_status status = dh_comm_agree(comm, tell_recovered(&mapper));
    if (status == DH_OK) {
        status = map_locally(&mapper, settings);
        const dh_status served = options->serve(options->context, status == DH_OK);
        status = status != DH_OK ? status : served;
    }
    out->chunks = mapper.chunks;
    out->seconds = dh_seconds() - mapper.start;
    out->kept = options->spill.journalled ? mapper.kept : (dh_map_kept){0};
    if (mapper.spill != NULL) {
        out->spill_bytes = dh_spill_size(mapper.spill);
        out->segments = dh_spill_committed(mapper.spill);
        out->commit_seconds = dh_spill_commit_seconds(mapper.spill);
    }
    if (mapper.pipeline != NULL) {
        out->stats = dh_pipeline_statistics(mapper.pipeline);
    }
    dh_pipeline_free(mapper.pipeline);
    dh_spill_free(mapper.spill);
    status = dh_comm_agree(comm, status);
    options->progress->counters = NULL; /* not before: this may wait for long */
    return status;
}
