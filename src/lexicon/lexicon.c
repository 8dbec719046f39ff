#include "lexicon/lexicon.h"

#include "base/divisor.h"
#include "base/file.h"
#include "base/log.h"
#include "kernels/sha256.h"
#include "lexicon/language.h"
#include "lexicon/lexicon_internal.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { VOTE_TOKENS = 1000, VOTE_SHARE = 25, FUNCTION_SLOTS_MIN = 1024 };

typedef struct lexicon {
    char *name;
    uint16_t language;
    char language_name[4]; /* "*": any */
    char sha256[2 * DH_SHA256_SIZE + 1];
    uint32_t terms, negators, function_words;
    dh_prefix_set *prefixes; /* its own */
} lexicon;

/* Function words of all lexicons: token hash to a bit for each lexicon. Open addressing, 0 is empty. */
typedef struct function_words {
    uint64_t *key;
    uint64_t *lexicon_bits;
    size_t mask, used;
} function_words;

struct dh_lexicons {
    dh_tokenizer *tokenizer;
    dh_tokenizer *as_written; /* keeps every word; NULL when tokenizer does so, too */
    uint64_t dropped;         /* entries of the file that lost words by the tokeniser's rule */
    dh_prefix_set *prefixes;  /* of all lexicons */
    lexicon lexicon[DH_LEXICONS_MAX];
    uint32_t lexicon_count;
    char *category[DH_CATEGORIES_MAX];
    uint32_t category_count;
    function_words function_words;
    /* the trie as it grows; the tables point into it once compiled */
    dh_profile_slot *slot;
    size_t slot_count, slots_used;
    uint32_t node_count;
    dh_term *term;
    uint32_t term_count, term_capacity;
    uint64_t *first_filter, *negator_filter, *next_filter; /* one block of memory */
    dh_profile_term *compiled_term;
    uint8_t *category_list;
    bool compiled;
    dh_profile_tables tables;
};

/* ---- the table of edges ------------------------------------------------------------------------------ */

static uint64_t edge_key(uint32_t node, uint64_t symbol)
{
    return symbol ^ ((uint64_t)node + 1) * DH_EDGE_MIX;
}

static size_t edge_slot(const dh_lexicons *lexicons, uint64_t key)
{
    size_t slot = (size_t)(key >> 20) & (lexicons->slot_count - 1);
    while (lexicons->slot[slot].node != DH_NO_NODE && lexicons->slot[slot].key != key) {
        slot = (slot + 1) & (lexicons->slot_count - 1);
    }
    return slot;
}

static dh_status edges_grow(dh_lexicons *lexicons)
{
    const size_t old_count = lexicons->slot_count;
    dh_profile_slot *old = lexicons->slot;
    const size_t count = old_count == 0 ? 1024 : old_count * 2;
    void *memory = NULL;
    DH_TRY(dh_allocate(count, sizeof *old, "a lexicon's table", &memory));
    lexicons->slot = memory;
    lexicons->slot_count = count;
    for (size_t i = 0; i < count; i++) {
        lexicons->slot[i].node = DH_NO_NODE;
    }
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].node != DH_NO_NODE) {
            lexicons->slot[edge_slot(lexicons, old[i].key)] = old[i];
        }
    }
    free(old);
    return DH_OK;
}

/* Goes from node along symbol, making the edge where it is missing. *slot is valid until the next call. */
static dh_status edge_follow(dh_lexicons *lexicons, uint32_t node, uint64_t symbol, size_t *slot)
{
    if (2 * (lexicons->slots_used + 1) > lexicons->slot_count) {
        DH_TRY(edges_grow(lexicons));
    }
    const uint64_t key = edge_key(node, symbol);
    const size_t place = edge_slot(lexicons, key);
    if (lexicons->slot[place].node == DH_NO_NODE) {
        lexicons->slot[place] =
            (dh_profile_slot){.key = key, .node = lexicons->node_count++, .term = DH_NO_TERM};
        lexicons->slots_used++;
    }
    *slot = place;
    return DH_OK;
}

/* ---- tokens of an entry ------------------------------------------------------------------------------ */

typedef struct entry_tokens {
    uint64_t symbol[DH_TERM_TOKENS_MAX];
    uint8_t last[256]; /* the last token's bytes, for a prefix */
    size_t last_size;
    uint32_t count;
    uint32_t written; /* as count, but with the words that the tokeniser's rule drops */
} entry_tokens;

