#include "jobs/profile_corpus.h"

#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { CODES = 3, TOP_WORDS = 3 /* units, tokens, row + 1 */ };

static const uint32_t code_base[CODES] = {2, 3, 5};

struct dh_profile_corpus {
    const dh_job_setup *setup;
    uint32_t categories;
    uint64_t code_space[CODES]; /* possible values; 0: no histogram */
    /* Places in the block, in words. Sums come first; min and top parts are merged in their own way. */
    size_t totals, matched, cooccurrence, ambiguity, language, code_count[CODES], sums_end;
    size_t code_first[CODES], top, words;
    uint64_t *block;
};

static uint64_t code_space(uint32_t base, uint32_t categories)
{
    uint64_t space = 1;
    for (uint32_t d = 0; d < categories; d++) {
        space *= base;
        if (space > DH_CODE_SPACE_MAX) {
            return 0;
        }
    }
    return space;
}

static size_t take(size_t *words, size_t count)
{
    const size_t at = *words;
    *words += count;
    return at;
}

static void lay_out(dh_profile_corpus *corpus)
{
    const size_t k = corpus->categories;
    size_t words = 0;
    corpus->totals = take(&words, 2 * k);
    corpus->matched = take(&words, 1);
    corpus->cooccurrence = take(&words, k * k);
    corpus->ambiguity = take(&words, DH_AMBIGUITY_BINS);
    corpus->language = take(&words, corpus->setup->language_count * 2 * k);
    for (int c = 0; c < CODES; c++) {
        corpus->code_space[c] = code_space(code_base[c], corpus->categories);
        corpus->code_count[c] = take(&words, corpus->code_space[c]);
    }
    corpus->sums_end = words;
    for (int c = 0; c < CODES; c++) {
        corpus->code_first[c] = take(&words, corpus->code_space[c]);
    }
    corpus->top = take(&words, k * DH_TOP_DOCUMENTS * TOP_WORDS);
    corpus->words = words;
}

dh_status dh_profile_corpus_create(const dh_job_setup *setup, dh_profile_corpus **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_profile_corpus), "the profile totals", &memory));
    dh_profile_corpus *corpus = memory;
    corpus->setup = setup;
    corpus->categories = setup->lexicons->category_count;
    lay_out(corpus);
    void *block = NULL;
    const dh_status status = dh_allocate(corpus->words, sizeof(uint64_t), "the profile totals", &block);
    if (status != DH_OK) {
        free(corpus);
        return status;
    }
    corpus->block = block;
    for (int c = 0; c < CODES; c++) { /* the first row with a code is a minimum: begin with none */
        memset(corpus->block + corpus->code_first[c], 0xFF, corpus->code_space[c] * sizeof(uint64_t));
    }
    *out = corpus;
    return DH_OK;
}

void dh_profile_corpus_free(dh_profile_corpus *corpus)
{
    if (corpus != NULL) {
        free(corpus->block);
        free(corpus);
    }
}

/* Is (units, tokens, row) before the entry in a top list? Higher density first, compared exactly; then
 * more tokens, then the earlier row. An empty entry has row 0 (rows are kept plus 1). */
static bool ranks_before(uint64_t units, uint64_t tokens, uint64_t row, const uint64_t *entry)
{
    if (entry[2] == 0) {
        return true;
    }
    const unsigned __int128 mine = (unsigned __int128)units * entry[1];
    const unsigned __int128 theirs = (unsigned __int128)entry[0] * tokens;
    if (mine != theirs) {
        return mine > theirs;
    }
    if (tokens != entry[1]) {
        return tokens > entry[1];
    }
    return row < entry[2];
}

static void top_insert(uint64_t *list, uint64_t units, uint64_t tokens, uint64_t row)
{
    uint64_t *last = list + (size_t)(DH_TOP_DOCUMENTS - 1) * TOP_WORDS;
    if (!ranks_before(units, tokens, row, last)) {
        return;
    }
    size_t at = DH_TOP_DOCUMENTS - 1;
    while (at > 0 && ranks_before(units, tokens, row, list + (at - 1) * TOP_WORDS)) {
        memcpy(list + at * TOP_WORDS, list + (at - 1) * TOP_WORDS, TOP_WORDS * sizeof *list);
        at--;
    }
    list[at * TOP_WORDS] = units;
    list[at * TOP_WORDS + 1] = tokens;
    list[at * TOP_WORDS + 2] = row;
}

