/* SPDX-License-Identifier: MIT */
/* The access log, in the Combined Log Format with one field more: how the request ended. */
#include "access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"

enum { FLUSH_BYTES = 64 * 1024 };

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

int access_log_open(struct access_log *log, const char *path)
{
    *log = (struct access_log){.fd = -1};
    buf_init(&log->lines);
    if (path == NULL)
        return 0;
    log->fd = strcmp(path, "-") == 0 ? STDOUT_FILENO : open_file(path);
    return log->fd < 0 ? -1 : 0;
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
    buf_release(&log->lines);
}

static void update_stamp(struct access_log *log)
{
    time_t now = clock_wall();
    struct tm local;

    if (now == log->stamp_at)
        return;
    log->stamp_at = now;
    localtime_r(&now, &local);
    strftime(log->stamp, sizeof(log->stamp), "%d/%b/%Y:%H:%M:%S %z", &local);
}

static void add_text(struct buf *b, struct str text)
{
    buf_append(b, "\"", 1);
    if (text.len == 0)
        buf_append(b, "-", 1);
    else
        buf_append_escaped(b, text);
    buf_append(b, "\" ", 2);
}

void access_log_add(struct access_log *log, const struct access_entry *entry)
{
    struct buf *b = &log->lines;

    update_stamp(log);
    buf_append_str(b, entry->remote.len > 0 ? entry->remote : STR("-"));
    buf_append_str(b, STR(" - - ["));
    buf_append(b, log->stamp, strlen(log->stamp));
    buf_append_str(b, STR("] "));
    add_text(b, entry->line);
    if (entry->status == 0)
        buf_append_str(b, STR("-"));
    else
        buf_append_u64(b, (uint64_t)entry->status);
    buf_append_str(b, STR(" "));
    buf_append_u64(b, entry->bytes);
    buf_append_str(b, STR(" "));
    add_text(b, entry->referer);
    add_text(b, entry->user_agent);
    buf_append(b, entry->outcome, strlen(entry->outcome));
    buf_append_str(b, STR("\n"));
    if (b->len >= FLUSH_BYTES)
        access_log_flush(log);
}

void access_log_flush(struct access_log *log)
{
    size_t at = 0;

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
