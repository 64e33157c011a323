/* SPDX-License-Identifier: MIT */
/*
 * The head parser. Every input is parsed in one piece, in two pieces split at every point, and byte by
 * byte, with every kind of scan; each time at the end of readable memory, and each piece at another address.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "cserve/buf.h"
#include "cserve/head.h"
#include "cserve/memo.h"
#include "cserve/scan.h"
#include "guard.h"

enum { FIELDS = 1000 };

static struct http_field fields[FIELDS];
static const struct http_limits limits = {
    .line = 8190, .fields = 100, .field_size = 8190, .head = 65536, .body = 1 << 20};

/* What a parse came to, in values that can be compared after the buffer moved. */
struct outcome {
    enum http_result result;
    struct http_head head;
    struct http_field fields[FIELDS];
    char target[256];
};

static void record(struct outcome *o, enum http_result result, const struct http_head *head)
{
    memset(o, 0, sizeof *o);
    o->result = result;
    o->head = *head;
    memcpy(o->fields, fields, head->field_count * sizeof fields[0]);
    /* After HTTP_MORE the views are of a buffer that may be gone. */
    if (result != HTTP_MORE && head->target.len > 0 && head->target.len < sizeof o->target)
        memcpy(o->target, head->target.ptr, head->target.len);
}

/* Where a view lies in the target; what lies outside of it (the path "/" of "http://h") is anywhere. */
static long offset_in(struct str view, struct str target)
{
    if (view.len == 0 || view.ptr < target.ptr || view.ptr > target.ptr + target.len)
        return -1;
    return view.ptr - target.ptr;
}

static void assert_same_view(struct str a, const struct http_head *of_a, struct str b,
                             const struct http_head *of_b)
{
    assert_int_equal(a.len, b.len);
    assert_int_equal(offset_in(a, of_a->target), offset_in(b, of_b->target));
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    const struct http_head *x = &a->head, *y = &b->head;

    assert_int_equal(a->result, b->result);
    assert_int_equal(x->error, y->error);
    assert_int_equal(x->size, y->size);
    assert_int_equal(x->start, y->start);
    if (a->result != HTTP_MORE) {
        assert_int_equal(x->method.len, y->method.len);
        assert_int_equal(x->target.len, y->target.len);
    }
    assert_string_equal(a->target, b->target);
    assert_int_equal(x->field_count, y->field_count);
    assert_memory_equal(a->fields, b->fields, x->field_count * sizeof fields[0]);
    assert_int_equal(x->host, y->host);
    assert_int_equal(x->forwarded, y->forwarded);
    assert_int_equal(x->content_length, y->content_length);
    assert_int_equal(x->minor, y->minor);
    assert_int_equal(x->chunked, y->chunked);
    assert_int_equal(x->close, y->close);
    assert_int_equal(x->expect_continue, y->expect_continue);
    if (a->result != HTTP_DONE)
        return;
    assert_int_equal(x->uri.form, y->uri.form);
    assert_int_equal(x->uri.encoded, y->uri.encoded);
    assert_same_view(x->uri.scheme, x, y->uri.scheme, y);
    assert_same_view(x->uri.authority, x, y->uri.authority, y);
    assert_same_view(x->uri.path, x, y->uri.path, y);
    assert_same_view(x->uri.query, x, y->uri.query, y);
}

static enum http_result parse_prefix(struct http_head *head, struct str text, size_t len)
{
    return http_head_parse(head, guard_place(str_make(text.ptr, len)), len);
}

static void parse_whole(struct outcome *o, struct str text, const struct http_limits *with)
{
    struct http_head head;
    memset(fields, 0xaa, sizeof fields);
    http_head_init(&head, with, fields);
    record(o, parse_prefix(&head, text, text.len), &head);
}

/* First text[0..at), then all of it. */
static void parse_split(struct outcome *o, struct str text, size_t at, const struct http_limits *with)
{
    struct http_head head;
    memset(fields, 0xaa, sizeof fields);
    http_head_init(&head, with, fields);
    enum http_result result = parse_prefix(&head, text, at);
    if (result == HTTP_MORE)
        result = parse_prefix(&head, text, text.len);
    record(o, result, &head);
}

static void parse_bytewise(struct outcome *o, struct str text, const struct http_limits *with)
{
    struct http_head head;
    enum http_result result = HTTP_MORE;

    memset(fields, 0xaa, sizeof fields);
    http_head_init(&head, with, fields);
    for (size_t len = 1; len <= text.len && result == HTTP_MORE; len++) {
        result = parse_prefix(&head, text, len);
        /* Nothing but the version and half a line end may be looked at again. */
        assert_true(result != HTTP_MORE || head.position + 10 > len);
    }
    record(o, result, &head);
}

/* The memo of a head that parse_whole accepted; NULL if it is too large for one. free() it. */
static struct http_memo *remember(const struct http_head *head, struct str text)
{
    size_t size = http_memo_size(head);
    struct http_memo *memo;

    if (size == 0)
        return NULL;
    memo = malloc(size); /* with a sanitizer's guard behind it */
    http_memo_fill(memo, head, text.ptr, 7);
    return memo;
}

/* As parse_whole, by who remembers the fields of an earlier head. */
static void parse_remembering(struct outcome *o, const struct http_memo *memo, struct str text,
                              const struct http_limits *with)
{
    struct http_head head;

    memset(fields, 0xaa, sizeof fields);
    http_head_init(&head, with, fields);
    head.memo = memo;
    record(o, parse_prefix(&head, text, text.len), &head);
}

/* First text[0..at), then all of it. */
static void parse_split_remembering(struct outcome *o, const struct http_memo *memo, struct str text, size_t at)
{
    struct http_head head;

    memset(fields, 0xaa, sizeof fields);
    http_head_init(&head, &limits, fields);
    head.memo = memo;
    enum http_result result = parse_prefix(&head, text, at);
    if (result == HTTP_MORE)
        result = parse_prefix(&head, text, text.len);
    record(o, result, &head);
}

/* What was accepted, with its own fields remembered. */
static void check_remembered(const struct outcome *o, struct str text, const struct http_limits *with)
{
    static struct outcome other;
    struct http_head head = o->head;
    struct http_memo *memo;

    head.fields = (struct http_field *)o->fields;
    memo = remember(&head, text);
    if (memo == NULL)
        return;
    parse_remembering(&other, memo, text, with);
    assert_same(o, &other);
    assert_int_equal(other.head.fields_id, 7);
    for (size_t len = 0; len < head.size; len++) {
        parse_remembering(&other, memo, str_make(text.ptr, len), with);
        assert_int_equal(other.result, HTTP_MORE);
    }
    free(memo);
}

