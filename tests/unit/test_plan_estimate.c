/* dhatu plan: the arithmetic from trial runs to the whole corpus, and what is printed of it. */
#include "commands/plan_estimate.h"
#include "commands/plan_record.h"
#include "commands/plan_report.h"
#include "commands/plan_wait.h"
#include "unit/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void assert_near(double got, double wanted)
{
    if (fabs(got - wanted) > 1e-9 * (1 + fabs(wanted))) {
        fail_msg("%.12g is not %.12g", got, wanted);
    }
}

/* ---- lines, powers, ratios --------------------------------------------------------------------------- */

static void test_line_goes_through_both_points(void **state)
{
    (void)state;
    assert_near(dh_plan_line(1, 5, 3, 9, 1), 5);
    assert_near(dh_plan_line(1, 5, 3, 9, 3), 9);
    assert_near(dh_plan_line(1, 5, 3, 9, 13), 29);
    assert_near(dh_plan_line(1, 5, 3, 9, 0), 3);
    assert_near(dh_plan_line(1, 1, 3, 9, 0), 0);  /* nothing is below 0 */
    assert_near(dh_plan_line(1, 9, 3, 5, 99), 5); /* nothing falls */
    assert_near(dh_plan_line(3, 5, 3, 5, 99), 5); /* one trial */
}

static void test_power_law_of_terms(void **state)
{
    (void)state;
    assert_near(dh_plan_power(1, 10, 4, 20, 16), 40); /* square root */
    assert_near(dh_plan_power(1, 10, 4, 20, 4), 20);
    assert_near(dh_plan_power(1, 10, 2, 80, 4), 160); /* at most linear */
    assert_near(dh_plan_power(1, 10, 2, 5, 4), 5);    /* at least constant */
    assert_near(dh_plan_power(1, 0, 2, 5, 4), 5);
    assert_near(dh_plan_power(2, 5, 2, 5, 4), 5);
}

static void test_error_of_a_ratio(void **state)
{
    (void)state;
    dh_ratio ratio = {0};
    assert_true(dh_ratio_error(&ratio, 100) < 0);
    dh_ratio_add(&ratio, 2, 1);
    assert_true(dh_ratio_error(&ratio, 100) < 0); /* one says nothing of others */
    dh_ratio_add(&ratio, 4, 2);
    assert_near(dh_ratio_error(&ratio, 100), 0); /* all alike */
    dh_ratio_add(&ratio, 3, 1);
    const double error = dh_ratio_error(&ratio, 100);
    assert_true(error > 0 && error < 0.5);
    assert_true(dh_ratio_error(&ratio, 4) < error); /* most of them are known */
    assert_near(dh_ratio_error(&ratio, 3), 0);      /* all of them are */
    /* By hand: r = 9/4; residuals -0.25, -0.5, 0.75; variance 0.4375; mean of a is 3. */
    assert_near(dh_ratio_error(&ratio, 100), sqrt(0.4375 * 0.97 / 3) / 3);
}

/* ---- estimates --------------------------------------------------------------------------------------- */

static dh_trial trial(double content, double seconds)
{
    return (dh_trial){
        .content = content,
        .ranks = 1,
        .documents = content / 1000,
        .text_bytes = content * 0.9,
        .seconds = seconds,
        .start_seconds = 0.5,
        .phase = {seconds * 0.5, seconds * 0.25, seconds * 0.15, seconds * 0.1},
        .processor_seconds = seconds,
        .rank_map_seconds = seconds * 0.5,
        .kernel_seconds = seconds * 0.2,
        .result_bytes = content / 2,
        .spill_bytes = content / 4,
        .scratch_bytes = content / 3,
        .scratch_files = 4,
        .memory = 5e7 + content,
    };
}

static dh_corpus_facts corpus(double content)
{
    return (dh_corpus_facts){
        .sources = 1, .file_bytes = (uint64_t)content, .content = content, .items = 1000};
}

