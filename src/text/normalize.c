#include "text/normalize.h"

#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

void dh_normalizer_free(dh_normalizer *normalizer)
{
    free(normalizer->held);
    free(normalizer->ordered);
    free(normalizer->held_class);
    *normalizer = (dh_normalizer){0};
}

void dh_normalizer_reset(dh_normalizer *normalizer)
{
    normalizer->held_count = 0;
}

/* The arrays start small: only strange text has more than a few marks behind a starter. */
static dh_status grow(dh_normalizer *normalizer)
{
    const size_t limit = (size_t)DH_MARKS_MAX + 1;
    const size_t wanted = normalizer->capacity == 0 ? 64 : normalizer->capacity * 4;
    const size_t capacity = wanted < limit ? wanted : limit;
    void *held = normalizer->held;
    DH_TRY(dh_reallocate(capacity, sizeof(uint32_t), "combining marks", &held));
    normalizer->held = held;
    void *ordered = normalizer->ordered;
    DH_TRY(dh_reallocate(capacity, sizeof(uint32_t), "combining marks", &ordered));
    normalizer->ordered = ordered;
    void *held_class = normalizer->held_class;
    DH_TRY(dh_reallocate(capacity, 1, "combining classes", &held_class));
    normalizer->held_class = held_class;
    normalizer->capacity = capacity;
    return DH_OK;
}

static dh_status hold(dh_normalizer *normalizer, uint32_t code_point, uint8_t combining_class)
{
    if (normalizer->held_count == normalizer->capacity) {
        DH_TRY(grow(normalizer));
    }
    normalizer->held[normalizer->held_count] = code_point;
    normalizer->held_class[normalizer->held_count++] = combining_class;
    return DH_OK;
}

/* Orders a few marks, from index `first`. Stable. */
static void order_few(dh_normalizer *normalizer, size_t first)
{
    for (size_t i = first + 1; i < normalizer->held_count; i++) {
        const uint32_t mark = normalizer->held[i];
        const uint8_t class = normalizer->held_class[i];
        size_t k = i;
        while (k > first && normalizer->held_class[k - 1] > class) {
            normalizer->held[k] = normalizer->held[k - 1];
            normalizer->held_class[k] = normalizer->held_class[k - 1];
            k--;
        }
        normalizer->held[k] = mark;
        normalizer->held_class[k] = class;
    }
}

/* Orders many marks by counting the 255 classes. Stable. */
static void order_many(dh_normalizer *normalizer, size_t first)
{
    size_t start[257] = {0};
    for (size_t i = first; i < normalizer->held_count; i++) {
        start[normalizer->held_class[i] + 1]++;
    }
    start[0] = first;
    for (size_t class = 1; class < 257; class ++) {
        start[class] += start[class - 1];
    }
    size_t next[256];
    memcpy(next, start, sizeof next);
    for (size_t i = first; i < normalizer->held_count; i++) {
        normalizer->ordered[next[normalizer->held_class[i]]++] = normalizer->held[i];
    }
    memcpy(normalizer->held + first, normalizer->ordered + first,
           (normalizer->held_count - first) * sizeof normalizer->held[0]);
    for (size_t class = 0; class < 256; class ++) {
        memset(normalizer->held_class + start[class], (int)class, start[class + 1] - start[class]);
    }
}

/* Puts the held marks in canonical order and composes them with the held starter, if there is one.
 * A mark is blocked from the starter by one that was left standing with the same or a higher class. */
static void settle(dh_normalizer *normalizer)
{
    if (normalizer->held_count < 2) {
        return;
    }
    const bool has_starter = normalizer->held_class[0] == 0;
    const size_t first = has_starter ? 1 : 0;
    if (normalizer->held_count - first <= 16) {
        order_few(normalizer, first);
    } else {
        order_many(normalizer, first);
    }
    if (!has_starter) {
        return;
    }
    size_t used = 1;
    uint8_t last_class = 0;
    for (size_t i = 1; i < normalizer->held_count; i++) {
        const uint32_t mark = normalizer->held[i];
        const uint8_t class = normalizer->held_class[i];
        if (class > last_class) {
            const uint32_t composite = dh_unicode_compose(normalizer->unicode, normalizer->held[0], mark);
            if (composite != 0) {
                normalizer->held[0] = composite;
                continue;
            }
        }
        normalizer->held[used] = mark;
        normalizer->held_class[used++] = class;
        last_class = class;
    }
    normalizer->held_count = used;
}

static dh_status give_out(dh_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->held_count; i++) {
        DH_TRY(normalizer->output(normalizer->context, normalizer->held[i]));
    }
    normalizer->held_count = 0;
    return DH_OK;
}

dh_status dh_normalizer_flush(dh_normalizer *normalizer)
{
    settle(normalizer);
    return give_out(normalizer);
}

/* Takes a code point without a decomposition. */
static dh_status take(dh_normalizer *normalizer, uint32_t code_point, uint8_t combining_class)
{
    if (combining_class != 0) {
        /* One more than the limit when a starter is held, too: the limit counts marks. */
        const bool has_starter = normalizer->held_count > 0 && normalizer->held_class[0] == 0;
        if (normalizer->held_count == (size_t)DH_MARKS_MAX + (has_starter ? 1 : 0)) {
            DH_TRY(dh_normalizer_flush(normalizer));
        }
        return hold(normalizer, code_point, combining_class);
    }
    settle(normalizer);
    if (normalizer->held_count == 1 && normalizer->held_class[0] == 0) {
        const uint32_t composite = dh_unicode_compose(normalizer->unicode, normalizer->held[0], code_point);
        if (composite != 0) {
            normalizer->held[0] = composite;
            return DH_OK;
        }
    }
    DH_TRY(give_out(normalizer));
    return hold(normalizer, code_point, 0);
}

dh_status dh_normalizer_push(dh_normalizer *normalizer, uint32_t code_point)
{
    uint32_t part[DH_DECOMPOSITION_MAX];
    const size_t count = dh_unicode_decompose(code_point, part);
    for (size_t i = 0; i < count; i++) {
        const dh_character *entry = dh_unicode_character(normalizer->unicode, part[i]);
        if (entry == NULL) {
            return DH_NO_MEMORY;
        }
        DH_TRY(take(normalizer, part[i], entry->combining_class));
    }
    return DH_OK;
}

static dh_status append_folded(void *context, uint32_t code_point)
{
    uint32_t folded[DH_FOLDING_MAX];
    const size_t count = dh_unicode_fold(code_point, folded);
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[4];
        DH_TRY(dh_buffer_append(context, bytes, dh_utf8_encode(folded[i], bytes)));
    }
    return DH_OK;
}

dh_status dh_nfkc_casefold(dh_unicode *unicode, const uint8_t *text, size_t size, dh_buffer *out)
{
    dh_normalizer normalizer = {.unicode = unicode, .output = append_folded, .context = out};
    dh_status status = DH_OK;
    size_t length = 0;
    for (size_t at = 0; at < size && status == DH_OK; at += length) {
        status = dh_normalizer_push(&normalizer, dh_utf8_decode(text + at, &length));
    }
    if (status == DH_OK) {
        status = dh_normalizer_flush(&normalizer);
    }
    dh_normalizer_free(&normalizer);
    return status;
}
