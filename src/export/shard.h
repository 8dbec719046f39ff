/* dhatu: the files of an export. A file is written under a temporary name, synced, and only then gets its
 * own: what has its name is complete.
 *
 * The bytes are a function of what is appended, the compression and the version of its library: one setting
 * of the encoder, one thread, no time and no name in headers. */
#ifndef DH_EXPORT_SHARD_H
#define DH_EXPORT_SHARD_H

#include "base/status.h"
#include "kernels/sha256.h"

#include <stddef.h>
#include <stdint.h>

typedef enum dh_shard_compression {
    DH_SHARD_PLAIN = 0,
    DH_SHARD_GZIP,
    DH_SHARD_ZSTD,
    DH_SHARD_COMPRESSION_COUNT
} dh_shard_compression;

/* "none", "gz", "zst": values of --compress. COUNT when there is none of this name. */
dh_shard_compression dh_shard_compression_find(const char *name);
const char *dh_shard_suffix(dh_shard_compression compression); /* "", ".gz", ".zst" */
/* The library and its version, which the bytes depend on: "zlib 1.2.13"; "none". */
const char *dh_shard_encoder(dh_shard_compression compression);

typedef struct dh_shard_facts {
    uint64_t bytes; /* of the file */
    uint8_t sha256[DH_SHA256_SIZE];
} dh_shard_facts;

typedef struct dh_shard_writer dh_shard_writer;

/* One writer serves for many files, one after the other. Errors of all: DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_shard_writer_create(dh_shard_compression compression, dh_shard_writer **out);
/* A file that was begun and not finished is removed. NULL is fine. */
void dh_shard_writer_free(dh_shard_writer *writer);

/* Begins a file with a temporary name beside path: path, a dot, eight random digits, DH_SHARD_TEMPORARY. */
#define DH_SHARD_TEMPORARY ".tmp"
dh_status dh_shard_begin(dh_shard_writer *writer, const char *path);
dh_status dh_shard_append(dh_shard_writer *writer, const void *bytes, size_t size);
/* Ends the file: synced, renamed to the path of begin, the folder synced. out may be NULL. */
dh_status dh_shard_finish(dh_shard_writer *writer, dh_shard_facts *out);

/* Reads a file that is there already. */
dh_status dh_shard_read_facts(const char *path, dh_shard_facts *out);

#endif
