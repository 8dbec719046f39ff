#include "export/lock.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct dh_export_lock {
    int file; /* -1: none is open */
    char *path;
};

static bool has_no_locks(int reason)
{
    return reason == ENOLCK || reason == ENOSYS || reason == EOPNOTSUPP;
}

static dh_status lock_file(const dh_export_lock *lock, const char *folder)
{
    if (DH_CALL(OPEN, lock->path, flock(lock->file, LOCK_EX | LOCK_NB)) == 0) {
        return DH_OK;
    }
    if (errno == EWOULDBLOCK) {
        return dh_error(DH_LOCKED,
                        "%s: another export is writing into this folder: wait for its end, or name another "
                        "folder",
                        folder);
    }
    if (has_no_locks(errno)) {
        dh_warning("%s: this file system has no locks (%s): see to it that no other export writes into it",
                   folder, strerror(errno));
        return DH_OK;
    }
    return dh_error(DH_IO, "%s: cannot lock: %s", lock->path, strerror(errno));
}

/* Who had the lock before may have removed the file between its being opened here and locked: another process
 * then makes and locks a new one. */
static dh_status is_in_folder(const dh_export_lock *lock, bool *out)
{
    struct stat facts;
    const bool known = DH_CALL(STAT, lock->path, fstat(lock->file, &facts)) == 0;
    if (!known && errno != ESTALE) {
        return dh_error(DH_IO, "%s: cannot stat: %s", lock->path, strerror(errno));
    }
    *out = known && facts.st_nlink > 0;
    return DH_OK;
}

static dh_status open_locked(dh_export_lock *lock, const char *folder)
{
    bool is_there = false;
    while (!is_there) {
        if (lock->file >= 0) {
            (void)close(lock->file); /* nothing was written to it */
            lock->file = -1;
        }
        /* Locks over NFS want a file that can be written. */
        DH_TRY(dh_file_open(lock->path, O_RDWR | O_CREAT, &lock->file));
        DH_TRY(lock_file(lock, folder));
        DH_TRY(is_in_folder(lock, &is_there));
    }
    return DH_OK;
}

static void free_lock(dh_export_lock *lock)
{
    if (lock->file >= 0) {
        (void)close(lock->file); /* nothing was written to it */
    }
    free(lock->path);
    free(lock);
}

dh_status dh_export_lock_take(const char *folder, dh_export_lock **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_export_lock), "the lock of a folder", &memory));
    dh_export_lock *lock = memory;
    *lock = (dh_export_lock){.file = -1};
    const size_t size = strlen(folder) + sizeof "/" DH_EXPORT_LOCK_NAME;
    dh_status status = dh_allocate(size, 1, "a path", &memory);
    if (status == DH_OK) {
        lock->path = memory;
        (void)snprintf(lock->path, size, "%s/" DH_EXPORT_LOCK_NAME, folder);
        status = open_locked(lock, folder);
    }
    if (status != DH_OK) {
        free_lock(lock);
        return status;
    }
    *out = lock;
    return DH_OK;
}

dh_status dh_export_lock_release(dh_export_lock *lock)
{
    if (lock == NULL) {
        return DH_OK;
    }
    const dh_status status = dh_file_remove(lock->path); /* still locked: nobody else has it */
    free_lock(lock);
    return status;
}
