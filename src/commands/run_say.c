#include "commands/run_say.h"

#include "base/clock.h"
#include "base/log.h"
#include "checkpoint/folder.h"
#include "dhatu_config.h"
#include "reduce/neardup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TIME_TEXT = 64 };

static const double mebi = 1048576.0;
static const double mega = 1e6;
static const double percent = 100.0;
static const double nano = 1e-9;

static bool is_root(const dh_run_scene *scene)
{
    return dh_comm_rank(scene->comm) == 0;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- what is known ----------------------------------------------------------------------------------- */

/* Signs of life of a killed attempt. */
typedef struct life {
    const char *folder;
    uint32_t epoch;
    uint64_t begin, end; /* the next attempt's start; ns since 1970 */
    uint64_t last;       /* sign that was found */
    dh_buffer path;
} life;

/* Its ranks' journals, spills and parts, and stages, which bear no epoch, by their time. */
static dh_status look_at_file(void *context, const char *name)
{
    life *seen = context;
    uint32_t epoch = 0;
    uint32_t rank = 0;
    struct stat facts;
    const dh_checkpoint_file kind = dh_checkpoint_classify(name, &epoch, &rank);
    const bool is_its_own = (kind == DH_CHECKPOINT_JOURNAL || kind == DH_CHECKPOINT_SPILL ||
                             kind == DH_CHECKPOINT_SHUFFLE || kind == DH_CHECKPOINT_PART) &&
                            epoch == seen->epoch;
    if (!is_its_own && kind != DH_CHECKPOINT_STAGE) {
        return DH_OK;
    }
    seen->path.size = 0;
    DH_TRY(dh_buffer_printf(&seen->path, "%s/%s", seen->folder, name));
    DH_TRY(dh_buffer_append(&seen->path, "", 1));
    if (stat((const char *)seen->path.data, &facts) == 0) { /* else somebody removed it: it tells nothing */
        const uint64_t time = dh_file_time(&facts);
        const bool is_within = time > seen->begin && time <= seen->end;
        seen->last = is_within && time > seen->last ? time : seen->last;
    }
    return DH_OK;
}

/* When a killed attempt was last heard of, ns since 1970; 0: never. */
static uint64_t last_sign(const char *folder, const dh_attempt *attempt, uint64_t next_start)
{
    life seen = {.folder = folder, .epoch = attempt->epoch, .begin = attempt->start, .end = next_start};
    if (dh_folder_list(folder, look_at_file, &seen) != DH_OK) {
        dh_warning("%s: how long attempt %u worked is not known", folder, attempt->epoch);
    }
    dh_buffer_free(&seen.path);
    return seen.last;
}

/* When the first attempt behind one that can be read began. */
static uint64_t next_start_of(const dh_run_checkpoint *checkpoint, uint32_t epoch)
{
    dh_attempt next = {0};
    for (uint32_t later = epoch + 1; later < checkpoint->attempt.epoch; later++) {
        if (dh_attempt_read(checkpoint->folder, later, &next)) {
            return next.start;
        }
    }
    return checkpoint->attempt.start;
}

static void look_at_attempts(dh_run_scene *scene)
{
    const dh_run_checkpoint *checkpoint = scene->checkpoint;
    for (uint32_t epoch = checkpoint->first_epoch; epoch < checkpoint->attempt.epoch; epoch++) {
        dh_attempt attempt = {0};
        if (!dh_attempt_read(checkpoint->folder, epoch, &attempt)) {
            continue;
        }
        const uint64_t end = attempt.end > 0
                                 ? attempt.end
                                 : last_sign(checkpoint->folder, &attempt, next_start_of(checkpoint, epoch));
        if (end > attempt.start && attempt.ranks > 0) {
            const double seconds = nano * (double)(end - attempt.start);
            scene->earlier_seconds += seconds;
            scene->earlier_rank_seconds += seconds * attempt.ranks;
        }
    }
}

dh_status dh_run_scene_look(dh_run_scene *scene)
{
    const uint64_t here = (uint64_t)dh_comm_node_size(scene->comm);
    uint64_t nodes = dh_comm_node_rank(scene->comm) == 0 ? 1 : 0;
    dh_job_facts_read(&scene->job);
    /* The greatest complement is that of the least. One rank may know of the job, and another not. */
    uint64_t most[] = {here, ~here, scene->job.is_slurm ? 1 : 0};
    DH_TRY(dh_comm_sum(scene->comm, &nodes, 1));
    DH_TRY(dh_comm_max(scene->comm, most, sizeof most / sizeof *most));
    scene->nodes = nodes;
    scene->ranks_max = most[0];
    scene->ranks_min = ~most[1];
    scene->is_long = most[2] > 0 || nodes > 1;
    if (is_root(scene) && scene->checkpoint->going_on) {
        look_at_attempts(scene);
    }
    return DH_OK;
}

/* ---- the header -------------------------------------------------------------------------------------- */

static void say_sources(const dh_run_scene *scene)
{
    const int ranks = dh_comm_size(scene->comm);
    dh_say("dhatu %s: %" PRIu64 " sources, %.1f MB, %d rank%s, %s", DHATU_VERSION, scene->plan->source_count,
           (double)scene->plan->file_bytes / mega, ranks, plural((uint64_t)ranks),
           scene->settings->backend->kind->describe(scene->settings->backend));
    const uint32_t devices = dh_route_device_count(scene->route);
    const char *device = dh_route_device(scene->route);
    if (devices > 0) {
        dh_say("%u device%s, used where that is faster%s%s", devices, plural(devices),
               device != NULL ? "; this rank's: " : "", device != NULL ? device : "");
    }
}

static dh_status say_jobs(const dh_run_scene *scene)
{
    dh_buffer jobs = {0};
    dh_status status = DH_OK;
    for (uint32_t j = 0; j < scene->settings->job_count && status == DH_OK; j++) {
        const dh_job *job = scene->settings->job[j].job;
        if (job != &dh_job_documents) { /* it is always there */
            status = dh_buffer_printf(&jobs, "%s%s", jobs.size > 0 ? "," : "", job->name);
        }
    }
    if (status == DH_OK) {
        dh_say("dhatu %s: jobs %.*s", DHATU_VERSION, (int)jobs.size,
               jobs.size > 0 ? (const char *)jobs.data : "documents");
    }
    dh_buffer_free(&jobs);
    return status;
}

/* "Slurm job 4242 on lynx, start 2 of it, partition cpubase, 2 nodes: nc[10-11]" */
static dh_status append_place(const dh_job_facts *job, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "Slurm job %s", job->job));
    if (job->array[0] != '\0') {
        DH_TRY(dh_buffer_printf(out, " (%s of an array)", job->array));
    }
    if (job->cluster[0] != '\0') {
        DH_TRY(dh_buffer_printf(out, " on %s", job->cluster));
    }
    DH_TRY(dh_buffer_printf(out, ", start %" PRIu64 " of it", job->start));
    if (job->partition[0] != '\0') {
        DH_TRY(dh_buffer_printf(out, ", partition %s", job->partition));
    }
    if (job->node_count > 0) {
        DH_TRY(dh_buffer_printf(out, ", %" PRIu64 " node%s", job->node_count, plural(job->node_count)));
    }
    if (job->nodes[0] != '\0') {
        DH_TRY(dh_buffer_printf(out, "%s%s", job->node_count > 0 ? ": " : ", nodes ", job->nodes));
    }
    return dh_buffer_append(out, "", 1);
}