static dh_status entry_visit(void *context, const uint8_t *token, size_t size)
{
    entry_tokens *entry = context;
    if (entry->count < DH_TERM_TOKENS_MAX) {
        entry->symbol[entry->count] = XXH3_64bits(token, size);
    }
    entry->count++;
    entry->last_size = size;
    memcpy(entry->last, token, size < sizeof entry->last ? size : sizeof entry->last);
    return DH_OK;
}

static dh_status count_visit(void *context, const uint8_t *token, size_t size)
{
    (void)token;
    (void)size;
    *(uint32_t *)context += 1;
    return DH_OK;
}

static dh_status wrong(const dh_lexicon_line *at, const char *reason, const char *text, size_t size)
{
    return dh_error(DH_USAGE, "%s:%llu: %s: %.*s", at->path, (unsigned long long)at->number, reason,
                    (int)(size < 200 ? size : 200), text);
}

static dh_status entry_tokenize(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text,
                                size_t size, entry_tokens *entry)
{
    entry->count = 0;
    entry->last_size = 0;
    if (dh_utf8_valid_prefix((const uint8_t *)text, size) != size) {
        return wrong(at, "not UTF-8", text, size);
    }
    DH_TRY(dh_tokenize_visit(lexicons->tokenizer, (const uint8_t *)text, size, entry_visit, entry));
    entry->written = entry->count;
    if (lexicons->as_written != NULL) {
        entry->written = 0;
        DH_TRY(dh_tokenize_visit(lexicons->as_written, (const uint8_t *)text, size, count_visit,
                                 &entry->written));
    }
    return DH_OK;
}

/* An entry that loses a word ("can t" of sklearn's tokens would be "can") means something else: leave it out.
 */
static bool loses_words(dh_lexicons *lexicons, const entry_tokens *entry)
{
    const bool loses = entry->count < entry->written;
    lexicons->dropped += loses;
    return loses;
}

/* ---- building ---------------------------------------------------------------------------------------- */

dh_status dh_lexicons_create(dh_token_mode mode, dh_lexicons **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_lexicons), "the lexicons", &memory));
    dh_lexicons *lexicons = memory;
    dh_status status = dh_tokenizer_create(mode, NULL, &lexicons->tokenizer);
    if (status == DH_OK && mode != DH_TOKENS_UNICODE) {
        status = dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &lexicons->as_written);
    }
    if (status == DH_OK) {
        status = dh_prefix_set_create(&lexicons->prefixes);
    }
    lexicons->node_count = DH_LEXICONS_MAX; /* the first ones are the roots */
    void *filter = NULL;
    if (status == DH_OK) {
        status = dh_allocate((size_t)(2 * DH_LEXICONS_MAX + 1) * DH_FILTER_WORDS, sizeof(uint64_t),
                             "the lexicons' filters", &filter);
    }
    if (status == DH_OK) {
        lexicons->first_filter = filter;
        lexicons->negator_filter = lexicons->first_filter + (size_t)DH_LEXICONS_MAX * DH_FILTER_WORDS;
        lexicons->next_filter = lexicons->negator_filter + (size_t)DH_LEXICONS_MAX * DH_FILTER_WORDS;
    }
    if (status != DH_OK) {
        dh_lexicons_free(lexicons);
        return status;
    }
    *out = lexicons;
    return DH_OK;
}

void dh_lexicons_free(dh_lexicons *lexicons)
{
    if (lexicons == NULL) {
        return;
    }
    for (uint32_t l = 0; l < lexicons->lexicon_count; l++) {
        free(lexicons->lexicon[l].name);
        dh_prefix_set_free(lexicons->lexicon[l].prefixes);
    }
    for (uint32_t c = 0; c < lexicons->category_count; c++) {
        free(lexicons->category[c]);
    }
    dh_tokenizer_free(lexicons->tokenizer);
    dh_tokenizer_free(lexicons->as_written);
    dh_prefix_set_free(lexicons->prefixes);
    free(lexicons->function_words.key);
    free(lexicons->function_words.lexicon_bits);
    free(lexicons->slot);
    free(lexicons->term);
    free(lexicons->first_filter);
    free(lexicons->compiled_term);
    free(lexicons->category_list);
    free(lexicons);
}

