/* SPDX-License-Identifier: MIT */
/*
 * The event loop. Each turn: let go of the GIL, wait, handle the events, expire the timers whose
 * owners had no event, write the access log. A handler runs inside the handling of an event and may
 * take its time; therefore a timer counts as expired only if its owner had nothing to read
 * when the wait ended, and never because a handler was slow.
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

enum {
    EVENTS_PER_WAIT = 512,
    POOLED_REQUESTS = 64,
    POOLED_INPUTS = 64,
    POOLED_CONNECTIONS = 256,
    LINGER_MS = 5000,
    DRAIN_MS = 250, /* stopping: for a client whose next request may be on its way */
};

static void wake_ready(struct source *source, uint32_t ready)
{
    struct watch *watch = (struct watch *)source;

    (void)ready;
    watch->ready(watch->arg);
}

/* server_stop was called. The eventfd stays readable, so it is no longer watched. */
static void stop_asked(void *arg)
{
    struct server *s = arg;

    poller_remove(&s->poller, s->wake_fd);
    s->stop_asked = true;
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
    size_t request_size = sizeof(struct request) + s->config.limits.fields * sizeof(struct http_field);

    mem_pool_init(&s->connection_pool, sizeof(struct connection), POOLED_CONNECTIONS);
    mem_pool_init(&s->request_pool, request_size, POOLED_REQUESTS);
    mem_pool_init(&s->input_pool, READ_ROOM, POOLED_INPUTS);
    sendq_pool_init(&s->sendq_pool, POOLED_INPUTS);
    s->scratch = mem_alloc(SCRATCH_ROOM);
}

static int open_wake(struct server *s)
{
    s->wake = (struct watch){.source.ready = wake_ready, .ready = stop_asked, .arg = s};
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        return -1;
    return poller_add(&s->poller, s->wake_fd, POLLER_READ, &s->wake);
}

struct server *server_new(const struct server_config *config, struct listener *listeners, size_t count,
                          struct handler *handler)
{
    struct server *s = mem_zalloc(sizeof(*s));

    s->config = *config;
    s->handler = handler;
    s->server_field = str_make(config->server_name, strlen(config->server_name));
    s->wake_fd = -1;
    s->poller.fd = -1;
    s->log.fd = -1;
    scan_init();
    init_timeouts(s);
    init_pools(s);
    acceptors_init(s, listeners, count);
    if (access_log_open(&s->log, config->access_log) != 0) {
        log_error("cannot open the access log %s: %s", config->access_log, strerror(errno));
        goto failed;
    }
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
    sendq_pool_release(&s->sendq_pool);
    free(s->acceptors);
    free(s->scratch);
    free(s);
}

int server_watch(struct server *s, int fd, void (*ready)(void *arg), void *arg)
{
    s->outside = (struct watch){.source.ready = wake_ready, .ready = ready, .arg = arg};
    return poller_add(&s->poller, fd, POLLER_READ, &s->outside);
}

void server_stop(struct server *s)
{
    int saved = errno;
    uint64_t one = 1;

    if (write(s->wake_fd, &one, sizeof(one)) < 0) {
        /* the counter is full: it was asked often enough */
    }
    errno = saved;
}

struct str server_date(struct server *s)
{
    time_t now = clock_wall();

    if (now != s->date_at) {
        s->date_at = now;
        http_date_format(s->date, now);
    }
    return str_make(s->date, sizeof(s->date));
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

static void expire_timers(struct server *s)
{
    struct timer *t;

    for (int i = 0; i < TIMEOUT_COUNT; i++) {
        while ((t = timer_queue_expired(&s->timeouts[i], s->now_ms)) != NULL)
            connection_expired(t);
    }
    if (s->accept_again_ms != 0 && s->accept_again_ms <= s->now_ms)
        acceptors_resume(s);
}

static void handle_events(struct server *s, int count)
{
    for (int i = 0; i < count; i++) {
        struct poller_event event = poller_event(&s->poller, i);
        struct source *source = event.owner;

        source->ready(source, event.ready);
    }
}

/* Stops accepting; ends connections that wait for a request that nobody promised. */
static void begin_stop(struct server *s)
{
    struct connection *c, *next;

    s->stop_asked = false;
    if (s->stopping)
        return;
    s->stopping = true;
    acceptors_stop(s);
    for (c = s->connections; c != NULL; c = next) {
        next = c->next;
        connection_stop(c);
    }
}

/* One turn of the loop. 0, or -1 when waiting failed. */
static int turn(struct server *s)
{
    int count;

    s->handler->ops->leave(s->handler);
    access_log_flush(&s->log);
    count = poller_wait(&s->poller, next_deadline(s));
    if (count < 0)
        return -1;
    s->now_ms = clock_ms();
    handle_events(s, count);
    if (count < EVENTS_PER_WAIT)
        expire_timers(s);
    if (s->stop_asked)
        begin_stop(s);
    return 0;
}

int server_run(struct server *s)
{
    int result = 0;

    s->now_ms = clock_ms();
    acceptors_start(s);
    while (result == 0 && !(s->stopping && s->connection_count == 0))
        result = turn(s);
    if (result != 0)
        log_critical("the event loop failed: %s", strerror(errno));
    s->handler->ops->leave(s->handler);
    access_log_flush(&s->log);
    return result;
}
