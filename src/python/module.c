/* SPDX-License-Identifier: MIT */
/*
 * The module `cserve`. The embedding binary puts it into sys.modules before the application is imported, so that
 * there is no file to find, and one that is installed is not found; the package cserve has the same names from
 * its extension module.
 */
#include "module.h"

#include "hooks.h"

static PyObject *request_timeout; /* owned */
static PyObject *server_error;    /* owned */

PyDoc_STRVAR(request_timeout_doc,
             "Raised in the thread of a request that has taken longer than --timeout. The client has its answer, 504, by\n"
             "then, so there is nothing to do but to let go of what is held; it is an Exception, so that it passes through\n"
             "the handlers that do that.");

PyDoc_STRVAR(server_error_doc,
             "Raised by serve() when the server could not begin, or was stopped with requests unfinished. The error log\n"
             "says why; the attribute status is what the command would have exited with.");

PyDoc_STRVAR(serve_doc,
             "serve(app, **options)\n--\n\n"
             "RuntimeError: what would start a server is in one.");

PyObject *module_request_timeout(void)
{
    return request_timeout;
}

PyObject *module_server_error(void)
{
    return server_error;
}

static int add_exceptions(PyObject *self)
{
    request_timeout = PyErr_NewExceptionWithDoc("cserve.RequestTimeout", request_timeout_doc, NULL, NULL);
    server_error = PyErr_NewExceptionWithDoc("cserve.ServerError", server_error_doc, PyExc_RuntimeError, NULL);
    if (request_timeout == NULL || server_error == NULL)
        return -1;
    return PyModule_AddObjectRef(self, "RequestTimeout", request_timeout) < 0
               ? -1
               : PyModule_AddObjectRef(self, "ServerError", server_error);
}

int module_fill(PyObject *self)
{
    if (PyModule_AddStringConstant(self, "__version__", CSERVE_VERSION) < 0)
        return -1;
    if (PyModule_AddFunctions(self, hooks_methods) < 0)
        return -1;
    return add_exceptions(self) == 0 ? hooks_init() : -1;
}

PyObject *module_refuse_serve(void)
{
    PyErr_SetString(PyExc_RuntimeError,
                    "serve() starts a server, but this process is a worker of one; a module that both may run "
                    "and be served calls it behind: if __name__ == \"__main__\"");
    return NULL;
}

static PyObject *serve(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(options))
{
    return module_refuse_serve();
}

static PyMethodDef methods[] = {
    {"serve", (PyCFunction)(void (*)(void))serve, METH_VARARGS | METH_KEYWORDS, serve_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "cserve",
    .m_doc = PyDoc_STR("What the server that runs this process offers to its application."),
    .m_size = -1,
    .m_methods = methods,
};

int module_init(void)
{
    PyObject *self = PyModule_Create(&module);
    PyObject *modules = PySys_GetObject("modules"); /* borrowed */
    int result = -1;

    if (self == NULL || modules == NULL)
        goto done;
    if (compat_declare_no_gil(self) == 0 && module_fill(self) == 0)
        result = PyDict_SetItemString(modules, "cserve", self);
done:
    Py_XDECREF(self);
    return result;
}
