#include "reduce/neardup_internal.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- the step ---------------------------------------------------------------------------------------- */

enum { COLUMN_SIGNATURE = 0, COLUMN_SPELLING, COLUMN_SHINGLES }; /* of the job (jobs/neardup.c) */

static dh_status make_split(dh_neardup_work *work)
{
    const uint64_t rows = work->reduce->table->rows;
    const uint32_t ranks = (uint32_t)dh_comm_size(work->reduce->comm);
    const dh_share share = {.blocks = (rows + DH_BLOCK_ROWS - 1) / DH_BLOCK_ROWS,
                            .rank = (uint32_t)dh_comm_rank(work->reduce->comm),
                            .ranks = ranks};
    void *memory = NULL;
    DH_TRY(dh_allocate(ranks, sizeof *work->split, "the cut between ranks", &memory));
    work->split = memory;
    for (uint32_t r = 1; r < ranks; r++) {
        work->split[r - 1] = dh_share_first(&share, r) * DH_BLOCK_ROWS;
    }
    work->first_row = dh_share_first(&share, share.rank) * DH_BLOCK_ROWS;
    const uint64_t end = dh_share_first(&share, share.rank + 1) * DH_BLOCK_ROWS;
    work->end_row = end < rows ? end : rows;
    return DH_OK;
}

static dh_status open_earlier(const dh_settings *settings, const char *path, dh_earlier **out)
{
    uint64_t parameter[DH_PARAMETER_COUNT];
    dh_neardup_parameters(&settings->job_options, (uint64_t)settings->token_mode, parameter);
    return dh_earlier_open(path, parameter, out);
}

/* Where there is one. */
static dh_status open_earlier_of(dh_neardup_work *work)
{
    const dh_reduce *reduce = work->reduce;
    return reduce->against != NULL ? open_earlier(reduce->settings, reduce->against, &work->earlier) : DH_OK;
}

dh_status dh_neardup_check_earlier(const dh_settings *settings, const char *path)
{
    dh_earlier *earlier = NULL;
    DH_TRY(open_earlier(settings, path, &earlier));
    dh_earlier_close(earlier);
    return DH_OK;
}

static void set_up(dh_neardup_work *work, const dh_reduce *reduce)
{
    const dh_settings *settings = reduce->settings;
    const dh_active_job *job = dh_settings_job(settings, &dh_job_neardup);
    const dh_job_options *options = &settings->job_options;
    *work = (dh_neardup_work){
        .reduce = reduce,
        .options = options,
        .match = {.bands = options->bands,
                  .band_rows = options->band_rows,
                  .least_equal =
                      dh_match_least_equal(options->threshold, options->bands * options->band_rows)},
        .signature = job->first_column + COLUMN_SIGNATURE,
        .spelling = job->first_column + COLUMN_SPELLING,
        .shingles = job->first_column + COLUMN_SHINGLES,
        .sha256 = dh_settings_job(settings, &dh_job_documents)->first_column,
    };
}

/* The edges of an earlier attempt, or new ones. */
static dh_status have_edges(dh_neardup_work *work, dh_stage *out)
{
    const dh_stage_place place = dh_neardup_place(work, DH_STAGE_EDGES);
    bool found = false;
    DH_TRY(dh_stage_find(&place, out, &found));
    if (found) {
        dh_say("neardup: compared pairs are there from an earlier attempt");
        return DH_OK;
    }
    return dh_neardup_edges(work, out);
}

static dh_status have_duplicates(dh_neardup_work *work, dh_stage *out)
{
    const dh_stage_place place = dh_neardup_place(work, DH_STAGE_DUPLICATES);
    const dh_stage_place edges_place = dh_neardup_place(work, DH_STAGE_EDGES);
    dh_stage edges = {0};
    bool found = false;
    DH_TRY(dh_stage_find(&place, out, &found));
    if (found) {
        /* Killed just before it was removed? */
        DH_TRY(dh_stage_find(&edges_place, &edges, &found));
        const dh_status removed = found ? dh_stage_remove(&edges_place, &edges) : DH_OK;
        dh_stage_free(&edges);
        return removed;
    }
    dh_status status = have_edges(work, &edges);
    if (status == DH_OK) {
        status = dh_neardup_clusters(work, &edges, out);
    }
    if (status == DH_OK) {
        status = dh_stage_remove(&edges_place, &edges);
    }
    dh_stage_free(&edges);
    return status;
}

