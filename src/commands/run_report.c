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
        system_seconds;
    double job_seconds[DH_JOBS_MAX];
} rank_figures;

typedef struct figure_collector {
    const dh_run_report *report;
    dh_buffer *out;
    uint64_t memory_max;
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
    collector->memory_max = figures.memory > collector->memory_max ? figures.memory : collector->memory_max;
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
                            ",\"text_bytes\":%" PRIu64 ",\"damaged\":%" PRIu64 "},\n",
                            report->recovery->segments, report->recovery->documents,
                            report->recovery->text_bytes, report->recovery->damaged));
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

dh_status dh_run_report_write(const dh_run_report *report, uint64_t *memory_max)
{
    dh_buffer out = {0};
    dh_buffer path = {0};
    figure_collector collector = {.report = report, .out = &out};
    const rank_figures figures = own_figures(report);
    const bool root = dh_comm_rank(report->comm) == 0;
    dh_status status = root ? append_head(report, &out) : DH_OK;
    status = dh_comm_agree(report->comm, status);
    if (status == DH_OK) {
        status = dh_comm_agree(
            report->comm, dh_comm_collect(report->comm, &figures, sizeof figures, take_figures, &collector));
    }
    if (status == DH_OK && root) {
        status = dh_buffer_printf(&out, "\n  ]\n}\n");
        if (status == DH_OK) {
            status = dh_buffer_printf(&path, "%s.run.json", report->path);
        }
        if (status == DH_OK) {
            status = dh_buffer_append(&path, "", 1);
        }
        if (status == DH_OK) {
            status = dh_file_replace((const char *)path.data, out.data, out.size);
        }
    }
    dh_buffer_free(&out);
    dh_buffer_free(&path);
    *memory_max = collector.memory_max;
    return dh_comm_agree(report->comm, status);
}
