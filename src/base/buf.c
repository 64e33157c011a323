/* SPDX-License-Identifier: MIT */
/*
 * The growable byte buffer that heads, bodies and log lines are gathered in.
 *
 * Grows by doubling from 512 bytes, so that appending costs amortised constant time; never shrinks, which
 * is the owner's business (buf_release). A size that would overflow is a bug, and aborts.
 */
#include "cserve/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cserve/mem.h"

enum { FIRST_CAP = 512 };

void buf_init(struct buf *b)
{
    *b = (struct buf){0};
}

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b);
}

void buf_grow(struct buf *b, size_t more)
{
    if (more > SIZE_MAX / 2 - b->len)
        abort();
    size_t need = b->len + more;
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need)
        cap *= 2;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_append_escaped(struct buf *b, struct str s)
{
    if (s.len == 0)
        return;
    if (s.len > SIZE_MAX / 8)
        abort();
    char *room = buf_room(b, 4 * s.len);
    b->len += str_escape(room, 4 * s.len, s);
}

void buf_append_json(struct buf *b, struct str s, bool utf8)
{
    if (s.len > SIZE_MAX / 16)
        abort();
    char *room = buf_room(b, 6 * s.len + 2);
    *room = '"';
    size_t len = 1 + str_escape_json(room + 1, s, utf8);
    room[len++] = '"';
    b->len += len;
}

void buf_append_u64(struct buf *b, uint64_t value)
{
    char digits[20]; /* 2^64-1 has 20 */
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_append(b, digits + at, sizeof digits - at);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    char *room = buf_room(b, 128);
    size_t cap = b->cap - b->len;
    va_start(args, format);
    int len = vsnprintf(room, cap, format, args);
    va_end(args);
    if (len < 0)
        abort();
    if ((size_t)len >= cap) {
        room = buf_room(b, (size_t)len + 1);
        va_start(args, format);
        vsnprintf(room, (size_t)len + 1, format, args);
        va_end(args);
    }
    b->len += (size_t)len;
}

void buf_consume(struct buf *b, size_t count)
{
    if (count >= b->len) {
        b->len = 0;
        return;
    }
    if (count > 0)
        memmove(b->data, b->data + count, b->len - count);
    b->len -= count;
}
