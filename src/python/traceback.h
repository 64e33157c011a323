/* SPDX-License-Identifier: MIT */
/* The one way that Python exceptions reach the error log. */
#ifndef PYTHON_TRACEBACK_H
#define PYTHON_TRACEBACK_H

/*
 * Takes away the exception that is set and logs it as one error under a heading of one line: "heading:", then the traceback,
 * indented and with control characters escaped, so that nothing in it can pass for a line of the log.
 */
void traceback_log(const char *heading);

#endif
