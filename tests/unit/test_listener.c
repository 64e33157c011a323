/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cserve/listener.h"

/* Of so many connections, a queue gets its share give or take STRAY, but for once in a million runs. */
enum { MANY = 960, STRAY = 90 };

enum { LISTENERS_MAX = 5, NOBODY = 65534, CANNOT_TELL = 77 };

static void open_listener(struct listener *l, const char *text)
{
    char error[300];

    if (listener_open(l, text, 64, error, sizeof(error)) != 0)
        fail_msg("%s", error);
}

static void parse(struct address *a, const char *text)
{
    char error[300];

    assert_int_equal(address_parse(a, text, error, sizeof(error)), 0);
}

/* A directory of its own, and an address in it: "unix:/tmp/.../socket", the path from the 5th byte on. */
struct place {
    char directory[32], text[64];
};

static void place_make(struct place *p)
{
    strcpy(p->directory, "/tmp/cserve-test-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    snprintf(p->text, sizeof(p->text), "unix:%s/socket", p->directory);
}

static bool place_is_taken(const struct place *p)
{
    return access(p->text + 5, F_OK) == 0;
}

static void place_remove(const struct place *p)
{
    unlink(p->text + 5);
    assert_int_equal(rmdir(p->directory), 0);
}

/* Not by cserve: bound, with SO_REUSEPORT or without it, and not listening yet. */
static int bind_socket(const struct address *wanted, int type, int reuse)
{
    int fd = socket(wanted->u.any.sa_family, type, 0);

    assert_true(fd >= 0);
    if (!address_is_unix(wanted))
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse, sizeof(reuse)), 0);
    assert_int_equal(bind(fd, &wanted->u.any, wanted->len), 0);
    return fd;
}

