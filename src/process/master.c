/* SPDX-License-Identifier: MIT */
/*
 * The master: owns the listening sockets, forks the workers, and sees to it that there are as many as there
 * should be until it is told to stop. It runs no Python and serves nobody, so it is always free to answer a
 * signal.
 *
 * One loop waits for signals (signals.c), for what workers report, and for deadlines. After each turn all that is to
 * be done is looked for anew (tend), so no event needs to know what follows.
 *
 *   SIGTERM, SIGINT     stop: requests in flight may finish within the graceful timeout
 *   either again        stop at once: the workers are killed
 *   SIGQUIT             stop at once
 *   SIGHUP              reload options and application; no request is lost
 *   SIGUSR1             open the log files anew
 *   SIGUSR2             start a new binary on the same sockets, beside this one
 *   SIGTTIN, SIGTTOU    one worker more, one less
 *   SIGWINCH            stop the workers, but not the master, until SIGHUP; ignored in a terminal, where
 *                       it means another thing
 *   SIGCHLD             reap; as process 1 of a container also children of others
 *
 * Exit status: EXIT_OK if all that was in flight was finished; EXIT_FAILED if it was cut off, or nothing
 * could be bound; EXIT_APP if a first worker could not load the application.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/mem.h"

#include "preload.h"
#include "process_internal.h"

enum {
    SAME_ORDER_MS = 20, /* timeout(1) and others signal the process and its group: that is one order */
    RETIRE_MS = 1000,   /* for handshakes that have begun with a socket that is to go */
    OTHER_WAITS = 6,    /* signals, the old master, two templates, who watches, files */
    ABORT_MS = 2000,    /* to print where it is, before it is killed */
};

void master_fail(struct master *m, int status)
{
    if (m->status == EXIT_OK)
        m->status = status;
    if (m->stopped_ms != 0)
        return;
    m->stopped_ms = clock_ms();
    for (struct child *c = m->children; c != NULL; c = c->next)
        child_kill(c);
}

/* --- stopping ---------------------------------------------------------------------------------- */

static const char *order_name(int signal_number)
{
    return signal_number == SIGINT ? "SIGINT" : signal_number == SIGTERM ? "SIGTERM" : "SIGQUIT";
}

static void stop(struct master *m, int signal_number)
{
    m->stopped_ms = clock_ms();
    if (m->heir != 0)
        status_close(m, true); /* it is the new master's to say whether this host serves */
    notify_stopping();
    sockets_close(m); /* workers have their own, and close them when they have accepted who waits there */
    log_info("%s: stopping, requests in flight have %g s", order_name(signal_number),
             m->config->graceful_timeout_ms / 1000.0);
    for (struct child *c = m->children; c != NULL; c = c->next) {
        c->slot = -1;
        c->written_off = c->killed;
        child_dismiss(m, c, ORDER_STOP);
    }
}

static void stop_at_once(struct master *m, int signal_number)
{
    log_warning("%s: stopping at once", order_name(signal_number));
    notify_stopping();
    if (m->stopped_ms == 0)
        m->stopped_ms = clock_ms();
    for (struct child *c = m->children; c != NULL; c = c->next)
        child_kill(c);
    if (m->children == NULL)
        master_fail(m, EXIT_FAILED);
}

/* Who balances load is told that we go, and served until it has heard. */
static void begin_drain(struct master *m)
{
    m->drain_from_ms = clock_ms();
    m->drain_until_ms = m->drain_from_ms + m->config->drain_delay_ms;
    log_info("SIGTERM: not ready from now on, stopping in %g s", m->config->drain_delay_ms / 1000.0);
}

static bool is_same_order(const struct master *m)
{
    return clock_ms() - (m->stopped_ms != 0 ? m->stopped_ms : m->drain_from_ms) < SAME_ORDER_MS;
}

static void take_stop(struct master *m, int signal_number)
{
    bool may_drain =
        signal_number == SIGTERM && m->config->drain_delay_ms > 0 && m->stopped_ms == 0 && m->heir == 0;

    if (may_drain && m->drain_until_ms == 0)
        begin_drain(m);
    else if (may_drain && is_same_order(m))
        return;
    else if (signal_number != SIGQUIT && m->stopped_ms == 0)
        stop(m, signal_number);
    else if (signal_number == SIGQUIT || !is_same_order(m))
        stop_at_once(m, signal_number);
}

/* --- more workers, fewer, none ----------------------------------------------------------------- */

