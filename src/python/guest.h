/* SPDX-License-Identifier: MIT */
/* The master in somebody's interpreter, and the worker that goes on with it. */
#ifndef PYTHON_GUEST_H
#define PYTHON_GUEST_H

#include "compat.h"

/* Lets the GIL go for as long as the master runs, so that other threads of its process may. */
void guest_leave(void);
/* Takes it again, if it is not held. */
void guest_enter(void);
/* Whether this process is a worker, or what workers are forked from. */
bool guest_is_worker(void);
/*
 * What starts cserve in another interpreter: a Python file, whose first argument is the program's name. New text
 * that is kept. 0, or -1 with an exception set.
 */
int guest_set_entrance(PyObject *path, int argc, char **argv);

#endif
