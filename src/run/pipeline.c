#include "run/pipeline.h"

#include "base/log.h"
#include "lexicon/language.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    BATCH_DOCUMENTS = 4096,
    BAD_RECORDS_MAX = 8192,     /* of a chunk */
    PARTS_MAX = 8192,           /* sources of a chunk */
    REPAIR_SIZE_MAX = 64 << 20, /* larger texts that are not UTF-8 are quarantined: repair may triple them */
    TOKENS_KEPT = 4 << 20,      /* a token array above this is given back after its batch */
    ID_HASH_DIGITS = 16
};

struct dh_pipeline {
    const dh_settings *settings;
    dh_pipeline_hooks hooks;
    dh_record_reader *reader;
    dh_tokenizer *tokenizer;
    dh_chunk *chunk;
    uint32_t source;   /* number of the open source */
    bool source_ended; /* in the range that was just read */
    bool beyond_end;   /* in front of it */

    /* the batch that is being filled; its rows stand at chunk->rows and behind */
    uint32_t documents;
    dh_buffer text;
    const uint8_t *text_elsewhere; /* a giant document lies in the reader's window */
    uint64_t text_offset[BATCH_DOCUMENTS + 1];
    uint64_t token_offset[BATCH_DOCUMENTS + 1];
    uint64_t hit_offset[BATCH_DOCUMENTS + 1];
    uint16_t lexicon[BATCH_DOCUMENTS];
    dh_token_sink sink;

    dh_buffer scratch; /* a repaired text; a giant one stays in it until its batch is done */
    dh_buffer id;      /* an id before it is checked */
    dh_pipeline_stats stats;
    double jobs_seconds; /* of all jobs: stats.job_seconds summed up */
};

dh_status dh_pipeline_create(const dh_settings *settings, const dh_pipeline_hooks *hooks, dh_pipeline **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_pipeline), "the pipeline", &memory));
    dh_pipeline *pipeline = memory;
    pipeline->settings = settings;
    pipeline->hooks = *hooks;
    pipeline->sink.token_limit = settings->token_limit;
    dh_record_options records = settings->records;
    records.poll = hooks->poll;
    records.poll_context = hooks->context;
    dh_status status = dh_record_reader_create(&records, &pipeline->reader);
    if (status == DH_OK) {
        status = dh_tokenizer_create(settings->token_mode, NULL, &pipeline->tokenizer);
    }
    if (status == DH_OK) {
        status = dh_chunk_create(&settings->schema, &pipeline->chunk);
    }
    if (status != DH_OK) {
        dh_pipeline_free(pipeline);
        return status;
    }
    *out = pipeline;
    return DH_OK;
}

void dh_pipeline_free(dh_pipeline *pipeline)
{
    if (pipeline == NULL) {
        return;
    }
    dh_record_reader_free(pipeline->reader);
    dh_tokenizer_free(pipeline->tokenizer);
    dh_chunk_free(pipeline->chunk);
    dh_token_sink_free(&pipeline->sink);
    dh_buffer_free(&pipeline->text);
    dh_buffer_free(&pipeline->scratch);
    dh_buffer_free(&pipeline->id);
    free(pipeline);
}

dh_pipeline_stats dh_pipeline_statistics(const dh_pipeline *pipeline)
{
    return pipeline->stats;
}

/* ---- batches to columns ------------------------------------------------------------------------------ */

static void *engine_row(const dh_pipeline *pipeline, uint32_t column, uint32_t row)
{
    const dh_schema *schema = &pipeline->settings->schema;
    return (char *)pipeline->chunk->column[column] + (size_t)row * schema->row_size[column];
}

static dh_source_part *part_at(const dh_pipeline *pipeline, uint32_t index)
{
    const size_t size = dh_part_size(&pipeline->settings->schema);
    return (dh_source_part *)(void *)(pipeline->chunk->parts.data + index * size);
}

/* Adds what the jobs sum by source. Documents and parts are in the order of sources, so both are walked
 * once. */
