#include "text/prefixes.h"

#include "base/buffer.h"
#include "base/log.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 256, FIRST_ENDS = 256, ASKED_AHEAD = 6 };

/* Where the first four bytes of a token, the first one lowest, are kept. */
static inline size_t lead_of(uint32_t bytes)
{
    return (size_t)(bytes * 0x9E3779B1u) >> 16;
}

static inline unsigned has_lead(const uint64_t *bitmap, size_t lead)
{
    return (unsigned)(bitmap[lead / 64] >> (lead % 64)) & 1;
}

enum { THREE_BYTES = 0xFFFFFF };

static uint64_t load_head(const uint8_t *bytes)
{
    uint64_t head;
    memcpy(&head, bytes, sizeof head);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    head = __builtin_bswap64(head);
#endif
    return head;
}

static uint64_t cut_head(uint64_t head, size_t length)
{
    return head & UINT64_MAX >> (64 - 8 * length);
}

/* ---- the hash tables ------------------------------------------------------------------------ */

static inline uint64_t hash_key(uint64_t key, size_t length)
{
    return key * 0x9E3779B97F4A7C15u + length * 0xC2B2AE3D27D4EB4Fu;
}

/* The slot where the search for the key begins. */
static inline size_t first_slot(const dh_prefix_table *table, uint64_t key, size_t length)
{
    return (size_t)(hash_key(key, length) >> 32) & (table->slots - 1);
}

/* Where the bitmap of heads keeps this one. */
static inline size_t place_of_head(uint64_t key, size_t length)
{
    return (size_t)(hash_key(key, length) >> 48);
}

/* The slot of the key, or the empty one where it would go. */
static inline size_t find_slot(const dh_prefix_table *table, uint64_t key, size_t length)
{
    size_t i = first_slot(table, key, length);
    while (table->slot[i].length != 0 && (table->slot[i].key != key || table->slot[i].length != length)) {
        i = (i + 1) & (table->slots - 1);
    }
    return i;
}

static dh_status table_create(dh_prefix_table *table, size_t slots)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(slots, sizeof(dh_prefix_slot), "the lexicon prefixes", &memory));
    *table = (dh_prefix_table){memory, 0, slots};
    return DH_OK;
}

/* Keeps the table at most a quarter full, so that most searches end at their first slot. */
static dh_status table_grow(dh_prefix_table *table)
{
    if (table->count < table->slots / 4) {
        return DH_OK;
    }
    dh_prefix_table grown = {0};
    DH_TRY(table_create(&grown, table->slots * 2));
    for (size_t i = 0; i < table->slots; i++) {
        const dh_prefix_slot *slot = &table->slot[i];
        if (slot->length != 0) {
            grown.slot[find_slot(&grown, slot->key, slot->length)] = *slot;
        }
    }
    grown.count = table->count;
    free(table->slot);
    *table = grown;
    return DH_OK;
}

/* Finds the slot of the key, or makes it. *out is valid until the table grows. */
static dh_status table_make(dh_prefix_table *table, uint64_t key, size_t length, dh_prefix_slot **out)
{
    DH_TRY(table_grow(table));
    dh_prefix_slot *slot = &table->slot[find_slot(table, key, length)];
    if (slot->length == 0) {
        *slot = (dh_prefix_slot){key, (uint32_t)length, 0, 0};
        table->count++;
    }
    *out = slot;
    return DH_OK;
}

/* ---- the set -------------------------------------------------------------------------------- */

dh_status dh_prefix_set_create(dh_prefix_set **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_prefix_set), "the lexicon prefixes", &memory));
    dh_prefix_set *set = memory;
    dh_status status = table_create(&set->head, FIRST_SLOTS);
    if (status == DH_OK) {
        status = table_create(&set->trie, FIRST_SLOTS);
    }
    if (status != DH_OK) {
        dh_prefix_set_free(set);
        return status;
    }
    *out = set;
    return DH_OK;
}

void dh_prefix_set_free(dh_prefix_set *set)
{
    if (set != NULL) {
        free(set->head.slot);
        free(set->trie.slot);
        free(set->end);
        free(set);
    }
}

