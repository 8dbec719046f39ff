/* Tests of every job: columns, known answers on a right and on a broken backend, accumulate and merge. */
#include "lanes.h"

#include "jobs/job.h"
#include "lexicon/lexicon.h"

/* ---- set-up ------------------------------------------------------------------------------------------ */

enum { LANGUAGES = 50 };

static const dh_job *const jobs[] = {&dh_job_documents, &dh_job_profile, &dh_job_digest, &dh_job_features,
                                     &dh_job_vocab,     &dh_job_neardup, &dh_job_null};

static const dh_job_options options = {.ngrams = {1, 3},
                                       .features = 1 << 18,
                                       .alternate_sign = true,
                                       .idf = true,
                                       .norm = DH_NORM_L2,
                                       .top = 10,
                                       .shingle_tokens = 5,
                                       .bands = 14,
                                       .band_rows = 8,
                                       .min_shingles = 5,
                                       .threshold = 0.75};

static const char *language_name(uint16_t code)
{
    static char name[4];
    (void)snprintf(name, sizeof name, "%c%c", 'a' + code / 26 % 26, 'a' + code % 26);
    return name;
}

/* A set of categories, as many as asked for. Owner frees the lexicons. */
static dh_lexicons *set_up_jobs(uint32_t categories, dh_job_setup *setup)
{
    dh_buffer text = {0};
    assert_ok(dh_buffer_printf(&text, "@format\tdhatu-lexicon 1\n@language\ten\n@categories\t"));
    for (uint32_t c = 0; c < categories; c++) {
        assert_ok(dh_buffer_printf(&text, "c%u ", c));
    }
    assert_ok(dh_buffer_printf(&text, "\ngood\tc0\t+\nbad\tc%u\t-\t0.5\n", categories - 1));
    dh_lexicons *lexicons = NULL;
    assert_ok(dh_lexicons_create(DH_TOKENS_UNICODE, &lexicons));
    assert_ok(dh_lexicons_load(lexicons, support_write("lexicon", text.data, text.size)));
    assert_ok(dh_lexicons_compile(lexicons));
    dh_buffer_free(&text);
    *setup = (dh_job_setup){.options = &options,
                            .lexicons = dh_lexicons_tables(lexicons),
                            .category = dh_lexicons_categories(lexicons),
                            .language_name = language_name,
                            .language_count = LANGUAGES};
    return lexicons;
}

/* ---- what a job is ----------------------------------------------------------------------------------- */

static void test_jobs_are_found_by_name(void **state)
{
    (void)state;
    for (size_t j = 0; dh_jobs[j] != NULL; j++) {
        const char *name = dh_jobs[j]->name;
        assert_ptr_equal(dh_job_find(name, strlen(name)), dh_jobs[j]);
        assert_null(dh_job_find(name, strlen(name) - 1));
        assert_true(strlen(dh_jobs[j]->summary) > 10);
        bool tested = false;
        for (size_t t = 0; t < COUNT(jobs); t++) {
            tested |= jobs[t] == dh_jobs[j];
        }
        assert_true(tested); /* a new job must stand in the list above */
    }
    assert_null(dh_job_find("", 0));
    assert_null(dh_job_find("documents", 9)); /* always there, not to be named */
    assert_null(dh_job_find("profilex", 8));
    assert_ptr_equal(dh_job_find("profilex", 7), &dh_job_profile);
}

static void test_types_have_sizes(void **state)
{
    (void)state;
    static const size_t size[DH_TYPE_COUNT] = {1, 2, 4, 8, 4, 8, 4, 8, 1};
    for (int t = 0; t < DH_TYPE_COUNT; t++) {
        assert_int_equal(dh_type_size((dh_type)t), size[t]);
        const dh_column column = {.type = (dh_type)t, .width = 7};
        assert_int_equal(dh_column_row_size(&column), 7 * size[t]);
    }
}