static dh_status say_place(const dh_run_scene *scene)
{
    const dh_job_facts *job = &scene->job;
    dh_buffer place = {0};
    dh_status status = job->is_slurm ? append_place(job, &place) : DH_OK;
    if (status == DH_OK && job->is_slurm) {
        dh_say("%s", (const char *)place.data);
    }
    dh_buffer_free(&place);
    if (job->modules[0] != '\0') {
        char modules[DH_JOB_LONG_TEXT];
        (void)snprintf(modules, sizeof modules, "%s", job->modules);
        for (char *at = strchr(modules, ':'); at != NULL; at = strchr(at, ':')) {
            *at = ' ';
        }
        dh_say("modules %s", modules);
    }
    return status;
}

/* Devices by name, with their numbers. */
typedef struct device_list {
    struct {
        char name[DH_BACKEND_TEXT];
        unsigned count;
    } kind[8];
    size_t kinds;
    unsigned others; /* of still more names */
} device_list;

static dh_status take_device(void *context, int rank, const void *bytes, size_t size)
{
    device_list *list = context;
    if (size != DH_BACKEND_TEXT) {
        return dh_error(DH_INTERNAL, "rank %d sent %zu bytes for its device's name", rank, size);
    }
    const char *name = bytes;
    if (name[0] == '\0') {
        return DH_OK;
    }
    size_t k = 0;
    while (k < list->kinds && memcmp(list->kind[k].name, name, size) != 0) {
        k++;
    }
    if (k == sizeof list->kind / sizeof *list->kind) {
        list->others++;
        return DH_OK;
    }
    memcpy(list->kind[k].name, name, size);
    list->kind[k].count++;
    list->kinds += k == list->kinds ? 1 : 0;
    return DH_OK;
}

