/* dhatu plan: what a run would take. Samples of the corpus are run through dhatu run itself; what is fixed
 * and what grows with the corpus follows from the last two, of which the larger one is three times the other.
 */
#include "base/file.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/plan_report.h"
#include "commands/plan_sample.h"
#include "commands/plan_trial.h"
#include "commands/plan_wait.h"
#include "read/content_hash.h"
#include "reduce/features.h"
#include "reduce/terms.h"
#include "run/settings.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
    MEBIBYTE = 1 << 20,
    FIRST_SAMPLE = 4 * MEBIBYTE, /* of each rank */
    CUTS_MORE = 4,               /* deadlines of a cut until the samples differ enough */
    TRIAL_RANKS_MAX = 8,
    SEGMENTS = 4, /* of a rank in a trial */
    MEMORY_LEAST = 16 * MEBIBYTE,
    SPACE_SHARE = 8 /* a sample takes at most this part of the free space: its trial writes more */
};

/* Of --sample-time: cutting a sample, at most, and the trial on the larger one. Those before it take a third
 * of that. */
#define CUT_SHARE 0.1
#define TRIAL_SHARE 0.5
/* A trial under mpirun that takes so many times --sample-time, and so many seconds more, will not end. */
#define HANGS_TIMES 10
#define HANGS_SECONDS 30
/* Bytes kept of each byte of content, at the most, in pairs and terms. */
#define TOGETHER 2.0
/* A corpus so much larger than the second sample would be is read whole instead. */
#define WHOLE_SHARE 1.3

typedef struct plan_work {
    const dh_options *options;
    dh_plan_request request;
    dh_settings settings;
    dh_buffer folder, trial_folder;
    dh_buffer block;
    const dh_plan *plan;
    dh_sampler *sampler;
    dh_corpus_facts corpus;
    dh_trial small, large;
    dh_estimate estimate;
    double discover_seconds, sample_seconds, cut_seconds;
    double room;           /* for a sample */
    uint32_t cores, ranks; /* ranks: of trials */
    bool ranks_failed;
} plan_work;

/* ---- options ----------------------------------------------------------------------------------------- */

static uint32_t count_cores(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return 1;
    }
    const int count = CPU_COUNT(&allowed);
    return count > 0 ? (uint32_t)count : 1;
}

/* A number that is not negative; without the option: -1. */
static dh_status decimal(const dh_options *options, dh_option_id id, double *out)
{
    const char *text = dh_options_text(options, id);
    char *end = NULL;
    *out = -1;
    if (text == NULL) {
        return DH_OK;
    }
    const double value = strtod(text, &end);
    const bool begins = (text[0] >= '0' && text[0] <= '9') || text[0] == '.';
    const bool is_number = begins && strspn(text, "0123456789.eE+-") == strlen(text) && *end == '\0';
    if (!is_number || !(value < 1e12)) {
        return dh_error(DH_USAGE, "--%s: \"%s\" is not a number of 0 or more", dh_option_table[id].name,
                        text);
    }
    *out = value;
    return DH_OK;
}

/* [TYPE:]N, as of --gpus-per-node. */
static dh_status parse_gpus(const dh_options *options, dh_plan_request *out)
{
    const char *text = dh_options_text(options, DH_OPTION_GPUS);
    const char *colon = strrchr(text, ':');
    const char *digits = colon != NULL ? colon + 1 : text;
    const size_t type = colon != NULL ? (size_t)(colon - text) : 0;
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    uint64_t count = 0;
    const bool good = dh_parse_size(digits, false, &count) && count <= 1024 && type < sizeof out->gpu_type &&
                      (colon == NULL || type > 0) && strspn(text, allowed) >= type;
    if (!good) {
        return dh_error(DH_USAGE, "--gpus: \"%s\" is not a number of GPUs, or a type and a number (h100:1)",
                        text);
    }
    memcpy(out->gpu_type, text, type);
    out->gpu_type[type] = '\0';
    out->gpus = (uint32_t)count;
    return DH_OK;
}

