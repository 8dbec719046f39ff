#include "run/terms.h"

#include "base/leb128.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A term lies in the arena, in the order of first occurrence: this, then its bytes and zeros up to a multiple
 * of eight. A slot has 32 bits of the term's hash and where it lies. Both are small, so that the common terms
 * of a chunk stay in the caches; the next ones are fetched ahead. */
typedef struct term_head {
    uint32_t frequency, documents;
    uint32_t last_document; /* the last one that had it; from 1 */
    uint32_t size;
} term_head;

typedef struct term_slot {
    uint32_t hash;
    uint32_t place; /* in words of the arena; 0: the slot is free */
} term_slot;

/* An n-gram on its way. */
typedef struct occurrence {
    const uint8_t *bytes;
    uint32_t size, hash;
} occurrence;

enum {
    WORD = 8,
    HASH_BITS = 32,
    SLOT_BITS_MIN = 12,
    SLOT_BITS_MAX = 31,
    SLOTS_A_TERM = 4, /* at most, behind the table's growth */
    TERM_EXTRA = 48,  /* bytes of slots that a term can cost, while they grow */
    ARENA_MIN = 1 << 16,
    COMPARED = 16, /* bytes of a term that are compared at once, however short it is */
    COMPARED_WORDS = 2,
    GROUP = 32, /* n-grams whose slots or terms are fetched together */
    GROUPS = 3  /* on their way: one is found, the next's terms and another's slots are fetched */
};

typedef struct occurrence_group {
    occurrence one[GROUP + DH_NGRAM_TOKENS_MAX];
    uint32_t count;
} occurrence_group;

struct dh_term_table {
    dh_ngram_range range;
    uint64_t memory;
    term_slot *slot;
    unsigned slot_bits, allocated_bits;
    uint64_t *arena; /* the first word is of no term */
    uint64_t arena_words, arena_capacity;
    uint64_t terms;
    uint64_t tokens;   /* of the documents counted: no frequency is above */
    uint32_t document; /* the last one */
};

#define NGRAM_MIX UINT64_C(0x9E3779B97F4A7C15)

static uint64_t words_of(uint64_t size)
{
    return (size + WORD - 1) / WORD;
}

static dh_status set_slots(dh_term_table *table, unsigned bits)
{
    if (bits > table->allocated_bits || table->slot == NULL) {
        void *slot = NULL;
        DH_TRY(dh_allocate((size_t)1 << bits, sizeof(term_slot), "the table of terms", &slot));
        free(table->slot);
        table->slot = slot;
        table->allocated_bits = bits;
    } else {
        memset(table->slot, 0, sizeof(term_slot) << bits);
    }
    table->slot_bits = bits;
    return DH_OK;
}

/* As few slots as the last chunk has shown to be of use: clearing many for a few terms would take longer than
 * counting them. What one huge document needed above the memory is given back. */
static dh_status empty(dh_term_table *table)
{
    unsigned bits = SLOT_BITS_MIN;
    while (bits < table->allocated_bits && (UINT64_C(1) << bits) < SLOTS_A_TERM * table->terms) {
        bits++;
    }
    table->arena_words = 1;
    table->terms = 0;
    table->tokens = 0;
    table->document = 0;
    if (table->arena_capacity * WORD > table->memory ||
        sizeof(term_slot) << table->allocated_bits > table->memory) {
        free(table->slot);
        free(table->arena);
        table->slot = NULL;
        table->arena = NULL;
        table->allocated_bits = 0;
        bits = SLOT_BITS_MIN;
    }
    if (table->arena == NULL) {
        void *arena = NULL;
        DH_TRY(dh_allocate(ARENA_MIN, WORD, "the terms", &arena));
        table->arena = arena;
        table->arena_capacity = ARENA_MIN;
    }
    return set_slots(table, bits);
}

dh_status dh_term_table_create(dh_ngram_range range, uint64_t memory, dh_term_table **out)
{
    void *made = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_term_table), "the table of terms", &made));
    dh_term_table *table = made;
    table->range = range;
    table->memory = memory;
    const dh_status status = empty(table);
    if (status != DH_OK) {
        dh_term_table_free(table);
        return status;
    }
    *out = table;
    return DH_OK;
}

