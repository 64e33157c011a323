/* SPDX-License-Identifier: MIT */
/* The module `cserve` that an application may import: what the server offers to Python code. */
#ifndef PYTHON_MODULE_H
#define PYTHON_MODULE_H

#include "compat.h"

/* Makes the module importable. 0, or -1 with an exception set. */
int module_init(void);

/* cserve.RequestTimeout: borrowed, there from module_init to the end of the interpreter. */
PyObject *module_request_timeout(void);

#endif
