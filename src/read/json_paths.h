/* dhatu: the compiled paths of read/json.h, for the scanner in json.c. */
#ifndef DH_READ_JSON_PATHS_H
#define DH_READ_JSON_PATHS_H

#include "read/json.h"

/* A set of paths: bit i is path i. */
typedef uint32_t dh_json_path_set;

typedef struct dh_json_name {
    const uint8_t *text;
    size_t size;
} dh_json_name;

struct dh_json_paths {
    size_t count;
    dh_json_path_set used;                         /* those that are not NULL */
    dh_json_path_set ends[DH_JSON_PATH_DEPTH_MAX]; /* those whose last name is the one of this level */
    size_t depth[DH_JSON_FIELDS_MAX];              /* how many names */
    dh_json_name name[DH_JSON_FIELDS_MAX][DH_JSON_PATH_DEPTH_MAX];
    uint8_t *text; /* of all names */
};

/* Those of the set whose name at this level is the string at text, still escaped where has_escapes. */
dh_json_path_set dh_json_paths_match(const dh_json_paths *paths, dh_json_path_set set, size_t level,
                                     const uint8_t *text, size_t size, bool has_escapes);

#endif
