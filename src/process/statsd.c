/* SPDX-License-Identifier: MIT */
/*
 * Metrics for a statsd server, every second: what gunicorn sends has its names, all else begins with cserve.
 *
 * Nothing is sent for each request: counters are sent as what has come to them since, and durations as one
 * line for each bucket that has got some, whose sample rate says how many they were.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cserve/address.h"
#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/mem.h"

#include "sample.h"

enum {
    EVERY_MS = 1000,
    PACKET_MAX = 1400, /* fits into a frame of Ethernet */
    LINE_ROOM = 1024,
};

struct statsd {
    int fd;
    int64_t due_ms;
    struct sample *last; /* what was sent; NULL: nothing yet */
    size_t len;
    char packet[PACKET_MAX];
};

static void flush(struct statsd *d)
{
    if (d->len > 0)
        send(d->fd, d->packet, d->len, MSG_DONTWAIT | MSG_NOSIGNAL); /* nobody is there: then it is lost, as is usual */
    d->len = 0;
}

/* "PREFIX.NAME:VALUE|KIND|#TAGS" */
static void add(struct master *m, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(struct master *m, const char *name, const char *format, ...)
{
    const struct process_config *config = m->config;
    struct statsd *d = m->statsd;
    char value[64], line[LINE_ROOM];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(value, sizeof(value), format, arguments);
    va_end(arguments);
    const char *prefix = config->statsd_prefix, *tags = config->statsd_tags;
    const char *dot = prefix[0] != '\0' && prefix[strlen(prefix) - 1] != '.' ? "." : "";
    const char *mark = tags[0] != '\0' ? "|#" : "";
    int len = snprintf(line, sizeof(line), "%s%s%s:%s%s%s\n", prefix, dot, name, value, mark, tags);
    if (len >= (int)sizeof(line))
        return;
    if (d->len + (size_t)len > sizeof(d->packet))
        flush(d);
    memcpy(d->packet + d->len, line, (size_t)len);
    d->len += (size_t)len;
}

static void add_count(struct master *m, const char *name, uint64_t now, uint64_t before)
{
    if (now > before)
        add(m, name, "%llu|c", (unsigned long long)(now - before));
}

static void add_gauge(struct master *m, const char *name, uint64_t value)
{
    add(m, name, "%llu|g", (unsigned long long)value);
}

static void add_statuses(struct master *m, const struct sample *now, const struct sample *before)
{
    uint64_t sum = 0;
    char name[64];

    for (int i = 1; i < STATS_STATUSES; i++) {
        uint64_t count = stat_get(&now->sum.statuses[i]) - stat_get(&before->sum.statuses[i]);
        snprintf(name, sizeof(name), "gunicorn.request.status.%d", i);
        add_count(m, name, count, 0);
        sum += count;
    }
    add_count(m, "gunicorn.requests", sum, 0);
}

static void add_durations(struct master *m, const struct histogram *now, const struct histogram *before)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = stat_get(&now->counts[i]) - stat_get(&before->counts[i]);
        double ms = (double)(histogram_low_us(i) + histogram_low_us(i + 1)) / 2000;
        if (count == 1)
            add(m, "gunicorn.request.duration", "%.3f|ms", ms);
        else if (count > 1)
            add(m, "gunicorn.request.duration", "%.3f|ms|@%.9g", ms, 1.0 / (double)count);
    }
}

static void send_changes(struct master *m, const struct sample *now, const struct sample *before)
{
    add_statuses(m, now, before);
    add_durations(m, &now->sum.times[STATS_TOTAL], &before->sum.times[STATS_TOTAL]);
    add_gauge(m, "gunicorn.workers", now->workers[CHILD_SERVING]);
    add_gauge(m, "cserve.requests.in_flight", now->in_flight);
    add_gauge(m, "cserve.requests.queued", now->queued);
    add_gauge(m, "cserve.threads.busy", now->threads[0]);
    add_gauge(m, "cserve.threads.idle", now->threads[1]);
    add_gauge(m, "cserve.memory.rss", now->rss_bytes);
    add_count(m, "cserve.requests.lost", now->lost, before->lost);
    add_count(m, "cserve.takeovers", stat_get(&now->sum.takeovers), stat_get(&before->sum.takeovers));
    add_count(m, "cserve.connections.accepted", stat_get(&now->sum.accepted), stat_get(&before->sum.accepted));
    flush(m->statsd);
}

static void send_now(struct master *m)
{
    struct statsd *d = m->statsd;
    struct sample *now = sample_new(m);

    if (d->last == NULL)
        d->last = mem_zalloc(sizeof(*d->last));
    send_changes(m, now, d->last);
    sample_free(d->last);
    d->last = now;
}

void statsd_turn(struct master *m)
{
    struct statsd *d = m->statsd;

    if (d == NULL || clock_ms() < d->due_ms)
        return;
    d->due_ms = clock_ms() + EVERY_MS;
    send_now(m);
}

int64_t statsd_due(const struct master *m)
{
    return m->statsd != NULL ? m->statsd->due_ms : 0;
}

/* gunicorn writes unix:///path, others unix:/path: both are that path. */
int statsd_open(struct master *m)
{
    const char *text = m->config->statsd;
    struct address address;
    char error[512];
    int fd;

    if (text == NULL)
        return 0;
    if (address_parse(&address, text, error, sizeof(error)) != 0) {
        log_critical("%s: %s", m->config->statsd_label, error);
        return -1;
    }
    fd = socket(address.u.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, &address.u.any, address.len) != 0) {
        log_critical("%s: cannot send to %s: %s", m->config->statsd_label, text, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    m->statsd = mem_zalloc(sizeof(*m->statsd));
    m->statsd->fd = fd;
    m->statsd->due_ms = clock_ms() + EVERY_MS;
    return 0;
}

/* In the master, at its end: what is not sent yet is sent. In a forked process nothing is. */
void statsd_close(struct master *m)
{
    struct statsd *d = m->statsd;

    if (d == NULL)
        return;
    if (getpid() == m->pid)
        send_now(m);
    close(d->fd);
    if (d->last != NULL)
        sample_free(d->last);
    free(d);
    m->statsd = NULL;
}
