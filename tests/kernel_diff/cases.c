#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { LARGE_TEXT = 64 << 20, LARGE_TOKENS = 10 * 1000 * 1000 };

/* ---- one case ---------------------------------------------------------------------------------------- */

/* The kernel that has an output. */
static uint32_t kernel_of(uint32_t output)
{
    switch (output) {
    case OUTPUT_SHA256:
        return CASE_SHA256;
    case OUTPUT_RAW:
    case OUTPUT_DIGEST_PRIME:
    case OUTPUT_ENTROPY:
    case OUTPUT_DIGEST_VARIANCE:
    case OUTPUT_SCORE:
        return CASE_DIGEST;
    case OUTPUT_NGRAMS:
        return CASE_NGRAMS;
    case OUTPUT_SIGNATURE:
    case OUTPUT_SHINGLES:
        return CASE_MINHASH;
    case OUTPUT_SPELLING:
        return CASE_SPELLING;
    default:
        return CASE_PROFILE;
    }
}

static bool is_wanted(uint32_t output, uint32_t kernels, uint32_t categories)
{
    if ((kernels & kernel_of(output)) == 0) {
        return false;
    }
    switch (output) {
    case OUTPUT_CODE2:
        return categories <= DH_CODE2_CATEGORIES_MAX;
    case OUTPUT_CODE3:
        return categories <= DH_CODE3_CATEGORIES_MAX;
    case OUTPUT_CODE5:
        return categories <= DH_CODE5_CATEGORIES_MAX;
    default:
        return true;
    }
}

