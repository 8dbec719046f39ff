/* Which texts of a batch are hashed together. */
#include "kernels/sha256_engine.h"

#if DH_SHA256_X86

#include <string.h>

uint64_t dh_sha256_window_size(const dh_sha256_window *window, uint32_t place)
{
    uint32_t d = window->order[place];
    return dh_sha256_text_size(window->offset + d, window->cut);
}

/* Orders the documents by size >> 3: a radix sort by 8 bits, that skips what all have in common. Texts
 * of 32 GiB and more may come out of order, which costs time only. */
void dh_sha256_window_order(dh_sha256_window *window)
{
    uint32_t key[DH_SHA256_WINDOW], order[DH_SHA256_WINDOW], any = 0;
    uint32_t *from = window->order, *to = order;
    for (uint32_t d = 0; d < window->count; d++) {
        uint64_t size = dh_sha256_text_size(window->offset + d, window->cut) >> 3;
        key[d] = ~(uint32_t)(size < UINT32_MAX ? size : UINT32_MAX);
        any |= key[d] ^ key[0];
        window->order[d] = d;
    }
    for (uint32_t shift = 0; shift < 32; shift += 8) {
        uint32_t place[256] = {0}, sum = 0;
        if ((any >> shift & 0xFF) == 0) {
            continue;
        }
        for (uint32_t d = 0; d < window->count; d++) {
            place[key[d] >> shift & 0xFF]++;
        }
        for (uint32_t v = 0; v < 256; v++) {
            uint32_t here = place[v];
            place[v] = sum;
            sum += here;
        }
        for (uint32_t d = 0; d < window->count; d++) {
            to[place[key[from[d]] >> shift & 0xFF]++] = from[d];
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != window->order) {
        memcpy(window->order, from, window->count * sizeof from[0]);
    }
}

uint32_t dh_sha256_window_singles(const dh_sha256_window *window, uint32_t place, uint32_t lanes,
                                  uint64_t set_cost)
{
    uint32_t left = window->count - place;
    uint64_t best_cost = UINT64_MAX, singles_cost = 0;
    uint32_t best = 0;
    for (uint32_t k = 0; k <= lanes && k <= left; k++) {
        uint64_t blocks = k < left ? dh_sha256_window_size(window, place + k) / 64 + 1 : 0;
        uint64_t cost = singles_cost + set_cost * blocks;
        if (cost < best_cost) {
            best_cost = cost;
            best = k;
        }
        singles_cost += DH_SHA256_COST_UNIT * blocks;
    }
    return best;
}

#endif
