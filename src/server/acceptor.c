/* SPDX-License-Identifier: MIT */
/*
 * Accepting. It pauses, rather than spins, when the worker has all the connections it may have or when the
 * system has no descriptor or memory left, and goes on when a connection closes or a little later; clients
 * wait in the kernel's backlog meanwhile.
 *
 * Of a queue that several workers share, one connection is taken at a time, and then this worker stands
 * behind the others: the system wakes whoever has waited longest, so each gets its share.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"

#include "server_internal.h"

enum {
    ACCEPTS_PER_EVENT = 64, /* so that a flood of connections does not starve those that are open */
    PAUSE_MS = 100,
    COMPLAINT_MS = 10000, /* that it cannot accept is said this often: a crowd at the door must not fill the log */
};

static void complain(struct server *s)
{
    if (s->complained_ms != 0 && s->now_ms - s->complained_ms < COMPLAINT_MS)
        return;
    s->complained_ms = s->now_ms;
    log_error("cannot accept connections, trying again every %d ms: %s", PAUSE_MS, strerror(errno));
}

static void accept_one_batch(struct acceptor *a, int most)
{
    struct server *s = a->server;
    struct stream stream;
    struct address remote;

    for (int i = 0; i < most; i++) {
        int fd;

        if (s->connection_count >= s->config.worker_connections) {
            acceptors_pause(s);
            return;
        }
        fd = listener_accept(a->listener, &remote);
        if (fd >= 0) {
            stream_init_socket(&stream, fd);
            connection_open(s, &stream, &remote, a->listener);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        complain(s);
        acceptors_pause(s);
        return;
    }
}

static void poll_one(struct acceptor *a);
static void unpoll_one(struct acceptor *a);

static void acceptor_ready(struct source *source, uint32_t ready)
{
    struct acceptor *a = (struct acceptor *)source;

    (void)ready;
    accept_one_batch(a, a->listener->shared ? 1 : ACCEPTS_PER_EVENT);
    if (a->listener->shared && a->polled) {
        unpoll_one(a);
        poll_one(a);
    }
}

void acceptors_init(struct server *s, struct listener *listeners, size_t count)
{
    s->acceptors = mem_zalloc(count * sizeof(*s->acceptors));
    s->acceptor_count = count;
    for (size_t i = 0; i < count; i++) {
        s->acceptors[i].source.ready = acceptor_ready;
        s->acceptors[i].server = s;
        s->acceptors[i].listener = &listeners[i];
    }
}

/* What cannot be polled now is tried again a little later: a server that never accepts again is of no use. */
static void poll_one(struct acceptor *a)
{
    struct server *s = a->server;
    uint32_t wants = a->listener->shared ? POLLER_READ | POLLER_EXCLUSIVE : POLLER_READ;

    a->polled = poller_add(&s->poller, a->listener->fd, wants, a) == 0 || errno == EEXIST;
    if (a->polled)
        return;
    log_error("cannot poll a listening socket, trying again in %d ms: %s", PAUSE_MS, strerror(errno));
    s->accept_again_ms = s->now_ms + PAUSE_MS;
}

static void unpoll_one(struct acceptor *a)
{
    if (a->polled)
        poller_remove(&a->server->poller, a->listener->fd);
    a->polled = false;
}

void acceptors_start(struct server *s)
{
    for (size_t i = 0; i < s->acceptor_count; i++)
        poll_one(&s->acceptors[i]);
}

void acceptors_pause(struct server *s)
{
    s->accept_again_ms = s->now_ms + PAUSE_MS;
    for (size_t i = 0; i < s->acceptor_count; i++)
        unpoll_one(&s->acceptors[i]);
}

void acceptors_resume(struct server *s)
{
    s->accept_again_ms = 0;
    for (size_t i = 0; i < s->acceptor_count; i++) {
        if (!s->acceptors[i].polled)
            poll_one(&s->acceptors[i]);
    }
}

void acceptors_stop(struct server *s)
{
    for (size_t i = 0; i < s->acceptor_count; i++) {
        if (!s->leave_queue)
            accept_one_batch(&s->acceptors[i], s->config.worker_connections);
        unpoll_one(&s->acceptors[i]);
        listener_close(s->acceptors[i].listener, false); /* whoever comes now is refused, not kept waiting */
    }
    s->accept_again_ms = 0;
}
