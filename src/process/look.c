/* SPDX-License-Identifier: MIT */
/*
 * Asks a status listener for /status.json: one connection for each look, for there is one a second.
 *
 * What comes is checked as a whole before anything is read of it, and bounded: the answer's size, and the time that it
 * may take, whoever it is that listens there.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cserve/address.h"
#include "cserve/clock.h"

#include "top.h"

enum { ANSWER_MAX = 8 << 20, PIECE = 65536, WAIT_MS = 2000, SCHEMA = 1 };

static const char request[] = "GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

void look_init(struct look *look)
{
    buf_init(&look->text);
    look->root = STR("");
}

void look_release(struct look *look)
{
    buf_release(&look->text);
    look->root = STR("");
}

/* --- asking ------------------------------------------------------------------------------------ */

/* A connection, or -1 with errno. Nothing waits on it for longer than WAIT_MS. */
static int dial(const struct address *address)
{
    struct timeval patience = {.tv_sec = WAIT_MS / 1000, .tv_usec = WAIT_MS % 1000 * 1000};
    int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), reason;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, &address->u.any, address->len) == 0)
        return fd;
    reason = errno == EINPROGRESS || errno == EAGAIN ? ETIMEDOUT : errno;
    close(fd);
    errno = reason;
    return -1;
}

/* All that comes until the other side closes. 0, or -1 with errno. */
static int receive(struct buf *text, int fd)
{
    int64_t deadline_ms = clock_ms() + WAIT_MS;

    while (text->len < ANSWER_MAX && clock_ms() < deadline_ms) {
        ssize_t got = recv(fd, buf_room(text, PIECE), PIECE, 0);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR) {
            errno = errno == EAGAIN ? ETIMEDOUT : errno;
            return -1;
        }
        text->len += got > 0 ? (size_t)got : 0;
    }
    errno = text->len < ANSWER_MAX ? ETIMEDOUT : EMSGSIZE;
    return -1;
}

static int ask(struct buf *text, const struct address *address)
{
    int fd = dial(address), result = -1, reason;

    if (fd < 0)
        return -1;
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1)
        result = receive(text, fd);
    reason = errno;
    close(fd);
    errno = reason;
    return result;
}

/* 0, or -1: that was no status listener. */
static int understand(struct look *look)
{
    static const struct str begin = STR("HTTP/1.1 200 ");
    const char *text = look->text.data, *content;

    if (look->text.len < begin.len || memcmp(text, begin.ptr, begin.len) != 0)
        return -1;
    content = memmem(text, look->text.len, "\r\n\r\n", 4);
    if (content == NULL)
        return -1;
    content += 4;
    if (json_check(str_make(content, (size_t)(text + look->text.len - content)), &look->root) == 0 &&
        json_u64(json_member(look->root, "schema")) == SCHEMA)
        return 0;
    look->root = STR("");
    return -1;
}

int look_take(struct look *look, const char *text, char *error, size_t cap)
{
    struct address address;

    look_release(look);
    if (address_parse(&address, text, error, cap) != 0)
        return -1;
    if (ask(&look->text, &address) != 0) {
        snprintf(error, cap, "nothing answers at %s (%s): is there a cserve that runs with --status %s?", text,
                 strerror(errno), text);
        return -1;
    }
    if (understand(look) != 0) {
        snprintf(error, cap,
                 "what answers at %s is not the status listener of a cserve: that is at the address of --status", text);
        return -1;
    }
    return 0;
}

/* --- reading ----------------------------------------------------------------------------------- */

struct str look_value(const struct look *look, const char *group, const char *name)
{
    return json_member(json_member(look->root, group), name);
}

uint64_t look_u64(const struct look *look, const char *group, const char *name)
{
    return json_u64(look_value(look, group, name));
}

uint64_t look_ms(const struct look *look)
{
    return json_u64(json_member(look->root, "now_ms"));
}

bool look_follows(const struct look *now, const struct look *before)
{
    return before->root.len > 0 && look_ms(now) > look_ms(before) &&
           look_u64(now, "server", "pid") == look_u64(before, "server", "pid") &&
           look_u64(now, "server", "uptime_ms") > look_u64(before, "server", "uptime_ms");
}

uint64_t look_sum(struct str object)
{
    struct str name, value;
    uint64_t sum = 0;

    while (json_next_member(&object, &name, &value))
        sum += json_u64(value);
    return sum;
}

struct str look_worker(const struct look *look, uint64_t pid)
{
    struct str rest = json_member(look->root, "workers"), each;

    while (json_next(&rest, &each)) {
        if (json_u64(json_member(each, "pid")) == pid)
            return each;
    }
    return STR("");
}
