#include "checkpoint/spill.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "checkpoint/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct dh_spill {
    dh_spill_options options; /* options.folder is not kept */
    dh_buffer path, journal_path;
    int file, journal; /* -1: not made yet */
    uint64_t size, journal_size;
    uint64_t segment_offset; /* of the current one */
    uint32_t segment_chunks;
    XXH3_state_t *hash;  /* of the current segment */
    dh_buffer waiting;   /* dh_journal_entry of ended segments, neither counted nor sealed */
    bool unsynced;       /* bytes were written since the last sync */
    bool folder_changed; /* a file was made since the folder was synced */
    uint64_t committed;
    double commit_seconds;
    dh_status failure; /* the first one: nothing is written behind it */
};

/* ---- making and closing ------------------------------------------------------------------------------ */

/* By XXH3's own allocation: the state is aligned to 64 bytes, which calloc's is not. */
static dh_status make_hash(XXH3_state_t **out)
{
    XXH3_state_t *hash = dh_fault(DH_CALL_ALLOCATE, "the hash of a spill") > 0 ? NULL : XXH3_createState();
    if (hash == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: the hash of a spill");
    }
    (void)XXH3_128bits_reset(hash);
    *out = hash;
    return DH_OK;
}

static void begin_segment(dh_spill *spill)
{
    spill->segment_offset = spill->size;
    spill->segment_chunks = 0;
    (void)XXH3_128bits_reset(spill->hash);
}

static dh_status set_up(dh_spill *spill)
{
    const dh_spill_options *options = &spill->options;
    DH_TRY(dh_checkpoint_path(options->folder, DH_CHECKPOINT_SPILL, options->epoch, options->rank,
                              &spill->path));
    DH_TRY(dh_checkpoint_path(options->folder, DH_CHECKPOINT_JOURNAL, options->epoch, options->rank,
                              &spill->journal_path));
    return make_hash(&spill->hash);
}

dh_status dh_spill_create(const dh_spill_options *options, dh_spill **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_spill), "the spill", &memory));
    dh_spill *spill = memory;
    spill->options = *options;
    spill->file = -1;
    spill->journal = -1;
    const dh_status status = set_up(spill);
    spill->options.folder = NULL;
    if (status != DH_OK) {
        dh_spill_free(spill);
        return status;
    }
    begin_segment(spill);
    *out = spill;
    return DH_OK;
}

static dh_status close_one(int *file, const dh_buffer *path)
{
    const int closing = *file;
    *file = -1;
    return closing < 0 ? DH_OK : dh_file_close(closing, (const char *)path->data);
}

dh_status dh_spill_close(dh_spill *spill)
{
    const dh_status status = close_one(&spill->file, &spill->path);
    const dh_status journal_status = close_one(&spill->journal, &spill->journal_path);
    return status != DH_OK ? status : journal_status;
}

