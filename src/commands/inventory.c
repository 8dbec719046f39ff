#include "commands/inventory.h"

#include "base/clock.h"
#include "base/log.h"
#include "commands/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A host's processors have done a batch when a call returns; more of them at a time only spoil the cache. */
enum { HOST_DOCUMENTS = 1024, HOST_LANES = 1, DEVICE_DOCUMENTS = 16384, DEVICE_LANES = 3 };

/* What one job is measured with. */
typedef struct measurement {
    const dh_settings *settings;
    const dh_active_job *active;
    dh_backend *backend;
    dh_sample *sample;
    uint8_t *outputs; /* the columns of each lane, one behind the other */
    double seconds;   /* of each job */
} measurement;

/* ---- one job on one device --------------------------------------------------------------------------- */

/* Bytes of a job's columns for the first documents of the sample, each column on a cache line of its own. */
static uint64_t column_size(const measurement *measured, uint32_t column, uint32_t documents)
{
    const dh_schema *schema = &measured->settings->schema;
    const uint32_t place = measured->active->first_column + column;
    const bool of_tokens = schema->column[place].place == DH_TOKEN;
    const uint64_t rows = of_tokens ? measured->sample->batch.token_offset[documents] : documents;
    return (schema->row_size[place] * rows + 63) / 64 * 64;
}

static uint64_t columns_size(const measurement *measured, uint32_t documents)
{
    uint64_t size = 0;
    for (uint32_t c = 0; c < measured->active->column_count; c++) {
        size += column_size(measured, c, documents);
    }
    return size;
}

static dh_backend_status queue_batch(const measurement *measured, uint32_t lane)
{
    const dh_batch *batch = &measured->sample->batch;
    const uint32_t documents = measured->sample->documents;
    uint8_t *place = measured->outputs + lane * columns_size(measured, documents);
    void *column[DH_JOB_COLUMNS_MAX];
    for (uint32_t c = 0; c < measured->active->column_count; c++) {
        column[c] = place;
        place += column_size(measured, c, documents);
    }
    dh_backend *backend = measured->backend;
    const dh_backend_status begun = backend->kind->begin(&backend->lane[lane], batch);
    return begun != DH_BACKEND_OK
               ? begun
               : measured->active->job->vectorise(measured->active->state, &backend->lane[lane], column);
}

/* Waits for all lanes that have a batch. The gravest outcome. */
static dh_backend_status drain(dh_backend *backend, uint32_t lanes)
{
    dh_backend_status outcome = DH_BACKEND_OK;
    for (uint32_t l = 0; l < lanes && outcome != DH_BACKEND_LOST; l++) {
        const dh_backend_status waited = dh_lane_wait(&backend->lane[l]);
        outcome = waited > outcome ? waited : outcome;
    }
    return outcome;
}

/* Gives every lane a batch as soon as it is free, until the time is over; at least a batch a lane. */
static dh_backend_status keep_busy(const measurement *measured, double seconds, dh_job_rate *out)
{
    dh_backend *backend = measured->backend;
    const double start = dh_seconds();
    uint64_t batches = 0;
    uint32_t lane = 0;
    dh_backend_status status = DH_BACKEND_OK;
    while (status == DH_BACKEND_OK && (batches < backend->lane_count || dh_seconds() - start < seconds)) {
        if (batches >= backend->lane_count) {
            status = dh_lane_wait(&backend->lane[lane]);
        }
        if (status == DH_BACKEND_OK) {
            status = queue_batch(measured, lane);
            batches++;
            lane = lane + 1 < backend->lane_count ? lane + 1 : 0;
        }
    }
    if (status != DH_BACKEND_LOST) {
        const uint32_t busy = batches < backend->lane_count ? (uint32_t)batches : backend->lane_count;
        const dh_backend_status drained = drain(backend, busy);
        status = drained > status ? drained : status;
    }
    if (status == DH_BACKEND_OK) {
        const double documents = (double)batches * measured->sample->batch.document_count;
        out->documents = documents / (dh_seconds() - start);
        out->text = out->documents * DH_SAMPLE_DOCUMENT;
    }
    return status;
}

/* Behind a warm-up. A batch that does not fit is halved. */
static dh_backend_status measure_job(const measurement *measured, dh_job_rate *out)
{
    dh_batch *batch = &measured->sample->batch;
    batch->document_count = measured->sample->documents;
    dh_job_rate rate = {.job = measured->active->job->name};
    dh_backend_status status = DH_BACKEND_OK;
    while ((status = keep_busy(measured, 0.0, &rate)) == DH_BACKEND_NO_MEMORY && batch->document_count > 1) {
        batch->document_count /= 2;
    }
    if (status == DH_BACKEND_OK) {
        status = keep_busy(measured, measured->seconds, &rate);
    }
    if (status == DH_BACKEND_OK) {
        *out = rate;
    }
    return status;
}

