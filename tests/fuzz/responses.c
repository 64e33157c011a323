/* SPDX-License-Identifier: MIT */
/* The reader of responses: see responses.h. */
#include "responses.h"

#include "cserve/head.h"

#include "fuzz.h"
#include "stub.h"

struct response {
    int status;
    uint64_t length;
    bool has_length;
    bool chunked;
    bool closes;
    bool is_complete; /* the head is */
};

/* The line that *rest begins with, cut off it; false if it is not all there. */
static bool next_line(struct str *rest, struct str *line)
{
    const char *newline = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;

    if (newline == NULL)
        return false;
    EXPECT(newline > rest->ptr && newline[-1] == '\r');
    *line = str_make(rest->ptr, (size_t)(newline - rest->ptr) - 1);
    *rest = str_make(newline + 1, rest->len - line->len - 2);
    return true;
}

static void read_field(struct response *r, struct str line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct str name, value;

    EXPECT(colon != NULL && colon > line.ptr && colon[1] == ' ');
    name = str_make(line.ptr, (size_t)(colon - line.ptr));
    value = str_make(colon + 2, line.len - name.len - 2);
    EXPECT(fuzz_is_printable(value));
    switch (http_field_lookup(name)) {
    case HTTP_FIELD_CONTENT_LENGTH:
        EXPECT(!r->has_length && str_to_u64(value, INT64_MAX, &r->length) == 0);
        r->has_length = true;
        break;
    case HTTP_FIELD_TRANSFER_ENCODING:
        EXPECT(!r->chunked && str_equal(value, STR("chunked")));
        r->chunked = true;
        break;
    case HTTP_FIELD_CONNECTION:
        EXPECT(str_equal(value, STR("close")) || str_equal(value, STR("keep-alive")));
        r->closes = value.len == 5;
        break;
    default:
        break;
    }
}

static void read_head(struct response *r, struct str *rest)
{
    struct str line;
    uint64_t status;

    *r = (struct response){.status = 0};
    if (!next_line(rest, &line))
        return;
    EXPECT(line.len >= 13 && memcmp(line.ptr, "HTTP/1.1 ", 9) == 0 && line.ptr[12] == ' ');
    EXPECT(str_to_u64(str_make(line.ptr + 9, 3), 999, &status) == 0 && status >= 100);
    EXPECT(fuzz_is_printable(line));
    r->status = (int)status;
    while (next_line(rest, &line)) {
        if (line.len == 0) {
            r->is_complete = true;
            break;
        }
        read_field(r, line);
    }
    EXPECT(!r->chunked || !r->has_length);
    EXPECT(status != 204 || (!r->chunked && !r->has_length));
}

static bool skip(struct str *rest, uint64_t len)
{
    bool enough = len <= rest->len;
    size_t taken = enough ? (size_t)len : rest->len;

    *rest = str_make(rest->ptr + taken, rest->len - taken);
    return enough;
}

static bool skip_chunks(struct str *rest)
{
    struct str line;
    uint64_t size;

    do {
        if (!next_line(rest, &line))
            return false;
        EXPECT(line.len > 0 && line.len <= 8);
        size = 0;
        for (size_t i = 0; i < line.len; i++) {
            const char *digit = memchr("0123456789abcdef", line.ptr[i], 16);

            EXPECT(digit != NULL);
            size = size * 16 + (uint64_t)(digit - "0123456789abcdef") % 16;
        }
        if (!skip(rest, size) || !next_line(rest, &line))
            return false;
        EXPECT(line.len == 0);
    } while (size > 0);
    return true;
}

static bool skip_content(const struct response *r, struct str *rest, bool is_head)
{
    if (is_head || r->status < 200 || r->status == 204 || r->status == 304)
        return true;
    if (r->chunked)
        return skip_chunks(rest);
    if (r->has_length)
        return skip(rest, r->length);
    EXPECT(r->closes);
    return skip(rest, rest->len);
}

void responses_check(struct str output, bool cut)
{
    size_t count = 0;

    while (output.len > 0) {
        struct response r;

        EXPECT(count <= stub_calls());
        read_head(&r, &output);
        /* A refused HEAD request has no content; the stub does not know of it. */
        bool is_head = stub_was_head(count) || (count == stub_calls() && output.len == 0);
        if (!r.is_complete || !skip_content(&r, &output, is_head)) {
            EXPECT(cut);
            return;
        }
        EXPECT(output.len == 0 || !r.closes);
        count += r.status >= 200;
    }
    EXPECT(cut || count >= stub_calls());
}
