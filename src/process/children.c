/* SPDX-License-Identifier: MIT */
/*
 * The life of one worker as its master sees it: forked, reported ready, told to leave, ended.
 *
 * What a worker says and that it has ended come in no order; before its end is judged, all that it has said
 * is read. When it ends badly the log names the requests that it was at, which its scoreboard still shows.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/mem.h"

#include "preload.h"
#include "process_internal.h"

enum { LINES_SHOWN = 16 };

static void close_link(struct child *c)
{
    if (c->link >= 0)
        close(c->link);
    c->link = -1;
}

static void postpone(struct slot *slot)
{
    slot->start_at_ms = clock_ms() + slot->pause_ms;
    slot->pause_ms = slot->pause_ms * 2 < LAST_PAUSE_MS ? slot->pause_ms * 2 : LAST_PAUSE_MS;
}

static struct slot *slot_of(struct master *m, const struct child *c)
{
    return c->slot >= 0 && c->slot < m->slot_count ? &m->slots[c->slot] : NULL;
}

/* It is in its slot no more. Returns whether it was to succeed another. */
static bool leave_slot(struct master *m, struct child *c)
{
    struct slot *slot = slot_of(m, c);
    bool succeeds = slot != NULL && slot->successor == c;

    if (succeeds)
        slot->successor = NULL;
    if (slot != NULL && slot->child == c) {
        slot->child = slot->successor;
        slot->successor = NULL;
    }
    return succeeds;
}

static void forget(struct master *m, struct child *c)
{
    struct child **link = &m->children;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    close_link(c);
    past_keep(&m->past, c);
    scoreboard_close(&c->board);
    free(c);
}

/* --- beginning --------------------------------------------------------------------------------- */

void children_forget(struct master *m, int keep)
{
    for (struct child *c = m->children; c != NULL; c = c->next)
        close_link(c);
    for (int i = 0; i < m->slot_count; i++) {
        for (size_t j = 0; i != keep && j < m->address_count; j++)
            listener_close(&m->slots[i].listeners[j], false);
    }
    preload_forget(m);
    status_close(m, false);
    statsd_close(m);
    watch_close(&m->watch);
    if (m->old_master >= 0)
        close(m->old_master);
    close(m->signal_fd);
    signals_forget();
}

/* In the child. */
static _Noreturn void become_worker(struct master *m, struct child *c, int link)
{
    struct process_config config = *m->config;
    struct assignment assignment = {m->slots[c->slot].listeners, m->address_count, m->pid, link, &c->board};

    config.python.multiprocess = m->wanted > 1;
    config.python.serves_failure = config.reload;
    children_forget(m, c->slot);
    python_exit(worker_run(&config, &assignment));
}

/* Forks, here or in the template process. 0, or -1 with errno. */
static int bring_up(struct master *m, struct child *c, int link, int board)
{
    if (m->template.ready)
        return preload_fork(m, c, link, board);
    fflush(NULL);
    c->pid = python_fork();
    if (c->pid == 0)
        become_worker(m, c, link);
    return c->pid < 0 ? -1 : 0;
}

static struct child *new_child(struct master *m, int i)
{
    struct child *c = mem_zalloc(sizeof(*c));
    struct slot *slot = &m->slots[i];

    c->slot = i;
    c->link = -1;
    c->generation = m->generation;
    c->started_ms = clock_ms();
    c->next = m->children;
    m->children = c;
    if (slot->child == NULL)
        slot->child = c;
    else
        slot->successor = c;
    return c;
}

/* It could not even be forked, or the template process lost it. */
static void abandon(struct master *m, struct child *c)
{
    struct slot *slot = slot_of(m, c);

    if (leave_slot(m, c))
        handover_failed(m);
    else if (slot != NULL)
        postpone(slot);
    forget(m, c);
}

void child_start(struct master *m, int i)
{
    struct child *c = new_child(m, i);
    int board = scoreboard_open(&c->board, server_rows(&m->config->server)); /* without one, crashes tell less */
    int ends[2] = {-1, -1};
    int result = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);

    c->link = ends[0];
    if (result == 0)
        result = bring_up(m, c, ends[1], board);
    if (result != 0) {
        log_error("cannot start a worker: %s", strerror(errno));
        c->pid = 0;
        abandon(m, c);
    }
    if (ends[1] >= 0)
        close(ends[1]);
    if (board >= 0)
        close(board);
}

/* --- what it says ------------------------------------------------------------------------------ */

static void became_ready(struct master *m, struct child *c)
{
    struct slot *slot = slot_of(m, c);

    if (c->is != CHILD_STARTING)
        return;
    c->is = CHILD_SERVING;
    if (m->announced)
        log_info("worker %ld serves", (long)c->pid);
    if (slot != NULL && slot->successor == c)
        handover_done(m, slot);
}

static void take_report(struct master *m, struct child *c, const struct message *message)
{
    const struct report *report = &message->report;

    switch (report->of) {
    case REPORT_BORN:
        c->pid = report->pid;
        if (c->kill_at_ms != 0 || c->killed)
            kill(c->pid, c->killed ? SIGKILL : SIGTERM);
        break;
    case REPORT_READY:
        became_ready(m, c);
        break;
    case REPORT_WORN:
        c->worn = "it has had --max-requests";
        break;
    case REPORT_STUCK:
        c->worn = "a request is stuck in it";
        break;
    case REPORT_EXPLAINED:
        c->explained = true;
        break;
    case REPORT_FILE:
        watch_file(&m->watch, message->path, message->saved_ns);
        break;
    case REPORT_FAILURE:
        if (c->generation == m->generation)
            watch_failure(&m->watch);
        break;
    }
}

