/* dhatu: the lexical profile of a document over the categories of a lexicon (docs/jobs.md, "profile"). */
#include "jobs/job.h"
#include "jobs/profile_corpus.h"

#include "base/buffer.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMN_PROFILE = 0,
    COLUMN_COUNTS,
    COLUMN_PRIME,
    COLUMN_MATCHED,
    COLUMN_COVERAGE,
    COLUMN_AMBIGUITY,
    COLUMN_VARIANCE,
    COLUMN_CODES /* code2, code3, code5, as far as K categories fit into 63 bits */
};

typedef struct profile_job {
    const dh_job_setup *setup;
    uint32_t codes; /* how many of the three codes there are */
    dh_profile_corpus *corpus;
} profile_job;

static dh_status profile_create(const dh_job_setup *setup, void **state)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(profile_job), "the profile job", &memory));
    profile_job *job = memory;
    const uint32_t k = setup->lexicons->category_count;
    job->setup = setup;
    /* The smaller the base the more categories fit, so the codes that fit are the first ones. */
    job->codes = k <= DH_CODE5_CATEGORIES_MAX
                     ? 3
                     : (k <= DH_CODE3_CATEGORIES_MAX ? 2 : (k <= DH_CODE2_CATEGORIES_MAX ? 1 : 0));
    const dh_status status = dh_profile_corpus_create(setup, &job->corpus);
    if (status != DH_OK) {
        free(job);
        return status;
    }
    *state = job;
    return DH_OK;
}

static void profile_free(void *state)
{
    if (state != NULL) {
        dh_profile_corpus_free(((profile_job *)state)->corpus);
        free(state);
    }
}

static uint32_t profile_columns(const void *state, dh_column column[DH_JOB_COLUMNS_MAX])
{
    const profile_job *job = state;
    const uint32_t k = job->setup->lexicons->category_count;
    column[COLUMN_PROFILE] =
        (dh_column){.place = DH_OBSM,
                    .name = "dhatu",
                    .type = DH_F32,
                    .width = k,
                    .description = "lexical profile: share of each category; all zeros when nothing matched",
                    .unit = "1"};
    column[COLUMN_COUNTS] = (dh_column){.place = DH_OBSM,
                                        .name = "dhatu_counts",
                                        .type = DH_U32,
                                        .width = 2 * k,
                                        .description = "K positive, then K negative counts",
                                        .unit = "1/denominator (uns/dhatu/profile/denominator)"};
    column[COLUMN_PRIME] =
        (dh_column){.place = DH_OBSM,
                    .name = "prime",
                    .type = DH_F64,
                    .width = DH_PRIMES,
                    .description = "prime-base activations of the profile, for 2 3 5 7 11 13 17 19 23 29",
                    .unit = "1"};
    column[COLUMN_MATCHED] = (dh_column){.place = DH_OBS,
                                         .name = "matched",
                                         .type = DH_U32,
                                         .width = 1,
                                         .description = "tokens inside matches of the lexicon",
                                         .unit = "tokens"};
    column[COLUMN_COVERAGE] = (dh_column){.place = DH_OBS,
                                          .name = "coverage",
                                          .type = DH_F64,
                                          .width = 1,
                                          .description = "matched / tokens",
                                          .unit = "1"};
    column[COLUMN_AMBIGUITY] =
        (dh_column){.place = DH_OBS,
                    .name = "ambiguity",
                    .type = DH_F64,
                    .width = 1,
                    .description = "entropy of the profile / ln(K): 0 one category, 1 all alike",
                    .unit = "1"};
    column[COLUMN_VARIANCE] = (dh_column){.place = DH_OBS,
                                          .name = "variance",
                                          .type = DH_F64,
                                          .width = 1,
                                          .description = "population variance of the profile",
                                          .unit = "1"};
    static const dh_column code[3] = {
        {.place = DH_OBS,
         .name = "code2",
         .type = DH_U64,
         .width = 1,
         .description = "presence of each category as digits of base 2, first category lowest",
         .unit = "1"},
        {.place = DH_OBS,
         .name = "code3",
         .type = DH_U64,
         .width = 1,
         .description =
             "sign of each category as digits of base 3: 0 none or balanced, 1 positive, 2 negative",
         .unit = "1"},
        {.place = DH_OBS,
         .name = "code5",
         .type = DH_U64,
         .width = 1,
         .description = "intensity of each category as digits of base 5: density 0, >0, >=0.005, >=0.01, "
                        ">=0.02, one less where negatives prevail",
         .unit = "1"}};
    for (uint32_t c = 0; c < job->codes; c++) {
        column[COLUMN_CODES + c] = code[c];
    }
    return COLUMN_CODES + job->codes;
}

