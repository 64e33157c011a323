/* SPDX-License-Identifier: MIT */
/*
 * The status listener: HTTP from the master itself, so that it answers while every worker is stuck.
 *
 * The master supervises, and nothing here may keep it from that: nothing blocks; there are at most VISITORS_MAX
 * visitors, each with a bounded head and a deadline for whatever it is waited for; one request of each is
 * answered in a turn, and requests that come before the answer has gone are not read. When all places are
 * taken, the visitor whose deadline is nearest makes room, so that many who say nothing keep nobody out.
 *
 * Only this machine may come: a loopback address, or a unix socket that only its owner can open. A browser
 * here may come too, on behalf of a page from elsewhere whose name has been made to mean 127.0.0.1; so the
 * Host must be an address or localhost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/head.h"
#include "cserve/log.h"
#include "cserve/mem.h"
#include "cserve/poller.h"
#include "cserve/response.h"

#include "sample.h"

enum {
    VISITORS_MAX = 32,
    HEAD_MAX = 8192,
    FIELDS_MAX = 64,
    BACKLOG = 64,
    ACCEPTS_PER_TURN = 64,
    HEAD_MS = 5000,
    SEND_MS = 5000,
    IDLE_MS = 60000,
    LINGER_MS = 1000,
    OPEN_AGAIN_MS = 1000,
    TAKE_OVER_MS = 100, /* between tries while an old master has the address */
    ACCEPT_AGAIN_MS = 200,
};

enum visitor_is { VISITOR_ASKS, VISITOR_IS_TOLD, VISITOR_LINGERS };

struct visitor {
    int fd;
    enum visitor_is is;
    int64_t deadline_ms;
    struct buf out; /* what is not sent yet, from out_at on */
    size_t out_at;
    bool close;     /* behind the answer */
    bool idle;      /* between two requests */
    uint64_t heard; /* when last: status.moment */
    size_t in_len;
    struct http_head head;
    struct http_field fields[FIELDS_MAX];
    char in[HEAD_MAX];
};

struct status {
    struct listener listener;
    struct poller poller;
    struct visitor *visitors[VISITORS_MAX]; /* owned; NULL: a free place */
    uint64_t moment; /* grows whenever somebody comes or is heard */
    int64_t accept_again_ms; /* the system has no descriptor left: accepting pauses until then; 0: it does not */
};

static const struct http_limits limits = {.line = 2048, .fields = FIELDS_MAX, .field_size = 4096, .head = HEAD_MAX - 1};

/* --- the pages --------------------------------------------------------------------------------- */

struct answer {
    int status;
    const char *type;
    const char *policy; /* Content-Security-Policy; NULL: none */
    struct buf *content;
};

#define PLAIN "text/plain; charset=utf-8"

static struct str field_value(const struct visitor *v, enum http_field_id id)
{
    for (uint32_t i = 0; i < v->head.field_count; i++) {
        if (v->fields[i].id == id)
            return http_field_value(&v->fields[i], v->in);
    }
    return STR("");
}

static void answer_metrics(const struct master *m, const struct visitor *v, struct answer *answer)
{
    static const struct str open = STR("application/openmetrics-text");
    struct str accept = field_value(v, HTTP_FIELD_ACCEPT);
    bool open_metrics = accept.len > 0 && memmem(accept.ptr, accept.len, open.ptr, open.len) != NULL;

    answer->type = open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                : "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(answer->content, m, open_metrics);
}

static void answer_overview(const struct master *m, const struct visitor *v, struct answer *answer)
{
    (void)v;
    answer->type = "application/json";
    overview_write(answer->content, m);
}

static void answer_page(const struct master *m, const struct visitor *v, struct answer *answer)
{
    (void)m;
    (void)v;
    answer->type = "text/html; charset=utf-8";
    answer->policy = page_policy;
    page_write(answer->content);
}

static void answer_health(const struct master *m, const struct visitor *v, struct answer *answer)
{
    (void)m;
    (void)v;
    buf_printf(answer->content, "ok\n");
}

static void answer_readiness(const struct master *m, const struct visitor *v, struct answer *answer)
{
    (void)v;
    answer->status = master_is_ready(m) ? 200 : 503;
    buf_printf(answer->content, "%s\n", answer->status == 200 ? "ready" : master_state(m));
}

static const struct {
    struct str path;
    void (*make)(const struct master *m, const struct visitor *v, struct answer *answer);
} pages[] = {
    {STR("/"), answer_page},
    {STR("/metrics"), answer_metrics},
    {STR("/status.json"), answer_overview},
    {STR("/healthz"), answer_health},
    {STR("/readyz"), answer_readiness},
};

static void refuse(struct answer *answer, int status, const char *text)
{
    answer->status = status;
    http_error_page(answer->content, status, text);
}