static dh_status read_request(plan_work *planning)
{
    const dh_options *options = planning->options;
    dh_plan_request *request = &planning->request;
    const bool given = dh_options_text(options, DH_OPTION_RANKS_PER_NODE) != NULL;
    planning->cores = count_cores();
    request->job.nodes = (uint32_t)dh_options_number(options, DH_OPTION_NODES);
    request->job.ranks_per_node =
        given ? (uint32_t)dh_options_number(options, DH_OPTION_RANKS_PER_NODE) : planning->cores;
    request->job.commit_interval = (double)dh_options_number(options, DH_OPTION_COMMIT_INTERVAL);
    DH_TRY(parse_gpus(options, request));
    DH_TRY(decimal(options, DH_OPTION_PRICE_CPU_NODE, &request->price_cpu));
    DH_TRY(decimal(options, DH_OPTION_PRICE_GPU_NODE, &request->price_gpu));
    DH_TRY(decimal(options, DH_OPTION_PRICE_SPOT_CPU_NODE, &request->spot_cpu.price));
    DH_TRY(decimal(options, DH_OPTION_PRICE_SPOT_GPU_NODE, &request->spot_gpu.price));
    DH_TRY(decimal(options, DH_OPTION_INTERRUPTIONS, &request->spot_cpu.rate));
    request->spot_gpu.rate = request->spot_cpu.rate;
    request->spot_cpu.restart_seconds = (double)dh_options_number(options, DH_OPTION_RESTART_TIME);
    request->spot_gpu.restart_seconds = request->spot_cpu.restart_seconds;
    planning->sample_seconds = (double)dh_options_number(options, DH_OPTION_SAMPLE_TIME);
    const uint64_t ranks = (uint64_t)request->job.nodes * request->job.ranks_per_node;
    planning->ranks = ranks < planning->cores ? (uint32_t)ranks : planning->cores;
    planning->ranks = planning->ranks < TRIAL_RANKS_MAX ? planning->ranks : TRIAL_RANKS_MAX;
    return DH_OK;
}

static void set_memory_limit(plan_work *planning)
{
    const dh_settings *settings = &planning->settings;
    const bool brings_together = settings->uses_terms || dh_settings_job(settings, &dh_job_neardup) != NULL;
    planning->request.job.brings_together = brings_together;
    planning->request.job.memory_limit = DH_OTHER_MEMORY + (brings_together ? (double)settings->memory : 0);
}

/* The least --memory that a run with so many ranks takes. */
static uint64_t least_memory(const dh_settings *settings, uint64_t ranks)
{
    uint64_t least = MEMORY_LEAST;
    if (dh_settings_job(settings, &dh_job_features) != NULL) {
        const uint64_t features = dh_features_memory(settings->job_options.features, ranks) + DH_STEP_MEMORY;
        least = features > least ? features : least;
    }
    if (dh_settings_job(settings, &dh_job_vocab) != NULL) {
        const uint64_t terms = dh_terms_memory(settings->job_options.top);
        least = terms > least ? terms : least;
    }
    return least;
}

/* What the run would refuse at its start. */
static dh_status check_memory(const plan_work *planning)
{
    const uint64_t ranks = (uint64_t)planning->request.job.nodes * planning->request.job.ranks_per_node;
    const uint64_t least = least_memory(&planning->settings, ranks);
    if (least <= planning->settings.memory) {
        return DH_OK;
    }
    return dh_error(DH_USAGE, "these jobs need --memory %" PRIu64 "M at least, on %" PRIu64 " ranks",
                    least / MEBIBYTE + 1, ranks);
}

/* ---- sources ----------------------------------------------------------------------------------------- */

