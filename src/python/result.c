/* SPDX-License-Identifier: MIT */
/*
 * Results. A list or tuple has all its items already: its length is known, and its items leave together.
 * Anything else is asked item by item, and each is sent before the next is asked for. A wrapper of a real
 * file is neither: the server sends the file.
 *
 * What breaks a rule of PEP 3333 becomes an exception here, as if the application had raised it.
 */
#include "result.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "traceback.h"

enum { FILE_SCRATCH = 64 * 1024 }; /* files up to this size leave in one send with the head */

static enum progress progress_of(enum exchange_result result)
{
    return result == EXCHANGE_GONE ? PROGRESS_GONE : PROGRESS_COMPLETE;
}

static int check_started(const struct call *call)
{
    if (call->started)
        return 0;
    PyErr_SetString(PyExc_AssertionError,
                    "WSGI: the application did not call start_response before its content");
    return -1;
}

static int check_item(PyObject *item)
{
    if (PyBytes_Check(item))
        return 0;
    PyErr_Format(PyExc_TypeError, "WSGI: the items of the result must be bytes, not '%.200s' (%.200R)",
                 Py_TYPE(item)->tp_name, item);
    return -1;
}

/* Whether it is no use to ask for more content: the response has none (HEAD, 204, 304). */
static bool is_bodyless(const struct exchange *x)
{
    return exchange_is_committed(x) && x->response.framing == HTTP_FRAMING_NONE;
}

/* Lists and tuples. */

static Py_ssize_t sequence_size(PyObject *sequence)
{
    return PyList_CheckExact(sequence) ? PyList_GET_SIZE(sequence) : PyTuple_GET_SIZE(sequence);
}

/* Borrowed. */
static PyObject *sequence_item(PyObject *sequence, Py_ssize_t index)
{
    return PyList_CheckExact(sequence) ? PyList_GET_ITEM(sequence, index) : PyTuple_GET_ITEM(sequence, index);
}

/* The length of all items together; -1 with an exception set if one is not bytes. */
static int64_t sequence_total(PyObject *sequence)
{
    Py_ssize_t size = sequence_size(sequence);
    int64_t total = 0;

    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *item = sequence_item(sequence, i);

        if (check_item(item) < 0)
            return -1;
        total += PyBytes_GET_SIZE(item);
    }
    return total;
}

/* Sends what is left of the list. It may have been changed while the client was waited for. */
static enum progress sequence_send(struct call *call)
{
    struct exchange *x = call->exchange;

    while (call->index < sequence_size(call->result)) {
        PyObject *item = sequence_item(call->result, call->index++);
        enum exchange_result result = EXCHANGE_OK;

        if (check_item(item) < 0)
            return PROGRESS_FAILED;
        if (PyBytes_GET_SIZE(item) > 0)
            result = call_send(call, item, -1);
        if (result == EXCHANGE_OK && exchange_is_full(x)) {
            result = exchange_flush(x);
            if (result == EXCHANGE_OK && exchange_is_full(x) && call->index < sequence_size(call->result))
                return PROGRESS_FULL;
        }
        if (result != EXCHANGE_OK)
            return progress_of(result);
    }
    return PROGRESS_COMPLETE;
}

/* As sequence_send, for a list or tuple that another thread may be about to change. */
static enum progress sequence_resume(struct call *call)
{
    struct compat_section section;
    enum progress progress;

    compat_section_begin(&section, call->result);
    progress = sequence_send(call);
    compat_section_end(&section);
    return progress;
}

static enum progress sequence_start(struct call *call)
{
    int64_t total = sequence_total(call->result);

    if (total < 0 || check_started(call) < 0)
        return PROGRESS_FAILED;
    if (!exchange_is_committed(call->exchange))
        exchange_commit(call->exchange, total);
    return is_bodyless(call->exchange) ? PROGRESS_COMPLETE : sequence_send(call);
}

static enum progress sequence_begin(struct call *call)
{
    struct compat_section section;
    enum progress progress;

    compat_section_begin(&section, call->result);
    progress = sequence_start(call);
    compat_section_end(&section);
    return progress;
}

/* Iterators. */

/*
 * Sends one item and flushes. `*result` is EXCHANGE_OK when the next is wanted. 0, or -1 with an exception
 * set.
 */
static int item_send(struct call *call, PyObject *item, enum exchange_result *result)
{
    Py_ssize_t size;

    *result = EXCHANGE_OK;
    if (check_item(item) < 0)
        return -1;
    size = PyBytes_GET_SIZE(item);
    if (size == 0)
        return 0;
    if (check_started(call) < 0)
        return -1;
    *result = call_send(call, item, call->single ? size : -1);
    if (*result == EXCHANGE_OK)
        *result = exchange_flush(call->exchange);
    return 0;
}

static enum progress iterator_end(struct call *call)
{
    if (PyErr_Occurred() || check_started(call) < 0)
        return PROGRESS_FAILED;
    if (!exchange_is_committed(call->exchange))
        exchange_commit(call->exchange, 0);
    return PROGRESS_COMPLETE;
}

/* The next item: new reference, or NULL, maybe with an exception set. */
static PyObject *iterator_next(struct call *call)
{
    PyObject *item;

    compat_unlock(&call->gateway->lock, true);
    item = PyIter_Next(call->iterator);
    compat_lock(&call->gateway->lock);
    return item;
}

