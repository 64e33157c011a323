/* SPDX-License-Identifier: MIT */
/*
 * --show-requests: every request as it came over the wire, and the head that answered it, on stdout,
 * for learners and for debugging. Control and non-ASCII bytes are escaped, so that no client
 * can play with the terminal. On a terminal it is in colours: requests in one, responses by their status.
 *
 * What is received is shown when it is: the head, then, as it comes, the beginning of the content, in its chunks if it has
 * some.
 */
#ifndef CSERVE_WIRE_TRACE_H
#define CSERVE_WIRE_TRACE_H

#include "cserve/str.h"

/* Finds out whether to use colours. Before all others. */
void wire_trace_init(void);

/* The head, line by line, each marked "> ", or "< " for a response. */
void wire_trace_request(struct str head);
void wire_trace_response(struct str head);

/* How much is shown of the content of one request. */
enum { WIRE_TRACE_CONTENT = 1024 };

/* More of a request's content, of which `before` bytes came earlier. */
void wire_trace_content(struct str bytes, uint64_t before);
/* The content is complete: says how long it is, if not all was shown. */
void wire_trace_content_end(uint64_t len);

#endif
