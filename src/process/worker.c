/* SPDX-License-Identifier: MIT */
/*
 * The worker: what runs the application. It is forked from the master without Python, starts its own
 * interpreter, and serves until it is told to stop, by SIGTERM or by a byte through the link to
 * the master (which reaches it even when the application has taken SIGTERM for itself).
 *
 * When the master is gone the system sends SIGTERM, and the link closes. Then nobody is left to cut off a
 * request that never ends, so a timer is set whose signal is SIGKILL.
 *
 * Signals. A Ctrl-C reaches the whole process group, but to stop is the master's decision: SIGINT,
 * SIGQUIT and SIGHUP are caught here and do nothing. They are not ignored, for what is ignored stays
 * ignored in the programs that an application starts. SIGPIPE and SIGXFSZ are, since Python is used to it.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/mem.h"
#include "cserve/process.h"

#include "link.h"
#include "process_internal.h"
#include "worker.h"

struct worker {
    const struct process_config *config;
    struct server *server;
    int link; /* to the master; -1 once it is closed */
};

/* For the signal handler. */
static struct server *running;
static pid_t master_pid, own_pid;
static timer_t end_timer;
static struct itimerspec end_after;

static bool is_orphan(void)
{
    return getppid() != master_pid;
}

/*
 * In a process that the application has forked SIGTERM does what it does in every other: multiprocessing, for one, waits
 * for children that it has ended so, and what they inherited, the listening sockets too, must go with them.
 */
static bool is_for_child(int signal_number)
{
    if (getpid() == own_pid)
        return false;
    signal(signal_number, SIG_DFL);
    raise(signal_number); /* when the handler returns */
    return true;
}

static void on_stop(int signal_number)
{
    int saved = errno;

    if (is_for_child(signal_number))
        return;
    if (is_orphan())
        timer_settime(end_timer, 0, &end_after, NULL);
    server_stop(running);
    errno = saved;
}

static void on_nothing(int signal_number)
{
    (void)signal_number;
}

static void set_handler(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

/* Undoes what the master had set up. Until there is a server to stop, SIGTERM just ends the process. */
static void prepare_signals(void)
{
    sigset_t none;

    set_handler(SIGTERM, SIG_DFL);
    set_handler(SIGCHLD, SIG_DFL); /* where it was ignored, children would vanish without a status */
    set_handler(SIGINT, on_nothing);
    set_handler(SIGQUIT, on_nothing);
    set_handler(SIGHUP, on_nothing);
    set_handler(SIGUSR1, on_nothing);
    set_handler(SIGUSR2, on_nothing);
    set_handler(SIGPIPE, SIG_IGN);
    set_handler(SIGXFSZ, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A connection may have a file for its request's body beside it; the application has some of its own. */
static void raise_descriptor_limit(int connections)
{
    struct rlimit limit;
    rlim_t wanted = 2 * (rlim_t)connections + 1024;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warning("cannot raise the limit of open files to %lu: %s", (unsigned long)limit.rlim_cur,
                    strerror(errno));
}

int worker_tie(pid_t master, int timeout_ms)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};

    master_pid = master;
    end_after.it_value.tv_sec = timeout_ms / 1000;
    end_after.it_value.tv_nsec = 1 + timeout_ms % 1000 * 1000000L; /* 0 would be never */
    if (timer_create(CLOCK_MONOTONIC, &event, &end_timer) != 0)
        log_warning("cannot set up a timer: %s", strerror(errno));
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return is_orphan() ? -1 : 0;
}

/* --- the link ---------------------------------------------------------------------------------- */

static int report(const struct worker *worker, enum report_of of)
{
    const struct report report = {.of = of, .pid = getpid()};

    return send(worker->link, &report, sizeof(report), MSG_NOSIGNAL) == (ssize_t)sizeof(report) ? 0 : -1;
}

/* With --reload, a file that the application has read. On any thread that has the GIL. */
static int files_link = -1;

static void tell_file(const char *path)
{
    struct message message = {.report = {REPORT_FILE, getpid()}};
    size_t size = strlen(path) + 1;
    struct stat is;

    if (size > sizeof(message.path))
        return;
    if (stat(path, &is) == 0)
        message.saved_ns = is.st_mtim.tv_sec * INT64_C(1000000000) + is.st_mtim.tv_nsec;
    memcpy(message.path, path, size);
    send(files_link, &message, offsetof(struct message, path) + size, MSG_NOSIGNAL);
}

static void tell(int link, enum report_of of)
{
    const struct worker worker = {.link = link};

    if (link >= 0)
        report(&worker, of);
}

static void on_enough(void *arg)
{
    report(arg, REPORT_WORN);
}

static void on_stuck(void *arg)
{
    report(arg, REPORT_STUCK);
}

static void reopen_logs(struct worker *worker)
{
    if (log_reopen() != 0)
        log_error("cannot open the error log again: %s", strerror(errno));
    server_reopen_log(worker->server);
}

static void lose_master(struct worker *worker)
{
    log_error("the master is gone: stopping within %g s", worker->config->graceful_timeout_ms / 1000.0);
    timer_settime(end_timer, 0, &end_after, NULL);
    close(worker->link); /* it would stay readable */
    worker->link = -1;
    server_stop(worker->server);
}

/* The link is readable: the master has an order, or it is gone. */
static void hear_master(void *arg)
{
    struct worker *worker = arg;
    char order = 0;

    if (worker->link < 0)
        return;
    ssize_t got = read(worker->link, &order, 1);
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0)
        lose_master(worker);
    else if (order == ORDER_STOP)
        server_stop(worker->server);
    else if (order == ORDER_DRAIN)
        server_drain(worker->server);
    else if (order == ORDER_YIELD)
        server_yield(worker->server);
    else if (order == ORDER_REOPEN)
        reopen_logs(worker);
}

