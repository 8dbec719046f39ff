/* dhatu: what a checkpoint was computed from and how: fingerprints of the sources, the options that matter.
 *
 * A rerun makes its own manifest and compares: what differs is named, and the run refuses. The file: a
 * header, the options as text, the sources, their names; XXH3-128 of all of it at the end. Written once,
 * atomically. */
#ifndef DH_CHECKPOINT_MANIFEST_H
#define DH_CHECKPOINT_MANIFEST_H

#include "checkpoint/journal.h"
#include "plan/plan.h"

typedef enum dh_fingerprint_kind {
    DH_FINGERPRINT_ENDS = 0, /* size, time of change, hash of the first and last 64 KiB */
    DH_FINGERPRINT_ALL       /* size and hash of all bytes; the time of change is not looked at */
} dh_fingerprint_kind;

/* 16 bytes a source. */
typedef struct dh_fingerprint {
    uint64_t mtime; /* ns since 1970; 0 for DH_FINGERPRINT_ALL */
    uint64_t hash;  /* XXH3-64 */
} dh_fingerprint;

/* Reads a file's fingerprint. planned_size: it must still have it. Errors: DH_IO (logged; also: it changed).
 */
dh_status dh_fingerprint_read(const char *path, uint64_t planned_size, dh_fingerprint_kind kind,
                              dh_poll *poll, void *poll_context, dh_fingerprint *out);

/* Everything a manifest is made of. */
typedef struct dh_manifest {
    dh_run_id run;
    uint32_t first_epoch; /* attempts before it belong to something that --fresh threw away */
    dh_fingerprint_kind kind;
    const char *options;               /* lines "name=value", each with a newline: what must not change */
    const dh_plan *plan;               /* names, sizes, segment_size */
    const dh_fingerprint *fingerprint; /* one a source, in the plan's order */
} dh_manifest;

dh_status dh_manifest_write(const char *folder, const dh_manifest *manifest);

/* The part of a manifest that needs no comparison. */
typedef struct dh_manifest_facts {
    dh_run_id run;
    uint32_t first_epoch;
    uint32_t fingerprint_kind;
    uint64_t source_count, file_bytes, segment_size;
    uint64_t known_segments; /* of all work but streams */
    uint64_t stream_bytes;   /* file bytes of streams, whose number of segments is not known */
} dh_manifest_facts;

/* Reads the facts. *found is false where there is no manifest. Errors: DH_IO (logged), DH_MISMATCH (logged:
 * damaged, or of a later format version; says that --fresh starts over). */
dh_status dh_manifest_read(const char *folder, dh_manifest_facts *out, bool *found);

/* Compares the manifest in the folder with this run's (whose run id and first_epoch are ignored). DH_OK: the
 * same. DH_MISMATCH: logged, up to ten differences, each naming option or source and what differs (old and
 * new value, size, time, content, added, gone), and how many more there are; and what to do: undo the change,
 * or --fresh. */
dh_status dh_manifest_compare(const char *folder, const dh_manifest *now);

/* The file "result": which file the result was given its final name as, so that a run that was killed behind
 * that point is known to be complete. Written before the rename. */
typedef struct dh_result_mark {
    uint64_t device, inode, size;
    char content[65]; /* content digest, hexadecimal */
} dh_result_mark;
dh_status dh_result_mark_write(const char *folder, const char *partial_path, const char *content);

/* Is the file at path the one that the mark speaks of (by inode and size)? No mark: no. Errors: DH_IO
 * (logged). */
dh_status dh_result_mark_matches(const char *folder, const char *path, bool *out);

#endif