static dh_status sum_by_source(dh_pipeline *pipeline, const dh_active_job *active, const dh_rows *rows,
                               const uint32_t *source)
{
    uint32_t p = pipeline->chunk->part_count;
    while (p > 0 && part_at(pipeline, p - 1)->source >= source[0]) {
        p--;
    }
    for (uint32_t from = 0; from < rows->count;) {
        uint32_t to = from + 1;
        while (to < rows->count && source[to] == source[from]) {
            to++;
        }
        while (p < pipeline->chunk->part_count && part_at(pipeline, p)->source < source[from]) {
            p++;
        }
        if (p == pipeline->chunk->part_count || part_at(pipeline, p)->source != source[from]) {
            return dh_error(DH_INTERNAL, "source %u has documents but no part in its chunk", source[from]);
        }
        uint64_t *sums = (uint64_t *)(part_at(pipeline, p) + 1);
        active->job->source_sums(active->state, rows, from, to, sums + active->first_source_sum);
        from = to;
    }
    return DH_OK;
}

static dh_status run_job(dh_pipeline *pipeline, uint32_t index, const dh_batch *batch)
{
    const dh_settings *settings = pipeline->settings;
    const dh_active_job *active = &settings->job[index];
    void *column[DH_JOB_COLUMNS_MAX];
    const void *read_column[DH_JOB_COLUMNS_MAX];
    for (uint32_t c = 0; c < active->column_count; c++) {
        column[c] = engine_row(pipeline, active->first_column + c, pipeline->chunk->rows);
        read_column[c] = column[c];
    }
    const double start = dh_seconds();
    const dh_backend_status outcome =
        dh_job_compute(active->job, active->state, settings->backend, batch, column);
    if (outcome != DH_BACKEND_OK) {
        return dh_error(DH_FAILED, "job %s failed on backend %s: %s", active->job->name,
                        settings->backend->kind->name,
                        outcome == DH_BACKEND_LOST ? "device lost" : "no memory");
    }
    dh_status status = DH_OK;
    if (active->source_sum_count > 0) {
        const dh_rows rows = {
            .count = batch->document_count,
            .facts = {.tokens = engine_row(pipeline, DH_ENGINE_TOKENS, pipeline->chunk->rows),
                      .bytes = engine_row(pipeline, DH_ENGINE_BYTES, pipeline->chunk->rows),
                      .language = engine_row(pipeline, DH_ENGINE_LANGUAGE, pipeline->chunk->rows)},
            .column = read_column,
        };
        status = sum_by_source(pipeline, active, &rows,
                               engine_row(pipeline, DH_ENGINE_SOURCE, pipeline->chunk->rows));
    }
    const double seconds = dh_seconds() - start;
    pipeline->stats.job_seconds[index] += seconds;
    pipeline->jobs_seconds += seconds;
    return status;
}

static void empty_batch(dh_pipeline *pipeline)
{
    pipeline->documents = 0;
    pipeline->text.size = 0;
    pipeline->text_elsewhere = NULL;
    pipeline->sink.token_count = 0;
    pipeline->sink.prefix_hit_count = 0;
    if (pipeline->sink.token_capacity > TOKENS_KEPT) { /* of a giant document */
        const uint64_t limit = pipeline->sink.token_limit;
        dh_token_sink_free(&pipeline->sink);
        pipeline->sink = (dh_token_sink){.token_limit = limit};
    }
}

/* Runs all jobs over the batch; its documents become rows of the chunk. */
static dh_status flush_batch(dh_pipeline *pipeline)
{
    if (pipeline->documents == 0) {
        return DH_OK;
    }
    const dh_batch batch = {
        .document_count = pipeline->documents,
        .text = pipeline->text_elsewhere != NULL ? pipeline->text_elsewhere : pipeline->text.data,
        .text_offset = pipeline->text_offset,
        .token = pipeline->sink.token,
        .token_offset = pipeline->token_offset,
        .prefix_hit = pipeline->sink.prefix_hit,
        .prefix_hit_offset = pipeline->hit_offset,
        .lexicon = pipeline->lexicon,
    };
    for (uint32_t j = 0; j < pipeline->settings->job_count; j++) {
        DH_TRY(run_job(pipeline, j, &batch));
    }
    pipeline->chunk->rows += pipeline->documents;
    empty_batch(pipeline);
    return pipeline->hooks.poll != NULL ? pipeline->hooks.poll(pipeline->hooks.context) : DH_OK;
}

