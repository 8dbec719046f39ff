#include "run/slot.h"

#include "base/clock.h"

enum {
    ALIGNMENT = 64,
    PAGE = 4096,
    TEXT_OF_A_TOKEN = 4, /* bytes, at the least, for which a slot has room: fewer in few scripts */
    TEXT_OF_A_HIT = 16
};

static uint64_t place(uint64_t *end, uint64_t bytes)
{
    const uint64_t start = *end;
    *end = (start + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return start;
}

void dh_slot_shape_make(const dh_settings *settings, dh_slot_shape *out)
{
    const uint64_t offsets = (DH_BATCH_DOCUMENTS + 1) * sizeof(uint64_t);
    const dh_schema *schema = &settings->schema;
    uint64_t end = 0;
    *out = (dh_slot_shape){.text_room = settings->batch_size,
                           .token_room = settings->batch_size / TEXT_OF_A_TOKEN + DH_BATCH_DOCUMENTS,
                           .hit_room = settings->batch_size / TEXT_OF_A_HIT + DH_BATCH_DOCUMENTS,
                           .column_count = schema->column_count};
    (void)place(&end, out->text_room);
    out->text_offset = place(&end, offsets);
    out->token_offset = place(&end, offsets);
    out->hit_offset = place(&end, offsets);
    out->lexicon = place(&end, DH_BATCH_DOCUMENTS * sizeof(uint16_t));
    out->token = place(&end, out->token_room * sizeof(uint64_t));
    out->hit = place(&end, out->hit_room * sizeof(dh_prefix_hit));
    for (uint32_t c = DH_ENGINE_COLUMNS; c < schema->column_count; c++) {
        out->row_size[c] = schema->row_size[c];
        out->column[c] = place(&end, DH_BATCH_DOCUMENTS * schema->row_size[c]);
    }
    out->size = (end + PAGE - 1) / PAGE * PAGE; /* so that a device can page-lock slots one by one */
}

uint64_t *dh_slot_text_offset(const dh_slot *slot)
{
    return (uint64_t *)(void *)(slot->memory + slot->shape->text_offset);
}

uint64_t *dh_slot_token_offset(const dh_slot *slot)
{
    return (uint64_t *)(void *)(slot->memory + slot->shape->token_offset);
}

uint64_t *dh_slot_hit_offset(const dh_slot *slot)
{
    return (uint64_t *)(void *)(slot->memory + slot->shape->hit_offset);
}

uint16_t *dh_slot_lexicon(const dh_slot *slot)
{
    return (uint16_t *)(void *)(slot->memory + slot->shape->lexicon);
}

void dh_slot_reset(dh_slot *slot, uint64_t token_limit)
{
    dh_token_sink_free(&slot->sink);
    slot->sink = (dh_token_sink){
        .token = (uint64_t *)(void *)(slot->memory + slot->shape->token),
        .token_capacity = slot->shape->token_room,
        .token_lent = true,
        .prefix_hit = (dh_prefix_hit *)(void *)(slot->memory + slot->shape->hit),
        .prefix_hit_capacity = slot->shape->hit_room,
        .prefix_hit_lent = true,
        .token_limit = token_limit,
    };
    slot->documents = 0;
    slot->text_size = 0;
    slot->text_elsewhere = NULL;
    slot->is_done = false;
}

bool dh_slot_is_movable(const dh_slot *slot)
{
    return slot->text_elsewhere == NULL && slot->sink.token_lent && slot->sink.prefix_hit_lent;
}

dh_batch dh_slot_batch_at(const dh_slot_shape *shape, const uint8_t *memory, uint32_t documents)
{
    return (dh_batch){
        .document_count = documents,
        .text = memory,
        .text_offset = (const uint64_t *)(const void *)(memory + shape->text_offset),
        .token = (const uint64_t *)(const void *)(memory + shape->token),
        .token_offset = (const uint64_t *)(const void *)(memory + shape->token_offset),
        .prefix_hit = (const dh_prefix_hit *)(const void *)(memory + shape->hit),
        .prefix_hit_offset = (const uint64_t *)(const void *)(memory + shape->hit_offset),
        .lexicon = (const uint16_t *)(const void *)(memory + shape->lexicon),
    };
}

dh_batch dh_slot_batch(const dh_slot *slot)
{
    dh_batch batch = dh_slot_batch_at(slot->shape, slot->memory, slot->documents);
    batch.text = slot->text_elsewhere != NULL ? slot->text_elsewhere : batch.text;
    batch.token = slot->sink.token;
    batch.prefix_hit = slot->sink.prefix_hit;
    return batch;
}

void dh_slot_columns(const dh_slot_shape *shape, uint8_t *memory, void *column[DH_SCHEMA_COLUMNS_MAX])
{
    for (uint32_t c = 0; c < shape->column_count; c++) {
        column[c] = c < DH_ENGINE_COLUMNS ? NULL : memory + shape->column[c];
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
