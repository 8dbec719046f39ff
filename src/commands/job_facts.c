#include "commands/job_facts.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECIMAL = 10, MEBI_BITS = 20, LINE_MAX_BYTES = 4096 };

static const uint64_t cpus_max = UINT64_C(1) << 40;   /* of all nodes */
static const uint64_t mebis_max = UINT64_C(1) << 40;  /* of a node: an exbibyte */
static const uint64_t components_max = 1024;          /* of a heterogeneous job */
static const uint64_t starts_max = UINT64_C(1) << 30; /* of a job, and nodes */

/* ---- one value --------------------------------------------------------------------------------------- */

/* What is no printable ASCII could do anything to a terminal. */
static void copy_text(const char *value, char *out, size_t size)
{
    static const char more[] = "...";
    size_t used = 0;
    for (; value != NULL && value[used] != '\0' && used + 1 < size; used++) {
        const unsigned char byte = (unsigned char)value[used];
        out[used] = byte >= ' ' && byte <= '~' ? (char)byte : '?';
    }
    out[used] = '\0';
    if (value != NULL && value[used] != '\0') {
        memcpy(out + size - sizeof more, more, sizeof more);
    }
}

static void read_text(const char *name, char *out, size_t size)
{
    copy_text(getenv(name), out, size);
}

/* Digits at the start of text, up to the limit; false: none, or more. */
static bool parse_number(const char **text, uint64_t limit, uint64_t *out)
{
    const char *at = *text;
    uint64_t number = 0;
    for (; isdigit((unsigned char)*at); at++) {
        number = number * DECIMAL + (uint64_t)(*at - '0');
        if (number > limit) {
            return false;
        }
    }
    if (at == *text) {
        return false;
    }
    *text = at;
    *out = number;
    return true;
}

static uint64_t read_number(const char *name, uint64_t limit)
{
    const char *text = getenv(name);
    uint64_t number = 0;
    return text != NULL && parse_number(&text, limit, &number) && *text == '\0' ? number : 0;
}

uint64_t dh_job_sum(const char *text)
{
    uint64_t sum = 0;
    for (;;) {
        uint64_t number = 0;
        uint64_t times = 1;
        if (!parse_number(&text, cpus_max, &number)) {
            return 0;
        }
        if (strncmp(text, "(x", 2) == 0) {
            text += 2;
            if (!parse_number(&text, cpus_max, &times) || *text++ != ')') {
                return 0;
            }
        }
        if (times > 0 && number > (cpus_max - sum) / times) {
            return 0;
        }
        sum += number * times;
        if (*text == '\0') {
            return sum;
        }
        if (*text++ != ',') {
            return 0;
        }
    }
}

/* ---- all of them ------------------------------------------------------------------------------------- */

static void read_array(dh_job_facts *out)
{
    char job[DH_JOB_TEXT / 2 - 1];
    char task[DH_JOB_TEXT / 2 - 1];
    read_text("SLURM_ARRAY_JOB_ID", job, sizeof job);
    read_text("SLURM_ARRAY_TASK_ID", task, sizeof task);
    if (job[0] != '\0' && task[0] != '\0') {
        (void)snprintf(out->array, sizeof out->array, "%s_%s", job, task);
    }
}

/* One component's value of a variable; NULL: it has none. */
static const char *value_of_group(const char *name, uint32_t group)
{
    char whole[DH_JOB_TEXT];
    (void)snprintf(whole, sizeof whole, "%s_HET_GROUP_%u", name, group);
    return getenv(whole);
}

/* The lists of all components' nodes, one behind the other. */
static void read_group_nodes(dh_job_facts *out)
{
    char nodes[DH_JOB_LONG_TEXT + 4] = ""; /* longer than what fits, so that is told */
    size_t used = 0;
    for (uint32_t group = 0; group < out->components; group++) {
        const char *value = value_of_group("SLURM_JOB_NODELIST", group);
        if (value != NULL && used < sizeof nodes) {
            const int more = snprintf(nodes + used, sizeof nodes - used, "%s%s", used > 0 ? "," : "", value);
            used += more > 0 ? (size_t)more : 0;
        }
    }
    if (used > 0) {
        copy_text(nodes, out->nodes, sizeof out->nodes);
    }
}

/* Of a heterogeneous job the plain variables tell the component alone that this rank is in. Where one of the
 * components is not known, nothing is known of the sum. */