void dh_spill_free(dh_spill *spill)
{
    if (spill == NULL) {
        return;
    }
    if (spill->file >= 0) {
        (void)close(spill->file);
    }
    if (spill->journal >= 0) {
        (void)close(spill->journal);
    }
    (void)XXH3_freeState(spill->hash);
    dh_buffer_free(&spill->path);
    dh_buffer_free(&spill->journal_path);
    dh_buffer_free(&spill->waiting);
    free(spill);
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static dh_status ask_to_write(const dh_spill *spill)
{
    return spill->options.may_write != NULL ? spill->options.may_write(spill->options.context) : DH_OK;
}

/* O_EXCL: a file of this epoch and rank cannot be there, and if it is, it is not ours to write. */
static dh_status make_file(dh_spill *spill, const dh_buffer *path, int *file)
{
    if (*file >= 0) {
        return DH_OK;
    }
    DH_TRY(dh_file_open((const char *)path->data, O_WRONLY | O_CREAT | O_EXCL, file));
    spill->folder_changed = true;
    return DH_OK;
}

static dh_status write_chunk(dh_spill *spill, const dh_chunk *chunk, const dh_chunk_header *header)
{
    DH_TRY(ask_to_write(spill));
    if (spill->options.journalled) {
        DH_TRY(make_file(spill, &spill->journal_path, &spill->journal));
    }
    DH_TRY(make_file(spill, &spill->path, &spill->file));
    dh_file_part part[DH_CHUNK_PARTS_MAX];
    const size_t parts = dh_chunk_parts(chunk, header, part);
    DH_TRY(dh_file_write_parts_at(spill->file, (const char *)spill->path.data, part, parts, spill->size));
    if (spill->options.journalled) {
        for (size_t p = 0; p < parts; p++) {
            (void)XXH3_128bits_update(spill->hash, part[p].data, part[p].size);
        }
        spill->unsynced = true;
        DH_TRY(
            dh_file_begin_write_back(spill->file, (const char *)spill->path.data, spill->size, header->size));
    }
    return DH_OK;
}

static dh_chunk_entry entry_of(const dh_chunk_header *header, uint32_t epoch, uint32_t rank, uint64_t offset)
{
    return (dh_chunk_entry){.begin = header->begin,
                            .offset = offset,
                            .first_source = header->first_source,
                            .number = header->number,
                            .epoch = epoch,
                            .rank = rank,
                            .lines = header->lines,
                            .value_count = header->value_count,
                            .value_bytes = header->value_bytes,
                            .term_bytes = header->term_bytes,
                            .id_bytes = header->id_bytes,
                            .rows = (uint16_t)header->rows,
                            .part_count = (uint16_t)header->part_count,
                            .bad_count = (uint16_t)header->bad_count};
}

static dh_status add_chunk(dh_spill *spill, const dh_chunk *chunk, uint32_t first_source, uint64_t begin,
                           dh_chunk_entry *entry)
{
    if (chunk->rows > DH_CHUNK_ROWS || chunk->part_count > UINT16_MAX || chunk->bad_count > UINT16_MAX ||
        chunk->ids.size > UINT32_MAX) {
        return dh_error(DH_INTERNAL, "%s: a chunk of %u rows, %u sources, %u bad records, %zu bytes of ids",
                        (const char *)spill->path.data, chunk->rows, chunk->part_count, chunk->bad_count,
                        chunk->ids.size);
    }
    dh_chunk_header header;
    dh_chunk_describe(chunk, first_source, begin, spill->segment_chunks, &header);
    DH_TRY(write_chunk(spill, chunk, &header));
    *entry = entry_of(&header, spill->options.epoch, spill->options.rank, spill->size);
    spill->size += header.size;
    spill->segment_chunks++;
    return DH_OK;
}

dh_status dh_spill_add_chunk(dh_spill *spill, const dh_chunk *chunk, uint32_t first_source, uint64_t begin,
                             dh_chunk_entry *entry)
{
    DH_TRY(spill->failure);
    spill->failure = add_chunk(spill, chunk, first_source, begin, entry);
    return spill->failure;
}

dh_status dh_spill_end_segment(dh_spill *spill, const dh_segment_facts *facts)
{
    DH_TRY(spill->failure);
    if (spill->options.journalled) {
        const XXH128_hash_t hash = XXH3_128bits_digest(spill->hash);
        dh_journal_entry entry = {.flags = facts->flags,
                                  .epoch = spill->options.epoch,
                                  .rank = spill->options.rank,
                                  .first_source = facts->first_source,
                                  .chunk_count = spill->segment_chunks,
                                  .begin = facts->begin,
                                  .offset = spill->segment_offset,
                                  .size = spill->size - spill->segment_offset,
                                  .hash_low = hash.low64,
                                  .hash_high = hash.high64,
                                  .documents = facts->documents,
                                  .text_bytes = facts->text_bytes,
                                  .file_bytes = facts->file_bytes,
                                  .bad = facts->bad};
        memcpy(&entry.run, spill->options.run.byte, sizeof entry.run);
        DH_TRY(dh_buffer_append(&spill->waiting, &entry, sizeof entry));
    }
    begin_segment(spill);
    return DH_OK;
}

void dh_spill_drop_segment(dh_spill *spill)
{
    spill->size = spill->segment_offset;
    begin_segment(spill);
}

/* ---- committing -------------------------------------------------------------------------------------- */

/* The spill and the names of the files come to the disk before the journal speaks of them. */
static dh_status sync_spill(dh_spill *spill)
{
    const char *path = (const char *)spill->path.data;
    if (spill->unsynced) {
        DH_TRY(dh_file_sync(spill->file, path));
        spill->unsynced = false;
    }
    if (spill->folder_changed) {
        DH_TRY(dh_file_sync_folder_of(path));
        spill->folder_changed = false;
    }
    return DH_OK;
}

static dh_status append_to_journal(dh_spill *spill)
{
    const uint64_t now = dh_time_of_day();
    dh_journal_entry *entry = (dh_journal_entry *)(void *)spill->waiting.data;
    for (uint64_t i = 0; i < dh_spill_waiting(spill); i++) {
        entry[i].sequence = spill->committed + i;
        entry[i].time = now;
        dh_journal_entry_seal(&entry[i]);
    }
    dh_journal_header header = {.version = DH_JOURNAL_VERSION,
                                .entry_size = sizeof *entry,
                                .run = spill->options.run,
                                .epoch = spill->options.epoch,
                                .rank = spill->options.rank,
                                .start = spill->options.start};
    dh_journal_header_seal(&header);
    const dh_file_part part[] = {{.data = &header, .size = sizeof header},
                                 {.data = entry, .size = spill->waiting.size}};
    const bool first = spill->journal_size == 0;
    const char *path = (const char *)spill->journal_path.data;
    DH_TRY(dh_file_write_parts_at(spill->journal, path, first ? part : part + 1, first ? 2 : 1,
                                  spill->journal_size));
    spill->journal_size += (first ? sizeof header : 0) + spill->waiting.size;
    return dh_file_sync(spill->journal, path);
}

static dh_status commit(dh_spill *spill)
{
    DH_TRY(ask_to_write(spill));
    DH_TRY(make_file(spill, &spill->journal_path, &spill->journal));
    DH_TRY(sync_spill(spill));
    DH_TRY(append_to_journal(spill));
    spill->committed += dh_spill_waiting(spill);
    spill->waiting.size = 0;
    return DH_OK;
}

dh_status dh_spill_commit(dh_spill *spill)
{
    DH_TRY(spill->failure);
    if (dh_spill_waiting(spill) == 0) {
        return DH_OK;
    }
    const double start = dh_seconds();
    spill->failure = commit(spill);
    spill->commit_seconds += dh_seconds() - start;
    return spill->failure;
}

uint64_t dh_spill_size(const dh_spill *spill)
{
    return spill->size;
}

uint64_t dh_spill_waiting(const dh_spill *spill)
{
    return spill->waiting.size / sizeof(dh_journal_entry);
}

uint64_t dh_spill_committed(const dh_spill *spill)
{
    return spill->committed;
}

double dh_spill_commit_seconds(const dh_spill *spill)
{
    return spill->commit_seconds;
}

/* ---- checking ---------------------------------------------------------------------------------------- */

enum { PIECE_SIZE = 1 << 20 };

/* A segment that a journal speaks of, in an open spill that has room for it. */
typedef struct spilled_segment {
    int file;
    const char *path;
    const dh_journal_entry *journal;
} spilled_segment;

static dh_status hash_segment(const spilled_segment *segment, XXH3_state_t *hash, dh_buffer *scratch,
                              dh_poll *poll, void *poll_context)
{
    scratch->size = 0;
    DH_TRY(dh_buffer_reserve(scratch, PIECE_SIZE));
    const uint64_t size = segment->journal->size;
    for (uint64_t done = 0; done < size;) {
        const size_t piece = size - done < PIECE_SIZE ? (size_t)(size - done) : PIECE_SIZE;
        DH_TRY(dh_file_read_at(segment->file, segment->path, scratch->data, piece,
                               segment->journal->offset + done));
        (void)XXH3_128bits_update(hash, scratch->data, piece);
        done += piece;
        if (poll != NULL) {
            DH_TRY(poll(poll_context));
        }
    }
    return DH_OK;
}

static dh_status hash_fits(const spilled_segment *segment, dh_buffer *scratch, dh_poll *poll,
                           void *poll_context, bool *out)
{
    XXH3_state_t *hash = NULL;
    DH_TRY(make_hash(&hash));
    const dh_status status = hash_segment(segment, hash, scratch, poll, poll_context);
    const XXH128_hash_t digest = XXH3_128bits_digest(hash);
    (void)XXH3_freeState(hash);
    DH_TRY(status);
    *out = digest.low64 == segment->journal->hash_low && digest.high64 == segment->journal->hash_high;
    return DH_OK;
}

/* Is it the header of chunk `number` of the segment, which has `left` bytes from there on? */
static bool header_fits(const dh_chunk_header *header, const dh_journal_entry *journal, uint32_t number,
                        uint64_t left, const dh_schema *schema)
{
    if (memcmp(header->magic, DH_CHUNK_MAGIC, sizeof header->magic) != 0 || header->number != number ||
        header->begin != journal->begin || header->first_source != journal->first_source ||
        header->rows > DH_CHUNK_ROWS || header->part_count > UINT16_MAX || header->bad_count > UINT16_MAX ||
        header->value_bytes > left || header->term_bytes > left ||
        header->value_count > header->value_bytes) {
        return false;
    }
    dh_chunk_layout layout;
    const dh_chunk_sizes sizes = dh_chunk_header_sizes(header);
    dh_chunk_lay_out(schema, &sizes, &layout);
    return header->size == layout.size && header->size <= left;
}

/* Appends the entries of the segment's chunks to out. */
static dh_status walk_chunks(const spilled_segment *segment, const dh_schema *schema, dh_buffer *out,
                             bool *fits)
{
    const dh_journal_entry *journal = segment->journal;
    uint32_t number = 0;
    uint64_t place = 0;
    bool good = true;
    while (good && place < journal->size) {
        const uint64_t left = journal->size - place;
        dh_chunk_header header;
        good = left >= sizeof header && number < journal->chunk_count;
        if (good) {
            DH_TRY(dh_file_read_at(segment->file, segment->path, &header, sizeof header,
                                   journal->offset + place));
            good = header_fits(&header, journal, number, left, schema);
        }
        if (good) {
            const dh_chunk_entry entry =
                entry_of(&header, journal->epoch, journal->rank, journal->offset + place);
            DH_TRY(dh_buffer_append(out, &entry, sizeof entry));
            number++;
            place += header.size;
        }
    }
    *fits = good && number == journal->chunk_count;
    return DH_OK;
}

static dh_status check_segment(const spilled_segment *segment, const dh_schema *schema, dh_buffer *scratch,
                               dh_poll *poll, void *poll_context, bool *intact)
{
    bool fits = false;
    DH_TRY(hash_fits(segment, scratch, poll, poll_context, &fits));
    scratch->size = 0;
    if (fits) {
        DH_TRY(walk_chunks(segment, schema, scratch, &fits));
    }
    *intact = fits;
    return DH_OK;
}

dh_status dh_spill_check(const char *folder, const dh_journal_entry *journal, const dh_schema *schema,
                         dh_buffer *scratch, dh_chunk_entry_take *take, void *context, dh_poll *poll,
                         void *poll_context, bool *intact)
{
    dh_buffer path = {0};
    spilled_segment segment = {.file = -1, .journal = journal};
    uint64_t size = 0;
    bool good = false;
    dh_status status = dh_checkpoint_open(folder, DH_CHECKPOINT_SPILL, journal->epoch, journal->rank, &path,
                                          &segment.file, &size);
    segment.path = (const char *)path.data;
    /* A segment without a chunk needs no spill: its rank may never have made one. */
    if (status == DH_OK &&
        (journal->size == 0 || (journal->size <= size && journal->offset <= size - journal->size))) {
        status = check_segment(&segment, schema, scratch, poll, poll_context, &good);
    }
    if (segment.file >= 0) {
        (void)close(segment.file);
    }
    dh_buffer_free(&path);
    DH_TRY(status);
    const dh_chunk_entry *entry = (const dh_chunk_entry *)(const void *)scratch->data;
    for (size_t i = 0; good && i < journal->chunk_count; i++) {
        DH_TRY(take(context, &entry[i]));
    }
    *intact = good;
    return DH_OK;
}
