/* SPDX-License-Identifier: MIT */
/*
 * PROXY protocol headers: what is said of a header never changes as more bytes arrive behind it, and before
 * it is complete nothing is said but that it is not.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "cserve/proxy_protocol.h"
#include "cserve/str.h"

#include "fuzz.h"

static enum proxy_result parse(struct proxy_header *header, const uint8_t *data, size_t len)
{
    char *copy = fuzz_copy(data, len);
    enum proxy_result result = proxy_header_parse(header, copy, len);

    free(copy);
    return result;
}

/* An address that was taken over is one that the C library knows. */
static void check_address(const struct address *a)
{
    char host[ADDRESS_HOST_MAX], text[128];
    unsigned char bytes[16];
    size_t len = address_text(a, text, sizeof(text));

    address_host(a, host);
    EXPECT(a->u.any.sa_family == AF_INET || a->u.any.sa_family == AF_INET6);
    EXPECT(inet_pton(strchr(host, ':') != NULL ? AF_INET6 : AF_INET, host, bytes) == 1);
    EXPECT(address_port(a) <= 65535);
    EXPECT(len > strlen(host) && len < sizeof(text) && strlen(text) == len);
}

/* A line that names addresses ends with the ports, written as anybody would. */
static void check_line(const struct proxy_header *header, const uint8_t *data)
{
    char ports[32];
    size_t len = (size_t)snprintf(ports, sizeof(ports), " %u %u\r\n", address_port(&header->source),
                                  address_port(&header->destination));

    EXPECT(header->size <= 107);
    if (header->known)
        EXPECT(header->size > len && memcmp(data + header->size - len, ports, len) == 0);
    else
        EXPECT(memcmp(data + header->size - 2, "\r\n", 2) == 0);
}

static void check_done(const struct proxy_header *header, const uint8_t *data, size_t len)
{
    EXPECT(header->size > 0 && header->size <= len && header->size <= PROXY_HEADER_MAX);
    if (data[0] == 'P')
        check_line(header, data);
    EXPECT(!header->tls || memchr(data, 0x20, header->size) != NULL); /* the type of what tells of it */
    if (!header->known)
        return;
    EXPECT(header->source.u.any.sa_family == header->destination.u.any.sa_family);
    check_address(&header->source);
    check_address(&header->destination);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, part;
    enum proxy_result result = parse(&whole, data, size);
    size_t end = result == PROXY_DONE ? whole.size : size;
    bool refused = false;

    if (result == PROXY_DONE)
        check_done(&whole, data, size);
    for (size_t len = 0; len < end; len++) {
        enum proxy_result early = parse(&part, data, len);

        EXPECT(early == PROXY_BAD || (early == PROXY_MORE && !refused));
        refused = early == PROXY_BAD;
    }
    EXPECT(!refused || result == PROXY_BAD);
    if (result == PROXY_DONE) {
        EXPECT(parse(&part, data, end) == PROXY_DONE);
        EXPECT(memcmp(&part, &whole, sizeof(part)) == 0);
    }
    return 0;
}
