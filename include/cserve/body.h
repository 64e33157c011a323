/* SPDX-License-Identifier: MIT */
/*
 * Request content: where it ends, and the bytes without their framing (RFC 9112, 6 and 7). Knows
 * Content-Length and chunked. Copies nothing: it hands out slices of what it is given.
 */
#ifndef CSERVE_BODY_H
#define CSERVE_BODY_H

#include "cserve/head.h"

enum http_body_kind { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED };

struct http_body {
    enum http_body_kind kind;
    uint64_t left;          /* bytes of the content, or of the current chunk, still to come */
    uint64_t received;      /* bytes of content handed out so far */
    uint64_t limit;         /* of content; beyond it HTTP_BODY_TOO_LARGE */
    enum http_error error;  /* after HTTP_BAD */
    uint8_t state;          /* (decoder) */
    uint8_t digits;         /* (decoder) of the chunk size */
    uint32_t overhead;      /* (decoder) bytes of extensions so far, bounded over the whole body */
    uint32_t trailer;       /* (decoder) bytes of trailers so far */
    uint32_t trailer_count; /* (decoder) */
    uint32_t name_len;      /* (decoder) of the current trailer's name */
    char name[32];          /* (decoder) its first bytes, to recognise framing fields */
    uint32_t trailer_limit;
    uint32_t trailer_count_limit;
};

/*
 * Begins the content of a head that was parsed. HTTP_DONE when there is none, HTTP_MORE when some
 * is to come, HTTP_BAD when it is already known to be too large.
 */
enum http_result http_body_init(struct http_body *body, const struct http_head *head);

/*
 * Reads from in[0..len): sets *used to the bytes read (framing and content together) and *data to
 * the content among them, one run, a view into `in`, maybe empty. HTTP_MORE: give the bytes behind
 * *used (if none are left: read more). HTTP_DONE: the content ends at in + *used; *data may still
 * hold its last run. HTTP_BAD: see body->error. Linear; every split gives the same content.
 */
enum http_result http_body_read(struct http_body *body, const char *in, size_t len, size_t *used,
                                struct str *data);

#endif