static void add_categories(dh_profile_corpus *corpus, const dh_profile_rows *rows, uint32_t row)
{
    const size_t k = corpus->categories;
    const uint32_t *counts = rows->counts + row * 2 * k;
    uint64_t *language = corpus->block + corpus->language + rows->language[row] * 2 * k;
    uint8_t present[DH_CATEGORIES_MAX];
    size_t present_count = 0;
    for (size_t d = 0; d < k; d++) {
        corpus->block[corpus->totals + d] += counts[d];
        corpus->block[corpus->totals + k + d] += counts[k + d];
        language[d] += counts[d];
        language[k + d] += counts[k + d];
        const uint64_t units = (uint64_t)counts[d] + counts[k + d];
        if (units == 0) {
            continue;
        }
        present[present_count++] = (uint8_t)d;
        if (rows->tokens[row] >= DH_TOP_TOKENS_MIN) {
            top_insert(corpus->block + corpus->top + d * DH_TOP_DOCUMENTS * TOP_WORDS, units,
                       rows->tokens[row], rows->first_row + row + 1);
        }
    }
    for (size_t a = 0; a < present_count; a++) {
        for (size_t b = 0; b < present_count; b++) {
            corpus->block[corpus->cooccurrence + present[a] * k + present[b]] += 1;
        }
    }
}

static void add_codes(dh_profile_corpus *corpus, const dh_profile_rows *rows, uint32_t row)
{
    for (int c = 0; c < CODES; c++) {
        if (corpus->code_space[c] == 0 || rows->code[c] == NULL) {
            continue;
        }
        const uint64_t code = rows->code[c][row];
        const uint64_t number = rows->first_row + row;
        corpus->block[corpus->code_count[c] + code] += 1;
        uint64_t *first = &corpus->block[corpus->code_first[c] + code];
        if (number < *first) {
            *first = number;
        }
    }
}

void dh_profile_corpus_add(dh_profile_corpus *corpus, const dh_profile_rows *rows)
{
    for (uint32_t row = 0; row < rows->count; row++) {
        corpus->block[corpus->matched] += rows->matched[row];
        size_t bin = (size_t)(rows->ambiguity[row] * DH_AMBIGUITY_BINS);
        bin = bin < DH_AMBIGUITY_BINS ? bin : DH_AMBIGUITY_BINS - 1;
        corpus->block[corpus->ambiguity + bin] += 1;
        add_categories(corpus, rows, row);
        add_codes(corpus, rows, row);
    }
}

void dh_profile_corpus_block(dh_profile_corpus *corpus, void **data, size_t *size)
{
    *data = corpus->block;
    *size = corpus->words * sizeof(uint64_t);
}

void dh_profile_corpus_merge(dh_profile_corpus *corpus, const void *other)
{
    const uint64_t *theirs = other;
    for (size_t w = 0; w < corpus->sums_end; w++) {
        corpus->block[w] += theirs[w];
    }
    for (size_t w = corpus->sums_end; w < corpus->top; w++) {
        if (theirs[w] < corpus->block[w]) {
            corpus->block[w] = theirs[w];
        }
    }
    for (size_t d = 0; d < corpus->categories; d++) {
        const size_t list = corpus->top + d * DH_TOP_DOCUMENTS * TOP_WORDS;
        for (size_t i = 0; i < DH_TOP_DOCUMENTS; i++) {
            const uint64_t *entry = theirs + list + i * TOP_WORDS;
            if (entry[2] != 0) {
                top_insert(corpus->block + list, entry[0], entry[1], entry[2]);
            }
        }
    }
}

