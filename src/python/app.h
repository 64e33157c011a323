/* SPDX-License-Identifier: MIT */
/* The application, by its name or as it is. */
#ifndef PYTHON_APP_H
#define PYTHON_APP_H

#include "compat.h"
#include "cserve/python.h"

#define APP_FAILED "The application could not be loaded" /* heads its traceback */

/*
 * The callable that config->app, "MODULE[:APP]", names, imported and, if APP is a call, made; or config->object, if
 * there is one. New reference; or NULL: with an exception set if the application's own code raised it, without
 * one if the name is wrong, or what it names is no WSGI application, which is logged here.
 */
PyObject *app_load(const struct python_config *config);

/*
 * As app_load, but if it cannot be loaded, which is logged then, gives an application that answers with the reason, and
 * sets *failed.
 */
PyObject *app_load_or_explain(const struct python_config *config, bool *failed);

#endif
