#include "plan/plan.h"

#include "base/log.h"
#include "plan/discover.h"

#include <stdlib.h>
#include <string.h>

enum {
    COMPRESSED_WEIGHT = 4, /* a compressed byte counts as so many in a run of small sources */
    SOURCE_WEIGHT = 2048   /* and a source, to open it and to keep its sums, as so many bytes */
};

/* ---- cutting into work ------------------------------------------------------------------------------- */

static dh_status is_compressed(const char *path, bool *out)
{
    dh_stream *stream = NULL;
    DH_TRY(dh_stream_open(path, 0, NULL, &stream));
    *out = dh_stream_compression(stream) != DH_COMPRESSION_NONE;
    dh_stream_close(stream);
    return DH_OK;
}

typedef struct group_list {
    dh_work_group *group;
    size_t count, capacity;
    const dh_found *found;
    uint64_t segment_size;
} group_list;

static dh_status group_add(group_list *list, uint32_t first, uint32_t count, dh_work_kind kind)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
        void *memory = list->group;
        DH_TRY(dh_reallocate(capacity, sizeof *list->group, "the work list", &memory));
        list->group = memory;
        list->capacity = capacity;
    }
    list->group[list->count++] =
        (dh_work_group){.first_source = first, .source_count = count, .kind = (uint32_t)kind};
    return DH_OK;
}

static bool is_small(const group_list *list, uint32_t source)
{
    return list->found->file[source].size < list->segment_size;
}

/* Bytes of text that a small source may hold, roughly; the cut need not be exact, only the same each time. */
static uint64_t weight(const dh_found_file *file)
{
    const bool suffixed = dh_name_without_compression(file->path) != strlen(file->path);
    return SOURCE_WEIGHT + file->size * (suffixed ? COMPRESSED_WEIGHT : 1);
}

static dh_status kind_of_large(const dh_found_file *file, dh_format format, dh_work_kind *out)
{
    const dh_format of_source = format == DH_FORMAT_AUTO ? dh_format_of_name(file->name) : format;
    if (of_source == DH_FORMAT_TEXT) {
        *out = DH_WORK_WHOLE;
        return DH_OK;
    }
    bool compressed = false;
    DH_TRY(is_compressed(file->path, &compressed));
    *out = compressed ? DH_WORK_STREAM : DH_WORK_RANGES;
    return DH_OK;
}

static dh_status cut(group_list *list, dh_format format)
{
    const uint32_t count = (uint32_t)list->found->count;
    for (uint32_t s = 0; s < count;) {
        if (is_small(list, s)) {
            uint32_t end = s;
            uint64_t sum = 0;
            while (end < count && is_small(list, end) && (end == s || sum < list->segment_size)) {
                sum += weight(&list->found->file[end++]);
            }
            DH_TRY(group_add(list, s, end - s, DH_WORK_RUN));
            s = end;
            continue;
        }
        dh_work_kind kind = DH_WORK_WHOLE;
        DH_TRY(kind_of_large(&list->found->file[s], format, &kind));
        DH_TRY(group_add(list, s, 1, kind));
        s++;
    }
    return DH_OK;
}

typedef struct sortable_group {
    dh_work_group group;
    uint64_t size; /* of a source that one rank reads alone, else 0 */
} sortable_group;

/* Whole sources and streams first, the largest in front: what cannot be shared must start early. */
static int compare_groups(const void *a, const void *b)
{
    const sortable_group *left = a;
    const sortable_group *right = b;
    if (left->size != right->size) {
        return left->size > right->size ? -1 : 1;
    }
    return left->group.first_source < right->group.first_source ? -1 : 1;
}

static dh_status order(group_list *list, uint64_t *item_count)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(list->count, sizeof(sortable_group), "the work list", &memory));
    sortable_group *sortable = memory;
    for (size_t g = 0; g < list->count; g++) {
        const dh_work_group *group = &list->group[g];
        sortable[g].group = *group;
        const bool alone = group->kind == DH_WORK_WHOLE || group->kind == DH_WORK_STREAM;
        sortable[g].size = alone ? list->found->file[group->first_source].size : 0;
    }
    qsort(sortable, list->count, sizeof *sortable, compare_groups);
    uint64_t items = 0;
    for (size_t g = 0; g < list->count; g++) {
        list->group[g] = sortable[g].group;
        list->group[g].first_item = items;
        const uint64_t size = list->found->file[list->group[g].first_source].size;
        items +=
            list->group[g].kind == DH_WORK_RANGES ? (size + list->segment_size - 1) / list->segment_size : 1;
    }
    free(sortable);
    *item_count = items;
    return DH_OK;
}

