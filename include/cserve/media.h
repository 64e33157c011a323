/* SPDX-License-Identifier: MIT */
/* What a file holds, by its name, and in which coding a client wants it. Pure. */
#ifndef CSERVE_MEDIA_H
#define CSERVE_MEDIA_H

#include <stddef.h>

#include "cserve/head.h"

struct media_row;

/* Media types by file name extension. */
struct media_types {
    char *text;             /* owned: the table as it was read; the rows are views of it */
    struct media_row *rows; /* owned, in order of extensions */
    size_t count;
};

/* Takes a table in the format of /etc/mime.types: "text/html html htm", # begins a comment. The first row of an extension counts. */
void media_types_init(struct media_types *types, struct str text);
void media_types_release(struct media_types *types);

/*
 * The value of Content-Type for a file of this name, by what is behind its last dot, of any case: of `types`, else of a small
 * table of our own, else application/octet-stream. Text has its charset, UTF-8. At most MEDIA_TYPE_MAX bytes, into `out`.
 */
#define MEDIA_TYPE_MAX 128
struct str media_type_of(const struct media_types *types, struct str name, char out[MEDIA_TYPE_MAX]);

/* Codings that a file may be kept in beside itself; a smaller one is preferred among equals. */
enum media_coding { MEDIA_BROTLI, MEDIA_GZIP, MEDIA_IDENTITY, MEDIA_CODINGS };

struct media_coding_info {
    struct str name;   /* as Content-Encoding has it; "" for identity */
    const char *suffix; /* of the file: ".br" */
};

extern const struct media_coding_info media_coding_table[MEDIA_CODINGS];

/*
 * The coding that the Accept-Encoding fields ask for, of those in `available`, a set of 1 << coding. MEDIA_IDENTITY need not be
 * in it, and is the answer when nothing else may be.
 */
enum media_coding media_coding_choose(const struct http_head *head, const char *raw, unsigned available);

#endif
