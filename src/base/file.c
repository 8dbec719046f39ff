#include "base/file.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static dh_status failed(const char *path, const char *action)
{
    return dh_error(DH_IO, "%s: cannot %s: %s", path, action, strerror(errno));
}

dh_status dh_file_read_at(int file, const char *path, void *data, size_t size, uint64_t offset)
{
    uint8_t *out = data;
    size_t done = 0;
    while (done < size) {
        const ssize_t got = pread(file, out + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
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

dh_status dh_file_write_at(int file, const char *path, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *in = data;
    size_t done = 0;
    while (done < size) {
        const ssize_t put = pwrite(file, in + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return dh_error(DH_IO, "%s: writing %zu bytes at %llu failed: %s", path, size,
                            (unsigned long long)offset, put < 0 ? strerror(errno) : "nothing was written");
        }
        done += (size_t)put;
    }
    return DH_OK;
}

dh_status dh_file_read_all(const char *path, uint64_t size_max, dh_buffer *out)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return failed(path, "open");
    }
    struct stat facts;
    dh_status status = DH_OK;
    if (fstat(file, &facts) != 0) {
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
    (void)close(file);
    return status;
}

dh_status dh_file_sync(int file, const char *path)
{
    return fsync(file) == 0 ? DH_OK : failed(path, "sync");
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
    dh_status status = DH_OK;
    const int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) {
        status = failed(folder, "open");
    } else {
        /* Some network file systems do not sync folders and say so with EINVAL. */
        if (fsync(file) != 0 && errno != EINVAL) {
            status = failed(folder, "sync");
        }
        (void)close(file);
    }
    free(folder);
    return status;
}

dh_status dh_file_replace(const char *path, const void *data, size_t size)
{
    dh_buffer temporary = {0};
    DH_TRY(dh_buffer_printf(&temporary, "%s.tmp", path));
    const char *name = (const char *)temporary.data;
    const int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    dh_status status = file < 0 ? failed(name, "create") : DH_OK;
    if (status == DH_OK) {
        status = dh_file_write_at(file, name, data, size, 0);
        if (status == DH_OK) {
            status = dh_file_sync(file, name);
        }
        if (close(file) != 0 && status == DH_OK) {
            status = failed(name, "close");
        }
        if (status == DH_OK && rename(name, path) != 0) {
            status = failed(path, "rename to");
        }
        if (status != DH_OK) {
            (void)unlink(name);
        }
    }
    if (status == DH_OK) {
        status = dh_file_sync_folder_of(path);
    }
    dh_buffer_free(&temporary);
    return status;
}

bool dh_file_exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0;
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
    dh_status status = DH_OK;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && status == DH_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status = failed(copy, "make the folder");
        }
        *slash = '/';
    }
    if (status == DH_OK && mkdir(copy, 0777) != 0 && errno != EEXIST) {
        status = failed(copy, "make the folder");
    }
    struct stat facts;
    if (status == DH_OK && (stat(copy, &facts) != 0 || !S_ISDIR(facts.st_mode))) {
        status = dh_error(DH_IO, "%s: is not a folder", copy);
    }
    free(copy);
    return status;
}

dh_status dh_file_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return failed(path, "remove");
    }
    return DH_OK;
}

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