static void add_worker(struct master *m)
{
    m->resting = false;
    if (m->wanted == WORKERS_MAX || (m->wanted == m->slot_count && sockets_add(m) != 0))
        return;
    m->wanted++;
    log_info("SIGTTIN: %d workers", m->wanted);
}

static void remove_worker(struct master *m)
{
    if (m->wanted == 1)
        return;
    m->wanted--;
    m->retire_at_ms = clock_ms() + RETIRE_MS;
    log_info("SIGTTOU: %d workers", m->wanted);
}

/* The last slot goes, once it has a worker that can accept who still waits there. */
static void retire_last(struct master *m)
{
    struct slot *slot = &m->slots[m->slot_count - 1];

    if (slot->successor != NULL || slot->child == NULL || slot->child->is != CHILD_SERVING)
        return;
    slot->child->slot = -1;
    child_dismiss(m, slot->child, ORDER_STOP);
    sockets_drop(m);
}

/* A window that changes its size sends this signal too. */
static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void rest(struct master *m)
{
    if (has_terminal())
        return;
    log_info("SIGWINCH: workers stop until SIGHUP");
    m->resting = true;
    if (m->heir != 0)
        status_close(m, true);
    for (struct child *c = m->children; c != NULL; c = c->next) {
        c->slot = -1;
        child_dismiss(m, c, ORDER_DRAIN);
    }
    for (int i = 0; i < m->slot_count; i++)
        m->slots[i].child = m->slots[i].successor = NULL;
}

static void reopen_logs(struct master *m)
{
    privileges_grant_log(m->config, m->config->server.access_log);
    if (log_reopen() != 0)
        log_error("cannot open the error log again: %s", strerror(errno));
    for (struct child *c = m->children; c != NULL; c = c->next)
        child_order(c, ORDER_REOPEN);
    preload_order(m, ORDER_REOPEN);
    log_info("SIGUSR1: log files are opened anew");
}

/* --- children ---------------------------------------------------------------------------------- */

static struct child *child_of(struct master *m, pid_t pid)
{
    for (struct child *c = m->children; c != NULL; c = c->next) {
        if (c->pid == pid)
            return c;
    }
    return NULL;
}

/* From what is waiting in the links: who has begun to serve did not fail to start. */
static void hear_all(struct master *m)
{
    struct child *next;

    for (struct child *c = m->children; c != NULL; c = next) {
        next = c->next;
        child_hear(m, c);
    }
}

/* In a caller's process there may be children of the caller's, whose status is for him. */
static pid_t reap_own(const struct master *m, int *status)
{
    const pid_t others[] = {m->heir, m->template.pid, m->next_template.pid};

    for (const struct child *c = m->children; c != NULL; c = c->next) {
        if (c->pid > 0 && waitpid(c->pid, status, WNOHANG) > 0)
            return c->pid;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i] > 0 && waitpid(others[i], status, WNOHANG) > 0)
            return others[i];
    }
    return 0;
}

static pid_t reap_one(const struct master *m, int *status)
{
    return m->config->python.called ? reap_own(m, status) : waitpid(-1, status, WNOHANG);
}

static void reap(struct master *m)
{
    int status;
    pid_t pid;

    while ((pid = reap_one(m, &status)) > 0) {
        hear_all(m);
        struct child *c = child_of(m, pid);
        if (c != NULL)
            child_ended(m, c, status);
        else if (pid == m->heir)
            upgrade_failed(m, status);
        else
            preload_ended(m, pid, status);
    }
}

static void take_signal(struct master *m, int number)
{
    if (number == SIGCHLD)
        reap(m);
    else if (number == SIGTERM || number == SIGINT || number == SIGQUIT)
        take_stop(m, number);
    else if (m->stopped_ms != 0)
        return;
    else if (number == SIGHUP)
        handover_reload(m);
    else if (number == SIGUSR1)
        reopen_logs(m);
    else if (number == SIGUSR2)
        upgrade_start(m);
    else if (number == SIGTTIN)
        add_worker(m);
    else if (number == SIGTTOU)
        remove_worker(m);
    else
        rest(m);
}

