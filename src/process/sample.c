/* SPDX-License-Identifier: MIT */
/*
 * A sample: what all workers are doing and have done, at one moment. Counters of workers that are gone are kept in
 * struct past, so that no sum ever falls; what they were doing is gone with them.
 */
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/mem.h"

/* The reasons as restart_name has them, and as the log has them. */
static const struct {
    const char *name, *text;
} restarts[RESTARTS] = {
    [RESTART_RELOAD] = {"reload", "reload"},
    [RESTART_REQUESTS] = {"max-requests", "it has had --max-requests"},
    [RESTART_LIFETIME] = {"max-worker-lifetime", "it has lived for --max-worker-lifetime"},
    [RESTART_MEMORY] = {"max-worker-memory", "it has grown to --max-worker-memory"},
    [RESTART_STUCK] = {"stuck", "a request is stuck in it"},
    [RESTART_CRASH] = {"crash", ""},
    [RESTART_EXIT] = {"exit", ""},
};

const char *restart_name(int restart)
{
    return restart < RESTARTS ? restarts[restart].name : NULL;
}

const char *child_state_name(int state)
{
    static const char *const names[] = {"starting", "serving", "leaving"};

    return state < CHILD_STATES ? names[state] : NULL;
}

const char *class_name(int status_class)
{
    static const char *const names[CLASSES] = {"none", "2xx", "3xx", "4xx", "5xx"};

    return status_class < CLASSES ? names[status_class] : NULL;
}

const char *timeout_name(int timeout)
{
    static const char *const names[STATS_TIMEOUTS] = {
        [STATS_TIMEOUT_HEAD] = "header",         [STATS_TIMEOUT_CONTENT] = "body",
        [STATS_TIMEOUT_WRITE] = "write",         [STATS_TIMEOUT_KEEP_ALIVE] = "keep-alive",
        [STATS_TIMEOUT_PROXY] = "proxy-protocol",
    };

    return timeout < STATS_TIMEOUTS ? names[timeout] : NULL;
}

bool master_is_ready(const struct master *m)
{
    if (m->stopped_ms != 0 || m->drain_until_ms != 0)
        return false;
    for (const struct child *c = m->children; c != NULL; c = c->next) {
        if (c->is == CHILD_SERVING)
            return true;
    }
    return false;
}

const char *master_state(const struct master *m)
{
    if (m->stopped_ms != 0)
        return "stopping";
    if (m->drain_until_ms != 0)
        return "draining";
    if (m->resting)
        return "resting";
    return master_is_ready(m) ? "serving" : "starting";
}

/* --- the past ---------------------------------------------------------------------------------- */

void past_keep(struct past *past, const struct child *c)
{
    uint64_t held;

    if (c->board.stats == NULL)
        return;
    stats_add(&past->stats, c->board.stats);
    past->lost += server_in_flight(c->board.stats, &held) + held;
    for (int i = 0; i < c->board.count; i++) {
        past->bytes_out += stat_get(&c->board.rows[i].bytes_out);
        past->gil_waits += stat_get(&c->board.rows[i].gil_waits);
        past->gil_wait_us += stat_get(&c->board.rows[i].gil_wait_us);
        past->expired += stat_get(&c->board.rows[i].expired);
    }
}

void past_note_handover(struct past *past, const char *reason)
{
    for (int i = 0; i < RESTARTS; i++)
        past->restarts[i] += reason != NULL && strcmp(restarts[i].text, reason) == 0;
}

/* --- one worker -------------------------------------------------------------------------------- */

