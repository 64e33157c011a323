/* SPDX-License-Identifier: MIT */
/*
 * What the files of the master share.
 *
 * Reading order: master.c (the loop, stopping), signals.c, sockets.c (which sockets there are), children.c (the
 * life of one worker), handover.c (reload and recycling: one worker takes over from another), watch.c (reload when a
 * file is saved), preload.c, upgrade.c, notify.c, privileges.c, pidfile.c; sample.h has those for who watches.
 *
 * A slot is a place for one worker, with sockets of its own, which the master keeps open: who waits there
 * when a worker dies is accepted by the next one. A child is a worker process; while one takes over from
 * another, a slot has two.
 */
#ifndef PROCESS_INTERNAL_H
#define PROCESS_INTERNAL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "cserve/listener.h"
#include "cserve/process.h"
#include "cserve/scoreboard.h"

#include "link.h"

enum {
    YOUNG_MS = 1000,       /* a worker that lived shorter is not replaced at once */
    FIRST_PAUSE_MS = 100,  /* doubled each time, */
    LAST_PAUSE_MS = 10000, /* up to this */
};

/* Why a worker was replaced; restart_name. */
enum restart {
    RESTART_RELOAD,
    RESTART_REQUESTS,
    RESTART_LIFETIME,
    RESTART_MEMORY,
    RESTART_STUCK,
    RESTART_CRASH, /* killed by a signal */
    RESTART_EXIT,
    RESTARTS,
};

/* What workers that are gone have counted. */
struct past {
    struct stats stats;
    uint64_t bytes_out, gil_waits, gil_wait_us, expired;
    uint64_t lost; /* requests that they died with */
    uint64_t restarts[RESTARTS];
};

struct status;
struct statsd;

enum child_is {
    CHILD_STARTING,
    CHILD_SERVING,
    CHILD_LEAVING, /* it was told to stop */
};

struct child {
    struct child *next;
    enum child_is is;
    int slot;             /* -1: none any more */
    pid_t pid;            /* 0: the template process has not said yet */
    int link;             /* -1: closed */
    unsigned generation;  /* of the code and options that it runs */
    int64_t started_ms;
    int64_t kill_at_ms;   /* when patience ends; 0: it may live */
    bool killed;
    bool aborted;         /* because it took too long to start */
    bool explained;       /* it has logged why it ends */
    bool written_off;     /* killed before the order to stop came: that is no failure to stop */
    const char *worn;     /* why it is to be replaced; NULL: it is not */
    struct scoreboard board;
};

struct slot {
    struct listener *listeners; /* owned: one for each address */
    struct child *child;        /* serves, or will; NULL */
    struct child *successor;    /* starts, to take over from child; NULL */
    int pause_ms;               /* before the next one, if this one dies young */
    int64_t start_at_ms;        /* when the next one is due */
};

/* The process that has loaded the application and forks workers; preload.c. */
struct template {
    pid_t pid; /* 0: there is none */
    int link;  /* -1: closed */
    bool ready;
    bool aborted, explained; /* as of a child */
    int64_t started_ms;
    unsigned generation;
};

/* What --reload watches; watch.c. */
struct watch {
    int fd;                   /* of inotify; -1: nothing is watched */
    struct watched_dir *dirs; /* owned */
    size_t count;
    bool complained;          /* that something cannot be watched */
    bool failed;              /* the application does not load: more counts as a change */
    unsigned changed;         /* files, since the latest reload */
    char first[512];          /* of them */
    int64_t since_ms, latest_ms; /* of the first and the latest change; 0: none */
};

struct master {
    const struct process_config *config;
    const struct process_config *(*reread)(void);
    pid_t pid;
    int signal_fd;
    int was_subreaper;    /* before, as prctl has it */
    int64_t now_ms; /* of this turn: what is due by then is done in it */

