#include "shuffle/stage.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "shuffle/part.h"

#include <stdlib.h>
#include <string.h>

void dh_stage_free(dh_stage *stage)
{
    free(stage->part);
    *stage = (dh_stage){0};
}

/* ---- finding ----------------------------------------------------------------------------------------- */

/* Rank 0's list on all ranks; those others have part == NULL before. */
static dh_status share_list(dh_comm *comm, dh_stage *stage)
{
    dh_stage_part *part = stage->part;
    DH_TRY(dh_comm_broadcast(comm, stage, sizeof *stage));
    stage->part = part;
    dh_status status = DH_OK;
    if (part == NULL) {
        void *memory = NULL;
        status = dh_allocate(stage->part_count, sizeof *part, "the parts of a stage", &memory);
        stage->part = memory;
    }
    DH_TRY(dh_comm_agree(comm, status));
    return dh_comm_broadcast(comm, stage->part, stage->part_count * sizeof *stage->part);
}

/* Each rank looks at some of the parts. */
static dh_status check_parts(const dh_stage_place *place, const dh_stage *stage, bool *intact)
{
    const uint32_t ranks = (uint32_t)dh_comm_size(place->comm);
    *intact = true;
    for (uint32_t p = (uint32_t)dh_comm_rank(place->comm); p < stage->part_count && *intact; p += ranks) {
        DH_TRY(dh_part_check(place, &stage->part[p], intact));
        if (!*intact) {
            dh_warning(
                "%s: a part of the stage %s (attempt %u, rank %u) is missing or damaged; this step of the "
                "reduce phase is done again",
                place->folder, place->name, stage->part[p].epoch, stage->part[p].rank);
        }
    }
    return DH_OK;
}

/* Do all ranks say yes? */
static dh_status agree_on(dh_comm *comm, dh_status status, bool mine, bool *all)
{
    DH_TRY(dh_comm_agree(comm, status));
    uint64_t no = mine ? 0 : 1;
    DH_TRY(dh_comm_max(comm, &no, 1));
    *all = no == 0;
    return DH_OK;
}

static dh_status find(const dh_stage_place *place, dh_stage *stage, bool *found)
{
    dh_comm *comm = place->comm;
    bool good = true;
    dh_status status = DH_OK;
    if (dh_comm_rank(comm) == 0) {
        status = dh_stage_list_read(place, stage, &good);
    }
    DH_TRY(agree_on(comm, status, good, &good));
    if (!good) {
        *found = false;
        return DH_OK;
    }
    DH_TRY(share_list(comm, stage));
    status = check_parts(place, stage, &good);
    return agree_on(comm, status, good, found);
}

dh_status dh_stage_find(const dh_stage_place *place, dh_stage *out, bool *found)
{
    dh_stage stage = {0};
    bool is_there = false;
    const dh_status status = find(place, &stage, &is_there);
    if (status != DH_OK || !is_there) {
        dh_stage_free(&stage);
    }
    if (status == DH_OK) {
        *out = stage;
        *found = is_there;
    }
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

struct dh_stage_writer {
    dh_stage_place place;
    dh_part_writer part;
};

static void free_writer(dh_stage_writer *writer)
{
    if (writer != NULL) {
        dh_part_writer_free(&writer->part);
    }
    free(writer);
}

static dh_status create(const dh_stage_place *place, dh_stage_writer **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_stage_writer), "a stage", &memory));
    dh_stage_writer *writer = memory;
    writer->place = *place;
    const dh_status status =
        dh_part_writer_open(&writer->place, (uint32_t)dh_comm_rank(place->comm), &writer->part);
    if (status != DH_OK) {
        free(writer);
        return status;
    }
    *out = writer;
    return DH_OK;
}

dh_status dh_stage_create(const dh_stage_place *place, dh_stage_writer **out)
{
    dh_stage_writer *writer = NULL;
    const dh_status status = dh_comm_agree(place->comm, create(place, &writer));
    if (status != DH_OK) {
        free_writer(writer);
        return status;
    }
    *out = writer;
    return DH_OK;
}

dh_status dh_stage_add(dh_stage_writer *writer, const dh_pair *pair)
{
    return dh_part_add(&writer->part, pair);
}

/* The parts of all ranks, less those without pairs. */
static dh_status gather_parts(dh_comm *comm, const dh_stage_part *mine, dh_stage *out)
{
    const size_t ranks = (size_t)dh_comm_size(comm);
    void *memory = NULL;
    const dh_status status = dh_allocate(ranks, sizeof *mine, "the parts of a stage", &memory);
    out->part = memory;
    DH_TRY(dh_comm_agree(comm, status));
    DH_TRY(dh_comm_gather(comm, mine, sizeof *mine, out->part));
    for (size_t r = 0; r < ranks; r++) {
        if (out->part[r].pairs > 0) {
            out->pairs += out->part[r].pairs;
            out->part[out->part_count++] = out->part[r];
        }
    }
    return DH_OK;
}

