/* SPDX-License-Identifier: MIT */
/*
 * The access log: one line for every request, also a refused, aborted or timed-out one. Lines
 * gather in memory during a batch of events and are written together. What they say: access_format.h.
 *
 *     127.0.0.1 - - [24/Nov/2026:22:48:14 +0000] "GET / HTTP/1.1" 200 14 "-" "curl/8.0" ok
 */
#ifndef CSERVE_ACCESS_LOG_H
#define CSERVE_ACCESS_LOG_H

#include "cserve/access_format.h"

struct access_log {
    bool on;
    int fd; /* owned unless it is stdout; -1: no file */
    bool to_syslog;
    struct access_format format;
    struct access_stamps stamps;
    struct buf lines;
};

/*
 * path: a file to append to, "-" for stdout, NULL for no log. format: NULL for "combined". to_syslog: to syslog, too, if that
 * is open. 0; or -1 with the reason logged, and the
 * log is off.
 */
int access_log_open(struct access_log *log, const char *path, const char *format, bool to_syslog);
/* Opens `path` anew, in place of what was opened there before. 0, or -1 with errno and the log as it was. */
int access_log_reopen(struct access_log *log, const char *path);
void access_log_close(struct access_log *log); /* writes what has gathered */

void access_log_add(struct access_log *log, const struct access_entry *entry);

/* Writes what has gathered. A log that cannot be written is reported once and goes on without those lines. */
void access_log_flush(struct access_log *log);

#endif
