/* SPDX-License-Identifier: MIT */
/*
 * Configuration: the command line, the environment and a file become a struct config.
 *
 * First all that anybody says is gathered as settings, each with where it came from, and names are looked up: one that
 * there is not is answered with the nearest that there is. Then the settings are applied, the weakest source first, so
 * that the value that stays is the strongest one's, and so that a bad value is found even if a better one would hide
 * it. An option that may be repeated has all values of the strongest source that gives any.
 *
 * On the command line an option that is given twice has the value that was given last, for that is how commands are
 * corrected; in a file it is a mistake.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cserve/mem.h"

#include "ini.h"
#include "option.h"

#define SECTION "cserve"
#define FOUND_FILE "setup.cfg"
#define PREFIX "CSERVE_"

enum { FILE_MAX = 1024 * 1024 };

struct loader {
    struct config *config;
    const struct options_input *input;
    int at; /* the next argument */
    char *error;
    size_t cap;
};

#define FAIL(loader, ...) (snprintf((loader)->error, (loader)->cap, __VA_ARGS__), -1)

/* --- settings ---------------------------------------------------------------------------------- */

static void add(struct config *config, const struct option *o, struct str value, enum source source, int line)
{
    size_t count = config->setting_count;

    config->settings = mem_realloc(config->settings, (count + 1) * sizeof(*config->settings));
    config->settings[count] = (struct setting){o, mem_strndup(value.ptr, value.len), source, line};
    config->setting_count++;
}

static void add_text(struct config *config, const struct option *o, const char *value, enum source source)
{
    add(config, o, str_make(value, strlen(value)), source, 0);
}

static void drop(struct config *config, const struct option *o)
{
    size_t kept = 0;

    for (size_t i = 0; i < config->setting_count; i++) {
        if (config->settings[i].option == o)
            free(config->settings[i].value);
        else
            config->settings[kept++] = config->settings[i];
    }
    config->setting_count = kept;
}

/* The first setting of an option that this source gave, or NULL. */
static struct setting *setting_from(const struct config *config, const struct option *o, enum source source)
{
    for (size_t i = 0; i < config->setting_count; i++) {
        if (config->settings[i].option == o && config->settings[i].source == source)
            return &config->settings[i];
    }
    return NULL;
}

/* Which of a strongest source's settings counts: all of a list, the last of others. */
const struct setting *setting_first(const struct config *config, const struct option *o)
{
    const struct setting *found = NULL;

    for (int source = SOURCE_COUNT - 1; source >= 0 && found == NULL; source--)
        found = setting_from(config, o, (enum source)source);
    while (found != NULL && !option_is_list(o)) {
        const struct setting *next = setting_next(config, found);
        if (next == NULL)
            break;
        found = next;
    }
    return found;
}

const struct setting *setting_next(const struct config *config, const struct setting *s)
{
    const struct setting *end = config->settings + config->setting_count;

    for (const struct setting *next = s + 1; next < end; next++) {
        if (next->option == s->option && next->source == s->source)
            return next;
    }
    return NULL;
}

static enum source source_of(const struct config *config, const struct option *o)
{
    const struct setting *s = setting_first(config, o);

    return s == NULL ? SOURCE_DEFAULT : s->source;
}

void setting_describe_source(struct buf *out, const struct config *config, const struct setting *s)
{
    char variable[OPTION_NAME_MAX + sizeof(PREFIX)];

    if (s == NULL || s->source == SOURCE_DEFAULT) {
        buf_printf(out, "default");
    } else if (s->source == SOURCE_FILE) {
        buf_printf(out, "%s:%d", config->file, s->line);
    } else if (s->source == SOURCE_COMMAND_LINE) {
        buf_printf(out, "command line");
    } else {
        option_variable(variable, sizeof(variable), s->option->name);
        buf_printf(out, "environment variable %s", variable);
    }
}

/* What the user called it, and where: "--port", "CSERVE_PORT", "cserve.ini:3: port". */
static void label_setting(char *label, size_t cap, const struct config *config, const struct setting *s)
{
    if (s->source == SOURCE_ENVIRONMENT)
        option_variable(label, cap, s->option->name);
    else if (s->source == SOURCE_FILE)
        snprintf(label, cap, "%s:%d: %s", config->file, s->line, s->option->name);
    else
        snprintf(label, cap, "--%s", s->option->name);
}

