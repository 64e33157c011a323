/* SPDX-License-Identifier: MIT */
/*
 * Requests: from the first byte of a head to the line in the access log.
 *
 *     request_serve → step: parse_head → begin_content → run → finish → (the next one, or waiting)
 *
 * Pipelined requests are served one after the other from the connection's input, and their answers gather
 * in its queue, until nothing complete is left or enough is queued; then all is sent at once.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "cserve/clock.h"
#include "cserve/log.h"

#include "server_internal.h"
#include "wire_trace.h"

struct request *request_blank_new(const struct server *s)
{
    struct request *r = mem_zalloc(sizeof(*r));

    r->exchange.content.fd = -1;
    http_head_init(&r->exchange.head, &s->config.limits, NULL);
    spool_init(&r->spool, s->config.body_buffer);
    return r;
}

static void request_begin(struct connection *c)
{
    struct server *s = c->server;
    struct request *r = mem_pool_take(&s->request_pool);

    memcpy(r, s->blank_request, offsetof(struct request, body));
    r->connection = c;
    r->exchange.peer = &c->peer;
    r->exchange.head.fields = r->fields;
    r->exchange.head.memo = c->memo;
    c->request = r;
}

/* Whether the peer is a proxy that may speak for others. */
static bool is_trusted(const struct connection *c)
{
    const struct cidr_list *allowed = &c->server->config.forwarded_allow;

    if (c->peer.remote_addr.len == 0)
        return allowed->unix_sockets;
    return cidr_list_has_text(allowed, c->peer.remote_addr);
}

/* Takes the client and the scheme from fields that a trusted proxy may have set. The head must be parsed, and have some. */
static void apply_forwarded(struct request *r)
{
    const struct server_config *config = &r->connection->server->config;
    struct forwarded forwarded;

    if (!is_trusted(r->connection))
        return;
    http_forwarded(&r->exchange.head, r->exchange.raw, config->forwarded_kind, &config->forwarded_allow, &forwarded);
    r->peer = r->connection->peer;
    r->peer.id = 0; /* its texts may be others with the next request */
    r->exchange.peer = &r->peer;
    if (forwarded.client.len > 0) {
        r->peer.remote_addr = forwarded.client;
        r->peer.remote_port = STR("");
    }
    if (forwarded.scheme.len > 0)
        r->peer.scheme = forwarded.scheme;
}

static const char *outcome_of(const struct request *r)
{
    return r->outcome != NULL ? r->outcome : "ok";
}

/* --- the access log ----------------------------------------------------------------------------- */

/* The first line of a head of which only raw[0..len) has come, without what ends it. */
static struct str incomplete_line(const char *raw, size_t len, size_t limit)
{
    size_t start = 0, end;

    while (start < len && (raw[start] == '\r' || raw[start] == '\n'))
        start++;
    for (end = start; end < len && raw[end] != '\r' && raw[end] != '\n'; end++) {
        if (end - start == limit)
            break;
    }
    return str_make(raw + start, end - start);
}

/* The line of a complete head, which ends behind the target with " HTTP/1.x". */
static struct str complete_line(const struct http_head *head, const char *raw)
{
    const char *line = raw + head->start;

    return str_make(line, (size_t)(head->target.ptr + head->target.len - line) + strlen(" HTTP/1.x"));
}

/* What the log says of the head and content of a request that begins at `raw`, where `len` bytes are. */
static void describe_question(struct access_entry *entry, struct request *r, const char *raw, size_t len)
{
    struct http_head *head = &r->exchange.head;

    http_head_rebase(head, raw);
    entry->head = head;
    entry->raw = r->parsed ? raw : NULL;
    entry->line = r->parsed ? complete_line(head, raw)
                            : incomplete_line(raw, len, r->connection->server->config.limits.line);
    entry->bytes_in = r->parsed ? head->size + (r->started ? r->exchange.content.len : r->body.received) : len;
}

/* What it says of the answer, so much of which is sent. */
static void describe_answer(struct access_entry *entry, struct request *r)
{
    uint64_t sent = r->connection->sent, unsent = r->answer_end > sent ? r->answer_end - sent : 0;

    if (!r->committed)
        return;
    entry->status = r->exchange.response.status;
    entry->content = r->content_sent > unsent ? r->content_sent - unsent : 0;
    entry->bytes_out = sent > r->answer_at ? r->answer_end - unsent - r->answer_at : 0;
    entry->kept = request_kept(r);
}

