#include "commands/run_report.h"

#include "base/file.h"
#include "base/log.h"
#include "dhatu_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What a rank tells rank 0. */
typedef struct rank_figures {
    char host[64], processor[64];
    char device[DH_BACKEND_TEXT]; /* "" where the rank has none */
    dh_route_figures route;
    uint64_t documents, text_bytes, file_bytes, bad, segments, spill_bytes, memory;
    uint64_t batches_here, batches_away, batches_redone;
    double map_seconds, commit_seconds, read_seconds, text_seconds, term_seconds, wait_seconds, user_seconds,
        system_seconds, waited_seconds;
    double job_seconds[DH_JOBS_MAX];
    /* Of the node, from its first rank; 0 from the others. */
    uint64_t node_memory, node_asked, node_peak, node_cpus, node_ranks, node_rank_memory;
} rank_figures;

enum { MEBI_BITS = 20, MEMORY_UNIT = 16 /* MiB */, OTHER_BYTES = 64 << MEBI_BITS, MINUTE = 60 };

/* What a job's time is besides that of dhatu: the job scripts have dhatu leave five minutes before its end
 * (--signal=B:USR1@300), Slurm may be a minute early, and modules, the estimate and the launcher begin. */
enum { LEAD = 6 * MINUTE, START_UP = 30, TIME_UNIT = 5 * MINUTE, TIME_LEAST = 10 * MINUTE };

static const double margin = 1.25;     /* of what a run took, for the next one */
static const double seconds_max = 1e9; /* that anybody asks for */

typedef struct figure_collector {
    const dh_run_report *report;
    dh_buffer *out;
    dh_run_totals *totals;
    int ranks;
} figure_collector;

/* The most memory of this program. getrusage would also count the program that started it. */
static uint64_t memory_high_water(void)
{
    static const char key[] = "VmHWM:";
    uint64_t kib = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && kib == 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kib = strtoull(line + strlen(key), NULL, 10);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return kib * 1024;
}

static rank_figures own_figures(const dh_run_report *report)
{
    rank_figures figures = {0};
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)gethostname(figures.host, sizeof figures.host - 1);
    (void)snprintf(figures.processor, sizeof figures.processor, "%s",
                   report->settings->backend->kind->describe(report->settings->backend));
    (void)snprintf(figures.device, sizeof figures.device, "%s", report->device);
    figures.route = *report->route;
    figures.batches_here = report->map->stats.batches_here;
    figures.batches_away = report->map->stats.batches_away;
    figures.batches_redone = report->map->stats.batches_redone;
    figures.wait_seconds = report->map->stats.wait_seconds;
    figures.documents = report->map->stats.documents;
    figures.text_bytes = report->map->stats.text_bytes;
    figures.file_bytes = report->map->stats.file_bytes;
    figures.bad = report->map->stats.bad;
    figures.segments = report->map->segments;
    figures.spill_bytes = report->map->spill_bytes;
    figures.memory = memory_high_water();
    figures.waited_seconds = dh_comm_waited(report->comm);
    figures.map_seconds = report->map->seconds;
    figures.commit_seconds = report->map->commit_seconds;
    figures.read_seconds = report->map->stats.read_seconds;
    figures.text_seconds = report->map->stats.text_seconds;
    figures.term_seconds = report->map->stats.term_seconds;
    figures.user_seconds = (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec;
    figures.system_seconds = (double)usage.ru_stime.tv_sec + 1e-6 * (double)usage.ru_stime.tv_usec;
    memcpy(figures.job_seconds, report->map->stats.job_seconds, sizeof figures.job_seconds);
    return figures;
}

/* The memory of the node's ranks together, and what is known of their job there. COLLECTIVE. */
static dh_status add_node(const dh_run_report *report, rank_figures *figures)
{
    void *memory = NULL;
    const dh_status status = dh_allocate((size_t)dh_comm_node_size(report->comm), sizeof(uint64_t),
                                         "the memory of ranks", &memory);
    DH_TRY(dh_comm_agree(report->comm, status));
    uint64_t *of_rank = memory;
    DH_TRY(dh_comm_node_gather(report->comm, &figures->memory, sizeof figures->memory, of_rank));
    if (dh_comm_node_rank(report->comm) == 0) {
        for (int r = 0; r < dh_comm_node_size(report->comm); r++) {
            figures->node_memory += of_rank[r];
            figures->node_rank_memory =
                of_rank[r] > figures->node_rank_memory ? of_rank[r] : figures->node_rank_memory;
        }
        figures->node_ranks = (uint64_t)dh_comm_node_size(report->comm);
        figures->node_asked = dh_job_memory_here(report->job);
        figures->node_cpus = report->job->cpus_here;
        figures->node_peak = dh_job_memory_peak("/proc/self/cgroup", "/sys/fs/cgroup", report->job->job);
    }
    free(memory);
    return DH_OK;
}