static dh_plan_job job(uint32_t nodes, uint32_t ranks)
{
    return (dh_plan_job){.nodes = nodes,
                         .ranks_per_node = ranks,
                         .memory_limit = 1e9,
                         .brings_together = true,
                         .commit_interval = 10};
}

static void test_one_rank_is_a_straight_line(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    const dh_corpus_facts facts = corpus(4e8);
    const dh_plan_job one = job(1, 1);
    const dh_estimate made = dh_plan_estimate(&small, &large, &facts, &one);
    assert_near(made.seconds, 400);
    assert_near(made.phase[DH_PLAN_MAP], 200);
    assert_near(made.phase[DH_PLAN_MAP] + made.phase[DH_PLAN_REDUCE] + made.phase[DH_PLAN_WRITE] +
                    made.phase[DH_PLAN_FINISH],
                made.seconds);
    assert_near(made.documents, 4e5);
    assert_near(made.text_bytes, 3.6e8);
    assert_near(made.result_bytes, 2e8);
    assert_near(made.spill_bytes, 1e8);
    assert_near(made.scratch_bytes, 4e8 / 3);
    assert_near(made.rank_memory, 4.5e8);
    assert_near(made.processor_seconds, 400);
    assert_near(made.kernel_share, 0.2);
    assert_near(made.accelerated, 320);
    assert_false(made.bounded_by_source);
    assert_int_equal(made.idle_ranks, 0);
}

static void test_what_is_fixed_does_not_grow(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 2);
    const dh_trial large = trial(4e6, 2);
    const dh_corpus_facts facts = corpus(4e9);
    const dh_plan_job one = job(1, 1);
    assert_near(dh_plan_estimate(&small, &large, &facts, &one).phase[DH_PLAN_FINISH], 0.2);
}

/* Of documents each takes its time, however little two trials differ, or if the larger one was faster. */
static void test_work_grows_at_half_the_mean_at_least(void **state)
{
    (void)state;
    const dh_trial small = trial(3e6, 5);
    const dh_trial large = trial(4e6, 4);
    const dh_corpus_facts facts = corpus(4e8);
    dh_plan_job one = job(1, 1);
    const dh_estimate made = dh_plan_estimate(&small, &large, &facts, &one);
    assert_near(made.phase[DH_PLAN_MAP], 1 + 1e2);
    assert_near(made.phase[DH_PLAN_REDUCE], 0.5 + 50);
    assert_near(made.phase[DH_PLAN_WRITE], 0.3 + 30);
    assert_near(made.phase[DH_PLAN_FINISH], 0.4);
    assert_near(made.processor_seconds, 2 + 200);
    const dh_plan_job ten = job(1, 10);
    assert_near(dh_plan_estimate(&small, &large, &facts, &ten).phase[DH_PLAN_REDUCE], 0.5 + 5);
    assert_near(dh_plan_estimate(&large, &large, &facts, &one).phase[DH_PLAN_MAP], 101); /* one trial */
    const dh_corpus_facts read = corpus(4e6);
    one.whole = true;
    assert_near(dh_plan_estimate(&large, &large, &read, &one).seconds, 4);
}

static void test_a_corpus_without_bytes_has_what_its_trial_has(void **state)
{
    (void)state;
    dh_trial empty = trial(0, 1);
    empty.documents = 3;
    empty.bad = 2;
    const dh_corpus_facts facts = corpus(0);
    dh_plan_job one = job(1, 1);
    one.whole = true;
    const dh_estimate made = dh_plan_estimate(&empty, &empty, &facts, &one);
    assert_near(made.documents, 3);
    assert_near(made.bad, 2);
    assert_near(made.seconds, 1);
}

