/* dhatu plan: how long programs waited for a processor that others had. A trial on a busy machine is worth as
 * much as one on an idle machine once that is known. */
#ifndef DH_COMMANDS_PLAN_WAIT_H
#define DH_COMMANDS_PLAN_WAIT_H

#include "base/buffer.h"

#include <sys/types.h>

/* Seconds that the first thread of a process waited so far; 0 where the system does not tell. */
double dh_waited_seconds(pid_t process);

/* The most of its children. */
double dh_waited_by_children(pid_t process);

/* What a process had waited at some times. A zeroed one is empty; its owner frees moments. */
typedef struct dh_wait_history {
    dh_buffer moments;
} dh_wait_history;

/* Errors: DH_NO_MEMORY (logged). */
dh_status dh_wait_note(dh_wait_history *history, double time, double waited);

/* Seconds waited from `seconds` before the last moment to the last moment. Between moments it grows evenly.
 */
double dh_wait_of_last(const dh_wait_history *history, double seconds);

/* dh_seconds less what the calling thread waited. */
double dh_working_seconds(void);

#endif
