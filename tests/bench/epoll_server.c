/* SPDX-License-Identifier: MIT */
/*
 * The yardstick of the benchmarks: the least that a server can do which answers GET /hello. It waits with epoll
 * (level-triggered), receives, looks for the ends of heads, and sends the bytes that cserve answers: one send for
 * all requests that came together. It never looks into a request and never calls Python, so what cserve costs
 * beyond this is the price of HTTP and of WSGI.
 *
 *     epoll_server PORT
 *
 * One thread, connections on 127.0.0.1 that are kept alive until the client closes them, requests without content.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 256, HEADS = 16384, ANSWERS = 65536 };

struct connection {
    int fd;
    size_t used; /* bytes of `heads`: the beginning of a head whose end has not come yet */
    char heads[HEADS];
};

static int poller;
static struct connection listener; /* nothing of it but the descriptor is used */
static char answer[256];
static size_t answer_size;

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* Writes the answer anew when the second has changed. */
static void update_answer(void)
{
    static time_t written;
    struct timespec now;
    struct tm utc;
    char date[64];

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec == written)
        return;
    written = now.tv_sec;
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    answer_size = (size_t)snprintf(answer, sizeof(answer),
                                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: cserve\r\n"
                                   "Date: %s\r\nContent-Length: 14\r\n\r\nHello, World!\n",
                                   date);
}

static void watch(struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("epoll_ctl");
}

static void open_listener(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;

    listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener.fd < 0 || setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(listener.fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener.fd, BACKLOG) < 0)
        fail("listen");
    watch(&listener);
}

static void accept_all(void)
{
    int fd;

    while ((fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = malloc(sizeof(*c));

        if (c == NULL)
            fail("malloc");
        c->fd = fd;
        c->used = 0;
        watch(c);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        fail("accept4");
}

static void close_connection(struct connection *c)
{
    close(c->fd);
    free(c);
}

/* How many heads have ended. What is left behind the last of them moves to the front. */
static size_t take_heads(struct connection *c)
{
    const char *from = c->heads;
    const char *end = c->heads + c->used;
    const char *found;
    size_t count = 0;

    while ((found = memmem(from, (size_t)(end - from), "\r\n\r\n", 4)) != NULL) {
        from = found + 4;
        count++;
    }
    c->used = (size_t)(end - from);
    memmove(c->heads, from, c->used);
    return count;
}

/* Sends all of it. That a client does not read is not what is measured here: then everybody waits. */
static int send_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

        if (sent >= 0) {
            bytes += sent;
            size -= (size_t)sent;
        } else if (errno != EAGAIN || poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1) < 0) {
            return -1;
        }
    }
    return 0;
}

static int send_answers(int fd, size_t count)
{
    static char answers[ANSWERS];

    while (count > 0) {
        size_t size = 0;

        for (; count > 0 && size + answer_size <= sizeof(answers); count--) {
            memcpy(answers + size, answer, answer_size);
            size += answer_size;
        }
        if (send_all(fd, answers, size) < 0)
            return -1;
    }
    return 0;
}

static void serve(struct connection *c)
{
    ssize_t received = recv(c->fd, c->heads + c->used, sizeof(c->heads) - c->used, 0);

    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (received > 0) {
        c->used += (size_t)received;
        if (send_answers(c->fd, take_heads(c)) == 0 && c->used < sizeof(c->heads))
            return;
    }
    close_connection(c);
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];

    poller = epoll_create1(0);
    if (argc != 2 || poller < 0) {
        fprintf(stderr, "usage: epoll_server PORT\n");
        return EXIT_FAILURE;
    }
    open_listener(atoi(argv[1]));
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);

        update_answer();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &listener)
                accept_all();
            else
                serve(events[i].data.ptr);
        }
    }
}
