/* SPDX-License-Identifier: MIT */
/*
 * What the files of server/ share: the loop, its connections and the request that a connection is
 * busy with.
 *
 * Reading order: server.c (the loop), acceptor.c, connection.c (states), request.c (head, content,
 * handler), exchange.c (what the handler calls), threads.c (whose the loop is), monitor.c (slow
 * handlers); static_files.c (answers without a handler), counts.c, spool.c, access_log.c and wire_trace.c at
 * the side.
 *
 * Ownership: the loop belongs to one thread at a time, and with it everything here, but for a connection
 * that is `away`: its stream, output and request belong to the thread that runs its handler,
 * until that thread hands it back. What the exchange_ functions touch is therefore the connection's
 * own, or the calling thread's, or constant.
 */
#ifndef CSERVE_SERVER_INTERNAL_H
#define CSERVE_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "cserve/address.h"
#include "cserve/body.h"
#include "cserve/handler.h"
#include "cserve/mem.h"
#include "cserve/memo.h"
#include "cserve/poller.h"
#include "cserve/sendq.h"
#include "cserve/server.h"
#include "cserve/stream.h"
#include "cserve/timers.h"

#include "access_log.h"
#include "spool.h"
#include "static_files.h"

struct connection;

enum {
    READ_ROOM = 16 * 1024,     /* first size of a connection's input */
    SCRATCH_ROOM = 256 * 1024, /* one read of content */
    FULL_BYTES = 64 * 1024,    /* unsent, from which a handler is held */
    LEAVING_PER_WAIT = 64,     /* hang-ups that are handled behind one wait */
    RETIRED_MAX = 16,          /* pipelined requests of which the log waits for their answers to be sent */
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

/* What a request does besides being served; server->extras. Without any it costs one look at that here and there. */
enum extra {
    EXTRA_TRACE = 1, /* config.show_requests */
    EXTRA_LOG = 2,   /* the access log */
    EXTRA_TIMES = 4, /* the log has durations, or somebody watches */
    EXTRA_STATIC = 8, /* some are answered with files */
};

/* What a handler is called for. */
enum action { ACTION_START, ACTION_RESUME, ACTION_CANCEL };

/* A thread that runs the loop, or a handler, or is parked; threads.c. Pools and caches are its own. */
struct thread {
    struct server *server;
    pthread_t id;
    struct handler *handler;      /* NULL until first needed; the server's own for the first thread */
    struct sendq_pool sendq_pool;
    struct score *score;          /* borrowed, the thread's own row */
    bool timed;                   /* EXTRA_TIMES */
    time_t lines_at;
    struct buf lines_text;
    struct http_response_lines lines; /* in lines_text, right in the second lines_at */
    bool lost;                    /* the loop was taken over while this thread was in a handler */
    _Atomic int64_t since_ms;     /* when it entered the handler; 0: it is in none */
    int64_t expired_ms;           /* the monitor's: the value of since_ms that was too long ago */
    int64_t slow_ms;              /* the same, of a call that was looked at as slow */
    /* Guarded by server->lock: */
    pthread_cond_t wake;
    struct thread *next_parked;
    bool is_parked;
    bool promoted;                /* the loop is this thread's now */
    bool called;                  /* to look for a queued request */
    bool began_last;              /* of the jobs that it has chosen, the latest was a new one */
    struct connection *jobs, *last_job; /* requests that began on this thread, linked by next_job */
};

/* The calling thread; NULL on a thread that is none of the server's. */
extern _Thread_local struct thread *thread_current;

struct acceptor {
    struct source source;
    struct server *server;
    struct listener *listener; /* borrowed */
    bool polled;
};

#define MONITOR_TICK_US 1000

/* The thread that takes the loop away from a handler that is slow, and ends one that is too slow; monitor.c. */
struct monitor {
    struct thread thread;
    bool running;
    atomic_bool parked;  /* it waits for the next handler call, or a deadline */
    pthread_cond_t wake; /* with server->lock, on the monotonic clock */
    uint_fast64_t last_turn;
    int quiet;           /* ticks since turn changed */
    bool stuck;          /* a handler does not come back: that was reported */
    timer_t watchdog;    /* while it is watched */
    bool watched;
    bool over;           /* it looks at no handler any more; with server->lock */
    pthread_cond_t ended;
};

struct watch {
    struct source source;
    void (*ready)(void *arg);
    void *arg;
};

struct server {
    struct server_config config;
    struct handler *handler; /* borrowed */
    struct static_files *files; /* owned; NULL: none are served */
    unsigned extras; /* enum extra */
    struct poller poller;
    struct timer_queue timeouts[TIMEOUT_COUNT];
    int64_t now_ms; /* when the current batch of events came, or its last handler returned */
    int64_t waited_ms; /* when the last wait ended */

