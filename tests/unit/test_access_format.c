/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "cserve/access_format.h"

static const struct http_limits limits = {.line = 8190, .fields = 20, .field_size = 8190, .head = 65536};
static struct http_field fields[20];
static struct http_head head;
static struct peer peer;

/* What a request with this head, which is complete or not, would be logged as. */
static struct access_entry entry_of(const char *raw)
{
    struct access_entry entry = {.peer = &peer, .head = &head, .outcome = "ok", .thread = -1};

    http_head_init(&head, &limits, fields);
    if (http_head_parse(&head, raw, strlen(raw)) == HTTP_DONE)
        entry.raw = raw;
    entry.line = str_make(raw, strcspn(raw, "\r"));
    return entry;
}

/* The line that a format makes of it. */
static void assert_line(const char *text, const struct access_entry *entry, const char *expected)
{
    struct access_stamps stamps = {.pid = 4711};
    struct access_format format;
    char error[256];
    struct buf out;

    buf_init(&out);
    assert_int_equal(access_format_compile(&format, text, error, sizeof(error)), 0);
    access_format_append(&format, &out, entry, &stamps);
    buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    buf_release(&out);
    access_format_release(&format);
}

#define GET "GET /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx_one: no\r\nReferer: r\"\xe9\r\nUser-Agent: \xff\r\n"

static void every_atom_of_gunicorn_is_there(void **state)
{
    struct access_entry entry = entry_of(GET "Authorization: Basic am9lOnNlY3JldA==\r\n\r\n");

    (void)state;
    entry.status = 200;
    entry.content = 14;
    entry.app_us = 1234567;
    assert_line("%(h)s %(l)s %(u)s", &entry, "10.0.0.1 - joe\n");
    assert_line("%(r)s %(m)s %(U)s %(q)s %(H)s", &entry, "GET /a%20b?c=d HTTP/1.1 GET /a%20b c=d HTTP/1.1\n");
    assert_line("%(s)s %(B)s %(b)s", &entry, "200 14 14\n");
    assert_line("\"%(f)s\" %(a)s", &entry, "\"r\\\"\\xe9\" \\xff\n");
    assert_line("%(T)s %(M)s %(D)s %(L)s %(p)s", &entry, "1 1234 1234567 1.234567 <4711>\n");
    assert_line("%({x-one}i)s %({Host}i)s %({Absent}i)s", &entry, "1 h -\n");
    assert_line("%({REQUEST_METHOD}e)s %({PATH_INFO}e)s %({HTTP_X_ONE}e)s", &entry, "GET /a b 1\n");
    assert_line("%({REMOTE_PORT}e)s %({wsgi.url_scheme}e)s", &entry, "1234 https\n");
}

static void atoms_have_long_names_too(void **state)
{
    struct access_entry entry = entry_of(GET "\r\n");

    (void)state;
    entry.status = 404;
    entry.receive_us = 1;
    entry.queued_us = 2;
    entry.app_us = 3;
    entry.send_us = 4;
    entry.bytes_in = 5;
    entry.bytes_out = 6;
    entry.thread = 7;
    assert_line("%(remote)s %(method)s %(path)s %(status)s", &entry, "10.0.0.1 GET /a%20b 404\n");
    assert_line("%(receive_us)s %(queued_us)s %(app_us)s %(send_us)s %(duration_us)s", &entry, "1 2 3 4 10\n");
    assert_line("%(bytes_in)s %(bytes_out)s %(worker)s %(thread)s %(outcome)s", &entry, "5 6 4711 7 ok\n");
}

static void what_is_not_known_is_a_dash(void **state)
{
    struct access_entry entry = entry_of("");

    (void)state;
    assert_line("%(r)s %(m)s %(U)s %(q)s %(H)s %(s)s %(B)s %(b)s %(thread)s %({Host}i)s %({X}o)s", &entry,
                "- - - - - - 0 - - - -\n");
}

static void text_and_percent_signs_stay(void **state)
{
    struct access_entry entry = entry_of("");

    (void)state;
    assert_line("", &entry, "\n");
    assert_line("100%% of {it}%%", &entry, "100% of {it}%\n");
}

static void S7_basic_credentials_are_read_with_care(void **state)
{
    static const char *const cases[][2] = {
        {"Basic am9lOnNlY3JldA==", "joe"}, {"basic  am9lOg", "joe"}, {"Basic am9l", "-"}, {"Basic", "-"},
        {"Basic ====", "-"}, {"Bearer am9lOnNlY3JldA==", "-"}, {"Basic OnNlY3JldA==", "-"}, {"Basic CgoiOg==", "\\n\\n\\\""},
    };
    char raw[256], expected[64];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct access_entry entry;

        snprintf(raw, sizeof(raw), "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\n\r\n", cases[i][0]);
        snprintf(expected, sizeof(expected), "%s\n", cases[i][1]);
        entry = entry_of(raw);
        assert_line("%(u)s", &entry, expected);
    }
}

