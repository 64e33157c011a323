/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <string.h>

#include "cserve/cidr.h"

static const struct {
    const char *list;
    const char *address;
    bool has;
} rows[] = {
    {"127.0.0.1", "127.0.0.1", true},
    {"127.0.0.1", "127.0.0.2", false},
    {"10.0.0.0/8", "10.255.1.2", true},
    {"10.0.0.0/8", "11.0.0.0", false},
    {"192.168.0.128/25", "192.168.0.127", false},
    {"192.168.0.128/25", "192.168.0.128", true},
    {"10.0.0.0/31", "10.0.0.1", true},
    {"10.0.0.0/31", "10.0.0.2", false},
    {"0.0.0.0/0", "8.8.8.8", true},
    {"0.0.0.0/0", "::1", false},
    {"::/0", "2001:db8::1", true},
    {"::1", "::1", true},
    {"2001:db8::/33", "2001:db8:7fff::", true},
    {"2001:db8::/33", "2001:db8:8000::", false},
    {"127.0.0.1", "::ffff:127.0.0.1", true},
    {"*", "203.0.113.9", true},
    {"*", "2001:db8::1", true},
    {"", "127.0.0.1", false},
    {" 10.0.0.1 , ::1,", "::1", true},
    {"unix", "127.0.0.1", false},
    {"127.0.0.1", "127.0.0.1:80", false},
    {"127.0.0.1", "", false},
    {"*", "not an address", false},
};

static void addresses_are_found_in_networks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct cidr_list list;
        char error[200];

        assert_int_equal(cidr_list_parse(&list, rows[i].list, error, sizeof(error)), 0);
        if (cidr_list_has_text(&list, str_make(rows[i].address, strlen(rows[i].address))) != rows[i].has)
            fail_msg("'%s' in '%s'", rows[i].address, rows[i].list);
        cidr_list_release(&list);
    }
}

static void socket_addresses_are_found(void **state)
{
    struct cidr_list list;
    struct address a;
    char error[200];

    (void)state;
    assert_int_equal(cidr_list_parse(&list, "127.0.0.0/8,::1", error, sizeof(error)), 0);
    assert_int_equal(address_parse(&a, "127.9.9.9:1", error, sizeof(error)), 0);
    assert_true(cidr_list_has(&list, &a));
    assert_int_equal(address_parse(&a, "[::1]:1", error, sizeof(error)), 0);
    assert_true(cidr_list_has(&list, &a));
    assert_int_equal(address_parse(&a, "[::ffff:127.0.0.1]:1", error, sizeof(error)), 0);
    assert_true(cidr_list_has(&list, &a));
    assert_int_equal(address_parse(&a, "unix:/x", error, sizeof(error)), 0);
    assert_false(cidr_list_has(&list, &a));
    cidr_list_release(&list);
    assert_int_equal(cidr_list_parse(&list, "unix", error, sizeof(error)), 0);
    assert_true(cidr_list_has(&list, &a));
    cidr_list_release(&list);
}

static void wrong_entries_are_named(void **state)
{
    static const char *const wrong[] = {"10.0.0.0/33", "::/129", "10.0.0", "10.0.0.1/", "10.0.0.1/-1", "host", "/8", "1.2.3.4/8/8"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct cidr_list list;
        char error[200], text[64] = "127.0.0.1,";

        strcat(text, wrong[i]);
        assert_int_equal(cidr_list_parse(&list, text, error, sizeof(error)), -1);
        assert_non_null(strstr(error, wrong[i]));
        cidr_list_release(&list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_found_in_networks),
        cmocka_unit_test(socket_addresses_are_found),
        cmocka_unit_test(wrong_entries_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