/* Makes room for one more end. */
static dh_status grow_ends(dh_prefix_set *set)
{
    if (set->end_count + 1 < set->end_capacity) {
        return DH_OK;
    }
    const size_t capacity = set->end_capacity == 0 ? FIRST_ENDS : set->end_capacity * 2;
    void *memory = set->end;
    DH_TRY(dh_reallocate(capacity, sizeof(dh_prefix_end), "the lexicon prefixes", &memory));
    set->end = memory;
    set->end_capacity = capacity;
    return DH_OK;
}

/* Finds or makes the slot where the prefix ends. */
static dh_status make_path(dh_prefix_set *set, const uint8_t *prefix, size_t size, dh_prefix_slot **out)
{
    uint8_t head[DH_PREFIX_HEAD] = {0};
    const size_t head_size = size < DH_PREFIX_HEAD ? size : DH_PREFIX_HEAD;
    memcpy(head, prefix, head_size);
    dh_prefix_slot *slot = NULL;
    const uint64_t key = load_head(head);
    DH_TRY(table_make(&set->head, key, head_size, &slot));
    const size_t place = place_of_head(key, head_size);
    set->heads[place / 64] |= 1ull << (place % 64);
    for (size_t i = head_size; i < size; i++) {
        if (slot->node == 0) {
            slot->node = ++set->node_count;
        }
        DH_TRY(table_make(&set->trie, (uint64_t)slot->node << 8 | prefix[i], 1, &slot));
    }
    *out = slot;
    return DH_OK;
}

static void note_length(dh_prefix_set *set, const uint8_t *prefix, size_t size)
{
    if (size < 3) {
        set->short_lengths[prefix[0]] = (uint8_t)(set->short_lengths[prefix[0]] | 1u << (size - 1));
        return;
    }
    uint8_t front[DH_PREFIX_HEAD] = {0};
    memcpy(front, prefix, size < DH_PREFIX_HEAD ? size : DH_PREFIX_HEAD);
    const uint32_t bytes = (uint32_t)load_head(front);
    const size_t lead = lead_of(bytes);
    if (size == 3) {
        set->three[lead / 64] |= 1ull << (lead % 64);
        set->has_three = true;
        return;
    }
    const size_t head_size = size < DH_PREFIX_HEAD ? size : DH_PREFIX_HEAD;
    set->four[lead / 64] |= 1ull << (lead % 64);
    set->lengths[lead] = (uint8_t)(set->lengths[lead] | 1u << (head_size - 1));
}

dh_status dh_prefix_set_add(dh_prefix_set *set, uint32_t lexicon, const uint8_t *prefix, size_t size,
                            uint64_t *hash)
{
    if (size == 0 || size > DH_PREFIX_MAX) {
        return dh_error(DH_USAGE, "a lexicon prefix of %zu bytes: 1 to %d are allowed", size, DH_PREFIX_MAX);
    }
    if (set->node_count > UINT32_MAX - DH_PREFIX_MAX || set->end_count >= UINT32_MAX) {
        return dh_error(DH_USAGE, "too many lexicon prefixes");
    }
    DH_TRY(grow_ends(set));
    dh_prefix_slot *slot = NULL;
    DH_TRY(make_path(set, prefix, size, &slot));
    /* The symbol of a prefix is the hash of the text that no token can be: one with an asterisk. (Another
     * seed would not do: for short inputs XXH3 with one seed gives what it gives for other bytes with
     * another.) */
    uint8_t marked[DH_PREFIX_MAX + 1];
    memcpy(marked, prefix, size);
    marked[size] = '*';
    *hash = XXH3_64bits(marked, size + 1);
    uint32_t *link = &slot->end;
    while (*link != 0 && set->end[*link].lexicon < lexicon) {
        link = &set->end[*link].next;
    }
    if (*link == 0 || set->end[*link].lexicon != lexicon) {
        set->end[++set->end_count] = (dh_prefix_end){*hash, lexicon, *link};
        *link = (uint32_t)set->end_count;
    }
    note_length(set, prefix, size);
    return DH_OK;
}

/* ---- the search ----------------------------------------------------------------------------- */

static dh_status append_hit(const dh_prefix_set *set, uint32_t end, uint32_t index, dh_token_sink *sink)
{
    if (sink->prefix_hit_count == sink->prefix_hit_capacity) {
        const size_t capacity = sink->prefix_hit_capacity < 256 ? 256 : sink->prefix_hit_capacity * 2;
        DH_TRY(dh_token_sink_grow_hits(sink, capacity));
    }
    sink->prefix_hit[sink->prefix_hit_count++] =
        (dh_prefix_hit){index, set->end[end].lexicon, set->end[end].hash};
    return DH_OK;
}

