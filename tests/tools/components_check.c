/* Connected components over ranks, compared with a plain union-find on rank 0.
 *
 *     components_check FOLDER MEMORY
 *
 * FOLDER takes the runs of the shuffle. MEMORY is the bytes a rank may take. */
#include "base/file.h"
#include "base/log.h"
#include "reduce/neardup_components.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_graph {
    const char *name;
    uint64_t nodes, edges;
    /* Edge e, of nodes that are yet to be shuffled. */
    void (*edge)(const struct test_graph *graph, uint64_t e, uint64_t *a, uint64_t *b);
} test_graph;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x7FB5D329728EA185);
    x = (x ^ (x >> 27)) * UINT64_C(0x81DADEF4BC2DD44D);
    return x ^ (x >> 33);
}

static void path(const test_graph *graph, uint64_t e, uint64_t *a, uint64_t *b)
{
    (void)graph;
    *a = e;
    *b = e + 1;
}

static void star(const test_graph *graph, uint64_t e, uint64_t *a, uint64_t *b)
{
    *a = e + 1;
    *b = graph->nodes / 2 > *a ? 0 : graph->nodes / 2;
}

static void cliques(const test_graph *graph, uint64_t e, uint64_t *a, uint64_t *b)
{
    enum { SIZE = 40 };
    const uint64_t first = mix(e) % (graph->nodes / SIZE) * SIZE;
    *a = first + mix(e + graph->edges) % SIZE;
    *b = first + mix(e + 2 * graph->edges) % SIZE;
}

static void any(const test_graph *graph, uint64_t e, uint64_t *a, uint64_t *b)
{
    *a = mix(2 * e + 1) % graph->nodes;
    *b = mix(2 * e + 2) % graph->nodes;
}

static const test_graph all_graphs[] = {
    {"path", 100000, 99999, path},
    {"stars", 50000, 49999, star},
    {"cliques", 60000, 200000, cliques},
    {"random, sparse", 200000, 80000, any},
    {"random", 100000, 100000, any},
    {"random, dense", 1000, 100000, any},
    {"no edge", 10, 0, any},
    {"loop", 1, 3, any},
};

/* Nodes in no order: multiplied by a number that has no factor in common with theirs. */
static uint64_t shuffled(const test_graph *graph, uint64_t node)
{
    static const uint64_t prime = 1000003;
    return node * prime % graph->nodes;
}

typedef struct source {
    const test_graph *graph;
    uint64_t rank, ranks;
} source;

static dh_status add_edges(void *context, dh_edge_sink *sink)
{
    const source *from = context;
    for (uint64_t e = from->rank; e < from->graph->edges; e += from->ranks) {
        uint64_t a = 0;
        uint64_t b = 0;
        from->graph->edge(from->graph, e, &a, &b);
        DH_TRY(dh_edge_add(sink, shuffled(from->graph, a), shuffled(from->graph, b)));
    }
    return DH_OK;
}

static uint64_t root_of(const uint64_t *parent, uint64_t node)
{
    while (parent[node] != node) {
        node = parent[node];
    }
    return node;
}

static void label_plainly(const test_graph *graph, uint64_t *parent)
{
    for (uint64_t node = 0; node < graph->nodes; node++) {
        parent[node] = node;
    }
    for (uint64_t e = 0; e < graph->edges; e++) {
        uint64_t a = 0;
        uint64_t b = 0;
        graph->edge(graph, e, &a, &b);
        const uint64_t left = root_of(parent, shuffled(graph, a));
        const uint64_t right = root_of(parent, shuffled(graph, b));
        parent[left > right ? left : right] = left < right ? left : right;
    }
    for (uint64_t node = 0; node < graph->nodes; node++) {
        parent[node] = root_of(parent, node);
    }
}

static dh_status take_bytes(void *context, int rank, const void *bytes, size_t size)
{
    (void)rank;
    return dh_buffer_append(context, bytes, size);
}

