/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets. Options that accepted sockets inherit (TCP_NODELAY) are set here once, so that a new
 * connection costs one system call.
 *
 * Several processes get connections in equal shares when each has a socket of its own on the same port
 * (SO_REUSEPORT). The first of them gets that option when it listens already: two servers that are started on one port by
 * mistake would otherwise share it and never say so.
 */
#include "cserve/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
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
    live = connect(fd, &a->u.any, a->len) == 0 || errno != ECONNREFUSED;
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

/*
 * What a client leaves unread beyond this stays with us, where it is counted, and does not fill the kernel's
 * memory.
 */
enum { UNSENT_BYTES = 128 * 1024 };

static int set_tcp_options(int fd)
{
    int on = 1, unsent = UNSENT_BYTES;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        return -1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static int set_options(int fd, const struct address *a)
{
    int on = 1, only6 = !address_is_wildcard(a);

    if (address_is_unix(a))
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 || set_tcp_options(fd) != 0)
        return -1;
    if (a->u.any.sa_family == AF_INET6)
        return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6));
    return 0;
}

static const char *advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "; another program listens there: stop it, or choose another address or --port";
    case EACCES:
        return "; ports below 1024 and foreign directories need privileges: choose a --port above 1023";
    case EADDRNOTAVAIL:
        return "; no interface of this machine has that address";
    default:
        return "";
    }
}

static int set_flag(int fd, int option)
{
    return setsockopt(fd, SOL_SOCKET, option, &(int){1}, sizeof(int));
}

static int bind_and_listen(struct listener *l, int backlog)
{
    if (address_is_unix(&l->address))
        remove_stale_unix(&l->address);
    if (set_options(l->fd, &l->address) != 0 || bind(l->fd, &l->address.u.any, l->address.len) != 0)
        return -1;
    if (address_is_unix(&l->address))
        return listen(l->fd, backlog);
    if (listen(l->fd, backlog) != 0 || set_flag(l->fd, SO_REUSEPORT) != 0)
        return -1;
    return getsockname(l->fd, &l->address.u.any, &l->address.len);
}

/* Whether more sockets can listen on its address, each with a queue of its own. */
static bool may_have_others(const struct listener *l)
{
    int reuse = 0;
    socklen_t len = sizeof(reuse);

    return !address_is_unix(&l->address) &&
           getsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &reuse, &len) == 0 && reuse;
}

int listener_open(struct listener *l, const char *text, int backlog, char *error, size_t cap)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

    l->shared = false;
    l->fd = -1;
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
    l->shared = !may_have_others(l);
    return 0;
}

/* A socket of its own, bound beside the others. A descriptor, or -1 with errno. */
static int open_beside(const struct listener *first, int backlog)
{
    const struct address *a = &first->address;
    int fd = socket(a->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && set_options(fd, a) == 0 && set_flag(fd, SO_REUSEPORT) == 0 &&
        bind(fd, &a->u.any, a->len) == 0 && listen(fd, backlog) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int listener_clone(struct listener *l, struct listener *first, int backlog)
{
    *l = *first;
    l->fd = may_have_others(first) ? open_beside(first, backlog) : -1;
    if (l->fd >= 0)
        return 0;
    l->fd = fcntl(first->fd, F_DUPFD_CLOEXEC, 0);
    l->shared = first->shared = true;
    return l->fd >= 0 ? 0 : -1;
}

int listener_adopt(struct listener *l, int fd)
{
    int listens = 0, type = 0, flags = fcntl(fd, F_GETFL);
    socklen_t len = sizeof(int);

    *l = (struct listener){.fd = -1, .address.len = sizeof(l->address.u)};
    if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0)
        return -1;
    errno = EINVAL;
    if (type != SOCK_STREAM || !listens)
        return -1;
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return -1;
    if (getsockname(fd, &l->address.u.any, &l->address.len) != 0)
        return -1;
    if (!address_is_unix(&l->address) && set_tcp_options(fd) != 0)
        return -1;
    l->fd = fd;
    l->shared = !may_have_others(l);
    return 0;
}

int listener_steer(const struct listener *l, const unsigned *numbers, unsigned count)
{
    struct sock_filter code[2 + 2 * LISTENER_STEER_MAX] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
    };
    struct sock_fprog program;

    if (address_is_unix(&l->address) || count == 0 || count > LISTENER_STEER_MAX)
        return 0;
    memset(&program, 0, sizeof(program)); /* with the padding, which the kernel is given too */
    program.len = 2;
    program.filter = code;
    for (unsigned i = 0; i < count; i++) {
        code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, i + 1 < count);
        code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, numbers[i]);
    }
    return setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program));
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
