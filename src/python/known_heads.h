/* SPDX-License-Identifier: MIT */
/*
 * Response heads that an application gives again and again: literals in its source, "200 OK" and a list of constant pairs,
 * are the same objects each time. What was checked and written for them once is copied then.
 *
 * A row holds references to the objects, so no others can have their addresses, and nobody can change them: only str and
 * tuples of str count. It is made when the same addresses come a second time, and of fields that are no secrets.
 */
#ifndef PYTHON_KNOWN_HEADS_H
#define PYTHON_KNOWN_HEADS_H

#include "compat.h"
#include "cserve/handler.h"

enum { KNOWN_HEADS = 8, KNOWN_FIELDS_MAX = 8 };

struct known_head {
    PyObject *status;                  /* owned, as the next one; NULL: the row is free */
    PyObject *pairs[KNOWN_FIELDS_MAX];
    Py_ssize_t count;
    const void *candidate;             /* the latest status of another head that came here; only its address counts */
    struct exchange_head head;
};

struct known_heads {
    struct known_head rows[KNOWN_HEADS];
};

void known_heads_release(struct known_heads *heads);

/* Gives the head to the exchange if it is known. `headers` may be anything. */
bool known_heads_give(struct known_heads *heads, struct exchange *x, PyObject *status, PyObject *headers);

/* Takes note of a head that the exchange was just given from these, both found to be right. */
void known_heads_note(struct known_heads *heads, const struct exchange *x, PyObject *status, PyObject *headers);

#endif