    struct acceptor *acceptors;
    size_t acceptor_count;
    int64_t accept_again_ms; /* accepting is paused until then; 0: it is not */
    int64_t complained_ms;   /* when it was last logged that accepting failed; 0: never */
    struct connection *connections; /* all open ones, doubly linked */
    int connection_count;
    uint64_t peers; /* told apart so far: the latest peer.id */
    uint64_t memos; /* made so far: the latest fields_id */

    struct watch wake; /* the eventfd of server_wake */
    int wake_fd;
    struct watch outside; /* server_watch */
    atomic_bool stop_asked;
    bool yields;             /* server_yield: idle connections are closed at once; the loop's */
    atomic_bool leave_queue; /* server_drain: others accept who waits there */
    uint64_t requests_left; /* until `enough` is called; 0: never */
    void (*enough)(void *arg);
    void *enough_arg;
    atomic_bool stopping; /* written by the loop, read by handlers' threads */
    int64_t seen_ms;        /* whoever was ready then has had an event since; 0: nothing new is known of that */
    int64_t round_ms;       /* when the current round of full waits began */
    int round_left;         /* events until it has shown everybody */
    int leaving;            /* hang-ups among the current events */
    int event_at, event_count; /* of the batch that is being handled; here, so that it can change hands */

    struct thread *threads; /* config.threads + 1 of them, or 1; the first is server_run's caller */
    int thread_count;
    int started;            /* of them, besides the first */
    struct connection *running; /* whose handler the loop's thread is in */
    /* Counts entries and exits of handlers by the loop's thread: odd while it is inside. Whoever makes an odd value even
     * with a compare-and-swap owns the loop: that thread on its way out, or the monitor. */
    atomic_uint_fast64_t turn;
    struct monitor monitor;
    void (*on_stuck)(void *arg); /* server_on_stuck; may be NULL */
    void *stuck_arg;
    bool pool;              /* handlers are called by other threads than the loop's */
    int away_count;         /* connections that are away */
    int64_t window_ends_ms; /* when to decide about `pool` again */
    int takeovers;          /* in this window */
    bool busy;              /* a wait returned many events, and none since has found nothing: more will come soon */
    bool handler_called;    /* since the latest wait */
    _Atomic int64_t contended_until_ms; /* the GIL was long in coming lately: who lets go of it will wait as long again */
    bool failed;

    pthread_mutex_t lock;   /* guards what follows, and parts of struct thread */
    struct thread *parked;
    bool caller_woken;      /* a thread was called and has not yet taken a request */
    bool orphaned;          /* the loop was taken away and nobody was parked to have it */
    bool spare_wanted;      /* the loop's thread has calls of its own to make: one thread is to stay parked */
    bool quit;
    bool asleep;            /* the loop waits for events, or is about to */
    struct connection *jobs, *last_job;         /* requests for any thread */
    struct connection *returned, *last_returned; /* connections that come back to the loop */
    int slow_jobs;          /* in this window: handlers that took longer than a tick */

    struct mem_pool connection_pool;
    struct mem_pool request_pool;
    struct request *blank_request; /* owned: what a request begins as */
    struct mem_pool input_pool;
    char *scratch;

    struct access_log log;

