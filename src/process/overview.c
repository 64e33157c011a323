/* SPDX-License-Identifier: MIT */
/*
 * /status.json: a sample as a JSON object, for programs that show it live. Its shape is in docs/watching.md;
 * members are added, never changed, while "schema" stays 1.
 */
#include <stdlib.h>
#include <string.h>

#include "cserve/clock.h"
#include "cserve/mem.h"
#include "cserve/python.h"

#include "sample.h"

enum { LINES_MAX = 64, SLOWEST_MAX = 20 };

/* A comma, but before the first. */
static void next(struct buf *out, bool *first)
{
    if (!*first)
        buf_append(out, ",", 1);
    *first = false;
}

static void text(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "\"%s\":", key);
    buf_append_json(out, str_make(value, strlen(value)), true);
}

static void number(struct buf *out, const char *key, uint64_t value)
{
    buf_printf(out, "\"%s\":%llu", key, (unsigned long long)value);
}

/* {"idle":1,"head":0} */
static void numbers(struct buf *out, const char *key, const uint64_t *values, const char *(*name)(int index))
{
    bool first = true;

    buf_printf(out, "\"%s\":{", key);
    for (int i = 0; name(i) != NULL; i++) {
        next(out, &first);
        number(out, name(i), values[i]);
    }
    buf_append(out, "}", 1);
}

static void counters(struct buf *out, const char *key, const stat_t *stats, const char *(*name)(int index))
{
    uint64_t values[STATS_REJECTIONS] = {0};

    for (int i = 0; name(i) != NULL; i++)
        values[i] = stat_get(&stats[i]);
    numbers(out, key, values, name);
}

/* --- the server -------------------------------------------------------------------------------- */

static void write_addresses(struct buf *out, const struct master *m)
{
    char url[256];
    bool first = true;

    buf_printf(out, ",\"addresses\":[");
    for (size_t i = 0; i < m->address_count && m->slot_count > 0; i++) {
        next(out, &first);
        buf_append_json(out, str_make(url, listener_url(&m->slots[0].listeners[i], url, sizeof(url))), true);
    }
    buf_append(out, "]", 1);
}

static void write_options(struct buf *out, const struct process_config *config)
{
    buf_printf(out, ",\"options\":{\"workers\":%d,\"threads\":%d,\"preload\":%s", config->workers,
               config->server.threads, config->preload ? "true" : "false");
    buf_printf(out, ",\"timeout_ms\":%d,\"graceful_timeout_ms\":%d,\"keep_alive_ms\":%d,\"worker_connections\":%d}",
               config->server.timeout_ms, config->graceful_timeout_ms, config->server.keep_alive_ms,
               config->server.worker_connections);
}

static void write_server(struct buf *out, const struct master *m, const struct sample *sample)
{
    buf_printf(out, "\"server\":{");
    text(out, "version", m->config->version);
    buf_append(out, ",", 1);
    text(out, "python", python_version());
    buf_append(out, ",", 1);
    text(out, "app", m->config->python.app);
    buf_append(out, ",", 1);
    text(out, "state", master_state(m));
    buf_printf(out, ",\"pid\":%ld,\"ready\":%s,\"reloading\":%s,\"started\":%.3f,\"uptime_ms\":%llu", (long)m->pid,
               sample->ready ? "true" : "false", m->reloading ? "true" : "false", (double)sample->started_ms / 1000,
               (unsigned long long)sample->uptime_ms);
    write_addresses(out, m);
    write_options(out, m->config);
    buf_append(out, "}", 1);
}

/* --- numbers ----------------------------------------------------------------------------------- */

static void write_totals(struct buf *out, const struct sample *sample)
{
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"accepted", stat_get(&sample->sum.accepted)},
        {"received_bytes", stat_get(&sample->sum.bytes_in)},
        {"sent_bytes", sample->bytes_out},
        {"takeovers", stat_get(&sample->sum.takeovers)},
        {"gil_waits", sample->gil_waits},
        {"gil_wait_us", sample->gil_wait_us},
        {"expired", sample->expired},
        {"lost", sample->lost},
        {"spooled", stat_get(&sample->sum.spooled)},
    };

    buf_printf(out, ",\"totals\":{");
    numbers(out, "requests", sample->classes, class_name);
    buf_append(out, ",", 1);
    counters(out, "rejected", sample->sum.rejected, server_rejection_name);
    buf_append(out, ",", 1);
    counters(out, "timeouts", sample->sum.timeouts, timeout_name);
    buf_append(out, ",", 1);
    numbers(out, "restarts", sample->restarts, restart_name);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_append(out, ",", 1);
        number(out, rows[i].key, rows[i].value);
    }
    buf_append(out, "}", 1);
}

