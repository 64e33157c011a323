/* SPDX-License-Identifier: MIT */
/* The table is addressed by the objects' addresses, of which the lowest bits say little. */
#include "known_heads.h"

static void row_clear(struct known_head *row)
{
    Py_CLEAR(row->status);
    for (Py_ssize_t i = 0; i < row->count; i++)
        Py_DECREF(row->pairs[i]);
    row->count = 0;
}

void known_heads_release(struct known_heads *heads)
{
    for (int i = 0; i < KNOWN_HEADS; i++)
        row_clear(&heads->rows[i]);
}

/* NULL if such a head can have no row. */
static struct known_head *find(struct known_heads *heads, const PyObject *status, const PyObject *headers)
{
    uintptr_t at = (uintptr_t)status;

    if (!PyList_CheckExact(headers) || PyList_GET_SIZE(headers) > KNOWN_FIELDS_MAX)
        return NULL;
    if (PyList_GET_SIZE(headers) > 0)
        at ^= (uintptr_t)PyList_GET_ITEM(headers, 0);
    return &heads->rows[(at >> 5 ^ at >> 9) % KNOWN_HEADS];
}

static bool is_row_of(const struct known_head *row, const PyObject *status, const PyObject *headers)
{
    if (row->status != status || row->count != PyList_GET_SIZE(headers))
        return false;
    for (Py_ssize_t i = 0; i < row->count; i++)
        if (row->pairs[i] != PyList_GET_ITEM(headers, i))
            return false;
    return true;
}

bool known_heads_give(struct known_heads *heads, struct exchange *x, PyObject *status, PyObject *headers)
{
    struct known_head *row = find(heads, status, headers);

    if (row == NULL || !is_row_of(row, status, headers))
        return false;
    exchange_give_head(x, &row->head);
    return true;
}

/* Fields that say nothing about anybody, so that they may be kept. */
static const struct str harmless[] = {
    STR("Accept-Ranges"),          STR("Allow"),
    STR("Cache-Control"),          STR("Content-Encoding"),
    STR("Content-Language"),       STR("Content-Length"),
    STR("Content-Type"),           STR("Cross-Origin-Opener-Policy"),
    STR("Pragma"),                 STR("Referrer-Policy"),
    STR("Server"),                 STR("Strict-Transport-Security"),
    STR("Vary"),                   STR("X-Content-Type-Options"),
    STR("X-Frame-Options"),
};

static bool is_harmless(PyObject *name)
{
    struct str text;

    if (!PyUnicode_CheckExact(name) || compat_latin1(name, &text) < 0)
        return false;
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (str_equal_nocase(text, harmless[i]))
            return true;
    return false;
}

/* Whether the pair is one that the application has besides the list, as it has a literal; and nobody can change it. */
static bool is_constant(PyObject *pair)
{
    return PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 && Py_REFCNT(pair) > 1 &&
           is_harmless(PyTuple_GET_ITEM(pair, 0)) && PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 1));
}

static bool are_constant(PyObject *status, PyObject *headers)
{
    if (!PyUnicode_CheckExact(status))
        return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++)
        if (!is_constant(PyList_GET_ITEM(headers, i)))
            return false;
    return true;
}

void known_heads_note(struct known_heads *heads, const struct exchange *x, PyObject *status, PyObject *headers)
{
    struct known_head *row = find(heads, status, headers);

    if (row == NULL)
        return;
    if (row->candidate != status) {
        row->candidate = status;
        return;
    }
    if (!are_constant(status, headers))
        return;
    row_clear(row);
    row->candidate = NULL;
    if (!exchange_keep_head(x, &row->head))
        return;
    row->status = Py_NewRef(status);
    for (; row->count < PyList_GET_SIZE(headers); row->count++)
        row->pairs[row->count] = Py_NewRef(PyList_GET_ITEM(headers, row->count));
}
