/* SPDX-License-Identifier: MIT */
/*
 * Whole environs, prepared for requests that come again: the fields of a connection's requests seldom change. The server
 * tells which heads have the same fields (http_head.fields_id), and which of them changed, so an environ then costs one
 * copy of a dict, and a value for each field that changed.
 *
 * A prepared dict outlives the request that it was made for, so it has nothing that may be a secret: the fields that
 * are known to be none, and a target only if it has no query. What else comes is put into each copy; in the dict '' holds
 * its place. The table is as large as it ever gets; a row serves its connection until another connection takes it.
 */
#ifndef PYTHON_PREPARED_H
#define PYTHON_PREPARED_H

#include "input.h"
#include "template.h"

enum { PREPARED_ROWS = 128 };

struct prepared {
    uint64_t fields_id;  /* 0: the row is free */
    uint64_t peer_id;
    PyObject *dict;      /* owned, as the next three */
    PyObject *keys;      /* tuple: the key of each field; None if environ does not show it */
    PyObject *method;
    PyObject *target;    /* what dict's target keys say; NULL: nothing */
    uint64_t other_target; /* hash of the latest target that was another one */
    struct input *input; /* borrows: the one in dict */
    unsigned used;       /* how often lately, up to a few: at 0 another connection may have the row */
    uint64_t shown;      /* bit i: environ shows fields[i] */
    uint64_t late;       /* of these: dict has '' instead of the value */
};

struct prepared_table {
    struct prepared rows[PREPARED_ROWS];
    PyObject *empty; /* owned: '' */
};

/* 0, or -1 with an exception set; release it in either case. */
int prepared_init(struct prepared_table *table);
void prepared_release(struct prepared_table *table);

/* The row that a request like x would have; NULL if it can have none. */
struct prepared *prepared_row(struct prepared_table *table, const struct exchange *x);

/* Whether the row is for requests like x; if it is not, and nobody has used it for a while, it is free now. */
bool prepared_is_for(struct prepared *row, const struct exchange *x);

/*
 * An environ for x, which the row is for. *has_target: complete; else the keys of the target are still to be set. New
 * reference, or NULL with an exception set.
 */
PyObject *prepared_copy(struct prepared *row, const struct template *t, const struct exchange *x, PyObject *input,
                        bool *has_target);

/*
 * Makes a free row the one for x from its environ `env`, in which no field is joined from several. `path_is_target`: what
 * the target says follows from its bytes alone. 0, or -1 with an exception set.
 */
int prepared_make(struct prepared_table *table, struct prepared *row, const struct template *t, const struct exchange *x,
                  PyObject *env, struct input *input, bool path_is_target);

/* Takes over what env says of the target of x, if two requests in a row had it. 0, or -1 with an exception set. */
int prepared_learn_target(struct prepared *row, const struct template *t, const struct exchange *x, PyObject *env);

#endif
