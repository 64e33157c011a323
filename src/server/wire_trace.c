/* SPDX-License-Identifier: MIT */
/* The wire trace. Slow by nature and on only when asked for, so it may allocate and write at once. */
#include "wire_trace.h"

#include <stdbool.h>
#include <unistd.h>

#include "cserve/buf.h"
#include "cserve/log.h"

static bool colours;

void wire_trace_init(void)
{
    colours = log_wants_colour(STDOUT_FILENO);
}

/* What kind of line: the mark that it begins with, and its colour. */
struct look {
    const char *mark;
    const char *colour; /* NULL: the terminal's own */
};

static const struct look request_look = {"> ", "\033[36m"}, content_look = {"> ", NULL};

/* By the first digit of its status; others are none that the server lets pass. */
static const struct look response_looks[] = {
    [0] = {"< ", NULL},        [1] = {"< ", "\033[2m"},  [2] = {"< ", "\033[32m"},
    [3] = {"< ", "\033[33m"},  [4] = {"< ", "\033[31m"}, [5] = {"< ", "\033[1;31m"},
};

static const struct look *response_look(struct str head)
{
    size_t at = strlen("HTTP/1.1 ");
    int digit = head.len > at ? head.ptr[at] : '0';

    return &response_looks[digit >= '1' && digit <= '5' ? digit - '0' : 0];
}

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
static void add_lines(struct buf *text, struct str bytes, const struct look *look, bool in_head)
{
    bool coloured = colours && look->colour != NULL;

    while (bytes.len > 0) {
        const char *newline = memchr(bytes.ptr, '\n', bytes.len);
        size_t taken = newline == NULL ? bytes.len : (size_t)(newline - bytes.ptr) + 1;
        size_t shown = taken;

        if (newline != NULL && taken >= 2 && newline[-1] == '\r')
            shown -= 2;
        else if (newline != NULL && !in_head)
            shown -= 1;
        buf_printf(text, "%s%s", coloured ? look->colour : "", look->mark);
        buf_append_escaped(text, str_make(bytes.ptr, shown));
        buf_append_str(text, coloured ? STR("\033[0m\n") : STR("\n"));
        bytes.ptr += taken;
        bytes.len -= taken;
    }
}

static void trace(struct str bytes, const struct look *look)
{
    struct buf text;

    buf_init(&text);
    add_lines(&text, bytes, look, true);
    write_out(&text);
}

void wire_trace_request(struct str head)
{
    trace(head, &request_look);
}

void wire_trace_response(struct str head)
{
    trace(head, response_look(head));
}

void wire_trace_content(struct str bytes, uint64_t before)
{
    struct buf text;

    if (before >= WIRE_TRACE_CONTENT)
        return;
    if (bytes.len > WIRE_TRACE_CONTENT - before)
        bytes.len = (size_t)(WIRE_TRACE_CONTENT - before);
    buf_init(&text);
    add_lines(&text, bytes, &content_look, false);
    write_out(&text);
}

void wire_trace_content_end(uint64_t len)
{
    struct buf text;

    if (len <= WIRE_TRACE_CONTENT)
        return;
    buf_init(&text);
    buf_printf(&text, "> (%llu bytes of content in all)\n", (unsigned long long)len);
    write_out(&text);
}
