#include "scenario.h"

#include "base/file.h"
#include "base/log.h"
#include "checkpoint/attempt.h"
#include "checkpoint/folder.h"
#include "checkpoint/manifest.h"
#include "checkpoint/spill.h"
#include "checkpoint/survey.h"
#include "plan/plan.h"
#include "read/stream_decoder.h"
#include "run/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4400, SEGMENT_SIZE = 64 << 10 };

typedef struct scene_state {
    const char *folder, *checkpoint;
    dh_options options;
    dh_settings settings;
    dh_buffer text, fingerprint, plan_block, scratch;
    dh_fingerprint *print;
    dh_attempt attempt;
    dh_spill *spill;
    dh_pipeline *pipeline;
    void *other[DH_JOBS_MAX]; /* a second accumulator a job, to merge */
    uint32_t first_source;    /* of the segment under way */
    uint64_t begin, rows, entries;
    uint64_t digest;
} scene_state;

static const dh_run_id run_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* FNV-1a */
static void digest_bytes(scene_state *scene, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < size; i++) {
        scene->digest = (scene->digest ^ byte[i]) * UINT64_C(0x100000001B3);
    }
}

static const dh_plan *plan_of(const scene_state *scene)
{
    return (const dh_plan *)(const void *)scene->plan_block.data;
}

/* ---- settings and plan ------------------------------------------------------------------------------- */

static dh_status resolve(scene_state *scene)
{
    static char word[][16] = {"dhatu",        "run", "-j", "profile,digest", "--segment-size", "64K",
                              "--batch-size", "16K", "-q", "--config"};
    char settings[PATH_SIZE];
    char below[PATH_SIZE];
    char glob[PATH_SIZE];
    char list[PATH_SIZE];
    (void)snprintf(settings, sizeof settings, "%s/settings.ini", scene->folder);
    (void)snprintf(below, sizeof below, "%s/corpus/below", scene->folder);
    (void)snprintf(glob, sizeof glob, "%s/corpus/*.gz", scene->folder);
    (void)snprintf(list, sizeof list, "@%s/list", scene->folder);
    char *argv[16];
    int argc = 0;
    for (size_t i = 0; i < sizeof word / sizeof word[0]; i++) {
        argv[argc++] = word[i];
    }
    argv[argc++] = settings;
    char *const input[] = {below, glob, list};
    for (size_t i = 0; i < sizeof input / sizeof input[0]; i++) {
        argv[argc++] = input[i];
    }
    DH_TRY(dh_options_resolve(argc, argv, &scene->options));
    DH_TRY(dh_settings_resolve(&scene->options, &scene->settings));
    DH_TRY(dh_settings_config(&scene->settings, &scene->options, &scene->text));
    DH_TRY(dh_settings_fingerprint(&scene->settings, &scene->options, &scene->fingerprint));
    const dh_plan_options options = {
        .format = DH_FORMAT_AUTO, .segment_size = SEGMENT_SIZE, .exclude_folder = scene->checkpoint};
    return dh_plan_make(&options, scene->options.argument, (size_t)scene->options.argument_count,
                        &scene->plan_block);
}

static dh_status help(scene_state *scene)
{
    scene->text.size = 0;
    DH_TRY(dh_help_text(DH_COMMAND_RUN, &scene->text));
    return dh_help_man(DH_COMMAND_RUN, &scene->text);
}

/* zlib is not what a run reads gzip with where ISA-L is there. */
static dh_status read_with_zlib(const scene_state *scene)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/corpus/b.jsonl.gz", scene->folder);
    const dh_decoder_options options = {.inflate = &dh_inflate_zlib};
    dh_stream *stream = NULL;
    DH_TRY(dh_stream_open_with(path, 0, &options, &stream));
    static uint8_t bytes[SEGMENT_SIZE];
    size_t got = 0;
    dh_status status = DH_OK;
    while (status == DH_OK) {
        status = dh_stream_read(stream, bytes, sizeof bytes, &got);
    }
    if (status == DH_END && dh_stream_damage_seen(stream) != DH_STREAM_INTACT) {
        status = dh_error(DH_INTERNAL, "%s: is not intact", path);
    }
    dh_stream_close(stream);
    return status == DH_END ? DH_OK : status;
}

/* ---- chunks ------------------------------------------------------------------------------------------ */

