/* SPDX-License-Identifier: MIT */
/*
 * Starting the interpreter so that the application cannot tell it from its own python: the environment
 * variables count (PYTHONPATH and the others), sys.executable, sys.prefix and sys.path are those of
 * the virtual environment or of the Python that cserve was built with, and site runs.
 *
 * What differs, and why. Signals are the worker's, so Python installs no handlers. sys.argv is cserve's
 * own command line, as it was given. sys.path begins with the current directory, as absolute path, then
 * --pythonpath, since both exist to find the application. stdout is line-buffered even into a
 * pipe, where a service manager wants each line when it is printed. faulthandler is on and writes
 * to the error log; an application that sets its own handlers later replaces it.
 */
#include "compat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/mem.h"
#include "cserve/python.h"

#include "traceback.h"
#include "venv.h"

static char *executable; /* what python_executable returns */

const char *python_version(void)
{
    static char version[32];
    const char *full = Py_GetVersion(); /* "3.11.2 (main, ...) [GCC ...]" */

    snprintf(version, sizeof(version), "%.*s", (int)strcspn(full, " "), full);
    return version;
}

const char *python_linkage(void)
{
    return PYTHON_LINKAGE;
}

const char *python_executable(void)
{
    return executable;
}

/* PYTHONHOME wins over pyvenv.cfg, which would leave the environment without effect. */
static void drop_home(const struct venv *venv)
{
    const char *home = getenv("PYTHONHOME");

    if (venv->dir == NULL || home == NULL || *home == '\0')
        return;
    log_warning("PYTHONHOME=%s is dropped, as activating does: it would hide the virtual environment %s",
                home, venv->dir);
    unsetenv("PYTHONHOME");
}

/* site reads the environment's pyvenv.cfg by the executable; everything else is found from our own home. */
static PyStatus configure_foreign(PyConfig *config)
{
    PyStatus status = PyConfig_SetBytesString(config, &config->home, PYTHON_HOME);

    if (PyStatus_Exception(status))
        return status;
    return PyConfig_SetBytesString(config, &config->base_executable, PYTHON_EXECUTABLE);
}

static PyStatus configure(PyConfig *config, const struct python_config *from, const struct venv *venv)
{
    const char *name = venv->dir != NULL ? venv->python : PYTHON_EXECUTABLE;

    config->parse_argv = 0;
    config->install_signal_handlers = 0;
    config->faulthandler = 1;
    PyStatus status = PyConfig_SetBytesString(config, &config->program_name, name);
    if (!PyStatus_Exception(status))
        status = PyConfig_SetBytesArgv(config, from->argc, from->argv);
    if (!PyStatus_Exception(status) && venv->is_foreign)
        status = configure_foreign(config);
    return status;
}

static int initialise(const struct python_config *from, const struct venv *venv)
{
    PyConfig config;

    PyConfig_InitPythonConfig(&config);
    PyStatus status = configure(&config, from, venv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (!PyStatus_Exception(status))
        return 0;
    log_critical("Python %s does not start: %s; are PYTHONHOME (%s) and %s right?", python_version(),
                 status.err_msg != NULL ? status.err_msg : "it wants to exit",
                 getenv("PYTHONHOME") != NULL ? getenv("PYTHONHOME") : "unset",
                 venv->dir != NULL ? venv->dir : PYTHON_EXECUTABLE);
    return -1;
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
    int result = insert_path(0, cwd, cwd);
    for (size_t i = 0; result == 0 && i < config->path_count; i++)
        result = insert_path((Py_ssize_t)i + 1, cwd, config->paths[i]);
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

static int furnish(const struct python_config *config)
{
    if (set_paths(config) != 0 || buffer_by_line("stdout") != 0 || buffer_by_line("stderr") != 0)
        return -1;
    if (send_faults_to_log() != 0)
        return -1;
    return note_executable();
}

int python_start(const struct python_config *config)
{
    struct venv venv;
    int result = -1;

    if (venv_find(&venv, config->venv) != 0)
        goto done;
    drop_home(&venv);
    if (initialise(config, &venv) != 0)
        goto done;
    result = furnish(config);
    if (result != 0)
        traceback_log("Python does not start");
done:
    venv_release(&venv);
    return result;
}