    struct slot slots[WORKERS_MAX];
    int slot_count;       /* that have sockets */
    int wanted;           /* of them, the first; the others go once nobody waits at their sockets */
    int configured;       /* of the config, that wanted was made of; signals change wanted only */
    int64_t retire_at_ms; /* when they do */
    size_t address_count;
    unsigned steered[WORKERS_MAX], steered_count; /* slots that new connections go to */
    struct child *children;
    struct pollfd *waits; /* room for the loop's poll */
    int waits_cap;

    unsigned generation;
    bool reloading;
    bool resting;           /* SIGWINCH: no workers for now */
    int64_t next_handover_ms;
    int handover_pause_ms;  /* before the next attempt, if a successor does not start */
    int64_t handed_over;    /* pid of who is leaving since the latest one; 0: nobody */
    int64_t look_at_ms;     /* when to look at memory again */
    struct template template, next_template;
    struct watch watch;
    int64_t template_at_ms; /* when to start one again */
    int template_pause_ms;

    pid_t heir;             /* the new binary; 0: there is none */
    int old_master;         /* a pidfd; -1: there is none */
    bool activated;         /* the sockets are the service manager's */
    char pid_path[4096];    /* of the file that was written; "" if none was */

    struct status *watchers; /* owned; NULL: there is no status listener, or not yet */
    struct statsd *statsd;  /* owned; NULL: there is none */
    int64_t status_again_ms; /* when to try to open it again; 0: now */
    struct past past;
    int64_t started_ms;
    time_t started_wall_s; /* the same moment on the wall */
    int64_t drain_until_ms; /* it is said that we go, but still served as ever; 0: nobody told us to go */
    int64_t drain_from_ms;

    bool announced;         /* all workers have been ready */
    int64_t stopped_ms;     /* when the order to stop came; 0: it did not */
    bool finished;
    int status;
};

/* Milliseconds on the monotonic clock: the earlier of two times, of which 0 is never. */
static inline int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* master.c */
/* When a process that began to start at `started_ms` takes too long for it; 0: never. */
int64_t master_start_limit(const struct master *m, int64_t started_ms);
/* The end: with this status, unless an earlier one was bad. */
void master_fail(struct master *m, int status);
/* As many workers as the configuration has it from now on. */
void master_resize(struct master *m);

/* signals.c */
/* From here on signals are read from m->signal_fd. 0, or -1 with the reason logged. */
int signals_open(struct master *m);
/* For who called serve() all is as it was before; what has not been read is lost. */
void signals_close(struct master *m);
/* In a forked process: it has the handlers that were there before. */
void signals_forget(void);

/* sockets.c */
/* Opens or inherits the sockets of the first slots. 0, or -1 with the reason logged. */
int sockets_open(struct master *m);
/* A slot more. 0, or -1 with the reason logged. */
int sockets_add(struct master *m);
/* Logs what is wrong with address i, and where it was given. */
void sockets_complain(const struct process_config *config, size_t i, const char *error);
/* New connections go to the slots that have a worker, or will have one soon. */
void sockets_steer(struct master *m);
/* Closes the sockets of the last slot. */
void sockets_drop(struct master *m);
/* Closes all; files of unix sockets are removed unless others use them. */
void sockets_close(struct master *m);

/* children.c */
/* Starts a worker in slot i, to serve there or to succeed who does. */
void child_start(struct master *m, int i);
/* What it says; then closes the link if it has ended. */
void child_hear(struct master *m, struct child *c);
/* It has ended with this status of waitpid. Frees it. */
void child_ended(struct master *m, struct child *c, int status);
void child_order(struct child *c, enum order order);
/* Tells it to leave, and not to take longer than the graceful timeout. */
void child_dismiss(struct master *m, struct child *c, enum order order);
void child_kill(struct child *c);
/* Has a process print where it is, and end. */
void process_abort(const struct master *m, const char *what, pid_t pid);
/*
 * In a forked process: closes all that is the master's alone. `keep`: the slot whose listeners stay, or -1.
 */
