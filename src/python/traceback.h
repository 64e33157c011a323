/* SPDX-License-Identifier: MIT */
/* The one way that Python exceptions reach the error log. */
#ifndef PYTHON_TRACEBACK_H
#define PYTHON_TRACEBACK_H

/*
 * Takes away the exception that is set and logs it as one error under a heading of one line: "heading:", then
 * the traceback, indented and with control characters escaped, so that nothing in it can pass for a line of
 * the log.
 */
void traceback_log(const char *heading);

/*
 * Logs as a warning, in the same form, where the thread with this number is in its Python code. No exception
 * may be set, and none is afterwards.
 */
void traceback_log_thread(const char *heading, unsigned long thread);

#endif
