#include "route/route.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "route/devices.h"
#include "route/route_internal.h"

#include <stdlib.h>
#include <string.h>

enum { NAP_NANOSECONDS = 50000, LONG_NAP_NANOSECONDS = 500000, SHORT_NAPS = 100 };

static const double look_every = 0.05; /* seconds, for batches that nobody answers for */
static const double leave_seconds = 1; /* that a device may take to finish when the run is left */

uint8_t *dh_route_slot_memory(const dh_route *route, int node_rank, uint32_t slot)
{
    return route->memory + (uint64_t)node_rank * route->block_size + route->slots_at +
           (uint64_t)slot * route->shape.size;
}

/* quiet: naps since something came, counted here. A rank that has waited for long leaves the processor to
 * others for longer. */
static void nap(uint32_t *quiet)
{
    const struct timespec time = {.tv_nsec = *quiet < SHORT_NAPS ? NAP_NANOSECONDS : LONG_NAP_NANOSECONDS};
    *quiet += *quiet < SHORT_NAPS;
    (void)nanosleep(&time, NULL);
}

/* ---- slots ------------------------------------------------------------------------------------------- */

static uint32_t count_slots(const dh_route *route, dh_slot_state state)
{
    uint32_t count = 0;
    for (uint32_t s = 0; s < route->slot_count; s++) {
        count += route->slot[s].state == state;
    }
    return count;
}

/* How many slots may still be filled. */
static uint32_t free_slots(const dh_route *route)
{
    const uint32_t unused = count_slots(route, DH_SLOT_FREE);
    const uint32_t used = route->slot_count - unused - count_slots(route, DH_SLOT_LOST);
    const uint32_t most = used < DH_ROUTE_ACTIVE ? DH_ROUTE_ACTIVE - used : 0;
    return unused < most ? unused : most;
}

static dh_slot *take(void *context)
{
    dh_route *route = context;
    dh_route_slot *best = NULL;
    for (uint32_t s = 0; s < route->slot_count && free_slots(route) > 0; s++) {
        dh_route_slot *slot = &route->slot[s];
        /* The one that was used last is still in the cache. */
        if (slot->state == DH_SLOT_FREE && (best == NULL || slot->freed_at > best->freed_at)) {
            best = slot;
        }
    }
    if (best == NULL) {
        return NULL;
    }
    best->state = DH_SLOT_IN_USE;
    best->taken_at = dh_seconds();
    return &best->slot;
}

static bool is_at_rest(const dh_route_slot *slot)
{
    return !slot->waits && !slot->is_touched && slot->out == NULL && slot->back == NULL;
}

static void back(void *context, dh_slot *done, double seconds)
{
    dh_route *route = context;
    dh_route_slot *slot = &route->slot[done->number];
    if (seconds > 0) {
        dh_route_learn_own(route, seconds, slot->bytes);
    }
    slot->state = is_at_rest(slot) ? DH_SLOT_FREE : DH_SLOT_LOST;
    slot->freed_at = dh_seconds();
}

static uint64_t batch_bytes(void *context)
{
    return ((const dh_route *)context)->batch_bytes;
}

/* ---- sending ----------------------------------------------------------------------------------------- */

static dh_batch_sizes sizes_of(const dh_slot *slot)
{
    return (dh_batch_sizes){.documents = slot->documents,
                            .text_bytes = slot->text_size,
                            .tokens = slot->sink.token_count,
                            .hits = slot->sink.prefix_hit_count,
                            .spelling_bytes = slot->sink.spelling_size};
}

static dh_status send_elsewhere(dh_route *route, dh_route_slot *slot, const dh_route_place *place)
{
    const dh_slot *batch = &slot->slot;
    const dh_note note = {
        .kind = DH_NOTE_TICKET,
        .for_device = place->is_device,
        .slot = batch->number,
        .sequence = slot->sequence,
        .sizes = sizes_of(batch),
    };
    DH_TRY(dh_mail_send(route->mail, place->rank, &note, sizeof note));
    if (!place->is_remote) {
        return DH_OK;
    }
    dh_mail_part part[DH_MAIL_PARTS_MAX];
    const uint32_t count = dh_route_batch_parts(&route->shape, batch->memory, &note.sizes, part);
    return dh_mail_send_parts(route->mail, place->rank, DH_TAG_BATCH + (int)batch->number, part, count,
                              &slot->out);
}

