/* dhatu: what lies in a checkpoint folder, by name (docs/formats.md, "Checkpoint").
 *
 *     attempt-EEEEEE                a start of dhatu, counted from 1 (the epoch): who holds the folder
 *     manifest                      what is computed from what
 *     spill-EEEEEE-RRRRRR           chunks that rank R of epoch E wrote
 *     journal-EEEEEE-RRRRRR         which segments of that spill are complete
 *     shuffle-EEEEEE-RRRRRR-NAME-N  a sorted run of the shuffle NAME
 *     part-EEEEEE-RRRRRR-NAME       what that rank wrote of the stage NAME
 *     stage-NAME                    the stage is complete; its parts
 *     result                        which file the result became
 *     stop                          made by the user: leave politely */
#ifndef DH_CHECKPOINT_FOLDER_H
#define DH_CHECKPOINT_FOLDER_H

#include "base/file.h"

typedef enum dh_checkpoint_file {
    DH_CHECKPOINT_OTHER = 0, /* none of ours: never touched */
    DH_CHECKPOINT_ATTEMPT,
    DH_CHECKPOINT_MANIFEST,
    DH_CHECKPOINT_SPILL,
    DH_CHECKPOINT_JOURNAL,
    DH_CHECKPOINT_SHUFFLE,
    DH_CHECKPOINT_PART,
    DH_CHECKPOINT_STAGE,
    DH_CHECKPOINT_RESULT,
    DH_CHECKPOINT_STOP,
    DH_CHECKPOINT_TEMPORARY /* left by a killed process: NAME.tmp and attempt-*.claim-* of ours */
} dh_checkpoint_file;

/* What a name is. epoch and rank are set where the name has them (0 else). */
dh_checkpoint_file dh_checkpoint_classify(const char *name, uint32_t *epoch, uint32_t *rank);

/* The path of a file without NAME, with a NUL. out is emptied first. epoch and rank are used where the name
 * has them. */
dh_status dh_checkpoint_path(const char *folder, dh_checkpoint_file file, uint32_t epoch, uint32_t rank,
                             dh_buffer *out);

/* A file that has a NAME. */
enum { DH_CHECKPOINT_NAME_MAX = 31 };
typedef struct dh_checkpoint_name {
    dh_checkpoint_file file; /* shuffle, part or stage */
    uint32_t epoch, rank;    /* not of a stage */
    const char *name;        /* 1 to DH_CHECKPOINT_NAME_MAX of [a-z] */
    uint64_t number;         /* N of a shuffle */
} dh_checkpoint_name;

/* Its path, with a NUL. out is emptied first. Errors: DH_INTERNAL (logged): not such a name; DH_NO_MEMORY. */
dh_status dh_checkpoint_named_path(const char *folder, const dh_checkpoint_name *name, dh_buffer *out);

/* Opens one of them for reading. *file is -1, and that is no error, where there is none. *size: its bytes.
 * path: is set, for messages. Errors: DH_IO (logged; also: not a regular file), DH_NO_MEMORY. */
dh_status dh_checkpoint_open(const char *folder, dh_checkpoint_file which, uint32_t epoch, uint32_t rank,
                             dh_buffer *path, int *file, uint64_t *size);

/* Removes all of our files, `stop` too, but attempt-`epoch`: stages and their parts, then journals, spills,
 * attempts last. Files of others stay. Errors: DH_IO (logged), DH_NO_MEMORY. */
dh_status dh_checkpoint_clear(const char *folder, uint32_t epoch);

/* dh_checkpoint_clear, then attempt-`epoch` (so that the folder is held to the last), then the folder itself
 * if remove_folder and nothing else is in it. */
dh_status dh_checkpoint_remove(const char *folder, uint32_t epoch, bool remove_folder);

#endif