static dh_rows rows_of(const dh_active_job *active, const dh_chunk *chunk, uint64_t first_row)
{
    return (dh_rows){.first_row = first_row,
                     .count = chunk->rows,
                     .facts = {.tokens = chunk->column[DH_ENGINE_TOKENS],
                               .bytes = chunk->column[DH_ENGINE_BYTES],
                               .language = chunk->column[DH_ENGINE_LANGUAGE]},
                     .column = (const void *const *)(chunk->column + active->first_column)};
}

static dh_status take_chunk(void *context, dh_chunk *chunk)
{
    scene_state *scene = context;
    dh_chunk_entry entry;
    DH_TRY(dh_spill_add_chunk(scene->spill, chunk, scene->first_source, scene->begin, &entry));
    for (uint32_t c = 0; c < chunk->schema->column_count; c++) {
        digest_bytes(scene, chunk->column[c], chunk->rows * chunk->schema->row_size[c]);
    }
    digest_bytes(scene, chunk->ids.data, chunk->ids.size);
    digest_bytes(scene, chunk->parts.data, chunk->parts.size);
    digest_bytes(scene, chunk->bad.data, chunk->bad.size);
    for (uint32_t j = 0; j < scene->settings.job_count; j++) {
        const dh_active_job *active = &scene->settings.job[j];
        if (active->job->accumulate != NULL) {
            const dh_rows rows = rows_of(active, chunk, scene->rows);
            DH_TRY(active->job->accumulate(scene->rows % 2 == 0 ? active->state : scene->other[j], &rows));
        }
    }
    scene->rows += chunk->rows;
    return DH_OK;
}

static dh_status go_on(void *context)
{
    (void)context;
    return DH_OK;
}

static dh_status may_write(void *context)
{
    const scene_state *scene = context;
    return dh_attempt_is_current(scene->checkpoint, scene->attempt.epoch) ? DH_OK : DH_LOCKED;
}

static dh_status begin_work(scene_state *scene)
{
    const dh_spill_options options = {.folder = scene->checkpoint,
                                      .run = run_id,
                                      .epoch = scene->attempt.epoch,
                                      .start = scene->attempt.start,
                                      .journalled = true,
                                      .may_write = may_write,
                                      .context = scene};
    const dh_pipeline_hooks hooks = {.take = take_chunk, .poll = go_on, .context = scene};
    DH_TRY(dh_spill_create(&options, &scene->spill));
    return dh_pipeline_create(&scene->settings, &hooks, &scene->pipeline);
}

static dh_status end_work(scene_state *scene)
{
    const dh_status status = dh_spill_commit(scene->spill);
    dh_pipeline_free(scene->pipeline);
    dh_spill_free(scene->spill);
    scene->pipeline = NULL;
    scene->spill = NULL;
    return status;
}

/* ---- segments ---------------------------------------------------------------------------------------- */

static dh_status end_segment(scene_state *scene, uint32_t flags)
{
    DH_TRY(dh_pipeline_finish_segment(scene->pipeline));
    const dh_segment_facts facts = {
        .first_source = scene->first_source, .flags = flags, .begin = scene->begin, .documents = scene->rows};
    return dh_spill_end_segment(scene->spill, &facts);
}

static dh_status run_source(scene_state *scene, uint32_t source, uint64_t begin, uint64_t end)
{
    const dh_plan *plan = plan_of(scene);
    return dh_pipeline_source(scene->pipeline, source,
                              dh_plan_string(plan, dh_plan_source(plan, source)->path),
                              dh_plan_name(plan, source), begin, end);
}

static dh_status run_stream(scene_state *scene, uint32_t source)
{
    bool last = false;
    for (uint64_t begin = 0; !last; begin += SEGMENT_SIZE) {
        scene->first_source = source;
        scene->begin = begin;
        DH_TRY(begin == 0 ? run_source(scene, source, 0, SEGMENT_SIZE)
                          : dh_pipeline_go_on(scene->pipeline, begin, begin + SEGMENT_SIZE));
        last = dh_pipeline_source_ended(scene->pipeline);
        DH_TRY(end_segment(scene, DH_SEGMENT_STREAM | (last ? DH_SEGMENT_LAST : 0)));
    }
    return DH_OK;
}

