/* SPDX-License-Identifier: MIT */
/*
 * The callables that a call lends to the application: start_response and the write() that it returns. Both
 * know nothing but their call, are severed from it when it ends, and raise RuntimeError from then on.
 */
#ifndef PYTHON_START_RESPONSE_H
#define PYTHON_START_RESPONSE_H

#include "compat.h"

struct call;
struct gateway;

struct responder {
    PyObject_HEAD
    vectorcallfunc function;
    struct gateway *gateway; /* borrows: of the call's thread */
    struct call *owner;      /* borrows; NULL when severed */
};

/* Makes the types ready. 0, or -1 with an exception set. */
int start_response_init(void);

/* Return a new reference, or NULL with an exception set. */
struct responder *start_response_new(struct call *call);
struct responder *write_new(struct call *call);

#endif
