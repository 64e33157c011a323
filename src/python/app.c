/* SPDX-License-Identifier: MIT */
/*
 * Finding the application. The rules are a Python program, app.py, since all that they need (import,
 * ast, names that are like others) is there already; this file carries it and calls it.
 */
#include "app.h"

#include <marshal.h>

#include "cserve/log.h"

#include "traceback.h"

/* app.py, compiled and marshalled when this was built: the assembler reads the file, so make knows it as a prerequisite. */
__asm__(".pushsection .rodata\n"
        ".globl app_code, app_code_len\n"
        ".hidden app_code, app_code_len\n"
        "app_code:\n"
        ".incbin \"" APP_CODE "\"\n"
        ".Lapp_code_end:\n"
        ".balign 8\n"
        "app_code_len:\n"
        ".quad .Lapp_code_end - app_code\n"
        ".popsection\n");
extern const char app_code[];
extern const int64_t app_code_len;

/* New reference: the names that app.py defines. */
static PyObject *run_source(void)
{
    PyObject *names = Py_BuildValue("{s:s,s:O}", "__name__", "cserve", "__builtins__", PyEval_GetBuiltins());
    PyObject *code = PyMarshal_ReadObjectFromString(app_code, (Py_ssize_t)app_code_len);
    PyObject *ran = NULL;

    if (names != NULL && code != NULL)
        ran = PyEval_EvalCode(code, names, names);
    if (ran == NULL)
        Py_CLEAR(names);
    Py_XDECREF(code);
    Py_XDECREF(ran);
    return names;
}

/* Logs the sentence that an AppError is; leaves an exception set if that fails. */
static void log_sentence(PyObject *error)
{
    PyObject *text = PyObject_Str(error);
    PyObject *bytes = text == NULL ? NULL : PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");

    if (bytes != NULL)
        log_critical("%s", PyBytes_AS_STRING(bytes));
    Py_XDECREF(bytes);
    Py_XDECREF(text);
}

/* Sets the exception again, its traceback without app.py's part in it. */
static void give_trimmed(PyObject *names, PyObject *error)
{
    PyObject *trim = PyDict_GetItemString(names, "trim"); /* borrowed */
    PyObject *trimmed = trim == NULL ? NULL : PyObject_CallOneArg(trim, error);

    PyErr_Clear();
    Py_XDECREF(trimmed);
    compat_exception_give(error);
}

/* What app.py raised: a sentence for the user is logged and gone, anything else stays set. */
static void sort_error(PyObject *names)
{
    PyObject *kind = PyDict_GetItemString(names, "AppError"); /* borrowed */
    PyObject *error = compat_exception_take();

    if (kind == NULL || PyObject_IsInstance(error, kind) != 1) {
        give_trimmed(names, error);
        return;
    }
    log_sentence(error);
    Py_DECREF(error);
}

/* New reference to what `spec` names; or to the application that there is already, if it is one. */
static PyObject *call_load(PyObject *names, const struct python_config *config)
{
    PyObject *load = PyDict_GetItemString(names, config->object != NULL ? "check" : "load"); /* borrowed */
    PyObject *spec = PyUnicode_DecodeFSDefault(config->app);
    PyObject *app = NULL;

    if (load != NULL && spec != NULL && config->object == NULL)
        app = PyObject_CallOneArg(load, spec);
    else if (load != NULL && spec != NULL)
        app = PyObject_CallFunctionObjArgs(load, config->object, spec, NULL);
    Py_XDECREF(spec);
    if (app != NULL && config->object != NULL)
        Py_SETREF(app, Py_NewRef(config->object));
    return app;
}

PyObject *app_load(const struct python_config *config)
{
    PyObject *names = run_source();
    PyObject *app = names == NULL ? NULL : call_load(names, config);

    if (app == NULL && names != NULL && PyErr_Occurred())
        sort_error(names);
    Py_XDECREF(names);
    return app;
}

/* Logs what app.py raised, and makes an application of it. */
static PyObject *explain(PyObject *names)
{
    PyObject *error = compat_exception_take();
    PyObject *failure, *app;

    give_trimmed(names, Py_NewRef(error));
    sort_error(names);
    if (PyErr_Occurred())
        traceback_log(APP_FAILED);
    failure = PyDict_GetItemString(names, "failure"); /* borrowed */
    app = failure == NULL ? NULL : PyObject_CallOneArg(failure, error);
    Py_DECREF(error);
    return app;
}

PyObject *app_load_or_explain(const struct python_config *config, bool *failed)
{
    PyObject *names = run_source();
    PyObject *app = names == NULL ? NULL : call_load(names, config);

    if (app == NULL && names != NULL && PyErr_Occurred()) {
        app = explain(names);
        *failed = app != NULL;
    }
    Py_XDECREF(names);
    return app;
}