/* ---- one device -------------------------------------------------------------------------------------- */

/* vocab has no kernel; null.c neither: it is there to be read. */
static bool is_measured(const dh_active_job *active)
{
    return active->column_count > 0 && active->job != &dh_job_null;
}

static void set_failed(dh_inventory_device *device, dh_device_state state, const char *reason)
{
    device->state = state;
    (void)snprintf(device->reason, sizeof device->reason, "%s", reason);
}

/* Measures all jobs, until one fails. */
static dh_backend_status measure_jobs(measurement *measured, dh_inventory_device *device)
{
    for (uint32_t j = 0; j < measured->settings->job_count; j++) {
        measured->active = &measured->settings->job[j];
        if (!is_measured(measured->active)) {
            continue;
        }
        const dh_backend_status outcome = measure_job(measured, &device->rate[device->rate_count]);
        if (outcome != DH_BACKEND_OK) {
            const char *error = measured->backend->kind->error(measured->backend);
            set_failed(device, DH_DEVICE_FAILED,
                       outcome == DH_BACKEND_NO_MEMORY ? "its memory does not hold a single document"
                                                       : (error[0] != '\0' ? error : "device lost"));
            (void)dh_error(DH_FAILED, "backend %s, device %u: job %s: %s", measured->backend->kind->name,
                           device->number, measured->active->job->name, device->reason);
            return outcome;
        }
        device->rate_count++;
    }
    return DH_BACKEND_OK;
}