static int listening_socket(const char *text, int reuse)
{
    struct address wanted;
    int fd;

    parse(&wanted, text);
    fd = bind_socket(&wanted, SOCK_STREAM, reuse);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static void need_ip6(void)
{
    struct address a;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has;

    parse(&a, "[::1]:0");
    has = fd >= 0 && bind(fd, &a.u.any, a.len) == 0;
    if (fd >= 0)
        close(fd);
    if (!has)
        skip();
}

static int option_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* The kernel says so of a listening socket here. */
static int backlog_of(const struct listener *l)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    assert_int_equal(getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return (int)info.tcpi_sacked;
}

static void assert_same_address(const struct address *a, const struct address *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(&a->u, &b->u, a->len);
}

static void assert_flags(int fd)
{
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static int connect_to(const struct listener *l)
{
    int fd = socket(l->address.u.any.sa_family, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &l->address.u.any, l->address.len), 0);
    return fd;
}

static int accept_from(struct listener *l, struct address *peer)
{
    struct pollfd wait = {.fd = l->fd, .events = POLLIN};

    assert_int_equal(poll(&wait, 1, 5000), 1);
    return listener_accept(l, peer);
}

static bool somebody_waits_at(const struct listener *l, int timeout_ms)
{
    struct pollfd wait = {.fd = l->fd, .events = POLLIN};

    return poll(&wait, 1, timeout_ms) == 1;
}

/* A client comes to `at` and is accepted from `from`. */
static void assert_serves(const struct listener *at, struct listener *from)
{
    struct address peer;
    int client = connect_to(at), accepted = accept_from(from, &peer);

    assert_true(accepted >= 0);
    close(accepted);
    close(client);
}

/* Connects MANY times to the address that all of them have, and counts in whose queues it ended. */
static void count_arrivals(struct listener *listeners, int n, int *counts)
{
    struct pollfd waits[LISTENERS_MAX];
    struct address peer;

    memset(counts, 0, (size_t)n * sizeof(*counts));
    for (int i = 0; i < n; i++)
        waits[i] = (struct pollfd){.fd = listeners[i].fd, .events = POLLIN};
    for (int c = 0; c < MANY; c++) {
        int client = connect_to(&listeners[0]), at = 0, accepted;
        assert_int_equal(poll(waits, (nfds_t)n, 5000), 1);
        while (waits[at].revents == 0)
            at++;
        accepted = listener_accept(&listeners[at], &peer);
        assert_true(accepted >= 0);
        counts[at]++;
        close(accepted);
        close(client);
    }
}

/* What one of `queues` got. */
static void assert_share(int arrivals, int queues)
{
    assert_in_range(arrivals + STRAY, MANY / queues, MANY / queues + 2 * STRAY);
}

/* One opened and n - 1 beside it. */
static void open_listeners(struct listener *listeners, int n)
{
    open_listener(&listeners[0], "127.0.0.1:0");
    for (int i = 1; i < n; i++)
        assert_int_equal(listener_clone(&listeners[i], &listeners[0], 64), 0);
}

static void close_listeners(struct listener *listeners, int n)
{
    for (int i = 0; i < n; i++)
        listener_close(&listeners[i], true);
}

static void port_zero_becomes_a_real_port(void **state)
{
    struct listener l;
    struct address peer;
    char url[160], expected[64], error[300];
    int client, accepted, value = 0;
    socklen_t len = sizeof(value);

    (void)state;
    assert_int_equal(listener_open(&l, "127.0.0.1:0", 16, error, sizeof(error)), 0);
    assert_int_not_equal(address_port(&l.address), 0);
    snprintf(expected, sizeof(expected), "http://127.0.0.1:%u/", address_port(&l.address));
    listener_url(&l, url, sizeof(url));
    assert_string_equal(url, expected);
    assert_int_equal(listener_accept(&l, &peer), -1);
    assert_int_equal(errno, EAGAIN);
    client = connect_to(&l);
    accepted = accept_from(&l, &peer);
    assert_true(accepted >= 0);
    assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_int_not_equal(value, 0);
    close(accepted);
    close(client);
    listener_close(&l, true);
}

static void a_taken_port_is_explained(void **state)
{
    struct listener first, second;
    char text[64], error[300];

    (void)state;
    assert_int_equal(listener_open(&first, "127.0.0.1:0", 16, error, sizeof(error)), 0);
    address_text(&first.address, text, sizeof(text));
    assert_int_equal(listener_open(&second, text, 16, error, sizeof(error)), -1);
    assert_non_null(strstr(error, text));
    assert_non_null(strstr(error, "another program listens there"));
    listener_close(&first, true);
}

static void a_stale_unix_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct listener first, second;
    struct address peer;
    struct stat info;
    char directory[] = "/tmp/cserve-test-XXXXXX", text[64], error[300];
    int client, accepted;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(text, sizeof(text), "unix:%s/socket", directory);
    assert_int_equal(listener_open(&first, text, 16, error, sizeof(error)), 0);
    assert_int_equal(listener_open(&second, text, 16, error, sizeof(error)), -1);
    client = connect_to(&first);
    accepted = accept_from(&first, &peer);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
    listener_close(&first, false);
    assert_int_equal(stat(text + 5, &info), 0);
    assert_int_equal(listener_open(&second, text, 16, error, sizeof(error)), 0);
    listener_close(&second, true);
    assert_int_equal(stat(text + 5, &info), -1);
    rmdir(directory);
}

struct racer {
    pthread_barrier_t *start;
    const char *text;
    struct listener listener;
    int result;
    pthread_t thread;
};

static void *race(void *argument)
{
    struct racer *racer = argument;
    char error[300];

    pthread_barrier_wait(racer->start);
    racer->result = listener_open(&racer->listener, racer->text, 16, error, sizeof(error));
    return NULL;
}

/* The address of a port that was free a moment ago. */
static void free_port(char *text, size_t cap)
{
    struct listener l;

    open_listener(&l, "127.0.0.1:0");
    address_text(&l.address, text, cap);
    listener_close(&l, true);
}

static void of_two_that_open_a_port_at_the_same_time_one_gets_it(void **state)
{
    char text[64];

    (void)state;
    for (int round = 0; round < 100; round++) {
        pthread_barrier_t start;
        struct racer racers[2];

        free_port(text, sizeof(text));
        pthread_barrier_init(&start, NULL, 2);
        for (int i = 0; i < 2; i++) {
            racers[i] = (struct racer){.start = &start, .text = text};
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < 2; i++)
            pthread_join(racers[i].thread, NULL);
        assert_int_equal(racers[0].result + racers[1].result, -1);
        listener_close(&racers[racers[0].result != 0].listener, true);
        pthread_barrier_destroy(&start);
    }
}