static dh_status write_list(const dh_stage_place *place, const dh_stage *stage)
{
    for (uint32_t p = 1; p < stage->part_count; p++) {
        if (stage->part[p].first_key < stage->part[p - 1].first_key) {
            return dh_error(DH_INTERNAL, "the stage %s: rank %u has smaller keys than rank %u", place->name,
                            stage->part[p].rank, stage->part[p - 1].rank);
        }
    }
    dh_fault_place("stage");
    if (place->may_write != NULL) {
        DH_TRY(place->may_write(place->write_context));
    }
    return dh_stage_list_write(place, stage);
}

static dh_status commit(dh_stage_writer *writer, dh_status status, const uint64_t figure[8], dh_stage *out)
{
    const dh_stage_place *place = &writer->place;
    dh_comm *comm = place->comm;
    dh_stage_part mine = {0};
    if (status == DH_OK) {
        status = dh_part_finish(&writer->part, &mine);
    }
    dh_fault_place("stage-part");
    DH_TRY(dh_comm_agree(comm, status));
    memcpy(out->figure, figure, sizeof out->figure);
    DH_TRY(dh_comm_broadcast(comm, out->figure, sizeof out->figure));
    DH_TRY(gather_parts(comm, &mine, out));
    return dh_comm_agree(comm, dh_comm_rank(comm) == 0 ? write_list(place, out) : DH_OK);
}

dh_status dh_stage_commit(dh_stage_writer *writer, dh_status status, const uint64_t figure[8], dh_stage *out)
{
    dh_stage stage = {0};
    status = commit(writer, status, figure, &stage);
    if (status == DH_OK) {
        dh_part_writer_free(&writer->part);
        *out = stage;
    } else {
        /* Also where the list came to be and could not be synced: a stage without its parts is none. */
        (void)dh_part_writer_drop(&writer->part);
        dh_stage_free(&stage);
    }
    free(writer);
    return status;
}

/* ---- removing ---------------------------------------------------------------------------------------- */

static dh_status remove_list(const dh_stage_place *place)
{
    dh_buffer path = {0};
    dh_status status = dh_stage_list_path(place, &path);
    if (status == DH_OK && place->may_write != NULL) {
        status = place->may_write(place->write_context);
    }
    if (status == DH_OK) {
        status = dh_file_remove((const char *)path.data);
    }
    if (status == DH_OK) {
        status = dh_file_sync_folder_of((const char *)path.data);
    }
    dh_buffer_free(&path);
    return status;
}

static dh_status remove_parts(const dh_stage_place *place, const dh_stage *stage)
{
    const uint32_t ranks = (uint32_t)dh_comm_size(place->comm);
    dh_buffer path = {0};
    dh_status status = DH_OK;
    for (uint32_t p = (uint32_t)dh_comm_rank(place->comm); p < stage->part_count && status == DH_OK;
         p += ranks) {
        status = dh_part_path(place, &stage->part[p], &path);
        if (status == DH_OK) {
            status = dh_file_remove((const char *)path.data);
        }
    }
    dh_buffer_free(&path);
    return status;
}

dh_status dh_stage_remove(const dh_stage_place *place, const dh_stage *stage)
{
    DH_TRY(dh_comm_agree(place->comm, dh_comm_rank(place->comm) == 0 ? remove_list(place) : DH_OK));
    return dh_comm_agree(place->comm, remove_parts(place, stage));
}

/* ---- reading ----------------------------------------------------------------------------------------- */

struct dh_stage_reader {
    dh_stage_place place;
    const dh_stage *stage;
    dh_memory_count count;
    dh_buffer path;
    dh_block_reader blocks;
    uint32_t part; /* that is read */
    bool is_open;  /* its file is */
    bool at_end;   /* of the part */
    uint64_t left; /* pairs of the part; counted only when it is read from its beginning */
    bool is_counted;
    uint64_t blocks_end;
    dh_part_entry *entry; /* the index of part `indexed` */
    uint64_t entry_count;
    uint32_t indexed; /* part_count: none */
    dh_pair found;    /* by a seek: it comes next */
    bool has_found;
};

dh_status dh_stage_open(const dh_stage_place *place, const dh_stage *stage, dh_stage_reader **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_stage_reader), "the reader of a stage", &memory));
    dh_stage_reader *reader = memory;
    reader->place = *place;
    reader->stage = stage;
    reader->indexed = stage->part_count;
    *out = reader;
    return DH_OK;
}

static void close_part(dh_stage_reader *reader)
{
    if (reader->is_open) {
        dh_block_reader_close(&reader->blocks);
    }
    reader->is_open = false;
}

void dh_stage_close(dh_stage_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    close_part(reader);
    dh_count_free(&reader->count, reader->entry, DH_PART_INDEX_MAX * sizeof *reader->entry);
    dh_buffer_free(&reader->path);
    free(reader);
}

