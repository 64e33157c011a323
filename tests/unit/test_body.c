/* SPDX-License-Identifier: MIT */
/*
 * The body decoder. Every input is read in one piece, in two split at every point, and byte by byte, each
 * piece at the end of readable memory; all must give the same content and the same end.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "cserve/body.h"
#include "cserve/buf.h"
#include "guard.h"

static struct http_limits limits = {.head = 200, .fields = 5, .body = 1000};

struct outcome {
    enum http_result result;
    enum http_error error;
    uint64_t received;
    size_t used;
    struct buf content;
};

static struct http_head chunked_head(void)
{
    return (struct http_head){.limits = &limits, .chunked = true, .content_length = -1};
}

static struct http_head length_head(int64_t length)
{
    return (struct http_head){.limits = &limits, .content_length = length};
}

/* Feeds in[0..len) until it is used up or the content is over. */
static void feed(struct outcome *o, struct http_body *body, struct str in)
{
    const char *placed = guard_place(in);
    size_t at = 0;

    do {
        size_t used = SIZE_MAX;
        struct str data = {NULL, SIZE_MAX};
        o->result = http_body_read(body, placed + at, in.len - at, &used, &data);
        assert_true(used <= in.len - at);
        if (data.len > 0)
            assert_true(data.ptr >= placed + at && data.ptr + data.len <= placed + at + used);
        assert_true(used > 0 || o->result != HTTP_MORE || at == in.len);
        buf_append_str(&o->content, data);
        at += used;
    } while (o->result == HTTP_MORE && at < in.len);
    o->used += at;
    o->error = body->error;
    o->received = body->received;
}

static void outcome_begin(struct outcome *o)
{
    buf_release(&o->content);
    *o = (struct outcome){.result = HTTP_MORE};
}

static void read_split(struct outcome *o, const struct http_head *head, struct str text, size_t at)
{
    struct http_body body;

    outcome_begin(o);
    assert_int_equal(http_body_init(&body, head), HTTP_MORE);
    feed(o, &body, str_make(text.ptr, at));
    if (o->result == HTTP_MORE)
        feed(o, &body, str_make(text.ptr + at, text.len - at));
}

static void read_bytewise(struct outcome *o, const struct http_head *head, struct str text)
{
    struct http_body body;

    outcome_begin(o);
    assert_int_equal(http_body_init(&body, head), HTTP_MORE);
    for (size_t i = 0; i < text.len && o->result == HTTP_MORE; i++)
        feed(o, &body, str_make(text.ptr + i, 1));
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->error, b->error);
    assert_int_equal(a->received, b->received);
    assert_int_equal(a->used, b->used);
    assert_int_equal(a->content.len, b->content.len);
    if (a->content.len > 0)
        assert_memory_equal(a->content.data, b->content.data, a->content.len);
}

/* Reads `text` in every way. The caller ends with outcome_begin, which frees. */
static void read_body(struct outcome *o, const struct http_head *head, struct str text)
{
    struct outcome other = {0};

    read_split(o, head, text, text.len);
    read_bytewise(&other, head, text);
    assert_same(o, &other);
    size_t step = text.len > 3000 ? text.len / 100 : 1;
    for (size_t at = 0; at <= text.len; at += step) {
        read_split(&other, head, text, at);
        assert_same(o, &other);
    }
    outcome_begin(&other);
}

/* Chunked content: what it decodes to, or why it is refused; neither if it is not over. */
struct example {
    struct str text;
    const char *expected;
    enum http_error error;
};

static void check_examples(const struct example *examples, size_t count)
{
    struct outcome o = {0};
    struct http_head head = chunked_head();

    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        enum http_result result = e->expected ? HTTP_DONE : e->error ? HTTP_BAD : HTTP_MORE;
        read_body(&o, &head, e->text);
        if (o.result != result || o.error != e->error) {
            char shown[400];
            shown[str_escape(shown, sizeof shown - 1, e->text)] = '\0';
            fail_msg("\"%s\": result %d, error %s instead of %s", shown, o.result,
                     http_error_table[o.error].name, http_error_table[e->error].name);
        }
        if (e->expected) {
            assert_int_equal(o.content.len, strlen(e->expected));
            assert_int_equal(o.received, o.content.len);
            assert_int_equal(o.used, e->text.len);
            if (o.content.len > 0)
                assert_memory_equal(o.content.data, e->expected, o.content.len);
        }
    }
    outcome_begin(&o);
}

#define CHECK(examples) check_examples(examples, sizeof(examples) / sizeof(examples)[0])
#define GOOD(text, content) {STR(text), content, HTTP_OK}
#define BAD(text, error) {STR(text), NULL, error}
#define MORE(text) {STR(text), NULL, HTTP_OK}

