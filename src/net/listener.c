/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets. Options that accepted sockets inherit (TCP_NODELAY) are set here once, so
 * that a new connection costs one system call.
 */
#include "cserve/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool unix_is_live(const struct address *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool live;

    if (fd < 0)
        return true;
    live = connect(fd, &a->u.any, a->len) == 0 || errno == EAGAIN;
    close(fd);
    return live;
}

/* A socket file that nobody accepts on is what a killed server left behind. */
static void remove_stale_unix(const struct address *a)
{
    struct stat info;

    if (lstat(a->u.local.sun_path, &info) == 0 && S_ISSOCK(info.st_mode) && !unix_is_live(a))
        unlink(a->u.local.sun_path);
}

static int set_options(int fd, const struct address *a)
{
    int on = 1, only6 = !address_is_wildcard(a);

    if (address_is_unix(a))
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        return -1;
    if (a->u.any.sa_family == AF_INET6)
        return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6));
    return 0;
}

static const char *advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "; another program listens there: stop it, or choose another --port";
    case EACCES:
        return "; ports below 1024 and foreign directories need privileges: choose a --port above 1023";
    case EADDRNOTAVAIL:
        return "; no interface of this machine has that address";
    default:
        return "";
    }
}

static int bind_and_listen(struct listener *l, int backlog)
{
    if (address_is_unix(&l->address))
        remove_stale_unix(&l->address);
    if (set_options(l->fd, &l->address) != 0 || bind(l->fd, &l->address.u.any, l->address.len) != 0)
        return -1;
    if (address_is_unix(&l->address))
        return listen(l->fd, backlog);
    if (listen(l->fd, backlog) != 0)
        return -1;
    return getsockname(l->fd, &l->address.u.any, &l->address.len);
}

int listener_open(struct listener *l, const char *text, int backlog, char *error, size_t cap)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

    if (address_parse(&l->address, text, error, cap) != 0)
        return -1;
    l->fd = socket(l->address.u.any.sa_family, type, 0);
    if (l->fd < 0 || bind_and_listen(l, backlog) != 0) {
        int reason = errno;
        snprintf(error, cap, "cannot listen on %s: %s%s", text, strerror(reason), advice(reason));
        if (l->fd >= 0)
            close(l->fd);
        l->fd = -1;
        return -1;
    }
    return 0;
}

void listener_close(struct listener *l, bool unlink_path)
{
    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    if (unlink_path && address_is_unix(&l->address))
        unlink(l->address.u.local.sun_path);
}

size_t listener_url(const struct listener *l, char *text, size_t cap)
{
    size_t prefix;

    if (address_is_unix(&l->address))
        return address_text(&l->address, text, cap);
    prefix = (size_t)snprintf(text, cap, "http://");
    prefix += address_text(&l->address, text + prefix, cap - prefix);
    return prefix + (size_t)snprintf(text + prefix, cap - prefix, "/");
}

/* What accept(2) may say of a connection that died in the queue: no reason to stop accepting. */
static bool is_passing(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

int listener_accept(struct listener *l, struct address *peer)
{
    int fd;

    do {
        peer->len = sizeof(peer->u);
        fd = accept4(l->fd, &peer->u.any, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && is_passing(errno));
    return fd;
}
