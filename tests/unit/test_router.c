/* Tests of route/router.h: each rule by itself. tests/unit/test_router_runs.c has whole runs. */
#include "support.h"

#include "route/router.h"

#include <math.h>

enum { BYTES = 1 << 20 };
static const double millisecond = 0.001;

/* Computes a batch in 10 ms and fills one in 1 ms. */
static dh_router usual_router(void)
{
    return (dh_router){.seconds_per_byte = 10 * millisecond / BYTES, .fill_seconds = millisecond};
}

/* An open place that takes so long for a batch, and was measured just now (the clock is at 100). */
static dh_place_view place_of(double seconds)
{
    return (dh_place_view){.is_open = true, .seconds_per_byte = seconds / BYTES, .measured_at = 100};
}

static int choose(dh_router *router, const dh_place_view *place, uint32_t count, uint32_t free_slots)
{
    return dh_router_choose(router, place, count, BYTES, free_slots, 100);
}

/* ---- where a batch goes ------------------------------------------------------------------------------ */

static void test_without_places_it_stays(void **state)
{
    (void)state;
    dh_router router = usual_router();
    assert_int_equal(choose(&router, NULL, 0, 3), DH_ROUTE_HERE);
    router.policy = DH_ROUTE_DEVICE;
    assert_int_equal(choose(&router, NULL, 0, 3), DH_ROUTE_HERE);
}

static void test_the_policy_self_keeps_all(void **state)
{
    (void)state;
    dh_router router = usual_router();
    const dh_place_view fast = place_of(1e-6);
    assert_int_equal(choose(&router, &fast, 1, 3), 0);
    router.policy = DH_ROUTE_SELF;
    assert_int_equal(choose(&router, &fast, 1, 3), DH_ROUTE_HERE);
}

static void test_the_policy_device_takes_any_device(void **state)
{
    (void)state;
    dh_router router = usual_router();
    router.policy = DH_ROUTE_DEVICE;
    dh_place_view place[] = {place_of(1e-6), place_of(1000 * millisecond), place_of(100 * millisecond)};
    place[1].is_device = true;
    place[2].is_device = true;
    for (int i = 0; i < 3; i++) { /* the faster of the slow devices, and no rank */
        assert_int_equal(choose(&router, place, COUNT(place), 0), 2);
    }
    place[2].is_open = false;
    assert_int_equal(choose(&router, place, COUNT(place), 0), 1);
    place[1].seconds_per_byte = 0; /* not measured: as good as any */
    assert_int_equal(choose(&router, place, COUNT(place), 0), 1);
    place[1].is_open = false;
    assert_int_equal(choose(&router, place, COUNT(place), 0), DH_ROUTE_HERE);
}

static void test_closed_places_get_nothing(void **state)
{
    (void)state;
    dh_router router = usual_router();
    dh_place_view place[] = {place_of(1e-6), place_of(2e-6)};
    place[0].is_open = false;
    assert_int_equal(choose(&router, place, 2, 3), 1);
    place[1].is_open = false;
    place[0].seconds_per_byte = 0; /* no probes either */
    assert_int_equal(choose(&router, place, 2, 3), DH_ROUTE_HERE);
}

/* One that waits for its last batch wants it as early as can be. */
static void test_who_waits_takes_the_earlier(void **state)
{
    (void)state;
    dh_router router = usual_router();
    dh_place_view place = place_of(9 * millisecond);
    assert_int_equal(choose(&router, &place, 1, 0), 0);
    place = place_of(11 * millisecond);
    assert_int_equal(choose(&router, &place, 1, 0), DH_ROUTE_HERE);
}

/* With free slots there is other work meanwhile: a free one is filled and computed in 11 ms. */
static void test_free_slots_give_places_time(void **state)
{
    (void)state;
    dh_router router = usual_router();
    for (uint32_t slots = 0; slots < 4; slots++) {
        const double here = 10 + 11.0 * slots;
        dh_place_view place = place_of((here - 0.5) * millisecond);
        assert_int_equal(choose(&router, &place, 1, slots), 0);
        place = place_of((here + 0.5) * millisecond);
        assert_int_equal(choose(&router, &place, 1, slots), DH_ROUTE_HERE);
    }
}

