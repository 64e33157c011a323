/* SPDX-License-Identifier: MIT */
/*
 * wsgi.input. From memory, every call is a copy out of the connection's buffer. From a file, lines and small
 * reads go through a window of read-ahead; large reads go straight into the bytes object, without the GIL.
 *
 * The descriptor is a duplicate of the server's: a thread of the application may still be inside pread when
 * the request ends, and must not find another file under the same number. Whoever is last closes it.
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "cserve/mem.h"

enum { WINDOW = 64 * 1024 };

static PyTypeObject input_type;

static int check_open(const struct input *in)
{
    if (in->open)
        return 0;
    PyErr_SetString(PyExc_ValueError, "WSGI: wsgi.input was used after its request had ended");
    return -1;
}

static uint64_t left(const struct input *in)
{
    return in->len - in->at;
}

static void close_file(struct input *in)
{
    if (in->open || in->readers > 0 || in->fd < 0)
        return;
    close(in->fd);
    in->fd = -1;
}

/*
 * Reads the file's [offset, offset + len) to `room`; the server wrote all of it, so less is an error. 0 or
 * errno.
 */
static int read_fully(int fd, char *room, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t count = pread(fd, room, len, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count == 0 ? EIO : errno;
        room += count;
        len -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

static int raise_errno(int error)
{
    if (error == 0)
        return 0;
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* Reads what is too much for the window. Other threads may run meanwhile, and may end the request. */
static int read_directly(struct input *in, char *room, size_t len, uint64_t offset)
{
    int error;

    in->readers++;
    Py_BEGIN_ALLOW_THREADS
    error = read_fully(in->fd, room, len, offset);
    Py_END_ALLOW_THREADS
    in->readers--;
    close_file(in);
    return raise_errno(error);
}

static bool window_holds(const struct input *in, uint64_t offset)
{
    return offset >= in->window_at && offset < in->window_at + in->window_len;
}

/* Sees to it that the window holds the file's byte at offset, which is before the end. */
static int window_move(struct input *in, uint64_t offset)
{
    uint64_t rest = in->len - offset;
    size_t len = rest < WINDOW ? (size_t)rest : WINDOW;
    int error;

    if (window_holds(in, offset))
        return 0;
    if (in->window == NULL)
        in->window = mem_alloc(WINDOW);
    error = read_fully(in->fd, in->window, len, offset);
    in->window_at = offset;
    in->window_len = error == 0 ? len : 0;
    return raise_errno(error);
}

/* The bytes from `offset` on that are in memory now, at least one; NULL with an exception set. */
static const char *peek(struct input *in, uint64_t offset, size_t *len)
{
    if (in->bytes != NULL) {
        *len = (size_t)(in->len - offset);
        return in->bytes + offset;
    }
    if (window_move(in, offset) < 0)
        return NULL;
    *len = (size_t)(in->window_at + in->window_len - offset);
    return in->window + (offset - in->window_at);
}

/* Copies the next `len` bytes, which are there, to `room`. */
static int take(struct input *in, char *room, size_t len)
{
    while (len > 0) {
        uint64_t offset = in->at;
        const char *from;
        size_t count;

        if (in->bytes == NULL && len >= WINDOW && !window_holds(in, offset)) {
            in->at += len;
            return read_directly(in, room, len, offset);
        }
        from = peek(in, offset, &count);
        if (from == NULL)
            return -1;
        count = count < len ? count : len;
        in->at += count;
        memcpy(room, from, count);
        room += count;
        len -= count;
    }
    return 0;
}

static PyObject *take_bytes(struct input *in, uint64_t len)
{
    PyObject *bytes;

    if (len > PY_SSIZE_T_MAX)
        return PyErr_NoMemory();
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    if (bytes != NULL && take(in, PyBytes_AS_STRING(bytes), (size_t)len) < 0)
        Py_CLEAR(bytes);
    return bytes;
}

/* The length of the next line with its newline, at most `limit`; -1 with an exception set. */
static int64_t line_length(struct input *in, uint64_t limit)
{
    uint64_t len = 0;

    while (len < limit) {
        size_t count;
        const char *bytes = peek(in, in->at + len, &count), *newline;

        if (bytes == NULL)
            return -1;
        if (count > limit - len)
            count = (size_t)(limit - len);
        newline = memchr(bytes, '\n', count);
        if (newline != NULL)
            return (int64_t)(len + (uint64_t)(newline + 1 - bytes));
        len += count;
    }
    return (int64_t)len;
}

static PyObject *take_line(struct input *in, uint64_t limit)
{
    int64_t len = line_length(in, limit);

    return len < 0 ? NULL : take_bytes(in, (uint64_t)len);
}

/*
 * The optional size that the methods take: None, negative and missing mean no limit. *limit is at most what
 * is left. 0, or -1 with an exception set.
 */
static int parse_limit(struct input *in, const char *method, PyObject *const *args, Py_ssize_t count,
                       uint64_t *limit)
{
    Py_ssize_t size = -1;

    if (count > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)", method, count);
        return -1;
    }
    if (count == 1 && args[0] != Py_None) {
        size = PyNumber_AsSsize_t(args[0], PyExc_OverflowError);
        if (size == -1 && PyErr_Occurred())
            return -1;
    }
    if (check_open(in) < 0)
        return -1;
    *limit = size >= 0 && (uint64_t)size < left(in) ? (uint64_t)size : left(in);
    return 0;
}

static PyObject *do_read(struct input *in, PyObject *const *args, Py_ssize_t count)
{
    uint64_t limit;

    return parse_limit(in, "read", args, count, &limit) < 0 ? NULL : take_bytes(in, limit);
}

static PyObject *do_readline(struct input *in, PyObject *const *args, Py_ssize_t count)
{
    uint64_t limit;

    return parse_limit(in, "readline", args, count, &limit) < 0 ? NULL : take_line(in, limit);
}

/* As io has it: whole lines, until they are at least as long together as the hint, if that is positive. */
static PyObject *do_readlines(struct input *in, PyObject *const *args, Py_ssize_t count)
{
    PyObject *lines, *line = NULL;
    uint64_t hint, end;

    if (parse_limit(in, "readlines", args, count, &hint) < 0)
        return NULL;
    end = in->at + (hint > 0 ? hint : left(in));
    lines = PyList_New(0);
    while (lines != NULL && in->at < end) {
        line = take_line(in, left(in));
        if (line == NULL || PyList_Append(lines, line) < 0)
            Py_CLEAR(lines);
        Py_XDECREF(line);
    }
    return lines;
}

static PyObject *do_readinto(struct input *in, PyObject *const *args, Py_ssize_t Py_UNUSED(count))
{
    Py_buffer room;
    size_t len;
    int status;

    if (check_open(in) < 0 || PyObject_GetBuffer(args[0], &room, PyBUF_CONTIG) < 0)
        return NULL;
    len = (uint64_t)room.len < left(in) ? (size_t)room.len : (size_t)left(in);
    status = take(in, room.buf, len);
    PyBuffer_Release(&room);
    return status < 0 ? NULL : PyLong_FromSize_t(len);
}

static PyObject *do_next(struct input *in, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(count))
{
    if (check_open(in) < 0 || left(in) == 0)
        return NULL;
    return take_line(in, left(in));
}

/* Does it while no other thread that has the input does anything with it, nor ends its request. */
static PyObject *alone(PyObject *(*method)(struct input *, PyObject *const *, Py_ssize_t), PyObject *self,
                       PyObject *const *args, Py_ssize_t count)
{
    struct compat_section section;
    PyObject *result;

    compat_section_begin(&section, self);
    result = method((struct input *)self, args, count);
    compat_section_end(&section);
    return result;
}

static PyObject *input_read(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return alone(do_read, self, args, count);
}

static PyObject *input_readline(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return alone(do_readline, self, args, count);
}

static PyObject *input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    return alone(do_readlines, self, args, count);
}

static PyObject *input_readinto(PyObject *self, PyObject *target)
{
    /* cppcheck-suppress returnDanglingLifetime ; the result is a number */
    return alone(do_readinto, self, &target, 1);
}

static PyObject *input_next(PyObject *self)
{
    return alone(do_next, self, NULL, 0);
}

static void input_dealloc(PyObject *self)
{
    input_sever((struct input *)self);
    PyObject_Free(self);
}

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

static PyMethodDef methods[] = {
    {"read", FASTCALL(input_read), PyDoc_STR("Read at most size bytes; all that is left by default.")},
    {"readline", FASTCALL(input_readline), PyDoc_STR("Read up to and with a newline, at most size bytes.")},
    {"readlines", FASTCALL(input_readlines), PyDoc_STR("Read lines, until they have hint bytes together.")},
    {"readinto", input_readinto, METH_O, PyDoc_STR("Read into a buffer; the number of bytes read.")},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject input_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cserve.Input",
    .tp_doc = PyDoc_STR("wsgi.input: the content of a request."),
    .tp_basicsize = sizeof(struct input),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = input_dealloc,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = input_next,
    .tp_methods = methods,
};

int input_init(void)
{
    return PyType_Ready(&input_type);
}

struct input *input_new(void)
{
    struct input *in = PyObject_New(struct input, &input_type);

    if (in != NULL)
        memset((char *)in + sizeof(PyObject), 0, sizeof(*in) - sizeof(PyObject));
    if (in != NULL)
        in->fd = -1;
    return in;
}

/* 0, or -1 with an exception set. */
static int open_content(struct input *in, const struct content *content)
{
    in->bytes = content->bytes != NULL ? content->bytes : "";
    in->len = content->len;
    in->at = 0;
    if (content->bytes == NULL && content->fd >= 0) {
        in->bytes = NULL;
        in->fd = fcntl(content->fd, F_DUPFD_CLOEXEC, 0);
        if (in->fd < 0)
            return raise_errno(errno);
    }
    in->open = true;
    return 0;
}

int input_open(struct input *in, const struct content *content)
{
    struct compat_section section;
    int status;

    compat_section_begin(&section, (PyObject *)in);
    status = open_content(in, content);
    compat_section_end(&section);
    return status;
}

void input_sever(struct input *in)
{
    struct compat_section section;

    compat_section_begin(&section, (PyObject *)in);
    in->open = false;
    in->bytes = NULL;
    in->len = in->at = 0;
    close_file(in);
    free(in->window);
    in->window = NULL;
    in->window_len = 0;
    compat_section_end(&section);
}
