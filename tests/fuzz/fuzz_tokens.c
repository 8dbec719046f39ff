/* Fuzzing of text/tokens.h: the tokens, their hashes and their spelling are the same in all ways, by whatever
 * features of the processor, and into arrays that are lent and too small. The first byte of the input chooses
 * the mode and the arrays. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "text/tokens.h"
#include "text/utf8.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MODES = 2, LENT_CHOICES = 8, LENT_TOKENS = 7, LENT_BYTES = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

/* What is visited is compared with what a sink has. */
typedef struct comparison {
    const dh_token_sink *sink;
    size_t token, byte;
} comparison;

static dh_status compare(void *context, const uint8_t *token, size_t size)
{
    comparison *state = context;
    const dh_token_sink *sink = state->sink;
    require(state->token < sink->token_count && size > 0 && size < sink->spelling_size - state->byte);
    require(memcmp(sink->spelling + state->byte, token, size) == 0);
    require(sink->spelling[state->byte + size] == ' ');
    require(sink->token_end[state->token] == state->byte + size);
    require(sink->token[state->token] == XXH3_64bits(token, size));
    state->token++;
    state->byte += size + 1;
    return DH_OK;
}

static void require_same(const dh_token_sink *a, const dh_token_sink *b)
{
    require(a->token_count == b->token_count && a->spelling_size == b->spelling_size);
    if (a->token_count > 0) {
        require(memcmp(a->token, b->token, a->token_count * sizeof *a->token) == 0);
        require(memcmp(a->token_end, b->token_end, a->token_count * sizeof *a->token_end) == 0);
        require(memcmp(a->spelling, b->spelling, a->spelling_size) == 0);
    }
}

static void check_lent(dh_tokenizer *tokenizer, const dh_buffer *text, size_t tokens, size_t bytes,
                       const dh_token_sink *expected)
{
    uint64_t *token = malloc((tokens + 1) * sizeof *token);
    uint32_t *token_end = malloc((tokens + 1) * sizeof *token_end);
    uint8_t *spelling = malloc(bytes + 1);
    require(token != NULL && token_end != NULL && spelling != NULL);
    dh_token_sink sink = {.token = token,
                          .token_capacity = tokens,
                          .token_lent = true,
                          .token_end = token_end,
                          .keeps_spelling = true,
                          .spelling = spelling,
                          .spelling_capacity = bytes,
                          .spelling_lent = true,
                          .token_limit = UINT64_MAX};
    require(dh_tokenize(tokenizer, text->data, text->size, &sink) == DH_OK);
    require_same(&sink, expected);
    if (sink.token_count > 0) { /* one token too many, and nothing is left of the document */
        sink.token_limit = sink.token_count - 1;
        require(dh_tokenize(tokenizer, text->data, text->size, &sink) == DH_BAD_DATA);
        require_same(&sink, expected);
    }
    dh_token_sink_free(&sink);
    free(token);
    free(token_end);
    free(spelling);
}

/* Portable: the last one does without the processor's features. */
static dh_tokenizer *tokenizer_of(int mode, int portable)
{
    static dh_tokenizer *tokenizer[MODES][2];
    dh_tokenizer **place = &tokenizer[mode][portable];
    if (*place == NULL) {
        require(dh_tokenizer_create((dh_token_mode)mode, NULL, place) == DH_OK);
        if (portable) {
            dh_tokenizer_without(*place, UINT32_MAX);
        }
    }
    return *place;
}

static void check_text(const dh_buffer *text, int mode, unsigned choice)
{
    dh_token_sink fast = {.token_limit = UINT64_MAX, .keeps_spelling = true};
    dh_token_sink full = fast;
    dh_token_sink portable = fast;
    dh_token_sink bare = {.token_limit = UINT64_MAX};
    dh_tokenizer *tokenizer = tokenizer_of(mode, 0);
    require(dh_tokenize(tokenizer, text->data, text->size, &fast) == DH_OK);
    require(dh_tokenize_full(tokenizer, text->data, text->size, &full) == DH_OK);
    require(dh_tokenize(tokenizer_of(mode, 1), text->data, text->size, &portable) == DH_OK);
    require(dh_tokenize(tokenizer, text->data, text->size, &bare) == DH_OK);
    require_same(&fast, &full);
    require_same(&fast, &portable);
    require(bare.token_count == fast.token_count && bare.spelling == NULL);
    require(bare.token_count == 0 ||
            memcmp(bare.token, fast.token, bare.token_count * sizeof *bare.token) == 0);
    comparison state = {.sink = &fast};
    require(dh_tokenize_visit(tokenizer, text->data, text->size, compare, &state) == DH_OK);
    require(state.token == fast.token_count && state.byte == fast.spelling_size);
    check_lent(tokenizer, text, choice * LENT_TOKENS, choice * LENT_BYTES, &fast);
    dh_token_sink_free(&fast);
    dh_token_sink_free(&full);
    dh_token_sink_free(&portable);
    dh_token_sink_free(&bare);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t replaced = 0;
    dh_buffer text = {0};
    if (size == 0) {
        return 0;
    }
    require(dh_utf8_repair(data + 1, size - 1, &text, &replaced) == DH_OK);
    /* A copy of exactly this size, so that a sanitizer sees a read behind it. */
    dh_buffer exact = {.data = malloc(text.size + (text.size == 0)), .size = text.size};
    require(exact.data != NULL);
    if (text.size > 0) {
        memcpy(exact.data, text.data, text.size);
    }
    check_text(&exact, data[0] % MODES, data[0] / MODES % LENT_CHOICES);
    dh_buffer_free(&text);
    free(exact.data);
    return 0;
}
