/* SPDX-License-Identifier: MIT */
/*
 * A new binary on the same sockets. The old master forks a process that starts cserve anew, with the
 * arguments and in the directory that it was started with itself; the sockets stay open in it, and
 * CSERVE_SOCKETS says which they are:
 *
 *     PID OLD ACTIVATED PER_SLOT FD FD FD ...
 *
 * where PID is the new process's own, so that nobody who inherits the variable takes it for his, and OLD the old
 * master's. Both then serve, until the old one is told to leave by SIGQUIT or SIGTERM. Nothing is lost with the new
 * one, should it fail: it goes, and the old one has never stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cserve/buf.h"
#include "cserve/log.h"
#include "cserve/mem.h"

#include "preload.h"
#include "process_internal.h"

#define VARIABLE "CSERVE_SOCKETS"

/* --- the old one ------------------------------------------------------------------------------- */

static int keep_open(int fd)
{
    return fcntl(fd, F_SETFD, 0);
}

static void name_sockets(const struct master *m)
{
    struct buf text;

    buf_init(&text);
    buf_printf(&text, "%ld %ld %d %zu", (long)getpid(), (long)m->pid, m->activated, m->address_count);
    for (int i = 0; i < m->slot_count; i++) {
        for (size_t j = 0; j < m->address_count; j++) {
            keep_open(m->slots[i].listeners[j].fd);
            buf_printf(&text, " %d", m->slots[i].listeners[j].fd);
        }
    }
    buf_append(&text, "", 1);
    setenv(VARIABLE, text.data, 1);
    buf_release(&text);
}

/* In the child. */
static _Noreturn void become_heir(struct master *m)
{
    const struct process_config *config = m->config;
    sigset_t none;

    signals_forget();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    name_sockets(m);
    notify_pass_on();
    if (config->start_dir == NULL || chdir(config->start_dir) == 0)
        execvp(config->command[0], config->command);
    log_critical("%s cannot be started: %s", config->command[0], strerror(errno));
    _exit(EXIT_FAILED);
}

void upgrade_start(struct master *m)
{
    if (m->heir != 0 || m->old_master >= 0) {
        log_warning("SIGUSR2: there are two of us already");
        return;
    }
    fflush(NULL);
    m->heir = fork();
    if (m->heir == 0)
        become_heir(m);
    if (m->heir > 0) {
        log_info("SIGUSR2: process %ld starts on the same sockets", (long)m->heir);
        return;
    }
    log_error("SIGUSR2: cannot start: %s", strerror(errno));
    m->heir = 0;
}

void upgrade_failed(struct master *m, int status)
{
    char end[96];

    describe_end(end, sizeof(end), status);
    log_warning("the new binary, process %ld, %s", (long)m->heir, end);
    m->heir = 0;
}

/* --- the new one ------------------------------------------------------------------------------- */

static int open_process(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The next number of a text; -1 at its end. */
static long next_number(char **text)
{
    char *end;
    long value = strtol(*text, &end, 10);

    if (end == *text)
        return -1;
    *text = end;
    return value;
}

static void read_sockets(char *text, struct passed *passed)
{
    long fd;

    passed->fds = mem_alloc((strlen(text) + 1) * sizeof(*passed->fds));
    while ((fd = next_number(&text)) >= 0)
        passed->fds[passed->count++] = (int)fd;
    if (passed->count > 0 && passed->per_slot > 0 && passed->count % passed->per_slot == 0 &&
        passed->count / passed->per_slot <= WORKERS_MAX)
        return;
    free(passed->fds);
    *passed = (struct passed){0};
}

void upgrade_inherited(struct master *m, struct passed *passed)
{
    char *text = getenv(VARIABLE);
    long old;

    *passed = (struct passed){0};
    if (text == NULL)
        return;
    if (next_number(&text) == (long)getpid()) {
        old = next_number(&text);
        passed->activated = next_number(&text) == 1;
        passed->per_slot = (size_t)next_number(&text);
        read_sockets(text, passed);
        if (old == (long)getppid()) /* it may have left already */
            m->old_master = open_process((pid_t)old);
    }
    unsetenv(VARIABLE);
}

void upgrade_promote(struct master *m)
{
    close(m->old_master);
    m->old_master = -1;
    m->status_again_ms = 0; /* it had the status listener */
    pidfile_promote(m);
    notify_ready();
    log_info("the old master is gone");
}
