/* SPDX-License-Identifier: MIT */
/*
 * What a line of the access log says: a format, compiled once into a list of pieces, and the line that it makes
 * of a request. A format is text with atoms, %(name)s; "combined", "common" and "json" stand for formats.
 *
 * Whatever a client sent is escaped in every format: a line is printable ASCII, and nothing in it can end it.
 */
#ifndef CSERVE_ACCESS_FORMAT_H
#define CSERVE_ACCESS_FORMAT_H

#include <stdbool.h>

#include "cserve/buf.h"
#include "cserve/clock.h"
#include "cserve/handler.h"

/* A field of the response, kept for the log: the head is gone when its line is written. A longer value is cut. */
struct kept_field {
    uint16_t len;
    char bytes[254];
};

enum { KEPT_FIELDS_MAX = 8 };

struct access_piece;

struct access_format {
    struct access_piece *pieces; /* owned */
    size_t count;
    bool json;                   /* a line is a JSON object */
    bool needs_times;            /* of access_entry, the durations */
    const char *kept[KEPT_FIELDS_MAX]; /* the response fields that access_format_keep is to keep; owned by the pieces */
    unsigned kept_count;
};

/* One request. Texts are the client's. */
struct access_entry {
    const struct peer *peer;
    const struct http_head *head; /* rebased; as far as read */
    const char *raw;              /* what its fields refer to; NULL: it has none, or they are not all there */
    struct str line;              /* as received; empty if there was none */
    int status;                   /* 0: nothing was answered */
    uint64_t content;             /* bytes of it that were sent */
    uint64_t bytes_in, bytes_out; /* of head and content, and of framing on the way out */
    int64_t receive_us, queued_us, app_us, send_us;
    int thread;                   /* number; -1: no handler had it */
    const struct kept_field *kept; /* NULL: nothing was answered */
    const char *outcome;          /* "ok", or why it ended otherwise */
};

/* Texts that are the same in many lines. Zero at first. */
struct access_stamps {
    time_t at;                 /* the second that these are for */
    char clf[32];              /* "[24/Nov/2026:22:48:14 +0000]" */
    char iso[CLOCK_TEXT_MAX];
    long pid;                  /* of the worker */
};

/*
 * Compiles `text`, which is borrowed. 0, or -1 with a message in error[0..cap) that says what is wrong with it; then there
 * is nothing to release.
 */
int access_format_compile(struct access_format *format, const char *text, char *error, size_t cap);
void access_format_release(struct access_format *format);

/* Whether `text` is a format: as access_format_compile, and keeps nothing. */
int access_format_check(const char *text, char *error, size_t cap);

/* Copies the fields that the format names from a response head into kept[0..format->kept_count). */
void access_format_keep(const struct access_format *format, struct str head, struct kept_field *kept);

/* Appends the line of a request, with its newline. */
void access_format_append(const struct access_format *format, struct buf *out, const struct access_entry *entry,
                          struct access_stamps *stamps);

#endif
