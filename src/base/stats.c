/* SPDX-License-Identifier: MIT */
/*
 * Counters of workers: added up, and read as what they mean. A worker that dies leaves its counters behind; the
 * master adds them to what earlier ones have left, so that sums never fall.
 */
#include "cserve/stats.h"

#include <stddef.h>
#include <string.h>

uint64_t histogram_low_us(unsigned bucket)
{
    unsigned power = bucket / HISTOGRAM_SUBS;

    if (power == 0)
        return bucket;
    return (uint64_t)(HISTOGRAM_SUBS + bucket % HISTOGRAM_SUBS) << (power - 1);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t count = 0;

    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += stat_get(&h->counts[i]);
    return count;
}

uint64_t histogram_below(const struct histogram *h, uint64_t us)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && histogram_low_us(i) < us; i++)
        count += stat_get(&h->counts[i]);
    return count;
}

uint64_t histogram_quantile_us(const struct histogram *h, unsigned per_mille)
{
    uint64_t count = histogram_count(h), seen = 0, wanted = (count * per_mille + 999) / 1000;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && count > 0; i++) {
        seen += stat_get(&h->counts[i]);
        if (seen >= wanted && seen > 0)
            return (histogram_low_us(i) + histogram_low_us(i + 1)) / 2;
    }
    return 0;
}

static void add_all(stat_t *to, const stat_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        stat_add(&to[i], stat_get(&from[i]));
}

void stats_add(struct stats *to, const struct stats *from)
{
    add_all(&to->accepted, &from->accepted, 1);
    add_all(&to->takeovers, &from->takeovers, 1);
    add_all(&to->bytes_in, &from->bytes_in, 1);
    add_all(&to->bytes_out, &from->bytes_out, 1);
    add_all(&to->spooled, &from->spooled, 1);
    add_all(to->timeouts, from->timeouts, STATS_TIMEOUTS);
    add_all(to->statuses, from->statuses, STATS_STATUSES);
    add_all(to->rejected, from->rejected, STATS_REJECTIONS);
    for (int i = 0; i < STATS_TIMES; i++) {
        add_all(&to->times[i].sum_us, &from->times[i].sum_us, 1);
        add_all(to->times[i].counts, from->times[i].counts, HISTOGRAM_BUCKETS);
    }
}

/* --- the slowest ------------------------------------------------------------------------------- */

/* What a row counts for at that time. */
static int64_t weight(const struct slow_request *row, int64_t now_ms)
{
    return row->ended_ms == 0 || now_ms - row->ended_ms > STATS_SLOW_FOR_MS ? -1 : row->total_us;
}

static struct slow_request *least(struct stats *stats, int64_t now_ms)
{
    struct slow_request *least = &stats->slow[0];

    for (int i = 1; i < STATS_SLOW; i++) {
        if (weight(&stats->slow[i], now_ms) < weight(least, now_ms))
            least = &stats->slow[i];
    }
    return least;
}

/* All but seq. */
static void copy_row(struct slow_request *to, const struct slow_request *from)
{
    const size_t at = offsetof(struct slow_request, len);

    memcpy((char *)to + at, (const char *)from + at, sizeof(*to) - at);
}

static void write_row(struct slow_request *row, const struct slow_request *slow)
{
    atomic_fetch_add_explicit(&row->seq, 1, memory_order_acq_rel);
    copy_row(row, slow);
    atomic_fetch_add_explicit(&row->seq, 1, memory_order_release);
}

int64_t stats_note_slow(struct stats *stats, const struct slow_request *slow)
{
    struct slow_request *row = least(stats, slow->ended_ms);

    if (slow->total_us > weight(row, slow->ended_ms))
        write_row(row, slow);
    return weight(least(stats, slow->ended_ms), slow->ended_ms);
}

bool stats_read_slow(const struct stats *stats, int i, struct slow_request *slow)
{
    struct slow_request *row = (struct slow_request *)&stats->slow[i];
    uint32_t seq = atomic_load_explicit(&row->seq, memory_order_acquire);

    copy_row(slow, row);
    /* Adds nothing, but nothing that was read before can be read after it, as it could behind a load. */
    if (seq % 2 != 0 || atomic_fetch_add_explicit(&row->seq, 0, memory_order_acq_rel) != seq || slow->ended_ms == 0)
        return false;
    if (slow->len > STATS_LINE_MAX)
        slow->len = STATS_LINE_MAX;
    return true;
}
