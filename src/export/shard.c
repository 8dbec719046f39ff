#include "export/shard.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum {
    GZIP_LEVEL = 6,
    GZIP_WINDOW = 15 + 16, /* 16: with gzip's header */
    GZIP_MEMORY = 8,
    ZSTD_LEVEL = 3,
    ROOM = 1 << 20,       /* of what is to be written */
    PIECE_MAX = 1U << 30, /* of what zlib is given at a time: its sizes have 32 bits */
    TAG_SIZE = 4
};

static const char *const compression_name[DH_SHARD_COMPRESSION_COUNT] = {"none", "gz", "zst"};

struct dh_shard_writer {
    dh_shard_compression compression;
    z_stream gzip;
    ZSTD_CCtx *zstd;
    uint8_t *room;
    size_t filled;
    int file; /* -1: none is open */
    char *path, *temporary;
    uint64_t written;
    dh_sha256 sha;
};

dh_shard_compression dh_shard_compression_find(const char *name)
{
    int c = 0;
    while (c < DH_SHARD_COMPRESSION_COUNT && strcmp(compression_name[c], name) != 0) {
        c++;
    }
    return (dh_shard_compression)c;
}

const char *dh_shard_suffix(dh_shard_compression compression)
{
    static const char *const suffix[DH_SHARD_COMPRESSION_COUNT] = {"", ".gz", ".zst"};
    return suffix[compression];
}

const char *dh_shard_encoder(dh_shard_compression compression)
{
    static char text[64];
    if (compression == DH_SHARD_PLAIN) {
        return "none";
    }
    const bool gzip = compression == DH_SHARD_GZIP;
    (void)snprintf(text, sizeof text, "%s %s", gzip ? "zlib" : "zstd",
                   gzip ? zlibVersion() : ZSTD_versionString());
    return text;
}

/* ---- the writer -------------------------------------------------------------------------------------- */

static dh_status open_encoder(dh_shard_writer *writer)
{
    bool done = true;
    if (writer->compression == DH_SHARD_GZIP) {
        done = deflateInit2(&writer->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                            Z_DEFAULT_STRATEGY) == Z_OK;
    } else if (writer->compression == DH_SHARD_ZSTD) {
        writer->zstd = ZSTD_createCCtx();
        done = writer->zstd != NULL &&
               ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) == 0 &&
               ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_checksumFlag, 1)) == 0;
    }
    return done ? DH_OK
                : dh_error(DH_NO_MEMORY, "out of memory: the encoder %s",
                           compression_name[writer->compression]);
}

dh_status dh_shard_writer_create(dh_shard_compression compression, dh_shard_writer **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_shard_writer), "the writer of an export", &memory));
    dh_shard_writer *writer = memory;
    writer->file = -1;
    dh_status status = dh_allocate(ROOM, 1, "the writer of an export", &memory);
    if (status == DH_OK) {
        writer->room = memory;
        writer->compression = compression;
        status = open_encoder(writer);
    }
    if (status != DH_OK) {
        dh_shard_writer_free(writer);
        return status;
    }
    *out = writer;
    return DH_OK;
}

static void close_names(dh_shard_writer *writer)
{
    free(writer->path);
    free(writer->temporary);
    writer->path = NULL;
    writer->temporary = NULL;
}

/* The file is given up. */
static void abandon(dh_shard_writer *writer)
{
    if (writer->file >= 0) {
        (void)close(writer->file);
        writer->file = -1;
    }
    if (writer->temporary != NULL) {
        (void)dh_file_remove(writer->temporary); /* it says itself when it cannot */
    }
    close_names(writer);
}

void dh_shard_writer_free(dh_shard_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    abandon(writer);
    if (writer->compression == DH_SHARD_GZIP) {
        (void)deflateEnd(&writer->gzip);
    }
    (void)ZSTD_freeCCtx(writer->zstd);
    free(writer->room);
    free(writer);
}

static dh_status set_names(dh_shard_writer *writer, const char *path)
{
    uint8_t tag[TAG_SIZE];
    char hex[2 * TAG_SIZE + 1];
    if (getrandom(tag, sizeof tag, 0) != (ssize_t)sizeof tag) {
        return dh_error(DH_FAILED, "no random bytes for a temporary name: %s", strerror(errno));
    }
    dh_hex(tag, sizeof tag, hex);
    const size_t size = strlen(path) + 1 + sizeof hex + strlen(DH_SHARD_TEMPORARY);
    writer->path = strdup(path);
    writer->temporary = malloc(size);
    if (writer->path == NULL || writer->temporary == NULL) {
        close_names(writer);
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    (void)snprintf(writer->temporary, size, "%s.%s%s", path, hex, DH_SHARD_TEMPORARY);
    return DH_OK;
}

dh_status dh_shard_begin(dh_shard_writer *writer, const char *path)
{
    DH_TRY(set_names(writer, path));
    const dh_status status = dh_file_open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL, &writer->file);
    if (status != DH_OK) {
        close_names(writer);
        return status;
    }
    writer->filled = 0;
    writer->written = 0;
    dh_sha256_begin(&writer->sha);
    if (writer->compression == DH_SHARD_GZIP) {
        (void)deflateReset(&writer->gzip);
    } else if (writer->compression == DH_SHARD_ZSTD) {
        (void)ZSTD_CCtx_reset(writer->zstd, ZSTD_reset_session_only);
    }
    return DH_OK;
}

