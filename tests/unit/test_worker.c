/* Tests of route/worker.h on a device that the test commands (fake_backend.h). */
#include "fake_backend.h"
#include "pipeline_runs.h"
#include "spelling_job.h"

#include "route/worker.h"

#include <dirent.h>
#include <errno.h>

enum { SENTINEL = 64, TASKS_MAX = 48, HUNG_MAX = 8 };
static const double soon = 0.3, late = 60; /* seconds, timeouts */

static dh_options options;
static dh_settings settings;
static uint64_t term, prefix; /* hashes of what the lexicon has */

/* ---- tasks ------------------------------------------------------------------------------------------- */

/* A batch in memory of its own, with room for results and what they must be. */
typedef struct job_batch {
    dh_task task;
    uint64_t *text_offset, *token_offset, *hit_offset, *spelling_offset;
    uint8_t *text, *spelling;
    uint64_t *token;
    uint32_t *token_end;
    uint16_t *lexicon;
    dh_prefix_hit *hit;
    uint8_t *column[DH_SCHEMA_COLUMNS_MAX], *expected[DH_SCHEMA_COLUMNS_MAX];
    unsigned returns;
} job_batch;

static void *room(size_t size)
{
    void *memory = malloc(size);
    assert_non_null(memory);
    return memory;
}

/* Bytes that the batch has in a column. */
static size_t column_size(const dh_batch *batch, uint32_t c)
{
    const uint64_t rows = settings.schema.column[c].place == DH_TOKEN
                              ? batch->token_offset[batch->document_count]
                              : batch->document_count;
    return rows * settings.schema.row_size[c];
}

static void fill_columns(const dh_batch *batch, uint8_t **column)
{
    for (uint32_t c = DH_ENGINE_COLUMNS; c < settings.schema.column_count; c++) {
        const size_t size = column_size(batch, c) + SENTINEL;
        column[c] = room(size);
        memset(column[c], 0xA5, size);
    }
}

/* Random documents of up to text_max bytes; a few have none. */
static job_batch *make_batch(uint32_t documents, uint64_t text_max)
{
    job_batch *b = room(sizeof *b);
    *b = (job_batch){.text = room(documents * text_max + 1)};
    uint64_t **const offset[] = {&b->text_offset, &b->token_offset, &b->hit_offset, &b->spelling_offset};
    for (size_t o = 0; o < COUNT(offset); o++) {
        *offset[o] = room((documents + 1) * sizeof **offset[0]);
        (*offset[o])[0] = 0;
    }
    b->token = room((documents * text_max + 1) * sizeof *b->token);
    b->lexicon = room(documents * sizeof *b->lexicon);
    b->hit = room((documents + 1) * sizeof *b->hit);
    for (uint32_t d = 0; d < documents; d++) {
        const uint64_t size = support_random_below(10) == 0 ? 0 : support_random_below(text_max + 1);
        b->text_offset[d + 1] = b->text_offset[d] + size;
        b->token_offset[d + 1] = b->token_offset[d] + size / 4;
        b->hit_offset[d + 1] = b->hit_offset[d];
        if (size >= 4 && d % 2 == 0) { /* its first token begins with a prefix */
            b->hit[b->hit_offset[d + 1]++] = (dh_prefix_hit){.hash = prefix};
        }
        b->lexicon[d] = support_random_below(4) == 0 ? DH_NO_LEXICON : 0;
    }
    for (uint64_t i = 0; i < b->text_offset[documents]; i++) {
        b->text[i] = (uint8_t)('a' + support_random_below(26));
    }
    for (uint64_t i = 0; i < b->token_offset[documents]; i++) {
        b->token[i] = support_random_below(3) == 0 ? term : support_random();
    }
    b->token_end = room((b->token_offset[documents] + 1) * sizeof *b->token_end);
    b->spelling = room((b->token_offset[documents] + 1) * SPELLING_OF_A_TOKEN);
    spell(documents, b->token_offset, b->spelling, b->spelling_offset, b->token_end);
    b->task = (dh_task){.owner = b,
                        .batch = {.document_count = documents,
                                  .text = b->text,
                                  .text_offset = b->text_offset,
                                  .token = b->token,
                                  .token_offset = b->token_offset,
                                  .prefix_hit = b->hit,
                                  .prefix_hit_offset = b->hit_offset,
                                  .lexicon = b->lexicon,
                                  .spelling = b->spelling,
                                  .spelling_offset = b->spelling_offset,
                                  .token_end = b->token_end}};
    fill_columns(&b->task.batch, b->column);
    fill_columns(&b->task.batch, b->expected);
    memcpy(b->task.column, b->column, sizeof b->column);
    void *column[DH_SCHEMA_COLUMNS_MAX];
    memcpy(column, b->expected, sizeof column);
    assert_int_equal(dh_vectorise(&settings, &settings.backend->lane[0], &b->task.batch, column, NULL),
                     DH_BACKEND_OK);
    return b;
}

