/* SPDX-License-Identifier: MIT */
/*
 * The gateway as the server sees it: loading and dropping the application, and who has the GIL. A thread
 * takes the GIL with the first request of a batch of events and keeps it until it is about to block, so that
 * a busy loop takes it once for many requests. While application code runs, the interpreter shares it among
 * threads as ever. In a free-threaded interpreter it is the same calls that attach the thread and detach it.
 */
#include "gateway.h"

#include <stdlib.h>

#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/python.h"

#include "app.h"
#include "call.h"
#include "hooks.h"
#include "traceback.h"

enum { LOANS_KEPT = 64 };

static _Thread_local struct gateway *current;

struct gateway *gateway_current(void)
{
    return current;
}

void gateway_enter(struct gateway *g)
{
    if (g->away == NULL)
        return;
    PyEval_RestoreThread(g->away);
    g->away = NULL;
}

void gateway_leave(struct gateway *g)
{
    if (g->away == NULL)
        g->away = PyEval_SaveThread();
}

static enum handler_verdict on_start(struct handler *h, struct exchange *x)
{
    struct gateway *g = (struct gateway *)h;
    enum handler_verdict verdict;
    bool taken;

    gateway_enter(g);
    taken = compat_lock(&g->lock);
    verdict = call_start(g, x);
    compat_unlock(&g->lock, taken);
    return verdict;
}

static enum handler_verdict on_resume(struct handler *h, struct exchange *x)
{
    struct gateway *g = (struct gateway *)h;
    enum handler_verdict verdict;
    bool taken;

    gateway_enter(g);
    taken = compat_lock(&g->lock);
    verdict = call_resume(x->state);
    compat_unlock(&g->lock, taken);
    return verdict;
}

static void on_cancel(struct handler *h, struct exchange *x)
{
    struct gateway *g = (struct gateway *)h;
    bool taken;

    gateway_enter(g);
    taken = compat_lock(&g->lock);
    call_cancel(x->state);
    compat_unlock(&g->lock, taken);
}

static void on_leave(struct handler *h)
{
    gateway_leave((struct gateway *)h);
}

static int64_t on_enter(struct handler *h)
{
    struct gateway *g = (struct gateway *)h;
    int64_t began_us;

    if (g->away == NULL)
        return -1;
    began_us = clock_us();
    gateway_enter(g);
    return clock_us() - began_us;
}

static struct exchange *on_hold(struct handler *h)
{
    struct gateway *g = (struct gateway *)h;

    compat_lock(&g->lock);
    return g->calling != NULL ? g->calling->exchange : NULL;
}

static void on_let_go(struct handler *h)
{
    compat_unlock(&((struct gateway *)h)->lock, true);
}

/* What was done since it was held may have run code that let the GIL go. */
static struct sighting *on_look(struct handler *h, int64_t age_ms, const char *verdict)
{
    const struct call *call = ((struct gateway *)h)->calling;

    return call != NULL ? call_look(call, age_ms, verdict) : NULL;
}

static bool on_expire(struct handler *h)
{
    return call_expire(((struct gateway *)h)->calling);
}

static struct handler *on_attach(struct handler *h);
static void on_detach(struct handler *h);

static const struct handler_ops gateway_ops = {
    .start = on_start,
    .resume = on_resume,
    .cancel = on_cancel,
    .leave = on_leave,
    .enter = on_enter,
    .hold = on_hold,
    .let_go = on_let_go,
    .look = on_look,
    .report = traceback_report,
    .expire = on_expire,
    .attach = on_attach,
    .detach = on_detach,
};

static void gateway_release(struct gateway *g)
{
    call_free_idle(g);
    environ_factory_release(&g->environ);
    known_heads_release(&g->known_heads);
    file_wrapper_release(&g->files);
    mem_pool_release(&g->loans);
    Py_XDECREF(g->app);
    Py_XDECREF(g->close_name);
    Py_XDECREF(g->warned);
    Py_XDECREF(g->errors);
    free(g->scratch);
}