void dh_term_table_free(dh_term_table *table)
{
    if (table != NULL) {
        free(table->slot);
        free(table->arena);
        free(table);
    }
}

/* ---- one term ---------------------------------------------------------------------------------------- */

static inline uint64_t load_word(const void *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* COMPARED bytes from COMPARED - n on have ones in the first n bytes and zeros behind. */
static const uint8_t first_bytes[2 * COMPARED] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                                  0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

/* end: of the memory that bytes lie in. Sizes are guessed wrong often: whatever the size, the same two words
 * are loaded, and what lies behind the term is masked away. */
static inline bool is_equal(const uint64_t *name, const uint8_t *bytes, uint32_t size, const uint8_t *end)
{
    if (end - bytes < COMPARED) {
        return memcmp(name, bytes, size) == 0;
    }
    const uint32_t first = size < COMPARED ? size : COMPARED;
    const uint8_t *mask = first_bytes + COMPARED - first;
    uint64_t difference = ((name[0] ^ load_word(bytes)) & load_word(mask)) |
                          ((name[1] ^ load_word(bytes + WORD)) & load_word(mask + WORD));
    if (size > COMPARED) {
        uint32_t at = COMPARED;
        for (; at + WORD < size; at += WORD) {
            difference |= load_word((const uint8_t *)name + at) ^ load_word(bytes + at);
        }
        at = size - WORD;
        difference |= load_word((const uint8_t *)name + at) ^ load_word(bytes + at);
    }
    return difference == 0;
}

/* Slots are in the order of hashes but for what collisions have moved, so the upper bits say where to look.
 */
static inline uint32_t first_slot(const dh_term_table *table, uint32_t hash)
{
    return hash >> (HASH_BITS - table->slot_bits);
}

static dh_status grow_slots(dh_term_table *table)
{
    const unsigned old_bits = table->slot_bits;
    term_slot *old = table->slot;
    const bool in_place = old_bits < table->allocated_bits;
    if (old_bits == SLOT_BITS_MAX) {
        return dh_error(DH_NO_MEMORY, "a document has more than %llu different n-grams",
                        (unsigned long long)table->terms);
    }
    void *kept = NULL;
    if (in_place) {
        DH_TRY(dh_allocate((size_t)1 << old_bits, sizeof(term_slot), "the table of terms", &kept));
        memcpy(kept, old, sizeof(term_slot) << old_bits);
        old = kept;
    } else {
        table->slot = NULL;
    }
    const dh_status status = set_slots(table, old_bits + 1);
    if (status != DH_OK) {
        if (!in_place) {
            table->slot = old;
        }
        return status;
    }
    const uint32_t mask = (UINT32_C(1) << table->slot_bits) - 1;
    for (uint64_t i = 0; i < UINT64_C(1) << old_bits; i++) {
        if (old[i].place != 0) {
            uint32_t s = first_slot(table, old[i].hash);
            while (table->slot[s].place != 0) {
                s = (s + 1) & mask;
            }
            table->slot[s] = old[i];
        }
    }
    free(old);
    return DH_OK;
}

static dh_status grow_arena(dh_term_table *table, uint64_t words)
{
    const uint64_t needed = table->arena_words + words + COMPARED_WORDS;
    const uint64_t limit = table->memory / WORD;
    uint64_t capacity = 2 * table->arena_capacity;
    if (capacity > limit) { /* above it goes what one document needs, and no more is asked for than that */
        capacity = limit;
    }
    if (capacity < needed) {
        capacity = needed + needed / WORD;
    }
    void *arena = table->arena;
    DH_TRY(dh_reallocate(capacity, WORD, "the terms", &arena));
    table->arena = arena;
    table->arena_capacity = capacity;
    return DH_OK;
}

static dh_status add_term(dh_term_table *table, const occurrence *new, uint32_t s)
{
    const uint64_t words = words_of(sizeof(term_head)) + words_of(new->size);
    if (table->arena_words + words + COMPARED_WORDS > table->arena_capacity) {
        DH_TRY(grow_arena(table, words));
    }
    if (table->arena_words > UINT32_MAX) {
        return dh_error(DH_NO_MEMORY, "a document has more than %llu different n-grams",
                        (unsigned long long)table->terms);
    }
    uint64_t *place = table->arena + table->arena_words;
    const term_head head = {
        .frequency = 1, .documents = 1, .last_document = table->document, .size = new->size};
    place[words - 1] = 0;
    memcpy(place, &head, sizeof head);
    memcpy((uint8_t *)place + sizeof head, new->bytes, new->size);
    table->slot[s] = (term_slot){.hash = new->hash, .place = (uint32_t)table->arena_words};
    table->arena_words += words;
    table->terms++;
    return 2 * table->terms > UINT64_C(1) << table->slot_bits ? grow_slots(table) : DH_OK;
}

/* The slot of a term that is there, or the free one where it belongs. */
static inline uint32_t find_slot(const dh_term_table *table, const occurrence *one, const uint8_t *end)
{
    const uint32_t mask = (UINT32_C(1) << table->slot_bits) - 1;
    uint32_t s = first_slot(table, one->hash);
    for (; table->slot[s].place != 0; s = (s + 1) & mask) {
        if (table->slot[s].hash == one->hash) {
            const uint64_t *place = table->arena + table->slot[s].place;
            const term_head *head = (const term_head *)place;
            if (head->size == one->size &&
                is_equal((const uint64_t *)(head + 1), one->bytes, one->size, end)) {
                break;
            }
        }
    }
    return s;
}

static inline dh_status count_one(dh_term_table *table, const occurrence *one, const uint8_t *end)
{
    const uint32_t s = find_slot(table, one, end);
    if (table->slot[s].place == 0) {
        return add_term(table, one, s);
    }
    term_head *head = (term_head *)(table->arena + table->slot[s].place);
    head->frequency++;
    head->documents += head->last_document != table->document;
    head->last_document = table->document;
    return DH_OK;
}

/* ---- the n-grams of a document ----------------------------------------------------------------------- */

typedef struct document_view {
    const uint64_t *token;
    const uint32_t *token_end;
    const uint8_t *spelling;
    uint64_t count;
} document_view;

static uint64_t take_tokens(const document_view *document, uint64_t t, occurrence_group *group)
{
    const uint64_t left = document->count - t;
    const uint32_t count = left < GROUP ? (uint32_t)left : GROUP;
    uint32_t begin = t > 0 ? document->token_end[t - 1] + 1 : 0;
    for (uint32_t i = 0; i < count; i++, t++) {
        const uint32_t token_end = document->token_end[t];
        group->one[i] = (occurrence){.bytes = document->spelling + begin,
                                     .size = token_end - begin,
                                     .hash = (uint32_t)(document->token[t] >> HASH_BITS)};
        begin = token_end + 1;
    }
    group->count = count;
    return t;
}

static uint64_t take_ngrams(dh_ngram_range range, const document_view *document, uint64_t t,
                            occurrence_group *group)
{
    uint32_t count = 0;
    for (; t < document->count && count < GROUP; t++) {
        const uint32_t begin = t > 0 ? document->token_end[t - 1] + 1 : 0;
        uint64_t hash = 0;
        for (uint32_t n = 1; n <= range.most && t + n <= document->count; n++) {
            hash = ((hash ^ (hash >> HASH_BITS)) + document->token[t + n - 1]) * NGRAM_MIX;
            if (n >= range.least) {
                group->one[count++] = (occurrence){.bytes = document->spelling + begin,
                                                   .size = document->token_end[t + n - 1] - begin,
                                                   .hash = (uint32_t)(hash >> HASH_BITS)};
            }
        }
    }
    group->count = count;
    return t;
}

static void fetch_slots(const dh_term_table *table, const occurrence_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        __builtin_prefetch(table->slot + first_slot(table, group->one[i].hash), 0);
    }
}

