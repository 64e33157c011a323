/* SPDX-License-Identifier: MIT */
/*
 * The request head. Whatever the pieces in which it arrives, wherever the buffer lies, and whichever
 * way of scanning is used, the parser says the same; and what it accepts keeps the promises of head.h.
 */
#include <stdlib.h>
#include <string.h>

#include "cserve/head.h"
#include "cserve/memo.h"
#include "cserve/scan.h"

#include "fuzz.h"

enum { FIELDS_MAX = 100, BYTE_BY_BYTE_MAX = 192 };

static const struct http_limits all_limits[] = {
    {.line = 8190, .fields = FIELDS_MAX, .field_size = 8190, .head = 65536, .body = 1 << 30},
    {.line = 40, .fields = 4, .field_size = 48, .head = 160, .body = 100},
};

struct outcome {
    enum http_result result;
    char *buf; /* owned: the last one given */
    size_t len;
    struct http_head head;
    struct http_field fields[FIELDS_MAX];
};

static void give(struct outcome *o, const uint8_t *data, size_t len)
{
    free(o->buf);
    o->buf = fuzz_copy(data, len);
    o->len = len;
    o->result = http_head_parse(&o->head, o->buf, len);
}

/* Parses in pieces of 1 to `most` bytes. */
static void parse(struct outcome *o, const struct http_limits *limits, const uint8_t *data, size_t size,
                  struct dice *dice, size_t most)
{
    size_t len = 0;

    o->result = HTTP_MORE;
    o->buf = NULL;
    o->len = 0;
    http_head_init(&o->head, limits, o->fields);
    while (o->result == HTTP_MORE && len < size) {
        size_t step = 1 + dice_roll(dice, most);

        len += step < size - len ? step : size - len;
        give(o, data, len);
    }
}

static bool same_place(struct str a, const char *a_buf, struct str b, const char *b_buf)
{
    return a.len == b.len && (a.len == 0 || a.ptr - a_buf == b.ptr - b_buf);
}

static void expect_same_head(const struct outcome *a, const struct outcome *b)
{
    const struct http_uri *u = &a->head.uri, *v = &b->head.uri;

    EXPECT(a->head.size == b->head.size);
    EXPECT(a->head.host == b->head.host);
    EXPECT(a->head.forwarded == b->head.forwarded);
    EXPECT(a->head.content_length == b->head.content_length);
    EXPECT(a->head.chunked == b->head.chunked);
    EXPECT(a->head.close == b->head.close);
    EXPECT(a->head.expect_continue == b->head.expect_continue);
    EXPECT(u->form == v->form && u->encoded == v->encoded);
    EXPECT(str_equal(u->scheme, v->scheme) && str_equal(u->authority, v->authority));
    EXPECT(str_equal(u->path, v->path) && str_equal(u->query, v->query));
}

static void expect_same_field(const struct http_field *f, const struct http_field *g)
{
    EXPECT(f->name == g->name && f->name_len == g->name_len);
    EXPECT(f->value == g->value && f->value_len == g->value_len);
    EXPECT(f->id == g->id && f->underscore == g->underscore);
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
    EXPECT(a->result == b->result);
    if (a->result == HTTP_MORE)
        return;
    EXPECT(a->head.error == b->head.error);
    EXPECT(a->head.start == b->head.start && a->head.minor == b->head.minor);
    EXPECT(same_place(a->head.method, a->buf, b->head.method, b->buf));
    EXPECT(same_place(a->head.target, a->buf, b->head.target, b->buf));
    EXPECT(a->head.field_count == b->head.field_count);
    for (uint32_t i = 0; i < a->head.field_count; i++)
        expect_same_field(&a->fields[i], &b->fields[i]);
    if (a->result == HTTP_DONE)
        expect_same_head(a, b);
}

