/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <stdio.h>

#include "cserve/response.h"
#include "guard.h"

#define DATE      "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_LINE "Date: " DATE "\r\n"

static const char own[] = "Server: cserve\r\n" DATE_LINE;

enum { DATE_AT = sizeof "Server: cserve\r\n" - 1, OWN_LEN = sizeof own - 1 };

static const struct http_response_lines both_lines = {{own, DATE_AT}, {own + DATE_AT, OWN_LEN - DATE_AT}};
static const struct http_response_lines date_line = {{own + DATE_AT, 0}, {own + DATE_AT, OWN_LEN - DATE_AT}};

static struct str text(const char *s)
{
    return str_make(s, strlen(s));
}

static struct http_response_context context(int minor, int64_t total)
{
    return (struct http_response_context){.minor = (uint8_t)minor, .total = total, .lines = date_line};
}

static void assert_written(const struct buf *out, const char *expected)
{
    if (out->len != strlen(expected) || memcmp(out->data, expected, out->len) != 0)
        fail_msg("wrote:\n%.*s\ninstead of:\n%s", (int)out->len, out->data, expected);
}

/* A head of a status, at most two fields and what the server adds, in `out`. */
static void write_head(struct http_response *r, struct buf *out, const char *status,
                       const char *const fields[4], const struct http_response_context *with)
{
    out->len = 0;
    http_response_init(r, out);
    assert_int_equal(http_response_status(r, out, text(status)), HTTP_FIELD_ADDED);
    for (int i = 0; i < 4 && fields[i]; i += 2)
        http_response_field(r, out, text(fields[i]), text(fields[i + 1]));
    http_response_end(r, out, with);
    assert_int_equal(r->head_size, out->len);
}

static void a_usual_head(void **state)
{
    struct http_response r;
    struct buf out;
    struct http_response_context with = context(1, 14);

    (void)state;
    buf_init(&out);
    buf_append_str(&out, STR("earlier"));
    http_response_init(&r, &out);
    assert_int_equal(r.status, 0);
    assert_int_equal(http_response_status(&r, &out, STR("200 OK")), HTTP_FIELD_ADDED);
    assert_int_equal(http_response_field(&r, &out, STR("Content-Type"), STR("text/plain")), HTTP_FIELD_ADDED);
    with.lines = both_lines;
    http_response_end(&r, &out, &with);
    assert_written(&out, "earlierHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: cserve\r\n" DATE_LINE
                         "Content-Length: 14\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.framing, HTTP_FRAMING_LENGTH);
    assert_int_equal(r.left, 14);
    assert_int_equal(r.head_size, out.len - strlen("earlier"));
    assert_false(r.close);
    buf_release(&out);
}

static void W22_a_head_is_begun_again_without_a_trace(void **state)
{
    struct http_response r;
    struct buf out;
    struct http_response_context with = context(1, -1);

    (void)state;
    buf_init(&out);
    buf_append_str(&out, STR("earlier"));
    http_response_init(&r, &out);
    http_response_status(&r, &out, STR("200 OK"));
    http_response_field(&r, &out, STR("Content-Length"), STR("5"));
    http_response_field(&r, &out, STR("Date"), STR("today"));
    http_response_field(&r, &out, STR("Server"), STR("mine"));
    http_response_field(&r, &out, STR("Connection"), STR("close"));
    http_response_rewind(&r, &out);
    assert_written(&out, "earlier");
    http_response_status(&r, &out, STR("500 Oops"));
    http_response_end(&r, &out, &with);
    assert_written(&out, "earlierHTTP/1.1 500 Oops\r\n" DATE_LINE "Transfer-Encoding: chunked\r\n\r\n");
    assert_false(r.close);
    buf_release(&out);
}

static void W27_status_is_three_digits_and_a_reason(void **state)
{
    static const char *const good[] = {"200 OK", "204 ", "404 Not  Found", "999 x", "299 caf\xe9", "200  "};
    static const char *const bad[] = {
        "", "200", "20 OK", "2000 OK", "200OK", " 200 OK", "+20 OK", "2x0 OK", "200\tOK", "100 Continue",
        "199 x", "099 x", "000 x", "OK", "200 a\r", "200 a\n", "200 \r\nX: y", "200 a\x7f", "200 a\tb",
        "-20 OK", "200 \x1b", ("\xb2" "00 OK"),
    };
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char expected[64];
        out.len = 0;
        http_response_init(&r, &out);
        assert_int_equal(http_response_status(&r, &out, text(good[i])), HTTP_FIELD_ADDED);
        snprintf(expected, sizeof expected, "HTTP/1.1 %s\r\n", good[i]);
        assert_written(&out, expected);
    }
    out.len = 0;
    http_response_init(&r, &out);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct str placed = str_make(guard_place(text(bad[i])), strlen(bad[i]));
        if (http_response_status(&r, &out, placed) != HTTP_FIELD_BAD_STATUS)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(out.len, 0);
        assert_int_equal(r.status, 0);
    }
    assert_int_equal(http_response_status(&r, &out, STR("200 a\0b")), HTTP_FIELD_BAD_STATUS);
    buf_release(&out);
}

