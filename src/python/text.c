/* SPDX-License-Identifier: MIT */
/*
 * Bytes to str. PyUnicode_DecodeLatin1 does the same in more steps: it looks for the highest byte one
 * character at a time and knows the strings of one character, of which a request has few. Here bytes are
 * taken for ASCII, and found out not to be while they are copied.
 */
#include "text.h"

enum { WIDE = 16 };

typedef uint64_t wide __attribute__((vector_size(WIDE)));

static wide load_wide(const char *from)
{
    wide value;

    memcpy(&value, from, sizeof(value));
    return value;
}

static uint64_t load_word(const char *from)
{
    uint64_t word;

    memcpy(&word, from, sizeof(word));
    return word;
}

static uint32_t load_half(const char *from)
{
    uint32_t half;

    memcpy(&half, from, sizeof(half));
    return half;
}

static void store_word(char *to, uint64_t word)
{
    memcpy(to, &word, sizeof(word));
}

static void store_half(char *to, uint32_t half)
{
    memcpy(to, &half, sizeof(half));
}

/* As copy, for 16 bytes or more. */
static uint64_t copy_wide(char *to, const char *from, size_t len)
{
    size_t last_at = len - WIDE;
    wide all = load_wide(from + last_at);

    memcpy(to + last_at, &all, sizeof(all));
    for (size_t at = 0; at < last_at; at += WIDE) {
        wide some = load_wide(from + at);

        memcpy(to + at, &some, sizeof(some));
        all |= some;
    }
    return all[0] | all[1];
}

/* Copies. Returns all bytes, one over the other: as wide as fits; the last ones overlap those before them. */
static uint64_t copy(char *to, const char *from, size_t len)
{
    uint64_t all = 0;

    if (len >= WIDE)
        return copy_wide(to, from, len);
    if (len >= sizeof(uint64_t)) {
        uint64_t first = load_word(from), last = load_word(from + len - sizeof(last));

        store_word(to, first);
        store_word(to + len - sizeof(last), last);
        return first | last;
    }
    if (len >= sizeof(uint32_t)) {
        uint32_t first = load_half(from), last = load_half(from + len - sizeof(last));

        store_half(to, first);
        store_half(to + len - sizeof(last), last);
        return first | last;
    }
    for (size_t i = 0; i < len; i++) {
        to[i] = from[i];
        all |= (unsigned char)from[i];
    }
    return all;
}

static bool is_ascii(uint64_t bytes)
{
    return (bytes & UINT64_C(0x8080808080808080)) == 0;
}

PyObject *text_new(struct str bytes)
{
    PyObject *text = PyUnicode_New((Py_ssize_t)bytes.len, 127);

    if (text == NULL || is_ascii(copy((char *)PyUnicode_1BYTE_DATA(text), bytes.ptr, bytes.len)))
        return text;
    Py_DECREF(text); /* seldom, so it was worth the try */
    text = PyUnicode_New((Py_ssize_t)bytes.len, 255);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), bytes.ptr, bytes.len);
    return text;
}

PyObject *text_field_key(struct str name)
{
    PyObject *key = PyUnicode_New((Py_ssize_t)name.len + 5, 127);
    Py_UCS1 *to;

    if (key == NULL)
        return NULL;
    to = PyUnicode_1BYTE_DATA(key);
    memcpy(to, "HTTP_", 5);
    to += 5;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        to[i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (Py_UCS1)(c - 'a' + 'A') : c;
    }
    return key;
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
