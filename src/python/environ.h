/* SPDX-License-Identifier: MIT */
/*
 * Makes environ dicts. The factory keeps a template with everything that is the same from request to request or
 * nearly so (a connection's addresses, the method, Host); a request's environ is a copy of it with the request's own
 * values on top. Strings that a client chose are never interned. What is kept beyond a request is bounded: the latest
 * short value of each of a few fields that say the same for many clients (Host, Accept and such).
 */
#ifndef PYTHON_ENVIRON_H
#define PYTHON_ENVIRON_H

#include "compat.h"
#include "cserve/buf.h"
#include "cserve/handler.h"

/* The keys of environ that are not fields of the request; environ.c has a row for each. */
enum environ_key {
    ENVIRON_REQUEST_METHOD,
    ENVIRON_SCRIPT_NAME,
    ENVIRON_PATH_INFO,
    ENVIRON_QUERY_STRING,
    ENVIRON_REQUEST_URI,
    ENVIRON_RAW_URI,
    ENVIRON_SERVER_PROTOCOL,
    ENVIRON_REMOTE_ADDR,
    ENVIRON_REMOTE_PORT,
    ENVIRON_SERVER_NAME,
    ENVIRON_SERVER_PORT,
    ENVIRON_SERVER_SOFTWARE,
    ENVIRON_HTTP_HOST,
    ENVIRON_URL_SCHEME,
    ENVIRON_VERSION,
    ENVIRON_INPUT,
    ENVIRON_INPUT_TERMINATED,
    ENVIRON_ERRORS,
    ENVIRON_FILE_WRAPPER,
    ENVIRON_MULTITHREAD,
    ENVIRON_MULTIPROCESS,
    ENVIRON_RUN_ONCE,
    ENVIRON_KEY_COUNT,
};

enum { ENVIRON_METHOD_COUNT = 9, ENVIRON_MINOR_COUNT = 10 };

struct environ_factory {
    PyObject *template;                             /* owned, as all below */
    PyObject *keys[ENVIRON_KEY_COUNT];
    PyObject *field_keys[HTTP_FIELD_COUNT];         /* NULL for HTTP_FIELD_OTHER */
    PyObject *field_values[HTTP_FIELD_COUNT];       /* the latest, of some; see kept_fields */
    PyObject *methods[ENVIRON_METHOD_COUNT];
    PyObject *protocols[ENVIRON_MINOR_COUNT];
    PyObject *comma, *semicolon;                    /* what repeated fields are joined by */
    PyObject *empty;                                /* '' */
    PyObject *script_name;                          /* where the application is mounted, or NULL */
    PyObject *latest[ENVIRON_KEY_COUNT];            /* values that the template has */
    uint64_t peer_id;                               /* whose texts the template has; 0: unknown */
    struct buf path;                                /* room to decode a path in */
};

struct environ_settings {
    bool multithread, multiprocess;
    PyObject *errors, *file_wrapper; /* borrowed */
};

/* 0, or -1 with an exception set; release it in either case. */
int environ_factory_init(struct environ_factory *f, const struct environ_settings *settings);
void environ_factory_release(struct environ_factory *f);

/*
 * A new environ, an exact dict that the application may keep. `input` is its wsgi.input; the factory keeps it until the
 * next request comes with another. New reference, or NULL with an exception set.
 */
PyObject *environ_new(struct environ_factory *f, const struct exchange *x, PyObject *input);

/* How many references the factory has to `input`. */
Py_ssize_t environ_input_references(const struct environ_factory *f, const PyObject *input);

#endif
