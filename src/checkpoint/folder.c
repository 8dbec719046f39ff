#include "checkpoint/folder.h"

#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ------------------------------------------------------------------------------------------- */

static const char *const plain_name[] = {
    [DH_CHECKPOINT_MANIFEST] = "manifest",
    [DH_CHECKPOINT_RESULT] = "result",
    [DH_CHECKPOINT_STOP] = "stop",
};

static bool skip(const char **at, const char *text)
{
    const size_t size = strlen(text);
    if (strncmp(*at, text, size) != 0) {
        return false;
    }
    *at += size;
    return true;
}

/* A number as "%06u" writes it, and nothing that it does not write. */
static bool skip_number(const char **at, uint32_t *out)
{
    uint64_t number = 0;
    size_t digits = 0;
    for (; (*at)[digits] >= '0' && (*at)[digits] <= '9'; digits++) {
        if (digits == 10) { /* UINT32_MAX has ten */
            return false;
        }
        number = 10 * number + (uint64_t)((*at)[digits] - '0');
    }
    if (digits < 6 || (digits > 6 && **at == '0') || number > UINT32_MAX) {
        return false;
    }
    *at += digits;
    *out = (uint32_t)number;
    return true;
}

/* NAME; what follows it is checked by who asks. */
static bool skip_word(const char **at)
{
    size_t size = 0;
    while ((*at)[size] >= 'a' && (*at)[size] <= 'z') {
        size++;
    }
    *at += size;
    return size > 0 && size <= DH_CHECKPOINT_NAME_MAX;
}

/* A number as "%llu" writes it. */
static bool skip_count(const char **at)
{
    enum { DIGITS_MAX = 19 }; /* as many as always fit */
    size_t digits = 0;
    while ((*at)[digits] >= '0' && (*at)[digits] <= '9') {
        digits++;
    }
    const bool good = digits > 0 && digits <= DIGITS_MAX && (digits == 1 || **at != '0');
    *at += digits;
    return good;
}

/* What comes behind epoch and rank. */
static bool skip_tail(const char **at, dh_checkpoint_file file)
{
    switch (file) {
    case DH_CHECKPOINT_PART:
        return skip(at, "-") && skip_word(at);
    case DH_CHECKPOINT_SHUFFLE:
        return skip(at, "-") && skip_word(at) && skip(at, "-") && skip_count(at);
    default:
        return true;
    }
}

static const struct {
    const char *begin;
    dh_checkpoint_file file;
} numbered_name[] = {
    {"attempt-", DH_CHECKPOINT_ATTEMPT}, {"spill-", DH_CHECKPOINT_SPILL}, {"journal-", DH_CHECKPOINT_JOURNAL},
    {"shuffle-", DH_CHECKPOINT_SHUFFLE}, {"part-", DH_CHECKPOINT_PART},
};

/* The longest name of ours at the start of *at, which then is what follows it. */
static dh_checkpoint_file skip_name(const char **at, uint32_t *epoch, uint32_t *rank)
{
    static const dh_checkpoint_file plain[] = {DH_CHECKPOINT_MANIFEST, DH_CHECKPOINT_RESULT,
                                               DH_CHECKPOINT_STOP};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (skip(at, plain_name[plain[i]])) {
            return plain[i];
        }
    }
    if (skip(at, "stage-")) {
        return skip_word(at) ? DH_CHECKPOINT_STAGE : DH_CHECKPOINT_OTHER;
    }
    dh_checkpoint_file file = DH_CHECKPOINT_OTHER;
    for (size_t i = 0; i < sizeof numbered_name / sizeof numbered_name[0] && file == DH_CHECKPOINT_OTHER;
         i++) {
        file = skip(at, numbered_name[i].begin) ? numbered_name[i].file : DH_CHECKPOINT_OTHER;
    }
    if (file == DH_CHECKPOINT_OTHER || !skip_number(at, epoch) || *epoch == 0) { /* attempts count from 1 */
        return DH_CHECKPOINT_OTHER;
    }
    if (file != DH_CHECKPOINT_ATTEMPT && !(skip(at, "-") && skip_number(at, rank))) {
        return DH_CHECKPOINT_OTHER;
    }
    return skip_tail(at, file) ? file : DH_CHECKPOINT_OTHER;
}

