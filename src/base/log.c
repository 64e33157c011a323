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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cserve/buf.h"
#include "cserve/clock.h"
#include "cserve/mem.h"
#include "cserve/syslog.h"

#define WRITE_WAIT_MS 100 /* for the reader of a pipe that is set to non-blocking */

static _Atomic int descriptor = STDERR_FILENO;
static char *file; /* owned; NULL: stderr */
static _Atomic int threshold = LOG_LEVEL_INFO;
static bool json;      /* these three are set before there are threads */
static bool colours;   /* a person looks at it */
static bool journal;   /* systemd's journal reads it */

static const struct level {
    const char *name;
    const char *colour;   /* begins it, on a terminal */
    const char *priority; /* of syslog, as the journal reads it */
} levels[] = {
    [LOG_LEVEL_DEBUG] = {"DEBUG", "\033[2m", "<7>"},        [LOG_LEVEL_INFO] = {"INFO", "", "<6>"},
    [LOG_LEVEL_WARNING] = {"WARNING", "\033[33m", "<4>"},   [LOG_LEVEL_ERROR] = {"ERROR", "\033[31m", "<3>"},
    [LOG_LEVEL_CRITICAL] = {"CRITICAL", "\033[1;31m", "<2>"},
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0';
}

bool log_wants_colour(int fd)
{
    const char *kind = getenv("TERM");

    if (is_set("NO_COLOR") || is_set("FORCE_COLOR"))
        return !is_set("NO_COLOR");
    return isatty(fd) && kind != NULL && strcmp(kind, "dumb") != 0;
}

/* Whether fd is what systemd connected to the journal: JOURNAL_STREAM has its device and inode. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat is;

    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &is) == 0 &&
           is.st_dev == device && is.st_ino == inode;
}

int log_open(const char *path)
{
    bool is_file = path != NULL && strcmp(path, "-") != 0;
    int fd = is_file ? open_file(path) : STDERR_FILENO;

    if (fd < 0)
        return -1;
    free(file);
    file = is_file ? mem_strndup(path, strlen(path)) : NULL;
    colours = !is_file && log_wants_colour(fd);
    journal = !is_file && is_journal(fd);
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

void log_set_json(bool on)
{
    json = on;
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

static void write_out(const char *bytes, size_t len)
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

/* Text with its NULs escaped. */
static void append_text(struct buf *line, struct str text)
{
    while (text.len > 0) {
        const char *nul = memchr(text.ptr, '\0', text.len);
        size_t run = nul == NULL ? text.len : (size_t)(nul - text.ptr);

        buf_append(line, text.ptr, run);
        if (nul != NULL)
            buf_append(line, "\\x00", 4);
        run += nul != NULL;
        text = str_make(text.ptr + run, text.len - run);
    }
}

static void append_plain(struct buf *line, enum log_level level, struct str text)
{
    const struct level *is = &levels[level];
    bool coloured = colours && is->colour[0] != '\0';
    char date[40];
    struct tm local;
    time_t now = clock_wall();

    localtime_r(&now, &local);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S %z", &local);
    buf_printf(line, "%s [%ld] %s%s%s ", date, (long)getpid(), coloured ? is->colour : "", is->name,
               coloured ? "\033[0m" : "");
    append_text(line, text);
    buf_append(line, "\n", 1);
}

static void append_json(struct buf *line, enum log_level level, const char *source, struct str text)
{
    char date[CLOCK_TEXT_MAX];

    clock_format(date, clock_wall());
    buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"pid\":%ld,\"source\":\"%s\",\"message\":", date,
               levels[level].name, (long)getpid(), source);
    buf_append_json(line, text, true);
    buf_append(line, "}\n", 2);
}

/* The journal takes each line for a message. */
static void write_to_journal(enum log_level level, const struct buf *lines)
{
    const char *at = lines->data, *end = at + lines->len;
    struct buf out;

    buf_init(&out);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));

        buf_append(&out, levels[level].priority, strlen(levels[level].priority));
        buf_append(&out, at, (size_t)(newline + 1 - at));
        at = newline + 1;
    }
    write_out(out.data, out.len);
    buf_release(&out);
}

static struct str without_newlines(struct str text)
{
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    return text;
}

static void emit(enum log_level level, struct str text)
{
    struct buf line;

    text = without_newlines(text);
    buf_init(&line);
    if (json)
        append_json(&line, level, "server", text);
    else
        append_plain(&line, level, text);
    if (journal)
        write_to_journal(level, &line);
    else
        write_out(line.data, line.len);
    if (syslog_is_open())
        syslog_send(level, "error", json ? str_make(line.data, line.len) : text);
    buf_release(&line);
}

void log_write(enum log_level level, const char *format, ...)
{
    struct buf text;
    va_list args, again;
    int len;

    if (level < log_get_level())
        return;
    buf_init(&text);
    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    if (len > 0) {
        vsnprintf(buf_room(&text, (size_t)len + 1), (size_t)len + 1, format, again);
        text.len += (size_t)len;
    }
    va_end(again);
    va_end(args);
    emit(level, str_make(text.data, text.len));
    buf_release(&text);
}

void log_text(enum log_level level, const char *text, size_t len)
{
    if (level >= log_get_level())
        emit(level, str_make(text, len));
}

/* Each line of the application's as an object. */
static void append_application(struct buf *out, struct str text)
{
    while (text.len > 0) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        size_t len = newline != NULL ? (size_t)(newline - text.ptr) : text.len;

        append_json(out, LOG_LEVEL_INFO, "application", str_make(text.ptr, len));
        len += newline != NULL;
        text = str_make(text.ptr + len, text.len - len);
    }
}

void log_application(const char *bytes, size_t len)
{
    struct str text = str_make(bytes, len);
    struct buf out;

    buf_init(&out);
    if (json)
        append_application(&out, text);
    if (json)
        text = str_make(out.data, out.len);
    write_out(text.ptr, text.len);
    if (syslog_is_open())
        syslog_send(LOG_LEVEL_INFO, "error", text);
    buf_release(&out);
}
