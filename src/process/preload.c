/* SPDX-License-Identifier: MIT */
/*
 * --preload: a template process loads the application once, and workers are forked from it, so that they
 * share the memory of what it loaded. It forks them by way of a process that ends at once; the master, being
 * the subreaper, is then their parent, as it is of workers that it forks itself.
 *
 * A reload starts a second template beside the first, which stays until the second is ready: if the new code
 * does not load, nothing has changed. Whatever a worker needs that did not exist when its template was forked
 * (sockets of a new slot, the scoreboard, its link) is passed with the command.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/mem.h"

#include "preload.h"
#include "worker.h"

enum {
    PASSED_MAX = 250, /* descriptors with one message: the system's limit is 253 */
    OTHER_PASSED = 2, /* link and scoreboard, before the listeners */
};

/* From the master to a template. Descriptors come with ORDER_FORK. */
struct command {
    char order; /* ORDER_REOPEN or ORDER_FORK */
    int rows;   /* of the scoreboard; 0: there is none */
    bool shared[PASSED_MAX]; /* of each listener */
};

enum { ORDER_FORK = 'f' };

union control {
    struct cmsghdr header; /* for its alignment */
    char room[CMSG_SPACE(PASSED_MAX * sizeof(int))];
};

/* --- the template process ---------------------------------------------------------------------- */

/*
 * Receives a command and up to PASSED_MAX descriptors; returns how many those are, or -1 when the master is
 * gone.
 */
