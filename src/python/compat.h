/* SPDX-License-Identifier: MIT */
/*
 * CPython from 3.10 to 3.14 behind one face: the few calls that newer versions have and older ones lack, or
 * that older ones need and newer ones have taken away. Includes Python.h, so every file of this room begins
 * with it.
 */
#ifndef PYTHON_COMPAT_H
#define PYTHON_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cserve/str.h"

#if PY_VERSION_HEX < 0x030A0000
#error "cserve needs Python 3.10 or newer"
#endif
#ifdef Py_GIL_DISABLED
#error "cserve needs a Python with the GIL: what it shares between threads relies on it"
#endif

/* *value: new reference, or NULL when `object` has no such attribute. 0, or -1 with an exception set. */
static inline int compat_optional_attr(PyObject *object, PyObject *name, PyObject **value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_GetOptionalAttr(object, name, value) < 0 ? -1 : 0;
#else
    *value = PyObject_GetAttr(object, name);
    if (*value == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
    }
    return 0;
#endif
}

/*
 * Takes away the exception that is set, an instance with its traceback. New reference, or NULL if none is
 * set.
 */
static inline PyObject *compat_exception_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL)
        return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Sets the exception `value` (an instance; steals), with the traceback that it has. */
static inline void compat_exception_give(PyObject *value)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(value);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(value)), value, PyException_GetTraceback(value));
#endif
}

/*
 * The bytes of a str whose every character is at most U+00FF, in latin-1: a view into `text`, no copy. 0, or
 * -1 when it holds another character; sets no exception.
 */
static inline int compat_latin1(PyObject *text, struct str *bytes)
{
    if (PyUnicode_IS_COMPACT_ASCII(text)) { /* nearly always; known to be ready */
        *bytes = str_make((const char *)((PyASCIIObject *)text + 1), (size_t)PyUnicode_GET_LENGTH(text));
        return 0;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(text) < 0) {
        PyErr_Clear();
        return -1;
    }
#endif
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND)
        return -1;
    *bytes = str_make((const char *)PyUnicode_1BYTE_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
    return 0;
}

#endif
