/* SPDX-License-Identifier: MIT */
/*
 * A growable run of bytes: data[0..len) is filled, data[len..cap) is room.
 * The struct owns `data`. Growing moves the bytes: keep offsets, not pointers.
 */
#ifndef CSERVE_BUF_H
#define CSERVE_BUF_H

#include <stddef.h>
#include <string.h>

#include "cserve/str.h"

struct buf {
    char *data;
    size_t len;
    size_t cap;
};

void buf_init(struct buf *b);    /* empty, owns nothing */
void buf_release(struct buf *b); /* frees; b is as after buf_init */

/* Cold path of buf_room: makes room for `more` bytes behind len. */
void buf_grow(struct buf *b, size_t more);

/* Returns where to write: at least `more` bytes behind len. Valid until the next call on b. */
static inline char *buf_room(struct buf *b, size_t more)
{
    if (b->cap - b->len < more)
        buf_grow(b, more);
    return b->data + b->len;
}

static inline void buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_room(b, len), bytes, len);
    b->len += len;
}

static inline void buf_append_str(struct buf *b, struct str s)
{
    buf_append(b, s.ptr, s.len);
}

/* Appends `s` printable, as str_escape does. */
void buf_append_escaped(struct buf *b, struct str s);

/* Appends `s` as a JSON string, with its quotes; as str_escape_json. */
void buf_append_json(struct buf *b, struct str s, bool utf8);

/* Appends decimal digits. */
void buf_append_u64(struct buf *b, uint64_t value);

/* printf onto the end. */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `count` bytes, moving the rest to the front. */
void buf_consume(struct buf *b, size_t count);

#endif
