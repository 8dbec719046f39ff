/* dhatu: faults on purpose. Off unless DHATU_FAULT asks for them (docs/operations.md has the grammar): then
 * the Nth call of a kind fails with an error, is cut short, comes late, or kills or stops the process. Every
 * call that may fail for reasons outside the program asks here first; where nothing is asked for, that is one
 * predicted branch. */
#ifndef DH_BASE_FAULT_H
#define DH_BASE_FAULT_H

#include "base/status.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

typedef enum dh_fault_call {
    DH_CALL_OPEN = 0, /* also creates */
    DH_CALL_READ,
    DH_CALL_WRITE,
    DH_CALL_SYNC,
    DH_CALL_CLOSE, /* of a file that was written to; the descriptor is closed, whatever is asked for */
    DH_CALL_RENAME,
    DH_CALL_LINK,
    DH_CALL_REMOVE,
    DH_CALL_RESERVE, /* fallocate */
    DH_CALL_FOLDER,  /* mkdir, rmdir, opendir */
    DH_CALL_STAT,
    DH_CALL_ALLOCATE,
    DH_CALL_DEVICE, /* of an accelerator: "open", "batch" */
    DH_CALL_PLACE,  /* no call: a named place in the run (dh_fault_place) */
    DH_CALL_COUNT
} dh_fault_call;

/* What dh_fault says besides 0 and an errno: the call is to transfer only part of its bytes. Only reads and
 * writes are told so. */
enum { DH_FAULT_SHORT = -1 };

extern bool dh_fault_armed;

/* Reads DHATU_FAULT; says so with a warning where it asks this rank for something. Without the variable
 * nothing is armed. Errors: DH_USAGE (logged: what of it is wrong). */
dh_status dh_fault_arm(int rank);

/* At the end of the process: writes how often each kind of call was made, where DHATU_FAULT asks for that,
 * and disarms. Errors: DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_fault_report(void);

/* Is behind dh_fault. Counts the call and decides. Does not return when the process is to be killed. */
int dh_fault_decide(dh_fault_call call, const char *subject);

/* 0: go on. > 0: fail with this errno. DH_FAULT_SHORT. subject: the path, or what is allocated. */
static inline int dh_fault(dh_fault_call call, const char *subject)
{
    return __builtin_expect(dh_fault_armed, 0) ? dh_fault_decide(call, subject) : 0;
}

/* Begins a call. False: it is to fail with errno, which is set. */
static inline bool dh_fault_passes(dh_fault_call call, const char *subject)
{
    const int fault = dh_fault(call, subject);
    if (fault > 0) {
        errno = fault;
    }
    return fault <= 0;
}

/* The same for a call that moves bytes; *size becomes what it is to move. */
static inline bool dh_fault_lets_move(dh_fault_call call, const char *subject, size_t *size)
{
    const int fault = dh_fault(call, subject);
    if (fault > 0) {
        errno = fault;
        return false;
    }
    if (fault == DH_FAULT_SHORT) {
        *size = (*size + 1) / 2;
    }
    return true;
}

/* Makes a call that returns -1 with errno, again while a signal interrupts it: on some network and user space
 * file systems that happens to all of them. */
#define DH_CALL(kind, subject, call)                                                                         \
    ((int)TEMP_FAILURE_RETRY(dh_fault_passes(DH_CALL_##kind, subject) ? (call) : -1))

/* A named place of the run ("map-done", "publish"): for faults that kill exactly there. */
static inline void dh_fault_place(const char *name)
{
    (void)dh_fault(DH_CALL_PLACE, name);
}

#endif
