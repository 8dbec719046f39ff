#include "text/tokens.h"

#include "base/buffer.h"
#include "base/log.h"
#include "kernels/backend.h"
#include "kernels/cpu.h"
#include "text/ascii.h"
#include "text/block.h"
#include "text/normalize.h"
#include "text/prefixes.h"
#include "text/unicode.h"
#include "text/utf8.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Text goes through a stage: normalised bytes, and for each byte a bit that says whether it is part of a
 * run (word) or the first or last byte of a code point that is a token of its own. When the stage is full,
 * the tokens in it are found from the bits, hashed and given out; a run that reaches the end of the stage
 * moves to its front. A run that outgrows LONG_RUN is no longer kept there but hashed as it comes. */
enum {
    STAGE = 8192,
    STAGE_WORDS = STAGE / 64 + 2,
    LONG_RUN = STAGE / 2,
    GROUP = DH_PREFIX_TOKENS, /* tokens hashed together */
    EDGES_AT_ONCE = 16,       /* edges written without looking whether they are there */
    /* After fewer bytes of a block than this, so many characters more are taken one by one. */
    BLOCK_POOR = 16,
    BLOCK_END = 8, /* a block from which fewer bytes were left may have ended within a character */
    CHARACTERS_BETWEEN = 64,
    /* A character is taken to be followed by much ASCII when so many bytes behind it are. */
    ASCII_AHEAD = 8,
    SPELLING_STEP = 32 /* bytes of a token's spelling that are copied at once, however short it is */
};

struct dh_tokenizer {
    dh_token_mode mode;
    const dh_prefix_set *prefixes;
    dh_prefix_memo *memo;
    dh_unicode *unicode;
    dh_normalizer normalizer;
    dh_blocks *blocks; /* NULL: without AVX-512 */

    /* Where tokens go: to the sink or to visit. */
    dh_token_sink *sink;
    size_t sink_first;     /* tokens in the sink before this document */
    size_t spelling_first; /* bytes of spelling before it */
    dh_token_visitor *visit;
    void *visit_context;

    /* The long run, while there is one. */
    bool in_long;
    XXH3_state_t *long_hash;          /* for the sink */
    uint8_t long_head[DH_PREFIX_MAX]; /* its first bytes, for prefixes */
    dh_buffer long_text;              /* all of it, for visit */

    size_t fill;
    uint64_t word[STAGE_WORDS], single_first[STAGE_WORDS], single_last[STAGE_WORDS];
    uint16_t edge[2 * STAGE + DH_BLOCK]; /* of the tokens found: begin and end, begin and end, ... */
    uint8_t text[STAGE + DH_ASCII_BLOCK];
};

/* ---- giving tokens out ---------------------------------------------------------------------- */

static dh_status reserve_tokens(dh_token_sink *sink, size_t extra)
{
    if (extra <= sink->token_capacity - sink->token_count) {
        return DH_OK;
    }
    const size_t grown = sink->token_capacity + sink->token_capacity / 2;
    const size_t needed = sink->token_count + extra;
    const size_t capacity = grown < needed ? needed + 1024 : grown;
    return dh_token_sink_grow_tokens(sink, capacity);
}

/* Makes room for more tokens of the document, within its limit. *index is the number of the next one. */
static dh_status admit_tokens(const dh_tokenizer *tokenizer, size_t count, uint32_t *index)
{
    dh_token_sink *sink = tokenizer->sink;
    const uint64_t limit = sink->token_limit < UINT32_MAX ? sink->token_limit : UINT32_MAX;
    const uint64_t known = sink->token_count - tokenizer->sink_first;
    if (count > limit - known) {
        return DH_BAD_DATA;
    }
    *index = (uint32_t)known;
    return reserve_tokens(sink, count);
}

