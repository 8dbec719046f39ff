/* The order of terms by frequency: a second shuffle, by ranges that a sample shows to be of about equal size.
 * Only terms that can be among the commonest take part, unless all are to be written. */
#include "reduce/reduce.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAMPLES = 1024, /* keys of a rank that the ranges are made from */
    SLACK_SHARE = 8,
    NUMBER_BYTES = 8,
    WRITE_BYTES = 1 << 20,
    MEBI_BITS = 20,
    CONTINUES = 0xC0,
    CONTINUATION = 0x80
};

/* ---- keys ---------------------------------------------------------------------------------------------
 *
 * Most terms occur once, so half of the keys are theirs. A key begins as the pairs are ordered: a bit for
 * terms that occur once and the first 7 bytes of the term; else 16 bits that fall as the frequency grows, and
 * 47 bits of the term. From 65,535 occurrences on, the frequency in the pair's name decides alone. */

enum { CLASS_BITS = 16, CLASS_MAX = (1 << CLASS_BITS) - 1, KEY_BITS = 64 };

static uint64_t first_bytes(const uint8_t *term, uint32_t size)
{
    uint8_t bytes[NUMBER_BYTES] = {0};
    memcpy(bytes, term, size < NUMBER_BYTES ? size : NUMBER_BYTES);
    return dh_pair_number(bytes);
}

static uint64_t key_of(const uint8_t *term, uint32_t size, uint64_t frequency)
{
    const uint64_t once = UINT64_C(1) << (KEY_BITS - 1);
    if (frequency <= 1) {
        return once | first_bytes(term, size) >> 1;
    }
    if (frequency >= CLASS_MAX) {
        return 0;
    }
    return (CLASS_MAX - frequency) << (KEY_BITS - 1 - CLASS_BITS) |
           first_bytes(term, size) >> (CLASS_BITS + 1);
}

/* ---- which terms can be among the commonest -----------------------------------------------------------
 *
 * Frequencies are counted in buckets, exact ones below 4,096 and with 12 bits above. */

enum {
    EXACT_BITS = 12,
    EXACT = 1 << EXACT_BITS,
    HALF = EXACT / 2,
    BUCKETS = EXACT + (KEY_BITS - EXACT_BITS) * HALF
};

static uint32_t bucket_of(uint64_t frequency)
{
    if (frequency < EXACT) {
        return (uint32_t)frequency;
    }
    const unsigned shift = (unsigned)(KEY_BITS - EXACT_BITS) - (unsigned)__builtin_clzll(frequency);
    return EXACT + (shift - 1) * HALF + (uint32_t)(frequency >> shift) - HALF;
}

static uint64_t least_of(uint32_t bucket)
{
    if (bucket < EXACT) {
        return bucket;
    }
    const unsigned shift = (bucket - EXACT) / HALF + 1;
    return (uint64_t)(HALF + (bucket - EXACT) % HALF) << shift;
}

typedef struct sample {
    uint64_t count;
    uint64_t key[SAMPLES];
} sample;

typedef struct term_ranking {
    const dh_reduce *reduce;
    dh_terms *terms;
    bool writes; /* all terms, to the file */
    uint64_t top;
    uint64_t stride; /* between two samples */
    uint64_t seen;
    uint64_t *bucket; /* BUCKETS */
    sample *samples;  /* this rank's, then one a rank */
    uint64_t *split;
    dh_buffer name;          /* of a pair */
    uint64_t least;          /* frequency of terms that take part */
    uint64_t *count, *bytes; /* terms and bytes of their lines that go to each rank, of all ranks */
    dh_shuffle *shuffle;
} term_ranking;

static dh_status look_at(void *context, const uint8_t *term, uint32_t size, uint64_t frequency,
                         uint64_t documents)
{
    term_ranking *ranking = context;
    (void)documents;
    ranking->bucket[bucket_of(frequency)]++;
    sample *mine = ranking->samples;
    if (ranking->seen++ % ranking->stride == 0 && mine->count < SAMPLES) {
        mine->key[mine->count++] = key_of(term, size, frequency);
    }
    return DH_OK;
}

static void find_least(term_ranking *ranking)
{
    uint64_t above = 0;
    uint32_t b = BUCKETS;
    while (b > 0 && above < ranking->top) {
        above += ranking->bucket[--b];
    }
    ranking->least = ranking->writes ? 0 : least_of(b);
}

