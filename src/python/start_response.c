/* SPDX-License-Identifier: MIT */
/*
 * start_response and write. The head is staged in the exchange at once, so what is wrong with it raises in
 * the application, where the mistake is, with a message that names the rule, the field and the value. It
 * becomes final with the first byte of content, so until then start_response may be called again with
 * exc_info.
 *
 * Nothing of exc_info is kept. The list of fields is read during the call and may change afterwards.
 */
#include "start_response.h"

#include <stddef.h>

#include "cserve/log.h"

#include "call.h"

enum { WARNED_MAX = 256 }; /* names that are remembered as warned of */

/*
 * The call that lent the object, if it may be used now: with the lock of its gateway, which is to be unlocked with *taken.
 * Else NULL with an exception set.
 */
static struct call *active_call(struct responder *self, const char *what, bool *taken)
{
    struct call *call;
    const char *when;

    *taken = compat_lock(&self->gateway->lock);
    call = self->owner;
    if (call != NULL && call->active)
        return call;
    when = call == NULL ? "after its request had ended" : "while the application was not running";
    compat_unlock(&self->gateway->lock, *taken);
    PyErr_Format(PyExc_RuntimeError, "WSGI: %s was called %s", what, when);
    return NULL;
}

/* What an argument of ours is not. Returns -1 with an exception set. */
static int raise_type(const char *what, const char *expected, PyObject *value)
{
    PyErr_Format(PyExc_TypeError, "WSGI: %s must be %s, not '%.200s' (%.200R)", what, expected,
                 Py_TYPE(value)->tp_name, value);
    return -1;
}

static int stage_status(struct exchange *x, PyObject *status)
{
    struct str text;

    if (!PyUnicode_Check(status))
        return raise_type("the status", "a str", status);
    if (compat_latin1(status, &text) < 0) {
        PyErr_Format(PyExc_ValueError, "WSGI: the status %.200R holds a character above U+00FF", status);
        return -1;
    }
    if (exchange_status(x, text) == HTTP_FIELD_ADDED)
        return 0;
    PyErr_Format(PyExc_ValueError,
                 "WSGI: the status %.200R is not three digits from 200 on, a space and a reason without "
                 "control characters",
                 status);
    return -1;
}

/* Says it, unless it was said for the name. */
static int warn_of(struct gateway *g, PyObject *name)
{
    struct str text = STR("");
    char escaped[128];
    int known = PySet_Contains(g->warned, name);

    if (known != 0 || PySet_GET_SIZE(g->warned) >= WARNED_MAX)
        return known < 0 ? -1 : 0;
    compat_latin1(name, &text);
    log_warning("WSGI: the field '%.*s' is the server's business (PEP 3333 forbids hop-by-hop fields): it is "
                "dropped from this and all later responses",
                (int)str_escape(escaped, sizeof(escaped), text), escaped);
    return PySet_Add(g->warned, name);
}

/*
 * Says once for each name that the server does not send the field. Of a str that has a hash of its own, a plain one is taken: no
 * code of the application may run while its headers are read.
 */
static int warn_dropped(struct gateway *g, PyObject *name)
{
    PyObject *plain = PyUnicode_FromObject(name);
    int status = plain != NULL ? warn_of(g, plain) : -1;

    Py_XDECREF(plain);
    return status;
}

/* Sets the exception for what the exchange refused. Returns -1. */
static int raise_refused(enum http_field_verdict verdict, PyObject *name, PyObject *value)
{
    const char *rule = "WSGI: the field %.200R has a value that is not allowed: %.200R";

    if (verdict == HTTP_FIELD_BAD_NAME)
        rule = "WSGI: the field name %.200R is empty or holds a character that is not allowed (value %.200R)";
    if (verdict == HTTP_FIELD_BAD_VALUE)
        rule = "WSGI: the field %.200R holds a CR, LF, NUL or other control character in its value %.200R";
    if (verdict == HTTP_FIELD_BAD_LENGTH)
        rule = "WSGI: the field %.200R is not one number of bytes in decimal digits: %.200R";
    PyErr_Format(PyExc_ValueError, rule, name, value);
    return -1;
}

