/* dhatu: the lexical profile of one document. One text for C, CUDA and OpenCL. */
#ifndef DH_KERNELS_PROFILE_CORE_H
#define DH_KERNELS_PROFILE_CORE_H

#include "kernels/batch.h"
#include "kernels/math_core.h"
#include "kernels/profile.h"

DH_FN uint64_t dh_profile_key(uint32_t node, uint64_t symbol)
{
    return symbol ^ ((uint64_t)node + 1) * DH_EDGE_MIX;
}

DH_FN uint32_t dh_profile_home(const dh_profile_tables *tables, uint64_t key)
{
    return (uint32_t)(key >> 20) & tables->slot_mask;
}

/* Follows the edge (node, symbol): the slot of the edge, or an empty slot. */
DH_FN uint32_t dh_profile_edge(const dh_profile_tables *tables, uint32_t node, uint64_t symbol)
{
    const uint64_t key = dh_profile_key(node, symbol);
    uint32_t slot = dh_profile_home(tables, key);
    while (tables->slot[slot].node != DH_NO_NODE && tables->slot[slot].key != key) {
        slot = (slot + 1) & tables->slot_mask;
    }
    return slot;
}

/* Turns away most symbols with one look at a small bitmap; lets all pass that are in. */
DH_FN int dh_profile_passes(DH_GLOBAL const uint64_t *filter, uint32_t lexicon, uint64_t symbol)
{
    const uint32_t bit = (uint32_t)(symbol >> (64 - DH_FILTER_BITS));
    return (int)(filter[(uint64_t)lexicon * DH_FILTER_WORDS + bit / 64] >> (bit % 64)) & 1;
}

/* A document as the matcher sees it. */
typedef struct dh_profile_document {
    DH_GLOBAL const uint64_t *token;
    DH_GLOBAL const dh_prefix_hit *hit;
    uint32_t token_count;
    uint32_t hit_count;
    uint32_t lexicon;
} dh_profile_document;

/* The longest prefix term that is an edge of node at token `at`; *cursor is the first hit that may
 * concern it (hits are ordered by token, lexicon, longest first). */
DH_FN uint32_t dh_profile_prefix_term(const dh_profile_tables *tables, const dh_profile_document *document,
                                      uint32_t node, uint32_t at, uint32_t cursor)
{
    for (uint32_t h = cursor; h < document->hit_count && document->hit[h].token <= at; h++) {
        if (document->hit[h].token == at && document->hit[h].lexicon == document->lexicon) {
            const uint32_t slot = dh_profile_edge(tables, node, document->hit[h].hash);
            if (tables->slot[slot].node != DH_NO_NODE) {
                return tables->slot[slot].term;
            }
        }
    }
    return DH_NO_TERM;
}

/* The longest term that begins at token `at`, and its tokens in *length (0: none). Of two terms of the
 * same length the exact one wins over a prefix, a longer prefix over a shorter one. */
DH_FN uint32_t dh_profile_match(const dh_profile_tables *tables, const dh_profile_document *document,
                                uint32_t at, uint32_t cursor, uint32_t *length)
{
    uint32_t node = document->lexicon;
    uint32_t best = DH_NO_TERM;
    *length = 0;
    for (uint32_t depth = 0; depth < DH_TERM_TOKENS_MAX && at + depth < document->token_count; depth++) {
        const uint64_t symbol = document->token[at + depth];
        uint32_t next = DH_NO_NODE;
        uint32_t term = DH_NO_TERM;
        if (depth == 0 || dh_profile_passes(tables->next_filter, 0, dh_profile_key(node, symbol))) {
            const uint32_t slot = dh_profile_edge(tables, node, symbol);
            next = tables->slot[slot].node;
            term = next != DH_NO_NODE ? tables->slot[slot].term : DH_NO_TERM;
        }
        if (term == DH_NO_TERM) {
            term = dh_profile_prefix_term(tables, document, node, at + depth, cursor);
        }
        if (term != DH_NO_TERM) {
            best = term;
            *length = depth + 1;
        }
        if (next == DH_NO_NODE || (next & DH_NODE_CONTINUES) == 0) {
            break;
        }
        node = next & ~DH_NODE_CONTINUES;
    }
    return best;
}

