/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "cserve/timers.h"

static void timers_expire_in_the_order_they_were_started(void **state)
{
    struct timer_queue q;
    struct timer a = {0}, b = {0}, c = {0};

    (void)state;
    timer_queue_init(&q, 100);
    timer_start(&a, &q, 0);
    timer_start(&b, &q, 10);
    timer_start(&c, &q, 20);
    assert_ptr_equal(timer_queue_expired(&q, 99), NULL);
    assert_ptr_equal(timer_queue_expired(&q, 110), &a);
    assert_ptr_equal(timer_queue_expired(&q, 110), &b);
    assert_ptr_equal(timer_queue_expired(&q, 110), NULL);
    assert_false(timer_is_running(&a));
    assert_true(timer_is_running(&c));
}

static void restarting_moves_a_timer_to_the_end(void **state)
{
    struct timer_queue q;
    struct timer a = {0}, b = {0};

    (void)state;
    timer_queue_init(&q, 100);
    timer_start(&a, &q, 0);
    timer_start(&b, &q, 10);
    timer_start(&a, &q, 20);
    assert_int_equal(timer_queue_next(&q, 30), 80);
    assert_ptr_equal(timer_queue_expired(&q, 200), &b);
    assert_ptr_equal(timer_queue_expired(&q, 200), &a);
}

static void a_timer_moves_between_queues(void **state)
{
    struct timer_queue slow, fast;
    struct timer t = {0};

    (void)state;
    timer_queue_init(&slow, 1000);
    timer_queue_init(&fast, 10);
    timer_start(&t, &slow, 0);
    timer_start(&t, &fast, 0);
    assert_int_equal(timer_queue_next(&slow, 0), -1);
    assert_ptr_equal(timer_queue_expired(&fast, 10), &t);
}

static void a_duration_of_zero_never_expires(void **state)
{
    struct timer_queue q;
    struct timer t = {0};

    (void)state;
    timer_queue_init(&q, 0);
    timer_start(&t, &q, 0);
    assert_false(timer_is_running(&t));
    assert_ptr_equal(timer_queue_expired(&q, INT64_MAX), NULL);
    assert_int_equal(timer_queue_next(&q, 0), -1);
}

static void a_passed_deadline_is_zero_away(void **state)
{
    struct timer_queue q;
    struct timer t = {0};

    (void)state;
    timer_queue_init(&q, 5);
    timer_start(&t, &q, 0);
    assert_int_equal(timer_queue_next(&q, 3), 2);
    assert_int_equal(timer_queue_next(&q, 50), 0);
    timer_stop(&t);
    timer_stop(&t);
    assert_int_equal(timer_queue_next(&q, 50), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_expire_in_the_order_they_were_started),
        cmocka_unit_test(restarting_moves_a_timer_to_the_end),
        cmocka_unit_test(a_timer_moves_between_queues),
        cmocka_unit_test(a_duration_of_zero_never_expires),
        cmocka_unit_test(a_passed_deadline_is_zero_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