static void S6_no_control_gets_into_a_field(void **state)
{
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    http_response_init(&r, &out);
    for (int byte = 0; byte < 256; byte++) {
        char value[40] = "0123456789012345678901234567890123456789";
        bool good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        for (size_t len = 1; len <= sizeof value; len += 13) {
            value[len / 2] = (char)byte;
            out.len = 0;
            enum http_field_verdict verdict = http_response_field(&r, &out, STR("X"), str_make(value, len));
            assert_int_equal(verdict, good ? HTTP_FIELD_ADDED : HTTP_FIELD_BAD_VALUE);
            assert_int_equal(out.len, good ? len + 5 : 0);
            value[len / 2] = '0';
        }
    }
    assert_int_equal(http_response_field(&r, &out, STR("Content-Length"), STR("5\r\n")),
                     HTTP_FIELD_BAD_VALUE);
    assert_int_equal(http_response_field(&r, &out, STR("Upgrade"), STR("a\nb")), HTTP_FIELD_BAD_VALUE);
    buf_release(&out);
}

static void W27_names_are_tokens(void **state)
{
    static const char *const bad[] = {
        "", " X", "X ", "X:", "X: y", "X\r", "X\n", "X\nY", "X Y", "\xe9", "(", "X/Y", "\x7f",
    };
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    http_response_init(&r, &out);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct str placed = str_make(guard_place(text(bad[i])), strlen(bad[i]));
        assert_int_equal(http_response_field(&r, &out, placed, STR("v")), HTTP_FIELD_BAD_NAME);
    }
    assert_int_equal(http_response_field(&r, &out, STR("X\0"), STR("v")), HTTP_FIELD_BAD_NAME);
    assert_int_equal(out.len, 0);
    assert_int_equal(http_response_field(&r, &out, STR("!#$%&'*+-.^_`|~"), STR("")), HTTP_FIELD_ADDED);
    assert_written(&out, "!#$%&'*+-.^_`|~: \r\n");
    buf_release(&out);
}

static void W28_hop_by_hop_fields_are_dropped(void **state)
{
    static const char *const dropped[][2] = {
        {"Keep-Alive", "timeout=5"}, {"proxy-connection", "close"}, {"TE", "trailers"}, {"Trailer", "X"},
        {"Transfer-Encoding", "chunked"}, {"transfer-encoding", "identity"}, {"UPGRADE", "h2c"},
        {"Connection", "keep-alive"}, {"Connection", ""}, {"Connection", "closed, not-close"},
        {"Connection", "upgrade"},
    };
    static const char *const kept[] = {
        "Proxy-Authenticate", "Proxy-Authorization", "Trailers", "X-Upgrade", "Allow",
    };
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    http_response_init(&r, &out);
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        assert_int_equal(http_response_field(&r, &out, text(dropped[i][0]), text(dropped[i][1])),
                         HTTP_FIELD_DROPPED);
        assert_int_equal(out.len, 0);
        assert_false(r.close);
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        assert_int_equal(http_response_field(&r, &out, text(kept[i]), STR("x")), HTTP_FIELD_ADDED);
    buf_release(&out);
}

