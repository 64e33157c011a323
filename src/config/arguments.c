/* SPDX-License-Identifier: MIT */
/*
 * The command line. An option that is given twice has the value that was given last, for that is how commands
 * are corrected, unless it is one that may be repeated.
 */
#include <stdio.h>
#include <string.h>

#include "load.h"

/* "--no-preload" says false. */
static int take_flag(struct loader *l, const struct option *o, const char *value, bool on)
{
    if (value != NULL)
        return FAIL(l, "--%s%s takes no value, so \"=%s\" is too much", on ? "" : "no-", o->name, value);
    setting_add_text(l->config, o, on ? "true" : "false", SOURCE_COMMAND_LINE);
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
    setting_add_text(l->config, o, value, SOURCE_COMMAND_LINE);
    return 0;
}

static const struct option *find_negated(struct str name)
{
    const struct option *o;

    if (name.len <= 3 || memcmp(name.ptr, "no-", 3) != 0)
        return NULL;
    o = option_find(str_make(name.ptr + 3, name.len - 3), false);
    return o != NULL && option_has_negation(o) ? o : NULL;
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
    int shown = name.len < OPTION_NAME_MAX ? (int)name.len : OPTION_NAME_MAX;
    const char *value = text[name.len] == '=' ? text + name.len + 1 : NULL;
    const struct option *o = option_find(name, false);

    if (o != NULL)
        return take_option(l, o, value);
    o = find_negated(name);
    if (o != NULL)
        return take_flag(l, o, value, false);
    snprintf(typed, sizeof(typed), "%.*s", shown, text);
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

/* Of `cserve top`: the same as --status. */
static int take_address(struct loader *l, const char *argument)
{
    const struct option *o = option_find(STR("status"), false);
    const struct setting *before = setting_from(l->config, o, SOURCE_COMMAND_LINE);

    if (before != NULL)
        return FAIL(l, "one address is enough: \"%s\" stands behind \"%s\"", argument, before->value);
    setting_add_text(l->config, o, argument, SOURCE_COMMAND_LINE);
    return 0;
}

static int take_application(struct loader *l, const char *argument)
{
    const struct option *o = option_find(STR("app"), false);
    const struct setting *before = setting_from(l->config, o, SOURCE_COMMAND_LINE);

    if (before != NULL)
        return FAIL(l, "one application is enough: \"%s\" stands behind \"%s\"", argument, before->value);
    if (*argument == '\0')
        return FAIL(l, "the application's name is empty");
    setting_add_text(l->config, o, argument, SOURCE_COMMAND_LINE);
    return 0;
}

int load_arguments(struct loader *l)
{
    bool options_ended = false;

    l->at = 1;
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
            taken = l->input->for_top ? take_address(l, argument) : take_application(l, argument);
        if (taken != 0)
            return -1;
    }
    return 0;
}