static dh_status append_devices(const device_list *list, uint32_t devices, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "; %u of them also drive%s a device, used where that is faster:", devices,
                            devices == 1 ? "s" : ""));
    for (size_t k = 0; k < list->kinds; k++) {
        DH_TRY(
            dh_buffer_printf(out, "%s %u x %s", k > 0 ? "," : "", list->kind[k].count, list->kind[k].name));
    }
    return list->others > 0 ? dh_buffer_printf(out, ", %u others", list->others) : DH_OK;
}

static dh_status append_ranks(const dh_run_scene *scene, const device_list *list, dh_buffer *out)
{
    const int ranks = dh_comm_size(scene->comm);
    const uint32_t devices = dh_route_device_count(scene->route);
    DH_TRY(dh_buffer_printf(out, "%d rank%s on %" PRIu64 " node%s, ", ranks, plural((uint64_t)ranks),
                            scene->nodes, plural(scene->nodes)));
    if (scene->ranks_min < scene->ranks_max) {
        DH_TRY(dh_buffer_printf(out, "%" PRIu64 " to ", scene->ranks_min));
    }
    DH_TRY(dh_buffer_printf(out, "%" PRIu64 " a node, %s", scene->ranks_max,
                            scene->settings->backend->kind->describe(scene->settings->backend)));
    DH_TRY(devices > 0 ? append_devices(list, devices, out) : DH_OK);
    return dh_buffer_append(out, "", 1);
}

/* COLLECTIVE. */
static dh_status say_ranks(const dh_run_scene *scene)
{
    char name[DH_BACKEND_TEXT] = "";
    device_list list = {.kinds = 0};
    dh_buffer text = {0};
    const char *device = dh_route_device(scene->route);
    if (device != NULL) {
        (void)snprintf(name, sizeof name, "%s", device);
    }
    DH_TRY(dh_comm_agree(scene->comm, dh_comm_collect(scene->comm, name, sizeof name, take_device, &list)));
    const dh_status status = is_root(scene) ? append_ranks(scene, &list, &text) : DH_OK;
    if (status == DH_OK && is_root(scene)) {
        dh_say("%s", (const char *)text.data);
    }
    dh_buffer_free(&text);
    return dh_comm_agree(scene->comm, status);
}

static bool is_bounded(const dh_settings *settings)
{
    return settings->uses_terms || dh_settings_job(settings, &dh_job_neardup) != NULL;
}

