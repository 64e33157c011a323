/* SPDX-License-Identifier: MIT */
/*
 * The keyword arguments of serve(): options by their names with '_' for '-'. A list comes as several keywords of one
 * name. A number of Python's is in the unit of the option, except that permission bits are a number there and
 * octal digits here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static int refuse_name(struct loader *l, const char *typed)
{
    char dashed[OPTION_NAME_MAX + 1], nearest[OPTION_NAME_MAX], meant[OPTION_NAME_MAX];

    l->config->bad_name = true;
    snprintf(dashed, sizeof(dashed), "%s", typed);
    for (char *c = dashed; *c != '\0'; c++)
        *c = (char)(*c == '_' ? '-' : *c);
    if (!option_nearest(nearest, sizeof(nearest), dashed, SOURCE_KEYWORD))
        return FAIL(l, "serve() has no option %.*s; cserve --help lists them all", OPTION_NAME_MAX, typed);
    option_keyword(meant, sizeof(meant), nearest);
    return FAIL(l, "serve() has no option %.*s; did you mean %s?", OPTION_NAME_MAX, typed, meant);
}

/* "18" as "22", which is what it says in octal. */
static void add(struct loader *l, const struct option *o, const struct program_keyword *keyword)
{
    char octal[24];
    const char *value = keyword->value;

    if (o->kind == OPTION_MODE && keyword->kind == KEYWORD_NUMBER) {
        snprintf(octal, sizeof(octal), "%" PRIo64, (uint64_t)strtoull(value, NULL, 10));
        value = octal;
    }
    if (o->kind == OPTION_LIST && keyword->kind == KEYWORD_WORDS)
        setting_add_words(l->config, o, value, SOURCE_KEYWORD);
    else
        setting_add_text(l->config, o, value, SOURCE_KEYWORD);
}

static int take(struct loader *l, const struct program_keyword *keyword)
{
    const struct option *o = option_find(str_make(keyword->name, strlen(keyword->name)), true);

    if (o == NULL)
        return refuse_name(l, keyword->name);
    if (!option_may_be_in(o, SOURCE_KEYWORD)) {
        l->config->bad_name = true;
        return FAIL(l, "%s: this can only be given on the command line, as --%s", keyword->name, o->name);
    }
    if (!option_is_list(o) && setting_from(l->config, o, SOURCE_KEYWORD) != NULL)
        return FAIL(l, "%s: one value is enough, for this is no option that may be repeated", keyword->name);
    add(l, o, keyword);
    return 0;
}

int load_keywords(struct loader *l)
{
    for (size_t i = 0; i < l->input->keyword_count; i++) {
        if (take(l, &l->input->keywords[i]) != 0)
            return -1;
    }
    return 0;
}
