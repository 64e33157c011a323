/* SPDX-License-Identifier: MIT */
/*
 * wsgi.errors: a text stream to the error log. Whole lines are written at once, so that lines of several
 * processes do not mix; what does not end in a newline waits for one, for flush(), or for the end of its
 * request.
 */
#ifndef PYTHON_ERRORS_H
#define PYTHON_ERRORS_H

#include "compat.h"

/* Makes the type ready. 0, or -1 with an exception set. */
int errors_init(void);

/* New reference, or NULL with an exception set. */
PyObject *errors_new(void);

/* Writes what waits and ends its line, so that what comes next begins a line of its own. */
void errors_end_line(PyObject *errors);

#endif