/* As dhatu run does. */
static dh_status discover(plan_work *planning)
{
    const dh_options *options = planning->options;
    const uint64_t unit = DH_CONTENT_BLOCK;
    const uint64_t asked = dh_options_number(options, DH_OPTION_SEGMENT_SIZE);
    dh_buffer checkpoint = {0};
    const char *given = dh_options_text(options, DH_OPTION_CHECKPOINT);
    const char *output = dh_options_text(options, DH_OPTION_OUTPUT);
    dh_status status = given != NULL ? dh_buffer_printf(&checkpoint, "%s", given)
                                     : dh_buffer_printf(&checkpoint, "%s.ckpt", output);
    if (status == DH_OK) {
        status = dh_buffer_append(&checkpoint, "", 1);
    }
    const dh_plan_options plan = {
        .format = planning->settings.records.format,
        .segment_size = (asked + unit - 1) / unit * unit,
        .exclude_prefix = output,
        .exclude_folder = (const char *)checkpoint.data,
    };
    const double begin = dh_working_seconds();
    if (status == DH_OK) {
        status = dh_plan_make(&plan, options->argument, (size_t)options->argument_count, &planning->block);
    }
    planning->discover_seconds = dh_working_seconds() - begin;
    planning->plan = (const dh_plan *)(const void *)planning->block.data;
    dh_buffer_free(&checkpoint);
    return status;
}

/* ---- trials ------------------------------------------------------------------------------------------ */

/* Would the jobs bring more together than --memory? Of a byte of content they keep less than TOGETHER bytes.
 */
static void compare_memory(plan_work *planning)
{
    dh_plan_job *job = &planning->request.job;
    const double share =
        dh_sampler_corpus_content(planning->sampler) / ((double)job->nodes * job->ranks_per_node);
    job->exceeds_memory = job->brings_together && TOGETHER * share > (double)planning->settings.memory;
}

/* A trial's --memory is to its part of the corpus as the run's is to a rank's where not all has room in it,
 * so that what goes to the disk there does so here. */
static uint64_t trial_memory(const plan_work *planning, double content)
{
    const dh_plan_job *job = &planning->request.job;
    const double share =
        dh_sampler_corpus_content(planning->sampler) / ((double)job->nodes * job->ranks_per_node);
    const double memory = (double)planning->settings.memory;
    const double scaled = job->exceeds_memory ? memory * (content / planning->ranks) / share : memory;
    const uint64_t least = least_memory(&planning->settings, planning->ranks);
    const double limited = scaled < memory ? scaled : memory;
    return limited > (double)least ? (uint64_t)limited : least;
}

static uint64_t trial_segment(const plan_work *planning, double content)
{
    const uint64_t unit = DH_CONTENT_BLOCK;
    const uint64_t fitting = (uint64_t)(content / planning->ranks / SEGMENTS) / unit * unit;
    const uint64_t asked = dh_options_number(planning->options, DH_OPTION_SEGMENT_SIZE);
    const uint64_t segment = fitting < asked ? fitting : asked;
    return segment > unit ? segment : unit;
}

static dh_trial_options trial_options(const plan_work *planning, const char *const *input, size_t count,
                                      double content)
{
    const bool whole = planning->request.job.whole;
    const uint64_t least = least_memory(&planning->settings, planning->ranks);
    const uint64_t asked = planning->settings.memory;
    return (dh_trial_options){
        .options = planning->options,
        .folder = (const char *)planning->trial_folder.data,
        .input = input,
        .input_count = count,
        .ranks = planning->ranks,
        .under_mpirun = planning->ranks > 1,
        .limit_seconds = HANGS_TIMES * planning->sample_seconds + HANGS_SECONDS,
        /* What is enough for each of many ranks may be too little for one. */
        .memory = whole ? (asked > least ? asked : least) : trial_memory(planning, content),
        .segment_size = whole ? dh_options_number(planning->options, DH_OPTION_SEGMENT_SIZE)
                              : trial_segment(planning, content),
    };
}

/* Runs over input; with several ranks where mpirun can start them, else with one. */
static dh_status run_trial(plan_work *planning, const char *const *input, size_t count, double content,
                           dh_trial *out)
{
    dh_trial_options trial = trial_options(planning, input, count, content);
    bool refused = false;
    const dh_status status = dh_trial_run(&trial, &refused, out);
    if (!refused) {
        return status;
    }
    planning->ranks = 1;
    planning->ranks_failed = true;
    trial = trial_options(planning, input, count, content);
    return dh_trial_run(&trial, &refused, out);
}