/* For a node whose ranks took so much: the next corpus may have a larger document, and launchers and shells
 * count, too. */
static uint64_t enough(uint64_t bytes)
{
    return (uint64_t)(margin * (double)bytes) + OTHER_BYTES;
}

/* For each CPU of a node. A rank's share is to be enough for the largest rank, which rank 0 mostly is: the
 * ranks of the next job may be spread otherwise. */
static uint64_t enough_a_cpu(const rank_figures *figures)
{
    if (figures->node_cpus == 0) {
        return 0;
    }
    const uint64_t cpus_a_rank =
        figures->node_cpus > figures->node_ranks ? figures->node_cpus / figures->node_ranks : 1;
    const uint64_t average = enough(figures->node_memory) / figures->node_cpus;
    const uint64_t largest = (uint64_t)(margin * (double)figures->node_rank_memory) / cpus_a_rank;
    return average > largest ? average : largest;
}

static void add_to_totals(const rank_figures *figures, dh_run_totals *totals)
{
    totals->documents += figures->documents;
    totals->text_bytes += figures->text_bytes;
    totals->user_seconds += figures->user_seconds;
    totals->system_seconds += figures->system_seconds;
    totals->waited_seconds += figures->waited_seconds;
    totals->memory_rank = figures->memory > totals->memory_rank ? figures->memory : totals->memory_rank;
    totals->memory_peak = figures->node_peak > totals->memory_peak ? figures->node_peak : totals->memory_peak;
    totals->nodes += figures->node_memory > 0 ? 1 : 0;
    if (figures->node_memory > totals->memory_node) {
        totals->memory_node = figures->node_memory;
        totals->memory_asked = figures->node_asked;
    }
    const uint64_t a_cpu = enough_a_cpu(figures);
    totals->enough_a_cpu = a_cpu > totals->enough_a_cpu ? a_cpu : totals->enough_a_cpu;
}

static uint64_t round_up(double value, uint64_t unit)
{
    return ((uint64_t)value + unit) / unit * unit;
}

/* sbatch refuses two ways of asking for memory together, so only the one that this job used may be named. Of
 * a heterogeneous job each component has its own. Where earlier attempts did most of the work nobody knows
 * what that took. */
static bool knows_memory(const dh_run_report *report, const dh_run_totals *totals)
{
    const dh_job_facts *job = report->job;
    const bool has_figure = job->memory_per_node > 0 || totals->enough_a_cpu > 0;
    return has_figure && !job->memory_per_gpu && job->components == 1 &&
           report->recovery->text_bytes <= totals->text_bytes;
}

/* What this run took, with a margin. */
static dh_run_advice advise(const dh_run_report *report, const dh_run_totals *totals)
{
    const dh_job_facts *job = report->job;
    dh_run_advice advice = {.is_there = job->is_slurm};
    if (!job->is_slurm) {
        return advice;
    }
    advice.a_cpu = job->memory_per_node == 0 && totals->enough_a_cpu > 0;
    if (knows_memory(report, totals)) {
        const uint64_t bytes = advice.a_cpu ? totals->enough_a_cpu : enough(totals->memory_node);
        advice.memory_mebis = round_up((double)(bytes >> MEBI_BITS), MEMORY_UNIT);
    }
    const double seconds = margin * (report->seconds + report->earlier_seconds);
    const uint64_t time =
        round_up((seconds < seconds_max ? seconds : seconds_max) + LEAD + START_UP, TIME_UNIT);
    advice.time_seconds = time > TIME_LEAST ? time : TIME_LEAST;
    return advice;
}

static void conclude(const dh_run_report *report, dh_run_totals *totals)
{
    const double allocated = (double)report->job->cpus * report->seconds;
    totals->efficiency = allocated > 0 ? (totals->user_seconds + totals->system_seconds) / allocated : 0;
    totals->advice = advise(report, totals);
}

