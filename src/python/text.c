/* SPDX-License-Identifier: MIT */
/*
 * Bytes to str. PyUnicode_DecodeLatin1 does the same in more steps: it looks for the highest byte one
 * character at a time and knows the strings of one character, of which a request has few.
 */
#include "text.h"

typedef uint64_t wide __attribute__((vector_size(16)));

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

/* All bytes of a run, one over the other: as wide as fits; the last ones overlap those before them. */
static uint64_t overlay(struct str bytes)
{
    const char *last = bytes.ptr + bytes.len;
    uint64_t all = 0;

    if (bytes.len >= sizeof(wide)) {
        wide both = load_wide(last - sizeof(wide));

        for (const char *at = bytes.ptr; at < last - sizeof(wide); at += sizeof(wide))
            both |= load_wide(at);
        return both[0] | both[1];
    }
    if (bytes.len >= sizeof(all))
        return load_word(bytes.ptr) | load_word(last - sizeof(all));
    if (bytes.len >= sizeof(uint32_t))
        return load_half(bytes.ptr) | (uint64_t)load_half(last - sizeof(uint32_t));
    for (size_t i = 0; i < bytes.len; i++)
        all |= (unsigned char)bytes.ptr[i];
    return all;
}

static bool is_ascii(struct str bytes)
{
    return (overlay(bytes) & UINT64_C(0x8080808080808080)) == 0;
}

/* As memcpy, made for the values of fields: most are short, but not so short as what a compiler writes out. */
static void copy(char *to, struct str bytes)
{
    size_t last = bytes.len - sizeof(wide);

    if (bytes.len < sizeof(wide) || bytes.len > 8 * sizeof(wide)) {
        memcpy(to, bytes.ptr, bytes.len);
        return;
    }
    for (size_t at = 0; at < last; at += sizeof(wide))
        memcpy(to + at, bytes.ptr + at, sizeof(wide));
    memcpy(to + last, bytes.ptr + last, sizeof(wide));
}

PyObject *text_new(struct str bytes)
{
    PyObject *text = PyUnicode_New((Py_ssize_t)bytes.len, is_ascii(bytes) ? 127 : 255);

    if (text != NULL && bytes.len > 0)
        copy((char *)PyUnicode_1BYTE_DATA(text), bytes);
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
