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

/* Whether the pair is one that the application has besides the list, as it has a literal; and nobody can change it. */
static bool is_constant(PyObject *pair)
{
    return PyTuple_CheckExact(pair) && Py_REFCNT(pair) > 1 && PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 0)) &&
           PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 1));
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

    if (row == NULL || !are_constant(status, headers))
        return;
    if (row->candidate != status) {
        row->candidate = status;
        return;
    }
    row_clear(row);
    row->candidate = NULL;
    if (!exchange_keep_head(x, &row->head))
        return;
    row->status = Py_NewRef(status);
    for (; row->count < PyList_GET_SIZE(headers); row->count++)
        row->pairs[row->count] = Py_NewRef(PyList_GET_ITEM(headers, row->count));
}