void dh_route_submit(dh_route *route, dh_task *task)
{
    const int fault = dh_fault(DH_CALL_DEVICE, "batch");
    task->fault = fault > 0 ? fault : 0;
    dh_worker_submit(route->worker, task);
}

static dh_status send(dh_route *route, dh_route_slot *slot, uint32_t number)
{
    dh_route_place *place = &route->place[number];
    slot->state = DH_SLOT_AWAY;
    slot->place = number;
    slot->sequence = ++route->next_sequence;
    slot->sent_at = dh_seconds();
    slot->waits = true;
    slot->queued_at = route->view[number].queued_bytes;
    *(place->is_device ? &route->figures.to_devices : &route->figures.to_ranks) += 1;
    if (place->board != NULL) {
        (void)atomic_fetch_add(&place->board->queued_bytes, slot->bytes);
    } else {
        place->view.queued_bytes += (double)slot->bytes;
    }
    if (place->rank == dh_comm_rank(route->comm)) {
        slot->task = (dh_task){.batch = dh_slot_batch(&slot->slot), .owner = NULL};
        dh_slot_columns(&route->shape, slot->slot.memory, slot->task.column);
        dh_route_submit(route, &slot->task);
        return DH_OK;
    }
    return send_elsewhere(route, slot, place);
}

static dh_status give(void *context, dh_slot *batch, bool waits, bool *away)
{
    dh_route *route = context;
    dh_route_slot *slot = &route->slot[batch->number];
    const double now = dh_seconds();
    slot->bytes = batch->text_size;
    dh_router_learn(&route->router.fill_seconds, now - slot->taken_at);
    *away = false;
    if (route->place_count == 0 || !dh_slot_is_movable(batch)) {
        return DH_OK;
    }
    dh_route_look(route);
    const int choice = dh_router_choose(&route->router, route->view, route->place_count, slot->bytes,
                                        waits ? 0 : free_slots(route), now);
    const bool is_here = choice == DH_ROUTE_HERE; /* the next one probably goes the same way */
    route->batch_bytes = is_here ? route->shape.text_room
                                 : dh_router_batch_bytes(&route->view[choice], 1, route->shape.text_room);
    if (!is_here) {
        DH_TRY(send(route, slot, (uint32_t)choice));
        *away = true;
    }
    return DH_OK;
}

/* ---- coming home ------------------------------------------------------------------------------------- */

/* What is known of the place from this answer. */
static void learn_of_place(const dh_route_slot *slot, dh_route_place *place, double seconds_per_byte)
{
    const double now = dh_seconds();
    const double way = now - slot->sent_at - (slot->queued_at + (double)slot->bytes) * seconds_per_byte;
    dh_router_learn_way(&place->view.way_seconds, way);
    place->way_at = now;
}

/* Whoever had the slot's batch is done with it. The slot comes home, or is free, when nothing of it is on its
 * way any more (tend_slots). */
static void end_waiting(dh_route *route, dh_route_slot *slot, bool is_ok, bool is_touched)
{
    slot->waits = false;
    slot->answer_is_ok = is_ok;
    slot->is_touched = is_touched;
    route->place[slot->place].is_silent = false;
}

static dh_status take_answer(dh_route *route, const dh_note *note)
{
    dh_route_slot *slot = &route->slot[note->slot];
    if (!slot->waits || slot->sequence != note->sequence) {
        return dh_error(DH_INTERNAL, "an answer came for a batch that is not away");
    }
    dh_route_place *place = &route->place[slot->place];
    const double seconds_per_byte = 1e-12 * (double)note->picoseconds_per_byte;
    const bool is_ok = note->status == DH_BACKEND_OK;
    if (slot->state == DH_SLOT_AWAY) { /* else it is too late to tell anything of the way */
        learn_of_place(slot, place, seconds_per_byte);
    }
    end_waiting(route, slot, is_ok, !place->is_remote && (note->flags & DH_NOTE_TOUCHED) != 0);
    if (!place->is_remote) {
        return DH_OK;
    }
    place->view.is_open = place->view.is_open && (note->flags & DH_NOTE_CLOSED) == 0;
    place->view.seconds_per_byte = seconds_per_byte;
    place->view.queued_bytes = (double)note->queued_bytes;
    place->view.measured_at = dh_seconds();
    if (!is_ok) {
        return DH_OK;
    }
    /* Their sender waits until they are taken, also when it is too late for them. */
    dh_mail_part part[DH_MAIL_PARTS_MAX];
    const dh_batch_sizes sizes = sizes_of(&slot->slot);
    const uint32_t count = dh_route_result_parts(&route->shape, slot->slot.memory, &sizes, part);
    return dh_mail_receive_parts(route->mail, place->rank, DH_TAG_RESULT + (int)note->slot, part, count,
                                 &slot->back);
}

