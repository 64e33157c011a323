/* SPDX-License-Identifier: MIT */
/*
 * The PROXY protocol, versions 1 and 2: what a TCP proxy says, before anything else on a connection, of
 * the client that it speaks for (HAProxy's doc/proxy-protocol.txt).
 */
#ifndef CSERVE_PROXY_PROTOCOL_H
#define CSERVE_PROXY_PROTOCOL_H

#include "cserve/address.h"

enum proxy_result {
    PROXY_MORE, /* not all there yet */
    PROXY_DONE,
    PROXY_BAD,  /* not a PROXY header, or a malformed one */
};

#define PROXY_HEADER_MAX 4096 /* bytes; a longer version 2 header (by its TLVs) is refused */

struct proxy_header {
    size_t size;          /* bytes of the header, behind which the client's own begin */
    bool known;           /* source and destination are set: not LOCAL, UNKNOWN or UNSPEC */
    bool tls;             /* version 2 says that the client came by TLS, which the proxy has taken off */
    struct address source;
    struct address destination;
};

/* Parses the header at bytes[0..len), always from its first byte. Pure; allocates nothing. */
enum proxy_result proxy_header_parse(struct proxy_header *header, const char *bytes, size_t len);

#endif
