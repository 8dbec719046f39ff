/* dhatu: messages to people, on stderr.
 *
 * Two kinds of calls: dh_say_* speaks once for the whole run (only the root rank prints), dh_error and
 * dh_warning speak for the rank that calls them and name it when there are several. Every message is
 * written by one write(2), so that messages of several ranks do not mix. */
#ifndef DH_BASE_LOG_H
#define DH_BASE_LOG_H

#include "base/status.h"

#include <stdbool.h>

typedef enum dh_log_level {
    DH_LOG_QUIET = 0,  /* errors and warnings only */
    DH_LOG_NORMAL = 1, /* and what a person wants to know of a run */
    DH_LOG_VERBOSE = 2 /* and details */
} dh_log_level;

/* Says who speaks. rank_count > 1 puts "[rank R]" before messages of dh_error and dh_warning. */
void dh_log_set_rank(int rank, int rank_count);
void dh_log_set_level(dh_log_level level);

/* True when stderr is a terminal and NO_COLOR is not set: colours and redrawn lines are welcome. */
bool dh_log_is_interactive(void);

/* Prints "dhatu: error: ...". */
void dh_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints an error and is its status, so that a failing call can end in one line:
 *     return dh_error(DH_IO, "%s: cannot open: %s", path, strerror(errno));
 * A macro, so that compilers and analysers see which status it is. */
#define dh_error(status, ...) (dh_log_error(__VA_ARGS__), (status))

/* Prints "dhatu: warning: ...". */
void dh_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line on the root rank, at DH_LOG_NORMAL and above. */
void dh_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line on the root rank, at DH_LOG_VERBOSE. */
void dh_say_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Replaces the progress line of the root rank (terminal), or prints a line of its own (no terminal). */
void dh_say_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
