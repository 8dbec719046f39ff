#include "route/route_internal.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <stdlib.h>

/* ---- boards ------------------------------------------------------------------------------------------ */

static void show_rate(dh_place_board *board, double seconds_per_byte)
{
    atomic_store(&board->picoseconds_per_byte, (uint64_t)(seconds_per_byte * 1e12) + 1);
    atomic_store(&board->measured_at, (uint64_t)(dh_seconds() * 1e9));
}

void dh_route_learn_own(dh_route *route, double seconds, uint64_t bytes)
{
    const double rate = dh_rate_learn(&route->rate, seconds, bytes, dh_seconds());
    if (rate > 0) {
        route->router.seconds_per_byte = rate;
        show_rate(&route->board->processor, rate);
    }
}

static void look_at_board(dh_route_place *place)
{
    dh_place_board *board = place->board;
    place->view.is_open = atomic_load(&board->is_open) != 0;
    if (place->view.is_open) {
        place->view.queued_bytes = (double)atomic_load(&board->queued_bytes);
        place->view.seconds_per_byte = 1e-12 * (double)atomic_load(&board->picoseconds_per_byte);
        place->view.measured_at = 1e-9 * (double)atomic_load(&board->measured_at);
    }
}

void dh_route_look(dh_route *route)
{
    const double now = dh_seconds();
    for (uint32_t p = 0; p < route->place_count; p++) {
        dh_route_place *place = &route->place[p];
        dh_place_view *view = &route->view[p];
        if (place->board != NULL) {
            look_at_board(place);
        }
        *view = place->view;
        view->is_open = view->is_open && !place->is_silent;
        /* What was bad once may be good by now, and only a batch can tell. */
        view->way_seconds /= 1 + (now - place->way_at);
        if (place->is_remote && view->seconds_per_byte > 0) {
            const double done = (now - view->measured_at) / view->seconds_per_byte;
            view->queued_bytes = view->queued_bytes > done ? view->queued_bytes - done : 0;
        }
    }
}

void dh_route_publish_device(dh_route *route)
{
    if (route->worker == NULL) {
        return;
    }
    const dh_worker_figures now = dh_worker_state_now(route->worker);
    dh_place_board *board = &route->board->device;
    if (now.state != DH_WORKER_OPEN) {
        atomic_store(&board->is_open, 0);
    } else if (now.batches != route->figures.device.batches) {
        show_rate(board, now.seconds_per_byte);
    }
    route->figures.device = now;
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add(dh_route *route, int rank, bool is_device, dh_place_board *board)
{
    route->place[route->place_count++] =
        (dh_route_place){.rank = rank,
                         .is_device = is_device,
                         .is_remote = board == NULL,
                         .board = board,
                         .view = {.is_open = board == NULL, .is_device = is_device}};
}

static dh_rank_board *board_of(const dh_route *route, int node_rank)
{
    return (dh_rank_board *)(void *)(route->memory + (uint64_t)node_rank * route->block_size);
}

/* Devices of other nodes serve those ranks whose node has none: each such rank uses one of them. */
static void add_remote(dh_route *route, const uint8_t *has_device)
{
    const int ranks = dh_comm_size(route->comm);
    const int mine = dh_comm_rank(route->comm);
    for (int r = 0; r < ranks; r++) {
        if (has_device[r] != 0 && route->node_of[r] >= 0) {
            return;
        }
    }
    uint32_t choice = route->device_count > 0 ? (uint32_t)mine % route->device_count : 0;
    for (int r = 0; r < ranks; r++) {
        if (has_device[r] != 0 && choice-- == 0) {
            add(route, r, true, NULL);
            return;
        }
    }
}

dh_status dh_route_find_places(dh_route *route, const uint8_t *has_device)
{
    const int ranks = dh_comm_size(route->comm);
    const int mine = dh_comm_rank(route->comm);
    const size_t most = 2 * (size_t)dh_comm_node_size(route->comm) + 1;
    void *place = NULL;
    void *view = NULL;
    DH_TRY(dh_allocate(most, sizeof(dh_route_place), "places", &place));
    route->place = place;
    DH_TRY(dh_allocate(most, sizeof(dh_place_view), "places", &view));
    route->view = view;
    for (int r = 0; r < ranks; r++) {
        const int node_rank = route->node_of[r];
        if (node_rank < 0) {
            continue;
        }
        if (has_device[r] != 0 && (route->window != NULL || r == mine)) {
            add(route, r, true,
                route->window != NULL ? &board_of(route, node_rank)->device : &route->board->device);
        }
        if (r != mine && route->window != NULL) {
            add(route, r, false, &board_of(route, node_rank)->processor);
        }
    }
    if (route->window != NULL) {
        add_remote(route, has_device);
    }
    return DH_OK;
}
