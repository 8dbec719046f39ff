#include "kernels/device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A lane's block less than this holds nothing that is worth the way. */
enum { LANE_BYTES_MIN = 4096 };

/* What kernels read. Offsets of tokens tell, too, how many tokens there are. */
enum {
    INPUT_ORDER = 1,
    INPUT_TEXT = 2,
    INPUT_TOKEN_OFFSETS = 4,
    INPUT_TOKENS = 8,
    INPUT_LEXICONS = 16, /* prefix hits, and each document's lexicon */
    INPUT_SPELLING = 32,
    INPUT_TOKEN_ENDS = 64
};

/* What stands in a lane's block. */
typedef struct dh_device_lane {
    dh_device_arguments inputs; /* no outputs */
    uint64_t used;              /* bytes of the block */
    uint32_t *order;            /* of the batch's documents, on the host: it stays until the batch is done */
    uint32_t order_room;
    uint32_t has; /* INPUT_, or'ed: what stands there */
    bool is_queued;
} dh_device_lane;

static dh_device *device_of(const dh_lane *lane)
{
    return (dh_device *)lane->backend;
}

static uint64_t align(uint64_t size)
{
    return (size + DH_DEVICE_ALIGNMENT - 1) / DH_DEVICE_ALIGNMENT * DH_DEVICE_ALIGNMENT;
}

/* ---- open and close ---------------------------------------------------------------------------------- */

/* Bytes of a lane's block: what the largest batch takes with what kernels keep between them (minhash: half of
 * what token hashes take), as far as there is memory. An eighth of the free memory is left for tables and for
 * others. */
static uint64_t block_size(const dh_backend_options *options, uint64_t memory_free)
{
    uint64_t usable = memory_free - memory_free / 8;
    if (options->memory_max != 0) {
        usable = options->memory_max < memory_free ? options->memory_max : memory_free;
    }
    const uint64_t wanted = options->lane_bytes + options->lane_bytes / 4 + (UINT64_C(1) << 16);
    const uint64_t share = usable / options->lanes;
    return (wanted < share ? wanted : share) / DH_DEVICE_ALIGNMENT * DH_DEVICE_ALIGNMENT;
}

static dh_backend_status take_memory(dh_device *device, const dh_backend_options *options,
                                     uint64_t memory_free)
{
    device->lane_state = calloc(device->base.lane_count, sizeof *device->lane_state);
    if (device->lane_state == NULL) {
        (void)snprintf(device->error, sizeof device->error, "out of memory on the host");
        return DH_BACKEND_NO_MEMORY;
    }
    uint64_t size = block_size(options, memory_free);
    if (size < LANE_BYTES_MIN) {
        (void)snprintf(device->error, sizeof device->error,
                       "too little memory: %" PRIu64 " bytes a lane may be taken", size);
        return DH_BACKEND_NO_MEMORY;
    }
    /* Others may have taken some meanwhile, and what is free need not be in one piece. */
    dh_backend_status status = DH_BACKEND_NO_MEMORY;
    while (status == DH_BACKEND_NO_MEMORY && size >= LANE_BYTES_MIN) {
        device->lane_bytes = size;
        status = device->driver->allocate(device, size);
        size = size / 2 / DH_DEVICE_ALIGNMENT * DH_DEVICE_ALIGNMENT;
    }
    return status;
}

dh_backend_status dh_device_open(const dh_device_driver *driver, const dh_backend_options *options,
                                 dh_backend **out, char why[DH_BACKEND_TEXT])
{
    dh_device *device = NULL;
    uint64_t memory_free = 0;
    why[0] = '\0';
    *out = NULL;
    dh_backend_status status = driver->open(options, &device, &memory_free, why);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    device->driver = driver;
    status = take_memory(device, options, memory_free);
    if (status != DH_BACKEND_OK) {
        (void)snprintf(why, DH_BACKEND_TEXT, "%s", device->error);
        dh_device_close(&device->base);
        return status;
    }
    *out = &device->base;
    return DH_BACKEND_OK;
}

