/* dhatu devices: what each node has to run kernels on. */
#include "base/log.h"
#include "comm/comm.h"
#include "commands/commands.h"
#include "commands/inventory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_A_JOB 0.2

/* ---- on the first rank of each node ------------------------------------------------------------------ */

static dh_status make_inventory(const dh_options *options, const dh_device_ids *known, dh_inventory *out)
{
    /* The backends are opened one after the other below, so settings have the one that is always there. */
    dh_options chosen = *options;
    dh_buffer names = {0};
    for (size_t j = 0; dh_jobs[j] != NULL; j++) {
        DH_TRY(dh_buffer_printf(&names, "%s%s", j > 0 ? "," : "", dh_jobs[j]->name));
    }
    DH_TRY(dh_buffer_append(&names, "", 1));
    char backend[] = "cpu";
    chosen.value[DH_OPTION_JOBS] = (char *)names.data;
    chosen.value[DH_OPTION_BACKEND] = backend;
    dh_settings settings = {0};
    dh_status status = dh_settings_resolve(&chosen, &settings);
    if (status == DH_OK) {
        status = dh_inventory_make(&settings, dh_backend_kinds, SECONDS_A_JOB, known, out);
    }
    dh_settings_free(&settings);
    dh_buffer_free(&names);
    return status;
}

static dh_status describe_node(const dh_options *options, const dh_comm *comm, const dh_device_ids *known,
                               dh_buffer *out)
{
    dh_inventory inventory = {0};
    DH_TRY(make_inventory(options, known, &inventory));
    inventory.rank = dh_comm_rank(comm);
    inventory.ranks = dh_comm_node_size(comm);
    dh_status status = dh_options_flag(options, DH_OPTION_JSON) ? dh_inventory_append_json(&inventory, out)
                                                                : dh_inventory_append_text(&inventory, out);
    if (status == DH_OK) {
        status = inventory.found;
    } else {
        dh_buffer_free(out);
    }
    dh_inventory_free(&inventory);
    return status;
}

/* ---- all ranks --------------------------------------------------------------------------------------- */

/* What the ranks of the node in front of this one see. *tells: this rank is the first, or sees a device that
 * they do not, because each rank is bound to its own. */
static dh_status find_known(dh_comm *comm, dh_device_ids *known, bool *tells)
{
    const int mine = dh_comm_node_rank(comm);
    dh_device_ids own = {0};
    void *memory = NULL;
    dh_device_ids_look(dh_backend_kinds, &own);
    DH_TRY(dh_comm_agree(comm,
                         dh_allocate((size_t)dh_comm_node_size(comm), sizeof own, "the devices", &memory)));
    const dh_status status = dh_comm_node_gather(comm, &own, sizeof own, memory);
    const dh_device_ids *seen = memory;
    *known = (dh_device_ids){0};
    for (int rank = 0; status == DH_OK && rank < mine; rank++) {
        for (uint32_t i = 0; i < seen[rank].count && known->count < DH_DEVICE_IDS_MAX; i++) {
            if (!dh_device_ids_have(known, seen[rank].id[i])) {
                memcpy(known->id[known->count++], seen[rank].id[i], sizeof own.id[0]);
            }
        }
    }
    *tells = mine == 0;
    for (uint32_t i = 0; i < own.count; i++) {
        *tells = *tells || !dh_device_ids_have(known, own.id[i]);
    }
    free(memory);
    return status;
}

/* The first rank of each node looks, and those that see more. The others sleep meanwhile: waiting inside MPI
 * they would take the processor away from what is measured. */
static dh_status look(const dh_options *options, dh_comm *comm, dh_buffer *out)
{
    dh_device_ids known;
    bool tells = false;
    DH_TRY(find_known(comm, &known, &tells));

    const struct timespec pause = {.tv_nsec = 20000000};
    uint64_t lookers = tells ? 1 : 0;
    uint64_t done = 0;
    dh_counters *counters = NULL;
    DH_TRY(dh_comm_sum(comm, &lookers, 1));
    DH_TRY(dh_counters_create(comm, &counters));
    dh_status looked = DH_OK;
    dh_status status = DH_OK;
    if (tells) {
        looked = describe_node(options, comm, &known, out);
        status = dh_counters_add(counters, DH_COUNTER_WORK, 1, &done);
    }
    while (!tells && status == DH_OK && done < lookers) {
        (void)nanosleep(&pause, NULL);
        status = dh_counters_read(counters, DH_COUNTER_WORK, &done);
    }
    dh_counters_free(counters);
    return looked != DH_OK ? looked : status;
}

typedef struct node_list {
    dh_buffer text;
    bool json;
    int last_rank; /* below 0: none yet */
} node_list;

static dh_status take_node(void *context, int rank, const void *bytes, size_t size)
{
    node_list *list = context;
    const bool first = list->last_rank < 0;
    if (rank != list->last_rank && !first) {
        DH_TRY(dh_buffer_printf(&list->text, list->json ? ",\n " : "\n"));
    }
    list->last_rank = rank;
    return dh_buffer_append(&list->text, bytes, size);
}

static dh_status print_nodes(const dh_options *options, dh_comm *comm, const dh_buffer *node)
{
    node_list list = {.json = dh_options_flag(options, DH_OPTION_JSON), .last_rank = -1};
    const bool is_root = dh_comm_rank(comm) == 0;
    dh_status status = is_root && list.json ? dh_buffer_printf(&list.text, "[") : DH_OK;
    const dh_status collected = dh_comm_collect(comm, node->data, node->size, take_node, &list);
    status = status != DH_OK ? status : collected;
    if (status == DH_OK && is_root && list.json) {
        status = dh_buffer_printf(&list.text, "]\n");
    }
    if (status == DH_OK && is_root) {
        status = dh_print(&list.text);
    }
    dh_buffer_free(&list.text);
    return status;
}

static dh_status list_devices(const dh_options *options, dh_comm *comm)
{
    if (options->argument_count > 0) {
        return dh_comm_rank(comm) == 0
                   ? dh_error(DH_USAGE, "devices takes no arguments (dhatu devices --help)")
                   : DH_USAGE;
    }
    dh_buffer node = {0};
    const dh_status looked = look(options, comm, &node);
    const dh_status printed = print_nodes(options, comm, &node);
    dh_buffer_free(&node);
    return dh_comm_agree(comm, looked > printed ? looked : printed);
}

dh_status dh_command_devices(const dh_options *options, int argc, char **argv)
{
    dh_comm *comm = NULL;
    DH_TRY(dh_comm_start(&argc, &argv, &comm));
    const dh_status status = list_devices(options, comm);
    dh_comm_end(comm);
    return status;
}