static void write_now(struct buf *out, const struct sample *sample)
{
    buf_printf(out, ",\"now\":{\"in_flight\":%llu,\"queued\":%llu,\"threads_busy\":%llu,\"threads_idle\":%llu",
               (unsigned long long)sample->in_flight, (unsigned long long)sample->queued,
               (unsigned long long)sample->threads[0], (unsigned long long)sample->threads[1]);
    buf_printf(out, ",\"rss_bytes\":%llu,\"spool_files\":%llu,\"spool_bytes\":%llu,\"workers_wanted\":%llu,",
               (unsigned long long)sample->rss_bytes, (unsigned long long)stat_get(&sample->sum.spool_files),
               (unsigned long long)stat_get(&sample->sum.spool_bytes), (unsigned long long)sample->wanted);
    numbers(out, "connections", sample->connections, server_state_name);
    buf_append(out, "}", 1);
}

/* The buckets that are not empty: [from, to, count], from <= value < to. */
static void write_buckets(struct buf *out, const struct histogram *h)
{
    bool first = true;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = stat_get(&h->counts[i]);
        if (count == 0)
            continue;
        next(out, &first);
        buf_printf(out, "[%llu,%llu,%llu]", (unsigned long long)histogram_low_us(i),
                   (unsigned long long)histogram_low_us(i + 1), (unsigned long long)count);
    }
}

static unsigned long long quantile(const struct histogram *h, unsigned per_mille)
{
    return histogram_quantile_us(h, per_mille);
}

static void write_latency(struct buf *out, const struct sample *sample)
{
    static const char *const names[STATS_TIMES] = {"total", "app", "queued"};

    buf_printf(out, ",\"latency\":{");
    for (int i = 0; i < STATS_TIMES; i++) {
        const struct histogram *h = &sample->sum.times[i];
        buf_printf(out, "%s\"%s\":{\"count\":%llu,\"sum_us\":%llu", i > 0 ? "," : "", names[i],
                   (unsigned long long)histogram_count(h), (unsigned long long)stat_get(&h->sum_us));
        buf_printf(out, ",\"p50_us\":%llu,\"p90_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,\"buckets\":[",
                   quantile(h, 500), quantile(h, 900), quantile(h, 990), quantile(h, 999));
        write_buckets(out, h);
        buf_printf(out, "]}");
    }
    buf_append(out, "}", 1);
}

/* --- workers ----------------------------------------------------------------------------------- */

static void write_worker(struct buf *out, const struct worker_sample *w, int64_t now_ms)
{
    const struct child *c = w->child;

    buf_printf(out, "{\"pid\":%ld,\"slot\":%d,\"state\":\"%s\",\"mode\":\"%s\",\"age_ms\":%lld", (long)c->pid, c->slot,
               child_state_name(c->is), w->pool ? "pool" : "inline", (long long)(now_ms - c->started_ms));
    buf_printf(out, ",\"rss_bytes\":%llu,\"cpu_ms\":%llu,\"requests\":%llu", (unsigned long long)w->rss_bytes,
               (unsigned long long)w->cpu_ms, (unsigned long long)w->requests);
    buf_printf(out, ",\"threads_busy\":%llu,\"threads_idle\":%llu,", (unsigned long long)w->threads[0],
               (unsigned long long)w->threads[1]);
    numbers(out, "connections", w->connections, server_state_name);
    buf_append(out, "}", 1);
}

static void write_workers(struct buf *out, const struct sample *sample, int64_t now_ms)
{
    bool first = true;

    buf_printf(out, ",\"workers\":[");
    for (int i = 0; i < sample->each_count; i++) {
        next(out, &first);
        write_worker(out, &sample->each[i], now_ms);
    }
    buf_append(out, "]", 1);
}

/* --- requests ---------------------------------------------------------------------------------- */

