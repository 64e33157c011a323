/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher under stress, with a handler that knows no Python: clients on their own threads send numbered
 * requests over keep-alive connections while handlers sleep, spin, stream or are abandoned, so that the loop
 * is taken over, connections are handed back and closed, in every order. No answer may be lost, doubled or crossed,
 * and each request must begin, go on and end on one thread.
 *
 * CSERVE_STRESS_MS is how long each case runs (default 1500). Built with -fsanitize=thread by `make tsan`.
 */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/log.h"
#include "cserve/server.h"

#include "../../src/server/server_internal.h"

enum { CLIENTS = 24, BIG = 300 * 1024, HELD = 64 * 1024 * 1024, GATES = 8 };

struct stub {
    struct handler handler; /* first */
    pthread_t thread;
};

/* What a streaming handler keeps between two calls. */
struct stream_state {
    pthread_t thread;
    uint64_t left;
    bool waits; /* at gate 0, when it is resumed */
};

static atomic_int started, ended, cancelled;
static sem_t gates[GATES];
static _Atomic(pthread_t) gate_threads[GATES], held_thread, resumed_thread;

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}, NULL);
}

static void begin(struct exchange *x, int64_t total)
{
    exchange_status(x, STR("200 OK"));
    exchange_commit(x, total);
}

/* Answers with the request's own target. */
static enum handler_verdict echo(struct exchange *x)
{
    begin(x, (int64_t)x->head.target.len);
    exchange_write(x, x->head.target, NULL);
    exchange_finish(x);
    atomic_fetch_add(&ended, 1);
    return HANDLER_DONE;
}

static enum handler_verdict stream(struct exchange *x)
{
    static const char block[8192] = {'x'};
    struct stream_state *state = x->state;

    assert_true(pthread_equal(state->thread, pthread_self()));
    while (state->left > 0) {
        size_t len = state->left < sizeof(block) ? (size_t)state->left : sizeof(block);

        state->left -= len;
        if (exchange_write(x, str_make(block, len), NULL) != EXCHANGE_OK || exchange_flush(x) != EXCHANGE_OK)
            break;
        if (exchange_is_full(x) && state->left > 0)
            return HANDLER_WAIT;
    }
    free(state);
    x->state = NULL;
    exchange_finish(x);
    atomic_fetch_add(&ended, 1);
    return HANDLER_DONE;
}

static enum handler_verdict begin_stream(struct exchange *x, uint64_t total, bool waits)
{
    struct stream_state *state = malloc(sizeof(*state));

    *state = (struct stream_state){.thread = pthread_self(), .left = total, .waits = waits};
    x->state = state;
    begin(x, (int64_t)total);
    return stream(x);
}

/* The target says what to do: /sleep/US/N, /spin/US/N, /gate/N, /big/N, /held, and anything else at once. */
static enum handler_verdict stub_start(struct handler *h, struct exchange *x)
{
    char target[64] = "";
    long us = 0;

    assert_true(pthread_equal(((struct stub *)h)->thread, pthread_self()));
    atomic_fetch_add(&started, 1);
    memcpy(target, x->head.target.ptr, x->head.target.len < 63 ? x->head.target.len : 63);
    if (sscanf(target, "/sleep/%ld/", &us) == 1) {
        sleep_us(us);
    } else if (sscanf(target, "/spin/%ld/", &us) == 1) {
        for (int64_t until = clock_us() + us; clock_us() < until;) {
        }
    } else if (sscanf(target, "/gate/%ld", &us) == 1) {
        gate_threads[us] = pthread_self();
        sem_wait(&gates[us]);
    } else if (strncmp(target, "/big/", 5) == 0) {
        return begin_stream(x, BIG, false);
    } else if (strcmp(target, "/held") == 0) {
        held_thread = pthread_self();
        return begin_stream(x, HELD, true);
    }
    return echo(x);
}

static enum handler_verdict stub_resume(struct handler *h, struct exchange *x)
{
    struct stream_state *state = x->state;

    assert_true(pthread_equal(((struct stub *)h)->thread, pthread_self()));
    if (state->waits) {
        resumed_thread = pthread_self();
        sem_wait(&gates[0]);
    }
    state->waits = false;
    return stream(x);
}

static void stub_cancel(struct handler *h, struct exchange *x)
{
    struct stream_state *state = x->state;

    assert_true(pthread_equal(((struct stub *)h)->thread, pthread_self()));
    assert_true(pthread_equal(state->thread, pthread_self()));
    free(state);
    x->state = NULL;
    atomic_fetch_add(&ended, 1);
    atomic_fetch_add(&cancelled, 1);
}

