/* SPDX-License-Identifier: MIT */
/*
 * The event loop. Each turn: handle the events, take back what other threads have finished, expire the
 * timers whose owners had no event, and wait with the GIL let go. A handler runs inside the handling of an event and may
 * take its time; therefore a timer counts as expired only if its owner had nothing to read
 * when a wait ended, and never because a handler was slow. Under a flood, when every wait is full, that is
 * known after a round of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/scan.h"

#include "server_internal.h"
#include "wire_trace.h"

enum {
    EVENTS_PER_WAIT = 512,
    OTHER_SOURCES = 2, /* wake and outside */
    POOLED_REQUESTS = 64,
    POOLED_INPUTS = 64,
    POOLED_CONNECTIONS = 256,
    LINGER_MS = 5000,
    BUSY_EVENTS = 4, /* of one wait, from which the GIL is kept until a wait finds nothing */
    CONTENDED_WAIT_MS = 1, /* with the GIL, for more events, rather than let go of it and wait long for it again */
    DRAIN_MS = 250, /* stopping: for a client whose next request may be on its way */
    HANDOVER_MS = 1000, /* the same when other processes go on, so that there is no hurry */
};

static void wake_ready(struct source *source, uint32_t ready)
{
    struct watch *watch = (struct watch *)source;

    (void)ready;
    watch->ready(watch->arg);
}

/* server_wake was called: what for is looked at in the next turn. */
static void woken(void *arg)
{
    struct server *s = arg;
    uint64_t count;

    if (read(s->wake_fd, &count, sizeof(count)) < 0) {
        /* nothing to read: it was read already */
    }
}

static void init_timeouts(struct server *s)
{
    const struct server_config *config = &s->config;

    timer_queue_init(&s->timeouts[TIMEOUT_NONE], 0);
    timer_queue_init(&s->timeouts[TIMEOUT_HEAD], config->header_timeout_ms);
    timer_queue_init(&s->timeouts[TIMEOUT_CONTENT], config->body_timeout_ms);
    timer_queue_init(&s->timeouts[TIMEOUT_KEEP_ALIVE], config->keep_alive_ms);
    timer_queue_init(&s->timeouts[TIMEOUT_WRITE], config->write_timeout_ms);
    timer_queue_init(&s->timeouts[TIMEOUT_LINGER], LINGER_MS);
    timer_queue_init(&s->timeouts[TIMEOUT_DRAIN], DRAIN_MS);
}

static void init_pools(struct server *s)
{
    size_t request_size = sizeof(struct request) + s->config.limits.fields * sizeof(struct http_field) +
                          s->log.format.kept_count * sizeof(struct kept_field);

    mem_pool_init(&s->connection_pool, sizeof(struct connection), POOLED_CONNECTIONS);
    mem_pool_init(&s->request_pool, request_size, POOLED_REQUESTS);
    mem_pool_init(&s->input_pool, READ_ROOM, POOLED_INPUTS);
    s->blank_request = request_blank_new(s);
    s->scratch = mem_alloc(SCRATCH_ROOM);
}

static void choose_extras(struct server *s)
{
    if (s->config.show_requests) {
        s->extras |= EXTRA_TRACE;
        wire_trace_init();
    }
    if (s->log.on)
        s->extras |= EXTRA_LOG;
    if (s->config.timed || (s->log.on && s->log.format.needs_times))
        s->extras |= EXTRA_TIMES;
    if (s->config.static_count > 0)
        s->extras |= EXTRA_STATIC;
}

/* 0, or -1 with the reason logged. */
static int open_files(struct server *s)
{
    if ((s->extras & EXTRA_STATIC) == 0)
        return 0;
    s->files = static_files_new(&s->config);
    return s->files != NULL ? 0 : -1;
}

static int open_wake(struct server *s)
{
    s->wake = (struct watch){.source.ready = wake_ready, .ready = woken, .arg = s};
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        return -1;
    return poller_add(&s->poller, s->wake_fd, POLLER_READ, &s->wake);
}

struct server *server_new(const struct server_config *config, struct listener *listeners, size_t count,
                          struct handler *handler)
{
    struct server *s = mem_zalloc(sizeof(*s));
    bool log_opened;

