#include "checkpoint/survey.h"

#include "base/fault.h"
#include "base/log.h"
#include "checkpoint/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How much text a compressed byte stands for, until a stream has told. */
enum { STREAM_RATIO = 4 };

/* What is kept of a journal entry: 48 bytes. */
typedef struct done_segment {
    uint32_t first_source, flags;
    uint64_t begin;
    uint64_t documents, text_bytes, file_bytes;
    uint32_t bad, epoch;
} done_segment;
_Static_assert(sizeof(done_segment) <= 64, "64 bytes of memory a segment");

typedef struct journal_name {
    uint32_t epoch, rank;
} journal_name;

/* The parts of a stage, complete or not: who wrote the latest. */
typedef struct stage_parts {
    char name[DH_CHECKPOINT_NAME_MAX + 1];
    uint32_t epoch;
} stage_parts;

enum { STAGES_MAX = 16 }; /* more than there are */

typedef struct collection {
    const char *folder;
    dh_survey *out;
    journal_name *journal;
    size_t journal_count, journal_capacity;
    done_segment *segment;
    size_t segment_count, segment_capacity;
    stage_parts parts[STAGES_MAX];
    size_t parts_count;
    uint32_t last_useful;           /* epoch of the last attempt that made something durable; 0: none */
    uint64_t last_commit_of_holder; /* ns since 1970 */
    uint64_t start_of_holder;       /* as its journals say */
} collection;

/* ---- collecting -------------------------------------------------------------------------------------- */

static dh_status make_room(size_t count, size_t size, const char *what, size_t *capacity, void **memory)
{
    if (count < *capacity) {
        return DH_OK;
    }
    const size_t grown = *capacity == 0 ? 64 : *capacity + *capacity / 2;
    DH_TRY(dh_reallocate(grown, size, what, memory));
    *capacity = grown;
    return DH_OK;
}

static dh_status add_journal(collection *into, uint32_t epoch, uint32_t rank)
{
    void *memory = into->journal;
    DH_TRY(make_room(into->journal_count, sizeof *into->journal, "names of journals", &into->journal_capacity,
                     &memory));
    into->journal = memory;
    into->journal[into->journal_count++] = (journal_name){.epoch = epoch, .rank = rank};
    return DH_OK;
}

/* A file that goes while it is looked at is not counted. */
static dh_status add_size(collection *into, const char *name)
{
    dh_buffer path = {0};
    dh_status status = dh_buffer_printf(&path, "%s/%s", into->folder, name);
    if (status == DH_OK) {
        status = dh_buffer_append(&path, "", 1);
    }
    if (status == DH_OK) {
        const char *text = (const char *)path.data;
        struct stat facts;
        if (DH_CALL(STAT, text, lstat(text, &facts)) == 0) {
            into->out->files++;
            into->out->bytes += (uint64_t)facts.st_size;
        } else if (errno != ENOENT) {
            status = dh_error(DH_IO, "%s: cannot stat: %s", text, strerror(errno));
        }
    }
    dh_buffer_free(&path);
    return status;
}

/* Folders are listed in no order: the name goes in front of the first that is greater. */
static void add_stage(dh_survey *survey, const char *name)
{
    char *stages = survey->stages;
    const size_t used = strlen(stages);
    const size_t size = strlen(name);
    if (used + size + 2 >= DH_SURVEY_STAGES_BYTES) {
        return; /* there are no so many stages: somebody else's files */
    }
    char *at = stages;
    while (*at != '\0' && strncmp(at, name, size) < 0) {
        at = strstr(at, ", ");
        at = at != NULL ? at + 2 : stages + used;
    }
    if (used == 0) {
        memcpy(stages, name, size + 1);
    } else if (*at == '\0') {
        memcpy(at, ", ", 2);
        memcpy(at + 2, name, size + 1);
    } else {
        memmove(at + size + 2, at, strlen(at) + 1);
        memcpy(at, name, size);
        memcpy(at + size, ", ", 2);
    }
}

