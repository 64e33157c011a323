/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "cserve/uri.h"
#include "guard.h"

static void assert_str(struct str actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    if (actual.len > 0)
        assert_memory_equal(actual.ptr, expected, actual.len);
}

static struct str place(const char *text)
{
    struct str s = str_make(text, strlen(text));
    return str_make(guard_place(s), s.len);
}

static void F4_targets_of_the_three_forms(void **state)
{
    static const struct {
        const char *target;
        enum http_uri_form form;
        const char *scheme, *authority, *path, *query;
        bool encoded;
    } cases[] = {
        {"/", HTTP_URI_ORIGIN, "", "", "/", "", false},
        {"/?", HTTP_URI_ORIGIN, "", "", "/", "", false},
        {"/a/b?c=d?e&f=%20", HTTP_URI_ORIGIN, "", "", "/a/b", "c=d?e&f=%20", false},
        {"/%41%zz", HTTP_URI_ORIGIN, "", "", "/%41%zz", "", true},
        {"//evil/x", HTTP_URI_ORIGIN, "", "", "//evil/x", "", false},
        {"/\"<>\\^`{|}", HTTP_URI_ORIGIN, "", "", "/\"<>\\^`{|}", "", false},
        {"/http://x/", HTTP_URI_ORIGIN, "", "", "/http://x/", "", false},
        {"http://h", HTTP_URI_ABSOLUTE, "http", "h", "/", "", false},
        {"http://h/", HTTP_URI_ABSOLUTE, "http", "h", "/", "", false},
        {"http://h?q", HTTP_URI_ABSOLUTE, "http", "h", "/", "q", false},
        {"http://h:80/p?q", HTTP_URI_ABSOLUTE, "http", "h:80", "/p", "q", false},
        {"HTTPS://[::1]:443/%2f", HTTP_URI_ABSOLUTE, "HTTPS", "[::1]:443", "/%2f", "", true},
        {"*", HTTP_URI_ASTERISK, "", "", "*", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_uri uri;
        assert_int_equal(http_uri_parse(&uri, place(cases[i].target)), 0);
        assert_int_equal(uri.form, cases[i].form);
        assert_str(uri.scheme, cases[i].scheme);
        assert_str(uri.authority, cases[i].authority);
        assert_str(uri.path, cases[i].path);
        assert_str(uri.query, cases[i].query);
        assert_int_equal(uri.encoded, cases[i].encoded);
    }
}

static void F4_other_targets_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "a", "a/b", "**", "*/", "*?", "?q", "host:80", "http:", "http:/", "http://", "http:///x",
        "http://?q", "http:/x", "ftp://h/", "httpx://h/", "://h/", "ws://h/", "javascript:alert(1)",
        "http://u@h/", "http://u:p@h/", "http://h:x/", "http://:80/", "http://h:80:80/", "http://[::1/",
        "http://h[/", "http://[::1]x/", "http://%zz/", "/a#b", "/#", "#", "http://h/#f", "/a b", "/a\tb",
        "/a\x7f", "/\xc3\xa9", "/\x01", "http://h\\/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct http_uri uri;
        if (http_uri_parse(&uri, place(bad[i])) != -1)
            fail_msg("accepted: %s", bad[i]);
    }
    struct http_uri uri;
    assert_int_equal(http_uri_parse(&uri, STR("/a\0b")), -1);
}

static void F4_every_byte_of_a_target(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char target[] = {'/', (char)byte};
        struct http_uri uri;
        int expected = byte >= 0x21 && byte <= 0x7e && byte != '#' ? 0 : -1;
        assert_int_equal(http_uri_parse(&uri, str_make(target, 2)), expected);
    }
}

static void F5_authorities_that_are_valid(void **state)
{
    static const char *const good[] = {
        "", "a", "localhost", "localhost:8888", "example.com:", "127.0.0.1", "127.0.0.1:65535", "a:0",
        "a:00080", "a_b-c.d~e", "xn--bcher-kva", "a%C3%a9", "a%00", "!$&'()*+,;=", "[::]", "[::1]",
        "[::1]:80", "[::1]:", "[1:2:3:4:5:6:7:8]", "[1::8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]",
        "[fe80::ABCD]", "[::ffff:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]", "[1:2:3:4:5::1.2.3.4]", "[::0.0.0.0]",
        "[::255.199.90.9]", "[0000::ffff]", "1.2.3", "999.1.1.1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!http_authority_valid(place(good[i])))
            fail_msg("refused: %s", good[i]);
    }
}