DH_FN int dh_profile_is_negated(const dh_profile_tables *tables, const dh_profile_document *document,
                                uint32_t at)
{
    const uint32_t first = at > DH_NEGATOR_REACH ? at - DH_NEGATOR_REACH : 0;
    for (uint32_t i = first; i < at; i++) {
        if (!dh_profile_passes(tables->negator_filter, document->lexicon, document->token[i])) {
            continue;
        }
        const uint32_t slot =
            dh_profile_edge(tables, DH_NEGATOR_NODE - document->lexicon, document->token[i]);
        if (tables->slot[slot].node != DH_NO_NODE) {
            return 1;
        }
    }
    return 0;
}

/* Adds a match of term at token `at`. */
DH_FN void dh_profile_add(const dh_profile_tables *tables, const dh_profile_document *document, uint32_t at,
                          uint32_t term, DH_GLOBAL uint32_t *counts)
{
    const dh_profile_term found = tables->term[term];
    uint32_t negative = found.polarity & DH_TERM_NEGATIVE;
    if ((found.polarity & DH_TERM_FIXED) == 0) {
        negative ^= (uint32_t)dh_profile_is_negated(tables, document, at);
    }
    const uint32_t side = negative != 0 ? tables->category_count : 0;
    for (uint32_t c = 0; c < found.category_count; c++) {
        counts[side + tables->category[found.category_offset + c]] += found.units;
    }
}

enum { DH_PROFILE_WINDOW = 64 /* tokens that are looked at together: a bit each in a word */ };

/* How far a document has been read from left to right. */
typedef struct dh_profile_walk {
    uint32_t cursor;    /* first hit that may still matter */
    uint32_t free_from; /* tokens before are inside a match */
    uint32_t matched;   /* tokens inside matches */
} dh_profile_walk;

/* Counts the matches that begin at the candidates of the window at `base`. Longest match, no overlaps. */
DH_FN void dh_profile_window(const dh_profile_tables *tables, const dh_profile_document *document,
                             uint32_t base, uint64_t candidates, dh_profile_walk *walk,
                             DH_GLOBAL uint32_t *counts)
{
    for (; candidates != 0; candidates &= candidates - 1) {
        const uint32_t at = base + DH_LOWEST_BIT(candidates);
        if (at < walk->free_from) {
            continue;
        }
        while (walk->cursor < document->hit_count && document->hit[walk->cursor].token < at) {
            walk->cursor++;
        }
        uint32_t length = 0;
        const uint32_t term = dh_profile_match(tables, document, at, walk->cursor, &length);
        if (length > 0) {
            dh_profile_add(tables, document, at, term, counts);
            walk->matched += length;
            walk->free_from = at + length;
        }
    }
}

/* One digit of the intensity code: by density units / (denominator * tokens), one less (not below 0) where
 * negatives prevail. Compared in integers, so that no rounding decides. */
DH_FN uint32_t dh_profile_intensity(uint64_t positive, uint64_t negative, uint64_t tokens,
                                    uint64_t denominator)
{
    const uint64_t units = (positive + negative) * 1000;
    const uint64_t scale = tokens * denominator;
    /* Without branches: they would be guessed wrong. */
    const uint32_t some = (uint32_t)(units > 0);
    const uint32_t digit = some + (some & (uint32_t)(units >= 5 * scale)) +
                           (some & (uint32_t)(units >= 10 * scale)) +
                           (some & (uint32_t)(units >= 20 * scale));
    return digit > 0 && negative > positive ? digit - 1 : digit;
}

/* Packs a code of the given base (2 presence, 3 sign, 5 intensity): sum of digit[d] * base^d. */
DH_FN uint64_t dh_profile_code(DH_GLOBAL const uint32_t *counts, uint32_t categories, uint64_t tokens,
                               uint64_t denominator, uint32_t base)
{
    uint64_t code = 0;
    uint64_t power = 1;
    for (uint32_t d = 0; d < categories; d++) {
        const uint64_t positive = counts[d];
        const uint64_t negative = counts[categories + d];
        uint64_t digit = positive + negative > 0 ? 1 : 0;
        if (base == 3) {
            digit = positive > negative ? 1 : (negative > positive ? 2 : 0);
        } else if (base == 5) {
            digit = dh_profile_intensity(positive, negative, tokens, denominator);
        }
        code += digit * power;
        power *= base;
    }
    return code;
}