void dh_device_close(dh_backend *backend)
{
    dh_device *device = (dh_device *)backend;
    if (device == NULL) {
        return;
    }
    dh_device_lane *state = device->lane_state;
    const uint32_t lanes = state != NULL ? backend->lane_count : 0;
    device->driver->close(device); /* behind it nothing is copied any more */
    for (uint32_t l = 0; l < lanes; l++) {
        free(state[l].order);
    }
    free(state);
}

const char *dh_device_describe(const dh_backend *backend)
{
    return ((const dh_device *)backend)->description;
}

const char *dh_device_error(const dh_backend *backend)
{
    return ((const dh_device *)backend)->error;
}

void dh_device_pin(dh_backend *backend, void *memory, size_t size)
{
    dh_device *device = (dh_device *)backend;
    device->driver->pin(device, memory, size);
}

void dh_device_unpin(dh_backend *backend, void *memory)
{
    dh_device *device = (dh_device *)backend;
    device->driver->unpin(device, memory);
}

/* ---- tables ------------------------------------------------------------------------------------------ */

typedef struct table {
    const void *bytes;
    uint64_t size;
    uint64_t *at; /* where it stands in the block */
} table;

/* All terms' categories lie one after the other. */
static uint64_t category_bytes(const dh_profile_tables *tables)
{
    uint64_t size = 0;
    for (uint32_t t = 0; t < tables->term_count; t++) {
        const uint64_t end = (uint64_t)tables->term[t].category_offset + tables->term[t].category_count;
        size = end > size ? end : size;
    }
    return size;
}

static dh_backend_status load_tables(dh_device *device, const dh_profile_tables *tables, dh_device_tables *at)
{
    const uint64_t filter = DH_FILTER_WORDS * sizeof(uint64_t);
    const table parts[] = {
        {tables->slot, ((uint64_t)tables->slot_mask + 1) * sizeof *tables->slot, &at->slot},
        {tables->term, tables->term_count * sizeof *tables->term, &at->term},
        {tables->category, category_bytes(tables), &at->category},
        {tables->first_filter, tables->lexicon_count * filter, &at->first_filter},
        {tables->negator_filter, tables->lexicon_count * filter, &at->negator_filter},
        {tables->next_filter, filter, &at->next_filter},
    };
    uint64_t size = 0;
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        *parts[p].at = size;
        size += align(parts[p].size);
    }
    uint8_t *bytes = calloc(size, 1);
    if (bytes == NULL) {
        (void)snprintf(device->error, sizeof device->error, "out of memory on the host: %" PRIu64 " bytes",
                       size);
        return DH_BACKEND_NO_MEMORY;
    }
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        if (parts[p].size != 0) {
            memcpy(bytes + *parts[p].at, parts[p].bytes, parts[p].size);
        }
    }
    const dh_backend_status status = device->driver->load(device, bytes, size);
    free(bytes);
    return status;
}

dh_backend_status dh_device_load(dh_backend *backend, const dh_profile_tables *tables)
{
    dh_device *device = (dh_device *)backend;
    dh_device_tables at = {0};
    dh_backend_status status = DH_BACKEND_OK;
    if (tables == NULL) {
        status = device->driver->load(device, NULL, 0);
    } else {
        at.lexicon_count = tables->lexicon_count;
        at.category_count = tables->category_count;
        at.denominator = tables->denominator;
        at.slot_mask = tables->slot_mask;
        at.term_count = tables->term_count;
        status = load_tables(device, tables, &at);
    }
    device->is_lost = device->is_lost || status == DH_BACKEND_LOST;
    const bool is_loaded = status == DH_BACKEND_OK;
    device->tables = is_loaded ? at : (dh_device_tables){0};
    backend->tables = is_loaded ? tables : NULL;
    return status;
}

/* ---- the lane's block -------------------------------------------------------------------------------- */

/* An array of a batch or of its outputs, and where it goes in the block. */
typedef struct piece {
    const void *in; /* copied to the device, or NULL */
    void *out;      /* copied from the device, or NULL */
    uint64_t size;
    uint64_t *at;
} piece;

typedef struct pieces {
    piece piece[32];
    size_t count;
} pieces;

