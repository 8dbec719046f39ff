#include "checkpoint/manifest.h"

#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/attempt.h"
#include "checkpoint/folder.h"
#include "options/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    MANIFEST_VERSION = 2,
    END_SIZE = 64 * 1024, /* of a file, that is hashed for DH_FINGERPRINT_ENDS */
    PIECE_SIZE = 1 << 20,
    HASH_SIZE = 16,
    DIFFERENCES_MAX = 10, /* that are told one by one */
    VALUE_SHOWN_MAX = 200,
    RESULT_VERSION = 1
};

/* 128 bytes, then the options, the sources, their names, and the XXH3-128 of all of it. */
typedef struct manifest_header {
    char magic[8];
    uint32_t version, fingerprint_kind;
    dh_run_id run;
    uint32_t first_epoch, reserved;
    uint64_t source_count, segment_size, file_bytes, known_segments, stream_bytes;
    uint64_t options_size, sources_size, names_size; /* bytes */
    uint64_t size;                                   /* of the file */
    uint64_t unused[2];
} manifest_header;
_Static_assert(sizeof(manifest_header) == 128, "the header of a manifest");

/* 40 bytes a source. */
typedef struct manifest_source {
    uint64_t size, mtime, hash;
    uint64_t name; /* offset in the names */
    uint32_t name_size, reserved;
} manifest_source;
_Static_assert(sizeof(manifest_source) == 40, "a source of a manifest");

static const char manifest_magic[8] = "dhmanif";

/* ---- fingerprints ------------------------------------------------------------------------------------ */

static dh_status changed(const char *path)
{
    return dh_error(DH_IO, "%s: changed while the run was planned: run again when nobody writes to it", path);
}

/* Bytes [offset, end), hashed in pieces. */
static dh_status hash_range(int file, const char *path, uint64_t offset, uint64_t end, uint8_t *piece,
                            XXH3_state_t *state, dh_poll *poll, void *poll_context)
{
    while (offset < end) {
        const size_t size = end - offset < PIECE_SIZE ? (size_t)(end - offset) : PIECE_SIZE;
        if (poll != NULL) {
            DH_TRY(poll(poll_context));
        }
        DH_TRY(dh_file_read_at(file, path, piece, size, offset));
        (void)XXH3_64bits_update(state, piece, size);
        offset += size;
    }
    return DH_OK;
}

static dh_status hash_file(int file, const char *path, uint64_t size, dh_fingerprint_kind kind, dh_poll *poll,
                           void *poll_context, uint64_t *hash)
{
    const bool ends = kind == DH_FINGERPRINT_ENDS && size > 2 * END_SIZE;
    XXH3_state_t *state = XXH3_createState();
    void *piece = NULL;
    dh_status status = state != NULL ? DH_OK : dh_error(DH_NO_MEMORY, "out of memory: a hash");
    if (status == DH_OK) {
        (void)XXH3_64bits_reset(state);
        const uint64_t largest = kind == DH_FINGERPRINT_ENDS ? 2 * END_SIZE : PIECE_SIZE;
        status = dh_allocate(size < largest ? (size_t)size : (size_t)largest, 1, "a piece of a file", &piece);
    }
    if (status == DH_OK) {
        status = hash_range(file, path, 0, ends ? END_SIZE : size, piece, state, poll, poll_context);
    }
    if (status == DH_OK && ends) {
        status = hash_range(file, path, size - END_SIZE, size, piece, state, poll, poll_context);
    }
    if (status == DH_OK) {
        *hash = XXH3_64bits_digest(state);
    }
    free(piece);
    (void)XXH3_freeState(state);
    return status;
}

static dh_status stat_open(int file, const char *path, struct stat *facts)
{
    return fstat(file, facts) == 0 ? DH_OK : dh_error(DH_IO, "%s: cannot stat: %s", path, strerror(errno));
}

