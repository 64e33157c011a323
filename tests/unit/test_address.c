/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <string.h>

#include "cserve/address.h"

static const struct {
    const char *text;
    const char *host;
    unsigned port;
    const char *shown;
} valid[] = {
    {"127.0.0.1:80", "127.0.0.1", 80, "127.0.0.1:80"},
    {"[::1]:8888", "::1", 8888, "[::1]:8888"},
    {":8000", "0.0.0.0", 8000, "0.0.0.0:8000"},
    {"8000", "127.0.0.1", 8000, "127.0.0.1:8000"},
    {"0", "127.0.0.1", 0, "127.0.0.1:0"},
    {"[::ffff:10.0.0.1]:5", "10.0.0.1", 5, "10.0.0.1:5"},
    {"unix:/run/app.sock", "", 0, "unix:/run/app.sock"},
    {"unix:relative", "", 0, "unix:relative"},
};

static void addresses_are_parsed_and_shown(void **state)
{
    struct address a;
    char host[ADDRESS_HOST_MAX], text[160], error[200] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(valid) / sizeof(*valid); i++) {
        assert_int_equal(address_parse(&a, valid[i].text, error, sizeof(error)), 0);
        address_host(&a, host);
        assert_string_equal(host, valid[i].host);
        assert_int_equal(address_port(&a), valid[i].port);
        assert_int_equal(address_text(&a, text, sizeof(text)), strlen(valid[i].shown));
        assert_string_equal(text, valid[i].shown);
    }
}

static const struct {
    const char *text;
    const char *says;
} invalid[] = {
    {"127.0.0.1:65536", "0 to 65535"},
    {"127.0.0.1:-1", "0 to 65535"},
    {"127.0.0.1:", "0 to 65535"},
    {"127.0.0.1:00000080", "0 to 65535"},
    {"port", "0 to 65535"},
    {"::1:80", "[IPV6]:PORT"},
    {"[::1]", "[IPV6]:PORT"},
    {"[::1", "[IPV6]:PORT"},
    {"[]:80", "empty"},
    {"unix:", "1 to 107 bytes"},
    {"no.such.host.invalid:80", "no.such.host.invalid"},
};

static void wrong_addresses_are_explained(void **state)
{
    struct address a;
    char error[300], long_path[300] = "unix:/";

    (void)state;
    for (size_t i = 0; i < sizeof(invalid) / sizeof(*invalid); i++) {
        assert_int_equal(address_parse(&a, invalid[i].text, error, sizeof(error)), -1);
        assert_non_null(strstr(error, invalid[i].says));
    }
    memset(long_path + 6, 'x', sizeof(long_path) - 7);
    assert_int_equal(address_parse(&a, long_path, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "1 to 107 bytes"));
}

static void wildcards_are_known(void **state)
{
    struct address a;
    char error[200];

    (void)state;
    assert_int_equal(address_parse(&a, ":80", error, sizeof(error)), 0);
    assert_true(address_is_wildcard(&a));
    assert_int_equal(address_parse(&a, "[::]:80", error, sizeof(error)), 0);
    assert_true(address_is_wildcard(&a));
    assert_int_equal(address_parse(&a, "[::1]:80", error, sizeof(error)), 0);
    assert_false(address_is_wildcard(&a));
    assert_int_equal(address_parse(&a, "unix:x", error, sizeof(error)), 0);
    assert_false(address_is_wildcard(&a));
    assert_true(address_is_unix(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_parsed_and_shown),
        cmocka_unit_test(wrong_addresses_are_explained),
        cmocka_unit_test(wildcards_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
