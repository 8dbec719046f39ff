/* zstd (RFC 8878): frames and skippable frames, one after the other. */
#include "read/stream_decoder.h"

#include "base/buffer.h"
#include "base/log.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    MAGIC_SIZE = 4,
    SKIPPABLE_HEADER_SIZE = 8,
    FRAME_HEAD_SIZE = 5, /* the magic number and the byte that describes the frame */
    FLAG_CHECKSUM = 0x04,
    BLOCK_HEADER_SIZE = 3
};

typedef struct zstd_state {
    ZSTD_DStream *stream;
    bool in_frame;
    bool has_output;  /* decoded bytes wait inside the library */
    size_t wanted;    /* bytes of input that the library wants next */
    uint64_t to_skip; /* of a skippable frame */
} zstd_state;

static void zstd_destroy(void *memory)
{
    zstd_state *zstd = memory;
    if (zstd != NULL) {
        (void)ZSTD_freeDStream(zstd->stream);
        free(zstd);
    }
}

static dh_status zstd_create(const dh_decoder_options *options, void **state)
{
    void *memory;
    DH_TRY(dh_allocate(1, sizeof(zstd_state), "a zstd decoder", &memory));
    zstd_state *zstd = memory;
    zstd->stream = ZSTD_createDStream();
    if (zstd->stream == NULL) {
        zstd_destroy(zstd);
        return dh_error(DH_NO_MEMORY, "out of memory for a zstd decoder");
    }
    const ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);
    int log = bounds.lowerBound;
    while (log < bounds.upperBound && (UINT64_C(1) << (log + 1)) <= options->limits.zstd_window_max) {
        log++;
    }
    const size_t code = ZSTD_DCtx_setParameter(zstd->stream, ZSTD_d_windowLogMax, log);
    if (ZSTD_isError(code)) {
        zstd_destroy(zstd);
        return dh_error(DH_INTERNAL, "zstd refuses a window of 2^%d: %s", log, ZSTD_getErrorName(code));
    }
    *state = zstd;
    return DH_OK;
}

/* Reads to the data of the next frame or skippable frame. DH_END: there is none, see the report. */
static dh_status frame_begin(zstd_state *zstd, dh_input *input, dh_stream_report *report)
{
    dh_boundary boundary;
    DH_TRY(dh_input_boundary(input, DH_COMPRESSION_ZSTD, &boundary));
    if (boundary == DH_BOUNDARY_END) {
        return DH_END;
    }
    if (boundary == DH_BOUNDARY_GARBAGE) {
        dh_report_damage(report, DH_STREAM_TRAILING_GARBAGE);
        return DH_END;
    }
    DH_TRY(dh_input_need(input, SKIPPABLE_HEADER_SIZE));
    const bool is_skippable = boundary == DH_BOUNDARY_MEMBER && (input->at[0] & 0xF0) == 0x50;
    if (input->left < (is_skippable ? SKIPPABLE_HEADER_SIZE : FRAME_HEAD_SIZE)) {
        dh_report_damage(report, DH_STREAM_TRUNCATED);
        return DH_END;
    }
    if (is_skippable) {
        const uint8_t *size = input->at + MAGIC_SIZE;
        zstd->to_skip = size[0] | (uint64_t)size[1] << 8 | (uint64_t)size[2] << 16 | (uint64_t)size[3] << 24;
        dh_input_take(input, SKIPPABLE_HEADER_SIZE);
        return DH_OK;
    }
    if ((input->at[MAGIC_SIZE] & FLAG_CHECKSUM) == 0) {
        report->unchecked = true;
    }
    (void)ZSTD_DCtx_reset(zstd->stream, ZSTD_reset_session_only);
    zstd->in_frame = true;
    zstd->has_output = false;
    /* The library decodes a frame that it sees as a whole in one go, and on damage gives none of its bytes.
     * A first piece as small as this keeps it from doing so. */
    zstd->wanted = FRAME_HEAD_SIZE;
    return DH_OK;
}

static dh_status frame_skip(zstd_state *zstd, dh_input *input, dh_stream_report *report)
{
    DH_TRY(dh_input_need(input, 1));
    if (input->left == 0) {
        dh_report_damage(report, DH_STREAM_TRUNCATED);
        return DH_END;
    }
    const size_t count = zstd->to_skip < input->left ? (size_t)zstd->to_skip : input->left;
    dh_input_take(input, (ptrdiff_t)count);
    zstd->to_skip -= count;
    return DH_OK;
}

/* What an error of the library means. DH_OK: the next frame can be read. DH_END: none can. */
static dh_status frame_failed(zstd_state *zstd, size_t code, dh_stream_report *report)
{
    zstd->in_frame = false;
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return dh_error(DH_NO_MEMORY, "out of memory for the window of zstd");
    case ZSTD_error_frameParameter_windowTooLarge:
        dh_report_damage(report, DH_STREAM_WINDOW);
        return DH_END;
    case ZSTD_error_checksum_wrong: /* it is the last thing of a frame */
        dh_report_damage(report, DH_STREAM_CHECKSUM);
        return DH_OK;
    case ZSTD_error_dictionary_wrong:
        dh_report_damage(report, DH_STREAM_UNSUPPORTED);
        return DH_END;
    default:
        dh_report_damage(report, DH_STREAM_CORRUPT);
        return DH_END;
    }
}

/* Gives the library its next piece. On an error it says nothing of what it wrote in the same call. So a
 * piece is at most one block or one header, and is given only when nothing waits to be written. */
static dh_status frame_read(zstd_state *zstd, dh_input *input, uint8_t *out, size_t size, size_t *got,
                            dh_stream_report *report)
{
    size_t piece = 0;
    if (!zstd->has_output) {
        DH_TRY(dh_input_need(input, 1));
        if (input->left == 0) {
            dh_report_damage(report, DH_STREAM_TRUNCATED);
            return DH_END;
        }
        piece = zstd->wanted < input->left ? zstd->wanted : input->left;
    }
    ZSTD_inBuffer from = {input->at, piece, 0};
    ZSTD_outBuffer to = {.size = size};
    to.dst = out;
    const size_t code = ZSTD_decompressStream(zstd->stream, &to, &from);
    if (ZSTD_isError(code)) {
        dh_input_take(input, (ptrdiff_t)piece);
        return frame_failed(zstd, code, report);
    }
    dh_input_take(input, (ptrdiff_t)from.pos);
    *got = to.pos;
    zstd->has_output = to.pos == size || from.pos < piece;
    zstd->in_frame = code != 0;
    /* The library also wants the header of the following block; that would be two things at once. */
    zstd->wanted = code > BLOCK_HEADER_SIZE ? code - BLOCK_HEADER_SIZE : code;
    return DH_OK;
}

static dh_status zstd_read(void *state, dh_input *input, uint8_t *out, size_t size, size_t *got,
                           dh_stream_report *report)
{
    zstd_state *zstd = state;
    *got = 0;
    while (*got == 0) {
        if (zstd->in_frame) {
            DH_TRY(frame_read(zstd, input, out, size, got, report));
        } else if (zstd->to_skip > 0) {
            DH_TRY(frame_skip(zstd, input, report));
        } else {
            DH_TRY(frame_begin(zstd, input, report));
        }
    }
    return DH_OK;
}

const dh_decoder dh_decoder_zstd = {zstd_create, zstd_destroy, zstd_read};
