#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { LARGE_TEXT = 64 << 20, LARGE_TOKENS = 10 * 1000 * 1000 };

/* ---- one case ---------------------------------------------------------------------------------------- */

static bool is_wanted(uint32_t output, uint32_t kernels, uint32_t categories)
{
    switch (output) {
    case OUTPUT_SHA256:
        return (kernels & CASE_SHA256) != 0;
    case OUTPUT_RAW:
    case OUTPUT_DIGEST_PRIME:
    case OUTPUT_ENTROPY:
    case OUTPUT_DIGEST_VARIANCE:
    case OUTPUT_SCORE:
        return (kernels & CASE_DIGEST) != 0;
    case OUTPUT_CODE2:
        return (kernels & CASE_PROFILE) != 0 && categories <= DH_CODE2_CATEGORIES_MAX;
    case OUTPUT_CODE3:
        return (kernels & CASE_PROFILE) != 0 && categories <= DH_CODE3_CATEGORIES_MAX;
    case OUTPUT_CODE5:
        return (kernels & CASE_PROFILE) != 0 && categories <= DH_CODE5_CATEGORIES_MAX;
    default:
        return (kernels & CASE_PROFILE) != 0;
    }
}

static void compute_expected(diff_case *one, const sample_set *set)
{
    for (uint32_t o = 0; o < OUTPUTS; o++) {
        if (is_wanted(o, one->kernels, set->options.categories)) {
            one->expected.at[o] =
                sample_allocate((size_t)one->view.document_count * output_width(o, set->options.categories),
                                output_kinds[o].size);
        }
    }
    if ((one->kernels & CASE_SHA256) != 0) {
        reference_sha256(&one->view, &one->expected);
    }
    if ((one->kernels & CASE_DIGEST) != 0) {
        reference_digest(&one->view, &one->expected);
    }
    if ((one->kernels & CASE_PROFILE) != 0) {
        reference_profile(&one->view, set, &one->expected);
    }
}

/* Takes the batch over. The case is its documents from `first` on, less `after` at the end. What none of the
 * kernels reads is NULL. */
static diff_case *add_view(case_list *list, uint32_t set, sample_batch *batch, uint32_t kernels,
                           uint32_t first, uint32_t after)
{
    if (list->count == list->capacity) {
        const uint32_t capacity = 2 * list->capacity + 16;
        diff_case *grown = sample_allocate(capacity, sizeof *grown);
        if (list->count > 0) {
            memcpy(grown, list->item, list->count * sizeof *grown);
        }
        free(list->item);
        list->item = grown;
        list->capacity = capacity;
    }
    diff_case *one = &list->item[list->count++];
    *one = (diff_case){.batch = batch, .set = set, .kernels = kernels, .view = batch->view};
    one->view.document_count -= first + after;
    one->view.text = (kernels & (CASE_SHA256 | CASE_DIGEST)) != 0 ? batch->text : NULL;
    one->view.text_offset = one->view.text != NULL ? batch->text_offset + first : NULL;
    const bool is_profile = (kernels & CASE_PROFILE) != 0;
    one->view.token = is_profile ? batch->token : NULL;
    one->view.token_offset = is_profile ? batch->token_offset + first : NULL;
    one->view.prefix_hit = is_profile ? batch->prefix_hit : NULL;
    one->view.prefix_hit_offset = is_profile ? batch->prefix_hit_offset + first : NULL;
    one->view.lexicon = is_profile ? batch->lexicon + first : NULL;
    if ((kernels & (CASE_SHA256 | CASE_DIGEST)) != 0) { /* also where all texts are empty */
        one->view.text_offset = batch->text_offset + first;
    }
    compute_expected(one, list->set[set]);
    return one;
}

static diff_case *add_case(case_list *list, uint32_t set, sample_batch *batch, const char *name)
{
    diff_case *one = add_view(list, set, batch, CASE_ALL, 0, 0);
    (void)snprintf(one->name, sizeof one->name, "%s", name);
    return one;
}

/* ---- documents --------------------------------------------------------------------------------------- */

/* One of the lexicons, or none. */
static sample_document random_document(const sample_set *set, uint64_t text_size, uint64_t token_count)
{
    const uint32_t lexicon = (uint32_t)sample_below(set->options.lexicons + 1);
    return (sample_document){.text_size = text_size,
                             .token_count = (uint32_t)token_count,
                             .lexicon = lexicon < set->options.lexicons ? lexicon : DH_NO_LEXICON,
                             .terms_in_256 = (uint32_t)sample_below(128),
                             .is_hit_by_all = sample_below(2) == 0,
                             .begins_with_negator = sample_below(3) == 0};
}

static void add_random(sample_batch *batch, const sample_set *set, uint64_t text_limit, uint64_t token_limit)
{
    const sample_document one = random_document(set, sample_below(text_limit), sample_below(token_limit));
    sample_batch_add(batch, set, &one);
}

