/* SPDX-License-Identifier: MIT */
/* The places that settings are gathered from, and what they share. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "option.h"

#define VARIABLE_PREFIX "CSERVE_"

struct loader {
    struct config *config; /* gets the settings */
    const struct options_input *input;
    int at; /* the next argument */
    char *error;
    size_t cap;
};

#define FAIL(loader, ...) (snprintf((loader)->error, (loader)->cap, __VA_ARGS__), -1)

/* Each: 0, or -1 with what is wrong, where, and the nearest valid name in the loader's error. */
int load_arguments(struct loader *l);
int load_keywords(struct loader *l);
int load_environment(struct loader *l);
/* Behind the others, which say what file and where. */
int load_file(struct loader *l);

#endif