static void add(pieces *all, const void *in, void *out, uint64_t size, uint64_t *at)
{
    piece *one = &all->piece[all->count++];
    one->in = in;
    one->out = out;
    one->size = size;
    one->at = at;
}

/* A place for each piece; NO_MEMORY leaves the block as it was. */
static dh_backend_status place(dh_lane *lane, pieces *all)
{
    dh_device *device = device_of(lane);
    dh_device_lane *state = &device->lane_state[lane->number];
    uint64_t used = state->used;
    for (size_t p = 0; p < all->count; p++) {
        *all->piece[p].at = used;
        used += align(all->piece[p].size);
    }
    if (used > device->lane_bytes) {
        (void)snprintf(device->error, sizeof device->error,
                       "a batch takes %" PRIu64 " bytes of device memory, a lane has %" PRIu64, used,
                       device->lane_bytes);
        return DH_BACKEND_NO_MEMORY;
    }
    state->used = used;
    return DH_BACKEND_OK;
}

static dh_backend_status copy_in(dh_lane *lane, const pieces *all)
{
    const dh_device_driver *driver = device_of(lane)->driver;
    dh_backend_status status = DH_BACKEND_OK;
    for (size_t p = 0; p < all->count && status == DH_BACKEND_OK; p++) {
        const piece *one = &all->piece[p];
        if (one->in != NULL && one->size != 0) {
            status = driver->copy_in(lane, *one->at, one->in, one->size);
        }
    }
    return status;
}

static dh_backend_status copy_out(dh_lane *lane, const pieces *all)
{
    const dh_device_driver *driver = device_of(lane)->driver;
    dh_backend_status status = DH_BACKEND_OK;
    for (size_t p = 0; p < all->count && status == DH_BACKEND_OK; p++) {
        const piece *one = &all->piece[p];
        if (one->out != NULL && one->size != 0) {
            status = driver->copy_out(lane, one->out, *one->at, one->size);
        }
    }
    return status;
}

/* Sorts the documents by size, long ones first, as coarsely as it matters: by blocks of SHA-256, or by as
 * many tokens where there is neither text nor spelling. */
static void sort_documents(const dh_batch *batch, uint32_t *order)
{
    enum { CLASSES = 512, BLOCK_BYTES = 64, BLOCK_TOKENS = 8 };
    uint32_t start[CLASSES + 1] = {0};
    const uint64_t *bytes = batch->text_offset != NULL ? batch->text_offset : batch->spelling_offset;
    const uint64_t *offset = bytes != NULL ? bytes : batch->token_offset;
    const uint64_t block = bytes != NULL ? BLOCK_BYTES : BLOCK_TOKENS;
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t blocks = (offset[d + 1] - offset[d]) / block;
        start[CLASSES - (blocks < CLASSES ? blocks : CLASSES - 1)]++;
    }
    for (uint32_t c = 1; c <= CLASSES; c++) {
        start[c] += start[c - 1];
    }
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t blocks = (offset[d + 1] - offset[d]) / block;
        order[start[CLASSES - 1 - (blocks < CLASSES ? blocks : CLASSES - 1)]++] = d;
    }
}

/* The order of the documents, of use to every kernel; once a batch. */
static dh_backend_status add_order(dh_lane *lane, dh_device_arguments *to, pieces *all)
{
    dh_device *device = device_of(lane);
    dh_device_lane *state = &device->lane_state[lane->number];
    const uint32_t count = lane->batch->document_count;
    if (count > state->order_room) {
        uint32_t *order = realloc(state->order, count * sizeof *order);
        if (order == NULL) {
            (void)snprintf(device->error, sizeof device->error, "out of memory on the host");
            return DH_BACKEND_NO_MEMORY;
        }
        state->order = order;
        state->order_room = count;
    }
    sort_documents(lane->batch, state->order);
    add(all, state->order, NULL, count * sizeof *state->order, &to->order);
    return DH_BACKEND_OK;
}

static void add_text(const dh_lane *lane, dh_device_arguments *to, pieces *all)
{
    const dh_batch *batch = lane->batch;
    const uint64_t count = batch->document_count;
    to->text_base = batch->text_offset[0];
    add(all, batch->text_offset, NULL, (count + 1) * sizeof(uint64_t), &to->text_offset);
    const uint64_t size = batch->text_offset[count] - to->text_base;
    add(all, size != 0 ? batch->text + to->text_base : NULL, NULL, size, &to->text);
}