static void say_memory(const dh_run_scene *scene)
{
    const dh_settings *settings = scene->settings;
    const uint64_t asked = dh_job_memory_here(&scene->job);
    const uint64_t bound = settings->memory + DH_OTHER_MEMORY;
    if (is_bounded(settings)) {
        dh_say("memory: at most %.0f MiB a rank, of which %.0f for bringing things together (--memory); a "
               "document of more than 4 MB takes its own besides",
               (double)bound / mebi, (double)settings->memory / mebi);
    }
    if (asked > 0 && is_bounded(settings)) {
        const uint64_t node = bound * scene->ranks_max;
        dh_say("  %.0f MiB a node were asked for, and its %" PRIu64 " rank%s may take %.0f%s",
               (double)asked / mebi, scene->ranks_max, plural(scene->ranks_max), (double)node / mebi,
               node > asked ? ": a smaller --memory or fewer ranks a node are safer" : "");
    } else if (asked > 0) {
        dh_say("memory: %.0f MiB a node were asked for", (double)asked / mebi);
    }
}

/* A time for a line; "?" when it cannot be written. */
static const char *time_text(double seconds, char out[TIME_TEXT])
{
    dh_buffer text = {0};
    (void)snprintf(out, TIME_TEXT, "?");
    if (dh_append_duration(seconds, &text) == DH_OK) {
        (void)snprintf(out, TIME_TEXT, "%.*s", (int)text.size, (const char *)text.data);
    }
    dh_buffer_free(&text);
    return out;
}

/* From the rate of earlier attempts, for as many ranks as there are now. */
static void say_rest(const dh_run_scene *scene)
{
    const double total = (double)scene->plan->file_bytes;
    const double done = (double)scene->recovery->file_bytes;
    if (done <= 0 || done >= total || scene->earlier_rank_seconds <= 0) {
        return;
    }
    char text[TIME_TEXT];
    const double rate = done / scene->earlier_rank_seconds * dh_comm_size(scene->comm);
    dh_say("  they took %s; at their rate the rest of the input takes about %s",
           time_text(scene->earlier_seconds, text), time_text((total - done) / rate, (char[TIME_TEXT]){0}));
}

static double done_share(const dh_run_scene *scene, uint64_t more)
{
    const double total = (double)scene->plan->file_bytes;
    const double share = total > 0 ? (double)(scene->recovery->file_bytes + more) / total : 1.0;
    return percent * (share < 1.0 ? share : 1.0);
}

static void say_checkpoint(const dh_run_scene *scene)
{
    const dh_run_checkpoint *checkpoint = scene->checkpoint;
    const dh_recovery *recovery = scene->recovery;
    dh_say("result %s, checkpoint %s", scene->paths->output, scene->paths->folder);
    if (checkpoint->going_on) {
        dh_say("attempt %u goes on: %" PRIu64 " segments with %" PRIu64
               " documents are done, %.1f %% of the input",
               checkpoint->attempt.epoch - checkpoint->first_epoch + 1, recovery->segments,
               recovery->documents, done_share(scene, 0));
        if (scene->is_long) {
            say_rest(scene);
        }
    }
    if (recovery->damaged > 0) {
        dh_say("  %" PRIu64
               " segments of the checkpoint were damaged or never finished, and are computed again",
               recovery->damaged);
    }
}

static void say_settings(const dh_settings *settings)
{
    if (dh_settings_job(settings, &dh_job_neardup) != NULL) {
        dh_neardup_say_curve(&settings->job_options);
    }
    for (uint32_t l = 0; settings->lexicons != NULL && l < dh_lexicons_count(settings->lexicons); l++) {
        const dh_lexicon_facts facts = dh_lexicons_facts(settings->lexicons, l);
        dh_say_verbose("lexicon %s: %s, %u terms, %u negators, %u function words", facts.language, facts.name,
                       facts.terms, facts.negators, facts.function_words);
    }
}

dh_status dh_run_say_begin(const dh_run_scene *scene)
{
    if (scene->is_long && !scene->checkpoint->complete) {
        DH_TRY(dh_comm_agree(scene->comm, say_jobs(scene)));
        DH_TRY(dh_comm_agree(scene->comm, say_place(scene)));
    }
    return DH_OK;
}

