/* SPDX-License-Identifier: MIT */
/*
 * wsgi.errors. One object serves all requests of a gateway, and whatever threads the application gives it to. Text that has no newline yet is held back, up to
 * a bound; what UTF-8 cannot hold (lone surrogates) is written as an escape rather than refused.
 */
#include "errors.h"

#include "cserve/buf.h"
#include "cserve/log.h"

enum { HELD_MAX = 8 * 1024 };

struct errors {
    PyObject_HEAD
    struct buf held;
    bool inside_line; /* what was written last did not end in a newline */
};

static void write_held(struct errors *self, size_t len)
{
    if (len == 0)
        return;
    log_application(self->held.data, len);
    self->inside_line = self->held.data[len - 1] != '\n';
    buf_consume(&self->held, len);
    if (self->held.cap / 2 > HELD_MAX && self->held.len == 0)
        buf_release(&self->held);
}

/* Adds to what is held; writes all up to and with the last newline; all of it if the rest would be too much to hold. */
static void hold(struct errors *self, const char *bytes, size_t len)
{
    const char *newline;
    size_t whole;

    buf_append(&self->held, bytes, len);
    newline = self->held.len > 0 ? memrchr(self->held.data, '\n', self->held.len) : NULL;
    whole = newline != NULL ? (size_t)(newline + 1 - self->held.data) : 0;
    if (self->held.len - whole > HELD_MAX)
        whole = self->held.len;
    write_held(self, whole);
}

static void put(struct errors *self, const char *bytes, size_t len)
{
    struct compat_section section;

    compat_section_begin(&section, (PyObject *)self);
    hold(self, bytes, len);
    compat_section_end(&section);
}

void errors_end_line(PyObject *errors)
{
    struct errors *self = (struct errors *)errors;
    struct compat_section section;

    compat_section_begin(&section, errors);
    if (self->held.len > 0 || self->inside_line)
        hold(self, "\n", 1);
    compat_section_end(&section);
}

/* 0, or -1 with an exception set. */
static int put_text(struct errors *self, PyObject *text)
{
    Py_ssize_t len;
    const char *utf8;
    PyObject *bytes;

    if (!PyUnicode_Check(text)) {
        PyErr_Format(PyExc_TypeError, "WSGI: wsgi.errors takes str, not '%.200s'", Py_TYPE(text)->tp_name);
        return -1;
    }
    if (PyUnicode_IS_ASCII(text) && (utf8 = PyUnicode_AsUTF8AndSize(text, &len)) != NULL) {
        put(self, utf8, (size_t)len);
        return 0;
    }
    bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (bytes == NULL)
        return -1;
    put(self, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return 0;
}

static PyObject *errors_write(PyObject *self, PyObject *text)
{
    if (put_text((struct errors *)self, text) < 0)
        return NULL;
    return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *errors_writelines(PyObject *self, PyObject *lines)
{
    PyObject *iterator = PyObject_GetIter(lines);
    PyObject *line;
    int status = 0;

    if (iterator == NULL)
        return NULL;
    while (status == 0 && (line = PyIter_Next(iterator)) != NULL) {
        status = put_text((struct errors *)self, line);
        Py_DECREF(line);
    }
    Py_DECREF(iterator);
    if (status < 0 || PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *errors_flush(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct errors *self = (struct errors *)object;
    struct compat_section section;

    compat_section_begin(&section, object);
    write_held(self, self->held.len);
    compat_section_end(&section);
    Py_RETURN_NONE;
}

static void errors_dealloc(PyObject *self)
{
    errors_end_line(self);
    buf_release(&((struct errors *)self)->held);
    PyObject_Free(self);
}

static PyMethodDef methods[] = {
    {"write", errors_write, METH_O, PyDoc_STR("Write a str to the error log.")},
    {"writelines", errors_writelines, METH_O, PyDoc_STR("Write each str of an iterable.")},
    {"flush", errors_flush, METH_NOARGS, PyDoc_STR("Write what still waits for the end of its line.")},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject errors_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cserve.Errors",
    .tp_doc = PyDoc_STR("wsgi.errors: a text stream to the error log."),
    .tp_basicsize = sizeof(struct errors),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = errors_dealloc,
    .tp_methods = methods,
};

int errors_init(void)
{
    return PyType_Ready(&errors_type);
}

PyObject *errors_new(void)
{
    struct errors *self = PyObject_New(struct errors, &errors_type);

    if (self == NULL)
        return NULL;
    buf_init(&self->held);
    self->inside_line = false;
    return (PyObject *)self;
}
