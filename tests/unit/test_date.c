/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <time.h>

#include "cserve/response.h"

static void assert_date(int64_t when, const char *expected)
{
    char out[HTTP_DATE_LEN + 1];
    out[HTTP_DATE_LEN] = '#';
    http_date_format(out, when);
    assert_int_equal(out[HTTP_DATE_LEN], '#');
    out[HTTP_DATE_LEN] = '\0';
    assert_string_equal(out, expected);
}

static void H1_dates_are_imf_fixdate(void **state)
{
    (void)state;
    assert_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_date(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_date(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
    assert_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_date(951868800, "Wed, 01 Mar 2000 00:00:00 GMT");
    assert_date(2147483648, "Tue, 19 Jan 2038 03:14:08 GMT");
    assert_date(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
    assert_date(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void dates_outside_the_range_are_clamped(void **state)
{
    (void)state;
    assert_date(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_date(INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_date(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_date(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* The C library in the "C" locale is the oracle: every day of 8,000 years, at a second that moves. */
static void every_day_agrees_with_the_library(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 2932896; day++) {
        time_t when = day * 86400 + day % 86400;
        char expected[64];
        struct tm tm;
        assert_non_null(gmtime_r(&when, &tm));
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_date(when, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(H1_dates_are_imf_fixdate),
        cmocka_unit_test(dates_outside_the_range_are_clamped),
        cmocka_unit_test(every_day_agrees_with_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
