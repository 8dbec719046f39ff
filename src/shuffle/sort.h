/* dhatu: sorts pairs that lie in an arena, in place: no memory is needed besides.
 *
 * A record in the arena: sizes of name and value (32 bits each), name, value. It has an entry with its key
 * and its place. */
#ifndef DH_SHUFFLE_SORT_H
#define DH_SHUFFLE_SORT_H

#include "shuffle/shuffle.h"

#include <string.h>

typedef struct dh_entry {
    uint64_t key, place;
} dh_entry;

typedef struct dh_record_sizes {
    uint32_t name, value;
} dh_record_sizes;

static inline dh_record_sizes dh_record_sizes_at(const uint8_t *arena, uint64_t place)
{
    dh_record_sizes sizes;
    memcpy(&sizes, arena + place, sizeof sizes);
    return sizes;
}

static inline dh_pair dh_entry_pair(const uint8_t *arena, const dh_entry *entry)
{
    const dh_record_sizes sizes = dh_record_sizes_at(arena, entry->place);
    const uint8_t *name = arena + entry->place + sizeof sizes;
    return (dh_pair){.key = entry->key,
                     .name = name,
                     .value = name + sizes.name,
                     .name_size = sizes.name,
                     .value_size = sizes.value};
}

/* By key, name and, if by_value, value. */
void dh_entries_sort(dh_entry *entry, size_t count, const uint8_t *arena, bool by_value);

#endif
