#include "commands/figures.h"

#include <inttypes.h>
#include <stdio.h>

dh_status dh_append_count(dh_buffer *out, uint64_t count)
{
    char digits[32];
    const int size = snprintf(digits, sizeof digits, "%" PRIu64, count);
    for (int i = 0; i < size; i++) {
        DH_TRY(dh_buffer_printf(out, "%s%c", i > 0 && (size - i) % 3 == 0 ? "," : "", digits[i]));
    }
    return DH_OK;
}

dh_status dh_append_size(dh_buffer *out, double bytes)
{
    static const char *const unit[] = {"kB", "MB", "GB", "TB", "PB"};
    if (bytes < 1000) {
        return dh_buffer_printf(out, "%.0f B", bytes);
    }
    size_t u = 0;
    double scaled = bytes / 1000;
    while (scaled >= 999.95 && u + 1 < sizeof unit / sizeof unit[0]) {
        scaled /= 1000;
        u++;
    }
    return dh_buffer_printf(out, "%.1f %s", scaled, unit[u]);
}
