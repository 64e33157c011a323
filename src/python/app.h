/* SPDX-License-Identifier: MIT */
/* The application, by its name. */
#ifndef PYTHON_APP_H
#define PYTHON_APP_H

#include "compat.h"

/*
 * The callable that "MODULE[:APP]" names, imported and, if APP is a call, made. New reference; or
 * NULL: with an exception set if the application's own code raised it, without one if the name
 * is wrong, which is logged here.
 */
PyObject *app_load(const char *spec);

#endif