static void W28_close_of_the_application_is_honoured(void **state)
{
    static const char *const values[] = {
        "close", "Close", "CLOSE ", "keep-alive, close", "x,\tclose ,y", ",close",
    };
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct http_response_context with = context(1, 0);
        write_head(&r, &out, "200 OK", (const char *const[4]){"Connection", values[i]}, &with);
        assert_true(r.close);
        assert_written(&out,
                       "HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 0\r\nConnection: close\r\n\r\n");
    }
    buf_release(&out);
}

static void W34_content_length_of_the_application(void **state)
{
    static const char *const bad[] = {
        "", " ", "-1", "+1", "1.0", "0x1", "1,1", "1 1", "9223372036854775808", "x", "\xb2",
    };
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    http_response_init(&r, &out);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(http_response_field(&r, &out, STR("Content-Length"), text(bad[i])),
                         HTTP_FIELD_BAD_LENGTH);
        assert_int_equal(r.content_length, -1);
    }
    assert_int_equal(http_response_field(&r, &out, STR("content-LENGTH"), STR(" 5\t")), HTTP_FIELD_TAKEN);
    assert_int_equal(r.content_length, 5);
    assert_int_equal(http_response_field(&r, &out, STR("Content-Length"), STR("05")), HTTP_FIELD_TAKEN);
    assert_int_equal(http_response_field(&r, &out, STR("Content-Length"), STR("6")), HTTP_FIELD_BAD_LENGTH);
    assert_int_equal(r.content_length, 5);
    http_response_rewind(&r, &out);
    assert_int_equal(http_response_field(&r, &out, STR("Content-Length"), STR("0")), HTTP_FIELD_TAKEN);
    assert_int_equal(http_response_field(&r, &out, STR("Content-Length"), STR("5")), HTTP_FIELD_BAD_LENGTH);
    assert_int_equal(out.len, 0);
    buf_release(&out);
}

/* Every way to frame: request method and version, status, what the application said, what is known. */
static void W33_W35_W36_framing(void **state)
{
    static const struct {
        bool head_request;
        int minor;
        const char *status, *length;
        int64_t total;
        enum http_framing framing;
        const char *line; /* of the head */
        bool close;
    } cases[] = {
        {false, 1, "200 OK", "5", -1, HTTP_FRAMING_LENGTH, "Content-Length: 5\r\n", false},
        {false, 1, "200 OK", "5", 7, HTTP_FRAMING_LENGTH, "Content-Length: 5\r\n", false},
        {false, 1, "200 OK", "0", -1, HTTP_FRAMING_LENGTH, "Content-Length: 0\r\n", false},
        {false, 1, "200 OK", NULL, 7, HTTP_FRAMING_LENGTH, "Content-Length: 7\r\n", false},
        {false, 1, "200 OK", NULL, 0, HTTP_FRAMING_LENGTH, "Content-Length: 0\r\n", false},
        {false, 1, "200 OK", NULL, -1, HTTP_FRAMING_CHUNKED, "Transfer-Encoding: chunked\r\n", false},
        {false, 1, "200 OK", "9223372036854775807", -1, HTTP_FRAMING_LENGTH,
         "Content-Length: 9223372036854775807\r\n", false},
        {false, 0, "200 OK", NULL, -1, HTTP_FRAMING_CLOSE, "Connection: close\r\n", true},
        {false, 0, "200 OK", "5", -1, HTTP_FRAMING_LENGTH, "Content-Length: 5\r\nConnection: keep-alive\r\n",
         false},
        {false, 0, "200 OK", NULL, 3, HTTP_FRAMING_LENGTH, "Content-Length: 3\r\nConnection: keep-alive\r\n",
         false},
        {true, 1, "200 OK", "5", -1, HTTP_FRAMING_NONE, "Content-Length: 5\r\n", false},
        {true, 1, "200 OK", "5", 0, HTTP_FRAMING_NONE, "Content-Length: 5\r\n", false},
        {true, 1, "200 OK", "0", 7, HTTP_FRAMING_NONE, "Content-Length: 0\r\n", false},
        {true, 1, "200 OK", NULL, 7, HTTP_FRAMING_NONE, "Content-Length: 7\r\n", false},
        {true, 1, "200 OK", NULL, 0, HTTP_FRAMING_NONE, "", false},
        {true, 1, "200 OK", NULL, -1, HTTP_FRAMING_NONE, "", false},
        {true, 0, "200 OK", NULL, -1, HTTP_FRAMING_NONE, "Connection: keep-alive\r\n", false},
        {true, 1, "204 x", "5", 5, HTTP_FRAMING_NONE, "", false},
        {true, 1, "304 x", "5", 0, HTTP_FRAMING_NONE, "Content-Length: 5\r\n", false},
        {false, 1, "204 No Content", NULL, -1, HTTP_FRAMING_NONE, "", false},
        {false, 1, "204 No Content", "5", 5, HTTP_FRAMING_NONE, "", false},
        {false, 0, "204 No Content", "0", 0, HTTP_FRAMING_NONE, "Connection: keep-alive\r\n", false},
        {false, 1, "304 Not Modified", NULL, -1, HTTP_FRAMING_NONE, "", false},
        {false, 1, "304 Not Modified", NULL, 5, HTTP_FRAMING_NONE, "", false},
        {false, 1, "304 Not Modified", "5", -1, HTTP_FRAMING_NONE, "Content-Length: 5\r\n", false},
        {false, 1, "205 x", NULL, -1, HTTP_FRAMING_CHUNKED, "Transfer-Encoding: chunked\r\n", false},
        {false, 1, "500 x", NULL, 3, HTTP_FRAMING_LENGTH, "Content-Length: 3\r\n", false},
    };
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_response_context with = context(cases[i].minor, cases[i].total);
        const char *const fields[4] = {cases[i].length ? "Content-Length" : NULL, cases[i].length};
        char expected[200];

        with.head_request = cases[i].head_request;
        write_head(&r, &out, cases[i].status, fields, &with);
        snprintf(expected, sizeof expected, "HTTP/1.1 %s\r\n" DATE_LINE "%s\r\n", cases[i].status,
                 cases[i].line);
        assert_written(&out, expected);
        assert_int_equal(r.framing, cases[i].framing);
        assert_int_equal(r.close, cases[i].close);
        if (r.framing == HTTP_FRAMING_LENGTH)
            assert_true(r.left == (uint64_t)r.content_length);
        else
            assert_int_equal(r.left, 0);
    }
    buf_release(&out);
}

