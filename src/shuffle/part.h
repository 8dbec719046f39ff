/* dhatu: the parts of stages: what one rank wrote, blocks and an index (docs/formats.md, "Stage"). */
#ifndef DH_SHUFFLE_PART_H
#define DH_SHUFFLE_PART_H

#include "base/buffer.h"
#include "shuffle/block.h"
#include "shuffle/stage.h"

/* More blocks than that: every second, every fourth... has an entry. Even. */
enum { DH_PART_INDEX_MAX = 1 << 15 };

enum { DH_PART_READ_BYTES = 256 << 10 };

typedef struct dh_part_entry {
    uint64_t first_key, offset; /* of a block */
} dh_part_entry;

typedef struct dh_part_writer {
    const dh_stage_place *place; /* of the caller */
    uint32_t rank;
    dh_memory_count count;
    dh_buffer path;
    dh_block_writer blocks;
    bool is_open; /* the file is made with the first pair */
    dh_part_entry *entry;
    uint64_t entry_count;
    uint64_t stride, block_count; /* each stride-th block has an entry */
} dh_part_writer;

dh_status dh_part_writer_open(const dh_stage_place *place, uint32_t rank, dh_part_writer *out);
dh_status dh_part_add(dh_part_writer *writer, const dh_pair *pair);
/* Writes what is left and the index; syncs. *out: zero pairs, and there is no file, where none was added. */
dh_status dh_part_finish(dh_part_writer *writer, dh_stage_part *out);
void dh_part_writer_free(dh_part_writer *writer);      /* the file stays */
dh_status dh_part_writer_drop(dh_part_writer *writer); /* the file goes */

/* Reads all of it. *intact: the part is there, has the size, the footer and the pairs that the list says, and
 * its blocks and its index check. Asks the place's may_write meanwhile. Errors: DH_IO: the system cannot read
 * it (logged), DH_NO_MEMORY, may_write's. */
dh_status dh_part_check(const dh_stage_place *place, const dh_stage_part *part, bool *intact);

/* Where the blocks of a part end, and its index where entry is not NULL: room for DH_PART_INDEX_MAX. A part
 * that does not fit is DH_IO (logged). file is open on path. */
dh_status dh_part_read_index(const dh_stage_place *place, const dh_stage_part *part, int file,
                             const char *path, uint64_t *blocks_end, dh_part_entry *entry,
                             uint64_t *entry_count);

dh_status dh_part_path(const dh_stage_place *place, const dh_stage_part *part, dh_buffer *out);

/* Of the file stage-NAME. Written atomically and durably. */
dh_status dh_stage_list_write(const dh_stage_place *place, const dh_stage *stage);
/* *found: no where there is none, or one that is damaged (warned of) or of another run (said nothing).
 * Errors: DH_IO: the system cannot read it (logged), DH_NO_MEMORY. */
dh_status dh_stage_list_read(const dh_stage_place *place, dh_stage *out, bool *found);
dh_status dh_stage_list_path(const dh_stage_place *place, dh_buffer *out);

#endif