static void test_error_of_times_is_told_where_it_was_shown(void **state)
{
    (void)state;
    dh_trial small = trial(1e6, 1);
    dh_trial large = trial(3e6, 4);
    dh_plan_job one = job(1, 1);
    const dh_plan_job two = job(1, 2);
    dh_corpus_facts facts = corpus(6e7);
    assert_true(dh_plan_time_error(&small, &large, &facts, &one) < 0); /* too small a share */
    facts = corpus(3e7);
    assert_near(dh_plan_time_error(&small, &large, &facts, &one), 0.25);
    assert_true(dh_plan_time_error(&small, &large, &facts, &two) < 0);
    large.waited_seconds = 1;
    assert_true(dh_plan_time_error(&small, &large, &facts, &one) < 0);
    large.waited_seconds = 0.1;
    assert_near(dh_plan_time_error(&small, &large, &facts, &one), 0.25);
    small.content = 2e6;
    assert_true(dh_plan_time_error(&small, &large, &facts, &one) < 0);
    one.whole = true;
    assert_near(dh_plan_time_error(&small, &large, &facts, &one), 0.25);
    large.ranks = 2;
    assert_true(dh_plan_time_error(&small, &large, &facts, &one) < 0);
}

static void test_ranks_share_all_but_the_end(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    const dh_corpus_facts facts = corpus(4e8);
    const dh_plan_job ten = job(2, 5);
    const dh_estimate made = dh_plan_estimate(&small, &large, &facts, &ten);
    assert_near(made.seconds, (200.0 + 100 + 60) / 10 + 40);
    assert_near(made.rank_memory, 5e7 + 4e7);
    assert_near(made.node_memory, 5 * 9e7);
    assert_true(made.scratch_files >= 2 * 10);
}

static void test_memory_is_limited(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    const dh_corpus_facts facts = corpus(4e12);
    dh_plan_job one = job(1, 1);
    assert_near(dh_plan_estimate(&small, &large, &facts, &one).rank_memory, 1e9);
    one.exceeds_memory = true; /* however little the trials took */
    const dh_corpus_facts few = corpus(5e6);
    assert_near(dh_plan_estimate(&small, &large, &few, &one).rank_memory, 1e9);
    one.exceeds_memory = false;
    assert_near(dh_plan_estimate(&small, &large, &few, &one).rank_memory, 5.5e7);
    one.brings_together = false;
    assert_true(dh_plan_estimate(&small, &large, &facts, &one).rank_memory < 5e8);
    one.memory_limit = 1; /* a giant document had taken more already */
    assert_near(dh_plan_estimate(&small, &large, &facts, &one).rank_memory, large.memory);
}

static void test_a_long_compressed_source_bounds_the_time(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    dh_corpus_facts facts = corpus(4e8);
    facts.compressed_content = 4e8;
    facts.compressed_sources = 2;
    facts.longest = 3e8;
    facts.longest_compressed = true;
    facts.decode_seconds = 1e-7;
    const dh_plan_job many = job(1, 100);
    const dh_estimate made = dh_plan_estimate(&small, &large, &facts, &many);
    assert_true(made.bounded_by_source);
    /* Of half a second a megabyte the kernels are 0.2, which others may compute. */
    assert_near(made.phase[DH_PLAN_MAP], 3e8 * (0.3e-6 + 1e-7));
    assert_near(made.accelerated, made.seconds);
    const dh_plan_job one = job(1, 1);
    const dh_estimate alone = dh_plan_estimate(&small, &large, &facts, &one);
    assert_false(alone.bounded_by_source);
    assert_near(alone.phase[DH_PLAN_MAP], 200 + 40);
    assert_near(alone.processor_seconds, 440);
}

static void test_ranks_without_work_do_not_help(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    dh_corpus_facts facts = corpus(4e8);
    facts.items = 3;
    const dh_plan_job three = job(1, 3);
    const dh_plan_job eight = job(1, 8);
    const dh_estimate few = dh_plan_estimate(&small, &large, &facts, &three);
    const dh_estimate more = dh_plan_estimate(&small, &large, &facts, &eight);
    assert_near(few.phase[DH_PLAN_MAP], more.phase[DH_PLAN_MAP]);
    assert_near(few.accelerated, more.accelerated - more.seconds + few.seconds);
    assert_int_equal(few.idle_ranks, 0);
    assert_int_equal(more.idle_ranks, 5);
}

