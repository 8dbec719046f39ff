/* Tests of route/router.h over whole runs in simulated time: devices much slower and much faster than the
 * processors, in between, idle ranks, devices that change. */
#include "route_runs.h"

static const double compute = 1 / 400e6; /* seconds a byte, of a rank */
static double fill = 1 / 400e6;
static const double text = 8e9;
static const double long_chunk = 64.0 * (1 << 20), short_chunk = 8.0 * (1 << 20);

enum { RANKS = 4 };

/* A run of RANKS ranks with one device that is so many times as fast as one rank. */
static run device_run(double times, double chunk)
{
    run r = make_run(RANKS, 1, text / RANKS, fill, compute, chunk);
    r.place[0].seconds_per_byte = compute / times;
    return r;
}

/* The shortest time: the device gets the share with which it ends together with the ranks. */
static double best_time(double times)
{
    const double device = compute / times;
    const double share = (fill + compute) / (RANKS * device + compute);
    const double on_device = share < 1 ? share : 1;
    const double ranks = text / RANKS * (fill + (1 - on_device) * compute);
    return ranks > text * on_device * device ? ranks : text * on_device * device;
}

static double bytes_of(const run *r)
{
    double bytes = 0;
    for (int n = 0; n < r->ranks; n++) {
        bytes += r->rank[n].bytes + r->place[r->devices + n].bytes;
    }
    return bytes + device_bytes(r);
}

static void test_a_slow_device_gets_next_to_nothing(void **state)
{
    (void)state;
    run r = device_run(1.0 / 20, short_chunk);
    const double time = run_all(&r);
    assert_true(fabs(bytes_of(&r) - text) < 1);
    assert_true(device_bytes(&r) > 0); /* it was measured */
    assert_true(device_bytes(&r) < 0.05 * text);
    assert_true(time < 1.05 * text / RANKS * (fill + compute));
}

static void test_a_fast_device_gets_nearly_all(void **state)
{
    (void)state;
    run r = device_run(20.0 * RANKS, short_chunk);
    const double time = run_all(&r);
    assert_true(fabs(bytes_of(&r) - text) < 1);
    assert_true(device_bytes(&r) > 0.95 * text);
    assert_true(time < 1.05 * best_time(20.0 * RANKS));
}

static void expect_good_splits(void)
{
    for (int i = 0; i < 19; i++) {
        const double times = 0.05 * pow(1.5, i); /* to 74 times as fast */
        run r = device_run(times, long_chunk);
        const double time = run_all(&r);
        assert_true(fabs(bytes_of(&r) - text) < 1);
        assert_true(time > 0.97 * best_time(times)); /* else the simulation is wrong */
        assert_true(time < 1.1 * best_time(times));
        r = device_run(times, short_chunk); /* each rank waits for all its batches more often */
        assert_true(run_all(&r) < 1.2 * best_time(times));
    }
}

static void test_in_between_the_split_is_good(void **state)
{
    (void)state;
    const double usual = fill;
    for (int i = 0; i < 5; i++) {
        fill = compute * pow(2, i) / 5;
        expect_good_splits();
    }
    fill = usual;
}

static void test_two_devices_share_by_speed(void **state)
{
    (void)state;
    run r = make_run(RANKS, 2, text / RANKS, fill, compute, long_chunk);
    r.place[0].seconds_per_byte = compute;
    r.place[1].seconds_per_byte = compute / 2;
    (void)run_all(&r);
    const double ratio = r.place[1].bytes / r.place[0].bytes;
    assert_true(device_bytes(&r) > 0.3 * text);
    assert_true(ratio > 1.7 && ratio < 2.3);
}

/* One reader, three idle ranks. Filling a batch takes so much of the time that computing one takes. */
static void expect_spread(double part, double limit)
{
    run r = make_run(RANKS, 0, 0, part * compute, compute, long_chunk);
    r.rank[0].left = text;
    const double time = run_all(&r);
    const double reading = part * compute * text;
    const double shared = (reading + compute * text) / RANKS;
    double guests = 0;
    for (int n = 1; n < RANKS; n++) {
        guests += r.place[n].bytes;
    }
    assert_true(fabs(guests + r.rank[0].bytes - text) < 1);
    for (int n = 1; n < RANKS; n++) {
        assert_true(r.place[n].bytes > 0.2 * text);
        assert_true(fabs(r.place[n].bytes - guests / 3) < 0.05 * guests);
    }
    assert_true(time > 0.97 * (reading > shared ? reading : shared));
    assert_true(time < limit * (reading > shared ? reading : shared));
}

static void test_idle_ranks_share_what_one_reads(void **state)
{
    (void)state;
    expect_spread(2, 1.05); /* a .gz: reading is what takes the time */
    expect_spread(1, 1.05);
    expect_spread(0.05, 1.3); /* four slots do not keep four ranks busy all the time */
}

static void test_a_device_that_becomes_slow_loses_its_work(void **state)
{
    (void)state;
    run r = device_run(2, long_chunk);
    const double half = best_time(2) / 2;
    r.change[r.change_count].at = half;
    r.change[r.change_count++].seconds_per_byte = 20 * compute;
    const double time = run_all(&r);
    run steady = device_run(2, long_chunk);
    (void)run_all(&steady);
    assert_true(fabs(bytes_of(&r) - text) < 1);
    assert_true(device_bytes(&r) < 0.6 * device_bytes(&steady));
    assert_true(device_bytes(&r) > 0.4 * device_bytes(&steady));
    /* Half of the text as with it, half as without, and what was under way. */
    const double without = text / RANKS * (fill + compute);
    assert_true(time < 1.1 * (half + (1 - half / best_time(2)) * without));
}

static void test_a_device_that_becomes_fast_again_gets_its_work_back(void **state)
{
    (void)state;
    run r = device_run(1.0 / 20, long_chunk);
    const double third = text / RANKS * (fill + compute) / 3;
    r.change[r.change_count].at = third;
    r.change[r.change_count++].seconds_per_byte = compute / 20 / RANKS;
    (void)run_all(&r);
    /* From then on all of it, but for the seconds until the next probe. */
    assert_true(third > 3);
    assert_true(device_bytes(&r) > 0.4 * text);
    r = device_run(20.0 * RANKS, long_chunk); /* fast, slow, fast */
    r.change[r.change_count].at = 1;
    r.change[r.change_count++].seconds_per_byte = 20 * compute;
    r.change[r.change_count].at = 3;
    r.change[r.change_count++].seconds_per_byte = compute / 20 / RANKS;
    const double time = run_all(&r);
    assert_true(time < best_time(20.0 * RANKS) + 4);
    assert_true(device_bytes(&r) > 0.4 * text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slow_device_gets_next_to_nothing),
        cmocka_unit_test(test_a_fast_device_gets_nearly_all),
        cmocka_unit_test(test_in_between_the_split_is_good),
        cmocka_unit_test(test_two_devices_share_by_speed),
        cmocka_unit_test(test_idle_ranks_share_what_one_reads),
        cmocka_unit_test(test_a_device_that_becomes_slow_loses_its_work),
        cmocka_unit_test(test_a_device_that_becomes_fast_again_gets_its_work_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