static bool is_numbered(dh_checkpoint_file file)
{
    for (size_t i = 0; i < sizeof numbered_name / sizeof numbered_name[0]; i++) {
        if (numbered_name[i].file == file) {
            return true;
        }
    }
    return false;
}

dh_checkpoint_file dh_checkpoint_classify(const char *name, uint32_t *epoch, uint32_t *rank)
{
    const char *rest = name;
    uint32_t name_epoch = 0;
    uint32_t name_rank = 0;
    dh_checkpoint_file file = skip_name(&rest, &name_epoch, &name_rank);
    if (file != DH_CHECKPOINT_OTHER && *rest != '\0') {
        const bool claim = file == DH_CHECKPOINT_ATTEMPT && skip(&rest, ".claim-") && *rest != '\0';
        file = claim || strcmp(rest, ".tmp") == 0 ? DH_CHECKPOINT_TEMPORARY : DH_CHECKPOINT_OTHER;
    }
    const bool numbered = is_numbered(file);
    *epoch = numbered ? name_epoch : 0;
    *rank = numbered ? name_rank : 0;
    return file;
}

dh_status dh_checkpoint_path(const char *folder, dh_checkpoint_file file, uint32_t epoch, uint32_t rank,
                             dh_buffer *out)
{
    out->size = 0;
    switch (file) {
    case DH_CHECKPOINT_ATTEMPT:
        DH_TRY(dh_buffer_printf(out, "%s/attempt-%06u", folder, epoch));
        break;
    case DH_CHECKPOINT_SPILL:
        DH_TRY(dh_buffer_printf(out, "%s/spill-%06u-%06u", folder, epoch, rank));
        break;
    case DH_CHECKPOINT_JOURNAL:
        DH_TRY(dh_buffer_printf(out, "%s/journal-%06u-%06u", folder, epoch, rank));
        break;
    case DH_CHECKPOINT_MANIFEST:
    case DH_CHECKPOINT_RESULT:
    case DH_CHECKPOINT_STOP:
        DH_TRY(dh_buffer_printf(out, "%s/%s", folder, plain_name[file]));
        break;
    case DH_CHECKPOINT_OTHER:
    case DH_CHECKPOINT_SHUFFLE:
    case DH_CHECKPOINT_PART:
    case DH_CHECKPOINT_STAGE:
    case DH_CHECKPOINT_TEMPORARY:
        return dh_error(DH_INTERNAL, "%s: a file without a name of its own was asked for", folder);
    }
    return dh_buffer_append(out, "", 1);
}

dh_status dh_checkpoint_named_path(const char *folder, const dh_checkpoint_name *name, dh_buffer *out)
{
    const char *rest = name->name;
    if (!skip_word(&rest) || *rest != '\0') {
        return dh_error(DH_INTERNAL, "%s: \"%s\" cannot be a part of a file's name", folder, name->name);
    }
    out->size = 0;
    switch (name->file) {
    case DH_CHECKPOINT_SHUFFLE:
        DH_TRY(dh_buffer_printf(out, "%s/shuffle-%06u-%06u-%s-%" PRIu64, folder, name->epoch, name->rank,
                                name->name, name->number));
        break;
    case DH_CHECKPOINT_PART:
        DH_TRY(dh_buffer_printf(out, "%s/part-%06u-%06u-%s", folder, name->epoch, name->rank, name->name));
        break;
    case DH_CHECKPOINT_STAGE:
        DH_TRY(dh_buffer_printf(out, "%s/stage-%s", folder, name->name));
        break;
    default:
        return dh_error(DH_INTERNAL, "%s: a file without a name of its own was asked for: %s", folder,
                        name->name);
    }
    return dh_buffer_append(out, "", 1);
}

/* ---- opening ----------------------------------------------------------------------------------------- */

