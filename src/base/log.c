#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_MAX = 4096 };

/* The only state of the process that is not passed along: who speaks, and how much. */
static struct {
    int rank;
    int rank_count;
    dh_log_level level;
    bool progress_shown; /* a redrawn line stands on the terminal and must be cleared first */
} speaker = {0, 1, DH_LOG_NORMAL, false};

void dh_log_set_rank(int rank, int rank_count)
{
    speaker.rank = rank;
    speaker.rank_count = rank_count;
}

void dh_log_set_level(dh_log_level level)
{
    speaker.level = level;
}

bool dh_log_is_interactive(void)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(STDERR_FILENO) == 1 && (no_color == NULL || no_color[0] == '\0');
}

static void emit(const char *prefix, const char *end, const char *format, va_list arguments)
{
    char message[MESSAGE_MAX];
    size_t used = 0;
    if (speaker.progress_shown) {
        memcpy(message, "\r\033[K", 4);
        used = 4;
        speaker.progress_shown = false;
    }
    int n = snprintf(message + used, sizeof message - used, "%s", prefix);
    used += n > 0 ? (size_t)n : 0;
    n = vsnprintf(message + used, sizeof message - used - 4, format, arguments);
    if (n > 0) {
        const size_t room = sizeof message - used - 5;
        used += (size_t)n < room ? (size_t)n : room;
    }
    const size_t end_size = strlen(end);
    memcpy(message + used, end, end_size);
    used += end_size;
    /* Nothing can be done when stderr itself fails. */
    const ssize_t written = write(STDERR_FILENO, message, used);
    (void)written;
}

static void emit_for_rank(const char *kind, const char *color, const char *format, va_list arguments)
{
    const bool colored = dh_log_is_interactive();
    char rank[32] = "";
    if (speaker.rank_count > 1) {
        (void)snprintf(rank, sizeof rank, "[rank %d] ", speaker.rank);
    }
    char prefix[96];
    (void)snprintf(prefix, sizeof prefix, "dhatu: %s%s%s: %s", colored ? color : "", kind,
                   colored ? "\033[0m" : "", rank);
    emit(prefix, "\n", format, arguments);
}

void dh_log_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    emit_for_rank("error", "\033[31m", format, arguments);
    va_end(arguments);
}

void dh_warning(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    emit_for_rank("warning", "\033[33m", format, arguments);
    va_end(arguments);
}

void dh_say(const char *format, ...)
{
    if (speaker.rank != 0 || speaker.level < DH_LOG_NORMAL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    emit("", "\n", format, arguments);
    va_end(arguments);
}

void dh_say_verbose(const char *format, ...)
{
    if (speaker.rank != 0 || speaker.level < DH_LOG_VERBOSE) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    emit("", "\n", format, arguments);
    va_end(arguments);
}

void dh_say_progress(const char *format, ...)
{
    if (speaker.rank != 0 || speaker.level < DH_LOG_NORMAL) {
        return;
    }
    const bool redraw = dh_log_is_interactive();
    va_list arguments;
    va_start(arguments, format);
    emit(redraw ? "\r\033[K" : "", redraw ? "" : "\n", format, arguments);
    va_end(arguments);
    speaker.progress_shown = redraw;
}
