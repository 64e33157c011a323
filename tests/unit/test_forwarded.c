/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "cserve/forwarded.h"

static const struct http_limits limits = {.line = 8190, .fields = 100, .field_size = 8190, .head = 65536, .body = 1};

static const struct {
    enum forwarded_kind kind;
    const char *fields;
    const char *client;
    const char *scheme;
} rows[] = {
    {FORWARDED_X, "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9", ""},
    {FORWARDED_X, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n", "203.0.113.9", "https"},
    {FORWARDED_X, "X-Forwarded-Proto: HTTPS\r\n", "", "https"},
    {FORWARDED_X, "X-Forwarded-Proto: gopher\r\n", "", ""},
    /* What the client wrote stands left of what the proxies did. */
    {FORWARDED_X, "X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.2\r\n", "203.0.113.9", ""},
    {FORWARDED_X, "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9", ""},
    {FORWARDED_X, "X-Forwarded-For: 10.0.0.9, 10.0.0.2\r\n", "10.0.0.9", ""},
    {FORWARDED_X, "X-Forwarded-For: 1.1.1.1, unknown, 10.0.0.2\r\n", "10.0.0.2", ""},
    {FORWARDED_X, "X-Forwarded-For: unknown\r\n", "", ""},
    {FORWARDED_X, "X-Forwarded-For: \r\n", "", ""},
    {FORWARDED_X, "X-Forwarded-For: 203.0.113.9:4711\r\n", "203.0.113.9", ""},
    {FORWARDED_X, "X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1", ""},
    {FORWARDED_X, "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1", ""},
    {FORWARDED_X, "X-Forwarded-For: ,,203.0.113.9,\r\n", "203.0.113.9", ""},
    /* One protocol a hop, or the one that our peer wrote. */
    {FORWARDED_X, "X-Forwarded-For: 203.0.113.9, 10.0.0.2\r\nX-Forwarded-Proto: https, http\r\n", "203.0.113.9", "https"},
    {FORWARDED_X, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https, http\r\n", "203.0.113.9", "http"},
    /* The other kind is the client's own word. */
    {FORWARDED_X, "Forwarded: for=6.6.6.6;proto=https\r\n", "", ""},
    {FORWARDED_RFC7239, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n", "", ""},
    {FORWARDED_RFC7239, "Forwarded: for=203.0.113.9;proto=https;by=10.0.0.1\r\n", "203.0.113.9", "https"},
    {FORWARDED_RFC7239, "Forwarded: FOR=\"[2001:db8::1]:80\" ; Proto=HTTPS\r\n", "2001:db8::1", "https"},
    {FORWARDED_RFC7239, "Forwarded: for=6.6.6.6;proto=http, for=203.0.113.9;proto=https, for=10.0.0.2;proto=http\r\n",
     "203.0.113.9", "https"},
    {FORWARDED_RFC7239, "Forwarded: for=6.6.6.6\r\nForwarded: for=203.0.113.9\r\n", "203.0.113.9", ""},
    {FORWARDED_RFC7239, "Forwarded: for=_hidden, for=10.0.0.2\r\n", "10.0.0.2", ""},
    {FORWARDED_RFC7239, "Forwarded: for=\"6.6.6.6, for=203.0.113.9\r\n", "", ""},
    {FORWARDED_RFC7239, "Forwarded: for=\"6.6.6.6\\\r\n", "", ""},
    {FORWARDED_RFC7239, "Forwarded: for=\"a,b;c\", for=203.0.113.9;proto=https\r\n", "203.0.113.9", "https"},
};

static void assert_str(struct str got, const char *expected, size_t row)
{
    if (!str_equal(got, str_make(expected, strlen(expected))))
        fail_msg("row %zu: '%.*s' is not '%s'", row, (int)got.len, got.ptr, expected);
}

static void parse(struct http_head *head, struct http_field *fields, char *raw, size_t cap, const char *text)
{
    int len = snprintf(raw, cap, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", text);

    http_head_init(head, &limits, fields);
    assert_int_equal(http_head_parse(head, raw, (size_t)len), HTTP_DONE);
}

static void the_rightmost_untrusted_address_is_the_client(void **state)
{
    struct http_field fields[100];
    struct http_head head;
    struct cidr_list trusted;
    struct forwarded got;
    char raw[1024], error[100];

    (void)state;
    assert_int_equal(cidr_list_parse(&trusted, "10.0.0.0/8", error, sizeof(error)), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        parse(&head, fields, raw, sizeof(raw), rows[i].fields);
        http_forwarded(&head, raw, rows[i].kind, &trusted, &got);
        assert_str(got.client, rows[i].client, i);
        assert_str(got.scheme, rows[i].scheme, i);
    }
    cidr_list_release(&trusted);
}

static void a_flood_of_hops_is_cut_at_its_right_end(void **state)
{
    struct http_field fields[100];
    struct http_head head;
    struct cidr_list trusted;
    struct forwarded got;
    char text[8000] = "X-Forwarded-For: 6.6.6.6", raw[9000], error[100];

    (void)state;
    for (int i = 0; i < 500; i++)
        strcat(text, ",10.0.0.2");
    strcat(text, "\r\n");
    assert_int_equal(cidr_list_parse(&trusted, "10.0.0.0/8", error, sizeof(error)), 0);
    parse(&head, fields, raw, sizeof(raw), text);
    http_forwarded(&head, raw, FORWARDED_X, &trusted, &got);
    assert_str(got.client, "10.0.0.2", 0);
    cidr_list_release(&trusted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rightmost_untrusted_address_is_the_client),
        cmocka_unit_test(a_flood_of_hops_is_cut_at_its_right_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
