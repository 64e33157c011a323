/* SPDX-License-Identifier: MIT */
/*
 * A whole connection: the input is what a client sends, over a stream in memory, to a server whose handler
 * is a stub (stub.c). The first run gets everything at once; others get it in pieces, with short writes and
 * a peer that must be waited for. All must answer with the same bytes, log the same outcomes, and keep
 * nothing. Then the stream breaks somewhere: nothing is compared, but all must be given back.
 *
 * The loop is this file's: it tells a connection that it is ready when it waits for that, and lets its
 * timer run out when it waits for bytes that will never come.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"

#include "server_internal.h"

#include "fuzz.h"
#include "responses.h"
#include "stub.h"

enum { TURNS_MAX = 1000000, NEVER = -1 };

/* Time stands still, so that dates are the same in every run. */
int64_t __wrap_clock_ms(void);
time_t __wrap_clock_wall(void);

int64_t __wrap_clock_ms(void)
{
    return 1000;
}

time_t __wrap_clock_wall(void)
{
    return 784111777;
}

/* The client's side of the stream, and what it does to it. */
static struct wire {
    struct dice dice;
    struct str input;
    size_t most;     /* bytes of one recv; a send takes up to as many thousands */
    bool calm;       /* all at once, never EAGAIN */
    bool ends;       /* the client half-closes behind its input, or else falls silent */
    int break_after; /* calls, or NEVER */
    bool broken;
    struct buf output; /* owned */
} wire;

/* Whether this call fails, with errno set. */
static bool disturbed(void)
{
    if (wire.break_after != NEVER && wire.break_after-- == 0)
        wire.broken = true;
    if (wire.broken) {
        wire.break_after = NEVER;
        errno = ECONNRESET;
        return true;
    }
    errno = EAGAIN;
    return !wire.calm && dice_roll(&wire.dice, 4) == 0;
}

/* How many of `len` bytes move at once. */
static size_t share(size_t len, size_t most)
{
    size_t some = wire.calm ? len : 1 + dice_roll(&wire.dice, most);

    return some < len ? some : len;
}

static ssize_t wire_recv(struct stream *s, void *room, size_t len)
{
    size_t count = share(len, wire.most);

    (void)s;
    EXPECT(len > 0);
    if (disturbed())
        return -1;
    if (wire.input.len == 0 && !wire.ends) {
        errno = EAGAIN;
        return -1;
    }
    count = count < wire.input.len ? count : wire.input.len;
    if (count > 0)
        memcpy(room, wire.input.ptr, count);
    wire.input = str_make(wire.input.ptr + count, wire.input.len - count);
    return (ssize_t)count;
}

static ssize_t wire_send(struct stream *s, const struct iovec *parts, int count, bool more_follows)
{
    size_t left = share(SIZE_MAX / 2, 1000 * wire.most), sent = 0;

    (void)s;
    (void)more_follows;
    if (disturbed())
        return -1;
    for (int i = 0; i < count && left > 0; i++) {
        size_t taken = parts[i].iov_len < left ? parts[i].iov_len : left;

        EXPECT(parts[i].iov_len > 0);
        buf_append(&wire.output, parts[i].iov_base, taken);
        sent += taken;
        left -= taken;
    }
    return (ssize_t)sent;
}

static ssize_t wire_sendfile(struct stream *s, int file, off_t *offset, size_t len)
{
    ssize_t count;

    (void)s;
    if (disturbed())
        return -1;
    len = share(len, 1000 * wire.most);
    count = pread(file, buf_room(&wire.output, len), len, *offset);
    EXPECT(count >= 0);
    wire.output.len += (size_t)count;
    *offset += count;
    wire.broken = wire.broken || count == 0;
    return count;
}

static void wire_shutdown(struct stream *s)
{
    (void)s;
}

static void wire_close(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
}

static const struct stream_ops wire_ops = {wire_recv, wire_send, wire_sendfile, wire_shutdown, wire_close};

static const struct http_limits wide = {
    .line = 8190, .fields = 100, .field_size = 8190, .head = 65536, .body = 1 << 20};
static const struct http_limits narrow = {
    .line = 40, .fields = 4, .field_size = 48, .head = 160, .body = 200};

enum { USUAL, ONE_SHOT, NARROW, PROXIED, SERVERS };

static struct server_config configs[SERVERS] = {
    [USUAL] = {.keep_alive_ms = 15000, .body_buffer = 262144, .server_name = "cserve"},
    [ONE_SHOT] = {.keep_alive_ms = 0, .body_buffer = 8, .server_name = "",
                  .forwarded_kind = FORWARDED_RFC7239},
    [NARROW] = {.keep_alive_ms = 15000, .body_buffer = 64, .server_name = "cserve"},
    [PROXIED] = {.keep_alive_ms = 15000, .body_buffer = 262144, .server_name = "cserve",
                 .proxy_protocol = true},
};

static struct server *servers[SERVERS];
static struct listener listener;

/* Blocks go back to the heap at once, so that AddressSanitizer sees who uses them too long. */
static struct server *make_server(struct server_config *config)
{
    char error[128];
    struct server *s;

    config->header_timeout_ms = config->body_timeout_ms = config->write_timeout_ms = 1000;
    config->body_rate = 10;
    config->worker_connections = 10;
    config->access_log = "/dev/null";
    EXPECT(cidr_list_parse(&config->forwarded_allow, "127.0.0.1,10.0.0.0/8", error, sizeof(error)) == 0);
    EXPECT(cidr_list_parse(&config->proxy_allow, "*", error, sizeof(error)) == 0);
    s = server_new(config, &listener, 1, stub_handler());
    EXPECT(s != NULL);
    s->connection_pool.keep = s->request_pool.keep = s->input_pool.keep = 0;
    s->threads[0].sendq_pool.keep = 0;
    return s;
}

