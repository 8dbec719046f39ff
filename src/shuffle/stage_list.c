/* The file stage-NAME: which parts a stage has. And what attempts left that no such file lists. */
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/folder.h"
#include "shuffle/part.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LIST_MAGIC "dhstage"

enum { LIST_VERSION = 1, LIST_BYTES_MAX = 1 << 28 };

/* Then come the parts, then XXH3-64 of all before. */
typedef struct list_header {
    char magic[8];
    uint32_t version, part_count;
    uint8_t run[16];
    char name[DH_CHECKPOINT_NAME_MAX + 1]; /* zeros behind it */
    uint64_t pairs;
    uint64_t figure[8];
} list_header;
_Static_assert(sizeof(list_header) == 136 && sizeof(dh_stage_part) == 32, "no padding");

dh_status dh_stage_list_path(const dh_stage_place *place, dh_buffer *out)
{
    const dh_checkpoint_name name = {.file = DH_CHECKPOINT_STAGE, .name = place->name};
    return dh_checkpoint_named_path(place->folder, &name, out);
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static dh_status write_bytes(const dh_stage_place *place, const dh_stage *stage, dh_buffer *bytes)
{
    list_header header = {
        .magic = LIST_MAGIC, .version = LIST_VERSION, .part_count = stage->part_count, .pairs = stage->pairs};
    memcpy(header.run, place->run, sizeof header.run);
    memcpy(header.name, place->name, strnlen(place->name, DH_CHECKPOINT_NAME_MAX));
    memcpy(header.figure, stage->figure, sizeof header.figure);
    DH_TRY(dh_buffer_append(bytes, &header, sizeof header));
    DH_TRY(dh_buffer_append(bytes, stage->part, stage->part_count * sizeof *stage->part));
    const uint64_t check = XXH3_64bits(bytes->data, bytes->size);
    return dh_buffer_append(bytes, &check, sizeof check);
}

dh_status dh_stage_list_write(const dh_stage_place *place, const dh_stage *stage)
{
    dh_buffer path = {0};
    dh_buffer bytes = {0};
    dh_status status = dh_stage_list_path(place, &path);
    if (status == DH_OK) {
        status = write_bytes(place, stage, &bytes);
    }
    if (status == DH_OK) {
        status = dh_file_replace((const char *)path.data, bytes.data, bytes.size);
    }
    dh_buffer_free(&path);
    dh_buffer_free(&bytes);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static bool header_fits(const dh_buffer *bytes, list_header *header)
{
    uint64_t check;
    if (bytes->size < sizeof *header + sizeof check) {
        return false;
    }
    memcpy(header, bytes->data, sizeof *header);
    memcpy(&check, bytes->data + bytes->size - sizeof check, sizeof check);
    return XXH3_64bits(bytes->data, bytes->size - sizeof check) == check &&
           memcmp(header->magic, LIST_MAGIC, sizeof header->magic) == 0 && header->version == LIST_VERSION &&
           bytes->size ==
               sizeof *header + (uint64_t)header->part_count * sizeof(dh_stage_part) + sizeof check;
}

static bool parts_fit(const list_header *header, const dh_stage_part *part)
{
    uint64_t pairs = 0;
    for (uint32_t p = 0; p < header->part_count; p++) {
        if (part[p].pairs == 0 || part[p].pairs > header->pairs - pairs ||
            (p > 0 && part[p].first_key < part[p - 1].first_key)) {
            return false;
        }
        pairs += part[p].pairs;
    }
    return pairs == header->pairs;
}

/* run: whose it is. *fits: it is a list. */
static dh_status read_bytes(const dh_stage_place *place, const dh_buffer *bytes, const char *path,
                            dh_stage *out, uint8_t run[16], bool *fits)
{
    list_header header;
    char name[sizeof header.name] = {0};
    memcpy(name, place->name, strnlen(place->name, DH_CHECKPOINT_NAME_MAX));
    *fits = header_fits(bytes, &header) && memcmp(header.name, name, sizeof name) == 0;
    void *memory = NULL;
    if (*fits) {
        DH_TRY(dh_allocate(header.part_count, sizeof(dh_stage_part), "the parts of a stage", &memory));
        memcpy(memory, bytes->data + sizeof header, header.part_count * sizeof(dh_stage_part));
        *fits = parts_fit(&header, memory);
    }
    if (!*fits) {
        free(memory);
        dh_warning("%s: damaged; this step of the reduce phase is done again", path);
        return DH_OK;
    }
    *out = (dh_stage){.part = memory, .part_count = header.part_count, .pairs = header.pairs};
    memcpy(out->figure, header.figure, sizeof out->figure);
    memcpy(run, header.run, sizeof header.run);
    return DH_OK;
}

/* Of any run. */
static dh_status read_list(const dh_stage_place *place, dh_stage *out, uint8_t run[16], bool *found)
{
    dh_buffer path = {0};
    dh_buffer bytes = {0};
    bool there = false;
    bool fits = false;
    dh_status status = dh_stage_list_path(place, &path);
    const char *text = (const char *)path.data;
    if (status == DH_OK) {
        status = dh_file_exists(text, &there);
    }
    if (status == DH_OK && there) {
        status = dh_file_read_all(text, LIST_BYTES_MAX, &bytes);
    }
    if (status == DH_OK && there) {
        status = read_bytes(place, &bytes, text, out, run, &fits);
    }
    dh_buffer_free(&path);
    dh_buffer_free(&bytes);
    if (status == DH_OK) {
        *found = fits;
    }
    return status;
}

dh_status dh_stage_list_read(const dh_stage_place *place, dh_stage *out, bool *found)
{
    dh_stage stage = {0};
    uint8_t run[sizeof place->run];
    bool is_there = false;
    DH_TRY(read_list(place, &stage, run, &is_there));
    if (is_there && memcmp(run, place->run, sizeof run) != 0) {
        dh_stage_free(&stage);
        is_there = false;
    }
    if (is_there) {
        *out = stage;
    }
    *found = is_there;
    return DH_OK;
}

/* ---- sweeping ---------------------------------------------------------------------------------------- */

/* What is to be removed: names with a NUL each. Parts are kept by (epoch, rank, name of the stage). */
typedef struct sweep {
    const char *folder;
    const uint8_t *run;
    uint32_t epoch;
    dh_buffer stages, parts, runs; /* names */
    dh_buffer kept;                /* kept_stage */
} sweep;

typedef struct kept_stage {
    const char *name;
    dh_stage stage;
} kept_stage;

static dh_status take_name(void *context, const char *name)
{
    sweep *into = context;
    uint32_t epoch = 0;
    uint32_t rank = 0;
    const size_t size = strlen(name) + 1;
    switch (dh_checkpoint_classify(name, &epoch, &rank)) {
    case DH_CHECKPOINT_STAGE:
        return dh_buffer_append(&into->stages, name, size);
    case DH_CHECKPOINT_PART:
        return epoch < into->epoch ? dh_buffer_append(&into->parts, name, size) : DH_OK;
    case DH_CHECKPOINT_SHUFFLE:
        return epoch < into->epoch ? dh_buffer_append(&into->runs, name, size) : DH_OK;
    default:
        return DH_OK;
    }
}

static dh_status remove_name(const sweep *from, const char *name)
{
    return dh_file_remove_in(from->folder, name);
}

typedef dh_status name_call(sweep *from, const char *name);

static dh_status for_names(sweep *from, const dh_buffer *names, name_call *call)
{
    for (size_t at = 0; at < names->size;) {
        const char *name = (const char *)names->data + at;
        at += strlen(name) + 1;
        DH_TRY(call(from, name));
    }
    return DH_OK;
}

static dh_status remove_run(sweep *from, const char *name)
{
    return remove_name(from, name);
}

/* What follows the last hyphen. */
static const char *stage_of(const char *name)
{
    return strrchr(name, '-') + 1;
}

/* Does it have a part of this attempt or a later one? This attempt makes none before it has swept: then it
 * has been replaced without knowing yet, and the stage is the other's. */
static bool is_later(const sweep *from, const dh_stage *stage)
{
    for (uint32_t p = 0; p < stage->part_count; p++) {
        if (stage->part[p].epoch >= from->epoch) {
            return true;
        }
    }
    return false;
}

/* A stage that no attempt of this run can use goes, before its parts do. */
static dh_status check_stage(sweep *from, const char *name)
{
    const dh_stage_place place = {.folder = from->folder, .name = stage_of(name)};
    kept_stage kept = {.name = place.name};
    uint8_t run[sizeof place.run];
    bool found = false;
    DH_TRY(read_list(&place, &kept.stage, run, &found));
    if (found && (memcmp(run, from->run, sizeof run) == 0 || is_later(from, &kept.stage))) {
        const dh_status status = dh_buffer_append(&from->kept, &kept, sizeof kept);
        if (status != DH_OK) {
            dh_stage_free(&kept.stage);
        }
        return status;
    }
    dh_stage_free(&kept.stage);
    return remove_name(from, name);
}

static bool lists_part(const dh_stage *stage, uint32_t epoch, uint32_t rank)
{
    for (uint32_t p = 0; p < stage->part_count; p++) {
        if (stage->part[p].epoch == epoch && stage->part[p].rank == rank) {
            return true;
        }
    }
    return false;
}

static dh_status check_part(sweep *from, const char *name)
{
    uint32_t epoch = 0;
    uint32_t rank = 0;
    (void)dh_checkpoint_classify(name, &epoch, &rank);
    const kept_stage *kept = (const kept_stage *)(const void *)from->kept.data;
    for (size_t k = 0; k < from->kept.size / sizeof *kept; k++) {
        if (strcmp(kept[k].name, stage_of(name)) == 0 && lists_part(&kept[k].stage, epoch, rank)) {
            return DH_OK;
        }
    }
    return remove_name(from, name);
}

static void free_sweep(sweep *all)
{
    kept_stage *kept = (kept_stage *)(void *)all->kept.data;
    for (size_t k = 0; k < all->kept.size / sizeof *kept; k++) {
        dh_stage_free(&kept[k].stage);
    }
    dh_buffer_free(&all->stages);
    dh_buffer_free(&all->parts);
    dh_buffer_free(&all->runs);
    dh_buffer_free(&all->kept);
}

dh_status dh_stage_sweep(const char *folder, const uint8_t run[16], uint32_t epoch)
{
    sweep all = {.folder = folder, .run = run, .epoch = epoch};
    dh_status status = dh_folder_list(folder, take_name, &all);
    if (status == DH_OK) {
        status = for_names(&all, &all.runs, remove_run);
    }
    if (status == DH_OK) {
        status = for_names(&all, &all.stages, check_stage);
    }
    if (status == DH_OK) {
        status = for_names(&all, &all.parts, check_part);
    }
    free_sweep(&all);
    return status;
}
