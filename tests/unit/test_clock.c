/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdlib.h>

#include "cserve/clock.h"

static void monotonic_time_never_goes_back(void **state)
{
    (void)state;
    int64_t before_us = clock_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now_us = clock_us();
        assert_true(now_us >= before_us);
        before_us = now_us;
    }
}

static void units_agree(void **state)
{
    (void)state;
    int64_t before_us = clock_us();
    int64_t ms = clock_ms();
    int64_t after_us = clock_us();
    assert_true(before_us / 1000 <= ms && ms <= after_us / 1000);
}

static void the_wall_clock_is_that_of_the_system(void **state)
{
    (void)state;
    time_t before = time(NULL);
    time_t now = clock_wall();
    /* time() may lag behind by a tick of the coarse clock. */
    assert_true(now >= before && now <= time(NULL) + 1);
}

static void a_date_says_where_it_is_that_time(void **state)
{
    char text[CLOCK_TEXT_MAX];

    (void)state;
    setenv("TZ", "XST-5:30", 1);
    tzset();
    clock_format(text, 1700000000);
    assert_string_equal(text, "2023-11-15T03:43:20+05:30");
    setenv("TZ", "UTC", 1);
    tzset();
    clock_format(text, 1700000000);
    assert_string_equal(text, "2023-11-14T22:13:20+00:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_never_goes_back),
        cmocka_unit_test(units_agree),
        cmocka_unit_test(the_wall_clock_is_that_of_the_system),
        cmocka_unit_test(a_date_says_where_it_is_that_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
