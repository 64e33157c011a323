/* SPDX-License-Identifier: MIT */
/*
 * What a connection has yet to send, in order: runs of bytes of its own, bytes that somebody
 * else owns (a large body, not copied), and ranges of files. Small answers gather in one run, so that
 * a batch of pipelined ones is one send.
 */
#ifndef CSERVE_SENDQ_H
#define CSERVE_SENDQ_H

#include <stdbool.h>
#include <time.h>

#include "cserve/buf.h"
#include "cserve/stream.h"

/* Who is told when bytes that were not copied are no longer needed. */
struct sendq_owner {
    void (*release)(void *arg);
    void *arg;
};

enum sendq_kind { SENDQ_BYTES, SENDQ_BORROWED, SENDQ_FILE };

struct sendq_piece {
    struct sendq_piece *next;
    enum sendq_kind kind;
    struct buf bytes;         /* SENDQ_BYTES: owned; its room stays with a pooled piece */
    const char *ptr;          /* SENDQ_BORROWED */
    struct sendq_owner owner; /* SENDQ_BORROWED */
    int fd;                   /* SENDQ_FILE: owned */
    off_t offset;             /* SENDQ_FILE: of the next byte to send */
    bool fixed;               /* SENDQ_FILE: it must stay as it was `changed` last */
    struct timespec changed;
    size_t at;                /* SENDQ_BYTES, SENDQ_BORROWED: bytes sent already */
    size_t len;               /* SENDQ_BORROWED: of ptr; SENDQ_FILE: bytes still to send */
};

/* Free pieces, shared by all queues of a loop. */
struct sendq_pool {
    struct sendq_piece *free;
    size_t held;
    size_t keep; /* at most this many are kept */
};

struct sendq {
    struct sendq_pool *pool; /* borrows */
    struct sendq_piece *first, *last;
    size_t staged_from;      /* where in the last run the bytes begin that must not be sent yet */
    size_t of_files;         /* bytes of files that the latest flush has sent */
    uint64_t pending;        /* bytes queued and not sent, without the staged ones */
};

enum sendq_result {
    SENDQ_DONE,    /* all is sent, but what is staged */
    SENDQ_BLOCKED, /* the peer must read first, or so much of files was sent that others should have their turn */
    SENDQ_BROKEN,  /* the stream is broken, or a file ended before its range did (errno EIO) or was changed (ESTALE) */
};

void sendq_pool_init(struct sendq_pool *pool, size_t keep);
void sendq_pool_release(struct sendq_pool *pool);

void sendq_init(struct sendq *q, struct sendq_pool *pool);
/* Drops everything unsent; owners are released, files closed. */
void sendq_release(struct sendq *q);

/*
 * The run to append to. What is appended is staged: it leaves with the first sendq_flush behind
 * sendq_commit. Valid until the next call on q.
 */
struct buf *sendq_stage(struct sendq *q);
void sendq_commit(struct sendq *q);   /* what is staged may go */
void sendq_rollback(struct sendq *q); /* what is staged is dropped */

/* Queues behind all that is staged (which is committed). */
void sendq_borrow(struct sendq *q, const char *ptr, size_t len, struct sendq_owner owner);

/*
 * Queues a range of a file, behind all that is staged. Takes ownership of fd. With `changed`, the file's time of last
 * change (copied), the queue is broken once that is another.
 */
void sendq_file(struct sendq *q, int fd, off_t offset, size_t len, const struct timespec *changed);

/* Sends what the stream takes; *sent grows by the bytes sent. */
enum sendq_result sendq_flush(struct sendq *q, struct stream *s, uint64_t *sent);

#endif
