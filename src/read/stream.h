/* dhatu: the uncompressed bytes of one file, read from front to back.
 *
 * What the file is (plain, gzip, zstd, bzip2) is told by its content, never by its name. Sources are
 * untrusted: damage is an answer, not a crash, and what was decoded before it is used. */
#ifndef DH_READ_STREAM_H
#define DH_READ_STREAM_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dh_compression {
    DH_COMPRESSION_NONE = 0,
    DH_COMPRESSION_GZIP,
    DH_COMPRESSION_ZSTD,
    DH_COMPRESSION_BZIP2,
    DH_COMPRESSION_XZ, /* recognised so that the message can name it; not read */
    DH_COMPRESSION_COUNT
} dh_compression;

/* From the first bytes of a file (10 where the file has them; 6 are enough for all but text that begins like
 * bzip2). zstd also begins with skippable frames (0x184D2A50 to 5F). */
dh_compression dh_compression_detect(const uint8_t *head, size_t size);
const char *dh_compression_name(dh_compression compression);  /* "plain", "gzip", ... */
bool dh_compression_is_supported(dh_compression compression); /* in this build */

/* Damage of a compressed file. The bytes decoded before it are delivered first; of several damages, the first
 * is told. After a wrong checksum, the following members and frames are read too. What comes out does
 * not depend on the library that inflates, nor on the sizes of the reads, with two exceptions. ISA-L decodes
 * where zlib sees that the codes of a block are invalid: if the checksum then confirms what it decoded, the
 * member is intact; if not, the damage is told as by zlib, but what earlier reads than the one that finds it
 * out have handed out cannot be taken back. */
typedef enum dh_stream_damage {
    DH_STREAM_INTACT = 0,
    DH_STREAM_TRUNCATED,        /* the file ends inside a member or frame */
    DH_STREAM_CORRUPT,          /* the coded data is invalid */
    DH_STREAM_CHECKSUM,         /* decoded, but a checksum or length differs (of bzip2: corrupt) */
    DH_STREAM_TRAILING_GARBAGE, /* behind the last member is something else (zero padding behind and
                                   between members is no damage) */
    DH_STREAM_WINDOW,           /* zstd: needs a larger window than allowed */
    DH_STREAM_NESTED,      /* decoded bytes are themselves compressed (gz within gz); nothing is delivered */
    DH_STREAM_UNSUPPORTED, /* xz, or bzip2 in a build without it: nothing is delivered; a zstd frame that
                              needs a dictionary */
    DH_STREAM_DAMAGE_COUNT
} dh_stream_damage;

const char *dh_stream_damage_name(dh_stream_damage damage); /* lower case, with underscores */

typedef struct dh_stream dh_stream;

typedef struct dh_stream_limits {
    uint64_t zstd_window_max; /* bytes, rounded down to a power of two; 0: 128 MiB */
} dh_stream_limits;

/* Opens path. A stream takes less than 1 MiB of memory, and the window of zstd or 4 MB for bzip2. For a plain
 * file reading begins at `offset` (0 for compressed ones: DH_INTERNAL else). Errors: DH_IO (logged with path
 * and reason), DH_NO_MEMORY. A folder, FIFO, socket or device is DH_IO. */
dh_status dh_stream_open(const char *path, uint64_t offset, const dh_stream_limits *limits, dh_stream **out);
void dh_stream_close(dh_stream *stream);

dh_compression dh_stream_compression(const dh_stream *stream);

/* Reads up to size bytes into out; *got is 0 only with DH_END. DH_END: all was read, or damage was met:
 * ask dh_stream_damage_seen. Less than size is read only at the end. size > 0. Errors: DH_IO (logged): the
 * operating system's read failed. */
dh_status dh_stream_read(dh_stream *stream, uint8_t *out, size_t size, size_t *got);

dh_stream_damage dh_stream_damage_seen(const dh_stream *stream);

/* Bytes of the file that were consumed so far (compressed), and handed out (uncompressed). */
uint64_t dh_stream_bytes_in(const dh_stream *stream);
uint64_t dh_stream_bytes_out(const dh_stream *stream);

/* True once a zstd frame without a checksum was read: bit flips in it go unseen. */
bool dh_stream_unchecked(const dh_stream *stream);

#endif