dh_status dh_fingerprint_read(const char *path, uint64_t planned_size, dh_fingerprint_kind kind,
                              dh_poll *poll, void *poll_context, dh_fingerprint *out)
{
    struct stat before;
    struct stat after;
    int file = -1;
    uint64_t hash = 0;
    /* Not to wait for the other end where a FIFO came in the place of the file. */
    DH_TRY(dh_file_open(path, O_RDONLY | O_NONBLOCK, &file));
    dh_status status = stat_open(file, path, &before);
    if (status == DH_OK && (!S_ISREG(before.st_mode) || (uint64_t)before.st_size != planned_size)) {
        status = changed(path);
    }
    if (status == DH_OK) {
        status = hash_file(file, path, planned_size, kind, poll, poll_context, &hash);
    }
    if (status == DH_OK) {
        status = stat_open(file, path, &after);
    }
    if (status == DH_OK &&
        (after.st_size != before.st_size || dh_file_time(&after) != dh_file_time(&before))) {
        status = changed(path);
    }
    (void)close(file);
    if (status == DH_OK) {
        *out =
            (dh_fingerprint){.mtime = kind == DH_FINGERPRINT_ENDS ? dh_file_time(&before) : 0, .hash = hash};
    }
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

/* What is known of the number of segments before they are read. */
static void count_segments(const dh_plan *plan, uint64_t *known_segments, uint64_t *stream_bytes)
{
    const dh_work_group *group = (const dh_work_group *)(const void *)((const uint8_t *)plan + plan->groups);
    *known_segments = 0;
    *stream_bytes = 0;
    for (uint64_t g = 0; g < plan->group_count; g++) {
        if (group[g].kind == DH_WORK_STREAM) {
            *stream_bytes += dh_plan_source(plan, group[g].first_source)->size;
            continue;
        }
        const uint64_t end = g + 1 < plan->group_count ? group[g + 1].first_item : plan->item_count;
        *known_segments += end - group[g].first_item;
    }
}

static manifest_header make_header(const dh_manifest *manifest)
{
    const dh_plan *plan = manifest->plan;
    manifest_header header = {.version = MANIFEST_VERSION,
                              .fingerprint_kind = (uint32_t)manifest->kind,
                              .run = manifest->run,
                              .first_epoch = manifest->first_epoch,
                              .source_count = plan->source_count,
                              .segment_size = plan->segment_size,
                              .file_bytes = plan->file_bytes,
                              .options_size = strlen(manifest->options),
                              .sources_size = plan->source_count * sizeof(manifest_source)};
    memcpy(header.magic, manifest_magic, sizeof header.magic);
    count_segments(plan, &header.known_segments, &header.stream_bytes);
    for (uint64_t s = 0; s < plan->source_count; s++) {
        header.names_size += dh_plan_source(plan, s)->name_size;
    }
    header.size = sizeof header + header.options_size + header.sources_size + header.names_size + HASH_SIZE;
    return header;
}

static dh_status append_sources(const dh_manifest *manifest, dh_buffer *out)
{
    uint64_t name = 0;
    for (uint64_t s = 0; s < manifest->plan->source_count; s++) {
        const dh_source *source = dh_plan_source(manifest->plan, s);
        const manifest_source record = {.size = source->size,
                                        .mtime = manifest->fingerprint[s].mtime,
                                        .hash = manifest->fingerprint[s].hash,
                                        .name = name,
                                        .name_size = source->name_size};
        DH_TRY(dh_buffer_append(out, &record, sizeof record));
        name += source->name_size;
    }
    for (uint64_t s = 0; s < manifest->plan->source_count; s++) {
        DH_TRY(dh_buffer_append(out, dh_plan_name(manifest->plan, s),
                                dh_plan_source(manifest->plan, s)->name_size));
    }
    return DH_OK;
}

dh_status dh_manifest_write(const char *folder, const dh_manifest *manifest)
{
    const manifest_header header = make_header(manifest);
    dh_buffer path = {0};
    dh_buffer out = {0};
    dh_status status = dh_checkpoint_path(folder, DH_CHECKPOINT_MANIFEST, 0, 0, &path);
    if (status == DH_OK) {
        status = dh_buffer_reserve(&out, (size_t)header.size);
    }
    if (status == DH_OK) {
        status = dh_buffer_append(&out, &header, sizeof header);
    }
    if (status == DH_OK) {
        status = dh_buffer_append(&out, manifest->options, header.options_size);
    }
    if (status == DH_OK) {
        status = append_sources(manifest, &out);
    }
    if (status == DH_OK) {
        const XXH128_hash_t hash = XXH3_128bits(out.data, out.size);
        const uint64_t halves[2] = {hash.low64, hash.high64};
        status = dh_buffer_append(&out, halves, sizeof halves);
    }
    if (status == DH_OK) {
        status = dh_file_replace((const char *)path.data, out.data, out.size);
    }
    dh_buffer_free(&out);
    dh_buffer_free(&path);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

typedef struct manifest_file {
    dh_buffer path;
    int file; /* -1: there is none */
    uint64_t size;
    manifest_header header;
} manifest_file;

static dh_status damaged(const manifest_file *from, const char *what)
{
    return dh_error(DH_MISMATCH, "%s: damaged (%s): give --fresh to start over",
                    (const char *)from->path.data, what);
}

/* Do the sections fill the file? Said without a sum that could overflow. */
static bool lengths_fit(const manifest_header *header, uint64_t file_size)
{
    uint64_t left = file_size - sizeof *header - HASH_SIZE;
    const uint64_t section[] = {header->options_size, header->sources_size, header->names_size};
    for (size_t i = 0; i < sizeof section / sizeof section[0]; i++) {
        if (section[i] > left) {
            return false;
        }
        left -= section[i];
    }
    return left == 0 && header->size == file_size && header->sources_size % sizeof(manifest_source) == 0 &&
           header->sources_size / sizeof(manifest_source) == header->source_count;
}

static dh_status read_header(manifest_file *from)
{
    const char *path = (const char *)from->path.data;
    if (from->size < sizeof from->header + HASH_SIZE) {
        return damaged(from, "it is too short");
    }
    DH_TRY(dh_file_read_at(from->file, path, &from->header, sizeof from->header, 0));
    if (memcmp(from->header.magic, manifest_magic, sizeof manifest_magic) != 0) {
        return damaged(from, "it does not begin as a manifest");
    }
    if (from->header.version != MANIFEST_VERSION) {
        return dh_error(
            DH_MISMATCH,
            "%s: format version %u, and this dhatu knows %d: go on with the dhatu that wrote it, or "
            "give --fresh to start over",
            path, from->header.version, MANIFEST_VERSION);
    }
    return lengths_fit(&from->header, from->size) ? DH_OK : damaged(from, "its lengths do not fit its size");
}

/* Opens it and checks the header. *file is -1 where there is none. */
static dh_status manifest_open(const char *folder, manifest_file *out)
{
    *out = (manifest_file){.file = -1};
    DH_TRY(dh_checkpoint_open(folder, DH_CHECKPOINT_MANIFEST, 0, 0, &out->path, &out->file, &out->size));
    return out->file >= 0 ? read_header(out) : DH_OK;
}

static void manifest_close(manifest_file *from)
{
    if (from->file >= 0) {
        (void)close(from->file);
    }
    dh_buffer_free(&from->path);
}

static dh_status check_hash(const manifest_file *from, XXH128_hash_t hash)
{
    const uint64_t expected[2] = {hash.low64, hash.high64};
    uint64_t stored[2];
    DH_TRY(dh_file_read_at(from->file, (const char *)from->path.data, stored, sizeof stored,
                           from->size - HASH_SIZE));
    return memcmp(stored, expected, sizeof stored) == 0 ? DH_OK : damaged(from, "its hash does not fit");
}

/* In pieces: the facts of a manifest of millions of sources need no memory for them. */
static dh_status check_in_pieces(const manifest_file *from)
{
    XXH3_state_t *state = XXH3_createState();
    void *piece = NULL;
    const uint64_t end = from->size - HASH_SIZE;
    dh_status status = state != NULL ? DH_OK : dh_error(DH_NO_MEMORY, "out of memory: a hash");
    if (status == DH_OK) {
        (void)XXH3_128bits_reset(state);
        status = dh_allocate(end < PIECE_SIZE ? (size_t)end : PIECE_SIZE, 1, "a piece of a manifest", &piece);
    }
    for (uint64_t offset = 0; offset < end && status == DH_OK;) {
        const size_t size = end - offset < PIECE_SIZE ? (size_t)(end - offset) : PIECE_SIZE;
        status = dh_file_read_at(from->file, (const char *)from->path.data, piece, size, offset);
        if (status == DH_OK) {
            (void)XXH3_128bits_update(state, piece, size);
        }
        offset += size;
    }
    if (status == DH_OK) {
        status = check_hash(from, XXH3_128bits_digest(state));
    }
    free(piece);
    (void)XXH3_freeState(state);
    return status;
}

dh_status dh_manifest_read(const char *folder, dh_manifest_facts *out, bool *found)
{
    manifest_file from;
    dh_status status = manifest_open(folder, &from);
    const bool present = from.file >= 0;
    if (status == DH_OK && present) {
        status = check_in_pieces(&from);
    }
    if (status == DH_OK && present) {
        *out = (dh_manifest_facts){.run = from.header.run,
                                   .first_epoch = from.header.first_epoch,
                                   .fingerprint_kind = from.header.fingerprint_kind,
                                   .source_count = from.header.source_count,
                                   .file_bytes = from.header.file_bytes,
                                   .segment_size = from.header.segment_size,
                                   .known_segments = from.header.known_segments,
                                   .stream_bytes = from.header.stream_bytes};
    }
    if (status == DH_OK) {
        *found = present;
    }
    manifest_close(&from);
    return status;
}

/* ---- comparing --------------------------------------------------------------------------------------- */

typedef struct comparison {
    const char *folder;
    const dh_manifest *now;
    const manifest_header *header; /* of the manifest in the folder */
    const char *options;           /* options_size bytes */
    const uint8_t *sources;
    const char *names;
    dh_buffer text; /* of the difference that is being told */
    uint64_t differences;
} comparison;

/* Tells what is in text, and empties it. */
static dh_status tell(comparison *with)
{
    if (with->differences == 0) {
        dh_log_error("the checkpoint in %s was made from other input or with other options:", with->folder);
    }
    if (with->differences < DIFFERENCES_MAX) {
        dh_log_error("  %.*s", (int)with->text.size, (const char *)with->text.data);
    }
    with->differences++;
    with->text.size = 0;
    return DH_OK;
}

/* A line "name=value" of an option text. */
typedef struct option_line {
    const char *name, *value;
    size_t name_size, value_size;
} option_line;

/* Takes the next line. False at the end. */
static bool next_line(const char **at, const char *end, option_line *out)
{
    if (*at >= end) {
        return false;
    }
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    const char *line_end = newline != NULL ? newline : end;
    const char *equals = memchr(*at, '=', (size_t)(line_end - *at));
    const char *name_end = equals != NULL ? equals : line_end;
    const char *value = equals != NULL ? equals + 1 : line_end;
    *out = (option_line){.name = *at,
                         .value = value,
                         .name_size = (size_t)(name_end - *at),
                         .value_size = (size_t)(line_end - value)};
    *at = newline != NULL ? newline + 1 : end;
    return true;
}

static bool find_line(const char *text, size_t size, const char *name, size_t name_size, option_line *out)
{
    const char *at = text;
    while (next_line(&at, text + size, out)) {
        if (out->name_size == name_size && memcmp(out->name, name, name_size) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_option(const char *name, size_t size)
{
    for (size_t i = 0; i < DH_OPTION_COUNT; i++) {
        const char *known = dh_option_table[i].name;
        if (known != NULL && strlen(known) == size && memcmp(known, name, size) == 0) {
            return true;
        }
    }
    return false;
}

static int shown(size_t size)
{
    return size < VALUE_SHOWN_MAX ? (int)size : VALUE_SHOWN_MAX;
}

/* before, now: NULL when it was or is not given. */
static dh_status tell_option(comparison *with, const option_line *before, const option_line *now)
{
    const option_line *any = before != NULL ? before : now;
    DH_TRY(dh_buffer_printf(&with->text, "%s%.*s was ", is_option(any->name, any->name_size) ? "--" : "",
                            shown(any->name_size), any->name));
    DH_TRY(before != NULL ? dh_buffer_printf(&with->text, "%.*s", shown(before->value_size), before->value)
                          : dh_buffer_printf(&with->text, "not given"));
    DH_TRY(now != NULL ? dh_buffer_printf(&with->text, ", is %.*s now", shown(now->value_size), now->value)
                       : dh_buffer_printf(&with->text, ", is not given now"));
    return tell(with);
}

static dh_status compare_options(comparison *with)
{
    const size_t size_before = (size_t)with->header->options_size;
    const size_t size_now = strlen(with->now->options);
    option_line line;
    option_line other;
    const char *at = with->options;
    while (next_line(&at, with->options + size_before, &line)) {
        if (!find_line(with->now->options, size_now, line.name, line.name_size, &other)) {
            DH_TRY(tell_option(with, &line, NULL));
        } else if (other.value_size != line.value_size ||
                   memcmp(other.value, line.value, line.value_size) != 0) {
            DH_TRY(tell_option(with, &line, &other));
        }
    }
    at = with->now->options;
    while (next_line(&at, with->now->options + size_now, &line)) {
        if (!find_line(with->options, size_before, line.name, line.name_size, &other)) {
            DH_TRY(tell_option(with, NULL, &line));
        }
    }
    return DH_OK;
}

static const char *kind_name(uint32_t kind)
{
    return kind == DH_FINGERPRINT_ENDS ? "ends" : (kind == DH_FINGERPRINT_ALL ? "all" : "unknown");
}

static dh_status compare_header(comparison *with)
{
    const manifest_header now = make_header(with->now);
    const manifest_header *before = with->header;
    if (before->fingerprint_kind != now.fingerprint_kind) {
        DH_TRY(dh_buffer_printf(&with->text, "--fingerprint was %s, is %s now",
                                kind_name(before->fingerprint_kind), kind_name(now.fingerprint_kind)));
        DH_TRY(tell(with));
    }
    option_line line;
    const bool told =
        find_line(with->options, (size_t)before->options_size, "segment-size", strlen("segment-size"), &line);
    if (before->segment_size != now.segment_size && !told) {
        DH_TRY(dh_buffer_printf(&with->text, "--segment-size was %llu, is %llu now",
                                (unsigned long long)before->segment_size,
                                (unsigned long long)now.segment_size));
        DH_TRY(tell(with));
    }
    return DH_OK;
}

static dh_status tell_change(comparison *with, const manifest_source *before, uint64_t s)
{
    const dh_fingerprint *now = &with->now->fingerprint[s];
    dh_buffer *text = &with->text;
    const bool ends = with->now->kind == DH_FINGERPRINT_ENDS;
    DH_TRY(dh_buffer_printf(text, "%s: ", dh_plan_name(with->now->plan, s)));
    if (ends && now->mtime != before->mtime) {
        DH_TRY(dh_buffer_printf(text, "was changed at "));
        DH_TRY(dh_append_time(now->mtime, text));
        DH_TRY(dh_buffer_printf(text, ": "));
    }
    if (now->hash != before->hash) {
        DH_TRY(dh_buffer_printf(text, "content differs"));
    } else {
        const char *same = before->size > 2 * END_SIZE ? "content of its first and last 64 KiB" : "content";
        DH_TRY(
            dh_buffer_printf(text,
                             "size and %s are the same; if all of it is, give it its old time back: touch -d "
                             "@%llu.%09llu FILE",
                             same, (unsigned long long)(before->mtime / 1000000000),
                             (unsigned long long)(before->mtime % 1000000000)));
    }
    return tell(with);
}

static dh_status compare_source(comparison *with, const manifest_source *before, uint64_t s)
{
    const uint64_t size = dh_plan_source(with->now->plan, s)->size;
    const dh_fingerprint *now = &with->now->fingerprint[s];
    if (before->size != size) {
        DH_TRY(dh_buffer_printf(&with->text, "%s: had %llu bytes, has %llu now",
                                dh_plan_name(with->now->plan, s), (unsigned long long)before->size,
                                (unsigned long long)size));
        return tell(with);
    }
    /* Fingerprints of two kinds say nothing of each other. */
    const bool comparable = with->header->fingerprint_kind == (uint32_t)with->now->kind;
    if (comparable && (now->hash != before->hash || now->mtime != before->mtime)) {
        return tell_change(with, before, s);
    }
    return DH_OK;
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

/* Both lists are in the order of their names. */
static dh_status compare_sources(comparison *with)
{
    const dh_plan *plan = with->now->plan;
    uint64_t b = 0;
    uint64_t n = 0;
    while (b < with->header->source_count || n < plan->source_count) {
        manifest_source before = {0};
        int order = 1; /* < 0: the one before is gone, > 0: the one now is new */
        if (b < with->header->source_count) {
            memcpy(&before, with->sources + b * sizeof before, sizeof before);
            order = n == plan->source_count
                        ? -1
                        : compare_names(with->names + before.name, before.name_size, dh_plan_name(plan, n),
                                        dh_plan_source(plan, n)->name_size);
        }
        if (order < 0) {
            DH_TRY(dh_buffer_printf(&with->text, "%.*s: is gone", (int)before.name_size,
                                    with->names + before.name));
            DH_TRY(tell(with));
        } else if (order > 0) {
            DH_TRY(dh_buffer_printf(&with->text, "%s: is new", dh_plan_name(plan, n)));
            DH_TRY(tell(with));
        } else {
            DH_TRY(compare_source(with, &before, n));
        }
        b += order <= 0;
        n += order >= 0;
    }
    return DH_OK;
}

/* The same sources and options, cut into other work: by another version of dhatu. */
static dh_status compare_cut(comparison *with)
{
    const manifest_header now = make_header(with->now);
    const manifest_header *before = with->header;
    if (with->differences == 0 &&
        (before->known_segments != now.known_segments || before->stream_bytes != now.stream_bytes)) {
        DH_TRY(dh_buffer_printf(
            &with->text,
            "the work was cut into %llu segments and %llu bytes of compressed sources, is "
            "cut into %llu and %llu now",
            (unsigned long long)before->known_segments, (unsigned long long)before->stream_bytes,
            (unsigned long long)now.known_segments, (unsigned long long)now.stream_bytes));
        return tell(with);
    }
    return DH_OK;
}

static dh_status compare(comparison *with)
{
    DH_TRY(compare_options(with));
    DH_TRY(compare_header(with));
    DH_TRY(compare_sources(with));
    DH_TRY(compare_cut(with));
    if (with->differences == 0) {
        return DH_OK;
    }
    if (with->differences > DIFFERENCES_MAX) {
        dh_log_error("  and %llu more differences",
                     (unsigned long long)(with->differences - DIFFERENCES_MAX));
    }
    return dh_error(DH_MISMATCH, "undo the change, or give --fresh to start over");
}

/* The hash fits, but who made the file may have made that too. */
static dh_status check_names(const manifest_file *from, const uint8_t *sources)
{
    for (uint64_t s = 0; s < from->header.source_count; s++) {
        manifest_source source;
        memcpy(&source, sources + s * sizeof source, sizeof source);
        if (source.name > from->header.names_size ||
            source.name_size > from->header.names_size - source.name || source.name_size > INT32_MAX) {
            return damaged(from, "a name lies outside of it");
        }
    }
    return DH_OK;
}

static dh_status compare_file(manifest_file *from, const char *folder, const dh_manifest *now)
{
    const size_t size = (size_t)(from->size - HASH_SIZE);
    void *memory = NULL;
    DH_TRY(dh_allocate(size, 1, "a manifest", &memory));
    const uint8_t *data = memory;
    comparison with = {.folder = folder, .now = now, .header = &from->header};
    with.options = (const char *)data + sizeof from->header;
    with.sources = data + sizeof from->header + from->header.options_size;
    with.names = (const char *)with.sources + from->header.sources_size;
    dh_status status = dh_file_read_at(from->file, (const char *)from->path.data, memory, size, 0);
    if (status == DH_OK) {
        status = check_hash(from, XXH3_128bits(data, size));
    }
    if (status == DH_OK) {
        status = check_names(from, with.sources);
    }
    if (status == DH_OK) {
        status = compare(&with);
    }
    dh_buffer_free(&with.text);
    free(memory);
    return status;
}

dh_status dh_manifest_compare(const char *folder, const dh_manifest *now)
{
    manifest_file from;
    dh_status status = manifest_open(folder, &from);
    if (status == DH_OK && from.file < 0) {
        status = dh_error(DH_IO, "%s: its manifest is gone", folder);
    }
    if (status == DH_OK) {
        status = compare_file(&from, folder, now);
    }
    manifest_close(&from);
    return status;
}

/* ---- the mark of the result -------------------------------------------------------------------------- */

typedef struct result_file {
    char magic[8];
    uint32_t version, size;
    dh_result_mark mark;
    uint64_t check; /* XXH3-64 of the bytes before */
} result_file;
_Static_assert(sizeof(dh_result_mark) == 96 && sizeof(result_file) == 120,
               "a mark has its padding at its end");

static const char result_magic[8] = "dhresult";

static uint64_t result_check(const result_file *file)
{
    return XXH3_64bits(file, offsetof(result_file, check));
}

dh_status dh_result_mark_write(const char *folder, const char *partial_path, const char *content)
{
    struct stat facts;
    result_file file;
    /* The padding too: it is hashed and written. */
    memset(&file, 0, sizeof file);
    const size_t content_size = strlen(content);
    if (content_size >= sizeof file.mark.content) {
        return dh_error(DH_INTERNAL, "a content digest of %zu digits", content_size);
    }
    if (stat(partial_path, &facts) != 0) {
        return dh_error(DH_IO, "%s: cannot stat: %s", partial_path, strerror(errno));
    }
    memcpy(file.magic, result_magic, sizeof file.magic);
    file.version = RESULT_VERSION;
    file.size = sizeof file;
    file.mark.device = (uint64_t)facts.st_dev;
    file.mark.inode = (uint64_t)facts.st_ino;
    file.mark.size = (uint64_t)facts.st_size;
    memcpy(file.mark.content, content, content_size);
    file.check = result_check(&file);
    dh_buffer path = {0};
    dh_status status = dh_checkpoint_path(folder, DH_CHECKPOINT_RESULT, 0, 0, &path);
    if (status == DH_OK) {
        status = dh_file_replace((const char *)path.data, &file, sizeof file);
    }
    dh_buffer_free(&path);
    return status;
}

/* *found is false where there is no mark, or a damaged one: then the result is made again. */
static dh_status read_mark(const char *folder, dh_result_mark *out, bool *found)
{
    dh_buffer path = {0};
    int file = -1;
    uint64_t size = 0;
    result_file read = {0};
    *found = false;
    dh_status status = dh_checkpoint_open(folder, DH_CHECKPOINT_RESULT, 0, 0, &path, &file, &size);
    if (status == DH_OK && file >= 0 && size == sizeof read) {
        status = dh_file_read_at(file, (const char *)path.data, &read, sizeof read, 0);
        *found = status == DH_OK && memcmp(read.magic, result_magic, sizeof read.magic) == 0 &&
                 read.version == RESULT_VERSION && read.size == sizeof read &&
                 read.check == result_check(&read);
    }
    if (status == DH_OK && file >= 0 && !*found) {
        dh_warning("%s: damaged, so it is not known whether the result is complete", (const char *)path.data);
    }
    if (file >= 0) {
        (void)close(file);
    }
    dh_buffer_free(&path);
    *out = read.mark;
    return status;
}

/* The device's number is only for people: that of a network file system changes when it is mounted anew. */
dh_status dh_result_mark_matches(const char *folder, const char *path, bool *out)
{
    dh_result_mark mark;
    bool found = false;
    DH_TRY(read_mark(folder, &mark, &found));
    struct stat facts;
    bool matches = false;
    if (found && stat(path, &facts) == 0) {
        matches = (uint64_t)facts.st_ino == mark.inode && (uint64_t)facts.st_size == mark.size;
    } else if (found && errno != ENOENT && errno != ENOTDIR) {
        return dh_error(DH_IO, "%s: cannot stat: %s", path, strerror(errno));
    }
    *out = matches;
    return DH_OK;
}