static int receive(int link, struct command *command, int *fds)
{
    union control control;
    struct iovec bytes = {command, sizeof(*command)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t got;

    do {
        got = recvmsg(link, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(*command))
        return -1;
    struct cmsghdr *passed = CMSG_FIRSTHDR(&message);
    if (passed == NULL)
        return 0;
    int count = (int)((passed->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(passed), (size_t)count * sizeof(int));
    return count;
}

/* In the new process, until the one between it and its template has ended. */
static void await_parent(pid_t master)
{
    const struct timespec moment = {.tv_nsec = 100000};

    for (int i = 0; i < 50000 && getppid() != master; i++)
        nanosleep(&moment, NULL);
}

static int adopt_all(struct listener *listeners, const struct command *command, const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        if (listener_adopt(&listeners[i], fds[i]) != 0) {
            log_critical("a socket was not passed on as it should: %s", strerror(errno));
            return -1;
        }
        listeners[i].shared = command->shared[i];
    }
    return 0;
}

/* In the new process. */
static _Noreturn void become_worker(const struct process_config *config, pid_t master,
                                    struct handler *handler, const struct command *command, const int *fds,
                                    int count)
{
    const struct report born = {REPORT_BORN, getpid()};
    struct scoreboard board = {0};
    struct listener *listeners = mem_zalloc((size_t)count * sizeof(*listeners));
    struct assignment assignment = {listeners, (size_t)(count - OTHER_PASSED), master, fds[0], &board};

    await_parent(master);
    if (worker_tie(master, config->graceful_timeout_ms) != 0 ||
        send(fds[0], &born, sizeof(born), MSG_NOSIGNAL) != (ssize_t)sizeof(born))
        _exit(EXIT_FAILED);
    if (command->rows > 0)
        scoreboard_map(&board, fds[1], command->rows);
    close(fds[1]);
    if (adopt_all(listeners, command, fds + OTHER_PASSED, count - OTHER_PASSED) != 0)
        _exit(EXIT_FAILED);
    python_exit(worker_serve(config, &assignment, handler));
}

static void obey(const struct process_config *config, pid_t master, struct handler *handler, int link,
                 const struct command *command, const int *fds, int count)
{
    int result = command->order == ORDER_FORK && count > OTHER_PASSED ? python_fork_away() : 0;

    if (command->order == ORDER_REOPEN)
        log_reopen();
    if (result < 0)
        log_error("cannot fork a worker: %s", strerror(errno));
    if (result == 1) {
        close(link);
        become_worker(config, master, handler, command, fds, count);
    }
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static int template_run(const struct process_config *config, pid_t master, int link)
{
    const struct report ready = {REPORT_READY, getpid()};
    struct command command;
    struct handler *handler;
    int fds[PASSED_MAX], count;

    if (worker_prepare(config, master) != 0)
        return EXIT_FAILED;
    handler = worker_load(config, link);
    if (handler == NULL)
        return EXIT_APP;
    python_warn_of_threads();
    if (send(link, &ready, sizeof(ready), MSG_NOSIGNAL) != (ssize_t)sizeof(ready))
        return EXIT_FAILED;
    while ((count = receive(link, &command, fds)) >= 0)
        obey(config, master, handler, link, &command, fds, count);
    return EXIT_OK;
}

/* --- the master's side ------------------------------------------------------------------------- */

static void close_link(struct template *t)
{
    if (t->link >= 0)
        close(t->link);
    t->link = -1;
}

/* When its link ends, so does a template. */
static void dismiss(struct template *t)
{
    close_link(t);
    if (t->pid > 0)
        kill(t->pid, SIGTERM);
    *t = (struct template){.link = -1};
}

void preload_forget(struct master *m)
{
    close_link(&m->template);
    close_link(&m->next_template);
}

void preload_stop(struct master *m)
{
    dismiss(&m->template);
    dismiss(&m->next_template);
}

static _Noreturn void become_template(struct master *m, int link)
{
    struct process_config config = *m->config;

    config.python.multiprocess = m->wanted > 1;
    config.python.serves_failure = config.reload;
    children_forget(m, -1);
    fflush(NULL);
    /* What the application does at exit is for its workers to do. */
    _exit(template_run(&config, m->pid, link));
}

static void postpone(struct master *m)
{
    m->template_at_ms = clock_ms() + m->template_pause_ms;
    if (m->template_pause_ms < LAST_PAUSE_MS)
        m->template_pause_ms *= 2;
}

static void start(struct master *m)
{
    struct template *t = &m->next_template;
    int ends[2];

    m->template_at_ms = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        log_error("cannot start a template process: %s", strerror(errno));
        postpone(m);
        return;
    }
    *t = (struct template){.link = ends[0], .started_ms = clock_ms(), .generation = m->generation};
    fflush(NULL);
    t->pid = python_fork();
    if (t->pid == 0)
        become_template(m, ends[1]);
    close(ends[1]);
    if (t->pid < 0) {
        log_error("cannot start a template process: %s", strerror(errno));
        dismiss(t);
        postpone(m);
    }
}

static bool is_wanted(const struct master *m)
{
    return m->config->preload && m->next_template.pid == 0 &&
           (m->template.pid == 0 || m->template.generation != m->generation);
}

/* When the next template takes too long; 0: never. */
static int64_t late_at(const struct master *m)
{
    const struct template *t = &m->next_template;

    return t->pid == 0 || t->aborted ? 0 : master_start_limit(m, t->started_ms);
}

static void abort_late(struct master *m)
{
    int64_t late_ms = late_at(m);

    if (late_ms == 0 || m->now_ms < late_ms)
        return;
    process_abort(m, "template process", m->next_template.pid);
    m->next_template.aborted = true;
}

void preload_tend(struct master *m)
{
    abort_late(m);
    if (m->next_template.pid != 0 && m->next_template.generation != m->generation)
        dismiss(&m->next_template);
    if (is_wanted(m) && m->now_ms >= m->template_at_ms)
        start(m);
}

int64_t preload_due(const struct master *m)
{
    return is_wanted(m) ? m->template_at_ms : late_at(m);
}

bool preload_may_fork(const struct master *m)
{
    return !m->config->preload || (m->template.ready && m->template.generation == m->generation);
}

/* The next template has loaded the application: it is the one from now on. */
static void became_ready(struct master *m)
{
    dismiss(&m->template);
    m->template = m->next_template;
    m->template.ready = true;
    m->template_pause_ms = FIRST_PAUSE_MS;
    m->next_template = (struct template){.link = -1};
}

static void take_report(struct master *m, struct template *t, const struct message *message)
{
    if (message->report.of == REPORT_READY && t == &m->next_template)
        became_ready(m);
    else if (message->report.of == REPORT_EXPLAINED)
        t->explained = true;
    else if (message->report.of == REPORT_FILE)
        watch_file(&m->watch, message->path, message->saved_ns);
    else if (message->report.of == REPORT_FAILURE && t->generation == m->generation)
        watch_failure(&m->watch);
}

static void hear(struct master *m, struct template *t)
{
    struct message message;
    ssize_t got;

    while (t->link >= 0) {
        got = recv(t->link, &message, sizeof(message), MSG_DONTWAIT);
        if (got >= (ssize_t)sizeof(message.report))
            take_report(m, t, &message);
        else if (got == 0)
            close_link(t);
        else
            return;
    }
}

void preload_hear(struct master *m)
{
    hear(m, &m->template);
    hear(m, &m->next_template);
}

static void first_failed(struct master *m, const struct template *t, pid_t pid, int status, const char *end)
{
    bool failed = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED;

    if (!t->explained)
        log_critical("template process %ld %s before it could serve", (long)pid, end);
    master_fail(m, failed ? EXIT_FAILED : EXIT_APP);
}

/* The new code does not load: the template that there was goes on, as do its workers. */
static void next_failed(struct master *m)
{
    if (m->template.pid != 0)
        m->template.generation = m->generation;
    else
        postpone(m);
    handover_failed(m);
}

void preload_ended(struct master *m, pid_t pid, int status)
{
    struct template *t = pid == m->next_template.pid ? &m->next_template : &m->template;
    char end[96];

    if (t->pid != pid || pid == 0)
        return;
    if (t == &m->next_template)
        preload_hear(m); /* it may have been ready */
    t = pid == m->template.pid ? &m->template : &m->next_template;
    describe_end(end, sizeof(end), status);
    close_link(t);
    t->pid = 0;
    if (m->stopped_ms != 0)
        return;
    if (!m->announced) {
        first_failed(m, t, pid, status, end);
    } else {
        if (!t->explained)
            log_error("template process %ld %s", (long)pid, end);
        if (t == &m->next_template)
            next_failed(m);
    }
    *t = (struct template){.link = -1};
}

void preload_order(struct master *m, enum order order)
{
    const struct command command = {.order = (char)order};

    if (m->template.link >= 0)
        send(m->template.link, &command, sizeof(command), MSG_DONTWAIT | MSG_NOSIGNAL);
}

int preload_fork(struct master *m, struct child *c, int link, int board)
{
    const struct listener *listeners = m->slots[c->slot].listeners;
    struct command command = {.order = ORDER_FORK, .rows = c->board.count};
    union control control;
    struct iovec bytes = {&command, sizeof(command)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control};
    int fds[PASSED_MAX] = {link, board >= 0 ? board : link};
    int count = OTHER_PASSED + (int)m->address_count;

    errno = E2BIG;
    if (count > PASSED_MAX)
        return -1;
    for (size_t i = 0; i < m->address_count; i++) {
        fds[OTHER_PASSED + i] = listeners[i].fd;
        /* cppcheck-suppress unreadVariable ; it is sent, through `bytes` */
        command.shared[i] = listeners[i].shared;
    }
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    memset(&control, 0, sizeof(control));
    struct cmsghdr *passed = &control.header;
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(passed), fds, (size_t)count * sizeof(int));
    return sendmsg(m->template.link, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}