/* The ends that one token meets. A prefix of each length of each lexicon at the most. */
typedef struct end_list {
    uint32_t *end;
    size_t count, capacity;
    uint32_t few[64]; /* enough for all but strange lexicons */
} end_list;

static dh_status add_ends(const dh_prefix_set *set, uint32_t end, end_list *list)
{
    for (; end != 0; end = set->end[end].next) {
        if (list->count == list->capacity) {
            void *memory = list->end == list->few ? NULL : list->end;
            DH_TRY(dh_reallocate(list->capacity * 2, sizeof *list->end, "prefix hits", &memory));
            if (list->end == list->few) {
                memcpy(memory, list->few, sizeof list->few);
            }
            list->end = memory;
            list->capacity *= 2;
        }
        list->end[list->count++] = end;
    }
    return DH_OK;
}

/* Ends come shortest first. Reversed they are longest first, and a stable sort by lexicon ends it. */
static void order_ends(const dh_prefix_set *set, uint32_t *end, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        const uint32_t other = end[i];
        end[i] = end[count - 1 - i];
        end[count - 1 - i] = other;
    }
    for (size_t i = 1; i < count; i++) {
        const uint32_t moved = end[i];
        size_t k = i;
        while (k > 0 && set->end[end[k - 1]].lexicon > set->end[moved].lexicon) {
            end[k] = end[k - 1];
            k--;
        }
        end[k] = moved;
    }
}

/* Goes on in the trie behind the head of DH_PREFIX_HEAD bytes. */
static dh_status find_longer(const dh_prefix_set *set, uint32_t node, const uint8_t *token, size_t size,
                             end_list *list)
{
    for (size_t i = DH_PREFIX_HEAD; i < size && node != 0; i++) {
        const uint64_t key = (uint64_t)node << 8 | token[i];
        const dh_prefix_slot *slot = &set->trie.slot[find_slot(&set->trie, key, 1)];
        DH_TRY(add_ends(set, slot->end, list));
        node = slot->node;
    }
    return DH_OK;
}

/* Looks a token up in full: each of its fronts that has a length of the set. */
static dh_status find_token(const dh_prefix_set *set, const uint8_t *token, size_t size, unsigned lengths,
                            end_list *list)
{
    const uint64_t head = load_head(token);
    for (; lengths != 0; lengths &= lengths - 1) {
        const size_t length = (size_t)__builtin_ctz(lengths) + 1;
        const uint64_t key = cut_head(head, length);
        if (has_lead(set->heads, place_of_head(key, length)) == 0) {
            continue;
        }
        const dh_prefix_slot *slot = &set->head.slot[find_slot(&set->head, key, length)];
        DH_TRY(add_ends(set, slot->end, list));
        if (slot->node != 0) {
            DH_TRY(find_longer(set, slot->node, token, size, list));
        }
    }
    order_ends(set, list->end, list->count);
    return DH_OK;
}

/* A token that may begin with a prefix of some of these lengths (bit 0: of 1 byte). */
typedef struct candidate {
    uint64_t key; /* of the memo */
    uint16_t token;
    uint8_t lengths;
} candidate;

/* The lengths of prefixes that may begin a token with these first bytes. */
static inline unsigned lengths_of(const dh_prefix_set *set, uint32_t bytes)
{
    return set->lengths[lead_of(bytes)] | has_lead(set->three, lead_of(bytes & THREE_BYTES)) << 2 |
           set->short_lengths[bytes & 0xFF];
}

/* Lists the tokens whose first bytes begin a prefix. What is listed is written in any case and counted
 * where it holds: a branch would be guessed wrong too often. */
