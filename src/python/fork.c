/* SPDX-License-Identifier: MIT */
/*
 * Forking a process that has an interpreter in it, as CPython wants it: what waits in its files is flushed
 * first, so that it is not written twice, and its own preparations run before and after.
 */
#include "compat.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/python.h"

#include "furnish.h"
#include "traceback.h"

/* "Thread-1 (poll), Thread-2": new reference, or NULL with an exception set. */
static PyObject *name_threads(void)
{
    static const char program[] = "import threading\n"
                                  "names = ', '.join(thread.name for thread in threading.enumerate()\n"
                                  "                  if thread is not threading.main_thread())\n";
    PyObject *space = Py_BuildValue("{s:O}", "__builtins__", PyEval_GetBuiltins());
    PyObject *ran = space == NULL ? NULL : PyRun_String(program, Py_file_input, space, space);
    PyObject *names = ran == NULL ? NULL : Py_XNewRef(PyDict_GetItemString(space, "names"));

    Py_XDECREF(ran);
    Py_XDECREF(space);
    return names;
}

void python_warn_of_threads(void)
{
    PyObject *names = name_threads();
    const char *text = names == NULL ? NULL : PyUnicode_AsUTF8(names);

    if (text == NULL)
        traceback_log("The threads that the application has started are not known");
    else if (*text != '\0')
        log_warning("--preload: the application has started threads, which its workers will not have: %s; "
                    "start them in a function given to cserve.post_fork", text);
    Py_XDECREF(names);
}

/* Forks and ends. Only the new process returns. */
static void fork_again(void)
{
    pid_t worker = fork();

    if (worker != 0)
        _exit(worker > 0 ? 0 : errno);
}

int python_fork_away(void)
{
    int status = 0;
    pid_t middle;

    furnish_flush("stdout");
    furnish_flush("stderr");
    PyOS_BeforeFork();
    middle = fork();
    if (middle == 0) {
        fork_again();
        PyOS_AfterFork_Child();
        return 1;
    }
    int error = errno;
    PyOS_AfterFork_Parent();
    errno = error;
    if (middle < 0)
        return -1;
    while (waitpid(middle, &status, 0) < 0 && errno == EINTR) {
    }
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
    return errno == 0 ? 0 : -1;
}