static void H4_closing_is_said_whoever_wants_it(void **state)
{
    struct http_response r;
    struct buf out;

    (void)state;
    buf_init(&out);
    for (int minor = 0; minor <= 1; minor++) {
        struct http_response_context with = context(minor, 0);
        with.close = true;
        write_head(&r, &out, "200 OK", (const char *const[4]){NULL}, &with);
        assert_written(&out,
                       "HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 0\r\nConnection: close\r\n\r\n");
        assert_true(r.close);
    }
    buf_release(&out);
}

static void H1_date_and_server_of_the_application_win(void **state)
{
    struct http_response r;
    struct buf out;
    struct http_response_context with = context(1, 0);

    (void)state;
    buf_init(&out);
    with.lines = both_lines;
    write_head(&r, &out, "200 OK", (const char *const[4]){"date", "today", "SERVER", "mine"}, &with);
    assert_written(&out, "HTTP/1.1 200 OK\r\ndate: today\r\nSERVER: mine\r\nContent-Length: 0\r\n\r\n");
    with.lines = date_line;
    write_head(&r, &out, "200 OK", (const char *const[4]){NULL}, &with);
    assert_written(&out, "HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 0\r\n\r\n");
    buf_release(&out);
}

/* A buffer with `used` bytes, and as much room behind them as buf_grow leaves. */
static void begin_with(struct buf *out, size_t used)
{
    buf_init(out);
    memset(buf_room(out, used), 'x', used);
    out->len = used;
}

static void every_part_asks_for_enough_room(void **state)
{
    struct http_response_context with = context(1, INT64_MAX);
    struct http_response r;
    struct buf out;

    (void)state;
    with.close = true;
    with.lines = both_lines;
    for (size_t used = 1; used < 1100; used++) {
        begin_with(&out, used);
        http_response_init(&r, &out);
        http_response_status(&r, &out, STR("200 OK"));
        assert_true(out.len <= out.cap);
        http_response_field(&r, &out, STR("Name"), STR("value"));
        assert_true(out.len <= out.cap);
        http_response_end(&r, &out, &with);
        assert_true(out.len <= out.cap);
        assert_memory_equal(out.data + out.len - 4, "\r\n\r\n", 4);
        buf_release(&out);

        begin_with(&out, used);
        http_chunk_begin(&out, SIZE_MAX);
        assert_true(out.len <= out.cap);
        buf_release(&out);
    }
}