static dh_status run_sample(plan_work *planning, dh_trial *out)
{
    const char *input[DH_SAMPLE_INPUTS];
    const size_t count = dh_sampler_inputs(planning->sampler, input);
    const double content = dh_sampler_content(planning->sampler);
    if (count == 0) {
        return dh_error(DH_BAD_DATA,
                        "no sample can be taken: the sources have nothing but what is longer than "
                        "--max-record");
    }
    DH_TRY(run_trial(planning, input, count, content, out));
    out->content = content;
    return DH_OK;
}

/* All of the corpus, where it lies. What was known of it by the sample is then known exactly. */
static dh_status run_whole(plan_work *planning)
{
    const dh_options *options = planning->options;
    planning->request.job.whole = true;
    DH_TRY(run_trial(planning, (const char *const *)options->argument, (size_t)options->argument_count, 0,
                     &planning->large));
    if (planning->small.ranks != planning->large.ranks) {
        planning->small = planning->large;
    }
    planning->corpus.content = planning->large.content;
    planning->corpus.decode_seconds = 0;
    planning->corpus.storage_seconds = 0;
    planning->corpus.text_documents = 0;
    return DH_OK;
}

/* What the second sample may be: as much as its trial has time for, and as there is room for. */
static dh_status second_size(plan_work *planning, double *out)
{
    const dh_trial *small = &planning->small;
    const double grows =
        small->phase[DH_PLAN_MAP] + small->phase[DH_PLAN_REDUCE] + small->phase[DH_PLAN_WRITE];
    const double least = small->content * DH_PLAN_GROWTH_LEAST;
    double size = grows > 0 ? small->content / grows * planning->sample_seconds * TRIAL_SHARE : least;
    size = size > least ? size : least;
    struct statvfs facts;
    const char *folder = (const char *)planning->folder.data;
    if (statvfs(folder, &facts) != 0) {
        return dh_error(DH_IO, "%s: the free space cannot be told", folder);
    }
    planning->room = (double)facts.f_bavail * (double)facts.f_frsize / SPACE_SHARE;
    *out = size < planning->room ? size : planning->room;
    return DH_OK;
}

/* Sources may be too slow for a sample of the wanted size. Below least the deadline is put off, a few times.
 */
static dh_status cut(plan_work *planning, double content, double least)
{
    dh_sampler *sampler = planning->sampler;
    const double begin = dh_working_seconds();
    for (int cuts = 0; cuts <= CUTS_MORE; cuts++) {
        const double deadline = dh_working_seconds() + planning->sample_seconds * CUT_SHARE;
        DH_TRY(dh_sampler_grow(sampler, content, deadline));
        if (dh_sampler_content(sampler) >= least || dh_sampler_has_ended(sampler)) {
            break;
        }
    }
    planning->cut_seconds += dh_working_seconds() - begin;
    return DH_OK;
}

/* The first trial told the rate. For what grows it was too small: tables and buffers were still filling. So
 * another one is made with as much as leaves a larger sample, cut in the time that there is, several times as
 * much. */
static dh_status run_small_again(plan_work *planning, double second)
{
    const double have = dh_sampler_content(planning->sampler);
    const double more = planning->cut_seconds > 0
                            ? have / planning->cut_seconds * planning->sample_seconds * CUT_SHARE
                            : second;
    const double reached = have + more < second ? have + more : second;
    if (reached / DH_PLAN_GROWTH_LEAST <= have) {
        return DH_OK;
    }
    DH_TRY(cut(planning, reached / DH_PLAN_GROWTH_LEAST, 0));
    return run_sample(planning, &planning->small);
}

static dh_status run_large(plan_work *planning, double second)
{
    dh_sampler *sampler = planning->sampler;
    const dh_sample_mark mark = dh_sampler_mark(sampler);
    const double least = DH_PLAN_GROWTH_LEAST * planning->small.content;
    DH_TRY(cut(planning, second, least < second ? least : second));
    dh_sampler_facts(sampler, &planning->corpus);
    if (dh_sampler_has_all(sampler)) {
        return run_whole(planning);
    }
    if (!(dh_sampler_content(sampler) > planning->small.content)) {
        planning->large = planning->small; /* the rest of the corpus can be no sample */
        return DH_OK;
    }
    DH_TRY(run_sample(planning, &planning->large));
    if (planning->small.ranks == planning->large.ranks) {
        return DH_OK;
    }
    DH_TRY(dh_sampler_go_back(sampler, &mark));
    return run_sample(planning, &planning->small);
}