/* Room for more bytes of spelling, and for what is written behind them. */
static dh_status reserve_spelling(dh_token_sink *sink, size_t extra)
{
    const size_t needed = sink->spelling_size + extra + SPELLING_STEP;
    if (needed <= sink->spelling_capacity) {
        return DH_OK;
    }
    const size_t grown = sink->spelling_capacity + sink->spelling_capacity / 2;
    return dh_token_sink_grow_spelling(sink, grown < needed ? needed + STAGE : grown);
}

/* token_end has 32 bits. This is looked at when the spelling is there, because how much comes at once is
 * not the same on all paths. */
static dh_status check_spelling(const dh_tokenizer *tokenizer)
{
    return tokenizer->sink->spelling_size - tokenizer->spelling_first > UINT32_MAX ? DH_BAD_DATA : DH_OK;
}

/* Keeps how the tokens found in the stage are spelled. The sink has room for them already, not for their
 * spelling. More is copied than most tokens have: what is too much the next one overwrites. */
static dh_status keep_spelling(const dh_tokenizer *tokenizer, size_t count)
{
    dh_token_sink *sink = tokenizer->sink;
    const uint16_t *edge = tokenizer->edge;
    DH_TRY(reserve_spelling(sink, (size_t)edge[2 * count - 1] - edge[0] + count));
    uint32_t *token_end = sink->token_end + sink->token_count;
    uint8_t *spelling = sink->spelling + tokenizer->spelling_first;
    size_t at = sink->spelling_size - tokenizer->spelling_first;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *from = tokenizer->text + edge[2 * i];
        const size_t size = (size_t)edge[2 * i + 1] - edge[2 * i];
        memcpy(spelling + at, from, SPELLING_STEP);
        for (size_t done = SPELLING_STEP; done < size; done += SPELLING_STEP) {
            memcpy(spelling + at + done, from + done, SPELLING_STEP);
        }
        at += size;
        spelling[at] = ' ';
        token_end[i] = (uint32_t)at;
        at++;
    }
    sink->spelling_size = tokenizer->spelling_first + at;
    return check_spelling(tokenizer);
}

_Static_assert((int)SPELLING_STEP <= (int)DH_ASCII_BLOCK, "the stage has as much behind its end");

/* Hashes the listed tokens, whose sizes are from `least` to `most` bytes: constants, so that the compiler
 * drops the other branches of the hash. */
static inline __attribute__((always_inline)) void hash_listed(const dh_tokenizer *tokenizer,
                                                              const uint16_t *list, size_t count,
                                                              size_t least, size_t most, uint64_t *token)
{
    for (size_t k = 0; k < count; k++) {
        const size_t i = list[k];
        const size_t begin = tokenizer->edge[2 * i];
        const size_t size = tokenizer->edge[2 * i + 1] - begin;
        if (size < least || size > most) {
            __builtin_unreachable();
        }
        token[i] = XXH3_64bits(tokenizer->text + begin, size);
    }
}

/* Hashes the tokens from `first` on into token[first...]. They are listed by size first: a branch on
 * the size of each token in turn would be guessed wrong every other time. */
static void hash_tokens(const dh_tokenizer *tokenizer, size_t first, size_t count, uint64_t *token)
{
    uint16_t list[DH_SIZE_CLASSES][DH_BLOCK_TOKENS + DH_BLOCK_LANES];
    size_t listed[DH_SIZE_CLASSES] = {0};
    if (tokenizer->blocks != NULL) {
        dh_blocks_sort(tokenizer->edge, first, count, list, listed);
    } else {
        for (size_t i = first; i < first + count; i++) {
            const int size = tokenizer->edge[2 * i + 1] - tokenizer->edge[2 * i];
            const int class = (size > 3) + (size > 8) + (size > 16);
            list[class][listed[class]++] = (uint16_t)i;
        }
    }
    hash_listed(tokenizer, list[0], listed[0], 1, 3, token);
    hash_listed(tokenizer, list[1], listed[1], 4, 8, token);
    hash_listed(tokenizer, list[2], listed[2], 9, 16, token);
    hash_listed(tokenizer, list[3], listed[3], 17, STAGE, token);
}

