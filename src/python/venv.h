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

/* Who looks for one. */
struct venv_seeker {
    const char *python;    /* the interpreter at hand */
    const char *remedy[2]; /* for an environment of another version: what to do, before and behind its directory */
    bool around;           /* it may be around this executable, whose home and libraries must fit then */
};

/*
 * Looks for a virtual environment: `option` (--venv, or NULL), VIRTUAL_ENV, maybe a pyvenv.cfg beside or
 * above this executable. 0, with venv->dir NULL when there is none; or -1 with the reason logged:
 * one is named and is not there, or is of another Python.
 */
int venv_find(struct venv *venv, const char *option, const struct venv_seeker *seeker);
void venv_release(struct venv *venv);
/* Unsets PYTHONHOME, which wins over pyvenv.cfg, and would leave the environment without effect. */
void venv_drop_home(const struct venv *venv);

#endif
