#include "run/slot.h"

#include "base/clock.h"

enum {
    ALIGNMENT = 64,
    PAGE = 4096,
    TEXT_OF_A_TOKEN = 4, /* bytes, at the least, for which a slot has room: fewer in few scripts */
    TEXT_OF_A_HIT = 16,
    SPELLING_AHEAD = 64 /* bytes, that the tokeniser writes behind the spelling */
};

static uint64_t place(uint64_t *end, uint64_t bytes)
{
    const uint64_t start = *end;
    *end = (start + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return start;
}

void dh_slot_shape_make(const dh_settings *settings, dh_slot_shape *out)
{
    const uint64_t offsets = (DH_BATCH_DOCUMENTS + (uint64_t)1) * sizeof(uint64_t);
    const dh_schema *schema = &settings->schema;
    uint64_t end = 0;
    *out = (dh_slot_shape){.text_room = settings->batch_size,
                           .token_room = settings->batch_size / TEXT_OF_A_TOKEN + DH_BATCH_DOCUMENTS,
                           .hit_room = settings->batch_size / TEXT_OF_A_HIT + DH_BATCH_DOCUMENTS,
                           .column_count = schema->column_count};
    if (settings->uses_spelling) {
        /* A space for each token. Normalised text is hardly ever longer than the text, as separators go. */
        out->spelling_room = out->text_room + out->token_room + SPELLING_AHEAD;
    }
    (void)place(&end, out->text_room);
    out->text_offset = place(&end, offsets);
    out->token_offset = place(&end, offsets);
    out->hit_offset = place(&end, offsets);
    out->lexicon = place(&end, DH_BATCH_DOCUMENTS * sizeof(uint16_t));
    out->token = place(&end, out->token_room * sizeof(uint64_t));
    out->hit = place(&end, out->hit_room * sizeof(dh_prefix_hit));
    if (settings->uses_spelling) {
        out->spelling_offset = place(&end, offsets);
        out->token_end = place(&end, out->token_room * sizeof(uint32_t));
        out->spelling = place(&end, out->spelling_room);
    }
    for (uint32_t c = DH_ENGINE_COLUMNS; c < schema->column_count; c++) {
        out->row_size[c] = schema->row_size[c];
        out->is_by_token[c] = schema->column[c].place == DH_TOKEN;
        out->column[c] = place(&end, dh_slot_column_bytes(out, c, DH_BATCH_DOCUMENTS, out->token_room));
    }
    out->size = (end + PAGE - 1) / PAGE * PAGE; /* so that a device can page-lock slots one by one */
}

/* What begins so many bytes into the slot. Its memory begins at a page, and all in it at multiples of 64. */
static void *within(uint8_t *memory, uint64_t offset)
{
    return memory + offset;
}

static const void *seen_within(const uint8_t *memory, uint64_t offset)
{
    return memory + offset;
}

uint64_t *dh_slot_text_offset(const dh_slot *slot)
{
    return within(slot->memory, slot->shape->text_offset);
}

uint64_t *dh_slot_token_offset(const dh_slot *slot)
{
    return within(slot->memory, slot->shape->token_offset);
}

uint64_t *dh_slot_hit_offset(const dh_slot *slot)
{
    return within(slot->memory, slot->shape->hit_offset);
}

uint64_t *dh_slot_spelling_offset(const dh_slot *slot)
{
    const dh_slot_shape *shape = slot->shape;
    return shape->spelling_room > 0 ? within(slot->memory, shape->spelling_offset) : NULL;
}

uint16_t *dh_slot_lexicon(const dh_slot *slot)
{
    return within(slot->memory, slot->shape->lexicon);
}

void dh_slot_reset(dh_slot *slot, uint64_t token_limit)
{
    const dh_slot_shape *shape = slot->shape;
    dh_token_sink_free(&slot->sink);
    slot->sink = (dh_token_sink){
        .token = within(slot->memory, shape->token),
        .token_capacity = shape->token_room,
        .token_lent = true,
        .prefix_hit = within(slot->memory, shape->hit),
        .prefix_hit_capacity = shape->hit_room,
        .prefix_hit_lent = true,
        .token_limit = token_limit,
    };
    if (shape->spelling_room > 0) {
        slot->sink.keeps_spelling = true;
        slot->sink.spelling = within(slot->memory, shape->spelling);
        slot->sink.spelling_capacity = shape->spelling_room;
        slot->sink.spelling_lent = true;
        slot->sink.token_end = within(slot->memory, shape->token_end);
    }
    slot->documents = 0;
    slot->text_size = 0;
    slot->text_elsewhere = NULL;
    slot->is_done = false;
}

bool dh_slot_is_movable(const dh_slot *slot)
{
    const dh_token_sink *sink = &slot->sink;
    return slot->text_elsewhere == NULL && sink->token_lent && sink->prefix_hit_lent &&
           sink->spelling_lent == sink->keeps_spelling;
}

dh_batch dh_slot_batch_at(const dh_slot_shape *shape, const uint8_t *memory, uint32_t documents)
{
    dh_batch batch = {
        .document_count = documents,
        .text = memory,
        .text_offset = seen_within(memory, shape->text_offset),
        .token = seen_within(memory, shape->token),
        .token_offset = seen_within(memory, shape->token_offset),
        .prefix_hit = seen_within(memory, shape->hit),
        .prefix_hit_offset = seen_within(memory, shape->hit_offset),
        .lexicon = seen_within(memory, shape->lexicon),
    };
    if (shape->spelling_room > 0) {
        batch.spelling = seen_within(memory, shape->spelling);
        batch.spelling_offset = seen_within(memory, shape->spelling_offset);
        batch.token_end = seen_within(memory, shape->token_end);
    }
    return batch;
}

dh_batch dh_slot_batch(const dh_slot *slot)
{
    dh_batch batch = dh_slot_batch_at(slot->shape, slot->memory, slot->documents);
    batch.text = slot->text_elsewhere != NULL ? slot->text_elsewhere : batch.text;
    batch.token = slot->sink.token;
    batch.prefix_hit = slot->sink.prefix_hit;
    batch.spelling = slot->sink.spelling;   /* NULL in a sink that keeps none */
    batch.token_end = slot->sink.token_end; /* so is this */
    return batch;
}

void dh_slot_columns(const dh_slot_shape *shape, uint8_t *memory, void *column[DH_SCHEMA_COLUMNS_MAX])
{
    for (uint32_t c = 0; c < shape->column_count; c++) {
        column[c] = c < DH_ENGINE_COLUMNS ? NULL : within(memory, shape->column[c]);
    }
}

dh_backend_status dh_vectorise(const dh_settings *settings, dh_lane *lane, const dh_batch *batch,
                               void *const *column, double *job_seconds)
{
    dh_backend_status status = lane->backend->kind->begin(lane, batch);
    double time = dh_seconds();
    for (uint32_t j = 0; j < settings->job_count && status == DH_BACKEND_OK; j++) {
        const dh_active_job *active = &settings->job[j];
        status = active->job->vectorise(active->state, lane, column + active->first_column);
        if (job_seconds != NULL) {
            const double now = dh_seconds();
            job_seconds[j] += now - time;
            time = now;
        }
    }
    return status;
}

dh_backend_status dh_vectorise_here(const dh_settings *settings, const dh_batch *batch, void *const *column,
                                    double *job_seconds)
{
    dh_lane *lane = &settings->backend->lane[0];
    const dh_backend_status status = dh_vectorise(settings, lane, batch, column, job_seconds);
    return status == DH_BACKEND_OK ? dh_lane_wait(lane) : status;
}
