/* SPDX-License-Identifier: MIT */
/*
 * What the files of server/ share: the loop, its connections and the request that a connection is
 * busy with. Everything here belongs to the loop's thread.
 *
 * Reading order: server.c (the loop), acceptor.c, connection.c (states), request.c (head, content,
 * handler), exchange.c (what the handler calls); spool.c, access_log.c and wire_trace.c at the side.
 */
#ifndef CSERVE_SERVER_INTERNAL_H
#define CSERVE_SERVER_INTERNAL_H

#include "cserve/address.h"
#include "cserve/body.h"
#include "cserve/handler.h"
#include "cserve/mem.h"
#include "cserve/poller.h"
#include "cserve/sendq.h"
#include "cserve/server.h"
#include "cserve/stream.h"
#include "cserve/timers.h"

#include "access_log.h"
#include "spool.h"

struct connection;

enum {
    READ_ROOM = 16 * 1024,     /* first size of a connection's input */
    SCRATCH_ROOM = 256 * 1024, /* one read of content */
    FULL_BYTES = 64 * 1024,    /* unsent, from which a handler is held */
    COPY_BELOW = 16 * 1024,    /* content smaller than this is copied rather than borrowed */
};

/* Whatever is polled begins with this, so that an event finds its function. */
struct source {
    void (*ready)(struct source *source, uint32_t ready);
};

/* The kinds of waiting that can time out; server->timeouts has a queue for each. */
enum timeout {
    TIMEOUT_NONE,
    TIMEOUT_HEAD,
    TIMEOUT_CONTENT,
    TIMEOUT_KEEP_ALIVE,
    TIMEOUT_WRITE,
    TIMEOUT_LINGER,
    TIMEOUT_DRAIN,
    TIMEOUT_COUNT,
};

struct acceptor {
    struct source source;
    struct server *server;
    struct listener *listener; /* borrowed */
    bool polled;
};

struct watch {
    struct source source;
    void (*ready)(void *arg);
    void *arg;
};

struct server {
    struct server_config config;
    struct handler *handler; /* borrowed */
    struct poller poller;
    struct timer_queue timeouts[TIMEOUT_COUNT];
    int64_t now_ms; /* of the current batch of events */

    struct acceptor *acceptors;
    size_t acceptor_count;
    int64_t accept_again_ms; /* accepting is paused until then; 0: it is not */
    bool accept_failed;      /* and that was logged */
    struct connection *connections; /* all open ones, doubly linked */
    int connection_count;

    struct watch wake; /* the eventfd of server_stop */
    int wake_fd;
    struct watch outside; /* server_watch */
    bool stop_asked;
    bool stopping;

    struct mem_pool connection_pool;
    struct mem_pool request_pool;
    struct mem_pool input_pool;
    struct sendq_pool sendq_pool;
    char *scratch;

    struct access_log log;
    struct str server_field; /* value of Server */
    int64_t date_at;
    char date[HTTP_DATE_LEN];
};

/* A row of the table of states in connection.c: all that is particular to one. */
struct connection_state {
    const char *name;
    uint32_t wants;       /* events */
    enum timeout timeout; /* started on entering */
    void (*ready)(struct connection *c);
    void (*expired)(struct connection *c);
};

enum connection_is {
    CONNECTION_PROXY,   /* accepted, the PROXY header is not all there */
    CONNECTION_NEW,     /* accepted, not a byte yet */
    CONNECTION_IDLE,    /* between two requests */
    CONNECTION_HEAD,    /* some of a head is there */
    CONNECTION_CONTENT, /* the head is there, the content not yet */
    CONNECTION_HANDLER, /* the handler runs */
    CONNECTION_HELD,    /* the handler waits for the client to read */
    CONNECTION_SEND,    /* the answer is made and not all sent */
    CONNECTION_LINGER,  /* the answer is sent and the client may still be sending */
    CONNECTION_STATES,
    /* Ends, as `then` of a connection alone: */
    CONNECTION_CLOSED = CONNECTION_STATES,
    CONNECTION_RESET,   /* so that the client can tell that something is missing */
};

