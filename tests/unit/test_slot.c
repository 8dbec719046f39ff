/* Tests of run/slot.h: the layout, lent arrays, views, and the jobs over a batch. */
#include "lanes.h"
#include "pipeline_runs.h"
#include "spelling_job.h"

#include "run/slot.h"

enum { ALIGNMENT = 64, FILL = 0xA5, PARTS_MAX = 10 + DH_SCHEMA_COLUMNS_MAX };
static const uint64_t no_limit = UINT32_MAX;

/* ---- the layout -------------------------------------------------------------------------------------- */

typedef struct part {
    uint64_t start, size;
} part;

/* What stands in a slot and how much room it must have. */
static uint32_t parts_of(const dh_slot_shape *shape, const dh_schema *schema, part out[PARTS_MAX])
{
    const uint64_t offsets = (DH_BATCH_DOCUMENTS + 1) * sizeof(uint64_t);
    uint32_t count = 0;
    out[count++] = (part){0, shape->text_room};
    out[count++] = (part){shape->text_offset, offsets};
    out[count++] = (part){shape->token_offset, offsets};
    out[count++] = (part){shape->hit_offset, offsets};
    out[count++] = (part){shape->lexicon, DH_BATCH_DOCUMENTS * sizeof(uint16_t)};
    out[count++] = (part){shape->token, shape->token_room * sizeof(uint64_t)};
    out[count++] = (part){shape->hit, shape->hit_room * sizeof(dh_prefix_hit)};
    if (shape->spelling_room > 0) {
        out[count++] = (part){shape->spelling_offset, offsets};
        out[count++] = (part){shape->token_end, shape->token_room * sizeof(uint32_t)};
        out[count++] = (part){shape->spelling, shape->spelling_room};
    }
    for (uint32_t c = DH_ENGINE_COLUMNS; c < shape->column_count; c++) {
        const uint64_t rows = schema->column[c].place == DH_TOKEN ? shape->token_room : DH_BATCH_DOCUMENTS;
        out[count++] = (part){shape->column[c], rows * shape->row_size[c]};
    }
    return count;
}

static void check_shape(const dh_settings *settings, const dh_slot_shape *shape)
{
    part all[PARTS_MAX];
    const uint32_t count = parts_of(shape, &settings->schema, all);
    assert_int_equal(shape->text_room, settings->batch_size);
    assert_true(shape->token_room >= DH_BATCH_DOCUMENTS && shape->hit_room >= DH_BATCH_DOCUMENTS);
    /* Text is as long as its tokens at most, and has a space for each. */
    assert_true(settings->uses_spelling ? shape->spelling_room >= shape->text_room + shape->token_room
                                        : shape->spelling_room == 0);
    assert_int_equal(shape->column_count, settings->schema.column_count);
    assert_int_equal(shape->size % ALIGNMENT, 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(all[i].start % ALIGNMENT, 0);
        assert_true(all[i].start + all[i].size <= shape->size);
        for (uint32_t j = 0; j < i; j++) {
            assert_true(all[i].start >= all[j].start + all[j].size ||
                        all[j].start >= all[i].start + all[i].size);
        }
    }
    for (uint32_t c = DH_ENGINE_COLUMNS; c < shape->column_count; c++) {
        assert_true(shape->row_size[c] > 0);
        assert_int_equal(shape->row_size[c], settings->schema.row_size[c]);
    }
}

static void test_nothing_overlaps(void **state)
{
    (void)state;
    static const char *const size[] = {"1K", "1025", "4095", "1M", "256M"};
    static const char *const jobs[] = {"null", "digest", "null,profile,digest"};
    for (size_t s = 0; s < COUNT(size); s++) {
        for (size_t j = 0; j < COUNT(jobs); j++) {
            dh_options options;
            dh_settings settings;
            dh_slot_shape shape;
            assert_ok(resolve(LIST("-j", jobs[j], "-l", lexicon_path(), "--batch-size", size[s], "in"),
                              &options, &settings));
            dh_slot_shape_make(&settings, &shape);
            check_shape(&settings, &shape);
            const uint64_t without = shape.size;
            add_spelling_job(&settings);
            dh_slot_shape_make(&settings, &shape);
            check_shape(&settings, &shape);
            assert_true(shape.size > without);
            dh_settings_free(&settings);
            dh_options_free(&options);
        }
    }
}

/* ---- a slot ------------------------------------------------------------------------------------------ */

typedef struct slot_test {
    dh_options options;
    dh_settings settings;
    dh_slot_shape shape;
    dh_slot slot;
} slot_test;

