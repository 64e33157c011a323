/* SPDX-License-Identifier: MIT */
/* The functions of the module `cserve`: what an application has called when its process begins and ends. */
#ifndef PYTHON_HOOKS_H
#define PYTHON_HOOKS_H

#include "compat.h"

extern PyMethodDef hooks_methods[];

/* Adds what they need to the module. 0, or -1 with an exception set. */
int hooks_init(void);
/* Calls what was given to cserve.worker_exit; exceptions are logged. */
void hooks_worker_exit(void);

#endif