/* null, or what the rank's device did. */
static dh_status append_device(const rank_figures *figures, dh_buffer *out)
{
    static const char *const state[] = {"open", "lost", "hung"};
    const dh_worker_figures *device = &figures->route.device;
    DH_TRY(dh_buffer_printf(out, ",\"device\":"));
    if (figures->device[0] == '\0') {
        return dh_buffer_printf(out, "null");
    }
    DH_TRY(dh_buffer_printf(out, "{\"name\":"));
    DH_TRY(dh_json_append_string(out, figures->device, strlen(figures->device)));
    DH_TRY(dh_buffer_printf(out, ",\"state\":\"%s\",\"reason\":", state[device->state]));
    DH_TRY(dh_json_append_string(out, device->reason, strlen(device->reason)));
    return dh_buffer_printf(out,
                            ",\"batches\":%" PRIu64 ",\"text_bytes\":%" PRIu64 ",\"no_memory\":%" PRIu64
                            ",\"busy_seconds\":%.3f}",
                            device->batches, device->bytes, device->shrinks, device->busy_seconds);
}

/* Where the batches of this rank were computed, and what it computed for others. */
static dh_status append_batches(const rank_figures *figures, dh_buffer *out)
{
    const dh_route_figures *route = &figures->route;
    return dh_buffer_printf(out,
                            ",\"batches\":{\"here\":%" PRIu64 ",\"away\":%" PRIu64
                            ",\"sent_to_devices\":%" PRIu64 ",\"sent_to_ranks\":%" PRIu64
                            ",\"redone\":%" PRIu64 ",\"late\":%" PRIu64 ",\"for_ranks\":%" PRIu64
                            ",\"for_ranks_bytes\":%" PRIu64 "}",
                            figures->batches_here, figures->batches_away, route->to_devices, route->to_ranks,
                            figures->batches_redone, route->late, route->for_ranks, route->for_ranks_bytes);
}

/* What failed is worth a line at the end, too: the run took longer than it had to. */
static void say_device(int rank, const rank_figures *figures)
{
    const dh_worker_figures *device = &figures->route.device;
    if (figures->device[0] != '\0' && device->state != DH_WORKER_OPEN) {
        dh_say("  the device of rank %d on %s (%s) was closed behind %" PRIu64
               " batches, and its work was done elsewhere: %s",
               rank, figures->host, figures->device, device->batches, device->reason);
    }
    if (figures->route.late > 0) {
        dh_say("  %" PRIu64
               " batches of rank %d were computed by itself, because who had them did not answer",
               figures->route.late, rank);
    }
}

static dh_status take_figures(void *context, int rank, const void *bytes, size_t size)
{
    figure_collector *collector = context;
    rank_figures figures;
    if (size != sizeof figures) {
        return dh_error(DH_INTERNAL, "rank %d sent %zu bytes of figures", rank, size);
    }
    memcpy(&figures, bytes, size);
    say_device(rank, &figures);
    add_to_totals(&figures, collector->totals);
    dh_buffer *out = collector->out;
    DH_TRY(dh_buffer_printf(out, "%s\n    {\"rank\":%d,\"host\":", collector->ranks++ > 0 ? "," : "", rank));
    DH_TRY(dh_json_append_string(out, figures.host, strlen(figures.host)));
    DH_TRY(dh_buffer_printf(out, ",\"processor\":"));
    DH_TRY(dh_json_append_string(out, figures.processor, strlen(figures.processor)));
    DH_TRY(append_device(&figures, out));
    DH_TRY(append_batches(&figures, out));
    DH_TRY(dh_buffer_printf(
        out,
        ",\"documents\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"text_bytes\":%" PRIu64 ",\"file_bytes\":%" PRIu64
        ",\"segments\":%" PRIu64 ",\"spill_bytes\":%" PRIu64 ",\"memory_bytes\":%" PRIu64
        ",\"seconds\":{\"map\":%.3f,\"commit\":%.3f,\"read\":%.3f,\"text\":%.3f,\"terms\":%.3f,\"wait\":%.3f",
        figures.documents, figures.bad, figures.text_bytes, figures.file_bytes, figures.segments,
        figures.spill_bytes, figures.memory, figures.map_seconds, figures.commit_seconds,
        figures.read_seconds, figures.text_seconds, figures.term_seconds, figures.wait_seconds));
    const dh_settings *settings = collector->report->settings;
    for (uint32_t j = 0; j < settings->job_count; j++) {
        DH_TRY(dh_buffer_printf(out, ",\"job %s\":%.3f", settings->job[j].job->name, figures.job_seconds[j]));
    }
    return dh_buffer_printf(out, ",\"user\":%.3f,\"system\":%.3f}}", figures.user_seconds,
                            figures.system_seconds);
}

static dh_status append_command(const dh_run_report *report, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "  \"command\": ["));
    for (int i = 0; i < report->argc; i++) {
        DH_TRY(dh_buffer_printf(out, "%s", i > 0 ? "," : ""));
        DH_TRY(dh_json_append_string(out, report->argv[i], strlen(report->argv[i])));
    }
    return dh_buffer_printf(out, "],\n");
}

