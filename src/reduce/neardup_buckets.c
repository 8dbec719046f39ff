/* Buckets: documents that share a band, and the comparison of their signatures. Small buckets are gathered
 * until their rows fill the memory, so that the signatures are read in the order of rows; a large one
 * streams. */
#include "reduce/neardup_internal.h"

#include <stdlib.h>
#include <string.h>

/* Signatures are read in runs; rows nearer than GAP are read with what lies between. */
enum { GAP = 8, RUN_ROWS = 256, MEMBERS_MIN = 4 * DH_BUCKET_PAIRS_MAX };

typedef struct waiting_bucket {
    uint64_t key;
    size_t end; /* of its members */
} waiting_bucket;

struct dh_buckets {
    dh_neardup_work *work;
    size_t members_max;
    uint64_t *member; /* of the buckets that wait, bucket after bucket, then of the one that comes in */
    size_t member_count;
    waiting_bucket *bucket; /* those that wait */
    size_t bucket_count;
    uint64_t *sorted; /* different members, whose signatures are there */
    uint32_t *signature;
    size_t sorted_count;
    uint32_t *run; /* signatures of RUN_ROWS rows, as they are read */
    bool is_open;  /* a bucket comes in */
    uint64_t key;
    size_t begin;  /* of the bucket that comes in, in member */
    bool is_large; /* it has more than DH_BUCKET_PAIRS_MAX members */
    dh_leaders leaders, earlier_leaders;
};

static bool is_new(uint64_t member)
{
    return member >= DH_MEMBER_NEW;
}

void dh_buckets_free(dh_buckets *buckets)
{
    if (buckets != NULL) {
        free(buckets->member);
        free(buckets->bucket);
        free(buckets->sorted);
        free(buckets->signature);
        free(buckets->run);
        free(buckets->leaders.signature);
        free(buckets->earlier_leaders.signature);
        free(buckets);
    }
}

static dh_status allocate_all(dh_buckets *buckets, size_t signature_size)
{
    void *memory[7] = {0};
    const size_t members = buckets->members_max;
    const struct {
        size_t count, size;
    } wanted[7] = {
        {members, sizeof *buckets->member},
        {members / 2 + 1, sizeof *buckets->bucket},
        {members, sizeof *buckets->sorted},
        {members, signature_size},
        {RUN_ROWS, signature_size},
        {DH_BUCKET_LEADERS_MAX, signature_size},
        {DH_BUCKET_LEADERS_MAX, signature_size},
    };
    dh_status status = DH_OK;
    for (int i = 0; i < 7 && status == DH_OK; i++) {
        status = dh_allocate(wanted[i].count, wanted[i].size, "buckets of near-duplicates", &memory[i]);
    }
    buckets->member = memory[0];
    buckets->bucket = memory[1];
    buckets->sorted = memory[2];
    buckets->signature = memory[3];
    buckets->run = memory[4];
    buckets->leaders.signature = memory[5];
    buckets->earlier_leaders.signature = memory[6];
    return status;
}

dh_status dh_buckets_create(dh_neardup_work *work, uint64_t memory, dh_buckets **out)
{
    void *place = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_buckets), "buckets of near-duplicates", &place));
    dh_buckets *buckets = place;
    const size_t signature_size = dh_match_places(&work->match) * sizeof(uint32_t);
    const size_t member_size = signature_size + 3 * sizeof(uint64_t);
    /* A document is in as many buckets as there are bands at most. */
    const uint64_t most = (work->reduce->table->rows + MEMBERS_MIN) * work->match.bands;
    uint64_t members = memory / member_size;
    members = members < most ? members : most;
    buckets->work = work;
    buckets->members_max = members > MEMBERS_MIN ? members : MEMBERS_MIN;
    const dh_status status = allocate_all(buckets, signature_size);
    if (status != DH_OK) {
        dh_buckets_free(buckets);
        return status;
    }
    *out = buckets;
    return DH_OK;
}

/* ---- signatures -------------------------------------------------------------------------------------- */

static int compare_members(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* The members as they are needed: sorted, each once. */
static void sort_members(dh_buckets *buckets, size_t count)
{
    memcpy(buckets->sorted, buckets->member, count * sizeof *buckets->sorted);
    qsort(buckets->sorted, count, sizeof *buckets->sorted, compare_members);
    buckets->sorted_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || buckets->sorted[i] != buckets->sorted[i - 1]) {
            buckets->sorted[buckets->sorted_count++] = buckets->sorted[i];
        }
    }
}

