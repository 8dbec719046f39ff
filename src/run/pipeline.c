#include "run/pipeline.h"

#include "base/log.h"
#include "lexicon/language.h"
#include "run/terms.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    BAD_RECORDS_MAX = 8192,     /* of a chunk */
    PARTS_MAX = 8192,           /* sources of a chunk */
    REPAIR_SIZE_MAX = 64 << 20, /* larger texts that are not UTF-8 are quarantined: repair may triple them */
    CHUNK_TEXT_MAX = 32 << 20,  /* a chunk with more text gets no further document */
    TERMS_MEMORY = 24 << 20, /* for counting the terms of a chunk: a constant, since what is spilled must not
                                depend on options */
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

    dh_slot_shape shape; /* of the slot of its own */
    dh_slot own;         /* where there is no dispatcher, or it has no slot left */
    dh_slot *slot; /* the batch that is being filled; its rows stand at chunk->rows and behind. NULL: none */
    uint32_t away; /* batches of the chunk that others compute */
    uint64_t chunk_text; /* bytes of text of the chunk, the batch that is being filled too */
    uint64_t chunk_text_max;
    dh_term_table *terms; /* of the chunk; NULL: nobody wants them */

    /* Values of the chunk's rows as batches come home, in no order; where each row's begin. */
    dh_buffer values;
    uint64_t *value_place;                      /* DH_CHUNK_ROWS; NULL: no job has values */
    uint32_t value_rows;                        /* rows whose values are there, ... */
    bool values_in_order;                       /* ... and came in the order of rows */
    dh_buffer token_column[DH_JOB_COLUMNS_MAX]; /* of a batch that outgrew its slot */

    dh_buffer scratch; /* a repaired text; a giant one stays in it until its batch is done */
    dh_buffer id;      /* an id before it is checked */
    dh_pipeline_stats stats;
    double batch_seconds; /* for whole batches: computed, handed over, waited for */
};

/* N-grams repeat the text that they are made of: chunks are cut so that what they hold stays as large. */
static uint64_t text_of_a_chunk(const dh_settings *settings)
{
    const dh_ngram_range range = settings->job_options.ngrams;
    const uint64_t copies = (uint64_t)(range.least + range.most) * dh_ngram_lengths(range) / 2;
    return settings->uses_terms ? CHUNK_TEXT_MAX / copies : CHUNK_TEXT_MAX;
}

static dh_status create_own_slot(dh_pipeline *pipeline)
{
    void *block = NULL;
    dh_slot_shape_make(pipeline->settings, &pipeline->shape);
    DH_TRY(dh_allocate(pipeline->shape.size, 1, "a batch", &block));
    pipeline->own = (dh_slot){.shape = &pipeline->shape, .memory = block};
    return DH_OK;
}

