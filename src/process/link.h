/* SPDX-License-Identifier: MIT */
/*
 * The link between the master and a worker: a pair of sockets that keep messages whole. Each end sees when
 * the other process has ended.
 */
#ifndef PROCESS_LINK_H
#define PROCESS_LINK_H

#include <sys/types.h>

/* From the master, one byte. */
enum order {
    ORDER_STOP = 's',   /* accept who waits, then stop */
    ORDER_DRAIN = 'd',  /* stop; others accept who waits */
    ORDER_REOPEN = 'l', /* the log files were renamed */
};

enum report_of {
    REPORT_BORN,  /* pid says who it is */
    REPORT_READY, /* it serves */
    REPORT_WORN,  /* it should be replaced, because it has had --max-requests */
    REPORT_STUCK, /* it should be replaced, because a request is stuck */
};

/* To the master. */
struct report {
    enum report_of of;
    pid_t pid;
};

#endif
