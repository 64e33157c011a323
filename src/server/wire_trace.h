/* SPDX-License-Identifier: MIT */
/*
 * --show-requests: every request as it came over the wire, and the head that answered it, on stdout,
 * for learners and for debugging. Control and non-ASCII bytes are escaped, so that no client
 * can play with the terminal.
 */
#ifndef CSERVE_WIRE_TRACE_H
#define CSERVE_WIRE_TRACE_H

#include "cserve/str.h"

/* The head, line by line, each marked "> ", or "< " for a response. */
void wire_trace_request(struct str head);
void wire_trace_response(struct str head);

/* The beginning of the request's content, and how long it is. `shown` is what is in memory of it. */
void wire_trace_content(struct str shown, uint64_t len);

#endif
