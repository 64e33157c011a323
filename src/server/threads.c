/* SPDX-License-Identifier: MIT */
/*
 * Whose the loop is, and who calls the handler.
 *
 * Inline mode: the thread that owns the loop calls the handler itself, so a request costs no queue, no
 * wake-up and no lock. A monitor looks once a tick; if the same call is still running, it takes the loop away
 * with one compare-and-swap on `turn`, and a parked thread goes on with the events that are left. The thread
 * that lost the loop finishes its own request, hands the connection back, and parks.
 *
 * Pool mode, while takeovers are frequent: the loop's thread queues complete requests and calls one parked
 * thread. That one takes the GIL first and then the request, and calls one more only if requests are left: at
 * most one thread runs Python and at most one waits for its turn, however many requests there are. A thread
 * that is done takes the next request without letting go. A connection whose latest call was slow is served so in either
 * mode: what was slow once often is again, and the loop stands still for a tick or two before it is taken over.
 *
 * There is one thread more than config.threads, so that the loop never waits for a handler.
 *
 * An exchange is started, resumed and cancelled on one thread: what began on a thread that does not own the
 * loop is queued for that thread alone. What began on the thread that owns the loop waits, when all others are in handlers,
 * until one of them is free, which then takes no other request: somebody must be there to take the loop over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"

#include "server_internal.h"

enum {
    WINDOW_MS = 100,
    POOL_TAKEOVERS = 20,   /* in a window, from which the pool is used */
    INLINE_SLOW_JOBS = 5,  /* in a window, below which it no longer is */
    SLOW_US = 10000,       /* a call, from which its connection is slow: more than a wait for the GIL, which is 5 ms */
    SLOW_TICK_MS = 2,      /* a call, from which it would be taken over */
    CONTENDED_MS = 3,      /* a wait for the GIL, from which it is taken to be contended, */
    CONTENDED_FOR_MS = 1000, /* and for how long */
    POOLED_PIECES = 64,
};

_Thread_local struct thread *thread_current;

static void make_lines(struct thread *me, time_t now)
{
    const char *server = me->server->config.server_name;
    struct buf *text = &me->lines_text;
    char date[HTTP_DATE_LEN];
    size_t server_len;

    text->len = 0;
    if (server[0] != '\0')
        buf_printf(text, "Server: %s\r\n", server);
    server_len = text->len;
    http_date_format(date, now);
    buf_printf(text, "Date: %.*s\r\n", HTTP_DATE_LEN, date);
    me->lines.server = str_make(text->data, server_len);
    me->lines.date = str_make(text->data + server_len, text->len - server_len);
}

struct http_response_lines thread_lines(void)
{
    struct thread *me = thread_current;
    time_t now = clock_wall();

    if (now != me->lines_at) {
        me->lines_at = now;
        make_lines(me, now);
    }
    return me->lines;
}

/* --- lists of connections, under the lock ------------------------------------------------------- */

static void push(struct connection **first, struct connection **last, struct connection *c)
{
    c->next_job = NULL;
    if (*first == NULL)
        *first = c;
    else
        (*last)->next_job = c;
    *last = c;
}

static struct connection *pop(struct connection **first)
{
    struct connection *c = *first;

    if (c != NULL)
        *first = c->next_job;
    return c;
}

/* --- parking, under the lock -------------------------------------------------------------------- */

static struct thread *unpark_any(struct server *s)
{
    struct thread *t = s->parked;

    if (t != NULL) {
        s->parked = t->next_parked;
        t->is_parked = false;
        pthread_cond_signal(&t->wake);
    }
    return t;
}

/* Wakes t if it is parked; else it will look for itself. */
static void unpark(struct server *s, struct thread *t)
{
    for (struct thread **link = &s->parked; *link != NULL; link = &(*link)->next_parked) {
        if (*link == t) {
            *link = t->next_parked;
            t->is_parked = false;
            pthread_cond_signal(&t->wake);
            return;
        }
    }
}

