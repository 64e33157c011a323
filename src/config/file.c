/* SPDX-License-Identifier: MIT */
/*
 * The configuration file: the section [cserve] of the file that --config names, or of setup.cfg. Other
 * sections belong to others. An option that is given twice here is a mistake, as is all that would be part of
 * a value without being meant so: a comment, quotes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cserve/mem.h"

#include "ini.h"
#include "load.h"

#define SECTION "cserve"
#define FOUND_FILE "setup.cfg"

enum { FILE_MAX = 1024 * 1024 };

struct file {
    bool named;  /* by --config: then it must be there and have the section */
    bool inside; /* the section */
    bool found;
    bool began;  /* any section */
    const struct option *key; /* the latest */
};

#define FAIL_AT(loader, line, format, ...) \
    FAIL(loader, "%s:%d: " format, (loader)->config->file, (line)->number, __VA_ARGS__)

static int shown(struct str text)
{
    return text.len < 200 ? (int)text.len : 200;
}

/* [cserv], [CSERVE], [tool:cserve]: meant for us, and never read. */
static bool is_nearly_ours(struct str section)
{
    char name[OPTION_NAME_MAX + 1];

    if (section.len > OPTION_NAME_MAX)
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)section.len, section.ptr);
    return str_equal_nocase(section, STR(SECTION)) || strcmp(name, "tool:" SECTION) == 0 ||
           strcmp(name, "tool." SECTION) == 0 || (name[0] == 'c' && option_distance(name, SECTION) <= 2);
}

static int take_section(struct loader *l, struct file *file, const struct ini_line *line)
{
    if (line->kind == INI_BAD_SECTION)
        return FAIL_AT(l, line, "the name of a section ends with ], as in [%s]: \"%.*s\"", SECTION,
                       shown(line->value), line->value.ptr);
    file->began = true;
    file->key = NULL;
    file->inside = str_equal(line->section, STR(SECTION));
    file->found |= file->inside;
    if (file->inside && line->value.len > 0 && line->value.ptr[0] != '#' && line->value.ptr[0] != ';')
        return FAIL_AT(l, line, "\"%.*s\" behind [%s] needs a line of its own", shown(line->value),
                       line->value.ptr, SECTION);
    if (!file->inside && is_nearly_ours(line->section))
        return FAIL_AT(l, line, "there is no section [%.*s]; did you mean [%s]?", shown(line->section),
                       line->section.ptr, SECTION);
    return 0;
}

/* What would become part of a value without being meant so. */
static int check_value(struct loader *l, const struct ini_line *line)
{
    struct str value = line->value;
    bool quoted = value.len > 1 && (value.ptr[0] == '"' || value.ptr[0] == '\'');

    if (quoted && value.ptr[value.len - 1] == value.ptr[0])
        return FAIL_AT(l, line, "values stand without quotes, which would be part of them: %.*s",
                       shown(value), value.ptr);
    for (size_t i = 1; i < value.len; i++) {
        if (str_is_blank(value.ptr[i - 1]) && (value.ptr[i] == '#' || value.ptr[i] == ';'))
            return FAIL_AT(l, line,
                           "a comment needs a line of its own, for here it is part of the value: \"%.*s\"",
                           shown(value), value.ptr);
    }
    return 0;
}

static int refuse_key(struct loader *l, const struct ini_line *line)
{
    char typed[OPTION_NAME_MAX + 1], nearest[OPTION_NAME_MAX];

    snprintf(typed, sizeof(typed), "%.*s", shown(line->key), line->key.ptr);
    if (!option_nearest(nearest, sizeof(nearest), typed, SOURCE_FILE))
        return FAIL_AT(l, line, "there is no option \"%s\"; --help lists them all", typed);
    return FAIL_AT(l, line, "there is no option \"%s\"; did you mean %s?", typed, nearest);
}

static int take_key(struct loader *l, struct file *file, const struct ini_line *line)
{
    const struct option *o = option_find(line->key, true);
    const struct setting *before = o == NULL ? NULL : setting_from(l->config, o, SOURCE_FILE);

    if (o == NULL)
        return refuse_key(l, line);
    if (!option_may_be_in(o, SOURCE_FILE))
        return FAIL_AT(l, line, "%s cannot be given in a file, only as --%s", o->name, o->name);
    if (before != NULL && !option_is_list(o))
        return FAIL_AT(l, line, "%s is given twice; line %d has it too", o->name, before->line);
    file->key = o;
    setting_add(l->config, o, line->value, SOURCE_FILE, line->number);
    return check_value(l, line);
}

