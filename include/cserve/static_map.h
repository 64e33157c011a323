/* SPDX-License-Identifier: MIT */
/* Files that are served without the application: what --static says. */
#ifndef CSERVE_STATIC_MAP_H
#define CSERVE_STATIC_MAP_H

#include <stddef.h>

#include "cserve/str.h"

/* "/static=DIR" taken apart; views of it. */
struct static_map {
    struct str prefix; /* begins with '/', does not end with one, is longer than that */
    const char *dir;
};

/* Takes a value of --static apart. 0, or -1 with the reason in error[0..cap). */
int static_map_parse(struct static_map *map, const char *text, char *error, size_t cap);

/* Whether `count` such values, each valid, have prefixes of their own, and directories that are there. 0; or -1, as above. */
int static_maps_check(const char *const *texts, size_t count, char *error, size_t cap);

#endif
