/* SPDX-License-Identifier: MIT */
/* Request targets (RFC 9112, 3.2) and percent-encoding. Pure functions over views. */
#ifndef CSERVE_URI_H
#define CSERVE_URI_H

#include <stdbool.h>

#include "cserve/str.h"

enum http_uri_form {
    HTTP_URI_ORIGIN,   /* /path?query */
    HTTP_URI_ABSOLUTE, /* http://authority/path?query */
    HTTP_URI_ASTERISK, /* * */
};

/* A target taken apart; views into it. Still encoded, as received. */
struct http_uri {
    enum http_uri_form form;
    struct str scheme;    /* absolute form only: "http" or "https", any case */
    struct str authority; /* absolute form only */
    struct str path;      /* begins with '/', or "*"; "/" for an absolute target without a path */
    struct str query;     /* behind the first '?', without it; empty if none */
    bool encoded;         /* the path holds a '%' */
};

/*
 * Takes a target apart. Refused: bytes outside 0x21..0x7e, '#', a form that is none of the three,
 * userinfo or an invalid authority in the absolute form. Any other visible byte passes, also
 * a '%' without two hex digits. Returns 0, or -1 and leaves *uri undefined.
 */
int http_uri_parse(struct http_uri *uri, struct str target);

/* The same for a target of which scan_target has seen every byte. */
int http_uri_split(struct http_uri *uri, struct str target);

/* Whether `s` is uri-host [":" port] of RFC 3986 (name, IPv4, "[IPv6]"); empty is valid as Host. */
bool http_authority_valid(struct str s);

/*
 * Splits a valid authority in host (brackets kept) and port (empty if none).
 */
void http_authority_split(struct str authority, struct str *host, struct str *port);

/*
 * Percent-decodes once into dst, which has room for src.len bytes and may be src.ptr itself.
 * '%' without two hex digits stays as it is; '+' stays '+'. Returns the bytes written.
 */
size_t http_percent_decode(char *dst, struct str src);

#endif
