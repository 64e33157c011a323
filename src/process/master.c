/* SPDX-License-Identifier: MIT */
/*
 * The master: owns the listening sockets, forks the worker, and sees to it that there is one until it is
 * told to stop. It runs no Python and serves nobody, so it is always free to answer a signal.
 *
 * One loop waits for signals (a signalfd: nothing happens in handlers, no race), for the worker's
 * first byte, and for deadlines. The link to the worker is a pair of sockets: a byte from the worker says
 * that it serves, a byte to it says stop, and the end of either process closes it.
 *
 *   SIGTERM, SIGINT     stop: requests in flight may finish within the graceful timeout
 *   either again        stop at once: the worker is killed
 *   SIGQUIT             stop at once
 *   SIGCHLD             reap; as process 1 of a container also children of others
 *   SIGHUP              nothing yet, but not the end either
 *
 * Exit status: EXIT_OK if all that was in flight was finished; EXIT_FAILED if it was cut off, or nothing
 * could be bound; EXIT_APP if the first worker could not load the application.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/mem.h"
#include "cserve/process.h"

enum {
    YOUNG_MS = 1000,       /* a worker that lived shorter is not replaced at once */
    FIRST_PAUSE_MS = 100,  /* doubled each time, */
    LAST_PAUSE_MS = 10000, /* up to this */
    SAME_ORDER_MS = 20,    /* timeout(1) and others signal the process and its group: that is one order */
};

struct master {
    const struct process_config *config;
    struct listener *listeners; /* owned */
    size_t listener_count;
    int signal_fd;

    pid_t worker;        /* 0: there is none */
    int link;            /* to it, or -1 */
    bool ready;          /* it serves */
    int64_t started_ms;
    int pause_ms;        /* before the next one, if this one dies young */
    int64_t start_at_ms; /* when the next one is due; 0: none is */

    bool announced;      /* a worker has been ready */
    int64_t stopped_ms;  /* when the order to stop came; 0: it did not */
    int64_t kill_at_ms;  /* when patience ends; 0: not yet */
    bool finished;
    int status;
};

/* --- listeners --------------------------------------------------------------------------------- */

static int open_listeners(struct master *m)
{
    char error[512];
    const struct process_config *config = m->config;

    m->listeners = mem_zalloc(config->bind_count * sizeof(*m->listeners));
    for (size_t i = 0; i < config->bind_count; i++) {
        if (listener_open(&m->listeners[i], config->binds[i], config->backlog, error, sizeof(error)) != 0) {
            log_critical("%s", error);
            return -1;
        }
        m->listener_count++;
    }
    return 0;
}

static void close_listeners(struct master *m)
{
    for (size_t i = 0; i < m->listener_count; i++)
        listener_close(&m->listeners[i], true);
    m->listener_count = 0;
}

static void announce(struct master *m)
{
    char url[256];

    m->announced = true;
    for (size_t i = 0; i < m->listener_count; i++) {
        listener_url(&m->listeners[i], url, sizeof(url));
        printf("Serving HTTP on %s ...\n", url);
    }
    if (isatty(STDOUT_FILENO))
        printf("Press Ctrl-C to stop.\n");
    fflush(stdout);
}

/* --- signals ----------------------------------------------------------------------------------- */

static void fill_signals(sigset_t *set)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD};

    sigemptyset(set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(set, taken[i]);
}

static int open_signals(struct master *m)
{
    sigset_t set;

    fill_signals(&set);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* where it was ignored, children would vanish without a status */
    sigprocmask(SIG_BLOCK, &set, NULL);
    m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m->signal_fd < 0)
        log_critical("cannot wait for signals: %s", strerror(errno));
    return m->signal_fd < 0 ? -1 : 0;
}

/* --- the worker's life ------------------------------------------------------------------------- */

static void close_link(struct master *m)
{
    if (m->link >= 0)
        close(m->link);
    m->link = -1;
}

/* In the child. */
static _Noreturn void become_worker(struct master *m, pid_t master, int link)
{
    close(m->signal_fd);
    close_link(m);
    exit(worker_run(m->config, m->listeners, m->listener_count, master, link));
}

static void postpone_start(struct master *m)
{
    m->start_at_ms = clock_ms() + m->pause_ms;
    m->pause_ms = m->pause_ms * 2 < LAST_PAUSE_MS ? m->pause_ms * 2 : LAST_PAUSE_MS;
}

static void start_worker(struct master *m)
{
    int ends[2];

    m->start_at_ms = 0;
    m->started_ms = clock_ms();
    m->ready = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        log_error("cannot start a worker: %s", strerror(errno));
        postpone_start(m);
        return;
    }
    m->link = ends[0];
    fflush(NULL);
    pid_t self = getpid();
    m->worker = fork();
    if (m->worker == 0)
        become_worker(m, self, ends[1]);
    close(ends[1]);
    if (m->worker < 0) {
        log_error("cannot start a worker: %s", strerror(errno));
        m->worker = 0;
        close_link(m);
        postpone_start(m);
    }
}

/* The worker's first byte has come, or the link's end, which SIGCHLD will explain. */
static void hear_worker(struct master *m)
{
    char byte;
    ssize_t got = recv(m->link, &byte, 1, MSG_DONTWAIT);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got != 1) {
        close_link(m);
        return;
    }
    m->ready = true;
    if (!m->announced)
        announce(m);
    else
        log_info("worker %ld serves", (long)m->worker);
}

static void describe_end(char *text, size_t cap, int status)
{
    if (WIFSIGNALED(status))
        snprintf(text, cap, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, cap, "exited with status %d", WEXITSTATUS(status));
}

