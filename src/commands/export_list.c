/* dhatu export: the list of an export, and how a rerun knows what is there. */
#include "base/file.h"
#include "base/log.h"
#include "commands/export.h"
#include "dhatu_config.h"
#include "read/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIST_NAME "export.json"
#define LIST_FORMAT "dhatu-export 1"
#define SHARD_STEM "part-"

enum {
    LIST_BYTES_A_SHARD = 320, /* more than a shard takes in the list */
    LIST_BYTES = 1 << 16      /* and all the rest of it */
};

/* ---- texts -------------------------------------------------------------------------------------------- */

static dh_status append_name(const dh_export_task *task, uint64_t shard, dh_buffer *out)
{
    return dh_buffer_printf(out, SHARD_STEM "%06" PRIu64 ".jsonl%s", shard,
                            dh_shard_suffix(task->compression));
}

static dh_status append_nul(dh_buffer *out)
{
    DH_TRY(dh_buffer_append(out, "", 1));
    out->size--;
    return DH_OK;
}

dh_status dh_export_shard_path(const dh_export_task *task, uint64_t shard, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "%s/", task->folder));
    DH_TRY(append_name(task, shard, out));
    return append_nul(out);
}

static dh_status list_path(const dh_export_task *task, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "%s/" LIST_NAME, task->folder));
    return append_nul(out);
}

/* What two exports have in common that make the same files. */
static dh_status append_head(const dh_export_task *task, dh_buffer *out)
{
    static const char *const compression[DH_SHARD_COMPRESSION_COUNT] = {"none", "gz", "zst"};
    DH_TRY(dh_buffer_printf(
        out, "{\"format\":\"" LIST_FORMAT "\",\"dhatu\":\"" DHATU_VERSION "\",\"content_sha256\":\"%s\",",
        (const char *)task->view->content.data));
    return dh_buffer_printf(
        out,
        "\"options\":{\"all\":%s,\"compress\":\"%s\",\"encoder\":\"%s\",\"shard_size\":%" PRIu64
        "},\"documents\":%" PRIu64 ",\"shard_count\":%" PRIu64 ",",
        task->all ? "true" : "false", compression[task->compression], dh_shard_encoder(task->compression),
        task->shard_size, task->plan->documents, dh_export_shard_count(task->plan));
}

static const char unfinished[] = "\"complete\":false,\"shards\":[]}\n";

static dh_status append_shard(const dh_export_task *task, const dh_export_done *done, dh_buffer *out)
{
    const dh_export_shard *shard = &dh_export_shards(task->plan)[done->shard];
    char hex[2 * DH_SHA256_SIZE + 1];
    dh_hex(done->facts.sha256, DH_SHA256_SIZE, hex);
    DH_TRY(dh_buffer_printf(out, "%s\n{\"name\":\"", done->shard > 0 ? "," : ""));
    DH_TRY(append_name(task, done->shard, out));
    return dh_buffer_printf(out,
                            "\",\"first_row\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"documents\":%" PRIu64
                            ",\"bytes\":%" PRIu64 ",\"sha256\":\"%s\"}",
                            shard->first_row, shard->last_row - shard->first_row, shard->documents,
                            done->facts.bytes, hex);
}

/* ---- what is in the folder ---------------------------------------------------------------------------- */

typedef struct folder_search {
    const dh_export_task *task;
    bool has_shards;
    bool removes; /* what is half-written */
} folder_search;

static bool is_half_written(const char *name)
{
    const size_t size = strlen(name);
    return size > strlen(DH_SHARD_TEMPORARY) &&
           strcmp(name + size - strlen(DH_SHARD_TEMPORARY), DH_SHARD_TEMPORARY) == 0;
}

static dh_status look_at_name(void *context, const char *name)
{
    folder_search *search = context;
    if (strncmp(name, SHARD_STEM, strlen(SHARD_STEM)) != 0) {
        return DH_OK;
    }
    if (!is_half_written(name)) {
        search->has_shards = true;
        return DH_OK;
    }
    if (!search->removes) {
        return DH_OK;
    }
    dh_buffer path = {0};
    dh_status status = dh_buffer_printf(&path, "%s/%s", search->task->folder, name);
    if (status == DH_OK) {
        status = append_nul(&path);
    }
    if (status == DH_OK) {
        status = dh_file_remove((const char *)path.data);
    }
    dh_buffer_free(&path);
    return status;
}

/* ---- begin -------------------------------------------------------------------------------------------- */

