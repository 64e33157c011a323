/* SPDX-License-Identifier: MIT */
/*
 * The monitor: a thread that looks at the handler calls of the others.
 *
 * Once a tick, while handlers are called, it looks at `turn`: an odd value that it saw a tick ago is a handler that the
 * loop's thread is still in, and the loop goes to another thread. When calls have ceased for some ticks it parks, at
 * most until the next deadline, so an idle server wakes for nothing.
 *
 * A request that takes longer than config.slow_request_ms is reported, once, with where it is. A call that takes longer than
 * config.timeout_ms is ended. The monitor takes the GIL for that and holds the call: until it lets go, the call
 * cannot return, so the request is there to be looked at and answered. A handler that is still in its call
 * some seconds later is beyond us, and whoever supervises this process is told.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "cserve/clock.h"
#include "cserve/log.h"

#include "server_internal.h"

enum {
    SLOW_TICKS = 1,      /* that a handler is in its call, after which the loop is taken away */
    CONTENDED_TICKS = 8, /* the same if it may be waiting for the GIL, which whoever takes the loop would have to do too */
    QUIET_TICKS = 16,    /* without a handler call, after which the monitor parks */
    DEADLINE_TICKS = 64, /* between two looks at the deadlines */
    STUCK_MS = 5000,     /* past its deadline, after which a handler is held to be stuck */
    POOLED_PIECES = 4,
};

void monitor_init(struct server *s)
{
    struct monitor *m = &s->monitor;
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&m->ended, NULL);
    m->thread.server = s;
    sendq_pool_init(&m->thread.sendq_pool, POOLED_PIECES);
}

void monitor_release(struct server *s)
{
    sendq_pool_release(&s->monitor.thread.sendq_pool);
    buf_release(&s->monitor.thread.lines_text);
    pthread_cond_destroy(&s->monitor.wake);
    pthread_cond_destroy(&s->monitor.ended);
}

void monitor_wake(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->monitor.parked, false);
    pthread_cond_signal(&s->monitor.wake);
    pthread_mutex_unlock(&s->lock);
}

/* --- deadlines ---------------------------------------------------------------------------------- */

static void report_stuck(struct server *s, const struct thread *t, int64_t age_ms)
{
    if (s->monitor.stuck || t->expired_ms == 0 || age_ms < s->config.timeout_ms + STUCK_MS)
        return;
    s->monitor.stuck = true;
    log_error("a request is stuck in the application, %lld s after its start", (long long)(age_ms / 1000));
    if (s->on_stuck != NULL)
        s->on_stuck(s->stuck_arg);
}

/*
 * A handler that keeps the GIL for good, in code that is not Python, leaves nobody to report it: the process then aborts,
 * faulthandler prints where every thread is, and the master starts another.
 */
static bool arm_watchdog(timer_t *timer, int64_t after_ms)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGABRT};
    const struct itimerspec after = {.it_value = {.tv_sec = after_ms / 1000, .tv_nsec = after_ms % 1000 * 1000000 + 1}};

    return timer_create(CLOCK_MONOTONIC, &event, timer) == 0 && timer_settime(*timer, 0, &after, NULL) == 0;
}

/* Takes the GIL. For that, and for what follows up to unwatch, it waits no longer than a call that is `age_ms` old may keep it. */
static void enter(struct server *s, int64_t age_ms)
{
    struct monitor *m = &s->monitor;
    const struct handler_ops *ops = s->handler->ops;
    int64_t left_ms = s->config.timeout_ms > age_ms ? s->config.timeout_ms - age_ms : 0;

    m->watched = s->config.timeout_ms > 0 && arm_watchdog(&m->watchdog, left_ms + STUCK_MS);
    if (m->thread.handler == NULL)
        m->thread.handler = ops->attach(s->handler);
    if (m->thread.handler == NULL)
        abort();
    ops->enter(m->thread.handler);
}

static void unwatch(struct monitor *m)
{
    if (m->watched)
        timer_delete(m->watchdog);
    m->watched = false;
}

/* Says what was seen, if anything, and lets go of the GIL. */
static void leave(struct server *s, struct sighting *seen)
{
    struct monitor *m = &s->monitor;
    const struct handler_ops *ops = s->handler->ops;

    unwatch(m);
    if (seen != NULL)
        ops->report(seen);
    ops->leave(m->thread.handler);
}

/* Holds t's call that began at `since_ms`. Its request; NULL if it has ended meanwhile: then nothing is held. */
static struct request *hold(struct thread *t, int64_t since_ms)
{
    const struct handler_ops *ops = t->handler->ops;
    struct exchange *x = ops->hold(t->handler);

    if (x != NULL && atomic_load(&t->since_ms) == since_ms)
        return request_of(x);
    ops->let_go(t->handler);
    return NULL;
}

/* Ends t's call that began at `since_ms`, unless it has ended meanwhile. First the client has its answer, then the log. */
static void expire(struct server *s, struct thread *t, int64_t since_ms, int64_t age_ms)
{
    const struct handler_ops *ops = s->handler->ops;
    struct sighting *seen = NULL;
    struct request *r;

    enter(s, age_ms);
    r = hold(t, since_ms);
    if (r != NULL) {
        stat_add(&s->monitor.thread.score->expired, 1);
        if (ops->expire(t->handler))
            exchange_expire(r);
        seen = ops->look(t->handler, age_ms, ", which is too long");
        ops->let_go(t->handler);
    }
    t->expired_ms = since_ms;
    leave(s, seen);
}

