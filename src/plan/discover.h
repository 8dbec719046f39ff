/* dhatu: INPUT arguments to files. */
#ifndef DH_PLAN_DISCOVER_H
#define DH_PLAN_DISCOVER_H

#include "base/buffer.h"

#include <stdbool.h>

typedef struct dh_found_file {
    char *path;       /* canonical folder and the file's own name */
    char *name;       /* as of dh_source.name */
    size_t base_size; /* bytes of path in front of the name */
    uint64_t size;
    uint64_t time; /* of change, ns since 1970 */
    bool loose;    /* given by itself, by a glob or a list: named relative to the folder all of these share */
} dh_found_file;

typedef struct dh_found {
    dh_found_file *file;
    size_t count, capacity;
} dh_found;

/* Finds the files of all inputs, names them and sorts them by name. exclude_prefix and exclude_folder as of
 * dh_plan_options. Errors as of dh_plan_make. */
dh_status dh_discover(char *const *input, size_t input_count, const char *exclude_prefix,
                      const char *exclude_folder, dh_found *out);
void dh_found_free(dh_found *found);

#endif