/* Shares of the categories: share[d] = (pos + neg)[d] / sum; all zeros when nothing matched. */
DH_FN void dh_profile_shares(DH_GLOBAL const uint32_t *counts, uint32_t categories, DH_GLOBAL double *share)
{
    uint64_t total = 0;
    for (uint32_t d = 0; d < 2 * categories; d++) {
        total += counts[d];
    }
    for (uint32_t d = 0; d < categories; d++) {
        const uint64_t units = (uint64_t)counts[d] + counts[categories + d];
        share[d] = total > 0 ? (double)units / (double)total : 0.0;
    }
}

/* entropy(share) / ln(K), held in [0, 1] against the last bit's rounding. 0 for K = 1. */
DH_FN double dh_profile_ambiguity(DH_GLOBAL const double *share, uint32_t categories)
{
    double entropy = 0.0;
    for (uint32_t d = 0; d < categories; d++) {
        if (share[d] > 0.0) {
            entropy = entropy - share[d] * dh_ln(share[d]);
        }
    }
    if (categories < 2 || !(entropy > 0.0)) {
        return 0.0;
    }
    const double ambiguity = entropy / dh_ln((double)categories);
    return ambiguity < 1.0 ? ambiguity : 1.0;
}

DH_FN double dh_profile_variance(DH_GLOBAL const double *share, uint32_t categories)
{
    double sum = 0.0;
    for (uint32_t d = 0; d < categories; d++) {
        sum = sum + share[d];
    }
    const double mean = sum / (double)categories;
    double squares = 0.0;
    for (uint32_t d = 0; d < categories; d++) {
        const double deviation = share[d] - mean;
        squares = squares + deviation * deviation;
    }
    return squares / (double)categories;
}

/* prime[i] = sum over d of share[d] * p^(d mod p), in the order of d. */
DH_FN void dh_profile_primes(DH_GLOBAL const double *share, uint32_t categories, DH_GLOBAL double *prime)
{
    const uint32_t primes[DH_PRIMES] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
    for (int i = 0; i < DH_PRIMES; i++) {
        double sum = 0.0;
        double power = 1.0;
        uint32_t exponent = 0;
        for (uint32_t d = 0; d < categories; d++) {
            sum = sum + share[d] * power;
            exponent = exponent + 1 == primes[i] ? 0 : exponent + 1;
            power = exponent == 0 ? 1.0 : power * (double)primes[i];
        }
        prime[i] = sum;
    }
}

/* What is made of the counts of one document of `tokens` tokens. share: room for K doubles. */
DH_FN void dh_profile_finish(const dh_profile_tables *tables, DH_GLOBAL const uint32_t *counts,
                             uint64_t tokens, uint32_t matched, uint32_t document, DH_GLOBAL double *share,
                             const dh_profile_out *out)
{
    const uint32_t categories = tables->category_count;
    dh_profile_shares(counts, categories, share);
    for (uint32_t d = 0; d < categories; d++) {
        out->profile[(uint64_t)document * categories + d] = (float)share[d];
    }
    dh_profile_primes(share, categories, out->prime + (uint64_t)document * DH_PRIMES);
    out->matched[document] = matched;
    out->coverage[document] = tokens > 0 ? (double)matched / (double)tokens : 0.0;
    out->ambiguity[document] = dh_profile_ambiguity(share, categories);
    out->variance[document] = dh_profile_variance(share, categories);
    if (out->code2 != 0) {
        out->code2[document] = dh_profile_code(counts, categories, tokens, tables->denominator, 2);
    }
    if (out->code3 != 0) {
        out->code3[document] = dh_profile_code(counts, categories, tokens, tables->denominator, 3);
    }
    if (out->code5 != 0) {
        out->code5[document] = dh_profile_code(counts, categories, tokens, tables->denominator, 5);
    }
}

#endif