/* A request in the application; or one that is over, when `slow` says more. */
struct shown {
    long pid;
    int64_t rank; /* the largest come first */
    struct score_seen seen;
    struct slow_request slow;
};

struct shown_list {
    struct shown *rows; /* owned */
    int count, cap;
};

static void add(struct shown_list *list, const struct shown *shown)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        list->rows = mem_realloc(list->rows, (size_t)list->cap * sizeof(*list->rows));
    }
    list->rows[list->count++] = *shown;
}

static int by_rank(const void *a, const void *b)
{
    int64_t x = ((const struct shown *)a)->rank, y = ((const struct shown *)b)->rank;

    return x < y ? 1 : x > y ? -1 : 0;
}

static void begin_list(struct buf *out, const char *key, struct shown_list *list, int most)
{
    if (list->count > 0)
        qsort(list->rows, (size_t)list->count, sizeof(*list->rows), by_rank);
    if (list->count > most)
        list->count = most;
    buf_printf(out, ",\"%s\":[", key);
}

static void write_in_flight(struct buf *out, const struct sample *sample, int64_t now_ms)
{
    struct shown_list list = {0};
    bool first = true;

    for (int i = 0; i < sample->each_count; i++) {
        const struct child *c = sample->each[i].child;
        for (int row = 0; row < c->board.count; row++) {
            struct shown shown = {.pid = (long)c->pid};
            if (!scoreboard_see(&c->board, row, &shown.seen))
                continue;
            shown.rank = now_ms > shown.seen.since_ms ? now_ms - shown.seen.since_ms : 0;
            add(&list, &shown);
        }
    }
    begin_list(out, "in_flight", &list, LINES_MAX);
    for (int i = 0; i < list.count; i++) {
        next(out, &first);
        buf_printf(out, "{\"worker\":%ld,\"age_ms\":%lld,\"line\":", list.rows[i].pid, (long long)list.rows[i].rank);
        buf_append_json(out, str_make(list.rows[i].seen.line, list.rows[i].seen.len), false);
        buf_append(out, "}", 1);
    }
    buf_append(out, "]", 1);
    free(list.rows);
}

static void write_slow(struct buf *out, const struct shown *shown, int64_t now_ms)
{
    const struct slow_request *slow = &shown->slow;

    buf_printf(out, "{\"worker\":%ld,\"status\":%u,\"total_us\":%lld,\"app_us\":%lld,\"queued_us\":%lld", shown->pid,
               slow->status, (long long)slow->total_us, (long long)slow->app_us, (long long)slow->queued_us);
    buf_printf(out, ",\"ago_ms\":%lld,\"line\":",
               (long long)(now_ms > slow->ended_ms ? now_ms - slow->ended_ms : 0));
    buf_append_json(out, str_make(slow->line, slow->len), false);
    buf_append(out, "}", 1);
}

static void write_slowest(struct buf *out, const struct sample *sample, int64_t now_ms)
{
    struct shown_list list = {0};
    bool first = true;

    for (int i = 0; i < sample->each_count; i++) {
        const struct child *c = sample->each[i].child;
        for (int row = 0; c->board.stats != NULL && row < STATS_SLOW; row++) {
            struct shown shown = {.pid = (long)c->pid};
            if (!stats_read_slow(c->board.stats, row, &shown.slow) || now_ms - shown.slow.ended_ms > STATS_SLOW_FOR_MS)
                continue;
            shown.rank = shown.slow.total_us;
            add(&list, &shown);
        }
    }
    begin_list(out, "slowest", &list, SLOWEST_MAX);
    for (int i = 0; i < list.count; i++) {
        next(out, &first);
        write_slow(out, &list.rows[i], now_ms);
    }
    buf_append(out, "]", 1);
    free(list.rows);
}

void overview_write(struct buf *out, const struct master *m)
{
    struct sample *sample = sample_new(m);
    int64_t now_ms = clock_ms();

    buf_printf(out, "{\"schema\":1,\"now_ms\":%lld,", (long long)now_ms);
    write_server(out, m, sample);
    write_totals(out, sample);
    write_now(out, sample);
    write_latency(out, sample);
    write_workers(out, sample, now_ms);
    write_in_flight(out, sample, now_ms);
    write_slowest(out, sample, now_ms);
    buf_printf(out, "}\n");
    sample_free(sample);
}