static dh_status emit_languages(dh_profile_corpus *corpus, dh_emitter *emitter)
{
    const size_t width = 2 * (size_t)corpus->categories;
    void *name_memory = NULL;
    void *sums_memory = NULL;
    size_t used = 0;
    dh_status status = dh_allocate(corpus->setup->language_count, 3, "the language names", &name_memory);
    if (status == DH_OK) {
        status = dh_allocate(corpus->setup->language_count, width * sizeof(uint64_t), "the language totals",
                             &sums_memory);
    }
    if (status == DH_OK) {
        uint64_t *sums = sums_memory;
        for (uint32_t l = 0; l < corpus->setup->language_count; l++) {
            const uint64_t *mine = corpus->block + corpus->language + l * width;
            uint64_t any = 0;
            for (size_t i = 0; i < width; i++) {
                any |= mine[i];
            }
            if (any != 0) {
                const char *language = corpus->setup->language_name((uint16_t)l);
                memcpy((char *)name_memory + used * 3, language, strnlen(language, 3));
                memcpy(sums + used * width, mine, width * sizeof *mine);
                used++;
            }
        }
        const uint64_t name_dims[] = {used, 3};
        const uint64_t sum_dims[] = {used, width};
        status = emitter->array(emitter, "language", DH_TEXT, name_dims, 2, name_memory,
                                "languages with at least one match (ISO 639 codes)", "1");
        if (status == DH_OK) {
            status = emitter->array(emitter, "by_language", DH_U64, sum_dims, 2, sums,
                                    "units of each language: K positive, then K negative", "1/denominator");
        }
    }
    free(name_memory);
    free(sums_memory);
    return status;
}

typedef struct code_entry {
    uint64_t code;
    uint64_t documents;
} code_entry;

static int compare_codes(const void *a, const void *b)
{
    const code_entry *left = a;
    const code_entry *right = b;
    if (left->documents != right->documents) {
        return left->documents > right->documents ? -1 : 1;
    }
    return left->code < right->code ? -1 : left->code > right->code;
}

static dh_status emit_code_arrays(dh_profile_corpus *corpus, dh_emitter *emitter, int c,
                                  const code_entry *entry, size_t count)
{
    uint64_t value[DH_TOP_CODES] = {0};
    uint64_t documents[DH_TOP_CODES] = {0};
    uint64_t example[DH_TOP_CODES] = {0};
    const size_t shown = count < DH_TOP_CODES ? count : DH_TOP_CODES;
    for (size_t i = 0; i < shown; i++) {
        value[i] = entry[i].code;
        documents[i] = entry[i].documents;
        example[i] = corpus->block[corpus->code_first[c] + entry[i].code];
    }
    static const char *const name[CODES][3] = {{"code2_value", "code2_documents", "code2_example"},
                                               {"code3_value", "code3_documents", "code3_example"},
                                               {"code5_value", "code5_documents", "code5_example"}};
    const uint64_t dims[] = {shown};
    DH_TRY(emitter->array(emitter, name[c][0], DH_U64, dims, 1, value, "the commonest codes, commonest first",
                          "1"));
    DH_TRY(emitter->array(emitter, name[c][1], DH_U64, dims, 1, documents, "documents with that code",
                          "documents"));
    return emitter->array(emitter, name[c][2], DH_U64, dims, 1, example,
                          "row of the first document with that code", "row");
}

static dh_status emit_codes(dh_profile_corpus *corpus, dh_emitter *emitter, int c)
{
    const uint64_t *count = corpus->block + corpus->code_count[c];
    size_t distinct = 0;
    for (uint64_t code = 0; code < corpus->code_space[c]; code++) {
        distinct += count[code] > 0;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(distinct, sizeof(code_entry), "the codes", &memory));
    code_entry *entry = memory;
    size_t used = 0;
    for (uint64_t code = 0; code < corpus->code_space[c]; code++) {
        if (count[code] > 0) {
            entry[used++] = (code_entry){code, count[code]};
        }
    }
    qsort(entry, used, sizeof *entry, compare_codes);
    const dh_status status = emit_code_arrays(corpus, emitter, c, entry, used);
    free(entry);
    return status;
}

