/* dhatu: what the files of comm/ share. */
#ifndef DH_COMM_INTERNAL_H
#define DH_COMM_INTERNAL_H

#include "comm/comm.h"

#include <mpi.h>

struct dh_comm {
    MPI_Comm world;   /* duplicate of MPI_COMM_WORLD, errors are returned */
    MPI_Comm node;    /* ranks that share memory */
    MPI_Comm leaders; /* the first rank of each node; MPI_COMM_NULL on the others */
    int rank, size, node_rank, node_size;
    dh_comm_idle *idle; /* NULL: nobody asks */
    void *idle_context;
    double waited; /* seconds */
    char library[128];
    char session[256]; /* folder for a start without mpirun; empty: none */
};

enum { DH_PIECE_MAX = 1 << 30 }; /* bytes of one MPI call */

/* All message tags. */
enum { DH_TAG_REDUCE = 1, DH_TAG_COLLECT_SIZE, DH_TAG_COLLECT, DH_TAG_TRANSFER };

/* DH_OK for MPI_SUCCESS. A failed MPI call is logged by its name and ends the job: there is no way left to
 * agree with the other ranks. */
dh_status dh_mpi_check(int code, const char *call);

/* dh_allocate for memory that a collective call needs. Without it this rank could not take part while the
 * others wait for it, so a failure ends the job. */
dh_status dh_comm_allocate(size_t count, size_t size, const char *what, void **out);

#endif
