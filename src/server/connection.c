/* SPDX-License-Identifier: MIT */
/*
 * Connections: the table of their states, and all that is the same whatever is asked over them:
 * opening, reading, sending, waiting, closing. An idle connection holds its struct and nothing else;
 * input and request come from pools when the first byte of a request arrives.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cserve/log.h"
#include "cserve/proxy_protocol.h"

#include "server_internal.h"

static void proxy_ready(struct connection *c);
static void read_ready(struct connection *c);
static void send_ready(struct connection *c);
static void linger_ready(struct connection *c);
static void proxy_expired(struct connection *c);
static void quiet_expired(struct connection *c);
static void head_expired(struct connection *c);
static void content_expired(struct connection *c);
static void write_expired(struct connection *c);

#define READ (POLLER_READ | POLLER_END)

static const struct connection_state states[CONNECTION_STATES] = {
    /*                       name       wants         timeout             ready                 expired */
    [CONNECTION_PROXY] =   {"proxy",   READ,         TIMEOUT_HEAD,       proxy_ready,          proxy_expired},
    [CONNECTION_NEW] =     {"new",     READ,         TIMEOUT_HEAD,       read_ready,           quiet_expired},
    [CONNECTION_IDLE] =    {"idle",    READ,         TIMEOUT_KEEP_ALIVE, read_ready,           quiet_expired},
    [CONNECTION_HEAD] =    {"head",    READ,         TIMEOUT_HEAD,       read_ready,           head_expired},
    [CONNECTION_CONTENT] = {"content", READ,         TIMEOUT_CONTENT,    request_read_content, content_expired},
    [CONNECTION_HANDLER] = {"handler", 0,            TIMEOUT_NONE,       NULL,                 NULL},
    [CONNECTION_HELD] =    {"held",    POLLER_WRITE, TIMEOUT_WRITE,      request_resume,       write_expired},
    [CONNECTION_SEND] =    {"send",    POLLER_WRITE, TIMEOUT_WRITE,      send_ready,           write_expired},
    [CONNECTION_LINGER] =  {"linger",  READ,         TIMEOUT_LINGER,     linger_ready,         quiet_expired},
};

const char *server_state_name(int state)
{
    return state < CONNECTION_STATES ? states[state].name : NULL;
}

uint64_t server_in_flight(const struct stats *stats, uint64_t *held)
{
    uint64_t called = stat_get(&stats->connections[CONNECTION_HANDLER]);

    *held = stat_get(&stats->connections[CONNECTION_HELD]);
    return called;
}

/*
 * Whether one that has hung up has its turn: those who stay come first, and a crowd that leaves at once must not keep them
 * waiting. It will be reported again, and is not late until then.
 */
static bool may_leave(struct connection *c)
{
    struct server *s = c->server;

    if (s->leaving++ < LEAVING_PER_WAIT)
        return true;
    timer_start(&c->timer, &s->timeouts[states[c->is].timeout], s->now_ms);
    return false;
}

/* What a hang-up means shows in what recv or send then say: there may be a request before it. */
static void connection_ready(struct source *source, uint32_t ready)
{
    struct connection *c = (struct connection *)source;

    if (c->away) {
        if (!c->unpolled)
            poller_remove(&c->server->poller, c->stream.fd);
        c->unpolled = true;
        return;
    }
    if ((ready & (POLLER_HANGUP | POLLER_END)) != 0 && !may_leave(c))
        return;
    c->out.pool = &thread_current->sendq_pool;
    states[c->is].ready(c);
}

void connection_expired(struct timer *t)
{
    struct connection *c = (struct connection *)((char *)t - offsetof(struct connection, timer));

    c->out.pool = &thread_current->sendq_pool;
    states[c->is].expired(c);
}

static void set_remote(struct connection *c, const struct address *remote)
{
    address_host(remote, c->remote_host);
    snprintf(c->remote_port, sizeof(c->remote_port), "%u", address_port(remote) & 0xffff);
    c->peer.remote_addr = str_make(c->remote_host, strlen(c->remote_host));
    c->peer.remote_port = str_make(c->remote_port, strlen(c->remote_port));
}

static void set_local(struct connection *c, const struct address *local)
{
    address_host(local, c->local_host);
    snprintf(c->local_port, sizeof(c->local_port), "%u", address_port(local) & 0xffff);
    c->peer.server_name = str_make(c->local_host, strlen(c->local_host));
    c->peer.server_port = str_make(c->local_port, strlen(c->local_port));
}

/* Fills c->peer. A listener on all addresses does not say which one the client chose: the socket does. */
static void describe_peer(struct connection *c, const struct address *remote, const struct listener *listener)
{
    struct address local = listener->address;

    c->peer.id = ++c->server->peers;
    c->peer.scheme = STR("http");
    if (address_is_unix(&local)) {
        c->peer.server_name = STR("localhost");
        c->peer.server_port = STR("80");
        return;
    }
    if (address_is_wildcard(&local)) {
        local.len = sizeof(local.u);
        getsockname(c->stream.fd, &local.u.any, &local.len);
    }
    set_remote(c, remote);
    set_local(c, &local);
}