static dh_status write_out(dh_shard_writer *writer)
{
    DH_TRY(dh_file_write_at(writer->file, writer->temporary, writer->room, writer->filled, writer->written));
    dh_sha256_update(&writer->sha, writer->room, writer->filled);
    writer->written += writer->filled;
    writer->filled = 0;
    return DH_OK;
}

static dh_status append_plain(dh_shard_writer *writer, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        const size_t left = ROOM - writer->filled;
        const size_t piece = size < left ? size : left;
        memcpy(writer->room + writer->filled, bytes, piece);
        writer->filled += piece;
        bytes += piece;
        size -= piece;
        if (writer->filled == ROOM) {
            DH_TRY(write_out(writer));
        }
    }
    return DH_OK;
}

static dh_status encoder_failed(const dh_shard_writer *writer)
{
    return dh_error(DH_INTERNAL, "%s: the encoder %s failed", writer->path,
                    compression_name[writer->compression]);
}

static dh_status append_gzip(dh_shard_writer *writer, const uint8_t *bytes, size_t size, bool last)
{
    z_stream *gzip = &writer->gzip;
    gzip->next_in = (Bytef *)(uintptr_t)bytes; /* zlib only reads, but its type does not say so */
    int outcome = Z_OK;
    while (size > 0 || gzip->avail_in > 0 || (last && outcome != Z_STREAM_END)) {
        if (gzip->avail_in == 0) {
            gzip->avail_in = (uInt)(size < PIECE_MAX ? size : PIECE_MAX);
            size -= gzip->avail_in;
        }
        gzip->next_out = writer->room + writer->filled;
        gzip->avail_out = (uInt)(ROOM - writer->filled);
        outcome = deflate(gzip, last && size == 0 ? Z_FINISH : Z_NO_FLUSH);
        if (outcome == Z_STREAM_ERROR) {
            return encoder_failed(writer);
        }
        writer->filled = ROOM - gzip->avail_out;
        if (writer->filled == ROOM) {
            DH_TRY(write_out(writer));
        }
    }
    return DH_OK;
}

static dh_status append_zstd(dh_shard_writer *writer, const uint8_t *bytes, size_t size, bool last)
{
    ZSTD_inBuffer in = {bytes, size, 0};
    size_t left = 1;
    while (in.pos < in.size || (last && left != 0)) {
        ZSTD_outBuffer out = {writer->room, ROOM, writer->filled};
        left = ZSTD_compressStream2(writer->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left) != 0) {
            return encoder_failed(writer);
        }
        writer->filled = out.pos;
        if (writer->filled == ROOM) {
            DH_TRY(write_out(writer));
        }
    }
    return DH_OK;
}

static dh_status append(dh_shard_writer *writer, const void *bytes, size_t size, bool last)
{
    switch (writer->compression) {
    case DH_SHARD_GZIP:
        return append_gzip(writer, bytes, size, last);
    case DH_SHARD_ZSTD:
        return append_zstd(writer, bytes, size, last);
    case DH_SHARD_PLAIN:
    case DH_SHARD_COMPRESSION_COUNT:
        break;
    }
    return append_plain(writer, bytes, size);
}

dh_status dh_shard_append(dh_shard_writer *writer, const void *bytes, size_t size)
{
    return append(writer, bytes, size, false);
}

static dh_status close_synced(dh_shard_writer *writer)
{
    DH_TRY(append(writer, "", 0, true));
    DH_TRY(write_out(writer));
    DH_TRY(dh_file_sync(writer->file, writer->temporary));
    const int file = writer->file;
    writer->file = -1; /* closed in any case */
    return dh_file_close(file, writer->temporary);
}

dh_status dh_shard_finish(dh_shard_writer *writer, dh_shard_facts *out)
{
    dh_status status = close_synced(writer);
    if (status == DH_OK) {
        status = dh_file_rename(writer->temporary, writer->path);
    }
    if (status != DH_OK) {
        abandon(writer);
        return status;
    }
    status = dh_file_sync_folder_of(writer->path);
    close_names(writer);
    if (status == DH_OK && out != NULL) {
        out->bytes = writer->written;
        dh_sha256_end(&writer->sha, out->sha256);
    }
    return status;
}

/* ---- files that are there ----------------------------------------------------------------------------- */

static dh_status hash_file(int file, const char *path, uint64_t size, uint8_t *room, dh_shard_facts *out)
{
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    for (uint64_t done = 0; done < size;) {
        const size_t piece = size - done < ROOM ? (size_t)(size - done) : ROOM;
        DH_TRY(dh_file_read_at(file, path, room, piece, done));
        dh_sha256_update(&sha, room, piece);
        done += piece;
    }
    out->bytes = size;
    dh_sha256_end(&sha, out->sha256);
    return DH_OK;
}

dh_status dh_shard_read_facts(const char *path, dh_shard_facts *out)
{
    struct stat facts;
    int file = -1;
    void *room = NULL;
    DH_TRY(dh_file_stat(path, &facts));
    if (!S_ISREG(facts.st_mode)) {
        return dh_error(DH_IO, "%s: not a regular file", path);
    }
    DH_TRY(dh_allocate(ROOM, 1, "reading a file", &room));
    dh_status status = dh_file_open(path, O_RDONLY, &file);
    if (status == DH_OK) {
        status = hash_file(file, path, (uint64_t)facts.st_size, room, out);
        (void)close(file); /* nothing was written to it */
    }
    free(room);
    return status;
}
