/* SPDX-License-Identifier: MIT */
/*
 * Exceptions in the error log. The text is what Python's own traceback module makes of the exception (with
 * chained exceptions and notes); where that fails, as it may with no memory left, the name of the class has
 * to do. An exception's message may quote what a client sent, so every line is indented and control
 * characters are escaped.
 */
#include "compat.h"
#include "traceback.h"

#include <frameobject.h>
#include <stdlib.h>

#include "cserve/buf.h"
#include "cserve/log.h"
#include "cserve/mem.h"

enum { STACK_MAX = 128 };

/* The lines that a function of the traceback module returns, as one str. Steals lines. */
static PyObject *join_lines(PyObject *lines)
{
    PyObject *separator = lines != NULL ? PyUnicode_New(0, 0) : NULL;
    PyObject *text = separator != NULL ? PyUnicode_Join(separator, lines) : NULL;

    Py_XDECREF(separator);
    Py_XDECREF(lines);
    return text;
}

/* The traceback as one str. New reference, or NULL with an exception set. */
static PyObject *format(PyObject *error)
{
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *trace = PyException_GetTraceback(error);
    PyObject *text = NULL;

    if (module != NULL)
        text = join_lines(PyObject_CallMethod(module, "format_exception", "OOO", (PyObject *)Py_TYPE(error), error,
                                              trace != NULL ? trace : Py_None));
    Py_XDECREF(trace);
    Py_XDECREF(module);
    return text;
}

/* Where a thread is: its innermost calls, the last one first. */
struct sighting {
    char *heading; /* owned */
    PyThreadState *thread;
    int count;
    struct {
        PyCodeObject *code; /* owned */
        int line;
    } calls[STACK_MAX];
};

/* Of a thread that runs, neither the frames nor the line they are at may be looked at. */
static int take_calls(PyObject *Py_UNUSED(object), void *arg)
{
    struct sighting *seen = arg;
    PyFrameObject *frame = PyThreadState_GetFrame(seen->thread), *caller;

    for (; frame != NULL && seen->count < STACK_MAX; frame = caller) {
        seen->calls[seen->count].code = PyFrame_GetCode(frame);
        seen->calls[seen->count++].line = PyFrame_GetLineNumber(frame);
        caller = PyFrame_GetBack(frame);
        Py_DECREF(frame);
    }
    Py_XDECREF(frame);
    return 0;
}

/* A call as the traceback module takes it: file, line, function, and that it is to find the source. */
static PyObject *describe_call(PyCodeObject *code, int line)
{
    PyObject *file = PyObject_GetAttrString((PyObject *)code, "co_filename");
    PyObject *name = file != NULL ? PyObject_GetAttrString((PyObject *)code, "co_name") : NULL;
    PyObject *call = name != NULL ? Py_BuildValue("(OiOO)", file, line, name, Py_None) : NULL;

    Py_XDECREF(name);
    Py_XDECREF(file);
    return call;
}

/* The stack as one str. New reference, or NULL, with an exception set unless it is empty. */
static PyObject *format_calls(const struct sighting *seen)
{
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *calls = module != NULL && seen->count > 0 ? PyList_New(seen->count) : NULL;
    PyObject *text = NULL;

    for (int i = 0; i < seen->count && calls != NULL; i++) {
        PyObject *call = describe_call(seen->calls[i].code, seen->calls[i].line);

        if (call != NULL)
            PyList_SET_ITEM(calls, seen->count - 1 - i, call);
        else
            Py_CLEAR(calls);
    }
    if (calls != NULL)
        text = join_lines(PyObject_CallMethod(module, "format_list", "O", calls));
    Py_XDECREF(calls);
    Py_XDECREF(module);
    return text;
}

/* Whether the character at `byte` is a control: in UTF-8, those above U+007F are two bytes. */
static bool is_control(const unsigned char *byte, const unsigned char *end)
{
    if (byte[0] == 0xc2 && byte + 1 < end)
        return byte[1] < 0xa0;
    return (byte[0] < 0x20 && byte[0] != '\t') || byte[0] == 0x7f;
}

static void append_indented(struct buf *out, struct str text)
{
    const unsigned char *byte = (const unsigned char *)text.ptr;
    const unsigned char *end = byte + text.len;

    while (end > byte && end[-1] == '\n')
        end--;
    buf_append_str(out, STR("\n  "));
    for (; byte < end; byte++) {
        if (*byte == '\n')
            buf_append_str(out, STR("\n  "));
        else if (!is_control(byte, end))
            buf_append(out, byte, 1);
        else
            buf_printf(out, "\\x%02x", *byte == 0xc2 ? *++byte : *byte);
    }
}

/* Logs heading and text, which is NULL if it could not be made: then what `instead` says. */
static void log_both(enum log_level level, const char *heading, PyObject *text, const char *instead)
{
    PyObject *bytes = text != NULL ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;
    struct buf out;

    buf_init(&out);
    buf_printf(&out, "%s:", heading);
    if (bytes != NULL)
        append_indented(&out, str_make(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)));
    else
        buf_printf(&out, "\n  %s", instead);
    PyErr_Clear();
    log_text(level, out.data, out.len);
    buf_release(&out);
    Py_XDECREF(bytes);
}

void traceback_log(const char *heading)
{
    PyObject *error = compat_exception_take();
    PyObject *text = format(error);
    char instead[256];

    snprintf(instead, sizeof(instead), "%s (its traceback cannot be printed)", Py_TYPE(error)->tp_name);
    log_both(LOG_LEVEL_ERROR, heading, text, instead);
    Py_XDECREF(text);
    Py_DECREF(error);
}

struct sighting *traceback_look(const char *heading, PyThreadState *thread)
{
    struct sighting *seen = mem_zalloc(sizeof(*seen));

    seen->heading = mem_strndup(heading, strlen(heading));
    seen->thread = thread;
    compat_look_at_threads(take_calls, seen);
    return seen;
}

void traceback_report(struct sighting *seen)
{
    PyObject *text = format_calls(seen);

    log_both(LOG_LEVEL_WARNING, seen->heading, text, "(not in Python code)");
    Py_XDECREF(text);
    for (int i = 0; i < seen->count; i++)
        Py_DECREF(seen->calls[i].code);
    free(seen->heading);
    free(seen);
}