static void describe_times(struct access_entry *entry, const struct request *r)
{
    int64_t now_us;

    if ((r->connection->server->extras & EXTRA_TIMES) == 0)
        return;
    now_us = clock_us();
    entry->receive_us = (r->started ? r->complete_us : now_us) - r->begun_us;
    if (!r->started)
        return;
    entry->queued_us = r->called_us - r->complete_us;
    entry->app_us = r->app_us;
    entry->send_us = now_us - r->called_us - r->app_us;
}

/* Logs r, which begins at `begins` in the connection's input. */
static void log_request(struct request *r, size_t begins, const char *outcome)
{
    const struct connection *c = r->connection;
    struct server *s = c->server;
    const char *raw = c->in.data != NULL ? c->in.data + begins : "";
    struct access_entry entry = {.outcome = outcome, .thread = -1};

    describe_question(&entry, r, raw, c->in.data != NULL ? c->in.len - begins : 0);
    if (r->parsed && !r->started && r->exchange.head.forwarded >= 0) {
        r->exchange.raw = raw;
        apply_forwarded(r); /* the handler never saw it, but the log names the same client */
    }
    entry.peer = r->exchange.peer;
    describe_answer(&entry, r);
    describe_times(&entry, r);
    if (r->thread != NULL)
        entry.thread = (int)(r->thread - s->threads);
    access_log_add(&s->log, &entry);
}

void request_log_retired(struct connection *c, bool ends)
{
    struct request *r;

    while ((r = c->retired) != NULL && (ends || c->sent >= r->answer_end)) {
        c->retired = r->next;
        c->retired_count--;
        log_request(r, r->begins, c->sent >= r->answer_end ? outcome_of(r) : "aborted-sending");
        mem_pool_give(&c->server->request_pool, r);
    }
}

/* The answer is sent, or never will be. */
static void log_ended(struct connection *c, const char *outcome)
{
    struct request *r = c->request;

    request_log_retired(c, true);
    r->answer_end = c->sent + c->out.pending;
    log_request(r, c->in_at, outcome != NULL ? outcome : outcome_of(r));
}

/* --- ends --------------------------------------------------------------------------------------- */

/* The request is over, its memory the caller's. */
static struct request *detach(struct connection *c)
{
    struct request *r = c->request;

    if (!r->counted)
        counts_request(r);
    if (r->end > 0)
        c->in_at = r->end;
    counts_unspool(c->server, &r->spool);
    spool_release(&r->spool);
    c->request = NULL;
    return r;
}

void request_end(struct connection *c, const char *outcome)
{
    struct server *s = c->server;

    if ((s->extras & EXTRA_LOG) != 0)
        log_ended(c, outcome);
    mem_pool_give(&s->request_pool, detach(c));
}

/*
 * The answer is complete and waits in the queue, to be sent together with the next one. False if it should be sent
 * first: what becomes of it is to be logged, and there are many such already.
 */
static bool retire(struct connection *c)
{
    struct request *r = c->request, **link = &c->retired;

    if ((c->server->extras & EXTRA_LOG) == 0) {
        request_end(c, NULL);
        return true;
    }
    if (c->retired_count == RETIRED_MAX)
        return false;
    c->retired_count++;
    r->begins = c->in_at;
    r->answer_end = c->sent + c->out.pending;
    r->next = NULL;
    while (*link != NULL)
        link = &(*link)->next;
    *link = r;
    detach(c);
    return true;
}

/* Of a request that is refused, unless it was shown: its head if that was complete, else all that has come. */
static void trace_refused(const struct request *r)
{
    const struct connection *c = r->connection;

    if (r->head_shown)
        return;
    size_t len = r->parsed ? r->exchange.head.size : c->in.len - c->in_at;

    if (len > 0)
        wire_trace_request(str_make(c->in.data + c->in_at, len));
}

/* Whether the request, as far as the parser has got, is one whose answer has no content. */
static bool is_head(struct request *r)
{
    const struct connection *c = r->connection;

    if (c->in.data == NULL)
        return false;
    http_head_rebase(&r->exchange.head, c->in.data + c->in_at);
    return str_equal(r->exchange.head.method, STR("HEAD"));
}

void request_reject(struct connection *c, int status, const char *text, const char *outcome)
{
    struct request *r;

    if (c->request == NULL)
        request_begin(c);
    r = c->request;
    if (c->server->config.show_requests)
        trace_refused(r);
    r->reject = true;
    r->head_request = is_head(r);
    exchange_answer(r, status, text);
    r->outcome = outcome;
    counts_rejection(c->server, outcome);
    counts_request(r);
    connection_send(c, CONNECTION_LINGER);
}

static void reject_http(struct connection *c, enum http_error error)
{
    const struct http_error_info *info = &http_error_table[error];

    request_reject(c, info->status, info->text, info->name);
}

