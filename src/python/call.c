/* SPDX-License-Identifier: MIT */
/*
 * One call of the application, from environ to close(). Every way that it can end passes call_end, which
 * closes the result, severs what the application may still hold, and keeps the rest for the next call.
 *
 * Each call runs in a context of its own, entered whenever its code runs: context variables that one request
 * sets are not seen by the next, nor by those whose results are produced in turn with its own.
 */
#include "call.h"

#include <errno.h>

#include "cserve/log.h"

#include "module.h"
#include "result.h"
#include "traceback.h"

enum {
    IDLE_MAX = 64,
    LOAN_MIN = 16 * 1024, /* smaller runs are copied by the server anyway */
    HEADING_MAX = CALL_TEXT_MAX + 64,
};

/* On the thread that sent them, which need not be the one that lent them. */
static void loan_release(void *arg)
{
    struct loan *loan = arg;
    struct gateway *g = gateway_current();

    gateway_enter(g);
    Py_DECREF(loan->bytes);
    mem_pool_give(&g->loans, loan);
}

void call_describe(const struct call *call, char text[CALL_TEXT_MAX])
{
    const struct http_head *head = &call->exchange->head;
    char *end = text + (CALL_TEXT_MAX - 16);
    char *at = text;

    at += str_escape(at, (size_t)(end - at) / 4, head->method);
    *at++ = ' ';
    at += str_escape(at, (size_t)(end - at), head->target);
    snprintf(at, (size_t)(text + CALL_TEXT_MAX - at), " HTTP/1.%d", head->minor);
}

static void log_length(const struct call *call, const char *how)
{
    char text[CALL_TEXT_MAX];

    call_describe(call, text);
    log_error("WSGI: Content-Length is %lld, but the application produced %llu bytes%s: %s",
              (long long)call->exchange->response.content_length, (unsigned long long)call->produced, how,
              text);
}

enum exchange_result call_note(struct call *call, uint64_t len, enum exchange_result result)
{
    call->produced += len;
    if (result == EXCHANGE_EXCESS && !call->excess_logged) {
        call->excess_logged = true;
        log_length(call, " or more, of which the rest is not sent");
    }
    return result;
}

enum exchange_result call_send(struct call *call, PyObject *bytes, int64_t total)
{
    struct gateway *g = call->gateway;
    struct str run = str_make(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    struct sendq_owner owner;
    struct loan *loan;

    if (!exchange_is_committed(call->exchange))
        exchange_commit(call->exchange, total);
    if (run.len < LOAN_MIN)
        return call_note(call, run.len, exchange_write(call->exchange, run, NULL));
    loan = mem_pool_take(&g->loans);
    loan->bytes = Py_NewRef(bytes);
    owner = (struct sendq_owner){loan_release, loan};
    return call_note(call, run.len, exchange_write(call->exchange, run, &owner));
}

static struct call *call_take(struct gateway *g)
{
    struct call *call = g->idle;