/* Says which part of two lists differs. */
static dh_status tell_difference(const char *path, const dh_buffer *there, const dh_buffer *head)
{
    static const char *const name[] = {"format", "dhatu", "content_sha256", "options", "documents"};
    enum { NAMES = sizeof name / sizeof *name };
    dh_json_paths *paths = NULL;
    dh_json_value old[NAMES];
    dh_json_value new[NAMES];
    dh_buffer whole = {0};
    size_t place = 0;
    dh_status status = dh_buffer_append(&whole, head->data, head->size);
    if (status == DH_OK) {
        status = dh_buffer_append(&whole, unfinished, strlen(unfinished) - 1);
    }
    if (status == DH_OK) {
        status = dh_json_paths_create(name, NAMES, &paths);
    }
    if (status == DH_OK && (dh_json_scan(paths, there->data, there->size, old, &place) != DH_JSON_OK ||
                            dh_json_scan(paths, whole.data, whole.size, new, &place) != DH_JSON_OK)) {
        status = dh_error(DH_MISMATCH, "%s: is not the list of an export", path);
    }
    for (size_t i = 0; i < NAMES && status == DH_OK; i++) {
        if (old[i].size != new[i].size || memcmp(old[i].text, new[i].text, old[i].size) != 0) {
            status = dh_error(
                DH_MISMATCH,
                "%s: the folder has another export: %s is %.*s there, %.*s here; name another folder, "
                "or remove this one",
                path, name[i], (int)old[i].size, (const char *)old[i].text, (int)new[i].size,
                (const char *)new[i].text);
        }
    }
    dh_json_paths_free(paths);
    dh_buffer_free(&whole);
    DH_TRY(status);
    return dh_error(DH_MISMATCH, "%s: the folder has another export", path);
}

static uint64_t list_size_max(const dh_export_task *task)
{
    return LIST_BYTES + LIST_BYTES_A_SHARD * dh_export_shard_count(task->plan);
}

/* The list's head must be that of this export. */
static dh_status check_list(const dh_export_task *task, const char *path, const dh_buffer *head)
{
    dh_buffer there = {0};
    struct stat facts;
    dh_status status = dh_file_stat(path, &facts);
    if (status == DH_OK) { /* one of another export may be of any size */
        const uint64_t most = list_size_max(task);
        const uint64_t size = (uint64_t)facts.st_size;
        status = dh_file_read_all(path, size > most ? size : most, &there);
    }
    if (status == DH_OK && (there.size < head->size || memcmp(there.data, head->data, head->size) != 0)) {
        status = tell_difference(path, &there, head);
    }
    dh_buffer_free(&there);
    return status;
}

static dh_status start_list(const dh_export_task *task, const char *path, dh_buffer *head)
{
    folder_search search = {.task = task};
    DH_TRY(dh_folder_list(task->folder, look_at_name, &search));
    if (search.has_shards) {
        return dh_error(DH_MISMATCH,
                        "%s: has files " SHARD_STEM "*, but no " LIST_NAME
                        " that tells what they are of: name another "
                        "folder, or remove them",
                        task->folder);
    }
    DH_TRY(dh_buffer_append(head, unfinished, strlen(unfinished)));
    return dh_file_replace(path, head->data, head->size);
}

dh_status dh_export_list_begin(const dh_export_task *task)
{
    dh_buffer path = {0};
    dh_buffer head = {0};
    bool exists = false;
    dh_status status = list_path(task, &path);
    if (status == DH_OK) {
        status = append_head(task, &head);
    }
    if (status == DH_OK) {
        status = dh_file_exists((const char *)path.data, &exists);
    }
    if (status == DH_OK) {
        status = exists ? check_list(task, (const char *)path.data, &head)
                        : start_list(task, (const char *)path.data, &head);
    }
    if (status == DH_OK && exists) {
        folder_search search = {.task = task, .removes = true};
        status = dh_folder_list(task->folder, look_at_name, &search);
    }
    dh_buffer_free(&path);
    dh_buffer_free(&head);
    return status;
}

/* ---- end ---------------------------------------------------------------------------------------------- */

/* A list that is complete already must be the same. */
static dh_status replace_list(const dh_export_task *task, const char *path, const dh_buffer *list,
                              size_t head_size)
{
    dh_buffer there = {0};
    dh_status status = dh_file_read_all(path, list_size_max(task), &there);
    const bool fresh = there.size == head_size + strlen(unfinished);
    const bool same = there.size == list->size && memcmp(there.data, list->data, list->size) == 0;
    if (status == DH_OK && !fresh && !same) {
        status =
            dh_error(DH_MISMATCH,
                     "%s: the shards are not those that it lists: they were changed or damaged; remove the "
                     "folder and export again",
                     path);
    }
    dh_buffer_free(&there);
    if (status == DH_OK && fresh) {
        status = dh_file_replace(path, list->data, list->size);
    }
    return status;
}

dh_status dh_export_list_finish(const dh_export_task *task, const dh_export_done *done, uint64_t count)
{
    dh_buffer path = {0};
    dh_buffer list = {0};
    dh_status status = list_path(task, &path);
    if (status == DH_OK) {
        status = append_head(task, &list);
    }
    const size_t head_size = list.size;
    if (status == DH_OK) {
        status = dh_buffer_printf(&list, "\"complete\":true,\"shards\":[");
    }
    for (uint64_t i = 0; i < count && status == DH_OK; i++) {
        if (done[i].shard == i) {
            status = append_shard(task, &done[i], &list);
        } else {
            status = dh_error(DH_INTERNAL, "shard %" PRIu64 " was written by nobody", i);
        }
    }
    if (status == DH_OK) {
        status = dh_buffer_printf(&list, "\n]}\n");
    }
    if (status == DH_OK) {
        status = replace_list(task, (const char *)path.data, &list, head_size);
    }
    dh_buffer_free(&path);
    dh_buffer_free(&list);
    return status;
}
