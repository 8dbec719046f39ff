/* dhatu: giving out devices, slots and boards, and taking them back. */
#include "route/route_internal.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "route/devices.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096 };

/* ---- what ranks must have in common ------------------------------------------------------------------ */

/* Ranks that were started with different options would take each other's slots for something else. */
static dh_status check_alike(dh_route *route)
{
    uint64_t kind = 0;
    while (dh_backend_kinds[kind] != NULL && dh_backend_kinds[kind] != route->options.kind) {
        kind++;
    }
    const struct {
        const char *option;
        uint64_t value;
    } fact[] = {
        {"batch-size", route->shape.text_room},
        {"jobs", route->shape.size},
        {"backend", kind},
        {"devices", route->options.devices},
        {"route", route->options.policy},
        {"device-timeout", (uint64_t)route->options.device_timeout},
    };
    enum { FACTS = sizeof fact / sizeof *fact };
    uint64_t most[2 * FACTS];
    for (size_t f = 0; f < FACTS; f++) {
        most[f] = fact[f].value;
        most[FACTS + f] = ~fact[f].value;
    }
    DH_TRY(dh_comm_max(route->comm, most, 2 * FACTS));
    for (size_t f = 0; f < FACTS; f++) {
        if (most[f] != ~most[FACTS + f]) {
            return dh_comm_rank(route->comm) == 0
                       ? dh_error(DH_USAGE, "--%s: ranks were started with different values", fact[f].option)
                       : DH_USAGE;
        }
    }
    return DH_OK;
}

/* ---- the device -------------------------------------------------------------------------------------- */

/* What the device copies from and to: the slots that the ranks of its node use, and its own for guests. The
 * others cost nothing as long as they are not touched. */
static dh_status list_pinned(dh_route *route, dh_worker_options *options)
{
    const uint32_t ranks = (uint32_t)dh_comm_node_size(route->comm);
    void *memory = NULL;
    if (route->window == NULL) {
        return DH_OK;
    }
    DH_TRY(dh_allocate((size_t)ranks + 1, sizeof(dh_memory_range), "the slots", &memory));
    route->pinned = memory;
    for (uint32_t r = 0; r < ranks; r++) {
        route->pinned[r] = (dh_memory_range){dh_route_slot_memory(route, (int)r, 0),
                                             (size_t)DH_ROUTE_ACTIVE * route->shape.size};
    }
    const uint64_t own = (uint64_t)dh_comm_node_rank(route->comm) * route->block_size;
    route->pinned[ranks] =
        (dh_memory_range){route->memory + own + route->guests_at, route->guest_count * route->shape.size};
    options->pinned = route->pinned;
    options->pinned_count = ranks + (route->guest_count > 0 ? 1 : 0);
    return DH_OK;
}

static dh_status open_device(dh_route *route, const dh_device_choice *choice, char why[DH_BACKEND_TEXT])
{
    dh_worker_options options = {
        .kind = choice->kind,
        .device = choice->device,
        .lane_bytes = route->shape.size,
        .timeout = route->options.device_timeout,
    };
    if (!dh_fault_passes(DH_CALL_DEVICE, "open")) {
        (void)snprintf(why, DH_BACKEND_TEXT, "%s", strerror(errno));
        return DH_FAILED;
    }
    (void)snprintf(why, DH_BACKEND_TEXT, "out of memory");
    DH_TRY(list_pinned(route, &options));
    return dh_worker_start(route->settings, &options, &route->worker, why);
}

/* A device that cannot be used is no reason to end; that there is none of the kind that was asked for, is. */
static dh_status take_device(dh_route *route, dh_device_choice *choice)
{
    if (choice->kind != NULL) {
        char why[DH_BACKEND_TEXT];
        dh_device_facts facts = {.name = ""};
        (void)choice->kind->facts(choice->device, &facts);
        if (open_device(route, choice, why) != DH_OK) {
            dh_warning("%s device %u (%s) is not used: %s", choice->kind->name, choice->device, facts.name,
                       why);
        }
    }
    uint64_t devices[] = {choice->kind != NULL ? 1 : 0, route->worker != NULL ? 1 : 0}; /* seen, opened */
    DH_TRY(dh_comm_sum(route->comm, devices, 2));
    route->device_count = (uint32_t)devices[1];
    const dh_backend_kind *kind = route->options.kind;
    if (devices[0] > 0 || kind == NULL || kind == &dh_backend_cpu || route->options.devices == 0) {
        return DH_OK;
    }
    return dh_comm_rank(route->comm) == 0
               ? dh_error(DH_USAGE, "--backend %s: no rank has such a device%s%s", kind->name,
                          choice->why[0] != '\0' ? ": " : "", choice->why)
               : DH_USAGE;
}

