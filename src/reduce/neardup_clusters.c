/* From edges to clusters, and to what each document is. */
#include "reduce/neardup_components.h"
#include "reduce/neardup_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

/* Parts of the memory of a rank, of 8 (dh_neardup_shuffle). */
enum { PARTS_SIZES = 4, PARTS_ROWS = 4 };

/* The value of a row in the shuffle of rows: cluster, size. */
enum { ROW_VALUE_SIZE = 2 * DH_NUMBER_SIZE };

/* ---- components -------------------------------------------------------------------------------------- */

typedef struct edge_source {
    const dh_neardup_work *work;
    dh_stage_reader *reader;
} edge_source;

static dh_status add_edges(void *context, dh_edge_sink *sink)
{
    const edge_source *source = context;
    const dh_neardup_work *work = source->work;
    dh_edge edge;
    dh_status status = dh_stage_seek(source->reader, work->first_row);
    while (status == DH_OK && (status = dh_neardup_next_edge(work, source->reader, &edge)) == DH_OK) {
        if (edge.kind != DH_EDGE_AGAINST) {
            status = dh_edge_add(sink, edge.from, edge.to);
        }
    }
    return dh_neardup_failing(work, status == DH_END ? DH_OK : status);
}

static dh_status find_components(const dh_neardup_work *work, dh_stage_reader *reader, dh_shuffle **out)
{
    const dh_components_options options = {.comm = work->reduce->comm,
                                           .folder = work->reduce->scratch,
                                           .epoch = work->reduce->epoch,
                                           .memory = work->reduce->memory,
                                           .nodes = work->reduce->table->rows,
                                           .poll = dh_progress_poll,
                                           .poll_context = work->reduce->progress};
    edge_source source = {.work = work, .reader = reader};
    uint64_t rounds = 0;
    dh_progress_step(work->reduce->progress, DH_STEP_CLUSTERS, 0);
    DH_TRY(dh_components_find(&options, add_edges, &source, out, &rounds));
    dh_say_verbose("neardup: clusters were found in %" PRIu64 " rounds", rounds);
    return DH_OK;
}

/* ---- sizes ------------------------------------------------------------------------------------------- */

/* The members of a cluster are brought together behind their number: names are empty, or the member. */
static dh_status add_counted(dh_shuffle *sizes, uint64_t first, const uint8_t *name, uint32_t name_size,
                             uint64_t count)
{
    const dh_pair pair = {.key = dh_node_key(first),
                          .name = name,
                          .name_size = name_size,
                          .value = (const uint8_t *)&count,
                          .value_size = sizeof count};
    return dh_shuffle_add(sizes, &pair);
}

static dh_status gather_members(const dh_neardup_work *work, dh_shuffle *stars, dh_shuffle *sizes)
{
    dh_pair pair;
    dh_status status;
    while ((status = dh_shuffle_next(stars, &pair)) == DH_OK) {
        uint8_t member[DH_NUMBER_SIZE];
        dh_pair_put_number(member, dh_node_of_key(pair.key));
        const uint64_t first = dh_pair_number(pair.value);
        DH_TRY(add_counted(sizes, first, NULL, 0, 1));
        DH_TRY(add_counted(sizes, first, member, sizeof member, 0));
    }
    return dh_neardup_failing(work, status == DH_END ? DH_OK : status);
}

static dh_status add_row(dh_shuffle *rows, uint64_t row, uint64_t cluster, uint64_t size)
{
    uint8_t value[ROW_VALUE_SIZE];
    dh_pair_put_number(value, cluster);
    dh_pair_put_number(value + DH_NUMBER_SIZE, size);
    const dh_pair pair = {.key = row, .value = value, .value_size = sizeof value};
    return dh_shuffle_add(rows, &pair);
}

static dh_status spread_sizes(const dh_neardup_work *work, dh_shuffle *sizes, dh_shuffle *rows)
{
    uint64_t size = 0;
    dh_pair pair;
    dh_status status;
    while ((status = dh_shuffle_next(sizes, &pair)) == DH_OK) {
        const uint64_t first = dh_node_of_key(pair.key);
        if (pair.name_size == 0) {
            memcpy(&size, pair.value, sizeof size);
            size++; /* the first one itself is nobody's member */
            DH_TRY(add_row(rows, first, first, size));
        } else {
            DH_TRY(add_row(rows, dh_pair_number(pair.name), first, size));
        }
    }
    return dh_neardup_failing(work, status == DH_END ? DH_OK : status);
}