/* Reports where t's call that began at `since_ms` is, unless it has ended meanwhile, or an earlier one of its request was. */
static void report_slow(struct server *s, struct thread *t, int64_t since_ms, int64_t age_ms)
{
    const struct handler_ops *ops = s->handler->ops;
    struct sighting *seen = NULL;
    struct request *r;

    enter(s, age_ms);
    r = hold(t, since_ms);
    if (r != NULL) {
        if (!r->reported)
            seen = ops->look(t->handler, age_ms, " so far");
        r->reported = true;
        ops->let_go(t->handler);
    }
    t->slow_ms = since_ms;
    leave(s, seen);
}

/* --timeout, for the call that t is in. Milliseconds until it is to be looked at again; -1: never. */
static int64_t keep_deadline(struct server *s, struct thread *t, int64_t since_ms, int64_t age_ms)
{
    int64_t left_ms = s->config.timeout_ms - age_ms;

    if (s->config.timeout_ms == 0)
        return -1;
    if (left_ms > 0)
        return left_ms;
    if (t->expired_ms != since_ms)
        expire(s, t, since_ms, age_ms);
    else
        report_stuck(s, t, age_ms);
    return STUCK_MS / 10;
}

/* --slow-request, as keep_deadline. */
static int64_t keep_patience(struct server *s, struct thread *t, int64_t since_ms, int64_t age_ms)
{
    if (s->config.slow_request_ms == 0 || t->slow_ms == since_ms)
        return -1;
    if (age_ms < s->config.slow_request_ms)
        return s->config.slow_request_ms - age_ms;
    if (s->config.timeout_ms == 0 || age_ms < s->config.timeout_ms) /* else that reports it */
        report_slow(s, t, since_ms, age_ms);
    return -1;
}

/* Looks at every call. Returns the milliseconds until the next deadline or second look; -1: there is none. */
static int64_t keep_deadlines(struct server *s)
{
    int64_t now_ms = clock_ms(), soonest = -1;

    for (int i = 0; i < s->thread_count; i++) {
        struct thread *t = &s->threads[i];
        int64_t since_ms = atomic_load(&t->since_ms), age_ms = now_ms - since_ms;
        int64_t patience, deadline;

        if (since_ms == 0)
            continue;
        patience = keep_patience(s, t, since_ms, age_ms);
        deadline = keep_deadline(s, t, since_ms, age_ms);
        if (patience >= 0 && (soonest < 0 || patience < soonest))
            soonest = patience;
        if (deadline >= 0 && (soonest < 0 || deadline < soonest))
            soonest = deadline;
    }
    return soonest;
}

/* --- ticks -------------------------------------------------------------------------------------- */

static bool has_taken_long(const struct server *s)
{
    int ticks = s->monitor.quiet;

    return ticks >= CONTENDED_TICKS || (ticks >= SLOW_TICKS && clock_ms() >= atomic_load(&s->contended_until_ms));
}

/* A handler that the loop's thread was already in a tick ago. With no other thread, only the deadline can help. */
static void look_at_turn(struct server *s)
{
    struct monitor *m = &s->monitor;
    uint_fast64_t turn = atomic_load(&s->turn);

    m->quiet = turn == m->last_turn ? m->quiet + 1 : 0;
    m->last_turn = turn;
    if (turn % 2 == 0 || s->thread_count == 1 || !has_taken_long(s))
        return;
    if (atomic_compare_exchange_strong(&s->turn, &turn, turn + 1))
        threads_promote(s);
}

static struct timespec in_ms(int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (ms + 1) / 1000;
    until.tv_nsec += (ms + 1) % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

/* Waits for the next handler call, or the next deadline. Whoever calls a handler from here on wakes it. */
static void park(struct server *s)
{
    struct monitor *m = &s->monitor;
    struct timespec until;
    int64_t ms;
    int result = 0;

    atomic_store(&m->parked, true);
    ms = keep_deadlines(s);
    until = in_ms(ms);
    if (atomic_load(&s->turn) != m->last_turn)
        atomic_store(&m->parked, false);
    pthread_mutex_lock(&s->lock);
    while (atomic_load(&m->parked) && !s->quit && result != ETIMEDOUT)
        result = ms < 0 ? pthread_cond_wait(&m->wake, &s->lock) : pthread_cond_timedwait(&m->wake, &s->lock, &until);
    atomic_store(&m->parked, false);
    pthread_mutex_unlock(&s->lock);
    m->quiet = 0;
}

static bool has_quit(struct server *s)
{
    bool quit;

    pthread_mutex_lock(&s->lock);
    quit = s->quit;
    pthread_mutex_unlock(&s->lock);
    return quit;
}

static void *monitor_main(void *argument)
{
    const struct timespec tick = {.tv_nsec = MONITOR_TICK_US * 1000L};
    struct server *s = argument;
    struct monitor *m = &s->monitor;

    thread_current = &m->thread;
    for (unsigned ticks = 1; !has_quit(s); ticks++) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
        look_at_turn(s);
        if (m->quiet >= QUIET_TICKS)
            park(s);
        else if (ticks % DEADLINE_TICKS == 0)
            keep_deadlines(s);
    }
    if (m->thread.handler != NULL)
        m->thread.handler->ops->detach(m->thread.handler);
    pthread_mutex_lock(&s->lock);
    m->over = true;
    pthread_cond_broadcast(&m->ended);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int monitor_start(struct server *s)
{
    bool needed = s->thread_count > 1 || s->config.timeout_ms > 0 || s->config.slow_request_ms > 0;
    int error = needed ? pthread_create(&s->monitor.thread.id, NULL, monitor_main, s) : 0;

    s->monitor.running = error == 0 && needed;
    return error;
}

void monitor_await_end(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->monitor.running && !s->monitor.over)
        pthread_cond_wait(&s->monitor.ended, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void monitor_join(struct server *s)
{
    if (s->monitor.running)
        pthread_join(s->monitor.thread.id, NULL);
}