_Static_assert((int)GROUP <= (int)DH_BLOCK_TOKENS, "the lists of hash_tokens have room for a group");

static dh_status visit_found(const dh_tokenizer *tokenizer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t begin = tokenizer->edge[2 * i];
        DH_TRY(tokenizer->visit(tokenizer->visit_context, tokenizer->text + begin,
                                tokenizer->edge[2 * i + 1] - begin));
    }
    return DH_OK;
}

/* Gives out the tokens found in the stage. */
static dh_status give_found(const dh_tokenizer *tokenizer, size_t count)
{
    if (count == 0) {
        return DH_OK;
    }
    if (tokenizer->sink == NULL) {
        return visit_found(tokenizer, count);
    }
    uint32_t index = 0;
    DH_TRY(admit_tokens(tokenizer, count, &index));
    uint64_t *token = tokenizer->sink->token + tokenizer->sink->token_count;
    for (size_t first = 0; first < count; first += GROUP) {
        const size_t group = count - first < GROUP ? count - first : GROUP;
        hash_tokens(tokenizer, first, group, token);
        if (tokenizer->prefixes != NULL) {
            DH_TRY(dh_prefix_set_find(tokenizer->prefixes, tokenizer->memo, tokenizer->text,
                                      tokenizer->edge + 2 * first, token + first, group,
                                      index + (uint32_t)first, tokenizer->sink));
        }
    }
    if (tokenizer->sink->keeps_spelling) {
        DH_TRY(keep_spelling(tokenizer, count));
    }
    tokenizer->sink->token_count += count;
    return DH_OK;
}

/* ---- long runs ------------------------------------------------------------------------------ */

static dh_status feed_long(dh_tokenizer *tokenizer, size_t begin, size_t end)
{
    if (tokenizer->sink == NULL) {
        return dh_buffer_append(&tokenizer->long_text, tokenizer->text + begin, end - begin);
    }
    (void)XXH3_64bits_update(tokenizer->long_hash, tokenizer->text + begin, end - begin);
    dh_token_sink *sink = tokenizer->sink;
    if (!sink->keeps_spelling) {
        return DH_OK;
    }
    DH_TRY(reserve_spelling(sink, end - begin));
    memcpy(sink->spelling + sink->spelling_size, tokenizer->text + begin, end - begin);
    sink->spelling_size += end - begin;
    return check_spelling(tokenizer);
}

/* The run from `begin` to the end of the stage is long (at least DH_PREFIX_MAX bytes). */
static dh_status begin_long(dh_tokenizer *tokenizer, size_t begin)
{
    tokenizer->in_long = true;
    tokenizer->long_text.size = 0;
    memcpy(tokenizer->long_head, tokenizer->text + begin, sizeof tokenizer->long_head);
    (void)XXH3_64bits_reset(tokenizer->long_hash);
    return feed_long(tokenizer, begin, tokenizer->fill);
}

/* The spelling of the long run is there: the end of it. */
static dh_status end_long_spelling(const dh_tokenizer *tokenizer)
{
    dh_token_sink *sink = tokenizer->sink;
    DH_TRY(reserve_spelling(sink, 1));
    sink->token_end[sink->token_count] = (uint32_t)(sink->spelling_size - tokenizer->spelling_first);
    sink->spelling[sink->spelling_size++] = ' ';
    return check_spelling(tokenizer);
}

