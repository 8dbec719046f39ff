/* dhatu: an inventory for people and for programs. */
#include "commands/figures.h"
#include "commands/inventory.h"
#include "read/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LABEL = 12, JOB = 12, TEXT_RATE = 8, DOCUMENT_RATE = 12 /* columns */ };

/* ---- for a person ------------------------------------------------------------------------------------ */

/* A line under a device. */
static dh_status append_line(dh_buffer *out, const char *what, const char *text)
{
    return text[0] != '\0' ? dh_buffer_printf(out, "%*s%-*s%s\n", LABEL + 2, "", JOB, what, text) : DH_OK;
}

static const char *unit_name(const dh_backend_kind *kind, uint32_t units)
{
    if (kind == &dh_backend_cpu) {
        return units == 1 ? "core" : "cores";
    }
    if (kind == &dh_backend_cuda) {
        return units == 1 ? "multiprocessor" : "multiprocessors";
    }
    return units == 1 ? "compute unit" : "compute units";
}

/* has        2 cores, up to 3,700 MHz, 8.3 GB of memory (6.0 GB free) */
static dh_status append_size_of_device(dh_buffer *out, const dh_backend_kind *kind,
                                       const dh_device_facts *facts)
{
    const char *comma = "";
    if (facts->units == 0 && facts->clock_mhz == 0 && facts->memory == 0) {
        return DH_OK;
    }
    DH_TRY(dh_buffer_printf(out, "%*s%-*s", LABEL + 2, "", JOB, "has"));
    if (facts->units > 0) {
        DH_TRY(dh_append_count(out, facts->units));
        DH_TRY(dh_buffer_printf(out, " %s", unit_name(kind, facts->units)));
        comma = ", ";
    }
    if (facts->clock_mhz > 0) {
        DH_TRY(dh_buffer_printf(out, "%sup to ", comma));
        DH_TRY(dh_append_count(out, facts->clock_mhz));
        DH_TRY(dh_buffer_printf(out, " MHz"));
        comma = ", ";
    }
    if (facts->memory > 0) {
        DH_TRY(dh_buffer_printf(out, "%s", comma));
        DH_TRY(dh_append_size(out, (double)facts->memory));
        DH_TRY(dh_buffer_printf(out, " of memory"));
    }
    if (facts->memory_free > 0) {
        DH_TRY(dh_buffer_printf(out, " ("));
        DH_TRY(dh_append_size(out, (double)facts->memory_free));
        DH_TRY(dh_buffer_printf(out, " free)"));
    }
    return dh_buffer_printf(out, "\n");
}

/* digest             849 MB/s of text     829,038 documents/s */
static dh_status append_rate(dh_buffer *out, const dh_backend_kind *kind, const dh_job_rate *rate)
{
    dh_buffer text = {0};
    dh_buffer documents = {0};
    dh_status status = dh_append_count(&text, (uint64_t)(rate->text / 1e6 + 0.5));
    if (status == DH_OK) {
        status = dh_append_count(&documents, (uint64_t)(rate->documents + 0.5));
    }
    if (status == DH_OK) {
        status = dh_buffer_printf(out, "%*s%-*s%*.*s MB/s of text %*.*s documents/s%s\n", LABEL + 2, "", JOB,
                                  rate->job, TEXT_RATE, (int)text.size, (const char *)text.data,
                                  DOCUMENT_RATE, (int)documents.size, (const char *)documents.data,
                                  kind == &dh_backend_cpu ? ", one core" : "");
    }
    dh_buffer_free(&text);
    dh_buffer_free(&documents);
    return status;
}

static dh_status append_state(dh_buffer *out, const dh_inventory_device *device)
{
    static const char *const before[] = {[DH_DEVICE_GOOD] = "passed",
                                         [DH_DEVICE_CLOSED] = "not run: it cannot be used",
                                         [DH_DEVICE_WRONG] = "FAILED: do not use it for a run",
                                         [DH_DEVICE_FAILED] = "FAILED: it broke down under work"};
    char text[DH_BACKEND_TEXT + 64];
    (void)snprintf(text, sizeof text, "%s%s%s", before[device->state], device->reason[0] != '\0' ? ": " : "",
                   device->reason);
    return append_line(out, "self-test", text);
}

static dh_status append_device(dh_buffer *out, const dh_backend_kind *kind, const dh_inventory_device *device)
{
    const dh_device_facts *facts = &device->facts;
    char label[64];
    (void)snprintf(label, sizeof label, "%s %" PRIu32, kind->name, device->number);
    DH_TRY(dh_buffer_printf(out, "  %-*s%s\n", LABEL, label,
                            facts->name[0] != '\0' ? facts->name : "a device without a name"));
    DH_TRY(append_size_of_device(out, kind, facts));
    DH_TRY(append_line(out, "level", facts->level));
    DH_TRY(append_line(out, "driver", facts->driver));
    DH_TRY(append_line(out, "used as", device->description));
    DH_TRY(append_state(out, device));
    for (uint32_t r = 0; r < device->rate_count; r++) {
        DH_TRY(append_rate(out, kind, &device->rate[r]));
    }
    return DH_OK;
}

