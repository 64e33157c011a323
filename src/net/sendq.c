/* SPDX-License-Identifier: MIT */
/*
 * The send queue: a list of pieces, of which only the last grows. A queue with nothing to send
 * holds no piece, so an idle connection costs no buffer; pieces and the room of their runs go
 * back to a pool, so steady work calls no malloc.
 *
 * What is staged is at the end of the last piece, which then is a run: queueing anything else
 * commits it first.
 */
#include "cserve/sendq.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/mem.h"

enum {
    RUN_ROOM = 16 * 1024,      /* of a fresh run */
    RUN_ROOM_KEPT = 64 * 1024, /* a run that grew beyond it does not keep its room in the pool */
    PARTS_PER_SEND = 32,
    FILE_PER_CALL = 256 * 1024,   /* of a file, read by one system call */
    FILE_PER_FLUSH = 1024 * 1024, /* of files; then other connections have their turn, though this peer takes more */
};

void sendq_pool_init(struct sendq_pool *pool, size_t keep)
{
    *pool = (struct sendq_pool){.keep = keep};
}

void sendq_pool_release(struct sendq_pool *pool)
{
    while (pool->free != NULL) {
        struct sendq_piece *piece = pool->free;
        pool->free = piece->next;
        buf_release(&piece->bytes);
        free(piece);
    }
    pool->held = 0;
}

static struct sendq_piece *piece_take(struct sendq_pool *pool)
{
    struct sendq_piece *piece = pool->free;

    if (piece == NULL)
        return mem_zalloc(sizeof(*piece));
    pool->free = piece->next;
    pool->held--;
    return piece;
}

static void piece_give(struct sendq_pool *pool, struct sendq_piece *piece)
{
    if (piece->kind == SENDQ_FILE)
        close(piece->fd);
    else if (piece->kind == SENDQ_BORROWED && piece->owner.release != NULL)
        piece->owner.release(piece->owner.arg);
    if (piece->bytes.cap > RUN_ROOM_KEPT)
        buf_release(&piece->bytes);
    if (pool->held >= pool->keep) {
        buf_release(&piece->bytes);
        free(piece);
        return;
    }
    piece->next = pool->free;
    pool->free = piece;
    pool->held++;
}

static struct sendq_piece *queue_piece(struct sendq *q, enum sendq_kind kind)
{
    struct sendq_piece *piece = piece_take(q->pool);

    piece->next = NULL;
    piece->kind = kind;
    piece->at = piece->len = 0;
    piece->bytes.len = 0;
    if (q->last == NULL)
        q->first = piece;
    else
        q->last->next = piece;
    q->last = piece;
    return piece;
}

static void drop_first(struct sendq *q)
{
    struct sendq_piece *piece = q->first;

    q->first = piece->next;
    if (q->first == NULL)
        q->last = NULL;
    piece_give(q->pool, piece);
}

void sendq_init(struct sendq *q, struct sendq_pool *pool)
{
    *q = (struct sendq){.pool = pool};
}

void sendq_release(struct sendq *q)
{
    while (q->first != NULL)
        drop_first(q);
    q->staged_from = 0;
    q->pending = 0;
}

/* A long run whose front is sent would only grow: what comes next begins a new one. */
static bool is_worn(const struct sendq *q, const struct sendq_piece *run)
{
    return run->bytes.len >= RUN_ROOM_KEPT && run->bytes.len == q->staged_from;
}

struct buf *sendq_stage(struct sendq *q)
{
    struct sendq_piece *run = q->last;

    if (run == NULL || run->kind != SENDQ_BYTES || is_worn(q, run)) {
        run = queue_piece(q, SENDQ_BYTES);
        buf_room(&run->bytes, RUN_ROOM);
        q->staged_from = 0;
    }
    return &run->bytes;
}

void sendq_commit(struct sendq *q)
{
    if (q->last == NULL || q->last->kind != SENDQ_BYTES)
        return;
    q->pending += q->last->bytes.len - q->staged_from;
    q->staged_from = q->last->bytes.len;
}

void sendq_rollback(struct sendq *q)
{
    if (q->last == NULL || q->last->kind != SENDQ_BYTES)
        return;
    q->last->bytes.len = q->staged_from;
    if (q->first == q->last && q->first->at == q->staged_from)
        drop_first(q);
}

void sendq_borrow(struct sendq *q, const char *ptr, size_t len, struct sendq_owner owner)
{
    struct sendq_piece *piece;

    sendq_commit(q);
    piece = queue_piece(q, SENDQ_BORROWED);
    piece->ptr = ptr;
    piece->len = len;
    piece->owner = owner;
    q->pending += len;
}

