/* Whole runs of ranks, devices and the router in simulated time: no clock, no threads. Ranks fill batches and
 * compute them or send them away as the pipeline does; places do what they get in turn. */
#ifndef DH_TESTS_ROUTE_RUNS_H
#define DH_TESTS_ROUTE_RUNS_H

#include "support.h"

#include "route/router.h"

#include <math.h>

enum { RUN_RANKS = 8, RUN_DEVICES = 2, RUN_PLACES = RUN_RANKS + RUN_DEVICES, RUN_SLOTS = 4, RUN_QUEUE = 64 };

static const double run_batch = 1 << 20; /* bytes of text in a full slot */

/* A batch on its way. */
typedef struct run_batch_away {
    int rank, slot;
    double bytes, sent_at, queued_at, seconds, end;
} run_batch_away;

typedef struct run_place {
    dh_place_view view;      /* as on the board; way_seconds is each rank's own */
    double seconds_per_byte; /* as it is */
    double way_seconds;
    double busy_until;
    run_batch_away queue[RUN_QUEUE];
    int queued;
    dh_rate rate;
    double bytes; /* done */
} run_place;

typedef struct run_rank {
    double now, left;          /* bytes to read */
    double fill, compute;      /* seconds a byte */
    double in_hand;            /* bytes of the batch that is filled */
    double in_chunk;           /* bytes until the rank waits for all that is away */
    double home_at[RUN_SLOTS]; /* 0: the slot is free */
    double way[RUN_PLACES];    /* learned */
    bool is_reading;
    dh_router router;
    double bytes; /* computed for itself */
} run_rank;

typedef struct run {
    int ranks, devices; /* place p: device p, then rank p - devices */
    double chunk;
    run_rank rank[RUN_RANKS];
    run_place place[RUN_PLACES];
    /* When a device changes its rate. */
    int change_count;
    struct {
        double at, seconds_per_byte;
    } change[4];
} run;

/* ---- places ------------------------------------------------------------------------------------------ */

/* The rate that the device has at this time. */
static inline double rate_at(const run *r, int p, double now)
{
    double rate = r->place[p].seconds_per_byte;
    for (int c = 0; p == 0 && c < r->change_count; c++) {
        rate = now >= r->change[c].at ? r->change[c].seconds_per_byte : rate;
    }
    return rate;
}

/* What the places have finished until now becomes known. */
static inline void finish_until(run *r, int p, double now)
{
    run_place *place = &r->place[p];
    while (place->queued > 0 && place->queue[0].end <= now) {
        const run_batch_away done = place->queue[0];
        memmove(place->queue, place->queue + 1, (size_t)--place->queued * sizeof done);
        place->view.queued_bytes -= done.bytes;
        place->view.seconds_per_byte =
            dh_rate_learn(&place->rate, done.seconds, (uint64_t)done.bytes, done.end);
        place->view.measured_at = done.end;
        place->bytes += done.bytes;
        const double away = done.end + place->way_seconds / 2 - done.sent_at;
        const double way = away - (done.queued_at + done.bytes) * place->view.seconds_per_byte;
        dh_router_learn_way(&r->rank[done.rank].way[p], way);
    }
}

/* Measured times scatter by a twentieth. */
static inline double scatter(double seconds)
{
    return seconds * (0.95 + 0.1 * (double)support_random_below(1000) / 1000);
}

static inline void send_away(run *r, int number, int p, double bytes)
{
    run_rank *rank = &r->rank[number];
    run_place *place = &r->place[p];
    int slot = 0;
    while (rank->home_at[slot] > 0) {
        slot++;
    }
    assert_in_range(slot, 0, RUN_SLOTS - 1);
    assert_true(place->queued < RUN_QUEUE);
    const double there = rank->now + place->way_seconds / 2;
    const double start = there > place->busy_until ? there : place->busy_until;
    const double seconds = scatter(bytes * rate_at(r, p, start));
    place->queue[place->queued++] = (run_batch_away){.rank = number,
                                                     .slot = slot,
                                                     .bytes = bytes,
                                                     .sent_at = rank->now,
                                                     .queued_at = place->view.queued_bytes,
                                                     .seconds = seconds,
                                                     .end = start + seconds};
    place->busy_until = start + seconds;
    place->view.queued_bytes += bytes;
    rank->home_at[slot] = place->busy_until + place->way_seconds / 2;
}

/* ---- ranks ------------------------------------------------------------------------------------------- */

static inline uint32_t free_slots(const run_rank *rank)
{
    uint32_t count = 0;
    for (int s = 0; s < RUN_SLOTS; s++) {
        count += rank->home_at[s] == 0;
    }
    return count;
}