/* ---- slots, boards, places --------------------------------------------------------------------------- */

static dh_status share_memory(dh_route *route, const dh_device_choice *choice)
{
    uint64_t count[] = {dh_comm_node_rank(route->comm) == 0 ? 1 : 0, choice->kind != NULL ? 1 : 0};
    DH_TRY(dh_comm_sum(route->comm, count, 2)); /* nodes, devices */
    const uint64_t ranks = (uint64_t)dh_comm_node_size(route->comm);
    route->guest_count = count[0] > 1 && count[1] > 0 ? DH_ROUTE_GUESTS : 0;
    route->slots_at = PAGE;
    route->guests_at = route->slots_at + DH_ROUTE_SLOTS * route->shape.size;
    route->block_size = route->guests_at + route->guest_count * route->shape.size;
    /* Most slots are there for bad days, and only ranks with a device have guests. */
    const uint64_t used = ranks * (PAGE + DH_ROUTE_ACTIVE * route->shape.size);
    DH_TRY(dh_shared_memory(route->comm, ranks * route->block_size, used, &route->window));
    if (route->window != NULL) {
        route->memory = dh_shared_place(route->window);
    } else if (count[1] > 0) {
        dh_say("there is no room in /dev/shm for what ranks and devices share: devices compute for their own "
               "rank "
               "only");
    } else {
        dh_say_verbose("there is no room in /dev/shm: batches are computed by the rank that reads them");
    }
    return DH_OK;
}

static dh_status make_board(dh_route *route)
{
    if (route->window != NULL) {
        const uint64_t mine = (uint64_t)dh_comm_node_rank(route->comm) * route->block_size;
        route->board = (dh_rank_board *)(void *)(route->memory + mine);
        memset(route->board, 0, sizeof *route->board);
        return DH_OK;
    }
    route->board = aligned_alloc(_Alignof(dh_rank_board), sizeof(dh_rank_board));
    if (route->board == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: the board");
    }
    memset(route->board, 0, sizeof *route->board);
    return DH_OK;
}

static dh_status make_slots(dh_route *route)
{
    /* Alone and without a device nothing is ever away. */
    route->slot_count = route->window != NULL || route->worker != NULL ? DH_ROUTE_SLOTS : 1;
    for (uint32_t s = 0; s < route->slot_count; s++) {
        dh_slot *slot = &route->slot[s].slot;
        if (route->window == NULL) {
            void *memory = NULL; /* that no other rank sees */
            DH_TRY(dh_allocate(route->shape.size, 1, "a batch", &memory));
            *slot = (dh_slot){.shape = &route->shape, .memory = memory, .number = s};
        } else {
            uint8_t *memory = dh_route_slot_memory(route, dh_comm_node_rank(route->comm), s);
            *slot = (dh_slot){.shape = &route->shape, .memory = memory, .number = s};
        }
    }
    return DH_OK;
}

static void set_node_ranks(int *node_of, int ranks, const int *member, int members)
{
    for (int r = 0; r < ranks; r++) {
        node_of[r] = -1;
    }
    for (int m = 0; m < members; m++) {
        node_of[member[m]] = m;
    }
}

