/* SPDX-License-Identifier: MIT */
/*
 * The request head: request line and fields up to the empty line, by RFC 9112, strictly.
 *
 * The parser makes one pass, stops where the bytes stop and goes on there when more have come;
 * it allocates nothing and reports offsets into the caller's buffer, so that the buffer may move
 * between calls. A message has one interpretation or is refused.
 */
#ifndef CSERVE_HEAD_H
#define CSERVE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cserve/str.h"
#include "cserve/uri.h"

/* What a head may hold. Beyond line: 414. Beyond the others: 431. */
struct http_limits {
    uint32_t line;       /* bytes of the request line, without CRLF */
    uint32_t fields;     /* number of fields */
    uint32_t field_size; /* bytes of one field: name, colon and value with its blanks, without CRLF */
    uint32_t head;       /* bytes of the whole head */
    uint64_t body;       /* bytes of the content after decoding; beyond it: 413 */
};

/*
 * Field names that the server or an application's environ knows; the table in fields.c has one
 * row for each, with the name and its CGI key. HTTP_FIELD_OTHER is any other valid name.
 */
enum http_field_id {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_ACCEPT,
    HTTP_FIELD_ACCEPT_CHARSET,
    HTTP_FIELD_ACCEPT_ENCODING,
    HTTP_FIELD_ACCEPT_LANGUAGE,
    HTTP_FIELD_ACCESS_CONTROL_REQUEST_HEADERS,
    HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_CACHE_CONTROL,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_CONTENT_ENCODING,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_COOKIE,
    HTTP_FIELD_DATE,
    HTTP_FIELD_DNT,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_FORWARDED,
    HTTP_FIELD_HOST,
    HTTP_FIELD_IF_MATCH,
    HTTP_FIELD_IF_MODIFIED_SINCE,
    HTTP_FIELD_IF_NONE_MATCH,
    HTTP_FIELD_IF_RANGE,
    HTTP_FIELD_IF_UNMODIFIED_SINCE,
    HTTP_FIELD_KEEP_ALIVE,
    HTTP_FIELD_ORIGIN,
    HTTP_FIELD_PRAGMA,
    HTTP_FIELD_PRIORITY,
    HTTP_FIELD_PROXY,
    HTTP_FIELD_PROXY_CONNECTION,
    HTTP_FIELD_RANGE,
    HTTP_FIELD_REFERER,
    HTTP_FIELD_SEC_CH_UA,
    HTTP_FIELD_SEC_CH_UA_MOBILE,
    HTTP_FIELD_SEC_CH_UA_PLATFORM,
    HTTP_FIELD_SEC_FETCH_DEST,
    HTTP_FIELD_SEC_FETCH_MODE,
    HTTP_FIELD_SEC_FETCH_SITE,
    HTTP_FIELD_SEC_FETCH_USER,
    HTTP_FIELD_SERVER,
    HTTP_FIELD_TE,
    HTTP_FIELD_TRAILER,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_UPGRADE,
    HTTP_FIELD_UPGRADE_INSECURE_REQUESTS,
    HTTP_FIELD_USER_AGENT,
    HTTP_FIELD_VIA,
    HTTP_FIELD_X_CSRFTOKEN,
    HTTP_FIELD_X_FORWARDED_FOR,
    HTTP_FIELD_X_FORWARDED_HOST,
    HTTP_FIELD_X_FORWARDED_PORT,
    HTTP_FIELD_X_FORWARDED_PROTO,
    HTTP_FIELD_X_REAL_IP,
    HTTP_FIELD_X_REQUEST_ID,
    HTTP_FIELD_X_REQUESTED_WITH,
    HTTP_FIELD_COUNT,
};

/* One row of the table in fields.c, indexed by id. */
struct http_field_info {
    struct str name; /* lower case: "accept-encoding" */
    struct str cgi;  /* the environ key: "HTTP_ACCEPT_ENCODING"; CONTENT_TYPE and CONTENT_LENGTH bare */
};

extern const struct http_field_info http_field_table[HTTP_FIELD_COUNT];

/* The id of a token of any case; HTTP_FIELD_OTHER when the table has none. */
enum http_field_id http_field_lookup(struct str name);

/* One field: offsets into the buffer that was parsed; the value is trimmed. */
struct http_field {
    uint32_t name;
    uint32_t name_len;
    uint32_t value;
    uint32_t value_len;
    uint16_t id;      /* enum http_field_id */
    bool underscore; /* the name holds a '_': never shown to an application (it would shadow '-') */
};

/*
 * Why a head or a body was refused, for the log and for the text of the answer. The table in
 * errors.c has one row for each: the status that answers it and a sentence for a person.
 */