/*
 * Where the connection goes once this request's answer is sent. Who was told that it stays gets a moment for the
 * request that may be on its way, also when the server has begun to stop since.
 */
static enum connection_is decide_next(const struct request *r)
{
    const struct connection *c = r->connection;

    if (r->cut)
        return r->exchange.response.framing == HTTP_FRAMING_CLOSE ? CONNECTION_RESET : CONNECTION_LINGER;
    if (!r->exchange.response.close)
        return CONNECTION_IDLE;
    return r->exchange.head.close && r->end == c->in.len ? CONNECTION_CLOSED : CONNECTION_LINGER;
}

/* The answer is complete. True when the next request can be served at once. */
static bool finish(struct request *r)
{
    struct connection *c = r->connection;
    enum connection_is then = decide_next(r);

    counts_request(r);
    if (then == CONNECTION_IDLE && r->end < c->in.len && c->out.pending < FULL_BYTES && retire(c))
        return true;
    return connection_send(c, then);
}

static const char *gone_outcome(const struct request *r)
{
    switch (r->gone_because) {
    case ETIMEDOUT:
        return "timeout-write";
    case ETIME:
        return "timeout-app";
    default:
        return exchange_broken_outcome(r->gone_because);
    }
}

/* The handler has returned. As finish. */
static bool handled(struct request *r)
{
    struct connection *c = r->connection;

    if (r->gone) {
        r->finished = r->finished || r->verdict == HANDLER_DONE;
        connection_close(c, gone_outcome(r));
        return false;
    }
    if (r->verdict == HANDLER_WAIT) {
        connection_enter(c, CONNECTION_HELD);
        return false;
    }
    if (!r->finished)
        exchange_fail(&r->exchange, 500, "unfinished");
    return finish(r);
}

/* The handler has done what c->action says. As finish. */
static bool called(struct connection *c)
{
    struct request *r = c->request;

    if (c->action != ACTION_CANCEL)
        return handled(r);
    r->finished = true;
    connection_close(c, r->outcome);
    return false;
}

/*
 * The time that the application, or the disk, took is not the client's. If the clock was read when it returned, that
 * will do.
 */
static void pass_time(struct server *s, const struct request *r)
{
    s->now_ms = (s->extras & EXTRA_TIMES) != 0 ? r->left_us / 1000 : clock_ms();
}

/* As finish, or false while another thread is at it; then request_returned goes on. */
static bool call(struct connection *c, enum action action)
{
    timer_stop(&c->timer);
    counts_state(c->server, c->is, CONNECTION_HANDLER);
    c->is = CONNECTION_HANDLER;
    c->action = action;
    if (!threads_call(c))
        return false;
    pass_time(c->server, c->request);
    return called(c);
}

void request_cancel(struct connection *c)
{
    call(c, ACTION_CANCEL);
}

void request_returned(struct connection *c)
{
    c->server->now_ms = clock_ms();
    if (called(c))
        request_serve(c);
}

static void trace_head(struct request *r)
{
    const struct http_head *head = &r->exchange.head;

    r->head_shown = true;
    r->content_shown = 0;
    wire_trace_request(str_make(r->exchange.raw + head->start, head->size - head->start));
}

static void trace_content(struct request *r, const char *bytes, size_t len)
{
    wire_trace_content(str_make(bytes, len), r->content_shown);
    r->content_shown += len;
}

static void note_complete(struct request *r)
{
    const struct server *s = r->connection->server;

    if ((s->extras & EXTRA_TRACE) != 0)
        wire_trace_content_end(r->content_shown);
    r->complete_us = r->called_us = s->blank_request->begun_us; /* when the latest wait ended */
    r->app_us = 0;
}

/* Whether the request is one for a file, and so is answered now, in place of the handler. */
static bool answer_with_file(struct request *r)
{
    struct connection *c = r->connection;
    const struct static_dir *dir = NULL;

    if ((c->server->extras & EXTRA_STATIC) != 0)
        dir = static_files_find(c->server->files, r->exchange.head.uri.path);
    if (dir == NULL)
        return false;
    thread_current->handler->ops->leave(thread_current->handler); /* the disk may keep this thread, but no other */
    timer_stop(&c->timer);
    counts_state(c->server, c->is, CONNECTION_HANDLER);
    c->is = CONNECTION_HANDLER;
    static_files_answer(c->server->files, dir, &r->exchange);
    if ((c->server->extras & EXTRA_TIMES) != 0)
        r->left_us = clock_us();
    r->verdict = HANDLER_DONE;
    pass_time(c->server, r);
    return true;
}

