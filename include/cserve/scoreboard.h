/* SPDX-License-Identifier: MIT */
/*
 * What a worker is doing, where the master can read it even after the worker has died: the request line that
 * each thread's handler is at. Shared memory, one row a thread; only that thread writes it, and the master
 * reads it when the worker is gone.
 */
#ifndef CSERVE_SCOREBOARD_H
#define CSERVE_SCOREBOARD_H

#include <stdint.h>
#include <string.h>

#include "cserve/buf.h"
#include "cserve/str.h"

enum { SCORE_LINE_MAX = 120 };

/* Two cache lines, so that threads do not share one. */
struct score {
    uint32_t len; /* 0: the thread is in no handler */
    char line[SCORE_LINE_MAX];
    uint32_t unused;
};

struct scoreboard {
    struct score *rows; /* owned mapping; NULL if there is none */
    int count;
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

/* The thread of this row begins, or goes on with, the request of this line. */
static inline void score_begin(struct score *row, const char *line, size_t len)
{
    if (len > SCORE_LINE_MAX)
        len = SCORE_LINE_MAX;
    memcpy(row->line, line, len);
    row->len = (uint32_t)len;
}

static inline void score_end(struct score *row)
{
    row->len = 0;
}

#endif
