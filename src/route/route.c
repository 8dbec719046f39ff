#include "route/route.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "route/devices.h"
#include "route/route_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TAG_BATCH = 0, TAG_RESULT = DH_ROUTE_SLOTS, NAP_NANOSECONDS = 50000 };

static const double look_every = 0.05; /* seconds, for batches that nobody answers for */

uint8_t *dh_route_slot_memory(const dh_route *route, int node_rank, uint32_t slot)
{
    return route->memory + (uint64_t)node_rank * route->block_size + route->slots_at +
           (uint64_t)slot * route->shape.size;
}

static void nap(void)
{
    const struct timespec time = {.tv_nsec = NAP_NANOSECONDS};
    (void)nanosleep(&time, NULL);
}

/* ---- slots ------------------------------------------------------------------------------------------- */

dh_status dh_route_give_private_memory(dh_route *route, uint32_t number)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(route->shape.size, 1, "a batch", &memory));
    route->slot[number] = (dh_route_slot){
        .slot = {.shape = &route->shape, .memory = memory, .number = number}, .is_private = true};
    return DH_OK;
}

static dh_slot *take(void *context)
{
    dh_route *route = context;
    dh_route_slot *best = NULL;
    for (uint32_t s = 0; s < route->slot_count; s++) {
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

static uint32_t free_slots(const dh_route *route)
{
    uint32_t count = 0;
    for (uint32_t s = 0; s < route->slot_count; s++) {
        count += route->slot[s].state == DH_SLOT_FREE;
    }
    return count;
}

static void back(void *context, dh_slot *done, double seconds)
{
    dh_route *route = context;
    dh_route_slot *slot = &route->slot[done->number];
    if (seconds > 0) {
        dh_route_learn_own(route, seconds, slot->bytes);
    }
    slot->state = DH_SLOT_FREE;
    slot->freed_at = dh_seconds();
    /* A slot that somebody may still write to is out of use. Without memory for another one, this rank has
     * one less; the pipeline needs one at least. */
    if (slot->is_lost && dh_route_give_private_memory(route, done->number) != DH_OK) {
        slot->state = DH_SLOT_GONE;
    }
}

static uint64_t batch_bytes(void *context)
{
    return ((const dh_route *)context)->batch_bytes;
}

/* ---- sending ----------------------------------------------------------------------------------------- */

static dh_status send_elsewhere(dh_route *route, dh_route_slot *slot, const dh_route_place *place)
{
    const dh_slot *batch = &slot->slot;
    const dh_note note = {
        .kind = DH_NOTE_TICKET,
        .for_device = place->is_device,
        .slot = batch->number,
        .sequence = slot->sequence,
        .documents = batch->documents,
        .text_bytes = slot->bytes,
        .tokens = batch->sink.token_count,
        .hits = batch->sink.prefix_hit_count,
    };
    DH_TRY(dh_mail_send(route->mail, place->rank, &note, sizeof note));
    if (!place->is_remote) {
        return DH_OK;
    }
    dh_mail_part part[DH_MAIL_PARTS_MAX];
    const uint32_t count = dh_route_batch_parts(&route->shape, batch->memory, note.documents, note.text_bytes,
                                                note.tokens, note.hits, part);
    return dh_mail_send_parts(route->mail, place->rank, TAG_BATCH + (int)batch->number, part, count,
                              &slot->out);
}

static void submit(dh_route *route, dh_route_slot *slot)
{
    const int fault = dh_fault(DH_CALL_DEVICE, "batch");
    slot->task =
        (dh_task){.batch = dh_slot_batch(&slot->slot), .fault = fault > 0 ? fault : 0, .owner = NULL};
    dh_slot_columns(&route->shape, slot->slot.memory, slot->task.column);
    dh_worker_submit(route->worker, &slot->task);
}

static dh_status send(dh_route *route, dh_route_slot *slot, uint32_t number)
{
    dh_route_place *place = &route->place[number];
    slot->state = DH_SLOT_AWAY;
    slot->place = number;
    slot->sequence = ++route->next_sequence;
    slot->sent_at = dh_seconds();
    slot->queued_at = route->view[number].queued_bytes;
    *(place->is_device ? &route->figures.to_devices : &route->figures.to_ranks) += 1;
    if (place->board != NULL) {
        (void)atomic_fetch_add(&place->board->queued_bytes, slot->bytes);
    } else {
        place->view.queued_bytes += (double)slot->bytes;
    }
    if (place->rank == dh_comm_rank(route->comm)) {
        submit(route, slot);
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
    if (route->place_count == 0 || slot->is_private != (route->window == NULL) ||
        !dh_slot_is_movable(batch)) {
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

static void come_home(dh_route_slot *slot, bool is_done)
{
    slot->state = DH_SLOT_HOME;
    slot->slot.is_done = is_done;
}

/* What is known of the place from this answer. */
static void learn_of_place(dh_route *route, const dh_route_slot *slot, double seconds_per_byte)
{
    dh_place_view *view = &route->place[slot->place].view;
    const double away = dh_seconds() - slot->sent_at;
    const double way = away - (slot->queued_at + (double)slot->bytes) * seconds_per_byte;
    dh_router_learn_way(&view->way_seconds, way);
}

/* It came too late: the batch was computed here. Results from another node are let in all the same, because
 * their sender waits until they are taken; into the memory that was given up. */
static dh_status let_late_results_in(dh_route *route, int from, const dh_note *note)
{
    if (route->node_of[from] >= 0) {
        return DH_OK;
    }
    route->unanswered--;
    if (note->status != DH_BACKEND_OK) {
        return DH_OK;
    }
    dh_mail_part part[DH_MAIL_PARTS_MAX];
    uint8_t *memory = dh_route_slot_memory(route, dh_comm_node_rank(route->comm), note->slot);
    const uint32_t count = dh_route_result_parts(&route->shape, memory, note->documents, part);
    return dh_mail_receive_parts(route->mail, from, TAG_RESULT + (int)note->slot, part, count,
                                 &route->slot[note->slot].back);
}

static dh_status take_answer(dh_route *route, int from, const dh_note *note)
{
    dh_route_slot *slot = &route->slot[note->slot];
    if (slot->state != DH_SLOT_AWAY || slot->sequence != note->sequence) {
        return let_late_results_in(route, from, note);
    }
    dh_route_place *place = &route->place[slot->place];
    const double seconds_per_byte = 1e-12 * (double)note->picoseconds_per_byte;
    learn_of_place(route, slot, seconds_per_byte);
    if (place->is_remote) {
        place->view.is_open = place->view.is_open && (note->flags & DH_NOTE_CLOSED) == 0;
        place->view.seconds_per_byte = seconds_per_byte;
        place->view.queued_bytes = (double)note->queued_bytes;
        place->view.measured_at = dh_seconds();
    }
    slot->is_lost = !place->is_remote && (note->flags & DH_NOTE_TOUCHED) != 0;
    if (place->is_remote && note->status == DH_BACKEND_OK) {
        dh_mail_part part[DH_MAIL_PARTS_MAX];
        const uint32_t count =
            dh_route_result_parts(&route->shape, slot->slot.memory, slot->slot.documents, part);
        DH_TRY(dh_mail_receive_parts(route->mail, place->rank, TAG_RESULT + (int)note->slot, part, count,
                                     &slot->back));
    }
    if (!place->is_remote) {
        come_home(slot, note->status == DH_BACKEND_OK);
    }
    slot->has_answer = place->is_remote;
    slot->answer_is_ok = note->status == DH_BACKEND_OK;
    return DH_OK;
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
                                           : take_answer(route, from, &note));
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
        learn_of_place(route, slot, route->figures.device.seconds_per_byte);
        slot->is_lost = task->is_touched;
        come_home(slot, task->status == DH_BACKEND_OK);
    }
    return DH_OK;
}

/* Batches to and from other nodes. A sent batch whose answer is there may still be on its way out. */
static dh_status tend_transfers(dh_route *route)
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
        if (slot->has_answer && slot->out == NULL && slot->back == NULL) {
            slot->has_answer = false;
            come_home(slot, slot->answer_is_ok);
        }
    }
    return DH_OK;
}

/* Nobody answers for a batch: its rank computes it, and leaves the slot to whoever may still write to it. The
 * device's own rank gives up first. */
static void give_up_late(dh_route *route)
{
    const double now = dh_seconds();
    if (now - route->last_look < look_every) {
        return;
    }
    route->last_look = now;
    for (uint32_t s = 0; s < route->slot_count; s++) {
        dh_route_slot *slot = &route->slot[s];
        const bool is_own =
            slot->state == DH_SLOT_AWAY && route->place[slot->place].rank == dh_comm_rank(route->comm);
        if (slot->state != DH_SLOT_AWAY || is_own ||
            now - slot->sent_at < 1.5 * route->options.device_timeout) {
            continue;
        }
        dh_warning("rank %d does not answer for a batch: it is computed here",
                   route->place[slot->place].rank);
        route->figures.late++;
        route->unanswered += route->place[slot->place].is_remote ? 1 : 0;
        slot->is_lost = true;
        come_home(slot, false);
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
    if (route->mail != NULL) {
        DH_TRY(tend_transfers(route));
    }
    give_up_late(route);
    return DH_OK;
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
    *out = NULL;
    DH_TRY(dh_route_poll(route));
    dh_route_slot *home = slot_in(route, DH_SLOT_HOME);
    while (home == NULL && wait && slot_in(route, DH_SLOT_AWAY) != NULL) {
        DH_TRY(ask_poll(route));
        nap();
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

/* Results of batches that are still away are not wanted any more; but who has them writes into the slots, or
 * waits until they are taken. */
static dh_status recall(dh_route *route)
{
    while (slot_in(route, DH_SLOT_AWAY) != NULL || route->unanswered > 0) {
        DH_TRY(dh_route_poll(route));
        nap();
    }
    return DH_OK;
}

dh_status dh_route_serve(dh_route *route, bool willing)
{
    bool all = route->mail == NULL;
    dh_status status = recall(route);
    if (all) {
        return status;
    }
    if (status == DH_OK && willing && route->options.policy == DH_ROUTE_AUTO) {
        atomic_store(&route->board->processor.is_open, 1);
    }
    DH_TRY(dh_mail_say_finished(route->mail));
    while (!all) {
        const dh_status polled = dh_route_poll(route);
        status = status != DH_OK ? status : polled;
        const dh_status asked = ask_poll(route);
        if (asked != DH_OK || status != DH_OK) {
            atomic_store(&route->board->processor.is_open, 0);
        }
        DH_TRY(dh_mail_all_finished(route->mail, &all));
        if (!all && route->guests == NULL) {
            nap();
        }
    }
    atomic_store(&route->board->processor.is_open, 0);
    while (route->guests != NULL) { /* results on their way to other nodes */
        DH_TRY(dh_route_poll(route));
    }
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
