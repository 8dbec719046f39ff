/* Raw deflate by zlib: always there, and strict. */
#include "read/stream_decoder.h"

#include "base/buffer.h"
#include "base/log.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

static dh_status zlib_create(void **state)
{
    void *memory;
    DH_TRY(dh_allocate(1, sizeof(z_stream), "zlib", &memory));
    z_stream *stream = memory;
    const int code = inflateInit2(stream, -MAX_WBITS); /* negative: no container */
    if (code != Z_OK) {
        free(stream);
        return code == Z_MEM_ERROR ? dh_error(DH_NO_MEMORY, "out of memory for zlib")
                                   : dh_error(DH_INTERNAL, "zlib refuses to begin: %d", code);
    }
    *state = stream;
    return DH_OK;
}

static void zlib_destroy(void *state)
{
    (void)inflateEnd(state);
    free(state);
}

static void zlib_reset(void *state)
{
    (void)inflateReset(state); /* fails only on a stream that was never begun */
}

static dh_inflate_outcome zlib_run(void *state, dh_input *input, uint8_t *out, size_t size, size_t *got)
{
    z_stream *stream = state;
    stream->next_in = input->at;
    stream->avail_in = (uInt)input->left;
    const uInt room = size < UINT_MAX ? (uInt)size : UINT_MAX;
    stream->next_out = out;
    stream->avail_out = room;
    const int code = inflate(stream, Z_NO_FLUSH);
    dh_input_take(input, stream->next_in - input->at);
    *got = room - stream->avail_out;
    switch (code) {
    case Z_OK:
    case Z_BUF_ERROR: /* no progress: there was no input */
        return DH_INFLATE_GOING_ON;
    case Z_STREAM_END:
        return DH_INFLATE_FINISHED;
    case Z_MEM_ERROR:
        (void)dh_error(DH_NO_MEMORY, "out of memory for the window of zlib");
        return DH_INFLATE_NO_MEMORY;
    default:
        return DH_INFLATE_INVALID;
    }
}

static uint32_t zlib_crc(uint32_t crc, const uint8_t *bytes, size_t size)
{
    return (uint32_t)crc32_z(crc, bytes, size);
}

const dh_inflate dh_inflate_zlib = {
    .name = "zlib",
    .is_lenient = false,
    .create = zlib_create,
    .destroy = zlib_destroy,
    .reset = zlib_reset,
    .run = zlib_run,
    .crc = zlib_crc,
};
