/* SPDX-License-Identifier: MIT */
/*
 * A transport of bytes: what a connection reads from and writes to. A plain socket is one; TLS, or
 * an in-memory stream in tests, is another set of functions.
 */
#ifndef CSERVE_STREAM_H
#define CSERVE_STREAM_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct stream;

/*
 * All are non-blocking. recv, send and sendfile return bytes moved, or -1 with errno: EAGAIN when
 * the peer must move first, anything else when the stream is broken. EINTR never gets out.
 */
struct stream_ops {
    ssize_t (*recv)(struct stream *s, void *room, size_t len); /* 0: end of input */
    ssize_t (*send)(struct stream *s, const struct iovec *parts, int count, bool more_follows);
    ssize_t (*sendfile)(struct stream *s, int file, off_t *offset, size_t len); /* 0: end of file */
    void (*shutdown)(struct stream *s); /* no more will be sent; the peer sees the end */
    void (*close)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
    int fd; /* owned; what to poll, -1 when closed */
};

/* Has close tell the peer that something is missing, where the stream can (TCP: RST instead of FIN). */
void stream_reset_on_close(struct stream *s);

/* Ends both directions, so that who waits for the stream on another thread wakes. */
void stream_abort(struct stream *s);

/* A stream over a connected, non-blocking socket. Takes ownership of fd. */
void stream_init_socket(struct stream *s, int fd);

#endif