/* Whether the only parked thread, if any, must stay so. */
static bool spare_needed(const struct server *s)
{
    return s->spare_wanted && (s->parked == NULL || s->parked->next_parked == NULL);
}

/* Has one more thread look for a request, unless one is on its way already. */
static void call_one(struct server *s)
{
    struct thread *t;

    if (s->jobs == NULL || s->caller_woken || spare_needed(s))
        return;
    t = unpark_any(s);
    if (t != NULL) {
        t->called = true;
        s->caller_woken = true;
    }
}

/* --- calling the handler ------------------------------------------------------------------------ */

static void need_handler(struct thread *me)
{
    struct server *s = me->server;

    if (me->handler == NULL)
        me->handler = s->handler->ops->attach(s->handler);
    if (me->handler == NULL) {
        log_critical("a thread cannot be made known to the interpreter");
        abort();
    }
}

/* Where the master can see it: the request line, which ends behind the target with " HTTP/1.x". */
static void show(struct score *row, const struct exchange *x, int64_t now_ms)
{
    const char *line = x->raw + x->head.start;

    score_begin(row, line, (size_t)(x->head.target.ptr + x->head.target.len - line) + strlen(" HTTP/1.x"), now_ms);
}

static void note_call(struct connection *c)
{
    struct request *r = c->request;

    r->entered_us = clock_us();
    if (c->action == ACTION_START)
        r->called_us = r->entered_us;
}

static void note_return(struct request *r)
{
    r->left_us = clock_us();
    r->app_us += r->left_us - r->entered_us;
}

/* Takes what the handler needs. Microseconds that took; -1: there was nothing to take. */
static int64_t enter(const struct thread *me)
{
    int64_t waited_us = me->handler->ops->enter(me->handler);

    if (waited_us >= 0) {
        stat_add(&me->score->gil_waits, 1);
        stat_add(&me->score->gil_wait_us, (uint64_t)waited_us);
    }
    return waited_us;
}

/* Calls the handler. `now_ms` is when: the monitor holds the call against the deadline. */
static void act(struct thread *me, struct connection *c, int64_t now_ms)
{
    struct request *r = c->request;
    struct handler *handler = me->handler;
    int64_t used_ms = c->action == ACTION_RESUME ? r->used_ms : 0; /* a client that reads slowly gains no time */

    c->out.pool = &me->sendq_pool;
    show(me->score, &r->exchange, now_ms - used_ms);
    if (me->timed)
        note_call(c);
    atomic_store(&me->since_ms, now_ms - used_ms);
    if (atomic_load(&me->server->monitor.parked))
        monitor_wake(me->server);
    switch (c->action) {
    case ACTION_START:
        r->thread = me;
        r->verdict = handler->ops->start(handler, &r->exchange);
        break;
    case ACTION_RESUME:
        r->verdict = handler->ops->resume(handler, &r->exchange);
        break;
    case ACTION_CANCEL:
        handler->ops->cancel(handler, &r->exchange);
        r->verdict = HANDLER_DONE;
        break;
    }
    atomic_store_explicit(&me->since_ms, 0, memory_order_release);
    if (r->verdict == HANDLER_WAIT)
        r->used_ms += clock_ms() - now_ms;
    if (me->timed)
        note_return(r);
    score_end(me->score);
}

/* Under the lock. True if the loop waits and is to be woken with server_wake, by the caller alone. */
static bool must_wake_loop(struct server *s)
{
    bool wake = s->asleep;

    s->asleep = false;
    return wake;
}

/* Gives the connection of a handler that ran apart from the loop, for so long, back to it. */
static void hand_back(struct connection *c, int64_t us)
{
    struct server *s = c->server;
    bool wake;

    if (c->action != ACTION_CANCEL)
        exchange_flush(&c->request->exchange);
    c->slow = us >= SLOW_US;
    pthread_mutex_lock(&s->lock);
    push(&s->returned, &s->last_returned, c);
    s->slow_jobs += us >= MONITOR_TICK_US;
    wake = must_wake_loop(s);
    pthread_mutex_unlock(&s->lock);
    if (wake)
        server_wake(s);
}

