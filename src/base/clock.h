/* dhatu: what time it is. */
#ifndef DH_BASE_CLOCK_H
#define DH_BASE_CLOCK_H

#include "base/buffer.h"

#include <stdint.h>
#include <time.h>

/* Monotonic time in seconds. */
static inline double dh_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Nanoseconds since 1970. */
static inline uint64_t dh_time_of_day(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* For messages: "2026-01-31 12:00:00 UTC" of ns since 1970; "54 s", "12 min 5 s", "3 h 20 min", "5 d 3 h". */
dh_status dh_append_time(uint64_t time, dh_buffer *out);
dh_status dh_append_duration(double seconds, dh_buffer *out);

#endif
