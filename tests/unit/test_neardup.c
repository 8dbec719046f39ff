/* Near-duplicates: what needs no ranks. */
#include "lanes.h"

#include "reduce/neardup.h"
#include "reduce/neardup_match.h"
#include "reduce/neardup_union.h"

#include <math.h>

/* ---- comparison of signatures ------------------------------------------------------------------------ */

static void test_threshold_in_places(void **state)
{
    (void)state;
    assert_int_equal(dh_match_least_equal(0.75, 112), 84);
    assert_int_equal(dh_match_least_equal(0.8, 112), 90); /* 89.6 */
    assert_int_equal(dh_match_least_equal(1.0, 112), 112);
    assert_int_equal(dh_match_least_equal(0.07, 100), 7); /* 7.000000000000001 in doubles */
    assert_int_equal(dh_match_least_equal(0.0001, 16), 1);
    for (uint32_t places = 1; places <= 1024; places++) {
        for (uint32_t equal = 1; equal <= places; equal += 1 + equal / 7) {
            assert_int_equal(dh_match_least_equal((double)equal / places, places), equal);
        }
    }
}

static void test_bands(void **state)
{
    (void)state;
    const dh_match match = {.bands = 3, .band_rows = 2, .least_equal = 4};
    const uint32_t a[] = {1, 2, 3, 4, 1, 2};
    const uint32_t b[] = {1, 9, 3, 4, 1, 2};
    const uint32_t c[] = {1, 9, 3, 9, 1, 9};
    assert_int_equal(dh_match_equal(a, b, 6), 5);
    assert_true(dh_match_is_near(&match, a, b));
    assert_false(dh_match_is_near(&match, a, c));
    /* The same values in another band are another bucket. */
    assert_int_not_equal(dh_match_band_key(&match, a, 0), dh_match_band_key(&match, a, 2));
    assert_int_equal(dh_match_band_key(&match, a, 1), dh_match_band_key(&match, b, 1));
    assert_int_equal(dh_match_band_of_key(&match, a, dh_match_band_key(&match, b, 2)), 2);
    assert_int_equal(dh_match_band_of_key(&match, a, 12345), 3);
    assert_false(dh_match_share_before(&match, a, b, 1));
    assert_true(dh_match_share_before(&match, a, b, 2));
    assert_false(dh_match_share_before(&match, a, c, 3));
}

static void test_leaders(void **state)
{
    (void)state;
    enum { PLACES = 4, FAMILIES = 100 };
    const dh_match match = {.bands = 2, .band_rows = 2, .least_equal = 3};
    uint32_t memory[DH_BUCKET_LEADERS_MAX][PLACES];
    dh_leaders leaders = {.signature = memory[0]};
    uint64_t compared = 0;
    for (uint32_t family = 0; family < FAMILIES; family++) {
        const uint32_t signature[PLACES] = {family, family, family, 7};
        const uint32_t found = dh_leaders_find(&leaders, &match, signature, &compared);
        assert_int_equal(found, leaders.count);
        dh_leaders_add(&leaders, &match, family, signature);
    }
    assert_int_equal(leaders.count, DH_BUCKET_LEADERS_MAX);
    /* However many come, each costs at most so many comparisons. */
    assert_true(compared <= (uint64_t)FAMILIES * DH_BUCKET_LEADERS_MAX);
    for (uint32_t family = 0; family < FAMILIES; family++) {
        const uint32_t signature[PLACES] = {family, family, family, 8};
        compared = 0;
        const uint32_t found = dh_leaders_find(&leaders, &match, signature, &compared);
        const uint32_t expected = family < DH_BUCKET_LEADERS_MAX ? family : DH_BUCKET_LEADERS_MAX;
        assert_int_equal(found, expected);
        assert_true(compared <= DH_BUCKET_LEADERS_MAX);
        if (found < leaders.count) {
            assert_int_equal(leaders.row[found], family);
            assert_int_equal(compared, family + 1);
        }
    }
}

/* ---- union-find -------------------------------------------------------------------------------------- */

enum { NODES = 5000 };

