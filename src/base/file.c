#include "base/file.h"

#include "base/fault.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- system calls, which may be asked to fail (fault.h) --------------------------------------------- */

static int try_open(const char *path, int flags)
{
    return DH_CALL(OPEN, path, open(path, flags | O_CLOEXEC, 0666));
}

static ssize_t try_read(int file, const char *path, void *data, size_t size, uint64_t offset)
{
    ssize_t got;
    do {
        size_t piece = size;
        got = dh_fault_lets_move(DH_CALL_READ, path, &piece) ? pread(file, data, piece, (off_t)offset) : -1;
    } while (got < 0 && errno == EINTR);
    return got;
}

static int try_sync(int file, const char *path)
{
    return DH_CALL(SYNC, path, fsync(file));
}

static int try_close(int file, const char *path)
{
    const bool fails = !dh_fault_passes(DH_CALL_CLOSE, path);
    const int reason = errno;
    int result = close(file);
    if (fails) {
        errno = reason;
        result = -1;
    }
    /* Interrupted, it is closed all the same, and closing again might hit another file. */
    return result != 0 && errno == EINTR ? 0 : result;
}

static int try_rename(const char *from, const char *to)
{
    return DH_CALL(RENAME, to, rename(from, to));
}

static int try_remove(const char *path)
{
    return DH_CALL(REMOVE, path, unlink(path));
}

static int try_make_folder(const char *path)
{
    return DH_CALL(FOLDER, path, mkdir(path, 0777));
}

static int try_stat(const char *path, struct stat *facts)
{
    return DH_CALL(STAT, path, stat(path, facts));
}

static int try_stat_open(int file, const char *path, struct stat *facts)
{
    return DH_CALL(STAT, path, fstat(file, facts));
}

static dh_status failed(const char *path, const char *action)
{
    return dh_error(DH_IO, "%s: cannot %s: %s", path, action, strerror(errno));
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

dh_status dh_file_read_at(int file, const char *path, void *data, size_t size, uint64_t offset)
{
    uint8_t *out = data;
    size_t done = 0;
    while (done < size) {
        const ssize_t got = try_read(file, path, out + done, size - done, offset + done);
        if (got < 0) {
            return dh_error(DH_IO, "%s: reading %zu bytes at %llu failed: %s", path, size,
                            (unsigned long long)offset, strerror(errno));
        }
        if (got == 0) {
            return dh_error(DH_IO, "%s: ends at %llu, but %zu bytes at %llu were expected", path,
                            (unsigned long long)(offset + done), size, (unsigned long long)offset);
        }
        done += (size_t)got;
    }
    return DH_OK;
}

/* A place in a list of parts. */
typedef struct part_place {
    const dh_file_part *part;
    size_t left; /* parts, this one included */
    size_t done; /* bytes of this one */
} part_place;

enum { PIECES_MAX = DH_FILE_PARTS_MAX < IOV_MAX ? DH_FILE_PARTS_MAX : IOV_MAX };

/* The pieces from a place on, up to size bytes. */
static int pieces_from(const part_place *place, size_t size, struct iovec *piece)
{
    size_t skip = place->done;
    int count = 0;
    for (size_t i = 0; i < place->left && count < PIECES_MAX && size > 0; i++) {
        const size_t have = place->part[i].size - skip;
        const size_t take = have < size ? have : size;
        if (take > 0) {
            /* pwritev only reads, but its type does not say so. */
            piece[count++] = (struct iovec){(uint8_t *)(uintptr_t)place->part[i].data + skip, take};
        }
        size -= take;
        skip = 0;
    }
    return count;
}

static void advance(part_place *place, size_t size)
{
    while (size > 0 && place->left > 0) {
        const size_t have = place->part->size - place->done;
        if (size < have) {
            place->done += size;
            return;
        }
        size -= have;
        place->part++;
        place->left--;
        place->done = 0;
    }
}

dh_status dh_file_write_parts_at(int file, const char *path, const dh_file_part *part, size_t count,
                                 uint64_t offset)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += part[i].size;
    }
    part_place place = {part, count, 0};
    size_t done = 0;
    while (done < size) {
        struct iovec piece[PIECES_MAX];
        size_t wanted = size - done;
        const ssize_t put =
            dh_fault_lets_move(DH_CALL_WRITE, path, &wanted)
                ? pwritev(file, piece, pieces_from(&place, wanted, piece), (off_t)(offset + done))
                : -1;
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return dh_error(DH_IO, "%s: writing %zu bytes at %llu failed: %s", path, size,
                            (unsigned long long)offset, put < 0 ? strerror(errno) : "nothing was written");
        }
        advance(&place, (size_t)put);
        done += (size_t)put;
    }
    return DH_OK;
}

