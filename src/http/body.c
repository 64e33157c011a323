/* SPDX-License-Identifier: MIT */
/*
 * The decoder of request content.
 *
 * Content-Length is a countdown. Chunked content is runs of data, cut out without a copy, between bytes of
 * framing, which a machine reads one at a time: there are few of them, and their total is bounded, extensions
 * by EXTENSIONS_MAX over the whole content, trailers by the limits of the head. Every byte of framing has one
 * meaning or ends the request; nothing is skipped to find a line end.
 */
#include "cserve/body.h"

#include "cserve/scan.h"

enum chunk_state {
    CHUNK_SIZE,       /* in the digits of a size */
    EXT_NAME,         /* behind ';' */
    EXT_NAMED,        /* in a name */
    EXT_BEHIND_NAME,  /* in blanks behind it */
    EXT_VALUE,        /* behind '=' */
    EXT_TOKEN,        /* in a value without quotes */
    EXT_QUOTED,       /* in a quoted string */
    EXT_ESCAPED,      /* behind '\' in it */
    EXT_CLOSED,       /* behind its closing quote */
    EXT_BEHIND_VALUE, /* in blanks behind a value */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START, /* at the first byte of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    CHUNKED_LF, /* at the very last byte */
};

enum { SIZE_DIGITS_MAX = 16, EXTENSIONS_MAX = 16384 };

enum http_result http_body_init(struct http_body *body, const struct http_head *head)
{
    *body = (struct http_body){
        .limit = head->limits->body,
        .trailer_limit = head->limits->head,
        .trailer_count_limit = head->limits->fields,
    };
    if (head->chunked) {
        body->kind = HTTP_BODY_CHUNKED;
        return HTTP_MORE;
    }
    if (head->content_length <= 0)
        return HTTP_DONE;
    body->kind = HTTP_BODY_LENGTH;
    body->left = (uint64_t)head->content_length;
    if (body->left <= body->limit)
        return HTTP_MORE;
    body->error = HTTP_BODY_TOO_LARGE;
    return HTTP_BAD;
}

static enum http_result fail(struct http_body *body, enum http_error error)
{
    body->error = error;
    return HTTP_BAD;
}

static enum http_result go_to(struct http_body *body, enum chunk_state state)
{
    body->state = (uint8_t)state;
    return HTTP_MORE;
}