static void finish(struct master *m, int status)
{
    m->finished = true;
    m->status = status;
}

/* Stopping: all is well if the worker says so, or if it had not begun to serve. */
static void worker_stopped(struct master *m, int status, const char *end)
{
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK;
    bool early = !m->ready && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;

    if (!clean && !early && m->kill_at_ms != 0)
        log_error("worker %ld %s while it was stopping", (long)m->worker, end);
    finish(m, clean || early ? EXIT_OK : EXIT_FAILED);
}

static void replace_worker(struct master *m, const char *end)
{
    bool young = !m->ready || clock_ms() - m->started_ms < YOUNG_MS;

    if (young) {
        log_error("worker %ld %s; a new one starts in %g s", (long)m->worker, end, m->pause_ms / 1000.0);
        postpone_start(m);
        return;
    }
    log_error("worker %ld %s; a new one starts", (long)m->worker, end);
    m->pause_ms = FIRST_PAUSE_MS;
    m->start_at_ms = clock_ms();
}

static void worker_ended(struct master *m, int status)
{
    char end[96];

    describe_end(end, sizeof(end), status);
    close_link(m);
    if (m->stopped_ms != 0) {
        worker_stopped(m, status, end);
    } else if (!m->announced) {
        bool failed = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED;
        log_critical("worker %ld %s before it could serve", (long)m->worker, end);
        finish(m, failed ? EXIT_FAILED : EXIT_APP);
    } else {
        replace_worker(m, end);
    }
    m->worker = 0;
}

static void reap(struct master *m)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        /* The first byte may have come with the end: what was ready did not fail to start. */
        if (pid == m->worker && !m->ready && m->link >= 0)
            hear_worker(m);
        if (pid == m->worker)
            worker_ended(m, status);
    }
}

/* --- stopping ---------------------------------------------------------------------------------- */

static const char *order_name(int signal_number)
{
    return signal_number == SIGINT ? "SIGINT" : signal_number == SIGTERM ? "SIGTERM" : "SIGQUIT";
}

static void kill_worker(struct master *m)
{
    m->kill_at_ms = 0;
    if (m->worker > 0)
        kill(m->worker, SIGKILL);
}

/* By signal, and by the link in case the application handles that signal itself. */
static void tell_worker(struct master *m)
{
    kill(m->worker, SIGTERM);
    if (m->link >= 0 && m->ready)
        send(m->link, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void stop(struct master *m, int signal_number)
{
    m->stopped_ms = clock_ms();
    m->start_at_ms = 0;
    close_listeners(m); /* the worker has its own, and closes them when it has accepted who waits there */
    log_info("%s: stopping, requests in flight have %g s", order_name(signal_number),
             m->config->graceful_timeout_ms / 1000.0);
    if (m->worker == 0) {
        finish(m, EXIT_OK);
        return;
    }
    m->kill_at_ms = m->stopped_ms + m->config->graceful_timeout_ms;
    tell_worker(m);
}

static void stop_at_once(struct master *m, int signal_number)
{
    log_warning("%s: stopping at once", order_name(signal_number));
    if (m->stopped_ms == 0)
        m->stopped_ms = clock_ms();
    kill_worker(m);
    if (m->worker == 0)
        finish(m, EXIT_FAILED);
}

static void take_order(struct master *m, int signal_number)
{
    if (signal_number == SIGQUIT)
        stop_at_once(m, signal_number);
    else if (m->stopped_ms == 0)
        stop(m, signal_number);
    else if (clock_ms() - m->stopped_ms >= SAME_ORDER_MS)
        stop_at_once(m, signal_number);
}

static void read_signals(struct master *m)
{
    struct signalfd_siginfo info;

    while (!m->finished && read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(m);
        else if (info.ssi_signo == SIGHUP)
            log_warning("SIGHUP: there is nothing to reload");
        else
            take_order(m, (int)info.ssi_signo);
    }
}

/* --- the loop ---------------------------------------------------------------------------------- */

static int time_to_wait(const struct master *m)
{
    int64_t due = m->start_at_ms != 0 ? m->start_at_ms : m->kill_at_ms;
    int64_t left = due - clock_ms();

    if (due == 0)
        return -1;
    return left > 0 ? (int)left : 0;
}

static void keep_deadlines(struct master *m)
{
    int64_t now = clock_ms();

    if (m->start_at_ms != 0 && now >= m->start_at_ms)
        start_worker(m);
    if (m->kill_at_ms != 0 && now >= m->kill_at_ms) {
        log_error("worker %ld did not finish within %g s and is killed", (long)m->worker,
                  m->config->graceful_timeout_ms / 1000.0);
        kill_worker(m);
    }
}

static void supervise(struct master *m)
{
    while (!m->finished) {
        struct pollfd waits[2] = {{.fd = m->signal_fd, .events = POLLIN},
                                  {.fd = m->ready ? -1 : m->link, .events = POLLIN}};
        poll(waits, 2, time_to_wait(m));
        if (waits[1].revents != 0)
            hear_worker(m);
        if (waits[0].revents != 0)
            read_signals(m);
        if (!m->finished)
            keep_deadlines(m);
    }
}

int master_run(const struct process_config *config)
{
    struct master m = {.config = config, .signal_fd = -1, .link = -1, .pause_ms = FIRST_PAUSE_MS,
                       .status = EXIT_FAILED};

    if (open_signals(&m) == 0 && open_listeners(&m) == 0) {
        start_worker(&m);
        supervise(&m);
    }
    close_listeners(&m);
    free(m.listeners);
    close_link(&m);
    if (m.signal_fd >= 0)
        close(m.signal_fd);
    return m.status;
}
