/* SPDX-License-Identifier: MIT */
/* The plain socket as a stream. */
#include "cserve/stream.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The C library's recv and send are points where a thread may be cancelled, and say so before and after; nobody cancels
 * threads here, and these two are called for every request. Sanitizers know the library's only.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(SYS_recvfrom) || !defined(SYS_sendto)
#define call_recv(fd, room, len) recv(fd, room, len, 0)
#define call_send(fd, bytes, len, flags) send(fd, bytes, len, flags)
#else
#define call_recv(fd, room, len) syscall(SYS_recvfrom, fd, room, len, 0, NULL, NULL)
#define call_send(fd, bytes, len, flags) syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0)
#endif

static ssize_t socket_recv(struct stream *s, void *room, size_t len)
{
    ssize_t count;

    do
        count = call_recv(s->fd, room, len);
    while (count < 0 && errno == EINTR);
    return count;
}

static ssize_t socket_send(struct stream *s, const struct iovec *parts, int count, bool more_follows)
{
    int flags = MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0);
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    ssize_t sent;

    do {
        if (count == 1)
            sent = call_send(s->fd, parts->iov_base, parts->iov_len, flags);
        else
            sent = sendmsg(s->fd, &message, flags);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

static ssize_t socket_sendfile(struct stream *s, int file, off_t *offset, size_t len)
{
    ssize_t sent;

    do
        sent = sendfile(s->fd, file, offset, len);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static void socket_shutdown(struct stream *s)
{
    shutdown(s->fd, SHUT_WR);
}

static void socket_close(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
}

static const struct stream_ops socket_ops = {
    .recv = socket_recv,
    .send = socket_send,
    .sendfile = socket_sendfile,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

void stream_reset_on_close(struct stream *s)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void stream_abort(struct stream *s)
{
    shutdown(s->fd, SHUT_RDWR);
}

void stream_init_socket(struct stream *s, int fd)
{
    s->ops = &socket_ops;
    s->fd = fd;
}