static void link_connection(struct connection *c)
{
    struct server *s = c->server;

    c->next = s->connections;
    if (c->next != NULL)
        c->next->prev = c;
    s->connections = c;
    s->connection_count++;
    stat_add(&s->stats->accepted, 1);
    counts_state(s, CONNECTION_STATES, c->is);
}

static void unlink_connection(struct connection *c)
{
    struct server *s = c->server;

    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        s->connections = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
}

void connection_open(struct server *s, const struct stream *stream, const struct address *remote,
                     const struct listener *listener)
{
    struct connection *c = mem_pool_take(&s->connection_pool);

    memset(c, 0, sizeof(*c));
    c->source.ready = connection_ready;
    c->server = s;
    c->stream = *stream;
    sendq_init(&c->out, &thread_current->sendq_pool);
    describe_peer(c, remote, listener);
    c->armed = READ;
    if (poller_add(&s->poller, c->stream.fd, c->armed, c) != 0) {
        log_error("cannot poll a connection: %s", strerror(errno));
        c->stream.ops->close(&c->stream);
        mem_pool_give(&s->connection_pool, c);
        return;
    }
    link_connection(c);
    c->may_proxy = s->config.proxy_protocol && cidr_list_has(&s->config.proxy_allow, remote);
    connection_enter(c, s->config.proxy_protocol ? CONNECTION_PROXY : CONNECTION_NEW);
}

static void give_input_back(struct connection *c)
{
    if (c->in.cap == READ_ROOM)
        mem_pool_give(&c->server->input_pool, c->in.data);
    else
        buf_release(&c->in);
    buf_init(&c->in);
    c->in_at = 0;
}

void connection_close(struct connection *c, const char *outcome)
{
    struct server *s = c->server;

    timer_stop(&c->timer);
    if (c->request != NULL && c->request->started && !c->request->finished) {
        c->request->outcome = outcome;
        request_cancel(c); /* and then closes */
        return;
    }
    request_log_retired(c, true);
    if (c->request != NULL)
        request_end(c, outcome);
    sendq_release(&c->out);
    give_input_back(c);
    if (!c->unpolled)
        poller_remove(&s->poller, c->stream.fd); /* a process that the application forked may have it open still */
    c->stream.ops->close(&c->stream);
    counts_state(s, c->is, CONNECTION_STATES);
    unlink_connection(c);
    free(c->memo);
    mem_pool_give(&s->connection_pool, c);
    server_closed_one(s);
}

bool connection_was_read(struct connection *c)
{
    int before = c->unread;

    if (ioctl(c->stream.fd, SIOCOUTQ, &c->unread) != 0)
        c->unread = 0;
    return c->unread < before;
}

void connection_enter(struct connection *c, enum connection_is is)
{
    const struct connection_state *state = &states[is];
    struct server *s = c->server;

    counts_state(s, c->is, is);
    c->is = is;
    if (state->timeout == TIMEOUT_WRITE)
        connection_was_read(c);
    timer_start(&c->timer, &s->timeouts[state->timeout], s->now_ms);
    if (state->wants == c->armed)
        return;
    c->armed = state->wants;
    if (poller_change(&s->poller, c->stream.fd, c->armed, c) == 0)
        return;
    log_error("cannot poll a connection: %s", strerror(errno));
    shutdown(c->stream.fd, SHUT_RDWR); /* a hang-up is always reported, and closes it */
}

/* Makes room for another read: the request in progress moves to the front, the input grows if it is full. */
static void make_room(struct connection *c)
{
    if (c->in.data == NULL) {
        c->in.data = mem_pool_take(&c->server->input_pool);
        c->in.cap = READ_ROOM;
    }
    if (c->in_at > 0) {
        buf_consume(&c->in, c->in_at);
        c->in_at = 0;
    }
    if (c->in.len == c->in.cap)
        buf_room(&c->in, c->in.cap);
}

/* Reads once. True if something came; otherwise the connection may be gone. */
static bool receive(struct connection *c, const char *outcome)
{
    ssize_t count;

    make_room(c);
    count = c->stream.ops->recv(&c->stream, c->in.data + c->in.len, c->in.cap - c->in.len);
    if (count > 0) {
        c->in.len += (size_t)count;
        stat_add(&c->server->stats->bytes_in, (uint64_t)count);
        return true;
    }
    if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        connection_close(c, outcome);
    else if (c->in.len == 0)
        give_input_back(c);
    return false;
}

/* More of a head, or the first of the next one. */
static void read_ready(struct connection *c)
{
    if (receive(c, "client-gone"))
        request_serve(c);
}

