#include "run/scratch.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUN_DIGITS = 16, FOLDER_MODE = 0700 };

typedef struct search {
    const char *base;
    char prefix[sizeof "dhatu-" + RUN_DIGITS + 1]; /* dhatu-RRRRRRRRRRRRRRRR- */
    uint32_t epoch;
} search;

static search make_search(const char *base, const uint8_t run[16], uint32_t epoch)
{
    search made = {.base = base, .prefix = "dhatu-", .epoch = epoch};
    char *at = made.prefix + strlen(made.prefix);
    dh_hex(run, RUN_DIGITS / 2, at);
    at[RUN_DIGITS] = '-';
    return made;
}

/* ---- what was left ----------------------------------------------------------------------------------- */

/* Removes the runs in a folder. */
static dh_status remove_run(void *folder, const char *name)
{
    uint32_t epoch = 0;
    uint32_t rank = 0;
    return dh_checkpoint_classify(name, &epoch, &rank) == DH_CHECKPOINT_SHUFFLE
               ? dh_file_remove_in(folder, name)
               : DH_OK;
}

/* DIR may be a place where everybody can make names: no link is followed, and nothing of others is touched.
 */
static bool is_own_folder(const char *path)
{
    struct stat facts;
    return DH_CALL(STAT, path, lstat(path, &facts)) == 0 && S_ISDIR(facts.st_mode) &&
           facts.st_uid == geteuid();
}

/* Of an attempt of this run before this one. */
static dh_status remove_left(void *context, const char *name)
{
    const search *from = context;
    const size_t size = strlen(from->prefix);
    char *end = NULL;
    if (strncmp(name, from->prefix, size) != 0) {
        return DH_OK;
    }
    const unsigned long epoch = strtoul(name + size, &end, 10);
    if (*end != '-' || epoch >= from->epoch) {
        return DH_OK;
    }
    dh_buffer path = {0};
    dh_status status = dh_buffer_printf(&path, "%s/%s", from->base, name);
    if (status == DH_OK) {
        status = dh_buffer_append(&path, "", 1);
    }
    char *folder = (char *)path.data;
    if (status == DH_OK && is_own_folder(folder)) {
        status = dh_folder_list(folder, remove_run, folder);
        if (status == DH_OK && DH_CALL(FOLDER, folder, rmdir(folder)) != 0) {
            dh_warning("%s: what an earlier attempt left cannot be removed: %s", folder, strerror(errno));
        }
    }
    dh_buffer_free(&path);
    return status;
}

/* ---- the rank's own ---------------------------------------------------------------------------------- */

static dh_status name_folder(const search *from, uint32_t rank, char **out)
{
    dh_buffer path = {0};
    DH_TRY(dh_buffer_printf(&path, "%s/%s%06" PRIu32 "-%06" PRIu32, from->base, from->prefix, from->epoch,
                            rank));
    const dh_status status = dh_buffer_append(&path, "", 1);
    if (status != DH_OK) {
        dh_buffer_free(&path);
        return status;
    }
    *out = (char *)path.data;
    return DH_OK;
}

dh_status dh_scratch_open(const dh_scratch_options *options, dh_scratch *out)
{
    char *folder = NULL;
    if (options->base != NULL) {
        search from = make_search(options->base, options->run, options->epoch);
        DH_TRY(name_folder(&from, options->rank, &folder));
        if (DH_CALL(FOLDER, folder, mkdir(folder, FOLDER_MODE)) == 0) {
            if (options->sweeps) {
                (void)dh_folder_list(options->base, remove_left,
                                     &from); /* logged; what stays takes room, no more */
            }
            *out = (dh_scratch){.folder = folder, .ours = true};
            return DH_OK;
        }
        dh_warning("--scratch: %s: %s: the checkpoint folder is used in its place", folder, strerror(errno));
        free(folder);
    }
    folder = strdup(options->checkpoint);
    if (folder == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    *out = (dh_scratch){.folder = folder};
    return DH_OK;
}

void dh_scratch_close(dh_scratch *scratch)
{
    if (scratch->ours && DH_CALL(FOLDER, scratch->folder, rmdir(scratch->folder)) != 0) {
        dh_warning("%s: cannot be removed: %s", scratch->folder, strerror(errno));
    }
    free(scratch->folder);
    *scratch = (dh_scratch){0};
}
