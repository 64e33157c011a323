/* SPDX-License-Identifier: MIT */
/*
 * Who the application runs as. The master stays who it is, so that it can open ports and log files again;
 * each worker gives its privileges up before it starts Python. Every step is checked, and that there is no
 * way back is tried: a worker that keeps a privilege by mistake does not serve.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cserve/log.h"

#include "process_internal.h"

struct identity {
    uid_t user;
    gid_t group;
    const char *name; /* of the user, for the groups that it is in; NULL: it has none */
};

/* A whole number; -1 if the text is none. */
static long number_of(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    return *end == '\0' && value >= 0 && value < (long)UINT32_MAX ? value : -1;
}

static int find_user(const char *text, const char *label, struct identity *who)
{
    long number = number_of(text);
    const struct passwd *entry = number >= 0 ? getpwuid((uid_t)number) : getpwnam(text);

    if (entry == NULL && number < 0) {
        log_critical("%s: there is no user %s", label, text);
        return -1;
    }
    who->user = entry != NULL ? entry->pw_uid : (uid_t)number;
    if (entry != NULL) {
        who->group = entry->pw_gid;
        who->name = entry->pw_name;
    }
    return 0;
}

static int find_group(const char *text, const char *label, struct identity *who)
{
    long number = number_of(text);
    const struct group *entry = number >= 0 ? NULL : getgrnam(text);

    if (entry == NULL && number < 0) {
        log_critical("%s: there is no group %s", label, text);
        return -1;
    }
    who->group = entry != NULL ? entry->gr_gid : (gid_t)number;
    return 0;
}

static int find_identity(const struct process_config *config, struct identity *who)
{
    *who = (struct identity){.user = geteuid(), .group = getegid()};
    if (config->user != NULL && find_user(config->user, config->user_label, who) != 0)
        return -1;
    return config->group != NULL ? find_group(config->group, config->group_label, who) : 0;
}

static bool is_asked_for(const struct process_config *config, const struct identity *who)
{
    bool asked = config->user != NULL || config->group != NULL;

    return asked && (who->user != geteuid() || who->group != getegid());
}

int privileges_check(const struct process_config *config)
{
    struct identity who;

    if (find_identity(config, &who) != 0)
        return -1;
    if (!is_asked_for(config, &who) || geteuid() == 0)
        return 0;
    log_critical("--user and --group need to be started by root");
    return -1;
}

/* Whether this process is who it should be, in every respect, and cannot be root again. */
static bool is_final(const struct identity *who)
{
    uid_t user[3];
    gid_t group[3];

    if (getresuid(&user[0], &user[1], &user[2]) != 0 || getresgid(&group[0], &group[1], &group[2]) != 0)
        return false;
    for (int i = 0; i < 3; i++) {
        if (user[i] != who->user || group[i] != who->group)
            return false;
    }
    return who->user == 0 || (setuid(0) != 0 && seteuid(0) != 0);
}

static int change_groups(const struct identity *who)
{
    return who->name != NULL ? initgroups(who->name, who->group) : setgroups(1, &who->group);
}

int privileges_drop(const struct process_config *config)
{
    struct identity who;
    const char *step = NULL;

    if (find_identity(config, &who) != 0)
        return -1;
    if (!is_asked_for(config, &who))
        return 0;
    if (change_groups(&who) != 0)
        step = "set the supplementary groups";
    else if (setresgid(who.group, who.group, who.group) != 0)
        step = "change the group";
    else if (setresuid(who.user, who.user, who.user) != 0)
        step = "change the user";
    if (step == NULL && is_final(&who))
        return 0;
    log_critical("cannot become user %ld and group %ld: %s: %s", (long)who.user, (long)who.group,
                 step != NULL ? step : "verify", step != NULL ? strerror(errno) : "a privilege is left");
    return -1;
}

void privileges_grant_log(const struct process_config *config, const char *path)
{
    struct identity who;
    int fd;

    if (path == NULL || strcmp(path, "-") == 0)
        return;
    if (find_identity(config, &who) != 0 || !is_asked_for(config, &who))
        return;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0644);
    if (fd < 0 || fchown(fd, who.user, who.group) != 0)
        log_warning("%s cannot be given to the application's user: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}