static void test_columns_have_names_descriptions_and_units(void **state)
{
    (void)state;
    static const uint32_t categories[] = {1, 9, 27, 28, 39, 40, 63, 64, 128};
    for (size_t k = 0; k < COUNT(categories); k++) {
        dh_job_setup setup;
        dh_lexicons *lexicons = set_up_jobs(categories[k], &setup);
        dh_column column[COUNT(jobs) * DH_JOB_COLUMNS_MAX];
        uint32_t count = 0;
        for (size_t j = 0; j < COUNT(jobs); j++) {
            void *job = NULL;
            assert_ok(jobs[j]->create(&setup, &job));
            const uint32_t made = jobs[j]->columns(job, column + count);
            assert_true(made <= DH_JOB_COLUMNS_MAX);
            assert_int_equal(made == 0, jobs[j] == &dh_job_vocab);
            count += made;
            jobs[j]->free(job);
        }
        for (uint32_t c = 0; c < count; c++) {
            assert_true(column[c].name != NULL && column[c].name[0] != '\0');
            assert_true(column[c].description != NULL && strlen(column[c].description) > 8);
            assert_true(column[c].unit != NULL && column[c].unit[0] != '\0');
            assert_true(column[c].width > 0);
            assert_true(column[c].place != DH_OBS || column[c].width == 1 || column[c].type == DH_TEXT);
            for (uint32_t other = 0; other < c; other++) {
                assert_string_not_equal(column[c].name, column[other].name);
            }
        }
        dh_lexicons_free(lexicons);
    }
}

