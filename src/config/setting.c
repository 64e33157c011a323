/* SPDX-License-Identifier: MIT */
/* Settings: what somebody gave to an option, and which of all that was given counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cserve/mem.h"

#include "option.h"

void setting_add(struct config *config, const struct option *o, struct str value, enum source source,
                 int line)
{
    size_t count = config->setting_count;

    config->settings = mem_realloc(config->settings, (count + 1) * sizeof(*config->settings));
    config->settings[count] = (struct setting){o, mem_strndup(value.ptr, value.len), source, line};
    config->setting_count++;
}

void setting_add_text(struct config *config, const struct option *o, const char *value, enum source source)
{
    setting_add(config, o, str_make(value, strlen(value)), source, 0);
}

void setting_add_words(struct config *config, const struct option *o, const char *value, enum source source)
{
    const char *word = value + strspn(value, " \t\n");

    if (*word == '\0')
        setting_add_text(config, o, "", source); /* which is refused */
    while (*word != '\0') {
        size_t len = strcspn(word, " \t\n");
        setting_add(config, o, str_make(word, len), source, 0);
        word += len;
        word += strspn(word, " \t\n");
    }
}

void setting_drop(struct config *config, const struct option *o)
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

struct setting *setting_from(const struct config *config, const struct option *o, enum source source)
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

enum source setting_source(const struct config *config, const struct option *o)
{
    const struct setting *s = setting_first(config, o);

    return s == NULL ? SOURCE_DEFAULT : s->source;
}

void setting_describe_source(struct buf *out, const struct config *config, const struct setting *s)
{
    char variable[OPTION_VARIABLE_MAX];

    if (s == NULL || s->source == SOURCE_DEFAULT) {
        buf_printf(out, "default");
    } else if (s->source == SOURCE_FILE) {
        buf_printf(out, "%s:%d", config->file, s->line);
    } else if (s->source == SOURCE_COMMAND_LINE) {
        buf_printf(out, "command line");
    } else if (s->source == SOURCE_KEYWORD) {
        buf_printf(out, "keyword argument");
    } else {
        option_variable(variable, sizeof(variable), s->option->name);
        buf_printf(out, "environment variable %s", variable);
    }
}

void setting_label(char *label, size_t cap, const struct config *config, const struct setting *s)
{
    if (s->source == SOURCE_ENVIRONMENT)
        option_variable(label, cap, s->option->name);
    else if (s->source == SOURCE_KEYWORD)
        option_keyword(label, cap, s->option->name);
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
        setting_label(label, cap, config, s);
    else
        snprintf(label, cap, "--%s", name);
}
