/* SPDX-License-Identifier: MIT */
/*
 * What every environ begins as: a dict that has the constant keys, and those that seldom change from one
 * request to the next (a connection's addresses, the method, Host), always as the latest request had them.
 */
#ifndef PYTHON_TEMPLATE_H
#define PYTHON_TEMPLATE_H

#include "compat.h"
#include "cserve/handler.h"

/* The keys of environ that are not fields of the request; template.c has a row for each. */
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

enum { TEMPLATE_METHOD_COUNT = 9, TEMPLATE_MINOR_COUNT = 10 };

#define FIELD_BIT(id) (UINT64_C(1) << (id))
_Static_assert(HTTP_FIELD_COUNT <= 64, "sets of fields are one word");

struct template {
    PyObject *dict;                            /* owned, as all objects here */
    PyObject *keys[ENVIRON_KEY_COUNT];
    PyObject *field_keys[HTTP_FIELD_COUNT];    /* NULL for HTTP_FIELD_OTHER */
    PyObject *values[ENVIRON_KEY_COUNT];       /* what dict has */
    uint64_t peer_id;                          /* whose texts dict has; 0: compare them */
    PyObject *methods[TEMPLATE_METHOD_COUNT];
    PyObject *protocols[TEMPLATE_MINOR_COUNT];
};

struct environ_settings {
    bool multithread, multiprocess;
    PyObject *errors, *file_wrapper; /* borrowed */
};

/* 0, or -1 with an exception set; release it in either case. */
int template_init(struct template *t, const struct environ_settings *settings);
void template_release(struct template *t);

/*
 * A copy for `x`, right in all keys that the template has, but those of the target (which are ''). New reference,
 * or NULL with an exception set.
 */
PyObject *template_copy(struct template *t, const struct exchange *x, PyObject *input);

/* Whether a method is one of the usual ones, and what environ calls it. New reference, or NULL with an exception set. */
bool template_has_method(const struct template *t, struct str method);
PyObject *template_method(const struct template *t, struct str method);

/* How many references the template has to `input`. */
Py_ssize_t template_input_references(const struct template *t, const PyObject *input);

#endif