static void free_batch(job_batch *b)
{
    for (uint32_t c = DH_ENGINE_COLUMNS; c < settings.schema.column_count; c++) {
        free(b->column[c]);
        free(b->expected[c]);
    }
    free(b->text_offset);
    free(b->token_offset);
    free(b->hit_offset);
    free(b->spelling_offset);
    free(b->text);
    free(b->spelling);
    free(b->token_end);
    free(b->token);
    free(b->lexicon);
    free(b->hit);
    free(b);
}

/* One document of this size at least. */
static job_batch *make_large(uint64_t size)
{
    job_batch *b = make_batch(1, 2 * size);
    while (b->text_offset[1] < size) {
        free_batch(b);
        b = make_batch(1, 2 * size);
    }
    return b;
}

static void check_results(const job_batch *b)
{
    for (uint32_t c = DH_ENGINE_COLUMNS; c < settings.schema.column_count; c++) {
        const size_t size = column_size(&b->task.batch, c) + SENTINEL;
        assert_memory_equal(b->column[c], b->expected[c], size);
    }
}

/* ---- workers ----------------------------------------------------------------------------------------- */

static uint8_t pinned[64];
static const dh_memory_range pinned_range = {pinned, sizeof pinned};

/* The plan becomes that of a device without faults. */
static void plan_nothing(void)
{
    _Atomic int *const number[] = {&fake.open_status, &fake.short_of_memory_at,
                                   &fake.lost_at,     &fake.hang,
                                   &fake.opens,       &fake.closes,
                                   &fake.begins,      &fake.pins,
                                   &fake.unpins,      &fake.broken_rules};
    for (size_t i = 0; i < COUNT(number); i++) {
        atomic_store(number[i], 0);
    }
    fake.no_room_for = NULL;
    atomic_store(&fake.is_wrong, false);
    atomic_store(&fake.memory, 0);
    atomic_store(&fake.documents, 0);
    atomic_store(&fake.microseconds, 0);
    (void)pthread_mutex_lock(&fake.mutex);
    fake.is_released = false;
    (void)pthread_mutex_unlock(&fake.mutex);
}

static dh_status start(double timeout, dh_worker **out, char why[DH_BACKEND_TEXT])
{
    const dh_worker_options worker_options = {.kind = &fake_kind,
                                              .lane_bytes = 1 << 20,
                                              .pinned = &pinned_range,
                                              .pinned_count = 1,
                                              .timeout = timeout};
    return dh_worker_start(&settings, &worker_options, out, why);
}

static dh_worker *start_with(double timeout)
{
    dh_worker *worker = NULL;
    char why[DH_BACKEND_TEXT];
    plan_nothing();
    assert_ok(start(timeout, &worker, why));
    assert_string_equal(dh_worker_describe(worker), "a device of the test");
    atomic_store(&fake.begins, 0);
    return worker;
}

static dh_worker *start_good(void)
{
    return start_with(late);
}

static void nap(void)
{
    (void)usleep(200);
}

static dh_task *take(dh_worker *worker)
{
    dh_task *task = NULL;
    for (const double start_at = dh_seconds(); (task = dh_worker_take(worker)) == NULL; nap()) {
        assert_true(dh_seconds() - start_at < 60);
    }
    ((job_batch *)task->owner)->returns++;
    return task;
}

/* Gives out the tasks and takes them home, each once. */
static void run_tasks(dh_worker *worker, job_batch **batch, uint32_t count)
{
    for (uint32_t t = 0; t < count; t++) {
        dh_worker_submit(worker, &batch[t]->task);
    }
    for (uint32_t t = 0; t < count; t++) {
        (void)take(worker);
    }
    assert_null(dh_worker_take(worker));
    for (uint32_t t = 0; t < count; t++) {
        assert_int_equal(batch[t]->returns, 1);
    }
    assert_int_equal(dh_worker_state_now(worker).queued_bytes, 0);
}