    if (call == NULL) {
        call = mem_zalloc(sizeof(*call));
        call->gateway = g;
        return call;
    }
    g->idle = call->next;
    g->idle_count--;
    return call;
}

static void call_free(struct call *call)
{
    Py_XDECREF(call->context);
    Py_XDECREF(call->start_response);
    Py_XDECREF(call->write);
    Py_XDECREF(call->input);
    free(call);
}

static void call_give(struct call *call)
{
    struct gateway *g = call->gateway;

    if (g->idle_count >= IDLE_MAX) {
        call_free(call);
        return;
    }
    call->next = g->idle;
    g->idle = call;
    g->idle_count++;
}

void call_free_idle(struct gateway *g)
{
    while (g->idle != NULL) {
        struct call *call = g->idle;

        g->idle = call->next;
        call_free(call);
    }
    g->idle_count = 0;
}

/* Makes the objects that the application gets, as far as there are none from an earlier call. */
static int lend(struct call *call)
{
    if (call->start_response == NULL && (call->start_response = start_response_new(call)) == NULL)
        return -1;
    if (call->write == NULL && (call->write = write_new(call)) == NULL)
        return -1;
    if (call->input == NULL && (call->input = input_new()) == NULL)
        return -1;
    return input_open(call->input, &call->exchange->content);
}

/* Here as below, references are counted on the thread that made the object: there the count is never too small. */
static void sever(struct responder **responder)
{
    if (*responder == NULL || Py_REFCNT(*responder) == 1)
        return;
    (*responder)->owner = NULL;
    Py_CLEAR(*responder);
}

/* Takes back what was lent. Whatever the application kept must not reach the exchange any more. */
static void take_back(struct call *call)
{
    Py_ssize_t ours;

    sever(&call->start_response);
    sever(&call->write);
    if (call->input == NULL)
        return;
    input_sever(call->input);
    ours = 1 + call->input->prepared +
           template_input_references(&call->gateway->environ.template, (PyObject *)call->input);
    if (Py_REFCNT(call->input) > ours)
        Py_CLEAR(call->input);
}

static int enter_context(struct call *call)
{
    if (call->context == NULL)
        call->context = PyContext_CopyCurrent();
    if (call->context == NULL)
        return -1;
    if (PyContext_Enter(call->context) == 0)
        return 0;
    Py_CLEAR(call->context);
    return -1;
}

/* Whether a context is as good as a new one: it has no variable, and so had none when it was copied; and nobody has it. */
static bool is_blank(PyObject *context)
{
    return Py_REFCNT(context) == 1 && PyObject_Size(context) == 0;
}

/* Goes back to the context of the thread; `keep` the call's for later. One that is still blank will do for the next call. */
static void leave_context(struct call *call, bool keep)
{
    if (call->context == NULL)
        return;
    if (PyContext_Exit(call->context) < 0) {
        traceback_log("The context of a request is not the current one");
        keep = false;
    } else if (!keep) {
        keep = is_blank(call->context);
    }
    if (!keep)
        Py_CLEAR(call->context);
}

static void call_end(struct call *call, bool complete)
{
    struct gateway *g = call->gateway;

    call->active = false;
    errors_end_line(g->errors);
    result_close(call, complete);
    Py_CLEAR(call->environ);
    take_back(call);
    g->calling = NULL; /* from here on the monitor lets it be */
    if (call->expired)
        PyThreadState_SetAsyncExc(g->thread, NULL); /* it must not hit the next request */
    call->expired = false;
    leave_context(call, false);
    call->exchange->state = NULL;
    call->exchange = NULL;
    call_give(call);
}

/*
 * An exception is set. That the client is gone is no news: write() raised it, and the access log has it. Nor
 * is that time is up: the log has where the call was.
 */
static void fail(struct call *call)
{
    struct exchange *x = call->exchange;
    char heading[HEADING_MAX], text[CALL_TEXT_MAX];
    const char *reason = "app-error";
    bool gone = exchange_is_gone(x);
    int status = 500;

    errors_end_line(call->gateway->errors);
    if (PyErr_ExceptionMatches(module_request_timeout())) {
        status = 504;
        reason = "timeout-app";
    }
    if (gone && (PyErr_ExceptionMatches(PyExc_ConnectionError) || status == 504)) {
        PyErr_Clear();
    } else {
        call_describe(call, text);
        snprintf(heading, sizeof(heading), "Exception in the application for %s", text);
        traceback_log(heading);
    }
    if (!gone)
        exchange_fail(x, status, reason);
}

static void finish(struct call *call)
{
    if (exchange_finish(call->exchange) == EXCHANGE_SHORT)
        log_length(call, ", so the connection is closed");
}

/* Does what `progress` calls for, then lets go of the interpreter's state. */
static enum handler_verdict settle(struct call *call, enum progress progress)
{
    call->active = false;
    if (progress == PROGRESS_FULL) {
        leave_context(call, true);
        call->gateway->calling = NULL;
        return HANDLER_WAIT;
    }
    if (progress == PROGRESS_FAILED)
        fail(call);
    else if (progress == PROGRESS_COMPLETE)
        finish(call);
    call_end(call, progress == PROGRESS_COMPLETE);
    return HANDLER_DONE;
}

static int call_app(struct call *call)
{
    struct gateway *g = call->gateway;
    PyObject *args[3]; /* the first is the callee's to use */

    if (lend(call) < 0)
        return -1;
    call->environ = environ_new(&g->environ, call->exchange, call->input);
    if (call->environ == NULL)
        return -1;
    args[1] = call->environ;
    args[2] = (PyObject *)call->start_response;
    compat_unlock(&g->lock, true);
    call->result = PyObject_Vectorcall(g->app, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    compat_lock(&g->lock);
    return call->result == NULL ? -1 : 0;
}

enum handler_verdict call_start(struct gateway *g, struct exchange *x)
{
    struct call *call = call_take(g);

    x->state = call;
    g->calling = call;
    call->exchange = x;
    call->index = 0;
    call->produced = 0;
    call->started = call->single = call->excess_logged = false;
    call->active = true;
    if (enter_context(call) < 0 || call_app(call) < 0)
        return settle(call, PROGRESS_FAILED);
    return settle(call, result_begin(call));
}

enum handler_verdict call_resume(struct call *call)
{
    call->gateway->calling = call;
    call->active = true;
    if (PyContext_Enter(call->context) < 0) {
        Py_CLEAR(call->context);
        return settle(call, PROGRESS_FAILED);
    }
    return settle(call, result_resume(call));
}

void call_cancel(struct call *call)
{
    call->gateway->calling = call;
    if (PyContext_Enter(call->context) < 0) {
        Py_CLEAR(call->context);
        traceback_log("The context of a request cannot be entered");
    }
    call_end(call, false);
}

struct sighting *call_look(const struct call *call, int64_t age_ms, const char *verdict)
{
    char heading[HEADING_MAX], text[CALL_TEXT_MAX];

    call_describe(call, text);
    snprintf(heading, sizeof(heading), "%s has taken %.1f s%s; the application is at", text, (double)age_ms / 1000,
             verdict);
    return traceback_look(heading, call->gateway->state);
}

bool call_expire(struct call *call)
{
    call->expired = true;
    if (call->draining)
        exchange_abort(call->exchange);
    PyThreadState_SetAsyncExc(call->gateway->thread, module_request_timeout());
    return call->active;
}