static dh_status run_items(scene_state *scene, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++) {
        const dh_work_item item = dh_plan_item(plan_of(scene), i);
        if (item.kind == DH_WORK_STREAM) {
            DH_TRY(run_stream(scene, item.first_source));
            continue;
        }
        scene->first_source = item.first_source;
        scene->begin = item.begin;
        for (uint32_t s = 0; s < item.source_count; s++) {
            DH_TRY(run_source(scene, item.first_source + s, item.begin, item.end));
        }
        DH_TRY(end_segment(scene, 0));
    }
    return DH_OK;
}

/* ---- the checkpoint ---------------------------------------------------------------------------------- */

static dh_status make_fingerprints(scene_state *scene)
{
    const dh_plan *plan = plan_of(scene);
    void *memory = NULL;
    DH_TRY(dh_allocate(plan->source_count, sizeof *scene->print, "fingerprints", &memory));
    scene->print = memory;
    for (uint64_t s = 0; s < plan->source_count; s++) {
        const dh_source *source = dh_plan_source(plan, s);
        DH_TRY(dh_fingerprint_read(dh_plan_string(plan, source->path), source->size,
                                   s % 2 == 0 ? DH_FINGERPRINT_ENDS : DH_FINGERPRINT_ALL, go_on, NULL,
                                   &scene->print[s]));
    }
    return DH_OK;
}

static dh_manifest manifest_of(const scene_state *scene)
{
    return (dh_manifest){.run = run_id,
                         .first_epoch = 1,
                         .kind = DH_FINGERPRINT_ENDS,
                         .options = (const char *)scene->fingerprint.data,
                         .plan = plan_of(scene),
                         .fingerprint = scene->print};
}

static dh_status first_attempt(scene_state *scene, uint64_t end)
{
    bool found = true;
    dh_manifest_facts facts;
    DH_TRY(dh_folder_create(scene->checkpoint));
    DH_TRY(dh_attempt_take(scene->checkpoint, 1, false, &scene->attempt));
    DH_TRY(dh_manifest_read(scene->checkpoint, &facts, &found));
    DH_TRY(make_fingerprints(scene));
    const dh_manifest manifest = manifest_of(scene);
    DH_TRY(dh_manifest_write(scene->checkpoint, &manifest));
    DH_TRY(begin_work(scene));
    DH_TRY(run_items(scene, 0, end));
    DH_TRY(end_work(scene));
    return dh_attempt_end(scene->checkpoint, &scene->attempt, 75);
}

static dh_status count_entry(void *context, const dh_chunk_entry *entry)
{
    scene_state *scene = context;
    digest_bytes(scene, entry, sizeof *entry);
    return DH_OK;
}

static dh_status check_segment(void *context, const dh_journal_entry *entry)
{
    scene_state *scene = context;
    bool intact = false;
    DH_TRY(dh_spill_check(scene->checkpoint, entry, &scene->settings.schema, &scene->scratch, count_entry,
                          scene, go_on, NULL, &intact));
    scene->entries++;
    return intact ? DH_OK : dh_error(DH_INTERNAL, "a segment is not intact");
}

static dh_status recover(scene_state *scene)
{
    dh_attempt holder;
    dh_holder_state state = DH_HOLDER_NONE;
    bool found = false;
    dh_manifest_facts facts;
    dh_journal_scan_result scan;
    DH_TRY(dh_attempt_look(scene->checkpoint, false, &holder, &state));
    DH_TRY(dh_attempt_take(scene->checkpoint, 1, false, &scene->attempt));
    DH_TRY(dh_manifest_read(scene->checkpoint, &facts, &found));
    const dh_manifest manifest = manifest_of(scene);
    DH_TRY(dh_manifest_compare(scene->checkpoint, &manifest));
    DH_TRY(dh_journal_scan(scene->checkpoint, &run_id, 1, 0, check_segment, scene, &scan));
    if (state != DH_HOLDER_ENDED || !found || scan.damaged != 0 || scene->entries < 2) {
        return dh_error(DH_INTERNAL, "the first attempt is not found as it was left");
    }
    return DH_OK;
}

static dh_status second_attempt(scene_state *scene, uint64_t begin)
{
    DH_TRY(recover(scene));
    DH_TRY(begin_work(scene));
    DH_TRY(run_items(scene, begin, plan_of(scene)->item_count));
    DH_TRY(end_work(scene));
    dh_survey survey;
    DH_TRY(dh_survey_make(scene->checkpoint, &survey));
    digest_bytes(scene, &survey.segments_done, sizeof survey.segments_done);
    char path[PATH_SIZE];
    bool matches = false;
    (void)snprintf(path, sizeof path, "%s/list", scene->folder); /* any file serves as the result */
    DH_TRY(dh_result_mark_write(scene->checkpoint, path, "00ff"));
    DH_TRY(dh_result_mark_matches(scene->checkpoint, path, &matches));
    DH_TRY(dh_attempt_end(scene->checkpoint, &scene->attempt, 0));
    DH_TRY(dh_checkpoint_remove(scene->checkpoint, scene->attempt.epoch, true));
    return matches ? DH_OK : dh_error(DH_INTERNAL, "the result is not the one that was marked");
}