static dh_status set_categories(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *const *category,
                                uint32_t count)
{
    if (lexicons->lexicon_count == 0) {
        for (uint32_t c = 0; c < count; c++) {
            lexicons->category[c] = strdup(category[c]);
            if (lexicons->category[c] == NULL) {
                return dh_error(DH_NO_MEMORY, "out of memory: a category's name");
            }
            lexicons->category_count = c + 1;
        }
        return DH_OK;
    }
    bool same = count == lexicons->category_count;
    for (uint32_t c = 0; same && c < count; c++) {
        same = strcmp(category[c], lexicons->category[c]) == 0;
    }
    return same ? DH_OK
                : wrong(at, "the categories differ from those of the lexicon before", at->path,
                        strlen(at->path));
}

dh_status dh_lexicon_begin(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *name,
                           uint16_t language, const char *const *category, uint32_t category_count)
{
    if (lexicons->lexicon_count == DH_LEXICONS_MAX) {
        return wrong(at, "more than 64 lexicons", name, strlen(name));
    }
    if (category_count == 0) {
        return wrong(at, "no categories", name, strlen(name));
    }
    for (uint32_t l = 0; l < lexicons->lexicon_count; l++) {
        if (lexicons->lexicon[l].language == language) {
            return wrong(at, "a second lexicon for the same language", dh_language_name(language), 3);
        }
    }
    DH_TRY(set_categories(lexicons, at, category, category_count));
    lexicon *made = &lexicons->lexicon[lexicons->lexicon_count];
    *made = (lexicon){.language = language, .name = strdup(name)};
    if (made->name == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a lexicon's name");
    }
    memcpy(made->language_name, language == DH_LANGUAGE_UNKNOWN ? "*" : dh_language_name(language),
           language == DH_LANGUAGE_UNKNOWN ? 2 : 4);
    lexicons->lexicon_count++;
    return dh_prefix_set_create(&made->prefixes);
}

static dh_status term_append(dh_lexicons *lexicons, const dh_term *term, uint32_t *index)
{
    if (lexicons->term_count == lexicons->term_capacity) {
        const uint32_t capacity = lexicons->term_capacity == 0 ? 1024 : lexicons->term_capacity * 2;
        void *memory = lexicons->term;
        DH_TRY(dh_reallocate(capacity, sizeof *lexicons->term, "a lexicon's terms", &memory));
        lexicons->term = memory;
        lexicons->term_capacity = capacity;
    }
    lexicons->term[lexicons->term_count] = *term;
    *index = lexicons->term_count++;
    return DH_OK;
}

static void filter_add(uint64_t *filter, uint32_t index, uint64_t symbol)
{
    const uint64_t bit = symbol >> (64 - DH_FILTER_BITS);
    filter[(size_t)index * DH_FILTER_WORDS + bit / 64] |= UINT64_C(1) << (bit % 64);
}

static bool has_negator(const dh_lexicons *lexicons, uint32_t index, const entry_tokens *entry)
{
    for (uint32_t t = 0; t < entry->count; t++) {
        const size_t slot = edge_slot(lexicons, edge_key(DH_NEGATOR_NODE - index, entry->symbol[t]));
        if (lexicons->slot[slot].node != DH_NO_NODE) {
            return true;
        }
    }
    return false;
}

dh_status dh_lexicon_add_term(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text, size_t size,
                              const dh_term *term, uint32_t *tokens)
{
    const uint32_t index = lexicons->lexicon_count - 1;
    const bool is_prefix = size > 1 && text[size - 1] == '*';
    entry_tokens entry = {0};
    DH_TRY(entry_tokenize(lexicons, at, text, is_prefix ? size - 1 : size, &entry));
    *tokens = entry.written > entry.count ? entry.written : entry.count;
    if (loses_words(lexicons, &entry) || entry.count == 0) {
        return DH_OK;
    }
    if (entry.count > DH_TERM_TOKENS_MAX) {
        return wrong(at, "a term has at most 4 tokens (apostrophes and hyphens split)", text, size);
    }
    if (is_prefix) {
        if (entry.last_size > 255) {
            return wrong(at, "a prefix is longer than 255 bytes", text, size);
        }
        uint64_t *symbol = &entry.symbol[entry.count - 1];
        DH_TRY(dh_prefix_set_add(lexicons->prefixes, index, entry.last, entry.last_size, symbol));
        DH_TRY(
            dh_prefix_set_add(lexicons->lexicon[index].prefixes, index, entry.last, entry.last_size, symbol));
    }
    uint32_t node = index;
    size_t slot = 0;
    for (uint32_t t = 0; t < entry.count; t++) {
        DH_TRY(edge_follow(lexicons, node, entry.symbol[t], &slot));
        if (t > 0) {
            filter_add(lexicons->next_filter, 0, edge_key(node, entry.symbol[t]));
        }
        if (t + 1 < entry.count) {
            lexicons->slot[slot].node |= DH_NODE_CONTINUES;
        }
        node = lexicons->slot[slot].node & ~DH_NODE_CONTINUES;
    }
    if (lexicons->slot[slot].term != DH_NO_TERM) {
        return wrong(at, "the term stands in the lexicon twice", text, size);
    }
    if (!is_prefix || entry.count > 1) {
        filter_add(lexicons->first_filter, index, entry.symbol[0]);
    }
    lexicons->lexicon[index].terms++;
    dh_term made = *term;
    made.fixed = has_negator(lexicons, index, &entry);
    return term_append(lexicons, &made, &lexicons->slot[slot].term);
}