/* part-EEEEEE-RRRRRR-NAME */
static void add_part(collection *into, uint32_t epoch, const char *file)
{
    const char *name = strrchr(file, '-') + 1;
    size_t at = 0;
    while (at < into->parts_count && strcmp(into->parts[at].name, name) != 0) {
        at++;
    }
    if (at == STAGES_MAX || strlen(name) > DH_CHECKPOINT_NAME_MAX) {
        return; /* somebody else's files */
    }
    stage_parts *parts = &into->parts[at];
    if (at == into->parts_count) {
        memcpy(parts->name, name, strlen(name) + 1);
        into->parts_count++;
    }
    parts->epoch = epoch > parts->epoch ? epoch : parts->epoch;
}

static bool has_stage(const dh_survey *survey, const char *name)
{
    const size_t size = strlen(name);
    const char *at = survey->stages;
    while (at != NULL && (strncmp(at, name, size) != 0 || (at[size] != '\0' && at[size] != ','))) {
        at = strstr(at, ", ");
        at = at != NULL ? at + 2 : NULL;
    }
    return at != NULL;
}

static dh_status take_name(void *context, const char *name)
{
    collection *into = context;
    uint32_t epoch = 0;
    uint32_t rank = 0;
    const dh_checkpoint_file file = dh_checkpoint_classify(name, &epoch, &rank);
    if (file == DH_CHECKPOINT_OTHER) {
        return DH_OK;
    }
    if (file == DH_CHECKPOINT_STAGE) {
        add_stage(into->out, strchr(name, '-') + 1);
    }
    if (file == DH_CHECKPOINT_PART) {
        add_part(into, epoch, name);
    }
    into->out->has_result = into->out->has_result || file == DH_CHECKPOINT_RESULT;
    if (file == DH_CHECKPOINT_JOURNAL) {
        DH_TRY(add_journal(into, epoch, rank));
    }
    return add_size(into, name);
}

static dh_status take_entry(void *context, const dh_journal_entry *entry)
{
    collection *into = context;
    void *memory = into->segment;
    DH_TRY(make_room(into->segment_count, sizeof *into->segment, "the segments that are done",
                     &into->segment_capacity, &memory));
    into->segment = memory;
    into->segment[into->segment_count++] = (done_segment){.first_source = entry->first_source,
                                                          .flags = entry->flags,
                                                          .begin = entry->begin,
                                                          .documents = entry->documents,
                                                          .text_bytes = entry->text_bytes,
                                                          .file_bytes = entry->file_bytes,
                                                          .bad = entry->bad,
                                                          .epoch = entry->epoch};
    if (entry->time > into->out->last_commit) {
        into->out->last_commit = entry->time;
    }
    if (entry->epoch > into->last_useful) {
        into->last_useful = entry->epoch;
    }
    if (entry->epoch == into->out->holder.epoch && entry->time > into->last_commit_of_holder) {
        into->last_commit_of_holder = entry->time;
    }
    return DH_OK;
}

static dh_status read_journals(collection *into)
{
    const dh_manifest_facts *manifest = &into->out->manifest;
    for (size_t j = 0; j < into->journal_count; j++) {
        const journal_name name = into->journal[j];
        dh_journal_scan_result result = {0};
        /* Those before are of what --fresh threw away. */
        if (name.epoch < manifest->first_epoch) {
            continue;
        }
        DH_TRY(
            dh_journal_scan(into->folder, &manifest->run, name.epoch, name.rank, take_entry, into, &result));
        into->out->damaged += result.damaged;
        if (name.epoch == into->out->holder.epoch && result.start != 0 && !result.foreign) {
            into->start_of_holder = result.start;
        }
    }
    return DH_OK;
}

/* ---- adding up --------------------------------------------------------------------------------------- */

/* By segment; of one that was done twice, the later attempt's is last. */
static int compare_segments(const void *a, const void *b)
{
    const done_segment *left = a;
    const done_segment *right = b;
    if (left->first_source != right->first_source) {
        return left->first_source < right->first_source ? -1 : 1;
    }
    if (left->begin != right->begin) {
        return left->begin < right->begin ? -1 : 1;
    }
    return (left->epoch > right->epoch) - (left->epoch < right->epoch);
}

typedef struct stream_sums {
    uint64_t segments, file_bytes;
} stream_sums;

