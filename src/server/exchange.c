/* SPDX-License-Identifier: MIT */
/*
 * What a handler calls (handler.h): writes response heads and content into the connection's send queue,
 * framed as the head promised.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cserve/clock.h"

#include "server_internal.h"
#include "wire_trace.h"

enum http_field_verdict exchange_status(struct exchange *x, struct str status)
{
    struct request *r = request_of(x);
    struct buf *out;

    if (r->gone)
        return HTTP_FIELD_ADDED; /* nobody will see it */
    out = sendq_stage(&r->connection->out);
    if (x->response.status == 0)
        http_response_init(&x->response, out);
    else
        http_response_rewind(&x->response, out);
    return http_response_status(&x->response, out, status);
}

enum http_field_verdict exchange_field(struct exchange *x, struct str name, struct str value)
{
    struct request *r = request_of(x);

    if (r->gone)
        return HTTP_FIELD_ADDED;
    return http_response_field(&x->response, sendq_stage(&r->connection->out), name, value);
}

bool exchange_keep_head(const struct exchange *x, struct exchange_head *head)
{
    const struct request *r = (const struct request *)x;
    struct buf *out = sendq_stage(&r->connection->out);

    head->len = out->len - x->response.start;
    if (r->gone || head->len > sizeof(head->bytes))
        return false;
    head->response = x->response;
    memcpy(head->bytes, out->data + x->response.start, head->len);
    return true;
}

void exchange_give_head(struct exchange *x, const struct exchange_head *head)
{
    struct request *r = request_of(x);
    struct buf *out;
    size_t start;

    if (r->gone)
        return;
    out = sendq_stage(&r->connection->out);
    start = x->response.status == 0 ? out->len : x->response.start;
    out->len = start;
    buf_append(out, head->bytes, head->len);
    x->response = head->response;
    x->response.start = start;
}

bool exchange_is_committed(const struct exchange *x)
{
    return ((const struct request *)x)->committed;
}

/* The response head is final, and the next to be queued. */
static void note_head(struct request *r, struct str head)
{
    const struct connection *c = r->connection;
    const struct server *s = c->server;

    if ((s->extras & EXTRA_TRACE) != 0)
        wire_trace_response(head);
    if ((s->extras & EXTRA_LOG) == 0)
        return;
    r->answer_at = c->sent + c->out.pending;
    access_format_keep(&s->log.format, head, request_kept(r));
}

void exchange_commit(struct exchange *x, int64_t total)
{
    struct request *r = request_of(x);
    struct server *s = r->connection->server;
    struct buf *out = sendq_stage(&r->connection->out);
    const struct http_response_context context = {
        .head_request = r->head_request,
        .minor = x->head.minor,
        .close = x->head.close || r->reject || s->stopping || s->config.keep_alive_ms == 0,
        .total = total,
        .lines = thread_lines(),
    };

    http_response_end(&x->response, out, &context);
    r->committed = true;
    if (s->extras != 0)
        note_head(r, str_make(out->data + x->response.start, x->response.head_size));
    sendq_commit(&r->connection->out);
}

static void release(const struct sendq_owner *owner)
{
    if (owner != NULL)
        owner->release(owner->arg);
}

/* Queues bytes as they are; see exchange_write. */
static void queue_bytes(struct connection *c, struct str bytes, const struct sendq_owner *owner)
{
    if (owner != NULL && bytes.len >= COPY_BELOW) {
        sendq_borrow(&c->out, bytes.ptr, bytes.len, *owner);
        return;
    }
    buf_append_str(sendq_stage(&c->out), bytes);
    sendq_commit(&c->out);
    release(owner);
}

static void queue_chunk(struct connection *c, struct str bytes, const struct sendq_owner *owner)
{
    http_chunk_begin(sendq_stage(&c->out), bytes.len);
    queue_bytes(c, bytes, owner);
    http_chunk_end(sendq_stage(&c->out));
    sendq_commit(&c->out);
}

/* How much of `len` bytes the head allows; counts it. */
static uint64_t admit(struct request *r, uint64_t len)
{
    struct http_response *response = &r->exchange.response;

    if (response->framing == HTTP_FRAMING_NONE)
        return 0;
    if (response->framing == HTTP_FRAMING_LENGTH) {
        if (len > response->left) {
            len = response->left;
            r->outcome = "excess";
        }
        response->left -= len;
    }
    r->content_sent += len;
    return len;
}

enum exchange_result exchange_write(struct exchange *x, struct str bytes, const struct sendq_owner *owner)
{
    struct request *r = request_of(x);
    bool framed = x->response.framing != HTTP_FRAMING_NONE;
    size_t len = r->gone ? 0 : (size_t)admit(r, bytes.len);
    enum exchange_result result = r->gone                      ? EXCHANGE_GONE
                                  : framed && len < bytes.len ? EXCHANGE_EXCESS
                                                              : EXCHANGE_OK;

    bytes.len = len;
    if (len == 0)
        release(owner);
    else if (x->response.framing == HTTP_FRAMING_CHUNKED)
        queue_chunk(r->connection, bytes, owner);
    else
        queue_bytes(r->connection, bytes, owner);
    return result;
}

