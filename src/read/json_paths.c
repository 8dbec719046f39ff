#include "read/json_paths.h"

#include "base/log.h"
#include "read/json_string.h"

#include <stdlib.h>
#include <string.h>

/* ---- compiling -------------------------------------------------------------------------------------- */

/* Cuts a path at its dots; names are written behind *to, which moves on. */
static dh_status path_cut(dh_json_paths *paths, size_t index, const char *path, uint8_t **to)
{
    size_t depth = 0;
    const char *at = path;
    for (bool more = true; more;) {
        if (depth == DH_JSON_PATH_DEPTH_MAX) {
            return dh_error(DH_USAGE, "field \"%s\": more than %d names", path, DH_JSON_PATH_DEPTH_MAX);
        }
        dh_json_name *name = &paths->name[index][depth++];
        name->text = *to;
        while (*at != '\0' && *at != '.') {
            if (at[0] == '\\' && at[1] == '.') {
                at++;
            }
            *(*to)++ = (uint8_t)*at++;
        }
        name->size = (size_t)(*to - name->text);
        if (name->size == 0) {
            return dh_error(DH_USAGE, "field \"%s\": an empty name", path);
        }
        more = *at == '.';
        at += more;
    }
    paths->depth[index] = depth;
    paths->used |= 1U << index;
    paths->ends[depth - 1] |= 1U << index;
    return DH_OK;
}

static bool name_equal(dh_json_name a, dh_json_name b)
{
    return a.size == b.size && memcmp(a.text, b.text, a.size) == 0;
}

/* True when path a names an object that path b goes into. */
static bool path_holds(const dh_json_paths *paths, size_t a, size_t b)
{
    if (paths->depth[a] >= paths->depth[b]) {
        return false;
    }
    for (size_t level = 0; level < paths->depth[a]; level++) {
        if (!name_equal(paths->name[a][level], paths->name[b][level])) {
            return false;
        }
    }
    return true;
}

static dh_status paths_check(const dh_json_paths *paths, const char *const *path)
{
    for (size_t a = 0; a < paths->count; a++) {
        for (size_t b = 0; b < paths->count; b++) {
            if (path[a] != NULL && path[b] != NULL && path_holds(paths, a, b)) {
                return dh_error(DH_USAGE, "field \"%s\" lies inside field \"%s\"", path[b], path[a]);
            }
        }
    }
    return DH_OK;
}

dh_status dh_json_paths_create(const char *const *path, size_t count, dh_json_paths **out)
{
    if (count > DH_JSON_FIELDS_MAX) {
        return dh_error(DH_INTERNAL, "%zu fields of a line, at most %d are possible", count,
                        DH_JSON_FIELDS_MAX);
    }
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += path[i] != NULL ? strlen(path[i]) : 0;
    }
    void *memory;
    DH_TRY(dh_allocate(1, sizeof(dh_json_paths), "the fields of a line", &memory));
    dh_json_paths *paths = memory;
    dh_status status = dh_allocate(size, 1, "the names of fields", &memory);
    if (status != DH_OK) {
        goto fail;
    }
    paths->text = memory;
    paths->count = count;
    uint8_t *to = paths->text;
    for (size_t i = 0; i < count; i++) {
        if (path[i] != NULL && (status = path_cut(paths, i, path[i], &to)) != DH_OK) {
            goto fail;
        }
    }
    if ((status = paths_check(paths, path)) != DH_OK) {
        goto fail;
    }
    *out = paths;
    return DH_OK;

fail:
    dh_json_paths_free(paths);
    return status;
}

void dh_json_paths_free(dh_json_paths *paths)
{
    if (paths != NULL) {
        free(paths->text);
        free(paths);
    }
}

/* ---- comparing -------------------------------------------------------------------------------------- */

/* Compares piece by piece, so that a long name in a line needs no memory. */
static bool name_equal_escaped(dh_json_name name, const uint8_t *text, size_t size)
{
    const uint8_t *at = text;
    const uint8_t *const limit = text + size;
    size_t equal = 0;
    while (at < limit) {
        uint8_t bytes[4] = {*at};
        size_t written = 1;
        if (*at == '\\') {
            uint64_t replaced = 0;
            at += dh_json_escape_decode(at, limit, bytes, &written, &replaced);
        } else {
            at++;
        }
        if (written > name.size - equal || memcmp(name.text + equal, bytes, written) != 0) {
            return false;
        }
        equal += written;
    }
    return equal == name.size;
}

dh_json_path_set dh_json_paths_match(const dh_json_paths *paths, dh_json_path_set set, size_t level,
                                     const uint8_t *text, size_t size, bool has_escapes)
{
    dh_json_path_set found = 0;
    for (; set != 0; set &= set - 1) {
        const unsigned i = (unsigned)__builtin_ctz(set);
        const dh_json_name name = paths->name[i][level];
        const bool equal =
            has_escapes ? name_equal_escaped(name, text, size) : name_equal(name, (dh_json_name){text, size});
        found |= (dh_json_path_set)equal << i;
    }
    return found;
}
