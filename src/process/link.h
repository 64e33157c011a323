/* SPDX-License-Identifier: MIT */
/*
 * The link between the master and a worker: a pair of sockets that keep messages whole. Each end sees when
 * the other process has ended.
 */
#ifndef PROCESS_LINK_H
#define PROCESS_LINK_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

/* From the master, one byte. */
enum order {
    ORDER_STOP = 's',   /* accept who waits, then stop */
    ORDER_DRAIN = 'd',  /* stop; others accept who waits */
    ORDER_YIELD = 'y',  /* as drain, and in a hurry: there is new code */
    ORDER_REOPEN = 'l', /* the log files were renamed */
};

enum report_of {
    REPORT_BORN,  /* pid says who it is */
    REPORT_READY, /* it serves */
    REPORT_WORN,  /* it should be replaced, because it has had --max-requests */
    REPORT_STUCK, /* it should be replaced, because a request is stuck */
    REPORT_EXPLAINED, /* it ends, and has logged why */
    REPORT_FILE,  /* --reload: it has read this file */
    REPORT_FAILURE, /* --reload: the application does not load, and it serves a page that says so */
};

/* To the master. */
struct report {
    enum report_of of;
    pid_t pid;
};

/* As it is received: a report, and if that is REPORT_FILE the rest of it. */
struct message {
    struct report report;
    int64_t saved_ns;    /* when the file was saved that was read; 0: there is none yet */
    char path[PATH_MAX]; /* sent up to its NUL */
};

#endif