enum exchange_result exchange_send_unchanged(struct exchange *x, int fd, off_t offset, uint64_t len,
                                             const struct timespec *changed)
{
    struct request *r = request_of(x);
    struct sendq *out = &r->connection->out;
    bool framed = x->response.framing != HTTP_FRAMING_NONE;
    bool chunked = x->response.framing == HTTP_FRAMING_CHUNKED;
    uint64_t admitted = r->gone ? 0 : admit(r, len);

    if (admitted == 0) {
        close(fd);
    } else {
        if (chunked)
            http_chunk_begin(sendq_stage(out), (size_t)admitted);
        sendq_file(out, fd, offset, (size_t)admitted, changed);
        if (chunked)
            http_chunk_end(sendq_stage(out));
        sendq_commit(out);
    }
    if (r->gone)
        return EXCHANGE_GONE;
    return framed && admitted < len ? EXCHANGE_EXCESS : EXCHANGE_OK;
}

enum exchange_result exchange_sendfile(struct exchange *x, int fd, off_t offset, uint64_t len)
{
    return exchange_send_unchanged(x, fd, offset, len, NULL);
}

enum exchange_result exchange_flush(struct exchange *x)
{
    struct request *r = request_of(x);
    struct connection *c = r->connection;

    uint64_t before = c->sent;

    if (!r->gone && sendq_flush(&c->out, &c->stream, &c->sent) == SENDQ_BROKEN) {
        r->gone = true;
        r->gone_because = errno;
    }
    stat_add(&thread_current->score->bytes_out, c->sent - before);
    return r->gone ? EXCHANGE_GONE : EXCHANGE_OK;
}

const char *exchange_broken_outcome(int reason)
{
    switch (reason) {
    case EIO:
        return "file-shrank";
    case ESTALE:
        return "file-changed";
    default:
        return "aborted-sending";
    }
}

bool exchange_is_full(const struct exchange *x)
{
    return ((const struct request *)x)->connection->out.pending >= FULL_BYTES;
}

bool exchange_is_gone(const struct exchange *x)
{
    return ((const struct request *)x)->gone;
}

bool exchange_has_left(const struct exchange *x)
{
    const struct request *r = (const struct request *)x;
    bool is_unix = r->connection->peer.remote_addr.len == 0;
    struct pollfd look = {.fd = r->connection->stream.fd, .events = is_unix ? 0 : POLLRDHUP};

    return r->gone || poll(&look, 1, 0) > 0; /* to be told that it hung up one need not ask */
}

enum exchange_result exchange_drain(struct exchange *x)
{
    struct request *r = request_of(x);
    struct connection *c = r->connection;
    int timeout_ms = c->server->config.write_timeout_ms;
    struct pollfd wait = {.fd = c->stream.fd, .events = POLLOUT};

    connection_was_read(c);
    while (exchange_flush(x) == EXCHANGE_OK && exchange_is_full(x)) {
        int count = poll(&wait, 1, timeout_ms > 0 ? timeout_ms : -1);

        if (count == 0 ? !connection_was_read(c) : count < 0 && errno != EINTR) {
            r->gone = true;
            r->gone_because = ETIMEDOUT;
        }
    }
    return r->gone ? EXCHANGE_GONE : EXCHANGE_OK;
}

void exchange_abort(struct exchange *x)
{
    stream_abort(&request_of(x)->connection->stream);
}

enum exchange_result exchange_finish(struct exchange *x)
{
    struct request *r = request_of(x);
    struct sendq *out = &r->connection->out;

    r->finished = true;
    if (r->gone)
        return EXCHANGE_GONE;
    if (x->response.framing == HTTP_FRAMING_CHUNKED) {
        http_chunk_last(sendq_stage(out));
        sendq_commit(out);
    }
    if (x->response.framing == HTTP_FRAMING_LENGTH && x->response.left > 0) {
        r->cut = true;
        r->outcome = "short";
        return EXCHANGE_SHORT;
    }
    return EXCHANGE_OK;
}

void exchange_answer(struct request *r, int status, const char *text)
{
    struct exchange *x = &r->exchange;
    struct buf page;
    char line[64];
    int len = snprintf(line, sizeof(line), "%d %s", status, http_status_reason(status).ptr);

    buf_init(&page);
    http_error_page(&page, status, text);
    exchange_status(x, str_make(line, (size_t)len));
    exchange_field(x, STR("Content-Type"), STR("text/plain; charset=utf-8"));
    exchange_commit(x, (int64_t)page.len);
    exchange_write(x, str_make(page.data, page.len), NULL);
    exchange_finish(x);
    buf_release(&page);
}

void exchange_fail(struct exchange *x, int status, const char *reason)
{
    struct request *r = request_of(x);

    if (r->committed) {
        r->cut = true;
        r->finished = true;
    } else {
        exchange_answer(r, status, "The application failed to answer this request.");
    }
    r->outcome = reason;
}

void exchange_expire(struct request *r)
{
    struct connection *c = r->connection;

    if (r->gone || r->finished)
        return;
    if (r->committed && r->exchange.response.framing == HTTP_FRAMING_CLOSE) {
        stream_reset_on_close(&c->stream);
    } else {
        r->reject = true; /* and the connection closes */
        if (!r->committed)
            exchange_answer(r, 504, "The application did not answer in time.");
        exchange_flush(&r->exchange);
        c->stream.ops->shutdown(&c->stream);
    }
    r->gone = true;
    r->gone_because = ETIME;
}
