#include "shuffle/part.h"

#include "base/file.h"
#include "base/log.h"
#include "checkpoint/folder.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PART_MAGIC "dhpart1"

/* At the end of the file, behind the index. */
typedef struct part_footer {
    char magic[8];
    uint8_t run[16];
    char name[DH_CHECKPOINT_NAME_MAX + 1]; /* zeros behind it */
    uint32_t epoch, rank;
    uint64_t pairs, first_key;
    uint64_t blocks_end; /* the index begins */
    uint64_t entries;
    uint64_t index_check; /* XXH3-64 of the index */
    uint64_t check;       /* XXH3-64 of the footer before it */
} part_footer;
_Static_assert(sizeof(part_footer) == 112, "no padding");

dh_status dh_part_path(const dh_stage_place *place, const dh_stage_part *part, dh_buffer *out)
{
    const dh_checkpoint_name name = {
        .file = DH_CHECKPOINT_PART, .epoch = part->epoch, .rank = part->rank, .name = place->name};
    return dh_checkpoint_named_path(place->folder, &name, out);
}

static part_footer footer_of(const dh_stage_place *place, const dh_stage_part *part, uint64_t blocks_end,
                             const dh_part_entry *entry, uint64_t entries)
{
    part_footer footer = {.magic = PART_MAGIC,
                          .epoch = part->epoch,
                          .rank = part->rank,
                          .pairs = part->pairs,
                          .first_key = part->first_key,
                          .blocks_end = blocks_end,
                          .entries = entries};
    memcpy(footer.run, place->run, sizeof footer.run);
    memcpy(footer.name, place->name, strnlen(place->name, DH_CHECKPOINT_NAME_MAX));
    footer.index_check = XXH3_64bits(entry, entries * sizeof *entry);
    footer.check = XXH3_64bits(&footer, offsetof(part_footer, check));
    return footer;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static dh_status take_block(void *context, uint64_t first_key, uint64_t offset)
{
    dh_part_writer *writer = context;
    if (writer->block_count % writer->stride == 0) {
        if (writer->entry_count == DH_PART_INDEX_MAX) {
            writer->entry_count /= 2;
            for (uint64_t i = 0; i < writer->entry_count; i++) {
                writer->entry[i] = writer->entry[2 * i];
            }
            writer->stride *= 2;
        }
        writer->entry[writer->entry_count++] = (dh_part_entry){first_key, offset};
    }
    writer->block_count++;
    return DH_OK;
}

dh_status dh_part_writer_open(const dh_stage_place *place, uint32_t rank, dh_part_writer *out)
{
    *out = (dh_part_writer){.place = place, .rank = rank, .stride = 1};
    const dh_stage_part part = {.epoch = place->epoch, .rank = rank};
    void *memory = NULL;
    dh_status status = dh_part_path(place, &part, &out->path);
    if (status == DH_OK) {
        status = dh_count_allocate(&out->count, DH_PART_INDEX_MAX * sizeof *out->entry,
                                   "the index of a stage", &memory);
    }
    out->entry = memory;
    if (status != DH_OK) {
        dh_part_writer_free(out);
    }
    return status;
}

static dh_status make_file(dh_part_writer *writer)
{
    const dh_stage_place *place = writer->place;
    writer->blocks = (dh_block_writer){.path = (const char *)writer->path.data,
                                       .count = &writer->count,
                                       .poll = place->may_write,
                                       .poll_context = place->write_context,
                                       .take = take_block,
                                       .take_context = writer,
                                       .file = -1};
    if (place->may_write != NULL) {
        DH_TRY(place->may_write(place->write_context));
    }
    const dh_status status = dh_block_writer_open(&writer->blocks);
    writer->is_open = status == DH_OK;
    if (status != DH_OK) {
        dh_block_writer_free(&writer->blocks);
    }
    return status;
}

dh_status dh_part_add(dh_part_writer *writer, const dh_pair *pair)
{
    if (!writer->is_open) {
        DH_TRY(make_file(writer));
    }
    return dh_block_writer_add(&writer->blocks, pair);
}

dh_status dh_part_finish(dh_part_writer *writer, dh_stage_part *out)
{
    dh_stage_part part = {.epoch = writer->place->epoch, .rank = writer->rank};
    if (!writer->is_open) {
        *out = part;
        return DH_OK;
    }
    dh_block_writer *blocks = &writer->blocks;
    DH_TRY(dh_block_writer_flush(blocks));
    part.pairs = blocks->pairs;
    part.first_key = blocks->first_key;
    const part_footer footer =
        footer_of(writer->place, &part, blocks->bytes, writer->entry, writer->entry_count);
    const dh_file_part end[] = {{writer->entry, writer->entry_count * sizeof *writer->entry},
                                {&footer, sizeof footer}};
    DH_TRY(dh_file_write_parts_at(blocks->file, blocks->path, end, 2, blocks->bytes));
    part.bytes = blocks->bytes + end[0].size + end[1].size;
    DH_TRY(dh_file_sync(blocks->file, blocks->path));
    DH_TRY(dh_block_writer_close(blocks));
    DH_TRY(dh_file_sync_folder_of(blocks->path));
    *out = part;
    return DH_OK;
}

void dh_part_writer_free(dh_part_writer *writer)
{
    if (writer->is_open) {
        dh_block_writer_free(&writer->blocks);
    }
    writer->is_open = false;
    dh_count_free(&writer->count, writer->entry, DH_PART_INDEX_MAX * sizeof *writer->entry);
    writer->entry = NULL;
    dh_buffer_free(&writer->path);
}

dh_status dh_part_writer_drop(dh_part_writer *writer)
{
    const dh_status status = writer->is_open ? dh_file_remove((const char *)writer->path.data) : DH_OK;
    dh_part_writer_free(writer);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Is the footer that of this part, and can the index be where it says? */
static bool footer_fits(const dh_stage_place *place, const dh_stage_part *part, const part_footer *footer)
{
    char name[sizeof footer->name] = {0};
    memcpy(name, place->name, strnlen(place->name, DH_CHECKPOINT_NAME_MAX));
    return XXH3_64bits(footer, offsetof(part_footer, check)) == footer->check &&
           memcmp(footer->magic, PART_MAGIC, sizeof footer->magic) == 0 &&
           memcmp(footer->run, place->run, sizeof footer->run) == 0 &&
           memcmp(footer->name, name, sizeof name) == 0 && footer->epoch == part->epoch &&
           footer->rank == part->rank && footer->pairs == part->pairs &&
           footer->first_key == part->first_key && footer->entries > 0 &&
           footer->entries <= DH_PART_INDEX_MAX && part->bytes >= sizeof *footer &&
           footer->blocks_end <= part->bytes &&
           part->bytes - footer->blocks_end == footer->entries * sizeof(dh_part_entry) + sizeof *footer;
}

static bool index_fits(const part_footer *footer, const dh_part_entry *entry)
{
    if (XXH3_64bits(entry, footer->entries * sizeof *entry) != footer->index_check || entry[0].offset != 0) {
        return false;
    }
    for (uint64_t i = 1; i < footer->entries; i++) {
        if (entry[i].offset <= entry[i - 1].offset || entry[i].first_key < entry[i - 1].first_key ||
            entry[i].offset >= footer->blocks_end) {
            return false;
        }
    }
    return true;
}

/* Of a file that has part->bytes. *fits: the footer does, and the index where it is read. */
static dh_status read_end(const dh_stage_place *place, const dh_stage_part *part, int file, const char *path,
                          part_footer *footer, dh_part_entry *entry, bool *fits)
{
    *fits = part->bytes >= sizeof *footer;
    if (*fits) {
        DH_TRY(dh_file_read_at(file, path, footer, sizeof *footer, part->bytes - sizeof *footer));
        *fits = footer_fits(place, part, footer);
    }
    if (*fits && entry != NULL) {
        DH_TRY(dh_file_read_at(file, path, entry, footer->entries * sizeof *entry, footer->blocks_end));
        *fits = index_fits(footer, entry);
    }
    return DH_OK;
}

dh_status dh_part_read_index(const dh_stage_place *place, const dh_stage_part *part, int file,
                             const char *path, uint64_t *blocks_end, dh_part_entry *entry,
                             uint64_t *entry_count)
{
    part_footer footer;
    bool fits = false;
    DH_TRY(read_end(place, part, file, path, &footer, entry, &fits));
    if (!fits) {
        return dh_error(DH_IO, "%s: the index at the end is damaged", path);
    }
    *blocks_end = footer.blocks_end;
    *entry_count = footer.entries;
    return DH_OK;
}

/* *blocks_end: 0 where the end does not fit. */
static dh_status check_end(const dh_stage_place *place, const dh_stage_part *part, int file, const char *path,
                           uint64_t *blocks_end)
{
    struct stat facts;
    *blocks_end = 0;
    DH_TRY(dh_file_stat(path, &facts));
    if (!S_ISREG(facts.st_mode) || (uint64_t)facts.st_size != part->bytes) {
        return DH_OK;
    }
    void *entry = NULL;
    DH_TRY(dh_allocate(DH_PART_INDEX_MAX, sizeof(dh_part_entry), "the index of a stage", &entry));
    part_footer footer;
    bool fits = false;
    const dh_status status = read_end(place, part, file, path, &footer, entry, &fits);
    free(entry);
    if (status == DH_OK && fits) {
        *blocks_end = footer.blocks_end;
    }
    return status;
}

static dh_status count_pairs(dh_block_reader *reader, const dh_stage_part *part, bool *intact)
{
    uint64_t pairs = 0;
    dh_pair pair;
    dh_status status;
    *intact = true;
    while ((status = dh_block_reader_next(reader, &pair)) == DH_OK) {
        *intact = *intact && (pairs > 0 || pair.key == part->first_key);
        pairs++;
    }
    *intact = *intact && pairs == part->pairs;
    return status == DH_END ? DH_OK : status;
}

static dh_status check_file(const dh_stage_place *place, const dh_stage_part *part, const char *path,
                            bool *intact)
{
    dh_memory_count count = {0};
    bool is_damaged = false;
    dh_block_reader reader = {.path = path,
                              .count = &count,
                              .poll = place->may_write,
                              .poll_context = place->write_context,
                              .damaged = &is_damaged};
    uint64_t blocks_end = 0;
    *intact = false;
    DH_TRY(dh_block_reader_open(&reader, DH_PART_READ_BYTES));
    dh_status status = check_end(place, part, reader.file, path, &blocks_end);
    if (status == DH_OK && blocks_end > 0) {
        dh_block_reader_seek(&reader, 0, blocks_end);
        status = count_pairs(&reader, part, intact);
    }
    dh_block_reader_close(&reader);
    if (is_damaged) {
        *intact = false;
        return DH_OK;
    }
    return status;
}

dh_status dh_part_check(const dh_stage_place *place, const dh_stage_part *part, bool *intact)
{
    dh_buffer path = {0};
    bool there = false;
    dh_status status = dh_part_path(place, part, &path);
    const char *text = (const char *)path.data;
    if (status == DH_OK) {
        status = dh_file_exists(text, &there);
    }
    if (status == DH_OK && there) {
        status = check_file(place, part, text, &there);
    }
    dh_buffer_free(&path);
    if (status == DH_OK) {
        *intact = there;
    }
    return status;
}