/* --- whether it may be answered ---------------------------------------------------------------- */

/* Without ":port" and the brackets of an IPv6 address. */
static struct str host_name(struct str host)
{
    const char *colon;

    if (host.len > 0 && host.ptr[0] == '[') {
        const char *end = memchr(host.ptr, ']', host.len);
        return end == NULL ? host : str_make(host.ptr + 1, (size_t)(end - host.ptr) - 1);
    }
    colon = memchr(host.ptr, ':', host.len);
    return colon == NULL ? host : str_make(host.ptr, (size_t)(colon - host.ptr));
}

/* An address cannot be made to mean another one, as names can. */
static bool is_known_host(struct str host)
{
    struct str name = host_name(host);
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (str_equal_nocase(name, STR("localhost")))
        return true;
    if (name.len == 0 || name.len >= sizeof(text))
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return inet_pton(AF_INET, text, &parsed) == 1 || inet_pton(AF_INET6, text, &parsed) == 1;
}

static struct str host_of(const struct visitor *v)
{
    const struct http_head *head = &v->head;

    if (head->uri.authority.len > 0)
        return head->uri.authority;
    return head->host >= 0 ? http_field_value(&v->fields[head->host], v->in) : STR("localhost");
}

/* What refuses the request whose head is there, in *answer. False: nothing does. */
static bool is_refused(const struct status *status, const struct visitor *v, struct answer *answer)
{
    const struct http_head *head = &v->head;

    if (!address_is_unix(&status->listener.address) && !is_known_host(host_of(v)))
        refuse(answer, 421, "This is the status of a server, for programs on its own machine: ask for it by its "
                            "address, such as: http://127.0.0.1/");
    else if (!str_equal(head->method, STR("GET")) && !str_equal(head->method, STR("HEAD")))
        refuse(answer, 405, "There is nothing to do here but to look: use GET.");
    else if (head->chunked || head->content_length > 0)
        refuse(answer, 413, "A request for the status has no content.");
    else
        return false;
    return true;
}

/* --- answering --------------------------------------------------------------------------------- */

static void write_field(struct http_response *r, struct buf *out, const char *name, const char *value)
{
    http_response_field(r, out, str_make(name, strlen(name)), str_make(value, strlen(value)));
}

static void write_answer(struct visitor *v, const struct answer *answer)
{
    char date[sizeof("Date: \r\n") + HTTP_DATE_LEN] = "Date: ", line[64];
    bool head_request = str_equal(v->head.method, STR("HEAD"));
    struct http_response response = {0};
    int len = snprintf(line, sizeof(line), "%d %s", answer->status, http_status_reason(answer->status).ptr);
    struct http_response_context context = {
        .head_request = head_request,
        .minor = v->head.minor,
        .close = v->close,
        .total = (int64_t)answer->content->len,
        .lines = {.server = str_make(date, 0), .date = str_make(date, sizeof(date) - 1)},
    };

    http_date_format(date + strlen("Date: "), clock_wall());
    memcpy(date + sizeof(date) - 3, "\r\n", 2);
    http_response_init(&response, &v->out);
    http_response_status(&response, &v->out, str_make(line, (size_t)len));
    write_field(&response, &v->out, "Content-Type", answer->type);
    write_field(&response, &v->out, "Cache-Control", "no-store");
    write_field(&response, &v->out, "X-Content-Type-Options", "nosniff");
    if (answer->policy != NULL)
        write_field(&response, &v->out, "Content-Security-Policy", answer->policy);
    if (answer->status == 405)
        write_field(&response, &v->out, "Allow", "GET, HEAD");
    http_response_end(&response, &v->out, &context);
    if (!head_request)
        buf_append(&v->out, answer->content->data, answer->content->len);
}

static void look_up(const struct master *m, const struct visitor *v, struct answer *answer)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (str_equal(v->head.uri.path, pages[i].path)) {
            pages[i].make(m, v, answer);
            return;
        }
    }
    refuse(answer, 404, "There are /, /metrics, /healthz, /readyz and /status.json.");
}

/* The head is complete, or bad. */
static void respond(struct master *m, struct visitor *v, enum http_result result)
{
    struct buf content;
    struct answer answer = {.status = 200, .type = PLAIN, .content = &content};

    buf_init(&content);
    v->close = result == HTTP_BAD || v->head.close || v->in_len > v->head.size;
    if (result == HTTP_BAD) {
        refuse(&answer, http_error_table[v->head.error].status, http_error_table[v->head.error].text);
    } else if (is_refused(m->watchers, v, &answer)) {
        v->close = true;
    } else {
        look_up(m, v, &answer);
    }
    write_answer(v, &answer);
    buf_release(&content);
}

/* --- visitors ---------------------------------------------------------------------------------- */