dh_status dh_inventory_append_text(const dh_inventory *inventory, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "%s", inventory->host));
    if (inventory->ranks > 1) {
        DH_TRY(dh_buffer_printf(out, ": %d ranks, rank %d sees", inventory->ranks, inventory->rank));
    }
    DH_TRY(dh_buffer_printf(out, "\n"));
    for (uint32_t k = 0; k < inventory->kind_count; k++) {
        const dh_inventory_kind *found = &inventory->kind[k];
        for (uint32_t d = 0; d < found->device_count; d++) {
            DH_TRY(append_device(out, found->kind, &found->device[d]));
        }
        if (found->missing[0] != '\0') {
            DH_TRY(dh_buffer_printf(out, "  %-*s%s%s\n", LABEL, found->kind->name,
                                    found->device_count > 0 ? "also: " : "none: ", found->missing));
        }
    }
    return DH_OK;
}

/* ---- for a program ----------------------------------------------------------------------------------- */

/* "name":"text", or null for an empty one. */
static dh_status append_member(dh_buffer *out, const char *comma, const char *name, const char *text)
{
    DH_TRY(dh_buffer_printf(out, "%s\"%s\":", comma, name));
    return text[0] != '\0' ? dh_json_append_string(out, text, strlen(text)) : dh_buffer_printf(out, "null");
}

/* 0: not known. */
static dh_status append_number(dh_buffer *out, const char *name, uint64_t number)
{
    return number > 0 ? dh_buffer_printf(out, ",\"%s\":%" PRIu64, name, number)
                      : dh_buffer_printf(out, ",\"%s\":null", name);
}

static dh_status append_json_facts(dh_buffer *out, const dh_device_facts *facts)
{
    DH_TRY(append_member(out, ",", "name", facts->name));
    DH_TRY(append_member(out, ",", "level", facts->level));
    DH_TRY(append_member(out, ",", "driver", facts->driver));
    DH_TRY(append_member(out, ",", "id", facts->id));
    DH_TRY(append_number(out, "memory_bytes", facts->memory));
    DH_TRY(append_number(out, "memory_free_bytes", facts->memory_free));
    DH_TRY(append_number(out, "units", facts->units));
    DH_TRY(append_number(out, "clock_mhz", facts->clock_mhz));
    return dh_buffer_printf(out, ",\"is_accelerator\":%s", facts->is_accelerator ? "true" : "false");
}

static dh_status append_json_device(dh_buffer *out, const dh_inventory_device *device)
{
    static const char *const self_test[] = {[DH_DEVICE_GOOD] = "passed",
                                            [DH_DEVICE_CLOSED] = "not run",
                                            [DH_DEVICE_WRONG] = "failed",
                                            [DH_DEVICE_FAILED] = "broke down"};
    DH_TRY(dh_buffer_printf(out, "{\"number\":%" PRIu32, device->number));
    DH_TRY(append_json_facts(out, &device->facts));
    DH_TRY(append_member(out, ",", "used_as", device->description));
    DH_TRY(append_member(out, ",", "self_test", self_test[device->state]));
    DH_TRY(append_member(out, ",", "reason", device->reason));
    DH_TRY(dh_buffer_printf(out, ",\"rates\":["));
    for (uint32_t r = 0; r < device->rate_count; r++) {
        const dh_job_rate *rate = &device->rate[r];
        DH_TRY(append_member(out, r > 0 ? ",{" : "{", "job", rate->job));
        DH_TRY(dh_buffer_printf(out, ",\"text_bytes_per_second\":%.0f,\"documents_per_second\":%.0f}",
                                rate->text, rate->documents));
    }
    return dh_buffer_printf(out, "]}");
}

dh_status dh_inventory_append_json(const dh_inventory *inventory, dh_buffer *out)
{
    DH_TRY(append_member(out, "{", "host", inventory->host));
    DH_TRY(
        dh_buffer_printf(out, ",\"rank\":%d,\"ranks\":%d,\"backends\":[", inventory->rank, inventory->ranks));
    for (uint32_t k = 0; k < inventory->kind_count; k++) {
        const dh_inventory_kind *found = &inventory->kind[k];
        DH_TRY(append_member(out, k > 0 ? ",{" : "{", "name", found->kind->name));
        DH_TRY(dh_buffer_printf(out, ",\"built\":%s", found->kind->not_built == NULL ? "true" : "false"));
        DH_TRY(append_member(out, ",", "missing", found->missing));
        DH_TRY(dh_buffer_printf(out, ",\"devices\":["));
        for (uint32_t d = 0; d < found->device_count; d++) {
            DH_TRY(dh_buffer_printf(out, "%s", d > 0 ? "," : ""));
            DH_TRY(append_json_device(out, &found->device[d]));
        }
        DH_TRY(dh_buffer_printf(out, "]}"));
    }
    return dh_buffer_printf(out, "]}");
}
