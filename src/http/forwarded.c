/* SPDX-License-Identifier: MIT */
/*
 * Forwarded fields. The hops of all fields of a kind form one list; only its last HOPS_MAX entries are looked
 * at, since nobody has more proxies than that and the client may write as many as fit a head.
 */
#include "cserve/forwarded.h"

enum { HOPS_MAX = 32 };

struct hop {
    struct str address;
    struct str proto;
};

/* The last HOPS_MAX of `count` hops: hop i is at [i % HOPS_MAX]. */
struct hops {
    struct hop list[HOPS_MAX];
    size_t count;
};

static void add_hop(struct hops *hops, struct hop hop)
{
    hops->list[hops->count++ % HOPS_MAX] = hop;
}

static const struct hop *get_hop(const struct hops *hops, size_t i)
{
    return &hops->list[i % HOPS_MAX];
}

/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:80" without brackets and port. */
static struct str bare_address(struct str s)
{
    const char *end;

    if (s.len > 0 && s.ptr[0] == '[') {
        end = memchr(s.ptr, ']', s.len);
        return end == NULL ? s : str_make(s.ptr + 1, (size_t)(end - s.ptr) - 1);
    }
    end = s.len > 0 ? memchr(s.ptr, ':', s.len) : NULL;
    if (end != NULL && memchr(end + 1, ':', s.len - (size_t)(end + 1 - s.ptr)) == NULL)
        s.len = (size_t)(end - s.ptr);
    return s;
}

/* Cuts what stands before the next `separator` outside of quotes off *rest, trimmed. */
static struct str next_part(struct str *rest, char separator)
{
    bool quoted = false;
    size_t i;
    struct str part;

    for (i = 0; i < rest->len && (quoted || rest->ptr[i] != separator); i++) {
        if (rest->ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && rest->ptr[i] == '\\')
            i++;
    }
    if (i > rest->len)
        i = rest->len; /* a backslash was the last byte */
    part = str_make(rest->ptr, i);
    i += i < rest->len;
    rest->ptr += i;
    rest->len -= i;
    return str_trim(part);
}

static struct str unquote(struct str s)
{
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        return str_make(s.ptr + 1, s.len - 2);
    return s;
}

/* One element of Forwarded: pairs separated by ';'. */
static struct hop parse_element(struct str element)
{
    struct hop hop = {.address = {NULL, 0}};

    while (element.len > 0) {
        struct str value = next_part(&element, ';');
        struct str name = next_part(&value, '=');

        if (str_equal_nocase(name, STR("for")))
            hop.address = bare_address(unquote(value));
        else if (str_equal_nocase(name, STR("proto")))
            hop.proto = unquote(value);
    }
    return hop;
}

/* Adds the entries of every field `id`: its hops, addresses, or protocols. */
static void collect(struct hops *hops, const struct http_head *head, const char *raw, enum http_field_id id)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct str rest = http_field_value(&head->fields[i], raw);

        while (head->fields[i].id == id && rest.len > 0) {
            struct str part = next_part(&rest, ',');

            if (id == HTTP_FIELD_FORWARDED)
                add_hop(hops, parse_element(part));
            else if (id == HTTP_FIELD_X_FORWARDED_FOR)
                add_hop(hops, (struct hop){.address = bare_address(part)});
            else
                add_hop(hops, (struct hop){.proto = part});
        }
    }
}

/* The index of the hop that is the client; hops->count if there is none. */
static size_t find_client(const struct hops *hops, const struct cidr_list *trusted)
{
    size_t client = hops->count;
    size_t first = hops->count > HOPS_MAX ? hops->count - HOPS_MAX : 0;

    for (size_t i = hops->count; i-- > first;) {
        if (!cidr_is_address(get_hop(hops, i)->address))
            break;
        client = i;
        if (!cidr_list_has_text(trusted, get_hop(hops, i)->address))
            break;
    }
    return client;
}

static struct str known_scheme(struct str proto)
{
    if (str_equal_nocase(proto, STR("https")))
        return STR("https");
    if (str_equal_nocase(proto, STR("http")))
        return STR("http");
    return str_make(NULL, 0);
}

/* X-Forwarded-Proto has one entry, or one for each hop; anything else: the last, which our peer wrote. */
static struct str choose_proto(const struct hops *protos, size_t hop_count, size_t client)
{
    if (protos->count == 0)
        return str_make(NULL, 0);
    if (protos->count == hop_count && client < hop_count)
        return get_hop(protos, client)->proto;
    return get_hop(protos, protos->count - 1)->proto;
}

void http_forwarded(const struct http_head *head, const char *raw, enum forwarded_kind kind,
                    const struct cidr_list *trusted, struct forwarded *out)
{
    struct hops hops = {.count = 0}, protos = {.count = 0};
    size_t client;

    *out = (struct forwarded){.client = {NULL, 0}};
    collect(&hops, head, raw, kind == FORWARDED_X ? HTTP_FIELD_X_FORWARDED_FOR : HTTP_FIELD_FORWARDED);
    client = find_client(&hops, trusted);
    if (client < hops.count)
        out->client = get_hop(&hops, client)->address;
    if (kind == FORWARDED_X) {
        collect(&protos, head, raw, HTTP_FIELD_X_FORWARDED_PROTO);
        out->scheme = known_scheme(choose_proto(&protos, hops.count, client));
    } else if (hops.count > 0) {
        out->scheme = known_scheme(get_hop(&hops, client < hops.count ? client : hops.count - 1)->proto);
    }
}