static void test_the_queue_and_the_way_count(void **state)
{
    (void)state;
    dh_router router = usual_router();
    dh_place_view place = place_of(2 * millisecond);
    place.queued_bytes = 3.9 * BYTES; /* 9.8 ms with the batch */
    assert_int_equal(choose(&router, &place, 1, 0), 0);
    place.way_seconds = 0.3 * millisecond;
    assert_int_equal(choose(&router, &place, 1, 0), DH_ROUTE_HERE);
    place.way_seconds = 0;
    place.queued_bytes = 4.1 * BYTES;
    assert_int_equal(choose(&router, &place, 1, 0), DH_ROUTE_HERE);
    dh_place_view two[] = {place, place_of(9 * millisecond)};
    assert_int_equal(choose(&router, two, 2, 0), 1);
}

static void test_the_size_of_the_batch_counts(void **state)
{
    (void)state;
    dh_router router = usual_router();
    dh_place_view place = place_of(millisecond);
    place.way_seconds = 2 * millisecond;
    assert_int_equal(dh_router_choose(&router, &place, 1, BYTES, 0, 100), 0);
    assert_int_equal(dh_router_choose(&router, &place, 1, BYTES / 16, 0, 100), DH_ROUTE_HERE);
}

/* ---- equal places ------------------------------------------------------------------------------------ */

static void test_equal_places_take_turns(void **state)
{
    (void)state;
    dh_router router = usual_router();
    dh_place_view place[5];
    for (int p = 0; p < 5; p++) { /* about as early: up to a fifth apart */
        place[p] = place_of((1 + 0.04 * p) * millisecond);
    }
    place[2].is_open = false;
    unsigned times[5] = {0};
    for (int i = 0; i < 40; i++) {
        times[choose(&router, place, 5, 3)]++;
    }
    for (int p = 0; p < 5; p++) {
        assert_int_equal(times[p], p == 2 ? 0 : 10);
    }
}

static void test_the_earlier_place_is_taken_again(void **state)
{
    (void)state;
    dh_router router = usual_router();
    const dh_place_view place[] = {place_of(2 * millisecond), place_of(millisecond),
                                   place_of(2 * millisecond)};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(choose(&router, place, 3, 3), 1);
    }
}

/* Exactly as early as here: no way there pays. */
static void test_a_tie_stays_here(void **state)
{
    (void)state;
    dh_router router = {.seconds_per_byte = 0x1p-30, .fill_seconds = 0};
    const dh_place_view place = {.is_open = true, .seconds_per_byte = 0x1p-30, .measured_at = 100};
    assert_int_equal(choose(&router, &place, 1, 0), DH_ROUTE_HERE);
}

/* ---- probes ------------------------------------------------------------------------------------------ */

static void test_a_new_place_gets_one_batch(void **state)
{
    (void)state;
    dh_router router = usual_router();
    dh_place_view place = {.is_open = true};
    assert_int_equal(choose(&router, &place, 1, 0), DH_ROUTE_HERE); /* no time for experiments */
    assert_int_equal(choose(&router, &place, 1, 1), 0);
    place.queued_bytes = 1; /* it has it */
    assert_int_equal(choose(&router, &place, 1, 1), DH_ROUTE_HERE);
    dh_router fresh = {0}; /* nothing known at all */
    assert_int_equal(choose(&fresh, &place, 1, 1), DH_ROUTE_HERE);
    place.queued_bytes = 0;
    assert_int_equal(choose(&fresh, &place, 1, 1), 0);
}

static void test_a_slow_place_is_measured_again_after_a_while(void **state)
{
    (void)state;
    dh_router router = usual_router();
    const dh_place_view slow = place_of(1);
    assert_int_equal(dh_router_choose(&router, &slow, 1, BYTES, 3, 101.9), DH_ROUTE_HERE);
    assert_int_equal(dh_router_choose(&router, &slow, 1, BYTES, 3, 102.1), 0);
    assert_int_equal(dh_router_choose(&router, &slow, 1, BYTES, 0, 102.1), DH_ROUTE_HERE);
    dh_place_view busy = slow;
    busy.queued_bytes = 1;
    assert_int_equal(dh_router_choose(&router, &busy, 1, BYTES, 3, 102.1), DH_ROUTE_HERE);
}

/* ---- rates and sizes --------------------------------------------------------------------------------- */

static void test_the_running_mean(void **state)
{
    (void)state;
    double mean = 0;
    dh_router_learn(&mean, 4);
    assert_true(mean == 4);
    dh_router_learn(&mean, 9);
    assert_true(fabs(mean - 5) < 1e-12);
    for (int i = 0; i < 60; i++) {
        dh_router_learn(&mean, 2);
    }
    assert_true(fabs(mean - 2) < 1e-4);
}