/* ---- corpus-level results, verify -------------------------------------------------------------------- */

typedef struct array_collector {
    dh_emitter emitter;
    scene_state *scene;
} array_collector;

static dh_status take_array(dh_emitter *emitter, const char *name, dh_type type, const uint64_t *dims,
                            uint32_t dim_count, const void *data, const char *description, const char *unit)
{
    (void)description;
    (void)unit;
    scene_state *scene = ((array_collector *)emitter)->scene;
    size_t size = dh_type_size(type);
    for (uint32_t d = 0; d < dim_count; d++) {
        size *= dims[d];
    }
    digest_bytes(scene, name, strlen(name));
    digest_bytes(scene, data, size);
    return DH_OK;
}

static dh_status create_others(scene_state *scene)
{
    for (uint32_t j = 0; j < scene->settings.job_count; j++) {
        const dh_job *job = scene->settings.job[j].job;
        if (job->accumulate != NULL) {
            DH_TRY(job->create(&scene->settings.job_setup, &scene->other[j]));
        }
    }
    return DH_OK;
}

static dh_status reduce(scene_state *scene)
{
    array_collector collector = {.emitter = {take_array}, .scene = scene};
    for (uint32_t j = 0; j < scene->settings.job_count; j++) {
        const dh_active_job *active = &scene->settings.job[j];
        if (active->job->accumulate == NULL) {
            continue;
        }
        void *data = NULL;
        size_t size = 0;
        active->job->accumulator(scene->other[j], &data, &size);
        active->job->merge(active->state, data);
        DH_TRY(active->job->emit(active->state, &collector.emitter));
    }
    return DH_OK;
}

static dh_status drop_chunk(void *context, dh_chunk *chunk)
{
    (void)context;
    (void)chunk;
    return DH_OK;
}

/* As verify does. */
static dh_status pick(scene_state *scene)
{
    const dh_plan *plan = plan_of(scene);
    const dh_pipeline_hooks hooks = {.take = drop_chunk};
    DH_TRY(dh_pipeline_create(&scene->settings, &hooks, &scene->pipeline));
    const uint64_t offset = 0;
    for (uint32_t s = 0; s < plan->source_count; s++) {
        uint64_t found = 0;
        DH_TRY(dh_pipeline_pick(scene->pipeline, s, dh_plan_string(plan, dh_plan_source(plan, s)->path),
                                dh_plan_name(plan, s), &offset, 1, &found));
        digest_bytes(scene, &found, sizeof found);
    }
    return DH_OK;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static dh_status play(scene_state *scene)
{
    DH_TRY(help(scene));
    DH_TRY(resolve(scene));
    DH_TRY(read_with_zlib(scene));
    DH_TRY(create_others(scene));
    const uint64_t half = plan_of(scene)->item_count / 2;
    DH_TRY(first_attempt(scene, half));
    DH_TRY(second_attempt(scene, half));
    DH_TRY(reduce(scene));
    return pick(scene);
}

dh_status scenario_run(const char *folder, const char *checkpoint, uint64_t *digest)
{
    scene_state scene = {.folder = folder, .checkpoint = checkpoint, .digest = UINT64_C(0xCBF29CE484222325)};
    const dh_status status = play(&scene);
    dh_pipeline_free(scene.pipeline);
    dh_spill_free(scene.spill);
    for (uint32_t j = 0; j < DH_JOBS_MAX; j++) {
        if (scene.other[j] != NULL) {
            scene.settings.job[j].job->free(scene.other[j]);
        }
    }
    free(scene.print);
    dh_buffer_free(&scene.text);
    dh_buffer_free(&scene.fingerprint);
    dh_buffer_free(&scene.plan_block);
    dh_buffer_free(&scene.scratch);
    dh_settings_free(&scene.settings);
    dh_options_free(&scene.options);
    if (status == DH_OK) {
        *digest = scene.digest;
    }
    return status;
}
