/* SPDX-License-Identifier: MIT */
/*
 * The template process of --preload: it has loaded the application and forks workers on command, so that the
 * master stays without Python. Its workers are the master's children all the same.
 */
#ifndef PROCESS_PRELOAD_H
#define PROCESS_PRELOAD_H

#include "process_internal.h"

/* Whether a worker of the current generation can be started now. */
bool preload_may_fork(const struct master *m);
/* Has the template fork `c`, whose pid it will report. 0, or -1 with errno. */
int preload_fork(struct master *m, struct child *c, int link, int board);
/* Starts a template if one is needed. */
void preload_tend(struct master *m);
int64_t preload_due(const struct master *m);
/* Takes what templates have to say. */
void preload_hear(struct master *m);
/* A child that is no worker has ended: maybe a template. */
void preload_ended(struct master *m, pid_t pid, int status);
void preload_order(struct master *m, enum order order);
void preload_stop(struct master *m);
/* In a forked process: closes what is the master's. */
void preload_forget(struct master *m);

#endif
