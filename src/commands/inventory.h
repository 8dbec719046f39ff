/* dhatu: the devices of this node as kernels see them: what is there, whether it computes the known answers,
 * how fast it is. Without MPI. */
#ifndef DH_COMMANDS_INVENTORY_H
#define DH_COMMANDS_INVENTORY_H

#include "run/settings.h"

typedef struct dh_job_rate {
    const char *job;
    double documents; /* a second */
    double text;      /* bytes a second */
} dh_job_rate;

typedef enum dh_device_state {
    DH_DEVICE_GOOD = 0,
    DH_DEVICE_CLOSED, /* it cannot be opened: reason */
    DH_DEVICE_WRONG,  /* it fails a known answer */
    DH_DEVICE_FAILED  /* it broke down when it was measured: reason */
} dh_device_state;

typedef struct dh_inventory_device {
    uint32_t number;
    dh_device_facts facts;
    dh_device_state state;
    char reason[DH_BACKEND_TEXT];
    char description[DH_BACKEND_TEXT]; /* what is used of it */
    uint32_t rate_count;
    dh_job_rate rate[DH_JOBS_MAX];
} dh_inventory_device;

typedef struct dh_inventory_kind {
    const dh_backend_kind *kind;
    char missing[DH_BACKEND_TEXT]; /* what is missing, "" when nothing is */
    uint32_t device_count;
    dh_inventory_device *device;
} dh_inventory_kind;

typedef struct dh_inventory {
    char host[256];
    int rank, ranks; /* who has looked, and of how many on the node; set by who knows; 0 ranks: not told */
    uint32_t kind_count;
    dh_inventory_kind *kind;
    dh_status found; /* DH_INTERNAL: a known answer is wrong; DH_FAILED: a device broke down (logged) */
} dh_inventory;

/* The ids (dh_device_facts) of devices. */
enum { DH_DEVICE_IDS_MAX = 64 };
typedef struct dh_device_ids {
    uint32_t count;
    char id[DH_DEVICE_IDS_MAX][sizeof(((dh_device_facts *)0)->id)];
} dh_device_ids;

bool dh_device_ids_have(const dh_device_ids *ids, const char *id);
/* Adds those of all devices of the kinds, as far as there is room. */
void dh_device_ids_look(const dh_backend_kind *const *kinds, dh_device_ids *ids);

/* Looks at all devices of the kinds (NULL at the end), but those in `known` (others tell of them; NULL:
 * none), and measures each job of settings for about `seconds` on each. settings has the default lexicons.
 * Owner frees with dh_inventory_free. What is missing or broken is no error here. Errors: DH_IO, DH_NO_MEMORY
 * (logged). */
dh_status dh_inventory_make(const dh_settings *settings, const dh_backend_kind *const *kinds, double seconds,
                            const dh_device_ids *known, dh_inventory *out);
void dh_inventory_free(dh_inventory *inventory);

/* For a person, or as one JSON object. Errors: DH_NO_MEMORY (logged). */
dh_status dh_inventory_append_text(const dh_inventory *inventory, dh_buffer *out);
dh_status dh_inventory_append_json(const dh_inventory *inventory, dh_buffer *out);

#endif
