#include "comm/comm.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "comm/comm_internal.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of the time waited so far, so that a wait is longer by a small part at most. On rank 0 it stays short: on
 * some networks the other ranks' access to the counters goes on only when rank 0 is in MPI. */
static const double sleep_share = 0.125;
static const double sleep_min = 20e-6;
static const double sleep_max = 1e-3;
static const double sleep_max_root = 1e-4;
static const double nano = 1e-9;

dh_status dh_mpi_check(int code, const char *call)
{
    if (code == MPI_SUCCESS) {
        return DH_OK;
    }
    char text[MPI_MAX_ERROR_STRING] = "";
    int size = 0;
    (void)MPI_Error_string(code, text, &size);
    (void)dh_error(DH_FAILED, "%s failed: %s", call, text);
    dh_comm_abort(DH_FAILED);
}

dh_status dh_comm_allocate(size_t count, size_t size, const char *what, void **out)
{
    const dh_status status = dh_allocate(count, size, what, out);
    if (status != DH_OK) {
        dh_comm_abort(status);
    }
    return status;
}

/* DHATU_PRETEND_NODE_RANKS=N makes every N ranks of a node a node of their own, so that what goes between
 * nodes can be tried on one. */
static dh_status split_further(dh_comm *comm)
{
    const char *text = getenv("DHATU_PRETEND_NODE_RANKS");
    const long ranks = text != NULL ? strtol(text, NULL, 10) : 0;
    if (ranks <= 0) {
        return DH_OK;
    }
    int rank = 0;
    MPI_Comm whole = comm->node;
    DH_TRY(dh_mpi_check(MPI_Comm_rank(whole, &rank), "MPI_Comm_rank"));
    DH_TRY(dh_mpi_check(MPI_Comm_split(whole, (int)(rank / ranks), rank, &comm->node), "MPI_Comm_split"));
    return dh_mpi_check(MPI_Comm_free(&whole), "MPI_Comm_free");
}

