#include "text/prefixes.h"

#include "base/buffer.h"
#include "base/log.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

enum { PREFIX_SEED = 1, FIRST_SLOTS = 256, FIRST_ENDS = 256 };

static uint32_t load_three(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

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

/* The slot of the key, or the empty one where it would go. */
static inline size_t find_slot(const dh_prefix_table *table, uint64_t key, size_t length)
{
    size_t i = (size_t)((key * 0x9E3779B97F4A7C15u + length * 0xC2B2AE3D27D4EB4Fu) >> 32);
    for (;; i++) {
        i &= table->slots - 1;
        const dh_prefix_slot *slot = &table->slot[i];
        if (slot->length == 0 || (slot->key == key && slot->length == length)) {
            return i;
        }
    }
}

static dh_status table_create(dh_prefix_table *table, size_t slots)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(slots, sizeof(dh_prefix_slot), "the lexicon prefixes", &memory));
    *table = (dh_prefix_table){memory, 0, slots};
    return DH_OK;
}

/* Keeps the table at most half full. */
static dh_status table_grow(dh_prefix_table *table)
{
    if (table->count < table->slots / 2) {
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
    DH_TRY(table_make(&set->head, load_head(head), head_size, &slot));
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
    const size_t lead = dh_prefix_lead(load_three(prefix));
    const size_t head_size = size < DH_PREFIX_HEAD ? size : DH_PREFIX_HEAD;
    set->bitmap[lead / 64] |= 1ull << (lead % 64);
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
    *hash = XXH3_64bits_withSeed(prefix, size, PREFIX_SEED);
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

static dh_status grow_hits(dh_token_sink *sink)
{
    const size_t capacity = sink->prefix_hit_capacity < 256 ? 256 : sink->prefix_hit_capacity * 2;
    void *memory = sink->prefix_hit;
    DH_TRY(dh_reallocate(capacity, sizeof(dh_prefix_hit), "prefix hits", &memory));
    sink->prefix_hit = memory;
    sink->prefix_hit_capacity = capacity;
    return DH_OK;
}

/* Appends a hit for each lexicon that has a prefix ending here. */
static dh_status append_ends(const dh_prefix_set *set, uint32_t end, uint32_t index, dh_token_sink *sink)
{
    for (; end != 0; end = set->end[end].next) {
        if (sink->prefix_hit_count == sink->prefix_hit_capacity) {
            DH_TRY(grow_hits(sink));
        }
        sink->prefix_hit[sink->prefix_hit_count++] =
            (dh_prefix_hit){index, set->end[end].lexicon, set->end[end].hash};
    }
    return DH_OK;
}

/* Hits come shortest first. Reversed they are longest first, and a stable sort by lexicon ends it. */
static void order_hits(dh_prefix_hit *hit, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        const dh_prefix_hit other = hit[i];
        hit[i] = hit[count - 1 - i];
        hit[count - 1 - i] = other;
    }
    for (size_t i = 1; i < count; i++) {
        const dh_prefix_hit moved = hit[i];
        size_t k = i;
        while (k > 0 && hit[k - 1].lexicon > moved.lexicon) {
            hit[k] = hit[k - 1];
            k--;
        }
        hit[k] = moved;
    }
}

/* Goes on in the trie behind the head of DH_PREFIX_HEAD bytes. */
static dh_status find_longer(const dh_prefix_set *set, uint32_t node, const uint8_t *token, size_t size,
                             uint32_t index, dh_token_sink *sink)
{
    for (size_t i = DH_PREFIX_HEAD; i < size && node != 0; i++) {
        const uint64_t key = (uint64_t)node << 8 | token[i];
        const dh_prefix_slot *slot = &set->trie.slot[find_slot(&set->trie, key, 1)];
        DH_TRY(append_ends(set, slot->end, index, sink));
        node = slot->node;
    }
    return DH_OK;
}

dh_status dh_prefix_set_find(const dh_prefix_set *set, const uint8_t *token, size_t size, uint32_t index,
                             dh_token_sink *sink)
{
    const size_t before = sink->prefix_hit_count;
    const uint64_t head = load_head(token);
    unsigned lengths = set->lengths[dh_prefix_lead((uint32_t)head)] | set->short_lengths[head & 0xFF];
    lengths &= size < DH_PREFIX_HEAD ? (1u << size) - 1 : 0xFF;
    for (; lengths != 0; lengths &= lengths - 1) {
        const size_t length = (size_t)__builtin_ctz(lengths) + 1;
        const dh_prefix_slot *slot = &set->head.slot[find_slot(&set->head, cut_head(head, length), length)];
        DH_TRY(append_ends(set, slot->end, index, sink));
        if (slot->node != 0) {
            DH_TRY(find_longer(set, slot->node, token, size, index, sink));
        }
    }
    if (sink->prefix_hit_count - before > 1) {
        order_hits(sink->prefix_hit + before, sink->prefix_hit_count - before);
    }
    return DH_OK;
}
