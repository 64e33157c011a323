/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <string.h>

#include "cserve/proxy_protocol.h"
#include "guard.h"

static const struct {
    const char *line;
    enum proxy_result result;
    const char *source; /* NULL: unknown */
    const char *destination;
} v1[] = {
    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", PROXY_DONE, "192.0.2.1:56324", "198.51.100.2:443"},
    {"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", PROXY_DONE, "[2001:db8::1]:1", "[2001:db8::2]:65535"},
    {"PROXY UNKNOWN\r\n", PROXY_DONE, NULL, NULL},
    {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", PROXY_DONE, NULL, NULL},
    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP4 192.0.2.1 198.51.100.2 056 443\r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP4 192.0.2.256 198.51.100.2 56324 443\r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP5 192.0.2.1 198.51.100.2 56324 443\r\n", PROXY_BAD, NULL, NULL},
    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n", PROXY_BAD, NULL, NULL},
    {"PROXY \r\n", PROXY_BAD, NULL, NULL},
    {"GET / HTTP/1.1\r\n", PROXY_BAD, NULL, NULL},
};

static void assert_address(const struct address *a, const char *expected)
{
    char text[160];

    address_text(a, text, sizeof(text));
    assert_string_equal(text, expected);
}

static enum proxy_result parse(struct proxy_header *header, const char *bytes, size_t len)
{
    return proxy_header_parse(header, guard_place(str_make(bytes, len)), len);
}

static void version_1_lines(void **state)
{
    struct proxy_header header;

    (void)state;
    for (size_t i = 0; i < sizeof(v1) / sizeof(*v1); i++) {
        size_t len = strlen(v1[i].line);

        if (parse(&header, v1[i].line, len) != v1[i].result)
            fail_msg("%s", v1[i].line);
        if (v1[i].result != PROXY_DONE)
            continue;
        assert_int_equal(header.size, len);
        assert_int_equal(header.known, v1[i].source != NULL);
        if (header.known) {
            assert_address(&header.source, v1[i].source);
            assert_address(&header.destination, v1[i].destination);
        }
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(parse(&header, v1[i].line, cut), PROXY_MORE);
    }
}

static void a_version_1_line_without_end_is_refused_at_108_bytes(void **state)
{
    struct proxy_header header;
    char line[200] = "PROXY UNKNOWN ";

    (void)state;
    memset(line + 14, 'x', sizeof(line) - 14);
    assert_int_equal(parse(&header, line, 106), PROXY_MORE);
    assert_int_equal(parse(&header, line, 107), PROXY_BAD);
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static const struct {
    const char *bytes;
    size_t len;
    enum proxy_result result;
    const char *source;
} v2[] = {
#define ROW(text, result, source) {SIGNATURE text, sizeof(SIGNATURE text) - 1, result, source}
    ROW("\x21\x11\0\x0c" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb", PROXY_DONE, "192.0.2.1:1234"),
    ROW("\x21\x11\0\x0f" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb" "\x04\0\0", PROXY_DONE, "192.0.2.1:1234"),
    ROW("\x21\x21\0\x24" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01" "\0\x50" "\0\x51",
        PROXY_DONE, "[2001:db8::1]:80"),
    ROW("\x20\0\0\0", PROXY_DONE, NULL),
    ROW("\x20\x11\0\x0c" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb", PROXY_DONE, NULL),
    ROW("\x21\0\0\0", PROXY_DONE, NULL),
    ROW("\x21\x11\0\x0b" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01", PROXY_BAD, NULL),
    ROW("\x11\x11\0\x0c" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb", PROXY_BAD, NULL),
    ROW("\x22\x11\0\x0c" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb", PROXY_BAD, NULL),
    ROW("\x21\x12\0\x0c" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb", PROXY_BAD, NULL),
    ROW("\x21\x41\0\x0c" "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb", PROXY_BAD, NULL),
    ROW("\x21\x11\xff\xff", PROXY_BAD, NULL),
#undef ROW
};

static void version_2_headers(void **state)
{
    struct proxy_header header;

    (void)state;
    for (size_t i = 0; i < sizeof(v2) / sizeof(*v2); i++) {
        if (parse(&header, v2[i].bytes, v2[i].len) != v2[i].result)
            fail_msg("row %zu", i);
        if (v2[i].result != PROXY_DONE)
            continue;
        assert_int_equal(header.size, v2[i].len);
        assert_int_equal(header.known, v2[i].source != NULL);
        if (header.known)
            assert_address(&header.source, v2[i].source);
        for (size_t cut = 0; cut < v2[i].len; cut++)
            assert_int_equal(parse(&header, v2[i].bytes, cut), PROXY_MORE);
    }
}

#define ADDRESSES "\xc0\0\x02\x01" "\xc6\x33\x64\x02" "\x04\xd2" "\x01\xbb"

static const struct {
    const char *bytes;
    size_t len;
    bool tls;
} v2_tls[] = {
#define ROW(text, tls) {SIGNATURE text, sizeof(SIGNATURE text) - 1, tls}
    ROW("\x21\x11\0\x0c" ADDRESSES, false),
    ROW("\x21\x11\0\x14" ADDRESSES "\x20\0\x05" "\x01\0\0\0\0", true),
    ROW("\x21\x11\0\x14" ADDRESSES "\x20\0\x05" "\x07\0\0\0\0", true),
    ROW("\x21\x11\0\x14" ADDRESSES "\x20\0\x05" "\x06\0\0\0\0", false),
    ROW("\x21\x11\0\x1c" ADDRESSES "\x20\0\x0d" "\x01\0\0\0\0" "\x21\0\x05" "TLSv1", true),
    ROW("\x21\x11\0\x19" ADDRESSES "\x05\0\x02" "id" "\x20\0\x05" "\x01\0\0\0\0", true),
    ROW("\x21\x11\0\x19" ADDRESSES "\x05\0\x0a" "\x20\0\x05" "\x01\0\0\0\0" "id", false), /* in another's value */
    ROW("\x21\x11\0\x13" ADDRESSES "\x20\0\x05" "\x01\0\0\0", false),
    ROW("\x21\x11\0\x13" ADDRESSES "\x20\0\x04" "\x01\0\0\0", false),
    ROW("\x21\x11\0\x0f" ADDRESSES "\x20\xff\xff", false),
    ROW("\x21\x11\0\x0e" ADDRESSES "\x20\0", false),
    ROW("\x21\0\0\x08" "\x20\0\x05" "\x01\0\0\0\0", true),
    ROW("\x20\0\0\x08" "\x20\0\x05" "\x01\0\0\0\0", false), /* the proxy's own connection */
#undef ROW
};

static void version_2_tells_of_tls(void **state)
{
    struct proxy_header header;

    (void)state;
    for (size_t i = 0; i < sizeof(v2_tls) / sizeof(*v2_tls); i++) {
        if (parse(&header, v2_tls[i].bytes, v2_tls[i].len) != PROXY_DONE || header.tls != v2_tls[i].tls)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_lines),
        cmocka_unit_test(a_version_1_line_without_end_is_refused_at_108_bytes),
        cmocka_unit_test(version_2_headers),
        cmocka_unit_test(version_2_tells_of_tls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