static dh_status flush_chunk(dh_pipeline *pipeline)
{
    DH_TRY(flush_batch(pipeline));
    if (pipeline->chunk->rows > 0 || pipeline->chunk->part_count > 0 || pipeline->chunk->bad_count > 0) {
        DH_TRY(pipeline->hooks.take(pipeline->hooks.context, pipeline->chunk));
    }
    dh_chunk_reset(pipeline->chunk);
    return DH_OK;
}

/* Makes room for one more document of size bytes of text. */
static dh_status make_room(dh_pipeline *pipeline, uint64_t size)
{
    const bool full =
        pipeline->documents == BATCH_DOCUMENTS || pipeline->text.size + size > pipeline->settings->batch_size;
    if (full) {
        DH_TRY(flush_batch(pipeline));
    }
    const dh_chunk *chunk = pipeline->chunk;
    if (chunk->rows + pipeline->documents == DH_CHUNK_ROWS || chunk->part_count >= PARTS_MAX) {
        DH_TRY(flush_chunk(pipeline));
    }
    return DH_OK;
}

/* ---- records to documents ---------------------------------------------------------------------------- */

static dh_status add_bad(dh_pipeline *pipeline, const dh_record *record, dh_reason reason)
{
    dh_chunk *chunk = pipeline->chunk;
    if (chunk->bad_count >= BAD_RECORDS_MAX) {
        DH_TRY(flush_chunk(pipeline));
    }
    const dh_bad_record bad = {.record = record->number,
                               .offset = record->offset,
                               .size = record->kind == DH_RECORD_DAMAGE ? 0 : record->size,
                               .source = pipeline->source,
                               .reason = (uint32_t)reason};
    DH_TRY(dh_buffer_append(&chunk->bad, &bad, sizeof bad));
    chunk->bad_count++;
    dh_source_part *part = NULL;
    uint64_t *sums = NULL;
    DH_TRY(dh_chunk_part(chunk, pipeline->source, &part, &sums));
    part->bad++;
    pipeline->stats.bad++;
    return DH_OK;
}

/* The text goes to the end of the batch's text. Well-formed afterwards. *reason is set when it cannot be
 * used. */
static dh_status take_text(dh_pipeline *pipeline, const dh_json_value *value, uint64_t *size,
                           uint64_t *replaced, dh_reason *reason)
{
    dh_buffer *text = &pipeline->text;
    DH_TRY(dh_buffer_reserve(text, value->size));
    uint8_t *place = text->data + text->size;
    size_t length = value->size;
    if (value->has_escapes) {
        length = dh_json_unescape(value, place, replaced);
    } else if (length > 0) {
        memcpy(place, value->text, length);
    }
    const size_t valid = dh_utf8_valid_prefix(place, length);
    if (valid < length) {
        if (length > REPAIR_SIZE_MAX) {
            *reason = DH_REASON_INVALID_UTF8;
            return DH_OK;
        }
        pipeline->scratch.size = 0;
        DH_TRY(dh_utf8_repair(place + valid, length - valid, &pipeline->scratch, replaced));
        DH_TRY(dh_buffer_reserve(text, valid + pipeline->scratch.size));
        memcpy(text->data + text->size + valid, pipeline->scratch.data, pipeline->scratch.size);
        length = valid + pipeline->scratch.size;
    }
    *size = length;
    return DH_OK;
}

