/* SPDX-License-Identifier: MIT */
/* The stages of a worker's life, which with --preload are not all in one process. */
#ifndef PROCESS_WORKER_H
#define PROCESS_WORKER_H

#include "cserve/process.h"

/* Signals, privileges, limits, and the end with the master. 0, or -1 with the reason logged. */
int worker_prepare(const struct process_config *config, pid_t master);
/* Ends this process with `master`, its parent. 0, or -1 if that is gone already. */
int worker_tie(pid_t master, int timeout_ms);
/*
 * Starts Python and imports the application. NULL with the reason logged. The master, if `link` leads to it and is not -1,
 * is told of a failure, and with --reload of the files.
 */
struct handler *worker_load(const struct process_config *config, int link);
/* Serves until told to stop, then ends Python. Exit status. */
int worker_serve(const struct process_config *config, const struct assignment *assignment,
                 struct handler *handler);

#endif