static inline void come_home(run_rank *rank)
{
    for (int s = 0; s < RUN_SLOTS; s++) {
        rank->home_at[s] = rank->home_at[s] <= rank->now ? 0 : rank->home_at[s];
    }
}

/* Waits for the next batch that comes home; with `all` for the last one. */
static inline void wait_home(run_rank *rank, bool all)
{
    do {
        double next = INFINITY;
        for (int s = 0; s < RUN_SLOTS; s++) {
            next = rank->home_at[s] > 0 && rank->home_at[s] < next ? rank->home_at[s] : next;
        }
        rank->now = next < INFINITY && next > rank->now ? next : rank->now;
        come_home(rank);
    } while (all && free_slots(rank) < RUN_SLOTS);
}

/* The batch in hand is computed or sent. */
static inline void give_batch(run *r, int number)
{
    run_rank *rank = &r->rank[number];
    dh_place_view view[RUN_PLACES];
    int index[RUN_PLACES];
    uint32_t count = 0;
    for (int p = 0; p < r->devices + r->ranks; p++) {
        finish_until(r, p, rank->now);
        if (p != r->devices + number) {
            index[count] = p;
            view[count] = r->place[p].view;
            view[count++].way_seconds = rank->way[p];
        }
    }
    const double bytes = rank->in_hand;
    const bool waits = rank->left <= 0 || rank->in_chunk <= 0;
    const uint32_t slots = free_slots(rank);
    assert_true(slots > 0); /* its own */
    const int choice =
        dh_router_choose(&rank->router, view, count, (uint64_t)bytes, waits ? 0 : slots - 1, rank->now);
    rank->in_hand = 0;
    if (choice == DH_ROUTE_HERE) {
        const double seconds = scatter(bytes * rank->compute);
        rank->now += seconds;
        rank->bytes += bytes;
        dh_router_learn(&rank->router.seconds_per_byte, seconds / bytes);
        r->place[r->devices + number].view.seconds_per_byte = rank->router.seconds_per_byte;
    } else {
        send_away(r, number, index[choice], bytes);
    }
    come_home(rank);
    if (waits) {
        wait_home(rank, true);
        rank->in_chunk = r->chunk;
    }
}

/* One step of the rank's work: fills a batch, or gives one away. */
static inline void step(run *r, int number)
{
    run_rank *rank = &r->rank[number];
    if (rank->in_hand > 0) {
        give_batch(r, number);
        return;
    }
    if (rank->left <= 0) {
        run_place *self = &r->place[r->devices + number];
        self->view.is_open = true;
        self->busy_until = rank->now;
        rank->is_reading = false;
        return;
    }
    if (free_slots(rank) == 0) {
        wait_home(rank, false);
    }
    rank->in_hand = run_batch < rank->left ? run_batch : rank->left;
    rank->left -= rank->in_hand;
    rank->in_chunk -= rank->in_hand;
    const double seconds = scatter(rank->in_hand * rank->fill);
    rank->now += seconds;
    dh_router_learn(&rank->router.fill_seconds, seconds);
}

/* Runs until all is done; returns how long that took. */
static inline double run_all(run *r)
{
    double end = 0;
    for (;;) {
        int next = -1;
        for (int n = 0; n < r->ranks; n++) {
            if (r->rank[n].is_reading && (next < 0 || r->rank[n].now < r->rank[next].now)) {
                next = n;
            }
        }
        if (next < 0) {
            break;
        }
        step(r, next);
        end = r->rank[next].now > end ? r->rank[next].now : end;
    }
    for (int p = 0; p < r->devices + r->ranks; p++) {
        finish_until(r, p, INFINITY);
    }
    return end;
}

/* So many ranks and devices; each rank reads so many bytes. */
static inline run make_run(int ranks, int devices, double bytes, double fill, double compute, double chunk)
{
    run r = {.ranks = ranks, .devices = devices, .chunk = chunk};
    for (int n = 0; n < ranks; n++) {
        r.rank[n] = (run_rank){
            .left = bytes, .fill = fill, .compute = compute, .in_chunk = chunk, .is_reading = true};
        r.place[devices + n] = (run_place){.seconds_per_byte = compute, .way_seconds = 1e-4};
    }
    for (int d = 0; d < devices; d++) {
        r.place[d] = (run_place){.view = {.is_open = true, .is_device = true}, .way_seconds = 3e-4};
    }
    return r;
}

static inline double device_bytes(const run *r)
{
    double bytes = 0;
    for (int d = 0; d < r->devices; d++) {
        bytes += r->place[d].bytes;
    }
    return bytes;
}

#endif
