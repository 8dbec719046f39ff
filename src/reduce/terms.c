#include "reduce/reduce.h"

#include "base/file.h"
#include "base/log.h"
#include "run/terms.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    POLL_TERMS = 4096, /* between two looks at the watch */
    SLACK_SHARE = 8,   /* of the memory, for what is not the shuffle's */
    KEEPER_SHARE = 16, /* of the memory, for terms on their way to it */
    KEPT_MAX = 1 << 19,
    KEPT_NAME = 39, /* bytes of a term that is kept: 64 with the rest */
    GROUP = 16,
    UTF8_CONTINUATION = 2, /* the upper two bits of a byte that begins no character */
    SHORTENED_MAX = DH_TERM_BYTES_MAX + 1 + 2 * sizeof(XXH128_canonical_t),
    FIGURE_TERMS = 0,
    FIGURE_OCCURRENCES,
    FIGURES = 8
};

/* Value of a pair of the stage. */
typedef struct term_counts {
    uint64_t frequency, documents;
} term_counts;

static dh_stage_place stage_place(const dh_reduce *reduce)
{
    dh_stage_place place = {.folder = reduce->folder,
                            .name = "terms",
                            .comm = reduce->comm,
                            .epoch = reduce->epoch,
                            .may_write = dh_watch_may_write,
                            .write_context = reduce->watch};
    memcpy(place.run, reduce->run, sizeof place.run);
    return place;
}

dh_status dh_terms_agree(const dh_reduce *reduce, dh_status status)
{
    if (status != DH_OK && status != DH_AGAIN && status != DH_LOCKED) {
        dh_watch_fail(reduce->watch);
    }
    return dh_comm_agree(reduce->comm, status);
}

/* ---- from the chunks to the stage -------------------------------------------------------------------- */

/* What stands for a term that is too long: its beginning, a mark that no term has in it, and a hash. */
static void shorten(const uint8_t **term, uint32_t *size, uint8_t out[SHORTENED_MAX])
{
    uint32_t kept = DH_TERM_BYTES_MAX;
    while (kept > 0 && (*term)[kept] >> 6 == UTF8_CONTINUATION) { /* the term may be damaged */
        kept--;
    }
    const XXH128_hash_t hash = XXH3_128bits(*term, *size);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    memcpy(out, *term, kept);
    out[kept] = '#';
    dh_hex_digits(bytes.digest, sizeof bytes.digest, (char *)out + kept + 1);
    *term = out;
    *size = kept + 1 + 2 * (uint32_t)sizeof bytes.digest;
}

static dh_status send_term(dh_shuffle *shuffle, uint64_t key, const uint8_t *term, uint32_t size,
                           const term_counts *counts)
{
    const dh_pair pair = {.key = key,
                          .name = term,
                          .name_size = size,
                          .value = (const uint8_t *)counts,
                          .value_size = sizeof *counts};
    return dh_shuffle_add(shuffle, &pair);
}

/* Chunks have most of their terms in common: what is kept here on the way is added up without being sorted. A
 * term has one place; it goes to the shuffle when another one needs that. */
typedef struct kept_term {
    uint64_t key;
    term_counts counts;
    uint8_t size; /* 0: nothing */
    uint8_t name[KEPT_NAME];
} kept_term;

typedef struct term_keeper {
    kept_term *place;
    uint64_t mask;
    dh_shuffle *shuffle;
} term_keeper;

/* A term of a chunk. */
typedef struct chunk_term {
    uint64_t key;
    const uint8_t *bytes;
    uint32_t size;
    term_counts counts;
} chunk_term;

static dh_status keep_term(term_keeper *keeper, const chunk_term *term)
{
    if (term->size > KEPT_NAME) {
        return send_term(keeper->shuffle, term->key, term->bytes, term->size, &term->counts);
    }
    kept_term *kept = keeper->place + (term->key & keeper->mask);
    if (kept->key == term->key && kept->size == term->size &&
        memcmp(kept->name, term->bytes, term->size) == 0) {
        kept->counts.frequency += term->counts.frequency;
        kept->counts.documents += term->counts.documents;
        return DH_OK;
    }
    if (kept->size > 0) {
        DH_TRY(send_term(keeper->shuffle, kept->key, kept->name, kept->size, &kept->counts));
    }
    kept->key = term->key;
    kept->counts = term->counts;
    kept->size = (uint8_t)term->size;
    memcpy(kept->name, term->bytes, term->size);
    return DH_OK;
}

static dh_status send_kept(const term_keeper *keeper)
{
    for (uint64_t i = 0; i <= keeper->mask; i++) {
        const kept_term *kept = keeper->place + i;
        if (kept->size > 0) {
            DH_TRY(send_term(keeper->shuffle, kept->key, kept->name, kept->size, &kept->counts));
        }
    }
    return DH_OK;
}

static dh_status damaged(const dh_chunk_entry *entry)
{
    return dh_error(DH_IO, "spill of attempt %u, rank %u: the terms of the chunk at byte %llu are damaged",
                    entry->epoch, entry->rank, (unsigned long long)entry->offset);
}

