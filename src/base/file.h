/* dhatu: files, with errors that name the path and the bytes. EINTR and short transfers are handled. */
#ifndef DH_BASE_FILE_H
#define DH_BASE_FILE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <sys/stat.h>

/* Appends a whole file to out. Errors: DH_IO (logged; also when larger than size_max). */
dh_status dh_file_read_all(const char *path, uint64_t size_max, dh_buffer *out);

/* Writes a new file or replaces one atomically: temporary file, fsync, rename, fsync of the folder. */
dh_status dh_file_replace(const char *path, const void *data, size_t size);

/* Writes / reads exactly size bytes at offset. Reading past the end is DH_IO. `path` is for messages. */
dh_status dh_file_write_at(int file, const char *path, const void *data, size_t size, uint64_t offset);
dh_status dh_file_read_at(int file, const char *path, void *data, size_t size, uint64_t offset);

/* Writes parts that lie apart in memory back to back at offset. At most DH_FILE_PARTS_MAX. */
enum { DH_FILE_PARTS_MAX = 512 };
typedef struct dh_file_part {
    const void *data;
    size_t size;
} dh_file_part;
dh_status dh_file_write_parts_at(int file, const char *path, const dh_file_part *part, size_t count,
                                 uint64_t offset);

/* open with O_CLOEXEC, new files with mode 0666 less the umask. EINTR is handled. *out is the descriptor. */
dh_status dh_file_open(const char *path, int flags, int *out);

/* close with a message: some file systems tell of a failed write only then. */
dh_status dh_file_close(int file, const char *path);

/* fsync with a message. After a failure what was written is lost, and asking again would hide it: the caller
 * must give the file up. */
dh_status dh_file_sync(int file, const char *path);

/* fsync of the folder that path is in, so that a rename in it is durable. */
dh_status dh_file_sync_folder_of(const char *path);

dh_status dh_file_rename(const char *from, const char *to);

/* stat with a message. */
dh_status dh_file_stat(const char *path, struct stat *out);

/* Time of change, ns since 1970. */
static inline uint64_t dh_file_time(const struct stat *facts)
{
    return (uint64_t)facts->st_mtim.tv_sec * 1000000000U + (uint64_t)facts->st_mtim.tv_nsec;
}

/* Is there a file or folder of that name? Errors: DH_IO (logged): it cannot be told. */
dh_status dh_file_exists(const char *path, bool *out);

/* Makes the folder and those above it. An existing folder is fine. */
dh_status dh_folder_create(const char *path);

/* Removes a file if it is there. */
dh_status dh_file_remove(const char *path);
dh_status dh_file_remove_in(const char *folder, const char *name);

/* Calls take(context, name) for each name in a folder but . and .., in no order; a file removed meanwhile is
 * no error. Errors: DH_IO (logged), what take returns. */
typedef dh_status dh_folder_take(void *context, const char *name);
dh_status dh_folder_list(const char *path, dh_folder_take *take, void *context);

/* Writes 2 * size digits, without a NUL, as a fixed-length column has them. */
void dh_hex_digits(const uint8_t *bytes, size_t size, char *hex);

/* The same with a NUL: hex has room for 2 * size + 1. */
void dh_hex(const uint8_t *bytes, size_t size, char *hex);

/* Has the system begin to write this part (size 0: to the end) to the disk. It is no more than a hint, so a
 * system or file system that does not know the call does without: fsync does the work. Any other error is one
 * of writing back: fsync would tell it, too, but may tell it once only, so it counts here. Errors: DH_IO
 * (logged). */
dh_status dh_file_begin_write_back(int file, const char *path, uint64_t offset, uint64_t size);

#endif
