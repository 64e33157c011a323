/* SPDX-License-Identifier: MIT */
/* The Range field (RFC 9110, 14): which bytes of a representation a client asks for. Pure. */
#ifndef CSERVE_RANGE_H
#define CSERVE_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "cserve/str.h"

/* More in one field, or any two that overlap, are an attack or a mistake (CVE-2011-3192): the field is ignored. */
#define HTTP_RANGES_MAX 16

/* len bytes from first on; never empty, never beyond the representation. */
struct http_range {
    uint64_t first, len;
};

struct http_ranges {
    size_t count;
    struct http_range at[HTTP_RANGES_MAX]; /* as the client ordered them; no two overlap */
};

enum http_range_verdict {
    HTTP_RANGE_IGNORED,       /* not of bytes, malformed, or too many: the whole representation */
    HTTP_RANGE_PARTIAL,       /* count >= 1 */
    HTTP_RANGE_UNSATISFIABLE, /* none of them begins within the representation: 416 */
};

/* Reads the value of Range for a representation of `size` bytes. */
enum http_range_verdict http_ranges_parse(struct http_ranges *ranges, struct str value, uint64_t size);

#endif
