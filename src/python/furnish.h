/* SPDX-License-Identifier: MIT */
/* What an interpreter gets before it imports the application. */
#ifndef PYTHON_FURNISH_H
#define PYTHON_FURNISH_H

#include "compat.h"
#include "cserve/python.h"

/* 0, or -1 with an exception set. */
int furnish(const struct python_config *config);
/* Flushes sys.stdout or sys.stderr, as well as it can be. */
void furnish_flush(const char *name);

#endif