static bool is_contended(struct server *s)
{
    return s->now_ms < atomic_load_explicit(&s->contended_until_ms, memory_order_relaxed);
}

/* The handler was entered after a wait for the GIL. A long one means a thread that computes: it will be so each time. */
static void note_wait(struct server *s, int64_t waited_us)
{
    s->now_ms = clock_ms();
    if (waited_us >= CONTENDED_MS * 1000)
        s->contended_until_ms = s->now_ms + CONTENDED_FOR_MS;
}

/* On the loop's thread. True if the loop is still this thread's afterwards. */
static bool call_inline(struct server *s, struct thread *me, struct connection *c)
{
    uint_fast64_t inside = atomic_load_explicit(&s->turn, memory_order_relaxed) + 1;
    int64_t waited_us = enter(me); /* not being slow: another thread would wait too */
    int64_t now_ms; /* read here: once turn is odd, nothing of the loop is this thread's for sure */

    if (waited_us >= 0)
        note_wait(s, waited_us);
    now_ms = s->now_ms;
    s->handler_called = true;
    s->running = c;
    atomic_store(&s->turn, inside);
    act(me, c, now_ms);
    if (atomic_compare_exchange_strong(&s->turn, &inside, inside + 1)) {
        if (is_contended(s) && clock_ms() - now_ms >= SLOW_TICK_MS)
            s->takeovers++; /* it was spared one, but should there be many such calls, the pool is for them */
        return true;
    }
    me->lost = true;
    hand_back(c, (clock_ms() - now_ms) * 1000);
    return false;
}

/* Has the handler called by any thread, or by `t`, which may be this one, later. */
static void queue(struct server *s, struct connection *c, struct thread *t)
{
    c->away = true;
    s->away_count++;
    pthread_mutex_lock(&s->lock);
    if (t != NULL) {
        push(&t->jobs, &t->last_job, c);
        s->spare_wanted |= t == thread_current;
        unpark(s, t);
    } else {
        push(&s->jobs, &s->last_job, c);
        call_one(s);
    }
    pthread_mutex_unlock(&s->lock);
}

bool threads_call(struct connection *c)
{
    struct server *s = c->server;
    struct thread *me = thread_current;
    bool starts = c->action == ACTION_START;
    bool elsewhere = starts ? s->pool || c->slow : c->request->thread != me;

    if (s->thread_count == 1 && !s->monitor.running) {
        act(me, c, s->now_ms);
        return true;
    }
    if (s->thread_count == 1)
        return call_inline(s, me, c);
    if (elsewhere || s->away_count >= s->config.threads) {
        queue(s, c, starts ? NULL : c->request->thread);
        return false;
    }
    return call_inline(s, me, c);
}

/* --- the loop's side ---------------------------------------------------------------------------- */

/* The loop has it again. */
static void take_back(struct server *s, struct connection *c)
{
    c->away = false;
    s->away_count--;
    c->out.pool = &thread_current->sendq_pool;
    if (c->unpolled) {
        c->unpolled = false;
        if (poller_add(&s->poller, c->stream.fd, c->armed, c) != 0) {
            log_error("cannot poll a connection: %s", strerror(errno));
            c->request->gone = true;
        }
    }
}

/* Whether the thread that owns the loop has a call to make, and another is there to take the loop over meanwhile. */
static bool has_own_job(const struct server *s)
{
    return thread_current->jobs != NULL && s->parked != NULL;
}

/* The next connection that came back, or (*own) that waits for this thread; NULL if there is none. */
static struct connection *next_returned(struct server *s, bool *own)
{
    struct connection *c;