/* Parses `text` in every way; all must come to what the first one comes to. */
static void parse_with(struct outcome *o, struct str text, const struct http_limits *with)
{
    static struct outcome other;

    assert_true(scan_use(SCAN_PORTABLE));
    parse_whole(o, text, with);
    for (enum scan_kind kind = SCAN_PORTABLE; kind <= SCAN_AVX2; kind++) {
        if (!scan_use(kind))
            continue;
        parse_whole(&other, text, with);
        assert_same(o, &other);
        parse_bytewise(&other, text, with);
        assert_same(o, &other);
        size_t step = text.len > 3000 ? text.len / 100 : 1;
        for (size_t at = 0; at <= text.len; at += step) {
            parse_split(&other, text, at, with);
            assert_same(o, &other);
        }
    }
    if (o->result == HTTP_DONE)
        check_remembered(o, text, with);
}

static void parse(struct outcome *o, struct str text)
{
    parse_with(o, text, &limits);
}

/* A text that is complete, or refused for a reason. */
struct example {
    struct str text;
    enum http_error error;
};

static void check_examples(const struct example *examples, size_t count)
{
    static struct outcome o;

    for (size_t i = 0; i < count; i++) {
        parse(&o, examples[i].text);
        enum http_result expected = examples[i].error == HTTP_OK ? HTTP_DONE : HTTP_BAD;
        if (o.result != expected || o.head.error != examples[i].error) {
            char shown[400];
            size_t len = str_escape(shown, sizeof shown - 1, examples[i].text);
            shown[len] = '\0';
            fail_msg("\"%s\": result %d, error %s instead of %s", shown, o.result,
                     http_error_table[o.head.error].name, http_error_table[examples[i].error].name);
        }
        if (o.result == HTTP_DONE)
            assert_int_equal(o.head.size, examples[i].text.len);
    }
}

#define CHECK(examples) check_examples(examples, sizeof(examples) / sizeof(examples)[0])

/* A request that is fine but for the field line(s) given. */
#define WITH(lines)   STR("GET / HTTP/1.1\r\nHost: h\r\n" lines "\r\n\r\n")
#define WITH10(lines) STR("GET / HTTP/1.0\r\n" lines "\r\n\r\n")

static void assert_field(const struct outcome *o, const char *text, unsigned i, const char *name,
                         const char *value)
{
    const struct http_field *f = &o->fields[i];
    assert_int_equal(f->name_len, strlen(name));
    assert_memory_equal(text + f->name, name, f->name_len);
    assert_int_equal(f->value_len, strlen(value));
    if (f->value_len > 0)
        assert_memory_equal(text + f->value, value, f->value_len);
}

static void a_browser_is_understood(void **state)
{
    static struct outcome o;
    static const char text[] = "GET /a%20b?q=1 HTTP/1.1\r\n"
                               "Host: example.com:8888\r\n"
                               "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101\r\n"
                               "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"
                               "accept-language:en-GB\r\n"
                               "X-Thing: \t two words \t \r\n"
                               "Cookie: a=b; c=\xc3\xa9\r\n"
                               "Empty:\r\n"
                               "Blank: \t\r\n"
                               "\r\n";

    (void)state;
    parse(&o, str_make(text, sizeof text - 1));
    assert_int_equal(o.result, HTTP_DONE);
    assert_int_equal(o.head.size, sizeof text - 1);
    assert_int_equal(o.head.method.len, 3);
    assert_string_equal(o.target, "/a%20b?q=1");
    assert_int_equal(o.head.uri.form, HTTP_URI_ORIGIN);
    assert_int_equal(o.head.uri.path.len, 6);
    assert_int_equal(o.head.uri.query.len, 3);
    assert_true(o.head.uri.encoded);
    assert_int_equal(o.head.minor, 1);
    assert_int_equal(o.head.field_count, 8);
    assert_int_equal(o.head.host, 0);
    assert_int_equal(o.head.forwarded, -1);
    assert_int_equal(o.head.content_length, -1);
    assert_false(o.head.chunked || o.head.close || o.head.expect_continue);
    assert_field(&o, text, 0, "Host", "example.com:8888");
    assert_field(&o, text, 3, "accept-language", "en-GB");
    assert_field(&o, text, 4, "X-Thing", "two words");
    assert_field(&o, text, 5, "Cookie", "a=b; c=\xc3\xa9");
    assert_field(&o, text, 6, "Empty", "");
    assert_field(&o, text, 7, "Blank", "");
    assert_int_equal(o.fields[0].id, HTTP_FIELD_HOST);
    assert_int_equal(o.fields[3].id, HTTP_FIELD_ACCEPT_LANGUAGE);
    assert_int_equal(o.fields[4].id, HTTP_FIELD_OTHER);
}

static void F1_names_are_tokens_before_a_colon(void **state)
{
    const struct example examples[] = {
        {WITH("!#$%&'*+-.^_`|~09AZaz: v"), HTTP_OK}, {WITH("Name : v"), HTTP_BAD_FIELD_NAME},
        {WITH("Name\t: v"), HTTP_BAD_FIELD_NAME},    {WITH("Na me: v"), HTTP_BAD_FIELD_NAME},
        {WITH(": v"), HTTP_BAD_FIELD_NAME},          {WITH("Name"), HTTP_BAD_FIELD_NAME},
        {WITH("Name\0: v"), HTTP_BAD_FIELD_NAME},    {WITH("\0: v"), HTTP_BAD_FIELD_NAME},
        {WITH("Na(me: v"), HTTP_BAD_FIELD_NAME},     {WITH("N\xc3\xa4me: v"), HTTP_BAD_FIELD_NAME},
        {WITH("\"Name\": v"), HTTP_BAD_FIELD_NAME},  {WITH("Na/me: v"), HTTP_BAD_FIELD_NAME},
        {WITH("Name;a: v"), HTTP_BAD_FIELD_NAME},    {WITH("{Name}: v"), HTTP_BAD_FIELD_NAME},
        {WITH("Na\x7fme: v"), HTTP_BAD_FIELD_NAME},
    };
    (void)state;
    CHECK(examples);
}

static void F1_every_byte_in_a_name(void **state)
{
    static struct outcome o;

    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA?B: v\r\n\r\n";
        *strchr(text, '?') = (char)byte;
        parse_whole(&o, str_make(text, sizeof text - 1), &limits);
        bool good = scan_is((unsigned char)byte, SCAN_TOKEN) || byte == ':';
        assert_int_equal(o.result, good ? HTTP_DONE : HTTP_BAD);
    }
}

