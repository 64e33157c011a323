/* SPDX-License-Identifier: MIT */
/*
 * The error log: what the server has to say, and what the application prints to it. One line (or
 * one traceback) is one write(2), so lines of several processes do not mix. Thread-safe.
 *
 *     2026-11-24 22:48:14 +0000 [4711] WARNING text
 *
 * On a terminal the level has a colour (log_wants_colour). To the journal each line begins with its priority, <4>.
 * If syslog is open (syslog.h) it gets the text of all messages, too.
 */
#ifndef CSERVE_LOG_H
#define CSERVE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR, LOG_LEVEL_CRITICAL };

/*
 * Opens (appends to, creates with mode 0644) the file, or stderr for NULL and "-".
 * Returns 0, or -1 with errno and the log as it was.
 */
int log_open(const char *path);
/*
 * Opens the file anew, on the descriptor that it has: it was renamed. 0, or -1 with errno and the log as it
 * was.
 */
int log_reopen(void);
/*
 * Each message is a JSON object of one line:
 *
 *     {"time":"2026-11-24T22:48:14+00:00","level":"WARNING","pid":4711,"source":"server","message":"text"}
 */
void log_set_json(bool json);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Writes one line, if the level is high enough. Text may hold newlines (a traceback). */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As log_write, for text that is not NUL-terminated or holds NULs (they are escaped). */
void log_text(enum log_level level, const char *text, size_t len);

/* Writes what the application has to say (wsgi.errors), whatever the level: as it is, but for log_set_json. */
void log_application(const char *bytes, size_t len);

/*
 * Whether what is written to fd should be coloured: it is a terminal, or FORCE_COLOR is set; and NO_COLOR is not.
 */
bool log_wants_colour(int fd);

/* The descriptor that lines go to: for a last word from a signal handler. */
int log_fd(void);

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_critical(...) log_write(LOG_LEVEL_CRITICAL, __VA_ARGS__)

#endif