    s->config = *config;
    s->handler = handler;
    s->wake_fd = -1;
    s->poller.fd = -1;
    scan_init();
    log_opened = access_log_open(&s->log, config->access_log, config->access_logformat,
                                 !config->access_not_to_syslog) == 0;
    choose_extras(s);
    init_timeouts(s);
    init_pools(s);
    acceptors_init(s, listeners, count);
    threads_init(s);
    counts_init(s);
    if (!log_opened || open_files(s) != 0)
        goto failed;
    if (poller_open(&s->poller, EVENTS_PER_WAIT) != 0 || open_wake(s) != 0) {
        log_error("cannot set up the event loop: %s", strerror(errno));
        goto failed;
    }
    return s;
failed:
    server_free(s);
    return NULL;
}

void server_free(struct server *s)
{
    access_log_close(&s->log);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    if (s->poller.fd >= 0)
        poller_close(&s->poller);
    mem_pool_release(&s->connection_pool);
    mem_pool_release(&s->request_pool);
    mem_pool_release(&s->input_pool);
    threads_release(s);
    counts_release(s);
    static_files_free(s->files);
    free(s->acceptors);
    free(s->blank_request);
    free(s->scratch);
    free(s);
}

int server_watch(struct server *s, int fd, void (*ready)(void *arg), void *arg)
{
    s->outside = (struct watch){.source.ready = wake_ready, .ready = ready, .arg = arg};
    return poller_add(&s->poller, fd, POLLER_READ, &s->outside);
}

