/* SPDX-License-Identifier: MIT */
/*
 * Targets, authorities and percent-encoding. The parts of a target put together again are the target; IPv6
 * literals are judged as the C library judges them; decoding agrees with a decoder that is as plain as can
 * be.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "cserve/buf.h"
#include "cserve/uri.h"

#include "fuzz.h"

static void check_target(struct str target)
{
    struct http_uri uri;
    struct buf again;
    struct str path;

    if (http_uri_parse(&uri, target) != 0)
        return;
    path = uri.path;
    buf_init(&again);
    EXPECT((uri.form == HTTP_URI_ABSOLUTE) == (uri.scheme.len > 0));
    if (uri.form == HTTP_URI_ABSOLUTE) {
        EXPECT(str_equal_nocase(uri.scheme, STR("http")) || str_equal_nocase(uri.scheme, STR("https")));
        EXPECT(uri.authority.len > 0 && http_authority_valid(uri.authority));
        buf_append_str(&again, uri.scheme);
        buf_append_str(&again, STR("://"));
        buf_append_str(&again, uri.authority);
    }
    EXPECT(path.len > 0 && (path.ptr[0] == '/' || (uri.form == HTTP_URI_ASTERISK && target.len == 1)));
    if (fuzz_inside(path, target))
        buf_append_str(&again, path);
    EXPECT(memchr(path.ptr, '?', path.len) == NULL);
    EXPECT(uri.encoded == (memchr(path.ptr, '%', path.len) != NULL));
    if (again.len < target.len)
        buf_append_str(&again, STR("?"));
    buf_append_str(&again, uri.query);
    EXPECT(str_equal(str_make(again.data, again.len), target));
    EXPECT(fuzz_is_printable(target) && memchr(target.ptr, '#', target.len) == NULL);
    buf_release(&again);
}

/* The part of `s` between brackets is an IPv6 address to us if it is one to inet_pton. */
static void check_ip6(struct str host)
{
    char text[64];
    unsigned char bytes[16];
    struct buf bracketed;
    bool valid;

    if (host.len >= sizeof(text) || memchr(host.ptr, '\0', host.len) != NULL)
        return;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    buf_init(&bracketed);
    buf_printf(&bracketed, "[%s]", text);
    valid = http_authority_valid(str_make(bracketed.data, bracketed.len));
    EXPECT(valid == (inet_pton(AF_INET6, text, bytes) == 1));
    buf_release(&bracketed);
}

static void check_authority(struct str s)
{
    struct str host, port;
    uint64_t number;

    check_ip6(s);
    if (!http_authority_valid(s))
        return;
    http_authority_split(s, &host, &port);
    EXPECT(fuzz_inside(host, s) && fuzz_inside(port, s));
    EXPECT(host.len + port.len == s.len || (host.len + 1 + port.len == s.len && s.ptr[host.len] == ':'));
    EXPECT(port.len == 0 || str_to_u64(port, 65535, &number) == 0);
    EXPECT(fuzz_is_printable(s));
    for (size_t i = 0; i < s.len; i++)
        EXPECT(s.ptr[i] != '\0' && strchr("/?#@ \\<>\"", s.ptr[i]) == NULL);
}

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);

    return found == NULL ? -1 : (int)(found - digits);
}

static void check_decoding(struct str s)
{
    char *apart = fuzz_copy(s.ptr, s.len), *in_place = fuzz_copy(s.ptr, s.len);
    size_t len = http_percent_decode(apart, s), at = 0;

    EXPECT(http_percent_decode(in_place, str_make(in_place, s.len)) == len);
    EXPECT(len <= s.len && memcmp(apart, in_place, len) == 0);
    for (size_t i = 0; i < s.len; at++) {
        bool escape = s.ptr[i] == '%' && i + 2 < s.len && hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0;

        EXPECT(at < len);
        EXPECT(apart[at] == (escape ? (char)(hex(s.ptr[i + 1]) * 16 + hex(s.ptr[i + 2])) : s.ptr[i]));
        i += escape ? 3 : 1;
    }
    EXPECT(at == len);
    free(apart);
    free(in_place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);
    struct str s = str_make(copy, size);

    check_target(s);
    check_authority(s);
    check_decoding(s);
    free(copy);
    return 0;
}
