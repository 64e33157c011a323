/* SPDX-License-Identifier: MIT */
/*
 * What an interpreter gets before it imports the application, whoever started it. sys.path begins with the
 * current directory, as absolute path, then --pythonpath, since both exist to find the application; a caller of
 * serve() has a path already, which only gets --pythonpath. stdout is line-buffered even into a pipe, where a
 * service manager wants each line when it is printed. faulthandler is on and writes to the error log; an
 * application that sets its own handlers later replaces it.
 */
#include "furnish.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/mem.h"

static char *executable; /* what python_executable returns */

const char *python_executable(void)
{
    return executable;
}

/* Inserts a directory, made absolute by `base`, at sys.path[at]. */
static int insert_path(Py_ssize_t at, const char *base, const char *dir)
{
    PyObject *list = PySys_GetObject("path"); /* borrowed */
    PyObject *path = NULL;

    if (list == NULL || !PyList_Check(list)) {
        PyErr_SetString(PyExc_RuntimeError, "sys.path is lost");
        return -1;
    }
    path = dir[0] == '/' ? PyUnicode_DecodeFSDefault(dir) : PyUnicode_FromFormat("%s/%s", base, dir);
    int result = path == NULL ? -1 : PyList_Insert(list, at, path);
    Py_XDECREF(path);
    return result;
}

static int set_paths(const struct python_config *config)
{
    char *cwd = getcwd(NULL, 0);

    if (cwd == NULL) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    Py_ssize_t at = config->called ? 0 : 1;
    int result = config->called ? 0 : insert_path(0, cwd, cwd);
    for (size_t i = 0; result == 0 && i < config->path_count; i++)
        result = insert_path(at++, cwd, config->paths[i]);
    free(cwd);
    return result;
}

/* sys.stdout is None when descriptor 1 is closed. */
static int buffer_by_line(const char *name)
{
    PyObject *stream = PySys_GetObject(name); /* borrowed */

    if (stream == NULL || stream == Py_None)
        return 0;
    PyObject *method = PyObject_GetAttrString(stream, "reconfigure");
    PyObject *none = PyTuple_New(0);
    PyObject *options = Py_BuildValue("{s:O}", "line_buffering", Py_True);
    PyObject *result = NULL;
    if (method != NULL && none != NULL && options != NULL)
        result = PyObject_Call(method, none, options);
    Py_XDECREF(method);
    Py_XDECREF(none);
    Py_XDECREF(options);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* faulthandler was turned on for stderr; from here on its last words go to the error log. */
static int send_faults_to_log(void)
{
    PyObject *module = PyImport_ImportModule("faulthandler");
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, "enable", "i", log_fd());

    Py_XDECREF(module);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int note_executable(void)
{
    PyObject *value = PySys_GetObject("executable"); /* borrowed */
    PyObject *bytes = NULL;

    free(executable);
    executable = NULL;
    if (value != NULL && PyUnicode_Check(value))
        bytes = PyUnicode_EncodeFSDefault(value);
    const char *text = bytes == NULL ? "" : PyBytes_AsString(bytes);
    executable = mem_strndup(text, strlen(text));
    Py_XDECREF(bytes);
    return PyErr_Occurred() ? -1 : 0;
}

int furnish(const struct python_config *config)
{
    if (set_paths(config) != 0 || buffer_by_line("stdout") != 0 || buffer_by_line("stderr") != 0)
        return -1;
    if (send_faults_to_log() != 0)
        return -1;
    return note_executable();
}

void furnish_flush(const char *name)
{
    PyObject *stream = PySys_GetObject(name); /* borrowed */
    PyObject *result = NULL;

    if (stream != NULL && stream != Py_None)
        result = PyObject_CallMethod(stream, "flush", NULL);
    Py_XDECREF(result);
    PyErr_Clear();
}
