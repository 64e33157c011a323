/* SPDX-License-Identifier: MIT */
/*
 * Networks. All addresses are compared as 16 bytes, IPv4 in its mapped form, so that
 * a peer that comes over a dual-stack socket matches the IPv4 entry that the operator wrote.
 */
#include "cserve/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cserve/mem.h"

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* 4 or 6, and the 16 bytes; 0 if `text` is no address. */
static int parse_address(struct str text, unsigned char bytes[16])
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL)
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memcpy(bytes, mapped, sizeof(mapped));
    if (inet_pton(AF_INET, copy, bytes + 12) == 1)
        return 4;
    return inet_pton(AF_INET6, copy, bytes) == 1 ? 6 : 0;
}

/* 0, or -1 if `text` is not ADDRESS or ADDRESS/BITS. */
static int parse_net(struct cidr *net, struct str text)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    struct str host = text;
    uint64_t bits;
    int version;

    if (slash != NULL)
        host.len = (size_t)(slash - text.ptr);
    version = parse_address(host, net->bytes);
    if (version == 0)
        return -1;
    bits = version == 4 ? 32 : 128;
    if (slash != NULL && str_to_u64(str_make(slash + 1, text.len - host.len - 1), bits, &bits) != 0)
        return -1;
    net->bits = (unsigned)bits + (version == 4 ? 96 : 0);
    return 0;
}

/* One entry of a list; 0, or -1 if it is none. */
static int add_entry(struct cidr_list *list, struct str entry)
{
    struct cidr net = {.bits = 0};

    if (str_equal(entry, STR("unix"))) {
        list->unix_sockets = true;
        return 0;
    }
    if (str_equal(entry, STR("*")))
        list->unix_sockets = true;
    else if (parse_net(&net, entry) != 0)
        return -1;
    list->nets = mem_realloc(list->nets, (list->count + 1) * sizeof(*list->nets));
    list->nets[list->count++] = net;
    return 0;
}

int cidr_list_parse(struct cidr_list *list, const char *text, char *error, size_t cap)
{
    *list = (struct cidr_list){.nets = NULL};
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        struct str entry = str_trim(str_make(text, len));

        if (entry.len > 0 && add_entry(list, entry) != 0) {
            snprintf(error, cap, "'%.*s' is not an address, a network (10.0.0.0/8), 'unix' or '*'", (int)entry.len,
                     entry.ptr);
            return -1;
        }
        text += len + (text[len] == ',');
    }
    return 0;
}

void cidr_list_release(struct cidr_list *list)
{
    free(list->nets);
    *list = (struct cidr_list){.nets = NULL};
}

static bool net_has(const struct cidr *net, const unsigned char bytes[16])
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    unsigned mask = 0xff00u >> rest;

    if (memcmp(net->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || ((net->bytes[whole] ^ bytes[whole]) & mask & 0xff) == 0;
}

static bool list_has_bytes(const struct cidr_list *list, const unsigned char bytes[16])
{
    for (size_t i = 0; i < list->count; i++) {
        if (net_has(&list->nets[i], bytes))
            return true;
    }
    return false;
}

bool cidr_list_has(const struct cidr_list *list, const struct address *a)
{
    unsigned char bytes[16];

    if (a->u.any.sa_family == AF_INET) {
        memcpy(bytes, mapped, sizeof(mapped));
        memcpy(bytes + 12, &a->u.ip4.sin_addr, 4);
        return list_has_bytes(list, bytes);
    }
    if (a->u.any.sa_family == AF_INET6)
        return list_has_bytes(list, a->u.ip6.sin6_addr.s6_addr);
    return list->unix_sockets;
}

bool cidr_list_has_text(const struct cidr_list *list, struct str text)
{
    unsigned char bytes[16];

    return parse_address(text, bytes) != 0 && list_has_bytes(list, bytes);
}

bool cidr_is_address(struct str text)
{
    unsigned char bytes[16];

    return parse_address(text, bytes) != 0;
}
