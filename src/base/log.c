/* SPDX-License-Identifier: MIT */
/*
 * The error log. A line is put together in memory and leaves in one write(2) on a descriptor opened
 * for appending, so lines of several processes and threads stay whole without a lock between them.
 *
 * The log never fails its caller: when the disk is full or the reader of a pipe is slow, the line is
 * lost, for a server that stops because it cannot complain helps nobody.
 */
#include "cserve/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cserve/buf.h"
#include "cserve/clock.h"
#include "cserve/mem.h"

#define WRITE_WAIT_MS 100 /* for the reader of a pipe that is set to non-blocking */

static _Atomic int descriptor = STDERR_FILENO;
static char *file; /* owned; NULL: stderr */
static _Atomic int threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "DEBUG", [LOG_LEVEL_INFO] = "INFO",         [LOG_LEVEL_WARNING] = "WARNING",
    [LOG_LEVEL_ERROR] = "ERROR", [LOG_LEVEL_CRITICAL] = "CRITICAL",
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
}

int log_open(const char *path)
{
    bool is_file = path != NULL && strcmp(path, "-") != 0;
    int fd = is_file ? open_file(path) : STDERR_FILENO;

    if (fd < 0)
        return -1;
    free(file);
    file = is_file ? mem_strndup(path, strlen(path)) : NULL;
    int before = atomic_exchange(&descriptor, fd);
    if (before != STDERR_FILENO)
        close(before);
    return 0;
}

/* The descriptor keeps its number: other threads may be about to write to it, and faulthandler knows it. */
int log_reopen(void)
{
    int fd = file != NULL ? open_file(file) : -1;
    int result;

    if (file == NULL)
        return 0;
    if (fd < 0)
        return -1;
    result = dup3(fd, log_fd(), O_CLOEXEC) < 0 ? -1 : 0;
    close(fd);
    return result;
}

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load(&threshold);
}

int log_fd(void)
{
    return atomic_load(&descriptor);
}

static bool may_try_again(int fd)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    return errno == EINTR || (errno == EAGAIN && poll(&room, 1, WRITE_WAIT_MS) > 0);
}

void log_raw(const char *bytes, size_t len)
{
    int fd = log_fd();
    int saved = errno;

    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && !may_try_again(fd))
            break;
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        }
    }
    errno = saved;
}

static void append_prefix(struct buf *line, enum log_level level)
{
    char date[40];
    struct tm local;
    time_t now = clock_wall();

    localtime_r(&now, &local);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S %z", &local);
    buf_printf(line, "%s [%ld] %s ", date, (long)getpid(), level_names[level]);
}

/* Ends the text with exactly one newline. */
static void append_end(struct buf *line)
{
    while (line->len > 0 && line->data[line->len - 1] == '\n')
        line->len--;
    buf_append(line, "\n", 1);
}

static void append_format(struct buf *line, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    /*
     * NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the callers begin it, which the analyser does not
     * see
     */
    int len = vsnprintf(NULL, 0, format, args);
    if (len > 0) {
        vsnprintf(buf_room(line, (size_t)len + 1), (size_t)len + 1, format, again);
        line->len += (size_t)len;
    }
    va_end(again);
}

void log_write(enum log_level level, const char *format, ...)
{
    struct buf line;
    va_list args;

    if (level < log_get_level())
        return;
    buf_init(&line);
    append_prefix(&line, level);
    va_start(args, format);
    append_format(&line, format, args);
    va_end(args);
    append_end(&line);
    log_raw(line.data, line.len);
    buf_release(&line);
}

void log_text(enum log_level level, const char *text, size_t len)
{
    struct buf line;

    if (level < log_get_level())
        return;
    buf_init(&line);
    append_prefix(&line, level);
    while (len > 0) {
        const char *nul = memchr(text, '\0', len);
        size_t run = nul == NULL ? len : (size_t)(nul - text);
        buf_append(&line, text, run);
        if (nul != NULL)
            buf_append(&line, "\\x00", 4);
        run += nul != NULL;
        text += run;
        len -= run;
    }
    append_end(&line);
    log_raw(line.data, line.len);
    buf_release(&line);
}
