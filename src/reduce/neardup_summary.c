/* What is said of all duplicates, from the table of them. */
#include "reduce/neardup_internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A cluster that is worth a warning has this share of the corpus, and that many documents. */
static const double giant_share = 0.01;
enum { GIANT_DOCUMENTS = 10, PERCENT = 100 };

dh_status dh_duplicate_decode(const dh_neardup_work *work, const dh_pair *pair, dh_duplicate *out)
{
    const uint64_t rows = work->reduce->table->rows;
    const uint64_t earlier = work->earlier != NULL ? dh_earlier_rows(work->earlier) : 0;
    bool good = pair->key < rows && pair->name_size == 0 && pair->value_size == sizeof *out;
    dh_duplicate duplicate = {0};
    if (good) {
        memcpy(&duplicate, pair->value, sizeof duplicate);
        good = duplicate.exact >= -1 && duplicate.exact <= (int64_t)pair->key && duplicate.cluster >= -1 &&
               duplicate.cluster <= (int64_t)pair->key && duplicate.size >= 1 && duplicate.size <= rows &&
               duplicate.against >= -1 && duplicate.against < (int64_t)earlier;
    }
    if (!good) {
        return dh_error(DH_IO, "%s: stage " DH_STAGE_DUPLICATES " has something else, at row %" PRIu64,
                        work->reduce->folder, pair->key);
    }
    *out = duplicate;
    return DH_OK;
}

typedef dh_status duplicate_visitor(void *context, uint64_t row, const dh_duplicate *duplicate);

/* This rank's rows of the table. */
static dh_status for_duplicates(const dh_neardup_work *work, const dh_stage *stage, duplicate_visitor *visit,
                                void *context)
{
    const dh_stage_place place = dh_neardup_place(work, DH_STAGE_DUPLICATES);
    dh_stage_reader *reader = NULL;
    DH_TRY(dh_stage_open(&place, stage, &reader));
    dh_pair pair;
    dh_duplicate duplicate;
    dh_status status = dh_stage_seek(reader, work->first_row);
    while (status == DH_OK && (status = dh_stage_next(reader, false, &pair)) == DH_OK) {
        if (pair.key >= work->end_row) {
            status = DH_END;
            break;
        }
        status = dh_duplicate_decode(work, &pair, &duplicate);
        if (status == DH_OK) {
            status = visit(context, pair.key, &duplicate);
        }
    }
    dh_stage_close(reader);
    return dh_neardup_failing(work, status == DH_END ? DH_OK : status);
}

/* ---- the first look: counts and the largest ---------------------------------------------------------- */

typedef struct summary {
    const dh_neardup_work *work;
    uint64_t exact, clusters, clustered, against, dropped;
    uint64_t against_width;
    dh_neardup_tables *tables;
} summary;

/* The larger one first; of two that are as large the one that begins earlier. */
static bool is_before(const dh_cluster_sample *a, const dh_cluster_sample *b)
{
    return a->size != b->size ? a->size > b->size : a->row < b->row;
}

static void rank_cluster(dh_cluster_sample *largest, const dh_cluster_sample *cluster)
{
    size_t at = DH_LARGEST_CLUSTERS;
    while (at > 0 && (largest[at - 1].size == 0 || is_before(cluster, &largest[at - 1]))) {
        if (at < DH_LARGEST_CLUSTERS) {
            largest[at] = largest[at - 1];
        }
        at--;
    }
    if (at < DH_LARGEST_CLUSTERS) {
        largest[at] = *cluster;
    }
}

static uint32_t power_below(uint64_t size)
{
    uint32_t power = 0;
    while (size > 1) {
        size /= 2;
        power++;
    }
    return power;
}

static dh_status count_duplicate(void *context, uint64_t row, const dh_duplicate *duplicate)
{
    summary *sum = context;
    sum->exact += duplicate->exact >= 0;
    sum->clustered += duplicate->cluster >= 0;
    sum->dropped +=
        duplicate->against >= 0 || (duplicate->cluster >= 0 && duplicate->cluster != (int64_t)row);
    if (duplicate->cluster == (int64_t)row) {
        sum->clusters++;
        sum->tables->sizes[power_below(duplicate->size)]++;
        rank_cluster(sum->tables->largest, &(dh_cluster_sample){.size = duplicate->size, .row = row});
    }
    if (duplicate->against < 0) {
        return DH_OK;
    }
    const char *id = NULL;
    DH_TRY(dh_earlier_id(sum->work->earlier, (uint64_t)duplicate->against, &id));
    const size_t width = strnlen(id, dh_earlier_id_width(sum->work->earlier));
    sum->against++;
    sum->against_width = width > sum->against_width ? width : sum->against_width;
    return DH_OK;
}

