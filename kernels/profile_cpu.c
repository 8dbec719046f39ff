/* The count of a document's matches for a CPU.
 *
 * Half of a text's tokens begin a term of the lexicon ("in", "the"), a few per cent go on in one, a quarter
 * is matched: followed token by token, as kernels/profile_core.h tells it, each of these is a branch that is
 * guessed wrong. Here a window of 64 tokens goes through one step after the other, each without such a
 * branch: the filters (a bit a token), the slots of those that pass, the terms of prefixes. What is left are
 * the tokens at which a match begins or may begin, and only where a longer term may begin (one token in
 * twenty) the matcher itself is asked. */
#include "kernels/profile_cpu.h"

/* The first places of the tokens of a window; bit i speaks of token base + i. */
typedef struct token_window {
    uint32_t base, count;
    uint64_t first;     /* they pass the filter of what may begin a term */
    uint64_t negator;   /* they pass that of negators */
    uint64_t term;      /* a term of one token: term_of[i] */
    uint64_t continues; /* longer terms go on from node[i] */
    uint64_t longer;    /* a term of more tokens has at least its first two here */
    uint64_t negated;   /* perhaps: a possible negator stands among the DH_NEGATOR_REACH tokens before */
    uint32_t term_of[DH_PROFILE_WINDOW];
    uint32_t node[DH_PROFILE_WINDOW];
} token_window;

/* How far a document has been read from left to right. */
typedef struct match_walk {
    uint32_t cursor;    /* the first hit that may still matter */
    uint32_t free_from; /* tokens before are inside a match */
    uint32_t matched;   /* tokens inside matches */
} match_walk;

static inline uint64_t filter_bit(const uint64_t *filter, uint64_t symbol)
{
    const uint64_t bit = symbol >> (64 - DH_FILTER_BITS);
    return filter[bit / 64] >> (bit % 64) & 1;
}

/* The slot of an edge, or an empty one. Nearly always the first look tells. */
static inline const dh_profile_slot *find_slot(const dh_profile_tables *tables, uint64_t key)
{
    uint32_t at = dh_profile_home(tables, key);
    while (__builtin_expect(tables->slot[at].key != key && tables->slot[at].node != DH_NO_NODE, 0)) {
        at = (at + 1) & tables->slot_mask;
    }
    return &tables->slot[at];
}

static void filter_window(const dh_profile_tables *tables, const dh_profile_document *document,
                          token_window *window)
{
    const uint64_t *first = tables->first_filter + (uint64_t)document->lexicon * DH_FILTER_WORDS;
    const uint64_t *negator = tables->negator_filter + (uint64_t)document->lexicon * DH_FILTER_WORDS;
    const uint64_t *token = document->token + window->base;
    const uint64_t before = window->negator;
    uint64_t first_bits = 0;
    uint64_t negator_bits = 0;
    for (uint32_t i = 0; i < window->count; i++) {
        first_bits |= filter_bit(first, token[i]) << i;
        negator_bits |= filter_bit(negator, token[i]) << i;
    }
    window->first = first_bits;
    window->negator = negator_bits;
    window->negated = 0;
    for (uint32_t reach = 1; reach <= DH_NEGATOR_REACH; reach++) {
        window->negated |= negator_bits << reach | before >> (64 - reach);
    }
}

/* The terms of one token, and the nodes from which longer ones go on. */
static void look_up_tokens(const dh_profile_tables *tables, const dh_profile_document *document,
                           token_window *window)
{
    const uint64_t *token = document->token + window->base;
    const uint32_t last = document->token_count - 1 - window->base; /* of the document */
    const uint64_t root = dh_profile_key(document->lexicon, 0);
    uint64_t term = 0;
    uint64_t continues = 0;
    uint64_t likely = 0;
    for (uint64_t bits = window->first; bits != 0; bits &= bits - 1) {
        const uint32_t i = DH_LOWEST_BIT(bits);
        const dh_profile_slot slot = *find_slot(tables, token[i] ^ root);
        const uint64_t found = slot.node != DH_NO_NODE;
        const uint64_t goes_on = found & slot.node / DH_NODE_CONTINUES;
        const uint32_t node = slot.node & ~DH_NODE_CONTINUES;
        window->node[i] = node;
        window->term_of[i] = slot.term;
        term |= (found & (slot.term != DH_NO_TERM)) << i;
        continues |= goes_on << i;
        const uint64_t next = dh_profile_key(node, token[i < last ? i + 1 : i]);
        likely |= (goes_on & filter_bit(tables->next_filter, next)) << i;
    }
    uint64_t longer = 0;
    for (uint64_t bits = likely; bits != 0; bits &= bits - 1) {
        const uint32_t i = DH_LOWEST_BIT(bits);
        const uint64_t next = dh_profile_key(window->node[i], token[i < last ? i + 1 : i]);
        longer |= (uint64_t)(find_slot(tables, next)->node != DH_NO_NODE) << i;
    }
    window->term = term;
    window->continues = continues;
    window->longer = longer;
}