dh_status dh_lexicon_add_negator(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text,
                                 size_t size)
{
    const uint32_t index = lexicons->lexicon_count - 1;
    entry_tokens entry = {0};
    if (lexicons->lexicon[index].terms > 0) {
        return wrong(at, "negators must stand before the first term", text, size);
    }
    DH_TRY(entry_tokenize(lexicons, at, text, size, &entry));
    if (loses_words(lexicons, &entry)) {
        return DH_OK;
    }
    if (entry.count != 1) {
        return wrong(at, "a negator is one token (apostrophes and hyphens split)", text, size);
    }
    size_t slot = 0;
    lexicons->lexicon[index].negators++;
    filter_add(lexicons->negator_filter, index, entry.symbol[0]);
    return edge_follow(lexicons, DH_NEGATOR_NODE - index, entry.symbol[0], &slot);
}

static size_t function_slot(const function_words *words, uint64_t hash)
{
    size_t slot = (size_t)hash & words->mask;
    while (words->key[slot] != 0 && words->key[slot] != hash) {
        slot = (slot + 1) & words->mask;
    }
    return slot;
}

static dh_status function_words_grow(function_words *words)
{
    function_words grown = {.mask = words->key == NULL ? FUNCTION_SLOTS_MIN - 1 : words->mask * 2 + 1,
                            .used = words->used};
    void *key = NULL;
    void *bits = NULL;
    DH_TRY(dh_allocate(grown.mask + 1, sizeof *grown.key, "function words", &key));
    const dh_status status = dh_allocate(grown.mask + 1, sizeof *grown.lexicon_bits, "function words", &bits);
    if (status != DH_OK) {
        free(key);
        return status;
    }
    grown.key = key;
    grown.lexicon_bits = bits;
    for (size_t i = 0; words->key != NULL && i <= words->mask; i++) {
        if (words->key[i] != 0) {
            const size_t slot = function_slot(&grown, words->key[i]);
            grown.key[slot] = words->key[i];
            grown.lexicon_bits[slot] = words->lexicon_bits[i];
        }
    }
    free(words->key);
    free(words->lexicon_bits);
    *words = grown;
    return DH_OK;
}

dh_status dh_lexicon_add_function_word(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text,
                                       size_t size)
{
    const uint32_t index = lexicons->lexicon_count - 1;
    function_words *words = &lexicons->function_words;
    entry_tokens entry = {0};
    DH_TRY(entry_tokenize(lexicons, at, text, size, &entry));
    if (loses_words(lexicons, &entry)) {
        return DH_OK;
    }
    if (entry.count != 1) {
        return wrong(at, "a function word is one token (apostrophes and hyphens split)", text, size);
    }
    if (words->key == NULL || 2 * (words->used + 1) > words->mask) {
        DH_TRY(function_words_grow(words));
    }
    const size_t slot = function_slot(words, entry.symbol[0]);
    words->used += words->key[slot] == 0;
    words->key[slot] = entry.symbol[0];
    words->lexicon_bits[slot] |= UINT64_C(1) << index;
    lexicons->lexicon[index].function_words++;
    return DH_OK;
}

/* ---- files ------------------------------------------------------------------------------------------- */