static dh_status emit_top(dh_profile_corpus *corpus, dh_emitter *emitter)
{
    const size_t count = (size_t)corpus->categories * DH_TOP_DOCUMENTS;
    void *row_memory = NULL;
    void *density_memory = NULL;
    dh_status status = dh_allocate(count, sizeof(int64_t), "the top documents", &row_memory);
    if (status == DH_OK) {
        status = dh_allocate(count, sizeof(double), "the top documents", &density_memory);
    }
    if (status == DH_OK) {
        int64_t *row = row_memory;
        double *density = density_memory;
        for (size_t i = 0; i < count; i++) {
            const uint64_t *entry = corpus->block + corpus->top + i * TOP_WORDS;
            row[i] = (int64_t)entry[2] - 1;
            const double tokens = (double)entry[1] * (double)corpus->setup->lexicons->denominator;
            density[i] = entry[2] != 0 ? (double)entry[0] / tokens : 0.0;
        }
        const uint64_t dims[] = {corpus->categories, DH_TOP_DOCUMENTS};
        status =
            emitter->array(emitter, "top_row", DH_I64, dims, 2, row,
                           "documents with the highest density of each category, at least 50 tokens long; "
                           "-1 where there are fewer",
                           "row");
        if (status == DH_OK) {
            status = emitter->array(emitter, "top_density", DH_F64, dims, 2, density,
                                    "weighted matches a token in the documents of top_row", "1");
        }
    }
    free(row_memory);
    free(density_memory);
    return status;
}

static dh_status emit_categories(dh_profile_corpus *corpus, dh_emitter *emitter)
{
    enum { NAME_MAX_SIZE = 64 };
    size_t width = 1;
    for (uint32_t d = 0; d < corpus->categories; d++) {
        const size_t size = strnlen(corpus->setup->category[d], NAME_MAX_SIZE);
        width = size > width ? size : width;
    }
    char name[DH_CATEGORIES_MAX * NAME_MAX_SIZE] = {0};
    for (uint32_t d = 0; d < corpus->categories; d++) {
        memcpy(name + d * width, corpus->setup->category[d], strnlen(corpus->setup->category[d], width));
    }
    const uint64_t dims[] = {corpus->categories, width};
    return emitter->array(emitter, "categories", DH_TEXT, dims, 2, name, "names of the K categories", "1");
}

dh_status dh_profile_corpus_emit(dh_profile_corpus *corpus, dh_emitter *emitter)
{
    const uint64_t k = corpus->categories;
    const uint64_t one[] = {1};
    const uint64_t denominator = corpus->setup->lexicons->denominator;
    const uint64_t sides[] = {2, k};
    const uint64_t square[] = {k, k};
    const uint64_t bins[] = {DH_AMBIGUITY_BINS};
    DH_TRY(emit_categories(corpus, emitter));
    DH_TRY(emitter->array(emitter, "denominator", DH_U64, one, 1, &denominator,
                          "all counts are in units of 1/denominator", "1"));
    DH_TRY(emitter->array(emitter, "totals", DH_U64, sides, 2, corpus->block + corpus->totals,
                          "units of each category in the corpus: positive, negative", "1/denominator"));
    DH_TRY(emitter->array(emitter, "matched_tokens", DH_U64, one, 1, corpus->block + corpus->matched,
                          "tokens inside matches", "tokens"));
    DH_TRY(emitter->array(
        emitter, "cooccurrence", DH_U64, square, 2, corpus->block + corpus->cooccurrence,
        "documents in which both categories occur; the diagonal: documents with the category", "documents"));
    DH_TRY(emitter->array(emitter, "ambiguity_histogram", DH_U64, bins, 1, corpus->block + corpus->ambiguity,
                          "documents by ambiguity, in 20 bins of width 0.05; the last one has 1.0",
                          "documents"));
    DH_TRY(emit_languages(corpus, emitter));
    for (int c = 0; c < CODES; c++) {
        if (corpus->code_space[c] > 0) {
            DH_TRY(emit_codes(corpus, emitter, c));
        }
    }
    return emit_top(corpus, emitter);
}