static void add_up(const collection *from, dh_survey *out, stream_sums *streams)
{
    for (size_t s = 0; s < from->segment_count; s++) {
        const done_segment *segment = &from->segment[s];
        const bool again = s + 1 < from->segment_count && segment[1].first_source == segment->first_source &&
                           segment[1].begin == segment->begin;
        if (again) {
            continue;
        }
        out->segments_done++;
        out->documents += segment->documents;
        out->text_bytes += segment->text_bytes;
        out->file_bytes += segment->file_bytes;
        out->bad += segment->bad;
        if ((segment->flags & DH_SEGMENT_STREAM) != 0) {
            streams->segments++;
            streams->file_bytes += segment->file_bytes;
        }
        if (segment->epoch == out->holder.epoch) {
            out->attempt_documents += segment->documents;
            out->attempt_text_bytes += segment->text_bytes;
            out->attempt_file_bytes += segment->file_bytes;
        }
    }
}

static void estimate_open(dh_survey *out, const stream_sums *streams)
{
    const uint64_t known_done = out->segments_done - streams->segments;
    const uint64_t known = out->manifest.known_segments;
    out->segments_open = known > known_done ? known - known_done : 0;
    if (streams->file_bytes >= out->manifest.stream_bytes) {
        return;
    }
    const double left = (double)(out->manifest.stream_bytes - streams->file_bytes);
    const double size = out->manifest.segment_size > 0 ? (double)out->manifest.segment_size : 1.0;
    const double each = streams->segments > 0 && streams->file_bytes > 0
                            ? (double)streams->file_bytes / (double)streams->segments
                            : size / STREAM_RATIO;
    const double segments = left / each;
    const double bounded = segments < 1.0 ? 1.0 : (segments > 1e15 ? 1e15 : segments);
    out->segments_open += (uint64_t)(bounded + 0.5);
    out->open_is_estimate = true;
}

static void count_idle(collection *from)
{
    dh_survey *out = from->out;
    for (size_t s = 0; s < from->parts_count; s++) {
        if (has_stage(out, from->parts[s].name) && from->parts[s].epoch > from->last_useful) {
            from->last_useful = from->parts[s].epoch;
        }
    }
    const uint32_t before = out->manifest.first_epoch > 0 ? out->manifest.first_epoch - 1 : 0;
    const uint32_t useful = from->last_useful > before ? from->last_useful : before;
    out->idle_attempts = out->holder.epoch > useful ? out->holder.epoch - useful : 0;
}

static void summarise(collection *from)
{
    dh_survey *out = from->out;
    stream_sums streams = {0};
    if (from->segment_count > 0) {
        qsort(from->segment, from->segment_count, sizeof *from->segment, compare_segments);
    }
    add_up(from, out, &streams);
    estimate_open(out, &streams);
    /* Where the attempt's own file is damaged, its journals know when it began. */
    const uint64_t start = out->holder.start != 0 ? out->holder.start : from->start_of_holder;
    if (start != 0 && from->last_commit_of_holder > start) {
        out->attempt_seconds = 1e-9 * (double)(from->last_commit_of_holder - start);
    }
    if (out->holder.epoch > out->manifest.first_epoch) {
        out->restarts = out->holder.epoch - out->manifest.first_epoch;
    }
    count_idle(from);
}

dh_status dh_survey_make(const char *folder, dh_survey *out)
{
    dh_survey survey = {0};
    collection all = {.folder = folder, .out = &survey};
    dh_status status = dh_attempt_look(folder, true, &survey.holder, &survey.state);
    if (status == DH_OK) {
        status = dh_manifest_read(folder, &survey.manifest, &survey.has_manifest);
    }
    if (status == DH_OK) {
        status = dh_folder_list(folder, take_name, &all);
    }
    if (status == DH_OK && survey.has_manifest) {
        status = read_journals(&all);
        if (status == DH_OK) {
            summarise(&all);
        }
    } else {
        survey.idle_attempts = survey.holder.epoch; /* none came to plan the run */
    }
    free(all.segment);
    free(all.journal);
    if (status == DH_OK) {
        *out = survey;
    }
    return status;
}

bool dh_survey_is_complete(const dh_survey *survey)
{
    return survey->has_result && survey->state == DH_HOLDER_ENDED && survey->holder.exit_code == 0;
}