struct connection {
    struct source source;
    struct stream stream;
    struct server *server;
    struct connection *prev, *next;
    struct timer timer;
    enum connection_is is;
    enum connection_is then;  /* where it goes once everything is sent */
    bool may_proxy;           /* the peer is allowed to send a PROXY header */
    uint32_t armed;           /* events that the poller watches for */
    struct buf in;            /* received; its room is from input_pool, or malloc'd if it outgrew that; none when idle */
    size_t in_at;             /* where in `in` the current request begins */
    struct sendq out;
    struct request *request;  /* NULL between requests */
    struct peer peer;         /* texts below */
    char remote_host[ADDRESS_HOST_MAX], remote_port[6];
    char local_host[ADDRESS_HOST_MAX], local_port[6];
};

/* A request from the first byte of its head until its answer is sent. */
struct request {
    struct exchange exchange; /* first: what the handler gets is the request */
    struct connection *connection;
    struct http_body body;
    struct spool spool;
    struct peer peer;         /* used if a trusted proxy spoke for another client */
    size_t end;               /* offset in connection->in behind the request, once it is complete */
    uint64_t window_received; /* content when the current window of the content timeout began */
    uint64_t content_sent;    /* bytes of response content queued */
    const char *outcome;      /* how it ended, for the access log; NULL: ok */
    bool parsed;              /* the head is complete */
    bool started;             /* the handler has it */
    bool committed;           /* the response head is final */
    bool finished;            /* the response is complete, or given up */
    bool cut;                 /* the response was given up behind its head */
    bool gone;                /* the client is, as seen while the handler ran */
    int gone_because;         /* errno: EIO when a file was shorter than promised, ETIMEDOUT */
    bool head_request;        /* HEAD: no content will be sent */
    bool reject;              /* refused: the connection ends with the answer */
    struct http_field fields[]; /* config.limits.fields of them */
};

static inline struct request *request_of(struct exchange *x)
{
    return (struct request *)x;
}

/* server.c */
/* The value of Date, now. */
struct str server_date(struct server *s);
/* A connection was closed: there may be room for another. */
void server_closed_one(struct server *s);

/* acceptor.c */
void acceptors_init(struct server *s, struct listener *listeners, size_t count);
void acceptors_start(struct server *s);
/* Takes what the kernel has already accepted for us, then stops listening. */
void acceptors_stop(struct server *s);
/* Stops accepting until a connection closes or some time has passed. */
void acceptors_pause(struct server *s);
void acceptors_resume(struct server *s);

/* connection.c. Where a function returns bool, false means that *c may be gone. */
void connection_open(struct server *s, int fd, const struct address *remote, const struct listener *listener);
/* Closes at once; a request on it is cancelled and logged with `outcome`. */
void connection_close(struct connection *c, const char *outcome);
/* Waits for what the row of `is` says. */
void connection_enter(struct connection *c, enum connection_is is);
/*
 * Sends what has gathered, now or when the client has read, then goes to `then`. True when that is
 * reading on and there are bytes to go on with: call request_serve.
 */
bool connection_send(struct connection *c, enum connection_is then);
/* The timer of a connection has run out. */
void connection_expired(struct timer *t);
/* The server is stopping: ends what is idle, lets the others finish. */
void connection_stop(struct connection *c);

/* exchange.c */
/* Queues a whole answer of the server's own: a short text. The head must not be committed. */
void exchange_answer(struct request *r, int status, const char *text);

/* request.c */
/* Serves all that is complete in c->in, then waits for what the connection needs next. */
void request_serve(struct connection *c);
void request_read_content(struct connection *c); /* more of it has come */
void request_resume(struct connection *c);       /* the client has read */
/* Answers with an error of the server's own, also before a head has come; the connection closes behind it. */
void request_reject(struct connection *c, int status, const char *text, const char *outcome);
/* The answer is sent, or (with an outcome) never will be: logs the request, gives everything back. */
void request_end(struct connection *c, const char *outcome);

#endif