static dh_backend_status profile_load(const void *state, dh_backend *backend)
{
    return backend->kind->load(backend, ((const profile_job *)state)->setup->lexicons);
}

static dh_backend_status profile_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    const uint32_t codes = ((const profile_job *)state)->codes;
    const dh_profile_out out = {
        .counts = column[COLUMN_COUNTS],
        .profile = column[COLUMN_PROFILE],
        .prime = column[COLUMN_PRIME],
        .matched = column[COLUMN_MATCHED],
        .coverage = column[COLUMN_COVERAGE],
        .ambiguity = column[COLUMN_AMBIGUITY],
        .variance = column[COLUMN_VARIANCE],
        .code2 = codes > 0 ? column[COLUMN_CODES] : NULL,
        .code3 = codes > 1 ? column[COLUMN_CODES + 1] : NULL,
        .code5 = codes > 2 ? column[COLUMN_CODES + 2] : NULL,
    };
    return lane->backend->kind->profile(lane, &out);
}

/* ---- the known answer: a lexicon of four terms over three categories, one document ------------------ */

enum { KNOWN_SLOTS = 32, KNOWN_CATEGORIES = 3, KNOWN_TOKENS = 10 };

/* Symbols stand for words; their upper bits spread them over the filter. */
#define SYMBOL(n) ((uint64_t)(n)*UINT64_C(0xD6E8FEB86659FD93))
enum { GOOD = 1, NOT = 2, IN = 3, FRONT = 4, OF = 5, SPEAK_PREFIX = 6, SPEAKING = 7, OTHER = 8 };

typedef struct known_lexicon {
    dh_profile_slot slot[KNOWN_SLOTS];
    uint64_t first_filter[DH_FILTER_WORDS];
    uint64_t negator_filter[DH_FILTER_WORDS];
    uint64_t next_filter[DH_FILTER_WORDS];
} known_lexicon;

