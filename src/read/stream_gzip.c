/* The container of gzip (RFC 1952): members one after the other, each with a header, deflate data and a
 * trailer with the CRC and the length. Containers are read here for both inflating libraries, so that they
 * cannot differ in what they make of a damaged one. */
#include "read/stream_decoder.h"

#include "base/buffer.h"
#include "dhatu_config.h"

#include <stdlib.h>

enum {
    FLAG_HEADER_CRC = 0x02,
    FLAG_EXTRA = 0x04,
    FLAG_NAME = 0x08,
    FLAG_COMMENT = 0x10,
    FLAGS_RESERVED = 0xE0
};

enum { TRAILER_SIZE = 8, SCRATCH_SIZE = 64 << 10 };

typedef enum gzip_phase { PHASE_BOUNDARY, PHASE_DATA, PHASE_TRAILER } gzip_phase;

/* A lenient inflater may read on where another sees that the data is invalid, or leave out the last bytes
 * before a cut. So that what comes out of a damaged file does not depend on how dhatu was built, a member in
 * which anything is wrong is read again by the strict inflater (zlib), which has the last word. What this
 * call has put into the caller's buffer is taken back; what earlier calls handed out is skipped. */
typedef struct gzip_state {
    gzip_phase phase;
    const dh_inflate *inflate; /* the one in use for this member */
    void *inflate_state;
    const dh_inflate *preferred, *strict; /* may be the same */
    void *preferred_state, *strict_state; /* the strict one is created when it is needed */
    uint64_t data_position;               /* of the member's deflate data in the file */
    uint32_t crc;                         /* of the member's bytes so far */
    uint64_t size;
    uint32_t given_crc; /* the same of those that earlier calls handed out */
    uint64_t given_size;
    uint64_t skip;         /* bytes still to be skipped, */
    uint32_t skipped_crc;  /* the CRC that they had when they were handed out, */
    uint8_t *skip_scratch; /* and a place for them */
    bool skipped_differ;
} gzip_state;

static void gzip_destroy(void *memory)
{
    gzip_state *gzip = memory;
    if (gzip == NULL) {
        return;
    }
    if (gzip->preferred_state != NULL) {
        gzip->preferred->destroy(gzip->preferred_state);
    }
    if (gzip->strict_state != NULL && gzip->strict_state != gzip->preferred_state) {
        gzip->strict->destroy(gzip->strict_state);
    }
    free(gzip->skip_scratch);
    free(gzip);
}

static dh_status gzip_create(const dh_decoder_options *options, void **state)
{
    void *memory;
    DH_TRY(dh_allocate(1, sizeof(gzip_state), "a gzip decoder", &memory));
    gzip_state *gzip = memory;
    gzip->strict = &dh_inflate_zlib;
#if DHATU_HAVE_ISAL
    gzip->preferred = &dh_inflate_isal;
#else
    gzip->preferred = &dh_inflate_zlib;
#endif
    if (options->inflate != NULL) {
        gzip->preferred = options->inflate;
    }
    const dh_status status = gzip->preferred->create(&gzip->preferred_state);
    if (status != DH_OK) {
        gzip_destroy(gzip);
        return status;
    }
    if (gzip->preferred == gzip->strict) {
        gzip->strict_state = gzip->preferred_state;
    }
    *state = gzip;
    return DH_OK;
}

/* ---- the header ------------------------------------------------------------------------------------- */

/* Takes `count` bytes of the header, or all up to a zero byte when count is 0. DH_END: the file ends before.
 */
static dh_status header_skip(gzip_state *gzip, dh_input *input, size_t count)
{
    const bool to_zero = count == 0;
    for (size_t taken = 0; to_zero || taken < count; taken++) {
        DH_TRY(dh_input_need(input, 1));
        if (input->left == 0) {
            return DH_END;
        }
        const uint8_t byte = *input->at;
        gzip->crc = dh_inflate_zlib.crc(gzip->crc, &byte, 1);
        dh_input_take(input, 1);
        if (to_zero && byte == 0) {
            break;
        }
    }
    return DH_OK;
}

