/* dhatu: pairs as bytes, in messages and files: key (8 bytes, in the machine's order), sizes of name and
 * value (LEB128), name, value. And their order. */
#ifndef DH_SHUFFLE_PAIR_H
#define DH_SHUFFLE_PAIR_H

#include "shuffle/shuffle.h"

/* What a pair takes besides name and value, at most: sizes up to DH_PAIR_BYTES_MAX have four bytes. */
enum { DH_PAIR_HEAD_MAX = 16 };
#define DH_PAIR_ENCODED_MAX (DH_PAIR_HEAD_MAX + 2 * (uint64_t)DH_PAIR_BYTES_MAX)

/* Writes key and sizes; returns their bytes. */
size_t dh_pair_put_head(const dh_pair *pair, uint8_t head[DH_PAIR_HEAD_MAX]);

size_t dh_pair_encoded_size(const dh_pair *pair);

/* Writes dh_pair_encoded_size bytes and returns how many they are. */
size_t dh_pair_encode(const dh_pair *pair, uint8_t *out);

/* Reads the pair at *at and moves it; the views are of these bytes. False, and nothing is changed, when they
 * do not hold one. */
bool dh_pair_decode(const uint8_t **at, const uint8_t *end, dh_pair *out);

/* Below, at or above 0 as in memcmp, by the order of shuffle.h. by_value: else values do not count. */
int dh_pair_compare(const dh_pair *left, const dh_pair *right, bool by_value);

/* DH_COMBINE_SUM: adds a value of this size to sum. */
void dh_pair_add_value(uint8_t *sum, const uint8_t *value, uint32_t size);

/* Bytes that are allocated, and the most that they ever were. */
typedef struct dh_memory_count {
    uint64_t now, peak;
} dh_memory_count;

/* dh_allocate and free with a count. NULL may be freed. */
dh_status dh_count_allocate(dh_memory_count *count, size_t size, const char *what, void **out);
void dh_count_free(dh_memory_count *count, void *memory, size_t size);

#endif