void sendq_file(struct sendq *q, int fd, off_t offset, size_t len, const struct timespec *changed)
{
    struct sendq_piece *piece;

    sendq_commit(q);
    piece = queue_piece(q, SENDQ_FILE);
    piece->fd = fd;
    piece->offset = offset;
    piece->fixed = changed != NULL;
    if (changed != NULL)
        piece->changed = *changed;
    piece->len = len;
    q->pending += len;
}

/* The bytes of a piece that may be sent and are not. */
static struct iovec sendable(const struct sendq *q, const struct sendq_piece *piece)
{
    size_t end = piece->len;
    const char *bytes = piece->ptr;

    if (piece->kind == SENDQ_BYTES) {
        end = piece == q->last ? q->staged_from : piece->bytes.len;
        bytes = piece->bytes.data;
    }
    return (struct iovec){(char *)bytes + piece->at, end - piece->at};
}

/* Takes `sent` bytes off the front; pieces that are all sent go back to the pool. */
static void advance(struct sendq *q, size_t sent)
{
    q->pending -= sent;
    while (q->first != NULL && q->first->kind != SENDQ_FILE) {
        struct sendq_piece *piece = q->first;
        size_t have = sendable(q, piece).iov_len;
        bool staged = piece == q->last && piece->kind == SENDQ_BYTES && piece->bytes.len > q->staged_from;

        piece->at += sent < have ? sent : have;
        if (sent < have || staged)
            return;
        sent -= have;
        drop_first(q);
    }
}

/* Nearly every answer is one run that leaves whole. */
static ssize_t send_run(struct sendq *q, struct stream *s)
{
    struct iovec part = sendable(q, q->first);
    ssize_t sent = s->ops->send(s, &part, 1, false);

    if (sent == (ssize_t)part.iov_len && q->first->bytes.len == q->staged_from) {
        q->pending = 0;
        drop_first(q);
    } else if (sent > 0) {
        advance(q, (size_t)sent);
    }
    return sent;
}

static ssize_t send_bytes(struct sendq *q, struct stream *s)
{
    struct iovec parts[PARTS_PER_SEND];
    struct sendq_piece *piece = q->first;
    int count = 0;
    ssize_t sent;

    for (; piece != NULL && piece->kind != SENDQ_FILE && count < PARTS_PER_SEND; piece = piece->next) {
        parts[count] = sendable(q, piece);
        count += parts[count].iov_len > 0;
    }
    if (count == 0) {
        advance(q, 0);
        return 0;
    }
    sent = s->ops->send(s, parts, count, piece != NULL);
    if (sent > 0)
        advance(q, (size_t)sent);
    return sent;
}

/* Whether somebody wrote to a file that was to stay as it is: what follows would not belong to what was sent. */
static bool is_changed(const struct sendq_piece *piece)
{
    struct stat now;

    return piece->fixed && (fstat(piece->fd, &now) != 0 || now.st_mtim.tv_sec != piece->changed.tv_sec ||
                            now.st_mtim.tv_nsec != piece->changed.tv_nsec);
}

/* Beyond FILE_PER_FLUSH it is as if the stream took no more. */
static ssize_t send_file(struct sendq *q, struct stream *s)
{
    struct sendq_piece *piece = q->first;
    size_t len = piece->len < FILE_PER_CALL ? piece->len : FILE_PER_CALL;
    ssize_t sent;

    if (q->of_files >= FILE_PER_FLUSH) {
        errno = EAGAIN;
        return -1;
    }
    if (is_changed(piece)) {
        errno = ESTALE;
        return -1;
    }
    sent = s->ops->sendfile(s, piece->fd, &piece->offset, len);
    if (sent == 0) {
        errno = EIO; /* the file is shorter than it was: what was promised cannot be kept */
        return -1;
    }
    if (sent > 0) {
        q->of_files += (size_t)sent;
        piece->len -= (size_t)sent;
        q->pending -= (size_t)sent;
        if (piece->len == 0)
            drop_first(q);
    }
    return sent;
}

static ssize_t send_first(struct sendq *q, struct stream *s)
{
    if (q->first->kind == SENDQ_FILE)
        return send_file(q, s);
    if (q->first == q->last && q->first->kind == SENDQ_BYTES)
        return send_run(q, s);
    return send_bytes(q, s);
}

enum sendq_result sendq_flush(struct sendq *q, struct stream *s, uint64_t *sent)
{
    q->of_files = 0;
    while (q->pending > 0) {
        ssize_t count = send_first(q, s);

        if (count < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? SENDQ_BLOCKED : SENDQ_BROKEN;
        *sent += (uint64_t)count;
    }
    return SENDQ_DONE;
}
