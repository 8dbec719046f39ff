#include "read/stream_decoder.h"

/* A plain file: its bytes go straight to the caller. */

static dh_status plain_create(const dh_decoder_options *options, void **state)
{
    (void)options;
    *state = NULL;
    return DH_OK;
}

static void plain_destroy(void *state)
{
    (void)state;
}

static dh_status plain_read(void *state, dh_input *input, uint8_t *out, size_t size, size_t *got,
                            dh_stream_report *report)
{
    (void)state;
    (void)report;
    DH_TRY(dh_input_read(input, out, size, got));
    return *got > 0 ? DH_OK : DH_END;
}

const dh_decoder dh_decoder_plain = {plain_create, plain_destroy, plain_read};
