/* SPDX-License-Identifier: MIT */
/* The environment: each variable that begins with CSERVE_ gives an option its value, or is a mistake. */
#include <stdio.h>
#include <string.h>

#include "load.h"

/* Names that are not options, but no mistakes either. */
static bool is_reserved(struct str name)
{
    static const char *const reserved[] = {
        VARIABLE_PREFIX "SOCKETS",     /* what a master tells its heir */
        VARIABLE_PREFIX "PYTHON_LINK", /* what a build is told, maybe in the same shell */
    };

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (str_equal(name, str_make(reserved[i], strlen(reserved[i]))))
            return true;
    }
    return false;
}

static bool begins(struct str s, const char *prefix)
{
    return s.len >= strlen(prefix) && memcmp(s.ptr, prefix, strlen(prefix)) == 0;
}

/* What Kubernetes tells every container of a service that is called "cserve". */
static bool is_of_service(struct str name, const char *value)
{
    static const char port[] = VARIABLE_PREFIX "PORT";
    bool address = strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0;

    if (str_equal(name, str_make(port, sizeof(port) - 1)))
        return address;
    return begins(name, VARIABLE_PREFIX "SERVICE_") ||
           (begins(name, VARIABLE_PREFIX "PORT_") && name.ptr[sizeof(port)] >= '0' && name.ptr[sizeof(port)] <= '9');
}

/* "CSERVE_LOG_LEVEL" as "log-level"; what is no capital letter stays, and makes no name. */
static void lower_name(char *out, size_t cap, struct str variable)
{
    size_t len = 0;

    for (size_t i = sizeof(VARIABLE_PREFIX) - 1; i < variable.len && len + 1 < cap; i++) {
        char c = variable.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        else if (c == '_')
            c = '-';
        out[len++] = c;
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

/* "environment variable CSERVE_X: " and what is wrong with it. */
static int refuse(struct loader *l, struct str variable, const char *reason, const char *hint)
{
    int shown = variable.len < 2 * OPTION_NAME_MAX ? (int)variable.len : 2 * OPTION_NAME_MAX;

    return FAIL(l, "environment variable %.*s: %s%s", shown, variable.ptr, reason, hint);
}

static int refuse_unknown(struct loader *l, struct str variable, const char *typed)
{
    char nearest[OPTION_NAME_MAX], meant[OPTION_VARIABLE_MAX], hint[OPTION_VARIABLE_MAX + 32];

    if (!option_nearest(nearest, sizeof(nearest), typed, SOURCE_ENVIRONMENT))
        return refuse(l, variable, "there is no such option; --help lists them all, ",
                      "and who means another program needs another name");
    option_variable(meant, sizeof(meant), nearest);
    snprintf(hint, sizeof(hint), "did you mean %s?", meant);
    return refuse(l, variable, "there is no such option; ", hint);
}

static int take_variable(struct loader *l, struct str variable, const char *value)
{
    char name[OPTION_NAME_MAX + 1];
    const struct option *o;

    if (is_reserved(variable) || is_of_service(variable, value))
        return 0;
    lower_name(name, sizeof(name), variable);
    o = is_capital(variable) ? option_find(str_make(name, strlen(name)), true) : NULL;
    if (o == NULL)
        return refuse_unknown(l, variable, name);
    if (!option_may_be_in(o, SOURCE_ENVIRONMENT))
        return refuse(l, variable, "this can only be given on the command line, as --", o->name);
    if (setting_from(l->config, o, SOURCE_ENVIRONMENT) != NULL)
        return refuse(l, variable, "unset it or another, for two give --", o->name);
    if (o->kind == OPTION_LIST)
        setting_add_words(l->config, o, value, SOURCE_ENVIRONMENT);
    else
        setting_add_text(l->config, o, value, SOURCE_ENVIRONMENT);
    return 0;
}

int load_environment(struct loader *l)
{
    for (char *const *entry = l->input->environment; entry != NULL && *entry != NULL; entry++) {
        struct str variable = str_make(*entry, strcspn(*entry, "="));
        bool ours = strncmp(*entry, VARIABLE_PREFIX, sizeof(VARIABLE_PREFIX) - 1) == 0;
        if (!ours || variable.ptr[variable.len] == '\0')
            continue;
        if (take_variable(l, variable, variable.ptr + variable.len + 1) != 0)
            return -1;
    }
    return 0;
}