    pthread_mutex_lock(&s->lock);
    c = pop(&s->returned);
    *own = c == NULL && has_own_job(s);
    if (*own)
        c = pop(&thread_current->jobs);
    s->spare_wanted = *own || thread_current->jobs != NULL;
    call_one(s);
    pthread_mutex_unlock(&s->lock);
    return c;
}

void threads_take_returned(struct server *s)
{
    struct thread *me = thread_current;
    struct connection *c;
    bool own;

    while (s->away_count > 0 && (c = next_returned(s, &own)) != NULL) {
        take_back(s, c);
        if (!own || call_inline(s, me, c))
            request_returned(c);
        if (me->lost)
            return;
    }
}

bool threads_sleep(struct server *s)
{
    bool may;

    if (s->away_count == 0)
        return true;
    pthread_mutex_lock(&s->lock);
    may = s->returned == NULL && !has_own_job(s);
    s->asleep = may;
    pthread_mutex_unlock(&s->lock);
    return may;
}

void threads_choose_mode(struct server *s)
{
    if (s->thread_count == 1 || s->now_ms < s->window_ends_ms)
        return;
    pthread_mutex_lock(&s->lock);
    s->pool = s->pool ? s->slow_jobs >= INLINE_SLOW_JOBS : s->takeovers >= POOL_TAKEOVERS;
    s->slow_jobs = 0;
    pthread_mutex_unlock(&s->lock);
    s->takeovers = 0;
    stat_set(&s->stats->pool, s->pool);
    s->window_ends_ms = s->now_ms + WINDOW_MS;
}

/* The loop is this thread's from here on; `taken` from a thread that is in a handler. */
static void own_loop(struct thread *me, bool taken)
{
    struct server *s = me->server;

    me->lost = false;
    if (taken) {
        s->running->away = true;
        s->away_count++;
        s->takeovers++;
        stat_add(&s->stats->takeovers, 1);
    }
    server_loop(s);
    me->handler->ops->leave(me->handler);
}

/* --- the other threads -------------------------------------------------------------------------- */

enum task { TASK_QUIT, TASK_LOOP, TASK_WORK };

static bool has_task(const struct thread *me, enum task *task)
{
    const struct server *s = me->server;

    if (s->quit)
        *task = TASK_QUIT;
    else if (me->promoted || s->orphaned)
        *task = TASK_LOOP;
    else if (me->called || me->jobs != NULL)
        *task = TASK_WORK;
    else
        return false;
    return true;
}

/* Parks until there is something to do. */
static enum task await_task(struct thread *me)
{
    struct server *s = me->server;
    enum task task;