static void compute_expected(diff_case *one, const sample_set *set)
{
    for (uint32_t o = 0; o < OUTPUTS; o++) {
        if (is_wanted(o, one->kernels, set->options.categories)) {
            one->expected.at[o] = sample_allocate(
                (size_t)output_rows(o, &one->view) * output_width(o, &one->request), output_kinds[o].size);
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
    if ((one->kernels & CASE_NGRAMS) != 0) {
        reference_ngrams(&one->view, one->request.range, &one->expected);
    }
    if ((one->kernels & CASE_MINHASH) != 0) {
        reference_minhash(&one->view, &one->request.minhash, &one->expected);
    }
    if ((one->kernels & CASE_SPELLING) != 0) {
        reference_sha256_spelling(&one->view, &one->expected);
    }
}

/* What is asked differs from case to case; the numbers of choices have no common factor, so that all of them
 * meet. */
static reference_request request_of(const case_list *list, uint32_t set)
{
    static const dh_ngram_range range[] = {{1, 2}, {1, 1}, {1, 8}, {8, 8}, {2, 3}, {3, 3}, {4, 7}};
    static const uint32_t permutations[] = {112, 1, 15, 16, 17, 113, 256, DH_PERMUTATIONS_MAX};
    static const uint32_t tokens[] = {5, 1, DH_SHINGLE_TOKENS_MAX, 2, 3};
    static const uint32_t counted[] = {5, 1, DH_SHINGLES_COUNTED_MAX};
    const uint32_t turn = list->count;
    return (reference_request){.categories = list->set[set]->options.categories,
                               .range = range[turn % COUNT(range)],
                               .minhash = {.shingle_tokens = tokens[turn % COUNT(tokens)],
                                           .permutations = permutations[turn % COUNT(permutations)],
                                           .counted = counted[turn % COUNT(counted)],
                                           .flip = list->flip,
                                           .factor = list->factor}};
}

/* What none of the kernels reads is NULL. Offsets are there also where all texts are empty. */
static dh_batch view_of(const sample_batch *batch, uint32_t kernels, uint32_t first, uint32_t after)
{
    const bool has_text = (kernels & (CASE_SHA256 | CASE_DIGEST)) != 0;
    const bool has_tokens = (kernels & (CASE_PROFILE | CASE_MINHASH)) != 0;
    const bool is_profile = (kernels & CASE_PROFILE) != 0;
    const bool is_ngrams = (kernels & CASE_NGRAMS) != 0;
    const bool has_spelling = is_ngrams || (kernels & CASE_SPELLING) != 0;
    return (dh_batch){
        .document_count = batch->view.document_count - first - after,
        .text = has_text ? batch->text : NULL,
        .text_offset = has_text ? batch->text_offset + first : NULL,
        .token = has_tokens ? batch->token : NULL,
        .token_offset = has_tokens || is_ngrams ? batch->token_offset + first : NULL,
        .prefix_hit = is_profile ? batch->prefix_hit : NULL,
        .prefix_hit_offset = is_profile ? batch->prefix_hit_offset + first : NULL,
        .lexicon = is_profile ? batch->lexicon + first : NULL,
        .spelling = has_spelling ? batch->spelling : NULL,
        .spelling_offset = has_spelling ? batch->spelling_offset + first : NULL,
        .token_end = is_ngrams ? batch->token_end : NULL,
    };
}

/* Takes the batch over. The case is its documents from `first` on, less `after` at the end. */
static diff_case *add_request(case_list *list, uint32_t set, sample_batch *batch, uint32_t kernels,
                              const reference_request *request, uint32_t first, uint32_t after)
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
    *one = (diff_case){.batch = batch,
                       .view = view_of(batch, kernels, first, after),
                       .set = set,
                       .kernels = kernels,
                       .request = *request};
    compute_expected(one, list->set[set]);
    return one;
}

static diff_case *add_view(case_list *list, uint32_t set, sample_batch *batch, uint32_t kernels,
                           uint32_t first, uint32_t after)
{
    const reference_request request = request_of(list, set);
    return add_request(list, set, batch, kernels, &request, first, after);
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

/* Where SHA-256 of the spelling needs one more block, and words of four bytes end. */
static sample_batch *spellings(const sample_set *set)
{
    static const uint64_t size[] = {1,  2,  3,  4,  5,  6,   7,   8,   54,  55,  56,   57,
                                    62, 63, 64, 65, 66, 118, 119, 120, 121, 183, 5000, 70000};
    sample_batch *batch = sample_batch_create();
    for (uint32_t i = 0; i < 4 * COUNT(size); i++) {
        const uint64_t bytes = size[i / 4];
        const uint64_t most = (bytes + 1) / 2 < 2000 ? (bytes + 1) / 2 : 2000;
        const sample_document one = {.text_size = bytes,
                                     .token_count = i % 4 == 0 ? 1 : (uint32_t)(1 + sample_below(most)),
                                     .lexicon = DH_NO_LEXICON,
                                     .token_limit = i % 4 == 1 ? 1 : 0,
                                     .spelling_size = bytes};
        sample_batch_add(batch, set, &one);
        const sample_document none = {.lexicon = DH_NO_LEXICON};
        for (uint64_t empty = sample_below(4); empty > 1; empty--) {
            sample_batch_add(batch, set, &none);
        }
    }
    return batch;
}

/* From no to very few different shingles, and more of them than are counted; as many tokens as end where
 * those of a shingle do, and where a device's stretch does. */
static sample_batch *repetitions(const sample_set *set)
{
    static const uint32_t words[] = {1, 2, 3, 4, 5, 6, 7, 62, 63, 64, 65, 66};
    static const uint32_t tokens[] = {1,  2,  3,  4,   5,   6,   7,   8,   9,    31,   32,   33,
                                      34, 63, 64, 507, 511, 512, 513, 516, 1024, 1028, 1029, 3000};
    sample_batch *batch = sample_batch_create();
    for (uint32_t i = 0; i < COUNT(words) * COUNT(tokens); i++) {
        const sample_document one = {.text_size = i % 3,
                                     .token_count = tokens[i % COUNT(tokens)],
                                     .lexicon = DH_NO_LEXICON,
                                     .words = words[i / COUNT(tokens)],
                                     .token_limit = 1 + i % 6};
        sample_batch_add(batch, set, &one);
    }
    return batch;
}

/* The inverse of an odd number modulo 2^64: each step doubles the bits that are right. */
static uint64_t inverse(uint64_t odd)
{
    uint64_t result = odd;
    for (int step = 0; step < 5; step++) {
        result *= 2 - odd * result;
    }
    return result;
}

/* A token hash of which the shingle of one token has this number: the mixing, backwards. */
static uint64_t token_of_number(uint32_t number)
{
    uint64_t hash = ((uint64_t)number << 32 | (uint32_t)sample_random()) * inverse(0x94D049BB133111EB);
    hash ^= hash >> 27 ^ hash >> 54;
    hash *= inverse(0xBF58476D1CE4E5B9);
    return hash ^ hash >> 30 ^ hash >> 60;
}

/* The largest number of a shingle, which programs like to mean something else by, and its neighbours. */
static void add_largest_number(case_list *list, uint32_t index)
{
    reference_request request = request_of(list, index);
    request.minhash.shingle_tokens = 1;
    sample_batch *batch = random_batch(list->set[index], 400, 1, 12);
    for (uint64_t t = 0; t < batch->token_offset[batch->view.document_count]; t++) {
        batch->token[t] = token_of_number(UINT32_MAX - (uint32_t)sample_below(8) / 2);
    }
    (void)snprintf(add_request(list, index, batch, CASE_MINHASH, &request, 0, 0)->name,
                   sizeof list->item->name, "shingles with the largest number");
}

static void add_parts_of_set(case_list *list, uint32_t index)
{
    static const struct {
        uint32_t kernels;
        const char *name;
    } part[] = {
        {CASE_PROFILE, "profile alone"},
        {CASE_DIGEST, "digest alone"},
        {CASE_SHA256, "sha256 alone"},
        {CASE_NGRAMS, "ngrams alone"},
        {CASE_MINHASH, "minhash alone"},
        {CASE_SPELLING, "sha256_spelling alone"},
        {CASE_MINHASH | CASE_PROFILE, "profile and minhash"},
        {CASE_SPELLING | CASE_NGRAMS, "ngrams and sha256_spelling"},
    };
    const sample_set *set = list->set[index];
    for (uint32_t p = 0; p < COUNT(part); p++) {
        sample_batch *batch = random_batch(set, 40, 2000, 1000);
        (void)snprintf(add_view(list, index, batch, part[p].kernels, p % 3, p / 3)->name,
                       sizeof list->item->name, "%s", part[p].name);
    }
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
    add_parts_of_set(list, index);
    (void)add_case(list, index, spellings(set), "spellings at the edges of blocks");
    (void)add_case(list, index, repetitions(set), "few different shingles");
    add_largest_number(list, index);
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
    const uint32_t of_tokens = CASE_PROFILE | CASE_NGRAMS | CASE_MINHASH | CASE_SPELLING;
    reference_request request = request_of(list, index);
    request.range = (dh_ngram_range){1, 2};
    request.minhash.permutations = 16;
    request.minhash.counted = DH_SHINGLES_COUNTED_MAX;
    one = add_request(list, index, tokens, of_tokens, &request, 0, 0);
    (void)snprintf(one->name, sizeof one->name, "a document of 10 million tokens");
    one->is_large = true;
    /* All of them have to be looked at to see that there are no more different ones. */
    sample_batch *same = sample_batch_create();
    const sample_document few = {.token_count = LARGE_TOKENS, .lexicon = DH_NO_LEXICON, .words = 7};
    sample_batch_add(same, list->set[index], &few);
    request.minhash.shingle_tokens = 1;
    one = add_request(list, index, same, CASE_MINHASH, &request, 0, 0);
    (void)snprintf(one->name, sizeof one->name, "10 million tokens of seven kinds");
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
    enum { SETS_QUICK = 9 };
    static const uint32_t sets_of[] = {
        [SIZE_SMALL] = 1, [SIZE_SHORT] = 3, [SIZE_QUICK] = SETS_QUICK, [SIZE_FULL] = 90};
    const uint32_t sets = sets_of[size];
    case_list *list = sample_allocate(1, sizeof *list);
    *list = (case_list){.count = 0};
    for (uint32_t p = 0; p < DH_PERMUTATIONS_MAX; p++) {
        list->flip[p] = (uint32_t)sample_random();
        list->factor[p] = (uint32_t)sample_random() | 1;
    }
    for (uint32_t index = 0; index < sets; index++) {
        add_set(list, index, SETS_QUICK);
    }
    if (size >= SIZE_QUICK) {
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