static dh_status end_long(dh_tokenizer *tokenizer)
{
    tokenizer->in_long = false;
    if (tokenizer->sink == NULL) {
        return tokenizer->visit(tokenizer->visit_context, tokenizer->long_text.data,
                                tokenizer->long_text.size);
    }
    uint32_t index = 0;
    DH_TRY(admit_tokens(tokenizer, 1, &index));
    if (tokenizer->sink->keeps_spelling) {
        DH_TRY(end_long_spelling(tokenizer));
    }
    tokenizer->sink->token[tokenizer->sink->token_count++] = XXH3_64bits_digest(tokenizer->long_hash);
    if (tokenizer->prefixes == NULL) {
        return DH_OK;
    }
    static const uint16_t edge[2] = {0, DH_PREFIX_MAX};
    return dh_prefix_set_find(tokenizer->prefixes, tokenizer->memo, tokenizer->long_head, edge,
                              &tokenizer->sink->token[tokenizer->sink->token_count - 1], 1, index,
                              tokenizer->sink);
}

/* ---- the stage ------------------------------------------------------------------------------ */

static void clear_bits(dh_tokenizer *tokenizer)
{
    const size_t bytes = (tokenizer->fill / 64 + 2) * sizeof(uint64_t);
    memset(tokenizer->word, 0, bytes);
    memset(tokenizer->single_first, 0, bytes);
    memset(tokenizer->single_last, 0, bytes);
}

/* Puts a mask in a bit set, from bit `at` on. */
static inline void put_mask(uint64_t *bits, size_t at, uint64_t mask)
{
    const size_t shift = at % 64;
    bits[at / 64] |= mask << shift;
    bits[at / 64 + 1] |= mask >> 1 >> (63 - shift);
}

/* Length of the run at the front of the stage. */
static size_t front_run(const dh_tokenizer *tokenizer)
{
    size_t i = 0;
    while (tokenizer->word[i] == UINT64_MAX) { /* ends: the word behind the stage is 0 */
        i++;
    }
    return i * 64 + (size_t)__builtin_ctzll(~tokenizer->word[i]);
}

/* Start of the run that reaches the end of the stage; fill when there is none. */
static size_t back_run(const dh_tokenizer *tokenizer)
{
    size_t at = tokenizer->fill;
    while (at > 0 && ((tokenizer->word[(at - 1) / 64] >> ((at - 1) % 64)) & 1) != 0) {
        at--;
    }
    return at;
}

/* Clears the run bits [0, end) or [begin, fill). */
static void clear_run(dh_tokenizer *tokenizer, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at++) {
        tokenizer->word[at / 64] &= ~(1ull << (at % 64));
    }
}

static inline size_t count_bits(uint64_t bits)
{
    return (size_t)__builtin_popcountll(bits);
}

/* Writes the places of the bits of one word of 64, from `base` on, and returns how many they are. The
 * first ones are written in any case, as most words have about so many: a branch for each would be guessed
 * wrong at the last of every word. */
static inline size_t write_edges(uint64_t bits, size_t base, uint16_t *edge)
{
    const size_t count = count_bits(bits);
    for (size_t i = 0; i < EDGES_AT_ONCE; i++) {
        edge[i] = (uint16_t)(base + (size_t)__builtin_ctzll(bits | 1ull << 63));
        bits &= bits - 1;
    }
    for (size_t i = EDGES_AT_ONCE; i < count; i++) {
        edge[i] = (uint16_t)(base + (size_t)__builtin_ctzll(bits));
        bits &= bits - 1;
    }
    return count;
}

/* The same where tokens may end and begin at one place: ends first. */
static size_t write_both_edges(uint64_t ends, uint64_t begins, size_t base, uint16_t *edge)
{
    size_t count = 0;
    for (uint64_t bits = ends | begins; bits != 0; bits &= bits - 1) {
        const unsigned bit = (unsigned)__builtin_ctzll(bits);
        edge[count] = (uint16_t)(base + bit);
        count += (ends >> bit) & 1;
        edge[count] = (uint16_t)(base + bit);
        count += (begins >> bit) & 1;
    }
    return count;
}