/* The request is complete: the handler's turn. As finish. */
static bool run(struct request *r)
{
    struct connection *c = r->connection;

    if (r->exchange.raw != c->in.data + c->in_at) { /* it moved since the head was parsed */
        r->exchange.raw = c->in.data + c->in_at;
        http_head_rebase(&r->exchange.head, r->exchange.raw);
    }
    r->exchange.content.chunked = r->exchange.head.chunked;
    if (r->exchange.head.forwarded >= 0)
        apply_forwarded(r);
    r->started = true;
    if (--c->server->requests_left == 0)
        c->server->enough(c->server->enough_arg);
    r->head_request = str_equal(r->exchange.head.method, STR("HEAD"));
    if (c->server->extras != 0) {
        note_complete(r);
        if (answer_with_file(r))
            return handled(r);
    }
    return call(c, ACTION_START);
}

void request_resume(struct connection *c)
{
    struct request *r = c->request;
    uint64_t before = c->out.pending;

    if (exchange_flush(&r->exchange) == EXCHANGE_OK && exchange_is_full(&r->exchange)) {
        /* cppcheck-suppress knownConditionTrueFalse ; exchange_flush has sent some of it, maybe */
        if (c->out.pending < before)
            connection_enter(c, CONNECTION_HELD);
        return;
    }
    if (r->gone) {
        connection_close(c, gone_outcome(r));
        return;
    }
    if (call(c, ACTION_RESUME))
        request_serve(c);
}

/* The content is complete in the spool. */
static void content_from_spool(struct request *r)
{
    struct content *content = &r->exchange.content;

    content->len = r->spool.len;
    content->fd = r->spool.fd;
    content->bytes = r->spool.fd < 0 ? r->spool.memory.data : NULL;
    if (content->fd < 0 && content->bytes == NULL)
        content->bytes = "";
}

static bool keep_content(struct request *r, const char *bytes, size_t len)
{
    struct server *s = r->connection->server;
    uint64_t before = r->spool.len;
    bool was_file = r->spool.fd >= 0;
    int result = spool_append(&r->spool, bytes, len);

    counts_spool(s, &r->spool, before, was_file);
    if (result == 0)
        return true;
    log_error("cannot keep the content of a request: %s", strerror(errno));
    request_reject(r->connection, 500, "The server could not store the request content.", "spool-failed");
    return false;
}

/*
 * Reads the framing of content; the content of small chunks is moved together, to be kept with one call: bytes[0..*gathered).
 * *used: how many bytes it has read.
 */
static enum http_result decode(struct request *r, char *bytes, size_t len, size_t *used, size_t *gathered)
{
    enum http_result result = HTTP_MORE;
    size_t taken;
    struct str data;

    *used = *gathered = 0;
    while (result == HTTP_MORE && *used < len) {
        result = http_body_read(&r->body, bytes + *used, len - *used, &taken, &data);
        if (data.ptr != bytes + *gathered)
            memmove(bytes + *gathered, data.ptr, data.len);
        *used += taken;
        *gathered += data.len;
    }
    return result;
}

/* As decode, and shows what it has read; of what is wrong, all that is there. */
static enum http_result decode_traced(struct request *r, char *bytes, size_t len, size_t *used, size_t *gathered)
{
    enum http_result result;
    struct buf copy;

    buf_init(&copy);
    buf_append(&copy, bytes, len);
    result = decode(r, bytes, len, used, gathered);
    trace_content(r, copy.data, result == HTTP_BAD ? len : *used);
    buf_release(&copy);
    return result;
}

/* Spools content from `bytes`, which it changes. HTTP_BAD: the request is rejected and the connection may be gone. */
static enum http_result feed(struct request *r, char *bytes, size_t len, size_t *used)
{
    bool traced = (r->connection->server->extras & EXTRA_TRACE) != 0;
    size_t gathered = 0;
    enum http_result result =
        traced ? decode_traced(r, bytes, len, used, &gathered) : decode(r, bytes, len, used, &gathered);

    if (result == HTTP_BAD)
        reject_http(r->connection, r->body.error);
    else if (!keep_content(r, bytes, gathered))
        return HTTP_BAD;
    return result;
}

/* Content that came together with its head, all of it: it is used where it lies. */
static bool content_in_place(struct request *r)
{
    struct connection *c = r->connection;
    size_t begins = c->in_at + r->exchange.head.size;
    struct content *content = &r->exchange.content;

    if (r->body.kind == HTTP_BODY_CHUNKED || c->in.len - begins < r->body.left)
        return false;
    content->bytes = c->in.data + begins;
    content->len = r->body.left;
    r->end = begins + (size_t)r->body.left;
    if ((c->server->extras & EXTRA_TRACE) != 0)
        trace_content(r, content->bytes, (size_t)content->len);
    return true;
}