/* A text larger than a batch stays where it is, in the reader's window, and is a batch of its own. */
static dh_status take_giant_text(dh_pipeline *pipeline, const dh_json_value *value, uint64_t *size,
                                 uint64_t *replaced, dh_reason *reason)
{
    uint8_t *place = (uint8_t *)(uintptr_t)value->text; /* the window is ours to change (records.h) */
    size_t length = value->size;
    if (value->has_escapes) {
        length = dh_json_unescape(value, place, replaced);
    }
    const size_t valid = dh_utf8_valid_prefix(place, length);
    if (valid < length) {
        if (length > REPAIR_SIZE_MAX) {
            *reason = DH_REASON_INVALID_UTF8;
            return DH_OK;
        }
        pipeline->scratch.size = 0;
        DH_TRY(dh_utf8_repair(place, length, &pipeline->scratch, replaced));
        place = pipeline->scratch.data;
        length = pipeline->scratch.size;
    }
    pipeline->text_elsewhere = place;
    *size = length;
    return DH_OK;
}

/* An id as it may stand in a fixed-length column: well-formed, no control characters, not too long. */
static dh_status take_id(dh_pipeline *pipeline, const dh_json_value *value)
{
    dh_buffer *ids = &pipeline->chunk->ids;
    if ((value->kind != DH_JSON_STRING && value->kind != DH_JSON_NUMBER) || value->size == 0) {
        return DH_OK; /* the writer makes SOURCE#RECORD */
    }
    const size_t start = ids->size;
    uint64_t replaced = 0;
    dh_buffer *raw = &pipeline->id;
    raw->size = 0;
    DH_TRY(dh_buffer_reserve(raw, value->size));
    if (value->has_escapes) {
        raw->size = dh_json_unescape(value, raw->data, &replaced);
    } else {
        DH_TRY(dh_buffer_append(raw, value->text, value->size));
    }
    for (size_t i = 0; i < raw->size; i++) {
        if (raw->data[i] < 0x20 || raw->data[i] == 0x7F) {
            raw->data[i] = ' ';
        }
    }
    DH_TRY(dh_utf8_repair(raw->data, raw->size, ids, &replaced));
    const size_t size = ids->size - start;
    if (size > pipeline->settings->id_limit) {
        const uint64_t hash = XXH3_64bits(ids->data + start, size);
        size_t keep = (size_t)pipeline->settings->id_limit - ID_HASH_DIGITS - 1;
        while (keep > 0 && (ids->data[start + keep] & 0xC0) == 0x80) {
            keep--;
        }
        ids->size = start + keep;
        DH_TRY(dh_buffer_printf(ids, "_%016llx", (unsigned long long)hash));
    }
    return DH_OK;
}

/* The language that the record or --lang names, else DH_LANGUAGE_UNKNOWN: there will be a vote. */
static uint16_t named_language(const dh_pipeline *pipeline, const dh_json_value *value)
{
    uint16_t language = DH_LANGUAGE_UNKNOWN;
    if (value->kind == DH_JSON_STRING && !value->has_escapes) {
        language = dh_language_parse(value->text, value->size);
    }
    return language != DH_LANGUAGE_UNKNOWN ? language : pipeline->settings->default_language;
}

/* Prefixes are looked for in the document's own lexicon only, once its language is known; before a vote
 * in all of them. */
static dh_status tokenize(dh_pipeline *pipeline, const uint8_t *text, uint64_t size, uint16_t language)
{
    const dh_lexicons *lexicons = pipeline->settings->uses_lexicons ? pipeline->settings->lexicons : NULL;
    const dh_prefix_set *prefixes = NULL;
    if (lexicons != NULL && language == DH_LANGUAGE_UNKNOWN) {
        prefixes = dh_lexicons_prefixes(lexicons, DH_LEXICONS_MAX);
    } else if (lexicons != NULL && dh_lexicons_find(lexicons, language) != DH_NO_LEXICON) {
        prefixes = dh_lexicons_prefixes(lexicons, dh_lexicons_find(lexicons, language));
    }
    dh_tokenizer_set_prefixes(pipeline->tokenizer, prefixes);
    return dh_tokenize(pipeline->tokenizer, text, size, &pipeline->sink);
}