static void F5_authorities_that_are_not(void **state)
{
    static const char *const bad[] = {
        ":", ":80", "a:b", "a:80:80", "a:65536", "a:99999", "a:000080", "a:65535:", "a:-1", "a:+1",
        "a: 80", "a b", " a", "a ", "a/b", "a?b", "a#b", "u@h", "a\\b", "a\"b", "<a>", "a%", "a%4", "a%zz",
        "a|b", "a^b", "{a}", "\xc3\xa9", "a\tb", "a\x7f", "[", "]", "[]", "[:]", "[:::]", "[::1", "::1",
        "[::1]80", "[::1]:a", "[::1]:65536", "[::1]:80:80", "x[::1]", "[::1]x", "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7:8::]", "[::1:2:3:4:5:6:7:8]", "[1::2::3]", "[12345::]",
        "[g::]", "[1:]", "[:1]", "[1::2:]", "[fe80::1%eth0]", "[fe80::1%25eth0]", "[v1.a]", "[1.2.3.4]",
        "[::1.2.3]", "[::1.2.3.256]", "[::1.2.3.04]", "[::1.2.3.4.5]", "[::1.2.3.4:1]",
        "[1:2:3:4:5:6:7:1.2.3.4]", "[1:2:3:4:5:6::1.2.3.4]", "[1:2:3:4:5:1.2.3.4]", "[::1.2.3.]",
        "[::.1.2.3]", "[[::1]]", "[::1]]", "[::1]:[",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (http_authority_valid(place(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    }
    assert_false(http_authority_valid(STR("a\0b")));
    assert_false(http_authority_valid(STR("\0")));
}

static void authorities_are_split(void **state)
{
    static const struct {
        const char *authority, *host, *port;
    } cases[] = {
        {"", "", ""},
        {"a", "a", ""},
        {"a:", "a", ""},
        {"a:80", "a", "80"},
        {"[::1]", "[::1]", ""},
        {"[::1]:80", "[::1]", "80"},
        {"[::1]:", "[::1]", ""},
        {"1.2.3.4:5", "1.2.3.4", "5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str host, port;
        http_authority_split(place(cases[i].authority), &host, &port);
        assert_str(host, cases[i].host);
        assert_str(port, cases[i].port);
    }
}

static void W5_percent_is_decoded_once(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"/", "/"},
        {"%41", "A"},
        {"%C3%A9%c3%a9", "\xc3\xa9\xc3\xa9"},
        {"%2525", "%25"},
        {"%2F%2f", "//"},
        {"a+b", "a+b"},
        {"%", "%"},
        {"%4", "%4"},
        {"%zz", "%zz"},
        {"%4z", "%4z"},
        {"%z4", "%z4"},
        {"%%41", "%A"},
        {"%4%41", "%4A"},
        {"%41%", "A%"},
        {"%0a%0D", "\n\r"},
        {"%ff%7f", "\xff\x7f"},
        {"% 1", "% 1"},
        {"%-1", "%-1"},
        {"%@1%G1%g1%`1", "%@1%G1%g1%`1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[64];
        struct str in = place(cases[i].in);
        size_t len = http_percent_decode(out, in);
        assert_str(str_make(out, len), cases[i].out);
        /* In place, too. */
        len = http_percent_decode((char *)in.ptr, in);
        assert_str(str_make(in.ptr, len), cases[i].out);
    }
    char out[4];
    assert_int_equal(http_percent_decode(out, STR("%00")), 1);
    assert_int_equal(out[0], 0);
}

static void W5_every_escape_is_its_byte(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        static const char upper[] = "0123456789ABCDEF", lower[] = "0123456789abcdef";
        char in[] = {'%', upper[byte >> 4], upper[byte & 15], '%', lower[byte >> 4], lower[byte & 15]};
        char out[sizeof in];
        assert_int_equal(http_percent_decode(out, str_make(in, sizeof in)), 2);
        assert_int_equal((unsigned char)out[0], byte);
        assert_int_equal((unsigned char)out[1], byte);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(F4_targets_of_the_three_forms), cmocka_unit_test(F4_other_targets_are_refused),
        cmocka_unit_test(F4_every_byte_of_a_target),     cmocka_unit_test(F5_authorities_that_are_valid),
        cmocka_unit_test(F5_authorities_that_are_not),   cmocka_unit_test(authorities_are_split),
        cmocka_unit_test(W5_percent_is_decoded_once),    cmocka_unit_test(W5_every_escape_is_its_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