static void leave(struct status *status, int i)
{
    struct visitor *v = status->visitors[i];

    if (v == NULL)
        return;
    status->visitors[i] = NULL;
    close(v->fd);
    buf_release(&v->out);
    free(v);
}

static void await_request(struct visitor *v, int patience_ms)
{
    v->is = VISITOR_ASKS;
    v->in_len = 0;
    v->deadline_ms = clock_ms() + patience_ms;
    http_head_init(&v->head, &limits, v->fields);
}

/* Sends what it can. False: the visitor is gone. */
static bool tell(struct status *status, int i)
{
    struct visitor *v = status->visitors[i];

    while (v->out_at < v->out.len) {
        ssize_t sent = send(v->fd, v->out.data + v->out_at, v->out.len - v->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            return poller_change(&status->poller, v->fd, POLLER_WRITE, v) == 0;
        if (sent < 0)
            return false;
        v->out_at += (size_t)sent;
    }
    buf_release(&v->out);
    v->out_at = 0;
    if (v->close) {
        shutdown(v->fd, SHUT_WR);
        v->is = VISITOR_LINGERS;
        v->deadline_ms = clock_ms() + LINGER_MS;
    } else {
        await_request(v, IDLE_MS);
        v->idle = true;
    }
    return poller_change(&status->poller, v->fd, POLLER_READ, v) == 0;
}

/* Reads once. False: the visitor is gone, or to go. */
static bool hear(struct master *m, int i)
{
    struct visitor *v = m->watchers->visitors[i];
    ssize_t got;

    if (v->is == VISITOR_LINGERS)
        v->in_len = 0;
    got = recv(v->fd, v->in + v->in_len, sizeof(v->in) - v->in_len, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    if (v->is == VISITOR_LINGERS)
        return true;
    v->idle = false;
    v->heard = ++m->watchers->moment;
    if (v->in_len == 0)
        v->deadline_ms = clock_ms() + HEAD_MS;
    v->in_len += (size_t)got;
    enum http_result result = http_head_parse(&v->head, v->in, v->in_len);
    if (result == HTTP_MORE)
        return true;
    v->is = VISITOR_IS_TOLD;
    v->deadline_ms = clock_ms() + SEND_MS;
    respond(m, v, result);
    return tell(m->watchers, i);
}

/* Whether b is to stay rather than a: idlers go first, and among equals who has been silent for longest. */
static bool is_less_welcome(const struct visitor *a, const struct visitor *b)
{
    return a->idle != b->idle ? a->idle : a->heard < b->heard;
}

static int least_welcome(const struct status *status)
{
    int least = 0;

    for (int i = 1; i < VISITORS_MAX; i++) {
        if (is_less_welcome(status->visitors[i], status->visitors[least]))
            least = i;
    }
    return least;
}

static int free_place(struct status *status)
{
    for (int i = 0; i < VISITORS_MAX; i++) {
        if (status->visitors[i] == NULL)
            return i;
    }
    int least = least_welcome(status);
    leave(status, least);
    return least;
}

static void admit(struct status *status, int fd)
{
    struct visitor *v = mem_alloc(sizeof(*v));
    int i = free_place(status);

    v->fd = fd;
    v->out_at = 0;
    v->idle = false;
    v->heard = ++status->moment;
    buf_init(&v->out);
    await_request(v, HEAD_MS);
    status->visitors[i] = v;
    if (poller_add(&status->poller, fd, POLLER_READ, v) != 0)
        leave(status, i);
}

static void accept_all(struct status *status)
{
    struct address peer;
    int fd = 0;

    for (int i = 0; i < ACCEPTS_PER_TURN && (fd = listener_accept(&status->listener, &peer)) >= 0; i++)
        admit(status, fd);
    if (fd < 0 && errno != EAGAIN && errno != EWOULDBLOCK) { /* it would be reported for ever */
        poller_change(&status->poller, status->listener.fd, 0, status);
        status->accept_again_ms = clock_ms() + ACCEPT_AGAIN_MS;
    }
}

static void accept_again(struct status *status)
{
    if (status->accept_again_ms == 0 || clock_ms() < status->accept_again_ms)
        return;
    status->accept_again_ms = 0;
    poller_change(&status->poller, status->listener.fd, POLLER_READ, status);
}

/* --- turns ------------------------------------------------------------------------------------- */

static int place_of(const struct status *status, const void *visitor)
{
    for (int i = 0; i < VISITORS_MAX; i++) {
        if (status->visitors[i] == visitor)
            return i;
    }
    return -1;
}

static void handle(struct master *m, const void *visitor)
{
    struct status *status = m->watchers;
    int i = place_of(status, visitor);

    if (i < 0)
        return;
    if (status->visitors[i]->is == VISITOR_IS_TOLD ? !tell(status, i) : !hear(m, i))
        leave(status, i);
}

static void expire(struct status *status)
{
    int64_t now_ms = clock_ms();

    for (int i = 0; i < VISITORS_MAX; i++) {
        if (status->visitors[i] != NULL && now_ms >= status->visitors[i]->deadline_ms)
            leave(status, i);
    }
}

/* Whether there is to be a listener. One that rests beside a new master leaves the address to that. */
static bool is_wanted(const struct master *m)
{
    return m->config->status != NULL && m->stopped_ms == 0 && !(m->resting && m->heir != 0);
}

void status_turn(struct master *m)
{
    struct status *status = m->watchers;
    bool others = false;
    int count;

    if (status == NULL) {
        if (is_wanted(m))
            status_open(m);
        return;
    }
    count = poller_wait(&status->poller, 0);
    for (int i = 0; i < count; i++) {
        struct poller_event event = poller_event(&status->poller, i);
        if (event.owner == status)
            others = true;
        else
            handle(m, event.owner);
    }
    expire(status);
    accept_again(status);
    if (others)
        accept_all(status);
}

int status_fd(const struct master *m)
{
    return m->watchers != NULL ? m->watchers->poller.fd : -1;
}

int64_t status_due(const struct master *m)
{
    int64_t due_ms = 0;

    if (m->watchers == NULL)
        return is_wanted(m) ? m->status_again_ms : 0;
    for (int i = 0; i < VISITORS_MAX; i++) {
        if (m->watchers->visitors[i] != NULL)
            due_ms = earlier(due_ms, m->watchers->visitors[i]->deadline_ms);
    }
    return earlier(due_ms, m->watchers->accept_again_ms);
}

/* --- beginning and end ------------------------------------------------------------------------- */

static bool is_loopback(const struct address *a)
{
    if (a->u.any.sa_family == AF_INET)
        return ntohl(a->u.ip4.sin_addr.s_addr) >> 24 == 127;
    return a->u.any.sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&a->u.ip6.sin6_addr);
}

/* 0, or -1 with the reason in error. */
static int check_address(const char *text, char *error, size_t cap)
{
    struct address address;

    if (address_parse(&address, text, error, cap) != 0)
        return -1;
    if (is_loopback(&address))
        return 0;
    snprintf(error, cap,
             "%s can be reached from other machines, and whoever comes there is told what clients ask for: "
             "choose 127.0.0.1:PORT or unix:/path, and put a proxy before it that knows who may ask", text);
    return -1;
}

int status_check(const struct process_config *config)
{
    char error[512];

    if (config->status == NULL || check_address(config->status, error, sizeof(error)) == 0)
        return 0;
    log_critical("%s: %s", config->status_label, error);
    return -1;
}

/* 0, or -1 with the reason in error. */
static int listen_at(struct status *status, const char *text, char *error, size_t cap)
{
    mode_t before;
    int result;

    if (check_address(text, error, cap) != 0)
        return -1;
    before = umask(0177);
    result = listener_open(&status->listener, text, BACKLOG, error, cap);
    umask(before);
    return result;
}

/* While there are two masters, one of them has the address, and the other waits for it. */
static void complain(const struct master *m, const char *error)
{
    if (m->old_master < 0 && m->heir == 0)
        log_write(m->children == NULL ? LOG_LEVEL_CRITICAL : LOG_LEVEL_ERROR, "%s: %s", m->config->status_label, error);
}

int status_open(struct master *m)
{
    struct status *status;
    char error[512], url[256];

    if (m->config->status == NULL || clock_ms() < m->status_again_ms)
        return 0;
    status = mem_zalloc(sizeof(*status));
    status->listener.fd = status->poller.fd = -1;
    m->status_again_ms = clock_ms() + (m->old_master >= 0 ? TAKE_OVER_MS : OPEN_AGAIN_MS);
    if (listen_at(status, m->config->status, error, sizeof(error)) != 0) {
        complain(m, error);
    } else if (poller_open(&status->poller, VISITORS_MAX + 1) != 0 ||
               poller_add(&status->poller, status->listener.fd, POLLER_READ, status) != 0) {
        complain(m, strerror(errno));
        listener_close(&status->listener, true);
    } else {
        m->watchers = status;
        listener_url(&status->listener, url, sizeof(url));
        log_info("status on %s", url);
        return 0;
    }
    if (status->poller.fd >= 0)
        poller_close(&status->poller);
    free(status);
    return m->old_master >= 0 ? 0 : -1;
}

void status_close(struct master *m, bool unlink_path)
{
    struct status *status = m->watchers;

    if (status == NULL)
        return;
    for (int i = 0; i < VISITORS_MAX; i++) {
        if (status->visitors[i] != NULL)
            leave(status, i);
    }
    poller_close(&status->poller);
    listener_close(&status->listener, unlink_path);
    free(status);
    m->watchers = NULL;
}