/* Sets the engine's columns of the document that was just added to the batch. */
static dh_status set_row(dh_pipeline *pipeline, const dh_record *record, uint64_t size, uint64_t tokens,
                         uint16_t language, uint64_t replaced)
{
    const uint32_t row = pipeline->chunk->rows + pipeline->documents;
    dh_document_status state = DH_DOCUMENT_OK;
    if (replaced > 0) {
        state = DH_DOCUMENT_REPAIRED;
    } else if (tokens == 0) {
        state = DH_DOCUMENT_EMPTY;
    }
    DH_TRY(take_id(pipeline, &record->value[DH_FIELD_ID]));
    *(uint32_t *)engine_row(pipeline, DH_ENGINE_SOURCE, row) = pipeline->source;
    *(uint64_t *)engine_row(pipeline, DH_ENGINE_RECORD, row) = record->number;
    *(uint64_t *)engine_row(pipeline, DH_ENGINE_OFFSET, row) = record->offset;
    *(uint32_t *)engine_row(pipeline, DH_ENGINE_BYTES, row) = (uint32_t)size;
    *(uint32_t *)engine_row(pipeline, DH_ENGINE_TOKENS, row) = (uint32_t)tokens;
    *(uint16_t *)engine_row(pipeline, DH_ENGINE_LANGUAGE, row) = language;
    *(uint8_t *)engine_row(pipeline, DH_ENGINE_STATUS, row) = (uint8_t)state;
    *(uint32_t *)engine_row(pipeline, DH_ENGINE_ID_END, row) = (uint32_t)pipeline->chunk->ids.size;
    dh_source_part *part = NULL;
    uint64_t *sums = NULL;
    DH_TRY(dh_chunk_part(pipeline->chunk, pipeline->source, &part, &sums));
    part->documents++;
    part->replaced += replaced;
    return DH_OK;
}

static dh_status add_document(dh_pipeline *pipeline, const dh_record *record)
{
    const dh_json_value *value = &record->value[DH_FIELD_TEXT];
    DH_TRY(make_room(pipeline, value->size));
    const bool giant = value->size > pipeline->settings->batch_size;
    const uint32_t d = pipeline->documents;
    const uint64_t first_token = pipeline->sink.token_count;
    uint64_t size = 0;
    uint64_t replaced = 0;
    dh_reason reason = DH_REASON_NONE;
    if (giant) {
        DH_TRY(take_giant_text(pipeline, value, &size, &replaced, &reason));
    } else {
        DH_TRY(take_text(pipeline, value, &size, &replaced, &reason));
    }
    if (reason != DH_REASON_NONE) {
        return add_bad(pipeline, record, reason);
    }
    const uint64_t first_hit = pipeline->sink.prefix_hit_count;
    const uint8_t *text = giant ? pipeline->text_elsewhere : pipeline->text.data + pipeline->text.size;
    uint16_t language = named_language(pipeline, &record->value[DH_FIELD_LANG]);
    const dh_status status = tokenize(pipeline, text, size, language);
    if (status == DH_BAD_DATA) {
        pipeline->text_elsewhere = NULL;
        return add_bad(pipeline, record, DH_REASON_TOO_MANY_TOKENS);
    }
    DH_TRY(status);
    const uint64_t text_start = giant ? 0 : pipeline->text.size;
    if (language == DH_LANGUAGE_UNKNOWN && pipeline->settings->lexicons != NULL) {
        language = dh_lexicons_vote(pipeline->settings->lexicons, pipeline->sink.token + first_token,
                                    pipeline->sink.token_count - first_token);
    }
    pipeline->text_offset[d] = text_start;
    pipeline->text_offset[d + 1] = text_start + size;
    pipeline->token_offset[d] = first_token;
    pipeline->token_offset[d + 1] = pipeline->sink.token_count;
    pipeline->hit_offset[d] = first_hit;
    pipeline->hit_offset[d + 1] = pipeline->sink.prefix_hit_count;
    pipeline->lexicon[d] = pipeline->settings->lexicons != NULL
                               ? dh_lexicons_find(pipeline->settings->lexicons, language)
                               : DH_NO_LEXICON;
    DH_TRY(set_row(pipeline, record, size, pipeline->sink.token_count - first_token, language, replaced));
    pipeline->text.size += giant ? 0 : size;
    pipeline->documents++;
    pipeline->stats.documents++;
    pipeline->stats.text_bytes += size;
    return giant ? flush_batch(pipeline) : DH_OK;
}

