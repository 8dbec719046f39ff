/* dhatu: the only place that calls MPI.
 *
 * Every MPI call is checked: an error handler that returns errors is installed on a duplicate of the
 * world communicator, and each failure is logged with the call's name. A failed MPI call leaves no way to
 * agree with the others, so it ends the job (dh_comm_abort). All other errors are agreed on by dh_comm_agree,
 * so that no rank waits in a collective call that another one will never enter.
 *
 * Functions marked COLLECTIVE are called by all ranks in the same order. */
#ifndef DH_COMM_COMM_H
#define DH_COMM_COMM_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dh_comm dh_comm;

/* Starts MPI (also without mpirun: one rank). COLLECTIVE. Errors: DH_FAILED (logged). */
dh_status dh_comm_start(int *argc, char ***argv, dh_comm **out);

/* Ends MPI. COLLECTIVE. */
void dh_comm_end(dh_comm *comm);

/* Ends the job from any rank at once, with the exit code of status. Does not return. */
_Noreturn void dh_comm_abort(dh_status status);

int dh_comm_rank(const dh_comm *comm);
int dh_comm_size(const dh_comm *comm);
int dh_comm_node_rank(const dh_comm *comm); /* among the ranks of this node */
int dh_comm_node_size(const dh_comm *comm);
const char *dh_comm_library(const dh_comm *comm); /* name and version of the MPI library */

/* While this rank waits for others in a COLLECTIVE call of this file, idle(context) is called, often: it may
 * show something, and read counters. It makes no COLLECTIVE call. NULL: none. */
typedef void dh_comm_idle(void *context);
void dh_comm_set_idle(dh_comm *comm, dh_comm_idle *idle, void *context);

/* Calls it, where there is one. For long work that is no waiting. */
void dh_comm_idle_now(const dh_comm *comm);

/* Seconds that this rank has waited so. A rank that waits sleeps most of the time. */
double dh_comm_waited(const dh_comm *comm);

/* The gravest of all ranks' statuses (by the order of dh_status), the same on every rank. COLLECTIVE. */
dh_status dh_comm_agree(dh_comm *comm, dh_status status);

/* COLLECTIVE. Any size; at most 1 GiB goes in one MPI call. */
dh_status dh_comm_broadcast(dh_comm *comm, void *data, size_t size);

dh_status dh_comm_barrier(dh_comm *comm); /* COLLECTIVE */

/* Element-wise over ranks, result on every rank. COLLECTIVE. */
dh_status dh_comm_sum(dh_comm *comm, uint64_t *values, size_t count);
dh_status dh_comm_max(dh_comm *comm, uint64_t *values, size_t count);
dh_status dh_comm_or(dh_comm *comm, uint8_t *bytes, size_t count);

/* *before = sum of value over the ranks in front of this one. COLLECTIVE. */
dh_status dh_comm_prefix_sum(dh_comm *comm, uint64_t value, uint64_t *before);

/* Merges a flat block of every rank into rank 0's, pairwise along a tree: merge(context, other rank's block).
 * Blocks of all ranks have the same size. COLLECTIVE. */
typedef void dh_comm_merge(void *context, const void *other);
dh_status dh_comm_reduce(dh_comm *comm, void *block, size_t size, dh_comm_merge *merge, void *context);

/* Hands each rank's bytes to take(context, ...) on rank 0, in the order of ranks, in pieces. COLLECTIVE. */
typedef dh_status dh_comm_take(void *context, int rank, const void *bytes, size_t size);
dh_status dh_comm_collect(dh_comm *comm, const void *bytes, size_t size, dh_comm_take *take, void *context);

/* Sends to each rank its part of bytes and receives what is meant for this one. send_size[r] bytes for
 * rank r, back to back. *received is malloc'd, owner is the caller. COLLECTIVE. */
dh_status dh_comm_exchange(dh_comm *comm, const void *bytes, const size_t *send_size, void **received,
                           size_t *received_size);

/* Sends record r of `out`, `size` bytes, to rank r; in: those of all ranks for this one. COLLECTIVE. */
dh_status dh_comm_exchange_records(dh_comm *comm, const void *out, size_t size, void *in);

/* The same for parts whose sizes both sides know: out_size[r] bytes from out + r * stride on go to rank r,
 * and in_size[r] bytes of it come to in + r * stride. What is for this rank itself is copied. COLLECTIVE. */
dh_status dh_comm_exchange_parts(dh_comm *comm, const void *out, const uint64_t *out_size, void *in,
                                 const uint64_t *in_size, size_t stride);

/* Between two ranks, in the same order on both. size: at most 1 GiB. */
dh_status dh_comm_send(dh_comm *comm, int to, const void *bytes, size_t size);
dh_status dh_comm_receive(dh_comm *comm, int from, void *bytes, size_t size);

/* Counters that any rank may change at any time, without the others' help: 64-bit, on rank 0. */
enum {
    DH_COUNTER_WORK = 0,  /* the next work item */
    DH_COUNTER_STOP,      /* above 0: some rank failed, take no more work */
    DH_COUNTER_LEAVE,     /* above 0: begin no new segment, commit and leave */
    DH_COUNTER_LEAVE_NOW, /* above 0: and do not end the segment under way */
    DH_COUNTER_BAD,       /* bad records so far */
    DH_COUNTER_DOCUMENTS, /* progress */
    DH_COUNTER_BYTES,
    DH_COUNTER_DONE_BYTES, /* of the files, for the estimate of the time left */
    DH_COUNTER_COUNT
};
typedef struct dh_counters dh_counters;
dh_status dh_counters_create(dh_comm *comm, dh_counters **out); /* COLLECTIVE */
void dh_counters_free(dh_counters *counters);                   /* COLLECTIVE */
/* *before is the value before the addition. */
dh_status dh_counters_add(dh_counters *counters, int counter, uint64_t value, uint64_t *before);
dh_status dh_counters_read(dh_counters *counters, int counter, uint64_t *value);

/* The record of every rank, by rank; all[] has room for them. COLLECTIVE. */
dh_status dh_comm_gather(dh_comm *comm, const void *record, size_t size, void *all);
/* The same among the ranks of this node, by their rank on the node. COLLECTIVE. */
dh_status dh_comm_node_gather(dh_comm *comm, const void *record, size_t size, void *all);

/* A block of memory that the ranks of a node share, so that what all of them need is held once a node. */
typedef struct dh_shared dh_shared;

/* COLLECTIVE. Rank 0's bytes come to every node. *out is the same content everywhere, read-only by
 * agreement. size is used of rank 0. */
dh_status dh_shared_broadcast(dh_comm *comm, const void *bytes, size_t size, dh_shared **out);

/* COLLECTIVE. The bytes of all ranks, in the order of ranks, on every node; record_size bytes a record.
 * then(data, count) runs once a node on the whole (to sort it, say) before anybody sees it. */
typedef void dh_shared_then(void *data, size_t count);
dh_status dh_shared_gather(dh_comm *comm, const void *records, size_t count, size_t record_size,
                           dh_shared_then *then, dh_shared **out);

/* COLLECTIVE. Memory of this size that the ranks of each node share and may write to, from the beginning of a
 * page on; its content is undefined. About `used` bytes of it are going to be touched. *out is NULL on all
 * nodes where one has no room. */
dh_status dh_shared_memory(dh_comm *comm, size_t size, size_t used, dh_shared **out);
void *dh_shared_place(const dh_shared *shared); /* of dh_shared_memory */

const void *dh_shared_data(const dh_shared *shared);
size_t dh_shared_size(const dh_shared *shared);
void dh_shared_free(dh_shared *shared); /* COLLECTIVE */

#endif
