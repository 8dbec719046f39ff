/* A communicator of one rank, for tests of what calls src/comm: the core is linked without MPI. */
#ifndef DH_TESTS_ONE_RANK_H
#define DH_TESTS_ONE_RANK_H

#include "comm/comm.h"

#include <string.h>

struct dh_comm {
    int unused;
};

static dh_comm one_rank;

int dh_comm_rank(const dh_comm *comm)
{
    (void)comm;
    return 0;
}

int dh_comm_size(const dh_comm *comm)
{
    (void)comm;
    return 1;
}

dh_status dh_comm_agree(dh_comm *comm, dh_status status)
{
    (void)comm;
    return status;
}

dh_status dh_comm_broadcast(dh_comm *comm, void *data, size_t size)
{
    (void)comm;
    (void)data;
    (void)size;
    return DH_OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): as it is declared */
dh_status dh_comm_max(dh_comm *comm, uint64_t *values, size_t count)
{
    (void)comm;
    (void)values;
    (void)count;
    return DH_OK;
}

dh_status dh_comm_gather(dh_comm *comm, const void *record, size_t size, void *all)
{
    (void)comm;
    memcpy(all, record, size);
    return DH_OK;
}

dh_status dh_comm_exchange_records(dh_comm *comm, const void *out, size_t size, void *in)
{
    (void)comm;
    memcpy(in, out, size);
    return DH_OK;
}

dh_status dh_comm_exchange_parts(dh_comm *comm, const void *out, const uint64_t *out_size, void *in,
                                 const uint64_t *in_size, size_t stride)
{
    (void)comm;
    (void)in_size;
    (void)stride;
    memcpy(in, out, (size_t)out_size[0]);
    return DH_OK;
}

/* One rank has nobody to send to. */
dh_status dh_comm_send(dh_comm *comm, int to, const void *bytes, size_t size)
{
    (void)comm;
    (void)to;
    (void)bytes;
    (void)size;
    return DH_INTERNAL;
}

dh_status dh_comm_receive(dh_comm *comm, int from, void *bytes, size_t size)
{
    (void)comm;
    (void)from;
    (void)bytes;
    (void)size;
    return DH_INTERNAL;
}

#endif