/* --- serving ----------------------------------------------------------------------------------- */

/*
 * How many requests until it is to be replaced: by chance, so that workers of one age are not worn out at
 * once.
 */
static uint64_t count_to_live(const struct process_config *config)
{
    uint64_t chance = 0;

    if (config->max_requests_jitter > 0 && getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
        chance = (uint64_t)getpid();
    return config->max_requests + (chance != 0 ? chance % (config->max_requests_jitter + 1) : 0);
}

static int serve(struct worker *worker)
{
    const struct process_config *config = worker->config;

    running = worker->server;
    own_pid = getpid();
    set_handler(SIGTERM, on_stop);
    if (server_watch(worker->server, worker->link, hear_master, worker) != 0) {
        log_critical("cannot watch the master: %s", strerror(errno));
        return EXIT_FAILED;
    }
    server_on_stuck(worker->server, on_stuck, worker);
    if (config->max_requests > 0)
        server_on_count(worker->server, count_to_live(config), on_enough, worker);
    if (report(worker, REPORT_READY) != 0)
        return EXIT_FAILED; /* the master is gone */
    return server_run(worker->server) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int serve_with(struct worker *worker, const struct assignment *assignment, struct handler *handler)
{
    int status = EXIT_FAILED;

    worker->server = server_new(&worker->config->server, assignment->listeners, assignment->count, handler);
    if (worker->server != NULL) {
        server_show_in(worker->server, assignment->board);
        status = serve(worker);
        set_handler(SIGTERM, on_nothing); /* it is stopping already */
        server_free(worker->server);
    }
    return status;
}

int worker_prepare(const struct process_config *config, pid_t master)
{
    prepare_signals();
    mem_share_heap();
    if (privileges_drop(config) != 0)
        return -1;
    raise_descriptor_limit(config->server.worker_connections);
    return worker_tie(master, config->graceful_timeout_ms); /* last: a change of user unties */
}

static struct handler *load(const struct process_config *config)
{
    if (python_start(&config->python) != 0)
        return NULL;
    log_info("application %s, Python %s (%s), %s", config->python.app, python_version(), python_linkage(),
             python_executable());
    if (config->reload && files_link >= 0 && python_watch(tell_file) != 0)
        return NULL;
    return python_load(&config->python);
}

struct handler *worker_load(const struct process_config *config, int link)
{
    struct handler *handler;

    files_link = link;
    handler = load(config);
    if (handler == NULL)
        tell(link, REPORT_EXPLAINED);
    else if (python_has_failed(handler))
        tell(link, REPORT_FAILURE);
    return handler;
}

int worker_serve(const struct process_config *config, const struct assignment *assignment,
                 struct handler *handler)
{
    struct worker worker = {.config = config, .link = assignment->link};
    bool failed = handler == NULL || (!python_has_failed(handler) && python_post_fork() != 0);
    int status = EXIT_APP;

    files_link = assignment->link;
    if (failed)
        tell(assignment->link, REPORT_EXPLAINED);
    else
        status = serve_with(&worker, assignment, handler);
    python_stop(handler);
    return status;
}

int worker_run(const struct process_config *config, const struct assignment *assignment)
{
    if (worker_prepare(config, assignment->master) != 0)
        return EXIT_FAILED;
    return worker_serve(config, assignment, worker_load(config, assignment->link));
}