static dh_status add_chunk(const dh_reduce *reduce, term_keeper *keeper, const dh_chunk_entry *entry,
                           dh_buffer *bytes)
{
    bytes->size = 0;
    DH_TRY(dh_row_reader_terms(reduce->reader, entry, bytes));
    uint8_t shortened[SHORTENED_MAX];
    const uint8_t *at = bytes->data;
    const uint8_t *end = bytes->data + bytes->size;
    while (at < end) {
        chunk_term group[GROUP]; /* their places are fetched from memory at the same time */
        uint32_t count = 0;
        while (count < GROUP && at < end) {
            chunk_term *term = group + count++;
            if (!dh_term_decode(&at, end, &term->bytes, &term->size, &term->counts.frequency,
                                &term->counts.documents)) {
                return damaged(entry);
            }
            if (term->size > DH_TERM_BYTES_MAX) {
                shorten(&term->bytes, &term->size, shortened);
                DH_TRY(send_term(keeper->shuffle, XXH3_64bits(term->bytes, term->size), term->bytes,
                                 term->size, &term->counts));
                count--;
                continue;
            }
            term->key = XXH3_64bits(term->bytes, term->size);
            __builtin_prefetch(keeper->place + (term->key & keeper->mask), 1);
        }
        for (uint32_t i = 0; i < count; i++) {
            DH_TRY(keep_term(keeper, group + i));
        }
    }
    return dh_progress_poll(reduce->progress);
}

static dh_status add_chunks(const dh_reduce *reduce, term_keeper *keeper)
{
    const uint64_t rank = (uint64_t)dh_comm_rank(reduce->comm);
    const uint64_t ranks = (uint64_t)dh_comm_size(reduce->comm);
    const uint64_t chunks = reduce->table->count;
    const uint64_t first = chunks / ranks * rank + (rank < chunks % ranks ? rank : chunks % ranks);
    const uint64_t count = chunks / ranks + (rank < chunks % ranks ? 1 : 0);
    dh_buffer bytes = {0};
    dh_status status = DH_OK;
    dh_progress_step(reduce->progress, DH_STEP_TERMS, count);
    for (uint64_t c = first; status == DH_OK && c < first + count; c++) {
        dh_progress_tell(reduce->progress, c - first);
        status = add_chunk(reduce, keeper, reduce->table->entry + c, &bytes);
    }
    dh_buffer_free(&bytes);
    return status == DH_OK ? send_kept(keeper) : status;
}

static dh_status add_share(const dh_reduce *reduce, dh_shuffle *shuffle)
{
    uint64_t places = 1;
    while (places < KEPT_MAX && 2 * places * sizeof(kept_term) <= reduce->memory / KEEPER_SHARE) {
        places *= 2;
    }
    void *place = NULL;
    DH_TRY(dh_allocate(places, sizeof(kept_term), "terms on their way", &place));
    term_keeper keeper = {.place = place, .mask = places - 1, .shuffle = shuffle};
    const dh_status status = add_chunks(reduce, &keeper);
    free(place);
    return status;
}

static bool counts_of(const dh_pair *pair, term_counts *out)
{
    if (pair->value_size != sizeof *out) {
        return false;
    }
    memcpy(out, pair->value, sizeof *out);
    return true;
}

static dh_status write_pairs(const dh_reduce *reduce, dh_shuffle *shuffle, dh_stage_writer *writer,
                             uint64_t figure[FIGURES])
{
    dh_pair pair;
    dh_status status = DH_OK;
    dh_progress_step(reduce->progress, DH_STEP_TERMS_STORE, 0);
    while ((status = dh_shuffle_next(shuffle, &pair)) == DH_OK) {
        term_counts counts;
        if (!counts_of(&pair, &counts)) {
            return dh_error(DH_INTERNAL, "the shuffle of terms gave a value of %u bytes", pair.value_size);
        }
        DH_TRY(dh_stage_add(writer, &pair));
        figure[FIGURE_OCCURRENCES] += counts.frequency;
        if (++figure[FIGURE_TERMS] % POLL_TERMS == 0) {
            dh_progress_tell(reduce->progress, figure[FIGURE_TERMS]);
            DH_TRY(dh_progress_poll(reduce->progress));
        }
    }
    return status == DH_END ? DH_OK : status;
}

static dh_status write_stage(const dh_reduce *reduce, const dh_stage_place *place, dh_shuffle *shuffle,
                             dh_stage *out)
{
    dh_stage_writer *writer = NULL;
    uint64_t figure[FIGURES] = {0};
    DH_TRY(dh_stage_create(place, &writer));
    const dh_status written = dh_terms_agree(reduce, write_pairs(reduce, shuffle, writer, figure));
    const dh_status summed = dh_comm_sum(reduce->comm, figure, FIGURES);
    return dh_stage_commit(writer, written != DH_OK ? written : summed, figure, out);
}