/* How many members from `at` on are read together. */
static size_t run_length(const dh_buckets *buckets, size_t at)
{
    const uint64_t *sorted = buckets->sorted;
    size_t end = at + 1;
    while (end < buckets->sorted_count && sorted[end] - sorted[end - 1] <= GAP &&
           sorted[end] - sorted[at] < RUN_ROWS) {
        end++;
    }
    return end - at;
}

static dh_status read_run(dh_buckets *buckets, size_t at, size_t length)
{
    const dh_neardup_work *work = buckets->work;
    const uint64_t first = buckets->sorted[at];
    const uint64_t count = buckets->sorted[at + length - 1] - first + 1;
    const size_t places = dh_match_places(&work->match);
    if (is_new(first)) {
        DH_TRY(dh_row_reader_column(work->reduce->reader, work->signature, first & ~DH_MEMBER_NEW,
                                    (uint32_t)count, buckets->run));
    } else {
        DH_TRY(dh_earlier_signatures(work->earlier, first, count, buckets->run));
    }
    for (size_t i = at; i < at + length; i++) {
        memcpy(buckets->signature + i * places, buckets->run + (buckets->sorted[i] - first) * places,
               places * sizeof *buckets->run);
    }
    return DH_OK;
}

/* Reads the signatures of the first `count` members. */
static dh_status read_signatures(dh_buckets *buckets, size_t count)
{
    DH_TRY(dh_progress_poll(buckets->work->reduce->progress));
    sort_members(buckets, count);
    for (size_t at = 0; at < buckets->sorted_count;) {
        const size_t length = run_length(buckets, at);
        DH_TRY(read_run(buckets, at, length));
        at += length;
    }
    return DH_OK;
}

static const uint32_t *signature_of(const dh_buckets *buckets, uint64_t member)
{
    size_t low = 0;
    size_t high = buckets->sorted_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (buckets->sorted[middle] <= member) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return buckets->signature + low * dh_match_places(&buckets->work->match);
}

/* ---- comparison -------------------------------------------------------------------------------------- */

/* The later one of two members, which is new, duplicates the earlier one. */
static dh_status keep(const dh_buckets *buckets, uint64_t earlier, uint64_t later)
{
    return dh_neardup_add_edge(buckets->work, is_new(earlier) ? DH_EDGE_SIMILAR : DH_EDGE_AGAINST,
                               later & ~DH_MEMBER_NEW, earlier & ~DH_MEMBER_NEW);
}

/* Connects two members; false: they were connected before. group: a number for each member. */
static bool connect(uint8_t *group, size_t count, size_t a, size_t b)
{
    const uint8_t from = group[a];
    const uint8_t to = group[b];
    for (size_t i = 0; i < count && from != to; i++) {
        group[i] = group[i] == from ? to : group[i];
    }
    return from != to;
}

/* All pairs of a small bucket. A pair that shares several bands is counted in the first. It is compared in
 * each: the other bucket may be a large one, where not all are compared with all. But it is told again only
 * where nothing else in this bucket connects the two. */
static dh_status compare_all(dh_buckets *buckets, uint64_t key, const uint64_t *member, size_t count)
{
    dh_neardup_work *work = buckets->work;
    const dh_match *match = &work->match;
    const uint32_t *signature[DH_BUCKET_PAIRS_MAX] = {NULL};
    uint8_t group[DH_BUCKET_PAIRS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        signature[i] = signature_of(buckets, member[i]);
        group[i] = (uint8_t)i;
    }
    const uint32_t band = dh_match_band_of_key(match, signature[0], key);
    for (size_t later = 1; later < count; later++) {
        for (size_t earlier = 0; earlier < later && is_new(member[later]); earlier++) {
            const uint32_t *a = signature[earlier];
            const uint32_t *b = signature[later];
            const bool both_new = is_new(member[earlier]);
            const bool is_first = !both_new || !dh_match_share_before(match, a, b, band);
            work->candidates += both_new && is_first;
            if (dh_match_is_near(match, a, b) &&
                ((both_new && connect(group, count, earlier, later)) || is_first)) {
                DH_TRY(keep(buckets, member[earlier], member[later]));
            }
        }
    }
    return DH_OK;
}