static void make_slot_of(slot_test *test, bool has_spelling)
{
    assert_ok(resolve(LIST("-j", "null,profile,digest", "-l", lexicon_path(), "--batch-size", "64K", "in"),
                      &test->options, &test->settings));
    if (has_spelling) {
        add_spelling_job(&test->settings);
    }
    dh_slot_shape_make(&test->settings, &test->shape);
    uint8_t *memory = aligned_alloc(ALIGNMENT, test->shape.size);
    assert_non_null(memory);
    memset(memory, FILL, test->shape.size);
    test->slot = (dh_slot){.shape = &test->shape, .memory = memory};
    dh_slot_reset(&test->slot, no_limit);
}

static void make_slot(slot_test *test)
{
    make_slot_of(test, false);
}

static void free_slot(slot_test *test)
{
    dh_token_sink_free(&test->slot.sink);
    free(test->slot.memory);
    dh_settings_free(&test->settings);
    dh_options_free(&test->options);
}

static void test_an_empty_slot(void **state)
{
    (void)state;
    slot_test test;
    make_slot(&test);
    const dh_slot *slot = &test.slot;
    assert_int_equal(slot->documents, 0);
    assert_int_equal(slot->text_size, 0);
    assert_true(dh_slot_is_movable(slot));
    assert_ptr_equal(slot->sink.token, slot->memory + test.shape.token);
    assert_ptr_equal(slot->sink.prefix_hit, slot->memory + test.shape.hit);
    assert_int_equal(slot->sink.token_capacity, test.shape.token_room);
    assert_int_equal(slot->sink.prefix_hit_capacity, test.shape.hit_room);
    assert_int_equal(slot->sink.token_limit, no_limit);
    assert_ptr_equal(dh_slot_text_offset(slot), slot->memory + test.shape.text_offset);
    assert_ptr_equal(dh_slot_token_offset(slot), slot->memory + test.shape.token_offset);
    assert_ptr_equal(dh_slot_hit_offset(slot), slot->memory + test.shape.hit_offset);
    assert_ptr_equal(dh_slot_lexicon(slot), slot->memory + test.shape.lexicon);
    for (uint64_t i = 0; i < test.shape.size; i++) { /* nothing was written */
        assert_int_equal(slot->memory[i], FILL);
    }
    free_slot(&test);
}

static void test_what_grows_out_of_the_slot(void **state)
{
    (void)state;
    slot_test test;
    make_slot(&test);
    dh_slot *slot = &test.slot;
    slot->documents = 3;
    slot->sink.token[0] = 11;
    slot->sink.token_count = 1;
    assert_ok(dh_token_sink_grow_tokens(&slot->sink, 2 * test.shape.token_room));
    assert_false(dh_slot_is_movable(slot));
    assert_ptr_not_equal(slot->sink.token, slot->memory + test.shape.token);
    dh_batch batch = dh_slot_batch(slot);
    assert_ptr_equal(batch.token, slot->sink.token);
    assert_int_equal(batch.token[0], 11);
    assert_ptr_equal(batch.prefix_hit, slot->memory + test.shape.hit);
    dh_slot_reset(slot, no_limit); /* and the memory of its own is given back */
    assert_true(dh_slot_is_movable(slot));
    assert_ptr_equal(slot->sink.token, slot->memory + test.shape.token);
    assert_int_equal(slot->sink.token_count, 0);
    assert_ok(dh_token_sink_grow_hits(&slot->sink, 2 * test.shape.hit_room));
    assert_false(dh_slot_is_movable(slot));
    batch = dh_slot_batch(slot);
    assert_ptr_equal(batch.prefix_hit, slot->sink.prefix_hit);
    assert_ptr_equal(batch.token, slot->memory + test.shape.token);
    dh_slot_reset(slot, no_limit);
    slot->text_elsewhere = (const uint8_t *)"giant";
    slot->is_done = true;
    assert_false(dh_slot_is_movable(slot));
    assert_ptr_equal(dh_slot_batch(slot).text, slot->text_elsewhere);
    dh_slot_reset(slot, 7);
    assert_true(dh_slot_is_movable(slot));
    assert_false(slot->is_done);
    assert_ptr_equal(dh_slot_batch(slot).text, slot->memory);
    assert_int_equal(slot->sink.token_limit, 7);
    free_slot(&test);
}

/* ---- spelling ---------------------------------------------------------------------------------------- */

