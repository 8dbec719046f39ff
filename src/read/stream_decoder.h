/* dhatu: the decoders behind read/stream.h, one file each. */
#ifndef DH_READ_STREAM_DECODER_H
#define DH_READ_STREAM_DECODER_H

#include "read/stream.h"

#include <sys/types.h>

/* ---- the bytes of the file -------------------------------------------------------------------------- */

enum {
    DH_INPUT_SIZE = 128 << 10,
    DH_INPUT_HISTORY = 8 /* bytes that stay before `at`, for a decoder that took too many and returns them */
};

typedef struct dh_input {
    int file;
    char *path;
    uint64_t offset; /* in the file, of the first byte that is not in the buffer yet */
    uint8_t *buffer; /* DH_INPUT_HISTORY + DH_INPUT_SIZE bytes; NULL for a plain file, which needs none */
    uint8_t *at;     /* the next byte */
    size_t left;     /* bytes from `at` on */
    bool ended;      /* the file has nothing behind the buffer */
} dh_input;

/* Reads from the file at input->offset straight into out, as much as there is. *got < size at the end of
 * the file. Errors: DH_IO (logged). */
dh_status dh_input_read(dh_input *input, uint8_t *out, size_t size, size_t *got);

/* Reads on unless `wanted` bytes (at most DH_INPUT_SIZE) are left already. Fewer are left afterwards only
 * when the file ends. Errors: DH_IO (logged). */
dh_status dh_input_need(dh_input *input, size_t wanted);

/* Takes count bytes, or gives -count back, DH_INPUT_HISTORY at most. */
static inline void dh_input_take(dh_input *input, ptrdiff_t count)
{
    input->at += count;
    input->left = (size_t)((ptrdiff_t)input->left - count);
}

/* Goes on at this byte of the file. */
void dh_input_seek(dh_input *input, uint64_t offset);

/* Where `at` is in the file. */
static inline uint64_t dh_input_position(const dh_input *input)
{
    return input->offset - input->left;
}

/* ---- between members -------------------------------------------------------------------------------- */

/* Members, frames or streams follow each other in a file. */
typedef enum dh_boundary {
    DH_BOUNDARY_MEMBER,    /* one begins here */
    DH_BOUNDARY_END,       /* the file ends here */
    DH_BOUNDARY_GARBAGE,   /* something else is here */
    DH_BOUNDARY_TRUNCATED, /* the file ends inside the mark by which a member begins */
    DH_BOUNDARY_COUNT
} dh_boundary;

/* Skips zero bytes (padding, as tapes leave it) and tells what comes. Errors: DH_IO (logged). */
dh_status dh_input_boundary(dh_input *input, dh_compression compression, dh_boundary *out);

/* ---- decoders --------------------------------------------------------------------------------------- */

typedef struct dh_stream_report {
    dh_stream_damage damage; /* the first that was met */
    bool unchecked;
} dh_stream_report;

static inline void dh_report_damage(dh_stream_report *report, dh_stream_damage damage)
{
    if (report->damage == DH_STREAM_INTACT) {
        report->damage = damage;
    }
}

/* How raw deflate data is decoded: by ISA-L or by zlib. */
typedef struct dh_inflate dh_inflate;

typedef struct dh_decoder_options {
    dh_stream_limits limits;
    const dh_inflate *inflate; /* NULL: the fastest there is */
} dh_decoder_options;

/* The input lies at the first member, of which the first bytes were seen to be right. */
typedef struct dh_decoder {
    /* Errors: DH_NO_MEMORY (logged). */
    dh_status (*create)(const dh_decoder_options *options, void **state);
    void (*destroy)(void *state); /* takes NULL too */
    /* Writes *got bytes to out, which has room for size > 0. DH_OK: at least one; DH_END: perhaps none, and
     * there are no more: it is not called again. Damage goes to the report. Errors: DH_IO, DH_NO_MEMORY
     * (logged). */
    dh_status (*read)(void *state, dh_input *input, uint8_t *out, size_t size, size_t *got,
                      dh_stream_report *report);
} dh_decoder;

extern const dh_decoder dh_decoder_plain;
extern const dh_decoder dh_decoder_gzip;
extern const dh_decoder dh_decoder_zstd;
extern const dh_decoder dh_decoder_bzip2; /* its functions are NULL in a build without it */

/* ---- raw deflate, for gzip -------------------------------------------------------------------------- */

typedef enum dh_inflate_outcome {
    DH_INFLATE_GOING_ON, /* all input was taken, or out is full, or both */
    DH_INFLATE_FINISHED, /* the last block ended; the input is at the byte behind it */
    DH_INFLATE_INVALID,  /* *got bytes are right, then the data is not deflate */
    DH_INFLATE_NO_MEMORY
} dh_inflate_outcome;

struct dh_inflate {
    const char *name;
    /* In damaged data it may go on for longer than zlib, or stop earlier: zlib is to have the last word. */
    bool is_lenient;
    dh_status (*create)(void **state); /* Errors: DH_NO_MEMORY (logged). */
    void (*destroy)(void *state);
    void (*reset)(void *state); /* before each member */
    /* Takes bytes of the input's buffer; does not read the file. */
    dh_inflate_outcome (*run)(void *state, dh_input *input, uint8_t *out, size_t size, size_t *got);
    uint32_t (*crc)(uint32_t crc, const uint8_t *bytes, size_t size); /* of gzip; begins with 0 */
};

extern const dh_inflate dh_inflate_isal; /* declared also in builds without it; then not defined */
extern const dh_inflate dh_inflate_zlib;

/* dh_stream_open with these options, for tests and benchmarks. */
dh_status dh_stream_open_with(const char *path, uint64_t offset, const dh_decoder_options *options,
                              dh_stream **out);

#endif