static void test_codes_of_the_profile_are_those_that_fit(void **state)
{
    (void)state;
    static const struct {
        uint32_t categories, codes;
    } cases[] = {{1, 3}, {27, 3}, {28, 2}, {39, 2}, {40, 1}, {63, 1}, {64, 0}, {128, 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        dh_job_setup setup;
        dh_lexicons *lexicons = set_up_jobs(cases[i].categories, &setup);
        void *job = NULL;
        dh_column column[DH_JOB_COLUMNS_MAX];
        assert_ok(dh_job_profile.create(&setup, &job));
        const uint32_t count = dh_job_profile.columns(job, column);
        uint32_t codes = 0;
        for (uint32_t c = 0; c < count; c++) {
            codes += strncmp(column[c].name, "code", 4) == 0;
        }
        assert_int_equal(codes, cases[i].codes);
        assert_int_equal(dh_job_profile.source_sum_count(job), 2 * cases[i].categories);
        assert_true(2 * cases[i].categories <= DH_JOB_SOURCE_SUMS_MAX);
        dh_job_profile.free(job);
        dh_lexicons_free(lexicons);
    }
}

/* ---- known answers ----------------------------------------------------------------------------------- */

/* A backend that is right but for one thing. */
typedef enum fault {
    FAULT_NONE,
    FAULT_LOST,
    FAULT_SHA256_BIT,
    FAULT_DIGEST_RAW,
    FAULT_DIGEST_PRIME,
    FAULT_DIGEST_ENTROPY,
    FAULT_DIGEST_VARIANCE,
    FAULT_DIGEST_SCORE,
    FAULT_PROFILE_COUNTS,
    FAULT_PROFILE_SHARE,
    FAULT_PROFILE_MATCHED,
    FAULT_PROFILE_COVERAGE,
    FAULT_PROFILE_AMBIGUITY,
    FAULT_PROFILE_VARIANCE,
    FAULT_PROFILE_PRIME,
    FAULT_PROFILE_CODE2,
    FAULT_PROFILE_CODE3,
    FAULT_PROFILE_CODE5,
    FAULT_NGRAM_HASH,
    FAULT_MINHASH_SIGNATURE,
    FAULT_MINHASH_SHINGLES,
    FAULT_SPELLING_SHA256,
    FAULT_COUNT
} fault;

static fault current;

static dh_backend_status broken_sha256(dh_lane *lane, char *hex)
{
    const dh_backend_status status = dh_backend_cpu.sha256(lane, hex);
    hex[lane->batch->document_count * 2 * DH_SHA256_SIZE - 1] ^= current == FAULT_SHA256_BIT;
    return current == FAULT_LOST ? DH_BACKEND_LOST : status;
}

static dh_backend_status broken_digest(dh_lane *lane, const dh_digest_out *out)
{
    const dh_backend_status status = dh_backend_cpu.digest(lane, out);
    const uint32_t last = lane->batch->document_count - 1;
    out->raw[last * DH_DHATUS + DH_DHATUS - 1] =
        (uint16_t)(out->raw[last * DH_DHATUS + DH_DHATUS - 1] + (current == FAULT_DIGEST_RAW));
    out->prime[last * DH_DIGEST_PRIMES] *= current == FAULT_DIGEST_PRIME ? 1 + 1e-9 : 1;
    out->entropy[last] *= current == FAULT_DIGEST_ENTROPY ? 1 + 1e-9 : 1;
    out->variance[last] *= current == FAULT_DIGEST_VARIANCE ? 1 + 1e-9 : 1;
    out->score[last] *= current == FAULT_DIGEST_SCORE ? 1 + 1e-9 : 1;
    return current == FAULT_LOST ? DH_BACKEND_LOST : status;
}

static dh_backend_status broken_profile(dh_lane *lane, const dh_profile_out *out)
{
    const dh_backend_status status = dh_backend_cpu.profile(lane, out);
    out->counts[2 * lane->backend->tables->category_count - 1] += current == FAULT_PROFILE_COUNTS;
    out->profile[0] *= current == FAULT_PROFILE_SHARE ? 1.0000002F : 1;
    out->matched[0] += current == FAULT_PROFILE_MATCHED;
    out->coverage[0] += current == FAULT_PROFILE_COVERAGE ? 1e-9 : 0;
    out->ambiguity[0] += current == FAULT_PROFILE_AMBIGUITY ? 1e-9 : 0;
    out->variance[0] += current == FAULT_PROFILE_VARIANCE ? 1e-9 : 0;
    out->prime[DH_PRIMES - 1] += current == FAULT_PROFILE_PRIME ? 1e-6 : 0;
    out->code2[0] += current == FAULT_PROFILE_CODE2;
    out->code3[0] += current == FAULT_PROFILE_CODE3;
    out->code5[0] += current == FAULT_PROFILE_CODE5;
    return current == FAULT_LOST ? DH_BACKEND_LOST : status;
}

static dh_backend_status broken_ngrams(dh_lane *lane, dh_ngram_range range, uint32_t *hash)
{
    const dh_backend_status status = dh_backend_cpu.ngrams(lane, range, hash);
    hash[0] ^= current == FAULT_NGRAM_HASH;
    return current == FAULT_LOST ? DH_BACKEND_LOST : status;
}

static dh_backend_status broken_minhash(dh_lane *lane, const dh_minhash_options *of,
                                        const dh_minhash_out *out)
{
    const dh_backend_status status = dh_backend_cpu.minhash(lane, of, out);
    out->signature[of->permutations - 1] ^= current == FAULT_MINHASH_SIGNATURE;
    out->shingles[0] ^= current == FAULT_MINHASH_SHINGLES;
    return current == FAULT_LOST ? DH_BACKEND_LOST : status;
}

static dh_backend_status broken_spelling(dh_lane *lane, uint8_t *digest)
{
    const dh_backend_status status = dh_backend_cpu.sha256_spelling(lane, digest);
    digest[DH_SHA256_SIZE - 1] ^= current == FAULT_SPELLING_SHA256;
    return current == FAULT_LOST ? DH_BACKEND_LOST : status;
}

static bool concerns(fault broken, const dh_job *job)
{
    if (broken == FAULT_LOST) {
        return job != &dh_job_null && job != &dh_job_vocab; /* which have no kernel */
    }
    if (broken == FAULT_SHA256_BIT) {
        return job == &dh_job_documents;
    }
    if (broken >= FAULT_DIGEST_RAW && broken <= FAULT_DIGEST_SCORE) {
        return job == &dh_job_digest;
    }
    if (broken == FAULT_NGRAM_HASH) {
        return job == &dh_job_features;
    }
    if (broken > FAULT_NGRAM_HASH) {
        return job == &dh_job_neardup;
    }
    return broken >= FAULT_PROFILE_COUNTS && job == &dh_job_profile;
}

static void test_self_tests_pass_on_the_cpu_and_see_every_fault(void **state)
{
    (void)state;
    dh_backend_kind kind = dh_backend_cpu;
    kind.name = "broken";
    kind.sha256 = broken_sha256;
    kind.digest = broken_digest;
    kind.profile = broken_profile;
    kind.ngrams = broken_ngrams;
    kind.minhash = broken_minhash;
    kind.sha256_spelling = broken_spelling;
    dh_backend *backend = open_cpu();
    backend->kind = &kind;
    dh_job_setup setup;
    dh_lexicons *lexicons = set_up_jobs(9, &setup);
    for (size_t j = 0; j < COUNT(jobs); j++) {
        void *job = NULL;
        assert_ok(jobs[j]->create(&setup, &job));
        for (current = FAULT_NONE; current < FAULT_COUNT; current++) {
            support_capture_begin();
            const dh_status status = jobs[j]->self_test(job, backend);
            const char *said = support_capture_end();
            if (status != (concerns(current, jobs[j]) ? DH_INTERNAL : DH_OK)) {
                fail_msg("job %s, fault %d: %s", jobs[j]->name, (int)current, dh_status_name(status));
            }
            if (status != DH_OK) {
                assert_says(said, "broken");
            }
        }
        jobs[j]->free(job);
    }
    dh_lexicons_free(lexicons);
    dh_backend_cpu.close(backend);
}

/* ---- accumulate and merge ---------------------------------------------------------------------------- */

enum { ROWS = 3000 };

/* Random columns of a job and facts of its documents. */
typedef struct table {
    void *column[DH_JOB_COLUMNS_MAX];
    size_t row_size[DH_JOB_COLUMNS_MAX];
    uint32_t columns;
    uint32_t tokens[ROWS], bytes[ROWS];
    uint16_t language[ROWS];
} table;

static void fill_column(const dh_column *column, void *data, uint32_t categories)
{
    const size_t elements = (size_t)ROWS * column->width;
    for (size_t i = 0; i < elements; i++) {
        const bool sparse = support_random_below(3) > 0;
        switch (column->type) {
        case DH_U16:
            ((uint16_t *)data)[i] = (uint16_t)support_random_below(1276);
            break;
        case DH_U32:
            ((uint32_t *)data)[i] = sparse ? 0 : (uint32_t)support_random_below(6);
            break;
        case DH_U64: { /* a code: below base to the power of the categories; few values, so that they repeat
                        */
            uint64_t space = 1;
            for (uint32_t c = 0; c < categories; c++) {
                space *= (uint64_t)(column->name[4] - '0');
            }
            ((uint64_t *)data)[i] = sparse ? support_random_below(10) % space : support_random_below(space);
            break;
        }
        case DH_F64:
            ((double *)data)[i] = (double)support_random_below(1001) / 1000.0;
            break;
        default:
            memset((uint8_t *)data + i * dh_type_size(column->type), 'a' + (int)(i % 7),
                   dh_type_size(column->type));
        }
    }
}

static void fill_table(const dh_job *job, const void *job_state, uint32_t categories, table *made)
{
    dh_column column[DH_JOB_COLUMNS_MAX];
    made->columns = job->columns(job_state, column);
    for (uint32_t c = 0; c < made->columns; c++) {
        made->row_size[c] = dh_column_row_size(&column[c]);
        made->column[c] = malloc(made->row_size[c] * ROWS);
        assert_non_null(made->column[c]);
        fill_column(&column[c], made->column[c], categories);
    }
    for (uint32_t row = 0; row < ROWS; row++) {
        made->tokens[row] = (uint32_t)support_random_below(200);
        made->bytes[row] = (uint32_t)support_random();
        made->language[row] = (uint16_t)support_random_below(LANGUAGES);
    }
}

static void free_table(table *made)
{
    for (uint32_t c = 0; c < made->columns; c++) {
        free(made->column[c]);
    }
}

/* Accumulates rows [from, to), in blocks of up to `block` rows. */
static void accumulate(const dh_job *job, void *job_state, const table *made, uint32_t from, uint32_t to,
                       uint32_t block)
{
    for (uint32_t row = from; row < to; row += block) {
        const void *column[DH_JOB_COLUMNS_MAX];
        for (uint32_t c = 0; c < made->columns; c++) {
            column[c] = (const char *)made->column[c] + row * made->row_size[c];
        }
        const dh_rows rows = {.first_row = row,
                              .count = to - row < block ? to - row : block,
                              .facts = {.tokens = made->tokens + row,
                                        .bytes = made->bytes + row,
                                        .language = made->language + row},
                              .column = column};
        assert_ok(job->accumulate(job_state, &rows));
    }
}

static void merge(const dh_job *job, void *into, void *from)
{
    void *data = NULL;
    size_t size = 0;
    job->accumulator(from, &data, &size);
    job->merge(into, data);
}

static void expect_same_block(const dh_job *job, void *left, void *right)
{
    void *a = NULL;
    void *b = NULL;
    size_t a_size = 0;
    size_t b_size = 0;
    job->accumulator(left, &a, &a_size);
    job->accumulator(right, &b, &b_size);
    assert_int_equal(a_size, b_size);
    assert_true(a_size > 0 && a_size % 8 == 0);
    if (memcmp(a, b, a_size) != 0) {
        fail_msg("job %s: the accumulators differ", job->name);
    }
}

/* Takes emitted arrays as text and bytes, to compare them. */
typedef struct recorder {
    dh_emitter emitter;
    dh_buffer taken;
    uint32_t arrays;
} recorder;

static dh_status record_array(dh_emitter *emitter, const char *name, dh_type type, const uint64_t *dims,
                              uint32_t dim_count, const void *data, const char *description, const char *unit)
{
    recorder *taker = (recorder *)(void *)emitter;
    assert_true(name[0] != '\0' && strlen(description) > 8 && unit[0] != '\0');
    assert_true(dim_count > 0);
    char heading[64];
    (void)snprintf(heading, sizeof heading, "\n[%s]", name);
    if (taker->taken.size > 0) {
        assert_null(memmem(taker->taken.data, taker->taken.size, heading, strlen(heading)));
    }
    uint64_t elements = 1;
    assert_ok(dh_buffer_printf(&taker->taken, "%s type %d", heading, (int)type));
    for (uint32_t d = 0; d < dim_count; d++) {
        assert_ok(dh_buffer_printf(&taker->taken, " %llu", (unsigned long long)dims[d]));
        elements *= dims[d];
    }
    taker->arrays++;
    return dh_buffer_append(&taker->taken, data, (size_t)elements * dh_type_size(type));
}

static void expect_same_arrays(const dh_job *job, void *left, void *right)
{
    recorder a = {.emitter = {.array = record_array}};
    recorder b = a;
    assert_ok(job->emit(left, &a.emitter));
    assert_ok(job->emit(right, &b.emitter));
    assert_true(a.arrays > 0);
    assert_int_equal(a.taken.size, b.taken.size);
    assert_memory_equal(a.taken.data, b.taken.data, a.taken.size);
    dh_buffer_free(&a.taken);
    dh_buffer_free(&b.taken);
}

/* Rows in three parts, each accumulated by a state of its own. */
static void make_parts(const dh_job *job, const dh_job_setup *setup, const table *rows, void *part[3])
{
    static const uint32_t cut[] = {0, 700, 700 + 1299, ROWS};
    for (int p = 0; p < 3; p++) {
        assert_ok(job->create(setup, &part[p]));
        accumulate(job, part[p], rows, cut[p], cut[p + 1], 100 + 77 * (uint32_t)p);
    }
}

static void expect_merge_in_any_order(const dh_job *job, const dh_job_setup *setup, uint32_t categories)
{
    static table rows;
    void *whole = NULL;
    assert_ok(job->create(setup, &whole));
    fill_table(job, whole, categories, &rows);
    accumulate(job, whole, &rows, 0, ROWS, ROWS);
    static const int order[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};
    for (size_t o = 0; o < 2 * COUNT(order); o++) {
        void *part[3];
        make_parts(job, setup, &rows, part);
        const int *by = order[o / 2];
        if (o % 2 == 0) { /* (a b) c */
            merge(job, part[by[0]], part[by[1]]);
            merge(job, part[by[0]], part[by[2]]);
        } else { /* a (b c) */
            merge(job, part[by[1]], part[by[2]]);
            merge(job, part[by[0]], part[by[1]]);
        }
        expect_same_block(job, whole, part[by[0]]);
        expect_same_arrays(job, whole, part[by[0]]);
        for (int p = 0; p < 3; p++) {
            job->free(part[p]);
        }
    }
    free_table(&rows);
    job->free(whole);
}

static void test_accumulators_merge_in_any_order(void **state)
{
    (void)state;
    static const uint32_t categories[] = {3, 9, 16};
    for (size_t k = 0; k < COUNT(categories); k++) {
        dh_job_setup setup;
        dh_lexicons *lexicons = set_up_jobs(categories[k], &setup);
        for (size_t j = 0; j < COUNT(jobs); j++) {
            if (jobs[j]->accumulate != NULL) {
                expect_merge_in_any_order(jobs[j], &setup, categories[k]);
            }
        }
        dh_lexicons_free(lexicons);
    }
}

static void test_a_run_without_documents_emits_as_well(void **state)
{
    (void)state;
    dh_job_setup setup;
    dh_lexicons *lexicons = set_up_jobs(9, &setup);
    for (size_t j = 0; j < COUNT(jobs); j++) {
        assert_int_equal(jobs[j]->accumulate != NULL, jobs[j]->emit != NULL);
        if (jobs[j]->emit == NULL) {
            continue;
        }
        void *one = NULL;
        void *other = NULL;
        assert_ok(jobs[j]->create(&setup, &one));
        assert_ok(jobs[j]->create(&setup, &other));
        merge(jobs[j], one, other);
        expect_same_block(jobs[j], one, other);
        expect_same_arrays(jobs[j], one, other);
        jobs[j]->free(one);
        jobs[j]->free(other);
        jobs[j]->free(NULL);
    }
    dh_lexicons_free(lexicons);
}

/* ---- corpus-level results of the profile ------------------------------------------------------------- */

/* Keeps the one array of this name. */
typedef struct keeper {
    dh_emitter emitter;
    const char *name;
    uint64_t word[64], count;
} keeper;

static dh_status keep_array(dh_emitter *emitter, const char *name, dh_type type, const uint64_t *dims,
                            uint32_t dim_count, const void *data, const char *description, const char *unit)
{
    (void)description;
    (void)unit;
    keeper *taker = (keeper *)(void *)emitter;
    if (strcmp(name, taker->name) == 0) {
        assert_int_equal(dh_type_size(type), 8);
        taker->count = 1;
        for (uint32_t d = 0; d < dim_count; d++) {
            taker->count *= dims[d];
        }
        assert_true(taker->count <= COUNT(taker->word));
        memcpy(taker->word, data, taker->count * 8);
    }
    return DH_OK;
}

static void expect_array(void *job, const char *name, const uint64_t *expected, uint64_t count)
{
    keeper taker = {.emitter = {.array = keep_array}, .name = name};
    assert_ok(dh_job_profile.emit(job, &taker.emitter));
    assert_int_equal(taker.count, count);
    for (uint64_t i = 0; i < count; i++) {
        if (taker.word[i] != expected[i]) {
            fail_msg("%s[%llu] is %llu", name, (unsigned long long)i, (unsigned long long)taker.word[i]);
        }
    }
}

enum { PROFILE_ROWS = 6 };

/* Six documents over two categories; the fourth is too short for the top lists. */
static void test_corpus_results_of_the_profile(void **state)
{
    (void)state;
    dh_job_setup setup;
    dh_lexicons *lexicons = set_up_jobs(2, &setup);
    void *job = NULL;
    assert_ok(dh_job_profile.create(&setup, &job));
    static const uint32_t tokens[PROFILE_ROWS] = {100, 200, 100, 49, 50, 400};
    static const uint32_t bytes[PROFILE_ROWS];
    static const uint16_t language[PROFILE_ROWS] = {1, 2, 1, 1, 2, 2};
    static const uint32_t counts[PROFILE_ROWS][4] = {{1, 0, 0, 0}, {2, 1, 0, 0}, {0, 0, 1, 1},
                                                     {9, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 0}};
    static const uint32_t matched[PROFILE_ROWS] = {1, 3, 2, 9, 0, 1};
    static const double ambiguity[PROFILE_ROWS] = {0.0, 0.92, 1.0, 0.0, 0.0, 0.05};
    static const uint64_t code2[PROFILE_ROWS] = {1, 3, 3, 1, 0, 1};
    const void *const column[] = {NULL,      counts,    NULL,  matched, NULL,
                                  ambiguity, ambiguity, code2, code2,   code2};
    const dh_rows rows = {
        .first_row = 1000, .count = PROFILE_ROWS, .facts = {tokens, bytes, language}, .column = column};
    assert_ok(dh_job_profile.accumulate(job, &rows));
    expect_array(job, "totals", (const uint64_t[]){13, 1, 1, 1}, 4);
    expect_array(job, "matched_tokens", (const uint64_t[]){16}, 1);
    expect_array(job, "cooccurrence", (const uint64_t[]){5, 2, 2, 2}, 4);
    uint64_t bins[20] = {3};
    bins[1] = 1;
    bins[18] = 1;
    bins[19] = 1;
    expect_array(job, "ambiguity_histogram", bins, 20);
    expect_array(job, "by_language", (const uint64_t[]){10, 0, 1, 1, 3, 1, 0, 0}, 8);
    expect_array(job, "code2_value", (const uint64_t[]){1, 3, 0}, 3);
    expect_array(job, "code2_documents", (const uint64_t[]){3, 2, 1}, 3);
    expect_array(job, "code2_example", (const uint64_t[]){1000, 1001, 1004}, 3);
    /* the same density 0.01: more tokens first, then the earlier row */
    const uint64_t none = UINT64_MAX;
    expect_array(job, "top_row",
                 (const uint64_t[]){1001, 1000, 1002, 1005, none, none, none, none, none, none,
                                    1002, 1001, none, none, none, none, none, none, none, none},
                 20);
    dh_job_profile.free(job);
    dh_lexicons_free(lexicons);
}

/* Sums by source of [0, n) are those of [0, m) and [m, n) together. */
static void test_source_sums_add_up(void **state)
{
    (void)state;
    dh_job_setup setup;
    dh_lexicons *lexicons = set_up_jobs(9, &setup);
    static table made;
    for (size_t j = 0; j < COUNT(jobs); j++) {
        const dh_job *job = jobs[j];
        assert_int_equal(job->source_sum_count != NULL, job->source_sums != NULL);
        if (job->source_sum_count == NULL) {
            continue;
        }
        void *job_state = NULL;
        assert_ok(job->create(&setup, &job_state));
        fill_table(job, job_state, 9, &made);
        const dh_rows rows = {.count = ROWS, .column = (const void *const *)made.column};
        uint64_t whole[DH_JOB_SOURCE_SUMS_MAX] = {0};
        uint64_t parts[DH_JOB_SOURCE_SUMS_MAX] = {0};
        job->source_sums(job_state, &rows, 0, ROWS, whole);
        job->source_sums(job_state, &rows, 0, 17, parts);
        job->source_sums(job_state, &rows, 17, 17, parts);
        job->source_sums(job_state, &rows, 17, ROWS, parts);
        assert_memory_equal(whole, parts, sizeof whole);
        const uint32_t count = job->source_sum_count(job_state);
        assert_true(count > 0 && count <= DH_JOB_SOURCE_SUMS_MAX);
        for (uint32_t i = 0; i < DH_JOB_SOURCE_SUMS_MAX; i++) {
            assert_int_equal(whole[i] > 0, i < count);
        }
        free_table(&made);
        job->free(job_state);
    }
    dh_lexicons_free(lexicons);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_are_found_by_name),
        cmocka_unit_test(test_types_have_sizes),
        cmocka_unit_test(test_columns_have_names_descriptions_and_units),
        cmocka_unit_test(test_codes_of_the_profile_are_those_that_fit),
        cmocka_unit_test(test_self_tests_pass_on_the_cpu_and_see_every_fault),
        cmocka_unit_test(test_accumulators_merge_in_any_order),
        cmocka_unit_test(test_a_run_without_documents_emits_as_well),
        cmocka_unit_test(test_corpus_results_of_the_profile),
        cmocka_unit_test(test_source_sums_add_up),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