/* ---- the block --------------------------------------------------------------------------------------- */

static dh_status append_block(const group_list *list, uint64_t item_count, dh_buffer *out)
{
    const dh_found *found = list->found;
    dh_plan plan = {.magic = "dhplan1",
                    .source_count = found->count,
                    .group_count = list->count,
                    .item_count = item_count,
                    .sources = sizeof plan,
                    .segment_size = list->segment_size};
    plan.groups = plan.sources + found->count * sizeof(dh_source);
    const uint64_t strings = plan.groups + list->count * sizeof(dh_work_group);
    plan.block_size = strings;
    for (size_t i = 0; i < found->count; i++) {
        const size_t name_size = strlen(found->file[i].name);
        plan.block_size += name_size + 1 + strlen(found->file[i].path) + 1;
        plan.file_bytes += found->file[i].size;
        plan.name_width = name_size > plan.name_width ? name_size : plan.name_width;
    }
    DH_TRY(dh_buffer_reserve(out, plan.block_size));
    DH_TRY(dh_buffer_append(out, &plan, sizeof plan));
    uint64_t place = strings;
    for (size_t i = 0; i < found->count; i++) {
        const size_t name_size = strlen(found->file[i].name);
        const dh_source source = {.name = place,
                                  .path = place + name_size + 1,
                                  .size = found->file[i].size,
                                  .time = found->file[i].time,
                                  .name_size = (uint32_t)name_size};
        DH_TRY(dh_buffer_append(out, &source, sizeof source));
        place += name_size + 1 + strlen(found->file[i].path) + 1;
    }
    DH_TRY(dh_buffer_append(out, list->group, list->count * sizeof *list->group));
    for (size_t i = 0; i < found->count; i++) {
        DH_TRY(dh_buffer_append(out, found->file[i].name, strlen(found->file[i].name) + 1));
        DH_TRY(dh_buffer_append(out, found->file[i].path, strlen(found->file[i].path) + 1));
    }
    return DH_OK;
}

dh_status dh_plan_make(const dh_plan_options *options, char *const *input, size_t input_count, dh_buffer *out)
{
    dh_found found = {0};
    group_list list = {.found = &found, .segment_size = options->segment_size};
    uint64_t item_count = 0;
    dh_status status =
        dh_discover(input, input_count, options->exclude_prefix, options->exclude_folder, &found);
    if (status == DH_OK) {
        status = cut(&list, options->format);
    }
    if (status == DH_OK) {
        status = order(&list, &item_count);
    }
    if (status == DH_OK) {
        status = append_block(&list, item_count, out);
    }
    free(list.group);
    dh_found_free(&found);
    return status;
}

/* ---- reading it -------------------------------------------------------------------------------------- */

static const void *at(const dh_plan *plan, uint64_t offset)
{
    return (const char *)plan + offset;
}

const dh_source *dh_plan_source(const dh_plan *plan, uint64_t index)
{
    return (const dh_source *)at(plan, plan->sources) + index;
}

const char *dh_plan_string(const dh_plan *plan, uint64_t offset)
{
    return at(plan, offset);
}

const char *dh_plan_name(const dh_plan *plan, uint64_t index)
{
    return dh_plan_string(plan, dh_plan_source(plan, index)->name);
}

dh_work_item dh_plan_item(const dh_plan *plan, uint64_t item)
{
    const dh_work_group *group = at(plan, plan->groups);
    uint64_t low = 0;
    uint64_t high = plan->group_count;
    while (high - low > 1) { /* the last group that begins at or before item */
        const uint64_t middle = low + (high - low) / 2;
        if (group[middle].first_item <= item) {
            low = middle;
        } else {
            high = middle;
        }
    }
    dh_work_item work = {.first_source = group[low].first_source,
                         .source_count = group[low].source_count,
                         .begin = 0,
                         .end = UINT64_MAX,
                         .kind = (dh_work_kind)group[low].kind};
    if (group[low].kind == DH_WORK_RANGES) {
        const uint64_t size = dh_plan_source(plan, work.first_source)->size;
        work.begin = (item - group[low].first_item) * plan->segment_size;
        work.end = work.begin + plan->segment_size < size ? work.begin + plan->segment_size : UINT64_MAX;
    }
    return work;
}