void options_label(const struct config *config, const char *name, char *label, size_t cap)
{
    const struct option *o = option_find(str_make(name, strlen(name)), false);
    const struct setting *s = setting_first(config, o);

    if (s != NULL)
        label_setting(label, cap, config, s);
    else
        snprintf(label, cap, "--%s", name);
}

/* --- the command line -------------------------------------------------------------------------- */

/* "--no-preload" says false. */
static int take_flag(struct loader *l, const struct option *o, const char *value, bool on)
{
    if (value != NULL)
        return FAIL(l, "--%s%s takes no value, so \"=%s\" is too much", on ? "" : "no-", o->name, value);
    add_text(l->config, o, on ? "true" : "false", SOURCE_COMMAND_LINE);
    return 0;
}

/* `value`: what stands behind the '=' (or the letter), or NULL: then it is the next argument. */
static int take_option(struct loader *l, const struct option *o, const char *value)
{
    const struct options_input *input = l->input;

    if (o->kind == OPTION_FLAG)
        return take_flag(l, o, value, true);
    if (value == NULL) {
        /* "--venv --port 80" is a forgotten value; who means it can write --venv=--port. */
        bool missing = l->at >= input->argc || strncmp(input->argv[l->at], "--", 2) == 0;
        if (missing)
            return FAIL(l, "--%s needs a value: --%s %s", o->name, o->name, o->metavar);
        value = input->argv[l->at++];
    }
    add_text(l->config, o, value, SOURCE_COMMAND_LINE);
    return 0;
}

static const struct option *find_negated(struct str name)
{
    const struct option *o;

    if (name.len <= 3 || memcmp(name.ptr, "no-", 3) != 0)
        return NULL;
    o = option_find(str_make(name.ptr + 3, name.len - 3), false);
    return o != NULL && o->kind == OPTION_FLAG && option_may_be_in(o, SOURCE_ENVIRONMENT) ? o : NULL;
}

static int refuse_option(struct loader *l, const char *dashes, const char *typed)
{
    char nearest[OPTION_NAME_MAX];

    if (!option_nearest(nearest, sizeof(nearest), typed, SOURCE_COMMAND_LINE))
        return FAIL(l, "there is no option %s%s; --help lists them all", dashes, typed);
    return FAIL(l, "there is no option %s%s; did you mean --%s?", dashes, typed, nearest);
}

/* An argument that begins with "--"; `text` is what follows. */
static int take_long(struct loader *l, const char *text)
{
    char typed[OPTION_NAME_MAX + 1];
    struct str name = str_make(text, strcspn(text, "="));
    const char *value = text[name.len] == '=' ? text + name.len + 1 : NULL;
    const struct option *o = option_find(name, false);

    if (o != NULL)
        return take_option(l, o, value);
    o = find_negated(name);
    if (o != NULL)
        return take_flag(l, o, value, false);
    snprintf(typed, sizeof(typed), "%.*s", (int)(name.len < OPTION_NAME_MAX ? name.len : OPTION_NAME_MAX), text);
    return refuse_option(l, "--", typed);
}

/* "-port" is a name that lacks a dash, and not -p with the value "ort". */
static bool lacks_dash(const char *typed)
{
    char nearest[OPTION_NAME_MAX];
    size_t len = strspn(typed, "abcdefghijklmnopqrstuvwxyz-_");

    return len >= 3 && (typed[len] == '\0' || typed[len] == '=') &&
           (option_find(str_make(typed, len), false) != NULL ||
            (option_nearest(nearest, sizeof(nearest), typed, SOURCE_COMMAND_LINE) && nearest[0] == typed[0] &&
             option_distance(nearest, typed) <= 2));
}

/* An argument that begins with one dash: a letter, and its value maybe in the same argument. */
static int take_short(struct loader *l, const char *argument)
{
    const char *value = argument[2] != '\0' ? argument + 2 : NULL;
    const struct option *o;

    if (lacks_dash(argument + 1))
        return refuse_option(l, "-", argument + 1);
    for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
        if (o->letter == argument[1] && (o->kind != OPTION_FLAG || value == NULL))
            return take_option(l, o, value);
    }
    return refuse_option(l, "-", argument + 1);
}

static int take_application(struct loader *l, const char *argument)
{
    const struct option *o = option_find(STR("app"), false);
    const struct setting *before = setting_from(l->config, o, SOURCE_COMMAND_LINE);

    if (before != NULL)
        return FAIL(l, "one application is enough: \"%s\" stands behind \"%s\"", argument, before->value);
    if (*argument == '\0')
        return FAIL(l, "the application's name is empty");
    add_text(l->config, o, argument, SOURCE_COMMAND_LINE);
    return 0;
}

