/* SPDX-License-Identifier: MIT */
/* What the application returned, driven to its end: every item is sent before the next is asked for. */
#ifndef PYTHON_RESULT_H
#define PYTHON_RESULT_H

#include "call.h"

/* Begins to send call->result, which was just returned, and goes on as long as the client takes it. */
enum progress result_begin(struct call *call);
/* Goes on behind PROGRESS_FULL. */
enum progress result_resume(struct call *call);

/*
 * Drops the result, after calling its close() if it has one: that is the one place where this is done.
 * `complete` says that the answer is, so that it need not wait for close(). What close() raises is logged.
 */
void result_close(struct call *call, bool complete);

#endif
