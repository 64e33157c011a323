/* SPDX-License-Identifier: MIT */
/*
 * The extension module in its user's interpreter: what interp.c is for the embedding binary.
 *
 * The master is that interpreter, and sits in a call of the module. It waits without the GIL, so that threads which
 * its process has go on; for the moment of a fork it takes it, as os.fork would. It runs no Python besides what
 * others gave to os.register_at_fork. A worker goes on with the interpreter as it was forked; the frames of the
 * call stay below its own, and it ends without returning to them.
 *
 * What the master's process would do at its exit is not for its workers to do: atexit begins empty in them. One that
 * has imported the application itself ends the interpreter as ever. One that serves an object of its caller's
 * leaves the interpreter as it is, for taking it down would finalise other objects of the caller as well, and may
 * delete files that the master still uses.
 */
#include "guest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/mem.h"
#include "cserve/python.h"

#include "furnish.h"
#include "gateway.h"
#include "traceback.h"
#include "venv.h"

enum { ENTRANCE_ARGUMENTS = 2 }; /* interpreter and file, before those of the command */

static PyThreadState *away;   /* of the master, while it has let the GIL go */
static bool forked;           /* this is no master */
static bool called;           /* by serve() */
static char **entrance;       /* owned: a command; the first is to be an interpreter; NULL: none */

void guest_leave(void)
{
    if (away == NULL)
        away = PyEval_SaveThread();
}

void guest_enter(void)
{
    if (away == NULL)
        return;
    PyEval_RestoreThread(away);
    away = NULL;
}

bool guest_is_worker(void)
{
    return forked;
}

const char *python_version(void)
{
    static char version[32];
    const char *full = Py_GetVersion(); /* "3.11.2 (main, ...) [GCC ...]" */

    snprintf(version, sizeof(version), "%.*s", (int)strcspn(full, " "), full);
    return version;
}

const char *python_linkage(void)
{
    return "extension module";
}

/* --- forking ----------------------------------------------------------------------------------- */

/* Calls a function of a module, for what it does; an exception is dropped. `format`: as of Py_BuildValue. */
static void call(const char *module, const char *function, const char *format, int first, int second)
{
    PyObject *self = PyImport_ImportModule(module);
    PyObject *result = self == NULL ? NULL : PyObject_CallMethod(self, function, format, first, second);

    Py_XDECREF(self);
    Py_XDECREF(result);
    PyErr_Clear();
}

/* Removes a name from os.environ that the environment has no more: what it said was meant for the master. */
static void drop_variable(PyObject *variables, PyObject *name)
{
    PyObject *bytes = PyUnicode_EncodeFSDefault(name);
    PyObject *result = NULL;

    if (bytes != NULL && getenv(PyBytes_AS_STRING(bytes)) == NULL)
        result = PyObject_CallMethod(variables, "pop", "O", name);
    Py_XDECREF(bytes);
    Py_XDECREF(result);
    PyErr_Clear();
}

static void drop_variables(void)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *variables = os == NULL ? NULL : PyObject_GetAttrString(os, "environ");
    PyObject *names = variables == NULL ? NULL : PyMapping_Keys(variables);

    for (Py_ssize_t i = 0; names != NULL && i < PyList_GET_SIZE(names); i++)
        drop_variable(variables, PyList_GET_ITEM(names, i));
    Py_XDECREF(os);
    Py_XDECREF(variables);
    Py_XDECREF(names);
    PyErr_Clear();
}

/*
 * The caller's own signal handling is the master's: a KeyboardInterrupt in a worker would be answered by nobody.
 * The handlers of the system are set after this.
 */
static void forget_parent(void)
{
    forked = true;
    call("atexit", "_clear", NULL, 0, 0);
    call("_signal", "set_wakeup_fd", "i", -1, 0);
    call("_signal", "signal", "ii", SIGINT, 0); /* SIG_DFL */
    drop_variables();
}

pid_t python_fork(void)
{
    pid_t pid;

    guest_enter();
    furnish_flush("stdout");
    furnish_flush("stderr");
    PyOS_BeforeFork();
    pid = fork();
    if (pid == 0) {
        PyOS_AfterFork_Child();
        forget_parent();
        return 0;
    }
    int error = errno;
    PyOS_AfterFork_Parent();
    guest_leave();
    errno = error;
    return pid;
}

/* --- which interpreter ------------------------------------------------------------------------- */