/* Ends a worker whose device neither failed nor hung. */
static void stop_good(dh_worker *worker)
{
    assert_int_equal(dh_worker_state_now(worker).state, DH_WORKER_OPEN);
    dh_worker_stop(worker);
    assert_int_equal(atomic_load(&fake.closes), atomic_load(&fake.opens));
    assert_int_equal(atomic_load(&fake.pins), 1);
    assert_int_equal(atomic_load(&fake.unpins), 1);
    assert_int_equal(atomic_load(&fake.broken_rules), 0);
}

static void make_batches(job_batch **batch, uint32_t count, uint32_t documents, uint64_t text_max)
{
    for (uint32_t t = 0; t < count; t++) {
        batch[t] = make_batch(documents, text_max);
    }
}

static void check_and_free(job_batch **batch, uint32_t count)
{
    for (uint32_t t = 0; t < count; t++) {
        assert_int_equal(batch[t]->task.status, DH_BACKEND_OK);
        assert_false(batch[t]->task.is_touched);
        check_results(batch[t]);
        free_batch(batch[t]);
    }
}

/* ---- what goes well ---------------------------------------------------------------------------------- */

static void test_an_idle_worker_stops(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    const dh_worker_figures figures = dh_worker_state_now(worker);
    assert_int_equal(figures.batches, 0);
    assert_true(figures.seconds_per_byte == 0 && figures.busy_seconds == 0);
    assert_null(dh_worker_take(worker));
    (void)usleep(1000);
    stop_good(worker);
    worker = start_good();
    stop_good(worker); /* at once */
    dh_worker_stop(NULL);
}

static void test_every_task_comes_back_once(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    for (unsigned time = 0; time <= 2000; time += 500) {
        job_batch *batch[TASKS_MAX];
        atomic_store(&fake.microseconds, time);
        for (uint32_t t = 0; t < TASKS_MAX; t++) {
            batch[t] = make_batch(1 + (uint32_t)support_random_below(20), 200);
        }
        const dh_worker_figures before = dh_worker_state_now(worker);
        const double start_at = dh_seconds();
        run_tasks(worker, batch, TASKS_MAX);
        const double seconds = dh_seconds() - start_at;
        const dh_worker_figures after = dh_worker_state_now(worker);
        uint64_t bytes = 0;
        for (uint32_t t = 0; t < TASKS_MAX; t++) {
            bytes += batch[t]->text_offset[batch[t]->task.batch.document_count];
        }
        assert_int_equal(after.batches - before.batches, TASKS_MAX);
        assert_int_equal(after.bytes - before.bytes, bytes);
        assert_int_equal(after.shrinks, 0);
        const double busy = after.busy_seconds - before.busy_seconds;
        assert_true(busy > 0 && busy <= seconds);
        assert_true(after.seconds_per_byte > 0);
        check_and_free(batch, TASKS_MAX);
    }
    assert_int_equal(atomic_load(&fake.begins), 5 * TASKS_MAX);
    stop_good(worker);
}

