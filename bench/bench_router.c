/* How long a decision of the router takes, with 1, 16 and 128 places: microseconds, the median of several
 * rounds. The limit: a batch takes milliseconds, so 10 us are the most that may be spent on where it goes. */
#include "base/clock.h"
#include "route/router.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 15, DECISIONS = 20000, PLACES_MAX = 128, BYTES = 1 << 20 };

static int compare(const void *one, const void *other)
{
    const double a = *(const double *)one;
    const double b = *(const double *)other;
    return (a > b) - (a < b);
}

/* Places of different speed whose queues grow with what they get and are worked off. */
static double measure(uint32_t count)
{
    static dh_place_view place[PLACES_MAX];
    dh_router router = {.seconds_per_byte = 4e-9, .fill_seconds = 0.004};
    double now = 0;
    for (uint32_t p = 0; p < count; p++) {
        place[p] = (dh_place_view){.is_open = true,
                                   .is_device = p % 16 == 0,
                                   .seconds_per_byte = 1e-9 * (1 + p % 7),
                                   .way_seconds = 1e-4};
    }
    const double start = dh_seconds();
    for (int i = 0; i < DECISIONS; i++) {
        now += 1e-4;
        const int choice = dh_router_choose(&router, place, count, BYTES, (uint32_t)i % 4, now);
        const uint64_t bytes = dh_router_batch_bytes(place, count, BYTES);
        if (choice >= 0) {
            place[choice].queued_bytes += (double)bytes;
            place[choice].measured_at = now;
        }
        place[(uint32_t)i % count].queued_bytes = 0;
    }
    return (dh_seconds() - start) / DECISIONS;
}

int main(void)
{
    static const uint32_t counts[] = {1, 16, 128};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        double seconds[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            seconds[round] = measure(counts[c]);
        }
        qsort(seconds, ROUNDS, sizeof seconds[0], compare);
        printf("%3u places: %.3f us a decision, limit 10 us\n", counts[c], 1e6 * seconds[ROUNDS / 2]);
    }
    return 0;
}