static dh_status prepare(dh_neardup_work *work, dh_neardup *neardup)
{
    void *tables = NULL;
    DH_TRY(dh_allocate(1, sizeof *neardup->tables, "tables of near-duplicates", &tables));
    neardup->tables = tables;
    DH_TRY(make_split(work));
    return open_earlier_of(work);
}

dh_status dh_reduce_neardup(const dh_reduce *reduce, dh_neardup *out)
{
    dh_neardup_work work;
    set_up(&work, reduce);
    dh_neardup neardup = {.is_there = true};
    dh_status status = dh_comm_agree(reduce->comm, prepare(&work, &neardup));
    if (status == DH_OK) {
        status = have_duplicates(&work, &neardup.stage);
    }
    if (status == DH_OK) {
        status = dh_neardup_summarise(&work, &neardup);
    }
    dh_earlier_close(work.earlier);
    free(work.split);
    if (status != DH_OK) {
        dh_neardup_free(&neardup);
        return status;
    }
    *out = neardup;
    return DH_OK;
}

void dh_neardup_free(dh_neardup *neardup)
{
    dh_stage_free(&neardup->stage);
    free(neardup->tables);
    *neardup = (dh_neardup){0};
}

/* ---- reading it back --------------------------------------------------------------------------------- */

struct dh_duplicate_reader {
    dh_neardup_work work;
    uint32_t id_width;
    dh_stage_reader *reader;
    uint64_t next_row; /* the reader stands at the first pair from here on, or holds it */
    bool is_ready, has_pair, at_end;
    uint64_t row; /* of the pair that is held */
    dh_duplicate duplicate;
};

dh_status dh_duplicate_open(const dh_reduce *reduce, const dh_neardup *neardup, dh_duplicate_reader **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_duplicate_reader), "the reader of duplicates", &memory));
    dh_duplicate_reader *reader = memory;
    set_up(&reader->work, reduce);
    reader->id_width = (uint32_t)neardup->against_width;
    const dh_stage_place place = dh_neardup_place(&reader->work, DH_STAGE_DUPLICATES);
    dh_status status = open_earlier_of(&reader->work);
    if (status == DH_OK) {
        status = dh_stage_open(&place, &neardup->stage, &reader->reader);
    }
    if (status != DH_OK) {
        dh_duplicate_close(reader);
        return status;
    }
    *out = reader;
    return DH_OK;
}

void dh_duplicate_close(dh_duplicate_reader *reader)
{
    if (reader != NULL) {
        dh_stage_close(reader->reader);
        dh_earlier_close(reader->work.earlier);
        free(reader);
    }
}

static dh_status hold_next(dh_duplicate_reader *reader)
{
    if (reader->has_pair || reader->at_end) {
        return DH_OK;
    }
    dh_pair pair;
    const dh_status status = dh_stage_next(reader->reader, false, &pair);
    reader->at_end = status == DH_END;
    if (status != DH_OK) {
        return status == DH_END ? DH_OK : status;
    }
    DH_TRY(dh_duplicate_decode(&reader->work, &pair, &reader->duplicate));
    reader->row = pair.key;
    reader->has_pair = true;
    return DH_OK;
}

dh_status dh_duplicate_read(dh_duplicate_reader *reader, uint64_t first, uint32_t count, dh_duplicate *out)
{
    if (!reader->is_ready || first != reader->next_row) {
        DH_TRY(dh_stage_seek(reader->reader, first));
        reader->is_ready = true;
        reader->has_pair = false;
        reader->at_end = false;
    }
    for (uint32_t i = 0; i < count; i++) {
        DH_TRY(hold_next(reader));
        if (reader->has_pair && reader->row == first + i) {
            out[i] = reader->duplicate;
            reader->has_pair = false;
        } else {
            out[i] = (dh_duplicate){.exact = -1, .cluster = -1, .size = 1, .against = -1};
        }
    }
    reader->next_row = first + count;
    return DH_OK;
}