static void make_servers(void)
{
    char error[128];

    EXPECT(log_open("/dev/null") == 0);
    EXPECT(address_parse(&listener.address, "127.0.0.1:80", error, sizeof(error)) == 0);
    listener.fd = -1;
    for (int i = 0; i < SERVERS; i++) {
        configs[i].limits = i == NARROW ? narrow : wide;
        servers[i] = make_server(&configs[i]);
    }
}

static bool has_input(void)
{
    return wire.input.len > 0 || wire.ends || wire.broken;
}

static void serve(struct server *s)
{
    const struct stream stream = {.ops = &wire_ops, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    int turns = 0;

    EXPECT(stream.fd >= 0);
    thread_current = &s->threads[0];
    connection_open(s, &stream, &listener.address, &listener);
    while (s->connections != NULL) {
        struct connection *c = s->connections;

        EXPECT(turns++ < TURNS_MAX);
        EXPECT(c->armed == (POLLER_READ | POLLER_END) || c->armed == POLLER_WRITE);
        if (c->armed == POLLER_WRITE || has_input())
            c->source.ready(&c->source, c->armed & ~(uint32_t)POLLER_END);
        else
            connection_expired(&c->timer);
    }
    EXPECT(s->connection_count == 0);
    for (int i = 0; i < TIMEOUT_COUNT; i++)
        EXPECT(timer_queue_next(&s->timeouts[i], 0) == -1);
}

/* What can be seen of a run from outside. */
struct outcome {
    struct buf output;   /* owned */
    struct buf outcomes; /* owned: the last word of each line of the access log */
    bool broken;
    bool cut;
};

/*
 * Request lines are left out: how much is known of a refused one depends on how much of it had come. So is
 * all behind a break, which may come before or after a pipelined request was served.
 */
static void take_outcomes(struct outcome *o, struct buf *lines)
{
    size_t at = 0;

    while (at < lines->len) {
        const char *line = lines->data + at, *newline = memchr(line, '\n', lines->len - at), *word = newline;

        EXPECT(newline != NULL && fuzz_is_printable(str_make(line, (size_t)(newline - line))));
        while (word[-1] != ' ')
            word--;
        buf_append(&o->outcomes, word, (size_t)(newline + 1 - word));
        at += (size_t)(newline + 1 - line);
    }
    lines->len = 0;
}

static void run(struct outcome *o, struct server *s, struct str input)
{
    wire.input = input;
    wire.broken = false;
    buf_init(&wire.output);
    buf_init(&o->outcomes);
    stub_begin();
    serve(s);
    o->cut = stub_end();
    o->output = wire.output;
    o->broken = wire.broken;
    take_outcomes(o, &s->log.lines);
    responses_check(str_make(o->output.data, o->output.len), o->cut || o->broken);
}

static void release(struct outcome *o)
{
    buf_release(&o->output);
    buf_release(&o->outcomes);
}

/* Prints both where they differ. */
static bool same_text(const struct buf *a, const struct buf *b)
{
    struct buf texts;

    if (str_equal(str_make(a->data, a->len), str_make(b->data, b->len)))
        return true;
    buf_init(&texts);
    buf_append_escaped(&texts, str_make(a->data, a->len));
    buf_append_str(&texts, STR("\n--- and in pieces:\n"));
    buf_append_escaped(&texts, str_make(b->data, b->len));
    fprintf(stderr, "%.*s\n", (int)texts.len, texts.data);
    buf_release(&texts);
    return false;
}

/* An invitation to send content is given only to a client that waits for it. */
static void drop_invitations(struct buf *output)
{
    static const struct str invitation = STR("HTTP/1.1 100 Continue\r\n\r\n");
    size_t len = invitation.len;
    char *found;

    while (output->len > 0 && (found = memmem(output->data, output->len, invitation.ptr, len)) != NULL) {
        memmove(found, found + len, output->len - (size_t)(found - output->data) - len);
        output->len -= len;
    }
}

static void check_pieces(struct server *s, struct str input)
{
    static const size_t most[] = {1, 7, 100};
    struct outcome whole, pieces;

    wire.calm = true;
    wire.break_after = NEVER;
    run(&whole, s, input);
    drop_invitations(&whole.output);
    wire.calm = false;
    for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
        wire.most = most[i];
        run(&pieces, s, input);
        drop_invitations(&pieces.output);
        EXPECT(same_text(&whole.output, &pieces.output));
        EXPECT(whole.broken == pieces.broken && (whole.broken || whole.cut == pieces.cut));
        EXPECT(whole.broken || same_text(&whole.outcomes, &pieces.outcomes));
        release(&pieces);
    }
    release(&whole);
}

static void check_break(struct server *s, struct str input)
{
    struct outcome o;

    wire.most = 1 + dice_roll(&wire.dice, 200);
    wire.break_after = (int)dice_roll(&wire.dice, 20);
    run(&o, s, input);
    release(&o);
}

/* Whether the input begins as a PROXY header does. */
static bool is_proxied(const uint8_t *data, size_t size)
{
    return size >= 5 && (memcmp(data, "PROXY", 5) == 0 || memcmp(data, "\r\n\r\n", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct server *s;
    char *exact;

    if (servers[0] == NULL)
        make_servers();
    wire.dice = dice_make(data, size);
    s = servers[is_proxied(data, size) ? PROXIED : dice_roll(&wire.dice, PROXIED)];
    wire.ends = dice_roll(&wire.dice, 2) == 0;
    exact = fuzz_copy(data, size);
    check_pieces(s, str_make(exact, size));
    check_break(s, str_make(exact, size));
    free(exact);
    return 0;
}