/* Largest of the jobs' columns. */
static uint64_t outputs_size(const dh_settings *settings, dh_sample *sample)
{
    uint64_t largest = 0;
    for (uint32_t j = 0; j < settings->job_count; j++) {
        const measurement measured = {.settings = settings, .active = &settings->job[j], .sample = sample};
        const uint64_t size = columns_size(&measured, sample->documents);
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* Checks and measures the open backend. The memory is page-locked, as a run's batches are; a device that is
 * lost takes no call but close. */
static void try_backend(measurement *measured, uint64_t output_bytes, dh_inventory_device *device)
{
    dh_backend *backend = measured->backend;
    const dh_backend_kind *kind = backend->kind;
    dh_sample *sample = measured->sample;
    (void)snprintf(device->description, sizeof device->description, "%s", kind->describe(backend));
    const dh_status ready = dh_settings_ready(measured->settings, backend);
    if (ready != DH_OK) {
        set_failed(device, ready == DH_INTERNAL ? DH_DEVICE_WRONG : DH_DEVICE_FAILED, kind->error(backend));
        return;
    }
    kind->pin(backend, sample->block, (size_t)sample->size);
    kind->pin(backend, measured->outputs, (size_t)output_bytes);
    if (measure_jobs(measured, device) != DH_BACKEND_LOST) {
        kind->unpin(backend, measured->outputs);
        kind->unpin(backend, sample->block);
    }
}

static dh_status open_and_try(const dh_settings *settings, const dh_backend_kind *kind, double seconds,
                              dh_sample *sample, dh_inventory_device *device)
{
    const uint64_t lane_outputs = outputs_size(settings, sample);
    /* Twice: kernels need room of their own. Where there is less, batches are halved. */
    const dh_backend_options options = {
        .device = device->number,
        .lanes = device->facts.is_accelerator ? DEVICE_LANES : HOST_LANES,
        .lane_bytes = 2 * (sample->size + lane_outputs),
    };
    void *outputs = NULL;
    DH_TRY(dh_allocate_pages(options.lanes * lane_outputs, "columns of a sample", &outputs));
    measurement measured = {.settings = settings, .sample = sample, .outputs = outputs, .seconds = seconds};
    char why[DH_BACKEND_TEXT] = "";
    const dh_backend_status opened = kind->open(&options, &measured.backend, why);
    if (opened == DH_BACKEND_OK) {
        try_backend(&measured, options.lanes * lane_outputs, device);
        kind->close(measured.backend);
    } else {
        set_failed(device, DH_DEVICE_CLOSED,
                   why[0] != '\0' ? why
                                  : (opened == DH_BACKEND_NO_MEMORY ? "not enough memory" : "it failed"));
    }
    free(outputs);
    return DH_OK;
}

static dh_status look_at_device(const dh_settings *settings, const dh_backend_kind *kind, double seconds,
                                dh_inventory_device *device)
{
    if (kind->facts(device->number, &device->facts) != DH_BACKEND_OK) {
        set_failed(device, DH_DEVICE_CLOSED, "what it is cannot be found out");
        return DH_OK;
    }
    dh_sample sample = {0};
    DH_TRY(
        dh_sample_make(settings, device->facts.is_accelerator ? DEVICE_DOCUMENTS : HOST_DOCUMENTS, &sample));
    const dh_status status = open_and_try(settings, kind, seconds, &sample, device);
    dh_sample_free(&sample);
    return status;
}

/* ---- all devices ------------------------------------------------------------------------------------- */

bool dh_device_ids_have(const dh_device_ids *ids, const char *id)
{
    uint32_t i = 0;
    while (i < ids->count && strcmp(ids->id[i], id) != 0) {
        i++;
    }
    return i < ids->count;
}

void dh_device_ids_look(const dh_backend_kind *const *kinds, dh_device_ids *ids)
{
    char why[DH_BACKEND_TEXT];
    for (; *kinds != NULL; kinds++) {
        const uint32_t count = (*kinds)->not_built == NULL ? (*kinds)->devices(why) : 0;
        for (uint32_t d = 0; d < count; d++) {
            dh_device_facts facts;
            if ((*kinds)->facts(d, &facts) == DH_BACKEND_OK && ids->count < DH_DEVICE_IDS_MAX &&
                !dh_device_ids_have(ids, facts.id)) {
                memcpy(ids->id[ids->count++], facts.id, sizeof facts.id);
            }
        }
    }
}

/* Is the device told of elsewhere? */
static bool is_known(const dh_backend_kind *kind, uint32_t device, const dh_device_ids *known)
{
    dh_device_facts facts;
    return known != NULL && kind->facts(device, &facts) == DH_BACKEND_OK &&
           dh_device_ids_have(known, facts.id);
}

static dh_status look_at_kind(const dh_settings *settings, double seconds, const dh_device_ids *known,
                              dh_inventory_kind *found)
{
    const dh_backend_kind *kind = found->kind;
    if (kind->not_built != NULL) {
        (void)snprintf(found->missing, sizeof found->missing, "%s", kind->not_built);
        return DH_OK;
    }
    const uint32_t count = kind->devices(found->missing);
    if (count == 0) {
        if (found->missing[0] == '\0') {
            (void)snprintf(found->missing, sizeof found->missing, "there is no device");
        }
        return DH_OK;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(count, sizeof(dh_inventory_device), "the list of devices", &memory));
    found->device = memory;
    for (uint32_t d = 0; d < count; d++) {
        if (!is_known(kind, d, known)) {
            dh_inventory_device *device = &found->device[found->device_count++];
            device->number = d;
            DH_TRY(look_at_device(settings, kind, seconds, device));
        }
    }
    return DH_OK;
}

static dh_status gravest(const dh_inventory *inventory)
{
    dh_status found = DH_OK;
    for (uint32_t k = 0; k < inventory->kind_count; k++) {
        for (uint32_t d = 0; d < inventory->kind[k].device_count; d++) {
            const dh_device_state state = inventory->kind[k].device[d].state;
            if (state == DH_DEVICE_WRONG) {
                return DH_INTERNAL;
            }
            found = state == DH_DEVICE_FAILED ? DH_FAILED : found;
        }
    }
    return found;
}

dh_status dh_inventory_make(const dh_settings *settings, const dh_backend_kind *const *kinds, double seconds,
                            const dh_device_ids *known, dh_inventory *out)
{
    dh_inventory inventory = {0};
    (void)gethostname(inventory.host, sizeof inventory.host - 1);
    while (kinds[inventory.kind_count] != NULL) {
        inventory.kind_count++;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(inventory.kind_count, sizeof(dh_inventory_kind), "the list of backends", &memory));
    inventory.kind = memory;
    dh_status status = DH_OK;
    for (uint32_t k = 0; k < inventory.kind_count && status == DH_OK; k++) {
        inventory.kind[k].kind = kinds[k];
        status = look_at_kind(settings, seconds, known, &inventory.kind[k]);
    }
    if (status != DH_OK) {
        dh_inventory_free(&inventory);
        return status;
    }
    inventory.found = gravest(&inventory);
    *out = inventory;
    return DH_OK;
}

void dh_inventory_free(dh_inventory *inventory)
{
    for (uint32_t k = 0; k < inventory->kind_count; k++) {
        free(inventory->kind[k].device);
    }
    free(inventory->kind);
    *inventory = (dh_inventory){0};
}