dh_status dh_pipeline_create(const dh_settings *settings, const dh_pipeline_hooks *hooks, dh_pipeline **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_pipeline), "the pipeline", &memory));
    dh_pipeline *pipeline = memory;
    pipeline->settings = settings;
    pipeline->hooks = *hooks;
    pipeline->chunk_text_max = text_of_a_chunk(settings);
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
    if (status == DH_OK && settings->uses_terms) {
        status = dh_term_table_create(settings->job_options.ngrams, TERMS_MEMORY, &pipeline->terms);
    }
    if (status == DH_OK && settings->value_job != NULL) {
        void *place = NULL;
        status = dh_allocate(DH_CHUNK_ROWS, sizeof *pipeline->value_place, "the values of a chunk", &place);
        pipeline->value_place = place;
        pipeline->values_in_order = true;
    }
    if (status == DH_OK && hooks->dispatcher == NULL) {
        status = create_own_slot(pipeline);
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
    dh_token_sink_free(&pipeline->own.sink);
    free(pipeline->own.memory);
    dh_buffer_free(&pipeline->scratch);
    dh_buffer_free(&pipeline->id);
    dh_term_table_free(pipeline->terms);
    dh_buffer_free(&pipeline->values);
    free(pipeline->value_place);
    for (uint32_t c = 0; c < DH_JOB_COLUMNS_MAX; c++) {
        dh_buffer_free(&pipeline->token_column[c]);
    }
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

/* What the jobs sum up of the slot's documents, whose columns are in the chunk. */
static dh_status sum_batch(dh_pipeline *pipeline, const dh_slot *slot)
{
    const uint32_t row = slot->first_row;
    const dh_document_facts facts = {.tokens = engine_row(pipeline, DH_ENGINE_TOKENS, row),
                                     .bytes = engine_row(pipeline, DH_ENGINE_BYTES, row),
                                     .language = engine_row(pipeline, DH_ENGINE_LANGUAGE, row)};
    for (uint32_t j = 0; j < pipeline->settings->job_count; j++) {
        const dh_active_job *active = &pipeline->settings->job[j];
        const void *column[DH_JOB_COLUMNS_MAX];
        for (uint32_t c = 0; c < active->column_count; c++) {
            column[c] = engine_row(pipeline, active->first_column + c, row);
        }
        const dh_rows rows = {.count = slot->documents, .facts = facts, .column = column};
        if (active->source_sum_count > 0) {
            DH_TRY(sum_by_source(pipeline, active, &rows, engine_row(pipeline, DH_ENGINE_SOURCE, row)));
        }
    }
    return DH_OK;
}

/* The values of the slot's documents, from the outputs of its kernels. */
static dh_status take_values(dh_pipeline *pipeline, const dh_slot *slot, void *const *column)
{
    const dh_active_job *active = pipeline->settings->value_job;
    if (active == NULL) {
        return DH_OK;
    }
    const dh_batch batch = dh_slot_batch(slot);
    uint32_t *count = engine_row(pipeline, DH_ENGINE_VALUES, slot->first_row);
    uint32_t *bytes = engine_row(pipeline, DH_ENGINE_VALUE_BYTES, slot->first_row);
    for (uint32_t d = 0; d < slot->documents; d++) {
        const size_t place = pipeline->values.size;
        DH_TRY(active->job->values(active->state, &batch, column + active->first_column, d, &pipeline->values,
                                   &count[d]));
        const size_t size = pipeline->values.size - place;
        if (size > UINT32_MAX) {
            return dh_error(DH_FAILED, "job %s: the values of one document take %zu bytes", active->job->name,
                            size);
        }
        bytes[d] = (uint32_t)size;
        pipeline->value_place[slot->first_row + d] = place;
    }
    pipeline->values_in_order &= slot->first_row == pipeline->value_rows;
    pipeline->value_rows += slot->documents;
    return DH_OK;
}

/* Puts the values of all rows into the chunk, in the order of rows. */
static dh_status gather_values(dh_pipeline *pipeline)
{
    dh_chunk *chunk = pipeline->chunk;
    const uint32_t *count = engine_row(pipeline, DH_ENGINE_VALUES, 0);
    const uint32_t *bytes = engine_row(pipeline, DH_ENGINE_VALUE_BYTES, 0);
    for (uint32_t row = 0; row < chunk->rows; row++) {
        chunk->value_count += count[row];
    }
    if (pipeline->values_in_order) {
        const dh_buffer emptied = chunk->values;
        chunk->values = pipeline->values;
        pipeline->values = emptied;
    } else {
        DH_TRY(dh_buffer_reserve(&chunk->values, pipeline->values.size));
        for (uint32_t row = 0; row < chunk->rows; row++) {
            DH_TRY(dh_buffer_append(&chunk->values, pipeline->values.data + pipeline->value_place[row],
                                    bytes[row]));
        }
    }
    pipeline->values.size = 0;
    pipeline->value_rows = 0;
    pipeline->values_in_order = true;
    return DH_OK;
}

/* Where the outputs of the slot's kernels go when they run here: columns into the chunk; those of tokens into
 * the slot, where they fit and nobody else may still write to them (was_away), else to memory of the
 * pipeline. */
static dh_status outputs_here(dh_pipeline *pipeline, const dh_slot *slot, bool was_away,
                              void *column[DH_SCHEMA_COLUMNS_MAX])
{
    const dh_schema *schema = &pipeline->settings->schema;
    const bool in_slot = !was_away && slot->sink.token_count <= slot->shape->token_room;
    uint32_t used = 0;
    for (uint32_t c = 0; c < schema->column_count; c++) {
        if (schema->column[c].place != DH_TOKEN) {
            column[c] = engine_row(pipeline, c, slot->first_row);
        } else if (in_slot) {
            column[c] = slot->memory + slot->shape->column[c];
        } else {
            dh_buffer *buffer = &pipeline->token_column[used++];
            buffer->size = 0;
            DH_TRY(dh_buffer_reserve(buffer, slot->sink.token_count * schema->row_size[c]));
            column[c] = buffer->data;
        }
    }
    return DH_OK;
}

/* Runs all jobs over the slot's batch here, into the chunk. was_away: others had it first, and could not. */
static dh_status compute_batch(dh_pipeline *pipeline, const dh_slot *slot, bool was_away, double *seconds)
{
    const dh_settings *settings = pipeline->settings;
    const double start = dh_seconds();
    void *column[DH_SCHEMA_COLUMNS_MAX];
    DH_TRY(outputs_here(pipeline, slot, was_away, column));
    const dh_batch batch = dh_slot_batch(slot);
    const dh_backend_status outcome =
        dh_vectorise_here(settings, &batch, column, pipeline->stats.job_seconds);
    if (outcome != DH_BACKEND_OK) {
        return dh_error(DH_FAILED, "the jobs failed on backend %s: %s", settings->backend->kind->name,
                        outcome == DH_BACKEND_LOST ? settings->backend->kind->error(settings->backend)
                                                   : "no memory");
    }
    pipeline->stats.batches_here++;
    *seconds = dh_seconds() - start;
    DH_TRY(take_values(pipeline, slot, column));
    return sum_batch(pipeline, slot);
}

/* Takes the results of a batch that another one has computed. */
static dh_status take_results(dh_pipeline *pipeline, const dh_slot *slot)
{
    const dh_slot_shape *shape = slot->shape;
    const dh_schema *schema = &pipeline->settings->schema;
    void *column[DH_SCHEMA_COLUMNS_MAX];
    dh_slot_columns(shape, slot->memory, column);
    for (uint32_t c = DH_ENGINE_COLUMNS; c < shape->column_count; c++) {
        if (schema->column[c].place != DH_TOKEN) {
            memcpy(engine_row(pipeline, c, slot->first_row), column[c], slot->documents * shape->row_size[c]);
        }
    }
    DH_TRY(take_values(pipeline, slot, column));
    pipeline->stats.batches_away++;
    return sum_batch(pipeline, slot);
}

/* Takes home what others have done; with `wait` one at least, where any is away. */
static dh_status collect(dh_pipeline *pipeline, bool wait)
{
    const dh_dispatcher *dispatcher = pipeline->hooks.dispatcher;
    while (pipeline->away > 0) {
        dh_slot *slot = NULL;
        double seconds = 0;
        const double start = dh_seconds();
        DH_TRY(dispatcher->settle(dispatcher->context, wait, &slot));
        pipeline->stats.wait_seconds += wait ? dh_seconds() - start : 0;
        if (slot == NULL) {
            return wait ? dh_error(DH_INTERNAL, "%u batches are away, and nobody has them", pipeline->away)
                        : DH_OK;
        }
        wait = false;
        pipeline->away--;
        pipeline->stats.batches_redone += slot->is_done ? 0 : 1;
        DH_TRY(slot->is_done ? take_results(pipeline, slot) : compute_batch(pipeline, slot, true, &seconds));
        dispatcher->back(dispatcher->context, slot, seconds);
    }
    return DH_OK;
}

/* A slot for the next document. */
static dh_status need_slot(dh_pipeline *pipeline)
{
    const dh_dispatcher *dispatcher = pipeline->hooks.dispatcher;
    if (pipeline->slot != NULL) {
        return DH_OK;
    }
    if (dispatcher == NULL) {
        pipeline->slot = &pipeline->own;
    }
    while (pipeline->slot == NULL && (pipeline->slot = dispatcher->take(dispatcher->context)) == NULL) {
        if (pipeline->away > 0) {
            DH_TRY(collect(pipeline, true));
        } else { /* all slots were given up on: batches stay here from now on */
            DH_TRY(pipeline->own.memory == NULL ? create_own_slot(pipeline) : DH_OK);
            pipeline->slot = &pipeline->own;
        }
    }
    dh_slot_reset(pipeline->slot, pipeline->settings->token_limit);
    return DH_OK;
}

/* Counts the terms of the batch, in the order in which documents were read: so what a chunk holds does not
 * depend on where batches are computed. */
static dh_status count_terms(dh_pipeline *pipeline, const dh_slot *slot)
{
    if (pipeline->terms == NULL) {
        return DH_OK;
    }
    const double start = dh_seconds();
    const dh_batch batch = dh_slot_batch(slot);
    DH_TRY(dh_term_table_add(pipeline->terms, &batch, &pipeline->chunk->terms));
    pipeline->stats.term_seconds += dh_seconds() - start;
    return DH_OK;
}

static dh_status hand_on(dh_pipeline *pipeline, dh_slot *slot, bool waits)
{
    const dh_dispatcher *dispatcher = slot != &pipeline->own ? pipeline->hooks.dispatcher : NULL;
    bool away = false;
    double seconds = 0;
    if (dispatcher != NULL) {
        DH_TRY(dispatcher->give(dispatcher->context, slot, waits, &away));
    }
    pipeline->away += away ? 1 : 0;
    DH_TRY(count_terms(pipeline, slot)); /* nobody changes the batch, wherever it is */
    if (away) {
        return collect(pipeline, false);
    }
    DH_TRY(compute_batch(pipeline, slot, false, &seconds));
    if (dispatcher != NULL) {
        dispatcher->back(dispatcher->context, slot, seconds);
    }
    return collect(pipeline, false);
}

/* The documents of the batch become rows of the chunk. waits: nothing can be done until all batches are
 * done. */
static dh_status flush_batch(dh_pipeline *pipeline, bool waits)
{
    dh_slot *slot = pipeline->slot;
    if (slot == NULL || slot->documents == 0) {
        return DH_OK;
    }
    const double start = dh_seconds();
    slot->first_row = pipeline->chunk->rows;
    pipeline->chunk->rows += slot->documents;
    pipeline->slot = NULL;
    const dh_status status = hand_on(pipeline, slot, waits);
    pipeline->batch_seconds += dh_seconds() - start;
    DH_TRY(status);
    return pipeline->hooks.poll != NULL ? pipeline->hooks.poll(pipeline->hooks.context) : DH_OK;
}

static dh_status flush_chunk(dh_pipeline *pipeline)
{
    DH_TRY(flush_batch(pipeline, true));
    const double start = dh_seconds();
    while (pipeline->away > 0) {
        DH_TRY(collect(pipeline, true));
    }
    pipeline->batch_seconds += dh_seconds() - start;
    pipeline->chunk_text = 0;
    if (pipeline->value_place != NULL) {
        DH_TRY(gather_values(pipeline));
    }
    if (pipeline->terms != NULL) {
        DH_TRY(dh_term_table_flush(pipeline->terms, &pipeline->chunk->terms));
    }
    if (pipeline->chunk->rows > 0 || pipeline->chunk->part_count > 0 || pipeline->chunk->bad_count > 0) {
        DH_TRY(pipeline->hooks.take(pipeline->hooks.context, pipeline->chunk));
    }
    dh_chunk_reset(pipeline->chunk);
    return DH_OK;
}

static bool is_full(const dh_pipeline *pipeline, uint64_t size)
{
    const dh_dispatcher *dispatcher = pipeline->hooks.dispatcher;
    const dh_slot *slot = pipeline->slot;
    const uint64_t bytes =
        dispatcher != NULL ? dispatcher->batch_bytes(dispatcher->context) : slot->shape->text_room;
    return slot->documents == DH_BATCH_DOCUMENTS || slot->text_size + size > bytes ||
           slot->sink.token_count + size / 2 > slot->shape->token_room;
}

/* Makes room for one more document of size bytes of text. */
static dh_status make_room(dh_pipeline *pipeline, uint64_t size)
{
    if (pipeline->slot != NULL && is_full(pipeline, size)) {
        DH_TRY(flush_batch(pipeline, false));
    }
    const dh_chunk *chunk = pipeline->chunk;
    const uint32_t waiting = pipeline->slot != NULL ? pipeline->slot->documents : 0;
    if (chunk->rows + waiting == DH_CHUNK_ROWS || chunk->part_count >= PARTS_MAX ||
        pipeline->chunk_text >= pipeline->chunk_text_max) {
        DH_TRY(flush_chunk(pipeline));
    }
    return need_slot(pipeline);
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

/* A text, well-formed. */
typedef struct document_text {
    const uint8_t *bytes;
    uint64_t size, replaced;
    bool in_slot;     /* at the end of the slot's text; else in the reader's window or in scratch */
    dh_reason reason; /* why it cannot be used */
} document_text;

static dh_status repair_text(dh_pipeline *pipeline, size_t room, document_text *text)
{
    if (text->size > REPAIR_SIZE_MAX) {
        text->reason = DH_REASON_INVALID_UTF8;
        return DH_OK;
    }
    dh_buffer *scratch = &pipeline->scratch;
    scratch->size = 0;
    DH_TRY(dh_utf8_repair(text->bytes, text->size, scratch, &text->replaced));
    text->in_slot = text->in_slot && scratch->size <= room;
    if (text->in_slot) {
        memcpy(pipeline->slot->memory + pipeline->slot->text_size, scratch->data, scratch->size);
    } else {
        text->bytes = scratch->data;
    }
    text->size = scratch->size;
    return DH_OK;
}

/* The text goes to the end of the slot's text. One larger than the slot's room stays where it is, in the
 * reader's window. */
static dh_status take_text(dh_pipeline *pipeline, const dh_json_value *value, document_text *out)
{
    const dh_slot *slot = pipeline->slot;
    const size_t room = slot->shape->text_room - slot->text_size;
    const bool fits = value->size <= room;
    /* The window is ours to change (records.h). */
    uint8_t *place = fits ? slot->memory + slot->text_size : (uint8_t *)(uintptr_t)value->text;
    *out = (document_text){.bytes = place, .size = value->size, .in_slot = fits};
    if (value->has_escapes) {
        out->size = dh_json_unescape(value, place, &out->replaced);
    } else if (fits && value->size > 0) {
        memcpy(place, value->text, value->size);
    }
    return dh_utf8_valid_prefix(place, out->size) < out->size ? repair_text(pipeline, room, out) : DH_OK;
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
    return dh_tokenize(pipeline->tokenizer, text, size, &pipeline->slot->sink);
}

/* Sets the engine's columns of the document that was just added to the batch. */
static dh_status set_row(dh_pipeline *pipeline, const dh_record *record, uint64_t size, uint64_t tokens,
                         uint16_t language, uint64_t replaced)
{
    const uint32_t row = pipeline->chunk->rows + pipeline->slot->documents;
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

/* Tokenises the text into the slot. The document stands at its end, not counted yet. */
static dh_status put_document(dh_pipeline *pipeline, const document_text *text, uint16_t *language)
{
    dh_slot *slot = pipeline->slot;
    const dh_lexicons *lexicons = pipeline->settings->lexicons;
    const uint32_t d = slot->documents;
    const uint64_t first_token = slot->sink.token_count;
    const uint64_t first_hit = slot->sink.prefix_hit_count;
    const uint64_t first_spelling = slot->sink.spelling_size;
    DH_TRY(tokenize(pipeline, text->bytes, text->size, *language));
    if (*language == DH_LANGUAGE_UNKNOWN && lexicons != NULL) {
        *language =
            dh_lexicons_vote(lexicons, slot->sink.token + first_token, slot->sink.token_count - first_token);
    }
    if (slot->sink.keeps_spelling) {
        dh_slot_spelling_offset(slot)[d] = first_spelling;
        dh_slot_spelling_offset(slot)[d + 1] = slot->sink.spelling_size;
    }
    dh_slot_text_offset(slot)[d] = slot->text_size;
    dh_slot_text_offset(slot)[d + 1] = slot->text_size + text->size;
    dh_slot_token_offset(slot)[d] = first_token;
    dh_slot_token_offset(slot)[d + 1] = slot->sink.token_count;
    dh_slot_hit_offset(slot)[d] = first_hit;
    dh_slot_hit_offset(slot)[d + 1] = slot->sink.prefix_hit_count;
    dh_slot_lexicon(slot)[d] = lexicons != NULL ? dh_lexicons_find(lexicons, *language) : DH_NO_LEXICON;
    return DH_OK;
}

static dh_status add_document(dh_pipeline *pipeline, const dh_record *record)
{
    const dh_json_value *value = &record->value[DH_FIELD_TEXT];
    document_text text;
    DH_TRY(make_room(pipeline, value->size));
    DH_TRY(take_text(pipeline, value, &text));
    if (text.reason != DH_REASON_NONE) {
        return add_bad(pipeline, record, text.reason);
    }
    if (!text.in_slot) { /* a batch of its own */
        DH_TRY(flush_batch(pipeline, false));
        DH_TRY(need_slot(pipeline));
        pipeline->slot->text_elsewhere = text.bytes;
    }
    dh_slot *slot = pipeline->slot;
    const uint64_t first_token = slot->sink.token_count;
    uint16_t language = named_language(pipeline, &record->value[DH_FIELD_LANG]);
    const dh_status status = put_document(pipeline, &text, &language);
    if (status == DH_BAD_DATA) {
        slot->text_elsewhere = NULL;
        return add_bad(pipeline, record, DH_REASON_TOO_MANY_TOKENS);
    }
    DH_TRY(status);
    DH_TRY(
        set_row(pipeline, record, text.size, slot->sink.token_count - first_token, language, text.replaced));
    slot->text_size += text.size;
    slot->documents++;
    pipeline->chunk_text += text.size;
    pipeline->stats.documents++;
    pipeline->stats.text_bytes += text.size;
    return text.in_slot ? DH_OK : flush_batch(pipeline, false);
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
        const double batches = pipeline->batch_seconds;
        DH_TRY(add_record(pipeline, &record));
        time = dh_seconds();
        pipeline->stats.text_seconds += time - read - (pipeline->batch_seconds - batches);
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
