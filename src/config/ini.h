/* SPDX-License-Identifier: MIT */
/* The lines of a configuration file, one after the other. */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include "cserve/str.h"

struct ini {
    struct str rest; /* what is not read yet */
    int line;        /* the latest one's number */
    bool has_key;    /* so an indented line is another value */
};

enum ini_kind {
    INI_END,
    INI_SECTION,     /* [section], and behind it what should not be there */
    INI_VALUE,       /* key = value, or key: value */
    INI_MORE,        /* an indented value that belongs to the latest key */
    INI_BAD_SECTION, /* no ] */
    INI_BAD,         /* none of these; value is the line */
};

struct ini_line {
    enum ini_kind kind;
    int number;
    struct str section, key, value; /* views of the text, without blanks around them */
};

/* `text` must stay valid; a byte order mark in front is skipped. */
void ini_init(struct ini *ini, struct str text);
/* The next line that is neither empty nor a comment. */
struct ini_line ini_next(struct ini *ini);

#endif