static void test_a_way_goes_down_at_once_and_up_slowly(void **state)
{
    (void)state;
    double way = 0;
    dh_router_learn_way(&way, 0.01);
    assert_true(way == 0.01);
    dh_router_learn_way(&way, 0.002);
    assert_true(way == 0.002);
    for (int i = 0; i < 10; i++) { /* ten batches that wait for a place that is slow for once */
        dh_router_learn_way(&way, 1);
    }
    assert_true(way > 0.003 && way < 0.004);
    for (int i = 0; i < 200; i++) { /* it stays so */
        dh_router_learn_way(&way, 1);
    }
    assert_true(way == 1);
    dh_router_learn_way(&way, -1); /* the place was faster than thought: known, and next to nothing */
    assert_true(way > 0 && way < 1e-5);
}

static void test_a_rate_weighs_by_bytes_and_forgets(void **state)
{
    (void)state;
    dh_rate rate = {0};
    assert_true(dh_rate_learn(&rate, 1, 0, 50) == 0); /* no byte: nothing known */
    rate = (dh_rate){0};
    assert_true(fabs(dh_rate_learn(&rate, 0.001, 1000000, 50) - 1e-9) < 1e-15);
    /* A batch of 100 bytes takes 0.1 ms, a thousand times as long a byte. */
    assert_true(dh_rate_learn(&rate, 0.0001, 100, 50.001) < 1.2e-9);
    /* The device becomes ten times slower under load: soon known. */
    double now = 50.001;
    for (int i = 0; i < 8; i++) {
        now += 0.01;
        (void)dh_rate_learn(&rate, 0.01, 1000000, now);
    }
    assert_true(dh_rate_learn(&rate, 0.01, 1000000, now) > 8e-9);
    /* It rests, and then one batch is enough. */
    assert_true(fabs(dh_rate_learn(&rate, 0.001, 1000000, now + 2) - 1e-9) < 1e-15);
}

static void test_how_large_a_batch_is(void **state)
{
    (void)state;
    const uint64_t most = 1 << 20;
    assert_int_equal(dh_router_batch_bytes(NULL, 0, most), most);
    dh_place_view place[] = {{.is_open = true}, {.is_open = true}};
    assert_int_equal(dh_router_batch_bytes(place, 2, most), most); /* not measured */
    place[0].seconds_per_byte = 0.004 / 300000;
    assert_int_equal(dh_router_batch_bytes(place, 2, most) / 10, 30000);
    place[1].seconds_per_byte = 0.004 / 200000; /* the fastest counts */
    assert_int_equal(dh_router_batch_bytes(place, 2, most) / 10, 30000);
    place[0].is_open = false;
    assert_int_equal(dh_router_batch_bytes(place, 2, most) / 10, 20000);
    place[1].seconds_per_byte = 1;
    assert_int_equal(dh_router_batch_bytes(place, 2, most), 65536);
    assert_int_equal(dh_router_batch_bytes(place, 2, 1000), 1000); /* a small slot stays full */
    place[1].seconds_per_byte = 1e-12;
    assert_int_equal(dh_router_batch_bytes(place, 2, most), most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_places_it_stays),
        cmocka_unit_test(test_the_policy_self_keeps_all),
        cmocka_unit_test(test_the_policy_device_takes_any_device),
        cmocka_unit_test(test_closed_places_get_nothing),
        cmocka_unit_test(test_who_waits_takes_the_earlier),
        cmocka_unit_test(test_free_slots_give_places_time),
        cmocka_unit_test(test_the_queue_and_the_way_count),
        cmocka_unit_test(test_the_size_of_the_batch_counts),
        cmocka_unit_test(test_equal_places_take_turns),
        cmocka_unit_test(test_the_earlier_place_is_taken_again),
        cmocka_unit_test(test_a_tie_stays_here),
        cmocka_unit_test(test_a_new_place_gets_one_batch),
        cmocka_unit_test(test_a_slow_place_is_measured_again_after_a_while),
        cmocka_unit_test(test_the_running_mean),
        cmocka_unit_test(test_a_way_goes_down_at_once_and_up_slowly),
        cmocka_unit_test(test_a_rate_weighs_by_bytes_and_forgets),
        cmocka_unit_test(test_how_large_a_batch_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
