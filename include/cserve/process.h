/* SPDX-License-Identifier: MIT */
/*
 * Processes: the master owns the sockets and has no Python; the worker it forks runs the server.
 * A worker that dies is replaced; one that cannot start ends the program.
 */
#ifndef CSERVE_PROCESS_H
#define CSERVE_PROCESS_H

#include <sys/types.h>

#include "cserve/python.h"
#include "cserve/server.h"

struct process_config {
    const char *const *binds; /* addresses as address_parse takes them */
    size_t bind_count;
    int backlog;
    int graceful_timeout_ms;  /* from the signal to stop until what is still in flight is cut off */
    const char *chdir;        /* main changes to it before anything else; or NULL */
    struct server_config server;
    struct python_config python;
};

/* Exit statuses of cserve. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,   /* could not listen, a worker was cut off, or was lost for good */
    EXIT_USAGE = 2,    /* bad option or argument */
    EXIT_APP = 3,      /* the application does not load */
};

/*
 * Opens the listeners, starts the worker, prints the "Serving HTTP on" lines, supervises until stopped.
 * Exit status. In the worker, which is forked from it, this does not return.
 */
int master_run(const struct process_config *config);

/*
 * A worker's life: interpreter, application, server. Writes one byte to ready_fd once it can serve, and
 * stops when a byte comes back, on SIGTERM, or when `master` (its parent) ends. Exit status.
 */
int worker_run(const struct process_config *config, struct listener *listeners, size_t count, pid_t master,
               int ready_fd);

#endif