static void read_groups(dh_job_facts *out)
{
    bool has_cpus = true;
    bool has_nodes = true;
    uint64_t cpus = 0;
    uint64_t nodes = 0;
    for (uint32_t group = 0; group < out->components; group++) {
        const char *text = value_of_group("SLURM_JOB_CPUS_PER_NODE", group);
        const uint64_t more = text != NULL ? dh_job_sum(text) : 0;
        has_cpus = has_cpus && more > 0;
        cpus += more;
        uint64_t count = 0;
        text = value_of_group("SLURM_JOB_NUM_NODES", group);
        has_nodes = has_nodes && text != NULL && parse_number(&text, starts_max, &count) && *text == '\0';
        nodes += count;
    }
    out->cpus = has_cpus ? cpus : 0;
    out->node_count = has_nodes ? nodes : 0;
    read_group_nodes(out);
}

void dh_job_facts_read(dh_job_facts *out)
{
    *out = (dh_job_facts){.components = 1};
    read_text("SLURM_JOB_ID", out->job, sizeof out->job);
    read_text("LOADEDMODULES", out->modules, sizeof out->modules);
    out->is_slurm = out->job[0] != '\0';
    if (!out->is_slurm) {
        return;
    }
    read_array(out);
    read_text("SLURM_CLUSTER_NAME", out->cluster, sizeof out->cluster);
    read_text("SLURM_JOB_PARTITION", out->partition, sizeof out->partition);
    read_text("SLURM_JOB_NODELIST", out->nodes, sizeof out->nodes);
    out->start = read_number("SLURM_RESTART_COUNT", starts_max) + 1;
    out->node_count = read_number("SLURM_JOB_NUM_NODES", starts_max);
    const char *cpus = getenv("SLURM_JOB_CPUS_PER_NODE");
    out->cpus = cpus != NULL ? dh_job_sum(cpus) : 0;
    out->cpus_here = read_number("SLURM_CPUS_ON_NODE", cpus_max);
    out->memory_per_node = read_number("SLURM_MEM_PER_NODE", mebis_max) << MEBI_BITS;
    out->memory_per_cpu = read_number("SLURM_MEM_PER_CPU", mebis_max) << MEBI_BITS;
    out->memory_per_gpu = getenv("SLURM_MEM_PER_GPU") != NULL;
    const uint64_t components = read_number("SLURM_HET_SIZE", components_max);
    if (components > 1) {
        out->components = (uint32_t)components;
        read_groups(out);
    }
}

uint64_t dh_job_memory_here(const dh_job_facts *facts)
{
    if (facts->memory_per_node > 0) {
        return facts->memory_per_node;
    }
    const bool fits = facts->cpus_here > 0 && facts->memory_per_cpu <= UINT64_MAX / facts->cpus_here;
    return fits ? facts->memory_per_cpu * facts->cpus_here : 0;
}

/* ---- control groups ---------------------------------------------------------------------------------- */

static uint64_t number_in_file(const char *path)
{
    char text[DH_JOB_TEXT] = "";
    uint64_t number = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    const bool is_read = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    const char *at = text;
    return is_read && parse_number(&at, UINT64_MAX / (DECIMAL + 1), &number) ? number : 0;
}

/* line: NUMBER:CONTROLLERS:/PATH, of version 2 without controllers. */
static uint64_t peak_of_line(char *line, const char *mounted, const char *group)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) {
        return 0;
    }
    *path++ = '\0';
    controllers++;
    const bool is_memory = strcmp(controllers, "memory") == 0;
    char *found = strstr(path, group);
    const char behind = found != NULL ? found[strlen(group)] : '?';
    if ((!is_memory && controllers[0] != '\0') || found == NULL || (behind != '/' && behind != '\0')) {
        return 0;
    }
    found[strlen(group)] = '\0'; /* of the whole job, not of a step of it */
    char name[LINE_MAX_BYTES + PATH_MAX];
    (void)snprintf(name, sizeof name, "%s%s%s/%s", mounted, is_memory ? "/memory" : "", path,
                   is_memory ? "memory.max_usage_in_bytes" : "memory.peak");
    return number_in_file(name);
}

uint64_t dh_job_memory_peak(const char *groups, const char *mounted, const char *job)
{
    char group[DH_JOB_TEXT + sizeof "/job_"];
    char line[LINE_MAX_BYTES];
    uint64_t peak = 0;
    FILE *file = job[0] != '\0' ? fopen(groups, "re") : NULL;
    if (file == NULL) {
        return 0;
    }
    (void)snprintf(group, sizeof group, "/job_%s", job);
    while (peak == 0 && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        peak = peak_of_line(line, mounted, group);
    }
    (void)fclose(file);
    return peak;
}