static int take_more(struct loader *l, struct file *file, const struct ini_line *line)
{
    struct setting *latest = &l->config->settings[l->config->setting_count - 1];

    if (*latest->value == '\0') { /* the values begin in the line below the key */
        free(latest->value);
        l->config->setting_count--;
    } else if (!option_is_list(file->key)) {
        return FAIL_AT(l, line, "%s takes one value; this line is indented, and so would be another",
                       file->key->name);
    }
    setting_add(l->config, file->key, line->value, SOURCE_FILE, line->number);
    return check_value(l, line);
}

/* A line that is no section. */
static int take_line(struct loader *l, struct file *file, const struct ini_line *line)
{
    if (!file->inside && file->named && !file->began)
        return FAIL_AT(l, line, "options stand in a section: put a line [%s] above", SECTION);
    if (!file->inside)
        return 0;
    if (line->kind == INI_VALUE)
        return take_key(l, file, line);
    if (line->kind == INI_MORE && file->key != NULL)
        return take_more(l, file, line);
    return FAIL_AT(l, line, "\"%.*s\" is neither an option (key = value) nor a comment", shown(line->value),
                   line->value.ptr);
}

static int read_lines(struct loader *l, struct file *file, struct str text)
{
    struct ini ini;
    struct ini_line line;

    ini_init(&ini, text);
    while ((line = ini_next(&ini)).kind != INI_END) {
        bool heads = line.kind == INI_SECTION || line.kind == INI_BAD_SECTION;
        if ((heads ? take_section(l, file, &line) : take_line(l, file, &line)) != 0)
            return -1;
    }
    if (file->named && !file->found && text.len > 0)
        return FAIL(l, "%s has no section [%s]: put that line above the options", l->config->file, SECTION);
    return 0;
}

/* The whole file. 0; or -1 with errno, 0 if it cannot be text. */
static int read_text(const char *path, struct buf *text)
{
    FILE *stream = fopen(path, "re");
    size_t got;

    if (stream == NULL)
        return -1;
    do {
        got = fread(buf_room(text, 4096), 1, 4096, stream);
        text->len += got;
    } while (got > 0 && text->len <= FILE_MAX);
    int failed = ferror(stream) ? errno : 0;
    fclose(stream);
    bool is_text = text->len <= FILE_MAX && (text->len == 0 || memchr(text->data, '\0', text->len) == NULL);
    errno = failed;
    return failed == 0 && is_text ? 0 : -1;
}

static const char *why_unreadable(void)
{
    return errno != 0 ? strerror(errno) : "this is no text of at most 1 MiB";
}

static void set_path(struct buf *out, const char *dir, const char *path)
{
    if (dir != NULL && path[0] != '/')
        buf_printf(out, "%s/", dir);
    buf_printf(out, "%s", path);
    buf_append(out, "", 1);
}

static int read_named(struct loader *l, const struct setting *named)
{
    struct buf path, text;
    struct file file = {.named = true};
    char label[1024];
    int result;

    buf_init(&path);
    buf_init(&text);
    setting_label(label, sizeof(label), l->config, named);
    set_path(&path, l->input->start_dir, named->value);
    if (read_text(path.data, &text) != 0) {
        result = FAIL(l, "%s %s: %s", label, named->value, why_unreadable());
    } else {
        l->config->file = mem_strndup(named->value, strlen(named->value));
        result = read_lines(l, &file, str_make(text.data, text.len));
    }
    buf_release(&text);
    buf_release(&path);
    return result;
}

/* What goes on below the current directory's setup.cfg without our section is not our business. */
static int read_found_text(struct loader *l, const struct option *config_option, struct str text)
{
    struct file file = {.named = false};

    if (read_lines(l, &file, text) != 0)
        return -1;
    if (file.found) {
        setting_add_text(l->config, config_option, l->config->file, SOURCE_DEFAULT);
    } else {
        free(l->config->file);
        l->config->file = NULL;
    }
    return 0;
}

static int read_found(struct loader *l, const struct option *config_option)
{
    const struct setting *dir = setting_first(l->config, option_find(STR("chdir"), false));
    struct buf name, path, text;
    int result = 0;

    buf_init(&name);
    buf_init(&path);
    buf_init(&text);
    set_path(&name, dir == NULL ? NULL : dir->value, FOUND_FILE);
    set_path(&path, l->input->start_dir, name.data);
    if (read_text(path.data, &text) == 0) {
        l->config->file = mem_strndup(name.data, name.len);
        result = read_found_text(l, config_option, str_make(text.data, text.len));
    } else if (errno != ENOENT && errno != ENOTDIR) {
        result = FAIL(l, "%s: %s", name.data, why_unreadable());
    }
    buf_release(&text);
    buf_release(&path);
    buf_release(&name);
    return result;
}

int load_file(struct loader *l)
{
    const struct option *o = option_find(STR("config"), false);
    const struct setting *named = setting_first(l->config, o);

    if (named == NULL)
        return read_found(l, o);
    if (*named->value == '\0')
        return 0; /* it is refused like any empty value */
    return read_named(l, named);
}
