/* bzip2: streams one after the other, as pbzip2 writes them. */
#include "read/stream_decoder.h"

#include "dhatu_config.h"

#if DHATU_HAVE_BZIP2

#include "base/buffer.h"
#include "base/log.h"

#include <bzlib.h>
#include <stdlib.h>
#include <string.h>

/* In an invalid block the library may forget what it wrote in the same call. So that what comes out does not
 * depend on the sizes of the reads, it always writes to a buffer of this size. */
enum { MADE_SIZE = 32 << 10 };

typedef struct bzip2_state {
    bz_stream stream;
    bool in_stream;
    bool failed;
    size_t made_size, made_given;
    uint8_t made[MADE_SIZE];
} bzip2_state;

static void bzip2_destroy(void *memory)
{
    bzip2_state *bzip2 = memory;
    if (bzip2 != NULL) {
        if (bzip2->in_stream) {
            (void)BZ2_bzDecompressEnd(&bzip2->stream);
        }
        free(bzip2);
    }
}

static dh_status bzip2_create(const dh_decoder_options *options, void **state)
{
    (void)options;
    return dh_allocate(1, sizeof(bzip2_state), "a bzip2 decoder", state);
}

/* DH_END: no stream follows, see the report. */
static dh_status stream_begin(bzip2_state *bzip2, dh_input *input, dh_stream_report *report)
{
    dh_boundary boundary;
    DH_TRY(dh_input_boundary(input, DH_COMPRESSION_BZIP2, &boundary));
    if (boundary == DH_BOUNDARY_GARBAGE) {
        dh_report_damage(report, DH_STREAM_TRAILING_GARBAGE);
    } else if (boundary == DH_BOUNDARY_TRUNCATED) {
        dh_report_damage(report, DH_STREAM_TRUNCATED);
    }
    if (boundary != DH_BOUNDARY_MEMBER) {
        return DH_END;
    }
    bzip2->stream = (bz_stream){0};
    const int code = BZ2_bzDecompressInit(&bzip2->stream, 0, 0);
    if (code != BZ_OK) {
        return code == BZ_MEM_ERROR ? dh_error(DH_NO_MEMORY, "out of memory for bzip2")
                                    : dh_error(DH_INTERNAL, "bzip2 refuses to begin: %d", code);
    }
    bzip2->in_stream = true;
    return DH_OK;
}

/* Fills the empty buffer as far as it goes. */
static dh_status stream_decode(bzip2_state *bzip2, dh_input *input, dh_stream_report *report)
{
    DH_TRY(dh_input_need(input, 1));
    const bool no_more_input = input->left == 0;
    bz_stream *stream = &bzip2->stream;
    stream->next_in = (char *)input->at;
    stream->avail_in = (unsigned)input->left;
    stream->next_out = (char *)bzip2->made;
    stream->avail_out = MADE_SIZE;
    const int code = BZ2_bzDecompress(stream);
    dh_input_take(input, (ptrdiff_t)(input->left - stream->avail_in));
    bzip2->made_size = MADE_SIZE - stream->avail_out;
    bzip2->made_given = 0;
    switch (code) {
    case BZ_OK:
        if (bzip2->made_size == 0 && no_more_input) {
            dh_report_damage(report, DH_STREAM_TRUNCATED);
            return DH_END;
        }
        return DH_OK;
    case BZ_STREAM_END:
        (void)BZ2_bzDecompressEnd(stream);
        bzip2->in_stream = false;
        return DH_OK;
    case BZ_MEM_ERROR:
        return dh_error(DH_NO_MEMORY, "out of memory for a block of bzip2");
    default: /* also a wrong checksum: the library does not tell them apart */
        dh_report_damage(report, DH_STREAM_CORRUPT);
        bzip2->failed = true;
        return DH_OK;
    }
}

static dh_status bzip2_read(void *state, dh_input *input, uint8_t *out, size_t size, size_t *got,
                            dh_stream_report *report)
{
    bzip2_state *bzip2 = state;
    *got = 0;
    while (bzip2->made_given == bzip2->made_size) {
        if (bzip2->failed) {
            return DH_END;
        }
        if (bzip2->in_stream) {
            DH_TRY(stream_decode(bzip2, input, report));
        } else {
            DH_TRY(stream_begin(bzip2, input, report));
        }
    }
    const size_t held = bzip2->made_size - bzip2->made_given;
    *got = held < size ? held : size;
    memcpy(out, bzip2->made + bzip2->made_given, *got);
    bzip2->made_given += *got;
    return DH_OK;
}

const dh_decoder dh_decoder_bzip2 = {bzip2_create, bzip2_destroy, bzip2_read};

#else

const dh_decoder dh_decoder_bzip2 = {NULL, NULL, NULL};

#endif
