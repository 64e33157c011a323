/* SPDX-License-Identifier: MIT */
/* The handler without an application: see stub.h. */
#include "stub.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cserve/mem.h"

#include "fuzz.h"

enum { CALLS_MAX = 4096, BLOCK = 20000, BLOCKS = 7, FILE_SIZE = 5000 };

static char block[BLOCK]; /* filled with text */
static int file = -1;
static bool was_head[CALLS_MAX];
static size_t calls, open_exchanges, open_owners;
static bool cut;

void stub_begin(void)
{
    calls = open_exchanges = open_owners = 0;
    cut = false;
}

bool stub_end(void)
{
    EXPECT(open_exchanges == 0);
    EXPECT(open_owners == 0);
    return cut;
}

bool stub_was_head(size_t i)
{
    return i < calls && was_head[i];
}

size_t stub_calls(void)
{
    return calls;
}

static void release_owner(void *arg)
{
    (void)arg;
    EXPECT(open_owners > 0);
    open_owners--;
}

static enum exchange_result write_owned(struct exchange *x, struct str bytes)
{
    static const struct sendq_owner owner = {.release = release_owner};

    open_owners++;
    return exchange_write(x, bytes, &owner);
}

static void begin(struct exchange *x, const char *status)
{
    EXPECT(exchange_status(x, str_make(status, strlen(status))) == HTTP_FIELD_ADDED);
    EXPECT(exchange_field(x, STR("Content-Type"), STR("text/plain")) == HTTP_FIELD_ADDED);
}

/* All that was promised was written. */
static enum handler_verdict finish(struct exchange *x)
{
    EXPECT(exchange_finish(x) != EXCHANGE_SHORT);
    return HANDLER_DONE;
}

/* What was promised may not have been kept. */
static enum handler_verdict finish_short(struct exchange *x)
{
    cut = exchange_finish(x) == EXCHANGE_SHORT || cut;
    return HANDLER_DONE;
}

static void append_content(struct buf *text, const struct content *content)
{
    char part[512];
    uint64_t at = 0;
    ssize_t count;

    EXPECT((content->bytes == NULL) == (content->fd >= 0));
    if (content->bytes != NULL) {
        buf_append_escaped(text, str_make(content->bytes, (size_t)content->len));
        return;
    }
    while ((count = pread(content->fd, part, sizeof(part), (off_t)at)) > 0) {
        buf_append_escaped(text, str_make(part, (size_t)count));
        at += (uint64_t)count;
    }
    EXPECT(count == 0 && at == content->len);
}

/* All that a handler can see of a request. */
static void describe(struct buf *text, const struct exchange *x)
{
    const struct http_head *head = &x->head;

    buf_append_str(text, head->method);
    buf_append_str(text, STR(" "));
    buf_append_str(text, head->target);
    buf_printf(text, " 1.%d %d %d\n", head->minor, head->close, head->expect_continue);
    buf_append_str(text, head->uri.path);
    buf_append_str(text, STR("\n"));
    buf_append_str(text, x->peer->remote_addr);
    buf_append_str(text, STR(" "));
    buf_append_str(text, x->peer->remote_port);
    buf_append_str(text, STR(" "));
    buf_append_str(text, x->peer->scheme);
    for (uint32_t i = 0; i < head->field_count; i++) {
        buf_append_str(text, STR("\n"));
        buf_append_str(text, http_field_name(&head->fields[i], x->raw));
        buf_append_str(text, STR(": "));
        buf_append_escaped(text, http_field_value(&head->fields[i], x->raw));
    }
    buf_printf(text, "\n%d %llu ", x->content.chunked, (unsigned long long)x->content.len);
    append_content(text, &x->content);
}

static enum handler_verdict echo(struct exchange *x)
{
    struct buf text;

    buf_init(&text);
    describe(&text, x);
    begin(x, "200 OK");
    exchange_commit(x, (int64_t)text.len);
    exchange_write(x, str_make(text.data, text.len), NULL);
    buf_release(&text);
    return finish(x);
}

/* In chunks, each sent at once. */
static enum handler_verdict stream(struct exchange *x)
{
    struct buf text;

    buf_init(&text);
    describe(&text, x);
    begin(x, "200 OK");
    exchange_commit(x, -1);
    for (size_t at = 0; at < text.len; at += 50) {
        write_owned(x, str_make(text.data + at, text.len - at < 50 ? text.len - at : 50));
        exchange_flush(x);
    }
    buf_release(&text);
    return finish(x);
}

/* More than a slow client takes: waits for it. x->state counts what is done. */
static enum handler_verdict pour(struct exchange *x)
{
    int *done = x->state;

    while (*done < BLOCKS) {
        if (exchange_is_full(x) && exchange_flush(x) == EXCHANGE_OK && exchange_is_full(x))
            return HANDLER_WAIT;
        write_owned(x, str_make(block, BLOCK - (size_t)*done));
        *done += 1;
    }
    return finish(x);
}

static enum handler_verdict start_pouring(struct exchange *x)
{
    begin(x, "200 OK");
    exchange_commit(x, -1);
    x->state = mem_zalloc(sizeof(int));
    return pour(x);
}

