/* SPDX-License-Identifier: MIT */
/*
 * Timer queues: since all timers of a queue have the same duration, the one that was started last
 * expires last, and a ring in order of starting is a ring in order of deadlines.
 */
#include "cserve/timers.h"

void timer_queue_init(struct timer_queue *q, int64_t duration_ms)
{
    q->list.prev = q->list.next = &q->list;
    q->duration_ms = duration_ms;
}

void timer_start(struct timer *t, struct timer_queue *q, int64_t now_ms)
{
    timer_stop(t);
    if (q->duration_ms == 0)
        return;
    t->deadline_ms = now_ms + q->duration_ms;
    t->prev = q->list.prev;
    t->next = &q->list;
    t->prev->next = t;
    q->list.prev = t;
}

void timer_stop(struct timer *t)
{
    if (t->next == NULL)
        return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->prev = t->next = NULL;
}

struct timer *timer_queue_expired(struct timer_queue *q, int64_t now_ms)
{
    struct timer *first = q->list.next;

    if (first == &q->list || first->deadline_ms > now_ms)
        return NULL;
    timer_stop(first);
    return first;
}

int64_t timer_queue_next(const struct timer_queue *q, int64_t now_ms)
{
    const struct timer *first = q->list.next;

    if (first == &q->list)
        return -1;
    return first->deadline_ms > now_ms ? first->deadline_ms - now_ms : 0;
}
