/* SPDX-License-Identifier: MIT */
/* The application, by its name. */
#ifndef PYTHON_APP_H
#define PYTHON_APP_H

#include "compat.h"

#define APP_FAILED "The application could not be loaded" /* heads its traceback */

/*
 * The callable that "MODULE[:APP]" names, imported and, if APP is a call, made. New reference; or
 * NULL: with an exception set if the application's own code raised it, without one if the name
 * is wrong, which is logged here.
 */
PyObject *app_load(const char *spec);

/*
 * As app_load, but if it cannot be loaded, which is logged then, gives an application that answers with the reason, and
 * sets *failed.
 */
PyObject *app_load_or_explain(const char *spec, bool *failed);

#endif
