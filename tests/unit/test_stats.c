/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "cserve/stats.h"

static struct stats *blank(void)
{
    struct stats *stats = calloc(1, sizeof(*stats));

    assert_non_null(stats);
    return stats;
}

static void each_value_is_in_its_bucket(void **state)
{
    (void)state;
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        uint64_t low = histogram_low_us(i), high = histogram_low_us(i + 1);
        assert_true(low < high);
        assert_int_equal(histogram_bucket(low), i);
        assert_int_equal(histogram_bucket(high - 1), i);
        assert_true(high - low == 1 || (high - low) * HISTOGRAM_SUBS <= low); /* an eighth */
    }
}

static void powers_of_two_begin_a_bucket(void **state)
{
    (void)state;
    for (unsigned power = 3; power <= HISTOGRAM_TOP_BIT; power++)
        assert_int_equal(histogram_low_us(histogram_bucket(UINT64_C(1) << power)), UINT64_C(1) << power);
}

static void what_is_out_of_range_is_at_the_ends(void **state)
{
    struct stats *stats = blank();
    struct histogram *h = &stats->times[STATS_TOTAL];

    (void)state;
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket((UINT64_C(2) << HISTOGRAM_TOP_BIT) - 1), HISTOGRAM_BUCKETS - 1);
    histogram_add(h, -5);
    histogram_add(h, INT64_MAX);
    assert_int_equal(stat_get(&h->counts[0]), 1);
    assert_int_equal(stat_get(&h->counts[HISTOGRAM_BUCKETS - 1]), 1);
    free(stats);
}

static void quantiles_are_true_to_an_eighth(void **state)
{
    static const unsigned per_mille[] = {1, 500, 900, 990, 999, 1000};
    struct stats *stats = blank();
    struct histogram *h = &stats->times[STATS_APP];

    (void)state;
    assert_int_equal(histogram_quantile_us(h, 500), 0);
    for (int us = 1; us <= 10000; us++)
        histogram_add(h, us);
    assert_int_equal(histogram_count(h), 10000);
    assert_int_equal(stat_get(&h->sum_us), 50005000);
    assert_int_equal(histogram_below(h, 1024), 1023);
    assert_int_equal(histogram_below(h, 1 << 20), 10000);
    for (size_t i = 0; i < sizeof(per_mille) / sizeof(per_mille[0]); i++) {
        uint64_t right = per_mille[i] * 10, told = histogram_quantile_us(h, per_mille[i]);
        assert_true(told >= right - right / 8 - 1 && told <= right + right / 8 + 1);
    }
    free(stats);
}

static void counters_are_added_and_gauges_are_not(void **state)
{
    struct stats *sum = blank(), *one = blank();

    (void)state;
    stat_add(&one->bytes_out, 1);
    stat_add(&one->accepted, 3);
    stat_add(&one->takeovers, 4);
    stat_add(&one->bytes_in, 5);
    stat_add(&one->spooled, 6);
    stat_add(&one->timeouts[STATS_TIMEOUTS - 1], 7);
    stat_add(&one->statuses[STATS_STATUSES - 1], 8);
    stat_add(&one->rejected[STATS_REJECTIONS - 1], 9);
    histogram_add(&one->times[STATS_QUEUED], 1000);
    stats_add(sum, one);
    stats_add(sum, one);
    assert_int_equal(stat_get(&sum->bytes_out), 2);
    assert_int_equal(stat_get(&sum->accepted), 6);
    assert_int_equal(stat_get(&sum->takeovers), 8);
    assert_int_equal(stat_get(&sum->bytes_in), 10);
    assert_int_equal(stat_get(&sum->spooled), 12);
    assert_int_equal(stat_get(&sum->timeouts[STATS_TIMEOUTS - 1]), 14);
    assert_int_equal(stat_get(&sum->statuses[STATS_STATUSES - 1]), 16);
    assert_int_equal(stat_get(&sum->rejected[STATS_REJECTIONS - 1]), 18);
    assert_int_equal(histogram_count(&sum->times[STATS_QUEUED]), 2);
    assert_int_equal(stat_get(&sum->times[STATS_QUEUED].sum_us), 2000);
    memset(one, 0, offsetof(struct stats, pool));
    stat_add(&one->pool, 1);
    stat_add(&one->spool_bytes, 1);
    stat_add(&one->connections[0], 1);
    memset(sum, 0, sizeof(*sum));
    stats_add(sum, one);
    memset(one, 0, sizeof(*one));
    assert_memory_equal(sum, one, sizeof(*one));
    free(sum);
    free(one);
}

static void note(struct stats *stats, int64_t total_us, int64_t ended_ms, int64_t floor_us)
{
    const struct slow_request slow = {.total_us = total_us, .ended_ms = ended_ms, .len = 1, .line = "x"};

    assert_int_equal(stats_note_slow(stats, &slow), floor_us);
}

static int64_t sum_of_slow(const struct stats *stats)
{
    struct slow_request slow;
    int64_t sum = 0;

    for (int i = 0; i < STATS_SLOW; i++)
        sum += stats_read_slow(stats, i, &slow) ? slow.total_us : 0;
    return sum;
}

static void the_slowest_of_a_minute_are_kept(void **state)
{
    struct stats *stats = blank();
    struct slow_request slow;

    (void)state;
    assert_false(stats_read_slow(stats, 0, &slow));
    for (int i = 1; i < STATS_SLOW; i++)
        note(stats, 100, 1000, -1); /* there is room: anything will do */
    note(stats, 100, 1000, 100);
    note(stats, 100, 1000, 100);
    assert_int_equal(sum_of_slow(stats), STATS_SLOW * 100);
    note(stats, 150, 1000, 100);
    note(stats, 99, 1000, 100);
    assert_int_equal(sum_of_slow(stats), STATS_SLOW * 100 + 50);
    note(stats, 1, 1001 + STATS_SLOW_FOR_MS, -1); /* all others are too old to keep it out */
    free(stats);
}

static void what_is_being_written_is_not_read(void **state)
{
    struct stats *stats = blank();
    struct slow_request slow;

    (void)state;
    note(stats, 100, 1000, -1);
    assert_true(stats_read_slow(stats, 0, &slow));
    atomic_fetch_add(&stats->slow[0].seq, 1);
    assert_false(stats_read_slow(stats, 0, &slow));
    atomic_fetch_add(&stats->slow[0].seq, 1);
    stats->slow[0].len = UINT32_MAX; /* a crash left that behind */
    assert_true(stats_read_slow(stats, 0, &slow));
    assert_int_equal(slow.len, STATS_LINE_MAX);
    free(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_is_in_its_bucket),
        cmocka_unit_test(powers_of_two_begin_a_bucket),
        cmocka_unit_test(what_is_out_of_range_is_at_the_ends),
        cmocka_unit_test(quantiles_are_true_to_an_eighth),
        cmocka_unit_test(counters_are_added_and_gauges_are_not),
        cmocka_unit_test(the_slowest_of_a_minute_are_kept),
        cmocka_unit_test(what_is_being_written_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
