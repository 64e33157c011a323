/* SPDX-License-Identifier: MIT */
/* Socket addresses: parsed from what users write, written as what environ and logs say. */
#ifndef CSERVE_ADDRESS_H
#define CSERVE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
        struct sockaddr_un local;
    } u;
    socklen_t len;
};

/*
 * Parses "127.0.0.1:80", "[::1]:80", "localhost:80" (resolved), ":80" (all of IPv4), "80" (a port
 * alone, on 127.0.0.1), "unix:/path". Returns 0; or -1 with a message in error[0..cap), which says
 * what is wrong and what would be right.
 */
int address_parse(struct address *a, const char *text, char *error, size_t cap);

/* Whether it could be parsed, if its host has an address. 0, or -1 with the same message. */
int address_check(const char *text, char *error, size_t cap);

#define ADDRESS_HOST_MAX INET6_ADDRSTRLEN /* with the NUL */
/* Host without brackets, NUL-terminated: "127.0.0.1", "::1", an IPv4-mapped one as IPv4; "" for unix. */
void address_host(const struct address *a, char host[ADDRESS_HOST_MAX]);

/* Port, 0 for unix. */
unsigned address_port(const struct address *a);

bool address_is_unix(const struct address *a);
bool address_is_wildcard(const struct address *a); /* 0.0.0.0 or :: */

/* For people: "127.0.0.1:80", "[::1]:80", "unix:/path". Returns its length without NUL. */
size_t address_text(const struct address *a, char *text, size_t cap);

#endif