static dh_status make_stage(const dh_reduce *reduce, const dh_stage_place *place, dh_stage *out)
{
    const uint64_t memory = reduce->memory - reduce->memory / SLACK_SHARE;
    const dh_shuffle_options options = {.name = "terms",
                                        .folder = reduce->scratch,
                                        .epoch = reduce->epoch,
                                        .memory =
                                            memory > DH_SHUFFLE_MEMORY_MIN ? memory : DH_SHUFFLE_MEMORY_MIN,
                                        .combine = DH_COMBINE_SUM,
                                        .poll = dh_progress_poll,
                                        .poll_context = reduce->progress};
    dh_shuffle *shuffle = NULL;
    dh_status status = dh_shuffle_create(reduce->comm, &options, &shuffle);
    status = dh_comm_agree(reduce->comm, status);
    if (status == DH_OK) {
        status = add_share(reduce, shuffle);
        status = dh_shuffle_finish(shuffle, status);
    }
    if (status == DH_OK) {
        status = write_stage(reduce, place, shuffle, out);
    }
    dh_shuffle_free(shuffle);
    return status;
}

dh_status dh_reduce_terms(const dh_reduce *reduce, dh_terms *out)
{
    const dh_stage_place place = stage_place(reduce);
    dh_terms terms = {.is_there = reduce->settings->uses_terms};
    if (!terms.is_there) {
        *out = terms;
        return DH_OK;
    }
    bool found = false;
    DH_TRY(dh_stage_find(&place, &terms.stage, &found));
    if (!found) {
        DH_TRY(make_stage(reduce, &place, &terms.stage));
    }
    terms.terms = terms.stage.figure[FIGURE_TERMS];
    terms.occurrences = terms.stage.figure[FIGURE_OCCURRENCES];
    dh_status status = DH_OK;
    if (dh_settings_job(reduce->settings, &dh_job_vocab) != NULL) {
        status = dh_terms_rank(reduce, &terms);
    }
    if (status != DH_OK) {
        dh_terms_free(&terms);
        return status;
    }
    *out = terms;
    return DH_OK;
}

void dh_terms_free(dh_terms *terms)
{
    dh_stage_free(&terms->stage);
    free(terms->term);
    free(terms->frequency);
    free(terms->documents);
    *terms = (dh_terms){0};
}

/* ---- reading the stage ------------------------------------------------------------------------------- */

static dh_status visit_pairs(const dh_reduce *reduce, dh_stage_reader *reader, dh_term_visitor *visit,
                             void *context)
{
    /* Keys are hashes: equal ranges of them are equal shares, whoever wrote the parts. */
    const uint64_t rank = (uint64_t)dh_comm_rank(reduce->comm);
    const uint64_t ranks = (uint64_t)dh_comm_size(reduce->comm);
    const uint64_t step = UINT64_MAX / ranks;
    const bool is_last = rank + 1 == ranks;
    DH_TRY(dh_stage_seek(reader, rank * step));
    dh_pair pair;
    dh_status status = DH_OK;
    uint64_t count = 0;
    while ((status = dh_stage_next(reader, false, &pair)) == DH_OK) {
        if (!is_last && pair.key >= (rank + 1) * step) {
            return DH_OK;
        }
        term_counts counts;
        if (!counts_of(&pair, &counts) || pair.name_size == 0) {
            return dh_error(DH_IO, "stage terms: a pair is damaged (a value of %u bytes)", pair.value_size);
        }
        DH_TRY(visit(context, pair.name, pair.name_size, counts.frequency, counts.documents));
        if (++count % POLL_TERMS == 0) {
            dh_progress_tell(reduce->progress, count);
            DH_TRY(dh_progress_poll(reduce->progress));
        }
    }
    return status == DH_END ? DH_OK : status;
}

dh_status dh_terms_visit(const dh_reduce *reduce, const dh_terms *terms, dh_term_visitor *visit,
                         void *context)
{
    if (terms->stage.pairs == 0) {
        return DH_OK;
    }
    const dh_stage_place place = stage_place(reduce);
    dh_stage_reader *reader = NULL;
    DH_TRY(dh_stage_open(&place, &terms->stage, &reader));
    const dh_status status = visit_pairs(reduce, reader, visit, context);
    dh_stage_close(reader);
    return status;
}

/* ---- the result -------------------------------------------------------------------------------------- */

dh_status dh_terms_emit(const dh_terms *terms, dh_emitter *emitter)
{
    const uint64_t totals[] = {terms->terms, terms->occurrences};
    const uint64_t totals_dims[] = {sizeof totals / sizeof totals[0]};
    const uint64_t dims[] = {terms->top_count, terms->term_width};
    DH_TRY(emitter->array(emitter, "totals", DH_U64, totals_dims, 1, totals,
                          "different terms; occurrences of all", "terms, occurrences"));
    DH_TRY(emitter->array(emitter, "term", DH_TEXT, dims, 2, terms->term,
                          "the commonest terms: by frequency, then by the bytes of the term", "1"));
    DH_TRY(emitter->array(emitter, "frequency", DH_U64, dims, 1, terms->frequency,
                          "how often each of these terms occurs", "occurrences"));
    return emitter->array(emitter, "documents", DH_U64, dims, 1, terms->documents,
                          "documents that each of these terms occurs in", "documents");
}
