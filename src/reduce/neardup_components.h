/* dhatu: connected components of a graph whose edges are spread over ranks, none of which holds all of them.
 *
 * Large-star and small-star (Kiveris, Lattanzi, Mirrokni, Rastogi, Vassilvitskii: Connected Components in
 * MapReduce and Beyond, SoCC 2014) in turns, each a shuffle in which a node's neighbours come in ascending
 * order, so that the least is known first and no node's neighbours need be held. Between them each rank
 * shortens what it can with a union-find of bounded size. It ends when all edges lead to the least node of
 * their component. */
#ifndef DH_REDUCE_NEARDUP_COMPONENTS_H
#define DH_REDUCE_NEARDUP_COMPONENTS_H

#include "shuffle/shuffle.h"

typedef struct dh_components_options {
    dh_comm *comm;
    const char *folder; /* of this rank: runs of shuffles go there */
    uint32_t epoch;
    uint64_t memory; /* of a rank */
    uint64_t nodes;  /* nodes are below */
    dh_poll *poll;
    void *poll_context;
} dh_components_options;

/* Adds this rank's edges to the sink, each once or more often, in any direction and order. */
typedef struct dh_edge_sink dh_edge_sink;
dh_status dh_edge_add(dh_edge_sink *sink, uint64_t a, uint64_t b);
typedef dh_status dh_edge_source(void *context, dh_edge_sink *sink);

/* *out: pairs, for each node that is not the least of its component: key dh_node_key, value the least one
 * (dh_pair_put_number); the caller frees it. *rounds: how many turns it took. COLLECTIVE; the same status on
 * all ranks. Errors: those of source and shuffle. */
dh_status dh_components_find(const dh_components_options *options, dh_edge_source *source, void *context,
                             dh_shuffle **out, uint64_t *rounds);

/* Keys spread nodes over ranks; the product with an odd number has an inverse. */
uint64_t dh_node_key(uint64_t node);
uint64_t dh_node_of_key(uint64_t key);

#endif
