/* SPDX-License-Identifier: MIT */
/*
 * Timeouts of connections. Connections wait for few kinds of things, each with one duration, so each kind
 * is a list in the order of deadlines: starting, restarting and stopping a timer are O(1), and
 * finding the next deadline looks at one timer a kind.
 */
#ifndef CSERVE_TIMERS_H
#define CSERVE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lives in what it times out; all zero when stopped. */
struct timer {
    struct timer *prev, *next;
    int64_t deadline_ms;
};

/* All timers of one duration; a ring whose head is `list`. */
struct timer_queue {
    struct timer list;
    int64_t duration_ms; /* 0: these timers never expire and are not started */
};

void timer_queue_init(struct timer_queue *q, int64_t duration_ms);

/* (Re)starts t on q: it expires duration_ms behind now_ms. t may be on any queue or none. */
void timer_start(struct timer *t, struct timer_queue *q, int64_t now_ms);
void timer_stop(struct timer *t);

static inline bool timer_is_running(const struct timer *t)
{
    return t->next != NULL;
}

/* The first timer whose deadline has come, stopped; NULL if none has. */
struct timer *timer_queue_expired(struct timer_queue *q, int64_t now_ms);

/* Milliseconds from now_ms until the first deadline, at least 0; -1 if no timer runs. */
int64_t timer_queue_next(const struct timer_queue *q, int64_t now_ms);

#endif