static enum progress iterator_send(struct call *call)
{
    struct exchange *x = call->exchange;
    enum exchange_result result;
    PyObject *item;

    while ((item = iterator_next(call)) != NULL) {
        int status = item_send(call, item, &result);

        Py_DECREF(item);
        if (status < 0)
            return PROGRESS_FAILED;
        if (result != EXCHANGE_OK || is_bodyless(x))
            return progress_of(result);
        if (exchange_is_full(x))
            return PROGRESS_FULL;
    }
    return iterator_end(call);
}

/* Whether it has a len() and that is 1: then the first item is all there is. */
static bool is_single(PyObject *result)
{
    const PyTypeObject *type = Py_TYPE(result);
    Py_ssize_t size;

    if ((type->tp_as_sequence == NULL || type->tp_as_sequence->sq_length == NULL) &&
        (type->tp_as_mapping == NULL || type->tp_as_mapping->mp_length == NULL))
        return false;
    size = PyObject_Size(result);
    if (size < 0)
        PyErr_Clear(); /* it has none after all */
    return size == 1;
}

static int check_iterable(PyObject *result)
{
    if (PyBytes_Check(result) || PyUnicode_Check(result)) {
        PyErr_Format(PyExc_TypeError,
                     "WSGI: the application returned '%.200s' rather than an iterable of bytes",
                     Py_TYPE(result)->tp_name);
        return -1;
    }
    if (Py_TYPE(result)->tp_iter == NULL && !PySequence_Check(result)) {
        PyErr_Format(PyExc_TypeError, "WSGI: the application returned '%.200s', which is not iterable%s",
                     Py_TYPE(result)->tp_name, result == Py_None ? " (is a return missing?)" : "");
        return -1;
    }
    return 0;
}

static enum progress iterator_begin(struct call *call)
{
    if (check_iterable(call->result) < 0)
        return PROGRESS_FAILED;
    compat_unlock(&call->gateway->lock, true);
    call->iterator = PyObject_GetIter(call->result);
    call->single = call->iterator != NULL && is_single(call->result);
    compat_lock(&call->gateway->lock);
    return call->iterator != NULL ? iterator_send(call) : PROGRESS_FAILED;
}

/* Files. */

/* Reads into the scratch and sends that: less work than a descriptor of its own. */
static enum progress file_send_small(struct call *call, const struct file_range *file)
{
    struct gateway *g = call->gateway;
    ssize_t len;

    if (g->scratch == NULL)
        g->scratch = mem_alloc(FILE_SCRATCH);
    do
        len = pread(file->fd, g->scratch, (size_t)file->len, file->offset);
    while (len < 0 && errno == EINTR);
    if (len < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return PROGRESS_FAILED;
    }
    return progress_of(call_note(call, (uint64_t)len,
                                 exchange_write(call->exchange, str_make(g->scratch, (size_t)len), NULL)));
}

/* The server gets a descriptor of its own, so that the application's file can be closed at once. */
static enum progress file_send_large(struct call *call, const struct file_range *file)
{
    int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return PROGRESS_FAILED;
    }
    return progress_of(
        call_note(call, file->len, exchange_sendfile(call->exchange, fd, file->offset, file->len)));
}

/* A Content-Length smaller than the file means that only so much of it is wanted. */
static enum progress file_send(struct call *call, struct file_range *file)
{
    struct exchange *x = call->exchange;

    if (check_started(call) < 0)
        return PROGRESS_FAILED;
    if (!exchange_is_committed(x))
        exchange_commit(x, (int64_t)file->len);
    if (x->response.framing == HTTP_FRAMING_LENGTH && file->len > x->response.left)
        file->len = x->response.left;
    if (file->len == 0 || is_bodyless(x))
        return PROGRESS_COMPLETE;
    return file->len <= FILE_SCRATCH ? file_send_small(call, file) : file_send_large(call, file);
}

enum progress result_begin(struct call *call)
{
    PyObject *result = call->result;
    struct file_range file;

    if (PyList_CheckExact(result) || PyTuple_CheckExact(result))
        return sequence_begin(call);
    if (Py_IS_TYPE(result, &file_wrapper_type) && file_wrapper_range(result, &call->gateway->files, &file))
        return file_send(call, &file);
    return iterator_begin(call);
}

enum progress result_resume(struct call *call)
{
    return call->iterator != NULL ? iterator_send(call) : sequence_resume(call);
}

void result_close(struct call *call, bool complete)
{
    PyObject *result = call->result, *close = NULL, *returned;
    char heading[CALL_TEXT_MAX + 64], text[CALL_TEXT_MAX];

    call->result = NULL;
    if (result == NULL || PyList_CheckExact(result) || PyTuple_CheckExact(result))
        goto done;
    if (compat_optional_attr(result, call->gateway->close_name, &close) == 0) {
        if (close == NULL)
            goto done;
        if (complete && !PyGen_CheckExact(result))
            exchange_flush(call->exchange);
        compat_unlock(&call->gateway->lock, true);
        returned = PyObject_CallNoArgs(close);
        Py_XDECREF(returned);
        compat_lock(&call->gateway->lock);
    }
    if (PyErr_Occurred()) {
        call_describe(call, text);
        snprintf(heading, sizeof(heading), "Exception in close() of the result of %s", text);
        traceback_log(heading);
    }
done:
    Py_XDECREF(close);
    Py_XDECREF(result);
    Py_CLEAR(call->iterator);
}
