/* dhatu: batches of other ranks that are computed here. */
#include "route/route_internal.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

static uint8_t *guest_memory(const dh_route *route, int32_t place)
{
    return route->memory + (uint64_t)dh_comm_node_rank(route->comm) * route->block_size + route->guests_at +
           (uint64_t)place * route->shape.size;
}

static bool is_remote(const dh_route *route, const dh_guest *guest)
{
    return route->node_of[guest->from] < 0;
}

static dh_place_board *board_for(const dh_route *route, const dh_guest *guest)
{
    return guest->for_device ? &route->board->device : &route->board->processor;
}

/* ---- sizes on the way -------------------------------------------------------------------------------- */

static void *at(uint8_t *memory, uint64_t offset)
{
    return memory + offset;
}

uint32_t dh_route_batch_parts(const dh_slot_shape *shape, uint8_t *memory, const dh_batch_sizes *sizes,
                              dh_mail_part part[DH_MAIL_PARTS_MAX])
{
    const uint64_t offsets = (sizes->documents + 1) * sizeof(uint64_t);
    part[0] = (dh_mail_part){at(memory, 0), sizes->text_bytes};
    part[1] = (dh_mail_part){at(memory, shape->text_offset), offsets};
    part[2] = (dh_mail_part){at(memory, shape->token_offset), offsets};
    part[3] = (dh_mail_part){at(memory, shape->hit_offset), offsets};
    part[4] = (dh_mail_part){at(memory, shape->lexicon), sizes->documents * sizeof(uint16_t)};
    part[5] = (dh_mail_part){at(memory, shape->token), sizes->tokens * sizeof(uint64_t)};
    part[6] = (dh_mail_part){at(memory, shape->hit), sizes->hits * sizeof(dh_prefix_hit)};
    if (shape->spelling_room == 0) {
        return 7;
    }
    part[7] = (dh_mail_part){at(memory, shape->spelling_offset), offsets};
    part[8] = (dh_mail_part){at(memory, shape->token_end), sizes->tokens * sizeof(uint32_t)};
    part[9] = (dh_mail_part){at(memory, shape->spelling), sizes->spelling_bytes};
    return 10;
}

uint32_t dh_route_result_parts(const dh_slot_shape *shape, uint8_t *memory, const dh_batch_sizes *sizes,
                               dh_mail_part part[DH_MAIL_PARTS_MAX])
{
    uint32_t count = 0;
    for (uint32_t c = DH_ENGINE_COLUMNS; c < shape->column_count; c++) {
        part[count++] = (dh_mail_part){at(memory, shape->column[c]),
                                       dh_slot_column_bytes(shape, c, sizes->documents, sizes->tokens)};
    }
    return count;
}

/* ---- work -------------------------------------------------------------------------------------------- */

static void set_task(const dh_route *route, dh_guest *guest)
{
    uint8_t *memory = is_remote(route, guest)
                          ? guest_memory(route, guest->place)
                          : dh_route_slot_memory(route, route->node_of[guest->from], guest->slot);
    guest->task.batch = dh_slot_batch_at(&route->shape, memory, (uint32_t)guest->sizes.documents);
    dh_slot_columns(&route->shape, memory, guest->task.column);
    guest->task.owner = guest;
}

/* By the rank's own processor. */
static dh_status compute_guest(dh_route *route, dh_guest *guest)
{
    const double start = dh_seconds();
    guest->task.status = dh_vectorise_here(route->settings, &guest->task.batch, guest->task.column, NULL);
    route->figures.for_ranks++;
    route->figures.for_ranks_bytes += guest->sizes.text_bytes;
    dh_route_learn_own(route, dh_seconds() - start, guest->sizes.text_bytes);
    return dh_route_guest_done(route, guest);
}

/* The batch is here: to the device, or to the processor. */
static dh_status start_guest(dh_route *route, dh_guest *guest)
{
    guest->has_batch = true;
    set_task(route, guest);
    if (!guest->for_device) {
        return compute_guest(route, guest);
    }
    if (route->worker == NULL) {
        guest->task.status = DH_BACKEND_LOST;
        return dh_route_guest_done(route, guest);
    }
    dh_route_submit(route, &guest->task);
    return DH_OK;
}