dh_status dh_file_write_at(int file, const char *path, const void *data, size_t size, uint64_t offset)
{
    const dh_file_part part = {data, size};
    return dh_file_write_parts_at(file, path, &part, 1, offset);
}

/* ---- whole files ------------------------------------------------------------------------------------ */

dh_status dh_file_open(const char *path, int flags, int *out)
{
    const int file = try_open(path, flags);
    if (file < 0) {
        return failed(path, (flags & O_CREAT) != 0 ? "create" : "open");
    }
    *out = file;
    return DH_OK;
}

dh_status dh_file_close(int file, const char *path)
{
    return try_close(file, path) == 0 ? DH_OK : failed(path, "close");
}

dh_status dh_file_read_all(const char *path, uint64_t size_max, dh_buffer *out)
{
    int file;
    /* Without O_NONBLOCK, opening a FIFO waits for somebody to write to it. */
    DH_TRY(dh_file_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &file));
    struct stat facts;
    dh_status status = DH_OK;
    if (try_stat_open(file, path, &facts) != 0) {
        status = failed(path, "stat");
    } else if (!S_ISREG(facts.st_mode)) {
        status = dh_error(DH_IO, "%s: not a regular file", path);
    } else if ((uint64_t)facts.st_size > size_max) {
        status = dh_error(DH_IO, "%s: %lld bytes are more than the %llu allowed here", path,
                          (long long)facts.st_size, (unsigned long long)size_max);
    }
    if (status == DH_OK) {
        status = dh_buffer_reserve(out, (size_t)facts.st_size);
    }
    if (status == DH_OK) {
        status = dh_file_read_at(file, path, out->data + out->size, (size_t)facts.st_size, 0);
    }
    if (status == DH_OK) {
        out->size += (size_t)facts.st_size;
    }
    (void)close(file); /* nothing was written to it */
    return status;
}

dh_status dh_file_sync(int file, const char *path)
{
    return try_sync(file, path) == 0 ? DH_OK : failed(path, "sync");
}

