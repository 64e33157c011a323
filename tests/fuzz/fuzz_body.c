/* SPDX-License-Identifier: MIT */
/*
 * Request content. The first byte of the input chooses the framing and the limits; the rest is read as
 * content in different pieces, which must give the same content and the same end. Then it is
 * taken as content, framed, and must come back unchanged.
 */
#include <stdlib.h>

#include "cserve/body.h"
#include "cserve/buf.h"

#include "fuzz.h"

struct outcome {
    enum http_result result;
    enum http_error error;
    size_t used;
    struct buf content; /* owned */
};

/* Gives in[0..len) until it is read; each run of content must lie in it. */
static void give(struct http_body *body, struct outcome *o, const char *in, size_t len)
{
    size_t at = 0;

    while (o->result == HTTP_MORE && at < len) {
        size_t used = 0;
        struct str data = {NULL, 0};

        o->result = http_body_read(body, in + at, len - at, &used, &data);
        EXPECT(used <= len - at);
        EXPECT(fuzz_inside(data, str_make(in + at, used)));
        EXPECT(o->result != HTTP_MORE || used > 0);
        buf_append_str(&o->content, data);
        at += used;
    }
    o->used += at;
    EXPECT(body->received == o->content.len && body->received <= body->limit);
}

static void read_content(struct outcome *o, const struct http_head *head, const uint8_t *data, size_t size,
                         struct dice *dice, size_t most)
{
    struct http_body body;
    size_t at = 0;

    *o = (struct outcome){.result = http_body_init(&body, head)};
    while (o->result == HTTP_MORE && at < size) {
        size_t step = 1 + dice_roll(dice, most);
        char *piece;

        step = step < size - at ? step : size - at;
        piece = fuzz_copy(data + at, step);
        give(&body, o, piece, step);
        free(piece);
        at += step;
    }
    o->error = o->result == HTTP_BAD ? body.error : HTTP_OK;
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
    EXPECT(a->result == b->result && a->error == b->error);
    EXPECT(a->used == b->used);
    EXPECT(str_equal(str_make(a->content.data, a->content.len), str_make(b->content.data, b->content.len)));
}

static void check_pieces(const struct http_head *head, const uint8_t *data, size_t size, struct dice *dice)
{
    const size_t most[] = {1, 7, size / 2 + 1};
    struct outcome whole, pieces;

    read_content(&whole, head, data, size, &(struct dice){1}, 1);
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        read_content(&pieces, head, data, size, dice, most[i]);
        expect_same(&whole, &pieces);
        buf_release(&pieces.content);
    }
    if (!head->chunked && whole.result == HTTP_DONE)
        EXPECT(whole.content.len == (size_t)(head->content_length > 0 ? head->content_length : 0));
    buf_release(&whole.content);
}

/* Frames the bytes in chunks of all sizes, with what else a chunk line and an end may hold. */
static void frame(struct buf *out, const uint8_t *data, size_t size, struct dice *dice)
{
    static const char *const extensions[] = {"", ";a", ";a=b", "; a = \"b;\\\"\t\"", ";a;b=c"};
    static const char *const trailers[] = {"", "A: b\r\n", "A:\r\nB: c\t\r\n"};
    size_t at = 0;

    while (at < size) {
        size_t step = 1 + dice_roll(dice, size);

        step = step < size - at ? step : size - at;
        buf_printf(out, dice_roll(dice, 2) ? "%zx%s\r\n" : "0%zX%s\r\n", step,
                   extensions[dice_roll(dice, 5)]);
        buf_append(out, data + at, step);
        buf_append(out, "\r\n", 2);
        at += step;
    }
    buf_printf(out, "00%s\r\n%s\r\n", extensions[dice_roll(dice, 5)], trailers[dice_roll(dice, 3)]);
}

static void check_round_trip(const struct http_limits *limits, const uint8_t *data, size_t size,
                             struct dice *dice)
{
    struct http_head head = {.limits = limits, .chunked = true, .content_length = -1};
    struct buf framed;
    struct outcome o;

    buf_init(&framed);
    frame(&framed, data, size, dice);
    read_content(&o, &head, (const uint8_t *)framed.data, framed.len, dice, framed.len);
    EXPECT(o.result == HTTP_DONE && o.used == framed.len);
    EXPECT(str_equal(str_make(o.content.data, o.content.len), str_make((const char *)data, size)));
    buf_release(&o.content);
    buf_release(&framed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_limits wide = {.fields = 100, .head = 65536, .body = UINT64_MAX >> 1};
    static const struct http_limits narrow = {.fields = 2, .head = 48, .body = 64};
    struct dice dice = dice_make(data, size);
    struct http_head head = {.limits = &wide, .content_length = -1};

    if (size == 0)
        return 0;
    head.chunked = data[0] % 2 == 0;
    if (data[0] & 4)
        head.limits = &narrow;
    if (!head.chunked)
        head.content_length = data[0] / 8;
    check_pieces(&head, data + 1, size - 1, &dice);
    if (size < 512)
        check_round_trip(&wide, data + 1, size - 1, &dice);
    return 0;
}
