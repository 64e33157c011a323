/* SPDX-License-Identifier: MIT */
/*
 * wsgi.file_wrapper. The interesting part is when a file may be sent without being read: only if read() is
 * the very function of io.FileIO, io.BufferedReader or io.BufferedRandom, bound to an object of that class,
 * with nothing but a FileIO below it. That sees through wrappers that pass read() on (Django's File) and is
 * not fooled by objects that have a descriptor but give other bytes than it holds.
 */
#include "file_wrapper.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { BLOCK_SIZE = 8192 };

struct file_wrapper {
    PyObject_HEAD
    PyObject *filelike; /* never changes, so no cycle is made of wrappers alone: tp_clear is not needed */
    Py_ssize_t block_size;
};

static PyObject *wrapper_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"filelike", "blksize", NULL};
    struct file_wrapper *self;
    PyObject *filelike;
    Py_ssize_t block_size = BLOCK_SIZE;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|n:file_wrapper", names, &filelike, &block_size))
        return NULL;
    if (block_size <= 0) {
        PyErr_SetString(PyExc_ValueError, "WSGI: the block size of wsgi.file_wrapper must be positive");
        return NULL;
    }
    self = (struct file_wrapper *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->filelike = Py_NewRef(filelike);
    self->block_size = block_size;
    return (PyObject *)self;
}

static int wrapper_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((struct file_wrapper *)self)->filelike);
    return 0;
}

static void wrapper_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_DECREF(((struct file_wrapper *)self)->filelike);
    Py_TYPE(self)->tp_free(self);
}

/* The next block; NULL without an exception at the end, which is anything empty: b'', '' or None. */
static PyObject *wrapper_next(PyObject *object)
{
    struct file_wrapper *self = (struct file_wrapper *)object;
    PyObject *block = PyObject_CallMethod(self->filelike, "read", "n", self->block_size);
    int filled = block != NULL ? PyObject_IsTrue(block) : 0;

    if (filled > 0)
        return block;
    Py_XDECREF(block);
    return NULL;
}

static PyObject *wrapper_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct file_wrapper *self = (struct file_wrapper *)object;
    PyObject *name = PyUnicode_FromString("close");
    PyObject *close = NULL, *result = NULL;

    if (name != NULL && compat_optional_attr(self->filelike, name, &close) == 0)
        result = close != NULL ? PyObject_CallNoArgs(close) : Py_NewRef(Py_None);
    Py_XDECREF(close);
    Py_XDECREF(name);
    return result;
}

static PyMethodDef methods[] = {
    {"close", wrapper_close, METH_NOARGS, PyDoc_STR("Close the file-like object, if it can be closed.")},
    {NULL, NULL, 0, NULL},
};

PyTypeObject file_wrapper_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cserve.FileWrapper",
    .tp_doc = PyDoc_STR("file_wrapper(filelike, blksize=8192): an iterable over the blocks of a file."),
    .tp_basicsize = sizeof(struct file_wrapper),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = wrapper_new,
    .tp_dealloc = wrapper_dealloc,
    .tp_traverse = wrapper_traverse,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = wrapper_next,
    .tp_methods = methods,
};

int file_wrapper_init(struct file_types *types)
{
    PyObject *io = PyImport_ImportModule("io");

    *types = (struct file_types){NULL, NULL, NULL};
    if (io == NULL || PyType_Ready(&file_wrapper_type) < 0) {
        Py_XDECREF(io);
        return -1;
    }
    types->raw = PyObject_GetAttrString(io, "FileIO");
    types->reader = types->raw != NULL ? PyObject_GetAttrString(io, "BufferedReader") : NULL;
    types->random = types->reader != NULL ? PyObject_GetAttrString(io, "BufferedRandom") : NULL;
    Py_DECREF(io);
    return types->random != NULL ? 0 : -1;
}

void file_wrapper_release(struct file_types *types)
{
    Py_CLEAR(types->raw);
    Py_CLEAR(types->reader);
    Py_CLEAR(types->random);
}

/* Whether `object` is of `class` and reads as that class does. -1 with an exception set. */
static int reads_as(PyObject *object, PyObject *class)
{
    PyObject *own = NULL, *original = NULL;
    int same;

    if (!PyObject_TypeCheck(object, (PyTypeObject *)class))
        return 0;
    own = PyObject_GetAttrString((PyObject *)Py_TYPE(object), "read");
    original = own != NULL ? PyObject_GetAttrString(class, "read") : NULL;
    same = original != NULL ? own == original : -1;
    Py_XDECREF(original);
    Py_XDECREF(own);
    return same;
}

/* Whether a buffered file is right above a FileIO. -1 with an exception set. */
static int is_above_raw(PyObject *buffered, const struct file_types *types)
{
    PyObject *raw = PyObject_GetAttrString(buffered, "raw");
    int is = raw != NULL ? Py_IS_TYPE(raw, (PyTypeObject *)types->raw) : -1;

    Py_XDECREF(raw);
    return is;
}

/* The class whose read() `object` has, borrowed; NULL if it is none of ours, or with an exception set. */
static PyObject *class_of(PyObject *object, const struct file_types *types)
{
    PyObject *buffered[] = {types->reader, types->random};

    if (reads_as(object, types->raw) > 0)
        return types->raw;
    for (size_t i = 0; i < 2 && !PyErr_Occurred(); i++)
        if (reads_as(object, buffered[i]) > 0)
            return is_above_raw(object, types) > 0 ? buffered[i] : NULL;
    return NULL;
}

/*
 * Calls `method` of `class` on `object`, for a number if `number` is given. 0, or -1 with an exception set.
 */
static int ask(PyObject *class, const char *method, PyObject *object, long long *number)
{
    PyObject *answer = PyObject_CallMethod(class, method, "O", object);

    if (answer == NULL)
        return -1;
    if (number != NULL)
        *number = PyLong_AsLongLong(answer);
    Py_DECREF(answer);
    return PyErr_Occurred() ? -1 : 0;
}

static bool measure(PyObject *class, PyObject *object, struct file_range *range)
{
    long long position, fd;
    struct stat status;

    /* What was written and not flushed is not in the file yet. */
    if (ask(class, "flush", object, NULL) < 0 || ask(class, "tell", object, &position) < 0 ||
        ask(class, "fileno", object, &fd) < 0)
        return false;
    if (fstat((int)fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size <= position)
        return false;
    *range = (struct file_range){(int)fd, (off_t)position, (uint64_t)(status.st_size - position)};
    return true;
}

bool file_wrapper_range(PyObject *wrapper, const struct file_types *types, struct file_range *range)
{
    PyObject *read = PyObject_GetAttrString(((struct file_wrapper *)wrapper)->filelike, "read");
    PyObject *object = read != NULL && PyCFunction_Check(read) ? PyCFunction_GetSelf(read) : NULL;
    PyObject *class = object != NULL ? class_of(object, types) : NULL;
    bool found = class != NULL && measure(class, object, range);

    PyErr_Clear();
    Py_XDECREF(read);
    return found;
}
