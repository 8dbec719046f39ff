/* dhatu: the small results that rank 0 adds to the file when the bulk is written. */
#include "base/log.h"
#include "dhatu_config.h"
#include "output/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct finish_state {
    dh_emitter emitter; /* first, so that the job's emitter is ours */
    dh_h5 *h5;
    dh_content *content;
    const char *group; /* "uns/dhatu/profile" */
} finish_state;

static dh_status put_text(finish_state *finisher, const char *path, const char *text, const char *description)
{
    const size_t size = strlen(text);
    const dh_h5_array array = {.type = DH_TEXT, .text_width = (uint32_t)(size > 0 ? size : 1)};
    uint8_t digest[DH_SHA256_SIZE];
    DH_TRY(dh_h5_text(finisher->h5, path, text, size, description));
    dh_content_whole(&array, size > 0 ? text : "\0", digest);
    return dh_content_add(finisher->content, path, &array, digest);
}

static dh_status emit_array(dh_emitter *emitter, const char *name, dh_type type, const uint64_t *dims,
                            uint32_t dim_count, const void *data, const char *description, const char *unit)
{
    finish_state *finisher = (finish_state *)(void *)emitter;
    dh_h5_array array = {.type = type, .dim_count = dim_count, .description = description, .unit = unit};
    if (type == DH_TEXT) {
        array.dim_count--;
        array.text_width = (uint32_t)(dims[dim_count - 1] > 0 ? dims[dim_count - 1] : 1);
    }
    for (uint32_t d = 0; d < array.dim_count; d++) {
        array.dims[d] = dims[d];
    }
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", finisher->group, name);
    return dh_content_put(finisher->content, finisher->h5, path, &array, data);
}

/* What the reduce phase found out for a job. */
static dh_status emit_reduced(finish_state *finisher, const dh_job *job, const dh_settings *settings,
                              const dh_reduced *reduced)
{
    if (job == &dh_job_vocab) {
        return dh_terms_emit(&reduced->terms, &finisher->emitter);
    }
    if (job == &dh_job_neardup) {
        return dh_neardup_emit(&reduced->neardup, &settings->job_options, &finisher->emitter);
    }
    return DH_OK;
}

static dh_status emit_jobs(finish_state *finisher, const dh_settings *settings, const dh_reduced *reduced)
{
    for (uint32_t j = 0; j < settings->job_count; j++) {
        const dh_active_job *active = &settings->job[j];
        char group[128];
        (void)snprintf(group, sizeof group, "uns/dhatu/%s", active->job->name);
        finisher->group = group;
        if (active->job->emit != NULL) {
            DH_TRY(active->job->emit(active->state, &finisher->emitter));
        }
        DH_TRY(emit_reduced(finisher, active->job, settings, reduced));
    }
    finisher->group = NULL;
    return DH_OK;
}

/* A data frame with a row for documents, blank lines and each reason; its bytes add up to those of the
 * sources. */
static dh_status put_quality(finish_state *finisher, const dh_quality *quality)
{
    enum { ROWS = DH_REASON_COUNT + 1, NAME = 32 };
    static const char *const column[] = {"records", "bytes"};
    char name[ROWS * NAME] = {0};
    uint64_t records[ROWS] = {quality->documents, quality->blank};
    uint64_t bytes[ROWS] = {quality->document_bytes, quality->blank_bytes};
    memcpy(name, "document", strlen("document"));
    memcpy(name + NAME, "blank", strlen("blank"));
    for (int reason = 1; reason < DH_REASON_COUNT; reason++) {
        const char *text = dh_reason_name((dh_reason)reason);
        memcpy(name + (reason + 1) * NAME, text, strlen(text));
        records[reason + 1] = quality->reason[reason];
        bytes[reason + 1] = quality->reason_bytes[reason];
    }
    DH_TRY(dh_h5_dataframe(finisher->h5, "uns/dhatu/quality", column, 2));
    const dh_h5_array names = {.type = DH_TEXT,
                               .text_width = NAME,
                               .dim_count = 1,
                               .dims = {ROWS},
                               .description = "what became of records: document, blank, or why not",
                               .unit = "1"};
    dh_h5_array counts = {
        .type = DH_U64, .dim_count = 1, .dims = {ROWS}, .description = "how many", .unit = "records"};
    DH_TRY(dh_content_put(finisher->content, finisher->h5, "uns/dhatu/quality/_index", &names, name));
    DH_TRY(dh_content_put(finisher->content, finisher->h5, "uns/dhatu/quality/records", &counts, records));
    counts.description = "their bytes in the uncompressed sources";
    counts.unit = "byte";
    DH_TRY(dh_content_put(finisher->content, finisher->h5, "uns/dhatu/quality/bytes", &counts, bytes));
    const uint64_t repaired[] = {quality->repaired_documents, quality->replaced};
    const dh_h5_array repairs = {.type = DH_U64,
                                 .dim_count = 1,
                                 .dims = {2},
                                 .description = "documents with repaired text; U+FFFD put in",
                                 .unit = "documents, characters"};
    return dh_content_put(finisher->content, finisher->h5, "uns/dhatu/repaired", &repairs, repaired);
}

static dh_status put_all(finish_state *finisher, const dh_writer *writer)
{
    DH_TRY(put_text(finisher, "uns/dhatu/config", writer->options->config,
                    "options that matter to the result, as JSON"));
    DH_TRY(dh_h5_group(finisher->h5, "uns/dhatu/versions", "dict", "0.1.0"));
    DH_TRY(put_text(finisher, "uns/dhatu/versions/dhatu", DHATU_VERSION, "program that wrote the file"));
    DH_TRY(put_text(finisher, "uns/dhatu/versions/format", "1.1",
                    "version of the file's layout (docs/formats.md)"));
    DH_TRY(put_quality(finisher, &writer->quality));
    return emit_jobs(finisher, writer->settings, writer->options->reduced);
}

dh_status dh_writer_finish(dh_writer *writer, char content[2 * DH_SHA256_SIZE + 1])
{
    finish_state finisher = {
        .emitter = {.array = emit_array},
        .content = &writer->content,
    };
    DH_TRY(dh_h5_open(writer->options->partial, true, &finisher.h5));
    dh_status status = put_all(&finisher, writer);
    if (status == DH_OK) {
        dh_content_finish(&writer->content, content);
        status = dh_h5_text(finisher.h5, DH_CONTENT_PATH, content, strlen(content),
                            "digest of all other datasets (docs/formats.md)");
    }
    const dh_status closed = dh_h5_close(finisher.h5);
    return status == DH_OK ? closed : status;
}
