/* SPDX-License-Identifier: MIT */
/*
 * The interpreter and the WSGI application in it: the only room that knows Python. All functions are called from
 * one thread, the process's first.
 *
 * The interpreter is linked in, and a worker starts it (interp.c); or cserve is an extension module of an
 * interpreter that runs already, in the master too, which then only waits without the GIL (guest.c).
 */
#ifndef CSERVE_PYTHON_H
#define CSERVE_PYTHON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cserve/handler.h"

struct python_config {
    const char *app;           /* "MODULE[:APP]": see app.c; or what messages call object */
    void *object;              /* borrows: the application itself, given to serve(); or NULL */
    bool called;               /* by serve(): the interpreter, its path and its end are the caller's */
    const char *venv;          /* --venv, or NULL */
    const char *const *paths;  /* --pythonpath entries, in the order they are to have on sys.path */
    size_t path_count;
    char *const *argv;         /* the command line: sys.argv */
    int argc;
    bool multithread;          /* wsgi.multithread */
    bool multiprocess;         /* wsgi.multiprocess */
    bool serves_failure;       /* if the application does not load, serve a page that says why */
};

/* "3.11.2", and how it is linked: "static" or "shared"; compiled in, no interpreter needed. */
const char *python_version(void);
const char *python_linkage(void);

/*
 * Makes sure that the interpreter will be the virtual environment's that is asked for. 0, or -1 with the reason logged.
 * An interpreter that runs already is replaced by that of the environment, if it is another's: this does not
 * return then, and cserve begins anew, in `start_dir`.
 */
int python_choose(const struct python_config *config, const char *start_dir);

/*
 * As fork(2), and as the interpreter wants it, if there is one: the new process, which holds the GIL then, is to
 * know nothing of what the other one does at its end.
 */
pid_t python_fork(void);

/*
 * Starts the interpreter, or makes the one at hand ready: finds the virtual environment (--venv, VIRTUAL_ENV, a
 * pyvenv.cfg beside or above this executable), sets sys.argv, sys.executable, sys.prefix and sys.path, line-buffers
 * stdout and stderr, turns faulthandler on. The GIL is held afterwards. 0, or -1 with the reason logged.
 */
int python_start(const struct python_config *config);

/* sys.executable, valid until python_stop. */
const char *python_executable(void);

/*
 * Has `tell(path)` called for each file, once, that is code or a template of the application, when it is read: in any
 * thread, with the GIL. Between python_start and python_load. 0, or -1 with the reason logged.
 */
int python_watch(void (*tell)(const char *path));

/*
 * Imports the application and makes the handler that calls it. NULL with the traceback or the reason
 * logged. The GIL is held before and after.
 */
struct handler *python_load(const struct python_config *config);

/* Whether the handler, in the application's stead, says why that does not load: config.serves_failure. */
bool python_has_failed(const struct handler *handler);

/* Calls what the application gave to cserve.post_fork, with the GIL. 0, or -1 with the traceback logged. */
int python_post_fork(void);

/*
 * Warns, by name, about threads that the application has started: processes forked from this one will not
 * have them.
 */
void python_warn_of_threads(void);

/*
 * Forks a process from this one, which has loaded an application, by way of another that ends at once: its
 * parent is then the nearest subreaper. Returns 0 here, 1 in the new process, -1 with errno. The GIL is held
 * before and after.
 */
int python_fork_away(void);

/*
 * Calls what the application gave to cserve.worker_exit, frees the handler and ends the interpreter: atexit
 * functions run, stdio is flushed.
 */
void python_stop(struct handler *handler);

/* Ends a forked process. */
_Noreturn void python_exit(int status);

#endif
