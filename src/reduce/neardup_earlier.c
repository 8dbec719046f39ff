#include "reduce/neardup_earlier.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARAMETERS "uns/dhatu/neardup/parameters"
#define SIGNATURES "obsm/minhash"
#define SHINGLES "obs/shingles"
#define SHA256 "obs/sha256"
#define IDS "obs/_index"

enum {
    HELD_ROWS = 4096, /* that are read at a time from chunks: each is inflated as a whole */
    ID_PLACES_MAX = 1024,
    ID_READ = 8 << 10, /* bytes that are read at a time where ids are not in chunks */
    ID_BYTES = 8 << 20 /* of ids that are held, where one block is not more */
};

struct dh_earlier {
    dh_h5 *h5;
    uint64_t rows;
    uint32_t id_width;
    char *ids; /* of blocks of id_rows rows: block b has place b % id_places */
    uint64_t id_places;
    uint64_t held_ids[ID_PLACES_MAX]; /* number of the block + 1; 0: none */
    uint64_t id_rows;                 /* of a block */
    uint64_t places;
    uint32_t *signatures; /* of HELD_ROWS rows; NULL: not in chunks, and read as they are asked for */
    uint64_t first_signature, signature_count;
};

static const char *const parameter_name[DH_PARAMETER_COUNT] = {
    [DH_PARAMETER_SHINGLE_TOKENS] = "tokens of a shingle",
    [DH_PARAMETER_BANDS] = "bands",
    [DH_PARAMETER_BAND_ROWS] = "rows of a band",
    [DH_PARAMETER_MIN_SHINGLES] = "least number of shingles",
    [DH_PARAMETER_SEED] = "seed",
    [DH_PARAMETER_TOKEN_RULE] = "rule for tokens",
};

void dh_neardup_parameters(const dh_job_options *options, uint64_t token_rule,
                           uint64_t parameter[DH_PARAMETER_COUNT])
{
    parameter[DH_PARAMETER_SHINGLE_TOKENS] = options->shingle_tokens;
    parameter[DH_PARAMETER_BANDS] = options->bands;
    parameter[DH_PARAMETER_BAND_ROWS] = options->band_rows;
    parameter[DH_PARAMETER_MIN_SHINGLES] = options->min_shingles;
    parameter[DH_PARAMETER_SEED] = options->minhash_seed;
    parameter[DH_PARAMETER_TOKEN_RULE] = token_rule;
}

/* Is the dataset there, of this type, with `width` in a second dimension (0: none)? Text of any width where
 * text_width is 0. */
static dh_status expect(dh_earlier *earlier, const char *file, const char *path, const dh_h5_array *wanted,
                        dh_h5_array *got)
{
    if (!dh_h5_has(earlier->h5, path)) {
        return dh_error(DH_USAGE,
                        "--against %s: it has no %s: an earlier result is of use when it was made with job "
                        "neardup and --minhash",
                        file, path);
    }
    DH_TRY(dh_h5_array_describe(earlier->h5, path, got));
    bool same = got->type == wanted->type && got->dim_count == wanted->dim_count &&
                (wanted->text_width == 0 || got->text_width == wanted->text_width);
    for (uint32_t d = 0; same && d < wanted->dim_count; d++) {
        same = wanted->dims[d] == got->dims[d] || (d == 0 && wanted->dims[0] == UINT64_MAX);
    }
    return same ? DH_OK : dh_error(DH_USAGE, "--against %s: %s has another type or shape", file, path);
}

static dh_status check_parameters(dh_earlier *earlier, const char *file,
                                  const uint64_t parameter[DH_PARAMETER_COUNT])
{
    const dh_h5_array wanted = {.type = DH_U64, .dim_count = 1, .dims = {DH_PARAMETER_COUNT}};
    dh_h5_array got;
    uint64_t old[DH_PARAMETER_COUNT] = {0};
    DH_TRY(expect(earlier, file, PARAMETERS, &wanted, &got));
    DH_TRY(dh_h5_array_read(earlier->h5, PARAMETERS, 0, DH_PARAMETER_COUNT, old));
    for (int p = 0; p < DH_PARAMETER_COUNT; p++) {
        if (old[p] != parameter[p]) {
            return dh_error(DH_USAGE,
                            "--against %s: its signatures cannot be compared: %s was %" PRIu64 ", is %" PRIu64
                            " now",
                            file, parameter_name[p], old[p], parameter[p]);
        }
    }
    return DH_OK;
}

static uint64_t id_rows(const dh_h5_array *ids)
{
    const uint64_t rows = ids->text_width > 0 ? ID_READ / ids->text_width : 1;
    if (ids->chunk_rows > 0 || rows > HELD_ROWS) {
        return HELD_ROWS;
    }
    return rows > 1 ? rows : 1;
}

/* *in_chunks: signatures are. */
static dh_status check_columns(dh_earlier *earlier, const char *file, uint64_t places, bool *in_chunks)
{
    dh_h5_array got;
    const dh_h5_array ids = {.type = DH_TEXT, .dim_count = 1, .dims = {UINT64_MAX}};
    DH_TRY(expect(earlier, file, IDS, &ids, &got));
    earlier->rows = got.dims[0];
    earlier->id_width = got.text_width;
    earlier->id_rows = id_rows(&got);
    const dh_h5_array signatures = {.type = DH_U32, .dim_count = 2, .dims = {earlier->rows, places}};
    DH_TRY(expect(earlier, file, SIGNATURES, &signatures, &got));
    *in_chunks = got.chunk_rows > 0;
    const dh_h5_array shingles = {.type = DH_U32, .dim_count = 1, .dims = {earlier->rows}};
    DH_TRY(expect(earlier, file, SHINGLES, &shingles, &got));
    const dh_h5_array sha256 = {
        .type = DH_TEXT, .text_width = DH_SHA256_HEX, .dim_count = 1, .dims = {earlier->rows}};
    return expect(earlier, file, SHA256, &sha256, &got);
}

