#include "commands/plan_record.h"

#include "base/log.h"
#include "jobs/job.h"
#include "read/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 40 };

/* The numbers at some paths of an object. What is missing is 0, and counted in *missing. */
static dh_status take_numbers(const uint8_t *json, size_t size, const char *const *path, size_t count,
                              double *number, size_t *missing)
{
    dh_json_paths *paths = NULL;
    dh_json_value value[DH_JSON_FIELDS_MAX] = {0};
    size_t offset = 0;
    DH_TRY(dh_json_paths_create(path, count, &paths));
    const dh_json_error error = dh_json_scan(paths, json, size, value, &offset);
    dh_json_paths_free(paths);
    *missing = error == DH_JSON_OK ? 0 : count;
    for (size_t i = 0; i < count; i++) {
        char digits[NUMBER_MAX] = "";
        number[i] = 0;
        if (value[i].kind != DH_JSON_NUMBER || value[i].size >= sizeof digits) {
            *missing += error == DH_JSON_OK;
            continue;
        }
        memcpy(digits, value[i].text, value[i].size);
        number[i] = strtod(digits, NULL);
    }
    return DH_OK;
}

/* The part of an array (its raw text) that is its next object; NULL: there is none. */
static const uint8_t *next_object(const uint8_t **at, const uint8_t *end, size_t *size)
{
    const uint8_t *begin = NULL;
    size_t depth = 0;
    bool in_string = false;
    for (const uint8_t *c = *at; c < end; c++) {
        if (in_string && *c == '\\') {
            c++; /* what is escaped ends no string */
        } else if (in_string) {
            in_string = *c != '"';
        } else if (*c == '"') {
            in_string = true;
        } else if (*c == '{') {
            begin = depth++ == 0 ? c : begin;
        } else if (*c == '}' && depth > 0 && --depth == 0) {
            *at = c + 1;
            *size = (size_t)(c + 1 - begin);
            return begin;
        }
    }
    return NULL;
}

/* Seconds of jobs that have a kernel. */
static dh_status add_kernels(const uint8_t *json, size_t size, dh_trial *out)
{
    const dh_job *job = &dh_job_documents;
    for (size_t j = 0; job != NULL; job = dh_jobs[j++]) {
        char path[64];
        const char *const paths[] = {path};
        double seconds = 0;
        size_t missing = 0;
        (void)snprintf(path, sizeof path, "seconds.job %s", job->name);
        DH_TRY(take_numbers(json, size, paths, 1, &seconds, &missing));
        out->kernel_seconds += seconds;
    }
    return DH_OK;
}

static dh_status add_rank(const uint8_t *json, size_t size, dh_trial *out, size_t *missing)
{
    static const char *const paths[] = {"memory_bytes", "spill_bytes",  "text_bytes",   "bad",
                                        "seconds.map",  "seconds.read", "seconds.user", "seconds.system"};
    enum { COUNT = sizeof paths / sizeof *paths };
    double number[COUNT];
    size_t absent = 0;
    DH_TRY(take_numbers(json, size, paths, COUNT, number, &absent));
    *missing += absent;
    out->ranks++;
    out->memory = number[0] > out->memory ? number[0] : out->memory;
    out->spill_bytes += number[1];
    out->text_bytes += number[2];
    out->bad += number[3];
    out->rank_map_seconds += number[4];
    out->read_seconds += number[5];
    out->processor_seconds += number[6] + number[7];
    return add_kernels(json, size, out);
}

static dh_status add_ranks(const uint8_t *json, size_t size, dh_trial *out, size_t *missing)
{
    static const char *const paths[] = {"rank_figures"};
    dh_json_paths *compiled = NULL;
    dh_json_value array = {0};
    size_t offset = 0;
    DH_TRY(dh_json_paths_create(paths, 1, &compiled));
    (void)dh_json_scan(compiled, json, size, &array, &offset);
    dh_json_paths_free(compiled);
    if (array.kind != DH_JSON_ARRAY) {
        (*missing)++;
        return DH_OK;
    }
    const uint8_t *at = array.text;
    const uint8_t *end = array.text + array.size;
    size_t object_size = 0;
    for (const uint8_t *object = next_object(&at, end, &object_size); object != NULL;
         object = next_object(&at, end, &object_size)) {
        DH_TRY(add_rank(object, object_size, out, missing));
    }
    *missing += out->ranks == 0;
    return DH_OK;
}

static dh_status set_phases(const uint8_t *json, size_t size, dh_trial *out, size_t *missing)
{
    static const char *const paths[] = {"phase_seconds.map",    "phase_seconds.reduce",
                                        "phase_seconds.ids",    "phase_seconds.rows",
                                        "phase_seconds.matrix", "phase_seconds.sources"};
    enum { COUNT = sizeof paths / sizeof *paths };
    double number[COUNT];
    size_t absent = 0;
    DH_TRY(take_numbers(json, size, paths, COUNT, number, &absent));
    *missing += absent;
    out->phase[DH_PLAN_MAP] = number[0];
    out->phase[DH_PLAN_REDUCE] = number[1];
    out->phase[DH_PLAN_WRITE] = number[2] + number[3] + number[4] + number[5];
    const double others = out->seconds - number[0] - number[1] - out->phase[DH_PLAN_WRITE];
    out->phase[DH_PLAN_FINISH] = others > 0 ? others : 0;
    return DH_OK;
}

dh_status dh_plan_read_record(const char *path, const void *json, size_t size, dh_trial *out)
{
    static const char *const paths[] = {"seconds", "documents", "result_bytes", "source_bytes"};
    enum { COUNT = sizeof paths / sizeof *paths };
    double number[COUNT];
    size_t missing = 0;
    DH_TRY(take_numbers(json, size, paths, COUNT, number, &missing));
    out->seconds = number[0];
    out->documents = number[1];
    out->result_bytes = number[2];
    out->content = number[3];
    DH_TRY(set_phases(json, size, out, &missing));
    DH_TRY(add_ranks(json, size, out, &missing));
    return missing == 0
               ? DH_OK
               : dh_error(DH_INTERNAL, "%s: %zu figures of a run are missing or no numbers", path, missing);
}