dh_status dh_duplicate_id(dh_duplicate_reader *reader, int64_t against, char *out)
{
    const char *id = NULL;
    DH_TRY(dh_earlier_id(reader->work.earlier, (uint64_t)against, &id));
    const uint32_t width = dh_earlier_id_width(reader->work.earlier);
    memset(out, 0, reader->id_width);
    memcpy(out, id, strnlen(id, width < reader->id_width ? width : reader->id_width));
    return DH_OK;
}

/* ---- uns/dhatu/neardup ------------------------------------------------------------------------------- */

enum { CURVE_STEPS = 101 };

static dh_status emit_curve(const dh_job_options *options, dh_emitter *emitter)
{
    double curve[CURVE_STEPS][2];
    for (int i = 0; i < CURVE_STEPS; i++) {
        curve[i][0] = (double)i / (CURVE_STEPS - 1);
        curve[i][1] = dh_neardup_chance(curve[i][0], options->bands, options->band_rows);
    }
    const uint64_t dims[] = {CURVE_STEPS, 2};
    return emitter->array(emitter, "curve", DH_F64, dims, 2, curve,
                          "similarity of two documents; the chance that they share a band and are compared",
                          "1");
}

static dh_status emit_largest(const dh_neardup_tables *tables, dh_emitter *emitter)
{
    uint64_t size[DH_LARGEST_CLUSTERS] = {0};
    int64_t row[DH_LARGEST_CLUSTERS];
    int64_t sample[DH_LARGEST_CLUSTERS][DH_CLUSTER_SAMPLE];
    uint64_t count = 0;
    for (; count < DH_LARGEST_CLUSTERS && tables->largest[count].size > 0; count++) {
        const dh_cluster_sample *cluster = &tables->largest[count];
        size[count] = cluster->size;
        row[count] = (int64_t)cluster->row;
        for (uint64_t s = 0; s < DH_CLUSTER_SAMPLE; s++) {
            sample[count][s] = s < cluster->sample_count ? (int64_t)cluster->sample[s] : -1;
        }
    }
    const uint64_t dims[] = {count, DH_CLUSTER_SAMPLE};
    DH_TRY(emitter->array(emitter, "largest_size", DH_U64, dims, 1, size, "documents of the largest clusters",
                          "documents"));
    DH_TRY(
        emitter->array(emitter, "largest_row", DH_I64, dims, 1, row, "their first rows: dup_cluster", "1"));
    return emitter->array(emitter, "largest_sample", DH_I64, dims, 2, sample,
                          "the first rows of each; -1: it has no more", "1");
}

dh_status dh_neardup_emit(const dh_neardup *neardup, const dh_job_options *options, dh_emitter *emitter)
{
    const dh_neardup_tables *tables = neardup->tables;
    uint64_t parameter[DH_PARAMETER_COUNT];
    dh_neardup_parameters(options, tables->token_rule, parameter);
    const uint64_t parameters[] = {DH_PARAMETER_COUNT};
    DH_TRY(emitter->array(
        emitter, "parameters", DH_U64, parameters, 1, parameter,
        "what signatures depend on: tokens of a shingle, bands, rows of a band, least number of "
        "shingles, seed, rule for tokens (0 unicode, 1 sklearn)",
        "1"));
    DH_TRY(emit_curve(options, emitter));
    uint64_t sizes = DH_CLUSTER_SIZES;
    while (sizes > 0 && tables->sizes[sizes - 1] == 0) {
        sizes--;
    }
    DH_TRY(emitter->array(emitter, "cluster_sizes", DH_U64, &sizes, 1, tables->sizes,
                          "clusters of 2^i to 2^(i+1) - 1 documents, for i from 0 on", "clusters"));
    DH_TRY(emit_largest(tables, emitter));
    const uint64_t count[] = {
        neardup->candidates,          neardup->pairs, neardup->exact_documents, neardup->clusters,
        neardup->clustered_documents, neardup->kept,  tables->against_documents};
    const uint64_t counts[] = {sizeof count / sizeof *count};
    return emitter->array(
        emitter, "counts", DH_U64, counts, 1, count,
        "pairs compared, pairs kept; documents that equal another one; clusters, documents in "
        "clusters; documents that are kept; documents that duplicate one of --against",
        "pairs, documents, clusters");
}
