/* dhatu: the thread that keeps a device busy. Batches are queued as tasks, go to the device's lanes and come
 * back done; whoever owns the worker asks for them. Nothing here waits for the device.
 *
 * A batch that the device has no memory for is done in parts; the parts become larger again when that works.
 * After an error of the device, or when it does not answer for the timeout, the worker is closed: all its
 * tasks come back undone.
 *
 * One thread calls these functions. The settings' jobs are used by the worker's own thread, too. */
#ifndef DH_ROUTE_WORKER_H
#define DH_ROUTE_WORKER_H

#include "run/slot.h"

/* A batch for the device. The owner keeps it and what it points to until it comes back. */
typedef struct dh_task {
    dh_batch batch;
    void *column[DH_SCHEMA_COLUMNS_MAX];
    void *owner;
    /* of the worker */
    struct dh_task *next;
    dh_backend_status status; /* OK: computed. Else somebody else must compute it */
    bool is_touched; /* the device may still write into the columns, at any time: never use them again */
    int fault;       /* asked for by DHATU_FAULT, an errno */
    uint64_t bytes;
} dh_task;

typedef struct dh_memory_range {
    void *start;
    size_t size;
} dh_memory_range;

typedef struct dh_worker_options {
    const dh_backend_kind *kind;
    uint32_t device;
    uint64_t lane_bytes;
    const dh_memory_range *pinned; /* memory that the batches lie in; must outlive the worker */
    uint32_t pinned_count;
    double timeout; /* seconds that the device may take for what it has, without finishing any of it */
} dh_worker_options;

typedef enum dh_worker_state {
    DH_WORKER_OPEN = 0,
    DH_WORKER_LOST, /* the device failed */
    DH_WORKER_HUNG  /* it does not answer, or was left while it worked */
} dh_worker_state;

typedef struct dh_worker_figures {
    dh_worker_state state;
    char reason[DH_BACKEND_TEXT]; /* why it is closed */
    uint64_t batches, bytes;      /* computed */
    uint64_t shrinks;             /* times that the device had no memory for what it was given */
    double busy_seconds;          /* in which the device had something to do */
    double seconds_per_byte;      /* lately; 0: not known */
    uint64_t queued_bytes;        /* waiting or under way */
} dh_worker_figures;

typedef struct dh_worker dh_worker;

/* Opens the device, checks the jobs' known answers on it and starts the thread. settings must outlive it.
 * Errors (why says them, nothing is logged but failed known answers): DH_FAILED, DH_INTERNAL, DH_NO_MEMORY.
 */
dh_status dh_worker_start(const dh_settings *settings, const dh_worker_options *options, dh_worker **out,
                          char why[DH_BACKEND_TEXT]);

/* No tasks may be out. A hung device's thread and memory stay. NULL is fine. */
void dh_worker_stop(dh_worker *worker);

/* Nobody waits for the device any more: where it has work, it is treated like one that does not answer. */
void dh_worker_abandon(dh_worker *worker, const char *reason);

const char *dh_worker_describe(const dh_worker *worker);

/* The task comes back by dh_worker_take, from a closed worker too. */
void dh_worker_submit(dh_worker *worker, dh_task *task);

/* A task that came back, or NULL. Looks after the timeout, too. */
dh_task *dh_worker_take(dh_worker *worker);

dh_worker_figures dh_worker_state_now(dh_worker *worker);

/* Did any device of this process hang? Then the process must end by _exit, because the driver's clean-up
 * would wait for the device. */
bool dh_worker_any_hung(void);

#endif
