#include "text/scripts.h"

#include <stddef.h>

typedef struct code_point_range {
    uint32_t first, last;
} code_point_range;

/* Script property of Unicode 15.0 (Scripts.txt), ascending. Planes 2 and 3 are one range: Unicode keeps
 * them for Han, and what is not assigned there has no category that makes a token. */
static const code_point_range unspaced[] = {
    {0x0E01, 0x0E3A},   /* Thai */
    {0x0E40, 0x0E5B},   /* Thai */
    {0x0E81, 0x0E82},   /* Lao */
    {0x0E84, 0x0E84},   /* Lao */
    {0x0E86, 0x0E8A},   /* Lao */
    {0x0E8C, 0x0EA3},   /* Lao */
    {0x0EA5, 0x0EA5},   /* Lao */
    {0x0EA7, 0x0EBD},   /* Lao */
    {0x0EC0, 0x0EC4},   /* Lao */
    {0x0EC6, 0x0EC6},   /* Lao */
    {0x0EC8, 0x0ECE},   /* Lao */
    {0x0ED0, 0x0ED9},   /* Lao */
    {0x0EDC, 0x0EDF},   /* Lao */
    {0x1000, 0x109F},   /* Myanmar */
    {0x1780, 0x17DD},   /* Khmer */
    {0x17E0, 0x17E9},   /* Khmer */
    {0x17F0, 0x17F9},   /* Khmer */
    {0x19E0, 0x19FF},   /* Khmer */
    {0x2E80, 0x2E99},   /* Han */
    {0x2E9B, 0x2EF3},   /* Han */
    {0x2F00, 0x2FD5},   /* Han */
    {0x3005, 0x3005},   /* Han */
    {0x3007, 0x3007},   /* Han */
    {0x3021, 0x3029},   /* Han */
    {0x3038, 0x303B},   /* Han */
    {0x3041, 0x3096},   /* Hiragana */
    {0x309D, 0x309F},   /* Hiragana */
    {0x30A1, 0x30FA},   /* Katakana */
    {0x30FD, 0x30FF},   /* Katakana */
    {0x31F0, 0x31FF},   /* Katakana */
    {0x32D0, 0x32FE},   /* Katakana */
    {0x3300, 0x3357},   /* Katakana */
    {0x3400, 0x4DBF},   /* Han */
    {0x4E00, 0x9FFF},   /* Han */
    {0xA9E0, 0xA9FE},   /* Myanmar */
    {0xAA60, 0xAA7F},   /* Myanmar */
    {0xF900, 0xFA6D},   /* Han */
    {0xFA70, 0xFAD9},   /* Han */
    {0xFF66, 0xFF6F},   /* Katakana */
    {0xFF71, 0xFF9D},   /* Katakana */
    {0x16FE2, 0x16FE3}, /* Han */
    {0x16FF0, 0x16FF1}, /* Han */
    {0x1AFF0, 0x1AFF3}, /* Katakana */
    {0x1AFF5, 0x1AFFB}, /* Katakana */
    {0x1AFFD, 0x1AFFE}, /* Katakana */
    {0x1B000, 0x1B000}, /* Katakana */
    {0x1B001, 0x1B11F}, /* Hiragana */
    {0x1B120, 0x1B122}, /* Katakana */
    {0x1B132, 0x1B132}, /* Hiragana */
    {0x1B150, 0x1B152}, /* Hiragana */
    {0x1B155, 0x1B155}, /* Katakana */
    {0x1B164, 0x1B167}, /* Katakana */
    {0x1F200, 0x1F200}, /* Hiragana */
    {0x20000, 0x3FFFD}, /* Han */
};

bool dh_script_is_unspaced(uint32_t code_point)
{
    size_t low = 0;
    size_t high = sizeof unspaced / sizeof unspaced[0];
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (code_point > unspaced[middle].last) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sizeof unspaced / sizeof unspaced[0] && code_point >= unspaced[low].first;
}
