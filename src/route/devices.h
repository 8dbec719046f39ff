/* dhatu: which rank gets which device. A device of a node belongs to one rank, a rank has one at the most. */
#ifndef DH_ROUTE_DEVICES_H
#define DH_ROUTE_DEVICES_H

#include "comm/comm.h"
#include "kernels/backend.h"

/* A device that this rank is to use. kind NULL: none. */
typedef struct dh_device_choice {
    const dh_backend_kind *kind;
    uint32_t device;
    char why[DH_BACKEND_TEXT]; /* what is missing where a kind that was asked for has no device; else "" */
} dh_device_choice;

/* kind: of --backend; NULL: any, but only accelerators. limit: devices of a node at the most. The ranks of a
 * node take turns in their order; each takes the first device that it sees and that is still free, so both
 * CUDA_VISIBLE_DEVICES and a binding of one device to each rank are followed. COLLECTIVE. */
dh_status dh_devices_choose(dh_comm *comm, const dh_backend_kind *kind, uint32_t limit,
                            dh_device_choice *out);

#endif
