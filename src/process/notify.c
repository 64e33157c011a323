/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told, by the protocol of sd_notify(3): a datagram with lines of NAME=VALUE to
 * the socket that NOTIFY_SOCKET names. Without one nothing happens. The variables are taken out of the
 * environment: they are meant for this process, not for the application.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"

#include "process_internal.h"

static struct sockaddr_un manager;
static socklen_t manager_len; /* 0: there is none */
static int64_t watchdog_ms;   /* how often to say that all is well; 0: never */
static int64_t next_ms;

static void find_watchdog(void)
{
    const char *period_us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (period_us != NULL && (pid == NULL || strtol(pid, NULL, 10) == (long)getpid()))
        watchdog_ms = strtoll(period_us, NULL, 10) / 1000 / 2;
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path == NULL ? 0 : strlen(path);

    find_watchdog();
    if (len < 2 || len >= sizeof(manager.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    manager.sun_family = AF_UNIX;
    memcpy(manager.sun_path, path, len);
    if (path[0] == '@')
        manager.sun_path[0] = '\0';
    manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    unsetenv("NOTIFY_SOCKET");
}

void notify_pass_on(void)
{
    char path[sizeof(manager.sun_path) + 1] = "";

    if (manager_len == 0)
        return;
    memcpy(path, manager.sun_path, manager_len - offsetof(struct sockaddr_un, sun_path));
    if (path[0] == '\0')
        path[0] = '@';
    setenv("NOTIFY_SOCKET", path, 1);
}

static void tell(const char *text)
{
    int fd;

    if (manager_len == 0)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&manager, manager_len) < 0)
        log_warning("the service manager cannot be told: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
}

void notify_ready(void)
{
    char text[64];

    snprintf(text, sizeof(text), "READY=1\nMAINPID=%ld", (long)getpid());
    tell(text);
}

void notify_reloading(void)
{
    char text[64];

    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_us());
    tell(text);
}

void notify_stopping(void)
{
    tell("STOPPING=1");
}

int64_t notify_watchdog(void)
{
    int64_t now_ms = clock_ms();

    if (watchdog_ms == 0 || manager_len == 0)
        return 0;
    if (now_ms >= next_ms) {
        tell("WATCHDOG=1");
        next_ms = now_ms + watchdog_ms;
    }
    return next_ms;
}
