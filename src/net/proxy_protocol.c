/* SPDX-License-Identifier: MIT */
/*
 * PROXY protocol headers. They are at most a few hundred bytes and come once a connection, so they are
 * parsed from the start each time more of one arrives.
 */
#include "cserve/proxy_protocol.h"

#include <arpa/inet.h>
#include <string.h>

#include "cserve/str.h"

enum {
    V1_MAX = 107, /* with its CRLF, by the specification */
    V2_FIXED = 16,
    TLV_FIXED = 3,      /* a type and the length of what follows */
    TLV_SSL = 0x20,
    SSL_FIXED = 5,      /* bits and a result, before TLVs of its own */
    SSL_BY_TLS = 0x01,
};

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* Cuts the next word off *rest; words are separated by exactly one space. */
static struct str next_word(struct str *rest)
{
    const char *space = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct str word = *rest;

    if (space == NULL) {
        *rest = str_make(rest->ptr + rest->len, 0);
        return word;
    }
    word.len = (size_t)(space - rest->ptr);
    rest->ptr += word.len + 1;
    rest->len -= word.len + 1;
    return word;
}

static int set_address(struct address *a, int family, struct str host, struct str port)
{
    char text[INET6_ADDRSTRLEN];
    uint64_t number;

    if (host.len == 0 || host.len >= sizeof(text) || port.len > 5 || str_to_u64(port, 65535, &number) != 0)
        return -1;
    if (port.len > 1 && port.ptr[0] == '0')
        return -1;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    memset(a, 0, sizeof(*a));
    a->u.any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        a->len = sizeof(a->u.ip4);
        a->u.ip4.sin_port = htons((uint16_t)number);
        return inet_pton(AF_INET, text, &a->u.ip4.sin_addr) == 1 ? 0 : -1;
    }
    a->len = sizeof(a->u.ip6);
    a->u.ip6.sin6_port = htons((uint16_t)number);
    return inet_pton(AF_INET6, text, &a->u.ip6.sin6_addr) == 1 ? 0 : -1;
}

/* The line behind "PROXY ", without its CRLF. */
static enum proxy_result parse_v1_line(struct proxy_header *header, struct str line)
{
    struct str protocol = next_word(&line);
    struct str source, destination, source_port, destination_port;
    int family;

    if (str_equal(protocol, STR("UNKNOWN")))
        return PROXY_DONE;
    if (!str_equal(protocol, STR("TCP4")) && !str_equal(protocol, STR("TCP6")))
        return PROXY_BAD;
    family = protocol.ptr[3] == '4' ? AF_INET : AF_INET6;
    source = next_word(&line);
    destination = next_word(&line);
    source_port = next_word(&line);
    destination_port = line;
    if (set_address(&header->source, family, source, source_port) != 0 ||
        set_address(&header->destination, family, destination, destination_port) != 0)
        return PROXY_BAD;
    header->known = true;
    return PROXY_DONE;
}

static enum proxy_result parse_v1(struct proxy_header *header, const char *bytes, size_t len)
{
    static const struct str prefix = STR("PROXY ");
    const char *newline = memchr(bytes, '\n', len < V1_MAX ? len : V1_MAX);
    size_t compare = len < prefix.len ? len : prefix.len;

    if (memcmp(bytes, prefix.ptr, compare) != 0)
        return PROXY_BAD;
    if (newline == NULL)
        return len < V1_MAX ? PROXY_MORE : PROXY_BAD;
    header->size = (size_t)(newline - bytes) + 1;
    if (header->size < prefix.len + 2 || newline[-1] != '\r')
        return PROXY_BAD;
    return parse_v1_line(header, str_make(bytes + prefix.len, header->size - prefix.len - 2));
}

static void v2_address4(struct address *a, const unsigned char *host, const unsigned char *port)
{
    memset(a, 0, sizeof(*a));
    a->len = sizeof(a->u.ip4);
    a->u.ip4.sin_family = AF_INET;
    memcpy(&a->u.ip4.sin_addr, host, 4);
    memcpy(&a->u.ip4.sin_port, port, 2);
}

static void v2_address6(struct address *a, const unsigned char *host, const unsigned char *port)
{
    memset(a, 0, sizeof(*a));
    a->len = sizeof(a->u.ip6);
    a->u.ip6.sin6_family = AF_INET6;
    memcpy(&a->u.ip6.sin6_addr, host, 16);
    memcpy(&a->u.ip6.sin6_port, port, 2);
}

/* Whether the TLVs, as far as they are well-formed, say that the client used TLS. */
static bool find_tls(const unsigned char *p, size_t len)
{
    while (len >= TLV_FIXED) {
        size_t size = (size_t)p[1] << 8 | p[2];

        if (size > len - TLV_FIXED)
            return false;
        if (p[0] == TLV_SSL)
            return size >= SSL_FIXED && (p[TLV_FIXED] & SSL_BY_TLS) != 0;
        p += TLV_FIXED + size;
        len -= TLV_FIXED + size;
    }
    return false;
}

/* The address block of `family` (upper half of its byte), `len` bytes with TLVs behind it. */
static enum proxy_result parse_v2_addresses(struct proxy_header *header, unsigned family, const unsigned char *p,
                                            size_t len)
{
    enum { UNSPEC, INET, INET6, UNIX };
    static const size_t sizes[] = {[UNSPEC] = 0, [INET] = 12, [INET6] = 36, [UNIX] = 216};

    if (family > UNIX || len < sizes[family])
        return PROXY_BAD;
    header->tls = find_tls(p + sizes[family], len - sizes[family]);
    header->known = family == INET || family == INET6;
    if (family == INET) {
        v2_address4(&header->source, p, p + 8);
        v2_address4(&header->destination, p + 4, p + 10);
    } else if (family == INET6) {
        v2_address6(&header->source, p, p + 32);
        v2_address6(&header->destination, p + 16, p + 34);
    }
    return PROXY_DONE;
}

static enum proxy_result parse_v2(struct proxy_header *header, const unsigned char *p, size_t len)
{
    enum { LOCAL, PROXY };
    unsigned command, transport;
    size_t addresses;

    if (len < V2_FIXED)
        return PROXY_MORE;
    command = p[12] & 0x0f;
    transport = p[13] & 0x0f;
    addresses = (size_t)p[14] << 8 | p[15];
    header->size = V2_FIXED + addresses;
    if (p[12] >> 4 != 2 || command > PROXY || header->size > PROXY_HEADER_MAX)
        return PROXY_BAD;
    if (len < header->size)
        return PROXY_MORE;
    if (command == LOCAL)
        return PROXY_DONE;
    if (p[13] != 0 && transport != 1)
        return PROXY_BAD; /* datagrams do not carry HTTP/1.1 */
    return parse_v2_addresses(header, p[13] >> 4, p + V2_FIXED, addresses);
}

enum proxy_result proxy_header_parse(struct proxy_header *header, const char *bytes, size_t len)
{
    size_t compare = len < sizeof(v2_signature) ? len : sizeof(v2_signature);

    memset(header, 0, sizeof(*header));
    if (len == 0)
        return PROXY_MORE;
    if (memcmp(bytes, v2_signature, compare) == 0)
        return parse_v2(header, (const unsigned char *)bytes, len);
    return parse_v1(header, bytes, len);
}