static sample_batch *random_batch(const sample_set *set, uint32_t documents, uint64_t text_limit,
                                  uint64_t token_limit)
{
    sample_batch *batch = sample_batch_create();
    for (uint32_t d = 0; d < documents; d++) {
        add_random(batch, set, text_limit, token_limit);
    }
    return batch;
}

/* ---- cases of every set ------------------------------------------------------------------------------ */

/* One text of each size; tokens the other way round. */
static sample_batch *all_sizes(const sample_set *set)
{
    enum { SIZES = 301 };
    sample_batch *batch = sample_batch_create();
    for (uint32_t size = 0; size < SIZES; size++) {
        const sample_document one = random_document(set, size, SIZES - 1 - size);
        sample_batch_add(batch, set, &one);
    }
    return batch;
}

/* Where SHA-256 needs one more block, with and without a prefix; where the matcher's windows of tokens end.
 */
static sample_batch *edges(const sample_set *set)
{
    static const uint64_t text[] = {0, 1, 55, 56, 63, 64, 119, 120, 128, 183, 184};
    static const uint64_t prefix[] = {0, 6, 7, 8};
    static const uint64_t tokens[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 127, 128, 129, 255, 256, 257};
    sample_batch *batch = sample_batch_create();
    for (int turn = 0; turn < 200; turn++) {
        const uint64_t size = text[sample_below(COUNT(text))];
        const uint64_t less = prefix[sample_below(COUNT(prefix))];
        sample_document one =
            random_document(set, size > less ? size - less : size, tokens[sample_below(COUNT(tokens))]);
        one.terms_in_256 = turn % 4 == 0 ? 256 : one.terms_in_256;
        sample_batch_add(batch, set, &one);
    }
    return batch;
}

static sample_batch *alike(const sample_set *set, const sample_document *model, uint32_t documents,
                           uint64_t token_limit)
{
    sample_batch *batch = sample_batch_create();
    for (uint32_t d = 0; d < documents; d++) {
        sample_document one = *model;
        one.token_count = (uint32_t)sample_below(token_limit);
        one.lexicon = one.lexicon == DH_NO_LEXICON ? one.lexicon : d % set->options.lexicons;
        sample_batch_add(batch, set, &one);
    }
    return batch;
}

/* One match in about as many tokens as make a density of 5, 10 and 20 thousandths. */
static sample_batch *densities(const sample_set *set)
{
    enum { TOKENS_MAX = 20000, TERMS = 8 };
    sample_batch *batch = sample_batch_create();
    uint32_t terms = 0;
    for (uint32_t t = 0; t < set->lexicon[0].term_count && terms < TERMS; t++) {
        const sample_term *term = &set->lexicon[0].term[t];
        const uint32_t tokens = term->units * 200 / set->tables.denominator; /* five thousandths */
        if (term->tokens > 1 || term->is_prefix || tokens > TOKENS_MAX) {
            continue;
        }
        terms++;
        for (uint32_t i = 0; i < 9; i++) {
            const uint32_t count = (tokens >> (i / 3)) + i % 3;
            const sample_document one = {.token_count = count > 1 ? count - 1 : 1, .only_term = t + 1};
            sample_batch_add(batch, set, &one);
        }
    }
    return batch;
}

static void add_cases_of_set(case_list *list, uint32_t index)
{
    const sample_set *set = list->set[index];
    (void)add_case(list, index, all_sizes(set), "texts and tokens of 0 to 300");
    (void)add_case(list, index, edges(set), "padding and window edges");
    const sample_document dense = {.text_size = 9, .terms_in_256 = 256, .is_hit_by_all = true};
    (void)add_case(list, index, alike(set, &dense, 100, 200), "terms behind terms");
    (void)add_case(list, index, densities(set), "densities at the thresholds");
    const sample_document negated = {.terms_in_256 = 128, .begins_with_negator = true};
    (void)add_case(list, index, alike(set, &negated, 200, 8), "negators first, no text");
    const sample_document none = {.text_size = 70, .lexicon = DH_NO_LEXICON, .is_hit_by_all = true};
    (void)add_case(list, index, alike(set, &none, 50, 100), "no lexicon");
    (void)add_case(list, index, alike(set, &none, 20, 1), "no tokens");
    (void)snprintf(add_view(list, index, random_batch(set, 130, 300, 200), CASE_ALL, 13, 50)->name,
                   sizeof list->item->name, "the middle of a batch");
    (void)snprintf(add_view(list, index, random_batch(set, 40, 3000, 2000), CASE_PROFILE, 1, 0)->name,
                   sizeof list->item->name, "profile alone");
    (void)snprintf(add_view(list, index, random_batch(set, 60, 3000, 1), CASE_DIGEST, 0, 1)->name,
                   sizeof list->item->name, "digest alone");
    (void)snprintf(add_view(list, index, random_batch(set, 60, 3000, 1), CASE_SHA256, 2, 2)->name,
                   sizeof list->item->name, "sha256 alone");
    (void)snprintf(add_view(list, index, random_batch(set, 5, 100, 50), CASE_ALL, 2, 3)->name,
                   sizeof list->item->name, "nothing in the middle of a batch");
}

