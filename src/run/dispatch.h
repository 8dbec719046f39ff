/* dhatu: between the pipeline, which makes batches, and whoever decides where they are computed. Without a
 * dispatcher the pipeline computes all of them itself.
 *
 * A slot goes round: take (to fill it) -> give -> either the pipeline computes it and hands it back, or it is
 * away until settle returns it -> back. */
#ifndef DH_RUN_DISPATCH_H
#define DH_RUN_DISPATCH_H

#include "base/clock.h"
#include "run/slot.h"

typedef struct dh_dispatcher {
    void *context;

    /* An empty slot to fill. NULL: all are away. */
    dh_slot *(*take)(void *context);

    /* How much text a batch should have now. At most the slot's room. */
    uint64_t (*batch_bytes)(void *context);

    /* Decides where the slot's batch is computed. *away: somewhere else, settle returns it. No: the caller
     * computes it. `waits`: the caller can do nothing else until all batches are done. Errors are logged. */
    dh_status (*give)(void *context, dh_slot *slot, bool waits, bool *away);

    /* *out is a slot that was away (is_done tells whether with results, else the caller computes it), or NULL
     * when none has come home. With `wait` that is only when none is away. DH_AGAIN: the run is left.
     * Errors are logged. */
    dh_status (*settle)(void *context, bool wait, dh_slot **out);

    /* The results were taken out of the slot. seconds: what the pipeline took to compute them, 0 where it
     * did not. */
    void (*back)(void *context, dh_slot *slot, double seconds);
} dh_dispatcher;

#endif
