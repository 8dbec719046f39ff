#include "commands/plan_estimate.h"

#include <math.h>

enum {
    HOUR = 3600,
    MINUTE = 60,
    MINUTES_LEAST = 10,
    MINUTES_STEP = 5,
    START_MINUTES = 3, /* nodes that wake up, modules, file systems that are slow to begin with */
    FEW_ITEMS = 4,     /* of a rank: the last one to end is felt below */
    RANK_FILES = 2,    /* spill and journal */
    FILES_BESIDE = 4   /* result, quarantine, record of the run, the result while it is written */
};

/* Checked by bench/plan.py: the time of runs on the machine of the sample is within this. */
#define TIME_ERROR 0.25
/* Waiting below this is not worth a word. */
#define WAITING_TOLD 0.1
/* Of what a byte takes on the average over the larger sample, a further byte takes at least this share: where
 * the two trials hardly differ, or the second one happened to be faster, the line through them is too flat.
 */
#define SLOPE_LEAST 0.5
#define TIME_MARGIN 1.5
#define MEMORY_MARGIN 1.25
#define MEBIBYTE 1048576.0
#define MEMORY_STEP 16   /* MiB */
#define SHARE_LEAST 0.08 /* of the corpus in the sample: estimates from less were not compared with runs */
#define NODE_BASE (512.0 * MEBIBYTE) /* of a node: the launcher, its daemons, shared tables */

double dh_plan_line(double x1, double y1, double x2, double y2, double x)
{
    const double slope = x2 > x1 && y2 > y1 ? (y2 - y1) / (x2 - x1) : 0;
    const double y = y2 + slope * (x - x2);
    return y > 0 ? y : 0;
}

double dh_plan_power(double x1, double y1, double x2, double y2, double x)
{
    if (!(y1 > 0) || !(y2 > 0) || !(x1 > 0) || !(x2 > x1) || !(x > 0)) {
        return y2 > 0 ? y2 : 0;
    }
    double exponent = log(y2 / y1) / log(x2 / x1);
    exponent = exponent < 0 ? 0 : (exponent > 1 ? 1 : exponent);
    return y2 * pow(x / x2, exponent);
}

void dh_ratio_add(dh_ratio *ratio, double a, double b)
{
    ratio->count += 1;
    ratio->a += a;
    ratio->b += b;
    ratio->aa += a * a;
    ratio->bb += b * b;
    ratio->ab += a * b;
}

double dh_ratio_error(const dh_ratio *ratio, double all)
{
    if (ratio->count > 0 && ratio->count >= all) {
        return 0;
    }
    if (ratio->count < 2 || !(ratio->a > 0) || !(ratio->b > 0)) {
        return -1;
    }
    const double r = ratio->a / ratio->b;
    const double squares = ratio->aa - 2 * r * ratio->ab + r * r * ratio->bb;
    const double variance = squares > 0 ? squares / (ratio->count - 1) : 0;
    return sqrt(variance * (1 - ratio->count / all) / ratio->count) / (ratio->a / ratio->count);
}

/* ---- time -------------------------------------------------------------------------------------------- */

typedef struct fit {
    double fixed, variable; /* at the size of the corpus, with the ranks of the trials */
} fit;

static fit fit_line(const dh_trial *small, const dh_trial *large, double y1, double y2, double content)
{
    const double at_corpus = dh_plan_line(small->content, y1, large->content, y2, content);
    const double at_nothing = dh_plan_line(small->content, y1, large->content, y2, 0);
    fit made = {.fixed = at_nothing < at_corpus ? at_nothing : at_corpus};
    made.variable = at_corpus - made.fixed;
    return made;
}

/* The same of what documents take, which grows with them. */
static fit fit_work(const dh_trial *small, const dh_trial *large, double y1, double y2, double content)
{
    const fit line = fit_line(small, large, y1, y2, content);
    if (!(large->content > 0) || content <= large->content) {
        return line;
    }
    const double least = y2 * SLOPE_LEAST / large->content;
    const fit flattest = {.fixed = y2 * (1 - SLOPE_LEAST), .variable = least * content};
    return line.fixed + line.variable < flattest.fixed + flattest.variable ? flattest : line;
}

/* Ranks that have something to do, less what is lost while the last of them end. */
static double busy_ranks(const dh_corpus_facts *corpus, uint32_t ranks)
{
    if (corpus->items == 0) {
        return 1;
    }
    const double items = (double)corpus->items;
    if (items / ranks >= FEW_ITEMS) {
        return ranks;
    }
    return items / ceil(items / ranks);
}

/* Seconds a byte that the rank which reads a source takes for it: all but the kernels, which others may run.
 */
static double reader_seconds(const dh_trial *large)
{
    const double left = large->rank_map_seconds - large->kernel_seconds;
    return large->content > 0 && left > 0 ? left / large->content : 0;
}

