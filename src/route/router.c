#include "route/router.h"

#include <math.h>

static const double weight_of_new = 0.2; /* in the running mean */
static const double probe_every = 2.0;   /* seconds, that a place is given a batch to measure it */
static const double rest_seconds = 1.0;  /* after which what was measured before is forgotten */
static const double way_growth = 1.05;   /* a batch */
static const double way_min = 1e-6;
static const double batch_seconds = 0.004; /* that the fastest place is to take for a batch */
static const double bytes_min = 65536;

static const double about_as_early = 1.25;

/* When the result would be here. */
static double finish(const dh_place_view *place, double bytes)
{
    return place->way_seconds + (place->queued_bytes + bytes) * place->seconds_per_byte;
}

/* Is it time to measure it again? One batch at a time, over all ranks that see its queue. */
static bool wants_probe(const dh_place_view *place, double now)
{
    return place->queued_bytes == 0 &&
           (place->seconds_per_byte == 0 || now - place->measured_at > probe_every);
}

static bool may_go_to(const dh_router *router, const dh_place_view *place)
{
    return place->is_open && (router->policy != DH_ROUTE_DEVICE || place->is_device);
}

/* A place that was never measured is tried, not trusted; where only devices will do, it is as good as any. */
static bool is_known(const dh_router *router, const dh_place_view *place)
{
    return place->seconds_per_byte > 0 || router->policy == DH_ROUTE_DEVICE;
}

/* The time at which the earliest place has the result; `limit` when none is earlier. */
static double earliest_finish(const dh_router *router, const dh_place_view *place, uint32_t count,
                              double bytes, double limit)
{
    for (uint32_t p = 0; p < count; p++) {
        const double then = finish(&place[p], bytes);
        if (may_go_to(router, &place[p]) && is_known(router, &place[p]) && then < limit) {
            limit = then;
        }
    }
    return limit;
}

int dh_router_choose(dh_router *router, const dh_place_view *place, uint32_t count, uint64_t bytes,
                     uint32_t free_slots, double now)
{
    if (router->policy == DH_ROUTE_SELF) {
        return DH_ROUTE_HERE;
    }
    const double compute = (double)bytes * router->seconds_per_byte;
    const double here = compute + free_slots * (router->fill_seconds + compute);
    const double limit =
        router->policy == DH_ROUTE_DEVICE ? INFINITY : here; /* any device, rather than here */
    const double earliest = earliest_finish(router, place, count, (double)bytes, limit);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t p = (router->turn + i) % count;
        if (!may_go_to(router, &place[p])) {
            continue;
        }
        const double then = finish(&place[p], (double)bytes);
        const bool is_early =
            is_known(router, &place[p]) && then < limit && then <= about_as_early * earliest;
        if (is_early || (free_slots > 0 && wants_probe(&place[p], now))) {
            router->turn = (p + 1) % count;
            return (int)p;
        }
    }
    return DH_ROUTE_HERE;
}

void dh_router_learn(double *mean, double measured)
{
    *mean = *mean > 0 ? *mean + weight_of_new * (measured - *mean) : measured;
}

void dh_router_learn_way(double *way, double measured)
{
    const double least = measured > way_min ? measured : way_min;
    const double most = way_growth * *way + way_min;
    *way = *way > 0 && most < least ? most : least;
}

double dh_rate_learn(dh_rate *rate, double seconds, uint64_t bytes, double now)
{
    const double kept = now - rate->measured_at < rest_seconds ? 1 - weight_of_new : 0;
    rate->seconds = kept * rate->seconds + seconds;
    rate->bytes = kept * rate->bytes + (double)bytes;
    rate->measured_at = now;
    return rate->bytes > 0 ? rate->seconds / rate->bytes : 0;
}

uint64_t dh_router_batch_bytes(const dh_place_view *place, uint32_t count, uint64_t most)
{
    double bytes = 0;
    for (uint32_t p = 0; p < count; p++) {
        if (place[p].is_open && place[p].seconds_per_byte > 0) {
            const double wanted = batch_seconds / place[p].seconds_per_byte;
            bytes = wanted > bytes ? wanted : bytes;
        }
    }
    if (bytes == 0 || bytes >= (double)most) {
        return most;
    }
    const uint64_t least = most < (uint64_t)bytes_min ? most : (uint64_t)bytes_min;
    return bytes < (double)least ? least : (uint64_t)bytes;
}
