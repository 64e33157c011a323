/* SPDX-License-Identifier: MIT */
/* The one way that Python exceptions reach the error log. */
#ifndef PYTHON_TRACEBACK_H
#define PYTHON_TRACEBACK_H

#include "compat.h"

/*
 * Takes away the exception that is set and logs it as one error under a heading of one line: "heading:", then
 * the traceback, indented and with control characters escaped, so that nothing in it can pass for a line of
 * the log.
 */
void traceback_log(const char *heading);

struct sighting;

/*
 * Where another thread, which must not end meanwhile, is in its Python code. To be logged as a warning, in the same form, by
 * traceback_report, which also frees it. No exception may be set then, and none is afterwards.
 */
struct sighting *traceback_look(const char *heading, PyThreadState *thread);
void traceback_report(struct sighting *sighting);

#endif