/* A source that is not in the page cache takes longer to read than a trial's sample. */
static double storage_excess(const dh_trial *large, const dh_corpus_facts *corpus)
{
    const double warm = large->content > 0 ? large->read_seconds / large->content : 0;
    return corpus->storage_seconds > warm ? corpus->storage_seconds - warm : 0;
}

static double map_seconds(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                          uint32_t ranks, dh_estimate *out)
{
    const fit map =
        fit_work(small, large, small->phase[DH_PLAN_MAP], large->phase[DH_PLAN_MAP], corpus->content);
    const double busy = busy_ranks(corpus, ranks);
    const double decoders = corpus->compressed_sources < ranks ? (double)corpus->compressed_sources : ranks;
    double seconds = map.variable * large->ranks / busy;
    if (decoders > 0) {
        seconds += corpus->decode_seconds * corpus->compressed_content / decoders;
    }
    seconds += storage_excess(large, corpus) * (corpus->content - corpus->compressed_content) / busy;
    const double alone =
        corpus->longest * (reader_seconds(large) + (corpus->longest_compressed ? corpus->decode_seconds : 0));
    out->bounded_by_source = ranks > 1 && alone > seconds;
    return map.fixed + (out->bounded_by_source ? alone : seconds);
}

static void estimate_time(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                          uint32_t ranks, dh_estimate *out)
{
    const double share = (double)large->ranks / ranks;
    out->seconds = corpus->discover_seconds;
    for (int p = 0; p < DH_PLAN_PHASES; p++) {
        const bool is_end = p == DH_PLAN_FINISH;
        const fit phase =
            (is_end ? fit_line : fit_work)(small, large, small->phase[p], large->phase[p], corpus->content);
        /* The end is a sync and a rename by one rank, whatever their number. */
        out->phase[p] = phase.fixed + phase.variable * (is_end ? 1 : share);
    }
    out->phase[DH_PLAN_MAP] = map_seconds(small, large, corpus, ranks, out);
    for (int p = 0; p < DH_PLAN_PHASES; p++) {
        out->seconds += out->phase[p];
    }
    out->start_seconds = large->start_seconds;
    const fit processors =
        fit_work(small, large, small->processor_seconds, large->processor_seconds, corpus->content);
    out->processor_seconds =
        processors.fixed + processors.variable + corpus->decode_seconds * corpus->compressed_content;
    const double kernels = large->content > 0 ? large->kernel_seconds / large->content * corpus->content : 0;
    double moved = kernels / busy_ranks(corpus, ranks);
    if (out->bounded_by_source) {
        moved = 0; /* the longest source alone: its reader has no kernel to be rid of */
    }
    moved = moved < out->phase[DH_PLAN_MAP] ? moved : out->phase[DH_PLAN_MAP];
    out->kernel_share = out->seconds > 0 ? moved / out->seconds : 0;
    out->accelerated = out->seconds - moved;
}

/* ---- space ------------------------------------------------------------------------------------------- */

/* What is brought together grows with a rank's share of the corpus, up to --memory. All else grows slowly:
 * buffers that were not full yet, a larger document here and there. A giant document takes its own. */
static void estimate_memory(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                            const dh_plan_job *job, dh_estimate *out)
{
    const double share = corpus->content / ((double)job->nodes * job->ranks_per_node);
    const double x1 = small->content / small->ranks;
    const double x2 = large->content / large->ranks;
    const double grown = job->brings_together ? dh_plan_line(x1, small->memory, x2, large->memory, share)
                                              : dh_plan_power(x1, small->memory, x2, large->memory, share);
    const bool full = job->brings_together && job->exceeds_memory;
    const double limited = !full && grown < job->memory_limit ? grown : job->memory_limit;
    out->rank_memory = limited > large->memory ? limited : large->memory;
    out->node_memory = out->rank_memory * job->ranks_per_node;
}

static void estimate_space(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                           uint32_t ranks, dh_estimate *out)
{
    const double x1 = small->content;
    const double x2 = large->content;
    const double x = corpus->content;
    out->result_bytes = dh_plan_line(x1, small->result_bytes, x2, large->result_bytes, x);
    out->vocabulary_bytes = dh_plan_power(x1, small->vocabulary_bytes, x2, large->vocabulary_bytes, x);
    out->other_bytes = dh_plan_line(x1, small->other_bytes, x2, large->other_bytes, x);
    out->spill_bytes = dh_plan_line(x1, small->spill_bytes, x2, large->spill_bytes, x);
    out->scratch_bytes = dh_plan_line(x1, small->scratch_bytes, x2, large->scratch_bytes, x);
    const double a_rank = large->scratch_files / large->ranks;
    out->scratch_files = ceil((a_rank > RANK_FILES ? a_rank : RANK_FILES) * ranks) + FILES_BESIDE;
}

/* ---- all together ------------------------------------------------------------------------------------ */

