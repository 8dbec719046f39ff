#include "commands/plan_report.h"

#include "base/clock.h"
#include "commands/figures.h"

#include <inttypes.h>

enum { LABEL = 10, HOUR = 60, DAY = 24, PERCENT = 100 };

/* Standard errors that a figure is told with: 19 of 20 are within. */
#define ERRORS 2.0
/* A gain below this share is lost in what a GPU itself costs. */
#define GAIN_LEAST 0.1

static dh_status label(dh_buffer *out, const char *name)
{
    return dh_buffer_printf(out, "%-*s", LABEL, name);
}

static dh_status append_seconds(dh_buffer *out, double seconds)
{
    enum { SHORT = 10 };
    return seconds < SHORT ? dh_buffer_printf(out, "%.1f s", seconds) : dh_append_duration(seconds, out);
}

static uint32_t ranks_of(const dh_plan_request *request)
{
    return request->job.nodes * request->job.ranks_per_node;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- corpus, time, space ----------------------------------------------------------------------------- */

static dh_status append_documents(const dh_plan_report *report, dh_buffer *out)
{
    const dh_estimate *estimate = report->estimate;
    DH_TRY(dh_append_count(out, (uint64_t)(estimate->documents + 0.5)));
    DH_TRY(dh_buffer_printf(out, " documents"));
    if (estimate->document_error > 0) {
        DH_TRY(dh_buffer_printf(out, " (+/- %.1f %%)", estimate->document_error * ERRORS * PERCENT));
    } else if (estimate->document_error < 0) {
        DH_TRY(dh_buffer_printf(out, " (too few pieces to say how sure)"));
    }
    DH_TRY(dh_buffer_printf(out, ", "));
    DH_TRY(dh_append_size(out, estimate->text_bytes));
    return dh_buffer_printf(out, " of text");
}

static dh_status append_corpus(const dh_plan_report *report, dh_buffer *out)
{
    const dh_corpus_facts *corpus = report->corpus;
    DH_TRY(label(out, "corpus"));
    DH_TRY(dh_append_count(out, corpus->sources));
    DH_TRY(dh_buffer_printf(out, " source%s, ", plural(corpus->sources)));
    DH_TRY(dh_append_size(out, (double)corpus->file_bytes));
    DH_TRY(dh_buffer_printf(out, "; "));
    DH_TRY(append_documents(report, out));
    if (report->estimate->bad >= 1) {
        DH_TRY(dh_buffer_printf(out, "; about "));
        DH_TRY(dh_append_count(out, (uint64_t)report->estimate->bad));
        DH_TRY(dh_buffer_printf(out, " bad records"));
    }
    DH_TRY(dh_buffer_printf(out, "\n"));
    DH_TRY(label(out, "sample"));
    if (report->request->job.whole) {
        DH_TRY(dh_buffer_printf(out, "all of it"));
    } else {
        DH_TRY(dh_append_size(out, report->large->content));
        DH_TRY(dh_buffer_printf(out, ", %.2g %% of it", PERCENT * report->large->content / corpus->content));
    }
    return dh_buffer_printf(out, ", with %u rank%s on this machine\n", report->large->ranks,
                            plural(report->large->ranks));
}

static dh_status append_time(const dh_plan_report *report, dh_buffer *out)
{
    static const char *const phase[DH_PLAN_PHASES] = {"map", "reduce", "write", "finish"};
    const dh_estimate *estimate = report->estimate;
    const dh_plan_job *job = &report->request->job;
    DH_TRY(label(out, "nodes"));
    DH_TRY(dh_buffer_printf(out, "%u node%s, %u rank%s on each\n", job->nodes, plural(job->nodes),
                            job->ranks_per_node, plural(job->ranks_per_node)));
    DH_TRY(label(out, "time"));
    DH_TRY(append_seconds(out, estimate->seconds));
    const double error = dh_plan_time_error(report->small, report->large, report->corpus, job);
    if (error >= 0) {
        DH_TRY(dh_buffer_printf(out, " (+/- %.0f %% on machines like this one)", PERCENT * error));
    }
    DH_TRY(dh_buffer_printf(out, ":"));
    for (int p = 0; p < DH_PLAN_PHASES; p++) {
        DH_TRY(dh_buffer_printf(out, "%s %s ", p > 0 ? "," : "", phase[p]));
        DH_TRY(append_seconds(out, estimate->phase[p]));
    }
    DH_TRY(dh_buffer_printf(out, "; processors "));
    DH_TRY(append_seconds(out, estimate->processor_seconds));
    return dh_buffer_printf(out, "\n");
}

static dh_status append_space(const dh_plan_report *report, dh_buffer *out)
{
    const dh_estimate *estimate = report->estimate;
    DH_TRY(label(out, "memory"));
    DH_TRY(dh_append_size(out, estimate->rank_memory));
    DH_TRY(dh_buffer_printf(out, " a rank, "));
    DH_TRY(dh_append_size(out, estimate->node_memory));
    DH_TRY(dh_buffer_printf(out, " a node\n"));
    DH_TRY(label(out, "result"));
    DH_TRY(dh_append_size(out, estimate->result_bytes));
    if (estimate->vocabulary_bytes > 0) {
        DH_TRY(dh_buffer_printf(out, ", the list of terms "));
        DH_TRY(dh_append_size(out, estimate->vocabulary_bytes));
    }
    DH_TRY(dh_buffer_printf(out, "\n"));
    DH_TRY(label(out, "scratch"));
    DH_TRY(dh_buffer_printf(out, "up to "));
    DH_TRY(dh_append_size(out, estimate->scratch_bytes));
    DH_TRY(dh_buffer_printf(out, " in the checkpoint folder and --scratch (spilled: "));
    DH_TRY(dh_append_size(out, estimate->spill_bytes));
    return dh_buffer_printf(out, "), %.0f files in all\n", estimate->scratch_files);
}

/* ---- GPUs and cost ----------------------------------------------------------------------------------- */

dh_status dh_plan_append_advice(const dh_plan_report *report, dh_buffer *out)
{
    const dh_plan_request *request = report->request;
    const dh_estimate *estimate = report->estimate;
    if (!(estimate->accelerated > 0) || estimate->kernel_share < GAIN_LEAST) {
        return dh_buffer_printf(
            out, "does not pay: kernels take %.0f %% of the time, and no GPU can save more than that",
            PERCENT * estimate->kernel_share);
    }
    const double gain = estimate->seconds / estimate->accelerated;
    DH_TRY(dh_buffer_printf(out, "kernels take %.0f %% of the time: at best ",
                            PERCENT * estimate->kernel_share));
    DH_TRY(append_seconds(out, estimate->accelerated));
    DH_TRY(dh_buffer_printf(out, ", if GPUs did them in no time. "));
    if (request->price_cpu > 0 && request->price_gpu >= 0) {
        const double times = request->price_gpu / request->price_cpu;
        return dh_buffer_printf(out, "At %.2f times the price of a CPU node it %s", times,
                                times >= gain ? "does not pay" : "may pay: try it on a part");
    }
    return dh_buffer_printf(out, "It pays only where a GPU node costs less than %.2f times a CPU node", gain);
}

static dh_status append_cost(const char *what, double seconds, const dh_plan_report *report, double price,
                             const dh_spot *spot, dh_buffer *out)
{
    const uint32_t nodes = report->request->job.nodes;
    const double paid = seconds + report->estimate->start_seconds;
    if (price >= 0) {
        DH_TRY(label(out, "cost"));
        DH_TRY(dh_buffer_printf(out, "%s: %.4g\n", what, dh_plan_price(paid, nodes, price)));
    }
    if (spot->price < 0) {
        return DH_OK;
    }
    const dh_cost cost = dh_plan_spot_cost(paid, report->estimate->interruption_seconds, nodes, spot);
    DH_TRY(label(out, "cost"));
    if (cost.cost < 0) {
        return dh_buffer_printf(out, "%s, spot: it would be interrupted faster than it gets on\n", what);
    }
    DH_TRY(dh_buffer_printf(out, "%s, spot: %.4g in ", what, cost.cost));
    DH_TRY(append_seconds(out, cost.seconds));
    return dh_buffer_printf(out, ", with %.2g interruptions expected\n", cost.interruptions);
}

static dh_status append_money(const dh_plan_report *report, dh_buffer *out)
{
    const dh_plan_request *request = report->request;
    DH_TRY(append_cost("CPU nodes", report->estimate->seconds, report, request->price_cpu, &request->spot_cpu,
                       out));
    if (request->gpus == 0) {
        return DH_OK;
    }
    return append_cost("GPU nodes, at best", report->estimate->accelerated, report, request->price_gpu,
                       &request->spot_gpu, out);
}

/* ---- what must be known ------------------------------------------------------------------------------ */

/* What makes times less sure. */
static dh_status append_doubts(const dh_plan_report *report, dh_buffer *out)
{
    const dh_trial *small = report->small;
    const dh_trial *large = report->large;
    if (report->ranks_failed) {
        DH_TRY(label(out, "note"));
        DH_TRY(dh_buffer_printf(out, "mpirun could not be used here: one rank was measured, and what ranks "
                                     "send each other was not\n"));
    }
    if (!report->request->job.whole && large->content < DH_PLAN_GROWTH_LEAST * small->content) {
        DH_TRY(label(out, "note"));
        DH_TRY(dh_buffer_printf(out,
                                "the larger sample is only %.1f times the smaller one, too little to tell "
                                "what grows: times are rough; a longer --sample-time tells more\n",
                                small->content > 0 ? large->content / small->content : 1));
    }
    if (dh_plan_waited_long(large)) {
        const double waited = large->waited_seconds;
        DH_TRY(label(out, "note"));
        DH_TRY(dh_buffer_printf(
            out,
            "this machine is busy: the trial waited %.0f %% of its time for processors, which is "
            "left out of all times%s\n",
            PERCENT * waited / (waited + large->seconds),
            large->ranks > 1 ? "; ranks that waited for one another make them rough" : ""));
    }
    return DH_OK;
}

static dh_status append_notes(const dh_plan_report *report, dh_buffer *out)
{
    const dh_corpus_facts *corpus = report->corpus;
    const dh_estimate *estimate = report->estimate;
    const uint32_t ranks = ranks_of(report->request);
    DH_TRY(append_doubts(report, out));
    if (ranks > report->large->ranks) {
        DH_TRY(label(out, "note"));
        DH_TRY(dh_buffer_printf(
            out,
            "measured with %u rank%s; %u are taken to be %.3g times as fast, which networks, "
            "storage and shared memory may not allow\n",
            report->large->ranks, plural(report->large->ranks), ranks, (double)ranks / report->large->ranks));
    }
    if (estimate->idle_ranks > 0) {
        DH_TRY(label(out, "note"));
        DH_TRY(
            dh_buffer_printf(out,
                             "there is work for %u of %u ranks: the others only compute batches; a smaller "
                             "--segment-size cuts plain sources finer\n",
                             ranks - estimate->idle_ranks, ranks));
    }
    if (estimate->bounded_by_source) {
        DH_TRY(label(out, "note"));
        DH_TRY(dh_buffer_printf(
            out, "the largest %ssource sets the time: one rank reads it alone; cut it into parts\n",
            corpus->longest_compressed ? "compressed " : ""));
    }
    if (corpus->compressed_sources > 0 && !report->request->job.whole) {
        DH_TRY(label(out, "note"));
        DH_TRY(dh_buffer_printf(out, "compressed sources were read from their beginnings only\n"));
    }
    return DH_OK;
}

/* ---- Slurm ------------------------------------------------------------------------------------------- */

dh_status dh_plan_append_slurm(const dh_plan_report *report, bool with_gpus, dh_buffer *out)
{
    const dh_plan_request *request = report->request;
    const dh_estimate *estimate = report->estimate;
    const uint64_t minutes = dh_plan_minutes(estimate, estimate->seconds);
    DH_TRY(dh_buffer_printf(out, "#SBATCH --time=%" PRIu64 "-%02" PRIu64 ":%02" PRIu64 ":00\n",
                            minutes / HOUR / DAY, minutes / HOUR % DAY, minutes % HOUR));
    DH_TRY(dh_buffer_printf(out,
                            "#SBATCH --nodes=%u\n#SBATCH --ntasks-per-node=%u\n#SBATCH --cpus-per-task=1\n",
                            request->job.nodes, request->job.ranks_per_node));
    /* As the job scripts ask for it: Slurm does not take --mem beside that. */
    DH_TRY(dh_buffer_printf(out, "#SBATCH --mem-per-cpu=%" PRIu64 "M\n",
                            dh_plan_mebibytes(estimate, request->job.ranks_per_node)));
    if (!with_gpus) {
        return DH_OK;
    }
    return dh_buffer_printf(out, "#SBATCH --gpus-per-node=%s%s%u\n", request->gpu_type,
                            request->gpu_type[0] != '\0' ? ":" : "", request->gpus);
}

/* ---- all --------------------------------------------------------------------------------------------- */

dh_status dh_plan_append_text(const dh_plan_report *report, dh_buffer *out)
{
    DH_TRY(append_corpus(report, out));
    DH_TRY(append_time(report, out));
    DH_TRY(append_space(report, out));
    if (report->request->gpus > 0) {
        DH_TRY(label(out, "GPU"));
        DH_TRY(dh_plan_append_advice(report, out));
        DH_TRY(dh_buffer_printf(out, "\n"));
    }
    DH_TRY(append_money(report, out));
    DH_TRY(append_notes(report, out));
    DH_TRY(dh_buffer_printf(out, "\n# CPU nodes, with a margin\n"));
    DH_TRY(dh_plan_append_slurm(report, false, out));
    if (report->request->gpus == 0) {
        return DH_OK;
    }
    /* Time is asked for as if GPUs did nothing: what they save was never measured. */
    DH_TRY(dh_buffer_printf(out, "\n# GPU nodes, with a margin, and as long as without GPUs\n"));
    return dh_plan_append_slurm(report, true, out);
}

dh_status dh_plan_append_brief(const dh_plan_report *report, dh_buffer *out)
{
    const dh_estimate *estimate = report->estimate;
    const dh_plan_job *job = &report->request->job;
    DH_TRY(dh_buffer_printf(out, "estimate: "));
    DH_TRY(append_documents(report, out));
    DH_TRY(dh_buffer_printf(out, "; "));
    DH_TRY(append_seconds(out, estimate->seconds));
    DH_TRY(dh_buffer_printf(out, " on %u node%s with %u rank%s each\n", job->nodes, plural(job->nodes),
                            job->ranks_per_node, plural(job->ranks_per_node)));
    DH_TRY(dh_buffer_printf(out, "estimate: memory "));
    DH_TRY(dh_append_size(out, estimate->rank_memory));
    DH_TRY(dh_buffer_printf(out, " a rank, "));
    DH_TRY(dh_append_size(out, estimate->node_memory));
    DH_TRY(dh_buffer_printf(out, " a node; checkpoint up to "));
    DH_TRY(dh_append_size(out, estimate->scratch_bytes));
    DH_TRY(dh_buffer_printf(out, " and %.0f files; result ", estimate->scratch_files));
    DH_TRY(dh_append_size(out, estimate->result_bytes));
    return dh_buffer_printf(out, "\n");
}
