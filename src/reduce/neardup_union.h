/* dhatu: a union-find of bounded size. Edges of a graph go in, what comes out connects the same nodes: each
 * node once, with the least one it is known to be connected to. Without MPI. */
#ifndef DH_REDUCE_NEARDUP_UNION_H
#define DH_REDUCE_NEARDUP_UNION_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct dh_union dh_union;

/* memory: bytes it may take; nodes: as many as there can be. Nodes are below UINT64_MAX. Errors: DH_NO_MEMORY
 * (logged).
 */
dh_status dh_union_create(uint64_t memory, uint64_t nodes, dh_union **out);
void dh_union_free(dh_union *set);

/* Connects a and b. False when there is no room for two more nodes: drain it first. */
bool dh_union_add(dh_union *set, uint64_t a, uint64_t b);

/* Hands out every node that is not the least of its component, and that least one; then the set is empty,
 * also after an error. Errors: take's. */
typedef dh_status dh_union_take(void *context, uint64_t node, uint64_t least);
dh_status dh_union_drain(dh_union *set, dh_union_take *take, void *context);

#endif