static void test_texts_are_counted(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    dh_corpus_facts facts = corpus(4e8);
    facts.text_documents = 12345;
    facts.document_error = 0.5;
    const dh_plan_job one = job(1, 1);
    const dh_estimate made = dh_plan_estimate(&small, &large, &facts, &one);
    assert_near(made.documents, 12345);
    assert_near(made.document_error, 0);
}

/* A source that comes from a disk is slower than the sample, which is in the page cache. */
static void test_slow_storage_counts(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    dh_corpus_facts facts = corpus(4e8);
    facts.storage_seconds = 1e-6;
    const dh_plan_job one = job(1, 1);
    assert_near(dh_plan_estimate(&small, &large, &facts, &one).seconds, 800);
}

/* ---- cost and what to ask for ------------------------------------------------------------------------ */

static void test_prices(void **state)
{
    (void)state;
    assert_near(dh_plan_price(7200, 3, 1.5), 9);
    const dh_spot never = {.price = 2, .rate = 0, .restart_seconds = 100};
    assert_near(dh_plan_spot_cost(3600, 10, 2, &never).cost, 4);
    assert_near(dh_plan_spot_cost(3600, 10, 2, &never).interruptions, 0);
    /* Two nodes, each lost once in two hours: one interruption an hour of 360 s, so a tenth of the time. */
    const dh_spot often = {.price = 2, .rate = 0.5, .restart_seconds = 350};
    const dh_cost cost = dh_plan_spot_cost(3240, 10, 2, &often);
    assert_near(cost.seconds, 3600);
    assert_near(cost.interruptions, 1);
    assert_near(cost.cost, 4);
    const dh_spot hopeless = {.price = 2, .rate = 20, .restart_seconds = 350};
    assert_true(dh_plan_spot_cost(3240, 10, 1, &hopeless).cost < 0);
}

static void test_commits_bound_what_is_lost(void **state)
{
    (void)state;
    const dh_trial small = trial(1e6, 1);
    const dh_trial large = trial(4e6, 4);
    const dh_corpus_facts facts = corpus(4e8);
    dh_plan_job one = job(1, 1);
    const double often = dh_plan_estimate(&small, &large, &facts, &one).interruption_seconds;
    one.commit_interval = 0;
    const double never = dh_plan_estimate(&small, &large, &facts, &one).interruption_seconds;
    assert_near(never - often, 0.5 * (100 - 5)); /* half of the time is the map phase */
}

static void test_margins(void **state)
{
    (void)state;
    dh_estimate made = {.start_seconds = 0, .node_memory = 3e9};
    assert_int_equal(dh_plan_minutes(&made, 1), 10);
    assert_true(dh_plan_minutes(&made, 36000) >= 900);
    assert_int_equal(dh_plan_minutes(&made, 36000) % 5, 0);
    assert_true((double)dh_plan_mebibytes(&made, 8) * 1048576 * 8 >= 1.25 * 3e9);
    assert_true((double)dh_plan_mebibytes(&made, 8) * 1048576 * 8 < 2.0 * 3e9);
    assert_int_equal(dh_plan_mebibytes(&made, 7) % 16, 0);
}

/* ---- records of runs, waiting ------------------------------------------------------------------------ */

static const char record[] =
    "{\"seconds\": 2.5, \"documents\": 10, \"result_bytes\": 20, \"source_bytes\": 30, \"command\": "
    "[\"a\\\"}\"],\n"
    "\"phase_seconds\": "
    "{\"plan\":0.1,\"map\":1,\"reduce\":0.5,\"ids\":0.1,\"rows\":0.1,\"matrix\":0.1,\"sources\":0.1,"
    "\"finish\":0.2},\n"
    "\"rank_figures\": [\n"
    " {\"rank\":0,\"host\":\"a\\\"}{\",\"memory_bytes\":5,\"spill_bytes\":1,\"text_bytes\":2,\"bad\":3,"
    "\"seconds\":{\"map\":1,\"read\":0.25,\"user\":2,\"system\":1,\"job profile\":0.5,\"job "
    "documents\":0.25}},\n"
    " {\"rank\":1,\"host\":\"b\",\"memory_bytes\":7,\"spill_bytes\":1,\"text_bytes\":2,\"bad\":0,"
    "\"seconds\":{\"map\":1,\"read\":0.25,\"user\":2,\"system\":1,\"job profile\":0.5,\"job "
    "documents\":0.25}}]}";