static int64_t stub_enter(struct handler *h)
{
    (void)h;
    return -1;
}

static void stub_nothing(struct handler *h)
{
    (void)h;
}

static struct handler *stub_attach(struct handler *h)
{
    struct stub *stub = calloc(1, sizeof(*stub));

    stub->handler.ops = h->ops;
    stub->thread = pthread_self();
    return &stub->handler;
}

static void stub_detach(struct handler *h)
{
    free(h);
}

static const struct handler_ops stub_ops = {
    .start = stub_start,
    .resume = stub_resume,
    .cancel = stub_cancel,
    .leave = stub_nothing,
    .enter = stub_enter,
    .attach = stub_attach,
    .detach = stub_detach,
};

struct bench {
    struct server *server;
    struct stub stub;
    struct listener listener;
    int threads;
    const char *const *targets; /* formats with one %d for the number */
    size_t target_count;
    bool drops;                 /* some requests are abandoned */
    atomic_bool over;
    atomic_int answers;
    pthread_t thread;
};

struct client {
    struct bench *bench;
    unsigned seed;
    pthread_t thread;
};

static void *serve(void *argument)
{
    struct bench *bench = argument;

    bench->stub.thread = pthread_self();
    return (void *)(intptr_t)server_run(bench->server);
}

static void open_bench(struct bench *bench)
{
    const struct server_config config = {
        .limits = {.line = 8190, .fields = 100, .field_size = 8190, .head = 65536, .body = 1 << 20},
        .header_timeout_ms = 20000,
        .body_timeout_ms = 20000,
        .keep_alive_ms = 20000,
        .write_timeout_ms = 20000,
        .worker_connections = 1000,
        .threads = bench->threads,
        .body_buffer = 65536,
        .server_name = "test",
    };
    char error[300];

    atomic_store(&started, 0);
    atomic_store(&ended, 0);
    bench->stub.handler.ops = &stub_ops;
    assert_int_equal(listener_open(&bench->listener, "127.0.0.1:0", 128, error, sizeof(error)), 0);
    bench->server = server_new(&config, &bench->listener, 1, &bench->stub.handler);
    assert_non_null(bench->server);
    assert_int_equal(pthread_create(&bench->thread, NULL, serve, bench), 0);
}

static void close_bench(struct bench *bench)
{
    void *result;

    server_stop(bench->server);
    pthread_join(bench->thread, &result);
    assert_int_equal((intptr_t)result, 0);
    server_free(bench->server);
    listener_close(&bench->listener, true);
    assert_int_equal(atomic_load(&started), atomic_load(&ended));
}

static int connect_to(const struct listener *l)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, &l->address.u.any, l->address.len), 0);
    return fd;
}

/* Reads one answer whole; returns the length of its content and leaves its beginning in text. */
static size_t read_answer(int fd, char *text, size_t cap)
{
    static _Thread_local char bytes[BIG + 4096];
    size_t have = 0, wanted = 0;
    char *body = NULL;

    do {
        ssize_t count = recv(fd, bytes + have, sizeof(bytes) - 1 - have, 0);

        if (count <= 0)
            fail_msg("an answer was lost: %s", count == 0 ? "closed" : strerror(errno));
        have += (size_t)count;
        bytes[have] = '\0';
        if (body == NULL && (body = strstr(bytes, "\r\n\r\n")) != NULL) {
            body += 4;
            wanted = (size_t)(body - bytes) + strtoul(strstr(bytes, "Content-Length: ") + 16, NULL, 10);
        }
    } while (body == NULL || have < wanted);
    assert_int_equal(have, wanted);
    assert_memory_equal(bytes, "HTTP/1.1 200 OK", 15);
    snprintf(text, cap, "%.*s", 60, body);
    return have - (size_t)(body - bytes);
}