typedef struct label_list {
    uint64_t least[NODES];
    unsigned told;
} label_list;

static dh_status take_label(void *context, uint64_t node, uint64_t least)
{
    label_list *labels = context;
    assert_true(least < node && node < NODES);
    labels->least[node] = least;
    labels->told++;
    return DH_OK;
}

/* The plain one: labels are lowered until nothing changes. */
static void label_plainly(const uint64_t (*edge)[2], size_t edges, uint64_t *label)
{
    for (uint64_t node = 0; node < NODES; node++) {
        label[node] = node;
    }
    for (bool changes = true; changes;) {
        changes = false;
        for (size_t e = 0; e < edges; e++) {
            const uint64_t a = edge[e][0];
            const uint64_t b = edge[e][1];
            const uint64_t least = label[a] < label[b] ? label[a] : label[b];
            changes = changes || label[a] != label[b];
            label[a] = least;
            label[b] = least;
        }
    }
}

static void test_union_of_random_graphs(void **state)
{
    (void)state;
    static uint64_t edge[NODES][2];
    static uint64_t expected[NODES];
    static label_list got;
    for (unsigned turn = 0; turn < support_turns(30); turn++) {
        const size_t edges = 1 + support_random_below(NODES - 1);
        dh_union *set = NULL;
        assert_ok(dh_union_create(UINT64_C(1) << 20, NODES, &set));
        for (size_t e = 0; e < edges; e++) {
            edge[e][0] = support_random_below(NODES);
            edge[e][1] = support_random_below(NODES);
            assert_true(dh_union_add(set, edge[e][0], edge[e][1]));
        }
        for (uint64_t node = 0; node < NODES; node++) {
            got.least[node] = node;
        }
        got.told = 0;
        assert_ok(dh_union_drain(set, take_label, &got));
        label_plainly((const uint64_t(*)[2])edge, edges, expected);
        unsigned members = 0;
        for (uint64_t node = 0; node < NODES; node++) {
            assert_int_equal(got.least[node], expected[node]);
            members += expected[node] != node;
        }
        assert_int_equal(got.told, members); /* each once */
        got.told = 0;
        assert_ok(dh_union_drain(set, take_label, &got));
        assert_int_equal(got.told, 0);
        dh_union_free(set);
    }
}

static void test_union_is_bounded(void **state)
{
    (void)state;
    static label_list got;
    dh_union *set = NULL;
    assert_ok(dh_union_create(1024, UINT64_C(1) << 40, &set)); /* 64 slots, 32 nodes */
    unsigned taken = 0;
    while (dh_union_add(set, 2 * taken, 2 * taken + 1)) {
        taken++;
        assert_true(taken <= 16);
    }
    assert_true(taken >= 8);
    got.told = 0;
    assert_ok(dh_union_drain(set, take_label, &got));
    assert_int_equal(got.told, taken);
    assert_true(dh_union_add(set, 1, 2)); /* there is room again */
    dh_union_free(set);
}

static dh_status refuse(void *context, uint64_t node, uint64_t least)
{
    (void)node;
    (void)least;
    ++*(unsigned *)context;
    return DH_IO;
}

static void test_union_drain_fails(void **state)
{
    (void)state;
    unsigned calls = 0;
    dh_union *set = NULL;
    assert_ok(dh_union_create(1024, 100, &set));
    assert_true(dh_union_add(set, 1, 2));
    assert_true(dh_union_add(set, 3, 4));
    assert_int_equal(dh_union_drain(set, refuse, &calls), DH_IO);
    assert_int_equal(calls, 1);
    assert_ok(dh_union_drain(set, refuse, &calls)); /* it is empty */
    dh_union_free(set);
}

/* ---- the S-curve ------------------------------------------------------------------------------------- */

static void test_chance(void **state)
{
    (void)state;
    assert_true(dh_neardup_chance(0.0, 14, 8) == 0.0);
    assert_true(dh_neardup_chance(1.0, 14, 8) == 1.0);
    for (int i = 0; i <= 100; i++) {
        const double s = i / 100.0;
        assert_true(fabs(dh_neardup_chance(s, 14, 8) - (1.0 - pow(1.0 - pow(s, 8), 14))) < 1e-12);
    }
    assert_true(fabs(dh_neardup_chance(0.5, 1, 1) - 0.5) < 1e-15);
}