    pthread_mutex_lock(&s->lock);
    while (!has_task(me, &task)) {
        me->next_parked = s->parked;
        s->parked = me;
        me->is_parked = true;
        call_one(s); /* requests that came when nobody was parked */
        if (s->spare_wanted && must_wake_loop(s))
            server_wake(s);
        while (me->is_parked)
            pthread_cond_wait(&me->wake, &s->lock);
    }
    if (task == TASK_LOOP) {
        if (!me->promoted)
            s->orphaned = false;
        me->promoted = false;
        s->spare_wanted = me->jobs != NULL;
        if (me->called) { /* to look for a request: another must do that now */
            me->called = s->caller_woken = false;
            call_one(s);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return task;
}

struct connection *threads_choose_job(struct thread *me)
{
    struct server *s = me->server;
    bool may_begin = s->jobs != NULL && !(s->spare_wanted && s->parked == NULL);

    if (s->orphaned)
        return NULL;
    me->began_last = may_begin && (me->jobs == NULL || !me->began_last);
    return pop(me->began_last ? &s->jobs : &me->jobs);
}

/* The next request for this thread. Whoever was called and holds the GIL now lets one more be called. */
static struct connection *next_job(struct thread *me)
{
    struct server *s = me->server;
    struct connection *c;

    pthread_mutex_lock(&s->lock);
    if (me->called) {
        me->called = false;
        s->caller_woken = false;
    }
    c = threads_choose_job(me);
    call_one(s);
    pthread_mutex_unlock(&s->lock);
    return c;
}

static void work(struct thread *me)
{
    struct connection *c;
    int64_t began_us;

    enter(me);
    while ((c = next_job(me)) != NULL) {
        began_us = clock_us();
        act(me, c, began_us / 1000);
        hand_back(c, clock_us() - began_us);
    }
    me->handler->ops->leave(me->handler);
}

static void *thread_main(void *argument)
{
    struct thread *me = argument;
    enum task task;

    thread_current = me;
    need_handler(me);
    me->handler->ops->leave(me->handler);
    while ((task = await_task(me)) != TASK_QUIT) {
        if (task == TASK_LOOP)
            own_loop(me, true);
        else
            work(me);
    }
    if (me->handler != me->server->handler) {
        monitor_await_end(me->server);
        me->handler->ops->detach(me->handler);
    }
    return NULL;
}

/* The monitor has taken the loop away from a handler: who is to have it? */
void threads_promote(struct server *s)
{
    struct thread *t;

    pthread_mutex_lock(&s->lock);
    t = unpark_any(s);
    if (t != NULL)
        t->promoted = true;
    else
        s->orphaned = true; /* the thread that is free by count is on its way to park */
    pthread_mutex_unlock(&s->lock);
}

/* --- beginning and end -------------------------------------------------------------------------- */

void threads_init(struct server *s)
{
    s->thread_count = s->config.threads > 1 ? s->config.threads + 1 : 1;
    s->threads = mem_zalloc((size_t)s->thread_count * sizeof(*s->threads));
    pthread_mutex_init(&s->lock, NULL);
    monitor_init(s);
    for (int i = 0; i < s->thread_count; i++) {
        s->threads[i].server = s;
        s->threads[i].timed = (s->extras & EXTRA_TIMES) != 0;
        pthread_cond_init(&s->threads[i].wake, NULL);
        sendq_pool_init(&s->threads[i].sendq_pool, POOLED_PIECES);
    }
    s->threads[0].handler = s->handler;
    thread_current = &s->threads[0];
}

void threads_release(struct server *s)
{
    for (int i = 0; i < s->thread_count; i++) {
        sendq_pool_release(&s->threads[i].sendq_pool);
        buf_release(&s->threads[i].lines_text);
        pthread_cond_destroy(&s->threads[i].wake);
    }
    monitor_release(s);
    pthread_mutex_destroy(&s->lock);
    free(s->threads);
}

/*
 * 0, or -1 with errno. No signal is blocked in the threads: programs that an application starts there would
 * have it blocked too.
 */
static int start_all(struct server *s)
{
    int error = 0;

    for (; s->started < s->thread_count - 1 && error == 0; s->started += error == 0)
        error = pthread_create(&s->threads[s->started + 1].id, NULL, thread_main, &s->threads[s->started + 1]);
    if (error == 0)
        error = monitor_start(s);
    errno = error;
    return error == 0 ? 0 : -1;
}

static void join_all(struct server *s)
{
    monitor_join(s);
    for (int i = 0; i < s->started; i++)
        pthread_join(s->threads[i + 1].id, NULL);
}

void threads_quit(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    while (unpark_any(s) != NULL) {
    }
    pthread_cond_signal(&s->monitor.wake);
    pthread_mutex_unlock(&s->lock);
}

int threads_run(struct server *s)
{
    struct thread *me = &s->threads[0];
    int result = 0;

    thread_current = me;
    if (start_all(s) == 0) {
        own_loop(me, false);
        thread_main(me);
    } else {
        log_critical("cannot start %d threads: %s", s->thread_count, strerror(errno));
        threads_quit(s);
        result = -1;
    }
    s->handler->ops->leave(s->handler);
    join_all(s);
    return result;
}
