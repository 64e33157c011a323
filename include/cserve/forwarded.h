/* SPDX-License-Identifier: MIT */
/*
 * Who the client is and which scheme it used, when a trusted proxy speaks for it: X-Forwarded-For and
 * X-Forwarded-Proto, or Forwarded (RFC 7239). Call it only for requests that came from a trusted peer.
 */
#ifndef CSERVE_FORWARDED_H
#define CSERVE_FORWARDED_H

#include "cserve/cidr.h"
#include "cserve/head.h"

/* Which fields the proxy sets. The other kind is then the client's own word and is ignored. */
enum forwarded_kind { FORWARDED_X, FORWARDED_RFC7239 };

/* Views into the head; empty where the proxy said nothing of use. */
struct forwarded {
    struct str client; /* an address, no brackets, no port */
    struct str scheme; /* "http" or "https", lower case */
};

/*
 * The rightmost-untrusted rule: each proxy appends the address that it was called from, so reading from the
 * right, the first address that is not a trusted proxy's is the client; what stands left of it
 * anybody may have written. An entry that is no address ends the search at its right neighbour.
 */
void http_forwarded(const struct http_head *head, const char *raw, enum forwarded_kind kind,
                    const struct cidr_list *trusted, struct forwarded *out);

#endif
