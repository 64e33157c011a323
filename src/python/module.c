/* SPDX-License-Identifier: MIT */
/*
 * The module `cserve`. It is put into sys.modules before the application is imported, so that there is no
 * file to find.
 */
#include "module.h"

#include "hooks.h"

static PyObject *request_timeout; /* owned */

PyDoc_STRVAR(request_timeout_doc,
             "Raised in the thread of a request that has taken longer than --timeout. The client has its answer, 504, by\n"
             "then, so there is nothing to do but to let go of what is held; it is an Exception, so that it passes through\n"
             "the handlers that do that.");

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "cserve",
    .m_doc = PyDoc_STR("What the server that runs this process offers to its application."),
    .m_size = -1,
    .m_methods = hooks_methods,
};

PyObject *module_request_timeout(void)
{
    return request_timeout;
}

static int add_version(PyObject *self)
{
    return PyModule_AddStringConstant(self, "__version__", CSERVE_VERSION);
}

static int add_exceptions(PyObject *self)
{
    request_timeout = PyErr_NewExceptionWithDoc("cserve.RequestTimeout", request_timeout_doc, NULL, NULL);
    if (request_timeout == NULL)
        return -1;
    return PyModule_AddObjectRef(self, "RequestTimeout", request_timeout);
}

int module_init(void)
{
    PyObject *self = PyModule_Create(&module);
    PyObject *modules = PySys_GetObject("modules"); /* borrowed */
    int result = -1;

    if (self == NULL || modules == NULL)
        goto done;
    if (compat_declare_no_gil(self) == 0 && add_version(self) == 0 && add_exceptions(self) == 0 && hooks_init() == 0)
        result = PyDict_SetItemString(modules, "cserve", self);
done:
    Py_XDECREF(self);
    return result;
}
