/* SPDX-License-Identifier: MIT */
/*
 * The system's log, or another machine's: each line is a datagram (RFC 3164), and is lost rather than waited for. There is one
 * for the process; those that it forks share it. Thread-safe once it is open.
 */
#ifndef CSERVE_SYSLOG_H
#define CSERVE_SYSLOG_H

#include <stdbool.h>

#include "cserve/log.h"
#include "cserve/str.h"

/* The facilities' names, in the order of syslog_open's `facility`; then NULL. */
extern const char *const syslog_facilities[];

/*
 * to: "unix:///dev/log", or "udp://HOST:PORT". Lines are said to be from "cserve.NAME", or "cserve.PREFIX.NAME" with a
 * prefix that is not NULL. 0, or -1 with a message in error[0..cap).
 */
int syslog_open(const char *to, unsigned facility, const char *prefix, char *error, size_t cap);
bool syslog_is_open(void);
void syslog_close(void);

/* Sends each line of `text`, from `name`: "error" or "access". */
void syslog_send(enum log_level level, const char *name, struct str text);

#endif
