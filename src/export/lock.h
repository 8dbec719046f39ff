/* dhatu: one export at a time writes into a folder. The lock is one of the system on a file in the folder, so
 * it is gone with the process, however that ends. */
#ifndef DH_EXPORT_LOCK_H
#define DH_EXPORT_LOCK_H

#include "base/status.h"

#define DH_EXPORT_LOCK_NAME "export.lock"

typedef struct dh_export_lock dh_export_lock;

/* Takes the lock of a folder that exists. On a file system without locks it warns and goes on without one.
 * Errors: DH_LOCKED (another process has it; logged), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_export_lock_take(const char *folder, dh_export_lock **out);

/* Gives it back; the file is removed. Frees in any case; NULL is fine. Errors: DH_IO (logged). */
dh_status dh_export_lock_release(dh_export_lock *lock);

#endif
