/* dhatu: the arrays that tokens go to. */
#include "base/buffer.h"
#include "text/tokens.h"

#include <stdlib.h>
#include <string.h>

/* *array becomes one of `capacity` elements; its first `count` stay. */
static dh_status grow(void **array, size_t count, size_t capacity, size_t size, bool *lent, const char *what)
{
    void *memory = *lent ? NULL : *array;
    DH_TRY(dh_reallocate(capacity, size, what, &memory));
    if (*lent && count > 0) {
        memcpy(memory, *array, count * size);
    }
    *array = memory;
    *lent = false;
    return DH_OK;
}

dh_status dh_token_sink_grow_tokens(dh_token_sink *sink, size_t capacity)
{
    void *array = sink->token;
    DH_TRY(grow(&array, sink->token_count, capacity, sizeof *sink->token, &sink->token_lent, "token hashes"));
    sink->token = array;
    sink->token_capacity = capacity;
    return DH_OK;
}

dh_status dh_token_sink_grow_hits(dh_token_sink *sink, size_t capacity)
{
    void *array = sink->prefix_hit;
    DH_TRY(grow(&array, sink->prefix_hit_count, capacity, sizeof *sink->prefix_hit, &sink->prefix_hit_lent,
                "prefixes"));
    sink->prefix_hit = array;
    sink->prefix_hit_capacity = capacity;
    return DH_OK;
}

void dh_token_sink_free(dh_token_sink *sink)
{
    if (!sink->token_lent) {
        free(sink->token);
    }
    if (!sink->prefix_hit_lent) {
        free(sink->prefix_hit);
    }
    *sink = (dh_token_sink){0};
}