static dh_status header_read_16(gzip_state *gzip, dh_input *input, uint16_t *out)
{
    DH_TRY(dh_input_need(input, 2));
    if (input->left < 2) {
        return DH_END;
    }
    *out = (uint16_t)(input->at[0] | input->at[1] << 8);
    return header_skip(gzip, input, 2);
}

/* Reads a header from its first byte. DH_END: nothing can be read from here, see the report. */
static dh_status header_read(gzip_state *gzip, dh_input *input, dh_stream_report *report)
{
    DH_TRY(dh_input_need(input, 10));
    if (input->left < 10) {
        return DH_END;
    }
    const uint8_t flags = input->at[3];
    if ((flags & FLAGS_RESERVED) != 0) {
        dh_report_damage(report, DH_STREAM_CORRUPT);
        return DH_END;
    }
    gzip->crc = 0;
    DH_TRY(header_skip(gzip, input, 10));
    if ((flags & FLAG_EXTRA) != 0) {
        uint16_t size;
        DH_TRY(header_read_16(gzip, input, &size));
        if (size > 0) {
            DH_TRY(header_skip(gzip, input, size));
        }
    }
    if ((flags & FLAG_NAME) != 0) {
        DH_TRY(header_skip(gzip, input, 0));
    }
    if ((flags & FLAG_COMMENT) != 0) {
        DH_TRY(header_skip(gzip, input, 0));
    }
    if ((flags & FLAG_HEADER_CRC) != 0) {
        const uint16_t computed = (uint16_t)gzip->crc;
        uint16_t stored;
        DH_TRY(header_read_16(gzip, input, &stored));
        if (stored != computed) {
            dh_report_damage(report, DH_STREAM_CHECKSUM);
        }
    }
    return DH_OK;
}

/* ---- the deflate data ------------------------------------------------------------------------------- */

static void member_begin(gzip_state *gzip, const dh_inflate *inflate, void *inflate_state)
{
    gzip->inflate = inflate;
    gzip->inflate_state = inflate_state;
    inflate->reset(inflate_state);
    gzip->crc = gzip->given_crc = 0;
    gzip->size = gzip->given_size = 0;
    gzip->phase = PHASE_DATA;
}

/* Reads the member again from its beginning, by the strict inflater. */
static dh_status member_begin_again(gzip_state *gzip, dh_input *input, size_t *got)
{
    if (gzip->strict_state == NULL) {
        DH_TRY(gzip->strict->create(&gzip->strict_state));
    }
    *got -= (size_t)(gzip->size - gzip->given_size);
    gzip->skip = gzip->given_size;
    gzip->skipped_crc = gzip->given_crc;
    if (gzip->skip > 0 && gzip->skip_scratch == NULL) {
        void *memory;
        DH_TRY(dh_allocate(SCRATCH_SIZE, 1, "bytes to skip", &memory));
        gzip->skip_scratch = memory;
    }
    dh_input_seek(input, gzip->data_position);
    member_begin(gzip, gzip->strict, gzip->strict_state);
    return DH_OK;
}

/* Something is wrong in this member. DH_OK: read on. DH_END: no more can be read. */
static dh_status member_damaged(gzip_state *gzip, dh_input *input, size_t *got, dh_stream_report *report,
                                dh_stream_damage damage)
{
    if (gzip->inflate->is_lenient) {
        return member_begin_again(gzip, input, got);
    }
    dh_report_damage(report, damage);
    return DH_END;
}

static dh_status boundary_cross(gzip_state *gzip, dh_input *input, dh_stream_report *report)
{
    static const dh_stream_damage damage[DH_BOUNDARY_COUNT] = {
        [DH_BOUNDARY_END] = DH_STREAM_INTACT,
        [DH_BOUNDARY_GARBAGE] = DH_STREAM_TRAILING_GARBAGE,
        [DH_BOUNDARY_TRUNCATED] = DH_STREAM_TRUNCATED,
    };
    dh_boundary boundary;
    DH_TRY(dh_input_boundary(input, DH_COMPRESSION_GZIP, &boundary));
    if (boundary != DH_BOUNDARY_MEMBER) {
        dh_report_damage(report, damage[boundary]);
        return DH_END;
    }
    const dh_status status = header_read(gzip, input, report);
    if (status == DH_END) {
        dh_report_damage(report, DH_STREAM_TRUNCATED); /* unless it said already what is wrong */
    }
    DH_TRY(status);
    gzip->data_position = dh_input_position(input);
    gzip->skip = 0;
    gzip->skipped_differ = false;
    member_begin(gzip, gzip->preferred, gzip->preferred_state);
    return DH_OK;
}

