#include "reduce/neardup_components.h"

#include "reduce/neardup_union.h"

#include <string.h>

static const uint64_t spread = UINT64_C(0x9E3779B97F4A7C15);
static const uint64_t gather = UINT64_C(0xF1DE83E19937733D); /* spread * gather = 1 modulo 2^64 */

uint64_t dh_node_key(uint64_t node)
{
    return node * spread;
}

uint64_t dh_node_of_key(uint64_t key)
{
    return key * gather;
}

/* Where edges go: shortened by the union-find, then into a shuffle. */
struct dh_edge_sink {
    dh_union *shortened;
    dh_shuffle *shuffle;
    bool both_ways; /* an edge is a pair of each of its nodes; else of the greater one */
};

static dh_status add_pair(dh_shuffle *shuffle, uint64_t node, uint64_t neighbour)
{
    uint8_t value[sizeof neighbour];
    dh_pair_put_number(value, neighbour);
    const dh_pair pair = {.key = dh_node_key(node), .value = value, .value_size = sizeof value};
    return dh_shuffle_add(shuffle, &pair);
}

static dh_status pass_on(void *context, uint64_t node, uint64_t least)
{
    const dh_edge_sink *sink = context;
    DH_TRY(add_pair(sink->shuffle, node, least));
    return sink->both_ways ? add_pair(sink->shuffle, least, node) : DH_OK;
}

dh_status dh_edge_add(dh_edge_sink *sink, uint64_t a, uint64_t b)
{
    if (a == b || dh_union_add(sink->shortened, a, b)) {
        return DH_OK;
    }
    DH_TRY(dh_union_drain(sink->shortened, pass_on, sink));
    (void)dh_union_add(sink->shortened, a, b); /* an empty one has room */
    return DH_OK;
}

/* The groups of a star shuffle. A node with greater neighbours that has a smaller one, too, or with several
 * smaller ones, is not yet part of a star. */
typedef struct star {
    dh_edge_sink *sink;
    uint64_t loose; /* nodes that are not part of a star */
    bool is_large;
} star;

typedef struct star_group {
    bool is_open;
    uint64_t key, node, least;
    uint64_t smaller;
    bool has_greater;
} star_group;

static void end_group(star *work, const star_group *group)
{
    if (group->is_open && (group->smaller > 1 || (group->smaller > 0 && group->has_greater))) {
        work->loose++;
    }
}

static dh_status take_neighbour(star *work, star_group *group, uint64_t neighbour)
{
    if (neighbour > group->node) {
        group->has_greater = true;
        return work->is_large ? dh_edge_add(work->sink, neighbour, group->least) : DH_OK;
    }
    group->smaller++;
    return work->is_large ? DH_OK : dh_edge_add(work->sink, neighbour, group->least);
}

static dh_status drain_star(dh_shuffle *from, star *work)
{
    star_group group = {0};
    dh_pair pair;
    dh_status status;
    while ((status = dh_shuffle_next(from, &pair)) == DH_OK) {
        const uint64_t neighbour = dh_pair_number(pair.value);
        if (!group.is_open || pair.key != group.key) {
            end_group(work, &group);
            const uint64_t node = dh_node_of_key(pair.key);
            group = (star_group){
                .is_open = true, .key = pair.key, .node = node, .least = neighbour < node ? neighbour : node};
            if (!work->is_large) {
                DH_TRY(dh_edge_add(work->sink, node, group.least));
            }
        }
        DH_TRY(take_neighbour(work, &group, neighbour));
    }
    end_group(work, &group);
    return status == DH_END ? DH_OK : status;
}

/* The memory of a rank: a part for the shuffle that is read, one for the one that is filled, one for the
 * union-find. */
enum { MEMORY_PARTS = 3 };

static uint64_t part_of_memory(const dh_components_options *options)
{
    const uint64_t part = options->memory / MEMORY_PARTS;
    return part > DH_SHUFFLE_MEMORY_MIN ? part : DH_SHUFFLE_MEMORY_MIN;
}

static dh_status create_shuffle(const dh_components_options *options, const char *name, dh_shuffle **out)
{
    const dh_shuffle_options shuffle = {.name = name,
                                        .folder = options->folder,
                                        .epoch = options->epoch,
                                        .memory = part_of_memory(options),
                                        .combine = DH_COMBINE_EQUAL,
                                        .poll = options->poll,
                                        .poll_context = options->poll_context};
    return dh_shuffle_create(options->comm, &shuffle, out);
}

/* What was added and is still in the union-find follows, then the shuffle is ended. */
static dh_status finish(dh_edge_sink *sink, dh_status status)
{
    if (status == DH_OK) {
        status = dh_union_drain(sink->shortened, pass_on, sink);
    }
    return dh_shuffle_finish(sink->shuffle, status);
}

/* One star: the edges of *shuffle become those of a new one in its place. */
static dh_status do_star(const dh_components_options *options, dh_union *shortened, bool is_large,
                         dh_shuffle **shuffle, uint64_t *loose)
{
    dh_edge_sink sink = {.shortened = shortened, .both_ways = !is_large};
    DH_TRY(create_shuffle(options, is_large ? "smallstar" : "largestar", &sink.shuffle));
    star work = {.sink = &sink, .is_large = is_large};
    dh_status status = finish(&sink, drain_star(*shuffle, &work));
    if (status == DH_OK) {
        status = dh_comm_sum(options->comm, &work.loose, 1);
    }
    dh_shuffle_free(*shuffle);
    *shuffle = sink.shuffle;
    *loose = work.loose;
    return status;
}

/* *shuffle: edges both ways; then the stars. */
static dh_status make_stars(const dh_components_options *options, dh_union *shortened, dh_shuffle **shuffle,
                            uint64_t *rounds)
{
    for (*rounds = 1;; ++*rounds) {
        uint64_t loose = 0;
        DH_TRY(do_star(options, shortened, true, shuffle, &loose));
        if (loose == 0) {
            return DH_OK;
        }
        DH_TRY(do_star(options, shortened, false, shuffle, &loose));
    }
}

dh_status dh_components_find(const dh_components_options *options, dh_edge_source *source, void *context,
                             dh_shuffle **out, uint64_t *rounds)
{
    dh_union *shortened = NULL;
    dh_status status = dh_comm_agree(
        options->comm, dh_union_create(options->memory / MEMORY_PARTS, options->nodes, &shortened));
    dh_edge_sink sink = {.shortened = shortened, .both_ways = true};
    if (status == DH_OK) {
        status = create_shuffle(options, "largestar", &sink.shuffle);
    }
    if (status == DH_OK) {
        status = finish(&sink, source(context, &sink));
    }
    if (status == DH_OK) {
        status = make_stars(options, shortened, &sink.shuffle, rounds);
    }
    dh_union_free(shortened);
    if (status != DH_OK) {
        dh_shuffle_free(sink.shuffle);
        return status;
    }
    *out = sink.shuffle;
    return DH_OK;
}