static void S7_json_is_json_whatever_was_sent(void **state)
{
    struct access_entry entry = entry_of(GET "\r\n");
    struct access_stamps stamps = {.pid = 4711};
    struct access_format format;
    char error[256], *at;
    struct buf out;

    (void)state;
    buf_init(&out);
    assert_int_equal(access_format_compile(&format, "json", error, sizeof(error)), 0);
    entry.status = 200;
    access_format_append(&format, &out, &entry, &stamps);
    buf_append(&out, "", 1);
    at = strstr(out.data, "\"remote\":");
    assert_int_equal(strncmp(out.data, "{\"time\":\"20", 11), 0);
    assert_non_null(at);
    assert_string_equal(at,
                        "\"remote\":\"10.0.0.1\",\"user\":null,\"request\":\"GET /a%20b?c=d HTTP/1.1\",\"method\":\"GET\","
                        "\"path\":\"/a%20b\",\"query\":\"c=d\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":0,"
                        "\"referer\":\"r\\\"\\u00e9\",\"agent\":\"\\u00ff\",\"duration_us\":0,\"receive_us\":0,\"queued_us\":0,"
                        "\"app_us\":0,\"send_us\":0,\"bytes_in\":0,\"bytes_out\":0,\"worker\":4711,\"thread\":null,"
                        "\"outcome\":\"ok\"}\n");
    assert_true(format.needs_times);
    buf_release(&out);
    access_format_release(&format);
}

static void response_fields_are_kept(void **state)
{
    struct access_entry entry = entry_of(GET "\r\n");
    struct access_stamps stamps = {0};
    struct kept_field kept[3];
    struct access_format format;
    char error[256], long_head[512] = "HTTP/1.1 200 OK\r\nLong: ";
    struct buf out;

    (void)state;
    buf_init(&out);
    assert_int_equal(access_format_compile(&format, "%({content-type}o)s|%({X}o)s|%({OK}o)s", error, sizeof(error)), 0);
    assert_int_equal(format.kept_count, 3);
    access_format_keep(&format, STR("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX: \"\r\nX: 2\r\n\r\n"), kept);
    entry.kept = kept;
    access_format_append(&format, &out, &entry, &stamps);
    buf_append(&out, "", 1);
    assert_string_equal(out.data, "text/html|\\\"|-\n");
    access_format_release(&format);
    assert_int_equal(access_format_compile(&format, "%({Long}o)s", error, sizeof(error)), 0);
    memset(long_head + strlen(long_head), 'x', 400);
    strcat(long_head, "\r\n\r\n");
    access_format_keep(&format, str_make(long_head, strlen(long_head)), kept);
    assert_int_equal(kept[0].len, sizeof(kept[0].bytes));
    access_format_release(&format);
    buf_release(&out);
}

static void times_are_asked_for_only_by_what_needs_them(void **state)
{
    struct access_format format;
    char error[256];

    (void)state;
    assert_int_equal(access_format_compile(&format, "combined", error, sizeof(error)), 0);
    assert_false(format.needs_times);
    access_format_release(&format);
    assert_int_equal(access_format_compile(&format, "%(L)s", error, sizeof(error)), 0);
    assert_true(format.needs_times);
    access_format_release(&format);
}

static void what_nobody_can_give_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"%(x)s", "no atom %(x)s"}, {"%(h)", "not an atom"}, {"%h", "not an atom"}, {"a %", "not an atom"},
        {"%()s", "no atom"}, {"%({X}z)s", "behind the brace"}, {"%({}i)s", "name in braces"}, {"%({)s", "name in braces"},
        {"%({X)s", "name in braces"}, {"%({HOME}e)s", "not HOME"}, {"%({HTTP_}e)s", "not HTTP_"},
        {"%({wsgi.input}e)s", "not wsgi.input"},
        {"%({A}o)s%({A}o)s%({A}o)s%({A}o)s%({A}o)s%({A}o)s%({A}o)s%({A}o)s%({A}o)s", "more than 8"},
    };
    char error[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(access_format_check(cases[i][0], error, sizeof(error)), -1);
        assert_non_null(strstr(error, cases[i][1]));
    }
    assert_int_equal(access_format_check("%(h)s", error, sizeof(error)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_atom_of_gunicorn_is_there),
        cmocka_unit_test(atoms_have_long_names_too),
        cmocka_unit_test(what_is_not_known_is_a_dash),
        cmocka_unit_test(text_and_percent_signs_stay),
        cmocka_unit_test(S7_basic_credentials_are_read_with_care),
        cmocka_unit_test(S7_json_is_json_whatever_was_sent),
        cmocka_unit_test(response_fields_are_kept),
        cmocka_unit_test(times_are_asked_for_only_by_what_needs_them),
        cmocka_unit_test(what_nobody_can_give_is_refused),
    };

    peer = (struct peer){.remote_addr = STR("10.0.0.1"), .remote_port = STR("1234"), .scheme = STR("https")};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