static void F1_every_byte_in_a_value(void **state)
{
    static struct outcome o;

    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b?d\r\n\r\n";
        *strchr(text, '?') = (char)byte;
        parse_whole(&o, str_make(text, sizeof text - 1), &limits);
        bool good = byte == '\t' || (byte >= ' ' && byte != 0x7f);
        assert_int_equal(o.result, good ? HTTP_DONE : HTTP_BAD);
        if (good)
            assert_int_equal(o.fields[1].value_len, 3);
        else
            assert_int_equal(o.head.error,
                             byte == '\r' || byte == '\n' ? HTTP_BAD_LINE_END : HTTP_BAD_FIELD_VALUE);
    }
}

static void F1_values_are_trimmed_of_space_and_tab_only(void **state)
{
    static struct outcome o;
    static const char text[] = "GET / HTTP/1.1\r\nHost:h\t \r\nA: \xa0v\xa0 \r\nB:\x85\r\n\r\n";

    (void)state;
    parse(&o, str_make(text, sizeof text - 1));
    assert_int_equal(o.result, HTTP_DONE);
    assert_field(&o, text, 0, "Host", "h");
    assert_field(&o, text, 1, "A", "\xa0v\xa0");
    assert_field(&o, text, 2, "B", "\x85");
}

static void F2_lines_end_in_crlf(void **state)
{
    const struct example examples[] = {
        {STR("GET / HTTP/1.1\nHost: h\n\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\rHost: h\r\r"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\rXHost: h\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\n\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\n\r\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\nA\n: b\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\nHost: h\r\nA\r\n: b\r\n\r\n"), HTTP_BAD_FIELD_NAME},
        {STR("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET\n/ HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET /\nHTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE_END},
        {STR("GET / HTTP/1.1\r\n\r\x00\n"), HTTP_BAD_LINE_END},
    };
    (void)state;
    CHECK(examples);
}

static void F2_folded_fields_are_refused(void **state)
{
    const struct example examples[] = {
        {WITH("A: b\r\n c"), HTTP_BAD_FOLD},
        {WITH("A: b\r\n\tc"), HTTP_BAD_FOLD},
        {WITH("A:\r\n b"), HTTP_BAD_FOLD},
        {WITH("A: b\r\n "), HTTP_BAD_FOLD},
        {STR("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), HTTP_BAD_FOLD},
        {STR("GET / HTTP/1.1\r\n\r\n Host: h\r\n\r\n"), HTTP_BAD_HOST_MISSING},
    };
    (void)state;
    CHECK(examples);
}

static void F3_request_line(void **state)
{
    const struct example examples[] = {
        {STR("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("!#$%&'*+-.^_`|~ / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("get / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR(" GET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR(" / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR("GET  HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR("GET /  HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_METHOD},
        {STR("GET /\tHTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET / HTTP/1.1 x\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR("GET / x HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
        {STR("GET\r\n"), HTTP_BAD_LINE},
        {STR("GET /\r\n"), HTTP_BAD_LINE},
        {STR("GET / \r\n"), HTTP_BAD_LINE},
        {STR("GET HTTP/1.1\r\n"), HTTP_BAD_LINE},
        {STR("G\0T / HTTP/1.1\r\n"), HTTP_BAD_METHOD},
        {STR("G(T / HTTP/1.1\r\n"), HTTP_BAD_METHOD},
        {STR("G\xc3\x89T / HTTP/1.1\r\n"), HTTP_BAD_METHOD},
        {STR("\x00"), HTTP_BAD_METHOD},
        {STR(":"), HTTP_BAD_METHOD},
    };
    (void)state;
    CHECK(examples);
}

static void F3_versions(void **state)
{
    const struct example examples[] = {
        {STR("GET / HTTP/1.0\r\n\r\n"), HTTP_OK},
        {STR("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("GET / HTTP/1.9\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("GET / HTTP/1.2\r\n\r\n"), HTTP_BAD_HOST_MISSING},
        {STR("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), HTTP_BAD_VERSION},
        {STR("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), HTTP_BAD_VERSION},
        {STR("GET / HTTP/3.1\r\nHost: h\r\n\r\n"), HTTP_BAD_VERSION},
        {STR("GET / http/1.1\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/1\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/1.\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/1.10\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/11.1\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/01.1\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/1,1\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/a.1\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/1.x\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTP/1.1\0\r\n"), HTTP_BAD_LINE},
        {STR("GET / HTTPS/1.1\r\n"), HTTP_BAD_LINE},
        {STR("GET / ICY/1.1\r\n"), HTTP_BAD_LINE},
        {STR("GET / \xb9HTTP/1.1\r\n"), HTTP_BAD_LINE},
    };
    static struct outcome o;

    (void)state;
    CHECK(examples);
    parse(&o, STR("GET / HTTP/1.7\r\nHost: h\r\n\r\n"));
    assert_int_equal(o.head.minor, 1);
    parse(&o, STR("GET / HTTP/1.0\r\nHost: h\r\n\r\n"));
    assert_int_equal(o.head.minor, 0);
}

static void F3_empty_lines_before_the_request_are_bounded(void **state)
{
    const struct example examples[] = {
        {STR("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_LINE},
    };
    static struct outcome o;

    (void)state;
    CHECK(examples);
    parse(&o, STR("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_int_equal(o.head.start, 4);
    assert_string_equal(o.target, "/");
}

static void F4_targets(void **state)
{
    const struct example examples[] = {
        {STR("GET /%zz%\"<>|{} HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_OK},
        {STR("GET * HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("options * HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("OPTIONS ** HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET x HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET /#f HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n"), HTTP_BAD_CONNECT},
        {STR("CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_CONNECT},
    };
    (void)state;
    CHECK(examples);
}

static void F4_absolute_form_is_taken_apart(void **state)
{
    static struct outcome o;

    (void)state;
    parse(&o, STR("GET http://a.example:81?q HTTP/1.1\r\nHost: b.example\r\n\r\n"));
    assert_int_equal(o.result, HTTP_DONE);
    assert_int_equal(o.head.uri.form, HTTP_URI_ABSOLUTE);
    assert_int_equal(o.head.uri.authority.len, strlen("a.example:81"));
    assert_int_equal(o.head.uri.path.len, 1);
    assert_int_equal(o.head.uri.query.len, 1);
}

static void F5_host(void **state)
{
    const struct example examples[] = {
        {STR("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_OK},
        {STR("GET / HTTP/1.1\r\nhOST: [::1]:80\r\n\r\n"), HTTP_OK},
        {STR("GET / HTTP/1.0\r\n\r\n"), HTTP_OK},
        {STR("GET / HTTP/1.1\r\n\r\n"), HTTP_BAD_HOST_MISSING},
        {STR("GET http://h/ HTTP/1.1\r\n\r\n"), HTTP_BAD_HOST_MISSING},
        {STR("OPTIONS * HTTP/1.1\r\n\r\n"), HTTP_BAD_HOST_MISSING},
        {STR("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), HTTP_BAD_FIELD_NAME},
        {STR("GET / HTTP/1.1\r\nHost_: h\r\n\r\n"), HTTP_BAD_HOST_MISSING},
        {WITH("Host: h"), HTTP_BAD_HOST_REPEATED},
        {WITH("HOST: i"), HTTP_BAD_HOST_REPEATED},
        {WITH10("Host: h\r\nHost: h"), HTTP_BAD_HOST_REPEATED},
        {WITH10("Host: a b"), HTTP_BAD_HOST},
        {STR("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), HTTP_BAD_HOST},
        {STR("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), HTTP_BAD_HOST},
        {STR("GET / HTTP/1.1\r\nHost: http://h/\r\n\r\n"), HTTP_BAD_HOST},
        {STR("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n"), HTTP_BAD_HOST},
        {STR("GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n"), HTTP_BAD_HOST},
        {STR("GET / HTTP/1.1\r\nHost: \xa0h\r\n\r\n"), HTTP_BAD_HOST},
    };
    (void)state;
    CHECK(examples);
}

static void F5_the_text_about_a_missing_host_says_what_to_type(void **state)
{
    (void)state;
    assert_non_null(strstr(http_error_table[HTTP_BAD_HOST_MISSING].text, "Host: localhost"));
    assert_non_null(strstr(http_error_table[HTTP_BAD_HOST_MISSING].text, "empty line"));
}

static void F6_content_length_list_is_refused(void **state)
{
    const struct example examples[] = {
        {WITH("Content-Length: 5, 5"), HTTP_BAD_LENGTH_REPEATED},
        {WITH("Content-Length: 5,"), HTTP_BAD_LENGTH_REPEATED},
        {WITH("Content-Length: 5\r\nContent-Length: 5"), HTTP_BAD_LENGTH_REPEATED},
        {WITH("Content-Length: 5\r\ncontent-length: 6"), HTTP_BAD_LENGTH_REPEATED},
        {WITH("Content-Length: 0\r\nContent-Length: 0"), HTTP_BAD_LENGTH_REPEATED},
        {WITH10("Content-Length: 5\r\nContent-Length: 5"), HTTP_BAD_LENGTH_REPEATED},
    };
    (void)state;
    CHECK(examples);
}

static void F6_content_length_is_digits_up_to_63_bits(void **state)
{
    const struct example examples[] = {
        {WITH("Content-Length: 0"), HTTP_OK},
        {WITH("Content-Length:\t007 "), HTTP_OK},
        {WITH("Content-Length: 9223372036854775807"), HTTP_OK},
        {WITH("Content-Length: 9223372036854775808"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: 18446744073709551616"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: 99999999999999999999999999"), HTTP_BAD_LENGTH},
        {WITH("Content-Length:"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: +5"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: -5"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: 5 5"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: 0x5"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: 5_0"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: 5.0"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: \"5\""), HTTP_BAD_LENGTH},
        {WITH("Content-Length: \xb2"), HTTP_BAD_LENGTH},
        {WITH("Content-Length: 5;"), HTTP_BAD_LENGTH},
    };
    static struct outcome o;

    (void)state;
    CHECK(examples);
    parse(&o, WITH("Content-Length:\t007 "));
    assert_int_equal(o.head.content_length, 7);
    parse(&o, WITH("Content-Length: 9223372036854775807"));
    assert_true(o.head.content_length == INT64_MAX);
}

static void F7_transfer_encoding_is_one_chunked(void **state)
{
    const struct example examples[] = {
        {WITH("Transfer-Encoding: chunked"), HTTP_OK},
        {WITH("transfer-encoding:CHUNKED "), HTTP_OK},
        {WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: chunked, chunked"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: gzip, chunked"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: identity"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: chunked, identity"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: chunked;q=1"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: \"chunked\""), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: xchunked"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: chunked,"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: ,chunked"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding:"), HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: \xa0"
              "chunked"),
         HTTP_BAD_CODING},
        {WITH("Transfer-Encoding: \x0b"
              "chunked"),
         HTTP_BAD_FIELD_VALUE},
        {WITH("Transfer-Encoding: chunked\r\nContent-Length: 5"), HTTP_BAD_FRAMING},
        {WITH("Content-Length: 5\r\nTransfer-Encoding: chunked"), HTTP_BAD_FRAMING},
        {WITH("Content-Length: 0\r\nTransfer-Encoding: chunked"), HTTP_BAD_FRAMING},
        {WITH10("Transfer-Encoding: chunked"), HTTP_BAD_CODING_VERSION},
        {WITH10("Transfer-Encoding: gzip"), HTTP_BAD_CODING_VERSION},
    };
    static struct outcome o;

    (void)state;
    CHECK(examples);
    parse(&o, WITH("transfer-encoding:CHUNKED "));
    assert_true(o.head.chunked);
}

/* Names that look like framing fields and are none: harmless here, and never shown as such. */
static void F7_lookalikes_frame_nothing(void **state)
{
    static struct outcome o;

    (void)state;
    parse(
        &o,
        WITH("Transfer_Encoding: chunked\r\nContent_Length: 5\r\nTransfer-Encoding-: x\r\nContent-Lengt: 1"));
    assert_int_equal(o.result, HTTP_DONE);
    assert_false(o.head.chunked);
    assert_int_equal(o.head.content_length, -1);
}

static void F12_connection_is_a_list_and_close_wins(void **state)
{
    const struct {
        struct str text;
        bool close;
    } cases[] = {
        {WITH("A: b"), false},
        {WITH("Connection: close"), true},
        {WITH("Connection: CLOSE"), true},
        {WITH("Connection: keep-alive, Close"), true},
        {WITH("Connection: close\r\nConnection: keep-alive"), true},
        {WITH("Connection: keep-alive\r\nConnection:\t,, upgrade ,close ,"), true},
        {WITH("Connection: closed"), false},
        {WITH("Connection: not-close"), false},
        {WITH("Connection: close;q=0"), false},
        {WITH("Connection:"), false},
        {WITH("Connection: ,,,"), false},
        {WITH("Keep-Alive: close"), false},
        {WITH("Proxy-Connection: close"), false},
        {WITH10("A: b"), true},
        {WITH10("Connection: keep-alive"), false},
        {WITH10("Connection: x, Keep-Alive"), false},
        {WITH10("Connection: keep-alive, close"), true},
        {WITH10("Connection: close"), true},
    };
    static struct outcome o;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parse(&o, cases[i].text);
        assert_int_equal(o.result, HTTP_DONE);
        assert_int_equal(o.head.close, cases[i].close);
    }
}

static void F13_expect(void **state)
{
    const struct example examples[] = {
        {WITH("Expect: 100-continue"), HTTP_OK},
        {WITH("Expect: 100-Continue"), HTTP_OK},
        {WITH("Expect: 200-ok"), HTTP_BAD_EXPECT},
        {WITH("Expect: 100-continue, x"), HTTP_BAD_EXPECT},
        {WITH("Expect: 100-continue\r\nExpect: x"), HTTP_BAD_EXPECT},
        {WITH("Expect:"), HTTP_BAD_EXPECT},
        {WITH10("Expect: 100-continue"), HTTP_OK},
        {WITH10("Expect: x"), HTTP_OK},
    };
    static struct outcome o;

    (void)state;
    CHECK(examples);
    parse(&o, WITH("Expect: 100-Continue"));
    assert_true(o.head.expect_continue);
    parse(&o, WITH10("Expect: 100-continue"));
    assert_false(o.head.expect_continue);
}

static void F14_other_protocols_are_recognised(void **state)
{
    const struct example examples[] = {
        {STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), HTTP_BAD_TLS},
        {STR("\x16\x02"), HTTP_BAD_METHOD},
        {STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_BAD_PREFACE},
        {STR("PRI * HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_BAD_TARGET},
        {STR("GET * HTTP/2.0\r\n\r\n"), HTTP_BAD_VERSION},
        {WITH("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
         HTTP_OK},
    };
    (void)state;
    CHECK(examples);
}

static void S5_fields_of_proxies_are_noted(void **state)
{
    static const struct {
        const char *line;
        int forwarded;
    } cases[] = {
        {"A: b", -1},
        {"X-Forwarded-For: 1.2.3.4", 1},
        {"x-forwarded-proto: https", 1},
        {"X-Forwarded-Host: h", 1},
        {"X-Forwarded-Port: 1", 1},
        {"X-Forwarded-Prefix: /a", 1},
        {"X-FORWARDED-anything: /a", 1},
        {"Forwarded: for=1.2.3.4", 1},
        {"X-Real-IP: 1.2.3.4", 1},
        {"X-Forwarded-: x", -1},
        {"X-Forwarded: x", -1},
        {"X-Forwarde-For: x", -1},
        {"A: b\r\nX-Real-IP: 1.2.3.4\r\nForwarded: x", 2},
    };
    static struct outcome o;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        int len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", cases[i].line);
        parse(&o, str_make(text, (size_t)len));
        assert_int_equal(o.result, HTTP_DONE);
        assert_int_equal(o.head.forwarded, cases[i].forwarded);
    }
    parse(&o, WITH10("X-Real-IP: 1.2.3.4\r\nX-Forwarded-For: 1.2.3.4"));
    assert_int_equal(o.head.forwarded, 0);
}

static void W10_underscores_are_marked(void **state)
{
    static struct outcome o;

    (void)state;
    parse(&o, WITH("X_Forwarded_For: a\r\n_: b\r\nUser_Agent: c\r\nUser-Agent: d\r\nX-Other: e"));
    assert_int_equal(o.result, HTTP_DONE);
    static const bool expected[] = {false, true, true, true, false, false};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(o.fields[i].underscore, expected[i]);
    assert_int_equal(o.fields[3].id, HTTP_FIELD_OTHER);
}

/* Appends `count` times `byte`. */
static void pad(struct buf *b, char byte, size_t count)
{
    memset(buf_room(b, count), byte, count);
    b->len += count;
}

static void assert_outcome(const struct buf *text, const struct http_limits *with, enum http_error error)
{
    static struct outcome o;

    parse_with(&o, str_make(text->data, text->len), with);
    if (o.head.error != error)
        fail_msg("error %s instead of %s", http_error_table[o.head.error].name, http_error_table[error].name);
    assert_int_equal(o.result, error == HTTP_OK ? HTTP_DONE : HTTP_BAD);
}

static void H7_request_line_at_its_limit(void **state)
{
    struct http_limits tight = limits;
    struct buf b;

    (void)state;
    buf_init(&b);
    for (uint32_t line = 13; line < 70; line++) {
        tight.line = line;
        for (int more = -1; more <= 1; more++) {
            b.len = 0;
            buf_append_str(&b, STR("\r\nGET /"));
            pad(&b, 'a', (size_t)((int)line - 14 + more > 0 ? (int)line - 14 + more : 0));
            buf_append_str(&b, STR(" HTTP/1.1\r\nHost: h\r\n\r\n"));
            size_t len = b.len - strlen("\r\n") - strlen("\r\nHost: h\r\n\r\n");
            assert_outcome(&b, &tight, len <= line ? HTTP_OK : HTTP_LINE_TOO_LONG);
        }
    }
    buf_release(&b);
}

static void H7_long_lines_are_refused_before_they_end(void **state)
{
    static const struct {
        const char *start;
        char filler;
        enum http_error error;
    } cases[] = {
        {"", 'A', HTTP_LINE_TOO_LONG},
        {"GET ", '/', HTTP_LINE_TOO_LONG},
        {"GET / HTTP/1.1\r\n", 'a', HTTP_FIELD_TOO_LARGE},
        {"GET / HTTP/1.1\r\nA:", ' ', HTTP_FIELD_TOO_LARGE},
        {"GET / HTTP/1.1\r\nA:", '\xff', HTTP_FIELD_TOO_LARGE},
        {"GET / HTTP/1.1\r\nA: b", '\t', HTTP_FIELD_TOO_LARGE},
    };
    struct http_limits tight = {.line = 100, .fields = 10, .field_size = 100, .head = 1000};
    struct buf b;

    (void)state;
    buf_init(&b);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        b.len = 0;
        buf_append(&b, cases[i].start, strlen(cases[i].start));
        size_t line =
            strrchr(cases[i].start, '\n') ? (size_t)(strrchr(cases[i].start, '\n') + 1 - cases[i].start) : 0;
        pad(&b, cases[i].filler, 101 - (b.len - line));
        assert_outcome(&b, &tight, cases[i].error);
        /* One byte less is not refused yet. */
        static struct outcome o;
        parse_whole(&o, str_make(b.data, b.len - 1), &tight);
        assert_int_equal(o.result, HTTP_MORE);
    }
    buf_release(&b);
}

static void H7_field_at_its_limit(void **state)
{
    struct http_limits tight = limits;
    struct buf b;

    (void)state;
    buf_init(&b);
    for (uint32_t size = 8; size < 60; size++) {
        tight.field_size = size;
        for (int more = -1; more <= 1; more++) {
            b.len = 0;
            buf_append_str(&b, STR("GET / HTTP/1.1\r\nHost: h\r\nAbc: "));
            pad(&b, 'v', (size_t)((int)size - 7 + more));
            buf_append_str(&b, STR("\t \r\n\r\n"));
            size_t len = b.len - strlen("GET / HTTP/1.1\r\nHost: h\r\n") - strlen("\r\n\r\n");
            assert_outcome(&b, &tight, len <= size ? HTTP_OK : HTTP_FIELD_TOO_LARGE);
        }
    }
    buf_release(&b);
}

static void H7_field_count_at_its_limit(void **state)
{
    struct http_limits tight = limits;
    struct buf b;

    (void)state;
    buf_init(&b);
    for (uint32_t count = 1; count < 12; count++) {
        tight.fields = count;
        for (uint32_t sent = count - 1; sent <= count + 1; sent++) {
            b.len = 0;
            buf_append_str(&b, STR("GET / HTTP/1.0\r\n"));
            for (uint32_t i = 0; i < sent; i++)
                buf_append_str(&b, STR("A: b\r\n"));
            buf_append_str(&b, STR("\r\n"));
            assert_outcome(&b, &tight, sent <= count ? HTTP_OK : HTTP_TOO_MANY_FIELDS);
        }
    }
    buf_release(&b);
}

static void H7_head_at_its_limit(void **state)
{
    static const char text[] = "\r\nGET /abc HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n";
    struct http_limits tight = limits;
    struct buf b;

    (void)state;
    buf_init(&b);
    buf_append_str(&b, str_make(text, sizeof text - 1));
    for (uint32_t size = 1; size < sizeof text + 2; size++) {
        tight.head = size;
        assert_outcome(&b, &tight, size >= sizeof text - 1 ? HTTP_OK : HTTP_HEAD_TOO_LARGE);
    }
    /* What is behind the head does not count. */
    tight.head = sizeof text - 1;
    buf_append_str(&b, STR("GET /"));
    assert_outcome(&b, &tight, HTTP_OK);
    buf_release(&b);
}

static void S3_endless_heads_are_refused(void **state)
{
    struct http_limits tight = {.line = 100, .fields = 900, .field_size = 100, .head = 500};
    static struct outcome o;
    struct buf b;

    (void)state;
    buf_init(&b);
    buf_append_str(&b, STR("GET / HTTP/1.1\r\n"));
    while (b.len < 2000)
        buf_append_str(&b, STR("A:\r\n"));
    parse_with(&o, str_make(b.data, b.len), &tight);
    assert_int_equal(o.head.error, HTTP_HEAD_TOO_LARGE);
    parse_whole(&o, str_make(b.data, 500), &tight);
    assert_int_equal(o.result, HTTP_MORE);
    parse_whole(&o, str_make(b.data, 501), &tight);
    assert_int_equal(o.head.error, HTTP_HEAD_TOO_LARGE);
    buf_release(&b);
}

static void S13_names_and_values_of_awkward_sizes(void **state)
{
    static const size_t sizes[] = {1, 15, 16, 31, 32, 33, 254, 255, 256, 257, 65534, 65535, 65536, 65537};
    static const struct http_limits wide = {
        .line = 1 << 20, .fields = 10, .field_size = 1 << 20, .head = 1 << 20};
    static struct outcome o;
    struct buf b;

    (void)state;
    buf_init(&b);
    for (size_t i = 0; i < 14; i++) {
        for (size_t j = 0; j < 14; j++) {
            b.len = 0;
            buf_append_str(&b, STR("GET / HTTP/1.1\r\n"));
            pad(&b, 'n', sizes[i]);
            buf_append_str(&b, STR(": "));
            pad(&b, 'v', sizes[j]);
            buf_append_str(&b, STR("\r\nHost: h\r\nContent-Length: 3\r\n\r\n"));
            parse_whole(&o, str_make(b.data, b.len), &wide);
            assert_int_equal(o.result, HTTP_DONE);
            assert_int_equal(o.fields[0].name_len, sizes[i]);
            assert_int_equal(o.fields[0].value_len, sizes[j]);
            assert_int_equal(o.fields[0].value, 16 + sizes[i] + 2);
            assert_int_equal(o.head.host, 1);
            assert_int_equal(o.head.content_length, 3);
        }
    }
    buf_release(&b);
}

static void S15_names_that_share_a_slot_are_told_apart(void **state)
{
    const struct http_limits wide = {.line = 100, .fields = FIELDS, .field_size = 100, .head = 1 << 20};
    static struct outcome o;
    struct buf b;

    (void)state;
    buf_init(&b);
    buf_append_str(&b, STR("GET / HTTP/1.1\r\nHost: h\r\n"));
    for (int i = 0; i < FIELDS - 1; i++) /* as "host": length, first and last but one letter */
        buf_printf(&b, "h%c%c%c: v\r\n", 'a' + i % 14, 's', i % 2 ? 'x' : 'y');
    buf_append_str(&b, STR("\r\n"));
    parse_whole(&o, str_make(b.data, b.len), &wide);
    assert_int_equal(o.result, HTTP_DONE);
    for (int i = 1; i < FIELDS; i++)
        assert_int_equal(o.fields[i].id, HTTP_FIELD_OTHER);
    buf_release(&b);
}

static void H8_a_refused_request_can_be_quoted(void **state)
{
    static struct outcome o;

    (void)state;
    parse(&o, STR("DELETE /thing HTTP/1.1\r\nHost: a b\r\n\r\n"));
    assert_int_equal(o.result, HTTP_BAD);
    assert_int_equal(o.head.method.len, 6);
    assert_string_equal(o.target, "/thing");
    parse(&o, STR("DELETE /thing HTTP/7.1\r\n"));
    assert_string_equal(o.target, "/thing");
    parse(&o, STR("DELETE x HTTP/1.1\r\n"));
    assert_string_equal(o.target, "x");
    parse(&o, STR("D(LETE"));
    assert_int_equal(o.head.target.len, 0);
}

static void views_follow_the_buffer(void **state)
{
    static const char text[] = "GET http://a/b?c HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char short_text[] = "GET http://a HTTP/1.1\r\nHost: h\r\n\r\n";
    char copy[sizeof text];
    struct http_head head;

    (void)state;
    http_head_init(&head, &limits, fields);
    assert_int_equal(parse_prefix(&head, str_make(text, sizeof text - 1), sizeof text - 1), HTTP_DONE);
    memcpy(copy, text, sizeof text);
    http_head_rebase(&head, copy);
    assert_ptr_equal(head.method.ptr, copy);
    assert_ptr_equal(head.target.ptr, copy + 4);
    assert_ptr_equal(head.uri.scheme.ptr, copy + 4);
    assert_ptr_equal(head.uri.authority.ptr, copy + 11);
    assert_ptr_equal(head.uri.path.ptr, copy + 12);
    assert_ptr_equal(head.uri.query.ptr, copy + 15);

    http_head_init(&head, &limits, fields);
    assert_int_equal(parse_prefix(&head, str_make(short_text, sizeof short_text - 1), sizeof short_text - 1),
                     HTTP_DONE);
    memcpy(copy, short_text, sizeof short_text);
    http_head_rebase(&head, copy);
    assert_ptr_equal(head.uri.authority.ptr, copy + 11);
    assert_true(str_equal(head.uri.path, STR("/")));
    assert_ptr_equal(head.uri.query.ptr, copy + 12);
}

#define REMEMBERED "Host: h\r\nX: 1\r\nConnection: keep-alive\r\n\r\n"

/* Heads beside one with REMEMBERED: whether their names are the same, and which lines are not. */
static const struct later {
    struct str text;
    bool alike;
    uint64_t changed;
} later[] = {
    {STR("GET / HTTP/1.1\r\n" REMEMBERED), true, 0},
    {STR("\r\nPOST http://other/b?c HTTP/1.1\r\n" REMEMBERED "content"), true, 0},
    {STR("GET / HTTP/1.9\r\n" REMEMBERED), true, 0}, /* all of 1.1 and above are one minor */
    {STR("GET / HTTP/1.0\r\n" REMEMBERED), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX: 2\r\nConnection: keep-alive\r\n\r\n"), true, 2},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX:1\r\nConnection: keep-alive\r\n\r\n"), true, 2},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX:\r\nConnection: close\r\n\r\n"), true, 6},
    {STR("GET / HTTP/1.1\r\nHost: longer.example:1\r\nX: \xe4 \t 2\r\nConnection: keep-alive\r\n\r\n"), true, 3},
    {STR("GET / HTTP/1.1\r\nhost: h\r\nX: 1\r\nConnection: keep-alive\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\nConnection: keep-alive\r\nY: 2\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nY: 2\r\n" REMEMBERED), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nXX: 1\r\nConnection: keep-alive\r\n\r\n"), false, 0},
    {STR("GET /\x7f HTTP/1.1\r\n" REMEMBERED), false, 0},
    {STR("GET * HTTP/1.1\r\n" REMEMBERED), false, 0},
    /* What the memo knows of a line does not make it right: */
    {STR("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nHost : h\r\nX: 1\r\nConnection: keep-alive\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h/\r\nX: 1\r\nConnection: keep-alive\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX: \x01\r\nConnection: keep-alive\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX: 1\nConnection: keep-alive\r\n\r\n"), false, 0},
    {STR("GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n Connection: keep-alive\r\n\r\n"), false, 0},
};

enum { LATER = sizeof later / sizeof later[0] };

static struct http_memo *remember_first(void)
{
    static struct outcome first;

    parse_whole(&first, later[0].text, &limits);
    first.head.fields = first.fields;
    return remember(&first.head, later[0].text);
}

static void what_is_as_before_is_recognised_and_nothing_else(void **state)
{
    static struct outcome with, without;
    struct http_memo *memo = remember_first();

    (void)state;
    for (size_t i = 0; i < LATER; i++) {
        parse_whole(&without, later[i].text, &limits);
        parse_remembering(&with, memo, later[i].text, &limits);
        assert_same(&without, &with);
        assert_int_equal(with.head.fields_id, later[i].alike ? 7 : 0);
        if (later[i].alike)
            assert_int_equal(with.head.changed, later[i].changed);
    }
    free(memo);
}

static void lines_that_vary_are_not_compared(void **state)
{
    static struct outcome with;
    struct http_memo *memo = remember_first();

    (void)state;
    memo->varies = 2;
    parse_remembering(&with, memo, STR("GET / HTTP/1.1\r\nHost: g\r\nX: 1\r\nConnection: keep-alive\r\n\r\n"), &limits);
    assert_int_equal(with.head.fields_id, 7);
    assert_int_equal(with.head.changed, 3);
    free(memo);
}

static void a_memo_helps_or_hinders_at_no_split(void **state)
{
    static struct outcome with, without;
    struct http_memo *memo = remember_first();

    (void)state;
    for (size_t i = 0; i < LATER; i++) {
        parse_whole(&without, later[i].text, &limits);
        for (size_t at = 0; at <= later[i].text.len; at++) {
            parse_split_remembering(&with, memo, later[i].text, at);
            assert_same(&without, &with);
            assert_true(with.head.fields_id == 0 || later[i].alike);
        }
    }
    free(memo);
}

static void remembered_fields_keep_to_the_limit_of_the_head(void **state)
{
    static const struct str text = STR("GET /longer HTTP/1.1\r\n" REMEMBERED);
    struct http_limits tight = limits;
    struct outcome o;
    struct http_memo *memo;

    (void)state;
    parse_whole(&o, text, &limits);
    o.head.fields = o.fields;
    memo = remember(&o.head, text);
    tight.head = (uint32_t)text.len;
    parse_remembering(&o, memo, text, &tight);
    assert_int_equal(o.result, HTTP_DONE);
    tight.head--;
    parse_remembering(&o, memo, text, &tight);
    assert_int_equal(o.result, HTTP_BAD);
    assert_int_equal(o.head.error, HTTP_HEAD_TOO_LARGE);
    free(memo);
}

static void random_heads_parse_the_same_at_every_split(void **state)
{
    static const char alphabet[] =
        "GET / HTTP/1.1\r\n\r\n:\r\nHost: h\r\nContent-Length: 1\r\n\t \0\x7f\xff#*";
    static struct outcome o;

    (void)state;
    srandom(7);
    for (int round = 0; round < 3000; round++) {
        char text[120] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 1\r\n\r\n";
        size_t len = strlen(text);
        for (int edits = (int)(random() % 4); edits >= 0; edits--)
            text[(size_t)random() % len] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
        parse(&o, str_make(text, len - (size_t)random() % 3));
    }
}

static void H5_what_is_behind_a_head_changes_nothing(void **state)
{
    static const char head[] = "GET /first HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char *const behind[] = {
        "GET", "\r\n\r\n", "\n", " fold", ":", "\x16\x03", "G\xff\x01 bad\r",
    };
    static struct outcome o;

    (void)state;
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
        char text[100];
        int len = snprintf(text, sizeof text, "%s%s", head, behind[i]);
        parse(&o, str_make(text, (size_t)len));
        assert_int_equal(o.result, HTTP_DONE);
        assert_int_equal(o.head.size, sizeof head - 1);
        assert_string_equal(o.target, "/first");
    }
}

static void every_field_of_the_table_is_found(void **state)
{
    (void)state;
    for (int id = 1; id < HTTP_FIELD_COUNT; id++) {
        struct str name = http_field_table[id].name;
        char text[64];
        assert_in_range(name.len, 2, sizeof text);
        assert_int_equal(http_field_lookup(str_make(guard_place(name), name.len)), id);
        for (size_t i = 0; i < name.len; i++)
            text[i] = (char)(name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? name.ptr[i] - 32 : name.ptr[i]);
        assert_int_equal(http_field_lookup(str_make(text, name.len)), id);
        for (size_t i = 0; i < name.len; i++) {
            char kept = text[i];
            text[i] = kept == '-' ? '_' : kept == 'Q' ? 'Z' : 'Q';
            assert_int_equal(http_field_lookup(str_make(text, name.len)), HTTP_FIELD_OTHER);
            text[i] = kept;
        }
        assert_int_equal(http_field_lookup(str_make(text, name.len - 1)), HTTP_FIELD_OTHER);
    }
    assert_int_equal(http_field_lookup(STR("")), HTTP_FIELD_OTHER);
    assert_int_equal(http_field_lookup(STR("x")), HTTP_FIELD_OTHER);
}

/* Of the other tokens none is taken for one of the table: all of up to three characters, and neighbours. */
static void no_other_field_is_found(void **state)
{
    (void)state;
    for (int i = 0; i < 1 << 24; i += 7) {
        char text[] = {(char)(i & 255), (char)(i >> 8 & 255), (char)(i >> 16)};
        if (!scan_is((unsigned char)text[0], SCAN_TOKEN) || !scan_is((unsigned char)text[1], SCAN_TOKEN) ||
            !scan_is((unsigned char)text[2], SCAN_TOKEN))
            continue;
        enum http_field_id id = http_field_lookup(str_make(text, 3));
        assert_int_equal(id != HTTP_FIELD_OTHER,
                         str_equal_nocase(str_make(text, 3), http_field_table[id].name));
    }
}

static void cgi_keys_follow_the_names(void **state)
{
    (void)state;
    for (int id = 1; id < HTTP_FIELD_COUNT; id++) {
        struct str name = http_field_table[id].name, cgi = http_field_table[id].cgi;
        bool bare = id == HTTP_FIELD_CONTENT_TYPE || id == HTTP_FIELD_CONTENT_LENGTH;
        char expected[80];
        int len = snprintf(expected, sizeof expected, "%s%.*s", bare ? "" : "HTTP_", (int)name.len, name.ptr);
        for (int i = bare ? 0 : 5; i < len; i++)
            expected[i] = expected[i] == '-' ? '_' : (char)(expected[i] - 32);
        assert_int_equal(cgi.len, len);
        assert_memory_equal(cgi.ptr, expected, cgi.len);
    }
}

static void every_error_has_its_row(void **state)
{
    (void)state;
    for (int error = 1; error < HTTP_ERROR_COUNT; error++) {
        const struct http_error_info *row = &http_error_table[error];
        assert_in_range(row->status, 400, 599);
        assert_non_null(row->name);
        assert_non_null(row->text);
        assert_int_equal(row->text[strlen(row->text) - 1] == ' ', false);
        for (int other = 1; other < error; other++)
            assert_string_not_equal(row->name, http_error_table[other].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_browser_is_understood),
        cmocka_unit_test(F1_names_are_tokens_before_a_colon),
        cmocka_unit_test(F1_every_byte_in_a_name),
        cmocka_unit_test(F1_every_byte_in_a_value),
        cmocka_unit_test(F1_values_are_trimmed_of_space_and_tab_only),
        cmocka_unit_test(F2_lines_end_in_crlf),
        cmocka_unit_test(F2_folded_fields_are_refused),
        cmocka_unit_test(F3_request_line),
        cmocka_unit_test(F3_versions),
        cmocka_unit_test(F3_empty_lines_before_the_request_are_bounded),
        cmocka_unit_test(F4_targets),
        cmocka_unit_test(F4_absolute_form_is_taken_apart),
        cmocka_unit_test(F5_host),
        cmocka_unit_test(F5_the_text_about_a_missing_host_says_what_to_type),
        cmocka_unit_test(F6_content_length_list_is_refused),
        cmocka_unit_test(F6_content_length_is_digits_up_to_63_bits),
        cmocka_unit_test(F7_transfer_encoding_is_one_chunked),
        cmocka_unit_test(F7_lookalikes_frame_nothing),
        cmocka_unit_test(F12_connection_is_a_list_and_close_wins),
        cmocka_unit_test(F13_expect),
        cmocka_unit_test(F14_other_protocols_are_recognised),
        cmocka_unit_test(S5_fields_of_proxies_are_noted),
        cmocka_unit_test(W10_underscores_are_marked),
        cmocka_unit_test(H7_request_line_at_its_limit),
        cmocka_unit_test(H7_long_lines_are_refused_before_they_end),
        cmocka_unit_test(H7_field_at_its_limit),
        cmocka_unit_test(H7_field_count_at_its_limit),
        cmocka_unit_test(H7_head_at_its_limit),
        cmocka_unit_test(S3_endless_heads_are_refused),
        cmocka_unit_test(S13_names_and_values_of_awkward_sizes),
        cmocka_unit_test(S15_names_that_share_a_slot_are_told_apart),
        cmocka_unit_test(H8_a_refused_request_can_be_quoted),
        cmocka_unit_test(views_follow_the_buffer),
        cmocka_unit_test(what_is_as_before_is_recognised_and_nothing_else),
        cmocka_unit_test(lines_that_vary_are_not_compared),
        cmocka_unit_test(a_memo_helps_or_hinders_at_no_split),
        cmocka_unit_test(remembered_fields_keep_to_the_limit_of_the_head),
        cmocka_unit_test(random_heads_parse_the_same_at_every_split),
        cmocka_unit_test(H5_what_is_behind_a_head_changes_nothing),
        cmocka_unit_test(every_field_of_the_table_is_found),
        cmocka_unit_test(no_other_field_is_found),
        cmocka_unit_test(cgi_keys_follow_the_names),
        cmocka_unit_test(every_error_has_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
