/* SPDX-License-Identifier: MIT */
/* The file behind the access log: lines gather, and go there together. */
#include "access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/syslog.h"

enum { FLUSH_BYTES = 64 * 1024 };

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

int access_log_open(struct access_log *log, const char *path, const char *format, bool to_syslog)
{
    char error[256];

    *log = (struct access_log){.fd = -1, .stamps.pid = getpid()};
    buf_init(&log->lines);
    log->to_syslog = to_syslog && syslog_is_open();
    if (path == NULL && !log->to_syslog)
        return 0;
    if (access_format_compile(&log->format, format != NULL ? format : "combined", error, sizeof(error)) != 0) {
        log_error("--access-logformat: %s", error);
        return -1;
    }
    if (path != NULL)
        log->fd = strcmp(path, "-") == 0 ? STDOUT_FILENO : open_file(path);
    log->on = path == NULL || log->fd >= 0;
    if (!log->on)
        log_error("cannot open the access log %s: %s", path, strerror(errno));
    return log->on ? 0 : -1;
}

int access_log_reopen(struct access_log *log, const char *path)
{
    int fd;

    if (log->fd <= STDOUT_FILENO)
        return 0;
    fd = open_file(path);
    if (fd < 0)
        return -1;
    close(log->fd);
    log->fd = fd;
    return 0;
}

void access_log_close(struct access_log *log)
{
    access_log_flush(log);
    if (log->fd > STDOUT_FILENO)
        close(log->fd);
    log->fd = -1;
    log->on = false;
    access_format_release(&log->format);
    buf_release(&log->lines);
}

void access_log_add(struct access_log *log, const struct access_entry *entry)
{
    access_format_append(&log->format, &log->lines, entry, &log->stamps);
    if (log->lines.len >= FLUSH_BYTES)
        access_log_flush(log);
}

void access_log_flush(struct access_log *log)
{
    size_t at = log->fd >= 0 ? 0 : log->lines.len;

    if (log->to_syslog)
        syslog_send(LOG_LEVEL_INFO, "access", str_make(log->lines.data, log->lines.len));
    while (at < log->lines.len) {
        ssize_t count = write(log->fd, log->lines.data + at, log->lines.len - at);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            log_error("the access log cannot be written, lines are lost: %s", strerror(errno));
            break;
        }
        at += (size_t)count;
    }
    log->lines.len = 0;
}