/* All buckets that wait; the one that comes in keeps its members. */
static dh_status compare_waiting(dh_buckets *buckets)
{
    if (buckets->bucket_count > 0) {
        DH_TRY(read_signatures(buckets, buckets->begin));
    }
    size_t from = 0;
    for (size_t i = 0; i < buckets->bucket_count; i++) {
        const waiting_bucket *bucket = &buckets->bucket[i];
        DH_TRY(compare_all(buckets, bucket->key, buckets->member + from, bucket->end - from));
        from = bucket->end;
    }
    buckets->bucket_count = 0;
    buckets->member_count -= buckets->begin;
    memmove(buckets->member, buckets->member + buckets->begin,
            buckets->member_count * sizeof *buckets->member);
    buckets->begin = 0;
    return DH_OK;
}

static dh_status compare_with(dh_buckets *buckets, dh_leaders *leaders, uint64_t member,
                              const uint32_t *signature, uint64_t *compared)
{
    const dh_match *match = &buckets->work->match;
    const uint32_t found = dh_leaders_find(leaders, match, signature, compared);
    if (found < leaders->count) {
        return is_new(member) ? keep(buckets, leaders->row[found], member) : DH_OK;
    }
    if (is_new(member) == (leaders == &buckets->leaders)) {
        dh_leaders_add(leaders, match, member, signature);
    }
    return DH_OK;
}

/* The members of a large bucket that are there; they are all that is. Those of the earlier result come first.
 */
static dh_status compare_large(dh_buckets *buckets)
{
    DH_TRY(read_signatures(buckets, buckets->member_count));
    for (size_t i = 0; i < buckets->member_count; i++) {
        const uint64_t member = buckets->member[i];
        const uint32_t *signature = signature_of(buckets, member);
        uint64_t unused = 0;
        DH_TRY(compare_with(buckets, &buckets->earlier_leaders, member, signature, &unused));
        if (is_new(member)) {
            DH_TRY(compare_with(buckets, &buckets->leaders, member, signature, &buckets->work->candidates));
        }
    }
    buckets->member_count = 0;
    return DH_OK;
}

/* ---- buckets come in --------------------------------------------------------------------------------- */

/* The bucket that came in is complete. */
static dh_status close_bucket(dh_buckets *buckets)
{
    if (buckets->is_large) {
        buckets->is_large = false;
        return compare_large(buckets);
    }
    /* Members are ascending: the last one is new if any is. */
    const size_t count = buckets->member_count - buckets->begin;
    if (count < 2 || !is_new(buckets->member[buckets->member_count - 1])) {
        buckets->member_count = buckets->begin;
        return DH_OK;
    }
    buckets->bucket[buckets->bucket_count++] =
        (waiting_bucket){.key = buckets->key, .end = buckets->member_count};
    buckets->begin = buckets->member_count;
    return DH_OK;
}

static dh_status open_bucket(dh_buckets *buckets, uint64_t key)
{
    if (buckets->members_max - buckets->member_count <= DH_BUCKET_PAIRS_MAX) {
        DH_TRY(compare_waiting(buckets));
    }
    buckets->is_open = true;
    buckets->key = key;
    return DH_OK;
}

dh_status dh_buckets_add(dh_buckets *buckets, uint64_t key, uint64_t member)
{
    if (!buckets->is_open || key != buckets->key) {
        DH_TRY(close_bucket(buckets));
        DH_TRY(open_bucket(buckets, key));
    }
    buckets->member[buckets->member_count++] = member;
    if (!buckets->is_large && buckets->member_count - buckets->begin > DH_BUCKET_PAIRS_MAX) {
        DH_TRY(compare_waiting(buckets));
        buckets->is_large = true;
        buckets->leaders.count = 0;
        buckets->earlier_leaders.count = 0;
    }
    return buckets->is_large && buckets->member_count == buckets->members_max ? compare_large(buckets)
                                                                              : DH_OK;
}

dh_status dh_buckets_end(dh_buckets *buckets)
{
    DH_TRY(close_bucket(buckets));
    return compare_waiting(buckets);
}