/* *out: for each row of this rank that is in a cluster, the cluster and its size. */
static dh_status find_clusters(const dh_neardup_work *work, dh_stage_reader *reader, dh_shuffle **out)
{
    dh_shuffle *stars = NULL;
    dh_shuffle *sizes = NULL;
    DH_TRY(find_components(work, reader, &stars));
    dh_status status = dh_neardup_shuffle(work, "sizes", PARTS_SIZES, DH_COMBINE_SUM, false, &sizes);
    if (status == DH_OK) {
        status = dh_shuffle_finish(sizes, gather_members(work, stars, sizes));
    }
    dh_shuffle_free(stars);
    if (status == DH_OK) {
        status = dh_neardup_shuffle(work, "rows", PARTS_ROWS, DH_COMBINE_NONE, true, out);
    }
    if (status == DH_OK) {
        status = dh_shuffle_finish(*out, spread_sizes(work, sizes, *out));
    }
    dh_shuffle_free(sizes);
    return status;
}

/* ---- the table --------------------------------------------------------------------------------------- */

/* Edges and clusters side by side, both in the order of rows; a row of UINT64_MAX is behind the last. */
typedef struct table_merger {
    const dh_neardup_work *work;
    dh_stage_reader *edges;
    dh_shuffle *rows;
    dh_edge edge;
    uint64_t row, cluster, size;
} table_merger;

static dh_status next_edge(table_merger *merger)
{
    const dh_status status = dh_neardup_next_edge(merger->work, merger->edges, &merger->edge);
    if (status == DH_END) {
        merger->edge.from = UINT64_MAX;
        return DH_OK;
    }
    return status;
}

static dh_status next_row(table_merger *merger)
{
    dh_pair pair;
    const dh_status status = dh_shuffle_next(merger->rows, &pair);
    if (status == DH_END) {
        merger->row = UINT64_MAX;
        return DH_OK;
    }
    DH_TRY(status);
    merger->row = pair.key;
    merger->cluster = dh_pair_number(pair.value);
    merger->size = dh_pair_number(pair.value + DH_NUMBER_SIZE);
    return DH_OK;
}

static dh_status put_duplicate(dh_stage_writer *writer, uint64_t row, const dh_duplicate *duplicate)
{
    const dh_pair pair = {
        .key = row, .value = (const uint8_t *)duplicate, .value_size = (uint32_t)sizeof *duplicate};
    return dh_stage_add(writer, &pair);
}

static void note_edge(const dh_edge *edge, dh_duplicate *duplicate)
{
    const int64_t to = (int64_t)edge->to;
    if (edge->kind == DH_EDGE_EXACT) {
        duplicate->exact = to;
    } else if (edge->kind == DH_EDGE_AGAINST && (duplicate->against < 0 || to < duplicate->against)) {
        duplicate->against = to;
    }
}

static dh_status write_table(table_merger *merger, dh_stage_writer *writer)
{
    DH_TRY(dh_stage_seek(merger->edges, merger->work->first_row));
    DH_TRY(next_edge(merger));
    DH_TRY(next_row(merger));
    const dh_neardup_work *work = merger->work;
    const bool any = work->end_row > work->first_row;
    dh_progress_step(work->reduce->progress, DH_STEP_DUPLICATES, any ? work->end_row - work->first_row : 0);
    while (merger->row != UINT64_MAX || merger->edge.from != UINT64_MAX) {
        const uint64_t row = merger->row < merger->edge.from ? merger->row : merger->edge.from;
        dh_duplicate duplicate = {.exact = -1, .cluster = -1, .size = 1, .against = -1};
        if (merger->row == row) {
            duplicate.cluster = (int64_t)merger->cluster;
            duplicate.size = merger->size;
            DH_TRY(next_row(merger));
        }
        while (merger->edge.from == row) {
            note_edge(&merger->edge, &duplicate);
            DH_TRY(next_edge(merger));
        }
        DH_TRY(put_duplicate(writer, row, &duplicate));
        dh_progress_tell(work->reduce->progress, row - work->first_row);
    }
    return DH_OK;
}

static dh_status store_table(table_merger *merger, const dh_stage *edges, dh_stage *out)
{
    const dh_stage_place place = dh_neardup_place(merger->work, DH_STAGE_DUPLICATES);
    dh_stage_writer *writer = NULL;
    DH_TRY(dh_stage_create(&place, &writer));
    const dh_status status = dh_neardup_failing(merger->work, write_table(merger, writer));
    return dh_stage_commit(writer, status, edges->figure, out);
}

dh_status dh_neardup_clusters(dh_neardup_work *work, const dh_stage *edges, dh_stage *out)
{
    const dh_stage_place place = dh_neardup_place(work, DH_STAGE_EDGES);
    table_merger merger = {.work = work};
    dh_status status = dh_comm_agree(work->reduce->comm, dh_stage_open(&place, edges, &merger.edges));
    if (status == DH_OK) {
        status = find_clusters(work, merger.edges, &merger.rows);
    }
    if (status == DH_OK) {
        status = store_table(&merger, edges, out);
    }
    dh_shuffle_free(merger.rows);
    dh_stage_close(merger.edges);
    return status;
}