/* Invites the client to send content, unless it already does. */
static void send_continue(struct request *r)
{
    static const struct str answer = STR("HTTP/1.1 100 Continue\r\n\r\n");
    struct connection *c = r->connection;

    buf_append_str(sendq_stage(&c->out), answer);
    sendq_commit(&c->out);
    if (c->server->config.show_requests)
        wire_trace_response(answer);
}

/* The head is parsed: takes what is there of the content. True when it is complete. */
static bool begin_content(struct request *r)
{
    struct connection *c = r->connection;
    size_t begins = c->in_at + r->exchange.head.size, used;
    enum http_result result = http_body_init(&r->body, &r->exchange.head);

    if ((c->server->extras & EXTRA_TRACE) != 0)
        trace_head(r);
    if (result == HTTP_BAD)
        reject_http(c, r->body.error);
    if (result == HTTP_BAD || content_in_place(r))
        return result != HTTP_BAD;
    if (r->body.kind == HTTP_BODY_LENGTH)
        spool_expect(&r->spool, r->body.left);
    if (r->exchange.head.expect_continue && begins == c->in.len)
        send_continue(r);
    result = feed(r, c->in.data + begins, c->in.len - begins, &used);
    if (result == HTTP_DONE) {
        r->end = begins + used;
        content_from_spool(r);
        return true;
    }
    if (result == HTTP_MORE) {
        c->in.len = begins;
        connection_send(c, CONNECTION_CONTENT);
    }
    return false;
}

void request_read_content(struct connection *c)
{
    struct server *s = c->server;
    struct request *r = c->request;
    size_t used, received;
    ssize_t count = c->stream.ops->recv(&c->stream, s->scratch, SCRATCH_ROOM);

    if (count <= 0) {
        if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            connection_close(c, "client-gone");
        return;
    }
    received = (size_t)count;
    stat_add(&s->stats->bytes_in, received);
    if (feed(r, s->scratch, received, &used) != HTTP_DONE)
        return;
    r->end = c->in.len;
    buf_append(&c->in, s->scratch + used, received - used);
    content_from_spool(r);
    if (run(r))
        request_serve(c);
}

/* Whether a head is to be kept whose fields are not quite, or not at all, the memo's: some are, in case they come again. */
static bool is_worth_keeping(struct connection *c, const struct http_head *head)
{
    enum { FIRST = 4, ONE_IN = 8, ONE_ALIKE_IN = 256 };

    c->unlike++;
    if (head->fields_id != 0)
        return c->unlike % ONE_ALIKE_IN == 0;
    return c->unlike <= FIRST || c->unlike % ONE_IN == 0;
}

/* The next head of the connection may have the same fields. */
static void remember(struct connection *c, const struct http_head *head)
{
    size_t size;

    if (head->fields_id != 0)
        c->memo->varies |= head->changed;
    if (head->close || !is_worth_keeping(c, head))
        return;
    size = http_memo_size(head);
    if (size == 0)
        return;
    if (size > c->memo_room) {
        c->memo = mem_realloc(c->memo, size);
        c->memo_room = size;
    }
    http_memo_fill(c->memo, head, c->in.data + c->in_at, ++c->server->memos);
}

/* True when the head is complete and sound. */
static bool parse_head(struct request *r)
{
    struct connection *c = r->connection;
    struct http_head *head = &r->exchange.head;
    size_t len = c->in.len - c->in_at;

    r->exchange.raw = c->in.data + c->in_at;
    switch (http_head_parse(head, r->exchange.raw, len)) {
    case HTTP_DONE:
        r->parsed = true;
        if (head->fields_id == 0 || head->changed != 0)
            remember(c, head);
        else
            c->unlike = 0;
        return true;
    case HTTP_BAD:
        reject_http(c, head->error);
        return false;
    case HTTP_MORE:
        break;
    }
    if (c->is != CONNECTION_HEAD || c->out.pending > 0)
        connection_send(c, CONNECTION_HEAD);
    return false;
}

/* Takes the request as far as the bytes go. True when it is over and the next can be served. */
static bool step(struct connection *c)
{
    if (c->request == NULL)
        request_begin(c);
    return parse_head(c->request) && begin_content(c->request) && run(c->request);
}

void request_serve(struct connection *c)
{
    while (c->in_at < c->in.len) {
        if (!step(c))
            return;
    }
    connection_send(c, CONNECTION_IDLE);
}