static bool is_token(struct str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (!alnum && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return s.len > 0;
}

/* Whether buf[at..at+2) is CR LF. */
static bool is_line_end(const struct outcome *o, size_t at)
{
    return at + 2 <= o->head.size && memcmp(o->buf + at, "\r\n", 2) == 0;
}

/* Returns where the field's line ends. */
static size_t check_field(const struct outcome *o, const struct http_field *f, size_t line)
{
    struct str name = http_field_name(f, o->buf), value = http_field_value(f, o->buf);
    struct str all = str_make(o->buf, o->head.size);
    size_t end = f->value + f->value_len;

    EXPECT(f->name == line);
    EXPECT(fuzz_inside(name, all) && fuzz_inside(value, all));
    EXPECT(is_token(name) && name.ptr[name.len] == ':');
    EXPECT(fuzz_is_printable(value) && str_trim(value).len == value.len);
    EXPECT(f->id == http_field_lookup(name));
    EXPECT(f->underscore == (memchr(name.ptr, '_', name.len) != NULL));
    EXPECT(f->value > f->name + f->name_len);
    while (end < o->head.size && str_is_blank(o->buf[end]))
        end++;
    EXPECT(is_line_end(o, end));
    EXPECT(end - line <= o->head.limits->field_size);
    return end + 2;
}

/* Every field that frames the message occurs once at most, and means what the head says. */
static void check_framing(const struct outcome *o)
{
    uint32_t seen[HTTP_FIELD_COUNT] = {0};

    for (uint32_t i = 0; i < o->head.field_count; i++) {
        struct str value = http_field_value(&o->fields[i], o->buf);
        uint64_t length = 0;

        seen[o->fields[i].id]++;
        if (o->fields[i].id == HTTP_FIELD_CONTENT_LENGTH)
            EXPECT(str_to_u64(value, INT64_MAX, &length) == 0 && o->head.content_length == (int64_t)length);
        if (o->fields[i].id == HTTP_FIELD_TRANSFER_ENCODING)
            EXPECT(str_equal_nocase(value, STR("chunked")) && o->head.chunked);
        if (o->fields[i].id == HTTP_FIELD_HOST)
            EXPECT(o->head.host == (int32_t)i && http_authority_valid(value));
    }
    EXPECT(seen[HTTP_FIELD_CONTENT_LENGTH] + seen[HTTP_FIELD_TRANSFER_ENCODING] <= 1);
    EXPECT((seen[HTTP_FIELD_CONTENT_LENGTH] == 1) == (o->head.content_length >= 0));
    EXPECT((seen[HTTP_FIELD_TRANSFER_ENCODING] == 1) == o->head.chunked);
    EXPECT(seen[HTTP_FIELD_HOST] <= 1 && (seen[HTTP_FIELD_HOST] == 1) == (o->head.host >= 0));
    EXPECT(o->head.minor <= 1 && (o->head.minor == 0 || o->head.host >= 0));
    EXPECT(!o->head.chunked || o->head.minor == 1);
    EXPECT(!o->head.expect_continue || o->head.minor == 1);
}

static void check_accepted(const struct outcome *o)
{
    const struct http_head *head = &o->head;
    struct str method = head->method, target = head->target;
    size_t line = head->start + method.len + 1 + target.len + sizeof(" HTTP/1.1\r\n") - 1;

    EXPECT(head->size <= o->len && head->size <= head->limits->head);
    for (uint32_t i = 0; i < head->start; i++)
        EXPECT(o->buf[i] == "\r\n"[i % 2]);
    EXPECT(head->field_count <= head->limits->fields);
    EXPECT(method.ptr == o->buf + head->start && is_token(method));
    EXPECT(target.ptr == method.ptr + method.len + 1 && target.ptr[-1] == ' ');
    EXPECT(fuzz_is_printable(target) && memchr(target.ptr, ' ', target.len) == NULL);
    EXPECT(line - 2 - head->start <= head->limits->line && is_line_end(o, line - 2));
    EXPECT(memcmp(target.ptr + target.len, " HTTP/1.", 8) == 0);
    for (uint32_t i = 0; i < head->field_count; i++)
        line = check_field(o, &o->fields[i], line);
    EXPECT(is_line_end(o, line) && line + 2 == head->size);
    check_framing(o);
}

/* The same head in another place reads the same. */
static void check_moved(struct outcome *o)
{
    char *elsewhere = fuzz_copy(o->buf, o->head.size);
    struct http_uri uri;

    http_head_rebase(&o->head, elsewhere);
    free(o->buf);
    o->buf = elsewhere;
    o->len = o->head.size;
    EXPECT(http_uri_parse(&uri, o->head.target) == 0);
    EXPECT(str_equal(uri.path, o->head.uri.path) && str_equal(uri.query, o->head.uri.query));
    EXPECT(str_equal(uri.authority, o->head.uri.authority) && str_equal(uri.scheme, o->head.uri.scheme));
    check_accepted(o);
}

static void check_pieces(const struct outcome *whole, const uint8_t *data, size_t size, struct dice *dice)
{
    static struct outcome pieces;
    const size_t most[] = {size <= BYTE_BY_BYTE_MAX ? 1 : size / 8 + 1, size / 2 + 1, size / 3 + 1};

    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        parse(&pieces, whole->head.limits, data, size, dice, most[i]);
        expect_same(whole, &pieces);
        free(pieces.buf);
    }
}

