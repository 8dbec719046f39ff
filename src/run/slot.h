/* dhatu: a slot, the memory of one batch and of its results. One block of fixed layout, so that another rank
 * of the node can compute the batch where it lies, and a device can copy straight from it. */
#ifndef DH_RUN_SLOT_H
#define DH_RUN_SLOT_H

#include "run/settings.h"
#include "text/tokens.h"

enum { DH_BATCH_DOCUMENTS = 4096 };

/* Where things stand in a slot, in bytes from its start; the text stands at 0. Multiples of 64. */
typedef struct dh_slot_shape {
    uint64_t text_room; /* bytes */
    uint64_t token_room, hit_room;
    uint64_t spelling_room; /* bytes; 0: no job uses spelling, and the slot has none */
    uint64_t text_offset, token, token_offset, hit, hit_offset, lexicon;
    uint64_t spelling, spelling_offset, token_end;
    uint32_t column_count; /* of the schema; those of the engine are not in the slot */
    uint64_t column[DH_SCHEMA_COLUMNS_MAX];
    uint64_t row_size[DH_SCHEMA_COLUMNS_MAX];
    bool is_by_token[DH_SCHEMA_COLUMNS_MAX]; /* DH_TOKEN: rows are tokens, not documents */
    uint64_t size;
} dh_slot_shape;

void dh_slot_shape_make(const dh_settings *settings, dh_slot_shape *out);

/* Bytes of a column's results for a batch. */
static inline uint64_t dh_slot_column_bytes(const dh_slot_shape *shape, uint32_t column, uint64_t documents,
                                            uint64_t tokens)
{
    return (shape->is_by_token[column] ? tokens : documents) * shape->row_size[column];
}

/* A slot as its owner fills it. */
typedef struct dh_slot {
    const dh_slot_shape *shape;
    uint8_t *memory;
    uint32_t documents;
    uint64_t text_size;
    const uint8_t *text_elsewhere; /* of the only document, where it does not fit */
    dh_token_sink sink;            /* arrays are the slot's, or its own where they do not fit */
    uint32_t first_row;            /* in the chunk */
    bool is_done;                  /* computed elsewhere: the results are in the slot */
    uint32_t number;               /* of the dispatcher */
} dh_slot;

/* Empties the slot for the next batch. */
void dh_slot_reset(dh_slot *slot, uint64_t token_limit);

/* False when part of the batch lies outside the slot: then nobody else can do it. */
bool dh_slot_is_movable(const dh_slot *slot);

/* The batch in the slot. The view ends with the slot's next change. */
dh_batch dh_slot_batch(const dh_slot *slot);

/* The batch of so many documents in a slot of another rank. */
dh_batch dh_slot_batch_at(const dh_slot_shape *shape, const uint8_t *memory, uint32_t documents);

/* Where the results stand, by column of the schema. Those of DH_TOKEN columns are for the tokens of a movable
 * batch. */
void dh_slot_columns(const dh_slot_shape *shape, uint8_t *memory, void *column[DH_SCHEMA_COLUMNS_MAX]);

uint64_t *dh_slot_text_offset(const dh_slot *slot);
uint64_t *dh_slot_token_offset(const dh_slot *slot);
uint64_t *dh_slot_hit_offset(const dh_slot *slot);
uint64_t *dh_slot_spelling_offset(const dh_slot *slot); /* NULL: the slot has no spelling */
uint16_t *dh_slot_lexicon(const dh_slot *slot);

/* Queues the kernels of all jobs over the batch. column[c] has room for its documents in column c of the
 * schema (those of the engine are not used). Adds each job's time to job_seconds where that is not NULL. The
 * batch is done when the lane's poll says so. */
dh_backend_status dh_vectorise(const dh_settings *settings, dh_lane *lane, const dh_batch *batch,
                               void *const *column, double *job_seconds);

/* The same on the rank's own processor, to its end. */
dh_backend_status dh_vectorise_here(const dh_settings *settings, const dh_batch *batch, void *const *column,
                                    double *job_seconds);

#endif
