/* SPDX-License-Identifier: MIT */
/*
 * The send queue against a stream in memory that takes only so many bytes at a time: whatever it
 * takes, the same bytes arrive in the same order, and everything borrowed is given back once.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/sendq.h"

struct sink {
    struct stream stream; /* first */
    struct buf got;
    size_t takes;   /* bytes a call */
    size_t budget;  /* bytes until it says EAGAIN */
    int fails_with; /* errno, or 0 */
    int calls;
    bool more;      /* as the last send said */
};

static ssize_t sink_send(struct stream *s, const struct iovec *parts, int count, bool more_follows)
{
    struct sink *sink = (struct sink *)s;
    size_t takes = sink->takes < sink->budget ? sink->takes : sink->budget;
    size_t left = takes;

    sink->calls++;
    sink->more = more_follows;
    if (sink->fails_with != 0 || left == 0) {
        errno = sink->fails_with != 0 ? sink->fails_with : EAGAIN;
        return -1;
    }
    for (int i = 0; i < count && left > 0; i++) {
        size_t len = parts[i].iov_len < left ? parts[i].iov_len : left;
        buf_append(&sink->got, parts[i].iov_base, len);
        left -= len;
    }
    sink->budget -= takes - left;
    return (ssize_t)(takes - left);
}

static ssize_t sink_sendfile(struct stream *s, int file, off_t *offset, size_t len)
{
    struct sink *sink = (struct sink *)s;
    size_t want = len < sink->takes ? len : sink->takes;
    ssize_t count;

    count = pread(file, buf_room(&sink->got, want), want, *offset);
    if (count > 0) {
        sink->got.len += (size_t)count;
        *offset += count;
    }
    return count;
}

static const struct stream_ops sink_ops = {.send = sink_send, .sendfile = sink_sendfile};

static void sink_init(struct sink *sink, size_t takes)
{
    *sink = (struct sink){.stream.ops = &sink_ops, .takes = takes, .budget = SIZE_MAX};
    buf_init(&sink->got);
}

static void assert_got(const struct sink *sink, const char *expected)
{
    assert_int_equal(sink->got.len, strlen(expected));
    assert_memory_equal(sink->got.data, expected, strlen(expected));
}

static void count_release(void *arg)
{
    ++*(int *)arg;
}

static void put(struct sendq *q, const char *text)
{
    buf_append(sendq_stage(q), text, strlen(text));
}

static int temporary_file(const char *text)
{
    char name[] = "/tmp/cserve-test-XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void nothing_staged_is_sent(void **state)
{
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;

    (void)state;
    sendq_pool_init(&pool, 4);
    sendq_init(&q, &pool);
    sink_init(&sink, 1000);
    put(&q, "first ");
    sendq_commit(&q);
    put(&q, "staged ");
    assert_int_equal(q.pending, 6);
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_DONE);
    assert_int_equal(sent, 6);
    assert_got(&sink, "first ");
    sendq_rollback(&q);
    put(&q, "second");
    sendq_commit(&q);
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_DONE);
    assert_got(&sink, "first second");
    assert_null(q.first);
    sendq_release(&q);
    sendq_pool_release(&pool);
    buf_release(&sink.got);
}

static void rollback_leaves_what_was_committed(void **state)
{
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;

    (void)state;
    sendq_pool_init(&pool, 4);
    sendq_init(&q, &pool);
    sink_init(&sink, 1000);
    put(&q, "gone");
    sendq_rollback(&q);
    assert_null(q.first);
    put(&q, "kept");
    sendq_commit(&q);
    put(&q, "gone");
    sendq_rollback(&q);
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_DONE);
    assert_got(&sink, "kept");
    assert_null(q.first);
    sendq_pool_release(&pool);
    buf_release(&sink.got);
}

/* Runs, borrowed bytes and a file, through a stream that takes `takes` bytes a call. */
static void send_mixture(size_t takes)
{
    static const char expected[] = "head,borrowed,middle,file part,tail";
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;
    int released = 0;

    sendq_pool_init(&pool, 2);
    sendq_init(&q, &pool);
    sink_init(&sink, takes);
    put(&q, "head,");
    sendq_borrow(&q, "borrowed,", 9, (struct sendq_owner){count_release, &released});
    put(&q, "middle,");
    sendq_file(&q, temporary_file("the file part, of it"), 4, 9, NULL);
    put(&q, ",tail");
    sendq_commit(&q);
    assert_int_equal(q.pending, strlen(expected));
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_DONE);
    assert_int_equal(sent, strlen(expected));
    assert_int_equal(q.pending, 0);
    assert_got(&sink, expected);
    assert_int_equal(released, 1);
    assert_null(q.first);
    sendq_pool_release(&pool);
    buf_release(&sink.got);
}

static void every_size_of_short_writes_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t takes = 1; takes <= 64; takes++)
        send_mixture(takes);
}

static void a_blocked_stream_keeps_what_is_left(void **state)
{
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;
    int released = 0;

    (void)state;
    sendq_pool_init(&pool, 4);
    sendq_init(&q, &pool);
    sink_init(&sink, 10);
    sink.budget = 0;
    put(&q, "abc");
    sendq_borrow(&q, "def", 3, (struct sendq_owner){count_release, &released});
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_BLOCKED);
    assert_int_equal(q.pending, 6);
    assert_int_equal(released, 0);
    sendq_release(&q);
    assert_int_equal(released, 1);
    assert_int_equal(q.pending, 0);
    sendq_pool_release(&pool);
}