/* Writes where the tokens in the stage begin and end. Returns how many there are. */
static size_t find_tokens(dh_tokenizer *tokenizer)
{
    size_t edges = 0;
    uint64_t run = 0;    /* the bit before this word: in a run */
    uint64_t single = 0; /* the last byte of a code point that is a token */
    const size_t words = tokenizer->fill / 64 + 1;
    for (size_t i = 0; i < words; i++) {
        const uint64_t word = tokenizer->word[i];
        const uint64_t before = word << 1 | run;
        const uint64_t first = tokenizer->single_first[i];
        const uint64_t last = tokenizer->single_last[i];
        if ((first | last | single) == 0) {
            const uint64_t bits = word ^ before;
            edges += tokenizer->blocks != NULL ? dh_blocks_places(bits, i * 64, tokenizer->edge + edges)
                                               : write_edges(bits, i * 64, tokenizer->edge + edges);
        } else {
            edges += write_both_edges((before & ~word) | last << 1 | single, (word & ~before) | first, i * 64,
                                      tokenizer->edge + edges);
        }
        run = word >> 63;
        single = last >> 63;
    }
    return edges / 2;
}

/* Drops tokens of one code point, as \w\w+ does. */
static size_t keep_two_or_more(dh_tokenizer *tokenizer, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t begin = tokenizer->edge[2 * i];
        const uint16_t end = tokenizer->edge[2 * i + 1];
        const uint8_t lead = tokenizer->text[begin];
        const int length = 1 + (lead >= 0xC0) + (lead >= 0xE0) + (lead >= 0xF0);
        tokenizer->edge[2 * kept] = begin;
        tokenizer->edge[2 * kept + 1] = end;
        kept += end - begin > length ? 1 : 0;
    }
    return kept;
}

/* Empties the stage. final: the document ends here, so a run at the end of the stage is whole. */
static dh_status drain(dh_tokenizer *tokenizer, bool final)
{
    if (tokenizer->in_long) {
        const size_t run = front_run(tokenizer);
        DH_TRY(feed_long(tokenizer, 0, run));
        if (run < tokenizer->fill || final) {
            DH_TRY(end_long(tokenizer));
        }
        clear_run(tokenizer, 0, run);
    }
    const size_t tail = final ? tokenizer->fill : back_run(tokenizer);
    const size_t tail_size = tokenizer->fill - tail;
    clear_run(tokenizer, tail, tokenizer->fill);
    size_t count = find_tokens(tokenizer);
    if (tokenizer->mode == DH_TOKENS_SKLEARN) {
        count = keep_two_or_more(tokenizer, count);
    }
    DH_TRY(give_found(tokenizer, count));
    clear_bits(tokenizer);
    if (tail_size > LONG_RUN) {
        DH_TRY(begin_long(tokenizer, tail));
        tokenizer->fill = 0;
        return DH_OK;
    }
    memmove(tokenizer->text, tokenizer->text + tail, tail_size);
    for (size_t at = 0; at < tail_size; at++) {
        put_mask(tokenizer->word, at, 1);
    }
    tokenizer->fill = tail_size;
    return DH_OK;
}

static inline void put_character(dh_tokenizer *tokenizer, const dh_character *character)
{
    const size_t at = tokenizer->fill;
    memcpy(tokenizer->text + at, character->utf8, sizeof character->utf8);
    put_mask(tokenizer->word, at, character->word);
    if (character->single_first != 0) {
        put_mask(tokenizer->single_first, at, character->single_first);
        put_mask(tokenizer->single_last, at, character->single_last);
    }
    tokenizer->fill = at + character->size;
}

/* ---- the paths from text to the stage ------------------------------------------------------- */

/* Takes a code point of the normalised text that is not folded yet. */
static dh_status put_normalised(void *context, uint32_t code_point)
{
    dh_tokenizer *tokenizer = context;
    const dh_character *character = dh_unicode_character(tokenizer->unicode, code_point);
    if (character == NULL) {
        return DH_NO_MEMORY;
    }
    if (tokenizer->fill > STAGE - sizeof character->utf8) {
        DH_TRY(drain(tokenizer, false));
    }
    put_character(tokenizer, character);
    return DH_OK;
}

