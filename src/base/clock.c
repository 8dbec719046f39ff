#include "base/clock.h"

#include "base/log.h"

dh_status dh_append_time(uint64_t time, dh_buffer *out)
{
    const time_t seconds = (time_t)(time / UINT64_C(1000000000));
    struct tm parts;
    char text[64] = "";
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        return dh_error(DH_INTERNAL, "a time cannot be written");
    }
    return dh_buffer_printf(out, "%s", text);
}

dh_status dh_append_duration(double seconds, dh_buffer *out)
{
    /* Clocks of two hosts may differ by a little; and what is too long for an integer is just long. */
    const double bounded = seconds < 0 ? 0.0 : (seconds > 1e15 ? 1e15 : seconds);
    const unsigned long long s = (unsigned long long)bounded;
    if (s < 60) {
        return dh_buffer_printf(out, "%llu s", s);
    }
    if (s < 3600) {
        return dh_buffer_printf(out, "%llu min %llu s", s / 60, s % 60);
    }
    if (s < 172800) {
        return dh_buffer_printf(out, "%llu h %llu min", s / 3600, s % 3600 / 60);
    }
    return dh_buffer_printf(out, "%llu d %llu h", s / 86400, s % 86400 / 3600);
}