/* Opens the part that is to be read, if it is not, and reads its end; its index, too, where that is asked
 * for. */
static dh_status open_part(dh_stage_reader *reader, bool with_index)
{
    const dh_stage_part *part = &reader->stage->part[reader->part];
    if (!reader->is_open) {
        DH_TRY(dh_part_path(&reader->place, part, &reader->path));
        reader->blocks = (dh_block_reader){.path = (const char *)reader->path.data, .count = &reader->count};
        DH_TRY(dh_block_reader_open(&reader->blocks, DH_PART_READ_BYTES));
        reader->is_open = true;
        reader->blocks_end = 0;
    }
    const bool reads_index = with_index && reader->indexed != reader->part;
    if (reader->blocks_end > 0 && !reads_index) {
        return DH_OK;
    }
    if (reads_index && reader->entry == NULL) {
        void *memory = NULL;
        DH_TRY(dh_count_allocate(&reader->count, DH_PART_INDEX_MAX * sizeof *reader->entry,
                                 "the index of a stage", &memory));
        reader->entry = memory;
    }
    uint64_t entries = 0;
    if (reads_index) {
        reader->indexed = reader->stage->part_count;
    }
    DH_TRY(dh_part_read_index(&reader->place, part, reader->blocks.file, reader->blocks.path,
                              &reader->blocks_end, reads_index ? reader->entry : NULL, &entries));
    if (reads_index) {
        reader->indexed = reader->part;
        reader->entry_count = entries;
    }
    return DH_OK;
}

static void choose_part(dh_stage_reader *reader, uint32_t part)
{
    if (part != reader->part) {
        close_part(reader);
    }
    reader->part = part;
    reader->at_end = false;
    reader->has_found = false;
    reader->is_counted = false;
}

dh_status dh_stage_seek_part(dh_stage_reader *reader, uint32_t part)
{
    choose_part(reader, part);
    if (part >= reader->stage->part_count) {
        reader->at_end = true;
        return DH_OK;
    }
    DH_TRY(open_part(reader, false));
    dh_block_reader_seek(&reader->blocks, 0, reader->blocks_end);
    reader->left = reader->stage->part[part].pairs;
    reader->is_counted = true;
    return DH_OK;
}

/* The last part, or entry, whose first key is below key, since those with the key itself may begin in it;
 * else the first. */
static uint32_t part_before(const dh_stage *stage, uint64_t key)
{
    uint32_t low = 0;
    uint32_t high = stage->part_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (stage->part[middle].first_key < key) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint64_t entry_before(const dh_stage_reader *reader, uint64_t key)
{
    uint64_t low = 0;
    uint64_t high = reader->entry_count;
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        if (reader->entry[middle].first_key < key) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

dh_status dh_stage_seek(dh_stage_reader *reader, uint64_t key)
{
    if (reader->stage->part_count == 0) {
        return dh_stage_seek_part(reader, 0);
    }
    choose_part(reader, part_before(reader->stage, key));
    DH_TRY(open_part(reader, true));
    const uint64_t entry = entry_before(reader, key);
    dh_block_reader_seek(&reader->blocks, reader->entry[entry].offset, reader->blocks_end);
    dh_pair pair;
    dh_status status = DH_OK;
    bool is_first = true;
    while ((status = dh_stage_next(reader, false, &pair)) == DH_OK && pair.key < key) {
        is_first = false;
    }
    if (status == DH_OK && is_first && entry > 0) { /* as the index has it, it is below the key */
        return dh_error(DH_IO, "%s: the index does not fit the blocks", reader->blocks.path);
    }
    if (status == DH_OK) {
        reader->found = pair;
        reader->has_found = true;
    }
    return status == DH_END ? DH_OK : status;
}

/* The next pair of the part. */
static dh_status next_of_part(dh_stage_reader *reader, dh_pair *out)
{
    const dh_status status = dh_block_reader_next(&reader->blocks, out);
    if (status == DH_OK && reader->is_counted) {
        reader->left--;
    }
    if (status == DH_END && reader->is_counted && reader->left != 0) {
        return dh_error(DH_IO, "%s: has less pairs or more than the stage says", reader->blocks.path);
    }
    return status;
}

dh_status dh_stage_next(dh_stage_reader *reader, bool part_end, dh_pair *out)
{
    if (reader->has_found) {
        reader->has_found = false;
        *out = reader->found;
        return DH_OK;
    }
    while (reader->part < reader->stage->part_count) {
        if (!reader->is_open) {
            DH_TRY(dh_stage_seek_part(reader, reader->part));
        }
        const dh_status status = reader->at_end ? DH_END : next_of_part(reader, out);
        if (status != DH_END) {
            return status;
        }
        reader->at_end = true;
        if (part_end) {
            return DH_END;
        }
        if (reader->part + 1 == reader->stage->part_count) {
            return DH_END;
        }
        DH_TRY(dh_stage_seek_part(reader, reader->part + 1));
    }
    return DH_END;
}