static void known_pass(uint64_t *filter, uint64_t symbol)
{
    const uint64_t bit = symbol >> (64 - DH_FILTER_BITS);
    filter[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static void known_edge(known_lexicon *known, uint32_t node, uint64_t symbol, uint32_t next, uint32_t term)
{
    const uint64_t key = symbol ^ ((uint64_t)node + 1) * DH_EDGE_MIX;
    uint32_t slot = (uint32_t)(key >> 20) & (KNOWN_SLOTS - 1);
    while (known->slot[slot].node != DH_NO_NODE) {
        slot = (slot + 1) & (KNOWN_SLOTS - 1);
    }
    known->slot[slot] = (dh_profile_slot){.key = key, .node = next, .term = term};
    known_pass(known->next_filter, key);
}

/* sum over d of p[d] * prime^(d mod prime), from the definition. */
static bool known_primes(const double *p, const double *prime)
{
    static const int base[DH_PRIMES] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
    for (int i = 0; i < DH_PRIMES; i++) {
        double expected = 0.0;
        for (int d = 0; d < KNOWN_CATEGORIES; d++) {
            expected += p[d] * pow(base[i], d % base[i]);
        }
        if (!(fabs(prime[i] - expected) <= 1e-13 * expected)) {
            return false;
        }
    }
    return true;
}

static dh_status known_check(const uint32_t *counts, const float *profile, const double *prime,
                             const double *value, const uint64_t *code, uint32_t matched, const char *backend)
{
    /* "not good OTHER OTHER in front of OTHER SPEAKING in": good is negated (NOT stands before it); "in front
     * of" is category 0 and 2, half each; speaking is "speak*", category 1; the last "in" begins no term. */
    static const uint32_t expected_counts[2 * KNOWN_CATEGORIES] = {1, 2, 1, 2, 0, 0};
    static const float expected_profile[KNOWN_CATEGORIES] = {3.0F / 6.0F, (float)(2.0 / 6.0),
                                                             (float)(1.0 / 6.0)};
    const double p[KNOWN_CATEGORIES] = {3.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0};
    double entropy = 0.0;
    double variance = 0.0;
    for (int d = 0; d < KNOWN_CATEGORIES; d++) {
        entropy -= p[d] * log(p[d]);
        variance += (p[d] - 1.0 / 3.0) * (p[d] - 1.0 / 3.0) / 3.0;
    }
    const bool integers = memcmp(counts, expected_counts, sizeof expected_counts) == 0 && matched == 5 &&
                          code[0] == 7 && code[1] == 2 + 1 * 3 + 1 * 9 && code[2] == 3 + 4 * 5 + 4 * 25;
    bool floats = true;
    for (int d = 0; d < KNOWN_CATEGORIES; d++) {
        floats = floats && profile[d] == expected_profile[d];
    }
    floats = floats && fabs(value[0] - 5.0 / 10.0) < 1e-15 && fabs(value[1] - entropy / log(3.0)) < 1e-14 &&
             fabs(value[2] - variance) < 1e-15 && known_primes(p, prime);
    if (!integers || !floats) {
        return dh_error(DH_INTERNAL,
                        "job profile: backend %s fails its known answer (matched %u, codes %llu %llu %llu, "
                        "ambiguity %.17g)",
                        backend, matched, (unsigned long long)code[0], (unsigned long long)code[1],
                        (unsigned long long)code[2], value[1]);
    }
    return DH_OK;
}

static dh_status profile_self_test(void *state, dh_backend *backend)
{
    (void)state;
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(known_lexicon), "the known answer", &memory));
    known_lexicon *known = memory;
    for (int i = 0; i < KNOWN_SLOTS; i++) {
        known->slot[i].node = DH_NO_NODE;
    }
    known_edge(known, 0, SYMBOL(GOOD), 1, 0);
    known_edge(known, 0, SYMBOL(IN), 2 | DH_NODE_CONTINUES, DH_NO_TERM);
    known_edge(known, 2, SYMBOL(FRONT), 3 | DH_NODE_CONTINUES, DH_NO_TERM);
    known_edge(known, 3, SYMBOL(OF), 4, 1);
    known_edge(known, 0, SYMBOL(SPEAK_PREFIX), 5, 2);
    known_edge(known, DH_NEGATOR_NODE, SYMBOL(NOT), 6, DH_NO_TERM);
    known_pass(known->first_filter, SYMBOL(GOOD));
    known_pass(known->first_filter, SYMBOL(IN));
    known_pass(known->negator_filter, SYMBOL(NOT));
    static const dh_profile_term term[] = {{2, 0, 1, 0}, {1, 1, 2, 0}, {2, 3, 1, 0}};
    static const uint8_t category[] = {0, 0, 2, 1};
    const dh_profile_tables tables = {.lexicon_count = 1,
                                      .category_count = KNOWN_CATEGORIES,
                                      .denominator = 2,
                                      .slot_mask = KNOWN_SLOTS - 1,
                                      .slot = known->slot,
                                      .term = term,
                                      .category = category,
                                      .first_filter = known->first_filter,
                                      .negator_filter = known->negator_filter,
                                      .next_filter = known->next_filter,
                                      .term_count = 3};
    const uint64_t token[KNOWN_TOKENS] = {SYMBOL(NOT),      SYMBOL(GOOD),  SYMBOL(OTHER), SYMBOL(OTHER),
                                          SYMBOL(IN),       SYMBOL(FRONT), SYMBOL(OF),    SYMBOL(OTHER),
                                          SYMBOL(SPEAKING), SYMBOL(IN)};
    const dh_prefix_hit hit[1] = {{.token = 8, .lexicon = 0, .hash = SYMBOL(SPEAK_PREFIX)}};
    const uint64_t token_offset[] = {0, KNOWN_TOKENS};
    const uint64_t hit_offset[] = {0, 1};
    const uint16_t lexicon[] = {0};
    const dh_batch batch = {.document_count = 1,
                            .token = token,
                            .token_offset = token_offset,
                            .prefix_hit = hit,
                            .prefix_hit_offset = hit_offset,
                            .lexicon = lexicon};
    float profile[KNOWN_CATEGORIES] = {0};
    uint32_t counts[2 * KNOWN_CATEGORIES] = {0};
    double prime[DH_PRIMES] = {0};
    uint32_t matched = 0;
    double value[3] = {0};
    uint64_t code[3] = {0};
    void *const column[] = {profile,   counts,    prime,    &matched, &value[0],
                            &value[1], &value[2], &code[0], &code[1], &code[2]};
    dh_status status = DH_INTERNAL;
    const profile_job all_codes = {.codes = 3};
    if (backend->kind->load(backend, &tables) == DH_BACKEND_OK &&
        dh_job_compute(&dh_job_profile, &all_codes, backend, &batch, column) == DH_BACKEND_OK) {
        status = known_check(counts, profile, prime, value, code, matched, backend->kind->name);
    } else {
        (void)dh_error(status, "job profile: backend %s failed on its known answer", backend->kind->name);
    }
    (void)backend->kind->load(backend, NULL); /* these tables go */
    free(known);
    return status;
}