static dh_status split_nodes(dh_comm *comm)
{
    DH_TRY(dh_mpi_check(
        MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &comm->node),
        "MPI_Comm_split_type"));
    DH_TRY(split_further(comm));
    DH_TRY(dh_mpi_check(MPI_Comm_rank(comm->node, &comm->node_rank), "MPI_Comm_rank"));
    DH_TRY(dh_mpi_check(MPI_Comm_size(comm->node, &comm->node_size), "MPI_Comm_size"));
    DH_TRY(dh_mpi_check(MPI_Comm_set_errhandler(comm->node, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    const int color = comm->node_rank == 0 ? 0 : MPI_UNDEFINED;
    DH_TRY(dh_mpi_check(MPI_Comm_split(comm->world, color, comm->rank, &comm->leaders), "MPI_Comm_split"));
    if (comm->leaders != MPI_COMM_NULL) {
        DH_TRY(dh_mpi_check(MPI_Comm_set_errhandler(comm->leaders, MPI_ERRORS_RETURN),
                            "MPI_Comm_set_errhandler"));
    }
    return DH_OK;
}

static dh_status start(dh_comm *comm)
{
    DH_TRY(dh_mpi_check(MPI_Comm_dup(MPI_COMM_WORLD, &comm->world), "MPI_Comm_dup"));
    DH_TRY(dh_mpi_check(MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    DH_TRY(dh_mpi_check(MPI_Comm_rank(comm->world, &comm->rank), "MPI_Comm_rank"));
    DH_TRY(dh_mpi_check(MPI_Comm_size(comm->world, &comm->size), "MPI_Comm_size"));
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int size = 0;
    DH_TRY(dh_mpi_check(MPI_Get_library_version(version, &size), "MPI_Get_library_version"));
    version[strcspn(version, ",\n")] = '\0';
    (void)snprintf(comm->library, sizeof comm->library, "%.120s", version);
    return split_nodes(comm);
}

/* Is this rank started by mpirun, srun or the like? */
static bool has_launcher(void)
{
    static const char *const mark[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE",
                                       "MPI_LOCALNRANKS"};
    for (size_t i = 0; i < sizeof mark / sizeof *mark; i++) {
        if (getenv(mark[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Settings for a start without mpirun, unless the user has made his own. */
static void prepare_alone(dh_comm *comm)
{
    /* Programs that are started at the same moment share a session folder in Open MPI 4, and one of some
     * eighty finds it removed by another: each gets one of its own. */
    const char *base = getenv("TMPDIR");
    (void)snprintf(comm->session, sizeof comm->session, "%s/dhatu-mpi-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(comm->session) == NULL || setenv("OMPI_MCA_orte_tmpdir_base", comm->session, 0) != 0) {
        comm->session[0] = '\0';
    }
    /* Not the helper process that only dynamic processes need: 0.2 s. */
    (void)setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
}

/* Are all ranks on this node? Known before MPI is up from Open MPI's mpirun, and where there is no
 * launcher at all. */
static bool is_on_one_node(void)
{
    const char *all = getenv("OMPI_COMM_WORLD_SIZE");
    const char *here = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    return !has_launcher() || (all != NULL && here != NULL && strcmp(all, here) == 0);
}

dh_status dh_comm_start(int *argc, char ***argv, dh_comm **out)
{
    /* Where the PoCL OpenCL driver is installed, hwloc's OpenCL plug-in loads LLVM into every rank, which
     * takes signal handlers away and slows the start down. */
    (void)setenv("HWLOC_COMPONENTS", "-opencl", 0);
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_comm), "the communicator", &memory));
    dh_comm *comm = memory;
    if (!has_launcher()) {
        prepare_alone(comm);
    }
    if (is_on_one_node()) {
        /* Shared memory is all that is needed: no search for networks, 0.2 s. */
        (void)setenv("OMPI_MCA_pml", "ob1", 0);
    }
    /* A device's driver has threads, and ours; MPI is called by the first alone. */
    int level = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS) {
        free(comm);
        return dh_error(DH_FAILED, "MPI cannot be started");
    }
    const dh_status status = start(comm);
    if (status != DH_OK) {
        dh_comm_abort(status);
    }
    dh_log_set_rank(comm->rank, comm->size);
    *out = comm;
    return DH_OK;
}

void dh_comm_end(dh_comm *comm)
{
    if (comm->leaders != MPI_COMM_NULL) {
        (void)dh_mpi_check(MPI_Comm_free(&comm->leaders), "MPI_Comm_free");
    }
    (void)dh_mpi_check(MPI_Comm_free(&comm->node), "MPI_Comm_free");
    (void)dh_mpi_check(MPI_Comm_free(&comm->world), "MPI_Comm_free");
    (void)dh_mpi_check(MPI_Finalize(), "MPI_Finalize");
    if (comm->session[0] != '\0') {
        (void)rmdir(comm->session);
    }
    free(comm);
}

void dh_comm_abort(dh_status status)
{
    (void)MPI_Abort(MPI_COMM_WORLD, dh_status_exit_code(status));
    _exit(dh_status_exit_code(status));
}

int dh_comm_rank(const dh_comm *comm)
{
    return comm->rank;
}

int dh_comm_size(const dh_comm *comm)
{
    return comm->size;
}

int dh_comm_node_rank(const dh_comm *comm)
{
    return comm->node_rank;
}

int dh_comm_node_size(const dh_comm *comm)
{
    return comm->node_size;
}

const char *dh_comm_library(const dh_comm *comm)
{
    return comm->library;
}

/* ---- waiting ----------------------------------------------------------------------------------------- */

void dh_comm_set_idle(dh_comm *comm, dh_comm_idle *idle, void *context)
{
    comm->idle = idle;
    comm->idle_context = context;
}

void dh_comm_idle_now(const dh_comm *comm)
{
    if (comm->idle != NULL) {
        comm->idle(comm->idle_context);
    }
}

double dh_comm_waited(const dh_comm *comm)
{
    return comm->waited;
}

/* Before the next look. A rank that looks all the time takes a core from who works. */
static void pause_after(const dh_comm *comm, double waited)
{
    const double most = comm->rank == 0 ? sleep_max_root : sleep_max;
    const double share = sleep_share * waited;
    if (share >= sleep_min) {
        const struct timespec time = {.tv_nsec = (long)((share < most ? share : most) / nano)};
        (void)nanosleep(&time, NULL); /* a signal ends it earlier: no harm */
    }
}

/* Instead of a blocking call, which nothing can be said in, and which burns the core. */
static dh_status wait_for(dh_comm *comm, MPI_Request *request)
{
    int done = 0;
    DH_TRY(dh_mpi_check(MPI_Test(request, &done, MPI_STATUS_IGNORE), "MPI_Test"));
    if (done != 0) {
        return DH_OK;
    }
    const double start = dh_seconds();
    double waited = 0;
    while (done == 0) {
        pause_after(comm, waited);
        dh_comm_idle_now(comm);
        DH_TRY(dh_mpi_check(MPI_Test(request, &done, MPI_STATUS_IGNORE), "MPI_Test"));
        waited = dh_seconds() - start;
    }
    comm->waited += waited;
    return DH_OK;
}

/* In front of a blocking collective call: once all ranks are here it only takes as long as the bytes do. */
static dh_status meet(dh_comm *comm)
{
    MPI_Request request = MPI_REQUEST_NULL;
    DH_TRY(dh_mpi_check(MPI_Ibarrier(comm->world, &request), "MPI_Ibarrier"));
    return wait_for(comm, &request);
}

/* ---- collective calls -------------------------------------------------------------------------------- */

dh_status dh_comm_agree(dh_comm *comm, dh_status status)
{
    int mine = (int)status;
    int all = 0;
    MPI_Request request = MPI_REQUEST_NULL;
    DH_TRY(dh_mpi_check(MPI_Iallreduce(&mine, &all, 1, MPI_INT, MPI_MAX, comm->world, &request),
                        "MPI_Iallreduce"));
    DH_TRY(wait_for(comm, &request));
    return (dh_status)all;
}

/* Calls once a piece of at most DH_PIECE_MAX bytes. */
#define DH_FOR_PIECES(total, offset, piece)                                                                  \
    for (size_t offset = 0, piece = 0;                                                                       \
         offset < (total) && (piece = (total)-offset < DH_PIECE_MAX ? (total)-offset : DH_PIECE_MAX);        \
         offset += piece)

dh_status dh_comm_broadcast(dh_comm *comm, void *data, size_t size)
{
    DH_TRY(meet(comm));
    DH_FOR_PIECES(size, offset, piece)
    {
        DH_TRY(dh_mpi_check(MPI_Bcast((char *)data + offset, (int)piece, MPI_BYTE, 0, comm->world),
                            "MPI_Bcast"));
    }
    return DH_OK;
}

dh_status dh_comm_gather(dh_comm *comm, const void *record, size_t size, void *all)
{
    DH_TRY(meet(comm));
    return dh_mpi_check(MPI_Allgather(record, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, comm->world),
                        "MPI_Allgather");
}

dh_status dh_comm_node_gather(dh_comm *comm, const void *record, size_t size, void *all)
{
    DH_TRY(meet(comm));
    return dh_mpi_check(MPI_Allgather(record, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, comm->node),
                        "MPI_Allgather");
}

dh_status dh_comm_barrier(dh_comm *comm)
{
    return meet(comm);
}

static dh_status all_reduce(dh_comm *comm, void *values, size_t bytes, MPI_Datatype type, size_t width,
                            MPI_Op op)
{
    DH_TRY(meet(comm));
    DH_FOR_PIECES(bytes, offset, piece)
    {
        DH_TRY(dh_mpi_check(
            MPI_Allreduce(MPI_IN_PLACE, (char *)values + offset, (int)(piece / width), type, op, comm->world),
            "MPI_Allreduce"));
    }
    return DH_OK;
}

dh_status dh_comm_sum(dh_comm *comm, uint64_t *values, size_t count)
{
    return all_reduce(comm, values, count * sizeof *values, MPI_UINT64_T, sizeof *values, MPI_SUM);
}

dh_status dh_comm_max(dh_comm *comm, uint64_t *values, size_t count)
{
    return all_reduce(comm, values, count * sizeof *values, MPI_UINT64_T, sizeof *values, MPI_MAX);
}

dh_status dh_comm_or(dh_comm *comm, uint8_t *bytes, size_t count)
{
    return all_reduce(comm, bytes, count, MPI_UINT8_T, 1, MPI_BOR);
}

dh_status dh_comm_prefix_sum(dh_comm *comm, uint64_t value, uint64_t *before)
{
    uint64_t sum = 0;
    DH_TRY(meet(comm));
    DH_TRY(dh_mpi_check(MPI_Exscan(&value, &sum, 1, MPI_UINT64_T, MPI_SUM, comm->world), "MPI_Exscan"));
    *before = comm->rank == 0 ? 0 : sum; /* undefined on rank 0 by the standard */
    return DH_OK;
}

/* In each round the ranks with an odd multiple of step send to their even neighbour and are done. */
dh_status dh_comm_reduce(dh_comm *comm, void *block, size_t size, dh_comm_merge *merge, void *context)
{
    void *other = NULL;
    DH_TRY(meet(comm));
    DH_TRY(dh_comm_allocate(size, 1, "another rank's totals", &other));
    dh_status status = DH_OK;
    for (int step = 1; step < comm->size && status == DH_OK; step *= 2) {
        const bool sends = comm->rank % (2 * step) == step;
        const bool receives = comm->rank % (2 * step) == 0 && comm->rank + step < comm->size;
        DH_FOR_PIECES(size, offset, piece)
        {
            if (sends && status == DH_OK) {
                status = dh_mpi_check(MPI_Send((char *)block + offset, (int)piece, MPI_BYTE,
                                               comm->rank - step, DH_TAG_REDUCE, comm->world),
                                      "MPI_Send");
            } else if (receives && status == DH_OK) {
                status =
                    dh_mpi_check(MPI_Recv((char *)other + offset, (int)piece, MPI_BYTE, comm->rank + step,
                                          DH_TAG_REDUCE, comm->world, MPI_STATUS_IGNORE),
                                 "MPI_Recv");
            }
        }
        if (receives && status == DH_OK) {
            merge(context, other);
        }
        if (sends) {
            break;
        }
    }
    free(other);
    return status;
}

static dh_status collect_from(dh_comm *comm, int rank, void *piece_memory, size_t piece_max,
                              dh_comm_take *take, void *context, dh_status *taken)
{
    uint64_t size = 0;
    DH_TRY(dh_mpi_check(
        MPI_Recv(&size, 1, MPI_UINT64_T, rank, DH_TAG_COLLECT_SIZE, comm->world, MPI_STATUS_IGNORE),
        "MPI_Recv"));
    for (uint64_t offset = 0; offset < size; offset += piece_max) {
        const size_t piece = size - offset < piece_max ? (size_t)(size - offset) : piece_max;
        DH_TRY(dh_mpi_check(MPI_Recv(piece_memory, (int)piece, MPI_BYTE, rank, DH_TAG_COLLECT, comm->world,
                                     MPI_STATUS_IGNORE),
                            "MPI_Recv"));
        if (*taken == DH_OK) { /* after a failure of take the messages are still received */
            *taken = take(context, rank, piece_memory, piece);
        }
    }
    return DH_OK;
}

dh_status dh_comm_collect(dh_comm *comm, const void *bytes, size_t size, dh_comm_take *take, void *context)
{
    enum { PIECE = 1 << 20 };
    DH_TRY(meet(comm));
    if (comm->rank != 0) {
        const uint64_t announced = size;
        DH_TRY(dh_mpi_check(MPI_Send(&announced, 1, MPI_UINT64_T, 0, DH_TAG_COLLECT_SIZE, comm->world),
                            "MPI_Send"));
        for (size_t offset = 0; offset < size; offset += PIECE) {
            const size_t piece = size - offset < PIECE ? size - offset : PIECE;
            DH_TRY(dh_mpi_check(
                MPI_Send((const char *)bytes + offset, (int)piece, MPI_BYTE, 0, DH_TAG_COLLECT, comm->world),
                "MPI_Send"));
        }
        return DH_OK;
    }
    void *memory = NULL;
    DH_TRY(dh_comm_allocate(PIECE, 1, "a message", &memory));
    dh_status taken = size > 0 ? take(context, 0, bytes, size) : DH_OK;
    dh_status status = DH_OK;
    for (int rank = 1; rank < comm->size && status == DH_OK; rank++) {
        status = collect_from(comm, rank, memory, PIECE, take, context, &taken);
    }
    free(memory);
    return status != DH_OK ? status : taken;
}

/* Pairwise: in round k with the ranks k in front and behind; any size, since pieces are cut. */
static dh_status exchange_round(dh_comm *comm, int to, int from, const char *send, size_t send_size,
                                char *receive, size_t receive_size)
{
    size_t sent = 0;
    size_t got = 0;
    while (sent < send_size || got < receive_size) {
        const size_t out = send_size - sent < DH_PIECE_MAX ? send_size - sent : DH_PIECE_MAX;
        const size_t in = receive_size - got < DH_PIECE_MAX ? receive_size - got : DH_PIECE_MAX;
        DH_TRY(dh_mpi_check(MPI_Sendrecv(send + sent, (int)out, MPI_BYTE, out > 0 ? to : MPI_PROC_NULL,
                                         DH_TAG_COLLECT, receive + got, (int)in, MPI_BYTE,
                                         in > 0 ? from : MPI_PROC_NULL, DH_TAG_COLLECT, comm->world,
                                         MPI_STATUS_IGNORE),
                            "MPI_Sendrecv"));
        sent += out;
        got += in;
    }
    return DH_OK;
}

dh_status dh_comm_exchange(dh_comm *comm, const void *bytes, const size_t *send_size, void **received,
                           size_t *received_size)
{
    const size_t ranks = (size_t)comm->size;
    void *sizes_memory = NULL;
    DH_TRY(meet(comm));
    DH_TRY(dh_comm_allocate(2 * ranks, sizeof(uint64_t), "message sizes", &sizes_memory));
    uint64_t *out_size = sizes_memory;
    uint64_t *in_size = out_size + ranks;
    for (size_t r = 0; r < ranks; r++) {
        out_size[r] = send_size[r];
    }
    dh_status status = dh_mpi_check(
        MPI_Alltoall(out_size, 1, MPI_UINT64_T, in_size, 1, MPI_UINT64_T, comm->world), "MPI_Alltoall");
    size_t total = 0;
    for (size_t r = 0; r < ranks; r++) {
        total += in_size[r];
    }
    void *memory = NULL;
    if (status == DH_OK) {
        status = dh_comm_allocate(total, 1, "messages", &memory);
    }
    for (int k = 0; k < comm->size && status == DH_OK; k++) {
        const size_t to = (size_t)((comm->rank + k) % comm->size);
        const size_t from = (size_t)((comm->rank - k + comm->size) % comm->size);
        size_t send_offset = 0;
        size_t receive_offset = 0;
        for (size_t r = 0; r < to; r++) {
            send_offset += send_size[r];
        }
        for (size_t r = 0; r < from; r++) {
            receive_offset += in_size[r];
        }
        status = exchange_round(comm, (int)to, (int)from, (const char *)bytes + send_offset, send_size[to],
                                (char *)memory + receive_offset, in_size[from]);
    }
    free(sizes_memory);
    if (status != DH_OK) {
        free(memory);
        return status;
    }
    *received = memory;
    *received_size = total;
    return DH_OK;
}

dh_status dh_comm_exchange_records(dh_comm *comm, const void *out, size_t size, void *in)
{
    DH_TRY(meet(comm));
    return dh_mpi_check(MPI_Alltoall(out, (int)size, MPI_BYTE, in, (int)size, MPI_BYTE, comm->world),
                        "MPI_Alltoall");
}

dh_status dh_comm_exchange_parts(dh_comm *comm, const void *out, const uint64_t *out_size, void *in,
                                 const uint64_t *in_size, size_t stride)
{
    DH_TRY(meet(comm));
    for (int k = 0; k < comm->size; k++) {
        const size_t to = (size_t)((comm->rank + k) % comm->size);
        const size_t from = (size_t)((comm->rank - k + comm->size) % comm->size);
        DH_TRY(exchange_round(comm, (int)to, (int)from, (const char *)out + to * stride, (size_t)out_size[to],
                              (char *)in + from * stride, (size_t)in_size[from]));
    }
    return DH_OK;
}

dh_status dh_comm_send(dh_comm *comm, int to, const void *bytes, size_t size)
{
    return dh_mpi_check(MPI_Send(bytes, (int)size, MPI_BYTE, to, DH_TAG_TRANSFER, comm->world), "MPI_Send");
}

dh_status dh_comm_receive(dh_comm *comm, int from, void *bytes, size_t size)
{
    return dh_mpi_check(
        MPI_Recv(bytes, (int)size, MPI_BYTE, from, DH_TAG_TRANSFER, comm->world, MPI_STATUS_IGNORE),
        "MPI_Recv");
}