static void add_token_offsets(const dh_lane *lane, dh_device_arguments *to, pieces *all)
{
    const dh_batch *batch = lane->batch;
    const uint64_t count = batch->document_count;
    to->token_base = batch->token_offset[0];
    to->token_count = batch->token_offset[count] - to->token_base;
    add(all, batch->token_offset, NULL, (count + 1) * sizeof(uint64_t), &to->token_offset);
}

/* One value a token; values is NULL where a batch has no tokens. */
static void add_of_tokens(const dh_device_arguments *to, const void *values, uint64_t size, uint64_t *at,
                          pieces *all)
{
    const bool any = to->token_count != 0;
    add(all, any ? (const uint8_t *)values + to->token_base * size : NULL, NULL, to->token_count * size, at);
}

static void add_lexicons(const dh_lane *lane, dh_device_arguments *to, pieces *all)
{
    const dh_batch *batch = lane->batch;
    const uint64_t count = batch->document_count;
    to->hit_base = batch->prefix_hit_offset[0];
    const uint64_t hits = batch->prefix_hit_offset[count] - to->hit_base;
    add(all, batch->prefix_hit_offset, NULL, (count + 1) * sizeof(uint64_t), &to->hit_offset);
    add(all, hits != 0 ? batch->prefix_hit + to->hit_base : NULL, NULL, hits * sizeof(dh_prefix_hit),
        &to->hit);
    add(all, batch->lexicon, NULL, count * sizeof *batch->lexicon, &to->lexicon);
}

static void add_spelling(const dh_lane *lane, dh_device_arguments *to, pieces *all)
{
    const dh_batch *batch = lane->batch;
    const uint64_t count = batch->document_count;
    to->spelling_base = batch->spelling_offset[0];
    const uint64_t size = batch->spelling_offset[count] - to->spelling_base;
    add(all, batch->spelling_offset, NULL, (count + 1) * sizeof(uint64_t), &to->spelling_offset);
    add(all, size != 0 ? batch->spelling + to->spelling_base : NULL, NULL, size, &to->spelling);
}

/* ---- kernels ----------------------------------------------------------------------------------------- */

dh_backend_status dh_device_begin(dh_lane *lane, const dh_batch *batch)
{
    dh_device *device = device_of(lane);
    lane->batch = batch;
    dh_device_lane *state = &device->lane_state[lane->number];
    *state = (dh_device_lane){
        .inputs = {.document_count = batch->document_count},
        .used = DH_DEVICE_ALIGNMENT, /* nothing stands at 0 */
        .order = state->order,
        .order_room = state->order_room,
    };
    return device->is_lost ? DH_BACKEND_LOST : DH_BACKEND_OK;
}

/* What a job does between its inputs and its outputs. */
typedef struct step {
    dh_device_kernel kernel;
    uint64_t items;
} step;

/* Places the pieces, copies those that are inputs, runs the kernels and copies the outputs. */
static dh_backend_status queue(dh_lane *lane, pieces *all, const dh_device_arguments *arguments,
                               const step *steps, size_t step_count)
{
    dh_device *device = device_of(lane);
    const dh_device_driver *driver = device->driver;
    dh_backend_status status = place(lane, all);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    device->lane_state[lane->number].is_queued = true;
    status = copy_in(lane, all);
    for (size_t s = 0; s < step_count && status == DH_BACKEND_OK; s++) {
        if (steps[s].items != 0) {
            status = driver->launch(lane, steps[s].kernel, steps[s].items, arguments);
        }
    }
    if (status == DH_BACKEND_OK) {
        status = copy_out(lane, all);
    }
    /* What was queued before something failed is on its way, too: poll has to see its end. */
    const dh_backend_status flushed = driver->flush(lane);
    if (status == DH_BACKEND_OK || flushed == DH_BACKEND_LOST) {
        status = flushed;
    }
    device->is_lost = device->is_lost || status == DH_BACKEND_LOST;
    return status;
}