static dh_status take_notes(dh_route *route)
{
    for (;;) {
        _Alignas(dh_note) uint8_t bytes[DH_NOTE_SIZE];
        dh_note note;
        int from = 0;
        bool got = false;
        DH_TRY(dh_mail_receive(route->mail, bytes, &from, &got));
        if (!got) {
            return DH_OK;
        }
        memcpy(&note, bytes, sizeof note);
        DH_TRY(note.kind == DH_NOTE_TICKET ? dh_route_take_ticket(route, from, &note)
                                           : take_answer(route, &note));
    }
}

/* What the rank's own device has done. */
static dh_status take_device_tasks(dh_route *route)
{
    for (dh_task *task = NULL; (task = dh_worker_take(route->worker)) != NULL;) {
        dh_route_publish_device(route);
        if (task->owner != NULL) {
            DH_TRY(dh_route_guest_done(route, task->owner));
            continue;
        }
        dh_route_slot *slot = (dh_route_slot *)(void *)((char *)task - offsetof(dh_route_slot, task));
        (void)atomic_fetch_sub(&route->board->device.queued_bytes, slot->bytes);
        learn_of_place(slot, &route->place[slot->place], route->figures.device.seconds_per_byte);
        end_waiting(route, slot, task->status == DH_BACKEND_OK, task->is_touched);
    }
    return DH_OK;
}

/* What is on its way from and to other nodes; slots that nothing is on its way from or to any more. */
static dh_status tend_slots(dh_route *route)
{
    for (uint32_t s = 0; s < route->slot_count; s++) {
        dh_route_slot *slot = &route->slot[s];
        bool done = false;
        if (slot->out != NULL) {
            DH_TRY(dh_transfer_is_done(&slot->out, &done));
        }
        if (slot->back != NULL) {
            DH_TRY(dh_transfer_is_done(&slot->back, &done));
        }
        const bool is_over = !slot->waits && slot->out == NULL && slot->back == NULL;
        if (slot->state == DH_SLOT_AWAY && is_over) {
            slot->slot.is_done = slot->answer_is_ok;
            slot->state = DH_SLOT_HOME;
        } else if (slot->state == DH_SLOT_LOST && is_at_rest(slot)) {
            slot->state = DH_SLOT_FREE;
        }
    }
    return DH_OK;
}

static void give_up(dh_route *route, dh_route_slot *slot)
{
    dh_route_place *place = &route->place[slot->place];
    if (!place->is_silent) {
        dh_warning("rank %d does not answer: what it has is computed here", place->rank);
    }
    place->is_silent = true;
    route->figures.late++;
    slot->slot.is_done = false;
    slot->state = DH_SLOT_HOME;
}

/* Nobody answers for a batch: its rank computes it, and leaves the slot to whoever may still write to it. The
 * device's own rank gives up first. */
static void give_up_late(dh_route *route)
{
    const double now = dh_seconds();
    const double gap = now - route->last_look;
    if (gap < look_every) {
        return;
    }
    route->last_look = now;
    for (uint32_t s = 0; s < route->slot_count; s++) {
        dh_route_slot *slot = &route->slot[s];
        if (slot->state != DH_SLOT_AWAY || !slot->waits ||
            route->place[slot->place].rank == dh_comm_rank(route->comm)) {
            continue;
        }
        if (gap > route->options.device_timeout / 2) {
            slot->sent_at += gap; /* this rank did not look, or did not run at all: the answer may be there */
        } else if (now - slot->sent_at > 1.5 * route->options.device_timeout) {
            give_up(route, slot);
        }
    }
}

static void tell_of_closed_device(dh_route *route)
{
    const dh_worker_figures *device = &route->figures.device;
    if (route->worker != NULL && device->state != DH_WORKER_OPEN && !route->is_quiet) {
        route->is_quiet = true;
        dh_warning("%s is closed, its batches are computed elsewhere: %s", dh_worker_describe(route->worker),
                   device->reason);
    }
}