static dh_status append_head(const dh_run_report *report, dh_buffer *out)
{
    const time_t start = (time_t)report->start_time;
    struct tm parts;
    char text[40] = "";
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&start, &parts));
    const dh_result_facts *result = report->result;
    DH_TRY(dh_buffer_printf(out, "{\n  \"format\": \"dhatu-run 1\",\n  \"dhatu\": \"%s\",\n", DHATU_VERSION));
    DH_TRY(append_command(report, out));
    DH_TRY(dh_buffer_printf(out, "  \"start\": \"%s\",\n  \"seconds\": %.3f,\n  \"mpi\": ", text,
                            report->seconds));
    DH_TRY(dh_json_append_string(out, dh_comm_library(report->comm), strlen(dh_comm_library(report->comm))));
    DH_TRY(dh_buffer_printf(out, ",\n  \"ranks\": %d,\n  \"devices\": %u,\n  \"restarts\": %u,\n",
                            dh_comm_size(report->comm), report->devices, report->restarts));
    DH_TRY(dh_buffer_printf(out,
                            "  \"recovered\": {\"segments\":%" PRIu64 ",\"documents\":%" PRIu64
                            ",\"text_bytes\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"seconds\":%.3f},\n",
                            report->recovery->segments, report->recovery->documents,
                            report->recovery->text_bytes, report->recovery->damaged,
                            report->earlier_seconds));
    DH_TRY(dh_buffer_printf(out,
                            "  \"documents\": %" PRIu64 ",\n  \"sources\": %" PRIu64
                            ",\n  \"source_bytes\": %" PRIu64 ",\n  \"result_bytes\": %" PRIu64
                            ",\n  \"ids_made_unique\": %" PRIu64 ",\n  \"content_sha256\": \"%s\",\n",
                            result->rows, result->sources, result->quality.source_bytes, result->file_size,
                            result->ids_changed, result->content));
    return dh_buffer_printf(
        out,
        "  \"phase_seconds\": "
        "{\"plan\":%.3f,\"recover\":%.3f,\"map\":%.3f,\"reduce\":%.3f,\"ids\":%.3f,\"rows\":%.3f,"
        "\"matrix\":%.3f,\"sources\":%.3f,"
        "\"finish\":%.3f},\n  \"rank_figures\": [",
        report->plan_seconds, report->recover_seconds, report->map->seconds, report->reduce_seconds,
        result->seconds_ids, result->seconds_rows, result->seconds_matrix, result->seconds_sources,
        result->seconds_finish);
}

/* null where nothing is known. */
static dh_status append_known(dh_buffer *out, const char *name, uint64_t value)
{
    return value > 0 ? dh_buffer_printf(out, "\"%s\":%" PRIu64, name, value)
                     : dh_buffer_printf(out, "\"%s\":null", name);
}

static dh_status append_text(dh_buffer *out, const char *name, const char *text)
{
    DH_TRY(dh_buffer_printf(out, ",\"%s\":", name));
    return text[0] != '\0' ? dh_json_append_string(out, text, strlen(text)) : dh_buffer_printf(out, "null");
}

static dh_status append_job(const dh_job_facts *job, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, ",\n  \"job\": "));
    if (!job->is_slurm) {
        return dh_buffer_printf(out, "null");
    }
    DH_TRY(dh_buffer_printf(out, "{\"start\":%" PRIu64, job->start));
    DH_TRY(append_text(out, "id", job->job));
    DH_TRY(append_text(out, "array", job->array));
    DH_TRY(append_text(out, "cluster", job->cluster));
    DH_TRY(append_text(out, "partition", job->partition));
    DH_TRY(append_text(out, "nodes", job->nodes));
    DH_TRY(append_text(out, "modules", job->modules));
    DH_TRY(dh_buffer_printf(out, ","));
    DH_TRY(append_known(out, "cpus", job->cpus));
    DH_TRY(dh_buffer_printf(out, ","));
    DH_TRY(append_known(out, "memory_per_node", job->memory_per_node));
    DH_TRY(dh_buffer_printf(out, ","));
    DH_TRY(append_known(out, "memory_per_cpu", job->memory_per_cpu));
    return dh_buffer_printf(out, "}");
}