static void a_socket_of_another_kind_is_left_alone(void **state)
{
    static const int types[] = {SOCK_SEQPACKET, SOCK_DGRAM};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int fd = socket(AF_UNIX, types[i], 0);
        struct listener l;
        struct address a;
        struct place place;
        char error[300];

        place_make(&place);
        parse(&a, place.text);
        assert_int_equal(bind(fd, &a.u.any, a.len), 0);
        if (types[i] == SOCK_SEQPACKET)
            assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(listener_open(&l, place.text, 16, error, sizeof(error)), -1);
        assert_true(place_is_taken(&place));
        close(fd);
        place_remove(&place);
    }
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct listener l;
    char name[] = "/tmp/cserve-test-XXXXXX", text[64], error[300];
    int fd = mkstemp(name);

    (void)state;
    snprintf(text, sizeof(text), "unix:%s", name);
    assert_int_equal(listener_open(&l, text, 16, error, sizeof(error)), -1);
    assert_int_equal(access(name, F_OK), 0);
    unlink(name);
    close(fd);
}

static void a_listener_and_what_it_accepts_never_block_and_are_not_inherited(void **state)
{
    struct listener l;
    struct address peer, own = {.len = sizeof(own.u)};
    int client, accepted;

    (void)state;
    open_listener(&l, "127.0.0.1:0");
    assert_flags(l.fd);
    client = connect_to(&l);
    accepted = accept_from(&l, &peer);
    assert_true(accepted >= 0);
    assert_flags(accepted);
    assert_int_not_equal(option_of(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
    assert_int_equal(getsockname(client, &own.u.any, &own.len), 0);
    assert_same_address(&peer, &own);
    close(accepted);
    close(client);
    listener_close(&l, true);
}

static void a_port_that_has_clones_is_not_joined_by_another_server(void **state)
{
    struct listener listeners[2], other;
    char text[64], error[300];

    (void)state;
    open_listeners(listeners, 2);
    address_text(&listeners[0].address, text, sizeof(text));
    assert_int_equal(listener_open(&other, text, 16, error, sizeof(error)), -1);
    assert_int_equal(other.fd, -1);
    assert_non_null(strstr(error, "another program listens there"));
    close_listeners(listeners, 2);
    open_listener(&other, text);
    listener_close(&other, true);
}

static const struct {
    const char *text;
    const char *error;
} unusable[] = {
    {"203.0.113.1:0", "cannot listen on 203.0.113.1:0: Cannot assign requested address; no interface of this "
                      "machine has that address"},
    {"unix:/nonexistent/socket", "cannot listen on unix:/nonexistent/socket: No such file or directory"},
    {"127.0.0.1:no", "'127.0.0.1:no': the port 'no' is not a number from 0 to 65535; write HOST:PORT"},
};

static void an_error_names_the_address_the_failure_and_what_may_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(unusable) / sizeof(*unusable); i++) {
        struct listener l = {.fd = -1};
        char error[300] = "";
        assert_int_equal(listener_open(&l, unusable[i].text, 16, error, sizeof(error)), -1);
        assert_int_equal(l.fd, -1);
        assert_string_equal(error, unusable[i].error);
    }
}

static void a_message_is_cut_to_the_room_it_has(void **state)
{
    struct listener l;
    char error[16];

    (void)state;
    memset(error, '!', sizeof(error));
    assert_int_equal(listener_open(&l, "unix:/nonexistent/socket", 16, error, 8), -1);
    assert_memory_equal(error, "cannot \0!!!!!!!!", sizeof(error));
}

/* As nobody, because root may write everywhere; in a process of its own, because there is no way back. */
static int open_as_nobody(const char *text)
{
    struct listener l;
    char error[300] = "";

    if (geteuid() == 0 && setuid(NOBODY) != 0)
        return CANNOT_TELL;
    return listener_open(&l, text, 16, error, sizeof(error)) != -1 || strstr(error, text) == NULL ||
           strstr(error, "need privileges") == NULL;
}

