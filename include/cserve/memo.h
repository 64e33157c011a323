/* SPDX-License-Identifier: MIT */
/*
 * The fields of a head, kept so that what a later head of the connection repeats need not be parsed again: all of them,
 * or the lines that are the same, or no more than the names. Most connections repeat theirs: an API client changes an
 * id, a browser what it accepts.
 *
 * A memo says what the parser would say, no more and no less, under the same limits. It is a block of memory of the
 * caller's; http_head_parse looks at the one in head->memo.
 */
#ifndef CSERVE_MEMO_H
#define CSERVE_MEMO_H

#include "cserve/head.h"

struct http_memo {
    uint64_t id;   /* of these fields; not 0 */
    uint32_t size; /* bytes of the fields and the empty line */
    uint32_t field_count;
    uint8_t minor; /* of the request line before them: it decides what they mean */
    bool chunked, close, keep_alive, expect_continue;
    int32_t host, forwarded; /* as in http_head, and the next one too */
    int64_t content_length;
    uint64_t varies; /* bit i: the line of fields[i] is not worth comparing. The caller's to set */
    struct http_field fields[]; /* offsets are from the first field on; behind them: the bytes */
};

/* Bytes of memory that a memo of a complete head takes; 0 if it is too large to be worth it. */
size_t http_memo_size(const struct http_head *head);

/*
 * Makes the memo of a complete head, parsed from `buf`, in `memo`, which has room for http_memo_size(head). `id` tells
 * these fields from all others; heads that are recognised have it as fields_id.
 */
void http_memo_fill(struct http_memo *memo, const struct http_head *head, const char *buf, uint64_t id);

/*
 * Completes `head`, whose request line is read, if the fields that begin at `at`, with `len` bytes known to be there, are
 * those of the memo. `at` is buf + offset. False, and nothing is changed, if they are not.
 */
bool http_memo_recall(const struct http_memo *memo, struct http_head *head, const char *at, size_t len,
                      uint32_t offset);

/* Bytes of the line of fields[index], with its CR LF. */
uint32_t http_memo_line_len(const struct http_memo *memo, uint32_t index);

/* How much of a line is as it was. */
enum http_memo_part {
    HTTP_MEMO_NOTHING,
    HTTP_MEMO_NAME, /* with its colon */
    HTTP_MEMO_LINE, /* with its CR LF */
};

/*
 * Compares the line that begins at `at`, with `len` bytes known to be there, with that of the memo's fields[index], if
 * there is one. field->name says where the line is; of a name that is as it was, what else `field` says of it is set; of
 * a line, all.
 */
enum http_memo_part http_memo_compare(const struct http_memo *memo, uint32_t index, const char *at, size_t len,
                                      struct http_field *field);

#endif
