/* SPDX-License-Identifier: MIT */
/* The virtual environment that the application lives in: which one, and whether it fits this interpreter. */
#ifndef PYTHON_VENV_H
#define PYTHON_VENV_H

#include <stdbool.h>

struct venv {
    const char *source; /* what named it, for messages: "--venv", "VIRTUAL_ENV", "pyvenv.cfg" */
    char *dir;          /* owned, absolute; NULL: there is none */
    char *python;       /* owned: its executable */
    bool is_foreign;    /* made by another installation of the same Python version than ours */
};

/*
 * Looks for a virtual environment: `option` (--venv, or NULL), VIRTUAL_ENV, a pyvenv.cfg beside or
 * above this executable. 0, with venv->dir NULL when there is none; or -1 with the reason logged:
 * one is named and is not there, or is of another Python.
 */
int venv_find(struct venv *venv, const char *option);
void venv_release(struct venv *venv);

#endif
