#include "route/worker.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "route/router.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LANES = 4,          /* one is copied to, one computes, one is copied from, and one is ready */
    PARTS_TO_GROW = 64, /* that fit, before larger ones are tried again */
    NAP_NANOSECONDS = 20000
};

/* A lane and the part of a task that is in it. Of the thread alone; it keeps copies of what it needs, because
 * the task goes home when the device hangs. */
typedef struct lane_work {
    dh_task *task; /* NULL: the lane is free */
    dh_batch batch, part;
    uint8_t *column[DH_SCHEMA_COLUMNS_MAX];
    uint32_t next, part_end; /* documents: of the part */
    bool is_queued;          /* the part is with the device */
    bool is_too_large;       /* the device had no memory for it */
    int fault;
    double start;
} lane_work;

typedef struct task_list {
    dh_task *first, *last;
} task_list;

struct dh_worker {
    const dh_settings *settings;
    dh_worker_options options;
    dh_backend *backend;
    char description[DH_BACKEND_TEXT];
    pthread_t thread;

    /* of the thread */
    lane_work lane[DH_LANES_MAX];
    uint32_t part_documents; /* of a part at the most */
    uint64_t part_bytes;     /* text of a part at the most */
    uint32_t parts_that_fit;
    double last_finish;
    dh_rate rate;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    task_list waiting, done;
    dh_task *in_lane[DH_LANES_MAX];
    uint32_t lanes_busy;
    bool is_stopping;
    double asked_at;    /* when the owner last looked */
    double progress_at; /* when the device last finished something, or was given something while idle */
    dh_worker_figures figures;
};

static atomic_bool any_hung;

bool dh_worker_any_hung(void)
{
    return atomic_load(&any_hung);
}

/* ---- lists of tasks ---------------------------------------------------------------------------------- */

static void append(task_list *list, dh_task *task)
{
    task->next = NULL;
    if (list->last != NULL) {
        list->last->next = task;
    } else {
        list->first = task;
    }
    list->last = task;
}

static dh_task *remove_first(task_list *list)
{
    dh_task *task = list->first;
    if (task != NULL) {
        list->first = task->next;
        list->last = list->first != NULL ? list->last : NULL;
    }
    return task;
}

/* ---- under the lock ---------------------------------------------------------------------------------- */

static void send_home(dh_worker *worker, dh_task *task, dh_backend_status status, bool is_touched)
{
    task->status = status;
    task->is_touched = is_touched;
    worker->figures.queued_bytes -= task->bytes;
    append(&worker->done, task);
}

/* No more work for this device: all tasks go home undone. */
static void close_worker(dh_worker *worker, dh_worker_state state, const char *reason)
{
    worker->figures.state = state;
    (void)snprintf(worker->figures.reason, sizeof worker->figures.reason, "%s", reason);
    for (uint32_t l = 0; l < LANES; l++) {
        if (worker->in_lane[l] != NULL) {
            send_home(worker, worker->in_lane[l], DH_BACKEND_LOST, true); /* who knows what is on its way */
            worker->in_lane[l] = NULL;
        }
    }
    for (dh_task *task = NULL; (task = remove_first(&worker->waiting)) != NULL;) {
        send_home(worker, task, DH_BACKEND_LOST, false);
    }
}

static bool is_open(const dh_worker *worker)
{
    return worker->figures.state == DH_WORKER_OPEN;
}

/* ---- the thread -------------------------------------------------------------------------------------- */

/* The device failed. What runs on it is waited for: behind close nothing is written any more. */
static void fail(dh_worker *worker)
{
    char reason[DH_BACKEND_TEXT];
    const dh_backend_kind *kind = worker->options.kind;
    (void)snprintf(reason, sizeof reason, "%s", kind->error(worker->backend));
    kind->close(worker->backend);
    (void)pthread_mutex_lock(&worker->mutex);
    worker->backend = NULL;
    if (is_open(worker)) { /* else it took too long, and the tasks are home */
        close_worker(worker, DH_WORKER_LOST, reason[0] != '\0' ? reason : "the device failed");
    }
    (void)pthread_mutex_unlock(&worker->mutex);
}

