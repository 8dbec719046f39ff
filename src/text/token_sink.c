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

/* token_end is lent where token is: both move, or after an error none. */
static dh_status grow_with_ends(dh_token_sink *sink, size_t capacity)
{
    const size_t count = sink->token_count;
    bool token_lent = sink->token_lent;
    bool end_lent = token_lent;
    void *token = sink->token;
    void *token_end = sink->token_end;
    DH_TRY(grow(&token, count, capacity, sizeof *sink->token, &token_lent, "token hashes"));
    const dh_status status =
        grow(&token_end, count, capacity, sizeof *sink->token_end, &end_lent, "ends of tokens");
    if (status != DH_OK && sink->token_lent) {
        free(token);
        return status;
    }
    sink->token = token; /* larger than it says, after an error */
    DH_TRY(status);
    sink->token_end = token_end;
    sink->token_lent = false;
    sink->token_capacity = capacity;
    return DH_OK;
}

dh_status dh_token_sink_grow_tokens(dh_token_sink *sink, size_t capacity)
{
    if (sink->keeps_spelling) {
        return grow_with_ends(sink, capacity);
    }
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

dh_status dh_token_sink_grow_spelling(dh_token_sink *sink, size_t capacity)
{
    void *array = sink->spelling;
    DH_TRY(grow(&array, sink->spelling_size, capacity, 1, &sink->spelling_lent, "the spelling of tokens"));
    sink->spelling = array;
    sink->spelling_capacity = capacity;
    return DH_OK;
}

void dh_token_sink_free(dh_token_sink *sink)
{
    if (!sink->token_lent) {
        free(sink->token);
        free(sink->token_end);
    }
    if (!sink->spelling_lent) {
        free(sink->spelling);
    }
    if (!sink->prefix_hit_lent) {
        free(sink->prefix_hit);
    }
    *sink = (dh_token_sink){0};
}