static dh_status append_memory(const dh_run_totals *totals, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(
        out, ",\n  \"nodes\": %u,\n  \"memory\": {\"rank_bytes\":%" PRIu64 ",\"node_bytes\":%" PRIu64 ",",
        totals->nodes, totals->memory_rank, totals->memory_node));
    DH_TRY(append_known(out, "asked_node_bytes", totals->memory_asked));
    DH_TRY(dh_buffer_printf(out, ","));
    DH_TRY(append_known(out, "group_peak_bytes", totals->memory_peak));
    return dh_buffer_printf(out, "}");
}

static dh_status append_processors(const dh_run_report *report, const dh_run_totals *totals, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(
        out, ",\n  \"cpu\": {\"user_seconds\":%.3f,\"system_seconds\":%.3f,\"waited_seconds\":%.3f,",
        totals->user_seconds, totals->system_seconds, totals->waited_seconds));
    DH_TRY(append_known(out, "allocated", report->job->cpus));
    return totals->efficiency > 0 ? dh_buffer_printf(out, ",\"efficiency\":%.4f}", totals->efficiency)
                                  : dh_buffer_printf(out, ",\"efficiency\":null}");
}

static dh_status append_rates(const dh_run_report *report, const dh_run_totals *totals, dh_buffer *out)
{
    const double bytes = (double)totals->text_bytes / report->seconds;
    return dh_buffer_printf(out,
                            ",\n  \"rates\": {\"documents_per_second\":%.3f,\"text_bytes_per_second\":%.1f,"
                            "\"rank_text_bytes_per_second\":%.1f}",
                            (double)totals->documents / report->seconds, bytes,
                            bytes / dh_comm_size(report->comm));
}

static dh_status append_bad(const dh_quality *quality, dh_buffer *out)
{
    const char *between = "";
    DH_TRY(dh_buffer_printf(out, ",\n  \"bad\": {"));
    for (int reason = 1; reason < DH_REASON_COUNT; reason++) {
        if (quality->reason[reason] > 0) {
            DH_TRY(dh_buffer_printf(out, "%s\"%s\":%" PRIu64, between, dh_reason_name((dh_reason)reason),
                                    quality->reason[reason]));
            between = ",";
        }
    }
    return dh_buffer_printf(out, "}");
}

static dh_status append_advice(const dh_run_advice *advice, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, ",\n  \"advice\": "));
    if (!advice->is_there) {
        return dh_buffer_printf(out, "null");
    }
    DH_TRY(dh_buffer_printf(out, "{"));
    DH_TRY(
        append_known(out, advice->a_cpu ? "mem_per_cpu_mebibytes" : "mem_mebibytes", advice->memory_mebis));
    return dh_buffer_printf(out, ",\"time_seconds\":%" PRIu64 "}", advice->time_seconds);
}

static dh_status append_totals(const dh_run_report *report, const dh_run_totals *totals, dh_buffer *out)
{
    DH_TRY(append_job(report->job, out));
    DH_TRY(append_memory(totals, out));
    DH_TRY(append_processors(report, totals, out));
    DH_TRY(append_rates(report, totals, out));
    DH_TRY(append_bad(&report->result->quality, out));
    DH_TRY(append_advice(&totals->advice, out));
    return dh_buffer_printf(out, "\n}\n");
}

/* On rank 0. */
static dh_status write_report(const dh_run_report *report, const dh_run_totals *totals, dh_buffer *out)
{
    dh_buffer path = {0};
    DH_TRY(dh_buffer_printf(out, "\n  ]"));
    DH_TRY(append_totals(report, totals, out));
    dh_status status = dh_buffer_printf(&path, "%s.run.json", report->path);
    if (status == DH_OK) {
        status = dh_buffer_append(&path, "", 1);
    }
    if (status == DH_OK) {
        status = dh_file_replace((const char *)path.data, out->data, out->size);
    }
    dh_buffer_free(&path);
    return status;
}

dh_status dh_run_report_write(const dh_run_report *report, dh_run_totals *totals)
{
    dh_buffer out = {0};
    *totals = (dh_run_totals){0};
    figure_collector collector = {.report = report, .out = &out, .totals = totals};
    rank_figures figures = own_figures(report);
    const bool root = dh_comm_rank(report->comm) == 0;
    dh_status status = root ? append_head(report, &out) : DH_OK;
    status = dh_comm_agree(report->comm, status);
    if (status == DH_OK) {
        status = add_node(report, &figures);
    }
    if (status == DH_OK) {
        status = dh_comm_agree(
            report->comm, dh_comm_collect(report->comm, &figures, sizeof figures, take_figures, &collector));
    }
    conclude(report, totals);
    if (status == DH_OK && root) {
        status = write_report(report, totals, &out);
    }
    dh_buffer_free(&out);
    return dh_comm_agree(report->comm, status);
}