/* The map phase loses half a commit interval (all of it without commits); what follows it, half of the phase
 * that is interrupted. The new start reads what was spilled again, as fast as it was written. */
static double interruption_cost(const dh_corpus_facts *corpus, const dh_plan_job *job,
                                const dh_estimate *estimate)
{
    const double map = estimate->phase[DH_PLAN_MAP];
    if (!(estimate->seconds > 0)) {
        return 0;
    }
    const double map_lost =
        job->commit_interval > 0 && job->commit_interval < map ? job->commit_interval / 2 : map / 2;
    double rest_lost = 0;
    for (int p = DH_PLAN_REDUCE; p < DH_PLAN_PHASES; p++) {
        rest_lost += estimate->phase[p] / estimate->seconds * estimate->phase[p] / 2;
    }
    const double decoded_again =
        corpus->longest_compressed ? corpus->longest * corpus->decode_seconds / 2 : 0;
    const double recovered = estimate->phase[DH_PLAN_WRITE] / 2;
    return map / estimate->seconds * (map_lost + decoded_again) + rest_lost + recovered +
           estimate->start_seconds + corpus->discover_seconds;
}

dh_estimate dh_plan_estimate(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                             const dh_plan_job *job)
{
    const uint32_t ranks = job->nodes * job->ranks_per_node;
    double scale = large->content > 0 ? corpus->content / large->content : 0;
    if (job->whole) {
        scale = 1; /* also where no source has a byte: an empty text is a document */
    }
    dh_estimate made = {
        .content = corpus->content,
        .documents = large->documents * scale,
        .bad = large->bad * scale,
        .text_bytes = large->text_bytes * scale,
        .idle_ranks = corpus->items < ranks ? ranks - (uint32_t)corpus->items : 0,
    };
    const bool known = corpus->content_error >= 0 && corpus->document_error >= 0;
    made.document_error = known ? sqrt(corpus->content_error * corpus->content_error +
                                       corpus->document_error * corpus->document_error)
                                : -1;
    if (corpus->text_documents > 0) {
        made.documents = (double)corpus->text_documents - made.bad;
        made.document_error = 0;
    }
    if (job->whole) {
        made.document_error = 0;
    }
    estimate_time(small, large, corpus, ranks, &made);
    estimate_memory(small, large, corpus, job, &made);
    estimate_space(small, large, corpus, ranks, &made);
    made.interruption_seconds = interruption_cost(corpus, job, &made);
    return made;
}

/* ---- cost -------------------------------------------------------------------------------------------- */

double dh_plan_price(double seconds, uint32_t nodes, double price)
{
    return seconds / HOUR * nodes * price;
}

dh_cost dh_plan_spot_cost(double seconds, double interruption_seconds, uint32_t nodes, const dh_spot *spot)
{
    /* Any node that goes ends the run. In the time T that is paid there are rate * nodes * T interruptions,
     * each of which adds what it costs to T. */
    const double rate = spot->rate * nodes / HOUR;
    const double each = interruption_seconds + spot->restart_seconds;
    const double useful = 1 - rate * each;
    if (!(useful > 0)) {
        return (dh_cost){.seconds = -1, .interruptions = -1, .cost = -1};
    }
    dh_cost made = {.seconds = seconds / useful};
    made.interruptions = rate * made.seconds;
    made.cost = dh_plan_price(made.seconds, nodes, spot->price);
    return made;
}

/* ---- how sure it is ---------------------------------------------------------------------------------- */

bool dh_plan_waited_long(const dh_trial *trial)
{
    return trial->waited_seconds > WAITING_TOLD * trial->seconds;
}

double dh_plan_time_error(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                          const dh_plan_job *job)
{
    const bool grew = job->whole || (large->content >= DH_PLAN_GROWTH_LEAST * small->content &&
                                     large->content >= SHARE_LEAST * corpus->content);
    const bool as_measured = (uint64_t)job->nodes * job->ranks_per_node == large->ranks;
    return grew && as_measured && !dh_plan_waited_long(large) ? TIME_ERROR : -1;
}

/* ---- what to ask for --------------------------------------------------------------------------------- */

uint64_t dh_plan_minutes(const dh_estimate *estimate, double seconds)
{
    const double minutes = (seconds + estimate->start_seconds) * TIME_MARGIN / MINUTE + START_MINUTES;
    const double steps = ceil(minutes / MINUTES_STEP) * MINUTES_STEP;
    return steps > MINUTES_LEAST ? (uint64_t)steps : MINUTES_LEAST;
}

uint64_t dh_plan_mebibytes(const dh_estimate *estimate, uint32_t ranks)
{
    const double bytes = estimate->node_memory * MEMORY_MARGIN + NODE_BASE;
    return (uint64_t)ceil(bytes / ranks / MEBIBYTE / MEMORY_STEP) * MEMORY_STEP;
}
