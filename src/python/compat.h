/* SPDX-License-Identifier: MIT */
/*
 * CPython from 3.10 to 3.14 behind one face: the few calls that newer versions have and older ones lack, or
 * that older ones need and newer ones have taken away. Includes Python.h, so every file of this room begins
 * with it.
 *
 * Free-threaded builds have no GIL, so what it kept apart needs locks of its own there. They are nothing where there is a
 * GIL: the code is the same, and costs what it did.
 */
#ifndef PYTHON_COMPAT_H
#define PYTHON_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>

#include "cserve/str.h"

#if PY_VERSION_HEX < 0x030A0000
#error "cserve needs Python 3.10 or newer"
#endif
/* What of the name of the directory of the standard library says which build it is for, and what another would say. */
#ifdef Py_GIL_DISABLED
#define COMPAT_ABI "t"
#define COMPAT_OTHER_ABI ""
#else
#define COMPAT_ABI ""
#define COMPAT_OTHER_ABI "t"
#endif

/* Zero when unlocked. Whoever waits for it lets the interpreter go meanwhile. */
struct compat_lock {
#ifdef Py_GIL_DISABLED
    PyMutex mutex;
    _Atomic(const void *) holder; /* its thread state */
#else
    char none;
#endif
};

/* False if the calling thread had it already. */
static inline bool compat_lock(struct compat_lock *lock)
{
#ifdef Py_GIL_DISABLED
    const void *me = PyThreadState_Get();

    if (atomic_load_explicit(&lock->holder, memory_order_relaxed) == me)
        return false;
    PyMutex_Lock(&lock->mutex);
    atomic_store_explicit(&lock->holder, me, memory_order_relaxed);
#else
    (void)lock;
#endif
    return true;
}

/* `taken` is what compat_lock returned: only then something is done. */
static inline void compat_unlock(struct compat_lock *lock, bool taken)
{
#ifdef Py_GIL_DISABLED
    if (!taken)
        return;
    atomic_store_explicit(&lock->holder, NULL, memory_order_relaxed);
    PyMutex_Unlock(&lock->mutex);
#else
    (void)lock;
    (void)taken;
#endif
}

/*
 * While it lasts no other thread has a section of the same object, nor changes it if it is a list or dict. As with the GIL,
 * that is interrupted when the thread lets the interpreter go, as it may whenever code of the application runs.
 */
struct compat_section {
#ifdef Py_GIL_DISABLED
    PyCriticalSection section;
#else
    char none;
#endif
};

static inline void compat_section_begin(struct compat_section *section, PyObject *object)
{
#ifdef Py_GIL_DISABLED
    PyCriticalSection_Begin(&section->section, object);
#else
    (void)section;
    (void)object;
#endif
}

static inline void compat_section_end(struct compat_section *section)
{
#ifdef Py_GIL_DISABLED
    PyCriticalSection_End(&section->section);
#else
    (void)section;
#endif
}

/* list[at]: new reference, or NULL with an exception set when the list is shorter. */
static inline PyObject *compat_list_item(PyObject *list, Py_ssize_t at)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyList_GetItemRef(list, at);
#else
    return Py_XNewRef(PyList_GetItem(list, at));
#endif
}

/* Importing the module must not turn the GIL on. 0, or -1 with an exception set. */
static inline int compat_declare_no_gil(PyObject *module)
{
#ifdef Py_GIL_DISABLED
    return PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#else
    (void)module;
    return 0;
#endif
}

/* Calls look(an object or NULL, arg) while no other thread runs Python code. It returns 0. */
static inline void compat_look_at_threads(int (*look)(PyObject *object, void *arg), void *arg)
{
#ifdef Py_GIL_DISABLED
    PyUnstable_GC_VisitObjects(look, arg); /* stops them all; the 0 ends its visit at the first object */
#else
    look(NULL, arg);
#endif
}

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