static dh_status make_room(dh_earlier *earlier, bool holds_signatures)
{
    void *memory = NULL;
    const uint64_t places = ID_BYTES / (earlier->id_rows * earlier->id_width);
    earlier->id_places = places < 1 ? 1 : (places < ID_PLACES_MAX ? places : ID_PLACES_MAX);
    DH_TRY(dh_allocate(earlier->id_places * earlier->id_rows, earlier->id_width, "ids of an earlier result",
                       &memory));
    earlier->ids = memory;
    if (holds_signatures) {
        DH_TRY(dh_allocate(HELD_ROWS, earlier->places * sizeof *earlier->signatures,
                           "signatures of an earlier result", &memory));
        earlier->signatures = memory;
    }
    return DH_OK;
}

dh_status dh_earlier_open(const char *path, const uint64_t parameter[DH_PARAMETER_COUNT], dh_earlier **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_earlier), "an earlier result", &memory));
    dh_earlier *earlier = memory;
    earlier->places = parameter[DH_PARAMETER_BANDS] * parameter[DH_PARAMETER_BAND_ROWS];
    dh_status status = dh_h5_open(path, false, &earlier->h5);
    if (status == DH_OK) {
        status = check_parameters(earlier, path, parameter);
    }
    bool in_chunks = false;
    if (status == DH_OK) {
        status = check_columns(earlier, path, earlier->places, &in_chunks);
    }
    if (status == DH_OK) {
        status = make_room(earlier, in_chunks);
    }
    if (status != DH_OK) {
        dh_earlier_close(earlier);
        return status;
    }
    *out = earlier;
    return DH_OK;
}

void dh_earlier_close(dh_earlier *earlier)
{
    if (earlier != NULL) {
        (void)dh_h5_close(earlier->h5); /* nothing was written */
        free(earlier->ids);
        free(earlier->signatures);
        free(earlier);
    }
}

uint64_t dh_earlier_rows(const dh_earlier *earlier)
{
    return earlier->rows;
}

uint32_t dh_earlier_id_width(const dh_earlier *earlier)
{
    return earlier->id_width;
}

/* The block of signatures that the row is in. */
static dh_status hold_signatures(dh_earlier *earlier, uint64_t row)
{
    const uint64_t first = row / HELD_ROWS * HELD_ROWS;
    if (earlier->signature_count > 0 && earlier->first_signature == first) {
        return DH_OK;
    }
    const uint64_t left = first < earlier->rows ? earlier->rows - first : 0;
    const uint64_t count = left < HELD_ROWS ? left : HELD_ROWS;
    earlier->signature_count = 0;
    DH_TRY(dh_h5_array_read(earlier->h5, SIGNATURES, first, count, earlier->signatures));
    earlier->first_signature = first;
    earlier->signature_count = count;
    return DH_OK;
}

dh_status dh_earlier_signatures(dh_earlier *earlier, uint64_t first, uint64_t count, uint32_t *out)
{
    if (earlier->signatures == NULL) {
        return dh_h5_array_read(earlier->h5, SIGNATURES, first, count, out);
    }
    for (uint64_t done = 0; done < count;) {
        DH_TRY(hold_signatures(earlier, first + done));
        const uint64_t from = first + done - earlier->first_signature;
        if (from >= earlier->signature_count) {
            return dh_error(DH_INTERNAL, "row %" PRIu64 " of an earlier result of %" PRIu64, first + done,
                            earlier->rows);
        }
        const uint64_t there = earlier->signature_count - from;
        const uint64_t taken = there < count - done ? there : count - done;
        memcpy(out + done * earlier->places, earlier->signatures + from * earlier->places,
               taken * earlier->places * sizeof *out);
        done += taken;
    }
    return DH_OK;
}

dh_status dh_earlier_shingles(dh_earlier *earlier, uint64_t first, uint64_t count, uint32_t *out)
{
    return dh_h5_array_read(earlier->h5, SHINGLES, first, count, out);
}

dh_status dh_earlier_sha256(dh_earlier *earlier, uint64_t first, uint64_t count, char *out)
{
    return dh_h5_array_read(earlier->h5, SHA256, first, count, out);
}

dh_status dh_earlier_id(dh_earlier *earlier, uint64_t row, const char **id)
{
    if (row >= earlier->rows) {
        return dh_error(DH_INTERNAL, "row %" PRIu64 " of an earlier result of %" PRIu64, row, earlier->rows);
    }
    const uint64_t block = row / earlier->id_rows;
    const uint64_t place = block % earlier->id_places;
    char *ids = earlier->ids + place * earlier->id_rows * earlier->id_width;
    if (earlier->held_ids[place] != block + 1) {
        const uint64_t first = block * earlier->id_rows;
        const uint64_t left = earlier->rows - first;
        earlier->held_ids[place] = 0;
        DH_TRY(dh_h5_array_read(earlier->h5, IDS, first, left < earlier->id_rows ? left : earlier->id_rows,
                                ids));
        earlier->held_ids[place] = block + 1;
    }
    *id = ids + row % earlier->id_rows * earlier->id_width;
    return DH_OK;
}
