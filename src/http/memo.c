/* SPDX-License-Identifier: MIT */
/* One comparison of memory stands for the parsing of all fields, or of one. */
#include "cserve/memo.h"

#include <string.h>

enum { SIZE_MAX_KEPT = 2048, FIELDS_MAX_KEPT = 40 };
_Static_assert(FIELDS_MAX_KEPT <= 64, "sets of fields are one word");

/* Where the fields of a complete head begin. */
static uint32_t section_at(const struct http_head *head)
{
    return head->field_count > 0 ? head->fields[0].name : head->size - 2;
}

static const char *section(const struct http_memo *memo)
{
    return (const char *)&memo->fields[memo->field_count];
}

size_t http_memo_size(const struct http_head *head)
{
    uint32_t size = head->size - section_at(head);

    if (size > SIZE_MAX_KEPT || head->field_count > FIELDS_MAX_KEPT)
        return 0;
    return sizeof(struct http_memo) + head->field_count * sizeof(struct http_field) + size;
}

/* Offsets from `from` become offsets from `from` - by. */
static void shift(struct http_field *to, const struct http_field *from, uint32_t count, uint32_t by)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].name -= by;
        to[i].value -= by;
    }
}

void http_memo_fill(struct http_memo *memo, const struct http_head *head, const char *buf, uint64_t id)
{
    uint32_t at = section_at(head);

    *memo = (struct http_memo){
        .id = id,
        .size = head->size - at,
        .field_count = head->field_count,
        .minor = head->minor,
        .chunked = head->chunked,
        .close = head->close,
        .keep_alive = head->keep_alive,
        .expect_continue = head->expect_continue,
        .host = head->host,
        .forwarded = head->forwarded,
        .content_length = head->content_length,
    };
    shift(memo->fields, head->fields, head->field_count, at);
    memcpy((char *)section(memo), buf + at, memo->size);
}

bool http_memo_recall(const struct http_memo *memo, struct http_head *head, const char *at, size_t len,
                      uint32_t offset)
{
    if (len < memo->size || head->minor != memo->minor || memcmp(at, section(memo), memo->size) != 0)
        return false;
    shift(head->fields, memo->fields, memo->field_count, 0U - offset);
    head->fields_id = memo->id;
    head->changed = 0;
    head->field_count = memo->field_count;
    head->chunked = memo->chunked;
    head->close = memo->close;
    head->keep_alive = memo->keep_alive;
    head->expect_continue = memo->expect_continue;
    head->host = memo->host;
    head->forwarded = memo->forwarded;
    head->content_length = memo->content_length;
    head->position = head->size = offset + memo->size;
    return true;
}

uint32_t http_memo_line_len(const struct http_memo *memo, uint32_t index)
{
    uint32_t next = index + 1 < memo->field_count ? memo->fields[index + 1].name : memo->size - 2;

    return next - memo->fields[index].name;
}

static uint64_t differ(const char *a, const char *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x ^ y;
}

/* memcmp(a, b, len) == 0, made for names of fields: less than a call takes. Words overlap at the end. */
static bool same_name(const char *a, const char *b, size_t len)
{
    if (len < sizeof(uint64_t) || len > 3 * sizeof(uint64_t))
        return memcmp(a, b, len) == 0;
    for (size_t at = 0; at + sizeof(uint64_t) < len; at += sizeof(uint64_t))
        if (differ(a + at, b + at) != 0)
            return false;
    return differ(a + len - sizeof(uint64_t), b + len - sizeof(uint64_t)) == 0;
}

enum http_memo_part http_memo_compare(const struct http_memo *memo, uint32_t index, const char *at, size_t len,
                                      struct http_field *field)
{
    const struct http_field *kept = &memo->fields[index];
    const char *line;
    uint32_t named; /* bytes of name and colon */

    if (index >= memo->field_count || len <= kept->name_len)
        return HTTP_MEMO_NOTHING;
    line = section(memo) + kept->name;
    named = kept->name_len + 1;
    if (!same_name(at, line, named))
        return HTTP_MEMO_NOTHING;
    field->name_len = kept->name_len;
    field->id = kept->id;
    field->underscore = kept->underscore;
    if ((memo->varies >> index & 1) != 0 || len < http_memo_line_len(memo, index) ||
        memcmp(at + named, line + named, http_memo_line_len(memo, index) - named) != 0)
        return HTTP_MEMO_NAME;
    field->value = field->name + (kept->value - kept->name);
    field->value_len = kept->value_len;
    return HTTP_MEMO_LINE;
}