static void a_directory_that_may_not_be_written_is_explained(void **state)
{
    struct place place;
    pid_t child;
    int status;

    (void)state;
    place_make(&place);
    assert_int_equal(chmod(place.directory, 0555), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(open_as_nobody(place.text));
    assert_int_equal(waitpid(child, &status, 0), child);
    place_remove(&place);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_TELL)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_ip6_wildcard_takes_ip4_too(void **state)
{
    struct listener first, second, as_ip4;
    char text[64];

    (void)state;
    need_ip6();
    open_listener(&first, "[::]:0");
    snprintf(text, sizeof(text), "127.0.0.1:%u", address_port(&first.address));
    parse(&as_ip4.address, text);
    assert_serves(&as_ip4, &first);
    assert_serves(&first, &first);
    assert_int_equal(listener_clone(&second, &first, 16), 0);
    listener_close(&first, true);
    assert_serves(&as_ip4, &second);
    listener_close(&second, true);
}

static void other_ip6_addresses_are_ip6_only(void **state)
{
    struct listener first, second;
    char url[64], expected[64];

    (void)state;
    need_ip6();
    open_listener(&first, "[::1]:0");
    assert_int_equal(listener_clone(&second, &first, 16), 0);
    assert_int_equal(option_of(first.fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    assert_int_equal(option_of(second.fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    snprintf(expected, sizeof(expected), "http://[::1]:%u/", address_port(&first.address));
    assert_int_equal(listener_url(&second, url, sizeof(url)), strlen(expected));
    assert_string_equal(url, expected);
    listener_close(&first, true);
    listener_close(&second, true);
}

static void the_backlog_is_what_was_asked_for(void **state)
{
    struct listener first, second;
    char error[300];

    (void)state;
    assert_int_equal(listener_open(&first, "127.0.0.1:0", 17, error, sizeof(error)), 0);
    assert_int_equal(listener_clone(&second, &first, 23), 0);
    assert_int_equal(backlog_of(&first), 17);
    assert_int_equal(backlog_of(&second), 23);
    listener_close(&first, true);
    listener_close(&second, true);
}

static void the_umask_says_who_may_connect_to_a_unix_socket(void **state)
{
    static const mode_t masks[] = {0, 022, 077};

    (void)state;
    for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
        struct place place;
        struct listener l;
        struct stat info;
        mode_t before;
        place_make(&place);
        before = umask(masks[i]);
        open_listener(&l, place.text);
        umask(before);
        assert_int_equal(stat(place.text + 5, &info), 0);
        assert_int_equal(info.st_mode & 0666, 0666 & ~masks[i]);
        listener_close(&l, true);
        place_remove(&place);
    }
}

static void a_unix_socket_whose_queue_is_full_is_live(void **state)
{
    struct place place;
    struct listener first, second;
    char error[300], url[64];
    int clients[8], count = 0;

    (void)state;
    place_make(&place);
    assert_int_equal(listener_open(&first, place.text, 2, error, sizeof(error)), 0);
    listener_url(&first, url, sizeof(url));
    assert_string_equal(url, place.text);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), result;
        assert_true(fd >= 0 && count < 8);
        result = connect(fd, &first.address.u.any, first.address.len);
        clients[count++] = fd;
        if (result == 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        break;
    }
    assert_int_equal(count - 1, 3); /* the kernel lets one more in than it was told */
    assert_int_equal(listener_open(&second, place.text, 2, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "another program listens there"));
    assert_true(place_is_taken(&place));
    while (count > 0)
        close(clients[--count]);
    listener_close(&first, true);
    place_remove(&place);
}

static void clones_over_tcp_have_queues_of_their_own(void **state)
{
    struct listener listeners[4];
    int counts[4];

    (void)state;
    open_listeners(listeners, 4);
    for (int i = 0; i < 4; i++) {
        assert_false(listeners[i].shared);
        assert_same_address(&listeners[i].address, &listeners[0].address);
        assert_flags(listeners[i].fd);
        assert_int_equal(option_of(listeners[i].fd, IPPROTO_TCP, TCP_NODELAY), 1);
    }
    count_arrivals(listeners, 4, counts);
    for (int i = 0; i < 4; i++)
        assert_share(counts[i], 4);
    close_listeners(listeners, 4);
}

static void a_clone_outlives_the_first(void **state)
{
    struct listener listeners[2];

    (void)state;
    open_listeners(listeners, 2);
    listener_close(&listeners[0], true);
    for (int i = 0; i < MANY; i++)
        assert_serves(&listeners[1], &listeners[1]);
    listener_close(&listeners[1], true);
}

static void clones_of_a_unix_socket_share_its_queue(void **state)
{
    struct place place;
    struct listener first, second;
    struct address peer;
    int client, accepted;

    (void)state;
    place_make(&place);
    open_listener(&first, place.text);
    assert_true(first.shared);
    assert_int_equal(listener_clone(&second, &first, 16), 0);
    assert_true(first.shared);
    assert_true(second.shared);
    assert_int_not_equal(first.fd, second.fd);
    assert_flags(second.fd);
    assert_same_address(&second.address, &first.address);
    client = connect_to(&first);
    assert_true(somebody_waits_at(&first, 5000));
    assert_true(somebody_waits_at(&second, 0));
    accepted = listener_accept(&second, &peer);
    assert_true(accepted >= 0);
    assert_flags(accepted);
    assert_int_equal(listener_accept(&first, &peer), -1);
    assert_int_equal(errno, EAGAIN);
    close(accepted);
    close(client);
    listener_close(&first, false);
    assert_serves(&second, &second);
    listener_close(&second, true);
    place_remove(&place);
}

static void a_clone_shares_when_its_address_cannot_be_bound_again(void **state)
{
    struct listener first, second, gone;
    char text[64];

    (void)state;
    open_listener(&first, "127.0.0.1:0");
    gone = first; /* as if the interface had lost that address since */
    snprintf(text, sizeof(text), "203.0.113.1:%u", address_port(&first.address));
    parse(&gone.address, text);
    assert_int_equal(listener_clone(&second, &gone, 16), 0);
    assert_true(second.shared && gone.shared);
    assert_int_not_equal(second.fd, first.fd);
    assert_flags(second.fd);
    assert_serves(&first, &second);
    assert_serves(&first, &first);
    listener_close(&first, true);
    listener_close(&second, true);
}

static void a_clone_without_a_descriptor_is_an_error(void **state)
{
    struct listener first, second;
    struct rlimit before, none;
    int next, result, reason;

    (void)state;
    open_listener(&first, "127.0.0.1:0");
    next = dup(first.fd);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    result = listener_clone(&second, &first, 16);
    reason = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(result, -1);
    assert_int_equal(reason, EMFILE);
    assert_int_equal(second.fd, -1);
    assert_serves(&first, &first);
    listener_close(&first, true);
}

static void a_socket_of_another_program_is_taken_over(void **state)
{
    struct listener l;
    struct address peer, bound = {.len = sizeof(bound.u)};
    int fd = listening_socket("127.0.0.1:0", 0), client, accepted;

    (void)state;
    assert_int_equal(getsockname(fd, &bound.u.any, &bound.len), 0);
    assert_int_equal(listener_adopt(&l, fd), 0);
    assert_int_equal(l.fd, fd);
    assert_flags(fd);
    assert_same_address(&l.address, &bound);
    client = connect_to(&l);
    accepted = accept_from(&l, &peer);
    assert_true(accepted >= 0);
    assert_int_equal(option_of(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_not_equal(option_of(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
    close(accepted);
    close(client);
    listener_close(&l, false);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void what_was_adopted_is_shared_unless_it_may_have_others_beside_it(void **state)
{
    (void)state;
    for (int reuse = 0; reuse <= 1; reuse++) {
        struct listener listeners[2];
        int counts[2];
        assert_int_equal(listener_adopt(&listeners[0], listening_socket("127.0.0.1:0", reuse)), 0);
        assert_int_equal(listeners[0].shared, !reuse);
        assert_int_equal(listener_clone(&listeners[1], &listeners[0], 64), 0);
        assert_int_equal(listeners[1].shared, !reuse);
        if (reuse) {
            count_arrivals(listeners, 2, counts);
            assert_share(counts[0], 2);
        } else {
            assert_serves(&listeners[0], &listeners[1]);
            assert_serves(&listeners[0], &listeners[0]);
        }
        close_listeners(listeners, 2);
    }
}

static void a_unix_socket_of_another_program_is_taken_over(void **state)
{
    struct place place;
    struct listener l;
    struct address wanted;
    char url[64];

    (void)state;
    place_make(&place);
    assert_int_equal(listener_adopt(&l, listening_socket(place.text, 0)), 0);
    assert_true(l.shared);
    listener_url(&l, url, sizeof(url));
    assert_string_equal(url, place.text);
    parse(&wanted, place.text);
    assert_same_address(&l.address, &wanted);
    assert_serves(&l, &l);
    listener_close(&l, false);
    assert_true(place_is_taken(&place));
    place_remove(&place);
}

static void assert_not_adopted(int fd, int reason)
{
    struct listener l;
    int flags = fcntl(fd, F_GETFL);

    errno = 0;
    assert_int_equal(listener_adopt(&l, fd), -1);
    assert_int_equal(errno, reason);
    assert_int_equal(l.fd, -1);
    assert_int_equal(fcntl(fd, F_GETFL), flags); /* open still, and as it was */
    if (flags >= 0)
        close(fd);
}

static void what_is_no_listening_stream_socket_is_not_adopted(void **state)
{
    struct address ip4, local;
    struct place place;
    int ends[2], packets;

    (void)state;
    parse(&ip4, "127.0.0.1:0");
    assert_not_adopted(bind_socket(&ip4, SOCK_STREAM, 0), EINVAL);
    assert_not_adopted(bind_socket(&ip4, SOCK_DGRAM, 0), EINVAL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_not_adopted(ends[0], EINVAL);
    close(ends[1]);
    place_make(&place);
    parse(&local, place.text);
    packets = bind_socket(&local, SOCK_SEQPACKET, 0);
    assert_int_equal(listen(packets, 5), 0);
    assert_not_adopted(packets, EINVAL);
    place_remove(&place);
    assert_int_equal(pipe(ends), 0);
    assert_not_adopted(ends[0], ENOTSOCK);
    close(ends[1]);
    assert_not_adopted(ends[1], EBADF);
    assert_not_adopted(-1, EBADF);
}

/* Whether all connections go to those of the first `n` that are named, each of which gets its share. */
static void assert_steered(struct listener *listeners, int n, const unsigned *numbers, unsigned count)
{
    int counts[LISTENERS_MAX], sum = 0;

    count_arrivals(listeners, n, counts);
    for (unsigned i = 0; i < count; i++) {
        assert_share(counts[numbers[i]], (int)count);
        sum += counts[numbers[i]];
    }
    assert_int_equal(sum, MANY);
}

static const struct {
    unsigned numbers[4], count;
} steps[] = {
    {{2}, 1}, {{0, 3}, 2}, {{3, 1}, 2}, {{1, 2, 3}, 3}, {{0, 1, 2, 3}, 4}, {{0}, 1},
};

static void connections_are_steered_to_those_that_are_named(void **state)
{
    struct listener listeners[4];

    (void)state;
    open_listeners(listeners, 4);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        const struct listener *any = &listeners[i % 4];
        assert_int_equal(listener_steer(any, steps[i].numbers, steps[i].count), 0);
        assert_steered(listeners, 4, steps[i].numbers, steps[i].count);
    }
    close_listeners(listeners, 4);
}

static void who_waits_already_stays_where_it_is(void **state)
{
    struct listener listeners[2];
    struct address peer;
    int client, accepted;

    (void)state;
    open_listeners(listeners, 2);
    assert_int_equal(listener_steer(&listeners[0], (unsigned[]){1}, 1), 0);
    client = connect_to(&listeners[0]);
    assert_true(somebody_waits_at(&listeners[1], 5000));
    assert_int_equal(listener_steer(&listeners[0], (unsigned[]){0}, 1), 0);
    accepted = listener_accept(&listeners[1], &peer);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
    close_listeners(listeners, 2);
}

static void a_clone_that_comes_later_gets_nothing_until_it_is_named(void **state)
{
    struct listener listeners[3];
    static const unsigned numbers[] = {0, 1, 2};

    (void)state;
    open_listeners(listeners, 2);
    assert_int_equal(listener_steer(&listeners[0], numbers, 2), 0);
    assert_int_equal(listener_clone(&listeners[2], &listeners[0], 64), 0);
    assert_steered(listeners, 3, numbers, 2);
    assert_int_equal(listener_steer(&listeners[0], numbers, 3), 0);
    assert_steered(listeners, 3, numbers, 3);
    close_listeners(listeners, 3);
}

static void as_many_as_may_be_can_be_named(void **state)
{
    struct listener listeners[3];
    unsigned numbers[LISTENER_STEER_MAX];
    int counts[3];

    (void)state;
    open_listeners(listeners, 3);
    for (unsigned i = 0; i < LISTENER_STEER_MAX; i++)
        numbers[i] = i < LISTENER_STEER_MAX / 2 ? 0 : 2;
    assert_int_equal(listener_steer(&listeners[0], numbers, LISTENER_STEER_MAX), 0);
    count_arrivals(listeners, 3, counts);
    assert_share(counts[0], 2);
    assert_int_equal(counts[1], 0);
    close_listeners(listeners, 3);
}

static void a_queue_that_can_have_none_beside_it_is_not_steered(void **state)
{
    struct listener l;

    (void)state;
    assert_int_equal(listener_adopt(&l, listening_socket("127.0.0.1:0", 0)), 0);
    assert_int_equal(listener_steer(&l, (unsigned[]){0}, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_serves(&l, &l);
    listener_close(&l, true);
}

static void closing_twice_closes_once(void **state)
{
    struct listener l;
    int fd, other;

    (void)state;
    open_listener(&l, "127.0.0.1:0");
    fd = l.fd;
    listener_close(&l, true);
    assert_int_equal(l.fd, -1);
    other = open("/dev/null", O_RDONLY);
    assert_int_equal(other, fd); /* the number is somebody else's now */
    listener_close(&l, true);
    assert_int_equal(close(other), 0);
}

static void closing_what_was_not_opened_removes_nothing(void **state)
{
    struct place place;
    struct listener first, second;
    char error[300];

    (void)state;
    place_make(&place);
    open_listener(&first, place.text);
    assert_int_equal(listener_open(&second, place.text, 16, error, sizeof(error)), -1);
    listener_close(&second, true);
    assert_true(place_is_taken(&place));
    assert_serves(&first, &first);
    listener_close(&first, true);
    assert_false(place_is_taken(&place));
    place_remove(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_zero_becomes_a_real_port),
        cmocka_unit_test(a_taken_port_is_explained),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(of_two_that_open_a_port_at_the_same_time_one_gets_it),
        cmocka_unit_test(a_socket_of_another_kind_is_left_alone),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(a_listener_and_what_it_accepts_never_block_and_are_not_inherited),
        cmocka_unit_test(a_port_that_has_clones_is_not_joined_by_another_server),
        cmocka_unit_test(an_error_names_the_address_the_failure_and_what_may_help),
        cmocka_unit_test(a_message_is_cut_to_the_room_it_has),
        cmocka_unit_test(a_directory_that_may_not_be_written_is_explained),
        cmocka_unit_test(the_ip6_wildcard_takes_ip4_too),
        cmocka_unit_test(other_ip6_addresses_are_ip6_only),
        cmocka_unit_test(the_backlog_is_what_was_asked_for),
        cmocka_unit_test(the_umask_says_who_may_connect_to_a_unix_socket),
        cmocka_unit_test(a_unix_socket_whose_queue_is_full_is_live),
        cmocka_unit_test(clones_over_tcp_have_queues_of_their_own),
        cmocka_unit_test(a_clone_outlives_the_first),
        cmocka_unit_test(clones_of_a_unix_socket_share_its_queue),
        cmocka_unit_test(a_clone_shares_when_its_address_cannot_be_bound_again),
        cmocka_unit_test(a_clone_without_a_descriptor_is_an_error),
        cmocka_unit_test(a_socket_of_another_program_is_taken_over),
        cmocka_unit_test(what_was_adopted_is_shared_unless_it_may_have_others_beside_it),
        cmocka_unit_test(a_unix_socket_of_another_program_is_taken_over),
        cmocka_unit_test(what_is_no_listening_stream_socket_is_not_adopted),
        cmocka_unit_test(connections_are_steered_to_those_that_are_named),
        cmocka_unit_test(who_waits_already_stays_where_it_is),
        cmocka_unit_test(a_clone_that_comes_later_gets_nothing_until_it_is_named),
        cmocka_unit_test(as_many_as_may_be_can_be_named),
        cmocka_unit_test(a_queue_that_can_have_none_beside_it_is_not_steered),
        cmocka_unit_test(closing_twice_closes_once),
        cmocka_unit_test(closing_what_was_not_opened_removes_nothing),
    };

    alarm(60); /* a socket that blocks must not block for ever */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