/* What a proxy says of its client, before the client's own bytes. */
static void proxy_ready(struct connection *c)
{
    struct proxy_header header;

    if (!receive(c, "client-gone"))
        return;
    if (!c->may_proxy) {
        request_reject(c, 403, "Only the proxies in --proxy-allow-from may connect here.", "proxy-not-allowed");
        return;
    }
    switch (proxy_header_parse(&header, c->in.data, c->in.len)) {
    case PROXY_MORE:
        return;
    case PROXY_BAD:
        request_reject(c, 400, "This port speaks HTTP behind a PROXY protocol header.", "bad-proxy-header");
        return;
    case PROXY_DONE:
        break;
    }
    c->peer.id = ++c->server->peers;
    if (header.known) {
        set_remote(c, &header.source);
        set_local(c, &header.destination);
    }
    if (header.tls)
        c->peer.scheme = STR("https");
    c->in_at = header.size;
    connection_enter(c, CONNECTION_NEW);
    if (c->in_at < c->in.len)
        request_serve(c);
    else
        give_input_back(c);
}

/* Everything is sent: goes where it was to go. As connection_send. */
static bool arrive(struct connection *c)
{
    if (c->request != NULL && c->request->finished)
        request_end(c, NULL);
    switch (c->then) {
    case CONNECTION_RESET:
        stream_reset_on_close(&c->stream);
        connection_close(c, NULL);
        return false;
    case CONNECTION_CLOSED:
        connection_close(c, NULL);
        return false;
    case CONNECTION_LINGER:
        c->stream.ops->shutdown(&c->stream);
        give_input_back(c);
        break;
    case CONNECTION_IDLE:
        if (c->in_at < c->in.len)
            return true;
        give_input_back(c);
        break;
    default:
        request_log_retired(c, false);
        break;
    }
    connection_enter(c, c->then);
    if (c->is == CONNECTION_IDLE && c->server->stopping)
        connection_stop(c);
    return false;
}

bool connection_send(struct connection *c, enum connection_is then)
{
    uint64_t before = c->sent;
    enum sendq_result result = sendq_flush(&c->out, &c->stream, &c->sent);

    c->then = then;
    stat_add(&c->server->stats->bytes_out, c->sent - before);
    switch (result) {
    case SENDQ_DONE:
        return arrive(c);
    case SENDQ_BLOCKED:
        request_log_retired(c, false);
        if (c->is != CONNECTION_SEND || c->sent > before)
            connection_enter(c, CONNECTION_SEND);
        return false;
    case SENDQ_BROKEN:
        break;
    }
    connection_close(c, exchange_broken_outcome(errno));
    return false;
}

static void send_ready(struct connection *c)
{
    if (connection_send(c, c->then))
        request_serve(c);
}

/* Reads and forgets, so that closing does not reset a reply that the client has yet to read. */
static void linger_ready(struct connection *c)
{
    struct server *s = c->server;
    ssize_t count = c->stream.ops->recv(&c->stream, s->scratch, SCRATCH_ROOM);

    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
        connection_close(c, NULL);
}

/* Who said nothing at all gets no answer, nor is there time for one when the server is stopping. */
static void proxy_expired(struct connection *c)
{
    if (c->in.len == 0 || c->server->stopping) {
        connection_close(c, NULL);
        return;
    }
    counts_timeout(c->server, STATS_TIMEOUT_PROXY);
    request_reject(c, 408, "The PROXY header did not arrive in time.", "timeout-proxy");
}

static void quiet_expired(struct connection *c)
{
    if (states[c->is].timeout == TIMEOUT_KEEP_ALIVE && !c->server->stopping)
        counts_timeout(c->server, STATS_TIMEOUT_KEEP_ALIVE);
    connection_close(c, NULL);
}

static void head_expired(struct connection *c)
{
    counts_timeout(c->server, STATS_TIMEOUT_HEAD);
    request_reject(c, 408, "The request head did not arrive in time.", "timeout-head");
}

/* A window of the content timeout is over: another begins if the client sent enough in this one. */
static void content_expired(struct connection *c)
{
    struct request *r = c->request;
    const struct server_config *config = &c->server->config;
    uint64_t wanted = (uint64_t)config->body_rate * (uint64_t)config->body_timeout_ms / 1000;

    if (r->body.received - r->window_received > wanted) {
        r->window_received = r->body.received;
        connection_enter(c, CONNECTION_CONTENT);
        return;
    }
    counts_timeout(c->server, STATS_TIMEOUT_CONTENT);
    request_reject(c, 408, "The request content did not arrive in time.", "timeout-body");
}

/* The socket's own buffer may take longer to make room than a slow client may take to read some of it. */
static void write_expired(struct connection *c)
{
    if (connection_was_read(c)) {
        connection_enter(c, c->is);
        return;
    }
    counts_timeout(c->server, STATS_TIMEOUT_WRITE);
    connection_close(c, "timeout-write");
}

void connection_stop(struct connection *c)
{
    if (c->is == CONNECTION_PROXY || c->is == CONNECTION_NEW || c->is == CONNECTION_IDLE || c->is == CONNECTION_LINGER)
        timer_start(&c->timer, &c->server->timeouts[TIMEOUT_DRAIN], c->server->now_ms);
}
