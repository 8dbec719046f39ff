/* Raw deflate by ISA-L: fast, and lenient: it takes incomplete codes, for example. */
#include "read/stream_decoder.h"

#include "dhatu_config.h"

#if DHATU_HAVE_ISAL

#include "base/buffer.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <limits.h>
#include <stdlib.h>

static dh_status isal_create(void **state)
{
    DH_TRY(dh_allocate(1, sizeof(struct inflate_state), "ISA-L", state));
    isal_inflate_init(*state);
    return DH_OK;
}

static void isal_destroy(void *state)
{
    free(state);
}

static void isal_reset_state(void *state)
{
    isal_inflate_reset(state);
}

static dh_inflate_outcome isal_run(void *memory, dh_input *input, uint8_t *out, size_t size, size_t *got)
{
    struct inflate_state *state = memory;
    state->next_in = input->at;
    state->avail_in = (uint32_t)input->left;
    const uint32_t room = size < INT_MAX ? (uint32_t)size : INT_MAX;
    state->next_out = out;
    state->avail_out = room;
    const int code = isal_inflate(state);
    const ptrdiff_t taken = state->next_in - input->at;
    dh_input_take(input, taken);
    *got = room - state->avail_out;
    if (code < ISAL_DECOMP_OK) {
        return DH_INFLATE_INVALID;
    }
    if (state->block_state == ISAL_BLOCK_FINISH) {
        /* Whole bytes that it took ahead and did not use are behind the deflate data: at most 8. They may be
         * of an earlier piece of input, which is what the input's history is for. */
        dh_input_take(input, -(ptrdiff_t)(state->read_in_length / 8));
        state->read_in_length = 0;
        return DH_INFLATE_FINISHED;
    }
    /* It never stands still with input and room: should it, that is no reason to wait for ever. */
    const bool stuck = *got == 0 && taken == 0 && input->left > 0;
    return stuck ? DH_INFLATE_INVALID : DH_INFLATE_GOING_ON;
}

static uint32_t isal_crc(uint32_t crc, const uint8_t *bytes, size_t size)
{
    return crc32_gzip_refl(crc, bytes, size);
}

const dh_inflate dh_inflate_isal = {
    .name = "isal",
    .is_lenient = true,
    .create = isal_create,
    .destroy = isal_destroy,
    .reset = isal_reset_state,
    .run = isal_run,
    .crc = isal_crc,
};

#endif
