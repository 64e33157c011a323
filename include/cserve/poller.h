/* SPDX-License-Identifier: MIT */
/*
 * Readiness of descriptors: a thin, level-triggered interface over epoll, small enough that
 * io_uring or kqueue can stand behind it. A descriptor is added once and changed only when what
 * its owner wants changes.
 */
#ifndef CSERVE_POLLER_H
#define CSERVE_POLLER_H

#include <stdint.h>
#include <sys/epoll.h>

enum {
    POLLER_READ = EPOLLIN,
    POLLER_WRITE = EPOLLOUT,
    POLLER_END = EPOLLRDHUP, /* with POLLER_READ: the peer sends nothing more, though there may be input left */
    POLLER_EXCLUSIVE = EPOLLEXCLUSIVE, /* with poller_add: of several pollers one is woken, not all */
    POLLER_HANGUP = EPOLLHUP | EPOLLERR, /* always reported */
};

/* What is ready, and whose it is. */
struct poller_event {
    uint32_t ready;
    void *owner;
};

struct poller {
    int fd;
    int capacity;
    struct epoll_event *events; /* owned */
};

/* `capacity`: most events of one wait. 0, or -1 with errno. */
int poller_open(struct poller *p, int capacity);
void poller_close(struct poller *p);

/* Each 0, or -1 with errno. `wants`: POLLER_READ, POLLER_WRITE, both or 0, and POLLER_END. */
int poller_add(struct poller *p, int fd, uint32_t wants, void *owner);
int poller_change(struct poller *p, int fd, uint32_t wants, void *owner);
int poller_remove(struct poller *p, int fd);

/* Waits up to timeout_ms (-1: for ever). Returns the number of events, 0 also on EINTR, -1 with errno. */
int poller_wait(struct poller *p, int timeout_ms);

/* Event i of the last wait. */
static inline struct poller_event poller_event(const struct poller *p, int i)
{
    return (struct poller_event){p->events[i].events, p->events[i].data.ptr};
}

/* Forgets the owner in what is left of the last wait: events i.. of an owner that is going away. */
void poller_forget(struct poller *p, int from, int count, const void *owner);

#endif