/* Takes the characters at *at that must be mapped with a look at each other: a sigma, or all up to the
 * next stable character. */
static dh_status put_segment(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, size_t *at)
{
    size_t length = 0;
    if (tokenizer->mode == DH_TOKENS_SKLEARN) {
        uint32_t code_point = dh_utf8_decode(text + *at, &length);
        if (code_point == DH_CAPITAL_SIGMA) {
            code_point = dh_unicode_lower_sigma(text, size, *at);
        }
        *at += length;
        return put_normalised(tokenizer, code_point);
    }
    const dh_character *next = NULL;
    do {
        DH_TRY(dh_normalizer_push(&tokenizer->normalizer, dh_utf8_decode(text + *at, &length)));
        *at += length;
        if (*at < size) {
            next = dh_unicode_character(tokenizer->unicode, dh_utf8_decode(text + *at, &length));
            if (next == NULL) {
                return DH_NO_MEMORY;
            }
        }
    } while (*at < size && (next->flags & DH_CHARACTER_UNSTABLE) != 0);
    return dh_normalizer_flush(&tokenizer->normalizer);
}

/* Takes ASCII from *at on, up to the end of the text or to the last ASCII character before another one:
 * that one may compose with what follows. */
static dh_status put_ascii(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, size_t *at)
{
    const bool sklearn = tokenizer->mode == DH_TOKENS_SKLEARN;
    const uint8_t extra = sklearn ? '_' : 'a';
    size_t count = DH_ASCII_BLOCK;
    while (count == DH_ASCII_BLOCK) {
        if (tokenizer->fill > STAGE - DH_ASCII_BLOCK) {
            DH_TRY(drain(tokenizer, false));
        }
        const uint8_t *block = text + *at;
        uint8_t padded[DH_ASCII_BLOCK] = {0};
        if (size - *at < DH_ASCII_BLOCK) {
            count = size - *at;
            memcpy(padded, block, count);
            block = padded;
        }
        dh_ascii_masks masks = dh_ascii_classify(block, extra, tokenizer->text + tokenizer->fill);
        if (masks.high != 0) {
            count = (size_t)__builtin_ctzll(masks.high);
        }
        if (count > 0 && *at + count < size && text[*at + count] >= 0x80) {
            count--;
        }
        if (count < DH_ASCII_BLOCK) {
            masks.word &= (1ull << count) - 1;
            masks.symbol &= (1ull << count) - 1;
        }
        put_mask(tokenizer->word, tokenizer->fill, masks.word);
        if (masks.symbol != 0 && !sklearn) {
            put_mask(tokenizer->single_first, tokenizer->fill, masks.symbol);
            put_mask(tokenizer->single_last, tokenizer->fill, masks.symbol);
        }
        tokenizer->fill += count;
        *at += count;
    }
    return DH_OK;
}

static bool much_ascii(const uint8_t *text, size_t size, size_t at)
{
    uint64_t bytes;
    if (size - at < ASCII_AHEAD) {
        return false;
    }
    memcpy(&bytes, text + at, sizeof bytes);
    return (bytes & 0x8080808080808080u) == 0;
}

/* Takes characters one by one, from *at on (at least one), until much ASCII follows; with blocks, until
 * CHARACTERS_BETWEEN bytes are taken, or as soon as one is if the blocks before it were rich. */
