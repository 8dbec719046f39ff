/* The S-curve of the bands, with one ladder of multiplications: the same bits everywhere. */
#include "base/log.h"
#include "reduce/neardup.h"

static double power(double base, uint32_t exponent)
{
    double result = 1.0;
    for (uint32_t i = 0; i < exponent; i++) {
        result *= base;
    }
    return result;
}

double dh_neardup_chance(double similarity, uint32_t bands, uint32_t rows)
{
    return 1.0 - power(1.0 - power(similarity, rows), bands);
}

void dh_neardup_say_curve(const dh_job_options *options)
{
    const uint32_t bands = options->bands;
    const uint32_t rows = options->band_rows;
    dh_say("neardup: %u bands of %u rows; chance that a pair is compared, by its similarity: 0.5 %.3f, "
           "0.6 %.3f, 0.7 %.3f, 0.75 %.3f, 0.8 %.3f, 0.85 %.3f, 0.9 %.3f, 0.95 %.4f; kept from %.3g on",
           bands, rows, dh_neardup_chance(0.5, bands, rows), dh_neardup_chance(0.6, bands, rows),
           dh_neardup_chance(0.7, bands, rows), dh_neardup_chance(0.75, bands, rows),
           dh_neardup_chance(0.8, bands, rows), dh_neardup_chance(0.85, bands, rows),
           dh_neardup_chance(0.9, bands, rows), dh_neardup_chance(0.95, bands, rows), options->threshold);
}
