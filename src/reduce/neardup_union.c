#include "reduce/neardup_union.h"

#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t no_node = UINT64_MAX;
static const uint64_t spread = UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio: neighbours lie apart */

enum { SLOTS_MIN = 16, SLOT_BITS_MAX = 31, WORD_BITS = 64 };

typedef struct slot {
    uint64_t node;
    uint32_t parent; /* slot; itself: the least node of its component */
} slot;

/* An open hash table, at most half full, whose entries are the nodes of a forest. */
struct dh_union {
    slot *slot;
    uint32_t bits; /* of the number of slots */
    uint64_t used;
};

static uint64_t slot_count(const dh_union *set)
{
    return UINT64_C(1) << set->bits;
}

static void empty(dh_union *set)
{
    memset(set->slot, 0xFF, slot_count(set) * sizeof *set->slot); /* no_node everywhere */
    set->used = 0;
}

dh_status dh_union_create(uint64_t memory, uint64_t nodes, dh_union **out)
{
    void *set_memory = NULL;
    void *slots = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_union), "a union-find", &set_memory));
    dh_union *set = set_memory;
    uint64_t count = SLOTS_MIN;
    while (count < 2 * (nodes + 2) && 2 * count * sizeof(slot) <= memory &&
           count < UINT64_C(1) << SLOT_BITS_MAX) {
        count *= 2;
    }
    const dh_status status = dh_allocate(count, sizeof(slot), "a union-find", &slots);
    if (status != DH_OK) {
        free(set);
        return status;
    }
    set->slot = slots;
    while (slot_count(set) < count) {
        set->bits++;
    }
    empty(set);
    *out = set;
    return DH_OK;
}

void dh_union_free(dh_union *set)
{
    if (set != NULL) {
        free(set->slot);
        free(set);
    }
}

static uint32_t slot_of(dh_union *set, uint64_t node)
{
    const uint64_t mask = slot_count(set) - 1;
    uint64_t at = node * spread >> (WORD_BITS - set->bits);
    while (set->slot[at].node != node && set->slot[at].node != no_node) {
        at = (at + 1) & mask;
    }
    if (set->slot[at].node == no_node) {
        set->slot[at] = (slot){.node = node, .parent = (uint32_t)at};
        set->used++;
    }
    return (uint32_t)at;
}

static uint32_t root_of(const dh_union *set, uint32_t at)
{
    while (set->slot[at].parent != at) {
        const uint32_t above = set->slot[at].parent;
        set->slot[at].parent = set->slot[above].parent;
        at = above;
    }
    return at;
}

bool dh_union_add(dh_union *set, uint64_t a, uint64_t b)
{
    if (2 * (set->used + 2) > slot_count(set)) {
        return false;
    }
    const uint32_t left = root_of(set, slot_of(set, a));
    const uint32_t right = root_of(set, slot_of(set, b));
    if (set->slot[left].node < set->slot[right].node) {
        set->slot[right].parent = left;
    } else {
        set->slot[left].parent = right;
    }
    return true;
}

dh_status dh_union_drain(dh_union *set, dh_union_take *take, void *context)
{
    dh_status status = DH_OK;
    for (uint64_t at = 0; at < slot_count(set) && status == DH_OK && set->used > 0; at++) {
        if (set->slot[at].node != no_node && set->slot[at].parent != at) {
            status = take(context, set->slot[at].node, set->slot[root_of(set, (uint32_t)at)].node);
        }
    }
    if (set->used > 0) {
        empty(set);
    }
    return status;
}
