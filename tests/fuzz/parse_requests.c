/* SPDX-License-Identifier: MIT */
/*
 * The parser as a program, for tests in other languages: reads requests from stdin, each behind its length
 * in four bytes (little endian), and writes a line of JSON for each: what the request is, {"error": name,
 * "status": number} if it is refused, or {} if there is more to come. Bytes are characters of the same
 * number.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cserve/body.h"
#include "cserve/buf.h"
#include "cserve/mem.h"
#include "cserve/scan.h"

enum { FIELDS_MAX = 100 };

static const struct http_limits limits = {
    .line = 8190, .fields = FIELDS_MAX, .field_size = 8190, .head = 65536, .body = UINT64_C(1) << 30};

static void print_text(struct str s)
{
    putchar('"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];

        if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\')
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static void print_error(enum http_error error)
{
    const struct http_error_info *info = &http_error_table[error];

    printf("{\"error\": \"%s\", \"status\": %d}\n", info->name, info->status);
}

static void print_request(const struct http_head *head, const char *buf, struct str content, size_t size)
{
    printf("{\"method\": ");
    print_text(head->method);
    printf(", \"target\": ");
    print_text(head->target);
    printf(", \"minor\": %d, \"close\": %s, \"size\": %zu, \"fields\": [", head->minor,
           head->close ? "true" : "false", size);
    for (uint32_t i = 0; i < head->field_count; i++) {
        printf(i > 0 ? ", [" : "[");
        print_text(http_field_name(&head->fields[i], buf));
        printf(", ");
        print_text(http_field_value(&head->fields[i], buf));
        printf("]");
    }
    printf("], \"content\": ");
    print_text(content);
    printf("}\n");
}

static void parse_content(const struct http_head *head, const char *buf, size_t len)
{
    struct http_body body;
    struct buf content;
    size_t at = head->size, used;
    struct str data;
    enum http_result result = http_body_init(&body, head);

    buf_init(&content);
    while (result == HTTP_MORE && at < len) {
        result = http_body_read(&body, buf + at, len - at, &used, &data);
        buf_append_str(&content, data);
        at += used;
    }
    if (result == HTTP_DONE)
        print_request(head, buf, str_make(content.data, content.len), at);
    else if (result == HTTP_BAD)
        print_error(body.error);
    else
        printf("{}\n");
    buf_release(&content);
}

static void parse(const char *buf, size_t len)
{
    struct http_field fields[FIELDS_MAX];
    struct http_head head;

    http_head_init(&head, &limits, fields);
    switch (http_head_parse(&head, buf, len)) {
    case HTTP_DONE:
        parse_content(&head, buf, len);
        break;
    case HTTP_BAD:
        print_error(head.error);
        break;
    case HTTP_MORE:
        printf("{}\n");
        break;
    }
}

int main(void)
{
    unsigned char size[4];

    scan_init();
    while (fread(size, 1, sizeof(size), stdin) == sizeof(size)) {
        size_t len = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
        char *buf = mem_alloc(len);

        if (fread(buf, 1, len, stdin) != len)
            return 1;
        parse(buf, len);
        fflush(stdout);
        free(buf);
    }
    return 0;
}