/* What is queued for one call of a kernel: where things stand, and what has to be copied. */
typedef struct job {
    dh_device_arguments arguments;
    pieces all;
    uint32_t needs; /* INPUT_, or'ed */
} job;

/* Nothing to do: the batch is empty or the device is gone. */
static bool is_idle(const dh_lane *lane, dh_backend_status *status)
{
    *status = device_of(lane)->is_lost ? DH_BACKEND_LOST : DH_BACKEND_OK;
    return *status != DH_BACKEND_OK || lane->batch->document_count == 0;
}

/* The inputs that the job needs and that no job before it on this lane did. */
static dh_backend_status begin_job(dh_lane *lane, job *out)
{
    const dh_device_lane *state = &device_of(lane)->lane_state[lane->number];
    out->arguments = state->inputs;
    out->all.count = 0;
    const uint32_t missing = out->needs & ~state->has;
    dh_device_arguments *to = &out->arguments;
    if ((missing & INPUT_ORDER) != 0) {
        const dh_backend_status status = add_order(lane, to, &out->all);
        if (status != DH_BACKEND_OK) {
            return status;
        }
    }
    if ((missing & INPUT_TEXT) != 0) {
        add_text(lane, to, &out->all);
    }
    if ((missing & INPUT_TOKEN_OFFSETS) != 0) {
        add_token_offsets(lane, to, &out->all);
    }
    if ((missing & INPUT_TOKENS) != 0) {
        add_of_tokens(to, lane->batch->token, sizeof(uint64_t), &to->token, &out->all);
    }
    if ((missing & INPUT_LEXICONS) != 0) {
        add_lexicons(lane, to, &out->all);
    }
    if ((missing & INPUT_SPELLING) != 0) {
        add_spelling(lane, to, &out->all);
    }
    if ((missing & INPUT_TOKEN_ENDS) != 0) {
        add_of_tokens(to, lane->batch->token_end, sizeof(uint32_t), &to->token_end, &out->all);
    }
    return DH_BACKEND_OK;
}

/* Queues the job. Where its inputs are, the next job on the lane knows, too. */
static dh_backend_status queue_job(dh_lane *lane, job *one, const step *steps, size_t step_count)
{
    dh_device_lane *state = &device_of(lane)->lane_state[lane->number];
    const dh_backend_status status = queue(lane, &one->all, &one->arguments, steps, step_count);
    if (status == DH_BACKEND_OK) {
        state->has |= one->needs;
        state->inputs = one->arguments;
        memset(state->inputs.output, 0, sizeof state->inputs.output);
    }
    return status;
}

dh_backend_status dh_device_sha256(dh_lane *lane, char *hex)
{
    dh_backend_status status = DH_BACKEND_OK;
    job one = {.needs = INPUT_ORDER | INPUT_TEXT};
    if (is_idle(lane, &status) || (status = begin_job(lane, &one)) != DH_BACKEND_OK) {
        return status;
    }
    const uint64_t count = one.arguments.document_count;
    add(&one.all, NULL, hex, count * 2 * DH_SHA256_SIZE, &one.arguments.output[DH_OUTPUT_HEX]);
    const step steps[] = {{DH_KERNEL_SHA256, count}};
    return queue_job(lane, &one, steps, 1);
}