/* On rank 0: are they the labels that they should be, each node once? */
static dh_status compare(const test_graph *graph, const dh_buffer *pairs)
{
    uint64_t *expected = calloc(graph->nodes, sizeof *expected);
    uint64_t *got = calloc(graph->nodes, sizeof *got);
    dh_status status = expected != NULL && got != NULL ? DH_OK : DH_NO_MEMORY;
    const uint64_t *pair = (const uint64_t *)(const void *)pairs->data;
    for (uint64_t node = 0; status == DH_OK && node < graph->nodes; node++) {
        got[node] = node;
    }
    for (size_t i = 0; status == DH_OK && i < pairs->size / sizeof *pair; i += 2) {
        if (pair[i] >= graph->nodes || got[pair[i]] != pair[i]) {
            status = dh_error(DH_FAILED, "%s: node %" PRIu64 " comes twice", graph->name, pair[i]);
        } else {
            got[pair[i]] = pair[i + 1];
        }
    }
    if (status == DH_OK) {
        label_plainly(graph, expected);
        for (uint64_t node = 0; node < graph->nodes && status == DH_OK; node++) {
            if (got[node] != expected[node]) {
                status = dh_error(DH_FAILED, "%s: node %" PRIu64 " is of %" PRIu64 ", expected %" PRIu64,
                                  graph->name, node, got[node], expected[node]);
            }
        }
    }
    free(expected);
    free(got);
    return status;
}

static dh_status collect(dh_comm *comm, const test_graph *graph, dh_shuffle *stars)
{
    dh_buffer mine = {0};
    dh_buffer all = {0};
    dh_pair pair;
    dh_status status;
    while ((status = dh_shuffle_next(stars, &pair)) == DH_OK) {
        const uint64_t label[] = {dh_node_of_key(pair.key), dh_pair_number(pair.value)};
        status = dh_buffer_append(&mine, label, sizeof label);
        if (status != DH_OK) {
            break;
        }
    }
    status = dh_comm_agree(comm, status == DH_END ? DH_OK : status);
    if (status == DH_OK) {
        status = dh_comm_collect(comm, mine.data, mine.size, take_bytes, &all);
    }
    if (status == DH_OK && dh_comm_rank(comm) == 0) {
        status = compare(graph, &all);
    }
    dh_buffer_free(&mine);
    dh_buffer_free(&all);
    return dh_comm_agree(comm, status);
}

static dh_status check(dh_comm *comm, const char *folder, uint64_t memory, const test_graph *graph)
{
    source from = {graph, (uint64_t)dh_comm_rank(comm), (uint64_t)dh_comm_size(comm)};
    const dh_components_options options = {
        .comm = comm, .folder = folder, .epoch = 1, .memory = memory, .nodes = graph->nodes};
    dh_shuffle *stars = NULL;
    uint64_t rounds = 0;
    DH_TRY(dh_components_find(&options, add_edges, &from, &stars, &rounds));
    const dh_status status = collect(comm, graph, stars);
    dh_shuffle_free(stars);
    if (dh_comm_rank(comm) == 0) {
        printf("%s: %" PRIu64 " rounds%s\n", graph->name, rounds, status == DH_OK ? "" : ", WRONG");
        (void)fflush(stdout);
    }
    return status;
}

int main(int argc, char **argv)
{
    dh_comm *comm = NULL;
    if (argc != 3 || dh_comm_start(&argc, &argv, &comm) != DH_OK) {
        (void)fprintf(stderr, "usage: components_check FOLDER MEMORY\n");
        return 2;
    }
    dh_log_set_rank(dh_comm_rank(comm), dh_comm_size(comm));
    dh_status status = DH_OK;
    for (size_t g = 0; g < sizeof all_graphs / sizeof *all_graphs && status == DH_OK; g++) {
        status = check(comm, argv[1], strtoull(argv[2], NULL, 10), &all_graphs[g]);
    }
    dh_comm_end(comm);
    return status == DH_OK ? 0 : 1;
}
