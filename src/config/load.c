/* SPDX-License-Identifier: MIT */
/*
 * Configuration: the command line (or what a caller in Python says), the environment and a file become a struct
 * config.
 *
 * First all that anybody says is gathered as settings, each with where it came from, and names are looked up:
 * one that there is not is answered with the nearest that there is. Then the settings are applied, the
 * weakest source first, so that the value that stays is the strongest one's, and so that a bad value is found
 * even if a better one would hide it. An option that may be repeated has all values of the strongest source
 * that gives any.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cserve/address.h"
#include "cserve/mem.h"

#include "load.h"

/* Who says --port over a file's bind means it. */
static void drop_outranked_binds(struct config *config)
{
    const struct option *bind = option_find(STR("bind"), false);
    enum source source = setting_source(config, bind);

    if (setting_source(config, option_find(STR("host"), false)) > source ||
        setting_source(config, option_find(STR("port"), false)) > source)
        setting_drop(config, bind);
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
    setting_drop(config, o);
    for (size_t i = 0; i < running->setting_count; i++) {
        const struct setting *s = &running->settings[i];
        if (s->option == o)
            setting_add(config, o, str_make(s->value, strlen(s->value)), s->source, s->line);
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
        setting_label(label, sizeof(label), config, s);
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
    setting_label(label, sizeof(label), config, s);
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

static int check_binds(const struct loader *l)
{
    const struct config *config = l->config;
    char reason[512];

    for (size_t i = 0; i < config->process.bind_count; i++) {
        if (address_check(config->binds[i], reason, sizeof(reason)) == 0)
            continue;
        if (config->bind_labels != NULL)
            return FAIL(l, "%s: %s", config->bind_labels[i], reason);
        return FAIL(l, "%s", reason);
    }
    return 0;
}

static int finish(struct loader *l)
{
    struct config *config = l->config;

    if (config->process.python.app == NULL && !config->print_config && !l->input->for_top)
        return FAIL(l, "no application given: cserve MODULE:APP, for example cserve apps/hello.py");
    make_labels(config);
    if (config->process.bind_count == 0)
        bind_default(config);
    config->process.binds = config->binds;
    config->process.python.paths = config->paths;
    config->process.reload_files = config->reload_files;
    config->process.server.static_maps = config->statics;
    config->process.python.multithread = config->process.server.threads > 1;
    config->process.python.argc = l->input->argc;
    config->process.python.argv = l->input->argv;
    return check_binds(l);
}

bool options_are_question(const struct config *config)
{
    for (size_t i = 0; i < config->setting_count; i++) {
        if (config->settings[i].option->is_question)
            return true;
    }
    return false;
}

int options_parse(struct config *config, const struct options_input *input, char *error, size_t cap)
{
    struct loader l = {.config = config, .input = input, .error = error, .cap = cap};
    const struct option *o;

    *config = (struct config){0};
    for (size_t i = 0; (o = option_at(i)) != NULL; i++)
        value_set_default(config, o);
    if ((input->keywords != NULL ? load_keywords(&l) : load_arguments(&l)) != 0)
        return -1;
    if (options_are_question(config))
        return apply_all(&l);
    if (load_environment(&l) != 0 || load_file(&l) != 0)
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
    value_release_list(config->reload_files, config->process.reload_file_count);
    value_release_list(config->statics, config->process.server.static_count);
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