dh_status dh_run_say_start(const dh_run_scene *scene)
{
    if (scene->is_long) {
        dh_say("%" PRIu64 " source%s, %.1f MB", scene->plan->source_count, plural(scene->plan->source_count),
               (double)scene->plan->file_bytes / mega);
        DH_TRY(say_ranks(scene));
    } else {
        say_sources(scene);
    }
    say_checkpoint(scene);
    say_memory(scene);
    say_settings(scene->settings);
    return DH_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static void say_work(const dh_run_scene *scene, const dh_run_report *report, const dh_run_totals *totals)
{
    const uint64_t all_bytes = totals->text_bytes + scene->recovery->text_bytes;
    dh_say("%" PRIu64 " documents, %.1f MB of text in %.2f s (%.1f MB/s), at most %.0f MiB a rank",
           report->result->rows, (double)all_bytes / mega, report->seconds,
           (double)totals->text_bytes / mega / report->seconds, (double)totals->memory_rank / mebi);
    if (scene->recovery->segments > 0) {
        dh_say("  of these, %.1f MB were done by earlier attempts; the time and the rate are of this one",
               (double)scene->recovery->text_bytes / mega);
    }
}

static void say_quality(const dh_run_scene *scene, const dh_result_facts *result)
{
    const dh_quality *quality = &result->quality;
    uint64_t bad = 0;
    for (int reason = 1; reason < DH_REASON_COUNT; reason++) {
        bad += quality->reason[reason];
        if (quality->reason[reason] > 0) {
            dh_say("  %" PRIu64 " %s: %s", quality->reason[reason], dh_reason_name((dh_reason)reason),
                   dh_reason_description((dh_reason)reason));
        }
    }
    if (bad > 0) {
        dh_say("  these %" PRIu64 " are listed in %s", bad, scene->paths->quarantine);
    }
    if (quality->repaired_documents > 0) {
        dh_say("  %" PRIu64 " documents had text that is not UTF-8: U+FFFD was put in %" PRIu64 " times",
               quality->repaired_documents, quality->replaced);
    }
    if (quality->unchecked_sources > 0) {
        dh_say("  %" PRIu64 " zstd sources have no checksum: damage in them may go unseen",
               quality->unchecked_sources);
    }
    if (result->ids_changed > 0) {
        dh_say("  %" PRIu64 " ids occurred before and got #dupROW behind", result->ids_changed);
    }
}

static void say_times(const dh_run_report *report, const dh_run_totals *totals)
{
    const dh_result_facts *result = report->result;
    const int ranks = dh_comm_size(report->comm);
    if (totals->documents > 0) {
        dh_say("  rate: %.0f documents/s, %.2f MB/s a rank; %u restart%s",
               (double)totals->documents / report->seconds,
               (double)totals->text_bytes / mega / report->seconds / ranks, report->restarts,
               plural(report->restarts));
    } else { /* a rate of nothing says nothing */
        dh_say("  this start read no documents; %u restart%s", report->restarts, plural(report->restarts));
    }
    dh_say(
        "  time: plan %.1f s, recover %.1f, map %.1f, reduce %.1f, write %.1f (ids %.1f, rows %.1f, matrix "
        "%.1f, sources %.1f, finish %.1f)",
        report->plan_seconds, report->recover_seconds, report->map->seconds, report->reduce_seconds,
        result->seconds_ids + result->seconds_rows + result->seconds_matrix + result->seconds_sources +
            result->seconds_finish,
        result->seconds_ids, result->seconds_rows, result->seconds_matrix, result->seconds_sources,
        result->seconds_finish);
}

/* Of what was allocated; of a job that was started again, of this start. */
static void say_processors(const dh_run_report *report, const dh_run_totals *totals)
{
    char waited[TIME_TEXT] = "";
    const char *which = report->restarts > 0 ? " in this start" : "";
    const int ranks = dh_comm_size(report->comm);
    if (ranks > 1) {
        (void)snprintf(waited, sizeof waited, "; ranks waited for one another %.0f %% of the time",
                       percent * totals->waited_seconds / (report->seconds * ranks));
    }
    if (totals->efficiency > 0) {
        dh_say("  CPU: %.0f %% of %" PRIu64 " CPU%s were used%s (user %.1f s, system %.1f s)%s",
               percent * totals->efficiency, report->job->cpus, plural(report->job->cpus), which,
               totals->user_seconds, totals->system_seconds, waited);
    } else {
        dh_say("  CPU%s: user %.1f s, system %.1f s%s", which, totals->user_seconds, totals->system_seconds,
               waited);
    }
}

static void say_use(const dh_run_report *report, const dh_run_totals *totals)
{
    char asked[TIME_TEXT] = "";
    char peak[2 * TIME_TEXT] = "";
    if (totals->memory_asked > 0) {
        (void)snprintf(asked, sizeof asked, " of %.0f asked for (%.0f %%)",
                       (double)totals->memory_asked / mebi,
                       percent * (double)totals->memory_node / (double)totals->memory_asked);
    }
    if (totals->memory_peak > 0) {
        (void)snprintf(peak, sizeof peak, "; the job's control group had %.0f MiB with cached files",
                       (double)totals->memory_peak / mebi);
    }
    dh_say("  memory: at most %.0f MiB a rank, %.0f MiB a node%s%s", (double)totals->memory_rank / mebi,
           (double)totals->memory_node / mebi, asked, peak);
    say_processors(report, totals);
}

/* As sbatch reads it: [D-]HH:MM:SS. */
static void say_advice(const dh_run_advice *advice)
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    const uint64_t time = advice->time_seconds;
    char days[TIME_TEXT] = "";
    char memory[TIME_TEXT] = "";
    if (time >= DAY) {
        (void)snprintf(days, sizeof days, "%" PRIu64 "-", time / DAY);
    }
    if (advice->memory_mebis > 0) {
        (void)snprintf(memory, sizeof memory, "--%s=%" PRIu64 "M ", advice->a_cpu ? "mem-per-cpu" : "mem",
                       advice->memory_mebis);
    }
    dh_say("  enough for the same work: %s--time=%s%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, memory, days,
           time % DAY / HOUR, time % HOUR / MINUTE, time % MINUTE);
}