static void test_without_spelling_there_is_none(void **state)
{
    (void)state;
    slot_test test;
    make_slot(&test);
    assert_false(test.slot.sink.keeps_spelling);
    assert_null(dh_slot_spelling_offset(&test.slot));
    const dh_batch batch[] = {dh_slot_batch(&test.slot), dh_slot_batch_at(&test.shape, test.slot.memory, 1)};
    for (size_t i = 0; i < COUNT(batch); i++) {
        assert_null(batch[i].spelling);
        assert_null(batch[i].spelling_offset);
        assert_null(batch[i].token_end);
    }
    free_slot(&test);
}

static void test_spelling_is_lent(void **state)
{
    (void)state;
    slot_test test;
    make_slot_of(&test, true);
    dh_slot *slot = &test.slot;
    const uint8_t *memory = slot->memory;
    assert_true(dh_slot_is_movable(slot));
    assert_true(slot->sink.keeps_spelling && slot->sink.spelling_lent);
    assert_ptr_equal(slot->sink.spelling, memory + test.shape.spelling);
    assert_ptr_equal(slot->sink.token_end, memory + test.shape.token_end);
    assert_int_equal(slot->sink.spelling_capacity, test.shape.spelling_room);
    assert_ptr_equal(dh_slot_spelling_offset(slot), memory + test.shape.spelling_offset);
    slot->sink.spelling[0] = 'x';
    slot->sink.spelling_size = 1;
    assert_ok(dh_token_sink_grow_spelling(&slot->sink, 2 * test.shape.spelling_room));
    assert_false(dh_slot_is_movable(slot));
    dh_batch batch = dh_slot_batch(slot);
    assert_ptr_equal(batch.spelling, slot->sink.spelling);
    assert_int_equal(batch.spelling[0], 'x');
    assert_ptr_equal(batch.token_end, memory + test.shape.token_end);
    dh_slot_reset(slot, no_limit);
    assert_true(dh_slot_is_movable(slot));
    assert_int_equal(slot->sink.spelling_size, 0);
    slot->sink.token_end[0] = 5;
    slot->sink.token_count = 1;
    assert_ok(dh_token_sink_grow_tokens(&slot->sink, 2 * test.shape.token_room));
    assert_false(dh_slot_is_movable(slot));
    batch = dh_slot_batch(slot);
    assert_ptr_equal(batch.spelling, memory + test.shape.spelling);
    assert_ptr_equal(batch.token_end, slot->sink.token_end);
    assert_ptr_not_equal(batch.token_end, memory + test.shape.token_end);
    assert_int_equal(batch.token_end[0], 5);
    dh_slot_reset(slot, no_limit);
    assert_true(dh_slot_is_movable(slot));
    assert_ptr_equal(slot->sink.token_end, memory + test.shape.token_end);
    free_slot(&test);
}

/* ---- the jobs over a batch --------------------------------------------------------------------------- */

/* Fills the slot with documents of random words, tokenised as the pipeline does. */
static void fill_slot(slot_test *test, uint32_t documents)
{
    static const char *const word[] = {"good", "badly", "not", "the", "Wort", "x", "\n"};
    dh_slot *slot = &test->slot;
    dh_tokenizer *tokenizer = NULL;
    assert_ok(dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &tokenizer));
    dh_slot_reset(slot, no_limit);
    dh_slot_text_offset(slot)[0] = dh_slot_token_offset(slot)[0] = dh_slot_hit_offset(slot)[0] = 0;
    for (uint32_t d = 0; d < documents; d++) {
        uint8_t *text = slot->memory + slot->text_size;
        const uint64_t spelling = slot->sink.spelling_size;
        size_t size = 0;
        for (uint64_t words = support_random_below(12); words > 0; words--) {
            const char *next = word[support_random_below(COUNT(word))];
            memcpy(text + size, next, strlen(next));
            size += strlen(next);
            text[size++] = ' ';
        }
        assert_true(slot->text_size + size <= test->shape.text_room);
        assert_ok(dh_tokenize(tokenizer, text, size, &slot->sink));
        slot->text_size += size;
        dh_slot_text_offset(slot)[d + 1] = slot->text_size;
        dh_slot_token_offset(slot)[d + 1] = slot->sink.token_count;
        dh_slot_hit_offset(slot)[d + 1] = slot->sink.prefix_hit_count;
        if (slot->sink.keeps_spelling) {
            dh_slot_spelling_offset(slot)[d] = spelling;
            dh_slot_spelling_offset(slot)[d + 1] = slot->sink.spelling_size;
        }
        dh_slot_lexicon(slot)[d] = d % 3 == 0 ? DH_NO_LEXICON : 0;
    }
    slot->documents = documents;
    assert_true(dh_slot_is_movable(slot));
    dh_tokenizer_free(tokenizer);
}