/* O_NONBLOCK: a FIFO in the place of a file would hold us for ever. */
static int open_to_read(const char *path)
{
    return DH_CALL(OPEN, path, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

dh_status dh_checkpoint_open(const char *folder, dh_checkpoint_file which, uint32_t epoch, uint32_t rank,
                             dh_buffer *path, int *file, uint64_t *size)
{
    DH_TRY(dh_checkpoint_path(folder, which, epoch, rank, path));
    const char *name = (const char *)path->data;
    const int opened = open_to_read(name);
    if (opened < 0) {
        if (errno != ENOENT) {
            return dh_error(DH_IO, "%s: cannot open: %s", name, strerror(errno));
        }
        *file = -1;
        *size = 0;
        return DH_OK;
    }
    struct stat facts;
    if (DH_CALL(STAT, name, fstat(opened, &facts)) != 0) {
        const int reason = errno;
        (void)close(opened);
        return dh_error(DH_IO, "%s: cannot stat: %s", name, strerror(reason));
    }
    if (!S_ISREG(facts.st_mode)) {
        (void)close(opened);
        return dh_error(DH_IO, "%s: not a regular file", name);
    }
    *file = opened;
    *size = (uint64_t)facts.st_size;
    return DH_OK;
}

/* ---- removing ---------------------------------------------------------------------------------------- */

/* Stages go before their parts and journals before spills, so that none speaks of bytes that are gone;
 * stages, which are made of all segments, before journals. The mark of the result goes behind the manifest: a
 * run that was killed while it removed the checkpoint of a complete result must not begin anew. Attempts go
 * last: the folder is held until then. */
static const dh_checkpoint_file removal_order[] = {
    DH_CHECKPOINT_STAGE,  DH_CHECKPOINT_PART,      DH_CHECKPOINT_SHUFFLE, DH_CHECKPOINT_JOURNAL,
    DH_CHECKPOINT_SPILL,  DH_CHECKPOINT_TEMPORARY, DH_CHECKPOINT_STOP,    DH_CHECKPOINT_MANIFEST,
    DH_CHECKPOINT_RESULT, DH_CHECKPOINT_ATTEMPT,
};

/* Names with their NUL, one after the other: what is removed is listed first, as some file systems skip names
 * when a folder changes under the listing. */
typedef struct name_list {
    dh_buffer names;
    uint32_t keep; /* the attempt that stays */
} name_list;

static dh_status list_name(void *context, const char *name)
{
    name_list *list = context;
    uint32_t epoch = 0;
    uint32_t rank = 0;
    const dh_checkpoint_file file = dh_checkpoint_classify(name, &epoch, &rank);
    if (file == DH_CHECKPOINT_OTHER || (file == DH_CHECKPOINT_ATTEMPT && epoch == list->keep)) {
        return DH_OK;
    }
    return dh_buffer_append(&list->names, name, strlen(name) + 1);
}

static dh_status remove_listed(const char *folder, const dh_buffer *names, dh_checkpoint_file which,
                               dh_buffer *path)
{
    for (size_t at = 0; at < names->size;) {
        const char *name = (const char *)names->data + at;
        at += strlen(name) + 1;
        uint32_t epoch = 0;
        uint32_t rank = 0;
        if (dh_checkpoint_classify(name, &epoch, &rank) == which) {
            path->size = 0;
            DH_TRY(dh_buffer_printf(path, "%s/%s", folder, name));
            DH_TRY(dh_file_remove((const char *)path->data));
        }
    }
    return DH_OK;
}

dh_status dh_checkpoint_clear(const char *folder, uint32_t epoch)
{
    name_list list = {.keep = epoch};
    dh_buffer path = {0};
    dh_status status = dh_folder_list(folder, list_name, &list);
    for (size_t i = 0; i < sizeof removal_order / sizeof removal_order[0] && status == DH_OK; i++) {
        status = remove_listed(folder, &list.names, removal_order[i], &path);
    }
    dh_buffer_free(&list.names);
    dh_buffer_free(&path);
    return status;
}

static dh_status remove_empty_folder(const char *folder)
{
    /* Other people's files keep it; systems say either. */
    if (DH_CALL(FOLDER, folder, rmdir(folder)) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
        return dh_error(DH_IO, "%s: cannot remove the folder: %s", folder, strerror(errno));
    }
    return DH_OK;
}

dh_status dh_checkpoint_remove(const char *folder, uint32_t epoch, bool remove_folder)
{
    DH_TRY(dh_checkpoint_clear(folder, epoch));
    dh_buffer path = {0};
    dh_status status = dh_checkpoint_path(folder, DH_CHECKPOINT_ATTEMPT, epoch, 0, &path);
    if (status == DH_OK) {
        status = dh_file_remove((const char *)path.data);
    }
    dh_buffer_free(&path);
    return status == DH_OK && remove_folder ? remove_empty_folder(folder) : status;
}