static void heads_of_any_size_fit(void **state)
{
    struct http_response r;
    struct buf out;
    static char value[70000];

    (void)state;
    memset(value, 'v', sizeof value);
    for (size_t len = 0; len < sizeof value; len = 2 * len + 1) {
        struct http_response_context with = context(1, 0);
        with.lines = (struct http_response_lines){str_make(value, len), str_make(value + len, 0)};
        buf_init(&out);
        http_response_init(&r, &out);
        http_response_status(&r, &out, STR("200 OK"));
        assert_int_equal(http_response_field(&r, &out, STR("X"), str_make(value, len)), HTTP_FIELD_ADDED);
        http_response_end(&r, &out, &with);
        assert_true(out.len <= out.cap);
        assert_memory_equal(out.data + out.len - 4, "\r\n\r\n", 4);
        buf_release(&out);
    }
}

static void H2_chunks_are_framed(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out);
    http_chunk_begin(&out, 5);
    buf_append_str(&out, STR("hello"));
    http_chunk_end(&out);
    http_chunk_begin(&out, 0x1a2b3c);
    http_chunk_end(&out);
    http_chunk_begin(&out, SIZE_MAX);
    http_chunk_end(&out);
    http_chunk_begin(&out, 16);
    http_chunk_last(&out);
    assert_written(&out, sizeof(size_t) == 8
                             ? "5\r\nhello\r\n1a2b3c\r\n\r\nffffffffffffffff\r\n\r\n10\r\n0\r\n\r\n"
                             : "5\r\nhello\r\n1a2b3c\r\n\r\nffffffff\r\n\r\n10\r\n0\r\n\r\n");
    buf_release(&out);
}

static void statuses_have_reasons(void **state)
{
    static const int unknown[] = {-1, 0, 99, 104, 299, 418, 512, 600, 1 << 30};

    (void)state;
    assert_true(str_equal(http_status_reason(200), STR("OK")));
    assert_true(str_equal(http_status_reason(404), STR("Not Found")));
    assert_true(str_equal(http_status_reason(431), STR("Request Header Fields Too Large")));
    assert_true(str_equal(http_status_reason(511), STR("Network Authentication Required")));
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_true(str_equal(http_status_reason(unknown[i]), STR("Unknown")));
}

static void W36_statuses_without_content(void **state)
{
    (void)state;
    for (int status = 100; status <= 999; status++)
        assert_int_equal(http_status_is_empty(status), status < 200 || status == 204 || status == 304);
}

static void error_pages_say_what_is_wrong(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out);
    http_error_page(&out, 404, "There is nothing.");
    assert_written(&out, "404 Not Found\n\nThere is nothing.\n");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usual_head),
        cmocka_unit_test(W22_a_head_is_begun_again_without_a_trace),
        cmocka_unit_test(W27_status_is_three_digits_and_a_reason),
        cmocka_unit_test(S6_no_control_gets_into_a_field),
        cmocka_unit_test(W27_names_are_tokens),
        cmocka_unit_test(W28_hop_by_hop_fields_are_dropped),
        cmocka_unit_test(W28_close_of_the_application_is_honoured),
        cmocka_unit_test(W34_content_length_of_the_application),
        cmocka_unit_test(W33_W35_W36_framing),
        cmocka_unit_test(H4_closing_is_said_whoever_wants_it),
        cmocka_unit_test(H1_date_and_server_of_the_application_win),
        cmocka_unit_test(every_part_asks_for_enough_room),
        cmocka_unit_test(heads_of_any_size_fit),
        cmocka_unit_test(H2_chunks_are_framed),
        cmocka_unit_test(statuses_have_reasons),
        cmocka_unit_test(W36_statuses_without_content),
        cmocka_unit_test(error_pages_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