static dh_status folder_of(const char *path, char **out)
{
    const char *slash = strrchr(path, '/');
    const size_t size = slash == NULL ? 0 : (slash == path ? 1 : (size_t)(slash - path));
    char *folder = size == 0 ? strdup(".") : strndup(path, size);
    if (folder == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    *out = folder;
    return DH_OK;
}

dh_status dh_file_sync_folder_of(const char *path)
{
    char *folder = NULL;
    DH_TRY(folder_of(path, &folder));
    int file;
    dh_status status = dh_file_open(folder, O_RDONLY | O_DIRECTORY, &file);
    if (status == DH_OK) {
        /* Some network file systems do not sync folders and say so with EINVAL. */
        if (try_sync(file, folder) != 0 && errno != EINVAL) {
            status = failed(folder, "sync");
        }
        (void)close(file); /* nothing was written to it */
    }
    free(folder);
    return status;
}

dh_status dh_file_rename(const char *from, const char *to)
{
    if (try_rename(from, to) != 0) {
        return dh_error(DH_IO, "%s: cannot rename to %s: %s", from, to, strerror(errno));
    }
    return DH_OK;
}

static dh_status write_synced(const char *path, const void *data, size_t size)
{
    int file;
    DH_TRY(dh_file_open(path, O_WRONLY | O_CREAT | O_TRUNC, &file));
    dh_status status = dh_file_write_at(file, path, data, size, 0);
    if (status == DH_OK) {
        status = dh_file_sync(file, path);
    }
    if (status == DH_OK) {
        return dh_file_close(file, path);
    }
    (void)close(file); /* what was written is given up */
    return status;
}

dh_status dh_file_replace(const char *path, const void *data, size_t size)
{
    dh_buffer temporary = {0};
    DH_TRY(dh_buffer_printf(&temporary, "%s.tmp", path));
    const char *name = (const char *)temporary.data;
    dh_status status = write_synced(name, data, size);
    if (status == DH_OK) {
        status = dh_file_rename(name, path);
    }
    if (status != DH_OK) {
        if (try_remove(name) != 0 && errno != ENOENT) {
            dh_warning("%s: left behind, cannot be removed: %s", name, strerror(errno));
        }
    } else {
        status = dh_file_sync_folder_of(path);
    }
    dh_buffer_free(&temporary);
    return status;
}

dh_status dh_file_stat(const char *path, struct stat *out)
{
    return try_stat(path, out) == 0 ? DH_OK : failed(path, "stat");
}

dh_status dh_file_exists(const char *path, bool *out)
{
    struct stat facts;
    const bool there = try_stat(path, &facts) == 0;
    if (!there && errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG) {
        return failed(path, "stat");
    }
    *out = there;
    return DH_OK;
}

dh_status dh_file_remove(const char *path)
{
    if (try_remove(path) != 0 && errno != ENOENT) {
        return failed(path, "remove");
    }
    return DH_OK;
}

dh_status dh_file_remove_in(const char *folder, const char *name)
{
    dh_buffer path = {0};
    dh_status status = dh_buffer_printf(&path, "%s/%s", folder, name);
    if (status == DH_OK) {
        status = dh_buffer_append(&path, "", 1);
    }
    if (status == DH_OK) {
        status = dh_file_remove((const char *)path.data);
    }
    dh_buffer_free(&path);
    return status;
}

/* ---- folders ---------------------------------------------------------------------------------------- */

/* A folder that the disk may forget takes with it all that is synced in it. */
static dh_status make_folder(const char *path)
{
    if (try_make_folder(path) == 0) {
        return dh_file_sync_folder_of(path);
    }
    return errno == EEXIST ? DH_OK : failed(path, "make the folder");
}

dh_status dh_folder_create(const char *path)
{
    if (path[0] == '\0') {
        return dh_error(DH_IO, "cannot make a folder without a name");
    }
    char *copy = strdup(path);
    if (copy == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    for (size_t size = strlen(copy); size > 1 && copy[size - 1] == '/'; size--) {
        copy[size - 1] = '\0';
    }
    dh_status status = DH_OK;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && status == DH_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = make_folder(copy);
        *slash = '/';
    }
    if (status == DH_OK) {
        status = make_folder(copy);
    }
    struct stat facts;
    if (status == DH_OK) {
        if (try_stat(copy, &facts) != 0) {
            status = failed(copy, "stat");
        } else if (!S_ISDIR(facts.st_mode)) {
            status = dh_error(DH_IO, "%s: is not a folder", copy);
        }
    }
    free(copy);
    return status;
}

static dh_status open_folder(const char *path, DIR **out)
{
    DIR *folder;
    do {
        folder = dh_fault_passes(DH_CALL_FOLDER, path) ? opendir(path) : NULL;
    } while (folder == NULL && errno == EINTR);
    if (folder == NULL && errno == ENOMEM) {
        return dh_error(DH_NO_MEMORY, "out of memory: the folder %s", path);
    }
    if (folder == NULL) {
        return failed(path, "list the folder");
    }
    *out = folder;
    return DH_OK;
}

dh_status dh_folder_list(const char *path, dh_folder_take *take, void *context)
{
    DIR *folder = NULL;
    DH_TRY(open_folder(path, &folder));
    dh_status status = DH_OK;
    while (status == DH_OK) {
        errno = 0; /* the only way to tell the end from an error */
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            if (errno != 0) {
                status = failed(path, "list the folder");
            }
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = take(context, entry->d_name);
        }
    }
    (void)closedir(folder);
    return status;
}

/* ---- hexadecimal ------------------------------------------------------------------------------------ */

void dh_hex_digits(const uint8_t *bytes, size_t size, char *hex)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digit[bytes[i] >> 4];
        hex[2 * i + 1] = digit[bytes[i] & 15];
    }
}

void dh_hex(const uint8_t *bytes, size_t size, char *hex)
{
    dh_hex_digits(bytes, size, hex);
    hex[2 * size] = '\0';
}

dh_status dh_file_begin_write_back(int file, const char *path, uint64_t offset, uint64_t size)
{
    if (DH_CALL(SYNC, path, sync_file_range(file, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE)) == 0 ||
        errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP) {
        return DH_OK;
    }
    return dh_error(DH_IO, "%s: writing back %llu bytes at %llu failed: %s", path, (unsigned long long)size,
                    (unsigned long long)offset, strerror(errno));
}