void dh_run_say_end(const dh_run_scene *scene, const dh_run_report *report, const dh_run_totals *totals)
{
    const dh_result_facts *result = report->result;
    if (!is_root(scene)) {
        return;
    }
    say_work(scene, report, totals);
    say_quality(scene, result);
    if (scene->is_long) {
        say_times(report, totals);
        say_use(report, totals);
    }
    if (totals->advice.is_there) {
        say_advice(&totals->advice);
    }
    dh_say("wrote %s (%.1f MB, content %.16s...)", scene->paths->output, (double)result->file_size / mega,
           result->content);
}

/* ---- left -------------------------------------------------------------------------------------------- */

void dh_run_say_left(const dh_run_scene *scene, const char *reason, const dh_map_kept *kept, double seconds)
{
    char why[2 * TIME_TEXT] = " as asked";
    char rate[2 * TIME_TEXT] = "";
    char rest[2 * TIME_TEXT] = "";
    if (reason != NULL) {
        (void)snprintf(why, sizeof why, " because of %s", reason);
    }
    if (scene->plan == NULL) {
        dh_say("left%s", why);
        return;
    }
    char text[TIME_TEXT];
    const double left =
        (double)scene->plan->file_bytes - (double)(scene->recovery->file_bytes + kept->file_bytes);
    if (kept->text_bytes > 0 && seconds > 0) {
        (void)snprintf(rate, sizeof rate, "; this attempt did %.1f MB of text in %.1f s (%.1f MB/s)",
                       (double)kept->text_bytes / mega, seconds, (double)kept->text_bytes / mega / seconds);
    }
    if (left <= 0) {
        (void)snprintf(rest, sizeof rest, "; what needs all documents together is left");
    } else if (kept->file_bytes > 0 && seconds > 0) {
        (void)snprintf(rest, sizeof rest, "; the rest of the input takes about %s",
                       time_text(left / ((double)kept->file_bytes / seconds), text));
    }
    dh_say("left%s: %" PRIu64 " documents, %.1f %% of the input are done%s%s", why,
           scene->recovery->documents + kept->documents, done_share(scene, kept->file_bytes), rate, rest);
}
