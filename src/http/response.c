/* SPDX-License-Identifier: MIT */
/*
 * Writes response heads: what the application says, checked, and what only the server can say.
 *
 * A head is lines appended to a buffer; each step asks once for all the room that it may need. An
 * application cannot end its head early or add a line to it: names are tokens, and values hold no control
 * but HTAB. How the content is framed and whether the connection stays open is decided in
 * http_response_end alone; what the application says of these goes no further than here.
 */
#include "cserve/response.h"

#include <stdlib.h>

#include "cserve/head.h"
#include "cserve/scan.h"

/* Fields that the server has something to say about; all others are the application's. */
enum field_role { ROLE_PLAIN, ROLE_HOP_BY_HOP, ROLE_CONNECTION, ROLE_LENGTH, ROLE_DATE, ROLE_SERVER };

static const uint8_t field_roles[HTTP_FIELD_COUNT] = {
    [HTTP_FIELD_CONNECTION] = ROLE_CONNECTION,
    [HTTP_FIELD_CONTENT_LENGTH] = ROLE_LENGTH,
    [HTTP_FIELD_DATE] = ROLE_DATE,
    [HTTP_FIELD_KEEP_ALIVE] = ROLE_HOP_BY_HOP,
    [HTTP_FIELD_PROXY_CONNECTION] = ROLE_HOP_BY_HOP,
    [HTTP_FIELD_SERVER] = ROLE_SERVER,
    [HTTP_FIELD_TE] = ROLE_HOP_BY_HOP,
    [HTTP_FIELD_TRAILER] = ROLE_HOP_BY_HOP,
    [HTTP_FIELD_TRANSFER_ENCODING] = ROLE_HOP_BY_HOP,
    [HTTP_FIELD_UPGRADE] = ROLE_HOP_BY_HOP,
};