int guest_set_entrance(PyObject *path, int argc, char **argv)
{
    PyObject *bytes = PyUnicode_EncodeFSDefault(path);

    if (bytes == NULL)
        return -1;
    free(entrance);
    entrance = mem_zalloc((size_t)(argc + ENTRANCE_ARGUMENTS + 1) * sizeof(*entrance));
    entrance[1] = mem_strndup(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    memcpy(entrance + ENTRANCE_ARGUMENTS, argv, (size_t)argc * sizeof(*argv));
    Py_DECREF(bytes);
    return 0;
}

/* New text: a string of the module sys; or NULL. */
static char *text_of_sys(const char *name)
{
    PyObject *value = PySys_GetObject(name); /* borrowed */
    PyObject *bytes = value != NULL && PyUnicode_Check(value) ? PyUnicode_EncodeFSDefault(value) : NULL;
    char *text = bytes == NULL ? NULL : mem_strndup(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));

    Py_XDECREF(bytes);
    PyErr_Clear();
    return text;
}

/* Whether the interpreter at hand is that of an environment. */
static bool is_inside(const struct venv *venv)
{
    char *prefix = text_of_sys("prefix");
    char *real = prefix == NULL ? NULL : realpath(prefix, NULL);
    bool inside = real != NULL && strcmp(real, venv->dir) == 0;

    free(real);
    free(prefix);
    return inside;
}

/* The environment that is asked for, if it is not the one at hand. 0, or -1 with the reason logged. */
static int find_other(struct venv *venv, const struct python_config *config)
{
    char *base = text_of_sys("_base_executable");
    char *executable = base != NULL ? base : text_of_sys("executable");
    const struct venv_seeker seeker = {
        .python = executable != NULL ? executable : "",
        .remedy = {"install cserve in it: ", "/bin/python -m pip install cserve"},
    };
    int result = venv_find(venv, config->venv, &seeker);

    free(executable);
    if (result != 0 || venv->dir == NULL || is_inside(venv))
        venv_release(venv);
    return result;
}

static int begin_anew(const struct venv *venv, const char *start_dir)
{
    venv_drop_home(venv);
    entrance[0] = venv->python;
    if (start_dir == NULL || chdir(start_dir) == 0)
        execv(venv->python, entrance);
    log_critical("%s (from %s) cannot be started: %s", venv->python, venv->source, strerror(errno));
    return -1;
}

static int refuse(const struct venv *venv, const struct python_config *config)
{
    if (config->called)
        log_critical("serve() runs in the interpreter that calls it, which is not that of the virtual environment %s "
                     "(from %s)", venv->dir, venv->source);
    else
        log_critical("the virtual environment %s (from %s) is not that of the interpreter which runs: only a restart "
                     "can change it", venv->dir, venv->source);
    return -1;
}

int python_choose(const struct python_config *config, const char *start_dir)
{
    struct venv venv = {0};
    int result = 0;

    guest_enter();
    called = config->called;
    if (!config->called || config->venv != NULL)
        result = find_other(&venv, config);
    if (result == 0 && venv.dir != NULL)
        result = entrance != NULL ? begin_anew(&venv, start_dir) : refuse(&venv, config);
    venv_release(&venv);
    guest_leave();
    return result;
}

/* --- the interpreter's part in a worker -------------------------------------------------------- */

int python_start(const struct python_config *config)
{
    struct venv venv = {0};
    int result = 0;

    guest_enter();
    if (config->venv != NULL) /* a reload may have changed it */
        result = find_other(&venv, config);
    if (result == 0 && venv.dir != NULL)
        result = refuse(&venv, config);
    venv_release(&venv);
    if (result != 0 || furnish(config) == 0)
        return result;
    traceback_log("Python does not start");
    return -1;
}

/* As at the end of the interpreter, which itself goes on. */
static void run_atexit(void)
{
    call("threading", "_shutdown", NULL, 0, 0);
    call("atexit", "_run_exitfuncs", NULL, 0, 0);
    furnish_flush("stdout");
    furnish_flush("stderr");
}

void python_stop(struct handler *handler)
{
    gateway_end(handler);
    if (forked && called) {
        run_atexit();
        return; /* the interpreter, and with it what may know the handler, goes on to the end of the process */
    }
    if (forked && Py_FinalizeEx() < 0)
        log_warning("output of the application was lost at the end: stdout or stderr could not be flushed");
    gateway_free(handler);
}

void python_exit(int status)
{
    if (!called)
        exit(status);
    fflush(NULL);
    _exit(status);
}
