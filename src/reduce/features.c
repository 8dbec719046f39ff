#include "reduce/reduce.h"

#include "base/log.h"
#include "jobs/features.h"
#include "kernels/math_core.h"
#include "kernels/ngrams_core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_BYTES = 8,
    NAME_BYTES =
        DH_FEATURE_TERMS_BYTES + 1, /* of a term that its column's text can show, and where to cut it */
    MEBI_BITS = 20,
    CONTINUES = 0xC0,
    CONTINUATION = 0x80
};

/* How many documents the commonest terms of a column have that this rank has seen, descending. */
typedef struct best_terms {
    uint32_t documents[DH_FEATURE_TERMS];
} best_terms;

/* Bytes a column takes of every rank, and of the rank that has it. */
enum {
    COLUMN_BYTES = sizeof(double) + sizeof(best_terms),
    OWN_COLUMN_BYTES = sizeof(uint64_t) + DH_FEATURE_TERMS_BYTES
};

static uint64_t first_column(uint64_t columns, uint64_t rank, uint64_t ranks)
{
    const uint64_t blocks = (columns + DH_BLOCK_ROWS - 1) / DH_BLOCK_ROWS;
    const uint64_t more = blocks % ranks;
    const uint64_t first = (blocks / ranks * rank + (rank < more ? rank : more)) * DH_BLOCK_ROWS;
    return first < columns ? first : columns;
}

/* What all of it takes but for the shuffle; the same on all ranks. */
static uint64_t memory_of_columns(uint64_t columns, uint64_t ranks)
{
    return columns * COLUMN_BYTES + first_column(columns, 1, ranks) * OWN_COLUMN_BYTES;
}

uint64_t dh_features_memory(uint64_t columns, uint64_t ranks)
{
    return memory_of_columns(columns, ranks) + DH_SHUFFLE_MEMORY_MIN;
}

static dh_status check_memory(const dh_reduce *reduce, uint64_t columns)
{
    const uint64_t needed = dh_features_memory(columns, (uint64_t)dh_comm_size(reduce->comm));
    if (needed <= reduce->memory) {
        return DH_OK;
    }
    return dh_comm_rank(reduce->comm) != 0
               ? DH_USAGE
               : dh_error(DH_USAGE,
                          "--features %" PRIu64 " needs at least --memory %" PRIu64 "M with this many ranks",
                          columns, (needed >> MEBI_BITS) + 1);
}

/* ---- document frequencies ---------------------------------------------------------------------------- */

typedef struct row_values {
    uint32_t *column;
    int32_t *value;
    uint32_t room;
} row_values;

static dh_status make_room(row_values *values, uint32_t count)
{
    if (count <= values->room) {
        return DH_OK;
    }
    void *column = values->column;
    DH_TRY(dh_reallocate(count, sizeof *values->column, "the values of a document", &column));
    values->column = column;
    void *value = values->value;
    DH_TRY(dh_reallocate(count, sizeof *values->value, "the values of a document", &value));
    values->value = value;
    values->room = count;
    return DH_OK;
}

static dh_status count_block(const dh_row_block *block, uint64_t columns, row_values *values,
                             uint64_t *documents)
{
    const uint32_t *count = block->column[DH_ENGINE_VALUES];
    const uint32_t *bytes = block->column[DH_ENGINE_VALUE_BYTES];
    const uint8_t *at = block->values;
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *end = at + bytes[i];
        DH_TRY(count[i] <= columns ? make_room(values, count[i]) : DH_OK);
        if (count[i] > columns ||
            !dh_features_decode(&at, end, columns, count[i], values->column, values->value) || at != end) {
            return dh_error(DH_IO, "the spilled features of row %" PRIu64 " are damaged",
                            block->first_row + i);
        }
        for (uint32_t v = 0; v < count[i]; v++) {
            documents[values->column[v]]++;
        }
    }
    return DH_OK;
}

static dh_status count_share(const dh_reduce *reduce, uint64_t columns, uint64_t *documents)
{
    const uint64_t rank = (uint64_t)dh_comm_rank(reduce->comm);
    const uint64_t ranks = (uint64_t)dh_comm_size(reduce->comm);
    const uint64_t rows = reduce->table->rows;
    const uint64_t first = first_column(rows, rank, ranks); /* rows are cut as columns are */
    const uint64_t behind = first_column(rows, rank + 1, ranks);
    row_values values = {0};
    dh_status status = DH_OK;
    dh_progress_step(reduce->progress, DH_STEP_FREQUENCIES, behind - first);
    for (uint64_t row = first; status == DH_OK && row < behind;) {
        const uint32_t count = dh_row_reader_few(reduce->reader, row, behind - row);
        const dh_row_block *block = NULL;
        status = dh_row_reader_read_values(reduce->reader, row, count, false, &block);
        row += count;
        dh_progress_tell(reduce->progress, row - first);
        status = status == DH_OK ? count_block(block, columns, &values, documents) : status;
    }
    free(values.column);
    free(values.value);
    return status;
}

