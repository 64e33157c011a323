/* SPDX-License-Identifier: MIT */
/*
 * Where server/ and python/ meet. The server hands a complete request to a handler; the handler
 * answers through the exchange_ functions. Neither includes anything else of the other.
 *
 * The life of an exchange: the server reads head and content, calls `start`, then `resume` as
 * often as the handler returned HANDLER_WAIT, or `cancel` when the client is gone in between. After
 * HANDLER_DONE or cancel the handler keeps no pointer into the exchange.
 */
#ifndef CSERVE_HANDLER_H
#define CSERVE_HANDLER_H

#include <stdbool.h>
#include <stdint.h>

#include "cserve/head.h"
#include "cserve/response.h"
#include "cserve/sendq.h"
#include "cserve/str.h"

/* Both ends of a connection as environ shows them. Texts live as long as the connection. */
struct peer {
    uint64_t id;            /* peers of the same id, unless it is 0, have the same texts: so they need no comparing */
    struct str remote_addr; /* "127.0.0.1", "::1"; "" over a unix socket */
    struct str remote_port; /* digits; "" over a unix socket */
    struct str server_name; /* address that the client connected to; "localhost" over a unix socket */
    struct str server_port; /* digits; "80" over a unix socket */
    struct str scheme;      /* "http" or "https" */
};

/* The request's content, complete and without framing. */
struct content {
    const char *bytes; /* NULL if it is in a file */
    int fd;            /* an unlinked temporary file, read with pread from 0; else -1 */
    uint64_t len;
    bool chunked;      /* came without Content-Length */
};

/* One request and its answer. The fields here are the handler's to read, `state` to write. */
struct exchange {
    const char *raw;       /* the head's bytes: what head.fields' offsets refer to */
    struct http_head head;
    struct content content;
    const struct peer *peer;
    struct http_response response;
    void *state;           /* the handler's; NULL when start is called */
};

enum exchange_result {
    EXCHANGE_OK,
    EXCHANGE_EXCESS, /* more than the promised Content-Length: what is beyond it was not queued */
    EXCHANGE_SHORT,  /* less than the promised Content-Length: the connection will close */
    EXCHANGE_GONE,   /* the client is gone: end the exchange */
};

/*
 * Begins the response head with "ddd reason"; what an earlier call wrote is dropped. Not after
 * exchange_commit. The head stays provisional until exchange_commit.
 */
enum http_field_verdict exchange_status(struct exchange *x, struct str status);
enum http_field_verdict exchange_field(struct exchange *x, struct str name, struct str value);

/* A head as it was given, to be given again. */
struct exchange_head {
    struct http_response response;
    size_t len;
    char bytes[256];
};

/* Copies the head so far. False if it is too long, or the client gone. */
bool exchange_keep_head(const struct exchange *x, struct exchange_head *head);

/* As the calls of exchange_status and exchange_field that `head` was kept of. */
void exchange_give_head(struct exchange *x, const struct exchange_head *head);

/* Whether the head is final: it may have been sent. */
bool exchange_is_committed(const struct exchange *x);

/* Makes the head final. `total`: length of the whole content if known, else -1. Needs exchange_status. */
void exchange_commit(struct exchange *x, int64_t total);

/*
 * Queues content behind the committed head. A large run is not copied if `owner` is given:
 * owner.release(owner.arg) is then called once, when the bytes are no longer needed, maybe before this
 * returns. With owner NULL, or for a small run, the bytes are copied and release is called at once.
 */
enum exchange_result exchange_write(struct exchange *x, struct str bytes, const struct sendq_owner *owner);

/*
 * Queues len bytes of a file from offset on, behind the committed head. Takes ownership of fd. At most
 * what Content-Length has left is sent; EXCHANGE_EXCESS says that there was more.
 */
enum exchange_result exchange_sendfile(struct exchange *x, int fd, off_t offset, uint64_t len);

/* Sends now what the client takes. EXCHANGE_OK or EXCHANGE_GONE. */
enum exchange_result exchange_flush(struct exchange *x);

/* Whether so much is unsent that the handler should stop producing: return HANDLER_WAIT, or exchange_drain. */
bool exchange_is_full(const struct exchange *x);

/*
 * Blocks this thread until exchange_is_full no longer holds: for the write() callable alone. At
 * most the write timeout. EXCHANGE_OK or EXCHANGE_GONE. Call it without the GIL.
 */
enum exchange_result exchange_drain(struct exchange *x);

/* Ends an exchange_drain that another thread is in: it returns EXCHANGE_GONE. */
void exchange_abort(struct exchange *x);

/* Whether the client is known to be gone. */
bool exchange_is_gone(const struct exchange *x);

/*
 * Asks the system whether the client has left. TCP tells no difference between a client that closed its connection and one
 * that will only send no more, and nearly all are the former, so both have; over a unix socket the latter has not. Such a
 * client gets its answer in any case.
 */
bool exchange_has_left(const struct exchange *x);

/* The content is complete. EXCHANGE_OK, EXCHANGE_SHORT or EXCHANGE_GONE. Needs exchange_commit. */
enum exchange_result exchange_finish(struct exchange *x);

/*
 * The application failed: answers with `status` (500) and a plain page if the head is not
 * committed; else the connection is cut so that the client can tell. `reason` is a word or two for
 * the access log, a literal.
 */
void exchange_fail(struct exchange *x, int status, const char *reason);

enum handler_verdict {
    HANDLER_DONE, /* exchange_finish or exchange_fail was called, or the client is gone */
    HANDLER_WAIT, /* call resume when no longer full */
};

struct handler;
struct sighting;

struct handler_ops {
    enum handler_verdict (*start)(struct handler *h, struct exchange *x);
    enum handler_verdict (*resume)(struct handler *h, struct exchange *x);
    /* The client went away (or the server is stopping at once) while the handler waited. */
    void (*cancel)(struct handler *h, struct exchange *x);
    /* The thread is about to block: let go of what other threads need (the GIL). Cheap when there is nothing. */
    void (*leave)(struct handler *h);
    /*
     * Takes it, if this thread has not got it: what comes next will need it. How many microseconds that took, -1 if there
     * was nothing to take.
     */
    int64_t (*enter)(struct handler *h);
    /*
     * On another thread than that of `h`, whose own handler was entered: keeps the call that the thread of `h` is in from
     * ending, until let_go. The call's exchange; NULL if it is in none.
     */
    struct exchange *(*hold)(struct handler *h);
    void (*let_go)(struct handler *h);
    /*
     * What is to be said of the call that is held: that it has taken `age_ms`, `verdict` (a literal, such as " so far") and
     * where it is. NULL if it is over after all. `report` logs and frees it, when the call was let go.
     */
    struct sighting *(*look)(struct handler *h, int64_t age_ms, const char *verdict);
    void (*report)(struct sighting *sighting);
    /*
     * Has the call that is held raise. True if its exchange is at rest, and so may be answered in the handler's stead
     * before it is let go.
     */
    bool (*expire)(struct handler *h);
    /*
     * Makes a handler of the same kind for the calling thread, for good; NULL with the reason logged. All calls for one
     * exchange are made on one thread, with that thread's handler; detach, on the same thread, frees it.
     */
    struct handler *(*attach)(struct handler *h);
    void (*detach)(struct handler *h);
};

/* A handler begins with this. It belongs to one thread. */
struct handler {
    const struct handler_ops *ops;
};

#endif