/* The terms of prefixes, where no exact one is, and the longer terms that go on with a prefix. */
static void look_up_hits(const dh_profile_tables *tables, const dh_profile_document *document,
                         uint32_t cursor, token_window *window)
{
    uint64_t decided = window->term;
    for (uint32_t h = cursor; h < document->hit_count; h++) {
        const dh_prefix_hit *hit = &document->hit[h];
        const uint32_t i = hit->token - window->base;
        if (i > window->count) {
            break;
        }
        if (hit->lexicon != document->lexicon) {
            continue;
        }
        if (i > 0 && (window->continues >> (i - 1) & 1) != 0) {
            const uint64_t next = dh_profile_key(window->node[i - 1], hit->hash);
            window->longer |= (uint64_t)(find_slot(tables, next)->node != DH_NO_NODE) << (i - 1);
        }
        if (i == window->count || (decided >> i & 1) != 0) {
            continue;
        }
        const dh_profile_slot *slot = find_slot(tables, dh_profile_key(document->lexicon, hit->hash));
        if (slot->node != DH_NO_NODE) {
            decided |= (uint64_t)1 << i;
            window->term_of[i] = slot->term;
            window->term |= (uint64_t)(slot->term != DH_NO_TERM) << i;
        }
    }
}

/* Adds a match of term at token base + i. */
static inline void add(const dh_profile_tables *tables, const dh_profile_document *document,
                       const token_window *window, uint32_t i, uint32_t term, uint32_t *counts)
{
    if (__builtin_expect((window->negated >> i & 1) != 0, 0)) {
        dh_profile_add(tables, document, window->base + i, term, counts);
        return;
    }
    const dh_profile_term *found = &tables->term[term];
    const uint8_t *category = tables->category + found->category_offset;
    uint32_t *side = counts + (found->polarity & DH_TERM_NEGATIVE) * tables->category_count;
    for (uint32_t c = 0; c < found->category_count; c++) {
        side[category[c]] += found->units;
    }
}

/* The matches that begin in the window, from left to right. */
static void take_matches(const dh_profile_tables *tables, const dh_profile_document *document,
                         const token_window *window, match_walk *walk, uint32_t *counts)
{
    uint64_t begins = window->term | window->longer;
    if (walk->free_from > window->base) {
        begins &= UINT64_MAX << (walk->free_from - window->base);
    }
    while (begins != 0) {
        const uint32_t i = DH_LOWEST_BIT(begins);
        begins &= begins - 1;
        uint32_t term = window->term_of[i];
        uint32_t length = 1;
        if (__builtin_expect((window->longer >> i & 1) != 0, 0)) {
            const uint32_t at = window->base + i;
            while (walk->cursor < document->hit_count && document->hit[walk->cursor].token < at) {
                walk->cursor++;
            }
            term = dh_profile_match(tables, document, at, walk->cursor, &length);
            if (length == 0) {
                continue;
            }
            begins &= i + length < DH_PROFILE_WINDOW ? UINT64_MAX << (i + length) : 0;
            walk->free_from = at + length;
        }
        add(tables, document, window, i, term, counts);
        walk->matched += length;
    }
}

uint32_t dh_profile_count_cpu(const dh_profile_tables *tables, const dh_profile_document *document,
                              uint32_t *counts)
{
    match_walk walk = {0, 0, 0};
    token_window window = {.base = 0};
    for (uint32_t base = 0; base < document->token_count; base += DH_PROFILE_WINDOW) {
        const uint32_t left = document->token_count - base;
        window.base = base;
        window.count = left < DH_PROFILE_WINDOW ? left : DH_PROFILE_WINDOW;
        filter_window(tables, document, &window);
        look_up_tokens(tables, document, &window);
        while (walk.cursor < document->hit_count && document->hit[walk.cursor].token < base) {
            walk.cursor++;
        }
        look_up_hits(tables, document, walk.cursor, &window);
        take_matches(tables, document, &window, &walk, counts);
    }
    return walk.matched;
}