/* Each rank of a node computes a part of what the node's ranks share. COLLECTIVE. */
static dh_status share_weights(const dh_reduce *reduce, const uint64_t *documents, dh_features *features)
{
    const uint64_t columns = features->columns;
    const size_t size = columns * sizeof(double);
    DH_TRY(dh_shared_memory(reduce->comm, size, size, &features->weight_memory));
    if (features->weight_memory == NULL) {
        return dh_error(DH_NO_MEMORY, "no memory for the weights of %" PRIu64 " columns", columns);
    }
    double *weight = dh_shared_place(features->weight_memory);
    const uint64_t rank = (uint64_t)dh_comm_node_rank(reduce->comm);
    const uint64_t ranks = (uint64_t)dh_comm_node_size(reduce->comm);
    const uint64_t behind = first_column(columns, rank + 1, ranks);
    const double all = 1.0 + (double)reduce->table->rows;
    for (uint64_t c = first_column(columns, rank, ranks); c < behind; c++) {
        weight[c] = reduce->settings->job_options.idf ? dh_ln(all / (1.0 + (double)documents[c])) + 1.0 : 1.0;
    }
    features->weight = weight;
    return dh_comm_barrier(reduce->comm);
}

/* COLLECTIVE. */
static dh_status count_documents(const dh_reduce *reduce, dh_features *features)
{
    void *memory = NULL;
    void *own = NULL;
    dh_status status = dh_allocate(features->columns, sizeof(uint64_t), "document frequencies", &memory);
    if (status == DH_OK) {
        status = dh_allocate(features->count, sizeof(uint64_t), "document frequencies", &own);
        features->documents = own;
    }
    uint64_t *documents = memory;
    status = status == DH_OK ? count_share(reduce, features->columns, documents) : status;
    status = dh_terms_agree(reduce, status);
    if (status == DH_OK) {
        status = dh_comm_sum(reduce->comm, documents, features->columns);
    }
    if (status == DH_OK && own != NULL && documents != NULL) {
        memcpy(features->documents, documents + features->first, features->count * sizeof *documents);
    }
    if (status == DH_OK && documents != NULL) {
        status = share_weights(reduce, documents, features);
    }
    free(documents);
    return status;
}

/* ---- the commonest terms of each column -------------------------------------------------------------- */

typedef struct column_naming {
    uint32_t columns;
    best_terms *best; /* of each column */
    dh_shuffle *shuffle;
} column_naming;

/* Terms that three terms of their column are ahead of stay here. */
static bool may_be_shown(best_terms *best, uint64_t documents)
{
    const uint32_t count = documents < UINT32_MAX ? (uint32_t)documents : UINT32_MAX;
    uint32_t at = DH_FEATURE_TERMS;
    if (count < best->documents[at - 1]) {
        return false;
    }
    for (at--; at > 0 && best->documents[at - 1] < count; at--) {
        best->documents[at] = best->documents[at - 1];
    }
    best->documents[at] = count;
    return true;
}

static dh_status send_term(void *context, const uint8_t *term, uint32_t size, uint64_t frequency,
                           uint64_t documents)
{
    column_naming *naming = context;
    (void)frequency;
    if (size > DH_TERM_BYTES_MAX) {
        return DH_OK; /* not whole: its hash is not to be had from it */
    }
    const uint32_t column = dh_feature_column(dh_murmur3(term, size), naming->columns);
    if (!may_be_shown(naming->best + column, documents)) {
        return DH_OK;
    }
    uint8_t name[NUMBER_BYTES + NAME_BYTES];
    const uint32_t shown = size < NAME_BYTES ? size : NAME_BYTES;
    dh_pair_put_number(name, ~documents);
    memcpy(name + NUMBER_BYTES, term, shown);
    const dh_pair pair = {
        .key = column, .name = name, .name_size = NUMBER_BYTES + shown, .value = name, .value_size = 0};
    return dh_shuffle_add(naming->shuffle, &pair);
}

/* Appends as much as there is room for, in whole characters. Returns what is taken of the text: all of it
 * where something was cut. */
static uint32_t append_text(char *text, uint32_t used, const uint8_t *bytes, uint32_t size)
{
    const uint32_t room = DH_FEATURE_TERMS_BYTES - used;
    if (size <= room) {
        memcpy(text + used, bytes, size);
        return used + size;
    }
    uint32_t shown = room;
    while (shown > 0 && (bytes[shown] & CONTINUES) == CONTINUATION) {
        shown--;
    }
    memcpy(text + used, bytes, shown);
    return DH_FEATURE_TERMS_BYTES;
}

static uint32_t show_term(char *text, uint32_t used, const uint8_t *term, uint32_t size)
{
    static const uint8_t between[] = {',', ' '};
    used = used > 0 ? append_text(text, used, between, sizeof between) : used;
    return append_text(text, used, term, size);
}

