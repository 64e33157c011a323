/* SPDX-License-Identifier: MIT */
/* Conditional requests (RFC 9110, 13): whether a client's copy is still the right one. Pure. */
#ifndef CSERVE_CONDITIONAL_H
#define CSERVE_CONDITIONAL_H

#include <stdbool.h>
#include <stdint.h>

#include "cserve/head.h"

/* What tells one state of a representation from another. */
struct http_validators {
    struct str tag;   /* with its quotes, without W/ */
    bool weak;        /* neither the tag nor the date may vouch for every byte: it was changed just now */
    int64_t modified; /* as Last-Modified says it, seconds since 1970 */
};

enum http_precondition {
    HTTP_PROCEED,
    HTTP_UNCHANGED,           /* 304 */
    HTTP_PRECONDITION_FAILED, /* 412 */
};

/* If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since of a GET or HEAD, in the order of 13.2.2. */
enum http_precondition http_preconditions(const struct http_head *head, const char *raw,
                                          const struct http_validators *validators);

/* The value of Range if there is one, and If-Range, if given, holds; else empty. */
struct str http_range_wanted(const struct http_head *head, const char *raw, const struct http_validators *validators);

#endif
