#include "run/map.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct map_state {
    dh_comm *comm;
    const dh_plan *plan;
    const dh_map_options *options;
    dh_counters *counters;
    dh_pipeline *pipeline;
    int spill;
    dh_buffer spill_path;
    uint64_t spill_size;
    dh_chunk_entry *entry;
    size_t entry_count, entry_capacity;
    dh_work_item item;
    uint32_t chunks_of_item;
    dh_pipeline_stats told; /* what the counters know already */
    double start, last_progress;
} map_state;

dh_status dh_spill_path(const char *folder, int rank, dh_buffer *out)
{
    out->size = 0;
    DH_TRY(dh_buffer_printf(out, "%s/" DH_SPILL_PREFIX "%06d", folder, rank));
    return dh_buffer_append(out, "", 1);
}

static dh_status spill_open(map_state *mapper)
{
    DH_TRY(dh_spill_path(mapper->options->folder, dh_comm_rank(mapper->comm), &mapper->spill_path));
    const char *path = (const char *)mapper->spill_path.data;
    mapper->spill = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (mapper->spill < 0) {
        return dh_error(DH_IO, "%s: cannot create: %s", path, strerror(errno));
    }
    return DH_OK;
}

static dh_status entry_append(map_state *mapper, const dh_chunk *chunk)
{
    if (mapper->entry_count == mapper->entry_capacity) {
        const size_t capacity = mapper->entry_capacity == 0 ? 64 : mapper->entry_capacity * 2;
        void *memory = mapper->entry;
        DH_TRY(dh_reallocate(capacity, sizeof *mapper->entry, "the table of chunks", &memory));
        mapper->entry = memory;
        mapper->entry_capacity = capacity;
    }
    const size_t part_size = dh_part_size(chunk->schema);
    const dh_source_part *last =
        chunk->part_count > 0
            ? (const dh_source_part *)(const void *)(chunk->parts.data + chunk->parts.size - part_size)
            : NULL;
    mapper->entry[mapper->entry_count++] = (dh_chunk_entry){
        .first_source = mapper->item.first_source,
        .number = mapper->chunks_of_item++,
        .begin = mapper->item.begin,
        .offset = mapper->spill_size,
        .spill = (uint32_t)dh_comm_rank(mapper->comm),
        .rows = chunk->rows,
        .id_bytes = (uint32_t)chunk->ids.size,
        .part_count = chunk->part_count,
        .bad_count = chunk->bad_count,
        .lines = last != NULL ? (uint32_t)last->lines : 0,
    };
    return DH_OK;
}

static void show_progress(map_state *mapper, uint64_t documents, uint64_t bytes)
{
    const double now = dh_seconds();
    const double every = dh_log_is_interactive() ? 0.5 : mapper->options->progress_seconds;
    if (now - mapper->last_progress < every) {
        return;
    }
    mapper->last_progress = now;
    uint64_t done = 0;
    if (dh_counters_read(mapper->counters, DH_COUNTER_DONE_BYTES, &done) != DH_OK) {
        return;
    }
    const double seconds = now - mapper->start;
    const double share = mapper->plan->file_bytes > 0 ? (double)done / (double)mapper->plan->file_bytes : 1.0;
    const double left = share > 0.0 && share <= 1.0 ? seconds / share - seconds : 0.0;
    dh_say_progress("%5.1f %% of the input, %" PRIu64
                    " documents, %.1f MB of text, %.1f MB/s, about %.0f s left",
                    100.0 * (share < 1.0 ? share : 1.0), documents, (double)bytes / 1e6,
                    (double)bytes / 1e6 / seconds, left);
}

/* Tells the counters what is new, and looks whether the run is to go on. DH_END: another rank failed. */
static dh_status tell(map_state *mapper)
{
    const dh_pipeline_stats now = dh_pipeline_statistics(mapper->pipeline);
    uint64_t documents = 0;
    uint64_t bytes = 0;
    uint64_t bad = 0;
    uint64_t before = 0;
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_DOCUMENTS, now.documents - mapper->told.documents,
                           &documents));
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_BYTES, now.text_bytes - mapper->told.text_bytes,
                           &bytes));
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_DONE_BYTES, now.file_bytes - mapper->told.file_bytes,
                           &before));
    DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_BAD, now.bad - mapper->told.bad, &bad));
    documents += now.documents - mapper->told.documents;
    bytes += now.text_bytes - mapper->told.text_bytes;
    bad += now.bad - mapper->told.bad;
    mapper->told = now;
    if (bad > mapper->options->bad_max) {
        uint64_t stopped = 0;
        DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_STOP, 1, &stopped));
        return stopped > 0 ? DH_END
                           : dh_error(DH_BAD_DATA,
                                      "%" PRIu64 " bad records are more than the %" PRIu64 " allowed "
                                      "(--max-bad, --strict)",
                                      bad, mapper->options->bad_max);
    }
    show_progress(mapper, documents, bytes);
    uint64_t stop = 0;
    DH_TRY(dh_counters_read(mapper->counters, DH_COUNTER_STOP, &stop));
    return stop > 0 ? DH_END : DH_OK;
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

