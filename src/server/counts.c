/* SPDX-License-Identifier: MIT */
/*
 * What is counted for whoever watches (stats.h). The counts are always kept, for they are a few loads and
 * stores; how long requests take is measured only if somebody wants to know, since it takes looks at the clock.
 *
 * A request is counted when its answer is made, before that is sent: a client that has the answer finds it counted.
 */
#include <stdlib.h>
#include <string.h>

#include "server_internal.h"

enum { FLOOR_FOR_MS = 1000 };

/* Why request_reject was called, besides the reasons of http_error_table. */
static const char *const other_rejections[] = {
    "timeout-head", "timeout-body", "timeout-proxy", "proxy-not-allowed", "bad-proxy-header", "spool-failed",
};

enum { OTHER_REJECTIONS = sizeof(other_rejections) / sizeof(other_rejections[0]) };

_Static_assert((int)HTTP_ERROR_COUNT + (int)OTHER_REJECTIONS <= (int)STATS_REJECTIONS, "a reason has no counter");
_Static_assert((int)CONNECTION_STATES < (int)STATS_STATES, "a state has no counter");

const char *server_rejection_name(int rejection)
{
    const int first = HTTP_OK + 1; /* which is no reason */
    const int others = HTTP_ERROR_COUNT - first;

    if (rejection < others)
        return http_error_table[first + rejection].name;
    return rejection < others + OTHER_REJECTIONS ? other_rejections[rejection - others] : NULL;
}

int server_rows(const struct server_config *config)
{
    return config->threads > 1 ? config->threads + 2 : 2;
}

void counts_init(struct server *s)
{
    int rows = server_rows(&s->config);

    s->unseen.stats = mem_zalloc(sizeof(*s->unseen.stats));
    s->unseen.scores = aligned_alloc(_Alignof(struct score), (size_t)rows * sizeof(*s->unseen.scores));
    if (s->unseen.scores == NULL)
        abort();
    memset(s->unseen.scores, 0, (size_t)rows * sizeof(*s->unseen.scores));
    s->stats = s->unseen.stats;
    for (int i = 0; i < s->thread_count; i++)
        s->threads[i].score = &s->unseen.scores[i];
    s->monitor.thread.score = &s->unseen.scores[s->thread_count];
}

void counts_release(struct server *s)
{
    free(s->unseen.stats);
    free(s->unseen.scores);
}

void server_show_in(struct server *s, const struct scoreboard *board)
{
    if (board->count <= s->thread_count)
        return; /* there is none */
    s->stats = board->stats;
    for (int i = 0; i < s->thread_count; i++)
        s->threads[i].score = &board->rows[i];
    s->monitor.thread.score = &board->rows[s->thread_count];
}

void counts_rejection(struct server *s, const char *outcome)
{
    const char *name;

    for (int i = 0; (name = server_rejection_name(i)) != NULL; i++) {
        if (strcmp(name, outcome) == 0)
            stat_add(&s->stats->rejected[i], 1);
    }
}

static void note_slow(struct server *s, const struct request *r, int64_t total_us)
{
    const struct http_head *head = &r->exchange.head;
    const char *line = r->exchange.raw + head->start;
    size_t len = (size_t)(head->target.ptr + head->target.len - line) + strlen(" HTTP/1.x");
    struct slow_request slow = {
        .len = len < STATS_LINE_MAX ? (uint32_t)len : STATS_LINE_MAX,
        .status = r->committed ? (uint32_t)r->exchange.response.status : 0,
        .ended_ms = s->now_ms,
        .total_us = total_us,
        .app_us = r->app_us,
        .queued_us = r->called_us - r->complete_us,
    };

    memcpy(slow.line, line, slow.len);
    s->slow_floor_us = stats_note_slow(s->stats, &slow);
    s->slow_again_ms = s->now_ms + FLOOR_FOR_MS;
}

static void count_times(struct server *s, const struct request *r)
{
    int64_t total_us = r->left_us - r->begun_us;

    histogram_add(&s->stats->times[STATS_TOTAL], total_us);
    histogram_add(&s->stats->times[STATS_APP], r->app_us);
    histogram_add(&s->stats->times[STATS_QUEUED], r->called_us - r->complete_us);
    if (total_us > s->slow_floor_us || s->now_ms >= s->slow_again_ms)
        note_slow(s, r, total_us);
}

void counts_request(struct request *r)
{
    struct server *s = r->connection->server;
    int status = r->committed ? r->exchange.response.status : 0;

    r->counted = true;
    stat_add(&s->stats->statuses[status < STATS_STATUSES ? status : 0], 1);
    if ((s->extras & EXTRA_TIMES) != 0 && r->started)
        count_times(s, r);
}

void counts_spool(struct server *s, const struct spool *spool, uint64_t before, bool was_file)
{
    if (spool->fd < 0)
        return;
    if (!was_file) {
        stat_add(&s->stats->spooled, 1);
        stat_add(&s->stats->spool_files, 1);
        before = 0;
    }
    stat_add(&s->stats->spool_bytes, spool->len - before);
}

void counts_unspool(struct server *s, const struct spool *spool)
{
    if (spool->fd < 0)
        return;
    stat_sub(&s->stats->spool_files, 1);
    stat_sub(&s->stats->spool_bytes, spool->len);
}
