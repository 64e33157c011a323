/* SPDX-License-Identifier: MIT */
/* Listening sockets: opened by the master, accepted from by workers. */
#ifndef CSERVE_LISTENER_H
#define CSERVE_LISTENER_H

#include "cserve/address.h"

struct listener {
    int fd; /* owned; non-blocking, close-on-exec */
    bool shared; /* other processes accept from the same queue, or may come to: take little at a time */
    struct address address; /* as bound: with the real port */
};

/*
 * Binds and listens. A unix socket's stale file (nobody accepts there) is replaced, a live one is an error;
 * its mode is 0777 less the umask. IPv6 sockets are IPv6 only, unless the address is "::". Returns 0, or -1
 * with a message in error[0..cap): which address, what failed, and what may help ("another program listens
 * there").
 */
int listener_open(struct listener *l, const char *text, int backlog, char *error, size_t cap);

/*
 * Another one for the same address. Over TCP it has a queue of its own, and the system spreads new
 * connections over all of them; where that cannot be, both share the queue of `first`. Returns 0, or -1 with
 * errno.
 */
int listener_clone(struct listener *l, struct listener *first, int backlog);

/*
 * Takes over a socket that another program has opened. 0, or -1 with errno: it is no listening stream socket.
 */
int listener_adopt(struct listener *l, int fd);

enum { LISTENER_STEER_MAX = 256 };

/*
 * From here on new connections go, by chance, to those of the listeners on l's address that are named: the
 * numbers say which, counted from 0 in the order in which they were opened. 0, or -1 with errno: the system
 * cannot do that.
 */
int listener_steer(const struct listener *l, const unsigned *numbers, unsigned count);

/* Closes; a unix socket's file is removed if `unlink_path`, by the process that opened it. */
void listener_close(struct listener *l, bool unlink_path);

/* What a browser would be given: "http://127.0.0.1:8888/", "unix:/path". */
size_t listener_url(const struct listener *l, char *text, size_t cap);

/*
 * Accepts one connection: non-blocking, close-on-exec, TCP_NODELAY. Returns the descriptor, or -1 with
 * errno (EAGAIN: none is waiting; ECONNABORTED and such are retried inside).
 */
int listener_accept(struct listener *l, struct address *peer);

#endif
