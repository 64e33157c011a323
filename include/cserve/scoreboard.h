/* SPDX-License-Identifier: MIT */
/*
 * What a worker is doing and has done, where the master can read it even after the worker has died: the request
 * line that each thread's handler is at, and what is counted (stats.h). Shared memory, one row a thread, which
 * only that thread writes; the master reads at any time.
 */
#ifndef CSERVE_SCOREBOARD_H
#define CSERVE_SCOREBOARD_H

#include <stdint.h>
#include <string.h>

#include "cserve/buf.h"
#include "cserve/stats.h"
#include "cserve/str.h"

enum { SCORE_LINE_MAX = 120 };

/* Three cache lines, so that threads do not share one. */
struct score {
    uint32_t len; /* 0: the thread is in no handler */
    char line[SCORE_LINE_MAX];
    _Atomic uint32_t calls; /* so that a reader can tell whether the line has changed meanwhile */
    _Atomic int64_t since_ms; /* when the call began, on the monotonic clock */
    stat_t bytes_out;
    stat_t gil_waits, gil_wait_us; /* for what handler_ops.enter takes */
    stat_t expired; /* the monitor's: requests that took longer than they may */
    uint64_t unused[3];
};

struct scoreboard {
    struct stats *stats; /* owned mapping, with the rows behind it; NULL if there is none */
    struct score *rows;
    int count;
};

/* What a thread is at, as another process saw it. */
struct score_seen {
    int64_t since_ms;
    size_t len;
    char line[SCORE_LINE_MAX];
};

/* Makes `count` rows. Returns a descriptor of them for another process, or -1 with errno. */
int scoreboard_open(struct scoreboard *b, int count);
/* Maps the rows behind `fd`, which stays the caller's. 0, or -1 with errno. */
int scoreboard_map(struct scoreboard *b, int fd, int count);
void scoreboard_close(struct scoreboard *b);

/*
 * Appends up to `most` of the lines, quoted and escaped, separated by commas. Returns how many there are in
 * all.
 */
int scoreboard_describe(const struct scoreboard *b, struct buf *out, int most);

/* Whether the thread of row i is in a handler, and then at what. */
bool scoreboard_see(const struct scoreboard *b, int i, struct score_seen *seen);

/* The thread of this row begins, or goes on with, the request of this line. */
static inline void score_begin(struct score *row, const char *line, size_t len, int64_t now_ms)
{
    uint32_t calls = atomic_load_explicit(&row->calls, memory_order_relaxed) + 1;

    if (len > SCORE_LINE_MAX)
        len = SCORE_LINE_MAX;
    atomic_store_explicit(&row->calls, calls, memory_order_relaxed);
    atomic_store_explicit(&row->since_ms, now_ms, memory_order_relaxed);
    memcpy(row->line, line, len);
    __atomic_store_n(&row->len, (uint32_t)len, __ATOMIC_RELEASE);
}

static inline void score_end(struct score *row)
{
    __atomic_store_n(&row->len, 0, __ATOMIC_RELAXED);
}

#endif
