/* SPDX-License-Identifier: MIT */
/*
 * wsgi.input: a request's content as a file, from memory or from the temporary file that the server spilled
 * it to. It ends by itself and never blocks on the network. The bytes belong to the connection, so the
 * request severs the object when it ends: later reads raise ValueError.
 */
#ifndef PYTHON_INPUT_H
#define PYTHON_INPUT_H

#include "compat.h"
#include "cserve/handler.h"

struct input {
    PyObject_HEAD
    const char *bytes;    /* borrows from the exchange; NULL when the content is in a file */
    int fd;               /* owned: a duplicate of the exchange's; else -1 */
    unsigned readers;     /* threads inside pread without the GIL */
    bool open;            /* a request lends it now */
    unsigned prepared;    /* prepared environs that have it */
    uint64_t len, at;
    char *window;         /* owned: the file's bytes [window_at, window_at + window_len), or NULL */
    uint64_t window_at;
    size_t window_len;
};

/* Makes the type ready. 0, or -1 with an exception set. */
int input_init(void);

/* A closed input. New reference, or NULL with an exception set. */
struct input *input_new(void);

/* Lends the content to whoever holds the input. 0, or -1 with an exception set. */
int input_open(struct input *in, const struct content *content);
/* Ends that; what it held is freed. */
void input_sever(struct input *in);

#endif