static void test_another_rank_sees_the_same_batch(void **state)
{
    (void)state;
    slot_test test;
    make_slot_of(&test, true);
    fill_slot(&test, 100);
    const dh_batch mine = dh_slot_batch(&test.slot);
    uint8_t *copy = aligned_alloc(ALIGNMENT, test.shape.size); /* mapped elsewhere there */
    assert_non_null(copy);
    memcpy(copy, test.slot.memory, test.shape.size);
    const dh_batch theirs = dh_slot_batch_at(&test.shape, copy, 100);
    assert_int_equal(mine.document_count, 100);
    assert_int_equal(theirs.document_count, 100);
    assert_ptr_equal(theirs.text, copy);
    assert_memory_equal(theirs.text, mine.text, mine.text_offset[100]);
    assert_memory_equal(theirs.text_offset, mine.text_offset, 101 * sizeof(uint64_t));
    assert_memory_equal(theirs.token_offset, mine.token_offset, 101 * sizeof(uint64_t));
    assert_memory_equal(theirs.prefix_hit_offset, mine.prefix_hit_offset, 101 * sizeof(uint64_t));
    assert_memory_equal(theirs.lexicon, mine.lexicon, 100 * sizeof(uint16_t));
    assert_memory_equal(theirs.token, mine.token, mine.token_offset[100] * sizeof(uint64_t));
    assert_true(mine.token_offset[100] > 0);
    assert_ptr_equal(theirs.prefix_hit, copy + test.shape.hit);
    assert_memory_equal(theirs.spelling_offset, mine.spelling_offset, 101 * sizeof(uint64_t));
    assert_memory_equal(theirs.token_end, mine.token_end, mine.token_offset[100] * sizeof(uint32_t));
    assert_memory_equal(theirs.spelling, mine.spelling, mine.spelling_offset[100]);
    assert_true(theirs.spelling >= copy && theirs.spelling < copy + test.shape.size);
    free(copy);
    free_slot(&test);
}

/* Bytes that the batch has in a column. */
static uint64_t column_size(const slot_test *test, const dh_batch *batch, uint32_t c)
{
    return dh_slot_column_bytes(&test->shape, c, batch->document_count,
                                batch->token_offset[batch->document_count]);
}

/* Each job by itself, into memory of its own. */
static void expect_equal_columns(const slot_test *test, const dh_batch *batch, void *const *column)
{
    const dh_settings *settings = &test->settings;
    for (uint32_t j = 0; j < settings->job_count; j++) {
        const dh_active_job *active = &settings->job[j];
        void *expected[DH_JOB_COLUMNS_MAX];
        for (uint32_t c = 0; c < active->column_count; c++) {
            expected[c] = malloc(column_size(test, batch, active->first_column + c));
            assert_non_null(expected[c]);
        }
        assert_int_equal(dh_job_compute(active->job, active->state, settings->backend, batch, expected),
                         DH_BACKEND_OK);
        for (uint32_t c = 0; c < active->column_count; c++) {
            const uint32_t s = active->first_column + c;
            assert_memory_equal(column[s], expected[c], column_size(test, batch, s));
            free(expected[c]);
        }
    }
}

static void test_vectorise_does_every_job(void **state)
{
    (void)state;
    slot_test test;
    make_slot_of(&test, true);
    for (uint32_t documents = 1; documents <= 400; documents += 133) {
        fill_slot(&test, documents);
        const dh_batch batch = dh_slot_batch(&test.slot);
        void *column[DH_SCHEMA_COLUMNS_MAX];
        double seconds[DH_JOBS_MAX] = {0};
        dh_slot_columns(&test.shape, test.slot.memory, column);
        for (uint32_t c = 0; c < test.shape.column_count; c++) {
            assert_ptr_equal(column[c],
                             c < DH_ENGINE_COLUMNS ? NULL : test.slot.memory + test.shape.column[c]);
        }
        dh_lane *lane = &test.settings.backend->lane[0];
        assert_int_equal(dh_vectorise(&test.settings, lane, &batch, column, seconds), DH_BACKEND_OK);
        assert_int_equal(dh_lane_wait(lane), DH_BACKEND_OK);
        expect_equal_columns(&test, &batch, column);
        for (uint32_t j = 0; j < DH_JOBS_MAX; j++) {
            assert_true(j < test.settings.job_count ? seconds[j] >= 0 : seconds[j] == 0);
        }
        assert_true(seconds[0] > 0); /* documents: SHA-256 */
        double more[DH_JOBS_MAX];
        memcpy(more, seconds, sizeof more);
        assert_int_equal(dh_vectorise(&test.settings, lane, &batch, column, more), DH_BACKEND_OK);
        assert_true(more[0] > seconds[0]); /* it adds */
        assert_int_equal(dh_vectorise(&test.settings, lane, &batch, column, NULL), DH_BACKEND_OK);
    }
    free_slot(&test);
}

