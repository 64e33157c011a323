/* SPDX-License-Identifier: MIT */
/*
 * The signals that the master takes. They are blocked in its thread, and read from a descriptor when it is their
 * turn: nothing happens in handlers, no race.
 *
 * The extension module is in a process that may have other threads, where nothing is blocked; so there is a handler,
 * which sends on to the master's thread what another one got. What was there before, handlers and mask, comes back
 * at the end of a master that serve() called; in children the handlers do at once. At the end of the command all
 * stays blocked: one order more than it took must not change its exit status.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cserve/log.h"

#include "process_internal.h"

static const int taken[] = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP,   SIGUSR1,
                            SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH, SIGCHLD};

enum { TAKEN = sizeof(taken) / sizeof(taken[0]) };

static struct sigaction before[TAKEN], pipe_before;
static sigset_t mask_before;
static pthread_t master;
static bool is_open;

static void send_on(int number)
{
    int saved = errno;

    pthread_kill(master, number);
    errno = saved;
}

static void fill(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < TAKEN; i++)
        sigaddset(set, taken[i]);
}

int signals_open(struct master *m)
{
    struct sigaction action = {.sa_handler = send_on, .sa_flags = SA_RESTART};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigset_t set;

    master = pthread_self();
    is_open = true;
    fill(&set);
    sigemptyset(&action.sa_mask);
    pthread_sigmask(SIG_BLOCK, &set, &mask_before);
    sigaction(SIGPIPE, &ignored, &pipe_before);
    for (size_t i = 0; i < TAKEN; i++)
        sigaction(taken[i], &action, &before[i]);
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m->signal_fd < 0)
        log_critical("cannot wait for signals: %s", strerror(errno));
    return m->signal_fd < 0 ? -1 : 0;
}

void signals_forget(void)
{
    sigaction(SIGPIPE, &pipe_before, NULL);
    for (size_t i = 0; i < TAKEN; i++)
        sigaction(taken[i], &before[i], NULL);
}

/* What has come meanwhile was meant for the master: it must not meet the handlers of those who come back. */
static void drop_pending(int fd)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
    }
}

void signals_close(struct master *m)
{
    if (is_open && m->config->python.called) {
        drop_pending(m->signal_fd);
        signals_forget();
        pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
    }
    is_open = false;
    if (m->signal_fd >= 0)
        close(m->signal_fd);
}