static dh_status take_terms(const dh_reduce *reduce, dh_shuffle *shuffle, dh_features *features)
{
    dh_pair pair;
    dh_status status = DH_OK;
    uint64_t column = UINT64_MAX;
    uint32_t used = 0;
    uint32_t shown = 0;
    uint64_t taken = 0;
    dh_progress_step(reduce->progress, DH_STEP_COLUMNS_STORE, dh_shuffle_statistics(shuffle).pairs_received);
    while ((status = dh_shuffle_next(shuffle, &pair)) == DH_OK) {
        if (pair.name_size <= NUMBER_BYTES || pair.key < features->first ||
            pair.key - features->first >= features->count) {
            return dh_error(DH_INTERNAL, "the shuffle of columns gave a wrong pair (column %" PRIu64 ")",
                            pair.key);
        }
        if (pair.key != column) {
            column = pair.key;
            used = shown = 0;
        }
        if (shown++ < DH_FEATURE_TERMS) {
            used = show_term(features->terms + (column - features->first) * DH_FEATURE_TERMS_BYTES, used,
                             pair.name + NUMBER_BYTES, pair.name_size - NUMBER_BYTES);
        }
        if (++taken % DH_BLOCK_ROWS == 0) {
            dh_progress_tell(reduce->progress, taken);
            DH_TRY(dh_progress_poll(reduce->progress));
        }
    }
    return status == DH_END ? DH_OK : status;
}

/* COLLECTIVE. */
static dh_status shuffle_terms(const dh_reduce *reduce, const dh_terms *terms, const uint64_t *split,
                               column_naming *naming, dh_features *features)
{
    const uint64_t ranks = (uint64_t)dh_comm_size(reduce->comm);
    const dh_shuffle_options options = {.name = "columns",
                                        .folder = reduce->scratch,
                                        .epoch = reduce->epoch,
                                        .memory =
                                            reduce->memory - memory_of_columns(features->columns, ranks),
                                        .split = split,
                                        .poll = dh_progress_poll,
                                        .poll_context = reduce->progress};
    const dh_status created = dh_shuffle_create(reduce->comm, &options, &naming->shuffle);
    DH_TRY(dh_comm_agree(reduce->comm, created));
    dh_progress_step(reduce->progress, DH_STEP_COLUMNS, terms->stage.pairs / ranks);
    const dh_status sent = dh_terms_visit(reduce, terms, send_term, naming);
    DH_TRY(dh_shuffle_finish(naming->shuffle, sent));
    return dh_terms_agree(reduce, take_terms(reduce, naming->shuffle, features));
}

/* COLLECTIVE. */
static dh_status name_columns(const dh_reduce *reduce, const dh_terms *terms, dh_features *features)
{
    const uint64_t ranks = (uint64_t)dh_comm_size(reduce->comm);
    void *best = NULL;
    void *split = NULL;
    void *text = NULL;
    dh_status status = dh_allocate(features->columns, sizeof(best_terms), "terms of columns", &best);
    status = status == DH_OK ? dh_allocate(ranks, sizeof(uint64_t), "ranges of columns", &split) : status;
    status = status == DH_OK ? dh_allocate(features->count, DH_FEATURE_TERMS_BYTES, "terms of columns", &text)
                             : status;
    features->terms = text;
    status = dh_comm_agree(reduce->comm, status);
    if (status == DH_OK && split != NULL) {
        uint64_t *first = split;
        for (uint64_t r = 1; r < ranks; r++) {
            first[r - 1] = first_column(features->columns, r, ranks);
        }
        column_naming naming = {.columns = (uint32_t)features->columns, .best = best};
        status = shuffle_terms(reduce, terms, first, &naming, features);
        dh_shuffle_free(naming.shuffle);
    }
    free(best);
    free(split);
    return status;
}

uint64_t dh_features_kept(const dh_features *features)
{
    return features->columns * sizeof(double) + features->count * OWN_COLUMN_BYTES;
}

dh_status dh_reduce_features(const dh_reduce *reduce, const dh_terms *terms, dh_features *out)
{
    if (dh_settings_job(reduce->settings, &dh_job_features) == NULL) {
        *out = (dh_features){0};
        return DH_OK;
    }
    const uint64_t rank = (uint64_t)dh_comm_rank(reduce->comm);
    const uint64_t ranks = (uint64_t)dh_comm_size(reduce->comm);
    const uint64_t columns = reduce->settings->job_options.features;
    dh_features features = {.is_there = true, .columns = columns, .values = reduce->table->values};
    features.first = first_column(columns, rank, ranks);
    features.count = first_column(columns, rank + 1, ranks) - features.first;
    DH_TRY(check_memory(reduce, columns));
    dh_status status = count_documents(reduce, &features);
    status = status == DH_OK ? name_columns(reduce, terms, &features) : status;
    if (status != DH_OK) {
        dh_features_free(&features);
        return status;
    }
    *out = features;
    return DH_OK;
}

void dh_features_free(dh_features *features)
{
    if (features->weight_memory != NULL) {
        dh_shared_free(features->weight_memory);
    }
    free(features->documents);
    free(features->terms);
    *features = (dh_features){0};
}