/* The only way on from here is `byte`. */
static enum http_result expect(struct http_body *body, char byte, char wanted, enum chunk_state state,
                               enum http_error error)
{
    return byte == wanted ? go_to(body, state) : fail(body, error);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static enum http_result read_size(struct http_body *body, char byte)
{
    int value = hex_value(byte);
    if (value >= 0 && body->digits < SIZE_DIGITS_MAX) {
        body->digits++;
        body->left = body->left << 4 | (uint64_t)value;
        return HTTP_MORE;
    }
    if (body->digits > 0 && byte == '\r')
        return go_to(body, CHUNK_SIZE_LF);
    if (body->digits == 0 || byte != ';')
        return fail(body, HTTP_BAD_CHUNK_SIZE);
    body->overhead++;
    return go_to(body, EXT_NAME);
}

/* What a byte is to a chunk extension. */
enum ext_class {
    IS_BAD, IS_OTHER, IS_TOKEN, IS_BLANK, IS_SEMICOLON, IS_EQUALS, IS_QUOTE, IS_BACKSLASH, IS_CR
};

static enum ext_class classify(char byte)
{
    switch (byte) {
    case '\r':
        return IS_CR;
    case ' ':
    case '\t':
        return IS_BLANK;
    case ';':
        return IS_SEMICOLON;
    case '=':
        return IS_EQUALS;
    case '"':
        return IS_QUOTE;
    case '\\':
        return IS_BACKSLASH;
    }
    if (scan_is((unsigned char)byte, SCAN_TOKEN))
        return IS_TOKEN;
    return scan_is((unsigned char)byte, SCAN_VALUE) ? IS_OTHER : IS_BAD;
}

/* *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ), RFC 9112, 7.1.1. The rest is bad, and so is a
 * blank behind the size: others take that for a part of it. */
static const uint8_t ext_next[CHUNK_SIZE_LF][IS_CR + 1] = {
    [EXT_NAME] = {[IS_BLANK] = EXT_NAME, [IS_TOKEN] = EXT_NAMED},
    [EXT_NAMED] = {[IS_TOKEN] = EXT_NAMED,
                   [IS_BLANK] = EXT_BEHIND_NAME,
                   [IS_EQUALS] = EXT_VALUE,
                   [IS_SEMICOLON] = EXT_NAME,
                   [IS_CR] = CHUNK_SIZE_LF},
    [EXT_BEHIND_NAME] = {[IS_BLANK] = EXT_BEHIND_NAME, [IS_EQUALS] = EXT_VALUE, [IS_SEMICOLON] = EXT_NAME},
    [EXT_VALUE] = {[IS_BLANK] = EXT_VALUE, [IS_TOKEN] = EXT_TOKEN, [IS_QUOTE] = EXT_QUOTED},
    [EXT_TOKEN] = {[IS_TOKEN] = EXT_TOKEN,
                   [IS_BLANK] = EXT_BEHIND_VALUE,
                   [IS_SEMICOLON] = EXT_NAME,
                   [IS_CR] = CHUNK_SIZE_LF},
    [EXT_QUOTED] = {[IS_OTHER] = EXT_QUOTED,
                    [IS_TOKEN] = EXT_QUOTED,
                    [IS_BLANK] = EXT_QUOTED,
                    [IS_SEMICOLON] = EXT_QUOTED,
                    [IS_EQUALS] = EXT_QUOTED,
                    [IS_QUOTE] = EXT_CLOSED,
                    [IS_BACKSLASH] = EXT_ESCAPED},
    [EXT_ESCAPED] = {[IS_OTHER] = EXT_QUOTED,
                     [IS_TOKEN] = EXT_QUOTED,
                     [IS_BLANK] = EXT_QUOTED,
                     [IS_SEMICOLON] = EXT_QUOTED,
                     [IS_EQUALS] = EXT_QUOTED,
                     [IS_QUOTE] = EXT_QUOTED,
                     [IS_BACKSLASH] = EXT_QUOTED},
    [EXT_CLOSED] = {[IS_BLANK] = EXT_BEHIND_VALUE, [IS_SEMICOLON] = EXT_NAME, [IS_CR] = CHUNK_SIZE_LF},
    [EXT_BEHIND_VALUE] = {[IS_BLANK] = EXT_BEHIND_VALUE, [IS_SEMICOLON] = EXT_NAME},
};

static enum http_result read_extension(struct http_body *body, char byte)
{
    uint8_t next = ext_next[body->state][classify(byte)];