static void read_signals(struct master *m)
{
    struct signalfd_siginfo info;

    while (read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        take_signal(m, (int)info.ssi_signo);
}

/* --- what is to be done ------------------------------------------------------------------------ */

static void announce(struct master *m)
{
    char url[256];

    for (int i = 0; i < m->wanted; i++) {
        if (m->slots[i].child == NULL || m->slots[i].child->is != CHILD_SERVING)
            return;
    }
    m->announced = true;
    for (size_t i = 0; i < m->address_count; i++) {
        listener_url(&m->slots[0].listeners[i], url, sizeof(url));
        printf("Serving HTTP on %s ...\n", url);
    }
    if (isatty(STDOUT_FILENO))
        printf("Press Ctrl-C to stop.\n");
    fflush(stdout);
    notify_ready();
}

static void fill_slots(struct master *m)
{
    for (int i = 0; i < m->slot_count && !m->resting; i++) {
        struct slot *slot = &m->slots[i];
        if (slot->child == NULL && m->now_ms >= slot->start_at_ms && preload_may_fork(m)) {
            slot->start_at_ms = 0;
            child_start(m, i);
        }
    }
}

static void kill_late(struct master *m)
{
    for (struct child *c = m->children; c != NULL; c = c->next) {
        if (c->kill_at_ms == 0 || m->now_ms < c->kill_at_ms || c->killed)
            continue;
        log_error("worker %ld did not finish within %g s and is killed", (long)c->pid,
                  m->config->graceful_timeout_ms / 1000.0);
        child_kill(c);
    }
}

int64_t master_start_limit(const struct master *m, int64_t started_ms)
{
    return m->announced && m->config->start_timeout_ms > 0 ? started_ms + m->config->start_timeout_ms : 0;
}

/* When a child takes too long to start, or to end because of that; 0: never. */
static int64_t late_at(const struct master *m, const struct child *c)
{
    int64_t limit_ms = c->is == CHILD_STARTING && !c->killed ? master_start_limit(m, c->started_ms) : 0;

    return limit_ms != 0 && c->aborted ? limit_ms + ABORT_MS : limit_ms;
}

/* Workers whose import of the application hangs, it seems. */
static void abort_late(struct master *m)
{
    for (struct child *c = m->children; c != NULL; c = c->next) {
        int64_t late_ms = late_at(m, c);

        if (late_ms == 0 || m->now_ms < late_ms)
            continue;
        if (c->aborted)
            child_kill(c);
        else
            process_abort(m, "worker", c->pid);
        c->aborted = true;
    }
}

static void tend(struct master *m)
{
    m->now_ms = clock_ms();
    kill_late(m);
    status_turn(m);
    statsd_turn(m);
    if (m->stopped_ms == 0 && m->drain_until_ms != 0 && m->now_ms >= m->drain_until_ms)
        stop(m, SIGTERM);
    if (m->stopped_ms != 0) {
        m->finished = m->children == NULL;
        return;
    }
    abort_late(m);
    if (watch_tend(&m->watch, m->now_ms))
        handover_renew(m);
    preload_tend(m);
    fill_slots(m);
    sockets_steer(m);
    if (!m->announced)
        announce(m);
    if (m->slot_count > m->wanted && m->now_ms >= m->retire_at_ms)
        retire_last(m);
    handover_tend(m);
}

/* When tend is to be called again although nothing happens; 0: never. What was due waits for an event. */
static int64_t next_due(struct master *m)
{
    int64_t due_ms = earlier(earlier(notify_watchdog(), status_due(m)), statsd_due(m));

    for (const struct child *c = m->children; c != NULL; c = c->next)
        due_ms = c->killed ? due_ms : earlier(due_ms, c->kill_at_ms);
    if (m->stopped_ms != 0)
        return due_ms;
    due_ms = earlier(due_ms, m->drain_until_ms);
    due_ms = earlier(due_ms, watch_due(&m->watch));
    for (const struct child *c = m->children; c != NULL; c = c->next)
        due_ms = earlier(due_ms, late_at(m, c));
    for (int i = 0; i < m->slot_count && !m->resting; i++) {
        if (m->slots[i].child == NULL && m->slots[i].start_at_ms > m->now_ms)
            due_ms = earlier(due_ms, m->slots[i].start_at_ms);
    }
    if (m->slot_count > m->wanted && m->now_ms < m->retire_at_ms)
        due_ms = earlier(due_ms, m->retire_at_ms);
    return earlier(earlier(due_ms, preload_due(m)), handover_due(m));
}

static int time_to_wait(struct master *m)
{
    int64_t due_ms = next_due(m);
    int64_t left_ms = due_ms - clock_ms();

    if (due_ms == 0)
        return -1;
    return left_ms <= 0 ? 0 : left_ms < 60000 ? (int)left_ms : 60000;
}

/* Fills m->waits; returns how many there are. */
static nfds_t gather_waits(struct master *m)
{
    int count = 0, needed = OTHER_WAITS;

    for (const struct child *c = m->children; c != NULL; c = c->next)
        needed++;
    if (needed > m->waits_cap) {
        m->waits = mem_realloc(m->waits, (size_t)needed * sizeof(*m->waits));
        m->waits_cap = needed;
    }
    m->waits[count++] = (struct pollfd){.fd = m->signal_fd, .events = POLLIN};
    m->waits[count++] = (struct pollfd){.fd = m->old_master, .events = POLLIN};
    m->waits[count++] = (struct pollfd){.fd = m->template.link, .events = POLLIN};
    m->waits[count++] = (struct pollfd){.fd = m->next_template.link, .events = POLLIN};
    m->waits[count++] = (struct pollfd){.fd = status_fd(m), .events = POLLIN};
    m->waits[count++] = (struct pollfd){.fd = m->watch.fd, .events = POLLIN};
    for (const struct child *c = m->children; c != NULL; c = c->next)
        m->waits[count++] = (struct pollfd){.fd = c->link, .events = POLLIN};
    return (nfds_t)count;
}

static void supervise(struct master *m)
{
    tend(m);
    while (!m->finished) {
        poll(m->waits, gather_waits(m), time_to_wait(m));
        if (m->waits[1].revents != 0)
            upgrade_promote(m);
        preload_hear(m);
        hear_all(m);
        watch_hear(&m->watch);
        read_signals(m);
        tend(m);
    }
}

/* --- beginning and end ------------------------------------------------------------------------- */

/* How many processors' time a container may use, rounded up; `most` if there is no such limit. */
static int processor_quota(int most)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re"); /* "200000 100000", or "max 100000" */
    long quota = 0, period = 0;

    if (file == NULL)
        return most;
    if (fscanf(file, "%ld %ld", &quota, &period) != 2 || quota <= 0 || period <= 0)
        quota = most * (period = 1);
    fclose(file);
    long count = (quota + period - 1) / period;
    return count < most ? (int)count : most;
}

