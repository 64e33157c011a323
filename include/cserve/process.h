/* SPDX-License-Identifier: MIT */
/*
 * Processes: the master owns the sockets and has no Python; the workers it forks run the server.
 * A worker that dies is replaced; one that cannot start in the beginning ends the program.
 */
#ifndef CSERVE_PROCESS_H
#define CSERVE_PROCESS_H

#include <sys/types.h>

#include "cserve/python.h"
#include "cserve/server.h"

enum {
    WORKERS_MAX = 256,
    UMASK_INHERITED = 01000, /* of umask_bits: leave it as it is */
};

struct process_config {
    const char *const *binds; /* addresses as address_parse takes them */
    const char *const *bind_labels; /* where each was given, for messages; NULL: not by --bind */
    size_t bind_count;
    int backlog;
    int workers;              /* at most WORKERS_MAX; 0: as many as there are processors */
    int graceful_timeout_ms;  /* from the signal to stop until what is still in flight is cut off */
    uint64_t max_requests;    /* a worker that has begun so many is replaced, and so on; 0: never */
    uint64_t max_requests_jitter; /* up to so many more, by chance */
    int max_lifetime_ms;
    int max_memory_mb;        /* resident */
    int start_timeout_ms;     /* that a worker may take to load the application, once all have served; 0: no limit */
    bool reload;              /* replace the workers when a file changes that they have read */
    const char *const *reload_files; /* other files, and directories, for which they are replaced too */
    size_t reload_file_count;
    bool preload;             /* load the application once and fork workers from there */
    int drain_delay_ms;       /* from SIGTERM, while it is said that we go, until that is begun */
    const char *status;       /* address of the status listener; NULL: none */
    const char *status_label; /* where that was given, for messages */
    const char *statsd;       /* HOST:PORT or unix:///path; NULL: none */
    const char *statsd_label;
    const char *statsd_prefix;
    const char *statsd_tags;  /* of DogStatsD */
    const char *version;      /* of cserve */
    const char *pid_file;     /* NULL: none */
    const char *user;         /* who the application runs as, a name or number; NULL: whoever started it */
    const char *group;
    const char *user_label;   /* where each was given: "cserve.ini:3: user"; NULL if it was not */
    const char *group_label;
    int umask_bits;
    const char *chdir;        /* main changes to it before anything else; or NULL */
    const char *start_dir;    /* where cserve was started: a new binary starts there too */
    char *const *command;     /* what starts it again: an executable and its arguments, NULL at the end */
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
 * Opens the listeners, starts the workers, prints the "Serving HTTP on" lines, supervises until stopped.
 * Exit status. In a worker, which is forked from it, this does not return.
 *
 * `reread` reads the options again: a configuration that stays valid, or NULL with the reason logged.
 */
int master_run(const struct process_config *config, const struct process_config *(*reread)(void));

/*
 * Whether it could serve: parses the addresses, becomes the user, loads the application, and ends it. EXIT_OK
 * with a line on stdout, or EXIT_FAILED with the reason logged.
 */
int process_check(const struct process_config *config);

/* What a worker gets from its master. */
struct assignment {
    struct listener *listeners; /* closed when it stops */
    size_t count;
    pid_t master; /* its parent */
    int link;     /* a socket: see process/link.h */
    const struct scoreboard *board;
};

/*
 * A worker's life: interpreter, application, server, until it is told to stop or the master ends. Exit
 * status.
 */
int worker_run(const struct process_config *config, const struct assignment *assignment);

#endif
