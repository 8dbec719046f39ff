/* dhatu: the plan of a run: all sources in the order of the result, and the work items that ranks take.
 *
 * A plan is one flat block without pointers, made on rank 0 and shared once a node. Sources are sorted
 * by the bytes of their names; the index in this order is a source's number everywhere. */
#ifndef DH_PLAN_PLAN_H
#define DH_PLAN_PLAN_H

#include "base/buffer.h"
#include "read/records.h"

typedef struct dh_plan_options {
    dh_format format;
    uint64_t segment_size;      /* a multiple of DH_CONTENT_BLOCK */
    const char *exclude_prefix; /* the run's own result, in a folder that exists: it and the files that the
                                   run writes beside it are left out of folders; NULL: none */
    const char *exclude_folder; /* the checkpoint folder, which may not exist yet: is not walked into, by
                                   whatever path; NULL: none */
} dh_plan_options;

/* One input file. Strings are offsets into the block (dh_plan_string). */
typedef struct dh_source {
    uint64_t name; /* in the result: relative to its INPUT, less a compression suffix, valid UTF-8 */
    uint64_t path; /* to open it */
    uint64_t size; /* of the file, bytes */
    uint64_t time; /* of its change, ns since 1970 */
    uint32_t name_size;
    uint32_t reserved;
} dh_source;

/* Consecutive work items that are alike. */
typedef enum dh_work_kind {
    DH_WORK_WHOLE = 0, /* one text file: one document */
    DH_WORK_STREAM,    /* one compressed JSONL source, read by one rank, committed by segment_size bytes */
    DH_WORK_RANGES,    /* one plain JSONL source, an item for each segment_size bytes */
    DH_WORK_RUN        /* consecutive small sources, one item */
} dh_work_kind;

typedef struct dh_work_group {
    uint64_t first_item;
    uint32_t first_source, source_count;
    uint32_t kind, reserved;
} dh_work_group;

typedef struct dh_plan {
    char magic[8];
    uint64_t block_size;
    uint64_t source_count, group_count, item_count;
    uint64_t sources, groups; /* offsets in the block */
    uint64_t segment_size;
    uint64_t file_bytes; /* of all sources */
    uint64_t name_width; /* of the longest name */
} dh_plan;

/* A work item: the sources [first_source, first_source + source_count); [begin, end) of the one source
 * for DH_WORK_RANGES, else 0 and UINT64_MAX. */
typedef struct dh_work_item {
    uint32_t first_source, source_count;
    uint64_t begin, end;
    dh_work_kind kind;
} dh_work_item;

/* Lists the sources of inputs (files, folders, globs, @lists) and cuts them into work. Appends the block
 * to out. Errors: DH_USAGE (no source; two sources of one name), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_plan_make(const dh_plan_options *options, char *const *input, size_t input_count,
                       dh_buffer *out);

const dh_source *dh_plan_source(const dh_plan *plan, uint64_t index);
const char *dh_plan_string(const dh_plan *plan, uint64_t offset);
const char *dh_plan_name(const dh_plan *plan, uint64_t index);
dh_work_item dh_plan_item(const dh_plan *plan, uint64_t item);

#endif