static uint64_t resident_bytes(pid_t pid)
{
    char path[64];
    unsigned long total, resident = 0;

    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of user and system. The name of the process, which may hold anything, is in parentheses before. */
static uint64_t processor_ms(pid_t pid)
{
    char path[64], text[1024];
    unsigned long long user = 0, system = 0;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        return 0;
    return (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Its rows: counters to the sum, and how many of its threads are in handlers. The last row is no such thread's. */
static void look_at_rows(struct sample *sample, struct worker_sample *w)
{
    const struct scoreboard *board = &w->child->board;
    struct score_seen seen;

    for (int i = 0; i < board->count; i++) {
        sample->bytes_out += stat_get(&board->rows[i].bytes_out);
        sample->gil_waits += stat_get(&board->rows[i].gil_waits);
        sample->gil_wait_us += stat_get(&board->rows[i].gil_wait_us);
        sample->expired += stat_get(&board->rows[i].expired);
        if (i < board->count - 1)
            w->threads[scoreboard_see(board, i, &seen) ? 0 : 1]++;
    }
    /* Of several threads one more is there than are in handlers: it runs the loop. */
    if (board->count > 2 && w->threads[1] > 0)
        w->threads[1]--;
}

/* Gauges are written by others at any time, so a sum of several may be off by one or two: never below 0. */
static uint64_t gauge(const stat_t *stat)
{
    uint64_t value = stat_get(stat);

    return value <= INT64_MAX ? value : 0;
}

static void look_at_stats(struct sample *sample, struct worker_sample *w)
{
    const struct stats *stats = w->child->board.stats;

    stats_add(&sample->sum, stats);
    w->pool = stat_get(&stats->pool) != 0;
    for (int i = 0; i < STATS_STATUSES; i++)
        w->requests += stat_get(&stats->statuses[i]);
    stat_add(&sample->sum.spool_files, gauge(&stats->spool_files));
    stat_add(&sample->sum.spool_bytes, gauge(&stats->spool_bytes));
    for (int i = 0; server_state_name(i) != NULL; i++) {
        w->connections[i] = gauge(&stats->connections[i]);
        sample->connections[i] += w->connections[i];
    }
}

static void look_at(struct sample *sample, struct worker_sample *w, const struct child *c)
{
    uint64_t called, held;

    w->child = c;
    sample->workers[c->is]++;
    if (c->pid > 0) {
        w->rss_bytes = resident_bytes(c->pid);
        w->cpu_ms = processor_ms(c->pid);
        sample->rss_bytes += w->rss_bytes;
    }
    if (c->board.stats == NULL)
        return;
    look_at_stats(sample, w);
    look_at_rows(sample, w);
    if (c->is == CHILD_SERVING)
        sample->modes[w->pool]++;
    if (c->is != CHILD_STARTING) {
        sample->threads[0] += w->threads[0];
        sample->threads[1] += w->threads[1];
    }
    called = server_in_flight(c->board.stats, &held);
    sample->in_flight += called + held;
    sample->queued += called > w->threads[0] ? called - w->threads[0] : 0;
}

/* --- all --------------------------------------------------------------------------------------- */

static void begin(struct sample *sample, const struct master *m)
{
    const struct past *past = &m->past;

    stats_add(&sample->sum, &past->stats);
    sample->bytes_out = past->bytes_out;
    sample->gil_waits = past->gil_waits;
    sample->gil_wait_us = past->gil_wait_us;
    sample->expired = past->expired;
    sample->lost = past->lost;
    memcpy(sample->restarts, past->restarts, sizeof(sample->restarts));
    sample->ready = master_is_ready(m);
    sample->wanted = (uint64_t)m->wanted;
    sample->slot_count = m->slot_count;
    sample->uptime_ms = (uint64_t)(clock_ms() - m->started_ms);
    sample->started_ms = (uint64_t)m->started_wall_s * 1000;
}

static void sum_up(struct sample *sample)
{
    sample->bytes_out += stat_get(&sample->sum.bytes_out);
    for (int i = 0; i < STATS_STATUSES; i++) {
        int status_class = i >= 200 && i < 600 ? i / 100 - 1 : 0;
        sample->classes[status_class] += stat_get(&sample->sum.statuses[i]);
    }
}

struct sample *sample_new(const struct master *m)
{
    struct sample *sample = mem_zalloc(sizeof(*sample));
    int count = 0;

    for (const struct child *c = m->children; c != NULL; c = c->next)
        count++;
    begin(sample, m);
    sample->each = mem_zalloc((size_t)(count > 0 ? count : 1) * sizeof(*sample->each));
    for (const struct child *c = m->children; c != NULL; c = c->next) {
        struct worker_sample *w = &sample->each[sample->each_count++];
        look_at(sample, w, c);
        if (c->slot >= 0 && c->slot < m->slot_count && m->slots[c->slot].child == c) {
            sample->rss[c->slot] = w->rss_bytes;
            sample->cpu_ms[c->slot] = w->cpu_ms;
        }
    }
    sum_up(sample);
    return sample;
}

void sample_free(struct sample *sample)
{
    free(sample->each);
    free(sample);
}