/* Threads of the application may have objects that know the gateway: it goes when there is no Python any more. */
static void keep_ended(struct gateway *first, struct gateway *g)
{
    bool taken = compat_lock(&first->lock);

    g->ended = first->ended;
    first->ended = g;
    compat_unlock(&first->lock, taken);
}

static void free_all(struct gateway *g)
{
    while (g != NULL) {
        struct gateway *next = g->ended;

        free(g);
        g = next;
    }
}

/* 0, or -1 with an exception set. `app` and `warned` are set. */
static int gateway_furnish(struct gateway *g)
{
    struct environ_settings settings = {
        .multithread = g->config->multithread,
        .multiprocess = g->config->multiprocess,
        .file_wrapper = (PyObject *)&file_wrapper_type,
    };

    if (file_wrapper_init(&g->files) < 0)
        return -1;
    g->close_name = PyUnicode_InternFromString("close");
    g->errors = settings.errors = errors_new();
    if (g->close_name == NULL || g->errors == NULL)
        return -1;
    return environ_factory_init(&g->environ, &settings);
}

/* For the calling thread, which holds the GIL. */
static struct gateway *gateway_new(const struct python_config *config)
{
    struct gateway *g = mem_zalloc(sizeof(*g));

    g->handler.ops = &gateway_ops;
    g->config = config;
    g->thread = PyThread_get_thread_ident();
    g->state = PyThreadState_Get();
    mem_pool_init(&g->loans, sizeof(struct loan), LOANS_KEPT);
    current = g;
    return g;
}

/* The thread state lives as long as the thread, so that thread-locals and database connections do. */
static struct handler *on_attach(struct handler *h)
{
    struct gateway *first = (struct gateway *)h;
    PyThreadState *state = PyThreadState_New(PyInterpreterState_Main());
    struct gateway *g;

    if (state == NULL)
        return NULL;
    PyEval_RestoreThread(state);
    g = gateway_new(first->config);
    g->first = first;
    g->app = Py_NewRef(first->app);
    g->warned = Py_NewRef(first->warned);
    if (gateway_furnish(g) == 0)
        return &g->handler;
    traceback_log("A thread of the server could not be set up");
    on_detach(&g->handler);
    return NULL;
}

static void on_detach(struct handler *h)
{
    struct gateway *g = (struct gateway *)h;

    gateway_enter(g);
    gateway_release(g);
    keep_ended(g->first, g);
    current = NULL;
    PyThreadState_Clear(PyThreadState_Get());
    PyThreadState_DeleteCurrent();
}

/* What importing made stays for good: the collector need not look at it again. */
static int freeze(void)
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *frozen = NULL;

    PyGC_Collect();
    if (gc != NULL)
        frozen = PyObject_CallMethod(gc, "freeze", NULL);
    Py_XDECREF(frozen);
    Py_XDECREF(gc);
    return frozen != NULL ? 0 : -1;
}

static int init_types(void)
{
    return input_init() < 0 || errors_init() < 0 || start_response_init() < 0 ? -1 : 0;
}

struct handler *python_load(const struct python_config *config)
{
    struct gateway *g = gateway_new(config);

    g->app = config->serves_failure ? app_load_or_explain(config, &g->failed) : app_load(config);
    g->warned = g->app != NULL ? PySet_New(NULL) : NULL;
    if (g->warned != NULL && init_types() == 0 && gateway_furnish(g) == 0 && freeze() == 0)
        return &g->handler;
    if (PyErr_Occurred())
        traceback_log(APP_FAILED);
    gateway_release(g);
    free_all(g);
    return NULL;
}

bool python_has_failed(const struct handler *handler)
{
    return ((const struct gateway *)handler)->failed;
}

void gateway_end(struct handler *handler)
{
    struct gateway *g = (struct gateway *)handler;

    if (g == NULL)
        return;
    gateway_enter(g);
    hooks_worker_exit();
    gateway_release(g);
}

void gateway_free(struct handler *handler)
{
    free_all((struct gateway *)handler);
}
