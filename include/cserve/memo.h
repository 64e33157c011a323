/* SPDX-License-Identifier: MIT */
/*
 * The fields of a head, kept so that a head that comes later with the very same bytes behind its request line need not
 * be parsed again. Most connections repeat theirs: an API client's or a load balancer's never change.
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

#endif