/* ---- the second look: samples ------------------------------------------------------------------------ */

static dh_status take_sample(void *context, uint64_t row, const dh_duplicate *duplicate)
{
    dh_cluster_sample *largest = context;
    if (duplicate->size < largest[DH_LARGEST_CLUSTERS - 1].size || duplicate->cluster < 0) {
        return DH_OK;
    }
    for (size_t i = 0; i < DH_LARGEST_CLUSTERS && largest[i].size > 0; i++) {
        if (largest[i].row == (uint64_t)duplicate->cluster && largest[i].sample_count < DH_CLUSTER_SAMPLE) {
            largest[i].sample[largest[i].sample_count++] = row;
        }
    }
    return DH_OK;
}

/* Lists of all ranks, DH_LARGEST_CLUSTERS each; ranks have ascending rows. */
static dh_status gather_lists(const dh_neardup_work *work, const dh_cluster_sample *largest,
                              dh_cluster_sample **out)
{
    void *memory = NULL;
    const size_t ranks = (size_t)dh_comm_size(work->reduce->comm);
    const size_t size = DH_LARGEST_CLUSTERS * sizeof *largest;
    DH_TRY(dh_comm_agree(work->reduce->comm, dh_allocate(ranks, size, "the largest clusters", &memory)));
    const dh_status status = dh_comm_gather(work->reduce->comm, largest, size, memory);
    if (status != DH_OK) {
        free(memory);
        return status;
    }
    *out = memory;
    return DH_OK;
}

static dh_status agree_on_largest(const dh_neardup_work *work, dh_cluster_sample *largest)
{
    dh_cluster_sample *all = NULL;
    DH_TRY(gather_lists(work, largest, &all));
    const size_t count = (size_t)dh_comm_size(work->reduce->comm) * DH_LARGEST_CLUSTERS;
    memset(largest, 0, DH_LARGEST_CLUSTERS * sizeof *largest);
    for (size_t i = 0; i < count; i++) {
        if (all[i].size > 0) {
            rank_cluster(largest, &all[i]);
        }
    }
    free(all);
    return DH_OK;
}

static dh_status agree_on_samples(const dh_neardup_work *work, dh_cluster_sample *largest)
{
    dh_cluster_sample *all = NULL;
    DH_TRY(gather_lists(work, largest, &all));
    const size_t ranks = (size_t)dh_comm_size(work->reduce->comm);
    for (size_t i = 0; i < DH_LARGEST_CLUSTERS; i++) {
        largest[i].sample_count = 0;
        for (size_t r = 0; r < ranks; r++) {
            const dh_cluster_sample *other = &all[r * DH_LARGEST_CLUSTERS + i];
            for (uint64_t s = 0; s < other->sample_count && largest[i].sample_count < DH_CLUSTER_SAMPLE;
                 s++) {
                largest[i].sample[largest[i].sample_count++] = other->sample[s];
            }
        }
    }
    free(all);
    return DH_OK;
}

/* ---- what people are told ---------------------------------------------------------------------------- */

