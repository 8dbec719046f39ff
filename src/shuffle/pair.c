#include "shuffle/pair.h"

#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { LEB_BITS = 7, LEB_MORE = 1 << LEB_BITS };

static size_t put_size(uint8_t *out, uint32_t size)
{
    size_t count = 0;
    for (; size >= LEB_MORE; size >>= LEB_BITS) {
        out[count++] = (uint8_t)(size | LEB_MORE);
    }
    out[count++] = (uint8_t)size;
    return count;
}

static size_t size_of_size(uint32_t size)
{
    size_t count = 1;
    for (; size >= LEB_MORE; size >>= LEB_BITS) {
        count++;
    }
    return count;
}

/* NULL: there is none, or it is larger than any. */
static const uint8_t *get_size(const uint8_t *at, const uint8_t *end, uint32_t *out)
{
    uint32_t size = 0;
    for (unsigned shift = 0; at < end && shift < 4 * LEB_BITS; shift += LEB_BITS) {
        const uint8_t byte = *at++;
        size |= (uint32_t)(byte & (LEB_MORE - 1)) << shift;
        if (byte < LEB_MORE) {
            *out = size;
            return size <= DH_PAIR_BYTES_MAX ? at : NULL;
        }
    }
    return NULL;
}

size_t dh_pair_put_head(const dh_pair *pair, uint8_t head[DH_PAIR_HEAD_MAX])
{
    memcpy(head, &pair->key, sizeof pair->key);
    size_t size = sizeof pair->key;
    size += put_size(head + size, pair->name_size);
    return size + put_size(head + size, pair->value_size);
}

size_t dh_pair_encoded_size(const dh_pair *pair)
{
    return sizeof pair->key + size_of_size(pair->name_size) + size_of_size(pair->value_size) +
           pair->name_size + pair->value_size;
}

size_t dh_pair_encode(const dh_pair *pair, uint8_t *out)
{
    size_t size = dh_pair_put_head(pair, out);
    if (pair->name_size > 0) {
        memcpy(out + size, pair->name, pair->name_size);
        size += pair->name_size;
    }
    if (pair->value_size > 0) {
        memcpy(out + size, pair->value, pair->value_size);
        size += pair->value_size;
    }
    return size;
}

bool dh_pair_decode(const uint8_t **at, const uint8_t *end, dh_pair *out)
{
    dh_pair pair;
    if ((size_t)(end - *at) < sizeof pair.key) {
        return false;
    }
    memcpy(&pair.key, *at, sizeof pair.key);
    const uint8_t *rest = get_size(*at + sizeof pair.key, end, &pair.name_size);
    rest = rest != NULL ? get_size(rest, end, &pair.value_size) : NULL;
    if (rest == NULL || (uint64_t)(end - rest) < (uint64_t)pair.name_size + pair.value_size) {
        return false;
    }
    pair.name = rest;
    pair.value = rest + pair.name_size;
    *at = pair.value + pair.value_size;
    *out = pair;
    return true;
}

static int compare_bytes(const uint8_t *left, uint32_t left_size, const uint8_t *right, uint32_t right_size)
{
    const uint32_t common = left_size < right_size ? left_size : right_size;
    const int order = common > 0 ? memcmp(left, right, common) : 0;
    return order != 0 ? order : (left_size > right_size) - (left_size < right_size);
}

int dh_pair_compare(const dh_pair *left, const dh_pair *right, bool by_value)
{
    if (left->key != right->key) {
        return left->key < right->key ? -1 : 1;
    }
    const int order = compare_bytes(left->name, left->name_size, right->name, right->name_size);
    return order != 0 || !by_value
               ? order
               : compare_bytes(left->value, left->value_size, right->value, right->value_size);
}

void dh_pair_add_value(uint8_t *sum, const uint8_t *value, uint32_t size)
{
    for (uint32_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t total;
        uint64_t number;
        memcpy(&total, sum + at, sizeof total);
        memcpy(&number, value + at, sizeof number);
        total += number;
        memcpy(sum + at, &total, sizeof total);
    }
}

dh_status dh_count_allocate(dh_memory_count *count, size_t size, const char *what, void **out)
{
    DH_TRY(dh_allocate(size, 1, what, out));
    count->now += size;
    if (count->now > count->peak) {
        count->peak = count->now;
    }
    return DH_OK;
}

void dh_count_free(dh_memory_count *count, void *memory, size_t size)
{
    if (memory != NULL) {
        free(memory);
        count->now -= size;
    }
}