static int format_request(struct client *client, int number, char *target, size_t cap, char *request, size_t room)
{
    struct bench *bench = client->bench;
    const char *format = bench->targets[rand_r(&client->seed) % bench->target_count];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (strchr(format, '*') != NULL)
        snprintf(target, cap, strncmp(format, "/spin", 5) == 0 ? "/spin/%d/%d" : "/sleep/%d/%d",
                 rand_r(&client->seed) % 20000, number);
    else
        snprintf(target, cap, format, number);
#pragma GCC diagnostic pop
    return snprintf(request, room, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
}

static void *run_client(void *argument)
{
    struct client *client = argument;
    struct bench *bench = client->bench;
    char target[64], request[200], answer[64];
    int fd = connect_to(&bench->listener);

    for (int number = 0; !atomic_load(&bench->over); number++) {
        int len = format_request(client, number, target, sizeof(target), request, sizeof(request));

        assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
        if (bench->drops && rand_r(&client->seed) % 4 == 0) {
            if (rand_r(&client->seed) % 2 == 0)
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
            close(fd);
            fd = connect_to(&bench->listener);
            continue;
        }
        if (read_answer(fd, answer, sizeof(answer)) != BIG)
            assert_string_equal(answer, target);
        atomic_fetch_add(&bench->answers, 1);
    }
    close(fd);
    return NULL;
}

static void stress(const char *const *targets, size_t count, bool drops)
{
    const char *ms = getenv("CSERVE_STRESS_MS");
    struct bench bench = {.threads = 8, .targets = targets, .target_count = count, .drops = drops};
    struct client clients[CLIENTS];

    open_bench(&bench);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.bench = &bench, .seed = (unsigned)i + 1};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    sleep_us((ms != NULL ? atol(ms) : 1500) * 1000);
    atomic_store(&bench.over, true);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
    close_bench(&bench);
    assert_true(atomic_load(&bench.answers) > CLIENTS);
}

#define STRESS(drops, ...)                                                                                             \
    static const char *const targets[] = {__VA_ARGS__};                                                                \
    (void)state;                                                                                                       \
    stress(targets, sizeof(targets) / sizeof(*targets), drops)

static void quick_handlers_stay_inline(void **state)
{
    STRESS(false, "/n/%d");
}

static void quick_and_slow_handlers_mix(void **state)
{
    STRESS(false, "/n/%d", "/n/%d", "/n/%d", "/n/%d", "/n/%d", "/n/%d", "/n/%d", "/sleep/*");
}

static void slow_handlers_use_the_pool(void **state)
{
    STRESS(false, "/sleep/*");
}

static void streams_stay_on_their_thread(void **state)
{
    STRESS(false, "/big/%d", "/n/%d", "/sleep/*");
}

static void abandoned_requests_end_once(void **state)
{
    STRESS(true, "/big/%d", "/n/%d", "/sleep/*", "/spin/*");
}

/* --- the loop goes on when every thread is in a handler --------------------------------------------- */

static int send_request(struct bench *bench, const char *target)
{
    char request[100];
    int fd = connect_to(&bench->listener);
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);

    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    return fd;
}

static void await(_Atomic(pthread_t) *thread)
{
    for (int tries = 0; *thread == 0; tries++) {
        assert_true(tries < 20000);
        sleep_us(500);
    }
}

static void expect_parked(struct bench *bench, int count)
{
    for (int parked = -1, tries = 0; parked != count; tries++) {
        assert_true(tries < 20000);
        sleep_us(500);
        parked = 0;
        pthread_mutex_lock(&bench->server->lock);
        for (struct thread *t = bench->server->parked; t != NULL; t = t->next_parked)
            parked++;
        pthread_mutex_unlock(&bench->server->lock);
    }
}

/* The loop itself answers a request that it refuses. */
static void expect_the_loop_answers(struct bench *bench)
{
    struct pollfd wait = {.events = POLLIN};
    char answer[13] = "";

    wait.fd = send_request(bench, "bad");
    assert_int_equal(poll(&wait, 1, 10000), 1);
    assert_int_equal(recv(wait.fd, answer, 12, MSG_WAITALL), 12);
    assert_string_equal(answer, "HTTP/1.1 400");
    close(wait.fd);
}

static void expect_answer(int fd)
{
    char text[64];

    read_answer(fd, text, sizeof(text));
    close(fd);
}

static void open_gate(int gate, int fd)
{
    sem_post(&gates[gate]);
    expect_answer(fd);
}

static int block(struct bench *bench, int gate, int parked)
{
    char target[16];
    int fd;

    snprintf(target, sizeof(target), "/gate/%d", gate);
    fd = send_request(bench, target);
    await(&gate_threads[gate]);
    expect_parked(bench, parked);
    return fd;
}

/* Reads what comes until nothing has come for `quiet_ms`; -1: until the end. Returns how much that was. */
static size_t read_on(int fd, int quiet_ms)
{
    static char bytes[1 << 20];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    size_t sum = 0;

    for (ssize_t count; poll(&wait, 1, quiet_ms) > 0; sum += (size_t)count) {
        count = recv(fd, bytes, sizeof(bytes), 0);
        assert_true(count >= 0);
        if (count == 0)
            break;
    }
    return sum;
}

/* Blocks two handlers, so that the loop has gone to the third thread. */
static void block_two(struct bench *bench, int gate, int fds[2])
{
    fds[0] = block(bench, gate, 1);
    fds[1] = block(bench, gate + 1, 0);
}