static void finish_task(dh_worker *worker, uint32_t number, dh_backend_status status)
{
    lane_work *lane = &worker->lane[number];
    const double now = dh_seconds();
    const double seconds = now - (lane->start > worker->last_finish ? lane->start : worker->last_finish);
    worker->last_finish = now;
    (void)pthread_mutex_lock(&worker->mutex);
    if (is_open(worker)) {
        dh_worker_figures *figures = &worker->figures;
        worker->progress_at = now;
        worker->in_lane[number] = NULL;
        worker->lanes_busy--;
        if (status == DH_BACKEND_OK) {
            figures->batches++;
            figures->bytes += lane->task->bytes;
            figures->busy_seconds += seconds;
            figures->seconds_per_byte = dh_rate_learn(&worker->rate, seconds, lane->task->bytes, now);
        }
        send_home(worker, lane->task, status, false);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    lane->task = NULL;
}

/* The next documents of the lane's task, as many as are thought to fit. */
static void cut_part(const dh_worker *worker, lane_work *lane)
{
    const uint64_t *offset = lane->batch.text_offset;
    uint32_t end = lane->next;
    do {
        end++;
    } while (end < lane->batch.document_count && end - lane->next < worker->part_documents &&
             offset[end + 1] - offset[lane->next] <= worker->part_bytes);
    lane->part_end = end;
    lane->part = lane->batch;
    lane->part.document_count = end - lane->next;
    lane->part.text_offset += lane->next;
    lane->part.token_offset += lane->next;
    lane->part.prefix_hit_offset += lane->next;
    lane->part.lexicon += lane->next;
    if (lane->part.spelling_offset != NULL) {
        lane->part.spelling_offset += lane->next;
    }
}

/* Where the part's results of a column go: behind those of the documents, or tokens, in front of it. */
static void *part_column(const dh_schema *schema, const lane_work *lane, uint32_t c)
{
    const uint64_t *token_offset = lane->batch.token_offset;
    const uint64_t rows =
        schema->column[c].place == DH_TOKEN ? token_offset[lane->next] - token_offset[0] : lane->next;
    return lane->column[c] + rows * schema->row_size[c];
}

/* What DHATU_FAULT asks the device to do. */
static dh_backend_status enact(lane_work *lane)
{
    const int fault = lane->fault;
    lane->fault = 0;
    if (fault == ETIMEDOUT) {
        for (;;) {
            (void)pause(); /* a driver that does not come back */
        }
    }
    return fault == ENOMEM ? DH_BACKEND_NO_MEMORY : DH_BACKEND_LOST;
}

/* Gives the device the lane's next part. */
static void start_part(dh_worker *worker, uint32_t number)
{
    lane_work *lane = &worker->lane[number];
    void *column[DH_SCHEMA_COLUMNS_MAX];
    const dh_schema *schema = &worker->settings->schema;
    cut_part(worker, lane);
    for (uint32_t c = DH_ENGINE_COLUMNS; c < schema->column_count; c++) {
        column[c] = part_column(schema, lane, c);
    }
    const dh_backend_status status =
        lane->fault != 0
            ? enact(lane)
            : dh_vectorise(worker->settings, &worker->backend->lane[number], &lane->part, column, NULL);
    lane->is_too_large = status == DH_BACKEND_NO_MEMORY;
    lane->is_queued = true;
    if (status == DH_BACKEND_LOST) {
        fail(worker);
    }
}

/* The part did not fit: smaller ones, for all lanes. One document is the least. */
static void shrink(dh_worker *worker, uint32_t number)
{
    lane_work *lane = &worker->lane[number];
    const uint64_t *offset = lane->batch.text_offset;
    const uint64_t half = (offset[lane->part_end] - offset[lane->next]) / 2;
    const uint32_t half_documents = (lane->part_end - lane->next + 1) / 2;
    worker->part_bytes = half < worker->part_bytes ? half : worker->part_bytes;
    /* Documents without text take memory, too. */
    worker->part_documents =
        half_documents < worker->part_documents ? half_documents : worker->part_documents;
    worker->parts_that_fit = 0;
    lane->is_queued = false;
    (void)pthread_mutex_lock(&worker->mutex);
    worker->progress_at = dh_seconds(); /* it answers */
    worker->figures.shrinks++;
    (void)pthread_mutex_unlock(&worker->mutex);
    if (lane->part_end - lane->next == 1) {
        finish_task(worker, number, DH_BACKEND_NO_MEMORY);
    }
}

static void end_part(dh_worker *worker, uint32_t number)
{
    lane_work *lane = &worker->lane[number];
    lane->is_queued = false;
    lane->next = lane->part_end;
    if (++worker->parts_that_fit == PARTS_TO_GROW) {
        worker->parts_that_fit = 0;
        worker->part_bytes = worker->part_bytes < UINT64_MAX / 2 ? 2 * worker->part_bytes + 1 : UINT64_MAX;
        worker->part_documents =
            worker->part_documents < UINT32_MAX / 2 ? 2 * worker->part_documents : UINT32_MAX;
    }
    if (lane->next == lane->batch.document_count) {
        finish_task(worker, number, DH_BACKEND_OK);
        return;
    }
    (void)pthread_mutex_lock(&worker->mutex);
    worker->progress_at = dh_seconds();
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* Returns whether anything happened. */
static bool advance(dh_worker *worker, uint32_t number)
{
    lane_work *lane = &worker->lane[number];
    if (!lane->is_queued) {
        start_part(worker, number);
        return true;
    }
    const dh_backend_status status = worker->options.kind->poll(&worker->backend->lane[number]);
    if (status == DH_BACKEND_BUSY) {
        return false;
    }
    if (status == DH_BACKEND_LOST) {
        fail(worker);
    } else if (lane->is_too_large || status == DH_BACKEND_NO_MEMORY) {
        shrink(worker, number);
    } else {
        end_part(worker, number);
    }
    return true;
}

static void put_in_lane(dh_worker *worker, uint32_t number, dh_task *task)
{
    lane_work *lane = &worker->lane[number];
    *lane = (lane_work){.task = task, .batch = task->batch, .fault = task->fault, .start = dh_seconds()};
    memcpy(lane->column, task->column, sizeof lane->column);
    worker->progress_at = worker->lanes_busy == 0 ? lane->start : worker->progress_at;
    worker->in_lane[number] = task;
    worker->lanes_busy++;
}

/* Fills free lanes; waits while there is nothing to do. False: the thread is to end. */
static bool fill_lanes(dh_worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    while (is_open(worker) && !worker->is_stopping && worker->lanes_busy == 0 &&
           worker->waiting.first == NULL) {
        (void)pthread_cond_wait(&worker->changed, &worker->mutex);
    }
    const bool goes_on = is_open(worker) && !worker->is_stopping;
    for (uint32_t l = 0; goes_on && l < LANES && worker->waiting.first != NULL; l++) {
        if (worker->lane[l].task == NULL) {
            put_in_lane(worker, l, remove_first(&worker->waiting));
        }
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return goes_on;
}

static void *work(void *argument)
{
    dh_worker *worker = argument;
    const struct timespec nap = {.tv_nsec = NAP_NANOSECONDS};
    while (fill_lanes(worker)) {
        bool moved = false;
        for (uint32_t l = 0; l < LANES && worker->backend != NULL; l++) {
            if (worker->lane[l].task != NULL) {
                moved |= advance(worker, l);
            }
        }
        if (!moved) {
            (void)nanosleep(&nap, NULL);
        }
    }
    return NULL;
}

/* ---- of the owner ------------------------------------------------------------------------------------ */

void dh_worker_submit(dh_worker *worker, dh_task *task)
{
    const dh_batch *batch = &task->batch;
    task->bytes = batch->text_offset[batch->document_count] - batch->text_offset[0];
    (void)pthread_mutex_lock(&worker->mutex);
    worker->figures.queued_bytes += task->bytes;
    if (is_open(worker)) {
        append(&worker->waiting, task);
        (void)pthread_cond_signal(&worker->changed);
    } else {
        send_home(worker, task, DH_BACKEND_LOST, false);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
}

dh_task *dh_worker_take(dh_worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    const double now = dh_seconds();
    if (now - worker->asked_at > worker->options.timeout / 2) {
        worker->progress_at =
            now; /* the whole process was stopped for a while, so the device had no chance */
    }
    worker->asked_at = now;
    if (is_open(worker) && worker->lanes_busy > 0 && now - worker->progress_at > worker->options.timeout) {
        char reason[DH_BACKEND_TEXT];
        (void)snprintf(reason, sizeof reason, "no answer for %.0f s (--device-timeout)",
                       worker->options.timeout);
        atomic_store(&any_hung, true);
        close_worker(worker, DH_WORKER_HUNG, reason);
    }
    dh_task *task = remove_first(&worker->done);
    (void)pthread_mutex_unlock(&worker->mutex);
    return task;
}

void dh_worker_abandon(dh_worker *worker, const char *reason)
{
    (void)pthread_mutex_lock(&worker->mutex);
    if (is_open(worker) && worker->lanes_busy > 0) {
        atomic_store(&any_hung, true);
        close_worker(worker, DH_WORKER_HUNG, reason);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
}

dh_worker_figures dh_worker_state_now(dh_worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    const dh_worker_figures figures = worker->figures;
    (void)pthread_mutex_unlock(&worker->mutex);
    return figures;
}

const char *dh_worker_describe(const dh_worker *worker)
{
    return worker->description;
}

/* ---- start and stop ---------------------------------------------------------------------------------- */

static dh_status open_device(dh_worker *worker, char why[DH_BACKEND_TEXT])
{
    const dh_backend_kind *kind = worker->options.kind;
    const dh_backend_options options = {
        .device = worker->options.device, .lanes = LANES, .lane_bytes = worker->options.lane_bytes};
    const dh_backend_status opened = kind->open(&options, &worker->backend, why);
    if (opened != DH_BACKEND_OK) {
        return opened == DH_BACKEND_NO_MEMORY ? DH_NO_MEMORY : DH_FAILED;
    }
    (void)snprintf(worker->description, sizeof worker->description, "%s", kind->describe(worker->backend));
    for (uint32_t p = 0; p < worker->options.pinned_count; p++) {
        kind->pin(worker->backend, worker->options.pinned[p].start, worker->options.pinned[p].size);
    }
    const dh_status status = dh_settings_ready(worker->settings, worker->backend);
    if (status != DH_OK) {
        (void)snprintf(why, DH_BACKEND_TEXT, "%.200s %s", worker->description,
                       status == DH_INTERNAL ? "fails the jobs' known answers"
                                             : "cannot take what the jobs need");
    }
    return status;
}

/* Signals are for the main thread. */
static int start_thread(dh_worker *worker)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&worker->thread, NULL, work, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void free_worker(dh_worker *worker)
{
    if (worker->backend != NULL) {
        for (uint32_t p = 0; p < worker->options.pinned_count; p++) {
            worker->options.kind->unpin(worker->backend, worker->options.pinned[p].start);
        }
        worker->options.kind->close(worker->backend);
    }
    (void)pthread_mutex_destroy(&worker->mutex);
    (void)pthread_cond_destroy(&worker->changed);
    free(worker);
}

dh_status dh_worker_start(const dh_settings *settings, const dh_worker_options *options, dh_worker **out,
                          char why[DH_BACKEND_TEXT])
{
    void *memory = NULL;
    (void)snprintf(why, DH_BACKEND_TEXT, "out of memory");
    DH_TRY(dh_allocate(1, sizeof(dh_worker), "a device", &memory));
    dh_worker *worker = memory;
    worker->settings = settings;
    worker->options = *options;
    worker->part_bytes = UINT64_MAX;
    worker->part_documents = UINT32_MAX;
    (void)pthread_mutex_init(&worker->mutex, NULL);
    (void)pthread_cond_init(&worker->changed, NULL);
    dh_status status = open_device(worker, why);
    if (status == DH_OK) {
        const int failed = start_thread(worker);
        if (failed != 0) {
            (void)snprintf(why, DH_BACKEND_TEXT, "no thread for it: %s", strerror(failed));
            status = DH_FAILED;
        }
    }
    if (status != DH_OK) {
        free_worker(worker);
        return status;
    }
    *out = worker;
    return DH_OK;
}

void dh_worker_stop(dh_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&worker->mutex);
    const bool is_hung = worker->figures.state == DH_WORKER_HUNG;
    worker->is_stopping = true;
    (void)pthread_cond_signal(&worker->changed);
    (void)pthread_mutex_unlock(&worker->mutex);
    if (is_hung) {
        (void)pthread_detach(worker->thread);
        return;
    }
    (void)pthread_join(worker->thread, NULL);
    free_worker(worker);
}