/* Counts of documents around those that programs like to work in. */
static void add_counts(case_list *list, uint32_t index, uint32_t sets)
{
    static const uint32_t around[] = {16, 32, 64, 128, 256, 1024, 4096};
    for (size_t i = 0; i < 3 * COUNT(around) + 2; i++) {
        if (i % sets != index % sets) {
            continue;
        }
        const uint32_t documents =
            i < 3 * COUNT(around) ? around[i / 3] - 1 + (uint32_t)(i % 3) : (uint32_t)(i - 3 * COUNT(around));
        diff_case *one = add_case(list, index, random_batch(list->set[index], documents, 200, 30), "");
        (void)snprintf(one->name, sizeof one->name, "%u documents", documents);
    }
}

static void add_uneven(case_list *list, uint32_t index)
{
    const sample_set *set = list->set[index];
    sample_batch *batch = sample_batch_create();
    for (uint32_t d = 0; d < 150; d++) {
        const uint64_t limit = sample_below(10) == 0 ? 40000 : 100;
        add_random(batch, set, limit, limit);
    }
    (void)add_case(list, index, batch, "long documents between short ones");
}

/* ---- large cases ------------------------------------------------------------------------------------- */

static void add_large(case_list *list)
{
    const sample_options options = {
        .lexicons = 1, .categories = 9, .words = 64, .terms = 12, .prefixed_256 = 64};
    const uint32_t index = list->set_count++;
    list->set[index] = sample_set_create(&options);
    sample_batch *text = sample_batch_create();
    sample_batch *tokens = sample_batch_create();
    for (int d = 0; d < 3; d++) {
        const sample_document long_text = {.text_size = d == 1 ? LARGE_TEXT : 100};
        sample_batch_add(text, list->set[index], &long_text);
        const sample_document many = {.token_count = d == 1 ? LARGE_TOKENS : 100, .terms_in_256 = 32};
        sample_batch_add(tokens, list->set[index], &many);
    }
    diff_case *one = add_view(list, index, text, CASE_SHA256 | CASE_DIGEST, 0, 0);
    (void)snprintf(one->name, sizeof one->name, "a text of 64 MiB");
    one->is_large = true;
    one = add_view(list, index, tokens, CASE_PROFILE, 0, 0);
    (void)snprintf(one->name, sizeof one->name, "a document of 10 million tokens");
    one->is_large = true;
}

/* ---- all --------------------------------------------------------------------------------------------- */

static void add_set(case_list *list, uint32_t index, uint32_t sets)
{
    static const uint32_t categories[] = {9, 1, 27, 28, 39, 40, 63, 64, 128};
    static const uint32_t lexicons[] = {2, 1, 3, 64};
    sample_options options = {.lexicons = lexicons[index % COUNT(lexicons)],
                              .categories = categories[index % COUNT(categories)],
                              .words = 240,
                              .prefixed_256 = 200,
                              .hashes = (index / 2) % 4};
    options.terms = options.lexicons > 8 ? 10 : 60;
    list->set[index] = sample_set_create(&options);
    list->set_count = index + 1;
    add_cases_of_set(list, index);
    add_counts(list, index, sets);
    add_uneven(list, index);
}

case_list *case_list_create(int size)
{
    /* Counts of documents are spread over nine sets, and again over the next nine. */
    enum { SETS_SMALL = 1, SETS_QUICK = 9, SETS_FULL = 90 };
    const uint32_t sets = size == SIZE_SMALL ? SETS_SMALL : size == SIZE_QUICK ? SETS_QUICK : SETS_FULL;
    case_list *list = sample_allocate(1, sizeof *list);
    *list = (case_list){.count = 0};
    for (uint32_t index = 0; index < sets; index++) {
        add_set(list, index, SETS_QUICK);
    }
    if (size != SIZE_SMALL) {
        add_large(list);
    }
    return list;
}

void case_list_free(case_list *list)
{
    for (uint32_t c = 0; c < list->count; c++) {
        for (uint32_t o = 0; o < OUTPUTS; o++) {
            free(list->item[c].expected.at[o]);
        }
        sample_batch_free(list->item[c].batch);
    }
    for (uint32_t s = 0; s < list->set_count; s++) {
        sample_set_free(list->set[s]);
    }
    free(list->item);
    free(list);
}