static dh_status put_characters(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, bool rich,
                                size_t *at)
{
    const size_t until = *at + (rich ? 1 : CHARACTERS_BETWEEN);
    size_t length = 0;
    const dh_character *character =
        dh_unicode_character(tokenizer->unicode, dh_utf8_decode(text + *at, &length));
    while (character != NULL) {
        const size_t next_at = *at + length;
        const dh_character *next = NULL;
        unsigned flags = character->flags;
        if (next_at < size) {
            next = dh_unicode_character(tokenizer->unicode, dh_utf8_decode(text + next_at, &length));
            if (next == NULL) {
                return DH_NO_MEMORY;
            }
            flags |= next->flags & DH_CHARACTER_UNSTABLE;
        }
        if (__builtin_expect(flags == 0, 1)) {
            if (tokenizer->fill > STAGE - sizeof character->utf8) {
                DH_TRY(drain(tokenizer, false));
            }
            put_character(tokenizer, character);
            *at = next_at;
        } else {
            DH_TRY(put_segment(tokenizer, text, size, at));
            next = *at == size
                       ? NULL
                       : dh_unicode_character(tokenizer->unicode, dh_utf8_decode(text + *at, &length));
        }
        if (*at == size ||
            (tokenizer->blocks != NULL ? *at >= until : text[*at] < 0x80 && much_ascii(text, size, *at))) {
            return DH_OK;
        }
        character = next;
    }
    return DH_NO_MEMORY;
}

/* Takes blocks from *at on, up to the end of the text or to a character that blocks cannot take. rich: the
 * last one was worth it. */
static dh_status put_blocks(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, size_t *at, bool *rich)
{
    size_t taken = 0;
    do {
        if (tokenizer->fill > STAGE - DH_BLOCK) {
            DH_TRY(drain(tokenizer, false));
        }
        dh_block_masks masks;
        const size_t fill = tokenizer->fill;
        DH_TRY(dh_blocks_take(tokenizer->blocks, text + *at, size - *at, tokenizer->text + fill, &masks,
                              &taken));
        put_mask(tokenizer->word, fill, masks.word);
        if (masks.single_first != 0) {
            put_mask(tokenizer->single_first, fill, masks.single_first);
            put_mask(tokenizer->single_last, fill, masks.single_last);
        }
        tokenizer->fill += taken;
        *at += taken;
    } while (*at < size && taken > DH_BLOCK - BLOCK_END);
    *rich = taken >= BLOCK_POOR;
    return DH_OK;
}

static dh_status put_text(dh_tokenizer *tokenizer, const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        bool rich = true;
        if (tokenizer->blocks != NULL) {
            DH_TRY(put_blocks(tokenizer, text, size, &at, &rich));
        } else {
            DH_TRY(put_ascii(tokenizer, text, size, &at));
        }
        if (at < size) {
            DH_TRY(put_characters(tokenizer, text, size, rich, &at));
        }
    }
    return DH_OK;
}

static dh_status put_text_full(dh_tokenizer *tokenizer, const uint8_t *text, size_t size)
{
    size_t at = 0;
    while (at < size && tokenizer->mode == DH_TOKENS_SKLEARN) {
        DH_TRY(put_segment(tokenizer, text, size, &at));
    }
    while (at < size) {
        size_t length = 0;
        DH_TRY(dh_normalizer_push(&tokenizer->normalizer, dh_utf8_decode(text + at, &length)));
        at += length;
    }
    return dh_normalizer_flush(&tokenizer->normalizer);
}

/* ---- public --------------------------------------------------------------------------------- */

static dh_status tokenize(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, bool full)
{
    const dh_status status = full ? put_text_full(tokenizer, text, size) : put_text(tokenizer, text, size);
    return status != DH_OK ? status : drain(tokenizer, true);
}

/* Leaves nothing of a document behind, however it ended. */
static void reset(dh_tokenizer *tokenizer)
{
    tokenizer->fill = STAGE;
    clear_bits(tokenizer);
    tokenizer->fill = 0;
    tokenizer->in_long = false;
    tokenizer->sink = NULL;
    dh_normalizer_reset(&tokenizer->normalizer);
    dh_buffer_free(&tokenizer->long_text);
}

