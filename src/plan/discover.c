#include "plan/discover.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "read/records.h"
#include "text/utf8.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Folders on the way down, so that a link back to one of them is seen. */
typedef struct folder_chain {
    const struct folder_chain *parent;
    dev_t device;
    ino_t inode;
} folder_chain;

typedef struct file_finder {
    dh_found *found;
    char *own_output;      /* canonical; NULL: none */
    bool leaves_out;       /* the folder that follows */
    dev_t left_out_device; /* known by its inode, so that no link leads into it either */
    ino_t left_out_inode;
} file_finder;

static int get_facts(const char *path, struct stat *facts)
{
    return DH_CALL(STAT, path, stat(path, facts));
}

static DIR *open_folder(const char *path)
{
    DIR *folder = NULL;
    do {
        folder = dh_fault_passes(DH_CALL_FOLDER, path) ? opendir(path) : NULL;
    } while (folder == NULL && errno == EINTR);
    return folder;
}

void dh_found_free(dh_found *found)
{
    for (size_t i = 0; i < found->count; i++) {
        free(found->file[i].path);
        free(found->file[i].name);
    }
    free(found->file);
    *found = (dh_found){0};
}

static dh_status add_file(file_finder *finder, const char *path, size_t base_size, const struct stat *facts,
                          bool loose)
{
    dh_found *found = finder->found;
    if (found->count == UINT32_MAX - 1U) {
        return dh_error(DH_USAGE, "more than 4 billion sources: put many documents into one file (JSONL)");
    }
    if (found->count == found->capacity) {
        const size_t capacity = found->capacity == 0 ? 1024 : found->capacity * 2;
        void *memory = found->file;
        DH_TRY(dh_reallocate(capacity, sizeof *found->file, "the list of sources", &memory));
        found->file = memory;
        found->capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    found->file[found->count++] = (dh_found_file){.path = copy,
                                                  .base_size = base_size,
                                                  .size = (uint64_t)facts->st_size,
                                                  .time = dh_file_time(facts),
                                                  .loose = loose};
    return DH_OK;
}

/* The folder's canonical path and the file's own name: links in the folder are followed, the name stays. */
static dh_status canonical(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    char folder[PATH_MAX];
    const size_t folder_size = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    if (folder_size >= sizeof folder) {
        return dh_error(DH_IO, "%s: the path is too long", path);
    }
    memcpy(folder, path, folder_size);
    folder[folder_size] = '\0';
    if (realpath(folder_size > 0 ? folder : ".", out) == NULL) {
        return dh_error(DH_IO, "%s: cannot find the folder: %s", path, strerror(errno));
    }
    const size_t size = strlen(out);
    const bool slashed = size > 0 && out[size - 1] == '/';
    if (size + strlen(name) + 2 > PATH_MAX) {
        return dh_error(DH_IO, "%s: the path is too long", path);
    }
    if (!slashed) {
        strcat(out, "/");
    }
    strcat(out, name);
    return DH_OK;
}

static dh_status add_loose(file_finder *finder, const char *path, const struct stat *facts)
{
    if (!S_ISREG(facts->st_mode)) {
        return dh_error(DH_IO, "%s: not a regular file or folder", path);
    }
    char full[PATH_MAX];
    DH_TRY(canonical(path, full));
    return add_file(finder, full, 0, facts, true);
}

/* The files of a run that writes its result to `output`, and no others: its neighbours are corpus. */
static bool is_own_output(const char *output, const char *path)
{
    static const char *const suffix[] = {"", ".run.json", ".run.json.tmp", ".quarantine.jsonl"};
    static const char *const beginning[] = {".ckpt/", ".partial-", ".quarantine.jsonl.partial-"};
    const size_t size = output != NULL ? strlen(output) : 0;
    if (size == 0 || strncmp(path, output, size) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
        if (strcmp(path + size, suffix[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof beginning / sizeof *beginning; i++) {
        if (strncmp(path + size, beginning[i], strlen(beginning[i])) == 0) {
            return true;
        }
    }
    return false;
}

static dh_status walk(file_finder *finder, char *path, size_t base_size, const folder_chain *parent);

static dh_status walk_entry(file_finder *finder, char *path, size_t base_size, const folder_chain *chain)
{
    struct stat facts;
    if (get_facts(path, &facts) != 0) {
        if (errno == ENOENT || errno == ELOOP) {
            dh_warning("%s: a link that leads nowhere, left out", path);
            return DH_OK;
        }
        return dh_error(DH_IO, "%s: cannot stat: %s", path, strerror(errno));
    }
    if (S_ISDIR(facts.st_mode)) {
        for (const folder_chain *above = chain; above != NULL; above = above->parent) {
            if (above->device == facts.st_dev && above->inode == facts.st_ino) {
                dh_warning("%s: a link to a folder that it is in, left out", path);
                return DH_OK;
            }
        }
        return walk(finder, path, base_size, chain);
    }
    if (!S_ISREG(facts.st_mode)) {
        dh_warning("%s: neither a file nor a folder, left out", path);
        return DH_OK;
    }
    if (is_own_output(finder->own_output, path)) {
        return DH_OK;
    }
    return add_file(finder, path, base_size, &facts, false);
}

/* path is a buffer of PATH_MAX; it is as before on return. */
static dh_status walk_open(file_finder *finder, DIR *folder, char *path, size_t base_size,
                           const folder_chain *chain)
{
    const size_t size = strlen(path);
    dh_status status = DH_OK;
    errno = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL && status == DH_OK;
         entry = readdir(folder)) {
        const size_t name_size = strlen(entry->d_name);
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (size + name_size + 2 > PATH_MAX) {
            status = dh_error(DH_IO, "%s/%s: the path is too long", path, entry->d_name);
            break;
        }
        const bool slashed = path[size - 1] == '/';
        path[size] = '/';
        memcpy(path + size + (slashed ? 0 : 1), entry->d_name, name_size + 1);
        status = walk_entry(finder, path, base_size, chain);
        path[size] = '\0';
        errno = 0;
    }
    if (status == DH_OK && errno != 0) {
        status = dh_error(DH_IO, "%s: cannot read the folder: %s", path, strerror(errno));
    }
    return status;
}

static bool is_left_out(const file_finder *finder, const struct stat *facts)
{
    return finder->leaves_out && facts->st_dev == finder->left_out_device &&
           facts->st_ino == finder->left_out_inode;
}

static dh_status walk(file_finder *finder, char *path, size_t base_size, const folder_chain *parent)
{
    DIR *folder = open_folder(path);
    struct stat facts;
    dh_status status = DH_OK;
    if (folder == NULL || fstat(dirfd(folder), &facts) != 0) {
        const int reason = errno;
        status = reason == ENOMEM ? dh_error(DH_NO_MEMORY, "out of memory: the folder %s", path)
                                  : dh_error(DH_IO, "%s: cannot open the folder: %s", path, strerror(reason));
    } else if (!is_left_out(finder, &facts)) {
        const folder_chain chain = {parent, facts.st_dev, facts.st_ino};
        status = walk_open(finder, folder, path, base_size, &chain);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return status;
}

static dh_status add_folder(file_finder *finder, const char *path)
{
    char full[PATH_MAX];
    if (realpath(path, full) == NULL) {
        return dh_error(DH_IO, "%s: %s", path, strerror(errno));
    }
    const size_t size = strlen(full);
    return walk(finder, full, full[size - 1] == '/' ? size : size + 1, NULL);
}

static dh_status add_path(file_finder *finder, const char *path)
{
    struct stat facts;
    if (get_facts(path, &facts) != 0) {
        return dh_error(DH_IO, "%s: cannot read: %s", path, strerror(errno));
    }
    return S_ISDIR(facts.st_mode) ? add_folder(finder, path) : add_loose(finder, path, &facts);
}

/* glob passes over folders that it cannot read unless it is told not to, and what is in them would be missing
 * without a word. A name that is gone is no error. */
static int stop_glob(const char *path, int reason)
{
    (void)path;
    return reason != ENOENT && reason != ENOTDIR && reason != ELOOP;
}

static dh_status add_glob(file_finder *finder, const char *pattern)
{
    glob_t matches = {0};
    errno = 0;
    const int code = glob(pattern, GLOB_BRACE, stop_glob, &matches);
    const int reason = errno;
    dh_status status = DH_OK;
    if (code == GLOB_NOMATCH) {
        status = dh_error(DH_IO, "%s: no file matches", pattern);
    } else if (code == GLOB_NOSPACE || (code != 0 && reason == ENOMEM)) {
        status = dh_error(DH_NO_MEMORY, "out of memory: the files of %s", pattern);
    } else if (code != 0) {
        status = dh_error(DH_IO, "%s: cannot read the folders: %s", pattern, strerror(reason));
    }
    for (size_t i = 0; i < matches.gl_pathc && status == DH_OK; i++) {
        status = add_path(finder, matches.gl_pathv[i]);
    }
    globfree(&matches);
    return status;
}

static dh_status add_list(file_finder *finder, const char *list)
{
    dh_buffer text = {0};
    dh_status status = dh_file_read_all(list, UINT64_MAX, &text);
    if (status == DH_OK) {
        status = dh_buffer_append(&text, "\n", 2); /* a line end, and a NUL */
    }
    if (status == DH_OK && strlen((const char *)text.data) + 1 != text.size) {
        status = dh_error(DH_USAGE, "%s: a list has one path a line, but this one has NUL bytes", list);
    }
    char *rest = (char *)text.data;
    while (status == DH_OK && *rest != '\0') {
        char *end = strchr(rest, '\n');
        *end = '\0';
        if (end > rest && end[-1] == '\r') {
            end[-1] = '\0';
        }
        if (*rest != '\0') {
            status = add_path(finder, rest);
        }
        rest = end + 1;
    }
    dh_buffer_free(&text);
    return status;
}

static dh_status add_input(file_finder *finder, const char *input)
{
    if (input[0] == '@') {
        return add_list(finder, input + 1);
    }
    bool there = false;
    DH_TRY(dh_file_exists(input, &there));
    if (!there && strpbrk(input, "*?[{") != NULL) {
        return add_glob(finder, input);
    }
    return add_path(finder, input);
}

/* ---- names ------------------------------------------------------------------------------------------- */

/* The longest folder, with its slash, that all chosen files are in. */
static size_t common_folder(const dh_found *found, bool loose_only)
{
    const char *first = NULL;
    size_t size = 0;
    for (size_t i = 0; i < found->count; i++) {
        const dh_found_file *file = &found->file[i];
        if (loose_only && !file->loose) {
            continue;
        }
        if (first == NULL) {
            first = file->path;
            size = (size_t)(strrchr(first, '/') - first) + 1;
            continue;
        }
        size_t same = 0;
        while (same < size && file->path[same] == first[same]) {
            same++;
        }
        while (same > 0 && first[same - 1] != '/') {
            same--;
        }
        size = same;
    }
    return size;
}

static dh_status name_file(dh_found_file *file)
{
    const char *relative = file->path + file->base_size;
    const size_t size = dh_name_without_compression(relative);
    dh_buffer name = {0};
    uint64_t replaced = 0;
    dh_status status = dh_utf8_repair((const uint8_t *)relative, size, &name, &replaced);
    for (size_t i = 0; i < name.size; i++) { /* a line end in a name would break lists and tables */
        if (name.data[i] < 0x20 || name.data[i] == 0x7F) {
            name.data[i] = '_';
        }
    }
    if (status == DH_OK) {
        status = dh_buffer_append(&name, "", 1);
    }
    if (status != DH_OK) {
        dh_buffer_free(&name);
        return status;
    }
    free(file->name);
    file->name = (char *)name.data;
    return DH_OK;
}

/* Of a file that was found twice, the one with the longer name (less of the path is left out) comes first,
 * so that the order of the inputs does not matter. */
static int compare_paths(const void *a, const void *b)
{
    const dh_found_file *left = a;
    const dh_found_file *right = b;
    const int paths = strcmp(left->path, right->path);
    if (paths != 0) {
        return paths;
    }
    if (left->loose != right->loose) {
        return left->loose ? 1 : -1;
    }
    return left->base_size < right->base_size ? -1 : left->base_size > right->base_size;
}

static int compare_names(const void *a, const void *b)
{
    const int names = strcmp(((const dh_found_file *)a)->name, ((const dh_found_file *)b)->name);
    return names != 0 ? names : compare_paths(a, b);
}

/* A file that is given twice (by its folder and by itself, say) is read once. */
static void drop_repeated(dh_found *found)
{
    size_t kept = 0;
    qsort(found->file, found->count, sizeof *found->file, compare_paths);
    for (size_t i = 0; i < found->count; i++) {
        if (kept > 0 && strcmp(found->file[kept - 1].path, found->file[i].path) == 0) {
            dh_say_verbose("%s is given twice and read once", found->file[i].path);
            free(found->file[i].path);
        } else {
            found->file[kept++] = found->file[i];
        }
    }
    found->count = kept;
}

static dh_status name_all(dh_found *found)
{
    for (size_t i = 0; i < found->count; i++) {
        DH_TRY(name_file(&found->file[i]));
    }
    qsort(found->file, found->count, sizeof *found->file, compare_names);
    return DH_OK;
}

static const dh_found_file *first_collision(const dh_found *found)
{
    for (size_t i = 1; i < found->count; i++) {
        if (strcmp(found->file[i - 1].name, found->file[i].name) == 0) {
            return &found->file[i - 1];
        }
    }
    return NULL;
}

/* Folders are walked by their canonical paths, so the output must be known by its own. */
static dh_status find_own_output(const char *output, file_finder *finder)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(PATH_MAX, 1, "a path", &memory));
    const dh_status status = canonical(output, memory);
    if (status != DH_OK) {
        free(memory);
        return status;
    }
    finder->own_output = memory;
    return DH_OK;
}

/* A folder that does not exist has nothing to leave out. */
static dh_status find_left_out(const char *path, file_finder *finder)
{
    struct stat facts;
    if (get_facts(path, &facts) != 0) {
        return errno == ENOENT ? DH_OK : dh_error(DH_IO, "%s: cannot stat: %s", path, strerror(errno));
    }
    finder->leaves_out = true;
    finder->left_out_device = facts.st_dev;
    finder->left_out_inode = facts.st_ino;
    return DH_OK;
}

static dh_status add_inputs(char *const *input, size_t input_count, const char *output, const char *left_out,
                            dh_found *out)
{
    file_finder finder = {.found = out};
    dh_status status = output != NULL ? find_own_output(output, &finder) : DH_OK;
    if (status == DH_OK && left_out != NULL) {
        status = find_left_out(left_out, &finder);
    }
    for (size_t i = 0; i < input_count && status == DH_OK; i++) {
        status = add_input(&finder, input[i]);
    }
    free(finder.own_output);
    return status;
}

dh_status dh_discover(char *const *input, size_t input_count, const char *exclude_prefix,
                      const char *exclude_folder, dh_found *out)
{
    DH_TRY(add_inputs(input, input_count, exclude_prefix, exclude_folder, out));
    if (out->count == 0) {
        return dh_error(DH_USAGE, "no source: the inputs hold no file");
    }
    drop_repeated(out);
    const size_t loose_base = common_folder(out, true);
    for (size_t i = 0; i < out->count; i++) {
        if (out->file[i].loose) {
            out->file[i].base_size = loose_base;
        }
    }
    DH_TRY(name_all(out));
    if (first_collision(out) != NULL) {
        /* Inputs with files of the same name: name all relative to the folder that holds all inputs. */
        const size_t base = common_folder(out, false);
        for (size_t i = 0; i < out->count; i++) {
            out->file[i].base_size = base;
        }
        DH_TRY(name_all(out));
    }
    const dh_found_file *twin = first_collision(out);
    if (twin != NULL) {
        return dh_error(DH_USAGE, "%s and %s would both be source \"%s\": leave one of them out",
                        twin[0].path, twin[1].path, twin[0].name);
    }
    return DH_OK;
}
