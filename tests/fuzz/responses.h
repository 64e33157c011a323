/* SPDX-License-Identifier: MIT */
/* A reader of responses that accepts nothing but what RFC 9112 allows the server to send. */
#ifndef CSERVE_TESTS_RESPONSES_H
#define CSERVE_TESTS_RESPONSES_H

#include <stdbool.h>

#include "cserve/str.h"

/*
 * Takes all that was sent over a connection apart, response by response. The last may be incomplete only if
 * `cut`. There is one for each call of the stub, and at most one more: a refusal.
 */
void responses_check(struct str output, bool cut);

#endif
