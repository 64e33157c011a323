/* SPDX-License-Identifier: MIT */
/*
 * str objects of bytes from the wire, as PEP 3333 has them: each byte is the character of the same number
 * (latin-1).
 */
#ifndef PYTHON_TEXT_H
#define PYTHON_TEXT_H

#include <stdbool.h>

#include "compat.h"

/* New reference, never interned; NULL with an exception set. */
PyObject *text_new(struct str bytes);

/* The key of a field in environ: "X-Own" to 'HTTP_X_OWN'. As text_new. */
PyObject *text_field_key(struct str name);

/* Whether `text`, which text_new made or which is ASCII, has these characters. */
static inline bool text_is(PyObject *text, struct str bytes)
{
    const char *data = (const char *)PyUnicode_1BYTE_DATA(text);

    if ((size_t)PyUnicode_GET_LENGTH(text) != bytes.len)
        return false;
    if (bytes.len > 8)
        return memcmp(data, bytes.ptr, bytes.len) == 0;
    for (size_t i = 0; i < bytes.len; i++) /* a method, a short path: less than a call takes */
        if (data[i] != bytes.ptr[i])
            return false;
    return true;
}

/*
 * dict[key] = value. Steals value, which may be NULL with an exception set. 0, or -1 with an exception set.
 */
int text_put(PyObject *dict, PyObject *key, PyObject *value);

#endif
