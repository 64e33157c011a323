/* SPDX-License-Identifier: MIT */
/*
 * Dates as HTTP writes them (IMF-fixdate, RFC 9110, 5.6.7). Computed here, since gmtime and strftime
 * know of time zones and locales, and HTTP does not.
 */
#include "cserve/response.h"

struct civil {
    unsigned year, month, day; /* month from 0, day from 1 */
};

/*
 * The Gregorian date `days` after 1970-01-01. Counts in years that begin in March, so that the leap day is
 * the last of its year and of its 400-year era, whose length is the same each time: 146097 days.
 */
static struct civil civil_from_days(uint64_t days)
{
    uint64_t since_march_0 = days + 719468;
    unsigned era = (unsigned)(since_march_0 / 146097);
    unsigned day = (unsigned)(since_march_0 % 146097);
    unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned day_of_year = day - (365 * year + year / 4 - year / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;
    unsigned month = (march_month + 2) % 12;

    return (struct civil){
        .year = 400 * era + year + (month < 2),
        .month = month,
        .day = day_of_year - (153 * march_month + 2) / 5 + 1,
    };
}

static void two_digits(char *out, unsigned value)
{
    out[0] = (char)('0' + value / 10 % 10);
    out[1] = (char)('0' + value % 10);
}

void http_date_format(char out[HTTP_DATE_LEN], int64_t when)
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const int64_t last = 253402300799; /* 9999-12-31 23:59:59 */

    uint64_t seconds = when < 0 ? 0 : (uint64_t)(when > last ? last : when);
    uint64_t days = seconds / 86400;
    unsigned second = (unsigned)(seconds % 86400);
    struct civil date = civil_from_days(days);

    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_LEN);
    memcpy(out, weekdays + 3 * (days % 7), 3);
    two_digits(out + 5, date.day);
    memcpy(out + 8, months + 3 * (size_t)date.month, 3);
    two_digits(out + 12, date.year / 100);
    two_digits(out + 14, date.year % 100);
    two_digits(out + 17, second / 3600);
    two_digits(out + 20, second / 60 % 60);
    two_digits(out + 23, second % 60);
}