    if (next == 0)
        return fail(body, HTTP_BAD_CHUNK_EXT);
    if (++body->overhead > EXTENSIONS_MAX)
        return fail(body, HTTP_CHUNK_EXT_TOO_LARGE);
    return go_to(body, next);
}

/* Behind the line that began a chunk. */
static enum http_result begin_chunk(struct http_body *body)
{
    body->digits = 0;
    if (body->left == 0)
        return go_to(body, TRAILER_START);
    if (body->left > body->limit - body->received)
        return fail(body, HTTP_BODY_TOO_LARGE);
    return go_to(body, CHUNK_DATA);
}

/* Names that must not arrive behind the content, since they would change how it was read, or for whom. */
static bool is_forbidden_trailer(struct str name)
{
    switch (http_field_lookup(name)) {
    case HTTP_FIELD_CONNECTION:
    case HTTP_FIELD_CONTENT_ENCODING:
    case HTTP_FIELD_CONTENT_LENGTH:
    case HTTP_FIELD_CONTENT_TYPE:
    case HTTP_FIELD_EXPECT:
    case HTTP_FIELD_HOST:
    case HTTP_FIELD_KEEP_ALIVE:
    case HTTP_FIELD_TE:
    case HTTP_FIELD_TRAILER:
    case HTTP_FIELD_TRANSFER_ENCODING:
    case HTTP_FIELD_UPGRADE:
        return true;
    default:
        return false;
    }
}

static enum http_result read_trailer_name(struct http_body *body, char byte)
{
    if (scan_is((unsigned char)byte, SCAN_TOKEN)) {
        if (body->name_len < sizeof body->name)
            body->name[body->name_len] = byte;
        body->name_len++;
        return HTTP_MORE;
    }
    if (byte != ':')
        return fail(body, HTTP_BAD_TRAILER);
    /* No forbidden name is longer than what was kept. */
    if (body->name_len <= sizeof body->name && is_forbidden_trailer(str_make(body->name, body->name_len)))
        return fail(body, HTTP_BAD_TRAILER);
    return go_to(body, TRAILER_VALUE);
}

static enum http_result begin_trailer(struct http_body *body, char byte)
{
    if (byte == '\r')
        return go_to(body, CHUNKED_LF);
    if (!scan_is((unsigned char)byte, SCAN_TOKEN))
        return fail(body, HTTP_BAD_TRAILER);
    if (body->trailer_count == body->trailer_count_limit)
        return fail(body, HTTP_TRAILER_TOO_LARGE);
    body->trailer_count++;
    body->name_len = 0;
    body->state = TRAILER_NAME;
    return read_trailer_name(body, byte);
}

static enum http_result read_trailer(struct http_body *body, char byte)
{
    if (++body->trailer > body->trailer_limit)
        return fail(body, HTTP_TRAILER_TOO_LARGE);
    switch (body->state) {
    case TRAILER_START:
        return begin_trailer(body, byte);
    case TRAILER_NAME:
        return read_trailer_name(body, byte);
    case TRAILER_VALUE:
        if (scan_is((unsigned char)byte, SCAN_VALUE))
            return HTTP_MORE;
        return expect(body, byte, '\r', TRAILER_LF, HTTP_BAD_TRAILER);
    case TRAILER_LF:
        return expect(body, byte, '\n', TRAILER_START, HTTP_BAD_TRAILER);
    default:
        return byte == '\n' ? HTTP_DONE : fail(body, HTTP_BAD_TRAILER);
    }
}

/* One byte that is not content. */
static enum http_result read_framing(struct http_body *body, char byte)
{
    if (body->state >= TRAILER_START)
        return read_trailer(body, byte);
    switch (body->state) {
    case CHUNK_SIZE:
        return read_size(body, byte);
    case CHUNK_SIZE_LF:
        return byte == '\n' ? begin_chunk(body) : fail(body, HTTP_BAD_CHUNK_SIZE);
    case CHUNK_DATA_CR:
        return expect(body, byte, '\r', CHUNK_DATA_LF, HTTP_BAD_CHUNK_END);
    case CHUNK_DATA_LF:
        return expect(body, byte, '\n', CHUNK_SIZE, HTTP_BAD_CHUNK_END);
    default:
        return read_extension(body, byte);
    }
}

/* As much of the current run of content as in[0..len) holds. */
static struct str take_run(struct http_body *body, const char *in, size_t len)
{
    size_t run = len < body->left ? len : (size_t)body->left;
    body->left -= run;
    body->received += run;
    return str_make(in, run);
}

static enum http_result read_chunked(struct http_body *body, const char *in, size_t len, size_t *used,
                                     struct str *data)
{
    enum http_result r = HTTP_MORE;
    size_t at = 0;

    while (r == HTTP_MORE && at < len) {
        if (body->state != CHUNK_DATA) {
            r = read_framing(body, in[at++]);
            continue;
        }
        if (data->len > 0)
            break; /* one run a call */
        *data = take_run(body, in + at, len - at);
        at += data->len;
        if (body->left == 0)
            body->state = CHUNK_DATA_CR;
    }
    *used = at;
    return r;
}

enum http_result http_body_read(struct http_body *body, const char *in, size_t len, size_t *used,
                                struct str *data)
{
    *data = str_make(in, 0);
    *used = 0;
    switch (body->kind) {
    case HTTP_BODY_CHUNKED:
        return read_chunked(body, in, len, used, data);
    case HTTP_BODY_LENGTH:
        *data = take_run(body, in, len);
        *used = data->len;
        return body->left > 0 ? HTTP_MORE : HTTP_DONE;
    case HTTP_BODY_NONE:
        break;
    }
    return HTTP_DONE;
}