enum http_error {
    HTTP_OK,
    HTTP_BAD_LINE,           /* 400 not "METHOD SP target SP HTTP/1.x" */
    HTTP_BAD_METHOD,         /* 400 not a token */
    HTTP_BAD_TARGET,         /* 400 bad byte or form */
    HTTP_BAD_CONNECT,        /* 501 CONNECT */
    HTTP_BAD_VERSION,        /* 505 major version other than 1 */
    HTTP_BAD_PREFACE,        /* 505 HTTP/2 preface on an HTTP/1.1 port */
    HTTP_BAD_TLS,            /* 400 TLS ClientHello on a plain port */
    HTTP_BAD_LINE_END,       /* 400 bare CR or bare LF */
    HTTP_BAD_FIELD_NAME,     /* 400 not a token, or a space before the colon */
    HTTP_BAD_FIELD_VALUE,    /* 400 NUL or other control byte */
    HTTP_BAD_FOLD,           /* 400 obs-fold */
    HTTP_BAD_HOST_MISSING,   /* 400 HTTP/1.1 without Host */
    HTTP_BAD_HOST_REPEATED,  /* 400 */
    HTTP_BAD_HOST,           /* 400 not uri-host [":" port] */
    HTTP_BAD_LENGTH,         /* 400 not digits, or above 2^63-1 */
    HTTP_BAD_LENGTH_REPEATED,/* 400 a list or a second field, even of equal values */
    HTTP_BAD_FRAMING,        /* 400 Content-Length together with Transfer-Encoding */
    HTTP_BAD_CODING,         /* 501 any Transfer-Encoding but a single "chunked" */
    HTTP_BAD_CODING_VERSION, /* 400 Transfer-Encoding in HTTP/1.0 */
    HTTP_BAD_EXPECT,         /* 417 anything but 100-continue */
    HTTP_LINE_TOO_LONG,      /* 414 */
    HTTP_FIELD_TOO_LARGE,    /* 431 */
    HTTP_TOO_MANY_FIELDS,    /* 431 */
    HTTP_HEAD_TOO_LARGE,     /* 431 */
    HTTP_BODY_TOO_LARGE,     /* 413 */
    HTTP_BAD_CHUNK_SIZE,     /* 400 */
    HTTP_BAD_CHUNK_EXT,      /* 400 malformed, or CR or LF inside */
    HTTP_CHUNK_EXT_TOO_LARGE,/* 413 extensions of one body together */
    HTTP_BAD_CHUNK_END,      /* 400 no CRLF behind chunk data */
    HTTP_BAD_TRAILER,        /* 400 malformed, or a framing field */
    HTTP_TRAILER_TOO_LARGE,  /* 431 */
    HTTP_ERROR_COUNT,
};

struct http_error_info {
    int status;
    const char *name; /* a word for log lines and metrics: "bad-host" */
    const char *text; /* a sentence for the person at the other end, that says what to send instead */
};

extern const struct http_error_info http_error_table[HTTP_ERROR_COUNT];

enum http_result {
    HTTP_MORE, /* all bytes are read and it is not over */
    HTTP_DONE,
    HTTP_BAD,  /* refused: see error */
};

struct http_memo;

/* A field of `struct http_head` marked (parser) is the parser's own between calls. */
struct http_head {
    /* What the head says; valid after HTTP_DONE, and as far as read after HTTP_BAD. */
    struct str method; /* these two are views into the last buffer given: see http_head_rebase */
    struct str target;
    struct http_uri uri;   /* the target, taken apart: views too */
    uint8_t minor;         /* HTTP/1.minor */
    uint32_t size;         /* bytes of the head, with leading empty lines and the final CRLF */
    uint32_t start;        /* offset of the request line, behind leading empty lines */
    uint32_t field_count;
    struct http_field *fields; /* borrows: the array given to http_head_init; behind field_count: (parser) */
    int32_t host;          /* index in fields, or -1 */
    int32_t forwarded;     /* index of the first field that a trusted proxy may have set, or -1 */
    int64_t content_length; /* -1 without the field */
    bool chunked;          /* Transfer-Encoding: chunked */
    bool close;            /* the connection ends with this exchange, by version and Connection */
    bool expect_continue;  /* Expect: 100-continue in HTTP/1.1 */
    enum http_error error; /* after HTTP_BAD */
    uint64_t fields_id;    /* heads of the same id have the same names of fields and minor; 0: not known */
    uint64_t changed;      /* with a fields_id: bit i if fields[i] may differ from that of others with it */

    const struct http_limits *limits; /* borrows */
    const struct http_memo *memo;     /* borrows: of an earlier head (memo.h), or NULL; may be set behind http_head_init */
    uint8_t state;         /* (parser) */
    bool keep_alive;       /* (parser) */
    bool alike;            /* (parser) the names so far are the memo's */
    uint32_t position;     /* (parser) where to go on */
    uint32_t method_at, method_len, target_at, target_len; /* (parser) */
};

/* Begins a new head. `fields` has room for limits->fields entries; both are borrowed. */
void http_head_init(struct http_head *head, const struct http_limits *limits, struct http_field *fields);

/*
 * Goes on with the head at buf[0..len): always the whole head so far from its first byte, at the
 * same or another address. Linear in all bytes given, however they were split.
 *
 * HTTP_MORE: call again with more bytes. HTTP_DONE: the head is buf[0..head->size), the rest is
 * content or the next request. HTTP_BAD: head->error says why; what was read stays readable, so
 * that a log line can quote it; never call again.
 */
enum http_result http_head_parse(struct http_head *head, const char *buf, size_t len);

/* Points the views (method, target, uri) at the same head's copy at `buf`: what is not read yet is empty. */
void http_head_rebase(struct http_head *head, const char *buf);

/* Name and value of fields[i] in the buffer that was parsed. */
static inline struct str http_field_name(const struct http_field *f, const char *buf)
{
    return str_make(buf + f->name, f->name_len);
}

static inline struct str http_field_value(const struct http_field *f, const char *buf)
{
    return str_make(buf + f->value, f->value_len);
}

#endif
