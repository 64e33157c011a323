/* SPDX-License-Identifier: MIT */
/*
 * The gateway: the handler that answers requests by a WSGI application. One belongs to one thread, with the
 * one thread state that it has in the interpreter; all that its calls share is in this struct.
 */
#ifndef PYTHON_GATEWAY_H
#define PYTHON_GATEWAY_H

#include "compat.h"
#include "cserve/handler.h"
#include "cserve/mem.h"
#include "environ.h"
#include "errors.h"
#include "file_wrapper.h"
#include "known_heads.h"

struct call;

/* Bytes that the server sends from where they lie. */
struct loan {
    PyObject *bytes; /* owned */
};

struct gateway {
    struct handler handler;  /* first: what the server holds */
    PyThreadState *away;     /* the thread's state while the GIL is let go; NULL while it is held */
    struct call *calling;    /* borrows: the call that the thread is in; NULL between calls */
    /*
     * Guards `calling` and its exchange. Without a GIL the monitor, and threads of the application, come near them: so the
     * thread holds it from the beginning of a call to its end, but while application code runs. What that calls takes it.
     */
    struct compat_lock lock;
    struct gateway *first;   /* borrows: the server's own */
    struct gateway *ended;   /* of the server's own: those of threads that are over, linked by this */
    bool failed;             /* it answers in the stead of an application that does not load */
    unsigned long thread;    /* the interpreter's number for it */
    PyThreadState *state;    /* borrows: the thread's */
    const struct python_config *config; /* borrows */
    PyObject *app;           /* owned */
    PyObject *errors;        /* owned: wsgi.errors */
    PyObject *close_name;    /* owned: "close" */
    PyObject *warned;        /* owned: set of names of fields that the log has said are dropped */
    struct environ_factory environ;
    struct file_types files;
    struct known_heads known_heads;
    struct mem_pool loans;   /* of struct loan */
    struct call *idle;       /* owned: calls to use again, linked by next */
    unsigned idle_count;
    char *scratch;           /* owned: room for a small file; NULL until there was one */
};

/* Takes the GIL if the thread of `g` does not hold it; lets it go if it does. On that thread. */
void gateway_enter(struct gateway *g);
void gateway_leave(struct gateway *g);

/*
 * Calls what the application gave to cserve.worker_exit, and lets go of all objects; `handler` may be NULL. It is freed
 * when there is no Python any more: threads of the application may know it until then.
 */
void gateway_end(struct handler *handler);
void gateway_free(struct handler *handler);

/* The calling thread's. */
struct gateway *gateway_current(void);

#endif