void server_wake(struct server *s)
{
    int saved = errno;
    uint64_t one = 1;

    if (write(s->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: it will wake */
    }
    errno = saved;
}

void server_stop(struct server *s)
{
    s->stop_asked = true;
    server_wake(s);
}

void server_drain(struct server *s)
{
    s->leave_queue = true;
    server_stop(s);
}

void server_yield(struct server *s)
{
    s->yields = true;
    s->leave_queue = true;
    server_stop(s);
}

void server_on_count(struct server *s, uint64_t count, void (*enough)(void *arg), void *arg)
{
    s->requests_left = count;
    s->enough = enough;
    s->enough_arg = arg;
}

void server_reopen_log(struct server *s)
{
    access_log_flush(&s->log);
    if (access_log_reopen(&s->log, s->config.access_log) != 0)
        log_error("cannot open the access log %s again: %s", s->config.access_log, strerror(errno));
}

void server_on_stuck(struct server *s, void (*stuck)(void *arg), void *arg)
{
    s->on_stuck = stuck;
    s->stuck_arg = arg;
}

void server_closed_one(struct server *s)
{
    s->connection_count--;
    if (s->accept_again_ms != 0 && !s->stopping)
        acceptors_resume(s);
}

/* Milliseconds until the loop has something to do without an event; -1: never. */
static int next_deadline(const struct server *s)
{
    int64_t now = clock_ms();
    int64_t soonest = -1;

    if (s->accept_again_ms != 0)
        soonest = s->accept_again_ms > now ? s->accept_again_ms - now : 0;
    for (int i = 0; i < TIMEOUT_COUNT; i++) {
        int64_t left = timer_queue_next(&s->timeouts[i], now);

        if (left >= 0 && (soonest < 0 || left < soonest))
            soonest = left;
    }
    return soonest > 60000 ? 60000 : (int)soonest;
}

/* By the time of the wait: what came in while a handler took its time has not been read yet, and is not late. */
static void expire_timers(struct server *s)
{
    const struct thread *me = thread_current;
    struct timer *t;

    for (int i = 0; i < TIMEOUT_COUNT; i++) {
        while ((t = timer_queue_expired(&s->timeouts[i], s->seen_ms)) != NULL) {
            connection_expired(t);
            if (me->lost)
                return;
        }
    }
    if (s->accept_again_ms != 0 && s->accept_again_ms <= s->waited_ms)
        acceptors_resume(s);
}

/* What is left of the batch: a thread that took the loop over begins in the middle. */
static void handle_events(struct server *s)
{
    const struct thread *me = thread_current;

    while (!me->lost && s->event_at < s->event_count) {
        struct poller_event event = poller_event(&s->poller, s->event_at++);
        struct source *source = event.owner;

        source->ready(source, event.ready);
    }
}

/* Stops accepting; ends connections that wait for a request that nobody promised. */
static void begin_stop(struct server *s)
{
    struct connection *c, *next;

    s->stopping = true;
    if (s->leave_queue && !s->yields)
        timer_queue_init(&s->timeouts[TIMEOUT_DRAIN], HANDOVER_MS);
    acceptors_stop(s);
    for (c = s->connections; c != NULL; c = next) {
        next = c->next;
        if (s->yields && c->is == CONNECTION_IDLE)
            connection_close(c, NULL);
        else
            connection_stop(c);
    }
}

/*
 * Finds out since when everybody who was ready has had an event. A wait that is not full shows everybody; one that
 * is goes on where the last one stopped, so a round is over after as many events as there are sources.
 */
static void note_seen(struct server *s, int count)
{
    bool full = count == EVENTS_PER_WAIT;

    s->round_left -= count;
    s->seen_ms = 0;
    if (full && s->round_left > 0)
        return;
    s->seen_ms = full ? s->round_ms : s->waited_ms;
    s->round_ms = s->waited_ms;
    s->round_left = s->connection_count + (int)s->acceptor_count + OTHER_SOURCES - count;
}

/*
 * Whether to wait a moment with the GIL, since whoever lets go of it will have to wait long for it. Not if no handler was
 * called: only in a handler does the interpreter give others their turn.
 */
static bool keeps_waiting(struct server *s)
{
    return s->busy && s->handler_called && s->waited_ms < atomic_load_explicit(&s->contended_until_ms, memory_order_relaxed) &&
           threads_sleep(s);
}

/* Waits, with the GIL let go if that may take a while. 0, or -1 with errno. */
static int wait_for_events(struct server *s)
{
    struct handler *handler = thread_current->handler;
    int count = 0;

    if (s->busy || !threads_sleep(s))
        count = poller_wait(&s->poller, keeps_waiting(s) ? CONTENDED_WAIT_MS : 0);
    if (count == 0 && threads_sleep(s)) {
        handler->ops->leave(handler);
        access_log_flush(&s->log);
        count = poller_wait(&s->poller, next_deadline(s));
    }
    s->leaving = 0;
    s->handler_called = false;
    s->event_at = 0;
    s->event_count = count > 0 ? count : 0;
    s->busy = count >= BUSY_EVENTS || (s->busy && count > 0);
    s->now_ms = s->waited_ms = clock_ms();
    if ((s->extras & EXTRA_TIMES) != 0)
        s->blank_request->begun_us = clock_us();
    note_seen(s, s->event_count);
    return count < 0 ? -1 : 0;
}

static bool is_over(const struct server *s)
{
    return s->stopping && s->connection_count == 0;
}

/* One turn of the loop. 0, or -1 when waiting failed. When the loop is lost within, nothing of it is touched any more. */
static int turn(struct server *s)
{
    const struct thread *me = thread_current;

    handle_events(s);
    if (me->lost)
        return 0;
    threads_take_returned(s);
    if (me->lost)
        return 0;
    expire_timers(s);
    if (me->lost)
        return 0;
    if (s->stop_asked && !s->stopping)
        begin_stop(s);
    threads_choose_mode(s);
    return is_over(s) ? 0 : wait_for_events(s);
}

void server_loop(struct server *s)
{
    const struct thread *me = thread_current;

    while (!me->lost && !is_over(s)) {
        if (turn(s) == 0)
            continue;
        log_critical("the event loop failed: %s", strerror(errno));
        s->failed = true;
        break;
    }
    if (!me->lost)
        threads_quit(s);
}

int server_run(struct server *s)
{
    int result;

    s->now_ms = clock_ms();
    s->blank_request->begun_us = clock_us();
    acceptors_start(s);
    result = threads_run(s);
    access_log_flush(&s->log);
    return s->failed ? -1 : result;
}
