/* SPDX-License-Identifier: MIT */
/* What `cserve top` is made of: looks at a status listener (look.c), drawn (screen.c), again and again (top.c). */
#ifndef PROCESS_TOP_H
#define PROCESS_TOP_H

#include <stdbool.h>

#include "cserve/buf.h"
#include "cserve/json.h"

enum { LOOK_ERROR_MAX = 512 };

/* What /status.json said once. */
struct look {
    struct buf text; /* owned */
    struct str root; /* a view of it; empty: nothing is known */
};

void look_init(struct look *look);
void look_release(struct look *look);
/* Asks whoever listens at `address`, for a few seconds at most. 0; or -1 with a message in error[0..cap). */
int look_take(struct look *look, const char *address, char *error, size_t cap);

/* "now", "in_flight" */
struct str look_value(const struct look *look, const char *group, const char *name);
uint64_t look_u64(const struct look *look, const char *group, const char *name);
uint64_t look_ms(const struct look *look);
/* Whether `now` goes on from `before`: it is of the same master, and later. */
bool look_follows(const struct look *now, const struct look *before);
/* The sum of the numbers in an object. */
uint64_t look_sum(struct str object);
/* The worker of that process, or empty. */
struct str look_worker(const struct look *look, uint64_t pid);

/* Where it is shown, and what besides. */
struct screen {
    int width, height; /* 0: there is no end */
    bool live;         /* a terminal: the picture is drawn over the last one */
    bool colour;
    const char *trouble; /* why there is nothing newer; NULL: there is */
};

/* Appends the picture of `now`, with what has changed since `before`, which may know nothing. */
void screen_draw(struct buf *out, const struct screen *screen, const struct look *now, const struct look *before);

#endif
