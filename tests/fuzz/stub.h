/* SPDX-License-Identifier: MIT */
/*
 * A handler without an application. The first letter of the path says what it does with the exchange; most
 * answers echo what the request was.
 */
#ifndef CSERVE_TESTS_STUB_H
#define CSERVE_TESTS_STUB_H

#include "cserve/handler.h"

struct handler *stub_handler(void);

void stub_begin(void); /* a run begins */
/* It is over: every exchange was finished or cancelled, every owner told. Whether an answer was cut short. */
bool stub_end(void);

/* Whether the call number `i` of this run was for a HEAD request; false beyond the last. */
bool stub_was_head(size_t i);
size_t stub_calls(void);

#endif
