#include "read/stream.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "dhatu_config.h"
#include "read/stream_decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough of a file to tell what it is: the longest mark is that of bzip2, 10 bytes. */
enum { HEAD_SIZE = 10, ZSTD_WINDOW_DEFAULT = 128 << 20 };

struct dh_stream {
    dh_compression compression;
    const dh_decoder *decoder;
    void *state; /* of the decoder */
    dh_input input;
    dh_stream_report report;
    bool ended;
    bool began;     /* the head was decoded */
    uint64_t begin; /* offset at which a plain file was opened */
    uint64_t bytes_out;
    uint8_t
        head[HEAD_SIZE]; /* the first decoded bytes, held until it is known that they are not compressed */
    size_t head_size, head_given;
};

/* ---- names and marks -------------------------------------------------------------------------------- */

static bool begins_with(const uint8_t *head, size_t size, const char *mark, size_t mark_size)
{
    return size >= mark_size && memcmp(head, mark, mark_size) == 0;
}

static bool is_zstd(const uint8_t *head, size_t size)
{
    if (begins_with(head, size, "\x28\xB5\x2F\xFD", 4)) {
        return true;
    }
    return size >= 4 && (head[0] & 0xF0) == 0x50 && begins_with(head + 1, size - 1, "\x2A\x4D\x18", 3);
}

static bool is_bzip2_stream(const uint8_t *head, size_t size)
{
    return begins_with(head, size, "BZh", 3) && size >= 4 && head[3] >= '1' && head[3] <= '9';
}

/* Text may well begin with BZh9. So the mark behind it is asked for, as far as there are bytes: that of a
 * block, or of the end. */
static bool is_bzip2(const uint8_t *head, size_t size)
{
    if (!is_bzip2_stream(head, size) || size < 6) {
        return false;
    }
    const size_t mark_size = size - 4 < 6 ? size - 4 : 6;
    return memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", mark_size) == 0 ||
           memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", mark_size) == 0;
}

dh_compression dh_compression_detect(const uint8_t *head, size_t size)
{
    /* 8 is the only method that gzip ever had. */
    if (begins_with(head, size, "\x1F\x8B\x08", 3)) {
        return DH_COMPRESSION_GZIP;
    }
    if (is_zstd(head, size)) {
        return DH_COMPRESSION_ZSTD;
    }
    if (is_bzip2(head, size)) {
        return DH_COMPRESSION_BZIP2;
    }
    if (begins_with(head, size, "\xFD\x37\x7A\x58\x5A\x00", 6)) {
        return DH_COMPRESSION_XZ;
    }
    return DH_COMPRESSION_NONE;
}

static const struct {
    const char *name;
    const dh_decoder *decoder;
} compression_of[DH_COMPRESSION_COUNT] = {
    [DH_COMPRESSION_NONE] = {"plain", &dh_decoder_plain},
    [DH_COMPRESSION_GZIP] = {"gzip", &dh_decoder_gzip},
    [DH_COMPRESSION_ZSTD] = {"zstd", &dh_decoder_zstd},
    [DH_COMPRESSION_BZIP2] = {"bzip2", &dh_decoder_bzip2},
    [DH_COMPRESSION_XZ] = {"xz", NULL},
};

const char *dh_compression_name(dh_compression compression)
{
    return (unsigned)compression < DH_COMPRESSION_COUNT ? compression_of[compression].name : "unknown";
}

bool dh_compression_is_supported(dh_compression compression)
{
    if ((unsigned)compression >= DH_COMPRESSION_COUNT) {
        return false;
    }
    const dh_decoder *decoder = compression_of[compression].decoder;
    return decoder != NULL && decoder->read != NULL;
}

const char *dh_stream_damage_name(dh_stream_damage damage)
{
    static const char *const name[DH_STREAM_DAMAGE_COUNT] = {
        [DH_STREAM_INTACT] = "intact",
        [DH_STREAM_TRUNCATED] = "truncated",
        [DH_STREAM_CORRUPT] = "corrupt",
        [DH_STREAM_CHECKSUM] = "checksum",
        [DH_STREAM_TRAILING_GARBAGE] = "trailing_garbage",
        [DH_STREAM_WINDOW] = "window",
        [DH_STREAM_NESTED] = "nested",
        [DH_STREAM_UNSUPPORTED] = "unsupported",
    };
    return (unsigned)damage < DH_STREAM_DAMAGE_COUNT ? name[damage] : "unknown";
}

/* ---- the bytes of the file -------------------------------------------------------------------------- */

