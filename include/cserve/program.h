/* SPDX-License-Identifier: MIT */
/*
 * The program from its beginning to its exit status. Two call it: main, in the embedding binary, and the extension
 * module, which knows it by this header alone.
 */
#ifndef CSERVE_PROGRAM_H
#define CSERVE_PROGRAM_H

#include <stddef.h>

enum program_keyword_kind {
    KEYWORD_TEXT,
    KEYWORD_NUMBER, /* it was one in Python */
    KEYWORD_WORDS,  /* several values, between blanks, if the option may be repeated */
};

/* An option, by the name that a Python caller gives it, and its value. */
struct program_keyword {
    const char *name;
    const char *value;
    enum program_keyword_kind kind;
};

struct program_start {
    int argc;
    char **argv;          /* the first is the program's name */
    char *const *command; /* what starts it again: an executable and its arguments, NULL at the end; NULL: argv */
    const struct program_keyword *keywords; /* of serve() */
    size_t keyword_count;
    void *object;         /* of serve(): the application, if it is there already */
};

enum {
    PROGRAM_BAD_NAME = -2, /* of an option */
    PROGRAM_BAD_VALUE = -1,
};

/* The whole of the command. Exit status. */
int program_main(const struct program_start *start);

/*
 * For serve(): options come from keywords, the environment and a file. Serves until told to stop; afterwards the
 * process is what it was before. Exit status; or one of the above, with a message in error[0..cap).
 */
int program_serve(const struct program_start *start, char *error, size_t cap);

#endif
