/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <time.h>

#include "cserve/response.h"

#include "guard.h"

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

static void every_form_of_a_date_is_read(void **state)
{
    static const struct {
        const char *text;
        int64_t when;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Wednesday, 09-Nov-94 00:00:00 GMT", 784339200},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
        {"Tuesday, 19-Jan-38 03:14:08 GMT", 2147483648},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str text = str_make(rows[i].text, strlen(rows[i].text));
        int64_t when = -99;
        text.ptr = guard_place(text);
        if (http_date_parse(text, &when) != 0 || when != rows[i].when)
            fail_msg("%s: %lld", rows[i].text, (long long)when);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "0",
        "Sun",
        "Sunday",
        "Sun, 06 Nov 1994 08:49:37 GM",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Thu, 29 Feb 1900 00:00:00 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov  994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Wednesdays, 06-Nov-94 08:49:37 GMT",
        "1234567890",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str text = str_make(rows[i], strlen(rows[i]));
        int64_t when;
        text.ptr = guard_place(text);
        if (http_date_parse(text, &when) == 0)
            fail_msg("%s is taken for %lld", rows[i], (long long)when);
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (int64_t when = 0; when <= 253402300799; when += 86399 * 31) {
        char text[HTTP_DATE_LEN];
        int64_t read = -1;
        http_date_format(text, when);
        assert_int_equal(http_date_parse(str_make(text, sizeof text), &read), 0);
        assert_int_equal(read, when);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(H1_dates_are_imf_fixdate),
        cmocka_unit_test(dates_outside_the_range_are_clamped),
        cmocka_unit_test(every_day_agrees_with_the_library),
        cmocka_unit_test(every_form_of_a_date_is_read),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