dh_status dh_input_read(dh_input *input, uint8_t *out, size_t size, size_t *got)
{
    size_t done = 0;
    while (done < size) {
        /* Linux moves at most 2 GiB at a time. */
        size_t piece = size - done < (size_t)1 << 30 ? size - done : (size_t)1 << 30;
        const ssize_t count = dh_fault_lets_move(DH_CALL_READ, input->path, &piece)
                                  ? pread(input->file, out + done, piece, (off_t)input->offset)
                                  : -1;
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return dh_error(DH_IO, "%s: cannot read at byte %llu: %s", input->path,
                            (unsigned long long)input->offset, strerror(errno));
        }
        if (count == 0) {
            break;
        }
        done += (size_t)count;
        input->offset += (uint64_t)count;
    }
    *got = done;
    return DH_OK;
}

dh_status dh_input_need(dh_input *input, size_t wanted)
{
    if (input->left >= wanted || input->ended) {
        return DH_OK;
    }
    /* The bytes left, and the history before them, move to the front. */
    memmove(input->buffer, input->at - DH_INPUT_HISTORY, DH_INPUT_HISTORY + input->left);
    input->at = input->buffer + DH_INPUT_HISTORY;
    size_t got;
    DH_TRY(dh_input_read(input, input->at + input->left, DH_INPUT_SIZE - input->left, &got));
    input->ended = got < DH_INPUT_SIZE - input->left;
    input->left += got;
    return DH_OK;
}

void dh_input_seek(dh_input *input, uint64_t offset)
{
    input->offset = offset;
    input->at = input->buffer + DH_INPUT_HISTORY;
    input->left = 0;
    input->ended = false;
}