/* The owner goes on giving while tasks come home. */
static void test_tasks_come_back_while_others_are_given(void **state)
{
    (void)state;
    enum { TURNS = 300, AT_ONCE = 6 };
    dh_worker *worker = start_good();
    job_batch *batch[AT_ONCE];
    make_batches(batch, AT_ONCE, 5, 100);
    atomic_store(&fake.microseconds, 50);
    const unsigned turns = support_turns(TURNS);
    unsigned given = AT_ONCE;
    for (uint32_t t = 0; t < AT_ONCE; t++) {
        dh_worker_submit(worker, &batch[t]->task);
    }
    for (unsigned i = 0; i < turns; i++) {
        job_batch *b = take(worker)->owner;
        assert_int_equal(b->task.status, DH_BACKEND_OK);
        check_results(b);
        if (given < turns) {
            given++;
            dh_worker_submit(worker, &b->task);
        }
    }
    assert_null(dh_worker_take(worker));
    for (uint32_t t = 0; t < AT_ONCE; t++) {
        free_batch(batch[t]);
    }
    stop_good(worker);
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static void test_without_memory_tasks_are_done_in_parts(void **state)
{
    (void)state;
    for (int at = FAKE_AT_BEGIN; at <= FAKE_AT_POLL; at++) {
        job_batch *batch[6];
        dh_worker *worker = start_good();
        atomic_store(&fake.short_of_memory_at, at);
        atomic_store(&fake.microseconds, 100);
        make_batches(batch, 6, 40, 300);
        atomic_store(&fake.memory, 700); /* at least two documents */
        run_tasks(worker, batch, 6);
        const dh_worker_figures figures = dh_worker_state_now(worker);
        assert_true(figures.shrinks >= 1);
        assert_int_equal(figures.batches, 6);
        assert_true(atomic_load(&fake.begins) > 6 * 5);
        check_and_free(batch, 6);
        stop_good(worker);
    }
}

static void test_down_to_one_document(void **state)
{
    (void)state;
    job_batch *batch[3];
    dh_worker *worker = start_good();
    make_batches(batch, 3, 10, 300);
    atomic_store(&fake.memory, 300);
    run_tasks(worker, batch, 3);
    assert_true(atomic_load(&fake.begins) >= 3 * 5);
    check_and_free(batch, 3);
    stop_good(worker);
}

static void test_parts_become_larger_again(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    job_batch *batch[4];
    make_batches(batch, 4, 40, 300);
    atomic_store(&fake.memory, 400);
    run_tasks(worker, batch, 4);
    check_and_free(batch, 4);
    atomic_store(&fake.memory, 0);
    int begins = 0;
    int turns = 0;
    do {
        assert_true(++turns < 1000);
        batch[0] = make_batch(40, 300);
        atomic_store(&fake.begins, 0);
        run_tasks(worker, batch, 1);
        begins = atomic_load(&fake.begins);
        check_and_free(batch, 1);
    } while (begins > 1);
    assert_true(turns > 1);
    stop_good(worker);
}

/* A document of the batch alone is too large: somebody else does the batch; the others are done. */
static void test_a_document_that_never_fits(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    job_batch *batch[8];
    make_batches(batch, 8, 12, 100);
    free_batch(batch[3]);
    batch[3] = make_large(2000);
    atomic_store(&fake.memory, 1000);
    run_tasks(worker, batch, 8);
    assert_int_equal(batch[3]->task.status, DH_BACKEND_NO_MEMORY);
    assert_false(batch[3]->task.is_touched);
    assert_int_equal(dh_worker_state_now(worker).batches, 7);
    free_batch(batch[3]);
    check_and_free(batch, 3);
    check_and_free(batch + 4, 4);
    stop_good(worker);
}

/* Documents without text take memory, too. */
static void test_empty_documents_are_done_in_parts(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    job_batch *batch[3];
    make_batches(batch, 3, 40, 0);
    atomic_store(&fake.documents, 3);
    run_tasks(worker, batch, 3);
    assert_true(dh_worker_state_now(worker).shrinks > 0);
    check_and_free(batch, 3);
    stop_good(worker);
}

/* A large document among small ones does not make the parts larger. */
static void test_parts_never_grow_by_a_failure(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    job_batch *batch[2];
    make_batches(batch, 1, 64, 100);
    atomic_store(&fake.memory, 150);
    run_tasks(worker, batch, 1);
    check_and_free(batch, 1);
    batch[0] = make_large(50000);
    run_tasks(worker, batch, 1);
    assert_int_equal(batch[0]->task.status, DH_BACKEND_NO_MEMORY);
    free_batch(batch[0]);
    const uint64_t shrinks = dh_worker_state_now(worker).shrinks;
    make_batches(batch, 1, 8, 100);
    run_tasks(worker, batch, 1);
    assert_int_equal(dh_worker_state_now(worker).shrinks, shrinks);
    check_and_free(batch, 1);
    stop_good(worker);
}

/* ---- lost devices ------------------------------------------------------------------------------------ */

static void lose_at(int call)
{
    job_batch *batch[12];
    dh_worker *worker = start_good();
    make_batches(batch, 12, 5, 100);
    atomic_store(&fake.microseconds, 200);
    atomic_store(&fake.lost_at, call);
    run_tasks(worker, batch, 12);
    const dh_worker_figures figures = dh_worker_state_now(worker);
    uint64_t done = 0;
    uint32_t touched = 0;
    for (uint32_t t = 0; t < 12; t++) {
        const dh_task *task = &batch[t]->task;
        assert_true(task->status == DH_BACKEND_OK || task->status == DH_BACKEND_LOST);
        touched += task->is_touched; /* what the device had, not what waited */
        assert_true(!task->is_touched || task->status == DH_BACKEND_LOST);
        if (task->status == DH_BACKEND_OK) {
            check_results(batch[t]);
            done++;
        }
    }
    assert_int_equal(figures.batches, done);
    assert_true(done < 12);
    assert_in_range(touched, 1, 4);
    assert_int_equal(figures.state, DH_WORKER_LOST);
    assert_string_equal(figures.reason, "it fell off the bus");
    assert_int_equal(atomic_load(&fake.closes), 1);
    batch[0]->returns = 0;
    batch[0]->task.status = DH_BACKEND_OK;
    dh_worker_submit(worker, &batch[0]->task); /* comes back at once */
    assert_ptr_equal(dh_worker_take(worker), &batch[0]->task);
    assert_int_equal(batch[0]->task.status, DH_BACKEND_LOST);
    assert_false(batch[0]->task.is_touched);
    assert_null(dh_worker_take(worker));
    assert_int_equal(dh_worker_state_now(worker).queued_bytes, 0);
    for (uint32_t t = 0; t < 12; t++) {
        free_batch(batch[t]); /* behind close nothing writes into them */
    }
    dh_worker_stop(worker);
    assert_int_equal(atomic_load(&fake.closes), 1);
    assert_int_equal(atomic_load(&fake.broken_rules), 0);
}

static void test_a_lost_device_gives_all_back(void **state)
{
    (void)state;
    for (int call = 1; call <= 40; call++) {
        lose_at(call);
    }
}

/* ---- hung devices ------------------------------------------------------------------------------------ */

static struct {
    dh_worker *worker[HUNG_MAX]; /* what hangs stays; a leak checker finds it here */
    job_batch *batch[HUNG_MAX * TASKS_MAX];
    uint32_t workers, batches;
} left;

static unsigned thread_count(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/task");
    assert_non_null(folder);
    for (const struct dirent *entry = NULL; (entry = readdir(folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(folder);
    return count;
}

/* Gives tasks to a device that does not answer. Returns how many it may still write to. */
static uint32_t run_hanging(dh_worker *worker, job_batch **batch, uint32_t count)
{
    const double start_at = dh_seconds();
    run_tasks(worker, batch, count);
    const double seconds = dh_seconds() - start_at;
    assert_true(seconds >= soon && seconds < soon + 30);
    const dh_worker_figures figures = dh_worker_state_now(worker);
    assert_int_equal(figures.state, DH_WORKER_HUNG);
    assert_says(figures.reason, "--device-timeout");
    assert_true(dh_worker_any_hung());
    uint32_t touched = 0;
    for (uint32_t t = 0; t < count; t++) {
        assert_int_equal(batch[t]->task.status, DH_BACKEND_LOST);
        touched += batch[t]->task.is_touched;
        assert_true(!batch[t]->task.is_touched || t < touched); /* the first ones: others waited */
    }
    return touched;
}

/* The worker and its tasks stay; it ends without waiting. */
static void leave(dh_worker *worker, job_batch **batch, uint32_t count)
{
    const double start_at = dh_seconds();
    dh_worker_stop(worker);
    assert_true(dh_seconds() - start_at < soon);
    left.worker[left.workers++] = worker;
    for (uint32_t t = 0; t < count; t++) {
        if (batch[t]->task.is_touched) {
            left.batch[left.batches++] = batch[t];
        } else {
            free_batch(batch[t]);
        }
    }
}

static void wait_for_threads(unsigned count)
{
    for (const double start_at = dh_seconds(); thread_count() > count; nap()) {
        assert_true(dh_seconds() - start_at < 60);
    }
}

static void hang(fake_hang how, int lost_at)
{
    job_batch *batch[10];
    const unsigned threads = thread_count();
    dh_worker *worker = start_with(soon);
    make_batches(batch, 10, 5, 100);
    atomic_store(&fake.lost_at, lost_at);
    atomic_store(&fake.hang, how);
    const uint32_t touched = run_hanging(worker, batch, 10);
    assert_in_range(touched, 1, 4);
    batch[9]->returns = 0;
    dh_worker_submit(worker, &batch[9]->task); /* comes back at once */
    assert_ptr_equal(dh_worker_take(worker), &batch[9]->task);
    assert_false(batch[9]->task.is_touched);
    leave(worker, batch, 10);
    fake_release(); /* what hung comes back, after all */
    wait_for_threads(threads);
    assert_int_equal(atomic_load(&fake.broken_rules), 0);
}

static void test_a_hung_device_is_left(void **state)
{
    (void)state;
    assert_false(dh_worker_any_hung());
    hang(FAKE_HANG_POLL, 0);
    hang(FAKE_HANG_BEGIN, 0);
    hang(FAKE_HANG_CLOSE, 3);
}

/* When the run is left nobody waits for the timeout. */
static void test_a_busy_device_is_abandoned(void **state)
{
    (void)state;
    job_batch *batch[6];
    const unsigned threads = thread_count();
    dh_worker *worker = start_with(1000);
    dh_worker_abandon(worker, "it is idle");
    assert_int_equal(dh_worker_state_now(worker).state, DH_WORKER_OPEN);
    make_batches(batch, 6, 5, 100);
    atomic_store(&fake.hang, FAKE_HANG_POLL);
    for (uint32_t t = 0; t < 6; t++) {
        batch[t]->returns = 0;
        dh_worker_submit(worker, &batch[t]->task);
    }
    while (atomic_load(&fake.begins) == 0) {
        nap();
    }
    assert_null(dh_worker_take(worker));
    dh_worker_abandon(worker, "the run was left");
    assert_int_equal(dh_worker_state_now(worker).state, DH_WORKER_HUNG);
    assert_string_equal(dh_worker_state_now(worker).reason, "the run was left");
    uint32_t back = 0;
    for (const dh_task *task = NULL; (task = dh_worker_take(worker)) != NULL; back++) {
        assert_int_equal(task->status, DH_BACKEND_LOST);
    }
    assert_int_equal(back, 6);
    assert_int_equal(dh_worker_state_now(worker).queued_bytes, 0);
    leave(worker, batch, 6);
    fake_release();
    wait_for_threads(threads);
    assert_int_equal(atomic_load(&fake.broken_rules), 0);
}

/* Each batch, or each part of one, is in time; all together take longer than the timeout. */
static void test_a_slow_device_is_no_hung_one(void **state)
{
    (void)state;
    enum { BATCHES = 24 };
    dh_worker *worker = start_with(soon);
    job_batch *batch[BATCHES];
    make_batches(batch, BATCHES, 5, 100);
    atomic_store(&fake.microseconds, 50000);
    double start_at = dh_seconds();
    run_tasks(worker, batch, BATCHES);
    assert_true(dh_seconds() - start_at > soon);
    check_and_free(batch, BATCHES);
    make_batches(batch, 1, 1024, 100); /* not even one document fits: an answer, again and again */
    atomic_store(&fake.memory, 1);
    start_at = dh_seconds();
    run_tasks(worker, batch, 1);
    assert_true(dh_seconds() - start_at > soon);
    assert_int_equal(batch[0]->task.status, DH_BACKEND_NO_MEMORY);
    free_batch(batch[0]);
    make_batches(batch, 1, 16, 100);
    atomic_store(&fake.memory, 100);
    start_at = dh_seconds();
    run_tasks(worker, batch, 1);
    assert_true(dh_seconds() - start_at > soon);
    check_and_free(batch, 1);
    atomic_store(&fake.memory, 0);
    atomic_store(&fake.microseconds, 0);
    (void)usleep((unsigned)(1.5e6 * soon)); /* nothing to do */
    make_batches(batch, 2, 5, 100);
    run_tasks(worker, batch, 2);
    check_and_free(batch, 2);
    stop_good(worker);
}

/* ---- faults on purpose ------------------------------------------------------------------------------- */

static void test_a_fault_of_memory(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    job_batch *batch[6];
    make_batches(batch, 6, 10, 100);
    batch[2]->task.fault = ENOMEM;
    run_tasks(worker, batch, 6);
    assert_int_equal(dh_worker_state_now(worker).shrinks, 1);
    check_and_free(batch, 6);
    stop_good(worker);
}

static void test_a_fault_of_the_device(void **state)
{
    (void)state;
    dh_worker *worker = start_good();
    job_batch *batch[6];
    make_batches(batch, 6, 10, 100);
    batch[2]->task.fault = EIO;
    run_tasks(worker, batch, 6);
    const dh_worker_figures figures = dh_worker_state_now(worker);
    assert_int_equal(figures.state, DH_WORKER_LOST);
    assert_string_equal(figures.reason, "the device failed");
    assert_int_equal(batch[2]->task.status, DH_BACKEND_LOST);
    for (uint32_t t = 0; t < 6; t++) {
        free_batch(batch[t]);
    }
    dh_worker_stop(worker);
    assert_int_equal(atomic_load(&fake.closes), 1);
}

static void test_a_fault_that_hangs(void **state)
{
    (void)state;
    dh_worker *worker = start_with(soon);
    job_batch *batch[6];
    make_batches(batch, 6, 10, 100);
    batch[0]->task.fault = ETIMEDOUT;
    (void)run_hanging(worker, batch, 6);
    leave(worker, batch, 6);
}

/* ---- devices that cannot be used --------------------------------------------------------------------- */

static void expect_refused(dh_status expected, const char *reason)
{
    dh_worker *worker = NULL;
    char why[DH_BACKEND_TEXT] = "";
    support_capture_begin();
    const dh_status status = start(late, &worker, why);
    (void)support_capture_end();
    assert_int_equal(status, expected);
    assert_null(worker);
    assert_says(why, reason);
    assert_int_equal(atomic_load(&fake.closes), atomic_load(&fake.opens));
    assert_int_equal(atomic_load(&fake.unpins), atomic_load(&fake.pins));
    assert_int_equal(atomic_load(&fake.broken_rules), 0);
}

static void test_devices_that_cannot_be_used(void **state)
{
    (void)state;
    plan_nothing();
    atomic_store(&fake.open_status, DH_BACKEND_LOST);
    expect_refused(DH_FAILED, "no driver");
    atomic_store(&fake.open_status, DH_BACKEND_NO_MEMORY);
    expect_refused(DH_NO_MEMORY, "no driver");
    plan_nothing();
    atomic_store(&fake.is_wrong, true);
    expect_refused(DH_INTERNAL, "known answers");
    assert_int_equal(atomic_load(&fake.opens), 1);
    plan_nothing();
    fake.no_room_for = settings.job_setup.lexicons;
    expect_refused(DH_FAILED, "a device of the test cannot take what the jobs need");
    assert_int_equal(atomic_load(&fake.opens), 1);
}

/* ---- the group --------------------------------------------------------------------------------------- */

/* The hashes of "good" and "bad*". */
static dh_status find_hashes(void)
{
    dh_tokenizer *tokenizer = NULL;
    dh_prefix_set *set = NULL;
    dh_token_sink sink = {.token_limit = 1};
    DH_TRY(dh_tokenizer_create(DH_TOKENS_UNICODE, NULL, &tokenizer));
    DH_TRY(dh_tokenize(tokenizer, (const uint8_t *)"good", 4, &sink));
    term = sink.token[0];
    dh_token_sink_free(&sink);
    dh_tokenizer_free(tokenizer);
    DH_TRY(dh_prefix_set_create(&set));
    DH_TRY(dh_prefix_set_add(set, 0, (const uint8_t *)"bad", 3, &prefix));
    dh_prefix_set_free(set);
    return DH_OK;
}

static int set_up(void **state)
{
    if (support_set_up(state) != 0 || find_hashes() != DH_OK) {
        return -1;
    }
    if (resolve(LIST("-j", "digest,profile", "-l", lexicon_path(), "in"), &options, &settings) != DH_OK) {
        return -1;
    }
    add_spelling_job(&settings);
    return 0;
}

/* The settings stay, too: a thread that hung may use them. */
static int tear_down(void **state)
{
    if (left.workers == 0) {
        dh_settings_free(&settings);
        dh_options_free(&options);
    }
    return support_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_worker_stops),
        cmocka_unit_test(test_every_task_comes_back_once),
        cmocka_unit_test(test_tasks_come_back_while_others_are_given),
        cmocka_unit_test(test_without_memory_tasks_are_done_in_parts),
        cmocka_unit_test(test_down_to_one_document),
        cmocka_unit_test(test_parts_become_larger_again),
        cmocka_unit_test(test_a_document_that_never_fits),
        cmocka_unit_test(test_empty_documents_are_done_in_parts),
        cmocka_unit_test(test_parts_never_grow_by_a_failure),
        cmocka_unit_test(test_a_lost_device_gives_all_back),
        cmocka_unit_test(test_a_hung_device_is_left),
        cmocka_unit_test(test_a_busy_device_is_abandoned),
        cmocka_unit_test(test_a_slow_device_is_no_hung_one),
        cmocka_unit_test(test_a_fault_of_memory),
        cmocka_unit_test(test_a_fault_of_the_device),
        cmocka_unit_test(test_a_fault_that_hangs),
        cmocka_unit_test(test_devices_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
