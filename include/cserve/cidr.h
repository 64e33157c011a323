/* SPDX-License-Identifier: MIT */
/* Lists of networks, to tell whether a peer is one of those that the operator trusts. */
#ifndef CSERVE_CIDR_H
#define CSERVE_CIDR_H

#include "cserve/address.h"
#include "cserve/str.h"

struct cidr {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;           /* of the prefix, 0..128 */
};

struct cidr_list {
    struct cidr *nets; /* owned */
    size_t count;
    bool unix_sockets; /* the list names "unix": peers of a unix socket */
};

/*
 * Parses "10.0.0.0/8, 127.0.0.1, ::1, unix", "*" for everybody, "" for nobody. Returns 0; or -1
 * with a message in error[0..cap) that names the wrong entry. Release in both cases.
 */
int cidr_list_parse(struct cidr_list *list, const char *text, char *error, size_t cap);
void cidr_list_release(struct cidr_list *list);

bool cidr_list_has(const struct cidr_list *list, const struct address *a);

/* As cidr_list_has, for an address in text: "10.1.2.3", "::1", no brackets, no port. False if it is none. */
bool cidr_list_has_text(const struct cidr_list *list, struct str text);

/* Whether `text` is an IPv4 or IPv6 address, no brackets, no port. */
bool cidr_is_address(struct str text);

#endif
