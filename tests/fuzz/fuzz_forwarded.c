/* SPDX-License-Identifier: MIT */
/*
 * Forwarded fields. The input is field lines of a request head; whatever they say, the client is an address
 * that stands in them, and all that is named to the right of it are trusted proxies. For X-Forwarded-For, a
 * plain search from the right must find the same.
 */
#include <stdlib.h>

#include "cserve/buf.h"
#include "cserve/forwarded.h"

#include "fuzz.h"

enum { FIELDS_MAX = 100, HOPS_MAX = 32 };

static const char *const lists[] = {
    "", "*", "127.0.0.1, ::1", "10.0.0.0/8,192.168.0.0/16,fd00::/8", "unix,0.0.0.0/1"};

static struct str bare(struct str s)
{
    const char *colon = s.len > 0 ? memchr(s.ptr, ':', s.len) : NULL;
    const char *bracket = s.len > 0 && s.ptr[0] == '[' ? memchr(s.ptr, ']', s.len) : NULL;

    if (bracket != NULL)
        return str_make(s.ptr + 1, (size_t)(bracket - s.ptr) - 1);
    if (colon != NULL && memchr(colon + 1, ':', s.len - (size_t)(colon - s.ptr) - 1) == NULL)
        s.len = (size_t)(colon - s.ptr);
    return s;
}

/* The last entry of *list, cut off it with the comma before it; *more: there was one, and so another entry. */
static struct str last_entry(struct str *list, bool *more)
{
    size_t at = list->len;
    struct str entry;

    while (at > 0 && list->ptr[at - 1] != ',')
        at--;
    entry = str_trim(str_make(list->ptr + at, list->len - at));
    *more = at > 0;
    list->len = at > 0 ? at - 1 : 0;
    return entry;
}

/* What X-Forwarded-For names as the client, without a thought of speed. No quotes in it. */
static struct str plain_search(const struct http_head *head, const char *raw, const struct cidr_list *trusted)
{
    struct str client = {NULL, 0};
    int hops = 0;

    for (uint32_t i = head->field_count; i-- > 0;) {
        struct str list = http_field_value(&head->fields[i], raw);
        bool more;

        if (head->fields[i].id != HTTP_FIELD_X_FORWARDED_FOR || list.len == 0)
            continue;
        /* A comma at the very end is not followed by an entry. */
        if (list.ptr[list.len - 1] == ',')
            list.len--;
        do {
            struct str address = bare(last_entry(&list, &more));

            if (!cidr_is_address(address) || hops++ == HOPS_MAX)
                return client;
            client = address;
            if (!cidr_list_has_text(trusted, client))
                return client;
        } while (more);
    }
    return client;
}

static void check(const struct http_head *head, struct str raw, enum forwarded_kind kind,
                  const struct cidr_list *trusted)
{
    struct forwarded found;

    http_forwarded(head, raw.ptr, kind, trusted, &found);
    EXPECT(fuzz_inside(found.client, raw));
    EXPECT(found.client.len == 0 || cidr_is_address(found.client));
    if (found.scheme.len > 0)
        EXPECT(str_equal(found.scheme, STR("http")) || str_equal(found.scheme, STR("https")));
    if (kind == FORWARDED_X && memchr(raw.ptr, '"', raw.len) == NULL)
        EXPECT(str_equal(found.client, plain_search(head, raw.ptr, trusted)));
}

static void check_lists(const struct http_head *head, struct str raw)
{
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct cidr_list trusted;
        char error[128];

        EXPECT(cidr_list_parse(&trusted, lists[i], error, sizeof(error)) == 0);
        check(head, raw, FORWARDED_X, &trusted);
        check(head, raw, FORWARDED_RFC7239, &trusted);
        cidr_list_release(&trusted);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_limits limits = {
        .line = 8190, .fields = FIELDS_MAX, .field_size = 8190, .head = 65536, .body = 0};
    struct http_field fields[FIELDS_MAX];
    struct http_head head;
    struct buf text;
    char *exact;

    buf_init(&text);
    buf_append_str(&text, STR("GET / HTTP/1.0\r\n"));
    buf_append(&text, data, size);
    buf_append_str(&text, STR("\r\n\r\n"));
    exact = fuzz_copy(text.data, text.len);
    http_head_init(&head, &limits, fields);
    if (http_head_parse(&head, exact, text.len) == HTTP_DONE)
        check_lists(&head, str_make(exact, head.size));
    free(exact);
    buf_release(&text);
    return 0;
}
