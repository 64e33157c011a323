/* SPDX-License-Identifier: MIT */
/*
 * Reads INI files line by line, the way Python's configparser reads setup.cfg: comments have lines of their
 * own, beginning with # or ;, and indented lines are further values of the key above.
 *
 * Not libinih's work, for as distributions build it it cuts lines behind 200 bytes and takes the rest for
 * another line, cuts values at " ;", cuts long names, and does not say which line it is at. Each of these
 * would turn a mistake into another configuration without a word.
 */
#include "ini.h"

#include <string.h>

void ini_init(struct ini *ini, struct str text)
{
    static const struct str mark = {"\xef\xbb\xbf", 3};

    if (text.len >= mark.len && memcmp(text.ptr, mark.ptr, mark.len) == 0)
        text = str_make(text.ptr + mark.len, text.len - mark.len);
    *ini = (struct ini){.rest = text};
}

/* Up to the line end, which may be CRLF. */
static struct str take_line(struct ini *ini)
{
    const char *end = memchr(ini->rest.ptr, '\n', ini->rest.len);
    size_t len = end == NULL ? ini->rest.len : (size_t)(end - ini->rest.ptr);
    size_t used = len + (end != NULL);
    struct str line = str_make(ini->rest.ptr, len);

    ini->rest = str_make(ini->rest.ptr + used, ini->rest.len - used);
    ini->line++;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static struct ini_line read_section(struct ini *ini, struct str text)
{
    const char *end = memchr(text.ptr, ']', text.len);
    struct ini_line line = {.kind = INI_BAD_SECTION, .number = ini->line, .value = text};

    ini->has_key = false;
    if (end == NULL)
        return line;
    line.kind = INI_SECTION;
    line.section = str_trim(str_make(text.ptr + 1, (size_t)(end - text.ptr) - 1));
    line.value = str_trim(str_make(end + 1, text.len - (size_t)(end + 1 - text.ptr)));
    return line;
}

static size_t find_separator(struct str text)
{
    size_t at = 0;

    while (at < text.len && text.ptr[at] != '=' && text.ptr[at] != ':')
        at++;
    return at;
}

static struct ini_line read_value(struct ini *ini, struct str text)
{
    size_t at = find_separator(text);
    struct ini_line line = {.kind = INI_BAD, .number = ini->line, .value = text};

    ini->has_key = true; /* of a bad line too: what is indented below belongs to it */
    if (at == 0 || at == text.len)
        return line;
    line.kind = INI_VALUE;
    line.key = str_trim(str_make(text.ptr, at));
    line.value = str_trim(str_make(text.ptr + at + 1, text.len - at - 1));
    return line;
}

struct ini_line ini_next(struct ini *ini)
{
    while (ini->rest.len > 0) {
        struct str line = take_line(ini);
        struct str text = str_trim(line);
        if (text.len == 0 || text.ptr[0] == '#' || text.ptr[0] == ';')
            continue;
        if (ini->has_key && str_is_blank(line.ptr[0]))
            return (struct ini_line){.kind = INI_MORE, .number = ini->line, .value = text};
        return text.ptr[0] == '[' ? read_section(ini, text) : read_value(ini, text);
    }
    return (struct ini_line){.kind = INI_END, .number = ini->line};
}