static void content_of_a_known_length(void **state)
{
    struct outcome o = {0};
    struct http_head head = length_head(5);

    (void)state;
    read_body(&o, &head, STR("helloGET / HTTP/1.1"));
    assert_int_equal(o.result, HTTP_DONE);
    assert_int_equal(o.used, 5);
    assert_int_equal(o.content.len, 5);
    assert_memory_equal(o.content.data, "hello", 5);
    read_body(&o, &head, STR("hell"));
    assert_int_equal(o.result, HTTP_MORE);
    assert_int_equal(o.received, 4);
    outcome_begin(&o);
}

static void no_content(void **state)
{
    struct http_body body;
    struct http_head none = length_head(-1), zero = length_head(0);
    size_t used;
    struct str data;

    (void)state;
    assert_int_equal(http_body_init(&body, &none), HTTP_DONE);
    assert_int_equal(http_body_init(&body, &zero), HTTP_DONE);
    assert_int_equal(http_body_read(&body, "GET", 3, &used, &data), HTTP_DONE);
    assert_int_equal(used, 0);
    assert_int_equal(data.len, 0);
}

static void F8_chunks_are_joined(void **state)
{
    const struct example examples[] = {
        GOOD("0\r\n\r\n", ""),
        GOOD("5\r\nhello\r\n0\r\n\r\n", "hello"),
        GOOD("5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n", "hello, world"),
        GOOD("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n000\r\n\r\n", "abc"),
        GOOD("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        GOOD("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        GOOD("F\r\n0123456789abcde\r\nf\r\n0123456789abcde\r\n0\r\n\r\n", "0123456789abcde0123456789abcde"),
        GOOD("0000000000000002\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        GOOD("0000000000000000\r\n\r\n", ""),
        MORE(""),
        MORE("5"),
        MORE("5\r\nhell"),
        MORE("5\r\nhello\r\n0\r\n"),
    };
    (void)state;
    CHECK(examples);
}

static void F8_sizes_are_hex_digits(void **state)
{
    const struct example examples[] = {
        BAD("\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD(" 5\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("5 \r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("5\t\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("5 ;a\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("+5\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("-5\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("0x5\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("5_0\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("5,\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("g\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD("@\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD("`\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD("/\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD(":\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD("\0"
            "5\r\n",
            HTTP_BAD_CHUNK_SIZE),
        BAD("\xb2\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD(";a\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD("5\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("5\r\rhello", HTTP_BAD_CHUNK_SIZE),
        BAD("5\rhello", HTTP_BAD_CHUNK_SIZE),
        BAD("00000000000000005\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("10000000000000005\r\nhello", HTTP_BAD_CHUNK_SIZE),
        BAD("ffffffffffffffff\r\n", HTTP_BODY_TOO_LARGE),
        BAD("8000000000000000\r\n", HTTP_BODY_TOO_LARGE),
    };
    (void)state;
    CHECK(examples);
}

static void F8_data_ends_with_crlf(void **state)
{
    const struct example examples[] = {
        BAD("5\r\nhellox0\r\n\r\n", HTTP_BAD_CHUNK_END),
        BAD("5\r\nhello0\r\n\r\n", HTTP_BAD_CHUNK_END),
        BAD("5\r\nhello\n0\r\n\r\n", HTTP_BAD_CHUNK_END),
        BAD("5\r\nhello\r0\r\n\r\n", HTTP_BAD_CHUNK_END),
        BAD("5\r\nhello\r\r\n0\r\n\r\n", HTTP_BAD_CHUNK_END),
        BAD("5\r\nhello\r\n\r\n0\r\n\r\n", HTTP_BAD_CHUNK_SIZE),
        BAD("4\r\nhello\r\n0\r\n\r\n", HTTP_BAD_CHUNK_END),
    };
    (void)state;
    CHECK(examples);
}

static void F8_extensions_are_well_formed_or_refused(void **state)
{
    const struct example examples[] = {
        GOOD("1;a\r\nx\r\n0;b\r\n\r\n", "x"),
        GOOD("1;a=b;c=\"d e\";f\r\nx\r\n0\r\n\r\n", "x"),
        GOOD("1;a=\"\"\r\nx\r\n0\r\n\r\n", "x"),
        GOOD("1;a=\"\\\"\\\\\\;\xff;\t \"\r\nx\r\n0\r\n\r\n", "x"),
        GOOD("1; a = b ; c = \"d\" ; e ;f\r\nx\r\n0\r\n\r\n", "x"),
        BAD("1;\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1; \r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a \r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=b \r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=b c\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a b\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;=b\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;;a\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a;\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=b=c\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;\"a\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"b\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"b\"c\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"b\"\"c\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=b\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"\\\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"\n\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"\r\n\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"\x01\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"\x7f\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a=\"\\\x01\"\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a\0\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a\xe9\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a/b\r\nx", HTTP_BAD_CHUNK_EXT),
        BAD("1;a\r\rx", HTTP_BAD_CHUNK_SIZE),
        BAD("1;a\rx", HTTP_BAD_CHUNK_SIZE),
    };
    (void)state;
    CHECK(examples);
}

static void F9_trailers(void **state)
{
    const struct example examples[] = {
        GOOD("1\r\nx\r\n0\r\nA: b\r\n\r\n", "x"),
        GOOD("0\r\nA: b\r\nC:\r\nX-Checksum: \xff\t \r\n\r\n", ""),
        GOOD("0\r\nA-Name-That-Is-Longer-Than-What-Is-Kept-Of-It: v\r\n\r\n", ""),
        GOOD("0\r\nContent-Lengt: 1\r\nContent-Length-: 1\r\n\r\n", ""),
        MORE("0\r\nA: b\r\n"),
        MORE("0\r\nA: b\r\n\r"),
        MORE("0\r\n\r"),
        BAD("0\r\n\n", HTTP_BAD_TRAILER),
        BAD("0\r\n\rx", HTTP_BAD_TRAILER),
        BAD("0\r\n\r\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA: b\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA: b\rC: d\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA: b\r\n c\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\n A: b\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA : b\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\n: b\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA: \0\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA: \x7f\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nA\xe9: b\r\n\r\n", HTTP_BAD_TRAILER),
        BAD("0\r\nGET / HTTP/1.1\r\n\r\n", HTTP_BAD_TRAILER),
    };
    (void)state;
    CHECK(examples);
}

static void F9_framing_fields_are_no_trailers(void **state)
{
    static const char *const names[] = {
        "Content-Length", "transfer-encoding", "HOST", "Connection", "Trailer", "TE", "Upgrade", "Expect",
        "Keep-Alive", "Content-Encoding", "Content-Type",
    };
    struct outcome o = {0};
    struct http_head head = chunked_head();

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[100];
        for (int before = 0; before < 2; before++) {
            int len = snprintf(text, sizeof text, "0\r\n%s%s: 1\r\n\r\n", before ? "A: b\r\n" : "", names[i]);
            read_body(&o, &head, str_make(text, (size_t)len));
            assert_int_equal(o.result, HTTP_BAD);
            assert_int_equal(o.error, HTTP_BAD_TRAILER);
        }
    }
    outcome_begin(&o);
}

static void W17_nothing_behind_the_content_is_read(void **state)
{
    struct outcome o = {0};
    struct http_head head = chunked_head();

    (void)state;
    read_body(&o, &head, STR("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"));
    assert_int_equal(o.result, HTTP_DONE);
    assert_int_equal(o.used, strlen("1\r\nx\r\n0\r\n\r\n"));
    outcome_begin(&o);
}

static void H7_content_at_its_limit(void **state)
{
    struct http_body body;
    struct outcome o = {0};
    struct http_head head = chunked_head();

    (void)state;
    for (int64_t length = 999; length <= 1001; length++) {
        struct http_head known = length_head(length);
        bool fits = length <= 1000;
        assert_int_equal(http_body_init(&body, &known), fits ? HTTP_MORE : HTTP_BAD);
        assert_int_equal(body.error, fits ? HTTP_OK : HTTP_BODY_TOO_LARGE);

        /* Chunked: as soon as the size that goes beyond it is read. */
        char text[64];
        int len = snprintf(text, sizeof text, "3\r\nabc\r\n%x\r\n", (unsigned)(length - 3));
        read_body(&o, &head, str_make(text, (size_t)len));
        assert_int_equal(o.result, fits ? HTTP_MORE : HTTP_BAD);
        assert_int_equal(o.error, fits ? HTTP_OK : HTTP_BODY_TOO_LARGE);
        assert_int_equal(o.received, 3);
    }
    outcome_begin(&o);
}

static void S3_extensions_are_bounded_together(void **state)
{
    struct outcome o = {0};
    struct http_head head = chunked_head();
    struct buf b;

    (void)state;
    buf_init(&b);
    /* 17 bytes a chunk, with the CR that ends it: 963 of them fit into 16384. */
    for (int i = 0; i < 963; i++)
        buf_append_str(&b, STR("1;aaaaaaaaaaaaaaa\r\nx\r\n"));
    read_body(&o, &head, str_make(b.data, b.len));
    assert_int_equal(o.result, HTTP_MORE);
    buf_append_str(&b, STR("1;aaaaaaaaaaaaaaa\r\nx\r\n"));
    read_body(&o, &head, str_make(b.data, b.len));
    assert_int_equal(o.result, HTTP_BAD);
    assert_int_equal(o.error, HTTP_CHUNK_EXT_TOO_LARGE);
    assert_int_equal(o.received, 963);
    buf_release(&b);

    /* Of one chunk, without an end in sight. */
    buf_init(&b);
    buf_append_str(&b, STR("1;"));
    memset(buf_room(&b, 17000), 'a', 17000);
    b.len += 17000;
    read_body(&o, &head, str_make(b.data, b.len));
    assert_int_equal(o.error, HTTP_CHUNK_EXT_TOO_LARGE);
    assert_int_equal(o.used, 1 + 16384 + 1);
    buf_release(&b);
    outcome_begin(&o);
}

static void S3_trailers_are_bounded_together(void **state)
{
    struct outcome o = {0};
    struct http_head head = chunked_head();
    struct buf b;

    (void)state;
    buf_init(&b);
    for (uint32_t count = 1; count <= 7; count++) {
        b.len = 0;
        buf_append_str(&b, STR("0\r\n"));
        for (uint32_t i = 0; i < count; i++)
            buf_append_str(&b, STR("A: b\r\n"));
        buf_append_str(&b, STR("\r\n"));
        read_body(&o, &head, str_make(b.data, b.len));
        assert_int_equal(o.error, count <= limits.fields ? HTTP_OK : HTTP_TRAILER_TOO_LARGE);
    }
    for (size_t len = limits.head - 1; len <= limits.head + 1; len++) {
        b.len = 0;
        buf_append_str(&b, STR("0\r\nA:"));
        size_t filler = len - strlen("A:\r\n\r\n");
        memset(buf_room(&b, filler), 'v', filler);
        b.len += filler;
        buf_append_str(&b, STR("\r\n\r\n"));
        read_body(&o, &head, str_make(b.data, b.len));
        assert_int_equal(o.error, len <= limits.head ? HTTP_OK : HTTP_TRAILER_TOO_LARGE);
    }
    buf_release(&b);
    outcome_begin(&o);
}

static void random_content_survives_random_chunks(void **state)
{
    struct http_limits wide = {.head = 200, .fields = 5, .body = 1 << 20};
    struct http_head head = {.limits = &wide, .chunked = true, .content_length = -1};
    struct buf content, wire;
    struct outcome o = {0};

    (void)state;
    srandom(3);
    buf_init(&content);
    buf_init(&wire);
    for (int round = 0; round < 30; round++) {
        content.len = wire.len = 0;
        for (int chunks = (int)(random() % 8); chunks > 0; chunks--) {
            size_t size = 1 + (size_t)random() % 300;
            char *room = buf_room(&content, size);
            for (size_t i = 0; i < size; i++)
                room[i] = (char)random();
            content.len += size;
            buf_printf(&wire, "%zx\r\n", size);
            buf_append(&wire, content.data + content.len - size, size);
            buf_append_str(&wire, STR("\r\n"));
        }
        buf_append_str(&wire, STR("0\r\n\r\n"));
        read_body(&o, &head, str_make(wire.data, wire.len));
        assert_int_equal(o.result, HTTP_DONE);
        assert_int_equal(o.content.len, content.len);
        if (content.len > 0)
            assert_memory_equal(o.content.data, content.data, content.len);
    }
    buf_release(&content);
    buf_release(&wire);
    outcome_begin(&o);
}

static void random_framing_reads_the_same_at_every_split(void **state)
{
    static const char alphabet[] = "0123456789abcdefG;=\"\\\r\n\r\n :\t\0\x7f\xff";
    struct outcome o = {0};
    struct http_head head = chunked_head();

    (void)state;
    srandom(9);
    for (int round = 0; round < 3000; round++) {
        char text[] = "5;a=\"b\"\r\nhello\r\n3\r\nabc\r\n0\r\nTrail: er\r\n\r\n";
        for (int edits = (int)(random() % 3); edits >= 0; edits--)
            text[(size_t)random() % (sizeof text - 1)] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
        read_body(&o, &head, str_make(text, sizeof text - 1));
    }
    outcome_begin(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_of_a_known_length),
        cmocka_unit_test(no_content),
        cmocka_unit_test(F8_chunks_are_joined),
        cmocka_unit_test(F8_sizes_are_hex_digits),
        cmocka_unit_test(F8_data_ends_with_crlf),
        cmocka_unit_test(F8_extensions_are_well_formed_or_refused),
        cmocka_unit_test(F9_trailers),
        cmocka_unit_test(F9_framing_fields_are_no_trailers),
        cmocka_unit_test(W17_nothing_behind_the_content_is_read),
        cmocka_unit_test(H7_content_at_its_limit),
        cmocka_unit_test(S3_extensions_are_bounded_together),
        cmocka_unit_test(S3_trailers_are_bounded_together),
        cmocka_unit_test(random_content_survives_random_chunks),
        cmocka_unit_test(random_framing_reads_the_same_at_every_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