dh_backend_status dh_device_digest(dh_lane *lane, const dh_digest_out *out)
{
    dh_backend_status status = DH_BACKEND_OK;
    job one = {.needs = INPUT_ORDER | INPUT_TEXT};
    if (is_idle(lane, &status) || (status = begin_job(lane, &one)) != DH_BACKEND_OK) {
        return status;
    }
    uint64_t *at = one.arguments.output;
    const uint64_t count = one.arguments.document_count;
    add(&one.all, NULL, out->raw, count * DH_DHATUS * sizeof *out->raw, &at[DH_OUTPUT_RAW]);
    add(&one.all, NULL, out->prime, count * DH_DIGEST_PRIMES * sizeof *out->prime,
        &at[DH_OUTPUT_DIGEST_PRIME]);
    add(&one.all, NULL, out->entropy, count * sizeof *out->entropy, &at[DH_OUTPUT_ENTROPY]);
    add(&one.all, NULL, out->variance, count * sizeof *out->variance, &at[DH_OUTPUT_DIGEST_VARIANCE]);
    add(&one.all, NULL, out->score, count * sizeof *out->score, &at[DH_OUTPUT_SCORE]);
    const uint64_t shared_items = count * DH_DEVICE_NAME_LENGTHS;
    one.arguments.long_text = shared_items < DH_DEVICE_ITEMS_FEW ? 0 : DH_DEVICE_LONG_TEXT;
    const step steps[] = {{DH_KERNEL_DIGEST_HASH, count * DH_DHATUS}, {DH_KERNEL_DIGEST_FINISH, count}};
    return queue_job(lane, &one, steps, 2);
}

static void add_profile_outputs(const dh_profile_out *out, uint64_t count, uint64_t categories, uint64_t *at,
                                pieces *all)
{
    add(all, NULL, out->counts, count * 2 * categories * sizeof *out->counts, &at[DH_OUTPUT_COUNTS]);
    add(all, NULL, out->profile, count * categories * sizeof *out->profile, &at[DH_OUTPUT_PROFILE]);
    add(all, NULL, out->prime, count * DH_PRIMES * sizeof *out->prime, &at[DH_OUTPUT_PRIME]);
    add(all, NULL, out->matched, count * sizeof *out->matched, &at[DH_OUTPUT_MATCHED]);
    add(all, NULL, out->coverage, count * sizeof *out->coverage, &at[DH_OUTPUT_COVERAGE]);
    add(all, NULL, out->ambiguity, count * sizeof *out->ambiguity, &at[DH_OUTPUT_AMBIGUITY]);
    add(all, NULL, out->variance, count * sizeof *out->variance, &at[DH_OUTPUT_VARIANCE]);
    if (out->code2 != NULL) {
        add(all, NULL, out->code2, count * sizeof *out->code2, &at[DH_OUTPUT_CODE2]);
    }
    if (out->code3 != NULL) {
        add(all, NULL, out->code3, count * sizeof *out->code3, &at[DH_OUTPUT_CODE3]);
    }
    if (out->code5 != NULL) {
        add(all, NULL, out->code5, count * sizeof *out->code5, &at[DH_OUTPUT_CODE5]);
    }
}

dh_backend_status dh_device_profile(dh_lane *lane, const dh_profile_out *out)
{
    const dh_device *device = device_of(lane);
    dh_backend_status status = DH_BACKEND_OK;
    job one = {.needs = INPUT_ORDER | INPUT_TOKEN_OFFSETS | INPUT_TOKENS | INPUT_LEXICONS};
    if (is_idle(lane, &status) || (status = begin_job(lane, &one)) != DH_BACKEND_OK) {
        return status;
    }
    one.arguments.tables = device->tables;
    const uint64_t count = one.arguments.document_count;
    const uint64_t tokens = one.arguments.token_count;
    const uint64_t categories = device->tables.category_count;
    const uint64_t windows = (tokens + DH_PROFILE_WINDOW - 1) / DH_PROFILE_WINDOW;
    add(&one.all, NULL, NULL, windows * sizeof(uint64_t), &one.arguments.candidates);
    add(&one.all, NULL, NULL, count * categories * sizeof(double), &one.arguments.share);
    add_profile_outputs(out, count, categories, one.arguments.output, &one.all);
    const step steps[] = {{DH_KERNEL_PROFILE_CANDIDATES, (tokens + DH_DEVICE_TOKENS - 1) / DH_DEVICE_TOKENS},
                          {DH_KERNEL_PROFILE_COUNT, count}};
    return queue_job(lane, &one, steps, 2);
}