char *dh_lexicon_next_line(char **rest)
{
    char *line = *rest;
    if (line == NULL || *line == '\0') {
        return NULL;
    }
    char *end = strchr(line, '\n');
    *rest = end != NULL ? end + 1 : NULL;
    if (end == NULL) {
        end = line + strlen(line);
    }
    while (end > line && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n')) {
        end--;
    }
    *end = '\0';
    return line;
}

static void hash_file(const dh_buffer *text, char *hex)
{
    dh_sha256 sha;
    uint8_t digest[DH_SHA256_SIZE];
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, text->data, text->size);
    dh_sha256_end(&sha, digest);
    dh_hex(digest, sizeof digest, hex);
}

dh_status dh_lexicons_load(dh_lexicons *lexicons, const char *path)
{
    enum { FILE_SIZE_MAX = 256 << 20 };
    dh_buffer text = {0};
    const uint32_t before = lexicons->lexicon_count;
    char hex[2 * DH_SHA256_SIZE + 1];
    dh_status status = dh_file_read_all(path, FILE_SIZE_MAX, &text);
    if (status == DH_OK) {
        hash_file(&text, hex);
        status = dh_buffer_append(&text, "", 1);
    }
    if (status == DH_OK && memchr(text.data, '\0', text.size - 1) != NULL) {
        status = dh_error(DH_USAGE, "%s: a lexicon is a text file, but this one has NUL bytes", path);
    }
    if (status == DH_OK) {
        char *content = (char *)text.data;
        if (text.size > 3 && memcmp(content, "\xEF\xBB\xBF", 3) == 0) {
            content += 3;
        }
        const char *first = content + strspn(content, " \t\r\n");
        status = *first == '%' ? dh_lexicon_parse_dic(lexicons, path, content)
                               : dh_lexicon_parse_tsv(lexicons, path, content);
    }
    if (status == DH_OK) {
        memcpy(lexicons->lexicon[before].sha256, hex, sizeof hex);
    }
    if (status == DH_OK && lexicons->dropped > 0) {
        dh_say_verbose("%s: %llu entries have words that are no tokens by this rule, and are left out", path,
                       (unsigned long long)lexicons->dropped);
        lexicons->dropped = 0;
    }
    dh_buffer_free(&text);
    return status;
}

/* ---- compiling --------------------------------------------------------------------------------------- */

/* The smallest denominator that makes weight / categories an integer for every term. */
static dh_status common_denominator(const dh_lexicons *lexicons, uint32_t *denominator)
{
    uint64_t common = 1;
    for (uint32_t t = 0; t < lexicons->term_count; t++) {
        const dh_term *term = &lexicons->term[t];
        const uint64_t below = (uint64_t)DH_WEIGHT_SCALE * term->category_count;
        const uint64_t needed = below / dh_common_divisor(below, term->weight);
        common = common / dh_common_divisor(common, needed) * needed;
        if (common > DH_UNITS_MAX) {
            return dh_error(DH_USAGE,
                            "the lexicons' weights and numbers of categories need a common denominator "
                            "above %d: use fewer different weights",
                            DH_UNITS_MAX);
        }
    }
    *denominator = (uint32_t)common;
    return DH_OK;
}

static dh_status allocate_terms(dh_lexicons *lexicons)
{
    size_t categories = 0;
    for (uint32_t t = 0; t < lexicons->term_count; t++) {
        categories += lexicons->term[t].category_count;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(lexicons->term_count, sizeof *lexicons->compiled_term, "the terms", &memory));
    lexicons->compiled_term = memory;
    DH_TRY(dh_allocate(categories, 1, "the terms", &memory));
    lexicons->category_list = memory;
    return DH_OK;
}

static dh_status fill_terms(dh_lexicons *lexicons, uint32_t denominator)
{
    uint32_t offset = 0;
    for (uint32_t t = 0; t < lexicons->term_count; t++) {
        const dh_term *term = &lexicons->term[t];
        const uint64_t below = (uint64_t)DH_WEIGHT_SCALE * term->category_count;
        if (below == 0) {
            return dh_error(DH_INTERNAL, "term %u of the lexicons has no category", t);
        }
        const uint64_t units = (uint64_t)term->weight * denominator / below;
        if (units > DH_UNITS_MAX) {
            return dh_error(DH_USAGE, "a weight times the lexicons' common denominator %u is above %d",
                            denominator, DH_UNITS_MAX);
        }
        lexicons->compiled_term[t] = (dh_profile_term){
            .units = (uint32_t)units,
            .category_offset = offset,
            .category_count = term->category_count,
            .polarity =
                (uint16_t)((term->negative ? DH_TERM_NEGATIVE : 0) | (term->fixed ? DH_TERM_FIXED : 0)),
        };
        memcpy(lexicons->category_list + offset, term->category, term->category_count);
        offset += term->category_count;
    }
    return DH_OK;
}

