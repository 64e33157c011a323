/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <ctype.h>
#include <stdlib.h>

#include "cserve/scan.h"
#include "guard.h"

/* The classes as the RFCs word them. */

static bool is_token(unsigned char c)
{
    return c < 0x80 && (isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL));
}

static bool is_value(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c <= 0x7e) || c >= 0x80;
}

static bool is_target(unsigned char c)
{
    return c >= 0x21 && c <= 0x7e && c != '#';
}

static bool is_host(unsigned char c)
{
    return c < 0x80 && (isalnum(c) || (c != '\0' && strchr("-._~!$&'()*+,;=", c) != NULL));
}

static const struct {
    const char *(*scan)(const char *p, const char *end);
    bool (*is)(unsigned char c);
    char filler;
} scans[] = {
    {scan_token, is_token, 'a'},
    {scan_value, is_value, '\xff'},
    {scan_target, is_target, '~'},
};

enum { SCANS = sizeof scans / sizeof scans[0] };

static size_t expected_run(struct str s, bool (*is)(unsigned char c))
{
    size_t len = 0;
    while (len < s.len && is((unsigned char)s.ptr[len]))
        len++;
    return len;
}

static void check(struct str s)
{
    for (int i = 0; i < SCANS; i++)
        assert_int_equal(scans[i].scan(s.ptr, s.ptr + s.len) - s.ptr, expected_run(s, scans[i].is));
}

static void F1_table_holds_the_classes_of_the_rfcs(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        unsigned char byte = (unsigned char)c;
        assert_int_equal(scan_is(byte, SCAN_TOKEN), is_token(byte));
        assert_int_equal(scan_is(byte, SCAN_VALUE), is_value(byte));
        assert_int_equal(scan_is(byte, SCAN_TARGET), is_target(byte));
        assert_int_equal(scan_is(byte, SCAN_HOST), is_host(byte));
    }
}

/* Each byte at each place of runs of each length, so that every load and every rest meets it. */
static void each_byte_stops_where_it_should(void)
{
    char text[100];

    for (int i = 0; i < SCANS; i++) {
        for (size_t len = 1; len <= sizeof text; len += len < 40 ? 1 : 19) {
            memset(text, scans[i].filler, len);
            for (size_t at = 0; at < len; at++) {
                char *placed = guard_place(str_make(text, len));
                for (int byte = 0; byte < 256; byte++) {
                    placed[at] = (char)byte;
                    size_t expected = scans[i].is((unsigned char)byte) ? len : at;
                    assert_int_equal(scans[i].scan(placed, placed + len) - placed, expected);
                }
            }
        }
    }
}

static void random_bytes_at_every_alignment(void)
{
    char text[300];

    srandom(1);
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)random() % sizeof text;
        /* Mostly good bytes, or no run would be long. */
        for (size_t i = 0; i < len; i++)
            text[i] = random() % 50 ? (char)('a' + random() % 26) : (char)random();
        check(str_make(guard_place(str_make(text, len)), len));
        size_t shift = len ? (size_t)random() % (len < 64 ? len : 64) : 0;
        check(str_make(text + shift, len - shift));
    }
}

static void check_kind(enum scan_kind kind)
{
    if (!scan_use(kind)) {
        print_message("this processor lacks scan kind %d\n", kind);
        return;
    }
    check(STR(""));
    each_byte_stops_where_it_should();
    random_bytes_at_every_alignment();
}

static void portable_scans_agree_with_the_classes(void **state)
{
    (void)state;
    assert_true(scan_use(SCAN_PORTABLE));
    check_kind(SCAN_PORTABLE);
}

static void sse42_scans_agree_with_the_classes(void **state)
{
    (void)state;
    check_kind(SCAN_SSE42);
}

static void avx2_scans_agree_with_the_classes(void **state)
{
    (void)state;
    check_kind(SCAN_AVX2);
}

static void the_best_kind_works(void **state)
{
    (void)state;
    scan_init();
    random_bytes_at_every_alignment();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F1_table_holds_the_classes_of_the_rfcs),
        cmocka_unit_test(portable_scans_agree_with_the_classes),
        cmocka_unit_test(sse42_scans_agree_with_the_classes),
        cmocka_unit_test(avx2_scans_agree_with_the_classes),
        cmocka_unit_test(the_best_kind_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