static dh_status take_chunk(void *context, dh_chunk *chunk)
{
    map_state *mapper = context;
    DH_TRY(entry_append(mapper, chunk));
    uint64_t size = 0;
    DH_TRY(dh_chunk_write(chunk, mapper->spill, (const char *)mapper->spill_path.data, mapper->spill_size,
                          &size));
    mapper->spill_size += size;
    say_bad(mapper, chunk);
    return tell(mapper);
}

/* What is read must be what was planned: a file that changes meanwhile gives a result of neither. */
static dh_status check_unchanged(const char *path, uint64_t planned_size)
{
    struct stat facts;
    if (stat(path, &facts) != 0) {
        return dh_error(DH_IO, "%s: cannot stat: %s", path, strerror(errno));
    }
    if ((uint64_t)facts.st_size != planned_size) {
        return dh_error(DH_IO, "%s: changed while it was read: it had %" PRIu64 " bytes and has %lld now",
                        path, planned_size, (long long)facts.st_size);
    }
    return DH_OK;
}

static dh_status run_item(map_state *mapper)
{
    const dh_work_item item = mapper->item;
    for (uint32_t s = item.first_source; s < item.first_source + item.source_count; s++) {
        const dh_source *source = dh_plan_source(mapper->plan, s);
        const char *path = dh_plan_string(mapper->plan, source->path);
        DH_TRY(dh_pipeline_source(mapper->pipeline, s, path, dh_plan_string(mapper->plan, source->name),
                                  item.begin, item.end));
        DH_TRY(check_unchanged(path, source->size));
    }
    return dh_pipeline_finish_item(mapper->pipeline);
}

static dh_status run_items(map_state *mapper)
{
    for (;;) {
        uint64_t number = 0;
        uint64_t stop = 0;
        DH_TRY(dh_counters_read(mapper->counters, DH_COUNTER_STOP, &stop));
        if (stop > 0) {
            return DH_OK;
        }
        DH_TRY(dh_counters_add(mapper->counters, DH_COUNTER_WORK, 1, &number));
        if (number >= mapper->plan->item_count) {
            return DH_OK;
        }
        mapper->item = dh_plan_item(mapper->plan, number);
        mapper->chunks_of_item = 0;
        const dh_status status = run_item(mapper);
        if (status == DH_END) { /* another rank has failed and said why */
            return DH_OK;
        }
        DH_TRY(status);
    }
}

static dh_status map_locally(map_state *mapper, const dh_settings *settings)
{
    dh_status status = spill_open(mapper);
    if (status == DH_OK) {
        status = dh_pipeline_create(settings, take_chunk, mapper, &mapper->pipeline);
    }
    if (status == DH_OK) {
        status = run_items(mapper);
    }
    if (status != DH_OK && status != DH_BAD_DATA) {
        uint64_t before = 0;
        (void)dh_counters_add(mapper->counters, DH_COUNTER_STOP, 1, &before);
    }
    return status;
}

dh_status dh_map(dh_comm *comm, const dh_plan *plan, const dh_settings *settings,
                 const dh_map_options *options, dh_map_result *out)
{
    map_state mapper = {.comm = comm, .plan = plan, .options = options, .spill = -1, .start = dh_seconds()};
    mapper.last_progress = mapper.start;
    DH_TRY(dh_comm_agree(comm, dh_counters_create(comm, &mapper.counters)));
    const dh_status mine = map_locally(&mapper, settings);
    *out = (dh_map_result){.entry = mapper.entry,
                           .entry_count = mapper.entry_count,
                           .spill_bytes = mapper.spill_size,
                           .seconds = dh_seconds() - mapper.start};
    if (mapper.pipeline != NULL) {
        out->stats = dh_pipeline_statistics(mapper.pipeline);
    }
    dh_pipeline_free(mapper.pipeline);
    if (mapper.spill >= 0) {
        (void)close(mapper.spill);
    }
    dh_buffer_free(&mapper.spill_path);
    const dh_status status = dh_comm_agree(comm, mine);
    dh_counters_free(mapper.counters);
    return status;
}
