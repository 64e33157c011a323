/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/listener.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_zero_becomes_a_real_port),
        cmocka_unit_test(a_taken_port_is_explained),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
