#include "checkpoint/journal.h"

#include "base/log.h"
#include "checkpoint/folder.h"

#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(dh_journal_entry) == 128, "an entry has no padding: every bit of it is checked");
_Static_assert(sizeof(dh_journal_header) == 64, "a header has no padding: every bit of it is checked");
_Static_assert(offsetof(dh_journal_entry, check) == 120, "the check covers all in front of it");
_Static_assert(offsetof(dh_journal_header, check) == 56, "the check covers all in front of it");

static const char header_magic[8] = "dhjrnl\0";

enum { PIECE_ENTRIES = 512 };

static uint64_t header_check(const dh_journal_header *header)
{
    return XXH3_64bits(header, offsetof(dh_journal_header, check));
}

static uint64_t entry_check(const dh_journal_entry *entry)
{
    return XXH3_64bits_withSeed(entry, offsetof(dh_journal_entry, check), DH_JOURNAL_VERSION);
}

void dh_journal_header_seal(dh_journal_header *header)
{
    memcpy(header->magic, header_magic, sizeof header->magic);
    header->check = header_check(header);
}

void dh_journal_entry_seal(dh_journal_entry *entry)
{
    memcpy(entry->magic, DH_JOURNAL_ENTRY_MAGIC, sizeof entry->magic);
    entry->check = entry_check(entry);
}

typedef struct journal_file {
    int file;
    uint64_t size;
    dh_buffer path;
    uint32_t epoch, rank; /* as in the name */
    uint64_t run;         /* what entries have of the run id */
} journal_file;

/* Entries that were begun, a torn one included. */
static uint64_t places(const journal_file *journal)
{
    if (journal->size <= sizeof(dh_journal_header)) {
        return 0;
    }
    const uint64_t bytes = journal->size - sizeof(dh_journal_header);
    return bytes / sizeof(dh_journal_entry) + (bytes % sizeof(dh_journal_entry) > 0);
}

/* *usable is false where no entry can count. */
static dh_status read_header(const journal_file *journal, const dh_run_id *run, dh_journal_scan_result *out,
                             bool *usable)
{
    *usable = false;
    if (journal->size < sizeof(dh_journal_header)) {
        return DH_OK;
    }
    const char *path = (const char *)journal->path.data;
    dh_journal_header header;
    DH_TRY(dh_file_read_at(journal->file, path, &header, sizeof header, 0));
    if (memcmp(header.magic, header_magic, sizeof header.magic) != 0 ||
        header.check != header_check(&header)) {
        return DH_OK;
    }
    if (header.version != DH_JOURNAL_VERSION || header.entry_size != sizeof(dh_journal_entry)) {
        return dh_error(
            DH_MISMATCH,
            "%s: version %u with entries of %u bytes; this dhatu knows version %d with %zu: go on "
            "with the dhatu that wrote it, or start over with --fresh",
            path, header.version, header.entry_size, DH_JOURNAL_VERSION, sizeof(dh_journal_entry));
    }
    if (header.epoch != journal->epoch || header.rank != journal->rank) { /* a copy of another one */
        return DH_OK;
    }
    out->start = header.start;
    out->foreign = memcmp(&header.run, run, sizeof *run) != 0;
    *usable = !out->foreign;
    return DH_OK;
}

static bool entry_counts(const journal_file *journal, const dh_journal_entry *entry, uint64_t place)
{
    return memcmp(entry->magic, DH_JOURNAL_ENTRY_MAGIC, sizeof entry->magic) == 0 &&
           entry->check == entry_check(entry) && entry->run == journal->run &&
           entry->epoch == journal->epoch && entry->rank == journal->rank && entry->sequence == place;
}

static dh_status read_entries(const journal_file *journal, dh_journal_take *take, void *context,
                              dh_buffer *piece, uint64_t *valid)
{
    DH_TRY(dh_buffer_reserve(piece, PIECE_ENTRIES * sizeof(dh_journal_entry)));
    const dh_journal_entry *entry = (const dh_journal_entry *)(const void *)piece->data;
    const uint64_t whole = (journal->size - sizeof(dh_journal_header)) / sizeof *entry;
    for (uint64_t first = 0; first < whole; first += PIECE_ENTRIES) {
        const uint64_t count = whole - first < PIECE_ENTRIES ? whole - first : PIECE_ENTRIES;
        DH_TRY(dh_file_read_at(journal->file, (const char *)journal->path.data, piece->data,
                               (size_t)count * sizeof *entry,
                               sizeof(dh_journal_header) + first * sizeof *entry));
        for (uint64_t i = 0; i < count; i++) {
            if (entry_counts(journal, &entry[i], first + i)) {
                DH_TRY(take(context, &entry[i]));
                (*valid)++;
            }
        }
    }
    return DH_OK;
}

dh_status dh_journal_scan(const char *folder, const dh_run_id *run, uint32_t epoch, uint32_t rank,
                          dh_journal_take *take, void *context, dh_journal_scan_result *out)
{
    journal_file journal = {.file = -1, .epoch = epoch, .rank = rank};
    memcpy(&journal.run, run->byte, sizeof journal.run);
    dh_journal_scan_result result = {0};
    dh_buffer piece = {0};
    bool usable = false;
    dh_status status = dh_checkpoint_open(folder, DH_CHECKPOINT_JOURNAL, epoch, rank, &journal.path,
                                          &journal.file, &journal.size);
    if (status == DH_OK) {
        status = read_header(&journal, run, &result, &usable);
    }
    if (status == DH_OK && usable) {
        status = read_entries(&journal, take, context, &piece, &result.valid);
    }
    if (status == DH_OK) {
        result.damaged = result.foreign ? 0 : places(&journal) - result.valid;
        *out = result;
    }
    if (journal.file >= 0) {
        (void)close(journal.file);
    }
    dh_buffer_free(&piece);
    dh_buffer_free(&journal.path);
    return status;
}