    struct stats *stats;    /* borrowed: what is counted, by whoever owns the loop */
    int64_t slow_floor_us;  /* a request must take longer to be among the slowest */
    int64_t slow_again_ms;  /* when that is to be found out again */
    struct { /* owned: where it all goes while nobody wants to know */
        struct stats *stats;
        struct score *scores;
    } unseen;
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
    bool away;                /* with a handler's thread, see above */
    bool unpolled;            /* it had events while away: the poller has it no more */
    bool slow;                /* its latest handler call took longer than a tick: the next one may, too */
    enum action action;       /* what it is away for */
    struct connection *next_job;
    uint8_t retired_count;
    bool may_proxy;           /* the peer is allowed to send a PROXY header */
    uint32_t armed;           /* events that the poller watches for */
    int unread;               /* bytes sent that the client had not taken when connection_was_read last looked */
    struct buf in;            /* received; its room is from input_pool, or malloc'd if it outgrew that; none when idle */
    size_t in_at;             /* where in `in` the current request begins */
    struct sendq out;
    uint64_t sent;            /* bytes of `out`, ever */
    struct request *request;  /* NULL between requests */
    struct request *retired;  /* over, but not logged before their answers are sent; the first first, linked by next */
    struct http_memo *memo;   /* owned: the fields of an earlier request; NULL: none so far, or too many */
    size_t memo_room;
    unsigned unlike; /* heads in a row whose fields were not the memo's */
    struct peer peer;         /* texts below */
    char remote_host[ADDRESS_HOST_MAX], remote_port[6];
    char local_host[ADDRESS_HOST_MAX], local_port[6];
};

/* A request from the first byte of its head until its answer is sent. */
struct request {
    struct exchange exchange; /* first: what the handler gets is the request */
    struct connection *connection;
    struct spool spool;
    size_t end;               /* offset in connection->in behind the request, once it is complete */
    uint64_t window_received; /* content when the current window of the content timeout began */
    uint64_t content_sent;    /* bytes of response content queued */
    const char *outcome;      /* how it ended, for the access log; NULL: ok */
    struct thread *thread;    /* whose handler has it */
    enum handler_verdict verdict; /* of the latest call */
    int64_t used_ms;          /* in earlier calls of the handler: all count for its deadline */
    int64_t begun_us;         /* EXTRA_TIMES: when its first byte was there */
    int gone_because;         /* errno: EIO: a file was shorter than promised; ETIMEDOUT: it did not read; ETIME: the handler's
                                 time was over */
    bool parsed;              /* the head is complete */
    bool started;             /* the handler has it */
    bool committed;           /* the response head is final */
    bool finished;            /* the response is complete, or given up */
    bool cut;                 /* the response was given up behind its head */
    bool gone;                /* the client is, as seen while the handler ran */
    bool head_request;        /* HEAD: no content will be sent */
    bool reject;              /* refused: the connection ends with the answer */
    bool counted;             /* it is in server->stats */
    bool reported;            /* the monitor's: it is slow, and that was said */
    bool head_shown;          /* EXTRA_TRACE */
    /* What follows is set before it is used, so no request begins with it: */
    struct http_body body;
    struct peer peer;         /* used if a trusted proxy spoke for another client */
    int64_t complete_us, called_us, entered_us, left_us, app_us; /* EXTRA_TIMES: all of it was there, the handler was
                                 called first, and last; returned; time in it */
    uint64_t answer_at, answer_end; /* EXTRA_LOG: where in all that the connection ever sends its answer is */
    uint64_t content_shown;   /* EXTRA_TRACE: bytes of it, with their framing, that have been shown or passed over */
    size_t begins;            /* retired: offset in connection->in */
    struct request *next;     /* retired after it */
    struct http_field fields[]; /* config.limits.fields of them, and then a kept_field for each that the log wants */
};

static inline struct kept_field *request_kept(struct request *r)
{
    return (struct kept_field *)(r->fields + r->connection->server->config.limits.fields);
}

static inline struct request *request_of(struct exchange *x)
{
    return (struct request *)x;
}

/* server.c */
/* Handles events until the loop is lost, or the server has stopped. On the thread that owns the loop. */
void server_loop(struct server *s);
/* Ends the loop's wait. On any thread, and in signal handlers. */
void server_wake(struct server *s);
/* A connection was closed: there may be room for another. */
void server_closed_one(struct server *s);

/* threads.c */
void threads_init(struct server *s);
void threads_release(struct server *s);
/* Runs the server on this thread and the others until it has stopped. 0, or -1 with the reason logged. */
int threads_run(struct server *s);
/* The server has stopped: all threads end. */
void threads_quit(struct server *s);
/*
 * Has the handler do c->action: here and now, or on another thread. True if it was done and the loop is
 * still this thread's: go on with request_called. False: it is under way, and c not to be touched.
 */
bool threads_call(struct connection *c);
/*
 * The job that a thread is to do next: in turn one of those that began on it, and a new one, so that neither kind starves
 * the other. NULL: none. Under the lock.
 */
struct connection *threads_choose_job(struct thread *me);
/* Gives the connections that came back to request_returned. */
void threads_take_returned(struct server *s);
/* Whether the loop may wait: nothing has come back. From here on, what comes back wakes it. */
bool threads_sleep(struct server *s);
/* Chooses who calls handlers from now on, by how slow they were. */
void threads_choose_mode(struct server *s);
/* The value of Date, now. */
struct http_response_lines thread_lines(void);

/* The loop was taken from a handler: gives it to a thread that is free. On the monitor's thread. */
void threads_promote(struct server *s);

/* monitor.c */
void monitor_init(struct server *s);
void monitor_release(struct server *s);
/* Starts it if there is anything to watch. 0, or an errno. */
int monitor_start(struct server *s);
void monitor_join(struct server *s);
/* Waits until no handler is looked at any more, which then may go. On any thread. */
void monitor_await_end(struct server *s);
/* A handler is called and the monitor is parked. */
void monitor_wake(struct server *s);

/* counts.c: what is counted for whoever watches. */
void counts_init(struct server *s);
void counts_release(struct server *s);
/* The answer is made, or never will be. Once for each request. */
void counts_request(struct request *r);
void counts_rejection(struct server *s, const char *outcome);
static inline void counts_timeout(struct server *s, enum stats_timeout timeout)
{
    stat_add(&s->stats->timeouts[timeout], 1);
}
/* The content of a request went into a file, or grew there; the file is closed. */
void counts_spool(struct server *s, const struct spool *spool, uint64_t before, bool was_file);
void counts_unspool(struct server *s, const struct spool *spool);
/* A connection is no longer in one state but in another; CONNECTION_STATES stands for none. */
static inline void counts_state(struct server *s, enum connection_is from, enum connection_is to)
{
    stat_sub(&s->stats->connections[from], 1);
    stat_add(&s->stats->connections[to], 1);
}

/* acceptor.c */
void acceptors_init(struct server *s, struct listener *listeners, size_t count);
void acceptors_start(struct server *s);
/* Takes what the kernel has already accepted for us, then stops listening. */
void acceptors_stop(struct server *s);
/* Stops accepting until a connection closes or some time has passed. */
void acceptors_pause(struct server *s);
void acceptors_resume(struct server *s);

/* connection.c. Where a function returns bool, false means that *c may be gone. */
/* Takes over *stream, whose bytes come from `remote`. */
void connection_open(struct server *s, const struct stream *stream, const struct address *remote,
                     const struct listener *listener);
/* Closes at once; a request on it is cancelled and logged with `outcome`. */
void connection_close(struct connection *c, const char *outcome);
/* Waits for what the row of `is` says. */
void connection_enter(struct connection *c, enum connection_is is);
/* Whether the client has taken some of what was sent since this was last asked, or since it began to wait for it. */
bool connection_was_read(struct connection *c);
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
/* As exchange_sendfile of a file that was `changed` last then, and must not be before it is sent. */
enum exchange_result exchange_send_unchanged(struct exchange *x, int fd, off_t offset, uint64_t len,
                                             const struct timespec *changed);
/* What broke the send queue, for the access log; `reason` is errno. */
const char *exchange_broken_outcome(int reason);
/* Queues a whole answer of the server's own: a short text. The head must not be committed. */
void exchange_answer(struct request *r, int status, const char *text);
/*
 * The time of a handler is over: the client gets 504, or the end of the connection if the head was sent already. From
 * then on the handler finds its client gone. On the monitor's thread, while the handler cannot go on.
 */
void exchange_expire(struct request *r);

/* request.c */
/* What a request begins as; free() it. */
struct request *request_blank_new(const struct server *s);
/* Serves all that is complete in c->in, then waits for what the connection needs next. */
void request_serve(struct connection *c);
void request_read_content(struct connection *c); /* more of it has come */
void request_resume(struct connection *c);       /* the client has read */
void request_cancel(struct connection *c);       /* the client is gone while the handler was held */
void request_returned(struct connection *c);     /* the handler has run on another thread */
/* Answers with an error of the server's own, also before a head has come; the connection closes behind it. */
void request_reject(struct connection *c, int status, const char *text, const char *outcome);
/* Logs those that were over before, as far as their answers are sent; `ends`: also the others, which never will be. */
void request_log_retired(struct connection *c, bool ends);
/* The answer is sent, or (with an outcome) never will be: logs the request, gives everything back. */
void request_end(struct connection *c, const char *outcome);

#endif
