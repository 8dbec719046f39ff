/* dhatu: where a batch is computed: here, or at a place (a device, an idle rank) that has its result earlier.
 *
 * What is compared is the time until the result is there. Here that is the batch's own time, in which
 * nothing else is done. At a place it is what waits there, the batch, and the way; meanwhile this rank goes
 * on, filling its free slots and computing them, so a place may be later by as much as that takes. A place
 * that was never measured, or not for a while, gets one batch now and then, so that its rate is known. */
#ifndef DH_ROUTE_ROUTER_H
#define DH_ROUTE_ROUTER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum dh_route_policy {
    DH_ROUTE_AUTO = 0, /* where the result is there first */
    DH_ROUTE_SELF,     /* where the batch was read */
    DH_ROUTE_DEVICE    /* on devices as long as there are any */
} dh_route_policy;

/* A place as it is known now. */
typedef struct dh_place_view {
    bool is_open, is_device;
    double seconds_per_byte; /* of text, at work; 0: not measured yet */
    double way_seconds;      /* there and back */
    double queued_bytes;     /* waiting there or under way */
    double measured_at;      /* of the last result, as of dh_seconds */
} dh_place_view;

/* What this rank knows of itself. Zeroed: nothing yet. */
typedef struct dh_router {
    dh_route_policy policy;
    double seconds_per_byte; /* of computing a batch here; 0: not measured yet */
    double fill_seconds;     /* of filling a slot */
    uint32_t turn;           /* where the search begins, so that places that are alike take turns */
} dh_router;

enum { DH_ROUTE_HERE = -1 };

/* The index of the place, or DH_ROUTE_HERE. Of places that are about as early one is taken after the other.
 * free_slots: that can still be filled while this batch is away; 0 when this rank can do nothing but wait. */
int dh_router_choose(dh_router *router, const dh_place_view *place, uint32_t count, uint64_t bytes,
                     uint32_t free_slots, double now);

/* A new measurement joins a running mean. *mean 0: there was none. */
void dh_router_learn(double *mean, double measured);

/* The way to a place and back, from what is left of the time that a batch was away: down at once, up slowly,
 * because what has become slower is more often the place than the way. *way 0: not known. */
void dh_router_learn_way(double *way, double measured);

/* How fast a place was lately. Zeroed: not measured. */
typedef struct dh_rate {
    double seconds, bytes, measured_at;
} dh_rate;

/* A batch took so long. Small ones count for less: with them it is the way that takes the time. What was
 * measured before a long rest counts no more, so that one probe is enough to find a place changed. Returns
 * the seconds a byte, 0 while there was no byte. */
double dh_rate_learn(dh_rate *rate, double seconds, uint64_t bytes, double now);

/* How much text a batch should have, so that the fastest open place takes a few milliseconds for it: less
 * does not pay for the way, more makes others wait. Between 64 KiB and most; most where no place is open. */
uint64_t dh_router_batch_bytes(const dh_place_view *place, uint32_t count, uint64_t most);

#endif
