/* SPDX-License-Identifier: MIT */
/*
 * Makes environ dicts: a copy of the template, with the request's own values on top. Strings that a client
 * chose are never interned; template.h and prepared.h say which are kept beyond their request.
 */
#ifndef PYTHON_ENVIRON_H
#define PYTHON_ENVIRON_H

#include "compat.h"
#include "cserve/buf.h"
#include "cserve/handler.h"
#include "prepared.h"
#include "template.h"

struct environ_factory {
    struct template template;
    struct prepared_table prepared;
    PyObject *comma, *semicolon; /* owned: what repeated fields are joined by */
    PyObject *script_name;       /* owned: where the application is mounted, or NULL */
    struct buf path;             /* room to decode a path in */
};

/* 0, or -1 with an exception set; release it in either case. */
int environ_factory_init(struct environ_factory *f, const struct environ_settings *settings);
void environ_factory_release(struct environ_factory *f);

/*
 * A new environ, an exact dict that the application may keep. `input` is its wsgi.input, which
 * template and prepared environs keep until a request comes with another. New reference, or NULL with an exception set.
 */
PyObject *environ_new(struct environ_factory *f, const struct exchange *x, struct input *input);

#endif
