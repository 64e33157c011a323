/* SPDX-License-Identifier: MIT */
/* The module `cserve` that an application may import: what the server offers to Python code. */
#ifndef PYTHON_MODULE_H
#define PYTHON_MODULE_H

#include "compat.h"

/* Makes the embedding binary's module importable. 0, or -1 with an exception set. */
int module_init(void);
/* Gives a module what an application may use. 0, or -1 with an exception set. */
int module_fill(PyObject *self);
/* The RuntimeError of serve() in a worker. NULL. */
PyObject *module_refuse_serve(void);

/* cserve.RequestTimeout, ServerError: borrowed, there from module_fill to the end of the interpreter. */
PyObject *module_request_timeout(void);
PyObject *module_server_error(void);

#endif