dh_status dh_lexicons_compile(dh_lexicons *lexicons)
{
    if (lexicons->lexicon_count == 0) {
        return dh_error(DH_USAGE, "no lexicon was given");
    }
    uint32_t denominator = 0;
    DH_TRY(common_denominator(lexicons, &denominator));
    DH_TRY(allocate_terms(lexicons));
    DH_TRY(fill_terms(lexicons, denominator));
    if (lexicons->slot_count == 0) {
        DH_TRY(edges_grow(lexicons));
    }
    lexicons->tables = (dh_profile_tables){
        .lexicon_count = lexicons->lexicon_count,
        .category_count = lexicons->category_count,
        .denominator = denominator,
        .slot_mask = (uint32_t)(lexicons->slot_count - 1),
        .slot = lexicons->slot,
        .term = lexicons->compiled_term,
        .category = lexicons->category_list,
        .first_filter = lexicons->first_filter,
        .negator_filter = lexicons->negator_filter,
        .next_filter = lexicons->next_filter,
        .term_count = lexicons->term_count,
    };
    lexicons->compiled = true;
    return DH_OK;
}

/* ---- asking ------------------------------------------------------------------------------------------ */

const dh_profile_tables *dh_lexicons_tables(const dh_lexicons *lexicons)
{
    return lexicons->compiled ? &lexicons->tables : NULL;
}

const char *const *dh_lexicons_categories(const dh_lexicons *lexicons)
{
    return (const char *const *)lexicons->category;
}

const dh_prefix_set *dh_lexicons_prefixes(const dh_lexicons *lexicons, uint32_t index)
{
    return index < lexicons->lexicon_count ? lexicons->lexicon[index].prefixes : lexicons->prefixes;
}

uint32_t dh_lexicons_count(const dh_lexicons *lexicons)
{
    return lexicons->lexicon_count;
}

dh_lexicon_facts dh_lexicons_facts(const dh_lexicons *lexicons, uint32_t index)
{
    const lexicon *one = &lexicons->lexicon[index];
    return (dh_lexicon_facts){
        .name = one->name,
        .language = one->language_name,
        .sha256 = one->sha256,
        .terms = one->terms,
        .negators = one->negators,
        .function_words = one->function_words,
    };
}

uint16_t dh_lexicons_find(const dh_lexicons *lexicons, uint16_t language)
{
    uint16_t any = DH_NO_LEXICON;
    for (uint32_t l = 0; l < lexicons->lexicon_count; l++) {
        if (lexicons->lexicon[l].language == DH_LANGUAGE_UNKNOWN) {
            any = (uint16_t)l;
        } else if (lexicons->lexicon[l].language == language) {
            return (uint16_t)l;
        }
    }
    return any;
}

uint16_t dh_lexicons_vote(const dh_lexicons *lexicons, const uint64_t *token, uint64_t count)
{
    const function_words *words = &lexicons->function_words;
    uint32_t votes[DH_LEXICONS_MAX] = {0};
    const uint64_t looked = count < VOTE_TOKENS ? count : VOTE_TOKENS;
    for (uint64_t t = 0; words->key != NULL && t < looked; t++) {
        const size_t slot = function_slot(words, token[t]);
        uint64_t bits = words->key[slot] == 0 ? 0 : words->lexicon_bits[slot];
        for (; bits != 0; bits &= bits - 1) {
            votes[__builtin_ctzll(bits)]++;
        }
    }
    uint32_t best = 0;
    bool tie = false;
    for (uint32_t l = 1; l < lexicons->lexicon_count; l++) {
        tie = votes[l] == votes[best] || (tie && votes[l] < votes[best]);
        best = votes[l] > votes[best] ? l : best;
    }
    if (tie || votes[best] == 0 || (uint64_t)votes[best] * VOTE_SHARE < looked) {
        return DH_LANGUAGE_UNKNOWN;
    }
    return lexicons->lexicon[best].language;
}