static size_t list_candidates(const dh_prefix_set *set, const dh_prefix_memo *memo, const uint8_t *text,
                              const uint16_t *edge, const uint64_t *hash, size_t count, candidate *list)
{
    uint16_t likely[DH_PREFIX_TOKENS + 1];
    size_t likely_count = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t bytes = (uint32_t)load_head(text + edge[2 * i]);
        unsigned match = has_lead(set->four, lead_of(bytes)) | set->short_lengths[bytes & 0xFF];
        if (set->has_three) {
            match |= has_lead(set->three, lead_of(bytes & THREE_BYTES));
        }
        likely[likely_count] = (uint16_t)i;
        likely_count += match != 0 ? 1 : 0;
    }
    size_t listed = 0;
    for (size_t k = 0; k < likely_count; k++) {
        const size_t i = likely[k];
        const unsigned size = (unsigned)(edge[2 * i + 1] - edge[2 * i]);
        const unsigned known = lengths_of(set, (uint32_t)load_head(text + edge[2 * i]));
        const unsigned lengths = known & ((1u << (size < DH_PREFIX_HEAD ? size : DH_PREFIX_HEAD)) - 1);
        const uint64_t key = (hash[i] ^ (uint64_t)(uintptr_t)set) | 1; /* never the key of an empty place */
        __builtin_prefetch(&memo[key >> 32 & (DH_PREFIX_MEMO_PLACES - 1)]);
        list[listed] = (candidate){key, (uint16_t)i, (uint8_t)lengths};
        listed += lengths != 0 ? 1 : 0;
    }
    return listed;
}

/* Searches a word that the memo does not have, and lets it remember unless it has too many hits. */
static dh_status find_new(const dh_prefix_set *set, dh_prefix_memo *place, const candidate *of,
                          const uint8_t *token, size_t size, uint32_t index, dh_token_sink *sink)
{
    end_list list; /* not all of it is set: few is large */
    list.end = list.few;
    list.count = 0;
    list.capacity = sizeof list.few / sizeof *list.few;
    dh_status status = find_token(set, token, size, of->lengths, &list);
    for (size_t e = 0; e < list.count && status == DH_OK; e++) {
        status = append_hit(set, list.end[e], index, sink);
    }
    if (status == DH_OK && list.count <= DH_PREFIX_MEMO_ENDS && set->end_count <= UINT16_MAX) {
        *place = (dh_prefix_memo){.key = of->key};
        for (size_t e = 0; e < list.count; e++) {
            place->end[e] = (uint16_t)list.end[e];
        }
    }
    if (list.end != list.few) {
        free(list.end);
    }
    return status;
}

/* Asks for what find_token will read if the memo does not have the word. */
static inline void ask_for_new(const dh_prefix_set *set, const dh_prefix_memo *place, const candidate *of,
                               const uint8_t *token)
{
    if (place->key == of->key) {
        return;
    }
    const uint64_t head = load_head(token);
    for (unsigned lengths = of->lengths; lengths != 0; lengths &= lengths - 1) {
        const size_t length = (size_t)__builtin_ctz(lengths) + 1;
        __builtin_prefetch(&set->head.slot[first_slot(&set->head, cut_head(head, length), length)]);
    }
}

static inline dh_prefix_memo *place_of(dh_prefix_memo *memo, const candidate *of)
{
    return &memo[of->key >> 32 & (DH_PREFIX_MEMO_PLACES - 1)];
}

dh_status dh_prefix_set_find(const dh_prefix_set *set, dh_prefix_memo *memo, const uint8_t *text,
                             const uint16_t *edge, const uint64_t *hash, size_t count, uint32_t index,
                             dh_token_sink *sink)
{
    candidate list[DH_PREFIX_TOKENS + 1];
    const size_t listed = list_candidates(set, memo, text, edge, hash, count, list);
    for (size_t k = 0; k < listed; k++) {
        const size_t i = list[k].token;
        dh_prefix_memo *place = place_of(memo, &list[k]);
        if (k + ASKED_AHEAD < listed) {
            const candidate *later = &list[k + ASKED_AHEAD];
            ask_for_new(set, place_of(memo, later), later, text + edge[2 * later->token]);
        }
        if (place->key != list[k].key) {
            DH_TRY(find_new(set, place, &list[k], text + edge[2 * i], (size_t)(edge[2 * i + 1] - edge[2 * i]),
                            index + (uint32_t)i, sink));
            continue;
        }
        for (size_t e = 0; e < DH_PREFIX_MEMO_ENDS && place->end[e] != 0; e++) {
            DH_TRY(append_hit(set, place->end[e], index + (uint32_t)i, sink));
        }
    }
    return DH_OK;
}