void child_hear(struct master *m, struct child *c)
{
    struct message message;

    while (c->link >= 0) {
        ssize_t got = recv(c->link, &message, sizeof(message), MSG_DONTWAIT);
        if (got >= (ssize_t)sizeof(message.report))
            take_report(m, c, &message);
        else if (got < 0 && errno == EAGAIN)
            return;
        else if (got >= 0 || errno != EINTR)
            close_link(c);
    }
    if (c->pid == 0) {
        log_error("the template process has lost a worker");
        abandon(m, c);
    }
}

/* --- what it is told --------------------------------------------------------------------------- */

void child_order(struct child *c, enum order order)
{
    char byte = (char)order;

    if (c->link >= 0)
        send(c->link, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* To stop: by signal, and by the link in case the application handles that signal itself. */
void child_dismiss(struct master *m, struct child *c, enum order order)
{
    int64_t kill_at_ms = clock_ms() + m->config->graceful_timeout_ms;

    c->kill_at_ms = earlier(c->kill_at_ms, kill_at_ms > 0 ? kill_at_ms : 1);
    if (c->is != CHILD_STARTING)
        child_order(c, order);
    if ((order == ORDER_STOP || c->is == CHILD_STARTING) && c->pid > 0)
        kill(c->pid, SIGTERM);
    if (c->is == CHILD_SERVING)
        c->is = CHILD_LEAVING;
}

void child_kill(struct child *c)
{
    c->kill_at_ms = 0;
    c->killed = true;
    if (c->pid > 0)
        kill(c->pid, SIGKILL);
}

/* faulthandler prints the stacks of its threads. */
void process_abort(const struct master *m, const char *what, pid_t pid)
{
    log_error("%s %ld has not loaded the application within %g s (--start-timeout) and is ended; where it is:", what,
              (long)pid, m->config->start_timeout_ms / 1000.0);
    if (pid > 0)
        kill(pid, SIGABRT);
}

/* --- its end ----------------------------------------------------------------------------------- */

void describe_end(char *text, size_t cap, int status)
{
    if (WIFSIGNALED(status))
        snprintf(text, cap, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, cap, "exited with status %d", WEXITSTATUS(status));
}

/* "; it was at "GET /a HTTP/1.1", "GET /b HTTP/1.1" and 3 others" */
static void describe_requests(struct buf *text, const struct child *c)
{
    size_t before = text->len;
    int count;

    buf_printf(text, "; it was at ");
    count = scoreboard_describe(&c->board, text, LINES_SHOWN);
    if (count == 0)
        text->len = before;
    else if (count > LINES_SHOWN)
        buf_printf(text, " and %d others", count - LINES_SHOWN);
    buf_append(text, "", 1);
}

static bool is_clean(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK;
}

/* It was told to stop: all is well if it says so, or if it had not begun to serve. */
static void judge_stopped(struct master *m, const struct child *c, int status, const char *end)
{
    bool early = c->is == CHILD_STARTING && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;

    if (is_clean(status) || early)
        return;
    if (!c->killed)
        log_error("worker %ld %s while it was stopping", (long)c->pid, end);
    if (m->stopped_ms != 0 && !c->written_off)
        master_fail(m, EXIT_FAILED);
}

static void judge_first(struct master *m, const struct child *c, int status, const char *end)
{
    bool failed = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED;

    if (!c->explained)
        log_critical("worker %ld %s before it could serve", (long)c->pid, end);
    master_fail(m, failed ? EXIT_FAILED : EXIT_APP);
}

/* It ended of itself: another takes its place. */
static void judge_lost(struct master *m, struct slot *slot, const struct child *c, int status, const char *end)
{
    bool served = c->is != CHILD_STARTING;
    bool young = !served || clock_ms() - c->started_ms < YOUNG_MS;
    enum log_level level = served && is_clean(status) ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR;
    int64_t pause_ms = slot->pause_ms;
    struct buf requests;

    buf_init(&requests);
    describe_requests(&requests, c);
    if (young) {
        postpone(slot);
        sockets_steer(m); /* first of all: every moment somebody may go to a door that stays shut */
        log_write(level, "worker %ld %s; a new one starts in %g s%s", (long)c->pid, end,
                  (double)pause_ms / 1000.0, requests.data);
    } else {
        log_write(level, "worker %ld %s; a new one starts%s", (long)c->pid, end, requests.data);
        slot->pause_ms = FIRST_PAUSE_MS;
        slot->start_at_ms = 0;
    }
    buf_release(&requests);
}

void child_ended(struct master *m, struct child *c, int status)
{
    struct slot *slot = slot_of(m, c);
    char end[96];

    describe_end(end, sizeof(end), status);
    if (m->handed_over == c->pid)
        m->handed_over = m->next_handover_ms = 0;
    if (leave_slot(m, c)) {
        if (c->kill_at_ms == 0 && !c->killed && !c->explained)
            log_error("worker %ld %s before it could serve", (long)c->pid, end);
        handover_failed(m);
    } else if (c->kill_at_ms != 0 || c->killed) {
        judge_stopped(m, c, status, end);
    } else if (!m->announced) {
        judge_first(m, c, status, end);
    } else if (slot != NULL) {
        judge_lost(m, slot, c, status, end);
        m->past.restarts[WIFSIGNALED(status) ? RESTART_CRASH : RESTART_EXIT]++;
    }
    forget(m, c);
}