static int stage_field(struct call *call, PyObject *name, PyObject *value)
{
    struct str name_text, value_text;
    enum http_field_verdict verdict;

    if (!PyUnicode_Check(name))
        return raise_type("a field name", "a str", name);
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError,
                     "WSGI: the value of the field %.200R must be a str, not '%.200s' (%.200R)", name,
                     Py_TYPE(value)->tp_name, value);
        return -1;
    }
    if (compat_latin1(name, &name_text) < 0 || compat_latin1(value, &value_text) < 0) {
        PyErr_Format(PyExc_ValueError, "WSGI: the field %.200R holds a character above U+00FF: %.200R", name,
                     value);
        return -1;
    }
    verdict = exchange_field(call->exchange, name_text, value_text);
    if (verdict == HTTP_FIELD_ADDED || verdict == HTTP_FIELD_TAKEN)
        return 0;
    if (verdict == HTTP_FIELD_DROPPED)
        return warn_dropped(call->gateway, name);
    return raise_refused(verdict, name, value);
}

static int stage_fields(struct call *call, PyObject *headers)
{
    if (!PyList_CheckExact(headers))
        return raise_type("the headers", "a list", headers);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(headers, i)); /* to say what is wrong may run code that changes the list */
        int status;

        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2)
            status = raise_type("each of the headers", "a tuple of name and value", pair);
        else
            status = stage_field(call, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
        Py_DECREF(pair);
        if (status < 0)
            return -1;
    }
    return 0;
}

static int stage_head(struct call *call, PyObject *status, PyObject *headers)
{
    struct known_heads *known = &call->gateway->known_heads;

    if (known_heads_give(known, call->exchange, status, headers))
        return 0;
    if (stage_status(call->exchange, status) < 0 || stage_fields(call, headers) < 0)
        return -1;
    known_heads_note(known, call->exchange, status, headers);
    return 0;
}

/* Raises the exception of exc_info, with its traceback: the head is sent already. Returns -1. */
static int raise_again(PyObject *exc_info)
{
    PyObject *value = PyTuple_GET_ITEM(exc_info, 1), *traceback = PyTuple_GET_ITEM(exc_info, 2);

    if (!PyExceptionInstance_Check(value))
        return raise_type("exc_info[1], when the head was sent already,", "an exception", value);
    if (PyTraceBack_Check(traceback) && PyException_SetTraceback(value, traceback) < 0)
        return -1;
    compat_exception_give(Py_NewRef(value));
    return -1;
}

/* Whether the head may be given now; exc_info is NULL without one. 0, or -1 with an exception set. */
static int check_turn(const struct call *call, PyObject *exc_info)
{
    if (exc_info == NULL) {
        if (!call->started)
            return 0;
        PyErr_SetString(PyExc_AssertionError,
                        "WSGI: start_response was called a second time without exc_info");
        return -1;
    }
    if (!PyTuple_Check(exc_info) || PyTuple_GET_SIZE(exc_info) != 3)
        return raise_type("exc_info", "a tuple of three, as from sys.exc_info()", exc_info);
    return exchange_is_committed(call->exchange) ? raise_again(exc_info) : 0;
}

/*
 * exc_info alone may be given by name. Returns it, NULL if there is none or None. 0, or -1 with an exception
 * set.
 */
static int parse_arguments(PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **exc_info)
{
    Py_ssize_t named = names != NULL ? PyTuple_GET_SIZE(names) : 0;

    *exc_info = NULL;
    if (count < 2 || count + named > 3) {
        PyErr_Format(PyExc_TypeError,
                     "WSGI: start_response takes a status, headers and optionally exc_info (%zd arguments "
                     "given)",
                     count + named);
        return -1;
    }
    if (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "exc_info") != 0) {
        PyErr_Format(PyExc_TypeError, "WSGI: start_response takes no argument named %R",
                     PyTuple_GET_ITEM(names, 0));
        return -1;
    }
    if (count + named == 3 && args[2] != Py_None)
        *exc_info = args[2];
    return 0;
}

