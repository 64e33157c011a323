/* SPDX-License-Identifier: MIT */
/*
 * Bytes to str. PyUnicode_DecodeLatin1 does the same in more steps: it looks for the highest byte one
 * character at a time and knows the strings of one character, of which a request has few.
 */
#include "text.h"

static uint64_t load_word(const char *from)
{
    uint64_t word;

    memcpy(&word, from, sizeof(word));
    return word;
}

/* A word at a time; the last word overlaps the one before it. */
static bool is_ascii(struct str bytes)
{
    uint64_t all = 0;

    if (bytes.len >= sizeof(all)) {
        for (size_t i = 0; i < bytes.len - sizeof(all); i += sizeof(all))
            all |= load_word(bytes.ptr + i);
        all |= load_word(bytes.ptr + bytes.len - sizeof(all));
    } else {
        for (size_t i = 0; i < bytes.len; i++)
            all |= (unsigned char)bytes.ptr[i];
    }
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

PyObject *text_new(struct str bytes)
{
    PyObject *text = PyUnicode_New((Py_ssize_t)bytes.len, is_ascii(bytes) ? 127 : 255);

    if (text != NULL && bytes.len > 0)
        memcpy(PyUnicode_1BYTE_DATA(text), bytes.ptr, bytes.len);
    return text;
}

int text_put(PyObject *dict, PyObject *key, PyObject *value)
{
    int status;

    if (value == NULL)
        return -1;
    status = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return status;
}
