/* dhatu: memory that the ranks of a node share. */
#include "base/buffer.h"
#include "base/log.h"
#include "comm/comm_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

struct dh_shared {
    MPI_Win window;
    void *data;
    size_t size;
};

/* The first rank of the node allocates, the others look into its memory. */
static dh_status shared_open(dh_comm *comm, size_t size, dh_shared *shared)
{
    const MPI_Aint bytes = comm->node_rank == 0 ? (MPI_Aint)(size > 0 ? size : 1) : 0;
    void *own = NULL;
    DH_TRY(dh_mpi_check(MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, comm->node, &own, &shared->window),
                        "MPI_Win_allocate_shared"));
    MPI_Aint got = 0;
    int unit = 0;
    DH_TRY(dh_mpi_check(MPI_Win_shared_query(shared->window, 0, &got, &unit, &shared->data),
                        "MPI_Win_shared_query"));
    shared->size = size;
    return DH_OK;
}

static dh_status create(dh_comm *comm, size_t size, dh_shared **out)
{
    void *memory = NULL;
    DH_TRY(dh_comm_barrier(comm)); /* it waits better than the window does */
    DH_TRY(dh_comm_allocate(1, sizeof(dh_shared), "shared memory", &memory));
    const dh_status status = shared_open(comm, size, memory);
    if (status != DH_OK) {
        free(memory);
        return status;
    }
    *out = memory;
    return DH_OK;
}

dh_status dh_shared_broadcast(dh_comm *comm, const void *bytes, size_t size, dh_shared **out)
{
    uint64_t announced = size;
    DH_TRY(dh_comm_broadcast(comm, &announced, sizeof announced));
    dh_shared *shared = NULL;
    DH_TRY(create(comm, (size_t)announced, &shared));
    if (comm->rank == 0 && size > 0) {
        memcpy(shared->data, bytes, size);
    }
    for (size_t offset = 0; comm->leaders != MPI_COMM_NULL && offset < shared->size; offset += DH_PIECE_MAX) {
        const size_t left = shared->size - offset;
        DH_TRY(dh_mpi_check(MPI_Bcast((char *)shared->data + offset,
                                      (int)(left < DH_PIECE_MAX ? left : DH_PIECE_MAX), MPI_BYTE, 0,
                                      comm->leaders),
                            "MPI_Bcast"));
    }
    DH_TRY(dh_comm_barrier(comm));
    *out = shared;
    return DH_OK;
}

/* One rank's records come to every node: from the rank to all, in pieces, kept by the nodes' first ranks. */
static dh_status gather_from(dh_comm *comm, int rank, const void *records, size_t size, char *place,
                             void *piece_memory, size_t piece_max)
{
    for (size_t offset = 0; offset < size; offset += piece_max) {
        const size_t left = size - offset;
        const size_t piece = left < piece_max ? left : piece_max;
        if (comm->rank == rank) {
            memcpy(piece_memory, (const char *)records + offset, piece);
        }
        DH_TRY(dh_mpi_check(MPI_Bcast(piece_memory, (int)piece, MPI_BYTE, rank, comm->world), "MPI_Bcast"));
        if (comm->node_rank == 0) {
            memcpy(place + offset, piece_memory, piece);
        }
    }
    return DH_OK;
}

static dh_status gather_all(dh_comm *comm, const void *records, const uint64_t *bytes, dh_shared *shared)
{
    enum { PIECE = 1 << 20 };
    void *piece = NULL;
    DH_TRY(dh_comm_allocate(PIECE, 1, "a message", &piece));
    dh_status status = DH_OK;
    size_t place = 0;
    for (int rank = 0; rank < comm->size && status == DH_OK; rank++) {
        status =
            gather_from(comm, rank, records, (size_t)bytes[rank], (char *)shared->data + place, piece, PIECE);
        place += (size_t)bytes[rank];
    }
    free(piece);
    return status;
}

dh_status dh_shared_gather(dh_comm *comm, const void *records, size_t count, size_t record_size,
                           dh_shared_then *then, dh_shared **out)
{
    void *memory = NULL;
    DH_TRY(dh_comm_allocate((size_t)comm->size, sizeof(uint64_t), "sizes", &memory));
    uint64_t *bytes = memory;
    const uint64_t mine = count * record_size;
    size_t total = 0;
    dh_shared *shared = NULL;
    dh_status status = dh_comm_gather(comm, &mine, sizeof mine, bytes);
    for (int rank = 0; rank < comm->size; rank++) {
        total += (size_t)bytes[rank];
    }
    if (status == DH_OK) {
        status = create(comm, total, &shared);
    }
    if (status == DH_OK) {
        status = gather_all(comm, records, bytes, shared);
    }
    free(bytes);
    DH_TRY(status);
    if (comm->node_rank == 0) {
        then(shared->data, total / record_size);
    }
    DH_TRY(dh_comm_barrier(comm));
    *out = shared;
    return DH_OK;
}

/* Pages of shared memory that do not exist kill who touches them: there must be room for all of them, and as
 * much again for others. */
static bool has_room(size_t used)
{
    struct statvfs facts;
    return statvfs("/dev/shm", &facts) != 0 ||
           (uint64_t)facts.f_bavail * facts.f_frsize >= 2 * (uint64_t)used;
}

dh_status dh_shared_memory(dh_comm *comm, size_t size, size_t used, dh_shared **out)
{
    enum { PAGE = 4096 };
    uint64_t missing = has_room(used) ? 0 : 1;
    DH_TRY(dh_comm_max(comm, &missing, 1)); /* all nodes or none: what they do with it is the same */
    *out = NULL;
    if (missing > 0) {
        return DH_OK;
    }
    dh_shared *shared = NULL;
    DH_TRY(create(comm, size + PAGE, &shared));
    /* The library puts something of its own in front, the same on all ranks of the node. */
    shared->data = (char *)shared->data + (PAGE - (uintptr_t)shared->data % PAGE) % PAGE;
    shared->size = size;
    *out = shared;
    return DH_OK;
}

void *dh_shared_place(const dh_shared *shared)
{
    return shared->data;
}

const void *dh_shared_data(const dh_shared *shared)
{
    return shared->data;
}

size_t dh_shared_size(const dh_shared *shared)
{
    return shared->size;
}

void dh_shared_free(dh_shared *shared)
{
    if (shared != NULL) {
        (void)dh_mpi_check(MPI_Win_free(&shared->window), "MPI_Win_free");
        free(shared);
    }
}