static void test_record_of_a_run(void **state)
{
    (void)state;
    dh_trial made = {0};
    assert_ok(dh_plan_read_record("it", record, sizeof record - 1, &made));
    assert_int_equal(made.ranks, 2);
    assert_near(made.seconds, 2.5);
    assert_near(made.content, 30);
    assert_near(made.memory, 7);
    assert_near(made.spill_bytes, 2);
    assert_near(made.text_bytes, 4);
    assert_near(made.bad, 3);
    assert_near(made.processor_seconds, 6);
    assert_near(made.kernel_seconds, 1.5);
    assert_near(made.read_seconds, 0.5);
    assert_near(made.phase[DH_PLAN_MAP], 1);
    assert_near(made.phase[DH_PLAN_WRITE], 0.4);
    assert_near(made.phase[DH_PLAN_FINISH], 0.6);
}

static void test_what_is_no_record(void **state)
{
    (void)state;
    dh_trial made = {0};
    assert_int_equal(dh_plan_read_record("it", "{}", 2, &made), DH_INTERNAL);
    for (size_t size = 0; size < sizeof record - 1; size += 7) {
        made = (dh_trial){0};
        assert_int_equal(dh_plan_read_record("it", record, size, &made), DH_INTERNAL);
    }
}

static void test_waiting_of_the_last_seconds(void **state)
{
    (void)state;
    dh_wait_history history = {0};
    assert_near(dh_wait_of_last(&history, 5), 0);
    assert_ok(dh_wait_note(&history, 100, 1));
    assert_ok(dh_wait_note(&history, 102, 2));
    assert_ok(dh_wait_note(&history, 104, 5));
    assert_ok(dh_wait_note(&history, 105, 0)); /* it is gone */
    assert_near(dh_wait_of_last(&history, 3), 3);
    assert_near(dh_wait_of_last(&history, 2), 1.5);
    assert_near(dh_wait_of_last(&history, 1), 0);
    assert_near(dh_wait_of_last(&history, 4), 3.5);
    assert_near(dh_wait_of_last(&history, 50), 4);
    dh_buffer_free(&history.moments);
}

/* ---- what is said ------------------------------------------------------------------------------------ */

typedef dh_status append_report(const dh_plan_report *report, dh_buffer *out);

static void assert_report(append_report append, const dh_plan_report *report, const char *wanted, bool does)
{
    dh_buffer out = {0};
    assert_ok(append(report, &out));
    assert_ok(dh_buffer_append(&out, "", 1));
    if ((strstr((const char *)out.data, wanted) != NULL) != does) {
        fail_msg("\"%s\" is %s in:\n%s", wanted, does ? "not" : "", (const char *)out.data);
    }
    dh_buffer_free(&out);
}

static void test_advice_goes_by_price_and_share(void **state)
{
    (void)state;
    dh_estimate made = {.seconds = 100, .accelerated = 50, .kernel_share = 0.5};
    dh_plan_request request = {.job = job(1, 1), .gpus = 1, .price_cpu = -1, .price_gpu = -1};
    dh_plan_report report = {.request = &request, .estimate = &made};
    assert_report(dh_plan_append_advice, &report, "less than 2.00 times a CPU node", true);
    request.price_cpu = 1;
    request.price_gpu = 3;
    assert_report(dh_plan_append_advice, &report, "it does not pay", true);
    request.price_gpu = 1.5;
    assert_report(dh_plan_append_advice, &report, "may pay", true);
    made.kernel_share = 0.05;
    made.accelerated = 95;
    assert_report(dh_plan_append_advice, &report, "does not pay: kernels take 5 %", true);
}

