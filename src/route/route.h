/* dhatu: sends batches to where their results are there first: to the devices of the node, to its ranks that
 * have nothing left to read, from nodes without a device to devices of other nodes; or leaves them where they
 * were read.
 *
 * On a node the slots lie in memory that its ranks share, and a message carries only a ticket; between nodes
 * the batch travels. A rank keeps its batches until their results are home: if whoever has one fails, or
 * does not answer, the batch is computed by its own rank. So no batch is ever lost, and none counted twice.
 */
#ifndef DH_ROUTE_ROUTE_H
#define DH_ROUTE_ROUTE_H

#include "comm/comm.h"
#include "route/router.h"
#include "route/worker.h"
#include "run/dispatch.h"

typedef struct dh_route_options {
    const dh_backend_kind *kind; /* of devices; NULL: any accelerator. The CPU's: no devices */
    uint32_t devices;            /* of a node at the most */
    dh_route_policy policy;
    double device_timeout; /* seconds */
    dh_poll *poll;         /* asked while this rank waits for others; NULL: none */
    void *poll_context;
} dh_route_options;

typedef struct dh_route dh_route;

/* Gives out the devices of each node and opens them. A device that cannot be opened is warned of; where a
 * kind of device was asked for and no rank sees one, that is an error. settings must outlive it. COLLECTIVE.
 * Errors: DH_USAGE, DH_FAILED, DH_NO_MEMORY (logged). */
dh_status dh_route_create(dh_comm *comm, const dh_settings *settings, const dh_route_options *options,
                          dh_route **out);
void dh_route_free(dh_route *route); /* COLLECTIVE; NULL is fine */

const dh_dispatcher *dh_route_dispatcher(const dh_route *route);

/* Looks after messages and devices. A dh_poll; context is the dh_route. Cheap where nothing has come. */
dh_status dh_route_poll(void *route);

/* Behind the rank's last batch: takes home what is away (no result is taken any more), then computes batches
 * of ranks that still read until all ranks are here. From the poll's first status other than DH_OK on, no
 * work is offered to them any more. willing: false, none at all. COLLECTIVE. Errors are logged. */
dh_status dh_route_serve(dh_route *route, bool willing);

/* This rank's device, for people; NULL: it has none. Lives as long as the route. */
const char *dh_route_device(const dh_route *route);
uint32_t dh_route_device_count(const dh_route *route); /* of all ranks, as they began */

typedef struct dh_route_figures {
    uint64_t to_devices, to_ranks;       /* batches that this rank sent */
    uint64_t for_ranks, for_ranks_bytes; /* of other ranks, computed by this one's CPU */
    uint64_t late;                       /* batches that were given up on, because nobody answered */
    dh_worker_figures device;            /* of this rank, where it has one */
} dh_route_figures;
dh_route_figures dh_route_statistics(dh_route *route);

#endif
