/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "cserve/range.h"

#include "guard.h"

enum { SIZE = 1000 };

static const struct {
    const char *value;
    uint64_t size;
    enum http_range_verdict verdict;
    const char *ranges; /* "first+len " for each */
} rows[] = {
    {"bytes=0-0", SIZE, HTTP_RANGE_PARTIAL, "0+1 "},
    {"bytes=0-999", SIZE, HTTP_RANGE_PARTIAL, "0+1000 "},
    {"bytes=0-1000", SIZE, HTTP_RANGE_PARTIAL, "0+1000 "},
    {"bytes=999-", SIZE, HTTP_RANGE_PARTIAL, "999+1 "},
    {"bytes=1000-", SIZE, HTTP_RANGE_UNSATISFIABLE, ""},
    {"bytes=-1", SIZE, HTTP_RANGE_PARTIAL, "999+1 "},
    {"bytes=-1000", SIZE, HTTP_RANGE_PARTIAL, "0+1000 "},
    {"bytes=-1001", SIZE, HTTP_RANGE_PARTIAL, "0+1000 "},
    {"bytes=-0", SIZE, HTTP_RANGE_UNSATISFIABLE, ""},
    {"BYTES=5-9", SIZE, HTTP_RANGE_PARTIAL, "5+5 "},
    {"bytes=5-9,20-29", SIZE, HTTP_RANGE_PARTIAL, "5+5 20+10 "},
    {"bytes=20-29 ,\t5-9,", SIZE, HTTP_RANGE_PARTIAL, "20+10 5+5 "},
    {"bytes=,,5-9", SIZE, HTTP_RANGE_PARTIAL, "5+5 "},
    {"bytes=5-9,10-19", SIZE, HTTP_RANGE_PARTIAL, "5+5 10+10 "},
    {"bytes=5-9,2000-", SIZE, HTTP_RANGE_PARTIAL, "5+5 "},
    /* Overlaps, also by one byte, in any order. */
    {"bytes=5-9,9-19", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=0-,5-6", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=5-6,0-", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=0-0,0-0", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=990-,-20", SIZE, HTTP_RANGE_IGNORED, NULL},
    /* Nothing is there. */
    {"bytes=0-", 0, HTTP_RANGE_UNSATISFIABLE, ""},
    {"bytes=-5", 0, HTTP_RANGE_UNSATISFIABLE, ""},
    /* Numbers that no file reaches. */
    {"bytes=0-18446744073709551615", SIZE, HTTP_RANGE_PARTIAL, "0+1000 "},
    {"bytes=0-18446744073709551616", SIZE, HTTP_RANGE_PARTIAL, "0+1000 "},
    {"bytes=18446744073709551616-", SIZE, HTTP_RANGE_UNSATISFIABLE, ""},
    {"bytes=-99999999999999999999999", SIZE, HTTP_RANGE_PARTIAL, "0+1000 "},
    {"bytes=0-18446744073709551615", UINT64_MAX, HTTP_RANGE_PARTIAL, "0+18446744073709551615 "},
    /* Not understood. */
    {"", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=,", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=-", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=5", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=9-5", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=5--9", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=+5-9", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=0x1-9", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes= 5 - 9", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=5-9;20-29", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"bytes=5-9,x", SIZE, HTTP_RANGE_IGNORED, NULL},
    {"lines=5-9", SIZE, HTTP_RANGE_IGNORED, NULL},
};

static void describe(char *out, size_t cap, const struct http_ranges *ranges)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < ranges->count; i++)
        len += (size_t)snprintf(out + len, cap - len, "%llu+%llu ", (unsigned long long)ranges->at[i].first,
                                (unsigned long long)ranges->at[i].len);
}

static void ranges_are_read_as_they_are_meant_or_not_at_all(void **state)
{
    struct http_ranges ranges;
    char got[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct str value = str_make(rows[i].value, strlen(rows[i].value));

        value.ptr = guard_place(value);
        if (http_ranges_parse(&ranges, value, rows[i].size) != rows[i].verdict)
            fail_msg("%s: another verdict", rows[i].value);
        if (rows[i].ranges == NULL)
            continue;
        describe(got, sizeof(got), &ranges);
        assert_string_equal(got, rows[i].ranges);
    }
}

/* "bytes=0-0,2-2,4-4", of `count` ranges. */
static enum http_range_verdict parse_many(struct http_ranges *ranges, int count)
{
    char text[4096];
    int len = snprintf(text, sizeof(text), "bytes=");

    for (int i = 0; i < count; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%d-%d", i > 0 ? "," : "", 2 * i, 2 * i);
    return http_ranges_parse(ranges, str_make(text, (size_t)len), SIZE);
}

static void too_many_ranges_are_none(void **state)
{
    struct http_ranges ranges;

    (void)state;
    assert_int_equal(parse_many(&ranges, HTTP_RANGES_MAX), HTTP_RANGE_PARTIAL);
    assert_int_equal(ranges.count, HTTP_RANGES_MAX);
    assert_int_equal(parse_many(&ranges, HTTP_RANGES_MAX + 1), HTTP_RANGE_IGNORED);
    assert_int_equal(parse_many(&ranges, 400), HTTP_RANGE_IGNORED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_as_they_are_meant_or_not_at_all),
        cmocka_unit_test(too_many_ranges_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