static dh_status tokenize_to_sink(dh_tokenizer *tokenizer, const uint8_t *text, size_t size,
                                  dh_token_sink *sink, bool full)
{
    const size_t token_count = sink->token_count;
    const size_t prefix_hit_count = sink->prefix_hit_count;
    const size_t spelling_size = sink->spelling_size;
    tokenizer->sink = sink;
    tokenizer->sink_first = token_count;
    tokenizer->spelling_first = spelling_size;
    const dh_status status = tokenize(tokenizer, text, size, full);
    if (status != DH_OK) {
        sink->token_count = token_count;
        sink->prefix_hit_count = prefix_hit_count;
        sink->spelling_size = spelling_size;
        reset(tokenizer);
    }
    return status;
}

dh_status dh_tokenize(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, dh_token_sink *sink)
{
    return tokenize_to_sink(tokenizer, text, size, sink, false);
}

dh_status dh_tokenize_full(dh_tokenizer *tokenizer, const uint8_t *text, size_t size, dh_token_sink *sink)
{
    return tokenize_to_sink(tokenizer, text, size, sink, true);
}

dh_status dh_tokenize_visit(dh_tokenizer *tokenizer, const uint8_t *text, size_t size,
                            dh_token_visitor *visit, void *context)
{
    tokenizer->sink = NULL;
    tokenizer->visit = visit;
    tokenizer->visit_context = context;
    const dh_status status = tokenize(tokenizer, text, size, false);
    reset(tokenizer);
    return status;
}

void dh_tokenizer_set_prefixes(dh_tokenizer *tokenizer, const dh_prefix_set *prefixes)
{
    tokenizer->prefixes = prefixes;
}

dh_status dh_tokenizer_create(dh_token_mode mode, const dh_prefix_set *prefixes, dh_tokenizer **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_tokenizer), "a tokeniser", &memory));
    dh_tokenizer *tokenizer = memory;
    tokenizer->mode = mode;
    tokenizer->prefixes = prefixes;
    dh_status status = dh_unicode_create(mode == DH_TOKENS_SKLEARN ? DH_MAPPING_LOWER : DH_MAPPING_CASEFOLD,
                                         &tokenizer->unicode);
    if (status == DH_OK) {
        tokenizer->normalizer.unicode = tokenizer->unicode;
        tokenizer->normalizer.output = put_normalised;
        tokenizer->normalizer.context = tokenizer;
        tokenizer->long_hash = XXH3_createState();
        if (tokenizer->long_hash == NULL) {
            status = dh_error(DH_NO_MEMORY, "out of memory: a hash state");
        }
    }
    if (status == DH_OK && dh_blocks_are_available(DH_CPU_AVX512)) {
        status = dh_blocks_create(tokenizer->unicode, mode == DH_TOKENS_SKLEARN, &tokenizer->blocks);
    }
    void *memo = NULL;
    if (status == DH_OK) {
        status = dh_allocate(DH_PREFIX_MEMO_PLACES, sizeof *tokenizer->memo, "a tokeniser", &memo);
        tokenizer->memo = memo;
    }
    if (status != DH_OK) {
        dh_tokenizer_free(tokenizer);
        return status;
    }
    *out = tokenizer;
    return DH_OK;
}

void dh_tokenizer_without(dh_tokenizer *tokenizer, uint32_t features)
{
    if (!dh_blocks_are_available(~features)) {
        dh_blocks_free(tokenizer->blocks);
        tokenizer->blocks = NULL;
    }
}

void dh_tokenizer_free(dh_tokenizer *tokenizer)
{
    if (tokenizer != NULL) {
        dh_blocks_free(tokenizer->blocks);
        dh_normalizer_free(&tokenizer->normalizer);
        dh_unicode_free(tokenizer->unicode);
        dh_buffer_free(&tokenizer->long_text);
        (void)XXH3_freeState(tokenizer->long_hash);
        free(tokenizer->memo);
        free(tokenizer);
    }
}
