/* dhatu: what the files of route/ share. Not for callers. */
#ifndef DH_ROUTE_INTERNAL_H
#define DH_ROUTE_INTERNAL_H

#include "comm/mail.h"
#include "route/route.h"

#include <stdatomic.h>

enum {
    DH_ROUTE_ACTIVE = 4, /* slots of a rank that are used at a time: one is filled while three are away */
    DH_ROUTE_SLOTS =
        8, /* with those that stand in for slots that were given up; untouched they cost nothing */
    DH_ROUTE_GUESTS = 8 /* slots for batches from other nodes, where there are several */
};

/* What a place tells the ranks of its node, in shared memory. A cache line each. */
typedef struct dh_place_board {
    _Alignas(64) _Atomic uint32_t is_open;
    _Atomic uint64_t queued_bytes;
    _Atomic uint64_t picoseconds_per_byte; /* 0: not measured */
    _Atomic uint64_t measured_at;          /* nanoseconds, as of dh_seconds */
} dh_place_board;

typedef struct dh_rank_board {
    dh_place_board processor, device;
} dh_rank_board;

/* A place where this rank may send batches. */
typedef struct dh_route_place {
    int rank;
    bool is_device, is_remote;
    bool is_silent;        /* it did not answer for a batch; nothing is sent there until it does */
    double way_at;         /* when the way was measured */
    dh_place_board *board; /* of the node's; NULL: remote */
    dh_place_view
        view; /* way_seconds is this rank's own; the rest comes from the board, or from the last answer */
} dh_route_place;

typedef enum dh_slot_state {
    DH_SLOT_FREE = 0,
    DH_SLOT_IN_USE,
    DH_SLOT_AWAY,
    DH_SLOT_HOME,
    DH_SLOT_LOST /* somebody may still write into it: free again when that is over */
} dh_slot_state;

typedef struct dh_route_slot {
    dh_slot slot;
    dh_slot_state state;
    bool is_touched; /* a device that failed may write into it at any time */
    uint32_t place;
    uint64_t bytes;
    double taken_at, sent_at, queued_at; /* queued_at: bytes that waited at the place when it was sent */
    double freed_at;
    uint32_t sequence;        /* of the batch: answers to earlier ones are told from it */
    dh_task task;             /* for the rank's own device */
    dh_transfer *out, *back;  /* to and from another node */
    bool waits, answer_is_ok; /* for whoever has it; what he said */
} dh_route_slot;

/* How much a batch on its way holds. */
typedef struct dh_batch_sizes {
    uint64_t documents, text_bytes, tokens, hits, spelling_bytes;
} dh_batch_sizes;

/* A batch of another rank that is computed here. */
typedef struct dh_guest {
    struct dh_guest *next;
    int from;
    uint32_t slot, sequence; /* of the sender */
    dh_batch_sizes sizes;
    int32_t place;         /* guest slot, of a batch from another node; -1: none yet, or none needed */
    dh_transfer *transfer; /* the batch on its way here, or the results on their way back */
    bool has_batch, is_done, for_device;
    dh_task task;
} dh_guest;

/* Messages. Tags of batches and results between nodes: and the sender's slot. */
enum { DH_TAG_BATCH = 0, DH_TAG_RESULT = DH_ROUTE_SLOTS };

typedef enum dh_note_kind { DH_NOTE_TICKET = 1, DH_NOTE_DONE } dh_note_kind;

enum {
    DH_NOTE_CLOSED = 1, /* send nothing more to this place */
    DH_NOTE_TOUCHED = 2 /* the results may still be written to, at any time */
};

typedef struct dh_note {
    uint16_t kind;
    uint16_t for_device; /* ticket */
    uint32_t slot, sequence;
    uint32_t status; /* done: dh_backend_status */
    union {
        dh_batch_sizes sizes; /* ticket */
        struct {              /* done */
            uint64_t flags;   /* DH_NOTE_CLOSED, DH_NOTE_TOUCHED, or'ed */
            uint64_t picoseconds_per_byte, queued_bytes;
        };
    };
} dh_note;

_Static_assert(sizeof(dh_note) <= DH_NOTE_SIZE, "a note fits its message");

struct dh_route {
    dh_comm *comm;
    const dh_settings *settings;
    dh_route_options options;
    dh_slot_shape shape;
    dh_dispatcher dispatcher;
    dh_router router;
    dh_rate rate;                             /* of this rank's processor */
    dh_mail *mail;                            /* NULL: this rank is alone */
    dh_shared *window;                        /* NULL: slots are private */
    uint8_t *memory;                          /* of the window */
    uint64_t block_size, slots_at, guests_at; /* of each rank in it */
    uint32_t slot_count, guest_count;
    int *node_of; /* rank on this node of each rank, -1 for those of other nodes */
    dh_route_slot slot[DH_ROUTE_SLOTS];
    bool guest_used[DH_ROUTE_GUESTS];
    dh_route_place *place;
    dh_place_view *view; /* of all places, as they are now */
    uint32_t place_count;
    dh_rank_board *board; /* this rank's; NULL without a window */
    dh_guest *guests;     /* in the order in which they came */
    dh_worker *worker;
    dh_memory_range *pinned; /* by the device */
    uint32_t device_count;
    uint32_t next_sequence;
    uint64_t batch_bytes;
    double last_look; /* for batches that nobody answers for */
    dh_route_figures figures;
    bool is_quiet; /* the closed device was told of */
};

/* ---- route_places.c: what is known of places ---- */

dh_status dh_route_find_places(dh_route *route, const uint8_t *has_device);
/* Takes what the boards say into the views. */
void dh_route_look(dh_route *route);
void dh_route_publish_device(dh_route *route);
/* This rank has computed a batch. */
void dh_route_learn_own(dh_route *route, double seconds, uint64_t bytes);

/* ---- route_guests.c: work for others ---- */

dh_status dh_route_take_ticket(dh_route *route, int from, const dh_note *note);
dh_status dh_route_guest_done(dh_route *route, dh_guest *guest);
dh_status dh_route_tend_guests(dh_route *route);

/* The parts of a slot that make a batch, or its results, of this size. */
uint32_t dh_route_batch_parts(const dh_slot_shape *shape, uint8_t *memory, const dh_batch_sizes *sizes,
                              dh_mail_part part[DH_MAIL_PARTS_MAX]);
uint32_t dh_route_result_parts(const dh_slot_shape *shape, uint8_t *memory, const dh_batch_sizes *sizes,
                               dh_mail_part part[DH_MAIL_PARTS_MAX]);

/* ---- route.c ---- */

/* Gives the batch to this rank's device. */
void dh_route_submit(dh_route *route, dh_task *task);

void dh_route_set_dispatcher(dh_route *route);
uint8_t *dh_route_slot_memory(const dh_route *route, int node_rank, uint32_t slot);

#endif
