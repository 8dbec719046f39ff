#include "route/devices.h"

#include "base/buffer.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VISIBLE_MAX = 64, ID_SIZE = sizeof(((dh_device_facts *)0)->id) };

/* What a rank sees. */
typedef struct visible_devices {
    uint32_t count;
    uint32_t device[VISIBLE_MAX];
    char id[VISIBLE_MAX][ID_SIZE];
} visible_devices;

/* Drivers are loaded only where the node seems to have an accelerator at all: PoCL, for one, brings a whole
 * compiler into every rank. */
static bool has_accelerator(void)
{
    static const char *const sign[] = {"/dev/nvidiactl", "/dev/dxg", "/dev/kfd"};
    for (size_t i = 0; i < sizeof sign / sizeof *sign; i++) {
        if (access(sign[i], F_OK) == 0) {
            return true;
        }
    }
    glob_t found;
    const bool renders = glob("/dev/dri/renderD*", GLOB_NOSORT, NULL, &found) == 0;
    if (renders) {
        globfree(&found);
    }
    return renders;
}

static void look_at(const dh_backend_kind *kind, bool any, visible_devices *out, char why[DH_BACKEND_TEXT])
{
    const uint32_t count = kind->devices(why);
    *out = (visible_devices){0};
    for (uint32_t d = 0; d < count && out->count < VISIBLE_MAX; d++) {
        dh_device_facts facts;
        if (kind->facts(d, &facts) == DH_BACKEND_OK && (any || facts.is_accelerator)) {
            out->device[out->count] = d;
            memcpy(out->id[out->count], facts.id, ID_SIZE);
            out->count++;
        }
    }
}

/* The kind of devices that this rank would use, and which it sees. */
static const dh_backend_kind *look(const dh_backend_kind *kind, visible_devices *out,
                                   char why[DH_BACKEND_TEXT])
{
    *out = (visible_devices){0};
    if (kind != NULL) {
        look_at(kind, true, out, why);
        return kind;
    }
    const bool worthwhile = has_accelerator();
    for (size_t k = 1; worthwhile && dh_backend_kinds[k] != NULL; k++) { /* 0 is the CPU */
        if (dh_backend_kinds[k]->not_built == NULL) {
            look_at(dh_backend_kinds[k], false, out, why);
        }
        if (out->count > 0) {
            return dh_backend_kinds[k];
        }
    }
    why[0] = '\0';
    return NULL;
}

static bool is_taken(const char (*taken)[ID_SIZE], uint32_t count, const char *id)
{
    for (uint32_t t = 0; t < count; t++) {
        if (memcmp(taken[t], id, ID_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

/* The place among what it sees of the device that rank `mine` gets; VISIBLE_MAX: none. */
static uint32_t take_turns(const visible_devices *seen, int mine, uint32_t limit, char (*taken)[ID_SIZE])
{
    uint32_t taken_count = 0;
    for (int rank = 0; rank <= mine; rank++) {
        uint32_t v = 0;
        while (v < seen[rank].count && is_taken(taken, taken_count, seen[rank].id[v])) {
            v++;
        }
        if (v == seen[rank].count || taken_count == limit) {
            v = VISIBLE_MAX;
        } else {
            memcpy(taken[taken_count++], seen[rank].id[v], ID_SIZE);
        }
        if (rank == mine) {
            return v;
        }
    }
    return VISIBLE_MAX;
}

dh_status dh_devices_choose(dh_comm *comm, const dh_backend_kind *kind, uint32_t limit, dh_device_choice *out)
{
    const int ranks = dh_comm_node_size(comm);
    const int mine = dh_comm_node_rank(comm);
    *out = (dh_device_choice){0};
    if (limit == 0 || kind == &dh_backend_cpu) {
        return DH_OK; /* the same on all ranks: no collective call is missed */
    }
    visible_devices visible;
    const dh_backend_kind *chosen = look(kind, &visible, out->why);
    void *memory = NULL;
    void *taken = NULL;
    dh_status status = dh_allocate((size_t)ranks, sizeof(visible_devices), "the devices", &memory);
    if (status == DH_OK) {
        status = dh_allocate((size_t)ranks, ID_SIZE, "the devices", &taken);
    }
    status = dh_comm_agree(comm, status);
    if (status == DH_OK) {
        status = dh_comm_node_gather(comm, &visible, sizeof visible, memory);
    }
    if (status == DH_OK && memory != NULL && taken != NULL) { /* agreed: nobody lacks memory */
        const uint32_t place = take_turns(memory, mine, limit, taken);
        if (place < VISIBLE_MAX) {
            out->kind = chosen;
            out->device = visible.device[place];
        }
    }
    free(memory);
    free(taken);
    return status;
}