static dh_status run_trials(plan_work *planning)
{
    dh_sampler *sampler = planning->sampler;
    DH_TRY(cut(planning, (double)FIRST_SAMPLE * planning->ranks, 0));
    if (dh_sampler_has_all(sampler)) {
        dh_sampler_facts(sampler, &planning->corpus);
        return run_whole(planning);
    }
    compare_memory(planning);
    DH_TRY(run_sample(planning, &planning->small));
    double second = 0;
    DH_TRY(second_size(planning, &second));
    if (dh_sampler_corpus_content(sampler) <= second * WHOLE_SHARE) {
        dh_sampler_facts(sampler, &planning->corpus);
        return run_whole(planning);
    }
    DH_TRY(run_small_again(planning, second));
    /* A piece may have made the smaller sample larger than asked for. */
    const double least = DH_PLAN_GROWTH_LEAST * planning->small.content;
    return run_large(planning, second < least && least < planning->room ? least : second);
}

static dh_status measure(plan_work *planning)
{
    DH_TRY(dh_trial_folder_create(planning->options, &planning->folder));
    DH_TRY(dh_buffer_printf(&planning->trial_folder, "%s/trial", (const char *)planning->folder.data));
    DH_TRY(dh_buffer_append(&planning->trial_folder, "", 1));
    const dh_sampler_options options = {
        .plan = planning->plan,
        .records = &planning->settings.records,
        .folder = (const char *)planning->folder.data,
        .poll = dh_trial_poll,
    };
    DH_TRY(dh_sampler_create(&options, &planning->sampler));
    DH_TRY(run_trials(planning));
    planning->corpus.discover_seconds = planning->discover_seconds;
    planning->estimate =
        dh_plan_estimate(&planning->small, &planning->large, &planning->corpus, &planning->request.job);
    return DH_OK;
}

/* ---- the command ------------------------------------------------------------------------------------- */

static dh_status print(const plan_work *planning)
{
    const dh_plan_report report = {
        .request = &planning->request,
        .corpus = &planning->corpus,
        .small = &planning->small,
        .large = &planning->large,
        .estimate = &planning->estimate,
        .cores = planning->cores,
        .ranks_failed = planning->ranks_failed,
    };
    dh_buffer out = {0};
    dh_status status = DH_OK;
    if (dh_options_flag(planning->options, DH_OPTION_JSON)) {
        status = dh_plan_append_json(&report, &out);
    } else if (dh_options_flag(planning->options, DH_OPTION_BRIEF)) {
        status = dh_plan_append_brief(&report, &out);
    } else {
        status = dh_plan_append_text(&report, &out);
    }
    if (status == DH_OK) {
        status = dh_print(&out);
    }
    dh_buffer_free(&out);
    return status;
}

static dh_status plan_run(plan_work *planning)
{
    if (planning->options->argument_count == 0) {
        return dh_error(DH_USAGE, "dhatu plan needs at least one INPUT (dhatu plan --help)");
    }
    DH_TRY(read_request(planning));
    DH_TRY(dh_settings_resolve(planning->options, &planning->settings));
    set_memory_limit(planning);
    DH_TRY(check_memory(planning));
    DH_TRY(discover(planning));
    dh_trial_catch_signals();
    return measure(planning);
}

dh_status dh_command_plan(const dh_options *options)
{
    plan_work planning = {.options = options};
    dh_status status = plan_run(&planning);
    dh_sampler_free(planning.sampler);
    if (planning.folder.size > 0) {
        const dh_status removed = dh_trial_folder_remove((const char *)planning.folder.data);
        status = status == DH_OK ? removed : status;
    }
    dh_trial_obey_signal();
    if (status == DH_OK) {
        status = print(&planning);
    }
    dh_settings_free(&planning.settings);
    dh_buffer_free(&planning.folder);
    dh_buffer_free(&planning.trial_folder);
    dh_buffer_free(&planning.block);
    return status;
}
