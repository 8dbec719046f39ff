/* dhatu plan --json. */
#include "commands/plan_report.h"
#include "read/json.h"

#include <inttypes.h>

/* A number, or null where it is below 0: not known, or not asked for. */
static dh_status append_number(dh_buffer *out, const char *name, double value, bool first)
{
    DH_TRY(dh_buffer_printf(out, "%s\"%s\": ", first ? "" : ", ", name));
    return value < 0 ? dh_buffer_printf(out, "null") : dh_buffer_printf(out, "%.10g", value);
}

typedef struct named_number {
    const char *name;
    double value;
} named_number;

static dh_status append_numbers(dh_buffer *out, const named_number *number, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        DH_TRY(append_number(out, number[i].name, number[i].value, i == 0));
    }
    return DH_OK;
}

static dh_status append_lines(const dh_plan_report *report, bool with_gpus, dh_buffer *out)
{
    dh_buffer lines = {0};
    dh_status status = dh_plan_append_slurm(report, with_gpus, &lines);
    if (status == DH_OK) {
        status = dh_buffer_printf(out, ", \"slurm\": ");
    }
    if (status == DH_OK) {
        status = dh_json_append_string(out, lines.data, lines.size);
    }
    dh_buffer_free(&lines);
    return status;
}

static dh_status append_variant(const dh_plan_report *report, bool with_gpus, dh_buffer *out)
{
    const dh_plan_request *request = report->request;
    const dh_estimate *estimate = report->estimate;
    const double seconds = with_gpus ? estimate->accelerated : estimate->seconds;
    const double paid = seconds + estimate->start_seconds;
    const double price = with_gpus ? request->price_gpu : request->price_cpu;
    const dh_spot *spot = with_gpus ? &request->spot_gpu : &request->spot_cpu;
    dh_cost cost = {.seconds = -1, .interruptions = -1, .cost = -1};
    if (spot->price >= 0) {
        cost = dh_plan_spot_cost(paid, estimate->interruption_seconds, request->job.nodes, spot);
    }
    const named_number number[] = {
        {"seconds", seconds},
        {"cost", price >= 0 ? dh_plan_price(paid, request->job.nodes, price) : -1},
        {"spot_cost", cost.cost},
        {"spot_seconds", cost.seconds},
        {"spot_interruptions", cost.interruptions},
        {"time_minutes", (double)dh_plan_minutes(estimate, estimate->seconds)},
        {"memory_per_cpu_mebibytes", (double)dh_plan_mebibytes(estimate, request->job.ranks_per_node)},
    };
    DH_TRY(dh_buffer_printf(out, ",\n  \"%s\": {", with_gpus ? "gpu" : "cpu"));
    DH_TRY(append_numbers(out, number, sizeof number / sizeof *number));
    DH_TRY(append_lines(report, with_gpus, out));
    if (with_gpus) {
        dh_buffer advice = {0};
        dh_status status = dh_plan_append_advice(report, &advice);
        if (status == DH_OK) {
            status = dh_buffer_printf(out, ", \"upper_bound\": true, \"advice\": ");
        }
        if (status == DH_OK) {
            status = dh_json_append_string(out, advice.data, advice.size);
        }
        dh_buffer_free(&advice);
        DH_TRY(status);
    }
    return dh_buffer_printf(out, "}");
}

static dh_status append_corpus(const dh_plan_report *report, dh_buffer *out)
{
    const dh_corpus_facts *corpus = report->corpus;
    const dh_estimate *estimate = report->estimate;
    const named_number number[] = {
        {"sources", (double)corpus->sources},
        {"file_bytes", (double)corpus->file_bytes},
        {"content_bytes", estimate->content},
        {"compressed_sources", (double)corpus->compressed_sources},
        {"documents", estimate->documents},
        {"document_error", estimate->document_error},
        {"bad", estimate->bad},
        {"text_bytes", estimate->text_bytes},
    };
    DH_TRY(dh_buffer_printf(out, "  \"corpus\": {"));
    DH_TRY(append_numbers(out, number, sizeof number / sizeof *number));
    const named_number sample[] = {
        {"content_bytes", report->large->content},
        {"small_content_bytes", report->small->content},
        {"ranks", report->large->ranks},
        {"small_ranks", report->small->ranks},
        {"seconds", report->large->seconds},
        {"waited_seconds", report->large->waited_seconds},
        {"small_seconds", report->small->seconds},
        {"decode_seconds_a_byte", corpus->decode_seconds},
        {"storage_seconds_a_byte", corpus->storage_seconds},
    };
    DH_TRY(dh_buffer_printf(out, "},\n  \"sample\": {\"whole\": %s, ",
                            report->request->job.whole ? "true" : "false"));
    DH_TRY(append_numbers(out, sample, sizeof sample / sizeof *sample));
    return dh_buffer_printf(out, "}");
}

static dh_status append_figures(const dh_plan_report *report, dh_buffer *out)
{
    const dh_estimate *estimate = report->estimate;
    const named_number number[] = {
        {"nodes", report->request->job.nodes},
        {"ranks_per_node", report->request->job.ranks_per_node},
        {"seconds", estimate->seconds},
        {"time_error",
         dh_plan_time_error(report->small, report->large, report->corpus, &report->request->job)},
        {"start_seconds", estimate->start_seconds},
        {"discover_seconds", report->corpus->discover_seconds},
        {"processor_seconds", estimate->processor_seconds},
        {"kernel_share", estimate->kernel_share},
        {"interruption_seconds", estimate->interruption_seconds},
        {"idle_ranks", estimate->idle_ranks},
        {"rank_memory_bytes", estimate->rank_memory},
        {"node_memory_bytes", estimate->node_memory},
        {"result_bytes", estimate->result_bytes},
        {"vocabulary_bytes", estimate->vocabulary_bytes},
        {"other_bytes", estimate->other_bytes},
        {"spill_bytes", estimate->spill_bytes},
        {"scratch_bytes", estimate->scratch_bytes},
        {"files", estimate->scratch_files},
    };
    const named_number phase[] = {
        {"map", estimate->phase[DH_PLAN_MAP]},
        {"reduce", estimate->phase[DH_PLAN_REDUCE]},
        {"write", estimate->phase[DH_PLAN_WRITE]},
        {"finish", estimate->phase[DH_PLAN_FINISH]},
    };
    DH_TRY(dh_buffer_printf(out, ",\n  \"estimate\": {"));
    DH_TRY(append_numbers(out, number, sizeof number / sizeof *number));
    DH_TRY(dh_buffer_printf(out, ", \"bounded_by_source\": %s, \"phase_seconds\": {",
                            estimate->bounded_by_source ? "true" : "false"));
    DH_TRY(append_numbers(out, phase, sizeof phase / sizeof *phase));
    return dh_buffer_printf(out, "}}");
}

dh_status dh_plan_append_json(const dh_plan_report *report, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "{\n"));
    DH_TRY(append_corpus(report, out));
    DH_TRY(append_figures(report, out));
    DH_TRY(append_variant(report, false, out));
    if (report->request->gpus > 0) {
        DH_TRY(append_variant(report, true, out));
    }
    return dh_buffer_printf(out, "\n}\n");
}