/* A batch from another node waits with its sender until a slot is free for it. */
static dh_status fetch_batch(dh_route *route, dh_guest *guest)
{
    for (uint32_t g = 0; g < route->guest_count; g++) {
        if (!route->guest_used[g]) {
            dh_mail_part part[DH_MAIL_PARTS_MAX];
            route->guest_used[g] = true;
            guest->place = (int32_t)g;
            const uint32_t count =
                dh_route_batch_parts(&route->shape, guest_memory(route, guest->place), &guest->sizes, part);
            return dh_mail_receive_parts(route->mail, guest->from, DH_TAG_BATCH + (int)guest->slot, part,
                                         count, &guest->transfer);
        }
    }
    return DH_OK;
}

dh_status dh_route_take_ticket(dh_route *route, int from, const dh_note *note)
{
    void *memory = NULL;
    const dh_status status = dh_allocate(1, sizeof(dh_guest), "a batch of another rank", &memory);
    if (status != DH_OK) {
        dh_comm_abort(status); /* its sender would wait for ever */
    }
    dh_guest *guest = memory;
    *guest = (dh_guest){.from = from,
                        .slot = note->slot,
                        .sequence = note->sequence,
                        .sizes = note->sizes,
                        .place = -1,
                        .for_device = note->for_device != 0};
    dh_guest **last = &route->guests;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = guest; /* first come, first served */
    if (!is_remote(route, guest)) {
        return start_guest(route, guest);
    }
    (void)atomic_fetch_add(&board_for(route, guest)->queued_bytes,
                           guest->sizes.text_bytes); /* else the sender has */
    return fetch_batch(route, guest);
}

/* Tells the sender, and sends the results where the sender cannot see them. */
dh_status dh_route_guest_done(dh_route *route, dh_guest *guest)
{
    dh_place_board *board = board_for(route, guest);
    guest->is_done = true;
    (void)atomic_fetch_sub(&board->queued_bytes, guest->sizes.text_bytes);
    dh_route_publish_device(route);
    const dh_note note = {
        .kind = DH_NOTE_DONE,
        .slot = guest->slot,
        .sequence = guest->sequence,
        .status = (uint32_t)guest->task.status,
        .flags = (atomic_load(&board->is_open) == 0 ? DH_NOTE_CLOSED : 0) |
                 (guest->task.is_touched ? DH_NOTE_TOUCHED : 0),
        .picoseconds_per_byte = atomic_load(&board->picoseconds_per_byte),
        .queued_bytes = atomic_load(&board->queued_bytes),
    };
    DH_TRY(dh_mail_send(route->mail, guest->from, &note, sizeof note));
    if (is_remote(route, guest) && guest->task.status == DH_BACKEND_OK) {
        dh_mail_part part[DH_MAIL_PARTS_MAX];
        const uint32_t count =
            dh_route_result_parts(&route->shape, guest_memory(route, guest->place), &guest->sizes, part);
        return dh_mail_send_parts(route->mail, guest->from, DH_TAG_RESULT + (int)guest->slot, part, count,
                                  &guest->transfer);
    }
    return DH_OK;
}

/* What a batch from another node waits for. */
static dh_status tend_transfer(dh_route *route, dh_guest *guest)
{
    bool moved = false;
    if (guest->transfer == NULL) {
        return guest->place < 0 && is_remote(route, guest) ? fetch_batch(route, guest) : DH_OK;
    }
    DH_TRY(dh_transfer_is_done(&guest->transfer, &moved));
    return moved && !guest->has_batch ? start_guest(route, guest) : DH_OK;
}

dh_status dh_route_tend_guests(dh_route *route)
{
    for (dh_guest **place = &route->guests; *place != NULL;) {
        dh_guest *guest = *place;
        DH_TRY(tend_transfer(route, guest));
        if (!guest->is_done || guest->transfer != NULL) {
            place = &guest->next;
            continue;
        }
        if (guest->place >= 0 && !guest->task.is_touched) { /* else the device may still write there */
            route->guest_used[guest->place] = false;
        }
        *place = guest->next;
        free(guest);
    }
    return DH_OK;
}