dh_backend_status dh_device_ngrams(dh_lane *lane, dh_ngram_range range, uint32_t *hash)
{
    dh_backend_status status = DH_BACKEND_OK;
    job one = {.needs = INPUT_TOKEN_OFFSETS | INPUT_SPELLING | INPUT_TOKEN_ENDS};
    if (is_idle(lane, &status) || (status = begin_job(lane, &one)) != DH_BACKEND_OK) {
        return status;
    }
    one.arguments.ngram_least = range.least;
    one.arguments.ngram_most = range.most;
    const uint64_t tokens = one.arguments.token_count;
    add(&one.all, NULL, hash, tokens * dh_ngram_lengths(range) * sizeof *hash,
        &one.arguments.output[DH_OUTPUT_NGRAM]);
    const step steps[] = {{DH_KERNEL_NGRAMS, tokens}};
    return queue_job(lane, &one, steps, 1);
}

dh_backend_status dh_device_minhash(dh_lane *lane, const dh_minhash_options *options,
                                    const dh_minhash_out *out)
{
    dh_backend_status status = DH_BACKEND_OK;
    job one = {.needs = INPUT_TOKEN_OFFSETS | INPUT_TOKENS};
    if (is_idle(lane, &status) || (status = begin_job(lane, &one)) != DH_BACKEND_OK) {
        return status;
    }
    dh_device_arguments *to = &one.arguments;
    to->shingle_tokens = options->shingle_tokens;
    to->shingle_power = dh_shingle_power(options->shingle_tokens);
    to->permutations = options->permutations;
    to->counted = options->counted;
    const uint64_t count = to->document_count;
    const uint64_t tokens = to->token_count;
    const uint64_t table_size = options->permutations * sizeof(uint32_t);
    const uint64_t signatures = count * options->permutations;
    const uint64_t places = count * (options->counted + 1);
    add(&one.all, options->flip, NULL, table_size, &to->flip);
    add(&one.all, options->factor, NULL, table_size, &to->factor);
    add(&one.all, NULL, NULL, tokens * sizeof(uint32_t), &to->shingle);
    add(&one.all, NULL, NULL, places * sizeof(uint32_t), &to->found);
    add(&one.all, NULL, out->signature, signatures * sizeof *out->signature,
        &to->output[DH_OUTPUT_SIGNATURE]);
    add(&one.all, NULL, out->shingles, count * sizeof *out->shingles, &to->output[DH_OUTPUT_SHINGLES]);
    const uint64_t stretches = (tokens + DH_DEVICE_STRETCH - 1) / DH_DEVICE_STRETCH;
    const uint64_t parts = (options->permutations + DH_DEVICE_PERMUTATIONS - 1) / DH_DEVICE_PERMUTATIONS;
    const step steps[] = {
        {DH_KERNEL_MINHASH_CLEAR, signatures + places},
        {DH_KERNEL_MINHASH_SHINGLES, (tokens + DH_DEVICE_TOKENS - 1) / DH_DEVICE_TOKENS},
        {DH_KERNEL_MINHASH_MINIMA, stretches * parts},
        {DH_KERNEL_MINHASH_FINISH, count},
    };
    return queue_job(lane, &one, steps, sizeof steps / sizeof steps[0]);
}

dh_backend_status dh_device_sha256_spelling(dh_lane *lane, uint8_t *digest)
{
    dh_backend_status status = DH_BACKEND_OK;
    job one = {.needs = INPUT_ORDER | INPUT_SPELLING};
    if (is_idle(lane, &status) || (status = begin_job(lane, &one)) != DH_BACKEND_OK) {
        return status;
    }
    const uint64_t count = one.arguments.document_count;
    add(&one.all, NULL, digest, count * DH_SHA256_SIZE, &one.arguments.output[DH_OUTPUT_SPELLING_DIGEST]);
    const step steps[] = {{DH_KERNEL_SHA256_SPELLING, count}};
    return queue_job(lane, &one, steps, 1);
}

dh_backend_status dh_device_poll(dh_lane *lane)
{
    dh_device *device = device_of(lane);
    dh_device_lane *state = &device->lane_state[lane->number];
    if (device->is_lost) {
        return DH_BACKEND_LOST;
    }
    if (!state->is_queued) {
        return DH_BACKEND_OK;
    }
    const dh_backend_status status = device->driver->query(lane);
    device->is_lost = status == DH_BACKEND_LOST;
    state->is_queued = status == DH_BACKEND_BUSY;
    return status;
}
