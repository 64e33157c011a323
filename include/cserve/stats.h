/* SPDX-License-Identifier: MIT */
/*
 * What a worker counts, in memory that its master reads while it works and after it has died.
 *
 * Every number has one writer at a time (whoever owns the loop, or a thread of its row), so counting is a load
 * and a store, never a locked instruction; each is read whole, for it is aligned. Counters only grow.
 */
#ifndef CSERVE_STATS_H
#define CSERVE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint64_t stat_t;

/*
 * Durations in microseconds, log-linear: below 8 each value has a bucket, above there are 8 in each power of
 * two, so a bucket tells a value to an eighth. What is longer than about 18 minutes is in the last.
 */
enum {
    HISTOGRAM_SUB_BITS = 3,
    HISTOGRAM_SUBS = 1 << HISTOGRAM_SUB_BITS,
    HISTOGRAM_TOP_BIT = 29,
    HISTOGRAM_BUCKETS = (HISTOGRAM_TOP_BIT - HISTOGRAM_SUB_BITS + 2) * HISTOGRAM_SUBS,
};

struct histogram {
    stat_t sum_us;
    stat_t counts[HISTOGRAM_BUCKETS];
};

enum {
    STATS_STATUSES = 1000,  /* "ddd"; 0: no answer */
    STATS_REJECTIONS = 64,  /* server_rejection_name */
    STATS_STATES = 16,      /* server_state_name */
    STATS_SLOW = 16,
    STATS_LINE_MAX = 120,
    STATS_SLOW_FOR_MS = 60000, /* that a request is among the slowest */
};

/* Which time of a request a histogram is of. */
enum stats_time { STATS_TOTAL, STATS_APP, STATS_QUEUED, STATS_TIMES };

/* Kinds of waiting that came to their end. */
enum stats_timeout {
    STATS_TIMEOUT_HEAD,
    STATS_TIMEOUT_CONTENT,
    STATS_TIMEOUT_WRITE,
    STATS_TIMEOUT_KEEP_ALIVE,
    STATS_TIMEOUT_PROXY,
    STATS_TIMEOUTS,
};

/* A request that took long, of the last minute. `seq` is odd while it is written. */
struct slow_request {
    _Atomic uint32_t seq;
    uint32_t len;
    uint32_t status;
    int64_t ended_ms; /* on the monotonic clock; 0: there is none */
    int64_t total_us, app_us, queued_us;
    char line[STATS_LINE_MAX];
};

/* Of one worker; whoever owns its loop writes. */
struct stats {
    stat_t accepted; /* connections */
    stat_t takeovers;
    stat_t bytes_in, bytes_out; /* the latter without what threads have sent that do not own the loop: see their rows */
    stat_t spooled;  /* request bodies that went to a file */
    stat_t timeouts[STATS_TIMEOUTS];
    stat_t statuses[STATS_STATUSES];
    stat_t rejected[STATS_REJECTIONS];
    struct histogram times[STATS_TIMES];
    /* As it is now, gone when the worker is: */
    stat_t pool;     /* whether handlers are called by other threads than the loop's */
    stat_t spool_files, spool_bytes;
    stat_t connections[STATS_STATES];
    struct slow_request slow[STATS_SLOW];
};

static inline void stat_add(stat_t *stat, uint64_t count)
{
    atomic_store_explicit(stat, atomic_load_explicit(stat, memory_order_relaxed) + count, memory_order_relaxed);
}

static inline void stat_sub(stat_t *stat, uint64_t count)
{
    stat_add(stat, (uint64_t)0 - count);
}

static inline void stat_set(stat_t *stat, uint64_t value)
{
    atomic_store_explicit(stat, value, memory_order_relaxed);
}

static inline uint64_t stat_get(const stat_t *stat)
{
    return atomic_load_explicit((stat_t *)stat, memory_order_relaxed);
}

static inline unsigned histogram_bucket(uint64_t us)
{
    unsigned top;

    if (us < HISTOGRAM_SUBS)
        return (unsigned)us;
    top = 63 - (unsigned)__builtin_clzll(us);
    if (top > HISTOGRAM_TOP_BIT)
        return HISTOGRAM_BUCKETS - 1;
    return (top - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUBS +
           (unsigned)(us >> (top - HISTOGRAM_SUB_BITS) & (HISTOGRAM_SUBS - 1));
}

static inline void histogram_add(struct histogram *h, int64_t us)
{
    uint64_t value = us > 0 ? (uint64_t)us : 0; /* clocks of two processors may differ by a little */

    stat_add(&h->sum_us, value);
    stat_add(&h->counts[histogram_bucket(value)], 1);
}

/* The smallest value of a bucket; of HISTOGRAM_BUCKETS: where the last one ends. */
uint64_t histogram_low_us(unsigned bucket);
uint64_t histogram_count(const struct histogram *h);
/* How many values are below `us`, which must be where a bucket begins. */
uint64_t histogram_below(const struct histogram *h, uint64_t us);
/* The value that `per_mille` of all are below, to the width of a bucket; 0 if there are none. */
uint64_t histogram_quantile_us(const struct histogram *h, unsigned per_mille);

/* Adds the counters of `from`, not what is of the moment. */
void stats_add(struct stats *to, const struct stats *from);

/* Keeps the request if it is among the slowest. Returns what the next one must exceed for that, in the next second. */
int64_t stats_note_slow(struct stats *stats, const struct slow_request *slow);
/* Copies a row of slow. False: there is none, or it is being written. */
bool stats_read_slow(const struct stats *stats, int row, struct slow_request *slow);

#endif
