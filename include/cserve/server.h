/* SPDX-License-Identifier: MIT */
/*
 * The server of one process: one event loop that accepts connections, reads requests, calls the
 * handler and sends its answers. Knows nothing of Python, nor of other processes.
 */
#ifndef CSERVE_SERVER_H
#define CSERVE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "cserve/cidr.h"
#include "cserve/forwarded.h"
#include "cserve/handler.h"
#include "cserve/listener.h"
#include "cserve/scoreboard.h"

/* Durations in milliseconds; 0 turns a timeout off. */
struct server_config {
    struct http_limits limits;
    int header_timeout_ms;     /* whole head, from its first byte */
    int body_timeout_ms;       /* in each such time the client must send body_rate bytes a second */
    int body_rate;             /* bytes a second; 0: any progress will do */
    int keep_alive_ms;         /* idle between requests; 0: no keep-alive */
    int write_timeout_ms;      /* without any progress of a response */
    int worker_connections;    /* open at once */
    int threads;               /* requests in the handler at once; 1: the loop's own thread alone */
    int timeout_ms;            /* for the handler to answer one request */
    int slow_request_ms;       /* of that, after which the error log says where it is */
    uint64_t body_buffer;      /* content up to this many bytes stays in memory */
    const char *access_log;    /* path, "-" for stdout, NULL for none */
    bool access_not_to_syslog; /* even if that is open (syslog.h) */
    const char *access_logformat; /* access_format.h; NULL: "combined" */
    const char *server_name;   /* value of the Server field; "" for none */
    bool timed;                /* the scoreboard tells how long requests take: each costs another look at the clock */
    bool show_requests;        /* print requests and response heads to stdout */
    struct cidr_list forwarded_allow; /* peers whose forwarded fields are believed */
    enum forwarded_kind forwarded_kind; /* which of them these peers set */
    bool proxy_protocol;       /* every connection begins with a PROXY header */
    struct cidr_list proxy_allow; /* peers that may send one */
    const char *const *static_maps; /* static_map.h: files that are served without the handler; borrowed */
    size_t static_count;
    int static_max_age;        /* seconds that clients may keep them; 0: nothing is said of it */
};

struct server;

/*
 * Makes a server for `count` listeners (borrowed; closed when it stops). NULL with an error logged.
 * `handler` is borrowed.
 */
struct server *server_new(const struct server_config *config, struct listener *listeners, size_t count,
                          struct handler *handler);

/* Runs until stopped. Returns 0 when every exchange was finished. */
int server_run(struct server *server);

/* Stop accepting, finish what is in flight, then server_run returns. From signal handlers and any thread. */
void server_stop(struct server *server);

/*
 * As server_stop, when other processes accept from the same sockets: who waits there is left to them, and
 * clients whose connections idle get longer to send a last request. From any thread.
 */
void server_drain(struct server *server);

/*
 * As server_drain, when there is new code: clients whose connections idle are not to get another answer of the old, so
 * these are closed at once.
 */
void server_yield(struct server *server);

/* Has server_run call `ready(arg)` on its thread whenever fd is readable: the master's pipe. */
int server_watch(struct server *server, int fd, void (*ready)(void *arg), void *arg);

/*
 * Has `stuck(arg)` called, once and on another thread, when a handler has not come back long after its time
 * was over: this process should be replaced.
 */
void server_on_stuck(struct server *server, void (*stuck)(void *arg), void *arg);

/* Has `enough(arg)` called, once and on the loop's thread, when `count` (at least 1) requests have begun. */
void server_on_count(struct server *server, uint64_t count, void (*enough)(void *arg), void *arg);

/* Rows that a scoreboard needs: one for each thread, and the last for the one that watches deadlines. */
int server_rows(const struct server_config *config);

/*
 * What the numbers of stats->connections and stats->rejected are of: "idle", "bad-host". NULL behind the
 * last.
 */
const char *server_state_name(int state);
const char *server_rejection_name(int rejection);
/*
 * Requests that the application has, or that wait for a thread to call it; and (*held) those that wait in
 * between for their clients to read.
 */
uint64_t server_in_flight(const struct stats *stats, uint64_t *held);

/* Shows in `board` (borrowed), which has server_rows of them, what the handlers are at. Before server_run. */
void server_show_in(struct server *server, const struct scoreboard *board);

/* Opens the access log anew: it was renamed. On the loop's thread. */
void server_reopen_log(struct server *server);

void server_free(struct server *server);

#endif
