/* SPDX-License-Identifier: MIT */
/*
 * cserve.post_fork, cserve.worker_exit and cserve.client_disconnected. The registered functions are called in
 * the order of their registration, on the process's first thread; those for the end in the opposite order, as
 * atexit does.
 */
#include "hooks.h"

#include "cserve/handler.h"
#include "cserve/python.h"

#include "call.h"
#include "traceback.h"

static PyObject *post_fork;   /* owned: list of callables */
static PyObject *worker_exit; /* owned: list of callables */

/* Returns the function, so that both can be decorators. */
static PyObject *add(PyObject *list, PyObject *function)
{
    if (!PyCallable_Check(function)) {
        PyErr_Format(PyExc_TypeError, "a function is needed, not '%.200s'", Py_TYPE(function)->tp_name);
        return NULL;
    }
    return PyList_Append(list, function) < 0 ? NULL : Py_NewRef(function);
}

static PyObject *add_post_fork(PyObject *Py_UNUSED(self), PyObject *function)
{
    return add(post_fork, function);
}

static PyObject *add_worker_exit(PyObject *Py_UNUSED(self), PyObject *function)
{
    return add(worker_exit, function);
}

static PyObject *client_disconnected(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    struct gateway *g = gateway_current();
    bool taken, left;

    if (g == NULL || g->calling == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "this thread is not answering a request");
        return NULL;
    }
    taken = compat_lock(&g->lock);
    left = exchange_has_left(g->calling->exchange);
    compat_unlock(&g->lock, taken);
    return PyBool_FromLong(left);
}

PyDoc_STRVAR(post_fork_doc,
             "post_fork(function)\n--\n\n"
             "Have function() called in each worker process before its first request: when it has loaded the\n"
             "application or, with --preload, when it was forked. For connections and threads that a process\n"
             "needs for itself. An exception ends the worker. Returns the function, so it is a decorator too.");

PyDoc_STRVAR(worker_exit_doc,
             "worker_exit(function)\n--\n\n"
             "Have function() called when a worker process ends in an orderly way, behind its last request.\n"
             "The last one registered is called first. Returns the function, so it is a decorator too.");

PyDoc_STRVAR(client_disconnected_doc,
             "client_disconnected()\n--\n\n"
             "Whether the client of the request that this thread is answering has closed its connection, as\n"
             "far as the system knows. Over TCP, a client that only said that it will send no more counts,\n"
             "too: there is no difference until something is sent. It still gets its answer. One system call.\n"
             "RuntimeError in a thread that is not answering a request.");

PyMethodDef hooks_methods[] = {
    {"post_fork", add_post_fork, METH_O, post_fork_doc},
    {"worker_exit", add_worker_exit, METH_O, worker_exit_doc},
    {"client_disconnected", client_disconnected, METH_NOARGS, client_disconnected_doc},
    {NULL, NULL, 0, NULL},
};

int hooks_init(void)
{
    post_fork = PyList_New(0);
    worker_exit = PyList_New(0);
    return post_fork == NULL || worker_exit == NULL ? -1 : 0;
}

/* 0, or -1 with an exception set. */
static int call_at(PyObject *list, Py_ssize_t i)
{
    PyObject *function = compat_list_item(list, i); /* it may change the list */
    PyObject *result = function != NULL ? PyObject_CallNoArgs(function) : NULL;

    Py_XDECREF(function);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int python_post_fork(void)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(post_fork); i++) {
        if (call_at(post_fork, i) == 0)
            continue;
        traceback_log("A function given to cserve.post_fork failed");
        return -1;
    }
    return 0;
}

void hooks_worker_exit(void)
{
    for (Py_ssize_t i = PyList_GET_SIZE(worker_exit); i-- > 0;) {
        if (i < PyList_GET_SIZE(worker_exit) && call_at(worker_exit, i) != 0)
            traceback_log("A function given to cserve.worker_exit failed");
    }
}