dh_status dh_input_boundary(dh_input *input, dh_compression compression, dh_boundary *out)
{
    for (;;) {
        DH_TRY(dh_input_need(input, 1));
        if (input->left == 0) {
            *out = DH_BOUNDARY_END;
            return DH_OK;
        }
        if (*input->at != 0) {
            break;
        }
        dh_input_take(input, 1);
    }
    DH_TRY(dh_input_need(input, 4));
    /* What is missing of a mark at the end of the file is added, to see whether it may have been one. */
    static const char *const mark[][2] = {[DH_COMPRESSION_GZIP] = {"\x1F\x8B\x08", NULL},
                                          [DH_COMPRESSION_ZSTD] = {"\x28\xB5\x2F\xFD", "\x50\x2A\x4D\x18"},
                                          [DH_COMPRESSION_BZIP2] = {"BZh1", NULL}};
    const size_t size = compression == DH_COMPRESSION_GZIP ? 3 : 4;
    for (int i = 0; i < 2 && mark[compression][i] != NULL; i++) {
        uint8_t head[4];
        memcpy(head, mark[compression][i], size);
        memcpy(head, input->at, input->left < size ? input->left : size);
        const bool right = compression == DH_COMPRESSION_BZIP2
                               ? is_bzip2_stream(head, size)
                               : dh_compression_detect(head, size) == compression;
        if (right) {
            *out = input->left < size ? DH_BOUNDARY_TRUNCATED : DH_BOUNDARY_MEMBER;
            return DH_OK;
        }
    }
    *out = DH_BOUNDARY_GARBAGE;
    return DH_OK;
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static const char *file_kind(mode_t mode)
{
    if (S_ISDIR(mode)) {
        return "a folder";
    }
    if (S_ISFIFO(mode)) {
        return "a FIFO";
    }
    return S_ISSOCK(mode) ? "a socket" : "a device";
}

static dh_status input_open(dh_input *input, const char *path)
{
    input->path = strdup(path);
    if (input->path == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory for the name %s", path);
    }
    /* Without O_NONBLOCK, opening a FIFO waits for somebody to write to it. */
    input->file = DH_CALL(OPEN, path, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (input->file < 0) {
        return dh_error(DH_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    struct stat facts;
    if (DH_CALL(STAT, path, fstat(input->file, &facts)) != 0) {
        return dh_error(DH_IO, "%s: cannot stat: %s", path, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return dh_error(DH_IO, "%s: is %s, not a file", path, file_kind(facts.st_mode));
    }
    (void)posix_fadvise(input->file, 0, 0, POSIX_FADV_SEQUENTIAL); /* only a hint */
    return DH_OK;
}

/* Sees what the file is and prepares its decoder. */
static dh_status decoder_open(dh_stream *stream, uint64_t offset, const dh_decoder_options *options)
{
    dh_input *input = &stream->input;
    uint8_t head[HEAD_SIZE];
    size_t head_size = 0;
    DH_TRY(dh_input_read(input, head, sizeof head, &head_size));
    stream->compression = dh_compression_detect(head, head_size);
    stream->begin = offset;
    input->offset = offset;
    if (stream->compression == DH_COMPRESSION_NONE) {
        stream->decoder = &dh_decoder_plain;
        stream->began = true;
        return DH_OK;
    }
    if (offset != 0) {
        return dh_error(DH_INTERNAL, "%s: a %s file cannot be read from byte %llu on", input->path,
                        dh_compression_name(stream->compression), (unsigned long long)offset);
    }
    if (!dh_compression_is_supported(stream->compression)) {
        dh_report_damage(&stream->report, DH_STREAM_UNSUPPORTED);
        stream->ended = true;
        return DH_OK;
    }
    void *memory;
    DH_TRY(dh_allocate(DH_INPUT_HISTORY + DH_INPUT_SIZE, 1, "the input of a decoder", &memory));
    input->buffer = memory;
    dh_input_seek(input, 0);
    stream->decoder = compression_of[stream->compression].decoder;
    dh_decoder_options full = *options;
    if (full.limits.zstd_window_max == 0) {
        full.limits.zstd_window_max = ZSTD_WINDOW_DEFAULT;
    }
    return stream->decoder->create(&full, &stream->state);
}

dh_status dh_stream_open_with(const char *path, uint64_t offset, const dh_decoder_options *options,
                              dh_stream **out)
{
    void *memory;
    DH_TRY(dh_allocate(1, sizeof(dh_stream), "a stream", &memory));
    dh_stream *stream = memory;
    stream->input.file = -1;
    dh_status status = input_open(&stream->input, path);
    if (status == DH_OK) {
        status = decoder_open(stream, offset, options);
    }
    if (status != DH_OK) {
        dh_stream_close(stream);
        return status;
    }
    *out = stream;
    return DH_OK;
}

dh_status dh_stream_open(const char *path, uint64_t offset, const dh_stream_limits *limits, dh_stream **out)
{
    dh_decoder_options options = {0};
    if (limits != NULL) {
        options.limits = *limits;
    }
    return dh_stream_open_with(path, offset, &options, out);
}

void dh_stream_close(dh_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (stream->decoder != NULL) {
        stream->decoder->destroy(stream->state);
    }
    if (stream->input.file >= 0) {
        (void)close(stream->input.file); /* nothing was written to it */
    }
    free(stream->input.buffer);
    free(stream->input.path);
    free(stream);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* Calls the decoder until out is full or there is no more. */
static dh_status decode(dh_stream *stream, uint8_t *out, size_t size, size_t *got)
{
    size_t done = 0;
    while (done < size && !stream->ended) {
        size_t count = 0;
        const dh_status status = stream->decoder->read(stream->state, &stream->input, out + done, size - done,
                                                       &count, &stream->report);
        if (status == DH_END) {
            stream->ended = true;
        } else if (status != DH_OK) {
            return status;
        }
        done += count;
    }
    *got = done;
    return DH_OK;
}

/* Tells from the first decoded bytes whether they are compressed themselves: then nothing is handed out. */
static bool is_nested(dh_stream *stream, const uint8_t *bytes, size_t size)
{
    stream->began = true;
    if (dh_compression_detect(bytes, size < HEAD_SIZE ? size : HEAD_SIZE) == DH_COMPRESSION_NONE) {
        return false;
    }
    stream->report.damage = DH_STREAM_NESTED;
    stream->ended = true;
    return true;
}

/* The first read of a compressed file. One that is too small to see what the bytes are keeps them in the
 * head. */
static dh_status first_read(dh_stream *stream, uint8_t *out, size_t size, size_t *got)
{
    const bool is_small = size < HEAD_SIZE;
    uint8_t *to = is_small ? stream->head : out;
    size_t done;
    DH_TRY(decode(stream, to, is_small ? HEAD_SIZE : size, &done));
    if (is_nested(stream, to, done)) {
        done = 0;
    }
    if (is_small) {
        stream->head_size = done;
        done = 0;
    }
    *got = done;
    return DH_OK;
}

dh_status dh_stream_read(dh_stream *stream, uint8_t *out, size_t size, size_t *got)
{
    if (size == 0) {
        return dh_error(DH_INTERNAL, "%s: a read of 0 bytes", stream->input.path);
    }
    size_t done = 0;
    if (!stream->began && !stream->ended) {
        DH_TRY(first_read(stream, out, size, &done));
    }
    const size_t held = stream->head_size - stream->head_given;
    if (held > 0) {
        done = held < size ? held : size;
        memcpy(out, stream->head + stream->head_given, done);
        stream->head_given += done;
    }
    size_t more = 0;
    if (done < size) {
        DH_TRY(decode(stream, out + done, size - done, &more));
    }
    done += more;
    stream->bytes_out += done;
    *got = done;
    return done > 0 ? DH_OK : DH_END;
}

dh_compression dh_stream_compression(const dh_stream *stream)
{
    return stream->compression;
}

dh_stream_damage dh_stream_damage_seen(const dh_stream *stream)
{
    return stream->report.damage;
}

uint64_t dh_stream_bytes_in(const dh_stream *stream)
{
    return dh_input_position(&stream->input) - stream->begin;
}

uint64_t dh_stream_bytes_out(const dh_stream *stream)
{
    return stream->bytes_out;
}

bool dh_stream_unchecked(const dh_stream *stream)
{
    return stream->report.unchecked;
}
