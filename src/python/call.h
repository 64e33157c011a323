/* SPDX-License-Identifier: MIT */
/*
 * One call of the application: all of an exchange's life that Python sees. It is the exchange's `state` from
 * start to HANDLER_DONE, and is used again afterwards, together with its start_response, write and wsgi.input
 * objects as far as the application did not keep them. Objects that it did keep are severed: they raise from
 * then on.
 */
#ifndef PYTHON_CALL_H
#define PYTHON_CALL_H

#include "gateway.h"
#include "input.h"
#include "start_response.h"

struct call {
    struct call *next;         /* in gateway.idle */
    struct gateway *gateway;   /* borrows */
    struct exchange *exchange; /* borrows; NULL while idle */
    struct responder *start_response, *write; /* owned; NULL when to be made anew */
    struct input *input;       /* owned; NULL when to be made anew */
    PyObject *environ;         /* owned, as the next three; NULL when there is none */
    PyObject *context;         /* where contextvars of this call live; entered whenever its code runs; while idle, a blank one */
    PyObject *result;          /* what the application returned, until its close() was called */
    PyObject *iterator;        /* of result, unless that is a list or tuple */
    Py_ssize_t index;          /* of the next item of a list or tuple */
    uint64_t produced;         /* bytes of content that the application gave so far */
    bool active;               /* start_response and write may be called now */
    bool started;              /* start_response was called, and with the right arguments */
    bool single;               /* the result has a len(), which is 1 */
    bool excess_logged;
    bool draining;             /* write() waits for the client, without GIL and lock */
    bool expired;              /* RequestTimeout was raised in it */
};

/* What became of a call when application code returned. */
enum progress {
    PROGRESS_COMPLETE, /* all content is given */
    PROGRESS_FULL,     /* the client has to read before more is asked for */
    PROGRESS_GONE,     /* the client is gone */
    PROGRESS_FAILED,   /* an exception is set */
};

/* Calls the application for `x` and sends its answer, as far as the client takes it. */
enum handler_verdict call_start(struct gateway *g, struct exchange *x);
/* Goes on where HANDLER_WAIT was returned. */
enum handler_verdict call_resume(struct call *call);
/* Ends a call that waits: the client is gone. */
void call_cancel(struct call *call);

/* As handler_ops.look and expire: on another thread than the call's, with the GIL and the lock of its gateway. */
struct sighting *call_look(const struct call *call, int64_t age_ms, const char *verdict);
bool call_expire(struct call *call);

/* Frees the calls that are idle in g. */
void call_free_idle(struct gateway *g);

/*
 * Sends `bytes` (a bytes object, not empty) behind the head, which is made final first if need be with
 * `total` (-1: unknown) as the length of the whole content. Logs when it is more than Content-Length says.
 */
enum exchange_result call_send(struct call *call, PyObject *bytes, int64_t total);

/* Takes note of `len` bytes of content that an exchange_ function answered with `result`. Returns that. */
enum exchange_result call_note(struct call *call, uint64_t len, enum exchange_result result);

/* "GET /path HTTP/1.1", printable and NUL-terminated; cut if it is very long. */
#define CALL_TEXT_MAX 512
void call_describe(const struct call *call, char text[CALL_TEXT_MAX]);

#endif