/*
 * Three threads. One has begun a stream, which its client does not read; it has the loop, and both others are in
 * handlers. When the client reads on, it must not go into the stream's handler: nobody could take the loop over.
 */
static void a_resumed_stream_waits_for_a_thread_to_spare(void **state)
{
    struct bench bench = {.threads = 2};
    int held, others[2], late, gate = 1;
    size_t got;

    (void)state;
    for (int i = 0; i < GATES; i++)
        sem_init(&gates[i], 0, 0);
    open_bench(&bench);
    held = send_request(&bench, "/held");
    await(&held_thread);
    expect_parked(&bench, 2);
    block_two(&bench, gate, others);
    if (held_thread == gate_threads[1] || held_thread == gate_threads[2]) {
        int i = held_thread == gate_threads[2];

        open_gate(1 + i, others[i]);
        expect_parked(&bench, 1);
        open_gate(2 - i, others[1 - i]);
        expect_parked(&bench, 2);
        gate = 3;
        block_two(&bench, gate, others); /* the loop goes to who parked last, so to the stream's thread at the end */
    }
    assert_true(held_thread != gate_threads[gate] && held_thread != gate_threads[gate + 1]);
    expect_the_loop_answers(&bench);
    got = read_on(held, 200);
    assert_true(got > 0 && resumed_thread == 0);
    expect_the_loop_answers(&bench);
    late = send_request(&bench, "/n"); /* waits until a thread is free, and then on: that one is the spare */
    open_gate(gate, others[0]);
    await(&resumed_thread);
    expect_the_loop_answers(&bench);
    sem_post(&gates[0]);
    shutdown(held, SHUT_WR); /* its end comes with the answer's */
    assert_true(got + read_on(held, -1) > HELD);
    open_gate(gate + 1, others[1]);
    expect_answer(late);
    close(held);
    close_bench(&bench);
}

/* --- whose turn it is ------------------------------------------------------------------------------- */

enum { WAITING = 4 };

static struct connection *chain(struct connection *connections)
{
    for (int i = 0; i + 1 < WAITING; i++)
        connections[i].next_job = &connections[i + 1];
    return connections;
}

/* A thread's own streams, which may be ready again and again, and new requests. */
static void streams_and_new_requests_take_turns(void **state)
{
    struct connection own[WAITING] = {0}, new[WAITING] = {0};
    struct server server = {.jobs = chain(new)};
    struct thread me = {.server = &server, .jobs = chain(own)};

    (void)state;
    for (int i = 0; i < WAITING; i++) {
        assert_ptr_equal(threads_choose_job(&me), &new[i]);
        assert_ptr_equal(threads_choose_job(&me), &own[i]);
    }
    assert_null(threads_choose_job(&me));
}

static void whoever_is_alone_need_not_wait(void **state)
{
    struct connection jobs[WAITING] = {0};
    struct server server = {0};
    struct thread me = {.server = &server};

    (void)state;
    me.jobs = chain(jobs);
    for (int i = 0; i < WAITING; i++)
        assert_ptr_equal(threads_choose_job(&me), &jobs[i]);
    server.jobs = chain(jobs);
    for (int i = 0; i < WAITING; i++)
        assert_ptr_equal(threads_choose_job(&me), &jobs[i]);
    assert_null(threads_choose_job(&me));
}

static void the_last_thread_to_spare_takes_no_new_request(void **state)
{
    struct connection own[WAITING] = {0}, new[WAITING] = {0};
    struct server server = {.jobs = chain(new), .spare_wanted = true};
    struct thread me = {.server = &server, .jobs = chain(own)}, parked = {0};

    (void)state;
    assert_ptr_equal(threads_choose_job(&me), &own[0]);
    assert_ptr_equal(threads_choose_job(&me), &own[1]);
    server.parked = &parked;
    assert_ptr_equal(threads_choose_job(&me), &new[0]);
    server.orphaned = true;
    assert_null(threads_choose_job(&me));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_handlers_stay_inline),
        cmocka_unit_test(quick_and_slow_handlers_mix),
        cmocka_unit_test(slow_handlers_use_the_pool),
        cmocka_unit_test(streams_stay_on_their_thread),
        cmocka_unit_test(abandoned_requests_end_once),
        cmocka_unit_test(a_resumed_stream_waits_for_a_thread_to_spare),
        cmocka_unit_test(streams_and_new_requests_take_turns),
        cmocka_unit_test(whoever_is_alone_need_not_wait),
        cmocka_unit_test(the_last_thread_to_spare_takes_no_new_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