static int read_command_line(struct loader *l)
{
    bool options_ended = false;

    while (l->at < l->input->argc) {
        const char *argument = l->input->argv[l->at++];
        int taken = 0;
        if (!options_ended && strcmp(argument, "--") == 0)
            options_ended = true;
        else if (!options_ended && strncmp(argument, "--", 2) == 0)
            taken = take_long(l, argument + 2);
        else if (!options_ended && argument[0] == '-' && argument[1] != '\0')
            taken = take_short(l, argument);
        else
            taken = take_application(l, argument);
        if (taken != 0)
            return -1;
    }
    return 0;
}

/* --- the environment --------------------------------------------------------------------------- */

/* Names that are not options, but no mistakes either. */
static bool is_reserved(struct str name)
{
    static const char *const reserved[] = {
        PREFIX "SOCKETS",     /* what a master tells its heir */
        PREFIX "PYTHON_LINK", /* what a build is told, maybe in the same shell */
    };

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (str_equal(name, str_make(reserved[i], strlen(reserved[i]))))
            return true;
    }
    return false;
}

/* "CSERVE_LOG_LEVEL" as "log-level"; what is no capital letter stays, and makes no name. */
static void lower_name(char *out, size_t cap, struct str variable)
{
    size_t len = 0;

    for (size_t i = sizeof(PREFIX) - 1; i < variable.len && len + 1 < cap; i++) {
        char c = variable.ptr[i];
        out[len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
    }
    out[len] = '\0';
}

static bool is_capital(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || name.ptr[i] == '-')
            return false;
    }
    return true;
}

static int refuse_variable(struct loader *l, struct str variable, const char *typed)
{
    char nearest[OPTION_NAME_MAX], meant[OPTION_NAME_MAX + sizeof(PREFIX)];
    int len = variable.len < 2 * OPTION_NAME_MAX ? (int)variable.len : 2 * OPTION_NAME_MAX;

    if (!option_nearest(nearest, sizeof(nearest), typed, SOURCE_ENVIRONMENT))
        return FAIL(l, "environment variable %.*s: there is no such option; --help lists them all, and who means another "
                       "program needs another name",
                    len, variable.ptr);
    option_variable(meant, sizeof(meant), nearest);
    return FAIL(l, "environment variable %.*s: there is no such option; did you mean %s?", len, variable.ptr, meant);
}

/* An option that may be repeated has its values between blanks. */
static void add_words(struct loader *l, const struct option *o, const char *value)
{
    const char *word = value + strspn(value, " \t\n");

    if (*word == '\0')
        add_text(l->config, o, "", SOURCE_ENVIRONMENT); /* which is refused */
    while (*word != '\0') {
        size_t len = strcspn(word, " \t\n");
        add(l->config, o, str_make(word, len), SOURCE_ENVIRONMENT, 0);
        word += len;
        word += strspn(word, " \t\n");
    }
}

static int take_variable(struct loader *l, struct str variable, const char *value)
{
    char name[OPTION_NAME_MAX + 1];
    const struct option *o;

    if (is_reserved(variable))
        return 0;
    lower_name(name, sizeof(name), variable);
    o = is_capital(variable) ? option_find(str_make(name, strlen(name)), true) : NULL;
    if (o == NULL)
        return refuse_variable(l, variable, name);
    if (!option_may_be_in(o, SOURCE_ENVIRONMENT))
        return FAIL(l, "environment variable %.*s: --%s can only be given on the command line", (int)variable.len,
                    variable.ptr, o->name);
    if (setting_from(l->config, o, SOURCE_ENVIRONMENT) != NULL)
        return FAIL(l, "environment variable %.*s: another variable gives --%s already; unset one of them",
                    (int)variable.len, variable.ptr, o->name);
    if (o->kind == OPTION_LIST)
        add_words(l, o, value);
    else
        add_text(l->config, o, value, SOURCE_ENVIRONMENT);
    return 0;
}

static int read_environment(struct loader *l)
{
    for (char *const *entry = l->input->environment; entry != NULL && *entry != NULL; entry++) {
        struct str variable = str_make(*entry, strcspn(*entry, "="));
        if (strncmp(*entry, PREFIX, sizeof(PREFIX) - 1) != 0 || variable.ptr[variable.len] == '\0')
            continue;
        if (take_variable(l, variable, variable.ptr + variable.len + 1) != 0)
            return -1;
    }
    return 0;
}

