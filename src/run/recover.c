#include "run/recover.h"

#include "base/log.h"
#include "checkpoint/folder.h"
#include "checkpoint/spill.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A journal and its spill. */
typedef struct file_pair {
    uint32_t epoch, rank;
} file_pair;

typedef struct recoverer {
    dh_comm *comm;
    const dh_schema *schema;
    const dh_recover_options *options;
    dh_recovery *out;
    dh_segment *segment; /* those that this rank has checked */
    size_t segment_count, segment_capacity;
    uint64_t journal; /* number of the one that is being read */
    uint64_t damaged;
    dh_buffer scratch;
} recoverer;

/* ---- which files there are --------------------------------------------------------------------------- */

typedef struct file_list {
    uint32_t epoch; /* of this attempt */
    dh_checkpoint_file kind;
    dh_buffer pairs;
} file_list;

static dh_status take_name(void *context, const char *name)
{
    file_list *list = context;
    file_pair pair = {0};
    if (dh_checkpoint_classify(name, &pair.epoch, &pair.rank) != list->kind || pair.epoch >= list->epoch) {
        return DH_OK;
    }
    return dh_buffer_append(&list->pairs, &pair, sizeof pair);
}

static int compare_pairs(const void *a, const void *b)
{
    const file_pair *left = a;
    const file_pair *right = b;
    if (left->epoch != right->epoch) {
        return left->epoch < right->epoch ? -1 : 1;
    }
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

static dh_status list_files(const dh_recover_options *options, dh_checkpoint_file kind, dh_buffer *out)
{
    file_list list = {.epoch = options->epoch, .kind = kind};
    const dh_status status = dh_folder_list(options->folder, take_name, &list);
    if (status == DH_OK && list.pairs.size > 0) {
        qsort(list.pairs.data, list.pairs.size / sizeof(file_pair), sizeof(file_pair), compare_pairs);
    }
    *out = list.pairs;
    return status;
}

/* Rank 0 looks, so that all ranks see the same. */
static dh_status share_journals(dh_comm *comm, const dh_recover_options *options, dh_buffer *out)
{
    dh_status status = DH_OK;
    if (dh_comm_rank(comm) == 0) {
        status = list_files(options, DH_CHECKPOINT_JOURNAL, out);
    }
    DH_TRY(dh_comm_agree(comm, status));
    uint64_t size = out->size;
    DH_TRY(dh_comm_broadcast(comm, &size, sizeof size));
    if (dh_comm_rank(comm) != 0) {
        status = dh_buffer_reserve(out, size);
    }
    DH_TRY(dh_comm_agree(comm, status));
    out->size = size;
    return dh_comm_broadcast(comm, out->data, size);
}

/* ---- what they hold ---------------------------------------------------------------------------------- */

static dh_status take_chunk(void *context, const dh_chunk_entry *entry)
{
    return dh_chunk_list_add(context, entry);
}

/* Entries go round the ranks. By their own number: a rank of the attempt before that is still dying may
 * append to its journal, and one rank may see what another does not. */
static bool is_my_turn(const recoverer *state, const dh_journal_entry *entry)
{
    return (state->journal + entry->sequence) % (uint64_t)dh_comm_size(state->comm) ==
           (uint64_t)dh_comm_rank(state->comm);
}

static dh_status count_entry(void *context, const dh_journal_entry *entry)
{
    recoverer *state = context;
    state->segment_capacity += is_my_turn(state, entry);
    return DH_OK;
}

static dh_status check_entry(void *context, const dh_journal_entry *entry)
{
    recoverer *state = context;
    const dh_recover_options *options = state->options;
    if (!is_my_turn(state, entry) || state->segment_count == state->segment_capacity) {
        return DH_OK; /* in the latter case it was appended just now */
    }
    DH_TRY(options->poll(options->poll_context));
    const size_t chunks_before = state->out->chunks.count;
    bool intact = false;
    DH_TRY(dh_spill_check(options->folder, entry, state->schema, &state->scratch, take_chunk,
                          &state->out->chunks, options->poll, options->poll_context, &intact));
    if (!intact) {
        state->out->chunks.count = chunks_before;
        state->damaged++;
        dh_warning("%s: the spill of attempt %u, rank %u is damaged at %" PRIu64 ", %" PRIu64
                   " bytes: a segment is computed again",
                   options->folder, entry->epoch, entry->rank, entry->offset, entry->size);
        return DH_OK;
    }
    state->segment[state->segment_count++] = (dh_segment){.begin = entry->begin,
                                                          .hash = entry->hash_low,
                                                          .first_source = entry->first_source,
                                                          .flags = entry->flags,
                                                          .epoch = entry->epoch,
                                                          .rank = entry->rank};
    return DH_OK;
}

/* What an entry that is used adds to the sums. */
static dh_status sum_entry(void *context, const dh_journal_entry *entry)
{
    recoverer *state = context;
    dh_recovery *out = state->out;
    const dh_segment *segment = dh_recovery_find(out, entry->first_source, entry->begin);
    if (is_my_turn(state, entry) && segment != NULL && segment->epoch == entry->epoch &&
        segment->rank == entry->rank) {
        out->segments++;
        out->documents += entry->documents;
        out->text_bytes += entry->text_bytes;
        out->file_bytes += entry->file_bytes;
        out->bad += entry->bad;
    }
    return DH_OK;
}

/* All valid entries of all journals, in the same order on all ranks. */
static dh_status scan_journals(recoverer *state, const dh_buffer *journals, dh_journal_take *take,
                               uint64_t *damaged)
{
    *damaged = 0;
    const file_pair *pair = (const file_pair *)(const void *)journals->data;
    for (size_t i = 0; pair != NULL && i < journals->size / sizeof *pair; i++) {
        dh_journal_scan_result result;
        state->journal = i;
        DH_TRY(dh_journal_scan(state->options->folder, &state->options->run, pair[i].epoch, pair[i].rank,
                               take, state, &result));
        *damaged += result.foreign ? 0 : result.damaged;
    }
    return DH_OK;
}

static dh_status check_journals(recoverer *state, const dh_buffer *journals)
{
    uint64_t damaged = 0;
    DH_TRY(scan_journals(state, journals, count_entry, &damaged));
    void *memory = NULL;
    DH_TRY(dh_allocate(state->segment_capacity, sizeof *state->segment, "the table of segments", &memory));
    state->segment = memory;
    DH_TRY(scan_journals(state, journals, check_entry, &damaged));
    state->damaged += dh_comm_rank(state->comm) == 0 ? damaged : 0;
    return DH_OK;
}

/* ---- the union --------------------------------------------------------------------------------------- */

static int compare_keys(const dh_segment *left, uint32_t first_source, uint64_t begin)
{
    if (left->first_source != first_source) {
        return left->first_source < first_source ? -1 : 1;
    }
    return left->begin < begin ? -1 : left->begin > begin;
}

static int compare_segments(const void *a, const void *b)
{
    const dh_segment *left = a;
    const dh_segment *right = b;
    const int order = compare_keys(left, right->first_source, right->begin);
    if (order != 0) {
        return order;
    }
    if (left->epoch != right->epoch) {
        return left->epoch < right->epoch ? -1 : 1;
    }
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

static void sort_segments(void *data, size_t count)
{
    if (count > 0) {
        qsort(data, count, sizeof(dh_segment), compare_segments);
    }
}

const dh_segment *dh_recovery_find(const dh_recovery *recovery, uint32_t first_source, uint64_t begin)
{
    uint64_t low = 0;
    uint64_t high = recovery->count;
    while (low < high) { /* the first one at or behind the key */
        const uint64_t middle = low + (high - low) / 2;
        if (compare_keys(&recovery->segment[middle], first_source, begin) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == recovery->count || compare_keys(&recovery->segment[low], first_source, begin) != 0) {
        return NULL;
    }
    return &recovery->segment[low];
}

/* The same segment is a function of input and options, so two intact ones must be alike. */
static dh_status compare_doubles(const recoverer *state)
{
    const dh_recovery *out = state->out;
    for (uint64_t i = 1; i < out->count; i++) {
        const dh_segment *one = &out->segment[i - 1];
        const dh_segment *other = &out->segment[i];
        if (compare_keys(one, other->first_source, other->begin) == 0 && one->hash != other->hash) {
            return dh_error(
                DH_INTERNAL,
                "%s: attempts %u and %u disagree about source %u at %" PRIu64
                ": one of them ran on faulty hardware or with another program; --fresh starts over",
                state->options->folder, one->epoch, other->epoch, one->first_source, one->begin);
        }
    }
    return DH_OK;
}

/* Chunks of a segment that another attempt has, too, are used once. */
static void drop_doubles(dh_recovery *out)
{
    size_t kept = 0;
    for (size_t c = 0; c < out->chunks.count; c++) {
        const dh_chunk_entry *chunk = &out->chunks.entry[c];
        const dh_segment *segment = dh_recovery_find(out, chunk->first_source, chunk->begin);
        if (segment != NULL && segment->epoch == chunk->epoch && segment->rank == chunk->rank) {
            out->chunks.entry[kept++] = *chunk;
        }
    }
    out->chunks.count = kept;
}

/* ---- what is not needed ------------------------------------------------------------------------------ */

static dh_status list_needed(const dh_recovery *recovery, dh_buffer *out)
{
    for (uint64_t i = 0; i < recovery->count; i++) {
        const dh_segment *segment = &recovery->segment[i];
        if (dh_recovery_find(recovery, segment->first_source, segment->begin) != segment) {
            continue;
        }
        const file_pair pair = {segment->epoch, segment->rank};
        const file_pair *known = (const file_pair *)(const void *)out->data;
        const size_t count = out->size / sizeof pair;
        if (count == 0 || bsearch(&pair, known, count, sizeof pair, compare_pairs) == NULL) {
            DH_TRY(dh_buffer_append(out, &pair, sizeof pair));
            qsort(out->data, count + 1, sizeof pair, compare_pairs);
        }
    }
    return DH_OK;
}

/* Is the journal of a spill there? */
static dh_status has_journal(const dh_recover_options *options, const file_pair *pair, dh_buffer *path,
                             bool *out)
{
    DH_TRY(dh_checkpoint_path(options->folder, DH_CHECKPOINT_JOURNAL, pair->epoch, pair->rank, path));
    return dh_file_exists((const char *)path->data, out);
}

static dh_status remove_if_needless(const dh_recover_options *options, dh_checkpoint_file kind,
                                    const file_pair *pair, const dh_buffer *needed, dh_buffer *path)
{
    bool keep = needed->size > 0 &&
                bsearch(pair, needed->data, needed->size / sizeof *pair, sizeof *pair, compare_pairs) != NULL;
    if (!keep && kind == DH_CHECKPOINT_SPILL) {
        DH_TRY(has_journal(options, pair, path, &keep));
    }
    if (keep) {
        return DH_OK;
    }
    DH_TRY(dh_checkpoint_path(options->folder, kind, pair->epoch, pair->rank, path));
    return dh_file_remove((const char *)path->data);
}

/* All journals, or all spills, of earlier attempts that are not needed. */
static dh_status remove_needless(const dh_recover_options *options, dh_checkpoint_file kind,
                                 const dh_buffer *needed)
{
    dh_buffer files = {0};
    dh_buffer path = {0};
    dh_status status = list_files(options, kind, &files);
    const file_pair *pair = (const file_pair *)(const void *)files.data;
    for (size_t i = 0; status == DH_OK && i < files.size / sizeof *pair; i++) {
        status = remove_if_needless(options, kind, &pair[i], needed, &path);
    }
    dh_buffer_free(&files);
    dh_buffer_free(&path);
    return status;
}

/* Journals go first: a journal whose spill is gone would be taken for damage. A rank of the attempt before
 * may be dying still, and begin or commit something meanwhile: it makes its journal in front of its spill, so
 * a spill with a journal that was not known before is left to the next attempt. */
static dh_status tidy(const recoverer *state)
{
    if (dh_comm_rank(state->comm) != 0) {
        return DH_OK;
    }
    dh_buffer needed = {0};
    dh_status status = list_needed(state->out, &needed);
    if (status == DH_OK) {
        status = remove_needless(state->options, DH_CHECKPOINT_JOURNAL, &needed);
    }
    if (status == DH_OK) {
        status = remove_needless(state->options, DH_CHECKPOINT_SPILL, &needed);
    }
    dh_buffer_free(&needed);
    return status;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static dh_status unite(recoverer *state, const dh_buffer *journals)
{
    dh_recovery *out = state->out;
    dh_comm *comm = state->comm;
    DH_TRY(dh_comm_agree(comm, check_journals(state, journals)));
    DH_TRY(dh_shared_gather(comm, state->segment, state->segment_count, sizeof(dh_segment), sort_segments,
                            &out->memory));
    free(state->segment);
    state->segment = NULL;
    out->segment = dh_shared_data(out->memory);
    out->count = dh_shared_size(out->memory) / sizeof(dh_segment);
    DH_TRY(dh_comm_agree(comm, dh_comm_rank(comm) == 0 ? compare_doubles(state) : DH_OK));
    drop_doubles(out);
    uint64_t damaged = 0;
    DH_TRY(dh_comm_agree(comm, scan_journals(state, journals, sum_entry, &damaged)));
    uint64_t sum[] = {out->segments,   out->documents, out->text_bytes,
                      out->file_bytes, out->bad,       state->damaged};
    DH_TRY(dh_comm_sum(comm, sum, sizeof sum / sizeof *sum));
    out->segments = sum[0];
    out->documents = sum[1];
    out->text_bytes = sum[2];
    out->file_bytes = sum[3];
    out->bad = sum[4];
    out->damaged = sum[5];
    return dh_comm_agree(comm, tidy(state));
}

static dh_status recover(recoverer *state)
{
    dh_buffer journals = {0};
    dh_status status = share_journals(state->comm, state->options, &journals);
    if (status == DH_OK) {
        status = unite(state, &journals);
    }
    dh_buffer_free(&journals);
    return status;
}

dh_status dh_recover(dh_comm *comm, const dh_schema *schema, const dh_recover_options *options,
                     dh_recovery *out)
{
    *out = (dh_recovery){0};
    recoverer state = {.comm = comm, .schema = schema, .options = options, .out = out};
    const dh_status status = recover(&state);
    free(state.segment);
    dh_buffer_free(&state.scratch);
    return status;
}

void dh_recovery_free(dh_recovery *recovery)
{
    dh_shared_free(recovery->memory);
    dh_chunk_list_free(&recovery->chunks);
    *recovery = (dh_recovery){0};
}