static void fetch_terms(const dh_term_table *table, const occurrence_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        const uint32_t place = table->slot[first_slot(table, group->one[i].hash)].place;
        __builtin_prefetch(table->arena + place, 1);
    }
}

/* While a group is counted, what the next two need is on its way from memory. */
static dh_status count_document(dh_term_table *table, const document_view *document, const uint8_t *end)
{
    occurrence_group ring[GROUPS];
    occurrence_group *taken = ring;
    occurrence_group *fetched = ring + 1;
    occurrence_group *ready = ring + 2;
    fetched->count = 0;
    ready->count = 0;
    uint64_t t = 0;
    do {
        t = table->range.most == 1 ? take_tokens(document, t, taken)
                                   : take_ngrams(table->range, document, t, taken);
        fetch_slots(table, taken);
        fetch_terms(table, fetched);
        for (uint32_t i = 0; i < ready->count; i++) {
            DH_TRY(count_one(table, ready->one + i, end));
        }
        occurrence_group *free_one = ready;
        ready = fetched;
        fetched = taken;
        taken = free_one;
    } while (t < document->count || ready->count > 0 || fetched->count > 0);
    return DH_OK;
}

/* Whether to begin anew depends on the documents counted and on nothing else, so that a segment's spill is
 * the same whatever the batches were. */
