/* SPDX-License-Identifier: MIT */
/*
 * The poller over epoll(7), level-triggered. It owns the epoll descriptor and the array of events
 * of the last wait; what it watches belongs to others.
 */
#include "cserve/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cserve/mem.h"

int poller_open(struct poller *p, int capacity)
{
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return -1;
    p->capacity = capacity;
    p->events = mem_alloc(sizeof(*p->events) * (size_t)capacity);
    return 0;
}

void poller_close(struct poller *p)
{
    close(p->fd);
    free(p->events);
    p->fd = -1;
    p->events = NULL;
}

static int poller_control(struct poller *p, int operation, int fd, uint32_t wants, void *owner)
{
    struct epoll_event event = {.events = wants, .data.ptr = owner};

    return epoll_ctl(p->fd, operation, fd, &event);
}

int poller_add(struct poller *p, int fd, uint32_t wants, void *owner)
{
    return poller_control(p, EPOLL_CTL_ADD, fd, wants, owner);
}

int poller_change(struct poller *p, int fd, uint32_t wants, void *owner)
{
    return poller_control(p, EPOLL_CTL_MOD, fd, wants, owner);
}

int poller_remove(struct poller *p, int fd)
{
    return poller_control(p, EPOLL_CTL_DEL, fd, 0, NULL);
}

int poller_wait(struct poller *p, int timeout_ms)
{
    int count = epoll_wait(p->fd, p->events, p->capacity, timeout_ms);

    return count < 0 && errno == EINTR ? 0 : count;
}

void poller_forget(struct poller *p, int from, int count, const void *owner)
{
    for (int i = from; i < count; i++) {
        if (p->events[i].data.ptr == owner)
            p->events[i].data.ptr = NULL;
    }
}