/* Which ranks are on this node, and which ranks have devices. */
static dh_status meet(dh_route *route, uint8_t *has_device)
{
    const int ranks = dh_comm_size(route->comm);
    const int members = dh_comm_node_size(route->comm);
    const int mine = dh_comm_rank(route->comm);
    const uint8_t own = route->worker != NULL ? 1 : 0;
    void *node_of = NULL;
    void *member = NULL;
    dh_status status = dh_allocate((size_t)ranks, sizeof(int), "the ranks", &node_of);
    route->node_of = node_of;
    if (status == DH_OK) {
        status = dh_allocate((size_t)members, sizeof(int), "the ranks", &member);
    }
    status = dh_comm_agree(route->comm, status);
    if (status == DH_OK) {
        status = dh_comm_node_gather(route->comm, &mine, sizeof mine, member);
    }
    if (status == DH_OK) {
        status = dh_comm_gather(route->comm, &own, sizeof own, has_device);
    }
    if (status == DH_OK && node_of != NULL && member != NULL) { /* agreed: nobody lacks memory */
        set_node_ranks(route->node_of, ranks, member, members);
    }
    free(member);
    return status;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static dh_status find_places(dh_route *route)
{
    void *has_device = NULL;
    dh_status status = dh_comm_agree(
        route->comm, dh_allocate((size_t)dh_comm_size(route->comm), 1, "the ranks", &has_device));
    if (status == DH_OK) {
        status = meet(route, has_device);
    }
    if (status == DH_OK) {
        status = dh_comm_agree(route->comm, dh_route_find_places(route, has_device));
    }
    free(has_device);
    return status;
}

/* PoCL's compiler takes over what a signal does, those by which a run is asked to leave too. */
static const int kept_signal[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
enum { KEPT_SIGNALS = sizeof kept_signal / sizeof *kept_signal };

static void keep_signals(struct sigaction kept[KEPT_SIGNALS])
{
    for (size_t i = 0; i < KEPT_SIGNALS; i++) {
        (void)sigaction(kept_signal[i], NULL, &kept[i]);
    }
}

static void restore_signals(const struct sigaction kept[KEPT_SIGNALS])
{
    for (size_t i = 0; i < KEPT_SIGNALS; i++) {
        (void)sigaction(kept_signal[i], &kept[i], NULL);
    }
}

static dh_status open_devices(dh_route *route)
{
    dh_device_choice choice;
    DH_TRY(dh_devices_choose(route->comm, route->options.kind, route->options.devices, &choice));
    if (dh_comm_size(route->comm) > 1 || choice.kind != NULL) {
        DH_TRY(share_memory(route, &choice));
    }
    DH_TRY(dh_comm_agree(route->comm, make_board(route)));
    return dh_comm_agree(route->comm, take_device(route, &choice));
}

static dh_status set_up(dh_route *route)
{
    DH_TRY(check_alike(route));
    if (route->options.policy == DH_ROUTE_SELF) {
        route->options.devices = 0; /* they would have nothing to do */
    }
    struct sigaction kept[KEPT_SIGNALS];
    keep_signals(kept);
    const dh_status opened = open_devices(route);
    restore_signals(kept);
    DH_TRY(opened);
    if (dh_comm_size(route->comm) > 1) {
        DH_TRY(dh_mail_open(route->comm, &route->mail));
    }
    DH_TRY(dh_comm_agree(route->comm, make_slots(route)));
    if (route->worker != NULL) {
        atomic_store(&route->board->device.is_open, 1);
    }
    return find_places(route);
}

dh_status dh_route_create(dh_comm *comm, const dh_settings *settings, const dh_route_options *options,
                          dh_route **out)
{
    void *memory = NULL;
    DH_TRY(dh_comm_agree(comm, dh_allocate(1, sizeof(dh_route), "the router", &memory)));
    dh_route *route = memory;
    route->comm = comm;
    route->settings = settings;
    route->options = *options;
    route->router.policy = options->policy;
    dh_slot_shape_make(settings, &route->shape);
    route->batch_bytes = route->shape.text_room;
    dh_route_set_dispatcher(route);
    *out = route; /* also after an error: what there is is freed by all ranks */
    return set_up(route);
}

void dh_route_free(dh_route *route)
{
    if (route == NULL) {
        return;
    }
    dh_worker_stop(route->worker);
    /* A device that hangs may still write to what it had: then that memory stays until the process ends. */
    uint64_t hung = dh_worker_any_hung() ? 1 : 0;
    (void)dh_comm_max(route->comm, &hung, 1);
    for (uint32_t s = 0; s < route->slot_count; s++) {
        dh_token_sink_free(&route->slot[s].slot.sink);
        if (route->window == NULL && hung == 0) {
            free(route->slot[s].slot.memory);
        }
    }
    if (route->window == NULL) {
        free(route->board);
    }
    dh_mail_close(route->mail);
    if (hung == 0) {
        dh_shared_free(route->window);
    }
    free(route->node_of);
    free(route->place);
    free(route->view);
    free(route->pinned);
    free(route);
}

const dh_dispatcher *dh_route_dispatcher(const dh_route *route)
{
    return &route->dispatcher;
}

const char *dh_route_device(const dh_route *route)
{
    return route->worker != NULL ? dh_worker_describe(route->worker) : NULL;
}

uint32_t dh_route_device_count(const dh_route *route)
{
    return route->device_count;
}

dh_route_figures dh_route_statistics(dh_route *route)
{
    if (route->worker != NULL) {
        route->figures.device = dh_worker_state_now(route->worker);
    }
    return route->figures;
}