/* ---- the job ----------------------------------------------------------------------------------------- */

/* What is wrong with the last document that a backend computes. */
typedef enum fault {
    FAULT_NONE = 0,
    FAULT_SIGNATURE,
    FAULT_SHINGLES,
    FAULT_DIGEST,
    FAULT_MINHASH_LOST,
    FAULT_DIGEST_LOST,
    FAULT_COUNT
} fault;

static fault current;

static dh_backend_status broken_minhash(dh_lane *lane, const dh_minhash_options *options,
                                        const dh_minhash_out *out)
{
    const dh_backend_status status = dh_backend_cpu.minhash(lane, options, out);
    const uint32_t last = lane->batch->document_count - 1;
    out->signature[(last + 1) * options->permutations - 1] ^= current == FAULT_SIGNATURE;
    out->shingles[last] += current == FAULT_SHINGLES;
    return current == FAULT_MINHASH_LOST ? DH_BACKEND_LOST : status;
}

static dh_backend_status broken_digest(dh_lane *lane, uint8_t *digest)
{
    enum { SIZE = 32 };
    const dh_backend_status status = dh_backend_cpu.sha256_spelling(lane, digest);
    digest[lane->batch->document_count * SIZE - 1] ^= current == FAULT_DIGEST;
    return current == FAULT_DIGEST_LOST ? DH_BACKEND_LOST : status;
}

static const dh_job_options job_options = {.shingle_tokens = 5,
                                           .bands = 14,
                                           .band_rows = 8,
                                           .min_shingles = 5,
                                           .threshold = 0.75,
                                           .minhash_seed = 1};

static void test_self_test_sees_every_fault(void **state)
{
    (void)state;
    dh_backend_kind kind = dh_backend_cpu;
    kind.name = "broken";
    kind.minhash = broken_minhash;
    kind.sha256_spelling = broken_digest;
    dh_backend *backend = open_cpu();
    backend->kind = &kind;
    void *job = NULL;
    assert_ok(dh_job_neardup.create(&(dh_job_setup){.options = &job_options}, &job));
    for (current = FAULT_NONE; current < FAULT_COUNT; current++) {
        support_capture_begin();
        const dh_status status = dh_job_neardup.self_test(job, backend);
        const char *said = support_capture_end();
        assert_int_equal(status, current == FAULT_NONE ? DH_OK : DH_INTERNAL);
        if (status != DH_OK) {
            assert_says(said, "broken");
        }
    }
    dh_job_neardup.free(job);
    dh_backend_cpu.close(backend);
}

static void test_columns(void **state)
{
    (void)state;
    dh_job_options options = job_options;
    for (int keep = 0; keep < 2; keep++) {
        dh_column column[DH_JOB_COLUMNS_MAX];
        void *job = NULL;
        options.keep_minhash = keep != 0;
        assert_ok(dh_job_neardup.create(&(dh_job_setup){.options = &options}, &job));
        assert_int_equal(dh_job_neardup.columns(job, column), 3);
        assert_int_equal(column[0].place, keep ? DH_OBSM : DH_KEPT);
        assert_int_equal(column[1].place, DH_KEPT);
        assert_int_equal(column[2].place, keep ? DH_OBS : DH_KEPT);
        assert_int_equal(dh_column_row_size(&column[0]), 14 * 8 * 4);
        assert_int_equal(dh_column_row_size(&column[1]), 32);
        dh_job_neardup.free(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threshold_in_places),
        cmocka_unit_test(test_bands),
        cmocka_unit_test(test_leaders),
        cmocka_unit_test(test_union_of_random_graphs),
        cmocka_unit_test(test_union_is_bounded),
        cmocka_unit_test(test_union_drain_fails),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_self_test_sees_every_fault),
        cmocka_unit_test(test_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