static dh_status add_record(dh_pipeline *pipeline, const dh_record *record)
{
    return record->kind == DH_RECORD_DOCUMENT ? add_document(pipeline, record)
                                              : add_bad(pipeline, record, record->reason);
}

/* ---- sources ----------------------------------------------------------------------------------------- */

static dh_status finish_range(dh_pipeline *pipeline)
{
    const dh_source_facts facts = dh_record_reader_facts(pipeline->reader);
    dh_source_part *part = NULL;
    uint64_t *sums = NULL;
    DH_TRY(dh_chunk_part(pipeline->chunk, pipeline->source, &part, &sums));
    part->bytes += facts.bytes;
    part->lines += facts.lines;
    part->blank_lines += facts.blank_lines;
    part->blank_bytes += facts.blank_bytes;
    part->unchecked += facts.unchecked;
    part->failed_bytes += facts.failed_bytes;
    dh_content_hash hash = {part->hash_low, part->hash_high};
    dh_content_hash_add(&hash, facts.hash);
    part->hash_low = hash.low;
    part->hash_high = hash.high;
    pipeline->stats.file_bytes += facts.bytes_in;
    pipeline->source_ended = facts.last;
    pipeline->beyond_end = facts.beyond;
    return DH_OK;
}

/* Reads the range that the reader was set to. */
static dh_status read_range(dh_pipeline *pipeline)
{
    double time = dh_seconds();
    for (;;) {
        dh_record record;
        const dh_status status = dh_record_reader_next(pipeline->reader, &record);
        const double read = dh_seconds();
        pipeline->stats.read_seconds += read - time;
        if (status == DH_END) {
            break;
        }
        DH_TRY(status);
        const double jobs = pipeline->jobs_seconds;
        DH_TRY(add_record(pipeline, &record));
        time = dh_seconds();
        pipeline->stats.text_seconds += time - read - (pipeline->jobs_seconds - jobs);
    }
    return finish_range(pipeline);
}

dh_status dh_pipeline_source(dh_pipeline *pipeline, uint32_t number, const char *path, const char *name,
                             uint64_t begin, uint64_t end)
{
    pipeline->source = number;
    pipeline->source_ended = false;
    if (pipeline->chunk->part_count >= PARTS_MAX) { /* of sources without a document, too */
        DH_TRY(flush_chunk(pipeline));
    }
    DH_TRY(dh_record_reader_open(pipeline->reader, path, name, begin, end));
    return read_range(pipeline);
}

dh_status dh_pipeline_go_on(dh_pipeline *pipeline, uint64_t begin, uint64_t end)
{
    pipeline->source_ended = false;
    DH_TRY(dh_record_reader_go_on(pipeline->reader, begin, end));
    return read_range(pipeline);
}

bool dh_pipeline_source_ended(const dh_pipeline *pipeline)
{
    return pipeline->source_ended;
}

bool dh_pipeline_is_beyond_end(const dh_pipeline *pipeline)
{
    return pipeline->beyond_end;
}

dh_status dh_pipeline_finish_segment(dh_pipeline *pipeline)
{
    return flush_chunk(pipeline);
}

dh_status dh_pipeline_pick(dh_pipeline *pipeline, uint32_t number, const char *path, const char *name,
                           const uint64_t *offset, uint64_t count, uint64_t *found)
{
    pipeline->source = number;
    *found = 0;
    DH_TRY(dh_record_reader_open(pipeline->reader, path, name, 0, UINT64_MAX));
    uint64_t next = 0;
    while (next < count) {
        dh_record record;
        const dh_status status = dh_record_reader_next(pipeline->reader, &record);
        if (status == DH_END) {
            break;
        }
        DH_TRY(status);
        while (next < count && offset[next] < record.offset) {
            next++; /* no record begins there */
        }
        if (next < count && offset[next] == record.offset && record.kind == DH_RECORD_DOCUMENT) {
            const uint64_t before = pipeline->stats.documents;
            DH_TRY(add_document(pipeline, &record));
            *found += pipeline->stats.documents - before;
            next++;
        }
    }
    return flush_chunk(pipeline);
}
