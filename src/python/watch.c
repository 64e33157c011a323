/* SPDX-License-Identifier: MIT */
/*
 * --reload: which files the application is made of. An audit hook sees each file whose code is executed, whether it was
 * compiled now or long ago, and each that is opened to be read, so before a SyntaxError is found in it: modules that are
 * imported by a view on its first request, too, and templates when they are loaded.
 *
 * What counts is Python code, and what its name or its directory says is a template, outside of the standard library
 * and of installed packages. Other files that an application reads may be its data, which it may write itself.
 *
 * Python takes a cached module for current if its source has the time, in whole seconds, and the size that it had. Who
 * saves twice in a second could be served the first version, so what was saved just now is not cached.
 */
#include "compat.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cserve/mem.h"
#include "cserve/python.h"

#include "traceback.h"

static void (*tell)(const char *path);
static PyObject *told;      /* owned: set of the bytes of paths */
static PyObject *dont_cache; /* owned: sys.dont_write_bytecode as the user wants it */
static char *library;       /* owned: the directory of the standard library */

enum { JUST_NOW_S = 2 };

static bool ends_with(const char *text, const char *end)
{
    size_t text_len = strlen(text), end_len = strlen(end);

    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

static bool is_template(const char *path)
{
    static const char *const endings[] = {".jinja", ".jinja2", ".j2", ".mako", ".mak", ".pt", ".tmpl", ".tpl"};

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        if (ends_with(path, endings[i]))
            return true;
    }
    if (ends_with(path, ".pyc"))
        return false;
    return strstr(path, "/templates/") != NULL || strncmp(path, "templates/", strlen("templates/")) == 0;
}

static bool is_installed(const char *path)
{
    size_t len = library != NULL ? strlen(library) : 0;

    return strstr(path, "/site-packages/") != NULL || strstr(path, "/dist-packages/") != NULL ||
           (len > 0 && strncmp(path, library, len) == 0 && path[len] == '/');
}

/* The master may be in another directory. malloc'd, or NULL. */
static char *make_absolute(const char *path)
{
    char *whole = realpath(path, NULL), *here = NULL;

    if (whole == NULL && (here = getcwd(NULL, 0)) != NULL && asprintf(&whole, "%s/%s", here, path) < 0)
        whole = NULL; /* what is not there yet has no real path */
    free(here);
    return whole;
}

/* Tells of a path, once. */
static void tell_once(PyObject *bytes)
{
    const char *path = PyBytes_AS_STRING(bytes);
    char *whole = path[0] == '/' ? NULL : make_absolute(path);

    if (whole != NULL)
        path = whole;
    if (path[0] == '/' && !is_installed(path) && PySet_Contains(told, bytes) == 0) {
        PySet_Add(told, bytes);
        tell(path);
    }
    free(whole);
}

/* The source is about to be read, compiled and cached. */
static void choose_caching(const char *path)
{
    struct stat is;
    bool is_recent = stat(path, &is) == 0 && time(NULL) - is.st_mtime < JUST_NOW_S;

    PySys_SetObject("dont_write_bytecode", is_recent ? Py_True : dont_cache);
}

static void consider(PyObject *name, bool is_code)
{
    PyObject *bytes = NULL;

    if (PyUnicode_Check(name))
        bytes = PyUnicode_EncodeFSDefault(name);
    else if (PyBytes_Check(name))
        bytes = Py_NewRef(name);
    if (bytes == NULL)
        return;
    const char *path = PyBytes_AS_STRING(bytes);
    if (strlen(path) == (size_t)PyBytes_GET_SIZE(bytes) && path[0] != '<' &&
        (is_code || ends_with(path, ".py") || is_template(path)))
        tell_once(bytes);
    if (!is_code && ends_with(path, ".py"))
        choose_caching(path);
    Py_DECREF(bytes);
}

/* exec(code): the body of a module, or a template that was compiled; or what an application makes up, "<string>". */
static void consider_executed(PyObject *args)
{
    PyObject *code = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : NULL; /* borrowed */

    if (code != NULL && PyCode_Check(code))
        consider(((PyCodeObject *)code)->co_filename, true);
}

/* open(path, mode, flags) */
static void consider_opened(PyObject *args)
{
    PyObject *flags = PyTuple_GET_SIZE(args) > 2 ? PyTuple_GET_ITEM(args, 2) : NULL; /* borrowed */
    long bits = flags != NULL && PyLong_Check(flags) ? PyLong_AsLong(flags) : O_WRONLY;

    if ((bits & O_ACCMODE) == O_RDONLY)
        consider(PyTuple_GET_ITEM(args, 0), false);
}

/* import(module, path, ...): the path is that of an extension module. */
static void consider_imported(PyObject *args)
{
    if (PyTuple_GET_SIZE(args) > 1)
        consider(PyTuple_GET_ITEM(args, 1), true);
}

/* Nothing that goes wrong here is the application's concern. */
static int on_event(const char *event, PyObject *args, void *Py_UNUSED(data))
{
    if (told == NULL || !Py_IsInitialized())
        return 0;
    if (strcmp(event, "exec") == 0)
        consider_executed(args);
    else if (strcmp(event, "open") == 0)
        consider_opened(args);
    else if (strcmp(event, "import") == 0)
        consider_imported(args);
    else
        return 0;
    PyErr_Clear();
    return 0;
}

/* The directory of os.py. */
static void find_library(void)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *file = os != NULL ? PyObject_GetAttrString(os, "__file__") : NULL;
    PyObject *bytes = file != NULL && PyUnicode_Check(file) ? PyUnicode_EncodeFSDefault(file) : NULL;
    char *slash;

    if (bytes != NULL) {
        library = mem_strndup(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
        slash = strrchr(library, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    PyErr_Clear();
    Py_XDECREF(bytes);
    Py_XDECREF(file);
    Py_XDECREF(os);
}

int python_watch(void (*function)(const char *path))
{
    PyObject *wish = PySys_GetObject("dont_write_bytecode"); /* borrowed */

    find_library();
    tell = function;
    dont_cache = Py_NewRef(wish != NULL ? wish : Py_False);
    told = PySet_New(NULL);
    if (told != NULL && PySys_AddAuditHook(on_event, NULL) == 0)
        return 0;
    traceback_log("The files of the application cannot be found out");
    return -1;
}
