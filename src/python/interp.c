/* SPDX-License-Identifier: MIT */
/*
 * Starting the interpreter that is linked in, so that the application cannot tell it from its own python: the
 * environment variables count (PYTHONPATH and the others), sys.executable, sys.prefix and sys.path are those of
 * the virtual environment or of the Python that cserve was built with, and site runs. What differs: furnish.c,
 * and signals are the worker's, so Python installs no handlers.
 *
 * Until a worker calls python_start there is no interpreter, and the master never does. guest.c defines the same
 * functions for the extension module.
 */
#include "compat.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/python.h"

#include "furnish.h"
#include "gateway.h"
#include "module.h"
#include "traceback.h"
#include "venv.h"

static const struct venv_seeker seeker = {
    .python = PYTHON_EXECUTABLE,
    .remedy = {"build cserve for its Python: make PYTHON=", "/bin/python"},
    .around = true,
};

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

int python_start(const struct python_config *config)
{
    struct venv venv;
    int result = -1;

    if (venv_find(&venv, config->venv, &seeker) != 0)
        goto done;
    venv_drop_home(&venv);
    if (initialise(config, &venv) != 0)
        goto done;
    result = module_init() == 0 ? furnish(config) : -1;
    if (result != 0)
        traceback_log("Python does not start");
done:
    venv_release(&venv);
    return result;
}

int python_choose(const struct python_config *config, const char *start_dir)
{
    (void)config;
    (void)start_dir;
    return 0;
}

pid_t python_fork(void)
{
    return fork();
}

void python_stop(struct handler *handler)
{
    if (!Py_IsInitialized())
        return;
    gateway_end(handler);
    if (Py_FinalizeEx() < 0)
        log_warning("output of the application was lost at the end: stdout or stderr could not be flushed");
    gateway_free(handler);
}

void python_exit(int status)
{
    exit(status);
}