static void a_file_that_shrank_breaks_the_stream(void **state)
{
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;

    (void)state;
    sendq_pool_init(&pool, 4);
    sendq_init(&q, &pool);
    sink_init(&sink, 100);
    sendq_file(&q, temporary_file("short"), 0, 50, NULL);
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_BROKEN);
    assert_int_equal(errno, EIO);
    assert_got(&sink, "short");
    sendq_release(&q);
    sendq_pool_release(&pool);
    buf_release(&sink.got);
}

static void a_file_that_was_changed_breaks_the_stream(void **state)
{
    const struct timespec times[2] = {{.tv_sec = 1, .tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};
    int fd = temporary_file("the file"), writer = dup(fd);
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;

    (void)state;
    sendq_pool_init(&pool, 4);
    sendq_init(&q, &pool);
    sink_init(&sink, 3);
    assert_int_equal(futimens(fd, times), 0);
    sendq_file(&q, fd, 0, 8, &times[1]);
    sendq_file(&q, dup(writer), 0, 8, &times[1]);
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_DONE);
    assert_got(&sink, "the filethe file");
    sendq_file(&q, dup(writer), 0, 8, &times[1]);
    assert_int_equal(pwrite(writer, "new", 3, 0), 3);
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_BROKEN);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(sent, 16);
    close(writer);
    sendq_release(&q);
    sendq_pool_release(&pool);
    buf_release(&sink.got);
}

static void small_answers_leave_in_one_send(void **state)
{
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;

    (void)state;
    sendq_pool_init(&pool, 4);
    sendq_init(&q, &pool);
    sink_init(&sink, 100000);
    for (int i = 0; i < 100; i++) {
        put(&q, "an answer");
        sendq_commit(&q);
    }
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_DONE);
    assert_int_equal(sent, 900);
    assert_int_equal(sink.calls, 1);
    assert_false(sink.more);
    sendq_pool_release(&pool);
    buf_release(&sink.got);
}

/* A stream that never ends and is never quite drained must not make one run grow for ever. */
static void a_long_stream_uses_bounded_memory(void **state)
{
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;
    char block[8192];

    (void)state;
    memset(block, 'x', sizeof(block));
    sendq_pool_init(&pool, 4);
    sendq_init(&q, &pool);
    sink_init(&sink, 1000);
    for (int i = 0; i < 2000; i++) {
        buf_append(sendq_stage(&q), block, sizeof(block));
        sendq_commit(&q);
        if (i < 4)
            continue;
        sink.got.len = 0;
        sink.budget = sizeof(block);
        assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_BLOCKED);
        assert_int_equal(q.pending, 4 * sizeof(block));
        assert_true(q.last->bytes.cap <= 128 * 1024);
    }
    sendq_release(&q);
    sendq_pool_release(&pool);
    buf_release(&sink.got);
}

static void a_broken_stream_is_reported(void **state)
{
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;

    (void)state;
    sendq_pool_init(&pool, 0);
    sendq_init(&q, &pool);
    sink_init(&sink, 10);
    sink.fails_with = EPIPE;
    put(&q, "bytes");
    sendq_commit(&q);
    assert_int_equal(sendq_flush(&q, &sink.stream, &sent), SENDQ_BROKEN);
    assert_int_equal(errno, EPIPE);
    sendq_release(&q);
    assert_int_equal(pool.held, 0);
    sendq_pool_release(&pool);
}

/* A peer that takes all there is does not keep others waiting for a whole file. */
static void a_large_file_leaves_in_turns(void **state)
{
    enum { SIZE = 5 * 1024 * 1024, TURN = 1024 * 1024 };
    struct sendq_pool pool;
    struct sendq q;
    struct sink sink;
    uint64_t sent = 0;
    int fd = temporary_file("x"), turns = 1;

    (void)state;
    assert_int_equal(ftruncate(fd, SIZE), 0);
    sink_init(&sink, SIZE);
    sendq_pool_init(&pool, 8);
    sendq_init(&q, &pool);
    sendq_file(&q, fd, 0, SIZE, NULL);
    for (; sendq_flush(&q, &sink.stream, &sent) == SENDQ_BLOCKED; turns++)
        assert_int_equal(sent, turns * TURN);
    assert_int_equal(turns, SIZE / TURN);
    assert_int_equal(sent, SIZE);
    buf_release(&sink.got);
    sendq_release(&q);
    sendq_pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_staged_is_sent),
        cmocka_unit_test(rollback_leaves_what_was_committed),
        cmocka_unit_test(every_size_of_short_writes_gives_the_same_bytes),
        cmocka_unit_test(a_blocked_stream_keeps_what_is_left),
        cmocka_unit_test(a_file_that_shrank_breaks_the_stream),
        cmocka_unit_test(a_file_that_was_changed_breaks_the_stream),
        cmocka_unit_test(small_answers_leave_in_one_send),
        cmocka_unit_test(a_long_stream_uses_bounded_memory),
        cmocka_unit_test(a_broken_stream_is_reported),
        cmocka_unit_test(a_large_file_leaves_in_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