/* What is between and behind the columns of the documents stays as it was. */
static void test_vectorise_writes_only_rows(void **state)
{
    (void)state;
    slot_test test;
    make_slot_of(&test, true);
    fill_slot(&test, 57);
    const dh_batch batch = dh_slot_batch(&test.slot);
    uint8_t *before = malloc(test.shape.size);
    assert_non_null(before);
    memcpy(before, test.slot.memory, test.shape.size);
    void *column[DH_SCHEMA_COLUMNS_MAX];
    dh_slot_columns(&test.shape, test.slot.memory, column);
    assert_int_equal(dh_vectorise(&test.settings, &test.settings.backend->lane[0], &batch, column, NULL),
                     DH_BACKEND_OK);
    for (uint32_t c = DH_ENGINE_COLUMNS; c < test.shape.column_count; c++) {
        memcpy(before + test.shape.column[c], column[c], column_size(&test, &batch, c));
    }
    assert_memory_equal(test.slot.memory, before, test.shape.size);
    free(before);
    free_slot(&test);
}

/* ---- errors ------------------------------------------------------------------------------------------ */

/* A backend whose calls fail from the Nth one on. */
static int calls_left;
static int calls_made;

static dh_backend_status failing_call(void)
{
    calls_made++;
    return calls_left-- > 0 ? DH_BACKEND_OK : DH_BACKEND_NO_MEMORY;
}

static dh_backend_status failing_begin(dh_lane *lane, const dh_batch *batch)
{
    lane->batch = batch;
    return failing_call();
}

static dh_backend_status failing_sha256(dh_lane *lane, char *hex)
{
    (void)lane;
    hex[0] = '\0';
    return failing_call();
}

static dh_backend_status failing_digest(dh_lane *lane, const dh_digest_out *out)
{
    (void)lane;
    (void)out;
    return failing_call();
}

static dh_backend_status failing_profile(dh_lane *lane, const dh_profile_out *out)
{
    (void)lane;
    (void)out;
    return failing_call();
}

static void test_vectorise_ends_with_the_first_error(void **state)
{
    (void)state;
    slot_test test;
    make_slot(&test);
    fill_slot(&test, 5);
    const dh_backend_kind kind = {.name = "failing",
                                  .begin = failing_begin,
                                  .sha256 = failing_sha256,
                                  .digest = failing_digest,
                                  .profile = failing_profile};
    dh_backend backend;
    dh_backend_prepare(&backend, &kind, 1);
    const dh_batch batch = dh_slot_batch(&test.slot);
    void *column[DH_SCHEMA_COLUMNS_MAX];
    dh_slot_columns(&test.shape, test.slot.memory, column);
    dh_backend_status status = DH_BACKEND_NO_MEMORY;
    for (int good = 0; status != DH_BACKEND_OK; good++) {
        assert_in_range(good, 0, 4);
        calls_left = good;
        calls_made = 0;
        status = dh_vectorise(&test.settings, &backend.lane[0], &batch, column, NULL);
        assert_int_equal(calls_made, good < 4 ? good + 1 : 4); /* begin and the kernels of three jobs */
        assert_int_equal(status, good < 4 ? DH_BACKEND_NO_MEMORY : DH_BACKEND_OK);
    }
    free_slot(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_overlaps),
        cmocka_unit_test(test_an_empty_slot),
        cmocka_unit_test(test_what_grows_out_of_the_slot),
        cmocka_unit_test(test_without_spelling_there_is_none),
        cmocka_unit_test(test_spelling_is_lent),
        cmocka_unit_test(test_another_rank_sees_the_same_batch),
        cmocka_unit_test(test_vectorise_does_every_job),
        cmocka_unit_test(test_vectorise_writes_only_rows),
        cmocka_unit_test(test_vectorise_ends_with_the_first_error),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