static void test_notes_say_what_is_not_known(void **state)
{
    (void)state;
    dh_trial small = trial(1e6, 1);
    dh_trial large = trial(4e6, 4);
    dh_corpus_facts facts = corpus(4e7);
    dh_plan_request request = {.job = job(1, 1), .price_cpu = -1, .price_gpu = -1};
    request.spot_cpu.price = request.spot_gpu.price = -1;
    dh_estimate made = dh_plan_estimate(&small, &large, &facts, &request.job);
    dh_plan_report report = {
        .request = &request, .corpus = &facts, .small = &small, .large = &large, .estimate = &made};
    assert_report(dh_plan_append_text, &report, "note", false);
    assert_report(dh_plan_append_text, &report, "GPU", false);
    assert_report(dh_plan_append_text, &report, "cost", false);
    assert_report(dh_plan_append_text, &report, "+/- 25 % on machines like this one", true);
    assert_report(dh_plan_append_json, &report, "\"time_error\": 0.25", true);
    small.content = 2.5e6;
    assert_report(dh_plan_append_text, &report, "only 1.6 times", true);
    assert_report(dh_plan_append_text, &report, "25 %", false);
    assert_report(dh_plan_append_json, &report, "\"time_error\": null", true);
    small.content = 1e6;
    large.waited_seconds = 4;
    assert_report(dh_plan_append_text, &report, "busy: the trial waited 50 %", true);
    assert_report(dh_plan_append_text, &report, "rough", false);
    large.ranks = 2;
    assert_report(dh_plan_append_text, &report, "waited for one another make them rough", true);
    large.ranks = 1;
    large.waited_seconds = 0;
    report.ranks_failed = true;
    assert_report(dh_plan_append_text, &report, "mpirun could not be used", true);
    facts.items = 2;
    request.job.ranks_per_node = 64;
    made = dh_plan_estimate(&small, &large, &facts, &request.job);
    assert_report(dh_plan_append_text, &report, "work for 2 of 64 ranks", true);
    assert_report(dh_plan_append_text, &report, "measured with 1 rank; 64", true);
    assert_report(dh_plan_append_text, &report, "#SBATCH --ntasks-per-node=64", true);
    assert_report(dh_plan_append_brief, &report, "64 ranks", true);
    assert_report(dh_plan_append_json, &report, "\"idle_ranks\": 62", true);
    assert_report(dh_plan_append_json, &report, "\"spot_cost\": null", true);
    request.gpus = 2;
    (void)snprintf(request.gpu_type, sizeof request.gpu_type, "h100");
    assert_report(dh_plan_append_text, &report, "#SBATCH --gpus-per-node=h100:2", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_goes_through_both_points),
        cmocka_unit_test(test_power_law_of_terms),
        cmocka_unit_test(test_error_of_a_ratio),
        cmocka_unit_test(test_one_rank_is_a_straight_line),
        cmocka_unit_test(test_what_is_fixed_does_not_grow),
        cmocka_unit_test(test_work_grows_at_half_the_mean_at_least),
        cmocka_unit_test(test_a_corpus_without_bytes_has_what_its_trial_has),
        cmocka_unit_test(test_error_of_times_is_told_where_it_was_shown),
        cmocka_unit_test(test_ranks_share_all_but_the_end),
        cmocka_unit_test(test_memory_is_limited),
        cmocka_unit_test(test_a_long_compressed_source_bounds_the_time),
        cmocka_unit_test(test_ranks_without_work_do_not_help),
        cmocka_unit_test(test_texts_are_counted),
        cmocka_unit_test(test_slow_storage_counts),
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_commits_bound_what_is_lost),
        cmocka_unit_test(test_margins),
        cmocka_unit_test(test_record_of_a_run),
        cmocka_unit_test(test_what_is_no_record),
        cmocka_unit_test(test_waiting_of_the_last_seconds),
        cmocka_unit_test(test_advice_goes_by_price_and_share),
        cmocka_unit_test(test_notes_say_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
