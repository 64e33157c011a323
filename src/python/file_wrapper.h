/* SPDX-License-Identifier: MIT */
/*
 * wsgi.file_wrapper: an iterable over a file-like object, block by block. When the application returns one
 * over a real file, the server sends the file itself (sendfile) and never reads it into Python.
 */
#ifndef PYTHON_FILE_WRAPPER_H
#define PYTHON_FILE_WRAPPER_H

#include <stdbool.h>

#include "compat.h"

extern PyTypeObject file_wrapper_type;

/* The classes of io whose read() is known to give what the descriptor holds. */
struct file_types {
    PyObject *raw;       /* owned: io.FileIO */
    PyObject *reader;    /* owned: io.BufferedReader */
    PyObject *random;    /* owned: io.BufferedRandom */
};

/* What is left of a regular file behind its position. */
struct file_range {
    int fd; /* borrows: valid as long as the wrapper is not closed */
    off_t offset;
    uint64_t len;
};

/*
 * Makes file_wrapper_type ready and finds the classes. 0, or -1 with an exception set; release in either
 * case.
 */
int file_wrapper_init(struct file_types *types);
void file_wrapper_release(struct file_types *types);

/*
 * Whether reading from `wrapper` would give exactly the bytes of *range. Only then may they be sent from the
 * descriptor: a file-like object may well have a fileno() and yet give other bytes (gzip.GzipFile does).
 */
bool file_wrapper_range(PyObject *wrapper, const struct file_types *types, struct file_range *range);

#endif