void children_forget(struct master *m, int keep);
/* "was killed by signal 9 (Killed)" */
void describe_end(char *text, size_t cap, int status);

/* handover.c */
void handover_reload(struct master *m);
/* There is new code, and nobody is to get an answer from the old: who comes waits for the new one. */
void handover_renew(struct master *m);
/* A successor serves. */
void handover_done(struct master *m, struct slot *slot);
/* A successor did not come to serve. */
void handover_failed(struct master *m);
/* Looks for who is to be replaced and does the next step. */
void handover_tend(struct master *m);
/* When to call it again; 0: when something happens. */
int64_t handover_due(const struct master *m);

/* watch.c */
void watch_open(struct watch *w, const struct process_config *config);
void watch_close(struct watch *w);
/* A worker reads this file, which was saved then. */
void watch_file(struct watch *w, const char *path, int64_t saved_ns);
/* The application does not load. */
void watch_failure(struct watch *w);
/* Takes what inotify has to say. */
void watch_hear(struct watch *w);
/* Whether it is time to replace the workers, once for each change; says why. */
bool watch_tend(struct watch *w, int64_t now_ms);
/* When to call it again; 0: when something happens. */
int64_t watch_due(const struct watch *w);

/* notify.c: what the service manager is told, if there is one. */
void notify_open(void);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
/* Says that all is well if that is due. Returns when it is next; 0: never. */
int64_t notify_watchdog(void);
/* In a process that is to have a NOTIFY_SOCKET again: sets the environment. */
void notify_pass_on(void);

/* pidfile.c */
/*
 * Writes the process file, with ".2" to its name while an old master lives. 0, or -1 with the reason logged.
 */
int pidfile_write(struct master *m);
void pidfile_promote(struct master *m);
void pidfile_remove(struct master *m);

/* privileges.c */
/* Checks that user and group exist. 0, or -1 with the reason logged. */
int privileges_check(const struct process_config *config);
/* Gives them up for good. 0, or -1 with the reason logged: do not go on. */
int privileges_drop(const struct process_config *config);
/* Creates a log file if it is not there, such that the application's user may write to it. */
void privileges_grant_log(const struct process_config *config, const char *path);

/* sample.c */
/* The worker is gone, or never was: its counters join those of the past. */
void past_keep(struct past *past, const struct child *c);
/* A worker was replaced, for the reason that its log line gives. */
void past_note_handover(struct past *past, const char *reason);
/* Whether somebody is there to serve a new connection, and will be for a while. */
bool master_is_ready(const struct master *m);

/* status.c: the status listener. */
/* Whether it may be at its address. 0, or -1 with the reason logged. */
int status_check(const struct process_config *config);
/* Opens it if there is to be one, and no old master has it. 0, or -1 with the reason logged. */
int status_open(struct master *m);
/* What becomes readable when status_turn has something to do; -1: nothing does. */
int status_fd(const struct master *m);
void status_turn(struct master *m);
/* When to call it again although nothing happens; 0: never. */
int64_t status_due(const struct master *m);
/* `unlink_path`: also removes a unix socket's file. In a forked process: false. */
void status_close(struct master *m, bool unlink_path);

/* statsd.c */
/* 0, or -1 with the reason logged. */
int statsd_open(struct master *m);
void statsd_turn(struct master *m);
int64_t statsd_due(const struct master *m);
void statsd_close(struct master *m);

/* upgrade.c */
void upgrade_start(struct master *m);
/* What an old master passed to this one. */
struct passed {
    int *fds; /* owned by the caller; NULL: nothing was passed */
    size_t count, per_slot;
    bool activated;
};
void upgrade_inherited(struct master *m, struct passed *passed);
/* The new binary has ended. */
void upgrade_failed(struct master *m, int status);
/* The old master has ended, or is about to: its place is ours. */
void upgrade_promote(struct master *m);

#endif