static void check_scans(const struct outcome *whole, const uint8_t *data, size_t size)
{
    static struct outcome other;

    for (int kind = SCAN_PORTABLE; kind <= SCAN_AVX2; kind++) {
        if (!scan_use((enum scan_kind)kind))
            continue;
        http_head_init(&other.head, whole->head.limits, other.fields);
        other.buf = NULL;
        give(&other, data, size);
        expect_same(whole, &other);
        free(other.buf);
    }
    scan_init();
}

/* What it means that `later` has the memo's fields_id, which was made of `first`. */
static void check_recognised(const struct outcome *first, const struct outcome *later)
{
    EXPECT(later->head.field_count == first->head.field_count);
    for (uint32_t i = 0; i < first->head.field_count; i++) {
        const struct http_field *f = &first->fields[i], *g = &later->fields[i];

        EXPECT(str_equal(http_field_name(f, first->buf), http_field_name(g, later->buf)));
        if ((later->head.changed >> i & 1) == 0)
            EXPECT(str_equal(http_field_value(f, first->buf), http_field_value(g, later->buf)));
    }
}

/* A head that may differ in one byte, read by who remembers the fields of the first and by who does not. */
static void check_memo(const struct outcome *whole, const uint8_t *data, size_t size, struct dice *dice)
{
    static struct outcome with, without;
    struct http_memo *memo = malloc(http_memo_size(&whole->head));
    uint8_t *changed = malloc(size);

    http_memo_fill(memo, &whole->head, whole->buf, 7);
    memo->varies = dice_roll(dice, 256);
    memcpy(changed, data, size);
    changed[dice_roll(dice, size)] ^= (uint8_t)dice_roll(dice, 256);
    http_head_init(&with.head, whole->head.limits, with.fields);
    http_head_init(&without.head, whole->head.limits, without.fields);
    with.head.memo = memo;
    with.buf = without.buf = NULL;
    give(&with, changed, size);
    give(&without, changed, size);
    expect_same(&without, &with);
    if (with.result == HTTP_DONE && with.head.fields_id != 0)
        check_recognised(whole, &with);
    free(with.buf);
    free(without.buf);
    free(changed);
    free(memo);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole;
    struct dice dice = dice_make(data, size);

    for (size_t i = 0; i < sizeof(all_limits) / sizeof(all_limits[0]); i++) {
        http_head_init(&whole.head, &all_limits[i], whole.fields);
        whole.buf = NULL;
        give(&whole, data, size);
        check_pieces(&whole, data, size, &dice);
        check_scans(&whole, data, size);
        if (whole.result == HTTP_BAD)
            EXPECT(whole.head.error > HTTP_OK && whole.head.error < HTTP_ERROR_COUNT);
        if (whole.result == HTTP_DONE) {
            check_accepted(&whole);
            check_moved(&whole);
            if (http_memo_size(&whole.head) > 0)
                check_memo(&whole, data, size, &dice);
        }
        free(whole.buf);
    }
    return 0;
}