/* --- the file ---------------------------------------------------------------------------------- */

struct file {
    bool named;  /* by --config: then it must be there and have the section */
    bool inside; /* the section */
    bool found;
    bool began;  /* any section */
    const struct option *key; /* the latest */
};

#define FAIL_AT(loader, line, format, ...)                                                                             \
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
    return str_equal_nocase(section, STR(SECTION)) || (name[0] == 'c' && option_distance(name, SECTION) <= 2) ||
           strcmp(name, "tool:" SECTION) == 0 || strcmp(name, "tool." SECTION) == 0;
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
        return FAIL_AT(l, line, "\"%.*s\" behind [%s] needs a line of its own", shown(line->value), line->value.ptr,
                       SECTION);
    if (!file->inside && is_nearly_ours(line->section))
        return FAIL_AT(l, line, "there is no section [%.*s]; did you mean [%s]?", shown(line->section),
                       line->section.ptr, SECTION);
    return 0;
}

/* What would become part of a value without being meant so. */
static int check_value(struct loader *l, const struct ini_line *line)
{
    struct str value = line->value;
    char first = value.len > 1 ? value.ptr[0] : '\0';

    if ((first == '"' || first == '\'') && value.ptr[value.len - 1] == first)
        return FAIL_AT(l, line, "values stand without quotes, which would be part of them: %.*s", shown(value),
                       value.ptr);
    for (size_t i = 1; i < value.len; i++) {
        if (str_is_blank(value.ptr[i - 1]) && (value.ptr[i] == '#' || value.ptr[i] == ';'))
            return FAIL_AT(l, line, "a comment needs a line of its own, for here it would be part of the value: \"%.*s\"",
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
    add(l->config, o, line->value, SOURCE_FILE, line->number);
    return check_value(l, line);
}

static int take_more(struct loader *l, struct file *file, const struct ini_line *line)
{
    struct setting *latest = &l->config->settings[l->config->setting_count - 1];

    if (*latest->value == '\0') { /* the values begin in the line below the key */
        free(latest->value);
        l->config->setting_count--;
    } else if (!option_is_list(file->key)) {
        return FAIL_AT(l, line, "%s takes one value, so this line, which is indented and thus another, is too much",
                       file->key->name);
    }
    add(l->config, file->key, line->value, SOURCE_FILE, line->number);
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
    if (file->named && !file->found)
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
    label_setting(label, sizeof(label), l->config, named);
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
        add_text(l->config, config_option, l->config->file, SOURCE_DEFAULT);
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

static int read_file(struct loader *l)
{
    const struct option *o = option_find(STR("config"), false);
    const struct setting *named = setting_first(l->config, o);

    if (named == NULL)
        return read_found(l, o);
    if (*named->value == '\0')
        return 0; /* it is refused like any empty value */
    return read_named(l, named);
}

/* --- settings become a config ------------------------------------------------------------------ */

/* Who says --port over a file's bind means it. */
static void drop_outranked_binds(struct config *config)
{
    const struct option *bind = option_find(STR("bind"), false);
    enum source source = source_of(config, bind);

    if (source_of(config, option_find(STR("host"), false)) > source ||
        source_of(config, option_find(STR("port"), false)) > source)
        drop(config, bind);
}

static bool is_same(const struct config *a, const struct config *b, const struct option *o)
{
    const struct setting *of_a = setting_first(a, o), *of_b = setting_first(b, o);

    while (of_a != NULL && of_b != NULL && strcmp(of_a->value, of_b->value) == 0) {
        of_a = setting_next(a, of_a);
        of_b = setting_next(b, of_b);
    }
    return of_a == NULL && of_b == NULL;
}

static void keep(struct config *config, const struct config *running, const struct option *o)
{
    drop(config, o);
    for (size_t i = 0; i < running->setting_count; i++) {
        const struct setting *s = &running->settings[i];
        if (s->option == o)
            add(config, o, str_make(s->value, strlen(s->value)), s->source, s->line);
    }
}

/* What only a start can change stays as it is in the running master; config->kept names it. */
static void keep_running(struct config *config, const struct config *running)
{
    const struct option *o;
    struct buf names;

    buf_init(&names);
    for (size_t i = 0; (o = option_at(i)) != NULL; i++) {
        if (!o->at_start || is_same(config, running, o))
            continue;
        buf_printf(&names, "%s--%s", names.len > 0 ? ", " : "", o->name);
        keep(config, running, o);
    }
    if (names.len > 0)
        config->kept = mem_strndup(names.data, names.len);
    buf_release(&names);
}

static int apply(struct loader *l, enum source source)
{
    struct config *config = l->config;
    char label[1024];

    for (size_t i = 0; i < config->setting_count; i++) {
        const struct setting *s = &config->settings[i];
        if (s->source != source)
            continue;
        if (s == setting_from(config, s->option, source))
            value_clear(config, s->option); /* of what weaker sources gave */
        label_setting(label, sizeof(label), config, s);
        if (value_take(config, s->option, label, s->value, l->error, l->cap) != 0)
            return -1;
    }
    return 0;
}

static int apply_all(struct loader *l)
{
    for (int source = SOURCE_DEFAULT; source < SOURCE_COUNT; source++) {
        if (apply(l, (enum source)source) != 0)
            return -1;
    }
    return 0;
}

/* Without --bind, --host and --port make one; an IPv6 address gets its brackets. */
static void bind_default(struct config *config)
{
    struct buf bind;
    const char *host = config->host;
    bool bare_ip6 = strchr(host, ':') != NULL && host[0] != '[';

    buf_init(&bind);
    buf_printf(&bind, bare_ip6 ? "[%s]:%d" : "%s:%d", host, config->port);
    value_append(&config->binds, &config->process.bind_count, bind.data, bind.len);
    buf_release(&bind);
}

static char *new_label(const struct config *config, const struct setting *s)
{
    char label[1024];

    if (s == NULL)
        return NULL;
    label_setting(label, sizeof(label), config, s);
    return mem_strndup(label, strlen(label));
}

/* For what can only be found wrong later. */
static void make_labels(struct config *config)
{
    size_t count = 0;

    for (const struct setting *s = setting_first(config, option_find(STR("bind"), false)); s != NULL;
         s = setting_next(config, s)) {
        char *label = new_label(config, s);
        value_append(&config->bind_labels, &count, label, strlen(label));
        free(label);
    }
    config->process.bind_labels = config->bind_labels;
    config->user_label = new_label(config, setting_first(config, option_find(STR("user"), false)));
    config->group_label = new_label(config, setting_first(config, option_find(STR("group"), false)));
    config->process.user_label = config->user_label;
    config->process.group_label = config->group_label;
}

static int finish(struct loader *l)
{
    struct config *config = l->config;

    if (config->process.python.app == NULL && !config->print_config)
        return FAIL(l, "no application given: cserve MODULE:APP, for example cserve apps/hello.py");
    make_labels(config);
    if (config->process.bind_count == 0)
        bind_default(config);
    config->process.binds = config->binds;
    config->process.python.paths = config->paths;
    config->process.python.multithread = config->process.server.threads > 1;
    config->process.python.argc = l->input->argc;
    config->process.python.argv = l->input->argv;
    return 0;
}

/* The user wants to know something that holds whatever else is configured. */
static bool is_question(const struct config *config)
{
    for (size_t i = 0; i < config->setting_count; i++) {
        if (config->settings[i].option->is_question)
            return true;
    }
    return false;
}

int options_parse(struct config *config, const struct options_input *input, char *error, size_t cap)
{
    struct loader l = {.config = config, .input = input, .at = 1, .error = error, .cap = cap};
    const struct option *o;

    *config = (struct config){0};
    for (size_t i = 0; (o = option_at(i)) != NULL; i++)
        value_set_default(config, o);
    if (read_command_line(&l) != 0)
        return -1;
    if (is_question(config))
        return apply_all(&l);
    if (read_environment(&l) != 0 || read_file(&l) != 0)
        return -1;
    drop_outranked_binds(config);
    if (input->running != NULL)
        keep_running(config, input->running);
    return apply_all(&l) != 0 ? -1 : finish(&l);
}

void options_release(struct config *config)
{
    value_release_list(config->bind_labels, config->bind_labels != NULL ? config->process.bind_count : 0);
    value_release_list(config->binds, config->process.bind_count);
    value_release_list(config->paths, config->process.python.path_count);
    cidr_list_release(&config->process.server.forwarded_allow);
    cidr_list_release(&config->process.server.proxy_allow);
    for (size_t i = 0; i < config->setting_count; i++)
        free(config->settings[i].value);
    free(config->settings);
    free(config->file);
    free(config->kept);
    free(config->user_label);
    free(config->group_label);
    *config = (struct config){0};
}
