/* SPDX-License-Identifier: MIT */
/*
 * Socket addresses. Parsing is for what a user types and so explains itself; the other functions
 * are for what accept(2) and getsockname(2) return.
 */
#include "cserve/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "cserve/str.h"

#define DEFAULT_HOST "127.0.0.1"

enum { HOST_MAX = 256 };

static int parse_unix(struct address *a, const char *path, char *error, size_t cap)
{
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof(a->u.local.sun_path)) {
        snprintf(error, cap, "the path of a unix socket has 1 to %zu bytes: 'unix:%s'",
                 sizeof(a->u.local.sun_path) - 1, path);
        return -1;
    }
    a->u.local.sun_family = AF_UNIX;
    memcpy(a->u.local.sun_path, path, len + 1);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return 0;
}

/* Host and port of "HOST:PORT", "[HOST]:PORT", ":PORT" or "PORT"; 0, or -1 if it is none of them. */
static int split_host(const char *text, struct str *host, struct str *port)
{
    const char *colon = strrchr(text, ':');

    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');
        if (bracket == NULL || bracket[1] != ':')
            return -1;
        *host = str_make(text + 1, (size_t)(bracket - text - 1));
        colon = bracket + 1;
    } else if (colon == NULL) {
        *host = STR(DEFAULT_HOST);
        *port = str_make(text, strlen(text));
        return 0;
    } else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
        return -1; /* IPv6 without brackets: where its port begins is a guess */
    } else if (colon == text) {
        *host = STR("0.0.0.0");
    } else {
        *host = str_make(text, (size_t)(colon - text));
    }
    *port = str_make(colon + 1, strlen(colon + 1));
    return 0;
}

static int resolve(struct address *a, struct str host, struct str port, const char *text, char *error, size_t cap)
{
    char name[HOST_MAX], service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int result;

    snprintf(name, sizeof(name), "%.*s", (int)host.len, host.ptr);
    snprintf(service, sizeof(service), "%.*s", (int)port.len, port.ptr);
    result = getaddrinfo(name, service, &hints, &found);
    if (result != 0) {
        snprintf(error, cap, "'%s': no address is known for host '%s' (%s)", text, name, gai_strerror(result));
        return -1;
    }
    memcpy(&a->u, found->ai_addr, found->ai_addrlen);
    a->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static bool says_unix(const char *text)
{
    return strncmp(text, "unix:", 5) == 0;
}

static int parse_inet(const char *text, struct str *host, struct str *port, char *error, size_t cap)
{
    uint64_t number;

    if (split_host(text, host, port) != 0) {
        snprintf(error, cap, "'%s' is not an address; write HOST:PORT, [IPV6]:PORT or unix:/PATH", text);
        return -1;
    }
    if (str_to_u64(*port, 65535, &number) != 0 || port->len > 5) {
        snprintf(error, cap, "'%s': the port '%.*s' is not a number from 0 to 65535; write HOST:PORT", text, (int)port->len,
                 port->ptr);
        return -1;
    }
    if (host->len == 0 || host->len >= HOST_MAX) {
        snprintf(error, cap, "'%s': the host name is empty or too long", text);
        return -1;
    }
    return 0;
}

int address_check(const char *text, char *error, size_t cap)
{
    struct address unused = {0};
    struct str host, port;

    return says_unix(text) ? parse_unix(&unused, text + 5, error, cap) : parse_inet(text, &host, &port, error, cap);
}

int address_parse(struct address *a, const char *text, char *error, size_t cap)
{
    struct str host, port;

    memset(a, 0, sizeof(*a));
    if (says_unix(text))
        return parse_unix(a, text + 5, error, cap);
    if (parse_inet(text, &host, &port, error, cap) != 0)
        return -1;
    return resolve(a, host, port, text, error, cap);
}

void address_host(const struct address *a, char host[ADDRESS_HOST_MAX])
{
    const struct sockaddr_in6 *ip6 = &a->u.ip6;

    host[0] = '\0';
    if (a->u.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &a->u.ip4.sin_addr, host, ADDRESS_HOST_MAX);
    else if (a->u.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&ip6->sin6_addr))
        inet_ntop(AF_INET, ip6->sin6_addr.s6_addr + 12, host, ADDRESS_HOST_MAX);
    else if (a->u.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &ip6->sin6_addr, host, ADDRESS_HOST_MAX);
}

unsigned address_port(const struct address *a)
{
    if (a->u.any.sa_family == AF_INET)
        return ntohs(a->u.ip4.sin_port);
    return a->u.any.sa_family == AF_INET6 ? ntohs(a->u.ip6.sin6_port) : 0;
}

bool address_is_unix(const struct address *a)
{
    return a->u.any.sa_family == AF_UNIX;
}

bool address_is_wildcard(const struct address *a)
{
    if (a->u.any.sa_family == AF_INET)
        return a->u.ip4.sin_addr.s_addr == htonl(INADDR_ANY);
    return a->u.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->u.ip6.sin6_addr);
}

size_t address_text(const struct address *a, char *text, size_t cap)
{
    char host[ADDRESS_HOST_MAX];
    int len;

    if (address_is_unix(a)) {
        bool named = a->len > offsetof(struct sockaddr_un, sun_path);
        len = snprintf(text, cap, "unix:%s", named ? a->u.local.sun_path : "");
    } else {
        address_host(a, host);
        len = snprintf(text, cap, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, address_port(a));
    }
    return len < 0 ? 0 : (size_t)len;
}