static bool is_full(const dh_term_table *table, uint64_t more_tokens)
{
    return table->terms > 0 && (table->arena_words * WORD + table->terms * TERM_EXTRA > table->memory ||
                                table->tokens + more_tokens > UINT32_MAX || table->document == UINT32_MAX);
}

dh_status dh_term_table_add(dh_term_table *table, const dh_batch *batch, dh_buffer *out)
{
    if (batch->document_count == 0) {
        return DH_OK;
    }
    const uint8_t *end = batch->spelling + batch->spelling_offset[batch->document_count];
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t at = batch->token_offset[d];
        const document_view document = {.token = batch->token + at,
                                        .token_end = batch->token_end + at,
                                        .spelling = batch->spelling + batch->spelling_offset[d],
                                        .count = batch->token_offset[d + 1] - at};
        if (is_full(table, document.count)) {
            DH_TRY(dh_term_table_flush(table, out));
        }
        table->document++;
        table->tokens += document.count;
        DH_TRY(count_document(table, &document, end));
    }
    return DH_OK;
}

/* ---- out and in -------------------------------------------------------------------------------------- */

dh_status dh_term_table_flush(dh_term_table *table, dh_buffer *out)
{
    /* The three numbers take 15 bytes at most, a head 16. */
    DH_TRY(dh_buffer_reserve(out, table->arena_words * WORD));
    uint8_t *put = out->data + out->size;
    for (uint64_t at = 1; at < table->arena_words;) {
        const term_head *head = (const term_head *)(table->arena + at);
        put = dh_leb128_put(put, head->size);
        memcpy(put, head + 1, head->size);
        put = dh_leb128_put(put + head->size, head->frequency);
        put = dh_leb128_put(put, head->documents);
        at += words_of(sizeof *head) + words_of(head->size);
    }
    out->size = (size_t)(put - out->data);
    return empty(table);
}

bool dh_term_decode(const uint8_t **bytes, const uint8_t *end, const uint8_t **term, uint32_t *size,
                    uint64_t *frequency, uint64_t *documents)
{
    const uint8_t *at = *bytes;
    uint64_t length = 0;
    if (!dh_leb128_get(&at, end, &length) || length == 0 || length > UINT32_MAX ||
        length > (uint64_t)(end - at)) {
        return false;
    }
    const uint8_t *name = at;
    uint64_t occurrences = 0;
    uint64_t in_documents = 0;
    at += length;
    if (!dh_leb128_get(&at, end, &occurrences) || !dh_leb128_get(&at, end, &in_documents) ||
        in_documents == 0 || in_documents > occurrences) {
        return false;
    }
    *bytes = at;
    *term = name;
    *size = (uint32_t)length;
    *frequency = occurrences;
    *documents = in_documents;
    return true;
}