/* ---- corpus ------------------------------------------------------------------------------------------ */

static uint32_t profile_source_sum_count(const void *state)
{
    return 2 * ((const profile_job *)state)->setup->lexicons->category_count;
}

static void profile_source_sums(const void *state, const dh_rows *rows, uint32_t from, uint32_t to,
                                uint64_t *sum)
{
    const uint32_t width = profile_source_sum_count(state);
    const uint32_t *counts = rows->column[COLUMN_COUNTS];
    for (uint32_t d = from; d < to; d++) {
        for (uint32_t i = 0; i < width; i++) {
            sum[i] += counts[(size_t)d * width + i];
        }
    }
}

static dh_status profile_accumulate(void *state, const dh_rows *rows)
{
    const profile_job *job = state;
    const dh_profile_rows block = {
        .first_row = rows->first_row,
        .count = rows->count,
        .tokens = rows->facts.tokens,
        .language = rows->facts.language,
        .counts = rows->column[COLUMN_COUNTS],
        .matched = rows->column[COLUMN_MATCHED],
        .ambiguity = rows->column[COLUMN_AMBIGUITY],
        .code = {job->codes > 0 ? rows->column[COLUMN_CODES] : NULL,
                 job->codes > 1 ? rows->column[COLUMN_CODES + 1] : NULL,
                 job->codes > 2 ? rows->column[COLUMN_CODES + 2] : NULL},
    };
    dh_profile_corpus_add(job->corpus, &block);
    return DH_OK;
}

static void profile_accumulator(void *state, void **data, size_t *size)
{
    dh_profile_corpus_block(((profile_job *)state)->corpus, data, size);
}

static void profile_merge(void *state, const void *other)
{
    dh_profile_corpus_merge(((profile_job *)state)->corpus, other);
}

static dh_status profile_emit(void *state, dh_emitter *emitter)
{
    return dh_profile_corpus_emit(((profile_job *)state)->corpus, emitter);
}

const dh_job dh_job_profile = {
    .name = "profile",
    .summary = "lexical profile over the nine dhatus, or the categories of any lexicon",
    .uses_lexicons = true,
    .create = profile_create,
    .free = profile_free,
    .columns = profile_columns,
    .self_test = profile_self_test,
    .load = profile_load,
    .vectorise = profile_vectorise,
    .source_sum_count = profile_source_sum_count,
    .source_sum_description = "units of each category: K positive, then K negative",
    .source_sums = profile_source_sums,
    .accumulate = profile_accumulate,
    .accumulator = profile_accumulator,
    .merge = profile_merge,
    .emit = profile_emit,
};