dh_status dh_route_poll(void *context)
{
    dh_route *route = context;
    if (route->mail != NULL) {
        DH_TRY(take_notes(route));
    }
    if (route->worker != NULL) {
        DH_TRY(take_device_tasks(route));
        tell_of_closed_device(route);
    }
    DH_TRY(dh_route_tend_guests(route));
    give_up_late(route);
    return tend_slots(route);
}

static dh_status ask_poll(const dh_route *route)
{
    return route->options.poll != NULL ? route->options.poll(route->options.poll_context) : DH_OK;
}

static dh_route_slot *slot_in(dh_route *route, dh_slot_state state)
{
    for (uint32_t s = 0; s < route->slot_count; s++) {
        if (route->slot[s].state == state) {
            return &route->slot[s];
        }
    }
    return NULL;
}

static dh_status settle(void *context, bool wait, dh_slot **out)
{
    dh_route *route = context;
    uint32_t quiet = 0;
    *out = NULL;
    DH_TRY(dh_route_poll(route));
    dh_route_slot *home = slot_in(route, DH_SLOT_HOME);
    while (home == NULL && wait && slot_in(route, DH_SLOT_AWAY) != NULL) {
        DH_TRY(ask_poll(route));
        nap(&quiet);
        DH_TRY(dh_route_poll(route));
        home = slot_in(route, DH_SLOT_HOME);
    }
    if (home != NULL) {
        home->state = DH_SLOT_IN_USE;
        *out = &home->slot;
    }
    return DH_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* When the run is left, a device that does not finish may not hold it up. left_at: when the run was found to
 * be left; 0: it is not. */
static void leave_device(dh_route *route, double *left_at)
{
    const double now = dh_seconds();
    if (*left_at == 0 && ask_poll(route) != DH_OK) {
        *left_at = now;
        atomic_store(&route->board->processor.is_open, 0); /* no new work for this rank */
    }
    if (route->worker != NULL && *left_at > 0 && now - *left_at > leave_seconds) {
        dh_worker_abandon(route->worker, "it was still at work when the run was left");
    }
}

/* Does anybody have a batch of this rank, whose results are to be let in? A rank of the node that does not
 * answer is not waited for: it writes into memory that stays as long as it does. */
static bool is_owed(const dh_route *route)
{
    for (uint32_t s = 0; s < route->slot_count; s++) {
        const dh_route_slot *slot = &route->slot[s];
        const bool is_remote = slot->waits && route->place[slot->place].is_remote;
        if (slot->state == DH_SLOT_AWAY || is_remote || slot->out != NULL || slot->back != NULL) {
            return true;
        }
    }
    return false;
}

/* Results of batches that are still away are not wanted any more; but who has them writes into the slots, or
 * waits until they are taken. */
static dh_status recall(dh_route *route, double *left_at)
{
    uint32_t quiet = 0;
    while (is_owed(route)) {
        DH_TRY(dh_route_poll(route));
        leave_device(route, left_at);
        nap(&quiet);
    }
    return DH_OK;
}

dh_status dh_route_serve(dh_route *route, bool willing)
{
    double left_at = 0;
    dh_status status = recall(route, &left_at);
    if (route->mail == NULL) {
        return status;
    }
    if (status == DH_OK && willing && route->options.policy == DH_ROUTE_AUTO) {
        atomic_store(&route->board->processor.is_open, 1);
    }
    DH_TRY(dh_mail_say_finished(route->mail));
    bool all = false;
    uint32_t quiet = 0;
    uint64_t served = 0;
    while (!all || route->guests != NULL) { /* guests: results may be on their way to other nodes */
        const dh_status polled = dh_route_poll(route);
        status = status != DH_OK ? status : polled;
        leave_device(route, &left_at);
        DH_TRY(dh_mail_all_finished(route->mail, &all));
        const uint64_t done = route->figures.for_ranks + route->figures.device.batches;
        if (done != served) {
            served = done;
            quiet = 0;
        } else if (!all) {
            nap(&quiet);
        }
    }
    atomic_store(&route->board->processor.is_open, 0);
    return status;
}

void dh_route_set_dispatcher(dh_route *route)
{
    route->dispatcher = (dh_dispatcher){.context = route,
                                        .take = take,
                                        .batch_bytes = batch_bytes,
                                        .give = give,
                                        .settle = settle,
                                        .back = back};
}