/* Decodes a piece into out + *got, or into the scratch while bytes are skipped. */
static dh_status data_read(gzip_state *gzip, dh_input *input, uint8_t *out, size_t size, size_t *got,
                           dh_stream_report *report)
{
    DH_TRY(dh_input_need(input, 1));
    const bool skipping = gzip->skip > 0;
    uint8_t *to = out + *got;
    size_t room = size - *got;
    if (skipping) {
        to = gzip->skip_scratch;
        room = gzip->skip < SCRATCH_SIZE ? (size_t)gzip->skip : SCRATCH_SIZE;
    }
    const bool no_more_input = input->left == 0;
    size_t made = 0;
    const dh_inflate_outcome outcome = gzip->inflate->run(gzip->inflate_state, input, to, room, &made);
    if (outcome == DH_INFLATE_NO_MEMORY) {
        return DH_NO_MEMORY;
    }
    if (outcome == DH_INFLATE_INVALID && (gzip->inflate->is_lenient || made == 0)) {
        return member_damaged(gzip, input, got, report, DH_STREAM_CORRUPT);
    }
    if (outcome == DH_INFLATE_GOING_ON && made == 0 && no_more_input) {
        return member_damaged(gzip, input, got, report, DH_STREAM_TRUNCATED);
    }
    gzip->crc = gzip->inflate->crc(gzip->crc, to, made);
    gzip->size += made;
    if (skipping) {
        gzip->skip -= made;
        gzip->skipped_differ = gzip->skip == 0 && gzip->crc != gzip->skipped_crc;
    } else {
        *got += made;
    }
    if (outcome == DH_INFLATE_FINISHED) {
        gzip->phase = PHASE_TRAILER;
    }
    return DH_OK;
}

/* ---- the trailer ------------------------------------------------------------------------------------ */

static uint32_t read_32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static dh_status trailer_read(gzip_state *gzip, dh_input *input, size_t *got, dh_stream_report *report)
{
    DH_TRY(dh_input_need(input, TRAILER_SIZE));
    if (input->left < TRAILER_SIZE) {
        return member_damaged(gzip, input, got, report, DH_STREAM_TRUNCATED);
    }
    const bool right = read_32(input->at) == gzip->crc && read_32(input->at + 4) == (uint32_t)gzip->size;
    /* A checksum of no bytes proves nothing: zeros behind an invalid block would pass for an empty member. */
    if (gzip->inflate->is_lenient && (!right || gzip->size == 0)) {
        return member_begin_again(gzip, input, got);
    }
    if (!right || gzip->skipped_differ || gzip->skip > 0) {
        dh_report_damage(report, DH_STREAM_CHECKSUM);
    }
    dh_input_take(input, TRAILER_SIZE);
    gzip->phase = PHASE_BOUNDARY;
    return DH_OK;
}

static dh_status gzip_read(void *state, dh_input *input, uint8_t *out, size_t size, size_t *got,
                           dh_stream_report *report)
{
    gzip_state *gzip = state;
    *got = 0;
    gzip->given_crc = gzip->crc;
    gzip->given_size = gzip->size;
    /* Full buffers, so that damage is met before as many bytes as possible are handed out. */
    while (*got < size) {
        switch (gzip->phase) {
        case PHASE_BOUNDARY:
            DH_TRY(boundary_cross(gzip, input, report));
            break;
        case PHASE_DATA:
            DH_TRY(data_read(gzip, input, out, size, got, report));
            break;
        case PHASE_TRAILER:
            DH_TRY(trailer_read(gzip, input, got, report));
            break;
        }
    }
    return DH_OK;
}

const dh_decoder dh_decoder_gzip = {gzip_create, gzip_destroy, gzip_read};
