/* SPDX-License-Identifier: MIT */
/*
 * Reads JSON where it stands: a value is a view of its bytes in a text that json_check has found in order. Nothing is
 * copied or allocated. What is asked of a value that is of another kind is answered as if it were empty.
 */
#ifndef CSERVE_JSON_H
#define CSERVE_JSON_H

#include "cserve/str.h"

enum { JSON_DEPTH_MAX = 16 };

/* Whether `text` is one value, nested no deeper than that, with blanks around it: 0, and *value is it; or -1. */
int json_check(struct str text, struct str *value);

/* The value of the first member of that name, which has no escapes; empty if there is none. */
struct str json_member(struct str object, const char *name);

/*
 * The elements of an array, one after the other: `rest` begins as the array, and is what is left. False at the end, and
 * for what is no array.
 */
bool json_next(struct str *rest, struct str *value);

/* As json_next, for the members of an object; *name is the string, quotes and all. */
bool json_next_member(struct str *rest, struct str *name, struct str *value);

/* A number without its fraction; 0 for negative ones, UINT64_MAX for those above. No exponents: 0. */
uint64_t json_u64(struct str value);
bool json_is_true(struct str value);

/*
 * What a string says, in bytes: what is escaped is the byte of that number (latin-1), or '?' above 0xff. Returns their
 * count, at most `cap`; what follows is left out.
 */
size_t json_text(struct str value, char *dst, size_t cap);

#endif
