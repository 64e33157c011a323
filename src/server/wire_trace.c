/* SPDX-License-Identifier: MIT */
/* The wire trace. Slow by nature and on only when asked for, so it may allocate and write at once. */
#include "wire_trace.h"

#include <unistd.h>

#include "cserve/buf.h"

enum { CONTENT_SHOWN = 1024 };

static void write_out(struct buf *text)
{
    size_t at = 0;

    while (at < text->len) {
        ssize_t count = write(STDOUT_FILENO, text->data + at, text->len - at);

        if (count <= 0)
            break; /* nobody looks */
        at += (size_t)count;
    }
    buf_release(text);
}

/*
 * Adds each line of `bytes` with a mark before it; the CRLF at its end is not shown. A bare LF is shown, as \n, in a head, where
 * it is why the request is refused; in content it is nothing special.
 */
static void add_lines(struct buf *text, struct str bytes, struct str mark, bool in_head)
{
    while (bytes.len > 0) {
        const char *newline = memchr(bytes.ptr, '\n', bytes.len);
        size_t taken = newline == NULL ? bytes.len : (size_t)(newline - bytes.ptr) + 1;
        size_t shown = taken;

        if (newline != NULL && taken >= 2 && newline[-1] == '\r')
            shown -= 2;
        else if (newline != NULL && !in_head)
            shown -= 1;
        buf_append_str(text, mark);
        buf_append_escaped(text, str_make(bytes.ptr, shown));
        buf_append_str(text, STR("\n"));
        bytes.ptr += taken;
        bytes.len -= taken;
    }
}

static void trace(struct str bytes, struct str mark)
{
    struct buf text;

    buf_init(&text);
    add_lines(&text, bytes, mark, true);
    write_out(&text);
}

void wire_trace_request(struct str head)
{
    trace(head, STR("> "));
}

void wire_trace_response(struct str head)
{
    trace(head, STR("< "));
}

void wire_trace_content(struct str shown, uint64_t len)
{
    struct buf text;

    if (len == 0)
        return;
    if (shown.len > CONTENT_SHOWN)
        shown.len = CONTENT_SHOWN;
    buf_init(&text);
    add_lines(&text, shown, STR("> "), false);
    if (len > shown.len)
        buf_printf(&text, "> (%llu bytes of content in all)\n", (unsigned long long)len);
    write_out(&text);
}
