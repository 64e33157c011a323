/* SPDX-License-Identifier: MIT */
/*
 * What --static says: "/static=DIR", a prefix of paths and the directory whose files answer them.
 *
 * The prefix is compared with a path as the client sent it, so it is made of characters that no client encodes.
 */
#include "cserve/static_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~", c) != NULL);
}

/* Whether it is "/" and names of plain characters, none of them ".", ".." or empty. */
static bool is_prefix(struct str s)
{
    size_t name = 0;

    for (size_t i = 0; i <= s.len; i++) {
        bool ends = i == s.len || s.ptr[i] == '/';
        if (!ends && !is_unreserved(s.ptr[i]))
            return false;
        if (!ends)
            continue;
        struct str part = str_make(s.ptr + name, i - name);
        bool bad = part.len == 0 || str_equal(part, STR(".")) || str_equal(part, STR(".."));
        if (bad != (i == 0))
            return false;
        name = i + 1;
    }
    return true;
}

int static_map_parse(struct static_map *map, const char *text, char *error, size_t cap)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : 0;

    if (len > 1 && text[len - 1] == '/')
        len--;
    if (equals == NULL || text[0] != '/' || equals[1] == '\0') {
        snprintf(error, cap, "must be /PREFIX=DIR, for example /static=./static, not \"%s\"", text);
        return -1;
    }
    map->prefix = str_make(text, len);
    map->dir = equals + 1;
    if (str_equal(map->prefix, STR("/"))) {
        snprintf(error, cap, "/ is every path, so that the application would never be called; give it a prefix such as /static");
        return -1;
    }
    if (is_prefix(map->prefix))
        return 0;
    snprintf(error, cap, "%.*s: a prefix is made of letters, digits, - . _ ~ and single slashes", (int)len, text);
    return -1;
}

/* Whether another value before texts[at] has its prefix. */
static bool is_repeated(const char *const *texts, size_t at, const struct static_map *map)
{
    struct static_map other;
    char error[256];

    for (size_t i = 0; i < at; i++) {
        if (static_map_parse(&other, texts[i], error, sizeof(error)) == 0 && str_equal(other.prefix, map->prefix))
            return true;
    }
    return false;
}

int static_maps_check(const char *const *texts, size_t count, char *error, size_t cap)
{
    struct static_map map;

    for (size_t i = 0; i < count; i++) {
        if (static_map_parse(&map, texts[i], error, cap) != 0)
            return -1;
        if (is_repeated(texts, i, &map)) {
            snprintf(error, cap, "%s: %.*s is given twice", texts[i], (int)map.prefix.len, map.prefix.ptr);
            return -1;
        }
        int fd = open(map.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            snprintf(error, cap, "%s: %s", texts[i], strerror(errno));
            return -1;
        }
        close(fd);
    }
    return 0;
}