/* others: clusters of more than the same share, besides this one, the largest. */
static dh_status warn_of(const dh_neardup_work *work, const dh_cluster_sample *cluster, uint64_t others)
{
    dh_buffer samples = {0};
    dh_status status = DH_OK;
    for (uint64_t s = 0; s < cluster->sample_count && status == DH_OK; s++) {
        const dh_row_block *block = NULL;
        status = dh_row_reader_read(work->reduce->reader, cluster->sample[s], 1, false, &block);
        if (status == DH_OK) {
            status = dh_buffer_printf(&samples, "%s%" PRIu64 " (%.*s)", s > 0 ? ", " : "", cluster->sample[s],
                                      (int)block->id_end[0], (const char *)block->id);
        }
    }
    if (status == DH_OK) {
        const uint64_t rows = work->reduce->table->rows;
        dh_warning("one cluster of near-duplicates has %" PRIu64
                   " documents, %.1f %% of the corpus: template, "
                   "boilerplate, or the threshold is too low. Its first rows: %.*s",
                   cluster->size, PERCENT * (double)cluster->size / (double)rows, (int)samples.size,
                   (const char *)samples.data);
        if (others > 0) {
            dh_warning("%" PRIu64
                       "%s more have over %.0f %% of the corpus each (uns/dhatu/neardup/largest_*)",
                       others, others + 1 == DH_LARGEST_CLUSTERS ? " or" : "", PERCENT * giant_share);
        }
    }
    dh_buffer_free(&samples);
    return status;
}

static dh_status tell(const dh_neardup_work *work, const dh_neardup *neardup)
{
    const dh_neardup_tables *tables = neardup->tables;
    dh_say("neardup: %" PRIu64 " pairs compared, %" PRIu64 " kept; %" PRIu64
           " documents equal another one; %" PRIu64 " documents in %" PRIu64
           " clusters, the largest has %" PRIu64 "; %" PRIu64 " of %" PRIu64 " documents are kept",
           neardup->candidates, neardup->pairs, neardup->exact_documents, neardup->clustered_documents,
           neardup->clusters, neardup->largest, neardup->kept, tables->rows);
    if (work->earlier != NULL) {
        dh_say("neardup: %" PRIu64 " documents duplicate one of %s", tables->against_documents,
               work->reduce->against);
    }
    if (dh_comm_rank(work->reduce->comm) != 0) {
        return DH_OK;
    }
    uint64_t giants = 0;
    for (size_t i = 0; i < DH_LARGEST_CLUSTERS; i++) {
        const uint64_t size = tables->largest[i].size;
        giants += size >= GIANT_DOCUMENTS && (double)size > giant_share * (double)tables->rows ? 1 : 0;
    }
    return giants > 0 ? warn_of(work, &tables->largest[0], giants - 1) : DH_OK;
}

/* Sums and the largest width, over ranks. */
static dh_status agree_on_counts(const dh_neardup_work *work, summary *sum)
{
    uint64_t count[] = {sum->exact, sum->clusters, sum->clustered, sum->against, sum->dropped};
    DH_TRY(dh_comm_sum(work->reduce->comm, count, sizeof count / sizeof *count));
    DH_TRY(dh_comm_sum(work->reduce->comm, sum->tables->sizes, DH_CLUSTER_SIZES));
    DH_TRY(dh_comm_max(work->reduce->comm, &sum->against_width, 1));
    sum->exact = count[0];
    sum->clusters = count[1];
    sum->clustered = count[2];
    sum->against = count[3];
    sum->dropped = count[4];
    return DH_OK;
}

dh_status dh_neardup_summarise(const dh_neardup_work *work, dh_neardup *neardup)
{
    dh_comm *comm = work->reduce->comm;
    dh_neardup_tables *tables = neardup->tables;
    summary sum = {.work = work, .against_width = work->earlier != NULL ? 1 : 0, .tables = tables};
    DH_TRY(dh_comm_agree(comm, for_duplicates(work, &neardup->stage, count_duplicate, &sum)));
    DH_TRY(agree_on_counts(work, &sum));
    DH_TRY(agree_on_largest(work, tables->largest));
    DH_TRY(dh_comm_agree(comm, for_duplicates(work, &neardup->stage, take_sample, tables->largest)));
    DH_TRY(agree_on_samples(work, tables->largest));
    tables->token_rule = (uint64_t)work->reduce->settings->token_mode;
    tables->against_documents = sum.against;
    tables->rows = work->reduce->table->rows;
    neardup->against_width = sum.against_width;
    neardup->exact_documents = sum.exact;
    neardup->clusters = sum.clusters;
    neardup->clustered_documents = sum.clustered;
    neardup->kept = tables->rows - sum.dropped;
    neardup->candidates = neardup->stage.figure[0];
    neardup->pairs = neardup->stage.figure[1];
    neardup->largest = tables->largest[0].size;
    return dh_comm_agree(comm, tell(work, neardup));
}
