/* SPDX-License-Identifier: MIT */
/*
 * Request targets, authorities and percent-encoding.
 *
 * A target is taken apart without changing a byte of it: what is compared, logged or routed later is what
 * the client sent. No form is guessed: a target is one of the three, or refused.
 */
#include "cserve/uri.h"

#include "cserve/scan.h"

static struct str rest_from(struct str s, size_t at)
{
    return str_make(s.ptr + at, s.len - at);
}

/* Path and query of what begins behind the authority, or of an origin-form target. */
static void split_path(struct http_uri *uri, struct str s)
{
    const char *mark = memchr(s.ptr, '?', s.len);
    size_t path_len = mark ? (size_t)(mark - s.ptr) : s.len;
    uri->path = str_make(s.ptr, path_len);
    uri->query = mark ? rest_from(s, path_len + 1) : str_make(s.ptr + s.len, 0);
    uri->encoded = memchr(s.ptr, '%', path_len) != NULL;
}

static bool starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_equal_nocase(str_make(s.ptr, prefix.len), prefix);
}

static int split_absolute(struct http_uri *uri, struct str target)
{
    if (starts_nocase(target, STR("http://")))
        uri->scheme = str_make(target.ptr, 4);
    else if (starts_nocase(target, STR("https://")))
        uri->scheme = str_make(target.ptr, 5);
    else
        return -1;

    struct str rest = rest_from(target, uri->scheme.len + 3);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?')
        len++;
    uri->form = HTTP_URI_ABSOLUTE;
    uri->authority = str_make(rest.ptr, len);
    if (len == 0 || !http_authority_valid(uri->authority))
        return -1;
    split_path(uri, rest_from(rest, len));
    if (uri->path.len == 0)
        uri->path = STR("/");
    return 0;
}

int http_uri_split(struct http_uri *uri, struct str target)
{
    *uri = (struct http_uri){.form = HTTP_URI_ORIGIN};
    if (target.len == 0)
        return -1;
    if (target.ptr[0] == '/') {
        split_path(uri, target);
        return 0;
    }
    if (target.len == 1 && target.ptr[0] == '*') {
        uri->form = HTTP_URI_ASTERISK;
        uri->path = target;
        return 0;
    }
    return split_absolute(uri, target);
}

int http_uri_parse(struct http_uri *uri, struct str target)
{
    if (target.len == 0 || scan_target(target.ptr, target.ptr + target.len) != target.ptr + target.len)
        return -1;
    return http_uri_split(uri, target);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that "%hh" at s[at] stands for, or -1. */
static int escaped_byte(struct str s, size_t at)
{
    if (s.len - at < 3)
        return -1;
    int high = hex_value(s.ptr[at + 1]), low = hex_value(s.ptr[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

size_t http_percent_decode(char *dst, struct str src)
{
    size_t written = 0;
    for (size_t i = 0; i < src.len; i++) {
        int byte = src.ptr[i] == '%' ? escaped_byte(src, i) : -1;
        if (byte >= 0) {
            dst[written++] = (char)byte;
            i += 2;
        } else {
            dst[written++] = src.ptr[i];
        }
    }
    return written;
}

/* A part of "1.2.3.4": a number of 0 to 255 without leading zeros, at s[*at]. */
static bool skip_ipv4_part(struct str s, size_t *at)
{
    size_t first = *at;
    unsigned value = 0;
    while (*at < s.len && *at - first < 3 && s.ptr[*at] >= '0' && s.ptr[*at] <= '9')
        value = value * 10 + (unsigned)(s.ptr[(*at)++] - '0');
    size_t digits = *at - first;
    return digits > 0 && value <= 255 && (digits == 1 || s.ptr[first] != '0');
}

static bool is_ipv4(struct str s)
{
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        if (part > 0 && (at == s.len || s.ptr[at++] != '.'))
            return false;
        if (!skip_ipv4_part(s, &at))
            return false;
    }
    return at == s.len;
}

/* Length of the run of hex digits at s[at], at most 5. */
static size_t hex_run(struct str s, size_t at)
{
    size_t len = 0;
    while (len < 5 && at + len < s.len && hex_value(s.ptr[at + len]) >= 0)
        len++;
    return len;
}

/* IPv6address of RFC 3986: eight groups of up to four hex digits, the last two maybe IPv4, one "::". */
static bool is_ipv6(struct str s)
{
    size_t at = 0;
    int groups = 0;
    bool gap = false;

    if (s.len >= 2 && s.ptr[0] == ':' && s.ptr[1] == ':') {
        gap = true;
        at = 2;
    }
    while (at < s.len) {
        size_t digits = hex_run(s, at);
        if (digits == 0 || digits > 4)
            return false;
        if (at + digits < s.len && s.ptr[at + digits] == '.')
            return is_ipv4(rest_from(s, at)) && (gap ? groups <= 5 : groups == 6);
        groups++;
        at += digits;
        if (at == s.len)
            break;
        if (s.ptr[at++] != ':' || at == s.len)
            return false;
        if (s.ptr[at] == ':') {
            if (gap)
                return false;
            gap = true;
            at++;
        }
    }
    return gap ? groups <= 7 : groups == 8;
}

void http_authority_split(struct str authority, struct str *host, struct str *port)
{
    size_t host_len = authority.len;
    for (size_t i = authority.len; i > 0 && authority.ptr[i - 1] != ']'; i--) {
        if (authority.ptr[i - 1] == ':')
            host_len = i - 1;
    }
    *host = str_make(authority.ptr, host_len);
    *port = host_len == authority.len ? str_make(authority.ptr + authority.len, 0)
                                      : rest_from(authority, host_len + 1);
}

/* Digits, none to five, and a number that a port can be. */
static bool is_port(struct str s)
{
    unsigned number = 0;
    if (s.len > 5)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (digit > 9)
            return false;
        number = 10 * number + digit;
    }
    return number <= UINT16_MAX;
}

/* Length of the reg-name of RFC 3986 that `s` begins with. IPv4 addresses are such names too. */
static size_t reg_name_len(struct str s)
{
    size_t at = 0;
    while (at < s.len) {
        if (scan_is((unsigned char)s.ptr[at], SCAN_HOST))
            at++;
        else if (s.ptr[at] == '%' && escaped_byte(s, at) >= 0)
            at += 3;
        else
            break;
    }
    return at;
}

bool http_authority_valid(struct str s)
{
    if (s.len > 0 && s.ptr[0] == '[') {
        struct str host, port;
        http_authority_split(s, &host, &port);
        return host.ptr[host.len - 1] == ']' && is_ipv6(str_make(host.ptr + 1, host.len - 2)) &&
               is_port(port);
    }
    size_t host_len = reg_name_len(s);
    if (host_len == s.len)
        return true;
    return host_len > 0 && s.ptr[host_len] == ':' && is_port(rest_from(s, host_len + 1));
}
