/* SPDX-License-Identifier: MIT */
/*
 * The extension module cserve._core: the whole server, behind two functions that the package's Python code calls,
 * and the names that an application may use (module.c). Both functions return in the process that called them;
 * a worker, forked within, never does.
 */
#include "compat.h"

#include <signal.h>
#include <stdlib.h>

#include "cserve/mem.h"
#include "cserve/program.h"

#include "guest.h"
#include "module.h"

enum { ERROR_MAX = 2048 };

/* The entry point that the interpreter looks for. */
PyMODINIT_FUNC PyInit__core(void);

/* --- from Python's values to C's --------------------------------------------------------------- */

static void texts_free(char **texts)
{
    for (char **text = texts; texts != NULL && *text != NULL; text++)
        free(*text);
    free(texts);
}

/* New text, or NULL with an exception set: it is no string, or holds what no argument of a program can. */
static char *text_new(PyObject *value)
{
    PyObject *bytes = NULL;
    char *text = NULL;

    if (PyUnicode_FSConverter(value, &bytes) == 0)
        return NULL;
    text = mem_strndup(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return text;
}

/* New texts of a list's strings, NULL at their end. NULL with an exception set. */
static char **texts_new(PyObject *list)
{
    Py_ssize_t count = PyList_GET_SIZE(list);
    char **texts = mem_zalloc((size_t)(count + 1) * sizeof(*texts));

    for (Py_ssize_t i = 0; i < count; i++) {
        texts[i] = text_new(PyList_GET_ITEM(list, i));
        if (texts[i] == NULL) {
            texts_free(texts);
            return NULL;
        }
    }
    return texts;
}

/* Keywords of two texts each, which they own. */
static void keywords_free(struct program_keyword *keywords, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)keywords[i].name);
        free((char *)keywords[i].value);
    }
    free(keywords);
}

/* From (name, value, kind). 0, or -1 with an exception set. */
static int keyword_fill(struct program_keyword *keyword, PyObject *item)
{
    PyObject *name, *value;
    int kind;

    if (!PyArg_ParseTuple(item, "UUi", &name, &value, &kind))
        return -1;
    keyword->name = text_new(name);
    keyword->value = keyword->name == NULL ? NULL : text_new(value);
    keyword->kind = (enum program_keyword_kind)kind;
    return keyword->value == NULL ? -1 : 0;
}

static struct program_keyword *keywords_new(PyObject *list)
{
    size_t count = (size_t)PyList_GET_SIZE(list);
    struct program_keyword *keywords = mem_zalloc((count + 1) * sizeof(*keywords));

    for (size_t i = 0; i < count; i++) {
        if (keyword_fill(&keywords[i], PyList_GET_ITEM(list, (Py_ssize_t)i)) != 0) {
            keywords_free(keywords, count);
            return NULL;
        }
    }
    return keywords;
}

/* --- the functions ----------------------------------------------------------------------------- */

PyDoc_STRVAR(main_doc,
             "main(argv, command, entrance)\n--\n\n"
             "The command: argv is its command line, command starts it again, and entrance is the file that starts it in\n"
             "another interpreter. Returns the exit status.");

static PyObject *run_main(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *argv, *command, *path, *result = NULL;
    struct program_start start = {0};
    char **again = NULL;

    if (!PyArg_ParseTuple(args, "O!O!U", &PyList_Type, &argv, &PyList_Type, &command, &path))
        return NULL;
    start.argc = (int)PyList_GET_SIZE(argv);
    start.argv = texts_new(argv);
    start.command = again = start.argv == NULL ? NULL : texts_new(command);
    if (again != NULL && guest_set_entrance(path, start.argc, start.argv) == 0) {
        PyOS_setsig(SIGINT, SIG_DFL); /* before there is a server, a Ctrl-C just ends this */
        guest_leave();
        int status = program_main(&start);
        guest_enter();
        result = PyLong_FromLong(status);
    }
    texts_free(start.argv);
    texts_free(again);
    return result;
}

/* NULL. */
static PyObject *fail(int status)
{
    PyObject *error = PyObject_CallFunction(module_server_error(), "N", PyUnicode_FromFormat(
        status == 3 ? "the application was not loaded, as the error log says"
                    : "the server failed, or requests were cut off at its end, as the error log says"));
    PyObject *value = PyLong_FromLong(status);

    if (error != NULL && value != NULL && PyObject_SetAttrString(error, "status", value) == 0)
        PyErr_SetObject(module_server_error(), error);
    Py_XDECREF(error);
    Py_XDECREF(value);
    return NULL;
}

/* None, or NULL with an exception set. */
static PyObject *serve_with(const struct program_start *start)
{
    char error[ERROR_MAX];
    int status;

    guest_leave();
    status = program_serve(start, error, sizeof(error));
    guest_enter();
    if (status == 0)
        Py_RETURN_NONE;
    if (status > 0)
        return fail(status);
    PyErr_SetString(status == PROGRAM_BAD_NAME ? PyExc_TypeError : PyExc_ValueError, error);
    return NULL;
}

PyDoc_STRVAR(serve_doc,
             "serve(application, keywords, command)\n--\n\n"
             "Serves until a signal stops it. The application is None if one of the keywords names it; those are\n"
             "(name, value, kind: 0 text, 1 a number, 2 words), and command starts this program again.");

static PyObject *run_serve(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *application, *list, *command, *result = NULL;
    struct program_start start = {0};
    struct program_keyword *keywords;
    char **again;

    if (guest_is_worker())
        return module_refuse_serve();
    if (!PyArg_ParseTuple(args, "OO!O!", &application, &PyList_Type, &list, &PyList_Type, &command))
        return NULL;
    start.keyword_count = (size_t)PyList_GET_SIZE(list);
    start.object = application == Py_None ? NULL : application;
    start.keywords = keywords = keywords_new(list);
    start.command = again = keywords == NULL ? NULL : texts_new(command);
    start.argv = again;
    if (again != NULL)
        result = serve_with(&start);
    if (keywords != NULL)
        keywords_free(keywords, start.keyword_count);
    texts_free(again);
    return result;
}

static PyMethodDef methods[] = {
    {"main", run_main, METH_VARARGS, main_doc},
    {"serve", run_serve, METH_VARARGS, serve_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "cserve._core",
    .m_doc = PyDoc_STR("The server, and what it offers to its application."),
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *self = PyModule_Create(&module);

    if (self != NULL && (compat_declare_no_gil(self) != 0 || module_fill(self) != 0))
        Py_CLEAR(self);
    return self;
}
