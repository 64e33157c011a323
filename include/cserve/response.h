/* SPDX-License-Identifier: MIT */
/*
 * The response head, and the framing of the content behind it (RFC 9110, RFC 9112).
 *
 * The head is written straight into the buffer that it will be sent from, behind whatever is
 * there, and stays provisional until http_response_end: it can be begun again (PEP 3333's
 * exc_info) without a trace. Framing is the server's: Content-Length, Transfer-Encoding, Connection,
 * Date and Server are decided here, whatever the application says.
 */
#ifndef CSERVE_RESPONSE_H
#define CSERVE_RESPONSE_H

#include <stdbool.h>

#include "cserve/buf.h"
#include "cserve/str.h"

/* What http_response_status and http_response_field say of their input. */
enum http_field_verdict {
    HTTP_FIELD_ADDED,
    HTTP_FIELD_DROPPED,    /* hop-by-hop, the server's business: the caller may warn */
    HTTP_FIELD_TAKEN,      /* understood and kept aside: Content-Length, Connection: close */
    HTTP_FIELD_BAD_STATUS, /* not "ddd reason", or below 200, or a control byte */
    HTTP_FIELD_BAD_NAME,   /* empty or not a token */
    HTTP_FIELD_BAD_VALUE,  /* CR, LF, NUL or another control byte but HTAB */
    HTTP_FIELD_BAD_LENGTH, /* Content-Length that is not a number, or a second one that differs */
};

enum http_framing {
    HTTP_FRAMING_NONE,    /* no content: HEAD, 204, 304 */
    HTTP_FRAMING_LENGTH,  /* Content-Length */
    HTTP_FRAMING_CHUNKED,
    HTTP_FRAMING_CLOSE,   /* until the connection closes */
};

struct http_response {
    size_t start;           /* offset of the head in the buffer */
    int status;             /* 0 before http_response_status */
    int64_t content_length; /* as the application gave it; -1 if it did not */
    bool has_date;
    bool has_server;
    bool close;             /* the connection closes behind this response */
    /* After http_response_end: */
    enum http_framing framing;
    uint64_t left;          /* HTTP_FRAMING_LENGTH: bytes still to come */
    size_t head_size;
};

/*
 * The server's own fields, as they stand in the head, with CR and LF; each is used unless the application gives it, and may be
 * empty. In memory, date follows server.
 */
struct http_response_lines {
    struct str server, date;
};

/* What the head depends on besides the application. */
struct http_response_context {
    bool head_request;  /* HEAD: head as for GET, no content */
    uint8_t minor;      /* the request's HTTP/1.minor */
    bool close;         /* the server wants the connection closed behind it */
    int64_t total;      /* the whole content's length if it is known now, else -1 */
    struct http_response_lines lines;
};

/* Begins (again): drops what was written of this head. `out` keeps everything before r->start. */
void http_response_init(struct http_response *r, struct buf *out);
void http_response_rewind(struct http_response *r, struct buf *out);

/* Writes the status line. `status` is "ddd reason" in latin-1, reason may be empty: "200 OK", "204 ". */
enum http_field_verdict http_response_status(struct http_response *r, struct buf *out, struct str status);

/* Validates one field of the application and writes it. Bytes are latin-1. */
enum http_field_verdict http_response_field(struct http_response *r, struct buf *out, struct str name,
                                            struct str value);

/* Decides the framing, adds the server's fields and the empty line. Call once. */
void http_response_end(struct http_response *r, struct buf *out, const struct http_response_context *context);

/*
 * Frames of chunked content: write "SIZE CRLF" before `size` > 0 bytes and CRLF behind them, and
 * the last chunk at the end.
 */
void http_chunk_begin(struct buf *out, size_t size);
void http_chunk_end(struct buf *out);
void http_chunk_last(struct buf *out);

/* Whether a status never has content: 1xx, 204, 304. */
bool http_status_is_empty(int status);

/* "Not Found" for 404; "Unknown" for a number that has no row in the table. */
struct str http_status_reason(int status);

/*
 * The content of the server's own answer to an error: a short text, plain and final, that says
 * the status, its reason and `text` (a sentence of the server's own, never of the client's).
 */
void http_error_page(struct buf *out, int status, const char *text);

#define HTTP_DATE_LEN 29
/* Writes "Sun, 06 Nov 1994 08:49:37 GMT", no NUL. `when` in seconds since 1970, from then to 9999. */
void http_date_format(char out[HTTP_DATE_LEN], int64_t when);

/*
 * Reads a date in any of the three forms of RFC 9110, 5.6.7; the weekday need not be right. 0 and *when, in seconds since 1970
 * (negative before); or -1.
 */
int http_date_parse(struct str text, int64_t *when);

#endif