static PyObject *begin_response(struct call *call, PyObject *const *args, size_t flags, PyObject *names)
{
    struct compat_section section;
    PyObject *exc_info;
    int status;

    if (parse_arguments(args, PyVectorcall_NARGS(flags), names, &exc_info) < 0 || check_turn(call, exc_info) < 0)
        return NULL;
    call->started = false;
    compat_section_begin(&section, args[1]);
    status = stage_head(call, args[0], args[1]);
    compat_section_end(&section);
    if (status < 0)
        return NULL;
    call->started = true;
    return Py_NewRef((PyObject *)call->write);
}

static PyObject *start_response_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    bool taken;
    struct call *call = active_call((struct responder *)self, "start_response", &taken);
    PyObject *write;

    if (call == NULL)
        return NULL;
    write = begin_response(call, args, flags, names);
    compat_unlock(&call->gateway->lock, taken);
    return write;
}

/* Waits, with GIL and lock let go, until the client has read enough for more. */
static enum exchange_result drain(struct call *call)
{
    struct gateway *g = call->gateway;
    enum exchange_result result = exchange_flush(call->exchange);

    if (result != EXCHANGE_OK || !exchange_is_full(call->exchange))
        return result;
    call->active = false;
    call->draining = true;
    compat_unlock(&g->lock, true);
    gateway_leave(g);
    result = exchange_drain(call->exchange);
    gateway_enter(g);
    compat_lock(&g->lock);
    call->draining = false;
    call->active = true;
    return result;
}

static PyObject *write_bytes(struct call *call, PyObject *const *args, size_t flags, PyObject *names)
{
    enum exchange_result result;

    if (PyVectorcall_NARGS(flags) != 1 || (names != NULL && PyTuple_GET_SIZE(names) > 0)) {
        PyErr_SetString(PyExc_TypeError, "WSGI: write takes one argument, bytes");
        return NULL;
    }
    if (!PyBytes_Check(args[0])) {
        raise_type("the argument of write", "bytes", args[0]);
        return NULL;
    }
    if (call->gateway != gateway_current()) {
        PyErr_SetString(PyExc_RuntimeError, "WSGI: write was called on another thread than the application");
        return NULL;
    }
    if (PyBytes_GET_SIZE(args[0]) == 0)
        Py_RETURN_NONE;
    result = call_send(call, args[0], -1);
    if (result == EXCHANGE_OK)
        result = drain(call);
    if (result == EXCHANGE_GONE) {
        PyErr_SetString(PyExc_ConnectionResetError, "WSGI: the client is gone");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *write_call(PyObject *self, PyObject *const *args, size_t flags, PyObject *names)
{
    bool taken;
    struct call *call = active_call((struct responder *)self, "write", &taken);
    PyObject *none;

    if (call == NULL)
        return NULL;
    none = write_bytes(call, args, flags, names);
    compat_unlock(&call->gateway->lock, taken);
    return none;
}

static void responder_dealloc(PyObject *self)
{
    PyObject_Free(self);
}

static PyTypeObject start_response_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cserve.StartResponse",
    .tp_doc = PyDoc_STR("start_response(status, headers, exc_info=None): begin the response; returns write."),
    .tp_basicsize = sizeof(struct responder),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = responder_dealloc,
    .tp_vectorcall_offset = offsetof(struct responder, function),
    .tp_call = PyVectorcall_Call,
};

static PyTypeObject write_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cserve.Write",
    .tp_doc = PyDoc_STR("write(data): send bytes at once. For old applications."),
    .tp_basicsize = sizeof(struct responder),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = responder_dealloc,
    .tp_vectorcall_offset = offsetof(struct responder, function),
    .tp_call = PyVectorcall_Call,
};

int start_response_init(void)
{
    return PyType_Ready(&start_response_type) < 0 || PyType_Ready(&write_type) < 0 ? -1 : 0;
}

static struct responder *responder_new(PyTypeObject *type, vectorcallfunc function, struct call *call)
{
    struct responder *self = PyObject_New(struct responder, type);

    if (self == NULL)
        return NULL;
    self->function = function;
    self->gateway = call->gateway;
    self->owner = call;
    return self;
}

struct responder *start_response_new(struct call *call)
{
    return responder_new(&start_response_type, start_response_call, call);
}

struct responder *write_new(struct call *call)
{
    return responder_new(&write_type, write_call, call);
}
