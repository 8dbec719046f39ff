#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POISON = 0xA5 };

/* ---- numbers and memory ------------------------------------------------------------------------------ */

static uint64_t random_state = 1;

void sample_seed(uint64_t seed)
{
    random_state = seed * 2 + 1;
}

/* xorshift64* */
uint64_t sample_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

uint64_t sample_below(uint64_t limit)
{
    return (sample_random() >> 11) % limit;
}

static void *must(void *memory)
{
    if (memory == NULL) {
        (void)fputs("out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

void *sample_allocate(size_t count, size_t size)
{
    const size_t bytes = count * size + 1;
    return memset(must(malloc(bytes)), POISON, bytes);
}

static void *grow(void *memory, uint64_t *capacity, uint64_t needed, size_t size)
{
    if (memory != NULL && needed <= *capacity) {
        return memory;
    }
    *capacity = needed + needed / 2 + 16;
    return must(realloc(memory, *capacity * size));
}

/* ---- lexicons ---------------------------------------------------------------------------------------- */

/* No word has the hash of a prefix: they differ in the lowest bit. */
static uint64_t word_hash(const sample_set *set)
{
    return ((sample_random() & set->hash_mask) | set->hash_base) & ~UINT64_C(1);
}

static void make_words(sample_set *set)
{
    const uint64_t filter_bits = UINT64_C(0xFFFF) << 48;
    const uint64_t home_bits = UINT64_C(0xFFFFFFF) << 20;
    uint64_t fixed = 0;
    fixed |= (set->options.hashes & SAMPLE_SAME_FILTER_BIT) != 0 ? filter_bits : 0;
    fixed |= (set->options.hashes & SAMPLE_SAME_HOME) != 0 ? home_bits : 0;
    set->hash_mask = ~fixed;
    set->hash_base = sample_random() & fixed;
    set->prefix_count = set->options.words / 8 + 1;
    set->prefix = sample_allocate(set->prefix_count, sizeof *set->prefix);
    set->prefix_word = must(calloc(set->prefix_count, sizeof *set->prefix_word));
    for (uint32_t p = 0; p < set->prefix_count; p++) {
        set->prefix[p] = word_hash(set) | 1;
    }
    set->word = sample_allocate(set->options.words, sizeof *set->word);
    for (uint32_t w = 0; w < set->options.words; w++) {
        sample_word *word = &set->word[w];
        *word = (sample_word){.hash = word_hash(set)};
        const bool is_prefixed = sample_below(256) < set->options.prefixed_256;
        uint32_t p = (uint32_t)sample_below(set->prefix_count);
        while (is_prefixed && p < set->prefix_count && word->prefix_count < SAMPLE_PREFIXES_MAX) {
            word->prefix[word->prefix_count++] = p;
            set->prefix_word[p] = w;
            p += 1 + (uint32_t)sample_below(set->prefix_count);
        }
    }
}

bool sample_is_negator(const sample_lexicon *lexicon, uint64_t hash)
{
    for (uint32_t n = 0; n < lexicon->negator_count; n++) {
        if (lexicon->negator[n] == hash) {
            return true;
        }
    }
    return false;
}

static bool has_term(const sample_lexicon *lexicon, const sample_term *wanted)
{
    for (uint32_t t = 0; t < lexicon->term_count; t++) {
        const sample_term *term = &lexicon->term[t];
        if (term->tokens == wanted->tokens &&
            memcmp(term->symbol, wanted->symbol, wanted->tokens * sizeof *wanted->symbol) == 0) {
            return true;
        }
    }
    return false;
}

/* Words of terms are taken from the first quarter, so that terms begin alike and overlap. */
static sample_term random_term(const sample_set *set, const sample_lexicon *lexicon)
{
    sample_term term = {.tokens = 1 + (uint32_t)(sample_below(8) * sample_below(8) / 14),
                        .is_prefix = sample_below(4) == 0,
                        .is_negative = sample_below(3) == 0,
                        .units = 1 + (uint32_t)sample_below(255)};
    for (uint32_t i = 0; i < term.tokens; i++) {
        term.word[i] = (uint32_t)sample_below(set->options.words / 4 + 1);
        term.symbol[i] = set->word[term.word[i]].hash;
    }
    if (term.is_prefix) {
        const uint32_t prefix = (uint32_t)sample_below(set->prefix_count);
        term.word[term.tokens - 1] = set->prefix_word[prefix];
        term.symbol[term.tokens - 1] = set->prefix[prefix];
    }
    for (uint32_t i = 0; i < term.tokens; i++) {
        term.is_fixed = term.is_fixed || sample_is_negator(lexicon, term.symbol[i]);
    }
    const uint32_t categories = set->options.categories;
    const uint32_t most = categories < SAMPLE_CATEGORIES_MAX ? categories : SAMPLE_CATEGORIES_MAX;
    const uint32_t first = (uint32_t)sample_below(categories);
    term.category_count = 1 + (uint32_t)sample_below(most);
    for (uint32_t c = 0; c < term.category_count; c++) {
        term.category[c] = (uint8_t)((first + c) % categories);
    }
    return term;
}

static bool has_prefix_term(const sample_lexicon *lexicon, uint64_t prefix)
{
    for (uint32_t t = 0; t < lexicon->term_count; t++) {
        const sample_term *term = &lexicon->term[t];
        if (term->is_prefix && term->symbol[term->tokens - 1] == prefix) {
            return true;
        }
    }
    return false;
}

static void make_lexicon(const sample_set *set, sample_lexicon *lexicon)
{
    *lexicon = (sample_lexicon){.negator_count = (uint32_t)sample_below(SAMPLE_NEGATORS_MAX + 1),
                                .first_negator = (uint32_t)sample_below(set->options.words)};
    for (uint32_t n = 0; n < lexicon->negator_count; n++) {
        const uint64_t word = n == 0 ? lexicon->first_negator : sample_below(set->options.words);
        lexicon->negator[n] = set->word[word].hash;
    }
    lexicon->term = sample_allocate(set->options.terms, sizeof *lexicon->term);
    for (uint32_t t = 0; t < set->options.terms; t++) {
        const sample_term term = random_term(set, lexicon);
        if (!has_term(lexicon, &term)) {
            lexicon->term[lexicon->term_count++] = term;
        }
    }
    lexicon->has_prefix = must(calloc(set->prefix_count, sizeof *lexicon->has_prefix));
    for (uint32_t p = 0; p < set->prefix_count; p++) {
        lexicon->has_prefix[p] = has_prefix_term(lexicon, set->prefix[p]);
    }
}

/* ---- tables ------------------------------------------------------------------------------------------ */

typedef struct builder {
    dh_profile_slot *slot;
    uint32_t mask, nodes, terms, categories;
    dh_profile_term *term;
    uint8_t *category;
    uint64_t *first_filter, *negator_filter, *next_filter;
} builder;

static uint64_t edge_key(uint32_t node, uint64_t symbol)
{
    return symbol ^ ((uint64_t)node + 1) * DH_EDGE_MIX;
}

static void filter_add(uint64_t *filter, uint32_t lexicon, uint64_t symbol)
{
    const uint64_t bit = symbol >> (64 - DH_FILTER_BITS);
    filter[(size_t)lexicon * DH_FILTER_WORDS + bit / 64] |= UINT64_C(1) << (bit % 64);
}

static dh_profile_slot *follow(builder *made, uint32_t node, uint64_t symbol)
{
    const uint64_t key = edge_key(node, symbol);
    uint32_t place = (uint32_t)(key >> 20) & made->mask;
    while (made->slot[place].node != DH_NO_NODE && made->slot[place].key != key) {
        place = (place + 1) & made->mask;
    }
    if (made->slot[place].node == DH_NO_NODE) {
        made->slot[place] = (dh_profile_slot){.key = key, .node = made->nodes++, .term = DH_NO_TERM};
    }
    return &made->slot[place];
}

static void build_term(builder *made, uint32_t index, const sample_term *term)
{
    uint32_t node = index;
    dh_profile_slot *slot = NULL;
    for (uint32_t i = 0; i < term->tokens; i++) {
        slot = follow(made, node, term->symbol[i]);
        if (i > 0) {
            filter_add(made->next_filter, 0, edge_key(node, term->symbol[i]));
        }
        if (i + 1 < term->tokens) {
            slot->node |= DH_NODE_CONTINUES;
        }
        node = slot->node & ~DH_NODE_CONTINUES;
    }
    if (!term->is_prefix || term->tokens > 1) {
        filter_add(made->first_filter, index, term->symbol[0]);
    }
    if (slot != NULL) {
        slot->term = made->terms;
    }
    made->term[made->terms++] =
        (dh_profile_term){.units = term->units,
                          .category_offset = made->categories,
                          .category_count = (uint16_t)term->category_count,
                          .polarity = (uint16_t)((term->is_negative ? DH_TERM_NEGATIVE : 0) |
                                                 (term->is_fixed ? DH_TERM_FIXED : 0))};
    memcpy(made->category + made->categories, term->category, term->category_count);
    made->categories += term->category_count;
}

static void builder_allocate(builder *made, const sample_set *set)
{
    const uint32_t lexicons = set->options.lexicons;
    const size_t terms = (size_t)lexicons * set->options.terms;
    size_t slots = 2;
    while (slots < 2 * (terms * DH_TERM_TOKENS_MAX + (size_t)lexicons * SAMPLE_NEGATORS_MAX)) {
        slots *= 2;
    }
    *made = (builder){.mask = (uint32_t)(slots - 1), .nodes = lexicons};
    made->slot = sample_allocate(slots, sizeof *made->slot);
    for (size_t s = 0; s < slots; s++) {
        made->slot[s] = (dh_profile_slot){.node = DH_NO_NODE, .term = DH_NO_TERM};
    }
    made->term = sample_allocate(terms, sizeof *made->term);
    made->category = sample_allocate(terms, SAMPLE_CATEGORIES_MAX);
    const size_t words = (size_t)(2 * lexicons + 1) * DH_FILTER_WORDS;
    made->first_filter = must(calloc(words, sizeof *made->first_filter));
    made->negator_filter = made->first_filter + (size_t)lexicons * DH_FILTER_WORDS;
    made->next_filter = made->negator_filter + (size_t)lexicons * DH_FILTER_WORDS;
}

static void build_tables(sample_set *set)
{
    static const uint32_t denominator[] = {1, 2, 6, 255};
    builder made;
    builder_allocate(&made, set);
    for (uint32_t l = 0; l < set->options.lexicons; l++) {
        const sample_lexicon *lexicon = &set->lexicon[l];
        for (uint32_t n = 0; n < lexicon->negator_count; n++) {
            (void)follow(&made, DH_NEGATOR_NODE - l, lexicon->negator[n]);
            filter_add(made.negator_filter, l, lexicon->negator[n]);
        }
        for (uint32_t t = 0; t < lexicon->term_count; t++) {
            build_term(&made, l, &lexicon->term[t]);
        }
    }
    set->tables = (dh_profile_tables){.lexicon_count = set->options.lexicons,
                                      .category_count = set->options.categories,
                                      .denominator = denominator[sample_below(4)],
                                      .slot_mask = made.mask,
                                      .slot = made.slot,
                                      .term = made.term,
                                      .category = made.category,
                                      .first_filter = made.first_filter,
                                      .negator_filter = made.negator_filter,
                                      .next_filter = made.next_filter,
                                      .term_count = made.terms};
}

sample_set *sample_set_create(const sample_options *options)
{
    sample_set *set = must(calloc(1, sizeof *set));
    set->options = *options;
    make_words(set);
    set->lexicon = sample_allocate(options->lexicons, sizeof *set->lexicon);
    for (uint32_t l = 0; l < options->lexicons; l++) {
        make_lexicon(set, &set->lexicon[l]);
    }
    build_tables(set);
    return set;
}

void sample_set_free(sample_set *set)
{
    for (uint32_t l = 0; l < set->options.lexicons; l++) {
        free(set->lexicon[l].term);
        free(set->lexicon[l].has_prefix);
    }
    free(set->lexicon);
    free(set->word);
    free(set->prefix);
    free(set->prefix_word);
    free((void *)set->tables.slot);
    free((void *)set->tables.term);
    free((void *)set->tables.category);
    free((void *)set->tables.first_filter);
    free(set);
}

/* ---- documents --------------------------------------------------------------------------------------- */

sample_batch *sample_batch_create(void)
{
    sample_batch *batch = must(calloc(1, sizeof *batch));
    batch->text_offset = must(calloc(1, sizeof(uint64_t)));
    batch->token_offset = must(calloc(1, sizeof(uint64_t)));
    batch->prefix_hit_offset = must(calloc(1, sizeof(uint64_t)));
    batch->spelling_offset = must(calloc(1, sizeof(uint64_t)));
    return batch;
}

void sample_batch_free(sample_batch *batch)
{
    free(batch->text);
    free(batch->text_offset);
    free(batch->token);
    free(batch->token_offset);
    free(batch->prefix_hit);
    free(batch->prefix_hit_offset);
    free(batch->lexicon);
    free(batch->spelling);
    free(batch->spelling_offset);
    free(batch->token_end);
    free(batch);
}

/* Valid UTF-8: letters of one byte and of two. */
static void add_text(sample_batch *batch, uint64_t size)
{
    const uint32_t d = batch->view.document_count;
    const uint64_t from = batch->text_offset[d];
    batch->text = grow(batch->text, &batch->text_capacity, from + size, 1);
    uint8_t *at = batch->text + from;
    uint8_t *const end = at + size;
    while (at < end) {
        uint64_t bits = sample_random();
        for (int i = 0; i < 4 && at < end; i++, bits >>= 16) {
            if ((bits & 1) != 0 && end - at > 1) {
                *at++ = (uint8_t)(0xC2 + (bits >> 1) % 30);
                *at++ = (uint8_t)(0x80 + (bits >> 8) % 64);
            } else {
                *at++ = (uint8_t)(' ' + (bits >> 1) % 95);
            }
        }
    }
    batch->text_offset[d + 1] = from + size;
}

static void add_hits(sample_batch *batch, const sample_set *set, const sample_word *word,
                     const sample_document *document, uint32_t token)
{
    uint64_t *count = &batch->prefix_hit_offset[batch->view.document_count + 1];
    for (uint32_t l = 0; l < set->options.lexicons; l++) {
        for (uint32_t p = 0; p < word->prefix_count; p++) {
            if ((document->is_hit_by_all || l == document->lexicon) &&
                set->lexicon[l].has_prefix[word->prefix[p]]) {
                batch->prefix_hit =
                    grow(batch->prefix_hit, &batch->hit_capacity, *count + 1, sizeof *batch->prefix_hit);
                batch->prefix_hit[(*count)++] =
                    (dh_prefix_hit){.token = token, .lexicon = l, .hash = set->prefix[word->prefix[p]]};
            }
        }
    }
}

static void add_word(sample_batch *batch, const sample_set *set, const sample_word *word,
                     const sample_document *document)
{
    const uint32_t d = batch->view.document_count;
    const uint64_t at = batch->token_offset[d + 1]++;
    batch->token[at] = word->hash;
    add_hits(batch, set, word, document, (uint32_t)(at - batch->token_offset[d]));
}

static void add_term(sample_batch *batch, const sample_set *set, const sample_document *document,
                     uint64_t number, uint64_t left)
{
    const sample_term *term = &set->lexicon[document->lexicon].term[number];
    for (uint32_t i = 0; i < term->tokens && i < left; i++) {
        add_word(batch, set, &set->word[term->word[i]], document);
    }
}

static void add_tokens(sample_batch *batch, const sample_set *set, const sample_document *document)
{
    const uint32_t d = batch->view.document_count;
    const uint64_t end = batch->token_offset[d] + document->token_count;
    const bool has_lexicon = document->lexicon < set->options.lexicons;
    batch->token = grow(batch->token, &batch->token_capacity, end, sizeof *batch->token);
    batch->token_offset[d + 1] = batch->token_offset[d];
    batch->prefix_hit_offset[d + 1] = batch->prefix_hit_offset[d];
    if (document->begins_with_negator && has_lexicon && end > batch->token_offset[d] &&
        set->lexicon[document->lexicon].negator_count > 0) {
        add_word(batch, set, &set->word[set->lexicon[document->lexicon].first_negator], document);
    }
    if (document->only_term > 0) {
        add_term(batch, set, document, document->only_term - 1, document->token_count);
    }
    while (batch->token_offset[d + 1] < end) {
        if (document->words > 0) {
            add_word(batch, set, &set->word[sample_below(document->words)], document);
        } else if (has_lexicon && sample_below(256) < document->terms_in_256) {
            const uint64_t term = sample_below(set->lexicon[document->lexicon].term_count);
            add_term(batch, set, document, term, end - batch->token_offset[d + 1]);
        } else if (document->only_term == 0 && sample_below(2) == 0) {
            add_word(batch, set, &set->word[sample_below(set->options.words)], document);
        } else {
            batch->token[batch->token_offset[d + 1]++] = word_hash(set); /* in no lexicon */
        }
    }
}

/* Bytes of the token's spelling, when `left` bytes are left for it and `more` tokens behind it. */
static uint64_t token_size(const sample_document *document, uint64_t left, uint64_t more)
{
    enum { USUAL = 10 };
    const uint64_t limit = document->token_limit > 0 ? document->token_limit : USUAL;
    const uint64_t size = 1 + sample_below(limit);
    if (document->spelling_size == 0) {
        return size;
    }
    const uint64_t most = left - 2 * more;
    return more == 0 || size > most ? most : size;
}

/* Any bytes but spaces: kernels do not look at them. */
static void add_spelling(sample_batch *batch, const sample_document *document)
{
    const uint32_t d = batch->view.document_count;
    const uint64_t first = batch->token_offset[d];
    const uint64_t end = batch->token_offset[d + 1];
    const uint64_t from = batch->spelling_offset[d];
    uint64_t at = 0;
    batch->token_end = grow(batch->token_end, &batch->end_capacity, end, sizeof *batch->token_end);
    for (uint64_t t = first; t < end; t++) {
        const uint64_t size = token_size(document, document->spelling_size - at, end - 1 - t);
        batch->spelling = grow(batch->spelling, &batch->spelling_capacity, from + at + size + 1, 1);
        uint8_t *to = batch->spelling + from + at;
        uint64_t bits = 0;
        for (uint64_t i = 0; i < size; i++, bits >>= 8) {
            bits = i % 8 == 0 ? sample_random() : bits;
            to[i] = (uint8_t)(bits | 0x40);
        }
        to[size] = ' ';
        at += size;
        batch->token_end[t] = (uint32_t)at;
        at++;
    }
    batch->spelling_offset[d + 1] = from + at;
}

void sample_batch_add(sample_batch *batch, const sample_set *set, const sample_document *document)
{
    const uint32_t d = batch->view.document_count;
    if (d + 2 > batch->document_capacity) {
        batch->document_capacity = 2 * d + 16;
        const size_t offsets = batch->document_capacity * sizeof(uint64_t);
        batch->text_offset = must(realloc(batch->text_offset, offsets));
        batch->token_offset = must(realloc(batch->token_offset, offsets));
        batch->prefix_hit_offset = must(realloc(batch->prefix_hit_offset, offsets));
        batch->spelling_offset = must(realloc(batch->spelling_offset, offsets));
        batch->lexicon = must(realloc(batch->lexicon, batch->document_capacity * sizeof *batch->lexicon));
    }
    batch->lexicon[d] = (uint16_t)document->lexicon;
    add_text(batch, document->text_size);
    add_tokens(batch, set, document);
    add_spelling(batch, document);
    batch->view = (dh_batch){.document_count = d + 1,
                             .text = batch->text,
                             .text_offset = batch->text_offset,
                             .token = batch->token,
                             .token_offset = batch->token_offset,
                             .prefix_hit = batch->prefix_hit,
                             .prefix_hit_offset = batch->prefix_hit_offset,
                             .lexicon = batch->lexicon,
                             .spelling = batch->spelling,
                             .spelling_offset = batch->spelling_offset,
                             .token_end = batch->token_end};
}