static int compare_keys(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* all: of every rank. Sorted in place. */
static void find_splits(term_ranking *ranking, const sample *all, uint32_t ranks, uint64_t *key)
{
    const uint8_t last[NUMBER_BYTES] = {UINT8_MAX, UINT8_MAX, UINT8_MAX, UINT8_MAX,
                                        UINT8_MAX, UINT8_MAX, UINT8_MAX, UINT8_MAX};
    const uint64_t key_max = key_of(last, sizeof last, ranking->least);
    size_t count = 0;
    for (uint32_t r = 0; r < ranks; r++) {
        for (uint64_t i = 0; i < all[r].count && i < SAMPLES; i++) {
            if (all[r].key[i] <= key_max) {
                key[count++] = all[r].key[i];
            }
        }
    }
    qsort(key, count, sizeof *key, compare_keys);
    for (uint32_t r = 1; r < ranks; r++) {
        ranking->split[r - 1] = count > 0 ? key[count * r / ranks] : UINT64_MAX;
    }
}

/* COLLECTIVE. */
static dh_status make_splits(term_ranking *ranking)
{
    dh_comm *comm = ranking->reduce->comm;
    const uint32_t ranks = (uint32_t)dh_comm_size(comm);
    void *all = NULL;
    void *key = NULL;
    dh_status status = dh_allocate(ranks, sizeof(sample), "samples of terms", &all);
    if (status == DH_OK) {
        status = dh_allocate(ranks, sizeof ranking->samples->key, "samples of terms", &key);
    }
    status = dh_comm_agree(comm, status);
    if (status == DH_OK) {
        status = dh_comm_gather(comm, ranking->samples, sizeof(sample), all);
    }
    if (status == DH_OK && key != NULL) {
        find_splits(ranking, all, ranks, key);
    }
    free(all);
    free(key);
    return status;
}

/* ---- the shuffle -------------------------------------------------------------------------------------- */

static uint32_t rank_of(const term_ranking *ranking, uint64_t key)
{
    uint32_t low = 0;
    uint32_t high = (uint32_t)dh_comm_size(ranking->reduce->comm) - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (ranking->split[middle] <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t digits_of(uint64_t number)
{
    uint32_t digits = 1;
    for (; number > 9; number /= 10) {
        digits++;
    }
    return digits;
}

/* Bytes of a term's line in the file. */
static uint64_t line_size(uint32_t size, uint64_t frequency, uint64_t documents)
{
    return (uint64_t)size + digits_of(frequency) + digits_of(documents) + 3;
}

static dh_status send_term(void *context, const uint8_t *term, uint32_t size, uint64_t frequency,
                           uint64_t documents)
{
    term_ranking *ranking = context;
    if (frequency < ranking->least) {
        return DH_OK;
    }
    uint8_t value[NUMBER_BYTES];
    uint8_t order[NUMBER_BYTES];
    dh_pair_put_number(order, ~frequency);
    dh_pair_put_number(value, documents);
    ranking->name.size = 0;
    DH_TRY(dh_buffer_append(&ranking->name, order, sizeof order));
    DH_TRY(dh_buffer_append(&ranking->name, term, size));
    const dh_pair pair = {.key = key_of(term, size, frequency),
                          .name = ranking->name.data,
                          .name_size = (uint32_t)ranking->name.size,
                          .value = value,
                          .value_size = sizeof value};
    const uint32_t to = rank_of(ranking, pair.key);
    ranking->count[to]++;
    ranking->bytes[to] += line_size(size, frequency, documents);
    return dh_shuffle_add(ranking->shuffle, &pair);
}

/* A term as the shuffle gives it back. */
typedef struct ranked_term {
    const uint8_t *bytes;
    uint32_t size;
    uint64_t frequency, documents;
} ranked_term;

static dh_status next_term(const term_ranking *ranking, ranked_term *out)
{
    dh_pair pair;
    DH_TRY(dh_shuffle_next(ranking->shuffle, &pair));
    if (pair.name_size <= NUMBER_BYTES || pair.value_size != NUMBER_BYTES) {
        return dh_error(DH_INTERNAL,
                        "the shuffle of the vocabulary gave a name of %u and a value of %u bytes",
                        pair.name_size, pair.value_size);
    }
    *out = (ranked_term){.bytes = pair.name + NUMBER_BYTES,
                         .size = pair.name_size - NUMBER_BYTES,
                         .frequency = ~dh_pair_number(pair.name),
                         .documents = dh_pair_number(pair.value)};
    return DH_OK;
}

/* ---- the file ----------------------------------------------------------------------------------------- */

static const char header[] = "term\tfrequency\tdocuments\n";

typedef struct line_file {
    int file; /* -1: nothing is written */
    const char *path;
    uint64_t offset;
    dh_buffer buffer;
} line_file;

static dh_status flush_lines(line_file *lines)
{
    if (lines->buffer.size > 0) {
        DH_TRY(dh_file_write_at(lines->file, lines->path, lines->buffer.data, lines->buffer.size,
                                lines->offset));
        lines->offset += lines->buffer.size;
        lines->buffer.size = 0;
    }
    return DH_OK;
}

/* Tokens have neither tabs nor ends of lines in them. */
static dh_status put_line(line_file *lines, const ranked_term *term)
{
    DH_TRY(dh_buffer_append(&lines->buffer, term->bytes, term->size));
    DH_TRY(
        dh_buffer_printf(&lines->buffer, "\t%" PRIu64 "\t%" PRIu64 "\n", term->frequency, term->documents));
    return lines->buffer.size >= WRITE_BYTES ? flush_lines(lines) : DH_OK;
}

/* Rank 0 makes the file, then all open it. COLLECTIVE. */
static dh_status open_lines(const term_ranking *ranking, uint64_t before, line_file *out)
{
    const dh_reduce *reduce = ranking->reduce;
    if (!ranking->writes) {
        return DH_OK;
    }
    out->path = reduce->vocab_tsv;
    out->offset = sizeof header - 1 + before;
    dh_status status = DH_OK;
    if (dh_comm_rank(reduce->comm) == 0) {
        status = dh_file_open(out->path, O_WRONLY | O_CREAT | O_TRUNC, &out->file);
        if (status == DH_OK) {
            status = dh_file_write_at(out->file, out->path, header, sizeof header - 1, 0);
        }
    }
    DH_TRY(dh_comm_agree(reduce->comm, status));
    return out->file >= 0 ? DH_OK : dh_file_open(out->path, O_WRONLY, &out->file);
}

static dh_status close_lines(line_file *lines, dh_status status)
{
    if (lines->file >= 0) {
        status = status == DH_OK ? flush_lines(lines) : status;
        status = status == DH_OK ? dh_file_sync(lines->file, lines->path) : status;
        const dh_status closed = dh_file_close(lines->file, lines->path);
        status = status == DH_OK ? closed : status;
    }
    dh_buffer_free(&lines->buffer);
    return status;
}

/* ---- the commonest ------------------------------------------------------------------------------------ */

/* What goes to rank 0 of each of them, and its bytes behind. */
typedef struct top_head {
    uint64_t frequency, documents;
    uint64_t size;
} top_head;

enum {
    ARRAY_BYTES = 2 * NUMBER_BYTES,
    TYPICAL_BYTES = 8
}; /* of a term: numbers for the writer; its length */

uint64_t dh_terms_memory(uint64_t top)
{
    const uint64_t each = sizeof(top_head) + ARRAY_BYTES + 2 * TYPICAL_BYTES;
    return top < UINT64_MAX / each ? top * each : UINT64_MAX;
}

static dh_status too_many(const dh_reduce *reduce, uint64_t count, uint64_t needed)
{
    return dh_error(DH_USAGE,
                    "--top %" PRIu64 ": %" PRIu64 " terms take %" PRIu64
                    " bytes on a rank: give --memory %" PRIu64 "M, or a smaller --top",
                    (uint64_t)reduce->settings->job_options.top, count, needed, (needed >> MEBI_BITS) + 1);
}

/* Of the memory, beside the shuffle: for the terms of this rank that go to rank 0. */
static uint64_t top_memory(const term_ranking *ranking)
{
    const uint64_t memory = ranking->reduce->memory;
    const uint64_t wanted = dh_terms_memory(ranking->top);
    return wanted < memory / 2 ? wanted : memory / 2;
}

static dh_status put_top(dh_buffer *top, const ranked_term *term)
{
    uint32_t size = term->size;
    if (size > DH_TERM_WIDTH_MAX) {
        size = DH_TERM_WIDTH_MAX;
        while (size > 0 && (term->bytes[size] & CONTINUES) == CONTINUATION) {
            size--;
        }
    }
    const top_head head = {.frequency = term->frequency, .documents = term->documents, .size = size};
    DH_TRY(dh_buffer_append(top, &head, sizeof head));
    return dh_buffer_append(top, term->bytes, size);
}

static dh_status take_top(void *context, int rank, const void *bytes, size_t size)
{
    (void)rank; /* ranks come in their order, which is that of the terms */
    return dh_buffer_append(context, bytes, size);
}

/* Of the terms of all ranks together. */
typedef struct top_sizes {
    uint64_t count, bytes; /* of records */
    uint64_t width;        /* bytes of the longest */
} top_sizes;

/* COLLECTIVE. DH_USAGE (logged by rank 0): there is no room for them, though the shuffle is gone. */
static dh_status measure_top(const dh_reduce *reduce, const dh_buffer *mine, top_sizes *out)
{
    uint64_t sums[] = {0, mine->size};
    uint64_t width = 1;
    for (size_t at = 0; at < mine->size; sums[0]++) {
        top_head head;
        memcpy(&head, mine->data + at, sizeof head);
        width = head.size > width ? head.size : width;
        at += sizeof head + head.size;
    }
    DH_TRY(dh_comm_sum(reduce->comm, sums, sizeof sums / sizeof *sums));
    DH_TRY(dh_comm_max(reduce->comm, &width, 1));
    *out = (top_sizes){.count = sums[0], .bytes = sums[1], .width = width};
    const uint64_t arrays = out->count * (width + ARRAY_BYTES);
    const uint64_t needed = out->bytes + (arrays > mine->capacity ? arrays : mine->capacity);
    dh_status status = DH_OK;
    if (dh_comm_rank(reduce->comm) == 0 && needed > reduce->memory) {
        status = too_many(reduce, out->count, needed);
    }
    return dh_comm_agree(reduce->comm, status);
}

/* On rank 0: the records of all ranks become arrays. */
static dh_status lay_out_top(const dh_buffer *top, const top_sizes *sizes, dh_terms *terms)
{
    const uint64_t width = sizes->width;
    const uint64_t count = sizes->count;
    void *term = NULL;
    void *frequency = NULL;
    void *documents = NULL;
    dh_status status = dh_allocate(count, width, "the commonest terms", &term);
    status = status == DH_OK ? dh_allocate(count, sizeof(uint64_t), "their frequencies", &frequency) : status;
    status = status == DH_OK ? dh_allocate(count, sizeof(uint64_t), "their documents", &documents) : status;
    terms->term = term;
    terms->frequency = frequency;
    terms->documents = documents;
    DH_TRY(status);
    for (size_t at = 0, i = 0; at < top->size; i++) {
        top_head head;
        memcpy(&head, top->data + at, sizeof head);
        memcpy(terms->term + i * width, top->data + at + sizeof head, head.size);
        terms->frequency[i] = head.frequency;
        terms->documents[i] = head.documents;
        at += sizeof head + head.size;
    }
    terms->top_count = count;
    terms->term_width = (uint32_t)width;
    return DH_OK;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static dh_status take_terms(const term_ranking *ranking, uint64_t first, line_file *lines, dh_buffer *top)
{
    const uint64_t room = top_memory(ranking) + ranking->reduce->memory / SLACK_SHARE;
    ranked_term term;
    dh_status status = DH_OK;
    for (uint64_t place = first; (status = next_term(ranking, &term)) == DH_OK; place++) {
        if (place < ranking->top) {
            DH_TRY(put_top(top, &term));
            if (top->size > room) {
                /* as records and as arrays, where the longest has more than the average */
                const uint64_t each = top->size / (place - first + 1) + TYPICAL_BYTES;
                return too_many(ranking->reduce, ranking->top, 2 * ranking->top * each);
            }
        } else if (!ranking->writes) {
            return DH_OK;
        }
        if (ranking->writes) {
            DH_TRY(put_line(lines, &term));
        }
        if (place % SAMPLES == 0) {
            dh_progress_tell(ranking->reduce->progress, place - first);
            DH_TRY(dh_progress_poll(ranking->reduce->progress));
        }
    }
    return status == DH_END ? DH_OK : status;
}

/* This rank's become arrays of rank 0; *mine is freed. COLLECTIVE. */
static dh_status bring_top(const dh_reduce *reduce, dh_buffer *mine, dh_terms *terms)
{
    const bool is_root = dh_comm_rank(reduce->comm) == 0;
    top_sizes sizes = {0};
    dh_buffer all = {0};
    DH_TRY(measure_top(reduce, mine, &sizes));
    dh_status status = dh_comm_agree(reduce->comm, is_root ? dh_buffer_reserve(&all, sizes.bytes) : DH_OK);
    if (status != DH_OK) {
        dh_buffer_free(&all);
        return status;
    }
    status = dh_comm_collect(reduce->comm, mine->data, mine->size, take_top, &all);
    dh_buffer_free(mine);
    if (status == DH_OK && is_root) {
        status = lay_out_top(&all, &sizes, terms);
    }
    dh_buffer_free(&all);
    return dh_comm_agree(reduce->comm, status);
}

/* COLLECTIVE, behind the shuffle's finish. */
static dh_status bring_out(term_ranking *ranking)
{
    dh_comm *comm = ranking->reduce->comm;
    const uint32_t ranks = (uint32_t)dh_comm_size(comm);
    DH_TRY(dh_comm_sum(comm, ranking->count, ranks));
    DH_TRY(dh_comm_sum(comm, ranking->bytes, ranks));
    uint64_t first = 0;
    uint64_t before = 0;
    for (int r = 0; r < dh_comm_rank(comm); r++) {
        first += ranking->count[r];
        before += ranking->bytes[r];
    }
    dh_buffer top = {0};
    line_file lines = {.file = -1};
    dh_progress_step(ranking->reduce->progress, DH_STEP_VOCABULARY_STORE,
                     ranking->writes ? ranking->count[dh_comm_rank(comm)] : 0);
    dh_status status = open_lines(ranking, before, &lines);
    status = status == DH_OK ? take_terms(ranking, first, &lines, &top) : status;
    status = dh_terms_agree(ranking->reduce, close_lines(&lines, status));
    dh_shuffle_free(ranking->shuffle); /* what rank 0 lays out takes its room */
    ranking->shuffle = NULL;
    if (status == DH_OK) {
        status = bring_top(ranking->reduce, &top, ranking->terms);
    }
    dh_buffer_free(&top);
    return status;
}

/* COLLECTIVE. */
static dh_status shuffle_terms(term_ranking *ranking)
{
    const dh_reduce *reduce = ranking->reduce;
    const uint64_t memory = reduce->memory - reduce->memory / SLACK_SHARE - top_memory(ranking);
    const dh_shuffle_options options = {.name = "vocab",
                                        .folder = reduce->scratch,
                                        .epoch = reduce->epoch,
                                        .memory =
                                            memory > DH_SHUFFLE_MEMORY_MIN ? memory : DH_SHUFFLE_MEMORY_MIN,
                                        .split = ranking->split,
                                        .poll = dh_progress_poll,
                                        .poll_context = reduce->progress};
    dh_status status = dh_shuffle_create(reduce->comm, &options, &ranking->shuffle);
    DH_TRY(dh_comm_agree(reduce->comm, status));
    dh_progress_step(reduce->progress, DH_STEP_VOCABULARY_SORT,
                     ranking->terms->stage.pairs / (uint64_t)dh_comm_size(reduce->comm));
    status = dh_terms_visit(reduce, ranking->terms, send_term, ranking);
    DH_TRY(dh_shuffle_finish(ranking->shuffle, status));
    return bring_out(ranking);
}

static dh_status make_room(term_ranking *ranking)
{
    const size_t ranks = (size_t)dh_comm_size(ranking->reduce->comm);
    void *memory = NULL;
    DH_TRY(dh_allocate(BUCKETS, sizeof(uint64_t), "frequencies of terms", &memory));
    ranking->bucket = memory;
    DH_TRY(dh_allocate(1, sizeof(sample), "samples of terms", &memory));
    ranking->samples = memory;
    DH_TRY(dh_allocate(3 * ranks, sizeof(uint64_t), "ranges of terms", &memory));
    ranking->split = memory;
    ranking->count = ranking->split + ranks;
    ranking->bytes = ranking->count + ranks;
    return DH_OK;
}

dh_status dh_terms_rank(const dh_reduce *reduce, dh_terms *terms)
{
    const uint64_t wanted = reduce->settings->job_options.top;
    const uint64_t ranks = (uint64_t)dh_comm_size(reduce->comm);
    term_ranking ranking = {.reduce = reduce,
                            .terms = terms,
                            .writes = reduce->vocab_tsv != NULL,
                            .top = wanted < terms->terms ? wanted : terms->terms,
                            .stride = terms->terms / ranks / SAMPLES + 1};
    terms->term_width = 1;
    if (ranking.top == 0 && !ranking.writes) {
        return DH_OK;
    }
    dh_status status = dh_comm_agree(reduce->comm, make_room(&ranking));
    if (status == DH_OK) {
        dh_progress_step(reduce->progress, DH_STEP_VOCABULARY, terms->stage.pairs / ranks);
        status = dh_terms_agree(reduce, dh_terms_visit(reduce, terms, look_at, &ranking));
    }
    status = status == DH_OK ? dh_comm_sum(reduce->comm, ranking.bucket, BUCKETS) : status;
    if (status == DH_OK) {
        find_least(&ranking);
        status = make_splits(&ranking);
    }
    status = status == DH_OK ? shuffle_terms(&ranking) : status;
    dh_shuffle_free(ranking.shuffle);
    dh_buffer_free(&ranking.name);
    free(ranking.bucket);
    free(ranking.samples);
    free(ranking.split);
    return status;
}