/* As pour, but blocks. */
static enum handler_verdict drain(struct exchange *x)
{
    begin(x, "200 OK");
    exchange_commit(x, BLOCKS * BLOCK);
    for (int i = 0; i < BLOCKS; i++) {
        write_owned(x, str_make(block, BLOCK));
        if (exchange_drain(x) == EXCHANGE_GONE)
            return finish_short(x);
    }
    return finish(x);
}

static enum handler_verdict send_range(struct exchange *x, int64_t total, off_t offset, uint64_t len)
{
    begin(x, "200 OK");
    exchange_commit(x, total);
    exchange_write(x, STR("<"), NULL);
    exchange_sendfile(x, dup(file), offset, len);
    exchange_write(x, STR(">"), NULL);
    return finish(x);
}

/* Promises ten bytes. */
static enum handler_verdict promise(struct exchange *x, struct str bytes)
{
    begin(x, "200 OK");
    exchange_field(x, STR("Content-Length"), STR("10"));
    exchange_commit(x, -1);
    write_owned(x, bytes);
    return finish_short(x);
}

static enum handler_verdict fail(struct exchange *x, bool late)
{
    begin(x, "200 OK");
    if (late) {
        exchange_commit(x, -1);
        exchange_write(x, STR("some"), NULL);
        cut = true;
    }
    exchange_fail(x, 500, "exception");
    return HANDLER_DONE;
}

static enum handler_verdict empty(struct exchange *x, const char *status)
{
    begin(x, status);
    exchange_commit(x, -1);
    write_owned(x, STR("content that must not be sent"));
    return finish(x);
}

/* The client writes the response head: nothing of it may end a line. */
static enum handler_verdict obey(struct exchange *x)
{
    struct str query = x->head.uri.query;
    char *decoded = fuzz_copy(query.ptr, query.len);
    struct str text = str_make(decoded, http_percent_decode(decoded, query));
    bool harmless = fuzz_is_printable(text);

    begin(x, "404 Not Found");
    if (exchange_status(x, text) != HTTP_FIELD_ADDED)
        begin(x, "200 OK");
    else
        EXPECT(harmless);
    EXPECT((exchange_field(x, STR("X-Query"), text) == HTTP_FIELD_ADDED) == harmless);
    if (exchange_field(x, text, STR("value")) == HTTP_FIELD_ADDED)
        EXPECT(harmless && memchr(text.ptr, ':', text.len) == NULL);
    exchange_field(x, STR("Content-Length"), text);
    exchange_field(x, STR("Connection"), text);
    exchange_commit(x, 3);
    free(decoded);
    exchange_write(x, STR("abc"), NULL);
    return finish_short(x);
}

static enum handler_verdict choose(struct exchange *x)
{
    struct str path = x->head.uri.path;

    switch (path.len > 1 ? path.ptr[1] : 'e') {
    case 'c':
        return stream(x);
    case 'd':
        return drain(x);
    case 'f':
        return send_range(x, FILE_SIZE + 2, 0, FILE_SIZE);
    case 'g':
        return send_range(x, -1, 100, FILE_SIZE - 100);
    case 'h':
        return send_range(x, FILE_SIZE + 102, 0, FILE_SIZE + 100);
    case 'l':
        return promise(x, STR("0123456789 and more"));
    case 'n':
        return empty(x, "204 No Content");
    case 'm':
        return empty(x, "304 Not Modified");
    case 'q':
        return obey(x);
    case 's':
        return promise(x, STR("short"));
    case 'u':
        return HANDLER_DONE;
    case 'w':
        return start_pouring(x);
    case 'x':
        return fail(x, false);
    case 'y':
        return fail(x, true);
    default:
        return echo(x);
    }
}

/* The handler is through with the exchange. */
static void leave_exchange(struct exchange *x)
{
    EXPECT(open_exchanges > 0);
    open_exchanges--;
    free(x->state);
    x->state = NULL;
}

static enum handler_verdict start(struct handler *h, struct exchange *x)
{
    enum handler_verdict verdict;

    (void)h;
    EXPECT(x->state == NULL && calls < CALLS_MAX);
    was_head[calls++] = str_equal(x->head.method, STR("HEAD"));
    open_exchanges++;
    verdict = choose(x);
    if (verdict == HANDLER_DONE)
        leave_exchange(x);
    return verdict;
}

static enum handler_verdict resume(struct handler *h, struct exchange *x)
{
    enum handler_verdict verdict = pour(x);

    (void)h;
    if (verdict == HANDLER_DONE)
        leave_exchange(x);
    return verdict;
}

static void cancel(struct handler *h, struct exchange *x)
{
    (void)h;
    leave_exchange(x);
}

static int64_t enter(struct handler *h)
{
    (void)h;
    return -1;
}

static void do_nothing(struct handler *h)
{
    (void)h;
}

struct handler *stub_handler(void)
{
    static const struct handler_ops ops = {
        .start = start, .resume = resume, .cancel = cancel, .leave = do_nothing, .enter = enter};
    static struct handler handler = {.ops = &ops};

    if (file < 0) {
        for (int i = 0; i < BLOCK; i++)
            block[i] = (char)('a' + i % 26);
        file = memfd_create("stub", MFD_CLOEXEC);
        EXPECT(file >= 0 && write(file, block, FILE_SIZE) == FILE_SIZE);
    }
    return &handler;
}