static char *put(char *at, struct str s)
{
    memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static char *put_line(char *at, struct str name, struct str value)
{
    at = put(at, name);
    *at++ = ':';
    *at++ = ' ';
    at = put(at, value);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

#define LENGTH_DIGITS 20

static char *put_u64(char *at, uint64_t value)
{
    char digits[LENGTH_DIGITS];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(at, str_make(digits + first, sizeof digits - first));
}

void http_response_rewind(struct http_response *r, struct buf *out)
{
    size_t start = r->start;
    out->len = start;
    *r = (struct http_response){.start = start, .content_length = -1};
}

void http_response_init(struct http_response *r, struct buf *out)
{
    r->start = out->len;
    http_response_rewind(r, out);
}

/* The code of "ddd reason", or 0 if that is not what it is. */
static int parse_status(struct str s)
{
    if (s.len < 4 || s.ptr[3] != ' ')
        return 0;
    int code = 0;
    for (int i = 0; i < 3; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return 0;
        code = code * 10 + (s.ptr[i] - '0');
    }
    for (size_t i = 4; i < s.len; i++) {
        if (s.ptr[i] == '\t' || !scan_is((unsigned char)s.ptr[i], SCAN_VALUE))
            return 0;
    }
    return code;
}

enum http_field_verdict http_response_status(struct http_response *r, struct buf *out, struct str status)
{
    static const struct str version = {"HTTP/1.1 ", 9};

    int code = parse_status(status);
    if (code < 200)
        return HTTP_FIELD_BAD_STATUS;
    char *at = buf_room(out, version.len + status.len + 2);
    at = put(at, version);
    at = put(at, status);
    *at++ = '\r';
    *at++ = '\n';
    out->len = (size_t)(at - out->data);
    r->status = code;
    return HTTP_FIELD_ADDED;
}

/* Whether a comma-separated list of tokens holds "close". */
static bool list_has_close(struct str list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (str_equal_nocase(str_trim(str_make(list.ptr, len)), STR("close")))
            return true;
        len += comma != NULL;
        list = str_make(list.ptr + len, list.len - len);
    }
    return false;
}

static enum http_field_verdict take_length(struct http_response *r, struct str value)
{
    uint64_t length;
    if (str_to_u64(str_trim(value), INT64_MAX, &length) < 0)
        return HTTP_FIELD_BAD_LENGTH;
    if (r->content_length >= 0 && r->content_length != (int64_t)length)
        return HTTP_FIELD_BAD_LENGTH;
    r->content_length = (int64_t)length;
    return HTTP_FIELD_TAKEN;
}

/* The server's view of a valid field; HTTP_FIELD_ADDED if the field is to be written. */
static enum http_field_verdict judge_field(struct http_response *r, enum field_role role, struct str value)
{
    switch (role) {
    case ROLE_PLAIN:
        break;
    case ROLE_HOP_BY_HOP:
        return HTTP_FIELD_DROPPED;
    case ROLE_CONNECTION:
        if (!list_has_close(value))
            return HTTP_FIELD_DROPPED;
        r->close = true;
        return HTTP_FIELD_TAKEN;
    case ROLE_LENGTH:
        return take_length(r, value);
    case ROLE_DATE:
        r->has_date = true;
        break;
    case ROLE_SERVER:
        r->has_server = true;
        break;
    }
    return HTTP_FIELD_ADDED;
}

enum http_field_verdict http_response_field(struct http_response *r, struct buf *out, struct str name,
                                            struct str value)
{
    if (name.len == 0 || scan_token(name.ptr, name.ptr + name.len) != name.ptr + name.len)
        return HTTP_FIELD_BAD_NAME;
    if (value.len > 0 && scan_value(value.ptr, value.ptr + value.len) != value.ptr + value.len)
        return HTTP_FIELD_BAD_VALUE;

    enum http_field_verdict verdict = judge_field(r, field_roles[http_field_lookup(name)], value);
    if (verdict != HTTP_FIELD_ADDED)
        return verdict;
    char *at = buf_room(out, name.len + value.len + 4);
    at = put_line(at, name, value);
    out->len = (size_t)(at - out->data);
    return HTTP_FIELD_ADDED;
}

/* Decides where the content ends. Sets framing, left, and content_length to what the head shall say. */
static void frame_content(struct http_response *r, const struct http_response_context *context)
{
    int64_t total = context->total;
    r->framing = HTTP_FRAMING_NONE;
    r->left = 0;
    if (http_status_is_empty(r->status)) {
        if (r->status != 304)
            r->content_length = -1;
    } else if (context->head_request) {
        /* A total of 0 only says that the application answers HEAD without content. */
        if (r->content_length < 0 && total > 0)
            r->content_length = total;
    } else if (r->content_length >= 0 || total >= 0) {
        if (r->content_length < 0)
            r->content_length = total;
        r->framing = HTTP_FRAMING_LENGTH;
        r->left = (uint64_t)r->content_length;
    } else {
        r->framing = context->minor >= 1 ? HTTP_FRAMING_CHUNKED : HTTP_FRAMING_CLOSE;
    }
}

static char *put_framing(char *at, const struct http_response *r)
{
    if (r->framing == HTTP_FRAMING_CHUNKED)
        return put(at, STR("Transfer-Encoding: chunked\r\n"));
    if (r->content_length < 0)
        return at;
    at = put(at, STR("Content-Length: "));
    at = put_u64(at, (uint64_t)r->content_length);
    return put(at, STR("\r\n"));
}

static char *put_connection(char *at, bool close, uint8_t minor)
{
    if (close)
        return put(at, STR("Connection: close\r\n"));
    if (minor == 0)
        return put(at, STR("Connection: keep-alive\r\n"));
    return at;
}

static struct str own_lines(const struct http_response *r, const struct http_response_lines *lines)
{
    const char *begin = r->has_server ? lines->date.ptr : lines->server.ptr;
    const char *end = r->has_date ? lines->date.ptr : lines->date.ptr + lines->date.len;

    return str_make(begin, (size_t)(end - begin));
}

void http_response_end(struct http_response *r, struct buf *out, const struct http_response_context *context)
{
    /* What put_framing, put_connection, and the empty line need at most. */
    static const size_t fixed = sizeof "Transfer-Encoding: chunked\r\n" + LENGTH_DIGITS +
                                sizeof "Connection: keep-alive\r\n" + sizeof "\r\n";

    if (r->status == 0)
        abort(); /* a head without a status line must never leave */
    frame_content(r, context);
    r->close = r->close || context->close || r->framing == HTTP_FRAMING_CLOSE;

    char *at = buf_room(out, fixed + context->lines.server.len + context->lines.date.len);
    at = put(at, own_lines(r, &context->lines));
    at = put_framing(at, r);
    at = put_connection(at, r->close, context->minor);
    *at++ = '\r';
    *at++ = '\n';
    out->len = (size_t)(at - out->data);
    r->head_size = out->len - r->start;
}

void http_chunk_begin(struct buf *out, size_t size)
{
    char digits[2 * sizeof size];
    size_t first = sizeof digits;
    do {
        digits[--first] = "0123456789abcdef"[size & 15];
        size >>= 4;
    } while (size > 0);
    char *at = buf_room(out, sizeof digits + 2);
    at = put(at, str_make(digits + first, sizeof digits - first));
    at = put(at, STR("\r\n"));
    out->len = (size_t)(at - out->data);
}

void http_chunk_end(struct buf *out)
{
    buf_append_str(out, STR("\r\n"));
}

void http_chunk_last(struct buf *out)
{
    buf_append_str(out, STR("0\r\n\r\n"));
}