/* Processors that this process may use. */
static int count_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return processor_quota(count < WORKERS_MAX ? count : WORKERS_MAX);
}

static void take_count(struct master *m)
{
    m->configured = m->config->workers;
    m->wanted = m->configured > 0 ? m->configured : count_processors();
}

void master_resize(struct master *m)
{
    take_count(m);
    while (m->slot_count < m->wanted) {
        if (sockets_add(m) != 0)
            m->wanted = m->slot_count;
        else
            m->slots[m->slot_count - 1].start_at_ms = m->now_ms + 1; /* this turn's tend is past starting */
    }
    m->retire_at_ms = clock_ms() + RETIRE_MS;
    log_info("there are to be %d workers", m->wanted);
}

/* 0, or -1 with the reason logged. */
static int open_slots(struct master *m)
{
    if (sockets_open(m) != 0)
        return -1;
    take_count(m);
    if (m->wanted < m->slot_count)
        m->wanted = m->slot_count; /* an old master had more */
    while (m->slot_count < m->wanted) {
        if (sockets_add(m) != 0)
            return -1;
    }
    return 0;
}

static void close_all(struct master *m)
{
    preload_stop(m);
    statsd_close(m);
    status_close(m, true);
    watch_close(&m->watch);
    sockets_close(m);
    pidfile_remove(m);
    free(m->waits);
    if (m->old_master >= 0)
        close(m->old_master);
    prctl(PR_SET_CHILD_SUBREAPER, m->was_subreaper);
    signals_close(m);
}

int master_run(const struct process_config *config, const struct process_config *(*reread)(void))
{
    struct master m = {.config = config, .reread = reread, .pid = getpid(), .signal_fd = -1, .old_master = -1,
                       .watch.fd = -1, .template.link = -1, .next_template.link = -1,
                       .handover_pause_ms = FIRST_PAUSE_MS, .template_pause_ms = FIRST_PAUSE_MS,
                       .started_ms = clock_ms(), .started_wall_s = clock_wall()};
    int status = EXIT_FAILED;

    prctl(PR_GET_CHILD_SUBREAPER, &m.was_subreaper);
    notify_open();
    if (privileges_check(config) == 0 && signals_open(&m) == 0 && open_slots(&m) == 0 &&
        status_open(&m) == 0 && statsd_open(&m) == 0 && pidfile_write(&m) == 0) {
        privileges_grant_log(config, config->server.access_log);
        watch_open(&m.watch, config);
        supervise(&m);
        status = m.status;
    }
    close_all(&m);
    return status;
}
