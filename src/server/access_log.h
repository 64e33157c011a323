/* SPDX-License-Identifier: MIT */
/*
 * The access log: one line for every request, also a refused, aborted or timed-out one. Lines
 * gather in memory during a batch of events and are written together.
 *
 *     127.0.0.1 - - [24/Nov/2026:22:48:14 +0000] "GET / HTTP/1.1" 200 14 "-" "curl/8.0" ok
 */
#ifndef CSERVE_ACCESS_LOG_H
#define CSERVE_ACCESS_LOG_H

#include <stdbool.h>
#include <time.h>

#include "cserve/buf.h"

struct access_log {
    int fd; /* owned unless it is stdout; -1: no log */
    struct buf lines;
    time_t stamp_at;  /* second that `stamp` is for */
    char stamp[32];   /* "24/Nov/2026:22:48:14 +0000" */
};

/* What a line says. Texts are the client's: they are escaped. */
struct access_entry {
    struct str remote;     /* address; empty over a unix socket */
    struct str line;       /* request line as received; empty if there was none */
    int status;            /* 0: nothing was answered */
    uint64_t bytes;        /* of content */
    struct str referer;
    struct str user_agent;
    const char *outcome;   /* "ok", or why it ended otherwise */
};

/* path: a file to append to, "-" for stdout, NULL for no log. 0, or -1 with errno. */
int access_log_open(struct access_log *log, const char *path);
/* Opens `path` anew, in place of what was opened there before. 0, or -1 with errno and the log as it was. */
int access_log_reopen(struct access_log *log, const char *path);
void access_log_close(struct access_log *log); /* writes what has gathered */

static inline bool access_log_is_on(const struct access_log *log)
{
    return log->fd >= 0;
}

void access_log_add(struct access_log *log, const struct access_entry *entry);

/* Writes what has gathered. A log that cannot be written is reported once and goes on without those lines. */
void access_log_flush(struct access_log *log);

#endif
